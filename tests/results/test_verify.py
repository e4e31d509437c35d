"""`verify` finds what a forger changes, even one who mends every checksum that a document states."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

import mitozoo
from mitozoo.engine.verification import verify_run
from mitozoo.errors import StorageError, VerificationError
from mitozoo.plugins.record import canonical_json
from mitozoo.results.row import ResultRow, read_row
from mitozoo.results.run_folder import RESULT, dump, run_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="module")
def original(zoo, tmp_path_factory) -> Path:
    """Return the folder of a finished run."""
    out = tmp_path_factory.mktemp("runs")
    return mitozoo.evaluate("steady", "tiny", out=out, fractions=(0.02, 0.5, 1), seeds=2, folds=3).folder


@pytest.fixture
def run(original, tmp_path) -> Path:
    """Return a copy of it, to be changed."""
    return shutil.copytree(original, tmp_path / original.name)


def forge(run: Path, change: Callable[[dict[str, Any]], None] = lambda document: None) -> None:
    """Change the document, then mend its checksums, the protocol's hash and the run's id, as a forger would."""
    document = json.loads((run / RESULT).read_text())
    change(document)
    document["files"] = {
        path.relative_to(run).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted([*run.glob("*.parquet"), *run.glob("rows/*")])
    }
    cells = pd.read_parquet(run / "cells.parquet")
    digest = hashlib.sha256()
    for row in zip(*(cells[name].tolist() for name in ("cell_id", "slide", "group", "label")), strict=True):
        digest.update(json.dumps(row, ensure_ascii=False).encode() + b"\n")
    document["dataset"] |= {
        "cells": len(cells), "groups": cells["group"].nunique(), "cells_sha256": digest.hexdigest(),
    }  # fmt: skip
    for side, label in (("positive", 1), ("negative", 0)):
        document["dataset"]["classes"][side]["cells"] = int((cells["label"] == label).sum())
    protocol = document["protocol"]
    essence = canonical_json({"version": protocol["version"]} | protocol["parameters"])
    protocol["hash"] = hashlib.sha256(essence.encode()).hexdigest()
    document["identity"] |= {"cells": document["dataset"]["cells_sha256"], "protocol": protocol["hash"]}
    document["run_id"] = run_id(document["identity"])
    (run / RESULT).write_text(dump(document))


def forge_table(run: Path, name: str, change: Callable[[pd.DataFrame], pd.DataFrame | None]) -> None:
    table = pd.read_parquet(run / name)
    changed = change(table)
    (table if changed is None else changed).to_parquet(run / name, index=False, compression="zstd")
    forge(run)


def forge_row(run: Path, row_id: str, **changed: Any) -> None:
    path = run / "rows" / f"{row_id}.safetensors"
    row = read_row(path)
    ResultRow(**(vars(row) | changed)).write(path)
    forge(run)


def found(run: Path) -> str:
    with pytest.raises(VerificationError) as caught:
        verify_run(run)
    assert caught.value.exit_code == 1
    return caught.value.message


def test_nothing_is_found_where_nothing_was_changed(run):
    lines = verify_run(run)
    assert any("12 thresholds" in line for line in lines)
    assert any("3 draws" not in line and "18 draws" in line for line in lines)
    forge(run)
    assert verify_run(run) == lines


def test_it_works_wherever_the_folder_lies(run, tmp_path):
    assert verify_run(run.rename(tmp_path / "elsewhere"))


DONE = 0  # the first entry: fraction 1, fold 0, seed 0


def in_score(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        at = document["scores"][DONE]
        for parent in parents:
            at = at[parent]
        at[last] = value

    return change


def change_summary(document: dict[str, Any]) -> None:
    document["summary"][0]["metrics"]["auroc"]["mean"] += 0.01


def change_interval(document: dict[str, Any]) -> None:
    document["summary"][1]["metrics"]["f1"]["ci_low"] = 0.4


def change_control(document: dict[str, Any]) -> None:
    document["controls"]["slide_prior"]["auroc"]["mean"] = 0.3


def no_oracle(document: dict[str, Any]) -> None:
    document["controls"]["test_slide_rate"]["oracle"] = False


def rename_protocol(document: dict[str, Any]) -> None:
    document["protocol"]["name"] = "linear-probe@1+window_um=64"


def change_parameter(document: dict[str, Any]) -> None:
    document["protocol"]["parameters"]["window_um"] = 64.0


def change_split_parameter(document: dict[str, Any]) -> None:
    document["protocol"]["parameters"]["split_seed"] = 7


def add_parameter(document: dict[str, Any]) -> None:
    document["protocol"]["parameters"]["class_weights"] = True


def hide_folds(document: dict[str, Any]) -> None:
    document["marks"].remove("3 of 5 folds")


def change_basis(document: dict[str, Any]) -> None:
    document["summary"][0]["interval"]["effective_groups"] = 60.0


def change_reason(document: dict[str, Any]) -> None:
    skipped = next(entry for entry in document["scores"] if entry["status"] == "skipped")
    skipped["reason"] = "no time"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (in_score("metrics.auroc.value", 0.99), "scores.0.metrics.auroc.value is recorded as 0.99"),
        (in_score("metrics.auroc.ci_low", 0.9), "scores.0.metrics.auroc.ci_low"),
        (in_score("threshold", 0.123), "threshold of fold0-seed0-fraction1"),
        (in_score("selected", {"lambda": 5.0}), "selected of fold0-seed0-fraction1.lambda is recorded as 5.0"),
        (in_score("converged", False), "converged of fold0-seed0-fraction1"),
        (in_score("flags", ["all is well"]), "flags of fold0-seed0-fraction1"),
        (in_score("n_train", 999), "scores.0.n_train"),
        (in_score("rankable", False), "scores.0.rankable"),
        (in_score("fraction", 0.9), "splits.parquet and result.json do not name the same rows"),
        (change_summary, "summary.0.metrics.auroc.mean is recorded as"),
        (change_interval, "summary.1.metrics.f1.ci_low is recorded as 0.4"),
        (change_basis, "summary.0.interval.effective_groups is recorded as 60.0"),
        (change_control, "controls.slide_prior.auroc.mean is recorded as 0.3"),
        (no_oracle, "controls.test_slide_rate.oracle"),
        (change_reason, "reason of fold0-seed0-fraction0.02"),
        (rename_protocol, "called 'linear-probe@1+window_um=64', and its parameters are those of 'linear-probe'"),
        (change_parameter, "its parameters are those of 'linear-probe@1+window_um=64'"),
        (change_split_parameter, "test cells of fold0-seed0-fraction1 are not the protocol's"),
        (add_parameter, "has not the parameters of 'linear-probe'@1"),
        (hide_folds, "3 of 5 folds were tested, and the marks say otherwise"),
    ],
)
def test_a_forged_document(change, named, run):
    forge(run, change)
    assert named in found(run)


def swap_two_labels(cells: pd.DataFrame) -> None:
    cells.loc[cells.index[:2], "label"] = cells["label"].to_numpy()[1::-1]


def one_more_positive(cells: pd.DataFrame) -> None:
    cells.loc[cells.index[cells["label"] == 0][0], "label"] = 1


def move_to_another_group(cells: pd.DataFrame) -> None:
    cells.loc[cells.index[0], "group"] = cells["group"].iloc[-1]


def reverse(cells: pd.DataFrame) -> pd.DataFrame:
    return cells.iloc[::-1]


def change_domain(cells: pd.DataFrame) -> None:
    cells["domain_scanner"] = cells["label"].map({0: "A", 1: "B"})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (swap_two_labels, "threshold of fold1-seed1-fraction0.5"),
        (one_more_positive, "fold"),
        (move_to_another_group, "cells.parquet: a slide lies in two groups"),
        (reverse, "cells.parquet: its cells are not unique and in order"),
        (change_domain, "metrics.domain_macro_scanner_auroc.value is recorded as"),
    ],
)
def test_forged_cells(change, named, run):
    forge_table(run, "cells.parquet", change)
    assert named in found(run)


def of_row(table: pd.DataFrame, **axes: Any) -> pd.Index:
    chosen = table
    for name, value in axes.items():
        chosen = chosen[chosen[name] == value]
    return chosen.index


def test_forged_roles(run):
    def to_training(splits: pd.DataFrame) -> None:
        rows = of_row(splits, fold=0, seed=0, fraction=1.0, role="test")
        splits.loc[rows[0], "role"] = "train"

    forge_table(run, "splits.parquet", to_training)
    assert "row fold0-seed0-fraction1 has" in found(run)


def test_forged_inner_folds(run):
    def exchange(splits: pd.DataFrame) -> None:
        one, other = (of_row(splits, fold=1, seed=0, fraction=0.5, role=f"inner-{n}")[0] for n in (0, 1))
        splits.loc[[one, other], "role"] = ["inner-1", "inner-0"]

    forge_table(run, "splits.parquet", exchange)
    assert "fold1-seed0-fraction0.5" in found(run)


def test_forged_scores(run):
    def improve(predictions: pd.DataFrame) -> None:
        rows = of_row(predictions, row_id="fold2-seed1-fraction1")
        predictions.loc[rows[-1], "score"] = 1.0

    forge_table(run, "predictions.parquet", improve)
    assert "test scores of fold2-seed1-fraction1 differ between its file and the tables" in found(run)


def test_forged_scores_in_row_and_table(run):
    """With every file mended, the metrics still follow from other scores."""
    row_id = "fold2-seed1-fraction1"
    scores = read_row(run / "rows" / f"{row_id}.safetensors").test_scores.copy()
    scores[-1] = 1.0

    def improve(predictions: pd.DataFrame) -> None:
        predictions.loc[of_row(predictions, row_id=row_id)[-1], "score"] = 1.0

    forge_row(run, row_id, test_scores=scores)
    forge_table(run, "predictions.parquet", improve)
    assert "scores.5.metrics." in found(run)


@pytest.mark.parametrize("value", [float("nan"), 1.5, -0.1])
def test_scores_that_are_no_probabilities(value, run):
    def spoil(predictions: pd.DataFrame) -> None:
        predictions.loc[3, "score"] = value

    forge_table(run, "predictions.parquet", spoil)
    assert "scores that are no probabilities" in found(run)


def test_scores_of_another_row_or_none(run):
    def drop(predictions: pd.DataFrame) -> pd.DataFrame:
        return predictions.drop(index=predictions.index[-1])

    forge_table(run, "predictions.parquet", drop)
    assert "scores for" in found(run)

    def twice(predictions: pd.DataFrame) -> None:
        rows = of_row(predictions, row_id="fold0-seed0-fraction1")
        predictions.loc[rows[0], "cell_id"] = predictions.loc[rows[1], "cell_id"]

    forge_table(run, "predictions.parquet", twice)
    assert "scores a cell twice" in found(run)


def test_forged_rows(run):
    forge_row(run, "fold1-seed1-fraction1", selected={"lambda": 1e-5})
    assert "selected of fold1-seed1-fraction1.lambda" in found(run)


@pytest.mark.parametrize("left_out", ["fold0-seed0-fraction1", "fold1-seed0-fraction0.5"])
def test_a_bad_row_left_out(left_out, run):
    """One that is left out whole, with a document made anew over the others."""
    (run / "rows" / f"{left_out}.safetensors").unlink()
    for name in ("splits.parquet", "predictions.parquet"):
        fold, seed, fraction = map(float, re.findall(r"[\d.]+", left_out))

        def drop(table: pd.DataFrame, axes: Any = (fold, seed, fraction)) -> pd.DataFrame:
            if "row_id" in table:
                return table[table["row_id"] != left_out]
            return table.drop(index=of_row(table, fold=axes[0], seed=axes[1], fraction=axes[2]))

        forge_table(run, name, drop)

    def drop_entry(document: dict[str, Any]) -> None:
        document["scores"] = [entry for entry in document["scores"] if entry["row_id"] != left_out]

    forge(run, drop_entry)
    assert "was left out" in found(run)


def test_a_checksum_that_was_not_mended(run):
    with (run / "rows" / "fold0-seed0-fraction1.safetensors").open("ab") as file:
        file.write(b" ")
    assert "rows/fold0-seed0-fraction1.safetensors has another sha256" in found(run)


def change_document(run: Path, change: Callable[[dict[str, Any]], None]) -> None:
    document = json.loads((run / RESULT).read_text())
    change(document)
    (run / RESULT).write_text(dump(document))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda document: document.update(run_id="0" * 64), "run_id is recorded as '000"),
        (lambda document: document["identity"].update(weights="0" * 64), "weights in the run's identity"),
        (lambda document: document["model"].update(fingerprint="0" * 64), "model in the run's identity"),
        (lambda document: document.update(precision="bf16"), "precision in the run's identity"),
        (lambda document: document["dataset"].update(negatives="all"), "negatives in the run's identity"),
        (lambda document: document["protocol"].update(hash="0" * 64), "hash of the protocol's parameters"),
        (lambda document: document["files"].clear(), "lists no sha256 of cells.parquet"),
        (lambda document: document["files"].update({"../../x": "0" * 64}), "names a file outside the run"),
        (lambda document: document.pop("controls"), "breaks its schema"),
        (lambda document: document["scores"][0].update(fold=99), "do not name the same rows"),
        (lambda document: document["scores"].append(document["scores"][0]), "holds a row twice"),
        (lambda document: document["protocol"]["parameters"].update(outer_folds="x"), "hash of the protocol"),
    ],
)
def test_a_document_that_contradicts_itself(change, named, run):
    change_document(run, change)
    assert named in found(run)


def test_rubbish_in_parameters_is_no_crash(run):
    forge(run, lambda document: document["protocol"]["parameters"].update(outer_folds="x"))
    assert "its files do not fit together" in found(run)


@pytest.mark.parametrize("name", ["cells.parquet", "predictions.parquet", "rows/fold1-seed0-fraction1.safetensors"])
def test_a_missing_file_is_the_users_to_find(name, run):
    (run / name).unlink()
    with pytest.raises(StorageError, match=f"{name} is missing") as caught:
        verify_run(run)
    assert caught.value.exit_code == 2


def test_an_unreadable_table(run):
    (run / "splits.parquet").write_bytes(b"no parquet")
    forge(run)
    with pytest.raises(StorageError, match=r"splits\.parquet is missing or damaged"):
        verify_run(run)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "mitozoo-result/2"}', "{"])
def test_unknown_schema(text, run):
    (run / RESULT).write_text(text)
    with pytest.raises(StorageError, match=r"no result document|this version of mitozoo reads mitozoo-result/1"):
        verify_run(run)


def test_a_protocol_of_another_version_is_taken_as_stated(run):
    forge(run, lambda document: document["protocol"].update(version=2))
    assert "is not known here: its parameters were taken as stated" in verify_run(run)[-1]
