"""Forgetting: what was deleted at its source, or is past retention, goes from here with all that was derived from it.
What was edited there is kept as it is now, as far as the platform tells.

Each platform that can be asked has a re-check interval. What is shown or new is asked about once an interval, newest
first; everything else once a day. A source is looked at several times an interval, and each time asked about what comes
due before the next look, so that no mention waits longer than its interval.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from db import context, duties, forgetting, mentions, sources, workspace
from db.engine import Transaction
from db.forgetting import Standing
from db.sources import AccountRow, SourceRow
from dialogue import points
from dialogue.alone import alone
from dialogue.collecting import (
    LEASE,
    RECHECK_SECONDS,
    LostLease,
    allowance_of,
    as_context,
    as_mention,
    back_off,
    open_listener,
)
from dialogue.context import Context
from listeners import registry
from listeners.base import Deletes, ListeningError, Post, ReadsAgain, Terminal, Transient, clean

NEW = timedelta(days=7)
LOOKS = 4
"""Looks an interval at what is due."""
DAY = timedelta(days=1)
REST = timedelta(hours=20)
"""How often what is neither shown nor new is asked about: within a day, with time to spare for a long run."""
ASKED_AT_ONCE = 100
ASKED_A_RUN = 20
"""Batches; then others get a turn and the source goes on right after."""
FORGOTTEN_AT_ONCE = 500
DELETED = forgetting.DELETED
PAST_RETENTION = "past retention"
NOT_REFRESHED = "not refreshed in time"
RECHECK, RETENTION = "recheck", "retention"
"""Duties, by the names that their last time is kept under."""

log = logging.getLogger(__name__)


def due(ctx: Context, limit: int = 100) -> list[int]:
    """Sources whose mentions should be asked about now."""
    with ctx.database.reading() as tx:
        return sources.due_for_recheck(tx, ctx.clock(), limit)


def recheck(ctx: Context, source_id: int) -> int | None:
    """Asks a source which of its mentions still stand and forgets the others; returns how many went.

    None: it was not due, or another worker has it. A platform that fails is asked again later; its words are logged.
    """
    with alone(ctx, "source", source_id) as free:
        return _recheck(ctx, source_id) if free else None


def _recheck(ctx: Context, source_id: int) -> int | None:
    with ctx.database.transaction() as tx:
        source = sources.claim(tx, source_id, ctx.clock(), LEASE, recheck=True)
        if source is None:
            return None
        account = sources.account(tx, source.account_id) if source.account_id else None
    points.reached("recheck.claimed")
    return _asked(ctx, source, account, lease_until=None)


def recheck_beside(ctx: Context, source: SourceRow) -> int | None:
    """As `recheck`, for a source that a stream of this worker holds: beside it, under the same claim."""
    with ctx.database.reading() as tx:
        account = sources.account(tx, source.account_id) if source.account_id else None
    return _asked(ctx, source, account)


def _asked(ctx: Context, source: SourceRow, account: AccountRow | None, **after: Any) -> int | None:
    """Asks a source that is held; `after` are columns of it that change at the end."""
    every = _every(source)
    gone, wait, trouble = 0, every, None
    try:
        if every is not None:
            gone, more = _ask(ctx, source, account, every)
            wait = timedelta(0) if more else every / LOOKS
            trouble = ""
    except Transient as error:
        wait = timedelta(seconds=back_off(0) if error.retry_after is None else max(error.retry_after, 1.0))
        trouble = f"{error} It is asked again by itself."
        log.info("What still stands at source %d (%s) is asked later: %s", source.id, source.platform, error)
    except ListeningError as error:
        trouble = f"{error} {error.what_to_do}" if isinstance(error, Terminal) else str(error)
        log.warning("What still stands at source %d (%s) cannot be asked: %s", source.id, source.platform, error)
    except LostLease:
        return None
    except Exception:  # one listener's fault must not keep the others from being asked
        trouble = "Asking failed in a way nobody foresaw; the worker's log says more."
        log.exception("What still stands at source %d (%s) could not be asked", source.id, source.platform)
    _end(ctx, source, wait, trouble, after)
    return gone


def _every(source: SourceRow) -> timedelta | None:
    """How often to ask; None where the platform cannot be asked."""
    try:
        every = registry.capability(source.platform).recheck_every
    except Terminal:
        return None
    chosen = source.options.get(RECHECK_SECONDS)
    return timedelta(seconds=float(chosen)) if every is not None and chosen else every


def _ask(ctx: Context, source: SourceRow, account: AccountRow | None, every: timedelta) -> tuple[int, bool]:
    """Asks about everything that is due, a batch at a time; returns how many are gone, and whether more may be due."""
    listener = open_listener(ctx, source.platform, account, source.options)
    if not isinstance(listener, Deletes):
        return 0, False
    gone, look = 0, every / LOOKS
    due = every - look
    rest = max(due, min(REST, DAY - look))
    for _ in range(ASKED_A_RUN):
        with ctx.database.reading() as tx:
            batch = forgetting.to_check(
                tx, source.id, ctx.clock(), due, ASKED_AT_ONCE, recent=NEW, rest=rest, left=source.state == sources.LEFT
            )
            around = context.ids(tx, [one.id for one in batch])
        if not batch:
            return gone, False
        asked = list(dict.fromkeys([*(one.external_id for one in batch), *around]))
        _spend(ctx, source, account, -(-len(asked) // ASKED_AT_ONCE))
        told = _told(listener, asked)
        gone += _settle(ctx, source, batch, around, told)
        points.reached("recheck.after_batch")
    return gone, True


def _told(listener: Deletes, external_ids: Sequence[str]) -> Mapping[str, Post | bool]:
    """What the platform says of these: gone, there, or there as it is now."""
    return (listener.as_they_are if isinstance(listener, ReadsAgain) else listener.still_there)(external_ids)


def _spend(ctx: Context, source: SourceRow, account: AccountRow | None, requests: int) -> None:
    """Takes requests from the account's budget, of the reserve too. Raises Transient where nothing is left at all."""
    now = ctx.clock()
    with ctx.database.transaction() as tx:
        allowance = allowance_of(source, account, spares=False)
        allowance.kind = ""  # where the platform tells kinds apart, look-ups are another than what the source reads
        for _ in range(requests):
            until = allowance.take(tx, now)
            if until is not None:
                raise Transient("the platform's limit is used up", (until - now).total_seconds())
            allowance.answered(tx, now)


