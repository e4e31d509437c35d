"""Records: frozen to the bottom, JSON-able, picklable, and fingerprinted by what can change a number."""

from __future__ import annotations

import copy
import dataclasses
import functools
import hashlib
import importlib
import json
import math
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mitozoo.errors import SpecError
from mitozoo.plugins.record import FrozenMapping, Record, UnknownFieldError, canonical_json, record


def load_something() -> None:
    """Stand for a loader."""


@record
class Inner(Record):
    size: int
    names: tuple[str, ...] = ()


@record
class Outer(Record):
    fingerprinted: ClassVar = ("inner", "options", "load", "scale", "added_later")

    inner: Inner
    options: Mapping[str, Any]
    load: Callable[[], None] = load_something
    scale: float = 1.0
    title: str = ""
    added_later: tuple[int, ...] = ()


def outer(**changes: Any) -> Outer:
    return Outer(**{"inner": Inner(size=3), "options": {"a": 1, "b": [1, {"c": None}]}} | changes)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def shuffled(value: Any) -> Any:
    """Return equal plain data, its keys the other way round."""
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in reversed(value)}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


def thawed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: thawed(item) for key, item in value.items()}
    return [thawed(item) for item in value] if isinstance(value, tuple) else value


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(max_size=5), plain, max_size=3))
def test_plain_data_come_back_whatever_the_order(options):
    made = outer(options=options)
    assert thawed(made.options) == options
    assert json.loads(canonical_json(made.to_json()))["options"] == options
    twin = outer(options=shuffled(options))
    assert twin == made
    assert hash(twin) == hash(made)
    assert twin.fingerprint() == made.fingerprint()


def test_frozen_to_the_bottom():
    made = outer()
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.scale = 2.0
    with pytest.raises(TypeError):
        made.options["a"] = 2
    with pytest.raises(TypeError):
        made.options["b"][1]["c"] = 2
    assert made.options["b"] == (1, FrozenMapping({"c": None}))
    mutable = {"a": [1]}
    made = outer(options=mutable)
    mutable["a"].append(2)
    assert made.options["a"] == (1,)


@pytest.mark.parametrize("twin", [lambda made: pickle.loads(pickle.dumps(made)), copy.deepcopy, dataclasses.replace])
def test_copies_are_equal(twin):
    made = outer()
    assert twin(made) == made
    assert twin(made).fingerprint() == made.fingerprint()


def test_repr_reads_like_the_call():
    assert repr(Inner(size=1, names=["a"])) == "Inner(size=1, names=('a',))"
    assert repr(outer().options) == "{'a': 1, 'b': (1, {'c': None})}"


def test_to_json_writes_functions_and_records():
    assert outer(title="t").to_json() == {
        "record": "Outer",
        "inner": {"record": "Inner", "size": 3, "names": []},
        "options": {"a": 1, "b": [1, {"c": None}]},
        "load": f"{__name__}:load_something",
        "scale": 1.0,
        "title": "t",
        "added_later": [],
    }


def test_fingerprint_is_the_hash_of_what_is_listed_and_not_default():
    essence = '{"inner":{"record":"Inner","size":3},"options":{"a":1,"b":[1,{"c":null}]},"record":"Outer"}'
    assert outer().fingerprint() == hashlib.sha256(essence.encode()).hexdigest()


@pytest.mark.parametrize(
    "changes", [{"inner": Inner(size=4)}, {"inner": Inner(size=3, names=["x"])}, {"options": {}}, {"scale": 1.5},
                {"added_later": [0]}, {"load": functools.reduce}]
)  # fmt: skip
def test_every_listed_field_changes_the_fingerprint(changes):
    assert outer(**changes).fingerprint() != outer().fingerprint()


def test_what_is_not_listed_or_equal_changes_nothing():
    assert outer(title="other").fingerprint() == outer().fingerprint()
    assert outer(scale=1).fingerprint() == outer(scale=1.0).fingerprint()
    assert outer(options={"x": 2}).fingerprint() == outer(options={"x": 2.0}).fingerprint()


def test_fingerprint_covers_the_code_of_a_function(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    prints = []
    for number in range(2):
        (tmp_path / f"loaders_{number}.py").write_text(f"def load(): return {number}\n")
        module = __import__(f"loaders_{number}")
        module.load.__module__ = module.__name__
        prints.append(outer(load=module.load).fingerprint())
    expected = hashlib.sha256((tmp_path / "loaders_1.py").read_bytes()).hexdigest()
    essence = {
        "record": "Outer", "inner": {"record": "Inner", "size": 3}, "options": {"a": 1, "b": [1, {"c": None}]},
        "load": {"function": "loaders_1:load", "module_sha256": expected},
    }  # fmt: skip
    assert prints[1] == hashlib.sha256(canonical_json(essence).encode()).hexdigest()
    assert prints[0] != prints[1]


def test_unknown_field_is_named_and_survives_another_process():
    with pytest.raises(UnknownFieldError, match="Inner has no field 'colour' in this version of mitozoo") as caught:
        Inner(size=1, colour="red")
    error = pickle.loads(pickle.dumps(caught.value))
    assert (error.record_name, error.field, str(error)) == ("Inner", "colour", str(caught.value))


def test_positional_and_missing_fields_are_refused():
    with pytest.raises(TypeError):
        Inner(1)
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'size'"):
        Inner()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"a": math.nan}, r"Outer.options\['a'\] is nan; it must be a finite number"),
        ({"a": {1: 2}}, r"Outer.options\['a'\] must have text for keys"),
        ({"a": {1, 2}}, "holds a set; a record holds plain data"),
        ({"a": Path()}, "holds a PosixPath"),
        ({"a": lambda: None}, "must be a function that a module defines by name"),
        ({"a": functools.partial(load_something)}, "must be a function that a module defines by name"),
    ],
)
def test_what_cannot_become_json_is_refused_at_once(options, why):
    with pytest.raises(SpecError, match=why):
        outer(options=options)


LOADER_RECORD = """
from mitozoo.plugins.record import Record, record

@record
class Loader(Record):
    name: str

    def __call__(self):
        return self.name{}
"""


def test_a_record_that_can_be_called_is_fingerprinted_by_its_fields_and_its_code(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "loader_record_1.py").write_text(LOADER_RECORD.format(""))
    (tmp_path / "loader_record_2.py").write_text(LOADER_RECORD.format(".upper()"))
    first, second = (importlib.import_module(f"loader_record_{number}").Loader for number in (1, 2))
    assert first(name="a").fingerprint() == first(name="a").fingerprint()
    assert len({one.fingerprint() for one in (first(name="a"), first(name="b"), second(name="a"))}) == 3
    code = hashlib.sha256((tmp_path / "loader_record_1.py").read_bytes()).hexdigest()
    essence = canonical_json({"record": "Loader", "module_sha256": code, "name": "a"})
    assert first(name="a").fingerprint() == hashlib.sha256(essence.encode()).hexdigest()
    assert outer(load=first(name="a")).to_json()["load"] == {"record": "Loader", "name": "a"}
