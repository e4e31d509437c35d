"""The page: what each section says in words, tables and figures, put into one template that escapes every value."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import astuple, dataclass, field
from importlib.metadata import version
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from mitozoo.errors import VerificationError
from mitozoo.report.checklist import SOURCES, checklist
from mitozoo.report.compared import METRIC
from mitozoo.report.differences import mean_ranks_figure
from mitozoo.report.gathering import Section
from mitozoo.results.beside import interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mitozoo.report.figure import Figure
    from mitozoo.report.gathering import Run
    from mitozoo.report.pictures import Gallery

SHOWN = ("auroc", "within_slide_auroc", "average_precision", "balanced_accuracy", "sensitivity", "specificity", "ece")
LOUD = ("THIS SPLIT LEAKS", "DOES NOT BEAT", "image-blind control", "knowing only", "control that sees the image")
Cell = tuple[Any, str]  # what is shown, and what it sorts by


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
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    script, css, template = (_part(name) for name in ("page.js", "page.css", "page.html"))
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=False)
    runs = [run for chapter in chapters for run in chapter.section.runs]
    titles = list(dict.fromkeys(chapter.section.document["dataset"]["name"] for chapter in chapters))
    return environment.from_string(template).render(
        title=f"mitozoo report: {', '.join(titles)}",
        summary=f"{_count(len(runs), 'run')} in {_count(len(chapters), 'section')}. Scores are probabilities of the "
        "positive class; every number is a mean over folds and seeds, with its 95 % interval over groups.",
        sections=[_context(chapter, number) for number, chapter in enumerate(chapters, 1)],
        across=_across(across),
        version=version("mitozoo"),
        run_ids=[run.document["run_id"] for run in runs],
        sources=list(SOURCES.items()),
        css=Markup(css),  # noqa: S704 - this package's own file, as is the next
        script=Markup(script),  # noqa: S704
        script_sha256=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
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


def section_title(section: Section) -> str:
    """Return dataset, protocol and conditions of a section."""
    from mitozoo.results.conditions import Conditions

    document = section.document
    protocol = document["protocol"]
    name = protocol["name"] if "@" in protocol["name"] else f"{protocol['name']}@{protocol['version']}"
    return ", ".join(filter(None, (document["dataset"]["name"], name, Conditions.of(document).summary())))


def _part(name: str) -> str:
    return (files("mitozoo.report") / name).read_text(encoding="utf-8")


def _across(across: dict[str, Any] | None) -> dict[str, Any] | None:
    if across is None:
        return None
    refused = across.get("refused")
    return {"refused": refused, "figure": None if refused else mean_ranks_figure(across, METRIC)}


def _context(chapter: Chapter, number: int) -> dict[str, Any]:
    section, comparison = chapter.section, chapter.comparison
    ranks = comparison["ranks"] if comparison else None
    return {
        "id": f"section-{number}",
        "title": section_title(section),
        "about": _about(section),
        "headline": _headline(section, comparison),
        "order": _order(section, comparison),
        "headers": [
            "run", *(name.replace("_", " ") for name in SHOWN), "strongest blind control", "rank", "M parameters",
            "GFLOPs a patch", "patches/s", "seconds", "pretraining", "licence", "marks",
        ],
        "rows": [_row(run, ranks[place] if ranks else None) for place, run in enumerate(section.runs)],
        "figures": chapter.figures,
        "notes": chapter.notes,
        "tables": [table for table in (_counts(section), _controls(section)) if table[2]],
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
    }  # fmt: skip


def _about(section: Section) -> str:
    document = section.document
    dataset, geometry = document["dataset"], document["geometry"]
    positive, negative = (dataset["classes"][side] for side in ("positive", "negative"))
    words = [
        f"{positive['cells']:,} {positive['name']} (positive) and {negative['cells']:,} {negative['name']} cells in "
        f"{dataset['groups']:,} {dataset['group_level']}s",
        f"negatives: {dataset['negatives']}",
        geometry.get("note") or "",
        f"protocol hash {document['protocol']['hash'][:12]}, cells {dataset['cells_sha256'][:12]}",
    ]
    return f"{'; '.join(filter(None, words))}."


def _headline(section: Section, comparison: dict[str, Any] | None) -> list[str]:
    """Return the highest AUROC with its interval, and the controls that it must be judged by."""
    [best] = section.best(1)
    auroc = best.metric("auroc")
    if auroc["mean"] is None:
        return [f"{best.name}: no row was fitted"]
    lines = [f"{best.name}: AUROC {interval(auroc)}"]
    lines += [line for line in best.result.remarks() if line.startswith(LOUD)]
    if len(section.runs) > 1:
        lines.append(f"The highest AUROC of {len(section.runs)} runs. {_order(section, comparison)}")
    return lines


def _order(section: Section, comparison: dict[str, Any] | None) -> str:
    if len(section.runs) == 1:
        return ""
    if comparison is None:
        return "No order among them is claimed."
    if comparison["no_ranks"]:
        return f"No order among them is claimed: {comparison['no_ranks']}."
    return "A rank is the range of places that a run may have by corrected tests at 5 %, never a single order."


def _row(run: Run, standing: dict[str, Any] | None) -> list[Cell]:
    from mitozoo.results.scoring import strongest_control

    document = run.document
    model = document["model"]
    parameters = model.get("parameters") or run.cost.get("parameters")
    fair = any(not entry["oracle"] and entry["auroc"]["mean"] is not None for entry in document["controls"].values())
    name, control = strongest_control(document["controls"]) if fair else ("", None)
    low, high = (standing["rank_low"], standing["rank_high"]) if standing else (None, None)
    told = None if low is None else f"{low}" if low == high else f"{low} to {high}"
    licensed = ", ".join(filter(None, (model.get("license"), "gated" if model.get("gated") else "")))
    costs: list[Cell] = [
        _cell(None if not parameters else parameters / 1e6, ",.1f"),
        _cell(run.cost.get("gflops"), ".3g"),
        *(_cell(run.cost.get(key), ",.0f") for key in ("patches_per_second", "seconds")),
    ]
    return [
        (run.name, run.name),
        *((interval(run.metric(name)), _key(run.metric(name)["mean"])) for name in SHOWN),
        (f"{control:.3f} ({name})" if control is not None else "", _key(control)),
        (told or "", _key(low)),
        *costs,
        (document["contamination"], document["contamination"]),
        (licensed, licensed),
        (document["marks"], ", ".join(document["marks"])),
    ]


def _counts(section: Section) -> tuple[tuple[str, str], list[str], list[list[str]]]:
    """Return the candidate counts of those runs that have them."""
    rows = []
    for run in section.runs:
        counted = run.document["candidate_count"]
        if not counted or "refused" in counted:
            continue
        area = "-" if counted["area_mm2"] is None else f"{counted['area_mm2']:g}"
        rows += [
            [run.name, counter.replace("_", " "), str(counted["true"]["regions"]), area, str(counted["true"]["total"]),
             *(_signed(entry[key]) for key in ("bias", "limit_low", "limit_high"))]
            for counter, entry in counted["counters"].items()
        ]  # fmt: skip
    caption = (
        "Candidate count, best case: only annotated candidates were classified. Bias and limits of agreement are of "
        "log(count + 1), predicted minus true."
    )
    headers = ["run", "counted by", "regions", "area, mm2", "positives", "bias", "lower limit", "upper limit"]
    return ("Candidate counts", caption), headers, rows


def _controls(section: Section) -> tuple[tuple[str, str], list[str], list[list[str]]]:
    """Return the controls, blind and seeing, of all runs; those that several runs share stand once."""
    rows = []
    for run in section.runs:
        for name, entry in run.document["controls"].items():
            kind = "an oracle: knows the test slides" if entry["oracle"] else "never sees an image"
            rows.append([name, kind, interval(entry["auroc"]), interval(entry["average_precision"])])
        for name, entry in (run.document["image_controls"] or {}).items():
            if "auroc" in entry:
                kind = f"sees the image, beside {run.name}"
                rows.append([name, kind, interval(entry["auroc"]), interval(entry["average_precision"])])
    once = list(dict.fromkeys(map(tuple, rows)))
    caption = "A number is judged against the strongest control, not against 0.5."
    return ("Controls", caption), ["control", "what it knows", "AUROC", "average precision"], list(map(list, once))


def _cell(value: float | None, form: str) -> Cell:
    return (format(value, form) if value is not None else "", _key(value))


def _key(value: float | None) -> str:
    return "" if value is None else repr(float(value))


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2f}"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' if number != 1 else ''}"
