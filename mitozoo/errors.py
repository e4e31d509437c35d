"""Every error that is a user's to mend: one sentence of what, where, why, and what to type next."""

from __future__ import annotations

#: What a stranger's file may hold and a terminal must not be told: each becomes a space.
_CONTROL = dict.fromkeys((*range(9), *range(11, 32), 127, *range(128, 160), 8232, 8233), " ")


def printable(text: str) -> str:
    """Return a text that moves no cursor, paints nothing and retitles no window: its control characters are spaces."""
    return text.translate(_CONTROL)


class MitozooError(Exception):
    """A mistake that the reader of the message can mend.

    Args:
        message: what went wrong, where, and why, in one sentence.
        hint: what to type or do next; printed on a line of its own.
    """

    exit_code = 2

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        message = printable(message)
        super().__init__(message)
        self.message = message
        self.hint = None if hint is None else printable(hint)

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class SpecError(MitozooError):
    """A plugin's record that says something impossible."""


class UnknownNameError(MitozooError):
    """A model, dataset or protocol of that name is not registered."""


class PluginError(MitozooError):
    """A plugin failed while the user asked to be strict, or is the only owner of a name asked for."""


class QuotingError(MitozooError):
    """An error whose message quotes a file or a library: a line break in there is none in the sentence."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(" ".join(message.splitlines()), hint=hint)


class DataError(QuotingError):
    """Label files, cell tables or their values are not what they must be."""


class SlideError(DataError):
    """A slide is missing, truncated or unreadable."""


class SplitError(MitozooError):
    """The data cannot be divided as asked without a leak or an empty class."""


class ModelError(QuotingError):
    """An encoder cannot be built, loaded or run as its spec declares."""


class ProtocolError(MitozooError):
    """A protocol or one of its parameters does not exist or does not fit."""


class StorageError(QuotingError):
    """A cache or run folder cannot be read or written."""


class DownloadError(QuotingError):
    """A file cannot be fetched, is not the one that was published, or is an archive that must not be unpacked."""

    exit_code = 3


class VerificationError(MitozooError):
    """A recomputed value differs from the recorded one."""

    exit_code = 1
