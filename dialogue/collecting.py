"""Listening: a due source is claimed, read page by page, and each page is stored in one transaction with its cursor.

A crash after any page therefore loses nothing and doubles nothing. One sick source never stops the rest: what went
wrong is stored as data and shown. A transient failure is tried again by itself, a terminal one waits for a person.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from db import context, forgetting, mentions, sources, workspace
from db.context import NewContext
from db.engine import Transaction
from db.mentions import NewMention, Stored
from db.sources import AccountRow, PageCount, SourceRow
from dialogue import budgets, cadence, credentials, points, querying
from dialogue.alone import alone
from dialogue.budgets import Allowance
from dialogue.context import Context, DialogueError
from listeners import registry
from listeners.base import BadCredentials, Budget, Listener, Options, Page, Post, Terminal, Transient, clean

LEASE = timedelta(seconds=150)
"""How long a page may take, longer than one answer of a platform may; renewed with each page that is stored."""
PAGES_A_RUN = 20
"""Then others get a turn; the source goes on right after."""
FIRST_BACK_OFF = 30.0
LONGEST_BACK_OFF = 3_600.0
"""Seconds; doubled from the first to the longest, unless the platform names its own wait."""
LONGEST_WISH = 86_400.0
"""Seconds that a platform may make us wait: a nonsensical header must not silence a source for good."""
SEEN_LATE = timedelta(minutes=10)
"""Platforms show posts some time after they were made: so long before the last run they still count as new since."""
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
    read: Read | None = None
    """Set where it ended well."""
    wait: float | None = None
    """Seconds for which the platform wants to be left alone."""


@dataclass(slots=True)
class Read:
    """What a run has read. `fresh` posts were made since the last one; `more` may follow."""

    stored: Stored = field(default_factory=Stored)
    pages: int = 0
    fresh: int = 0
    more: bool = False
    whole: bool = False
    """Whether it came to its end, so that nothing is left that was posted before it began."""
    again_in: float | None = None
    """Seconds after which it goes on, where that is settled."""


Walk: TypeAlias = Callable[[Context, SourceRow, Listener, int, Allowance], Read]
"""Reads a source that was claimed and stores what it reads, for the run of that id."""


def due(ctx: Context, limit: int = 100) -> list[int]:
    """Sources that should be asked now."""
    with ctx.database.reading() as tx:
        return sources.due(tx, ctx.clock(), limit)


def collect(ctx: Context, source_id: int, walk: Walk | None = None) -> str | None:
    """Asks a due source once, or reads it by another `walk`.

    Returns how that ended: ok, unchanged, transient, terminal, crash, or None: it was not due, its budget is used up,
    another worker holds it, or it was taken away meanwhile. Never raises for what a platform did.
    """
    with alone(ctx, "source", source_id) as free:
        if not free:
            return None
        with ctx.database.transaction() as tx:
            source = sources.claim(tx, source_id, ctx.clock(), LEASE)
            if source is None:
                return None
            account = sources.account(tx, source.account_id) if source.account_id else None
            allowance = allowance_of(source, account)
            if _must_wait(ctx, tx, source, account, allowance):
                return None
            run_id = sources.begin_run(tx, source_id, ctx.clock())
        points.reached("collect.claimed")
        try:
            ending = _run(ctx, source, account, run_id, allowance, walk or _walk)
            _end(ctx, source, run_id, ending, allowance)
        except LostLease:
            log.info("Source %d was taken from this worker", source_id)
            return None
    points.reached("collect.ended")
    return ending.outcome


def open_listener(ctx: Context, platform: str, account: AccountRow | None, options: dict[str, Any]) -> Listener:
    """The listener of a source. Raises Terminal, also when the account's credentials cannot be read any more."""
    try:
        given = ctx.secrets.decrypt(account.credentials) if account else {}
    except DialogueError as error:
        raise Terminal(str(error), credentials.ENTER_AGAIN) from error
    if account is not None:
        credentials.check_access(account, ctx.clock())
    own = (BASE_URL, POLL_SECONDS, RECHECK_SECONDS, *querying.OPTIONS)
    return registry.open(
        platform,
        given,
        Options(
            base_url=options.get(BASE_URL) or (account.base_url if account else None),
            allow_private_hosts=ctx.allow_private_hosts,
            extra={name: str(value) for name, value in options.items() if name not in own},
            known_as=account.external_id if account else None,
            limits=account.limits if account else {},
            on_credentials=credentials.keeper(ctx, account.id, account.saved_at) if account else None,
        ),
    )


def allowance_of(source: SourceRow, account: AccountRow | None, *, spares: bool = True) -> Allowance:
    """The budget that this source spends; with `spares` its reserve is left alone."""
    base_url = source.options.get(BASE_URL) or (account.base_url if account else None)
    owner = budgets.owner_of(source, account, base_url)
    return Allowance(source.platform, owner, source.budget_kind if owner == source.budget_owner else "", spares)


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
        context=tuple(map(as_context, post.context)),
    )


