"""Values that others published, as records: what was evaluated, what came out, and how well the two are known."""

from __future__ import annotations

import dataclasses
import math
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from mitozoo.errors import DataError, UnknownNameError
from mitozoo.protocols.presets import find_protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

BASES = ("released code", "transcribed", "calculated", "own")
PARTS = ("", "in-domain", "out-of-domain")


@dataclass(frozen=True, kw_only=True)
class PublishedValue:
    """One number of a table.

    Attributes:
        metric: as in a result document, or 'weighted_f1' (at 0.5, as papers mean it).
        value: as published.
        sd: as published, over whatever the source says; None: not given.
        tolerance: how far off a repetition may be; None where nothing may be judged.
    """

    metric: str
    value: float
    sd: float | None = None
    tolerance: float | None = None


@dataclass(frozen=True, kw_only=True)
class PublishedRow:
    """One evaluation that somebody published, and the values that are known of it.

    Attributes:
        name: 'TABLE/ROW'.
        source: paper and table, or whatever else says so.
        reference: URL or DOI.
        basis: how the values are known, one of `BASES`.
        dataset: that is trained on.
        values: of its metrics.
        model: '' for a control that sees no image.
        control: 'slide_prior'; '' for a model.
        protocol: of mitozoo.
        fraction: of the training labels.
        split, domain, test_on: as `mitozoo eval` takes them.
        part: of a single-domain split: 'in-domain' or 'out-of-domain'; '' for all.
        inferred: what of this the source does not say, or does otherwise.
        tolerance_basis: why the tolerances are as they are.
    """

    name: str
    source: str
    reference: str
    basis: str
    dataset: str
    values: tuple[PublishedValue, ...]
    protocol: str
    model: str = ""
    control: str = ""
    fraction: float = 1.0
    split: str = ""
    domain: str = ""
    test_on: tuple[str, ...] = ()
    part: str = ""
    inferred: tuple[str, ...] = ()
    tolerance_basis: str = ""

    @property
    def is_judged(self) -> bool:
        """Whether its values are within or outside a tolerance, and not just so far off."""
        return not self.inferred and not getattr(find_protocol(self.protocol), "inferred", ())

    @property
    def datasets(self) -> tuple[str, ...]:
        """All that it needs."""
        return (self.dataset, *self.test_on)


def published_rows(path: Path | None = None) -> list[PublishedRow]:
    """Return the rows of a TOML file, in its order; None: of the one that comes with mitozoo.

    Raises:
        DataError: the file is none of that kind; the message names the row.
    """
    source = files("mitozoo.engine") / "published.toml" if path is None else path
    try:
        document = tomllib.loads(source.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # bad text and bad TOML are ValueErrors
        raise DataError(f"{source} cannot be read as TOML: {error}") from error
    rows: dict[str, PublishedRow] = {}
    for table in _tables(document.get("table"), str(source)):
        shared = {key: value for key, value in table.items() if key not in ("name", "row")}
        for own in _tables(table.get("row"), f"{source}, table {table.get('name')}"):
            row = _row(shared, own, f"{table.get('name')}/{own.get('name')}", str(source))
            if row.name in rows:
                raise DataError(f"{source} has two rows '{row.name}'")
            rows[row.name] = row
    return list(rows.values())


def find_rows(rows: list[PublishedRow], name: str) -> list[PublishedRow]:
    """Return the row of that name, or all rows of the table of that name.

    Raises:
        UnknownNameError: there is neither.
    """
    found = [row for row in rows if row.name == name or row.name.startswith(f"{name}/")]
    if not found:
        import difflib

        near = difflib.get_close_matches(name, [row.name for row in rows], n=1)
        raise UnknownNameError(
            f"there is no published value '{name}'" + (f"; did you mean '{near[0]}'?" if near else ""),
            hint="List them: mitozoo reproduce --list",
        )
    return found


def _tables(value: object, where: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not value or not all(isinstance(one, dict) for one in value):
        raise DataError(f"{where} holds no published values: it has no [[table]] with [[table.row]]")
    return value


def _typed(record: type, values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return a record's fields as they stood in TOML; refuse unknown ones, absent ones, and those of another type."""
    known = {one.name: one for one in dataclasses.fields(record)}
    for name in values:
        if name not in known:
            raise DataError(f"{where} has no field '{name}'; it may have {', '.join(known)}")
    for name, one in known.items():
        if one.default is dataclasses.MISSING and name not in values:
            raise DataError(f"{where} lacks '{name}'")
    return {name: _of_type(value, str(known[name].type), f"{where}: {name}") for name, value in values.items()}


def _of_type(value: object, hint: str, where: str) -> object:
    if hint == "str" and isinstance(value, str):
        return value
    if hint.startswith("float") and type(value) in (int, float) and math.isfinite(value):  # type: ignore[arg-type]
        return float(value)  # type: ignore[arg-type]
    if hint == "tuple[str, ...]" and isinstance(value, list) and all(isinstance(one, str) for one in value):
        return tuple(value)
    if isinstance(value, tuple):  # made here already
        return value
    raise DataError(f"{where} is {value!r}, which cannot be meant")


def _row(shared: Mapping[str, Any], own: Mapping[str, Any], name: str, source: str) -> PublishedRow:
    where = f"{source}, row {name}"
    inferred = [*shared.get("inferred", ()), *own.get("inferred", ())]
    values = tuple(
        PublishedValue(**_typed(PublishedValue, value, where))
        for value in _tables(own.get("values"), f"{where} (values)")
    )
    merged = {**shared, **own, "name": name, "values": values, "inferred": inferred}
    row = PublishedRow(**_typed(PublishedRow, merged, where))
    problems = {
        f"its basis is '{row.basis}'; it must be one of {', '.join(BASES)}": row.basis not in BASES,
        f"its part is '{row.part}'; it must be one of {', '.join(filter(None, PARTS))}": row.part not in PARTS,
        "it needs a model, or the control 'slide_prior'": bool(row.model) == (row.control == "slide_prior"),
        "a part goes by a single-domain split": bool(row.part) != (row.split == "single-domain"),
        "its fraction must be above 0 and at most 1": not 0 < row.fraction <= 1,
    }
    judged = row.is_judged
    problems |= {
        f"the tolerance of {value.metric} must be given, with its basis": judged
        and (value.tolerance is None or value.tolerance <= 0 or not row.tolerance_basis)
        for value in values
    }
    problems |= {
        f"{value.metric} has a tolerance, and what is inferred is never judged": not judged
        and value.tolerance is not None
        for value in values
    }
    for problem, found in problems.items():
        if found:
            raise DataError(f"{where}: {problem}")
    return row
