"""The bridge to slide2vec: a provider's encoder, found by its entry point, listed, loaded and run.

The provider is a real distribution. slide2vec itself cannot lie in this environment (it needs transformers<5), so a
stand-in of the few names that the bridge and a provider use takes its place, with slide2vec's own shapes: its registry,
its base class, its entry points. To run the same tests with the real one, install it into a folder
and set MITOZOO_SLIDE2VEC_SITE to it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_distributions import Tiny, run_mitozoo

STAND_IN = '''
"""The names of slide2vec that its providers import, in few lines."""
import importlib.metadata, types
import torch
from torchvision.transforms import v2

class TorchTileEncoder:
    def __init__(self, model, *, encode_dim, input_size, mean, std, output_variant=None):
        self._model, self.encode_dim, self.size, self.mean, self.std = model.eval(), encode_dim, input_size, mean, std
        self.device = torch.device("cpu")
    def get_transform(self):
        return v2.Compose([v2.ToImage(), v2.Resize((self.size, self.size), antialias=True),
                           v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean=self.mean, std=self.std)])
    def encode_tiles(self, batch):
        return self._model(batch)
    def to(self, device):
        self.device, self._model = torch.device(device), self._model.to(device)
        return self

class Registry:
    found, skipped = {}, None
    def list_with_metadata(self):
        if self.skipped is None:
            Registry.skipped = []
            for point in importlib.metadata.entry_points(group="slide2vec.encoders"):
                try:
                    point.load()()
                except Exception as error:
                    self.skipped.append(types.SimpleNamespace(
                        provider_key=point.name, concise=lambda e=error: f"{type(e).__name__}: {e}"))
        return [info for _, info in self.found.values()]
    def require(self, name):
        self.list_with_metadata()
        return self.found[name][0]
    def info(self, name):
        self.list_with_metadata()
        return self.found[name][1]

encoder_registry = Registry()

def register_encoder(name, *, encode_dim, input_size, supported_spacing_um, level="tile", precision="fp16", source="",
                     default_spacing_um=None, **_):
    def keep(encoder_class):
        encoder_registry.found[name] = encoder_class, {
            "name": name, "level": level, "output_variants": {"default": {"encode_dim": encode_dim}},
            "default_output_variant": "default", "supported_spacing_um": supported_spacing_um, "precision": precision,
            "source": source, "default_spacing_um": default_spacing_um}
        return encoder_class
    return keep

def list_encoder_provider_diagnostics():
    encoder_registry.list_with_metadata()
    return tuple(encoder_registry.skipped)
'''

PROVIDER = """
def register():
    import torch
    from torchvision.transforms import v2
    from slide2vec.encoders import TorchTileEncoder, register_encoder

    NORMAL = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean=(0.6, 0.5, 0.4), std=(0.2, 0.3, 0.4))]

    class Colours(TorchTileEncoder):
        def __init__(self, *, output_variant=None):
            network = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, 5))
            torch.nn.init.constant_(network[2].weight, 0.25)
            torch.nn.init.zeros_(network[2].bias)
            super().__init__(network, encode_dim=5, input_size=32, mean=(0.6, 0.5, 0.4), std=(0.2, 0.3, 0.4))

    class Static(Colours):
        def get_transform(self):
            return v2.Compose([v2.ToImage(), v2.Resize(40, interpolation=v2.InterpolationMode.BICUBIC, antialias=True),
                               v2.CenterCrop(32), *NORMAL])

    class Inverting(Colours):
        def get_transform(self):
            return v2.Compose([v2.ToImage(), v2.Resize((32, 32), antialias=True), v2.RandomInvert(1.0), *NORMAL])

    given = dict(encode_dim=5, input_size=32, supports_variable_input_size=True, precision="fp32")
    register_encoder("acme-static", supported_spacing_um=[0.5, 0.25], source="acme/static", **given)(Static)
    register_encoder("acme-later", supported_spacing_um=0.5, **given)(Colours)
    register_encoder("acme-inverting", supported_spacing_um=0.5, **given)(Inverting)
