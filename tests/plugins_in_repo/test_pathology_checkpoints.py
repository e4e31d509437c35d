"""Files in the layouts that the authors publish: small ones are loaded as declared, and compute what they must."""

from __future__ import annotations

import dataclasses
import json

import pytest
import safetensors.torch
import timm
import torch

import mitozoo_plugin_crisp
import mitozoo_plugin_crown
import mitozoo_plugin_genbio_pathfm
import mitozoo_plugin_hibou
import mitozoo_plugin_kaiko
import mitozoo_plugin_lunit
import mitozoo_plugin_mettle
import mitozoo_plugin_openmidnight
import mitozoo_plugin_sinai
from mitozoo.errors import ModelError
from mitozoo.models.encoder import Encoder
from mitozoo.models.loaders import build_network, load_network
from mitozoo.models.loaders.networks import resolved

TINY = {"embed_dim": 32, "depth": 4, "num_heads": 2}


@pytest.fixture(autouse=True)
def weights(tmp_path, monkeypatch):
    monkeypatch.setenv("MITOZOO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MITOZOO_WEIGHTS", str(tmp_path))
    return tmp_path


def shrunk(spec, **kwargs):
    """Return a spec's source with its own rules, for a small file that nobody has published."""
    return dataclasses.replace(spec.load, kwargs={**spec.load.kwargs, **kwargs}, revision=None, sha256=None)


def place(weights, source, content):
    path = weights / source.repo / source.filename
    path.parent.mkdir(parents=True, exist_ok=True)
    safetensors.torch.save_file(content, path) if path.suffix == ".safetensors" else torch.save(content, path)


def randomised(network: torch.nn.Module) -> torch.nn.Module:
    """Fill all weights, layer scales and tokens too, so that each one counts."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return network.eval()


def images(count: int = 2) -> torch.Tensor:
    return torch.randn(count, 3, 224, 224, generator=torch.Generator().manual_seed(2))


def embedded(spec, source) -> torch.Tensor:
    network, _ = load_network(source)
    with torch.no_grad():
        return Encoder(spec, network.eval(), "")(images())


def timms(source, **kwargs) -> torch.nn.Module:
    name = source.architecture.removeprefix("timm:")
    return randomised(timm.create_model(name, **resolved({**source.kwargs, **kwargs})))


def in_dinov2s_words(network, chunk: int | None) -> dict[str, torch.Tensor]:
    """A timm network's weights as DINOv2 keeps them; in chunks, as it trains them."""
    state = {"mask_token": torch.zeros(1, network.embed_dim)}
    for key, value in network.state_dict().items():
        if "mlp" in key:
            key = key.replace("fc1", "w12").replace("fc2", "w3")
        if chunk is not None and key.startswith("blocks."):
            key = f"blocks.{int(key.split('.')[1]) // chunk}.{key.removeprefix('blocks.')}"
        state[key] = value
    if "reg_token" in state:  # DINOv2 gives the class token a place, and timm adds it to the class token for good
        place_of_class = torch.full((1, 1, network.embed_dim), 0.25)
        state["register_tokens"] = state.pop("reg_token")
        state["cls_token"] = state["cls_token"] - place_of_class
        state["pos_embed"] = torch.cat((place_of_class, state["pos_embed"]), dim=1)
    return state


@pytest.mark.parametrize("name", ["OPENMIDNIGHT", "OPENPATH"])
def test_dinov2_with_registers(weights, name):
    spec = getattr(mitozoo_plugin_openmidnight, name)
    source = shrunk(spec, **TINY)
    network = timms(source)
    state = in_dinov2s_words(network, chunk=2 if name == "OPENPATH" else None)
    if name == "OPENPATH":
        heads = {"dino_head.mlp.0.weight": torch.zeros(1), "ibot_head.last_layer.weight_v": torch.zeros(1)}
        state = {"teacher": {f"backbone.{key}": value for key, value in state.items()} | heads}
    place(weights, source, state)
    torch.testing.assert_close(embedded(spec, source), network(images()))


def test_crown_is_dinov2_in_chunks(weights):
    spec = mitozoo_plugin_crown.CROWN
    source = shrunk(spec, **TINY, mlp_ratio=5)
    network = timms(source)
    place(weights, source, in_dinov2s_words(network, chunk=1))
    torch.testing.assert_close(embedded(spec, source), network(images()))


