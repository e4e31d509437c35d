"""The mutated label files are as many as is said."""

from __future__ import annotations

import re
from pathlib import Path

from fuzzed_files import FILES, FUZZED, TESTS


def test_all_fuzzed_readers_together_get_the_files_that_were_asked_for():
    sources = [path.read_text(encoding="utf-8") for path in Path(__file__).parent.rglob("test_*.py")]
    fuzzed = sum(len(re.findall(r"^@FUZZED\ndef test_\w+_or_refused\(", source, re.MULTILINE)) for source in sources)
    assert fuzzed == TESTS
    assert FUZZED.max_examples * TESTS >= FILES >= 1000
