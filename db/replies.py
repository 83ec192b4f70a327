"""The outbox: every reply and every attempt to send it.

A change of state names the states it may come from, so that of two who change a reply at once one changes nothing. A
worker's change names its fence too, so that one which lost its lease changes nothing either.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, case, exists, func, insert, or_, select, update
from sqlmodel import col

from db.engine import Transaction
from db.sql import added
from db.tables import Conversation, Mention, MentionSource, PlatformAccount, Reply, ReplyAttempt, Source, User


@dataclass(frozen=True, slots=True)
class ReplyRow:
    """A reply with its author's name and the address of what it answers."""

    id: int
    conversation_id: int
    mention_id: int | None
    draft_key: str
    text: str
    state: str
    conversation_version: int
    account_id: int | None
    user_id: int | None
    made_by: str
    created_at: datetime
    changed_at: datetime
    queued_at: datetime | None
    send_after: datetime | None
    sending_at: datetime | None
    lease_until: datetime | None
    fence: int
    tries: int
    sent_at: datetime | None
    sent_id: str | None
    sent_url: str | None
    reason: str
    what_to_do: str
    sample: bool
    author_name: str | None
    mention_url: str | None
    account_handle: str | None


@dataclass(frozen=True, slots=True)
class AccountRow:
    """An account of ours, credentials still sealed."""

    id: int
    platform: str
    label: str
    base_url: str | None
    handle: str | None
    external_id: str | None
    credentials: bytes
    saved_at: datetime | None
    access_until: datetime | None
    renew_at: datetime | None
    limits: dict[str, int]


_JOINED = ("author_name", "mention_url", "account_handle")
_REPLY = (
    *(col(getattr(Reply, name)) for name in ReplyRow.__slots__ if name not in _JOINED),
    col(User.display_name),
    col(Mention.url),
    func.coalesce(PlatformAccount.handle, PlatformAccount.label),
)


def _replies(*conditions: Any) -> Any:
    return (
        select(*_REPLY)
        .select_from(Reply)
        .outerjoin(User, col(User.id) == col(Reply.user_id))
        .outerjoin(Mention, col(Mention.id) == col(Reply.mention_id))
        .outerjoin(PlatformAccount, col(PlatformAccount.id) == col(Reply.account_id))
        .where(*conditions)
    )


def get(tx: Transaction, reply_id: int) -> ReplyRow | None:
    """The reply, or None."""
    row = tx.connection.execute(_replies(col(Reply.id) == reply_id)).one_or_none()
    return None if row is None else ReplyRow(*row)


def by_key(tx: Transaction, conversation_id: int, draft_key: str) -> ReplyRow | None:
    """The reply with this draft key, or None."""
    query = _replies(col(Reply.conversation_id) == conversation_id, col(Reply.draft_key) == draft_key)
    row = tx.connection.execute(query).one_or_none()
    return None if row is None else ReplyRow(*row)


def of_conversation(tx: Transaction, conversation_id: int) -> list[ReplyRow]:
    """Every reply of the conversation that was not thrown away, oldest first."""
    query = _replies(col(Reply.conversation_id) == conversation_id, col(Reply.state) != "discarded").order_by(
        col(Reply.id)
    )
    return [ReplyRow(*row) for row in tx.connection.execute(query)]


def newest_id(tx: Transaction, conversation_id: int, user_id: int | None) -> int:
    """The id of the user's newest reply in the conversation that is no draft; 0 when there is none."""
    query = select(func.max(Reply.id)).where(
        col(Reply.conversation_id) == conversation_id, col(Reply.user_id) == user_id, col(Reply.state) != "draft"
    )
    return tx.connection.scalar(query) or 0


def draft_of(tx: Transaction, conversation_id: int, user_id: int | None) -> ReplyRow | None:
    """The newest draft that the user may go on with: their own, or one that arrived through the API."""
    query = (
        _replies(
            col(Reply.conversation_id) == conversation_id,
            col(Reply.state) == "draft",
            or_(col(Reply.user_id) == user_id, col(Reply.made_by) == "api"),
        )
        .order_by(case((col(Reply.user_id) == user_id, 1), else_=0).desc(), col(Reply.changed_at).desc())
        .limit(1)
    )
    row = tx.connection.execute(query).one_or_none()
    return None if row is None else ReplyRow(*row)


def awaiting(tx: Transaction, limit: int) -> list[ReplyRow]:
    """Replies that wait for an approver, longest first."""
    query = (
        _replies(col(Reply.state) == "awaiting_approval").order_by(col(Reply.changed_at), col(Reply.id)).limit(limit)
    )
    return [ReplyRow(*row) for row in tx.connection.execute(query)]


def add(tx: Transaction, at: datetime, **values: Any) -> int:
    """Adds a reply; returns its id."""
    query = insert(Reply).values(
        {"created_at": at, "changed_at": at, "made_by": "web", "state": "draft", "fence": 0, "tries": 0, **_BLANK}
        | values
    )
    return added(tx, query)


_BLANK: dict[str, Any] = {"reason": "", "what_to_do": ""}


