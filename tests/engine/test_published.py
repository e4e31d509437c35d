"""The published values that ship: known here, offered by this repository's plugins, and one found on real labels."""

from __future__ import annotations

import pytest

from mitozoo.engine.at_hand import AtHand
from mitozoo.engine.published import find_rows, published_rows
from mitozoo.engine.reproduce import reproduce
from mitozoo.protocols.presets import PRESETS
from mitozoo.statistics.metrics import METRICS


def test_what_ships_is_known_here():
    rows = published_rows()
    assert len(rows) > 50
    for one in rows:
        assert one.protocol.partition("@")[0] in PRESETS
        assert one.reference.startswith("https://")
        for value in one.values:
            assert value.metric in (*METRICS, "weighted_f1")
            assert 0 <= value.value <= 1
            assert (value.tolerance is not None) == one.is_judged
    judged = {one.name for one in rows if one.is_judged}
    assert judged == {
        "slide-prior/ccmct", "slide-prior/midog22", "slide-prior/midogpp", "ammeling2026-probe/uni-ccmct",
        "ammeling2026-probe/uni-midog22",
    }  # fmt: skip


def test_what_ships_names_plugins_of_this_repository():
    from mitozoo.plugins.registry import load_registry

    registry = load_registry()
    for one in published_rows():
        for name in one.datasets:
            assert registry.dataset(name).spec.name == name
        if one.model:
            assert registry.model(one.model).spec.name == one.model
        if one.domain:
            assert one.domain in registry.dataset(one.dataset).spec.domains


@pytest.mark.shared
def test_a_value_that_is_known_is_found_on_real_labels(shared_data):
    [one] = find_rows(published_rows(), "slide-prior/midogpp")
    done = reproduce(one, {"midogpp": shared_data / "annotations"})
    assert [each.verdict for each in done] == ["within"] * 3
    assert [each.published.value for each in done] == [0.686, 0.629, 0.632]


def test_weights_that_are_not_here_are_told_without_asking(monkeypatch, tmp_path):
    def nobody(*_, **__):
        raise AssertionError("the net was asked")

    monkeypatch.setattr("socket.socket.connect", nobody)
    monkeypatch.setenv("MITOZOO_WEIGHTS", str(tmp_path))
    [one] = find_rows(published_rows(), "banerjee2026-probe/uni-ami-br")
    assert AtHand({}).lacks(one)[-1] == (
        "model 'uni': pytorch_model.bin of MahmoodLab/UNI is not on this machine, and its owner must grant access first"
    )
    (tmp_path / "MahmoodLab" / "UNI").mkdir(parents=True)
    (tmp_path / "MahmoodLab" / "UNI" / "pytorch_model.bin").write_bytes(b"")
    assert not any("model" in lack for lack in AtHand({}).lacks(one))
