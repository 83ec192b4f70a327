"""The rules of this company: its name, its time zone, when a reply needs approval."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from db import workspace as rows
from dialogue import audit
from dialogue.context import Actor, Context, DialogueError, Role, require

APPROVAL = ("never", "always")
"""When what a responder writes needs an approver."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """The rules. `data_version` grows with every write that a page could show: a cache's key."""

    name: str
    time_zone: str
    approval: str
    undo_seconds: int
    answer_within_minutes: int
    retention_days: int | None
    data_version: int
    sample_loaded_at: datetime | None

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)


def get(ctx: Context) -> Workspace:
    """The rules as they are now."""
    with ctx.database.reading() as tx:
        row = rows.read(tx)
    return Workspace(
        row.name,
        row.time_zone,
        row.approval,
        row.undo_seconds,
        row.answer_within_minutes,
        row.retention_days,
        row.data_version,
        row.sample_loaded_at,
    )


def change(ctx: Context, actor: Actor, **fields: Any) -> Workspace:
    """Changes the named rules. Raises DialogueError, naming the field, when a value cannot be.

    Days are counted in the workspace's zone, so a change of `time_zone` asks the worker to count them anew.
    """
    require(actor, Role.ADMIN)
    checked = {name: _checked(name, value) for name, value in fields.items()}
    request_id = None
    with ctx.database.transaction() as tx:
        before = rows.read(tx)
        changed = {name: value for name, value in checked.items() if getattr(before, name) != value}
        if changed:
            rows.write(tx, **changed)
            audit.record(tx, ctx, actor, "changed", "workspace", **changed)
        if "time_zone" in changed:
            request_id = rows.request_rebuild(tx, actor.user_id, ctx.clock())
    if request_id is not None:
        ctx.triggers.serve(request_id)
    return get(ctx)


def _checked(name: str, value: Any) -> Any:
    check = _CHECKS.get(name)
    if check is None:
        raise DialogueError(f"There is no rule called '{name}'.")
    return check(value)


def _name(value: Any) -> str:
    text = " ".join(str(value).split())
    if not 1 <= len(text) <= 100 or not text.isprintable():
        raise DialogueError("The company's name has 1 to 100 characters.")
    return text


def _time_zone(value: Any) -> str:
    if value not in available_timezones():
        raise DialogueError(f"'{str(value)[:50]}' is no time zone. Use a name such as Atlantic/Reykjavik.")
    return str(value)


def _approval(value: Any) -> str:
    if value not in APPROVAL:
        raise DialogueError(f"Approval is one of {', '.join(APPROVAL)}.")
    return str(value)


def _number(label: str, lowest: int, highest: int) -> Any:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
            raise DialogueError(f"{label} is a whole number from {lowest} to {highest}.")
        return value

    return check


def _retention(value: Any) -> int | None:
    return None if value is None else int(_number("Retention in days", 1, 36_500)(value))


_CHECKS: dict[str, Any] = {
    "name": _name,
    "time_zone": _time_zone,
    "approval": _approval,
    "undo_seconds": _number("The time to undo a send, in seconds,", 0, 60),
    "answer_within_minutes": _number("The time to answer, in minutes,", 1, 60 * 24 * 30),
    "retention_days": _retention,
}
