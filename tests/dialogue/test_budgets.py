"""What platforms still let us ask: shared by sources and workers, spread over the window; and how often is asked."""

from __future__ import annotations

import ast
import inspect
import random
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from db import budgets as rows
from db import sources as source_rows
from db.budgets import BudgetRow
from dialogue import budgets, cadence, collecting, privacy, sources
from dialogue.budgets import Allowance, settled, told
from dialogue.cadence import Wish
from dialogue.context import Actor, Context, DialogueError
from listeners import registry
from listeners.base import Budget
from tests.conftest import Clock
from tests.fake_platform import FakePlatform, installed
from tests.worlds import add_source, look

MINUTES = timedelta(minutes=1)


@pytest.fixture
def forum(monkeypatch: pytest.MonkeyPatch) -> FakePlatform:
    return installed(monkeypatch)


def _account(ctx: Context, actor: Actor) -> int:
    return sources.save_account(ctx, actor, "forum", "Us", None, {"token": "t"})


def _source(ctx: Context, account_id: int | None = None, **fields: object) -> int:
    values = {"query": "hinge", "mode": "search", "next_run_at": ctx.clock(), "account_id": account_id} | fields
    return add_source(ctx, **values)  # type: ignore[arg-type]


def _row(ctx: Context, source_id: int) -> source_rows.SourceRow:
    with ctx.database.reading() as tx:
        row = source_rows.get(tx, source_id)
    assert row is not None
    return row


def _wait(ctx: Context, source_id: int) -> timedelta:
    at = _row(ctx, source_id).next_run_at
    assert at is not None
    return at - ctx.clock()


def _left(ctx: Context) -> list[int | None]:
    with ctx.database.reading() as tx:
        return [row.remaining for row in rows.all_(tx)]


# What is shared -------------------------------------------------------------------------------------------------------


def test_what_one_source_is_told_holds_for_all_of_its_account(
    any_ctx: Context, colleague: Actor, forum: FakePlatform, clock: Clock
) -> None:
    account_id = _account(any_ctx, colleague)
    first, second = _source(any_ctx, account_id), _source(any_ctx, account_id)
    stranger = _source(any_ctx, _account(any_ctx, colleague))
    forum.budget = Budget(10, 100, clock.now + 40 * MINUTES)  # the last ten are kept for answers
    assert collecting.collect(any_ctx, first) == "unchanged"
    assert collecting.collect(any_ctx, second) is None
    assert len(forum.asked) == 1, "the second one was not asked"
    assert _wait(any_ctx, second) == 40 * MINUTES
    forum.budget = Budget()
    assert collecting.collect(any_ctx, stranger) == "unchanged", "another account has a budget of its own"
    clock.forward(minutes=40)
    assert [collecting.collect(any_ctx, one) for one in (first, second)] == ["unchanged"] * 2


def test_a_refusal_holds_for_all_of_its_account(
    ctx: Context, colleague: Actor, forum: FakePlatform, clock: Clock
) -> None:
    account_id = _account(ctx, colleague)
    first, second = _source(ctx, account_id), _source(ctx, account_id)
    forum.rate_limits(1234)
    assert collecting.collect(ctx, first) == "transient"
    forum.recovers()
    assert collecting.collect(ctx, second) is None
    assert _wait(ctx, second) == timedelta(seconds=1234)
    assert "asks to wait (429)" in next(one.words for one in sources.list_(ctx, colleague) if one.id == second)
    clock.forward(seconds=1234)
    assert collecting.collect(ctx, second) == "unchanged"


