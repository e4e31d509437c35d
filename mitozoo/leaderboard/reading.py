"""Read result documents, many at once: each is held against the schema and its own run id before anything is shown."""

from __future__ import annotations

import gc
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mitozoo.errors import MitozooError, VerificationError
from mitozoo.leaderboard.extracting import entries_of
from mitozoo.leaderboard.verdicts import utc
from mitozoo.results.identity import check_identity
from mitozoo.results.run_folder import COMPUTE, SCHEMA
from mitozoo.results.schema import violations

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mitozoo.leaderboard.entry import Entry
    from mitozoo.leaderboard.walking import Found

MOST_BYTES, MOST_COMPUTE_BYTES = 32_000_000, 4_000_000
#: Documents that a process is handed at once, and from how many on further processes are worth their start.
AT_ONCE, WORTH_PROCESSES = 250, 2_000
SHOWN_CHARACTERS = 300  # of what is wrong with a document; it may quote a stranger at any length


@dataclass(frozen=True)
class Refusal:
    """A document that is not shown: its file, and why."""

    file: str
    reason: str


def read_all(found: Sequence[Found], processes: int | None = None) -> tuple[list[Entry], list[Refusal]]:
    """Return the entries of all documents, and which documents are refused; equal files count once.

    Args:
        found: where the documents lie.
        processes: how many read; None: one a core, if there is much to read.
    """
    processes = processes or (os.cpu_count() or 1 if len(found) >= WORTH_PROCESSES else 1)
    entries: list[Entry] = []
    refused: list[Refusal] = []
    seen: set[str] = set()
    for own, refusals in _chunks(found, processes):
        refused += refusals
        new = {entry.sha256 for entry in own} - seen
        entries += [entry for entry in own if entry.sha256 in new]
        seen |= new
    return entries, refused


def read_document(one: Found) -> list[Entry]:
    """Return the entries of one document.

    Raises:
        VerificationError: it is no result of this schema, or contradicts itself; the message names the file.
    """
    import orjson

    try:
        raw = _bytes(one.file, MOST_BYTES)
        document = orjson.loads(raw)
        schema = document.get("schema") if isinstance(document, dict) else None
        if schema != SCHEMA:
            raise ValueError(f"it has schema {schema!r}; this version of mitozoo reads {SCHEMA}")
        if broken := violations(document):
            raise ValueError(f"it breaks its schema: {broken[0]}")
        check_identity(document)
        sha256 = hashlib.sha256(raw).hexdigest()
        created, parameters = _beside(one.file)
        found = entries_of(document, sha256=sha256, file=one.name, created=created, parameters=parameters)
        return list(found)
    except (MitozooError, OSError, ValueError) as error:
        reason = str(error)
    except (KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        reason = f"it does not hold what a leaderboard shows: {type(error).__name__}: {error}"
    raise VerificationError(f"{one.name}: {reason[:SHOWN_CHARACTERS]}")


def _chunks(found: Sequence[Found], processes: int) -> Iterator[tuple[list[Entry], list[Refusal]]]:
    chunks = [found[start : start + AT_ONCE] for start in range(0, len(found), AT_ONCE)]
    if processes == 1:
        yield from map(_read_chunk, chunks)
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=gc.disable) as pool:  # documents hold no cycles
        yield from pool.map(_read_chunk, chunks)


def _read_chunk(chunk: Sequence[Found]) -> tuple[list[Entry], list[Refusal]]:
    entries, refused = [], []
    for one in chunk:
        try:
            entries += read_document(one)
        except VerificationError as error:
            refused.append(Refusal(one.name, error.message))
    return entries, refused


def _bytes(file: str | Path, most: int) -> bytes:
    with open(file, "rb") as opened:  # noqa: PTH123 - a hundred thousand times
        if os.fstat(opened.fileno()).st_size > most:
            raise ValueError(f"it is larger than {most:,} bytes, which no result is")
        return opened.read()


def _beside(file: str) -> tuple[str, float | None]:
    """Return what compute.json tells by its own word: when the run was last added to ('': not told), and parameters."""
    import orjson

    try:
        calls: list[dict[str, Any]] = orjson.loads(_bytes(Path(file).with_name(COMPUTE), MOST_COMPUTE_BYTES))["calls"]
        counted = [call["model"]["parameters"] for call in calls if (call.get("model") or {}).get("parameters")]
        return utc(calls[-1]["created"]), float(counted[-1]) if counted else None
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError):
        return "", None
