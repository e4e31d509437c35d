"""Loaders: a network holds exactly the declared weights, or nothing is loaded at all."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch

from mitozoo.errors import ModelError
from mitozoo.models.loaders import build_network, load_network
from mitozoo.plugins.sources import PackagedWeights, Source, TimmHub
from mitozoo.storage import content_id

REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("MITOZOO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MITOZOO_WEIGHTS", str(tmp_path / "weights"))


@pytest.fixture
def place(tmp_path):
    """Write a weight file where a user without a connection puts it, and return its source."""

    def write(state, filename="model.safetensors", architecture="test_resnet", **kwargs) -> TimmHub:
        path = tmp_path / "weights" / "lab" / "net" / filename
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(state, bytes):
            path.write_bytes(state)
        elif filename.endswith(".safetensors"):
            safetensors.torch.save_file(state, path)
        else:
            torch.save(state, path)
        return TimmHub(
            architecture=architecture, repo="lab/net", revision=REVISION, filename=filename,
            sha256=content_id(path), kwargs=kwargs,
        )  # fmt: skip

    return write


@pytest.fixture(scope="module")
def whole():
    """A small ResNet with its head, as its authors would publish it."""
    torch.manual_seed(7)
    network = timm.create_model("test_resnet", num_classes=1000)
    for name, buffer in network.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.uniform_(0.5, 1.5)
    return network.eval()


@pytest.mark.parametrize("filename", ["model.safetensors", "pytorch_model.bin"])
def test_the_loaded_network_computes_what_the_published_one_does(place, whole, filename):
    source = place(whole.state_dict(), filename)
    network, sha256 = load_network(source)
    images = torch.rand(2, 3, 160, 160)
    torch.testing.assert_close(network.eval()(images), whole(images), rtol=0, atol=0)
    assert sha256 == source.sha256


def test_only_the_classifier_is_left_out_of_a_network_without_one(place, whole):
    network, _ = load_network(place(whole.state_dict(), num_classes=0))
    images = torch.rand(2, 3, 160, 160)
    torch.testing.assert_close(
        network.eval()(images), whole.forward_head(whole.forward_features(images), pre_logits=True)
    )

    beside_the_head = whole.state_dict() | {"fc2.weight": torch.zeros(3)}
    with pytest.raises(ModelError, match=r"do not fit test_resnet \(surplus: fc2\.weight\)"):
        load_network(place(beside_the_head, num_classes=0))


def test_missing_surplus_and_misshapen_tensors_are_named(place, whole):
    state = whole.state_dict()
    with pytest.raises(ModelError, match=r"\(missing: conv1\.0\.weight\)"):
        load_network(place({key: value for key, value in state.items() if key != "conv1.0.weight"}))
    with pytest.raises(ModelError, match=r"\(surplus: zzz0, zzz1, zzz2 and 2 more\)"):
        load_network(place(state | {f"zzz{i}": torch.zeros(1) for i in range(5)}))
    with pytest.raises(ModelError, match=r"\(of another shape: fc\.weight, fc\.bias\)"):
        load_network(place(state, num_classes=10))


def test_batch_counters_may_be_absent(place, whole):
    state = {key: value for key, value in whole.state_dict().items() if not key.endswith("num_batches_tracked")}
    network, _ = load_network(place(state))
    images = torch.rand(1, 3, 160, 160)
    torch.testing.assert_close(network.eval()(images), whole(images), rtol=0, atol=0)


class Malice:
    """Pickles to a call that writes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return (Path.touch, (self.target,))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("zipped", [True, False])
def test_a_weight_file_that_holds_code_is_refused_and_the_code_never_runs(place, whole, tmp_path, zipped):
    target = tmp_path / "the-code-ran"
    trap = {**whole.state_dict(), "extra": Malice(target)}
    source = place(trap if zipped else pickle.dumps(trap), "pytorch_model.bin")
    with pytest.raises(ModelError, match="runs no code from a weight file") as caught:
        load_network(source)
    assert isinstance(caught.value.__cause__, pickle.UnpicklingError)
    assert not target.exists()


