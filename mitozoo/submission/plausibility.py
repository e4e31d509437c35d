"""What no arithmetic forbids and a careful reader would ask about: scores too good, or those of another model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mitozoo.errors import MitozooError
from mitozoo.results.run_folder import RESULT, SCHEMA
from mitozoo.results.tables import PREDICTIONS, read_table
from mitozoo.submission.bundle import open_bundle
from mitozoo.submission.reading import MOST_ROWS, read_json, require_table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pandas as pd

SUSPICIOUS_AUROC = 0.99
#: Far above the best known: less than this share of what it leaves to 1 is left.
SHARE_LEFT = 0.5
#: Scores are compared where mean AUROCs are this close; a copy with a little noise is closer.
CLOSE_AUROC = 0.002
#: Correlation of two models' scores over all cells and fits from which on one is taken for a copy.
COPIED = 0.9999
FEWEST = 3  # scores that can be compared


def implausible(folder: Path, document: dict[str, Any], against: Path | None) -> Iterator[str]:
    """Yield what to ask the submitters, one line each.

    Args:
        folder: of the submission.
        document: its result document.
        against: a folder of other submissions, each in a folder of its own; None: there are none.
    """
    auroc = _mean_auroc(document)
    if auroc is None:
        return
    if auroc > SUSPICIOUS_AUROC:
        yield f"AUROC {auroc:.4f} is above {SUSPICIOUS_AUROC}"
    others = dict(_comparable(folder, document, against)) if against is not None else {}
    ranked = {path: found for path, other in others.items() if (found := _mean_auroc(other)) is not None}
    models = {path: value for path, value in ranked.items() if "a control, not a model" not in others[path]["marks"]}
    if models:
        best = max(models, key=models.__getitem__)
        if 1 - auroc < SHARE_LEFT * (1 - models[best]):
            name = others[best]["model"]["name"]
            yield f"AUROC {auroc:.4f} is far above the best known, {models[best]:.4f} of {name}"
    own = None
    for path in sorted(path for path, value in ranked.items() if abs(value - auroc) < CLOSE_AUROC):
        own = _scores(folder) if own is None else own
        if (likeness := _likeness(own, path)) >= COPIED:
            how = "identical to" if likeness == 1 else f"nearly, with a correlation of {likeness:.6f},"
            yield f"its scores are {how} those of {others[path]['model']['name']} in {path.name}"


def _mean_auroc(document: dict[str, Any]) -> float | None:
    """Return the mean AUROC of the largest label fraction."""
    summary = document["summary"]
    return summary[0]["metrics"]["auroc"]["mean"] if summary else None


def _comparable(folder: Path, document: dict[str, Any], against: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield submissions of other models on the same cells, by the same protocol, under the same conditions."""
    for path in sorted(against.glob(f"*/{RESULT}")):
        if path.parent.resolve() == folder.resolve():
            continue
        try:
            open_bundle(path.parent)
            other = read_json(path)
            same = other["schema"] == SCHEMA and _asked(other) == _asked(document) and _who(other) != _who(document)
            if same and isinstance(other["marks"], list) and _mean_auroc(other) is not None:
                yield path.parent, other
        except (MitozooError, KeyError, TypeError, IndexError):  # its own check tells
            continue


def _asked(document: dict[str, Any]) -> list[Any]:
    return [document["dataset"]["cells_sha256"], document["protocol"]["hash"], document["conditions"]]


def _who(document: dict[str, Any]) -> tuple[str, str]:
    return document["model"]["fingerprint"], document["model"]["weights_sha256"]


def _scores(folder: Path) -> pd.Series[float]:
    table = read_table(folder / PREDICTIONS, ("row_id", "cell_id", "score"))
    return table.set_index(["row_id", "cell_id"])["score"].sort_index()


def _likeness(own: pd.Series[float], path: Path) -> float:
    """Return the correlation of what both scored: 1 where all scores are equal, 0 where nothing can be told."""
    try:
        require_table(path / PREDICTIONS, str(path / PREDICTIONS), MOST_ROWS)
        other = _scores(path)
    except MitozooError:  # its own check tells
        return 0.0
    shared = own.index.intersection(other.index)
    one, two = (scores.loc[shared].to_numpy(dtype=float) for scores in (own, other))
    if len(shared) < FEWEST or np.array_equal(one, two):
        return float(len(shared) >= FEWEST)
    if np.ptp(one) == 0 or np.ptp(two) == 0:
        return 0.0
    return min(float(np.corrcoef(one, two)[0, 1]), 1 - 1e-9)
