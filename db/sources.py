"""Where we listen: sources, their runs and their accounts; claimed by a lease with a fencing number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, or_, select, update

from db.engine import Transaction
from db.sql import added, table
from db.tables import Mention, MentionSource, PlatformAccount, Source, SourceRun

LEFT = "left"
"""The state of a source that was removed, kept as long as something is here that only it found: by its account and
options its platform is asked whether that still stands."""

KEPT_REJECTIONS = 20
"""Of one run; the rest is counted."""

FIRST_CHECK = timedelta(minutes=10)
"""So long after it was entered the worker checks an account; a person may do so at once."""

ABANDONED = "The worker stopped before it had finished; what it had read is kept."

_sources = table(Source)
_runs = table(SourceRun)
_accounts = table(PlatformAccount)
_links = table(MentionSource)
_mentions = table(Mention)


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A source as it is stored."""

    id: int
    platform: str
    account_id: int | None
    mode: str
    query: str
    label: str
    state: str
    cursor: dict[str, Any]
    options: dict[str, Any]
    poll_seconds: int
    created_at: datetime
    next_run_at: datetime | None
    recheck_at: datetime | None
    lease_until: datetime | None
    fence: int
    last_success_at: datetime | None
    read_until: datetime | None
    last_error_at: datetime | None
    last_error: str
    last_error_kind: str
    what_to_do: str
    failures: int
    budget: dict[str, Any]
    budget_owner: str
    budget_kind: str
    posts_per_hour: float | None
    requests_a_run: float
    interval_seconds: float | None
    waits_for: str
    sample: bool


@dataclass(frozen=True, slots=True)
class RunRow:
    """One time that a source was asked."""

    id: int
    source_id: int
    started_at: datetime
    finished_at: datetime | None
    outcome: str
    error: str
    pages: int
    new: int
    edited: int
    seen: int
    filtered: int
    rejected: int
    rejections: list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class AccountRow:
    """An account of ours on a platform; `credentials` are sealed."""

    id: int
    platform: str
    label: str
    base_url: str | None
    handle: str | None
    external_id: str | None
    credentials: bytes
    created_at: datetime
    checked_at: datetime | None
    check_ok: bool | None
    check_words: str
    next_check_at: datetime | None
    saved_at: datetime | None
    expires_at: datetime | None
    refused_at: datetime | None
    dead_at: datetime | None
    connected_at: datetime | None
    access_until: datetime | None
    renew_at: datetime | None
    limits: dict[str, int]


@dataclass(frozen=True, slots=True)
class PageCount:
    """What one page added to its run."""

    new: int = 0
    edited: int = 0
    seen: int = 0
    rejected: int = 0
    rejections: tuple[dict[str, str], ...] = ()
    filtered: int = 0


def _source(row: Any) -> SourceRow:
    return SourceRow(**{name: getattr(row, name) for name in SourceRow.__slots__})


def get(tx: Transaction, source_id: int, *, lock: bool = False) -> SourceRow | None:
    """The source, or None; with `lock` nobody else changes or claims it until the transaction ends."""
    query = select(_sources).where(_sources.c.id == source_id)
    row = tx.connection.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else _source(row)


def all_(tx: Transaction) -> list[SourceRow]:
    """Every source, oldest first; those that were removed are none."""
    query = select(_sources).where(_sources.c.state != LEFT).order_by(_sources.c.id)
    return [_source(row) for row in tx.connection.execute(query)]


def spending(tx: Transaction, platform: str, owner: str) -> list[SourceRow]:
    """The active sources whose last run spent this owner's budgets."""
    query = select(_sources).where(
        _sources.c.platform == platform, _sources.c.budget_owner == owner, _sources.c.state == "active",
        _sources.c.last_success_at.is_not(None), _sources.c.sample.is_(False),
    )  # fmt: skip
    return [_source(row) for row in tx.connection.execute(query)]


