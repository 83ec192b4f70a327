"""The outbox: a reply is written, approved where the rules say so, can be undone for a moment, and arrives once.

    draft → awaiting_approval → queued → sending → sent
                                  ↑         ├→ failed
                                  │         ├→ hand_off → handed_off
                                  └─────────┴→ unknown → sent, queued again when proven absent, or a person decides

A worker that sends writes an attempt before the request leaves. Whatever then hides the outcome (a timeout, a kill, a
lease that runs out) makes the reply `unknown`, and only proof that it is absent lets it be sent again.
See docs/replies.md.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from db import conversations
from db import replies as rows
from db import workspace as workspace_rows
from db.conversations import ConversationRow, MentionRow
from db.engine import Transaction
from dialogue import answering, audit, budgets, platforms, points
from dialogue.budgets import Allowance
from dialogue.context import SYSTEM, Actor, Context, DialogueError, Missing, Role, Stale, require
from dialogue.text import as_id
from listeners.base import (
    Absent,
    AnswersAnew,
    CannotTell,
    ListeningError,
    OutcomeUnknown,
    Sent,
    Terminal,
    Transient,
    clean,
)

LEASE = timedelta(minutes=2)
"""How long a worker may take to send one reply; longer than any listener's time-outs together."""
MAX_TRIES = 6
"""Requests that may post one reply, all told."""
MAX_LOOKS = 6
"""Times to look for a reply whose outcome is unknown, before a person is asked."""
MAX_TEXT = 20_000
MAX_URL = 2_000
FIRST_BACK_OFF = 30.0
LONGEST_BACK_OFF = 3_600.0
"""Seconds; doubled from the first to the longest unless the platform names its own."""
CLOCK_SKEW = timedelta(minutes=5)
"""How far the platform's clock may be behind ours when an answer of ours is looked for."""

ANSWERED = ("sent", "handed_off")
"""The states in which an answer stands where it was to stand."""

STALE = "Somebody spoke after this was written. Read what is new, then send it again or change it."
LOOKED = "Open the thread and look: then say whether the answer stands there."
BY_HAND = "Copy the text, open the mention, answer there, then mark it as sent."

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReplyView:
    """A reply as it stands. `words` say how it stands in a sentence, `what_to_do` what a person could do about it.

    `undo_until` is when a queued reply may leave; until it is claimed it can be undone.
    """

    id: int
    conversation_id: int
    state: str
    text: str
    words: str
    what_to_do: str
    author_name: str
    at: datetime
    undo_until: datetime | None
    url: str | None
    mention_url: str | None
    sample: bool
    mention_id: int | None = None
    draft_key: str = ""


# What a person does ---------------------------------------------------------------------------------------------------


def save_draft(
    ctx: Context,
    actor: Actor,
    conversation_id: int,
    mention_id: int | None,
    text: str,
    draft_key: str,
    *,
    made_by: str = "web",
) -> ReplyView:
    """Keeps what has been typed. Raises Stale when the reply with this key has left the composer already."""
    require(actor, Role.RESPONDER)
    _check_key(draft_key)
    text = _bounded(text)
    with ctx.database.transaction() as tx:
        conversation = _conversation(tx, conversation_id)
        existing = rows.by_key(tx, conversation_id, draft_key)
        if existing is None:
            mention = _answered_mention(tx, conversation, mention_id)
            reply_id = _add(tx, ctx, actor, conversation, mention, text, draft_key, made_by)
            audit.record(tx, ctx, actor, "drafted", "reply", reply_id, conversation=conversation_id, by=made_by)
        else:
            reply_id = existing.id
            if not rows.change(tx, reply_id, ctx.clock(), of=("draft",), text=text):
                raise Stale("This answer has already been sent, from another window or by a double click.")
        workspace_rows.bump(tx)
        return view(_found(tx, reply_id))


