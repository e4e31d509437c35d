"""`FILE.py:NAME`: a model in a Python file of the user's own.

NAME is either a `mitozoo.ModelSpec`, or a `torch.nn.Module` class or function that takes no arguments, gives the loaded
network, and bears these attributes:

* `preprocessing`: a `mitozoo.Preprocessing`;
* `embed_dim`: the length of one embedding;
* and, where they differ from these: `pooling = "network"`, `prefix_tokens = 0`, `precision = "fp32"`,
  `license = "unstated"`, `reference` (default: the file), `weights` (path of its weight file, relative to FILE.py:
  without it, a change of the weights is not noticed and cached embeddings are used again).

The file's own sha256 is part of the fingerprint: a changed file is another model.
"""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mitozoo.errors import ModelError
from mitozoo.models.on_the_spot.describing import short_name
from mitozoo.plugins.model_spec import ModelSpec
from mitozoo.plugins.preprocessing import Preprocessing

if TYPE_CHECKING:
    from types import CodeType

_NEEDED = "It must bear `preprocessing` (a mitozoo.Preprocessing) and `embed_dim`; or name a mitozoo.ModelSpec."


def describe(name: str) -> tuple[ModelSpec, str, str]:
    """Return the spec of a model in a file, the file's name, and the beginning of its sha256."""
    text, _, attribute = name.rpartition(":")
    path = Path(text).expanduser()
    if not path.is_file():
        raise ModelError(f"there is no file {path}", hint="Say --model path/to/file.py:NAME.")
    content = path.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    module = _imported(path, f"mitozoo_file_{short_name(path.stem).replace('-', '_').replace('.', '_')}_{sha256[:12]}")
    found = getattr(module, attribute, None)
    if isinstance(found, ModelSpec):
        return found, path.name, sha256[:12]
    if found is None or not callable(found):
        offered = [key for key, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__]
        raise ModelError(
            f"{path} has no class, function or ModelSpec '{attribute}'",
            hint=f"It has: {', '.join(offered)}." if offered else _NEEDED,
        )
    return _spec(found, path, attribute), path.name, sha256[:12]


def _spec(found: Any, path: Path, attribute: str) -> ModelSpec:
    if not isinstance(getattr(found, "preprocessing", None), Preprocessing) or not hasattr(found, "embed_dim"):
        raise ModelError(f"{attribute} of {path} does not say how it sees images or what it gives", hint=_NEEDED)
    return ModelSpec(
        name=short_name("file", path.stem, attribute), title=f"{path.name}:{attribute}", load=found,
        preprocessing=found.preprocessing, embed_dim=found.embed_dim,
        pooling=getattr(found, "pooling", "network"), prefix_tokens=getattr(found, "prefix_tokens", 0),
        precision=getattr(found, "precision", "fp32"), license=getattr(found, "license", "unstated"),
        reference=getattr(found, "reference", path.name), unverified=("preprocessing",),
    )  # fmt: skip


class _AsItIsNow(importlib.machinery.SourceFileLoader):
    """Compiles a file anew: bytecode that Python stored goes by size and whole seconds, and may be a changed file's."""

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002 - as importlib calls it
        return self.source_to_code(self.get_data(self.path), self.path)


def _imported(path: Path, name: str) -> Any:
    """Import a file under a name that its content determines, so that records can point into it."""
    if name in sys.modules:
        return sys.modules[name]
    place = importlib.util.spec_from_file_location(name, path, loader=_AsItIsNow(name, str(path)))
    assert place is not None
    assert place.loader is not None
    module = importlib.util.module_from_spec(place)
    sys.modules[name] = module
    try:
        place.loader.exec_module(module)
    except Exception as error:  # the user's own code may raise anything
        del sys.modules[name]
        raise ModelError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    return module
