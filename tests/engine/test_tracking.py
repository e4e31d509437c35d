"""Trackers hear of every run, and nothing that one does loses, changes or delays a run for long."""

from __future__ import annotations

import json
import math
import re
import types
from pathlib import Path

import pytest
from tiny_distributions import Tiny
from tiny_zoo import contents

import mitozoo
from mitozoo.engine import tracking
from mitozoo.engine.progress import Progress
from mitozoo.engine.several import evaluate_several
from mitozoo.engine.tracking import Tracking, final_metrics
from mitozoo.errors import ModelError, SpecError, UnknownNameError
from mitozoo.plugins.registry import load_registry, reset_registry
from mitozoo.plugins.trackers import TrackedRun, TrackerSpec

DIARY = '''
import functools, json, sys, time
from pathlib import Path
from mitozoo import TrackerSpec, hookimpl

class Diary:
    """Writes each call down, as a line; one method may do something else."""

    def __init__(self, place, run, name, fault):
        self.file = Path(place) / f"{name}-{run.name}.jsonl"
        self.fault = fault
        self.do("open", run.run_id, run.model, run.dataset)

    def do(self, what, *told):
        method, _, deed = self.fault.partition(" ")
        if method == what:
            exec(deed, {"sys": sys, "time": time})
        with self.file.open("a") as file:
            file.write(json.dumps([what, *told]) + "\\n")

    def parameters(self, values):
        self.do("parameters", dict(values))

    def metrics(self, values, step):
        self.do("metrics", dict(values), step)

    def artifact(self, path):
        self.do("artifact", path.name, path.read_text())

    def close(self, outcome):
        self.do("close", outcome)

def open_diary(place, run): return Diary(place, run, "diary", "")
def open_talker(place, run): return Diary(place, run, "talker", "parameters print('hello')")
def open_bad_open(place, run): return Diary(place, run, "bad-open", "open raise OSError('no entry')")
def open_bad_parameters(place, run): return Diary(place, run, "bad-parameters", "parameters 1 / 0")
def open_bad_metrics(place, run): return Diary(place, run, "bad-metrics", "metrics sys.exit(7)")
def open_bad_artifact(place, run): return Diary(place, run, "bad-artifact", "artifact raise BaseException('odd')")
def open_bad_close(place, run): return Diary(place, run, "bad-close", "close time.sleep(60)")
def open_mute(place, run): return Diary(place, run, "mute", "open raise type('Mute', (Exception,), {'__str__': 1 / 1})")
def open_wordy(place, run): return Diary(place, run, "wordy", "open raise OSError('no ' * 1000)")
def open_interrupted(place, run): return Diary(place, run, "interrupted", "parameters raise KeyboardInterrupt")
def open_leaky(place, run): return Diary(place, run, "leaky", "open raise OSError('no https://me:secretsecret@host')")

@hookimpl
def mitozoo_trackers():
    """Offer all."""
    return [
        TrackerSpec(name=name.removeprefix("open_").replace("_", "-"), open=function, place="a folder")
        for name, function in globals().items() if name.startswith("open_")
    ]
'''
ASKED = {"folds": 1, "controls": "labels"}
TRAINED = ASKED | {"protocol": "end-to-end", "settings": {"epochs": 2, "learning_rates": "1e-3,1e-2", "batch_size": 16}}


@pytest.fixture(scope="module")
def diaries(zoo_site, installed):
    """Have the tiny zoo, and the diaries, in this process."""
    site = installed(Tiny("mitozoo-plugin-diary", DIARY))
    with pytest.MonkeyPatch.context() as patch:
        for folder in (zoo_site, site):
            patch.syspath_prepend(folder)
        patch.setenv("MITOZOO_PLUGINS", "tinyzoo,diary")
        reset_registry()
        yield
    reset_registry()


