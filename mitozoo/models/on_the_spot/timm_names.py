"""`timm:NAME`: an architecture and weight tag of timm, with timm's own preprocessing and pooling."""

from __future__ import annotations

import dataclasses
import difflib
import math
import sys
from typing import TYPE_CHECKING, Any

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
from mitozoo.plugins.model_spec import ModelSpec
from mitozoo.plugins.preprocessing import Preprocessing
from mitozoo.plugins.sources import TimmHub

if TYPE_CHECKING:
    from collections.abc import Mapping

HUB = "https://huggingface.co"


def describe(name: str) -> tuple[ModelSpec, str, str]:
    """Return the spec of a timm model, who offers it, and in which version."""
    import timm

    config = _config(name)
    repo = str(config["hf_hub_id"] or "")
    if not repo or config["custom_load"]:
        raise ModelError(f"timm's weights of '{name}' lie in no hub repository as named tensors", hint=WRITE_A_PLUGIN)
    held = repository(repo)
    source = TimmHub(
        architecture=config["architecture"], repo=repo, revision=held.revision,
        filename=config["hf_hub_filename"] or weight_file(held), sha256=None, kwargs={"num_classes": 0},
    )  # fmt: skip
    spec = timm_spec(source, config, name=short_name("timm", name), title=f"timm {name}", license=config["license"])
    return spec, "timm", timm.__version__


def timm_spec(source: TimmHub, config: Mapping[str, Any], *, name: str, title: str, license: str | None) -> ModelSpec:  # noqa: A002
    """Return the spec of a timm network whose pretrained configuration is given."""
    preprocessing = timm_preprocessing(config)
    shown = show(source, preprocessing.size)
    pooling, embed_dim = pooling_of(shown)
    if hasattr(sys.modules[type(shown.network).__module__], "checkpoint_filter_fn"):  # as timm itself loads it
        source = dataclasses.replace(source, resample_positions=True)
    return ModelSpec(
        name=name, title=f"{title}; preprocessing and pooling are timm's own", load=source,
        preprocessing=preprocessing, embed_dim=embed_dim, pooling=pooling, prefix_tokens=shown.prefix_tokens,
        precision="fp32", license=license or "unknown", reference=f"{HUB}/{source.repo}",
        parameters=shown.parameters, unverified=("preprocessing", "pooling", "precision", "license"),
    )  # fmt: skip


def timm_preprocessing(config: Mapping[str, Any]) -> Preprocessing:
    """Return a pretrained configuration as a record: timm resizes to size / crop_pct, rounded down."""
    size = square_side(config.get("input_size"), "timm's input_size")
    resize: Any = {"center": "short-side", "squash": "square"}.get(config.get("crop_mode") or "center")
    if resize is None:
        raise ModelError(f"timm's crop_mode is '{config['crop_mode']}'; mitozoo does not pad", hint=WRITE_A_PLUGIN)
    try:
        return Preprocessing(
            size=size, resize=resize, resize_to=math.floor(size / config["crop_pct"]), antialias=True,
            interpolation=known_interpolation(config["interpolation"], "timm's interpolation"),
            mean=tuple(config["mean"]), std=tuple(config["std"]), mpp=None, mpp_basis="none",
        )  # fmt: skip
    except (KeyError, TypeError) as error:
        raise ModelError(f"timm's configuration states no usable {error}", hint=WRITE_A_PLUGIN) from error


def _config(name: str) -> dict[str, Any]:
    """Return timm's pretrained configuration for 'architecture' or 'architecture.tag'."""
    import timm

    known = timm.list_pretrained()
    if name not in known and name not in {one.partition(".")[0] for one in known}:  # without a tag: timm's first
        close = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
        raise UnknownNameError(
            f"timm {timm.__version__} has no weights called '{name}'",
            hint=f"Did you mean timm:{', timm:'.join(close)}?" if close else "See: timm.list_pretrained()",
        )
    config = timm.get_pretrained_cfg(name)
    assert config is not None
    return dataclasses.asdict(config)
