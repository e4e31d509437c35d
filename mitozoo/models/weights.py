"""Where an encoder's weight file lies on this machine, and whether it is the one that its source declares."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mitozoo import storage
from mitozoo.errors import ModelError
from mitozoo.models.download import download
from mitozoo.models.hub import OWN_FOLDER, hub_file, inside, own_file, place_hint
from mitozoo.plugins.sources import Checkpoint, OpenClipHub, PackagedWeights, Source, TimmHub, TransformersHub

if TYPE_CHECKING:
    from collections.abc import Callable

    from mitozoo.plugins.model_spec import ModelSpec

#: Stands where a sha256 would, for a load function: its weights are its own affair.
FUNCTION = "function"


def model_weights_sha256(spec: ModelSpec, *, file: Path | None = None) -> str:
    """Return the sha256 of a model's weights, and name the model where that fails. See `weights_sha256`."""
    try:
        return weights_sha256(spec.load, file=file)
    except ModelError as error:
        page = f"Its authors' page: {spec.reference}"
        raise ModelError(
            f"model '{spec.name}': {error.message}", hint=f"{error.hint}\n{page}" if error.hint else page
        ) from error


def weights_sha256(source: Source | Callable[..., Any], *, file: Path | None = None) -> str:
    """Return the sha256 of a source's weight file.

    For a load function, or a callable record, it is that of the file which its attribute `weights` names (a path,
    relative to the Python file that defines it), else 'function'.

    Args:
        source: a source record or a load function.
        file: the user's own copy of the weight file, in place of the one that the source would find.

    Raises:
        ModelError: there is no such file, or it is not the declared one.
    """
    if not isinstance(source, Source):
        return _function_weights(source, file)
    path = locate(source, file=file)
    measured, declared = storage.content_id(path), getattr(source, "sha256", None)
    if declared is not None and measured != declared:
        raise ModelError(
            f"refused {path}: its sha256 is {measured}, but the model declares {declared}",
            hint="The file is damaged or another version: delete it and run the same command again."
            if file is None
            else "Weights of your own are another model: give them a spec of their own (see: mitozoo new model NAME), "
            "or say --model FILE.py:NAME.",
        )
    return measured


def locate(source: Source, *, file: Path | None = None) -> Path:
    """Return the weight file of a source, fetched first where it must be.

    Raises:
        ModelError: the file is not here and cannot be fetched; says what to install, ask for or put where.
    """
    if file is None:
        return _locate(source)
    if not file.is_file():
        raise ModelError(f"there is no weight file {file}", hint="Give --weights the path of a file.")
    return file


@functools.singledispatch
def _locate(source: Source) -> Path:
    raise ModelError(
        f"this version of mitozoo knows no weight file for a {type(source).__name__}",
        hint="Try: pip install --upgrade mitozoo",
    )


@_locate.register(TimmHub)
@_locate.register(TransformersHub)
@_locate.register(OpenClipHub)
def _in_hub(source: TimmHub | TransformersHub | OpenClipHub) -> Path:
    return hub_file(source.repo, source.filename, source.revision)


@_locate.register(PackagedWeights)
def _in_package(source: PackagedWeights) -> Path:
    """Find the file in an installed package's folder, without importing the package."""
    if (own := own_file(f"{source.package}/{source.path}")) is not None:
        return own
    distribution = source.package.replace("_", "-")
    package = importlib.util.find_spec(source.package) if source.package.isidentifier() else None
    if package is None or not package.submodule_search_locations:
        raise ModelError(f"the package {source.package} is not installed", hint=f"Try: pip install {distribution}")
    folder = Path(package.submodule_search_locations[0])
    path = inside(folder, source.path)
    if not path.is_file():
        raise ModelError(
            f"the package {source.package} holds no file {source.path}",
            hint=f"Try: pip install --force-reinstall {distribution}",
        )
    return path


@_locate.register(Checkpoint)
def _published(source: Checkpoint) -> Path:
    """Find a checkpoint in a hub repository, at its address, or where the user put it."""
    if source.repo:
        return hub_file(source.repo, source.filename, source.revision)
    if (own := own_file(source.filename)) is not None:
        return own
    if not source.url:
        raise ModelError(
            f"{source.filename} has no address that a program can fetch it from",
            hint=f"Fetch it by hand from its authors, put it at DIR/{source.filename} and set {OWN_FOLDER}=DIR.",
        )
    address = hashlib.sha256(source.url.encode()).hexdigest()[:16]  # two models may name their files alike
    kept = inside(storage.home() / "weights" / address, source.filename)
    if not kept.is_file():
        try:
            download(source.url, kept, sha256=source.sha256)
        except ModelError as error:
            raise ModelError(error.message, hint=error.hint or place_hint(source.filename)) from error
    return kept


def _function_weights(function: Callable[..., Any], file: Path | None) -> str:
    if file is not None:
        raise ModelError(
            "this model is loaded by a function, which reads its weights itself: --weights cannot replace them"
        )
    declared = getattr(function, "weights", None)
    if declared is None:
        return FUNCTION
    code = function if inspect.isroutine(function) or inspect.isclass(function) else type(function)  # a callable record
    if not isinstance(declared, str | Path):
        raise ModelError(f"the load function {code.__qualname__} names its weights as {declared!r}, which is no path")
    path = Path(inspect.getfile(code)).parent / declared
    if not path.is_file():
        raise ModelError(f"there is no weight file {path}, which the load function {code.__qualname__} names")
    return storage.content_id(path)
