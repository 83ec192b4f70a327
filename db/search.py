"""What a search asks for, as a tree, and how the database looks for it.

`dialogue.search` parses the query language into these nodes. A node speaks of one mention; a conversation is found when
one of its mentions is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, and_, func, not_, or_, text
from sqlmodel import col, select

from db.engine import Transaction
from db.tables import EffectiveTag, Identity, Mention


@dataclass(frozen=True, slots=True)
class Words:
    """One word or several in this order; `prefix` lets the last one go on ('deliver*')."""

    text: str
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class Author:
    """Written by the account with this handle, whatever its case, with or without the @."""

    handle: str


@dataclass(frozen=True, slots=True)
class Language:
    """Written in this language, an ISO 639-1 code."""

    code: str


@dataclass(frozen=True, slots=True)
class Platform:
    """Posted on this platform, by its name such as bluesky."""

    name: str


@dataclass(frozen=True, slots=True)
class All:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Any_:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: Node


Node: TypeAlias = Words | Author | Language | Platform | All | Any_ | Not


def matches(tx: Transaction, node: Node) -> ColumnElement[bool]:
    """The condition on `mentions` that stands for the tree. Every user's word goes in as a bound value."""
    return _Compiler(tx.on_sqlite).condition(node)


class _Compiler:
    def __init__(self, on_sqlite: bool) -> None:
        self.on_sqlite = on_sqlite
        self.bound = 0

    def condition(self, node: Node) -> ColumnElement[bool]:
        if isinstance(node, All):
            return and_(*map(self.condition, node.parts))
        if isinstance(node, Any_):
            return or_(*map(self.condition, node.parts))
        if isinstance(node, Not):
            return not_(self.condition(node.part))
        if isinstance(node, Words):
            return self._words(node)
        if isinstance(node, Author):
            # Both sides are folded by the database: SQLite folds ASCII letters only.
            handle = func.lower(node.handle.lstrip("@"))
            written = select(col(Identity.id)).where(func.lower(func.ltrim(Identity.handle, "@")) == handle)
            return func.coalesce(col(Mention.identity_id), 0).in_(written)
        if isinstance(node, Platform):
            return col(Mention.platform) == node.name.lower()
        spoken = select(col(EffectiveTag.mention_id)).where(col(EffectiveTag.language) == node.code.lower())
        return col(Mention.id).in_(spoken)

    def _words(self, node: Words) -> ColumnElement[bool]:
        self.bound += 1
        name = f"words_{self.bound}"
        if self.on_sqlite:
            # Doubled quotes make an FTS5 string: nothing in it is syntax.
            phrase = '"' + node.text.replace('"', '""') + '"' + ("*" if node.prefix else "")
            found: Any = text(f"SELECT rowid FROM mention_search WHERE mention_search MATCH :{name}")
            return col(Mention.id).in_(found.bindparams(**{name: phrase}))
        query = f"phraseto_tsquery('simple', :{name})"
        value = node.text
        if node.prefix:
            query = f"to_tsquery('simple', :{name})"
            lexemes = ["'" + word.replace("\\", "\\\\").replace("'", "''") + "'" for word in node.text.split()]
            value = reduce(lambda left, right: f"{left} <-> {right}", lexemes) + ":*"
        found = text(f"SELECT mention_id FROM mention_search WHERE document @@ {query}")
        return col(Mention.id).in_(found.bindparams(**{name: value}))
