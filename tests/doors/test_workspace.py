"""The rules of the company, and the trail of who changed them."""

from __future__ import annotations

from typing import Any

import pytest
from sqlmodel import select

from db.tables import WorkerRequest
from dialogue import audit, workspace
from dialogue.context import SYSTEM, Actor, Context, DialogueError, NotAllowed, Role
from tests.conftest import RecordedTriggers


def test_the_rules_have_defaults_and_can_be_changed(any_ctx: Context) -> None:
    before = workspace.get(any_ctx)
    assert (before.time_zone, before.approval) == ("UTC", "never")
    after = workspace.change(any_ctx, SYSTEM, name="  Hlynur  and sons ", approval="always", retention_days=365)
    assert (after.name, after.approval, after.retention_days) == ("Hlynur and sons", "always", 365)
    assert after.data_version == before.data_version + 1
    (entry,) = audit.entries(any_ctx, SYSTEM)
    assert entry.detail_words == "name: Hlynur and sons, approval: always, retention days: 365"


def test_what_does_not_change_is_no_write(ctx: Context) -> None:
    before = workspace.change(ctx, SYSTEM, name="Hlynur")
    assert workspace.change(ctx, SYSTEM, name="Hlynur").data_version == before.data_version
    assert len(audit.entries(ctx, SYSTEM)) == 1


def test_another_time_zone_counts_the_days_anew(ctx: Context, triggers: RecordedTriggers) -> None:
    workspace.change(ctx, SYSTEM, time_zone="Atlantic/Reykjavik")
    with ctx.database.reading() as tx:
        request = tx.session.exec(select(WorkerRequest.id, WorkerRequest.kind, WorkerRequest.state)).one()
    assert request == (request[0], "rebuild_rollups", "waiting")
    assert triggers.served == [request[0]]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "x" * 101),
        ("time_zone", "Mars/Olympus"),
        ("time_zone", "../../etc/passwd"),
        ("approval", "sometimes"),
        ("undo_seconds", -1),
        ("undo_seconds", True),
        ("answer_within_minutes", "soon"),
        ("retention_days", 0),
        ("id", 2),
        ("key_check", "x"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(ctx: Context, field: str, value: Any) -> None:
    with pytest.raises(DialogueError):
        workspace.change(ctx, SYSTEM, **{field: value})
    assert audit.entries(ctx, SYSTEM) == []


def test_only_an_administrator_changes_the_rules(ctx: Context) -> None:
    with pytest.raises(NotAllowed):
        workspace.change(ctx, Actor(1, "Bo", Role.APPROVER), name="Bo's")


def test_the_trail_keeps_hostile_detail_bounded(any_ctx: Context) -> None:
    with any_ctx.database.transaction() as tx:
        audit.record(tx, any_ctx, SYSTEM, "did", "thing", 7, text="\x00\ud800" + "x" * 100_000, ids=[1, 2])
    (entry,) = audit.entries(any_ctx, SYSTEM)
    assert entry.subject == "thing 7"
    assert len(entry.detail_words) < 600
    assert entry.detail_words.endswith("ids: 1, 2")
