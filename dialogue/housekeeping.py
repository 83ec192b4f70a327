"""What is done once an hour: old runs, previews, files, deliveries, and mentions past retention go."""

from __future__ import annotations

from datetime import timedelta

from db import budgets, conversations, hours, requests, sources
from dialogue import connecting, hooks, notes, privacy, uploads
from dialogue.context import Context
from dialogue.requests import QUOTING

RUNS_KEPT = timedelta(days=30)
PREVIEWS_KEPT = timedelta(days=1)
PRESENCE_KEPT = timedelta(hours=1)


def tidy(ctx: Context) -> None:
    """Removes what has had its time. Doing it twice is harmless."""
    now = ctx.clock()
    with ctx.database.transaction() as tx:
        sources.forget_runs(tx, now - RUNS_KEPT)
        requests.forget(tx, QUOTING, now - PREVIEWS_KEPT)
        conversations.forget_presence(tx, now - PRESENCE_KEPT)
        hours.forget(tx, now)
        budgets.forget_old(tx, now - RUNS_KEPT)
    uploads.tidy(ctx)
    hooks.tidy(ctx)
    connecting.tidy(ctx)
    notes.tidy(ctx)
    privacy.forget_past_retention(ctx)
    privacy.forget_not_refreshed(ctx)
