"""Networks that the plugins build themselves: equal to plain references of what their authors published."""

from __future__ import annotations

import math
import sys
import types

import numpy as np
import pytest
import torch
from encoders_in_repo import lay_out
from PIL import Image
from torch.nn import functional

import mitozoo_plugin_conch as conch
import mitozoo_plugin_ctranspath as ctranspath
import mitozoo_plugin_exaonepath as exaonepath
import mitozoo_plugin_hipt_vit256 as hipt
import mitozoo_plugin_keep as keep
import mitozoo_plugin_musk as musk
import mitozoo_plugin_pathoduet as pathoduet
from mitozoo.errors import ModelError
from mitozoo.models.encoder import Encoder
from mitozoo.models.loaders import build_network
from mitozoo.models.loaders.checkpoint_loader import mapped
from mitozoo.models.loaders.state import load_strictly


def filled(module: torch.nn.Module) -> torch.nn.Module:
    """Give a part of a laid-out network random weights, batch statistics included."""
    generator = torch.Generator().manual_seed(3)
    module.to_empty(device="cpu")
    for key, value in module.state_dict().items():
        if value.is_floating_point():
            drawn = torch.randn(value.shape, generator=generator)
            value.copy_(drawn.abs() + 0.5 if key.endswith("running_var") else drawn * 0.2 + (value.ndim == 1) * 0.5)
    return module.eval()


def loads(network: torch.nn.Module, state, source) -> None:
    load_strictly(network, mapped(state, source), "the network")


def test_the_convolutional_stem_is_that_of_ctranspath():
    stem = filled(lay_out(ctranspath.CTRANSPATH.load).patch_embed)
    state, images = stem.state_dict(), torch.randn(2, 3, 224, 224)

    features = images
    for convolution, norm in (("proj.0", "proj.1"), ("proj.3", "proj.4")):
        features = functional.conv2d(features, state[f"{convolution}.weight"], stride=2, padding=1)
        statistics = [state[f"{norm}.{name}"] for name in ("running_mean", "running_var", "weight", "bias")]
        features = functional.batch_norm(features, *statistics).relu()
    features = functional.conv2d(features, state["proj.6.weight"], state["proj.6.bias"])
    tokens = features.flatten(2).transpose(1, 2)
    tokens = functional.layer_norm(tokens, (96,), state["norm.weight"], state["norm.bias"])

    with torch.no_grad():
        torch.testing.assert_close(stem(images).flatten(1, 2), tokens, rtol=0, atol=1e-5)
    assert [tuple(state[f"proj.{place}.weight"].shape[:2]) for place in (0, 3, 6)] == [(12, 3), (24, 12), (96, 24)]


