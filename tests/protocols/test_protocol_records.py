"""Protocols: frozen, hashed, named; a changed parameter shows in both name and hash, and none changes by accident."""

from __future__ import annotations

import dataclasses

import pytest

from mitozoo.errors import MitozooError, ProtocolError, SpecError, UnknownNameError
from mitozoo.plugins.record import record
from mitozoo.protocols.presets import PRESETS, find_protocol
from mitozoo.protocols.spec import Protocol, override

#: Never edit a line: a protocol that gives other scores gets another version, and a line of its own.
GOLDEN_HASHES = {
    "linear-probe@1": "af476740de1036f28e0dc484e8cd35bc7bc0d99369811e773ab5dbebb8679321",
    "knn@1": "79c2777461c248ebf0c788e20ff1a3c50eb9b4c69a2c0ce1dbf0763ff4cce267",
    "simpleshot@1": "c0188b226c781c0fd5b0bc7e24213c2a9f37c49fe29826f8c6ae87ccceb97826",
    "end-to-end@2": "63cf773c5fb2c1ecbb60d714e0f3e63c5d68c20df7f629324b6268039787ca0e",
    "end-to-end-short@2": "f4b126f664e96644f099a41f760bfaeaebf9634097d2e7079338755f64280637",
    "lora@1": "3d3a60045dbee81f1acf50ba009a6b8b2d7b4e747b7340ca55ad7d780ee4471c",
    "last-blocks@1": "6e8920754063b5e287b9708b9aaa3394043a214e0efaa4237d8faf99cc432f7a",
    "ammeling2026@1": "7e187487c39ce1726b445bffee459447358888e1b84801363cbf01f8845046f3",
    "ammeling2026-lora@1": "a2502779205f6f1436914bc9df94b04808f4fc8c462b12b0ed1d5a64b196fe5b",
    "ammeling2026-end-to-end@1": "c61a3dbbf49b1cc5b6f26507f58a4ebd4ae73cc8073c3f8e03d116ac0dc6e9ba",
    "ganz2025-inferred@1": "6d378958b3bccaebeffa5448022fad446761e1d6f2d9ec570e39fc7c9ebfecf2",
    "ganz2025-inferred-end-to-end@1": "87bf5ac35f7f073d608f619f33e127f6dfe3a50b50fa6444245f2ea04ff8b2fc",
    "ammeling2026-grouped@1": "ab4c0b8f12d7e6fa1ae8cbd2c433c2573134af9306412eb0809761a6c0e36af1",
    "ammeling2026-lora-grouped@1": "2f6368d97dbf1f9ad7b9d15620e0e78cb60a566ce62d09ac0fb7fade38c3ff9b",
    "ammeling2026-end-to-end-grouped@1": "59a9d63fcdc55f208eb2032752cf70300fc25a50a2f84025280809ada0ce5363",
    "ganz2025-inferred-grouped@1": "728c5f189227c60acfdc38a8b61254783ad8683bc7f718a7780af867c05c24ed",
    "ganz2025-inferred-end-to-end-grouped@1": "ccc0c32de3f576da90ff0edc2a034be118ab75196f953b86dc80824954d01202",
    "ami-br-benchmark@1": "33e205d92a7670de075df66520232846f2f42cc15a1580148f139bf72d9d3ae3",
}
PROBE, TRAINING = PRESETS["linear-probe"], PRESETS["end-to-end"]


def test_no_protocol_changes_without_a_new_version():
    assert {f"{preset.name}@{preset.version}": preset.hash for preset in PRESETS.values()} == GOLDEN_HASHES


def test_the_hash_covers_all_but_name_and_title():
    assert dataclasses.replace(PROBE, name="other", title="other").hash == PROBE.hash
    assert dataclasses.replace(PROBE, version=2).hash != PROBE.hash
    changes = {
        "geometry": "authors",
        "window_um": 64.0,
        "edge": "black",
        "split": "grouped",
        "outer_folds": 4,
        "split_seed": 1,
    }
    changes |= {
        "fraction_of": "cells",
        "inner_folds": 4,
        "lambdas": (1.0, 2.0),
        "give_up_after": 3,
        "fixed_lambda": 2.0,
    }
    fields = {field.name for field in dataclasses.fields(PROBE)} - {"name", "version", "title"}
    assert changes.keys() == fields
    hashes = {dataclasses.replace(PROBE, **{name: value}).hash for name, value in changes.items()}
    assert len(hashes | {PROBE.hash}) == len(changes) + 1


def test_equal_numbers_have_equal_hashes():
    assert dataclasses.replace(PROBE, window_um=56).hash == PROBE.hash
    assert dataclasses.replace(PROBE, fixed_lambda=1).hash == PROBE.hash


def test_a_protocol_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        PROBE.window_um = 64.0


@pytest.mark.parametrize("name", ["linear-probe", "linear-probe@1"])
def test_a_protocol_is_found_with_or_without_its_version(name):
    assert find_protocol(name) is PROBE


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("linear-prob", "did you mean 'linear-probe'"),
        ("linear-probe@9", "is at version 1"),
        ("xyz", "no protocol 'xyz'"),
    ],
)
def test_a_protocol_that_is_not_there_is_named(name, said):
    with pytest.raises(UnknownNameError, match=said):
        find_protocol(name)


