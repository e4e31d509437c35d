"""Write checkpoints on a thread of its own while training goes on; an epoch is told of once it is kept."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

    from mitozoo.protocols.checkpoint import Checkpoint, Progress


class Keeper:
    """Keeps one training's checkpoints, one after the other, each whole or not at all.

    A kill loses what was trained since the last one that is whole: an epoch, and what began while that was written.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self._thread = ThreadPoolExecutor(1)
        self._writing: tuple[Future[None], Callable[[], None]] | None = None

    def __enter__(self) -> Keeper:
        return self

    def __exit__(self, *_: object) -> None:
        """End what is being written, also where training was interrupted; it is told of by `wait` alone."""
        self._thread.shutdown()

    def keep(self, progress: Progress, states: dict[str, Any], on_kept: Callable[[], None]) -> None:
        """Copy the state and begin to write it, the one before being whole; `on_kept` is called by `look` or `wait`.

        Raises:
            StorageError: the one before could not be written.
        """
        self.wait()
        content = self.checkpoint.content(progress, on_processor(states))
        self._writing = self._thread.submit(self.checkpoint.write, content), on_kept

    def look(self) -> None:
        """Tell of what is whole by now, without waiting."""
        if self._writing is not None and self._writing[0].done():
            self.wait()

    def wait(self) -> None:
        """Wait until all is whole, and tell of it."""
        if self._writing is not None:
            (written, on_kept), self._writing = self._writing, None
            written.result()
            on_kept()


def on_processor(states: Any) -> Any:
    """Return a copy of tensors, in dicts and lists or not, in the processor's memory; what is no tensor stays."""
    if isinstance(states, Tensor):
        return states.detach().to("cpu", copy=True)
    if isinstance(states, dict):
        return {name: on_processor(state) for name, state in states.items()}
    return [on_processor(state) for state in states] if isinstance(states, list) else states