def published_swin(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Name a network's tensors as timm 0.5 did, and add the two kinds that it computed and saved."""
    state = {}
    for key, value in network.state_dict().items():
        stage, _, rest = key.removeprefix("layers.").partition(".downsample.")
        state[f"layers.{int(stage) - 1}.downsample.{rest}" if rest else key] = value
    nothing = torch.empty(0, device="meta")
    return state | {"layers.0.blocks.1.attn_mask": nothing, "layers.0.blocks.0.attn.relative_position_index": nothing}


@pytest.mark.parametrize("spec", [ctranspath.CTRANSPATH, ctranspath.CHIEF], ids=lambda spec: spec.name)
def test_keys_of_the_old_swin_find_their_place(spec):
    network = lay_out(spec.load)
    state = published_swin(network)
    assert "layers.0.downsample.reduction.weight" in state
    assert "layers.3.downsample.reduction.weight" not in state
    loads(network, state, spec.load)
    del state["layers.1.downsample.norm.bias"]
    with pytest.raises(ModelError, match=r"missing: layers\.2\.downsample\.norm\.bias"):
        loads(network, state, spec.load)


def test_conch_keeps_its_image_tower_alone():
    network = lay_out(conch.CONCH.load)
    nothing = torch.empty(0, device="meta")
    others = ("text.cls_emb", "text_decoder.resblocks.0.ln_1.weight", "logit_scale", "visual.proj_contrast",
              "visual.attn_pool_caption.query", "visual.ln_caption.bias")  # fmt: skip
    state = {f"visual.{key}": value for key, value in network.state_dict().items()} | dict.fromkeys(others, nothing)
    loads(network, state, conch.CONCH.load)
    loads(network, {f"module.{key}": value for key, value in state.items()}, conch.CONCH.load)
    with pytest.raises(ModelError, match="surplus: visual_adapter"):
        loads(network, state | {"visual_adapter": nothing}, conch.CONCH.load)


def attended(query, key, value, heads: int) -> torch.Tensor:
    """Attend head by head, without a library's attention: (n, queries, width)."""
    outputs = []
    for q, k, v in zip(query.chunk(heads, -1), key.chunk(heads, -1), value.chunk(heads, -1), strict=True):
        outputs.append((q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).softmax(-1) @ v)
    return torch.cat(outputs, dim=-1)


def test_conchs_pooler_is_one_query_over_all_tokens():
    pooler, tokens = filled(lay_out(conch.CONCH.load).attn_pool_contrast), torch.randn(2, 9, 768)
    part = pooler.state_dict()
    context = functional.layer_norm(tokens, (768,), part["ln_k.weight"], part["ln_k.bias"])
    query = functional.layer_norm(part["query"], (512,), part["ln_q.weight"], part["ln_q.bias"])
    biases = part["attn.in_proj_bias"].chunk(3)
    projected = [
        given @ part[f"attn.{name}_proj_weight"].T + bias
        for given, name, bias in zip((query.expand(2, 1, 512), context, context), "qkv", biases, strict=True)
    ]
    expected = attended(*projected, 8) @ part["attn.out_proj.weight"].T + part["attn.out_proj.bias"]
    with torch.no_grad():
        torch.testing.assert_close(pooler(tokens), expected, rtol=1e-4, atol=1e-4)


def test_conch_v1_5s_pooler_is_one_query_over_all_tokens():
    pooler, tokens = filled(lay_out(conch.CONCH_V1_5.load).attn_pool_contrast), torch.randn(2, 9, 1024)
    part = pooler.state_dict()
    context = functional.layer_norm(tokens, (1024,), part["ln_k.weight"], part["ln_k.bias"])
    query = functional.layer_norm(part["query"], (768,), part["ln_q.weight"], part["ln_q.bias"])
    key, value = (context @ part["to_kv.weight"].T).chunk(2, dim=-1)
    expected = attended((query @ part["to_q.weight"].T).expand(2, 1, 768), key, value, 8) @ part["to_out.weight"].T
    with torch.no_grad():
        torch.testing.assert_close(pooler(tokens), expected, rtol=1e-4, atol=1e-4)


def cubic(distance: float) -> float:
    """Return Keys' kernel at a = -0.75, which torch's bicubic interpolation uses."""
    a, x = -0.75, abs(distance)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0


def stretch(own: int, wanted: int) -> torch.Tensor:
    """Return DINO's interpolation of one axis as a matrix (wanted, own): its samples lie (wanted + 0.1) / own apart."""
    weights = torch.zeros(wanted, own, dtype=torch.float64)
    for place in range(wanted):
        centre = (place + 0.5) * own / (wanted + 0.1) - 0.5
        for neighbour in range(math.floor(centre) - 1, math.floor(centre) + 3):
            weights[place, min(max(neighbour, 0), own - 1)] += cubic(centre - neighbour)
    return weights


@pytest.mark.parametrize(
    ("trunk", "wanted"),
    [
        (lambda: lay_out(hipt.HIPT_VIT256.load), 16),
        (lambda: lay_out(conch.CONCH_V1_5.load).trunk, 28),
    ],
    ids=["hipt-vit256", "conch-v1-5"],
)
def test_positions_are_stretched_as_in_dino(trunk, wanted):
    network = trunk()
    own, width = 14, network.embed_dim
    positions, class_token = torch.randn(1, 1 + own * own, width), torch.randn(1, 1, width)
    network.pos_embed, network.cls_token = torch.nn.Parameter(positions), torch.nn.Parameter(class_token)
    along = stretch(own, wanted)
    grid = torch.einsum("yi,xj,ijc->yxc", along, along, positions[0, 1:].double().view(own, own, width))
    with torch.no_grad():
        tokens = network._pos_embed(torch.zeros(1, wanted, wanted, width))[0]
    torch.testing.assert_close(tokens[1:].double(), grid.flatten(0, 1), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(tokens[0], (class_token + positions[:, :1])[0, 0])


def test_hipts_teacher_is_taken_out_of_its_wrappers():
    network = lay_out(hipt.HIPT_VIT256.load)
    state = {f"module.backbone.{key}": value for key, value in network.state_dict().items()}
    loads(network, state | {"module.head.mlp.0.weight": torch.empty(0)}, hipt.HIPT_VIT256.load)
    assert network.pos_embed.shape == (1, 197, 384)  # what the file holds: trained at 224 px


def test_keep_is_projected_to_length_one_and_leaves_timm_as_it_was():
    from timm.layers import LayerScale

    network = lay_out(keep.KEEP.load)
    names = {key: key.replace("gamma", "weight") for key in network.state_dict()}
    state = {names[key]: value for key, value in network.state_dict().items()}
    assert "visual.blocks.0.ls1.weight" in state
    loads(network, state | {"text.pooler.dense.bias": torch.empty(0), "logit_scale": torch.empty(0)}, keep.KEEP.load)
    assert type(network.visual.blocks[0].ls1) is LayerScale

    head, features = filled(network.visual_head), torch.randn(2, 1024)
    part = head.state_dict()
    hidden = functional.gelu(features @ part["0.weight"].T + part["0.bias"])
    expected = hidden @ part["2.weight"].T + part["2.bias"]
    network.visual = torch.nn.Identity()
    with torch.no_grad():
        torch.testing.assert_close(network(features), expected / expected.norm(dim=1, keepdim=True))


def test_pathoduets_pretext_token_is_no_patch():
    """The patch tokens' mean, then a norm; neither the class token nor the pretext token is in it."""
    network = build_network(pathoduet.PATHODUET.load, seed=0, kwargs_override={"depth": 1}).eval()
    images = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        tokens = network.forward_features(images)
        expected = functional.layer_norm(tokens[:, 2:].mean(dim=1), (768,), eps=1e-6)
        torch.testing.assert_close(Encoder(pathoduet.PATHODUET, network, "")(images), expected)
    assert tokens.shape == (2, 198, 768)
    published = {key.replace("reg_token", "pretext_token"): value for key, value in network.state_dict().items()}
    loads(network, published | {"head.weight": torch.empty(0)}, dropping_head(pathoduet.PATHODUET.load))


def dropping_head(source):
    """Stand in for the loader, which leaves off timm's classifier."""
    import dataclasses

    return dataclasses.replace(source, drop=(r"^head\.",))


# --- EXAONEPath ---


def tissue() -> np.ndarray:
    import skimage.data  # ships with scikit-image: (512, 512, 3)

    return skimage.data.immunohistochemistry()


@pytest.fixture(scope="module")
def stained(tmp_path_factory):
    """The network behind its normalisation, with a piece of real tissue for its reference tile."""
    folder = tmp_path_factory.mktemp("weights")
    path = folder / exaonepath.REPO / exaonepath.REFERENCE_TILE
    path.parent.mkdir(parents=True)
    Image.fromarray(tissue()[:160, :160]).save(path)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MITOZOO_WEIGHTS", str(folder))
        return build_network(exaonepath.EXAONEPATH.load).eval()


def macenko(pixels: np.ndarray, reference: tuple[np.ndarray, np.ndarray] | None):
    """Normalise (pixels, 3) in 0..255 as Macenko et al. 2009, or return the stains of what shall be the reference."""
    density = -np.log((pixels.astype(np.float64) + 1) / 240)
    opaque = density[~(density < 0.15).any(axis=1)]
    plane = np.linalg.eigh(np.cov(opaque.T))[1][:, [1, 2]]
    angles = np.sort(np.arctan2(*(opaque @ plane).T[::-1]))
    low, high = (angles[round(q * (len(angles) - 1))] for q in (0.01, 0.99))
    ends = [plane @ np.array([np.cos(angle), np.sin(angle)]) for angle in (low, high)]
    stains = np.stack(sorted(ends, key=lambda end: -end[0]), axis=1)
    concentrations = np.linalg.pinv(stains) @ density.T
    strongest = np.sort(concentrations, axis=1)[:, round(0.99 * (concentrations.shape[1] - 1))]
    if reference is None:
        return stains, strongest
    restored = 240 * np.exp(-reference[0] @ (concentrations * (reference[1] / strongest)[:, None]))
    return np.minimum(restored, 255).T


def test_stains_are_normalised_as_macenko_did(stained):
    reference = macenko(tissue()[:160, :160].reshape(-1, 3), None)
    patch = tissue()[200:424, 200:424]
    expected = macenko(patch.reshape(-1, 3), reference).reshape(224, 224, 3)
    image = torch.from_numpy(patch.copy()).permute(2, 0, 1) / 255
    ours = 255 * stained.normalise(image).permute(1, 2, 0).numpy()
    assert np.abs(ours - expected).max() < 0.5
    assert np.abs(ours - patch).mean() > 2  # it does change the colours


def test_a_patch_without_tissue_passes_as_it_is(stained):
    glass = torch.full((3, 32, 32), 0.97)
    assert torch.equal(stained.normalise(glass), glass)


def test_exaonepath_is_as_declared_and_each_patch_is_seen_for_itself(stained):
    spec = exaonepath.EXAONEPATH
    assert sum(parameter.numel() for parameter in stained.parameters()) == spec.parameters
    assert stained.num_prefix_tokens == spec.prefix_tokens
    encoder = Encoder(spec, stained, "")
    patches = [tissue()[top : top + 224, 100:324] for top in (0, 200)]
    images = torch.stack([torch.from_numpy(patch.copy()).permute(2, 0, 1) / 255 for patch in patches])
    images = (images - stained.mean) / stained.std
    with torch.no_grad():
        together, alone = encoder(images), encoder(images[1:])
    assert together.shape == (2, spec.embed_dim)
    torch.testing.assert_close(together[1:], alone, rtol=1e-4, atol=1e-4)


def test_exaonepaths_file_may_hold_more_than_its_vit(stained):
    state = {key.removeprefix("vit."): value for key, value in stained.state_dict().items()}
    source = exaonepath.EXAONEPATH.load
    assert mapped(state | {"head.mlp.0.weight": torch.empty(0)}, source).keys() == stained.state_dict().keys()


# --- MUSK: its package cannot be installed here, so a stand-in of the same contract shows what is asked of it ---


def test_musk_is_asked_for_what_its_readme_says(monkeypatch):
    from timm.models import register_model

    class StandIn(torch.nn.Module):
        def __init__(self, vocab_size: int) -> None:
            super().__init__()
            self.logit_scale, self.vocab_size = torch.nn.Parameter(torch.ones([])), vocab_size

        def forward(self, image, *, with_head, out_norm, ms_aug, return_global):
            self.asked = (with_head, out_norm, return_global)
            return torch.zeros(len(image), 2048 if ms_aug else 1024), None

    @register_model
    def musk_large_patch16_384(pretrained=False, vocab_size=0, **kwargs):
        return StandIn(vocab_size)

    monkeypatch.setitem(sys.modules, "musk", types.ModuleType("musk"))
    monkeypatch.setitem(sys.modules, "musk.modeling", types.ModuleType("musk.modeling"))
    for spec in musk.mitozoo_models():
        network = build_network(spec.load)
        assert Encoder(spec, network, "")(torch.zeros(2, 3, 384, 384)).shape == (2, spec.embed_dim)
        assert network.model.asked == (False, False, True)
        assert network.model.vocab_size == 64010
        loads(network, {"logit_scale": torch.zeros([])}, spec.load)
