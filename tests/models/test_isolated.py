"""A model whose requirements clash with the host's runs in an environment and a process of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from isolated_zoo import has_ended, isolated_zoo, isolated_zoo_site, variables, without_uv

from mitozoo import storage
from mitozoo.embeddings.caches import list_caches
from mitozoo.engine.subject import UntrainedModel
from mitozoo.errors import MitozooError, ModelError, ProtocolError
from mitozoo.models.encoder import load_encoder
from mitozoo.models.isolated import environment
from mitozoo.models.isolated.encoder import load_isolated
from mitozoo.models.isolated.environment import asked_for, environment_of
from mitozoo.plugins.registry import load_registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mitozoo.models.isolated.encoder import IsolatedEncoder

__all__ = ["isolated_zoo", "isolated_zoo_site"]

SAID = "seen\nand this went to the file descriptor\n"  # by the worker, for each batch

BUILD = """
import sys
from mitozoo.models.isolated.environment import environment_of
from mitozoo.plugins.registry import load_registry
print(environment_of(load_registry().model("painter")).executable())
"""


@pytest.fixture(scope="module")
def painter(isolated_zoo) -> Iterator[IsolatedEncoder]:
    encoder = load_isolated(load_registry().model("painter"))
    yield encoder
    encoder._worker.end()


@pytest.fixture
def own_home(isolated_zoo, tmp_path, monkeypatch):
    home = tmp_path / "home"
    monkeypatch.setenv("MITOZOO_HOME", str(home))
    return home


def patches(n: int = 7) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(10, 255, (n, 32, 32, 3), dtype=np.uint8))


def test_the_host_alone_cannot_run_it(isolated_zoo):
    with pytest.raises(ModelError, match=r"needs palette<2, and here is 2\.0\.0"):
        load_encoder(load_registry().model("painter-here").spec)


def test_it_gives_what_the_same_network_gives_in_process_bit_for_bit(painter, capfd):
    from mitozoo.models.devices import place

    here = load_encoder(load_registry().model("turner").spec)
    place(here, "cpu")
    for n in (7, 1):
        for precision in ("fp32", "bf16"):
            vectors = painter.embed(patches(n), precision, "cpu")
            assert vectors.dtype == np.float32
            np.testing.assert_array_equal(vectors, here.embed(patches(n), precision, "cpu"))
    assert painter.parameter_count() == here.parameter_count() > 0
    assert painter.flops == here.flops
    assert painter.weights_sha256 == here.weights_sha256 == "function"
    out, err, end = "", "", time.monotonic() + 30
    while err.count(SAID) < 4 and time.monotonic() < end:  # it comes on its own way, and may come after the embeddings
        told = capfd.readouterr()
        out, err = out + told.out, err + told.err
        time.sleep(0.02)
    assert out == "", "what a worker prints must reach nobody's stdout"
    assert err.count(SAID) == 4


def test_check_looks_at_it_as_at_any_other(painter):
    from mitozoo.testing.network import _behaviour_findings, _declared_findings

    findings = [*_declared_findings(painter), *_behaviour_findings(painter, 0.0)]
    assert {finding.status for finding in findings} == {"PASS"}
    assert {"dimension", "batch size", "batch order", "repeatable"} <= {finding.what for finding in findings}


def test_a_model_that_fails_or_dies_is_told_in_a_sentence(isolated_zoo):
    painter = load_isolated(load_registry().model("painter"))
    deadly, refused = patches(), patches()
    deadly[0, 0, 0, 0], refused[0, 0, 0, 0] = 7, 9
    with pytest.raises(ModelError, match=r"^ValueError: this is a nine$"):
        painter.embed(refused, "fp32", "cpu")
    assert len(painter.embed(patches(), "fp32", "cpu")) == 7  # it goes on after that
    with pytest.raises(ModelError, match=r"own, where it can embed patches and not be trained"):
        painter(torch.zeros(1, 3, 32, 32))
    with pytest.raises(ModelError, match=r"^the worker of model 'painter' ended with exit code 3") as caught:
        painter.embed(deadly, "fp32", "cpu")
    assert "\n" not in caught.value.message
    with pytest.raises(ModelError, match="the worker of model 'painter' ended"):
        painter.embed(patches(), "fp32", "cpu")
    if hasattr(os, "fork"):
        assert has_ended(int(Path(os.environ["PAINTER_FORKED"]).read_text())), "what it forked goes on"


def test_an_untrained_network_needs_a_source_that_can_be_built_without_weights(isolated_zoo):
    with pytest.raises(ModelError, match="model 'painter' cannot be built without its weights"):
        UntrainedModel(load_registry().model("painter")).load()


def test_what_is_asked_for_is_the_models_word_before_mitozoos(isolated_zoo):
    registered = load_registry().model("painter")
    asked = asked_for(registered.spec, registered.plugin)
    assert "palette<2" in asked
    assert any(one.startswith("torch>=") for one in asked)
    assert not any(one.startswith(("mitozoo", "pandas")) for one in asked)
    import dataclasses

    older = dataclasses.replace(registered.spec, requires=("timm<1", "Huggingface_Hub==0.30"))
    asked = asked_for(older, registered.plugin)
    named = [one for one in asked if one.lower().startswith(("timm", "huggingface"))]
    assert named == ["Huggingface_Hub==0.30", "timm<1"]
    with pytest.raises(ModelError, match="no Python requirement"):
        asked_for(dataclasses.replace(registered.spec, requires=("timm\n--index-url http://elsewhere",)), "painter")


def test_an_environment_is_named_by_what_was_resolved(isolated_zoo):
    own = environment_of(load_registry().model("painter"))
    assert "palette==1.4.2" in own.packages
    assert f"torch=={__import__('importlib.metadata').metadata.version('torch')}" in own.packages
    assert "--hash=sha256:" in own.lock
    told = own.document()
    assert told["packages"] == own.packages
    assert len(told["sha256"]) == 64
    other = environment.Environment("painter", own.python, own.lock.replace("1.4.2", "1.4.3"))
    assert own.folder != other.folder
    assert other.document()["sha256"] != told["sha256"]


def test_once_built_it_needs_neither_uv_nor_an_index(own_home, isolated_zoo_site, monkeypatch, tmp_path):
    model = load_registry().model("painter")
    built = environment_of(model).executable()
    without_uv(monkeypatch)
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "nothing"))
    assert environment_of(model).executable() == built
    [entry] = [entry for entry in list_caches() if entry.kind == "environment"]
    assert entry.path == built.parents[2]
    assert entry.bytes > 0

    shutil.rmtree(own_home)
    with pytest.raises(ModelError, match="which uv makes, and uv is not here") as caught:
        environment_of(model)
    assert caught.value.hint == "Try: pip install uv"
    environment.find_uv.cache_clear()


def test_uvs_own_words_are_told_where_there_is_no_solution(own_home):
    with pytest.raises(ModelError, match=r"uv cannot make the environment of model 'impossible': .*palette>=7"):
        environment_of(load_registry().model("impossible"))
    assert not list(own_home.glob("environments/*.txt"))


def test_a_file_that_was_changed_since_it_was_resolved_is_refused(own_home, isolated_zoo_site, tmp_path, monkeypatch):
    own = environment_of(load_registry().model("painter"))
    forged = tmp_path / "wheels"
    shutil.copytree(isolated_zoo_site.wheels, forged)
    with (forged / "palette-1.4.2-py3-none-any.whl").open("ab") as wheel:
        wheel.write(b"\0")
    monkeypatch.setenv("UV_FIND_LINKS", str(forged))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    with pytest.raises(ModelError, match=r"uv cannot make the environment of model 'painter': .*[Hh]ash"):
        own.executable()
    assert {path.name for path in own.folder.iterdir()} == {".lock"}


def test_many_at_once_build_one_environment(own_home, isolated_zoo_site):
    built: list[str] = []
    own = environment_of(load_registry().model("painter"))
    ran = environment._uv

    def noted(model: str, *arguments: str, **further: object) -> None:
        built.append(arguments[0])
        ran(model, *arguments, **further)

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(4) as pool:
        patch.setattr(environment, "_uv", noted)
        assert len(set(pool.map(lambda _: own.executable(), range(4)))) == 1
    assert built == ["venv", "pip"]
    assert {path.name for path in own.folder.iterdir()} == {".lock", "python"}


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="NOT TESTED: process groups cannot be killed here")
@pytest.mark.parametrize("reached", ["", "/pyvenv.cfg", "/requirements.txt"])
def test_killed_while_it_is_built_it_is_built_again(reached, own_home, isolated_zoo_site, tmp_path):
    surroundings = os.environ | variables(isolated_zoo_site, own_home) | {"PYTHONPATH": str(isolated_zoo_site.site)}
    building = subprocess.Popen(
        [sys.executable, "-c", BUILD], env=surroundings, start_new_session=True, stdout=subprocess.DEVNULL
    )
    while building.poll() is None and not list(own_home.glob(f"environments/*/.unfinished-*{reached}")):
        time.sleep(0.0005)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(building.pid, signal.SIGKILL)
    assert building.wait() == -signal.SIGKILL, "it had ended before it was killed"
    assert not list(own_home.glob("environments/*/python"))
    own = environment_of(load_registry().model("painter"))
    python = own.executable()
    assert {path.name for path in own.folder.iterdir()} == {".lock", "python"}
    done = subprocess.run([python, "-I", "-c", "import palette; print(palette.mix)"], capture_output=True, check=True)
    assert done.stdout
    assert storage.home() == own_home


def test_an_environment_whose_python_went_away_is_built_again(own_home):
    own = environment_of(load_registry().model("painter"))
    python = own.executable()
    python.unlink()
    python.symlink_to(own_home / "a-python-that-was-removed")
    assert own.executable() == python
    subprocess.run([python, "-I", "-c", "import palette"], check=True)


def test_it_is_evaluated_as_any_other_and_the_environment_is_recorded(isolated_zoo, tmp_path):
    import mitozoo

    arguments = {"dataset": "tiny", "folds": 2, "out": tmp_path}
    ours = mitozoo.evaluate("painter", **arguments)
    theirs = mitozoo.evaluate("turner", **arguments)
    assert ours.document["scores"] == theirs.document["scores"]
    assert ours.document["model"]["environment"] == environment_of(load_registry().model("painter")).document()
    assert "environment" not in theirs.document["model"]
    with pytest.raises(
        ProtocolError, match="trains the network, and model 'painter' runs in an environment of its own"
    ):
        mitozoo.evaluate("painter", protocol="end-to-end-short", dataset="tiny", out=tmp_path)


def test_a_time_limit_that_is_none_is_refused(monkeypatch):
    from mitozoo.models.isolated.process import TIMEOUT_VARIABLE, time_allowed

    for text in ("soon", "0", "inf", "-1", "nan"):
        monkeypatch.setenv(TIMEOUT_VARIABLE, text)
        with pytest.raises(MitozooError, match="a number of seconds above 0"):
            time_allowed()


def test_doctor_asks_for_uv_and_not_for_the_packages_of_isolated_models(isolated_zoo, monkeypatch):
    from mitozoo.engine.doctor import _plugins_and_hub

    findings = {finding.what: finding for finding in _plugins_and_hub(True)}
    assert findings["isolation"].status == "PASS"
    assert findings["model packages"].detail.endswith("is needed by painter-here")
    without_uv(monkeypatch)
    missing = {finding.what: finding for finding in _plugins_and_hub(True)}["isolation"]
    assert (missing.status, missing.mend) == ("WARN", "Try: pip install uv")
    environment.find_uv.cache_clear()


def test_it_cannot_be_compiled_from_here(isolated_zoo):
    from mitozoo.engine.bench import bench
    from mitozoo.engine.progress import Progress
    from mitozoo.engine.request import Request

    with pytest.raises(
        ModelError, match="model 'painter' runs in an environment of its own, where it cannot be compiled"
    ):
        bench(Request(model="painter", dataset="tiny", compiled=True), progress=Progress())
