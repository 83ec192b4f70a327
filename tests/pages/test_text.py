"""Hostile text on a page shows as the characters that somebody typed, and as nothing else."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pages.parts import text

MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])

# What Streamlit's page looks for in a text after Markdown was parsed.
REPLACED_LATER = [
    re.compile(r":[\w+-][\w_+-]*:"),  # emoji codes
    re.compile(r":material[/_]\w+:"),
    re.compile(r":streamlit:"),
    re.compile(r"(?:https?://|www(?=\.))[-.\w]+", re.IGNORECASE),  # bare addresses
    re.compile(r"[-.\w+]+@[-\w]+(?:\.[-\w]+)+"),  # bare mail addresses
    re.compile(r"(?:^|\s)(?:<->|->|<-|--|>=|<=|~=)(?:\s|$)"),  # arrows and signs
]
HOSTILE = st.lists(
    st.one_of(
        st.text(max_size=20),
        st.sampled_from(
            [
                "![x](http://x/y.png)",
                "[a](javascript:alert(1))",
                "<script>",
                "<img src=x onerror=y>",
                ":smile:",
                "$x^2$",
                ":material/delete:",
                ":red[x]",
                ":violet-badge[x]",
                "# head",
                "- item",
                "1. one",
                "> quote",
                "```",
                "    code",
                "www.example.com",
                "https://example.com/a_b",
                "a@example.com",
                " -- ",
                " -> ",
                "***",
                "___",
                "\\",
                "|a|b|",
                "~~s~~",
                "&lt;",
                "&#58;smile&#58;",
                "[^1]",
                ":streamlit:",
                "\n\n",
                "\r\n",
                "\u2028",
                "\x00",
                "\ud800",
                "👩‍🚀",
            ]
        ),
    ),
    max_size=12,
).map("".join)


def visible(words: str) -> str:
    """Without what has no width: word joiners and marks that turn the writing direction."""
    return re.sub("[\u2060\u202a-\u202e\u2066-\u2069]", "", words)


def rendered(markdown: str) -> tuple[set[str], str]:
    """The kinds of tokens that Markdown sees, and the text that a reader sees."""
    kinds, seen = set(), []
    for block in MARKDOWN.parse(markdown):
        kinds.add(block.type)
        for token in block.children or []:
            kinds.add(token.type)
            seen.append({"text": token.content, "text_special": token.content, "hardbreak": "\n"}.get(token.type, ""))
    return kinds, "".join(seen)


@given(HOSTILE)
@example("<b>x</b>")
@example("+ 1) 2. a")
def test_plain_shows_one_line_of_text_and_nothing_else(words: str) -> None:
    kinds, seen = rendered(text.plain(words))
    assert kinds <= {"paragraph_open", "inline", "paragraph_close", "text", "text_special"}
    expected = text.shorten(" ".join(text.tidy(words).split()), 300)
    assert visible(seen) == visible(expected)
    for pattern in REPLACED_LATER:
        assert not pattern.search(seen), pattern.pattern


@given(HOSTILE)
def test_plain_lines_keeps_line_breaks_and_parses_nothing(words: str) -> None:
    kinds, seen = rendered(text.plain_lines(words))
    assert kinds <= {"paragraph_open", "inline", "paragraph_close", "text", "text_special", "hardbreak"}
    lines = [" ".join(line.split()) for line in text.tidy(words).split("\n")]
    shown = [line.strip() for line in visible(seen).split("\n")]
    # Empty lines at either end say nothing; Markdown drops them.
    assert "\n".join(shown).strip() == visible("\n".join(lines)).strip()


@given(HOSTILE)
def test_a_badge_or_colour_cannot_be_left(words: str) -> None:
    inside = text.plain(words)
    assert not re.search(r"(?<!\\)(?:\\\\)*[\[\]]", inside)


@given(st.text())
def test_tidy_text_can_travel(words: str) -> None:
    text.tidy(words).encode("utf-8")
    assert "\x00" not in text.tidy(words)


@pytest.mark.parametrize("words", ["👩‍🚀 lift-off", "Grüße, Ægir", "日本語", "مرحبا"])
def test_other_scripts_and_emoji_stand_as_they_are(words: str) -> None:
    assert rendered(text.plain(words))[1].replace(text.JOINER, "") == words


def test_a_hundred_thousand_characters_are_bounded() -> None:
    assert len(text.plain("a_" * 50_000)) < 1_000
    assert text.plain("x" * 100_000).endswith("…")


NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (timedelta(seconds=5), "now"),
        (timedelta(minutes=12), "12 min"),
        (timedelta(hours=3), "3 h"),
        (timedelta(days=2), "2 d"),
        (timedelta(days=8), "14 Nov"),
        (timedelta(days=400), "18 Oct 2025"),
        (timedelta(seconds=-30), "now"),
    ],
)
def test_ago(age: timedelta, words: str) -> None:
    assert text.ago(NOW - age, NOW) == words


def test_when_is_part_of_a_sentence_in_every_month() -> None:
    now = datetime(2026, 7, 1, 12, tzinfo=UTC)
    ages = [timedelta(seconds=5), timedelta(minutes=12), timedelta(days=2), timedelta(days=17)]
    assert [text.when(now - age, now) for age in ages] == ["now", "12 min ago", "2 d ago", "on 14 Jun"]


def test_at_speaks_in_the_readers_zone() -> None:
    late = datetime(2026, 11, 21, 23, 30, tzinfo=UTC)
    assert text.at(late, NOW, UTC) == "yesterday 23:30"
    assert text.at(late, NOW, ZoneInfo("Asia/Tokyo")) == "today 08:30"
    assert text.at(NOW - timedelta(days=30), NOW, UTC) == "23 Oct 12:00"


def test_a_fall_has_an_ascii_minus() -> None:
    assert text.ascii_minus("\u22129 since last week") == "-9 since last week"
    assert text.ascii_minus("+4") == "+4"
    assert text.ascii_minus("") == ""


def test_an_unknown_zone_is_utc() -> None:
    assert text.zone("Mars/Olympus") is UTC
    assert text.zone(None) is UTC
    assert text.zone("../../etc/passwd") is UTC


def test_one_time_is_once() -> None:
    assert (text.times(1), text.times(2), text.times(1_200)) == ("once", "2 times", "1,200 times")


def test_names_stand_in_a_sentence() -> None:
    assert text.listed([]) == ""
    assert text.listed(["GitHub"], bold=True) == "**GitHub**"
    assert text.listed(["GitHub", "Hacker News", "X"]) == "GitHub, Hacker News and X"
