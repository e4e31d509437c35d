"""Is a record complete: licence, reference, resolution, and what nobody confirmed."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from mitozoo.engine.findings import Finding, finding_of
from mitozoo.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mitozoo.plugins.specs import DatasetSpec, ModelSpec

#: Words that stand where nobody knew the licence.
NO_LICENSE = re.compile(r"(unknown|none|unstated|tbd|todo|\?+)", re.IGNORECASE)
ADDRESS = re.compile(r"https?://\S+\.\S+|(doi:)?10\.\d{4,9}/\S+|arxiv:\S+", re.IGNORECASE)
PLACEHOLDER = re.compile(r"https?://([\w-]+\.)*example\.(org|com|net)\b", re.IGNORECASE)


def record_findings(spec: ModelSpec | DatasetSpec) -> Iterator[Finding]:
    """Yield what holds for models and datasets alike."""
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
    yield _license_finding(spec)
    yield _reference_finding(spec)


def _license_finding(spec: ModelSpec | DatasetSpec) -> Finding:
    text = spec.license.strip()
    if not text:
        return Finding("FAIL", "license", "it is not stated", "State the SPDX identifier, or the owner's name for it.")
    if NO_LICENSE.fullmatch(text):
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
