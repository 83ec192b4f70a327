"""A new secret key: what is sealed can be opened at every moment on the way, and afterwards with the new key alone."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import LargeBinary
from sqlmodel import SQLModel

from db import hooks as hook_rows
from db import sealed
from db import sources as rows
from db.engine import Database
from db.tables import Source
from dialogue import audit, backup, rotating, secrets
from dialogue.context import Context
from dialogue.secrets import SecretBox, SecretsError
from settings import Settings

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ACCOUNTS = 3
OLD = "k" * 40
HOLD_NO_SECRET = {"hook_deliveries.body", "tags.embedding", "themes.centroid"}

MOMENTS = {
    "before anything": (secrets, "next_key"),
    "when the new key is on the disk": (rotating, "reseal"),
    "within the transaction": (audit, "record"),
    "when all is sealed": (rotating, "_put_in_place"),
    "when the new key is in its place": (os, "fsync"),
}


def _fill(database: Database, box: SecretBox) -> None:
    """Accounts, and a webhook whose secret was just renewed."""
    with database.transaction() as tx:
        for n in range(ACCOUNTS):
            values = {
                "platform": "x", "label": f"Account {n}", "base_url": None,
                "credentials": box.encrypt({"token": f"secret {n}"}),
            }  # fmt: skip
            rows.save_account(tx, None, values, NOW)
        source = Source(platform="webhook", label="Hook", mode="", query="", created_at=NOW)
        tx.session.add(source)
        tx.session.flush()
        assert source.id is not None
        hook_rows.add(
            tx, source.id, token="t", scheme="samtal", secret=box.encrypt({"secret": "new"}),
            old_secret=box.encrypt({"secret": "old"}),
        )  # fmt: skip


def _opened(database: Database, box: SecretBox) -> list[str]:
    with database.reading() as tx:
        accounts = [box.decrypt(one.credentials)["token"] for one in rows.accounts(tx)]
        hook = hook_rows.by_token(tx, "t")
    assert hook is not None
    assert hook.old_secret is not None
    return [*accounts, box.decrypt(hook.secret)["secret"], box.decrypt(hook.old_secret)["secret"]]


EVERYTHING = [*(f"secret {n}" for n in range(ACCOUNTS)), "new", "old"]


def _kept(folder: Path) -> SecretBox:
    return secrets.open_box(None, folder, embedded=True)


@pytest.fixture
def kept(sqlite_url: str, tmp_path: Path) -> Database:
    """A database whose key lies in DATA_DIR."""
    (tmp_path / secrets.KEY_FILE).write_text(OLD + "\n")
    database = Database(sqlite_url)
    secrets.check(database, _kept(tmp_path))
    _fill(database, _kept(tmp_path))
    return database


def _kept_text(folder: Path) -> str:
    return (folder / secrets.KEY_FILE).read_text().strip()


def _killed(url: str, folder: Path, moment: str) -> int:
    """Rotates in a process of its own, which is killed at that moment; returns the signal that ended it."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        room, name = MOMENTS[moment]
        whole = getattr(room, name)

        def die(*given: Any, **named: Any) -> Any:
            if name == "fsync" and _kept_text(folder) == OLD:  # the new key itself, before anything is sealed with it
                return whole(*given, **named)
            return os.kill(os.getpid(), signal.SIGKILL)

        setattr(room, name, die)
        rotating.rotate_kept(Context(Database(url), folder, _kept(folder)))
    finally:
        os._exit(1)


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_any_moment_nothing_is_lost_and_it_goes_on(
    kept: Database, sqlite_url: str, tmp_path: Path, moment: str
) -> None:
    before = _kept(tmp_path)
    kept.dispose()
    assert _killed(sqlite_url, tmp_path, moment) == -signal.SIGKILL
    here = _kept(tmp_path)
    secrets.check(kept, here)
    assert _opened(kept, here) == EVERYTHING, "a start after the crash can read everything"

    rotating.rotate_kept(Context(kept, tmp_path, here))
    new_key = _kept_text(tmp_path)
    assert new_key != OLD
    assert not (tmp_path / secrets.NEXT_KEY_FILE).exists()
    assert (tmp_path / secrets.KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert _opened(kept, SecretBox(new_key)) == EVERYTHING
    with pytest.raises(SecretsError, match="another secret key"):
        _opened(kept, SecretBox(OLD))
    assert _kept(tmp_path).digest("a reply") == before.digest("a reply"), "what was digested is still recognised"
    kept.dispose()


def test_a_server_database_is_read_with_both_keys_until_it_is_done(any_url: str) -> None:
    old, new = OLD, secrets.next_key(OLD)
    database = Database(any_url)
    secrets.check(database, SecretBox(old))
    _fill(database, SecretBox(old))
    both = SecretBox(new, [old])
    assert _opened(database, both) == EVERYTHING
    world = Context(database, Path("."), both)
    assert rotating.reseal(world, both) == rotating.Rotated(changed=5, unreadable=0)
    assert rotating.reseal(world, both) == rotating.Rotated(changed=0, unreadable=0)
    assert _opened(database, SecretBox(new)) == EVERYTHING
    secrets.check(database, SecretBox(secrets.next_key(new)))
    database.dispose()


def test_a_key_that_does_not_carry_the_digests_is_refused_before_anything_is_sealed(any_url: str) -> None:
    old = OLD
    database = Database(any_url)
    secrets.check(database, SecretBox(old))
    _fill(database, SecretBox(old))
    stranger = SecretBox("x" * 40, [old])
    with pytest.raises(SecretsError, match="another secret key"):
        rotating.reseal(Context(database, Path("."), stranger), stranger)
    assert _opened(database, SecretBox(old)) == EVERYTHING
    database.dispose()


def test_what_neither_key_opens_is_left_and_counted(sqlite_url: str) -> None:
    old, new = OLD, secrets.next_key(OLD)
    database = Database(sqlite_url)
    lost = SecretBox("l" * 40).encrypt({"token": "lost"})
    with database.transaction() as tx:
        values = {"platform": "x", "label": "A", "base_url": None, "credentials": lost}
        account_id = rows.save_account(tx, None, values, NOW)
    box = SecretBox(new, [old])
    done = rotating.reseal(Context(database, Path("."), box), box)
    assert (done.changed, done.unreadable) == (0, 1)
    assert "enter those accounts again" in done.words
    with database.reading() as tx:
        account = rows.account(tx, account_id)
    assert account is not None
    assert account.credentials == lost
    database.dispose()


def test_not_while_samtal_runs(kept: Database, tmp_path: Path) -> None:
    world = Context(kept, tmp_path, _kept(tmp_path))
    with backup.in_use(tmp_path), pytest.raises(SecretsError, match="Stop it first"):
        rotating.rotate_kept(world)
    assert not (tmp_path / secrets.NEXT_KEY_FILE).exists()
    assert rotating.rotate_kept(world).changed == 5
    kept.dispose()


def test_every_column_of_bytes_is_sealed_anew_or_known_to_hold_no_secret() -> None:
    columns = {
        f"{table.name}.{column.name}"
        for table in SQLModel.metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, LargeBinary)
    }
    covered = {f"{table.name}.{name}" for table, name in sealed.COLUMNS}
    assert columns - HOLD_NO_SECRET == covered


def test_the_old_key_is_never_printed() -> None:
    assert "hush" not in repr(Settings(old_secret_key="hush"))
