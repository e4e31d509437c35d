"""A run that is killed anywhere and started again ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from tiny_zoo import contents

import mitozoo

if TYPE_CHECKING:
    from pathlib import Path

#: Everything is imported once. One child evaluates undisturbed; others, forked from the same state, are killed after
#: shares of the time that it took, until the last may end.
KILLED_AGAIN_AND_AGAIN = """
import json, os, signal, sys, time
import mitozoo
from mitozoo.embeddings import shards
from mitozoo.plugins.registry import load_registry
import mitozoo.engine.evaluate, mitozoo.models.encoder, mitozoo.protocols.training, mitozoo.protocols.logistic
import openslide, pandas, pyarrow.parquet, scipy.optimize, scipy.spatial, tifffile, timm, torch.utils.flop_counter
load_registry().models
shards.SHARD_CELLS = 30
arguments, folder = json.loads(sys.argv[1]), sys.argv[2]

def start(name):
    child = os.fork()
    if child == 0:
        os.environ["MITOZOO_HOME"] = f"{folder}/{name}-home"
        mitozoo.evaluate(**arguments, out=f"{folder}/{name}")
        os._exit(0)
    return child

began = time.monotonic()
os.waitpid(start("undisturbed"), 0)
taken, kills = time.monotonic() - began, 0
for share in (0.15, 0.3, 0.5, 0.4, 0.6, 0.35, None):
    child = start("killed")
    if share is not None:
        time.sleep(share * taken)
        os.kill(child, signal.SIGKILL)
    kills += os.WIFSIGNALED(os.waitpid(child, 0)[1])
print(kills)
"""


def environment(site: Path, **variables: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"} | variables


@pytest.mark.skipif(not hasattr(os, "fork"), reason="NOT TESTED: processes cannot be forked here")
@pytest.mark.parametrize("protocol", ["linear-probe", "end-to-end-short"])
def test_killed_at_many_moments(protocol, zoo, zoo_site, tmp_path):
    arguments = {"model": "steady", "dataset": "tiny", "data": str(zoo), "protocol": protocol, "folds": 2}
    done = subprocess.run(
        [sys.executable, "-c", KILLED_AGAIN_AND_AGAIN, json.dumps(arguments), str(tmp_path)],
        env=environment(zoo_site, TINY_SLEEP="0.005"), capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 2, "too few were still at work when they were killed"
    [killed], [undisturbed] = (list((tmp_path / name).iterdir()) for name in ("killed", "undisturbed"))
    assert (killed / "result.json").is_file()
    assert contents(killed) == contents(undisturbed)


class Running:
    """The real command at work on many rows."""

    def __init__(self, site: Path, out: Path) -> None:
        self.arguments = ("eval", "-m", "steady", "-d", "tiny", "--fractions", "0.5", "--seeds", "8", "--out", out)
        self.site, self.out = site, out
        self.process = self.start()

    def start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "mitozoo", *map(str, self.arguments), "--json"],
            env=environment(self.site), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def end(self, sent: signal.Signals, rows: int) -> tuple[int, str, str]:
        """Send a signal once so many rows are written; return code and output."""
        while self.process.poll() is None and len(list(self.out.glob("*/rows/fold*"))) < rows:
            time.sleep(0.01)
        assert self.process.poll() is None, self.process.communicate()
        self.process.send_signal(sent)
        stdout, stderr = self.process.communicate(timeout=60)
        return self.process.returncode, stdout, stderr


def test_interrupted_and_killed_commands_resume(zoo, zoo_site, own_home, tmp_path):
    out = tmp_path / "runs"
    running = Running(zoo_site, out)
    code, stdout, stderr = running.end(signal.SIGINT, rows=3)
    assert (code, stdout, stderr.split()) == (130, "", ["Interrupted."])
    [folder] = out.iterdir()
    kept = {name: content for name, content in contents(folder).items() if name.startswith("rows/fold")}
    assert 3 <= len(kept) < 40
    assert not (folder / "result.json").exists()

    running.process = running.start()
    code, stdout, stderr = running.end(signal.SIGKILL, rows=len(kept) + 2)
    assert (code, stdout, stderr) == (-signal.SIGKILL, "", "")
    asked = {"fractions": (0.5,), "seeds": 8}
    assert mitozoo.evaluate("steady", "tiny", **asked, out=out).folder == folder
    assert kept.items() <= contents(folder).items()
    undisturbed = mitozoo.evaluate("steady", "tiny", **asked, out=tmp_path / "undisturbed").folder
    assert contents(folder) == contents(undisturbed)