def entries(folder: Path, name: str = "diary") -> list[list]:
    """Return what a diary holds, of the only run that it heard of."""
    [file] = folder.glob(f"{name}-*.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_a_probe_is_written_up_from_its_parameters_to_its_document(diaries, tmp_path):
    result = mitozoo.evaluate("steady", "tiny", out=tmp_path / "runs", track=[f"diary:{tmp_path}"], controls="labels")
    opened, parameters, scores, kept, closed = entries(tmp_path)
    assert opened == ["open", result.document["run_id"], "steady", "tiny"]
    told = parameters[1]
    protocol = result.document["protocol"]
    assert (told["model"], told["dataset"], told["protocol"]) == ("steady", "tiny", "linear-probe@1")
    assert told["protocol.hash"] == protocol["hash"]
    assert told["protocol.window_um"] == protocol["parameters"]["window_um"]
    assert told["model.fingerprint"] == result.document["model"]["fingerprint"]
    assert told["dataset.cells_sha256"] == result.document["dataset"]["cells_sha256"]
    assert told["asked.seeds"] == 1
    assert not {"conditions.split", "conditions.stain_of"} & told.keys()  # nothing was asked of them
    [summary] = result.document["summary"]
    assert scores[2] == 0
    for name in ("auroc", "balanced_accuracy", "ece"):
        metric = summary["metrics"][name]
        assert [scores[1][f"test/{name}{end}"] for end in ("", "_ci_low", "_ci_high")] == [
            metric["mean"], metric["ci_low"], metric["ci_high"],
        ]  # fmt: skip
    assert 0 <= scores[1]["control/auroc"] <= 1
    assert kept == ["artifact", "result.json", (result.folder / "result.json").read_text()]
    assert closed == ["close", "finished"]


def test_conditions_and_fractions_are_told_apart(diaries, tmp_path):
    asked = ASKED | {"fractions": (1, 0.5), "stain": "reinhard", "track": [f"diary:{tmp_path}"]}
    result = mitozoo.evaluate("steady", "tiny", out=tmp_path / "runs", **asked)
    _, parameters, scores, *_ = entries(tmp_path)
    assert parameters[1]["conditions.stain"] == "reinhard"
    assert parameters[1]["asked.fractions"] == "1.0, 0.5"
    whole, half = result.document["summary"]
    assert scores[1]["test/auroc"] == whole["metrics"]["auroc"]["mean"]
    assert scores[1]["test/labels_0.5/auroc"] == half["metrics"]["auroc"]["mean"]


def test_a_training_is_written_up_epoch_by_epoch(diaries, tmp_path):
    result = mitozoo.evaluate("steady", "tiny", out=tmp_path / "runs", track=[f"diary:{tmp_path}"], **TRAINED)
    epochs = [entry[1:] for entry in entries(tmp_path) if entry[0] == "metrics"][:-1]
    assert [step for _, step in epochs] == [1, 2, 1, 2]  # of each learning rate
    losses = {}
    for number, (values, step) in enumerate(epochs):
        rate = ("0.001", "0.01")[number // 2]
        start = f"fold0-seed0-fraction1/lr_{rate}/"
        assert values.keys() == {f"{start}{name}" for name in ("training_loss", "validation_loss", "validation_auroc")}
        assert 0 <= values[f"{start}validation_auroc"] <= 1
        assert values[f"{start}training_loss"] > 0
        losses[values[f"{start}validation_loss"]] = (float(rate), step)
    [row] = result.document["scores"]
    best = min(losses)
    assert row["selected"]["validation_log_loss"] == best
    assert (row["selected"]["learning_rate"], row["selected"]["epoch"]) == losses[best]


FAULTS = {
    "mute": "opening: Mute",
    "wordy": f"opening: OSError: {'no ' * 96}...",
    "bad-open": "opening: OSError: no entry",
    "leaky": "opening: OSError: no https://***@host",
    "bad-parameters": "writing parameters: ZeroDivisionError: division by zero",
    "bad-metrics": "writing scores: it called sys.exit(7)",
    "bad-artifact": "keeping result.json: BaseException: odd",
    "bad-close": "closing: did not finish closing within 2 s",
}


def test_trackers_that_fail_are_told_once_and_nothing_is_lost(diaries, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(tracking, "SECONDS", 2.0)
    plain = mitozoo.evaluate("steady", "tiny", out=tmp_path / "plain", **ASKED)
    notes: list[str] = []
    listener = Tracking([f"{name}:{tmp_path}" for name in (*FAULTS, "diary")], notes.append)
    [tracked, _] = evaluate_several(
        ["steady", "shifted"], "tiny", progress=lambda: Progress(listener), out=tmp_path / "tracked", **ASKED
    )
    assert contents(tracked.folder) == contents(plain.folder)
    assert notes == [
        f"tracker '{name}' failed while {fault}; the run goes on without it" for name, fault in FAULTS.items()
    ]
    assert capsys.readouterr().out == ""
    for model in ("steady", "shifted"):  # whoever stands beside them hears everything
        [file] = tmp_path.glob(f"diary-{model}-*.jsonl")
        assert [json.loads(line)[0] for line in file.read_text().splitlines()] == [
            "open", "parameters", "metrics", "artifact", "close",
        ]  # fmt: skip


def test_what_a_tracker_prints_stays_off_stdout(diaries, tmp_path, capsys):
    mitozoo.evaluate("steady", "tiny", out=tmp_path / "runs", track=[f"talker:{tmp_path}"], **ASKED)
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "hello\n")


def test_a_run_that_fails_or_is_interrupted_is_closed_so(diaries, tmp_path):
    with pytest.raises(ModelError, match="model 'nan'"):
        mitozoo.evaluate("nan", "tiny", out=tmp_path / "runs", track=[f"diary:{tmp_path}"], **ASKED)
    assert entries(tmp_path)[-1] == ["close", "failed"]
    other = tmp_path / "other"
    other.mkdir()
    trackers = [f"diary:{other}", f"interrupted:{other}"]
    with pytest.raises(KeyboardInterrupt):
        mitozoo.evaluate("steady", "tiny", out=tmp_path / "runs", track=trackers, **ASKED)
    assert entries(other)[-1] == ["close", "interrupted"]


def test_a_run_that_is_there_already_is_written_up_too(diaries, tmp_path):
    asked = ASKED | {"out": tmp_path / "runs"}
    mitozoo.evaluate("steady", "tiny", **asked)
    before = contents(tmp_path / "runs")
    mitozoo.evaluate("steady", "tiny", track=[f"diary:{tmp_path}", f"diary:{tmp_path}"], **asked)
    assert [entry[0] for entry in entries(tmp_path)] == ["open", "parameters", "metrics", "artifact", "close"]
    assert contents(tmp_path / "runs") == before


def test_a_report_beside_the_result_is_kept_too(diaries, tmp_path):
    result = mitozoo.evaluate("steady", "tiny", out=tmp_path / "runs", **ASKED)
    (result.folder / tracking.REPORT).write_text("<p>all about it</p>")
    mitozoo.evaluate("steady", "tiny", track=[f"diary:{tmp_path}"], out=tmp_path / "runs", **ASKED)
    assert ["artifact", "report.html", "<p>all about it</p>"] in entries(tmp_path)


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("dairy", "there is no tracker 'dairy'", "Did you mean 'diary'? See them all: mitozoo plugins"),
        ("zztop", "tracker 'zztop' is not installed", "Try: pip install mitozoo-plugin-zztop"),
        ("steady", "'steady' is a model, not a tracker", "See them all: mitozoo plugins"),
    ],
)
def test_a_tracker_that_nobody_offers_is_refused_before_any_work(diaries, tmp_path, monkeypatch, name, message, hint):
    monkeypatch.setattr(tracking, "OWN", ("zztop",))  # mitozoo's own are installed here
    with pytest.raises(UnknownNameError) as refused:
        mitozoo.evaluate("steady", "tiny", out=tmp_path / "runs", track=[name], **ASKED)
    assert (refused.value.message, refused.value.hint) == (message, hint)
    assert not list(tmp_path.iterdir())


