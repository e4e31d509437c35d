"""The image tower of open_clip models; their text tower is neither built nor loaded."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

import torch

from mitozoo.errors import ModelError
from mitozoo.models.loaders.generics import Arguments, build_network, load_network
from mitozoo.models.loaders.networks import resolved, seeded
from mitozoo.models.loaders.state import load_strictly, read_state
from mitozoo.models.requirements import import_optional
from mitozoo.models.weights import locate, weights_sha256
from mitozoo.plugins.sources import OpenClipHub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_IMAGE = "visual."
#: What open_clip names its text tower's tensors, and the temperature between both towers.
_TEXT = (
    "text.", "transformer.", "token_embedding.", "positional_embedding", "text_projection", "ln_final.", "attn_mask",
    "logit_scale", "logit_bias",
)  # fmt: skip
#: The smallest text tower there is: it is built because open_clip builds two, and dropped.
_NO_TEXT = {"context_length": 1, "vocab_size": 1, "width": 1, "heads": 1, "layers": 1}


@build_network.register(OpenClipHub)
def _build(source: OpenClipHub, *, seed: int = 0, kwargs_override: Arguments = None) -> torch.nn.Module:
    open_clip = import_optional("open_clip", "open_clip_torch", source.repo)
    if source.architecture not in open_clip.list_models():  # also keeps create_model from looking on the hub
        raise ModelError(
            f"open_clip {open_clip.__version__} has no architecture '{source.architecture}'",
            hint="A newer open_clip may have it: pip install --upgrade open_clip_torch",
        )
    kwargs = {"text_cfg": _NO_TEXT, **resolved(source.kwargs), **(kwargs_override or {})}
    with seeded(seed), _without_warnings():
        try:
            both = open_clip.create_model(
                source.architecture, pretrained=None, pretrained_image=False, pretrained_text=False,
                device=torch.get_default_device(), **kwargs,
            )  # fmt: skip
        except (TypeError, ValueError, RuntimeError, AssertionError) as error:
            raise ModelError(f"open_clip cannot build {source.architecture} with {kwargs}: {error}") from error
    return both.visual  # encode_image(x, normalize=False) is visual(x)


@load_network.register(OpenClipHub)
def _load(
    source: OpenClipHub, *, kwargs_override: Arguments = None, file: Path | None = None
) -> tuple[torch.nn.Module, str]:
    sha256 = weights_sha256(source, file=file)
    network = build_network(source, kwargs_override=kwargs_override)
    path = locate(source, file=file)
    state = {key: value for key, value in read_state(path).items() if not key.startswith(_TEXT)}
    load_strictly(network, {key.removeprefix(_IMAGE): value for key, value in state.items()}, source.architecture)
    return network, sha256


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    """Keep open_clip from telling, through the root logger, that no weights were loaded: they are loaded next."""
    root = logging.getLogger()
    silence = logging.Filter("nothing of the root logger bears this name")
    root.addFilter(silence)
    try:
        yield
    finally:
        root.removeFilter(silence)
