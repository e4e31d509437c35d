"""The tables of the site: one board's models, all entries of a model, and lists of boards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mitozoo.leaderboard.entry import SHOWN
from mitozoo.leaderboard.table import Column, Most, Select, Table, Without, rounded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mitozoo.leaderboard.boards import Board, Standing
    from mitozoo.leaderboard.entry import Entry
    from mitozoo.leaderboard.verdicts import Verdict

NAMES = {"auroc": "AUROC", "within_slide_auroc": "within-slide AUROC", "ece": "calibration error"}
LEAKING, GATED, NOT_A_MODEL = "leaking", "gated", "control"

BOARD_COLUMNS = (
    Column("model", "name"),
    Column("rank", "rank"),
    Column(NAMES[SHOWN[0]], "interval"),
    Column("marks", "marks"),
    Column("checked", "text"),
    Column("pretraining saw", "text"),
    Column("licence", "text"),
    Column("million parameters", "number", 1),
    *(Column(NAMES.get(name, name.replace("_", " ")), "interval") for name in SHOWN[1:]),
    Column("strongest blind control", "number", 3),
    Column("seeds", "number"),
    Column("earlier entries", "number"),
    Column("date", "text"),
)
_PLACE = {column.name: place for place, column in enumerate(BOARD_COLUMNS)}
BOARD_FILTERS = (
    Select("licence", "Licence", _PLACE["licence"]),
    Select("pretraining", "Pretraining saw", _PLACE["pretraining saw"]),
    Select("checked", "Checked", _PLACE["checked"]),
    Most("parameters", "At most so many million parameters", _PLACE["million parameters"]),
    Without("open", "Without gated models", GATED),
    Without("leak-free", "Leak-free results only", LEAKING),
    Without("models-only", "Without controls", NOT_A_MODEL),
)


def board_table(board: Board, pages: Mapping[tuple[str, str], str]) -> Table:
    """Return a row for each model of a board; `pages` names each model's page."""
    table = Table("Means over folds and seeds with 95 % intervals over groups.", BOARD_COLUMNS, BOARD_FILTERS)
    for one in board.standings:
        entry, model, control = one.entry, one.entry.model, one.entry.control
        table.add((
            [model.name, f"../models/{pages[model.key]}"], one.rank, rounded(entry.metrics[0]),
            table.marks(_marks(one)), one.verdict.level, entry.contamination,
            ", ".join(filter(None, (model.license, GATED if model.gated else ""))),
            None if model.parameters is None else round(model.parameters / 1e6, 1), *map(rounded, entry.metrics[1:]),
            None if control is None else round(control[0], 3), entry.seeds, len(one.earlier),
            _date(entry, one.verdict),
        ), _traits(entry))  # fmt: skip
    return table


def model_table(shown: Iterable[tuple[Board, Entry, Verdict, Standing | None]]) -> Table:
    """Return a row for each entry of a model: (its board, it, how far it was checked, its standing if it stands)."""
    table = Table("Every entry, those that stand in a table first.", (
        Column("table", "name"), Column("rank", "rank"), Column(NAMES[SHOWN[0]], "interval"), Column("marks", "marks"),
        Column("checked", "text"), Column("state", "text"), Column("date", "text"), Column("seeds", "number"),
        Column("precision", "text"), Column("version", "text"), Column("run", "text"),
        Column("sha256 of result.json", "text"),
    ), (Select("checked", "Checked", 4), Select("state", "State", 5)))  # fmt: skip
    for board, entry, verdict, standing in shown:
        marks = _marks(standing) if standing else (*verdict.flags, *entry.marks)
        table.add((
            [board.title, f"../boards/{board.file}"], standing.rank if standing else None, rounded(entry.metrics[0]),
            table.marks(marks), verdict.level, "stands" if standing else "earlier", _date(entry, verdict),
            entry.seeds, entry.precision, entry.model.version, entry.run_id[:12], entry.sha256[:12],
        ))  # fmt: skip
    return table


def boards_table(boards: Sequence[Board], folder: str) -> Table:
    """Return a row for each board, whose pages lie in `folder`."""
    table = Table("Each table holds what may be compared; no order holds between tables.", (
        Column("table", "name"), Column("dataset", "text"), Column("protocol", "text"), Column("conditions", "text"),
        Column("% of labels", "number"), Column("perturbed", "text"), Column("models", "number"),
        Column("with a rank", "number"), Column("results", "number"), Column("checked", "number"),
        Column("marks", "marks"),
    ), (Select("dataset", "Dataset", 1), Select("protocol", "Protocol", 2),
        Without("leak-free", "Leak-free tables only", LEAKING)))  # fmt: skip
    for board in boards:
        entries = [standing.entry for standing in board.standings]
        first, leaking = entries[0], all(entry.leaks for entry in entries)
        marks = ["THIS SPLIT LEAKS"] * leaking + ["synthetic data"] * first.dataset.synthetic
        marks += ["not independent: grouped by image"] * (first.dataset.group_level == "image")
        table.add((
            [board.title, f"{folder}{board.file}"], first.dataset.name, first.protocol, first.asked,
            round(100 * board.place.fraction, 2), board.place.perturbed, len(entries), board.ranked,
            sum(1 + len(one.earlier) for one in board.standings),
            sum(one.verdict.checked for one in board.standings), table.marks(marks),
        ), [LEAKING] * leaking)  # fmt: skip
    return table


def _marks(standing: Standing) -> list[str]:
    """Return what must be read beside a row: what the check found, the document's marks, and why it has no rank."""
    entry = standing.entry
    unranked = entry.unranked or ("nothing to compare it with" if standing.rank is None else "")
    return [*standing.verdict.flags, *entry.marks, *([f"no rank: {unranked}"] if unranked else [])]


def _traits(entry: Entry) -> list[str]:
    held = {LEAKING: entry.leaks, GATED: entry.model.gated, NOT_A_MODEL: entry.is_control}
    return [trait for trait, holds in held.items() if holds]


def _date(entry: Entry, verdict: Verdict) -> str:
    return (entry.created or verdict.checked_at)[:10]
