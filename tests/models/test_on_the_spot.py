"""Models without a plugin: what their place says becomes a spec, and the encoder gives what its library gives."""

from __future__ import annotations

import json
import textwrap

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from huggingface_hub import constants
from PIL import Image

from mitozoo.errors import ModelError, UnknownNameError
from mitozoo.models.encoder import load_encoder
from mitozoo.models.on_the_spot import find_on_the_spot, is_on_the_spot
from mitozoo.models.preprocessing import authors_transform, normalise


def as_seen_by(spec, image: Image.Image) -> torch.Tensor:
    """Return an image as the spec's own transform gives it to the network."""
    pixels = torch.from_numpy(authors_transform(spec.preprocessing)(image).copy())
    return normalise(pixels[None], spec.preprocessing)


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(256, size=(240, 300, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("timm:resnet18.a1_in1k", True), ("hf:lab/net", True), ("clip:ViT-B-32/openai", True),
        ("my/encoder.py:MyEncoder", True), ("C:\\models\\net.py:build", True), ("resnet50", False),
        ("mitozoo-plugin-uni/uni", False), ("encoder.py", False), ("encoder.py:", False), ("ftp:x", False),
    ],
)  # fmt: skip
def test_a_name_says_whether_it_is_a_place(name, is_one):
    assert is_on_the_spot(name) is is_one


# --- timm -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def timm_weights(local_hub):
    """Publish one of timm's smallest models as timm does, and return it."""

    def put(name: str, **arguments) -> torch.nn.Module:
        torch.manual_seed(3)
        network = timm.create_model(name, pretrained=False, **arguments).eval()
        repo = timm.get_pretrained_cfg(name).hf_hub_id
        local_hub.put(repo, "model.safetensors", safetensors.torch.save(network.state_dict(), {"format": "pt"}))
        return network

    return put


@pytest.mark.parametrize("name", ["test_vit.r160_in1k", "test_resnet.r160_in1k", "test_efficientnet.r160_in1k"])
def test_a_timm_model_is_what_timm_makes_of_it(timm_weights, name, picture):
    network = timm_weights(name)
    found = find_on_the_spot(f"timm:{name}")
    spec = found.spec
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(network), is_training=False)
    expected = transform(picture)[None]
    torch.testing.assert_close(as_seen_by(spec, picture), expected, rtol=0, atol=1e-5)

    encoder = load_encoder(spec)
    network.reset_classifier(0)
    torch.testing.assert_close(encoder(expected), network(expected))
    assert spec.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert spec.pooling == "network"
    assert {"preprocessing", "pooling"} <= set(spec.unverified)
    assert (found.plugin, found.version, found.shown_name) == ("timm", timm.__version__, f"timm:{name}")
    assert spec.name == f"timm-{name}"


def test_what_was_asked_of_the_hub_once_works_without_it(timm_weights, local_hub, monkeypatch):
    timm_weights("test_vit.r160_in1k")
    first = find_on_the_spot("timm:test_vit.r160_in1k").spec
    before = load_encoder(first)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    local_hub.requests.clear()
    again = find_on_the_spot("timm:test_vit.r160_in1k").spec
    assert again.fingerprint() == first.fingerprint()
    assert load_encoder(again).weights_sha256 == before.weights_sha256
    assert not local_hub.requests


def test_the_users_own_folder_is_enough(timm_weights, local_hub, monkeypatch):
    timm_weights("test_vit.r160_in1k")
    monkeypatch.setenv("MITOZOO_WEIGHTS", str(local_hub.folder))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    load_encoder(find_on_the_spot("timm:test_vit.r160_in1k").spec)
    assert not local_hub.requests


def test_the_default_tag_may_be_left_out(timm_weights):
    timm_weights("test_vit.r160_in1k")
    assert find_on_the_spot("timm:test_vit").spec.load.repo == "timm/test_vit.r160_in1k"


