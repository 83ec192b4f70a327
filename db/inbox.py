"""The list of conversations: keyset pages, newest first, and the few batched reads that fill their cards."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, Table, and_, bindparam, case, func, or_, select, text

from db import search
from db.engine import Transaction
from db.sql import table
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
    ThemeMention,
    Topic,
    User,
)

_conversations = table(Conversation)
_corrections = table(Correction)
_effective = table(EffectiveTag)
_evidence = table(FeedbackEvidence)
_items = table(FeedbackItem)
_identities = table(Identity)
_mentions = table(Mention)
_mention_sources = table(MentionSource)
_mention_topics = table(MentionTopic)
_people = table(Person)
_accounts = table(PlatformAccount)
_seen = table(Seen)
_sources = table(Source)
_tags = table(Tag)
_theme_mentions = table(ThemeMention)
_topics = table(Topic)
_users = table(User)
_earlier = _conversations.alias("earlier")

SHOWN_TEXT = 400
"""Characters of a mention that a card shows."""

FEW = 1_000
"""Up to so many conversations a filter is looked up first and sorted; beyond, the newest are walked and tested."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which conversations. Empty or None restricts nothing.

    states: of the conversation. shelf: inbox (what is neither folded nor set aside), kept (what is not set aside),
    set_aside. assignee: a user's id, or "nobody". Sentiments, intents, topics and source speak of the
    newest mention; with `since`/`until` (UTC, half-open) of any mention posted in that time. A theme speaks of any.
    """

    states: tuple[str, ...] = ()
    shelf: Literal["inbox", "kept", "set_aside"] = "kept"
    assignee: int | Literal["nobody"] | None = None
    sentiments: tuple[str, ...] = ()
    intents: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    source_id: int | None = None
    theme_id: int | None = None
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
    shelf: str
    copies: int
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


# The statements of a page never change but for what is bound: made once, since making one takes longer than running it.
_GIVEN: Any = bindparam("ids", expanding=True)

_LINES: Any = (
    select(
        _conversations.c.id,
        _conversations.c.version,
        _seen.c.version,
        _conversations.c.platform,
        _conversations.c.state,
        _conversations.c.assignee_id,
        _users.c.display_name,
        _conversations.c.due_at,
        _conversations.c.mention_count,
        _conversations.c.shelf,
        _conversations.c.copies,
        _conversations.c.latest_at,
        _conversations.c.sample,
        _conversations.c.person_id,
        _people.c.memo,
        _mentions.c.id,
        _mentions.c.title,
        func.substr(_mentions.c.text, 1, SHOWN_TEXT + 1),
        _mentions.c.url,
        _mentions.c.rating,
        _identities.c.handle,
        _identities.c.display_name,
        _effective.c.sentiment,
        _effective.c.intent,
        _effective.c.language,
        case(
            (_tags.c.sentiment == "negative", _tags.c.negative),
            (_tags.c.sentiment == "positive", _tags.c.positive),
            else_=_tags.c.neutral,
        ),
    )
    .select_from(_conversations)
    .outerjoin(_seen, and_(_seen.c.conversation_id == _conversations.c.id, _seen.c.user_id == bindparam("user")))
    .outerjoin(_users, _users.c.id == _conversations.c.assignee_id)
    .outerjoin(_people, _people.c.id == _conversations.c.person_id)
    .outerjoin(_mentions, _mentions.c.id == _conversations.c.latest_mention_id)
    .outerjoin(_identities, _identities.c.id == _mentions.c.identity_id)
    .outerjoin(_effective, _effective.c.mention_id == _mentions.c.id)
    .outerjoin(_tags, _tags.c.mention_id == _mentions.c.id)
    .where(_conversations.c.id.in_(_GIVEN))
)

_BEFORE: Any = (
    select(
        _conversations.c.id,
        func.count(),
        func.sum(case((_earlier.c.intent == "complaint", 1), else_=0)),
        func.sum(case((_earlier.c.intent == "praise", 1), else_=0)),
    )
    .join(_earlier, _earlier.c.person_id == _conversations.c.person_id)
    .where(_conversations.c.id.in_(_GIVEN), _earlier.c.latest_at < _conversations.c.latest_at)
    .group_by(_conversations.c.id)
)

_WISHES: Any = (
    select(_identities.c.person_id, _items.c.title, _items.c.state, func.max(_evidence.c.at))
    .select_from(_identities)
    .join(_mentions, _mentions.c.identity_id == _identities.c.id)
    .join(_evidence, _evidence.c.mention_id == _mentions.c.id)
    .join(_items, _items.c.id == _evidence.c.item_id)
    .where(_identities.c.person_id.in_(_GIVEN), _items.c.state != "deleted")
    .group_by(_identities.c.person_id, _items.c.id, _items.c.title, _items.c.state)
    .order_by(func.max(_evidence.c.at).desc())
)

_TOPICS: Any = (
    select(_mention_topics.c.mention_id, _mention_topics.c.topic)
    .where(_mention_topics.c.mention_id.in_(_GIVEN))
    .order_by(_mention_topics.c.mention_id, _mention_topics.c.score.desc(), _mention_topics.c.topic)
)

_CORRECTED: Any = (
    select(_corrections.c.mention_id, _corrections.c.field)
    .where(_corrections.c.mention_id.in_(_GIVEN), _corrections.c.withdrawn_at.is_(None))
    .order_by(_corrections.c.field)
)


def page(
    tx: Transaction, wanted: Wanted, user_id: int | None, after: tuple[datetime, int] | None, limit: int
) -> list[Line]:
    """Up to `limit` conversations, newest first, after the one that (latest_at, id) names."""
    ids = _ids(tx, wanted, after, limit)
    if not ids:
        return []
    found = tx.connection.execute(_LINES, {"ids": ids, "user": user_id or 0})
    lines = {row[0]: Line(*row) for row in found}
    return [lines[one] for one in ids]


def _ids(tx: Transaction, wanted: Wanted, after: tuple[datetime, int] | None, limit: int) -> list[int]:
    """The ids in order. A filter that few pass is resolved first, so that no page walks the whole table."""
    conditions = _own_conditions(wanted)
    for test in _tests(tx, wanted):
        few = list(tx.connection.scalars(test.ids.limit(FEW + 1)))
        if not few:
            return []
        conditions.append(_conversations.c.id.in_(few) if len(few) <= FEW else test.passes)
    if after is not None:
        at, last = after
        earlier = or_(_conversations.c.latest_at < at, _conversations.c.id < last)
        conditions += [_conversations.c.latest_at <= at, earlier]
    query = (
        select(_conversations.c.id)
        .where(*conditions)
        .order_by(_conversations.c.latest_at.desc(), _conversations.c.id.desc())
        .limit(limit)
    )
    return list(tx.connection.scalars(query))


def _own_conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    """What the conversation's own row answers."""
    conditions: list[ColumnElement[bool]] = [_ON_SHELF[wanted.shelf]]
    if len(wanted.states) == 1:
        conditions.append(_conversations.c.state == wanted.states[0])
    elif wanted.states:
        conditions.append(_conversations.c.state.in_(wanted.states))
    if wanted.assignee == "nobody":
        conditions.append(_conversations.c.assignee_id.is_(None))
    elif wanted.assignee is not None:
        conditions.append(_conversations.c.assignee_id == wanted.assignee)
    if wanted.since is None and wanted.until is None:
        conditions += _one_of(_conversations.c.sentiment, wanted.sentiments)
        conditions += _one_of(_conversations.c.intent, wanted.intents)
    return conditions


