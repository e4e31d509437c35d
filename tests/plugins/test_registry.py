"""Names: claimed, never stolen; qualified names always work; an unknown one is answered with what to type next."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest
from tiny_distributions import Tiny, offering, run_mitozoo

from mitozoo.errors import MitozooError, PluginError, UnknownNameError
from mitozoo.plugins.registry import load_registry, reset_registry

if TYPE_CHECKING:
    from pathlib import Path


def unknown(call, name: str) -> UnknownNameError:
    with pytest.raises(UnknownNameError) as caught:
        call(name)
    return caught.value


def notes(registry, plugin: str) -> tuple[str, ...]:
    return next(row.notes for row in registry.rows if row.name == plugin)


def test_short_name_alias_and_qualified_name(zoo, registry_over):
    registry = registry_over(zoo)
    good = registry.model("good")
    assert (good.spec.name, good.plugin, good.version) == ("good", "mitozoo-plugin-good", "1.0.0")
    assert good.qualified_name == "mitozoo-plugin-good/good"
    assert good.short_name_works
    assert good.shown_name == "good"
    assert registry.model("fine") == good
    for name in ("mitozoo-plugin-good/good", "Mitozoo_Plugin.Good/good", "mitozoo-plugin-good/fine"):
        assert registry.model(name).spec == good.spec
    assert registry.dataset("good-cells").spec.positive_class == "mitotic figure"


def test_registry_is_made_once_and_forgotten_on_demand(zoo, registry_over):
    registry = registry_over(zoo)
    assert load_registry() is registry
    reset_registry()
    assert load_registry() is not registry


def test_lists_are_sorted_and_hold_nothing_of_broken_plugins(zoo, registry_over):
    names = [model.spec.name for model in registry_over(zoo).models]
    assert names == sorted(names)
    assert {"good", "first", "second", "chatty", "door", "both"} <= set(names)
    assert not {"quantum", "twice", "alone", "unmarked"} & set(names)


def test_name_of_two_distributions_works_only_qualified(zoo, registry_over):
    registry = registry_over(zoo)
    error = unknown(registry.model, "gibbon")
    assert error.message == "'gibbon' is offered by 2 plugins"
    assert error.hint == "Say which: acme-gibbon/gibbon or mitozoo-plugin-gibbon/gibbon"
    for distribution in ("acme-gibbon", "mitozoo-plugin-gibbon"):
        assert registry.model(f"{distribution}/gibbon").plugin == distribution
    shown = [model.shown_name for model in registry.models if model.spec.name == "gibbon"]
    assert shown == ["acme-gibbon/gibbon", "mitozoo-plugin-gibbon/gibbon"]
    assert any("only as acme-gibbon/gibbon" in note for row in registry.rows for note in row.notes)


def test_models_and_datasets_have_namespaces_of_their_own(zoo, registry_over):
    assert registry_over(zoo).dataset("gibbon").plugin == "mitozoo-plugin-gibbon"


def test_name_beats_an_alias_and_the_row_says_so(zoo, registry_over):
    registry = registry_over(zoo)
    assert registry.model("good").plugin == "mitozoo-plugin-good"
    assert "alias 'good' is dropped: it is the name of mitozoo-plugin-good/good" in notes(registry, "generator")


def test_alias_of_two_distributions_works_only_qualified(zoo, registry_over):
    registry = registry_over(zoo)
    error = unknown(registry.model, "shared")
    assert error.hint == "Say which: mitozoo-plugin-good/good or mitozoo-plugin-generator/second"
    assert registry.model("mitozoo-plugin-good/shared").spec.name == "good"
    assert any("'shared'" in note for note in notes(registry, "good"))


def test_qualified_name_imports_its_distribution_alone(zoo, tmp_path):
    log = tmp_path / "imports"
    done = run_mitozoo("info", "mitozoo-plugin-odd-name/odd", "--json", sites=(zoo,), IMPORT_LOG=str(log))
    assert log.read_text().split() == ["mitozoo_plugin_odd_name"]
    found = json.loads(done.stdout)
    assert (found["kind"], found["name"]) == ("model", "odd")
    assert not found["short_name_works"]  # nobody else was asked


def test_typo_is_answered_with_the_nearest_names(zoo, registry_over):
    error = unknown(registry_over(zoo).model, "chatyy")
    assert error.message == "there is no model 'chatyy'"
    assert error.hint == "Did you mean 'chatty'? See them all: mitozoo models"


def test_typo_in_a_qualified_name(zoo, registry_over):
    error = unknown(registry_over(zoo).model, "mitozoo-plugin-good/god")
    assert "Did you mean 'mitozoo-plugin-good/good'" in error.hint


def test_dataset_asked_for_as_a_model(zoo, registry_over):
    registry = registry_over(zoo)
    assert unknown(registry.model, "good-cells").message == "'good-cells' is a dataset, not a model"
    assert unknown(registry.dataset, "chatty").message == "'chatty' is a model, not a dataset"


@pytest.mark.parametrize("asked", ["lemur", "mitozoo-plugin-lemur", "mitozoo-plugin-lemur/lemur", "lemur2", "Lemur"])
def test_model_of_a_broken_plugin(asked, zoo, registry_over):
    error = unknown(registry_over(zoo).model, asked)
    assert str(error) == (
        f"'{asked}' is not available: mitozoo-plugin-lemur 1.0.0 failed to import: No module named 'fairscale'\n"
        "Try: pip install --upgrade mitozoo-plugin-lemur      (details: mitozoo plugins --traceback lemur)"
    )


def test_model_of_a_disabled_plugin(zoo, registry_over, monkeypatch):
    monkeypatch.setenv("MITOZOO_DISABLE_PLUGINS", "prints")
    error = unknown(registry_over(zoo).model, "prints")
    assert error.message == (
        "'prints' is not available: mitozoo-plugin-prints 1.0.0 is disabled: MITOZOO_DISABLE_PLUGINS names it"
    )
    assert error.hint == "Try: change the environment variable MITOZOO_DISABLE_PLUGINS"


@pytest.mark.parametrize(
    ("asked", "why", "hint"),
    [
        ("future", "3.0 needs a newer mitozoo: it keeps to contract v2, this one to v1", "mitozoo"),
        ("past", "1.0.0 needs an older mitozoo: it keeps to contract v0, this one to v1", "mitozoo-plugin-past"),
        ("newfield-unsaid", "1.0.0 needs a newer mitozoo: ModelSpec has no field 'qubits'", "mitozoo"),
    ],
)
def test_model_of_a_plugin_for_another_mitozoo(asked, why, hint, zoo, registry_over):
    error = unknown(registry_over(zoo).model, asked)
    assert error.message == f"'{asked}' is not available: mitozoo-plugin-{asked} {why}"
    assert error.hint == f"Try: pip install --upgrade {hint}"


def test_nothing_like_it_names_every_plugin_that_might_offer_it(zoo, registry_over, monkeypatch):
    monkeypatch.setenv("MITOZOO_PLUGINS", "lemur")
    registry = registry_over(zoo)
    failed = [row for row in registry.rows if not row.works]
    error = unknown(registry.model, "zzzzzz")
    assert f"and {len(failed) - 3} more" in error.message
    assert error.hint.startswith("See what works: mitozoo plugins")


def test_healthy_name_is_preferred_to_a_broken_plugin_of_that_name(installed, registry_over):
    site = installed(Tiny("mitozoo-plugin-twin", "import nowhere"), Tiny("acme-twin", offering("[model('twin')]")))
    assert "Did you mean 'twin'" in unknown(registry_over(site).model, "twinn").hint


def test_first_of_two_copies_counts(installed, registry_over):
    newer = installed(Tiny("mitozoo-plugin-copy", offering("[model('copy')]"), version="2.0"))
    older = installed(Tiny("mitozoo-plugin-copy", offering("[model('stale')]"), version="1.0"))
    registry = registry_over(newer, older)
    assert [row.version for row in registry.rows if row.name == "copy"] == ["2.0"]
    assert registry.model("copy").version == "2.0"


def test_copy_without_entry_points_hides_the_one_behind_it(installed, registry_over):
    newer = installed(Tiny("mitozoo-plugin-moved", "pass", version="2.0", group="other.group"))
    older = installed(Tiny("mitozoo-plugin-moved", offering("[model('moved')]"), version="1.0"))
    assert "moved" not in [row.name for row in registry_over(newer, older).rows]


def test_strict_raises_a_plugin_error_with_its_cause(zoo, registry_over, monkeypatch):
    monkeypatch.setenv("MITOZOO_STRICT", "1")
    monkeypatch.setenv("MITOZOO_PLUGINS", "lemur")
    with pytest.raises(PluginError, match="failed to import: No module named 'fairscale'") as caught:
        registry_over(zoo).models  # noqa: B018
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_row_keeps_the_exception_and_its_traceback(zoo, registry_over):
    row = next(row for row in registry_over(zoo).rows if row.name == "raises")
    assert isinstance(row.error, RuntimeError)
    assert row.error.__traceback__ is not None


def test_keyboard_interrupt_is_never_swallowed(installed, registry_over):
    site = installed(Tiny("mitozoo-plugin-interrupted", "raise KeyboardInterrupt"))
    registry = registry_over(site)
    for _ in range(2):  # the second time shows that nothing half-loaded stayed
        with pytest.raises(KeyboardInterrupt):
            registry.model("mitozoo-plugin-interrupted/any")


def test_timeout_that_is_no_number(zoo, registry_over, monkeypatch):
    monkeypatch.setenv("MITOZOO_IMPORT_TIMEOUT", "soon")
    with pytest.raises(MitozooError, match="MITOZOO_IMPORT_TIMEOUT is 'soon'"):
        registry_over(zoo)


@pytest.fixture(scope="module")
def crowd(installed) -> Path:
    code = offering("[model(f'model-{n:04}', aliases=[f'm{n}']) for n in range(1000)]")
    return installed(Tiny("mitozoo-plugin-crowd", code))


def test_a_thousand_models(crowd, registry_over):
    registry = registry_over(crowd)
    assert sum(model.plugin == "mitozoo-plugin-crowd" for model in registry.models) == 1000
    began = time.process_time()
    error = unknown(registry.model, "modle-0500")
    assert time.process_time() - began < 0.3
    assert "'model-0500'" in error.hint
    done = run_mitozoo("models", sites=(crowd,))
    assert done.returncode == 0
    assert done.stdout.count("mitozoo-plugin-crowd") == 1000


def test_torch_at_import_works_and_is_marked_slow(installed):
    torch_inside = "import torch\n" + offering("[model('eager')]")
    site = installed(Tiny("mitozoo-plugin-eager", torch_inside), Tiny("mitozoo-plugin-later", torch_inside))
    done = run_mitozoo("plugins", sites=(site,), MITOZOO_PLUGINS="eager,later")
    lines = [line for line in done.stdout.splitlines() if "mitozoo-plugin-eager" in line or "plugin-later" in line]
    assert len(lines) == 2
    for line in lines:  # the second one finds torch imported already
        assert "ok, slow" in line
        assert "imports torch at import" in line
