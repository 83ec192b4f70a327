"""What was deleted at its source goes from here, and stays gone."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dialogue import housekeeping, privacy, sources, workspace
from dialogue.collecting import collect
from dialogue.context import SYSTEM, Context
from dialogue.privacy import recheck
from tests.conftest import Clock
from tests.fake_platform import FakePlatform, installed
from tests.worlds import add_source, look, post, said, store, tag


@pytest.fixture
def forum(monkeypatch: pytest.MonkeyPatch) -> FakePlatform:
    return installed(monkeypatch)


@pytest.fixture
def source_id(any_ctx: Context, forum: FakePlatform) -> int:
    """A source that has read three posts and is re-checked in an hour."""
    now = any_ctx.clock()
    source_id = add_source(any_ctx, query="hinge", next_run_at=now, recheck_at=now + timedelta(hours=1))
    forum.posts(3)
    collect(any_ctx, source_id)
    tag(any_ctx, said("negative"))
    return source_id


def _left(ctx: Context) -> list[str]:
    return [row[0] for row in look(ctx, "SELECT external_id FROM mentions ORDER BY id")]


def test_what_is_gone_there_is_gone_here_after_one_interval(
    any_ctx: Context, source_id: int, forum: FakePlatform, clock: Clock
) -> None:
    forum.deletes("p2")
    assert privacy.due(any_ctx) == []
    clock.forward(hours=1)
    assert privacy.due(any_ctx) == [source_id]
    assert recheck(any_ctx, source_id) == 1
    assert _left(any_ctx) == ["p1", "p3"]
    assert look(any_ctx, "SELECT count FROM rollups WHERE dimension = 'all'") == [(2,)]
    assert privacy.due(any_ctx) == []
    clock.forward(hours=1)
    assert recheck(any_ctx, source_id) == 0


def test_a_pause_stops_reading_and_not_the_duty_to_forget(
    any_ctx: Context, source_id: int, forum: FakePlatform, clock: Clock
) -> None:
    sources.pause(any_ctx, SYSTEM, source_id)
    forum.deletes("p2")
    forum.posts(1)
    clock.forward(hours=1)
    assert privacy.due(any_ctx) == [source_id]
    assert recheck(any_ctx, source_id) == 1
    assert collect(any_ctx, source_id) is None
    assert _left(any_ctx) == ["p1", "p3"]


@pytest.mark.parametrize("deleted_after", [1, 14, 16, 59])
def test_nothing_waits_longer_than_one_interval(
    ctx: Context, forum: FakePlatform, clock: Clock, deleted_after: int
) -> None:
    """Whenever a post was collected, and whenever it is deleted then."""
    source_id = add_source(ctx, query="hinge", next_run_at=clock(), recheck_at=clock() + timedelta(minutes=15))
    clock.forward(minutes=10)
    forum.posts(1)
    collect(ctx, source_id)
    standing, waited = {"p1"}, 0
    for minute in range(1, 121):
        clock.forward(minutes=1)
        if minute == deleted_after:
            forum.deletes("p1")
        if privacy.due(ctx):
            recheck(ctx, source_id)
        standing = set(_left(ctx))
        waited += bool(standing) and minute > deleted_after
    assert standing == set()
    assert waited <= 60, "minutes; the forum's interval is an hour"


def test_what_was_forgotten_is_not_collected_again(
    any_ctx: Context, source_id: int, forum: FakePlatform, clock: Clock
) -> None:
    forum.deletes("p2")
    clock.forward(hours=1)
    recheck(any_ctx, source_id)
    any_ctx.database.engine.dispose()
    again = add_source(any_ctx, query="hinge", next_run_at=clock())
    assert collect(any_ctx, again) == "unchanged"
    assert _left(any_ctx) == ["p1", "p3"]


def test_what_is_old_and_closed_is_asked_about_within_a_day(
    any_ctx: Context, source_id: int, forum: FakePlatform, clock: Clock
) -> None:
    with any_ctx.database.transaction() as tx:
        tx.connection.exec_driver_sql("UPDATE conversations SET state = 'closed'")
        tx.connection.exec_driver_sql("UPDATE mentions SET posted_at = '2026-01-01 00:00:00'")
    forum.deletes("p1")
    clock.forward(hours=1)
    assert recheck(any_ctx, source_id) == 0, "neither shown nor new: once a day is enough"
    for _ in range(23):
        clock.forward(hours=1)
        recheck(any_ctx, source_id)
    assert _left(any_ctx) == ["p2", "p3"]


def test_a_platform_that_cannot_be_asked_deletes_nothing(
    any_ctx: Context, source_id: int, forum: FakePlatform, clock: Clock
) -> None:
    clock.forward(hours=1)
    for trouble in (forum.goes_down, forum.refuses, forum.has_a_bug):
        trouble()
        assert recheck(any_ctx, source_id) == 0
        assert _left(any_ctx) == ["p1", "p2", "p3"]
        clock.forward(hours=2)
    assert privacy.due(any_ctx) == [source_id], "it is asked again"


def test_a_long_list_is_asked_about_in_turns(
    ctx: Context, forum: FakePlatform, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(privacy, "ASKED_AT_ONCE", 2)
    monkeypatch.setattr(privacy, "ASKED_A_RUN", 2)
    source_id = add_source(ctx, query="hinge", next_run_at=clock(), recheck_at=clock())
    posts = forum.posts(7)
    collect(ctx, source_id)
    forum.deletes(*(post.external_id for post in posts))
    clock.forward(hours=1)
    assert [recheck(ctx, source_id), recheck(ctx, source_id)] == [4, 3]
    assert _left(ctx) == []


def test_a_platform_that_is_silent_about_a_post_deletes_nothing(
    any_ctx: Context, source_id: int, forum: FakePlatform, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.fake_platform.Forum.still_there", lambda self, ids: {})
    clock.forward(hours=1)
    assert recheck(any_ctx, source_id) == 0
    assert _left(any_ctx) == ["p1", "p2", "p3"]


def test_what_is_past_retention_goes(ctx: Context, forum: FakePlatform, clock: Clock) -> None:
    store(ctx, post("old", posted_at=clock.now - timedelta(days=31)), post("new"))
    housekeeping.tidy(ctx)
    assert _left(ctx) == ["old", "new"]
    workspace.change(ctx, SYSTEM, retention_days=30)
    housekeeping.tidy(ctx)
    assert _left(ctx) == ["new"]
    assert store(ctx, post("old", posted_at=clock.now - timedelta(days=31))).buried == 1
