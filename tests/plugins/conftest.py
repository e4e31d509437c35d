"""A zoo of healthy and broken plugins, installed once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tiny_distributions import RECORDS, Tiny, hook, offering, run_mitozoo

from mitozoo.plugins.registry import Registry, load_registry, reset_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


RUBBISH = {
    "rubbish-none": hook("pass"),
    "rubbish-text": hook("return 'virchow'"),
    "rubbish-number": hook("return 7"),
    "rubbish-one": hook("return model('alone')"),
    "rubbish-table": hook("return {'name': model('alone')}"),
    "rubbish-items": hook("return [model('alone'), object()]"),
    "rubbish-kind": hook("return [dataset('alone')]"),
}

PRINTS = "print('hello at import')\n" + hook("print('hello in a hook'); return [model('chatty')]")
DOOR = hook("return [model('door')]")

ZOO = (
    Tiny("mitozoo-plugin-good", offering("[model('good', aliases=['fine', 'shared'])]", "[dataset('good-cells')]")),
    Tiny("mitozoo-plugin-generator", hook("yield model('first'); yield model('second', aliases=['shared', 'good'])")),
    Tiny("mitozoo-plugin-lemur", "import fairscale"),
    Tiny("mitozoo-plugin-exits", "import sys\nsys.exit(3)"),
    Tiny("mitozoo-plugin-panics", "class Panic(BaseException): pass\nraise Panic('foreign code')"),
    Tiny("mitozoo-plugin-prints", PRINTS),
    Tiny("mitozoo-plugin-argument", hook("return []", arguments="registry")),
    Tiny("mitozoo-plugin-misspelt", hook("return []", name="mitozoo_model")),
    Tiny("mitozoo-plugin-unmarked", f"{RECORDS}\ndef mitozoo_models():\n    return [model('unmarked')]\n"),
    Tiny("mitozoo-plugin-idle", "ANSWER = 42"),
    Tiny("mitozoo-plugin-raises", hook("raise RuntimeError('boom\\nsecond line')")),
    Tiny("mitozoo-plugin-newfield", hook("return [model('quantum', qubits=3)]"), requires=("mitozoo>=9.1", "torch")),
    Tiny("mitozoo-plugin-newfield-unsaid", hook("return [model('quantum', qubits=3)]"), requires=("mitozoo>=0.1",)),
    Tiny("mitozoo-plugin-newname", "from mitozoo import Hologram"),
    Tiny("mitozoo-plugin-newhook", hook("return []", name="mitozoo_protocols"), requires=("mitozoo>=9.1",)),
    Tiny("mitozoo-plugin-incomplete", "from mitozoo import ModelSpec\nSPEC = ModelSpec(name='half')"),
    Tiny("mitozoo-plugin-twice", hook("return [model('twice'), model('twice')]")),
    Tiny("mitozoo-plugin-two-doors", DOOR, further={"other-door": DOOR}),
    Tiny("mitozoo-plugin-same", DOOR, further={"same-again": ("mitozoo.v1", "mitozoo_plugin_same")}),
    Tiny("acme-gibbon", offering("[model('gibbon')]")),
    Tiny("mitozoo-plugin-gibbon", offering("[model('gibbon')]", "[dataset('gibbon')]")),
    Tiny("mitozoo-plugin-future", "raise AssertionError('imported')", version="3.0", group="mitozoo.v2"),
    Tiny("mitozoo-plugin-past", "raise AssertionError('imported')", group="mitozoo.v0"),
    Tiny(
        "mitozoo-plugin-both", offering("[model('both')]"), further={"both": ("mitozoo.v2", "nowhere")}
    ),
    Tiny("mitozoo-plugin-Odd.Name", offering("[model('odd')]")),
    Tiny("mitozoo-plugin-curious", "from mitozoo.plugins.registry import load_registry\nload_registry().models"),
    Tiny("mitozoo-plugin-rubbish", "SILENT = True", further=RUBBISH),
)  # fmt: skip


@pytest.fixture(scope="session")
def zoo(installed: Callable[..., Path]) -> Path:
    """Return a folder with the whole zoo installed."""
    return installed(*ZOO)


@pytest.fixture(scope="session")
def zoo_rows(zoo: Path) -> dict[str, dict[str, Any]]:
    """Return what `mitozoo plugins --json` says of the zoo, by entry point; nothing else stands on stdout."""
    done = run_mitozoo("plugins", "--json", sites=(zoo,))
    assert done.returncode == 0, done.stderr
    return {row["name"]: row for row in json.loads(done.stdout)}


@pytest.fixture
def registry_over(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Registry]]:
    """Return a function that gives this process's registry over further folders."""

    def over(*sites: Path) -> Registry:
        for site in reversed(sites):
            monkeypatch.syspath_prepend(site)
        reset_registry()
        return load_registry()

    yield over
    reset_registry()
