"""The whole audit of a dataset: its split, its labels, and, where its images are here, its pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mitozoo.data.audit.crops import Crops, look_at
from mitozoo.data.audit.findings import AuditFinding, found, not_looked_at, pixel_findings, split_findings
from mitozoo.data.audit.picture import contact_sheet
from mitozoo.data.audit.relatives import likeness_findings, lineage_findings
from mitozoo.data.audit.split import close_pairs
from mitozoo.data.cells import Cells, read_cells, select_data_folder
from mitozoo.data.folds import SplitRecipe, make_folds
from mitozoo.data.patches import Geometry, plan_patches
from mitozoo.engine.find_dataset import data_folder, find_dataset
from mitozoo.errors import SlideError, SplitError
from mitozoo.plugins.registry import load_registry
from mitozoo.protocols.presets import find_protocol

if TYPE_CHECKING:
    from pathlib import Path

    from mitozoo.data.patches import PatchPlan
    from mitozoo.data.slides import Pixels
    from mitozoo.engine.progress import Progress
    from mitozoo.protocols.spec import Protocol

PROTOCOL = "linear-probe"  # whose window and folds are looked at, unless others are asked for
READ_PX = 128  # the level that has a window in so many px shows what an encoder would see

Folds = list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]


@dataclass(frozen=True)
class AuditRequest:
    """What is asked of an audit.

    Attributes:
        dataset: name of a registered dataset, or a table of cells.
        data: its folder.
        against: another dataset that it is compared with; '' for none.
        against_data: that dataset's folder.
        split: recipe of the folds (see `SplitRecipe`); None: the protocol's.
        domain: the domain that such a split goes by.
        group: 'image' to take each image for a group.
        negatives: 'hard', 'other' or 'all'.
        mpp: microns per pixel of every slide, in place of the dataset's.
        crop_um: side of the window, um; None: the protocol's, or the whole released patch.
    """

    dataset: str
    data: Path | None = None
    against: str = ""
    against_data: Path | None = None
    split: str | None = None
    domain: str = ""
    group: str = ""
    negatives: str = "hard"
    mpp: float | None = None
    crop_um: float | None = None


@dataclass(frozen=True, eq=False)
class _Dataset:
    """A dataset as far as it can be seen here."""

    cells: Cells
    plan: PatchPlan | None
    planned: npt.NDArray[np.int64]  # positions of the plan's cells
    sides: npt.NDArray[np.float64]
    missing: int
    unreadable: int

    @property
    def looks(self) -> npt.NDArray[np.int64]:
        """Positions of the cells whose crop can be read, in the order in which they are best read."""
        return self.planned if self.plan is None else self.planned[self.plan.reading_order()]

    def read(self, row: int) -> Pixels | None:
        """Return the crop of the cell at a position, None where its image is not here."""
        place = int(np.searchsorted(self.planned, row))
        if place == len(self.planned) or self.planned[place] != row:
            return None
        return _whole_image(self.cells, row) if self.plan is None else self.plan.read(place)


@dataclass(frozen=True, eq=False)
class DatasetAudit:
    """What an audit found.

    Attributes:
        request: what was asked.
        findings: one for each thing that was, or should have been, looked at.
        facts: plain values: what was looked at.
        datasets: the audited one, and the one it was compared with.
    """

    request: AuditRequest
    findings: tuple[AuditFinding, ...]
    facts: dict[str, Any]
    datasets: tuple[_Dataset, ...]

    @property
    def leaks(self) -> int:
        """How many kinds of findings are leaks."""
        return sum(one.severity == "leak" for one in self.findings)

    @property
    def names(self) -> list[str]:
        """The cells' names, the second dataset's behind the first one's."""
        first, *others = self.datasets
        names: list[str] = first.cells.table["cell_id"].tolist()
        return names + [f"{one.cells.spec.name}: {name}" for one in others for name in one.cells.table["cell_id"]]

    def to_json(self) -> dict[str, Any]:
        """Return the audit as plain JSON values."""
        names = self.names
        return self.facts | {"leaks": self.leaks, "findings": [one.to_json(names) for one in self.findings]}

    def draw(self, path: Path) -> int:
        """Write a contact sheet of the examples, PNG, and return how many crops it shows."""
        first = self.datasets[0].cells
        labels = np.concatenate([one.cells.labels for one in self.datasets]).tolist()
        classes = (first.spec.positive_class, first.spec.negative_class)
        return contact_sheet(self.findings, self._read, self.names, labels, classes, path)

    def _read(self, row: int) -> Pixels | None:
        for one in self.datasets:
            if row < len(one.cells):
                return one.read(row)
            row -= len(one.cells)
        return None


