"""What happens, told once: one JSON object a line to a file, with run, task and stage, and nothing secret in it."""

from __future__ import annotations

import contextlib
import contextvars
import json
import logging
import math
import os
import sys
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from mitozoo.errors import MitozooError, StorageError
from mitozoo.redaction import redacted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

INFO, WARNING, ERROR = logging.INFO, logging.WARNING, logging.ERROR
#: Every event goes through it; whoever wants to read them adds a handler of its own.
LOGGER = logging.getLogger("mitozoo")
LOGGER.addHandler(logging.NullHandler())  # else Python itself prints errors that nobody listens to
_FIELDS, _WITHIN, _CONTEXT = "mitozoo_fields", "mitozoo_within", ("run", "task", "stage")
_NOWHERE: Mapping[str, str] = MappingProxyType({})
_within: contextvars.ContextVar[Mapping[str, str]] = contextvars.ContextVar("mitozoo_within", default=_NOWHERE)


def is_heard(level: int = INFO) -> bool:
    """Tell whether anybody listens, for those whose fields take time to find out."""
    return LOGGER.isEnabledFor(level)


def tell(event: str, message: str = "", *, level: int = INFO, **fields: object) -> None:
    """Tell that something happened; it costs next to nothing where nobody listens.

    Args:
        event: what kind of thing, one of few words for programs to filter by, such as 'stage' or 'row'.
        message: one sentence for people; the event's name where it says enough.
        level: `INFO`, `WARNING` or `ERROR`.
        **fields: numbers, texts, and lists and mappings of these; what else is given stands as its text.
    """
    if is_heard(level):
        _emit(level, message or event, {"event": event} | fields, _within.get())


def tell_failure(error: BaseException, **fields: object) -> None:
    """Tell that something failed, with run, task and stage that it failed in. Whoever swallows an error tells it."""
    message = error.message if isinstance(error, MitozooError) else f"{type(error).__name__}: {error}".rstrip(": ")
    told: dict[str, object] = {"event": "failure", "error": type(error).__name__}
    if isinstance(error, MitozooError) and error.hint:
        told["hint"] = error.hint
    if is_heard(ERROR):
        _emit(ERROR, message, told | fields, getattr(error, _WITHIN, None) or _within.get())


@contextlib.contextmanager
def within(**names: str | None) -> Iterator[None]:
    """Have all that is told meanwhile, in this thread, bear these names of `run`, `task` or `stage`.

    An error that passes keeps the innermost ones, so that `tell_failure` knows them however far out it is called.
    """
    inner = dict(_within.get()) | {name: text for name, text in names.items() if text is not None}
    token = _within.set(inner)
    try:
        yield
    except BaseException as error:
        if not hasattr(error, _WITHIN):
            with contextlib.suppress(AttributeError):  # an exception with slots: it is told with less
                setattr(error, _WITHIN, inner)
        raise
    finally:
        _within.reset(token)


@contextlib.contextmanager
def heard_by(handler: logging.Handler) -> Iterator[None]:
    """Have a handler hear every event for a while, and close it then."""
    before = LOGGER.level
    LOGGER.addHandler(handler)
    LOGGER.setLevel(INFO)
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)
        LOGGER.setLevel(before)
        handler.close()


@contextlib.contextmanager
def log_to(path: Path) -> Iterator[None]:
    """Append every event to a file for a while, one JSON object a line; many processes may append to one file.

    Raises:
        StorageError: the file cannot be opened for writing.
    """
    with heard_by(JsonLines(path)):
        yield


class JsonLines(logging.Handler):
    """Appends each event with one system call, so that lines of several processes never mix.

    A file that cannot be written any more (a full disk) is told once on stderr, and the work goes on without a log.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(INFO)
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: int | None = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError as error:
            raise StorageError(
                f"cannot write the log {path}: {error.strerror or error}", hint="Point --log to another file."
            ) from error

    def emit(self, record: logging.LogRecord) -> None:
        """Append one line."""
        if self._file is None:
            return
        try:
            line = (json.dumps(as_entry(record)) + "\n").encode()
            while line:  # a disk that fills up takes a part, then fails
                line = line[os.write(self._file, line) :]
        except OSError as error:
            self._give_up(error)
        except Exception:  # noqa: BLE001 (what was told cannot even be shown: its line is lost, and nothing else)
            self.handleError(record)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        super().close()

    def _give_up(self, error: OSError) -> None:
        sys.stderr.write(f"mitozoo: the log {self.path} ends here: {error.strerror or error}\n")
        self.close()


def as_entry(record: logging.LogRecord) -> dict[str, Any]:
    """Return an event as a log's line holds it: time, level, run, task, stage, message, process, and its own fields."""
    names = getattr(record, _WITHIN, {})
    when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    entry = {"time": when, "level": record.levelname.lower()} | {name: names.get(name) for name in _CONTEXT}
    entry |= {"message": record.getMessage(), "process": record.process}
    entry |= {"event": "note"} if not hasattr(record, _FIELDS) else {}  # told by logging itself
    entry |= {name: value for name, value in getattr(record, _FIELDS, {}).items() if name not in entry}
    plain: dict[str, Any] = redacted(_plain(entry))
    return plain


def _emit(level: int, message: str, fields: Mapping[str, object], names: Mapping[str, str]) -> None:
    LOGGER.log(level, "%s", message, extra={_FIELDS: fields, _WITHIN: names})


def _plain(value: Any) -> Any:
    """Return a value as JSON knows it; what is no JSON becomes text, and nothing that is told can break the log."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if hasattr(value, "items"):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(inner) for inner in value]
    if callable(item := getattr(value, "item", None)) and getattr(value, "ndim", None) == 0:
        return _plain(item())  # numpy's and torch's numbers
    return str(value)
