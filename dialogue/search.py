"""The query language of the search line.

delivery late             both words, anywhere in one mention
"late delivery"           these words, in this order
deliver*                  words that begin so
late OR lost              either; AND binds tighter than OR
-refund, NOT refund       without the word
(late OR lost) -refund    parentheses group
author:jane  lang:de      who wrote it, in which language
on:bluesky                where it was posted
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, cast

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from db import search as tree
from dialogue.context import DialogueError

MAX_LENGTH = 500
"""Characters of a query."""
MAX_TERMS = 30
"""Words, phrases and fields in a query."""

_UNSEARCHABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
"""What no database keeps, so that no mention has it; each becomes a blank, and positions stay true."""

_FIELDS = {"author": tree.Author, "lang": tree.Language, "on": tree.Platform}

_GRAMMAR = r"""
start: either
?either: both (OR both)*
?both: single (AND? single)*
?single: (NOT | MINUS) single -> without
       | "(" either ")"
       | FIELD -> field
       | PHRASE -> phrase
       | WORD -> word

OR.3: /OR(?=[\s(")]|$)/
AND.3: /AND(?=[\s(")]|$)/
NOT.3: /NOT(?=[\s(")]|$)/
MINUS.3: /-(?=[^\s)\-])/
FIELD.2: /(author|lang|on):("[^"]*"|[^\s()"]+)/i
PHRASE: /"[^"]*"/
WORD: /[^\s()"\-][^\s()"]*/
%ignore /\s+/
"""


class SearchError(DialogueError):
    """The query cannot be read. `position` is the character at which it went wrong, counted from 0."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position


def parse(query: str) -> tree.Node | None:
    """The query as a tree; None for an empty one. Raises SearchError."""
    query = _UNSEARCHABLE.sub(" ", query)
    if not query.strip():
        return None
    if len(query) > MAX_LENGTH:
        raise SearchError(f"A search has at most {MAX_LENGTH} characters; this one has {len(query)}.", MAX_LENGTH)
    try:
        parsed = _parser().parse(query)
    except UnexpectedInput as error:
        raise _explained(query, error) from None
    builder = _Builder()
    return builder.build(parsed)


@cache
def _parser() -> Lark:
    return Lark(_GRAMMAR, parser="lalr", lexer="basic")


class _Builder(Transformer[Token, Any]):
    """Turns lark's tree into ours, from the leaves up."""

    def __init__(self) -> None:
        super().__init__()
        self.terms = 0
        self.error: SearchError | None = None

    def build(self, parsed: Any) -> tree.Node:
        node = self.transform(parsed)
        if self.error is not None:
            raise self.error
        return cast(tree.Node, node)

    def start(self, parts: list[Any]) -> Any:
        return parts[0]

    def either(self, parts: list[Any]) -> Any:
        return tree.Any_(tuple(part for part in parts if not isinstance(part, Token)))

    def both(self, parts: list[Any]) -> Any:
        return tree.All(tuple(part for part in parts if not isinstance(part, Token)))

    def without(self, parts: list[Any]) -> Any:
        inner = parts[1]
        return inner.part if isinstance(inner, tree.Not) else tree.Not(inner)

    def word(self, parts: list[Token]) -> Any:
        token = parts[0]
        prefix = len(token) > 1 and token.endswith("*")
        return self._words(token, token.rstrip("*") if prefix else str(token), prefix)

    def phrase(self, parts: list[Token]) -> Any:
        return self._words(parts[0], parts[0].strip('"'), prefix=False)

    def field(self, parts: list[Token]) -> Any:
        name, _, value = parts[0].partition(":")
        value = value.strip('"')
        self._count(parts[0])
        return _FIELDS[name.lower()](value)

    def _words(self, token: Token, words: str, prefix: bool) -> Any:
        self._count(token)
        if not any(character.isalnum() for character in words):
            self._fail(token, f"{token} has no letter or number to search for.")
        return tree.Words(words, prefix)

    def _count(self, token: Token) -> None:
        self.terms += 1
        if self.terms > MAX_TERMS:
            self._fail(token, f"A search has at most {MAX_TERMS} words.")

    def _fail(self, token: Token, words: str) -> None:
        # Kept and raised at the end: lark would wrap an exception raised here in one of its own.
        if self.error is None:
            self.error = SearchError(words, token.start_pos or 0)


def _explained(query: str, error: UnexpectedInput) -> SearchError:
    position: Any = error.pos_in_stream
    if position is None or (isinstance(error, UnexpectedToken) and error.token.type == "$END"):
        opened = _unclosed(query)
        if opened is not None:
            return SearchError(f"The parenthesis at character {opened + 1} is never closed.", opened)
        return SearchError("The search ends too early: a word is missing at its end.", len(query))
    if isinstance(error, UnexpectedCharacters) and query[position] == '"':
        return SearchError(f"The quotation mark at character {position + 1} is never closed.", position)
    if query[position] == ")":
        why = "has nothing before it to close or is empty"
        return SearchError(f"The parenthesis at character {position + 1} {why}.", position)
    found = query[position:].split(maxsplit=1)[0][:30]
    return SearchError(f"'{found}' at character {position + 1} needs a word before it or after it.", position)


def _unclosed(query: str) -> int | None:
    """Where the innermost parenthesis opens that is never closed; quotation marks hide what is inside them."""
    opened: list[int] = []
    quoted = False
    for position, character in enumerate(query):
        if character == '"':
            quoted = not quoted
        elif character == "(" and not quoted:
            opened.append(position)
        elif character == ")" and not quoted and opened:
            opened.pop()
    return opened[-1] if opened else None
