"""Is a record complete: licence, reference, resolution, and what nobody confirmed."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from mitozoo.engine.findings import Finding, finding_of
from mitozoo.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mitozoo.plugins.dataset_spec import DatasetSpec
    from mitozoo.plugins.model_spec import ModelSpec
    from mitozoo.plugins.trackers import TrackerSpec

#: Words that stand where nobody knew.
NOBODY_KNOWS = re.compile(r"(unknown|none|unstated|not (stated|told|known)|tbd|todo|\?+)", re.IGNORECASE)
ADDRESS = re.compile(r"https?://\S+\.\S+|(doi:)?10\.\d{4,9}/\S+|arxiv:\S+", re.IGNORECASE)
PLACEHOLDER = re.compile(r"https?://([\w-]+\.)*example\.(org|com|net)\b", re.IGNORECASE)


def record_findings(spec: ModelSpec | DatasetSpec) -> Iterator[Finding]:
    """Yield what holds for models and datasets alike."""
    yield from validity_findings(spec)
    yield _license_finding(spec)
    yield _reference_finding(spec)


def validity_findings(spec: ModelSpec | DatasetSpec | TrackerSpec) -> Iterator[Finding]:
    """Yield whether a record is one."""
    try:
        spec.validate()
        json.dumps(spec.to_json(), allow_nan=False)
    except SpecError as error:
        yield finding_of(error, "record", mend="Mend the record.")
    except (TypeError, ValueError) as error:
        yield Finding(
            "FAIL", "record", f"it is not JSON: {error}", "Use text, numbers, lists, tables and records only."
        )
    else:
        yield Finding("PASS", "record", "valid, and plain JSON")


def _license_finding(spec: ModelSpec | DatasetSpec) -> Finding:
    text = spec.license.strip()
    if not text:
        return Finding("FAIL", "license", "it is not stated", "State the SPDX identifier, or the owner's name for it.")
    if NOBODY_KNOWS.fullmatch(text):
        mend = "Ask the owner: without a licence nobody may use it."
        return Finding("WARN", "license", f"it says '{text}'", mend)
    return Finding("PASS", "license", text + " (sources disagree)" * bool(getattr(spec, "license_conflict", False)))


def _reference_finding(spec: ModelSpec | DatasetSpec) -> Finding:
    mend = "Name the page or paper that describes it: a URL or a DOI."
    text = spec.reference.strip()
    if not text:
        return Finding("FAIL", "reference", "it is not stated", mend)
    if PLACEHOLDER.match(text):
        return Finding("WARN", "reference", f"{text} stands for one that is still to come", mend)
    if not ADDRESS.fullmatch(text):
        return Finding("WARN", "reference", f"'{text}' is neither a URL nor a DOI", mend)
    return Finding("PASS", "reference", text)


def model_record_findings(spec: ModelSpec) -> Iterator[Finding]:
    """Yield what a careful user asks of a model's record besides."""
    mpp, basis = spec.preprocessing.mpp, spec.preprocessing.mpp_basis
    if mpp is None:
        mend = "Declare mpp and mpp_basis if it was trained on tissue; for natural images leave it as it is."
        yield Finding("WARN", "mpp", "no microns per pixel are declared", mend)
    else:
        yield Finding("PASS", "mpp", f"{mpp:g} um/px ({basis})")
    if spec.unverified:
        mend = "Confirm them by the authors' page or paper, then take them off `unverified`."
        yield Finding("WARN", "verified", f"no primary source confirmed {', '.join(spec.unverified)}", mend)


def dataset_record_findings(spec: DatasetSpec) -> Iterator[Finding]:
    """Yield what a careful user asks of a dataset's record besides: who labelled, what it shares, where it is had."""
    task = f"{spec.positive_class} against {spec.negative_class}"
    if spec.positive_class == spec.negative_class:
        yield Finding("FAIL", "task", f"both classes are called '{spec.positive_class}'", "Name each class.")
    else:
        yield Finding("PASS", "task", task)
    yield _told(
        "negatives", "how the negatives came to be labelled", spec.negatives_origin, "negatives_origin",
        "cells that one expert called a mitotic figure and the consensus did not",
    )  # fmt: skip
    yield _told("labelled by", "who labelled", spec.labelled_by, "labelled_by", "three pathologists, blinded; majority")
    yield _lineage_finding(spec)
    yield _source_finding(spec)


def _told(what: str, question: str, text: str, field: str, example: str) -> Finding:
    if not text.strip() or NOBODY_KNOWS.fullmatch(text.strip()):
        return Finding("WARN", what, f"{question} is not stated", f'State it, such as {field}="{example}".')
    return Finding("PASS", what, text)


def _lineage_finding(spec: DatasetSpec) -> Finding:
    """Tell which datasets it shares images with, and whether these are known here."""
    from mitozoo.plugins.registry import load_registry

    if not spec.derived_from:
        return Finding("PASS", "derived from", ", ".join(spec.cohorts) or "no other dataset")
    here = {name for one in load_registry().datasets for name in (one.spec.name, *one.spec.aliases)}
    if strange := [name for name in spec.derived_from if name not in here]:
        told = f"no installed plugin offers {', '.join(strange)}: whom else it shares images with cannot be told"
        return Finding("WARN", "derived from", told, "Mend the name in derived_from, or install its plugin.")
    known = {one.dataset for one in spec.crosswalks}
    told = ", ".join(f"{name} ({'cases' if name in known else 'no cases'} told)" for name in spec.derived_from)
    return Finding("PASS", "derived from", told)


def _source_finding(spec: DatasetSpec) -> Finding:
    if spec.prepare is not None:
        return Finding("PASS", "files", "made on this machine")
    if spec.files:
        files = spec.remote_files()
        pinned = sum(bool(file.sha256 or file.md5) for file in files)
        return Finding("PASS", "files", f"mitozoo fetch gets {len(files):,}, {pinned:,} with a published checksum")
    if spec.by_hand:
        return Finding("PASS", "files", f"by hand: {spec.by_hand}")
    mend = "Declare files, or say by_hand what to download, where from, and where it belongs."
    return Finding("WARN", "files", "nothing says where they come from", mend)
