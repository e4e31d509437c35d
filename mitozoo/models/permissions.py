"""What a user must allow before it happens: a model repository's own code runs only after a yes."""

from __future__ import annotations

import os

from mitozoo.errors import ModelError

#: Set to 1 by `--trust-remote-code`; an environment variable, so that worker processes inherit the answer.
TRUST_REMOTE_CODE = "MITOZOO_TRUST_REMOTE_CODE"


def allow_remote_code() -> None:
    """Let model repositories run their own code, in this process and those that it starts."""
    os.environ[TRUST_REMOTE_CODE] = "1"


def require_remote_code(repo: str, revision: str | None) -> None:
    """Raise `ModelError` unless the user allowed a repository's own code to run."""
    if os.environ.get(TRUST_REMOTE_CODE) != "1":
        at = f" at revision {revision}" if revision else ""
        raise ModelError(
            f"{repo} works only with Python code of its own{at}, which would run with all your rights",
            hint=f"Read that code; if you trust it, add --trust-remote-code (or set {TRUST_REMOTE_CODE}=1).",
        )
