"""Trackers: where runs are written up beside their folder; what a plugin offers, and what it is told of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from mitozoo.errors import SpecError
from mitozoo.plugins.fields import NAME
from mitozoo.plugins.record import Record, record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

Outcome = Literal["finished", "failed", "interrupted"]


@dataclass(frozen=True, kw_only=True)
class TrackedRun:
    """The run that a tracker is opened for.

    Attributes:
        run_id: 64 hex digits; the same run, added to later, has the same.
        name: of its folder, such as 'uni-ami-br-linear-probe-0123456789ab'.
        model: name of the model.
        dataset: name of the dataset.
    """

    run_id: str
    name: str
    model: str
    dataset: str


class Tracker(Protocol):
    """One run in a tracker. Whatever a call raises is told to the user once; then the run goes on without the tracker.

    Names are of letters, digits, '_', '-', '.' and '/', which groups them.
    """

    def parameters(self, values: Mapping[str, str | int | float | bool]) -> None:
        """Keep what the run's numbers depend on, and what was asked for; called once, first."""

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Keep numbers: of a training's epoch, from 1, or of the whole run, whose step is 0. All are finite."""

    def artifact(self, path: Path) -> None:
        """Keep a copy of a file of the run."""

    def close(self, outcome: Outcome) -> None:
        """Write down whatever is not written yet; called once, last."""


@record
class TrackerSpec(Record):
    """A tracker that `mitozoo eval --track NAME:PLACE` can write to.

    Attributes:
        name: as in `--track NAME`.
        open: called with PLACE, '' where none was given, and the run; it imports whatever it needs itself.
        place: what PLACE may be, and what stands in its place, in a sentence for `mitozoo plugins` and messages.
        title: what it is.
        aliases: further names.
    """

    name: str
    open: Callable[[str, TrackedRun], Tracker]
    place: str
    title: str = ""
    aliases: tuple[str, ...] = ()

    def validate(self) -> None:
        """Refuse a record that cannot be right."""
        for name in (self.name, *self.aliases):
            if not isinstance(name, str) or not NAME.fullmatch(name):
                raise SpecError(f"TrackerSpec name {name!r} must be lower-case letters, digits, '.', '_' or '-'")
        if not callable(self.open):
            raise SpecError(f"tracker '{self.name}': open must be a function, not {self.open!r}")
        if not self.place:
            raise SpecError(f"tracker '{self.name}': place must say what may follow '--track {self.name}:'")
