"""transformers models: files as transformers writes them, loaded whole from one verified file, or refused."""

from __future__ import annotations

import itertools
import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from huggingface_hub import constants
from local_hub import COMMIT

from mitozoo.errors import ModelError
from mitozoo.models.loaders import build_network, load_network
from mitozoo.plugins.sources import TransformersHub

transformers = pytest.importorskip("transformers")

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}
IMAGES = torch.linspace(-2, 2, 2 * 3 * 32 * 32).reshape(2, 3, 32, 32)


def vit(**arguments) -> torch.nn.Module:
    torch.manual_seed(5)
    return transformers.ViTModel(transformers.ViTConfig(intermediate_size=64, **SMALL), **arguments).eval()


def dinov2(**config) -> torch.nn.Module:
    torch.manual_seed(5)
    return transformers.Dinov2Model(transformers.Dinov2Config(**SMALL | config)).eval()


@pytest.fixture
def publish(local_hub, tmp_path):
    """Publish a model as transformers itself saves it, and return its source."""

    count = itertools.count()

    def put(model: torch.nn.Module, change=lambda state: state, **fields) -> TransformersHub:
        folder, repo = tmp_path / "saved", f"lab/net{next(count)}"
        model.save_pretrained(folder)
        state = change(safetensors.torch.load_file(folder / "model.safetensors"))
        sha256 = local_hub.put(repo, "model.safetensors", safetensors.torch.save(state, {"format": "pt"}))
        local_hub.put(repo, "config.json", (folder / "config.json").read_bytes())
        given = {
            "repo": repo, "revision": COMMIT, "filename": "model.safetensors", "sha256": sha256,
            "model_class": f"transformers:{type(model).__name__}", "kwargs": {}, "output": "last_hidden_state",
        }  # fmt: skip
        return TransformersHub(**given | fields)

    return put


def test_a_vit_without_pooler_computes_what_was_published(publish):
    published = vit(add_pooling_layer=False)
    source = publish(published, kwargs={"add_pooling_layer": False})
    network, sha256 = load_network(source)
    expected = published(pixel_values=IMAGES).last_hidden_state
    torch.testing.assert_close(network.eval()(IMAGES), expected, rtol=0, atol=0)
    assert (sha256, network.num_prefix_tokens) == (source.sha256, 1)


def test_the_files_of_older_versions_are_understood(publish):
    """What old versions called encoder.layer.0.attention.attention.query, new ones call otherwise."""
    published = vit(add_pooling_layer=False)
    saved: list[str] = []
    source = publish(published, lambda state: saved.extend(state) or state, kwargs={"add_pooling_layer": False})
    assert any("encoder.layer.0.attention.attention.query" in key for key in saved)
    network, _ = load_network(source)
    torch.testing.assert_close(network.eval()(IMAGES), published(pixel_values=IMAGES).last_hidden_state)


def test_the_automatic_class_finds_dinov2_and_its_positions_are_resampled_at_run_time(publish):
    published = dinov2()
    network, _ = load_network(publish(published, model_class="transformers:AutoModel"))
    larger = torch.nn.functional.interpolate(IMAGES, size=48)
    for images in (IMAGES, larger):
        expected = published(pixel_values=images).last_hidden_state
        torch.testing.assert_close(network.eval()(images), expected, rtol=0, atol=0)
    assert network(larger).shape[1] == 1 + 36


def test_registers_are_counted_as_prefix_tokens(publish):
    config = transformers.Dinov2WithRegistersConfig(**SMALL, num_register_tokens=4)
    published = transformers.Dinov2WithRegistersModel(config).eval()
    network, _ = load_network(publish(published))
    assert network.num_prefix_tokens == 5
    assert network(IMAGES).shape == (2, 5 + 16, 32)


def test_the_pooler_output_is_the_models_own(publish):
    published = dinov2()
    network, _ = load_network(publish(published, output="pooler_output"))
    torch.testing.assert_close(network.eval()(IMAGES), published(pixel_values=IMAGES).pooler_output, rtol=0, atol=0)
    assert not hasattr(network, "num_prefix_tokens")


