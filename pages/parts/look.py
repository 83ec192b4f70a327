"""One identity: the palette, the marks that stand beside each colour, and small pieces that every page draws."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import streamlit as st

from dialogue.context import DialogueError
from pages.parts import state, text

ASSETS = Path(__file__).parent.parent / "assets"

MARKS = {"negative": "▼", "neutral": "●", "positive": "▲"}
"""Sentiment is told by shape as well as by colour."""
COLOURS = {"negative": "red", "neutral": "gray", "positive": "green"}
INTENT_ICONS = {
    "question": ":material/help:",
    "complaint": ":material/report:",
    "praise": ":material/favorite:",
    "idea": ":material/lightbulb:",
    "other": ":material/more_horiz:",
}


def dark() -> bool:
    """Whether this reader sees the dark theme."""
    return bool(st.context.theme.type == "dark")


def accent() -> str:
    """The accent, legible on the reader's background."""
    return "#8593F7" if dark() else "#3B4CCA"


def ink() -> str:
    """The colour of words in a chart."""
    return "#E6E9F0" if dark() else "#1E2433"


def quiet() -> str:
    """The colour of what a chart only hints at."""
    return "#8B95A7" if dark() else "#7A8699"


def sentiment_colours() -> dict[str, str]:
    """Fill colours of charts, legible on the reader's background."""
    if dark():
        return {"negative": "#E2703A", "neutral": "#566275", "positive": "#2BA396"}
    return {"negative": "#C2410C", "neutral": "#CBD5E1", "positive": "#0F766E"}


def layout() -> None:
    """The static style sheet: widths and gaps only."""
    st.html(ASSETS / "layout.css")


def mood(sentiment: str | None) -> str:
    """Markdown: the coloured mark and the word."""
    return f":{COLOURS[sentiment]}[{MARKS[sentiment]} {sentiment}]" if sentiment in MARKS else ""


def legend() -> str:
    """Markdown of the three moods, for a chart."""
    return " &nbsp; ".join(f":{COLOURS[name]}[{mark}] :gray[{name}]" for name, mark in MARKS.items())


def badge(words: str, colour: str, icon: str = "") -> str:
    """Markdown of a badge with hostile words made harmless."""
    return f":{colour}-badge[{icon + ' ' if icon else ''}{text.plain(words, 120)}]"


def small(words: str) -> str:
    """Markdown of small, quiet words."""
    return f":small[:gray[{text.plain(words, 200)}]]" if words else ""


def grey(words: str) -> str:
    """Markdown of quiet words, hostile ones made harmless."""
    return f":gray[{text.plain(words, 200)}]" if words else ""


def heading(title: str, below: str = "") -> None:
    """A page's title, and the sentence below it."""
    st.markdown(f"# {text.plain(title, 200)}", anchors=False)
    if below:
        st.caption(text.plain(below, 400))


def nothing(words: str, icon: str = ":material/inbox:") -> None:
    """An empty place with the sentence that says what to do."""
    with st.container(border=True, horizontal_alignment="center", key=f"nothing-{abs(hash(words))}"):
        st.markdown(f"{icon} {words}", text_alignment="center")


def quote(words: str, limit: int = 2_000, key: str | None = None) -> None:
    """Somebody's words, exactly, line breaks kept. Never parsed as anything."""
    cleaned = text.tidy(words)
    if len(cleaned) <= limit or key is None:
        st.text(text.shorten(cleaned, limit))
        return
    whole = st.toggle(f"Show all {len(cleaned):,} characters", key=f"whole_{key}")
    st.text(cleaned if whole else text.shorten(cleaned, limit))


def attribution(words: str, url: str | None) -> None:
    """By whom the words above are and under which licence, with the link to them; nothing where none is asked for."""
    target = text.link_target(url or "")
    if words:
        st.caption(f"[{text.plain(words, 200)}]({target})" if target else text.plain(words, 200))


def sample_banner(shown: bool) -> None:
    """Says that what is on this page was made up."""
    if shown:
        st.markdown(
            ":gray-badge[:material/science: Sample data] :small[:gray[Made-up people and posts; nothing is sent.]]"
        )


def problem(words: str, pointer: str = "") -> None:
    """What is wrong with a query, and below it the query with a caret under the place."""
    st.error(text.plain_lines(words), icon=":material/search_off:")
    if pointer:
        st.code(text.tidy(pointer), language=None)


@contextmanager
def telling_errors() -> Iterator[None]:
    """Shows what cannot be done in words, here."""
    try:
        yield
    except DialogueError as error:
        st.error(text.plain_lines(str(error), 1_000), icon=":material/error:")


@contextmanager
def telling_errors_later() -> Iterator[None]:
    """For callbacks, where nothing can be drawn: the error is told on the rerun that follows."""
    try:
        yield
    except DialogueError as error:
        state.tell_error(str(error))
