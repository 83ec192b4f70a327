"""Changes the secret key: everything that is kept encrypted is sealed again with a new one.

    python -m dialogue.rotating            brings the new key in
    python -m dialogue.rotating new-key    prints one for SECRET_KEY, to take the place of the present one

Where the key lies in DATA_DIR/secret.key the first is all; Samtal must be stopped. Where it is SECRET_KEY, print a new
one, start every process anew with it and with the former one as OLD_SECRET_KEY, and then bring it in.

It may be cut off at any moment and started again. The new key is on the disk before anything is sealed with it, all is
sealed in one transaction, and the old key goes after that; until then what either has sealed can be opened.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from db import sealed, workers
from dialogue import audit, backup, secrets
from dialogue.context import SYSTEM, Context
from dialogue.health import SILENT_AFTER
from dialogue.secrets import SecretBox, SecretsError


@dataclass(frozen=True, slots=True)
class Rotated:
    """How many values were sealed again, and how many no key at hand opens: those were left as they are."""

    changed: int
    unreadable: int

    @property
    def words(self) -> str:
        told = f"{self.changed} secret{'' if self.changed == 1 else 's'} sealed with the new key."
        if self.unreadable:
            told += f" {self.unreadable} could not be opened with either key; enter those accounts again."
        return told


def rotate_kept(ctx: Context) -> Rotated:
    """Gives the database a new DATA_DIR/secret.key. Raises SecretsError while Samtal runs: it holds the old one."""
    try:
        with backup.in_use(ctx.data_dir, alone=True):
            _refuse_beside_a_worker(ctx)
            return _rotate_kept(ctx)
    except backup.BackupError:
        raise SecretsError("Samtal is running. Stop it first, then change the key.") from None


def _rotate_kept(ctx: Context) -> Rotated:
    present, coming = ctx.data_dir / secrets.KEY_FILE, ctx.data_dir / secrets.NEXT_KEY_FILE
    old = secrets.kept_key(present)
    new = secrets.kept_key(coming, secrets.next_key(old))  # one that a rotation before has left goes on
    done = reseal(ctx, SecretBox(new, [old]))
    _put_in_place(coming, present)
    return done


def _put_in_place(coming: Path, present: Path) -> None:
    os.replace(coming, present)
    secrets.settle(present.parent)


def reseal(ctx: Context, box: SecretBox) -> Rotated:
    """Seals everything with the key of `box`, in one transaction. Raises SecretsError for a key of another database."""
    secrets.check(ctx.database, box)
    unreadable = 0

    def anew(value: bytes) -> bytes | None:
        nonlocal unreadable
        try:
            return box.resealed(value)
        except SecretsError:
            unreadable += 1
            return None

    with ctx.database.transaction() as tx:
        changed = sealed.reseal(tx, anew)
        audit.record(tx, ctx, SYSTEM, "changed the secret key", "workspace", secrets=changed)
    return Rotated(changed, unreadable)


def _refuse_beside_a_worker(ctx: Context) -> None:
    with ctx.database.reading() as tx:
        beat = workers.latest(tx)
    if beat is not None and ctx.clock() - beat.beat_at < SILENT_AFTER:
        raise SecretsError("A worker is running. Stop it first; if it was killed, wait a minute.")


def main(arguments: list[str]) -> None:
    """The command line."""
    import settings as configuration
    from dialogue import start
    from dialogue.context import DialogueError

    if arguments not in ([], ["new-key"]):
        sys.exit(__doc__)
    try:
        settings = configuration.load()
        ctx = start.context(settings, triggers=False)
        key = settings.secret_key.get_secret_value() if settings.secret_key else None
        if arguments:
            print(_printed(key))
            return
        start.prepare(ctx)
        if key is None:
            print(rotate_kept(ctx).words, "Keep a copy of the new DATA_DIR/secret.key elsewhere.")
        else:
            print(_rotate_set(ctx, settings.old_secret_key is not None), "OLD_SECRET_KEY is not needed any more.")
    except (configuration.SettingsError, DialogueError) as error:
        sys.exit(f"samtal: {error}")


def _printed(key: str | None) -> str:
    if key is None:
        raise SecretsError("No SECRET_KEY is set: `python -m dialogue.rotating` makes the new key itself.")
    return secrets.next_key(key)


def _rotate_set(ctx: Context, old_known: bool) -> str:
    if not old_known or not isinstance(ctx.secrets, SecretBox):
        raise SecretsError(
            "Set SECRET_KEY to what `python -m dialogue.rotating new-key` prints and OLD_SECRET_KEY to the former key."
        )
    return reseal(ctx, ctx.secrets).words


if __name__ == "__main__":
    main(sys.argv[1:])
