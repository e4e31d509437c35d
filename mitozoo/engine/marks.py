"""What a table must show beside a run's number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mitozoo.engine.subject import RegisteredModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mitozoo.engine.question import Question
    from mitozoo.results.row import ResultRow


def marks(asked: Question, rows: Sequence[ResultRow]) -> list[str]:
    """Return what a table must show beside the number."""
    subject, protocol, seen, folds = asked.subject, asked.protocol, asked.seen, asked.folds
    spec = seen.cells.spec
    own = {fold.index for fold in folds if fold.reference_for is None}
    tested = len(own & {row.axes.fold for row in rows})
    skipped = seen.plan.skipped if seen.plan else ()
    model_saw = {subject.contamination(one.spec) for one in seen.datasets}
    told = {
        "synthetic data": spec.synthetic,
        f"only {len(seen.cells):,} cells": seen.limited,
        f"{tested} of {len(own)} folds": tested < len(own),
        asked.conditions.summary(): bool(asked.conditions.summary()),
        "THIS SPLIT LEAKS: test cases may have been trained on": seen.shared_cells is None,
        "THIS SPLIT LEAKS: annotations of one case on both sides": asked.recipe.leaks,
        "the model saw labels of it in training": "labels seen" in model_saw,
        "the model saw images or the cohort of it in training": "images or cohort seen" in model_saw,
        "brought embeddings": seen.plan is None,
        "protocol changed by --set": "+" in protocol.name,
        "short, not a result": protocol.name.startswith("end-to-end-short"),
        f"{len(skipped):,} unreadable cells left out": bool(skipped),
        "not independent: grouped by image": "image" in seen.cells.group_level,
        "patch-only dataset": spec.patch_px is not None,
        "a control, not a model": isinstance(subject, RegisteredModel) and subject.spec.controls_only,
    }
    return [mark for mark, applies in told.items() if applies]
