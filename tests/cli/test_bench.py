"""`mitozoo bench`: rates by stage that agree with each other, JSON alone on stdout, and ratios to an earlier one."""

from __future__ import annotations

import json

import click.testing
import pytest

from mitozoo.cli import main
from mitozoo.engine.bench import STAGES
from mitozoo.models import matrix_peak


def mitozoo(*arguments) -> click.testing.Result:
    return click.testing.CliRunner().invoke(main, list(map(str, arguments)), prog_name="mitozoo")


@pytest.fixture(autouse=True)
def short_loops(monkeypatch):
    monkeypatch.setattr(matrix_peak, "SIDES", (256,))
    monkeypatch.setattr(matrix_peak, "LOOP_SECONDS", 0.05)


ASKED = ("bench", "-m", "steady", "-d", "tiny", "--limit", 40, "--batch-size", 16)


def test_stages_and_the_whole_are_measured_and_nothing_is_kept(own_home, tmp_path, monkeypatch):
    monkeypatch.setenv("TINY_SLEEP", "0.02")  # a slow network: three batches of the whole, three of the stage
    done = mitozoo(*ASKED, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["cells"] == 40
    for name in (*STAGES, "whole"):
        assert found["patches_per_second"][name] == pytest.approx(40 / found["seconds"][name], rel=1e-2)
    assert found["slowest"] == max(STAGES, key=found["seconds"].get)
    assert min(found["seconds"]["forward"], found["seconds"]["whole"]) >= 3 * 0.02
    assert found["gflops"] * 1e9 == 2 * 16 * 16  # one layer of 16 x 16
    for name in ("forward", "whole"):
        peak = found["matrix_tflops"] * 1e12
        expected = 512 * found["patches_per_second"][name] / peak
        assert found["flop_utilisation"][name] == pytest.approx(expected, abs=1e-6)
    assert found["peak_memory_mb"] > 50
    assert "steady on 40 cells of tiny" in done.stderr
    assert not (own_home / "embeddings").exists()

    earlier = tmp_path / "earlier.json"
    found["patches_per_second"] = {name: 2 * rate for name, rate in found["patches_per_second"].items()}
    earlier.write_text(json.dumps(found | {"precision": "bf16"}))
    again = mitozoo(*ASKED, "--json", "--against", earlier)
    told = json.loads(again.stdout)
    for name in STAGES:
        now, then = told["patches_per_second"][name], found["patches_per_second"][name]
        assert told["against"]["ratios"][name] == pytest.approx(now / then, abs=1e-3)
    assert told["against"]["differs"] == ["precision"]
    assert "NOT THE SAME CONDITIONS: precision differ" in again.stderr


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": "mitozoo-bench/0"}'])
def test_what_is_no_earlier_measurement_is_refused_before_any_work(text, zoo, tmp_path, loads):
    (tmp_path / "x.json").write_text(text)
    done = mitozoo(*ASKED, "--against", tmp_path / "x.json")
    assert (done.exit_code, loads()) == (2, 0)
    assert done.stderr.startswith(f"Error: {tmp_path / 'x.json'} ")
    assert "mitozoo bench --model NAME --json > FILE" in done.stderr


def test_the_peak_is_that_of_matrix_products(monkeypatch):
    """A product of 256 px sides takes no longer than the peak says, timed by itself."""
    import time

    import torch

    peak = matrix_peak.matrix_peak("cpu", "fp32")
    one = torch.randn(256, 256)
    seconds = []
    for _ in range(30):
        start = time.perf_counter()
        one @ one
        seconds.append(time.perf_counter() - start)
    assert 0.2 * peak < 2 * 256**3 / min(seconds) < 20 * peak