def as_context(post: Post) -> NewContext:
    """A post that others refer to, in the database's own words."""
    author = post.author
    return NewContext(
        external_id=post.external_id,
        text=post.text,
        posted_at=post.posted_at,
        author_id=author.id if author else None,
        author_name=(author.display_name or author.handle) if author else "",
        url=post.url,
        title=post.title,
    )


def store_page(
    ctx: Context, source: SourceRow, page: Page, run_id: int, allowance: Allowance | None = None, **values: Any
) -> Stored:
    """Stores a page with its cursor in one transaction and renews the lease. Raises LostLease.

    In the same transaction it notes what the page's headers said of the `allowance`, and takes the next request.
    `values` are columns of the source that change with it.
    """
    now = ctx.clock()
    with ctx.database.transaction() as tx:
        if not sources.holds(tx, source):
            raise LostLease
        stored = mentions.upsert(
            tx, map(as_mention, page.posts), now=now, digest=ctx.secrets.digest, source_id=source.id
        )
        stored += heed(ctx, tx, source, page)
        points.reached("collect.before_commit")
        sources.count_page(tx, run_id, counted(stored, page))
        budget = _budget(page.budget) or source.budget
        sources.change(tx, source.id, **{"cursor": page.cursor, "budget": budget, "lease_until": now + LEASE} | values)
        if allowance is not None:
            allowance.answered(tx, now, page.budget)
            allowance.take(tx, now)
    return stored


def heed(ctx: Context, tx: Transaction, source: SourceRow, page: Page) -> Stored:
    """What a page tells of posts that are stored already, whoever found them: what they say now, and which are gone."""
    if not (page.edits or page.gone or page.gone_authors):
        return Stored()
    now, digest = ctx.clock(), ctx.secrets.digest
    known = mentions.known(tx, source.platform, [*page.gone, *(post.external_id for post in page.edits)])
    edits = [as_mention(post) for post in page.edits if post.external_id in known]
    stored = mentions.upsert(tx, edits, now=now, digest=digest) if edits else Stored()
    gone = [known[one] for one in page.gone if one in known]
    gone += mentions.written_by(tx, source.platform, page.gone_authors)
    forgetting.forget(tx, gone, now=now, reason=forgetting.DELETED, digest=digest)
    around = context.known(tx, source.platform, page.gone)
    around += context.written_by(tx, source.platform, page.gone_authors)
    forgetting.forget_context(tx, source.platform, around, now=now, reason=forgetting.DELETED, digest=digest)
    return stored


def counted(stored: Stored, page: Page) -> PageCount:
    """What a page adds to its run. Reasons quote what a platform sent: they are cleaned and bounded."""
    rejections = tuple(
        {"where": clean(one.where)[:200], "reason": clean(one.reason)[:500]}
        for one in page.rejected[: sources.KEPT_REJECTIONS]
    )
    return PageCount(stored.new, stored.edited, stored.seen, len(page.rejected), rejections, page.filtered)


# One run --------------------------------------------------------------------------------------------------------------


def _must_wait(
    ctx: Context, tx: Transaction, source: SourceRow, account: AccountRow | None, allowance: Allowance
) -> bool:
    """Takes the first request of a run. Puts the source off where there is none, or nobody who may make it."""
    now = ctx.clock()
    if account is not None and account.dead_at is not None:
        ill = _failed(ctx, source, "terminal", account.check_words, credentials.ENTER_AGAIN, None)
        sources.change(tx, source.id, lease_until=None, **ill.values)
        return True
    until = allowance.take(tx, now)
    if until is None:
        return False
    sources.change(tx, source.id, lease_until=None, next_run_at=until, waits_for="budget", budget_owner=allowance.owner)
    workspace.bump(tx)
    return True


def _run(
    ctx: Context, source: SourceRow, account: AccountRow | None, run_id: int, allowance: Allowance, walk: Walk
) -> _Ending:
    began = ctx.clock()
    try:
        listener = open_listener(ctx, source.platform, account, source.options)
        read = walk(ctx, source, listener, run_id, allowance)
    except Transient as error:
        log.info("Source %d (%s): %s", source.id, source.platform, error)
        return _transient(ctx, source, error)
    except BadCredentials as error:
        return _refused(ctx, source, account, error)
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
    if account is not None and account.refused_at is not None:
        credentials.accepted(ctx, account)
    return _good(ctx, read, began)


def _walk(ctx: Context, source: SourceRow, listener: Listener, run_id: int, allowance: Allowance) -> Read:
    """Stores up to PAGES_A_RUN pages, or as many as the budget allows."""
    read = Read()
    reading = querying.plan_of(source).fetch(listener, source.mode, source.cursor)
    for page in reading:
        brought = store_page(ctx, source, page, run_id, allowance)
        read.stored, read.pages = read.stored + brought, read.pages + 1
        read.fresh += min(brought.new, _fresh(source, page))
        points.reached("collect.after_page")
        if brought.new or brought.edited:
            ctx.triggers.understand()
        if read.pages == PAGES_A_RUN or allowance.until is not None:
            read.more = allowance.until is not None or _may_bring_more(listener, read.stored)
            return read
    read.whole = True
    return read


