"""Starting: help and lists are instant, and need no heavy package; errors end in a line and the right exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_distributions import Tiny, hook, offering, run_mitozoo
from yardstick import slowness

import mitozoo
from mitozoo.cli import COMMANDS

REPOSITORY = Path(__file__).parents[2]
HEAVY = (
    "torch", "torchvision", "timm", "numpy", "pandas", "scipy", "sklearn", "PIL", "openslide", "tifffile", "pyarrow",
    "rich", "transformers", "open_clip", "huggingface_hub", "httpx2",
    "mlflow", "tensorboard", "wandb", "prometheus_client",
)  # fmt: skip


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory) -> Path:
    """Return a folder of modules that fail loudly when anything imports them."""
    folder = tmp_path_factory.mktemp("poisoned")
    for name in HEAVY:
        (folder / f"{name}.py").write_text(f"raise RuntimeError('somebody imports {name}')\n")
    return folder


@pytest.fixture(scope="module")
def site(installed) -> Path:
    return installed(
        Tiny("mitozoo-plugin-toy", offering("[model('toy', gated=True)]", "[dataset('toy-cells', synthetic=True)]")),
        Tiny("mitozoo-plugin-lemur", "import fairscale"),
    )


def test_poison_works(poisoned, site):
    eager = site.parent / "eager.py"
    eager.write_text("import torch")
    done = subprocess.run(
        [sys.executable, str(eager)], env=os.environ | {"PYTHONPATH": str(poisoned)}, capture_output=True, check=False
    )
    assert b"somebody imports torch" in done.stderr


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_needs_nothing_heavy(argument, poisoned):
    done = run_mitozoo(argument, sites=(poisoned,))
    assert (done.returncode, done.stderr) == (0, "")


EVERY_HELP = """
from click.testing import CliRunner
from mitozoo.cli import COMMANDS, main
for command in COMMANDS:
    done = CliRunner().invoke(main, [command, "--help"], prog_name="mitozoo")
    assert (done.exit_code, done.stderr) == (0, ""), (command, done.stderr)
    assert done.stdout.startswith(f"Usage: mitozoo {command} "), done.stdout
"""


def test_help_of_no_command_needs_anything_heavy(poisoned):
    """One process asks for the help of all."""
    done = subprocess.run(
        [sys.executable, "-c", EVERY_HELP],
        env=os.environ | {"PYTHONPATH": str(poisoned)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_help_names_every_command(poisoned):
    done = run_mitozoo("--help", sites=(poisoned,))
    for command, (_, line) in COMMANDS.items():
        assert f"  {command} " in done.stdout
        assert line in done.stdout


@pytest.mark.parametrize("command", ["models", "datasets", "plugins"])
def test_lists_need_nothing_heavy(command, poisoned, site):
    done = run_mitozoo(command, "--json", sites=(poisoned, site))
    assert done.returncode == 0
    text = done.stdout + done.stderr
    assert "somebody imports" not in text  # neither the core nor any plugin installed here
    assert "toy" in text
    assert json.loads(done.stdout)


def test_unknown_name_needs_nothing_heavy(poisoned, site):
    done = run_mitozoo("info", "--kind", "model", "tooy", sites=(poisoned, site))
    assert done.returncode == 2
    assert done.stderr == "Error: there is no model 'tooy'\nDid you mean 'toy'? See them all: mitozoo models\n"
    assert done.stdout == ""


def test_help_imports_no_poisoned_plugin(installed):
    site = installed(Tiny("mitozoo-plugin-poison", "raise SystemExit('imported')"))
    done = run_mitozoo("--help", sites=(site,))
    assert (done.returncode, done.stderr) == (0, "")
    assert "imported" in run_mitozoo("plugins", sites=(site,)).stdout


TRIES = 5


@pytest.mark.parametrize(("arguments", "seconds"), [(["--help"], 0.15), (["models"], 0.3), (["info", "resnet5"], 0.5)])
def test_starting_is_fast_with_every_plugin_installed(arguments, seconds):
    """Processor seconds of the best try, as on a quiet machine, where they are the clock's."""
    taken = []
    for _ in range(TRIES):
        slower, before = slowness(), os.times()
        done = run_mitozoo(*arguments, PYTHONDONTWRITEBYTECODE="")  # the first one may write byte code
        after = os.times()
        assert done.returncode == (2 if "info" in arguments else 0)
        spent = after.children_user + after.children_system - before.children_user - before.children_system
        taken.append(spent / slower)
        if taken[-1] < seconds:
            return
    pytest.fail(f"none of {taken} is below {seconds}")


IMPORT_ALL = """
import time
from yardstick import slowness
from mitozoo.plugins.registry import load_registry
registry = load_registry()
slower, began = slowness(), time.process_time()
rows = registry.rows
spent = time.process_time() - began
print(sum(row.works for row in rows), spent / slower)
"""


def test_importing_every_plugin_is_fast():
    """The import of each plugin's module, its records' validation, and the registry's own work."""
    measured = []
    for _ in range(TRIES):
        done = subprocess.run(
            [sys.executable, "-c", IMPORT_ALL],
            env=os.environ | {"PYTHONPATH": str(REPOSITORY / "tests"), "PYTHONDONTWRITEBYTECODE": ""},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        works, seconds = done.stdout.split()
        measured.append(float(seconds))
        assert int(works) >= len(list((REPOSITORY / "plugins").iterdir())) > 40
        if measured[-1] < 0.05:
            return
    pytest.fail(f"none of {measured} is below 0.05")


def test_version():
    assert run_mitozoo("--version").stdout == f"mitozoo {mitozoo.__version__}\n"


def test_installed_command_is_the_module():
    from importlib.metadata import entry_points

    [script] = entry_points(group="console_scripts", name="mitozoo")
    assert script.value == "mitozoo.cli:main"


def test_unknown_command_is_guessed():
    done = run_mitozoo("modles")
    assert done.returncode == 2
    assert "there is no command 'modles'. Did you mean 'models'?" in done.stderr


def test_unavailable_model_is_told_in_two_lines(site):
    done = run_mitozoo("info", "lemur", sites=(site,))
    assert done.returncode == 2
    assert done.stderr == (
        "Error: 'lemur' is not available: mitozoo-plugin-lemur 1.0.0 failed to import: No module named 'fairscale'\n"
        "Try: pip install --upgrade mitozoo-plugin-lemur      (details: mitozoo plugins --traceback lemur)\n"
    )


@pytest.mark.parametrize("variables", [{}, {"MITOZOO_TRACEBACK": "1"}])
def test_bug_is_one_line_and_a_traceback_on_demand(variables, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, types\n"
        "class Registry(types.ModuleType):\n"
        "    def __getattr__(self, name): raise RuntimeError('out of order')\n"
        "sys.modules['mitozoo.plugins.registry'] = Registry('mitozoo.plugins.registry')\n"
    )
    done = run_mitozoo("models", sites=(tmp_path,), **variables)
    assert done.returncode == 70
    assert "Error: this is a bug in mitozoo or a plugin: RuntimeError: out of order\n" in done.stderr
    assert ("Traceback" in done.stderr) == bool(variables)


def test_closed_pipe_is_quiet(installed):
    crowd = installed(Tiny("mitozoo-plugin-crowd", hook("return [model(f'model-{n:04}') for n in range(2000)]")))
    process = subprocess.Popen(
        [sys.executable, "-m", "mitozoo", "models"],
        env=os.environ | {"PYTHONPATH": str(crowd)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    stderr = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=20) == 141
    assert stderr == b""
