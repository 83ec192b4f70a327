"""What platforms still let us ask: one row for each account, or address, and kind of request; shared by all workers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update

from db.engine import Transaction
from db.sql import insert, table
from db.tables import Budget

_budgets = table(Budget)


@dataclass(frozen=True, slots=True)
class BudgetRow:
    """What is left, as the platform last said and less what was taken since."""

    platform: str
    owner: str
    kind: str
    remaining: int | None
    quota: int | None
    pending: int
    resets_at: datetime | None
    window_seconds: float | None
    words: str
    told_at: datetime | None


def _row(row: Any) -> BudgetRow:
    return BudgetRow(**{name: getattr(row, name) for name in BudgetRow.__slots__})


def all_(tx: Transaction) -> list[BudgetRow]:
    """Every budget."""
    return [_row(row) for row in tx.connection.execute(select(_budgets).order_by(*_budgets.primary_key))]


def locked(tx: Transaction, platform: str, owner: str, kinds: Iterable[str]) -> list[BudgetRow]:
    """The budgets of these kinds that there are, locked until the transaction ends, always in the same order."""
    query = select(_budgets).where(
        _budgets.c.platform == platform, _budgets.c.owner == owner, _budgets.c.kind.in_(set(kinds))
    )
    return [_row(row) for row in tx.connection.execute(query.order_by(_budgets.c.kind).with_for_update())]


def opened(tx: Transaction, platform: str, owner: str, kind: str) -> BudgetRow:
    """One budget, made where there is none, locked until the transaction ends."""
    blank = {"platform": platform, "owner": owner, "kind": kind, "pending": 0, "words": ""}
    tx.connection.execute(insert(tx, _budgets).values(blank).on_conflict_do_nothing())
    (row,) = locked(tx, platform, owner, (kind,))
    return row


def write(tx: Transaction, row: BudgetRow) -> None:
    """Sets a budget that this transaction has locked."""
    values = asdict(row)
    key = [column == values.pop(column.name) for column in _budgets.primary_key]
    tx.connection.execute(update(_budgets).where(*key).values(values))


def forget(tx: Transaction, platform: str, owner: str) -> None:
    """Forgets what is known of an account: another token has limits of its own."""
    tx.connection.execute(delete(_budgets).where(_budgets.c.platform == platform, _budgets.c.owner == owner))


def forget_old(tx: Transaction, before: datetime) -> None:
    """Removes what was over before then and has not been spoken of since."""
    tx.connection.execute(delete(_budgets).where(_budgets.c.resets_at < before))
