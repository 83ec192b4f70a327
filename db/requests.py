"""What people wait for the worker to do: rows that a worker claims, works on under a lease, and answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, or_, select, update

from db.engine import Transaction
from db.sql import added, table
from db.tables import WorkerRequest

OPEN = ("waiting", "running")

_requests = table(WorkerRequest)


@dataclass(frozen=True, slots=True)
class RequestRow:
    """A request as it is stored. `fence` counts how often it was taken."""

    id: int
    kind: str
    payload: dict[str, Any]
    state: str
    done: int
    total: int | None
    words: str
    result: dict[str, Any]
    error: str
    what_to_do: str
    user_id: int | None
    created_at: datetime
    finished_at: datetime | None
    lease_until: datetime | None
    fence: int


def _request(row: Any) -> RequestRow:
    return RequestRow(**{name: getattr(row, name) for name in RequestRow.__slots__})


def add(tx: Transaction, kind: str, payload: Mapping[str, Any], user_id: int | None, now: datetime) -> int:
    """Adds a request; returns its id."""
    return added(
        tx,
        _requests.insert().values(
            kind=kind, payload=dict(payload), state="waiting", done=0, words="", result={}, error="", what_to_do="",
            user_id=user_id, created_at=now, fence=0,
        ),
    )  # fmt: skip


def get(tx: Transaction, request_id: int) -> RequestRow | None:
    """The request, or None."""
    row = tx.connection.execute(select(_requests).where(_requests.c.id == request_id)).one_or_none()
    return None if row is None else _request(row)


def open_ones(tx: Transaction) -> list[RequestRow]:
    """Requests that wait or are being worked on, oldest first."""
    query = select(_requests).where(_requests.c.state.in_(OPEN)).order_by(_requests.c.id)
    return [_request(row) for row in tx.connection.execute(query)]


def due(tx: Transaction, now: datetime, limit: int) -> list[int]:
    """Requests to work on that nobody holds, oldest first."""
    query = select(_requests.c.id).where(_requests.c.state.in_(OPEN), _free(now)).order_by(_requests.c.id).limit(limit)
    return list(tx.connection.execute(query).scalars())


def _free(now: datetime) -> Any:
    return or_(_requests.c.lease_until.is_(None), _requests.c.lease_until < now)


def claim(tx: Transaction, request_id: int, now: datetime, lease: timedelta) -> RequestRow | None:
    """Takes an open request for this worker alone: raises its fence and leases it. None where it cannot be taken."""
    wanted = (_requests.c.id == request_id, _requests.c.state.in_(OPEN), _free(now))
    found = tx.connection.execute(select(_requests.c.id).where(*wanted).with_for_update(skip_locked=True)).scalar()
    if found is None:
        return None
    tx.connection.execute(
        update(_requests)
        .where(_requests.c.id == request_id)
        .values(state="running", fence=_requests.c.fence + 1, lease_until=now + lease)
    )
    return get(tx, request_id)


def write(tx: Transaction, held: RequestRow, **values: Any) -> bool:
    """Sets columns if the claim still stands and nobody cancelled it. False: nothing was changed."""
    standing = (_requests.c.id == held.id, _requests.c.fence == held.fence, _requests.c.state == "running")
    return tx.connection.execute(update(_requests).where(*standing).values(**values)).rowcount == 1


def cancel(tx: Transaction, request_id: int, now: datetime) -> bool:
    """Cancels an open request; whoever works on it stops at its next step. False when it was finished."""
    return (
        tx.connection.execute(
            update(_requests)
            .where(_requests.c.id == request_id, _requests.c.state.in_(OPEN))
            .values(state="cancelled", finished_at=now, lease_until=None, words="Cancelled.")
        ).rowcount
        == 1
    )


def forget(tx: Transaction, kinds: tuple[str, ...], before: datetime) -> int:
    """Removes finished requests of these kinds: their results quote what people said."""
    return tx.connection.execute(
        delete(_requests).where(_requests.c.kind.in_(kinds), _requests.c.finished_at < before)
    ).rowcount


def waiting(tx: Transaction) -> int:
    """How many are open."""
    return tx.connection.execute(
        select(func.count()).select_from(_requests).where(_requests.c.state.in_(OPEN))
    ).scalar_one()
