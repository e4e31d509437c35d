"""What must never be written down: tokens, keys and passwords, taken out of every text that is kept or shown."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

#: What stands in place of a secret: too short to be one, so that redacting twice changes nothing.
REDACTED = "***"
SHORTEST_SECRET = 8  # characters of an environment variable's value; shorter ones are words like 'true'

_NAME = r"(?:token|secret|signature|password|passwd|passphrase|api[_-]?key|access[_-]?key|private[_-]?key|credentials?)"
_SECRET_NAME = re.compile(rf"(?i)(?:^|.*[_\-.]){_NAME}$|^(?:proxy-)?authorization$|^(?:set-)?cookie$")
_SECRET_VARIABLE = re.compile(rf"(?i)(?:^|.*_){_NAME}$|.*_(?:KEY|PAT|PASS|AUTH)$|.*_CONNECTION_STRING$")
#: Of a signed address: S3, Google, Azure, CloudFront, and whatever else calls it so.
_PARAMETER = rf"[\w.%-]{{0,60}}{_NAME}[\w.%-]{{0,60}}|sig|auth|policy|key|key-pair-id|awsaccesskeyid|googleaccessid"

#: What knows a secret by its looks, wherever it comes from, and what is kept of it.
_LOOKS: tuple[tuple[re.Pattern[str], str], ...] = (
    # Authorization: Bearer ..., to the end of the line; as Python and JSON write it, to the end of the text
    (
        re.compile(
            r"(?i)\b((?:proxy-)?authorization|(?:set-)?cookie|x-api-key|x-auth-token|x-amz-security-token)"
            r"(?:(['\"]?\s*[:=,]\s*b?)(['\"])(?:(?!\3)[^\r\n])+|(['\"]?\s*[:=]\s*)[^\r\n]+)"
        ),
        rf"\1\2\3\4{REDACTED}",
    ),
    (re.compile(r"(?i)\b(bearer\s+)[a-z0-9._~+/=-]{16,}"), rf"\1{REDACTED}"),
    # https://user:password@host, also where a path has lost a slash, or the scheme
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]{0,20}:/{1,3})[^\s/?#'\"<>]*@"), rf"\1{REDACTED}@"),
    (
        re.compile(r"(?i)(?<![\w.+-])(?!mailto:)([\w.+-]{1,64}:)[^\s:/?#@'\"<>]{6,200}@(?=[a-z][\w-]{0,60}\.[a-z])"),
        rf"\1{REDACTED}@",
    ),
    # ?X-Amz-Signature=..., also behind & and #
    (re.compile(rf"(?i)([?&;#](?:{_PARAMETER})=)[^\s&;#'\"<>]+"), rf"\1{REDACTED}"),
    # HF_TOKEN=..., --password=..., "token": "..."
    (re.compile(rf"(?i)(\b[\w-]{{0,60}}{_NAME}=['\"]?)[^\s&;,'\"]+"), rf"\1{REDACTED}"),
    (re.compile(rf"(?i)((['\"])[\w-]{{0,60}}{_NAME}\2\s*:\s*(['\"]))(?:(?!\3)[^\r\n])+"), rf"\1{REDACTED}"),
    # by their makers' own marks: Hugging Face, GitHub, GitLab, Slack, Weights & Biases, AWS, and JSON web tokens
    (
        re.compile(
            r"(?:(?:hf|api_org)_[A-Za-z0-9]{16,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}"
            r"|glpat-[\w-]{20,}|xox[abeoprs]-[\w-]{10,}|wandb_v\d_\w{20,}|(?:AKIA|ASIA)[A-Z0-9]{16}"
            r"|eyJ[\w-]{8,400}\.eyJ[\w-]{8,}\.[\w-]*)"
        ),
        REDACTED,
    ),
)


#: Without any of these in a text no look can fit: most texts of a result are done with after this one.
_SUSPICIOUS = re.compile(r"[=:,]|(?i:bearer)|hf_|api_org_|gh[pousr]_|github_pat_|glpat-|xox|wandb_v|AKIA|ASIA|eyJ")


def redact(text: str) -> str:
    """Return a text with `***` in place of every secret in it.

    A secret is what looks like one (a token by its maker's mark, an Authorization header, the user and the signature in
    an address, a value that is called a password) and the value of any environment variable that is named like one,
    such as HF_TOKEN, AWS_SECRET_ACCESS_KEY or WANDB_API_KEY, however it is spelt in an address.
    """
    return _without(_known_secrets(), text)


def redacted(value: Any) -> Any:
    """Return plain JSON values with every text in them redacted, and what stands under a secret's name left out."""
    return _deeply(_known_secrets(), value)


def _without(known: re.Pattern[str] | None, text: str) -> str:
    if known is not None:
        text = known.sub(REDACTED, text)
    if _SUSPICIOUS.search(text):
        for pattern, kept in _LOOKS:
            text = pattern.sub(kept, text)
    return text


def _deeply(known: re.Pattern[str] | None, value: Any) -> Any:
    if isinstance(value, str):
        return _without(known, value)
    if isinstance(value, Mapping):
        return {
            _without(known, name): REDACTED
            if isinstance(inner, str) and _is_secret_name(name)
            else _deeply(known, inner)
            for name, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_deeply(known, inner) for inner in value]
    return value


def _known_secrets() -> re.Pattern[str] | None:
    """Return what finds the values of this process's secret variables; None where it has none."""
    named = {value for name, value in os.environ.items() if _is_secret_variable(name) and len(value) >= SHORTEST_SECRET}
    return _any_of(frozenset(named)) if named else None


@functools.cache
def _is_secret_variable(name: str) -> bool:
    return _SECRET_VARIABLE.match(name) is not None


@functools.lru_cache(maxsize=1024)
def _is_secret_name(name: str) -> bool:
    return _SECRET_NAME.match(name) is not None


@functools.lru_cache(maxsize=8)
def _any_of(values: frozenset[str]) -> re.Pattern[str]:
    spellings = values | {quote(value, safe="") for value in values} | {quote(value) for value in values}
    return re.compile("|".join(re.escape(text) for text in sorted(spellings, key=lambda text: (-len(text), text))))
