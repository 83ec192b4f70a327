"""One conversation: its thread, the person behind it, and what the composer says before anybody types."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from db import context as around
from db import conversations as rows
from db import inbox as lists
from db import replies as reply_rows
from db import workspace as workspace_rows
from db.context import ContextRow
from db.conversations import ConversationRow, MentionRow
from db.engine import Transaction
from dialogue import answering, folding, inbox, notes, people, platforms, replies, spam
from dialogue.context import Actor, Context, Missing, Role, require
from dialogue.people import HistoryLine as HistoryLine
from dialogue.people import PersonPanel as PersonPanel
from dialogue.text import as_id
from listeners.base import clean

LONGEST = 300
"""Mentions of a thread that are shown; the newest ones."""
DEEPEST = 6
"""A deeper answer is drawn no deeper."""
PRESENT_FOR = timedelta(seconds=45)
"""How long after a heartbeat a colleague counts as looking."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that was said in the thread. kind: mention, reply, context (what a mention answers, quotes or stands
    under; no query found it and nobody waits for an answer to it). `text` is plain and hostile; `depth` starts at 0."""

    kind: str
    id: int
    ours: bool
    author_name: str
    handle: str
    at: datetime
    text: str
    url: str | None
    sample: bool
    depth: int
    title: str | None = None
    sentiment: str | None = None
    intent: str | None = None
    topics: tuple[str, ...] = ()
    language: str | None = None
    rating: float | None = None
    edited: bool = False
    corrected: tuple[str, ...] = ()
    state: str | None = None
    """Of a reply: how far it is; `state_words` say it, and it may be taken back until `can_undo_until`."""
    state_words: str = ""
    can_undo_until: datetime | None = None
    what_to_do: str = ""
    noted: notes.Noted | None = None
    """Of a note: where it was heard, and who wrote it down."""
    outdated: bool = False
    """It was edited after our answer, which may not fit it any more."""
    attribution: str = ""
    """What must stand by the text, with the link; plain and hostile. Empty where the platform asks for none."""
    role: str = ""
    """Of context: begins, answered or quoted."""


@dataclass(frozen=True, slots=True)
class Composer:
    """What to say before anybody types. how: api, hand_off, none. `max_chars` is counted in `counted_in`."""

    can_answer: bool
    how: str
    reason: str
    as_whom: str
    account_id: int | None
    answering_mention_id: int | None
    max_chars: int | None
    counted_in: str
    place_words: str
    draft_key: str
    draft_text: str
    approval_needed: bool
    undo_seconds: int
    draft_note: str = ""
    """Why what was sent came back into the composer."""


@dataclass(frozen=True, slots=True)
class ConversationView:
    """A conversation as it stands at `version`. feedback: (item id, title, state)."""

    id: int
    version: int
    title: str
    platform_title: str
    state: str
    assignee_id: int | None
    assignee_name: str | None
    due_at: datetime | None
    url: str | None
    items: tuple[Item, ...]
    person: PersonPanel
    composer: Composer
    present: tuple[str, ...]
    feedback: tuple[tuple[int, str, str], ...]
    sample: bool
    copies: int = 0
    """How many others say the same elsewhere."""
    folded_under: int | None = None
    """The conversation in which the same was said first; this one needs no answer of its own."""
    folded: tuple[int, ...] = ()
    """The mentions here that are copies."""
    aside: str = ""
    """Why it is set aside, in words."""


def open_(ctx: Context, actor: Actor, conversation_id: int) -> ConversationView:
    """The conversation. Changes nothing; see `touch` and `inbox.mark_seen`. Raises Missing."""
    require(actor, Role.VIEWER)
    with ctx.database.reading() as tx:
        conversation = _found(tx, conversation_id)
        thread = rows.thread(tx, conversation_id, LONGEST)
        latest = next((one for one in thread if one.id == conversation.latest_mention_id), None)
        platform = platforms.of(conversation.platform)
        items = _items(tx, thread, reply_rows.of_conversation(tx, conversation_id))
        author = _name(latest) if latest else ""
        originals = folding.originals(tx, conversation.shelf, [one.id for one in thread if not one.ours])
        return ConversationView(
            id=conversation.id,
            version=conversation.version,
            title=f"{author or 'Somebody'} on {platform.title}",
            platform_title=platform.title,
            state=conversation.state,
            assignee_id=conversation.assignee_id,
            assignee_name=conversation.assignee_name,
            due_at=conversation.due_at,
            url=next((one.url for one in (latest, *thread) if one is not None and one.url), None),
            items=items,
            person=people.panel(tx, conversation.person_id, author),
            composer=_composer(ctx, tx, actor, conversation, latest, platform),
            present=tuple(rows.others_present(tx, actor.user_id, conversation_id, ctx.clock() - PRESENT_FOR)),
            feedback=tuple(rows.feedback_of(tx, conversation_id)),
            sample=conversation.sample,
            copies=conversation.copies,
            folded_under=next(iter(originals.values()), None),
            folded=tuple(originals),
            aside=spam.reason(tx, conversation.shelf, conversation.latest_mention_id),
        )


def count(ctx: Context, conversation_id: int, text: str) -> tuple[int, int | None]:
    """How long the text is as its platform counts, and how long it may be; None where there is no limit."""
    with ctx.database.reading() as tx:
        conversation = _found(tx, conversation_id)
        latest = rows.mention(tx, conversation.latest_mention_id) if conversation.latest_mention_id else None
        outlook = answering.outlook(ctx, tx, conversation, latest)
    platform = outlook.platform or platforms.of(conversation.platform)
    return platform.length(clean(text).strip()), platform.max_chars


def preview(ctx: Context, conversation_id: int, text: str) -> str:
    """The text exactly as it will be sent: without what platforms refuse, and without blanks around it."""
    with ctx.database.reading() as tx:
        _found(tx, conversation_id)
    return clean(text).strip()


def touch(ctx: Context, actor: Actor, conversation_id: int) -> tuple[str, ...]:
    """Says that the actor has it open, and returns the names of the colleagues who have, too."""
    require(actor, Role.VIEWER)
    now = ctx.clock()
    if actor.user_id is not None:
        with ctx.database.transaction() as tx:
            _found(tx, conversation_id)
            rows.forget_presence(tx, now - PRESENT_FOR * 10)
            rows.present(tx, actor.user_id, conversation_id, now)
    with ctx.database.reading() as tx:
        return tuple(rows.others_present(tx, actor.user_id, conversation_id, now - PRESENT_FOR))


def set_state(ctx: Context, actor: Actor, conversation_id: int, state: str) -> str:
    """Moves it to open, waiting or closed. Returns an undo id for `inbox.undo`."""
    return inbox.set_state(ctx, actor, [conversation_id], state)


def set_assignee(ctx: Context, actor: Actor, conversation_id: int, user_id: int | None) -> str:
    """Gives it to a colleague, or to nobody. Returns an undo id for `inbox.undo`."""
    return inbox.assign(ctx, actor, [conversation_id], user_id)


# How it is put together -----------------------------------------------------------------------------------------------


def _found(tx: Transaction, conversation_id: int) -> ConversationRow:
    conversation = rows.get(tx, as_id(conversation_id))
    if conversation is None:
        raise Missing("This conversation is not here any more. What it held may have been deleted where it was made.")
    return conversation


def _name(mention: MentionRow) -> str:
    return mention.author_name or mention.handle or ""


def _items(tx: Transaction, thread: Sequence[MentionRow], sent: Sequence[reply_rows.ReplyRow]) -> tuple[Item, ...]:
    """Mentions and replies in the order in which they were said; an answer of ours that was collected, too, once."""
    shown = [reply for reply in sent if reply.state != "draft"]
    ours = {reply.sent_id for reply in shown if reply.sent_id} | _posted_by_hand(thread, shown)
    ids = [mention.id for mention in thread]
    topics, corrected = lists.topics(tx, ids), lists.corrected(tx, ids)
    noted = notes.noted(tx, ids)
    beside = _beside(tx, thread, ours)
    depths = {one.external_id: 0 for one in beside}
    by_mention: dict[int, int] = {}
    items = []
    for mention in thread:
        below = depths.get(mention.parent_id or "", 0 if mention.parent_id else -1)
        depths[mention.external_id] = by_mention[mention.id] = min(below + 1, DEEPEST)
        if mention.external_id not in ours:
            tags = topics.get(mention.id, ()), corrected.get(mention.id, ())
            outdated = _is_outdated(mention, thread, shown)
            item = _mention_item(mention, *tags, by_mention[mention.id], outdated)
            items.append(replace(item, noted=noted.get(mention.id)))
    items += [_reply_item(reply, min(by_mention.get(reply.mention_id or 0, -1) + 1, DEEPEST)) for reply in shown]
    items += [_context_item(one, thread) for one in beside]
    return tuple(sorted(items, key=lambda item: (item.at, item.kind == "reply", item.id)))


def _beside(tx: Transaction, thread: Sequence[MentionRow], ours: set[str]) -> list[ContextRow]:
    """What the thread's mentions refer to, each once, but for what stands in it anyway."""
    there = {mention.external_id for mention in thread} | ours
    found = around.of(tx, [mention.id for mention in thread])
    return list({one.external_id: one for one in found if one.external_id not in there}.values())


