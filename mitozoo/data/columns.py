"""The validated columns of a cell table, each made from the raw rows; a bad value is named with its file and row."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from mitozoo.data.annotations.raw import fill_template, shorten
from mitozoo.data.slide import PLAUSIBLE_MPP
from mitozoo.errors import DataError
from mitozoo.plugins.formats import MppByDomain, SlideNames

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mitozoo.data.annotations import RawCells
    from mitozoo.plugins.dataset_spec import DatasetSpec


SIDES = ("train", "test", "")


def kinds(spec: DatasetSpec, raw: RawCells) -> npt.NDArray[np.object_]:
    """Return (n,) 'positive', 'hard', 'other' or 'ignored'."""
    labels = raw.table["raw_label"].tolist()
    wanted = {label for label, role in spec.labels.items() if role != "ignored"}
    if not wanted & set(labels):
        raise DataError(
            f"{raw.source} holds no cells of dataset '{spec.name}': its {len(labels):,} labels are "
            f"{_named(labels)}, none of {_named(sorted(wanted))}"
        )
    _refuse_unknown_labels(spec, raw, "label", labels, np.arange(len(labels)))
    roles = dict(spec.labels)
    return np.array([roles[label] for label in labels], dtype=object)


def _named(labels: Sequence[str]) -> str:
    """Return the different labels as text, the first five."""
    different = list(dict.fromkeys(labels))
    more = f" and {len(different) - 5} others" if len(different) > 5 else ""
    return ", ".join(shorten(label) for label in different[:5]) + more


def votes(spec: DatasetSpec, raw: RawCells) -> list[list[int]]:
    """Return (n,) lists of 0 and 1; a person who did not vote on a cell ('') is left out."""
    roles = dict(spec.labels)
    votes = [tuple(vote for vote in cell if vote or "" in roles) for cell in raw.table["raw_votes"]]
    flat = [vote for cell in votes for vote in cell]
    _refuse_unknown_labels(spec, raw, "vote", flat, np.repeat(np.arange(len(votes)), [len(cell) for cell in votes]))
    meant = {cell: [int(roles[vote] == "positive") for vote in cell] for cell in set(votes)}
    return [meant[cell] for cell in votes]  # equal votes are one list


def _refuse_unknown_labels(
    spec: DatasetSpec, raw: RawCells, what: str, labels: list[str], rows: npt.NDArray[np.int64]
) -> None:
    known = set(spec.labels)
    unknown = [label not in known for label in labels]
    bad = np.zeros(len(raw.table), dtype=bool)
    bad[rows[unknown]] = True
    raw.refuse(
        bad,
        lambda _: (
            f"unknown {what} {_named([label for label, no in zip(labels, unknown, strict=True) if no])}; dataset "
            f"'{spec.name}' knows " + ", ".join(f"{label!r} ({role})" for label, role in spec.labels.items())
        ),
        hint="A label that is no part of the task stands in the spec's labels as 'ignored'.",
    )


def coordinate(spec: DatasetSpec, raw: RawCells, name: str) -> npt.NDArray[np.float64]:
    """Return (n,) finite positions, px at full resolution; NaN for a released patch whose place nobody tells."""
    values = np.fromiter(map(_number, raw.table[name]), np.float64, len(raw.table))
    only_patches = spec.patch_px is not None or bool(spec.not_for_eval)
    untold = only_patches and raw.table[["x", "y"]].isna().to_numpy().all()
    raw.refuse(
        np.isinf(values) if untold else ~np.isfinite(values),
        lambda row: f"{name} is {shorten(raw.table[name].iloc[row])}, and a position must be a finite number of px",
    )
    return values


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return math.nan


def domain(name: str, pattern: str | SlideNames, raw: RawCells) -> Sequence[str]:
    """Return (n,) values of a declared domain; none may be unknown."""
    slides = raw.table["slide"]
    if isinstance(pattern, SlideNames):
        known = {slide: pattern.value(slide) or "" for slide in slides.unique()}
        values: Sequence[str] = [known[slide] for slide in slides]
        raw.refuse(
            [not value for value in values],
            lambda row: f"no pattern of domain '{name}' matches the slide {slides.iloc[row]!r}",
        )
    else:
        values = fill_template(pattern, raw.own, len(slides), source=raw.source)
        raw.refuse([not value.strip() for value in values], lambda _: f"domain '{name}' is empty")
    return values


def official_split(spec: DatasetSpec, raw: RawCells) -> Sequence[str]:
    """Return (n,) 'train' or 'test' by the official split, or '' where there is none."""
    slides, test = raw.table["slide"].tolist(), set(spec.test_slides)
    if spec.split:
        sides = fill_template(spec.split, raw.own, len(slides), source=raw.source)
        raw.refuse(
            [side not in SIDES for side in sides],
            lambda row: f"its side of the official split is {shorten(sides[row])}, and the sides are train and test",
        )
        return sides
    if not test:
        return [""] * len(slides)
    if lost := sorted(test - set(slides)):  # a name spelt otherwise would put a test slide into train
        raise DataError(
            f"{raw.source} holds no cell on {len(lost)} of {len(test)} official test slides of dataset '{spec.name}', "
            f"such as {lost[0]}"
        )
    return ["test" if slide in test else "train" for slide in slides]


def mpp(spec: DatasetSpec, raw: RawCells, table: pd.DataFrame, override: float | None) -> npt.NDArray[np.float64]:
    """Return (n,) microns per pixel: the override, else as the dataset declares; NaN: the slide file's own."""
    values = np.full(len(table), math.nan)
    if override is None and isinstance(spec.mpp, MppByDomain):
        by_domain: Mapping[str, float] = spec.mpp.values
        domain = table[f"domain_{spec.mpp.domain}"].tolist()
        raw.refuse(
            [value not in by_domain for value in domain],
            lambda row: f"no microns per pixel are stated for {domain[row]!r}, only for {', '.join(by_domain)}",
            hint="Pass --mpp.",
        )
        values[:] = [by_domain[value] for value in domain]
    elif override is not None or spec.mpp is not None:
        values[:] = spec.mpp if override is None else override
    elif "mpp" in raw.table:
        told = raw.table["mpp"].tolist()
        values[:] = [_number(value) for value in told]
        raw.refuse(
            [bool(text.strip()) and not np.isfinite(value) for text, value in zip(told, values, strict=True)],
            lambda row: f"mpp is {shorten(told[row])}, and microns per pixel are a number",
        )
    else:
        return values
    low, high = PLAUSIBLE_MPP
    raw.refuse(
        (values < low) | (values > high) | (np.isnan(values) & (override is not None)),
        lambda row: f"{values[row]} um/px cannot be meant; a slide has {low} to {high}",
    )
    return values


def groups(spec: DatasetSpec, raw: RawCells) -> npt.NDArray[np.object_]:
    """Return (n,) '<dataset>/<case or slide>'; the other level is never taken in place of an empty one.

    Only a dataset that is never evaluated may leave it unknown ('').
    """
    level = spec.group
    of_row, names = pd.factorize(raw.table[level])
    unknown = np.array([not name.strip() for name in names], dtype=bool)
    raw.refuse(
        unknown[of_row] & (not spec.not_for_eval),
        lambda _: f"its {level} is empty, and dataset '{spec.name}' is grouped by {level}",
        hint="A dataset without known cases says group='slide'.",
    )
    groups = [f"{spec.name}/{name}" if name.strip() else "" for name in names]
    return np.array(groups, dtype=object)[of_row]
