"""End-to-end training: the best weights are the tested ones, and a killed training ends as an undisturbed one."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from sklearn.metrics import roc_auc_score
from tiny_training import PREPROCESSING, SIZE, SPEC, Stopped, TinyNetwork, cells, fit, load, protocol, same, stop_after
from torch.utils._python_dispatch import TorchDispatchMode

from mitozoo.data.splits import draw, inner_folds
from mitozoo.errors import ModelError
from mitozoo.models.preprocessing import normalise
from mitozoo.protocols import fine_tune, training
from mitozoo.protocols.checkpoint import weights_sha256
from mitozoo.protocols.linear_probe import LinearProbe, fit_linear_probe
from mitozoo.protocols.training import Training
from mitozoo.statistics.metrics import best_threshold

TWO_RATES = (1e-3, 3e-3)


def a_training(prediction_of=(), **changes):
    """A training on all tiny cells, the last eight of them validation."""
    patches, labels, groups = cells()
    settings = {"seed": 0, "device": "cpu", "precision": "fp32"} | dict(prediction_of)
    return Training(protocol(**changes), load, patches, labels, groups, np.arange(52), np.arange(52, 60), **settings)


def recompute(tensors, rows):
    """Scores of rows by a network made anew from saved weights, the prior of the sampler undone by hand."""
    patches, labels, groups = cells()
    encoder, head = load(), torch.nn.Linear(4, 1)
    network = torch.nn.Sequential()
    network.add_module("encoder", encoder)
    network.add_module("head", head)
    network.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in tensors.items()})
    with torch.no_grad():
        margins = network.eval()(normalise(torch.from_numpy(patches[rows]), PREPROCESSING))[:, 0].double().numpy()
    validation = inner_folds(labels, groups, np.arange(44), folds=3, seed=0)[0]
    positives = labels[np.setdiff1d(np.arange(44), validation)].mean()
    return 1 / (1 + np.exp(-(margins + np.log(positives / (1 - positives)))))


def test_it_learns_what_is_plain_to_see(tmp_path):
    prediction = fit(tmp_path / "c.pt", epochs=30, patience=30)
    labels = cells()[1][44:]
    assert prediction.test_scores[labels == 1].min() > prediction.test_scores[labels == 0].max()
    assert prediction.selected["validation_log_loss"] < 0.3
    assert not (tmp_path / "c.pt").exists()


def test_the_same_seed_gives_the_same_and_another_seed_another(tmp_path):
    same(fit(tmp_path / "a.pt"), fit(tmp_path / "b.pt"))
    assert not np.array_equal(fit(tmp_path / "a.pt").test_scores, fit(tmp_path / "b.pt", seed=1).test_scores)


def test_training_leaves_the_global_random_state_alone(tmp_path):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    fit(tmp_path / "c.pt", epochs=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_tissue_around_a_patch_is_seen_in_training_alone(tmp_path):
    """Scores are of the patches that a probe is shown, whatever is stored around them."""
    patches, labels, groups = cells()
    framed = {}
    for name, value in (("white", 255), ("black", 0)):
        framed[name] = np.full((len(patches), SIZE + 4, SIZE + 4, 3), value, dtype=np.uint8)
        framed[name][:, 2:-2, 2:-2] = patches
    made, trained = {}, {}
    for name, stored in (("bare", patches), *framed.items()):
        training = Training(
            protocol(epochs=1), load, stored, labels, groups, np.arange(52), np.arange(52, 60), seed=0, device="cpu",
            precision="fp32",
        )  # fmt: skip
        training._start(3e-3)
        made[name] = training.scores(np.arange(60))
        training._train_epoch(0, 3e-3)
        trained[name] = training.scores(np.arange(60))
    assert np.array_equal(made["white"], made["bare"])
    assert np.array_equal(made["black"], made["bare"])
    assert not np.array_equal(trained["white"], trained["black"])


# The best epoch


class Planted(Training):
    """Sets the head after each epoch; the third epoch's is right, all others are wrong or blind."""

    heads = (-4.0, 0.0, 6.0, -8.0, 0.5)

    def _train_epoch(self, epoch, learning_rate):
        finite = super()._train_epoch(epoch, 1e-9)
        with torch.no_grad():
            for module in self.network.modules():
                if isinstance(module, TinyNetwork):
                    module.projection.weight.zero_()
                    module.projection.weight[0] = -1  # dark spots have small features
            self.network.head.weight.zero_()
            self.network.head.weight[0, 0] = self.heads[epoch]
            self.network.head.bias.fill_(self.middle(self.heads[epoch]))
        return finite

    def middle(self, slope):
        """The bias that puts the boundary half-way between the classes."""
        images = normalise(torch.from_numpy(self.patches[self.fitted]), self.preprocessing)
        self.network.eval()
        feature = self.network.encoder(images)[:, 0]
        positive = torch.from_numpy(self.labels[self.fitted] == 1)
        return -slope * float(feature[positive].mean() + feature[~positive].mean()) / 2


