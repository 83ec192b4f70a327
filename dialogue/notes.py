"""Front-line notes: sales and support write down what a customer said, with who, when and where.

A note is a mention like any other: it is tagged, may be answered by hand-off, counted, carried in. Whoever wrote it may
change it; its writer or an administrator may delete it, and take that back for an hour.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from db import conversations, forgetting, mentions, sources, workspace
from db import notes as rows
from db import people as people_rows
from db.conversations import MentionRow
from db.engine import Transaction
from db.notes import NoteRow
from dialogue import audit, platforms
from dialogue.answering import post_of
from dialogue.collecting import as_mention
from dialogue.context import UNDO_FOR, Actor, Context, DialogueError, Missing, NotAllowed, Role, require
from dialogue.text import as_id
from listeners import notes
from listeners.base import Author, Post, clean

HEARD: Mapping[str, str] = {
    "phone": "on the phone",
    "visit": "at a visit",
    "chat": "in a chat",
    "mail": "in a letter or mail",
    "event": "at an event",
    "other": "elsewhere",
}
"""Where a customer can be met, in words that go on 'heard'."""
MOST_AT_ONCE = 200
LONGEST = 20_000
"""Characters of one note."""
EARLIEST = timedelta(days=3_650)
AHEAD = timedelta(minutes=10)
"""A clock may go fast."""
MAX_NAME, MAX_EVIDENCE = 200, 500
SHOWN_PEOPLE = 6
SOURCE = "Front-line notes"
DELETED = "deleted note"
_KEY = re.compile(r"[0-9a-f]{24}")


@dataclass(frozen=True, slots=True)
class Who:
    """Who said it: somebody we know (`person_id`), or as far as one knows. All empty: nobody is named.

    `evidence` says how one knows that it is `person_id`, where a platform of theirs demands that.
    """

    name: str = ""
    company: str = ""
    contact: str = ""
    person_id: int | None = None
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class PersonChoice:
    """Somebody who may have said it. `guarded` names the platform that wants to know how one knows, else empty."""

    person_id: int
    name: str
    handles: str
    guarded: str


@dataclass(frozen=True, slots=True)
class Added:
    """What became of notes: their mentions, in their order. Empty where a double click had added them before."""

    mention_ids: tuple[int, ...]
    conversation_ids: tuple[int, ...]


def new_key() -> str:
    """For a form that opens: what is sent twice with one key is added once."""
    return secrets.token_hex(12)


def split(pasted: str) -> list[str]:
    """The notes in what was pasted: one on each line, or separated by blank lines."""
    return notes.split(pasted)


def people(ctx: Context, actor: Actor, words: str) -> list[PersonChoice]:
    """Whom these words may mean; nobody for fewer than two letters."""
    require(actor, Role.PRODUCT)
    words = " ".join(clean(words).split())[:MAX_NAME]
    if len(words) < 2:
        return []
    with ctx.database.reading() as tx:
        found = [_choice(tx, one) for one in rows.people_called(tx, words, SHOWN_PEOPLE)]
    return [one for one in found if one is not None]


def _choice(tx: Transaction, person_id: int) -> PersonChoice | None:
    person = people_rows.get(tx, person_id)
    if person is None or person.sample:
        return None
    handles = [(platforms.of(one.platform), one.handle) for one in people_rows.identities(tx, person_id)]
    shown = ", ".join(f"{handle} on {platform.title}" for platform, handle in handles[:3])
    guarded = next((platform.title for platform, _ in handles if not platform.cross_person_matching), "")
    return PersonChoice(person_id, person.display_name, shown, guarded)


# Writing it down ------------------------------------------------------------------------------------------------------


def add(
    ctx: Context, actor: Actor, texts: Sequence[str], who: Who, heard: str, heard_at: datetime | None, key: str
) -> Added:
    """Adds notes that one customer's words are, each a conversation of its own. Raises DialogueError."""
    require(actor, Role.PRODUCT)
    now = ctx.clock()
    words = _checked_texts(texts)
    heard, heard_at = _checked_heard(heard), _checked_moment(heard_at or now, now)
    if not _KEY.fullmatch(key):
        raise DialogueError("This form was open for too long. Open it again.")
    with ctx.database.transaction() as tx:
        author = _author(tx, who, key, now)
        posts = [
            as_mention(notes.post(f"{key}-{number}", text, heard_at, author, None))
            for number, text in enumerate(words, start=1)
        ]
        stored = mentions.upsert(tx, posts, now=now, digest=ctx.secrets.digest, source_id=_source(tx, now))
        rows.add(tx, stored.new_ids, actor.user_id, heard, now)
        for mention_id in stored.new_ids:
            audit.record(tx, ctx, actor, "noted", "note", mention_id, heard=heard, evidence=who.evidence[:MAX_EVIDENCE])
        found = [conversations.mention(tx, one) for one in stored.new_ids]
        workspace.bump(tx)
    ctx.triggers.understand()
    return Added(stored.new_ids, tuple(one.conversation_id for one in found if one is not None))


