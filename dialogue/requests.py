"""What people wait for the worker to do: a preview, a test, an import. A row that the worker claims and answers.

A handler is `handler(ctx, payload, progress) -> result`: JSON in, JSON out. It calls `progress` as it goes, which
renews the claim, and it may be run again when a worker was lost: it must go on from what it has stored.
"""

from __future__ import annotations

import importlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from db import requests as rows
from db.engine import Transaction
from db.requests import RequestRow
from dialogue import audit, points
from dialogue.alone import alone
from dialogue.context import Actor, Context, DialogueError, Missing, NotAllowed, Role
from listeners.base import ListeningError, Terminal, clean

LEASE = timedelta(seconds=150)
"""How long a step of a handler may take, longer than one answer of a platform may; renewed with each."""
TAKES = 5
"""A request that has cost so many workers their life, one after the other and for nothing, is not taken again."""
QUOTING = ("preview", "suggest_topics")
"""Kinds whose results quote what people said: kept for a day."""
SECONDS_BETWEEN_WRITES = 0.5

log = logging.getLogger(__name__)

Handler: TypeAlias = "Callable[[Context, dict[str, Any], Progress], dict[str, Any]]"

_HANDLERS: dict[str, str] = {
    "preview": "dialogue.sources:preview",
    "account_test": "dialogue.sources:account_test",
    "remove_source": "dialogue.sources:remove_source",
    "import": "dialogue.uploads:import_file",
    "preview_topics": "dialogue.retagging:preview",
    "apply_topics": "dialogue.retagging:apply",
    "suggest_topics": "dialogue.suggesting:suggest",
    "rebuild_rollups": "dialogue.understanding:rebuild_rollups",
    "sample": "dialogue.sample:load",
    "remove_sample": "dialogue.sample:remove",
    "backfill": "dialogue.backfill:read",
    "search_themes": "dialogue.themes:search",
    "oauth_begin": "dialogue.connecting:prepare",
    "oauth_finish": "dialogue.connecting:finish",
}


class Stopped(Exception):
    """The request was cancelled, or another worker has it: stop, and leave what is stored as it is."""


class PutOff(Exception):
    """Nothing can be done before `until`, for the reason in `words`: then it goes on by itself from `result`."""

    def __init__(self, until: datetime, words: str, result: dict[str, Any]) -> None:
        super().__init__(words)
        self.until, self.words, self.result = until, words, result


@dataclass(frozen=True, slots=True)
class RequestView:
    """A request as it stands. state: waiting, running, done, failed, cancelled. `result` is the handler's, JSON."""

    id: int
    kind: str
    state: str
    done: int
    total: int | None
    words: str
    result: dict[str, Any]
    error: str
    what_to_do: str
    created_at: datetime


class Progress:
    """How a handler tells how far it is. `request_id` is what it works on."""

    def __init__(self, ctx: Context, held: RequestRow) -> None:
        self.request_id = held.id
        self._ctx = ctx
        self._held = held
        self._written = 0.0

    def __call__(self, done: int, total: int | None = None, words: str = "") -> None:
        """Says how far it is and renews the claim; written at most twice a second. Raises Stopped."""
        if time.monotonic() - self._written < SECONDS_BETWEEN_WRITES and done != total:
            return
        with self._ctx.database.transaction() as tx:
            self.write(tx, done=done, total=total, words=words)
        self._written = time.monotonic()

    def write(self, tx: Transaction, **values: Any) -> None:
        """Sets columns of the request in the caller's transaction and renews the claim. Raises Stopped.

        A `result` is what a later take goes on from.
        """
        if "result" in values:
            values["result"] = values["result"] | {CAME_TO: self._held.fence}
        if not rows.write(tx, self._held, lease_until=self._ctx.clock() + LEASE, **values):
            raise Stopped

    @property
    def result(self) -> dict[str, Any]:
        """What an earlier take of this request has left behind with `write(result=…)`."""
        return self._held.result


def register(kind: str, handler: str) -> None:
    """Adds a kind of request; `handler` is "module:function", imported when one is served."""
    _HANDLERS[kind] = handler


def get(ctx: Context, request_id: int) -> RequestView:
    """The request. Raises Missing."""
    with ctx.database.reading() as tx:
        row = rows.get(tx, request_id)
    if row is None:
        raise Missing("This is not there any more; ask again.")
    return _view(row)


