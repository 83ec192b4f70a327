"""The inbox: which conversations to show, what a card says, and what can be done to many of them at once."""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from analysis.base import KNOWN_LANGUAGES, Intent, Sentiment
from db import conversations as rows
from db import gold, tags
from db import inbox as lists
from db import spam as spam_rows
from db import workspace as workspace_rows
from db.engine import Transaction
from dialogue import audit, notes, platforms, search, spam
from dialogue.context import UNDO_FOR, Actor, Context, DialogueError, Missing, Role, require
from dialogue.search import SearchError as SearchError
from dialogue.text import as_id, counted, ordinal, shortened
from listeners.base import clean

VIEWS = ("needs_answer", "mine", "waiting", "closed", "all", "set_aside")
STATES = ("open", "waiting", "closed")
COUNTED = 10_000
"""`counts` counts no further: this many means this many or more."""
BULK = 1_000
"""Conversations that one action may change."""
CORRECTABLE = ("sentiment", "intent", "language", "topics")
UNCERTAIN_BELOW = 0.55
"""A sentiment that the model gave a lower probability is shown as uncertain."""

_VIEW_STATES: Mapping[str, tuple[str, ...]] = {
    "needs_answer": ("open",),
    "mine": ("open", "waiting"),
    "waiting": ("waiting",),
    "closed": ("closed",),
    "all": (),
    "set_aside": (),
}
_VIEW_SHELVES: Mapping[str, Literal["inbox", "set_aside"]] = {"needs_answer": "inbox", "set_aside": "set_aside"}


@dataclass(frozen=True, slots=True)
class Filters:
    """What to show. Empty restricts nothing. `day` is a first and a last day in the workspace's zone."""

    view: str = "needs_answer"
    search: str = ""
    sentiment: tuple[str, ...] = ()
    intent: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    source_id: int | None = None
    theme_id: int | None = None
    state: str | None = None
    assignee: int | Literal["me", "nobody"] | None = None
    day: tuple[date, date] | None = None


@dataclass(frozen=True, slots=True)
class Card:
    """One conversation of the list, spoken of by its newest mention. `text` is plain and at most 400 characters.

    uncertain: the model was in doubt about the sentiment, or does not know the language, and nobody has corrected it.
    corrected: fields people set. copies: how many others say the same elsewhere. folded: it says the same as another.
    aside: why it is set aside, in words.
    """

    conversation_id: int
    version: int
    unread: bool
    person_id: int | None
    author_name: str
    handle: str
    platform_title: str
    place: str
    posted_at: datetime
    text: str
    title: str | None
    url: str | None
    sentiment: str | None
    intent: str | None
    topics: tuple[str, ...]
    language: str | None
    state: str
    assignee_name: str | None
    assignee_id: int | None
    due_at: datetime | None
    mention_count: int
    mention_id: int | None
    memory: str | None
    answerable: bool
    answer_note: str
    rating: float | None
    sample: bool
    uncertain: bool
    corrected: tuple[str, ...]
    copies: int = 0
    folded: bool = False
    aside: str = ""