def _source(tx: Transaction, now: datetime) -> int:
    allows = notes.CAPABILITY
    known = rows.source_of(tx, allows.platform)
    if known is not None:
        return known
    return sources.add(tx, now, platform=allows.platform, mode=allows.default_mode, label=SOURCE)


def _checked_texts(texts: Sequence[str]) -> list[str]:
    words = [text for text in (clean(text).strip() for text in texts) if text]
    if not words:
        raise DialogueError("Write down what the customer said.")
    if len(words) > MOST_AT_ONCE:
        raise DialogueError(f"These are {len(words):,} notes; {MOST_AT_ONCE} can be added at once.")
    longest = max(map(len, words))
    if longest > LONGEST:
        raise DialogueError(f"A note has at most {LONGEST:,} characters; one has {longest:,}.")
    return words


def _checked_heard(heard: str) -> str:
    if heard not in HEARD:
        raise DialogueError(f"It was heard by one of {', '.join(HEARD)}; not '{heard[:40]}'.")
    return heard


def _checked_moment(moment: datetime, now: datetime) -> datetime:
    if moment > now + AHEAD:
        raise DialogueError("That lies in the future: say when you heard it.")
    if moment < now - EARLIEST:
        raise DialogueError("That was more than ten years ago: say when you heard it.")
    return min(moment, now)


def _author(tx: Transaction, who: Who, key: str, now: datetime) -> Author | None:
    """Who said it, as somebody whom notes speak of; a person we know gets a handle of this kind."""
    name, company, contact = (_line(one) for one in (who.name, who.company, who.contact))
    if who.person_id is not None:
        return _known_author(tx, who, key, now)
    if not (name or contact or company):
        return None
    shown = f"{name} ({company})" if name and company else name or company or None
    return Author(id=key, handle=contact or name or company, display_name=shown)


def _known_author(tx: Transaction, who: Who, key: str, now: datetime) -> Author:
    choice = _choice(tx, as_id(who.person_id or 0))
    if choice is None:
        raise Missing("This person is not here any more. Choose somebody else.")
    if choice.guarded and not clean(who.evidence).strip():
        raise DialogueError(
            f"{choice.guarded} lets its people be matched with others only if they agreed or said so. "
            "Write how you know that it is them."
        )
    platform = notes.CAPABILITY.platform
    known = next((one for one in people_rows.identities(tx, choice.person_id) if one.platform == platform), None)
    if known is not None:
        return Author(id=known.external_id, handle=known.handle, display_name=known.display_name)
    handle = _line(who.contact) or choice.name or "somebody"
    rows.add_identity(tx, platform, key, handle, choice.name or None, choice.person_id, now)
    return Author(id=key, handle=handle, display_name=choice.name or None)


def _line(words: str) -> str:
    return " ".join(clean(words).split())[:MAX_NAME]


# Changing and deleting it ---------------------------------------------------------------------------------------------


def edit(ctx: Context, actor: Actor, mention_id: int, text: str, heard: str) -> None:
    """Says it in other words; what it said before is kept as an edit, and it is read anew. For its writer."""
    require(actor, Role.PRODUCT)
    (text,) = _checked_texts([text])
    heard = _checked_heard(heard)
    now = ctx.clock()
    with ctx.database.transaction() as tx:
        note, mention = _found(tx, mention_id)
        if note.user_id is None or note.user_id != actor.user_id:
            raise NotAllowed(f"Only who wrote a note may change it: {note.writer or 'somebody who has left'}.")
        changed = as_mention(post_of(mention).model_copy(update={"text": text, "edited_at": now}))
        mentions.upsert(tx, [changed], now=now, digest=ctx.secrets.digest)
        rows.set_heard(tx, mention_id, heard)
        audit.record(tx, ctx, actor, "edited", "note", mention_id, heard=heard)
        workspace.bump(tx)
    ctx.triggers.understand()


