"""Where only a path on this machine will do, a URL is refused: as a path it would make a folder called 's3:'."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from mitozoo.cli import main


@pytest.mark.parametrize(
    "asked",
    ["leaderboard build s3://zoo/runs", "leaderboard build . -o s3://zoo/site", "report any --page s3://zoo/page.html",
     "plan run s3://zoo/grid.toml", "plan status s3://zoo/runs", "eval -m any -d any --log s3://zoo/log.jsonl"],
)  # fmt: skip
def test_a_url_is_no_path(asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, asked.split())
    assert done.exit_code == 2
    assert "is a URL, where only a path on this machine will do" in done.stderr
    assert list(tmp_path.iterdir()) == []
