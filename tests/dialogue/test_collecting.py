"""Listening: what is stored, what a failure does, who may write."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from db import sources as rows
from db.tables import PlatformAccount
from dialogue import collecting
from dialogue.collecting import LONGEST_BACK_OFF, PAGES_A_RUN, collect
from dialogue.context import Context
from listeners.base import Budget
from tests.conftest import Clock, RecordedTriggers
from tests.fake_platform import PAGE, FakePlatform, installed
from tests.worlds import add_source, look

SOURCE = "SELECT last_error_kind, what_to_do, failures FROM sources"


@pytest.fixture
def forum(monkeypatch: pytest.MonkeyPatch) -> FakePlatform:
    return installed(monkeypatch)


def _source(ctx: Context, **fields: object) -> int:
    return add_source(ctx, **({"query": "hinge", "mode": "search", "next_run_at": ctx.clock()} | fields))  # type: ignore[arg-type]


def _next_run(ctx: Context, source_id: int) -> timedelta | None:
    with ctx.database.reading() as tx:
        row = rows.get(tx, source_id)
    assert row is not None
    return None if row.next_run_at is None else row.next_run_at - ctx.clock()


def _texts(ctx: Context) -> list[str]:
    return [row[0] for row in look(ctx, "SELECT external_id FROM mentions ORDER BY id")]


def test_a_due_source_is_read_and_the_worker_told(
    any_ctx: Context, forum: FakePlatform, triggers: RecordedTriggers
) -> None:
    forum.posts(5)
    source_id = _source(any_ctx)
    assert collecting.due(any_ctx) == [source_id]
    assert collect(any_ctx, source_id) == "ok"
    assert _texts(any_ctx) == ["p1", "p2", "p3", "p4", "p5"]
    assert triggers.understood == 3, "once a page, so that the first page is tagged while the second is read"
    assert _next_run(any_ctx, source_id) == timedelta(seconds=60), "the platform's own interval, while it is new"
    assert look(any_ctx, "SELECT outcome, pages, new FROM source_runs") == [("ok", 3, 5)]
    assert collect(any_ctx, source_id) is None, "not due again yet"


def test_nothing_new_is_unchanged_and_wakes_nobody(
    ctx: Context, forum: FakePlatform, clock: Clock, triggers: RecordedTriggers
) -> None:
    forum.posts(1)
    source_id = _source(ctx)
    collect(ctx, source_id)
    clock.forward(hours=1)
    assert collect(ctx, source_id) == "unchanged"
    assert triggers.understood == 1


def test_it_goes_on_from_its_cursor(ctx: Context, forum: FakePlatform, clock: Clock) -> None:
    forum.posts(3)
    source_id = _source(ctx)
    collect(ctx, source_id)
    forum.posts(2)
    clock.forward(hours=1)
    collect(ctx, source_id)
    assert forum.asked[-1][1] == {"read": 3}
    assert _texts(ctx) == ["p1", "p2", "p3", "p4", "p5"]


def test_a_failure_after_a_page_keeps_the_page(ctx: Context, forum: FakePlatform, clock: Clock) -> None:
    forum.posts(5)
    forum.fails_after = 1
    source_id = _source(ctx)
    assert collect(ctx, source_id) == "transient"
    assert _texts(ctx) == ["p1", "p2"]
    clock.forward(minutes=5)
    assert collect(ctx, source_id) == "ok"
    assert _texts(ctx) == ["p1", "p2", "p3", "p4", "p5"]


def test_a_long_listing_is_read_in_turns(ctx: Context, forum: FakePlatform, triggers: RecordedTriggers) -> None:
    total = PAGES_A_RUN * PAGE + 3
    forum.posts(total)
    source_id = _source(ctx)
    collect(ctx, source_id)
    assert len(_texts(ctx)) == PAGES_A_RUN * PAGE
    assert triggers.collected == [source_id]
    collect(ctx, source_id)
    assert len(_texts(ctx)) == total


def test_a_run_that_brings_only_what_is_known_waits_for_its_time(
    ctx: Context, forum: FakePlatform, triggers: RecordedTriggers
) -> None:
    """Some listings read an overlap again whenever they are asked, and it may be as long as a run."""
    forum.posts(PAGES_A_RUN * PAGE)
    source_id = _source(ctx)
    collect(ctx, source_id)
    triggers.collected.clear()
    with ctx.database.transaction() as tx:
        rows.change(tx, source_id, cursor={}, next_run_at=ctx.clock())
    assert collect(ctx, source_id) == "unchanged"
    assert triggers.collected == []
    next_run = _next_run(ctx, source_id)
    assert next_run is not None
    assert next_run >= timedelta(seconds=60)


def test_an_outage_is_tried_again_later_and_later(ctx: Context, forum: FakePlatform, clock: Clock) -> None:
    forum.goes_down()
    source_id = _source(ctx)
    waits = []
    for _ in range(9):
        assert collect(ctx, source_id) == "transient"
        wait = _next_run(ctx, source_id)
        assert wait is not None
        waits.append(wait.total_seconds())
        clock.forward(seconds=wait.total_seconds())
    assert 24 <= waits[0] <= 36
    assert waits[3] > 3 * waits[0]
    assert LONGEST_BACK_OFF * 0.8 <= waits[-1] <= LONGEST_BACK_OFF * 1.2
    assert look(ctx, "SELECT last_error FROM sources") == [("The forum is down (503).",)]
    forum.recovers()
    forum.posts(1)
    assert collect(ctx, source_id) == "ok"
    assert look(ctx, SOURCE) == [("", "", 0)]


def test_the_platforms_own_wish_wins(ctx: Context, forum: FakePlatform) -> None:
    forum.rate_limits(1234)
    source_id = _source(ctx)
    collect(ctx, source_id)
    assert _next_run(ctx, source_id) == timedelta(seconds=1234)


def test_a_nonsensical_wish_does_not_silence_a_source(ctx: Context, forum: FakePlatform) -> None:
    forum.rate_limits(1e12)
    source_id = _source(ctx)
    collect(ctx, source_id)
    assert _next_run(ctx, source_id) == timedelta(days=1)


def test_an_exhausted_budget_waits_for_its_reset(ctx: Context, forum: FakePlatform, clock: Clock) -> None:
    forum.posts(1)
    forum.budget = Budget(remaining=0, limit=100, resets_at=clock.now + timedelta(minutes=40))
    source_id = _source(ctx)
    collect(ctx, source_id)
    assert _next_run(ctx, source_id) == timedelta(minutes=40)


def test_a_refusal_waits_for_a_person(ctx: Context, forum: FakePlatform, clock: Clock) -> None:
    forum.refuses()
    source_id = _source(ctx)
    assert collect(ctx, source_id) == "terminal"
    assert look(ctx, SOURCE) == [("terminal", "Enter a new token.", 1)]
    clock.forward(days=30)
    assert collecting.due(ctx) == []


def test_a_listeners_own_fault_is_loud_and_told(
    ctx: Context, forum: FakePlatform, caplog: pytest.LogCaptureFixture
) -> None:
    forum.has_a_bug()
    source_id = _source(ctx)
    with caplog.at_level(logging.ERROR):
        assert collect(ctx, source_id) == "crash"
    assert "KeyError" in caplog.text
    ((error, kind),) = look(ctx, "SELECT last_error, last_error_kind FROM sources")
    assert kind == "crash"
    assert "KeyError" in error
    assert collect(ctx, source_id) is None, "it waits before it is tried again"


def test_one_sick_source_stops_no_other(ctx: Context, forum: FakePlatform) -> None:
    sick = _source(ctx, platform="no such platform")
    well = _source(ctx)
    forum.posts(1)
    assert [collect(ctx, id_) for id_ in collecting.due(ctx)] == ["terminal", "ok"]
    assert look(ctx, f"SELECT last_error_kind FROM sources WHERE id = {sick}") == [("terminal",)]
    assert look(ctx, f"SELECT last_error_kind FROM sources WHERE id = {well}") == [("",)]


def test_unreadable_entries_are_counted_and_the_first_are_kept(ctx: Context, forum: FakePlatform) -> None:
    forum.posts(2)
    forum.unreadable = [f"has no date {number}" for number in range(50)]
    source_id = _source(ctx)
    collect(ctx, source_id)
    with ctx.database.reading() as tx:
        (run,) = rows.runs(tx, source_id, 1)
    assert run.rejected == 50
    assert len(run.rejections) == 20
    assert run.rejections[0] == {"where": "entry 1", "reason": "has no date 0"}


def test_a_worker_that_lost_its_lease_stores_nothing(any_ctx: Context, forum: FakePlatform, clock: Clock) -> None:
    forum.posts(4)
    source_id = _source(any_ctx)

    def another_worker_takes_it(page: int) -> None:
        if page == 2:
            clock.forward(minutes=5)
            with any_ctx.database.transaction() as tx:
                assert rows.claim(tx, source_id, clock(), timedelta(minutes=1)) is not None

    forum.while_reading = another_worker_takes_it
    assert collect(any_ctx, source_id) is None
    assert _texts(any_ctx) == ["p1", "p2"]
    ((cursor,),) = look(any_ctx, "SELECT cursor FROM sources")
    assert "2" in str(cursor)


def test_a_paused_source_stores_nothing_of_what_it_was_reading(ctx: Context, forum: FakePlatform) -> None:
    from dialogue import sources
    from dialogue.context import SYSTEM

    forum.posts(4)
    source_id = _source(ctx)
    forum.while_reading = lambda page: sources.pause(ctx, SYSTEM, source_id) if page == 2 else None
    assert collect(ctx, source_id) is None
    assert _texts(ctx) == ["p1", "p2"]
    assert collecting.due(ctx) == []


def test_a_run_that_was_cut_off_says_so(ctx: Context, forum: FakePlatform, clock: Clock) -> None:
    source_id = _source(ctx)
    with ctx.database.transaction() as tx:
        rows.claim(tx, source_id, clock(), timedelta(minutes=1))
        rows.begin_run(tx, source_id, clock())
    assert collecting.due(ctx) == [], "held by a worker that was killed"
    clock.forward(minutes=2)
    assert collecting.due(ctx) == [source_id]
    collect(ctx, source_id)
    outcomes = look(ctx, "SELECT outcome, error FROM source_runs ORDER BY id")
    assert outcomes[0] == ("crash", rows.ABANDONED)
    assert outcomes[1][0] == "unchanged"


def test_credentials_and_options_reach_the_listener(ctx: Context, forum: FakePlatform) -> None:
    with ctx.database.transaction() as tx:
        account = PlatformAccount(
            platform="forum", label="Us", base_url="https://forum.example", created_at=ctx.clock(),
            credentials=ctx.secrets.encrypt({"token": "t"}),
        )  # fmt: skip
        tx.session.add(account)
        tx.session.flush()
        account_id = account.id
    source_id = _source(ctx, account_id=account_id, options={"poll_seconds": 7, "depth": 3})
    collect(ctx, source_id)
    credentials, options = forum.opened_with[-1]
    assert credentials == {"token": "t"}
    assert options.base_url == "https://forum.example"
    assert dict(options.extra) == {"depth": "3"}
    assert options.allow_private_hosts


def test_sample_sources_are_never_asked(ctx: Context, forum: FakePlatform) -> None:
    source_id = _source(ctx, sample=True)
    assert collecting.due(ctx) == []
    assert collect(ctx, source_id) is None
    assert forum.asked == []


HOSTILE = "\x00<script>\ud800 =cmd|' /C calc'!A0 " + "x" * 100_000


def test_hostile_words_of_a_platform_are_kept_bounded(any_ctx: Context, forum: FakePlatform, clock: Clock) -> None:
    forum.posts(1)
    forum.unreadable = [HOSTILE]
    source_id = _source(any_ctx)
    assert collect(any_ctx, source_id) == "ok"
    with any_ctx.database.reading() as tx:
        (run,) = rows.runs(tx, source_id, 1)
    assert run.rejections[0]["reason"].startswith("<script>")
    assert len(run.rejections[0]["reason"]) == 500
    forum.refuses_with(HOSTILE)
    clock.forward(hours=1)
    assert collect(any_ctx, source_id) == "terminal"
    ((error, what_to_do),) = look(any_ctx, "SELECT last_error, what_to_do FROM sources")
    assert len(error) == len(what_to_do) == 1_000
