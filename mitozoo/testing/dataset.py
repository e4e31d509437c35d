"""Check a dataset: its plugin's import, its record, its label files, and the headers of its images."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mitozoo.engine.find_dataset import data_folder, find_dataset
from mitozoo.engine.findings import Finding, Report
from mitozoo.testing.isolation import entry_points_of, examine_alone
from mitozoo.testing.records import dataset_record_findings, record_findings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mitozoo.plugins.dataset_spec import DatasetSpec
    from mitozoo.testing.isolation import Alone


def check_dataset(dataset: str | DatasetSpec, data: Path | None = None) -> Report:
    """Check a dataset against the contract; nothing is fetched, and of images only headers are read.

    Where its files are not on this machine it is a warning, and what needs them is left out aloud.

    Args:
        dataset: the name of a registered dataset, the path of a table of cells, or a spec.
        data: the folder of its files; None: the one that it was fetched into or makes itself.

    Raises:
        UnknownNameError: no plugin offers a dataset of that name.
        DataError: the table of cells is none.
    """
    began = time.perf_counter()
    imports: tuple[Finding, ...] = ()
    if isinstance(dataset, str):
        registered = find_dataset(dataset)
        spec, data = registered.spec, data_folder(dataset, data)
        entry_points = entry_points_of(registered.plugin)
        alone = examine_alone(entry_points, None if entry_points else spec)
        imports = tuple(alone.import_findings()) if entry_points else ()
    else:
        spec, alone = dataset, examine_alone([], dataset)
    if not imports and (alone.imported or alone.failure):
        imports = tuple(alone.import_findings())
    return Report(spec.name, (*imports, *dataset_findings(spec, alone, data)), time.perf_counter() - began)


def dataset_findings(spec: DatasetSpec, alone: Alone, data: Path | None = None) -> Iterator[Finding]:
    """Yield what holds for one dataset, its plugin's import aside."""
    yield from record_findings(spec)
    yield from dataset_record_findings(spec)
    yield alone.fingerprint_finding(spec)

    from mitozoo.testing.label_files import label_file_findings  # imports pandas

    yield from label_file_findings(spec, data)
