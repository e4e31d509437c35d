"""Plans over the tiny zoo, run by the real command, and what tests look at of them."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from tiny_distributions import Tiny
from tiny_zoo import contents

from mitozoo.results.shared_runs import front_of

#: Shards of two slides, so that 168 cells are seven shards, and models that do what plugins should not.
FAULTS = """
import os, signal, sys, time
from mitozoo import hookimpl
from mitozoo.embeddings import shards
from mitozoo_plugin_tinyzoo import load_steady, model

shards.SHARD_CELLS = 24

def ill():
    return not os.environ.get("TINY_WELL")

def hang():
    if ill():
        time.sleep(3600)
    return load_steady()

def leave():
    if ill():
        os._exit(0)
    return load_steady()

def leak():
    held = []
    while ill():
        held.append(bytearray(b"x" * 50_000_000))
    return load_steady()

def be_killed():
    if ill():
        os.kill(os.getpid(), signal.SIGKILL)
    return load_steady()

def raise_bug():
    if ill():
        raise RuntimeError("this plugin is broken")
    return load_steady()

def speak():
    print("\\x1emitozoo {\\"key\\": 1}")
    os.write(1, b"noise without an end of line")
    os.system("echo noise of a child")
    return load_steady()

def fork():
    child = os.fork()
    if child == 0 and os.environ.get("TINY_CHILD") == "stays":
        time.sleep(3600)
    return load_steady()  # the child returns too, as if it were the worker

@hookimpl
def mitozoo_models():
    return [model(name, load) for name, load in dict(
        hangs=hang, leaves=leave, leaks=leak, killed=be_killed, broken=raise_bug, speaks=speak, forks=fork).items()]
