"""The one definition of a result document, `schema.json`, and what breaks it."""

from __future__ import annotations

import functools
import json
from importlib.resources import files
from typing import Any


@functools.cache
def schema() -> dict[str, Any]:
    """Return the JSON schema of `mitozoo-result/1`."""
    return json.loads((files("mitozoo.results") / "schema.json").read_text(encoding="utf-8"))


def violations(document: dict[str, Any]) -> list[str]:
    """Return where a document breaks the schema, one line each; unknown keys are no fault."""
    from jsonschema import Draft202012Validator

    errors = sorted(Draft202012Validator(schema()).iter_errors(document), key=lambda error: list(map(str, error.path)))
    return [f"{'.'.join(map(str, error.path)) or 'the document'}: {error.message}" for error in errors]