@pytest.mark.parametrize("name", ["resnet50.a1_in2k", "resnet5O", "hf-hub:lab/net", "", "resnet50."])
def test_a_name_that_timm_does_not_know_is_one_sentence(name, local_hub):
    with pytest.raises(UnknownNameError, match=f"timm [0-9.]+ has no weights called '{name}'") as caught:
        find_on_the_spot(f"timm:{name}")
    if name.startswith("resnet50.a"):
        assert "timm:resnet50.a1_in1k" in caught.value.hint
    assert not local_hub.requests


def test_without_a_connection_the_message_says_so(local_hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"cannot look at timm/test_vit\.r160_in1k: .*offline") as caught:
        find_on_the_spot("timm:test_vit.r160_in1k")
    assert "MITOZOO_WEIGHTS" in caught.value.hint


def test_a_gated_repository_names_the_page_to_ask_at(timm_weights, local_hub):
    timm_weights("test_vit.r160_in1k")
    local_hub.gated.add("timm/test_vit.r160_in1k")
    with pytest.raises(ModelError, match="is gated") as caught:
        find_on_the_spot("timm:test_vit.r160_in1k")
    assert f"{local_hub.address}/timm/test_vit.r160_in1k" in caught.value.hint


# --- hub repositories -------------------------------------------------------------------------------------------------


def test_a_repository_that_timm_wrote(local_hub, picture):
    torch.manual_seed(3)
    network = timm.create_model("test_vit", reg_tokens=2, num_classes=0, global_pool="").eval()
    stated = dict(network.pretrained_cfg)
    own = {"mean": (0.7, 0.5, 0.7), "std": (0.2, 0.2, 0.2), "crop_pct": 1.0, "interpolation": "bilinear"}
    stated = {key: value for key, value in (stated | own).items() if value is not None}
    config = {"architecture": "test_vit", "num_classes": 0, "global_pool": "", "model_args": {"reg_tokens": 2}}
    local_hub.put("lab/net", "config.json", json.dumps(config | {"pretrained_cfg": stated}).encode())
    local_hub.put("lab/net", "model.safetensors", safetensors.torch.save(network.state_dict(), {"format": "pt"}))

    spec = find_on_the_spot("hf:lab/net").spec
    assert (spec.name, spec.pooling, spec.prefix_tokens, spec.embed_dim) == ("hf-lab-net", "cls", 3, 64)
    images = as_seen_by(spec, picture)
    transform = timm.data.create_transform(
        (3, 160, 160), interpolation="bilinear", mean=own["mean"], std=own["std"], crop_pct=1.0
    )
    torch.testing.assert_close(images, transform(picture)[None], rtol=0, atol=1e-5)
    torch.testing.assert_close(load_encoder(spec)(images), network(images)[:, 0])


@pytest.fixture
def transformers_repository(local_hub, tmp_path):
    """Publish a model and its image processor as transformers itself saves them."""
    pytest.importorskip("transformers")

    def put(model: torch.nn.Module, processor, repo="lab/net") -> None:
        model.save_pretrained(tmp_path / "saved")
        processor.save_pretrained(tmp_path / "saved")
        for file in ("config.json", "model.safetensors", "preprocessor_config.json"):
            local_hub.put(repo, file, (tmp_path / "saved" / file).read_bytes())

    return put


SMALL = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 64, "patch_size": 16}
STATISTICS = {"image_mean": [0.7, 0.5, 0.7], "image_std": [0.2, 0.25, 0.2]}


