"""Find a model by what a user types: a registered name, or a place that says where the model is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mitozoo.models.on_the_spot import find_on_the_spot, is_on_the_spot
from mitozoo.plugins.registry import load_registry

if TYPE_CHECKING:
    from mitozoo.plugins.model_spec import ModelSpec
    from mitozoo.plugins.names import Registered


def find_model(name: str) -> Registered[ModelSpec]:
    """Return the model of that name: 'virchow2', 'timm:NAME', 'hf:ORG/REPO', 'clip:ARCH/TAG' or 'FILE.py:NAME'.

    Raises:
        UnknownNameError: no plugin, and no library, offers it.
        ModelError: its place cannot be looked at, or does not say enough.
    """
    return find_on_the_spot(name) if is_on_the_spot(name) else load_registry().model(name)
