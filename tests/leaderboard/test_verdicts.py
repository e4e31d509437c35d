"""Verdicts are read whole or refused by name; of several on one result the latest counts."""

from __future__ import annotations

import json

import pytest
from made_results import sha256, verdict

from mitozoo.errors import DataError
from mitozoo.leaderboard.verdicts import Verdict, read_verdicts, utc

ONE = sha256("one")


def test_they_are_found_by_the_result_they_are_about(tmp_path):
    verdict(tmp_path, ONE, "arithmetic verified", flags=["AUROC above 0.99"], checked_at="2026-11-20T12:00:00+02:00")
    verdict(tmp_path, sha256("other"), "reproduced")
    found = read_verdicts(tmp_path)
    assert found[ONE] == Verdict("arithmetic verified", ("AUROC above 0.99",), "2026-11-20T10:00:00Z")
    assert found[sha256("other")].level == "reproduced"
    assert [one.checked for one in (found[ONE], Verdict())] == [True, False]


@pytest.mark.parametrize("order", [1, -1])
def test_the_latest_counts(order, tmp_path):
    both = [("reproduced", "2026-11-20T10:00:00+00:00"), ("self-reported", "2026-11-20T11:00:00+02:00")]
    for level, checked_at in both[::order]:
        verdict(tmp_path, ONE, level, checked_at=checked_at)
    assert read_verdicts(tmp_path)[ONE].level == "reproduced"


@pytest.mark.parametrize(("values", "why"), [
    ({"schema_version": 2}, "its schema_version is 2; this version reads 1"),
    ({"result_sha256": "../x"}, "its result_sha256 is no sha256"),
    ({"result_sha256": 7}, "expected string"),
    ({"level": "certified"}, "its level is 'certified'"),
    ({"flags": "none"}, "its flags are no list"),
    ({"flags": [{}]}, "flags is no text"),
    ({"flags": ["x"] * 65}, "its flags are no list"),
    ({"checked_at": "yesterday"}, "Invalid isoformat"),
    ({"checked_at": "2026-11-20T10:00:00"}, "names no time zone"),
    ({"checked_at": None}, "must be str"),
])  # fmt: skip
def test_what_is_no_verdict_is_refused_by_name(values, why, tmp_path):
    verdict(tmp_path, ONE, "reproduced", **values)
    with pytest.raises(DataError, match=r"0\.json is no verdict") as refusal:
        read_verdicts(tmp_path)
    assert why in refusal.value.message


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "[" * 3000, json.dumps({"level": "reproduced"}), "\udcff"])
def test_garbage_is_refused_by_name(text, tmp_path):
    (tmp_path / "bad.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(DataError, match=r"bad\.json is no verdict"):
        read_verdicts(tmp_path)


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(DataError, match="is no folder"):
        read_verdicts(tmp_path / "verdicts")


def test_times_become_utc():
    assert utc("2026-01-01T00:30:00.25+01:00") == "2025-12-31T23:30:00Z"
