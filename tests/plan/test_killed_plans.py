"""Drivers and workers killed at random moments: the same command ends with the bytes of an undisturbed plan."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest
from tiny_plans import gone, kill, moments

KILLS = int(os.environ.get("MITOZOO_KILLS", "10"))  # `make faults`: 100
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="NOT TESTED: processes are found in /proc"),
]


def test_killed_drivers_and_workers_lose_nothing(new_plan, undisturbed):
    """One call after the other on one cache; whenever a call ends, all is compared and begun anew."""
    whole, taken = undisturbed
    plan = new_plan("killed", models=whole.models, further=whole.further)
    hits = {"driver": 0, "workers": 0}
    ended, drawn = 0, moments("kill -9", 100 * KILLS, taken)
    while sum(hits.values()) < KILLS or not ended:
        victim = "workers" if sum(hits.values()) % 3 == 2 else "driver"
        process, deadline = plan.start(), time.monotonic() + drawn.pop()
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        alive = sum(hits.values()) < KILLS and process.poll() is None
        if alive and victim == "driver":
            kill(process)
            hits[victim] += 1
            assert gone(plan.workers), "an orphan goes on"
            continue
        if alive and (workers := plan.workers()):
            for worker in workers:
                os.kill(worker, signal.SIGKILL)
            hits[victim] += 1
        _, stderr = process.communicate(timeout=300)
        assert process.returncode == 0, stderr
        assert plan.results() == whole.results()
        assert plan.shards() == whole.shards()
        ended += 1
        print(f"{hits} killed at work, {len(plan.events('lost'))} tasks begun again, {ended} times equal", flush=True)
        plan.forget()
