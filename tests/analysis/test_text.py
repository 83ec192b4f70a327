from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.text import MAX_CHARACTERS, clean, mask, spell_emoji

ANYTHING = st.text(alphabet=st.characters(codec=None, exclude_categories=()))


@given(ANYTHING)
def test_clean_text_can_be_stored_and_is_one_line(text: str) -> None:
    cleaned = clean(text)
    cleaned.encode("utf-8")
    assert "\0" not in cleaned
    assert cleaned.splitlines() in ([], [cleaned])
    assert cleaned == cleaned.strip()


@given(ANYTHING)
def test_masking_leaves_no_link(text: str) -> None:
    assert "https://example.com" not in mask(clean(text + " https://example.com/x"))


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("@anna thanks", "@user thanks"),
        ("thanks (@anna_b).", "thanks (@user)."),
        (".@anna look", ".@user look"),
        ("ask @anna@mastodon.example now", "ask @user now"),
        ("ask @anna.bsky.social now", "ask @user now"),
        ("as u/some_one said", "as @user said"),
        ("mail anna@example.com", "mail anna@example.com"),
        ("see https://example.com/a?b=@c today", "see http today"),
        ("see www.example.com", "see http"),
        ("2 @ 5 pounds", "2 @ 5 pounds"),
        ("already @user and http", "already @user and http"),
    ],
)
def test_names_and_links_become_the_masks_of_the_training_data(text: str, seen: str) -> None:
    assert mask(text) == seen


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("Fish &amp; chips &lt;3", "Fish & chips <3"),
        (r"Don\u2019t", "Don’t"),
        (r"\ud83d\ude00 yes", "😀 yes"),
        (r"C:\users\anna", r"C:\users\anna"),
        ("a\0b\u202ec\ud800d", "a b c d"),
        ("two\n\n  lines\u2028three", "two lines three"),
        (" \t\r\n\u00a0\u200b", ""),
        ("👩\u200d🔧 שלום", "👩\u200d🔧 שלום"),
    ],
)
def test_what_exports_leave_behind_is_read_as_what_it_stands_for(text: str, read: str) -> None:
    assert clean(text) == read


@pytest.mark.parametrize(
    "text",
    ["a" * 100_000, "@" * 100_000, "@a" * 50_000, "u/" * 50_000, "www." * 25_000, "&" * 100_000, "\\u" * 50_000,
     "&#" * 50_000, " " * 100_000, "@a." * 33_000],
    ids=lambda text: repr(text[:6]),
)  # fmt: skip
def test_length_costs_nothing(text: str) -> None:
    began = time.process_time()
    assert len(mask(clean(text))) <= 4 * MAX_CHARACTERS
    assert time.process_time() - began < 0.25


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("late again 😡😡😡", "late again pouting face"),
        ("👍🏽", "thumbs up"),
        ("love it ❤\ufe0f!", "love it heavy black heart !"),
        ("plain", "plain"),
        ("1 → 2 ™ é", "1 → 2 ™ é"),
    ],
)
def test_emoji_are_spelled_for_a_vocabulary_without_them(text: str, spelled: str) -> None:
    assert spell_emoji(text) == spelled
