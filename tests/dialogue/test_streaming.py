"""Streams in a worker: held by one, stored once whatever is cut or killed, ended when a person or a signal says so."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from db import sources as rows
from db.sources import SourceRow
from db.tables import PlatformAccount
from dialogue import sources, streaming
from dialogue.context import Actor, Context
from dialogue.streaming import Running
from listeners import streaming as wire
from listeners.base import Page, Post
from listeners.translation import as_typed
from tests.conftest import Clock, RecordedTriggers
from tests.dialogue.test_queue import World
from tests.listeners.bluesky_fake import ANNA, OUR_HANDLE, PASSWORD, BlueskyServer
from tests.listeners.fake_stream import HOWS, JetstreamServer, account, event
from tests.worlds import add_source, look

ROOT = Path(__file__).parents[2]
DID = ANNA["did"]


@pytest.fixture(autouse=True)
def _brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams that gather, look and come back within hundredths of a second."""
    monkeypatch.setattr(wire, "BATCH_SECONDS", 0.02)
    monkeypatch.setattr(wire, "LOOK_EVERY", 0.02)
    monkeypatch.setattr(wire, "STREAM_BEAT", 0.1)
    monkeypatch.setattr(streaming, "LOOK_EVERY", 0.05)
    monkeypatch.setattr(streaming, "FIRST_WAIT", 0.01)


@pytest.fixture
def network() -> Iterator[BlueskyServer]:
    with BlueskyServer() as server:
        yield server


@pytest.fixture
def jetstream() -> Iterator[JetstreamServer]:
    with JetstreamServer() as server:
        yield server


