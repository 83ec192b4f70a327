"""Reading further back in a real worker that is really killed, twice, and goes on where it stood."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from dialogue import backfill, requests
from dialogue.context import SYSTEM
from tests.dialogue.test_queue import World
from tests.dialogue.test_streaming import until
from tests.listeners.test_hacker_news import HackerNewsServer
from tests.worlds import add_source, look

POSTS = 30
IDS = "SELECT external_id FROM mentions"


@pytest.fixture
def world(tmp_path: Path, any_url: str) -> Iterator[World]:
    world = World(tmp_path, any_url)
    yield world
    world.end()


@pytest.mark.timeout(400)  # three workers start one after the other, on a machine that may be busy
def test_a_killed_worker_loses_and_doubles_nothing_and_the_next_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ctx, now = world.ctx, datetime.now(UTC)
    with HackerNewsServer() as news:
        news.started = int((now - timedelta(days=POSTS)).timestamp()) + 3_600
        posted = news.posts(POSTS, seconds=86_400)
        source_id = add_source(
            ctx, platform="hackernews", query="kettle", mode="search", options={"base_url": news.url}
        )  # fmt: skip
        request_id = backfill.request(ctx, SYSTEM, source_id, now - timedelta(days=POSTS + 1))
        stood = 0
        for point in ("backfill.before_commit:3", "backfill.after_page:3"):
            monkeypatch.setenv("SAMTAL_CHAOS_POINT", point)
            worker = world.worker()
            assert worker.wait(120) == -signal.SIGKILL
            view, found = requests.get(ctx, request_id), look(ctx, IDS)
            assert view.state == "running"
            assert stood < view.done < POSTS, "days: further than before, and not at the end"
            assert view.result["new"] == len(found) < POSTS, "what it says is what is there"
            stood = view.done
            with ctx.database.transaction() as tx:  # as if the lease of the dead had run out
                tx.connection.execute(text("UPDATE worker_requests SET lease_until = NULL"))
        asked_before = len(news.requests)
        monkeypatch.delenv("SAMTAL_CHAOS_POINT")
        world.worker()
        until(lambda: requests.get(ctx, request_id).state == "done", 120)
        assert "numericFilters" in news.requests[asked_before].params, "it went on, and did not begin again"
    view = requests.get(ctx, request_id)
    assert sorted(number for (number,) in look(ctx, IDS)) == sorted(posted), "everything, and once"
    assert view.result["new"] == POSTS
