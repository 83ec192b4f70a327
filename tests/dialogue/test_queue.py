"""The queue and the worker as real processes: work is picked up soon, a signal drains, a lost parent ends it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from dialogue import health, queue, requests, sources, start, understanding
from dialogue.context import SYSTEM, Context
from dialogue.queue import HueyTriggers, make_huey
from settings import Settings
from tests.conftest import Clock
from tests.worlds import look

ROOT = Path(__file__).parents[2]


def _until(true: Callable[[], bool], seconds: float = 40.0) -> None:
    """Waits for something another process does; a deadline, not a pace."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


class World:
    """A data folder with a database, and the workers that were started on it."""

    def __init__(self, folder: Path, url: str) -> None:
        self.settings = Settings(
            data_dir=folder, database_url=url, secret_key="k" * 40, allow_private_hosts=True, _env_file=None
        )
        self.ctx: Context = start.context(self.settings)
        start.prepare(self.ctx)
        self.workers: list[subprocess.Popen[bytes]] = []

    def worker(self, *arguments: str) -> subprocess.Popen[bytes]:
        environment = os.environ | {
            "DATA_DIR": str(self.settings.data_dir),
            "DATABASE_URL": self.settings.database,
            "SECRET_KEY": "k" * 40,
            "ALLOW_PRIVATE_HOSTS": "true",
        }
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "worker.py"), *arguments], stdin=subprocess.PIPE, env=environment, cwd=ROOT
        )
        self.workers.append(process)
        _until(lambda: health.worker(self.ctx).alive)
        return process

    def ask(self) -> int:
        """A request for the worker."""
        with self.ctx.database.transaction() as tx:
            from db import requests as rows

            return rows.add(tx, "rebuild_rollups", {}, None, datetime.now(UTC))

    def end(self) -> None:
        for process in self.workers:
            if process.poll() is None:
                process.kill()
            process.wait()
            if process.stdin is not None:
                process.stdin.close()
        self.ctx.database.dispose()


@pytest.fixture
def world(tmp_path: Path, any_url: str) -> Iterator[World]:
    world = World(tmp_path, any_url)
    yield world
    world.end()


def test_a_trigger_is_served_and_a_signal_drains(world: World) -> None:
    worker = world.worker()
    request_id = world.ask()
    world.ctx.triggers.serve(request_id)
    _until(lambda: requests.get(world.ctx, request_id).state == "done")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    assert not health.worker(world.ctx).alive, "it took itself off the list"


def test_work_without_a_trigger_is_found_by_the_sweep(world: World) -> None:
    request_id = world.ask()
    worker = world.worker("--with-parent")
    _until(lambda: requests.get(world.ctx, request_id).state == "done")
    assert worker.stdin is not None
    worker.stdin.close()
    assert worker.wait(30) == 0, "it ends when its parent is gone"


def test_a_doubled_trigger_does_no_harm(world: World) -> None:
    request_id = world.ask()
    for _ in range(5):
        world.ctx.triggers.serve(request_id)
    world.worker()
    _until(lambda: requests.get(world.ctx, request_id).state == "done")
    with world.ctx.database.reading() as tx:
        assert tx.connection.execute(text("SELECT fence FROM worker_requests")).scalar() == 1


def test_a_second_signal_does_not_wait_for_a_platform_that_hangs(tmp_path: Path, sqlite_url: str) -> None:
    world = World(tmp_path, sqlite_url)
    try:
        with socket.create_server(("127.0.0.1", 0)) as hangs:
            address = f"http://127.0.0.1:{hangs.getsockname()[1]}/feed"
            sources.add(world.ctx, SYSTEM, "feed", address, "", "Hangs", None)
            worker = world.worker()
            hangs.settimeout(40)
            connection, _ = hangs.accept()
            worker.send_signal(signal.SIGTERM)
            with pytest.raises(subprocess.TimeoutExpired):
                worker.wait(2)
            worker.send_signal(signal.SIGTERM)
            asked = time.monotonic()
            assert worker.wait(30) == 0
            assert time.monotonic() - asked < 10, "the platform's own time-out is 20 seconds"
            connection.close()
        assert look(world.ctx, "SELECT state FROM sources") == [("active",)], "it is asked again once its lease is over"
    finally:
        world.end()


def test_triggers_are_cheap(tmp_path: Path) -> None:
    triggers = HueyTriggers(make_huey(f"sqlite:///{tmp_path / 'samtal.db'}", tmp_path))
    triggers.collect(1)
    triggers.understand()
    triggers.deliver(1, datetime.now(UTC))
    triggers.serve(1)
    assert (tmp_path / "queue.db").exists()


def test_a_worker_that_cannot_start_says_why_in_one_line(tmp_path: Path) -> None:
    environment = os.environ | {"DATA_DIR": str(tmp_path), "DATABASE_URL": "mysql://nowhere"}
    ended = subprocess.run(
        [sys.executable, str(ROOT / "worker.py")],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr.strip().splitlines() == [
        "samtal worker: DATABASE_URL must begin with sqlite:/// or postgresql://"
    ]


def test_health_tells_when_no_worker_was_ever_there_or_one_has_gone_silent(ctx: Context, clock: Clock) -> None:
    from db import workers

    assert "No worker" in health.worker(ctx).words
    with ctx.database.transaction() as tx:
        workers.beat(tx, "w", clock(), clock(), "1")
    assert health.worker(ctx).alive
    clock.forward(minutes=5)
    silent = health.worker(ctx)
    assert not silent.alive
    assert "5 minutes" in silent.words


def test_what_comes_while_the_reader_lets_go_is_read_without_waiting_for_the_sweep(
    ctx: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = queue.Tasks(make_huey(f"sqlite:///{tmp_path}/samtal.db", tmp_path), ctx)
    reads: list[str] = []

    def understand(_: Context) -> None:
        reads.append("")
        if len(reads) == 1:  # it has found nothing more, and still holds the lock
            other = threading.Thread(target=tasks._understand)
            other.start()
            other.join(10)
            assert not other.is_alive(), "nobody waits for the reader"

    monkeypatch.setattr(understanding, "understand", understand)
    tasks._understand()
    assert len(reads) == 2


def test_triggers_from_everywhere_leave_nothing_unread(
    ctx: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = queue.Tasks(make_huey(f"sqlite:///{tmp_path}/samtal.db", tmp_path), ctx)
    waiting: set[int] = set()

    def understand(_: Context) -> None:
        waiting.clear()

    def brings(first: int) -> None:
        for number in range(first, first + 500):
            waiting.add(number)
            tasks._understand()

    monkeypatch.setattr(understanding, "understand", understand)
    threads = [threading.Thread(target=brings, args=(n * 500,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert waiting == set()
