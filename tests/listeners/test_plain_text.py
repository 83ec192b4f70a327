"""HTML into text: what a reader sees, nothing of the markup, and no input that takes long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listeners.plain_text import from_html, one_line, tags


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("plain", "plain"),
        ("<p>One</p><p>Two</p>", "One\n\nTwo"),
        ("One<br>two<br/>three<br></br>four", "One\ntwo\nthree\nfour"),
        ("<ul><li>a</li><li>b</li></ul>c", "a\nb\n\nc"),
        ("Tom &amp; Ann &lt;3 &#x2F; &eacute;&nbsp;!", "Tom & Ann <3 / é !"),
        ("a<script>alert('<b>')</script>b<style>p{}</style>c<!-- <p> -->d", "abcd"),
        ("<title>No</title><TITLE>No</TITLE>yes", "yes"),
        ("<a href=\"x>y\" title='1>0'>link</a>", "link"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("I <3 it, 5<6", "I <3 it, 5<6"),
        ("cut <a href=", "cut <a href="),
        ("<p>cut <b", "cut <b"),
        ("&lt;b&gt;shown&lt;/b&gt;", "<b>shown</b>"),
        ("<![CDATA[gone]]>stays", "stays"),
        ("<?php gone ?>stays", "stays"),
        ("  many \n\t spaces  ", "many spaces"),
        ("nul\x00 and \ud800 and \x1b[31m", "nul and  and [31m".replace("  ", " ")),
        ("", ""),
        (f"&#{'9' * 5_000};x", "x"),
        ("<script>never closed <p>gone", ""),
    ],
)
def test_html_becomes_what_a_reader_sees(html: str, text: str) -> None:
    assert from_html(html) == text


HOSTILE = ["<", "<!--", "<!", "</", "<a ", "<a b='", '<a b="c', "<a b='>", "&", "&#", "&#9", "<?", "<script>",
           "</script", "<a>", "<title>", "<![CDATA[", " ", "\n", "<p>", "<p >\n ", "<a b=c ", "x=", "<a x"]  # fmt: skip


@pytest.mark.timeout(20)
@pytest.mark.parametrize("part", HOSTILE)
def test_no_markup_takes_long(part: str) -> None:
    """Any of these took html.parser or a careless expression minutes at this length: the test would time out."""
    for end in ("", ">"):
        html = part * (400_000 // len(part)) + end
        assert len(from_html(html)) <= 100_000
        assert len(list(tags(html, "a"))) <= 400_000


@given(st.lists(st.sampled_from([*HOSTILE, "word", ">", "'", '"', "-->", "</script>", "é"]), max_size=30).map("".join))
def test_any_markup_gives_clean_text(html: str) -> None:
    text = from_html(html)
    assert text == text.strip()
    assert "\x00" not in text
    assert "\n\n\n" not in text


def test_attributes_are_read() -> None:
    html = '<LINK Rel=alternate TYPE="a/b" href=\'/x?a=1&amp;b=2\'><link><linked rel="no"></link rel="no">'
    assert list(tags(html, "link")) == [{"rel": "alternate", "type": "a/b", "href": "/x?a=1&b=2"}, {}]


def test_one_line() -> None:
    assert one_line(" a\n b\x00 ") == "a b"
    assert one_line("x" * 500, 10) == "x" * 9 + "…"
