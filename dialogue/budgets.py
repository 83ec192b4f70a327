"""What platforms still let us ask, shared by every source of an account and by all workers.

A request is taken from the budget before it is made, in the transaction that claims its source or stores the page
before it, and put right by what the platform's answer says. See docs/sources.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from db import budgets as rows
from db import sources
from db.budgets import BudgetRow
from db.engine import Transaction
from db.sources import AccountRow, SourceRow
from dialogue.cadence import Wish, share
from listeners import registry
from listeners.base import Budget, ListeningError, Query, clean

RESERVE = 10
"""One in so many requests is kept for answers and for asking what was deleted; reading leaves them."""
ASSUMED = timedelta(minutes=15)
"""When a budget is full again where the platform does not say."""
LONGEST_WISH = timedelta(days=1)
"""So long a platform may make us wait: a nonsensical header must not silence an account for good."""
SAME_WINDOW = timedelta(seconds=5)
"""Platforms that say in how many seconds a window ends say so a little differently each time."""


def owner_of(source: SourceRow, account: AccountRow | None, base_url: str | None) -> str:
    """Whose budget a source spends: its account's, else the address's that it asks, or the host's."""
    if account is not None:
        return owner_of_account(account.id)
    try:
        host = registry.capability(source.platform).limited_by(Query(source.query, source.mode))
    except ListeningError:
        host = ""
    return (host or base_url or "")[:500]


def owner_of_account(account_id: int) -> str:
    """The owner of what an account may ask."""
    return f"account {account_id}"


def reserve(row: BudgetRow) -> int:
    """What reading leaves of it."""
    return 0 if row.quota is None else min(max(1, row.quota // RESERVE), row.quota // 2)


def readable(row: BudgetRow) -> int | None:
    """Requests that reading may still make; None where nothing bounds it."""
    return None if row.remaining is None else max(0, row.remaining - reserve(row))


def settled(row: BudgetRow, now: datetime) -> BudgetRow:
    """The budget as it is now: full again once its window is over, and free of what lost workers had taken."""
    if row.resets_at is None or row.resets_at > now:
        return row
    window = ASSUMED if row.window_seconds is None else timedelta(seconds=row.window_seconds)
    resets_at = None if row.quota is None else now + window
    return replace(row, remaining=row.quota, pending=0, resets_at=resets_at, words="")


@dataclass(slots=True)
class Allowance:
    """What one run of a source asks, kept in step with the account's budget. Each method is part of a transaction."""

    platform: str
    owner: str
    kind: str
    spares: bool = True
    """Whether the reserve is left alone."""
    until: datetime | None = None
    """Set where the last request could not be taken: when there is one to be had again."""
    _taken: set[str] = field(default_factory=set)
    """The kinds of budget that the request under way was taken from."""

    def take(self, tx: Transaction, now: datetime) -> datetime | None:
        """Takes one request; returns None, or the moment until which there is none to be had."""
        found = [settled(row, now) for row in self._locked(tx)]
        empty = [row for row in found if not self._has_one(row)]
        self.until = max((row.resets_at or now + ASSUMED for row in empty), default=None)
        if self.until is not None:
            return self.until
        for row in found:
            left = None if row.remaining is None else row.remaining - 1
            rows.write(tx, replace(row, remaining=left, pending=row.pending + 1))
        self._taken = {row.kind for row in found}
        return None

    def _has_one(self, row: BudgetRow) -> bool:
        left = readable(row) if self.spares else row.remaining
        return left is None or left > 0

    def give_back(self, tx: Transaction) -> None:
        """The request that was taken was not made after all."""
        for row in self._locked(tx):
            if row.kind in self._taken:
                left = None if row.remaining is None else row.remaining + 1
                rows.write(tx, replace(row, remaining=left, pending=max(0, row.pending - 1)))
        self._taken = set()

    def answered(self, tx: Transaction, now: datetime, said: Budget | None = None) -> None:
        """The request came back; `said` is what the platform's headers said is left."""
        for row in self._locked(tx):
            if row.kind in self._taken:
                rows.write(tx, replace(row, pending=max(0, row.pending - 1)))
        self._taken = set()
        if said is None or (said.remaining is None and said.limit is None):
            return
        self.kind = clean(said.kind)[:100]
        row = rows.opened(tx, self.platform, self.owner, self.kind)
        rows.write(tx, told(settled(row, now), said, now))

    def refused(self, tx: Transaction, now: datetime, wait: float, words: str) -> None:
        """The platform wants no request for `wait` seconds: whoever shares this budget waits as well."""
        self.answered(tx, now)
        row = rows.opened(tx, self.platform, self.owner, self.kind)
        until = now + min(timedelta(seconds=max(wait, 1.0)), LONGEST_WISH)
        if row.resets_at is not None and row.remaining == 0:
            until = max(until, row.resets_at)
        rows.write(tx, replace(row, remaining=0, pending=0, resets_at=until, words=clean(words)[:500], told_at=now))

    def _locked(self, tx: Transaction) -> list[BudgetRow]:
        return rows.locked(tx, self.platform, self.owner, {"", self.kind})


def wait(tx: Transaction, allowance: Allowance, source_id: int, wish: Wish, now: datetime) -> tuple[float, str]:
    """Seconds that a source waits at least before its next run, and why: "budget" (used up), "share", "" (nothing).

    Whoever spends the same budget gets a fair share of what is left of it until it is full again.
    """
    longest, why = 0.0, ""
    spending = sources.spending(tx, allowance.platform, allowance.owner)
    for row in rows.locked(tx, allowance.platform, allowance.owner, {"", allowance.kind}):
        row = settled(row, now)
        left = readable(row)
        if left is None or row.resets_at is None:
            continue
        seconds = (row.resets_at - now).total_seconds()
        others = [
            Wish(one.interval_seconds or one.poll_seconds, one.requests_a_run)
            for one in spending
            if one.id != source_id and row.kind in ("", one.budget_kind)
        ]
        least = share(left, seconds, wish, others)
        if least > longest and least > wish.interval:
            longest, why = least, "share" if left else "budget"
    return longest, why


def told(row: BudgetRow, said: Budget, now: datetime) -> BudgetRow:
    """The budget after the platform spoke. What others have under way is not in its figures yet, so it is taken off.

    Answers overtake each other: within one window the lower figure is the later one.
    """
    quota = row.quota if said.limit is None else said.limit
    resets_at = None if said.resets_at is None else min(said.resets_at, now + LONGEST_WISH)
    remaining = quota if said.remaining is None else said.remaining
    left = None if remaining is None else max(0, remaining - row.pending)
    same = row.resets_at is not None and (resets_at is None or resets_at <= row.resets_at + SAME_WINDOW)
    if same and quota == row.quota and row.remaining is not None and left is not None:
        left = min(left, row.remaining)
    window = row.window_seconds
    if resets_at is not None:
        window = max(window or 0.0, (resets_at - now).total_seconds())
    if resets_at is None:
        resets_at = row.resets_at or now + ASSUMED
    return replace(
        row, quota=quota, remaining=left, resets_at=resets_at, window_seconds=window or None, words="", told_at=now
    )
