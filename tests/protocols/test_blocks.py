"""Blocks are found in every kind of network that the zoo has, and nothing else is taken for one."""

from __future__ import annotations

import open_clip
import pytest
import timm
import torch
import torchvision
import transformers

from mitozoo.protocols.blocks import after_blocks, blocks_of

TINY = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32, "image_size": 32}


def of_timm(name, **given):
    return timm.create_model(name, pretrained=False, num_classes=0, **given)


def of_transformers(name, **given):
    model = getattr(transformers, f"{name}Model")
    return model(model.config_class(**TINY | given))


def of_open_clip():
    return open_clip.create_model("ViT-B-32", pretrained=None, device="meta").visual


#: network, number of blocks, how the names of the last two end, and of what stands behind them with weights
NETWORKS = {
    "vit": (lambda: of_timm("vit_tiny_patch16_224"), 12, ["blocks.10", "blocks.11"], {"norm"}),
    "dinov3": (lambda: of_timm("vit_small_patch16_dinov3"), 12, ["blocks.10", "blocks.11"], {"norm"}),
    "swin": (
        lambda: of_timm("swin_tiny_patch4_window7_224"), 12, ["layers.3.blocks.0", "layers.3.blocks.1"], {"norm"},
    ),
    "convnext": (
        lambda: of_timm("convnext_tiny"), 18, ["stages.3.blocks.1", "stages.3.blocks.2"], {"head.norm"},
    ),
    "resnet": (lambda: of_timm("resnet18"), 8, ["layer4.0", "layer4.1"], set()),
    "efficientnet": (
        lambda: of_timm("efficientnet_lite0"), 16, ["blocks.5.3", "blocks.6.0"], {"conv_head", "bn2"},
    ),
    "resnet of torchvision": (lambda: torchvision.models.resnet50(), 16, ["layer4.1", "layer4.2"], {"fc"}),
    "vit of torchvision": (
        lambda: torchvision.models.vit_b_16(), 12,
        ["encoder.layers.encoder_layer_10", "encoder.layers.encoder_layer_11"], {"encoder.ln", "heads.head"},
    ),
    "vit of transformers": (
        lambda: of_transformers("ViT", patch_size=16), 3, [".1", ".2"],
        {"layernorm", "pooler.dense"},
    ),
    "dinov2 of transformers": (
        lambda: of_transformers("Dinov2", patch_size=16), 3, [".1", ".2"], {"layernorm"},
    ),
    "clip of transformers": (
        lambda: of_transformers("CLIPVision", patch_size=16), 3,
        [".1", ".2"], {"post_layernorm"},
    ),
    "clip of open_clip": (of_open_clip, 12, ["transformer.resblocks.10", "transformer.resblocks.11"], {"ln_post"}),
}  # fmt: skip


@pytest.mark.parametrize("kind", NETWORKS)
def test_blocks_and_what_stands_behind_them(kind):
    build, count, last, behind = NETWORKS[kind]
    with torch.device("meta"):
        network = build()
    names = {id(module): name for name, module in network.named_modules()}
    found = blocks_of(network)
    assert len(found) == count
    assert all(names[id(block)].endswith(end) for block, end in zip(found[-2:], last, strict=True))
    weighted = [module for module in after_blocks(network) if next(module.parameters(recurse=False), None) is not None]
    assert len(weighted) == len(behind)
    assert all(names[id(module)].endswith(tuple(behind)) for module in weighted)


@pytest.mark.parametrize(
    "network",
    [
        torch.nn.Identity(),
        torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU()),
        torchvision.ops.MLP(4, [4, 4]),
        torch.nn.ModuleDict({"layers": torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU())}),
    ],
)
def test_no_layer_is_taken_for_a_block(network):
    assert blocks_of(network) == []
