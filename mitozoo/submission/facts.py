"""What plugins here know of a run's model and dataset, held against what its document says of them."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from mitozoo.data.folds import confounded, make_folds
from mitozoo.engine.document import SEVERITY
from mitozoo.errors import VerificationError
from mitozoo.plugins.lineage import Relatives
from mitozoo.plugins.record import canonical_json
from mitozoo.plugins.registry import load_registry
from mitozoo.results.agreement import agree, expect
from mitozoo.results.cell_columns import CellColumns
from mitozoo.results.conditions import Conditions
from mitozoo.results.pathologists import stated_by
from mitozoo.results.tables import CELLS, KEPT, read_table, table_sha256

if TYPE_CHECKING:
    from pathlib import Path

    from mitozoo.plugins.dataset_spec import DatasetSpec
    from mitozoo.plugins.model_spec import ModelSpec
    from mitozoo.plugins.names import Registered
    from mitozoo.submission.verdict import Verdict

UNTRAINED = ":random-init"
UNCHECKED = "labels not checked against the dataset"  # a doubt begins so
#: Of a model's record, what its document repeats.
STATED = ("embed_dim", "pooling", "license", "gated", "parameters", "reference")
#: The mark of a run that does not hold all cells of its dataset, so that no sha256 of the whole can be theirs.
IN_PART = re.compile(r"[\d,]+ unreadable cells left out")
CONTAMINATION_MARKS = {
    "labels seen": "the model saw labels of it in training",
    "images or cohort seen": "the model saw images or the cohort of it in training",
}


def check_model(document: dict[str, Any], record: Any, verdict: Verdict) -> ModelSpec | None:
    """Hold the model against its plugin's record, else against the record that the submission brings along.

    Args:
        document: the run's.
        record: what the fingerprint is the sha256 of; None where nobody has it.
        verdict: takes what was checked, and what could not be.

    Returns:
        The plugin's record, None where it is not installed here or is of another version.

    Raises:
        VerificationError: they contradict each other.
    """
    model = document["model"]
    known = _installed_model(model)
    if known is None:
        brought = hashlib.sha256(canonical_json(record).encode()).hexdigest() if record is not None else None
        expect(brought in (None, model["fingerprint"]), "the model's fingerprint is not that of the record beside it")
        if brought is None:
            verdict.doubts.append(
                f"nothing here tells what model '{model['name']}' is: its fingerprint was not checked"
            )
        else:
            verdict.checked.append("the model's fingerprint is that of the record that the submission brings along")
            verdict.remarks.append(f"the plugin of model '{model['name']}' is not installed here")
        if owner := next((one.plugin for one in load_registry().models if one.spec.name == model["name"]), ""):
            verdict.doubts.append(f"it bears the name of a model of {owner}, and is another one")
        return None
    spec, source = known.spec, f"{known.plugin} {known.version}"
    if spec.fingerprint() != model["fingerprint"]:
        expect(known.version != model["version"], f"the model's fingerprint is not that of its record in {source}")
        verdict.doubts.append(f"the model's record is of version {model['version']} of its plugin; here is {source}")
        return None
    verdict.checked.append(f"the model's fingerprint is that of its record in {source}")
    declared = getattr(spec.load, "sha256", None)
    if declared and not model["name"].endswith(UNTRAINED):
        agree("weights_sha256", declared, model["weights_sha256"])
        verdict.checked.append("the sha256 of its weights is the declared one")
    if known.version == model["version"]:
        for name in STATED:
            agree(f"{name} of the model", getattr(spec, name), model.get(name))
    return spec


def check_dataset(folder: Path, document: dict[str, Any], verdict: Verdict) -> list[DatasetSpec]:
    """Hold the dataset and the run's cells against its plugin's record.

    Returns:
        The plugins' records: one, or one for each dataset that was joined; none where some are not installed here.

    Raises:
        VerificationError: they contradict each other; above all, other cells, groups or labels.
    """
    dataset = document["dataset"]
    known = _installed_datasets(document)
    if not known:
        verdict.doubts.append(f"{UNCHECKED}: the plugin of '{dataset['name']}' is not here")
        return []
    prints = [one.spec.fingerprint() for one in known]
    own = prints[0] if len(prints) == 1 else hashlib.sha256(" ".join(prints).encode()).hexdigest()
    source = f"{known[0].plugin} {known[0].version}"
    if own != dataset["fingerprint"]:
        same = known[0].version == dataset["version"]
        expect(not same, f"the dataset's fingerprint is not that of its record in {source}")
        verdict.doubts.append(
            f"{UNCHECKED}: its record is of version {dataset['version']} of its plugin; here is {source}"
        )
        return []
    verdict.checked.append(f"the dataset's fingerprint is that of its record in {source}")
    spec = known[0].spec
    agree("positive_class", spec.positive_class, dataset["positive_class"])
    agree("synthetic", any(one.spec.synthetic for one in known), dataset["synthetic"])
    names = {"positive": spec.positive_class, "negative": spec.negative_class}
    agree("names of the classes", names, {side: dataset["classes"][side]["name"] for side in names})
    if known[0].version == dataset["version"]:
        stated = {"license": spec.license, "reference": spec.reference, "negatives_origin": spec.negatives_origin}
        agree("dataset", stated | stated_by([one.spec for one in known]), dataset)
    _check_labels(folder, document, None if len(known) > 1 else spec, verdict)
    return [one.spec for one in known]


def check_folds_and_marks(
    folder: Path, document: dict[str, Any], model: ModelSpec | None, specs: list[DatasetSpec], verdict: Verdict
) -> None:
    """Hold folds and marks against what protocol, conditions and records say; raise `VerificationError`."""
    table = read_table(folder / CELLS, KEPT)
    conditions = Conditions.of(document)
    cells = CellColumns.of(table, conditions)
    recipe = conditions.recipe(document["protocol"]["parameters"])
    official = table["split"].to_numpy(dtype=np.str_)
    folds = make_folds(cells.labels, cells.groups, official, cells.domains, recipe, cells.group_names)
    told = [
        {"fold": fold.index, "name": fold.name, "reference_for": fold.reference_for, "trained_on": fold.trained_on}
        for fold in folds
    ]
    agree("folds", told, document["folds"])
    agree("only_in_test", confounded(folds, cells.domains, recipe), document.get("only_in_test"))
    required = {
        "synthetic data": document["dataset"]["synthetic"],
        conditions.summary(): bool(conditions.summary()),
        "THIS SPLIT LEAKS: annotations of one case on both sides": recipe.leaks,
        "brought embeddings": document["identity"]["pipeline"] is None,
        "protocol changed by --set": "+" in document["protocol"]["name"],
        "not independent: grouped by image": document["dataset"]["group_level"] == "image",
        "a control, not a model": document["model"]["name"].endswith(UNTRAINED)
        or (model is not None and model.controls_only),
        "patch-only dataset": any(spec.patch_px is not None for spec in specs),
        **{mark: document["contamination"] == level for level, mark in CONTAMINATION_MARKS.items()},
    }
    for mark, applies in required.items():
        expect(not applies or mark in document["marks"], f"the mark '{mark}' is missing")
    verdict.checked.append("folds and marks are those that protocol, conditions and records ask for")


def check_contamination(
    document: dict[str, Any], model: ModelSpec | None, specs: list[DatasetSpec], declared: list[str] | None,
    verdict: Verdict,
) -> None:  # fmt: skip
    """Compare what pretraining saw, by the records here and by what the submission declares, with the document."""
    if model is None or not specs:
        return
    relatives = Relatives.among(one.spec for one in load_registry().datasets)
    own = max((relatives.contamination(model, spec.name) for spec in specs), key=SEVERITY.index)
    recorded = document["contamination"]
    if own != recorded and not document["model"]["name"].endswith(UNTRAINED):
        verdict.remarks.append(f"pretraining is recorded as '{recorded}', and by the records here it is '{own}'")
    related = [one for one in declared or () if any(relatives.common_origins(one, spec.name) for spec in specs)]
    if related and recorded not in CONTAMINATION_MARKS:
        verdict.remarks.append(f"declares pretraining on {', '.join(related)}, relatives of the dataset")


def _check_labels(folder: Path, document: dict[str, Any], spec: DatasetSpec | None, verdict: Verdict) -> None:
    dataset = document["dataset"]
    if spec is None:
        verdict.doubts.append(f"{UNCHECKED}: several are joined")
        return
    if dataset["group_level"] != spec.group:
        verdict.doubts.append(f"{UNCHECKED}: cells are grouped by {dataset['group_level']}, not by {spec.group}")
        return
    expected = spec.table_sha256.get(dataset["negatives"])
    if expected is None:
        verdict.doubts.append(f"{UNCHECKED}: no hash known")
        return
    if table_sha256(read_table(folder / CELLS, KEPT)) == expected:
        verdict.checked.append(
            "cells, slides, groups, labels and domains are the dataset's own, by the sha256 of its table"
        )
    elif any(IN_PART.fullmatch(mark) for mark in document["marks"]):
        verdict.doubts.append(f"{UNCHECKED}: it was evaluated in part")
    else:
        raise VerificationError(f"{CELLS} holds other cells, slides, groups or labels than dataset '{spec.name}'")


def _installed_model(model: dict[str, Any]) -> Registered[ModelSpec] | None:
    if not model["plugin"]:
        return None
    return load_registry().find_model(f"{model['plugin']}/{model['name'].removesuffix(UNTRAINED)}")


def _installed_datasets(document: dict[str, Any]) -> list[Registered[DatasetSpec]]:
    dataset = document["dataset"]
    joined = dataset.get("tested_on") or []
    first = document["conditions"]["trained_on"] if joined else dataset["name"]
    offers = [(dataset["plugin"], first), *((one["plugin"], one["name"]) for one in joined)]
    found = [load_registry().find_dataset(f"{plugin}/{name}") for plugin, name in offers if plugin]
    return [one for one in found if one is not None] if None not in found and len(found) == len(offers) else []