def send(
    ctx: Context, actor: Actor, conversation_id: int, mention_id: int | None, text: str, draft_key: str, version: int
) -> ReplyView:
    """Sends the answer, after the time to undo; or asks for approval, or makes it a hand-off where the rules say so.

    The same `draft_key` gives the same reply, however often it is sent. `version` is that of the conversation as the
    actor saw it. Raises Stale when somebody has spoken since, DialogueError for a text that cannot be sent.
    """
    require(actor, Role.RESPONDER)
    _check_key(draft_key)
    text = _bounded(text).strip()
    with ctx.database.reading() as tx:
        conversation = _conversation(tx, conversation_id)
        mention = _answered_mention(tx, conversation, mention_id)
        outlook = answering.outlook(ctx, tx, conversation, mention)
    with ctx.database.transaction() as tx:
        locked = conversations.lock(tx, conversation_id)
        existing = rows.by_key(tx, conversation_id, draft_key)
        if existing is not None and existing.state != "draft":
            if existing.text != text:
                raise Stale("An answer was already sent from another window. Read it before you write more.")
            return view(existing)
        if locked is None or locked.version != version:
            raise Stale(STALE)
        if outlook.how == "none":
            raise DialogueError(outlook.reason)
        _check_length(outlook.platform or platforms.of(conversation.platform), text)
        reply_id = existing.id if existing else _add(tx, ctx, actor, conversation, mention, text, draft_key, "web")
        state = _state_after_send(tx, actor, outlook)
        _change(
            tx,
            ctx,
            reply_id,
            of=("draft",),
            text=text,
            user_id=actor.user_id,
            mention_id=mention.id if mention else None,
            conversation_version=version,
            account_id=outlook.account_id,
            tries=0,
            **_entering(tx, ctx, state, outlook.reason),
        )
        audit.record(tx, ctx, actor, _SENT_AS[state], "reply", reply_id, conversation=conversation_id)
        workspace_rows.bump(tx)
        reply = _found(tx, reply_id)
    _wake(ctx, reply)
    return view(reply)


_SENT_AS = {"queued": "sent", "awaiting_approval": "asked for approval of", "hand_off": "handed off"}


def undo(ctx: Context, actor: Actor, reply_id: int) -> ReplyView:
    """Takes a queued reply back into the composer. Raises Stale when it has left already."""
    return _move(ctx, actor, reply_id, "undid", of=("queued", "awaiting_approval"), state="draft", send_after=None)


def discard(ctx: Context, actor: Actor, reply_id: int) -> ReplyView:
    """Throws away what has not been sent."""
    of = ("draft", "awaiting_approval", "failed", "hand_off")
    return _move(ctx, actor, reply_id, "discarded", of=of, state="discarded", send_after=None)


def approve(ctx: Context, actor: Actor, reply_id: int) -> ReplyView:
    """Lets a reply that waits for approval go. When somebody has spoken since, it becomes a draft again and says so."""
    require(actor, Role.APPROVER)
    with ctx.database.reading() as tx:
        reply = _found(tx, reply_id)
        conversation = _conversation(tx, reply.conversation_id)
        mention = conversations.mention(tx, reply.mention_id) if reply.mention_id else None
        outlook = answering.outlook(ctx, tx, conversation, mention)
    state = "queued" if outlook.how == "api" else "hand_off"
    with ctx.database.transaction() as tx:
        locked = conversations.lock(tx, reply.conversation_id)
        if locked is None or locked.version != reply.conversation_version:
            _change(tx, ctx, reply_id, of=("awaiting_approval",), state="draft", reason=STALE)
        else:
            values = {"approved_by": actor.user_id, "account_id": outlook.account_id}
            values |= _entering(tx, ctx, state, outlook.reason)
            _change(tx, ctx, reply_id, of=("awaiting_approval",), **values)
        audit.record(tx, ctx, actor, "approved", "reply", reply_id)
        workspace_rows.bump(tx)
        reply = _found(tx, reply_id)
    _wake(ctx, reply)
    return view(reply)


def reject(ctx: Context, actor: Actor, reply_id: int, reason: str = "") -> ReplyView:
    """Gives a reply that waits for approval back to its author."""
    words = f"{actor.name} gave this back" + (f": {_bounded(reason).strip()[:500]}" if reason.strip() else ".")
    return _move(
        ctx, actor, reply_id, "rejected", role=Role.APPROVER, of=("awaiting_approval",), state="draft", reason=words
    )


