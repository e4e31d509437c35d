"""Memory that a network's layers free is kept for the next batch: the system need not clear its pages again."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
import torch

from mitozoo.models import heap

PAGE, MEGABYTES, TIMES = 4096, 40, 10
pytestmark = pytest.mark.skipif(heap._mallopt() is None, reason="NOT TESTED: the C library is not glibc")


def pages_cleared():
    """How many pages the system gave while blocks of 40 MB were taken and freed ten times, each written to."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(TIMES):
        torch.empty(MEGABYTES * 2**20, dtype=torch.uint8).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def test_pages_are_cleared_once_and_given_back_at_the_end():
    block = MEGABYTES * 2**20 // PAGE
    with heap.kept_memory("cpu"):
        pages_cleared()
        before = resident()
        assert pages_cleared() < block / 2
        with heap.kept_memory("cpu"):
            pass
        assert pages_cleared() < block / 2, "one that ends inside another takes nothing away from it"
    assert resident() < before - MEGABYTES * 2**20 / 2


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "mps"])
def test_nothing_is_set_for_other_devices(device, monkeypatch):
    monkeypatch.setattr(heap, "_mallopt", lambda: pytest.fail("asked for"))
    with heap.kept_memory(device):
        pass


def test_nothing_happens_with_another_library(monkeypatch):
    heap._mallopt.cache_clear()
    monkeypatch.setattr("os.confstr", lambda name: (_ for _ in ()).throw(ValueError("unrecognized configuration name")))
    assert heap._mallopt() is None
    with heap.kept_memory("cpu"):
        pass
    heap._mallopt.cache_clear()
