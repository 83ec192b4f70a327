"""The taxonomy: topics described in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select

from db.engine import Transaction
from db.sql import table
from db.tables import Topic

_topics = table(Topic)


@dataclass(frozen=True, slots=True)
class TopicRow:
    """One topic, its phrases and the examples that people confirmed."""

    name: str
    phrases: tuple[str, ...]
    examples: tuple[str, ...] = ()


def all_(tx: Transaction) -> list[TopicRow]:
    """Every topic in the order of the taxonomy."""
    query = select(_topics).order_by(_topics.c.position, _topics.c.id)
    return [TopicRow(row.name, tuple(row.phrases), tuple(row.examples)) for row in tx.connection.execute(query)]


def replace(tx: Transaction, topics: Sequence[TopicRow]) -> None:
    """Puts these in the place of all others."""
    tx.connection.execute(delete(_topics))
    if topics:
        tx.connection.execute(
            _topics.insert(),
            [
                {"name": one.name, "phrases": list(one.phrases), "examples": list(one.examples), "position": place}
                for place, one in enumerate(topics)
            ],
        )
