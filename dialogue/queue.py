"""The queue: Huey carries triggers, the database carries the truth.

A trigger that is lost or doubled does no harm. Every few seconds a sweep looks at the database for whatever is due and
nobody holds, so that a trigger only makes things happen sooner. Work is claimed by a lease on its row.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from huey import PostgresHuey, SqliteHuey
from huey.api import Huey
from huey.consumer import Consumer, Scheduler

from db import workers
from db.engine import Database
from dialogue import (
    checking,
    collecting,
    hooks,
    housekeeping,
    privacy,
    renewing,
    replies,
    requests,
    streaming,
    themes,
    understanding,
)
from dialogue.context import Context

SWEEP_EVERY = 2
"""Seconds between two looks at what is due: what a due source or an undone reply waits at most without a trigger."""
TRIGGERED_RECENTLY = 20.0
"""Seconds for which the sweep trusts a trigger that it gave itself and that has not come up yet."""
TIDY_EVERY = 3_600.0
BEAT_EVERY = 5.0
FORGET_WORKERS_AFTER = timedelta(days=1)
DRAIN = 20
"""Seconds that running tasks may take once the worker was asked to stop."""

log = logging.getLogger(__name__)


def make_huey(database_url: str, data_dir: Path) -> Huey:
    """The queue that belongs to a database: a file in DATA_DIR beside SQLite, tables in the same PostgreSQL."""
    if database_url.startswith("postgresql"):
        dsn = database_url.replace("postgresql+psycopg://", "postgresql://", 1)
        return PostgresHuey("samtal", dsn=dsn, results=False, store_none=False)
    # fsync off: a trigger lost to a power cut is found by the sweep.
    return SqliteHuey("samtal", filename=str(data_dir / "queue.db"), results=False, store_none=False, fsync=False)


class HueyTriggers:
    """Wakes the worker through the queue."""

    def __init__(self, huey: Huey) -> None:
        self._tasks = Tasks(huey)

    def collect(self, source_id: int) -> None:
        """Asks for a source to be read."""
        self._tasks.enqueue("collect", source_id)

    def understand(self) -> None:
        """Asks for untagged mentions to be read by the model."""
        self._tasks.enqueue("understand")

    def deliver(self, reply_id: int, at: datetime | None = None) -> None:
        """Asks for a reply to be sent, not before `at`."""
        self._tasks.enqueue("deliver", reply_id, at=at)

    def serve(self, request_id: int) -> None:
        """Asks for a request to be answered."""
        self._tasks.enqueue("serve", request_id)


class Tasks:
    """The tasks of one queue. Without a context they can only be enqueued; the worker's have one and run."""

    def __init__(self, huey: Huey, ctx: Context | None = None) -> None:
        self._ctx = ctx
        self._given: dict[tuple[Any, ...], float] = {}
        self._reading = threading.Lock()
        self._to_read = threading.Event()
        self.streams = None if ctx is None else streaming.Running(ctx)
        self._tidied = 0.0
        # The most urgent first: what somebody watches goes before what nobody waits for.
        run: dict[str, Callable[..., None]] = {
            "deliver": self._deliver,
            "understand": self._understand,
            "serve": self._serve,
            "renew": self._renew,
            "collect": self._collect,
            "recheck": self._recheck,
            "read_hook": self._read_hook,
            "check_account": self._check_account,
            "tidy": self._tidy,
            "themes": self._themes,
        }
        self._tasks = {
            name: huey.task(name=name, priority=len(run) - place)(work)
            for place, (name, work) in enumerate(run.items())
        }
        # A sweep that waited for its turn is stale: the next one is due already.
        huey.periodic_task(lambda _: True, name="sweep", expires=SWEEP_EVERY, priority=len(run) + 1)(self._sweep)

    def enqueue(self, name: str, *arguments: int, at: datetime | None = None) -> None:
        """Puts a task on the queue, at a moment (UTC-aware) or now."""
        if at is None:
            self._tasks[name](*arguments)
        else:
            self._tasks[name].schedule(arguments, eta=at)

    @property
    def ctx(self) -> Context:
        """The world of the worker."""
        if self._ctx is None:
            raise RuntimeError("this process only gives triggers; the worker runs tasks")
        return self._ctx

    def _collect(self, source_id: int) -> None:
        if self.streams is not None and streaming.is_stream(self.ctx, source_id):
            self.streams.begin(source_id)  # where there is no room, it is trusted to another worker for a while
            return
        self._given.pop(("collect", source_id), None)
        collecting.collect(self.ctx, source_id)

    def _understand(self) -> None:
        self._given.pop(("understand",), None)
        # One reader a process: the model has its own threads. Whoever finds it taken leaves word, and the one that
        # reads looks for that once it has let go.
        self._to_read.set()
        while self._to_read.is_set() and self._reading.acquire(blocking=False):
            try:
                self._to_read.clear()
                understanding.understand(self.ctx)
            finally:
                self._reading.release()

    def _deliver(self, reply_id: int) -> None:
        self._given.pop(("deliver", reply_id), None)
        replies.deliver(self.ctx, reply_id)

    def _serve(self, request_id: int) -> None:
        self._given.pop(("serve", request_id), None)
        requests.serve(self.ctx, request_id)

    def _recheck(self, source_id: int) -> None:
        self._given.pop(("recheck", source_id), None)
        privacy.recheck(self.ctx, source_id)

    def _check_account(self, account_id: int) -> None:
        self._given.pop(("check_account", account_id), None)
        checking.check(self.ctx, account_id)

    def _renew(self, account_id: int) -> None:
        self._given.pop(("renew", account_id), None)
        renewing.renew(self.ctx, account_id)

    def _read_hook(self, source_id: int) -> None:
        self._given.pop(("read_hook", source_id), None)
        hooks.read_waiting(self.ctx, source_id)

    def _tidy(self) -> None:
        housekeeping.tidy(self.ctx)

    def _themes(self) -> None:
        self._given.pop(("themes",), None)
        themes.find(self.ctx)

    def _sweep(self) -> None:
        """Triggers whatever is due; expired leases are due again, except a reply's, which makes it unknown."""
        ctx = self.ctx
        self._trigger("deliver", replies.sweep(ctx))
        self._trigger("serve", requests.due(ctx))
        self._trigger("renew", renewing.due(ctx))
        self._trigger("collect", collecting.due(ctx))
        self._trigger("recheck", privacy.due(ctx))
        self._trigger("read_hook", hooks.due(ctx))
        self._trigger("check_account", checking.due(ctx))
        if understanding.waiting(ctx):
            self._trigger_once("understand")
        if themes.due(ctx):
            self._trigger_once("themes")
        if time.monotonic() - self._tidied > TIDY_EVERY:
            self._tidied = time.monotonic()
            self.enqueue("tidy")

    def _trigger(self, name: str, ids: Iterable[int]) -> None:
        for id_ in ids:
            self._trigger_once(name, id_)

    def _trigger_once(self, name: str, *arguments: int) -> None:
        key, now = (name, *arguments), time.monotonic()
        if now - self._given.get(key, -TRIGGERED_RECENTLY) >= TRIGGERED_RECENTLY:
            self._given[key] = now
            self.enqueue(name, *arguments)


