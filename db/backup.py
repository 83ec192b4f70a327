"""Copies the embedded database while it is in use, and makes a copy fit to live on."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlmodel import Session, col, update

from db.engine import Database
from db.tables import Reply, SignInLink, SignInSession, Workspace

PAGES_A_STEP = 2_000
"""Pages copied between two chances for writers: about 8 MB."""


class DamagedError(Exception):
    """The file is no sound database of ours; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Sound:
    """What a sound database says of itself."""

    revision: str
    key_check: str
    mentions: int


def copy(source: Path, target: Path) -> None:
    """A consistent copy by SQLite's online backup: writers go on meanwhile. Raises DamagedError."""
    try:
        with (
            closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=30)) as here,
            closing(sqlite3.connect(target)) as there,
        ):
            here.backup(there, pages=PAGES_A_STEP)
            there.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error as error:
        raise DamagedError(f"{source} cannot be copied: {error}.") from error


def examine(path: Path) -> Sound:
    """Reads the whole file. Raises DamagedError when it is damaged or no database of ours."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            problems = [row[0] for row in connection.execute("PRAGMA integrity_check(5)")]
            if problems != ["ok"]:
                raise DamagedError(f"{path.name} is damaged: {problems[0]}.")
            revision = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            key_check = connection.execute("SELECT key_check FROM workspace").fetchone()
            mentions = connection.execute("SELECT count(*) FROM mentions").fetchone()
    except sqlite3.Error as error:
        raise DamagedError(f"{path.name} is no database of Samtal: {error}.") from error
    if revision is None:
        raise DamagedError(f"{path.name} is no database of Samtal: it has no revision.")
    return Sound(str(revision[0]), str(key_check[0]) if key_check else "", int(mentions[0]))


def make_fit(path: Path, at: datetime) -> None:
    """Changes in a restored copy what the time since it was made may have made untrue.

    What was about to be sent may have been sent: it becomes `unknown`, so that it is looked for before it would be sent
    again. What awaited approval may have been approved: it becomes a draft. Sessions and links may have been ended: all
    are.
    """
    database = Database(f"sqlite:///{path}")
    with database.transaction() as tx:
        _unsend(tx.session, at)
        tx.session.exec(update(SignInSession).where(col(SignInSession.revoked_at).is_(None)).values(revoked_at=at))
        tx.session.exec(update(SignInLink).where(col(SignInLink.used_at).is_(None)).values(used_at=at))
        tx.session.exec(update(Workspace).values(data_version=col(Workspace.data_version) + 1))
    _settle(database)


def _unsend(session: Session, at: datetime) -> None:
    session.exec(
        update(Reply)
        .where(col(Reply.state).in_(("queued", "sending")))
        .values(
            state="unknown",
            reason="The database was restored from a backup: this may have been sent since.",
            what_to_do="",
            sending_at=col(Reply.queued_at),
            send_after=at,
            lease_until=None,
            changed_at=at,
        )
    )
    session.exec(
        update(Reply)
        .where(col(Reply.state) == "awaiting_approval")
        .values(
            state="draft",
            reason="The database was restored from a backup: read the thread before you send this.",
            changed_at=at,
        )
    )


def _settle(database: Database) -> None:
    """Leaves one file, without a journal beside it."""
    with database.engine.connect() as connection:
        connection.exec_driver_sql("ROLLBACK")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    database.dispose()
