"""The database: one address, two engines. SQLite in WAL for one machine, PostgreSQL for many.

Every writing transaction on SQLite begins with BEGIN IMMEDIATE: a deferred one that turns into a writer fails at once
with 'database is locked' whatever the busy timeout says, and loses updates between two processes.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import ConnectionPoolEntry
from sqlmodel import Session

BUSY_TIMEOUT_MS = 15_000


class DatabaseError(Exception):
    """The database cannot be used; the message says why and what to do."""


def now() -> datetime:
    """This moment, UTC-aware."""
    return datetime.now(UTC)


class Transaction:
    """What other rooms hold while they call queries; only this room looks inside."""

    __slots__ = ("session",)

    def __init__(self, session: Session) -> None:
        self.session = session

    @property
    def on_sqlite(self) -> bool:
        return self.session.get_bind().dialect.name == "sqlite"

    @property
    def connection(self) -> Connection:
        return self.session.connection()


class Database:
    """Opens transactions. One a process; safe to share between threads."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = _engine(url)
        self.on_sqlite = self.engine.dialect.name == "sqlite"

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A writing transaction: commits at the end, rolls back on an exception."""
        with self._session(writing=True) as session, session.begin():
            yield Transaction(session)

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """One consistent view; takes no write lock and changes nothing."""
        with self._session(writing=False) as session:
            try:
                yield Transaction(session)
            finally:
                session.rollback()

    def _session(self, *, writing: bool) -> Session:
        engine = self.engine.execution_options(writing=writing)
        if not writing and not self.on_sqlite:
            engine = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        return Session(engine, expire_on_commit=False)

    def dispose(self) -> None:
        """Closes every connection."""
        self.engine.dispose()


def _engine(url: str) -> Engine:
    if url.startswith("postgresql://"):
        url = "postgresql+psycopg://" + url.removeprefix("postgresql://")
    if url.startswith("postgresql+psycopg://"):
        return create_engine(url, pool_pre_ping=True)
    if not url.startswith("sqlite:///"):
        raise DatabaseError("DATABASE_URL must begin with sqlite:/// or postgresql://")
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000, "check_same_thread": False})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # the driver must not begin transactions by itself: `_begin_sqlite` does
    for pragma in (
        "journal_mode=WAL",
        "foreign_keys=ON",
        # FULL, not WAL's usual NORMAL: an answer that the platform has must not be forgotten when the power fails.
        "synchronous=FULL",
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "cache_size=-65536",
        "temp_store=MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    writing = connection.get_execution_options().get("writing", True)
    if not writing:
        connection.exec_driver_sql("BEGIN")
        return
    _wait_for_our_turn(connection)


def _wait_for_our_turn(connection: Connection) -> None:
    """Begins a writing transaction, or raises OperationalError when that takes longer than BUSY_TIMEOUT_MS.

    SQLite's own wait soon asks only ten times a second, and starves beside a process that writes without a pause.
    """
    deadline = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    connection.exec_driver_sql("PRAGMA busy_timeout=0")
    try:
        while True:
            try:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                return
            except OperationalError as error:
                if "locked" not in str(error.orig) or time.monotonic() > deadline:
                    raise
            time.sleep(random.uniform(0.001, 0.01))
    finally:
        connection.exec_driver_sql(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")


def reachable(database: Database) -> str | None:
    """None when the database answers, else why not, in words."""
    try:
        with database.reading() as tx:
            tx.connection.exec_driver_sql("SELECT 1")
    except OperationalError as error:
        return str(error.orig)
    return None
