"""The audit trail: every write that a person makes leaves a row, in the transaction that makes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from db import accounts
from db import audit as rows
from db.engine import Transaction
from dialogue.context import Actor, Context, Role, require

MAX_DETAIL = 500
"""Characters of one detail that are kept: a trail, not a second copy of what was written."""


_NAMES = ("label", "title", "name", "username")
"""The details that name what was done to."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One thing that somebody did. `detail_words` is plain text such as 'role: viewer'.

    `subject` has the id, `subject_named` the name in its place where the trail or the colleague's row knows one.
    """

    id: int
    at: datetime
    who: str
    action: str
    subject: str
    detail_words: str
    subject_named: str


def record(
    tx: Transaction, ctx: Context, actor: Actor, action: str, subject: str, subject_id: object = "", **detail: Any
) -> None:
    """Adds a row to the trail in the caller's transaction.

    `action` is a verb in the past ('closed'), `subject` what it was done to ('conversation'), `detail` what a reader
    of the trail would ask next. Values other than numbers, booleans and None are kept as bounded text.
    """
    kept = {key: _keep(value) for key, value in detail.items()}
    rows.add(tx, ctx.clock(), actor.user_id, action, subject, str(subject_id), kept)


def entries(ctx: Context, actor: Actor, before_id: int | None = None, limit: int = 50) -> list[AuditEntry]:
    """The trail, newest first; `before_id` is the last entry's id of the page before."""
    require(actor, Role.ADMIN)
    with ctx.database.reading() as tx:
        tail = rows.tail(tx, before_id, max(1, min(limit, 500)))
        colleagues = {row.subject_id for row in tail if row.subject == "user" and row.subject_id.isdecimal()}
        found = {key: accounts.user(tx, int(key)) for key in colleagues}
        names = {key: user.display_name for key, user in found.items() if user is not None}
    return [
        AuditEntry(
            row.id, row.at, row.who or "Samtal", row.action, _subject(row), _words(row.detail), _named(row, names)
        )
        for row in tail
    ]


def _keep(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Mapping):
        value = _words(value)
    elif isinstance(value, list | tuple | set | frozenset):
        value = ", ".join(map(str, value))
    return str(value).replace("\x00", "").encode("utf-8", "replace").decode("utf-8")[:MAX_DETAIL]


def _subject(row: rows.AuditRow) -> str:
    return f"{row.subject} {row.subject_id}".strip()


def _named(row: rows.AuditRow, colleagues: Mapping[str, str]) -> str:
    name = colleagues.get(row.subject_id) if row.subject == "user" else None
    name = name or next((str(row.detail[key]) for key in _NAMES if row.subject_id and row.detail.get(key)), None)
    return f"{row.subject} “{name}”" if name else _subject(row)


def _words(detail: Mapping[str, Any]) -> str:
    return ", ".join(f"{key.replace('_', ' ')}: {value}" for key, value in detail.items())
