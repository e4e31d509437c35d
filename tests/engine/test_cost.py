"""The cost of a run: counted once, known where nothing is loaded, and never in the way."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

import mitozoo
from mitozoo.engine.known_costs import known_cost, remember_cost
from mitozoo.results.beside import cost_line


def calls(run) -> list[dict]:
    return json.loads((run.folder / "compute.json").read_text())["calls"]


def test_cost_is_known_where_embeddings_are_cached_and_nothing_is_loaded(own_home, tmp_path, loads):
    first = mitozoo.evaluate("steady", "tiny", out=tmp_path, folds=1)
    [call] = calls(first)
    assert call["model"]["parameters"] == 16 * 16 + 16
    assert call["model"]["gflops"] == 2 * 16 * 16 / 1e9  # its one matrix product
    assert "multiply-add is two" in call["model"]["counted_by"]
    assert call["patches_per_second"] > 0
    assert call["peak_memory_mb"] > 50
    assert call["stages"].keys() == call["seconds"].keys() >= {"cells", "embeddings", "probe", "metrics and intervals"}
    assert {stage["device"] for stage in call["stages"].values()} == {"cpu"}
    assert loads() == 1
    second = mitozoo.evaluate("steady", "tiny", out=tmp_path, folds=2)
    assert loads() == 1
    assert calls(second)[1]["model"] == call["model"]
    assert calls(second)[1]["patches_per_second"] is None
    [line] = cost_line(second.folder)
    assert f"{call['patches_per_second']:,.1f} patches/s on cpu" in line
    assert line in second.remarks()
    for memo in (own_home / "costs").iterdir():
        memo.write_text("no json")
    third = mitozoo.evaluate("steady", "tiny", out=tmp_path, folds=3)
    assert calls(third)[2]["model"] == {}
    assert "parameters" in cost_line(third.folder)[0]


def test_a_run_without_its_record_says_nothing_of_cost(tmp_path):
    assert cost_line(tmp_path) == []
    (tmp_path / "compute.json").write_text("[]")
    assert cost_line(tmp_path) == []


def test_a_home_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MITOZOO_HOME", str(tmp_path / "file"))
    remember_cost("0" * 64, SimpleNamespace(parameter_count=lambda: 9, flops=None))
    assert known_cost("0" * 64) == {}
    monkeypatch.setenv("MITOZOO_HOME", str(tmp_path))
    remember_cost("0" * 64, SimpleNamespace(parameter_count=lambda: 9, flops=None))
    assert known_cost("0" * 64)["parameters"] == 9
    assert known_cost("0" * 64)["gflops"] is None


def test_a_network_that_the_counter_cannot_follow_is_loaded_all_the_same(monkeypatch):
    import torch
    from torch.utils import flop_counter

    from mitozoo.models.encoder import Encoder, _counted

    encoder = Encoder(SimpleNamespace(pooling="network", prefix_tokens=0), torch.nn.Conv2d(3, 4, 2), "x")
    images = torch.rand(1, 3, 8, 8)
    embedding, flops = _counted(encoder, images)
    assert flops == 2 * 4 * 3 * 2 * 2 * 7 * 7
    assert torch.equal(embedding, encoder(images))

    def refuse(*_: object) -> None:
        raise RuntimeError("cannot follow")

    monkeypatch.setattr(flop_counter.FlopCounterMode, "__enter__", refuse)
    again, unknown = _counted(encoder, images)
    assert unknown is None
    assert torch.equal(again, embedding)
    with pytest.raises(RuntimeError, match="channels"):
        _counted(encoder, torch.rand(1, 2, 8, 8))
