"""What a platform is asked for a query, and what is left to do here: the platform's results, held against the query.

A platform is asked for as little as its syntax can say, but never for less than what is meant: whatever it cannot
express is left out, so that it sends more, and `listeners.matching` takes out of that what is not meant.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

from listeners.base import Cursor, Listener, Page, Post, Syntax
from listeners.base import Query as Asked
from listeners.matching import matches
from listeners.query import And, Author, Language, Near, Node, Not, Or, QueryError, Source, Words, parse, written

MAX_REQUESTS = 8
"""So many searches at most stand for one query, where a platform has no OR."""

_ONE_WORD = "can be asked for one word at a time: {} is looked for here."
_NOT_ALL = "One of these cannot be asked for, so that {} is looked for here as a whole."
COST = "What is left out here was read all the same: it takes time, and counts against the platform's limits."


@dataclass(frozen=True, slots=True)
class Plan:
    """How a query is listened for: what the platform is asked, one search after the other; what is kept; and why so."""

    asked: tuple[str, ...]
    """In the platform's own words."""
    meant: Node | None = None
    """Only what this means is kept; None keeps everything."""
    notes: tuple[str, ...] = ()
    """Sentences that say what the platform cannot express."""

    def keeps(self, post: Post) -> bool:
        """Whether the query means this post."""
        return self.meant is None or matches(self.meant, post)

    def of(self, page: Page) -> Page:
        """The page with the posts that are meant, and the number of the others."""
        if self.meant is None:
            return page
        judged = [(post, matches(self.meant, post)) for post in page.posts]
        kept, others = ([post for post, meant in judged if meant is wanted] for wanted in (True, False))
        # Among the others may be one that is stored, and was meant until its author changed it.
        return replace(page, posts=kept, edits=[*page.edits, *others], filtered=page.filtered + len(others))

    def fetch(self, listener: Listener, mode: str, cursor: Cursor) -> Iterator[Page]:
        """As `Listener.fetch`, for all that is asked. Of several searches each has its own cursor within the cursor."""
        if len(self.asked) == 1:
            for page in listener.fetch(Asked(self.asked[0], mode), _part(cursor, self.asked[0])):
                yield self.of(page)
            return
        cursors = {words: _part(cursor, words) for words in self.asked}
        # From where it was stopped, so that a busy first search cannot keep the others waiting for ever.
        begun = self.asked.index(cursor["at"]) if cursor.get("at") in self.asked else 0
        for words in (*self.asked[begun:], *self.asked[:begun]):
            for page in listener.fetch(Asked(words, mode), cursors[words]):
                cursors = {**cursors, words: page.cursor}
                yield replace(self.of(page), cursor={"searches": cursors, "at": words})


def _part(cursor: Cursor, words: str) -> Cursor:
    """The cursor of one search. What is no cursor of several is one that was stored when there was only one."""
    searches = cursor.get("searches")
    if not isinstance(searches, dict):
        return cursor
    return searches.get(words) or {}


def as_typed(text: str, only: str = "") -> Plan:
    """A name, an address, or a search in the platform's own syntax: asked as it stands, and narrowed by `only` here.

    Raises QueryError, which speaks of `only`.
    """
    return Plan((text,), parse(only))


def as_streamed(text: str) -> Plan:
    """A search whose listener hears everything and finds by itself what the query means. Raises QueryError."""
    if parse(text) is None:
        raise QueryError("There is nothing to listen for: write at least one word.", len(text))
    return Plan((text,))


def translate(text: str, syntax: Syntax, platform: str, title: str) -> Plan:
    """The plan for a query in the one language. `title` is the platform's name in the notes.

    Raises QueryError where it cannot be read, and where the platform cannot be asked for anything of it.
    """
    scope, text = _scope(text, syntax)
    meant = parse(text)
    if meant is None:
        raise QueryError("There is nothing to search for: write at least one word.", len(text))
    translator = _Translator(syntax, platform, title, syntax.max_length - len(scope))
    return Plan(tuple(scope + words for words in translator.asked(meant)), meant, translator.notes())


