"""The short way into SQLite writes what the long way writes."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from db.sql import insert_many, reserve, table
from db.tables import Mention
from dialogue.context import Context
from tests.conftest import NOON
from tests.worlds import look, post, store

_mentions = table(Mention)


def _row(**fields: Any) -> dict[str, Any]:
    blank: dict[str, Any] = {
        "platform": "forum", "kind": "post", "url": None, "conversation_id": 1, "text": "Ä \U0001f6aa",
        "text_hash": "h", "collected_at": NOON + timedelta(microseconds=7),
        "rating": 4.5, "posted_at": NOON, "posted_at_estimated": True, "mentions": ["a", "ö"], "engagement": {},
        "checked_at": datetime(2026, 6, 1, tzinfo=timezone(timedelta(hours=2))),
        "ours": False, "tagged_at": None, "fence": 0, "sample": False,
    }  # fmt: skip
    return blank | fields


def test_both_ways_store_the_same(any_ctx: Context) -> None:
    store(any_ctx, post("first"))
    with any_ctx.database.transaction() as tx:
        short, long = reserve(tx, _mentions, 2)
        insert_many(tx, _mentions, [_row(id=short, external_id="short")])
        tx.connection.execute(_mentions.insert(), [_row(id=long, external_id="long")])
    columns = ", ".join(column.name for column in _mentions.c if column.name not in ("id", "external_id"))
    one, other = look(any_ctx, f"SELECT {columns} FROM mentions WHERE id IN ({short}, {long}) ORDER BY id")
    assert list(map(str, one)) == list(map(str, other))


def test_reserved_ids_are_nobody_elses(any_ctx: Context) -> None:
    store(any_ctx, post("1"))
    with any_ctx.database.transaction() as tx:
        reserved = reserve(tx, _mentions, 3)
        assert reserve(tx, _mentions, 0) == []
    assert len(set(reserved)) == 3
    assert not {row[0] for row in look(any_ctx, "SELECT id FROM mentions")} & set(reserved)
