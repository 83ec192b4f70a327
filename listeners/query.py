"""The one query language: what somebody writes to listen on any platform, and to search the inbox.

delivery late             both words, anywhere in one post
"late delivery"           these words, in this order
deliver*                  words that begin so
late OR lost              either; AND binds tighter than OR
-refund, NOT refund       without the word
(late OR lost) -refund    parentheses group
acme NEAR/5 broken        both, at most five words apart, whichever comes first; NEAR alone means ten
author:jane  lang:de      who wrote it, in which language
source:bluesky            where it was posted; on:bluesky is the same

Here it is read into a tree. `listeners.matching` holds a post against it, `listeners.translation` asks a platform.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeAlias, cast

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

MAX_LENGTH = 500
"""Characters of a query."""
MAX_TERMS = 30
"""Words, phrases and fields in a query."""
NEAR_WITHIN = 10
"""Words between the two of a NEAR without a number."""
MAX_NEAR = 50

_UNSEARCHABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
"""What no database keeps, so that no post has it; each becomes a blank, and positions stay true."""
_CURLY = str.maketrans(dict.fromkeys("“”„‟", '"'))
"""Quotation marks as telephones and word processors set them."""
_LIKE_A_FIELD = re.compile(r"([A-Za-z]{2,20}):(?!//)")
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[a-z0-9]{2,8}){0,3}")

# The tree -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Words:
    """One word or several in this order; `prefix` lets the last one go on ('deliver*')."""

    text: str
    prefix: bool = False
    position: int = field(default=0, compare=False)
    """The character of the query at which it stands, counted from 0."""


@dataclass(frozen=True, slots=True)
class Near:
    """One of `left` and one of `right`, whichever comes first, with at most `within` words between them."""

    left: tuple[Words, ...]
    right: tuple[Words, ...]
    within: int = NEAR_WITHIN
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Author:
    """Written by this account: its handle, with or without the @; a name with a blank in it may be the shown one."""

    name: str
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Language:
    """Written in this language, a BCP 47 code in small letters; 'pt' holds 'pt-br' too."""

    code: str
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Source:
    """Posted on this platform, by its name such as bluesky."""

    platform: str
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class And:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: Node


Leaf: TypeAlias = Words | Near | Author | Language | Source
Node: TypeAlias = Leaf | And | Or | Not


class QueryError(ValueError):
    """The query cannot be read, or not be asked. `position` is the character where it went wrong, counted from 0."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position