def _settle(
    ctx: Context, source: SourceRow, batch: list[Standing], around: list[str], told: Mapping[str, Post | bool]
) -> int:
    """Forgets what is gone and keeps what was edited, of mentions and of what they refer to.

    What the platform did not speak of counts as asked: it is asked again next time.
    """
    now, digest = ctx.clock(), ctx.secrets.digest
    missing = [one.id for one in batch if told.get(one.external_id) is False]
    standing = [one.id for one in batch if told.get(one.external_id)]
    untold = [one.id for one in batch if told.get(one.external_id) is None]
    posts = [post for post in told.values() if isinstance(post, Post)]
    with ctx.database.transaction() as tx:
        if not sources.holds(tx, source):
            raise LostLease
        forgetting.asked_about(tx, standing, now, stand=True)
        forgetting.asked_about(tx, untold, now, stand=False)
        gone = forgetting.forget(tx, missing, now=now, reason=DELETED, digest=digest)
        away = [one for one in around if told.get(one) is False]
        forgetting.forget_context(tx, source.platform, away, now=now, reason=DELETED, digest=digest)
        edited = _renew(ctx, tx, source, [one.external_id for one in batch], posts)
        sources.change(tx, source.id, lease_until=now + LEASE)
    if edited:
        ctx.triggers.understand()
    return gone


def _renew(ctx: Context, tx: Transaction, source: SourceRow, known: list[str], posts: list[Post]) -> int:
    """Keeps posts as they are now, where they are kept already; returns how many mentions were edited."""
    now, digest = ctx.clock(), ctx.secrets.digest
    found = mentions.known(tx, source.platform, known)  # what was deleted meanwhile stays so
    again = [as_mention(post) for post in posts if post.external_id in found]
    edited = mentions.upsert(tx, again, now=now, digest=digest).edited if again else 0
    context.renew(tx, source.platform, [as_context(post) for post in posts])
    return edited


def _end(ctx: Context, source: SourceRow, wait: timedelta | None, trouble: str | None, after: dict[str, Any]) -> None:
    """`trouble` is "" where everything that was due was asked about, None where nobody could be asked at all."""
    now = ctx.clock()
    values = after | {"recheck_at": None if wait is None else now + wait}
    with ctx.database.transaction() as tx:
        if not sources.holds(tx, source):
            return
        if trouble == "" and wait:
            duties.met(tx, source.platform, RECHECK, now)
        elif trouble:
            duties.failed(tx, source.platform, RECHECK, now, clean(trouble)[:1_000])
        sources.change(tx, source.id, **values)
        if source.state == sources.LEFT and not forgetting.any_left(tx, source.id):
            sources.remove(tx, source.id)


def forget_past_retention(ctx: Context) -> int:
    """Forgets what was posted longer ago than the workspace keeps it; returns how many went."""
    gone = 0
    while True:
        with ctx.database.transaction() as tx:
            days = workspace.read(tx).retention_days
            if days is None:
                return gone
            now = ctx.clock()
            ids = forgetting.posted_before(tx, now - timedelta(days=days), FORGOTTEN_AT_ONCE)
            if not ids:
                return gone
            gone += forgetting.forget(tx, ids, now=now, reason=PAST_RETENTION, digest=ctx.secrets.digest)


def forget_not_refreshed(ctx: Context) -> int:
    """Forgets what its platform has not given anew for as long as its terms let us keep it; returns how many went.

    It leaves no tombstone: what the platform gives again may be kept again.
    """
    gone = 0
    for platform, allows in registry.capabilities().items():
        if allows.retain is None:
            continue
        before = ctx.clock() - allows.retain
        while True:
            with ctx.database.transaction() as tx:
                ids = forgetting.not_confirmed_since(tx, platform, before, FORGOTTEN_AT_ONCE)
                gone += forgetting.forget(tx, ids, now=ctx.clock(), reason=NOT_REFRESHED, digest=None)
                forgetting.forget_edits(tx, platform, before)
                if not ids:
                    duties.met(tx, platform, RETENTION, ctx.clock())
                    break
    return gone