def add(tx: Transaction, now: datetime, **values: Any) -> int:
    """Adds a source; returns its id."""
    blank: dict[str, Any] = {
        "mode": "", "query": "", "state": "active", "cursor": {}, "options": {}, "poll_seconds": 300, "fence": 0,
        "last_error": "", "last_error_kind": "", "what_to_do": "", "failures": 0, "budget": {}, "sample": False,
        "budget_owner": "", "budget_kind": "", "requests_a_run": 1.0, "waits_for": "",
    }  # fmt: skip
    return added(tx, _sources.insert().values(blank | {"created_at": now} | values))


def change(tx: Transaction, source_id: int, **values: Any) -> None:
    """Sets columns."""
    tx.connection.execute(update(_sources).where(_sources.c.id == source_id).values(**values))


def leave(tx: Transaction, source_id: int, recheck_at: datetime) -> None:
    """Keeps of a source nothing but how to ask its platform."""
    tx.connection.execute(delete(_runs).where(_runs.c.source_id == source_id))
    change(
        tx, source_id, state=LEFT, cursor={}, query="", next_run_at=None, lease_until=None, recheck_at=recheck_at,
        fence=_sources.c.fence + 1,
    )  # fmt: skip


def remove(tx: Transaction, source_id: int) -> None:
    """Removes the source with its runs; what it found stays. Its part of the rollups must be gone before."""
    tx.connection.execute(delete(_sources).where(_sources.c.id == source_id))


def unlink(tx: Transaction, source_id: int, limit: int) -> list[int]:
    """Some of the mentions that this source found."""
    query = select(_links.c.mention_id).where(_links.c.source_id == source_id).limit(limit)
    return list(tx.connection.execute(query).scalars())


def cut_links(tx: Transaction, source_id: int, mention_ids: Sequence[int]) -> None:
    """Forgets that this source found these; to be called inside `rollups.kept`."""
    tx.connection.execute(
        delete(_links).where(_links.c.source_id == source_id, _links.c.mention_id.in_(list(mention_ids)))
    )


# Claiming -------------------------------------------------------------------------------------------------------------


def due(tx: Transaction, now: datetime, limit: int) -> list[int]:
    """Active sources to ask now that nobody holds, longest due first."""
    query = select(_sources.c.id).where(*_may_run(now), _sources.c.next_run_at <= now)
    # Those that wait for one budget are due at one moment: the one that was read longest ago has its turn first.
    order = (_sources.c.next_run_at, _sources.c.last_success_at.asc().nulls_first(), _sources.c.id)
    return list(tx.connection.execute(query.order_by(*order).limit(limit)).scalars())


def due_for_recheck(tx: Transaction, now: datetime, limit: int) -> list[int]:
    """Sources whose mentions should be asked about now, that nobody holds, longest due first; paused ones, too."""
    query = select(_sources.c.id).where(*_may_run(now, *RECHECKED), _sources.c.recheck_at <= now)
    return list(tx.connection.execute(query.order_by(_sources.c.recheck_at).limit(limit)).scalars())


RECHECKED = ("active", "paused", LEFT)
"""A pause stops reading. What was read before may still be deleted where it was said, and must then go here as well."""


def _may_run(now: datetime, *states: str) -> tuple[Any, ...]:
    free = or_(_sources.c.lease_until.is_(None), _sources.c.lease_until < now)
    return _sources.c.state.in_(states or ("active",)), _sources.c.sample.is_(False), free


def claim(
    tx: Transaction, source_id: int, now: datetime, lease: timedelta, *, recheck: bool = False
) -> SourceRow | None:
    """Takes a due source for this worker alone: raises its fence and leases it. None where there is nothing to take."""
    when = _sources.c.recheck_at if recheck else _sources.c.next_run_at
    wanted = (_sources.c.id == source_id, *_may_run(now, *(RECHECKED if recheck else ())), when <= now)
    found = tx.connection.execute(select(_sources.c.id).where(*wanted).with_for_update(skip_locked=True)).scalar()
    if found is None:
        return None
    change(tx, source_id, fence=_sources.c.fence + 1, lease_until=now + lease)
    return get(tx, source_id)