# The worker -----------------------------------------------------------------------------------------------------------


class _Scheduler(Scheduler):  # type: ignore[misc]
    periodic_task_seconds = SWEEP_EVERY


class _Consumer(Consumer):  # type: ignore[misc]
    """Huey's consumer, which sweeps more often than once a minute and drains on SIGTERM as on SIGINT."""

    scheduler_class = _Scheduler

    def __init__(self, huey: Huey, **options: Any) -> None:
        super().__init__(huey, **options)
        # Huey 3 abandons running tasks on the one of these two that is not its graceful signal.
        self._signal_actions = {signal.SIGINT: (False, True), signal.SIGTERM: (False, True)}
        self.at_stop: Callable[[], None] = lambda: None

    def stop(self, graceful: bool = False) -> None:
        self.at_stop()
        super().stop(graceful)


def work(ctx: Context, huey: Huey, *, threads: int, version: str, parent: int | None = None) -> None:
    """Runs the queue until SIGINT or SIGTERM, lets running tasks finish, and returns. A second signal ends it now.

    `parent` is a file descriptor whose other end the parent process holds: when it closes, the worker stops as if it
    had been asked to.
    """
    for noisy in ("huey", "huey.consumer", "httpx", "httpcore"):  # httpx would log every address with its query
        logging.getLogger(noisy).setLevel(logging.WARNING)
    streams = Tasks(huey, ctx).streams
    consumer = _Consumer(
        huey,
        workers=threads,
        initial_delay=0.05,
        max_delay=0.5,
        backoff=1.3,
        scheduler_interval=1,
        check_worker_health=True,
        shutdown_timeout=DRAIN,
    )
    if streams is not None:
        consumer.at_stop = streams.stop  # they end while running tasks finish
    if parent is not None:
        threading.Thread(target=_follow, args=(parent,), name="parent", daemon=True).start()
    stopped = threading.Event()
    pulse = threading.Thread(target=_beat, args=(ctx.database, stopped, version), name="heartbeat", daemon=True)
    pulse.start()
    try:
        consumer.run()
    finally:
        if streams is not None:
            streams.drain()
        stopped.set()
        pulse.join(BEAT_EVERY)


def _follow(parent: int) -> None:
    """Asks this process to stop once nobody holds the pipe's other end any more, and insists after the drain."""
    while os.read(parent, 1024):
        pass
    log.warning("The web process is gone; this worker finishes what it is doing and ends.")
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(DRAIN + 5)
    os._exit(1)  # a task that hangs must not leave an orphan


def _beat(database: Database, stopped: threading.Event, version: str) -> None:
    """Says every few seconds that this worker lives; takes it off the list at the end."""
    name, started = f"{socket.gethostname()} {os.getpid()} {secrets.token_hex(3)}", datetime.now().astimezone()
    while True:
        try:
            with database.transaction() as tx:
                workers.beat(tx, name, started, datetime.now().astimezone(), version, understanding.trouble())
        except Exception:  # the database may be away for a while: the next beat tries again, and the log says so
            log.exception("The heartbeat could not be written")
        if stopped.wait(BEAT_EVERY):
            break
    with database.transaction() as tx:
        workers.leave(tx, name, datetime.now().astimezone() - FORGET_WORKERS_AFTER)
