"""Is this machine fit for mitozoo: Python, libraries, device, slides, disks, plugins, and access to gated weights."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mitozoo import storage
from mitozoo.engine.findings import Finding, Report

if TYPE_CHECKING:
    from collections.abc import Iterator

LITTLE_DISK, NO_DISK = 20 * 10**9, 10**9  # bytes: the largest encoder has 5 GB; less than the latter holds nothing
SLOW_PLUGIN = 0.3  # seconds to import one, which every list waits for


def diagnose(*, offline: bool = False) -> Report:
    """Look at everything that an evaluation needs, without changing anything.

    Args:
        offline: ask no server; else the hub is asked for the head of each gated model's weight file.
    """
    began = time.perf_counter()
    findings = (*_python(), *_libraries(), *_torch_and_devices(), *_openslide(), *_disks(), *_plugins_and_hub(offline))
    return Report("this machine", findings, time.perf_counter() - began)


def _python() -> Iterator[Finding]:
    from packaging.specifiers import SpecifierSet

    wanted = importlib.metadata.metadata("mitozoo")["Requires-Python"] or ""
    version = platform.python_version()
    if SpecifierSet(wanted).contains(version, prereleases=True):
        yield Finding("PASS", "python", f"{version} on {platform.system()} {platform.machine()}")
    else:
        yield Finding(
            "FAIL", "python", f"{version}, and mitozoo needs {wanted}", "Install mitozoo with a newer Python."
        )


def _libraries() -> Iterator[Finding]:
    """Compare what mitozoo requires with what is installed; nothing is imported."""
    from packaging.requirements import Requirement

    faults, count = [], 0
    for requirement in map(Requirement, importlib.metadata.requires("mitozoo") or ()):
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        count += 1
        try:
            found = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            faults.append(f"{requirement} (not installed)")
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            faults.append(f"{requirement} (here is {found})")
    if faults:
        mend = "Try: pip install --upgrade mitozoo"
        yield Finding("FAIL", "libraries", f"mitozoo needs {', '.join(faults)}", mend)
    else:
        yield Finding("PASS", "libraries", f"all {count} that mitozoo {importlib.metadata.version('mitozoo')} needs")


def _torch_and_devices() -> Iterator[Finding]:
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: one of its shared libraries is missing
        mend = "Install it as https://pytorch.org/get-started says for this machine."
        yield Finding("FAIL", "torch", f"it cannot be imported: {_first_line(error)}", mend)
        return
    yield Finding("PASS", "torch", f"{torch.__version__}, threads: {torch.get_num_threads()}")
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            yield _computes(f"cuda:{index}")
    elif torch.backends.mps.is_available():
        yield _computes("mps")
    elif shutil.which("nvidia-smi"):
        told = f"an NVIDIA driver is here, but torch {torch.__version__} sees no GPU: only the CPU is used"
        mend = "Install torch for CUDA as https://pytorch.org/get-started says; else look at nvidia-smi."
        yield Finding("WARN", "device", told, mend)
    else:
        mend = "It works; encoders of a billion parameters want a GPU."
        yield Finding("WARN", "device", f"the CPU alone, {os.cpu_count()} cores", mend)


def _computes(device: str) -> Finding:
    """Let a device compute something, since one that is listed may still be too old for this torch."""
    import torch

    name, memory = device, ""
    try:
        if device.startswith("cuda"):
            properties = torch.cuda.get_device_properties(device)
            name, memory = properties.name, f", {properties.total_memory / 1e9:.0f} GB"
        ones = torch.ones(64, 64, device=device)
        right = float((ones @ ones).sum()) == 64**3
    except (RuntimeError, AssertionError) as error:
        mend = "Install a torch built for it, or say --device cpu."
        return Finding("FAIL", f"device {device}", f"{name} cannot compute: {_first_line(error)}", mend)
    if not right:
        return Finding("FAIL", f"device {device}", f"{name} computes wrongly", "Say --device cpu, and check the GPU.")
    return Finding("PASS", f"device {device}", f"{name}{memory}, computes")


def _openslide() -> Iterator[Finding]:
    try:
        import openslide
    except (ImportError, OSError) as error:
        mend = "Try: pip install openslide-bin openslide-python"
        yield Finding("FAIL", "openslide", f"its library cannot be loaded: {_first_line(error)}", mend)
        return
    yield Finding("PASS", "openslide", f"library {openslide.__library_version__}, Python {openslide.__version__}")


def _disks() -> Iterator[Finding]:
    places = {
        "disk of caches": (storage.home(), "Point MITOZOO_HOME to a larger disk."),
        "disk of runs": (Path("runs").absolute(), "Say --out with a folder on a larger disk."),
        "disk of hub weights": (_hub_cache(), "Point HF_HOME to a larger disk."),
    }
    for what, (folder, mend) in places.items():
        existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.is_dir())
        try:
            free = shutil.disk_usage(existing).free
            with tempfile.TemporaryFile(dir=existing):
                pass
        except OSError as error:
            yield Finding("FAIL", what, f"{folder} cannot be written: {error.strerror or error}", mend)
            continue
        told = f"{free / 1e9:,.1f} GB free at {folder}"
        if free < NO_DISK:
            yield Finding("FAIL", what, told, mend)
        elif free < LITTLE_DISK:
            yield Finding("WARN", what, f"{told}: little for large encoders", mend)
        else:
            yield Finding("PASS", what, told)


def _hub_cache() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def _plugins_and_hub(offline: bool) -> Iterator[Finding]:
    from mitozoo.engine.hub_access import hub_findings
    from mitozoo.errors import ModelError
    from mitozoo.models.requirements import require_packages
    from mitozoo.plugins.registry import load_registry

    registry = load_registry()
    rows = registry.rows
    for row in rows:
        if not row.works and row.status != "disabled":
            yield Finding("FAIL", f"plugin {row.name}", row.sentence(), row.remedy())
        elif row.works and (row.slow or row.seconds > SLOW_PLUGIN):
            why = "it imports torch when it is imported" if row.slow else f"it takes {row.seconds:.1f} s to import"
            mend = f"Tell its author; to go without it: MITOZOO_DISABLE_PLUGINS={row.name}"
            yield Finding("WARN", f"plugin {row.name}", f"slow: {why}", mend)
    if rows:
        disabled = sum(row.status == "disabled" for row in rows)
        told = f"{sum(row.works for row in rows)} of {len(rows) - disabled} work: {len(registry.models)} models, "
        also = f"; {disabled} are disabled" if disabled else ""
        yield Finding("PASS", "plugins", f"{told}{len(registry.datasets)} datasets{also}")
    else:
        mend = "Try: pip install mitozoo-plugin-imagenet mitozoo-plugin-demo"
        yield Finding("WARN", "plugins", "none is installed, so there are no models and no datasets", mend)

    specs = [model.spec for model in registry.models]
    lacking: dict[str, list[str]] = {}
    for spec in (spec for spec in specs if not spec.isolate):
        try:
            require_packages(spec)
        except ModelError as error:
            lacking.setdefault(error.hint or error.message, []).append(spec.name)
    for mend, names in lacking.items():
        yield Finding("WARN", "model packages", f"one that is missing here is needed by {', '.join(names)}", mend)
    yield from _isolation([spec.name for spec in specs if spec.isolate])
    yield from hub_findings(specs, offline=offline)


def _isolation(names: list[str]) -> Iterator[Finding]:
    """Tell whether the environments of isolated models can be made."""
    from mitozoo.models.isolated.environment import NO_UV, find_uv

    if names and (uv := find_uv()):
        yield Finding("PASS", "isolation", f"uv, which makes the environments of {', '.join(names)}, is {uv}")
    elif names:
        yield Finding(
            "WARN", "isolation", f"uv, which makes the environments of {', '.join(names)}, is not here", NO_UV
        )


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
