"""What is asked, and of what: protocol, subject, cells, windows, folds and rows, each found when it is first needed."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from mitozoo.data.folds import make_folds
from mitozoo.engine.find_dataset import find_data_of
from mitozoo.engine.find_subject import find_subject, require_fitting
from mitozoo.engine.subject import RegisteredModel
from mitozoo.engine.wanted import wanted_rows
from mitozoo.errors import ProtocolError
from mitozoo.models.devices import pick_device, resolve_precision
from mitozoo.protocols.presets import find_protocol
from mitozoo.protocols.spec import override
from mitozoo.results.cell_columns import CellColumns

if TYPE_CHECKING:
    from mitozoo.data.cells import Cells
    from mitozoo.data.folds import SplitRecipe
    from mitozoo.data.patches import PatchPlan
    from mitozoo.data.splits import Fold
    from mitozoo.engine.copies import Perturbed
    from mitozoo.engine.find_dataset import FoundDataset
    from mitozoo.engine.request import Request
    from mitozoo.engine.seen import Seen
    from mitozoo.protocols.spec import Protocol
    from mitozoo.results.row import Axes


class Question:
    """How good is this subject on these cells by this protocol?

    What takes long to import or to read is imported and read by whoever first needs it: to find a stored run again
    takes none of it.
    """

    def __init__(self, request: Request, subject: RegisteredModel | None = None) -> None:
        self.request = request
        self.protocol: Protocol = override(find_protocol(request.protocol), request.settings)
        self.subject = subject or find_subject(request, self.protocol)
        require_fitting(request, self.subject, self.protocol)
        self.conditions = request.conditions
        self.recipe: SplitRecipe = self.conditions.recipe(self.protocol.parameters())

    @functools.cached_property
    def device(self) -> str:
        """That networks run on."""
        return pick_device(self.request.device)

    @functools.cached_property
    def precision(self) -> str | None:
        """That they run in; None where embeddings are brought."""
        if not isinstance(self.subject, RegisteredModel):
            return None
        asked = self.request
        return resolve_precision(self.subject.spec, asked.precision, self.device, compiled=asked.compiled)

    @functools.cached_property
    def data(self) -> tuple[FoundDataset, ...]:
        """The datasets, the one that is trained on first."""
        return find_data_of(self.request)

    @functools.cached_property
    def seen(self) -> Seen:
        """Their cells, and what of each is seen."""
        from mitozoo.engine.seen import see_found

        return see_found(self.data, self.request, self.subject, self.protocol)

    @property
    def cells(self) -> Cells:
        """The cells that are evaluated."""
        return self.seen.cells

    @property
    def plan(self) -> PatchPlan | None:
        """The window of each; None where embeddings are brought."""
        return self.seen.plan

    @property
    def columns(self) -> CellColumns:
        """What scoring needs to know of the cells; made anew each time, so that it takes no memory from the fits."""
        return CellColumns.of(self.cells.table, self.conditions)

    @functools.cached_property
    def folds(self) -> list[Fold]:
        """The outer folds."""
        columns, official = self.columns, self.cells.table["split"].to_numpy(dtype=np.str_)
        names = columns.group_names
        return make_folds(columns.labels, columns.groups, official, columns.domains, self.recipe, names)

    @functools.cached_property
    def wanted(self) -> list[Axes]:
        """The rows that are asked for."""
        return wanted_rows(self.request, [(fold.index, fold.reference_for) for fold in self.folds])

    def perturbed(self) -> list[Perturbed]:
        """Return the test cells as each perturbation leaves them."""
        from mitozoo.engine.copies import Perturbed

        if not self.request.perturbations:
            return []
        if self.plan is None:
            raise ProtocolError("--perturb changes patches, and --embeddings come without any", hint="Name a --model.")
        tested = {axes.fold for axes in self.wanted if axes.perturbed}
        rows = np.unique(np.concatenate([self.folds[index].test for index in sorted(tested)]))
        return [Perturbed(str(one), rows, self.plan.take(rows, one)) for one in self.request.perturbations]

    def plans_to_embed(self) -> list[PatchPlan]:
        """Return the windows, and those that perturbations leave, of which frozen embeddings are needed."""
        if self.plan is None or self.protocol.trains_network:
            return []
        return [self.plan, *(one.plan for one in self.perturbed())]
