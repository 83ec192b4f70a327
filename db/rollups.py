"""Tagged mentions counted by day, exact at every commit.

A mention counts once in `all`, `intent` and `platform`, and once for each of its topics and sources in `topic` and
`source`. A copy counts like any other: being shared is being heard. Our own posts and what is set aside count nowhere.
Whatever changes what a mention counts for does it inside `kept`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import TypeAlias
from zoneinfo import ZoneInfo

from sqlalchemy import String, bindparam, cast, delete, func, literal, select, update

from db.engine import Transaction
from db.sql import chunks, insert, one_at_a_time, table
from db.tables import EffectiveTag, Mention, MentionSource, MentionTopic, Rollup

Key: TypeAlias = tuple[date, str, str, str]
"""day, dimension, key, sentiment."""
Counts: TypeAlias = "Counter[Key]"

_rollups = table(Rollup)
_effective = table(EffectiveTag)
_mentions = table(Mention)
_topics = table(MentionTopic)
_sources = table(MentionSource)


@contextmanager
def kept(tx: Transaction, mention_ids: Iterable[int]) -> Iterator[None]:
    """Keeps the rollups exact over whatever the block does to these mentions, their tags, topics and sources."""
    one_at_a_time(tx)
    ids = sorted(set(mention_ids))
    before = contribution(tx, ids)
    yield
    tx.session.flush()
    after = contribution(tx, ids)
    after.subtract(before)
    _add(tx, after)


def contribution(tx: Transaction, ids: Sequence[int]) -> Counts:
    """What these mentions count for now."""
    counts: Counts = Counter()
    for some in chunks(ids):
        counted: dict[int, tuple[date, str]] = {}
        of_mentions = (
            select(_mentions.c.id, _effective.c.day, _effective.c.sentiment, _effective.c.intent, _mentions.c.platform)
            .join(_effective, _effective.c.mention_id == _mentions.c.id)
            .where(_mentions.c.id.in_(some), _mentions.c.ours.is_(False), _mentions.c.set_aside.is_(False))
        )
        for id_, day, sentiment, intent, platform in tx.connection.execute(of_mentions):
            counted[id_] = (day, sentiment)
            counts[day, "all", "", sentiment] += 1
            counts[day, "intent", intent, sentiment] += 1
            counts[day, "platform", platform, sentiment] += 1
        of_topics = select(_topics.c.mention_id, _topics.c.topic).where(_topics.c.mention_id.in_(some))
        of_sources = select(_sources.c.mention_id, _sources.c.source_id).where(_sources.c.mention_id.in_(some))
        for dimension, query in (("topic", of_topics), ("source", of_sources)):
            for id_, key in tx.connection.execute(query):
                if id_ in counted:
                    day, sentiment = counted[id_]
                    counts[day, dimension, str(key), sentiment] += 1
    return counts


def _add(tx: Transaction, changes: Counts) -> None:
    changed = [(*key, change) for key, change in sorted(changes.items()) if change]
    if not changed:
        return
    rows = [dict(zip((*_KEY, "count"), row, strict=True)) for row in changed]
    statement = insert(tx, _rollups)
    tx.connection.execute(
        statement.on_conflict_do_update(
            index_elements=["day", "dimension", "key", "sentiment"],
            set_={"count": _rollups.c["count"] + statement.excluded["count"]},
        ),
        rows,
    )
    lowered = [
        {f"b_{name}": value for name, value in zip(_KEY, key, strict=True)} for *key, change in changed if change < 0
    ]
    if lowered:
        tx.connection.execute(
            delete(_rollups)
            .where(*(_rollups.c[name] == bindparam(f"b_{name}") for name in _KEY))
            .where(_rollups.c["count"] == 0),
            lowered,
        )


_KEY = ("day", "dimension", "key", "sentiment")


def counts(tx: Transaction) -> Counts:
    """All rollups as they are stored."""
    return Counter(
        {
            (row.day, row.dimension, row.key, row.sentiment): row._mapping["count"]
            for row in tx.connection.execute(select(_rollups))
        }
    )


def recount(tx: Transaction, zone: str) -> None:
    """Counts everything anew, by days of `zone`: after the workspace's time zone was changed."""
    one_at_a_time(tx)
    _set_days(tx, ZoneInfo(zone))
    tx.connection.execute(delete(_rollups))
    base = _effective.join(_mentions, _mentions.c.id == _effective.c.mention_id)
    with_topics = base.join(_topics, _topics.c.mention_id == _mentions.c.id)
    with_sources = base.join(_sources, _sources.c.mention_id == _mentions.c.id)
    dimensions = (
        ("all", literal(""), base),
        ("intent", _effective.c.intent, base),
        ("platform", _mentions.c.platform, base),
        ("topic", _topics.c.topic, with_topics),
        ("source", cast(_sources.c.source_id, String), with_sources),
    )
    for dimension, key, rows in dimensions:
        grouped = (
            select(_effective.c.day, literal(dimension), key, _effective.c.sentiment, func.count())
            .select_from(rows)
            .where(_mentions.c.ours.is_(False), _mentions.c.set_aside.is_(False))
            .group_by(_effective.c.day, key, _effective.c.sentiment)
        )
        tx.connection.execute(_rollups.insert().from_select([*_KEY, "count"], grouped))


def _set_days(tx: Transaction, zone: ZoneInfo) -> None:
    last = 0
    while True:
        query = (
            select(_effective.c.mention_id, _mentions.c.posted_at, _effective.c.day)
            .join(_mentions, _mentions.c.id == _effective.c.mention_id)
            .where(_effective.c.mention_id > last)
            .order_by(_effective.c.mention_id)
            .limit(10_000)
        )
        rows = tx.connection.execute(query).all()
        if not rows:
            return
        last = rows[-1].mention_id
        moved = [
            {"b_id": row.mention_id, "b_day": day}
            for row in rows
            if (day := row.posted_at.astimezone(zone).date()) != row.day
        ]
        if moved:
            tx.connection.execute(
                update(_effective).where(_effective.c.mention_id == bindparam("b_id")).values(day=bindparam("b_day")),
                moved,
            )
