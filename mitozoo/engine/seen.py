"""Which cells an evaluation is about, and what of each is seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mitozoo.data.cells import Cells, read_cells, select_data_folder
from mitozoo.data.patches import Geometry, PatchPlan, plan_patches
from mitozoo.data.splits import sample_groups
from mitozoo.engine.subject import BroughtEmbeddings, RegisteredModel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mitozoo.engine.request import Request
    from mitozoo.plugins.specs import DatasetSpec
    from mitozoo.protocols.spec import Protocol


def see(
    spec: DatasetSpec,
    request: Request,
    subject: RegisteredModel | BroughtEmbeddings,
    protocol: Protocol,
    settings: Mapping[str, str],
) -> tuple[Cells, PatchPlan | None]:
    """Return the cells and their windows; no windows where embeddings were brought along.

    A dataset of released patches is seen patch by patch, whole, unless a window is asked for by name.
    """
    root = select_data_folder(spec, request.data)
    cells = read_cells(spec, root, negatives=request.negatives, mpp=request.mpp)
    if request.limit is not None and request.limit < len(cells):
        cells = cells.take(sample_groups(cells.labels, cells.groups, request.limit, seed=protocol.split_seed))
    if isinstance(subject, BroughtEmbeddings):
        return cells, None
    whole_patch = spec.patch_px is not None and "window_um" not in settings
    window_um = float(settings["window_um"]) if "window_um" in settings else protocol.window_um
    plan = plan_patches(
        cells,
        Geometry(None if whole_patch else window_um, protocol.edge),
        target_px=subject.spec.preprocessing.size,
        edge_named="edge" in settings,
        skip_unreadable=request.skip_unreadable,
    )
    return plan.cells, plan
