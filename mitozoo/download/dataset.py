"""Fetch a dataset: plan, ask, and carry out, alone in its folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mitozoo.download.fetch import Listener, carry_out, locked
from mitozoo.download.folder import published_bytes
from mitozoo.download.plan import Plan, make_plan
from mitozoo.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mitozoo.download.transfer import Downloader
    from mitozoo.plugins.dataset_spec import DatasetSpec


def require_fetchable(spec: DatasetSpec, folder: Path) -> None:
    """Raise `DataError` for a dataset that no program can fetch; says what to do instead."""
    if spec.files:
        return
    if spec.prepare is not None:
        raise DataError(
            f"dataset '{spec.name}' is made on this machine when it is first used: there is nothing to fetch"
        )
    where = spec.by_hand or f"See {spec.reference}."
    raise DataError(
        f"dataset '{spec.name}' has to be fetched by hand",
        hint=f"{where}\nPut the files in {folder}, where eval and describe find them; or name another with --data.",
    )


def plan_dataset(
    spec: DatasetSpec,
    folder: Path,
    downloader: Downloader,
    *,
    listener: Listener | None = None,
    labels_only: bool = False,
    jobs: int = 4,
) -> Plan:
    """Return what fetching a dataset into a folder would do; nothing is written.

    Raises:
        DataError: there is nothing that a program can fetch, or a file is there and is another one.
        StorageError: what is missing does not fit the disk.
    """
    require_fetchable(spec, folder)
    asked = (listener or Listener()).asked
    plan = make_plan(folder, spec.remote_files(labels_only=labels_only), downloader, jobs=jobs, asked=asked)
    plan.require_room(0 if labels_only else published_bytes(spec) or 0)
    return plan


def fetch_dataset(
    spec: DatasetSpec,
    folder: Path,
    downloader: Downloader,
    *,
    agree: Callable[[Plan], bool],
    listener: Listener,
    labels_only: bool = False,
    jobs: int = 4,
) -> Plan:
    """Fetch what is missing of a dataset and return what was planned; `plan.missing` is empty where all was there.

    Args:
        spec: the dataset.
        folder: where its files belong.
        downloader: fetches them.
        agree: asked once, where anything is missing; False: nothing is fetched.
        listener: hears what happens.
        labels_only: leave out what holds images alone.
        jobs: how many files at once.

    Raises:
        DataError, StorageError: see `plan_dataset`.
        DownloadError: some files could not be fetched; the others are there.
    """
    plan = plan_dataset(spec, folder, downloader, listener=listener, labels_only=labels_only, jobs=jobs)
    if not plan.missing or not agree(plan):
        return plan
    with locked(folder, listener):
        sizes = {step.file: step.size for step in plan.steps}
        now = make_plan(folder, [step.file for step in plan.steps], None)  # another process may have been here
        carry_out(now.with_sizes(sizes), downloader, listener, jobs=jobs)
    return plan
