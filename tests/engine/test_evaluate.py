"""One evaluation from names to a verified run: whole, append-only, resumable, the same each time."""

from __future__ import annotations

import csv
import json
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tiny_zoo import CELLS, contents, copy_of

import mitozoo
from mitozoo.data.splits import Fold
from mitozoo.engine.embed import embed_dataset
from mitozoo.engine.progress import Progress
from mitozoo.engine.request import Request
from mitozoo.engine.verification import verify_run
from mitozoo.errors import DataError, MitozooError, ModelError, SlideError, SplitError, StorageError
from mitozoo.results.run_folder import RESULT
from mitozoo.results.schema import violations

if TYPE_CHECKING:
    from mitozoo.results.result import Result


def checked(result: Result) -> Result:
    """Return a result once the schema and `verify` find no fault in it."""
    assert violations(result.document) == []
    assert verify_run(result.folder)
    assert json.loads((result.folder / RESULT).read_text()) == result.document
    return result


def rewrite_cells(data, change) -> None:
    path = data / "cells.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    kept = [row for row in rows if change(row) is not False]
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(kept)


@pytest.fixture(scope="module")
def probe(zoo, tmp_path_factory) -> Result:
    """Return a finished run of the linear probe."""
    return mitozoo.evaluate("steady", "tiny", out=tmp_path_factory.mktemp("runs"), fractions=(0.02, 0.5, 1), seeds=2)


def test_linear_probe(probe):
    document = checked(probe).document
    assert [entry["fraction"] for entry in document["summary"]] == [1.0, 0.5]
    assert probe.mean() > 0.8
    assert len(document["scores"]) == 3 * 2 * 5
    tested = [entry["n_test"] for entry in document["scores"] if entry["fraction"] == 1.0 and entry["seed"] == 0]
    assert sum(tested) == CELLS  # every cell is tested exactly once
    assert document["geometry"]["seen_um"] == {"min": 56.0, "median": 56.0, "max": 56.0}
    assert document["marks"] == ["synthetic data"]
    assert document["dataset"]["group_level"] == "slide"


def test_controls_and_within_slide_auroc_are_always_there(probe):
    controls = probe.document["controls"]
    assert set(controls) == {"slide_prior", "domain_prior:scanner", "test_slide_rate"}
    assert [name for name, control in controls.items() if control["oracle"]] == ["test_slide_rate"]
    assert controls["slide_prior"]["auroc"]["mean"] == pytest.approx(0.5)  # each slide has as many positives
    assert probe.document["summary"][0]["metrics"]["within_slide_auroc"]["mean"] > 0.8


def test_rows_that_cannot_be_are_skipped_with_the_smallest_fraction_that_works(probe, tmp_path):
    skipped = [entry for entry in probe.document["scores"] if entry["status"] == "skipped"]
    assert {entry["fraction"] for entry in skipped} == {0.02}
    reason = skipped[0]["reason"]
    assert "needed are 2 in 2; the smallest fraction that works is 0." in reason
    works = float(reason.rpartition(" ")[2])
    for fraction, status in ((works, "done"), (works - 0.01, "skipped")):
        entry = mitozoo.evaluate("steady", "tiny", out=tmp_path, fractions=(fraction,), folds=1).document["scores"][-1]
        assert entry["status"] == status, fraction


def test_nothing_but_skipped_rows(zoo, tmp_path):
    result = checked(mitozoo.evaluate("steady", "tiny", out=tmp_path, fractions=(0.01,)))
    assert result.document["summary"] == []
    assert result.mean() is None
    assert any(line.startswith("5 of 5 rows skipped") for line in result.remarks())


def test_end_to_end(zoo, tmp_path, probe):
    result = checked(mitozoo.evaluate("steady", "tiny", protocol="end-to-end-short", out=tmp_path, folds=2))
    assert "short, not a result" in result.document["marks"]
    assert "2 of 5 folds" in result.document["marks"]
    assert result.mean() > 0.55
    first = result.document["scores"][0]
    assert first["selected"]["trials"] == 1
    assert len(first["selected"]["weights_sha256"]) == 64
    assert not (result.folder / "checkpoints").exists()
    of_probe = next(e for e in probe.document["scores"] if e["row_id"] == first["row_id"])
    assert (first["n_train"], first["n_test"]) == (of_probe["n_train"], of_probe["n_test"])


