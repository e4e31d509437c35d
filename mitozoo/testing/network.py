"""Does the network do what its record declares: dimension, tokens, and the same numbers however it is asked."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from mitozoo.engine.findings import Finding, finding_of
from mitozoo.errors import ModelError
from mitozoo.models.encoder import load_encoder
from mitozoo.models.requirements import require_packages
from mitozoo.plugins.sources import Source
from mitozoo.testing.images import NAMES, Images, sample_images
from mitozoo.testing.weights import out_of_reach, weights_finding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mitozoo.models.encoder import Encoder
    from mitozoo.plugins.model_spec import ModelSpec

Vectors = npt.NDArray[np.float32]

#: Largest difference between batches of other sizes or orders, as a share of the largest value. fp32 sums in another
#: order differ by about 1e-6; a network that mixes the images of a batch differs by far more.
TOLERANCE = 1e-4


def network_findings(spec: ModelSpec, weights: Path | None = None) -> Iterator[Finding]:
    """Yield what the network shows, as far as its weights can be had here."""
    try:
        if not spec.isolate:  # whose packages are found, or told, in an environment of its own
            require_packages(spec)
    except ModelError as error:
        yield finding_of(error, "packages", "WARN")
        yield _left_out("packages")
        return
    at_hand = weights_finding(spec, weights)
    yield at_hand
    if at_hand.status != "PASS":
        yield _left_out("weights")
        return
    began = time.perf_counter()
    try:
        encoder = _loaded(spec, weights)
    except ModelError as error:
        if out_of_reach(error):  # a load function fetches its weights itself
            yield finding_of(error, "weights", "WARN")
            yield _left_out("weights")
        else:
            yield finding_of(error, "declared = measured", mend="The record and what it loads must agree: mend either.")
        return
    seconds = time.perf_counter() - began
    yield from _declared_findings(encoder)
    yield from _behaviour_findings(encoder, seconds)


def _loaded(spec: ModelSpec, weights: Path | None) -> Encoder:
    """Load a model as an evaluation would: an isolated one in its own environment."""
    if not spec.isolate:
        return load_encoder(spec, weights=weights)
    from mitozoo.models.isolated.encoder import load_isolated
    from mitozoo.plugins.registry import load_registry

    registered = load_registry().find_model(spec.name)
    if registered is None or registered.spec != spec:
        raise ModelError(
            f"model '{spec.name}' is isolated, and only a registered model can be", hint="Install its plugin."
        )
    return load_isolated(registered, weights=weights)


def _left_out(lacking: str) -> Finding:
    told = f"NOT CHECKED without its {lacking}: dimension, tokens, finite, repeatable, batches, time"
    return Finding("WARN", "network", told, f"Run the check again where its {lacking} are.")


def _declared_findings(encoder: Encoder) -> Iterator[Finding]:
    """`load_encoder` has compared the dimension, and the prefix tokens where the network tells them."""
    spec = encoder.spec
    yield Finding("PASS", "dimension", f"{spec.embed_dim}, declared and measured")
    if spec.pooling in ("cls", "mean", "cls+mean") and not spec.isolate:  # the tokens of one that is stay in its worker
        yield _token_finding(encoder)
    if spec.parameters is not None:
        measured = encoder.parameter_count()
        if measured == spec.parameters:
            yield Finding("PASS", "parameters", f"{measured:,}, declared and measured")
        else:
            told = f"{spec.parameters:,} are declared, and the network has {measured:,}"
            yield Finding("FAIL", "parameters", told, f"Declare parameters={measured:_}.")


def _token_finding(encoder: Encoder) -> Finding:
    """Count the tokens of one image: what is left without the prefix is a square grid of patches."""
    spec = encoder.spec
    network = encoder.network
    size = spec.preprocessing.size
    grey = torch.zeros(1, 3, size, size)
    with torch.inference_mode():
        tokens = int(getattr(network, "forward_features", network)(grey).shape[1])
    patches = tokens - spec.prefix_tokens
    side = math.isqrt(max(patches, 0))
    if patches < 1 or side * side != patches:
        told = (
            f"{spec.prefix_tokens} are declared, but without them {patches} of {tokens} tokens are left: no square grid"
        )
        return Finding("FAIL", "prefix tokens", told, "Count class and register tokens, and declare prefix_tokens.")
    return Finding("PASS", "prefix tokens", f"{spec.prefix_tokens}, before a grid of {side} x {side}")


def _behaviour_findings(encoder: Encoder, load_seconds: float) -> Iterator[Finding]:
    images = sample_images(encoder.spec.preprocessing.size)
    vectors = _embed(encoder, images)
    if not np.isfinite(vectors).all():
        names = [name for name, row in zip(NAMES, vectors, strict=True) if not np.isfinite(row).all()]
        mend = "Look for a division by the image's own spread, or a logarithm of black."
        yield Finding("FAIL", "finite", f"NaN or infinity for the image '{names[0]}'", mend)
        return
    yield Finding("PASS", "finite", f"for {', '.join(NAMES)}")

    began = time.perf_counter()
    again = _embed(encoder, images)
    seconds = time.perf_counter() - began
    yield _repeatable_finding(encoder, images, vectors, again)

    alone = np.concatenate([_embed(encoder, images[n : n + 1]) for n in range(len(images))])
    turned = _embed(encoder, images[::-1].copy())[::-1]
    for what, other in {"batch size": alone, "batch order": turned}.items():
        difference = _difference(vectors, other)
        told = f"largest difference {difference:.1e} of the largest value, at most {TOLERANCE:g} is allowed"
        mend = "An image's embedding must not depend on its neighbours: look for batch statistics."
        yield Finding("PASS", what, told) if difference <= TOLERANCE else Finding("FAIL", what, told, mend)

    if (np.ptp(vectors, axis=0) == 0).all():
        mend = "The network does not look at its input: check the load function, and which output is taken."
        yield Finding("FAIL", "tells images apart", "all images have the same embedding", mend)
    else:
        yield Finding(
            "PASS", "tells images apart", f"{len(images)} images, {len(np.unique(vectors, axis=0))} embeddings"
        )
    rate = f"{len(images) / seconds:.1f} patches/s (fp32, cpu, threads: {torch.get_num_threads()})"
    yield Finding("PASS", "time", f"loaded in {load_seconds:.1f} s, {rate}")


def _repeatable_finding(encoder: Encoder, images: Images, first: Vectors, again: Vectors) -> Finding:
    if not np.array_equal(first, again):
        mend = "Look for dropout or random numbers that stay on in evaluation mode."
        return Finding("FAIL", "repeatable", f"two calls differ by {_difference(first, again):.1e}", mend)
    if isinstance(encoder.spec.load, Source):
        return Finding("PASS", "repeatable", "to the last bit")
    if not np.array_equal(first, _embed(_loaded(encoder.spec, None), images)):
        mend = "Load every weight from a file, or fix the seed, so that all processes have the same network."
        return Finding("FAIL", "repeatable", "the load function gives another network each time", mend)
    return Finding("PASS", "repeatable", "to the last bit, also when loaded anew")


def _difference(vectors: Vectors, others: Vectors) -> float:
    """Return the largest difference as a share of the largest value."""
    return float(np.abs(vectors - others).max() / max(np.abs(vectors).max(), np.finfo(np.float32).tiny))


def _embed(encoder: Encoder, images: Images) -> Vectors:
    return encoder.embed(torch.from_numpy(images), "fp32", "cpu")
