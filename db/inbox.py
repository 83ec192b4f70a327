"""The list of conversations: keyset pages, newest first, and the few batched reads that fill their cards."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select
from sqlalchemy.orm import aliased
from sqlmodel import col

from db import search
from db.engine import Transaction
from db.tables import (
    Conversation,
    Correction,
    EffectiveTag,
    FeedbackEvidence,
    FeedbackItem,
    Identity,
    Mention,
    MentionSource,
    MentionTopic,
    Person,
    PlatformAccount,
    Seen,
    Source,
    Tag,
    Topic,
    User,
)

SHOWN_TEXT = 400
"""Characters of a mention that a card shows."""

FEW = 1_000
"""Up to so many conversations a filter is looked up first and sorted; beyond, the newest are walked and tested."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which conversations. Empty or None restricts nothing.

    states: of the conversation. assignee: a user's id, or "nobody". Sentiments, intents, topics and source speak of the
    newest mention; with `since`/`until` (UTC, half-open) of any mention posted in that time.
    """

    states: tuple[str, ...] = ()
    assignee: int | Literal["nobody"] | None = None
    sentiments: tuple[str, ...] = ()
    intents: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    source_id: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    search: search.Node | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One conversation of the list, with its newest mention that is not ours."""

    conversation_id: int
    version: int
    seen_version: int | None
    platform: str
    state: str
    assignee_id: int | None
    assignee_name: str | None
    due_at: datetime | None
    mention_count: int
    latest_at: datetime
    sample: bool
    person_id: int | None
    memo: str | None
    mention_id: int | None
    title: str | None
    text: str | None
    url: str | None
    rating: float | None
    handle: str | None
    author_name: str | None
    sentiment: str | None
    intent: str | None
    language: str | None
    certainty: float | None
    """The probability of the sentiment that the model chose, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Before:
    """What a person had said in conversations that ended before this one."""

    conversations: int
    complaints: int
    praises: int


@dataclass(frozen=True, slots=True)
class Wish:
    """A feedback item that a person's words back."""

    title: str
    state: str
    at: datetime


def page(
    tx: Transaction, wanted: Wanted, user_id: int | None, after: tuple[datetime, int] | None, limit: int
) -> list[Line]:
    """Up to `limit` conversations, newest first, after the one that (latest_at, id) names."""
    ids = _ids(tx, wanted, after, limit)
    if not ids:
        return []
    query: Any = (
        select(
            col(Conversation.id),
            col(Conversation.version),
            col(Seen.version),
            col(Conversation.platform),
            col(Conversation.state),
            col(Conversation.assignee_id),
            col(User.display_name),
            col(Conversation.due_at),
            col(Conversation.mention_count),
            col(Conversation.latest_at),
            col(Conversation.sample),
            col(Conversation.person_id),
            col(Person.memo),
            col(Mention.id),
            col(Mention.title),
            func.substr(Mention.text, 1, SHOWN_TEXT + 1),
            col(Mention.url),
            col(Mention.rating),
            col(Identity.handle),
            col(Identity.display_name),
            col(EffectiveTag.sentiment),
            col(EffectiveTag.intent),
            col(EffectiveTag.language),
            case(
                (col(Tag.sentiment) == "negative", col(Tag.negative)),
                (col(Tag.sentiment) == "positive", col(Tag.positive)),
                else_=col(Tag.neutral),
            ),
        )
        .select_from(Conversation)
        .outerjoin(Seen, and_(col(Seen.conversation_id) == col(Conversation.id), col(Seen.user_id) == (user_id or 0)))
        .outerjoin(User, col(User.id) == col(Conversation.assignee_id))
        .outerjoin(Person, col(Person.id) == col(Conversation.person_id))
        .outerjoin(Mention, col(Mention.id) == col(Conversation.latest_mention_id))
        .outerjoin(Identity, col(Identity.id) == col(Mention.identity_id))
        .outerjoin(EffectiveTag, col(EffectiveTag.mention_id) == col(Mention.id))
        .outerjoin(Tag, col(Tag.mention_id) == col(Mention.id))
        .where(col(Conversation.id).in_(ids))
    )
    lines = {row[0]: Line(*row) for row in tx.connection.execute(query)}
    return [lines[one] for one in ids]


