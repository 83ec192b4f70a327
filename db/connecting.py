"""People on their way to a platform's own page and back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update

from db.engine import Transaction
from db.sql import added, table
from db.tables import Connecting

_connecting = table(Connecting)


@dataclass(frozen=True, slots=True)
class ConnectingRow:
    """One such person, as it is stored; `sealed` is sealed."""

    id: int
    user_id: int
    session: str
    token: str
    platform: str
    account_id: int | None
    stage: str
    words: str
    sealed: bytes
    request_id: int | None
    created_at: datetime
    expires_at: datetime


def _row(found: Any) -> ConnectingRow:
    return ConnectingRow(**{name: getattr(found, name) for name in ConnectingRow.__slots__})


def add(tx: Transaction, **values: Any) -> int:
    """Adds one; returns its id."""
    return added(tx, _connecting.insert().values({"stage": "begun", "words": "", **values}))


def get(tx: Transaction, connecting_id: int) -> ConnectingRow | None:
    """The one of that id, or None."""
    found = tx.connection.execute(select(_connecting).where(_connecting.c.id == connecting_id)).one_or_none()
    return None if found is None else _row(found)


def of_session(tx: Transaction, session: str) -> list[ConnectingRow]:
    """All that were begun in a session, newest first."""
    query = select(_connecting).where(_connecting.c.session == session).order_by(_connecting.c.id.desc())
    return [_row(found) for found in tx.connection.execute(query)]


def advance(tx: Transaction, connecting_id: int, stage: str, to: str, **values: Any) -> bool:
    """From one stage to the next, with other columns. False where it was not there any more: nothing is changed."""
    standing = (_connecting.c.id == connecting_id, _connecting.c.stage == stage)
    return tx.connection.execute(update(_connecting).where(*standing).values(stage=to, **values)).rowcount == 1


def change(tx: Transaction, connecting_id: int, **values: Any) -> None:
    """Sets columns."""
    tx.connection.execute(update(_connecting).where(_connecting.c.id == connecting_id).values(**values))


def forget(tx: Transaction, before: datetime) -> int:
    """Removes those that could come back until `before`."""
    return tx.connection.execute(delete(_connecting).where(_connecting.c.expires_at < before)).rowcount