# Changes


@pytest.mark.parametrize(
    ("settings", "name", "values"),
    [
        ({"window_um": "64"}, "linear-probe@1+window_um=64", {"window_um": 64.0}),
        ({"window_um": " 64.5 "}, "linear-probe@1+window_um=64.5", {"window_um": 64.5}),
        ({"split": "grouped", "edge": "black"}, "linear-probe@1+edge=black+split=grouped", {"edge": "black"}),
        ({"outer_folds": "3"}, "linear-probe@1+outer_folds=3", {"outer_folds": 3}),
        ({"lambdas": "0.1, 1,10"}, "linear-probe@1+lambdas=0.1,1,10", {"lambdas": (0.1, 1.0, 10.0)}),
        ({"lambdas": "1e-5"}, "linear-probe@1+lambdas=1e-05", {"lambdas": (1e-5,)}),
    ],
)
def test_a_change_shows_in_name_and_hash(settings, name, values):
    changed = override(PROBE, settings)
    assert changed.name == name
    assert {key: getattr(changed, key) for key in values} == values
    assert all(type(getattr(changed, key)) is type(value) for key, value in values.items())
    assert changed.hash != PROBE.hash
    assert changed == override(PROBE, dict(reversed(settings.items())))


def test_what_changes_nothing_is_no_change():
    assert override(PROBE, {}) is PROBE
    assert override(PROBE, {"window_um": "56", "edge": "reflect"}) is PROBE


def test_values_that_differ_have_names_that_differ():
    names = {override(PROBE, {"window_um": text}).name for text in ("64", "64.0000001", "64.0000002")}
    assert len(names) == 3


def test_a_change_of_a_changed_protocol_adds_to_its_name():
    assert override(override(PROBE, {"edge": "black"}), {"window_um": "64"}).name == (
        "linear-probe@1+edge=black+window_um=64"
    )


@record
class WithSwitch(Protocol):
    switch: bool = False


def test_a_switch_is_true_or_false():
    protocol = WithSwitch(name="switch", version=1, title="")
    assert override(protocol, {"switch": "True"}).switch is True
    assert override(protocol, {"switch": "true"}).name == "switch@1+switch=true"
    assert override(protocol, {"switch": "false"}) is protocol
    with pytest.raises(ProtocolError, match="must be true or false"):
        override(protocol, {"switch": "1"})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"window": "64"}, "has no parameter 'window'; did you mean 'window_um'"),
        ({"name": "mine"}, "has no parameter 'name'"),
        ({"version": "2"}, "has no parameter 'version'"),
        ({"edge": "blak"}, "one of reflect, black; did you mean 'black'"),
        ({"outer_folds": "five"}, "must be a whole number"),
        ({"outer_folds": "2.5"}, "must be a whole number"),
        ({"outer_folds": "1"}, "must lie between 2 and 100"),
        ({"inner_folds": "101"}, "must lie between 2 and 100"),
        ({"split_seed": "-1"}, "split_seed is -1"),
        ({"window_um": ""}, "must be a number"),
        ({"window_um": "nan"}, "finite"),
        ({"window_um": "inf"}, "finite"),
        ({"window_um": "2"}, "between 4 and 1000"),
        ({"lambdas": "1,nan"}, "finite"),
        ({"lambdas": "10,1"}, "ascending"),
        ({"lambdas": "1,1"}, "ascending"),
        ({"lambdas": "0,1"}, "positive"),
        ({"lambdas": ""}, "must be a number"),
        ({"give_up_after": "0"}, "give_up_after must be at least 1"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(settings, said):
    with pytest.raises(ProtocolError, match=said):
        override(PROBE, settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"learning_rates": "0"}, {"learning_rates": "1"}, {"learning_rates": "-1e-3"}, {"epochs": "0"},
        {"patience": "0"}, {"batch_size": "1"}, {"warmup": "1"}, {"weight_decay": "-0.1"}, {"weight_decay": "nan"},
    ],
)  # fmt: skip
def test_training_that_would_train_nothing_is_refused(settings):
    with pytest.raises(ProtocolError):
        override(TRAINING, settings)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_python_cannot_hide_what_is_no_number_either(value):
    with pytest.raises(MitozooError):
        dataclasses.replace(PROBE, window_um=value)
    with pytest.raises((SpecError, ProtocolError)):
        dataclasses.replace(PROBE, lambdas=(1.0, value))


def test_without_penalties_there_is_no_probe():
    with pytest.raises(ProtocolError, match="at least one lambda"):
        dataclasses.replace(PROBE, lambdas=())


def test_an_unknown_parameter_points_to_the_list():
    with pytest.raises(ProtocolError) as refused:
        override(override(PROBE, {"edge": "black"}), {"xyz": "1"})
    assert refused.value.hint == "See them all: mitozoo info linear-probe"
