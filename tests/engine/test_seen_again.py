"""A stored run's windows are found again, exactly, or refused."""

from __future__ import annotations

import pandas as pd
import pytest

import mitozoo
from mitozoo.engine.seen_again import see_again
from mitozoo.errors import MitozooError, UnknownNameError, VerificationError


def again(result, data=None, **changed):
    ids = pd.read_parquet(result.folder / "cells.parquet")["cell_id"].tolist()
    return see_again(result.document | changed, ids, data), ids


@pytest.fixture(scope="module")
def usual(zoo, tmp_path_factory):
    return mitozoo.evaluate("steady", "tiny", out=tmp_path_factory.mktemp("runs"))


@pytest.mark.parametrize(
    "asked", [{"settings": {"window_um": "40"}}, {"crop_um": 40.0}, {"limit": 100, "settings": {"window_um": "40"}}]
)
def test_windows_are_those_of_the_run(asked, zoo, tmp_path):
    plan, ids = again(mitozoo.evaluate("steady", "tiny", out=tmp_path, **asked))
    assert plan.cells.table["cell_id"].tolist() == ids
    assert set(plan.seen_um) == {40.0}


def test_the_data_may_lie_anywhere(usual, zoo):
    plan, ids = again(usual, data=zoo)
    assert plan.cells.root == zoo
    assert len(plan) == len(ids)


def test_an_untrained_network_saw_what_its_model_sees(usual):
    model = usual.document["model"] | {"name": "steady:random-init"}
    assert len(again(usual, model=model)[0]) == usual.document["dataset"]["cells"]


def test_a_document_that_names_a_file_runs_nothing(usual, tmp_path):
    (tmp_path / "harm.py").write_text(f"open({str(tmp_path / 'taken')!r}, 'w')\nModel = None\n")
    with pytest.raises(UnknownNameError):
        again(usual, model=usual.document["model"] | {"name": f"{tmp_path / 'harm.py'}:Model"})
    assert not (tmp_path / "taken").exists()


def test_other_pixels_other_cells_and_what_was_never_seen_are_refused(usual, tmp_path):
    document = usual.document
    with pytest.raises(VerificationError, match="show other pixels"):
        again(usual, conditions=document["conditions"] | {"crop_um": 40.0})
    with pytest.raises(VerificationError, match="lack cells"):
        see_again(document, ["cell-00-00", "no-such-cell"], None)
    with pytest.raises(UnknownNameError):
        again(usual, model=document["model"] | {"name": "gone"})
    with pytest.raises(MitozooError, match="brought along"):
        again(usual, identity=document["identity"] | {"pipeline": None})
    with pytest.raises(MitozooError, match="joined"):
        again(usual, dataset=document["dataset"] | {"tested_on": [{"name": "other"}]})
    with pytest.raises(MitozooError, match="does not exist"):
        again(usual, data=tmp_path / "nowhere")
