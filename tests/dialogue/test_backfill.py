"""Reading further back: beside the live reading, within the budget, and through crashes without loss or doubling."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from db import budgets
from dialogue import backfill, requests, sources
from dialogue.collecting import collect
from dialogue.context import SYSTEM, Context, DialogueError
from dialogue.requests import RequestView
from tests.conftest import Clock
from tests.listeners.bluesky_fake import OUR_HANDLE, PASSWORD, BlueskyServer
from tests.listeners.test_hacker_news import HackerNewsServer
from tests.worlds import add_source, look

DAY = 86_400
POSTS = 60


@pytest.fixture
def news() -> Iterator[HackerNewsServer]:
    """Hacker News with a post a day for 60 days; one search of it ends after 12 hits."""
    with HackerNewsServer() as server:
        yield server


@pytest.fixture
def source_id(any_ctx: Context, news: HackerNewsServer) -> int:
    return _source(any_ctx, news)


def _source(ctx: Context, news: HackerNewsServer) -> int:
    """A source whose live reading stands at the newest post, which alone it has read."""
    now = ctx.clock()
    news.started = int((now - timedelta(days=POSTS)).timestamp()) + 3_600
    news.posts(POSTS, seconds=DAY)
    mark = {"done_until": {"at": (now - timedelta(minutes=1)).isoformat(), "ids": []}}
    return add_source(
        ctx, platform="hackernews", query="kettle", mode="search", cursor=mark, next_run_at=now,
        options={"base_url": news.url},
    )  # fmt: skip


def _ask(ctx: Context, source_id: int, days: int) -> int:
    return backfill.request(ctx, SYSTEM, source_id, ctx.clock() - timedelta(days=days))


def _count(ctx: Context) -> int:
    return int(look(ctx, "SELECT count(*) FROM mentions")[0][0])


def _done(ctx: Context, request_id: int) -> RequestView:
    view = requests.get(ctx, request_id)
    assert view.state == "done", view
    return view


def _cursor(ctx: Context) -> object:
    return look(ctx, "SELECT cursor FROM sources")


def test_it_reads_back_to_the_day_and_no_further(any_ctx: Context, source_id: int) -> None:
    before = _cursor(any_ctx)
    request_id = _ask(any_ctx, source_id, 30)
    requests.serve(any_ctx, request_id)
    view = _done(any_ctx, request_id)
    assert (_count(any_ctx), view.result["new"]) == (30, 30), "more than one search of the platform gives"
    assert view.words.endswith("That is everything since 21 Oct 2026.")
    assert (view.done, view.total) == (29, 30), "days"
    assert _cursor(any_ctx) == before, "where the live reading stands is not touched"
    assert look(any_ctx, "SELECT DISTINCT source_id FROM mention_sources") == [(source_id,)]


class Killed(BaseException):
    """Stands for a worker's sudden end."""


