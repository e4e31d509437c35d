"""What all fuzzed readers have in common: how many strangers' files are mutated, how, and what may come of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from mitozoo.data.cells import read_cells
from mitozoo.errors import MitozooError

if TYPE_CHECKING:
    from pathlib import Path

    from mitozoo.plugins.dataset_spec import DatasetSpec

#: Mutated files, of all readers together; `make fuzz` asks for 10,000.
FILES = int(os.environ.get("MITOZOO_FUZZED_FILES", "1040"))
TESTS = 23  # how many tests share them
FUZZED = settings(
    max_examples=-(-FILES // TESTS), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

NUMBERS = st.integers(-5, 20) | st.integers(-(2**62), 2**62) | st.floats()
#: What JSON can hold in a field's place.
VALUES = st.none() | st.booleans() | NUMBERS | st.text(max_size=3) | st.lists(NUMBERS, max_size=5) | st.just({})
EDITS = st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=6), st.integers(0, 8)), min_size=1, max_size=5)


def edited(content: bytes, edits: list[tuple[float, bytes, int]]) -> bytes:
    """Return the bytes with some replaced, put in, or left out."""
    for place, new, dropped in edits:
        start = int(place * len(content))
        content = content[:start] + new + content[start + dropped :]
    return content


def valid_or_refused(spec: DatasetSpec, folder: Path) -> None:
    """Assert that the dataset's cells are read right as far as anyone can tell, or refused in one sentence."""
    try:
        cells = read_cells(spec, folder)
    except MitozooError as error:
        refusal = error.message
    else:
        refusal = ""
    if refusal:
        assert len(refusal.splitlines()) == 1
        return
    assert cells.table["cell_id"].is_unique
    assert cells.table["cell_id"].tolist() == sorted(cells.table["cell_id"])
    assert set(cells.labels) == {0, 1}
    assert (cells.table["slide"] != "").all()
    assert (cells.table["group"] != "").all()
    if spec.patch_px is None:
        assert np.isfinite(cells.table[["x", "y"]].to_numpy()).all()
