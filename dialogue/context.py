"""What every rule of the conversation is given: the database, the secrets, the triggers, the clock, and who acts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from pathlib import Path
from typing import Protocol

from db.engine import Database

UNDO_FOR = timedelta(hours=1)
"""How long an action on many can be taken back."""


class Role(IntEnum):
    """What a colleague may do; each role may do all that the ones before it may."""

    VIEWER = 1
    """Reads every page."""
    PRODUCT = 2
    """Keeps the feedback board, corrects tags."""
    RESPONDER = 3
    """Answers, closes, assigns."""
    APPROVER = 4
    """Approves what others wrote."""
    ADMIN = 5
    """Sources, accounts, people and roles, settings."""

    @property
    def label(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts. `SYSTEM` is the worker itself."""

    user_id: int | None
    name: str
    role: Role


SYSTEM = Actor(None, "Samtal", Role.ADMIN)


class DialogueError(Exception):
    """Something a person asked for cannot be done. The message says what was wrong and what to do next."""


class NotAllowed(DialogueError):
    """The actor's role does not allow it."""


class Stale(DialogueError):
    """What the person saw has changed since; nothing was done."""


class Missing(DialogueError):
    """It is not there, or not any more."""


class Secrets(Protocol):
    """Encrypts what must be read again, and hashes what must not."""

    def encrypt(self, values: dict[str, str]) -> bytes: ...
    def decrypt(self, sealed: bytes) -> dict[str, str]: ...
    def digest(self, text: str) -> str:
        """HMAC-SHA-256 under the secret key, hex: for tombstones and reply keys."""


class Triggers(Protocol):
    """Wakes the worker. The truth is in the database: a trigger that is lost or doubled does no harm."""

    def collect(self, source_id: int) -> None: ...
    def understand(self) -> None: ...
    def deliver(self, reply_id: int, at: datetime | None = None) -> None: ...
    def serve(self, request_id: int) -> None: ...


class NoTriggers:
    """For commands and tests that run without a worker: the sweep picks everything up."""

    def collect(self, source_id: int) -> None:
        """Nothing: the sweep will."""

    def understand(self) -> None:
        """Nothing: the sweep will."""

    def deliver(self, reply_id: int, at: datetime | None = None) -> None:
        """Nothing: the sweep will."""

    def serve(self, request_id: int) -> None:
        """Nothing: the sweep will."""


@dataclass(frozen=True, slots=True)
class Context:
    """Everything that a rule needs of the world."""

    database: Database
    data_dir: Path
    secrets: Secrets
    triggers: Triggers = field(default_factory=NoTriggers)
    allow_private_hosts: bool = False
    public_url: str | None = None
    """The address that people open where a proxy stands in front, without a path."""
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)


def require(actor: Actor, role: Role) -> None:
    """Raises NotAllowed unless `actor` has `role` or more."""
    if actor.role < role:
        raise NotAllowed(f"This needs the role '{role.label}'; yours is '{actor.role.label}'. Ask an administrator.")
