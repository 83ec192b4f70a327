"""How things stand, for machines that watch: is the database there, does a worker live, what waits."""

from __future__ import annotations

from dataclasses import dataclass

from db import budgets as budget_rows
from db import engine, workers
from db import monitoring as rows
from db import sources as source_rows
from dialogue import budgets, health
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
    """How one source does. `silence` is in seconds since it was last read without an error; None when it never was.

    `due_in` is in seconds, negative where it is late, None where nothing is planned; `per_hour` what it brings lately.
    """

    id: int
    platform: str
    state: str
    failures: int
    silence: float | None
    due_in: float | None
    per_hour: float | None


@dataclass(frozen=True, slots=True)
class BudgetState:
    """What a platform still lets us ask, by account or address and kind of request."""

    platform: str
    owner: str
    kind: str
    remaining: int


@dataclass(frozen=True, slots=True)
class AccountState:
    """Whether an account of ours is accepted, and in how many seconds its credentials end, where that is known."""

    id: int
    platform: str
    dead: bool
    expires_in: float | None


@dataclass(frozen=True, slots=True)
class Figures:
    """What a monitoring system wants to draw. `worker_silence` is in seconds; None when no worker ever lived."""

    mentions: dict[str, int]
    untagged: int
    replies: dict[str, int]
    requests: dict[str, int]
    sources: tuple[SourceState, ...]
    budgets: tuple[BudgetState, ...]
    accounts: tuple[AccountState, ...]
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
                    (source.next_run_at - now).total_seconds() if source.next_run_at else None,
                    source.posts_per_hour,
                )
                for source in rows.sources(tx)
            ),
            budgets=tuple(
                BudgetState(row.platform, row.owner, row.kind, row.remaining)
                for row in (budgets.settled(row, now) for row in budget_rows.all_(tx))
                if row.remaining is not None
            ),
            accounts=tuple(
                AccountState(
                    one.id,
                    one.platform,
                    one.dead_at is not None,
                    (one.expires_at - now).total_seconds() if one.expires_at else None,
                )
                for one in source_rows.accounts(tx)
            ),
            worker_silence=(now - beat.beat_at).total_seconds() if beat else None,
        )
