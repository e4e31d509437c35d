"""The definitions of submission.json and of a verdict, and what breaks the former."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

LONGEST_REASON = 500  # characters: it may repeat what a stranger wrote


def submission_schema() -> dict[str, Any]:
    """Return the JSON schema of `mitozoo-submission/1`."""
    return _definition("submission.schema.json")


def verdict_schema() -> dict[str, Any]:
    """Return the JSON schema of a verdict."""
    return _definition("verdict.schema.json")


def submission_violations(document: dict[str, Any]) -> list[str]:
    """Return where submission.json breaks its schema, one line each."""
    from jsonschema import Draft202012Validator

    errors = Draft202012Validator(submission_schema()).iter_errors(document)
    found = sorted(f"{'.'.join(map(str, error.path)) or 'it'}: {error.message}" for error in errors)
    return [line[:LONGEST_REASON] for line in found]


def _definition(name: str) -> dict[str, Any]:
    return json.loads((files("mitozoo.submission") / name).read_text(encoding="utf-8"))
