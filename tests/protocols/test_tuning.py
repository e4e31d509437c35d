"""LoRA, DoRA and last blocks: what they name is trained, saved and loaded; the rest stays as it was, to the bit."""

from __future__ import annotations

import dataclasses
import sys

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from tiny_training import (
    PREPROCESSING,
    RESIDUAL,
    SIZE,
    SPEC,
    TRANSFORMER,
    WEIGHTLESS,
    Stopped,
    cells,
    fit,
    load_transformer,
    protocol,
    same,
    stop_after,
)

from mitozoo.errors import ModelError, ProtocolError
from mitozoo.models.encoder import load_encoder
from mitozoo.models.preprocessing import normalise
from mitozoo.protocols import training
from mitozoo.protocols.fine_tune import EndToEnd
from mitozoo.protocols.last_blocks import LastBlocks
from mitozoo.protocols.lora import Lora, adapted_layers
from mitozoo.protocols.spec import override
from mitozoo.protocols.training import Training
from mitozoo.protocols.tuned_network import TunedNetwork
from mitozoo.statistics.calibration import undo_sampling_prior

TEST = np.arange(44, 60)
LINEAR = ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
KINDS = {
    "lora": {"kind": Lora, "rank": 4},
    "dora": {"kind": Lora, "rank": 4, "use_dora": True},
    "last-blocks": {"kind": LastBlocks, "blocks": 1},
}
EACH = pytest.mark.parametrize("settings", KINDS.values(), ids=KINDS)


def tuned(tmp_path, **settings):
    return fit(tmp_path / "c.pt", encoder=load_transformer, **settings)


def trained_network(tmp_path, **settings):
    """A training on the first cells, its best weights in hand."""
    patches, labels, groups = cells()
    made = Training(
        protocol(**settings),
        load_transformer,
        patches,
        labels,
        groups,
        np.arange(40),
        np.arange(40, 44),
        0,
        "cpu",
        "fp32",
    )
    made.run(tmp_path / "c.pt", lambda done, total: None)
    return made.network


def recompute(prediction, settings, rows):
    """Scores of rows by a network made anew, which has nothing but the saved tensors from the trained one."""
    patches, labels, _ = cells()
    torch.manual_seed(99)  # whatever the new adapters start from is overwritten
    encoder = load_transformer()
    network = TunedNetwork(encoder, protocol(**settings).choose(encoder)).eval()
    network.load_tuned_state({name: torch.from_numpy(tensor) for name, tensor in prediction.tensors.items()})
    with torch.no_grad():
        margins = network(normalise(torch.from_numpy(patches[rows]), PREPROCESSING))[:, 0].double().numpy()
    prevalence = labels[np.setdiff1d(np.arange(44), prediction.inner_parts[0])].mean()
    return undo_sampling_prior(1 / (1 + np.exp(-margins)), prevalence, 0.5)


@EACH
def test_it_learns_what_is_plain_to_see(tmp_path, settings):
    prediction = tuned(tmp_path, **settings, epochs=15, patience=15, learning_rates=(1e-2,))
    labels = cells()[1][TEST]
    positive, negative = prediction.test_scores[labels == 1], prediction.test_scores[labels == 0]
    assert (positive[:, None] > negative).mean() > 0.9


