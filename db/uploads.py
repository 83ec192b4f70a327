"""Files that people handed in, by the id they were given."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select

from db.engine import Transaction
from db.sql import table
from db.tables import Upload

_uploads = table(Upload)


@dataclass(frozen=True, slots=True)
class UploadRow:
    """One file. `path` is its name in the folder of uploads."""

    id: str
    name: str
    path: str
    bytes: int
    user_id: int | None
    created_at: datetime


def add(tx: Transaction, row: UploadRow) -> None:
    """Notes a file."""
    tx.connection.execute(_uploads.insert().values({name: getattr(row, name) for name in UploadRow.__slots__}))


def get(tx: Transaction, upload_id: str) -> UploadRow | None:
    """The file, or None."""
    row = tx.connection.execute(select(_uploads).where(_uploads.c.id == upload_id)).one_or_none()
    return None if row is None else UploadRow(**{name: getattr(row, name) for name in UploadRow.__slots__})


def older_than(tx: Transaction, before: datetime) -> list[UploadRow]:
    """Files handed in before."""
    query = select(_uploads).where(_uploads.c.created_at < before)
    return [UploadRow(**{n: getattr(row, n) for n in UploadRow.__slots__}) for row in tx.connection.execute(query)]


def remove(tx: Transaction, upload_id: str) -> None:
    """Forgets a file; the file itself is the caller's to remove."""
    tx.connection.execute(delete(_uploads).where(_uploads.c.id == upload_id))
