"""Training as the released code does it: its schedule and sampler, and its faults each behind a switch."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from tiny_training import RESIDUAL, SIZE, WEIGHTLESS, Stopped, cells, load, load_transformer, same, stop_after

from mitozoo.errors import ModelError, ProtocolError
from mitozoo.models.encoder import load_encoder
from mitozoo.protocols import released_training
from mitozoo.protocols.ammeling2026 import AS_RELEASED
from mitozoo.protocols.ammeling2026_tuning import Ammeling2026Tuning
from mitozoo.protocols.fine_tune import fit_network
from mitozoo.protocols.released_training import ReleasedTraining, one_cycle
from mitozoo.protocols.spec import override

SHORT = {"epochs": 3, "batch_size": 8, "pseudo_epoch": 24}
TRAIN, TEST = np.arange(44), np.arange(44, 60)


def protocol(**changes):
    return Ammeling2026Tuning(name="released", version=1, title="", **AS_RELEASED | SHORT | changes)


def fit(path, encoder=load, on_progress=lambda done, total: None, seed=0, **changes):
    patches, labels, groups = cells()
    return fit_network(
        protocol(**changes), encoder, patches, labels, groups, TRAIN, TEST, seed=seed, device="cpu", precision="fp32",
        checkpoint=path, on_progress=on_progress,
    )  # fmt: skip


def a_training(size=SIZE, **changes):
    patches, labels, groups = cells()
    given = protocol(**changes), load, patches, labels, groups, np.arange(40), np.arange(40, 44), 0, "cpu", "fp32"
    made = ReleasedTraining(*given)
    made._start(1e-4)
    return made


def test_the_schedule_is_torchs_one_cycle():
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.Adam([parameter], lr=1e-4)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=1e-3, total_steps=50)
    for step in range(50):
        group = optimiser.param_groups[0]
        assert one_cycle(1e-3, step, 50, 0.3) == pytest.approx((group["lr"], group["betas"][0]))
        optimiser.step()
        if step < 49:
            scheduler.step()


def test_the_optimiser_is_adam_without_decay_and_follows_the_switch():
    made = a_training()
    assert all(group["weight_decay"] == 0 for group in made.optimiser.param_groups)
    made._set_rate(1e-4, 0)
    assert made.optimiser.param_groups[0]["lr"] == pytest.approx(1e-4 / 25)
    constant = a_training(one_cycle=False)
    constant._set_rate(1e-4, 5)
    assert constant.optimiser.param_groups[1]["lr"] == 1e-4
    assert constant.optimiser.param_groups[1]["betas"][0] == 0.9


def test_a_pseudo_epoch_draws_groups_and_classes_alike():
    made = a_training(pseudo_epoch=8000)
    made.fitted = np.concatenate([np.arange(1), np.arange(4, 40)])  # one cell of the first group, four of the others
    order = made._balanced_order(np.random.default_rng(0))
    assert len(order) == 8000
    assert set(order) <= set(made.fitted)
    _, drawn = np.unique(made.groups[order], return_counts=True)
    assert len(drawn) == 10
    assert drawn == pytest.approx(800, abs=120)
    both = [name for name in np.unique(made.groups[4:40]) if len(np.unique(made.labels[made.groups == name])) == 2]
    inside = np.isin(made.groups[order], both)
    assert made.labels[order][inside].mean() == pytest.approx(0.5, abs=0.03)


def test_a_training_patch_is_shifted_only_as_far_as_there_is_tissue():
    made = a_training(jitter=0.25)
    generator = torch.Generator().manual_seed(0)
    for margin, reach in ((0, 0), (1, 1), (9, 3)):  # a quarter of 12 px is 3
        side = SIZE + 2 * margin
        place = torch.arange(side * side, dtype=torch.float32).reshape(1, 1, side, side).expand(64, 3, -1, -1)
        plain = released_plain(made, place, generator)
        corners = plain[:, 0, 0, 0].long()
        top, left = corners // side, corners % side
        for found in (top, left):
            assert found.min() == margin - reach
            assert found.max() == margin + reach


def released_plain(made, images, generator):
    """Views without the further augmentation."""
    from torchvision.transforms import v2

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(v2, "Compose", lambda steps: lambda image: image)
        return made._view(images, generator)


def test_views_are_images_that_follow_the_seed():
    made, images = a_training(), torch.rand(16, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    views = []
    for seed in (0, 0, 1):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            views.append(made._view(images, torch.Generator().manual_seed(seed)))
    assert views[0].shape == images.shape
    assert views[0].min() >= 0
    assert views[0].max() <= 1 + 1e-6
    assert torch.equal(views[0], views[1])
    assert not torch.equal(views[0], views[2])
    assert not torch.equal(views[0], images)


class Planted(ReleasedTraining):
    """Only the second of three epochs is of use."""

    biases = (9.0, 0.0, -9.0)

    def _train_epoch(self, epoch, learning_rate):
        finite = super()._train_epoch(epoch, learning_rate)
        with torch.no_grad():
            self.network.head.bias.fill_(self.biases[epoch])
        return finite


@pytest.mark.parametrize(("tested", "epoch"), [("last", 3), ("best", 2)])
def test_the_fault_of_testing_the_last_epoch_is_a_switch(tmp_path, monkeypatch, tested, epoch):
    monkeypatch.setattr(released_training, "ReleasedTraining", Planted)
    prediction = fit(tmp_path / "c.pt", tested=tested)
    assert prediction.selected["epoch"] == epoch
    assert prediction.selected["lowest_validation_log_loss_in_epoch"] == 2
    assert prediction.tensors["head.bias"] == {3: -9.0, 2: 0.0}[epoch]
    assert (prediction.test_scores < 0.01).all() == (tested == "last")


def test_early_stopping_is_a_switch(tmp_path, monkeypatch):
    monkeypatch.setattr(released_training, "ReleasedTraining", Planted)
    monkeypatch.setattr(Planted, "biases", (0.0, 9.0, 9.0))
    counts = {}
    for early in (False, True):
        seen: list[int] = []
        fit(
            tmp_path / "c.pt",
            early_stopping=early,
            patience=1,
            on_progress=lambda done, total, seen=seen: seen.append(1),
        )
        counts[early] = len(seen)
    assert counts == {False: 3, True: 2}


def test_gradients_are_clipped_where_it_is_asked_for():
    assert a_training().max_gradient_norm == float("inf")
    assert a_training(clipped=True).max_gradient_norm == 0.1


def test_the_prior_of_the_sampler_stays_in_the_scores():
    made = a_training()
    with torch.no_grad():
        made.network.head.weight.zero_()
        made.network.head.bias.zero_()
    assert made.scores(np.arange(5)) == pytest.approx([0.5] * 5)


@pytest.mark.parametrize("adapters", [False, True])
def test_a_training_stopped_ends_as_an_undisturbed_one(tmp_path, adapters):
    settings = {"adapters": adapters, "encoder": load_transformer, "rank": 2}
    whole = fit(tmp_path / "a.pt", **settings)
    with pytest.raises(Stopped):
        fit(tmp_path / "b.pt", **settings, on_progress=stop_after(2))
    same(fit(tmp_path / "b.pt", **settings), whole)
    assert all(("lora_" in name) == adapters for name in whole.tensors if not name.startswith("head."))
    assert not (tmp_path / "b.pt").exists()


def test_nothing_is_chosen_by_groups(tmp_path):
    prediction = fit(tmp_path / "c.pt")
    assert prediction.inner_parts == ()
    assert prediction.threshold == 0.5
    assert prediction.selected["cells_fitted"] == 36  # a fifth of 44, whole cells, is 8
    assert protocol().trains_network


def test_labels_of_test_cells_change_nothing(tmp_path, monkeypatch):
    undisturbed = fit(tmp_path / "c.pt")
    patches, labels, groups = cells()
    labels = labels.copy()
    labels[TEST] = 1 - labels[TEST]
    monkeypatch.setattr(f"{__name__}.cells", lambda: (patches, labels, groups))
    same(fit(tmp_path / "c.pt"), undisturbed)


@pytest.mark.parametrize(
    "settings",
    [
        {"learning_rates": "1e-4,1e-3"}, {"pseudo_epoch": "4"}, {"rank": "0"}, {"alpha": "0"}, {"dropout": "1"},
        {"jitter": "0.6"}, {"validated": "0"}, {"tested": "first"}, {"epochs": "0"},
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(settings):
    with pytest.raises(ProtocolError):
        override(protocol(), settings)


def test_networks_that_cannot_be_trained_are_refused(tmp_path):
    with pytest.raises(ModelError, match="without linear layers"):
        fit(tmp_path / "c.pt", encoder=lambda: load_encoder(RESIDUAL), adapters=True)
    with pytest.raises(ModelError, match="no weights"):
        fit(tmp_path / "c.pt", encoder=lambda: load_encoder(WEIGHTLESS))
    assert protocol(adapters=True).tuned_share(1024) < 0.1
    assert dataclasses.replace(protocol(), adapters=False).tuned_share(1024) == 1
