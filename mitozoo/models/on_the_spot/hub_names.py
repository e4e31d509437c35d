"""`hf:ORG/REPO` or `hf:ORG/REPO@REVISION`: a timm or transformers model, as its repository describes itself."""

from __future__ import annotations

import importlib.metadata
import inspect
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mitozoo.errors import ModelError
from mitozoo.models.hub import Repository, hub_file, repository
from mitozoo.models.on_the_spot.describing import (
    WRITE_A_PLUGIN,
    known_interpolation,
    pooling_of,
    short_name,
    show,
    square_side,
    weight_file,
)
from mitozoo.models.on_the_spot.timm_names import HUB, timm_spec
from mitozoo.models.permissions import require_remote_code
from mitozoo.models.requirements import import_optional
from mitozoo.plugins.model_spec import ModelSpec
from mitozoo.plugins.preprocessing import Preprocessing
from mitozoo.plugins.sources import TimmHub, TransformersHub

if TYPE_CHECKING:
    from pathlib import Path

PROCESSOR = "preprocessor_config.json"
_PIL_FILTERS = {2: "bilinear", 3: "bicubic"}


def describe(name: str) -> tuple[ModelSpec, str, str]:
    """Return the spec of a repository's model, the library that builds it, and its version."""
    repo, _, revision = name.partition("@")
    if repo.count("/") != 1 or not all(repo.split("/")):
        raise ModelError(f"'{repo}' is no repository", hint="Say --model hf:ORGANISATION/NAME.")
    held = repository(repo, revision or None)
    config = _json(hub_file(repo, "config.json", held.revision))
    library = "timm" if "architecture" in config else "transformers"
    spec = (_timm if library == "timm" else _transformers)(held, config)
    return spec, library, importlib.metadata.version(library)


def _timm(held: Repository, config: dict[str, Any]) -> ModelSpec:
    """Describe a repository that timm wrote: architecture, arguments, and a pretrained configuration."""
    source = TimmHub(
        architecture=config["architecture"], repo=held.name, revision=held.revision, filename=weight_file(held),
        sha256=None,
        kwargs={**config.get("model_args", {}), "num_classes": 0}
        | ({"global_pool": config["global_pool"]} if "global_pool" in config else {}),
    )  # fmt: skip
    pretrained = config.get("pretrained_cfg") or config  # older files are flat
    return timm_spec(
        source, pretrained, name=short_name("hf", held.name), title=held.name, license=pretrained.get("license")
    )


def _transformers(held: Repository, config: dict[str, Any]) -> ModelSpec:
    """Describe a repository that transformers wrote."""
    transformers = import_optional("transformers", "transformers", held.name)
    remote = "AutoModel" in config.get("auto_map", {}) and config.get("model_type") not in transformers.CONFIG_MAPPING
    if remote:
        require_remote_code(held.name, held.revision)
    preprocessing = _preprocessing(held, transformers)
    source = TransformersHub(
        repo=held.name, revision=held.revision, filename=weight_file(held), sha256=None,
        model_class="transformers:AutoModel", kwargs={}, output="last_hidden_state", trust_remote_code=remote,
    )  # fmt: skip
    if config.get("vision_config") and config.get("text_config"):
        source = replace(source, output="image_features")
    shown = show(source, preprocessing.size)
    if "add_pooling_layer" in inspect.signature(type(shown.network.model).__init__).parameters:
        source = replace(source, kwargs={"add_pooling_layer": False})  # the tokens are taken, not what a pooler makes
        shown = show(source, preprocessing.size)
    pooling, embed_dim = pooling_of(shown)
    return ModelSpec(
        name=short_name("hf", held.name), title=f"{held.name}; preprocessing is the repository's, pooling a guess",
        load=source, preprocessing=preprocessing, embed_dim=embed_dim, pooling=pooling,
        prefix_tokens=shown.prefix_tokens, precision="fp32", license="unknown", reference=f"{HUB}/{held.name}",
        parameters=shown.parameters, unverified=("preprocessing", "pooling", "precision", "license"),
        side_effects="runs the repository's own code" if remote else "",
    )  # fmt: skip


def _preprocessing(held: Repository, transformers: Any) -> Preprocessing:
    """Return what the repository's image processor does, with the defaults of its class filled in."""
    if PROCESSOR not in held.files:
        raise ModelError(f"{held.name} has no {PROCESSOR}, so nothing says how it sees images", hint=WRITE_A_PLUGIN)
    stated = _json(hub_file(held.name, PROCESSOR, held.revision))
    kind = str(stated.get("image_processor_type") or stated.get("feature_extractor_type") or "")
    kind = kind.removesuffix("Fast").replace("FeatureExtractor", "ImageProcessor")
    if (processor_class := getattr(transformers, kind, None)) is None:
        raise ModelError(f"transformers does not know the image processor '{kind}' of {held.name}", hint=WRITE_A_PLUGIN)
    try:
        processor = processor_class.from_dict(stated)
    except (ImportError, TypeError, ValueError) as error:
        raise ModelError(f"transformers cannot make the image processor of {held.name}: {error}") from error
    if processor.do_rescale and abs(processor.rescale_factor * 255 - 1) > 1e-6:
        raise ModelError(f"{held.name} scales pixels by {processor.rescale_factor}, not by 1/255", hint=WRITE_A_PLUGIN)
    crop = getattr(processor, "crop_size", None) if getattr(processor, "do_center_crop", False) else None
    resize, resize_to = _resize(processor.size, held.name)
    size = _sides(crop, held.name)[1] if crop else resize_to
    return Preprocessing(
        size=size, resize=resize, resize_to=resize_to, antialias=True, mpp=None, mpp_basis="none",
        interpolation=known_interpolation(_filter(processor.resample), f"the resampling of {held.name}"),
        mean=tuple(processor.image_mean) if processor.do_normalize else (0.0,) * 3,
        std=tuple(processor.image_std) if processor.do_normalize else (1.0,) * 3,
    )  # fmt: skip


def _resize(stated: Any, repo: str) -> tuple[Any, int]:
    kind, side = _sides(stated, repo)
    return ("short-side" if kind == "shortest_edge" else "square"), side


def _sides(stated: Any, repo: str) -> tuple[str, int]:
    """Return 'shortest_edge' or 'both', and the side, of a size that is a number or a table."""
    sizes = {key: value for key, value in dict(stated).items() if value} if not isinstance(stated, int) else {}
    if "shortest_edge" in sizes:
        return "shortest_edge", int(sizes["shortest_edge"])
    what = f"the size of {repo}"
    return "both", square_side((sizes.get("height"), sizes.get("width")) if sizes else stated, what)


def _filter(stated: Any) -> Any:
    """Return the name of a PIL filter, given as its number or by name."""
    value = getattr(stated, "value", stated)
    return _PIL_FILTERS.get(value, value)


def _json(path: Path) -> dict[str, Any]:
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot read {path}: {error}") from error
    if not isinstance(stated, dict):
        raise ModelError(f"cannot read {path}: it holds no object")
    return stated
