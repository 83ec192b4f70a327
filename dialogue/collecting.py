"""Listening: a due source is claimed, read page by page, and each page is stored in one transaction with its cursor.

A crash after any page therefore loses nothing and doubles nothing. One sick source never stops the rest: what went
wrong is stored as data and shown. A transient failure is tried again by itself, a terminal one waits for a person.
"""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from db import mentions, sources, workspace
from db.mentions import NewMention, Stored
from db.sources import AccountRow, PageCount, SourceRow
from dialogue import points
from dialogue.alone import alone
from dialogue.context import Context, DialogueError
from listeners import registry
from listeners.base import Budget, Listener, Options, Page, Post, Query, Terminal, Transient, clean

LEASE = timedelta(seconds=150)
"""How long a page may take, longer than one answer of a platform may; renewed with each page that is stored."""
PAGES_A_RUN = 20
"""Then others get a turn; the source goes on right after."""
FIRST_BACK_OFF = 30.0
LONGEST_BACK_OFF = 3_600.0
"""Seconds; doubled from the first to the longest, unless the platform names its own wait."""
LONGEST_WISH = 86_400.0
"""Seconds that a platform may make us wait: a nonsensical header must not silence a source for good."""
BASE_URL, POLL_SECONDS, RECHECK_SECONDS = "base_url", "poll_seconds", "recheck_seconds"
"""Options of a source that are ours; the others are the listener's."""

log = logging.getLogger(__name__)


class LostLease(Exception):
    """Another worker holds it now, or a person stopped it; what this one still reads is not stored."""


@dataclass(frozen=True, slots=True)
class _Ending:
    """How a run ended, and the columns of the source that change with it."""

    outcome: str
    error: str
    values: dict[str, Any]


def due(ctx: Context, limit: int = 100) -> list[int]:
    """Sources that should be asked now."""
    with ctx.database.reading() as tx:
        return sources.due(tx, ctx.clock(), limit)


def collect(ctx: Context, source_id: int) -> str | None:
    """Asks a due source once; returns how that ended: ok, unchanged, transient, terminal, crash, or None.

    None: it was not due, another worker holds it, or it was taken away meanwhile. Never raises for what a platform did.
    """
    with alone(ctx, "source", source_id) as free:
        if not free:
            return None
        with ctx.database.transaction() as tx:
            source = sources.claim(tx, source_id, ctx.clock(), LEASE)
            if source is None:
                return None
            run_id = sources.begin_run(tx, source_id, ctx.clock())
            account = sources.account(tx, source.account_id) if source.account_id else None
        points.reached("collect.claimed")
        try:
            ending = _run(ctx, source, account, run_id)
            _end(ctx, source, run_id, ending)
        except LostLease:
            log.info("Source %d was taken from this worker", source_id)
            return None
    points.reached("collect.ended")
    return ending.outcome


def open_listener(ctx: Context, platform: str, account: AccountRow | None, options: dict[str, Any]) -> Listener:
    """The listener of a source. Raises Terminal, also when the account's credentials cannot be read any more."""
    try:
        credentials = ctx.secrets.decrypt(account.credentials) if account else {}
    except DialogueError as error:
        raise Terminal(str(error), "Enter the account's credentials again.") from error
    own = (BASE_URL, POLL_SECONDS, RECHECK_SECONDS)
    return registry.open(
        platform,
        credentials,
        Options(
            base_url=options.get(BASE_URL) or (account.base_url if account else None),
            allow_private_hosts=ctx.allow_private_hosts,
            extra={name: str(value) for name, value in options.items() if name not in own},
        ),
    )


def as_mention(post: Post) -> NewMention:
    """The post in the database's own words."""
    author = post.author
    return NewMention(
        platform=post.platform,
        external_id=post.external_id,
        kind=post.kind.value,
        text=post.text,
        posted_at=post.posted_at,
        author_id=author.id if author else None,
        author_handle=author.handle if author else "",
        author_name=author.display_name if author else None,
        author_followers=author.followers if author else None,
        url=post.url,
        title=post.title,
        lang_hint=post.lang,
        rating=post.rating,
        posted_at_estimated=post.posted_at_estimated,
        edited_at=post.edited_at,
        parent_id=post.parent_id,
        root_id=post.root_id,
        mentions=post.mentions,
        quotes_id=post.quotes_id,
        quotes_author_id=post.quotes_author_id,
        engagement=post.engagement,
    )


def store_page(ctx: Context, source: SourceRow, page: Page, run_id: int) -> Stored:
    """Stores a page with its cursor in one transaction and renews the lease. Raises LostLease."""
    now = ctx.clock()
    with ctx.database.transaction() as tx:
        if not sources.holds(tx, source):
            raise LostLease
        stored = mentions.upsert(
            tx, map(as_mention, page.posts), now=now, digest=ctx.secrets.digest, source_id=source.id
        )
        points.reached("collect.before_commit")
        sources.count_page(tx, run_id, counted(stored, page))
        sources.change(
            tx, source.id, cursor=page.cursor, budget=_budget(page.budget) or source.budget, lease_until=now + LEASE
        )
    return stored


