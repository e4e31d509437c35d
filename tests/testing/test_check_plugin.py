"""Plugins that are really installed, one fault each, checked in a process of their own as their authors would."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from tiny_distributions import Tiny, hook, offering

from mitozoo.testing import check_plugin
from mitozoo.testing.isolation import Alone, examine_alone

ONE = offering("[model('one')]")
ZOO = (
    Tiny("mitozoo-plugin-sound", offering("[model('sound')]", "[dataset('sound-cells')]")),
    Tiny("mitozoo-plugin-numpy", "try:\n    import numpy.linalg\nexcept ImportError:\n    pass\n" + ONE),
    Tiny("mitozoo-plugin-asks", "import importlib.util\nimportlib.util.find_spec('torch')\n" + ONE),
    Tiny("mitozoo-plugin-hook", hook("import torch; return [model('hook')]")),
    Tiny("mitozoo-plugin-raises", "raise RuntimeError('boom')"),
    Tiny("mitozoo-plugin-empty", offering()),
    Tiny("mitozoo-plugin-dice", ONE.replace('"resnet18"', "str(os.getpid())")),
    Tiny("mitozoo-plugin-sets", ONE.replace('"num_classes": 0', '"order": list(set("abcdefghij"))')),
    Tiny("mitozoo-plugin-twin-a", offering("[model('twin')]")),
    Tiny("mitozoo-plugin-twin-b", offering("[model('twin')]")),
    Tiny("acme-encoder", offering("[model('acme')]")),
)
CHECK_ALL = """
import json, sys
from mitozoo.testing import check_plugin
print(json.dumps({module: check_plugin(module).to_json() for module in sys.argv[1:]}))
"""


@pytest.fixture(scope="module")
def reports(installed) -> dict[str, dict]:
    """Return the report of each plugin of the zoo, and of one that is not there; one process makes them all."""
    modules = [tiny.name.replace("-", "_") for tiny in ZOO] + ["mitozoo_plugin_that_is_not"]
    done = subprocess.run(
        [sys.executable, "-c", CHECK_ALL, *modules],
        env=os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(installed(*ZOO))},
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    return json.loads(done.stdout)


def of(report: dict, what: str) -> dict:
    [finding] = [finding for finding in report["findings"] if finding["what"] == what]
    return finding


def test_a_sound_plugin_passes(reports):
    report = reports["mitozoo_plugin_sound"]
    assert report["passed"]
    assert of(report, "light import")["status"] == "PASS"
    assert of(report, "entry point")["detail"] == "mitozoo-plugin-sound 1.0.0, as 'sound'"
    assert of(report, "offers")["detail"] == "models: 1, datasets: 1"
    assert {finding["subject"] for finding in report["findings"]} == {"", "sound", "sound-cells"}
    assert of(report, "weights")["status"] == "WARN"  # offline
    assert [f["status"] for f in report["findings"] if f["what"] == "fingerprint"] == ["PASS", "PASS"]


@pytest.mark.parametrize(
    ("module", "what", "told"),
    [
        ("mitozoo_plugin_numpy", "light import", "importing it imports numpy (mitozoo_plugin_numpy.py, line"),
        ("mitozoo_plugin_hook", "light import", "importing it imports torch (mitozoo_plugin_hook.py, line"),
        ("mitozoo_plugin_raises", "light import", "it cannot be imported: RuntimeError: boom"),
        ("mitozoo_plugin_that_is_not", "light import", "No module named 'mitozoo_plugin_that_is_not'"),
        ("mitozoo_plugin_empty", "offers", "no model, dataset or tracker"),
        ("mitozoo_plugin_dice", "fingerprint", "in another process"),
        ("mitozoo_plugin_sets", "fingerprint", "in another process"),
    ],
)
def test_each_fault_fails(reports, module, what, told):
    report = reports[module]
    assert not report["passed"]
    assert of(report, what)["status"] == "FAIL"
    assert told in of(report, what)["detail"]
    assert of(report, what)["mend"]


def test_asking_whether_a_package_is_there_is_no_import(reports):
    assert of(reports["mitozoo_plugin_asks"], "light import")["status"] == "PASS"


def test_a_slow_import_is_a_warning():
    [finding] = Alone((), "", {}, seconds=4.2).import_findings()
    assert (finding.status, finding.detail) == ("WARN", "it takes 4.2 s")
    assert examine_alone(["mitozoo_plugin_controls"]).seconds > 0


def test_lost_names_and_odd_distributions_are_warnings(reports):
    twin, acme = reports["mitozoo_plugin_twin_a"], reports["acme_encoder"]
    assert twin["passed"]
    assert "works only as mitozoo-plugin-twin-a/twin" in of(twin, "entry point")["detail"]
    assert acme["passed"]
    assert of(acme, "name")["status"] == "WARN"


def test_a_module_that_is_not_installed_is_told(tmp_path, monkeypatch):
    (tmp_path / "not_installed.py").write_text(offering("[]", "[dataset('loose')]"))
    monkeypatch.syspath_prepend(tmp_path)
    report = check_plugin("not_installed")
    assert report.passed, str(report)
    warned = [finding.what for finding in report.having("WARN")]
    assert warned == ["entry point", "reference", "labelled by", "files", "label files"]  # example.org, and no files


def test_it_needs_no_pytest_and_nothing_heavy_to_import():
    code = (
        "import sys, mitozoo.testing; print(*(m for m in ('pytest', 'torch', 'numpy', 'pandas') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