# Written out, not bound: only so does SQLite know that the index of what is set aside will do.
_ON_SHELF: dict[str, ColumnElement[bool]] = {
    "inbox": text("conversations.shelf = ''"),  # type: ignore[dict-item]
    "kept": text("conversations.shelf <> 'set_aside'"),  # type: ignore[dict-item]
    "set_aside": text("conversations.shelf = 'set_aside'"),  # type: ignore[dict-item]
}


def _one_of(column: Any, values: Collection[str]) -> Iterable[ColumnElement[bool]]:
    if len(values) == 1:
        yield column == next(iter(values))
    elif values:
        yield column.in_(values)


@dataclass(frozen=True, slots=True)
class _Test:
    """One filter that other tables answer: the ids of the conversations that pass, and whether a given one does."""

    ids: Select[Any]
    passes: ColumnElement[bool]


def _tests(tx: Transaction, wanted: Wanted) -> Iterable[_Test]:
    if wanted.since is not None or wanted.until is not None:
        yield _any_mention(_said_in_time(wanted))
    else:
        if wanted.topics:
            yield _latest_mention(_mention_topics, _mention_topics.c.topic.in_(wanted.topics))
        if wanted.source_id is not None:
            yield _latest_mention(_mention_sources, _mention_sources.c.source_id == wanted.source_id)
        if wanted.theme_id is not None:
            yield _any_mention(select(_mentions.c.conversation_id).where(_in_theme(wanted.theme_id)))
    if wanted.search is not None:
        found = search.matches(tx, wanted.search)
        yield _any_mention(select(_mentions.c.conversation_id).where(found, _mentions.c.ours.is_(False)))


