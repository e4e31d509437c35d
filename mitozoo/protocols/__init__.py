"""Named, versioned, hashed recipes that turn embeddings or patches into predictions."""
