"""Numbers over time, as DataFrames. Daily counts come from the rollups; the rest from covering joins."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pandas as pd
from sqlalchemy import case, distinct, func
from sqlmodel import col, select

from db.engine import Transaction
from db.tables import Conversation, EffectiveTag, Mention, Reply, Rollup

_COUNTED = col(Mention.set_aside).is_(False)

NEEDS_ANSWER = ("question", "complaint")
"""Intents that ask for an answer: the share answered is counted over these."""


def daily(tx: Transaction, first: date, last: date, dimension: str = "all") -> pd.DataFrame:
    """Columns day, key, sentiment, count; a row a combination that occurs from `first` to `last`."""
    query = (
        select(col(Rollup.day), col(Rollup.key), col(Rollup.sentiment), col(Rollup.count))
        .where(col(Rollup.dimension) == dimension, col(Rollup.day).between(first, last), col(Rollup.count) > 0)
        .order_by(col(Rollup.day), col(Rollup.key), col(Rollup.sentiment))
    )
    return _frame(tx, query, ["day", "key", "sentiment", "count"])


def people(tx: Transaction, first: date, last: date) -> int:
    """How many identities, not ours, spoke between the two days."""
    query = (
        select(func.count(distinct(col(Mention.identity_id))))
        .select_from(EffectiveTag)
        .join(Mention, col(Mention.id) == col(EffectiveTag.mention_id))
        .where(col(EffectiveTag.day).between(first, last), col(Mention.ours).is_(False), _COUNTED)
    )
    return int(tx.session.exec(query).one())


def sources(tx: Transaction, first: date, last: date) -> int:
    """How many platforms had a mention between the two days."""
    query = select(func.count(distinct(col(Rollup.key)))).where(
        col(Rollup.dimension) == "platform", col(Rollup.day).between(first, last), col(Rollup.count) > 0
    )
    return int(tx.session.exec(query).one())


def answered_by_day(tx: Transaction, first: date, last: date) -> pd.DataFrame:
    """Columns day, asked, answered: conversations by the day of the question or complaint.

    What is folded under another needs no answer of its own, and is not asked for here either.
    """
    later_answer = case((col(Conversation.last_answered_at) >= col(Mention.posted_at), Conversation.id), else_=None)
    query = (
        select(
            col(EffectiveTag.day),
            func.count(distinct(col(Conversation.id))),
            func.count(distinct(later_answer)),
        )
        .select_from(EffectiveTag)
        .join(Mention, col(Mention.id) == col(EffectiveTag.mention_id))
        .join(Conversation, col(Conversation.id) == col(Mention.conversation_id))
        .where(
            col(EffectiveTag.day).between(first, last),
            col(EffectiveTag.intent).in_(NEEDS_ANSWER),
            col(Mention.ours).is_(False),
            _COUNTED,
            col(Conversation.shelf) != "copy",
        )
        .group_by(col(EffectiveTag.day))
        .order_by(col(EffectiveTag.day))
    )
    return _frame(tx, query, ["day", "asked", "answered"])


def minutes_to_answer(tx: Transaction, since: datetime, until: datetime) -> list[float]:
    """Minutes from a mention to our answer, for the answers sent in [since, until)."""
    query = (
        select(Mention.posted_at, Reply.sent_at)
        .select_from(Reply)
        .join(Mention, col(Mention.id) == col(Reply.mention_id))
        .where(col(Reply.state) == "sent", col(Reply.sent_at) >= since, col(Reply.sent_at) < until)
    )
    return [(sent - posted).total_seconds() / 60 for posted, sent in tx.session.exec(query) if sent is not None]


def has_sample(tx: Transaction) -> bool:
    """Whether any mention of the sample data is here."""
    return tx.session.exec(select(Mention.id).where(col(Mention.sample)).limit(1)).first() is not None


def mentions(tx: Transaction) -> int:
    """All mentions, tagged or not; ours and what is set aside left out."""
    return int(
        tx.session.exec(select(func.count()).select_from(Mention).where(col(Mention.ours).is_(False), _COUNTED)).one()
    )


def untagged(tx: Transaction) -> int:
    """Mentions that wait for the model."""
    query = select(func.count()).select_from(Mention).where(col(Mention.tagged_at).is_(None))
    return int(tx.session.exec(query).one())


def _frame(tx: Transaction, query: Any, columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame(list(map(tuple, tx.session.exec(query))), columns=columns)
