"""What the hub lets this user have: a token, and the weight file of each gated repository."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mitozoo.engine.findings import Finding
from mitozoo.models.hub import own_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mitozoo.plugins.model_spec import ModelSpec

SECONDS = 5  # for one answer of the hub
AT_ONCE = 16
MANY = 4

Answer = Literal["here", "granted", "gated", "refused token", "absent", "unknown repository", "unreachable"]


@dataclass(frozen=True)
class WeightFile:
    """One file of a hub repository, at the revision that a plugin pins."""

    repo: str
    filename: str
    revision: str | None

    @classmethod
    def of(cls, spec: ModelSpec) -> WeightFile | None:
        """Return a model's weight file on the hub; None where it lies elsewhere, or the plugin's function knows."""
        repo = getattr(spec.load, "repo", "")
        return cls(repo, spec.load.filename, spec.load.revision) if repo else None  # type: ignore[union-attr]

    @classmethod
    def all_of(cls, spec: ModelSpec) -> list[WeightFile]:
        """Return a model's weight file on the hub, if that is where it lies, and what else it fetches from there."""
        files = [cls.of(spec)] + [cls(*_parted(name), revision=None) for name in spec.also_fetches]
        return [file for file in files if file]

    def is_here(self) -> bool:
        """Whether it lies in the user's own folder of weights, or in the hub's cache."""
        from huggingface_hub import try_to_load_from_cache

        cached = try_to_load_from_cache(self.repo, self.filename, revision=self.revision)
        return isinstance(cached, str) or own_file(f"{self.repo}/{self.filename}") is not None


def hub_findings(models: Iterable[ModelSpec], *, offline: bool) -> Iterator[Finding]:
    """Yield whether a token is there, and what each gated repository of these models answers to it.

    The token itself never leaves this module. Nothing is downloaded: each repository is asked for a file's head.

    Args:
        models: those whose spec says 'gated' are asked for.
        offline: ask nobody.
    """
    from huggingface_hub import get_token

    token = get_token()
    if token:
        origin = "the environment" if os.environ.get("HF_TOKEN") else "hf auth login"
        yield Finding("PASS", "hub token", f"there is one, from {origin}; it is shown nowhere")
    else:
        mend = "Make one on the hub's settings page, then type: hf auth login"
        yield Finding("WARN", "hub token", "there is none, so gated models cannot be fetched", mend)

    models_of, by_function = _gated(models)
    if by_function:
        told = f"fetched by the plugin's own function, so not asked for here: {_few(by_function)}"
        yield Finding("WARN", "gated models", told, "mitozoo check NAME tells.")
    answers = {file: "here" for file in models_of if file.is_here()}
    asked = [file for file in models_of if file not in answers]
    if asked and offline:
        told = f"not asked, since offline: {_few(sorted({file.repo for file in asked}))}"
        yield Finding("WARN", "gated models", told, "Without --offline they are.")
        asked = []
    answers |= _ask_all(asked, token)
    unreachable = sorted({file.repo for file, answer in answers.items() if answer == "unreachable"})
    if unreachable:
        told = f"it cannot be reached within {SECONDS} s, to ask for {_few(unreachable)}"
        mend = "Check the connection and its proxy; without one, put weights into a folder and set MITOZOO_WEIGHTS."
        yield Finding("WARN", "hub", told, mend)
    for file, names in models_of.items():
        if answers.get(file, "unreachable") != "unreachable":
            yield _finding(file, names, answers[file])


def _gated(models: Iterable[ModelSpec]) -> tuple[dict[WeightFile, list[str]], list[str]]:
    """Return which models need which file, and the names of those whose plugin alone knows."""
    models_of: defaultdict[WeightFile, list[str]] = defaultdict(list)
    by_function = []
    for spec in models:
        if not spec.gated:
            continue
        for file in WeightFile.all_of(spec):
            models_of[file].append(spec.name)
        if not WeightFile.all_of(spec):
            by_function.append(spec.name)
    return dict(sorted(models_of.items(), key=lambda item: item[0].repo.lower())), by_function


def _parted(name: str) -> tuple[str, str]:
    organisation, repository, path = name.split("/", 2)
    return f"{organisation}/{repository}", path


def _ask_all(files: list[WeightFile], token: str | None) -> dict[WeightFile, str]:
    if not files:
        return {}
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(AT_ONCE, len(files))) as pool:
        return dict(zip(files, pool.map(lambda file: ask(file, token), files), strict=True))


def ask(file: WeightFile, token: str | None) -> Answer:
    """Ask the hub for the head of a file, once, without trying again."""
    from huggingface_hub import errors, get_hf_file_metadata, hf_hub_url

    try:
        get_hf_file_metadata(
            hf_hub_url(file.repo, file.filename, revision=file.revision), token=token or False, timeout=SECONDS
        )
    except errors.GatedRepoError:
        return "gated"
    except (errors.EntryNotFoundError, errors.RevisionNotFoundError):
        return "absent"
    except errors.RepositoryNotFoundError:
        return "unknown repository"
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        return "refused token" if status == 401 and token else "gated" if status in (401, 403) else "unreachable"
    except Exception:  # noqa: BLE001 (no connection, in the words of whatever HTTP library the client uses)
        return "unreachable"
    return "granted"


def _finding(file: WeightFile, names: list[str], answer: str) -> Finding:
    from huggingface_hub import constants

    what, serves = f"gated {file.repo}", f"for {_few(names)}"
    page = f"{constants.ENDPOINT}/{file.repo}"
    match answer:
        case "here":
            return Finding("PASS", what, f"its weights are on this machine, {serves}")
        case "granted":
            return Finding("PASS", what, f"access granted, {serves}")
        case "refused token":
            return Finding("WARN", what, f"the hub refuses your token, {serves}", "Type: hf auth login")
        case "gated":
            return Finding("WARN", what, f"no access yet, {serves}", f"Ask for it at {page}, then type: hf auth login")
        case "unknown repository":
            mend = f"Type hf auth login, and see {page}"
            return Finding("WARN", what, f"the hub does not know it, or hides it from you, {serves}", mend)
        case _:
            at = f" at revision {file.revision}" if file.revision else ""
            return Finding("FAIL", what, f"it has no {file.filename}{at}, {serves}", "Try: upgrade the plugin")


def _few(names: list[str]) -> str:
    more = f" and {len(names) - MANY} more" if len(names) > MANY else ""
    return ", ".join(names[:MANY]) + more