def test_image_features_need_no_text_tower(publish):
    tower = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    published = transformers.CLIPModel(
        transformers.CLIPConfig(
            text_config=tower | {"vocab_size": 20, "bos_token_id": 0, "eos_token_id": 1},
            vision_config=tower | {"image_size": 32, "patch_size": 16}, projection_dim=8,
        )
    ).eval()  # fmt: skip
    network, _ = load_network(publish(published, output="image_features"))
    expected = published.visual_projection(published.vision_model(pixel_values=IMAGES).pooler_output)
    torch.testing.assert_close(network.eval()(IMAGES), expected, rtol=0, atol=0)
    assert not any("text" in name or "logit" in name for name, _ in network.named_parameters())


def test_half_precision_files_become_single_precision(publish):
    published = dinov2()
    network, _ = load_network(publish(published, lambda state: {key: value.half() for key, value in state.items()}))
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    torch.testing.assert_close(network.eval()(IMAGES), published.half().float()(pixel_values=IMAGES).last_hidden_state)


def test_a_configuration_cannot_lower_the_precision_of_the_weights(publish, local_hub):
    published = dinov2()
    source = publish(published)
    stated = json.loads((local_hub.folder / source.repo / "config.json").read_text())
    local_hub.put(
        source.repo, "config.json", json.dumps(stated | {"dtype": "float16", "torch_dtype": "float16"}).encode()
    )
    network, _ = load_network(source)
    torch.testing.assert_close(network.eval()(IMAGES), published(pixel_values=IMAGES).last_hidden_state, rtol=0, atol=0)


def test_no_weight_is_ever_made_up(publish):
    def without(key):
        return lambda state: {name: value for name, value in state.items() if name != key}

    with pytest.raises(ModelError, match=r"do not fit Dinov2Model \(missing: layernorm\.weight\)"):
        load_network(publish(dinov2(), without("layernorm.weight")))
    with pytest.raises(ModelError, match=r"\(missing: pooler\.dense\.bias, pooler\.dense\.weight\)"):
        load_network(publish(vit(add_pooling_layer=False), model_class="transformers:ViTModel"))
    with pytest.raises(ModelError, match=r"do not fit Dinov2Model \(missing: .* and \d+ more"):
        load_network(publish(dinov2(), lambda state: {}))


def test_surplus_and_misshapen_tensors_are_refused(publish):
    with pytest.raises(ModelError, match=r"\(surplus: zzz0, zzz1, zzz2 and 1 more\)"):
        load_network(publish(dinov2(), lambda state: state | {f"zzz{i}": torch.zeros(1) for i in range(4)}))
    with pytest.raises(ModelError, match=r"\(of another shape: layernorm\.weight\)"):
        load_network(publish(dinov2(), lambda state: state | {"layernorm.weight": torch.zeros(3)}))


def test_what_a_larger_model_kept_beside_its_backbone_may_be_left_over_and_nothing_else(publish):
    torch.manual_seed(5)
    config = transformers.ViTConfig(intermediate_size=64, num_labels=4, **SMALL)
    published = transformers.ViTForImageClassification(config).eval()
    backbone = {"model_class": "transformers:ViTModel", "kwargs": {"add_pooling_layer": False}}
    network, _ = load_network(publish(published, **backbone))
    torch.testing.assert_close(network.eval()(IMAGES), published.vit(pixel_values=IMAGES).last_hidden_state)

    with pytest.raises(ModelError, match=r"\(surplus: .*zzz"):
        load_network(publish(published, lambda state: state | {"vit.zzz": torch.zeros(1)}, **backbone))
    pooled = publish(vit(), kwargs={"add_pooling_layer": False})
    assert load_network(pooled)[0](IMAGES).shape == (2, 17, 32)


def test_another_file_than_the_pinned_one_is_refused(publish):
    source = publish(dinov2(), sha256="0" * 64)
    with pytest.raises(ModelError, match=r"refused .*model\.safetensors: its sha256 is "):
        load_network(source)