def until(true: Callable[[], bool], seconds: float = 40.0) -> None:
    """Waits for what another thread or process does; a deadline, not a pace."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def source_of(ctx: Context, network: BlueskyServer, jetstream: JetstreamServer, **fields: Any) -> int:
    """A source that streams kettles from the first event of the tape on."""
    with ctx.database.transaction() as tx:
        ours = PlatformAccount(
            platform="bluesky", label="Ours", base_url=network.url, handle=OUR_HANDLE, created_at=ctx.clock(),
            credentials=ctx.secrets.encrypt({"handle": OUR_HANDLE, "app_password": PASSWORD}),
        )  # fmt: skip
        tx.session.add(ours)
        tx.session.flush()
        account_id = ours.id
    values = {
        "platform": "bluesky", "mode": "stream", "query": "kettle", "account_id": account_id,
        "options": {"stream_url": jetstream.url, "syntax": "samtal"}, "next_run_at": ctx.clock(),
        "cursor": {"time_us": event(0, "", "", "")["time_us"], "at": jetstream.url.removeprefix("ws://")},
    }  # fmt: skip
    return add_source(ctx, "Kettles", **(values | fields))


def posts(first: int, how_many: int) -> list[dict[str, Any]]:
    return [event(n, DID, "create", f"3k{n:011d}", f"My kettle {n}") for n in range(first, first + how_many)]


def texts(ctx: Context) -> list[str]:
    return [row[0] for row in look(ctx, "SELECT text FROM mentions ORDER BY external_id")]


def row(ctx: Context, source_id: int) -> SourceRow:
    with ctx.database.reading() as tx:
        found = rows.get(tx, source_id)
    assert found is not None
    return found


class Held:
    """A stream in a thread, as a worker holds it."""

    def __init__(self, ctx: Context, source_id: int) -> None:
        self.outcome: str | None = "running"
        self.stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ctx, source_id), daemon=True)
        self._thread.start()

    def _run(self, ctx: Context, source_id: int) -> None:
        self.outcome = streaming.listen(ctx, source_id, self.stopping)

    def ends(self, seconds: float = 10.0) -> bool:
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        assert self.ends()


def test_whatever_is_cut_each_post_is_stored_once(
    any_ctx: Context, network: BlueskyServer, jetstream: JetstreamServer, triggers: RecordedTriggers
) -> None:
    chance = random.Random(7)
    jetstream.cuts.extend((chance.randrange(12), chance.choice(HOWS)) for _ in range(12))
    source_id = source_of(any_ctx, network, jetstream)
    jetstream.happens(posts(0, 60))
    with Held(any_ctx, source_id):
        until(lambda: len(texts(any_ctx)) == 60 and not jetstream.cuts)
        jetstream.happens(posts(60, 5))
        until(lambda: len(texts(any_ctx)) == 65)
    assert sorted(texts(any_ctx)) == sorted(f"My kettle {n}" for n in range(65))
    assert look(any_ctx, "SELECT count(*), count(DISTINCT external_id) FROM mentions") == [(65, 65)]
    assert triggers.understood > 0
    assert look(any_ctx, "SELECT outcome, new FROM source_runs") == [("ok", 65)]
    stopped = row(any_ctx, source_id)
    assert (stopped.lease_until, stopped.next_run_at) == (None, any_ctx.clock()), "anybody may go on at once"
    assert stopped.cursor["time_us"] == posts(64, 1)[0]["time_us"]


def test_a_stream_that_is_quiet_is_well_and_held(
    ctx: Context, network: BlueskyServer, jetstream: JetstreamServer, colleague: Actor
) -> None:
    source_id = source_of(ctx, network, jetstream)
    with Held(ctx, source_id):
        until(lambda: row(ctx, source_id).last_success_at is not None)
        held = row(ctx, source_id)
        assert held.lease_until == ctx.clock() + streaming.LEASE
        assert streaming.listen(ctx, source_id, threading.Event()) is None, "one worker holds it"
        (view,) = sources.list_(ctx, colleague)
        assert view.health == "listening"


def test_deletions_and_edits_count_whoever_found_the_post(
    any_ctx: Context, network: BlueskyServer, jetstream: JetstreamServer
) -> None:
    source_id = source_of(any_ctx, network, jetstream)
    jetstream.happens(posts(0, 3))
    with Held(any_ctx, source_id):
        until(lambda: len(texts(any_ctx)) == 3)
        jetstream.happens([
            event(10, DID, "update", "3k00000000000", "A bicycle after all"),
            event(11, DID, "delete", "3k00000000001"),
            event(12, DID, "update", "3kunknownxxxx", "Nobody's bicycle"),
        ])  # fmt: skip
        until(lambda: texts(any_ctx) == ["A bicycle after all", "My kettle 2"])
        jetstream.happens([event(13, DID, "create", "3k00000000001", "My kettle is back"), *posts(20, 1)])
        until(lambda: "My kettle 20" in texts(any_ctx))
        assert "My kettle is back" not in texts(any_ctx), "what was forgotten stays forgotten"
        assert look(any_ctx, "SELECT text FROM mention_edits") == [("My kettle 0",)]
        jetstream.happens([account(30, DID, "deleted")])
        until(lambda: texts(any_ctx) == [])
    assert look(any_ctx, "SELECT reason FROM tombstones") == [("deleted at source",)] * 4


@pytest.mark.parametrize("how", ["paused", "removed"])
def test_a_person_ends_it_within_seconds(
    ctx: Context, network: BlueskyServer, jetstream: JetstreamServer, colleague: Actor, how: str
) -> None:
    source_id = source_of(ctx, network, jetstream)
    jetstream.happens(posts(0, 1))
    with Held(ctx, source_id) as held:
        until(lambda: len(texts(ctx)) == 1)
        (sources.pause if how == "paused" else _removed)(ctx, colleague, source_id)
        assert held.ends(5)
        assert held.outcome is None
        jetstream.happens(posts(1, 1))
    assert len(texts(ctx)) == 1
    if how == "paused":
        sources.resume(ctx, colleague, source_id)
        with Held(ctx, source_id):
            until(lambda: len(texts(ctx)) == 2)


def _removed(ctx: Context, colleague: Actor, source_id: int) -> None:
    sources.remove(ctx, colleague, source_id, with_mentions=False)


def test_what_still_stands_is_asked_beside_it(
    ctx: Context, network: BlueskyServer, jetstream: JetstreamServer, clock: Clock
) -> None:
    source_id = source_of(ctx, network, jetstream, recheck_at=ctx.clock() + timedelta(hours=7))
    gone = network.anna("My kettle 0")["uri"]
    network.anna("My kettle 1")
    network.deletes(gone)
    jetstream.happens(posts(0, 2))
    with Held(ctx, source_id):
        until(lambda: len(texts(ctx)) == 2)
        clock.forward(hours=7)
        until(lambda: texts(ctx) == ["My kettle 1"])
        until(lambda: (row(ctx, source_id).recheck_at or clock()) > clock())
        assert row(ctx, source_id).lease_until is not None, "it is held all the time"
        jetstream.happens(posts(2, 1))
        until(lambda: len(texts(ctx)) == 2)


def test_what_cannot_be_opened_again_rests_as_any_source_does(
    ctx: Context, network: BlueskyServer, jetstream: JetstreamServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "LONGEST_WAIT", 0.05)
    source_id = source_of(ctx, network, jetstream)
    jetstream.refuses = (503, b"")
    with Held(ctx, source_id) as held:
        assert held.ends()
        assert held.outcome == "transient"
    assert len(jetstream.headers) == streaming.TRIES + 1
    failed = row(ctx, source_id)
    assert "503" in failed.last_error
    assert failed.next_run_at is not None
    assert failed.next_run_at > ctx.clock() + timedelta(seconds=20)


def test_a_wrong_password_waits_for_a_person(ctx: Context, network: BlueskyServer, jetstream: JetstreamServer) -> None:
    source_id = source_of(ctx, network, jetstream)
    with ctx.database.transaction() as tx:
        wrong = ctx.secrets.encrypt({"handle": OUR_HANDLE, "app_password": "wrong"})
        rows.change_account(tx, row(ctx, source_id).account_id or 0, credentials=wrong)
    with Held(ctx, source_id) as held:
        assert held.ends()
    assert "app password" in row(ctx, source_id).last_error


def test_an_account_that_was_refused_once_is_good_again(
    ctx: Context, network: BlueskyServer, jetstream: JetstreamServer
) -> None:
    source_id = source_of(ctx, network, jetstream, last_error_kind="transient")
    account_id = row(ctx, source_id).account_id or 0
    with ctx.database.transaction() as tx:
        rows.change_account(tx, account_id, refused_at=ctx.clock())
    with Held(ctx, source_id):
        until(lambda: look(ctx, "SELECT refused_at FROM platform_accounts") == [(None,)])
    assert row(ctx, source_id).last_error_kind == ""


def test_a_filter_beside_hashtags_leaves_out_what_is_not_stored(clock: Clock) -> None:
    def said(name: str, text: str) -> Post:
        return Post(platform="mastodon", external_id=name, text=text, posted_at=clock())

    told = Page([said("1", "a copper kettle"), said("2", "a steel kettle")], {}, edits=[said("3", "gone")])
    page = streaming._narrowed(told, as_typed("#kettle", "copper"))
    assert ([post.external_id for post in page.posts], page.filtered) == (["1"], 1)
    assert [post.external_id for post in page.edits] == ["3", "2"]


def test_a_worker_holds_so_many_and_no_more(ctx: Context, network: BlueskyServer, jetstream: JetstreamServer) -> None:
    first, second = source_of(ctx, network, jetstream), source_of(ctx, network, jetstream)
    running = Running(ctx, most=1)
    assert streaming.is_stream(ctx, first)
    assert not streaming.is_stream(ctx, add_source(ctx, platform="bluesky", mode="search"))
    assert running.begin(first)
    assert not running.begin(first)
    assert not running.begin(second)
    until(lambda: row(ctx, first).last_success_at is not None)
    assert running.drain()
    assert not running.begin(second), "it is stopping"
    assert row(ctx, first).lease_until is None


@pytest.mark.parametrize("point", ["collect.before_commit:1", "collect.before_commit:4"])
def test_a_worker_killed_in_the_middle_loses_nothing(
    any_ctx: Context, network: BlueskyServer, jetstream: JetstreamServer, clock: Clock, point: str
) -> None:
    source_id = source_of(any_ctx, network, jetstream)
    moment = clock().isoformat()
    worker = subprocess.Popen(
        [sys.executable, "-m", "tests.dialogue.streamer", any_ctx.database.url, moment, str(source_id)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "SAMTAL_CHAOS_POINT": point},
        cwd=ROOT,
        stdin=subprocess.PIPE,
    )
    assert worker.stdin is not None
    with worker.stdin:
        for n in range(0, 40, 4):
            jetstream.happens(posts(n, 4))
            until(lambda n=n: worker.poll() is not None or len(texts(any_ctx)) == n + 4)  # type: ignore[misc]
        jetstream.happens(posts(40, 1))
    assert worker.wait(60) == -signal.SIGKILL
    assert len(texts(any_ctx)) < 20
    assert streaming.listen(any_ctx, source_id, threading.Event()) is None, "the lease of the dead still runs"
    clock.forward(minutes=3)
    with Held(any_ctx, source_id):
        until(lambda: len(texts(any_ctx)) == 41)
    assert sorted(texts(any_ctx)) == sorted(f"My kettle {n}" for n in range(41))
    assert look(any_ctx, "SELECT outcome FROM source_runs ORDER BY id") == [("crash",), ("ok",)]


@pytest.mark.timeout(400)  # two workers start one after the other, on a machine that may be busy
def test_real_workers_stream_take_over_and_drain(
    tmp_path: Path, sqlite_url: str, network: BlueskyServer, jetstream: JetstreamServer
) -> None:
    world = World(tmp_path, sqlite_url)
    try:
        ctx = world.ctx
        source_id = source_of(ctx, network, jetstream)
        jetstream.happens(posts(0, 5))
        first = world.worker()
        until(lambda: len(texts(ctx)) == 5, 120)
        first.kill()
        first.wait()
        jetstream.happens(posts(5, 5))
        with ctx.database.transaction() as tx:  # as if its lease had run out
            rows.change(tx, source_id, lease_until=ctx.clock() - timedelta(seconds=1))

        second = world.worker()
        until(lambda: len(texts(ctx)) == 10, 120)
        assert len(set(texts(ctx))) == 10
        second.send_signal(signal.SIGTERM)
        assert second.wait(30) == 0
        assert row(ctx, source_id).lease_until is None, "it drained, and anybody may go on"
    finally:
        world.end()