def counted(stored: Stored, page: Page) -> PageCount:
    """What a page adds to its run. Reasons quote what a platform sent: they are cleaned and bounded."""
    rejections = tuple(
        {"where": clean(one.where)[:200], "reason": clean(one.reason)[:500]}
        for one in page.rejected[: sources.KEPT_REJECTIONS]
    )
    return PageCount(stored.new, stored.edited, stored.seen, len(page.rejected), rejections)


# One run --------------------------------------------------------------------------------------------------------------


def _run(ctx: Context, source: SourceRow, account: AccountRow | None, run_id: int) -> _Ending:
    try:
        listener = open_listener(ctx, source.platform, account, source.options)
        stored, more, budget = _walk(ctx, source, listener, run_id)
    except Transient as error:
        log.info("Source %d (%s): %s", source.id, source.platform, error)
        return _transient(ctx, source, error)
    except Terminal as error:
        log.warning("Source %d (%s): %s", source.id, source.platform, error)
        return _failed(ctx, source, "terminal", str(error), error.what_to_do, None)
    except LostLease:
        raise
    except Exception as error:  # a listener's fault must not stop the others; it is told as loudly as one can
        log.exception("Source %d (%s) failed in a way nobody foresaw", source.id, source.platform)
        words = f"Reading failed in a way nobody foresaw ({type(error).__name__}: {str(error)[:200]})."
        next_at = ctx.clock() + timedelta(seconds=back_off(source.failures))
        return _failed(ctx, source, "crash", words, "It is tried again; if it stays, report it with the log.", next_at)
    return _good(ctx, source, stored, more, budget)


def _walk(ctx: Context, source: SourceRow, listener: Listener, run_id: int) -> tuple[Stored, bool, Budget]:
    """Stores up to PAGES_A_RUN pages; returns what they brought, whether more may follow, and the last budget."""
    stored, budget, pages = Stored(), Budget(), 0
    reading = listener.fetch(Query(source.query, source.mode), source.cursor)
    for page in reading:
        brought = store_page(ctx, source, page, run_id)
        stored, budget, pages = stored + brought, page.budget, pages + 1
        points.reached("collect.after_page")
        if brought.new or brought.edited:
            ctx.triggers.understand()
        if pages == PAGES_A_RUN:
            return stored, True, budget
    return stored, False, budget


def _good(ctx: Context, source: SourceRow, stored: Stored, more: bool, budget: Budget) -> _Ending:
    now = ctx.clock()
    next_at = now if more else now + timedelta(seconds=source.poll_seconds)
    if budget.remaining == 0 and budget.resets_at is not None:
        next_at = max(next_at, min(budget.resets_at, now + timedelta(seconds=LONGEST_WISH)))
    well = {
        "next_run_at": next_at, "last_success_at": now, "failures": 0, "last_error": "", "last_error_kind": "",
        "what_to_do": "",
    }  # fmt: skip
    return _Ending("ok" if stored.new or stored.edited else "unchanged", "", well)


def _transient(ctx: Context, source: SourceRow, error: Transient) -> _Ending:
    wait = back_off(source.failures) if error.retry_after is None else min(max(error.retry_after, 1.0), LONGEST_WISH)
    return _failed(ctx, source, "transient", str(error), "", ctx.clock() + timedelta(seconds=wait))


def _failed(
    ctx: Context, source: SourceRow, kind: str, words: str, what_to_do: str, next_at: datetime | None
) -> _Ending:
    words = clean(words)[:1_000]
    ill = {
        "next_run_at": next_at, "last_error_at": ctx.clock(), "last_error": words, "last_error_kind": kind,
        "what_to_do": clean(what_to_do)[:1_000], "failures": source.failures + 1,
    }  # fmt: skip
    return _Ending(kind, words, ill)


def back_off(failures: int) -> float:
    """Seconds to wait after so many failures in a row before this one: doubled each time, a fifth more or less."""
    plain = min(FIRST_BACK_OFF * 2.0 ** min(failures, 20), LONGEST_BACK_OFF)
    return plain * random.uniform(0.8, 1.2)  # so that sources that failed together are not asked together


def _end(ctx: Context, source: SourceRow, run_id: int, ending: _Ending) -> None:
    with ctx.database.transaction() as tx:
        if not sources.holds(tx, source):
            raise LostLease
        sources.end_run(tx, run_id, ctx.clock(), ending.outcome, ending.error)
        sources.change(tx, source.id, lease_until=None, **ending.values)
        workspace.bump(tx)
    next_at = ending.values["next_run_at"]
    if next_at is not None and next_at <= ctx.clock():
        ctx.triggers.collect(source.id)


def _budget(budget: Budget) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if budget.remaining is not None:
        found["remaining"] = budget.remaining
    if budget.limit is not None:
        found["limit"] = budget.limit
    if budget.resets_at is not None:
        found["resets_at"] = budget.resets_at.isoformat()
    return found
