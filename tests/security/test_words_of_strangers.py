"""What strangers wrote into names, results and files moves no cursor of the terminal that shows it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from made_results import document, write

from mitozoo.cli.progress import Bars
from mitozoo.errors import DataError, MitozooError, ModelError, StorageError, printable

HOSTILE = "\x1b[2J\x1b]0;owned\x07encoder\r\x9b31m\u2028\x00"
COMMANDS = set(range(32)) - {9, 10} | {127, 0x9B, 0x2028}


@pytest.mark.parametrize("kind", [MitozooError, DataError, ModelError, StorageError])
def test_neither_message_nor_hint_of_an_error_steers_a_terminal(kind):
    error = kind(f"cannot read {HOSTILE}", hint=f"Delete {HOSTILE}")
    for text in (error.message, error.hint, str(error)):
        assert not {ord(letter) for letter in text} & COMMANDS
        assert "encoder" in text


def test_what_is_printable_is_kept():
    assert printable("Müller's 10 µm,\ttab\nline") == "Müller's 10 µm,\ttab\nline"


def test_notes_on_the_way_do_not_either(capsys):
    Bars().note(f"reading {HOSTILE}")
    assert "\x1b" not in capsys.readouterr().err


def test_a_stranger_s_result_is_listed_on_a_real_terminal_without_its_commands(tmp_path):
    pty = pytest.importorskip("pty", reason="NOT TESTED: there are no pseudo-terminals here")
    write(tmp_path / "hostile-run", document(HOSTILE, cells=f"cells{HOSTILE}"))
    ours, theirs = pty.openpty()
    code = "from mitozoo.cli import main; main()"
    listing = subprocess.Popen(
        [sys.executable, "-c", code, "runs", "--out", str(tmp_path)], stdout=theirs, stderr=theirs, stdin=theirs
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert listing.wait() == 0, shown
    assert b"encoder" in shown
    assert b"\x1b" not in shown
    assert b"\x07" not in shown
