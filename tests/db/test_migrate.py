"""The revisions make exactly the tables of db/tables.py, on both engines."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from db.engine import Database, DatabaseError
from db.migrate import HEAD, MIGRATIONS, migrate, revision
from db.tables import ALL
from dialogue.context import Context


def _ours(name: str | None, kind: str, *_: object) -> bool:
    return not (kind == "table" and name is not None and name.startswith("mention_search"))


def test_the_revisions_make_the_declared_tables(any_ctx: Context) -> None:
    with any_ctx.database.reading() as tx:
        context = MigrationContext.configure(
            tx.connection, opts={"compare_type": True, "include_name": _ours, "target_metadata": ALL}
        )
        assert compare_metadata(context, ALL) == []


def test_head_is_the_newest_revision() -> None:
    assert ScriptDirectory(str(MIGRATIONS)).get_heads() == [HEAD]


def test_migrating_twice_changes_nothing(any_ctx: Context) -> None:
    migrate(any_ctx.database)
    assert revision(any_ctx.database) == HEAD


def test_an_empty_database_has_no_revision(tmp_path: Path, empty_postgres_url: str) -> None:
    for url in (f"sqlite:///{tmp_path / 'new.db'}", empty_postgres_url):
        database = Database(url)
        assert revision(database) is None
        migrate(database)
        assert revision(database) == HEAD
        database.dispose()


def test_a_newer_database_is_refused_in_words(any_ctx: Context) -> None:
    with any_ctx.database.transaction() as tx:
        tx.connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(DatabaseError, match="revision 9999.*newer Samtal"):
        migrate(any_ctx.database)


def test_a_broken_revision_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(f"sqlite:///{tmp_path / 'new.db'}")
    monkeypatch.setattr("db.migrate.HEAD", "none such")
    with pytest.raises(DatabaseError):
        migrate(database)
    assert revision(database) is None


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'absent' / 'samtal.db'}")
    with pytest.raises(DatabaseError, match="unable to open"):
        migrate(database)
