"""A worker process of the local executor: `python -m mitozoo.plan.worker`, tasks on stdin, answers on stdout, as JSON.

What a plugin prints goes to the worker's log. The process ends with its driver, however that ends.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from mitozoo.plan import process

if TYPE_CHECKING:
    from typing import TextIO

PATIENCE_S = 3.0  # for a task that was interrupted, to remove what it was writing
MARK = "\x1emitozoo "  # begins each line of the driver's: whatever else comes, a plugin printed before it was stopped


def answer_to(bench: Any, task: dict[str, Any], limit_s: float) -> dict[str, Any]:
    """Do a task within its time, and return how it went as plain JSON values."""
    import traceback

    from mitozoo.engine.log import tell_failure, within
    from mitozoo.errors import MitozooError
    from mitozoo.plan.work import BusyError

    if task["kind"] != "survey":
        import torch  # noqa: F401 - what it takes on a slow disk is no task's fault
    began, told = time.perf_counter(), {"key": task["key"]}
    try:
        with within(task=task["key"]), process.time_limit(limit_s):
            told["value"] = bench.do(task)
    except BusyError:
        told["busy"] = True
    except MitozooError as error:
        tell_failure(error)
        told["failure"] = {"kind": "error", "message": error.message, "hint": error.hint}
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin's; the worker goes on, and the driver tells it
        tell_failure(error)
        told["failure"] = {
            "kind": "error", "message": f"{type(error).__name__}: {error}", "detail": traceback.format_exc(),
            "hint": "This is a bug in mitozoo or a plugin; the journal of the plan has its traceback.",
        }  # fmt: skip
    return told | {"seconds": time.perf_counter() - began, "memory": process.memory()}


def main() -> None:
    """Take tasks until there are no more."""
    tasks, answers = _take_pipes()
    settings = json.loads(tasks.readline())
    process.die_with_parent(settings["driver"])
    process.be_first_to_go()
    process.watch_memory(settings["memory"])
    me, by_main_thread = os.getpid(), True

    def before_fork() -> None:
        nonlocal by_main_thread
        by_main_thread = threading.current_thread() is threading.main_thread()

    def after_fork() -> None:
        """Keep a plugin's child from answering, and from outliving this worker."""
        answers.close()
        if by_main_thread:  # of another thread's child the system would make an end with that thread
            process.die_with_parent()

    os.register_at_fork(before=before_fork, after_in_child=after_fork)
    waiting: queue.Queue[dict[str, Any] | None] = queue.Queue()
    at_work = threading.Event()
    threading.Thread(target=_read, args=(tasks, waiting, at_work), name="tasks", daemon=True).start()
    from mitozoo.plan.work import Workbench

    bench = Workbench()
    process.log_events(settings["log"])
    _say(answers, {"ready": True})
    while (task := waiting.get()) is not None:
        at_work.set()
        told = answer_to(bench, task, task["limit_s"])
        if os.getpid() != me:  # a plugin forked, and its child came back here
            os._exit(0)
        at_work.clear()
        _say(answers, told)


def _take_pipes() -> tuple[TextIO, TextIO]:
    """Return the driver's pipes, and have stdin be empty and stdout be the log for everyone else."""
    tasks, answers = os.fdopen(os.dup(0), encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return tasks, answers


def _read(tasks: TextIO, waiting: queue.Queue[dict[str, Any] | None], at_work: threading.Event) -> None:
    for line in tasks:
        waiting.put(json.loads(line))
    waiting.put(None)
    time.sleep(PATIENCE_S)
    if at_work.is_set():  # the driver is gone, and nobody waits for what this worker is doing
        os._exit(0)


def _say(answers: TextIO, told: dict[str, Any]) -> None:
    try:
        answers.write(f"{MARK}{json.dumps(told)}\n")
        answers.flush()
    except BrokenPipeError:  # the driver is gone
        sys.exit(0)


if __name__ == "__main__":
    main()
