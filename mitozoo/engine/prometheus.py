"""Counts of one command as a text file for Prometheus' node exporter: cells, rows, seconds by stage, failures."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from mitozoo.engine.log import ERROR, INFO, as_entry
from mitozoo.errors import MitozooError, StorageError
from mitozoo.storage import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from prometheus_client.metrics_core import Metric

EVERY = 5.0  # seconds between two writes, at least; what fails and the end are written at once
SUFFIX = ".prom"  # the node exporter reads no other
PREFIX = "mitozoo"


class PrometheusFile(logging.Handler):
    """Hears every event, counts, and keeps a file up to date, which is replaced whole.

    Every series bears the label `writer`, the file's name, so that files of several commands can lie in one folder.

    Raises:
        MitozooError: the file's name has another suffix, or prometheus_client is not installed.
        StorageError: the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(INFO)
        if path.suffix != SUFFIX:
            raise MitozooError(
                f"--prometheus is {path}; the node exporter reads files that end in {SUFFIX} and no others",
                hint=f"Say --prometheus {path.with_suffix(SUFFIX)}.",
            )
        try:
            import prometheus_client  # noqa: F401 - refused before any work is done
        except ImportError as error:
            raise MitozooError(
                "--prometheus needs prometheus_client", hint="pip install mitozoo[prometheus]"
            ) from error
        self.path = path
        self.counts: defaultdict[tuple[str, str], float] = defaultdict(float)  # by counter and its label's value
        self.started, self.exit_code = time.time(), math.nan
        self._written, self._given_up = 0.0, False
        self._write()

    def emit(self, record: logging.LogRecord) -> None:
        """Count one event."""
        entry = as_entry(record)
        self._count(entry)
        urgent = entry["event"] == "end" or record.levelno >= ERROR
        if not self._given_up and (urgent or time.monotonic() - self._written >= EVERY):
            try:
                self._write()
            except StorageError as error:  # a full disk: the work goes on
                self._given_up = True
                sys.stderr.write(f"mitozoo: {self.path} is written no more: {error.message}\n")

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics, as prometheus_client asks for them."""
        from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

        for name, (label, told) in COUNTERS.items():
            family = CounterMetricFamily(f"{PREFIX}_{name}", told, labels=["writer", label] if label else ["writer"])
            values = {value: count for (counted, value), count in self.counts.items() if counted == name}
            for value, count in sorted((values or ({} if label else {"": 0})).items()):
                family.add_metric([self.path.stem, value] if label else [self.path.stem], count)
            yield family
        gauges = {
            "started_timestamp_seconds": ("When the command began.", self.started),
            "updated_timestamp_seconds": ("When this file was written.", time.time()),
            "exit_code": ("What the command ended with; not there while it runs.", self.exit_code),
        }
        for name, (told, number) in gauges.items():
            gauge = GaugeMetricFamily(f"{PREFIX}_{name}", told, labels=["writer"])
            if not math.isnan(number):
                gauge.add_metric([self.path.stem], number)
            yield gauge

    def _count(self, entry: dict[str, Any]) -> None:
        for name, value, amount in _counted(entry):
            self.counts[name, value] += amount
        if entry["event"] == "end":
            self.exit_code = entry.get("exit_code", math.nan)

    def _write(self) -> None:
        from prometheus_client import generate_latest

        text = generate_latest(self)
        with write_whole(self.path, suffix=".unfinished") as unfinished:  # which the exporter passes over
            unfinished.write_bytes(text)
        self._written = time.monotonic()


#: Name of a counter -> its label, if any, and what it counts.
COUNTERS = {
    "cells_embedded": ("", "Cells that went through an encoder."),
    "stage_seconds": ("stage", "Seconds spent in each stage."),
    "rows": ("status", "Rows of runs that were written, done or skipped."),
    "tasks": ("status", "Tasks of a plan that ended, by how they did."),
    "runs": ("", "Runs that were completed, or found complete."),
    "failures": ("", "Errors that a run, file or task was given up for."),
}


def _counted(entry: dict[str, Any]) -> Iterable[tuple[str, str, float]]:
    """Yield what an event adds to: counter, value of its label, amount."""
    event = entry["event"]
    if event == "embedded":
        yield "cells_embedded", "", entry.get("cells", 0)
    elif event == "stage":
        yield "stage_seconds", str(entry["stage"]), entry.get("seconds", 0)
    elif event in ("row", "task") and "status" in entry:
        yield f"{event}s", str(entry["status"]), 1
    elif event == "result":
        yield "runs", "", 1
    if entry["level"] == "error":
        yield "failures", "", 1
