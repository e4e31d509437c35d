"""A dataset of a table and six slides on a server of the test's own, and what its folder must hold."""

from __future__ import annotations

import hashlib
import random
from collections import Counter

import pytest
from file_server import whole

from mitozoo.download.dataset import fetch_dataset
from mitozoo.download.fetch import Listener
from mitozoo.plugins.dataset_spec import DatasetSpec
from mitozoo.plugins.formats import CellTable
from mitozoo.plugins.remote_files import RemoteFile, RemoteFolder

LABELS = b"id,slide,x,y,label\n1,a,5,5,MF\n2,b,5,5,HN\n"
SLIDES = {f"{n:02}": random.Random(n).randbytes(50_000 + n) for n in range(6)}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def spec(site) -> DatasetSpec:
    """A dataset of a table and six slides, served whole; the table's checksum is published, the slides' are not."""
    table = site.play("/cells.csv", whole(LABELS))
    for name, content in SLIDES.items():
        site.play(f"/files/{name}1", whole(content))
    return DatasetSpec(
        name="served",
        cells=CellTable(
            path="cells.csv", cell_id="{id}", slide="{slide}", file="slides/{slide}.tif", x="x", y="y", label="{label}"
        ),
        labels={"MF": "positive", "HN": "hard"}, positive_class="mitotic figure", negative_class="look-alike",
        group="slide", mpp=0.25, license="CC0-1.0", reference="https://example.org", negatives_origin="made up",
        files=(
            RemoteFile(url=table, path="cells.csv", holds="labels", size=len(LABELS), sha256=sha256(LABELS)),
            RemoteFolder(
                url=f"{site.address}/files/{{id}}", path="slides/{name}.tif", holds="images",
                ids={name: f"{name}1" for name in SLIDES},
            ),
        ),
    )  # fmt: skip


@pytest.fixture
def get(spec, downloader, tmp_path):
    """Return a function that fetches the dataset and gives the plan that was carried out."""

    def get(spec=spec, folder=tmp_path / "data", listener=None, **asked):
        downloader.stopped.clear()
        return fetch_dataset(
            spec, folder, downloader, agree=lambda plan: True, listener=listener or Listener(), **asked
        )

    return get


def contents(folder) -> dict[str, bytes]:
    """The dataset's own files, without what mitozoo keeps beside them."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if not name.startswith(".mitozoo")}


EXPECTED = {"cells.csv": LABELS} | {f"slides/{name}.tif": content for name, content in SLIDES.items()}


def asked_for(site) -> Counter:
    """How often each path was fetched; questions for a size do not count."""
    return Counter(path for path, wanted in site.requests if wanted != "bytes=0-0")