def test_a_pickle_with_code_is_refused(publish, local_hub, tmp_path):
    class Malice:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "the-code-ran",))

    source = publish(dinov2(), filename="pytorch_model.bin", sha256=None)
    torch.save({"extra": Malice()}, tmp_path / "trap.bin")
    local_hub.put(source.repo, "pytorch_model.bin", (tmp_path / "trap.bin").read_bytes())
    with pytest.raises(ModelError, match="runs no code from a weight file") as caught:
        load_network(source)
    assert isinstance(caught.value.__cause__, pickle.UnpicklingError)
    assert not (tmp_path / "the-code-ran").exists()


def test_a_hospital_without_internet_puts_the_files_into_a_folder(publish, local_hub, tmp_path, monkeypatch):
    published = dinov2()
    source = publish(published)
    monkeypatch.setenv("MITOZOO_WEIGHTS", str(local_hub.folder))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    network, _ = load_network(source)
    torch.testing.assert_close(network.eval()(IMAGES), published(pixel_values=IMAGES).last_hidden_state)
    assert not local_hub.requests


def test_a_file_given_by_hand_brings_its_configuration_along(publish, local_hub, tmp_path):
    published = dinov2()
    source = publish(published)
    given = tmp_path / "saved" / "model.safetensors"
    with pytest.raises(ModelError, match="the model declares") as caught:  # transformers wrote other metadata
        load_network(source, file=tmp_path / "saved" / "config.json")
    assert "another model" in caught.value.hint
    local_hub.requests.clear()
    network, _ = load_network(publish(published, sha256=None), file=given)
    torch.testing.assert_close(network.eval()(IMAGES), published(pixel_values=IMAGES).last_hidden_state)
    assert not local_hub.requests


def test_a_gated_repository_names_the_page_to_ask_at(publish, local_hub):
    source = publish(dinov2())
    local_hub.gated.add(source.repo)
    with pytest.raises(ModelError, match=f"{source.repo} is gated") as caught:
        load_network(source)
    assert f"{local_hub.address}/{source.repo}" in caught.value.hint
    assert "mitozoo doctor" in caught.value.hint


def test_a_missing_configuration_and_an_unknown_class_are_told(publish, local_hub):
    source = publish(dinov2())
    with pytest.raises(ModelError, match=r"transformers [\d.]+ has no class 'NoSuchModel'") as caught:
        load_network(publish(dinov2(), model_class="transformers:NoSuchModel"))
    assert "upgrade" in caught.value.hint
    local_hub.put(source.repo, "config.json", b'{"model_type": "from-the-future"}')
    with pytest.raises(ModelError, match=f"does not know the model type 'from-the-future' of {source.repo}"):
        load_network(replace(source, model_class="transformers:AutoModel", revision=None))
    local_hub.put("lab/other", "model.safetensors", b"")
    with pytest.raises(ModelError, match=r"cannot fetch config\.json of lab/other"):
        load_network(replace(source, repo="lab/other", sha256=None))


