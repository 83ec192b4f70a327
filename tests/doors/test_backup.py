"""A copy that can be made at any time and put back, and that sends nothing twice."""

from __future__ import annotations

import sqlite3
import tarfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from db import workers
from db.engine import Database
from db.tables import Reply
from dialogue import accounts, backup, records
from dialogue.backup import BackupError
from dialogue.context import SYSTEM, Context
from tests.conftest import Clock
from tests.worlds import post, store

PASSWORD = "correct horse battery"


def texts(ctx: Context) -> list[str | None]:
    return [m.text for m in records.mentions(ctx, SYSTEM, records.Wanted()).items]


def say(ctx: Context, external_id: str, text: str) -> None:
    store(ctx, post(external_id, text, platform="bluesky"))


def test_what_was_there_comes_back_and_what_is_there_is_kept_aside(ctx: Context, tmp_path: Path) -> None:
    say(ctx, "p1", "before")
    (ctx.data_dir / "uploads").mkdir()
    (ctx.data_dir / "uploads" / "a.csv").write_text("old")
    file = tmp_path / "out" / "copy.tar.gz"
    assert backup.make(ctx, file) == file.stat().st_size
    assert file.stat().st_mode & 0o077 == 0
    say(ctx, "p2", "after")
    (ctx.data_dir / "uploads" / "a.csv").write_text("new")

    done = backup.restore(ctx, file)

    assert texts(ctx) == ["before"]
    assert (ctx.data_dir / "uploads" / "a.csv").read_text() == "old"
    assert done.mentions == 1
    assert done.kept_aside is not None
    kept = Database(f"sqlite:///{done.kept_aside / 'samtal.db'}")
    assert texts(Context(kept, tmp_path, ctx.secrets)) == ["before", "after"]
    assert (done.kept_aside / "uploads" / "a.csv").read_text() == "new"
    kept.dispose()


def test_a_copy_made_while_somebody_writes_is_whole(ctx: Context, tmp_path: Path) -> None:
    say(ctx, "p1", "before")
    with ctx.database.transaction() as tx:
        tx.session.connection().exec_driver_sql("UPDATE mentions SET text = 'half written'")
        backup.make(ctx, tmp_path / "copy.tar.gz")
    backup.restore(ctx, tmp_path / "copy.tar.gz")
    assert texts(ctx) == ["before"]


def test_what_may_have_been_sent_since_is_not_sent_again(ctx: Context, clock: Clock, tmp_path: Path) -> None:
    say(ctx, "p1", "hello")
    now = clock()
    with ctx.database.transaction() as tx:
        for state in ("queued", "sending", "awaiting_approval", "sent", "draft"):
            tx.session.add(
                Reply(
                    conversation_id=1,
                    mention_id=1,
                    draft_key=state,
                    text=state,
                    state=state,
                    conversation_version=1,
                    created_at=now,
                    changed_at=now,
                    queued_at=now,
                )
            )
    backup.make(ctx, tmp_path / "copy.tar.gz")
    backup.restore(ctx, tmp_path / "copy.tar.gz")
    states = {r.text: r.state for r in records.replies(ctx, SYSTEM).items}
    assert states == {
        "queued": "unknown",
        "sending": "unknown",
        "awaiting_approval": "draft",
        "sent": "sent",
        "draft": "draft",
    }


def test_nobody_stays_signed_in_through_a_restore(ctx: Context, tmp_path: Path) -> None:
    link = accounts.first_link(ctx)
    assert link is not None
    session = accounts.redeem(ctx, link, "ada", "Ada", PASSWORD)
    recovery = accounts.recovery_link(ctx, "ada")
    backup.make(ctx, tmp_path / "copy.tar.gz")
    backup.restore(ctx, tmp_path / "copy.tar.gz")
    assert accounts.actor_of(ctx, session) is None
    assert accounts.link_info(ctx, recovery) is None
    assert accounts.sign_in(ctx, "ada", PASSWORD, "")


