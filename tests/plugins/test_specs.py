"""The two specs and their sources refuse what cannot be right, and their fingerprints say what can change a number."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import pytest

from mitozoo import (
    CellTable,
    DatasetSpec,
    ModelSpec,
    MppByDomain,
    PackagedWeights,
    Preprocessing,
    SlideNames,
    TimmHub,
)
from mitozoo.errors import SpecError
from mitozoo.plugins.formats import SlideTable
from mitozoo.plugins.record import canonical_json

PREPROCESSING = {
    "size": 224, "resize": "short-side", "resize_to": 256, "interpolation": "bicubic", "antialias": True,
    "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25), "mpp": 0.5, "mpp_basis": "stated",
}  # fmt: skip
HUB = {
    "architecture": "vit_tiny", "repo": "org/name", "revision": "a" * 40, "filename": "model.safetensors",
    "sha256": "b" * 64, "kwargs": {"num_classes": 0},
}  # fmt: skip
PACKAGED = {
    "architecture": "resnet18", "package": "weights", "path": "a.pth", "sha256": "c" * 64, "kwargs": {},
    "mapping": "order",
}  # fmt: skip
TABLE = {"path": "a.csv", "cell_id": "{i}", "slide": "{s}", "file": "{f}", "x": "x", "y": "y", "label": "{l}"}
MODEL = {
    "name": "tiny", "load": TimmHub(**HUB), "preprocessing": Preprocessing(**PREPROCESSING), "embed_dim": 192,
    "pooling": "cls", "prefix_tokens": 1, "precision": "fp16", "license": "MIT", "reference": "https://example.org",
}  # fmt: skip
DATASET = {
    "name": "cells", "cells": CellTable(**TABLE), "labels": {"m": "positive", "n": "hard", "?": "ignored"},
    "positive_class": "mitotic figure", "negative_class": "look-alike", "group": "case", "mpp": 0.25,
    "license": "CC-BY-4.0", "reference": "https://example.org", "negatives_origin": "model-assisted",
}  # fmt: skip


def model(**changes) -> ModelSpec:
    return ModelSpec(**MODEL | changes)


def dataset(**changes) -> DatasetSpec:
    return DatasetSpec(**DATASET | changes)


def read_table(folder) -> list:
    """Stand for a reader."""
    return []


MODEL_CHANGES = {
    "load": TimmHub(**HUB | {"revision": "c" * 40}),
    "preprocessing": Preprocessing(**PREPROCESSING | {"size": 256}),
    "embed_dim": 384,
    "pooling": "mean",
    "prefix_tokens": 5,
}
DATASET_CHANGES = {
    "name": "other",
    "cells": read_table,
    "labels": {"m": "positive", "n": "other"},
    "positive_class": "atypical",
    "group": "slide",
    "mpp": 0.5,
    "domains": {"scanner": "{scanner}"},
    "patch_px": 128,
    "test_slides": ["s1"],
    "prepare_version": 1,
    "slides": SlideTable(path="slides.csv", slide="{Slide}", matches="{slide}"),
    "split": "{split}",
}
PREPROCESSING_CHANGES = {
    "size": 192, "resize": "square", "resize_to": 300, "interpolation": "bilinear", "antialias": False,
    "mean": (0.5, 0.5, 0.4), "std": (0.25, 0.25, 0.2), "mpp": 0.25,
}  # fmt: skip


@pytest.mark.parametrize(
    ("record", "arguments", "changes"),
    [
        (ModelSpec, MODEL, MODEL_CHANGES),
        (DatasetSpec, DATASET, DATASET_CHANGES),
        (Preprocessing, PREPROCESSING, PREPROCESSING_CHANGES),
    ],
)
def test_fingerprint_changes_with_each_listed_field_and_no_other(record, arguments, changes):
    assert set(changes) == set(record.fingerprinted)
    original = record(**arguments)
    for field, value in changes.items():
        assert record(**arguments | {field: value}).fingerprint() != original.fingerprint(), field


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (model(), model(name="tiny-2", license="other", title="T", gated=True, parameters=5, precision="bf16")),
        (model(), model(preprocessing=Preprocessing(**PREPROCESSING | {"mpp_basis": "convention"}))),
        (dataset(), dataset(license="other", title="T", synthetic=True, labelled_by="one", negative_class="n")),
        (dataset(), dataset(labels=dict(reversed(DATASET["labels"].items())))),
    ],
)
def test_fingerprint_ignores_what_changes_no_number(one, other):
    assert one != other or one.labels is not other.labels
    assert one.fingerprint() == other.fingerprint()


@pytest.mark.parametrize("spec", [model(), dataset(), TimmHub(**HUB), PackagedWeights(**PACKAGED)])
def test_specs_are_json(spec):
    plain = spec.to_json()
    assert json.loads(canonical_json(plain)) == plain
    assert set(plain) == {"record", *(field.name for field in dataclasses.fields(spec))}


@pytest.mark.parametrize("record", [TimmHub, PackagedWeights, Preprocessing])
def test_records_of_numbers_have_no_defaults(record):
    optional = {"resample_positions"}  # came later: left out of fingerprints where it is not set
    fields = [field for field in dataclasses.fields(record) if field.name not in optional]
    assert all(field.default is dataclasses.MISSING for field in fields)


def test_contract_imports_nothing_heavy():
    code = (
        "import sys; from mitozoo import ModelSpec, DatasetSpec, hookimpl; import mitozoo.plugins.registry;"
        "heavy = {'torch', 'numpy', 'pandas', 'timm', 'PIL', 'packaging', 'click'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"name": "Tiny"}, "'Tiny' must be lower-case"),
        ({"name": "a/b"}, "must be lower-case"),
        ({"name": "tiny\n"}, "must be lower-case"),
        ({"aliases": ["Ti ny"]}, "must be lower-case"),
        ({"aliases": "other"}, "ModelSpec.aliases must be a list of texts, not 'other'"),
        ({"requires": "transformers"}, "ModelSpec.requires must be a list of texts"),
        ({"pretraining": "TCGA"}, "ModelSpec.pretraining must be a list of texts"),
        ({"load": "timm"}, "load must be a source record or a function"),
        ({"load": CellTable(**TABLE)}, "load must be a source record or a function"),
        ({"preprocessing": None}, "preprocessing must be a Preprocessing record"),
        ({"pooling": "max"}, "pooling is 'max'; it must be one of 'cls', 'mean'"),
        ({"precision": "int8"}, "precision is 'int8'"),
        ({"embed_dim": 0}, "embed_dim must be a positive integer"),
        ({"embed_dim": "192"}, "embed_dim must be a positive integer"),
        ({"prefix_tokens": 0}, "pooling 'cls' cannot have 0 prefix tokens"),
        ({"prefix_tokens": -1, "pooling": "gap"}, "cannot have -1 prefix tokens"),
        ({"license": ""}, "license and reference must be stated"),
        ({"unverified": ["preprocessing.colour"]}, "unverified names 'preprocessing.colour', which is no field"),
        ({"unverified": ["size"]}, "unverified names 'size', which is no field"),
    ],
)
def test_impossible_models_are_refused(changes, why):
    with pytest.raises(SpecError, match=why):
        model(**changes)


def test_doubtful_fields_can_be_named_by_path():
    assert model(unverified=["embed_dim", "preprocessing.mpp", "load.sha256"]).unverified[1] == "preprocessing.mpp"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"size": 0}, "0 < size <= resize_to"),
        ({"size": 300}, "0 < size <= resize_to"),
        ({"resize": "long-side"}, "resize is 'long-side'"),
        ({"interpolation": "nearest"}, "interpolation is 'nearest'"),
        ({"mean": (123, 117, 104)}, r"mean .* must be three values in 0..1"),
        ({"mean": (0.5,)}, "mean"),
        ({"std": (0.0, 0.5, 0.5)}, "none of them 0"),
        ({"mpp": None}, "does not go with mpp_basis 'stated'"),
        ({"mpp_basis": "none"}, "does not go with mpp_basis 'none'"),
        ({"mpp": 500.0}, "mpp 500.0"),
        ({"mpp_basis": "guess"}, "mpp_basis is 'guess'"),
    ],
)
def test_impossible_preprocessing_is_refused(changes, why):
    with pytest.raises(SpecError, match=why):
        Preprocessing(**PREPROCESSING | changes)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"name": "My data"}, "must be lower-case"),
        ({"cells": "cells.csv"}, "cells must be a format record or a function"),
        ({"labels": {"m": "positive"}}, "a positive class and a negative one"),
        ({"labels": {"m": "hard"}}, "a positive class and a negative one"),
        ({"labels": {"m": "mitosis"}}, r"labels\['m'\] is 'mitosis'"),
        ({"labels": {1: "positive", 0: "hard"}}, "must have text for keys"),
        ({"group": "patient"}, "group is 'patient'"),
        ({"mpp": 0}, "mpp must be microns per pixel"),
        ({"mpp": 40.0}, "mpp must be microns per pixel"),
        ({"mpp": MppByDomain(domain="scanner", values={"a": 0.25})}, "'scanner', which is not declared"),
        (
            {"mpp": MppByDomain(domain="scanner", values={"a": -1.0}), "domains": {"scanner": "{scanner}"}},
            "mpp must be microns per pixel",
        ),
        ({"test_slides": "slide-1"}, "DatasetSpec.test_slides must be a list of texts"),
        ({"negatives_origin": ""}, "negatives_origin must be stated"),
        ({"positive_class": ""}, "positive_class must be stated"),
    ],
)
def test_impossible_datasets_are_refused(changes, why):
    with pytest.raises(SpecError, match=why):
        dataset(**changes)


@pytest.mark.parametrize(
    ("record", "arguments", "changes", "why"),
    [
        (TimmHub, HUB, {"revision": "main"}, "revision 'main' is not 40 lower-case hex digits"),
        (TimmHub, HUB, {"sha256": "abc"}, "sha256 'abc' is not 64"),
        (PackagedWeights, PACKAGED, {"sha256": "C" * 64}, "is not 64 lower-case hex digits"),
        (PackagedWeights, PACKAGED, {"mapping": "guess"}, "it must be 'names' or 'order'"),
        (SlideNames, {}, {"patterns": {"(": "a"}}, r"pattern '\(' is not a regular expression"),
    ],
)
def test_impossible_sources_and_formats_are_refused(record, arguments, changes, why):
    with pytest.raises(SpecError, match=why):
        record(**arguments | changes)


def test_slide_names_take_the_first_pattern_that_matches_whole():
    names = SlideNames(patterns={r"a-\d+": "scanner a", r"a.*": "rest"})
    assert [names.value(slide) for slide in ("a-12", "a-12.tiff", "b-1")] == ["scanner a", "rest", None]
