"""Small helpers that queries of several subjects share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import JSON, Insert, Table, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel, UTCDateTime

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


def insert_many(tx: Transaction, into: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Inserts many rows with the same columns.

    On SQLite the driver gets them at once, written as SQLAlchemy's types would write them (a test compares): half the
    time of storing a page would otherwise go into preparing its parameters.
    """
    if not rows:
        return
    if not tx.on_sqlite:
        tx.connection.execute(into.insert(), rows)
        return
    names = list(rows[0])
    # Column by column: a row at a time takes three times as long.
    written = [_written([row[name] for row in rows], _writer(into.c[name].type)) for name in names]
    columns, marks = ", ".join(f'"{name}"' for name in names), ", ".join("?" * len(names))
    values = list(zip(*written, strict=True))
    tx.connection.exec_driver_sql(f'INSERT INTO "{into.name}" ({columns}) VALUES ({marks})', values)


def _written(values: list[Any], write: Callable[[Any], Any] | None) -> list[Any]:
    return values if write is None else [write(value) for value in values]


def _writer(type_: Any) -> Callable[[Any], Any] | None:
    """How SQLite's driver gets values of this type; None where it gets them as they are."""
    if isinstance(type_, UTCDateTime):
        return _moment
    if isinstance(type_, JSON):
        return _json
    return None


@lru_cache(maxsize=4_096)  # one page says the moment at which it was collected many times over
def _moment(value: datetime | None) -> str | None:
    return None if value is None else value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def _json(value: Any) -> str:
    if not value:
        return "{}" if isinstance(value, dict) else "[]"
    return json.dumps(value)


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


def advisory_lock(tx: Transaction, name: str) -> None:
    """On PostgreSQL waits until no other transaction holds the lock called `name`; SQLite has one writer anyway."""
    if not tx.on_sqlite:
        tx.connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": name})


def one_at_a_time(tx: Transaction) -> None:
    """Waits until no other transaction changes mentions or what is derived from them.

    A page touches people, conversations, tags and counts that other pages touch too, in whatever order they come: with
    row locks alone two workers deadlock. What takes long, platforms and the model, is outside of these transactions.
    """
    advisory_lock(tx, "mentions")
