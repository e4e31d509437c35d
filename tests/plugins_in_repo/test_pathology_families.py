"""Encoders of pathology: what each declares is what its built network has, and declaring it costs nothing."""

from __future__ import annotations

import functools
import importlib
import json
import subprocess
import sys

import pytest
import torch

from mitozoo import TransformersHub
from mitozoo.models.encoder import Encoder
from mitozoo.models.loaders import build_network
from mitozoo.models.loaders.transformers_output import OneOutput

FAMILIES = (
    "bioptimus", "crisp", "crown", "genbio_pathfm", "gigapath", "gpfm", "hibou", "kaiko", "lunit", "mettle", "mstar",
    "openmidnight", "pathorchestra", "phikon", "rudolfv2", "sinai", "uni", "virchow",
)  # fmt: skip
MODULES = tuple(f"mitozoo_plugin_{family}" for family in FAMILIES)
SPECS = {spec.name: spec for module in MODULES for spec in importlib.import_module(module).mitozoo_models()}
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


def check_declared(name: str, network: torch.nn.Module) -> None:
    spec, side = SPECS[name], SPECS[name].preprocessing.size
    assert sum(parameter.numel() for parameter in network.parameters()) == spec.parameters
    assert getattr(network, "num_prefix_tokens", 0) == spec.prefix_tokens
    with torch.no_grad(), torch.device("meta"):
        embeddings = Encoder(spec, network.eval(), "")(torch.zeros(2, 3, side, side))
    assert embeddings.shape == (2, spec.embed_dim)


@functools.cache
def laid_out(source) -> torch.nn.Module:
    """Two poolings of one network share it."""
    with torch.device("meta"):
        return build_network(source)


@pytest.mark.parametrize("name", sorted(BUILT_HERE))
def test_the_built_network_is_as_declared(name):
    check_declared(name, laid_out(SPECS[name].load))


@pytest.mark.parametrize("name", sorted(CONFIGURATIONS))
def test_so_is_that_which_transformers_builds(name):
    transformers = pytest.importorskip("transformers")
    source = SPECS[name].load
    model_class = getattr(transformers, source.model_class.removeprefix("transformers:"))
    with torch.device("meta"):
        model = model_class(model_class.config_class(**CONFIGURATIONS[name]), **source.kwargs)
    check_declared(name, OneOutput(model, source.output))


def test_only_what_runs_its_authors_code_is_not_built_here():
    left_out = BY_TRANSFORMERS.keys() - CONFIGURATIONS.keys()
    assert left_out == {name for name in SPECS if name.startswith("rudolfv-2")}
    for name in left_out:
        assert SPECS[name].load.trust_remote_code
        assert SPECS[name].load.revision


@pytest.mark.parametrize("name", sorted(name for name, spec in BUILT_HERE.items() if spec.lora_targets))
def test_adapters_find_their_layers_in_every_block_and_nowhere_else(name):
    network, targets = laid_out(SPECS[name].load), SPECS[name].lora_targets
    linear = [key for key, module in network.named_modules() if isinstance(module, torch.nn.Linear)]
    hit = [key for key in linear if key.endswith(targets)]
    blocks = max(int(key.split("blocks.")[1].split(".")[0]) for key in linear if "blocks." in key) + 1
    assert len(hit) == blocks * len(targets)
    assert all("blocks." in key for key in hit)


MEASURE = """
import json, sys, time
for heavy in ("torch", "timm", "transformers", "torchvision", "numpy", "pandas", "huggingface_hub"):
    sys.modules[heavy] = None  # whoever imports it fails
import mitozoo
for name in mitozoo.__all__:  # what every plugin imports, and none of them pays for
    name == "evaluate" or getattr(mitozoo, name)
modules, spent = json.loads(sys.argv[1]), []
for _ in range(5):
    start = time.process_time()
    count = sum(len(__import__(module).mitozoo_models()) for module in modules)
    spent.append(time.process_time() - start)
    for module in modules:
        del sys.modules[module]
print(json.dumps([count, min(spent)]))
"""


def test_importing_all_needs_no_heavy_library_and_no_time():
    process = subprocess.run(
        [sys.executable, "-c", MEASURE, json.dumps(MODULES)], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    count, seconds = json.loads(process.stdout)
    assert count == len(SPECS)
    assert seconds < 0.05