def test_beside_a_running_worker_or_web_nothing_is_restored(ctx: Context, clock: Clock, tmp_path: Path) -> None:
    backup.make(ctx, tmp_path / "copy.tar.gz")
    say(ctx, "p1", "kept")
    with ctx.database.transaction() as tx:
        workers.beat(tx, "w1", clock(), clock(), "1")
    with pytest.raises(BackupError, match="worker is running"):
        backup.restore(ctx, tmp_path / "copy.tar.gz")
    clock.forward(minutes=2)
    with backup.in_use(ctx.data_dir), pytest.raises(BackupError, match="Stop it first"):
        backup.restore(ctx, tmp_path / "copy.tar.gz")
    assert texts(ctx) == ["kept"]
    backup.restore(ctx, tmp_path / "copy.tar.gz")
    assert texts(ctx) == []


def test_nothing_starts_while_a_restore_runs(tmp_path: Path) -> None:
    with (
        backup.in_use(tmp_path, alone=True),
        pytest.raises(BackupError, match="restore is running"),
        backup.in_use(tmp_path),
    ):
        pytest.fail("it started")


def _empty(file: Path) -> None:
    file.write_bytes(b"")


def _text(file: Path) -> None:
    file.write_text("hello")


def _archive(*members: tuple[str, bytes]) -> Callable[[Path], None]:
    def write(file: Path) -> None:
        with tarfile.open(file, "w:gz") as tar:
            for name, content in members:
                path = file.with_suffix(".part")
                path.write_bytes(content)
                tar.add(path, name)

    return write


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@pytest.mark.parametrize(
    "spoil",
    [
        _empty,
        _text,
        _cut,
        _archive(),
        _archive(("samtal.db", b"no database")),
        _archive(("samtal.db", b"")),
        _archive(("../outside", b"x")),
        _archive(("/etc/outside", b"x")),
        _archive(("secret.key", b"x")),
    ],
)
def test_a_file_that_is_no_backup_changes_nothing(ctx: Context, tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    say(ctx, "p1", "kept")
    file = tmp_path / "copy.tar.gz"
    backup.make(ctx, file)
    spoil(file)
    with pytest.raises(BackupError, match="Nothing was restored"):
        backup.restore(ctx, file)
    assert texts(ctx) == ["kept"]
    assert not (tmp_path.parent / "outside").exists()
    assert not list(ctx.data_dir.glob(".restore-*"))


def test_a_missing_file_and_a_taken_name_are_told(ctx: Context, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match=r"Nothing was restored: there is no file .*missing\.tar\.gz"):
        backup.restore(ctx, tmp_path / "missing.tar.gz")
    (tmp_path / "taken").touch()
    with pytest.raises(BackupError, match="exists already"):
        backup.make(ctx, tmp_path / "taken")


def test_a_backup_of_another_key_is_refused(ctx: Context, tmp_path: Path) -> None:
    from dialogue.secrets import SecretBox, accept

    accept(ctx.database, SecretBox("x" * 40))
    backup.make(ctx, tmp_path / "copy.tar.gz")
    with pytest.raises(BackupError, match="another secret key"):
        backup.restore(ctx, tmp_path / "copy.tar.gz")


def test_a_damaged_database_can_be_restored_over(ctx: Context, tmp_path: Path) -> None:
    say(ctx, "p1", "before")
    backup.make(ctx, tmp_path / "copy.tar.gz")
    ctx.database.dispose()
    path = Path(ctx.database.url.removeprefix("sqlite:///"))
    path.write_bytes(b"x" * 10_000)
    with pytest.raises(BackupError, match="not made"):
        backup.make(ctx, tmp_path / "second.tar.gz")
    backup.restore(ctx, tmp_path / "copy.tar.gz")
    assert texts(ctx) == ["before"]
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_server_database_is_not_copied_here(postgres_url: str, tmp_path: Path, ctx: Context) -> None:
    database = Database(postgres_url)
    with pytest.raises(BackupError, match="pg_dump"):
        backup.make(Context(database, tmp_path, ctx.secrets), tmp_path / "copy.tar.gz")
    database.dispose()


def test_the_clock_of_the_restore_is_in_the_name(ctx: Context, clock: Clock, tmp_path: Path) -> None:
    backup.make(ctx, tmp_path / "copy.tar.gz")
    clock.now += timedelta(days=1)
    done = backup.restore(ctx, tmp_path / "copy.tar.gz")
    assert done.kept_aside == ctx.data_dir / "before-restore-20261121-120000"
