"""When what platforms ask of us was last done, what is overdue, and how much of their content left in exports."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import func, select

from db.engine import Transaction
from db.sql import insert, one_at_a_time, table
from db.tables import Duty, Export, LeftMention, Mention, MentionSource

_duties = table(Duty)
_exports = table(Export)
_mentions = table(Mention)
_links = table(MentionSource)
_left = table(LeftMention)


@dataclass(frozen=True, slots=True)
class DutyRow:
    """A duty on a platform: when it was last met, and what kept it from being met since."""

    platform: str
    duty: str
    met_at: datetime | None
    failed_at: datetime | None
    words: str


def met(tx: Transaction, platform: str, duty: str, now: datetime) -> None:
    """Notes that a duty was met."""
    _write(tx, platform, duty, met_at=now, failed_at=None, words="")


def failed(tx: Transaction, platform: str, duty: str, now: datetime, words: str) -> None:
    """Notes why a duty could not be met; when it last was stays."""
    _write(tx, platform, duty, failed_at=now, words=words)


def _write(tx: Transaction, platform: str, duty: str, **values: Any) -> None:
    row = {"platform": platform, "duty": duty, "met_at": None, "failed_at": None, "words": ""} | values
    adding = insert(tx, _duties).values(row)
    tx.connection.execute(adding.on_conflict_do_update(index_elements=["platform", "duty"], set_=values))


def all_(tx: Transaction) -> dict[tuple[str, str], DutyRow]:
    """What was noted, by platform and duty."""
    return {
        (row.platform, row.duty): DutyRow(row.platform, row.duty, row.met_at, row.failed_at, row.words)
        for row in tx.connection.execute(select(_duties))
    }


# What is kept ---------------------------------------------------------------------------------------------------------


def kept(tx: Transaction) -> set[str]:
    """The platforms of which something is kept; sample data is of none."""
    query = select(_mentions.c.platform).where(_mentions.c.sample.is_(False)).distinct()
    return set(tx.connection.execute(query).scalars())


def not_asked_since(tx: Transaction, platform: str, moment: datetime) -> int:
    """How many mentions of a platform it was not asked about since."""
    query = select(func.count()).where(
        _mentions.c.platform == platform, _mentions.c.checked_at < moment, _mentions.c.sample.is_(False)
    )
    return tx.connection.execute(query).scalar_one()


def not_confirmed_since(tx: Transaction, platform: str, moment: datetime) -> int:
    """How many mentions of a platform it neither gave nor confirmed since."""
    given = func.coalesce(_mentions.c.confirmed_at, _mentions.c.collected_at)
    query = select(func.count()).where(_mentions.c.platform == platform, given < moment, _mentions.c.sample.is_(False))
    return tx.connection.execute(query).scalar_one()


def unwatched(tx: Transaction, platform: str) -> int:
    """How many mentions of a platform nobody asks about: no source has them, not even one that was removed."""
    linked = select(_links.c.mention_id).where(_links.c.mention_id == _mentions.c.id).exists()
    left = select(_left.c.mention_id).where(_left.c.mention_id == _mentions.c.id).exists()
    query = select(func.count()).where(_mentions.c.platform == platform, _mentions.c.sample.is_(False), ~linked, ~left)
    return tx.connection.execute(query).scalar_one()


# Exports --------------------------------------------------------------------------------------------------------------


def exported(tx: Transaction, day: date) -> dict[str, int]:
    """How much of each platform's content left on a day."""
    query = select(_exports.c.platform, _exports.c.count).where(_exports.c.day == day)
    return {row[0]: row[1] for row in tx.connection.execute(query)}


def take_export(tx: Transaction, platform: str, day: date, wanted: int, most: int) -> int:
    """Takes up to `wanted` of what may leave on a day; returns how many there were. All who export share it."""
    one_at_a_time(tx)
    taken = min(wanted, max(0, most - exported(tx, day).get(platform, 0)))
    if taken:
        adding = insert(tx, _exports).values(platform=platform, day=day, count=taken)
        counted = {"count": _exports.c.count + adding.excluded.count}
        tx.connection.execute(adding.on_conflict_do_update(index_elements=["platform", "day"], set_=counted))
    return taken


def forget_exports(tx: Transaction, before: date) -> None:
    """Removes the counts of days that are over."""
    tx.connection.execute(_exports.delete().where(_exports.c.day < before))