def retry(ctx: Context, actor: Actor, reply_id: int) -> ReplyView:
    """Sends a failed reply again; it is certain that nothing of it arrived."""
    with ctx.database.reading() as tx:
        entering = _entering(tx, ctx, "queued", "")
    reply = _move(ctx, actor, reply_id, "retried", of=("failed",), tries=0, **entering)
    if reply.undo_until is not None:
        ctx.triggers.deliver(reply.id, reply.undo_until)
    return reply


def hand_off(ctx: Context, actor: Actor, reply_id: int) -> ReplyView:
    """Gives up sending a failed reply from here: a person will send it where the mention was made."""
    return _move(ctx, actor, reply_id, "handed off", of=("failed",), state="hand_off", what_to_do=BY_HAND)


def mark_handed_off(ctx: Context, actor: Actor, reply_id: int, url: str | None = None) -> ReplyView:
    """A person has sent it by hand; `url` is where it stands, if they say."""
    url = clean(url or "").strip() or None
    if url is not None and (len(url) > MAX_URL or not url.lower().startswith(("http://", "https://"))):
        raise DialogueError(
            f"The address of the answer begins with http:// or https:// and has at most {MAX_URL:,} signs."
        )
    return _arrived(ctx, actor, reply_id, "marked as sent", of=("hand_off", "failed"), state="handed_off", sent_url=url)


def resolve_unknown(ctx: Context, actor: Actor, reply_id: int, sent: bool) -> ReplyView:
    """A person looked whether a reply of unknown outcome stands in its thread."""
    if sent:
        return _arrived(ctx, actor, reply_id, "found", of=("unknown",), state="sent")
    return _move(
        ctx,
        actor,
        reply_id,
        "found absent",
        of=("unknown",),
        state="failed",
        send_after=None,
        reason=f"It did not arrive: {actor.name} looked.",
        what_to_do="Send it again, or change it first.",
    )


def status(ctx: Context, conversation_id: int) -> tuple[ReplyView, ...]:
    """Every reply of the conversation that has left the composer, oldest first."""
    with ctx.database.reading() as tx:
        return tuple(view(row) for row in rows.of_conversation(tx, conversation_id) if row.state != "draft")


def get(ctx: Context, reply_id: int) -> ReplyView:
    """One reply. Raises Missing."""
    with ctx.database.reading() as tx:
        return view(_found(tx, reply_id))


def awaiting(ctx: Context, actor: Actor) -> tuple[ReplyView, ...]:
    """Replies that wait for an approver, longest first; at most 200."""
    require(actor, Role.APPROVER)
    with ctx.database.reading() as tx:
        return tuple(map(view, rows.awaiting(tx, 200)))


# What the worker does -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Job:
    """A reply that this worker holds, with all it needs to send it or to look for it."""

    reply: rows.ReplyRow
    conversation: ConversationRow
    mention: MentionRow | None
    account: rows.AccountRow | None
    attempt_id: int
    earlier: tuple[str, ...]
    """The kinds of the attempts before this one."""
    ours: tuple[str, ...]
    """The texts of our other answers to the same mention."""
    allowance: Allowance | None
    """The account's budget, from which one request was taken."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of an attempt: the ledger's word for it and the columns that change."""

    word: str
    detail: str = ""
    values: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    sent: Sent | None = None
    wait: float | None = None
    """Seconds for which the platform wants no further answer."""


def sweep(ctx: Context, limit: int = 100) -> list[int]:
    """Makes replies whose worker was lost `unknown`. Returns the ids that `deliver` should be called for now."""
    with ctx.database.reading() as tx:
        now = ctx.clock()
        lost = rows.abandoned(tx, now)
        if not lost:
            return rows.due(tx, now, limit)
    with ctx.database.transaction() as tx:
        for reply in rows.abandoned(tx, ctx.clock()):
            _give_up(tx, ctx, reply)
        workspace_rows.bump(tx)
    with ctx.database.reading() as tx:
        return rows.due(tx, ctx.clock(), limit)


def deliver(ctx: Context, reply_id: int) -> None:
    """Sends a queued reply that is due, or looks for one whose outcome is unknown. Does nothing to any other."""
    with ctx.database.reading() as tx:
        reply = rows.get(tx, reply_id)
    if reply is not None and reply.state == "queued":
        _send(ctx, reply)
    elif reply is not None and reply.state == "unknown":
        _look(ctx, reply)


