"""What people said of the model's tags: corrections and confirmations, and how each came about."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, case, func, insert, select, update

from db.engine import Transaction
from db.sql import added, chunks, table
from db.tables import Correction, EffectiveTag, Identity, Mention, MentionEdit, MentionSource, Source, Tag

PASSING, LEAST_CERTAIN, RANDOM = "passing", "least_certain", "random"
HOW = (PASSING, LEAST_CERTAIN, RANDOM)
"""How a judgement came about: in passing, in the review of the least certain, in that of a random sample."""

_corrections = table(Correction)
_mentions = table(Mention)
_tags = table(Tag)
_effective = table(EffectiveTag)
_links = table(MentionSource)
_sources = table(Source)
_identities = table(Identity)
_edits = table(MentionEdit)

_counted = and_(_mentions.c.ours.is_(False), _mentions.c.set_aside.is_(False))
"""Our own posts and likely spam count nowhere: what the charts leave out, the accuracy beside them leaves out, too."""
_certainty = case(
    (_tags.c.sentiment == "negative", _tags.c.negative),
    (_tags.c.sentiment == "positive", _tags.c.positive),
    else_=_tags.c.neutral,
).label("certainty")
"""The probability of the sentiment that the model said."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A person's word on one field, and what the model had said. `certainty` is None where it was not kept."""

    id: int
    mention_id: int
    field: str
    value: tuple[str, ...]
    said: tuple[str, ...]
    certainty: float | None
    model: str
    how: str
    at: datetime
    language: str

    @property
    def right(self) -> bool:
        """Whether the model had it right."""
        return set(self.value) == set(self.said)


@dataclass(frozen=True, slots=True)
class Reading:
    """What the model says of one mention, and how sure it is, by field."""

    mention_id: int
    model: str
    sentiment: str
    sentiment_certainty: float
    intent: str
    intent_certainty: float
    text_hash: str
    """The same for equal texts."""

    def said(self, field: str) -> tuple[str, float]:
        """What it says of the field, and the probability that it gives it."""
        if field == "sentiment":
            return self.sentiment, self.sentiment_certainty
        return self.intent, self.intent_certainty


@dataclass(frozen=True, slots=True)
class Shown:
    """A mention as somebody who judges it sees it. `text` is hostile."""

    mention_id: int
    conversation_id: int
    platform: str
    url: str | None
    title: str | None
    text: str
    posted_at: datetime
    author_name: str | None
    handle: str | None
    language: str
    sample: bool
    reading: Reading


@dataclass(frozen=True, slots=True)
class Taught:
    """A judged text. `edited_since`: it says something else now than when it was judged."""

    mention_id: int
    platform: str
    title: str | None
    text: str
    language: str
    field: str
    value: tuple[str, ...]
    said: tuple[str, ...]
    model: str
    how: str
    at: datetime
    edited_since: bool


def version(model: str) -> str:
    """The name and version of the weights in `Tag.model`, without the taxonomy's: moods and intents know no topics."""
    return model.partition(" topics ")[0]


# Judging --------------------------------------------------------------------------------------------------------------


def judge(
    tx: Transaction,
    mention_id: int,
    field: str,
    value: Collection[str],
    user_id: int | None,
    at: datetime,
    how: str = PASSING,
) -> int | None:
    """Lays a person's word beside what the model said; an earlier one on the field is withdrawn. None: no such mention.

    Returns the judgement's id. The same word again, of what the same model said, changes nothing. What was drawn at
    random stays part of the random sample, however it is judged anew: else the sample would lose what was in doubt.
    """
    read = _read(tx, mention_id)
    if read is None:
        return None
    said, certainty = _said(read, field)
    stands = standing(tx, [mention_id])[mention_id].get(field)
    if stands is not None and stands.value == tuple(value) and stands.model == (read.model or ""):
        return stands.id
    if stands is not None and stands.how == RANDOM and version(stands.model) == version(read.model or ""):
        how = RANDOM
    withdraw(tx, mention_id, field, at)
    return added(
        tx,
        insert(_corrections).values(
            mention_id=mention_id,
            field=field,
            value=list(value),
            model_said=said,
            model=read.model or "",
            certainty=certainty,
            how=how,
            user_id=user_id,
            at=at,
            replaces_id=None if stands is None else stands.id,
        ),
    )


