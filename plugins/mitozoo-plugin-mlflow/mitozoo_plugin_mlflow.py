"""MLflow: each run of mitozoo becomes a run of the experiment 'mitozoo', in a local file or on a server."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mitozoo import TrackedRun, TrackerSpec, hookimpl

if TYPE_CHECKING:
    from collections.abc import Mapping

EXPERIMENT = "mitozoo"
RUN_ID = "mitozoo.run_id"  # tag by which a run that is added to finds its own entry
OUTCOMES = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
LONGEST_VALUE = 6000  # characters of a parameter
AT_ONCE = 100  # parameters in one call
#: Unless the user says otherwise: a server that is away costs seconds and not minutes, and nobody counts our use.
MANNERS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_DISABLE_TELEMETRY": "true",
}  # fmt: skip


class MlflowRun:
    """One run in MLflow."""

    def __init__(self, place: str, run: TrackedRun) -> None:
        for variable, value in MANNERS.items():
            os.environ.setdefault(variable, value)
        import mlflow

        for name in ("mlflow", "alembic"):  # which tell of every table of a new store
            logging.getLogger(name).setLevel(logging.WARNING)
        uri, artifacts = _store(place)
        self._client: Any = mlflow.MlflowClient(tracking_uri=uri or mlflow.get_tracking_uri())
        experiment = self._experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT), artifacts)
        found = self._client.search_runs([experiment], filter_string=f"tags.`{RUN_ID}` = '{run.run_id}'", max_results=1)
        if found:
            self._id = found[0].info.run_id
            self._known = set(found[0].data.params)
            self._client.update_run(self._id, status="RUNNING")
        else:
            tags = {RUN_ID: run.run_id, "model": run.model, "dataset": run.dataset}
            self._id = self._client.create_run(experiment, run_name=run.name, tags=tags).info.run_id
            self._known = set()

    def parameters(self, values: Mapping[str, str | int | float | bool]) -> None:
        """Log them; those that an earlier call has logged stay as they are, since MLflow changes none."""
        from mlflow.entities import Param

        new = [Param(name, str(value)[:LONGEST_VALUE]) for name, value in values.items() if name not in self._known]
        for start in range(0, len(new), AT_ONCE):
            self._client.log_batch(self._id, params=new[start : start + AT_ONCE])

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Log them all in one call."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._client.log_batch(self._id, metrics=[Metric(name, value, now, step) for name, value in values.items()])

    def artifact(self, path: Path) -> None:
        """Log a file."""
        self._client.log_artifact(self._id, str(path))

    def close(self, outcome: str) -> None:
        """End the run."""
        self._client.set_terminated(self._id, OUTCOMES[outcome])

    def _experiment(self, name: str, artifacts: str | None) -> str:
        from mlflow.exceptions import MlflowException

        if (found := self._client.get_experiment_by_name(name)) is None:
            try:
                return str(self._client.create_experiment(name, artifact_location=artifacts))
            except MlflowException:  # another process was first
                found = self._client.get_experiment_by_name(name)
                if found is None:
                    raise
        return str(found.experiment_id)


def _store(place: str) -> tuple[str, str | None]:
    """Return the address of a store, and where its artifacts belong; '' and None where MLflow's own settings say."""
    if not place or "://" in place:
        return place, None
    folder = Path(place).expanduser().absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{folder / 'mlflow.db'}", (folder / "artifacts").as_uri()


def open_run(place: str, run: TrackedRun) -> MlflowRun:
    """Open a run, or go on with the one that it was added to before."""
    return MlflowRun(place, run)


@hookimpl
def mitozoo_trackers() -> list[TrackerSpec]:
    """Offer MLflow."""
    return [
        TrackerSpec(
            name="mlflow",
            title="MLflow",
            open=open_run,
            place="a folder, sqlite:///FILE or the address of a server; without it what MLFLOW_TRACKING_URI says",
        )
    ]
