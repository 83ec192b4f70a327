"""Likely spam is set aside with the reason, never deleted, and brought back in one click, for good.

What is set aside is in no count and no chart, and lies under *Set aside*. A rule judges what is read; it never touches
what a person has decided about.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from typing import Any

from analysis import spam as rules
from analysis.spam import Said, Verdict
from db import conversations, workspace
from db import spam as rows
from db.engine import Transaction
from db.spam import Evidence, VerdictRow
from dialogue import audit
from dialogue.context import UNDO_FOR, Actor, Context, DialogueError, Missing, Role, require
from dialogue.text import as_id, headed

NEVER = ("answer", "note")
"""Kinds that no rule sets aside: we asked for them, or colleagues wrote them."""
BULK = 1_000
"""Conversations that one action may change, and mentions of one text that follow it."""


def judge(tx: Transaction, ctx: Context, mention_ids: Iterable[int]) -> None:
    """Sets aside which of these mentions are likely spam; where many say the same, whoever said it before them, too."""
    spam = _judge(tx, ctx, rows.evidence(tx, mention_ids))
    _judge(tx, ctx, rows.evidence(tx, rows.alike(tx, spam, BULK, aside=False)))


def _judge(tx: Transaction, ctx: Context, found: Sequence[Evidence]) -> list[int]:
    verdicts = {one.id: verdict_of(one) for one in found}
    spam = [one.id for one in found if verdicts[one.id].spam]
    cleared = [one.id for one in found if one.set_aside and not verdicts[one.id].spam]  # it was edited
    if cleared:
        rows.forget_verdicts(tx, cleared)
    if spam:
        why = {id_: (verdicts[id_].score, verdicts[id_].reasons) for id_ in spam}
        rows.decide(tx, spam, True, at=ctx.clock(), why=why)
    return spam


def verdict_of(one: Evidence) -> Verdict:
    """What the rules say. A person's word about the same text wins."""
    if one.kind in NEVER or one.alike == "not_spam":
        return Verdict(0.0, ())
    return rules.judge(
        Said(
            headed(one.words.title, one.words.text), one.authors, one.new_authors, one.repeats,
            known=one.known, complaint=one.intent == "complaint", rated=one.rating is not None, personal=one.personal,
            marked_by=one.alike_by if one.alike == "spam" else "",
        )
    )  # fmt: skip


def words(verdict: VerdictRow) -> str:
    """Why it is set aside, in one sentence."""
    if verdict.user_name is not None:
        return f"{verdict.user_name} set this aside."
    return f"Likely spam: {'; '.join(verdict.reasons)}."


def reason(tx: Transaction, shelf: str, mention_id: int | None) -> str:
    """Why a conversation whose newest mention this is lies aside; "" when it does not."""
    if shelf != "set_aside" or mention_id is None:
        return ""
    verdict = rows.verdicts(tx, [mention_id]).get(mention_id)
    return words(verdict) if verdict else ""


# For people -----------------------------------------------------------------------------------------------------------


def set_aside(ctx: Context, actor: Actor, conversation_ids: Sequence[int]) -> str:
    """Sets aside what others said in these, and what is folded under it. Returns an undo id for `undo`."""
    return _decide(ctx, actor, conversation_ids, spam=True)


def not_spam(ctx: Context, actor: Actor, conversation_ids: Sequence[int]) -> str:
    """Brings these back for good, with all that says the same. Returns an undo id for `undo`."""
    return _decide(ctx, actor, conversation_ids, spam=False)


def undo(ctx: Context, actor: Actor, undo_id: str) -> int:
    """Takes such an action back where nobody has decided since. Returns how many conversations changed."""
    require(actor, Role.RESPONDER)
    with ctx.database.transaction() as tx:
        action = conversations.undo(tx, undo_id, actor.user_id or 0, ctx.clock() - UNDO_FOR, ctx.clock())
        if action is None:
            raise Missing("There is nothing to undo any more.")
        standing = rows.verdicts(tx, [one["mention"] for one in action.before])
        ours = [one for one in action.before if _still(standing.get(one["mention"]), actor, one["spam"])]
        rows.forget_verdicts(tx, [one["mention"] for one in ours if one["before"] is None])
        for one in ours:
            if one["before"] is not None:
                _restore(tx, ctx, one["mention"], one["before"])
        touched = len({one["conversation"] for one in ours})
        audit.record(tx, ctx, actor, "undid", action.action, undo_id, restored=touched)
        workspace.bump(tx)
    return touched


def _decide(ctx: Context, actor: Actor, conversation_ids: Sequence[int], *, spam: bool) -> str:
    require(actor, Role.RESPONDER)
    ids = sorted(set(map(as_id, conversation_ids)))
    if not 1 <= len(ids) <= BULK:
        raise DialogueError(f"Choose from 1 to {BULK:,} conversations.")
    action, undo_id = ("set aside" if spam else "brought back"), secrets.token_urlsafe(12)
    with ctx.database.transaction() as tx:
        chosen = rows.in_conversations(tx, ids, aside=not spam)
        if not chosen:
            raise Missing("There is nothing left to set aside here." if spam else "Nothing here is set aside any more.")
        mentions = chosen + rows.alike(tx, chosen, BULK, aside=not spam, folded=spam)
        before = rows.verdicts(tx, mentions)
        where = rows.conversations_of(tx, mentions)
        rows.decide(tx, mentions, spam, at=ctx.clock(), user_id=actor.user_id)
        changes = [
            {"mention": id_, "conversation": where[id_], "spam": spam, "before": _kept(before.get(id_))}
            for id_ in mentions
        ]
        conversations.remember(tx, undo_id, actor.user_id, action, changes, ctx.clock())
        audit.record(
            tx, ctx, actor, action, "conversation", ids[0] if len(ids) == 1 else f"{len(ids)} of them", ids=ids
        )
        workspace.bump(tx)
    return undo_id


def _still(now: VerdictRow | None, actor: Actor, spam: bool) -> bool:
    return now is not None and now.user_id == actor.user_id and now.spam == spam


def _kept(verdict: VerdictRow | None) -> dict[str, Any] | None:
    if verdict is None:
        return None
    return {
        "spam": verdict.spam, "score": verdict.score, "reasons": list(verdict.reasons), "user_id": verdict.user_id,
    }  # fmt: skip


def _restore(tx: Transaction, ctx: Context, mention_id: int, before: dict[str, Any]) -> None:
    why = {mention_id: (before["score"], before["reasons"])}
    rows.decide(tx, [mention_id], before["spam"], at=ctx.clock(), user_id=before["user_id"], why=why)
