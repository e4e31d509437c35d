"""Models without a plugin: `timm:NAME`, `hf:ORG/REPO`, `clip:ARCH/TAG` and `FILE.py:NAME` become specs on the spot."""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mitozoo.plugins.model_spec import ModelSpec
    from mitozoo.plugins.names import Registered

#: What stands before the colon -> the module that answers for it.
SCHEMES = {"timm": "timm_names", "hf": "hub_names", "clip": "open_clip_names"}
FILE = re.compile(r".+\.py:[A-Za-z_]\w*")


def is_on_the_spot(name: str) -> bool:
    """Tell whether a model's name says where to find it, so that no plugin need offer it."""
    return name.partition(":")[0] in SCHEMES or FILE.fullmatch(name) is not None


def find_on_the_spot(name: str) -> Registered[ModelSpec]:
    """Return the spec of a model that is named by its place; `is_on_the_spot` must hold.

    What the place does not say is 'unverified', or unknown; where it says something that mitozoo cannot do, the model
    needs a plugin. The hub is asked once; afterwards the same name works without a connection.

    Raises:
        ModelError: there is no such model, or it cannot be described without a person.
    """
    from mitozoo.plugins.names import Registered

    scheme, _, rest = name.partition(":")
    module = "file_names" if FILE.fullmatch(name) else SCHEMES[scheme]
    answering = importlib.import_module(f"{__name__}.{module}")
    spec, offered_by, version = answering.describe(name if module == "file_names" else rest)
    return Registered(spec, offered_by, version, qualified_name=name, short_name_works=False)
