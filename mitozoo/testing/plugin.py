"""Check a whole plugin: its import, its entry point, and every record that it offers."""

from __future__ import annotations

import dataclasses
import importlib
import time
from typing import TYPE_CHECKING

from mitozoo.engine.findings import Finding, Report
from mitozoo.plugins.discovery import installed_plugins
from mitozoo.plugins.manager import HOOKS
from mitozoo.testing.dataset import dataset_findings
from mitozoo.testing.isolation import examine_alone
from mitozoo.testing.model import model_findings
from mitozoo.testing.records import validity_findings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mitozoo.plugins.dataset_spec import DatasetSpec
    from mitozoo.plugins.model_spec import ModelSpec
    from mitozoo.plugins.trackers import TrackerSpec

PREFIX = "mitozoo-plugin-"


def check_plugin(module_name: str) -> Report:
    """Check a plugin's module, and each model, dataset and tracker that it offers.

    Needs no pytest. In a test: `report = check_plugin("mitozoo_plugin_acme"); assert report.passed, str(report)`.

    Args:
        module_name: what its entry point leads to, such as 'mitozoo_plugin_acme'.
    """
    began = time.perf_counter()
    findings = tuple(_findings(module_name))
    return Report(module_name, findings, time.perf_counter() - began)


def _findings(module_name: str) -> Iterator[Finding]:
    alone = examine_alone([module_name])
    yield from alone.import_findings()
    if alone.imported or alone.failure:
        return  # whatever follows would only say it again
    yield from _entry_point_findings(module_name)
    models, datasets, trackers = _offered(module_name)
    if not (models or datasets or trackers):
        mend = "Implement mitozoo_models(), mitozoo_datasets() or mitozoo_trackers(), marked with @hookimpl."
        yield Finding("FAIL", "offers", "no model, dataset or tracker", mend)
        return
    counted = f"models: {len(models)}, datasets: {len(datasets)}"
    yield Finding("PASS", "offers", f"{counted}, trackers: {len(trackers)}" if trackers else counted)
    for model in models:
        yield from _of(model.name, model_findings(model, alone))
    for dataset in datasets:
        yield from _of(dataset.name, dataset_findings(dataset, alone))
    for tracker in trackers:
        yield from _of(tracker.name, validity_findings(tracker))


def _offered(module_name: str) -> tuple[list[ModelSpec], list[DatasetSpec], list[TrackerSpec]]:
    module = importlib.import_module(module_name)
    models, datasets, trackers = (list(getattr(module, hook, list)()) for hook in HOOKS)
    return models, datasets, trackers


def _of(subject: str, findings: Iterator[Finding]) -> Iterator[Finding]:
    for finding in findings:
        yield dataclasses.replace(finding, subject=subject)


def _entry_point_findings(module_name: str) -> Iterator[Finding]:
    """Yield how mitozoo finds the plugin, and what became of it there."""
    from mitozoo.plugins.registry import load_registry

    leading = [one for one in installed_plugins() if one.entry_point and one.entry_point.module == module_name]
    if not leading:
        mend = f'Install it, with [project.entry-points."mitozoo.v1"] and a line NAME = "{module_name}".'
        yield Finding("WARN", "entry point", "no installed distribution leads to it, so mitozoo does not see it", mend)
        return
    rows = {(row.distribution, row.name): row for row in load_registry().rows}
    for plugin in leading:
        row = rows.get((plugin.distribution, plugin.name))
        if row is None:
            mend = "Run the check in a new process."
            yield Finding("WARN", "entry point", f"{plugin.distribution} was installed while this process ran", mend)
        elif not row.works:
            yield Finding("FAIL", "entry point", row.sentence(), row.remedy())
        elif row.notes:
            mend = "See mitozoo plugins; a name of its own is the surest."
            yield Finding("WARN", "entry point", "; ".join(row.notes), mend)
        else:
            yield Finding("PASS", "entry point", f"{plugin.distribution} {plugin.version}, as '{plugin.name}'")
        if not plugin.distribution.startswith(PREFIX):
            mend = f"Call it {PREFIX}NAME, so that people find it."
            yield Finding("WARN", "name", f"the distribution is called {plugin.distribution}", mend)
