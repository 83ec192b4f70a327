"""Sample data: marked on every row, removed by that mark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CursorResult, delete, select, update

from db import forgetting, themes, workspace
from db.engine import Transaction
from db.sql import table
from db.tables import Conversation, FeedbackEvidence, FeedbackItem, Identity, Mention, Person, Reply, Source

_conversations = table(Conversation)
_evidence = table(FeedbackEvidence)
_identities = table(Identity)
_items = table(FeedbackItem)
_mentions = table(Mention)
_people = table(Person)
_replies = table(Reply)
_sources = table(Source)


@dataclass(frozen=True, slots=True)
class SampleAnswer:
    """One of the company's answers: which mention it answers, and how it stands on the platform."""

    platform: str
    external_id: str
    answers: str
    text: str
    at: datetime


def add_source(tx: Transaction, platform: str, label: str, now: datetime) -> int:
    """A paused source that the sample's mentions of one platform hang on. Never asked: it is paused for good."""
    found = tx.connection.execute(
        _sources.insert().values(
            platform=platform, label=label, mode="", query="", state="paused", cursor={}, options={}, poll_seconds=300,
            created_at=now, fence=0, last_success_at=now, last_error="", last_error_kind="", what_to_do="",
            failures=0, budget={}, sample=True,
        )
    )  # fmt: skip
    return _id(found)


def add_answers(tx: Transaction, answers: Sequence[SampleAnswer]) -> None:
    """The ledger's rows for answers that already stand in their threads."""
    ids = _mention_ids(tx)
    tx.connection.execute(
        _replies.insert(),
        [
            {
                "conversation_id": ids[a.platform, a.answers].conversation_id,
                "mention_id": ids[a.platform, a.answers].id,
                "draft_key": f"sample {a.platform} {a.external_id}", "text": a.text, "state": "sent",
                "conversation_version": 1, "made_by": "web", "created_at": a.at, "changed_at": a.at, "queued_at": a.at,
                "send_after": a.at, "sending_at": a.at, "fence": 1, "tries": 1, "sent_at": a.at,
                "sent_id": a.external_id, "reason": "", "what_to_do": "", "sample": True,
            }
            for a in answers
        ],
    )  # fmt: skip


def add_item(
    tx: Transaction, title: str, kind: str, state: str, reason: str, backed_by: Sequence[tuple[str, str]], now: datetime
) -> None:
    """A feedback item with the (platform, external_id) of the mentions behind it; their whole text is the quote."""
    ids = _mention_ids(tx)
    rows = [ids[key] for key in backed_by]
    at = min((row.posted_at for row in rows), default=now)
    item = tx.connection.execute(
        _items.insert().values(
            title=title, description="", kind=kind, state=state, reason=reason, created_at=at,
            changed_at=max((row.posted_at for row in rows), default=now), sample=True,
        )
    )  # fmt: skip
    tx.connection.execute(
        _evidence.insert(),
        [{"item_id": _id(item), "mention_id": row.id, "quote": row.text, "at": row.posted_at} for row in rows],
    )


def remember(tx: Transaction, memos: Mapping[str, str]) -> None:
    """Puts a memo on the people with these handles."""
    for handle, memo in memos.items():
        who = select(_identities.c.person_id).where(_identities.c.handle == handle, _identities.c.sample)
        tx.connection.execute(update(_people).where(_people.c.id.in_(who)).values(memo=memo))


def join_people(tx: Transaction, handles: Sequence[str]) -> None:
    """Makes one person of the identities with the same handle on several platforms, as a colleague would have."""
    for handle in handles:
        query = select(_identities.c.person_id).where(_identities.c.handle == handle, _identities.c.sample)
        first, *others = sorted(set(tx.connection.execute(query).scalars()))
        for columns in (_identities.c.person_id, _conversations.c.person_id):
            tx.connection.execute(update(columns.table).where(columns.in_(others)).values(person_id=first))
        tx.connection.execute(delete(_people).where(_people.c.id.in_(others)))


def settle(tx: Transaction, now: datetime, quiet: timedelta) -> None:
    """Closes what has been quiet for so long: a company that works does not let everything lie open."""
    tx.connection.execute(
        update(_conversations)
        .where(_conversations.c.sample, _conversations.c.latest_at < now - quiet)
        .values(state="closed", due_at=None, closed_at=_conversations.c.latest_at)
    )


def mark_loaded(tx: Transaction, at: datetime | None) -> None:
    """When the sample was loaded; None when it is gone."""
    workspace.write(tx, sample_loaded_at=at)


def untagged(tx: Transaction) -> int:
    """How many of the sample's mentions wait for the model."""
    query = select(_mentions.c.id).where(_mentions.c.sample, _mentions.c.tagged_at.is_(None))
    return len(tx.connection.execute(query).all())


def remove(tx: Transaction, now: datetime) -> int:
    """Takes out every row of the sample and all that hangs on it; returns how many mentions went."""
    ids = list(tx.connection.execute(select(_mentions.c.id).where(_mentions.c.sample)).scalars())
    tx.connection.execute(delete(_replies).where(_replies.c.sample))
    tx.connection.execute(delete(_items).where(_items.c.sample))
    # No tombstones: the sample may be loaded again.
    gone = forgetting.forget(tx, ids, now=now, reason="sample removed", digest=None)
    themes.remove_sample(tx)
    for of in (_conversations, _sources, _identities, _people):
        tx.connection.execute(delete(of).where(of.c.sample))
    mark_loaded(tx, None)
    return gone


def _id(inserted: CursorResult[Any]) -> int:
    key = inserted.inserted_primary_key
    assert key is not None
    return int(key[0])


def _mention_ids(tx: Transaction) -> dict[tuple[str, str], Any]:
    query = select(
        _mentions.c.platform, _mentions.c.external_id, _mentions.c.id, _mentions.c.conversation_id,
        _mentions.c.posted_at, _mentions.c.text,
    ).where(_mentions.c.sample)  # fmt: skip
    return {(row.platform, row.external_id): row for row in tx.connection.execute(query)}