def _read(tx: Transaction, mention_id: int) -> Any:
    """The mention's tags, None in every column while it has none; the mention is locked."""
    query = (
        select(
            _tags.c.sentiment, _tags.c.intent, _tags.c.language, _tags.c.topics, _tags.c.model, _tags.c.intent_score,
            _certainty,
        )
        .select_from(_mentions.outerjoin(_tags, _tags.c.mention_id == _mentions.c.id))
        .where(_mentions.c.id == mention_id)
        .with_for_update(of=_mentions)
    )  # fmt: skip
    return tx.connection.execute(query).one_or_none()


def _said(read: Any, field: str) -> tuple[list[str], float | None]:
    if read.model is None:
        return [], None
    if field == "topics":
        return [topic["name"] for topic in read.topics or []], None
    certainty = {"sentiment": read.certainty, "intent": read.intent_score}.get(field)
    return [read._mapping[field]], certainty


def withdraw(tx: Transaction, mention_id: int, field: str, at: datetime) -> bool:
    """Withdraws the judgement that holds; False when there is none."""
    query = update(_corrections).where(
        _corrections.c.mention_id == mention_id, _corrections.c.field == field, _corrections.c.withdrawn_at.is_(None)
    )
    return tx.connection.execute(query.values(withdrawn_at=at)).rowcount > 0


def undo(tx: Transaction, judgement_id: int, user_id: int | None, at: datetime) -> tuple[int, str] | None:
    """Takes this colleague's judgement back while it holds; what it took the place of holds again.

    Returns its mention and field, None when there is nothing to take back.
    """
    query = select(_corrections.c.mention_id, _corrections.c.field, _corrections.c.replaces_id).where(
        _corrections.c.id == judgement_id, _corrections.c.user_id == user_id, _corrections.c.withdrawn_at.is_(None)
    )
    row = tx.connection.execute(query.with_for_update()).one_or_none()
    if row is None:
        return None
    for id_, withdrawn_at in ((judgement_id, at), (row.replaces_id, None)):
        tx.connection.execute(update(_corrections).where(_corrections.c.id == id_).values(withdrawn_at=withdrawn_at))
    return row.mention_id, row.field


# Reading --------------------------------------------------------------------------------------------------------------

_JUDGEMENT = (
    _corrections.c.id, _corrections.c.mention_id, _corrections.c.field, _corrections.c.value,
    _corrections.c.model_said, _corrections.c.certainty, _corrections.c.model, _corrections.c.how, _corrections.c.at,
    _effective.c.language,
)  # fmt: skip


def standing(tx: Transaction, mention_ids: Iterable[int]) -> defaultdict[int, dict[str, Judgement]]:
    """The judgements of these mentions that hold, by field."""
    found: defaultdict[int, dict[str, Judgement]] = defaultdict(dict)
    for some in chunks(sorted(set(mention_ids))):
        query = (
            select(*_JUDGEMENT)
            .outerjoin(_effective, _effective.c.mention_id == _corrections.c.mention_id)
            .where(_corrections.c.mention_id.in_(some), _corrections.c.withdrawn_at.is_(None))
            .order_by(_corrections.c.id)
        )
        for row in tx.connection.execute(query):
            found[row.mention_id][row.field] = _judgement(row)
    return found


def judgements(tx: Transaction, *, sample: bool) -> list[Judgement]:
    """Every judgement that holds of something the model had said, oldest first; of the sample data, or of the rest."""
    query = (
        select(*_JUDGEMENT)
        .join(_mentions, _mentions.c.id == _corrections.c.mention_id)
        .outerjoin(_effective, _effective.c.mention_id == _corrections.c.mention_id)
        .where(_corrections.c.withdrawn_at.is_(None), _corrections.c.model != "")
        .where(_counted, _mentions.c.sample.is_(sample))
        .order_by(_corrections.c.id)
    )
    return list(map(_judgement, tx.connection.execute(query)))


def _judgement(row: Any) -> Judgement:
    return Judgement(
        row.id, row.mention_id, row.field, tuple(row.value), tuple(row.model_said), row.certainty, row.model, row.how,
        row.at, row.language or "und",
    )  # fmt: skip


def judged_fields(tx: Transaction, from_id: int) -> set[tuple[int, str, str]]:
    """(mention, field, version) of every judgement that holds of mentions with this id or a higher one."""
    query = select(_corrections.c.mention_id, _corrections.c.field, _corrections.c.model).where(
        _corrections.c.withdrawn_at.is_(None), _corrections.c.mention_id >= from_id
    )
    return {(mention_id, field, version(model)) for mention_id, field, model in tx.connection.execute(query)}


