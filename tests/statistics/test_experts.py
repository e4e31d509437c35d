"""Experts against the others: counted by hand, by scikit-learn, and with the tie rule spelt out."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from mitozoo.statistics.bootstrap import intervals
from mitozoo.statistics.estimates import ScoredRow
from mitozoo.statistics.experts import dropped, fleiss_kappa, halved, majority_of_others, soft_errors


def simulated(n=400, experts=3, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.random((n, 1)) < 0.4
    wrong = rng.random((n, experts)) < np.linspace(0.05, 0.3, experts)
    return (truth != wrong).astype(float), np.repeat(np.arange(n // 8), 8)


def row(scores, fold=0, cell=None):
    cell = np.arange(len(scores)) if cell is None else cell
    return ScoredRow(row_id="x", cell=cell, scores=np.asarray(scores, float), threshold=0.5, fold=fold, seed=0)


def test_the_majority_of_the_others():
    votes = [[1, 1, 0], [0, 0, 0], [1, 0, 0], [1, 1, 1]]
    assert majority_of_others(votes).tolist() == [[0.5, 0.5, 1], [0, 0, 0], [0, 0.5, 0.5], [1, 1, 1]]
    assert majority_of_others([[1, 0, 0, 1]]).tolist() == [[0, 1, 1, 0]]
    assert majority_of_others([[1, 0]]).tolist() == [[0, 1]]
    with pytest.raises(ValueError, match="at least one other"):
        majority_of_others([[1]])


@given(st.integers(2, 6).flatmap(lambda k: st.lists(st.lists(st.integers(0, 1), min_size=k, max_size=k), min_size=1)))
def test_the_majority_is_that_of_a_plain_count(votes):
    found = majority_of_others(votes)
    for cell, of_cell in enumerate(votes):
        for expert in range(len(of_cell)):
            others = [vote for number, vote in enumerate(of_cell) if number != expert]
            share = sum(others) / len(others)
            assert found[cell, expert] == (0.5 if share == 0.5 else float(share > 0.5))


def test_kappa_of_the_classic_table_and_of_nothing_to_tell():
    votes = np.array([[1, 1, 1], [1, 1, 0], [0, 0, 1], [0, 0, 0], [1, 1, 1]], float)
    agreement = np.mean([1, 1 / 3, 1 / 3, 1, 1])
    rate = 9 / 15
    chance = rate**2 + (1 - rate) ** 2
    assert fleiss_kappa(votes) == pytest.approx((agreement - chance) / (1 - chance))
    assert fleiss_kappa([[1, 1], [0, 0]]) == 1
    assert math.isnan(fleiss_kappa([[1, 1], [1, 1]]))
    rng = np.random.default_rng(0)
    assert fleiss_kappa(rng.integers(0, 2, (50_000, 3))) == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("rule", [halved, dropped])
@pytest.mark.parametrize("experts", [3, 4])
def test_a_model_that_copies_an_expert_scores_as_that_expert(rule, experts):
    votes, groups = simulated(experts=experts)
    others = majority_of_others(votes)
    for expert in range(experts):
        reference = rule(others[:, expert])
        copied = dataclasses.replace(row(votes[:, expert].copy()), key=("model",))
        rows = [reference.of(row(votes[:, expert]), "e"), reference.of(copied, "m")]
        names = groups[reference.cells]
        own, model = intervals(rows, reference.labels, names, names, replicates=50).summaries.values()
        assert own.metrics == model.metrics
        assert own.metrics["balanced_accuracy"].mean > 0.6


def test_dropped_ties_are_left_out_and_halved_ones_count_half():
    votes, groups = simulated()
    others = majority_of_others(votes)[:, 2]
    own, sure = votes[:, 2], others != 0.5
    assert 0 < sure.sum() < len(sure)
    left, half = dropped(others), halved(others)
    found = {
        rule: intervals([reference.of(row(own), "e")], reference.labels, groups[reference.cells],
                        groups[reference.cells], replicates=20).rows["e"].metrics
        for rule, reference in (("dropped", left), ("half", half))
    }  # fmt: skip
    assert found["dropped"]["f1"].value == pytest.approx(sk.f1_score(others[sure], own[sure]))
    weights = np.concatenate([others, 1 - others])
    truth, said = np.repeat([1, 0], len(own)), np.concatenate([own, own])
    for name, metric in (("f1", sk.f1_score), ("sensitivity", sk.recall_score), ("mcc", sk.matthews_corrcoef)):
        assert found["half"][name].value == pytest.approx(metric(truth, said, sample_weight=weights)), name


def test_rows_of_some_cells_keep_to_them():
    reference = halved([1, 0.5, 0, 1])
    found = reference.of(row([0.9, 0.2], cell=np.array([3, 1])), "r")
    assert reference.cells[found.cell].tolist() == [1, 3, 1, 3]
    assert found.scores.tolist() == [0.2, 0.9, 0.2, 0.9]
    assert reference.labels[found.cell].tolist() == [1, 1, 0, 1]
    assert dropped([0.5, 0.5]).of(row([0.1, 0.2]), "r").cell.size == 0


def test_soft_errors_are_those_against_every_single_vote():
    votes, _ = simulated()
    chances = np.clip(np.random.default_rng(1).random(len(votes)), 0.01, 0.99)
    found = soft_errors(chances, votes.mean(axis=1))
    assert found["log_loss"] == pytest.approx(sk.log_loss(votes.T.ravel(), np.tile(chances, 3)))
    assert found["brier"] == pytest.approx(np.mean((chances - votes.mean(axis=1)) ** 2))
    assert found["log_loss_floor"] < found["log_loss"]
    assert soft_errors(votes.mean(axis=1), votes.mean(axis=1))["log_loss"] == found["log_loss_floor"]
