"""What is stored, row by row, for programs that read it: keyset pages in the order of the ids."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select
from sqlmodel import col

from db.engine import Transaction
from db.sql import chunks
from db.tables import (
    Conversation,
    EffectiveTag,
    FeedbackEvidence,
    FeedbackItem,
    Identity,
    Mention,
    MentionSource,
    MentionTopic,
    Person,
    Reply,
    Source,
    User,
)


@dataclass(frozen=True, slots=True)
class MentionRow:
    """A mention with its effective tags, which are None until it was tagged."""

    id: int
    platform: str
    external_id: str
    conversation_id: int
    kind: str
    url: str | None
    title: str | None
    text: str
    posted_at: datetime
    edited_at: datetime | None
    collected_at: datetime
    rating: float | None
    ours: bool
    sample: bool
    person_id: int | None
    author_handle: str | None
    author_name: str | None
    language: str | None
    sentiment: str | None
    intent: str | None
    topics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ConversationRow:
    id: int
    platform: str
    root_id: str
    state: str
    assignee: str | None
    due_at: datetime | None
    mention_count: int
    latest_at: datetime
    person_id: int | None
    sentiment: str | None
    intent: str | None
    first_answered_at: datetime | None
    closed_at: datetime | None
    sample: bool


@dataclass(frozen=True, slots=True)
class ReplyRow:
    id: int
    conversation_id: int
    mention_id: int | None
    state: str
    text: str
    author: str | None
    made_by: str
    created_at: datetime
    changed_at: datetime
    sent_at: datetime | None
    sent_url: str | None
    reason: str
    sample: bool


@dataclass(frozen=True, slots=True)
class SourceRow:
    id: int
    platform: str
    label: str
    mode: str
    query: str
    state: str
    next_run_at: datetime | None
    last_success_at: datetime | None
    last_error: str
    what_to_do: str
    failures: int
    sample: bool


@dataclass(frozen=True, slots=True)
class IdentityRow:
    platform: str
    external_id: str
    handle: str
    display_name: str | None
    followers: int | None


@dataclass(frozen=True, slots=True)
class PersonRow:
    id: int
    display_name: str
    memo: str
    created_at: datetime
    sample: bool
    identities: tuple[IdentityRow, ...]


@dataclass(frozen=True, slots=True)
class EvidenceRow:
    mention_id: int
    conversation_id: int
    platform: str
    quote: str
    url: str | None
    author_name: str | None
    author_handle: str | None


@dataclass(frozen=True, slots=True)
class FeedbackRow:
    id: int
    title: str
    description: str
    kind: str
    state: str
    reason: str
    created_at: datetime
    changed_at: datetime
    sample: bool
    evidence: tuple[EvidenceRow, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which mentions: None and False ask for nothing. `since` is included, `until` is not; both are UTC-aware."""

    platform: str | None = None
    source_id: int | None = None
    conversation_id: int | None = None
    person_id: int | None = None
    sentiment: str | None = None
    intent: str | None = None
    topic: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    sample: bool = False
    ours: bool = False


def _select(*columns: Any) -> Select[Any]:
    """A select of so many columns that their types say nothing any more."""
    return select(*columns)