@pytest.mark.parametrize("spec", mitozoo_plugin_sinai.mitozoo_models(), ids=lambda spec: spec.name)
def test_sinai_keeps_the_transformer_in_an_encoder(weights, spec):
    source = shrunk(spec, **TINY)
    network = timms(source)
    place(weights, source, {f"encoder.{key}": value for key, value in network.state_dict().items()})
    torch.testing.assert_close(embedded(spec, source), network(images()))
    place(weights, source, network.state_dict())
    with pytest.raises(ModelError, match=r"surplus, without the prefix encoder\."):
        load_network(source)


def test_kaiko_publishes_timms_own_names(weights):
    spec = mitozoo_plugin_kaiko.VITS16
    source = shrunk(spec, **TINY)
    network = timms(source)
    place(weights, source, network.state_dict())
    torch.testing.assert_close(embedded(spec, source), network(images()))


def test_kaikos_large_one_runs_at_224_on_positions_of_518():
    """timm's own filter, as it would resample them at loading, gives the same embeddings."""
    from timm.models.vision_transformer import checkpoint_filter_fn

    source = shrunk(mitozoo_plugin_kaiko.VITL14, **TINY)
    network = timms(source)
    fixed = timms(source, img_size=224, dynamic_img_size=False)
    fixed.load_state_dict(checkpoint_filter_fn(network.state_dict(), fixed))
    torch.testing.assert_close(network(images()), fixed(images()), rtol=1e-4, atol=1e-4)


def test_lunits_resnets_are_torchvisions_trunk(weights):
    import torchvision

    spec = mitozoo_plugin_lunit.mitozoo_models()[2]
    trunk = torchvision.models.resnet50(weights=None).eval()
    trunk.fc = torch.nn.Identity()
    source = shrunk(spec)
    place(weights, source, trunk.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(embedded(spec, source), trunk(images()), rtol=1e-4, atol=1e-4)


def test_crisp_computes_what_peft_does(weights):
    peft = pytest.importorskip("peft")
    spec = mitozoo_plugin_crisp.CRISP
    source = shrunk(spec, **TINY)
    base = timm.create_model(
        "vit_huge_patch14_224", reg_tokens=4, mlp_layer=timm.layers.SwiGLUPacked, act_layer=torch.nn.SiLU,
        mlp_ratio=6832 / 1280, init_values=1e-5, global_pool="", num_classes=0, **TINY,
    )  # fmt: skip
    adapters = peft.LoraConfig(r=8, lora_alpha=16, target_modules=["attn.qkv", "attn.proj"], lora_dropout=0.1)
    published = randomised(peft.get_peft_model(base, adapters))
    place(weights, source, published.state_dict())
    with torch.no_grad():
        tokens = published(images())
    expected = torch.cat((tokens[:, 0], tokens[:, 5:].mean(dim=1)), dim=1)
    torch.testing.assert_close(embedded(spec, source), expected, rtol=1e-4, atol=1e-4)


def test_mettle_refines_the_class_token_and_leaves_the_patches(weights):
    spec = mitozoo_plugin_mettle.METTLE
    source = shrunk(spec, architecture="vit_tiny_patch16_224", atoms=3, rank=2, hidden=8)
    network = randomised(build_network(source))
    place(weights, source, network.state_dict())
    with torch.no_grad():
        tokens = network.backbone.forward_features(images())
        token, head = tokens[:, 0], network.head
        delta = torch.stack([token @ p @ q.T for p, q in zip(head.P, head.Q, strict=True)], dim=1)
        refined = token + (head.mix(token)[:, :, None] * delta).sum(dim=1) + head.shift(token)
    expected = torch.cat((refined, tokens[:, network.num_prefix_tokens :].mean(dim=1)), dim=1)
    spec = dataclasses.replace(spec, prefix_tokens=network.num_prefix_tokens)
    torch.testing.assert_close(embedded(spec, source), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-5), ("bfloat16", 0.05)])
