"""Weights & Biases: each run of mitozoo becomes a run of the project 'mitozoo', written to disk and sent by nobody."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mitozoo import TrackedRun, TrackerSpec, hookimpl

if TYPE_CHECKING:
    from collections.abc import Mapping

PROJECT = "mitozoo"
PLACE = "."
EXIT_CODES = {"finished": 0, "failed": 1, "interrupted": 130}


class WandbRun:
    """One run in Weights & Biases; offline unless WANDB_MODE says otherwise."""

    def __init__(self, place: str, run: TrackedRun) -> None:
        mode = os.environ.get("WANDB_MODE", "offline")
        if mode == "offline":  # else it tells its makers of each start and fault, even so
            os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb

        folder = Path(place or os.environ.get("WANDB_DIR") or PLACE).expanduser()
        folder.mkdir(parents=True, exist_ok=True)
        self._run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=run.name,
            dir=str(folder),
            mode=mode,
            tags=[run.model[:64], run.dataset[:64]],
            config={"mitozoo.run_id": run.run_id},
            reinit="create_new",
            settings=wandb.Settings(
                console="off", silent=True, disable_git=True, disable_code=True, save_code=False,
                x_disable_stats=True, x_disable_meta=True, x_disable_machine_info=True, x_save_requirements=False,
            ),
        )  # fmt: skip
        self._run.define_metric("epoch", hidden=True)
        self._run.define_metric("fold*", step_metric="epoch")

    def parameters(self, values: Mapping[str, str | int | float | bool]) -> None:
        """Put them into the run's configuration."""
        self._run.config.update(dict(values))

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Log an epoch; what holds for the whole run goes into its summary."""
        if step:
            self._run.log({**values, "epoch": step})
        else:
            self._run.summary.update(dict(values))

    def artifact(self, path: Path) -> None:
        """Keep a copy among the run's files."""
        copied = shutil.copy(path, self._run.dir)  # else it would keep a link to where the file lies today
        self._run.save(copied, base_path=self._run.dir, policy="now")

    def close(self, outcome: str) -> None:
        """End the run."""
        self._run.finish(exit_code=EXIT_CODES[outcome])


def open_run(place: str, run: TrackedRun) -> WandbRun:
    """Open a run."""
    return WandbRun(place, run)


@hookimpl
def mitozoo_trackers() -> list[TrackerSpec]:
    """Offer Weights & Biases."""
    place = "the folder in which `wandb/` is made, for `wandb sync` to send; without it WANDB_DIR, else this folder"
    return [TrackerSpec(name="wandb", title="Weights & Biases", open=open_run, place=place)]
