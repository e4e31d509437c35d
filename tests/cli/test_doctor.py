"""`mitozoo doctor` as users run it: exit codes, JSON, broken plugins, and no secret in what it prints."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from local_hub import serving
from tiny_distributions import Tiny, offering, run_mitozoo

SECRET = "hf_thisIsATokenThatNobodyMaySee0123456789"
ZOO = (
    Tiny(
        "mitozoo-plugin-closed",
        offering("[model('closed', gated=True)]").replace("timm/resnet18.a1_in1k", "acme/closed"),
    ),
    Tiny("mitozoo-plugin-sleepy", "import time\ntime.sleep(0.4)\n" + offering("[model('sleepy')]")),
    Tiny("mitozoo-plugin-needy", offering("[model('needy', requires=['a-package-that-is-not-here>=3'])]")),
)
MUSK = Tiny("mitozoo-plugin-lemur", "import fairscale")


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A hub on this machine that keeps one repository closed, a token, and nothing of the user's."""
    folder = tmp_path_factory.mktemp("hub")
    with pytest.MonkeyPatch.context() as monkeypatch, serving(folder, monkeypatch) as hub:
        hub.gated.add("acme/closed")
        yield {
            "HF_ENDPOINT": hub.address, "HF_HOME": str(folder / "hf"), "HF_TOKEN": SECRET, "MITOZOO_TRACEBACK": "1",
            "MITOZOO_PLUGINS": "closed,sleepy,needy,lemur", "NO_PROXY": "127.0.0.1",
        }  # fmt: skip


@pytest.fixture(scope="module")
def for_people(installed, environment):
    return run_mitozoo("doctor", sites=(installed(*ZOO),), **environment)


@pytest.fixture(scope="module")
def for_programs(installed, environment):
    home = "/proc/nowhere" if Path("/proc").is_dir() else "/dev/null/nowhere"  # not even root writes there
    return run_mitozoo(
        "doctor", "--json", "--offline", sites=(installed(*ZOO, MUSK),), **environment | {"MITOZOO_HOME": home}
    )


def test_warnings_alone_are_exit_code_0(for_people):
    assert for_people.returncode == 0, for_people.stdout + for_people.stderr
    assert "WARN  gated acme/closed" in for_people.stdout
    assert for_people.stderr.startswith("this machine: ")


def test_each_line_has_its_mend(for_people):
    lines = for_people.stdout.splitlines()
    assert all(line.startswith(("PASS  ", "WARN  ", "FAIL  ", "      mend: ")) for line in lines)
    for line, following in itertools.pairwise(lines):
        assert line.startswith(("PASS", "      ")) or following.startswith("      mend: ")
    assert {line.split()[1] for line in lines} >= {"python", "libraries", "torch", "device", "openslide", "disk"}


def test_the_token_is_shown_nowhere(for_people, for_programs):
    for done in (for_people, for_programs):
        assert SECRET[3:20] not in done.stdout + done.stderr
        assert "hub token" in done.stdout


def test_failures_are_exit_code_1_and_json_is_alone_on_stdout(for_programs):
    assert for_programs.returncode == 1
    report = json.loads(for_programs.stdout)
    assert not report["passed"]
    told = {finding["what"]: finding for finding in report["findings"]}
    assert told["plugin lemur"]["status"] == "FAIL"
    assert "No module named 'fairscale'" in told["plugin lemur"]["detail"]
    assert "pip install --upgrade mitozoo-plugin-lemur" in told["plugin lemur"]["mend"]
    assert told["plugin sleepy"]["status"] == "WARN"
    assert told["plugins"]["detail"].startswith("3 of 4 work: 3 models, 0 datasets; ")  # the rest is disabled
    assert "needy" in told["model packages"]["detail"]
    assert "a-package-that-is-not-here" in told["model packages"]["mend"]
    assert told["disk of caches"]["status"] == "FAIL"
    assert "MITOZOO_HOME" in told["disk of caches"]["mend"]
    assert "not asked, since offline: acme/closed" in told["gated models"]["detail"]