def _send(ctx: Context, reply: rows.ReplyRow) -> None:
    job = _claim_to_send(ctx, reply)
    if job is None:
        return
    points.reached("deliver.attempt_written")
    outcome = _posted(ctx, job)
    points.reached("deliver.sent_not_recorded")
    _record(ctx, job, outcome)
    points.reached("deliver.recorded")


def _claim_to_send(ctx: Context, reply: rows.ReplyRow) -> _Job | None:
    """Takes the reply and writes the attempt, in one transaction: from its commit on, the request may have left."""
    now = ctx.clock()
    with ctx.database.transaction() as tx:
        conversation = conversations.lock(tx, reply.conversation_id)
        claimed = rows.claim(tx, reply.id, "queued", now, now + LEASE)
        if claimed is None or conversation is None:
            return None
        refusal = _refusal(claimed, conversation)
        if refusal is not None:
            rows.change(tx, reply.id, now, of=("queued",), lease_until=None, send_after=None, **refusal)
            workspace_rows.bump(tx)
            return None
        allowance = _allowance(claimed, conversation, platforms.of(conversation.platform).answers_spend)
        if _must_wait(tx, claimed, conversation, allowance, now):
            return None
        job = _job(tx, claimed, conversation, rows.begin_attempt(tx, reply.id, "send", now), allowance)
        rows.change(tx, reply.id, now, of=("queued",), state="sending", sending_at=now, tries=claimed.tries + 1)
        points.reached("deliver.claimed")
        workspace_rows.bump(tx)
    return job


def _allowance(reply: rows.ReplyRow, conversation: ConversationRow, kind: str) -> Allowance | None:
    """The budget that a request for this reply spends, the reserve too; None for one that goes to no platform."""
    if reply.sample or reply.account_id is None:
        return None
    return Allowance(conversation.platform, budgets.owner_of_account(reply.account_id), kind, spares=False)


def _must_wait(
    tx: Transaction, reply: rows.ReplyRow, conversation: ConversationRow, allowance: Allowance | None, now: datetime
) -> bool:
    """Takes a request from the budget; where none is left at all, the reply goes back until there is one again."""
    until = None if allowance is None else allowance.take(tx, now)
    if until is None:
        return False
    values: dict[str, Any] = {"lease_until": None, "send_after": until}
    if reply.state == "queued":
        title = platforms.of(conversation.platform).title
        values["reason"] = f"{title} takes no more from this account until {until:%H:%M} UTC."
    rows.change(tx, reply.id, now, of=(reply.state,), held=reply.fence, **values)
    workspace_rows.bump(tx)
    return True


def _refusal(reply: rows.ReplyRow, conversation: ConversationRow) -> dict[str, Any] | None:
    """Why a claimed reply may not leave after all."""
    if conversation.version != reply.conversation_version:
        return {"state": "draft", "reason": STALE}
    if reply.mention_id is None:
        return {"state": "failed", "reason": answering.GONE, "what_to_do": "Discard the answer."}
    return None


def _job(
    tx: Transaction,
    reply: rows.ReplyRow,
    conversation: ConversationRow,
    attempt_id: int,
    allowance: Allowance | None,
) -> _Job:
    return _Job(
        reply=reply,
        conversation=conversation,
        mention=conversations.mention(tx, reply.mention_id) if reply.mention_id else None,
        account=rows.account(tx, reply.account_id) if reply.account_id else None,
        attempt_id=attempt_id,
        earlier=tuple(kind for kind, _, _ in rows.attempts(tx, reply.id)[:-1]),
        ours=tuple(
            one.text
            for one in rows.of_conversation(tx, reply.conversation_id)
            if one.mention_id == reply.mention_id and one.id != reply.id and one.state in ANSWERED
        ),
        allowance=allowance,
    )


