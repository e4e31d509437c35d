"""From label files and slides to validated cells, patches, leak-free splits and their audit."""
