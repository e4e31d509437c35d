"""Random changes of a submission, each by a forger who mends every checksum: all of them are found."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from forged_bundles import forge, forge_table

from mitozoo.errors import MitozooError
from mitozoo.results.run_folder import RESULT
from mitozoo.results.tables import CELLS, PREDICTIONS, SPLITS
from mitozoo.submission.check import check_submission

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

#: `make forge` tries 500.
FORGERIES = int(os.environ.get("MITOZOO_FORGERIES", "100"))
NUMBERS = {
    "metric": ("value", "mean", "sd_training", "temperature"),
    "interval": (
        "ci_low", "ci_high", "n_groups", "effective_groups", "largest_share", "replicates", "seed",
        "groups_with_positive",
    ),
}  # fmt: skip
Place = tuple[Any, str]  # what holds a value, and its key


def values(document: dict[str, Any], part: str) -> Iterator[Place]:
    """Yield where the numbers of metrics, or of intervals, stand in a document."""
    waiting: list[Any] = [document[name] for name in ("scores", "summary", "controls", "by_domain")]
    while waiting:
        at = waiting.pop()
        for key, value in at.items() if isinstance(at, dict) else enumerate(at):
            if isinstance(value, dict | list):
                waiting.append(value)
            elif key in NUMBERS[part]:
                yield at, key


def change_number(part: str) -> Callable[[Path, np.random.Generator], None]:
    def change(bundle: Path, random: np.random.Generator) -> None:
        def move(document: dict[str, Any]) -> None:
            places = list(values(document, part))
            at, key = places[int(random.integers(len(places)))]
            at[key] = (at[key] or 0.5) * (1 + 10 ** random.uniform(-6, -1)) + 1e-6

        forge(bundle, move)

    return change


def change_threshold(bundle: Path, random: np.random.Generator) -> None:
    def move(document: dict[str, Any]) -> None:
        entry = document["scores"][int(random.integers(len(document["scores"])))]
        entry["threshold"] = min(1.0, entry["threshold"] + 10 ** random.uniform(-6, -1))

    forge(bundle, move)


def change_score(bundle: Path, random: np.random.Generator) -> None:
    def move(predictions: pd.DataFrame) -> None:
        row = int(random.integers(len(predictions)))
        before = predictions.loc[row, "score"]
        predictions.loc[row, "score"] = (before + 10 ** random.uniform(-4, -0.1)) % 1

    forge_table(bundle, PREDICTIONS, move)


def exchange_scores(bundle: Path, random: np.random.Generator) -> None:
    """Exchange the scores of a positive and a negative cell of one fit; of two alike no number tells."""
    positive = pd.read_parquet(bundle / CELLS).set_index("cell_id")["label"] == 1

    def swap(predictions: pd.DataFrame) -> None:
        name = random.choice(predictions["row_id"].unique())
        of_fit = predictions.index[predictions["row_id"] == name]
        is_positive = positive.loc[predictions.loc[of_fit, "cell_id"]].to_numpy()
        rows = [random.choice(of_fit[is_positive]), random.choice(of_fit[~is_positive])]
        predictions.loc[rows, "score"] = predictions.loc[rows[::-1], "score"].to_numpy()

    forge_table(bundle, PREDICTIONS, swap)


def change_label(bundle: Path, random: np.random.Generator) -> None:
    def flip(cells: pd.DataFrame) -> None:
        row = int(random.integers(len(cells)))
        label = 1 - int(cells.loc[row, "label"])
        cells.loc[row, "label"] = label
        cells.loc[row, "negative_kind"] = "" if label else "hard"

    forge_table(bundle, CELLS, flip)


def change_group(bundle: Path, random: np.random.Generator) -> None:
    """Move a cell, or all cells of its slide, to another group, or to one of their own."""

    def move(cells: pd.DataFrame) -> None:
        row = int(random.integers(len(cells)))
        whole = cells["slide"] == cells.loc[row, "slide"] if random.random() < 0.5 else cells.index == row
        others = [*cells.loc[cells["group"] != cells.loc[row, "group"], "group"].unique(), "tiny/another"]
        cells.loc[whole, "group"] = others[int(random.integers(len(others)))]

    forge_table(bundle, CELLS, move)


def change_role(bundle: Path, random: np.random.Generator) -> None:
    """Give a cell another role in a fit, or none, or two."""

    def give(splits: pd.DataFrame) -> pd.DataFrame:
        row = int(random.integers(len(splits)))
        kind = random.integers(4)
        if kind == 0:
            return splits.drop(index=row)
        if kind == 1:
            return pd.concat([splits, splits.iloc[[row]]])
        others = sorted(set(splits["role"].unique()) - {splits.loc[row, "role"]})
        splits.loc[row, "role"] = others[int(random.integers(len(others)))]
        return splits

    forge_table(bundle, SPLITS, give)


def change_fingerprint(bundle: Path, random: np.random.Generator) -> None:
    part = ("model", "dataset")[int(random.integers(2))]
    digits = "".join(random.choice(list("0123456789abcdef"), 64))
    forge(bundle, lambda document: document[part].update(fingerprint=digits))


CHANGES = {
    "metric": change_number("metric"),
    "interval": change_number("interval"),
    "threshold": change_threshold,
    "score": change_score,
    "two scores": exchange_scores,
    "label": change_label,
    "group": change_group,
    "role": change_role,
    "fingerprint": change_fingerprint,
}


def same(one: Path, other: Path) -> bool:
    """Tell whether a change changed nothing, as exchanging two equal scores."""
    documents = [json.loads((folder / RESULT).read_text()) for folder in (one, other)]
    return documents[0] == documents[1]


def outcome(forged: Path) -> tuple[int, str]:
    """Return the exit code of a check, and what it says."""
    try:
        return 0, str(check_submission(forged))
    except MitozooError as error:
        return error.exit_code, str(error)


def test_every_forgery_is_found(submitted, tmp_path):
    found: Counter[str] = Counter()
    assert check_submission(submitted).level == "arithmetic verified"
    for number in range(FORGERIES):
        kind = list(CHANGES)[number % len(CHANGES)]
        forged = shutil.copytree(submitted, tmp_path / str(number))
        CHANGES[kind](forged, np.random.default_rng([number, 11]))
        if same(submitted, forged):
            continue
        exit_code, said = outcome(forged)
        assert exit_code == 1, f"forgery {number} of a {kind}: {said}"
        found[kind] += 1
        shutil.rmtree(forged)
    assert found.keys() == CHANGES.keys()
    assert found.total() > 0.95 * FORGERIES


def test_a_forger_who_changes_nothing_is_believed(bundle):
    forge(bundle)
    assert check_submission(bundle).level == "arithmetic verified"
