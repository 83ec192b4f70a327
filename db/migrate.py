"""Brings a database to the tables of this version. `HEAD` is the newest revision in `db/migrations`."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect
from sqlalchemy.exc import OperationalError

from db.engine import Database, DatabaseError

HEAD = "0014"
MIGRATIONS = Path(__file__).parent / "migrations"
_MIGRATING = 7_021_954
"""Key of the advisory lock on PostgreSQL: of several processes that start at once, one migrates."""


def migrate(database: Database) -> None:
    """Applies the revisions that are missing, all or none. Fast when there are none.

    Raises DatabaseError when the database cannot be reached, or was made by a newer version.
    """
    try:
        if revision(database) != HEAD:
            with database.transaction() as tx:
                if not tx.on_sqlite:
                    tx.connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATING})")
                _upgrade(tx.connection)
    except OperationalError as error:
        raise DatabaseError(f"The database cannot be used: {error.orig}") from error


def revision(database: Database) -> str | None:
    """The revision that the database is at; None when it has no tables yet."""
    with database.reading() as tx:
        return _revision(tx.connection)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return found


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, HEAD)
    except CommandError as error:
        raise DatabaseError(
            f"This database is at revision {_revision(connection)}, which this version does not know: it was made by a "
            "newer Samtal. Install that version again, or restore a backup."
        ) from error