def _posted_by_hand(thread: Sequence[MentionRow], shown: Sequence[reply_rows.ReplyRow]) -> set[str]:
    """Ids of our mentions that are replies which a person posted, or found, there: the platform told us no id."""
    found: set[str] = set()
    for reply in shown:
        if reply.state not in ("sent", "handed_off") or reply.sent_id:
            continue
        same = (one.external_id for one in thread if one.ours and one.external_id not in found and _is(one, reply))
        found.update(list(same)[:1])
    return found


def _is(mention: MentionRow, reply: reply_rows.ReplyRow) -> bool:
    """Whether the mention is that very reply: by its address, else by its words."""
    if reply.sent_url is not None and mention.url == reply.sent_url:
        return True
    return mention.posted_at >= reply.created_at and mention.text.split() == reply.text.split()


def _is_outdated(mention: MentionRow, thread: Sequence[MentionRow], shown: Sequence[reply_rows.ReplyRow]) -> bool:
    """Whether it was edited after the last answer of ours to it, sent from here or given there."""
    edited_at = mention.edited_at
    if edited_at is None or mention.ours:
        return False
    sent = [one.sent_at for one in shown if one.mention_id == mention.id and one.state in replies.ANSWERED]
    given = [one.posted_at for one in thread if one.ours and one.parent_id == mention.external_id]
    answers = [at for at in (*sent, *given) if at is not None]
    return bool(answers) and max(answers) < edited_at