def test_the_qualified_name_works_and_the_registry_lists_it(diaries, tmp_path):
    mitozoo.evaluate("steady", "tiny", out=tmp_path / "runs", track=[f"mitozoo-plugin-diary/diary:{tmp_path}"], **ASKED)
    assert entries(tmp_path)[-1] == ["close", "finished"]
    [row] = [row for row in load_registry().rows if row.name == "diary"]
    assert "diary" in row.trackers
    assert row.to_json()["trackers"] == list(row.trackers)


def test_numbers_that_are_none_are_left_out_and_names_suit_every_tracker(diaries, tmp_path):
    document = mitozoo.evaluate("steady", "tiny", out=tmp_path, **ASKED).document
    assert document["summary"][0]["metrics"]["auroc"]["ci_low"] is None  # of one fold there are too few groups
    values = final_metrics(document)
    assert "test/auroc" in values
    assert "test/auroc_ci_low" not in values
    assert values["test/ap_0.10"] == document["summary"][0]["metrics"]["ap@0.10"]["mean"]
    assert all(re.fullmatch(r"[\w./-]+", name) and math.isfinite(value) for name, value in values.items())


def open_nothing(place, run):
    raise AssertionError


@pytest.mark.parametrize(
    ("values", "fault"),
    [({"name": "Big Name"}, "must be lower-case"), ({"open": 7}, "open must be"), ({"place": ""}, "place must say")],
)
def test_a_record_that_cannot_be_right_is_refused(values, fault):
    with pytest.raises(SpecError, match=fault):
        TrackerSpec(**{"name": "good", "open": open_nothing, "place": "a folder"} | values)


def test_the_tracker_of_the_docs_is_one(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "trackers.md").read_text()
    [code] = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    module = types.ModuleType("diary_of_the_docs")
    exec(code, vars(module))
    [spec] = module.mitozoo_trackers()
    tracker = spec.open(str(tmp_path), TrackedRun(run_id="0" * 64, name="a-run", model="steady", dataset="tiny"))
    tracker.parameters({"model": "steady"})
    tracker.metrics({"test/auroc": 0.5}, 0)
    tracker.artifact(tmp_path / "result.json")
    tracker.close("finished")
    assert [json.loads(line) for line in (tmp_path / "a-run.jsonl").read_text().splitlines()] == [
        {"model": "steady"}, {"step": 0, "test/auroc": 0.5}, {"kept": str(tmp_path / "result.json")},
        {"outcome": "finished"},
    ]  # fmt: skip


def test_the_core_imports_no_tracker():
    imports = re.compile(
        r"^\s*(?:import|from)\s+(mlflow|tensorboard\w*|wandb|torch\.utils\.tensorboard)\b", re.MULTILINE
    )
    assert imports.search("def f():\n    import mlflow\n")
    files = list(Path(mitozoo.__file__).parent.rglob("*.py"))
    assert len(files) > 100
    assert not [file for file in files if imports.search(file.read_text(encoding="utf-8"))]