def _scope(text: str, syntax: Syntax) -> tuple[str, str]:
    """What stands before the words to say where to look, and the text with blanks in its place."""
    found = re.match(rf"\s*({syntax.scope})(?:\s+|$)", text) if syntax.scope else None
    return (f"{found[1]} ", " " * found.end() + text[found.end() :]) if found else ("", text)


# Rewriting: negations down to the leaves, and what is settled by the platform alone taken out ------------------------

_ALL, _NOTHING = And(()), Or(())


def _settled(node: Node, platform: str, negated: bool = False) -> Node:
    """The same, with Not before leaves only, without Source, and without parts that always or never hold."""
    if isinstance(node, Not):
        return _settled(node.part, platform, not negated)
    if isinstance(node, Source):
        return _ALL if (node.platform == platform) is not negated else _NOTHING
    if not isinstance(node, And | Or):
        return Not(node) if negated else node
    both = isinstance(node, And) is not negated
    joined, neutral, decisive = (And, _ALL, _NOTHING) if both else (Or, _NOTHING, _ALL)
    parts: list[Node] = []
    for part in (_settled(part, platform, negated) for part in node.parts):
        if part == decisive:
            return decisive
        parts += part.parts if isinstance(part, joined) else [part]
    parts = [part for part in parts if part != neutral]
    return parts[0] if len(parts) == 1 else joined(tuple(parts))


# Asking ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Search:
    """What to ask for a part of a query: one of these strings each. A part that is not `selective` finds nearly all."""

    strings: tuple[str, ...]
    selective: bool = True


