"""Verify a run: what its files determine, and that its protocol's name stands for its parameters."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mitozoo.errors import MitozooError, VerificationError
from mitozoo.protocols.presets import PRESETS
from mitozoo.protocols.spec import override
from mitozoo.results.run_folder import RESULT, read_document
from mitozoo.results.verify import verify

if TYPE_CHECKING:
    from pathlib import Path

    from mitozoo.protocols.spec import Protocol


def verify_run(folder: Path) -> list[str]:
    """Check a run and return what was checked, one line each.

    Raises:
        VerificationError: something differs; the message names it.
        StorageError: a file is missing or unreadable, or of a schema that this version does not know.
    """
    checked = verify(folder)
    return [*checked, check_protocol(read_document(folder / RESULT)["protocol"], folder.name)]


def preset_of(recorded: dict[str, Any]) -> Protocol | None:
    """Return the protocol that ships under a recorded one's name and version; None where none does."""
    preset = PRESETS.get(re.split(r"[@+]", recorded["name"])[0])
    return preset if preset is not None and preset.version == recorded["version"] else None


def check_protocol(recorded: dict[str, Any], run: str) -> str:
    """Make the protocol anew from its preset and the changes that its parameters show; compare name and hash.

    Raises:
        VerificationError: they differ, or no such protocol could be.
    """
    name: str = recorded["name"]
    preset = preset_of(recorded)
    if preset is None:
        return f"protocol '{name}' version {recorded['version']} is not known here: its parameters were taken as stated"
    own, parameters = preset.parameters(), recorded["parameters"]
    if own.keys() != parameters.keys():
        raise VerificationError(f"{run}: the protocol has not the parameters of '{preset.name}'@{preset.version}")
    changed = {key: _as_text(value) for key, value in parameters.items() if value != own[key]}
    try:
        made = override(preset, changed)
    except MitozooError as error:
        raise VerificationError(f"{run}: the protocol's parameters are impossible: {error.message}") from error
    if (made.name, made.hash) != (name, recorded["hash"]):
        raise VerificationError(
            f"{run}: the protocol is called '{name}', and its parameters are those of '{made.name}'"
        )
    return f"'{name}' stands for the recorded parameters"


def _as_text(value: Any) -> str:
    return ",".join(map(repr, value)) if isinstance(value, list) else str(value)
