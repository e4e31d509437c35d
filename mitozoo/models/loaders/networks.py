"""Untrained networks of timm and torchvision, built by name without touching the hub or the global random state."""

from __future__ import annotations

import contextlib
import importlib
import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from mitozoo.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mitozoo.models.loaders.state import State

_CLASS = re.compile(r"((?:timm|torch)(?:\.\w+)+):(\w+)")
_TORCHVISION_HEADS = ("fc", "classifier", "heads", "head")


def build_timm(architecture: str, kwargs: Mapping[str, Any], *, seed: int) -> torch.nn.Module:
    """Return an untrained network of timm; classes among the arguments may be text, 'timm.layers:SwiGLUPacked'."""
    import timm

    if not timm.is_model(architecture):  # also keeps create_model from looking names up on the hub
        raise ModelError(
            f"timm {timm.__version__} has no architecture '{architecture}'",
            hint="A newer timm may have it: pip install --upgrade timm",
        )
    given: Any = resolved(kwargs)
    with seeded(seed):
        try:
            return timm.create_model(architecture, pretrained=False, **given)
        except (TypeError, ValueError, RuntimeError, AssertionError) as error:
            raise ModelError(f"timm cannot build {architecture} with {given}: {error}") from error


def filtered_by_timm(network: torch.nn.Module, state: State) -> State:
    """Return a file's tensors as timm's own filter for the architecture gives them: resampled, and by timm's names."""
    module = sys.modules[type(network).__module__]
    if (timms_filter := getattr(module, "checkpoint_filter_fn", None)) is None:
        raise ModelError(f"timm has no filter for the weights of a {type(network).__name__}: resample_positions is off")
    try:
        return dict(timms_filter(dict(state), network))
    except (KeyError, AttributeError, RuntimeError, ValueError, AssertionError) as error:
        raise ModelError(f"timm cannot fit the weights to a {type(network).__name__}: {error!r}") from error


def timm_head(network: torch.nn.Module) -> tuple[str, ...]:
    """Return the classifier's key prefixes as timm states them, if the network was built without a classifier."""
    if getattr(network, "num_classes", None) != 0:
        return ()
    names = getattr(network, "pretrained_cfg", {}).get("classifier") or ()
    return tuple(f"{name}." for name in ([names] if isinstance(names, str) else names))


def build_torchvision(architecture: str, kwargs: Mapping[str, Any], *, seed: int) -> torch.nn.Module:
    """Return an untrained network of torchvision; num_classes=0 takes its classifier off, as in timm."""
    import torchvision

    given: Any = resolved(kwargs)
    headless = given.get("num_classes") == 0
    if headless:
        del given["num_classes"]
    if architecture not in torchvision.models.list_models():
        raise ModelError(f"torchvision {torchvision.__version__} has no architecture '{architecture}'")
    with seeded(seed):
        try:
            network = torchvision.models.get_model(architecture, weights=None, **given)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ModelError(f"torchvision cannot build {architecture} with {given}: {error}") from error
    if headless:
        head = torchvision_head(network)
        if not head:
            raise ModelError(f"torchvision's {architecture} has no classifier that num_classes=0 could take off")
        setattr(network, head[0].removesuffix("."), torch.nn.Identity())
    return network


def torchvision_head(network: torch.nn.Module) -> tuple[str, ...]:
    """Return the key prefix of a torchvision network's classifier."""
    return tuple(f"{name}." for name in _TORCHVISION_HEADS if hasattr(network, name))[:1]


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Fix the initial weights of what is built within; no global random state moves."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def resolved(value: object) -> Any:
    """Return plain dictionaries and lists for frozen ones, and the class for 'timm.layers:SwiGLUPacked'."""
    if isinstance(value, Mapping):
        return {key: resolved(item) for key, item in value.items()}
    if not (isinstance(value, str) and (match := _CLASS.fullmatch(value))):
        return value
    try:
        return getattr(importlib.import_module(match[1]), match[2])
    except (ImportError, AttributeError) as error:
        raise ModelError(f"there is no class '{value}' in the installed {match[1].partition('.')[0]}") from error
