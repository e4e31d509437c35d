"""What a program for spreadsheets makes of CSV: text that it would take for a formula is shown as text."""

from __future__ import annotations

FORMULA = ("=", "+", "-", "@", "\t", "\r")


def no_formula(value: object) -> object:
    """Return a value of a CSV file; before text that begins like a formula stands an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
