"""Signs of life of the workers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select

from db.engine import Transaction
from db.sql import insert, table
from db.tables import Mention, Reply, WorkerHeartbeat

_beats = table(WorkerHeartbeat)
_mentions = table(Mention)
_replies = table(Reply)


@dataclass(frozen=True, slots=True)
class Beat:
    """The last sign of life of one worker."""

    worker: str
    started_at: datetime
    beat_at: datetime
    version: str
    notice: str = ""
    """What people should know while this worker lives, in one line."""


def beat(tx: Transaction, worker: str, started_at: datetime, now: datetime, version: str, notice: str = "") -> None:
    """Says that the worker is alive, and what people should know meanwhile."""
    version = f"{version}\n{notice}" if notice else version  # one column for both: what the worker says of itself
    statement = insert(tx, _beats).values(worker=worker, started_at=started_at, beat_at=now, version=version)
    tx.connection.execute(
        statement.on_conflict_do_update(index_elements=["worker"], set_={"beat_at": now, "version": version})
    )


def leave(tx: Transaction, worker: str, gone_before: datetime) -> None:
    """Takes the worker off the list, and those of which nothing was heard since `gone_before`."""
    tx.connection.execute(delete(_beats).where((_beats.c.worker == worker) | (_beats.c.beat_at < gone_before)))


def latest(tx: Transaction) -> Beat | None:
    """The newest sign of life of any worker."""
    row = tx.connection.execute(select(_beats).order_by(_beats.c.beat_at.desc()).limit(1)).one_or_none()
    return None if row is None else _beat(row)


def alive(tx: Transaction, since: datetime) -> list[Beat]:
    """The last sign of life of each worker that gave one since then, the newest first."""
    query = select(_beats).where(_beats.c.beat_at >= since).order_by(_beats.c.beat_at.desc())
    return [_beat(row) for row in tx.connection.execute(query)]


def _beat(row: Any) -> Beat:
    version, _, notice = row.version.partition("\n")
    return Beat(row.worker, row.started_at, row.beat_at, version, notice)


def waiting_untagged(tx: Transaction) -> int:
    """Mentions without tags."""
    return tx.connection.execute(
        select(func.count()).select_from(_mentions).where(_mentions.c.tagged_at.is_(None))
    ).scalar_one()


def queued_replies(tx: Transaction) -> int:
    """Replies on their way out."""
    return tx.connection.execute(
        select(func.count()).select_from(_replies).where(_replies.c.state.in_(("queued", "sending")))
    ).scalar_one()
