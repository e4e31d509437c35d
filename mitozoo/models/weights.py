"""Where an encoder's weight file lies on this machine, and whether it is the one that its source declares."""

from __future__ import annotations

import functools
import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mitozoo import storage
from mitozoo.errors import ModelError
from mitozoo.plugins.sources import PackagedWeights, Source, TimmHub

if TYPE_CHECKING:
    from collections.abc import Callable

#: Stands where a sha256 would, for a load function: its weights are its own affair.
FUNCTION = "function"


@functools.singledispatch
def locate(source: Source) -> Path:
    """Return the weight file of a source, fetched first where it must be.

    Raises:
        ModelError: the file is not here and cannot be fetched; says what to install, ask for or put where.
    """
    raise ModelError(
        f"this version of mitozoo knows no weight file for a {type(source).__name__}",
        hint="Try: pip install --upgrade mitozoo",
    )


def weights_sha256(source: Source | Callable[..., Any]) -> str:
    """Return the sha256 of a source's weight file; 'function' for a load function.

    Raises:
        ModelError: there is no such file, or it is not the declared one.
    """
    if not isinstance(source, Source):
        return FUNCTION
    path = locate(source)
    measured, declared = storage.content_id(path), getattr(source, "sha256", None)
    if declared is not None and measured != declared:
        raise ModelError(
            f"refused {path}: its sha256 is {measured}, but the model declares {declared}",
            hint="The file is damaged or another version: delete it and run the same command again.",
        )
    return measured


@locate.register(PackagedWeights)
def _in_package(source: PackagedWeights) -> Path:
    """Find the file in an installed package's folder, without importing the package."""
    distribution = source.package.replace("_", "-")
    package = importlib.util.find_spec(source.package) if source.package.isidentifier() else None
    if package is None or not package.submodule_search_locations:
        raise ModelError(f"the package {source.package} is not installed", hint=f"Try: pip install {distribution}")
    folder = Path(package.submodule_search_locations[0])
    path = _inside(folder, source.path)
    if not path.is_file():
        raise ModelError(
            f"the package {source.package} holds no file {source.path}",
            hint=f"Try: pip install --force-reinstall {distribution}",
        )
    return path


@locate.register(TimmHub)
def _in_hub(source: TimmHub) -> Path:
    """Find the file where the user put it, else in the hub's local cache, else on the hub."""
    own_folder = os.environ.get("MITOZOO_WEIGHTS")
    wanted = f"{source.repo}/{source.filename}"
    if own_folder and (own := _inside(Path(own_folder).expanduser(), wanted)).is_file():
        return own

    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import GatedRepoError

    try:  # a pinned commit that is in the cache is answered from there, without a connection
        return Path(hf_hub_download(source.repo, source.filename, revision=source.revision))
    except GatedRepoError as error:
        raise ModelError(
            f"{source.repo} is gated: its owners grant access to each user, and not yet to you",
            hint=f"Ask for access at {constants.ENDPOINT}/{source.repo}, then type: hf auth login",
        ) from error
    except Exception as error:  # the client's own errors, those of its HTTP library, and a full disk
        reason = str(error.__cause__ or error).strip().partition("\n")[0] or type(error).__name__
        raise ModelError(
            f"cannot fetch {source.filename} of {source.repo} at revision {source.revision}: {reason}",
            hint=f"Without a connection, put the file at DIR/{wanted} and set MITOZOO_WEIGHTS=DIR"
            + (f" (now {own_folder}, where it is not)." if own_folder else "."),
        ) from error


def _inside(folder: Path, relative: str) -> Path:
    path = (folder / relative).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ModelError(f"the weight file {relative} would lie outside {folder}")
    return path