def _posted(ctx: Context, job: _Job) -> _Outcome:
    """Posts the reply. Never raises: whatever happens is an outcome."""
    if job.reply.sample:
        return _sent(Sent("", None, ctx.clock()))
    try:
        if job.account is None or job.mention is None:
            raise Terminal("The account that this was to be sent with is gone.", platforms.CONNECT)
        listener = answering.opened(ctx, job.account)
        post = answering.post_of(job.mention)
        verdict = listener.may_answer(post)
    except Transient as error:
        return _again(ctx, job, error)
    except Terminal as error:
        return _failed(str(error), error.what_to_do)
    except Exception as error:  # nothing has left yet
        log.exception("Reply %d could not be prepared", job.reply.id)
        return _failed(f"It could not be prepared: {type(error).__name__}.", "Look into the worker's log.")
    if not verdict.allowed:
        return _handed(verdict.reason)
    try:
        key = _key(ctx, job.reply)
        if job.ours and isinstance(listener, AnswersAnew):
            return _sent(listener.answer_anew(post, job.reply.text, key, job.ours))
        return _sent(listener.answer(post, job.reply.text, key))
    except Transient as error:
        return _again(ctx, job, error)
    except Terminal as error:
        return _refused(listener, error)
    except OutcomeUnknown as error:
        return _unknown(ctx, job, str(error))
    except Exception as error:  # it may have been posted: anything else would be a guess
        log.exception("Reply %d ended in an unexpected error", job.reply.id)
        return _unknown(ctx, job, f"Sending it ended in an unexpected error ({type(error).__name__}).")


def _key(ctx: Context, reply: rows.ReplyRow) -> str:
    """The platform's idempotency key: the same for every attempt, and nobody else can guess it."""
    return ctx.secrets.digest(f"reply {reply.id} {reply.draft_key}")


def _refused(listener: answering.Answerer, error: Terminal) -> _Outcome:
    """The platform refused. Where the account itself works, it is this answer that may not be given from here."""
    try:
        account_works = listener.check().ok
    except ListeningError:
        account_works = False
    except Exception:
        log.exception("The account could not be checked after a refusal")
        account_works = False
    return _handed(str(error)) if account_works else _failed(str(error), error.what_to_do)


def _look(ctx: Context, reply: rows.ReplyRow) -> None:
    """Looks for a reply whose outcome is unknown."""
    now = ctx.clock()
    with ctx.database.transaction() as tx:
        conversation = conversations.lock(tx, reply.conversation_id)
        claimed = rows.claim(tx, reply.id, "unknown", now, now + LEASE)
        if claimed is None or conversation is None:
            return
        allowance = _allowance(claimed, conversation, "")
        if _must_wait(tx, claimed, conversation, allowance, now):
            return
        job = _job(tx, claimed, conversation, rows.begin_attempt(tx, reply.id, "find", now), allowance)
        since = (rows.first_send(tx, reply.id) or claimed.sending_at or now) - CLOCK_SKEW
    outcome = _found_out(ctx, job, since)
    points.reached("deliver.found_not_recorded")
    _record(ctx, job, outcome)


def _found_out(ctx: Context, job: _Job, since: datetime) -> _Outcome:
    if job.reply.sample:
        return _sent(Sent("", None, ctx.clock()))
    if job.account is None or job.mention is None:
        return _ask(job, "What it answers, or the account that it was sent with, is gone.")
    try:
        listener = answering.opened(ctx, job.account)
        post = answering.post_of(job.mention)
        found = listener.find(post, job.reply.text, _key(ctx, job.reply), since)
    except Transient as error:
        return _look_again(ctx, job, error)
    except ListeningError as error:
        return _ask(job, str(error))
    except Exception as error:
        log.exception("Reply %d could not be looked for", job.reply.id)
        return _ask(job, f"Looking for it ended in an unexpected error ({type(error).__name__}).")
    if isinstance(found, Sent):
        with ctx.database.reading() as tx:
            taken = rows.is_sent_as(tx, job.conversation.platform, found.external_id, job.reply.id)
        return _ask(job, "Another answer with the same text stands there.") if taken else _sent(found)
    if isinstance(found, Absent):
        return _proven_absent(ctx, job)
    assert isinstance(found, CannotTell)
    return _ask(job, found.reason)


