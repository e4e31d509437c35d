"""Shapes of condensed chromatin: mitotic figures, and the dying or dark nuclei that are taken for them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

STAMP_PX = 112
_HALF = STAMP_PX // 2

#: A shape is a union of rods, one a row: centre (u, v), direction in radians, half length, radius; px, before scaling.
Rods = np.ndarray


def _rods(
    u: np.ndarray, v: np.ndarray, angle: np.ndarray | float, half: np.ndarray | float, radius: np.ndarray | float
) -> Rods:
    return np.stack(np.broadcast_arrays(u, v, angle, half, radius), axis=1)


def _hairs(rng: np.random.Generator, body: Rods, count: int) -> Rods:
    """Return thin chromosome arms that stick out of the body."""
    roots = body[rng.integers(len(body), size=count)]
    angle = np.arctan2(roots[:, 1], roots[:, 0]) + rng.normal(0, 0.6, count)
    half = rng.uniform(2.5, 5, count)
    return _rods(roots[:, 0] + half * np.cos(angle), roots[:, 1] + half * np.sin(angle), angle, half, 1.0)


def _plate(rng: np.random.Generator, length: float, arms: float) -> Rods:
    """Return chromosomes side by side on a line along u, their arms across it."""
    count = int(rng.integers(11, 16))
    u = np.linspace(-length, length, count) + rng.normal(0, 0.7, count)
    v = rng.normal(0, 1.2, count) + rng.normal(0, 0.006) * u**2
    return _rods(u, v, np.pi / 2 + rng.normal(0, 0.35, count), rng.uniform(0.4, 1, count) * arms, 2.6)


def prometaphase(rng: np.random.Generator) -> Rods:
    """Return a tangle of chromosomes, sometimes open in the middle."""
    count = int(rng.integers(13, 20))
    turn, reach = rng.uniform(0, 2 * np.pi, count), 11 * np.sqrt(rng.uniform(rng.choice([0, 0.4]), 1, count))
    squeeze = rng.uniform(0.65, 1)
    half = rng.uniform(1.5, 5, count)
    body = _rods(reach * np.cos(turn), squeeze * reach * np.sin(turn), rng.uniform(0, np.pi, count), half, 2.3)
    return np.concatenate([body, _hairs(rng, body, 5)])


def metaphase_side(rng: np.random.Generator) -> Rods:
    """Return the metaphase plate seen from its edge."""
    body = _plate(rng, rng.uniform(14, 20), rng.uniform(2, 4))
    return np.concatenate([body, _hairs(rng, body, 5)])


def metaphase_end(rng: np.random.Generator) -> Rods:
    """Return the metaphase plate seen from a pole: a ring of chromosomes with arms outward."""
    count = int(rng.integers(12, 17))
    turn = np.linspace(0, 2 * np.pi, count, endpoint=False) + rng.normal(0, 0.15, count)
    reach = rng.uniform(6.5, 10) + rng.normal(0, 0.9, count)
    body = _rods(reach * np.cos(turn), reach * np.sin(turn), turn, rng.uniform(1, 3.5, count), 2.6)
    return np.concatenate([body, _hairs(rng, body, 6)])


def anaphase(rng: np.random.Generator) -> Rods:
    """Return two parallel plates with arms that trail towards the equator."""
    return _two_plates(rng, gap=rng.uniform(6, 11), length=rng.uniform(12, 17), arms=2.2)


def telophase(rng: np.random.Generator) -> Rods:
    """Return two short plates far apart."""
    return _two_plates(rng, gap=rng.uniform(13, 19), length=rng.uniform(9, 13), arms=1.2)


def _two_plates(rng: np.random.Generator, gap: float, length: float, arms: float) -> Rods:
    upper, lower = _plate(rng, length, arms), _plate(rng, length, arms)
    bend = rng.uniform(-0.008, 0.012)
    upper[:, 1] += gap - bend * upper[:, 0] ** 2
    lower[:, 1] += -gap + bend * lower[:, 0] ** 2
    return np.concatenate([upper, lower])


def pyknotic(rng: np.random.Generator) -> Rods:
    """Return one shrunken, smooth, round to oval nucleus."""
    count = int(rng.integers(1, 4))
    u, v = rng.normal(0, 2.5, count), rng.normal(0, 2.5, count)
    return _rods(u, v, rng.uniform(0, np.pi, count), rng.uniform(0, 5, count), rng.uniform(8, 10, count))


def apoptotic(rng: np.random.Generator) -> Rods:
    """Return smooth round fragments of unequal size."""
    count = int(rng.integers(2, 7))
    turn, reach = rng.uniform(0, 2 * np.pi, count), rng.uniform(3, 15, count)
    return _rods(reach * np.cos(turn), reach * np.sin(turn), 0.0, 0.0, rng.uniform(2.5, 8, count))


def hyperchromatic(rng: np.random.Generator) -> Rods:
    """Return a dark interphase nucleus, oval, angular or crushed to a band."""
    count = int(rng.integers(2, 5))
    u = np.linspace(-1, 1, count) * rng.uniform(3, 14)
    return _rods(u, rng.normal(0, 1.5, count), rng.normal(0, 0.3, count), 3.0, rng.uniform(6, 9, count))


@dataclass(frozen=True)
class Kind:
    """One kind of annotated cell; ranges are drawn from uniformly.

    Attributes:
        mitotic: its class.
        share: how often it is met in its class.
        rods: draws its chromatin.
        merge_px: over how many px touching rods run into one another: small keeps every arm, large is smooth.
        texture: how much the chromatin's density varies inside.
        membrane: how much denser the chromatin is along its rim.
        eosin: stain of the cytoplasm.
        body_px: radius of the cell.
        halo: how often an empty rim surrounds the cell.
    """

    mitotic: bool
    share: float
    rods: Callable[[np.random.Generator], Rods]
    merge_px: tuple[float, float]
    texture: float = 0.1
    membrane: float = 0.0
    eosin: tuple[float, float] = (0.22, 0.6)
    body_px: tuple[float, float] = (24, 36)
    halo: float = 0.35


_RAGGED, _SMOOTH = (0.4, 1.0), (1.0, 3.0)
KINDS = (
    Kind(mitotic=True, share=0.28, rods=prometaphase, merge_px=_RAGGED),
    Kind(mitotic=True, share=0.30, rods=metaphase_side, merge_px=_RAGGED),
    Kind(mitotic=True, share=0.14, rods=metaphase_end, merge_px=_RAGGED),
    Kind(mitotic=True, share=0.18, rods=anaphase, merge_px=_RAGGED),
    Kind(mitotic=True, share=0.10, rods=telophase, merge_px=_RAGGED),
    Kind(mitotic=False, share=0.36, rods=pyknotic, merge_px=_SMOOTH),
    Kind(mitotic=False, share=0.28, rods=apoptotic, merge_px=_SMOOTH, eosin=(0.3, 0.66), body_px=(20, 32), halo=0.5),
    Kind(mitotic=False, share=0.36, rods=hyperchromatic, merge_px=_SMOOTH, texture=0.15, membrane=0.15),
)


def draw_kind(rng: np.random.Generator, mitotic: bool) -> Kind:
    """Return a kind of the class, as often as its share says."""
    kinds = [kind for kind in KINDS if kind.mitotic is mitotic]
    return kinds[rng.choice(len(kinds), p=[kind.share for kind in kinds])]


def depth_map(rods: Rods, area: float, angle: float, offset: tuple[float, float], merge: float) -> np.ndarray:
    """Return how deep each pixel of a stamp lies in the rods, scaled to cover about `area` px: px, negative outside."""
    every_other = _signed(rods, np.arange(-_HALF, _HALF, 2.0), angle, (0.0, 0.0), 1.0, merge)
    scale = math.sqrt(area / max(4 * int(np.count_nonzero(every_other > 0)), 16))
    return _signed(rods, np.arange(-_HALF, _HALF, 1.0), angle, offset, scale, merge)


def _signed(
    rods: Rods, axis: np.ndarray, angle: float, offset: tuple[float, float], scale: float, merge: float
) -> np.ndarray:
    rods = rods.astype(np.float32)
    x, y = (axis - offset[0]).astype(np.float32) / scale, (axis - offset[1]).astype(np.float32)[:, None] / scale
    u, v = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    total = np.zeros_like(u)
    for centre_u, centre_v, direction, half, radius in rods:
        du, dv = u - centre_u, v - centre_v
        along = du * np.cos(direction) + dv * np.sin(direction)
        along -= np.clip(along, -half, half)
        across = dv * np.cos(direction) - du * np.sin(direction)
        total += np.exp((radius - np.sqrt(along**2 + across**2)) / merge)
    return scale * merge * np.log(total + 1e-30)
