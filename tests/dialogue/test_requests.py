"""What people wait for: answered once, with progress, cancelled when asked, told when it fails."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest

from db import requests as rows
from dialogue import collecting, requests
from dialogue.context import Actor, Context, Missing, NotAllowed, Role
from dialogue.requests import Progress
from listeners import http
from listeners.base import Options, Terminal
from tests.conftest import Clock, as_role

steps: list[str] = []


def count_up(ctx: Context, payload: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """A handler that counts to payload["to"] and then does as payload["then"] says."""
    for number in range(1, payload["to"] + 1):
        steps.append(str(number))
        progress(number, payload["to"], f"counted to {number}")
    return {"counted": payload["to"], "words": "Counted."}


def fail(ctx: Context, payload: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """A handler that fails in the way it is told to."""
    raise {"terminal": Terminal("No such thing.", "Choose another."), "bug": KeyError("x")}[payload["how"]]


@pytest.fixture(autouse=True)
def _handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    steps.clear()
    monkeypatch.setattr(requests, "SECONDS_BETWEEN_WRITES", 0.0)
    monkeypatch.setattr(requests, "_HANDLERS", dict(requests._HANDLERS))
    requests.register("count", f"{__name__}:count_up")
    requests.register("fail", f"{__name__}:fail")


def _ask(ctx: Context, kind: str, user_id: int | None = None, **payload: Any) -> int:
    with ctx.database.transaction() as tx:
        return rows.add(tx, kind, payload, user_id, ctx.clock())


def test_a_request_is_served_once(any_ctx: Context) -> None:
    request_id = _ask(any_ctx, "count", to=3)
    assert requests.get(any_ctx, request_id).state == "waiting"
    assert requests.due(any_ctx) == [request_id]
    requests.serve(any_ctx, request_id)
    requests.serve(any_ctx, request_id)
    assert steps == ["1", "2", "3"]
    view = requests.get(any_ctx, request_id)
    assert (view.state, view.words, view.result, view.done, view.total) == ("done", "Counted.", {"counted": 3}, 3, 3)
    assert requests.due(any_ctx) == []


def test_one_that_outlasts_its_lease_is_not_begun_again_beside_itself(
    any_ctx: Context, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def outlast(ctx: Context, _: dict[str, Any], progress: Progress) -> dict[str, Any]:
        steps.append("begun")
        clock.forward(seconds=requests.LEASE.total_seconds() + 1)
        requests.serve(ctx, progress.request_id)  # as the sweep does, which finds it free
        return {}

    monkeypatch.setattr(requests, "_handler", lambda _: outlast)
    request_id = _ask(any_ctx, "outlast")
    requests.serve(any_ctx, request_id)
    assert steps == ["begun"]
    assert requests.get(any_ctx, request_id).state == "done"


@pytest.mark.parametrize("lease", [requests.LEASE, collecting.LEASE])
def test_a_lease_is_longer_than_one_answer_may_take(lease: timedelta) -> None:
    assert lease.total_seconds() > http.MAX_TIMES_TIMEOUT * Options().timeout


def test_one_that_a_worker_holds_is_left_alone_until_its_lease_runs_out(ctx: Context, clock: Clock) -> None:
    request_id = _ask(ctx, "count", to=1)
    with ctx.database.transaction() as tx:
        rows.claim(tx, request_id, clock(), timedelta(minutes=1))
    requests.serve(ctx, request_id)
    assert steps == []
    clock.forward(minutes=2)
    requests.serve(ctx, request_id)
    assert requests.get(ctx, request_id).state == "done"


def test_cancelling_stops_it_at_its_next_step(ctx: Context, colleague: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    request_id = _ask(ctx, "count", to=100)
    counted = Progress.__call__

    def cancelled_at_three(self: Progress, done: int, total: int | None = None, words: str = "") -> None:
        if done == 3:
            requests.cancel(ctx, colleague, request_id)
        counted(self, done, total, words)

    monkeypatch.setattr(Progress, "__call__", cancelled_at_three)
    requests.serve(ctx, request_id)
    assert steps == ["1", "2", "3"]
    assert requests.get(ctx, request_id).state == "cancelled"


def test_only_ones_own_may_be_cancelled_but_by_an_administrator(ctx: Context, colleague: Actor) -> None:
    request_id = _ask(ctx, "count", to=1)
    with pytest.raises(NotAllowed):
        requests.cancel(ctx, as_role(colleague, Role.APPROVER), request_id)
    own = _ask(ctx, "count", colleague.user_id, to=1)
    requests.cancel(ctx, as_role(colleague, Role.VIEWER), own)
    assert [view.id for view in requests.active(ctx, colleague)] == [request_id]


def test_a_failure_is_told_in_words(ctx: Context, caplog: pytest.LogCaptureFixture) -> None:
    told, unforeseen, unknown = _ask(ctx, "fail", how="terminal"), _ask(ctx, "fail", how="bug"), _ask(ctx, "dance")
    with caplog.at_level(logging.ERROR):
        for request_id in (told, unforeseen, unknown):
            requests.serve(ctx, request_id)
    view = requests.get(ctx, told)
    assert (view.state, view.error, view.what_to_do) == ("failed", "No such thing.", "Choose another.")
    assert "KeyError" in requests.get(ctx, unforeseen).error
    assert "KeyError" in caplog.text
    assert "dance" in requests.get(ctx, unknown).error


def test_one_that_kills_its_workers_is_given_up(ctx: Context, clock: Clock) -> None:
    request_id = _ask(ctx, "count", to=1)
    for _ in range(requests.TAKES):
        with ctx.database.transaction() as tx:
            assert rows.claim(tx, request_id, clock(), timedelta(minutes=1)) is not None
        clock.forward(minutes=2)
    requests.serve(ctx, request_id)
    assert requests.get(ctx, request_id).state == "failed"
    assert steps == []


def test_one_that_is_gone_is_missing(ctx: Context) -> None:
    with pytest.raises(Missing):
        requests.get(ctx, 4711)
