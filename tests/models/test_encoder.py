"""Encoder: pooling as declared, and a spec that is not true never gets past loading."""

from __future__ import annotations

import pytest
import timm
import torch

from mitozoo.errors import ModelError
from mitozoo.models.encoder import Encoder, load_encoder, random_encoder
from mitozoo.plugins.model_spec import ModelSpec
from mitozoo.plugins.preprocessing import Preprocessing
from mitozoo.plugins.sources import TimmHub

SIZE = 32


def spec(load, **changes) -> ModelSpec:
    preprocessing = Preprocessing(
        size=changes.pop("size", SIZE), resize="square", resize_to=256, interpolation="bicubic", antialias=True,
        mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), mpp=0.5, mpp_basis="stated",
    )  # fmt: skip
    fields = {"name": "under-test", "load": load, "preprocessing": preprocessing, "embed_dim": 64, "pooling": "cls"}
    fields |= {"prefix_tokens": 5, "precision": "fp32", "license": "MIT", "reference": "https://example.org"}
    return ModelSpec(**fields | changes)


def vit(**kwargs) -> torch.nn.Module:
    """A small transformer with a class token and four registers, its position embeddings not zero."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        settings = {"img_size": SIZE, "num_classes": 0, "reg_tokens": 4, "fc_norm": False, "dynamic_img_size": False}
        network = timm.create_model("test_vit", **settings | kwargs)
        for tokens in (network.cls_token, network.reg_token):
            torch.nn.init.normal_(tokens)
    return network


def convnet() -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return timm.create_model("test_resnet", num_classes=0)


def feature_map() -> torch.nn.Module:
    return torch.nn.Conv2d(3, 64, 16, 16)


@pytest.fixture
def images():
    return torch.randn(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(5))


def test_cls_is_timms_own_class_token(images):
    encoder = load_encoder(spec(vit))
    torch.testing.assert_close(encoder(images), vit(global_pool="token").eval()(images))


def test_mean_is_timms_own_mean_of_patch_tokens_without_the_registers(images):
    encoder = load_encoder(spec(vit, pooling="mean"))
    torch.testing.assert_close(encoder(images), vit(global_pool="avg").eval()(images))
    with_registers = encoder.network.forward_features(images)[:, 1:].mean(dim=1)
    assert not torch.allclose(encoder(images), with_registers, atol=1e-3)


def test_cls_and_mean_are_concatenated(images):
    both = load_encoder(spec(vit, pooling="cls+mean", embed_dim=128))(images)
    parts = [load_encoder(spec(vit, pooling=pooling))(images) for pooling in ("cls", "mean")]
    torch.testing.assert_close(both, torch.cat(parts, dim=1))


def test_gap_is_timms_own_global_average_pool(images):
    encoder = load_encoder(spec(convnet, pooling="gap", prefix_tokens=0, embed_dim=96))
    torch.testing.assert_close(encoder(images), convnet().eval()(images))


def test_network_gives_its_output_as_it_is(images):
    encoder = load_encoder(spec(vit, pooling="network"))
    torch.testing.assert_close(encoder(images), encoder.network(images), rtol=0, atol=0)


def test_the_encoder_evaluates_and_can_still_be_trained(images):
    encoder = load_encoder(spec(vit))
    assert isinstance(encoder, Encoder)
    assert encoder.weights_sha256 == "function"
    assert not any(module.training for module in encoder.modules())
    assert all(parameter.requires_grad for parameter in encoder.parameters())
    encoder(images).square().sum().backward()
    assert all(parameter.grad is not None for parameter in encoder.network.blocks.parameters())


def test_a_wrong_dimension_is_named_beside_the_measured_one():
    with pytest.raises(ModelError, match=r"'under-test' declares embeddings of 65 values, but .* shape \(1, 64\)"):
        load_encoder(spec(vit, embed_dim=65))


def test_wrong_prefix_tokens_are_named_beside_the_measured_ones():
    with pytest.raises(ModelError, match="'under-test' declares 1 prefix tokens, but its network has 5"):
        load_encoder(spec(vit, prefix_tokens=1))


@pytest.mark.parametrize(("pooling", "load", "message"), [
    ("gap", vit, r"'gap' needs features of shape \(n, channels, height, width\), but its network gives \(1, 9, 64\)"),
    ("mean", feature_map, r"'mean' needs features of shape \(n, tokens, channels\), but .* \(1, 64, 2, 2\)"),
])  # fmt: skip
def test_a_pooling_that_does_not_go_with_the_network_is_named(pooling, load, message):
    with pytest.raises(ModelError, match=message):
        load_encoder(spec(load, pooling=pooling, prefix_tokens=5 if load is vit else 0))


def test_an_input_size_that_the_network_does_not_take_is_one_sentence():
    with pytest.raises(ModelError, match=r"'under-test' fails on one image of 48 px: .*48") as caught:
        load_encoder(spec(vit, size=48))
    assert caught.value.__cause__ is not None


class Fixed(torch.nn.Module):
    """Gives the same answer to every image."""

    def __init__(self, answer) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, images):
        return self.answer


def gives_nan():
    return Fixed(torch.full((1, 64), torch.nan))


def gives_infinity():
    return Fixed(torch.full((1, 64), torch.inf))


def gives_a_tuple():
    return Fixed((torch.zeros(1, 64),))


def gives_no_batch():
    return Fixed(torch.zeros(64))


@pytest.mark.parametrize(("load", "message"), [
    (gives_nan, "not finite"),
    (gives_infinity, "not finite"),
    (gives_a_tuple, "gives a tuple, not a tensor"),
    (gives_no_batch, r"shape \(64,\)"),
])  # fmt: skip
def test_an_output_that_is_no_embedding_is_refused(load, message):
    with pytest.raises(ModelError, match=message):
        load_encoder(spec(load, pooling="network", prefix_tokens=0))


def hub(**kwargs) -> TimmHub:
    return TimmHub(
        architecture="test_vit", repo="lab/net", revision="0" * 40, filename="absent.safetensors", sha256=None,
        kwargs={"img_size": SIZE, "num_classes": 0, "reg_tokens": 4} | kwargs,
    )  # fmt: skip


def test_an_untrained_encoder_needs_no_weights_and_is_fixed_by_its_seed(images):
    first, again, other = (random_encoder(spec(hub()), seed) for seed in (1, 1, 2))
    torch.testing.assert_close(first(images), again(images), rtol=0, atol=0)
    assert not torch.allclose(first(images), other(images), atol=1e-3)
    assert [first.weights_sha256, other.weights_sha256] == ["random-1", "random-2"]


def test_an_untrained_encoder_is_checked_too():
    with pytest.raises(ModelError, match="declares embeddings of 63"):
        random_encoder(spec(hub(), embed_dim=63), 0)


def test_a_load_function_cannot_be_untrained():
    with pytest.raises(ModelError, match="'under-test' cannot be built without its weights"):
        random_encoder(spec(vit), 0)
