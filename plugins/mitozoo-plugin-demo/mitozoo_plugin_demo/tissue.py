"""One field of tissue as two stain maps: how much haematoxylin and how much eosin lie at each pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage, spatial

from mitozoo_plugin_demo import chromatin

FIELD_PX = 1024
_NUCLEUS_PX = 72
_RIM_PX = 112  # half of the protocol's window: cells nearer to the edge than this need its edge rule


@dataclass(frozen=True)
class Cell:
    """One annotated object: its centre in px, its class, its kind's name and what three raters said."""

    x: int
    y: int
    mitotic: bool
    kind: str
    votes: tuple[bool, bool, bool]


def render_field(rng: np.random.Generator, cell_count: int, mitotic_count: int) -> tuple[np.ndarray, list[Cell]]:
    """Return stain amounts (2, FIELD_PX, FIELD_PX) float32, haematoxylin first, and the annotated cells."""
    centres = _place(rng, cell_count)
    nuclei = _fill(rng, centres)
    fine, coarse = _texture(rng, 1.1), _texture(rng, 2.6)
    stains = _background(rng, np.concatenate([centres, nuclei]), fine)
    _add_nuclei(rng, stains, nuclei, fine, coarse)
    mitotic = rng.permutation(np.arange(cell_count) < mitotic_count)
    cells = [_add_cell(rng, stains, centre, bool(is_mitotic), fine, coarse)
             for centre, is_mitotic in zip(centres, mitotic, strict=True)]  # fmt: skip
    return stains, cells


def _texture(rng: np.random.Generator, grain: float, stretch: float = 1.0, angle: float = 0.0) -> np.ndarray:
    """Return periodic noise (FIELD_PX, FIELD_PX) of zero mean and unit sd; `grain` in px, drawn out along `angle`."""
    y, x = fft.fftfreq(FIELD_PX).astype(np.float32)[:, None], fft.rfftfreq(FIELD_PX).astype(np.float32)
    along, across = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    low_pass = np.exp(-2 * (math.pi * grain) ** 2 * ((stretch * along) ** 2 + across**2))
    low_pass[0, 0] = 0
    white = rng.standard_normal((FIELD_PX, FIELD_PX), dtype=np.float32)
    noise = fft.irfft2(fft.rfft2(white) * low_pass, s=white.shape)
    noise /= np.sqrt(np.mean(noise**2))
    return noise