def _ids(tx: Transaction, wanted: Wanted, after: tuple[datetime, int] | None, limit: int) -> list[int]:
    """The ids in order. A filter that few pass is resolved first, so that no page walks the whole table."""
    conditions = _own_conditions(wanted)
    for chosen in _chosen(tx, wanted):
        few = list(tx.connection.scalars(chosen.limit(FEW + 1)))
        if not few:
            return []
        conditions.append(col(Conversation.id).in_(few if len(few) <= FEW else chosen))
    if after is not None:
        at, last = after
        earlier = or_(col(Conversation.latest_at) < at, col(Conversation.id) < last)
        conditions += [col(Conversation.latest_at) <= at, earlier]
    query = (
        select(col(Conversation.id))
        .where(*conditions)
        .order_by(col(Conversation.latest_at).desc(), col(Conversation.id).desc())
        .limit(limit)
    )
    return list(tx.connection.scalars(query))


def _own_conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    """What the conversation's own row answers."""
    conditions: list[ColumnElement[bool]] = []
    if len(wanted.states) == 1:
        conditions.append(col(Conversation.state) == wanted.states[0])
    elif wanted.states:
        conditions.append(col(Conversation.state).in_(wanted.states))
    if wanted.assignee == "nobody":
        conditions.append(col(Conversation.assignee_id).is_(None))
    elif wanted.assignee is not None:
        conditions.append(col(Conversation.assignee_id) == wanted.assignee)
    if wanted.since is None and wanted.until is None:
        conditions += _one_of(col(Conversation.sentiment), wanted.sentiments)
        conditions += _one_of(col(Conversation.intent), wanted.intents)
    return conditions


def _one_of(column: Any, values: Collection[str]) -> Iterable[ColumnElement[bool]]:
    if len(values) == 1:
        yield column == next(iter(values))
    elif values:
        yield column.in_(values)


def _chosen(tx: Transaction, wanted: Wanted) -> Iterable[Select[Any]]:
    """For each filter that other tables answer, the ids of the conversations that pass."""
    if wanted.since is not None or wanted.until is not None:
        yield _said_in_time(wanted)
    else:
        if wanted.topics:
            yield _latest_among(select(col(MentionTopic.mention_id)).where(col(MentionTopic.topic).in_(wanted.topics)))
        if wanted.source_id is not None:
            yield _latest_among(
                select(col(MentionSource.mention_id)).where(col(MentionSource.source_id) == wanted.source_id)
            )
    if wanted.search is not None:
        yield (
            select(col(Mention.conversation_id))
            .where(search.matches(tx, wanted.search), col(Mention.ours).is_(False))
            .distinct()
        )


def _latest_among(mention_ids: Select[Any]) -> Select[Any]:
    """Conversations whose newest mention is one of these."""
    return (
        select(col(Conversation.id))
        .join(Mention, col(Mention.conversation_id) == col(Conversation.id))
        .where(col(Mention.id) == col(Conversation.latest_mention_id), col(Mention.id).in_(mention_ids))
    )


def _said_in_time(wanted: Wanted) -> Select[Any]:
    """Conversations with a mention that passes every filter and was posted then: what a bar of a chart counts."""
    query = select(col(Mention.conversation_id)).where(col(Mention.ours).is_(False)).distinct()
    if wanted.since is not None:
        query = query.where(col(Mention.posted_at) >= wanted.since)
    if wanted.until is not None:
        query = query.where(col(Mention.posted_at) < wanted.until)
    if wanted.sentiments or wanted.intents:
        query = query.join(EffectiveTag, col(EffectiveTag.mention_id) == col(Mention.id)).where(
            *_one_of(col(EffectiveTag.sentiment), wanted.sentiments), *_one_of(col(EffectiveTag.intent), wanted.intents)
        )
    if wanted.topics:
        about = select(col(MentionTopic.mention_id)).where(
            col(MentionTopic.mention_id) == col(Mention.id), col(MentionTopic.topic).in_(wanted.topics)
        )
        query = query.where(about.exists())
    if wanted.source_id is not None:
        found = select(col(MentionSource.mention_id)).where(
            col(MentionSource.mention_id) == col(Mention.id), col(MentionSource.source_id) == wanted.source_id
        )
        query = query.where(found.exists())
    return query


def counts(tx: Transaction, user_id: int | None, bound: int) -> dict[str, int]:
    """How many conversations each view holds, counted up to `bound` and no further."""
    state, assignee = col(Conversation.state), col(Conversation.assignee_id)
    views: dict[str, list[ColumnElement[bool]]] = {
        "needs_answer": [state == "open"],
        "mine": [assignee == (user_id or 0), state.in_(("open", "waiting"))],
        "waiting": [state == "waiting"],
        "closed": [state == "closed"],
        "all": [],
    }
    columns = [
        select(func.count())
        .select_from(select(state).where(*conditions).limit(bound).subquery())
        .scalar_subquery()
        .label(name)
        for name, conditions in views.items()
    ]
    row = tx.connection.execute(select(*columns)).one()
    return dict(zip(views, row, strict=True))


