"""torch.compile: the same embeddings within rounding, whatever batches came before; one sentence where it cannot."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest
import torch
import torch._inductor.config
from test_encoder import SIZE, spec, vit

from mitozoo.errors import ModelError
from mitozoo.models.compiled import compiled
from mitozoo.models.devices import autocast, number_format, resolve_precision
from mitozoo.models.encoder import load_encoder


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """Compile anew, and leave nothing behind."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "inductor"))
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_one_network_is_made_for_batches_of_any_size(own_cache):
    encoder = load_encoder(spec(vit))
    patches = torch.randint(256, (5, SIZE, SIZE, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    plain = encoder.embed(patches, "fp32", "cpu")
    whole = encoder.embed(patches, "fp32+compiled", "cpu")
    np.testing.assert_allclose(whole, plain, atol=1e-5)
    before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    for n in (1, 2, 4):
        np.testing.assert_allclose(encoder.embed(patches[:n], "fp32+compiled", "cpu"), whole[:n], atol=1e-6)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == before
    assert encoder.embed(patches, "fp32", "cpu").tobytes() == plain.tobytes(), "the plain network is as it was"


def test_without_a_compiler_it_says_so(own_cache):
    embed = compiled(lambda images: (images * 2).flatten(1).sin(), "some-model")
    missing = torch._inductor.config.patch({"cpp.cxx": ("no-such-compiler",)})
    sentence = re.escape("'some-model' cannot be compiled: torch.compile needs a C++ compiler here, and finds none")
    with missing, pytest.raises(ModelError, match=sentence) as told:
        embed(torch.ones(2, 3, 4, 4))
    assert told.value.exit_code == 2
    assert "g++" in told.value.hint
    assert "\n" not in told.value.message


@pytest.mark.parametrize(("error", "raised"), [
    (torch.cuda.OutOfMemoryError("CUDA out of memory"), torch.cuda.OutOfMemoryError),
    (RuntimeError("a backend broke\nwith a long story"), ModelError),
])  # fmt: skip
def test_a_full_memory_is_passed_on_and_any_other_failure_is_told_in_a_line(error, raised, monkeypatch):
    def fail(images):
        raise error

    monkeypatch.setattr(torch, "compile", lambda forward: forward)
    with pytest.raises(raised) as told:
        compiled(fail, "some-model")(torch.ones(2, 3, 4, 4))
    if raised is ModelError:
        assert told.value.message == "torch.compile fails on model 'some-model': a backend broke"
        assert "--compile" in told.value.hint


def test_who_made_the_network_is_part_of_what_its_numbers_are_called():
    model = spec(vit)
    assert resolve_precision(model, "auto", "cpu", compiled=True) == "fp32+compiled"
    assert resolve_precision(model, "bf16", "cpu") == "bf16"
    assert number_format("bf16+compiled") == "bf16"
    assert autocast("cpu", "bf16+compiled").fast_dtype == torch.bfloat16
    assert not autocast("cpu", "fp32+compiled")._enabled
