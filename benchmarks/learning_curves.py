"""The whole grid of a learning curve on cached embeddings: 7 seeds x 7 fractions x 5 folds, each choosing among 9 C.

Each of the 245 rows is a linear probe as an evaluation fits it: a penalty chosen among nine by five grouped inner
folds, then the refit and the scores of its test cells; the very fitter of the engine does it, with as many rows at
once as it takes. The embeddings are made up, with a spectrum as embeddings have. Metrics are not counted. Where the
device is none of these processors, the smallest rows are checked against them first.

python benchmarks/learning_curves.py [--cells 58000] [--embed-dim 2560] [--device cuda]
python benchmarks/learning_curves.py --cells 2000 --embed-dim 64 --device cpu
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from probe import power_law
from recording import arguments, keep, say, skip

from mitozoo.data.cells import Cells
from mitozoo.data.folds import make_folds
from mitozoo.data.splits import NotEnoughLabels
from mitozoo.embeddings.table import EmbeddingTable
from mitozoo.engine.cost import device_name, peak_device_memory_mb
from mitozoo.engine.fits import Fit
from mitozoo.engine.head_fits import FrozenFitter
from mitozoo.engine.progress import Progress
from mitozoo.engine.subject import BroughtEmbeddings
from mitozoo.models.devices import pick_device
from mitozoo.models.matrix_peak import wait_for
from mitozoo.plugins.registry import load_registry
from mitozoo.protocols.presets import find_protocol
from mitozoo.results.cell_columns import CellColumns
from mitozoo.results.conditions import Conditions
from mitozoo.results.row import Axes, ResultRow
from mitozoo.results.scoring import labelled_rows

FRACTIONS = (1.0, 0.5, 0.25, 0.1, 0.05, 0.02, 0.01)
GOAL_SECONDS = 20
TOLERANCE = 1e-4  # of probabilities, between devices
CHECKED = 2  # rows


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--cells", type=int, default=58_000)
    parser.add_argument("--embed-dim", type=int, default=2560)
    parser.add_argument("--seeds", type=int, default=7)
    parser.add_argument("--fractions", type=int, default=len(FRACTIONS), help="the largest so many")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--device", default="cuda")
    asked = parser.parse_args()
    if asked.device == "cuda" and not torch.cuda.is_available():
        skip("the goal is that of a data-centre GPU, and there is none here (--device cpu measures this processor)")
    device = pick_device(asked.device)
    cells, embeddings = made_up(asked.cells, asked.embed_dim)
    fitter = fitter_of(cells, embeddings, device)
    fits = grid(cells, asked.seeds, FRACTIONS[: asked.fractions], asked.folds)
    smallest = sorted(fits, key=lambda fit: len(fit.train))[:CHECKED]
    warm = rows_of(fitter, smallest)  # what is made at first use is there from here on
    if device != "cpu":
        expected = rows_of(fitter_of(cells, embeddings, "cpu"), smallest)
        apart = max(np.abs(warm[name].test_scores - row.test_scores).max() for name, row in expected.items())
        if not apart <= TOLERANCE:  # NaN is no equality
            raise SystemExit(f"probabilities differ from those of the processor by {apart:.1e}")
        say(f"the {CHECKED} smallest rows equal those of the processor within {apart:.1e}")
    wait_for(device)
    start, busy = time.perf_counter(), time.process_time()
    rows = rows_of(fitter, fits)
    wait_for(device)
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    converged = sum(row.converged for row in rows.values())
    say(f"{len(rows)} rows on {asked.cells:,} x {asked.embed_dim:,} embeddings, {device_name(device)}: {seconds:.1f} s")
    say(f"goal {GOAL_SECONDS} s for 245 rows on 58,000 x 2,560 on a data-centre GPU")
    say(f"{busy:.1f} s of processors; {converged} rows converged")
    if (memory := peak_device_memory_mb(device)) is not None:
        say(f"at most {memory:,} MB of the device's memory")
    keep(asked, __doc__)


def made_up(count: int, embed_dim: int) -> tuple[Cells, np.ndarray]:
    """Return cells in slides, with slides as groups, and their embeddings."""
    embeddings, labels, groups = power_law(count, embed_dim, held_out=0)
    names = [f"cell-{number:06}" for number in range(count)]
    table = pd.DataFrame({"cell_id": names, "slide": groups, "group": groups, "split": "", "label": labels})
    table["negative_kind"] = np.where(labels == 1, "", "hard")
    return Cells(load_registry().dataset("midogpp").spec, Path(), table, "slide"), embeddings


def fitter_of(cells: Cells, embeddings: np.ndarray, device: str) -> FrozenFitter:
    """Return the engine's fitter on embeddings that are at hand."""
    brought = BroughtEmbeddings(Path("made up"), EmbeddingTable(cells.table["cell_id"].tolist(), embeddings, {}))
    protocol = find_protocol("linear-probe")
    fitter = FrozenFitter(protocol, brought, cells, None, [], Conditions(), device, None, None, Progress())
    fitter.prepare()
    return fitter


def grid(cells: Cells, seeds: int, fractions: tuple[float, ...], folds: int) -> list[Fit]:
    """Return what is fitted, with the cells that an evaluation would draw."""
    columns, protocol = CellColumns.of(cells.table, Conditions()), find_protocol("linear-probe")
    recipe = Conditions().recipe(protocol.parameters())
    sides = make_folds(columns.labels, columns.groups, cells.table["split"].to_numpy(str), columns.domains, recipe)
    fits = []
    for fraction in fractions:
        for axes in (Axes(fold, seed, fraction) for seed in range(seeds) for fold in range(folds)):
            with contextlib.suppress(NotEnoughLabels):  # a row that an evaluation would skip
                drawn = labelled_rows(
                    columns.labels, columns.groups, sides[axes.fold].train, axes, protocol.fraction_of
                )
                fits.append(Fit([axes], drawn, sides[axes.fold].test))
    return fits


def rows_of(fitter: FrozenFitter, fits: list[Fit]) -> dict[str, ResultRow]:
    """Return each row by its name."""
    return {row.axes.row_id: row for made in fitter.fit(fits, lambda done, total: None) for row in made}


if __name__ == "__main__":
    main()
