"""Forgetting mentions with all that was derived from them, and keeping their conversations and people true."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, delete, func, or_, select, update

from db import context, copies, rollups, themes, topics, workspace
from db.engine import Transaction
from db.mentions import buried_as
from db.sql import chunks, insert, one_at_a_time, table
from db.tables import (
    Conversation,
    EffectiveTag,
    Identity,
    LeftMention,
    Mention,
    MentionEdit,
    MentionSource,
    Merge,
    Person,
    Reply,
    Tombstone,
)

NOT_SENT = ("draft", "awaiting_approval", "queued", "failed", "hand_off", "discarded")
"""Replies in these states never left; they go with the mention that they would have answered."""

DELETED = "deleted at source"

_mentions = table(Mention)
_identities = table(Identity)
_people = table(Person)
_conversations = table(Conversation)
_links = table(MentionSource)
_left = table(LeftMention)
_edits = table(MentionEdit)
_merges = table(Merge)
_replies = table(Reply)
_tombstones = table(Tombstone)
_effective = table(EffectiveTag)


@dataclass(frozen=True, slots=True)
class Standing:
    """A mention to ask its platform about."""

    id: int
    external_id: str


def forget(
    tx: Transaction,
    mention_ids: Iterable[int],
    *,
    now: datetime,
    reason: str,
    digest: Callable[[str], str] | None,
) -> int:
    """Removes mentions and all that was derived from them: edits, tags, corrections, quotes, unsent replies.

    Identities and people who have nothing left go too. What was sent stays, without what it answered. With `digest` a
    tombstone stops a refetch; None leaves none, so that the mention may be collected again. Returns how many went.
    """
    one_at_a_time(tx)
    rows = _rows(tx, sorted(set(mention_ids)))
    if not rows:
        return 0
    if digest is not None:
        _bury(tx, [digest(buried_as(row.platform, row.external_id)) for row in rows], reason, now)
    ids = [row.id for row in rows]
    with rollups.kept(tx, ids), copies.kept(tx, ids):
        for some in chunks(ids):
            tx.connection.execute(
                delete(_replies).where(_replies.c.mention_id.in_(some), _replies.c.state.in_(NOT_SENT))
            )
            tx.connection.execute(delete(_mentions).where(_mentions.c.id.in_(some)))
    for platform in sorted({row.platform for row in rows}):
        context.forget(tx, platform, [row.external_id for row in rows if row.platform == platform])
    topics.forget_texts(tx, [text for row in rows for text in (row.text, f"{row.title or ''} {row.text}")])
    themes.forget_hollow(tx)
    refresh_conversations(tx, {row.conversation_id for row in rows})
    forget_authors(tx, sorted({row.identity_id for row in rows if row.identity_id is not None}))
    workspace.bump(tx)
    return len(ids)


def forget_context(
    tx: Transaction,
    platform: str,
    external_ids: Sequence[str],
    *,
    now: datetime,
    reason: str,
    digest: Callable[[str], str],
) -> None:
    """Removes what is kept beside mentions, with a tombstone each: it was deleted, or its author is to be forgotten."""
    if external_ids:
        one_at_a_time(tx)
        _bury(tx, [digest(buried_as(platform, one)) for one in external_ids], reason, now)
        context.forget(tx, platform, external_ids)
        workspace.bump(tx)


def _rows(tx: Transaction, ids: Sequence[int]) -> list[Any]:
    found: list[Any] = []
    for some in chunks(ids):
        query = select(
            _mentions.c.id, _mentions.c.platform, _mentions.c.external_id, _mentions.c.identity_id,
            _mentions.c.conversation_id, _mentions.c.title, _mentions.c.text,
        ).where(_mentions.c.id.in_(some)).order_by(_mentions.c.id)  # fmt: skip
        found += tx.connection.execute(query).all()
    return found


def _bury(tx: Transaction, digests: Sequence[str], reason: str, now: datetime) -> None:
    tx.connection.execute(
        insert(tx, _tombstones).on_conflict_do_nothing(),
        [{"digest": digest, "reason": reason, "at": now} for digest in digests],
    )


def forget_authors(tx: Transaction, identity_ids: Sequence[int]) -> None:
    """Removes those identities of others that wrote nothing which is still here, and people without any identity."""
    for some in chunks(identity_ids):
        gone = (
            select(_identities.c.id, _identities.c.person_id)
            .where(_identities.c.id.in_(some), _identities.c.ours.is_(False))
            .where(~select(_mentions.c.id).where(_mentions.c.identity_id == _identities.c.id).exists())
        )
        rows = tx.connection.execute(gone).all()
        if not rows:
            continue
        tx.connection.execute(delete(_identities).where(_identities.c.id.in_([row.id for row in rows])))
        forget_nobodies(tx, {row.person_id for row in rows})


def forget_nobodies(tx: Transaction, person_ids: Iterable[int]) -> None:
    """Removes those of these people, and of whoever was merged into them, none of whose identities is left."""
    ids = _with_merged(tx, set(person_ids))
    named = select(_identities.c.id).where(_identities.c.person_id == _people.c.id).exists()
    nobodies = list(tx.connection.execute(select(_people.c.id).where(_people.c.id.in_(ids), ~named)).scalars())
    given = select(_merges.c.from_person_id, _merges.c.identity_ids).where(
        _merges.c.from_person_id.in_(nobodies), _merges.c.undone_at.is_(None)
    )
    gave = tx.connection.execute(given).all()
    lent = {identity for _, identities in gave for identity in identities}
    left = set(tx.connection.execute(select(_identities.c.id).where(_identities.c.id.in_(lent))).scalars())
    kept = {person for person, identities in gave if left.intersection(identities)}
    tx.connection.execute(delete(_people).where(_people.c.id.in_([one for one in nobodies if one not in kept])))


def _with_merged(tx: Transaction, person_ids: set[int]) -> set[int]:
    """These people and whoever was merged into one of them, directly or through others."""
    found, last = set(person_ids), person_ids
    while last:
        query = select(_merges.c.from_person_id).where(
            _merges.c.into_person_id.in_(last), _merges.c.undone_at.is_(None)
        )
        last = set(tx.connection.execute(query).scalars()) - found
        found |= last
    return found


def refresh_conversations(tx: Transaction, conversation_ids: Iterable[int]) -> None:
    """Works out anew who spoke last in each and where it lies, and removes those in which nothing is left.

    One with nothing but our own words in it is closed.
    """
    for some in chunks(sorted(set(conversation_ids))):
        latest, count = _latest(tx, some)
        tx.connection.execute(
            delete(_conversations)
            .where(_conversations.c.id.in_(some))
            .where(~select(_mentions.c.id).where(_mentions.c.conversation_id == _conversations.c.id).exists())
            .where(~select(_replies.c.id).where(_replies.c.conversation_id == _conversations.c.id).exists())
        )
        query = select(_conversations).where(_conversations.c.id.in_(some)).order_by(_conversations.c.id)
        rows = [_refreshed(row, latest.get(row.id), count.get(row.id, 0)) for row in tx.connection.execute(query)]
        if rows:
            tx.connection.execute(update(_conversations).where(_conversations.c.id == bindparam("b_id")), rows)
        copies.shelve(tx, some)


def _latest(tx: Transaction, conversation_ids: Sequence[int]) -> tuple[dict[int, Any], dict[int, int]]:
    """For each conversation the newest mention that is not ours, with its tags and person, and how many there are.

    What is set aside speaks for a conversation only where there is nothing else.
    """
    query = (
        select(
            _mentions.c.conversation_id, _mentions.c.id, _mentions.c.posted_at, _identities.c.person_id,
            _effective.c.sentiment, _effective.c.intent, _mentions.c.set_aside,
        )
        .outerjoin(_identities, _identities.c.id == _mentions.c.identity_id)
        .outerjoin(_effective, _effective.c.mention_id == _mentions.c.id)
        .where(_mentions.c.conversation_id.in_(conversation_ids), _mentions.c.ours.is_(False))
        .order_by(_mentions.c.set_aside.desc(), _mentions.c.posted_at, _mentions.c.id)
    )  # fmt: skip
    latest: dict[int, Any] = {}
    count: dict[int, int] = {}
    for row in tx.connection.execute(query):
        before = latest.get(row.conversation_id)
        begins = before is None or before.set_aside != row.set_aside
        count[row.conversation_id] = 1 if begins else count[row.conversation_id] + 1
        latest[row.conversation_id] = row
    return latest, count


def _refreshed(row: Any, latest: Any, count: int) -> dict[str, Any]:
    if latest is None:
        return {
            "b_id": row.id, "mention_count": 0, "latest_mention_id": None, "latest_at": row.latest_at,
            "person_id": None, "sentiment": None, "intent": None, "state": "closed", "due_at": None,
        }  # fmt: skip
    all_answered = row.state == "open" and row.last_answered_at and latest.posted_at <= row.last_answered_at
    return {
        "b_id": row.id,
        "mention_count": count,
        "latest_mention_id": latest.id,
        "latest_at": latest.posted_at,
        "person_id": latest.person_id,
        "sentiment": latest.sentiment,
        "intent": latest.intent,
        "state": "waiting" if all_answered else row.state,
        "due_at": None if all_answered else row.due_at,
    }


def mark_ours(tx: Transaction, platform: str, author_id: str, now: datetime) -> None:
    """Says that an author is one of our own accounts, also of what was collected before we knew."""
    one_at_a_time(tx)
    identity = tx.connection.execute(
        select(_identities.c.id).where(_identities.c.platform == platform, _identities.c.external_id == author_id)
    ).scalar()
    if identity is None:
        return
    tx.connection.execute(update(_identities).where(_identities.c.id == identity).values(ours=True))
    query = select(
        _mentions.c.id, _mentions.c.conversation_id, _mentions.c.parent_id, _mentions.c.posted_at
    ).where(_mentions.c.identity_id == identity, _mentions.c.ours.is_(False))  # fmt: skip
    rows = tx.connection.execute(query).all()
    for some in chunks(rows):
        ids = [row.id for row in some]
        with rollups.kept(tx, ids), copies.kept(tx, ids):
            tx.connection.execute(
                update(_mentions)
                .where(_mentions.c.id.in_(ids))
                .values(ours=True, tagged_at=func.coalesce(_mentions.c.tagged_at, now))
            )
        _note_answers(tx, [row for row in some if row.parent_id is not None])
        refresh_conversations(tx, {row.conversation_id for row in some})
    if rows:
        workspace.bump(tx)


def _note_answers(tx: Transaction, answers: Sequence[Any]) -> None:
    """Their conversations have been answered by these."""
    at: dict[int, list[datetime]] = {}
    for row in answers:
        at.setdefault(row.conversation_id, []).append(row.posted_at)
    query = select(_conversations).where(_conversations.c.id.in_(list(at))).order_by(_conversations.c.id)
    noted = [
        {
            "b_id": row.id,
            "first_answered_at": min([row.first_answered_at or at[row.id][0], *at[row.id]]),
            "last_answered_at": max([row.last_answered_at or at[row.id][0], *at[row.id]]),
        }
        for row in tx.connection.execute(query)
    ]
    if noted:
        tx.connection.execute(update(_conversations).where(_conversations.c.id == bindparam("b_id")), noted)


def to_check(
    tx: Transaction,
    source_id: int,
    now: datetime,
    every: timedelta,
    limit: int,
    *,
    recent: timedelta,
    rest: timedelta,
    left: bool = False,
) -> list[Standing]:
    """Which of a source's mentions to ask about next: those shown or new after `every`, all others after `rest`.

    Shown are those whose conversation is not closed, new are those posted within `recent`; the newest come first.
    `left`: of a source that was removed.
    """
    found_by = _left if left else _links
    query = (
        select(_mentions.c.id, _mentions.c.external_id)
        .join(found_by, found_by.c.mention_id == _mentions.c.id)
        .join(_conversations, _conversations.c.id == _mentions.c.conversation_id)
        .where(found_by.c.source_id == source_id)
        .where(
            or_(
                (_mentions.c.checked_at <= now - every)
                & ((_conversations.c.state != "closed") | (_mentions.c.posted_at >= now - recent)),
                _mentions.c.checked_at <= now - rest,
            )
        )
        .order_by(_mentions.c.posted_at.desc(), _mentions.c.id.desc())
        .limit(limit)
    )
    return [Standing(row.id, row.external_id) for row in tx.connection.execute(query)]


def asked_about(tx: Transaction, mention_ids: Sequence[int], now: datetime, *, stand: bool) -> None:
    """Notes that their platform was asked about these at `now`, and whether it said that they `stand`."""
    values = {"checked_at": now} | ({"confirmed_at": now} if stand else {})
    for some in chunks(sorted(mention_ids)):
        tx.connection.execute(update(_mentions).where(_mentions.c.id.in_(some)).values(values))


def leave(tx: Transaction, source_id: int, mention_ids: Sequence[int]) -> None:
    """Has those of these that no other source found be asked about by the way that this one was; it is going."""
    other = select(_links.c.mention_id).where(_links.c.mention_id == _mentions.c.id, _links.c.source_id != source_id)
    alone = select(_mentions.c.id).where(_mentions.c.id.in_(list(mention_ids)), ~other.exists())
    found = [{"mention_id": id_, "source_id": source_id} for id_ in tx.connection.execute(alone).scalars()]
    if found:
        tx.connection.execute(insert(tx, _left).on_conflict_do_nothing(), found)


def any_left(tx: Transaction, source_id: int) -> bool:
    """Whether something that only this removed source found is still here."""
    query = select(_left.c.mention_id).where(_left.c.source_id == source_id).limit(1)
    return tx.connection.execute(query).first() is not None


def not_confirmed_since(tx: Transaction, platform: str, moment: datetime, limit: int) -> list[int]:
    """Mentions of a platform that it has neither given nor confirmed since; sample data has no platform."""
    given = func.coalesce(_mentions.c.confirmed_at, _mentions.c.collected_at)
    query = select(_mentions.c.id).where(
        _mentions.c.platform == platform, given < moment, _mentions.c.sample.is_(False)
    )
    return list(tx.connection.execute(query.limit(limit)).scalars())


def forget_edits(tx: Transaction, platform: str, before: datetime) -> None:
    """Removes what mentions of a platform said before they were edited, where that was before a moment."""
    of = select(_mentions.c.id).where(_mentions.c.id == _edits.c.mention_id, _mentions.c.platform == platform)
    tx.connection.execute(delete(_edits).where(_edits.c.replaced_at < before, of.exists()))


def of_source_alone(tx: Transaction, source_id: int, limit: int) -> list[int]:
    """Mentions that no other source found."""
    other = _links.alias()
    shared = (
        select(other.c.mention_id)
        .where(other.c.mention_id == _links.c.mention_id, other.c.source_id != source_id)
        .exists()
    )
    query = select(_links.c.mention_id).where(_links.c.source_id == source_id, ~shared).limit(limit)
    return list(tx.connection.execute(query).scalars())


def posted_before(tx: Transaction, moment: datetime, limit: int) -> list[int]:
    """The oldest mentions, those posted before `moment`: past retention."""
    query = select(_mentions.c.id).where(_mentions.c.posted_at < moment).order_by(_mentions.c.posted_at).limit(limit)
    return list(tx.connection.execute(query).scalars())
