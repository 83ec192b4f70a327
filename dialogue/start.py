"""Opens what every rule needs, from the settings: the database, the secret key, the triggers."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Protocol

from pydantic import SecretStr

from db.engine import Database, DatabaseError
from db.migrate import migrate
from dialogue import secrets, topics
from dialogue.context import Context, DialogueError, NoTriggers, Triggers

VERSION = "0.1.0"


class Configuration(Protocol):
    """The part of the settings that this room needs; `settings.Settings` has it."""

    @property
    def data_dir(self) -> Path: ...
    @property
    def database(self) -> str: ...
    @property
    def secret_key(self) -> SecretStr | None: ...
    @property
    def old_secret_key(self) -> SecretStr | None: ...
    @property
    def allow_private_hosts(self) -> bool: ...
    @property
    def public_url(self) -> str | None: ...


class StartError(DialogueError):
    """Samtal cannot start; the message is one line that says why and what to do."""


def context(configuration: Configuration, *, triggers: bool = True) -> Context:
    """The world as these settings describe it. Changes nothing in the database; see `prepare`.

    Without `triggers` nothing wakes the worker: for commands beside a running server, whose sweep finds the work.
    Raises StartError.
    """
    data_dir = _writable(configuration.data_dir)
    key, old = _told(configuration.secret_key), _told(configuration.old_secret_key)
    try:
        database = Database(configuration.database)
        box = secrets.open_box(key, data_dir, embedded=database.on_sqlite, old_secret_key=old)
    except (DatabaseError, secrets.SecretsError) as error:
        raise StartError(str(error)) from error
    return Context(
        database=database,
        data_dir=data_dir,
        secrets=box,
        triggers=_triggers(configuration, data_dir) if triggers else NoTriggers(),
        allow_private_hosts=configuration.allow_private_hosts,
        public_url=configuration.public_url,
    )


def _told(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None


def prepare(ctx: Context) -> None:
    """Brings the database up to date and checks that the secret key is the one it was made with. Raises StartError."""
    try:
        migrate(ctx.database)
        if isinstance(ctx.secrets, secrets.SecretBox):
            secrets.check(ctx.database, ctx.secrets)
        topics.ensure_defaults(ctx)
    except (DatabaseError, DialogueError) as error:
        raise StartError(str(error)) from error


def _writable(data_dir: Path) -> Path:
    data_dir = data_dir.expanduser().absolute()
    probe = data_dir / ".writable"
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink(missing_ok=True)
    except OSError as error:
        if os.path.isdir(data_dir):
            what = f"DATA_DIR {data_dir} cannot be written: {error.strerror}"
        else:
            there = next(folder for folder in data_dir.parents if os.path.lexists(folder))
            what = f"DATA_DIR {data_dir} cannot be reached or made in {there}: {error.strerror}"
        raise StartError(f"{what}. Choose another folder with DATA_DIR=…, or change its owner.") from error
    return data_dir


def _triggers(configuration: Configuration, data_dir: Path) -> Triggers:
    from dialogue import queue  # commands that wake nobody need not load it

    return queue.HueyTriggers(queue.make_huey(configuration.database, data_dir))


def main(arguments: list[str]) -> None:
    """`python -m dialogue.start accept-new-key`: goes on with another secret key when the old one is lost for good."""
    import settings as configuration

    if arguments != ["accept-new-key"]:
        sys.exit("usage: python -m dialogue.start accept-new-key")
    try:
        ctx = context(configuration.load(), triggers=False)
        migrate(ctx.database)
    except (configuration.SettingsError, DatabaseError, StartError) as error:
        sys.exit(f"samtal: {error}")
    if isinstance(ctx.secrets, secrets.SecretBox):
        secrets.accept(ctx.database, ctx.secrets)
    print("From now on this database goes with the present secret key. Enter the platforms' accounts again.")


if __name__ == "__main__":
    main(sys.argv[1:])
