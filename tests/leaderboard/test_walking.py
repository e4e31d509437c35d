"""Results are found at any depth, but never by a link, in hidden folders, or without end."""

from __future__ import annotations

import os

import pytest
from made_results import document, write

from mitozoo.errors import DataError, StorageError
from mitozoo.leaderboard import walking
from mitozoo.leaderboard.walking import find_results


def names(root):
    return [found.name for found in find_results(root)]


def test_runs_and_bundles_are_found_at_any_depth(tmp_path):
    write(tmp_path / "run", document())
    write(tmp_path / "submissions" / "2026" / "bundle", document("other"))
    (tmp_path / "notes").mkdir()
    assert names(tmp_path) == ["run/result.json", "submissions/2026/bundle/result.json"]


def test_the_folder_itself_may_be_a_run(tmp_path):
    write(tmp_path / "run", document())
    assert names(tmp_path / "run") == ["result.json"]


def test_what_lies_below_a_run_and_what_is_hidden_is_not_looked_at(tmp_path):
    write(tmp_path / "run", document())
    write(tmp_path / "run" / "rows" / "inner", document("inner"))
    write(tmp_path / ".git" / "run", document("hidden"))
    assert names(tmp_path) == ["run/result.json"]


def test_links_lead_nowhere(tmp_path):
    write(tmp_path / "elsewhere" / "run", document())
    runs = tmp_path / "runs"
    write(runs / "own", document())
    (runs / "linked").symlink_to(tmp_path / "elsewhere")
    (runs / "round").symlink_to(runs)
    assert names(runs) == ["own/result.json"]
    (runs / "bad").mkdir()
    (runs / "bad" / "result.json").symlink_to(tmp_path / "elsewhere" / "run" / "result.json")
    with pytest.raises(DataError, match=r"bad/result\.json is no file of its own"):
        find_results(runs)


def test_a_pipe_is_no_document(tmp_path):
    (tmp_path / "run").mkdir()
    os.mkfifo(tmp_path / "run" / "result.json")
    with pytest.raises(DataError, match="is no file of its own"):
        find_results(tmp_path)


def test_folders_too_deep_are_refused_by_name(tmp_path):
    deep = tmp_path.joinpath(*["x"] * (walking.MOST_DEEP + 1))
    deep.mkdir(parents=True)
    with pytest.raises(StorageError, match="lies more than 12 folders below"):
        find_results(tmp_path)


def test_a_flood_of_files_is_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(walking, "MOST_NAMES", 50)
    write(tmp_path / "flood", document())
    for number in range(60):
        (tmp_path / "flood" / f"{number}.txt").touch()
    with pytest.raises(StorageError, match=r"more than 50 files in .*: .*flood is one too many"):
        find_results(tmp_path)


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir(), lambda path: path.touch()])
def test_nothing_to_show_is_told(make, tmp_path):
    make(tmp_path / "runs")
    with pytest.raises(DataError, match=r"there is no result\.json below|is no folder"):
        find_results(tmp_path / "runs")