def _record(ctx: Context, job: _Job, outcome: _Outcome) -> None:
    """Writes the outcome down, unless this worker has lost the reply meanwhile; that it was sent is always written."""
    now = ctx.clock()
    with ctx.database.transaction() as tx:
        conversation = conversations.lock(tx, job.conversation.id)
        rows.end_attempt(tx, job.attempt_id, now, outcome.word, outcome.detail)
        _spent(tx, job, outcome, now)
        states: Collection[str] = ("sending", "unknown")
        held: int | None = job.reply.fence
        if outcome.sent is not None:
            # What stands on the platform is true whoever holds the reply by now.
            states, held = ("sending", "unknown", "queued", "failed", "draft", "hand_off"), None
        values = {"lease_until": None, **outcome.values}
        if not rows.change(tx, job.reply.id, now, of=states, held=held, **values):
            log.warning("Reply %d was '%s', but somebody else had settled it by then", job.reply.id, outcome.word)
            return
        if outcome.sent is not None and conversation is not None:
            _answered(tx, conversation, job.reply, outcome.sent.sent_at)
        workspace_rows.bump(tx)
        reply = _found(tx, job.reply.id)
    _wake(ctx, reply)


def _spent(tx: Transaction, job: _Job, outcome: _Outcome, now: datetime) -> None:
    """What the attempt did to the account's budget, as the platform told it."""
    if job.allowance is None:
        return
    if outcome.wait is not None:
        job.allowance.refused(tx, now, outcome.wait, outcome.detail)
    else:
        job.allowance.answered(tx, now, outcome.sent.budget if outcome.sent else None)


def _give_up(tx: Transaction, ctx: Context, reply: rows.ReplyRow) -> None:
    """The worker that was sending it is gone; nobody knows whether it had."""
    conversation = conversations.get(tx, reply.conversation_id)
    lag = platforms.of(conversation.platform).find_lag if conversation else timedelta(0)
    values: dict[str, Any] = {"reason": "The worker stopped while it was being sent.", "what_to_do": ""}
    values |= {"state": "unknown", "send_after": ctx.clock() + lag, "lease_until": None}
    rows.change(tx, reply.id, ctx.clock(), of=("sending",), held=reply.fence, **values)


# Outcomes -------------------------------------------------------------------------------------------------------------


def _sent(sent: Sent) -> _Outcome:
    values = {
        "state": "sent",
        "sent_at": sent.sent_at,
        "sent_id": sent.external_id or None,
        "sent_url": sent.url,
        "send_after": None,
        "reason": "",
        "what_to_do": "",
    }
    return _Outcome("sent", sent.external_id, values, sent)


def _failed(reason: str, what_to_do: str) -> _Outcome:
    values = {"state": "failed", "send_after": None, "reason": reason, "what_to_do": what_to_do}
    return _Outcome("failed", reason, values)


def _handed(reason: str) -> _Outcome:
    values = {"state": "hand_off", "send_after": None, "reason": reason, "what_to_do": BY_HAND}
    return _Outcome("hand_off", reason, values)


def _again(ctx: Context, job: _Job, error: Transient) -> _Outcome:
    """Nothing left, and it may work later: queued again, bounded."""
    tries = job.reply.tries + 1
    if tries >= MAX_TRIES:
        return _failed(f"{error} It was tried {tries} times.", "Try again later, or hand it off.")
    after = ctx.clock() + _back_off(tries, error.retry_after)
    values = {"state": "queued", "send_after": after, "reason": str(error)}
    return _Outcome("transient", str(error), values, wait=error.retry_after)


def _unknown(ctx: Context, job: _Job, reason: str) -> _Outcome:
    look_at = ctx.clock() + platforms.of(job.conversation.platform).find_lag
    return _Outcome("unknown", reason, {"state": "unknown", "send_after": look_at, "reason": reason, "what_to_do": ""})


def _look_again(ctx: Context, job: _Job, error: Transient) -> _Outcome:
    looks = job.earlier.count("find") + 1
    if looks >= MAX_LOOKS:
        return _ask(job, str(error))
    after = ctx.clock() + _back_off(looks, error.retry_after)
    return _Outcome("transient", str(error), {"state": "unknown", "send_after": after}, wait=error.retry_after)


