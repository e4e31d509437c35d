"""Every protocol that ships runs on `demo` and is verified; what a protocol cannot do with a model is said at once."""

from __future__ import annotations

import textwrap

import numpy as np
import pytest
from safetensors.numpy import load_file

import mitozoo
from mitozoo import storage
from mitozoo.engine.verification import verify_run
from mitozoo.errors import MitozooError, ModelError
from mitozoo.plugins.registry import reset_registry
from mitozoo.protocols.presets import PRESETS
from mitozoo.results.schema import violations

TINY = {"epochs": 2, "learning_rates": "1e-3", "batch_size": 16}
SETTINGS = {
    "linear-probe": {}, "knn": {}, "simpleshot": {}, "end-to-end": TINY, "end-to-end-short": TINY, "lora": TINY,
    "last-blocks": TINY | {"blocks": 1}, "ami-br-benchmark": TINY,
} | {
    name + twin: {} if name in ("ammeling2026", "ganz2025-inferred") else {"epochs": 1, "pseudo_epoch": 32}
    for name in ("ammeling2026", "ammeling2026-lora", "ammeling2026-end-to-end", "ganz2025-inferred",
                 "ganz2025-inferred-end-to-end")
    for twin in ("", "-grouped")
}  # fmt: skip

MODELS = """
import timm, torch
from mitozoo import ModelSpec, Preprocessing

def spec(name, load, **further):
    return ModelSpec(
        name=name, load=load, precision="fp32", license="MIT", reference="https://example.org",
        preprocessing=Preprocessing(size=32, resize="square", resize_to=32, interpolation="bilinear", antialias=True,
                                    mean=(0.5,) * 3, std=(0.5,) * 3, mpp=None, mpp_basis="none"), **further)

def load_transformer():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return timm.create_model("vit_tiny_patch16_224", pretrained=False, img_size=32, patch_size=8, depth=2,
                                 embed_dim=32, num_heads=2, num_classes=0)

class Convolution(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer1 = torch.nn.Conv2d(3, 8, 3)

    def forward(self, images):
        return self.layer1(images).mean((2, 3))

def load_convolution():
    return Convolution()

transformer = spec("transformer", load_transformer, embed_dim=32, pooling="cls", prefix_tokens=1)
convolution = spec("convolution", load_convolution, embed_dim=8, pooling="network", prefix_tokens=0)
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Return a function from a model's name to its place; the plugins of `demo` and of the controls are there too."""
    path = tmp_path_factory.mktemp("models") / "models.py"
    path.write_text(textwrap.dedent(MODELS), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MITOZOO_PLUGINS", "demo,controls")
        reset_registry()
        yield lambda name: f"{path}:{name}"
    reset_registry()


def checked(result):
    assert violations(result.document) == []
    assert verify_run(result.folder)
    return result


def test_none_is_forgotten_here():
    assert SETTINGS.keys() == PRESETS.keys()


@pytest.mark.parametrize("protocol", SETTINGS)
def test_every_protocol_runs_on_demo(models, tmp_path, protocol):
    result = checked(
        mitozoo.evaluate(
            models("transformer"),
            "demo",
            protocol=protocol,
            settings=SETTINGS[protocol],
            limit=200,
            folds=1,
            out=tmp_path,
        )
    )
    [entry] = result.document["scores"]
    assert entry["status"] == "done"
    assert result.mean() is not None
    assert ("weights_sha256" in entry["selected"]) == PRESETS[protocol].trains_network
    fitted = [
        name for name in load_file(result.folder / "rows" / f"{entry['row_id']}.safetensors") if "fitted." in name
    ]
    if protocol == "lora":
        assert fitted
        assert all("lora_" in name or "fitted.head." in name for name in fitted)
    if protocol == "last-blocks":
        assert not any("blocks.0" in name for name in fitted)


@pytest.mark.parametrize("protocol", ["ammeling2026", "ammeling2026-grouped"])
def test_the_released_probe_runs_on_its_own_split_and_on_its_grouped_twin(models, tmp_path, protocol):
    document = checked(
        mitozoo.evaluate(models("transformer"), "demo", protocol=protocol, limit=200, fractions=(1, 0.5), out=tmp_path)
    ).document
    assert len(document["scores"]) == 5 * 2
    assert any("THIS SPLIT LEAKS" in mark for mark in document["marks"]) == (protocol == "ammeling2026")
    assert {entry["threshold"] for entry in document["scores"]} == {0.5}
    trained = document["scores"][0]
    assert trained["selected"]["cells_fitted"] == trained["n_train"] - int(0.2 * trained["n_train"])
    assert document["geometry"]["window_um"] is None  # 224 px of the slide's own, whatever their size


@pytest.mark.parametrize("protocol", ["knn", "simpleshot"])
def test_seeds_that_draw_the_same_cells_are_equal_and_fitted_once(models, tmp_path, protocol, monkeypatch):
    from mitozoo.protocols import kinds

    calls, real = [], kinds.HEAD_FITS[protocol]
    monkeypatch.setitem(kinds.HEAD_FITS, protocol, lambda *given, **named: (calls.append(1), real(*given, **named))[1])
    asked = {"protocol": protocol, "limit": 200, "folds": 1, "seeds": 5, "fractions": (1, 0.5), "out": tmp_path}
    result = checked(mitozoo.evaluate(models("transformer"), "demo", **asked))
    whole = [entry for entry in result.document["scores"] if entry["fraction"] == 1]
    assert len(whole) == 5
    assert all(entry["metrics"] == whole[0]["metrics"] for entry in whole)
    halves = [entry["metrics"]["auroc"]["value"] for entry in result.document["scores"] if entry["fraction"] == 0.5]
    assert len(set(halves)) > 1
    assert len(calls) == 6


def test_a_run_of_adapters_appends_and_ends_where_one_call_would(models, tmp_path):
    asked = {"dataset": "demo", "protocol": "lora", "settings": TINY, "limit": 200, "folds": 1}
    mitozoo.evaluate(models("transformer"), **asked, out=tmp_path / "grown")
    grown = checked(mitozoo.evaluate(models("transformer"), **asked, seeds=2, out=tmp_path / "grown"))
    at_once = mitozoo.evaluate(models("transformer"), **asked, seeds=2, out=tmp_path / "once")
    assert grown.document == at_once.document


def test_a_run_cannot_pretend_to_another_kind_of_validation(models, tmp_path):
    """What validates follows from the protocol's kind, which the run's own id covers."""
    result = mitozoo.evaluate(models("transformer"), "demo", protocol="knn", limit=200, folds=1, out=tmp_path)
    [row] = (result.folder / "rows").iterdir()
    parts = [name for name in load_file(row) if name.startswith("part.")]
    assert len(parts) == 5
    lora = mitozoo.evaluate(
        models("transformer"), "demo", protocol="lora", settings=TINY, limit=200, folds=1, out=tmp_path
    )
    [trained] = (lora.folder / "rows").iterdir()
    assert [name for name in load_file(trained) if name.startswith("part.")] == ["part.0"]
    assert np.array_equal(load_file(trained)["part.0"], load_file(row)["part.0"])
    assert np.array_equal(load_file(trained)["test"], load_file(row)["test"])


@pytest.mark.parametrize("protocol", ["end-to-end", "lora", "last-blocks"])
def test_a_model_without_weights_is_refused_before_a_patch_is_read(models, tmp_path, protocol, monkeypatch):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "datasets").symlink_to((storage.home() / "datasets").resolve())
    monkeypatch.setenv("MITOZOO_HOME", str(tmp_path / "home"))
    with pytest.raises(ModelError, match="model 'colour-statistics'") as refused:
        mitozoo.evaluate("colour-statistics", "demo", protocol=protocol, out=tmp_path / "runs")
    assert refused.value.exit_code == 2
    assert "\n" not in refused.value.message
    assert not list((tmp_path / "home").glob("patches/*"))