def _mention_item(
    mention: MentionRow, topics: tuple[str, ...], corrected: tuple[str, ...], depth: int, outdated: bool
) -> Item:
    return Item(
        kind="mention",
        id=mention.id,
        ours=mention.ours,
        author_name=_name(mention) or "Somebody",
        handle=mention.handle or "",
        at=mention.posted_at,
        text=mention.text,
        title=mention.title,
        url=mention.url,
        sentiment=mention.sentiment,
        intent=mention.intent,
        topics=topics,
        language=mention.language,
        rating=mention.rating,
        edited=mention.edited_at is not None and mention.edited_at > mention.posted_at,
        corrected=corrected,
        sample=mention.sample,
        depth=depth,
        outdated=outdated,
        attribution=platforms.attribution(mention.platform, _name(mention)),
    )


def _context_item(row: ContextRow, thread: Sequence[MentionRow]) -> Item:
    mention = next(one for one in thread if one.id == row.mention_id)
    quoted = any(one.quotes_id == row.external_id for one in thread)
    answered = any(one.parent_id == row.external_id for one in thread)
    return Item(
        kind="context",
        id=row.id,
        ours=row.ours,
        author_name=row.author_name or "Somebody",
        handle="",
        at=row.posted_at,
        text=row.text,
        title=row.title,
        url=row.url,
        sample=mention.sample,
        depth=0,
        attribution=platforms.attribution(mention.platform, row.author_name),
        role="quoted" if quoted else "answered" if answered else "begins",
    )


def _reply_item(row: reply_rows.ReplyRow, depth: int) -> Item:
    reply = replies.view(row)
    return Item(
        kind="reply",
        id=reply.id,
        ours=True,
        author_name=reply.author_name,
        handle=row.account_handle or "",
        at=reply.at,
        text=reply.text,
        url=reply.url,
        state=reply.state,
        state_words=reply.words,
        can_undo_until=reply.undo_until,
        sample=reply.sample,
        depth=depth,
        what_to_do=reply.what_to_do,
    )


def _composer(
    ctx: Context,
    tx: Transaction,
    actor: Actor,
    conversation: ConversationRow,
    latest: MentionRow | None,
    platform: platforms.Platform,
) -> Composer:
    outlook = answering.outlook(ctx, tx, conversation, latest)
    draft = reply_rows.draft_of(tx, conversation.id, actor.user_id)
    rules = workspace_rows.read(tx)
    # The same in every tab until the reply has left: two tabs, or a double click, make one reply.
    key = f"{actor.user_id}.{reply_rows.newest_id(tx, conversation.id, actor.user_id)}"
    return Composer(
        can_answer=outlook.how == "api",
        how=outlook.how,
        reason=outlook.reason,
        as_whom=outlook.as_whom,
        account_id=outlook.account_id,
        answering_mention_id=latest.id if latest else None,
        max_chars=(outlook.platform or platform).max_chars,
        counted_in=platform.counted_in,
        place_words=_place_words(conversation, latest, platform),
        draft_key=draft.draft_key if draft else key,
        draft_text=draft.text if draft else outlook.opening,
        approval_needed=rules.approval == "always" and actor.role < Role.APPROVER,
        undo_seconds=rules.undo_seconds,
        draft_note=draft.reason if draft else "",
    )


def _place_words(conversation: ConversationRow, latest: MentionRow | None, platform: platforms.Platform) -> str:
    if conversation.sample:
        return "kept here, seen by nobody else"
    community = platforms.place(latest.url) if latest else ""
    seen = platform.seen_by(answering.post_of(latest)) if latest else "in public"
    return f"in their thread on {platform.title}, {f'in {community}, ' if community else ''}{seen}"
