"""One row of a run: a fit on some labelled cells of one fold, and its scores, in a file of its own."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mitozoo import storage
from mitozoo.errors import StorageError

if TYPE_CHECKING:
    from pathlib import Path

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

DONE, SKIPPED = "done", "skipped"


@dataclass(frozen=True)
class Axes:
    """The coordinates of a row: what is no part of the protocol's hash.

    Attributes:
        fold, seed, fraction: of the fit.
        perturbed: what was done to the test cells alone, such as 'blur=0.5'; '' for nothing.
    """

    fold: int
    seed: int
    fraction: float
    perturbed: str = ""

    @property
    def row_id(self) -> str:
        """A name that sorts and reads well: 'fold0-seed0-fraction1'."""
        return f"{self.fit.row_id}-{self.perturbed}" if self.perturbed else self._fit_id

    @property
    def fit(self) -> Axes:
        """The coordinates of the fit, whose own test cells are as they were."""
        return Axes(self.fold, self.seed, self.fraction)

    @property
    def _fit_id(self) -> str:
        return f"fold{self.fold}-seed{self.seed}-fraction{self.fraction:g}"


@dataclass(frozen=True)
class ResultRow:
    """A fit, or why there is none. All rows are positions in the run's cell table.

    Attributes:
        axes: its coordinates.
        status: 'done' or 'skipped'.
        reason: why it was skipped.
        train: labelled cells that the fit was allowed to use, validation among them.
        inner_parts: held-out parts of `train`, see `Prediction`.
        test: scored cells.
        test_scores: (n_test,) probabilities of the positive class.
        validation_scores: scores of the inner parts, concatenated.
        threshold: chosen on them.
        selected: what was chosen on them.
        converged: whether the solver reached its tolerance.
        flags: what a careful reader should know.
        tensors: the fitted head, or all tuned weights.
    """

    axes: Axes
    status: str
    reason: str = ""
    train: Rows = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    inner_parts: tuple[Rows, ...] = ()
    test: Rows = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    test_scores: Floats = field(default_factory=lambda: np.empty(0))
    validation_scores: Floats = field(default_factory=lambda: np.empty(0))
    threshold: float = 0.5
    selected: dict[str, Any] = field(default_factory=dict)
    converged: bool = True
    flags: tuple[str, ...] = ()
    tensors: dict[str, npt.NDArray[Any]] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write the row as safetensors, whole or not at all."""
        from safetensors.numpy import save

        facts = {
            "axes": list(dataclasses.astuple(self.axes)), "status": self.status, "reason": self.reason,
            "threshold": self.threshold, "selected": self.selected, "converged": self.converged,
            "flags": list(self.flags), "parts": len(self.inner_parts),
        }  # fmt: skip
        tensors: dict[str, npt.NDArray[Any]] = {
            "train": self.train, "test": self.test, "test_scores": self.test_scores,
            "validation_scores": self.validation_scores,
        }  # fmt: skip
        tensors |= {f"part.{index}": part for index, part in enumerate(self.inner_parts)}
        tensors |= {f"fitted.{name}": tensor for name, tensor in self.tensors.items()}
        tensors = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}  # save() ignores strides
        with storage.write_whole(path) as unfinished:
            unfinished.write_bytes(save(tensors, metadata={"row": json.dumps(facts, sort_keys=True)}))


def read_fitted(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Read what a row's fit left behind: the fitted head, or all tuned weights."""
    from safetensors.numpy import load_file

    fitted = {name: tensor for name, tensor in load_file(path).items() if name.startswith("fitted.")}
    return {name.removeprefix("fitted."): tensor for name, tensor in fitted.items()}


def read_row(path: Path) -> ResultRow:
    """Read a row back, without its fitted tensors.

    Raises:
        StorageError: the file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            facts = json.loads(file.metadata()["row"])
            arrays = {name: file.get_tensor(name) for name in file.keys() if not name.startswith("fitted.")}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise StorageError(
            f"{path} is damaged: {error}", hint="Delete that file and run the same command again."
        ) from error
    return ResultRow(
        axes=Axes(*facts["axes"]),
        status=facts["status"],
        reason=facts["reason"],
        train=arrays["train"],
        inner_parts=tuple(arrays[f"part.{index}"] for index in range(facts["parts"])),
        test=arrays["test"],
        test_scores=arrays["test_scores"],
        validation_scores=arrays["validation_scores"],
        threshold=facts["threshold"],
        selected=facts["selected"],
        converged=facts["converged"],
        flags=tuple(facts["flags"]),
    )
