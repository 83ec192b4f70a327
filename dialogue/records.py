"""What programs read: mentions, conversations, replies, people, sources and feedback, in the shape the API gives them.

Where a platform forbids that its content leaves in an export, only ids and what we made of them are given: `withheld`
is then true and every field with the platform's own content is null.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from db import records as rows
from db.records import Wanted
from dialogue import platforms
from dialogue import replies as outbox
from dialogue.context import Actor, Context, Missing, Role, require
from dialogue.feedback import STATES as FEEDBACK_STATES
from listeners import registry
from listeners.base import ListeningError

T = TypeVar("T")
R = TypeVar("R")

LONGEST_THREAD = 500
"""Mentions of one conversation that are given, the newest."""

__all__ = [
    "Conversation",
    "ConversationDetail",
    "Feedback",
    "Mention",
    "Page",
    "Person",
    "Reply",
    "Source",
    "Wanted",
    "conversation",
    "conversations",
    "draft",
    "feedback",
    "mentions",
    "people",
    "person",
    "replies",
    "sources",
]


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of them, in the order of their ids. `next` is the `after` of the next page; null at the end."""

    items: tuple[T, ...]
    next: int | None


@dataclass(frozen=True, slots=True)
class Mention:
    """Something that somebody said. Tags are null until the model has read it; people's corrections are laid over."""

    id: int
    platform: str
    external_id: str
    conversation_id: int
    person_id: int | None
    kind: str
    url: str | None
    author_handle: str | None
    author_name: str | None
    title: str | None
    text: str | None
    rating: float | None
    posted_at: datetime
    edited_at: datetime | None
    collected_at: datetime
    language: str | None
    sentiment: str | None
    intent: str | None
    topics: tuple[str, ...]
    ours: bool
    sample: bool
    withheld: bool
    attribution: str | None = None
    """What must stand by the text, with its link, wherever it is shown; null where the platform asks for none."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A thread. `assignee` is a user name; `sentiment` and `intent` are those of its newest mention."""

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
class Reply:
    """An answer of ours and how it stands. `made_by` is web or api; `sent_at` and `sent_url` are null until sent."""

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
class ConversationDetail:
    """A thread with what was said in it, oldest first, and what we answered."""

    conversation: Conversation
    mentions: tuple[Mention, ...]
    replies: tuple[Reply, ...]


@dataclass(frozen=True, slots=True)
class Identity:
    """A handle on a platform."""

    platform: str
    external_id: str
    handle: str | None
    display_name: str | None
    followers: int | None
    withheld: bool


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who speaks to us. `memo` is what colleagues wrote down."""

    id: int
    display_name: str | None
    memo: str
    created_at: datetime
    sample: bool
    identities: tuple[Identity, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """Where we listen, and how it goes. `failures` are in a row."""

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
class Evidence:
    """Somebody's words that back an item."""

    mention_id: int
    conversation_id: int
    platform: str
    quote: str | None
    withheld: bool
    url: str | None = None
    attribution: str | None = None


@dataclass(frozen=True, slots=True)
class Feedback:
    """An idea, need or defect on the board."""

    id: int
    title: str
    description: str
    kind: str
    state: str
    reason: str
    created_at: datetime
    changed_at: datetime
    sample: bool
    evidence: tuple[Evidence, ...]


def mentions(ctx: Context, actor: Actor, wanted: Wanted, after: int = 0, limit: int = 50) -> Page[Mention]:
    """Mentions that fit, oldest id first."""
    require(actor, Role.VIEWER)
    with ctx.database.reading() as tx:
        return _page(rows.mentions(tx, wanted, after, limit), limit, lambda row: row.id, _mention)


def conversations(
    ctx: Context,
    actor: Actor,
    after: int = 0,
    limit: int = 50,
    *,
    platform: str | None = None,
    state: str | None = None,
    sample: bool = False,
) -> Page[Conversation]:
    """Conversations that fit, oldest id first."""
    require(actor, Role.VIEWER)
    with ctx.database.reading() as tx:
        found = rows.conversations(tx, after, limit, platform=platform, state=state, sample=sample)
    return _page(found, limit, lambda row: row.id, _conversation)


def conversation(ctx: Context, actor: Actor, conversation_id: int) -> ConversationDetail:
    """One conversation with its thread. Raises Missing."""
    require(actor, Role.VIEWER)
    with ctx.database.reading() as tx:
        found = rows.conversation(tx, conversation_id)
        if found is None:
            raise Missing("There is no such conversation, or not any more.")
        return ConversationDetail(
            _conversation(found),
            tuple(map(_mention, rows.thread(tx, conversation_id, LONGEST_THREAD))),
            tuple(map(_reply, rows.replies(tx, 0, LONGEST_THREAD, conversation_id=conversation_id))),
        )


def replies(
    ctx: Context,
    actor: Actor,
    after: int = 0,
    limit: int = 50,
    *,
    conversation_id: int | None = None,
    state: str | None = None,
    sample: bool = False,
) -> Page[Reply]:
    """Replies that fit, oldest id first."""
    require(actor, Role.VIEWER)
    with ctx.database.reading() as tx:
        found = rows.replies(tx, after, limit, conversation_id=conversation_id, state=state, sample=sample)
    return _page(found, limit, lambda row: row.id, _reply)