def take_over(tx: Transaction, source_id: int, now: datetime, lease: timedelta) -> SourceRow | None:
    """Takes a source whatever its state, for a request that works on it alone; None when it is gone."""
    change(tx, source_id, fence=_sources.c.fence + 1, lease_until=now + lease)
    return get(tx, source_id)


def holds(tx: Transaction, held: SourceRow) -> bool:
    """Whether the claim still stands. Locks the row until the transaction ends."""
    query = select(_sources.c.fence).where(_sources.c.id == held.id).with_for_update()
    return tx.connection.execute(query).scalar() == held.fence


# Runs -----------------------------------------------------------------------------------------------------------------


def begin_run(tx: Transaction, source_id: int, now: datetime) -> int:
    """Opens a run. One that was left open belonged to a worker that is gone."""
    tx.connection.execute(
        update(_runs)
        .where(_runs.c.source_id == source_id, _runs.c.finished_at.is_(None))
        .values(outcome="crash", finished_at=now, error=ABANDONED)
    )
    return added(
        tx,
        _runs.insert().values(
            source_id=source_id, started_at=now, outcome="running", error="", pages=0, new=0, edited=0, seen=0,
            filtered=0, rejected=0, rejections=[],
        ),
    )  # fmt: skip


def count_page(tx: Transaction, run_id: int, count: PageCount) -> None:
    """Adds a page to its run."""
    kept = tx.connection.execute(select(_runs.c.rejections).where(_runs.c.id == run_id)).scalar() or []
    tx.connection.execute(
        update(_runs)
        .where(_runs.c.id == run_id)
        .values(
            pages=_runs.c.pages + 1,
            new=_runs.c.new + count.new,
            edited=_runs.c.edited + count.edited,
            seen=_runs.c.seen + count.seen,
            filtered=_runs.c.filtered + count.filtered,
            rejected=_runs.c.rejected + count.rejected,
            rejections=[*kept, *count.rejections][:KEPT_REJECTIONS],
        )
    )


def end_run(tx: Transaction, run_id: int, now: datetime, outcome: str, error: str = "") -> None:
    """Closes a run."""
    tx.connection.execute(
        update(_runs).where(_runs.c.id == run_id).values(finished_at=now, outcome=outcome, error=error)
    )


def run(tx: Transaction, run_id: int) -> RunRow:
    """One run. Raises when it is gone."""
    return _run(tx.connection.execute(select(_runs).where(_runs.c.id == run_id)).one())


def _run(row: Any) -> RunRow:
    return RunRow(**{name: getattr(row, name) for name in RunRow.__slots__})


def runs(tx: Transaction, source_id: int, limit: int) -> list[RunRow]:
    """The source's last runs, newest first."""
    query = select(_runs).where(_runs.c.source_id == source_id).order_by(_runs.c.id.desc()).limit(limit)
    return [_run(row) for row in tx.connection.execute(query)]


def forget_runs(tx: Transaction, before: datetime) -> None:
    """Removes old runs."""
    tx.connection.execute(delete(_runs).where(_runs.c.finished_at < before))


# Counting -------------------------------------------------------------------------------------------------------------


def totals(tx: Transaction) -> dict[int, int]:
    """How many mentions each source found."""
    query = select(_links.c.source_id, func.count()).group_by(_links.c.source_id)
    return {row[0]: row[1] for row in tx.connection.execute(query)}


def collected_since(tx: Transaction, moment: datetime) -> dict[int, int]:
    """How many mentions each source found that were posted since."""
    query = (
        select(_links.c.source_id, func.count())
        .join(_mentions, _mentions.c.id == _links.c.mention_id)
        .where(_mentions.c.posted_at >= moment)
        .group_by(_links.c.source_id)
    )
    return {row[0]: row[1] for row in tx.connection.execute(query)}