@EACH
def test_what_is_saved_is_what_is_tuned_and_loads_exactly(tmp_path, settings):
    prediction = tuned(tmp_path, **settings)
    save_file({name: np.ascontiguousarray(tensor) for name, tensor in prediction.tensors.items()}, tmp_path / "w")
    saved = dataclasses.replace(prediction, tensors=load_file(tmp_path / "w"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the training
    assert np.array_equal(recompute(saved, settings, TEST), prediction.test_scores)
    assert np.array_equal(recompute(saved, settings, saved.inner_parts[0]), prediction.validation_scores)
    torch.set_num_threads(threads)
    assert prediction.selected["trained_parameters"] == sum(tensor.size for tensor in prediction.tensors.values())


@pytest.mark.parametrize("name", ["lora", "dora"])
def test_the_adapters_alone_change(tmp_path, name):
    network = trained_network(tmp_path, **KINDS[name])
    before = dict(load_transformer().named_parameters())
    moved = {}
    for key, parameter in network.encoder.named_parameters():
        base = key.replace(".base_layer", "")
        if base in before:
            assert torch.equal(parameter, before[base]), key  # to the bit
            assert not parameter.requires_grad
        else:
            moved[key] = parameter
    layers = [f"network.blocks.{block}.{layer}" for block in (0, 1) for layer in LINEAR]
    parts = ("lora_A.default.weight", "lora_B.default.weight")
    parts += ("lora_magnitude_vector.default.weight",) if name == "dora" else ()
    assert moved.keys() == {f"{layer}.{part}" for layer in layers for part in parts}
    assert all(moved[f"{layer}.lora_B.default.weight"].abs().max() > 0 for layer in layers)
    assert network.tuned_state().keys() == {f"encoder.{key}" for key in moved} | {"head.weight", "head.bias"}


def test_the_last_blocks_alone_change(tmp_path):
    network = trained_network(tmp_path, **KINDS["last-blocks"])
    before = dict(load_transformer().named_parameters())
    changed = {key for key, parameter in network.encoder.named_parameters() if not torch.equal(parameter, before[key])}
    last = {key for key in before if key.startswith(("network.blocks.1.", "network.norm."))}
    assert changed == last
    assert network.tuned_state().keys() == {f"encoder.{key}" for key in last} | {"head.weight", "head.bias"}


def test_untrained_adapters_change_nothing():
    images = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    for settings in (KINDS["lora"], KINDS["dora"]):
        encoder = load_transformer()
        with torch.no_grad():
            before = encoder(images)
            protocol(**settings).choose(encoder)
            torch.testing.assert_close(encoder.eval()(images), before)


def test_dora_is_another_training_than_lora(tmp_path):
    lora, dora = (tuned(tmp_path, **KINDS[name]) for name in ("lora", "dora"))
    assert not np.array_equal(lora.test_scores, dora.test_scores)
    assert set(dora.tensors) - set(lora.tensors) == {name for name in dora.tensors if "magnitude" in name}


@pytest.mark.parametrize(("settings", "scale"), [({"rank": 2, "alpha": 3.0}, 1.5), ({"rank": 8, "alpha": 16.0}, 2.0)])
def test_rank_alpha_and_dropout_are_those_of_the_record(settings, scale):
    encoder = load_transformer()
    layers = protocol(kind=Lora, dropout=0.25, **settings).choose(encoder)
    assert len(layers) == 8
    for layer in layers:
        assert layer.lora_A["default"].weight.shape[0] == settings["rank"]
        assert layer.scaling["default"] == scale
        assert layer.lora_dropout["default"].p == 0.25


def test_what_is_not_trained_stays_in_evaluation_mode():
    encoder = load_transformer()
    network = TunedNetwork(encoder, protocol(**KINDS["last-blocks"]).choose(encoder)).train()
    vit = encoder.network
    assert vit.blocks[1].attn.proj_drop.training
    assert vit.norm.training
    assert not vit.blocks[0].attn.proj_drop.training
    assert not vit.patch_embed.training
    assert network.head.training
    assert not any(module.training for module in network.eval().modules())


def test_running_statistics_move_in_the_trained_blocks_alone(tmp_path):
    prediction = fit(tmp_path / "c.pt", encoder=lambda: load_encoder(RESIDUAL), **KINDS["last-blocks"])
    inside = "encoder.network.blocks.1"
    assert prediction.tensors.keys() == {
        *(f"{inside}.{name}" for name in ("convolution.weight", "convolution.bias", "norm.weight", "norm.bias")),
        *(f"{inside}.norm.{name}" for name in ("running_mean", "running_var", "num_batches_tracked")),
        "head.weight",
        "head.bias",
    }
    assert prediction.tensors[f"{inside}.norm.num_batches_tracked"] > 0


# The best epoch, and kills


class Planted(Training):
    """Trains truly, and then sets the head's bias so that the third epoch is the only one of use."""

    biases = (6.0, -9.0, None, 7.0, -8.0)

    def _train_epoch(self, epoch, learning_rate):
        finite = super()._train_epoch(epoch, 1e-3)
        with torch.no_grad():
            if self.biases[epoch] is None:
                self.network.head.bias.zero_()
            else:
                self.network.head.bias.fill_(self.biases[epoch])
        self.seen = {**getattr(self, "seen", {}), epoch + 1: self.scores(TEST)}
        type(self).last = self
        return finite


@EACH
def test_a_planted_best_epoch_is_the_one_restored(tmp_path, monkeypatch, settings):
    monkeypatch.setattr(training, "Training", Planted)
    prediction = tuned(tmp_path, **settings, epochs=5, patience=5)
    assert prediction.selected["epoch"] == 3
    assert np.array_equal(prediction.test_scores, Planted.last.seen[3])
    assert not np.array_equal(Planted.last.seen[3], Planted.last.seen[5])


@pytest.mark.parametrize(
    ("name", "epochs_done"), [("lora", 1), ("lora", 2), ("lora", 3), ("dora", 2), ("last-blocks", 2)]
)
def test_a_training_stopped_after_any_epoch_ends_as_an_undisturbed_one(tmp_path, name, epochs_done):
    settings = KINDS[name]
    budget = {"learning_rates": (1e-3, 1e-2), "epochs": 2, "patience": 2}
    with pytest.raises(Stopped):
        tuned(tmp_path, **settings, **budget, on_progress=stop_after(epochs_done))
    seen = []
    resumed = tuned(tmp_path, **settings, **budget, on_progress=lambda done, total: seen.append(done))
    same(resumed, tuned(tmp_path, **settings, **budget))
    assert seen == list(range(epochs_done + 1, 5))


def test_a_checkpoint_holds_no_frozen_weight(tmp_path):
    with pytest.raises(Stopped):
        tuned(tmp_path, kind=Lora, rank=1, on_progress=stop_after(1))
    state = torch.load(tmp_path / "c.pt", weights_only=True)
    assert all("lora_" in name or name.startswith("head.") for name in state["states"]["network"])
    assert state["progress"]["best"]["weights"].keys() == state["states"]["network"].keys()


def test_labels_of_test_cells_change_nothing(tmp_path, monkeypatch):
    undisturbed = tuned(tmp_path, **KINDS["lora"])
    patches, labels, groups = cells()
    labels = labels.copy()
    labels[44:] = labels[44:][::-1]
    monkeypatch.setattr("tiny_training.cells", lambda: (patches, labels, groups))
    same(tuned(tmp_path, **KINDS["lora"]), undisturbed)


# Where adapters attach


def test_adapters_attach_to_what_the_spec_names():
    encoder = load_encoder(dataclasses.replace(TRANSFORMER, lora_targets=("attn.qkv", "blocks.1.mlp.fc1")))
    assert adapted_layers(encoder) == ["blocks.0.attn.qkv", "blocks.1.attn.qkv", "blocks.1.mlp.fc1"]
    layers = protocol(kind=Lora).choose(encoder)
    assert layers == [encoder.network.get_submodule(name) for name in adapted_layers_of(encoder)]
    assert len(layers) == 3


def adapted_layers_of(encoder):
    return [name for name, module in encoder.network.named_modules() if hasattr(module, "lora_A")]


def test_a_convolution_is_adapted_where_the_spec_names_it(tmp_path):
    spec = dataclasses.replace(RESIDUAL, lora_targets=("convolution",))
    prediction = fit(tmp_path / "c.pt", encoder=lambda: load_encoder(spec), kind=Lora, rank=2)
    adapters = {name.rpartition(".lora_")[0] for name in prediction.tensors if "lora_" in name}
    assert adapters == {f"encoder.network.blocks.{block}.convolution" for block in (0, 1)}


class FusedNetwork(torch.nn.Module):
    """A block whose attention reads its projections' weights without calling them."""

    class Block(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attn = torch.nn.MultiheadAttention(4, 1, batch_first=True)
            self.mlp = torch.nn.Linear(4, 4)

        def forward(self, tokens):
            return self.mlp(tokens + self.attn(tokens, tokens, tokens, need_weights=False)[0])

    def __init__(self) -> None:
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 4, 4, stride=4)
        self.blocks = torch.nn.ModuleList([self.Block()])
        self.head = torch.nn.Linear(4, 4)

    def forward(self, images):
        tokens = self.stem(images).flatten(2).mT
        for block in self.blocks:
            tokens = block(tokens)
        return self.head(tokens.mean(1))


def fused_network():
    return FusedNetwork()


def test_adapters_that_no_image_would_pass_are_not_made():
    encoder = load_encoder(dataclasses.replace(SPEC, name="fused", load=fused_network))
    assert adapted_layers(encoder) == ["blocks.0.mlp"]


# Refusals


@pytest.mark.parametrize(
    ("spec", "settings", "said"),
    [
        (
            RESIDUAL,
            {"kind": Lora},
            "LoRA on a network without linear layers to adapt: model 'residual', no block of it",
        ),
        (SPEC, {"kind": Lora}, "LoRA on a network without linear layers to adapt: model 'tiny', no block"),
        (
            dataclasses.replace(TRANSFORMER, lora_targets=("q_proj", "v_proj")),
            {"kind": Lora},
            "none of its linear layers is named q_proj, v_proj",
        ),
        (WEIGHTLESS, {"kind": Lora}, "LoRA on a network without linear layers"),
        (SPEC, {"kind": LastBlocks}, "model 'tiny' has no blocks that 'last-blocks' could tell"),
        (TRANSFORMER, {"kind": LastBlocks, "blocks": 3}, "model 'tiny-transformer' has only 2 blocks"),
        (WEIGHTLESS, {"kind": LastBlocks}, "model 'colours' has no weights that protocol 'tiny' could train"),
        (WEIGHTLESS, {"kind": EndToEnd}, "model 'colours' has no weights that protocol 'tiny' could train"),
    ],
)
def test_protocols_asked_of_models_that_cannot(tmp_path, spec, settings, said):
    with pytest.raises(ModelError, match=said) as refused:
        fit(tmp_path / "c.pt", encoder=lambda: load_encoder(spec), **settings)
    assert refused.value.exit_code == 2
    assert refused.value.hint


def test_without_peft_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ModelError, match="protocol 'tiny' needs peft>=") as refused:
        fit(tmp_path / "c.pt", encoder=load_transformer, kind=Lora)
    assert refused.value.hint == "Try: pip install 'peft>=0.13'"


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (Lora, {"rank": "0"}), (Lora, {"rank": "1.5"}), (Lora, {"alpha": "0"}), (Lora, {"dropout": "1"}),
        (Lora, {"dropout": "-0.1"}), (Lora, {"use_dora": "perhaps"}), (Lora, {"learning_rates": "0"}),
        (LastBlocks, {"blocks": "0"}), (LastBlocks, {"blocks": "two"}), (LastBlocks, {"epochs": "0"}),
    ],
)  # fmt: skip
def test_training_that_would_train_nothing_is_refused(kind, settings):
    with pytest.raises(ProtocolError):
        override(protocol(kind=kind), settings)


def test_the_room_asked_for_is_never_less_than_the_adapters_take():
    for name, embed_dim in (("cls", 16), ("cls+mean", 32)):
        encoder = load_transformer()
        weights = sum(parameter.numel() for parameter in encoder.network.blocks.parameters())
        made = protocol(kind=Lora, rank=1)
        adapters = sum(layer.lora_A["default"].weight.numel() + layer.lora_B["default"].weight.numel()
                       for layer in made.choose(encoder))  # fmt: skip
        assert adapters <= made.tuned_share(embed_dim) * weights, name
    assert protocol(kind=Lora, rank=4096).tuned_share(384) == 1
    assert protocol(kind=LastBlocks).tuned_share(384) == 1
