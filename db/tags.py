"""What the model said of a mention, and what is shown and counted: that, with corrections laid over it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import bindparam, delete, func, or_, select, update

from db import rollups
from db.engine import Transaction
from db.sql import chunks, insert, table
from db.tables import Conversation, Correction, EffectiveTag, Mention, MentionTopic, Tag, Topic

_mentions = table(Mention)
_tags = table(Tag)
_effective = table(EffectiveTag)
_topics = table(MentionTopic)
_corrections = table(Correction)
_conversations = table(Conversation)
_taxonomy = table(Topic)

TOGETHER = 3
"""How often a mention is read with others at most."""


@dataclass(frozen=True, slots=True)
class Untagged:
    """A mention that a worker holds until its lease runs out. `fence` names the claim."""

    id: int
    fence: int
    title: str | None
    text: str
    text_hash: str


@dataclass(frozen=True, slots=True)
class TagValues:
    """What a model says of one text. `topics` are (name, score), best first; `embedding` as `analysis` makes it."""

    language: str
    sentiment: str
    negative: float
    neutral: float
    positive: float
    intent: str
    intent_score: float
    topics: tuple[tuple[str, float], ...]
    embedding: bytes
    model: str


@dataclass(frozen=True, slots=True)
class Effective:
    """What is shown and counted. A topic that a person named has the score 1."""

    language: str
    sentiment: str
    intent: str
    topics: tuple[tuple[str, float], ...]


def claim(tx: Transaction, now: datetime, lease: timedelta, limit: int) -> list[Untagged]:
    """Takes up to `limit` untagged mentions that no worker holds, the newest first: people wait for those.

    What was taken `TOGETHER` times and never tagged may be what stops the worker: it is taken last and alone, and each
    time for four times as long, so that one text that cannot be read keeps no other from being read.
    """
    rows = _free(tx, now, limit, _mentions.c.fence < TOGETHER)
    if not rows:
        rows = _free(tx, now, 1, _mentions.c.fence >= TOGETHER)
        lease *= 4 ** min(rows[0].fence - TOGETHER, 5) if rows else 1
    if rows:
        tx.connection.execute(
            update(_mentions)
            .where(_mentions.c.id.in_([row.id for row in rows]))
            .values(fence=_mentions.c.fence + 1, lease_until=now + lease)
        )
    return [Untagged(row.id, row.fence + 1, row.title, row.text, row.text_hash) for row in rows]


def _free(tx: Transaction, now: datetime, limit: int, taken: Any) -> Sequence[Any]:
    free = or_(_mentions.c.lease_until.is_(None), _mentions.c.lease_until < now)
    query = (
        select(_mentions.c.id, _mentions.c.fence, _mentions.c.title, _mentions.c.text, _mentions.c.text_hash)
        .where(_mentions.c.tagged_at.is_(None), free, taken)
        .order_by(_mentions.c.id.desc())
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return tx.connection.execute(query).all()


def any_free(tx: Transaction, now: datetime) -> bool:
    """Whether there is an untagged mention that no worker holds."""
    free = or_(_mentions.c.lease_until.is_(None), _mentions.c.lease_until < now)
    query = select(_mentions.c.id).where(_mentions.c.tagged_at.is_(None), free).limit(1)
    return tx.connection.execute(query).first() is not None


def release(tx: Transaction, claimed: Sequence[Untagged]) -> None:
    """Gives back what was claimed and will not be tagged now; what was taken alone rests until its lease runs out."""
    together = [one for one in claimed if one.fence <= TOGETHER]
    if not together:
        return
    tx.connection.execute(
        update(_mentions)
        .where(_mentions.c.id == bindparam("b_id"), _mentions.c.fence == bindparam("b_fence"))
        .values(lease_until=None),
        [{"b_id": one.id, "b_fence": one.fence} for one in together],
    )


def ask_again(tx: Transaction, after: int, limit: int) -> list[int]:
    """Asks for the next mentions with a greater id that have tags to be tagged anew; their ids, ascending.

    Until then the old tags are shown and counted.
    """
    query = (
        select(_mentions.c.id)
        .join(_tags, _tags.c.mention_id == _mentions.c.id)
        .where(_mentions.c.id > after, _mentions.c.tagged_at.is_not(None))
        .order_by(_mentions.c.id)
        .limit(limit)
    )
    ids = list(tx.connection.execute(query).scalars())
    for some in chunks(ids):
        tx.connection.execute(
            update(_mentions).where(_mentions.c.id.in_(some)).values(tagged_at=None, lease_until=None, fence=0)
        )
    return ids


def waiting(tx: Transaction) -> int:
    """How many mentions have no tags yet."""
    return tx.connection.execute(select(func.count()).where(_mentions.c.tagged_at.is_(None))).scalar_one()


def known(tx: Transaction, text_hashes: Sequence[str], model: str) -> dict[str, TagValues]:
    """What this very model said of equal texts before, by their hash."""
    found: dict[str, TagValues] = {}
    for some in chunks(list(dict.fromkeys(text_hashes))):
        query = select(_tags).where(_tags.c.text_hash.in_(some), _tags.c.model == model)
        for row in tx.connection.execute(query):
            found.setdefault(row.text_hash, _values(row))
    return found


def _values(row: Any) -> TagValues:
    return TagValues(
        row.language, row.sentiment, row.negative, row.neutral, row.positive, row.intent, row.intent_score,
        _named(row.topics), row.embedding, row.model,
    )  # fmt: skip


def store(tx: Transaction, tagged: Sequence[tuple[Untagged, TagValues]], zone: str, now: datetime) -> int:
    """Writes the tags of those mentions that are still held by this claim and still say the same; returns how many.

    A mention that was edited, claimed by another worker or deleted meanwhile is left alone. `zone` is the workspace's.
    """
    with rollups.kept(tx, [held.id for held, _ in tagged]):
        current = _current_claims(tx, [held.id for held, _ in tagged])
        good = [(held, values) for held, values in tagged if current.get(held.id) == (held.fence, held.text_hash)]
        if good:
            _write(tx, good, now)
            _lay(tx, [held.id for held, _ in good], zone)
    _tell_conversations(tx, [held.id for held, _ in good])
    return len(good)


def _current_claims(tx: Transaction, ids: Sequence[int]) -> dict[int, tuple[int, str]]:
    found: dict[int, tuple[int, str]] = {}
    for some in chunks(ids):
        query = select(_mentions.c.id, _mentions.c.fence, _mentions.c.text_hash).where(_mentions.c.id.in_(some))
        found.update({row.id: (row.fence, row.text_hash) for row in tx.connection.execute(query)})
    return found


def _write(tx: Transaction, tagged: Sequence[tuple[Untagged, TagValues]], now: datetime) -> None:
    statement = insert(tx, _tags)
    columns = {column.name: statement.excluded[column.name] for column in _tags.c if not column.primary_key}
    tx.connection.execute(
        statement.on_conflict_do_update(index_elements=["mention_id"], set_=columns),
        [
            {
                "mention_id": held.id,
                "text_hash": held.text_hash,
                "language": values.language,
                "sentiment": values.sentiment,
                "negative": values.negative,
                "neutral": values.neutral,
                "positive": values.positive,
                "intent": values.intent,
                "intent_score": values.intent_score,
                "topics": [{"name": name, "score": score} for name, score in values.topics],
                "embedding": values.embedding,
                "model": values.model,
                "tagged_at": now,
            }
            for held, values in tagged
        ],
    )
    tx.connection.execute(
        update(_mentions).where(_mentions.c.id == bindparam("b_id")).values(tagged_at=now, lease_until=None),
        [{"b_id": held.id} for held, _ in tagged],
    )


def reapply(tx: Transaction, mention_id: int, zone: str) -> None:
    """Lays the corrections over the model's tags anew, after one was added or withdrawn; the rollups stay exact.

    A mention that has no tags yet is left alone: its corrections count once it has. `zone` is the workspace's.
    """
    tx.session.flush()
    with rollups.kept(tx, [mention_id]):
        _lay(tx, [mention_id], zone)
    _tell_conversations(tx, [mention_id])


@dataclass(frozen=True, slots=True)
class Embedded:
    """What is stored of a mention's meaning. `language` is what the model said, `shown` are its topics;
    `corrected` those that people named, if any."""

    id: int
    embedding: bytes
    model: str
    language: str
    topics: tuple[tuple[str, float], ...]
    shown: tuple[str, ...]
    corrected: tuple[str, ...] | None


def count(tx: Transaction) -> int:
    """How many mentions have tags."""
    return tx.connection.execute(select(func.count()).select_from(_tags)).scalar_one()


def embedded(tx: Transaction, limit: int, before_id: int | None = None, *, everything: bool = False) -> list[Embedded]:
    """Tagged mentions, the newest first, those before `before_id` where one is given.

    Only those that count, unless `everything` is asked for: then our own posts and what is set aside, too.
    """
    query = (
        select(_tags.c.mention_id, _tags.c.embedding, _tags.c.model, _tags.c.language, _tags.c.topics)
        .order_by(_tags.c.mention_id.desc())
        .limit(limit)
    )
    if not everything:
        query = query.join(_mentions, _mentions.c.id == _tags.c.mention_id).where(
            _mentions.c.ours.is_(False), _mentions.c.set_aside.is_(False)
        )
    if before_id is not None:
        query = query.where(_tags.c.mention_id < before_id)
    rows = tx.connection.execute(query).all()
    shown: defaultdict[int, list[str]] = defaultdict(list)
    corrected: dict[int, dict[str, list[str]]] = {}
    for some in chunks([row.mention_id for row in rows]):
        corrected |= _corrected(tx, some)
        for id_, name in tx.connection.execute(
            select(_topics.c.mention_id, _topics.c.topic)
            .where(_topics.c.mention_id.in_(some))
            .order_by(_topics.c.score.desc(), _topics.c.topic)
        ):
            shown[id_].append(name)
    return [
        Embedded(
            row.mention_id, row.embedding, row.model, row.language, _named(row.topics), tuple(shown[row.mention_id]),
            _named_by_people(corrected.get(row.mention_id, {})),
        )
        for row in rows
    ]  # fmt: skip


def _named(topics: Sequence[dict[str, Any]]) -> tuple[tuple[str, float], ...]:
    return tuple((topic["name"], topic["score"]) for topic in topics)


def _named_by_people(corrected: dict[str, list[str]]) -> tuple[str, ...] | None:
    return tuple(corrected["topics"]) if "topics" in corrected else None


def retag(tx: Transaction, topics: Sequence[tuple[int, tuple[tuple[str, float], ...], str]], zone: str) -> None:
    """Writes other topics of the model for mentions that have tags, as (id, topics, model); corrections still win.

    `zone` is the workspace's.
    """
    ids = [id_ for id_, _, _ in topics]
    if not ids:
        return
    with rollups.kept(tx, ids):
        tx.connection.execute(
            update(_tags)
            .where(_tags.c.mention_id == bindparam("b_id"))
            .values(topics=bindparam("b_topics"), model=bindparam("b_model")),
            [
                {"b_id": id_, "b_topics": [{"name": name, "score": score} for name, score in found], "b_model": model}
                for id_, found, model in topics
            ],
        )
        _lay(tx, ids, zone)


def effective(said: TagValues, corrected: dict[str, list[str]]) -> Effective:
    """`said` with the corrections, by field, laid over it."""

    def one(field: str, value: str) -> str:
        return corrected[field][0] if corrected.get(field) else value

    topics = said.topics
    if "topics" in corrected:
        topics = tuple((name, 1.0) for name in dict.fromkeys(corrected["topics"]))
    return Effective(
        one("language", said.language), one("sentiment", said.sentiment), one("intent", said.intent), topics
    )


def _lay(tx: Transaction, ids: Sequence[int], zone: str) -> None:
    """Writes what is shown and counted of these mentions."""
    days = ZoneInfo(zone)
    shown: list[dict[str, Any]] = []
    topics: list[dict[str, Any]] = []
    # A topic that was deleted may still be named by a correction, which counts again should the topic come back.
    taxonomy = set(tx.connection.execute(select(_taxonomy.c.name)).scalars())
    for some in chunks(ids):
        corrected = _corrected(tx, some)
        query = select(_tags, _mentions.c.posted_at).join(_mentions).where(_tags.c.mention_id.in_(some))
        for row in tx.connection.execute(query):
            said = effective(_values(row), corrected[row.mention_id])
            day = row.posted_at.astimezone(days).date()
            shown.append(
                {
                    "mention_id": row.mention_id,
                    "language": said.language,
                    "sentiment": said.sentiment,
                    "intent": said.intent,
                    "day": day,
                }  # fmt: skip
            )
            topics += [
                {"mention_id": row.mention_id, "topic": name, "score": score}
                for name, score in said.topics
                if name in taxonomy or not taxonomy
            ]
    if not shown:
        return
    statement = insert(tx, _effective)
    columns = {column.name: statement.excluded[column.name] for column in _effective.c if not column.primary_key}
    tx.connection.execute(statement.on_conflict_do_update(index_elements=["mention_id"], set_=columns), shown)
    for some in chunks([row["mention_id"] for row in shown]):
        tx.connection.execute(delete(_topics).where(_topics.c.mention_id.in_(some)))
    if topics:
        tx.connection.execute(insert(tx, _topics).on_conflict_do_nothing(), topics)


def _corrected(tx: Transaction, ids: Sequence[int]) -> defaultdict[int, dict[str, list[str]]]:
    """The corrections that stand, by mention and field; the latest where there are several."""
    query = (
        select(_corrections.c.mention_id, _corrections.c.field, _corrections.c.value)
        .where(_corrections.c.mention_id.in_(ids), _corrections.c.withdrawn_at.is_(None))
        .order_by(_corrections.c.id)
    )
    found: defaultdict[int, dict[str, list[str]]] = defaultdict(dict)
    for mention_id, field, value in tx.connection.execute(query):
        found[mention_id][field] = value
    return found


def _tell_conversations(tx: Transaction, ids: Sequence[int]) -> None:
    """Carries the tags of each conversation's latest mention into the row that the inbox reads."""
    rows: list[dict[str, Any]] = []
    for some in chunks(ids):
        query = (
            select(_mentions.c.conversation_id, _mentions.c.id, _effective.c.sentiment, _effective.c.intent)
            .join(_effective, _effective.c.mention_id == _mentions.c.id)
            .where(_mentions.c.id.in_(some))
        )
        rows += [
            {
                "b_conversation": row.conversation_id,
                "b_mention": row.id,
                "b_sentiment": row.sentiment,
                "b_intent": row.intent,
            }
            for row in tx.connection.execute(query)
        ]
    if rows:
        tx.connection.execute(
            update(_conversations)
            .where(
                _conversations.c.id == bindparam("b_conversation"),
                _conversations.c.latest_mention_id == bindparam("b_mention"),
            )
            .values(sentiment=bindparam("b_sentiment"), intent=bindparam("b_intent")),
            sorted(rows, key=lambda row: row["b_conversation"]),
        )