def test_hosts_that_have_limits_of_their_own_do_not_wait_for_each_other(
    ctx: Context, forum: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = replace(registry.capability("forum"), limited_by=lambda query: query.text)
    monkeypatch.setattr("tests.fake_platform.CAPABILITY", own)
    one, other = _source(ctx, query="news.example"), _source(ctx, query="blog.example")
    forum.rate_limits(600)
    collecting.collect(ctx, one)
    forum.recovers()
    assert collecting.collect(ctx, other) == "unchanged"


def test_kinds_of_requests_do_not_wait_for_each_other(
    ctx: Context, colleague: Actor, forum: FakePlatform, clock: Clock
) -> None:
    account_id = _account(ctx, colleague)
    search, mentions = _source(ctx, account_id), _source(ctx, account_id, mode="mentions")
    forum.budget = Budget(0, 100, clock.now + 15 * MINUTES, "search")
    collecting.collect(ctx, search)
    forum.budget = Budget(70, 75, clock.now + 15 * MINUTES, "mentions")
    assert collecting.collect(ctx, mentions) == "unchanged"
    assert (_wait(ctx, search), _wait(ctx, mentions)) == (15 * MINUTES, 1 * MINUTES)


def test_reading_stops_within_a_run_when_the_reserve_is_reached(
    ctx: Context, colleague: Actor, forum: FakePlatform, clock: Clock
) -> None:
    account_id = _account(ctx, colleague)
    source_id = _source(ctx, account_id)
    forum.posts(40)
    left = [13]

    def counts_down(page: int) -> None:
        left[0] -= 1
        forum.budget = Budget(left[0], 100, clock.now + 15 * MINUTES)

    forum.while_reading = counts_down
    assert collecting.collect(ctx, source_id) == "ok"
    assert forum.pages_read == 3
    assert _left(ctx) == [10], "ten are left for answers and for what was deleted"
    assert _wait(ctx, source_id) == 15 * MINUTES
    assert _row(ctx, source_id).cursor == {"read": 6}, "it goes on from there"
    with ctx.database.transaction() as tx:
        spent = Allowance("forum", f"account {account_id}", "", spares=False)
        assert spent.take(tx, clock.now) is None
    assert _left(ctx) == [9]


def test_a_re_check_may_spend_the_reserve_but_no_more(
    ctx: Context, colleague: Actor, forum: FakePlatform, clock: Clock
) -> None:
    account_id = _account(ctx, colleague)
    source_id = _source(ctx, account_id)
    forum.posts(2)
    forum.budget = Budget(1, 100, clock.now + 600 * MINUTES)
    collecting.collect(ctx, source_id)
    forum.deletes("p1")
    for gone in (1, 0):
        clock.forward(hours=2)
        with ctx.database.transaction() as tx:
            source_rows.change(tx, source_id, recheck_at=clock.now)
        assert privacy.recheck(ctx, source_id) == gone
        forum.deletes("p2")
    assert look(ctx, "SELECT external_id FROM mentions") == [("p2",)], "nothing at all was left for the second look"


def test_an_account_entered_anew_has_a_budget_of_its_own(
    ctx: Context, colleague: Actor, forum: FakePlatform, clock: Clock
) -> None:
    account_id = _account(ctx, colleague)
    source_id = _source(ctx, account_id)
    forum.rate_limits(80_000)
    collecting.collect(ctx, source_id)
    with pytest.raises(DialogueError, match="429"):
        sources.run_now(ctx, colleague, source_id)
    sources.save_account(ctx, colleague, "forum", "Us", None, {"token": "another"}, account_id)
    sources.run_now(ctx, colleague, source_id)
    forum.recovers()
    assert collecting.collect(ctx, source_id) == "unchanged"
    sources.remove_account(ctx, colleague, account_id)
    assert _left(ctx) == []


# What an answer's figures mean ----------------------------------------------------------------------------------------

NOW = datetime.fromisoformat("2026-11-20T12:00:00+00:00")
ROW = BudgetRow("forum", "", "", 50, 100, 0, NOW + 15 * MINUTES, 900.0, "", NOW)


def test_answers_that_overtake_each_other_do_not_raise_the_budget() -> None:
    late = told(replace(ROW, remaining=48), Budget(49, 100, NOW + 15 * MINUTES + timedelta(seconds=2)), NOW)
    assert late.remaining == 48
    assert told(ROW, Budget(99, 100, NOW + 30 * MINUTES), NOW).remaining == 99, "a new window"
    assert told(replace(ROW, pending=3), Budget(40, 100, NOW + 15 * MINUTES), NOW).remaining == 37


def test_a_window_that_is_over_leaves_a_full_budget() -> None:
    after = settled(replace(ROW, remaining=0, pending=7, words="429"), NOW + 15 * MINUTES)
    assert (after.remaining, after.pending, after.words) == (100, 0, "")
    assert after.resets_at == NOW + 30 * MINUTES
    free = settled(replace(ROW, remaining=0, quota=None), NOW + 15 * MINUTES)
    assert (free.remaining, free.resets_at) == (None, None), "nothing was said but to wait"


def test_a_moment_in_a_year_does_not_silence_an_account_for_good() -> None:
    row = told(ROW, Budget(0, 100, NOW + timedelta(days=365)), NOW)
    assert row.resets_at == NOW + timedelta(days=1)


@pytest.mark.parametrize(("quota", "kept"), [(None, 0), (1, 0), (2, 1), (9, 1), (100, 10), (3_000, 300)])
def test_a_reserve_is_kept_but_never_everything(quota: int | None, kept: int) -> None:
    assert budgets.reserve(replace(ROW, quota=quota)) == kept


# How often is asked ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("platforms", "chosen", "bounds"),
    [(300, 300, (300, 1_200)), (60, 3_600, (60, 3_600)), (300, 5, (5, 5)), (1_800, 1_800, (1_800, 3_600)),
     (7_200, 7_200, (7_200, 7_200))],
)  # fmt: skip
def test_the_bounds_of_an_interval(platforms: float, chosen: float, bounds: tuple[float, float]) -> None:
    assert cadence.bounds(platforms, chosen) == bounds


