"""The host's side of a worker process: questions with a time limit, a sentence for each way in which it can fail."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any

from mitozoo.errors import ModelError
from mitozoo.models.isolated.frames import FrameError, receive, send
from mitozoo.plugins.guard import seconds_stated

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from io import FileIO

    from mitozoo.models.isolated.frames import Array, Message

TIMEOUT_VARIABLE = "MITOZOO_WORKER_TIMEOUT"
SECONDS = 1800.0  # a batch of a large encoder on a slow processor takes minutes
LOOK_SECONDS = 0.2
LINES_KEPT = 3
FAREWELL_SECONDS = 5.0


class Worker:
    """A process that answers questions; one that dies, hangs or talks nonsense ends with a `ModelError`."""

    def __init__(self, command: Sequence[str], model: str, *, variables: Mapping[str, str] | None = None) -> None:
        """Start it.

        Args:
            command: what to run; it reads questions from its stdin and writes answers to its stdout.
            model: whose worker it is, for messages.
            variables: of its environment, beside the host's own.
        """
        self.model, self.seconds = model, time_allowed()
        self._said: deque[str] = deque(maxlen=LINES_KEPT)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_"))}
        try:
            self.process = subprocess.Popen(  # noqa: S603 (the environment's own Python; no shell)
                list(command), env=inherited | dict(variables or {}), bufsize=0,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                start_new_session=True,  # so that what it forks can be ended with it
            )  # fmt: skip
        except OSError as error:
            raise ModelError(f"the worker of model '{model}' cannot be started: {error}") from error
        self._listening = threading.Thread(target=_pass_on, args=(self.process.stderr, self._said), daemon=True)
        self._listening.start()
        self.end = weakref.finalize(self, _end, self.process)  # also when the interpreter ends

    def ask(self, question: dict[str, Any], array: Array | None = None, *, room: int = 0) -> Message:
        """Return the answer to a question: JSON values, and an array of at most `room` bytes.

        Raises:
            ModelError: the model refuses, or its worker died, hung, or answered with what is no message.
        """
        answers: queue.SimpleQueue[Message | Exception] = queue.SimpleQueue()
        threading.Thread(target=self._exchange, args=(question, array, room, answers), daemon=True).start()
        answer = self._wait_for(answers)
        if isinstance(answer, FrameError):
            raise self._failure(f"answered what is no message: {answer}") from answer
        if isinstance(answer, Exception):  # its pipe is closed
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(FAREWELL_SECONDS)
            raise self._failure(f"ended {self._how()}") from answer
        header = answer[0]
        if "refused" in header:
            hint = header.get("hint")
            raise ModelError(str(header["refused"]), hint=None if hint is None else str(hint))
        return answer

    def _exchange(
        self, question: dict[str, Any], array: Array | None, room: int, answers: queue.SimpleQueue[Message | Exception]
    ) -> None:
        try:
            send(_raw(self.process.stdin), question, array)
            answers.put(receive(_raw(self.process.stdout), room=room))
        except (OSError, EOFError, ValueError) as error:  # ValueError: a frame that is none, or a closed pipe
            answers.put(error)

    def _wait_for(self, answers: queue.SimpleQueue[Message | Exception]) -> Message | Exception:
        deadline = time.monotonic() + self.seconds
        while True:
            try:
                return answers.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                pass
            if self.process.poll() is not None:  # a process that it forked may hold the pipes open
                with contextlib.suppress(queue.Empty):
                    return answers.get(timeout=LOOK_SECONDS)
                raise self._failure(f"ended {self._how()}")
            if time.monotonic() > deadline:
                raise self._failure(
                    f"did not answer within {self.seconds:g} s", hint=f"Set {TIMEOUT_VARIABLE} to more seconds."
                )

    def _failure(self, what: str, *, hint: str | None = None) -> ModelError:
        _kill(self.process)
        self.end()
        self._listening.join(LOOK_SECONDS)
        said = f"; it said: {' | '.join(self._said)}" if self._said else ""
        return ModelError(f"the worker of model '{self.model}' {what}{said}", hint=hint)

    def _how(self) -> str:
        code = self.process.returncode
        if code is None:
            return "the conversation"
        if code >= 0:
            return f"with exit code {code}"
        killed = " (by the system, where memory ran out)" if -code == getattr(signal, "SIGKILL", 9) else ""
        return f"by signal {-code}{killed}"


def time_allowed() -> float:
    """Return the seconds that a worker may take for an answer: `MITOZOO_WORKER_TIMEOUT`, else 1,800."""
    return seconds_stated(TIMEOUT_VARIABLE, SECONDS)


def _raw(stream: Any) -> FileIO:
    return stream


def _pass_on(stderr: Any, said: deque[str]) -> None:
    """Print what a worker says on this process's stderr, and keep the end of it."""
    for line in iter(stderr.readline, b""):
        text = line.decode("utf-8", "replace").rstrip()
        if text:
            said.append(text[-200:])
        sys.stderr.write(f"{text}\n")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a worker: by closing its stdin, to which it listens between two questions, else by killing it."""
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):
            if pipe is not None:
                pipe.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(FAREWELL_SECONDS)
    _kill(process)
    process.wait()


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a worker, and what it forked."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):  # nobody of its session is left
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
