"""Streams: a source that tells of posts as they are made is held by one worker for as long as that goes well.

Each stream has a thread of its own, so that it keeps no task of the queue waiting. What it brings is stored as any
page is, with the cursor, and the lease is renewed with it: several times a minute, also when nothing comes. A
connection that is cut is made again from the last cursor. When a worker dies, the lease runs out and another one goes
on from there.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

from db import sources, workspace
from db.mentions import Stored
from db.sources import SourceRow
from dialogue import credentials, privacy, querying
from dialogue.budgets import Allowance
from dialogue.collecting import LostLease, Read, collect, store_page
from dialogue.context import Context
from listeners import registry
from listeners.base import Budget, Listener, Page, Query, Streams, Terminal, Transient
from listeners.translation import Plan

MOST = 8
"""Streams in one worker; further ones wait for another worker, or until one ends."""
LEASE = timedelta(seconds=60)
"""Twelve times STREAM_BEAT, after which a stream tells that it still runs."""
LOOK_EVERY = 2.0
"""Seconds between two looks whether the source is still ours to read."""
TRIES = 5
"""So often in a row a stream is opened again by itself; then it rests as any source that fails does."""
FIRST_WAIT = 0.5
LONGEST_WAIT = 16.0
"""Seconds before it is opened again, doubled from the first to the longest."""
DRAIN = 10.0
"""Seconds in which running streams end once the worker was asked to stop."""

log = logging.getLogger(__name__)


def is_stream(ctx: Context, source_id: int) -> bool:
    """Whether a source is read by a stream rather than asked from time to time."""
    with ctx.database.reading() as tx:
        source = sources.get(tx, source_id)
    if source is None:
        return False
    try:
        modes = registry.capability(source.platform).modes
    except Terminal:
        return False  # its platform is gone: asking it once says so
    return any(mode.streams for mode in modes if mode.name == source.mode)


class Running:
    """The streams of this worker."""

    def __init__(self, ctx: Context, most: int = MOST) -> None:
        self._ctx = ctx
        self._most = most
        self._stopping = threading.Event()
        self._threads: dict[int, threading.Thread] = {}
        self._guard = threading.Lock()

    def begin(self, source_id: int) -> bool:
        """Holds a due source from now on. False where it runs here already, or there is no room."""
        with self._guard:
            if self._stopping.is_set() or source_id in self._threads or len(self._threads) >= self._most:
                return False
            thread = threading.Thread(target=self._run, args=(source_id,), name=f"stream {source_id}", daemon=True)
            self._threads[source_id] = thread
        thread.start()
        return True

    def stop(self) -> None:
        """Asks all of them to end, and lets none begin."""
        self._stopping.set()

    def drain(self, seconds: float = DRAIN) -> bool:
        """Stops, and waits until they have stored what had come; False where one took too long."""
        self.stop()
        until = time.monotonic() + seconds
        with self._guard:
            threads = list(self._threads.values())
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def _run(self, source_id: int) -> None:
        try:
            listen(self._ctx, source_id, self._stopping)
        except Exception:  # the database may be away: the sweep begins the stream again once its lease has run out
            log.exception("The stream of source %d ended", source_id)
        finally:
            with self._guard:
                del self._threads[source_id]


def listen(ctx: Context, source_id: int, stopping: threading.Event) -> str | None:
    """Holds a due source and stores what it streams, until `stopping`; returns as `collect` does."""

    def walk(ctx: Context, source: SourceRow, listener: Listener, run_id: int, allowance: Allowance) -> Read:
        return _Stream(ctx, source, listener, run_id, allowance, stopping).read()

    return collect(ctx, source_id, walk)


class _Stream:
    """One source while it is held."""

    def __init__(
        self,
        ctx: Context,
        source: SourceRow,
        listener: Listener,
        run_id: int,
        allowance: Allowance,
        stopping: threading.Event,
    ) -> None:
        if not isinstance(listener, Streams):
            raise Terminal("This platform cannot be streamed.", "Choose another way to listen.")
        self._ctx = ctx
        self._source = source
        self._listener: Streams = listener
        self._run_id = run_id
        self._allowance = allowance
        self._stopping = stopping
        self._only = _filter(source)
        self._cursor = source.cursor
        self._so_far = Read(again_in=0.0)
        self._looked = time.monotonic()
        self._lost = False
        self._asking: threading.Thread | None = None
        self._failing = source.last_success_at is None or bool(source.last_error_kind)

    def read(self) -> Read:
        """Until it has to end. Raises LostLease, Terminal, and Transient where it cannot be opened again."""
        tries = 0
        while not self._must_end():
            try:
                for page in self._listener.stream(self._query, self._cursor, stop=self._must_end):
                    tries = 0
                    self._store(page)
                    if self._allowance.until is not None:
                        return self._ended((self._allowance.until - self._ctx.clock()).total_seconds())
            except Transient as error:
                tries += 1
                wait = _wait(tries) if error.retry_after is None else error.retry_after
                if tries > TRIES or wait > 2 * LONGEST_WAIT:
                    raise
                log.info("Source %d (%s): %s", self._source.id, self._source.platform, error)
                self._pause(wait)
        if self._lost:
            raise LostLease
        return self._ended(0.0)

    @property
    def _query(self) -> Query:
        return Query(self._source.query, self._source.mode)

    def _ended(self, again_in: float) -> Read:
        self._so_far.again_in = max(0.0, again_in)
        return self._so_far

    def _store(self, page: Page) -> None:
        """Raises LostLease."""
        page = _narrowed(page, self._only)
        brings = page.posts or page.edits or page.gone or page.gone_authors or page.rejected or page.budget != Budget()
        stored = self._store_page(page) if brings else self._beat(page)
        self._cursor = page.cursor
        self._so_far.stored += stored
        self._so_far.pages += 1
        self._so_far.fresh += stored.new
        if stored.new or stored.edited:
            self._ctx.triggers.understand()

    def _store_page(self, page: Page) -> Stored:
        asked = self._allowance if page.budget != Budget() else None
        stored = store_page(self._ctx, self._source, page, self._run_id, asked, **self._well())
        self._say_that_it_works()
        return stored

    def _beat(self, page: Page) -> Stored:
        """Nothing came, as it is once everything has been read: the cursor and the lease move on."""
        with self._ctx.database.transaction() as tx:
            if not sources.holds(tx, self._source):
                raise LostLease
            sources.change(tx, self._source.id, cursor=page.cursor, read_until=self._ctx.clock(), **self._well())
        self._say_that_it_works()
        return Stored()

    def _well(self) -> dict[str, Any]:
        """Columns of a source that is being streamed: due all the time, and held."""
        now = self._ctx.clock()
        return {
            "lease_until": now + LEASE, "next_run_at": now, "last_success_at": now, "failures": 0, "last_error": "",
            "last_error_kind": "", "what_to_do": "", "waits_for": "",
        }  # fmt: skip

    def _say_that_it_works(self) -> None:
        """Once, after it had failed: the account is good again, and open pages look at what has changed."""
        if not self._failing:
            return
        self._failing = False
        with self._ctx.database.transaction() as tx:
            workspace.bump(tx)
            account = sources.account(tx, self._source.account_id) if self._source.account_id else None
        if account is not None and account.refused_at is not None:
            credentials.accepted(self._ctx, account)

    def _must_end(self) -> bool:
        """Asked several times a second; looks at the database every LOOK_EVERY seconds."""
        if self._stopping.is_set() or self._lost:
            return True
        if time.monotonic() - self._looked >= LOOK_EVERY:
            self._looked = time.monotonic()
            with self._ctx.database.reading() as tx:
                now = sources.get(tx, self._source.id)
            self._lost = now is None or now.fence != self._source.fence or now.state != "active"
            if now is not None and now.recheck_at is not None and now.recheck_at <= self._ctx.clock():
                self._ask_what_stands()
        return self._lost

    def _ask_what_stands(self) -> None:
        """Beside the stream, which must not wait for it; nobody else asks while the source is held."""
        if self._asking is None or not self._asking.is_alive():
            asking = (self._ctx, self._source)
            self._asking = threading.Thread(target=privacy.recheck_beside, args=asking, name="recheck", daemon=True)
            self._asking.start()

    def _pause(self, seconds: float) -> None:
        """Waits before the next connection, and keeps the lease meanwhile. Raises LostLease."""
        with self._ctx.database.transaction() as tx:
            if not sources.holds(tx, self._source):
                raise LostLease
            sources.change(tx, self._source.id, lease_until=self._ctx.clock() + LEASE)
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._must_end():
            self._stopping.wait(min(left, LOOK_EVERY / 4))


def _wait(tries: int) -> float:
    """Half as much more or less, so that streams that were cut together do not come back together."""
    return min(FIRST_WAIT * 2.0 ** (tries - 1), LONGEST_WAIT) * random.uniform(0.5, 1.5)


def _filter(source: SourceRow) -> Plan | None:
    """The filter beside a query that is no search; a search holds its posts against its words itself."""
    modes = registry.capability(source.platform).modes
    searches = any(mode.syntax is not None for mode in modes if mode.name == source.mode)
    return None if searches else querying.plan_of(source)


def _narrowed(page: Page, only: Plan | None) -> Page:
    """The page without what the filter leaves out, unless it is stored: then it was changed to what it says now."""
    if only is None or not page.posts:
        return page
    return replace(only.of(page), edits=[*page.edits, *(post for post in page.posts if not only.keeps(post))])
