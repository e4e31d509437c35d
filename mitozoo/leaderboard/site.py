"""Build the site: read every result, make the boards, and write a page for each board, model and dataset."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from mitozoo import storage
from mitozoo.errors import DataError, VerificationError
from mitozoo.leaderboard.boards import make_boards
from mitozoo.leaderboard.pages import board_page, dataset_page, index_page, model_page, render
from mitozoo.leaderboard.reading import read_all
from mitozoo.leaderboard.verdicts import read_verdicts
from mitozoo.leaderboard.walking import find_results
from mitozoo.leaderboard.words import file_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from mitozoo.leaderboard.boards import Board
    from mitozoo.leaderboard.pages import Page, Shown
    from mitozoo.leaderboard.reading import Refusal

#: Tells that a folder is such a site, and may be replaced.
MARKER = "mitozoo-leaderboard.json"
NAMED_REFUSALS = 5


@dataclass(frozen=True)
class Site:
    """What was built.

    Attributes:
        folder: where it lies.
        entries: how many entries it shows.
        boards: how many tables.
        models: how many models.
        refused: documents that it does not show.
    """

    folder: Path
    entries: int
    boards: int
    models: int
    refused: tuple[Refusal, ...]


def build_site(
    runs: Path, folder: Path, *, verdicts: Path | None = None, skip_refused: bool = False, processes: int | None = None
) -> Site:
    """Write the site of all results below a folder; a former one in its place goes.

    Args:
        runs: folder of run folders or submission bundles, at any depth.
        folder: of the site; it must not exist, be empty, or be such a site.
        verdicts: folder of the verdicts of `mitozoo submission check`; without one all is self-reported.
        skip_refused: leave out documents that are not what they must be, in place of stopping.
        processes: how many read documents; None: one a core, if there are many.

    Raises:
        VerificationError: documents are refused; the message names them.
        MitozooError: there are none, or the site cannot be written there.
    """
    require_replaceable(folder)
    known = {} if verdicts is None else read_verdicts(verdicts)
    entries, refused = read_all(find_results(runs), processes)
    if refused and not skip_refused:
        raise VerificationError(_told(refused), hint="Mend or remove them, or leave them out: --skip-refused")
    if not entries:
        raise DataError(f"no result below {runs} was scored: there is nothing to show")
    boards = make_boards(entries, known)
    models = {entry.model.key: file_name(entry.model.name, repr(entry.model.key)) for entry in entries}
    with storage.replace_folder_whole(folder) as unfinished:
        for name in ("boards", "models", "datasets"):
            (unfinished / name).mkdir()
        for page in _pages(boards, models, len(entries)):
            (unfinished / page.path).write_text(render(page), encoding="utf-8")
        stated = {"mitozoo": version("mitozoo"), "entries": len(entries), "refused": len(refused)}
        (unfinished / MARKER).write_text(json.dumps(stated) + "\n", encoding="utf-8")
    return Site(folder, len(entries), len(boards), len(models), tuple(refused))


def require_replaceable(folder: Path) -> None:
    """Raise `DataError` where a folder holds anything but such a site."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise DataError(f"{folder} is no folder", hint="Name another one: -o DIR")
    if folder.is_dir() and not (folder / MARKER).is_file() and any(folder.iterdir()):
        raise DataError(
            f"{folder} holds other files, which a site would replace", hint="Name a new or an empty folder: -o DIR"
        )


def _pages(boards: Sequence[Board], models: dict[tuple[str, str], str], entries: int) -> Iterator[Page]:
    yield index_page(boards, entries, len(models))
    by_dataset: dict[str, list[Board]] = {}
    by_model: dict[tuple[str, str], list[Shown]] = {}
    for board in boards:
        by_dataset.setdefault(board.place.dataset, []).append(board)
        for one in board.standings:
            own = by_model.setdefault(one.entry.model.key, [])
            own.append((board, one.entry, one.verdict, one))
            own.extend((board, entry, verdict, None) for entry, verdict in one.earlier)
    datasets = {name: file_name(name, name) for name in by_dataset}
    for board in boards:
        yield board_page(board, models, datasets[board.place.dataset])
    for key, shown in by_model.items():
        yield model_page(models[key], sorted(shown, key=lambda each: each[3] is None))
    for name, own_boards in by_dataset.items():
        yield dataset_page(datasets[name], own_boards)


def _told(refused: Sequence[Refusal]) -> str:
    more = f"; and {len(refused) - NAMED_REFUSALS} more" if len(refused) > NAMED_REFUSALS else ""
    return f"{'; '.join(one.reason for one in refused[:NAMED_REFUSALS])}{more}"