def mentions(tx: Transaction, wanted: Wanted, after: int, limit: int) -> list[MentionRow]:
    """At most `limit` mentions with an id above `after`. Sample data and our own posts only where asked for.

    What is set aside is left out, as it is from every chart.
    """
    query = _mentions().where(col(Mention.id) > after, ~col(Mention.set_aside)).order_by(col(Mention.id)).limit(limit)
    for column, value in (
        (col(Mention.platform), wanted.platform),
        (col(Mention.conversation_id), wanted.conversation_id),
        (col(Identity.person_id), wanted.person_id),
        (col(EffectiveTag.sentiment), wanted.sentiment),
        (col(EffectiveTag.intent), wanted.intent),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.since is not None:
        query = query.where(col(Mention.posted_at) >= wanted.since)
    if wanted.until is not None:
        query = query.where(col(Mention.posted_at) < wanted.until)
    if wanted.source_id is not None:
        linked = select(col(MentionSource.mention_id)).where(col(MentionSource.source_id) == wanted.source_id)
        query = query.where(col(Mention.id).in_(linked))
    if wanted.topic is not None:
        about = select(col(MentionTopic.mention_id)).where(col(MentionTopic.topic) == wanted.topic)
        query = query.where(col(Mention.id).in_(about))
    if not wanted.sample:
        query = query.where(~col(Mention.sample))
    if not wanted.ours:
        query = query.where(~col(Mention.ours))
    return _mention_rows(tx, query)


def mentions_of(tx: Transaction, ids: Sequence[int]) -> list[MentionRow]:
    """Those of these mentions that are still here."""
    found: list[MentionRow] = []
    for some in chunks(ids):
        found += _mention_rows(tx, _mentions().where(col(Mention.id).in_(some)))
    return found


def thread(tx: Transaction, conversation_id: int, limit: int) -> list[MentionRow]:
    """The newest `limit` mentions of a conversation, oldest first, our own among them."""
    query = (
        _mentions()
        .where(col(Mention.conversation_id) == conversation_id)
        .order_by(col(Mention.posted_at).desc(), col(Mention.id).desc())
        .limit(limit)
    )
    return _mention_rows(tx, query)[::-1]


def _mentions() -> Select[Any]:
    return (
        _select(
            col(Mention.id),
            col(Mention.platform),
            col(Mention.external_id),
            col(Mention.conversation_id),
            col(Mention.kind),
            col(Mention.url),
            col(Mention.title),
            col(Mention.text),
            col(Mention.posted_at),
            col(Mention.edited_at),
            col(Mention.collected_at),
            col(Mention.rating),
            col(Mention.ours),
            col(Mention.sample),
            col(Identity.person_id),
            col(Identity.handle),
            col(Identity.display_name),
            col(EffectiveTag.language),
            col(EffectiveTag.sentiment),
            col(EffectiveTag.intent),
        )
        .outerjoin(Identity, col(Identity.id) == col(Mention.identity_id))
        .outerjoin(EffectiveTag, col(EffectiveTag.mention_id) == col(Mention.id))
    )


def _mention_rows(tx: Transaction, query: Select[Any]) -> list[MentionRow]:
    found = tx.connection.execute(query).all()
    topics: dict[int, list[str]] = {row[0]: [] for row in found}
    for some in chunks(list(topics)):
        about = (
            select(col(MentionTopic.mention_id), col(MentionTopic.topic))
            .where(col(MentionTopic.mention_id).in_(some))
            .order_by(col(MentionTopic.score).desc(), col(MentionTopic.topic))
        )
        for mention_id, topic in tx.connection.execute(about):
            topics[mention_id].append(topic)
    return [MentionRow(*[*row, tuple(topics[row[0]])]) for row in found]


def _conversations() -> Select[Any]:
    return _select(
        col(Conversation.id),
        col(Conversation.platform),
        col(Conversation.root_id),
        col(Conversation.state),
        col(User.username),
        col(Conversation.due_at),
        col(Conversation.mention_count),
        col(Conversation.latest_at),
        col(Conversation.person_id),
        col(Conversation.sentiment),
        col(Conversation.intent),
        col(Conversation.first_answered_at),
        col(Conversation.closed_at),
        col(Conversation.sample),
    ).outerjoin(User, col(User.id) == col(Conversation.assignee_id))


def conversations(
    tx: Transaction, after: int, limit: int, *, platform: str | None, state: str | None, sample: bool
) -> list[ConversationRow]:
    kept = col(Conversation.shelf) != "set_aside"
    query = _conversations().where(col(Conversation.id) > after, kept).order_by(col(Conversation.id)).limit(limit)
    if state == "open":  # it needs an answer; what is folded under another does not
        query = query.where(col(Conversation.shelf) == "")
    if platform is not None:
        query = query.where(col(Conversation.platform) == platform)
    if state is not None:
        query = query.where(col(Conversation.state) == state)
    if not sample:
        query = query.where(~col(Conversation.sample))
    return [ConversationRow(*row) for row in tx.connection.execute(query)]


def conversation(tx: Transaction, conversation_id: int) -> ConversationRow | None:
    row = tx.connection.execute(_conversations().where(col(Conversation.id) == conversation_id)).one_or_none()
    return ConversationRow(*row) if row else None


def mention_to_answer(tx: Transaction, conversation_id: int, mention_id: int | None) -> int | None:
    """The mention's id when it is in the conversation; for None the newest that is not ours. None: there is none."""
    if mention_id is None:
        newest = select(col(Conversation.latest_mention_id)).where(col(Conversation.id) == conversation_id)
        return tx.connection.execute(newest).scalar_one_or_none()
    query = select(col(Mention.id)).where(
        col(Mention.id) == mention_id, col(Mention.conversation_id) == conversation_id
    )
    return tx.connection.execute(query).scalar_one_or_none()


def replies(
    tx: Transaction,
    after: int,
    limit: int,
    *,
    conversation_id: int | None = None,
    state: str | None = None,
    reply_id: int | None = None,
    sample: bool = True,
) -> list[ReplyRow]:
    query = (
        _select(
            col(Reply.id),
            col(Reply.conversation_id),
            col(Reply.mention_id),
            col(Reply.state),
            col(Reply.text),
            col(User.display_name),
            col(Reply.made_by),
            col(Reply.created_at),
            col(Reply.changed_at),
            col(Reply.sent_at),
            col(Reply.sent_url),
            col(Reply.reason),
            col(Reply.sample),
        )
        .outerjoin(User, col(User.id) == col(Reply.user_id))
        .where(col(Reply.id) > after)
        .order_by(col(Reply.id))
        .limit(limit)
    )
    for column, value in (
        (col(Reply.conversation_id), conversation_id),
        (col(Reply.state), state),
        (col(Reply.id), reply_id),
    ):
        if value is not None:
            query = query.where(column == value)
    if not sample:
        query = query.where(~col(Reply.sample))
    return [ReplyRow(*row) for row in tx.connection.execute(query)]


def sources(tx: Transaction, after: int, limit: int) -> list[SourceRow]:
    columns = [col(getattr(Source, name)) for name in SourceRow.__slots__]
    query = _select(*columns).where(col(Source.id) > after, col(Source.state) != "left")
    query = query.order_by(col(Source.id)).limit(limit)
    return [SourceRow(*row) for row in tx.connection.execute(query)]


def person(tx: Transaction, person_id: int) -> PersonRow | None:
    found = _person_rows(tx, _people().where(col(Person.id) == person_id))
    return found[0] if found else None


def people(tx: Transaction, after: int, limit: int, *, sample: bool) -> list[PersonRow]:
    """People who speak to us: not ourselves, and nobody who has been merged into somebody else."""
    speaks = select(col(Identity.id)).where(col(Identity.person_id) == col(Person.id), ~col(Identity.ours)).exists()
    query = _people().where(col(Person.id) > after, speaks).order_by(col(Person.id)).limit(limit)
    return _person_rows(tx, query if sample else query.where(~col(Person.sample)))


def _people() -> Select[Any]:
    return _select(*(col(getattr(Person, name)) for name in PersonRow.__slots__ if name != "identities"))


def _person_rows(tx: Transaction, query: Select[Any]) -> list[PersonRow]:
    found = tx.connection.execute(query).all()
    handles: dict[int, list[IdentityRow]] = {row[0]: [] for row in found}
    columns = [col(getattr(Identity, name)) for name in IdentityRow.__slots__]
    of_them = _select(col(Identity.person_id), *columns).where(col(Identity.person_id).in_(handles))
    for person_id, *identity in tx.connection.execute(of_them.order_by(col(Identity.id))):
        handles[person_id].append(IdentityRow(*identity))
    return [PersonRow(*[*row, tuple(handles[row[0]])]) for row in found]


def feedback(
    tx: Transaction, after: int, limit: int, *, state: str | None, states: Collection[str], sample: bool
) -> list[FeedbackRow]:
    """Items in one of `states`, so that deleted ones stay out."""
    columns = [col(getattr(FeedbackItem, name)) for name in FeedbackRow.__slots__ if name != "evidence"]
    query = (
        _select(*columns)
        .where(col(FeedbackItem.id) > after, col(FeedbackItem.state).in_([state] if state else list(states)))
        .order_by(col(FeedbackItem.id))
        .limit(limit)
    )
    if not sample:
        query = query.where(~col(FeedbackItem.sample))
    found = tx.connection.execute(query).all()
    backing = _evidence(tx, [row[0] for row in found])
    return [FeedbackRow(*[*row, tuple(backing[row[0]])]) for row in found]


def _evidence(tx: Transaction, item_ids: Sequence[int]) -> dict[int, list[EvidenceRow]]:
    backing: dict[int, list[EvidenceRow]] = {item_id: [] for item_id in item_ids}
    query = (
        _select(
            col(FeedbackEvidence.item_id),
            col(FeedbackEvidence.mention_id),
            col(Mention.conversation_id),
            col(Mention.platform),
            col(FeedbackEvidence.quote),
            col(Mention.url),
            col(Identity.display_name),
            col(Identity.handle),
        )
        .join(Mention, col(Mention.id) == col(FeedbackEvidence.mention_id))
        .outerjoin(Identity, col(Identity.id) == col(Mention.identity_id))
        .where(col(FeedbackEvidence.item_id).in_(item_ids))
        .order_by(col(FeedbackEvidence.mention_id))
    )
    for row in tx.connection.execute(query):
        backing[row[0]].append(EvidenceRow(*row[1:]))
    return backing
