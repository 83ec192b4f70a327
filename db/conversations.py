"""One conversation: its row, its thread, who looks at it, and what changes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, case, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col

from db.engine import Transaction
from db.tables import (
    Conversation,
    EffectiveTag,
    FeedbackEvidence,
    FeedbackItem,
    Identity,
    Mention,
    Presence,
    Seen,
    Undo,
    User,
)


@dataclass(frozen=True, slots=True)
class ConversationRow:
    """A thread's own row."""

    id: int
    platform: str
    root_id: str
    state: str
    assignee_id: int | None
    assignee_name: str | None
    due_at: datetime | None
    version: int
    mention_count: int
    latest_mention_id: int | None
    latest_at: datetime
    person_id: int | None
    sentiment: str | None
    intent: str | None
    first_answered_at: datetime | None
    sample: bool
    shelf: str
    copies: int


@dataclass(frozen=True, slots=True)
class MentionRow:
    """One mention with who wrote it and its effective tags. Author fields are None where nobody is named."""

    id: int
    conversation_id: int
    platform: str
    external_id: str
    kind: str
    url: str | None
    title: str | None
    text: str
    lang_hint: str | None
    rating: float | None
    posted_at: datetime
    posted_at_estimated: bool
    edited_at: datetime | None
    parent_id: str | None
    root_id: str | None
    mentions: list[str]
    quotes_id: str | None
    quotes_author_id: str | None
    ours: bool
    sample: bool
    author_id: str | None
    handle: str | None
    author_name: str | None
    followers: int | None
    person_id: int | None
    sentiment: str | None
    intent: str | None
    language: str | None


@dataclass(frozen=True, slots=True)
class UndoRow:
    """A bulk action and what it changed: [{"id", "before", "after"}]."""

    action: str
    before: list[dict[str, Any]]


_CONVERSATION: tuple[Any, ...] = (
    col(Conversation.id),
    col(Conversation.platform),
    col(Conversation.root_id),
    col(Conversation.state),
    col(Conversation.assignee_id),
    col(User.display_name),
    col(Conversation.due_at),
    col(Conversation.version),
    col(Conversation.mention_count),
    col(Conversation.latest_mention_id),
    col(Conversation.latest_at),
    col(Conversation.person_id),
    col(Conversation.sentiment),
    col(Conversation.intent),
    col(Conversation.first_answered_at),
    col(Conversation.sample),
    col(Conversation.shelf),
    col(Conversation.copies),
)

_MENTION: tuple[Any, ...] = (
    col(Mention.id),
    col(Mention.conversation_id),
    col(Mention.platform),
    col(Mention.external_id),
    col(Mention.kind),
    col(Mention.url),
    col(Mention.title),
    col(Mention.text),
    col(Mention.lang_hint),
    col(Mention.rating),
    col(Mention.posted_at),
    col(Mention.posted_at_estimated),
    col(Mention.edited_at),
    col(Mention.parent_id),
    col(Mention.root_id),
    col(Mention.mentions),
    col(Mention.quotes_id),
    col(Mention.quotes_author_id),
    col(Mention.ours),
    col(Mention.sample),
    col(Identity.external_id),
    col(Identity.handle),
    col(Identity.display_name),
    col(Identity.followers),
    col(Identity.person_id),
    col(EffectiveTag.sentiment),
    col(EffectiveTag.intent),
    col(EffectiveTag.language),
)


def get(tx: Transaction, conversation_id: int) -> ConversationRow | None:
    """The conversation, or None."""
    query = (
        select(*_CONVERSATION)
        .select_from(Conversation)
        .outerjoin(User, col(User.id) == col(Conversation.assignee_id))
        .where(col(Conversation.id) == conversation_id)
    )
    row = tx.connection.execute(query).one_or_none()
    return None if row is None else ConversationRow(*row)


def lock(tx: Transaction, conversation_id: int) -> ConversationRow | None:
    """The conversation, kept from changing until this transaction ends: replies to it pass here one by one."""
    query = select(col(Conversation.id)).where(col(Conversation.id) == conversation_id).with_for_update()
    tx.connection.execute(query).one_or_none()
    return get(tx, conversation_id)


def answered(tx: Transaction, conversation: ConversationRow, at: datetime, written_at_version: int) -> int:
    """Our answer stands there: the version grows, and nothing is due unless somebody spoke meanwhile.

    Returns the new version.
    """
    values: dict[str, Any] = {
        "version": col(Conversation.version) + 1,
        "shelf": case((col(Conversation.shelf) == "copy", ""), else_=col(Conversation.shelf)),
        "last_answered_at": at,
        "first_answered_at": conversation.first_answered_at or at,
    }
    if conversation.version == written_at_version and conversation.state == "open":
        values |= {"state": "waiting", "due_at": None}
    tx.connection.execute(update(Conversation).where(col(Conversation.id) == conversation.id).values(**values))
    return conversation.version + 1


def _mentions(*conditions: Any) -> Any:
    return (
        select(*_MENTION)
        .select_from(Mention)
        .outerjoin(Identity, col(Identity.id) == col(Mention.identity_id))
        .outerjoin(EffectiveTag, col(EffectiveTag.mention_id) == col(Mention.id))
        .where(*conditions)
    )


def mention(tx: Transaction, mention_id: int) -> MentionRow | None:
    """One mention, or None."""
    row = tx.connection.execute(_mentions(col(Mention.id) == mention_id)).one_or_none()
    return None if row is None else MentionRow(*row)


