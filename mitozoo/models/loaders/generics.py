"""The two questions that every kind of source answers, and how a load function answers the second."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch

from mitozoo.errors import MitozooError, ModelError
from mitozoo.models.weights import weights_sha256
from mitozoo.plugins.sources import Source

if TYPE_CHECKING:
    from pathlib import Path

Arguments = Mapping[str, Any] | None


@functools.singledispatch
def build_network(
    source: Source,
    *,
    seed: int = 0,  # noqa: ARG001 - for those that are registered
    kwargs_override: Arguments = None,  # noqa: ARG001
) -> torch.nn.Module:
    """Return a source's untrained network; `seed` fixes its initial weights, and no global random state moves.

    Raises:
        ModelError: the source has no network apart from its weights, or it cannot be built as declared.
    """
    raise ModelError(f"no network is built from a {type(source).__name__} without its weights")


@functools.singledispatch
def load_network(
    source: Source | Callable[..., Any], *, kwargs_override: Arguments = None, file: Path | None = None
) -> tuple[torch.nn.Module, str]:
    """Return a source's network on the CPU, and the sha256 of its weights ('function' for a load function).

    Args:
        source: a source record, or a function that returns a `torch.nn.Module`.
        kwargs_override: replaces arguments that the source gives to its builder, such as `num_classes`.
        file: the user's own copy of the weight file, in place of the one that the source would find.

    Raises:
        ModelError: the network cannot be built, or the weights are absent, others, unsafe or do not fit exactly.
    """
    if isinstance(source, Source) or not callable(source):
        raise ModelError(
            f"this version of mitozoo has no loader for a {type(source).__name__}",
            hint="Try: pip install --upgrade mitozoo",
        )
    sha256 = weights_sha256(source, file=file)
    return call_builder(source, kwargs_override or {}, "load function"), sha256


def call_builder(function: Callable[..., Any], kwargs: Mapping[str, Any], role: str) -> torch.nn.Module:
    """Return the network that a plugin's function builds; its failures are told by its name."""
    name = f"{function.__module__}:{getattr(function, '__qualname__', type(function).__qualname__)}"
    try:
        network = function(**kwargs)
    except MitozooError:
        raise
    except Exception as error:  # a plugin's own code may raise anything
        raise ModelError(f"the {role} {name} failed: {type(error).__name__}: {error}") from error
    if not isinstance(network, torch.nn.Module):
        raise ModelError(f"the {role} {name} returned a {type(network).__name__}, not a torch.nn.Module")
    return network