def test_a_planted_best_epoch_is_the_one_tested(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "Training", Planted)
    prediction = fit(tmp_path / "c.pt", epochs=5, patience=5)
    assert prediction.selected["epoch"] == 3
    assert prediction.tensors["head.weight"].tolist() == [[6.0, 0.0, 0.0, 0.0]]
    np.testing.assert_allclose(prediction.test_scores, recompute(prediction.tensors, np.arange(44, 60)), rtol=1e-5)
    scores, truth = prediction.validation_scores, cells()[1][prediction.inner_parts[0]]
    np.testing.assert_allclose(scores, recompute(prediction.tensors, prediction.inner_parts[0]), rtol=1e-5)
    loss = -np.log(np.where(truth == 1, scores, 1 - scores)).mean()
    assert prediction.selected["validation_log_loss"] == pytest.approx(loss)
    assert prediction.threshold == best_threshold(scores, truth)


def test_patience_ends_a_trial(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "Training", Planted)
    seen = []
    prediction = fit(
        tmp_path / "c.pt", epochs=5, patience=1, on_progress=lambda done, total: seen.append((done, total))
    )
    assert prediction.selected["epoch"] == 3
    assert seen == [(1, 5), (2, 5), (3, 5), (4, 5)]


def test_the_recorded_digest_is_that_of_the_tested_weights(tmp_path):
    prediction = fit(tmp_path / "c.pt", learning_rates=TWO_RATES)
    weights = {name: torch.from_numpy(tensor) for name, tensor in prediction.tensors.items()}
    assert prediction.selected["weights_sha256"] == weights_sha256(weights)
    save_file({name: np.ascontiguousarray(tensor) for name, tensor in prediction.tensors.items()}, tmp_path / "w")
    np.testing.assert_allclose(
        prediction.test_scores, recompute(load_file(tmp_path / "w"), np.arange(44, 60)), rtol=1e-5
    )


def test_the_network_in_hand_holds_the_best_weights(tmp_path):
    made = a_training(learning_rates=TWO_RATES)
    best = made.run(tmp_path / "c.pt", lambda done, total: None).best
    assert weights_sha256(made.network.state_dict()) == best.sha256()


def test_of_several_learning_rates_the_lowest_validation_loss_wins_and_trials_are_counted(tmp_path):
    each = [fit(tmp_path / "c.pt", learning_rates=(rate,)) for rate in TWO_RATES]
    both = fit(tmp_path / "c.pt", learning_rates=TWO_RATES)
    best = min(each, key=lambda prediction: prediction.selected["validation_log_loss"])
    assert both.selected["trials"] == 2
    assert both.selected["weights_sha256"] == best.selected["weights_sha256"]
    assert both.selected["learning_rate"] == best.selected["learning_rate"]


# Kills


@pytest.mark.parametrize("epochs_done", range(1, 7))
def test_a_training_stopped_after_any_epoch_ends_as_an_undisturbed_one(tmp_path, epochs_done):
    settings = {"learning_rates": TWO_RATES, "epochs": 3, "patience": 3}
    with pytest.raises(Stopped):
        fit(tmp_path / "c.pt", on_progress=stop_after(epochs_done), **settings)
    seen = []
    resumed = fit(tmp_path / "c.pt", on_progress=lambda done, total: seen.append(done), **settings)
    same(resumed, fit(tmp_path / "undisturbed.pt", **settings))
    assert seen == list(range(epochs_done + 1, 7))  # nothing that was done is done again


