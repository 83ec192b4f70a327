"""A platform that searches as its `Syntax` says, and a second reading of the query language to hold it against.

Both are written without the code that they test: the search reads the strings that it is asked, character by
character, and `means` counts through lists of words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from listeners.base import Budget, Capability, Cursor, Health, Page, Post, Query, Rejected, Syntax
from listeners.query import And, Author, Language, Near, Node, Not, Or, Source, Words

Test = Callable[[Post], bool]


def words_in(text: str) -> list[str]:
    """The words of a text in plain English letters."""
    return re.findall(r"[a-z0-9]+", text.lower())


def stands_in(words: Sequence[str], post: Post, prefix: bool = False) -> bool:
    return any(places(words, said, prefix) for said in fields(post))


def fields(post: Post) -> list[list[str]]:
    return [words_in(post.title or ""), words_in(post.text)]


def places(words: Sequence[str], said: Sequence[str], prefix: bool = False) -> list[int]:
    """Where in `said` the words begin that stand there in this order."""
    found = []
    for start in range(len(said) - len(words) + 1):
        there = list(said[start : start + len(words)])
        wanted = list(words)
        if prefix:
            there[-1] = there[-1][: len(wanted[-1])]
        if there == wanted:
            found.append(start)
    return found


# What the language means ----------------------------------------------------------------------------------------------


def means(node: Node, post: Post, unknown_language: bool) -> bool:
    """Whether the query means the post, if a language that is not told counts as `unknown_language`."""
    match node:
        case Words():
            return stands_in(words_in(node.text), post, node.prefix)
        case Near():
            return any(_near(one, other, node.within, post) for one in node.left for other in node.right)
        case Author():
            return post.author is not None and post.author.handle.lower() == node.name.lower().lstrip("@")
        case Language():
            return unknown_language if post.lang is None else post.lang.split("-")[0] == node.code
        case Source():
            return post.platform == node.platform
        case Not():
            return not means(node.part, post, not unknown_language)
        case And():
            return all(means(part, post, unknown_language) for part in node.parts)
        case Or():
            return any(means(part, post, unknown_language) for part in node.parts)


def _near(one: Words, other: Words, within: int, post: Post) -> bool:
    for said in fields(post):
        for first in places(words_in(one.text), said, one.prefix):
            for second in places(words_in(other.text), said, other.prefix):
                ends = first + len(words_in(one.text)), second + len(words_in(other.text))
                between = second - ends[0] if second > first else first - ends[1]
                if 0 <= between <= within:
                    return True
    return False


# The platform ---------------------------------------------------------------------------------------------------------


class Refused(Exception):
    """The platform was asked something that it does not understand."""


class Searching:
    """Reads one string in the platform's syntax. Everything that the syntax does not have is refused."""

    def __init__(self, syntax: Syntax, text: str) -> None:
        if len(text) > syntax.max_length:
            raise Refused(f"{len(text)} characters")
        self.syntax, self.text, self.at = syntax, text, 0
        self.terms = 0

    def read(self) -> Test:
        test = self._both()
        if self.at < len(self.text):
            raise Refused(self.text[self.at :])
        if self.terms > 1 and not self.syntax.together:
            raise Refused("more than one word")
        return test

    def _both(self) -> Test:
        tests = [self._one()]
        while self.text[self.at : self.at + 1] == " " and not self._sees(f" {self.syntax.either} "):
            self.at += 1
            tests.append(self._one())
        return lambda post: all(test(post) for test in tests)

    def _sees(self, text: str) -> bool:
        return bool(text.strip()) and self.text.startswith(text, self.at)

    def _one(self) -> Test:
        without = self.syntax.without.partition("{}")[0]
        if without and self.text.startswith(without, self.at):
            self.at += len(without)
            if self._sees("("):
                raise Refused("a group is excluded")
            if self._sees('"') and not self.syntax.without_phrase:
                raise Refused("a phrase is excluded")
            inner = self._one()
            return lambda post: not inner(post)
        if self._sees("("):
            return self._group()
        return self._term()

    def _group(self) -> Test:
        if not self.syntax.either:
            raise Refused("(")
        self.at += 1
        tests = [self._both()]
        while self._sees(f" {self.syntax.either} "):
            self.at += len(self.syntax.either) + 2
            tests.append(self._both())
        if not self._sees(")"):
            raise Refused("(")
        self.at += 1
        return lambda post: any(test(post) for test in tests)

    def _term(self) -> Test:
        self.terms += 1
        rest = self.text[self.at :]
        for template, shape, test in self._shapes():
            found = template and re.match(re.escape(template).replace(r"\{\}", f"({shape})") + r"(?=[ )]|$)", rest)
            if found:
                self.at += found.end()
                return test(found[1])
        raise Refused(rest)

    def _shapes(self) -> Iterator[tuple[str, str, Callable[[str], Test]]]:
        syntax = self.syntax
        yield syntax.author, r"[\w.-]+", lambda name: lambda post: bool(post.author and post.author.handle == name)
        yield syntax.language, r"[a-z]+", lambda code: lambda post: post.lang is not None and post.lang[:2] == code
        yield syntax.phrase, r'[^"]+', lambda words: lambda post: stands_in(words_in(words), post)
        if syntax.prefix != "{}":
            yield syntax.prefix, r"[a-zA-Z0-9]+", lambda word: lambda post: stands_in([word.lower()], post, True)
        grows = syntax.prefix == "{}"
        yield "{}", r"[a-zA-Z0-9]+", lambda word: lambda post: stands_in([word.lower()], post, grows)


@dataclass
class FakeSearch:
    """A listener whose platform holds these posts, PER_PAGE of them a page, and notes what it was asked."""

    capability: Capability
    syntax: Syntax
    posts: Sequence[Post]
    asked: list[tuple[str, Cursor]] = field(default_factory=list)
    PER_PAGE = 3

    def check(self) -> Health:
        return Health(True, "It answers.")

    def fetch(self, query: Query, cursor: Cursor) -> Iterator[Page]:
        self.asked.append((query.text, cursor))
        test = Searching(self.syntax, query.text).read()
        found = [post for post in self.posts if test(post)]
        at = int(cursor.get("read", 0))
        while True:
            page = found[at : at + self.PER_PAGE]
            at += len(page)
            yield Page(page, {"read": at}, budget=Budget(remaining=9))
            if at >= len(found):
                return

    def parse(self, answer: bytes) -> list[Post | Rejected]:
        return []
