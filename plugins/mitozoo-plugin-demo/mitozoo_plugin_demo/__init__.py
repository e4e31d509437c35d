"""The dataset `demo`: synthetic H&E-like fields with mitotic figures and their look-alikes, made on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mitozoo import DatasetSpec, SlideNames, SlideRunnerDatabase, hookimpl

if TYPE_CHECKING:
    from pathlib import Path


def prepare(root: Path) -> None:
    """Render the slides and their label database into the folder `root`."""
    from mitozoo_plugin_demo.files import write_dataset

    write_dataset(root)


DEMO = DatasetSpec(
    name="demo",
    title="Synthetic mitotic figures and look-alikes, two scanners",
    cells=SlideRunnerDatabase(path="demo.sqlite", images="slides"),
    labels={"1": "hard", "2": "positive"},
    positive_class="mitotic figure",
    negative_class="look-alike",
    group="case",
    mpp=None,  # each slide file states its own
    domains={"scanner": SlideNames(patterns={r"demo-a-\d+.*": "a", r"demo-b-\d+.*": "b"})},
    prepare=prepare,
    prepare_version=1,
    synthetic=True,
    license="Apache-2.0",
    reference="README.md of mitozoo-plugin-demo",
    negatives_origin="rendered as pyknotic, apoptotic or hyperchromatic nuclei",
    labelled_by="the renderer; three simulated raters, one of whom dissents on three cells in ten",
    voters=3,
    table_sha256=dict.fromkeys(("hard", "all"), "ef4a18639a33a021b8a6a6111e2b3212d927855b621cea92b7dc8001f45172dd"),
)


@hookimpl
def mitozoo_datasets() -> list[DatasetSpec]:
    """Offer the dataset."""
    return [DEMO]
