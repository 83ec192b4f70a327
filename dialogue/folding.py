"""Copies: what many said in the same words is shown once, with how many said it, and each of them can be opened.

Copies are found when a mention is read, and whenever it is read anew. A person's word that something is no copy holds.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from analysis import duplicates
from analysis.duplicates import Signature
from db import conversations, workspace
from db import copies as rows
from db.copies import Signed, Words
from db.engine import Transaction
from db.tags import Untagged
from dialogue import audit, platforms, spam
from dialogue.context import UNDO_FOR, Actor, Context, Missing, Role, require
from dialogue.text import as_id, headed

LISTED = 200
"""Copies that are listed, the newest first."""
CATCH_UP = 256
"""Mentions that an earlier version read, examined at a time."""


@dataclass(frozen=True, slots=True)
class CopyView:
    """One copy: who said it again, where and when. `folded`: it needs no answer of its own."""

    mention_id: int
    conversation_id: int
    author_name: str
    platform_title: str
    posted_at: datetime
    url: str | None
    folded: bool


# As mentions are read -------------------------------------------------------------------------------------------------


def signatures(held: Iterable[Untagged]) -> dict[str, Signature | None]:
    """The signatures of these texts by their hash; takes time, and no transaction."""
    texts = {one.text_hash: headed(one.title, one.text) for one in held}
    return {hash_: duplicates.signature(text) for hash_, text in texts.items()}


def examine(tx: Transaction, ctx: Context, mention_ids: Iterable[int], known: Mapping[str, Signature | None]) -> None:
    """Folds copies and sets likely spam aside, among what was just read; what was edited meanwhile is left for then."""
    said = [one for one in rows.said(tx, mention_ids) if one.text_hash in known]
    signed = []
    for one in said:
        signature = known[one.text_hash]
        signed.append(Signed(one, signature.digest if signature else None, signature.keys if signature else ()))
    rows.place(tx, signed, _is_copy)
    spam.judge(tx, ctx, [one.id for one in said])


def catch_up(ctx: Context) -> bool:
    """Examines some of what an earlier version read; whether there was any."""
    with ctx.database.reading() as tx:
        below = workspace.read(tx).unfolded_below
        if not below:
            return False
        ids = rows.before(tx, below, CATCH_UP)
        said = rows.said(tx, ids)
    known = {one.text_hash: duplicates.signature(_text(one.words)) for one in said}
    with ctx.database.transaction() as tx:
        examine(tx, ctx, ids, known)
        workspace.write(tx, unfolded_below=min(ids) if len(ids) == CATCH_UP else 0)
    return True


def _is_copy(one: Words, other: Words) -> bool:
    return duplicates.is_copy(_text(one), _text(other))


def _text(words: Words) -> str:
    return headed(words.title, words.text)


def originals(tx: Transaction, shelf: str, mention_ids: Sequence[int]) -> dict[int, int]:
    """For the mentions of a folded conversation the conversations in which the same was said first."""
    places = rows.places(tx, mention_ids) if shelf == "copy" else {}
    return {id_: one.original_conversation_id for id_, one in places.items() if one.original_id != id_}


# For people -----------------------------------------------------------------------------------------------------------


def copies(ctx: Context, actor: Actor, conversation_id: int) -> tuple[CopyView, ...]:
    """The copies, elsewhere, of what was first said in this conversation; the newest first, at most `LISTED`."""
    require(actor, Role.VIEWER)
    with ctx.database.reading() as tx:
        found = rows.copies_in(tx, as_id(conversation_id), LISTED)
    return tuple(
        CopyView(
            one.mention_id, one.conversation_id, one.author_name or one.handle or "Somebody",
            platforms.of(one.platform).title, one.posted_at, one.url, one.folded,
        )
        for one in found
    )  # fmt: skip


def not_a_copy(ctx: Context, actor: Actor, mention_ids: Sequence[int]) -> str:
    """Says that these stand for themselves: they need answers of their own from now on. Returns an undo id."""
    require(actor, Role.RESPONDER)
    ids, now, undo_id = sorted(set(map(as_id, mention_ids))), ctx.clock(), secrets.token_urlsafe(12)
    with ctx.database.transaction() as tx:
        there = {one.id for one in rows.said(tx, ids)}
        taken = [id_ for id_ in ids if id_ in there and rows.take_out(tx, id_, actor.user_id or 0, now)]
        if not taken:
            raise Missing("This is no copy any more, or was deleted where it was made.")
        conversations.remember(tx, undo_id, actor.user_id, "unfolded", [{"mention": id_} for id_ in taken], now)
        audit.record(tx, ctx, actor, "unfolded", "mention", taken[0] if len(taken) == 1 else "", ids=taken)
        workspace.bump(tx)
    return undo_id


def undo(ctx: Context, actor: Actor, undo_id: str) -> int:
    """Takes that back; returns how many are looked at as possible copies again."""
    require(actor, Role.RESPONDER)
    with ctx.database.transaction() as tx:
        action = conversations.undo(tx, undo_id, actor.user_id or 0, ctx.clock() - UNDO_FOR, ctx.clock())
        if action is None:
            raise Missing("There is nothing to undo any more.")
        ids = [one["mention"] for one in action.before if rows.let_in(tx, one["mention"])]
        known = {one.text_hash: duplicates.signature(_text(one.words)) for one in rows.said(tx, ids)}
        examine(tx, ctx, ids, known)
        audit.record(tx, ctx, actor, "undid", "unfolded", undo_id, restored=len(ids))
        workspace.bump(tx)
    return len(ids)
