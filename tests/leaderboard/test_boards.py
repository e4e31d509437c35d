"""Tables hold only what may be compared; one row a model; ranks are ranges, and none where none may be."""

from __future__ import annotations

import pytest
from made_results import document, identified, row, summary, verdict, write

from mitozoo.leaderboard.boards import make_boards
from mitozoo.leaderboard.reading import read_all
from mitozoo.leaderboard.verdicts import read_verdicts
from mitozoo.leaderboard.walking import find_results


def boards_of(root, verdicts=None):
    entries, refused = read_all(find_results(root), processes=1)
    assert refused == []
    return make_boards(entries, {} if verdicts is None else read_verdicts(verdicts))


def another_protocol(made):
    made["protocol"]["parameters"]["split_seed"] = 7


def sees(made, um):
    made["geometry"]["seen_um"] = dict.fromkeys(("min", "median", "max"), um)


CHANGES = {
    "cells": lambda made: made["dataset"].update(cells_sha256="0" * 64),
    "dataset": lambda made: made["dataset"].update(name="other-cells"),
    "negatives": lambda made: made["dataset"].update(negatives="all"),
    "protocol": another_protocol,
    "crop": lambda made: made["conditions"].update(crop_um=32.0),
    "stain": lambda made: made["conditions"].update(stain="macenko"),
    "label noise": lambda made: made["conditions"].update(label_noise=0.1),
    "split": lambda made: made["conditions"].update(split="leave-one-domain-out", domain="scanner"),
    "trained on": lambda made: made["conditions"].update(trained_on="other-cells"),
    "window seen": lambda made: sees(made, 28.0),
    "window unknown": lambda made: made["geometry"].update(seen_um=None),
    "fraction": lambda made: made.update(
        summary=[summary((0.8, 0.78, 0.82), fraction=0.5)], scores=[row(0, fraction=0.5), row(1, fraction=0.5)]
    ),
    "folds": lambda made: made.update(scores=[row(0)]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_differs_in_anything_that_matters_is_never_in_one_table(change, tmp_path):
    write(tmp_path / "one", document("one"))
    other = document("other")
    CHANGES[change](other)
    write(tmp_path / "other", identified(other))
    boards = boards_of(tmp_path)
    assert [len(board.standings) for board in boards] == [1, 1]
    assert len({board.title for board in boards}) == 2
    assert len({board.file for board in boards}) == 2
    assert all(board.ranked == 0 for board in boards)


def test_what_changes_no_score_s_meaning_shares_a_table(tmp_path):
    write(tmp_path / "one", document("one"))
    write(
        tmp_path / "other", document("other", precision="bf16", scores=[row(0), row(1), row(0, seed=1), row(1, seed=1)])
    )
    [board] = boards_of(tmp_path)
    assert {one.entry.model.name for one in board.standings} == {"one", "other"}


def test_perturbed_cells_have_a_table_of_their_own(tmp_path):
    touched = summary((0.7, 0.65, 0.75)) | {"perturbed": "blur=2", "difference": {}}
    for name in ("one", "other"):
        scores = [row(fold, perturbed=kind) for kind in ("", "blur=2") for fold in range(2)]
        write(tmp_path / name, document(name, perturbed=[touched], scores=scores))
    assert [(board.title, len(board.standings)) for board in boards_of(tmp_path)] == [
        ("some-cells, linear-probe@1", 2), ("some-cells, linear-probe@1, test cells perturbed by blur=2", 2),
    ]  # fmt: skip


def test_ranks_are_ranges(tmp_path):
    scores = {
        "best": (0.9, 0.89, 0.91),
        "tied": (0.8, 0.77, 0.83),
        "too": (0.79, 0.76, 0.82),
        "last": (0.6, 0.58, 0.62),
    }
    for name, auroc in scores.items():
        write(tmp_path / name, document(name, auroc))
    [board] = boards_of(tmp_path)
    assert {one.entry.model.name: one.rank for one in board.standings} == {
        "best": (1, 1), "tied": (2, 3), "too": (2, 3), "last": (4, 4),
    }  # fmt: skip
    assert [one.entry.model.name for one in board.standings] == list(scores)


def test_intervals_that_are_apart_alone_may_meet_among_many(tmp_path):
    """Two 95 % intervals that miss each other by so little tell two models apart, but not two of thirty."""
    near = {"other": (0.87, 0.845, 0.893), "one": (0.8, 0.77, 0.829)}
    for name, auroc in near.items():
        write(tmp_path / name, document(name, auroc, summary=[summary(auroc, groups=5000)]))
    assert [one.rank for one in boards_of(tmp_path)[0].standings] == [(1, 1), (2, 2)]
    for number in range(28):
        write(tmp_path / f"{number}", document(f"low-{number}", (0.6, 0.59, 0.61)))
    [board] = boards_of(tmp_path)
    assert {one.rank for one in board.standings if one.entry.model.name in near} == {(1, 2)}


def test_who_may_have_no_rank_stands_below_and_moves_nobody(tmp_path):
    write(tmp_path / "one", document("one", (0.8, 0.78, 0.82)))
    write(tmp_path / "two", document("two", (0.7, 0.68, 0.72)))
    write(tmp_path / "saw", document("saw", (0.99, 0.98, 1.0), contamination="labels seen"))
    write(tmp_path / "few", document("few", summary=[summary((0.95, 0.9, 0.97), groups=9)]))
    [board] = boards_of(tmp_path)
    assert [(one.entry.model.name, one.rank) for one in board.standings] == [
        ("one", (1, 1)), ("two", (2, 2)), ("saw", None), ("few", None),
    ]  # fmt: skip
    assert board.ranked == 2


def test_a_model_alone_has_no_rank(tmp_path):
    write(tmp_path / "one", document("one"))
    write(tmp_path / "saw", document("saw", contamination="labels seen"))
    assert [one.rank for one in boards_of(tmp_path)[0].standings] == [None, None]


def standing(root, verdicts=None):
    [board] = boards_of(root, verdicts)
    [one] = board.standings
    return one


def version(number):
    made = document("encoder", (0.7 + number / 100, 0.69, 0.9))
    made["model"] |= {"version": f"{number}.0.0", "fingerprint": f"{number}" * 64}
    return identified(made)


def test_of_a_model_s_entries_the_newest_stands_and_the_others_are_its_history(tmp_path):
    for number, created in (
        (1, "2026-01-01T00:00:00+00:00"),
        (3, "2026-03-01T00:00:00Z"),
        (2, "2026-02-28T23:00:00-02:00"),
    ):
        write(tmp_path / f"{number}", version(number), created=created)
    one = standing(tmp_path)
    assert (one.entry.model.version, one.entry.created) == ("2.0.0", "2026-03-01T01:00:00Z")  # an hour after the third
    assert [entry.model.version for entry, _ in one.earlier] == ["3.0.0", "1.0.0"]


def test_a_checked_entry_is_not_pushed_aside_by_a_newer_claim(tmp_path):
    sha = write(tmp_path / "runs" / "1", version(1), created="2026-01-01T00:00:00Z")
    write(tmp_path / "runs" / "2", version(2), created="2026-02-01T00:00:00Z")
    verdict(tmp_path / "verdicts", sha, "arithmetic verified", flags=["a flag"])
    one = standing(tmp_path / "runs", tmp_path / "verdicts")
    assert (one.entry.model.version, one.verdict.level, one.verdict.flags) == (
        "1.0.0",
        "arithmetic verified",
        ("a flag",),
    )
    assert [(entry.model.version, found.level) for entry, found in one.earlier] == [("2.0.0", "self-reported")]


def test_a_verdict_is_of_these_bytes_alone(tmp_path):
    sha = write(tmp_path / "runs" / "1", version(1))
    verdict(tmp_path / "verdicts", sha, "reproduced")
    file = tmp_path / "runs" / "1" / "result.json"
    file.write_text(file.read_text() + "\n")
    assert standing(tmp_path / "runs", tmp_path / "verdicts").verdict.level == "self-reported"


def test_without_a_plugin_a_name_is_anybody_s(tmp_path):
    for number in range(2):
        made = document("embeddings:mine")
        made["model"] |= {"plugin": None, "fingerprint": f"{number}" * 64}
        write(tmp_path / f"{number}", identified(made))
    [board] = boards_of(tmp_path)
    assert len(board.standings) == 2


def test_the_order_of_files_changes_nothing(tmp_path):
    for number in range(6):
        write(tmp_path / "a" / f"{number}", document(f"encoder-{number % 4}", (0.7, 0.6, 0.8), marks=[f"{number}"]))
        write(tmp_path / "b" / f"{9 - number}", document(f"encoder-{number % 4}", (0.7, 0.6, 0.8), marks=[f"{number}"]))

    def said(root):
        return [
            [(one.entry.sha256, one.rank, len(one.earlier)) for one in board.standings] for board in boards_of(root)
        ]

    assert said(tmp_path / "a") == said(tmp_path / "b")
