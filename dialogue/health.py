"""Whether a worker is there, and what waits for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from db import workers
from dialogue.context import Context

SILENT_AFTER = timedelta(seconds=30)
"""A worker says that it lives every few seconds."""


@dataclass(frozen=True, slots=True)
class WorkerHealth:
    """How the work behind the pages stands. `words` is a sentence, also when all is well.

    notice: what a worker that lives wants people to know, in one line; "" when it has nothing to say.
    """

    alive: bool
    words: str
    beat_at: datetime | None
    waiting_untagged: int
    queued_replies: int
    notice: str = ""


def worker(ctx: Context) -> WorkerHealth:
    """The newest sign of life of any worker, and what waits."""
    with ctx.database.reading() as tx:
        beat = workers.latest(tx)
        untagged, queued = workers.waiting_untagged(tx), workers.queued_replies(tx)
        notices = [one.notice for one in workers.alive(tx, ctx.clock() - SILENT_AFTER) if one.notice]
    if beat is None:
        return WorkerHealth(False, "No worker has started yet: nothing is read or sent.", None, untagged, queued)
    silent = ctx.clock() - beat.beat_at
    if silent > SILENT_AFTER:
        words = f"The worker has said nothing for {_span(silent)}: nothing is read or sent until one runs."
        return WorkerHealth(False, words, beat.beat_at, untagged, queued)
    return WorkerHealth(True, "The worker is running.", beat.beat_at, untagged, queued, "".join(notices[:1]))


def _span(time: timedelta) -> str:
    seconds = int(time.total_seconds())
    for length, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= length:
            count = seconds // length
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{seconds} seconds"
