"""Who speaks: a person, their handles, and everything they ever told us."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import case, func, insert, literal, null, select, union_all, update
from sqlmodel import col

from db import forgetting
from db.engine import Transaction
from db.sql import added
from db.tables import Conversation, EffectiveTag, Identity, Mention, Merge, Person, Reply


@dataclass(frozen=True, slots=True)
class PersonRow:
    id: int
    display_name: str
    memo: str
    created_at: datetime
    sample: bool


@dataclass(frozen=True, slots=True)
class IdentityRow:
    """A handle on a platform."""

    id: int
    platform: str
    external_id: str
    handle: str
    display_name: str | None
    followers: int | None
    first_seen_at: datetime
    person_id: int
    ours: bool


@dataclass(frozen=True, slots=True)
class Said:
    """What a person told us, counted over all their handles."""

    mentions: int
    complaints: int
    praises: int
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Spoken:
    """One line of a person's history, theirs or ours."""

    conversation_id: int
    at: datetime
    platform: str
    text: str
    sentiment: str | None
    ours: bool


@dataclass(frozen=True, slots=True)
class MergeRow:
    id: int
    into_person_id: int
    from_person_id: int
    identity_ids: list[int]
    undone_at: datetime | None


_IDENTITY = tuple(col(getattr(Identity, name)) for name in IdentityRow.__slots__)
LINE_TEXT = 300
"""Characters of a history line that are read."""


def get(tx: Transaction, person_id: int) -> PersonRow | None:
    """The person, or None."""
    query = select(*(col(getattr(Person, name)) for name in PersonRow.__slots__)).where(col(Person.id) == person_id)
    row = tx.connection.execute(query).one_or_none()
    return None if row is None else PersonRow(*row)


def identities(tx: Transaction, person_id: int) -> list[IdentityRow]:
    """Their handles, the one seen first first."""
    query = select(*_IDENTITY).where(col(Identity.person_id) == person_id)
    rows = tx.connection.execute(query.order_by(col(Identity.first_seen_at), col(Identity.id)))
    return [IdentityRow(*row) for row in rows]


def by_author(tx: Transaction, platform: str, author_id: str) -> IdentityRow | None:
    """An author by their platform's id, or None."""
    query = select(*_IDENTITY).where(col(Identity.platform) == platform, col(Identity.external_id) == author_id)
    row = tx.connection.execute(query).one_or_none()
    return None if row is None else IdentityRow(*row)


def said(tx: Transaction, person_id: int) -> Said:
    """What they told us, in numbers."""
    query = (
        select(
            func.count(),
            func.sum(case((col(EffectiveTag.intent) == "complaint", 1), else_=0)),
            func.sum(case((col(EffectiveTag.intent) == "praise", 1), else_=0)),
            func.min(Mention.posted_at),
        )
        .select_from(Identity)
        .join(Mention, col(Mention.identity_id) == col(Identity.id))
        .outerjoin(EffectiveTag, col(EffectiveTag.mention_id) == col(Mention.id))
        .where(col(Identity.person_id) == person_id, col(Mention.ours).is_(False))
    )
    row = tx.connection.execute(query).one()
    return Said(row[0], int(row[1] or 0), int(row[2] or 0), row[3])


def answered(tx: Transaction, person_id: int) -> tuple[int, int]:
    """In how many of their conversations we answered, and how many they have."""
    query = (
        select(
            func.count(func.distinct(case((col(Conversation.last_answered_at).is_not(None), Conversation.id)))),
            func.count(func.distinct(Conversation.id)),
        )
        .select_from(Identity)
        .join(Mention, col(Mention.identity_id) == col(Identity.id))
        .join(Conversation, col(Conversation.id) == col(Mention.conversation_id))
        .where(col(Identity.person_id) == person_id, col(Mention.ours).is_(False))
    )
    row = tx.connection.execute(query).one()
    return row[0], row[1]


def praise(tx: Transaction, person_id: int) -> tuple[str, datetime] | None:
    """The newest praise in their words, and when they gave it."""
    query = (
        select(func.substr(Mention.text, 1, LINE_TEXT), col(Mention.posted_at))
        .select_from(Identity)
        .join(Mention, col(Mention.identity_id) == col(Identity.id))
        .join(EffectiveTag, col(EffectiveTag.mention_id) == col(Mention.id))
        .where(col(Identity.person_id) == person_id, col(EffectiveTag.intent) == "praise", col(Mention.ours).is_(False))
        .order_by(col(Mention.posted_at).desc())
        .limit(1)
    )
    row = tx.connection.execute(query).one_or_none()
    return None if row is None else (row[0], row[1])


