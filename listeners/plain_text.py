"""HTML as platforms send it, made into the text that a reader sees. Nothing of the markup survives."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from listeners.base import MAX_TEXT, clean

_PARAGRAPHS = frozenset(
    ("p", "div", "blockquote", "ul", "ol", "table", "pre", "h1", "h2", "h3", "h4", "h5", "h6")
    + ("article", "section", "header", "footer")
)
_LINES = frozenset(("br", "li", "tr", "hr", "dt", "dd"))
_UNSEEN = frozenset(("script", "style", "head", "title", "template", "noscript", "iframe", "object"))
MAX_HTML = 4 * MAX_TEXT
"""Characters of HTML that are looked at."""


def from_html(html: str) -> str:
    """The visible text: paragraphs apart by a blank line, list items by a line, at most MAX_TEXT characters."""
    reader = _Reader()
    reader.feed(html[:MAX_HTML])
    reader.close()
    text = clean("".join(reader.parts)).replace("\xa0", " ")
    text = re.sub(r"[ \t]+", " ", text)
    text = re.sub(r" ?\n ?", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()[:MAX_TEXT]


def one_line(text: str, length: int = 300) -> str:
    """The text on one line of at most `length` characters, cut with an ellipsis."""
    line = " ".join(clean(text).split())
    return line if len(line) <= length else line[: length - 1] + "…"


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._unseen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _UNSEEN:
            self._unseen.append(tag)
        self._break(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._break(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._unseen:
            del self._unseen[self._unseen.index(tag) :]
        if tag in _PARAGRAPHS:
            self._break(tag)

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.parts.append(re.sub(r"\s+", " ", data))

    def _break(self, tag: str) -> None:
        if tag in _PARAGRAPHS:
            self.parts.append("\n\n")
        elif tag in _LINES:
            self.parts.append("\n")
