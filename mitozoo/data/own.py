"""A dataset made on the spot from one's own table of cells: `--dataset my_cells.csv`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mitozoo.data.annotations.cell_table import read_columns
from mitozoo.errors import DataError
from mitozoo.plugins.dataset_spec import DatasetSpec, LabelRole
from mitozoo.plugins.formats import CellTable

if TYPE_CHECKING:
    from pathlib import Path

POSITIVE = ("1", "1.0", "true", "yes", "positive", "mitosis", "mitotic figure", "mf")
NEGATIVE = (
    "0",
    "0.0",
    "false",
    "no",
    "negative",
    "hard negative",
    "look-alike",
    "not mitotic figure",
    "non-mitotic",
    "hn",
)
DOMAINS = ("tumour", "tumor", "scanner", "species", "lab")
COLUMNS_HINT = (
    "Columns: slide or file, x, y, label; and, where known, cell_id, case, mpp, split, tumour, scanner, species, lab."
)


def own_dataset(path: Path) -> DatasetSpec:
    """Return a spec for a CSV or Parquet file with one row a cell; the dataset's folder is the file's.

    Columns: `slide` or `file` (relative to the table's folder; either stands for the other), `x`, `y` (px at full
    resolution) and `label`; optional `cell_id`, `case`, `mpp`, `split` ('train', 'test') and domains, which are tumour,
    scanner, species, lab, and every column called domain_<name>. Labels are those of `POSITIVE` and `NEGATIVE`,
    whatever the case; cells are grouped by case where there is such a column, else by slide.

    Raises:
        DataError: the file is missing, is no table, lacks a column, or has a label that is in neither list.
    """
    if not path.is_file():
        raise DataError(f"there is no table of cells at {path}", hint=COLUMNS_HINT)
    columns, numbers, row_word = read_columns(path, only="label")
    missing = [name for name in ("x", "y", "label") if name not in columns]
    missing += [] if {"slide", "file"} & set(columns) else ["slide (or file)"]
    if missing:
        raise DataError(
            f"{path} has no column {', '.join(missing)}; it has {', '.join(columns) or 'none'}", hint=COLUMNS_HINT
        )
    labels: dict[str, LabelRole] = {}
    for number, label in zip(numbers, columns["label"], strict=True):
        if label not in labels:
            labels[label] = _role(label, f"{path}, {row_word} {number}")
    if len(set(labels.values())) < 2:
        raise DataError(
            f"{path} has one class only: its labels are {', '.join(map(repr, labels)) or 'none'}",
            hint="Label the positive class 1 and the other class 0.",
        )
    slide = "slide" if "slide" in columns else "file"
    domains = {name: f"{{{name}}}" for name in columns if name in DOMAINS}
    domains |= {name.removeprefix("domain_"): f"{{{name}}}" for name in columns if name.startswith("domain_")}
    return DatasetSpec(
        name=re.sub(r"[^a-z0-9._-]+", "-", path.stem.lower()).strip("._-") or "own",
        title=f"cells of {path.name}",
        cells=CellTable(
            path=path.name,
            cell_id="{cell_id}" if "cell_id" in columns else f"{{{slide}}}@{{x}},{{y}}",
            slide=f"{{{slide}}}",
            file="{file}" if "file" in columns else "{slide}",
            x="x",
            y="y",
            label="{label}",
            case="{case}" if "case" in columns else "",
            mpp="mpp" if "mpp" in columns else "",
        ),
        labels=labels,
        positive_class="positive",
        negative_class="negative",
        group="case" if "case" in columns else "slide",
        domains=domains,
        mpp=None,
        split="{split}" if "split" in columns else "",
        license="not stated",
        reference=path.name,
        negatives_origin="not stated",
        labelled_by="not stated",
        by_hand="it is your own",
    )


def _role(label: str, where: str) -> LabelRole:
    word = label.strip().lower()
    if word in POSITIVE:
        return "positive"
    if word in NEGATIVE:
        return "hard"
    raise DataError(
        f"{where}: label {label[:40]!r} is neither positive ({', '.join(POSITIVE)}) "
        f"nor negative ({', '.join(NEGATIVE)})",
        hint="Label the positive class 1 and the other class 0.",
    )
