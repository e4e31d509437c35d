"""Files of embeddings: what is written comes back, and what cannot be meant is refused with its reason."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mitozoo.embeddings.table import EmbeddingTable, read_embeddings, write_embeddings
from mitozoo.errors import DataError, StorageError

IDS = ["b", "a", "ü/1"]
VECTORS = np.array([[1.5, -2.0], [1e-40, 3e38], [0.0, -0.0]], dtype=np.float32)
SUFFIXES = (".safetensors", ".parquet")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_round_trip(suffix, tmp_path):
    path = tmp_path / f"mine{suffix}"
    write_embeddings(path, EmbeddingTable(IDS, VECTORS, {"model": {"name": "x"}}))
    table = read_embeddings(path)
    assert list(table.cell_ids) == IDS
    assert table.vectors.tobytes() == VECTORS.tobytes()
    assert table.provenance == {"model": {"name": "x"}}
    assert np.array_equal(table.of(["ü/1", "b"], "mine"), VECTORS[[2, 0]])


def test_its_name_is_its_content_not_its_file(tmp_path):
    table = EmbeddingTable(IDS, VECTORS, {"model": "x"})
    for suffix in SUFFIXES:
        write_embeddings(tmp_path / f"mine{suffix}", table)
        assert read_embeddings(tmp_path / f"mine{suffix}").sha256() == table.sha256()
    assert EmbeddingTable(IDS[::-1], VECTORS[::-1], {}).sha256() == table.sha256()
    assert EmbeddingTable(IDS[::-1], VECTORS, {}).sha256() != table.sha256()
    assert EmbeddingTable(IDS, VECTORS + 1, {}).sha256() != table.sha256()


def test_parquet_as_pandas_writes_it(tmp_path):
    import pandas as pd

    path = tmp_path / "mine.parquet"
    pd.DataFrame({"cell_id": IDS, "vector": VECTORS.astype(float).tolist(), "note": "x"}).to_parquet(path)
    table = read_embeddings(path)
    assert np.array_equal(table.vectors, VECTORS)
    assert table.provenance == {}


def test_missing_and_double_cells():
    table = EmbeddingTable(IDS, VECTORS, {})
    with pytest.raises(DataError, match="mine has no vector for 2 of 3 cells, such as x") as caught:
        table.of(["a", "x", "y"], "mine")
    assert "mitozoo embed" in str(caught.value)
    with pytest.raises(DataError, match="mine holds 1 cells twice"):
        EmbeddingTable(["a", "b", "a"], VECTORS, {}).of(["a"], "mine")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_no_number(suffix, value, tmp_path):
    path = tmp_path / f"mine{suffix}"
    broken = VECTORS.copy()
    broken[1, 1] = value
    write_embeddings(path, EmbeddingTable(IDS, broken, {}))
    with pytest.raises(DataError, match="the vector of cell a holds NaN or infinity"):
        read_embeddings(path)


def test_parquet_of_other_shapes(tmp_path):
    import pandas as pd

    path = tmp_path / "mine.parquet"
    for columns, reason in (
        ({"cell_id": ["a", "b"], "vector": [[1.0], [1.0, 2.0]]}, "2 different lengths"),
        ({"cell_id": ["a", "b"], "vector": [[1.0], None]}, "null"),
        ({"cell_id": ["a"], "vec": [[1.0]]}, "no column vector"),
        ({"cell_id": ["a"], "vector": ["text"]}, "no embeddings file"),
        ({"cell_id": ["a"], "vector": [["text"]]}, "no embeddings file"),
        ({"cell_id": [], "vector": []}, "no embeddings file"),
    ):
        pd.DataFrame(columns).to_parquet(path)
        with pytest.raises(DataError, match=reason):
            read_embeddings(path)


def test_safetensors_of_other_shapes(tmp_path):
    from safetensors.numpy import save_file

    path = tmp_path / "mine.safetensors"
    for tensors, metadata, reason in (
        ({"vectors": VECTORS}, None, "its metadata has no cell_ids"),
        ({"other": VECTORS}, {"cell_ids": json.dumps(IDS)}, "no embeddings file"),
        ({"vectors": VECTORS}, {"cell_ids": "no json"}, "no embeddings file"),
        ({"vectors": VECTORS[:2]}, {"cell_ids": json.dumps(IDS)}, r"3 cells and vectors of shape \(2, 2\)"),
        ({"vectors": VECTORS[0]}, {"cell_ids": json.dumps(IDS)}, r"3 cells and vectors of shape \(2,\)"),
    ):
        save_file(tensors, path, metadata=metadata)
        with pytest.raises(DataError, match=reason):
            read_embeddings(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damaged_and_missing_files(suffix, tmp_path):
    path = tmp_path / f"mine{suffix}"
    with pytest.raises(DataError, match="there is no embeddings file"):
        read_embeddings(path)
    write_embeddings(path, EmbeddingTable(IDS, VECTORS, {}))
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(DataError, match="is no embeddings file"):
        read_embeddings(path)


def test_other_suffixes(tmp_path):
    with pytest.raises(DataError, match=r"must end in \.safetensors or \.parquet"):
        read_embeddings(tmp_path / "mine.npy")


def test_nothing_half_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError):
        write_embeddings(tmp_path / "file" / "mine.parquet", EmbeddingTable(IDS, VECTORS, {}))


def test_vectors_in_the_order_asked_for_are_not_copied():
    table = EmbeddingTable(IDS, VECTORS, {})
    assert table.of(IDS, "mine") is VECTORS
    assert np.array_equal(table.of(IDS[::-1], "mine"), VECTORS[::-1])
    with pytest.raises(DataError, match="cells twice"):
        EmbeddingTable(["a", "a"], VECTORS[:2], {}).of(["a", "a"], "mine")
