"""`clip:ARCHITECTURE/TAG`: the image tower of a pretrained model that open_clip knows."""

from __future__ import annotations

import difflib
from typing import Any

from mitozoo.errors import ModelError, UnknownNameError
from mitozoo.models.hub import repository
from mitozoo.models.on_the_spot.describing import (
    WRITE_A_PLUGIN,
    known_interpolation,
    pooling_of,
    short_name,
    show,
    square_side,
    weight_file,
)
from mitozoo.models.on_the_spot.timm_names import HUB
from mitozoo.models.requirements import import_optional
from mitozoo.plugins.model_spec import ModelSpec
from mitozoo.plugins.preprocessing import Preprocessing
from mitozoo.plugins.sources import OpenClipHub

_RESIZE = {"shortest": "short-side", "squash": "square"}


def describe(name: str) -> tuple[ModelSpec, str, str]:
    """Return the spec of an open_clip model, who offers it, and in which version."""
    open_clip = import_optional("open_clip", "open_clip_torch", f"clip:{name}")
    architecture, _, tag = name.partition("/")
    stated = open_clip.get_pretrained_cfg(architecture, tag)
    if not stated:
        known = open_clip.list_pretrained()
        close = difflib.get_close_matches(name, [f"{one}/{other}" for one, other in known], n=3, cutoff=0.6)
        raise UnknownNameError(
            f"open_clip {open_clip.__version__} has no weights called '{name}'",
            hint=f"Did you mean clip:{', clip:'.join(close)}?" if close else "See: open_clip.list_pretrained()",
        )
    if not stated.get("hf_hub"):
        raise ModelError(f"open_clip's weights of '{name}' lie in no hub repository", hint=WRITE_A_PLUGIN)
    organisation, short, *filename = stated["hf_hub"].split("/")
    held = repository(f"{organisation}/{short}")
    source = OpenClipHub(
        architecture=architecture, repo=held.name, revision=held.revision, sha256=None,
        filename="/".join(filename) or weight_file(held), kwargs=_activation(open_clip, architecture, stated),
    )  # fmt: skip
    preprocessing = _preprocessing(open_clip.get_model_config(architecture), stated)
    shown = show(source, preprocessing.size)
    pooling, embed_dim = pooling_of(shown)
    spec = ModelSpec(
        name=short_name("clip", architecture, tag),
        title=f"open_clip {architecture} {tag}; preprocessing is open_clip's own", load=source,
        preprocessing=preprocessing, embed_dim=embed_dim, pooling=pooling, prefix_tokens=shown.prefix_tokens,
        precision="fp32", license="unknown", reference=f"{HUB}/{held.name}", parameters=shown.parameters,
        requires=("open_clip_torch",), unverified=("preprocessing", "precision", "license"),
    )  # fmt: skip
    return spec, "open_clip_torch", open_clip.__version__


def _activation(open_clip: Any, architecture: str, stated: dict[str, Any]) -> dict[str, bool]:
    """Ask for QuickGELU where the weights were trained with it and the architecture's name does not say so."""
    named = bool(open_clip.get_model_config(architecture).get("quick_gelu"))
    return {"force_quick_gelu": True} if stated.get("quick_gelu") and not named else {}


def _preprocessing(design: dict[str, Any], stated: dict[str, Any]) -> Preprocessing:
    size = square_side(design["vision_cfg"].get("image_size", 224), "open_clip's image_size")
    resize: Any = _RESIZE.get(stated.get("resize_mode", "shortest"))
    if resize is None:
        raise ModelError(f"open_clip's resize_mode is '{stated['resize_mode']}'", hint=WRITE_A_PLUGIN)
    return Preprocessing(
        size=size, resize=resize, resize_to=size, antialias=True,
        interpolation=known_interpolation(stated.get("interpolation", "bicubic"), "open_clip's interpolation"),
        mean=tuple(stated["mean"]), std=tuple(stated["std"]), mpp=None, mpp_basis="none",
    )  # fmt: skip
