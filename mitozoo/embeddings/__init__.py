"""From patches to embeddings, computed once for each encoder, window and slide content, and kept."""