def test_the_same_command_computes_nothing(probe, loads):
    before = contents(probe.folder)
    again = mitozoo.evaluate("steady", "tiny", out=probe.folder.parent, fractions=(1, 0.5, 0.02), seeds=2)
    assert loads() == 0
    assert again.document == probe.document
    assert contents(probe.folder) == before
    assert len(json.loads((probe.folder / "compute.json").read_text())["calls"]) == 1


@pytest.mark.parametrize("protocol", ["linear-probe", "end-to-end-short"])
def test_more_axes_append_and_end_where_one_call_would(protocol, zoo, tmp_path):
    def run(folder, **axes) -> Result:
        return mitozoo.evaluate("steady", "tiny", protocol=protocol, out=tmp_path / folder, **axes)

    first = checked(run("grown", folds=1))
    rows = {name: bytes_ for name, bytes_ in contents(first.folder).items() if name.startswith("rows")}
    assert len(rows) == 1
    run("grown", folds=2, seeds=2)
    last = checked(run("grown", folds=2, seeds=2, fractions=(1.0, 0.5)))
    assert last.folder == first.folder
    grown = contents(last.folder)
    assert len([name for name in grown if name.startswith("rows")]) == 8
    assert rows.items() <= grown.items()
    assert grown == contents(run("at-once", folds=2, seeds=2, fractions=(0.5, 1.0)).folder)


def test_a_smaller_command_later_loses_nothing(probe):
    again = mitozoo.evaluate("steady", "tiny", out=probe.folder.parent, folds=1)
    assert again.document == probe.document


def test_two_runs_of_the_same_thing_are_equal(probe, own_home, tmp_path):
    again = mitozoo.evaluate("steady", "tiny", out=str(tmp_path), fractions=[0.02, 0.5, 1], seeds=2)
    assert again.folder.name == probe.folder.name
    assert contents(again.folder) == contents(probe.folder)


def test_brought_embeddings_score_as_the_models_own(probe, zoo, tmp_path):
    for suffix in ("safetensors", "parquet"):
        path = tmp_path / f"mine.{suffix}"
        assert embed_dataset("steady", "tiny", path, progress=Progress()) == CELLS
        brought = checked(mitozoo.evaluate(dataset="tiny", embeddings=path, out=tmp_path / "runs", seeds=2))
        own = [entry for entry in probe.document["scores"] if entry["fraction"] == 1]
        assert brought.document["scores"] == own
        assert "brought embeddings" in brought.document["marks"]
        assert brought.document["model"]["name"] == "embeddings:mine"
        assert brought.document["precision"] is None
        assert brought.document["model"]["provenance"]["model"]["name"] == "steady"
    assert len(list((tmp_path / "runs").iterdir())) == 1  # the vectors are the same, whatever their file


def test_brought_embeddings_are_checked(zoo, tmp_path):
    path = tmp_path / "mine.parquet"
    embed_dataset("steady", "tiny", path, progress=Progress(), limit=24)
    with pytest.raises(DataError, match="has no vector for 144 of 168 cells"):
        mitozoo.evaluate(dataset="tiny", embeddings=path, out=tmp_path)
    with pytest.raises(MitozooError, match="trains the network, and a file of embeddings has none"):
        mitozoo.evaluate(dataset="tiny", embeddings=path, protocol="end-to-end", out=tmp_path)
    with pytest.raises(MitozooError, match="needs a model, or embeddings"):
        mitozoo.evaluate("steady", "tiny", embeddings=path)


def test_a_limit_is_marked_where_it_left_out_cells(zoo, tmp_path):
    limited = checked(mitozoo.evaluate("steady", "tiny", limit=120, folds=1, out=tmp_path))
    assert limited.document["dataset"]["cells"] == 120
    assert limited.document["dataset"]["groups"] == 10  # whole groups
    assert limited.document["marks"] == ["synthetic data", "only 120 cells", "1 of 5 folds"]
    whole = mitozoo.evaluate("steady", "tiny", limit=CELLS, folds=1, out=tmp_path)
    assert whole.document["marks"] == ["synthetic data", "1 of 5 folds"]
    assert whole.folder != limited.folder


def test_an_official_split_is_one_fold(zoo, tmp_path):
    result = checked(mitozoo.evaluate("steady", "tiny-official", out=tmp_path))
    [entry] = result.document["scores"]
    assert (entry["n_groups_train"], entry["n_groups_test"], entry["n_test"]) == (10, 4, 48)
    other = checked(mitozoo.evaluate("steady", "tiny-official", settings={"split": "grouped"}, out=tmp_path))
    assert len(other.document["scores"]) == 5
    assert "protocol changed by --set" in other.document["marks"]
    assert other.document["protocol"]["name"] == "linear-probe@1+split=grouped"


