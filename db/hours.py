"""How much each source brings, by the hour that it was posted in: what its usual is told from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import delete, select

from db.engine import Transaction
from db.sql import insert, table
from db.tables import SourceHour

KEPT = timedelta(weeks=8)

_hours = table(SourceHour)


def of(moment: datetime) -> int:
    """The hour of a moment: hours since 1970, UTC."""
    return int(moment.timestamp() // 3600)


def add(tx: Transaction, source_id: int, posted: Iterable[datetime], now: datetime) -> None:
    """Counts what a source has just found; what was posted before the kept weeks is left out."""
    oldest = of(now - KEPT)
    counts = Counter(hour for hour in map(of, posted) if hour >= oldest)
    if not counts:
        return
    rows = [{"source_id": source_id, "hour": hour, "count": count} for hour, count in sorted(counts.items())]
    adding = insert(tx, _hours)
    tx.connection.execute(
        adding.on_conflict_do_update(
            index_elements=["source_id", "hour"], set_={"count": _hours.c.count + adding.excluded.count}
        ),
        rows,
    )


def by_source(tx: Transaction) -> dict[int, dict[int, int]]:
    """Every source's mentions by hour; hours without any are left out."""
    found: dict[int, dict[int, int]] = {}
    for source_id, hour, count in tx.connection.execute(select(_hours.c.source_id, _hours.c.hour, _hours.c.count)):
        found.setdefault(source_id, {})[hour] = count
    return found


def forget(tx: Transaction, now: datetime) -> None:
    """Removes hours older than the kept weeks."""
    tx.connection.execute(delete(_hours).where(_hours.c.hour < of(now - KEPT)))