def _proven_absent(ctx: Context, job: _Job) -> _Outcome:
    if job.reply.tries >= MAX_TRIES:
        tried = f"It did not arrive, although it was tried {job.reply.tries} times."
        return _failed(tried, "Try again later, or hand it off.")
    reason = "It had not arrived; sending it again."
    return _Outcome("absent", "", {"state": "queued", "send_after": ctx.clock(), "reason": reason})


def _ask(job: _Job, reason: str) -> _Outcome:
    values = {"state": "unknown", "send_after": None, "reason": reason, "what_to_do": LOOKED}
    return _Outcome("cannot_tell", reason, values)


def _back_off(tries: int, wish: float | None) -> timedelta:
    doubled = min(FIRST_BACK_OFF * 2 ** (tries - 1), LONGEST_BACK_OFF)
    return timedelta(seconds=max(0.0, min(wish, 86_400.0)) if wish is not None else doubled)


# Small parts ----------------------------------------------------------------------------------------------------------


def _conversation(tx: Transaction, conversation_id: int) -> ConversationRow:
    conversation = conversations.get(tx, conversation_id)
    if conversation is None:
        raise Missing("This conversation is not here any more.")
    return conversation


def _answered_mention(tx: Transaction, conversation: ConversationRow, mention_id: int | None) -> MentionRow | None:
    """The mention to answer: the one named, else the newest of the conversation that is not ours."""
    wanted = mention_id if mention_id is not None else conversation.latest_mention_id
    mention = conversations.mention(tx, wanted) if wanted is not None else None
    if mention is not None and mention.conversation_id != conversation.id:
        raise Missing("This mention is not part of the conversation any more.")
    return mention


def _found(tx: Transaction, reply_id: int) -> rows.ReplyRow:
    reply = rows.get(tx, as_id(reply_id))
    if reply is None:
        raise Missing("This reply is not here any more.")
    return reply


def _add(
    tx: Transaction,
    ctx: Context,
    actor: Actor,
    conversation: ConversationRow,
    mention: MentionRow | None,
    text: str,
    draft_key: str,
    made_by: str,
) -> int:
    return rows.add(
        tx,
        ctx.clock(),
        conversation_id=conversation.id,
        mention_id=mention.id if mention else None,
        draft_key=draft_key,
        text=text,
        conversation_version=conversation.version,
        user_id=actor.user_id,
        made_by=made_by,
        sample=conversation.sample,
    )


def _check_key(draft_key: str) -> None:
    if not 1 <= len(draft_key) <= 200 or not draft_key.isprintable():
        raise DialogueError("A draft needs a key of 1 to 200 printable characters.")


def _bounded(text: str) -> str:
    text = clean(text)
    if len(text) > MAX_TEXT:
        raise DialogueError(f"The answer has {len(text):,} characters; at most {MAX_TEXT:,} can be kept.")
    return text


def _check_length(platform: platforms.Platform, text: str) -> None:
    if not text:
        raise DialogueError("The answer is empty. Write something.")
    used = platform.length(text)
    if platform.max_chars is not None and used > platform.max_chars:
        over = used - platform.max_chars
        raise DialogueError(
            f"The answer is {over:,} {platform.counted_in} too long: {platform.title} takes {platform.max_chars:,}."
        )


def _state_after_send(tx: Transaction, actor: Actor, outlook: answering.Outlook) -> str:
    if workspace_rows.read(tx).approval == "always" and actor.role < Role.APPROVER:
        return "awaiting_approval"
    return "queued" if outlook.how == "api" else "hand_off"


def _entering(tx: Transaction, ctx: Context, state: str, reason: str) -> dict[str, Any]:
    """The columns of a reply that comes into `state` by a person's hand."""
    values: dict[str, Any] = {"state": state, "reason": "", "what_to_do": "", "send_after": None, "lease_until": None}
    if state == "queued":
        now = ctx.clock()
        values |= {"queued_at": now, "send_after": now + timedelta(seconds=workspace_rows.read(tx).undo_seconds)}
    elif state == "hand_off":
        values |= {"reason": reason, "what_to_do": BY_HAND}
    return values


