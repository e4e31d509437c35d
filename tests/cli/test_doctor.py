"""`mitozoo doctor` as users run it: exit codes, JSON, broken plugins, gates, and no secret in what it prints."""

from __future__ import annotations

import itertools
import json
import os

import pytest
from local_hub import COMMIT, serving
from tiny_distributions import Tiny, offering, run_mitozoo

SECRET = "hf_thisIsATokenThatNobodyMaySee0123456789"


def gated(name: str) -> str:
    """A gated model in a repository of its own."""
    return (
        offering(f"[model('{name}', gated=True)]")
        .replace("timm/resnet18.a1_in1k", f"acme/{name}")
        .replace('"0" * 40', f'"{COMMIT}"')
    )


@pytest.fixture(scope="module")
def site(installed):
    return installed(
        Tiny("mitozoo-plugin-granted", gated("granted")),
        Tiny("mitozoo-plugin-closed", gated("closed")),
        Tiny("mitozoo-plugin-moved", gated("moved")),
    )


@pytest.fixture
def doctor(tmp_path, monkeypatch, site):
    """Return a function that runs the doctor against a hub on this machine, with these plugins alone."""
    with serving(tmp_path, monkeypatch) as hub:
        hub.put("acme/granted", "model.safetensors", b"weights")
        hub.put("acme/moved", "another.safetensors", b"weights")
        hub.gated.add("acme/closed")

        def run(*arguments, sites=(site,), only="granted,closed,moved", **variables):
            return run_mitozoo(
                "doctor", *arguments, sites=sites, cwd=tmp_path, MITOZOO_PLUGINS=only, HF_ENDPOINT=hub.address,
                HF_HOME=str(tmp_path / "hf"), **{"HF_TOKEN": SECRET} | variables,
            )  # fmt: skip

        run.hub = hub
        yield run


def findings(done) -> dict[str, dict]:
    return {finding["what"]: finding for finding in json.loads(done.stdout)["findings"]}


def test_it_tells_what_each_gated_repository_answers(doctor):
    done = doctor("--json")
    told = findings(done)
    assert {what: told[what]["status"] for what in told if what.startswith("gated")} == {
        "gated acme/granted": "PASS", "gated acme/closed": "WARN", "gated acme/moved": "FAIL",
    }  # fmt: skip
    assert done.returncode == 1  # for the one that is not where its plugin says
    assert f"Ask for it at {doctor.hub.address}/acme/closed" in told["gated acme/closed"]["mend"]
    assert f"no model.safetensors at revision {COMMIT}" in told["gated acme/moved"]["detail"]
    assert told["hub token"]["status"] == "PASS"
    assert {request.split()[0] for request in doctor.hub.requests} == {"HEAD"}  # nothing is fetched


def test_the_token_is_shown_nowhere(doctor):
    for arguments in ((), ("--json",)):
        done = doctor(*arguments, MITOZOO_TRACEBACK="1")
        assert SECRET not in done.stdout + done.stderr
        assert SECRET[3:20] not in done.stdout + done.stderr


def test_without_a_token_it_says_how_to_get_one(doctor):
    told = findings(doctor("--json", HF_TOKEN=""))
    assert told["hub token"]["status"] == "WARN"
    assert "hf auth login" in told["hub token"]["mend"]


def test_a_hub_that_is_down_is_one_warning(doctor):
    doctor.hub.down = True
    done = doctor("--json")
    told = findings(done)
    assert done.returncode == 0
    assert told["hub"]["status"] == "WARN"
    assert "acme/closed, acme/granted, acme/moved" in told["hub"]["detail"]
    assert not [what for what in told if what.startswith("gated ")]


@pytest.mark.parametrize(("arguments", "variables"), [(("--offline",), {}), ((), {"HF_HUB_OFFLINE": "1"})])
def test_offline_asks_nobody(doctor, arguments, variables):
    done = doctor("--json", *arguments, **variables)
    assert done.returncode == 0, done.stdout
    assert doctor.hub.requests == []
    [aloud] = [told for told in findings(done).values() if "acme/granted" in told["detail"]]
    assert aloud["status"] == "WARN"


def test_weights_on_this_machine_need_no_access(doctor, tmp_path):
    own = tmp_path / "own" / "acme" / "closed"
    own.mkdir(parents=True)
    (own / "model.safetensors").write_bytes(b"weights")
    told = findings(doctor("--json", "--offline", MITOZOO_WEIGHTS=str(tmp_path / "own")))
    assert told["gated acme/closed"]["status"] == "PASS"
    assert "on this machine" in told["gated acme/closed"]["detail"]


def test_broken_and_slow_plugins(doctor, installed):
    site = installed(
        Tiny("mitozoo-plugin-musk", "import fairscale"),
        Tiny("mitozoo-plugin-sleepy", "import time\ntime.sleep(0.4)\n" + offering("[model('sleepy')]")),
        Tiny("mitozoo-plugin-needy", offering("[model('needy', requires=['a-package-that-is-not-here>=3'])]")),
    )
    done = doctor("--json", "--offline", sites=(site,), only="musk,sleepy,needy")
    told = findings(done)
    assert done.returncode == 1
    assert told["plugin musk"]["status"] == "FAIL"
    assert "No module named 'fairscale'" in told["plugin musk"]["detail"]
    assert "pip install --upgrade mitozoo-plugin-musk" in told["plugin musk"]["mend"]
    assert told["plugin sleepy"]["status"] == "WARN"
    assert told["plugins"]["detail"] == "2 of 3 work: 2 models, 0 datasets"
    assert "needy" in told["model packages"]["detail"]
    assert "a-package-that-is-not-here" in told["model packages"]["mend"]


def test_for_people_each_line_has_its_mend(doctor):
    done = doctor("--offline")
    lines = done.stdout.splitlines()
    assert all(line.startswith(("PASS  ", "WARN  ", "FAIL  ", "      mend: ")) for line in lines)
    for line, following in itertools.pairwise(lines):
        assert line.startswith(("PASS", "      ")) or following.startswith("      mend: ")
    assert {line.split()[1] for line in lines} >= {"python", "libraries", "torch", "device", "openslide", "disk"}
    assert done.stderr.startswith("this machine: ")


def test_a_home_that_cannot_be_written_fails(doctor, tmp_path):
    if os.geteuid() == 0:
        home = "/proc/nowhere"  # not even root writes there
    else:
        (tmp_path / "locked").mkdir(mode=0o500)
        home = str(tmp_path / "locked")
    done = doctor("--json", "--offline", MITOZOO_HOME=home)
    told = findings(done)["disk of caches"]
    assert told["status"] == "FAIL"
    assert "MITOZOO_HOME" in told["mend"]
    assert done.returncode == 1
