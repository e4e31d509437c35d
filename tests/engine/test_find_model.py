"""Models without a plugin, and weights of the user's own, on the whole way to a verified result."""

from __future__ import annotations

import os

import pytest
import timm
import torch
from click.testing import CliRunner

import mitozoo
from mitozoo.cli import main
from mitozoo.engine.find_model import find_model
from mitozoo.engine.request import Request
from mitozoo.engine.verification import verify_run
from mitozoo.errors import MitozooError, ModelError, UnknownNameError
from mitozoo.storage import content_id

ENCODER = """
import torch
from mitozoo import Checkpoint, ModelSpec, Preprocessing

SEEN = Preprocessing(
    size=32, resize="none", resize_to=32, interpolation="bilinear", antialias=True,
    mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), mpp=1.0, mpp_basis="stated",
)

class Means(torch.nn.Module):
    preprocessing, embed_dim = SEEN, 16
    def forward(self, images):
        return torch.nn.functional.adaptive_avg_pool2d(images.mean(1), 4).flatten(1)

BY_HAND = ModelSpec(
    name="by-hand", preprocessing=SEEN, embed_dim=32, pooling="cls", prefix_tokens=1, precision="fp32", license="MIT",
    reference="https://example.org/by-hand",
    load=Checkpoint(
        architecture="timm:vit_tiny_patch16_224",
        kwargs={"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 1, "num_heads": 2, "num_classes": 0},
        repo="", revision=None, filename="by-hand.pth", url="", sha256=None, entry="", strip_prefix="", rename={},
        drop=(),
    ),
)
"""


@pytest.fixture
def encoder_file(tmp_path):
    path = tmp_path / "encoders.py"
    path.write_text(ENCODER)
    return path


@pytest.fixture
def weights(tmp_path):
    """Write two weight files for the model that nobody can download."""

    def write(seed: int):
        torch.manual_seed(seed)
        network = timm.create_model(
            "vit_tiny_patch16_224", img_size=32, patch_size=8, embed_dim=32, depth=1, num_heads=2, num_classes=0
        )
        path = tmp_path / f"weights-{seed}.pth"
        torch.save(network.state_dict(), path)
        return path

    return write


def test_a_class_in_a_file_goes_all_the_way_to_a_verified_result(zoo, encoder_file, tmp_path):
    result = mitozoo.evaluate(f"{encoder_file}:Means", "tiny", out=tmp_path / "runs")
    assert verify_run(result.folder)
    assert result.mean() > 0.8
    model = result.document["model"]
    assert (model["name"], model["plugin"]) == ("file-encoders-means", "encoders.py")
    encoder_file.write_text(ENCODER.replace("images.mean(1)", "images.amax(1)"))
    changed = mitozoo.evaluate(f"{encoder_file}:Means", "tiny", out=tmp_path / "runs")
    assert changed.document["model"]["fingerprint"] != model["fingerprint"]
    assert changed.folder != result.folder


def test_weights_of_the_users_own_are_recorded_and_never_mixed_up(zoo, encoder_file, weights, tmp_path):
    name, given = f"{encoder_file}:BY_HAND", {"folds": 1, "out": tmp_path / "runs"}
    with pytest.raises(ModelError, match=r"model 'by-hand': by-hand\.pth has no address") as caught:
        mitozoo.evaluate(name, "tiny", **given)
    assert "https://example.org/by-hand" in caught.value.hint
    first, second = (mitozoo.evaluate(name, "tiny", weights=weights(seed), **given) for seed in (1, 2))
    assert first.document["model"]["weights_sha256"] == content_id(tmp_path / "weights-1.pth")
    assert second.document["model"]["weights_sha256"] == content_id(tmp_path / "weights-2.pth")
    assert first.folder != second.folder
    assert first.mean() != second.mean()


def test_the_command_line_takes_them_too(zoo, encoder_file, weights, tmp_path):
    arguments = ["embed", "-m", f"{encoder_file}:BY_HAND", "-d", "tiny", "-o", str(tmp_path / "out.safetensors")]
    done = CliRunner().invoke(main, [*arguments, "--weights", str(weights(1))])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out.safetensors").exists()


def test_the_users_yes_to_remote_code_reaches_every_process(zoo, monkeypatch):
    monkeypatch.setenv("MITOZOO_TRUST_REMOTE_CODE", "0")
    CliRunner().invoke(main, ["eval", "-m", "no-such-model", "-d", "tiny"])
    assert os.environ["MITOZOO_TRUST_REMOTE_CODE"] == "0"
    CliRunner().invoke(main, ["eval", "-m", "no-such-model", "-d", "tiny", "--trust-remote-code"])
    assert os.environ["MITOZOO_TRUST_REMOTE_CODE"] == "1"


def test_weights_need_a_model(tmp_path):
    with pytest.raises(MitozooError, match="--weights are a model's"):
        Request(model=None, dataset="tiny", embeddings=tmp_path / "e.parquet", weights=tmp_path / "w.pth")


def test_registered_names_stay_registered_names(zoo):
    assert find_model("steady").spec.name == "steady"
    with pytest.raises(UnknownNameError):
        find_model("stead")
    with pytest.raises(UnknownNameError, match="has no weights called 'steady'"):
        find_model("timm:steady")