def test_a_planted_leak_is_refused(zoo, tmp_path, loads):
    with pytest.raises(SplitError, match="divides 1 groups between train and test, among them 'tiny-leak/case-0'"):
        mitozoo.evaluate("steady", "tiny-leak", out=tmp_path)
    assert loads() == 0
    assert list(tmp_path.glob("*/result.json")) == []


def test_the_audit_does_not_trust_the_splitter(zoo, tmp_path, monkeypatch, loads):
    """A splitter that divides a group, as a naive one does, is found out before anything is computed."""
    halves = [Fold(0, np.arange(0, CELLS, 2), np.arange(1, CELLS, 2))]
    monkeypatch.setattr("mitozoo.engine.question.make_folds", lambda *_, **__: halves)
    with pytest.raises(SplitError, match="fold 0 leaks from training to test: 14 slides stand on both sides"):
        mitozoo.evaluate("steady", "tiny", out=tmp_path)
    assert loads() == 0


def test_two_cases_on_one_slide_are_refused(zoo, tmp_path):
    """They could stand on different sides and still see each other's pixels."""
    data = copy_of(zoo, tmp_path / "data")

    def alternate(row) -> None:
        row["case"] = f"{row['slide']}-{int(row['id'][-2:]) // 6}"

    rewrite_cells(data, alternate)
    with pytest.raises(DataError, match="14 slides of dataset 'tiny-leak' hold cells of several cases, such as slide"):
        mitozoo.evaluate("steady", "tiny-leak", data=data, out=tmp_path / "runs", settings={"split": "grouped"})


def test_shuffled_labels_give_chance(zoo, tmp_path):
    data = copy_of(zoo, tmp_path / "data")
    random = np.random.default_rng(3)

    def shuffle(row) -> None:
        row["label"] = "MF" if random.random() < 1 / 3 else "HN"

    rewrite_cells(data, shuffle)
    result = checked(mitozoo.evaluate("steady", "tiny", data=data, out=tmp_path / "runs"))
    assert abs(result.mean() - 0.5) < 0.12  # 168 cells: the standard error is about 0.05
    assert result.remarks()[0].startswith("DOES NOT BEAT")


def test_only_a_model_that_knows_nothing_is_told_so(probe, zoo, tmp_path):
    chance = checked(mitozoo.evaluate("chance", "tiny", out=tmp_path))
    assert chance.remarks()[0].startswith("DOES NOT BEAT the control that never sees the image (")
    assert not any("DOES NOT BEAT" in line for line in probe.remarks())


