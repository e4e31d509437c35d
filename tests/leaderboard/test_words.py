"""Strangers' words: on one line, without hidden letters, linked only where that is safe, in file names by hash."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitozoo.leaderboard.words import MOST_CHARACTERS, file_name, link, plain


@given(st.text(max_size=MOST_CHARACTERS))
def test_nothing_hidden_is_left(text):
    said = plain(text, "name")
    assert not re.search("[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]", said)
    assert len(said) <= len(text)


@pytest.mark.parametrize("text", ["virchow2", "UNI 2-h", "Straße", "模型", "<b>&amp;</b>"])
def test_what_can_be_seen_stays(text):
    assert plain(text, "name") == text


def test_what_turns_letters_around_is_gone():
    assert plain("good\u202eresult", "name") == "good result"
    assert plain(None, "name") == ""


@pytest.mark.parametrize("value", [7, ["x"], {"x": 1}, True, "x" * (MOST_CHARACTERS + 1)])
def test_what_is_no_short_text_is_refused(value):
    with pytest.raises(ValueError, match="name is"):
        plain(value, "name")


@pytest.mark.parametrize("text", ["https://doi.org/10.1007/978-3-658-47422-5_25", "https://arxiv.org/abs/1905.11946"])
def test_references_are_linked(text):
    assert link(text) == text


@pytest.mark.parametrize("text", [
    "javascript:alert(1)", "http://example.org", "data:text/html,x", "//example.org", "https://a b", 'https://a/"onclick=',
    "https://a/<script>", "HTTPS://user:pw@a", "https://user@a", "https://a\n.org", "file:///etc/passwd", "",
])  # fmt: skip
def test_other_addresses_are_not(text):
    assert link(text) == ""


@given(st.text(), st.text())
def test_file_names_hold_nothing_of_a_stranger_s_but_letters(words, key):
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,47}-[0-9a-f]{16}\.html", file_name(words, key))


def test_keys_and_not_words_tell_files_apart():
    assert file_name("a/b", "1") != file_name("a/b", "2")
    assert file_name("../../etc/passwd", "1").startswith("etc-passwd-")
