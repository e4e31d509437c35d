"""Attention in half precision on a CPU, where torch's fused one is no faster than in float32."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

SCORES_AT_ONCE = 1 << 20  # of queries with keys: a few images', so that they stay in the processor's cache


def fast_attention(device: str, precision: str) -> contextlib.AbstractContextManager[object]:
    """Return the context in which attention is fastest: torch's fused one everywhere but in bf16 on a CPU."""
    return TwoProducts() if device == "cpu" and precision == "bf16" else contextlib.nullcontext()


class TwoProducts(TorchFunctionMode):
    """Inside, plain attention is two matrix products and a softmax, a few images at a time.

    The products gain from a processor that knows bf16, torch's fused kernel does not. Under autocast they round to bf16
    and the softmax is float32, as in networks that spell their attention out.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is scaled_dot_product_attention and _is_plain(*args, **kwargs):
            query, key, value = args[:3]
            return _attend(query, key, value, kwargs.get("scale"))
        return func(*args, **kwargs)


def _is_plain(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,  # noqa: ARG001
    enable_gqa: bool = False,
) -> bool:
    """Tell whether all of these (images, heads, tokens, channels) attend to all, each head to its own."""
    special = attn_mask is not None or dropout_p > 0 or is_causal or enable_gqa
    return not special and query.ndim == 4 and query.shape[:2] == key.shape[:2] == value.shape[:2]


def _attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float | None) -> torch.Tensor:
    images = max(1, SCORES_AT_ONCE // (query.shape[1] * query.shape[2] * key.shape[2]))
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    parts = zip(*(torch.split(tensor, images) for tensor in (query * scale, key, value)), strict=True)
    return torch.cat([(q @ k.transpose(-2, -1)).softmax(dim=-1) @ v for q, k, v in parts])
