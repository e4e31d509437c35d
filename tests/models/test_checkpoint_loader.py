"""Checkpoint files in the formats of real training codes, mapped onto an architecture key by key, or refused."""

from __future__ import annotations

import argparse
import itertools
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torchvision
from local_hub import COMMIT

from mitozoo.errors import ModelError, SpecError
from mitozoo.models.loaders import build_network, load_network
from mitozoo.plugins.sources import Checkpoint, TimmHub

TINY_VIT = {"patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2}


@pytest.fixture
def publish(local_hub, tmp_path):
    """Publish a torch file and return the source that describes it."""
    count = itertools.count()

    def put(content, architecture="timm:vit_tiny_patch16_224", **fields) -> Checkpoint:
        torch.save(content, tmp_path / "checkpoint.pth")
        repo = f"lab/net{next(count)}"
        sha256 = local_hub.put(repo, "checkpoint.pth", (tmp_path / "checkpoint.pth").read_bytes())
        given = {
            "architecture": architecture, "kwargs": {}, "repo": repo, "revision": COMMIT,
            "filename": "checkpoint.pth", "url": "", "sha256": sha256, "entry": "", "strip_prefix": "", "rename": {},
            "drop": (),
        }  # fmt: skip
        return Checkpoint(**given | fields)

    return put


def tiny_vit(size=32, **kwargs) -> torch.nn.Module:
    torch.manual_seed(3)
    return timm.create_model("vit_tiny_patch16_224", img_size=size, num_classes=0, **TINY_VIT | kwargs).eval()


def images(size=32, n=2) -> torch.Tensor:
    return torch.linspace(-2, 2, n * 3 * size * size).reshape(n, 3, size, size)


def dino_checkpoint(teacher: torch.nn.Module) -> dict:
    """What DINO's training code writes: student and teacher, wrapped and with projection heads, and its arguments."""
    backbone = {f"backbone.{key}": value for key, value in teacher.state_dict().items()}
    head = {"head.mlp.0.weight": torch.ones(4, 32), "head.last_layer.weight_v": torch.ones(5, 4)}
    student = {f"module.{key}": value + 1 for key, value in (backbone | head).items()}
    return {
        "student": student, "teacher": backbone | head, "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}},
        "epoch": 100, "args": argparse.Namespace(arch="vit_small", output_dir=Path("runs")), "loss": np.float64(2.5),
    }  # fmt: skip


DINO = {"entry": "teacher", "strip_prefix": "backbone.", "drop": (r"^head\.",)}


def test_a_dino_training_checkpoint_gives_its_teacher(publish):
    teacher = tiny_vit()
    source = publish(dino_checkpoint(teacher), kwargs={"img_size": 32, "num_classes": 0, **TINY_VIT}, **DINO)
    network, sha256 = load_network(source)
    torch.testing.assert_close(network.eval()(images()), teacher(images()), rtol=0, atol=0)
    assert sha256 == source.sha256


def test_wrappers_are_stripped_and_heads_dropped(publish):
    teacher = tiny_vit()
    student = dino_checkpoint(teacher)["student"]
    kwargs = {"img_size": 32, "num_classes": 0, **TINY_VIT}
    prefix = {"strip_prefix": "module.backbone.", "drop": (r"^module\.head\.",)}
    network, _ = load_network(publish(student, kwargs=kwargs, **prefix))
    for key, value in network.state_dict().items():
        torch.testing.assert_close(value, teacher.state_dict()[key] + 1, rtol=0, atol=0)

    with pytest.raises(ModelError, match=r"surplus, without the prefix module\.backbone\.: module\.head\.mlp\.0"):
        load_network(publish(student, kwargs=kwargs, strip_prefix="module.backbone."))


def test_torchvisions_names_fit_timms_resnet(publish):
    torch.manual_seed(3)
    published = torchvision.models.resnet50(num_classes=7).eval()
    source = publish(published.state_dict(), "timm:resnet50", kwargs={"num_classes": 0})
    network, _ = load_network(source)
    published.fc = torch.nn.Identity()
    torch.testing.assert_close(network.eval()(images(64, 1)), published(images(64, 1)))


def test_a_lightning_checkpoint_of_a_torchvision_resnet(publish):
    torch.manual_seed(3)
    published = torchvision.models.resnet18(num_classes=7).eval()
    state = {f"model.resnet.{key}": value for key, value in published.state_dict().items()}
    content = {"epoch": 9, "state_dict": state, "hyper_parameters": {"lr": 0.1}}
    source = publish(
        content, "torchvision:resnet18", kwargs={"num_classes": 0}, entry="state_dict", strip_prefix="model.resnet."
    )
    network, _ = load_network(source)
    published.fc = torch.nn.Identity()
    torch.testing.assert_close(network.eval()(images(64, 1)), published(images(64, 1)), rtol=0, atol=0)
    assert network(images(64, 1)).shape == (1, 512)


@pytest.mark.parametrize("name", ["densenet121", "efficientnet_b0", "swin_t", "vit_b_32"])
def test_torchvisions_classifiers_come_off(publish, name):
    with torch.device("meta"):
        network = build_network(publish({}, f"torchvision:{name}", kwargs={"num_classes": 0}))
        given = network.eval()(torch.empty(2, 3, 224, 224))
    assert given.shape == (2, {"densenet121": 1024, "efficientnet_b0": 1280, "swin_t": 768, "vit_b_32": 768}[name])


def test_keys_are_renamed_in_the_stated_order(publish):
    """Blocks in chunks, as DINOv2's sharded training code writes them, under other names for the norms."""
    published = tiny_vit()
    chunked = {
        key.replace("blocks.0.", "blocks.0.0.").replace("blocks.1.", "blocks.1.1.").replace("norm1", "ln_1"): value
        for key, value in published.state_dict().items()
    }
    rename = {r"blocks\.\d+\.(\d+)\.": r"blocks.\1.", r"\.ln_(\d)\.": r".norm\1."}
    source = publish(chunked, kwargs={"img_size": 32, "num_classes": 0, **TINY_VIT}, rename=rename)
    network, _ = load_network(source)
    torch.testing.assert_close(network.eval()(images()), published(images()), rtol=0, atol=0)
    with pytest.raises(ModelError, match=r"do not stay apart: two become blocks\.x\."):
        load_network(replace(source, rename={r"blocks\.\d+\.(\d+)\.": "blocks.x."}))


def test_missing_surplus_and_misshapen_tensors_are_named(publish):
    state = tiny_vit().state_dict()
    kwargs = {"img_size": 32, "num_classes": 0, **TINY_VIT}
    with pytest.raises(ModelError, match=r"do not fit timm:vit_tiny_patch16_224 \(missing: norm\.weight\)"):
        load_network(publish({key: value for key, value in state.items() if key != "norm.weight"}, kwargs=kwargs))
    with pytest.raises(ModelError, match=r"\(surplus: zzz0, zzz1, zzz2 and 2 more\)"):
        load_network(publish(state | {f"zzz{i}": torch.zeros(1) for i in range(5)}, kwargs=kwargs))
    with pytest.raises(ModelError, match=r"\(of another shape: pos_embed\)"):
        load_network(publish(state, kwargs=kwargs | {"img_size": 64}))
    resnet = torchvision.models.resnet18().state_dict()
    with pytest.raises(ModelError, match=r"do not fit torchvision:resnet18 \(missing: layer4\.1\.bn2\.bias\)"):
        load_network(publish({k: v for k, v in resnet.items() if k != "layer4.1.bn2.bias"}, "torchvision:resnet18"))


def test_an_absent_entry_is_told_with_what_is_there(publish):
    source = publish(dino_checkpoint(tiny_vit()), kwargs={"img_size": 32, "num_classes": 0, **TINY_VIT})
    with pytest.raises(ModelError, match=r"has no entry 'ema' \(it holds student, teacher, optimizer, epoch\)"):
        load_network(replace(source, entry="ema"))
    with pytest.raises(ModelError, match=r"entry 'optimizer' of .* is not a flat table of named tensors"):
        load_network(replace(source, entry="optimizer"))


@pytest.mark.parametrize("entry", ["", "teacher"])
def test_code_in_a_checkpoint_is_refused_wherever_it_lies(publish, tmp_path, entry):
    class Malice:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "the-code-ran",))

    source = publish(dino_checkpoint(tiny_vit()) | {"callbacks": Malice()}, entry=entry)
    with pytest.raises(ModelError, match="runs no code from a weight file") as caught:
        load_network(source)
    assert isinstance(caught.value.__cause__, pickle.UnpicklingError)
    assert not (tmp_path / "the-code-ran").exists()


