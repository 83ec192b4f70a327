"""A few cheap numbers about how things stand, for health checks and metrics."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlmodel import col

from db.engine import Transaction
from db.tables import Reply, Rollup, Source, WorkerRequest


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One source that is not being removed. `failures` are in a row."""

    id: int
    platform: str
    state: str
    failures: int
    last_success_at: datetime | None
    next_run_at: datetime | None
    posts_per_hour: float | None


def tagged_by_platform(tx: Transaction) -> dict[str, int]:
    """Tagged mentions, not ours, from the rollups: a count of the base table would read all of it."""
    query = (
        select(col(Rollup.key), func.sum(col(Rollup.count)))
        .where(col(Rollup.dimension) == "platform")
        .group_by(col(Rollup.key))
    )
    return {platform: int(count) for platform, count in tx.connection.execute(query)}


def replies_by_state(tx: Transaction) -> dict[str, int]:
    query = select(col(Reply.state), func.count()).group_by(col(Reply.state))
    return {state: int(count) for state, count in tx.connection.execute(query)}


def requests_by_state(tx: Transaction) -> dict[str, int]:
    query = select(col(WorkerRequest.state), func.count()).group_by(col(WorkerRequest.state))
    return {state: int(count) for state, count in tx.connection.execute(query)}


def sources(tx: Transaction) -> list[SourceRow]:
    query = select(
        col(Source.id),
        col(Source.platform),
        col(Source.state),
        col(Source.failures),
        col(Source.last_success_at),
        col(Source.next_run_at),
        col(Source.posts_per_hour),
    ).where(col(Source.state).not_in(("removing", "left")), ~col(Source.sample))
    return [
        SourceRow(source_id or 0, platform, state, failures, last, next_at, busy)
        for source_id, platform, state, failures, last, next_at, busy in tx.connection.execute(query)
    ]
