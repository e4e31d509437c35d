"""Documents are shown as they are, or refused by name: whatever a stranger writes, nothing else happens."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_results import document, identified, mean, row, summary, write

from mitozoo.errors import VerificationError
from mitozoo.leaderboard import reading
from mitozoo.leaderboard.reading import read_all, read_document
from mitozoo.leaderboard.walking import Found, find_results

BEATEN = "DOES NOT BEAT the control that never sees the image"


def read(folder):
    return read_document(Found(str(folder / "result.json"), f"{folder.name}/result.json"))


def entry_of(tmp_path, **parts):
    write(tmp_path / "run", document(**parts))
    [entry] = read(tmp_path / "run")
    return entry


def test_an_entry_says_what_the_document_says(tmp_path):
    made = document(scores=[row(0), row(1), row(0, seed=1), row(1, seed=1)], marks=["patch-only dataset"])
    sha = write(tmp_path / "run", made, created="2026-03-01T01:00:00+02:00")
    [entry] = read(tmp_path / "run")
    assert (entry.sha256, entry.run_id, entry.created) == (sha, made["run_id"], "2026-02-28T23:00:00Z")
    assert (entry.model.name, entry.model.parameters, entry.model.license) == ("some-encoder", 2e6, "Apache-2.0")
    assert entry.metrics[0] == (0.8, 0.78, 0.82)
    assert entry.metrics[1:] == ((0.5, 0.4, 0.6),) * 6
    assert (entry.seeds, entry.groups, entry.place.folds) == (2, 60, (0, 1))
    assert entry.control == (0.55, "slide_prior")  # the oracle knows too much
    assert (entry.marks, entry.leaks, entry.unranked) == (("patch-only dataset",), False, "")
    assert entry.title == "some-cells, linear-probe@1"


def test_each_fraction_and_perturbation_is_an_entry_of_its_own(tmp_path):
    touched = summary((0.7, 0.6, 0.8)) | {"perturbed": "blur=2", "difference": {}}
    made = document(
        summary=[summary((0.8, 0.78, 0.82)), summary((0.7, 0.6, 0.8), fraction=0.1)], perturbed=[touched],
        scores=[row(0), row(1), row(0, fraction=0.1), row(1, perturbed="blur=2")],
    )  # fmt: skip
    write(tmp_path / "run", made)
    entries = read(tmp_path / "run")
    assert [entry.title for entry in entries] == [
        "some-cells, linear-probe@1", "some-cells, linear-probe@1, 10 % of labels, 1 fold only",
        "some-cells, linear-probe@1, test cells perturbed by blur=2, 1 fold only",
    ]  # fmt: skip
    assert len({entry.place for entry in entries}) == 3


def test_folds_that_serve_as_reference_are_none_that_were_tested(tmp_path):
    folds = [
        {"fold": n, "name": "", "reference_for": reference, "trained_on": ""} for n, reference in ((0, None), (1, 0))
    ]
    assert entry_of(tmp_path, folds=folds).place.folds == (0,)


@pytest.mark.parametrize(("parts", "mark", "why"), [
    ({"contamination": "labels seen"}, "the model saw labels of it in training", "it saw labels of the test data"),
    ({"contamination": "images or cohort seen"}, "the model saw images or the cohort of it in training", ""),
    ({"dataset": {"synthetic": True}}, "synthetic data", ""),
    ({"dataset": {"group_level": "image"}}, "not independent: grouped by image", "its groups are not independent"),
    ({"dataset": {"shared_cells_left_out": None}}, "THIS SPLIT LEAKS", "its split leaks"),
    ({"audit": {"folds": [{"groups_on_both_sides": 3}]}}, "THIS SPLIT LEAKS", "its split leaks"),
    ({"marks": ["a control, not a model"]}, "a control, not a model", "a control, not a model"),
    ({"marks": ["THIS SPLIT LEAKS: x"]}, "THIS SPLIT LEAKS: x", "its split leaks"),
    ({"protocol": {"name": "end-to-end-short"}}, None, "short, not a result"),
    ({"summary": [summary((0.8, 0.78, 0.82), groups=9)]}, None, "few independent groups (9.0 effective)"),
    ({"summary": [summary((0.8, None, None))]}, None, "it has no interval"),
    ({"summary": [summary((None, None, None))]}, None, "it has no interval"),
    ({"scores": [row(0), row(1) | {"rankable": False}]}, None, "too few labelled cells or groups of a class"),
    ({"summary": [summary((0.6, 0.54, 0.7))]}, f"{BEATEN} (slide_prior, AUROC 0.550)", ""),
])  # fmt: skip
def test_marks_follow_from_the_record_even_if_it_leaves_them_out(parts, mark, why, tmp_path):
    entry = entry_of(tmp_path, **parts)
    assert entry.marks == (() if mark is None else (mark,))
    assert entry.unranked == why
    assert entry.leaks == ("LEAKS" in str(mark))


def test_a_protocol_that_draws_annotations_leaks_by_design(tmp_path):
    made = document()
    made["protocol"]["parameters"]["split"] = "random"
    write(tmp_path / "run", identified(made))
    assert read(tmp_path / "run")[0].leaks


def spoilt(change):
    made = document()
    change(made)
    return made


EDITS = {
    "AUROC": lambda d: d["summary"][0]["metrics"]["auroc"].update(mean=0.9),
    "impossible AUROC": lambda d: d["summary"][0]["metrics"]["auroc"].update(ci_high=1.2),
    "another hash": lambda d: d["protocol"].update(hash="0" * 64),
    "another seed in the protocol": lambda d: d["protocol"]["parameters"].update(split_seed=1),
    "other conditions": lambda d: d["conditions"].update(stain="macenko"),
    "other cells": lambda d: d["dataset"].update(cells_sha256="0" * 64),
    "another model": lambda d: d["model"].update(fingerprint="0" * 64),
    "another id": lambda d: d.update(run_id="0" * 64),
    "unknown schema": lambda d: d.update(schema="mitozoo-result/2"),
    "no schema": lambda d: d.pop("schema"),
    "no summary": lambda d: d.pop("summary"),
    "no recipe": lambda d: d["conditions"].update(split="by-hand"),
    "a fraction that no row is of": lambda d: d["summary"][0].update(fraction=0.5),
    "a name that is empty": lambda d: d["model"].update(name=" \u202e"),
    "a name without end": lambda d: d["model"].update(name="x" * 10_000),
    "a licence that is none": lambda d: d["model"].update(license={"a": 1}),
    "parameters that are none": lambda d: d["model"].update(parameters="many"),
    "a flood of marks": lambda d: d.update(marks=["x"] * 65),
    "controls of another kind": lambda d: d.update(controls={"slide_prior": []}),
    "perturbed by nothing": lambda d: d.update(
        perturbed=[summary((0.7, 0.6, 0.8)) | {"perturbed": 3, "difference": {}}]
    ),
    "groups that are no number": lambda d: d["summary"][0]["interval"].update(n_groups="many"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_document_is_refused_by_name(edit, tmp_path):
    write(tmp_path / "run", spoilt(EDITS[edit]))
    with pytest.raises(VerificationError, match=r"^run/result\.json: ") as refusal:
        read(tmp_path / "run")
    assert len(refusal.value.message) < 400


def test_an_unknown_schema_is_told_as_such(tmp_path):
    write(tmp_path / "run", spoilt(EDITS["unknown schema"]))
    with pytest.raises(VerificationError, match="it has schema 'mitozoo-result/2'; this version of mitozoo reads"):
        read(tmp_path / "run")


@pytest.mark.parametrize("raw", [
    b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"schema": "mitozoo-result/1", "run_id": NaN}',
    json.dumps(document()).encode()[:-40],
])  # fmt: skip
def test_garbage_is_refused_by_name(raw, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "result.json").write_bytes(raw)
    with pytest.raises(VerificationError, match=r"^run/result\.json: "):
        read(tmp_path / "run")


def test_a_document_without_end_is_not_read(tmp_path, monkeypatch):
    write(tmp_path / "run", document())
    monkeypatch.setattr(reading, "MOST_BYTES", 1000)
    with pytest.raises(VerificationError, match="it is larger than 1,000 bytes"):
        read(tmp_path / "run")


def test_parameters_that_were_counted_stand_in_for_those_that_nobody_stated(tmp_path):
    calls = [
        {"created": "2026-01-01T00:00:00Z", "model": {"parameters": 5_000_000}},
        {"created": "2026-02-01T00:00:00Z"},
    ]
    for name, stated in (("told", 2_000_000), ("untold", None)):
        write(tmp_path / name, document(name, model={"parameters": stated}))
        (tmp_path / name / "compute.json").write_text(json.dumps({"calls": calls}))
    assert [read(tmp_path / name)[0].model.parameters for name in ("told", "untold")] == [2e6, 5e6]
    assert read(tmp_path / "told")[0].created == "2026-02-01T00:00:00Z"


@pytest.mark.parametrize("compute", ["", "[]", '{"calls": []}', '{"calls": [{"created": 7}]}', "[" * 5000])
def test_no_date_is_no_fault(compute, tmp_path):
    write(tmp_path / "run", document())
    (tmp_path / "run" / "compute.json").write_text(compute)
    assert read(tmp_path / "run")[0].created == ""


def places(value, at=()):
    """Yield the address of every value within."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield (*at, key)
        yield from places(part, (*at, key))


