"""Webhooks: what was sent, kept until every item of it has been read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, or_, select, update

from db.engine import Transaction
from db.sql import insert, table
from db.tables import Hook, HookDelivery, Source

_hooks = table(Hook)
_deliveries = table(HookDelivery)
_sources = table(Source)


@dataclass(frozen=True, slots=True)
class HookRow:
    """A source's address and how it is read; the secrets are sealed."""

    source_id: int
    token: str
    scheme: str
    secret: bytes
    old_secret: bytes | None
    old_until: datetime | None
    layout: dict[str, Any]
    paths: list[str]
    confirmed_at: datetime | None
    refused_at: datetime | None
    refused: str


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """What was sent once, without its body."""

    id: int
    source_id: int
    delivery_id: str
    nonce: str
    apart: bool
    received_at: datetime
    state: str
    size: int
    new: int
    edited: int
    seen: int
    rejected: int
    rejections: list[dict[str, str]]


_DELIVERY = tuple(_deliveries.c[name] for name in DeliveryRow.__slots__)


def _hook(row: Any) -> HookRow:
    return HookRow(**{name: getattr(row, name) for name in HookRow.__slots__})


def add(tx: Transaction, source_id: int, **values: Any) -> None:
    """Gives a source an address."""
    blank = {"layout": {}, "paths": [], "refused": ""}
    tx.connection.execute(_hooks.insert().values(blank | {"source_id": source_id} | values))


def get(tx: Transaction, source_id: int, *, lock: bool = False) -> HookRow | None:
    """The source's address, or None; with `lock` nobody else changes it until the transaction ends."""
    query = select(_hooks).where(_hooks.c.source_id == source_id)
    row = tx.connection.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else _hook(row)


def by_token(tx: Transaction, token: str) -> HookRow | None:
    """The address of a source that is there and not being removed, or None."""
    query = (
        select(_hooks)
        .join(_sources, _sources.c.id == _hooks.c.source_id)
        .where(_hooks.c.token == token, _sources.c.state != "removing")
    )
    row = tx.connection.execute(query).one_or_none()
    return None if row is None else _hook(row)


def change(tx: Transaction, source_id: int, **values: Any) -> None:
    """Sets columns."""
    tx.connection.execute(update(_hooks).where(_hooks.c.source_id == source_id).values(**values))


def refused(tx: Transaction, source_id: int, words: str, now: datetime, unless_since: datetime) -> None:
    """Notes why a delivery was not taken; not again within moments, so that a stranger cannot keep us writing."""
    lately = or_(_hooks.c.refused_at.is_(None), _hooks.c.refused_at < unless_since)
    tx.connection.execute(
        update(_hooks).where(_hooks.c.source_id == source_id, lately).values(refused_at=now, refused=words)
    )


# Deliveries -----------------------------------------------------------------------------------------------------------


def store(tx: Transaction, **values: Any) -> int | None:
    """Keeps a delivery; returns its id. None: this id or this signature came before."""
    blank = {"state": "waiting", "new": 0, "edited": 0, "seen": 0, "rejected": 0, "rejections": []}
    adding = insert(tx, _deliveries).values(blank | values).on_conflict_do_nothing().returning(_deliveries.c.id)
    return tx.connection.execute(adding).scalar()


def known(tx: Transaction, source_id: int, delivery_id: str, nonce: str) -> int | None:
    """The delivery that came before with this id or this signature, or None."""
    query = select(_deliveries.c.id).where(
        _deliveries.c.source_id == source_id,
        or_(_deliveries.c.delivery_id == delivery_id, _deliveries.c.nonce == nonce),
    )
    return tx.connection.execute(query.limit(1)).scalar()


def nth_newest(tx: Transaction, source_id: int, number: int) -> datetime | None:
    """When the delivery before so many others came; None where there are fewer."""
    query = select(_deliveries.c.received_at).where(_deliveries.c.source_id == source_id)
    return tx.connection.execute(query.order_by(_deliveries.c.id.desc()).offset(number - 1).limit(1)).scalar()


def kept_bytes(tx: Transaction, source_id: int) -> int:
    """Bytes of the deliveries that are not read to their end."""
    query = select(func.coalesce(func.sum(_deliveries.c.size), 0)).where(
        _deliveries.c.source_id == source_id, _deliveries.c.state.in_(("waiting", "rejected"))
    )
    return int(tx.connection.execute(query).scalar_one())


def next_waiting(tx: Transaction, source_id: int) -> tuple[DeliveryRow, bytes] | None:
    """The oldest delivery that waits to be read and that nobody reads now, with its body."""
    query = (
        select(*_DELIVERY, _deliveries.c.body)
        .where(_deliveries.c.source_id == source_id, _deliveries.c.state == "waiting", _deliveries.c.body.is_not(None))
        .order_by(_deliveries.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = tx.connection.execute(query).one_or_none()
    return None if row is None else (DeliveryRow(*row[:-1]), bytes(row[-1]))


def write(tx: Transaction, delivery_id: int, **values: Any) -> None:
    """Sets columns of a delivery."""
    tx.connection.execute(update(_deliveries).where(_deliveries.c.id == delivery_id).values(**values))


def move(tx: Transaction, source_id: int, before: str, after: str, **values: Any) -> int:
    """Moves all of a source's deliveries from one state to another; returns how many."""
    query = update(_deliveries).where(_deliveries.c.source_id == source_id, _deliveries.c.state == before)
    return tx.connection.execute(query.values(state=after, **values)).rowcount


def ready(tx: Transaction) -> list[int]:
    """Sources with deliveries that wait and can be read."""
    query = (
        select(_hooks.c.source_id)
        .join(_sources, _sources.c.id == _hooks.c.source_id)
        .join(_deliveries, _deliveries.c.source_id == _hooks.c.source_id)
        .where(_hooks.c.confirmed_at.is_not(None), _deliveries.c.state == "waiting", _sources.c.state != "removing")
        .distinct()
    )
    return list(tx.connection.execute(query).scalars())


def counts(tx: Transaction, source_id: int) -> Mapping[str, int]:
    """How many of a source's deliveries are in each state."""
    query = select(_deliveries.c.state, func.count()).where(_deliveries.c.source_id == source_id)
    return {row[0]: row[1] for row in tx.connection.execute(query.group_by(_deliveries.c.state))}


def newest(tx: Transaction, source_id: int, limit: int) -> list[DeliveryRow]:
    """The source's last deliveries, newest first."""
    query = select(*_DELIVERY).where(_deliveries.c.source_id == source_id)
    return [DeliveryRow(*row) for row in tx.connection.execute(query.order_by(_deliveries.c.id.desc()).limit(limit))]


def newest_body(tx: Transaction, source_id: int) -> bytes | None:
    """What the newest delivery that is not read to its end holds."""
    query = select(_deliveries.c.body).where(_deliveries.c.source_id == source_id, _deliveries.c.body.is_not(None))
    body = tx.connection.execute(query.order_by(_deliveries.c.id.desc()).limit(1)).scalar()
    return None if body is None else bytes(body)


def forget(tx: Transaction, before: datetime) -> None:
    """Removes deliveries that came before, with what could not be read of them."""
    tx.connection.execute(delete(_deliveries).where(_deliveries.c.received_at < before))