def posted_by_day(tx: Transaction, since: datetime) -> dict[int, dict[date, int]]:
    """How many mentions each source found, by the UTC day they were posted on."""
    day = func.date(_mentions.c.posted_at)
    query = (
        select(_links.c.source_id, day, func.count())
        .join(_mentions, _mentions.c.id == _links.c.mention_id)
        .where(_mentions.c.posted_at >= since)
        .group_by(_links.c.source_id, day)
    )
    found: dict[int, dict[date, int]] = {}
    for source_id, posted_on, count in tx.connection.execute(query):
        on = date.fromisoformat(posted_on) if isinstance(posted_on, str) else posted_on
        found.setdefault(source_id, {})[on] = count
    return found


# Accounts -------------------------------------------------------------------------------------------------------------


def _account(row: Any) -> AccountRow:
    return AccountRow(**{name: getattr(row, name) for name in AccountRow.__slots__})


def account(tx: Transaction, account_id: int, *, lock: bool = False) -> AccountRow | None:
    """One account, or None; with `lock` nobody else changes it until the transaction ends."""
    query = select(_accounts).where(_accounts.c.id == account_id)
    row = tx.connection.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else _account(row)


def accounts(tx: Transaction) -> list[AccountRow]:
    """Every account, oldest first."""
    return [_account(row) for row in tx.connection.execute(select(_accounts).order_by(_accounts.c.id))]


def save_account(tx: Transaction, account_id: int | None, values: Mapping[str, Any], now: datetime) -> int:
    """Adds an account, or changes one; returns its id. What was known of its check is forgotten."""
    fresh = {
        "checked_at": None, "check_ok": None, "check_words": "", "next_check_at": now + FIRST_CHECK, "saved_at": now,
        "expires_at": None, "refused_at": None, "dead_at": None, "connected_at": None, "access_until": None,
        "renew_at": None,
    }  # fmt: skip
    if account_id is None:
        return added(tx, _accounts.insert().values({**fresh, **values, "created_at": now}))
    tx.connection.execute(update(_accounts).where(_accounts.c.id == account_id).values({**fresh, **values}))
    return account_id


def account_checked(tx: Transaction, account_id: int, now: datetime, ok: bool, words: str, **who: Any) -> None:
    """Notes what a check found; `who` are handle, external_id and limits, as far as it said them."""
    tx.connection.execute(
        update(_accounts)
        .where(_accounts.c.id == account_id)
        .values(checked_at=now, check_ok=ok, check_words=words, **who)
    )


def change_account(tx: Transaction, account_id: int, **values: Any) -> None:
    """Sets columns."""
    tx.connection.execute(update(_accounts).where(_accounts.c.id == account_id).values(**values))


def revive(tx: Transaction, account_id: int, now: datetime) -> None:
    """The account is accepted: it is dead no more, and its sources that had stopped are asked again."""
    change_account(tx, account_id, refused_at=None, dead_at=None)
    stopped = (_sources.c.state == "active", _sources.c.last_error_kind == "terminal", _sources.c.next_run_at.is_(None))
    tx.connection.execute(
        update(_sources).where(_sources.c.account_id == account_id, *stopped).values(next_run_at=now, failures=0)
    )


def accounts_to_check(tx: Transaction, now: datetime, limit: int) -> list[int]:
    """Accounts that should be checked now, longest due first."""
    due = func.coalesce(_accounts.c.next_check_at, _accounts.c.created_at)
    query = select(_accounts.c.id).where(due <= now).order_by(due).limit(limit)
    return list(tx.connection.execute(query).scalars())


def accounts_to_renew(tx: Transaction, now: datetime, limit: int) -> list[int]:
    """Accounts whose access should be renewed now, longest due first."""
    due = _accounts.c.renew_at
    query = select(_accounts.c.id).where(due <= now, _accounts.c.dead_at.is_(None)).order_by(due).limit(limit)
    return list(tx.connection.execute(query).scalars())


def remove_account(tx: Transaction, account_id: int) -> None:
    """Removes the account and its credentials; its sources go on without one."""
    tx.connection.execute(delete(_accounts).where(_accounts.c.id == account_id))
