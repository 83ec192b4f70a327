"""The feedback board: ideas, needs and defects with the words that back them, and what became of each."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from db import conversations
from db import feedback as rows
from db import workspace as workspace_rows
from db.engine import Transaction
from dialogue import audit, platforms
from dialogue.context import Actor, Context, DialogueError, Missing, Role, require
from dialogue.text import as_id, shortened
from listeners.base import clean

STATES: Mapping[str, str] = {
    "new": "New",
    "reviewing": "Reviewing",
    "planned": "Planned",
    "shipped": "Shipped",
    "declined": "Declined",
}
"""The board's columns in order, with what they are called."""
KINDS = ("idea", "need", "defect")
MAX_TITLE = 200
MAX_WORDS = 5_000
"""Characters of a description or a reason."""
MAX_QUOTE = 1_000
PER_STATE = 200
"""Items of one column that are shown."""
UNDO_FOR = timedelta(hours=1)
_KEPT_DELETED = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Quote:
    """Somebody's own words. `text` is plain and hostile."""

    mention_id: int
    conversation_id: int
    text: str
    author_name: str
    platform_title: str
    at: datetime
    url: str | None
    attribution: str = ""
    """What must stand by the words, with the link, where their platform asks for it."""


@dataclass(frozen=True, slots=True)
class ItemCard:
    """One item of the board. askers: how many different people's words back it."""

    id: int
    title: str
    description: str
    kind: str
    state: str
    reason: str
    askers: int
    quotes: tuple[Quote, ...]
    changed_at: datetime
    sample: bool


def board(ctx: Context, actor: Actor) -> dict[str, tuple[ItemCard, ...]]:
    """The items of each state, those that changed last first."""
    require(actor, Role.VIEWER)
    with ctx.database.reading() as tx:
        cards = _cards(tx, rows.board(tx, PER_STATE))
    return {state: tuple(card for card in cards if card.state == state) for state in STATES}


def item(ctx: Context, actor: Actor, item_id: int) -> ItemCard:
    """One item. Raises Missing."""
    require(actor, Role.VIEWER)
    with ctx.database.reading() as tx:
        return _cards(tx, [_found(tx, item_id)])[0]


def add(
    ctx: Context,
    actor: Actor,
    title: str,
    kind: str,
    mention_id: int | None = None,
    quote: str | None = None,
    description: str = "",
) -> int:
    """Adds an item to the column 'new'; a mention's words may back it from the start. Returns its id."""
    require(actor, Role.PRODUCT)
    with ctx.database.transaction() as tx:
        backed_by = [] if mention_id is None else [mention_id]
        return add_backed(tx, ctx, actor, title, kind, backed_by, description, quote)


def add_backed(
    tx: Transaction,
    ctx: Context,
    actor: Actor,
    title: str,
    kind: str,
    mention_ids: Sequence[int],
    description: str = "",
    quote: str | None = None,
) -> int:
    """`add` in the caller's transaction, backed by several mentions; `quote` is the part of the first that says it."""
    require(actor, Role.PRODUCT)
    values = _checked(title, kind, description)
    now = ctx.clock()
    mentions = [_mention(tx, one) for one in mention_ids]
    sample = bool(mentions) and mentions[0].sample
    item_id = rows.add(tx, now, user_id=actor.user_id, sample=sample, **values)
    for place, mention in enumerate(mentions):
        rows.attach(tx, item_id, mention.id, _quote(None if place else quote, mention), actor.user_id, now)
    named = mentions[0].id if mentions else None
    audit.record(tx, ctx, actor, "added", "feedback item", item_id, title=title, mention=named)
    workspace_rows.bump(tx)
    return item_id


def attach(ctx: Context, actor: Actor, item_id: int, mention_id: int, quote: str | None = None) -> None:
    """A mention's words back the item; `quote` is the part that says it, else its beginning."""
    require(actor, Role.PRODUCT)
    with ctx.database.transaction() as tx:
        found, mention = _found(tx, item_id), _mention(tx, mention_id)
        if mention.sample and not found.sample:
            raise DialogueError("Sample data cannot back a real item. Make a new one.")
        if found.sample and not mention.sample:
            raise DialogueError("This item is removed with the sample data. Make a new one.")
        rows.attach(tx, item_id, mention_id, _quote(quote, mention), actor.user_id, ctx.clock())
        rows.change(tx, item_id, changed_at=ctx.clock())
        audit.record(tx, ctx, actor, "attached", "feedback item", item_id, mention=mention_id)
        workspace_rows.bump(tx)


def detach(ctx: Context, actor: Actor, item_id: int, mention_id: int) -> None:
    """The mention backs the item no more."""
    require(actor, Role.PRODUCT)
    with ctx.database.transaction() as tx:
        if not rows.detach(tx, item_id, mention_id):
            raise Missing("This mention does not back the item.")
        audit.record(tx, ctx, actor, "detached", "feedback item", item_id, mention=mention_id)
        workspace_rows.bump(tx)


def move(ctx: Context, actor: Actor, item_id: int, state: str, reason: str = "") -> None:
    """Moves the item to another column. `reason` is what those who asked may be told; a refusal needs one."""
    require(actor, Role.PRODUCT)
    reason = _bounded(reason, "reason")
    if state not in STATES:
        raise DialogueError(f"An item is {', '.join(STATES)}; not '{state[:40]}'.")
    if state == "declined" and not reason:
        raise DialogueError("Say why it is declined: the people who asked will want to know.")
    with ctx.database.transaction() as tx:
        before = _found(tx, item_id)
        rows.change(tx, item_id, state=state, reason=reason, changed_at=ctx.clock())
        moved = {"from": before.state, "to": state, "reason": reason}
        audit.record(tx, ctx, actor, "moved", "feedback item", item_id, **moved)
        workspace_rows.bump(tx)


