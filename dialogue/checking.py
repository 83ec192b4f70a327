"""Accounts are tried once a day, so that a token which ended, or soon will, is told before it is missed."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from db import forgetting, workspace
from db import sources as rows
from db.sources import AccountRow
from dialogue import credentials
from dialogue.collecting import open_listener
from dialogue.context import Context
from listeners.base import BadCredentials, Health, Terminal, Transient, clean

EVERY = timedelta(days=1)
AGAIN = timedelta(minutes=15)
"""So long after a platform could not be asked it is tried again."""
WARN, URGE = timedelta(days=14), timedelta(days=3)
"""How long before credentials end it is said, and said louder."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Expiry:
    """When an account's credentials end. level: "" (far off), soon, urgent, over."""

    level: str
    words: str


def due(ctx: Context, limit: int = 20) -> list[int]:
    """Accounts that should be tried now."""
    with ctx.database.reading() as tx:
        return rows.accounts_to_check(tx, ctx.clock(), limit)


def check(ctx: Context, account_id: int) -> None:
    """Tries an account that is due, and writes down what came of it. What the network does says nothing about it."""
    now = ctx.clock()
    with ctx.database.transaction() as tx:
        account = rows.account(tx, account_id, lock=True)
        if account is None or (account.next_check_at or account.created_at) > now:
            return
        rows.change_account(tx, account_id, next_check_at=now + AGAIN)  # this is the claim, and the next try if it dies
    try:
        ask(ctx, account)
    except Transient as error:
        log.info("The account %d (%s) is tried again later: %s", account.id, account.platform, error)
    except Exception:  # one listener's fault must not keep the others from being tried
        log.exception("The account %d (%s) could not be tried", account.id, account.platform)


def ask(ctx: Context, account: AccountRow) -> Health:
    """Asks the platform who we are; keeps what it says, and which posts are therefore ours. Raises Transient."""
    refusal: BadCredentials | None = None
    try:
        health = open_listener(ctx, account.platform, account, {}).check()
    except Terminal as error:
        health = Health(False, f"{error} {error.what_to_do}")
        refusal = error if isinstance(error, BadCredentials) else None
    now = ctx.clock()
    with ctx.database.transaction() as tx:
        who: dict[str, Any] = {"limits": dict(health.limits)} if health.ok else {}
        if health.account is not None:
            who |= {"handle": health.account.handle, "external_id": health.account.id}
            forgetting.mark_ours(tx, account.platform, health.account.id, now)
        rows.account_checked(tx, account.id, now, health.ok, clean(health.words)[:500], **who)
        rows.change_account(tx, account.id, next_check_at=now + EVERY)
        if health.ok:
            if account.renew_at is None:  # what is renewed by itself ends when it cannot be renewed any more
                rows.change_account(tx, account.id, expires_at=health.expires_at)
            rows.revive(tx, account.id, now)
        workspace.bump(tx)
    if refusal is not None:
        credentials.refused(ctx, account, refusal)
    return health


def expiry(expires_at: datetime | None, now: datetime) -> Expiry:
    """How soon credentials end, in a sentence."""
    if expires_at is None or expires_at - now > WARN:
        return Expiry("", "")
    left, on = expires_at - now, f"{expires_at.day} {expires_at:%b}"
    if left <= timedelta(0):
        return Expiry("over", f"Its credentials ended on {on}: enter new ones.")
    days = max(1, round(left / timedelta(days=1)))
    words = f"Its credentials end in {days} day{'' if days == 1 else 's'}, on {on}: enter new ones before."
    return Expiry("urgent" if left <= URGE else "soon", words)
