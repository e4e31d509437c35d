"""Ctrl-C while modules are imported, and while they are not."""

from __future__ import annotations

import importlib
import signal
import sys
import time

import pytest

from mitozoo.cli import interrupts
from mitozoo.cli.interrupts import heard_between_imports

PRESS = "import signal, time\nsignal.raise_signal(signal.SIGINT)\ntime.sleep(0.2)\n"


@pytest.fixture
def interrupted(tmp_path, monkeypatch, request):
    """Give the name of a module during whose import Ctrl-C is pressed; the mark says how often."""
    name = f"pressed_{request.param}_times"
    (tmp_path / f"{name}.py").write_text(f"{PRESS * request.param}FINISHED = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    sys.modules.pop(name, None)


def import_and_sleep(name: str, seconds: float = 30) -> None:
    importlib.import_module(name)
    time.sleep(seconds)


@pytest.mark.parametrize("interrupted", [1], indirect=True)
def test_an_import_is_finished_first(interrupted):
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), heard_between_imports():
        import_and_sleep(interrupted)
    assert sys.modules[interrupted].FINISHED
    assert time.monotonic() - began < 20, "the sleep was not interrupted"


@pytest.mark.parametrize("interrupted", [2], indirect=True)
def test_pressed_again_it_is_not(interrupted):
    with pytest.raises(KeyboardInterrupt), heard_between_imports():
        importlib.import_module(interrupted)
    assert interrupted not in sys.modules


@pytest.mark.parametrize("interrupted", [2], indirect=True)
def test_who_cleans_up_is_not_interrupted_once_more(interrupted, monkeypatch):
    monkeypatch.setattr(interrupts, "SECONDS", 0.3)
    with heard_between_imports():
        with pytest.raises(KeyboardInterrupt):
            importlib.import_module(interrupted)
        time.sleep(0.5)


def test_elsewhere_it_is_heard_at_once():
    with pytest.raises(KeyboardInterrupt), heard_between_imports():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_who_ignores_it_goes_on_ignoring_it():
    earlier = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with heard_between_imports():
            signal.raise_signal(signal.SIGINT)
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, earlier)