def test_unreadable_slides_stop_the_run_or_are_recorded(zoo, own_home, tmp_path):
    data = copy_of(zoo, tmp_path / "data")
    (data / "slide-03.tif").unlink()
    content = (data / "slide-05.tif").read_bytes()
    (data / "slide-05.tif").write_bytes(content[: len(content) // 2])
    with pytest.raises(SlideError, match=r"2 of 14 slides cannot be read: .*slide-03\.tif does not exist") as caught:
        mitozoo.evaluate("steady", "tiny", data=data, out=tmp_path / "runs")
    assert "--skip-unreadable" in str(caught.value)
    assert not (tmp_path / "runs").exists()
    result = checked(mitozoo.evaluate("steady", "tiny", data=data, out=tmp_path / "runs", skip_unreadable=True))
    assert result.document["dataset"]["cells"] == CELLS - 24
    assert "24 unreadable cells left out" in result.document["marks"]
    left_out = result.document["audit"]["skipped_cells"]
    assert [cell for cell, _ in left_out] == [f"cell-{slide}-{n:02}" for slide in ("03", "05") for n in range(12)]
    assert "does not exist" in left_out[0][1]
    assert result.document["audit"]["cells_centred_outside"] == {"cells": 0, "first": []}
    assert result.document["audit"]["mpp_disagreements"] == []


def test_one_class_and_too_few_groups(zoo, tmp_path):
    with pytest.raises(SplitError, match="5 grouped folds need 5 groups of each class; there are only 3"):
        mitozoo.evaluate("steady", "tiny-few", out=tmp_path)
    checked(mitozoo.evaluate("steady", "tiny-few", settings={"outer_folds": 3}, out=tmp_path))


def test_a_wrong_dimension_and_no_number_leave_no_result(zoo, own_home, tmp_path):
    with pytest.raises(ModelError, match="declares embeddings of 17 values"):
        mitozoo.evaluate("wide", "tiny", out=tmp_path)
    with pytest.raises(ModelError, match="gives NaN or infinity for cell"):
        mitozoo.evaluate("nan", "tiny", out=tmp_path)
    assert list(tmp_path.rglob("result.json")) == []
    assert list(own_home.rglob("*.safetensors")) == []


def test_runs_that_must_differ_do(probe, zoo, tmp_path):
    folders = {probe.folder.name}
    for number, asked in enumerate((
        {"model": "shifted"}, {"settings": {"window_um": 40}}, {"precision": "bf16"}, {"limit": 150}, {"mpp": 0.5},
    ), start=1):  # fmt: skip
        asked = {"model": "steady"} | asked
        folders.add(mitozoo.evaluate(**asked, dataset="tiny", folds=1, out=tmp_path).folder.name)
        assert len(folders) == number + 1, asked


def test_a_changed_row_is_not_built_upon(probe, tmp_path):
    folder = shutil.copytree(probe.folder, tmp_path / probe.folder.name)
    row = folder / "rows" / "fold1-seed0-fraction1.safetensors"
    content = bytearray(row.read_bytes())
    content[-1] ^= 1
    row.write_bytes(content)
    with pytest.raises(StorageError, match=r"fold1-seed0-fraction1\.safetensors is not the file that result\.json"):
        mitozoo.evaluate("steady", "tiny", out=tmp_path, seeds=3)
    row.unlink()
    mended = mitozoo.evaluate("steady", "tiny", out=tmp_path, fractions=(0.02, 0.5, 1), seeds=2)
    assert contents(mended.folder) == contents(probe.folder)


def test_a_lost_table_is_written_again(probe, tmp_path):
    folder = shutil.copytree(probe.folder, tmp_path / probe.folder.name)
    (folder / "predictions.parquet").unlink()
    again = mitozoo.evaluate("steady", "tiny", out=tmp_path, fractions=(0.02, 0.5, 1), seeds=2)
    assert contents(again.folder) == contents(probe.folder)


def test_room_for_the_run_is_asked_for_before_work_starts(zoo, own_home, tmp_path, loads, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 10**3))
    with pytest.raises(StorageError, match=r"the run folder needs .* MB in .*, but only 0 MB are free"):
        mitozoo.evaluate("steady", "tiny", out=tmp_path)
    assert loads() == 0


def test_an_output_that_is_no_folder(zoo, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write in the run folder"):
        mitozoo.evaluate("steady", "tiny", out=tmp_path / "file")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"fractions": ()}, "each must be above 0"),
        ({"fractions": (0.5, 1.5)}, "fractions are 0.5, 1.5; each must be above 0 and at most 1"),
        ({"fractions": (float("nan"),)}, "each must be above 0"),
        ({"seeds": 0}, "seeds is 0; it must be at least 1"),
        ({"folds": -1}, "folds is -1"),
        ({"limit": 0}, "limit is 0"),
        ({"batch_size": 0}, "batch-size is 0"),
        ({"precision": "fp8"}, "precision is 'fp8'"),
        ({"mpp": 0}, "mpp is 0"),
        ({"protocol": "end-to-end", "batch_size": 8}, "states its own batch size"),
        ({"negatives": "soft"}, "negatives is 'soft'"),
        ({"device": "tpu"}, "device 'tpu' is not available"),
        ({"settings": {"window": 3}}, "has no parameter 'window'; did you mean 'window_um'"),
        ({"settings": {"window_um": "wide"}}, "window_um is 'wide'; it must be a number"),
        ({"settings": {"inner_folds": 1}}, "inner_folds is 1"),
    ],
)
def test_requests_that_cannot_be_meant(asked, message, zoo, tmp_path):
    with pytest.raises(MitozooError, match=message):
        mitozoo.evaluate("steady", "tiny", out=tmp_path, **asked)
    assert list(tmp_path.iterdir()) == []


def test_a_request_takes_text_and_values():
    request = Request("m", "d", data="x/y", settings={"lambdas": (0.1, 1), "window_um": 40}, fractions=(0.12345678, 1))
    assert request.data.parts == ("x", "y")
    assert request.settings == {"lambdas": "0.1,1", "window_um": "40"}
    assert request.fractions == (0.123457, 1.0)
