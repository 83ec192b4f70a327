"""Everything that is kept encrypted, wherever it lies."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import select, update

from db.engine import Transaction
from db.sql import table
from db.tables import Connecting, Hook, PlatformAccount

COLUMNS = (
    (table(PlatformAccount), "credentials"),
    (table(Connecting), "sealed"),
    (table(Hook), "secret"),
    (table(Hook), "old_secret"),
)
"""A test sees to it that each column of bytes stands here, or is named there as one that holds no secret."""


def reseal(tx: Transaction, anew: Callable[[bytes], bytes | None]) -> int:
    """Puts what `anew` makes of each sealed value in its place; None leaves it. Returns how many were changed.

    Nobody else changes them until the transaction ends.
    """
    changed = 0
    for rows, name in COLUMNS:
        keys, column = list(rows.primary_key), rows.c[name]
        query = select(*keys, column).where(column.is_not(None)).order_by(*keys).with_for_update()
        for *key, sealed in tx.connection.execute(query).all():
            if (new := anew(bytes(sealed))) is not None:
                this = [one == value for one, value in zip(keys, key, strict=True)]
                tx.connection.execute(update(rows).where(*this).values({name: new}))
                changed += 1
    return changed
