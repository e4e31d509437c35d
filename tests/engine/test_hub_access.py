"""What a hub on this machine answers for gated repositories, asked by the real client."""

from __future__ import annotations

import pytest
from huggingface_hub import constants
from local_hub import COMMIT, serving

from mitozoo.engine.hub_access import hub_findings
from mitozoo.plugins.model_spec import ModelSpec
from mitozoo.plugins.preprocessing import Preprocessing
from mitozoo.plugins.sources import TimmHub

SECRET = "hf_thisIsATokenThatNobodyMaySee0123456789"
WEIGHTS = "model.safetensors"


def load_by_itself():
    raise NotImplementedError  # the hub is not asked for what only a function knows


def model(name: str, load=None, **changes) -> ModelSpec:
    return ModelSpec(
        name=name,
        load=load
        or TimmHub(
            architecture="resnet18", repo=f"acme/{name}", revision=COMMIT, filename=WEIGHTS, sha256=None, kwargs={}
        ),
        preprocessing=Preprocessing(
            size=224, resize="square", resize_to=224, interpolation="bilinear", antialias=True,
            mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), mpp=0.5, mpp_basis="stated",
        ),
        embed_dim=512, pooling="gap", prefix_tokens=0, precision="fp32", license="Apache-2.0",
        reference="https://example.org/model", **{"gated": True} | changes,
    )  # fmt: skip


MODELS = [model("granted"), model("closed"), model("moved"), model("nowhere"), model("open", gated=False)]


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", SECRET)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.delenv("MITOZOO_WEIGHTS", raising=False)
    with serving(tmp_path, monkeypatch) as hub:
        hub.put("acme/granted", WEIGHTS, b"weights")
        hub.put("acme/moved", "another.safetensors", b"weights")
        hub.put("acme/open", WEIGHTS, b"weights")
        hub.gated.add("acme/closed")
        yield hub


def told(models=MODELS, *, offline=False) -> dict:
    return {finding.what: finding for finding in hub_findings(models, offline=offline)}


def test_each_answer_has_its_line_and_its_mend(hub):
    found = told()
    assert {what: finding.status for what, finding in found.items()} == {
        "hub token": "PASS", "gated acme/granted": "PASS", "gated acme/closed": "WARN", "gated acme/moved": "FAIL",
        "gated acme/nowhere": "WARN",
    }  # fmt: skip
    assert f"Ask for it at {hub.address}/acme/closed" in found["gated acme/closed"].mend
    assert f"no {WEIGHTS} at revision {COMMIT}" in found["gated acme/moved"].detail
    assert not [request for request in hub.requests if "acme/open" in request]


def test_nothing_is_fetched(hub, tmp_path):
    told([model("granted")])
    assert [request.split()[0] for request in hub.requests] == ["HEAD"]
    assert not list(tmp_path.glob("hub-cache/*acme*"))


def test_models_of_one_file_are_asked_for_once(hub):
    twice = model("granted-cls", load=model("granted").load)
    assert "granted, granted-cls" in told([model("granted"), twice])["gated acme/granted"].detail
    assert len(hub.requests) == 1


def test_a_file_fetched_beside_the_weights_is_asked_for_too(hub):
    """Such as EXAONEPath's reference tile: it lies in a gated repository, and the weights do not."""
    elsewhere = model("tinted", load=load_by_itself, also_fetches=("acme/closed/tiles/one tile [4096].png",))
    found = told([elsewhere])
    assert found["gated acme/closed"].status == "WARN"
    assert "for tinted" in found["gated acme/closed"].detail
    assert "gated models" not in found  # nothing is left that only the function knows


def test_the_token_is_in_no_finding(hub):
    assert SECRET[3:20] not in repr(told())


def test_without_a_token_it_says_how_to_get_one(hub, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    finding = told([])["hub token"]
    assert finding.status == "WARN"
    assert "hf auth login" in finding.mend


def test_a_hub_that_is_down_is_one_warning(hub):
    hub.down = True
    found = told()
    assert set(found) == {"hub token", "hub"}
    assert found["hub"].status == "WARN"
    assert "acme/closed, acme/granted, acme/moved, acme/nowhere" in found["hub"].detail


def test_no_server_is_one_warning(hub, monkeypatch):
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:9/{repo_id}/{revision}/{filename}")
    assert told()["hub"].status == "WARN"


def test_offline_asks_nobody(hub):
    found = told(offline=True)
    assert hub.requests == []
    assert "not asked, since offline: acme/closed, acme/granted" in found["gated models"].detail


def test_weights_on_this_machine_need_no_access(hub, tmp_path, monkeypatch):
    own = tmp_path / "own" / "acme" / "closed"
    own.mkdir(parents=True)
    (own / WEIGHTS).write_bytes(b"weights")
    monkeypatch.setenv("MITOZOO_WEIGHTS", str(tmp_path / "own"))
    finding = told([model("closed")])["gated acme/closed"]
    assert (finding.status, hub.requests) == ("PASS", [])
    assert "on this machine" in finding.detail


def test_what_only_a_function_knows_is_said_aloud(hub):
    finding = told([model("alone", load=load_by_itself)])["gated models"]
    assert finding.status == "WARN"
    assert "alone" in finding.detail
