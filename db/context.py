"""What mentions refer to: posts that are shown beside them so that one understands them, and that no query found.

They are no mentions: nobody counts, tags, finds or exports them. They go with what they were kept for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update

from db.engine import Transaction
from db.sql import chunks, insert_many, table
from db.tables import Mention, MentionContext, PlatformAccount

LONGEST = 2_000
"""Characters that are kept of each: enough to see what a mention speaks of."""
EACH = 4
"""Posts that are kept for one mention at most."""

_context = table(MentionContext)
_mentions = table(Mention)
_accounts = table(PlatformAccount)


@dataclass(frozen=True, slots=True)
class NewContext:
    """A post that a mention answers, quotes or stands under; checked and clean. Times are UTC-aware."""

    external_id: str
    text: str
    posted_at: datetime
    author_id: str | None = None
    author_name: str = ""
    url: str | None = None
    title: str | None = None


@dataclass(frozen=True, slots=True)
class ContextRow:
    """Such a post as it is kept for a mention. `ours`: written by one of our own accounts."""

    id: int
    mention_id: int
    external_id: str
    author_name: str
    url: str | None
    title: str | None
    text: str
    posted_at: datetime
    ours: bool


def keep(tx: Transaction, found: Mapping[int, Sequence[NewContext]]) -> None:
    """Keeps what these mentions refer to, by their ids, in place of what was kept for them before."""
    for some in chunks(list(found)):
        tx.connection.execute(delete(_context).where(_context.c.mention_id.in_(some)))
    rows = [
        {
            "mention_id": mention_id, "external_id": one.external_id, "author_id": one.author_id,
            "author_name": one.author_name, "url": one.url, "posted_at": one.posted_at, **_words(one),
        }
        for mention_id, posts in found.items()
        for one in {one.external_id: one for one in posts[:EACH]}.values()
    ]  # fmt: skip
    insert_many(tx, _context, rows)


def renew(tx: Transaction, platform: str, posts: Sequence[NewContext]) -> None:
    """Has these say what they say now, wherever they are kept."""
    for one in posts:
        tx.connection.execute(update(_context).where(_of_platform(platform, [one.external_id])).values(_words(one)))


def _words(one: NewContext) -> dict[str, str | None]:
    return {"title": one.title, "text": one.text if len(one.text) <= LONGEST else f"{one.text[: LONGEST - 1]}…"}


def of(tx: Transaction, mention_ids: Sequence[int]) -> list[ContextRow]:
    """What these mentions refer to, oldest first."""
    us = (
        select(_accounts.c.id)
        .join(_mentions, _mentions.c.platform == _accounts.c.platform)
        .where(_mentions.c.id == _context.c.mention_id, _accounts.c.external_id == _context.c.author_id)
    )
    columns = [_context.c[name] for name in ContextRow.__slots__ if name != "ours"]
    found: list[ContextRow] = []
    for some in chunks(mention_ids):
        query: Any = select(*columns, us.exists().label("ours")).where(_context.c.mention_id.in_(some))
        found += [ContextRow(*row) for row in tx.connection.execute(query)]
    return sorted(found, key=lambda one: (one.posted_at, one.id))


def ids(tx: Transaction, mention_ids: Sequence[int]) -> list[str]:
    """The ids, on their platform, of what these mentions refer to."""
    query = select(_context.c.external_id).where(_context.c.mention_id.in_(list(mention_ids)))
    return list(tx.connection.execute(query.distinct().order_by(_context.c.external_id)).scalars())


def known(tx: Transaction, platform: str, external_ids: Sequence[str]) -> list[str]:
    """Those of these that are kept here."""
    found: list[str] = []
    for some in chunks(list(external_ids)):
        query = select(_context.c.external_id).where(_of_platform(platform, some))
        found += tx.connection.execute(query.distinct()).scalars()
    return found


def written_by(tx: Transaction, platform: str, author_ids: Sequence[str]) -> list[str]:
    """The ids, on their platform, of what is kept of these authors in this way."""
    theirs = select(_mentions.c.id).where(_mentions.c.id == _context.c.mention_id, _mentions.c.platform == platform)
    query = select(_context.c.external_id).where(_context.c.author_id.in_(list(author_ids)), theirs.exists())
    return list(tx.connection.execute(query.distinct()).scalars())


def forget(tx: Transaction, platform: str, external_ids: Sequence[str]) -> None:
    """Removes these wherever they are kept."""
    for some in chunks(list(external_ids)):
        tx.connection.execute(delete(_context).where(_of_platform(platform, some)))


def _of_platform(platform: str, external_ids: Sequence[str]) -> Any:
    theirs = select(_mentions.c.id).where(_mentions.c.id == _context.c.mention_id, _mentions.c.platform == platform)
    return _context.c.external_id.in_(external_ids) & theirs.exists()
