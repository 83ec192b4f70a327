"""What a search asks for, as a tree, and how the database looks for it.

`dialogue.search` makes these nodes of the query language. A node speaks of one mention; a conversation is found when
one of its mentions is.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
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
class Near:
    """One of `left` and one of `right`, whichever comes first, with at most `within` words between them."""

    left: tuple[Words, ...]
    right: tuple[Words, ...]
    within: int


@dataclass(frozen=True, slots=True)
class Author:
    """Written by the account with this handle, whatever its case, with or without the @.

    A name with a blank in it may also be the one that is shown.
    """

    name: str


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


Node: TypeAlias = Words | Near | Author | Language | Platform | All | Any_ | Not


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
        if isinstance(node, Words | Near):
            return self._found(node)
        if isinstance(node, Author):
            # Both sides are folded by the database: SQLite folds ASCII letters only.
            name = func.lower(node.name.lstrip("@"))
            called = func.lower(func.ltrim(Identity.handle, "@")) == name
            if " " in node.name:
                called = or_(called, func.lower(Identity.display_name) == name)
            return func.coalesce(col(Mention.identity_id), 0).in_(select(col(Identity.id)).where(called))
        if isinstance(node, Platform):
            return col(Mention.platform) == node.name.lower()
        spoken = select(col(EffectiveTag.mention_id)).where(col(EffectiveTag.language) == node.code.lower())
        return col(Mention.id).in_(spoken)

    def _found(self, node: Words | Near) -> ColumnElement[bool]:
        self.bound += 1
        name = f"words_{self.bound}"
        if self.on_sqlite:
            found: Any = text(f"SELECT rowid FROM mention_search WHERE mention_search MATCH :{name}")
            return col(Mention.id).in_(found.bindparams(**{name: _for_fts5(node)}))
        read, value = "to_tsquery", _for_tsquery(node)
        if isinstance(node, Words) and not node.prefix:
            read, value = "phraseto_tsquery", node.text
        found = text(f"SELECT mention_id FROM mention_search WHERE document @@ {read}('simple', :{name})")
        return col(Mention.id).in_(found.bindparams(**{name: value}))


def _for_fts5(node: Words | Near) -> str:
    if isinstance(node, Near):
        pairs = product(map(_for_fts5, node.left), map(_for_fts5, node.right))
        return " OR ".join(f"NEAR({left} {right}, {node.within})" for left, right in pairs)
    # Doubled quotes make an FTS5 string: nothing in it is syntax.
    return '"' + node.text.replace('"', '""') + '"' + (" *" if node.prefix else "")


def _for_tsquery(node: Words | Near) -> str:
    if isinstance(node, Near):
        left, right = (f"({' | '.join(map(_for_tsquery, side))})" for side in (node.left, node.right))
        # <n> means exactly n places on, so that every distance is named, in both directions.
        steps = [f"<{places}>" for places in range(1, node.within + 2)]
        return " | ".join(f"{one} {step} {other}" for step in steps for one, other in ((left, right), (right, left)))
    # In single quotes nothing is syntax. What holds no letter or number has no place in a document either.
    words = [word for word in node.text.split() if any(character.isalnum() for character in word)]
    lexemes = ["'" + word.replace("\\", "\\\\").replace("'", "''") + "'" for word in words]
    return f"({' <-> '.join(lexemes)}{':*' if node.prefix else ''})"
