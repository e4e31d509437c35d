"""A hub's repositories: their files, where the user put them, else from the local cache, else from the hub."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mitozoo import storage
from mitozoo.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The user's own folder of weights, laid out as DIR/ORGANISATION/NAME/FILE.
OWN_FOLDER = "MITOZOO_WEIGHTS"
#: How long the hub may take to say that it is there; its client by itself tries six times, over half a minute.
ANSWER_SECONDS = 3


@dataclass(frozen=True)
class Repository:
    """What a repository held when it was first looked at.

    Attributes:
        name: 'organisation/name'.
        revision: the commit that was looked at; None for the user's own folder.
        files: paths in it, sorted.
    """

    name: str
    revision: str | None
    files: tuple[str, ...]


def hub_file(repo: str, filename: str, revision: str | None) -> Path:
    """Return a file of a repository, fetched first where it must be.

    Raises:
        ModelError: it is not here and cannot be fetched; says whom to ask, or what to put where.
    """
    if (own := own_file(f"{repo}/{filename}")) is not None:
        return own
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import LocalEntryNotFoundError

    cached = try_to_load_from_cache(repo, filename, revision=revision)
    if revision and isinstance(cached, str):  # a pinned commit stays what it is
        return Path(cached)
    at = f" at revision {revision}" if revision else ""
    with _asking(repo, f"cannot fetch {filename} of {repo}{at}", place_hint(f"{repo}/{filename}")):
        silence = _silence(repo, filename, revision)
        try:
            return Path(hf_hub_download(repo, filename, revision=revision, local_files_only=silence is not None))
        except LocalEntryNotFoundError as error:
            raise error from silence or error.__cause__


def repository(name: str, revision: str | None = None) -> Repository:
    """Return what a repository holds: asked of the hub once, and then known without a connection.

    Args:
        name: 'organisation/name'.
        revision: a commit, branch or tag; None: the newest at the first time of asking.

    Raises:
        ModelError: it is nowhere, or nobody may look at it.
    """
    folder = os.environ.get(OWN_FOLDER)
    if folder and (own := inside(Path(folder).expanduser(), name)).is_dir():
        found = sorted(path.relative_to(own).as_posix() for path in own.rglob("*") if path.is_file())
        return Repository(name, None, tuple(found))

    label = name.replace("/", "--") + (f"@{revision}" if revision else "")
    remembered = inside(storage.home() / "repositories", f"{label}.json")
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        stated = json.loads(remembered.read_text(encoding="utf-8"))
        return Repository(name, stated["revision"], tuple(stated["files"]))

    from huggingface_hub import HfApi

    with _asking(name, f"cannot look at {name}", place_hint(f"{name}/...")):
        seen = HfApi().model_info(name, revision=revision, timeout=ANSWER_SECONDS)
        files = tuple(sorted(file.rfilename for file in seen.siblings or ()))
    with storage.write_whole(remembered) as part:
        part.write_text(json.dumps({"revision": seen.sha, "files": files}), encoding="utf-8")
    return Repository(name, seen.sha, files)


def _silence(repo: str, filename: str, revision: str | None) -> Exception | None:
    """Ask for a file's head, once: return why no answer came, if none did; a refusal is an answer, and raised."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError

    try:
        get_hf_file_metadata(hf_hub_url(repo, filename, revision=revision), timeout=ANSWER_SECONDS)
    except HfHubHTTPError as error:
        if error.response.status_code < 500:
            raise
        return error
    except Exception as error:  # noqa: BLE001 (no connection, in the words of whatever HTTP library the client uses)
        return error
    return None


def own_file(relative: str) -> Path | None:
    """Return a file of the user's own folder of weights, if it is there."""
    folder = os.environ.get(OWN_FOLDER)
    if folder and (path := inside(Path(folder).expanduser(), relative)).is_file():
        return path
    return None


def place_hint(relative: str) -> str:
    """Return where to put a file that cannot be fetched."""
    folder = os.environ.get(OWN_FOLDER)
    now = f" (now {folder}, where it is not)" if folder else ""
    return f"Without a connection, put the file at DIR/{relative} and set {OWN_FOLDER}=DIR{now}."


def inside(folder: Path, relative: str) -> Path:
    """Return a path in a folder. Raises `ModelError` where it would lead out of it."""
    path = (folder / relative).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ModelError(f"the weight file {relative} would lie outside {folder}")
    return path


@contextlib.contextmanager
def _asking(repo: str, failure: str, hint: str) -> Iterator[None]:
    """Turn what the hub's client raises into a sentence; only the typed refusal becomes advice about access."""
    from huggingface_hub import constants
    from huggingface_hub.errors import GatedRepoError

    try:
        yield
    except GatedRepoError as error:
        raise ModelError(
            f"{repo} is gated: its owners grant access to each user, and not yet to you",
            hint=f"Ask for access at {constants.ENDPOINT}/{repo}, then type: hf auth login"
            " (mitozoo doctor shows what you can reach)",
        ) from error
    except Exception as error:  # the client's own errors, those of its HTTP library, and a full disk
        reason = str(error.__cause__ or error).strip().partition("\n")[0] or type(error).__name__
        raise ModelError(f"{failure}: {reason}", hint=hint) from error
