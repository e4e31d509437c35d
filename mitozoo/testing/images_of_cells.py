"""Are the images that label files name at hand and whole, and do the cells lie inside them; headers only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mitozoo.data.cells import Cells
from mitozoo.data.geometry import Geometry
from mitozoo.data.patches import plan_patches
from mitozoo.engine.findings import Finding, finding_of
from mitozoo.errors import MitozooError, SlideError
from mitozoo.protocols.spec import Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pandas as pd

    from mitozoo.data.patches import PatchPlan
    from mitozoo.plugins.dataset_spec import DatasetSpec

TARGET_PX = 224
STAND_IN_MPP = 0.25  # where none is known, so that places can still be held against sizes


def image_findings(spec: DatasetSpec, folder: Path, table: pd.DataFrame) -> Iterator[Finding]:
    """Yield whether images are whole, their microns per pixel known, and the cells inside; no pixel is decoded.

    Args:
        spec: the dataset.
        folder: its files.
        table: as `mitozoo.data.cells.read_every_cell` returns it.
    """
    there = {file: (folder / file).is_file() for file in table["file"].unique()}
    missing = sorted(file for file, present in there.items() if not present)
    here = table["file"].map(there).to_numpy(dtype=bool)
    if not here.any():
        mend = "Run the check again where the images are."
        told = f"NOT CHECKED: images, microns per pixel, cells inside; none of {len(there):,} images is in {folder}"
        yield Finding("WARN", "images", told, mend)
        return
    if spec.patch_px is None and table["x"].isna().all():
        told = f"NOT CHECKED: {len(there) - len(missing):,} images, since nothing tells where in them the cells lie"
        yield Finding("WARN", "images", told, "Declare patch_px where each image is one cell's patch.")
        return
    cells = Cells(spec, folder, table[here].reset_index(drop=True), spec.group)
    try:
        plan = _plan(cells)
        unknown_mpp = None
    except SlideError as error:  # not one of them can be read
        yield finding_of(error, "images")
        return
    except MitozooError as error:
        unknown_mpp = error
        assumed = cells.table.assign(mpp=cells.table["mpp"].fillna(STAND_IN_MPP))
        try:
            plan = _plan(Cells(spec, folder, assumed, spec.group))
        except MitozooError as still:
            mend = "Hold the label file's unit and origin against the image: px at full resolution, from its top left."
            yield finding_of(still, "images", mend=mend)
            return
    yield _images(plan, missing)
    yield _mpp(plan) if unknown_mpp is None else finding_of(unknown_mpp, "mpp", "WARN")
    yield _inside(plan)


def _plan(cells: Cells) -> PatchPlan:
    window_um = None if cells.spec.patch_px else Protocol.window_um
    return plan_patches(cells, Geometry(window_um, Protocol.edge), target_px=TARGET_PX, skip_unreadable=True)


def _images(plan: PatchPlan, missing: list[str]) -> Finding:
    if plan.skipped:
        cell_id, why = plan.skipped[0]
        told = f"those of {len(plan.skipped):,} cells cannot be read, such as that of {cell_id}: {why}"
        return Finding("FAIL", "images", told, "Fetch or mend them.")
    if missing:
        told = (
            f"{len(missing):,} of {len(missing) + len(plan.files):,} are not in {plan.cells.root}, such as {missing[0]}"
        )
        return Finding("WARN", "images", told, "NOT CHECKED were their cells: run it again where they are.")
    return Finding("PASS", "images", f"{len(plan.files):,}, all there and whole")


def _mpp(plan: PatchPlan) -> Finding:
    if plan.mpp_disagreements:
        slide, file, dataset = plan.mpp_disagreements[0]
        told = f"{len(plan.mpp_disagreements):,} files state others, such as {slide}: {file:g}, not {dataset:g}"
        return Finding("WARN", "mpp", told, "eval takes the file's: find out which is right, and mend the record.")
    values = ", ".join(f"{value:g}" for value in sorted(set(np.round(plan.mpp, 4)))[:6])
    return Finding("PASS", "mpp", f"{values} um/px")


def _inside(plan: PatchPlan) -> Finding:
    if outside := int(plan.centred_outside.sum()):
        first = plan.cells.table.iloc[int(np.argmax(plan.centred_outside))]
        told = f"{outside:,} cells are centred outside their image, such as {first['cell_id']} on {first['slide']}"
        return Finding("WARN", "cells inside", told, "eval keeps them, by the protocol's edge rule; look at one.")
    return Finding("PASS", "cells inside", f"all {len(plan):,}")
