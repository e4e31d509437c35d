"""No model gives other features under the same major version of its plugin."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from typing import get_args

import pytest
from script_files import REPOSITORY, load_script

from mitozoo.errors import SpecError
from mitozoo.plugins.model_spec import Pooling, Precision
from mitozoo.plugins.preprocessing import Interpolation, MppBasis, Resize
from mitozoo.plugins.registry import load_registry
from mitozoo.plugins.sources import Checkpoint, PackagedWeights, Source, TimmHub, TransformersHub

fingerprints = load_script(".ci/fingerprints.py")
REGENERATE = "then keep the new fingerprints: python .ci/fingerprints.py --write"


@pytest.fixture(scope="module")
def now():
    return fingerprints.of_this_tree()


@pytest.fixture(scope="module")
def golden():
    return fingerprints.read(fingerprints.GOLDEN.read_text())


def test_no_fingerprint_changed_without_a_major_bump(golden, now):
    changed = fingerprints.changed_without_bump(golden, now)
    assert not changed, f"raise the major version of these plugins, {REGENERATE}: {changed}"


def test_every_fingerprint_is_kept(golden, now):
    differing = sorted(name for name in golden.keys() | now.keys() if golden.get(name) != now.get(name))
    assert not differing, f"look whether this is meant, {REGENERATE}: {differing}"


def test_what_is_kept_is_written_as_it_is_read(golden):
    assert fingerprints.GOLDEN.read_text() == fingerprints.dump(golden)


def test_every_plugin_with_models_is_looked_at(now):
    offering = {
        file.parent.name
        for file in (REPOSITORY / "plugins").glob("*/pyproject.toml")
        if any("def mitozoo_models" in module.read_text() for module in file.parent.rglob("*.py"))
    }
    bridge = {"mitozoo-plugin-slide2vec"}  # offers nothing where slide2vec is not installed
    assert {name.partition("/")[0] for name in now} == offering - bridge


WORDS = {
    "pooling": Pooling, "resize": Resize, "interpolation": Interpolation, "precision": Precision, "mpp_basis": MppBasis,
}  # fmt: skip


def other_values(name: str, value: object) -> list[object]:
    """Return what could stand in a field's place by mistake."""
    if name in WORDS:
        return [word for word in get_args(WORDS[name]) if word != value]
    if name == "mapping":
        return [{"names": "order", "order": "names"}[value]]
    if name in ("revision", "sha256"):
        return ["0" * (40 if name == "revision" else 64)]
    if name == "output":
        return ["pooler_output", "encode_image"]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int | float):
        return [value + 1, value - 1, value + 0.01]
    if isinstance(value, str):
        return [f"{value}x", "timm:another"]
    if isinstance(value, Mapping):
        return [{**value, "x": "y"}, dict(list(value.items())[1:])]
    if isinstance(value, tuple):
        return [(*value, "x"), (*value[:-1], value[-1] * 0.99) if value and isinstance(value[-1], float) else ()]
    return ["another", 0.7]


def with_another(name: str, record):
    """Yield copies of a record with another value in one field, as far as the record itself does not refuse it."""
    for value in other_values(name, getattr(record, name)):
        try:
            other = dataclasses.replace(record, **{name: value})
        except (SpecError, TypeError):
            continue
        if getattr(other, name) != getattr(record, name):
            yield other


def test_a_change_of_any_field_that_can_change_a_feature_changes_the_kept_fingerprint(golden):
    """What no source outside states (antialias, arguments, renaming, ...) cannot be edited unseen either."""
    changes: Counter[tuple[str, str]] = Counter()
    for one in load_registry().models:
        if one.qualified_name not in golden:
            continue
        spec, kept = one.spec, golden[one.qualified_name][1]
        assert spec.fingerprint() == kept
        for part in ("preprocessing", "load"):
            record = getattr(spec, part)
            if part == "load" and not isinstance(record, Source):
                continue  # a function: its module's text is what counts
            for name in record.fingerprinted or [field.name for field in dataclasses.fields(record)]:
                for other in with_another(name, record):
                    changes[part, name] += 1
                    assert dataclasses.replace(spec, **{part: other}).fingerprint() != kept, (spec.name, part, name)
        for name in ("embed_dim", "pooling", "prefix_tokens"):
            for other in with_another(name, spec):
                changes["", name] += 1
                assert other.fingerprint() != kept, (spec.name, name)
    assert changes.total() > 1000
    kinds = (Checkpoint, PackagedWeights, TimmHub, TransformersHub)
    fields = {field.name for kind in kinds for field in dataclasses.fields(kind)}
    assert fields == {name for part, name in changes if part == "load"}


