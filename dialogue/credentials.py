"""Whether the platforms still accept our accounts, and how new credentials are kept.

A platform refuses good credentials in passing, too. An account is dead once it was refused twice, minutes apart, by the
platform itself; whatever the network does in between says nothing about it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from db import sources as rows
from db import workspace
from db.replies import AccountRow as AnsweringRow
from db.sources import AccountRow
from dialogue import points
from dialogue.context import Context, DialogueError
from listeners.base import BadCredentials, Transient, clean

CONFIRMED_AFTER = timedelta(minutes=5)
"""So long after a refusal the platform is asked again; a refusal then is believed."""
ENTER_AGAIN = "Enter the account's credentials again."
CONNECT_AGAIN = "Connect it again, on the page Sources."
SOON = 15.0
"""Seconds until access that was being renewed is looked for again."""

log = logging.getLogger(__name__)


def refused(ctx: Context, account: AccountRow, error: BadCredentials) -> bool:
    """Notes that the platform did not accept the account; returns whether that makes it dead."""
    now = ctx.clock()
    with ctx.database.transaction() as tx:
        known = rows.account(tx, account.id, lock=True)
        if known is None or known.saved_at != account.saved_at or known.credentials != account.credentials:
            return False  # other credentials were entered or given meanwhile, and nobody has refused those
        if known.dead_at is not None:
            return True
        if known.refused_at is None:
            rows.change_account(tx, account.id, refused_at=now, next_check_at=now + CONFIRMED_AFTER)
            return False
        if now - known.refused_at < CONFIRMED_AFTER:
            rows.change_account(tx, account.id, next_check_at=known.refused_at + CONFIRMED_AFTER)
            return False
        words = clean(str(error))[:500]
        rows.change_account(tx, account.id, dead_at=now, checked_at=now, check_ok=False, check_words=words)
        workspace.bump(tx)
    log.warning("The account %d (%s) is not accepted any more: %s", account.id, account.platform, error)
    return True


def accepted(ctx: Context, account: AccountRow) -> None:
    """Notes that the platform accepted the account after it had refused it: what was refused was no sign of death."""
    with ctx.database.transaction() as tx:
        rows.revive(tx, account.id, ctx.clock())
        workspace.bump(tx)


def again(account: AccountRow) -> str:
    """What to do about an account that is not accepted any more, in the way in which it came here."""
    return "Connect it again." if account.connected_at is not None else "Enter its credentials again."


def what_to_do(account: AccountRow | None, error: BadCredentials) -> str:
    """What to do about a refusal: what the listener says, but for an account that was connected there."""
    return CONNECT_AGAIN if account is not None and account.connected_at is not None else error.what_to_do


def check_access(account: AccountRow | AnsweringRow, now: datetime) -> None:
    """Raises where what the platform gave is over: Transient while it is renewed, BadCredentials where it is not."""
    if account.access_until is None or account.access_until > now:
        return
    if account.renew_at is None:
        raise BadCredentials("The access that the platform gave has ended.", CONNECT_AGAIN)
    raise Transient("The access that the platform gave has ended, and is being renewed.", SOON)


def keeper(ctx: Context, account_id: int, saved_at: datetime | None) -> Callable[[Mapping[str, str]], None]:
    """What keeps credentials that the platform gave in place of the account's; see `Options.on_credentials`.

    They are sealed and committed when it returns. It never overwrites what a person has entered since `saved_at`.
    """

    def keep(given: Mapping[str, str]) -> None:
        points.reached("credentials.given")
        with ctx.database.transaction() as tx:
            account = rows.account(tx, account_id, lock=True)
            if account is None or account.saved_at != saved_at:
                raise Transient("The account was changed while it was in use.", 1.0)
            try:
                known = ctx.secrets.decrypt(account.credentials)
            except DialogueError as error:
                raise Transient(str(error)) from error
            sealed = ctx.secrets.encrypt({**known, **{name: str(value) for name, value in given.items()}})
            rows.change_account(tx, account_id, credentials=sealed)
        points.reached("credentials.kept")

    return keep
