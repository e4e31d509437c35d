"""From a source record to a network that holds exactly its weights: one module for each kind of source."""

from __future__ import annotations

from mitozoo.models.loaders import checkpoint_loader, open_clip_loader, timm_loader, transformers_loader
from mitozoo.models.loaders.generics import build_network, load_network
from mitozoo.models.loaders.state import read_state

__all__ = ["build_network", "load_network", "read_state"]

#: Each answers for its own kinds of sources, once it is imported.
ANSWERING = (checkpoint_loader, open_clip_loader, timm_loader, transformers_loader)
