"""Which posts a query means: its words held against what a post says, in memory.

A word is what Unicode calls one: a run of letters, digits and marks; in scripts that are written without blanks each
character. Capitals, full-width forms and invisible characters make no difference, accents do. A # or @ that was
written right before a word must stand before it in the post.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

import regex

from listeners.base import MAX_TEXT, Post
from listeners.query import Author, Language, Near, Node, Not, Or, Source, Words

_UNSPACED = r"\p{Han}\p{Hiragana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_WORD = regex.compile(rf"([#@]?)([{_UNSPACED}]\p{{M}}*|[[\p{{L}}\p{{N}}\p{{M}}]--[{_UNSPACED}]]+)", regex.V1)
_INVISIBLE = regex.compile(r"\p{Cf}+")


Word: TypeAlias = tuple[str, str]
"""The # or @ right before a word, or neither, and the word as it is compared."""


def words_of(text: str) -> list[Word]:
    """The words of a text, in their order, folded so that equal ones compare equal."""
    # Cut where it is as long as a text may be: a single character may stand for eighteen.
    plain = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text))[:MAX_TEXT].casefold()
    found: list[Word] = _WORD.findall(unicodedata.normalize("NFKC", plain))
    return found


def matches(node: Node, post: Post) -> bool:
    """Whether the post is meant. One that only its unknown language keeps from being judged is: nothing is lost so."""
    return _judge(node, _Said(post)) is not False


class _Said:
    """What a post says, made ready for looking words up: each field a list of words, and where each word stands."""

    def __init__(self, post: Post) -> None:
        self.post = post
        self.fields = [_Field(words_of(text)) for text in (post.title, post.text) if text]


class _Field:
    def __init__(self, words: Sequence[Word]) -> None:
        self.words = words
        self.at: dict[str, list[int]] = {}
        for place, (_, letters) in enumerate(words):
            self.at.setdefault(letters, []).append(place)

    def spans(self, wanted: Words) -> list[tuple[int, int]]:
        """Where the words stand in their order: the places of the first and of the last one, from the front."""
        looked_for = _looked_for(wanted.text)
        if not looked_for:
            return []
        last = len(looked_for) - 1
        if wanted.prefix and last == 0:
            starts: Sequence[int] = range(len(self.words))
        else:
            starts = self.at.get(looked_for[0][1], ())
        return [(start, start + last) for start in starts if self._stands(looked_for, start, wanted.prefix)]

    def _stands(self, looked_for: Sequence[Word], start: int, prefix: bool) -> bool:
        there = self.words[start : start + len(looked_for)]
        if len(there) < len(looked_for):
            return False
        if not all(wanted[0] in ("", found[0]) for wanted, found in zip(looked_for, there, strict=True)):
            return False
        if any(wanted[1] != found[1] for wanted, found in zip(looked_for[:-1], there[:-1], strict=True)):
            return False
        wanted, found = looked_for[-1][1], there[-1][1]
        return found.startswith(wanted) if prefix else found == wanted


@lru_cache(maxsize=1_000)  # a query's words are looked up in every post
def _looked_for(text: str) -> tuple[Word, ...]:
    return tuple(words_of(text))


def _judge(node: Node, said: _Said) -> bool | None:
    """Whether the node holds; None where it depends on a language that the platform did not tell."""
    if isinstance(node, Words):
        return any(field.spans(node) for field in said.fields)
    if isinstance(node, Near):
        return any(_are_near(node, field) for field in said.fields)
    if isinstance(node, Author):
        return _wrote(node.name, said.post)
    if isinstance(node, Language):
        return _speaks(node.code, said.post.lang)
    if isinstance(node, Source):
        return said.post.platform == node.platform
    if isinstance(node, Not):
        held = _judge(node.part, said)
        return None if held is None else not held
    judged = [_judge(part, said) for part in node.parts]
    decisive = isinstance(node, Or)
    if decisive in judged:
        return decisive
    return None if None in judged else not decisive


def _are_near(node: Near, field: _Field) -> bool:
    left = sorted(span for words in node.left for span in field.spans(words))
    right = sorted(span for words in node.right for span in field.spans(words))
    return _follows(left, right, node.within) or _follows(right, left, node.within)


def _follows(first: Sequence[tuple[int, int]], then: Sequence[tuple[int, int]], within: int) -> bool:
    """Whether one of `then` begins after one of `first` ends, with at most `within` words between them."""
    starts = [start for start, _ in then]
    for _, end in first:
        after = bisect_right(starts, end)
        if after < len(starts) and starts[after] - end - 1 <= within:
            return True
    return False


def _wrote(name: str, post: Post) -> bool:
    if post.author is None:
        return False
    wanted = _folded(name)
    # A name with a blank is no handle on most platforms; without one it never means a name that anybody may choose.
    names = [post.author.handle, post.author.display_name if " " in wanted else None]
    return any(_folded(one) == wanted for one in names if one)


def _folded(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split()).lstrip("@")


def _speaks(wanted: str, told: str | None) -> bool | None:
    code = (told or "").replace("_", "-").lower()
    if code in ("", "und"):
        return None
    return code == wanted or code.startswith(wanted + "-")