def change(
    tx: Transaction, reply_id: int, at: datetime, *, of: Collection[str], held: int | None = None, **values: Any
) -> bool:
    """Sets columns if the reply is in one of the states `of` and, where `held` is given, has that fence still.

    False: it is not or has not, and nothing was changed.
    """
    conditions = [col(Reply.id) == reply_id, col(Reply.state).in_(of)]
    if held is not None:
        conditions.append(col(Reply.fence) == held)
    return tx.connection.execute(update(Reply).where(*conditions).values(changed_at=at, **values)).rowcount == 1


def claim(tx: Transaction, reply_id: int, state: str, now: datetime, lease_until: datetime) -> ReplyRow | None:
    """Takes a due reply in `state` for this worker alone: raises its fence and leases it.

    None when it is not due, in another state, or leased by another worker.
    """
    free = or_(col(Reply.lease_until).is_(None), col(Reply.lease_until) < now)
    due = and_(col(Reply.id) == reply_id, col(Reply.state) == state, col(Reply.send_after) <= now, free)
    locked = select(col(Reply.id)).where(due).with_for_update(skip_locked=True)
    if tx.connection.scalar(locked) is None:
        return None
    tx.connection.execute(
        update(Reply).where(due).values(fence=col(Reply.fence) + 1, lease_until=lease_until, changed_at=now)
    )
    return get(tx, reply_id)


def due(tx: Transaction, now: datetime, limit: int) -> list[int]:
    """Replies to send, and unknown ones to look for, that nobody holds; longest due first."""
    free = or_(col(Reply.lease_until).is_(None), col(Reply.lease_until) < now)
    query = (
        select(col(Reply.id))
        .where(col(Reply.state).in_(("queued", "unknown")), col(Reply.send_after) <= now, free)
        .order_by(col(Reply.send_after), col(Reply.id))
        .limit(limit)
    )
    return list(tx.connection.scalars(query))


def abandoned(tx: Transaction, now: datetime) -> list[ReplyRow]:
    """Replies in `sending` whose worker is gone: its lease ran out."""
    query = _replies(col(Reply.state) == "sending", col(Reply.lease_until) < now)
    return [ReplyRow(*row) for row in tx.connection.execute(query)]


def begin_attempt(tx: Transaction, reply_id: int, kind: str, at: datetime) -> int:
    """Writes down that a request is about to leave. kind: send, find."""
    query = insert(ReplyAttempt).values(reply_id=reply_id, kind=kind, started_at=at, outcome="", detail="")
    return added(tx, query)


def end_attempt(tx: Transaction, attempt_id: int, at: datetime, outcome: str, detail: str = "") -> None:
    """Writes down how it ended."""
    tx.connection.execute(
        update(ReplyAttempt)
        .where(col(ReplyAttempt.id) == attempt_id)
        .values(finished_at=at, outcome=outcome, detail=detail[:2_000])
    )


def first_send(tx: Transaction, reply_id: int) -> datetime | None:
    """When a request that posts this reply may first have left."""
    query = select(func.min(ReplyAttempt.started_at)).where(
        col(ReplyAttempt.reply_id) == reply_id, col(ReplyAttempt.kind) == "send"
    )
    return tx.connection.scalar(query)


def attempts(tx: Transaction, reply_id: int) -> list[tuple[str, str, str]]:
    """Kind, outcome and detail of each attempt, in order."""
    query = (
        select(col(ReplyAttempt.kind), col(ReplyAttempt.outcome), col(ReplyAttempt.detail))
        .where(col(ReplyAttempt.reply_id) == reply_id)
        .order_by(col(ReplyAttempt.id))
    )
    return [(row[0], row[1], row[2]) for row in tx.connection.execute(query)]


def is_sent_as(tx: Transaction, platform: str, external_id: str, other_than: int) -> bool:
    """Whether another reply already stands on the platform under this id."""
    query = select(
        exists()
        .where(col(Reply.sent_id) == external_id, col(Reply.id) != other_than)
        .where(col(Conversation.id) == col(Reply.conversation_id), col(Conversation.platform) == platform)
    )
    return bool(tx.connection.scalar(query))


def account_for(tx: Transaction, mention_id: int, platform: str) -> AccountRow | None:
    """The account to answer with: that of a source which brought the mention, else another of the platform.

    An account whose last check failed comes last.
    """
    brought = (
        exists()
        .where(col(MentionSource.mention_id) == mention_id, col(MentionSource.source_id) == col(Source.id))
        .where(col(Source.account_id) == col(PlatformAccount.id))
    )
    query = (
        select(*(col(getattr(PlatformAccount, name)) for name in AccountRow.__slots__))
        .where(col(PlatformAccount.platform) == platform)
        .order_by(
            case((col(PlatformAccount.check_ok).is_(False), 1), else_=0),
            case((brought, 0), else_=1),
            col(PlatformAccount.id),
        )
        .limit(1)
    )
    row = tx.connection.execute(query).one_or_none()
    return None if row is None else AccountRow(*row)


def account(tx: Transaction, account_id: int) -> AccountRow | None:
    """One account, or None."""
    query = select(*(col(getattr(PlatformAccount, name)) for name in AccountRow.__slots__)).where(
        col(PlatformAccount.id) == account_id
    )
    row = tx.connection.execute(query).one_or_none()
    return None if row is None else AccountRow(*row)