def test_genbio_is_timms_dinov3_on_each_channel(weights, dtype, tolerance):
    """In float32 it equals timm's; in bfloat16, as the authors rotate, it comes near and is not the same."""
    spec = mitozoo_plugin_genbio_pathfm.GENBIO_PATHFM
    source = shrunk(spec, embed_dim=64, depth=3, num_heads=2, rotary_dtype=dtype)
    ours = randomised(build_network(source))
    place(weights, source, ours.state_dict())
    theirs = timm.create_model(
        "vit_7b_patch16_dinov3", in_chans=1, img_size=224, embed_dim=64, depth=3, num_heads=2, mlp_ratio=8 / 3,
        norm_layer=timm.layers.LayerNorm, num_classes=0, global_pool="token",
    ).eval()  # fmt: skip
    state = timm.models.eva.checkpoint_filter_fn(ours.state_dict(), theirs)
    names = {"mlp.w1": "mlp.fc1_g", "mlp.w2": "mlp.fc1_x", "mlp.w3": "mlp.fc2"}
    for old, new in names.items():
        state = {key.replace(old, new): value for key, value in state.items()}
    theirs.load_state_dict(state)
    with torch.no_grad():
        expected = torch.cat([theirs(images()[:, [channel]]) for channel in range(3)], dim=1)
    seen = embedded(spec, source)
    torch.testing.assert_close(seen, expected, rtol=0, atol=tolerance)
    assert torch.nn.functional.cosine_similarity(seen, expected).min() > 0.999
    assert torch.allclose(seen, expected, rtol=0, atol=1e-4) == (dtype == "float32")


def test_hibous_own_layout_fits_transformers_own_class(weights):
    """Against timm's DINOv2 with registers, which knows nothing of either."""
    pytest.importorskip("transformers")
    spec = mitozoo_plugin_hibou.HIBOU_B
    source = shrunk(spec)
    network = randomised(
        timm.create_model(
            "vit_base_patch14_reg4_dinov2", img_size=224, num_classes=0, mlp_ratio=2 * 88 / 32, init_values=1e-5,
            mlp_layer=timm.layers.SwiGLUPacked, act_layer=torch.nn.SiLU, **TINY,
        )
    )  # fmt: skip
    place(weights, source, in_hibous_words(network))
    config = {
        "model_type": "dinov2", "architectures": ["Dinov2ModelWithRegisters"], "hidden_size": 32, "patch_size": 14,
        "num_hidden_layers": 4, "num_attention_heads": 2, "image_size": 224, "mlp_ratio": 4, "use_swiglu_ffn": True,
        "num_register_tokens": 4, "qkv_bias": True, "layer_norm_eps": 1e-6,
        "auto_map": {"AutoModel": "modeling_dinov2.Dinov2ModelWithRegisters"},
    }  # fmt: skip
    (weights / source.repo / "config.json").write_text(json.dumps(config))
    torch.testing.assert_close(embedded(spec, source), network(images()), rtol=1e-4, atol=1e-4)


def in_hibous_words(network) -> dict[str, torch.Tensor]:
    own = network.state_dict()
    place_of_class = torch.full((1, 1, network.embed_dim), 0.25)
    state = {
        "embeddings.cls_token": own["cls_token"] - place_of_class,
        "embeddings.mask_token": torch.zeros(1, network.embed_dim),
        "embeddings.register_tokens": own["reg_token"],
        "embeddings.position_embeddings": torch.cat((place_of_class, own["pos_embed"]), dim=1),
    }
    for part in ("weight", "bias"):
        state[f"embeddings.patch_embeddings.projection.{part}"] = own[f"patch_embed.proj.{part}"]
        state[f"layernorm.{part}"] = own[f"norm.{part}"]
    for index in range(len(network.blocks)):
        new, old = f"encoder.layer.{index}", f"blocks.{index}"
        for part in ("weight", "bias"):
            for name, value in zip(("query", "key", "value"), own[f"{old}.attn.qkv.{part}"].chunk(3), strict=True):
                state[f"{new}.attention.attention.{name}.{part}"] = value
            for name, timms_name in (
                ("attention.output.dense", "attn.proj"), ("norm1", "norm1"), ("norm2", "norm2"),
                ("mlp.weights_in", "mlp.fc1"), ("mlp.weights_out", "mlp.fc2"),
            ):  # fmt: skip
                state[f"{new}.{name}.{part}"] = own[f"{old}.{timms_name}.{part}"]
        for number in (1, 2):
            state[f"{new}.layer_scale{number}.lambda1"] = own[f"{old}.ls{number}.gamma"]
    return {key: value.contiguous().clone() for key, value in state.items()}
