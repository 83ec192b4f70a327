"""HTML as platforms send it, made into the text that a reader sees. Nothing of the markup survives.

The tokeniser is our own because html.parser takes minutes for a few kilobytes of hostile markup; this one looks at each
character a bounded number of times, whatever comes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import unescape

from listeners.base import MAX_TEXT, clean

MAX_HTML = 4 * MAX_TEXT
"""Characters of HTML that are looked at."""
MAX_TAG = 2_000
"""Characters of a tag in which quoted values are respected; a longer one ends at the first >."""

_PARAGRAPHS = frozenset(
    ("p", "div", "blockquote", "ul", "ol", "table", "pre", "h1", "h2", "h3", "h4", "h5", "h6")
    + ("article", "section", "header", "footer")
)
_LINES = frozenset(("br", "li", "tr", "hr", "dt", "dd"))
_UNSEEN = frozenset(("script", "style", "title", "iframe", "noscript", "template", "textarea"))


def from_html(html: str, leave_out: Callable[[Tag], bool] | None = None) -> str:
    """The visible text: paragraphs apart by a blank line, list items by a line, at most MAX_TEXT characters.

    An element whose start tag `leave_out` is true for is passed over with all that is inside.
    """
    tokens = _tokens(html[:MAX_HTML])
    parts: list[str] = []
    for token in _outside(tokens, leave_out) if leave_out else tokens:
        if isinstance(token, str):
            parts.append(re.sub(r"\s+", " ", _unescaped(token)))
        elif token.name in _PARAGRAPHS:
            parts.append("\n\n")
        elif token.name in _LINES and not token.closes:
            parts.append("\n")
    text = clean("".join(parts)).replace("\xa0", " ")
    text = re.sub(r"[ \t]++", " ", text)
    text = re.sub(r" ?\n ?", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()[:MAX_TEXT]


def _outside(tokens: Iterator[str | Tag], leave_out: Callable[[Tag], bool]) -> Iterator[str | Tag]:
    """The tokens without the elements that are left out."""
    inside, depth = "", 0
    for token in tokens:
        if depth:
            if isinstance(token, Tag) and token.name == inside:
                depth += -1 if token.closes else 1
        elif isinstance(token, Tag) and not token.closes and leave_out(token):
            inside, depth = token.name, 1
        else:
            yield token


def tags(html: str, name: str) -> Iterator[dict[str, str]]:
    """The attributes of each start tag called `name`, by lower-case name."""
    for token in _tokens(html):
        if isinstance(token, Tag) and token.name == name and not token.closes:
            yield token.attributes()


def one_line(text: str, length: int = 300) -> str:
    """The text on one line of at most `length` characters, cut with an ellipsis."""
    line = " ".join(clean(text).split())
    return line if len(line) <= length else line[: length - 1] + "…"


@dataclass(frozen=True, slots=True)
class Tag:
    """A start or an end tag; `inside` is what stands after its name."""

    name: str
    inside: str
    closes: bool

    def attributes(self) -> dict[str, str]:
        found = _ATTRIBUTE.finditer(self.inside[:MAX_TAG])
        return {match[1].lower(): _unescaped(match[2] or match[3] or match[4] or "") for match in found}


_ATTRIBUTE = re.compile(r"""(?<![\w-])([a-zA-Z][\w-]*+)\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s"'>]++))""", re.ASCII)
_TAG = re.compile(r"""<(/?)([a-zA-Z][^\s/>]*+)((?:[^>"']++|"[^"]*+"|'[^']*+')*+)>""")
_TAG_BEGINS = re.compile(r"<(/?)([a-zA-Z][^\s/<>]*+)")
_ENDLESS_NUMBER = re.compile(r"&#[xX]?[0-9a-fA-F]{8,}+;?")


def _unescaped(text: str) -> str:
    return unescape(_ENDLESS_NUMBER.sub("", text)) if "&" in text else text


def _tokens(html: str) -> Iterator[str | Tag]:
    """Text as it stands, and tags. Comments, declarations and what lies inside unseen elements are passed over."""
    at, length = 0, len(html)
    last_end = html.rfind(">")
    while at < length:
        opening = html.find("<", at)
        if opening < 0 or opening > last_end:  # no tag can end any more
            yield html[at:]
            return
        if opening > at:
            yield html[at:opening]
        if html.startswith("<!--", opening):
            at = _after(html, "-->", opening + 4)
        elif html.startswith(("<!", "<?"), opening):
            at = _after(html, ">", opening)
        else:
            tag, at = _tag(html, opening)
            yield tag
            if isinstance(tag, Tag) and tag.name in _UNSEEN and not tag.closes and not tag.inside.endswith("/"):
                closing = re.compile(rf"</{tag.name}", re.IGNORECASE).search(html, at)
                at = closing.start() if closing else length


def _after(html: str, mark: str, at: int) -> int:
    found = html.find(mark, at)
    return len(html) if found < 0 else found + len(mark)


def _tag(html: str, opening: int) -> tuple[str | Tag, int]:
    """The tag that begins there, or the character as text, and where to go on. There is a > behind it."""
    match = _TAG.match(html, opening, opening + MAX_TAG)
    if match:
        return Tag(match[2].lower(), match[3], bool(match[1])), match.end()
    begins = _TAG_BEGINS.match(html, opening, opening + MAX_TAG)
    if not begins:
        return "<", opening + 1
    end = html.find(">", begins.end())
    return Tag(begins[2].lower(), html[begins.end() : end], bool(begins[1])), end + 1
