"""A sound model passes every check; each fault is found by the check that is for it."""

from __future__ import annotations

import json

import faulty_models
import pytest
import safetensors.torch
import timm
import torch
from local_hub import COMMIT, serving

from mitozoo.errors import UnknownNameError
from mitozoo.plugins.model_spec import ModelSpec
from mitozoo.plugins.preprocessing import Preprocessing
from mitozoo.plugins.sources import Checkpoint, TimmHub
from mitozoo.testing import check_model

PREPROCESSING = {
    "size": 16, "resize": "short-side", "resize_to": 20, "interpolation": "bicubic", "antialias": True,
    "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5), "mpp": 0.5, "mpp_basis": "stated",
}  # fmt: skip


def spec(preprocessing=None, **changes) -> ModelSpec:
    declared = {
        "name": "tiny", "load": faulty_models.sound, "embed_dim": 8, "pooling": "gap", "prefix_tokens": 0,
        "precision": "fp32", "license": "Apache-2.0", "reference": "https://doi.org/10.1000/182",
        "parameters": 3 * 8 * 16 + 8,
    }  # fmt: skip
    return ModelSpec(preprocessing=Preprocessing(**PREPROCESSING | (preprocessing or {})), **declared | changes)


def found(report) -> dict[str, str]:
    return {finding.what: finding.status for finding in report.findings}


@pytest.fixture
def local_hub(tmp_path, monkeypatch):
    monkeypatch.setenv("MITOZOO_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MITOZOO_WEIGHTS", raising=False)
    with serving(tmp_path, monkeypatch) as hub:
        yield hub


def test_a_sound_model_passes_everything_in_seconds():
    report = check_model(spec())
    assert report.passed, str(report)
    assert set(found(report).values()) == {"PASS"}
    assert set(found(report)) == {
        "record", "license", "reference", "mpp", "load function", "fingerprint", "mean and std", "whole window",
        "constant image", "weights", "dimension", "parameters", "finite", "repeatable", "batch size", "batch order",
        "tells images apart", "time",
    }  # fmt: skip
    assert report.seconds < 30
    json.dumps(report.to_json())
    assert str(report).splitlines()[-1].startswith("tiny: 18 PASS, 0 WARN, 0 FAIL, in ")


FAULTS = [
    ({"load": faulty_models.drops_out}, "repeatable", "two calls differ"),
    ({"load": faulty_models.other_each_time}, "repeatable", "another network each time"),
    ({"load": faulty_models.mixes_the_batch}, "batch size", "largest difference"),
    ({"load": faulty_models.knows_its_place}, "batch order", "largest difference"),
    ({"load": faulty_models.stain_of_white}, "finite", "image 'black'"),
    ({"load": faulty_models.looks_away}, "tells images apart", "all images have the same embedding"),
    ({"load": faulty_models.raises}, "declared = measured", "no such file: weights.pth"),
    ({"load": faulty_models.needs}, "load function", "needs path"),
    ({"embed_dim": 9}, "declared = measured", "declares embeddings of 9 values"),
    ({"parameters": 391}, "parameters", "391 are declared, and the network has 392"),
    ({"load": faulty_models.tokens, "pooling": "mean"}, "prefix tokens", "17 of 17 tokens are left: no square grid"),
    ({"load": faulty_models.tokens, "pooling": "mean", "prefix_tokens": 2}, "prefix tokens", "15 of 17"),
    ({"preprocessing": {"std": (0.002, 0.002, 0.002)}}, "mean and std", "-250.00 to 250.00"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "what", "told"), FAULTS, ids=[f"{f[1]}: {f[2][:20]}" for f in FAULTS])
def test_each_fault_is_found_by_its_check(changes, what, told):
    report = check_model(spec(**changes))
    assert not report.passed
    [finding] = [finding for finding in report.having("FAIL") if finding.what == what]
    assert told in finding.detail
    assert finding.mend


def test_tokens_declared_rightly_pass():
    report = check_model(spec(load=faulty_models.tokens, pooling="cls", prefix_tokens=1))
    assert found(report)["prefix tokens"] == "PASS", report


DOUBTS = [
    ({"license": "unknown"}, "license"),
    ({"reference": "our cellar"}, "reference"),
    ({"reference": "https://example.org/tiny"}, "reference"),
    ({"preprocessing": {"mpp": None, "mpp_basis": "none"}}, "mpp"),
    ({"unverified": ("preprocessing.mpp",)}, "verified"),
]


