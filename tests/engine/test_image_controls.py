"""Controls that see the image: the same cells, folds and labels, runs of their own, and a mark for who is no better."""

from __future__ import annotations

import json
import shutil

import pytest

import mitozoo
from mitozoo.engine.image_controls import run_image_controls, wants_image_controls
from mitozoo.engine.request import Request
from mitozoo.engine.verification import verify_run
from mitozoo.errors import MitozooError, VerificationError
from mitozoo.plugins.registry import reset_registry
from mitozoo.results.image_controls import overlap_mark
from mitozoo.results.result import Result
from mitozoo.results.run_folder import RESULT, dump


@pytest.fixture
def with_controls(zoo, monkeypatch):
    """Have the plugin of the controls too, and one real network."""
    monkeypatch.setenv("MITOZOO_PLUGINS", "tinyzoo,controls,imagenet")
    reset_registry()
    yield
    reset_registry()


def test_a_model_beside_its_image_controls(with_controls, tmp_path):
    asked = {"out": tmp_path, "folds": 2, "controls": "full"}
    run = mitozoo.evaluate("steady", "tiny", fractions=(0.5, 1), seeds=2, **asked)
    colours, untrained = (run.document["image_controls"][name] for name in ("colour-statistics", "random-init"))
    own = Result.read(tmp_path / colours["run"])
    assert own.document["run_id"] == colours["run_id"]
    assert {(entry["fold"], entry["fraction"]) for entry in own.document["scores"]} == {(0, 1.0), (1, 1.0)}
    assert colours["auroc"]["mean"] == pytest.approx(own.mean())
    assert own.document["image_controls"] is None  # a control has none itself
    assert "a control, not a model" in own.document["marks"]
    assert untrained == {"refused": "model 'steady' cannot be built without its weights"}
    assert run.mean() > colours["auroc"]["mean"]
    assert any(line.startswith("control that sees the image, colour-statistics: AUROC 0.") for line in run.remarks())
    assert any(f"'colour-statistics' follows from {colours['run']}" in line for line in verify_run(run.folder))
    alone = mitozoo.evaluate("steady", "tiny", fractions=(0.5, 1), seeds=2, folds=2, out=tmp_path, controls="labels")
    assert alone.document == run.document  # what is there stays there
    grown = mitozoo.evaluate("steady", "tiny", folds=3, out=tmp_path)
    assert grown.document["image_controls"]["colour-statistics"]["auroc"]["n_folds"] == 3

    moved = shutil.copytree(grown.folder, tmp_path / "elsewhere" / grown.folder.name)
    assert any("was not recomputed" in line for line in verify_run(moved))
    document = json.loads((grown.folder / RESULT).read_text())
    document["image_controls"]["colour-statistics"]["auroc"]["mean"] -= 0.1
    (grown.folder / RESULT).write_text(dump(document))
    with pytest.raises(VerificationError, match="image control 'colour-statistics' is not what"):
        verify_run(grown.folder)


def test_a_model_that_knows_nothing_is_marked(with_controls, tmp_path):
    run = mitozoo.evaluate("chance", "tiny", folds=2, out=tmp_path, controls="full")
    assert "not clearly better than colour-statistics" in run.document["marks"]
    document = json.loads((run.folder / RESULT).read_text())
    document["marks"].remove("not clearly better than colour-statistics")
    (run.folder / RESULT).write_text(dump(document))
    with pytest.raises(VerificationError, match="the mark 'not clearly better than colour-statistics' is missing"):
        verify_run(run.folder)


@pytest.mark.slow
def test_the_untrained_network_is_a_run_of_its_own(with_controls, tmp_path):
    run = mitozoo.evaluate("efficientnet-lite0", "tiny", limit=96, folds=1, out=tmp_path, controls="full")
    control = run.document["image_controls"]["random-init"]
    own = Result.read(tmp_path / control["run"]).document
    assert own["model"]["name"] == "efficientnet-lite0:random-init"
    assert own["model"]["weights_sha256"] == "random-0"
    assert own["identity"]["cells"] == run.document["identity"]["cells"]
    assert own["contamination"] == "declared none"
    assert verify_run(tmp_path / control["run"])


