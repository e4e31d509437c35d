"""The tutorials are run as they stand: from an empty folder, each shell block in turn, in an environment of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest

from mitozoo.plugins.specs import ModelSpec

REPOSITORY = Path(__file__).parents[2]
TUTORIAL = REPOSITORY / "docs" / "write-a-model.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TUTORIAL.read_text(), re.DOTALL | re.MULTILINE)


@pytest.fixture
def commands(tmp_path) -> Path:
    """Return a folder with `pip`, `mitozoo` and `pytest` of a fresh environment that sees everything installed here."""
    uv = shutil.which("uv") or shutil.which(REPOSITORY / ".tools" / "bin" / "uv")
    if uv is None:
        pytest.skip("NOT TESTED: plugins are installed by `uv`, and there is no `uv` here")
    venv.create(tmp_path / "environment", symlinks=True)
    python = tmp_path / "environment" / "bin" / "python"
    site = next((tmp_path / "environment").glob("lib/python*/site-packages"))
    here = sysconfig.get_path("purelib")
    (site / "everything-here.pth").write_text(f"import site; site.addsitedir({here!r})\n")
    folder = tmp_path / "commands"
    folder.mkdir()
    for name, line in {
        "pip": f'verb=$1; shift; exec "{uv}" pip "$verb" --quiet --offline --no-deps --python "{python}" "$@"',
        "mitozoo": f'exec "{python}" -m mitozoo "$@"',
        "pytest": f'exec "{python}" -m pytest -p no:cacheprovider "$@"',
    }.items():
        (folder / name).write_text(f"#!/bin/sh\n{line}\n")
        (folder / name).chmod(0o755)
    return folder


@pytest.mark.slow
def test_model_tutorial_from_an_empty_folder_to_a_result(tmp_path, commands):
    empty = tmp_path / "empty"
    empty.mkdir()
    wishes = {"PATH": f"{commands}{os.pathsep}{os.environ['PATH']}", "HF_HUB_OFFLINE": "1"}
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | wishes
    said = ""
    for block in blocks("sh"):
        done = subprocess.run(
            ["sh", "-euc", block], cwd=empty, env=environment, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        said += done.stdout + done.stderr
    assert "my-encoder: 16 PASS, 2 WARN, 0 FAIL" in said  # as the tutorial's text says: it warns twice
    assert re.search(r"my-encoder-demo-linear-probe-\w+  my-encoder  demo", said)  # mitozoo runs
    assert "1 passed" in said
    [result] = (empty / "runs").glob("*/result.json")
    assert '"my-encoder"' in result.read_text()
    written = {path.name for path in (empty / "mitozoo-plugin-my-encoder").iterdir() if path.is_file()}
    assert written == {"pyproject.toml", "mitozoo_plugin_my_encoder.py", "test_plugin.py", "README.md"}
    assert all(f"`{name}`" in TUTORIAL.read_text() for name in written)


def test_its_record_is_one():
    with_record, _ = blocks("python")
    names: dict = {}
    exec(with_record, names)
    [spec] = names["mitozoo_models"]()
    assert isinstance(spec, ModelSpec)

    from mitozoo.models.encoder import random_encoder

    encoder = random_encoder(spec, seed=0)  # also compares dimension and prefix tokens
    assert sum(parameter.numel() for parameter in encoder.network.parameters()) == spec.parameters


def test_its_function_gives_a_network():
    import torch

    names: dict = {}
    exec(blocks("python")[1], names)
    assert names["load_network"]()(torch.zeros(2, 3, 64, 64)).shape == (2, 64, 8, 8)


def test_it_names_every_check_and_tolerance():
    from mitozoo.testing import check_plugin
    from mitozoo.testing.network import TOLERANCE
    from mitozoo.testing.pixels import LARGEST_VALUE

    text = TUTORIAL.read_text()
    [table] = re.findall(r"\| check \|.*?(?=\n\n)", text, re.DOTALL)
    named = {word.strip() for row in table.splitlines()[2:] for word in row.split("|")[1].split(",")}
    report = check_plugin("mitozoo_plugin_controls")
    assert {finding.what for finding in report.findings} <= named
    assert f"at most {TOLERANCE:.0e} of".replace("e-0", "e-") in text
    assert f"stay within {LARGEST_VALUE:g};" in text