def pointer(query: str, position: int, width: int = 60) -> str:
    """Two lines for a fixed-width font: the query, cut to about `width` around the position, and a caret below it."""
    first = max(0, min(position - width // 2, len(query) - width))
    piece = "".join(character if character.isprintable() else " " for character in query[first : first + width])
    before, after = "… " if first else "", " …" if first + width < len(query) else ""
    indent = sum(map(_columns, before + piece[: position - first]))
    return f"{before}{piece}{after}\n{' ' * indent}^"


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def written(node: Node) -> str:
    """The node in the language again."""
    if isinstance(node, Words):
        bare = node.text + ("*" if node.prefix else "")
        return bare if re.fullmatch(r'[^\s()"]+', bare) and not _looks_special(bare) else f'"{bare}"'
    if isinstance(node, Near):
        left, right = (_grouped([written(one) for one in side], " OR ") for side in (node.left, node.right))
        return f"{left} NEAR/{node.within} {right}"
    if isinstance(node, Author | Language | Source):
        name, value = _field_of(node)
        return f'{name}:"{value}"' if re.search(r"[\s()]", value) else f"{name}:{value}"
    if isinstance(node, Not):
        inner = written(node.part)
        return f"-({inner})" if isinstance(node.part, And | Or | Near) else f"-{inner}"
    if isinstance(node, Or):
        return " OR ".join(written(part) for part in node.parts)
    return " ".join(f"({written(part)})" if isinstance(part, Or) else written(part) for part in node.parts)


def _looks_special(word: str) -> bool:
    return word.startswith(("-", "NEAR")) or word in ("OR", "AND", "NOT") or ":" in word


def _grouped(parts: list[str], between: str) -> str:
    return parts[0] if len(parts) == 1 else f"({between.join(parts)})"


def _field_of(node: Author | Language | Source) -> tuple[str, str]:
    if isinstance(node, Author):
        return "author", node.name
    return ("lang", node.code) if isinstance(node, Language) else ("source", node.platform)


# Reading --------------------------------------------------------------------------------------------------------------

_GRAMMAR = r"""
start: either
?either: both (OR both)*
?both: single (AND? single)*
?single: (NOT | MINUS) single -> without
       | near
?near: atom (NEAR atom)?
?atom: "(" either ")"
     | FIELD -> field
     | PHRASE -> phrase
     | WORD -> word

OR.3: /OR(?=[\s(")]|$)/
AND.3: /AND(?=[\s(")]|$)/
NOT.3: /NOT(?=[\s(")]|$)/
NEAR.3: /NEAR(\/[^\s()"]*)?(?=[\s(")]|$)/
MINUS.3: /-(?=[^\s)\-])/
FIELD.2: /(author|lang|source|on):("[^"]*"|[^\s()"]+)/i
PHRASE: /"[^"]*"/
WORD: /[^\s()"\-][^\s()"]*/
%ignore /\s+/
"""


def parse(query: str) -> Node | None:
    """The query as a tree; None for an empty one. Raises QueryError, and nothing else whatever it is given."""
    query = _UNSEARCHABLE.sub(" ", query).translate(_CURLY)
    if not query.strip():
        return None
    if len(query) > MAX_LENGTH:
        raise QueryError(f"A search has at most {MAX_LENGTH} characters; this one has {len(query)}.", MAX_LENGTH)
    try:
        parsed = _parser().parse(query)
    except UnexpectedInput as error:
        raise _explained(query, error) from None
    return _Builder().build(parsed)


@cache
def _parser() -> Lark:
    return Lark(_GRAMMAR, parser="lalr", lexer="basic")


class _Builder(Transformer[Token, Any]):
    """Turns lark's tree into ours, from the leaves up."""

    def __init__(self) -> None:
        super().__init__()
        self.terms = 0
        self.error: QueryError | None = None

    def build(self, parsed: Any) -> Node:
        node = self.transform(parsed)
        if self.error is not None:
            raise self.error
        return cast(Node, node)

    def start(self, parts: list[Any]) -> Any:
        return parts[0]

    def either(self, parts: list[Any]) -> Any:
        return Or(tuple(part for part in parts if not isinstance(part, Token)))

    def both(self, parts: list[Any]) -> Any:
        return And(tuple(part for part in parts if not isinstance(part, Token)))

    def without(self, parts: list[Any]) -> Any:
        inner = parts[1]
        return inner.part if isinstance(inner, Not) else Not(inner)

    def near(self, parts: list[Any]) -> Any:
        left, token, right = parts
        sides = [self._alternatives(side) for side in (left, right)]
        if None in sides:
            self._fail(token, "NEAR stands between two words or phrases, or such in parentheses with OR.")
            return left
        return Near(cast(Any, sides[0]), cast(Any, sides[1]), self._within(token), token.start_pos or 0)

    def _alternatives(self, node: Any) -> tuple[Words, ...] | None:
        if isinstance(node, Words):
            return (node,)
        sides = [self._alternatives(part) for part in node.parts] if isinstance(node, Or) else [None]
        return None if None in sides else tuple(one for side in sides for one in cast(Any, side))

    def _within(self, token: Token) -> int:
        _, slash, number = token.partition("/")
        if not slash:
            return NEAR_WITHIN
        if not re.fullmatch("[0-9]{1,6}", number) or int(number) > MAX_NEAR:
            self._fail(token, f"After NEAR/ stands a number of words from 0 to {MAX_NEAR}, such as NEAR/5.")
            return NEAR_WITHIN
        return int(number)

    def word(self, parts: list[Token]) -> Any:
        token = parts[0]
        if match := _LIKE_A_FIELD.match(token):
            self._fail(token, _no_field(match[1], str(token)))
        return self._words(token, str(token), 0)

    def phrase(self, parts: list[Token]) -> Any:
        return self._words(parts[0], parts[0][1:-1], 1)

    def field(self, parts: list[Token]) -> Any:
        token = parts[0]
        self._count(token)
        name, _, value = token.partition(":")
        name, value, at = name.lower(), value.strip('"').strip(), token.start_pos or 0
        if not value.lstrip("@"):
            self._fail(token, f"After {name}: stands a name without a blank, or one in quotation marks.")
        if "*" in value:
            self._fail(token, f"After {name}: a whole name is needed; a * stands at the end of a word only.")
        if name == "author":
            return Author(value, at)
        if name != "lang":
            return Source(value.lower(), at)
        if not _LANGUAGE.fullmatch(value.lower()):
            self._fail(token, f"'{value[:30]}' is no code of a language. Write lang:en, or lang:pt-BR.")
        return Language(value.lower(), at)

    def _words(self, token: Token, text: str, inside: int) -> Any:
        """`inside` is where the text begins within its token."""
        self._count(token)
        prefix = text.endswith("*")
        bare = text.rstrip("*")
        if not any(character.isalnum() for character in bare):
            self._fail(token, f"{token} has no letter or number to search for.")
        elif "*" in bare:
            self._fail(token, "A * stands at the end of a word only.", inside + bare.index("*"))
        elif prefix and not bare[-1].isalnum():
            self._fail(token, "A * stands right behind a letter or number.", inside + len(bare))
        return Words(bare, prefix, token.start_pos or 0)

    def _count(self, token: Token) -> None:
        self.terms += 1
        if self.terms > MAX_TERMS:
            self._fail(token, f"A search has at most {MAX_TERMS} words.")

    def _fail(self, token: Token, words: str, inside: int = 0) -> None:
        # Kept and raised at the end: lark would wrap an exception raised here in one of its own.
        if self.error is None:
            self.error = QueryError(words, (token.start_pos or 0) + inside)


def _no_field(name: str, token: str) -> str:
    if name.lower() in ("author", "lang", "source", "on"):
        return f"After {name.lower()}: stands a name without a blank, or one in quotation marks."
    return (
        f"There is no field '{name}'; there are author, lang and source. "
        f'To search for it as it stands, put it in quotation marks: "{token[:40]}".'
    )


def _explained(query: str, error: UnexpectedInput) -> QueryError:
    position: Any = error.pos_in_stream
    if position is None or (isinstance(error, UnexpectedToken) and error.token.type == "$END"):
        opened = _unclosed(query)
        if opened is not None:
            return QueryError(f"The parenthesis at character {opened + 1} is never closed.", opened)
        return QueryError("The search ends too early: a word is missing at its end.", len(query))
    if isinstance(error, UnexpectedCharacters) and query[position] == '"':
        return QueryError(f"The quotation mark at character {position + 1} is never closed.", position)
    if query[position] == ")":
        why = "has nothing before it to close or is empty"
        return QueryError(f"The parenthesis at character {position + 1} {why}.", position)
    found = query[position:].split(maxsplit=1)[0][:30]
    return QueryError(f"'{found}' at character {position + 1} needs a word before it or after it.", position)


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
