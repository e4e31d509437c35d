"""Galleries of a run's worst errors and most disputed cells, cropped anew from the dataset's own files."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from mitozoo.data.patches import PatchPlan
    from mitozoo.report.gathering import Run

A_GALLERY = 8  # crops
SIDE_PX = 112
QUALITY = 85  # of JPEG


@dataclass(frozen=True)
class Picture:
    """A crop as a data address, what it shows in words for those who do not see it, and its caption line by line."""

    source: str
    alternative: str
    lines: list[str]


@dataclass(frozen=True)
class Gallery:
    """Some crops of one kind."""

    title: str
    pictures: list[Picture]


@dataclass(frozen=True, eq=False)
class CellScores:
    """What a run says of each cell that it tested: (m,) rows of the cell table, mean scores, shares of calls."""

    cell: npt.NDArray[np.int64]
    score: npt.NDArray[np.float64]
    called: npt.NDArray[np.float64]


def cell_scores(run: Run) -> CellScores:
    """Return each tested cell's score, averaged over fits, and the share of fits that call it positive."""
    cells = len(run.cells)
    cell = np.concatenate([fit.cell for fit in run.fits])
    score = np.concatenate([fit.scores for fit in run.fits])
    called = np.concatenate([fit.scores >= fit.threshold for fit in run.fits])
    times = np.bincount(cell, minlength=cells)
    tested = np.flatnonzero(times)
    return CellScores(
        tested, *((np.bincount(cell, each, minlength=cells) / np.maximum(times, 1))[tested] for each in (score, called))
    )


def galleries(run: Run, plan: PatchPlan) -> list[Gallery]:
    """Return the hardest false positives, the missed figures and, where there are votes, the most disputed cells.

    Args:
        run: the run.
        plan: the window of each of its cells, in the order of its cell table.
    """
    if not run.fits:
        return []
    scored = cell_scores(run)
    label = run.labels[scored.cell]
    votes = run.votes()
    dispute = np.array([_dispute(votes[cell]) for cell in scored.cell])
    wrong_high = np.flatnonzero((label == 0) & (scored.called >= 0.5))
    wrong_low = np.flatnonzero((label == 1) & (scored.called < 0.5))
    disputed = np.flatnonzero(dispute > 0)
    positive = run.document["dataset"]["classes"]["positive"]["name"]
    highest = wrong_high[np.argsort(-scored.score[wrong_high], kind="stable")]
    lowest = wrong_low[np.argsort(scored.score[wrong_low], kind="stable")]
    least_agreed = disputed[np.lexsort((np.abs(scored.score[disputed] - 0.5), -dispute[disputed]))]
    chosen = (
        (f"Hardest false positives: taken for {positive}", highest),
        (f"Missed: {positive}, not recognised", lowest),
        ("Most disputed among those who voted", least_agreed),
    )
    return [
        Gallery(title, [_picture(run, plan, scored, int(place), votes) for place in places[:A_GALLERY]])
        for title, places in chosen
        if len(places)
    ]


def _picture(run: Run, plan: PatchPlan, scored: CellScores, place: int, all_votes: Sequence[Sequence[int]]) -> Picture:
    from PIL import Image

    cell = int(scored.cell[place])
    entry = run.cells.iloc[cell]
    classes = run.document["dataset"]["classes"]
    label = classes["positive" if entry["label"] else "negative"]["name"]
    votes = [int(vote) for vote in all_votes[cell]]
    lines = [
        f"score {scored.score[place]:.3f}, called positive in {100 * scored.called[place]:.0f} % of fits",
        f"label: {label}",
        *([f"votes: {sum(votes)} of {len(votes)} for positive"] if votes else []),
        f"slide {entry['slide']}",
        f"cell {entry['cell_id']}",
    ]
    with io.BytesIO() as file:
        crop = Image.fromarray(plan.read(cell)).resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)
        crop.save(file, format="JPEG", quality=QUALITY)
        source = f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
    return Picture(source, f"Crop of cell {entry['cell_id']}, labelled {label}", lines)


def _dispute(votes: Sequence[int]) -> float:
    """Return how far votes are from agreeing: 0 where all say the same, 1 where as many say yes as no."""
    share = sum(votes) / len(votes) if len(votes) else 0.0
    return 1 - abs(2 * share - 1)