_READING = (
    _tags.c.mention_id, _tags.c.model, _tags.c.sentiment, _certainty, _tags.c.intent, _tags.c.intent_score,
    _tags.c.text_hash,
)  # fmt: skip


def recent(tx: Transaction, limit: int, *, sample: bool) -> list[Reading]:
    """What the model says of the mentions collected last, newest first."""
    query = (
        select(*_READING)
        .join(_mentions, _mentions.c.id == _tags.c.mention_id)
        .where(_counted, _mentions.c.sample.is_(sample))
        .order_by(_tags.c.mention_id.desc())
        .limit(limit)
    )
    return list(map(_reading, tx.connection.execute(query)))


def _reading(row: Any) -> Reading:
    return Reading(row.mention_id, row.model, row.sentiment, row.certainty, row.intent, row.intent_score, row.text_hash)


def shown(tx: Transaction, mention_id: int) -> Shown | None:
    """A mention that the model has read; None when it is not here any more, or ours."""
    query = (
        select(
            *_READING, _mentions.c.conversation_id, _mentions.c.platform, _mentions.c.url, _mentions.c.title,
            _mentions.c.text, _mentions.c.posted_at, _mentions.c.sample, _identities.c.display_name,
            _identities.c.handle, _effective.c.language,
        )
        .join(_mentions, _mentions.c.id == _tags.c.mention_id)
        .outerjoin(_identities, _identities.c.id == _mentions.c.identity_id)
        .outerjoin(_effective, _effective.c.mention_id == _tags.c.mention_id)
        .where(_tags.c.mention_id == mention_id, _mentions.c.ours.is_(False))
    )  # fmt: skip
    row = tx.connection.execute(query).one_or_none()
    if row is None:
        return None
    return Shown(
        row.mention_id, row.conversation_id, row.platform, row.url, row.title, row.text, row.posted_at,
        row.display_name, row.handle, row.language or "und", row.sample, _reading(row),
    )  # fmt: skip


def sources(tx: Transaction, mention_ids: Sequence[int]) -> dict[int, tuple[str, ...]]:
    """The labels of the sources that found each of these mentions."""
    found: defaultdict[int, list[str]] = defaultdict(list)
    for some in chunks(sorted(set(mention_ids))):
        query = (
            select(_links.c.mention_id, _sources.c.label)
            .join(_sources, _sources.c.id == _links.c.source_id)
            .where(_links.c.mention_id.in_(some))
            .order_by(_sources.c.id)
        )
        for mention_id, label in tx.connection.execute(query):
            found[mention_id].append(label)
    return {mention_id: tuple(labels) for mention_id, labels in found.items()}


def taught(tx: Transaction) -> list[Taught]:
    """Every judged text with what was said of it, without sample data, our own posts and likely spam."""
    edited = (
        select(_edits.c.id)
        .where(_edits.c.mention_id == _corrections.c.mention_id, _edits.c.replaced_at > _corrections.c.at)
        .exists()
        .label("edited_since")
    )
    query = (
        select(*_JUDGEMENT, _mentions.c.platform, _mentions.c.title, _mentions.c.text, edited)
        .join(_mentions, _mentions.c.id == _corrections.c.mention_id)
        .outerjoin(_effective, _effective.c.mention_id == _corrections.c.mention_id)
        .where(_corrections.c.withdrawn_at.is_(None), _counted, _mentions.c.sample.is_(False))
        .order_by(_corrections.c.id)
    )
    return [
        Taught(
            row.mention_id, row.platform, row.title, row.text, row.language or "und", row.field, tuple(row.value),
            tuple(row.model_said), row.model, row.how, row.at, bool(row.edited_since),
        )
        for row in tx.connection.execute(query)
    ]  # fmt: skip


def has(tx: Transaction, *, sample: bool) -> bool:
    """Whether the model has read anything of the sample data, or of the rest."""
    query = (
        select(func.count())
        .select_from(
            select(_tags.c.mention_id)
            .join(_mentions, _mentions.c.id == _tags.c.mention_id)
            .where(_counted, _mentions.c.sample.is_(sample))
            .limit(1)
            .subquery()
        )
    )  # fmt: skip
    return bool(tx.connection.execute(query).scalar_one())
