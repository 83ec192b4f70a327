"""What is a copy of what; that keys lead to it; that any text is signed in bounded time."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import duplicates
from analysis.duplicates import is_copy, signature, wording

SAID = (
    "The hinge of my new door squeaks every single morning and nobody at the shop in town answers the phone, so I "
    "took it off with a spoon"
)


@pytest.mark.parametrize(
    "copy",
    [
        f"RT @carpenter: {SAID}",
        f"{SAID} https://forum.example/1?utm=x",
        f"{SAID.upper()} 😡😡 via @carpenter",
        f"@shop @carpenter {SAID}!!!",
        SAID.replace(" ", "  ").replace(",", " –"),
        "&quot;" + SAID + "&quot;",
    ],
)
def test_how_it_is_passed_on_makes_no_other_wording(copy: str) -> None:
    assert wording(copy) == wording(SAID)
    assert signature(copy) == signature(SAID)


@pytest.mark.parametrize(
    "copy",
    [
        SAID.replace("town", "the town"),
        SAID.replace("squeaks", "creaks"),
        f"{SAID} #hinge #fail",
        SAID[:90] + "…",
        SAID[:90] + "... https://forum.example/1",
        f"RT @carpenter: {SAID[:97]}…",
    ],
)
def test_what_was_changed_a_little_or_cut_off_is_a_copy_and_is_found(copy: str) -> None:
    assert is_copy(copy, SAID)
    assert is_copy(SAID, copy)
    one, other = signature(copy), signature(SAID)
    assert one is not None and other is not None
    assert one.digest != other.digest
    assert set(one.keys) & set(other.keys)


@pytest.mark.parametrize(
    "other",
    [
        SAID.replace("hinge", "lock").replace("door", "window").replace("morning", "evening").replace("spoon", "knife"),
        f"{SAID}. I have written four mails since, and the answer to each was that somebody would call me back soon",
        "The hinge of my new door squeaks every single morning",
        "",
    ],
)
def test_what_has_words_of_its_own_is_no_copy(other: str) -> None:
    assert not is_copy(other, SAID)
    assert not is_copy(SAID, other)


@pytest.mark.parametrize(
    "short",
    [
        "",
        "thanks!",
        "great",
        "👍",
        "I'm not crying, you're crying",
        "that's gonna be a no from me dawg",
        "https://a.example",
    ],
)
def test_what_anybody_may_say_is_no_copy_of_what_another_says(short: str) -> None:
    assert signature(short) is None


def test_writing_without_blanks_is_signed_by_its_characters() -> None:
    said = "我的新门铰链每天早上都吱吱作响店里没有人接电话我用勺子把它拆了下来"
    assert signature(said) is not None
    assert is_copy(said, said.replace("勺子", "匙子"))
    assert signature("我很喜欢你们的新产品") is None


def test_negation_in_a_short_text_is_told_from_a_copy() -> None:
    said = "The new version works on my phone and the map loads fast again"
    assert not is_copy(said, said.replace("works", "does not work"))


def test_keys_are_the_same_in_every_version() -> None:
    """They are stored: what changes how they are made must be a migration."""
    signed = signature(SAID)
    assert signed is not None
    assert signed.digest.startswith("45f167e991a65b4d")
    assert signed.keys == (
        5524571895072316436,
        6048204905857605378,
        -5946231988285966950,
        6096852603907552955,
        6642770701419906574,
        -8497737937684824281,
        7130773957413403323,
    )


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=300), st.text(max_size=300))
def test_any_text_is_signed_and_copying_has_no_direction(one: str, other: str) -> None:
    for text in (one, other):
        signed = signature(text)
        if signed is not None:
            assert len(signed.keys) == 7
            assert all(-(2**63) <= key < 2**63 for key in signed.keys)
            assert is_copy(text, text)
    assert is_copy(one, other) == is_copy(other, one)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(SAID.split()), min_size=14, max_size=60), st.data())
def test_one_word_more_among_fourteen_makes_no_other_text_and_the_copy_is_found_by_its_keys(
    words: list[str], data: st.DataObject
) -> None:
    changed = list(words)
    changed.insert(data.draw(st.integers(0, len(words))), "also")
    assert is_copy(" ".join(words), " ".join(changed))


@pytest.mark.parametrize(
    "unit", ["a", "squeak ", "RT @a ", "http://x.y ", "\u200b", "é\u0301", "字", "\ud800", "#a ", "…", "&amp;"]
)
def test_a_hundred_thousand_characters_take_no_longer_than_a_few_thousand(unit: str) -> None:
    long = unit * (100_000 // len(unit))
    start = time.process_time()
    signature(long)
    is_copy(long, long + "…")
    assert time.process_time() - start < 1.0


def test_the_library_is_loaded_when_first_needed_only() -> None:
    import subprocess
    import sys

    code = "import sys, analysis.duplicates as d; d.signature('a b c ' * 9); assert 'rapidfuzz' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert duplicates.ALIKE > 0.9