def test_a_vit_of_transformers_with_its_image_processor(transformers_repository, picture):
    from transformers import ViTConfig, ViTImageProcessor, ViTModel

    torch.manual_seed(3)
    model = ViTModel(ViTConfig(intermediate_size=32, **SMALL)).eval()  # with the pooler that nobody trained
    processor = ViTImageProcessor(size={"height": 64, "width": 64}, **STATISTICS)
    transformers_repository(model, processor)
    found = find_on_the_spot("hf:lab/net")
    spec = found.spec
    assert (spec.pooling, spec.prefix_tokens, spec.embed_dim, found.plugin) == ("cls", 1, 32, "transformers")
    assert (spec.preprocessing.resize, spec.preprocessing.resize_to, spec.preprocessing.interpolation) == (
        "square", 64, "bilinear",
    )  # fmt: skip
    images = as_seen_by(spec, picture)
    expected = processor(picture, return_tensors="pt")["pixel_values"]
    assert (images - expected).abs().max() <= 1.01 / 255 / 0.2  # the processor may resize a tensor, mitozoo a PIL image
    torch.testing.assert_close(load_encoder(spec)(images), model(pixel_values=images).last_hidden_state[:, 0])


def test_a_dinov2_of_transformers_resizes_the_short_side_and_crops(transformers_repository, picture):
    from transformers import BitImageProcessor, Dinov2Config, Dinov2Model

    torch.manual_seed(3)
    model = Dinov2Model(Dinov2Config(**SMALL)).eval()
    processor = BitImageProcessor(
        size={"shortest_edge": 72}, crop_size={"height": 64, "width": 64}, resample=3, **STATISTICS
    )
    transformers_repository(model, processor)
    spec = find_on_the_spot("hf:lab/net").spec
    assert (spec.preprocessing.resize, spec.preprocessing.resize_to, spec.preprocessing.size) == ("short-side", 72, 64)
    assert spec.preprocessing.interpolation == "bicubic"
    images = as_seen_by(spec, picture)
    torch.testing.assert_close(load_encoder(spec)(images), model(pixel_values=images).last_hidden_state[:, 0])


def test_a_convolutional_network_of_transformers_is_averaged(transformers_repository, picture):
    from transformers import ConvNextImageProcessor, ResNetConfig, ResNetModel

    torch.manual_seed(3)
    model = ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")).eval()
    transformers_repository(model, ConvNextImageProcessor(size={"shortest_edge": 64}, crop_pct=1.0, **STATISTICS))
    spec = find_on_the_spot("hf:lab/net").spec
    assert (spec.pooling, spec.prefix_tokens, spec.embed_dim) == ("gap", 0, 16)
    images = as_seen_by(spec, picture)
    torch.testing.assert_close(load_encoder(spec)(images), model(images).last_hidden_state.mean(dim=(2, 3)))


def test_a_clip_of_transformers_gives_image_features(transformers_repository, picture):
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    tower = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    torch.manual_seed(3)
    model = CLIPModel(
        CLIPConfig(
            text_config=tower | {"vocab_size": 20, "bos_token_id": 0, "eos_token_id": 1},
            vision_config=tower | {"image_size": 64, "patch_size": 16}, projection_dim=8,
        )
    ).eval()  # fmt: skip
    processor = CLIPImageProcessor(size={"shortest_edge": 64}, crop_size={"height": 64, "width": 64})
    transformers_repository(model, processor)
    spec = find_on_the_spot("hf:lab/net").spec
    assert (spec.pooling, spec.embed_dim) == ("network", 8)
    images = as_seen_by(spec, picture)
    expected = model.visual_projection(model.vision_model(pixel_values=images).pooler_output)
    torch.testing.assert_close(load_encoder(spec)(images), expected)


def test_a_repository_that_says_too_little_needs_a_plugin(local_hub):
    local_hub.put("lab/bare", "config.json", b'{"model_type": "vit"}')
    with pytest.raises(ModelError, match=r"lab/bare has no preprocessor_config\.json") as caught:
        find_on_the_spot("hf:lab/bare")
    assert "mitozoo new model" in caught.value.hint
    local_hub.put("lab/weightless", "config.json", b'{"architecture": "test_vit", "pretrained_cfg": {}}')
    with pytest.raises(ModelError, match=r"lab/weightless has none of .*: it has no weights"):
        find_on_the_spot("hf:lab/weightless")
    local_hub.put("lab/empty", "README.md", b"")
    with pytest.raises(ModelError, match=r"cannot fetch config\.json of lab/empty"):
        find_on_the_spot("hf:lab/empty")
    with pytest.raises(ModelError, match="cannot look at lab/nowhere"):
        find_on_the_spot("hf:lab/nowhere")
    for name in ("hf:lab", "hf:", "hf:/net", "hf:a/b/c"):
        with pytest.raises(ModelError, match="is no repository"):
            find_on_the_spot(name)


