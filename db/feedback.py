"""Feedback items and the mentions that back them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlmodel import col

from db.engine import Transaction
from db.sql import added, table
from db.sql import insert as upsert
from db.tables import FeedbackEvidence, FeedbackItem, Identity, Mention

DELETED = "deleted"
"""The state of an item whose deletion can still be undone; no board shows it."""


@dataclass(frozen=True, slots=True)
class ItemRow:
    id: int
    title: str
    description: str
    kind: str
    state: str
    reason: str
    created_at: datetime
    changed_at: datetime
    sample: bool


@dataclass(frozen=True, slots=True)
class EvidenceRow:
    """Somebody's words that back an item. `person_id` is None where nobody is named."""

    item_id: int
    mention_id: int
    conversation_id: int
    quote: str
    author_name: str | None
    handle: str | None
    person_id: int | None
    platform: str
    at: datetime
    url: str | None


_ITEM: tuple[Any, ...] = tuple(col(getattr(FeedbackItem, name)) for name in ItemRow.__slots__)


def get(tx: Transaction, item_id: int) -> ItemRow | None:
    """The item, deleted or not, or None."""
    row = tx.connection.execute(select(*_ITEM).where(col(FeedbackItem.id) == item_id)).one_or_none()
    return None if row is None else ItemRow(*row)


def board(tx: Transaction, per_state: int) -> list[ItemRow]:
    """The `per_state` items of each state that changed last, those first."""
    place = func.row_number().over(
        partition_by=col(FeedbackItem.state),
        order_by=(col(FeedbackItem.changed_at).desc(), col(FeedbackItem.id).desc()),
    )
    ranked = select(*_ITEM, place.label("place")).where(col(FeedbackItem.state) != DELETED).subquery()
    query = select(*(ranked.c[name] for name in ItemRow.__slots__)).where(ranked.c.place <= per_state)
    rows = tx.connection.execute(query.order_by(ranked.c.changed_at.desc(), ranked.c.id.desc()))
    return [ItemRow(*row) for row in rows]


def evidence(tx: Transaction, item_ids: Collection[int]) -> list[EvidenceRow]:
    """What backs these items, the newest words first."""
    query: Any = (
        select(
            col(FeedbackEvidence.item_id),
            col(FeedbackEvidence.mention_id),
            col(Mention.conversation_id),
            col(FeedbackEvidence.quote),
            col(Identity.display_name),
            col(Identity.handle),
            col(Identity.person_id),
            col(Mention.platform),
            col(Mention.posted_at),
            col(Mention.url),
        )
        .select_from(FeedbackEvidence)
        .join(Mention, col(Mention.id) == col(FeedbackEvidence.mention_id))
        .outerjoin(Identity, col(Identity.id) == col(Mention.identity_id))
        .where(col(FeedbackEvidence.item_id).in_(item_ids))
        .order_by(col(Mention.posted_at).desc(), col(Mention.id).desc())
    )
    return [EvidenceRow(*row) for row in tx.connection.execute(query)]


def add(tx: Transaction, at: datetime, **values: Any) -> int:
    """Adds an item; returns its id."""
    fresh = {"description": "", "state": "new", "reason": "", "created_at": at, "changed_at": at, "sample": False}
    return added(tx, insert(FeedbackItem).values(fresh | values))


def change(tx: Transaction, item_id: int, **values: Any) -> None:
    """Sets columns of an item."""
    tx.connection.execute(update(FeedbackItem).where(col(FeedbackItem.id) == item_id).values(**values))


def attach(tx: Transaction, item_id: int, mention_id: int, quote: str, user_id: int | None, at: datetime) -> None:
    """A mention backs the item; the same one again replaces its quote."""
    statement = upsert(tx, table(FeedbackEvidence)).values(
        item_id=item_id, mention_id=mention_id, quote=quote, user_id=user_id, at=at
    )
    tx.connection.execute(
        statement.on_conflict_do_update(index_elements=["item_id", "mention_id"], set_={"quote": quote})
    )


def detach(tx: Transaction, item_id: int, mention_id: int) -> bool:
    """The mention backs the item no more; False when it did not."""
    query = delete(FeedbackEvidence).where(
        col(FeedbackEvidence.item_id) == item_id, col(FeedbackEvidence.mention_id) == mention_id
    )
    return tx.connection.execute(query).rowcount > 0


def purge_deleted(tx: Transaction, before: datetime) -> None:
    """Removes for good what was deleted before then."""
    tx.connection.execute(
        delete(FeedbackItem).where(col(FeedbackItem.state) == DELETED, col(FeedbackItem.changed_at) < before)
    )
