"""Encoders of pathology: what each declares is what its built network has, and declaring it costs nothing."""

from __future__ import annotations

import pytest
import torch
from encoders_in_repo import Undrawn, check_declared, laid_out, linear_layers, specs_of

from mitozoo import TransformersHub
from mitozoo.models.loaders.transformers_output import OneOutput

SPECS = specs_of(
    "bioptimus", "crisp", "crown", "genbio_pathfm", "gigapath", "gpfm", "hibou", "kaiko", "lunit", "mettle", "mstar",
    "openmidnight", "pathorchestra", "phikon", "rudolfv2", "sinai", "uni", "virchow",
)  # fmt: skip
BY_TRANSFORMERS = {name: spec for name, spec in SPECS.items() if isinstance(spec.load, TransformersHub)}
BUILT_HERE = {name: spec for name, spec in SPECS.items() if name not in BY_TRANSFORMERS}

#: The authors' config.json, as far as it shapes the network.
CONFIGURATIONS = {
    "phikon": {},  # ViT-B/16 is what transformers builds by default
    "phikon-v2": {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "patch_size": 16,
                  "image_size": 224},
    "midnight-12k": {"hidden_size": 1536, "num_hidden_layers": 40, "num_attention_heads": 24, "patch_size": 14,
                     "image_size": 518, "use_swiglu_ffn": True},
    "hibou-b": {"patch_size": 14, "image_size": 224, "use_swiglu_ffn": True, "num_register_tokens": 4},
    "hibou-l": {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "patch_size": 14,
                "image_size": 224, "use_swiglu_ffn": True, "num_register_tokens": 4},
}  # fmt: skip
CONFIGURATIONS["midnight-12k-cls"] = CONFIGURATIONS["midnight-12k"]


def test_every_model_that_was_asked_for_is_there():
    asked = """uni uni2-h virchow virchow-cls virchow2 virchow2-cls prov-gigapath prov-gigapath-flash
        h-optimus-0 h-optimus-1 h0-mini h0-mini-cls-mean phikon phikon-v2 sp22m sp85m
        kaiko-vits16 kaiko-vits8 kaiko-vitb16 kaiko-vitb8 kaiko-vitl14 midnight-12k midnight-12k-cls
        lunit-vits16 lunit-vits8 lunit-bt lunit-mocov2 lunit-swav hibou-b hibou-l gpfm mstar pathorchestra
        openmidnight openpath rudolfv-2 rudolfv-2-b rudolfv-2-s rudolfv-2-cls-mean rudolfv-2-b-cls-mean
        rudolfv-2-s-cls-mean genbio-pathfm mettle mettle-cls crisp crown"""
    assert sorted(SPECS) == sorted(asked.split())


def check_with_tokens(name: str, network: torch.nn.Module) -> None:
    check_declared(SPECS[name], network)
    assert getattr(network, "num_prefix_tokens", 0) == SPECS[name].prefix_tokens


@pytest.mark.parametrize("name", sorted(BUILT_HERE))
def test_the_built_network_is_as_declared(name):
    check_with_tokens(name, laid_out(SPECS[name].load))


@pytest.mark.parametrize("name", sorted(CONFIGURATIONS))
def test_so_is_that_which_transformers_builds(name):
    transformers = pytest.importorskip("transformers")
    source = SPECS[name].load
    model_class = getattr(transformers, source.model_class.removeprefix("transformers:"))
    with torch.device("meta"), Undrawn():
        model = model_class(model_class.config_class(**CONFIGURATIONS[name]), **source.kwargs)
    check_with_tokens(name, OneOutput(model, source.output).eval())


def test_only_what_runs_its_authors_code_is_not_built_here():
    left_out = BY_TRANSFORMERS.keys() - CONFIGURATIONS.keys()
    assert left_out == {name for name in SPECS if name.startswith("rudolfv-2")}
    for name in left_out:
        assert SPECS[name].load.trust_remote_code
        assert SPECS[name].load.revision


@pytest.mark.parametrize("name", sorted(name for name, spec in BUILT_HERE.items() if spec.lora_targets))
def test_adapters_find_their_layers_in_every_block_and_nowhere_else(name):
    linear, targets = linear_layers(SPECS[name].load), SPECS[name].lora_targets
    hit = [key for key in linear if key.endswith(targets)]
    blocks = max(int(key.split("blocks.")[1].split(".")[0]) for key in linear if "blocks." in key) + 1
    assert len(hit) == blocks * len(targets)
    assert all("blocks." in key for key in hit)
