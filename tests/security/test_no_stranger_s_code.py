"""No code out of a stranger's file runs, and no line of the source could run it: no pickle, no shell, no eval."""

from __future__ import annotations

import ast
import hashlib
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from mitozoo.embeddings.patch_store import StoredPatches, store_patches
from mitozoo.embeddings.table import read_embeddings
from mitozoo.errors import MitozooError, ModelError
from mitozoo.models.loaders import load_network, read_state
from mitozoo.plugins.sources import Checkpoint, OpenClipHub, PackagedWeights, Source, TimmHub, TransformersHub
from mitozoo.protocols.checkpoint import Checkpoint as TrainingState

REPOSITORY = Path(__file__).parents[2]
SOURCES = [
    *sorted((REPOSITORY / "mitozoo").rglob("*.py")),
    *sorted(path for path in (REPOSITORY / "plugins").rglob("*.py") if "test" not in path.name),
]
#: Calls that run what they are given, or that may.
FORBIDDEN = {
    "eval", "exec", "os.system", "os.popen", "os.execv", "os.execve", "os.execvp", "os.spawnv", "subprocess.getoutput",
    "subprocess.getstatusoutput", "pickle.load", "pickle.Unpickler", "dill.load", "dill.loads", "joblib.load",
    "cloudpickle.load", "cloudpickle.loads", "marshal.load", "marshal.loads", "shelve.open", "yaml.load",
    "yaml.unsafe_load", "pd.read_pickle", "pandas.read_pickle", "torch.hub.load", "torch.jit.load", "torch.package",
    "tarfile.TarFile.extractall", "shutil.unpack_archive", "tempfile.mktemp",
}  # fmt: skip
#: Pickles that this very process wrote to the stdin of a process that it started.
OWN_PICKLES = {"mitozoo/testing/imported_alone.py", "mitozoo/testing/label_files.py"}


def calls(path: Path) -> list[tuple[str, ast.Call]]:
    """Return every call in a file with the dotted name of what is called."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [(ast.unparse(node.func), node) for node in ast.walk(tree) if isinstance(node, ast.Call)]


def argument(call: ast.Call, name: str) -> object:
    return next((getattr(one.value, "value", ...) for one in call.keywords if one.arg == name), None)


def dangerous_lines(path: Path, where: str) -> list[str]:
    """Return the calls of a file that no file of this project may make."""
    return [
        f"{where}:{call.lineno} {ast.unparse(call)}"
        for name, call in calls(path)
        if name in FORBIDDEN
        or (name == "pickle.loads" and where not in OWN_PICKLES)
        or argument(call, "shell") not in (None, False)
        or (name == "torch.load" and argument(call, "weights_only") is not True)
        or (name in ("np.load", "numpy.load") and argument(call, "allow_pickle") is not False)
        or name.endswith((".extractall", ".extract"))
    ]


def test_no_line_runs_a_shell_or_what_a_file_says():
    assert len(SOURCES) > 200
    found = [line for path in SOURCES for line in dangerous_lines(path, path.relative_to(REPOSITORY).as_posix())]
    assert not found


@pytest.mark.parametrize(
    "line",
    [
        "eval(x)", "subprocess.run(c, shell=True)", "subprocess.Popen(c, shell=wanted)", "torch.load(p)", "np.load(p)",
        "torch.load(p, weights_only=False)", "archive.extractall()", "pickle.loads(b)", "os.system(c)",
        "np.load(p, allow_pickle=True)",
    ],
)  # fmt: skip
def test_the_rule_finds_what_it_is_for(tmp_path, line):
    sample = tmp_path / "sample.py"
    sample.write_text(line)
    assert dangerous_lines(sample, "sample.py")


class Malice:
    """Pickles to a call that makes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return (Path.touch, (self.target,))


#: Each writes a trap in a format that a weight file may have.
DISGUISES = {
    "a pickle": lambda path, trap: path.write_bytes(pickle.dumps(trap)),
    "torch's archive": lambda path, trap: torch.save(trap, path),
    "torch's older format": lambda path, trap: torch.save(trap, path, _use_new_zipfile_serialization=False),
    "a NumPy file": lambda path, trap: np.save(path.open("wb"), np.array([trap], dtype=object), allow_pickle=True),
}


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("disguise", DISGUISES)
def test_planted_code_is_refused_in_every_format_and_under_every_name(disguise, tmp_path):
    target = tmp_path / "the-code-ran"
    trap = {"teacher": {"weight": Malice(target)}, "weight": Malice(target)}
    for name in ("model.bin", "model.pth", "model.pt", "model.ckpt", "model.safetensors", "model.npy", "model"):
        DISGUISES[disguise](tmp_path / name, trap)
        for entry in ("", "teacher"):
            with pytest.raises(ModelError, match=r"refused|cannot read the weight file") as caught:
                read_state(tmp_path / name, entry=entry)
            assert "\n" not in caught.value.message
    assert not target.exists()