@pytest.mark.parametrize("point", ["backfill.before_commit", "backfill.after_page"])
def test_a_killed_worker_loses_nothing_and_doubles_nothing(
    any_ctx: Context, source_id: int, news: HackerNewsServer, clock: Clock, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    request_id = _ask(any_ctx, source_id, 50)
    for _ in range(3):
        reached = []

        def dies(name: str) -> None:
            reached.append(name)  # noqa: B023 - called before the loop goes on
            if reached.count(point) == 3:  # noqa: B023
                raise Killed

        with monkeypatch.context() as patched:
            patched.setattr("dialogue.points.reached", dies)
            with pytest.raises(Killed):
                requests.serve(any_ctx, request_id)
        assert 0 < _count(any_ctx) < 50
        clock.forward(minutes=5)
    asked_before = len(news.requests)
    requests.serve(any_ctx, request_id)
    view = _done(any_ctx, request_id)
    assert (_count(any_ctx), view.result["new"]) == (50, 50)
    assert "numericFilters" in news.requests[asked_before].params, "it went on, and did not begin again"


def test_it_waits_for_the_budget_and_goes_on(ctx: Context, news: HackerNewsServer, clock: Clock) -> None:
    source_id = _source(ctx, news)
    with ctx.database.transaction() as tx:
        row = budgets.opened(tx, "hackernews", news.url, "")
        until = clock() + timedelta(minutes=10)
        budgets.write(tx, budgets.BudgetRow(**{**_values(row), "remaining": 3, "quota": 10, "resets_at": until}))
    request_id = _ask(ctx, source_id, 30)
    requests.serve(ctx, request_id)
    view = requests.get(ctx, request_id)
    assert (view.state, requests.due(ctx)) == ("running", [])
    assert view.words == "The platform's limit is used up. It goes on by itself."
    read = _count(ctx)
    for _ in range(12):
        if requests.get(ctx, request_id).state == "done":
            break
        clock.forward(minutes=20)
        assert requests.due(ctx) == [request_id]
        requests.serve(ctx, request_id)
    assert (read < 30, _count(ctx), _done(ctx, request_id).result["new"]) == (True, 30, 30)


def _values(row: budgets.BudgetRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in budgets.BudgetRow.__slots__}


def test_a_person_may_stop_it(ctx: Context, news: HackerNewsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    request_id = _ask(ctx, _source(ctx, news), 50)

    def cancelled(name: str) -> None:
        if name == "backfill.after_page":
            requests.cancel(ctx, SYSTEM, request_id)

    monkeypatch.setattr("dialogue.points.reached", cancelled)
    requests.serve(ctx, request_id)
    assert requests.get(ctx, request_id).state == "cancelled"
    assert 0 < _count(ctx) < 50


def test_the_live_reading_goes_on_beside_it(
    ctx: Context, news: HackerNewsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    source_id = _source(ctx, news)
    request_id = _ask(ctx, source_id, 30)
    outcomes: list[str | None] = []

    def reads_live(name: str) -> None:
        if name == "backfill.after_page" and not outcomes:
            news.started = int(ctx.clock().timestamp()) - POSTS
            outcomes.append(collect(ctx, source_id))

    monkeypatch.setattr("dialogue.points.reached", reads_live)
    requests.serve(ctx, request_id)
    assert outcomes[0] in ("ok", "unchanged")
    assert (_done(ctx, request_id).state, _count(ctx)) == ("done", 30)


def test_what_cannot_be_asked_is_said(ctx: Context, news: HackerNewsServer) -> None:
    source_id = _source(ctx, news)
    with pytest.raises(DialogueError, match="last ten years"):
        backfill.request(ctx, SYSTEM, source_id, ctx.clock() + timedelta(days=1))
    feed = add_source(ctx, platform="feed", query="https://news.example/feed")
    with pytest.raises(DialogueError, match="cannot be read further back"):
        _ask(ctx, feed, 30)
    _ask(ctx, source_id, 30)
    with pytest.raises(DialogueError, match="already"):
        _ask(ctx, source_id, 60)


def test_a_source_that_was_removed_meanwhile_ends_it(ctx: Context, news: HackerNewsServer) -> None:
    source_id = _source(ctx, news)
    request_id = _ask(ctx, source_id, 30)
    sources.remove(ctx, SYSTEM, source_id, with_mentions=True)
    requests.serve(ctx, request_id)
    view = requests.get(ctx, request_id)
    assert (view.state, view.error) == ("failed", "This source is not there any more.")
    assert _count(ctx) == 0


def test_where_a_listing_ends_it_says_how_far_it_got() -> None:
    kept = {"pages": 10, "posts": 997, "new": 990, "oldest": "2026-11-03T10:00:00+00:00"}
    words = backfill._words(backfill.reach("reddit", "search"), kept, datetime(2026, 1, 1, tzinfo=UTC))
    assert "back to 3 Nov 2026" in words
    assert words.endswith("Reddit lists about the latest 1,000 and nothing below. What is older cannot be read.")


def test_what_is_read_upwards_tells_how_far_up_it_has_come() -> None:
    up = backfill.reach("github", "issues")
    since, now = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 31, tzinfo=UTC)
    kept = {
        "pages": 3, "posts": 300, "new": 250,
        "oldest": "2026-01-01T10:00:00+00:00", "newest": "2026-01-11T10:00:00+00:00",
    }  # fmt: skip
    assert backfill._days_read(kept, up, since, now) == 10
    assert backfill._so_far(kept, up) == "3 pages, 250 new posts, up to 11 Jan 2026"
    assert backfill._days_read(kept, backfill.reach("reddit", "search"), since, now) == 29


def test_no_further_than_the_platform_gives(ctx: Context) -> None:
    account_id = sources.save_account(ctx, SYSTEM, "x", "Us", None, {"bearer_token": "t"})
    source_id = add_source(ctx, platform="x", query="kettle", mode="search", account_id=account_id)
    _ask(ctx, source_id, 90)
    ((payload,),) = look(ctx, "SELECT payload FROM worker_requests")
    asked = json.loads(payload) if isinstance(payload, str) else payload
    assert asked["since"] == (ctx.clock() - timedelta(days=7)).isoformat()
    kept = {"pages": 1, "posts": 20, "new": 20, "oldest": asked["since"], "newest": asked["since"]}
    words = backfill._words(backfill.reach("x", "search"), kept, datetime.fromisoformat(asked["since"]))
    assert words.endswith("X gives at most the last 7 days, and each post that is read is paid for.")


def test_a_stream_is_read_back_by_the_search_that_finds_the_same(ctx: Context) -> None:
    with BlueskyServer() as bluesky:
        bluesky.started = ctx.clock() - timedelta(days=3)
        posted = bluesky.posts(10)
        credentials = {"handle": OUR_HANDLE, "app_password": PASSWORD}
        account_id = sources.save_account(ctx, SYSTEM, "bluesky", "Us", bluesky.url, credentials)
        source_id = add_source(
            ctx, platform="bluesky", query="samtal", mode="stream", account_id=account_id, options={"syntax": "samtal"}
        )
        request_id = _ask(ctx, source_id, 30)
        requests.serve(ctx, request_id)
        assert _done(ctx, request_id).result["new"] == 10
    assert {one for (one,) in look(ctx, "SELECT external_id FROM mentions")} == set(posted)


def test_workers_that_die_one_after_the_other_do_not_end_it_while_it_comes_on(
    ctx: Context, news: HackerNewsServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = _ask(ctx, _source(ctx, news), 50)

    def dies(name: str) -> None:
        if name == "backfill.after_page":
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("dialogue.points.reached", dies)
        for _ in range(requests.TAKES + 3):
            with pytest.raises(Killed):
                requests.serve(ctx, request_id)
            clock.forward(minutes=5)
    requests.serve(ctx, request_id)
    assert (_done(ctx, request_id).result["new"], _count(ctx)) == (50, 50)