class _Translator:
    def __init__(self, syntax: Syntax, platform: str, title: str, room: int) -> None:
        self._syntax = syntax
        self._platform = platform
        self._title = title
        self._room = room
        self._said: dict[str, dict[str, None]] = {}

    def asked(self, meant: Node) -> tuple[str, ...]:
        """The searches that together find everything that is meant. Raises QueryError."""
        node = _settled(meant, self._platform)
        if node == _NOTHING:
            raise QueryError(f"Nothing on {self._title} can ever match this: it asks for another source.", 0)
        found = self._ask(node)
        if found is None or not found.selective:
            raise QueryError(f"{self._why_nothing()} {self._what_then()}", _first_position(node))
        if len(found.strings) > 1:
            self._note(f"{self._title} has no OR: it is asked {len(found.strings)} times, once for each alternative.")
        return found.strings

    def notes(self) -> tuple[str, ...]:
        """What was left to be done here, in sentences."""
        said = [sentence.replace("{}", _listed(list(about))) for sentence, about in self._said.items()]
        return (*said, COST) if any(self._said.values()) else tuple(said)

    def _note(self, sentence: str, about: str = "") -> None:
        self._said.setdefault(sentence, {}).update({about: None} if about else {})

    def _why_nothing(self) -> str:
        """The first half of the first note: the other speaks of what is done here."""
        for sentence, about in self._said.items():
            return sentence.partition(": ")[0].replace("{}", _listed(list(about))) + "."
        return f"{self._title} cannot be asked for this alone."

    def _what_then(self) -> str:
        return f"So there is nothing to ask {self._title} for: add a word that every post must contain."

    def _ask(self, node: Node, inside: bool = False) -> _Search | None:
        """What to ask so that all that `node` means is found; None: everything. `inside`: of an OR."""
        if isinstance(node, And):
            return self._ask_for_both(node, inside)
        if isinstance(node, Or):
            return self._ask_for_either(node) if self._syntax.either else self._ask_for_each(node)
        if isinstance(node, Not):
            return self._ask_without(node.part, node, inside)
        if isinstance(node, Words):
            return self._ask_for_words(node)
        if isinstance(node, Near):
            return self._ask_for_near(node, inside)
        if isinstance(node, Author):
            return self._ask_for_author(node)
        return self._ask_for_language(node)

    # Joined

    def _ask_for_both(self, node: And, inside: bool) -> _Search | None:
        asked = [(part, found) for part in node.parts if (found := self._ask(part, inside)) is not None]
        selective = [(part, found) for part, found in asked if found.selective]
        # First what one search can say; of several searches the part with the fewest, and only if nothing else is left.
        ranked = sorted(selective, key=lambda one: len(one[1].strings))
        if not self._syntax.together:
            ranked.sort(key=lambda one: (len(one[1].strings), -min(map(len, one[1].strings))))
        ranked += [one for one in asked if one not in selective]
        joined: tuple[str, ...] = ()
        for part, found in ranked:
            if joined and not self._syntax.together:
                self._note(f"{self._title} {_ONE_WORD}", written(part))
            elif joined and len(found.strings) > 1:
                self._note(f"{self._title} has no OR: {{}} is looked for here.", written(part))
            elif any(len(f"{one} {other}") > self._room for one, other in product(joined, found.strings)):
                self._note(f"{self._title} takes {self._room} characters: {{}} is looked for here.", written(part))
            else:
                joined = tuple(f"{one} {other}" for one, other in product(joined, found.strings)) or found.strings
        return _Search(joined, bool(selective)) if joined else None

    def _ask_for_either(self, node: Or) -> _Search | None:
        asked = [self._ask(part, inside=True) for part in node.parts]
        found = [one for one in asked if one is not None and one.selective]
        if len(found) < len(asked):
            self._note(_NOT_ALL, written(node))
            return None
        strings = dict.fromkeys(_grouped(string) for one in found for string in one.strings)
        joined = f" {self._syntax.either} ".join(strings)
        return self._if_it_fits(_Search((f"({joined})" if len(strings) > 1 else joined,)), node)

    def _ask_for_each(self, node: Or) -> _Search | None:
        asked = [self._ask(part) for part in node.parts]
        found = [one for one in asked if one is not None and one.selective]
        if len(found) < len(asked):
            self._note(_NOT_ALL, written(node))
            return None
        strings = dict.fromkeys(string for one in found for string in one.strings)
        if len(strings) > MAX_REQUESTS:
            many = f"{self._title} has no OR, and {len(strings)} searches are too many (at most {MAX_REQUESTS})"
            self._note(f"{many}: {{}} is looked for here.", written(node))
            return None
        return _Search(tuple(strings))

    def _if_it_fits(self, found: _Search, node: Node) -> _Search | None:
        if all(len(string) <= self._room for string in found.strings):
            return found
        self._note(f"{self._title} takes {self._room} characters: {{}} is looked for here.", written(node))
        return None

    def _ask_without(self, leaf: Node, node: Not, inside: bool) -> _Search | None:
        """Only what the platform says exactly may be excluded: it would leave out too much else."""
        exact = self._exactly(leaf) if self._syntax.without and not inside else None
        if exact is None:
            self._note(f"{self._title} is not asked to exclude {{}}: that is left out here.", written(leaf))
            return None
        return self._if_it_fits(_Search((self._syntax.without.format(exact),), selective=False), node)

    def _exactly(self, leaf: Node) -> str | None:
        """The leaf in the platform's syntax, None where that would say something else."""
        if isinstance(leaf, Author):
            return self._author(leaf)
        if isinstance(leaf, Language):
            return self._syntax.language.format(leaf.code) or None
        if not isinstance(leaf, Words) or leaf.prefix or not self._has_signs(leaf):
            return None
        if _is_plain(leaf.text):
            return leaf.text
        return self._syntax.phrase.format(_quotable(leaf.text)) or None if self._syntax.without_phrase else None

    # Single

    def _ask_for_words(self, node: Words) -> _Search | None:
        text, prefix = node.text, node.prefix
        if not self._has_signs(node):
            self._note(f"{self._title} does not look at # and @: whether it is {{}} is looked at here.", written(node))
            text = text.lstrip("#@")
        if prefix and not (self._syntax.prefix and _is_plain(text)):
            self._note(f"{self._title} has no wildcards: {{}} is looked for here.", written(node))
            text, prefix = _without_last_word(text), False
        if not text:
            return None
        if prefix:
            return self._if_it_fits(_Search((self._syntax.prefix.format(text),)), node)
        if _is_plain(text):
            return self._if_it_fits(_Search((text,)), node)
        if self._syntax.phrase:
            return self._if_it_fits(_Search((self._syntax.phrase.format(_quotable(text)),)), node)
        return self._ask_for_each_word(text, node)

    def _ask_for_each_word(self, text: str, node: Words) -> _Search | None:
        words = [word for word in _plain_words(text) if _is_plain(word)]
        if not words:
            self._note(
                f"{self._title} takes {{}} for something else than a word: it is looked for here.", written(node)
            )
            return None
        if len(_plain_words(text)) > 1:
            order = f"{self._title} has no phrases: the order of {{}} is looked at here."
            self._note(order if self._syntax.together else f"{self._title} {_ONE_WORD}", written(node))
        asked = " ".join(words) if self._syntax.together else max(words, key=len)
        return self._if_it_fits(_Search((asked,)), node)

    def _has_signs(self, node: Words) -> bool:
        return node.text[0] not in "#@" or node.text[0] in self._syntax.signs

    def _ask_for_near(self, node: Near, inside: bool) -> _Search | None:
        self._note(f"{self._title} has no NEAR: how near the words of {{}} stand is looked at here.", written(node))
        sides = [side[0] if len(side) == 1 else Or(side) for side in (node.left, node.right)]
        return self._ask_for_both(And(tuple(sides)), inside)

    def _ask_for_author(self, node: Author) -> _Search | None:
        author = self._author(node)
        if author is not None:
            return self._if_it_fits(_Search((author,)), node)
        self._note(f"{self._title} cannot be searched by {{}}: that is looked at here.", written(node))
        return None

    def _author(self, node: Author) -> str | None:
        name = node.name.lstrip("@")
        known = self._syntax.author and re.fullmatch(self._syntax.author_names, name)
        return self._syntax.author.format(name) if known else None

    def _ask_for_language(self, node: Node) -> _Search | None:
        if isinstance(node, Language) and self._syntax.language:
            return _Search((self._syntax.language.format(node.code),), selective=False)
        unknown = "that is looked at here, and a post whose language it does not tell is kept."
        self._note(f"{self._title} cannot be searched by {{}}: {unknown}", written(node))
        return None


