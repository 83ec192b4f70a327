"""Backup and restore of the embedded database.

    python -m dialogue.backup make [FILE]      a copy, while Samtal runs
    python -m dialogue.backup restore FILE     puts a copy back; Samtal must be stopped

The copy holds the database and the uploaded files. The secret key is not in it, so that whoever finds the copy cannot
read the platforms' credentials: keep DATA_DIR/secret.key somewhere else. On PostgreSQL use its own pg_dump.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from db import backup as rows
from db import workers
from dialogue.context import Context, DialogueError
from dialogue.health import SILENT_AFTER

DATABASE = "samtal.db"
UPLOADS = "uploads"
IN_USE = "in-use.lock"
"""Held shared by everything that uses DATA_DIR, and alone by a restore."""


class BackupError(DialogueError):
    """The copy could not be made or put back; the message says why, and what was left as it was."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put back, and where the former database is now; None when there was none."""

    mentions: int
    kept_aside: Path | None


@contextmanager
def in_use(data_dir: Path, *, alone: bool = False) -> Iterator[None]:
    """Says that DATA_DIR is in use until the block ends. Raises BackupError when `alone` and somebody else uses it."""
    handle = os.open(data_dir / IN_USE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise BackupError(
            "Samtal is running. Stop it first, then restore." if alone else "A restore is running. Wait for its end."
        ) from None
    try:
        yield
    finally:
        os.close(handle)


def make(ctx: Context, file: Path) -> int:
    """Writes a copy to `file`, which must not exist; returns its size in bytes. Raises BackupError."""
    source = _embedded(ctx)
    if file.exists():
        raise BackupError(f"{file} exists already. Choose another name.")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent, prefix=".samtal-") as folder:
            copied = Path(folder) / DATABASE
            rows.copy(source, copied)
            rows.examine(copied)
            archive = Path(folder) / "archive"
            with tarfile.open(archive, "w:gz", compresslevel=5) as tar:
                tar.add(copied, DATABASE)
                if (ctx.data_dir / UPLOADS).is_dir():
                    tar.add(ctx.data_dir / UPLOADS, UPLOADS)
            archive.chmod(0o600)
            with archive.open("rb") as written:
                os.fsync(written.fileno())
            os.replace(archive, file)
    except (rows.DamagedError, OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise BackupError(f"The backup was not made: {error}") from error
    return file.stat().st_size


def restore(ctx: Context, file: Path) -> Restored:
    """Puts the copy in `file` back and keeps what was there aside. Raises BackupError, having changed nothing."""
    _refuse_missing(file)
    current = _embedded(ctx)
    with (
        in_use(ctx.data_dir, alone=True),
        tempfile.TemporaryDirectory(dir=current.parent, prefix=".restore-") as folder,
    ):
        _refuse_beside_a_worker(ctx, current)
        fresh = Path(folder)
        try:
            _unpack(file, fresh)
            sound = rows.examine(fresh / DATABASE)
            _check_key(ctx, sound)
            rows.make_fit(fresh / DATABASE, ctx.clock())
        except (rows.DamagedError, OSError, EOFError, zlib.error, tarfile.TarError) as error:
            raise BackupError(f"Nothing was restored: {error}") from error
        ctx.database.dispose()
        kept = _put_aside(ctx, current)
        os.replace(fresh / DATABASE, current)
        if (fresh / UPLOADS).is_dir():
            shutil.move(fresh / UPLOADS, ctx.data_dir / UPLOADS)
    return Restored(sound.mentions, kept)


def _refuse_missing(file: Path) -> None:
    if not file.is_file():
        raise BackupError(f"Nothing was restored: there is no file {file}.")


def _embedded(ctx: Context) -> Path:
    if not ctx.database.on_sqlite:
        raise BackupError("This database is a PostgreSQL server's: use pg_dump and pg_restore.")
    return Path(ctx.database.url.removeprefix("sqlite:///"))


def _refuse_beside_a_worker(ctx: Context, current: Path) -> None:
    if not current.exists():
        return
    try:
        rows.examine(current)
    except rows.DamagedError:
        return  # a damaged database is what one restores over; nobody can be working on it
    with ctx.database.reading() as tx:
        beat = workers.latest(tx)
    if beat is not None and ctx.clock() - beat.beat_at < SILENT_AFTER:
        raise BackupError("A worker is running. Stop it first; if it was killed, wait a minute.")


def _unpack(file: Path, folder: Path) -> None:
    with tarfile.open(file, "r:gz") as tar:
        for member in tar:
            known = member.name == DATABASE or member.name == UPLOADS or member.name.startswith(f"{UPLOADS}/")
            if not known or not (member.isfile() or member.isdir()):
                raise BackupError(f"Nothing was restored: {file} holds '{member.name}', which no backup of Samtal has.")
            tar.extract(member, folder, filter="data")
    if not (folder / DATABASE).is_file():
        raise BackupError(f"Nothing was restored: there is no database in {file}.")


def _check_key(ctx: Context, sound: rows.Sound) -> None:
    if sound.key_check and sound.key_check != ctx.secrets.digest("samtal key check"):
        raise BackupError(
            "Nothing was restored: this backup was made with another secret key. Put that SECRET_KEY or "
            f"{ctx.data_dir / 'secret.key'} back first."
        )


def _put_aside(ctx: Context, current: Path) -> Path | None:
    if not current.exists():
        return None
    aside = ctx.data_dir / f"before-restore-{ctx.clock():%Y%m%d-%H%M%S}"
    aside.mkdir()
    # The journal first: without its database it is nothing, while a database without its journal misses writes.
    for name in (f"{current.name}-wal", f"{current.name}-shm", current.name):
        if (current.parent / name).exists():
            os.replace(current.parent / name, aside / name)
    if (ctx.data_dir / UPLOADS).is_dir():
        shutil.move(ctx.data_dir / UPLOADS, aside / UPLOADS)
    return aside


def main(arguments: list[str]) -> None:
    """The command line."""
    import settings as configuration
    from dialogue import start

    if not arguments or arguments[0] not in {"make", "restore"} or len(arguments) > 2:
        sys.exit(__doc__)
    try:
        if arguments[0] == "restore" and len(arguments) == 2:
            _refuse_missing(Path(arguments[1]))  # before a mistyped name makes a folder and a key
        ctx = start.context(configuration.load(), triggers=False)
        if arguments[0] == "make":
            default = f"samtal-{datetime.now(UTC):%Y%m%d-%H%M%S}.tar.gz"
            file = Path(arguments[1] if len(arguments) == 2 else default)
            size = make(ctx, file)
            print(f"{file}: {size / 1e6:.1f} MB. The secret key is not in it: keep DATA_DIR/secret.key elsewhere.")
        elif len(arguments) == 2:
            done = restore(ctx, Path(arguments[1]))
            aside = f" The former database is in {done.kept_aside}." if done.kept_aside else ""
            print(f"Restored {done.mentions} mentions.{aside} Everybody signs in again.")
        else:
            sys.exit("usage: python -m dialogue.backup restore FILE")
    except (configuration.SettingsError, DialogueError) as error:
        sys.exit(f"samtal: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
