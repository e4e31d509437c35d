"""Every promise of docs/security.md is held by a test that exists; one of them stands here."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from made_results import document, write

from mitozoo.errors import VerificationError
from mitozoo.results.tables import CELLS, PREDICTIONS, SPLITS
from mitozoo.results.verify import verify

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "security.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)


def test_every_test_that_the_page_names_exists():
    assert len(NAMED) > 30
    missing = [
        f"{file}::{name}"
        for file, name in NAMED
        if not (path := REPOSITORY / file).is_file() or f"\ndef {name}(" not in path.read_text(encoding="utf-8")
    ]
    assert not missing


def test_every_promise_names_a_test():
    table = PAGE.partition("| promise | held by |")[2].partition("\n\n")[0]
    promises = [line for line in table.splitlines() if line.startswith("|") and not line.startswith("|---")]
    assert len(promises) > 15
    assert [line for line in promises if "tests/" not in line] == []


@pytest.mark.parametrize("name", ["../outside", "rows/../../outside", "link"])
def test_a_run_that_names_a_file_outside_its_folder_is_refused(tmp_path, name):
    (tmp_path / "outside").write_bytes(b"what nobody may learn")
    sha256 = hashlib.sha256(b"what nobody may learn").hexdigest()
    files = {name: sha256} | dict.fromkeys((CELLS, SPLITS, PREDICTIONS), "0" * 64)
    made = document()
    rows = [f"rows/{row['row_id']}.safetensors" for row in made["scores"]]
    write(tmp_path / "run", made | {"files": files | dict.fromkeys(rows, "0" * 64)})
    (tmp_path / "run" / "link").symlink_to("../outside")
    with pytest.raises(VerificationError, match="names a file outside the run"):
        verify(tmp_path / "run")