def test_an_untrained_network_is_the_same_for_the_same_seed(publish):
    source = publish(dinov2())
    before = torch.get_rng_state()
    first, again, other = (build_network(source, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(first[key], again[key]) for key in first)
    key = "model.embeddings.patch_embeddings.projection.weight"
    assert not torch.equal(first[key], other[key])


CODE = """
import pathlib, torch
from transformers import PretrainedConfig, PreTrainedModel
pathlib.Path({ran!r}).touch()

class TinyConfig(PretrainedConfig):
    model_type = "tiny-lab-net"
    def __init__(self, width=4, **kwargs):
        super().__init__(**kwargs)
        self.width = width

class TinyNet(PreTrainedModel):
    config_class = TinyConfig
    def __init__(self, config):
        super().__init__(config)
        self.project = torch.nn.Linear(3, config.width)
        self.post_init()
    def _init_weights(self, module):
        pass
    def forward(self, pixel_values):
        return self.encode_image(pixel_values)
    def encode_image(self, images):
        return torch.nn.functional.normalize(self.project(images.mean(dim=(2, 3))), dim=-1)
"""


@pytest.fixture
def remote(local_hub, tmp_path, monkeypatch):
    """A repository whose model is code of its own, and whether that code ran."""
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    ran = tmp_path / "the-code-ran"
    config = {
        "model_type": "tiny-lab-net", "width": 5,
        "auto_map": {"AutoConfig": "modeling_tiny.TinyConfig", "AutoModel": "modeling_tiny.TinyNet"},
    }  # fmt: skip
    local_hub.put("lab/code", "config.json", json.dumps(config).encode())
    local_hub.put("lab/code", "modeling_tiny.py", CODE.format(ran=str(ran)).encode())
    weights = {"project.weight": torch.arange(15.0).reshape(5, 3), "project.bias": torch.ones(5)}
    sha256 = local_hub.put("lab/code", "model.safetensors", safetensors.torch.save(weights, {"format": "pt"}))
    source = TransformersHub(
        repo="lab/code", revision=COMMIT, filename="model.safetensors", sha256=sha256,
        model_class="transformers:AutoModel", kwargs={}, output="encode_image", trust_remote_code=True,
    )  # fmt: skip
    return source, ran, weights


def test_a_repositorys_own_code_never_runs_without_the_users_yes(remote, local_hub):
    source, ran, _ = remote
    for ask in (load_network, build_network):
        with pytest.raises(ModelError, match=f"lab/code works only with Python code of .* {COMMIT}") as caught:
            ask(source)
        assert "--trust-remote-code" in caught.value.hint
    with pytest.raises(ModelError, match="does not know the model type 'tiny-lab-net'"):
        load_network(replace(source, trust_remote_code=False))
    assert not ran.exists()
    assert not [request for request in local_hub.requests if "modeling" in request]


def test_with_the_users_yes_the_pinned_code_runs_and_the_weights_are_still_checked(remote, local_hub, monkeypatch):
    source, ran, weights = remote
    monkeypatch.setenv("MITOZOO_TRUST_REMOTE_CODE", "1")
    network, _ = load_network(source)
    expected = torch.nn.functional.linear(IMAGES.mean(dim=(2, 3)), weights["project.weight"], weights["project.bias"])
    torch.testing.assert_close(network(IMAGES), torch.nn.functional.normalize(expected, dim=-1))
    assert ran.exists()
    fetched = [request for request in local_hub.requests if "modeling_tiny.py" in request]
    assert fetched
    assert all(COMMIT in request for request in fetched)

    incomplete = safetensors.torch.save({"project.weight": weights["project.weight"]}, {"format": "pt"})
    sha256 = local_hub.put("lab/code", "incomplete.safetensors", incomplete)
    with pytest.raises(ModelError, match=r"do not fit TinyNet \(missing: project\.bias\)"):
        load_network(replace(source, filename="incomplete.safetensors", sha256=sha256))


def test_code_that_may_change_is_not_run_but_the_users_own_copy_is(remote, local_hub, monkeypatch):
    source, ran, _ = remote
    monkeypatch.setenv("MITOZOO_TRUST_REMOTE_CODE", "1")
    with pytest.raises(ModelError, match="pins no revision of its code") as caught:
        load_network(replace(source, revision=None))
    assert "DIR/lab/code" in caught.value.hint
    assert not ran.exists()
    monkeypatch.setenv("MITOZOO_WEIGHTS", str(local_hub.folder))
    local_hub.requests.clear()
    assert load_network(replace(source, revision=None))[0](IMAGES).shape == (2, 5)
    assert not local_hub.requests


def test_code_of_another_repository_is_refused(remote, local_hub, monkeypatch):
    source, ran, _ = remote
    monkeypatch.setenv("MITOZOO_TRUST_REMOTE_CODE", "1")
    elsewhere = {"AutoConfig": "evil/net--modeling.C", "AutoModel": "evil/net--modeling.M"}
    local_hub.put("lab/code", "config.json", json.dumps({"model_type": "x", "auto_map": elsewhere}).encode())
    with pytest.raises(ModelError, match="its code lies elsewhere, in evil/net"):
        load_network(source)
    assert not ran.exists()