def draft(
    ctx: Context, actor: Actor, conversation_id: int, text: str, mention_id: int | None = None, key: str | None = None
) -> Reply:
    """Keeps a reply as a draft, which a person reads and sends; the same `key` changes the draft made with it before.

    Raises Stale when that one has left already, Missing, DialogueError for a text that cannot be one.
    """
    with ctx.database.reading() as tx:
        answered = rows.mention_to_answer(tx, conversation_id, mention_id)
    if answered is None:
        raise Missing("There is no such conversation, or no such mention in it.")
    draft_key = f"api-{actor.user_id}-{key or secrets.token_urlsafe(12)}"
    made = outbox.save_draft(ctx, actor, conversation_id, answered, text, draft_key, made_by="api")
    with ctx.database.reading() as tx:
        (row,) = rows.replies(tx, 0, 1, reply_id=made.id)
    return _reply(row)


def person(ctx: Context, actor: Actor, person_id: int) -> Person:
    """One person. Raises Missing."""
    require(actor, Role.VIEWER)
    with ctx.database.reading() as tx:
        found = rows.person(tx, person_id)
    if found is None:
        raise Missing("There is no such person, or not any more.")
    return _person(found)


def people(ctx: Context, actor: Actor, after: int = 0, limit: int = 50, *, sample: bool = False) -> Page[Person]:
    """People who speak to us, oldest id first."""
    require(actor, Role.VIEWER)
    with ctx.database.reading() as tx:
        found = rows.people(tx, after, limit, sample=sample)
    return _page(found, limit, lambda row: row.id, _person)


def _person(found: rows.PersonRow) -> Person:
    identities = tuple(map(_identity, found.identities))
    # The name came from one of the handles: it may leave only where all of them may.
    name = None if any(identity.withheld for identity in identities) else found.display_name
    return Person(found.id, name, found.memo, found.created_at, found.sample, identities)


def sources(ctx: Context, actor: Actor, after: int = 0, limit: int = 50) -> Page[Source]:
    """Every source, oldest id first."""
    require(actor, Role.VIEWER)
    with ctx.database.reading() as tx:
        found = rows.sources(tx, after, limit)
    return _page(found, limit, lambda row: row.id, _source)


def feedback(
    ctx: Context, actor: Actor, after: int = 0, limit: int = 50, *, state: str | None = None, sample: bool = False
) -> Page[Feedback]:
    """Items of the board with what backs them, oldest id first."""
    require(actor, Role.VIEWER)
    with ctx.database.reading() as tx:
        found = rows.feedback(tx, after, limit, state=state, states=FEEDBACK_STATES, sample=sample)
    return _page(found, limit, lambda row: row.id, _feedback)


# Inside ---------------------------------------------------------------------------------------------------------------


def _page(found: Sequence[R], limit: int, key: Callable[[R], int], shape: Callable[[R], T]) -> Page[T]:
    # A full page may be the last one: the reader then gets one empty page, and no count of the whole is needed.
    return Page(tuple(map(shape, found)), key(found[-1]) if len(found) == limit else None)


def _leaves(platform: str) -> bool:
    """Whether the platform's content may be exported. One whose rules are not known here keeps its content here."""
    try:
        return registry.capability(platform).exportable
    except ListeningError:
        return False


def _mention(row: rows.MentionRow) -> Mention:
    return shaped(row, row.ours or _leaves(row.platform))


def shaped(row: rows.MentionRow, free: bool) -> Mention:
    """The mention as it may leave: with its platform's content where that is `free`."""
    return Mention(
        id=row.id,
        platform=row.platform,
        external_id=row.external_id,
        conversation_id=row.conversation_id,
        person_id=row.person_id,
        kind=row.kind,
        url=row.url if free else None,
        author_handle=row.author_handle if free else None,
        author_name=row.author_name if free else None,
        title=row.title if free else None,
        text=row.text if free else None,
        rating=row.rating if free else None,
        posted_at=row.posted_at,
        edited_at=row.edited_at,
        collected_at=row.collected_at,
        language=row.language,
        sentiment=row.sentiment,
        intent=row.intent,
        topics=row.topics,
        ours=row.ours,
        sample=row.sample,
        withheld=not free,
        attribution=_attribution(row.platform, row.author_name, row.author_handle) if free else None,
    )


def _attribution(platform: str, name: str | None, handle: str | None) -> str | None:
    return platforms.attribution(platform, name or handle) or None


def _conversation(row: rows.ConversationRow) -> Conversation:
    return Conversation(**{name: getattr(row, name) for name in Conversation.__slots__})


def _reply(row: rows.ReplyRow) -> Reply:
    return Reply(**{name: getattr(row, name) for name in Reply.__slots__})


def _source(row: rows.SourceRow) -> Source:
    return Source(**{name: getattr(row, name) for name in Source.__slots__})


def _identity(row: rows.IdentityRow) -> Identity:
    free = _leaves(row.platform)
    return Identity(
        platform=row.platform,
        external_id=row.external_id,
        handle=row.handle if free else None,
        display_name=row.display_name if free else None,
        followers=row.followers if free else None,
        withheld=not free,
    )


def _feedback(row: rows.FeedbackRow) -> Feedback:
    evidence = map(_backing, row.evidence)
    values = {name: getattr(row, name) for name in Feedback.__slots__ if name != "evidence"}
    return Feedback(**values, evidence=tuple(evidence))


def _backing(found: rows.EvidenceRow) -> Evidence:
    free = _leaves(found.platform)
    return Evidence(
        found.mention_id,
        found.conversation_id,
        found.platform,
        found.quote if free else None,
        not free,
        found.url if free else None,
        _attribution(found.platform, found.author_name, found.author_handle) if free else None,
    )
