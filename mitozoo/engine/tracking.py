"""Runs written up in trackers while they are computed: one that fails is told once, and no run is lost by it."""

from __future__ import annotations

import functools
import math
import operator
import re
import sys
import textwrap
from typing import TYPE_CHECKING, Any, TypeVar

from mitozoo.engine.log import WARNING, tell
from mitozoo.engine.progress import Listener
from mitozoo.errors import UnknownNameError
from mitozoo.plugins.guard import guarded
from mitozoo.plugins.registry import load_registry
from mitozoo.plugins.rows import diagnose
from mitozoo.plugins.trackers import TrackedRun
from mitozoo.redaction import redact
from mitozoo.results.run_folder import RESULT
from mitozoo.results.scoring import strongest_control

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mitozoo.engine.run_facts import RunFacts
    from mitozoo.plugins.names import Registered
    from mitozoo.plugins.trackers import Outcome, Tracker, TrackerSpec
    from mitozoo.protocols.epoch import Epoch
    from mitozoo.results.result import Result

SECONDS = 60.0  # that one call of a tracker may take before the run goes on without it
LONGEST_REASON = 300  # characters; what a server's client has to say may be a page
REPORT = "report.html"
OWN = ("mlflow", "tensorboard", "wandb")  # whose plugin bears their name
_NO_NAME = re.compile(r"[^A-Za-z0-9_./-]")

T = TypeVar("T")


class Tracking(Listener):
    """Passes on what happens to every tracker that was asked for.

    Args:
        asked: 'NAME' or 'NAME:PLACE' of each.
        note: told of a tracker that fails; stderr, if not said.

    Raises:
        UnknownNameError: no plugin offers a tracker of that name.
    """

    def __init__(self, asked: Sequence[str], note: Callable[[str], None] | None = None) -> None:
        self._note = note or _to_stderr
        self._places = [_Place(text) for text in dict.fromkeys(asked)]

    def began(self, run: RunFacts) -> None:
        """Open the run everywhere, and write down its parameters."""
        model, dataset = str(run.parameters["model"]), str(run.parameters["dataset"])
        tracked = TrackedRun(run_id=run.run_id, name=run.folder.name, model=model, dataset=dataset)
        for place in self._places:
            place.tracker = self._guarded(place, "opening", functools.partial(place.spec.open, place.place, tracked))
        self._each("writing parameters", lambda tracker: tracker.parameters(run.parameters))

    def epoch(self, training: str, epoch: Epoch) -> None:
        """Write down an epoch."""
        told = {name: getattr(epoch, name) for name in ("training_loss", "validation_loss", "validation_auroc")}
        values = _named(f"{training}/lr_{epoch.learning_rate:g}/", told)
        self._each("writing an epoch", lambda tracker: tracker.metrics(values, epoch.number))

    def ended(self, result: Result) -> None:
        """Write down the scores, and keep the documents."""
        values = final_metrics(result.document)
        documents = [path for path in (result.folder / RESULT, result.folder / REPORT) if path.is_file()]
        self._each("writing scores", lambda tracker: tracker.metrics(values, 0))
        for path in documents:
            self._each(f"keeping {path.name}", operator.methodcaller("artifact", path))
        self._close("finished")

    def failed(self, error: BaseException) -> None:
        """Write down that there will be no scores."""
        self._close("interrupted" if isinstance(error, KeyboardInterrupt) else "failed")

    def _close(self, outcome: Outcome) -> None:
        self._each("closing", lambda tracker: tracker.close(outcome))
        for place in self._places:
            place.tracker = None

    def _each(self, doing: str, call: Callable[[Tracker], None]) -> None:
        for place in self._places:
            if (tracker := place.tracker) is not None:
                self._guarded(place, doing, functools.partial(call, tracker))

    def _guarded(self, place: _Place, doing: str, call: Callable[[], T]) -> T | None:
        """Let a tracker do something; if it fails or hangs, say so, and never call it again."""
        if place.given_up:
            return None
        try:
            with guarded(place.name, place.label, doing, SECONDS, remedy=f"leave out --track {place.name}"):
                return call()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 (sys.exit, a timeout, whatever: none may lose a run)
            place.given_up, place.tracker = True, None
            reason = textwrap.shorten(redact(diagnose(error, ())[1]), LONGEST_REASON, placeholder=" ...")
            told = f"tracker '{place.name}' failed while {doing}: {reason}; the run goes on without it"
            tell("tracker", told, level=WARNING, tracker=place.name)
            self._note(told)
            return None


class _Place:
    """One tracker that was asked for, and where it writes to.

    Attributes:
        tracker: of the run under way; None between runs, and once it has failed.
        given_up: whether it has failed.
    """

    def __init__(self, asked: str) -> None:
        self.name, _, self.place = asked.partition(":")
        registered = _find(self.name)
        self.spec, self.label = registered.spec, f"{registered.plugin} {registered.version}"
        self.tracker: Tracker | None = None
        self.given_up = False


def final_metrics(document: Mapping[str, Any]) -> dict[str, float]:
    """Return a result's scores by flat names: 'test/auroc', 'test/auroc_ci_low', 'test/labels_0.1/auroc' and so on.

    The AUROC of the strongest control that never sees an image stands beside them, as 'control/auroc'.
    """
    values: dict[str, float] = {}
    for entry in document["summary"]:
        of_labels = "test/" if entry["fraction"] == 1 else f"test/labels_{entry['fraction']:g}/"
        for name, metric in entry["metrics"].items():
            parts = {name: metric["mean"]} | {f"{name}_{end}": metric.get(end) for end in ("ci_low", "ci_high")}
            values |= _named(of_labels, parts)
    if document["summary"]:
        values |= _named("control/", {"auroc": strongest_control(document["controls"])[1]})
    return values


def _named(prefix: str, values: Mapping[str, float | None]) -> dict[str, float]:
    """Return those that are numbers, by names that every tracker takes."""
    known = {name: value for name, value in values.items() if value is not None and math.isfinite(value)}
    return {_NO_NAME.sub("_", prefix + name): float(value) for name, value in known.items()}


def _find(name: str) -> Registered[TrackerSpec]:
    registry, plugin = load_registry(), f"mitozoo-plugin-{name}"
    if name in OWN and all(row.distribution != plugin for row in registry.rows):
        raise UnknownNameError(f"tracker '{name}' is not installed", hint=f"Try: pip install {plugin}")
    return registry.tracker(name)


def _to_stderr(text: str) -> None:
    sys.stderr.write(f"mitozoo: {text}\n")
