"""Which cells an evaluation is about, and what of each is seen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mitozoo.data.audit import audit_split
from mitozoo.data.cells import Cells, join_cells, read_cells
from mitozoo.data.folds import DATASET
from mitozoo.data.geometry import Geometry
from mitozoo.data.lineage import UnknownSharedCasesError, remove_shared_cases
from mitozoo.data.patches import PatchPlan, join_plans, plan_patches
from mitozoo.data.splits import sample_groups
from mitozoo.data.treatments import stain_normalisation
from mitozoo.engine.find_dataset import find_data_of, fingerprint_of
from mitozoo.engine.subject import BroughtEmbeddings, RegisteredModel
from mitozoo.errors import DataError, ModelError, ProtocolError, SplitError
from mitozoo.plugins.registry import load_registry
from mitozoo.protocols.spec import NATIVE_PX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mitozoo.data.audit import PixelHashes
    from mitozoo.data.splits import Fold
    from mitozoo.engine.find_dataset import FoundDataset
    from mitozoo.engine.request import Request
    from mitozoo.plugins.dataset_spec import DatasetSpec
    from mitozoo.plugins.model_spec import ModelSpec
    from mitozoo.plugins.names import Registered
    from mitozoo.protocols.spec import Protocol

    Subject = RegisteredModel | BroughtEmbeddings


LIMIT_SEED = 0  # the same cells for every protocol, whatever seeds its own split has
FORCE = "To go on all the same, marked so: --despite-shared-cases."


@dataclass(frozen=True)
class Seen:
    """The cells of an evaluation, and their windows.

    Attributes:
        cells: those that are evaluated.
        plan: the window of each; None where embeddings were brought along.
        limited: whether a limit left out cells.
        datasets: what the cells come from, the one that is trained on first.
        shared_cells: training cells that were left out since a tested dataset holds their cases; None: nothing tells
            which they are, and the user wanted to go on.
    """

    cells: Cells
    plan: PatchPlan | None
    limited: bool
    datasets: tuple[Registered[DatasetSpec], ...]
    shared_cells: int | None = 0

    @property
    def fingerprint(self) -> str:
        """64 hex digits of the dataset's record, or of all of them."""
        return fingerprint_of(self.datasets)

    def audit(self, folds: Sequence[Fold], pixels: PixelHashes | None) -> dict[str, Any]:
        """Return what could make the split of these cells untrue; `pixels` is a digest of each one's, where known."""
        sides = [(fold.train, fold.test) for fold in folds]
        if self.plan is None:  # only cells are known, not what the embeddings saw around them
            return audit_split(self.cells, sides, side_px=0, pixel_hashes=None)
        side_px, beyond = self.plan.side_px, self.plan.beyond_border
        found = audit_split(self.cells, sides, side_px=side_px, pixel_hashes=pixels, beyond_border=beyond)
        return found | self.plan.findings()


def see(request: Request, subject: Subject, protocol: Protocol) -> Seen:
    """Find what a request names, and return its cells and their windows as `see_found` does."""
    return see_found(find_data_of(request), request, subject, protocol)


def see_found(found: Sequence[FoundDataset], request: Request, subject: Subject, protocol: Protocol) -> Seen:
    """Return the cells and their windows, checked before any work starts.

    A dataset of released patches is seen patch by patch, whole, unless a window is asked for by name. Several datasets
    are joined into one; cases that a tested one shares with the one that is trained on are taken out of the latter.

    Raises:
        MitozooError: cells or slides are not what they must be.
    """
    tables = [_cells(one, request) for one in found]
    datasets = tuple(one.registered for one in found)
    limited = any(cut for _, cut in tables)
    parts, shared = _without_shared_cases([cells for cells, _ in tables], forced=request.despite_shared_cases)
    if isinstance(subject, BroughtEmbeddings):
        return Seen(_joined(parts), None, limited, datasets, shared)
    plans = [_plan(cells, request, subject.spec, protocol) for cells in parts]
    if len(plans) == 1:
        return Seen(plans[0].cells, plans[0], limited, datasets, shared)
    cells = join_cells([plan.cells for plan in plans], as_domain=DATASET)
    in_order = np.argsort(cells.table["cell_id"].to_numpy(dtype=np.str_), kind="stable")
    plan = join_plans(cells, plans).take(in_order)
    return Seen(plan.cells, plan, limited, datasets, shared)


