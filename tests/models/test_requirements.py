"""What a model needs is asked for before anything is fetched, and says what to type."""

from __future__ import annotations

import importlib.metadata

import pytest

from mitozoo.errors import ModelError
from mitozoo.models.encoder import load_encoder, random_encoder
from mitozoo.models.requirements import import_optional, require_packages
from mitozoo.plugins.model_spec import ModelSpec
from mitozoo.plugins.preprocessing import Preprocessing
from mitozoo.plugins.sources import TimmHub


def needing(*requires: str) -> ModelSpec:
    source = TimmHub(
        architecture="test_vit", repo="lab/nowhere", revision=None, filename="x.safetensors", sha256=None, kwargs={}
    )
    return ModelSpec(
        name="needy", load=source, embed_dim=64, pooling="cls", prefix_tokens=1, precision="fp32", license="MIT",
        reference="https://example.org", requires=requires,
        preprocessing=Preprocessing(
            size=32, resize="none", resize_to=32, interpolation="bilinear", antialias=True, mean=(0.5,) * 3,
            std=(0.5,) * 3, mpp=None, mpp_basis="none",
        ),
    )  # fmt: skip


def test_what_is_there_is_enough():
    require_packages(needing("timm>=1.0", "torch", "no-such-package; python_version < '3'"))


@pytest.mark.parametrize("ask", [load_encoder, lambda spec: random_encoder(spec, 0)])
@pytest.mark.parametrize("wish", ["timm>=99", "timm<1"])
def test_a_wrong_version_is_told_with_the_right_one(ask, wish):
    found = importlib.metadata.version("timm")
    with pytest.raises(ModelError, match=f"model 'needy' needs {wish}, and here is {found}") as caught:
        ask(needing(wish))
    assert caught.value.hint == f"Try: pip install '{wish}'"


def test_a_missing_package_is_told():
    with pytest.raises(ModelError, match="needs no-such-package>=2, which is not installed") as caught:
        require_packages(needing("no-such-package>=2"))
    assert caught.value.hint == "Try: pip install 'no-such-package>=2'"


def test_a_requirement_that_is_none_is_the_plugins_fault():
    with pytest.raises(ModelError, match="requires 'timm at least 2', which is no Python requirement"):
        require_packages(needing("timm at least 2"))


def test_a_library_that_only_some_models_need_says_how_to_get_it():
    assert import_optional("timm", "timm", "lab/net") is not None
    with pytest.raises(ModelError, match="lab/net needs no-such-library") as caught:
        import_optional("no_such_library", "no-such-library", "lab/net")
    assert caught.value.hint == "Try: pip install no-such-library"
