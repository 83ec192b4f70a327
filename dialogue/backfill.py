"""Reading further back: what was said before a source was connected, page by page, beside the source's own reading.

It has a cursor of its own, stored with each page's posts in one transaction, so that a crash loses and doubles nothing
and the next worker goes on from there; where the live reading stands is never touched. Both spend one budget. Where
that is used up, or the platform wants to be left alone, it is put off and goes on by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from db import mentions, sources, workspace
from db import requests as request_rows
from db.engine import Transaction
from db.sources import SourceRow
from dialogue import audit, collecting, points, querying
from dialogue.budgets import Allowance
from dialogue.context import Actor, Context, DialogueError, Missing, Role, require
from dialogue.requests import Progress, PutOff
from listeners import registry
from listeners.base import Cursor, Listener, LooksBack, Page, Query, Reach, Terminal, Transient
from listeners.translation import Plan

KIND = "backfill"
FURTHEST = timedelta(days=3_650)
OPEN = ("active", "paused")
NOWHERE = Reach("Its platform cannot be asked for what was posted before.", possible=False)
ALL_OF_IT = 0.9
"""A listing that ended with fewer than this part of what it may hold had come to its end."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """One take of a request: what it reads, how far back, what it may spend, and where it tells how far it is."""

    ctx: Context
    source: SourceRow
    since: datetime
    allows: Reach
    allowance: Allowance
    progress: Progress


def request(ctx: Context, actor: Actor, source_id: int, since: datetime) -> int:
    """Has the worker read what was posted since a moment (UTC-aware); returns the request's id.

    Raises DialogueError where that cannot be asked.
    """
    require(actor, Role.ADMIN)
    now = ctx.clock()
    if not now - FURTHEST - timedelta(days=1) <= since < now:
        raise DialogueError("Choose a day in the last ten years.")
    with ctx.database.transaction() as tx:
        source = _source(tx, source_id)
        allows = reach(source.platform, source.mode)
        if source.sample or not allows.possible:
            raise DialogueError(f"This source cannot be read further back. {allows.words}")
        if _open_of(tx, source_id):
            raise DialogueError("This source is being read further back already.")
        payload = {"source_id": source_id, "since": max(since, earliest(allows, now)).isoformat()}
        request_id = request_rows.add(tx, KIND, payload, actor.user_id, now)
        audit.record(tx, ctx, actor, "read back", "source", source_id, since=payload["since"])
    ctx.triggers.serve(request_id)
    return request_id


def reach(platform: str, mode: str) -> Reach:
    """How far back a source that listens in this mode can be read; the words say it, and where it cannot, why."""
    try:
        read_by = querying.looked_at_by(registry.capability(platform), mode)
    except Terminal:
        return NOWHERE
    return NOWHERE if read_by is None or read_by.reach is None else read_by.reach


def earliest(allows: Reach, now: datetime) -> datetime:
    """The first moment since when it can be asked to read."""
    return now - min(FURTHEST, allows.at_most or FURTHEST)


def end(tx: Transaction, source_id: int, now: datetime) -> bool:
    """Ends the reading further back of a source whose query changes: the rest of it would be of another query.

    Returns whether there was one. A page that is on its way is not stored any more.
    """
    return sum(request_rows.cancel(tx, request_id, now) for request_id in _open_of(tx, source_id)) > 0


def _open_of(tx: Transaction, source_id: int) -> list[int]:
    return [one.id for one in request_rows.open_ones(tx) if one.kind == KIND and one.payload["source_id"] == source_id]


def _source(tx: Transaction, source_id: int) -> SourceRow:
    source = sources.get(tx, source_id)
    if source is None or source.state not in OPEN:
        raise Missing("This source is not there any more.")
    return source


def read(ctx: Context, payload: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Handler: reads back to `since`; {"pages", "posts" (given, some twice), "new", "oldest", "newest"}.

    Goes on where another take of it was stopped.
    """
    since = datetime.fromisoformat(payload["since"])
    with ctx.database.reading() as tx:
        source = _source(tx, int(payload["source_id"]))
        account = sources.account(tx, source.account_id) if source.account_id else None
    listener = collecting.open_listener(ctx, source.platform, account, source.options)
    plan, mode = _read_by(source)
    kept = {"pages": 0, "posts": 0, "new": 0, "oldest": None, "newest": None} | progress.result
    cursor: Cursor = kept.get("cursor") or beginning(listener, plan, mode, since)
    allowance = collecting.allowance_of(source, account)
    reading = _Reading(ctx, source, since, reach(source.platform, source.mode), allowance, progress)
    _take(ctx, allowance, kept)
    try:
        for page in plan.fetch(listener, mode, cursor):
            kept = _store(reading, page, kept)
            points.reached("backfill.after_page")
            if allowance.until is not None:
                raise PutOff(allowance.until, "The platform's limit is used up.", kept)
    except Transient as error:
        wait = collecting.back_off(0) if error.retry_after is None else max(error.retry_after, 1.0)
        until = ctx.clock() + timedelta(seconds=min(wait, collecting.LONGEST_WISH))
        raise PutOff(until, str(error), kept) from error
    with ctx.database.transaction() as tx:
        allowance.give_back(tx)  # the request after the last page was not made
    ctx.triggers.understand()
    kept.pop("cursor", None)
    return kept | {"words": _words(reading.allows, kept, since)}