TIMM = {"architecture": "test_vit", "kwargs": {"num_classes": 0}}
HUB = {"repo": "lab/net", "revision": None, "sha256": None, "filename": "model.bin"}
CHECKPOINT = {
    "architecture": "timm:test_vit", "kwargs": {"num_classes": 0}, "revision": None, "sha256": None, "strip_prefix": "",
    "rename": {}, "drop": (), "filename": "model.bin",
}  # fmt: skip
LOADERS = {
    "timm": lambda sha256: TimmHub(**TIMM, **HUB),
    "open_clip": lambda sha256: OpenClipHub(
        architecture="ViT-B-32", **HUB,
        kwargs={"vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16}, "embed_dim": 8},
    ),
    "transformers": lambda sha256: TransformersHub(
        **HUB, model_class="transformers:ViTModel", kwargs={"add_pooling_layer": False}, output="last_hidden_state"
    ),
    "checkpoint in a repository": lambda sha256: Checkpoint(**CHECKPOINT, repo="lab/net", url="", entry=""),
    "checkpoint at an address": lambda sha256: Checkpoint(
        **CHECKPOINT, repo="", url="https://example.org/w", entry="teacher"
    ),
    "packaged, by names": lambda sha256: PackagedWeights(
        **TIMM, package="lab", path="model.bin", sha256=sha256, mapping="names"
    ),
    "packaged, in order": lambda sha256: PackagedWeights(
        **TIMM, package="lab", path="model.bin", sha256=sha256, mapping="order"
    ),
}  # fmt: skip


def test_every_kind_of_source_is_among_them():
    kinds = {type(make("0" * 64)) for make in LOADERS.values()}
    assert kinds == set(Source.__subclasses__()), "a new kind of source needs its planted file here"


@pytest.mark.parametrize("loader", LOADERS)
def test_planted_code_is_refused_by_every_loader_from_every_place(loader, tmp_path, monkeypatch):
    target, folder = tmp_path / "the-code-ran", tmp_path / "weights" / "lab" / "net"
    folder.mkdir(parents=True)
    config = {"model_type": "vit", "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 32, "image_size": 32}))
    planted = folder / "model.bin"
    torch.save({"teacher": {"weight": Malice(target)}, "weight": Malice(target)}, planted)
    for elsewhere in (folder.parent, folder.parents[1]):
        shutil.copyfile(planted, elsewhere / "model.bin")
    monkeypatch.setenv("MITOZOO_WEIGHTS", str(tmp_path / "weights"))
    source = LOADERS[loader](hashlib.sha256(planted.read_bytes()).hexdigest())
    for given in (None, planted):  # in the user's own folder of weights, and as --weights names it
        with pytest.raises(ModelError, match="runs no code from a weight file") as caught:
            load_network(source, file=given)
        assert isinstance(caught.value.__cause__, pickle.UnpicklingError)
    assert not target.exists()


def test_the_planted_code_would_run_if_it_were_loaded(tmp_path):
    pickle.loads(pickle.dumps(Malice(tmp_path / "the-code-ran")))
    assert (tmp_path / "the-code-ran").exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_planted_code_in_embeddings_and_in_a_training_s_state_is_refused(tmp_path):
    target = tmp_path / "the-code-ran"
    trap = {"format": 1, "anything": Malice(target)}
    for suffix in (".safetensors", ".parquet"):
        path = tmp_path / f"embeddings{suffix}"
        path.write_bytes(pickle.dumps(trap))
        with pytest.raises(MitozooError):
            read_embeddings(path)
    for write in DISGUISES.values():
        path = tmp_path / "state.pt"
        write(path, trap)
        assert TrainingState(path, "key").load() is None  # not believed: the training begins anew
    assert not target.exists()


def test_planted_code_in_the_patch_store_is_not_loaded(zoo, own_home, tmp_path):
    from mitozoo.data.cells import read_cells
    from mitozoo.data.geometry import Geometry
    from mitozoo.data.patches import plan_patches
    from mitozoo.plugins.registry import load_registry

    registry, target = load_registry(), tmp_path / "the-code-ran"
    preprocessing = registry.model("steady").spec.preprocessing
    cells = read_cells(registry.dataset("tiny").spec, zoo)
    plan = plan_patches(cells, Geometry(window_um=32.0, edge="reflect"), target_px=preprocessing.size)
    whole = store_patches(plan, preprocessing)
    assert isinstance(whole, StoredPatches)
    for file in own_home.glob("patches/*/*/*.npy"):
        assert sorted(file.parent.iterdir())
        with file.open("wb") as planted:
            np.save(planted, np.array([Malice(target)], dtype=object), allow_pickle=True)
    again = store_patches(plan, preprocessing)
    assert not target.exists()
    assert again.pixels == whole.pixels
