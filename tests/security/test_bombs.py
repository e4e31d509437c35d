"""Small files that would become large ones, or endless work, are refused before they do."""

from __future__ import annotations

import sqlite3
import struct
import time
import zipfile
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image

from mitozoo.data.annotations.json_file import load
from mitozoo.data.annotations.sqlite_file import reading, stored_columns
from mitozoo.data.slide_files import whole_image
from mitozoo.data.slides import open_slide
from mitozoo.download.manifest import NAME as MANIFEST
from mitozoo.download.manifest import Manifest
from mitozoo.embeddings.table import read_embeddings
from mitozoo.errors import DataError, MitozooError, ModelError, SlideError
from mitozoo.models.loaders import read_state
from mitozoo.models.loaders.transformers_loader import CONFIG, _read_config
from mitozoo.results.row import read_row
from mitozoo.results.run_folder import RESULT, read_document

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = 512


def database_of(path, *statements: str):
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA page_size = {PAGE}")
        for statement in statements:
            database.execute(statement)
        database.commit()
    return path


def fan_out(path, table: str, levels: int, width: int = 50) -> None:
    """Put pages above a table's own, each of which leads `width` times to the next: width ** levels as many rows."""
    with closing(sqlite3.connect(path)) as database:
        [root] = database.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    content = bytearray(path.read_bytes())
    pages = len(content) // PAGE
    own = content[(root - 1) * PAGE : root * PAGE]
    for level in range(levels):
        below = pages + level + 2  # the next of the new pages; behind the last of them lies the table's own
        cells = b"".join(struct.pack(">IB", below, number + 1) for number in range(width))
        starts = b"".join(struct.pack(">H", PAGE - len(cells) + 5 * number) for number in range(width))
        head = struct.pack(">BHHHBI", 5, 0, width, PAGE - len(cells), 0, below)
        page = (head + starts).ljust(PAGE - len(cells), b"\0") + cells
        if level == 0:
            content[(root - 1) * PAGE : root * PAGE] = page
        content += page
    content += own
    content[28:32] = struct.pack(">I", len(content) // PAGE)
    path.write_bytes(content)


def test_a_database_whose_pages_fan_out_is_given_up(tmp_path):
    path = database_of(tmp_path / "a.sqlite", "CREATE TABLE t (x)", "INSERT INTO t VALUES (1), (2), (3)")
    fan_out(path, "t", 1)
    with reading(path) as database:
        assert len(database.execute("SELECT x FROM t").fetchall()) > 3  # SQLite itself follows the pages
    fan_out(path, "t", 12)
    began = time.monotonic()
    with (
        pytest.raises(sqlite3.OperationalError, match="more steps to read than its size explains"),
        reading(path) as database,
    ):
        for _ in database.execute("SELECT x FROM t"):
            pass
    assert time.monotonic() - began < 20


def test_an_endless_question_is_given_up(tmp_path):
    path = database_of(tmp_path / "a.sqlite", "CREATE TABLE t (x)")
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT count(*) FROM n"
    with pytest.raises(sqlite3.OperationalError, match="more steps"), reading(path) as database:
        database.execute(endless).fetchall()


def test_columns_that_are_computed_are_not_read(tmp_path):
    path = database_of(
        tmp_path / "a.sqlite",
        "CREATE TABLE t (x, y TEXT GENERATED ALWAYS AS (hex(zeroblob(400000))) VIRTUAL, "
        "z TEXT GENERATED ALWAYS AS ('a' || x) STORED)",
    )
    with reading(path) as database:
        assert stored_columns(database, "t") == {"x"}


def test_a_database_is_neither_written_nor_attached_to_another(tmp_path):
    path = database_of(tmp_path / "a.sqlite", "CREATE TABLE t (x)")
    other = database_of(tmp_path / "b.sqlite", "CREATE TABLE t (x)")
    for statement in (
        "INSERT INTO t VALUES (1)",
        f"ATTACH '{other}' AS b",
        "SELECT load_extension('x')",
        "SELECT hex(zeroblob(600000))",
        "VACUUM INTO 'c.sqlite'",
    ):
        with pytest.raises(sqlite3.Error), reading(path) as database:
            database.execute(statement).fetchall()
    assert {file.name for file in tmp_path.iterdir()} == {"a.sqlite", "b.sqlite"}


def test_triggers_and_views_that_call_functions_are_not_trusted(tmp_path):
    path = database_of(tmp_path / "a.sqlite", "CREATE TABLE t (x)", "CREATE VIEW v AS SELECT called() FROM t")
    ran: list[int] = []
    with reading(path) as database:
        database.create_function("called", 0, lambda: ran.append(1))
        with pytest.raises(sqlite3.OperationalError, match="unsafe use"):
            database.execute("SELECT * FROM v").fetchall()
    assert not ran


def test_an_archive_of_weights_that_unpacks_to_more_than_it_weighs_is_refused(tmp_path):
    whole = tmp_path / "whole.pth"
    torch.save({"a": torch.zeros(1 << 22)}, whole)
    assert read_state(whole)["a"].shape == (1 << 22,)
    packed, doubled = tmp_path / "packed.pth", tmp_path / "doubled.pth"
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for member in source.infolist():
            target.writestr(member.filename, source.read(member))
    assert packed.stat().st_size < whole.stat().st_size / 100
    doubled.write_bytes(whole.read_bytes())
    with zipfile.ZipFile(doubled, "a") as archive:
        names = [member for member in archive.infolist() if "data" in member.filename]
        archive.filelist.extend(names)  # members that share their bytes
        archive._didModify = True
    for path in (packed, doubled):
        with pytest.raises(ModelError, match="unpacks to more than its size"):
            read_state(path)


def test_a_parquet_file_that_repeats_a_few_bytes_is_refused(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path, rows, width = tmp_path / "bomb.parquet", 100_000, 260
    zeros = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(rows * width, dtype=np.float32)), width)
    pq.write_table(pa.table({"cell_id": pa.array(["a"] * rows), "vector": zeros}), path)
    assert path.stat().st_size < 1_000_000
    with pytest.raises(DataError, match="claims 26,100,000 values"):
        read_embeddings(path)


