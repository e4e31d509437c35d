"""A plugin that hangs is named after five seconds, then abandoned; nothing of the clock stays behind."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from tiny_distributions import Tiny, hook, offering, run_mitozoo

from mitozoo.plugins import guard
from mitozoo.plugins.guard import PluginTimeout, guarded


@pytest.mark.slow
def test_plugin_that_hangs_on_import_is_named_then_abandoned(installed):
    stubborn = "import time\ntry:\n    time.sleep(3600)\nexcept Exception:\n    time.sleep(3600)"
    site = installed(Tiny("mitozoo-plugin-hangs", stubborn), Tiny("mitozoo-plugin-well", offering("[model('well')]")))
    done = run_mitozoo("plugins", "--json", sites=(site,), MITOZOO_IMPORT_TIMEOUT="6")
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert done.stderr == (
        "mitozoo: plugin 'hangs' (mitozoo-plugin-hangs 1.0.0) is still importing after 5 s; "
        "to go without it: MITOZOO_DISABLE_PLUGINS=hangs\n"
    )
    assert (rows["hangs"]["status"], rows["hangs"]["stage"]) == ("broken", "import")
    assert rows["hangs"]["reason"] == "did not finish importing within 6 s"
    assert 6 <= rows["hangs"]["seconds"] < 7
    assert rows["well"]["status"] == "ok"


def test_hook_that_hangs_is_abandoned(installed):
    site = installed(Tiny("mitozoo-plugin-waits", hook("import time; time.sleep(3600)")))
    done = run_mitozoo("info", "waits", sites=(site,), MITOZOO_IMPORT_TIMEOUT="0.5", MITOZOO_PLUGINS="waits")
    assert done.returncode == 2
    why = "mitozoo-plugin-waits 1.0.0 did not finish listing what it offers within 0.5 s"
    assert done.stderr.startswith(f"Error: 'waits' is not available: {why}\n")


def test_endless_generator_is_abandoned(installed):
    endless = hook("import itertools\n    return (model(f'm{n}') for n in itertools.count())")
    site = installed(Tiny("mitozoo-plugin-endless", endless))
    done = run_mitozoo("plugins", "--json", sites=(site,), MITOZOO_IMPORT_TIMEOUT="0.5", MITOZOO_PLUGINS="endless")
    [row] = [row for row in json.loads(done.stdout) if row["name"] == "endless"]
    assert row["reason"] == "did not finish listing what it offers within 0.5 s"
    assert row["models"] == []


def sleep_stubbornly(*caught: type[BaseException]) -> None:
    """Hang, as a plugin does, and hang on where one of these passes by."""
    try:
        time.sleep(10)
    except caught:
        time.sleep(10)


def run_guarded(work, *arguments, seconds: float) -> None:
    with guarded("a", "a 1", "importing", seconds):
        work(*arguments)


def test_alarm_and_handler_of_the_host_are_restored():
    rang = []
    earlier = signal.signal(signal.SIGALRM, lambda *_: rang.append(time.monotonic()))
    try:
        began = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(PluginTimeout, match=r"did not finish importing within 0\.05 s"):
            run_guarded(sleep_stubbornly, seconds=0.05)
        assert rang == []
        time.sleep(0.5)
        assert len(rang) == 1
        assert rang[0] - began == pytest.approx(0.3, abs=0.15)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, earlier)


def test_no_alarm_is_left_after_a_healthy_plugin():
    handler, threads = signal.getsignal(signal.SIGALRM), threading.active_count()
    run_guarded(int, seconds=30)
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is handler
    time.sleep(0.05)
    assert threading.active_count() <= threads


@pytest.mark.parametrize("caught", [Exception, BaseException])
def test_timeout_gets_through_a_plugin_that_catches_it(caught):
    began = time.monotonic()
    with pytest.raises(PluginTimeout):
        run_guarded(sleep_stubbornly, caught, seconds=0.05)
    assert time.monotonic() - began < 3  # the alarm rings again each second


def test_other_threads_name_the_plugin_and_go_on(monkeypatch):
    monkeypatch.setattr(guard, "PATIENCE", 0.05)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    finished = []

    def work() -> None:
        run_guarded(time.sleep, 0.3, seconds=0.1)
        finished.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert finished == [True]
    assert "plugin 'a' (a 1) is still importing" in sys.stderr.getvalue()


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_while_a_plugin_hangs(installed, presses):
    site = installed(Tiny("mitozoo-plugin-sleeps", "import time\nprint('asleep', flush=True)\ntime.sleep(3600)"))
    environment = {**os.environ, "PYTHONPATH": str(site), "MITOZOO_PLUGINS": "sleeps"}
    process = subprocess.Popen(
        [sys.executable, "-m", "mitozoo", "models"], env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stderr is not None
    assert process.stderr.readline() == b"asleep\n"
    time.sleep(0.3)  # it has told so, and now falls asleep
    process.send_signal(signal.SIGINT)
    if presses == 2:
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stderr.endswith(b"\nInterrupted.\n")
    assert presses == 1 or b"still importing" not in stderr  # as after five seconds: the second press is heard at once