@pytest.mark.slow
def test_a_killed_process_loses_one_epoch_at_most(tmp_path):
    script = [sys.executable, str(Path(__file__).with_name("tiny_training.py")), str(tmp_path / "c.pt"), "5"]
    assert subprocess.run(script, check=False).returncode == -signal.SIGKILL
    seen = []
    resumed = fit(tmp_path / "c.pt", learning_rates=TWO_RATES, on_progress=lambda done, total: seen.append(done))
    assert seen == [6, 7, 8]
    same(resumed, fit(tmp_path / "undisturbed.pt", learning_rates=TWO_RATES))


@pytest.mark.parametrize("damage", [lambda content: content[:1000], lambda content: b"rubbish", lambda content: b""])
def test_a_damaged_checkpoint_is_not_resumed(tmp_path, damage):
    path = tmp_path / "c.pt"
    stop_after_two(path)
    path.write_bytes(damage(path.read_bytes()))
    same(fit(path), fit(tmp_path / "undisturbed.pt"))


def test_a_checkpoint_of_another_training_is_not_resumed(tmp_path):
    path = tmp_path / "c.pt"
    stop_after_two(path)
    same(fit(path, seed=1), fit(tmp_path / "undisturbed.pt", seed=1))
    stop_after_two(path)
    same(fit(path, batch_size=11), fit(tmp_path / "undisturbed.pt", batch_size=11))


def stop_after_two(path):
    with pytest.raises(Stopped):
        fit(path, on_progress=stop_after(2))


# What is told of an epoch


