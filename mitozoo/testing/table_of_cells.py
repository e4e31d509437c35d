"""Does a table of cells hold what its dataset declares: classes, groups, split, domains, votes, cases, positions."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from mitozoo.engine.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from mitozoo.data.annotations import RawCells
    from mitozoo.plugins.dataset_spec import DatasetSpec

TASK = ("positive", "hard")


def table_findings(spec: DatasetSpec, raw: RawCells, table: pd.DataFrame) -> Iterator[Finding]:
    """Yield what the cells alone tell; no image is opened.

    Args:
        spec: the dataset.
        raw: what the label files hold.
        table: as `mitozoo.data.cells.read_every_cell` returns it.
    """
    yield _classes(spec, table)
    yield _groups(spec, table)
    if (table["split"] != "").any():
        yield _official_split(spec, table)
    for name in spec.domains:
        yield _domain(name, table[f"domain_{name}"])
    yield from _votes(spec, table)
    if spec.crosswalks:
        yield _crosswalks(spec, raw)
    yield _positions(table)
    if not spec.not_for_eval:
        yield _table_sha256(spec, table)


def _classes(spec: DatasetSpec, table: pd.DataFrame) -> Finding:
    counts = table["kind"].value_counts()
    told = ", ".join(f"{counts[kind]:,} {kind}" for kind in ("positive", "hard", "other", "ignored") if kind in counts)
    if spec.not_for_eval:
        return Finding("PASS", "classes", f"{told}; not evaluated: {spec.not_for_eval}")
    if "positive" in counts and "hard" in counts:
        return Finding("PASS", "classes", told)
    if "positive" in counts and "other" in counts:
        mend = "Declare the negatives of the task as 'hard' in labels."
        return Finding("WARN", "classes", f"{told}: eval refuses it without --negatives other", mend)
    mend = "Look at the raw labels that `labels` of the record translates, or say why in not_for_eval."
    return Finding("FAIL", "classes", f"one class only: {told}", mend)


def _groups(spec: DatasetSpec, table: pd.DataFrame) -> Finding:
    level = spec.group
    known = table[table["group"] != ""]
    if len(known) < len(table):  # allowed only where a dataset is never evaluated
        told = f"the files do not tell the {level} of {len(table) - len(known):,} of {len(table):,} cells"
        return Finding("WARN", "groups", told, f"Ask the owner of the data for each cell's {level}.")
    of_file = known.groupby("file")["group"].unique()
    if divided := [(file, names) for file, names in of_file.items() if len(names) > 1]:
        file, names = divided[0]
        told = f"{len(divided):,} images are of several {level}s, such as {file}: {', '.join(sorted(names)[:3])}"
        return Finding("FAIL", "groups", told, f"One image shows one {level}: mend the template of {level}.")
    task = known[known["kind"].isin(TASK)]
    sizes = task.groupby("group")["label"].agg(["size", "sum"])
    with_positives = int((sizes["sum"] > 0).sum())
    told = f"{len(sizes):,} {level}{'s' * (len(sizes) != 1)}, {with_positives:,} with positives"
    if with_positives < 2 and not spec.not_for_eval:
        mend = f"eval needs both classes on both sides of a split: add {level}s, or --group image for a first look."
        return Finding("WARN", "groups", f"{told}: no split by {level} can be made", mend)
    if level == "slide" and (several := int((known[known["case"] != ""].groupby("case")["slide"].nunique() > 1).sum())):
        told = f"{several:,} cases have several slides, and cells are grouped by slide: a case may be on both sides"
        return Finding("WARN", "groups", told, "Declare group='case'.")
    share = sizes["size"].max() / len(task) if len(task) else 0
    return Finding("PASS", "groups", f"{told}, the largest with {share:.1%} of the cells")


def _official_split(spec: DatasetSpec, table: pd.DataFrame) -> Finding:
    placed = table[(table["split"] != "") & table["kind"].isin(TASK)]
    level = (
        "case" if (placed["case"] != "").all() else spec.group
    )  # a known case, even where cells are grouped by slide
    sides = placed.groupby(level)["split"].nunique()
    if divided := sides.index[sides > 1].tolist():
        told = f"{len(divided):,} {level}s lie on both sides, such as {divided[0]}: what is tested was trained on"
        return Finding("FAIL", "official split", told, f"Move each {level} to one side.")
    counts = {side: placed[placed["split"] == side]["label"].agg(["size", "sum"]) for side in ("train", "test")}
    told = ", ".join(f"{side}: {part['size']:,} cells, {part['sum']:,} positive" for side, part in counts.items())
    if not spec.not_for_eval and any(not 0 < part["sum"] < part["size"] for part in counts.values()):
        return Finding("FAIL", "official split", f"a side has one class only: {told}", "Mend split or test_slides.")
    return Finding("PASS", "official split", told)


def _domain(name: str, values: pd.Series) -> Finding:
    """Tell the values, and which of them differ only in case, spaces or doubled letters."""
    spellings: dict[str, list[str]] = defaultdict(list)
    for value in sorted(values.unique()):
        spellings[re.sub(r"([a-z])\1+", r"\1", re.sub(r"[^a-z0-9]", "", value.lower()))].append(value)
    shown = ", ".join(f"{value} ({count:,})" for value, count in values.value_counts().head(6).items())
    if alike := [group for key, group in spellings.items() if key and len(group) > 1]:
        told = f"spelt in several ways: {' and '.join(map(repr, alike[0]))}"
        return Finding("WARN", f"domain {name}", told, "Mend them in SlideTable.mend, or in the label file.")
    return Finding("PASS", f"domain {name}", f"{values.nunique():,} values: {shown}")


def _votes(spec: DatasetSpec, table: pd.DataFrame) -> Iterator[Finding]:
    counts = table["votes"].map(len)
    most = int(counts.max())
    if spec.voters is None:
        if most:
            yield Finding("WARN", "votes", f"up to {most} a cell, and voters is not stated", f"Declare voters={most}.")
        return
    if most != spec.voters:
        mend = f"Declare voters={most}, or name the columns or persons whose labels are votes."
        told = f"{spec.voters} a cell are declared, and the files hold up to {most}"
        yield Finding("FAIL" if most > spec.voters else "WARN", "votes", told, mend)
        return
    if not most:
        yield Finding("PASS", "votes", "none, as declared")
        return
    cells = table[counts > 0]
    shares, labels = cells["votes"].map(lambda votes: sum(votes) / len(votes)), cells["label"] == 1
    against = int((((shares > 0.5) & ~labels) | ((shares < 0.5) & labels)).sum())
    told = f"up to {most} a cell, as declared, on {len(cells):,} cells; {against:,} labels go against their majority"
    if against > len(cells) / 2:
        yield Finding("FAIL", "votes", told, "The votes stand for other classes than the labels: mend either.")
    else:
        yield Finding("PASS", "votes", told)


def _crosswalks(spec: DatasetSpec, raw: RawCells) -> Finding:
    names = sorted(set(raw.table[spec.group]) - {""})
    strange = [name for name in names if not any(one.knows(name) for one in spec.crosswalks)]
    if strange:
        told = f"no crosswalk knows {len(strange):,} of {len(names):,} {spec.group}s, such as '{strange[0]}'"
        mend = "Let one crosswalk's `ours` match it: what is no case of another dataset is told by `renumbered`."
        return Finding("FAIL", "crosswalks", told, mend)
    shared = [
        f"{one.dataset} ({sum(one.key_there(name) is not None for name in names):,} {spec.group}s)"
        for one in spec.crosswalks
    ]
    return Finding("PASS", "crosswalks", f"every one of {len(names):,} {spec.group}s is known: {', '.join(shared)}")


def _table_sha256(spec: DatasetSpec, table: pd.DataFrame) -> Finding:
    """Compare the cells with what submissions of others are held against; where nothing is declared, say what it is."""
    from mitozoo.data.cells import NEGATIVES
    from mitozoo.results.tables import table_sha256

    measured = {
        negatives: table_sha256(table[table["kind"].isin(("positive", *NEGATIVES[negatives]))])
        for negatives in spec.table_sha256 or ("hard",)
    }
    if not spec.table_sha256:
        told = f"not declared, so that labels of submissions are not checked; hard: {measured['hard']}"
        return Finding("PASS", "table_sha256", told)
    for negatives, sha256 in measured.items():
        if sha256 != spec.table_sha256[negatives]:
            mend = "Look which version of the release the files are of, or declare theirs."
            return Finding("FAIL", "table_sha256", f"{negatives}: declared is another than {sha256}", mend)
    return Finding("PASS", "table_sha256", f"as declared: {', '.join(measured)}")


def _positions(table: pd.DataFrame) -> Finding:
    placed = table[table["x"].notna()]
    if placed.empty:
        return Finding("PASS", "positions", "not told: released patches")
    twice = placed[placed.duplicated(["slide", "x", "y"], keep=False)]
    if twice.empty:
        return Finding("PASS", "positions", f"{len(placed):,} cells, each at a place of its own")
    sets = twice.groupby(["slide", "x", "y"])
    conflicting = int((sets["kind"].nunique() > 1).sum())
    first = twice.iloc[0]
    told = (
        f"{sets.ngroups:,} places hold several cells, {conflicting:,} of them with different labels, such as "
        f"({first['x']:g}, {first['y']:g}) on {first['slide']}"
    )
    return Finding("WARN", "positions", told, "One cell that is listed twice counts twice: leave one out.")
