"""Embeddings as directions: seen from the mean of the training cells, with length 1."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]


def directions(embeddings: Vectors, rows: Rows, centre: Vectors | None) -> Vectors:
    """Return the embeddings (n, d) of some rows, less the centre (d,), divided by their lengths: (len(rows), d).

    One that lies on the centre has no direction and stays 0.
    """
    vectors = embeddings[rows].astype(np.float32)
    if centre is not None:
        vectors -= centre
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors /= np.where(lengths > 0, lengths, 1)
    return vectors


def centre_of(embeddings: Vectors, rows: Rows) -> Vectors:
    """Return the mean (d,) of some rows, summed in double precision."""
    return embeddings[rows].mean(0, dtype=np.float64).astype(np.float32)
