"""Reading further back: what was said before a source was connected, page by page, beside the source's own reading.

It has a cursor of its own, stored with each page's posts in one transaction, so that a crash loses and doubles nothing
and the next worker goes on from there; where the live reading stands is never touched. Both spend one budget. Where
that is used up, or the platform wants to be left alone, it is put off and goes on by itself.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from db import mentions, sources, workspace
from db import requests as request_rows
from db.engine import Transaction
from db.mentions import Stored
from db.sources import SourceRow
from dialogue import audit, collecting, points, querying
from dialogue.budgets import Allowance
from dialogue.context import Actor, Context, DialogueError, Missing, Role, require
from dialogue.requests import Progress, PutOff
from listeners import registry
from listeners.base import Capability, Cursor, Listener, LooksBack, Page, Query, Transient

KIND = "backfill"
FURTHEST = timedelta(days=3_650)
OPEN = ("active", "paused")


def request(ctx: Context, actor: Actor, source_id: int, since: datetime) -> int:
    """Has the worker read what was posted since a moment (UTC-aware); returns the request's id.

    Raises DialogueError where that cannot be asked.
    """
    require(actor, Role.ADMIN)
    now = ctx.clock()
    if not now - FURTHEST <= since < now:
        raise DialogueError("Choose a day in the last ten years.")
    with ctx.database.transaction() as tx:
        source = _source(tx, source_id)
        allows = registry.capability(source.platform)
        if source.sample or not allows.looks_back:
            raise DialogueError(f"{allows.title} cannot be read further back.")
        if any(one.kind == KIND and one.payload["source_id"] == source_id for one in request_rows.open_ones(tx)):
            raise DialogueError("This source is being read further back already.")
        payload = {"source_id": source_id, "since": _within(allows, since, now).isoformat()}
        request_id = request_rows.add(tx, KIND, payload, actor.user_id, now)
        audit.record(tx, ctx, actor, "read back", "source", source_id, since=payload["since"])
    ctx.triggers.serve(request_id)
    return request_id


def possible(platform: str) -> bool:
    """Whether a platform's sources can be read further back."""
    return registry.capability(platform).looks_back


def _within(allows: Capability, since: datetime, now: datetime) -> datetime:
    return since if allows.back_at_most is None else max(since, now - allows.back_at_most)


def _source(tx: Transaction, source_id: int) -> SourceRow:
    source = sources.get(tx, source_id)
    if source is None or source.state not in OPEN:
        raise Missing("This source is not there any more.")
    return source


def read(ctx: Context, payload: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Handler: reads back to `since`; {"pages", "posts" (given, some twice), "new", "oldest"}.

    Goes on where another take of it was stopped.
    """
    since = datetime.fromisoformat(payload["since"])
    with ctx.database.reading() as tx:
        source = _source(tx, int(payload["source_id"]))
        account = sources.account(tx, source.account_id) if source.account_id else None
    listener = collecting.open_listener(ctx, source.platform, account, source.options)
    plan = querying.plan_of(source)
    kept = {"pages": 0, "posts": 0, "new": 0, "oldest": None} | progress.result
    cursor: Cursor = kept.get("cursor") or _beginning(listener, plan.asked, source.mode, since)
    allowance = collecting.allowance_of(source, account)
    _take(ctx, source, allowance, kept)
    try:
        for page in plan.fetch(listener, source.mode, cursor):
            kept = _store(ctx, source, page, kept, since, allowance, progress)
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
    return kept | {"words": _words(registry.capability(source.platform), kept, since)}


def _beginning(listener: Listener, asked: tuple[str, ...], mode: str, since: datetime) -> Cursor:
    if not isinstance(listener, LooksBack):
        raise DialogueError(f"{listener.capability.title} cannot be read further back.")
    starts = {words: listener.since(Query(words, mode), since) for words in asked}
    return starts[asked[0]] if len(asked) == 1 else {"searches": starts, "at": asked[0]}


def _take(ctx: Context, source: SourceRow, allowance: Allowance, kept: dict[str, Any]) -> None:
    """Takes the first request. Raises PutOff where there is none to be had."""
    with ctx.database.transaction() as tx:
        until = allowance.take(tx, ctx.clock())
    if until is not None:
        raise PutOff(until, "The platform's limit is used up.", kept)


def _store(
    ctx: Context,
    source: SourceRow,
    page: Page,
    kept: dict[str, Any],
    since: datetime,
    allowance: Allowance,
    progress: Progress,
) -> dict[str, Any]:
    """Stores a page with the cursor to go on from, in one transaction. Raises Stopped, Missing."""
    now = ctx.clock()
    wanted = [post for post in page.posts if post.posted_at >= since]
    with ctx.database.transaction() as tx:
        _source(tx, source.id)
        stored: Stored = mentions.upsert(
            tx, map(collecting.as_mention, wanted), now=now, digest=ctx.secrets.digest, source_id=source.id
        )
        moments = [post.posted_at.isoformat() for post in wanted] + [kept["oldest"]] * bool(kept["oldest"])
        oldest = min(moments, default=None)
        kept = kept | {
            "cursor": page.cursor, "pages": kept["pages"] + 1, "posts": kept["posts"] + len(wanted),
            "new": kept["new"] + stored.new, "oldest": oldest,
        }  # fmt: skip
        allowance.answered(tx, now, page.budget)
        allowance.take(tx, now)
        points.reached("backfill.before_commit")
        days = {"done": _days(now, oldest), "total": _days(now, since.isoformat())}
        progress.write(tx, result=kept, words=f"{_so_far(kept)} · days read", **days)
        if stored.new:
            workspace.bump(tx)
    return kept


def _days(now: datetime, moment: str | None) -> int:
    return 0 if moment is None else max(0, (now - datetime.fromisoformat(moment)).days)


def _so_far(kept: dict[str, Any]) -> str:
    back = f", back to {_day(kept['oldest'])}" if kept["oldest"] else ""
    # Slices of time overlap by a post or two: what a page gives again is not told as another.
    return f"{kept['pages']:,} pages, {kept['new']:,} new posts{back}"


def _words(allows: Capability, kept: dict[str, Any], since: datetime) -> str:
    """What came of it, honest about how far back it got."""
    words = f"Read {_so_far(kept)}."
    if not allows.listing_ends or kept["posts"] < allows.listing_ends * 0.9:
        return f"{words} That is everything since {_day(since.isoformat())}."
    return f"{words} {allows.title} lists no more than about {allows.listing_ends:,}: what is older cannot be read."


def _day(moment: str) -> str:
    return f"{datetime.fromisoformat(moment).astimezone(UTC):%d %b %Y}".lstrip("0")
