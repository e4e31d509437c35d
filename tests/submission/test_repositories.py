"""A results repository: its template, what its workflows run, and the command line around it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from forged_bundles import REPORT, forge, forge_submission

import mitozoo
from mitozoo.cli import main
from mitozoo.submission.repositories import TEMPLATE, check_all, write_template


@pytest.fixture
def repository(bundle, tmp_path) -> Path:
    """Return a results repository with one submission."""
    write_template(tmp_path / "results")
    shutil.copytree(bundle, tmp_path / "results" / "submissions" / "steady-tiny")
    return tmp_path / "results"


def judged(repository: Path) -> dict[str, str]:
    found = check_all(repository / "submissions", repository / "verdicts")
    return {one.name: one.refused or one.level + ", as before" * one.kept for one in found}


def test_a_verdict_is_written_once_for_the_same_files(repository):
    assert judged(repository) == {"steady-tiny": "arithmetic verified"}
    verdict = repository / "verdicts" / "steady-tiny.json"
    before = verdict.read_bytes()
    assert judged(repository) == {"steady-tiny": "arithmetic verified, as before"}
    assert verdict.read_bytes() == before

    forge_submission(repository / "submissions" / "steady-tiny", lambda submission: submission.update(test_set=None))
    assert judged(repository) == {"steady-tiny": "self-reported"}

    known = json.loads(verdict.read_text())
    verdict.write_text(json.dumps(known | {"mitozoo": "0.0.1"}))
    assert judged(repository) == {"steady-tiny": "self-reported"}

    with (repository / "submissions" / "steady-tiny" / "compute.json").open("a") as file:
        file.write(" ")
    assert "compute.json has another sha256" in judged(repository)["steady-tiny"]
    assert not verdict.exists()


def test_what_is_refused_or_gone_keeps_no_verdict(repository):
    judged(repository)
    submission = repository / "submissions" / "steady-tiny"
    forge(submission, lambda document: document["summary"][0]["metrics"]["auroc"].update(mean=0.999))
    assert "summary.0.metrics.auroc.mean is recorded as 0.999" in judged(repository)["steady-tiny"]
    assert not (repository / "verdicts" / "steady-tiny.json").exists()
    (repository / "verdicts" / "gone.json").write_text("{}")
    shutil.rmtree(submission)
    (repository / "submissions" / "a b").mkdir()
    (repository / "submissions" / "link").symlink_to(repository)
    (repository / "submissions" / "file").touch()
    found = judged(repository)
    assert "is missing" in found["a b"]
    assert "is a link" in found["link"]
    assert "there is no submission" in found["file"]
    assert sorted(path.name for path in (repository / "verdicts").iterdir()) == ["README.md"]


def test_a_template_is_complete_and_overwrites_nothing(tmp_path):
    names = write_template(tmp_path / "results")
    assert sorted(names) == sorted(TEMPLATE)
    pinned = (tmp_path / "results" / "requirements.txt").read_text()
    assert pinned == f"mitozoo[all]=={mitozoo.__version__}\n"
    done = CliRunner().invoke(main, ["submission", "template", str(tmp_path / "results")])
    assert done.exit_code == 2
    assert "nothing is overwritten" in done.output
    for name in names:
        assert "VERSION" not in (tmp_path / "results" / name).read_text()


def steps(repository: Path, workflow: str, job: str) -> dict[str, str]:
    """Return the shell scripts of a workflow's job by what their step is called."""
    found = yaml.safe_load((repository / ".github" / "workflows" / workflow).read_text())["jobs"][job]["steps"]
    return {step.get("name", step["run"]): step["run"] for step in found if "run" in step}


