"""`--deterministic`: the same bytes twice, a run and embeddings of its own, in extraction and training alike."""

from __future__ import annotations

import json

import pytest
import torch
from tiny_zoo import contents

import mitozoo
from mitozoo.embeddings.table import read_embeddings
from mitozoo.engine.embed import embed_dataset
from mitozoo.engine.progress import Progress
from mitozoo.engine.verification import verify_run
from mitozoo.errors import ModelError, VerificationError
from mitozoo.models.encoder import Encoder
from mitozoo.protocols.in_training import NetworkInTraining
from mitozoo.results.run_folder import RESULT
from mitozoo.results.schema import violations


@pytest.fixture
def inside(monkeypatch):
    """Note, each time that a network embeds or trains, whether torch was told to be deterministic."""
    seen = {"extraction": set(), "training": set()}

    def note(stage, owner, name):
        real = getattr(owner, name)

        def noted(self, *given):
            seen[stage].add(torch.are_deterministic_algorithms_enabled())
            return real(self, *given)

        monkeypatch.setattr(owner, name, noted)

    note("extraction", Encoder, "launch")
    note("training", NetworkInTraining, "_view")
    return seen


def test_a_probe_is_the_same_twice_and_a_run_apart(own_home, tmp_path, monkeypatch, inside, loads):
    made = {}
    for asked in (True, False):
        made[asked] = mitozoo.evaluate("steady", "tiny", out=tmp_path / "runs", folds=1, deterministic=asked)
        assert inside["extraction"] == {asked}  # embeddings made without are not taken for others
        inside["extraction"].clear()
        assert not torch.are_deterministic_algorithms_enabled()
        assert violations(made[asked].document) == []
        assert verify_run(made[asked].folder)
        assert made[asked].document["deterministic"] is asked
        assert ("deterministic" in made[asked].document["identity"]) is asked
    assert made[True].folder != made[False].folder
    before = loads()
    mitozoo.evaluate("steady", "tiny", out=tmp_path / "more", folds=1, seeds=2, deterministic=True)
    assert loads() == before  # they are cached
    monkeypatch.setenv("MITOZOO_HOME", str(tmp_path / "other-home"))
    again = mitozoo.evaluate("steady", "tiny", out=tmp_path / "again", folds=1, deterministic=True)
    assert inside["extraction"] == {True}
    assert contents(again.folder) == contents(made[True].folder)


def test_a_training_is_the_same_twice(zoo, tmp_path, inside):
    asked = {"protocol": "end-to-end-short", "settings": {"epochs": 1}, "folds": 1, "deterministic": True}
    made = [mitozoo.evaluate("steady", "tiny", out=tmp_path / place, **asked) for place in ("a", "b")]
    assert inside["training"] == {True}
    assert not torch.are_deterministic_algorithms_enabled()
    assert contents(made[0].folder) == contents(made[1].folder)


def test_a_result_that_claims_it_falsely_is_found_out(own_home, tmp_path):
    plain = mitozoo.evaluate("steady", "tiny", out=tmp_path, folds=1)
    document = json.loads((plain.folder / RESULT).read_text())
    (plain.folder / RESULT).write_text(json.dumps(document | {"deterministic": True}))
    with pytest.raises(VerificationError, match="deterministic in the run's identity"):
        verify_run(plain.folder)


def test_a_file_of_embeddings_tells(own_home, tmp_path, inside):
    file = tmp_path / "e.safetensors"
    embed_dataset("steady", "tiny", file, progress=Progress(), deterministic=True)
    assert inside["extraction"] == {True}
    assert read_embeddings(file).provenance["deterministic"] is True


def test_a_network_that_cannot_is_refused_in_a_sentence(own_home, tmp_path, monkeypatch):
    def launch(self, patches, precision, device):
        torch.zeros(3).put_(torch.tensor([0]), torch.ones(1))
        return real(self, patches, precision, device)

    real = Encoder.launch
    monkeypatch.setattr(Encoder, "launch", launch)
    assert mitozoo.evaluate("steady", "tiny", out=tmp_path, folds=1)
    with pytest.raises(ModelError, match="model 'steady' needs the operation put_, which has no deterministic form"):
        mitozoo.evaluate("steady", "tiny", out=tmp_path, folds=1, deterministic=True)