@pytest.mark.parametrize(
    ("protocol", "said"),
    [
        ("lora", "LoRA on a network without linear layers to adapt: model 'convolution'"),
        ("last-blocks", "model 'convolution' has no blocks"),
    ],
)
def test_a_network_that_a_protocol_cannot_train_is_refused_in_one_sentence(models, tmp_path, protocol, said):
    with pytest.raises(ModelError, match=said):
        mitozoo.evaluate(models("convolution"), "demo", protocol=protocol, limit=200, out=tmp_path)
    assert not list(tmp_path.rglob("result.json"))


def test_brought_embeddings_are_scored_by_every_head_and_by_no_training(models, tmp_path):
    from mitozoo.engine.embed import embed_dataset
    from mitozoo.engine.progress import Progress

    path = tmp_path / "mine.safetensors"
    embed_dataset(models("transformer"), "demo", path, progress=Progress(), limit=200)
    for protocol in PRESETS:
        asked = {"dataset": "demo", "protocol": protocol, "limit": 200, "folds": 1, "out": tmp_path / "runs"}
        if not PRESETS[protocol].trains_network:
            brought = checked(mitozoo.evaluate(embeddings=path, **asked))
            if PRESETS[protocol].geometry != "window":
                continue  # other windows than those that were embedded
            own = mitozoo.evaluate(models("transformer"), **asked)
            assert brought.document["scores"] == own.document["scores"]
        else:
            with pytest.raises(MitozooError, match="trains the network, and a file of embeddings has none"):
                mitozoo.evaluate(embeddings=path, **asked)
