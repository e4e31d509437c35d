"""The compiled validator and the one that tells where agree on every document."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from made_results import document

from mitozoo.results.schema import schema, violations


def addresses(value, at=()):
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield (*at, key)
        yield from addresses(part, (*at, key))


WHERE = list(addresses(document()))
ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=4), st.sampled_from([[], {}, 1.0, "0" * 64, "fp32", "done"]),
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(where=st.sampled_from(WHERE), odd=ODD, gone=st.booleans())
def test_both_say_the_same(where, odd, gone):
    made = copy.deepcopy(document())
    inner = made
    for key in where[:-1]:
        inner = inner[key]
    if gone and isinstance(inner, dict):
        del inner[where[-1]]
    else:
        inner[where[-1]] = odd
    assert (violations(made) == []) == Draft202012Validator(schema()).is_valid(made)


def test_where_it_breaks_is_told():
    assert violations(document()) == []
    assert violations(document() | {"precision": "fp8"}) == [
        "precision: 'fp8' is not one of "
        "['fp32', 'fp16', 'bf16', 'fp32+compiled', 'fp16+compiled', 'bf16+compiled', None]"
    ]
    assert violations([]) == ["the document: [] is not of type 'object'"]


def test_a_hash_ends_where_it_ends():
    assert violations(document() | {"run_id": "0" * 64 + "\n"})


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_json_cannot_say_is_no_number(number):
    made = document()
    made["conditions"]["label_noise"] = number
    assert violations(made)
