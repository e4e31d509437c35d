"""Are a model's weights at hand; and where not, whether that is the model's fault or that of a gate or a connection."""

from __future__ import annotations

import urllib.error
from typing import TYPE_CHECKING

from mitozoo.engine.findings import Finding, finding_of
from mitozoo.errors import ModelError
from mitozoo.models.permissions import require_remote_code
from mitozoo.models.weights import FUNCTION, locate, model_weights_sha256
from mitozoo.plugins.sources import Checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mitozoo.plugins.model_spec import ModelSpec

GRANTED_TO_SOME = (401, 403)  # HTTP's answers to whom may not have a file


def weights_finding(spec: ModelSpec, own: Path | None = None) -> Finding:
    """Take or fetch a model's weight file: 'PASS' where it is here, 'WARN' where it cannot be had from here.

    Args:
        spec: the model's record.
        own: the user's own copy, in place of the file that its source would find; it must be the right one.
    """
    try:
        if getattr(spec.load, "trust_remote_code", False):
            require_remote_code(spec.load.repo, spec.load.revision)  # type: ignore[union-attr]
    except ModelError as error:
        return finding_of(error, "weights", "WARN")
    try:
        sha256 = model_weights_sha256(spec, file=own)
    except ModelError as error:
        away = own is None and (out_of_reach(error) or nobody_fetches(spec))
        return finding_of(error, "weights", "WARN" if away else "FAIL", mend="Mend the source record.")
    if sha256 == FUNCTION:
        return Finding("PASS", "weights", "the load function's own affair")
    pinned = getattr(spec.load, "sha256", None) is not None
    return Finding("PASS", "weights", f"sha256 {sha256[:12]}{', as declared' if pinned else ', not pinned'}")


def out_of_reach(error: BaseException) -> bool:
    """Tell whether an error comes of a gate, of no connection, or of offline mode."""
    from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, OfflineModeIsEnabled

    for cause in _causes(error):
        if isinstance(cause, urllib.error.HTTPError):
            return cause.code in GRANTED_TO_SOME or cause.code >= 500
        if isinstance(cause, GatedRepoError | LocalEntryNotFoundError | OfflineModeIsEnabled | urllib.error.URLError):
            return True
        if isinstance(cause, ConnectionError | TimeoutError):
            return True
    return False


def nobody_fetches(spec: ModelSpec) -> bool:
    """Tell whether a checkpoint is absent and has no address, or none that may be asked in offline mode."""
    from huggingface_hub import constants

    if not isinstance(spec.load, Checkpoint) or (spec.load.url and not constants.HF_HUB_OFFLINE):
        return False
    try:
        locate(spec.load)
    except ModelError:
        return True
    return False


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