@pytest.mark.parametrize(("changes", "what"), DOUBTS)
def test_doubts_are_warnings(changes, what):
    report = check_model(spec(**changes))
    assert report.passed
    assert [finding.what for finding in report.having("WARN")] == [what]


@pytest.mark.parametrize("reference", ["10.1038/s41591-024-02857-3", "arXiv:2309.07778", "doi:10.1000/182"])
def test_dois_are_references(reference):
    assert found(check_model(spec(reference=reference)))["reference"] == "PASS"


def on_hub(hub, **changes) -> ModelSpec:
    network = timm.create_model("test_vit", num_classes=0, img_size=32)
    sha256 = hub.put("acme/tiny", "model.safetensors", safetensors.torch.save(network.state_dict()))
    source = {
        "architecture": "test_vit", "repo": "acme/tiny", "revision": COMMIT, "filename": "model.safetensors",
        "sha256": sha256, "kwargs": {"num_classes": 0, "img_size": 32},
    }  # fmt: skip
    return spec(
        preprocessing={"size": 32, "resize_to": 32}, load=TimmHub(**source | changes), embed_dim=64, pooling="cls",
        prefix_tokens=1, parameters=sum(parameter.numel() for parameter in network.parameters()),
    )  # fmt: skip


def test_a_model_of_the_hub_is_fetched_and_passes(local_hub):
    report = check_model(on_hub(local_hub))
    assert set(found(report).values()) == {"PASS"}, report
    assert found(report)["prefix tokens"] == "PASS"


@pytest.mark.parametrize(
    ("changes", "status"),
    [({"sha256": "0" * 64}, "FAIL"), ({"filename": "other.bin"}, "FAIL"), ({"revision": "0" * 40}, "FAIL")],
)
def test_a_wrong_pin_fails(local_hub, changes, status):
    report = check_model(on_hub(local_hub, **changes))
    assert found(report)["weights"] == status
    assert found(report)["network"] == "WARN"  # said aloud that the rest was left out


def test_gated_and_unreachable_are_warnings_and_the_rest_is_left_out_aloud(local_hub):
    model = on_hub(local_hub)
    local_hub.gated.add("acme/tiny")
    gated = check_model(model)
    local_hub.down = True
    down = check_model(model)
    for report, word in {gated: "gated", down: "503"}.items():
        assert report.passed
        told = {finding.what: finding for finding in report.having("WARN")}
        assert word in told["weights"].detail
        assert "NOT CHECKED" in told["network"].detail
        assert "dimension" not in found(report)
        assert found(report)["constant image"] == "PASS"  # what needs no weights is still checked


def test_a_load_function_that_meets_a_gate_is_a_warning(local_hub):
    local_hub.gated.add("acme/secret")
    report = check_model(spec(load=faulty_models.behind_a_gate))
    assert report.passed, str(report)
    assert [finding.what for finding in report.having("WARN")] == ["weights", "network"]


def test_packages_that_are_not_here_are_a_warning():
    report = check_model(spec(requires=("a-package-that-is-not-here>=3",)))
    assert report.passed
    packages, network = report.having("WARN")
    assert "a-package-that-is-not-here" in packages.mend
    assert "NOT CHECKED without its packages" in network.detail


def test_weights_that_only_a_person_can_fetch_are_a_warning(tmp_path, monkeypatch):
    monkeypatch.setenv("MITOZOO_WEIGHTS", str(tmp_path))
    by_hand = Checkpoint(
        architecture="timm:test_vit", kwargs={"num_classes": 0}, repo="", revision=None, filename="tiny.pth", url="",
        sha256=None, entry="", strip_prefix="", rename={}, drop=(),
    )  # fmt: skip
    report = check_model(spec(load=by_hand))
    assert report.passed
    assert found(report)["weights"] == "WARN"
    torch.save({"surplus": torch.ones(1)}, tmp_path / "tiny.pth")
    assert not check_model(spec(load=by_hand)).passed  # now it is there, and does not fit


def test_unknown_names_are_told():
    with pytest.raises(UnknownNameError, match="no model 'efficientnet-lite'"):
        check_model("efficientnet-lite")


def test_a_registered_model_is_checked_with_its_plugin():
    report = check_model("colour-statistics")
    assert report.passed, str(report)
    assert report.findings[0].what == "light import"
