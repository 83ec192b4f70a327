"""Small helpers that queries of several subjects share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import Insert, Table, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel

from db.engine import Transaction

T = TypeVar("T")

CHUNK = 1_000
"""Values named in one IN list: well below what either engine takes."""


def table(model: type[SQLModel]) -> Table:
    """The Core table of a model: bulk work speaks to it, without an object a row."""
    found: Table = SQLModel.metadata.tables[str(model.__tablename__)]
    return found


def chunks(values: Sequence[T], size: int = CHUNK) -> Iterator[Sequence[T]]:
    """The values in pieces of at most `size`."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


def insert(tx: Transaction, into: Table) -> Any:
    """An INSERT that can say what to do on a conflict, in the engine's own dialect."""
    return sqlite.insert(into) if tx.on_sqlite else postgresql.insert(into)


def added(tx: Transaction, inserting: Insert) -> int:
    """Inserts one row and returns the id that it was given."""
    key = tx.connection.execute(inserting).inserted_primary_key
    assert key is not None
    return int(key[0])


def reserve(tx: Transaction, of: Table, count: int) -> list[int]:
    """`count` ids of the table that nobody else will use: rows that refer to each other can then be inserted in bulk.

    On SQLite the writing transaction is alone, and the table counts its ids in `sqlite_sequence` (AUTOINCREMENT).
    """
    if count == 0:
        return []
    if tx.on_sqlite:
        last = tx.connection.execute(text("SELECT seq FROM sqlite_sequence WHERE name = :t"), {"t": of.name}).scalar()
        return list(range((last or 0) + 1, (last or 0) + count + 1))
    numbers = text("SELECT nextval(pg_get_serial_sequence(:t, 'id')) FROM generate_series(1, :n)")
    return list(tx.connection.execute(numbers, {"t": of.name, "n": count}).scalars())


def advisory_lock(tx: Transaction, name: str, *, shared: bool = False) -> None:
    """On PostgreSQL waits until no other transaction holds the lock called `name`; SQLite has one writer anyway."""
    if not tx.on_sqlite:
        suffix = "_shared" if shared else ""
        tx.connection.execute(text(f"SELECT pg_advisory_xact_lock{suffix}(hashtext(:name))"), {"name": name})
