"""How things stand, for machines that watch: is the database there, does a worker live, what waits."""

from __future__ import annotations

from dataclasses import dataclass

from db import engine, workers
from db import monitoring as rows
from dialogue import health
from dialogue.context import Context


@dataclass(frozen=True, slots=True)
class Liveness:
    """`database` and `worker` are None when all is well, else what is wrong, in words."""

    database: str | None
    worker: str | None

    @property
    def well(self) -> bool:
        return self.database is None and self.worker is None


@dataclass(frozen=True, slots=True)
class SourceState:
    """How one source does. `silence` is in seconds since it was last read without an error; None when it never was."""

    id: int
    platform: str
    state: str
    failures: int
    silence: float | None


@dataclass(frozen=True, slots=True)
class Figures:
    """What a monitoring system wants to draw. `worker_silence` is in seconds; None when no worker ever lived."""

    mentions: dict[str, int]
    untagged: int
    replies: dict[str, int]
    requests: dict[str, int]
    sources: tuple[SourceState, ...]
    worker_silence: float | None


def liveness(ctx: Context) -> Liveness:
    """Whether the database answers and a worker lives. Says nothing about what is in there."""
    if engine.reachable(ctx.database) is not None:
        return Liveness("does not answer", "unknown: the database does not answer")
    worker = health.worker(ctx)
    return Liveness(None, None if worker.alive else worker.words)


def figures(ctx: Context) -> Figures:
    """The figures of this moment."""
    now = ctx.clock()
    with ctx.database.reading() as tx:
        beat = workers.latest(tx)
        return Figures(
            mentions=rows.tagged_by_platform(tx),
            untagged=workers.waiting_untagged(tx),
            replies=rows.replies_by_state(tx),
            requests=rows.requests_by_state(tx),
            sources=tuple(
                SourceState(
                    source.id,
                    source.platform,
                    source.state,
                    source.failures,
                    (now - source.last_success_at).total_seconds() if source.last_success_at else None,
                )
                for source in rows.sources(tx)
            ),
            worker_silence=(now - beat.beat_at).total_seconds() if beat else None,
        )