"""

USE = """
import json, torch
from mitozoo.models.encoder import load_encoder
from mitozoo.plugins.registry import load_registry
encoder = load_encoder(load_registry().model("slide2vec-acme-static").spec)
images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
given = (encoder(images) - 0.25 * images.mean(dim=(2, 3)).sum(dim=1, keepdim=True)).abs().max().item()
trained = [name for name, parameter in encoder.named_parameters() if parameter.requires_grad]
print(json.dumps({"difference": given, "parameters": len(trained), "sha256": encoder.weights_sha256}))
"""


@pytest.fixture(scope="module")
def sites(installed) -> tuple[Path, ...]:
    broken = ("slide2vec.encoders", "no_such_module:register")
    site = installed(
        Tiny("acme-encoders", PROVIDER, group="slide2vec.encoders", further={"broken": broken}),
    )
    points = site / "acme_encoders-1.0.0.dist-info" / "entry_points.txt"
    points.write_text(points.read_text().replace("= acme_encoders\n", "= acme_encoders:register\n"))
    if real := os.environ.get("MITOZOO_SLIDE2VEC_SITE"):
        return site, Path(real)
    (site / "slide2vec").mkdir()
    (site / "slide2vec" / "__init__.py").write_text("")
    (site / "slide2vec" / "encoders.py").write_text(STAND_IN)
    (site / "slide2vec-7.1.4.dist-info").mkdir()
    (site / "slide2vec-7.1.4.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: slide2vec\nVersion: 7.1.4\n"
    )
    return (site,)


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("slide2vec-home")


def run(sites, home, *arguments):
    path = os.pathsep.join(map(str, sites))
    variables = {"PYTHONPATH": path, "MITOZOO_HOME": str(home), "MITOZOO_PLUGINS": "slide2vec", "HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def listing(sites, home):
    done = run(sites, home, "-m", "mitozoo_plugin_slide2vec")
    assert done.returncode == 0, done.stderr
    [file] = (home / "slide2vec").glob("*.json")
    return json.loads(file.read_text())


def test_nothing_is_offered_where_slide2vec_is_not_installed(monkeypatch):
    import mitozoo_plugin_slide2vec as bridge

    monkeypatch.setattr("sys.path", [one for one in sys.path if not (Path(one or ".") / "slide2vec").is_dir()])
    assert bridge.installed() == {}
    assert bridge.mitozoo_models() == []


def test_the_listing_holds_what_the_encoders_say(listing):
    entry = listing["encoders"]["acme-static"]
    assert entry["versions"] == ["acme-encoders 1.0.0", "slide2vec 7.1.4"]
    assert (entry["embed_dim"], entry["output"], entry["precision"]) == (5, "default", "fp32")
    assert entry["preprocessing"] == {
        "size": 32, "resize": "short-side", "resize_to": 40, "interpolation": "bicubic", "antialias": True,
        "mean": [0.6, 0.5, 0.4], "std": [0.2, 0.3, 0.4], "mpp": 0.25, "mpp_basis": "convention",
    }  # fmt: skip


def test_what_cannot_be_told_as_values_is_left_out_with_the_reason(listing):
    assert listing["failure"] == ""
    assert "acme-inverting" not in listing["encoders"]
    assert listing["left_out"]["acme-inverting"] == "its transform does more than resizing, cropping and normalising"
    later = "its transform shows once its weights are loaded; try: python -m mitozoo_plugin_slide2vec acme-later"
    assert listing["left_out"]["acme-later"] == later
    assert "no_such_module" in listing["left_out"]["provider broken"]


def test_a_listed_encoder_gives_what_slide2vec_gives(sites, home, listing):
    done = run(sites, home, "-c", USE)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["difference"] < 1e-6
    assert result["parameters"] == 2
    assert result["sha256"] == "function"


def test_an_encoder_named_by_hand_is_loaded_and_added(sites, home, listing):
    done = run(sites, home, "-m", "mitozoo_plugin_slide2vec", "acme-later")
    assert done.returncode == 0, done.stdout + done.stderr
    [file] = (home / "slide2vec").glob("*.json")
    now = json.loads(file.read_text())
    assert now["encoders"].keys() - listing["encoders"].keys() == {"acme-later"}
    assert now["encoders"]["acme-later"]["preprocessing"]["resize"] == "square"
    assert "acme-later" not in now["left_out"]


def test_an_encoder_passes_the_check_and_listing_imports_no_torch(sites, home, listing):
    wishes = {"MITOZOO_HOME": str(home), "MITOZOO_PLUGINS": "slide2vec"}
    done = run_mitozoo("check", "slide2vec-acme-static", sites=sites, **wishes)
    assert done.returncode == 0, done.stdout + done.stderr
    script = "import sys, mitozoo_plugin_slide2vec as b; assert b.mitozoo_models(); assert 'torch' not in sys.modules"
    assert run(sites, home, "-c", script).returncode == 0


def test_a_slide2vec_that_cannot_be_imported_is_told_once_and_kept(sites, tmp_path):
    (tmp_path / "slide2vec").mkdir()
    (tmp_path / "slide2vec" / "__init__.py").write_text("raise ImportError('it needs transformers<5')")
    for _ in range(2):
        done = run((tmp_path, *sites), tmp_path, "-m", "mitozoo", "plugins")
        assert "slide2vec cannot be asked: ImportError: it needs transformers<5" in " ".join(
            (done.stdout + done.stderr).split()
        )
    [kept] = (tmp_path / "slide2vec").glob("*.json")
    assert json.loads(kept.read_text())["encoders"] == {}