def test_all_else_that_a_model_states_is_kept_too():
    now = fingerprints.dump_statements(fingerprints.stated_in_this_tree())
    kept = fingerprints.STATED.read_text()
    differing = [line for line in now.splitlines() if line not in kept.splitlines()]
    assert now == kept, f"look whether this is meant, {REGENERATE}: {differing[:3]}"


def test_a_change_of_any_other_field_changes_what_is_kept():
    """Licence, gate, precision, pretraining data, parameters, adapters' targets: none can be edited unseen."""
    changed: set[str] = set()
    for one in load_registry().models:
        spec = one.spec
        before = fingerprints.statements(spec)
        for name in before:
            owner, _, field = name.rpartition(".")
            record = getattr(spec, owner) if owner else spec
            for other in with_another(field, record):
                whole = dataclasses.replace(spec, **{owner: other}) if owner else other
                assert fingerprints.statements(whole) != before, (spec.name, name)
                changed.add(name)
    assert {"license", "reference", "precision", "pretraining", "parameters", "lora_targets", "gated"} <= changed
    assert {"requires", "side_effects", "unverified", "license_conflict", "title"} <= changed


KEPT = {"p/a": (1, "aa"), "p/b": (1, "bb"), "q/c": (2, "cc")}


@pytest.mark.parametrize(
    ("now", "changed"),
    [
        (KEPT, {}),
        (KEPT | {"p/new": (1, "dd")}, {}),
        (KEPT | {"p/a": (1, "other")}, {"p/a": "gives other features"}),
        (KEPT | {"p/a": (2, "other"), "p/b": (2, "bb")}, {}),
        ({"p/a": (1, "aa"), "q/c": (2, "cc")}, {"p/b": "is offered no longer"}),
        ({"p/a": (1, "aa"), "p/b": (1, "bb")}, {}),  # a plugin taken out as a whole
        ({"p/a": (2, "aa"), "q/c": (2, "other")}, {"q/c": "gives other features"}),
    ],
)
def test_only_a_change_under_the_same_major_version_counts(now, changed):
    assert fingerprints.changed_without_bump(KEPT, now) == changed


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Return a repository of its own, whose golden file keeps KEPT and whose models are `tree.now`."""
    git = fingerprints._git
    monkeypatch.setattr(fingerprints, "ROOT", tmp_path)
    monkeypatch.setattr(fingerprints, "GOLDEN", tmp_path / "golden.json")
    monkeypatch.setattr(fingerprints, "STATED", tmp_path / "statements.json")
    for name in ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(name, "someone")
    git("init", "--quiet")
    fingerprints.GOLDEN.write_text(fingerprints.dump(KEPT))
    git("add", ".")
    git("commit", "--quiet", "--no-gpg-sign", "-m", "kept")
    return tmp_path


def run(monkeypatch, *arguments: str, now=KEPT) -> int:
    monkeypatch.setattr(fingerprints, "of_this_tree", lambda: now)
    monkeypatch.setattr("sys.argv", ["fingerprints.py", *arguments])
    return fingerprints.main()


def test_writing_refuses_a_change_of_what_is_released_and_takes_any_other(tree, monkeypatch, capsys):
    changed = KEPT | {"p/a": (1, "other")}
    assert run(monkeypatch, "--write", now=changed) == 0
    assert fingerprints.read(fingerprints.GOLDEN.read_text()) == changed

    fingerprints._git("tag", "p-v1.2.0")
    capsys.readouterr()
    assert run(monkeypatch, "--write", now=KEPT) == 1
    assert "p/a gives other features: raise the major version in plugins/p/pyproject.toml" in capsys.readouterr().out
    assert fingerprints.read(fingerprints.GOLDEN.read_text()) == changed
    assert run(monkeypatch, "--write", now=dict.fromkeys(KEPT, (3, "x"))) == 0


def test_a_golden_file_edited_by_hand_is_found_by_comparing_commits(tree, monkeypatch):
    fingerprints._git("tag", "p-v1.0.0")
    assert run(monkeypatch, "--against", "HEAD") == 0
    fingerprints.GOLDEN.write_text(fingerprints.dump(KEPT | {"p/a": (1, "other")}))
    assert run(monkeypatch, "--against", "HEAD") == 1
    with pytest.raises(fingerprints.subprocess.CalledProcessError):
        run(monkeypatch, "--against", "no-such-commit")