WHERE = list(places(document()))
ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False), st.text(max_size=8),
    st.sampled_from([[], {}, [[]], {"fold": None}]),
)  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.sampled_from(WHERE), odd=ODD, mended=st.booleans())
def test_any_value_in_any_place_is_shown_or_refused(where, odd, mended, tmp_path):
    made = copy.deepcopy(document())
    inner = made
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = odd
    try:
        made = identified(made) if mended else made
    except (TypeError, KeyError, AttributeError):
        return  # no forger could make a run id of it either
    folder = tmp_path / "run"
    folder.mkdir(exist_ok=True)
    (folder / "result.json").write_text(json.dumps(made))
    entries, refused = read_all(find_results(tmp_path), processes=1)  # and no other error
    assert all(one.reason.startswith("run/result.json: ") for one in refused)
    assert all(entry.model.name and entry.title for entry in entries)
    assert not (entries and refused)


def test_all_are_read_by_any_number_of_processes(tmp_path, monkeypatch):
    for number in range(7):
        write(tmp_path / f"{number}", document(f"encoder-{number}"))
    write(tmp_path / "bad", spoilt(EDITS["no summary"]))
    write(tmp_path / "copy", document("encoder-3"))  # the same bytes: counted once
    found = find_results(tmp_path)
    monkeypatch.setattr(reading, "AT_ONCE", 2)
    entries, refused = read_all(found, processes=1)
    assert [entry.model.name for entry in entries] == [f"encoder-{number}" for number in range(7)]
    assert [one.file for one in refused] == ["bad/result.json"]
    assert read_all(found, processes=2) == (entries, refused)


def test_metrics_that_are_not_there_are_missing_and_no_fault(tmp_path):
    made = summary((0.8, 0.78, 0.82))
    made["metrics"] = {"auroc": made["metrics"]["auroc"], "ece": mean(None)}
    assert entry_of(tmp_path, summary=[made]).metrics[1:] == (None,) * 6
