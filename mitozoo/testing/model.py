"""Check a model: its plugin's import, its record, its preprocessing, and the network itself."""

from __future__ import annotations

import inspect
import time
from typing import TYPE_CHECKING, Any

from mitozoo.engine.findings import Finding, Report
from mitozoo.plugins.record import Record
from mitozoo.testing.isolation import entry_points_of, examine_alone
from mitozoo.testing.records import model_record_findings, record_findings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mitozoo.plugins.model_spec import ModelSpec
    from mitozoo.testing.isolation import Alone


def check_model(model: str | ModelSpec, *, weights: Path | None = None) -> Report:
    """Check a model against the contract, on the CPU, with images made here.

    Weights are taken, or fetched, as an evaluation would; where that cannot be (gated, or offline: `HF_HUB_OFFLINE=1`)
    it is a warning, and what needs them is left out aloud.

    Args:
        model: the name of a registered model, or a spec.
        weights: the user's own copy of its weight file, in place of the one that its source would find.

    Raises:
        UnknownNameError: no plugin offers a model of that name.
    """
    began = time.perf_counter()
    if isinstance(model, str):
        from mitozoo.plugins.registry import load_registry

        registered = load_registry().model(model)
        spec, alone = registered.spec, examine_alone(entry_points_of(registered.plugin))
        imports = tuple(alone.import_findings())
    else:
        spec, alone = model, examine_alone([], model)
        imports = tuple(alone.import_findings()) if alone.imported or alone.failure else ()
    findings = (*imports, *model_findings(spec, alone, weights))
    return Report(spec.name, findings, time.perf_counter() - began)


def model_findings(spec: ModelSpec, alone: Alone, weights: Path | None = None) -> Iterator[Finding]:
    """Yield what holds for one model, its plugin's import aside."""
    yield from record_findings(spec)
    yield from model_record_findings(spec)
    if callable(spec.load):
        yield _load_function_finding(spec)
    yield alone.fingerprint_finding(spec)

    from mitozoo.testing.network import network_findings  # both import torch
    from mitozoo.testing.pixels import preprocessing_findings

    yield from preprocessing_findings(spec.preprocessing)
    yield from network_findings(spec, weights)


def _load_function_finding(spec: ModelSpec) -> Finding:
    """Tell whether the load function can be called without arguments; its file is part of the fingerprint."""
    needed = [
        name
        for name, parameter in inspect.signature(spec.load).parameters.items()  # type: ignore[arg-type]
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    named: Any = type(spec.load) if isinstance(spec.load, Record) else spec.load
    where = f"{named.__module__}:{named.__qualname__}"
    if needed:
        return Finding("FAIL", "load function", f"{where} needs {', '.join(needed)}", "Let it need no argument.")
    return Finding("PASS", "load function", where)
