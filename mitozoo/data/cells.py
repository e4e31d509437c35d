"""The validated cell table of a dataset."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from mitozoo.data import columns
from mitozoo.data.annotations import read_annotations
from mitozoo.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mitozoo.data.annotations import RawCells
    from mitozoo.plugins.dataset_spec import DatasetSpec

REPEATED = ("slide", "case", "group", "file", "negative_kind", "split")  # texts that many cells share
NEGATIVES = {"hard": ("hard",), "other": ("other",), "all": ("hard", "other")}
BLOCK = 65_536  # rows at a time that are Python's own values


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of a dataset, ready to be split and cropped.

    Attributes:
        spec: the dataset.
        root: the dataset's folder.
        table: one row a cell, sorted by cell_id, with a RangeIndex: cell_id, slide, case ('' unknown), group
            ('<dataset>/<case or slide>'), file (relative to root), x and y (centre, px at full resolution; NaN: a
            released patch whose place nobody tells), label (int8, 1 positive), negative_kind ('' for positives, 'hard'
            or 'other'), split ('train', 'test' or ''), mpp (um/px; NaN: the slide file's own), votes (1 positive or 0
            for each person who voted, in a fixed order of persons), and domain_<name> for each declared domain. Texts
            that cells share, all but cell_id, are categories in the order of their names.
    group_level: 'case', 'slide' or 'image': what a group is.
    """

    spec: DatasetSpec
    root: Path
    table: pd.DataFrame
    group_level: str

    def __len__(self) -> int:
        return len(self.table)

    @property
    def labels(self) -> npt.NDArray[np.int8]:
        """(n,) 1 for the positive class, 0 for the other."""
        return self.table["label"].to_numpy(dtype=np.int8)

    @property
    def groups(self) -> npt.NDArray[np.str_]:
        """(n,) what must never be divided between train and test."""
        return self.table["group"].to_numpy(dtype=np.str_)

    @cached_property
    def group_codes(self) -> npt.NDArray[np.int64]:
        """(n,) the groups as 0, 1, ... in the order of their names, which takes less memory."""
        return pd.factorize(self.table["group"], sort=True)[0]

    @property
    def domains(self) -> tuple[str, ...]:
        """Names of the declared domains; their columns bear the prefix 'domain_'."""
        return tuple(self.spec.domains)

    def sha256(self) -> str:
        """Return 64 hex digits over each cell's (cell_id, slide, group, label), whatever the order."""
        return self._sha256

    @cached_property
    def _sha256(self) -> str:
        digest = hashlib.sha256()
        hashed = self.table[["cell_id", "slide", "group", "label"]]
        if not hashed["cell_id"].is_monotonic_increasing:
            hashed = hashed.sort_values("cell_id")  # which no two cells share
        for start in range(0, len(hashed), BLOCK):
            block = hashed.iloc[start : start + BLOCK]
            for row in zip(*(block[name].tolist() for name in block.columns), strict=True):
                digest.update(json.dumps(row, ensure_ascii=False).encode() + b"\n")
        return digest.hexdigest()

    def take(self, rows: npt.NDArray[np.integer] | npt.NDArray[np.bool_]) -> Cells:
        """Return the cells of these rows (positions, or a mask), in the order given."""
        table = self.table[rows] if rows.dtype == bool else self.table.iloc[rows]
        return Cells(self.spec, self.root, table.reset_index(drop=True), self.group_level)

    def by_image(self) -> Cells:
        """Return the same cells grouped by image file: fields of one case then count as if they were independent."""
        table = self.table.assign(group=self.spec.name + "/" + self.table["file"].astype("str"))
        return Cells(self.spec, self.root, _packed(table), "image")


def read_cells(
    spec: DatasetSpec, root: Path, *, negatives: str = "hard", mpp: float | None = None, to_evaluate: bool = True
) -> Cells:
    """Read and validate a dataset's cells.

    Args:
        spec: the dataset.
        root: the dataset's folder, see `mitozoo.data.folder`.
        negatives: which cells the positive class is told from: 'hard', 'other' or 'all'.
        mpp: microns per pixel of every slide, in place of what the dataset or its slides state.
        to_evaluate: refuse a dataset that is not for evaluation, or has one class only.

    Raises:
        DataError: a label file, a row or a value is not what it must be; the message names file and row.
    """
    if negatives not in NEGATIVES:
        raise DataError(f"negatives is '{negatives}'; it must be one of {', '.join(NEGATIVES)}")
    if spec.not_for_eval and to_evaluate:
        raise DataError(
            f"dataset '{spec.name}' is not evaluated: {spec.not_for_eval}",
            hint=f"What it holds: mitozoo describe {spec.name} --data DIR",
        )
    table = read_every_cell(spec, root, mpp=mpp)[1]
    kinds = table.pop("kind").to_numpy(dtype=object)
    kept = np.flatnonzero(np.isin(kinds, ("positive", *NEGATIVES[negatives])))
    if to_evaluate:
        _require_two_classes(spec, kinds, table["label"].iloc[kept], negatives)
    in_order = kept[table["cell_id"].iloc[kept].argsort()]
    if not np.array_equal(in_order, np.arange(len(table))):
        table = table.take(in_order).reset_index(drop=True)
    return Cells(spec, root, table, spec.group)