def history(tx: Transaction, person_id: int, limit: int) -> list[Spoken]:
    """What they said and what we answered them, newest first, over all their handles."""
    theirs = (
        select(
            col(Mention.conversation_id).label("conversation_id"),
            col(Mention.posted_at).label("at"),
            col(Mention.platform).label("platform"),
            func.substr(Mention.text, 1, LINE_TEXT).label("text"),
            col(EffectiveTag.sentiment).label("sentiment"),
            literal(0).label("ours"),
        )
        .select_from(Identity)
        .join(Mention, col(Mention.identity_id) == col(Identity.id))
        .outerjoin(EffectiveTag, col(EffectiveTag.mention_id) == col(Mention.id))
        .where(col(Identity.person_id) == person_id)
    )
    ours = (
        select(
            col(Reply.conversation_id),
            col(Reply.sent_at),
            col(Mention.platform),
            func.substr(Reply.text, 1, LINE_TEXT),
            null(),
            literal(1),
        )
        .select_from(Identity)
        .join(Mention, col(Mention.identity_id) == col(Identity.id))
        .join(Reply, col(Reply.mention_id) == col(Mention.id))
        .where(col(Identity.person_id) == person_id, col(Reply.state).in_(("sent", "handed_off")))
    )
    both = union_all(theirs, ours).subquery()
    query = select(both).order_by(both.c.at.desc(), both.c.ours.desc()).limit(limit)
    return [
        Spoken(row.conversation_id, row.at, row.platform, row.text, row.sentiment, bool(row.ours))
        for row in tx.connection.execute(query)
    ]


def set_memo(tx: Transaction, person_id: int, memo: str) -> bool:
    """Writes the memo; False when there is no such person."""
    query = update(Person).where(col(Person.id) == person_id).values(memo=memo)
    return tx.connection.execute(query).rowcount == 1


def same_handle(tx: Transaction, person_id: int, limit: int = 5) -> list[IdentityRow]:
    """Identities of other people with one of this person's handles, on platforms where this person has none."""
    own = select(func.lower(Identity.handle)).where(col(Identity.person_id) == person_id)
    taken = select(col(Identity.platform)).where(col(Identity.person_id) == person_id)
    query = select(*_IDENTITY).where(
        func.lower(Identity.handle).in_(own),
        col(Identity.platform).not_in(taken),
        col(Identity.person_id) != person_id,
        col(Identity.ours).is_(False),
    )
    return [IdentityRow(*row) for row in tx.connection.execute(query.order_by(col(Identity.id)).limit(limit))]


# Merges ---------------------------------------------------------------------------------------------------------------


def merge(tx: Transaction, into: int, absorbed: int, evidence: str, user_id: int | None, at: datetime) -> int:
    """Gives every handle and conversation of `absorbed` to `into`; returns the merge's id."""
    moved: list[Any] = list(tx.connection.scalars(select(col(Identity.id)).where(col(Identity.person_id) == absorbed)))
    _move(tx, moved, into)
    query = insert(Merge).values(
        into_person_id=into,
        from_person_id=absorbed,
        identity_ids=moved,
        evidence=evidence,
        user_id=user_id,
        at=at,
    )
    return added(tx, query)


def get_merge(tx: Transaction, merge_id: int) -> MergeRow | None:
    """The merge, or None."""
    query = select(*(col(getattr(Merge, name)) for name in MergeRow.__slots__)).where(col(Merge.id) == merge_id)
    row = tx.connection.execute(query).one_or_none()
    return None if row is None else MergeRow(*row)


def merges_into(tx: Transaction, person_id: int) -> list[MergeRow]:
    """The merges into this person that hold, the latest first."""
    query = select(*(col(getattr(Merge, name)) for name in MergeRow.__slots__)).where(
        col(Merge.into_person_id) == person_id, col(Merge.undone_at).is_(None)
    )
    return [MergeRow(*row) for row in tx.connection.execute(query.order_by(col(Merge.id).desc()))]


def unmerge(tx: Transaction, merged: MergeRow, at: datetime) -> bool:
    """Gives the handles back that the person still has; False when it was undone already."""
    query = update(Merge).where(col(Merge.id) == merged.id, col(Merge.undone_at).is_(None)).values(undone_at=at)
    if tx.connection.execute(query).rowcount == 0:
        return False
    still = select(col(Identity.id)).where(
        col(Identity.id).in_(merged.identity_ids), col(Identity.person_id) == merged.into_person_id
    )
    given_back: list[Any] = list(tx.connection.scalars(still))
    _move(tx, given_back, merged.from_person_id)
    forgetting.forget_nobodies(tx, [merged.into_person_id, merged.from_person_id])
    return True


def _move(tx: Transaction, identity_ids: Sequence[int], to: int) -> None:
    """The handles and the conversations in which one of them spoke last belong to person `to`."""
    tx.connection.execute(update(Identity).where(col(Identity.id).in_(identity_ids)).values(person_id=to))
    last_spoken = (
        select(col(Conversation.id))
        .select_from(Mention)
        .join(Conversation, col(Conversation.id) == col(Mention.conversation_id))
        .where(col(Conversation.latest_mention_id) == col(Mention.id), col(Mention.identity_id).in_(identity_ids))
    )
    tx.connection.execute(update(Conversation).where(col(Conversation.id).in_(last_spoken)).values(person_id=to))
