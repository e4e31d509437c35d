"""Whether this environment has what a model declares to need, asked before anything is fetched or imported."""

from __future__ import annotations

import importlib
import importlib.metadata
import shlex
from typing import TYPE_CHECKING, Any

from mitozoo.errors import ModelError

if TYPE_CHECKING:
    from mitozoo.plugins.model_spec import ModelSpec


def require_packages(spec: ModelSpec) -> None:
    """Raise `ModelError` where a package of `spec.requires` is missing or of another version."""
    from packaging.requirements import InvalidRequirement, Requirement

    for text in spec.requires:
        try:
            wanted = Requirement(text)
        except InvalidRequirement as error:
            raise ModelError(f"model '{spec.name}' requires '{text}', which is no Python requirement") from error
        if wanted.marker and not wanted.marker.evaluate():
            continue
        try:
            found = importlib.metadata.version(wanted.name)
        except importlib.metadata.PackageNotFoundError as error:
            raise ModelError(
                f"model '{spec.name}' needs {wanted}, which is not installed", hint=install_hint(text)
            ) from error
        if not wanted.specifier.contains(found, prereleases=True):
            raise ModelError(f"model '{spec.name}' needs {wanted}, and here is {found}", hint=install_hint(text))


def import_optional(module: str, distribution: str, needed_by: str) -> Any:
    """Import a library that only some models need. Raises `ModelError` where it is not there or not whole."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ModelError(f"{needed_by} needs {distribution}: {error}", hint=install_hint(distribution)) from error


def install_hint(requirement: str) -> str:
    """Return what to type to have a package."""
    return f"Try: pip install {shlex.quote(requirement)}"
