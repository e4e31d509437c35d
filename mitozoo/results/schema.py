"""The one definition of a result document, `schema.json`, and what breaks it."""

from __future__ import annotations

import functools
import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator as CompiledValidator


@functools.cache
def schema() -> dict[str, Any]:
    """Return the JSON schema of `mitozoo-result/1`."""
    return json.loads((files("mitozoo.results") / "schema.json").read_text(encoding="utf-8"))


def violations(document: Any) -> list[str]:
    """Return where a document breaks the schema, one line each; unknown keys are no fault."""
    compiled = _compiled()
    if compiled.is_valid(document):  # 270 times as fast as finding where a document breaks it
        return []
    from jsonschema import Draft202012Validator

    errors = sorted(Draft202012Validator(schema()).iter_errors(document), key=lambda error: list(map(str, error.path)))
    said = [f"{'.'.join(map(str, error.path)) or 'the document'}: {error.message}" for error in errors]
    unheard = compiled.iter_errors(document) if not said else ()  # of a number that is not finite
    return said or [f"{'.'.join(map(str, error.instance_path))}: {error.message}" for error in unheard]


@functools.cache
def _compiled() -> CompiledValidator:
    import jsonschema_rs

    return jsonschema_rs.Draft202012Validator(schema())