def _read_by(source: SourceRow) -> tuple[Plan, str]:
    """What its platform is asked, and in which mode: a stream has no past, its search has. Raises Terminal."""
    read_by = querying.looked_at_by(registry.capability(source.platform), source.mode)
    mode = read_by.name if read_by else source.mode
    return querying.plan_of(replace(source, mode=mode)), mode


def beginning(listener: Listener, plan: Plan, mode: str, since: datetime) -> Cursor:
    """The cursor from which `plan.fetch` reads everything since a moment. Raises DialogueError."""
    if not isinstance(listener, LooksBack):
        raise DialogueError(f"{listener.capability.title} cannot be read further back.")
    starts = {words: listener.since(Query(words, mode), since) for words in plan.asked}
    first = plan.asked[0]
    return starts[first] if len(starts) == 1 else {"searches": starts, "at": first}


def _take(ctx: Context, allowance: Allowance, kept: dict[str, Any]) -> None:
    """Takes the first request. Raises PutOff where there is none to be had."""
    with ctx.database.transaction() as tx:
        until = allowance.take(tx, ctx.clock())
    if until is not None:
        raise PutOff(until, "The platform's limit is used up.", kept)


def _store(reading: _Reading, page: Page, kept: dict[str, Any]) -> dict[str, Any]:
    """Stores a page with the cursor to go on from, in one transaction. Raises Stopped, Missing."""
    ctx, source, now = reading.ctx, reading.source, reading.ctx.clock()
    wanted = [post for post in page.posts if post.posted_at >= reading.since]
    with ctx.database.transaction() as tx:
        _source(tx, source.id)
        stored = mentions.upsert(
            tx, map(collecting.as_mention, wanted), now=now, digest=ctx.secrets.digest, source_id=source.id
        )
        stored += collecting.heed(ctx, tx, source, page)
        kept = _further(kept, page, [post.posted_at.isoformat() for post in wanted], stored.new)
        reading.allowance.answered(tx, now, page.budget)
        reading.allowance.take(tx, now)
        points.reached("backfill.before_commit")
        reading.progress.write(
            tx, result=kept, words=f"{_so_far(kept, reading.allows)} · days read",
            done=_days_read(kept, reading.allows, reading.since, now), total=_days(now, reading.since),
        )  # fmt: skip
        if stored.new:
            workspace.bump(tx)
    return kept


def _further(kept: dict[str, Any], page: Page, moments: list[str], new: int) -> dict[str, Any]:
    """How far it is with a page more, whose wanted posts were made at these moments."""
    return kept | {
        "cursor": page.cursor, "pages": kept["pages"] + 1, "new": kept["new"] + new,
        "posts": kept["posts"] + len(page.posts) + page.filtered,
        "oldest": min([*moments, *filter(None, [kept["oldest"]])], default=None),
        "newest": max([*moments, *filter(None, [kept["newest"]])], default=None),
    }  # fmt: skip


def _days_read(kept: dict[str, Any], allows: Reach, since: datetime, now: datetime) -> int:
    if kept["oldest"] is None:
        return 0
    if allows.oldest_first:
        return _days(datetime.fromisoformat(kept["newest"]), since)
    return _days(now, datetime.fromisoformat(kept["oldest"]))


def _days(later: datetime, earlier: datetime) -> int:
    return max(0, (later - earlier).days)


def _so_far(kept: dict[str, Any], allows: Reach) -> str:
    reached = ""
    if kept["oldest"]:
        reached = f", up to {_day(kept['newest'])}" if allows.oldest_first else f", back to {_day(kept['oldest'])}"
    # Slices of time overlap by a post or two: what a page gives again is not told as another.
    return f"{kept['pages']:,} pages, {kept['new']:,} new posts{reached}"


def _words(allows: Reach, kept: dict[str, Any], since: datetime) -> str:
    """What came of it, honest about how far back it got."""
    words = f"Read {_so_far(kept, allows)}."
    if allows.ends_after is not None and kept["posts"] >= allows.ends_after * ALL_OF_IT:
        return f"{words} {allows.words} What is older cannot be read."
    bound = f" {allows.words}" if allows.at_most is not None else ""
    return f"{words} That is everything since {_day(since.isoformat())}.{bound}"


def _day(moment: str) -> str:
    return f"{datetime.fromisoformat(moment).astimezone(UTC):%d %b %Y}".lstrip("0")
