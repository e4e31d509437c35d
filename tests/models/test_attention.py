"""Attention in bf16 on a CPU: the same as torch's own within rounding, and only where torch's own is slow."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
from test_encoder import SIZE, convnet, spec, vit
from torch.nn.functional import scaled_dot_product_attention as fused
from torch.overrides import TorchFunctionMode

from mitozoo.models import attention
from mitozoo.models.attention import TwoProducts
from mitozoo.models.encoder import load_encoder


def three(*shape: int) -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    return [torch.randn(*shape, generator=random) for _ in range(3)]


@pytest.mark.parametrize("at_once", [1, 2 * 3 * 7 * 7, 1 << 20])
@pytest.mark.parametrize("scale", [None, 0.3])
def test_it_is_attention(at_once, scale, monkeypatch):
    """Against the definition in float64, whatever number of images is computed at once."""
    monkeypatch.setattr(attention, "SCORES_AT_ONCE", at_once)
    query, key, value = three(5, 3, 7, 16)
    with TwoProducts():
        found = fused(query, key, value, scale=scale)
    scores = np.einsum("bhqc,bhkc->bhqk", query.double(), key.double()) * (scale or 1 / 4)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    np.testing.assert_allclose(found, np.einsum("bhqk,bhkc->bhqc", weights, value.double()), atol=1e-6)


def test_any_other_attention_is_torchs_own():
    query, key, value = three(2, 3, 7, 16)
    mask = torch.ones(7, 7, dtype=torch.bool).tril()
    one_head = tuple(tensor[:, 0] for tensor in (query, key, value))
    outside = [fused(query, key, value, attn_mask=mask), fused(query, key, value, is_causal=True), fused(*one_head)]
    with TwoProducts():
        inside = [fused(query, key, value, attn_mask=mask), fused(query, key, value, is_causal=True), fused(*one_head)]
    for one, other in zip(inside, outside, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


class Seen(TorchFunctionMode):
    """Counts fused attentions that truly reach torch."""

    def __init__(self) -> None:
        super().__init__()
        self.fused = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.fused += func is fused
        return func(*args, **(kwargs or {}))


@pytest.fixture(scope="module")
def patches():
    return torch.randint(256, (3, SIZE, SIZE, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))


def fused_in(encoder, patches, precision) -> int:
    with Seen() as seen:
        encoder.embed(patches, precision, "cpu")
    return seen.fused


def test_networks_attend_by_the_fused_kernel_but_in_bf16_on_a_cpu(patches):
    encoder = load_encoder(spec(vit))
    blocks = len(timm.create_model("test_vit").blocks)
    assert {precision: fused_in(encoder, patches, precision) for precision in ("fp32", "fp16", "bf16")} == {
        "fp32": blocks, "fp16": blocks, "bf16": 0,
    }  # fmt: skip
    assert isinstance(attention.fast_attention("cpu", "bf16"), TwoProducts)
    assert not isinstance(attention.fast_attention("cuda", "bf16"), TwoProducts)


@pytest.mark.parametrize("network", [vit, convnet])
def test_bf16_rounds_and_no_more(network, patches):
    """A few thousandths of an embedding's length; each product rounds to one part in 256."""
    of_convnet = {"pooling": "gap", "prefix_tokens": 0, "embed_dim": 96} if network is convnet else {}
    encoder = load_encoder(spec(network, **of_convnet))
    exact, rounded = (encoder.embed(patches, precision, "cpu") for precision in ("fp32", "bf16"))
    apart = np.linalg.norm(rounded - exact, axis=1) / np.linalg.norm(exact, axis=1)
    assert (apart > 1e-5).all()
    assert (apart < 2e-2).all()
    assert rounded.dtype == np.float32