def before(tx: Transaction, conversation_ids: Collection[int]) -> dict[int, Before]:
    """For each conversation what the same person had said in earlier ones."""
    earlier = aliased(Conversation)
    query = (
        select(
            col(Conversation.id),
            func.count(),
            func.sum(case((col(earlier.intent) == "complaint", 1), else_=0)),
            func.sum(case((col(earlier.intent) == "praise", 1), else_=0)),
        )
        .join(earlier, col(earlier.person_id) == col(Conversation.person_id))
        .where(col(Conversation.id).in_(conversation_ids), col(earlier.latest_at) < col(Conversation.latest_at))
        .group_by(col(Conversation.id))
    )
    return {row[0]: Before(row[1], int(row[2]), int(row[3])) for row in tx.connection.execute(query)}


def wishes(tx: Transaction, person_ids: Collection[int], per_person: int = 3) -> dict[int, tuple[Wish, ...]]:
    """For each person the newest feedback items that their words back."""
    found: dict[int, list[Wish]] = {}
    query: Any = (
        select(col(Identity.person_id), col(FeedbackItem.title), col(FeedbackItem.state), func.max(FeedbackEvidence.at))
        .select_from(Identity)
        .join(Mention, col(Mention.identity_id) == col(Identity.id))
        .join(FeedbackEvidence, col(FeedbackEvidence.mention_id) == col(Mention.id))
        .join(FeedbackItem, col(FeedbackItem.id) == col(FeedbackEvidence.item_id))
        .where(col(Identity.person_id).in_(person_ids), col(FeedbackItem.state) != "deleted")
        .group_by(col(Identity.person_id), col(FeedbackItem.id), col(FeedbackItem.title), col(FeedbackItem.state))
        .order_by(func.max(FeedbackEvidence.at).desc())
    )
    for person_id, *wish in tx.connection.execute(query):
        of_person = found.setdefault(person_id, [])
        if len(of_person) < per_person:
            of_person.append(Wish(*wish))
    return {person_id: tuple(of_person) for person_id, of_person in found.items()}


def topics(tx: Transaction, mention_ids: Collection[int]) -> dict[int, tuple[str, ...]]:
    """For each mention its topics, best first."""
    found: dict[int, list[str]] = {}
    query = (
        select(col(MentionTopic.mention_id), col(MentionTopic.topic))
        .where(col(MentionTopic.mention_id).in_(mention_ids))
        .order_by(col(MentionTopic.mention_id), col(MentionTopic.score).desc(), col(MentionTopic.topic))
    )
    for mention_id, topic in tx.connection.execute(query):
        found.setdefault(mention_id, []).append(topic)
    return {mention_id: tuple(names) for mention_id, names in found.items()}


def corrected(tx: Transaction, mention_ids: Collection[int]) -> dict[int, tuple[str, ...]]:
    """For each mention the fields that people corrected."""
    found: dict[int, list[str]] = {}
    query = (
        select(col(Correction.mention_id), col(Correction.field))
        .where(col(Correction.mention_id).in_(mention_ids), col(Correction.withdrawn_at).is_(None))
        .order_by(col(Correction.field))
    )
    for mention_id, name in tx.connection.execute(query):
        found.setdefault(mention_id, []).append(name)
    return {mention_id: tuple(names) for mention_id, names in found.items()}


def platforms_with_account(tx: Transaction) -> frozenset[str]:
    """The platforms on which one of our accounts is connected."""
    return frozenset(tx.connection.scalars(select(col(PlatformAccount.platform)).distinct()))


def sources(tx: Transaction) -> list[tuple[int, str]]:
    """Every source's id and label, by label."""
    query: Any = (
        select(col(Source.id), col(Source.label))
        .where(col(Source.state) != "removing")
        .order_by(func.lower(Source.label), col(Source.id))
    )
    return [(row[0], row[1]) for row in tx.connection.execute(query)]


def topic_names(tx: Transaction) -> list[str]:
    """The taxonomy's topics in its order."""
    return list(tx.connection.scalars(select(col(Topic.name)).order_by(col(Topic.position), col(Topic.name))))


def colleagues(tx: Transaction) -> list[tuple[int, str]]:
    """Everybody to whom a conversation may be assigned, by name."""
    query: Any = (
        select(col(User.id), col(User.display_name))
        .where(col(User.disabled_at).is_(None))
        .order_by(func.lower(User.display_name), col(User.id))
    )
    return [(row[0], row[1]) for row in tx.connection.execute(query)]