def _may_bring_more(listener: Listener, stored: Stored) -> bool:
    """False where a run brought only what was known: an overlap that fills it is no reason to go on without a pause."""
    return bool(stored.new or stored.edited or not stored.seen) or not listener.capability.polls


def _fresh(source: SourceRow, page: Page) -> int:
    """How many of a page's posts were made since the last run; what is read for the first time may be years old."""
    if source.last_success_at is None:
        return 0
    since = source.last_success_at - SEEN_LATE
    return sum(post.posted_at >= since for post in page.posts)


def _good(ctx: Context, read: Read, began: datetime) -> _Ending:
    well = {
        "last_success_at": ctx.clock(), "failures": 0, "last_error": "", "last_error_kind": "", "what_to_do": "",
        **({"read_until": began} if read.whole else {}),
    }  # fmt: skip
    return _Ending("ok" if read.stored.new or read.stored.edited else "unchanged", "", well, read)


def _transient(ctx: Context, source: SourceRow, error: Transient) -> _Ending:
    wait = back_off(source.failures) if error.retry_after is None else min(max(error.retry_after, 1.0), LONGEST_WISH)
    ending = _failed(ctx, source, "transient", str(error), "", ctx.clock() + timedelta(seconds=wait))
    return replace(ending, wait=error.retry_after)


def _refused(ctx: Context, source: SourceRow, account: AccountRow | None, error: BadCredentials) -> _Ending:
    """Without an account, or once it is dead, a person has to do something; until then it is asked once more."""
    if account is None or credentials.refused(ctx, account, error):
        log.warning("Source %d (%s): %s", source.id, source.platform, error)
        return _failed(ctx, source, "terminal", str(error), credentials.what_to_do(account, error), None)
    log.info("Source %d (%s) is asked once more: %s", source.id, source.platform, error)
    next_at = ctx.clock() + credentials.CONFIRMED_AFTER
    return _failed(ctx, source, "transient", f"{error} Platforms say so in passing, too.", "", next_at)


def _failed(
    ctx: Context, source: SourceRow, kind: str, words: str, what_to_do: str, next_at: datetime | None
) -> _Ending:
    words = clean(words)[:1_000]
    ill = {
        "next_run_at": next_at, "last_error_at": ctx.clock(), "last_error": words, "last_error_kind": kind,
        "what_to_do": clean(what_to_do)[:1_000], "failures": source.failures + 1, "waits_for": "",
    }  # fmt: skip
    return _Ending(kind, words, ill)


def back_off(failures: int) -> float:
    """Seconds to wait after so many failures in a row before this one: doubled each time, a fifth more or less."""
    plain = min(FIRST_BACK_OFF * 2.0 ** min(failures, 20), LONGEST_BACK_OFF)
    return plain * random.uniform(0.8, 1.2)  # so that sources that failed together are not asked together


def _end(ctx: Context, source: SourceRow, run_id: int, ending: _Ending, allowance: Allowance) -> None:
    now, values = ctx.clock(), ending.values
    with ctx.database.transaction() as tx:
        if not sources.holds(tx, source):
            raise LostLease
        if ending.read is not None:
            allowance.give_back(tx)
            values = values | _pace(tx, source, ending.read, allowance, now)
        elif ending.wait is not None:
            allowance.refused(tx, now, ending.wait, ending.error)
        else:
            allowance.answered(tx, now)
        sources.end_run(tx, run_id, now, ending.outcome, ending.error)
        owner = {"budget_owner": allowance.owner, "budget_kind": allowance.kind}
        sources.change(tx, source.id, lease_until=None, **owner, **values)
        workspace.bump(tx)
    next_at = values["next_run_at"]
    if next_at is not None and next_at <= ctx.clock():
        ctx.triggers.collect(source.id)


def _pace(tx: Transaction, source: SourceRow, read: Read, allowance: Allowance, now: datetime) -> dict[str, Any]:
    """When a source that was read is asked again, and what was learned of how busy it is."""
    platforms = registry.capability(source.platform).poll_every.total_seconds()
    fastest, slowest = cadence.bounds(platforms, source.poll_seconds)
    since = (now - (source.last_success_at or now)).total_seconds()
    rate = cadence.learned(source.posts_per_hour, read.fresh, since, fastest)
    if read.again_in is not None:
        return {"next_run_at": now + timedelta(seconds=read.again_in), "waits_for": "", "posts_per_hour": rate}
    pace = cadence.interval(rate, fastest, slowest)
    requests = source.requests_a_run if read.more else cadence.requests(source.requests_a_run, read.pages)
    wish = cadence.Wish(0.0, read.pages) if read.more else cadence.Wish(pace, requests)
    least, why = budgets.wait(tx, allowance, source.id, wish, now)
    return {
        "next_run_at": now + timedelta(seconds=max(wish.interval, least)), "waits_for": why,
        "posts_per_hour": rate, "interval_seconds": pace, "requests_a_run": requests,
    }  # fmt: skip


def _budget(budget: Budget) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if budget.remaining is not None:
        found["remaining"] = budget.remaining
    if budget.limit is not None:
        found["limit"] = budget.limit
    if budget.resets_at is not None:
        found["resets_at"] = budget.resets_at.isoformat()
    return found