def edit(ctx: Context, actor: Actor, item_id: int, title: str, description: str, kind: str) -> None:
    """Says it in other words."""
    require(actor, Role.PRODUCT)
    values = _checked(title, kind, description)
    with ctx.database.transaction() as tx:
        _found(tx, item_id)
        rows.change(tx, item_id, changed_at=ctx.clock(), **values)
        audit.record(tx, ctx, actor, "edited", "feedback item", item_id, title=title, kind=kind)
        workspace_rows.bump(tx)


def delete(ctx: Context, actor: Actor, item_id: int) -> str:
    """Takes the item off the board. Returns an undo id for `undo_delete`, good for an hour."""
    require(actor, Role.PRODUCT)
    undo_id = secrets.token_urlsafe(12)
    now = ctx.clock()
    with ctx.database.transaction() as tx:
        rows.purge_deleted(tx, now - _KEPT_DELETED)
        found = _found(tx, item_id)
        # Its words stay where they are, so that one deleted at its source meanwhile goes from here, too.
        rows.change(tx, item_id, state=rows.DELETED, changed_at=now)
        before = [{"item": item_id, "state": found.state, "changed_at": found.changed_at.isoformat()}]
        conversations.remember(tx, undo_id, actor.user_id, "deleted feedback item", before, now)
        audit.record(tx, ctx, actor, "deleted", "feedback item", item_id, title=found.title)
        workspace_rows.bump(tx)
    return undo_id


def undo_delete(ctx: Context, actor: Actor, undo_id: str) -> int:
    """Puts a deleted item back where it stood; returns its id."""
    require(actor, Role.PRODUCT)
    now = ctx.clock()
    with ctx.database.transaction() as tx:
        undone = conversations.undo(tx, undo_id, actor.user_id or 0, now - UNDO_FOR, now)
        before = undone.before[0] if undone is not None and undone.before else {}
        found = rows.get(tx, before["item"]) if "item" in before else None
        if found is None or found.state != rows.DELETED:
            raise Missing("There is nothing to undo any more.")
        changed_at = datetime.fromisoformat(before["changed_at"])
        rows.change(tx, found.id, state=before["state"], changed_at=changed_at)
        audit.record(tx, ctx, actor, "restored", "feedback item", found.id)
        workspace_rows.bump(tx)
    return found.id


# How it is put together -----------------------------------------------------------------------------------------------


def _cards(tx: Transaction, items: list[rows.ItemRow]) -> list[ItemCard]:
    backing: dict[int, list[rows.EvidenceRow]] = {}
    for one in rows.evidence(tx, [found.id for found in items]):
        backing.setdefault(one.item_id, []).append(one)
    return [_card(found, backing.get(found.id, [])) for found in items]


def _card(found: rows.ItemRow, backing: list[rows.EvidenceRow]) -> ItemCard:
    # Words that nobody's name stands under are each somebody else's.
    askers = {("person", one.person_id) if one.person_id else ("mention", one.mention_id) for one in backing}
    return ItemCard(
        id=found.id,
        title=found.title,
        description=found.description,
        kind=found.kind,
        state=found.state,
        reason=found.reason,
        askers=len(askers),
        quotes=tuple(
            Quote(
                one.mention_id,
                one.conversation_id,
                one.quote,
                one.author_name or one.handle or "Somebody",
                platforms.of(one.platform).title,
                one.at,
                one.url,
                platforms.attribution(one.platform, one.author_name or one.handle),
            )
            for one in backing
        ),
        changed_at=found.changed_at,
        sample=found.sample,
    )


def _found(tx: Transaction, item_id: int) -> rows.ItemRow:
    found = rows.get(tx, as_id(item_id))
    if found is None or found.state == rows.DELETED:
        raise Missing("This item is not on the board any more.")
    return found


def _mention(tx: Transaction, mention_id: int) -> conversations.MentionRow:
    mention = conversations.mention(tx, mention_id)
    if mention is None:
        raise Missing("This mention is not here any more.")
    return mention


def _quote(quote: str | None, mention: conversations.MentionRow) -> str:
    """The words given if the mention has them, else its beginning: nobody is quoted with what they did not say."""
    wanted = clean(quote or "").strip()
    said = mention.text.strip() or (mention.title or "").strip()
    if wanted and not _stands_in(wanted, f"{mention.title or ''} {mention.text}"):
        raise DialogueError("The quote is not in the mention. Quote it word for word.")
    return shortened(wanted or said, MAX_QUOTE)


def _stands_in(quote: str, text: str) -> bool:
    """Whether the text has these words; an ellipsis at their end says that they were cut."""
    words, said = _blank_free(quote), _blank_free(text)
    cut = words.removesuffix("…").rstrip()
    return words in said or (cut != "" and cut in said)


def _blank_free(text: str) -> str:
    return " ".join(text.split())


def _checked(title: str, kind: str, description: str) -> dict[str, str]:
    title = " ".join(clean(title).split())
    if not 1 <= len(title) <= MAX_TITLE:
        raise DialogueError(f"A title has 1 to {MAX_TITLE} characters.")
    if kind not in KINDS:
        raise DialogueError(f"An item is one of {', '.join(KINDS)}; not '{kind[:40]}'.")
    return {"title": title, "kind": kind, "description": _bounded(description, "description")}


def _bounded(text: str, name: str) -> str:
    text = clean(text).strip()
    if len(text) > MAX_WORDS:
        raise DialogueError(f"The {name} has {len(text):,} characters; at most {MAX_WORDS:,} can be kept.")
    return text
