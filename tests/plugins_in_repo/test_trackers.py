"""MLflow, TensorBoard and Weights & Biases: what their own readers find is what the run says."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

import mitozoo
from mitozoo.engine.tracking import final_metrics
from mitozoo.plugins.registry import load_registry, reset_registry
from mitozoo.plugins.trackers import TrackedRun

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mitozoo.results.result import Result

ASKED = {
    "folds": 1, "controls": "labels", "protocol": "end-to-end",
    "settings": {"epochs": 2, "learning_rates": "1e-2", "batch_size": 16},
}  # fmt: skip
EPOCHS = "fold0-seed0-fraction1/lr_0.01"
TOLD = [f"{EPOCHS}/{name}" for name in ("training_loss", "validation_loss", "validation_auroc")]


class Tracked(NamedTuple):
    result: Result
    folder: Path


@pytest.fixture(scope="module")
def tracked(zoo_site, tmp_path_factory):
    """One training that all three have written up, and a second call that added a seed to it."""
    folder = tmp_path_factory.mktemp("tracked")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(zoo_site)
        patch.setenv("MITOZOO_PLUGINS", "tinyzoo,mlflow,tensorboard,wandb")
        for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "WANDB_MODE", "WANDB_DIR", "WANDB_PROJECT"):
            patch.delenv(variable, raising=False)
        reset_registry()
        track = [f"{name}:{folder / name}" for name in ("mlflow", "tensorboard", "wandb")]
        result = mitozoo.evaluate("steady", "tiny", out=folder / "runs", track=track, **ASKED)
        more = mitozoo.evaluate("steady", "tiny", out=folder / "runs", track=track[:1], seeds=2, **ASKED)
        assert more.folder == result.folder
        yield Tracked(result, folder)
    reset_registry()


def losses(result: Result) -> float:
    return result.document["scores"][0]["selected"]["validation_log_loss"]


def test_mlflow_finds_the_run_in_a_local_file(tracked):
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{tracked.folder / 'mlflow' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("mitozoo")
    [run] = client.search_runs([experiment.experiment_id])  # the second call went on with the first one's
    assert (run.info.run_name, run.info.status) == (tracked.result.folder.name, "FINISHED")
    assert run.data.tags["mitozoo.run_id"] == tracked.result.document["run_id"]
    assert run.data.params["protocol.hash"] == tracked.result.document["protocol"]["hash"]
    assert (run.data.params["model"], run.data.params["asked.seeds"]) == ("steady", "1")
    steps = [metric.step for metric in client.get_metric_history(run.info.run_id, TOLD[0])]
    assert steps == [1, 2]
    history = client.get_metric_history(run.info.run_id, TOLD[1])
    assert min(metric.value for metric in history) == losses(tracked.result)
    assert f"{EPOCHS.replace('seed0', 'seed1')}/training_loss" in run.data.metrics
    document = json.loads((tracked.result.folder / "result.json").read_text())
    scores = final_metrics(document)
    assert {name: run.data.metrics[name] for name in scores} == scores
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["result.json"]
    [kept] = (tracked.folder / "mlflow" / "artifacts").rglob("result.json")
    assert json.loads(kept.read_text()) == document


def test_tensorboard_finds_the_run(tracked):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tracked.folder / "tensorboard" / tracked.result.folder.name)).Reload()
    scores = final_metrics(tracked.result.document)
    assert set(events.Tags()["scalars"]) == {*scores, *TOLD}
    for name, value in scores.items():
        [event] = events.Scalars(name)
        assert (event.step, event.value) == (0, pytest.approx(value, rel=1e-6))
    assert [event.step for event in events.Scalars(TOLD[0])] == [1, 2]
    assert min(event.value for event in events.Scalars(TOLD[1])) == pytest.approx(losses(tracked.result), rel=1e-6)
    texts = {
        name: events.Tensors(f"{name}/text_summary")[0].tensor_proto.string_val[0].decode()
        for name in ("parameters", "outcome", "files/result.json")
    }
    assert f"| protocol.hash | {tracked.result.document['protocol']['hash']} |" in texts["parameters"]
    assert texts["outcome"] == "finished"
    lines = texts["files/result.json"].splitlines()
    assert json.loads("\n".join(line[4:] for line in lines[2:])) == tracked.result.document


WANDB_START, BLOCK, HEAD = 7, 2**15, 7


def wandb_records(file: Path) -> Iterator[Any]:
    """Yield the records of an offline run: wandb's own messages, in frames of LevelDB's log."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, whole = file.read_bytes(), WANDB_START, b""
    assert data.startswith(b":W&B")
    while at + HEAD <= len(data):
        if BLOCK - at % BLOCK < HEAD:
            at += BLOCK - at % BLOCK  # no room for a frame's head: the rest of the block is empty
            continue
        length, kind = struct.unpack("<HB", data[at + 4 : at + HEAD])  # behind a checksum
        whole += data[at + HEAD : at + HEAD + length]
        at += HEAD + length
        if kind in (1, 4):  # whole, or the last part
            yield Record.FromString(whole)
            whole = b""


def test_wandb_finds_the_run_that_nobody_was_sent(tracked):
    [folder] = (tracked.folder / "wandb" / "wandb").glob("offline-run-*")
    [file] = folder.glob("run-*.wandb")
    config, summary, history, run, code = {}, {}, [], None, None
    for record in wandb_records(file):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run = record.run
            config |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
        elif kind == "config":
            config |= {"/".join(i.nested_key) or i.key: json.loads(i.value_json) for i in record.config.update}
        elif kind == "summary":
            summary |= {"/".join(i.nested_key) or i.key: json.loads(i.value_json) for i in record.summary.update}
        elif kind == "history":
            history.append({"/".join(i.nested_key) or i.key: json.loads(i.value_json) for i in record.history.item})
        elif kind == "exit":
            code = record.exit.exit_code
    assert (run.project, run.display_name, code) == ("mitozoo", tracked.result.folder.name, 0)
    assert config["protocol.hash"] == tracked.result.document["protocol"]["hash"]
    epochs = [row for row in history if TOLD[0] in row]
    assert [row["epoch"] for row in epochs] == [1, 2]
    assert min(row[TOLD[1]] for row in epochs) == losses(tracked.result)
    scores = final_metrics(tracked.result.document)
    assert {name: summary[name] for name in scores} == scores
    assert [path.name for path in (folder / "files").iterdir()] == ["result.json"]  # nothing of the machine beside it
    assert not (folder / "files" / "result.json").is_symlink()
    assert json.loads((folder / "files" / "result.json").read_text()) == tracked.result.document


def test_a_run_that_fails_is_marked_so_in_mlflow(tracked, tmp_path):
    from mlflow import MlflowClient

    spec = load_registry().tracker("mlflow").spec
    run = TrackedRun(run_id="0" * 64, name="a-run", model="steady", dataset="tiny")
    for outcome, status in (("failed", "FAILED"), ("interrupted", "KILLED")):
        tracker = spec.open(str(tmp_path), run)
        tracker.parameters({"model": "steady", "long": "x" * 10_000})
        tracker.close(outcome)
        client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
        experiment = client.get_experiment_by_name("mitozoo").experiment_id
        [found] = client.search_runs([experiment], filter_string="attributes.run_name = 'a-run'")
        assert found.info.status == status


def test_each_says_what_may_follow_its_name():
    reset_registry()
    trackers = {one.spec.name: one.spec for one in load_registry().trackers}
    assert {"mlflow", "tensorboard", "wandb"} <= trackers.keys()
    assert all("without it" in trackers[name].place for name in ("mlflow", "tensorboard", "wandb"))