def thread(tx: Transaction, conversation_id: int, limit: int) -> list[MentionRow]:
    """The newest `limit` mentions of the thread, oldest first."""
    query = (
        _mentions(col(Mention.conversation_id) == conversation_id)
        .order_by(col(Mention.posted_at).desc(), col(Mention.id).desc())
        .limit(limit)
    )
    return [MentionRow(*row) for row in tx.connection.execute(query)][::-1]


def feedback_of(tx: Transaction, conversation_id: int) -> list[tuple[int, str, str]]:
    """Id, title and state of the feedback items that this thread backs."""
    query: Any = (
        select(col(FeedbackItem.id), col(FeedbackItem.title), col(FeedbackItem.state))
        .select_from(Mention)
        .join(FeedbackEvidence, col(FeedbackEvidence.mention_id) == col(Mention.id))
        .join(FeedbackItem, col(FeedbackItem.id) == col(FeedbackEvidence.item_id))
        .where(col(Mention.conversation_id) == conversation_id, col(FeedbackItem.state) != "deleted")
        .distinct()
        .order_by(col(FeedbackItem.id))
    )
    return [(row[0], row[1], row[2]) for row in tx.connection.execute(query)]


# Who looks at it ------------------------------------------------------------------------------------------------------


def seen(tx: Transaction, user_id: int, conversation_id: int) -> int | None:
    """The version up to which the user has seen it; None when never."""
    query = select(col(Seen.version)).where(col(Seen.user_id) == user_id, col(Seen.conversation_id) == conversation_id)
    return tx.connection.scalar(query)


def see(tx: Transaction, user_id: int, conversation_id: int, version: int) -> None:
    """The user has seen it up to `version`."""
    _upsert(tx, Seen, {"user_id": user_id, "conversation_id": conversation_id}, {"version": version})


def present(tx: Transaction, user_id: int, conversation_id: int, at: datetime) -> None:
    """The user has it open."""
    _upsert(tx, Presence, {"user_id": user_id, "conversation_id": conversation_id}, {"at": at})


def others_present(tx: Transaction, user_id: int | None, conversation_id: int, since: datetime) -> list[str]:
    """Names of the other users who had it open since then."""
    query = (
        select(col(User.display_name))
        .join(Presence, col(Presence.user_id) == col(User.id))
        .where(
            col(Presence.conversation_id) == conversation_id,
            col(Presence.at) >= since,
            col(Presence.user_id) != (user_id or 0),
        )
        .order_by(col(User.display_name))
    )
    return list(tx.connection.scalars(query))


def forget_presence(tx: Transaction, before: datetime) -> None:
    """Drops who had something open before then."""
    tx.connection.execute(delete(Presence).where(col(Presence.at) < before))


def _upsert(tx: Transaction, table: Any, key: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    make = sqlite.insert if tx.on_sqlite else postgresql.insert
    tx.connection.execute(
        make(table).values(**key, **values).on_conflict_do_update(index_elements=list(key), set_=dict(values))
    )


# Changing many, and taking it back ------------------------------------------------------------------------------------


def change_many(tx: Transaction, ids: Sequence[int], values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Sets columns of these conversations. Returns for each one that was there {"id", "before", "after"}."""
    columns = [col(getattr(Conversation, name)) for name in values]
    query = select(col(Conversation.id), col(Conversation.version), *columns).where(col(Conversation.id).in_(ids))
    found = tx.connection.execute(query.with_for_update()).all()
    tx.connection.execute(update(Conversation).where(col(Conversation.id).in_(ids)).values(**values))
    return [
        {
            "id": row[0],
            "before": _jsonable(dict(zip(values, row[2:], strict=True))),
            "after": _jsonable({**values, "version": row[1]}),
        }
        for row in found
    ]


def remember(
    tx: Transaction, undo_id: str, user_id: int | None, action: str, changes: list[dict[str, Any]], at: datetime
) -> None:
    """Keeps what an action changed, so that it can be undone."""
    tx.connection.execute(insert(Undo).values(id=undo_id, user_id=user_id, action=action, before=changes, at=at))


def undo(tx: Transaction, undo_id: str, user_id: int, since: datetime, now: datetime) -> UndoRow | None:
    """Marks the user's action as undone and returns it; None when it is not theirs, too old or already undone."""
    mine = and_(
        col(Undo.id) == undo_id, col(Undo.user_id) == user_id, col(Undo.at) >= since, col(Undo.undone_at).is_(None)
    )
    if tx.connection.execute(update(Undo).where(mine).values(undone_at=now)).rowcount == 0:
        return None
    row = tx.connection.execute(select(col(Undo.action), col(Undo.before)).where(col(Undo.id) == undo_id)).one()
    return UndoRow(*row)


def restore(tx: Transaction, conversation_id: int, after: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    """Sets the columns back to `before` where they still are as in `after`, and nobody has spoken since."""
    unchanged = [col(getattr(Conversation, name)).is_not_distinct_from(value) for name, value in _typed(after).items()]
    query = update(Conversation).where(col(Conversation.id) == conversation_id, *unchanged).values(**_typed(before))
    return tx.connection.execute(query).rowcount == 1


def _jsonable(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}


def _typed(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: datetime.fromisoformat(value) if name.endswith("_at") and value is not None else value
        for name, value in values.items()
    }
