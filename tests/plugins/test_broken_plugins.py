"""A broken plugin becomes a row with stage and reason, and nobody else notices."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tiny_distributions import run_mitozoo

import mitozoo

if TYPE_CHECKING:
    from pathlib import Path

ALL_HOOKS = "the hooks are mitozoo_models(), mitozoo_datasets() and mitozoo_trackers()"
RETURN = "it must return an iterable of ModelSpec records, such as [SPEC]"

EXPECTED = {
    "lemur": ("broken", "import", "No module named 'fairscale'"),
    "exits": ("broken", "import", "it called sys.exit(3)"),
    "panics": ("broken", "import", "Panic: foreign code"),
    "misspelt": ("broken", "register", f"there is no hook 'mitozoo_model'; {ALL_HOOKS}"),
    "unmarked": ("broken", "register", "mitozoo_models() is not marked with @hookimpl of mitozoo"),
    "idle": ("broken", "register", f"it implements no hook; {ALL_HOOKS}"),
    "raises": ("broken", "collect", "RuntimeError: boom"),
    "twice": ("broken", "collect", "mitozoo_models() offers the name 'twice' twice"),
    "two-doors": (
        "broken", "collect", "it offers the name 'door', as another entry point of its distribution does"
    ),
    "same-again": (
        "broken", "register", "its entry point leads to the same object as that of mitozoo-plugin-same/same"
    ),
    "curious": (
        "broken", "import", "a plugin asks for the registry while it is being imported; it must do so later"
    ),
    "rubbish-none": ("broken", "collect", f"mitozoo_models() returned None; {RETURN}"),
    "rubbish-text": ("broken", "collect", f"mitozoo_models() returned one str; {RETURN}"),
    "rubbish-number": ("broken", "collect", f"mitozoo_models() returned one int; {RETURN}"),
    "rubbish-one": ("broken", "collect", f"mitozoo_models() returned one ModelSpec; {RETURN}"),
    "rubbish-table": ("broken", "collect", f"mitozoo_models() returned one dict; {RETURN}"),
    "rubbish-items": ("broken", "collect", f"item 2 of what mitozoo_models() returned is of type object; {RETURN}"),
    "rubbish-kind": ("broken", "collect", f"item 1 of what mitozoo_models() returned is of type DatasetSpec; {RETURN}"),
    "newfield": ("needs a newer mitozoo", "collect", f"needs mitozoo >= 9.1, and this is {mitozoo.__version__}"),
    "newfield-unsaid": (
        "needs a newer mitozoo", "collect", "needs a newer mitozoo: ModelSpec has no field 'qubits'"
    ),
    "newname": ("needs a newer mitozoo", "import", "needs a newer mitozoo: mitozoo has no 'Hologram'"),
    "newhook": ("needs a newer mitozoo", "register", f"needs mitozoo >= 9.1, and this is {mitozoo.__version__}"),
    "future": (
        "needs a newer mitozoo", "version", "needs a newer mitozoo: it keeps to contract v2, this one to v1"
    ),
    "past": ("needs an older mitozoo", "version", "needs an older mitozoo: it keeps to contract v0, this one to v1"),
}  # fmt: skip


@pytest.mark.parametrize("name", EXPECTED)
def test_broken_plugin_is_a_row(name, zoo_rows):
    row = zoo_rows[name]
    assert (row["status"], row["stage"], row["reason"]) == EXPECTED[name]
    assert row["models"] == row["datasets"] == []


def test_unknown_hook_argument_is_named_with_its_hook(zoo_rows):
    row = zoo_rows["argument"]
    assert (row["status"], row["stage"]) == ("broken", "register")
    assert "mitozoo_models(registry)" in row["reason"]
    assert "{'registry'}" in row["reason"]
    assert row["reason"].endswith(ALL_HOOKS)


def test_missing_required_field_is_named(zoo_rows):
    assert zoo_rows["incomplete"]["stage"] == "import"
    assert "missing" in zoo_rows["incomplete"]["reason"]
    assert "'license'" in zoo_rows["incomplete"]["reason"]


def test_healthy_plugins_work_beside_broken_ones(zoo_rows):
    for name in ("good", "generator", "prints", "both", "same", "other-door"):
        assert (zoo_rows[name]["status"], zoo_rows[name]["stage"], zoo_rows[name]["reason"]) == ("ok", "done", "")
    assert zoo_rows["generator"]["models"] == ["first", "second"]
    assert zoo_rows["good"]["datasets"] == ["good-cells"]
    assert not zoo_rows["good"]["slow"]


def test_one_row_where_a_distribution_serves_two_contracts(zoo_rows):
    assert zoo_rows["both"]["models"] == ["both"]


def test_distribution_names_are_normalised(zoo_rows):
    assert zoo_rows["Odd.Name"]["distribution"] == "mitozoo-plugin-odd-name"


def test_rows_are_sorted(zoo):
    rows = json.loads(run_mitozoo("plugins", "--json", sites=(zoo,)).stdout)
    keys = [(row["distribution"], row["name"]) for row in rows]
    assert keys == sorted(keys)


def test_what_a_plugin_prints_goes_to_stderr(zoo):
    done = run_mitozoo("models", "--json", sites=(zoo,), MITOZOO_PLUGINS="prints")
    assert [model["name"] for model in json.loads(done.stdout)] == ["chatty"]
    assert "hello at import" in done.stderr
    assert "hello in a hook" in done.stderr


def test_lists_name_the_plugins_that_do_not_work(zoo):
    done = run_mitozoo("models", sites=(zoo,), MITOZOO_PLUGINS="lemur,good,exits")
    assert done.returncode == 0
    assert "good" in done.stdout
    assert done.stderr == "2 plugins do not work: exits, lemur (see why: mitozoo plugins)\n"


def test_traceback_shows_where_it_failed(zoo):
    done = run_mitozoo("plugins", "--traceback", "lemur", sites=(zoo,))
    assert done.returncode == 0
    assert "import fairscale" in done.stdout
    assert done.stdout.endswith("ModuleNotFoundError: No module named 'fairscale'\n")


def test_strict_raises_with_the_cause(zoo):
    done = run_mitozoo("models", sites=(zoo,), MITOZOO_PLUGINS="lemur", MITOZOO_STRICT="1", MITOZOO_TRACEBACK="1")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Error: mitozoo-plugin-lemur 1.0.0 failed to import: No module named 'fairscale'\n" in done.stderr
    assert "direct cause" in done.stderr
    assert run_mitozoo("models", sites=(zoo,), MITOZOO_PLUGINS="good", MITOZOO_STRICT="1").returncode == 0


@pytest.mark.parametrize(
    ("variables", "imported"),
    [
        ({"MITOZOO_PLUGINS": "good"}, ["mitozoo_plugin_good"]),
        ({"MITOZOO_PLUGINS": "Mitozoo_Plugin.Good, prints"}, ["mitozoo_plugin_good", "mitozoo_plugin_prints"]),
        (
            {"MITOZOO_PLUGINS": "good,prints", "MITOZOO_DISABLE_PLUGINS": "mitozoo-plugin-prints"},
            ["mitozoo_plugin_good"],
        ),
    ],
)
def test_disabled_plugins_are_not_imported(variables, imported, zoo, tmp_path):
    log = tmp_path / "imports"
    done = run_mitozoo("plugins", "--json", sites=(zoo,), IMPORT_LOG=str(log), **variables)
    assert log.read_text().split() == imported
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["lemur"]["status"] == "disabled"
    assert rows["lemur"]["reason"] == "MITOZOO_PLUGINS does not name it"
    if "MITOZOO_DISABLE_PLUGINS" in variables:
        assert rows["prints"]["reason"] == "MITOZOO_DISABLE_PLUGINS names it"


def test_help_imports_no_plugin(zoo, tmp_path):
    log = tmp_path / "imports"
    assert run_mitozoo("--help", sites=(zoo,), IMPORT_LOG=str(log)).returncode == 0
    assert not log.exists()


def test_unreadable_metadata_hurt_nobody(zoo, tmp_path: Path):
    for folder, entry_points in {"nameless-1.0.dist-info": b"[mitozoo.v1]\na = b\n"}.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "entry_points.txt").write_bytes(entry_points)
    garbled = tmp_path / "garbled-1.0.dist-info"
    garbled.mkdir()
    (garbled / "METADATA").write_text("Metadata-Version: 2.1\nName: garbled\nVersion: 1.0\n")
    (garbled / "entry_points.txt").write_text("[mitozoo.v1]\nno equals sign\n")
    done = run_mitozoo("plugins", "--json", sites=(tmp_path, zoo), MITOZOO_DISABLE_PLUGINS="lemur")
    rows = {row["distribution"]: row for row in json.loads(done.stdout)}
    assert rows["mitozoo-plugin-good"]["status"] == "ok"
    for distribution in ("garbled", "(unnamed distribution)"):
        assert rows[distribution]["status"] == "broken"
        assert rows[distribution]["reason"].startswith("its metadata cannot be read: ")
