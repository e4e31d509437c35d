"""Which cells an evaluation is about, and what of each is seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mitozoo.data.cells import Cells, read_cells, select_data_folder
from mitozoo.data.patches import Geometry, PatchPlan, plan_patches
from mitozoo.data.splits import sample_groups
from mitozoo.engine.find_dataset import data_folder
from mitozoo.engine.subject import BroughtEmbeddings, RegisteredModel
from mitozoo.errors import DataError, ModelError

if TYPE_CHECKING:
    from mitozoo.engine.request import Request
    from mitozoo.plugins.specs import DatasetSpec, ModelSpec
    from mitozoo.protocols.spec import Protocol


@dataclass(frozen=True)
class Seen:
    """The cells of an evaluation, and their windows.

    Attributes:
        cells: those that are evaluated.
        plan: the window of each; None where embeddings were brought along.
        limited: whether a limit left out cells.
    """

    cells: Cells
    plan: PatchPlan | None
    limited: bool


def see(spec: DatasetSpec, request: Request, subject: RegisteredModel | BroughtEmbeddings, protocol: Protocol) -> Seen:
    """Return the cells and their windows, checked before any work starts.

    A dataset of released patches is seen patch by patch, whole, unless a window is asked for by name.
    """
    root = select_data_folder(spec, data_folder(request.dataset, request.data))
    cells = read_cells(spec, root, negatives=request.negatives, mpp=request.mpp)
    _require_undivided_slides(cells)
    limited = request.limit is not None and request.limit < len(cells)
    if limited:
        assert request.limit is not None
        cells = cells.take(sample_groups(cells.labels, cells.groups, request.limit, seed=protocol.split_seed))
    if isinstance(subject, BroughtEmbeddings):
        return Seen(cells, None, limited)
    geometry, target_px = _geometry(spec, request, subject.spec, protocol)
    plan = plan_patches(
        cells,
        geometry,
        target_px=target_px,
        edge_named="edge" in request.settings,
        skip_unreadable=request.skip_unreadable,
    )
    return Seen(plan.cells, plan, limited)


def _geometry(spec: DatasetSpec, request: Request, model: ModelSpec, protocol: Protocol) -> tuple[Geometry, int]:
    """Return the window, and the side in px that it is resampled to."""
    from mitozoo.models.preprocessing import tile_px

    preprocessing = model.preprocessing
    if protocol.geometry == "window":
        whole_patch = spec.patch_px is not None and "window_um" not in request.settings
        return Geometry(None if whole_patch else protocol.window_um, protocol.edge), preprocessing.size
    if preprocessing.mpp is None:
        raise ModelError(
            f"model '{model.name}' states no microns per pixel, which geometry '{protocol.geometry}' goes by",
            hint="Use the protocol's own window: leave out --set geometry.",
        )
    authors = protocol.geometry == "authors"
    side = tile_px(preprocessing) if authors else preprocessing.size
    return Geometry(side * preprocessing.mpp, protocol.edge, authors), side


def _require_undivided_slides(cells: Cells) -> None:
    """Raise `DataError` for a slide of two groups: its windows could show both sides of a split."""
    groups = cells.table.groupby("slide", sort=True)["group"].nunique()
    divided = groups[groups > 1]
    if len(divided):
        raise DataError(
            f"{len(divided)} slides of dataset '{cells.spec.name}' hold cells of several {cells.group_level}s, such as "
            f"{divided.index[0]}",
            hint="Give each part of such a slide a slide name of its own, with one image file for all.",
        )