def _change(tx: Transaction, ctx: Context, reply_id: int, *, of: Collection[str], **values: Any) -> None:
    if not rows.change(tx, reply_id, ctx.clock(), of=of, **values):
        reply = _found(tx, reply_id)
        raise Stale(f"That cannot be done any more. {view(reply).words}")


def _move(
    ctx: Context,
    actor: Actor,
    reply_id: int,
    action: str,
    *,
    of: Collection[str],
    role: Role = Role.RESPONDER,
    **values: Any,
) -> ReplyView:
    """One change of state that a person makes, with its audit row."""
    require(actor, role)
    with ctx.database.transaction() as tx:
        reply = _found(tx, reply_id)
        # A new fence: a worker that still looks for this reply must not undo what a person decided.
        _change(tx, ctx, reply_id, of=of, **({"fence": reply.fence + 1, "lease_until": None} | values))
        audit.record(tx, ctx, actor, action, "reply", reply_id)
        workspace_rows.bump(tx)
        return view(_found(tx, reply_id))


def _arrived(
    ctx: Context, actor: Actor, reply_id: int, action: str, *, of: Collection[str], **values: Any
) -> ReplyView:
    """A person says that the answer stands where the mention was made."""
    require(actor, Role.RESPONDER)
    now = ctx.clock()
    with ctx.database.transaction() as tx:
        reply = _found(tx, reply_id)
        conversation = conversations.lock(tx, reply.conversation_id)
        settled = {"fence": reply.fence + 1, "sent_at": now, "send_after": None, "lease_until": None}
        _change(tx, ctx, reply_id, of=of, **(settled | {"reason": "", "what_to_do": ""} | values))
        if conversation is not None:
            _answered(tx, conversation, reply, now)
        audit.record(tx, ctx, actor, action, "reply", reply_id)
        workspace_rows.bump(tx)
        return view(_found(tx, reply_id))


def _answered(tx: Transaction, conversation: ConversationRow, reply: rows.ReplyRow, at: datetime) -> None:
    """The conversation has our answer; to its author it is nothing new."""
    version = conversations.answered(tx, conversation, at, reply.conversation_version)
    if reply.user_id is not None:
        seen = conversations.seen(tx, reply.user_id, conversation.id)
        if seen == conversation.version:
            conversations.see(tx, reply.user_id, conversation.id, version)


def _wake(ctx: Context, reply: rows.ReplyRow) -> None:
    if reply.state in ("queued", "unknown") and reply.send_after is not None:
        ctx.triggers.deliver(reply.id, reply.send_after)


def view(reply: rows.ReplyRow) -> ReplyView:
    """The reply as it stands."""
    return ReplyView(
        id=reply.id,
        conversation_id=reply.conversation_id,
        state=reply.state,
        text=reply.text,
        words=_words(reply),
        what_to_do=reply.what_to_do,
        author_name=reply.author_name or SYSTEM.name,
        at=reply.sent_at or reply.queued_at or reply.changed_at,
        undo_until=reply.send_after if reply.state == "queued" else None,
        url=reply.sent_url,
        mention_url=reply.mention_url,
        sample=reply.sample,
        mention_id=reply.mention_id,
        draft_key=reply.draft_key,
    )


def _words(reply: rows.ReplyRow) -> str:
    """How the reply stands, in a sentence."""
    if reply.state == "queued":
        if reply.reason:
            return f"{reply.reason} It will be tried again." if reply.tries else f"{reply.reason} It leaves by itself."
        return "It leaves in a moment; it can be undone."
    if reply.state == "unknown":
        looking = "We look whether it arrived." if reply.send_after else "It may have been sent or not."
        return f"{reply.reason} {looking}".strip()
    if reply.state == "sent" and reply.sample:
        return "Kept here: sample data is never sent."
    said = {
        "draft": "A draft.",
        "awaiting_approval": "Waiting for an approver.",
        "sending": "Being sent now.",
        "sent": "Sent.",
        "failed": f"Not sent. {reply.reason}",
        "hand_off": f"To be sent by hand. {reply.reason}",
        "handed_off": "Sent by hand.",
        "discarded": "Thrown away.",
    }[reply.state]
    return f"{said} {reply.reason}".strip() if reply.state == "draft" else said.strip()
