"""The whole audit of a dataset: its split, its labels, and, where its images are here, its pixels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mitozoo.data.audit.crops import Crops, look_at
from mitozoo.data.audit.findings import AuditFinding, found, not_looked_at, pixel_findings, split_findings
from mitozoo.data.audit.relatives import likeness_findings, lineage_findings
from mitozoo.data.audit.split import close_pairs
from mitozoo.data.folds import SplitRecipe, make_folds
from mitozoo.engine.dataset_audit import AuditRequest, DatasetAudit
from mitozoo.engine.visible import VisibleDataset, look_for
from mitozoo.errors import SplitError
from mitozoo.plugins.registry import load_registry
from mitozoo.protocols.presets import find_protocol

if TYPE_CHECKING:
    from mitozoo.data.cells import Cells
    from mitozoo.engine.progress import Progress
    from mitozoo.protocols.spec import Protocol

PROTOCOL = "linear-probe"  # whose window and folds are looked at, unless others are asked for
OF_A_SPLIT = ("group leaks", "overlapping crops across the split", "duplicates across the split")

Folds = list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]


def audit_dataset(request: AuditRequest, progress: Progress) -> DatasetAudit:
    """Look for everything that could make numbers on a dataset untrue; its images need not be here.

    Raises:
        MitozooError: the label files are not what they must be, or the request names what is not there.
    """
    protocol = find_protocol(PROTOCOL)
    asked: dict[str, Any] = {
        "negatives": request.negatives, "mpp": request.mpp, "group": request.group, "edge": protocol.edge,
        "window_um": request.crop_um,
    }  # fmt: skip
    with progress.stage("cells"):
        own = look_for(request.dataset, request.data, slide_um=protocol.window_um, **asked)
        folds, told, problem = _folds(own.cells, request, protocol)
    crops = _look(own, progress)
    findings = _own_findings(own, folds, problem, crops)
    facts = _facts(request, own, told)
    if not request.against:
        return DatasetAudit(request, tuple(findings), facts, (own,))
    with progress.stage("cells"):  # windows of one size, so that equal crops are equal
        slide_um = protocol.window_um if own.plan is None else float(np.median(own.plan.seen_um))
        other = look_for(request.against, request.against_data, slide_um=slide_um, **asked)
    facts["against"] = _facts(request, other, "")
    findings += lineage_findings(own.cells, other.cells, [entry.spec for entry in load_registry().datasets])
    theirs = _look(other, progress)
    if crops is not None and theirs is not None:
        findings += likeness_findings(own.cells, crops, theirs)
    else:
        why = f"the images of {request.dataset if crops is None else request.against} are not here"
        findings.append(not_looked_at("crops in both", "pairs", why, "point to the folder of the images"))
    return DatasetAudit(request, tuple(findings), facts, (own, other))


def _own_findings(own: VisibleDataset, folds: Folds, problem: str, crops: Crops | None) -> list[AuditFinding]:
    cells = own.cells
    level = f"{cells.group_level}s"
    findings = split_findings(cells, folds, own.sides)
    if (cells.groups == "").any():
        why = f"the files do not tell the {cells.group_level} of {int(np.sum(cells.groups == '')):,} cells"
        findings[0] = not_looked_at("group leaks", level, why, "ask the owner of the data")
    if crops is None:
        what, why = "duplicates, conflicting labels, borders", f"no image is in {cells.root}"
        findings.append(not_looked_at(what, "cells", why, "point --data to the folder of the images"))
    else:
        findings += pixel_findings(cells, folds, crops, close_pairs(cells, own.sides)[0])
        findings += [*_borders(own), *_missing(own, crops)]
    if not problem:
        return findings
    no_split = found("no split", "datasets", "warning", problem, "see --split and --group", [], count=1)
    return [no_split, *(_without_split(one) if one.kind in OF_A_SPLIT else one for one in findings)]


def _folds(cells: Cells, request: AuditRequest, protocol: Protocol) -> tuple[Folds, str, str]:
    """Return the folds, what they are called, and why there are none."""
    official = cells.table["split"].to_numpy(dtype=np.str_)
    name = request.split or protocol.split
    if name in ("auto", "official") and (official != "").any():  # as it is: whether it leaks is what is asked
        return [(np.flatnonzero(official == "train"), np.flatnonzero(official == "test"))], "the official split", ""
    domains = {one: cells.table[f"domain_{one}"].to_numpy(dtype=np.str_) for one in cells.domains}
    recipe = SplitRecipe(name, protocol.outer_folds, protocol.split_seed, request.domain)
    if (cells.groups == "").all():
        return [], "", f"its files tell no {cells.group_level}, so that no split of it can be shown free of leaks"
    try:
        made = make_folds(cells.labels, cells.groups, official, domains, recipe)
    except SplitError as error:
        if request.split:
            raise
        return [], "", error.message
    told = "grouped" if name == "auto" else name
    return [(fold.train, fold.test) for fold in made], f"{len(made)} folds, {told}", ""


def _look(dataset: VisibleDataset, progress: Progress) -> Crops | None:
    if not len(dataset.here):
        return None
    with progress.stage("crops") as advance:
        return look_at(dataset.read, dataset.reading_order().tolist(), advance)


def _without_split(finding: AuditFinding) -> AuditFinding:
    return not_looked_at(finding.kind, finding.unit, "there is no split to look at", "see --split and --group")


def _borders(dataset: VisibleDataset) -> list[AuditFinding]:
    if dataset.plan is None:
        return []
    return [
        found(
            "windows beyond the border", "cells", "note",
            "part of the window lies outside its image, and is filled by the protocol's edge rule",
            "know it; a smaller window has fewer of them", dataset.here[dataset.plan.beyond_border],
        )
    ]  # fmt: skip


def _missing(dataset: VisibleDataset, crops: Crops) -> list[AuditFinding]:
    broken = len(dataset.here) - len(crops.rows)
    why = f"the crops of {len(dataset.cells) - len(crops.rows):,} cells were not looked at"
    return [
        replace(not_looked_at(kind, unit, why, "fetch or mend them"), count=count)
        for count, kind, unit in (
            (dataset.missing, "missing images", "images"), (dataset.unreadable, "unreadable images", "images"),
            (broken, "unreadable crops", "cells"),
        )
        if count
    ]  # fmt: skip


def _facts(request: AuditRequest, dataset: VisibleDataset, split: str) -> dict[str, Any]:
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
        "crops_looked_at": len(dataset.here),
        "window_um": None if plan is None else plan.geometry.window_um,
    }  # fmt: skip
