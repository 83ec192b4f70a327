"""Who did what, and when. Rows are only ever added."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import col, select

from db.engine import Transaction
from db.tables import Audit, User


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One action. `who` is None for what Samtal itself did."""

    id: int
    at: datetime
    user_id: int | None
    who: str | None
    action: str
    subject: str
    subject_id: str
    detail: Mapping[str, Any]


def add(
    tx: Transaction,
    at: datetime,
    user_id: int | None,
    action: str,
    subject: str,
    subject_id: str,
    detail: Mapping[str, Any],
) -> None:
    """Adds one row. `detail` is JSON."""
    tx.session.add(
        Audit(at=at, user_id=user_id, action=action, subject=subject, subject_id=subject_id, detail=dict(detail))
    )
    tx.session.flush()


def tail(tx: Transaction, before_id: int | None, limit: int) -> list[AuditRow]:
    """The newest rows first, those before `before_id` where one is given."""
    query = select(Audit, User.display_name).join(User, isouter=True).order_by(col(Audit.id).desc()).limit(limit)
    if before_id is not None:
        query = query.where(col(Audit.id) < before_id)
    return [
        AuditRow(row.id or 0, row.at, row.user_id, name, row.action, row.subject, row.subject_id, row.detail)
        for row, name in tx.session.exec(query)
    ]