def _place(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return integer centres (count, 2) of the annotated cells, one in eight of them near the field's edge."""
    chosen: list[np.ndarray] = []
    while len(chosen) < count:
        margin = 14 if len(chosen) % 8 == 0 else _RIM_PX
        candidate = rng.integers(margin, FIELD_PX - margin, 2)
        if all(np.hypot(*(candidate - other)) > 74 for other in chosen):
            chosen.append(candidate)
    return np.array(chosen)


def _fill(rng: np.random.Generator, taken: np.ndarray) -> np.ndarray:
    """Return centres (n, 2) of the interphase nuclei, as dense as their spacing allows, none on an annotated cell."""
    spacing = rng.uniform(38, 50)
    candidates = rng.uniform(-20, FIELD_PX + 20, (2600, 2))
    candidates = candidates[spatial.cKDTree(taken).query(candidates)[0] > 48]
    neighbours = spatial.cKDTree(candidates).query_ball_point(candidates, spacing)
    free = np.ones(len(candidates), dtype=bool)
    for index, near in enumerate(neighbours):
        if free[index]:
            free[near] = False
            free[index] = True
    return candidates[free]


def _background(rng: np.random.Generator, centres: np.ndarray, fine: np.ndarray) -> np.ndarray:
    """Return cytoplasm with cell borders, strands of collagen, clefts between them and a few empty spaces."""
    medium, broad = _texture(rng, 6), _texture(rng, 60)
    step = np.arange(0, FIELD_PX, 4)
    wobble = 5 * np.stack([medium[::4, ::4], medium.T[::4, ::4]], axis=-1)
    grid = np.stack(np.meshgrid(step, step), axis=-1) + wobble
    distance, owner = spatial.cKDTree(centres).query(grid, k=2)
    border = np.exp(-(((distance[..., 1] - distance[..., 0]) / 4) ** 2))
    tone = rng.normal(1, 0.1, len(centres))[owner[..., 0]] * (1 - rng.uniform(-0.25, 0.35) * border)
    tone = ndimage.zoom(tone.astype(np.float32), 4, order=1)

    eosin = 0.42 * tone * (1 + 0.16 * fine + 0.16 * medium)
    haematoxylin = rng.uniform(0.06, 0.14) * tone * (1 + 0.3 * medium + 0.2 * fine)
    strand = np.exp(-((broad / rng.uniform(0.1, 0.28)) ** 2))
    fibres = _texture(rng, 1.6, stretch=9, angle=rng.uniform(0, math.pi))
    eosin += strand * (0.75 + 0.2 * fibres + 0.08 * fine - eosin)
    haematoxylin *= 1 - 0.5 * strand
    empty = _step((_texture(rng, 16) - rng.uniform(2.1, 2.8)) / 0.06)
    cleft = np.exp(-(((broad - 0.42 - 0.1 * medium) / 0.045) ** 2)) * (rng.uniform() < 0.5)
    stains = np.stack([haematoxylin, eosin]) * (1 - np.maximum(empty, 0.8 * cleft))
    return np.maximum(stains, 0).astype(np.float32)


def _add_nuclei(
    rng: np.random.Generator, stains: np.ndarray, centres: np.ndarray, fine: np.ndarray, coarse: np.ndarray
) -> None:
    """Paint interphase nuclei with membrane, texture and nucleoli; some are small and dark, some out of focus."""
    n = len(centres)

    def each(low: float, high: float) -> np.ndarray:
        return rng.uniform(low, high, (n, 1, 1)).astype(np.float32)

    small = (rng.uniform(size=(n, 1, 1)) < 0.1).astype(np.float32)  # lymphocytes
    dim = (rng.uniform(size=(n, 1, 1)) < 0.2).astype(np.float32)  # above or below the focal plane
    typical = rng.uniform(13, 17)
    width = np.where(small > 0, each(8, 10), typical * np.exp(rng.normal(0, 0.12, (n, 1, 1)))).astype(np.float32)
    axis = np.arange(_NUCLEUS_PX, dtype=np.float32) - _NUCLEUS_PX / 2
    x, y = axis[None, None], axis[None, :, None]
    radius = np.hypot(x, y)
    unit = (x + 1j * y) / np.maximum(radius, 0.5)  # unit**k turns k times around the nucleus

    def wave(k: int) -> np.ndarray:
        turned = unit**k
        phase = each(0, 2 * np.pi)
        return np.cos(phase) * turned.real + np.sin(phase) * turned.imag

    rim = width / np.sqrt(1 - each(0, 0.75) * (1 - 0.6 * small) * (1 + wave(2)) / 2)
    rim *= 1 + 0.035 * wave(3) + 0.03 * wave(4) + 0.02 * wave(5)
    depth = rim - radius
    inside = _step(depth / (0.8 + 1.6 * dim))
    membrane = np.exp(-(((depth - 1.4) / 1.3) ** 2)) * (1 - 0.8 * dim)
    grain = (each(0.1, 0.3) * _windows(rng, coarse, n) + 0.12 * _windows(rng, fine, n)) * (1 - 0.6 * dim)
    density = each(0.42, 0.72) * (1 + 0.7 * small) * (1 - 0.35 * dim) * (1 + grain) + each(0.1, 0.4) * membrane
    for _ in range(2):
        spot = np.hypot(x - each(-7, 7), y - each(-7, 7)) / each(1.8, 3)
        density += each(-0.3, 0.5).clip(0) * np.exp(-(spot**2))
    for centre, alpha, nucleus in zip(np.rint(centres).astype(int), inside, density, strict=True):
        field, stamp = _overlap(centre, _NUCLEUS_PX)
        _paint(stains, field, alpha[stamp], np.maximum(nucleus[stamp], 0), 0.22)


def _step(x: np.ndarray) -> np.ndarray:
    """Return a smooth step from 0 to 1 around x = 0."""
    return 0.5 + 0.5 * np.tanh(0.5 * x)


def _windows(rng: np.random.Generator, texture: np.ndarray, count: int) -> np.ndarray:
    left, top = rng.integers(0, FIELD_PX - _NUCLEUS_PX, (2, count))
    return np.lib.stride_tricks.sliding_window_view(texture, (_NUCLEUS_PX, _NUCLEUS_PX))[top, left]


def _add_cell(
    rng: np.random.Generator,
    stains: np.ndarray,
    centre: np.ndarray,
    mitotic: bool,
    fine: np.ndarray,
    coarse: np.ndarray,
) -> Cell:
    """Paint one annotated cell.

    Area and density of the chromatin come from the same distributions for both classes: what tells them apart is form.
    """
    kind = chromatin.draw_kind(rng, mitotic)
    area, density = 500 * math.exp(rng.normal(0, 0.25)), rng.uniform(1.0, 1.8)
    offset = (rng.uniform(-3, 3), rng.uniform(-3, 3))
    depth = chromatin.depth_map(kind.rods(rng), area, rng.uniform(0, math.pi), offset, rng.uniform(*kind.merge_px))
    field, stamp = _overlap(centre, chromatin.STAMP_PX)
    grain, clumps = fine[field], coarse[field]
    deep, covered = depth[stamp], _coverage(depth, area)[stamp]

    axis = np.arange(chromatin.STAMP_PX, dtype=np.float32) - chromatin.STAMP_PX / 2
    turn, reach = np.arctan2(axis[:, None], axis)[stamp], np.hypot(axis[:, None], axis)[stamp]
    oval = 1 + rng.uniform(0, 0.15) * np.cos(2 * turn + rng.uniform(0, 6)) + 0.04 * np.cos(3 * turn + rng.uniform(0, 6))
    to_edge = np.maximum(rng.uniform(*kind.body_px) * oval - reach, deep + 4)  # chromatin never leaves its cell
    halo = rng.uniform(0, 0.7) * (rng.uniform() < kind.halo)
    stains[(slice(None), *field)] *= 1 - halo * _step((to_edge + rng.uniform(3, 7)) / 1.2)
    eosin = rng.uniform(*kind.eosin) * (1 + 0.2 * grain) + 0.1 * np.exp(-((to_edge / 1.5) ** 2))
    _paint(stains, field, _step(to_edge / 1.2), rng.uniform(0.04, 0.18) * (1 + 0.3 * grain), eosin)
    rim = kind.membrane * (np.exp(-(((deep - 1.5) / 1.2) ** 2)) - 0.3)
    _paint(stains, field, covered, density * (1 + kind.texture * clumps + rim).clip(0.3, 1.6), 0.25)

    votes = [mitotic] * 3
    if rng.uniform() < 0.3:
        votes[rng.integers(3)] = not mitotic
    return Cell(int(centre[0]), int(centre[1]), mitotic, kind.rods.__name__, (votes[0], votes[1], votes[2]))


def _coverage(depth: np.ndarray, area: float) -> np.ndarray:
    """Return how much of each pixel is chromatin: by the rank of its depth, so that shapes differ in form alone."""
    rank = np.empty(depth.size, dtype=np.float32)
    rank[np.argsort(-depth, axis=None)] = np.arange(depth.size)
    return _step((area - rank) / (0.11 * area)).reshape(depth.shape)


def _overlap(centre: np.ndarray, size: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return where a stamp of `size` px around (x, y) lies in the field, and which part of the stamp that is."""
    start = centre[::-1] - size // 2
    low, high = np.clip(start, 0, FIELD_PX), np.clip(start + size, 0, FIELD_PX)
    field = (slice(low[0], high[0]), slice(low[1], high[1]))
    return field, (slice(low[0] - start[0], high[0] - start[0]), slice(low[1] - start[1], high[1] - start[1]))


def _paint(
    stains: np.ndarray,
    field: tuple[slice, slice],
    alpha: np.ndarray,
    haematoxylin: np.ndarray,
    eosin: np.ndarray | float,
) -> None:
    stains[(0, *field)] += alpha * (haematoxylin - stains[(0, *field)])
    stains[(1, *field)] += alpha * (eosin - stains[(1, *field)])
