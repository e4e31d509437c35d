"""What the doctor says of machines that are not this one, told by replacing what it asks."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import sys
from collections import namedtuple

import pytest

from mitozoo.engine import doctor

Usage = namedtuple("Usage", "total used free")


def test_an_old_python_fails(monkeypatch):
    monkeypatch.setattr(platform, "python_version", lambda: "3.10.14")
    [finding] = doctor._python()
    assert (finding.status, finding.detail) == ("FAIL", "3.10.14, and mitozoo needs >=3.11")


def test_missing_and_old_libraries_fail(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: ["numpy>=99", "absent-thing", "ray; extra == 'ray'"])
    [finding] = doctor._libraries()
    assert finding.status == "FAIL"
    assert "numpy>=99 (here is " in finding.detail
    assert "absent-thing (not installed)" in finding.detail
    assert "ray" not in finding.detail


@pytest.mark.parametrize(("name", "look"), [("torch", doctor._torch_and_devices), ("openslide", doctor._openslide)])
def test_a_library_that_cannot_be_imported_fails(monkeypatch, name, look):
    monkeypatch.setitem(sys.modules, name, None)  # Python's own way to make an import fail
    [finding] = look()
    assert finding.status == "FAIL"
    assert finding.mend


def test_a_gpu_that_torch_cannot_use_is_a_warning(monkeypatch):
    import torch

    if torch.cuda.is_available() or torch.backends.mps.is_available():
        pytest.skip("NOT TESTED: this machine has a GPU that works")
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/nvidia-smi")
    finding = list(doctor._torch_and_devices())[-1]
    assert finding.status == "WARN"
    assert "sees no GPU" in finding.detail


def test_a_device_that_cannot_compute_fails():
    import torch

    assert doctor._computes("cpu").status == "PASS"
    if not torch.cuda.is_available():
        finding = doctor._computes("cuda:0")
        assert finding.status == "FAIL"
        assert "cannot compute" in finding.detail


@pytest.mark.parametrize(("free", "status"), [(5 * 10**11, "PASS"), (5 * 10**9, "WARN"), (10**8, "FAIL")])
def test_disks_by_what_is_free(monkeypatch, free, status):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 0, free))
    found = list(doctor._disks())
    assert {finding.status for finding in found} == {status}
    assert len(found) == 3


def test_it_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MITOZOO_HOME", str(tmp_path / "home" / "below"))
    list(doctor._disks())
    assert list(tmp_path.iterdir()) == []
