"""Write the report of some runs, and on request its figures as files."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from mitozoo import storage
from mitozoo.errors import MitozooError
from mitozoo.report.compared import METRIC, compared, over_datasets
from mitozoo.report.differences import mean_ranks_figure
from mitozoo.report.embedding_map import cached_embeddings, embedding_maps
from mitozoo.report.figure_files import can_rasterise, write_figures
from mitozoo.report.figures import section_figures
from mitozoo.report.gathering import gather
from mitozoo.report.page import Chapter, render, require_showable
from mitozoo.report.pictures import galleries
from mitozoo.report.statements import section_title

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mitozoo.data.patches import PatchPlan
    from mitozoo.report.gathering import Run

    Windows = Callable[[Run], PatchPlan]

PICTURED = 3  # runs of a section, those of the highest AUROC


def write_report(
    folders: Sequence[Path], page: Path, *, windows: Windows | None = None, figures: Path | None = None
) -> list[str]:
    """Write one self-contained page about runs; return what a person should be told, one line each.

    Args:
        folders: of the runs; those on other cells, by another protocol or under other conditions stand apart.
        page: the file to write.
        windows: finds the windows of a run's cells again, for pictures; None: no pictures.
        figures: a folder for every figure as SVG, its data as CSV, and as PNG where the extra `figures` is installed.

    Raises:
        MitozooError: a run is not what it must be.
    """
    told: list[str] = []
    chapters, comparisons = [], []
    sections = gather(folders)
    for section in sections:
        for run in section.runs:
            require_showable(run)
    for number, section in enumerate(sections, 1):
        comparison, reason = compared(section)
        comparisons.append(comparison)
        charts = section_figures(section, f"s{number}", comparison, METRIC)
        chapter = Chapter(section, comparison, charts, [reason] if reason else [])
        chapters.append(_with_pictures(chapter, f"s{number}", windows, told))
    across = over_datasets([chapter.section for chapter in chapters], comparisons)
    with storage.write_whole(page) as unfinished:
        unfinished.write_text(render(chapters, across), encoding="utf-8")
    if figures is not None:
        for number, chapter in enumerate(chapters, 1):
            folder = figures / f"{number}-{_plain(section_title(chapter.section))}"
            write_figures([*chapter.figures, *chapter.maps], folder)
        if across is not None and "refused" not in across:
            write_figures([mean_ranks_figure(across, METRIC)], figures)
        if not can_rasterise():
            told.append("figures are SVG and CSV; for PNG too: pip install 'mitozoo[figures]'")
    return told


def _with_pictures(chapter: Chapter, prefix: str, windows: Windows | None, told: list[str]) -> Chapter:
    if windows is None:
        return replace(chapter, no_pictures=["None were asked for."])
    shown, maps, without = [], [], []
    for place, run in enumerate(chapter.section.best(PICTURED)):
        try:
            plan = windows(run)
            shown.append((run.name, galleries(run, plan)))
            embeddings = cached_embeddings(run, plan) if run.fits else None
        except MitozooError as error:
            without.append(
                f"None of {run.name}: the dataset's files are not at hand, or show other pixels than the run saw."
            )
            told.append(f"no pictures of {run.name}: {error.message}")
            continue
        if embeddings is None:
            without.append(f"No map of {run.name}: its embeddings are not in the cache of this machine.")
        else:
            maps += embedding_maps(run, embeddings, f"{prefix}-{place}")
    return replace(chapter, galleries=shown, maps=maps, no_pictures=without)


def _plain(words: str) -> str:
    """Return words as part of a folder's name."""
    return re.sub(r"[^a-z0-9.]+", "-", words.lower()).strip("-.")[:80]
