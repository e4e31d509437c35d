"""The page: sections, figures and pictures, put into one template that escapes every value."""

from __future__ import annotations

from dataclasses import astuple, dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from mitozoo.errors import VerificationError
from mitozoo.pages.template import template
from mitozoo.report import section_tables, statements
from mitozoo.report.checklist import SOURCES, checklist
from mitozoo.report.compared import METRIC
from mitozoo.report.differences import mean_ranks_figure
from mitozoo.report.gathering import Section

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mitozoo.report.figure import Figure
    from mitozoo.report.gathering import Run
    from mitozoo.report.pictures import Gallery


@dataclass(frozen=True)
class Chapter:
    """A section with all that was made of it.

    Attributes:
        section: its runs.
        comparison: of them; None where there is none.
        figures: its charts.
        notes: why something is missing.
        galleries: (run's name, its galleries).
        maps: of embeddings.
        no_pictures: why there are none.
    """

    section: Section
    comparison: dict[str, Any] | None
    figures: list[Figure]
    notes: list[str] = field(default_factory=list)
    galleries: list[tuple[str, list[Gallery]]] = field(default_factory=list)
    maps: list[Figure] = field(default_factory=list)
    no_pictures: list[str] = field(default_factory=list)


def render(chapters: Sequence[Chapter], across: dict[str, Any] | None) -> str:
    """Return the page as HTML; equal runs give equal text."""
    runs = [run for chapter in chapters for run in chapter.section.runs]
    titles = list(dict.fromkeys(chapter.section.document["dataset"]["name"] for chapter in chapters))
    return template("mitozoo.report").render(
        title=f"mitozoo report: {', '.join(titles)}",
        summary=f"{_count(len(runs), 'run')} in {_count(len(chapters), 'section')}. Scores are probabilities of the "
        "positive class; every number is a mean over folds and seeds, with its 95 % interval over groups.",
        sections=[_context(chapter, number) for number, chapter in enumerate(chapters, 1)],
        across=_across(across),
        version=version("mitozoo"),
        run_ids=[run.document["run_id"] for run in runs],
        sources=list(SOURCES.items()),
    )


def require_showable(run: Run) -> None:
    """Raise `VerificationError`, naming the run, where its document lacks or garbles what the page shows of it."""
    try:
        _context(Chapter(Section((run,)), None, []), 0)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        folder = run.result.folder
        raise VerificationError(
            f"{folder.name}: its result.json does not hold what a report shows: {type(error).__name__}: {error}",
            hint=f"See what else is wrong: mitozoo verify {folder}",
        ) from error


def _across(across: dict[str, Any] | None) -> dict[str, Any] | None:
    if across is None:
        return None
    refused = across.get("refused")
    return {"refused": refused, "figure": None if refused else mean_ranks_figure(across, METRIC)}


def _context(chapter: Chapter, number: int) -> dict[str, Any]:
    section, comparison = chapter.section, chapter.comparison
    return {
        "id": f"section-{number}",
        "title": statements.section_title(section),
        "about": statements.about(section),
        "headline": statements.headline(section, comparison),
        "order": statements.order(section, comparison),
        "headers": section_tables.HEADERS,
        "rows": section_tables.models(section, comparison),
        "figures": chapter.figures,
        "notes": chapter.notes,
        "tables": section_tables.further_tables(section),
        "runs": [
            {
                "name": run.name,
                "remarks": run.result.remarks(),
                "tables": run.result.tables(),
                "checklist": [astuple(item) for item in checklist(run)],
            }
            for run in section.runs
        ],
        "galleries": chapter.galleries,
        "maps": chapter.maps,
        "no_pictures": chapter.no_pictures,
    }


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' if number != 1 else ''}"
