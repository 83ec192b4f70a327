"""Markdown becomes what a reader wants: its author's own words."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listeners.markdown import MAX_CODE_LINES, to_text


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("It **hisses**, ~~boils~~ drips: [photo](https://example.com/a.png)", "It hisses, boils drips: photo"),
        ("### What?\r\n\r\nIt leaks.\r\n\r\n### Version\r\n\r\n_No response_", "What?\n\nIt leaks.\n\nVersion"),
        ("<!-- Please search first -->\nIt leaks.<!-- end", "It leaks."),
        ("> Have you tried descaling?\n\nYes, twice.", "Yes, twice."),
        ("> Have you tried descaling?", "Have you tried descaling?"),
        ("Call `List<String>` or `**kwargs` & more", "Call `List<String>` or `**kwargs` & more"),
        (
            "<details><summary>Log</summary>\n\n```\nboom <b>\n> no quote\n```\n</details>",
            "Log\n\nboom <b>\n> no quote",
        ),
        ("Look: ![Screenshot](https://example.com/x.png)\n<img width=\"5\" src=\"x\">", "Look: [image]\n[image]"),
        ("- [x] descaled\n- [ ] filter\n* lid", "- descaled\n- filter\n* lid"),
        ("| part | state |\n| --- | --- |\n| lid | loose |", "| part | state |\n\n| lid | loose |"),
        ("Thanks!\n\nOn Mon, 2 Nov, jane wrote:\n> It leaks.\n\n—\nReply to this email directly or …", "Thanks!"),
        ("5 &lt; 6 &amp;&nbsp;so on\n\n---\n\nend", "5 < 6 & so on\n\nend"),
        ("snake_case and __init__ stay? yes: a__b", "snake_case and init stay? yes: a__b"),
        ("", ""),
    ],
)  # fmt: skip
def test_marks_go_and_words_stay(markdown: str, text: str) -> None:
    assert to_text(markdown) == text


def test_a_long_log_is_shortened() -> None:
    log = "\n".join(f"line {number}" for number in range(1_000))
    text = to_text(f"It crashed:\n```\n{log}\n```\nHelp!")
    assert text.startswith("It crashed:\nline 0\n")
    assert f"line {MAX_CODE_LINES - 1}\n…\nHelp!" in text
    assert f"line {MAX_CODE_LINES}\n" not in text


@given(st.text(alphabet="`~>#*_-[]()!<>| \n\tab&;\\\"'/\x00\ud800", max_size=300))
def test_nothing_stops_it(markdown: str) -> None:
    text = to_text(markdown)
    assert text == text.strip()
    assert "\x00" not in text
    assert "\n\n\n" not in text


@pytest.mark.parametrize(
    "unit",
    ["`", "```\n", "<!--", "[a](", "![", "<a ", "> ", "*", "__", "|--", "- [x] ", "On x wrote:", "\n", "~~~\n```\n"],
)
def test_hostile_markdown_takes_no_time(unit: str) -> None:
    started = time.process_time()
    to_text(unit * (100_000 // len(unit)))
    assert time.process_time() - started < 5
