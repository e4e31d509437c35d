"""A worker process that dies, hangs, floods or talks nonsense ends in a sentence, and messages are what was sent."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from isolated_zoo import has_ended

import mitozoo
from mitozoo.errors import ModelError
from mitozoo.models.isolated.frames import HEADER_BYTES, LENGTH, FrameError, receive, send
from mitozoo.models.isolated.process import Worker

#: Each answers questions in its own way; `frames` alone is imported, as `bootstrap` would find it.
PRELUDE = f"""
import os, sys, time
sys.path.insert(0, {str(Path(mitozoo.__file__).parents[1])!r})
from mitozoo.models.isolated.frames import receive, send
questions, answers = (open(os.dup(n), mode, buffering=0) for n, mode in ((0, "rb"), (1, "wb")))
"""
ECHO = """
while True:
    try: question, array = receive(questions, room=1 << 20)
    except EOFError: break
    send(answers, question, array)
"""


def started(code: str, seconds: float = 30) -> Worker:
    worker = Worker([sys.executable, "-c", PRELUDE + code], "odd")
    worker.seconds = seconds
    return worker


class Trickle(io.RawIOBase):
    """A stream that gives and takes a few bytes at a time, as a pipe may."""

    def __init__(self, content: bytes = b"") -> None:
        self.content = io.BytesIO(content)

    def readinto(self, buffer) -> int:
        got = self.content.read(min(3, len(buffer)))
        buffer[: len(got)] = got
        return len(got)

    def write(self, content) -> int:
        return self.content.write(bytes(content[:5]))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**50), 2**50) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
HEADERS = st.dictionaries(st.text(max_size=5), VALUES, max_size=3)
ARRAYS = st.sampled_from(["uint8", "float32"]).flatmap(
    lambda kind: arrays.arrays(kind, arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
)


@settings(max_examples=60, deadline=None)
@given(HEADERS, st.none() | ARRAYS)
def test_what_is_sent_is_received(header, array):
    stream = Trickle()
    send(stream, header, array)
    told, got = receive(Trickle(stream.content.getvalue()), room=1 << 16)
    assert told == header
    if array is None:
        assert got is None
    else:
        assert got.dtype == array.dtype
        assert got.shape == array.shape
        assert got.tobytes() == array.tobytes()


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=80) | st.binary(max_size=60).map(lambda text: LENGTH.pack(len(text)) + text))
def test_what_is_no_message_is_refused(content):
    with pytest.raises((FrameError, EOFError)):
        receive(io.BytesIO(content), room=100)


@pytest.mark.parametrize(
    "described",
    [
        {"dtype": "object", "shape": [1]},
        {"dtype": "float64", "shape": [1]},
        {"dtype": "uint8", "shape": [101]},
        {"dtype": "float32", "shape": [5, 6]},
        {"dtype": "uint8", "shape": [-1]},
        {"dtype": "uint8", "shape": [1.5]},
        {"dtype": "uint8", "shape": [True]},
        {"dtype": "uint8", "shape": [1] * 5},
        {"dtype": "uint8", "shape": [2**40, 2**40]},
        {"dtype": "uint8"},
        {"dtype": ["uint8"], "shape": [1]},
        7,
    ],
)
def test_an_array_that_nobody_expects_is_refused_before_it_takes_memory(described):
    text = json.dumps({"header": {}, "array": described}).encode()
    with pytest.raises(FrameError):
        receive(io.BytesIO(LENGTH.pack(len(text)) + text + bytes(200)), room=100)


def test_a_header_that_is_too_long_is_refused():
    with pytest.raises(FrameError, match="header"):
        receive(io.BytesIO(LENGTH.pack(HEADER_BYTES + 1) + bytes(100)), room=100)


def test_it_answers_and_ends_with_the_conversation():
    worker = started(ECHO)
    array = np.arange(300_000, dtype=np.float32).reshape(3, -1)[:, :80_000]  # not contiguous, and larger than a pipe
    told, got = worker.ask({"a": [1, None]}, array, room=array.nbytes)
    assert told == {"a": [1, None]}
    np.testing.assert_array_equal(got, array)
    worker.end()
    assert worker.process.returncode == 0


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("sys.exit(4)", "ended with exit code 4"),
        ("receive(questions, room=0); os._exit(5)", "ended with exit code 5"),
        ("os.kill(os.getpid(), 9)", r"ended by signal 9 \(by the system, where memory ran out\)"),
        ("sys.exit('two')", "ended with exit code 1; it said: two"),
        ("os.write(1, b'just a print, long enough'); time.sleep(60)", "answered what is no message"),
        ("questions.close(); answers.close(); os.close(0); os.close(1); time.sleep(60)", "ended the conversation"),
        ("receive(questions, room=0); send(answers, {'refused': 'no\\x1b[31m'}); time.sleep(60)", "^no \\[31m$"),
        (
            "import numpy; receive(questions, room=0); send(answers, {}, numpy.zeros(9, 'uint8')); time.sleep(60)",
            "answered what is no message: its array would have 9 bytes where at most 8 are expected",
        ),
    ],
)
def test_one_that_fails_is_told(code, told, monkeypatch):
    monkeypatch.setattr("mitozoo.models.isolated.process.FAREWELL_SECONDS", 0.5)
    began = time.monotonic()
    with pytest.raises(ModelError, match=told) as caught:
        started(code).ask({}, room=8)
    assert "\n" not in caught.value.message
    assert time.monotonic() - began < 20


def test_one_that_hangs_is_killed_with_what_it_forked(tmp_path):
    note = tmp_path / "forked"
    forked = f"open({str(note)!r}, 'w').write(str(os.getpid())) if hasattr(os, 'fork') and os.fork() == 0 else None"
    worker = started(f"{forked}\nreceive(questions, room=0)\ntime.sleep(600)", seconds=0.6)
    with pytest.raises(ModelError, match=r"did not answer within 0\.6 s") as caught:
        worker.ask({})
    assert "MITOZOO_WORKER_TIMEOUT" in caught.value.hint
    assert worker.process.returncode == -signal.SIGKILL
    assert not note.exists() or has_ended(int(note.read_text()))


def test_one_that_does_not_even_read_is_given_up():
    worker = started("time.sleep(600)", seconds=0.5)
    with pytest.raises(ModelError, match="did not answer"):
        worker.ask({}, np.zeros(1 << 22, dtype=np.uint8))


def test_one_that_died_but_left_a_child_with_its_pipes_is_noticed():
    if not hasattr(os, "fork"):
        pytest.skip("NOT TESTED: processes cannot be forked here")
    worker = started("receive(questions, room=0)\nif os.fork():\n    os._exit(6)\ntime.sleep(600)")
    with pytest.raises(ModelError, match="ended with exit code 6"):
        worker.ask({})


def test_what_it_floods_stderr_with_is_passed_on_and_blocks_nobody(capsys):
    worker = started("sys.stderr.write('words\\n' * 100_000); sys.stderr.flush()" + ECHO)
    assert worker.ask({"still": "here"})[0] == {"still": "here"}
    worker.end()
    worker._listening.join(10)
    assert capsys.readouterr().err.count("words") == 100_000


def test_one_that_is_not_there_cannot_be_started(tmp_path):
    with pytest.raises(ModelError, match="the worker of model 'odd' cannot be started"):
        Worker([str(tmp_path / "no-python")], "odd")


def test_it_sees_none_of_the_hosts_python_variables(monkeypatch):
    monkeypatch.setenv("PYTHONSTARTUP", "x")
    monkeypatch.setenv("VIRTUAL_ENV", "x")
    code = (
        "receive(questions, room=0); send(answers, {'seen': [v for v in os.environ if v.startswith(('PYTHON', 'VIRT'))]"
        ", 'own': os.environ['OWN']})"
    )
    worker = Worker([sys.executable, "-c", PRELUDE + code], "odd", variables={"OWN": "1"})
    assert worker.ask({})[0] == {"seen": [], "own": "1"}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="NOT TESTED: a process is not told here whose child it is")
def test_one_whose_host_was_killed_ends_whatever_it_is_at():
    watching = "import os; from mitozoo.models.isolated.worker import _end_with; _end_with(os.getppid())"
    host = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess, sys, time; child = subprocess.Popen([sys.executable, '-c', "
         f"{watching!r}], start_new_session=True); print(child.pid, flush=True); time.sleep(600)"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with host.stdout:
        worker = int(host.stdout.readline())
    time.sleep(1)
    host.kill()
    host.wait()
    assert has_ended(worker)