def join_cells(parts: Sequence[Cells], *, as_domain: str) -> Cells:
    """Return the cells of several datasets as one, part after part, their names led by the dataset's.

    Of the domains, those that all have stay, and one more tells the datasets apart. Files become absolute.

    Args:
        parts: cells of different datasets, of one positive class.
        as_domain: name of the domain that holds the dataset's name.
    """
    shared = [name for name in parts[0].domains if all(name in cells.domains for cells in parts)]
    tables = []
    for cells in parts:
        table = cells.table.drop(columns=[f"domain_{name}" for name in cells.domains if name not in shared])
        for column in ("cell_id", "slide"):
            table[column] = cells.spec.name + "/" + table[column].astype("str")
        table["file"] = [str(cells.root.absolute() / file) for file in table["file"]]
        table["split"] = ""
        table[f"domain_{as_domain}"] = cells.spec.name
        tables.append(table)
    first = parts[0].spec
    spec = replace(
        first,
        name="-and-".join(cells.spec.name for cells in parts),
        domains={**{name: first.domains[name] for name in shared}, as_domain: ""},
        synthetic=any(cells.spec.synthetic for cells in parts),
        patch_px=next((cells.spec.patch_px for cells in parts if cells.spec.patch_px), None),
        mpp=None,
        test_slides=(),
        split="",
    )
    levels = {cells.group_level for cells in parts}
    level = levels.pop() if len(levels) == 1 else "slide"
    return Cells(spec, parts[0].root, _packed(pd.concat(tables, ignore_index=True)), level)


def read_every_cell(spec: DatasetSpec, root: Path, *, mpp: float | None = None) -> tuple[RawCells, pd.DataFrame]:
    """Read and validate all labelled cells of any dataset, those out of its task too; no image is opened.

    Returns:
        What the label files hold, and the table of `Cells` in the files' order, with a column 'kind': 'positive',
        'hard', 'other' or 'ignored'.

    Raises:
        DataError: a label file, a row or a value is not what it must be; the message names file and row.
    """
    raw = read_annotations(spec, root)
    if raw.table.empty:
        raise DataError(f"{raw.source} holds no cells: it has not one {raw.row_word}")
    for name in ("cell_id", "file") if spec.not_for_eval else ("cell_id", "slide", "file"):
        raw.refuse(raw.table[name].str.strip() == "", lambda _, name=name: f"its {name} is empty")  # type: ignore[misc]
    ids = raw.table["cell_id"]
    raw.refuse(ids.duplicated(), lambda row: f"the cell_id {ids.iloc[row]!r} was there before; it must be unique")
    kinds = columns.kinds(spec, raw)
    table = raw.table[["cell_id", "slide", "case", "file"]].astype("str").reset_index(drop=True)
    table["group"] = columns.groups(spec, raw)
    table["x"], table["y"] = columns.coordinate(spec, raw, "x"), columns.coordinate(spec, raw, "y")
    table["label"] = (kinds == "positive").astype(np.int8)
    table["negative_kind"] = pd.array(np.where(kinds == "positive", "", kinds), dtype="str")
    table["split"] = columns.official_split(spec, raw)
    table["votes"] = columns.votes(spec, raw)
    for name, pattern in spec.domains.items():
        table[f"domain_{name}"] = columns.domain(name, pattern, raw)
    table["mpp"] = columns.mpp(spec, raw, table, mpp)
    table["kind"] = kinds
    return raw, _packed(table)


def _packed(table: pd.DataFrame) -> pd.DataFrame:
    """Return a cell table whose shared texts are categories: a table may have ten million rows."""
    shared = [name for name in table.columns if name in REPEATED or name.startswith("domain_")]
    return table.assign(**{name: table[name].astype("str").astype("category") for name in shared})


def _require_two_classes(
    spec: DatasetSpec, kinds: npt.NDArray[np.object_], kept: pd.Series[int], negatives: str
) -> None:
    positives = int(kept.sum())
    if positives == 0:
        raise DataError(f"none of the {len(kinds):,} cells of dataset '{spec.name}' is a '{spec.positive_class}'")
    if positives == len(kept):
        left_out = sorted(set(kinds) & set(NEGATIVES["all"]))
        raise DataError(
            f"dataset '{spec.name}' has one class only: all {positives:,} cells are '{spec.positive_class}', "
            f"with --negatives {negatives}",
            hint=f"Its negatives are of another kind: --negatives {left_out[0]}." if left_out else None,
        )
