"""From a model's spec to a network that turns patches into embeddings."""
