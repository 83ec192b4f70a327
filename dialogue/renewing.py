"""Access that a platform gives for hours only is renewed before it ends, by one worker at a time.

What renews it may be good once. So the account is claimed first; what comes back is stored in one transaction, before
anybody uses it; and of a worker that dies in between nothing is taken for granted: the next one asks with what is
stored, and the platform's own word is what counts. Only that word makes an account dead, never a network.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from db import sources as rows
from db import workspace
from db.sources import AccountRow
from dialogue import points
from dialogue.alone import alone
from dialogue.context import Context, DialogueError
from listeners import oauth, registry
from listeners.base import BadCredentials, Options, Terminal, Transient, clean
from listeners.oauth import Granted

LEASE = timedelta(seconds=150)
"""How long one answer of a platform may take, and more."""
AGAIN = timedelta(minutes=2)
"""So long after a platform could not be asked it is tried again, unless it names its own wait."""
SPENT = 0.8
"""It is renewed after this part of its time; the rest is for a platform or a worker that is away for a while."""

log = logging.getLogger(__name__)


def times(granted: Granted, now: datetime) -> dict[str, datetime | None]:
    """The account's columns that say how long what was given is good: by itself, and before a person must act."""
    until, ends = _from(now, granted.lasts), _from(now, granted.renewable)
    if granted.lasts is None or not granted.renews:
        return {"access_until": until, "renew_at": None, "expires_at": until or ends}
    return {"access_until": until, "renew_at": _from(now, granted.lasts * SPENT), "expires_at": ends}


def _from(now: datetime, seconds: float | None) -> datetime | None:
    return None if seconds is None else now + timedelta(seconds=seconds)


def due(ctx: Context, limit: int = 20) -> list[int]:
    """Accounts whose access should be renewed now."""
    with ctx.database.reading() as tx:
        return rows.accounts_to_renew(tx, ctx.clock(), limit)


def renew(ctx: Context, account_id: int) -> None:
    """Renews an account's access if that is due and nobody else is at it. Never raises for what a platform did."""
    with alone(ctx, "renew", account_id) as free:
        account = _claimed(ctx, account_id) if free else None
        if account is None:
            return
        points.reached("renew.claimed")
        try:
            known = ctx.secrets.decrypt(account.credentials)
            options = Options(base_url=account.base_url, allow_private_hosts=ctx.allow_private_hosts)
            granted = oauth.refresh(registry.capability(account.platform), known, options)
        except Transient as error:
            _again(ctx, account, error.retry_after)
            log.info("The access of account %d (%s) is renewed later: %s", account_id, account.platform, error)
        except (Terminal, DialogueError) as error:
            _refused(ctx, account, error)
        else:
            points.reached("renew.given")
            _keep(ctx, account, known, granted)
            points.reached("renew.kept")


def _claimed(ctx: Context, account_id: int) -> AccountRow | None:
    now = ctx.clock()
    with ctx.database.transaction() as tx:
        account = rows.account(tx, account_id, lock=True)
        if account is None or account.dead_at is not None or account.renew_at is None or account.renew_at > now:
            return None
        rows.change_account(tx, account_id, renew_at=now + LEASE)  # the claim, and the next try if this one dies
    return account


def _keep(ctx: Context, account: AccountRow, known: dict[str, str], granted: Granted) -> None:
    """Stores what was given in place of what it was given for; where that has changed meanwhile, it is let go."""
    now = ctx.clock()
    with ctx.database.transaction() as tx:
        stored = _stored(ctx, rows.account(tx, account.id, lock=True))
        if not _same(account, known, stored):
            log.info("Account %d (%s) was changed while its access was renewed", account.id, account.platform)
            return
        sealed = ctx.secrets.encrypt({**stored, **granted.credentials})
        rows.change_account(tx, account.id, credentials=sealed, **times(granted, now))
        rows.revive(tx, account.id, now)
        workspace.bump(tx)


def _again(ctx: Context, account: AccountRow, wait: float | None) -> None:
    after = min(timedelta(seconds=wait), timedelta(hours=1)) if wait else AGAIN
    with ctx.database.transaction() as tx:
        rows.change_account(tx, account.id, renew_at=ctx.clock() + after)


def _refused(ctx: Context, account: AccountRow, error: Terminal | DialogueError) -> None:
    """The platform's own word ends it at once. What only may be meant so does when the access is over, too."""
    now = ctx.clock()
    over = account.access_until is None or account.access_until <= now
    if not isinstance(error, BadCredentials) and not over:
        _again(ctx, account, None)
        log.warning("The access of account %d (%s) could not be renewed: %s", account.id, account.platform, error)
        return
    ended: dict[str, Any] = {"dead_at": now, "renew_at": None, "access_until": now}
    told = {"checked_at": now, "check_ok": False, "check_words": clean(str(error))[:500]}
    with ctx.database.transaction() as tx:
        here = rows.account(tx, account.id, lock=True)
        if here is None or here.saved_at != account.saved_at or here.credentials != account.credentials:
            return  # nobody has refused what stands there now
        rows.change_account(tx, account.id, **ended, **told)
        workspace.bump(tx)
    log.warning("The account %d (%s) must be connected again: %s", account.id, account.platform, error)


def _stored(ctx: Context, account: AccountRow | None) -> dict[str, str]:
    return {} if account is None else ctx.secrets.decrypt(account.credentials)


def _same(account: AccountRow, known: dict[str, str], stored: dict[str, str]) -> bool:
    """Whether what the new access was given for is still what is stored."""
    flow = registry.capability(account.platform).oauth
    return flow is not None and known.get(flow.refresh) == stored.get(flow.refresh)