def audit_dataset(request: AuditRequest, progress: Progress) -> DatasetAudit:
    """Look for everything that could make numbers on a dataset untrue; its images need not be here.

    Raises:
        MitozooError: the label files are not what they must be, or the request names what is not there.
    """
    protocol = find_protocol(PROTOCOL)
    with progress.stage("cells"):
        own = _dataset(request, request.dataset, request.data, protocol, window_um=request.crop_um)
        folds, told, problem = _folds(own.cells, request, protocol)
    cells = own.cells
    findings = split_findings(cells, folds, own.sides)
    if problem:
        findings.insert(0, found("no split", "datasets", "warning", problem, "see --split and --group", [[0]], count=1))
    elif (cells.groups == "").any():
        why = f"the files do not tell the {cells.group_level} of {int(np.sum(cells.groups == '')):,} cells"
        findings[0] = not_looked_at("group leaks", f"{cells.group_level}s", why, "ask the owner of the data")
    crops = _look(own, progress)
    facts = _facts(request, own, told)
    if crops is None:
        findings.append(
            not_looked_at(
                "pixels: duplicates, conflicting labels, borders", "cells", f"no image is in {cells.root}",
                "point --data to the folder of the images",
            )
        )  # fmt: skip
        found_in_pixels = []
    else:
        found_in_pixels = pixel_findings(cells, folds, crops, close_pairs(cells, own.sides)[0])
    findings += [*found_in_pixels, *_borders(own), *_missing(own)]
    if not request.against:
        return DatasetAudit(request, tuple(findings), facts, (own,))
    with progress.stage("cells"):
        window_um = None if own.plan is None else float(np.median(own.plan.seen_um))
        other = _dataset(request, request.against, request.against_data, protocol, window_um=window_um)
    relations = [entry.spec for entry in load_registry().datasets]
    findings += lineage_findings(cells, other.cells, relations)
    theirs = _look(other, progress)
    if crops is None or theirs is None:
        whose = request.dataset if crops is None else request.against
        findings.append(
            not_looked_at(
                "pixels in both",
                "pairs",
                f"the images of {whose} are not here",
                "point --data or --against-data to them",
            )
        )
    else:
        findings += likeness_findings(cells, crops, theirs)
    facts["against"] = _facts(request, other, "")
    return DatasetAudit(request, tuple(findings), facts, (own, other))


def _dataset(
    request: AuditRequest, name: str, data: Path | None, protocol: Protocol, *, window_um: float | None
) -> _Dataset:
    spec = find_dataset(name).spec
    root = select_data_folder(spec, data_folder(name, data))
    cells = read_cells(spec, root, negatives=request.negatives, mpp=request.mpp, to_evaluate=False)
    if request.group == "image":
        cells = cells.by_image()
    files = cells.table["file"]
    there = {file: (root / file).is_file() for file in files.unique()}
    here = np.flatnonzero(files.map(there).to_numpy(dtype=bool))
    missing = sum(not one for one in there.values())
    if cells.table["x"].isna().all():  # released patches whose place nobody tells: each is seen whole
        return _Dataset(cells, None, here, np.zeros(len(cells)), missing, 0)
    whole_patch = spec.patch_px is not None and request.crop_um is None
    asked_um = None if whole_patch else (window_um or protocol.window_um)
    sides = _sides_by_labels(cells, asked_um)
    try:
        plan = (
            plan_patches(
                cells.take(here), Geometry(asked_um, protocol.edge), target_px=READ_PX, edge_named=True,
                mpp_named=request.mpp is not None, skip_unreadable=True,
            )
            if len(here)
            else None
        )  # fmt: skip
    except SlideError:  # not one of them can be read
        return _Dataset(cells, None, here[:0], sides, missing, len(there) - missing)
    if plan is None:
        return _Dataset(cells, None, here, sides, missing, 0)
    planned = np.flatnonzero(cells.table["cell_id"].isin(plan.cells.table["cell_id"]).to_numpy(dtype=bool))
    sides[planned] = plan.side_px
    unreadable = len(there) - missing - len(plan.files)
    return _Dataset(cells, plan, planned, sides, missing, unreadable)


