"""What became of each installed plugin: one row each, its reason, and the sentence that tells a user."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from mitozoo.errors import MitozooError
from mitozoo.plugins.discovery import normalise
from mitozoo.plugins.guard import PluginTimeout
from mitozoo.plugins.record import UnknownFieldError

if TYPE_CHECKING:
    from collections.abc import Iterable

Status = Literal["ok", "broken", "disabled", "needs a newer mitozoo", "needs an older mitozoo"]
Stage = Literal["version", "import", "register", "collect", "done"]
FAILURES = {
    "version": "cannot be used",
    "import": "failed to import",
    "register": "failed to register",
    "collect": "failed to list what it offers",
}


class PluginFault(Exception):  # noqa: N818 (never leaves this room; its text becomes a row's reason)
    """A plugin broke the contract."""


class UnknownHook(PluginFault):
    """A plugin implements a hook, or takes an argument, that this version does not have."""


@dataclass(frozen=True)
class PluginRow:
    """What became of one installed plugin.

    Attributes:
        name: its entry point's name.
        distribution: normalised name of its distribution.
        version: of the distribution.
        status: 'ok', 'broken', 'disabled', or which mitozoo it needs.
        stage: the stage that it reached.
        reason: why it is not 'ok'.
        seconds: time taken to import it and to ask what it offers.
        slow: it imports torch when it is imported, and every list waits for that.
        notes: what its author or user should know, though it works.
        models: short names that it offers.
        datasets: short names that it offers.
        trackers: short names that it offers.
        error: the exception that stopped it, with its traceback.
    """

    name: str
    distribution: str
    version: str
    status: Status = "ok"
    stage: Stage = "version"
    reason: str = ""
    seconds: float = 0.0
    slow: bool = False
    notes: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    trackers: tuple[str, ...] = ()
    error: BaseException | None = dataclasses.field(default=None, repr=False, compare=False)

    @property
    def works(self) -> bool:
        """Whether what it offers can be used."""
        return self.status == "ok"

    @property
    def names(self) -> tuple[str, ...]:
        """What a person may call it, and what the model that it would offer is likely called."""
        return tuple(dict.fromkeys((self.name, self.distribution.removeprefix("mitozoo-plugin-"), self.distribution)))

    def sentence(self) -> str:
        """Return why it cannot be used, for people, without a full stop."""
        label = f"{self.distribution} {self.version}".rstrip()
        if self.status == "disabled":
            return f"{label} is disabled: {self.reason}"
        if self.status != "broken" or isinstance(self.error, PluginTimeout):
            return f"{label} {self.reason}"
        return f"{label} {FAILURES[self.stage]}: {self.reason}"

    def remedy(self) -> str:
        """Return what to type next."""
        if self.status == "disabled":
            return f"Try: change the environment variable {self.reason.split()[0]}"
        if self.status == "broken":
            upgraded, details = self.distribution, f"      (details: mitozoo plugins --traceback {self.name})"
        else:
            upgraded, details = "mitozoo" if self.status == "needs a newer mitozoo" else self.distribution, ""
        return f"Try: pip install --upgrade {upgraded}{details}"

    def to_json(self) -> dict[str, Any]:
        """Return the row as plain JSON values, without the exception."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "error"}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def diagnose(error: BaseException, requirements: Iterable[str]) -> tuple[Status, str]:
    """Return status and reason of a plugin that raised `error`.

    Args:
        error: whatever came out of it.
        requirements: its distribution's own requirements, which tell the mitozoo it was written for.
    """
    lack = _lacking_here(error)
    if (lack or isinstance(error, UnknownHook)) and (wanted := _unmet(requirements)):
        return "needs a newer mitozoo", f"needs mitozoo {wanted}, and this is {importlib.metadata.version('mitozoo')}"
    if lack:
        return "needs a newer mitozoo", f"needs a newer mitozoo: {lack}"
    if isinstance(error, SystemExit):
        return "broken", f"it called sys.exit({error.code!r})"
    try:
        text = (error.message if isinstance(error, MitozooError) else str(error)).strip()
    except Exception:  # noqa: BLE001 (an exception that cannot even tell what it is)
        text = ""
    plain = isinstance(error, MitozooError | ImportError | PluginFault | PluginTimeout)
    line = " ".join(text.split("\n")[0].split())
    return "broken", line if plain and line else f"{type(error).__name__}: {line}".rstrip(": ")


def _lacking_here(error: BaseException) -> str:
    """Return what the plugin wanted of mitozoo and this version does not have."""
    if isinstance(error, UnknownFieldError):
        return f"{error.record_name} has no field '{error.field}'"
    if isinstance(error, ImportError) and (error.name or "").partition(".")[0] == "mitozoo":
        name = re.search(r"cannot import name '(\w+)'", str(error))
        return f"{error.name} has no '{name[1]}'" if name else f"there is no {error.name}"
    if isinstance(error, AttributeError) and error.obj is sys.modules["mitozoo"]:
        return f"mitozoo has no '{error.name}'"
    return ""


def _unmet(requirements: Iterable[str]) -> str:
    """Return what the requirements ask of mitozoo and this version does not fulfil, such as '>= 0.3'."""
    from packaging.requirements import InvalidRequirement, Requirement

    unmet = set()
    for text in requirements:
        try:
            requirement = Requirement(text)
            present = importlib.metadata.version("mitozoo")
        except (InvalidRequirement, importlib.metadata.PackageNotFoundError):
            continue
        if normalise(requirement.name) == "mitozoo" and (
            not requirement.marker or requirement.marker.evaluate({"extra": ""})
        ):
            failing = (one for one in requirement.specifier if not one.contains(present, prereleases=True))
            unmet |= {f"{one.operator} {one.version}" for one in failing}
    return ", ".join(sorted(unmet))
