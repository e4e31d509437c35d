"""From a source record to a network that holds exactly its weights: one function for each kind of source."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import pickle
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch

from mitozoo.errors import MitozooError, ModelError
from mitozoo.models.weights import FUNCTION, locate, weights_sha256
from mitozoo.plugins.sources import PackagedWeights, Source, TimmHub

if TYPE_CHECKING:
    from pathlib import Path

State = dict[str, torch.Tensor]
TimmSource = TimmHub | PackagedWeights

_CLASS = re.compile(r"((?:timm|torch)(?:\.\w+)+):(\w+)")
_COUNTER = "num_batches_tracked"  # of batch norm: no weight, changes no output, and older files lack it


@functools.singledispatch
def load_network(
    source: Source | Callable[..., Any], *, kwargs_override: Mapping[str, Any] | None = None
) -> tuple[torch.nn.Module, str]:
    """Return a source's network on the CPU, and the sha256 of its weights ('function' for a load function).

    Args:
        source: a source record, or a function that returns a `torch.nn.Module`.
        kwargs_override: replaces arguments that the source gives to its builder, such as `num_classes`.

    Raises:
        ModelError: the network cannot be built, or the weights are absent, others, unsafe or do not fit exactly.
    """
    if isinstance(source, Source) or not callable(source):
        raise ModelError(
            f"this version of mitozoo has no loader for a {type(source).__name__}",
            hint="Try: pip install --upgrade mitozoo",
        )
    name = f"{source.__module__}:{getattr(source, '__qualname__', type(source).__qualname__)}"
    try:
        network = source(**(kwargs_override or {}))
    except MitozooError:
        raise
    except Exception as error:  # a plugin's own code may raise anything
        raise ModelError(f"the load function {name} failed: {type(error).__name__}: {error}") from error
    if not isinstance(network, torch.nn.Module):
        raise ModelError(f"the load function {name} returned a {type(network).__name__}, not a torch.nn.Module")
    return network, FUNCTION


@load_network.register(TimmHub)
def _load_timm_hub(source: TimmHub, *, kwargs_override: Mapping[str, Any] | None = None) -> tuple[torch.nn.Module, str]:
    sha256 = weights_sha256(source)
    network = build_network(source, kwargs_override=kwargs_override)
    _load_strictly(network, read_state(locate(source)), source)
    return network, sha256


@load_network.register(PackagedWeights)
def _load_packaged(
    source: PackagedWeights, *, kwargs_override: Mapping[str, Any] | None = None
) -> tuple[torch.nn.Module, str]:
    sha256 = weights_sha256(source)
    network = build_network(source, kwargs_override=kwargs_override)
    state = read_state(locate(source))
    if source.mapping == "order":
        state = _renamed_in_order(state, source, kwargs_override)
    _load_strictly(network, state, source)
    return network, sha256


def build_network(
    source: TimmSource, *, seed: int = 0, kwargs_override: Mapping[str, Any] | None = None
) -> torch.nn.Module:
    """Return a source's untrained network; `seed` fixes its initial weights, and no global random state moves."""
    import timm

    if not timm.is_model(source.architecture):  # also keeps create_model from looking names up on the hub
        raise ModelError(f"timm {timm.__version__} has no architecture '{source.architecture}'")
    given = {**source.kwargs, **(kwargs_override or {})}
    kwargs: dict[str, Any] = {key: _resolved(value) for key, value in given.items()}
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        try:
            return timm.create_model(source.architecture, pretrained=False, **kwargs)
        except (TypeError, ValueError, RuntimeError, AssertionError) as error:
            raise ModelError(f"timm cannot build {source.architecture} with {kwargs}: {error}") from error


def read_state(path: Path) -> State:
    """Read a flat file of named tensors: safetensors, or a torch file that holds tensors and nothing else."""
    import safetensors
    import safetensors.torch

    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"refused {path}: it is damaged, or holds more than tensors, and mitozoo runs no code from a weight file",
            hint="Ask its authors for safetensors, or for a plain state dict.",
        ) from error
    except (safetensors.SafetensorError, RuntimeError, EOFError, OSError) as error:
        raise ModelError(f"cannot read the weight file {path}: {error}") from error
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        found = ", ".join(map(str, list(state)[:4])) if isinstance(state, Mapping) else type(state).__name__
        raise ModelError(f"{path} is not a flat table of named tensors (it holds {found})")
    return dict(state)


def _resolved(value: object) -> object:
    """Turn 'timm.layers:SwiGLUPacked' into the class; leave everything else as it is."""
    if isinstance(value, Mapping):
        return {key: _resolved(item) for key, item in value.items()}
    if not (isinstance(value, str) and (match := _CLASS.fullmatch(value))):
        return value
    try:
        return getattr(importlib.import_module(match[1]), match[2])
    except (ImportError, AttributeError) as error:
        raise ModelError(f"there is no class '{value}' in the installed {match[1].partition('.')[0]}") from error


def _renamed_in_order(state: State, source: TimmSource, kwargs_override: Mapping[str, Any] | None) -> State:
    """Give foreign tensors the architecture's names, pairing both lists in order.

    The architecture is laid out whole, head included, since the file lists its head too.
    """
    whole = {key: value for key, value in source.kwargs.items() if key != "num_classes"}
    override = {key: value for key, value in (kwargs_override or {}).items() if key != "num_classes"}
    with torch.device("meta"):
        layout = build_network(dataclasses.replace(source, kwargs=whole), kwargs_override=override).state_dict()
    own = [(key, value.shape) for key, value in layout.items() if not key.endswith(_COUNTER)]
    foreign = [(key, value) for key, value in state.items() if not key.endswith(_COUNTER)]
    for (key, shape), (foreign_key, value) in zip(own, foreign, strict=False):
        if shape != value.shape:
            raise ModelError(
                f"the weights of {source.architecture} do not fit in order: "
                f"{foreign_key} {tuple(value.shape)} stands where {key} {tuple(shape)} must"
            )
    if len(own) != len(foreign):
        raise ModelError(
            f"the weights of {source.architecture} do not fit in order: {len(foreign)} tensors for {len(own)}"
        )
    return {key: value for (key, _), (_, value) in zip(own, foreign, strict=True)}


def _load_strictly(network: torch.nn.Module, state: State, source: TimmSource) -> None:
    """Load exactly the network's tensors; only the classifier of a network built without one may be left over."""
    wanted = network.state_dict()
    head = _classifier_prefixes(network)
    given = {key: value for key, value in state.items() if key in wanted or not key.startswith(head)}
    faults = {
        "missing": [key for key in wanted if key not in given and not key.endswith(_COUNTER)],
        "surplus": [key for key in given if key not in wanted],
        "of another shape": [key for key in wanted if key in given and given[key].shape != wanted[key].shape],
    }
    if any(faults.values()):
        described = "; ".join(f"{fault}: {_few(keys)}" for fault, keys in faults.items() if keys)
        raise ModelError(f"the weights do not fit {source.architecture} ({described})")
    network.load_state_dict(given, strict=False)  # complete, as just checked, but for batch counters


def _classifier_prefixes(network: torch.nn.Module) -> tuple[str, ...]:
    """Return the classifier's key prefixes as timm states them, if the network was built without a classifier."""
    if getattr(network, "num_classes", None) != 0:
        return ()
    names = getattr(network, "pretrained_cfg", {}).get("classifier") or ()
    return tuple(f"{name}." for name in ([names] if isinstance(names, str) else names))


def _few(keys: list[str]) -> str:
    return ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
