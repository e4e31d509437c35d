"""One folder, two machines that see each other's files late and each other's locks never, as on many clusters."""

from __future__ import annotations

import os
import shutil
import subprocess
import time

import pytest
from tiny_plans import kill, moments

KILLS = int(os.environ.get("MITOZOO_KILLS", "0")) // 25  # `make faults`: 4 in each of the two plans
LATE = "attr_timeout=30,entry_timeout=30,negative_timeout=30"  # seconds that a machine trusts what it saw
mountable = os.access("/dev/fuse", os.W_OK) and os.geteuid() == 0 and shutil.which("bindfs")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (mountable and KILLS), reason="NOT TESTED: `make faults` as root, with bindfs and FUSE"),
]


@pytest.fixture
def machines(new_plan, tmp_path):
    """Return a function that makes the same plan on two machines: each has its mount of the folder, and its name."""
    names = ("one", "two")
    (tmp_path / "folder").mkdir()
    for name in names:
        (tmp_path / name).mkdir()
        subprocess.run(["bindfs", "-o", LATE, tmp_path / "folder", tmp_path / name], check=True)

    def make(**stated):
        as_machine = ("unshare", "--uts", "sh", "-c", 'hostname "$0"; exec "$@"')
        return [new_plan(f"{name}/plan", through=(*as_machine, f"machine-{name}"), **stated) for name in names]

    yield make
    for name in names:
        subprocess.run(["fusermount", "-u", "-z", tmp_path / name], check=True)


@pytest.mark.parametrize("protocols", [("linear-probe", "knn"), ("end-to-end-short", "knn")])
def test_two_machines_killed_at_work_end_with_the_bytes_of_one(machines, new_plan, protocols):
    stated = {"models": ("steady",), "protocols": protocols, "further": "folds = 2\nfractions = [0.5, 1]"}
    whole = new_plan("undisturbed", **stated)
    began = time.monotonic()
    whole.run()
    drawn = moments(f"kill -9 {protocols}", KILLS, time.monotonic() - began)
    plans = machines(**stated)
    at_work = [plan.start() for plan in plans]
    for number, moment in enumerate(drawn):
        time.sleep(moment)
        victim = number % 2
        kill(at_work[victim])
        at_work[victim] = plans[victim].start()
    for process in at_work:
        _, stderr = process.communicate(timeout=300)
        assert process.returncode == 0, stderr
    seen = new_plan("folder/plan", **stated)  # by no machine: as it is
    assert seen.results() == whole.results()
    assert seen.shards() == whole.shards()
    print(f"{protocols}: {KILLS} killed, equal", flush=True)