def active(ctx: Context, actor: Actor) -> list[RequestView]:
    """What is waiting or being worked on, oldest first: all of it for an administrator, else one's own."""
    with ctx.database.reading() as tx:
        found = rows.open_ones(tx)
    return [_view(row) for row in found if actor.role >= Role.ADMIN or row.user_id == actor.user_id]


def cancel(ctx: Context, actor: Actor, request_id: int) -> None:
    """Stops a request at its next step; what it has stored stays. One's own, or anybody's for an administrator."""
    with ctx.database.transaction() as tx:
        row = rows.get(tx, request_id)
        if row is None:
            raise Missing("This is not there any more.")
        if actor.role < Role.ADMIN and row.user_id != actor.user_id:
            raise NotAllowed("Only an administrator may cancel what somebody else asked for.")
        if rows.cancel(tx, request_id, ctx.clock()):
            audit.record(tx, ctx, actor, "cancelled", "request", request_id, kind=row.kind)


def due(ctx: Context, limit: int = 20) -> list[int]:
    """Requests that should be served now."""
    with ctx.database.reading() as tx:
        return rows.due(tx, ctx.clock(), limit)


def serve(ctx: Context, request_id: int) -> None:
    """Works on a request if it is open and nobody else does; its outcome is written into its row."""
    with alone(ctx, "request", request_id) as free:
        if free:
            _serve(ctx, request_id)


def _serve(ctx: Context, request_id: int) -> None:
    with ctx.database.transaction() as tx:
        held = rows.claim(tx, request_id, ctx.clock(), LEASE)
    if held is None:
        return
    points.reached("serve.claimed")
    try:
        outcome = _outcome(ctx, held)
    except Stopped:
        log.info("Request %d (%s) was cancelled or taken over", held.id, held.kind)
        return
    except PutOff as later:
        log.info("Request %d (%s) goes on at %s: %s", held.id, held.kind, later.until, later.words)
        _put_off(ctx, held, later)
        return
    with ctx.database.transaction() as tx:
        rows.write(tx, held, finished_at=ctx.clock(), lease_until=None, **outcome)


def _put_off(ctx: Context, held: RequestRow, later: PutOff) -> None:
    result = later.result | {CAME_TO: held.fence}
    words = clean(f"{later.words} It goes on by itself.")[:1_000]
    with ctx.database.transaction() as tx:
        rows.write(tx, held, lease_until=later.until, words=words, result=result)


CAME_TO = "came_to"
"""In a result: the last take that came to something, or was put off. Those after it cost a worker its life."""


def _outcome(ctx: Context, held: RequestRow) -> dict[str, Any]:
    """The columns that say how it ended."""
    if held.fence - held.result.get(CAME_TO, 0) > TAKES:
        return _failed("Several workers stopped while they worked on this.", "Look into the worker's log.")
    try:
        result = _handler(held.kind)(ctx, held.payload, Progress(ctx, held))
    except (Stopped, PutOff):
        raise
    except Terminal as error:
        return _failed(str(error), error.what_to_do)
    except ListeningError as error:
        return _failed(str(error), "Try again in a while.")
    except DialogueError as error:
        return _failed(str(error), "")
    except Exception as error:  # whatever a handler does must not stop the worker; it is told as loudly as one can
        log.exception("Request %d (%s) failed in a way nobody foresaw", held.id, held.kind)
        words = f"This failed in a way nobody foresaw ({type(error).__name__}: {str(error)[:200]})."
        return _failed(words, "Report it with the worker's log.")
    words = clean(str(result.pop("words", "Done.")))[:1_000]
    return {"state": "done", "words": words, "result": result, "error": "", "what_to_do": ""}


def _failed(error: str, what_to_do: str) -> dict[str, Any]:
    return {"state": "failed", "error": clean(error)[:1_000], "what_to_do": clean(what_to_do)[:1_000]}


def _handler(kind: str) -> Handler:
    where = _HANDLERS.get(kind)
    if where is None:
        raise DialogueError(f"This version does not know how to do '{kind[:80]}'.")
    module, _, name = where.partition(":")
    handler: Handler = getattr(importlib.import_module(module), name)
    return handler


def _view(row: RequestRow) -> RequestView:
    return RequestView(
        row.id, row.kind, row.state, row.done, row.total, row.words, row.result, row.error, row.what_to_do,
        row.created_at,
    )  # fmt: skip
