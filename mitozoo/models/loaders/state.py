"""The tensors of a weight file: read without running code, and loaded whole or not at all."""

from __future__ import annotations

import argparse
import pathlib
import pickle
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from mitozoo.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

State = dict[str, torch.Tensor]

#: Of batch norm: no weight, changes no output, and older files lack it.
COUNTER = "num_batches_tracked"


def read_state(path: Path, *, entry: str = "") -> State:
    """Read named tensors: safetensors, or a torch file that holds plain data and no code.

    Args:
        path: the file.
        entry: key under which a training checkpoint keeps the weights; empty: the file is a flat table of tensors.

    Raises:
        ModelError: the file is damaged, holds code, or holds something else.
    """
    content = _read(path)
    if entry:
        if not isinstance(content, Mapping) or entry not in content:
            raise ModelError(f"{path} has no entry '{entry}' ({_holds(content)})")
        content = content[entry]
    if not isinstance(content, Mapping) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        where = f"entry '{entry}' of {path}" if entry else f"{path}"
        raise ModelError(f"{where} is not a flat table of named tensors ({_holds(content)})")
    return dict(content)


def load_strictly(network: torch.nn.Module, state: State, name: str, *, head: tuple[str, ...] = ()) -> None:
    """Load exactly the network's tensors.

    Args:
        network: receives them.
        state: by the network's own names.
        name: of the network, for messages.
        head: key prefixes of the classifier that the network was built without: it alone may be left over.

    Raises:
        ModelError: tensors are missing, surplus or of another shape.
    """
    wanted = network.state_dict()
    given = {key: value for key, value in state.items() if key in wanted or not key.startswith(head)}
    require_fit(
        name,
        missing=[key for key in wanted if key not in given and not key.endswith(COUNTER)],
        surplus=[key for key in given if key not in wanted],
        misshapen=[key for key in wanted if key in given and given[key].shape != wanted[key].shape],
    )
    network.load_state_dict(given, strict=False)  # complete, as just checked, but for batch counters


def require_fit(name: str, *, missing: Iterable[str], surplus: Iterable[str], misshapen: Iterable[str]) -> None:
    """Raise `ModelError`, with the first few keys, unless a file's tensors are the network's."""
    faults = {"missing": list(missing), "surplus": list(surplus), "of another shape": list(misshapen)}
    if any(faults.values()):
        described = "; ".join(f"{fault}: {_few(keys)}" for fault, keys in faults.items() if keys)
        raise ModelError(f"the weights do not fit {name} ({described})")


def _read(path: Path) -> Any:
    import safetensors.torch

    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        # what training scripts keep beside their weights: classes that hold plain data, and do nothing when made
        _require_no_bomb(path)
        with torch.serialization.safe_globals([argparse.Namespace, pathlib.PosixPath, *_numpy_scalars()]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"refused {path}: it is damaged, or holds more than tensors, and mitozoo runs no code from a weight file",
            hint="Ask its authors for safetensors, or for a plain state dict.",
        ) from error
    except ModelError:
        raise
    except Exception as error:  # a damaged file may make its reader raise anything
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ModelError(f"cannot read the weight file {path}: {reason}") from error


def _require_no_bomb(path: Path) -> None:
    """Refuse an archive that is more than it weighs: torch stores tensors as they are, each in its own place."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    if any(member.compress_type != zipfile.ZIP_STORED for member in members) or (
        sum(member.file_size for member in members) > path.stat().st_size
    ):
        raise ModelError(f"refused {path}: it unpacks to more than its size, which no file that torch writes does")


def _numpy_scalars() -> list[Any]:
    """Return what a pickled NumPy number is made of, under the names of NumPy 1 and 2."""
    import numpy as np

    scalar = np.float64(0).__reduce__()[0]
    kinds = {type(np.dtype(kind)) for kind in ("f8", "f4", "i8", "i4", "?")}
    return [(scalar, "numpy.core.multiarray.scalar"), (scalar, "numpy._core.multiarray.scalar"), np.dtype, *kinds]


def _holds(content: object) -> str:
    found = ", ".join(map(str, list(content)[:4])) if isinstance(content, Mapping) else type(content).__name__
    return f"it holds {found}"


def _few(keys: list[str]) -> str:
    return ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