def test_the_control_must_be_installed(zoo, tmp_path):
    with pytest.raises(MitozooError, match="'colour-statistics' is not installed"):
        mitozoo.evaluate("steady", "tiny", folds=1, out=tmp_path, controls="full")
    with pytest.raises(MitozooError, match="controls is 'all'; it must be one of auto, labels, full"):
        Request(model="steady", dataset="tiny", controls="all")


def test_demo_has_them_without_asking(with_controls):
    from mitozoo.engine.find_model import find_model
    from mitozoo.engine.subject import RegisteredModel

    model, control = (RegisteredModel(find_model(name)) for name in ("steady", "colour-statistics"))

    def wants(subject, **asked) -> bool:
        return wants_image_controls(Request(model="steady", **asked), subject)

    assert wants(model, dataset="demo")
    assert not wants(model, dataset="demo", limit=100)
    assert not wants(model, dataset="demo", controls="labels")
    assert not wants(model, dataset="tiny")
    assert wants(model, dataset="tiny", controls="full")
    assert not wants(control, dataset="demo", controls="full")


@pytest.mark.parametrize("patches_only", [True, False])
def test_beside_a_trained_network_they_are_probes_on_the_same_splits(with_controls, tmp_path, patches_only):
    from mitozoo.engine.find_model import find_model
    from mitozoo.engine.subject import RegisteredModel
    from mitozoo.protocols.presets import find_protocol
    from mitozoo.protocols.spec import override

    trained = override(find_protocol("end-to-end"), {"split_seed": "3", "inner_folds": "4", "window_um": "64"})
    asked = Request(
        model="steady", dataset="tiny", protocol="end-to-end", fractions=(0.3, 1), perturb=("blur",), label_noise=0.1,
        seeds=2,
    )  # fmt: skip
    seen = []

    def evaluate(request, subject):
        seen.append((request, subject))
        return tmp_path / subject.name

    model = RegisteredModel(find_model("steady"))
    found = run_image_controls(asked, model, trained, patches_only=patches_only, evaluate=evaluate)
    assert found == {
        "colour-statistics": tmp_path / "colour-statistics",
        "random-init": tmp_path / "steady:random-init",
    }
    for request, subject in seen:
        probe = override(find_protocol(request.protocol), request.settings)
        assert not probe.trains_network
        assert (probe.split_seed, probe.inner_folds) == (3, 4)
        assert probe.window_um == (56 if patches_only else 64)
        assert (request.fractions, request.perturb, request.label_noise, request.seeds) == ((1,), (), 0.1, 2)
        assert subject.spec.controls_only


def document(model, **controls):
    def auroc(mean, low, high):
        return {"mean": mean, "ci_low": low, "ci_high": high}

    entries = {name: {"auroc": auroc(*ends)} if ends else {"refused": "why"} for name, ends in controls.items()}
    return {"summary": [{"metrics": {"auroc": auroc(*model)}}], "image_controls": entries}


@pytest.mark.parametrize(
    ("model", "controls", "mark"),
    [
        ((0.9, 0.85, 0.95), {"a": (0.7, 0.6, 0.8), "b": (0.75, 0.7, 0.84)}, ""),
        ((0.9, 0.85, 0.95), {"a": (0.7, 0.6, 0.9), "b": (0.75, 0.7, 0.84)}, ""),  # the better one counts
        ((0.9, 0.85, 0.95), {"a": (0.7, 0.6, 0.8), "b": (0.75, 0.7, 0.86)}, "not clearly better than b"),
        ((0.9, None, None), {"a": (0.7, 0.6, 0.8)}, "not clearly better than a"),
        ((0.9, 0.85, 0.95), {"a": None}, ""),
    ],
)
def test_the_mark_goes_by_intervals_that_overlap(model, controls, mark):
    assert overlap_mark(document(model, **controls)) == mark


def test_nothing_to_compare_is_no_mark():
    assert overlap_mark({"summary": [], "image_controls": None}) == ""
