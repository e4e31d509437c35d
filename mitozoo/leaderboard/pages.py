"""The pages of the site: what stands on each, in words, and as HTML that needs nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from mitozoo.leaderboard.boards import Board
from mitozoo.leaderboard.table import AT_ONCE, Table
from mitozoo.leaderboard.tables import board_table, boards_table, model_table
from mitozoo.leaderboard.words import link

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mitozoo.leaderboard.boards import Standing
    from mitozoo.leaderboard.entry import Dataset, Entry
    from mitozoo.leaderboard.verdicts import Verdict

Shown = tuple[Board, "Entry", "Verdict", "Standing | None"]

RANKS = (
    "A rank is the range of places that a model may have, never a single order. It follows from the intervals of AUROC "
    "alone: each is widened until all of the table's hold together in 95 % of samples (Bonferroni, on the log odds, "
    "Student's t over the groups), and a model stands behind only those whose interval lies wholly above its own. "
    "Paired differences on the same cells, which mitozoo compare makes from runs, can tell models apart that these "
    "ranges cannot. All ranked rows count, whatever the filters hide. Rows stand by AUROC, which within a range says "
    "nothing."
)
CHECKED = (
    "Checked: 'self-reported', nobody recomputed it; 'arithmetic verified', its numbers follow from its predictions, "
    "cells and splits; 'reproduced', embeddings and scores of a sample were computed again. No offline check can find "
    "a consistent forgery. Of a model's entries stands that of the highest level, then the newest by its own word."
)
CONDITIONAL = "Intervals are conditional on the trained models; sd over seeds is no part of them."


@dataclass(frozen=True)
class Page:
    """One page.

    Attributes:
        path: of its file, from the site's folder on.
        heading: its title.
        trail: (text, address) of the pages above it.
        about: sentences.
        facts: (what, value, address or '').
        table_title: heading of the table.
        table: its table.
        notes: what must be read with it.
    """

    path: str
    heading: str
    trail: tuple[tuple[str, str], ...]
    about: tuple[str, ...]
    facts: tuple[tuple[str, str, str], ...]
    table_title: str
    table: Table
    notes: tuple[str, ...] = ()


def index_page(boards: Sequence[Board], entries: int, models: int) -> Page:
    """Return the first page: every table."""
    datasets = len({board.place.dataset for board in boards})
    counted = (
        f"{entries:,} entries of {models:,} models on {datasets:,} datasets, in {len(boards):,} tables. A table holds "
        "one dataset's cells, one protocol, one set of conditions, one window, one label fraction and the same folds.",
    )
    return Page(
        "index.html", "mitozoo leaderboard", (), counted, (), "Tables", boards_table(boards, "boards/"), (CHECKED,)
    )


def board_page(board: Board, models: Mapping[tuple[str, str], str], dataset: str) -> Page:
    """Return the page of a board; `models` names the page of each model, `dataset` the dataset's."""
    first = board.standings[0].entry
    about = [_cells(first.dataset), first.saw]
    ranked = RANKS if board.ranked else "No order among these models is claimed."
    facts = (
        ("dataset", first.dataset.name, f"../datasets/{dataset}"),
        ("protocol", first.protocol, ""),
        ("conditions", first.asked or "none beside the protocol", ""),
        ("negatives", board.place.negatives, ""),
        ("outer folds tested", ", ".join(map(str, board.place.folds)), ""),
        ("protocol hash", board.place.protocol_hash, ""),
        ("sha256 of cells, groups and labels", board.place.cells_sha256, ""),
    )
    return Page(
        f"boards/{board.file}",
        board.title,
        (("leaderboard", "../index.html"), (first.dataset.name, f"../datasets/{dataset}")),
        tuple(f"{words}." for words in about if words),
        facts,
        "Models",
        board_table(board, models),
        (ranked, CONDITIONAL, CHECKED),
    )


def model_page(file: str, shown: Sequence[Shown]) -> Page:
    """Return the page of a model; the first of what is shown tells its facts."""
    entry = shown[0][1]
    model = entry.model
    size = "" if model.parameters is None else f"{model.parameters / 1e6:,.1f} million"
    facts = {
        "plugin": (" ".join(filter(None, (model.plugin, model.version))), ""),
        "licence": (", ".join(filter(None, (model.license, "gated" if model.gated else ""))), ""),
        "reference": (model.reference, link(model.reference)),
        "parameters": (size, ""),
        "embedding": (", pooled by ".join(filter(None, (f"{model.embed_dim} numbers", model.pooling))), ""),
        "fingerprint": (model.fingerprint, ""),
        "weights, sha256": (model.weights_sha256, ""),
    }
    seen = sorted({f"{other.dataset.name}: {other.contamination}" for _, other, _, _ in shown})
    return Page(
        f"models/{file}",
        model.name,
        (("leaderboard", "../index.html"),),
        (f"What pretraining saw, by dataset: {'; '.join(seen[:AT_ONCE])}.",),
        tuple((what, value, address) for what, (value, address) in facts.items() if value),
        "Entries",
        model_table(shown),
        (CHECKED,),
    )


def dataset_page(file: str, boards: Sequence[Board]) -> Page:
    """Return the page of a dataset."""
    dataset = boards[0].standings[0].entry.dataset
    facts = {
        "positive class": (dataset.positive, ""),
        "negative class": (dataset.negative, ""),
        "where the negatives come from": (dataset.negatives_origin, ""),
        "domains": (dataset.domains, ""),
        "synthetic": ("yes: no number on it says anything about tissue" if dataset.synthetic else "no", ""),
        "licence": (dataset.license, ""),
        "reference": (dataset.reference, link(dataset.reference)),
    }
    return Page(
        f"datasets/{file}",
        dataset.name,
        (("leaderboard", "../index.html"),),
        (f"{_cells(dataset)}.",),
        tuple((what, value, address) for what, (value, address) in facts.items() if value),
        "Tables",
        boards_table(boards, "../boards/"),
        (CHECKED,),
    )


def render(page: Page) -> str:
    """Return a page as HTML; every text of it is escaped, in markup and in the data of its script."""
    from mitozoo.pages.template import template

    return template("mitozoo.leaderboard").render(
        title=page.heading if page.path == "index.html" else f"{page.heading} - mitozoo leaderboard",
        page=page,
        rows=page.table.first(),
        at_once=AT_ONCE,
        data=_within_html(page.table),
        version=version("mitozoo"),
    )


def _within_html(table: Table) -> str:
    """Return a table's data as JSON that no HTML parser takes for markup."""
    import orjson
    from markupsafe import Markup

    text = orjson.dumps(table.data()).decode()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - nothing in it can end the script element


def _cells(dataset: Dataset) -> str:
    return (
        f"{dataset.positive_cells:,} {dataset.positive} (positive) and {dataset.negative_cells:,} {dataset.negative} "
        f"cells in {dataset.groups:,} {dataset.group_level}s"
    )