@dataclass(frozen=True, slots=True)
class InboxPage:
    """Cards, newest first. `next` is what `after` takes for the page that follows; None at the end."""

    cards: tuple[Card, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class Facets:
    """What the filters offer."""

    sources: list[tuple[int, str]]
    topics: list[str]
    colleagues: list[tuple[int, str]]


def page(ctx: Context, actor: Actor, filters: Filters, after: str | None = None, limit: int = 25) -> InboxPage:
    """The conversations that pass the filters. Raises SearchError for a query that cannot be read."""
    require(actor, Role.VIEWER)
    limit = max(1, min(limit, 200))
    mark = _mark(after) if after else None
    with ctx.database.reading() as tx:
        wanted = _wanted(tx, actor, filters)
        lines = lists.page(tx, wanted, actor.user_id, mark, limit + 1)
        shown = lines[:limit]
        cards = _cards(tx, shown)
    more = len(lines) > limit
    return InboxPage(cards, token(shown[-1].latest_at, shown[-1].conversation_id) if more else None)


def counts(ctx: Context, actor: Actor) -> dict[str, int]:
    """How many conversations each view holds; `COUNTED` means that many or more."""
    require(actor, Role.VIEWER)
    with ctx.database.reading() as tx:
        return lists.counts(tx, actor.user_id, COUNTED)


def facets(ctx: Context) -> Facets:
    """The sources, topics and colleagues to filter by."""
    with ctx.database.reading() as tx:
        return Facets(lists.sources(tx), lists.topic_names(tx), lists.colleagues(tx))


# Many at once ---------------------------------------------------------------------------------------------------------


def close(ctx: Context, actor: Actor, conversation_ids: Sequence[int]) -> str:
    """Closes them. Returns an undo id."""
    return _bulk(ctx, actor, conversation_ids, "closed", state="closed", closed_at=ctx.clock())


def reopen(ctx: Context, actor: Actor, conversation_ids: Sequence[int]) -> str:
    """Says that they need an answer. Returns an undo id."""
    return _bulk(ctx, actor, conversation_ids, "reopened", state="open", closed_at=None)


def set_state(ctx: Context, actor: Actor, conversation_ids: Sequence[int], state: str) -> str:
    """Moves them to open, waiting or closed. Returns an undo id."""
    if state not in STATES:
        raise DialogueError(f"A conversation is {', '.join(STATES)}; not '{state}'.")
    closed_at = ctx.clock() if state == "closed" else None
    return _bulk(ctx, actor, conversation_ids, _PAST[state], state=state, closed_at=closed_at)


_PAST = {"open": "reopened", "waiting": "set waiting", "closed": "closed"}


def assign(ctx: Context, actor: Actor, conversation_ids: Sequence[int], user_id: int | None) -> str:
    """Gives them to a colleague, or to nobody. Returns an undo id."""
    with ctx.database.reading() as tx:
        if user_id is not None and user_id not in dict(lists.colleagues(tx)):
            raise Missing("This colleague is not here any more. Choose another.")
    return _bulk(ctx, actor, conversation_ids, "assigned", assignee_id=user_id)


def undo(ctx: Context, actor: Actor, undo_id: str) -> int:
    """Takes a bulk action back where nothing has changed since. Returns how many conversations were restored."""
    require(actor, Role.RESPONDER)
    restored = 0
    with ctx.database.transaction() as tx:
        action = rows.undo(tx, undo_id, actor.user_id or 0, ctx.clock() - UNDO_FOR, ctx.clock())
        if action is None:
            raise Missing("There is nothing to undo any more.")
        for change in action.before:
            if "after" in change:
                restored += rows.restore(tx, change["id"], change["after"], change["before"])
        audit.record(tx, ctx, actor, "undid", action.action, undo_id, restored=restored)
        workspace_rows.bump(tx)
    return restored


def _bulk(ctx: Context, actor: Actor, conversation_ids: Sequence[int], action: str, **values: Any) -> str:
    require(actor, Role.RESPONDER)
    ids = sorted(set(map(as_id, conversation_ids)))
    if not 1 <= len(ids) <= BULK:
        raise DialogueError(f"Choose from 1 to {BULK:,} conversations.")
    undo_id = secrets.token_urlsafe(12)
    with ctx.database.transaction() as tx:
        changes = rows.change_many(tx, ids, values)
        if not changes:
            raise Missing("These conversations are not here any more.")
        rows.remember(tx, undo_id, actor.user_id, action, changes, ctx.clock())
        shown = ids[0] if len(ids) == 1 else f"{len(changes)} of them"
        detail = {key: value for key, value in values.items() if key == "assignee_id"}
        audit.record(tx, ctx, actor, action, "conversation", shown, ids=ids, **detail)
        workspace_rows.bump(tx)
    return undo_id


# Seen and unread ------------------------------------------------------------------------------------------------------


def mark_seen(ctx: Context, actor: Actor, conversation_id: int, version: int) -> None:
    """The actor has seen the conversation up to `version`."""
    _see(ctx, actor, conversation_id, version, back=False)


def mark_unread(ctx: Context, actor: Actor, conversation_id: int) -> None:
    """The actor wants to come back to it."""
    _see(ctx, actor, conversation_id, 0, back=True)


def _see(ctx: Context, actor: Actor, conversation_id: int, version: int, *, back: bool) -> None:
    require(actor, Role.VIEWER)
    if actor.user_id is None:
        return
    with ctx.database.reading() as tx:
        known = rows.seen(tx, actor.user_id, conversation_id)
    if known == version or (not back and known is not None and known > version):
        return  # most reruns end here, without a write
    with ctx.database.transaction() as tx:
        if rows.get(tx, conversation_id) is None:
            raise Missing("This conversation is not here any more.")
        rows.see(tx, actor.user_id, conversation_id, version)
        workspace_rows.bump(tx)


# What people know better ----------------------------------------------------------------------------------------------


def correct(ctx: Context, actor: Actor, mention_id: int, field: str, value: str | Sequence[str]) -> None:
    """Sets one field of a mention's tags; it wins over every model version, and charts count it at once.

    field: sentiment, intent, language or topics; `topics` takes several names, or none.
    """
    require(actor, Role.PRODUCT)
    values = [value] if isinstance(value, str) else list(dict.fromkeys(value))
    with ctx.database.transaction() as tx:
        _check_correction(tx, field, values)
        if gold.judge(tx, mention_id, field, values, actor.user_id, ctx.clock()) is None:
            raise Missing("This mention is not here any more.")
        _reapply(tx, mention_id)
        audit.record(tx, ctx, actor, "corrected", "mention", mention_id, field=field, value=values)
        workspace_rows.bump(tx)


def withdraw(ctx: Context, actor: Actor, mention_id: int, field: str) -> None:
    """Takes a correction back: the model's word shows again."""
    require(actor, Role.PRODUCT)
    with ctx.database.transaction() as tx:
        if not gold.withdraw(tx, mention_id, field, ctx.clock()):
            raise Missing("There is no correction to take back.")
        _reapply(tx, mention_id)
        audit.record(tx, ctx, actor, "withdrew correction", "mention", mention_id, field=field)
        workspace_rows.bump(tx)


def _reapply(tx: Transaction, mention_id: int) -> None:
    tags.reapply(tx, mention_id, workspace_rows.read(tx).time_zone)


def _check_correction(tx: Transaction, field: str, values: list[str]) -> None:
    if field not in CORRECTABLE:
        raise DialogueError(f"Only {', '.join(CORRECTABLE)} can be corrected.")
    if field == "topics":
        unknown = sorted(set(values) - set(lists.topic_names(tx)))
        if unknown:
            raise DialogueError(f"There is no topic called '{unknown[0][:80]}'.")
        return
    if len(values) != 1:
        raise DialogueError(f"A mention has one {field}.")
    known = {"sentiment": set(map(str, Sentiment)), "intent": set(map(str, Intent))}.get(field, set())
    language = len(values[0]) in (2, 3) and values[0].isascii() and values[0].islower()
    if values[0] not in known and not (field == "language" and language):
        raise DialogueError(f"'{values[0][:80]}' is no {field}.")


# How it is put together -----------------------------------------------------------------------------------------------


def _wanted(tx: Transaction, actor: Actor, filters: Filters) -> lists.Wanted:
    states = _VIEW_STATES.get(filters.view)
    if states is None:
        raise DialogueError(f"There is no view called '{filters.view[:40]}'.")
    if filters.state is not None:
        states = tuple(state for state in states or STATES if state == filters.state) or ("none",)
    assignee = filters.assignee
    if filters.view == "mine" or assignee == "me":
        assignee = actor.user_id or 0
    elif isinstance(assignee, int):
        assignee = as_id(assignee)
    since, until = _bounds(filters.day, workspace_rows.read(tx).time_zone) if filters.day else (None, None)
    return lists.Wanted(
        states=states,
        shelf=_VIEW_SHELVES.get(filters.view, "kept"),
        assignee=assignee,
        sentiments=tuple(map(clean, filters.sentiment)),
        intents=tuple(map(clean, filters.intent)),
        topics=tuple(map(clean, filters.topics)),
        source_id=None if filters.source_id is None else as_id(filters.source_id),
        theme_id=None if filters.theme_id is None else as_id(filters.theme_id),
        since=since,
        until=until,
        search=search.parse(filters.search),
    )


def _bounds(day: tuple[date, date], zone: str) -> tuple[datetime, datetime]:
    """The first moment of the first day and the first moment after the last, in UTC."""
    first, last = min(day), max(day)
    try:
        midnights = (first, last + timedelta(days=1))
        since, until = (datetime.combine(one, time(), ZoneInfo(zone)).astimezone(UTC) for one in midnights)
    except OverflowError:
        raise DialogueError("This day is outside every calendar. Choose another.") from None
    return since, until


def _cards(tx: Transaction, lines: Sequence[lists.Line]) -> tuple[Card, ...]:
    """Cards from the list's rows and five reads for all of them together."""
    mention_ids = [line.mention_id for line in lines if line.mention_id is not None]
    topics = lists.topics(tx, mention_ids)
    corrected = lists.corrected(tx, mention_ids)
    before = lists.before(tx, [line.conversation_id for line in lines])
    wishes = lists.wishes(tx, [line.person_id for line in lines if line.person_id is not None])
    connected = lists.platforms_with_account(tx)
    noted = notes.noted(tx, mention_ids)
    aside = spam_rows.verdicts(tx, [line.mention_id for line in lines if line.mention_id and line.shelf == "set_aside"])
    return tuple(
        _card(
            line,
            topics.get(line.mention_id or 0, ()),
            corrected.get(line.mention_id or 0, ()),
            _memory(line.memo, before.get(line.conversation_id), wishes.get(line.person_id or 0, ())),
            connected,
            noted[line.mention_id].place if line.mention_id in noted else platforms.place(line.url),
            spam.words(aside[line.mention_id]) if line.mention_id in aside else "",
        )
        for line in lines
    )


def _is_foreign(language: str | None) -> bool:
    """Whether the model was never shown to read this language. One that cannot be told may well be known."""
    return language not in (None, "und") and language not in KNOWN_LANGUAGES


def _card(
    line: lists.Line,
    topics: tuple[str, ...],
    corrected: tuple[str, ...],
    memory: str | None,
    connected: Collection[str],
    place: str,
    aside: str,
) -> Card:
    platform = platforms.of(line.platform)
    answerable, note = platforms.answering(platform, connected=line.platform in connected, sample=line.sample)
    doubtful = line.certainty is not None and (line.certainty < UNCERTAIN_BELOW or _is_foreign(line.language))
    uncertain = doubtful and "sentiment" not in corrected
    return Card(
        conversation_id=line.conversation_id,
        version=line.version,
        unread=(line.seen_version or 0) < line.version,
        person_id=line.person_id,
        author_name=line.author_name or line.handle or "Somebody",
        handle=line.handle or "",
        platform_title=platform.title,
        place=place,
        posted_at=line.latest_at,
        text=shortened(line.text or "", lists.SHOWN_TEXT),
        title=line.title,
        url=line.url,
        sentiment=line.sentiment,
        intent=line.intent,
        topics=topics,
        language=line.language,
        state=line.state,
        assignee_name=line.assignee_name,
        assignee_id=line.assignee_id,
        due_at=line.due_at,
        mention_count=line.mention_count,
        mention_id=line.mention_id,
        memory=memory,
        answerable=answerable,
        answer_note=note,
        rating=line.rating,
        sample=line.sample,
        uncertain=uncertain,
        corrected=corrected,
        copies=line.copies,
        folded=line.shelf == "copy",
        aside=aside,
    )


def _memory(memo: str | None, before: lists.Before | None, wishes: Iterable[lists.Wish]) -> str | None:
    """One line of what to remember first: '3rd time · 2 complaints before · asked for GPX export (planned)'."""
    parts = []
    if before is not None and before.conversations:
        parts.append(f"{ordinal(before.conversations + 1)} time")
        if before.complaints:
            parts.append(f"{counted(before.complaints, 'complaint')} before")
        elif before.praises:
            parts.append("praised us before")
    parts += [f"asked for {shortened(wish.title, 40)} ({wish.state})" for wish in list(wishes)[:1]]
    if memo and memo.strip():
        parts.append(shortened(" ".join(memo.split()), 60))
    return " · ".join(parts) or None


def token(latest_at: datetime, conversation_id: int) -> str:
    """What `after` takes for the page that follows this conversation."""
    return base64.urlsafe_b64encode(f"{latest_at.isoformat()} {conversation_id}".encode()).decode()


def _mark(token: str) -> tuple[datetime, int]:
    try:
        at, _, last = base64.urlsafe_b64decode(token.encode()).decode().partition(" ")
        moment = datetime.fromisoformat(at)
        return moment.astimezone(UTC), as_id(int(last))
    except (ValueError, binascii.Error, OverflowError):
        raise DialogueError("This page of the list cannot be found. Go back to its beginning.") from None