def test_a_repositorys_own_code_needs_the_users_yes(local_hub):
    config = {"model_type": "lab-net", "auto_map": {"AutoConfig": "code.C", "AutoModel": "code.M"}}
    local_hub.put("lab/code", "config.json", json.dumps(config).encode())
    local_hub.put("lab/code", "code.py", b"raise SystemExit('the code ran')")
    with pytest.raises(ModelError, match="lab/code works only with Python code of its own") as caught:
        find_on_the_spot("hf:lab/code")
    assert "--trust-remote-code" in caught.value.hint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"interpolation": "lanczos"}, "timm's interpolation is 'lanczos'"),
        ({"crop_mode": "border"}, "mitozoo does not pad"),
        ({"input_size": [3, 160, 128]}, "takes square images"),
        ({"input_size": [1, 160, 160]}, "three channels"),
        ({"mean": None}, "states no usable"),
    ],
)
def test_what_mitozoo_cannot_do_is_not_done_differently_in_silence(local_hub, change, message):
    stated = dict(timm.create_model("test_vit").pretrained_cfg) | change
    local_hub.put("lab/net", "config.json", json.dumps({"architecture": "test_vit", "pretrained_cfg": stated}).encode())
    local_hub.put("lab/net", "model.safetensors", b"")
    with pytest.raises(ModelError, match=message):
        find_on_the_spot("hf:lab/net")


# --- open_clip --------------------------------------------------------------------------------------------------------


@pytest.fixture
def tiny_clip(local_hub, tmp_path, monkeypatch):
    open_clip = pytest.importorskip("open_clip")
    design = {
        "embed_dim": 24, "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
        "text_cfg": {"context_length": 8, "vocab_size": 16, "width": 16, "heads": 2, "layers": 1},
    }  # fmt: skip
    (tmp_path / "architectures").mkdir()
    (tmp_path / "architectures" / "spot-clip.json").write_text(json.dumps(design))
    open_clip.add_model_config(tmp_path / "architectures")
    tag = {"hf_hub": "lab/clip/", "mean": (0.48, 0.45, 0.4), "std": (0.26, 0.26, 0.27), "interpolation": "bicubic",
           "resize_mode": "shortest", "quick_gelu": True}  # fmt: skip
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "spot-clip", {"lab": tag})
    torch.manual_seed(3)
    model = open_clip.create_model("spot-clip", force_quick_gelu=True).eval()
    content = safetensors.torch.save(model.state_dict(), {"format": "pt"})
    local_hub.put("lab/clip", "open_clip_model.safetensors", content)
    return model


def test_an_open_clip_model_keeps_the_activation_it_was_trained_with(tiny_clip, picture):
    found = find_on_the_spot("clip:spot-clip/lab")
    spec = found.spec
    assert (spec.name, found.plugin) == ("clip-spot-clip-lab", "open_clip_torch")
    assert (spec.embed_dim, spec.pooling) == (24, "network")
    images = as_seen_by(spec, picture)
    torch.testing.assert_close(load_encoder(spec)(images), tiny_clip.encode_image(images, normalize=False))


@pytest.mark.parametrize("name", ["ViT-B-32/openal", "ViT-B-32", "nothing/else", ""])
def test_a_name_that_open_clip_does_not_know_is_one_sentence(name, local_hub):
    pytest.importorskip("open_clip")
    with pytest.raises(UnknownNameError, match=f"open_clip [0-9.]+ has no weights called '{name}'") as caught:
        find_on_the_spot(f"clip:{name}")
    if "openal" in name:
        assert "clip:ViT-B-32/openai" in caught.value.hint