def _listed(things: Sequence[str]) -> str:
    return things[0] if len(things) == 1 else f"{', '.join(things[:-1])} and {things[-1]}" if things else ""


def _first_position(node: Node) -> int:
    while isinstance(node, And | Or | Not):
        node = node.part if isinstance(node, Not) else node.parts[0] if node.parts else Words("")
    return node.position


def _grouped(string: str) -> str:
    """The string in parentheses where a blank parts it on its highest level."""
    depth, quoted = 0, False
    for character in string:
        quoted ^= character == '"'
        depth += 0 if quoted else (character == "(") - (character == ")")
        if character == " " and not depth and not quoted:
            return f"({string})"
    return string


def _is_plain(text: str) -> bool:
    """Whether it is one word that no platform takes for anything else; a # or @ may stand before it."""
    bare = text[1:] if text[0] in "#@" else text
    return bool(bare) and all(map(_is_lettered, bare)) and bare.upper() not in ("AND", "OR", "NOT", "NEAR", "TO")


def _is_lettered(character: str) -> bool:
    return unicodedata.category(character)[0] in "LNM"


def _plain_words(text: str) -> list[str]:
    """The words without whatever stands between them, in the spelling that was typed."""
    spaced = "".join(character if _is_lettered(character) else " " for character in text)
    return spaced.split()


def _without_last_word(text: str) -> str:
    """All but the word that a wildcard lets go on; the platform is then asked for the others."""
    end = len(text)
    while end and _is_lettered(text[end - 1]):
        end -= 1
    return text[:end].rstrip() if _plain_words(text[:end]) else ""


def _quotable(text: str) -> str:
    """What may stand in a platform's quotation marks: blanks are single, and nothing in it escapes them."""
    return " ".join(re.sub(r'["\\]', " ", text).split())


def operators(syntax: Syntax) -> Sequence[bool]:
    """Whether a platform is asked itself for each of `OPERATORS`; otherwise it is done here."""
    has = (
        True, syntax.phrase, syntax.together, syntax.either, syntax.without, syntax.prefix, False, syntax.author,
        syntax.language, syntax.signs,
    )  # fmt: skip
    return [bool(one) for one in has]


OPERATORS = (
    "word", '"phrase"', "AND", "OR", "NOT, -", "wild*", "NEAR/n", "author:", "lang:", "#tag, @name",
)  # fmt: skip
"""What the language has, as the table in docs/queries.md heads its columns."""