def delete(ctx: Context, actor: Actor, mention_id: int) -> str:
    """Deletes a note with all that was derived from it. Returns an undo id for `undo_delete`, good for an hour."""
    require(actor, Role.PRODUCT)
    now = ctx.clock()
    undo_id = secrets.token_urlsafe(12)
    with ctx.database.transaction() as tx:
        note, mention = _found(tx, mention_id)
        if actor.role < Role.ADMIN and (note.user_id is None or note.user_id != actor.user_id):
            raise NotAllowed("Only who wrote a note, or an administrator, may delete it.")
        kept = {
            "post": post_of(mention).model_dump(mode="json"), "person_id": mention.person_id, "heard": note.heard,
            "user_id": note.user_id, "noted_at": note.noted_at.isoformat(),
        }  # fmt: skip
        conversations.remember(tx, undo_id, actor.user_id, DELETED, [kept], now)
        forgetting.forget(tx, [mention_id], now=now, reason=DELETED, digest=None)
        audit.record(tx, ctx, actor, "deleted", "note", mention_id)
        workspace.bump(tx)
    return undo_id


def undo_delete(ctx: Context, actor: Actor, undo_id: str) -> int:
    """Puts a deleted note back, to be read anew; returns its new id. Corrections and drafts do not come back."""
    require(actor, Role.PRODUCT)
    now = ctx.clock()
    with ctx.database.transaction() as tx:
        undone = conversations.undo(tx, undo_id, actor.user_id or 0, now - UNDO_FOR, now)
        if undone is None or undone.action != DELETED or not undone.before:
            raise Missing("There is nothing to undo any more.")
        (new_id,) = _restored(ctx, tx, undone.before[0], now)
        audit.record(tx, ctx, actor, "restored", "note", new_id)
        workspace.bump(tx)
    ctx.triggers.understand()
    return new_id


def _restored(ctx: Context, tx: Transaction, kept: Mapping[str, Any], now: datetime) -> tuple[int, ...]:
    post = Post.model_validate_json(json.dumps(kept["post"]))
    person = people_rows.get(tx, kept["person_id"]) if kept["person_id"] is not None else None
    if post.author is not None and person is not None:
        held = {(one.platform, one.external_id) for one in people_rows.identities(tx, person.id)}
        if (post.platform, post.author.id) not in held:  # it went with its last note; the person has others
            author = post.author
            rows.add_identity(tx, post.platform, author.id, author.handle, author.display_name, person.id, now)
    stored = mentions.upsert(tx, [as_mention(post)], now=now, digest=ctx.secrets.digest, source_id=_source(tx, now))
    if not stored.new_ids:
        raise Missing("There is nothing to undo any more.")
    rows.add(tx, stored.new_ids, kept["user_id"], kept["heard"], datetime.fromisoformat(kept["noted_at"]))
    return stored.new_ids


# How it is shown ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Noted:
    """Beside a note's words: where it was heard, who wrote it down and may change it."""

    heard: str
    place: str
    writer: str
    writer_id: int | None


def noted(tx: Transaction, mention_ids: Sequence[int]) -> dict[int, Noted]:
    """Those of these mentions that are notes."""
    return {
        id_: Noted(row.heard, HEARD.get(row.heard, ""), row.writer or "somebody who has left", row.user_id)
        for id_, row in rows.of(tx, mention_ids).items()
    }


def _found(tx: Transaction, mention_id: int) -> tuple[NoteRow, MentionRow]:
    note = rows.of(tx, [as_id(mention_id)]).get(mention_id)
    mention = conversations.mention(tx, as_id(mention_id))
    if note is None or mention is None:
        raise Missing("This note is not here any more.")
    return note, mention


def tidy(ctx: Context) -> None:
    """Forgets the words of deleted notes that cannot be taken back any more."""
    with ctx.database.transaction() as tx:
        rows.forget_deleted(tx, DELETED, ctx.clock() - UNDO_FOR)
