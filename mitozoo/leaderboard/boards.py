"""Entries in tables of their own: which one stands for each model, what went before it, and the range of its rank."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mitozoo.leaderboard.verdicts import LEVELS, UNCHECKED
from mitozoo.leaderboard.words import file_name
from mitozoo.statistics.rank_ranges import joint_intervals, rank_ranges

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from mitozoo.leaderboard.entry import Entry, Place
    from mitozoo.leaderboard.verdicts import Verdict


@dataclass(frozen=True)
class Standing:
    """A model's entry in a table.

    Attributes:
        entry: the one that is shown.
        verdict: how far it was checked.
        earlier: its other entries, the newest first, each with its verdict.
        rank: best and worst place that it may have; None where it has none.
    """

    entry: Entry
    verdict: Verdict
    earlier: tuple[tuple[Entry, Verdict], ...]
    rank: tuple[int, int] | None = None


@dataclass(frozen=True)
class Board:
    """One table: entries that may be compared.

    Attributes:
        place: what they have in common.
        standings: by AUROC, those with a rank first.
        file: name of its page.
        title: of its page, unique among all boards.
    """

    place: Place
    standings: tuple[Standing, ...]
    file: str
    title: str

    @property
    def ranked(self) -> int:
        """How many have a rank."""
        return sum(standing.rank is not None for standing in self.standings)


def make_boards(entries: Iterable[Entry], verdicts: Mapping[str, Verdict]) -> list[Board]:
    """Return a board for each place, by title.

    A model has one row: of its entries that of the highest level; of these the newest by its own word, then that of the
    most seeds.
    """
    by_place: dict[Place, dict[tuple[str, str], list[Entry]]] = {}
    for entry in entries:
        by_place.setdefault(entry.place, {}).setdefault(entry.model.key, []).append(entry)
    boards = [_board(place, models.values(), verdicts) for place, models in by_place.items()]
    return sorted(_told_apart(boards), key=lambda board: (board.title, board.file))


def _board(place: Place, models: Iterable[Sequence[Entry]], verdicts: Mapping[str, Verdict]) -> Board:
    standings = []
    for own in models:
        checked = sorted(
            ((entry, verdicts.get(entry.sha256, UNCHECKED)) for entry in own), key=_precedence, reverse=True
        )
        standings.append(Standing(*checked[0], tuple(checked[1:])))
    return Board(
        place,
        tuple(sorted(_ranked(standings), key=_order)),
        file_name(standings[0].entry.title, repr(place)),
        standings[0].entry.title,
    )


def _precedence(one: tuple[Entry, Verdict]) -> tuple[int, str, int, str]:
    entry, verdict = one
    return LEVELS.index(verdict.level), entry.created or verdict.checked_at, entry.seeds, entry.sha256


def _ranked(standings: Sequence[Standing]) -> list[Standing]:
    """Return the standings with the ranges of their ranks, among those that may have one."""
    ranked = [standing for standing in standings if not standing.entry.unranked]
    known = [(standing.entry.metrics[0], standing.entry.groups) for standing in ranked]
    intervals = [(*interval, groups) for interval, groups in known if interval is not None]
    if len(intervals) < 2:
        return list(standings)
    value, low, high, groups = zip(*intervals, strict=True)
    best, worst = rank_ranges(*joint_intervals(value, low, high, groups))
    ranges = {id(one): (int(a), int(b)) for one, a, b in zip(ranked, best, worst, strict=True)}
    return [Standing(one.entry, one.verdict, one.earlier, ranges.get(id(one))) for one in standings]


def _order(standing: Standing) -> tuple[bool, float, str]:
    auroc = standing.entry.metrics[0]
    return standing.rank is None, -(auroc[0] if auroc else 0), standing.entry.sha256


def _told_apart(boards: Iterable[Board]) -> list[Board]:
    """Return the boards under titles that differ: those of equal words by whatever else they do not have in common."""
    by_title: dict[str, list[Board]] = {}
    for board in boards:
        by_title.setdefault(board.title, []).append(board)
    told = []
    for alike in by_title.values():
        titles = [board.title for board in alike]
        for tell in _TELLING:
            words = [tell(board) for board in alike]
            if len(set(titles)) < len(titles) and len(set(words)) > 1:
                titles = [f"{title}, {word}" for title, word in zip(titles, words, strict=True)]
        unique = len(set(titles)) == len(titles)
        told += [
            replace(board, title=title if unique else f"{title}, {board.file[-21:-5]}")
            for board, title in zip(alike, titles, strict=True)
        ]
    return told


def _seen(board: Board) -> str:
    import orjson

    seen = orjson.loads(board.place.seen)
    return "sees nobody knows what" if seen is None else f"sees {seen['median']:g} um"


#: What may tell boards apart whose titles are the same words.
_TELLING: tuple[Callable[[Board], str], ...] = (
    lambda board: f"{board.standings[0].entry.dataset.cells:,} cells",
    _seen,
    lambda board: f"folds {', '.join(map(str, board.place.folds))}",
    lambda board: f"cells {board.place.cells_sha256[:8]}",
    lambda board: f"protocol {board.place.protocol_hash[:8]}",
)
