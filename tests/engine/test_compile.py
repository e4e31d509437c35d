"""`--compile` from the request to what is recorded: another precision, another cache, another run."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from mitozoo.embeddings import store as store_module
from mitozoo.embeddings.store import EmbeddingKey
from mitozoo.embeddings.table import read_embeddings
from mitozoo.engine.embed import embed_dataset
from mitozoo.engine.evaluate import evaluate
from mitozoo.engine.progress import Progress
from mitozoo.errors import ProtocolError
from mitozoo.results.schema import violations

WORDS = [f"{number}{maker}" for number in ("fp32", "fp16", "bf16") for maker in ("", "+compiled")]


def digests() -> dict[str, str]:
    return {word: EmbeddingKey("m", "f", "w", word, 16).digest() for word in WORDS}


def test_each_arithmetic_has_embeddings_of_its_own(monkeypatch):
    before = digests()
    assert len(set(before.values())) == len(WORDS)
    monkeypatch.setattr(store_module, "BF16_VERSION", store_module.BF16_VERSION + 1)
    after = digests()
    assert {word for word in WORDS if after[word] != before[word]} == {"bf16", "bf16+compiled"}


def test_a_protocol_that_trains_the_network_refuses_it(zoo, loads):
    with pytest.raises(ProtocolError, match="'end-to-end-short' trains the network, and --compile is for") as told:
        evaluate("steady", "tiny", protocol="end-to-end-short", compiled=True)
    assert (told.value.exit_code, loads()) == (2, 0)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_a_run_says_that_its_network_was_compiled(zoo, own_home, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "inductor"))
    asked = {"out": tmp_path / "runs", "controls": "labels"}
    plain, compiled = (evaluate("steady", "tiny", compiled=which, **asked) for which in (False, True))
    assert compiled.document["precision"] == compiled.document["identity"]["precision"] == "fp32+compiled"
    assert compiled.document["run_id"] != plain.document["run_id"]
    assert not violations(compiled.document)
    tables = []
    for which in (False, True):
        output = tmp_path / f"{which}.safetensors"
        embed_dataset("steady", "tiny", output, progress=Progress(), compiled=which)
        tables.append(read_embeddings(output))
    assert [table.provenance["precision"] for table in tables] == ["fp32", "fp32+compiled"]
    np.testing.assert_allclose(tables[1].vectors, tables[0].vectors, rtol=1e-4, atol=1e-5)
