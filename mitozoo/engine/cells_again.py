"""Find the cells of a stored run again in the dataset's own label files: a run keeps no positions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mitozoo.data.cells import read_cells
from mitozoo.engine.find_dataset import find_data, names_a_table
from mitozoo.errors import DataError, VerificationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mitozoo.data.cells import Cells


def cells_again(document: dict[str, Any], cell_ids: Sequence[str], data: Path | None) -> Cells:
    """Return the cells of a run, in the order of its cell table; no image is opened.

    Args:
        document: the run's result document.
        cell_ids: of its cell table.
        data: the dataset's folder, or the table of one's own cells that was evaluated; None: the folder that was
            fetched, or that the dataset makes itself.

    Raises:
        MitozooError: the dataset or its label files are not at hand, or hold other cells, slides, groups or labels.
    """
    dataset = document["dataset"]
    if dataset.get("tested_on"):
        raise DataError("the positions of cells of joined datasets are not found again")
    own_table = data is not None and names_a_table(str(data))
    if dataset["plugin"] == "" and not own_table:
        raise DataError(
            f"dataset '{dataset['name']}' was a table of one's own cells, and where it lies is not recorded",
            hint="Name it: --data cells.csv",
        )
    name = str(data) if own_table else dataset["name"]
    source = find_data(name, None if own_table else data)
    cells = read_cells(source.spec, source.folder, negatives=dataset["negatives"])
    if dataset["group_level"] == "image":
        cells = cells.by_image()
    there = cells.table["cell_id"].to_numpy(dtype=np.str_)
    wanted = np.asarray(cell_ids, dtype=np.str_)
    rows = np.minimum(np.searchsorted(there, wanted), len(there) - 1)
    found = cells.take(rows.astype(np.int64))
    if not np.array_equal(there[rows], wanted) or found.sha256() != dataset["cells_sha256"]:
        raise VerificationError(
            f"the label files of dataset '{dataset['name']}' in {source.folder} hold other cells or labels than the "
            "run saw"
        )
    return found