# --- files ------------------------------------------------------------------------------------------------------------

ENCODER = """
import torch
from mitozoo import ModelSpec, Preprocessing

PREPROCESSING = Preprocessing(
    size=32, resize="none", resize_to=32, interpolation="bilinear", antialias=True,
    mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), mpp=0.5, mpp_basis="stated",
)

class MyEncoder(torch.nn.Module):
    preprocessing = PREPROCESSING
    embed_dim = 3
    def forward(self, images):
        return images.mean(dim=(2, 3))

def build():
    return torch.nn.Conv2d(3, 5, 3)
build.preprocessing, build.embed_dim, build.pooling = PREPROCESSING, 5, "gap"

SPEC = ModelSpec(name="mine", load=MyEncoder, preprocessing=PREPROCESSING, embed_dim=3, pooling="network",
                 prefix_tokens=0, precision="fp32", license="MIT", reference="here")

def nothing():
    pass
"""


@pytest.fixture
def encoder_file(tmp_path):
    path = tmp_path / "my encoder.py"
    path.write_text(ENCODER)
    return path


def test_a_class_a_function_or_a_spec_of_a_file(encoder_file):
    images = torch.rand(2, 3, 32, 32)
    for attribute, name, dim in (("MyEncoder", "file-my-encoder-myencoder", 3), ("build", "file-my-encoder-build", 5)):
        spec = find_on_the_spot(f"{encoder_file}:{attribute}").spec
        assert (spec.name, load_encoder(spec)(images).shape) == (name, (2, dim))
    found = find_on_the_spot(f"{encoder_file}:SPEC")
    assert (found.spec.name, found.plugin, len(found.version)) == ("mine", "my encoder.py", 12)
    torch.testing.assert_close(load_encoder(found.spec)(images), images.mean(dim=(2, 3)))


def test_a_changed_file_is_another_model(encoder_file, monkeypatch):
    monkeypatch.setattr("sys.dont_write_bytecode", False)  # which a file changed within a second must not be taken from
    name = f"{encoder_file}:MyEncoder"
    first = find_on_the_spot(name).spec.fingerprint()
    assert find_on_the_spot(name).spec.fingerprint() == first
    encoder_file.write_text(ENCODER.replace("images.mean(dim=(2, 3))", "images.amax(dim=(2, 3))"))
    changed = find_on_the_spot(name).spec
    assert changed.fingerprint() != first
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(load_encoder(changed)(images), images.amax(dim=(2, 3)))


def test_a_files_weights_are_noticed_where_it_names_them(encoder_file):
    encoder_file.write_text(ENCODER + "\nMyEncoder.weights = 'net.pth'\n")
    (encoder_file.parent / "net.pth").write_bytes(b"one")
    first = load_encoder(find_on_the_spot(f"{encoder_file}:MyEncoder").spec).weights_sha256
    (encoder_file.parent / "net.pth").write_bytes(b"two!")
    assert load_encoder(find_on_the_spot(f"{encoder_file}:MyEncoder").spec).weights_sha256 != first != "function"


def test_what_a_file_lacks_is_told(encoder_file, tmp_path):
    with pytest.raises(ModelError, match="there is no file") as caught:
        find_on_the_spot(f"{tmp_path}/nowhere.py:MyEncoder")
    with pytest.raises(ModelError, match="has no class, function or ModelSpec 'Missing'") as caught:
        find_on_the_spot(f"{encoder_file}:Missing")
    assert "MyEncoder, build" in caught.value.hint
    with pytest.raises(ModelError, match=r"nothing of .* does not say how it sees images") as caught:
        find_on_the_spot(f"{encoder_file}:nothing")
    assert "`preprocessing`" in caught.value.hint
    broken = tmp_path / "broken.py"
    broken.write_text(textwrap.dedent("import no_such_library"))
    with pytest.raises(ModelError, match=r"broken\.py cannot be imported: ModuleNotFoundError: No module named"):
        find_on_the_spot(f"{broken}:MyEncoder")