"""
FAULTY = Tiny("mitozoo-plugin-tinyfaults", FAULTS)
MARK = "mitozoo.plan.worker"

GRID = """
[[grid]]
models = {models}
datasets = [{{ name = "tiny", data = "{data}" }}]
protocols = {protocols}
{further}
[execution]
device = "cpu"
{execution}
"""


@dataclass
class TinyPlan:
    """A plan's file in a folder of its own, with its own cache and runs, and the real command over it."""

    folder: Path
    site: Path
    data: Path
    models: tuple[str, ...] = ("steady", "shifted")
    protocols: tuple[str, ...] = ("linear-probe", "knn")
    further: str = "folds = 2\nseeds = 2\nfractions = [0.5, 1]"
    execution: str = "workers = 2\nfits_a_task = 2"
    variables: dict[str, str] = field(default_factory=dict)
    url: str = ""  # that machines share, in place of a folder of runs
    through: tuple[str, ...] = ()  # a command that starts another

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.file.write_text(
            GRID.format(
                models=json.dumps(self.models), protocols=json.dumps(self.protocols), data=self.data,
                further=self.further, execution=self.execution,
            )
        )  # fmt: skip
        datasets = self.folder / "home" / "datasets"
        if not datasets.exists():
            shutil.copytree(self.data, datasets / self.data.name)

    @property
    def file(self) -> Path:
        return self.folder / "tiny.toml"

    @property
    def runs(self) -> Path:
        return self.folder / ("home/shared-runs/" + front_of(self.url).name if self.url else "runs")

    @property
    def environment(self) -> dict[str, str]:
        path = os.pathsep.join([str(self.site), *filter(None, [os.environ.get("PYTHONPATH")])])
        own = {"PYTHONPATH": path, "MITOZOO_HOME": str(self.folder / "home"), "OMP_NUM_THREADS": "1"}
        return os.environ | own | {"MITOZOO_PLUGINS": "tinyzoo,tinyfaults"} | self.variables

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        command = [*self.through, sys.executable, "-m", "mitozoo", "plan", "run", str(self.file), *arguments]
        command += ["--out", self.url or str(self.runs)]
        return subprocess.Popen(
            command, env=self.environment | variables, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, start_new_session=True,
        )  # fmt: skip

    def run(self, *arguments: str, code: int = 0, **variables: str) -> dict:
        """Run to the end, and return what --json prints."""
        process = self.start("--json", *arguments, **variables)
        stdout, stderr = process.communicate(timeout=300)
        assert process.returncode == code, (process.returncode, stdout, stderr, self.logs())
        return json.loads(stdout)

    def evaluate(self, out: Path, asked: list[dict] | None = None) -> dict[str, dict[str, bytes]]:
        """Return the bytes of the plan's runs, evaluated one by one in another process without any plan."""
        asked = asked or [
            {"model": model, "dataset": "tiny", "data": str(self.data), "protocol": protocol, "folds": 2, "seeds": 2,
             "fractions": [0.5, 1]}
            for model in self.models for protocol in self.protocols
        ]  # fmt: skip
        code = (
            "import json, sys, mitozoo\n"
            "for asked in json.loads(sys.argv[1]): mitozoo.evaluate(**asked, device='cpu', out=sys.argv[2])"
        )
        subprocess.run(
            [sys.executable, "-c", code, json.dumps(asked), str(out)], check=True, timeout=300,
            env=self.environment | {"MITOZOO_HOME": str(self.folder / "eval-home"), "MITOZOO_SHARED_CACHE": ""},
        )  # fmt: skip
        return {path.parent.name: contents(path.parent) for path in out.glob("*/result.json")}

    def results(self) -> dict[str, dict[str, bytes]]:
        """Return the bytes of each finished run."""
        return {path.parent.name: contents(path.parent) for path in self.runs.glob("*/result.json")}

    def shards(self) -> dict[str, bytes]:
        """Return the bytes of the embeddings."""
        found = (self.folder / "home" / "embeddings").rglob("*.safetensors")
        return {f"{path.parent.name}/{path.name}": path.read_bytes() for path in found if path.name[0] != "."}

    def forget(self) -> None:
        """Remove runs and embeddings, but no journal."""
        for path in (*self.runs.glob("steady-*"), *self.runs.glob("shifted-*"), self.folder / "home" / "embeddings"):
            shutil.rmtree(path)

    def events(self, *kinds: str) -> list[dict]:
        """Return the lines of all journals, oldest first."""
        lines = []
        for path in sorted(self.runs.glob("plans/*/*/journal.jsonl")):
            for text in path.read_text().splitlines():
                try:
                    lines.append(json.loads(text))
                except ValueError:
                    continue  # torn by a kill
        return [line for line in lines if not kinds or line["event"] in kinds]

    def logs(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-3000:] for path in self.runs.glob("plans/*/*/worker-*.log"))

    def workers(self) -> list[int]:
        """Return the living worker processes of this plan's cache, whoever is their parent now."""
        home = f"MITOZOO_HOME={self.folder / 'home'}\0".encode()
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                ours = home in (process / "environ").read_bytes() + b"\0"
                state = (process / "stat").read_text().rpartition(")")[2].split()[0]
                if ours and state != "Z" and MARK in (process / "cmdline").read_text():
                    found.append(int(process.name))
            except OSError:
                continue
        return found


def moments(what: str, times: int, undisturbed: float) -> list[float]:
    """Draw moments uniformly over the time of an undisturbed run; the seed is printed."""
    seed = int(os.environ.get("MITOZOO_FAULT_SEED", time.time_ns() % 2**32))
    print(f"{what}: seed {seed}, over {undisturbed:.3g} s")
    drawn = random.Random(f"{what} {seed}")
    return [drawn.uniform(0, undisturbed) for _ in range(times)]


def kill(process: subprocess.Popen[str]) -> None:
    """Kill a process group at once."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def gone(find, seconds: float = 10.0) -> bool:
    """Tell whether all processes that `find` finds are gone within some seconds."""
    deadline = time.monotonic() + seconds
    while find():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
