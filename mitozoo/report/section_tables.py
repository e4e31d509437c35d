"""The tables of a section: its models with their cost and marks, candidate counts, and controls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mitozoo.results.beside import interval

if TYPE_CHECKING:
    from mitozoo.report.gathering import Run, Section

SHOWN = ("auroc", "within_slide_auroc", "average_precision", "balanced_accuracy", "sensitivity", "specificity", "ece")
#: Of the table of models.
HEADERS = (
    "run", *(name.replace("_", " ") for name in SHOWN), "strongest blind control", "rank", "M parameters",
    "GFLOPs a patch", "patches/s", "seconds", "pretraining", "licence", "marks",
)  # fmt: skip
Cell = tuple[Any, str]  # what is shown, and what it sorts by
Table = tuple[tuple[str, str], list[str], list[list[str]]]  # title and caption, headers, rows


def models(section: Section, comparison: dict[str, Any] | None) -> list[list[Cell]]:
    """Return a row for each run, a cell for each of `HEADERS`."""
    ranks = comparison["ranks"] if comparison else None
    return [_row(run, ranks[place] if ranks else None) for place, run in enumerate(section.runs)]


def further_tables(section: Section) -> list[Table]:
    """Return candidate counts and controls, as far as there are any."""
    return [table for table in (_counts(section), _controls(section)) if table[2]]


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


def _counts(section: Section) -> Table:
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


def _controls(section: Section) -> Table:
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
