"""Two coordinates for each of many vectors: by UMAP where umap-learn is installed, else their principal components."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Vectors = npt.NDArray[np.float64]

NEIGHBOURS = 15  # of a point; UMAP's own default
LEAST = 3 * NEIGHBOURS  # points, below which neighbourhoods say nothing


@dataclass(frozen=True, eq=False)
class Projection:
    """(n, 2) coordinates, the names of both axes, and what such a map is and what it is not."""

    places: Vectors
    axes: tuple[str, str]
    note: str


def project(vectors: Vectors) -> Projection:
    """Return a map of vectors (n, d); equal vectors have equal maps on one machine."""
    if len(vectors) < LEAST:
        return _by_components(vectors)
    try:
        from umap import UMAP
    except ImportError:
        return _by_components(vectors)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of one thread, which is what makes it the same each time
        places = UMAP(n_neighbors=NEIGHBOURS, random_state=0, n_jobs=1).fit_transform(vectors)
    note = (
        f"by UMAP ({NEIGHBOURS} neighbours, seed 0), which keeps neighbours together; distances between groups, and "
        "their sizes, mean nothing"
    )
    return Projection(np.asarray(places, dtype=np.float64), ("UMAP 1", "UMAP 2"), note)


def principal_components(vectors: Vectors) -> tuple[Vectors, Vectors]:
    """Return (n, 2) coordinates and the (2,) shares of variance; each axis points to its largest coordinate."""
    centred = vectors - vectors.mean(axis=0)
    _, strength, axes = np.linalg.svd(centred, full_matrices=False)
    places, share = np.zeros((len(vectors), 2)), np.zeros(2)
    there = min(2, len(axes))  # of a single vector, or of single numbers, there is but one
    places[:, :there] = centred @ axes[:there].T
    places *= np.sign(places[np.abs(places).argmax(axis=0), np.arange(2)])
    share[:there] = strength[:there] ** 2 / max(float((strength**2).sum()), 1e-30)
    return places, share


def _by_components(vectors: Vectors) -> Projection:
    places, share = principal_components(vectors)
    first, second = (
        f"component {number} ({100 * float(part):.0f} % of variance)" for number, part in enumerate(share, 1)
    )
    note = "in the two directions in which they differ most (PCA); what lies near may differ in all other directions"
    return Projection(places, (first, second), note)