def test_an_epoch_tells_its_losses_and_what_the_best_one_is_chosen_by(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(training, "Training", Planted)
    prediction = fit(tmp_path / "c.pt", epochs=5, patience=5, on_epoch=seen.append)
    assert [epoch.number for epoch in seen] == [1, 2, 3, 4, 5]
    assert {epoch.learning_rate for epoch in seen} == {3e-3}
    best = min(seen, key=lambda epoch: epoch.validation_loss)
    assert (best.number, best.validation_loss) == (3, prediction.selected["validation_log_loss"])
    truth = cells()[1][prediction.inner_parts[0]]
    assert best.validation_auroc == pytest.approx(roc_auc_score(truth, prediction.validation_scores))
    wrong, blind = seen[0], seen[1]  # as the heads were planted: the feature turned round, and none
    assert wrong.validation_auroc < blind.validation_auroc == 0.5 < best.validation_auroc
    assert all(epoch.training_loss > 0 for epoch in seen)


def test_the_training_loss_of_an_epoch_is_the_mean_over_its_steps(tmp_path, monkeypatch):
    steps, seen, real = [], [], torch.nn.functional.binary_cross_entropy_with_logits

    def noted(*given, **further):
        loss = real(*given, **further)
        steps.append(float(loss.detach()))
        return loss

    monkeypatch.setattr(torch.nn.functional, "binary_cross_entropy_with_logits", noted)
    fit(tmp_path / "c.pt", epochs=3, on_epoch=seen.append)
    means = np.reshape(steps, (3, -1)).mean(axis=1)
    assert means.shape == (3,)
    assert [epoch.training_loss for epoch in seen] == pytest.approx(means.tolist(), rel=1e-5)


def test_a_resumed_training_tells_the_epochs_that_it_trains(tmp_path):
    path, seen = tmp_path / "c.pt", []
    stop_after_two(path)
    fit(path, on_epoch=seen.append)
    assert [epoch.number for epoch in seen] == [3, 4]


# Numbers that are none


class Explosive(TinyNetwork):
    def forward(self, images):
        return (1e3 * super().forward(images)).exp()


def explosive():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        network = Explosive()
        torch.nn.init.zeros_(network.projection.weight)
        torch.nn.init.zeros_(network.projection.bias)
        return network


def fit_explosive(path, monkeypatch, **changes):
    def load_explosive():
        from mitozoo.models.encoder import Encoder

        return Encoder(SPEC, explosive(), "none")

    monkeypatch.setattr("tiny_training.load", load_explosive)
    return fit(path, **changes)


def test_a_training_that_diverges_everywhere_says_so(tmp_path, monkeypatch):
    with pytest.raises(ModelError, match=r"diverged at every learning rate of 0\.9, 0\.5") as failed:
        fit_explosive(tmp_path / "c.pt", monkeypatch, learning_rates=(0.9, 0.5))
    assert "--set learning_rates=" in failed.value.hint


def test_a_learning_rate_that_diverges_is_left_at_once_and_named(tmp_path, monkeypatch):
    seen, told = [], []
    prediction = fit_explosive(
        tmp_path / "c.pt", monkeypatch, learning_rates=(0.9, 1e-6), on_progress=lambda done, total: seen.append(done),
        on_epoch=told.append,
    )  # fmt: skip
    assert seen == [1, 5, 6, 7, 8]
    assert prediction.selected["learning_rate"] == 1e-6
    assert prediction.flags == ("training diverged at learning rate 0.9",)
    assert (told[0].learning_rate, told[0].validation_loss, told[0].validation_auroc) == (0.9, None, None)
    assert not np.isfinite(told[0].training_loss)
    assert all(np.isfinite([epoch.training_loss, epoch.validation_loss]).all() for epoch in told[1:])
    assert np.isfinite(prediction.test_scores).all()


# The recipe


def test_an_untrained_zero_head_gives_the_prevalence_of_the_fitted_cells():
    made = a_training()
    made._start(1e-3)
    torch.nn.init.zeros_(made.network.head.weight)
    assert made.scores(np.arange(5)) == pytest.approx([made.labels[:52].mean()] * 5)


def test_the_head_starts_small_and_follows_the_seed():
    heads = []
    for seed in (0, 0, 1):
        made = a_training({"seed": seed})
        made._start(1e-3)
        heads.append(made.network.head.weight.detach().clone())
        assert heads[-1].abs().max() < 0.02 * 2
        assert made.network.head.bias.item() == 0
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_only_weight_matrices_decay():
    made = a_training(weight_decay=0.3)
    made._start(1e-3)
    names = {id(parameter): name for name, parameter in made.network.named_parameters()}
    groups = {group["weight_decay"]: {names[id(p)] for p in group["params"]} for group in made.optimiser.param_groups}
    inside = "encoder.network."
    assert groups[0.3] == {
        f"{inside}convolution.weight", f"{inside}second.weight", f"{inside}projection.weight", "head.weight"
    }  # fmt: skip
    assert groups[0.0] == set(names.values()) - groups[0.3]
    assert f"{inside}token" in groups[0.0]


def test_an_epoch_draws_both_classes_alike_and_leaves_no_cell_out_for_long():
    made = a_training(batch_size=8)
    order = made._balanced_order(np.random.default_rng(0))
    assert len(order) == 48  # 52 cells in whole batches
    assert made.labels[order].sum() == 24
    _, drawn = np.unique(order[made.labels[order] == 1], return_counts=True)
    assert len(drawn) == made.labels[:52].sum()
    assert set(drawn) <= {1, 2}
    assert not set(order) & set(made.validation)


def test_the_rate_rises_then_falls_along_a_cosine():
    made = a_training(epochs=10, warmup=0.1)
    made._start(1e-3)
    rates = []
    for step in range(made.steps * 10):
        made._set_rate(1e-3, step)
        rates.append(made.optimiser.param_groups[0]["lr"])
    warm = made.steps
    np.testing.assert_allclose(rates[:warm], 1e-3 * np.arange(1, warm + 1) / warm)
    left = len(rates) - warm
    np.testing.assert_allclose(rates[warm:], 5e-4 * (1 + np.cos(np.pi * np.arange(left) / left)), rtol=1e-9)


def test_fewer_cells_than_a_batch_still_make_a_whole_one(tmp_path):
    prediction = fit(tmp_path / "c.pt", batch_size=64, epochs=2)
    assert np.isfinite(prediction.test_scores).all()


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_trains_and_resumes(tmp_path, precision):
    whole = fit(tmp_path / "a.pt", precision=precision)
    exact = fit(tmp_path / "b.pt")
    assert not np.array_equal(whole.test_scores, exact.test_scores)
    np.testing.assert_allclose(whole.test_scores, exact.test_scores, atol=0.05)
    assert {tensor.dtype for name, tensor in whole.tensors.items() if "weight" in name} == {np.dtype("float32")}
    with pytest.raises(Stopped):
        fit(tmp_path / "c.pt", precision=precision, on_progress=stop_after(2))
    same(fit(tmp_path / "c.pt", precision=precision), whole)


def test_without_validation_the_last_epoch_of_the_first_rate_is_tested_and_flagged(tmp_path):
    patches, labels, _ = cells()
    groups = np.full(60, "one slide")
    prediction = fine_tune.fit_network(
        protocol(learning_rates=TWO_RATES, epochs=3), load, patches, labels, groups, np.arange(44), np.arange(44, 60),
        seed=0, device="cpu", precision="fp32", checkpoint=tmp_path / "c.pt",
    )  # fmt: skip
    assert (prediction.selected["learning_rate"], prediction.selected["epoch"]) == (1e-3, 3)
    assert prediction.selected["trials"] == 1
    assert prediction.selected["validation_log_loss"] is None
    assert prediction.threshold == 0.5
    assert len(prediction.flags) == 2
    assert prediction.inner_parts == ()


# The same cells as the probe


def test_probe_and_training_use_the_same_cells_and_the_first_inner_fold_validates(tmp_path):
    patches, labels, groups = cells()
    train = draw(labels, groups, np.arange(44), fraction=0.7, seed=1, by="groups")
    embeddings = patches.reshape(60, -1)[:, ::9].astype(np.float32)
    probe = LinearProbe(name="probe", version=1, title="", inner_folds=3)
    probed = fit_linear_probe(probe, embeddings, labels, groups, train, np.arange(44, 60))
    trained = fine_tune.fit_network(
        protocol(epochs=1), load, patches, labels, groups, train, np.arange(44, 60), seed=1, device="cpu",
        precision="fp32", checkpoint=tmp_path / "c.pt",
    )  # fmt: skip
    assert hash_of(trained.inner_parts[0]) == hash_of(probed.inner_parts[0])
    assert hash_of(np.concatenate(probed.inner_parts)) == hash_of(train)
    assert len(trained.validation_scores) == len(trained.inner_parts[0])


def hash_of(rows):
    return hash(frozenset(rows.tolist()))


def test_labels_of_test_cells_change_nothing(tmp_path, monkeypatch):
    undisturbed = fit(tmp_path / "c.pt")
    patches, labels, groups = cells()
    labels = labels.copy()
    labels[44:] = labels[44:][::-1]
    monkeypatch.setattr("tiny_training.cells", lambda: (patches, labels, groups))
    same(fit(tmp_path / "c.pt"), undisturbed)


# Speed


def test_between_steps_the_device_is_asked_for_no_number(tmp_path):
    """On a GPU each such question waits for all that it was given; the mean loss at an epoch's end is the only one."""
    asked = []

    class Noted(TorchDispatchMode):
        def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
            if operation is torch.ops.aten._local_scalar_dense.default:
                asked.append(args)
            return operation(*args, **kwargs or {})

    made = a_training(batch_size=4)
    made._start(1e-3)
    made.optimiser = torch.optim.SGD(made.network.parameters(), lr=1e-3)  # AdamW's counts steps on a CPU by itself
    with Noted():
        made._train_epoch(0, 1e-3)
    assert made.steps == 13
    assert len(asked) == 1


def test_an_epoch_is_read_ahead_into_validation_and_on_into_the_next(tmp_path):
    read = []

    class Patches:
        def __getitem__(self, rows):
            read.append(tuple(rows))
            return cells()[0][rows]

    given, (_, labels, groups) = {"seed": 0, "device": "cpu", "precision": "fp32"}, cells()
    made = Training(protocol(), load, Patches(), labels, groups, np.arange(52), np.arange(52, 60), **given)
    made.run(tmp_path / "c.pt", lambda done, total: None)
    validation = tuple(range(52, 60))
    assert read.count(validation) == 4  # one batch an epoch
    trained = [rows for rows in read if rows != validation]
    steps = [tuple(rows) for epoch in range(4) for rows in made._draw(epoch).batches]
    assert trained[: len(steps)] == steps  # each once and in its order, whatever was read ahead
    assert trained[len(steps) :] == [tuple(rows) for rows in made._draw(4).batches[: len(trained) - len(steps)]]
    ahead = read.index(validation)
    assert read[ahead + 1] == steps[6]  # the second epoch's first batch
