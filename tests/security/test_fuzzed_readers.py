"""Readers of strangers' files, label files aside: whatever the bytes, they are read or refused in a sentence."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
import tomllib
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from fuzzed_files import EDITS, FUZZED, VALUES, edited
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mitozoo.data.slide_files import whole_image
from mitozoo.data.slides import open_slide
from mitozoo.download.archives import Bounds, unpack
from mitozoo.download.manifest import FORMAT, NAME, Manifest
from mitozoo.embeddings.table import EmbeddingTable, read_embeddings, write_embeddings
from mitozoo.errors import MitozooError
from mitozoo.models.loaders import read_state
from mitozoo.plan.grid import read_plan
from mitozoo.plugins.remote_files import RemoteFile
from mitozoo.results.verify import verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PLAN = """
name = "mine"
out = "runs"
[[grid]]
models = ["steady", "chance"]
datasets = ["tiny", { name = "tiny-few" }]
protocols = ["linear-probe", "knn"]
seeds = 2
[grid.axes]
fractions = [[0.5, 1.0], [1.0]]
crop_um = [32.0, 48.0]
[execution]
threads = 2
task_minutes = 1.5
"""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder for whole files, and what becomes of them."""
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


@pytest.fixture(scope="module")
def run(zoo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small finished run that verifies."""
    import mitozoo

    made = mitozoo.evaluate("steady", dataset="tiny-official", out=tmp_path_factory.mktemp("runs"))
    assert verify(made.folder)
    return made.folder


@contextlib.contextmanager
def in_a_sentence() -> Iterator[None]:
    """Let a body succeed, or refuse in one sentence that a terminal can show."""
    refusal = "as good as none"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # decoders grumble before they refuse
            yield
    except MitozooError as error:
        refusal = error.message
    assert len(refusal.splitlines()) == 1, refusal
    assert "\x1b" not in refusal


def damaged(path: Path, make: Callable[[Path], object], edits: Any, keep: float) -> Path:
    """Return a file with some bytes of the whole one replaced, put in or left out, and sometimes its end."""
    whole = path.with_name(f"whole-{path.name}")
    if not whole.exists():
        make(whole)
    content = edited(whole.read_bytes(), edits)
    path.write_bytes(content[: int(len(content) * keep)] if keep < 0.2 else content)
    return path


KEEP = st.floats(0, 1)


@given(edits=EDITS, keep=KEEP)
@FUZZED
def test_any_embeddings_in_safetensors_are_read_or_refused(folder, edits, keep):
    table = EmbeddingTable(["b", "a"], np.ones((2, 3), dtype=np.float32), {"model": "x"})
    path = damaged(folder / "e.safetensors", lambda path: write_embeddings(path, table), edits, keep)
    with in_a_sentence():
        assert np.isfinite(read_embeddings(path).vectors).all()


@given(edits=EDITS, keep=KEEP)
@FUZZED
def test_any_embeddings_in_parquet_are_read_or_refused(folder, edits, keep):
    table = EmbeddingTable(["b", "a"], np.ones((2, 3), dtype=np.float32), {"model": "x"})
    path = damaged(folder / "e.parquet", lambda path: write_embeddings(path, table), edits, keep)
    with in_a_sentence():
        assert np.isfinite(read_embeddings(path).vectors).all()


STATE = {"a.weight": torch.ones(2, 3), "b": torch.arange(4), "c": torch.zeros(3, dtype=torch.bfloat16)}


@given(edits=EDITS, keep=KEEP, archive=st.booleans())
@FUZZED
def test_any_checkpoint_is_read_or_refused(folder, edits, keep, archive):
    def make(path: Path) -> None:
        torch.save({"teacher": STATE, "epoch": 3}, path, _use_new_zipfile_serialization=archive)

    path = damaged(folder / ("w.pth" if archive else "old.pth"), make, edits, keep)
    with in_a_sentence():
        assert all(isinstance(value, torch.Tensor) for value in read_state(path, entry="teacher").values())


@given(edits=EDITS, keep=KEEP)
@FUZZED
def test_any_weights_in_safetensors_are_read_or_refused(folder, edits, keep):
    import safetensors.torch

    path = damaged(folder / "w.safetensors", lambda path: safetensors.torch.save_file(STATE, path), edits, keep)
    with in_a_sentence():
        assert all(isinstance(value, torch.Tensor) for value in read_state(path).values())


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every value of a document."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*at, key)
        yield from places(inner, (*at, key))


@given(where=st.floats(0, 0.999), value=VALUES | st.text(alphabet="\x1b[31m\n<b>", max_size=8), gone=st.booleans())
@FUZZED
def test_any_value_in_a_result_is_verified_or_refused(run, folder, where, value, gone):
    document = json.loads((run / "result.json").read_text())
    every = list(places(document))
    *way, last = every[int(where * len(every))]
    holder = document
    for key in way:
        holder = holder[key]
    if gone:
        del holder[last]
    else:
        holder[last] = value
    copy = folder / "run"
    if not copy.exists():
        shutil.copytree(run, copy)
    (copy / "result.json").write_text(json.dumps(document))
    with in_a_sentence():
        verify(copy)


@given(which=st.integers(0, 10**6), edits=EDITS, keep=KEEP)
@FUZZED
def test_any_bytes_in_a_run_are_verified_or_refused(run, folder, which, edits, keep):
    files = sorted(path.relative_to(run) for path in run.rglob("*") if path.is_file())
    name = files[which % len(files)]
    copy = folder / "bytes"
    if not copy.exists():
        shutil.copytree(run, copy)
    content = edited((run / name).read_bytes(), edits)
    (copy / name).write_bytes(content[: int(len(content) * keep)] if keep < 0.2 else content)
    if name.suffix in (".parquet", ".safetensors"):  # with its sha256 corrected, so that its content is looked at
        import hashlib

        document = json.loads((run / "result.json").read_text())
        if str(name) in document["files"]:
            document["files"][str(name)] = hashlib.sha256((copy / name).read_bytes()).hexdigest()
            (copy / "result.json").write_text(json.dumps(document))
    try:
        with in_a_sentence():
            verify(copy)
    finally:
        for changed in (name, Path("result.json")):
            shutil.copyfile(run / changed, copy / changed)


@given(edits=EDITS, keep=KEEP, kind=st.sampled_from(["zip", "tar", "gz", "xz"]))
@FUZZED
def test_any_archive_is_unpacked_or_refused(folder, edits, keep, kind):
    import tarfile
    import zipfile

    def make(path: Path) -> None:
        source = folder / "member.csv"
        source.write_text("a,b\n" * 50)
        if kind == "zip":
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.write(source, "top/member.csv")
        else:
            with tarfile.open(path, f"w:{kind}" if kind != "tar" else "w") as archive:
                archive.add(source, "top/member.csv")

    packed = damaged(folder / f"archive.{kind}", make, edits, keep)
    file = RemoteFile(
        path="out", url="https://example.org/a", archive="zip" if kind == "zip" else "tar", holds="labels"
    )
    before = {path for path in folder.iterdir() if path.name != "out"}
    with in_a_sentence():
        unpack(packed, file, folder / "out", Bounds())
    shutil.rmtree(folder / "out", ignore_errors=True)
    assert before <= set(folder.iterdir())


@given(
    entry=st.dictionaries(st.sampled_from(["url", "size", "md5", "sha256", "etag", "members", "more"]), VALUES),
    edits=EDITS | st.just([]),
)
@FUZZED
def test_any_record_of_fetched_files_is_read_or_refused(folder, entry, edits):
    whole = {"url": "https://example.org/a", "size": 3, "md5": "0" * 32, "sha256": "0" * 64, "members": {"x": [1, "y"]}}
    document = {"format": FORMAT, "files": {"a.csv": whole | entry}}
    (folder / NAME).write_bytes(edited(json.dumps(document).encode(), edits))
    with in_a_sentence():
        Manifest(folder).get("a.csv")


@given(edits=EDITS)
@FUZZED
def test_any_plan_is_read_or_refused(zoo, folder, edits):
    path = folder / "plan.toml"
    path.write_bytes(edited(PLAN.encode(), edits))
    with in_a_sentence():
        assert read_plan(path).runs


@given(edits=EDITS, keep=KEEP, kind=st.sampled_from(["png", "jpg", "bmp", "tif", "tiled.tif"]))
@FUZZED
def test_any_image_is_read_or_refused(folder, edits, keep, kind):
    def make(path: Path) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
        if kind == "tiled.tif":
            import tifffile

            tifffile.imwrite(path, pixels, tile=(16, 16), photometric="rgb")
        else:
            Image.fromarray(pixels).save(path)

    path = damaged(folder / f"i.{kind}", make, edits, keep)
    with in_a_sentence():
        slide = open_slide(path)
        slide.require_whole()
        assert slide.read(20, 20, 16, 16, "reflect").shape == (16, 16, 3)
    with in_a_sentence():
        assert whole_image(path).ndim == 3


def test_what_is_mutated_is_right_before(zoo, folder):
    path = folder / "plan.toml"
    path.write_text(PLAN)
    assert len(read_plan(path).runs) == 2 * 2 * 2 * 2 * 2
    assert tomllib.loads(PLAN)["execution"]["threads"] == 2