def _cells(found: FoundDataset, request: Request) -> tuple[Cells, bool]:
    """Return a dataset's cells, and whether a limit left some out."""
    cells = read_cells(found.spec, found.folder, negatives=request.negatives, mpp=request.mpp)
    if request.group == "image":
        cells = cells.by_image()
    _require_undivided_slides(cells)
    if request.limit is None or request.limit >= len(cells):
        return cells, False
    return cells.take(sample_groups(cells.labels, cells.groups, request.limit, seed=LIMIT_SEED)), True


def _without_shared_cases(parts: list[Cells], *, forced: bool) -> tuple[list[Cells], int | None]:
    """Return the datasets, the first without the others' cases, and how many cells that took; None: nothing tells."""
    train, *tested = parts
    before, known = len(train), True
    relations = [entry.spec for entry in load_registry().datasets] if tested else []
    for test in tested:
        if test.spec.positive_class != train.spec.positive_class:
            raise SplitError(
                f"dataset '{train.spec.name}' is about '{train.spec.positive_class}', and '{test.spec.name}' about "
                f"'{test.spec.positive_class}': what is trained on one cannot be tested on the other"
            )
        try:
            train, _ = remove_shared_cases(train, test, relations)
        except UnknownSharedCasesError as error:
            if not forced:
                raise SplitError(error.message, hint=f"{error.hint or ''} {FORCE}".strip()) from error
            known = False
    return [train, *tested], before - len(train) if known else None


def _joined(parts: list[Cells]) -> Cells:
    if len(parts) == 1:
        return parts[0]
    cells = join_cells(parts, as_domain=DATASET)
    return cells.take(np.argsort(cells.table["cell_id"].to_numpy(dtype=np.str_), kind="stable"))


def _plan(cells: Cells, request: Request, model: ModelSpec, protocol: Protocol) -> PatchPlan:
    geometry, target_px = _geometry(cells.spec, request, model, protocol)
    plan = plan_patches(
        cells,
        geometry,
        target_px=target_px,
        edge_named="edge" in request.settings,
        mpp_named=request.mpp is not None,
        skip_unreadable=request.skip_unreadable,
    )
    stain = stain_normalisation(request.stain)
    return plan if stain is None else replace(plan, treatments=(stain,))


def _geometry(spec: DatasetSpec, request: Request, model: ModelSpec, protocol: Protocol) -> tuple[Geometry, int]:
    """Return the window, and the side in px that it is resampled to."""
    preprocessing = model.preprocessing
    if request.crop_um is not None and protocol.geometry != "window":
        raise ProtocolError(
            f"--crop-um names a window, and geometry '{protocol.geometry}' has its own", hint="Leave one of them out."
        )
    if protocol.geometry == "window":
        named = request.crop_um is not None or "window_um" in request.settings
        whole_patch = spec.patch_px is not None and not named
        window_um = request.crop_um or protocol.window_um
        return Geometry(None if whole_patch else window_um, protocol.edge), preprocessing.size
    if protocol.geometry == "native":
        native_px = None if spec.patch_px is not None else NATIVE_PX
        return Geometry(None, protocol.edge, window_px=native_px), preprocessing.size
    if preprocessing.mpp is None:
        raise ModelError(
            f"model '{model.name}' states no microns per pixel, which geometry '{protocol.geometry}' goes by",
            hint="Use the protocol's own window: leave out --set geometry.",
        )
    from mitozoo.models.preprocessing import tile_px

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
            hint="--group image is for fields that are slides of their own; patches of one slide may overlap."
            if cells.group_level == "image"
            else "Give each part of such a slide a slide name of its own, with one image file for all.",
        )
