from __future__ import annotations

import re
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


ODD = pytest.mark.parametrize("part", ["a", "@", "@a", "u/", "www.", "&", "\\u", "&#", " ", "@a."])


def _effort(text: str) -> float:
    """Processor seconds of this thread alone, the least of several tries: whatever else the machine does."""
    tries = []
    for _ in range(40):
        began = time.thread_time()
        mask(clean(text))
        tries.append(time.thread_time() - began)
    return min(tries)


def _of_length(part: str, length: int) -> str:
    return (part * length)[:length]


@ODD
def test_the_work_grows_with_the_length_and_no_faster(part: str) -> None:
    """Four times the length: 4 where each character costs the same, 16 where each is held against all others."""
    quarter, whole = MAX_CHARACTERS // 4, MAX_CHARACTERS
    assert _effort(_of_length(part, whole)) < 8 * _effort(_of_length(part, quarter))


@ODD
def test_what_is_not_read_costs_nothing(part: str) -> None:
    read, whole = _of_length(part, 2 * MAX_CHARACTERS), _of_length(part, 100_000)
    assert len(mask(clean(whole))) <= 4 * MAX_CHARACTERS
    assert _effort(whole) < 3 * _effort(read)


def test_an_expression_that_looks_back_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.text._USER", re.compile(r"\w+@there"))
    quarter, whole = MAX_CHARACTERS // 4, MAX_CHARACTERS
    assert _effort("a" * whole) > 8 * _effort("a" * quarter)


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