def test_a_long_name_that_cells_share_is_held_once(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path, rows = tmp_path / "names.parquet", 100_000
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(rows, dtype=np.float32)), 1)
    names = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, dtype=np.int32)), pa.array(["x" * 100_000]))
    pq.write_table(pa.table({"cell_id": names, "vector": vectors}), path)
    table = read_embeddings(path)
    assert len({id(name) for name in table.cell_ids}) == 1


@pytest.mark.parametrize("lie", [0, 8, 1 << 20, (1 << 63) - 1])
def test_headers_of_safetensors_that_lie_are_refused(tmp_path, lie):
    path = tmp_path / "lie.safetensors"
    shape = b'{"vectors":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}'
    path.write_bytes(struct.pack("<Q", lie or len(shape)) + shape + bytes(64))
    with pytest.raises(DataError, match="is no embeddings file"):
        read_embeddings(path)
    with pytest.raises(ModelError, match="cannot read the weight file"):
        read_state(path)


def png_of(path, width: int, height: int):
    """Write a PNG whose header promises any size, over the data of a small one."""
    import zlib

    Image.new("RGB", (8, 8)).save(path)
    content = bytearray(path.read_bytes())
    content[16:24] = struct.pack(">II", width, height)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    path.write_bytes(content)
    return path


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(("width", "height"), [(9_500, 9_500), (20_000, 20_000), (2**31 - 1, 2**31 - 1)])
def test_images_that_promise_gigapixels_are_refused_before_they_are_decoded(tmp_path, width, height):
    path = png_of(tmp_path / "bomb.png", width, height)
    for read in (open_slide, whole_image):
        with pytest.raises(SlideError):
            read(path)


def test_a_slide_of_giant_tiles_is_refused(tmp_path):
    import tifffile

    path = tmp_path / "giant.tif"
    tile = np.zeros((6144, 6144), dtype=np.uint8)
    tifffile.imwrite(path, np.stack([tile] * 3, axis=-1), tile=tile.shape, photometric="rgb", compression="deflate")
    assert path.stat().st_size < 1_000_000
    with pytest.raises(SlideError, match="tiles of 6,144 x 6,144 px"):
        open_slide(path)


def test_json_that_nests_without_end_is_refused(tmp_path):
    from safetensors.numpy import save_file

    nested = "[" * 200_000
    vectors = {"vectors": np.ones((1, 2), dtype=np.float32)}
    save_file(vectors, tmp_path / "e.safetensors", metadata={"cell_ids": nested})
    save_file(vectors, tmp_path / "row.safetensors", metadata={"row": nested})
    for name in (MANIFEST, CONFIG, RESULT, "labels.json"):
        (tmp_path / name).write_text(nested)
    readers: dict[str, Callable[[], object]] = {
        "embeddings": lambda: read_embeddings(tmp_path / "e.safetensors"),
        "a row": lambda: read_row(tmp_path / "row.safetensors"),
        "fetched files": lambda: Manifest(tmp_path),
        "a configuration": lambda: _read_config(tmp_path / CONFIG),
        "a result": lambda: read_document(tmp_path / RESULT),
        "labels": lambda: load(tmp_path / "labels.json"),
    }
    for what, read in readers.items():
        with pytest.raises(MitozooError) as caught:
            read()
        assert "\n" not in caught.value.message, what