@pytest.mark.parametrize("filename", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("damage", ["truncated", "page", "empty"])
def test_a_damaged_weight_file_is_one_sentence(place, whole, tmp_path, filename, damage):
    place(whole.state_dict(), filename)
    whole_file = (tmp_path / "weights" / "lab" / "net" / filename).read_bytes()
    content = {"truncated": whole_file[: len(whole_file) // 2], "page": b"<html>404</html>", "empty": b""}[damage]
    with pytest.raises(ModelError, match=filename):
        load_network(place(content, filename))


def test_a_nested_checkpoint_is_refused_by_its_keys(place, whole):
    with pytest.raises(ModelError, match=r"not a flat table of named tensors \(it holds epoch, model\)"):
        load_network(place({"epoch": 3, "model": whole.state_dict()}, "checkpoint.pth"))


def test_another_file_than_the_declared_one_is_refused(place, whole, tmp_path):
    source = place(whole.state_dict())
    place({key: value + 1 for key, value in whole.state_dict().items()})
    with pytest.raises(ModelError, match="refused"):
        load_network(source)


@pytest.mark.parametrize("architecture", ["no_such_net", "hf-hub:lab/net", "local-dir:/tmp"])
def test_only_timms_own_architectures_are_built(place, whole, architecture):
    with pytest.raises(ModelError, match=f"has no architecture '{architecture}'"):
        load_network(place(whole.state_dict(), architecture=architecture))


def test_an_argument_that_the_architecture_does_not_take_is_named(place, whole):
    with pytest.raises(ModelError, match=r"timm cannot build test_resnet .*wings"):
        load_network(place(whole.state_dict(), wings=2))


def test_classes_travel_as_text(place):
    source = place(
        {}, architecture="test_vit", mlp_layer="timm.layers:SwiGLUPacked", act_layer="torch.nn:SiLU", num_classes=0
    )
    mlp = build_network(source).blocks[0].mlp
    assert (type(mlp), mlp.gate_last) == (timm.layers.GluMlp, False)  # what SwiGLUPacked stands for
    assert type(mlp.act) is torch.nn.SiLU
    for absent in ("timm.layers:NoSuchLayer", "timm.no_such_module:Mlp"):
        with pytest.raises(ModelError, match=f"no class '{absent}' in the installed timm"):
            build_network(place({}, architecture="test_vit", mlp_layer=absent))
    with pytest.raises(ModelError):  # only timm's and torch's classes: anything else stays text
        build_network(place({}, architecture="test_vit", mlp_layer="os:system"))


def test_building_moves_no_global_random_state_and_a_seed_fixes_the_weights(place):
    source = place({})
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first, again, other = (build_network(source, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["conv1.0.weight"], other["conv1.0.weight"])


@pytest.fixture
def packaged(tmp_path, monkeypatch):
    """Write a package that holds weights under foreign names, and return its source."""

    def write(state, **kwargs) -> PackagedWeights:
        folder = tmp_path / "site" / "foreign_weights"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "__init__.py").touch()
        torch.save(state, folder / "net.pth")
        monkeypatch.syspath_prepend(tmp_path / "site")
        return PackagedWeights(
            architecture="test_resnet", package="foreign_weights", path="net.pth",
            sha256=content_id(folder / "net.pth"), kwargs=kwargs, mapping="order",
        )  # fmt: skip

    return write


def foreign(network: torch.nn.Module, *, counters: bool = True) -> dict[str, torch.Tensor]:
    state = {key: value for key, value in network.state_dict().items() if counters or "num_batches" not in key}
    return {f"_layer{i}.{key.rpartition('.')[2]}": value for i, (key, value) in enumerate(state.items())}


@pytest.mark.parametrize("counters", [True, False])
def test_foreign_names_are_mapped_in_order(packaged, whole, counters):
    images = torch.rand(1, 3, 160, 160)
    source = packaged(foreign(whole, counters=counters), num_classes=0)
    network, _ = load_network(source)
    torch.testing.assert_close(
        network.eval()(images), whole.forward_head(whole.forward_features(images), pre_logits=True)
    )
    with_head, _ = load_network(source, kwargs_override={"num_classes": 1000})
    torch.testing.assert_close(with_head.eval()(images), whole(images))


def test_order_does_not_stretch(packaged, whole):
    state = foreign(whole)
    *rest, last = state
    with pytest.raises(ModelError, match=r"do not fit in order: \d+ tensors for \d+"):
        load_network(packaged({key: state[key] for key in rest}, num_classes=0))
    with pytest.raises(
        ModelError, match=r"do not fit in order: _layer\d+\.bias \(1000,\) stands where conv1\.0\.weight"
    ):
        load_network(packaged({last: state[last]} | {key: state[key] for key in rest}, num_classes=0))


def test_a_load_function_gives_the_network_itself():
    def load(channels=4):
        return torch.nn.Conv2d(3, channels, 1)

    network, sha256 = load_network(load)
    assert (network.out_channels, sha256) == (4, "function")
    assert load_network(load, kwargs_override={"channels": 8})[0].out_channels == 8


def test_a_load_function_that_fails_or_gives_no_network_is_named():
    def fails():
        raise KeyError("weights")

    def gives_a_name():
        return "resnet50"

    with pytest.raises(ModelError, match="fails failed: KeyError: 'weights'") as caught:
        load_network(fails)
    assert isinstance(caught.value.__cause__, KeyError)
    with pytest.raises(ModelError, match=r"gives_a_name returned a str, not a torch\.nn\.Module"):
        load_network(gives_a_name)


def test_a_source_of_a_newer_mitozoo_asks_for_an_upgrade():
    with pytest.raises(ModelError, match="no loader for a Source") as caught:
        load_network(Source())
    assert "upgrade" in caught.value.hint


def test_loading_imports_no_library_that_only_some_models_need():
    code = (
        "import sys, mitozoo.models.encoder, mitozoo.models.on_the_spot;"
        "sys.exit(bool({'transformers', 'open_clip', 'torchvision', 'timm'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
