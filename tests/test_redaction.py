"""No secret that is known by its name or its looks survives, and nothing else is touched."""

from __future__ import annotations

import json
import os
import string
import time
from contextlib import contextmanager
from unittest.mock import patch
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mitozoo.redaction import REDACTED, redact, redacted

LETTERS = string.ascii_letters + string.digits
PRINTABLE = "".join(sorted(set(string.printable) - set("*\x0b\x0c")))
VARIABLES = (
    "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "WANDB_API_KEY", "GITHUB_TOKEN",
    "MLFLOW_TRACKING_PASSWORD", "AZURE_STORAGE_KEY", "AZURE_STORAGE_CONNECTION_STRING", "some_Private_Key", "TOKEN",
)  # fmt: skip

unhurried = settings(deadline=None)  # a busy machine is no fault

letters = st.text(LETTERS, min_size=34, max_size=40)
around = st.text(PRINTABLE, max_size=30)


def marked(start: str, alphabet: str = LETTERS, size: int = 36) -> st.SearchStrategy[str]:
    return st.text(alphabet, min_size=size, max_size=size).map(start.__add__)


tokens = st.one_of(
    marked("hf_"), marked("api_org_"), marked("ghp_"), marked("github_pat_"), marked("glpat-"), marked("xoxb-"),
    marked("wandb_v1_"), marked("AKIA", string.ascii_uppercase + string.digits, 16),
    st.tuples(marked("eyJ"), marked("eyJ"), letters).map(".".join),
)  # fmt: skip


@contextmanager
def environment(**variables: str):
    with patch.dict(os.environ, variables):
        yield


@unhurried
@given(around, tokens, around)
def test_a_token_is_known_by_its_makers_mark(before, token, after):
    assert token not in redact(before + token + after)


@unhurried
@given(around, st.sampled_from(VARIABLES), st.text(PRINTABLE, min_size=8, max_size=60), around)
def test_the_value_of_a_secret_variable_is_known_wherever_it_stands(before, variable, value, after):
    with environment(**{variable: value}):
        for spelt in {value, quote(value), quote(value, safe="")}:
            assert spelt not in redact(before + spelt + after)
        assert value not in json.dumps(redacted({"deep": [{"text": before + value + after}], value: 1}))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HF_HOME", "/somewhere/else"),
        ("TOKENIZERS_PARALLELISM", "falsefalse"),
        ("HF_TOKEN", "true"),
        ("PATH", "/usr/bin"),
    ],
)
def test_other_variables_and_short_values_are_no_secrets(variable, value):
    with environment(**{variable: value}):
        assert redact(f"it says {value} here") == f"it says {value} here"


HEADERS = {
    "Authorization: Bearer {}": "Authorization: ***", "authorization: {}": "authorization: ***",
    "Proxy-Authorization: Basic {}": "Proxy-Authorization: ***",
    "'Authorization': 'token {}'": "'Authorization': '***'",
    '"authorization": "Bearer {}", "n": 1': '"authorization": "***", "n": 1',
    "(b'Authorization', b'Bearer {}')": "(b'Authorization', b'***')", "X-Api-Key: {}": "X-Api-Key: ***",
    "Cookie: session={}; a=b": "Cookie: ***", "set-cookie: {}": "set-cookie: ***",
    "'x-amz-security-token': '{}'": "'x-amz-security-token': '***'", "got Bearer {} from": "got Bearer *** from",
    'Authorization: Digest username="me", response="{}"': "Authorization: ***",
}  # fmt: skip


@unhurried
@given(st.sampled_from(list(HEADERS)), letters)
def test_a_header_that_authorises_keeps_its_name_alone(header, secret):
    text = header.format(secret)
    assert redact(f"first line\n{text}\nlast line") == f"first line\n{HEADERS[header]}\nlast line"


ADDRESSES = [
    "https:/me:{}@example.org/a", "me:{}@example.org/a",
    "https://{}@example.org/a", "https://me:{}@example.org/a?b=1", "s3://key:{}@bucket/x",
    "https://example.org/w?X-Amz-Algorithm=AWS4&X-Amz-Credential={}&X-Amz-Date=1", "https://example.org/?X-Amz-Signature={}",
    "https://example.org/w?Expires=1&Signature={}&Key-Pair-Id=2", "https://example.org/?Policy={}", "https://x.org/b?sig={}&se=2",
    "https://example.org/cb#access_token={}", "https://example.org/?token={}", "https://example.org/?x-goog-signature={}",
]  # fmt: skip


@unhurried
@given(st.sampled_from(ADDRESSES), letters)
def test_an_address_keeps_its_host_and_path(address, secret):
    found = redact(f"GET {address.format(secret)} failed: 403")
    assert secret not in found
    assert found.startswith("GET ")
    assert found.endswith(" failed: 403")
    assert ("bucket" if "bucket" in address else ".org") in found


@pytest.mark.parametrize(
    "text",
    ["HF_TOKEN={}", "--password={}", "api_key='{}'", "{{'token': '{}', 'n': 1}}", '{{"aws_secret_access_key": "{}"}}'],
)
def test_what_is_called_a_password_is_one(text):
    assert "hunter2" not in redact(text.format("hunter2hunter2"))


@pytest.mark.parametrize(
    "text",
    [
        "steady on tiny, linear-probe@1: AUROC 0.912 [0.881, 0.940]",
        "kept in runs/uni-ami-br-linear-probe-0123456789ab; check it with: mitozoo verify runs/uni",
        "https://huggingface.co/owkin/phikon/resolve/main/model.safetensors?download=true",
        "https://doi.org/10.1101/2023.07.21.23292757, see hf_hub_download and hf_transfer",
        "prefix_tokens=5, threshold=0.5, fraction_of=cells, seed: 0",
        "model 'uni' is gated; a token for it, or authorization, is asked for at https://hf.co/settings",
        "the basic information of a bearer of news",
        "mailto:somebody@example.org", "hf:org/repo@main, protocol:linear-probe@1", "AKIA is too short",
        "a@b.org wrote to c@d.org",
        "ab" * 32, "no line of { 'this': \"is\" } = secret",
    ],
)  # fmt: skip
def test_what_is_no_secret_stays(text):
    assert redact(text) == text


@unhurried
@given(st.text(PRINTABLE + "*é\u2028"))
def test_a_text_of_anything_is_redacted_once_for_all(text):
    assert redact(redact(text)) == redact(text)


PIECES = [
    "token=",
    "'",
    '"',
    ": ",
    "cookie",
    "authorization",
    "=",
    "https://",
    "@",
    "?sig=",
    "&",
    "\n",
    "bearer ",
    "a" * 16,
]


@unhurried
@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_pieces_of_secrets_are_redacted_once_for_all(text):
    assert redact(redact(text)) == redact(text)


def test_a_secret_name_hides_its_value_and_shapes_stay():
    value = {"token": "abc", "n": [1, 2.5, None, True], "Authorization": "x", "tokens": "kept", "token_count": 3}
    assert redacted(value) == value | {"token": REDACTED, "Authorization": REDACTED}
    assert redacted(("a", {"password": 7})) == ["a", {"password": 7}]


@pytest.mark.parametrize(
    "piece", ["ab_token-", "?token", "a://", "cookie='", "cookie: '\n", "'token':'", "eyJ", "-", "'"]
)
def test_no_text_takes_long(piece):
    text = (piece * 200_000)[:200_000]
    began = time.process_time()
    redact(text)
    assert time.process_time() - began < 2