def test_workflows_of_strangers_can_only_read(repository):
    check = yaml.safe_load((repository / ".github" / "workflows" / "check.yml").read_text())
    assert check[True] == {"pull_request": None}  # `on`, which YAML reads as true; never pull_request_target
    assert check["permissions"] == {"contents": "read"}
    assert "secrets." not in (repository / ".github" / "workflows" / "check.yml").read_text()
    scripts = [
        *steps(repository, "check.yml", "check").values(),
        *steps(repository, "publish.yml", "verdicts").values(),
    ]
    assert not any("${{" in script for script in scripts)  # what a stranger names is never part of a script


def git(repository: Path, *arguments: str) -> None:
    options = ["-c", "user.name=someone", "-c", "user.email=someone@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *options, *arguments], cwd=repository, check=True, capture_output=True)


def run_script(script: str, repository: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-e", "-c", script], cwd=repository, env=os.environ | variables, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


def test_a_pull_request_adds_submissions_or_changes_the_rest(repository):
    script = steps(repository, "check.yml", "check")["A submission changes nothing else"]
    git(repository, "init", "--quiet", "--initial-branch=main")
    git(repository, "add", "README.md")
    git(repository, "commit", "--quiet", "-m", "first")
    git(repository, "update-ref", "refs/remotes/origin/main", "HEAD")
    git(repository, "add", "submissions")
    git(repository, "commit", "--quiet", "-m", "a submission")
    assert run_script(script, repository, BASE="main").returncode == 0
    git(repository, "add", "verdicts")
    git(repository, "commit", "--quiet", "-m", "and its verdict")
    refused = run_script(script, repository, BASE="main")
    assert refused.returncode == 1
    assert "Change submissions/ alone" in refused.stdout


def test_the_checks_script_runs_in_a_fresh_process(repository, zoo_site):
    script = steps(repository, "check.yml", "check")["Check what has no verdict yet"]
    assert steps(repository, "publish.yml", "verdicts")["Check what has no verdict yet"] == script
    path = {"PYTHONPATH": str(zoo_site), "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = run_script(script, repository, **path)
    assert (done.returncode, done.stdout) == (0, "steady-tiny: arithmetic verified\n"), done.stderr
    assert json.loads((repository / "verdicts" / "steady-tiny.json").read_text())["level"] == "arithmetic verified"


def test_the_command_line_from_a_run_to_a_verdict(submitted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = next((submitted.parent / "runs").glob("steady-*"))
    (tmp_path / "report.json").write_text(json.dumps(REPORT))
    create = [
        "submission",
        "create",
        str(run),
        "-o",
        "new",
        "--contact",
        "a@example.org",
        "--check-report",
        "report.json",
    ]
    made = CliRunner().invoke(main, create)
    assert made.exit_code == 0, made.output
    assert "self-reported, test labels public" in made.stderr
    assert made.stdout == "submission: new\n"
    declared = CliRunner().invoke(
        main, [*create[:4], "declared", *create[5:], "--test-scored", "2", "--selected-on-test"]
    )
    assert declared.exit_code == 0, declared.output

    shown = CliRunner().invoke(main, ["submission", "check", "new", "--json", "--verdict", "verdict.json"])
    told = json.loads(shown.stdout)
    assert (shown.exit_code, told["accepted"], told["level"]) == (0, True, "self-reported")
    assert json.loads((tmp_path / "verdict.json").read_text())["flags"] == told["flags"]
    plain = CliRunner().invoke(main, ["submission", "check", "declared"])
    assert plain.stdout.splitlines()[-1] == "level: arithmetic verified"
    assert "note  declares that the test set served for selection" in plain.stdout

    with (tmp_path / "new" / "result.json").open("a") as file:
        file.write(" ")
    refused = CliRunner().invoke(main, ["submission", "check", "new", "--json"])
    assert refused.exit_code == 1
    assert json.loads(refused.stdout)["refused"] == "new: result.json has another sha256 than submission.json records"
    assert "Error: new: result.json has another sha256" in refused.stderr
    useless = CliRunner().invoke(main, ["submission", "check", "declared", "--cells", "3"])
    assert useless.exit_code == 2
    assert "Add --re-run." in useless.stderr