def test_another_file_than_the_pinned_one_is_refused(publish):
    with pytest.raises(ModelError, match="refused"):
        load_network(publish({}, sha256="0" * 64))


def three_channels(width: int = 4) -> torch.nn.Module:
    """Stand for a plugin's own architecture."""
    return torch.nn.Sequential(torch.nn.Conv2d(3, width, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())


def fails() -> torch.nn.Module:
    raise KeyError("layers")


def test_an_architecture_of_the_plugins_own_is_filled_as_strictly(publish):
    torch.manual_seed(3)
    published = three_channels(6)
    source = publish({f"net.{key}": value for key, value in published.state_dict().items()}, three_channels,
                     kwargs={"width": 6}, strip_prefix="net.")  # fmt: skip
    network, sha256 = load_network(source)
    torch.testing.assert_close(network(images()), published(images()), rtol=0, atol=0)
    assert sha256 == source.sha256
    with pytest.raises(ModelError, match=r"do not fit three_channels \(of another shape: 0\.weight, 0\.bias\)"):
        load_network(replace(source, kwargs={"width": 5}))
    with pytest.raises(ModelError, match=r"the architecture .*:fails failed: KeyError: 'layers'"):
        load_network(replace(source, architecture=fails, kwargs={}))
    first, again, other = (build_network(source, seed=seed)[0].weight for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("architecture", ["timm:no_such_net", "torchvision:no_such_net", "timm:hf-hub:lab/net"])
def test_unknown_architectures_are_told(publish, architecture):
    with pytest.raises(ModelError, match=f"has no architecture '{architecture.partition(':')[2]}'"):
        load_network(publish({}, architecture))


# --- position embeddings of another grid ------------------------------------------------------------------------------


def resampled(positions: torch.Tensor, old: int, new: int, prefix: int) -> torch.Tensor:
    """Resample (1, prefix + old^2, d) to new^2, independently of timm: antialiased bicubic on the grid alone."""
    kept, grid = positions[:, :prefix], positions[:, prefix:]
    square = grid.reshape(1, old, old, -1).permute(0, 3, 1, 2)
    square = torch.nn.functional.interpolate(square, size=(new, new), mode="bicubic", antialias=True)
    return torch.cat([kept, square.permute(0, 2, 3, 1).reshape(1, new * new, -1)], dim=1)


def test_position_embeddings_are_resampled_only_where_the_source_says_so(publish, local_hub):
    published = tiny_vit(size=64)  # 8 x 8 patches
    kwargs = {"img_size": 32, "num_classes": 0, **TINY_VIT}  # 4 x 4 patches
    source = publish(published.state_dict(), kwargs=kwargs, resample_positions=True)
    network, _ = load_network(source)
    expected = resampled(published.pos_embed, 8, 4, prefix=1)
    torch.testing.assert_close(network.pos_embed, expected)
    torch.testing.assert_close(network.blocks[0].attn.qkv.weight, published.blocks[0].attn.qkv.weight)
    with pytest.raises(ModelError, match=r"of another shape: pos_embed"):
        load_network(replace(source, resample_positions=False))

    hub = TimmHub(
        architecture="vit_tiny_patch16_224", repo=source.repo, revision=COMMIT, filename=source.filename,
        sha256=source.sha256, kwargs=kwargs, resample_positions=True,
    )  # fmt: skip
    torch.testing.assert_close(load_network(hub)[0].pos_embed, expected)
    with pytest.raises(ModelError, match=r"of another shape: pos_embed"):
        load_network(replace(hub, resample_positions=False))
    # on its own grid the filter changes nothing
    same, _ = load_network(replace(hub, kwargs=kwargs | {"img_size": 64}))
    torch.testing.assert_close(same.eval()(images(64)), published(images(64)), rtol=0, atol=0)


def test_the_filter_excuses_no_missing_or_surplus_tensor(publish):
    state = tiny_vit(size=64).state_dict()
    kwargs = {"img_size": 32, "num_classes": 0, **TINY_VIT}
    incomplete = {key: value for key, value in state.items() if key != "norm.bias"}
    with pytest.raises(ModelError, match=r"missing: norm\.bias"):
        load_network(publish(incomplete, kwargs=kwargs, resample_positions=True))
    with pytest.raises(ModelError, match=r"surplus: zzz"):
        load_network(publish(state | {"zzz": torch.zeros(1)}, kwargs=kwargs, resample_positions=True))


def test_dinov2s_own_layout_with_registers_is_translated(publish):
    """Meta's checkpoints add a position to the class token and call SwiGLU's layers w12 and w3."""
    kwargs = {
        "img_size": 32, "num_classes": 0, "reg_tokens": 4, "no_embed_class": True, "init_values": 1e-5,
        "mlp_layer": "timm.layers:SwiGLUPacked", "act_layer": "torch.nn:SiLU", "dynamic_img_size": True, **TINY_VIT,
    }  # fmt: skip
    wanted = build_network(publish({}, kwargs=kwargs), seed=4).eval()
    state = wanted.state_dict()
    class_position = torch.full((1, 1, 32), 0.25)
    meta = {key: value for key, value in state.items() if key not in ("reg_token", "pos_embed", "cls_token")}
    meta = {key.replace("mlp.fc1", "mlp.w12").replace("mlp.fc2", "mlp.w3"): value for key, value in meta.items()}
    meta |= {
        "register_tokens": state["reg_token"], "mask_token": torch.zeros(1, 32),
        "cls_token": state["cls_token"] - class_position,
        "pos_embed": torch.cat([class_position, state["pos_embed"]], dim=1),
    }  # fmt: skip
    content = {"teacher": {f"backbone.{key}": value for key, value in meta.items()}}
    source = publish(content, kwargs=kwargs, entry="teacher", strip_prefix="backbone.", resample_positions=True)
    network, _ = load_network(source)
    torch.testing.assert_close(network.eval()(images()), wanted(images()), rtol=0, atol=1e-4)  # a sum is taken apart
    with pytest.raises(ModelError, match="surplus"):
        load_network(replace(source, resample_positions=False))


def test_an_architecture_without_a_filter_says_so(publish):
    resnet = timm.create_model("test_resnet").state_dict()
    with pytest.raises(ModelError, match="no filter for the weights of a ResNet"):
        load_network(publish(resnet, "timm:test_resnet", resample_positions=True))


def test_a_new_optional_field_changes_no_fingerprint(publish):
    source = publish({})
    assert source.fingerprint() == replace(source, resample_positions=False).fingerprint()
    assert source.fingerprint() != replace(source, resample_positions=True).fingerprint()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "keras:resnet"}, "must begin with 'timm:' or 'torchvision:'"),
        ({"architecture": "torchvision:resnet18", "resample_positions": True}, "for architectures of timm"),
        ({"url": "https://example.org/x.pth"}, "names a repository and a URL"),
        ({"drop": "head"}, "must be a list of texts"),
        ({"drop": ("(",)}, "no regular expression"),
        ({"rename": {"[": ""}}, "no regular expression"),
        ({"sha256": "1646f230"}, "64 lower-case hex digits"),
    ],
)
def test_what_a_checkpoint_cannot_mean_is_refused_at_once(publish, change, message):
    with pytest.raises(SpecError, match=message):
        replace(publish({}), **change)
