"""Markdown as people write it in comments, made into the text that a reader wants: their own words.

What a template left (HTML comments, "No response"), what they quote from others and the marks of formatting go; code
stays, the long of it shortened. Each expression looks at a character a bounded number of times, whatever comes.
"""

from __future__ import annotations

import re

from listeners.base import MAX_TEXT, clean

MAX_CODE_LINES = 15
"""Lines of one block of code that are kept: a log of thousands says little about what its author thinks."""

_BLOCKS = re.compile(
    r"^ {0,3}(?P<fence>`{3,}+|~{3,}+)[^\n]*+\n(?P<code>.*?)(?:^ {0,3}(?P=fence)[`~]*[ \t]*$|\Z)|<!--.*?(?:-->|\Z)",
    re.DOTALL | re.MULTILINE,
)
_INLINE_CODE = re.compile(r"(`[^`\n]{1,1000}`)")
_QUOTE = re.compile(r" {0,3}>[ >]{0,20}")
_MAIL_FOOTER = re.compile(
    r"^(?:[-—_]{1,3}\s{0,5}\n)?(?:Reply to this email directly|You are receiving this because).*",
    re.MULTILINE | re.DOTALL,
)
_WROTE = re.compile(r"^On [^\n]{5,200} wrote:[ \t]*$", re.MULTILINE)
_LINE_MARKS = (
    (re.compile(r"^ {0,3}#{1,6}[ \t]+", re.MULTILINE), ""),
    (re.compile(r"^([ \t]{0,20})[-*+][ \t]+\[[ xX]\][ \t]+", re.MULTILINE), r"\1- "),
    (re.compile(r"^[ \t]{0,3}(?:[-*_][ \t]?){3,100}$", re.MULTILINE), ""),
    (re.compile(r"^[ \t]{0,3}\|?(?:[ \t]?:?-{2,50}:?[ \t]?\|){1,50}(?:[ \t]?:?-{2,50}:?)?[ \t]*$", re.MULTILINE), ""),
    (re.compile(r"^_No response_[ \t]*$", re.MULTILINE), ""),
)
_MARKS = (
    (re.compile(r"!\[[^\]\n]{0,300}\]\([^)\n]{0,2000}\)"), "[image]"),
    (re.compile(r"<img(?:\s[^<>]{0,2000})?>", re.IGNORECASE), "[image]"),
    (re.compile(r"\[([^\[\]\n]{1,500})\]\([^()\n]{0,2000}\)"), r"\1"),
    (re.compile(r"<(?:br|/p|/summary|/li|/tr)\s{0,5}/?>", re.IGNORECASE), "\n"),
    (re.compile(r"</?[a-zA-Z][a-zA-Z0-9-]{0,20}(?:\s[^<>]{0,2000})?/?>"), ""),
    (re.compile(r"\*\*|~~|(?<!\w)__(?=\S)|(?<=\S)__(?!\w)"), ""),
)
_ENTITIES = {"&nbsp;": " ", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'", "&amp;": "&"}
_ENTITY = re.compile("|".join(_ENTITIES))


def to_text(markdown: str) -> str:
    """What was written, without marks and without what others wrote; at most MAX_TEXT characters.

    Where everything is a quotation, the quotation stays: it is all there is.
    """
    source = clean(markdown[:MAX_TEXT])
    return _tidy(_joined(source, keep_quotes=False)) or _tidy(_joined(source, keep_quotes=True))


def _joined(source: str, *, keep_quotes: bool) -> str:
    parts, at = [], 0
    for block in _BLOCKS.finditer(source):
        parts.append(_prose(source[at : block.start()], keep_quotes))
        if block["fence"]:
            parts.append(_code(block["code"]))
        at = block.end()
    return "".join([*parts, _prose(source[at:], keep_quotes)])


def _code(code: str) -> str:
    lines = code.rstrip("\n").split("\n")
    return "\n".join(lines if len(lines) <= MAX_CODE_LINES else [*lines[:MAX_CODE_LINES], "…"])


def _prose(text: str, keep_quotes: bool) -> str:
    text = _MAIL_FOOTER.sub("", text)
    lines = text.split("\n")
    if keep_quotes:
        text = "\n".join(_QUOTE.sub("", line, count=1) if _QUOTE.match(line) else line for line in lines)
    else:
        text = _WROTE.sub("", "\n".join(line for line in lines if not _QUOTE.match(line)))
    for mark, instead in _LINE_MARKS:
        text = mark.sub(instead, text)
    pieces = _INLINE_CODE.split(text)
    return "".join(piece if number % 2 else _inline(piece) for number, piece in enumerate(pieces))


def _inline(text: str) -> str:
    for mark, instead in _MARKS:
        text = mark.sub(instead, text)
    return _ENTITY.sub(lambda found: _ENTITIES[found[0]], text) if "&" in text else text


def _tidy(text: str) -> str:
    text = re.sub(r"[ \t]+\n", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()[:MAX_TEXT]
