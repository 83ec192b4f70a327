"""Words for what tests put into the database."""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime, timedelta
from typing import Any

from db import mentions, tags
from db.engine import Transaction
from db.mentions import NewMention, Stored
from db.tables import Source
from dialogue.context import Context


def digest(text: str) -> str:
    return hmac.new(b"test", text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def post(external_id: str, text: str = "The hinge squeaks", **fields: Any) -> NewMention:
    """A post by Björk on 'forum', an hour before noon, unless `fields` say otherwise."""
    values: dict[str, Any] = {
        "platform": "forum", "external_id": external_id, "kind": "post", "text": text,
        "posted_at": datetime.fromisoformat("2026-11-20T11:00:00+00:00"),
        "author_id": "bjork", "author_handle": "@bjork", "author_name": "Björk",
    } | fields  # fmt: skip
    return NewMention(**values)


def add_source(ctx: Context, label: str = "Forum", **fields: Any) -> int:
    """A source on 'forum'; its id."""
    values: dict[str, Any] = {"platform": "forum", "label": label, "created_at": ctx.clock()} | fields
    with ctx.database.transaction() as tx:
        source = Source(**values)
        tx.session.add(source)
        tx.session.flush()
        assert source.id is not None
        return source.id


def store(ctx: Context, *posts: NewMention, source_id: int | None = None) -> Stored:
    """Stores posts as one page at the clock's time."""
    with ctx.database.transaction() as tx:
        return mentions.upsert(tx, posts, now=ctx.clock(), digest=digest, source_id=source_id)


def said(sentiment: str = "neutral", intent: str = "other", *topics: str, model: str = "m1") -> tags.TagValues:
    """What a model says of a text."""
    return tags.TagValues(
        "en", sentiment, 0.2, 0.6, 0.2, intent, 0.9, tuple((topic, 0.8) for topic in topics), b"\0\0", model
    )


def tag(ctx: Context, values: tags.TagValues, *, zone: str = "UTC") -> int:
    """Tags everything that waits for it the same way; how many."""
    with ctx.database.transaction() as tx:
        held = tags.claim(tx, ctx.clock(), timedelta(minutes=1), 10_000)
    with ctx.database.transaction() as tx:
        return tags.store(tx, [(one, values) for one in held], zone, ctx.clock())


def rows(tx: Transaction, sql: str) -> list[tuple[Any, ...]]:
    """What a query finds, as plain tuples."""
    return [tuple(row) for row in tx.connection.exec_driver_sql(sql)]


def look(ctx: Context, sql: str) -> list[tuple[Any, ...]]:
    """`rows` in a reading transaction of its own."""
    with ctx.database.reading() as tx:
        return rows(tx, sql)