def _any_mention(of: Select[Any]) -> _Test:
    """`of` selects the conversations of mentions."""
    here = of.where(_mentions.c.conversation_id == _conversations.c.id).correlate(_conversations)
    return _Test(of.distinct(), here.exists())


def _latest_mention(tagged: Table, how: ColumnElement[bool]) -> _Test:
    """The conversation's newest mention stands so in `tagged`."""
    ids = (
        select(_conversations.c.id)
        .join(_mentions, _mentions.c.conversation_id == _conversations.c.id)
        .join(tagged, tagged.c.mention_id == _mentions.c.id)
        .where(_mentions.c.id == _conversations.c.latest_mention_id, how)
    )
    here = select(tagged.c.mention_id).where(tagged.c.mention_id == _conversations.c.latest_mention_id, how)
    return _Test(ids.distinct(), here.correlate(_conversations).exists())


def _said_in_time(wanted: Wanted) -> Select[Any]:
    """Conversations with a mention that passes every filter and was posted then: what a bar of a chart counts."""
    aside = wanted.shelf == "set_aside"
    query = select(_mentions.c.conversation_id).where(_mentions.c.ours.is_(False), _mentions.c.set_aside.is_(aside))
    if wanted.since is not None:
        query = query.where(_mentions.c.posted_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(_mentions.c.posted_at < wanted.until)
    if wanted.sentiments or wanted.intents:
        query = query.join(_effective, _effective.c.mention_id == _mentions.c.id).where(
            *_one_of(_effective.c.sentiment, wanted.sentiments), *_one_of(_effective.c.intent, wanted.intents)
        )
    if wanted.topics:
        about = select(_mention_topics.c.mention_id).where(
            _mention_topics.c.mention_id == _mentions.c.id, _mention_topics.c.topic.in_(wanted.topics)
        )
        query = query.where(about.exists())
    if wanted.source_id is not None:
        found = select(_mention_sources.c.mention_id).where(
            _mention_sources.c.mention_id == _mentions.c.id, _mention_sources.c.source_id == wanted.source_id
        )
        query = query.where(found.exists())
    if wanted.theme_id is not None:
        query = query.where(_in_theme(wanted.theme_id))
    return query


def _in_theme(theme_id: int) -> ColumnElement[bool]:
    return _mentions.c.id.in_(select(_theme_mentions.c.mention_id).where(_theme_mentions.c.theme_id == theme_id))


def counts(tx: Transaction, user_id: int | None, bound: int) -> dict[str, int]:
    """How many conversations each view holds, counted up to `bound` and no further."""
    state, assignee = _conversations.c.state, _conversations.c.assignee_id
    kept = _ON_SHELF["kept"]
    views: dict[str, list[ColumnElement[bool]]] = {
        "needs_answer": [state == "open", _ON_SHELF["inbox"]],
        "mine": [assignee == (user_id or 0), state.in_(("open", "waiting")), kept],
        "waiting": [state == "waiting", kept],
        "closed": [state == "closed", kept],
        "all": [kept],
        "set_aside": [_ON_SHELF["set_aside"]],
    }
    columns = [
        select(func.count())
        .select_from(select(_conversations.c.latest_at).where(*conditions).limit(bound).subquery())
        .scalar_subquery()
        .label(name)
        for name, conditions in views.items()
    ]
    row = tx.connection.execute(select(*columns)).one()
    return dict(zip(views, row, strict=True))


def before(tx: Transaction, conversation_ids: Collection[int]) -> dict[int, Before]:
    """For each conversation what the same person had said in earlier ones."""
    found = tx.connection.execute(_BEFORE, {"ids": conversation_ids})
    return {row[0]: Before(row[1], int(row[2]), int(row[3])) for row in found}


def wishes(tx: Transaction, person_ids: Collection[int], per_person: int = 3) -> dict[int, tuple[Wish, ...]]:
    """For each person the newest feedback items that their words back."""
    found: dict[int, list[Wish]] = {}
    for person_id, *wish in tx.connection.execute(_WISHES, {"ids": person_ids}):
        of_person = found.setdefault(person_id, [])
        if len(of_person) < per_person:
            of_person.append(Wish(*wish))
    return {person_id: tuple(of_person) for person_id, of_person in found.items()}


def topics(tx: Transaction, mention_ids: Collection[int]) -> dict[int, tuple[str, ...]]:
    """For each mention its topics, best first."""
    found: dict[int, list[str]] = {}
    for mention_id, topic in tx.connection.execute(_TOPICS, {"ids": mention_ids}):
        found.setdefault(mention_id, []).append(topic)
    return {mention_id: tuple(names) for mention_id, names in found.items()}


def corrected(tx: Transaction, mention_ids: Collection[int]) -> dict[int, tuple[str, ...]]:
    """For each mention the fields that people corrected."""
    found: dict[int, list[str]] = {}
    for mention_id, name in tx.connection.execute(_CORRECTED, {"ids": mention_ids}):
        found.setdefault(mention_id, []).append(name)
    return {mention_id: tuple(names) for mention_id, names in found.items()}


def platforms_with_account(tx: Transaction) -> frozenset[str]:
    """The platforms on which one of our accounts is connected."""
    return frozenset(tx.connection.scalars(select(_accounts.c.platform).distinct()))


def sources(tx: Transaction) -> list[tuple[int, str]]:
    """Every source's id and label, by label."""
    query: Any = (
        select(_sources.c.id, _sources.c.label)
        .where(_sources.c.state.not_in(("removing", "left")))
        .order_by(func.lower(_sources.c.label), _sources.c.id)
    )
    return [(row[0], row[1]) for row in tx.connection.execute(query)]


def topic_names(tx: Transaction) -> list[str]:
    """The taxonomy's topics in its order."""
    return list(tx.connection.scalars(select(_topics.c.name).order_by(_topics.c.position, _topics.c.name)))


def colleagues(tx: Transaction) -> list[tuple[int, str]]:
    """Everybody to whom a conversation may be assigned, by name."""
    query: Any = (
        select(_users.c.id, _users.c.display_name)
        .where(_users.c.disabled_at.is_(None))
        .order_by(func.lower(_users.c.display_name), _users.c.id)
    )
    return [(row[0], row[1]) for row in tx.connection.execute(query)]
