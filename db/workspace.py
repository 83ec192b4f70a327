"""The workspace's one row."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col, update

from db.engine import Transaction
from db.tables import WorkerRequest, Workspace


@dataclass(frozen=True, slots=True)
class WorkspaceRow:
    """The rules of this company as they are stored; the defaults while nothing is stored yet."""

    name: str
    time_zone: str
    approval: str
    undo_seconds: int
    answer_within_minutes: int
    retention_days: int | None
    data_version: int
    sample_loaded_at: datetime | None
    key_check: str
    unfolded_below: int


def read(tx: Transaction) -> WorkspaceRow:
    """The rules; reads only."""
    row = tx.session.get(Workspace, 1) or Workspace()
    return WorkspaceRow(
        name=row.name,
        time_zone=row.time_zone,
        approval=row.approval,
        undo_seconds=row.undo_seconds,
        answer_within_minutes=row.answer_within_minutes,
        retention_days=row.retention_days,
        data_version=row.data_version,
        sample_loaded_at=row.sample_loaded_at,
        key_check=row.key_check,
        unfolded_below=row.unfolded_below,
    )


def ensure(tx: Transaction) -> None:
    """Makes the row when it is not there; two processes may do so at once."""
    insert = sqlite.insert if tx.on_sqlite else postgresql.insert
    tx.connection.execute(
        insert(Workspace).values(Workspace().model_dump()).on_conflict_do_nothing(index_elements=["id"])
    )


def write(tx: Transaction, **values: Any) -> None:
    """Changes the named columns and counts it as a write."""
    ensure(tx)
    tx.session.exec(update(Workspace).where(col(Workspace.id) == 1).values(**values))
    bump(tx)


def bump(tx: Transaction) -> None:
    """Says that something a page could show has changed."""
    ensure(tx)
    tx.session.exec(
        update(Workspace).where(col(Workspace.id) == 1).values(data_version=col(Workspace.data_version) + 1)
    )


def request_rebuild(tx: Transaction, user_id: int | None, at: datetime) -> int:
    """Asks the worker to count the days anew; returns the request's id."""
    request = WorkerRequest(kind="rebuild_rollups", user_id=user_id, created_at=at)
    tx.session.add(request)
    tx.session.flush()
    assert request.id is not None
    return request.id