def _days(posts_per_hour: float, days: int, seed: int = 1) -> tuple[list[float], float]:
    """The waits of a source that so many posts come to, and how old a post is in the median when it is read (s)."""
    chance, now, last, rate = random.Random(seed), 0.0, 0.0, None
    fastest, slowest = cadence.bounds(300, 300)
    posts, at = [], 0.0
    while posts_per_hour and at < days * 86_400:
        at += chance.expovariate(posts_per_hour / 3_600)
        posts.append(at)
    waits: list[float] = []
    ages: list[float] = []
    while now < days * 86_400:
        new = [moment for moment in posts if last < moment <= now]
        ages += [now - moment for moment in new]
        rate = cadence.learned(rate, len(new), now - last, fastest)
        last, wait = now, cadence.interval(rate, fastest, slowest)
        waits.append(wait)
        now += wait
    return waits, sorted(ages)[len(ages) // 2] if ages else 0.0


def test_a_busy_source_is_asked_more_often_and_a_quiet_one_less() -> None:
    (busy, age), (some, _), (quiet, _) = _days(60, 3), _days(6, 3), _days(0, 3)
    assert max(busy) == 300
    assert age < 180
    assert len(quiet) < 3 * 86_400 / 1_200 + 30
    assert len(quiet) < len(some) < len(busy)


def test_a_new_source_begins_fast_and_slows_down_within_two_hours() -> None:
    waits, _ = _days(0, 1)
    assert waits[0] == 300
    slow = next(place for place, wait in enumerate(waits) if wait == 1_200)
    assert 1.5 * 3_600 < sum(waits[:slow]) < 2.5 * 3_600


def test_a_burst_is_followed_within_one_slow_interval() -> None:
    rate = 0.0
    assert cadence.interval(rate, 300, 1_200) == 1_200
    rate = cadence.learned(rate, 30, 1_200, 300)
    assert cadence.interval(rate, 300, 1_200) == 300


def test_what_an_old_archive_brings_makes_no_source_busy(ctx: Context, forum: FakePlatform, clock: Clock) -> None:
    source_id = _source(ctx, posts_per_hour=0.0, last_success_at=clock.now, poll_seconds=300)
    clock.forward(minutes=5)
    forum.posts(30, at=clock.now - timedelta(days=400))
    collecting.collect(ctx, source_id)
    assert _row(ctx, source_id).interval_seconds == 300, "the longest that was chosen; the fastest is a minute"
    clock.forward(minutes=5)
    forum.posts(30, at=clock.now)
    collecting.collect(ctx, source_id)
    assert (_row(ctx, source_id).interval_seconds or 0) < 200


def test_shares_are_fair() -> None:
    many, few = Wish(60, 1), Wish(1_200, 1)
    assert cadence.share(1_000, 3_600, many, [few]) == 60, "enough for all"
    # 33 requests in an hour: the few want 3 of them, the two others 60 each, so that each gets 15.
    assert cadence.share(33, 3_600, many, [many, few]) == pytest.approx(3_600 / 15)
    assert cadence.share(33, 3_600, few, [many, many]) == 1_200
    assert cadence.share(0, 3_600, few, [many]) == 3_600
    assert cadence.share(20, 3_600, Wish(60, 5), [Wish(60, 5)]) == pytest.approx(1_800), "five requests a run"


def test_sources_of_one_account_share_a_scant_budget_over_its_window(
    ctx: Context, colleague: Actor, forum: FakePlatform, clock: Clock
) -> None:
    """Three sources that want 12 requests an hour each, of 30 with 3 kept: none is starved, and they last the hour."""
    account_id = _account(ctx, colleague)
    ids = [_source(ctx, account_id) for _ in range(3)]
    quota, left = 30, [30]
    end = clock.now + 60 * MINUTES

    def answers(page: int) -> None:
        nonlocal end
        if clock.now >= end:
            left[0], end = quota, clock.now + 60 * MINUTES
        left[0] -= 1
        assert left[0] >= 3, "more was asked than the platform allows"
        forum.budget = Budget(left[0], quota, end)

    forum.while_reading = answers
    asked: dict[int, list[datetime]] = {one: [] for one in ids}
    start = clock.now
    while clock.now < start + timedelta(hours=2):
        if (clock.now - start) % (5 * MINUTES) == timedelta(0):
            forum.posts(1, at=clock.now)
        for one in collecting.due(ctx):
            if collecting.collect(ctx, one) is not None:
                asked[one].append(clock.now)
        clock.forward(seconds=30)
    first = [sum(moment < start + 60 * MINUTES for moment in moments) for moments in asked.values()]
    assert max(first) - min(first) <= 3, first
    assert all(moments and max(moments) >= start + 100 * MINUTES for moments in asked.values())
    late = [moment for moments in asked.values() for moment in moments if moment < start + 60 * MINUTES]
    assert max(late) >= start + 45 * MINUTES, "it was not used up at once"


# Nobody waits inside a worker -----------------------------------------------------------------------------------------


def test_no_listener_sleeps() -> None:
    """A wait is the worker's to plan: `Transient(retry_after)`. No listener names sleep, nor lets its library do so."""
    room = Path(inspect.getfile(registry)).parent
    for path in sorted(room.glob("*.py")):
        tree = ast.parse(path.read_text())
        named = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        named |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        named |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
        assert "sleep" not in named, f"{path.name} sleeps"
        waits = [node for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "wait_on_rate_limit"]
        assert all(isinstance(node.value, ast.Constant) and node.value.value is False for node in waits), path.name
