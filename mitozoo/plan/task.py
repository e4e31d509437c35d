"""What a plan is made of: runs that are asked for, and tasks that are named by what they make."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mitozoo.engine.request import Request
from mitozoo.plugins.record import canonical_json

#: In the order of the data's way; a later one goes first, so that runs finish while others are still embedded.
KINDS = ("survey", "patches", "embed", "fit", "result")


@dataclass(frozen=True)
class Asked:
    """One run that a plan wants.

    Attributes:
        request: as of `mitozoo eval`.
        untrained: the model's network with random weights is meant: a control.
    """

    request: Request
    untrained: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values, which any process turns back."""
        fields = {field.name: getattr(self.request, field.name) for field in dataclasses.fields(Request)}
        plain = {name: _plain(value) for name, value in fields.items()}
        return plain | {"untrained": self.untrained}

    @classmethod
    def of(cls, document: dict[str, Any]) -> Asked:
        """Return what `to_json` wrote."""
        fields = dict(document)
        untrained = bool(fields.pop("untrained", False))
        fields = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
        fields["test_data"] = {name: Path(folder) for name, folder in fields["test_data"].items()}
        return cls(Request(**fields), untrained)

    @functools.cached_property
    def key(self) -> str:
        """32 hex digits over everything that was asked."""
        return hashlib.sha256(canonical_json(self.to_json()).encode()).hexdigest()[:32]

    @property
    def title(self) -> str:
        """For people: model, dataset and protocol."""
        model = f"{self.request.model}{':random-init' if self.untrained else ''}"
        return f"{model} on {self.request.dataset} by {self.request.protocol}"


@dataclass(frozen=True, slots=True)
class Task:
    """A piece of work whose output is whole or absent, so that it can be done again at any time.

    Attributes:
        key: names what it makes; two runs that need the same have one task.
        kind: one of `KINDS`.
        about: for people.
        group: tasks of one group share what a worker holds in memory: (dataset, model or run).
        payload: what the worker needs to know, as plain JSON values.
        cells: that are embedded or stored.
    """

    key: str
    kind: str
    about: str
    group: tuple[str, str] = ("", "")
    payload: dict[str, Any] = field(default_factory=dict)
    cells: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return what a worker is sent."""
        return {"key": self.key, "kind": self.kind, "about": self.about, "payload": self.payload}


@dataclass(frozen=True)
class Failure:
    """Why a task was not done.

    Attributes:
        kind: 'error', or 'died' where its worker ended under it, or 'limit' where it took too long.
        message, hint: for people.
        detail: a bug's traceback, or the last lines of the worker's log.
    """

    kind: str
    message: str
    hint: str | None = None
    detail: str = ""


@dataclass(frozen=True)
class Outcome:
    """How a task went that a worker was given.

    Attributes:
        worker: which one.
        key: of the task.
        value: what it tells; None where it failed.
        failure: why; None where it is done.
        busy: another process is doing the same work: ask again later.
        seconds: that it took.
    """

    worker: int
    key: str
    value: dict[str, Any] | None = None
    failure: Failure | None = None
    busy: bool = False
    seconds: float = 0.0


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    return value
