"""Determinism on request: allowed is what gives the same bytes each time, and all is as it was afterwards."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch

from mitozoo.errors import ModelError
from mitozoo.models.determinism import WORKSPACE, deterministic
from mitozoo.models.isolated.encoder import IsolatedEncoder
from mitozoo.models.isolated.worker import Served
from mitozoo.plugins.model_spec import ModelSpec
from mitozoo.plugins.preprocessing import Preprocessing

SPEC = ModelSpec(
    name="apart", load=dict, embed_dim=4, pooling="network", prefix_tokens=0, precision="fp32", license="MIT",
    reference="https://example.org", isolate=True,
    preprocessing=Preprocessing(
        size=12, resize="none", resize_to=12, interpolation="bilinear", antialias=True, mean=(0.5,) * 3, std=(0.5,) * 3,
        mpp=None, mpp_basis="none",
    ),
)  # fmt: skip


def state():
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cudnn.benchmark,
        os.environ.get(WORKSPACE),
    )


def unpool():
    """What has no deterministic form on any device."""
    places = torch.tensor([[[[0, 1], [2, 3]]]])
    return torch.nn.functional.max_unpool2d(torch.ones(1, 1, 2, 2), places, 2)


@pytest.fixture(params=["as it comes", "as a user has set it"])
def before(request, monkeypatch):
    monkeypatch.delenv(WORKSPACE, raising=False)
    if request.param == "as it comes":
        yield state()
        return
    monkeypatch.setenv(WORKSPACE, ":16:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = True
    yield state()
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.benchmark = False


def test_it_holds_inside_and_all_is_put_back(before):
    with deterministic(True, "the network"):
        enabled, warn_only, benchmark, workspace = state()
        assert (enabled, warn_only, benchmark) == (True, False, False)
        assert workspace == (before[3] or ":4096:8")
        with deterministic(True, "one inside"):
            pass
        assert state() == (True, False, False, workspace)
    assert state() == before


@pytest.mark.filterwarnings("ignore:.*deterministic implementation")  # as that user wants to be told
def test_nothing_happens_unasked(before):
    with deterministic(False, "the network"):
        assert state() == before
        unpool()
    assert state() == before


def test_an_operation_without_such_a_form_is_named_in_a_sentence(before):
    with pytest.raises(ModelError) as caught, deterministic(True, "model 'segnet'"):
        unpool()
    assert caught.value.message == (
        "model 'segnet' needs the operation max_unpooling2d_forward_out, which has no deterministic form on this device"
    )
    assert "--deterministic" in caught.value.hint
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert state() == before


def test_other_errors_stay_what_they_are(before):
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"), deterministic(True, "the network"):
        torch.ones(2, 3) @ torch.ones(2, 3)
    assert state() == before


def test_a_model_in_an_environment_of_its_own_is_told():
    """The host's wish reaches the worker's torch, and only for that batch."""
    seen = []

    class Embedding(torch.nn.Module):
        spec = SPEC

        def embed(self, patches, precision, device):
            seen.append(torch.are_deterministic_algorithms_enabled())
            return np.zeros((len(patches), 4), dtype=np.float32)

    served = Served()
    served.encoder, served.device = Embedding(), "cpu"

    class Worker:
        """As a process would, it knows nothing of the host but what it is asked."""

        def ask(self, question, array, *, room):
            asked = torch.are_deterministic_algorithms_enabled()
            torch.use_deterministic_algorithms(False)
            try:
                return served.answer(question, array)
            finally:
                torch.use_deterministic_algorithms(asked)

    told = {"weights_sha256": "-", "flops": None, "parameters": 0}
    encoder, patches = IsolatedEncoder(SPEC, Worker(), told), torch.zeros(2, 12, 12, 3, dtype=torch.uint8)
    with deterministic(True, "it"):
        assert encoder.embed(patches, "fp32", "cpu").shape == (2, 4)
    encoder.embed(patches, "fp32", "cpu")
    assert seen == [True, False]
