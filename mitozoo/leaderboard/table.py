"""A table of a page: columns of a few kinds, rows of plain values, and what rows can be filtered by."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mitozoo.leaderboard.entry import Interval

Kind = Literal["name", "text", "interval", "number", "rank", "marks"]

#: Rows that stand in the page itself, and that its script shows at once.
AT_ONCE = 100
LOUD = ("LEAKS", "DOES NOT", "saw labels")


@dataclass(frozen=True)
class Column:
    """A column: what stands above it, what its values are, and with how many digits numbers are shown."""

    name: str
    kind: Kind
    digits: int = 0


@dataclass(frozen=True)
class Select:
    """A choice among the values of a column."""

    id: str
    label: str
    column: int


@dataclass(frozen=True)
class Most:
    """A number that a column's values may not exceed; what is unknown is taken to exceed it."""

    id: str
    label: str
    column: int


@dataclass(frozen=True)
class Without:
    """A box that hides rows with a trait."""

    id: str
    label: str
    trait: str


@dataclass
class Table:
    """Rows and what may be done with them.

    A value is, by its column's kind, [text, page or ''], a text, [mean, low, high] or [mean] or None, a number or None,
    [best, worst] or None, or a list of places in `words`.

    Attributes:
        caption: what the rows are.
        columns: theirs.
        filters: what rows can be filtered by.
        rows: a value for each column, and then the row's traits, parted by spaces.
        words: marks, each once.
    """

    caption: str
    columns: tuple[Column, ...]
    filters: tuple[Select | Most | Without, ...] = ()
    rows: list[list[Any]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    _places: dict[str, int] = field(default_factory=dict)

    def add(self, values: Iterable[Any], traits: Iterable[str] = ()) -> None:
        """Append a row."""
        self.rows.append([*values, " ".join(traits)])

    def marks(self, words: Iterable[str]) -> list[int]:
        """Return marks as places in the list of all."""
        places = []
        for word in words:
            place = self._places.setdefault(word, len(self.words))
            if place == len(self.words):
                self.words.append(word)
            places.append(place)
        return places

    def values(self, column: int) -> list[str]:
        """Return the different texts of a column, sorted."""
        return sorted({row[column] for row in self.rows} - {""})

    def first(self) -> list[list[tuple[str, Any, str]]]:
        """Return (kind, what is shown, page) of each cell of the rows that stand in the page itself."""
        return [
            [self._shown(column, value) for column, value in zip(self.columns, row, strict=False)]
            for row in self.rows[:AT_ONCE]
        ]

    def data(self) -> dict[str, Any]:
        """Return what the page's script needs, as JSON values."""
        return {
            "columns": [[column.kind, column.digits] for column in self.columns],
            "rows": self.rows,
            "words": [[word, is_loud(word)] for word in self.words],
        }

    def _shown(self, column: Column, value: Any) -> tuple[str, Any, str]:
        if column.kind == "marks":
            return "marks", [(self.words[place], is_loud(self.words[place])) for place in value], ""
        if column.kind == "name":
            return "name", value[0], value[1]
        return column.kind, shown(column, value), ""


def shown(column: Column, value: Any) -> str:
    """Return a value as text; page.js has the same words."""
    if value is None:
        return "-"
    if column.kind == "interval":
        mean, *ends = (f"{number:.3f}" for number in value)
        return f"{mean} [{ends[0]}, {ends[1]}]" if ends else mean
    if column.kind == "rank":
        return f"{value[0]}" if value[0] == value[1] else f"{value[0]} to {value[1]}"
    return f"{value:.{column.digits}f}" if column.kind == "number" else str(value)


def rounded(interval: Interval | None) -> list[float] | None:
    """Return an interval as a table's value."""
    return None if interval is None else [round(number, 3) for number in interval if number is not None]


def is_loud(mark: str) -> bool:
    """Tell whether a mark says that a number must not be believed as it stands."""
    return any(word in mark for word in LOUD)
