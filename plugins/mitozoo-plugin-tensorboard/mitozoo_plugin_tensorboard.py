"""TensorBoard: each run of mitozoo becomes a folder of event files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mitozoo import TrackedRun, TrackerSpec, hookimpl

if TYPE_CHECKING:
    from collections.abc import Mapping

PLACE = "tensorboard"
LARGEST_TEXT = 4_000_000  # bytes of a document that is shown; a larger one is named only


class EventFiles:
    """One run's folder; whatever a later call adds stands in an event file of its own beside the earlier ones."""

    def __init__(self, place: str, run: TrackedRun) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(Path(place or PLACE).expanduser() / run.name))

    def parameters(self, values: Mapping[str, str | int | float | bool]) -> None:
        """Write them as a table."""
        rows = [f"| {name} | {_cell(value)} |" for name, value in values.items()]
        self._writer.add_text("parameters", "\n".join(["| parameter | value |", "|---|---|", *rows]))

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Write one scalar each."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def artifact(self, path: Path) -> None:
        """Write where a file lies, and what it holds where that is JSON: TensorBoard keeps no files."""
        text = f"`{path.absolute()}`"
        if path.suffix == ".json" and path.stat().st_size <= LARGEST_TEXT:
            lines = path.read_text(encoding="utf-8").splitlines()
            text += "\n\n" + "\n".join(f"    {line}" for line in lines)  # a code block of Markdown
        self._writer.add_text(f"files/{path.name}", text)

    def close(self, outcome: str) -> None:
        """Write how it ended, and have everything on the disk."""
        self._writer.add_text("outcome", outcome)
        self._writer.close()


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def open_run(place: str, run: TrackedRun) -> EventFiles:
    """Open the folder of a run."""
    return EventFiles(place, run)


@hookimpl
def mitozoo_trackers() -> list[TrackerSpec]:
    """Offer TensorBoard."""
    place = f"the folder to give to `tensorboard --logdir`; without it ./{PLACE}"
    return [TrackerSpec(name="tensorboard", title="TensorBoard", open=open_run, place=place)]
