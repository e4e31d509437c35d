"""Predictions as a CSV table with one row a cell, which mitozoo reads as a dataset of one's own."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from mitozoo import storage
from mitozoo.exports.placed import plain
from mitozoo.results.spreadsheet import no_formula

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

TOLD = ("score", "threshold", "called", "fits", "predicted", "outcome")


def write_csv(table: pd.DataFrame, positive_class: str, negative_class: str, path: Path) -> None:
    """Write one row a cell; a text that a spreadsheet would take for a formula is led by an apostrophe.

    Columns: cell_id, slide; file, x, y, case and mpp where they are known; label (1 positive, 0), class (its name),
    negative_kind, votes (such as '1 0 1'), domain_<name>, and what the run says: score, threshold, called, fits,
    predicted (1 or 0), outcome. `group` is left out: it is the case or the slide.

    Args:
        table: that of `TestedRun.by_cell` or `PlacedCells`.
        positive_class: name of the class that scores stand for.
        negative_class: name of the other.
        path: the file.
    """
    columns: dict[str, list[object]] = {name: table[name].tolist() for name in ("cell_id", "slide")}
    if "x" in table:
        columns |= {"file": table["image"].tolist()}
        columns |= {name: list(map(plain, table[name])) for name in ("x", "y")}
        columns |= {name: table[name].tolist() for name in ("case", "mpp") if _is_known(table[name])}
    columns["label"] = table["label"].tolist()
    columns["class"] = [positive_class if label else negative_class for label in table["label"]]
    columns["negative_kind"] = table["negative_kind"].tolist()
    columns["votes"] = [" ".join(map(str, votes)) for votes in table["votes"]]
    columns |= {name: table[name].tolist() for name in table.columns if name.startswith("domain_")}
    columns |= {name: table[name].tolist() for name in TOLD}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([no_formula(value) for value in row] for row in zip(*columns.values(), strict=True))
    with storage.write_whole(path) as unfinished:
        unfinished.write_text(text.getvalue(), encoding="utf-8")


def _is_known(column: pd.Series) -> bool:
    return not ((column == "") | column.isna()).any()
