"""slide2vec's tile encoders, its own and those of its providers (entry points `slide2vec.encoders`), as models.

Whatever slide2vec knows, it knows once it is imported, and it imports torch. So it is asked in another process, once
for each set of installed versions, and what it said is kept in a listing below MITOZOO_HOME.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import sys
from typing import TYPE_CHECKING, Any

from mitozoo import MitozooError, ModelSpec, Preprocessing, hookimpl
from mitozoo.plugins.record import Record, record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import torch

GROUP = "slide2vec.encoders"
HOME_PAGE = "https://github.com/clemsgrs/slide2vec"
COMMAND = "python -m mitozoo_plugin_slide2vec"
SECONDS = 25  # less than mitozoo gives a plugin, so that the sentence below is what the user reads
TOLERANCE = 1 / 255  # mean difference on noise: rounding stays far below it, another filter or step far above


@record
class Slide2vecEncoder(Record):
    """Loads one tile encoder as slide2vec does; its weights are slide2vec's affair.

    Attributes:
        encoder: slide2vec's name of it.
        output: slide2vec's name of the embedding, where the encoder gives several.
        versions: 'name version' of slide2vec and of the encoder's provider: either can change a number.
        preprocessing: what the listing says, compared with the encoder's own transform once that is loaded.
    """

    encoder: str
    output: str
    versions: tuple[str, ...]
    preprocessing: Preprocessing

    def __call__(self) -> torch.nn.Module:
        """Return a network of float (n, 3, size, size) to (n, embed_dim): slide2vec's `encode_tiles`."""
        import torch
        from slide2vec.encoders import encoder_registry

        encoder = encoder_registry.require(self.encoder)(output_variant=self.output).to("cpu")
        if read_preprocessing(encoder.get_transform(), encoder_registry.info(self.encoder)) != self.preprocessing:
            raise MitozooError(
                f"slide2vec's {self.encoder} transforms images in another way than its listing says",
                hint=f"Try: {COMMAND} {self.encoder}",
            )

        class TileNetwork(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.encoder = encoder
                own = {name: part for name, part in vars(encoder).items() if isinstance(part, torch.nn.Module)}
                self.parts = torch.nn.ModuleDict(own)  # so that mitozoo can train and count them

            def forward(self, images: torch.Tensor) -> torch.Tensor:
                if self.encoder.device != images.device:
                    self.encoder.to(images.device)
                return self.encoder.encode_tiles(images)

        return TileNetwork()


@hookimpl
def mitozoo_models() -> list[ModelSpec]:
    """Offer every tile encoder whose preprocessing is known; none where slide2vec is not installed."""
    if not (versions := installed()):
        return []
    file = listing_file(versions)
    if not file.is_file():
        _ask_in_another_process(file)
    listing = json.loads(file.read_text(encoding="utf-8"))
    if listing["failure"]:
        raise MitozooError(f"slide2vec cannot be asked: {listing['failure']}", hint=f"Mend it, then try: {COMMAND}")
    return [spec_of(entry) for entry in listing["encoders"].values()]


def installed() -> dict[str, str]:
    """Return the top-level package of slide2vec and of each of its providers -> 'name version'; empty without it."""
    try:
        packages = {"slide2vec": f"slide2vec {importlib.metadata.version('slide2vec')}"}
    except importlib.metadata.PackageNotFoundError:
        return {}
    providers = [one for one in importlib.metadata.entry_points(group=GROUP) if one.dist]
    return packages | {one.module.partition(".")[0]: f"{one.dist.name} {one.dist.version}" for one in providers}


def listing_file(versions: dict[str, str]) -> Path:
    """Return where the listing of these versions is kept."""
    import hashlib

    from mitozoo.storage import home

    digest = hashlib.sha256(json.dumps(sorted(versions.items())).encode()).hexdigest()
    return home() / "slide2vec" / f"{digest[:16]}.json"


def spec_of(entry: dict[str, Any]) -> ModelSpec:
    """Return the model that one entry of a listing describes."""
    name, source, preprocessing = entry["encoder"], entry["source"], Preprocessing(**entry["preprocessing"])
    return ModelSpec(
        name=f"slide2vec-{name.lower()}",
        title=f"{name} through slide2vec",
        load=Slide2vecEncoder(
            encoder=name, output=entry["output"], versions=entry["versions"], preprocessing=preprocessing
        ),
        preprocessing=preprocessing,
        embed_dim=entry["embed_dim"], pooling="network", prefix_tokens=0, precision=entry["precision"],
        license="unknown",  # slide2vec does not say
        reference=f"https://huggingface.co/{source}" if re.fullmatch(r"[\w.-]+/[\w.-]+", source) else HOME_PAGE,
        requires=("slide2vec>=7.1,<8",),
        side_effects="imports slide2vec and its providers; slide2vec fetches the weights",
        unverified=("license", "gated", "reference", "precision", "preprocessing.mpp"),
    )  # fmt: skip


def read_preprocessing(transform: Callable[..., Any], info: dict[str, Any]) -> Preprocessing:
    """Return slide2vec's own transform as plain values, once they gave the same pixels on square tiles of noise.

    Raises:
        MitozooError: it does something that these values cannot tell.
    """
    spacing, basis = info.get("default_spacing_um") or info.get("supported_spacing_um"), "stated"
    if isinstance(spacing, list):
        spacing, basis = min(spacing), "convention"  # the finest of several: cells are small
    preprocessing = Preprocessing(**_step_values(transform), mpp=spacing, mpp_basis=basis if spacing else "none")
    _require_same_pixels(transform, preprocessing)
    return preprocessing


def _step_values(transform: Any) -> dict[str, Any]:
    """Read a torchvision pipeline; an image processor of transformers is none, and is refused."""
    steps = {type(step).__name__: step for step in getattr(transform, "transforms", [transform])}
    resize, crop, normalise = (steps.get(name) for name in ("Resize", "CenterCrop", "Normalize"))
    if normalise is None or (resize is None and crop is None):
        raise MitozooError(f"its transform neither resizes nor crops, or does not normalise: {', '.join(steps)}")
    sides = [] if resize is None else [resize.size] if isinstance(resize.size, int) else list(resize.size)
    size = int(crop.size[0] if crop else sides[0])
    return {
        "size": size,
        "resize": ("none", "short-side", "square")[len(sides)],
        "resize_to": int(sides[0]) if sides else size,
        "interpolation": getattr(resize.interpolation, "value", resize.interpolation) if resize else "bilinear",
        "antialias": resize is None or resize.antialias is not False,
        "mean": [float(value) for value in normalise.mean],
        "std": [float(value) for value in normalise.std],
    }


def _require_same_pixels(transform: Callable[..., Any], preprocessing: Preprocessing) -> None:
    import numpy as np
    import torch
    from PIL import Image

    from mitozoo.models.preprocessing import authors_transform, normalise

    for side in (preprocessing.resize_to + 61, preprocessing.resize_to):
        pixels = np.random.default_rng(0).integers(64, 192, (side, side, 3), dtype=np.uint8)  # no filter leaves 0..255
        tile = Image.fromarray(pixels)
        ours = normalise(torch.from_numpy(authors_transform(preprocessing)(tile).copy())[None], preprocessing)[0]
        theirs = torch.as_tensor(transform(tile))
        std = torch.tensor(preprocessing.std).view(3, 1, 1)
        if theirs.shape != ours.shape or float(((theirs - ours) * std).abs().mean()) > TOLERANCE:
            raise MitozooError("its transform does more than resizing, cropping and normalising")


def _ask_in_another_process(file: Path) -> None:
    """Have the listing made; where that fails, keep the reason in its place, so that no later command waits again."""
    import os
    import subprocess

    command = [sys.executable, "-m", "mitozoo_plugin_slide2vec"]
    offline = os.environ | {"HF_HUB_OFFLINE": "1"}
    try:
        done = subprocess.run(  # noqa: S603 (its own interpreter, and no argument from outside)
            command, env=offline, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        failure = "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["it died"])[-1]
    except subprocess.TimeoutExpired:
        failure = f"it did not answer within {SECONDS} s"
    if failure or not file.is_file():
        _write(file, {"failure": failure or "it wrote no listing", "encoders": {}, "left_out": {}})
    elif left_out := json.loads(file.read_text(encoding="utf-8"))["left_out"]:
        print(f"mitozoo: left out {len(left_out)} encoders of slide2vec; why: {COMMAND}", file=sys.stderr)  # noqa: T201


def _write(file: Path, listing: dict[str, Any]) -> None:
    from mitozoo.storage import write_whole

    with write_whole(file) as unfinished:
        unfinished.write_text(json.dumps(listing, indent=1), encoding="utf-8")


def describe(name: str, *, load: bool) -> dict[str, Any]:
    """Return a listing's entry for one encoder, from its class alone or with its weights loaded (and fetched)."""
    from slide2vec.encoders import encoder_registry

    encoder_class, info = encoder_registry.require(name), encoder_registry.info(name)
    output = info["default_output_variant"]
    encoder = encoder_class(output_variant=output) if load else encoder_class.__new__(encoder_class)
    try:
        transform = encoder.get_transform()
    except Exception as error:
        if load:
            raise
        raise MitozooError(f"its transform shows once its weights are loaded; try: {COMMAND} {name}") from error
    preprocessing = read_preprocessing(transform, info).to_json()
    del preprocessing["record"]
    versions, package = installed(), encoder_class.__module__.partition(".")[0]
    entry = {
        "encoder": name, "output": output, "embed_dim": info["output_variants"][output]["encode_dim"],
        "precision": info["precision"], "source": info["source"] or "", "preprocessing": preprocessing,
        "versions": sorted({versions["slide2vec"], versions.get(package, versions["slide2vec"])}),
    }  # fmt: skip
    spec_of(entry)  # refuses what no model may say
    return entry


def main(names: Sequence[str]) -> int:
    """Make the listing; or add these encoders to it, whose weights are loaded for that."""
    from slide2vec.encoders import encoder_registry, list_encoder_provider_diagnostics

    file = listing_file(installed())
    kept = json.loads(file.read_text(encoding="utf-8")) if names and file.is_file() else {}
    known = sorted(one["name"] for one in encoder_registry.list_with_metadata() if one["level"] == "tile")
    encoders, left_out = dict(kept.get("encoders", {})), dict(kept.get("left_out", {}))
    for name in names or known:
        try:
            encoders[name] = describe(name, load=bool(names))
            left_out.pop(name, None)
        except Exception as error:  # noqa: BLE001 (foreign code may raise anything, and one encoder hurts no other)
            left_out[name] = " ".join(str(error).split()) or type(error).__name__
    left_out |= {f"provider {one.provider_key}": one.concise() for one in list_encoder_provider_diagnostics()}
    _write(file, {"failure": "", "encoders": encoders, "left_out": left_out})
    print(f"slide2vec encoders that mitozoo can use: {', '.join(encoders) or 'none'}")  # noqa: T201
    for name, reason in left_out.items():
        print(f"left out {name}: {reason}")  # noqa: T201
    return int(any(name in left_out for name in names))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