def _sides_by_labels(cells: Cells, window_um: float | None) -> npt.NDArray[np.float64]:
    """Return (n,) side of each window, px, as far as label files alone tell; else 0."""
    if window_um is None:
        return np.full(len(cells), float(cells.spec.patch_px or 0))
    sides: npt.NDArray[np.float64] = np.nan_to_num(np.rint(window_um / cells.table["mpp"].to_numpy(dtype=float)))
    return sides


def _folds(cells: Cells, request: AuditRequest, protocol: Protocol) -> tuple[Folds, str, str]:
    """Return the folds, what they are called, and why there are none."""
    official = cells.table["split"].to_numpy(dtype=np.str_)
    name = request.split or protocol.split
    if name in ("auto", "official") and (official != "").any():  # as it is: whether it leaks is what is asked
        return [(np.flatnonzero(official == "train"), np.flatnonzero(official == "test"))], "the official split", ""
    domains = {one: cells.table[f"domain_{one}"].to_numpy(dtype=np.str_) for one in cells.domains}
    recipe = SplitRecipe(name, protocol.outer_folds, protocol.split_seed, request.domain)
    if (cells.groups == "").all():
        return [], "none", f"its files tell no {cells.group_level}, so that no split of it can be shown free of leaks"
    try:
        made = make_folds(cells.labels, cells.groups, official, domains, recipe)
    except SplitError as error:
        if request.split:
            raise
        return [], "none", error.message
    told = "grouped" if name == "auto" else name
    return [(fold.train, fold.test) for fold in made], f"{len(made)} folds, {told}", ""


def _look(dataset: _Dataset, progress: Progress) -> Crops | None:
    if not len(dataset.planned):
        return None

    def read(row: int) -> Pixels:
        pixels = dataset.read(row)
        assert pixels is not None
        return pixels

    with progress.stage("crops") as advance:
        return look_at(read, dataset.looks.tolist(), advance)


def _borders(dataset: _Dataset) -> list[AuditFinding]:
    if dataset.plan is None:
        return []
    return [
        found(
            "windows beyond the border", "cells", "note",
            "part of the window lies outside its image, and is filled by the protocol's edge rule",
            "know it; a smaller window has fewer of them", dataset.planned[dataset.plan.beyond_border],
        )
    ]  # fmt: skip


def _missing(dataset: _Dataset) -> list[AuditFinding]:
    findings = []
    for count, what in ((dataset.missing, "missing images"), (dataset.unreadable, "unreadable images")):
        if count and len(dataset.planned):
            why = f"the crops of {len(dataset.cells) - len(dataset.planned):,} cells were not looked at"
            findings.append(replace(not_looked_at(what, "images", why, "fetch or mend them"), count=count))
    return findings


def _facts(request: AuditRequest, dataset: _Dataset, split: str) -> dict[str, Any]:
    cells, plan = dataset.cells, dataset.plan
    return {
        "dataset": cells.spec.name,
        "data": str(cells.root),
        "negatives": request.negatives,
        "cells": len(cells),
        "positive": int(cells.labels.sum()),
        "groups": len(set(cells.groups) - {""}),
        "group_level": cells.group_level,
        "split": split,
        "images": {
            "named": int(cells.table["file"].nunique()), "missing": dataset.missing, "unreadable": dataset.unreadable,
        },
        "crops_looked_at": len(dataset.planned),
        "window_um": None if plan is None else plan.geometry.window_um,
    }  # fmt: skip


def _whole_image(cells: Cells, row: int) -> Pixels:
    """Return a released patch as it is."""
    from PIL import Image

    from mitozoo.data.slides import decoding

    path = cells.root / cells.table["file"].iloc[row]
    with decoding(path), Image.open(path) as image:
        return np.asarray(image.convert("RGB"))
