"""What is likely spam: the evidence there is about a mention, and setting it aside or back with every count exact.

Nothing is deleted. A mention that is set aside counts nowhere and is no original of copies; a conversation in which all
is set aside leaves the inbox. A person's word is never changed by a rule.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, case, delete, distinct, func, select, update

from db import copies, forgetting, rollups
from db.copies import Words
from db.engine import Transaction
from db.sql import chunks, insert, one_at_a_time, table
from db.tables import (
    Conversation,
    Copy,
    CopyGroup,
    EffectiveTag,
    Identity,
    Mention,
    Person,
    Reply,
    SpamVerdict,
    User,
    Wording,
)

WITHIN = timedelta(days=1)
"""How far apart the same text still counts as said at once."""
MANY = 3
"""Up to so many mentions of one text nobody asks who said it."""

_mentions = table(Mention)
_conversations = table(Conversation)
_identities = table(Identity)
_people = table(Person)
_effective = table(EffectiveTag)
_users = table(User)
_wordings = table(Wording)
_copies = table(Copy)
_groups = table(CopyGroup)
_verdicts = table(SpamVerdict)
_replies = table(Reply)
_answers = _mentions.alias("answers")

_NOTHING: tuple[float, Sequence[str]] = (0.0, ())


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a mention that a rule may judge.

    authors, new_authors, repeats: of the same text within a day; see analysis.spam.Said. alike: "" or what was decided
    about the same text before: spam, not_spam. alike_by: the colleague who did, or "" for a rule.
    """

    id: int
    words: Words
    kind: str
    rating: float | None
    intent: str | None
    set_aside: bool
    known: bool
    personal: bool
    authors: int = 1
    new_authors: int = 0
    repeats: int = 1
    alike: str = ""
    alike_by: str = ""


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """Why a mention is, or must not be, set aside. user_id and user_name are None where a rule decided."""

    mention_id: int
    spam: bool
    score: float
    reasons: tuple[str, ...]
    user_id: int | None
    user_name: str | None
    at: datetime


# Evidence -------------------------------------------------------------------------------------------------------------


def evidence(tx: Transaction, mention_ids: Iterable[int]) -> list[Evidence]:
    """About those of these mentions that are tagged, not ours, and that no person has decided about."""
    found: list[Evidence] = []
    for some in chunks(sorted(set(mention_ids))):
        rows = tx.connection.execute(_judged_rows(some)).all()
        known = _known(tx, {row.person_id for row in rows if row.person_id is not None})
        alike = _decided_alike(tx, {row.group_id for row in rows if row.group_id is not None})
        spread = _spread(tx, rows, {group for group, decided in alike.items() if decided == ("spam", "")})
        for row in rows:
            decided, by = alike.get(row.group_id, ("", ""))
            authors, new_authors, repeats = spread.get(row.id, (1, 0, 1))
            found.append(
                Evidence(
                    row.id, Words(row.title, row.text), row.kind, row.rating, row.intent, row.set_aside,
                    row.person_id in known, bool(row.personal), authors, new_authors, repeats, decided, by,
                )
            )  # fmt: skip
    return found


def _judged_rows(mention_ids: Sequence[int]) -> Any:
    columns: list[Any] = [
        _mentions.c.id, _mentions.c.title, _mentions.c.text, _mentions.c.kind, _mentions.c.rating,
        _mentions.c.set_aside, _mentions.c.identity_id, _mentions.c.posted_at, _identities.c.person_id,
        _effective.c.intent, _wordings.c.group_id, _copies.c.personal, _groups.c.size,
    ]  # fmt: skip
    decided = select(_verdicts.c.mention_id).where(
        _verdicts.c.mention_id == _mentions.c.id, _verdicts.c.user_id.is_not(None)
    )
    return (
        select(*columns)
        .select_from(_mentions)
        .outerjoin(_identities, _identities.c.id == _mentions.c.identity_id)
        .outerjoin(_effective, _effective.c.mention_id == _mentions.c.id)
        .outerjoin(_copies, _copies.c.mention_id == _mentions.c.id)
        .outerjoin(_wordings, _wordings.c.id == _copies.c.wording_id)
        .outerjoin(_groups, _groups.c.id == _wordings.c.group_id)
        .where(_mentions.c.id.in_(mention_ids), _mentions.c.ours.is_(False), _mentions.c.tagged_at.is_not(None))
        .where(~decided.exists())
        .order_by(_mentions.c.id)
    )


def _known(tx: Transaction, person_ids: Collection[int]) -> set[int]:
    """Those to whom we have answered something, or about whom a colleague has written something down."""
    if not person_ids:
        return set()
    theirs = (_mentions.c.identity_id == _identities.c.id, _identities.c.person_id.in_(person_ids))
    below = and_(
        _answers.c.conversation_id == _mentions.c.conversation_id, _answers.c.parent_id == _mentions.c.external_id
    )
    found = select(_identities.c.person_id).join(_mentions, theirs[0]).where(theirs[1])
    collected = found.join(_answers, and_(below, _answers.c.ours.is_(True)))
    sent = found.join(
        _replies, and_(_replies.c.mention_id == _mentions.c.id, _replies.c.state.in_(("sent", "handed_off")))
    )
    noted = select(_people.c.id).where(_people.c.id.in_(person_ids), _people.c.memo != "")
    return {id_ for query in (collected.distinct(), sent.distinct(), noted) for id_ in tx.connection.scalars(query)}


def _decided_alike(tx: Transaction, group_ids: Collection[int]) -> dict[int, tuple[str, str]]:
    """What was decided about the same text before, by group: a person's word before a rule's, the latest last."""
    query = (
        select(_wordings.c.group_id, _verdicts.c.spam, _users.c.display_name)
        .select_from(_wordings)
        .join(_copies, _copies.c.wording_id == _wordings.c.id)
        .join(_verdicts, _verdicts.c.mention_id == _copies.c.mention_id)
        .outerjoin(_users, _users.c.id == _verdicts.c.user_id)
        .where(_wordings.c.group_id.in_(group_ids))
        .order_by(_verdicts.c.user_id.is_not(None), _verdicts.c.at)
    )
    rows: Sequence[Any] = tx.connection.execute(query).all() if group_ids else ()
    return {row.group_id: ("spam" if row.spam else "not_spam", row.display_name or "") for row in rows}


def _spread(tx: Transaction, rows: Sequence[Any], ruled: Collection[int]) -> dict[int, tuple[int, int, int]]:
    """How many said the same within a day, how many of them were new, how often the author did; by mention.

    `ruled`: groups in which a rule has set something aside; their sizes leave that out.
    """
    found: dict[int, tuple[int, int, int]] = {}
    of_group: dict[int, list[Any]] = {}
    for row in rows:
        if (row.size or 0) > MANY or row.group_id in ruled:
            of_group.setdefault(row.group_id, []).append(row)
    for group, some in of_group.items():
        since = min(row.posted_at for row in some) - WITHIN
        until = max(row.posted_at for row in some) + WITHIN
        then = and_(_wordings.c.group_id == group, _mentions.c.posted_at.between(since, until))
        new = case((_identities.c.first_seen_at >= _mentions.c.collected_at, _identities.c.id), else_=None)
        authors, newcomers = tx.connection.execute(
            _said_in_groups(func.count(distinct(_identities.c.id)), func.count(distinct(new))).where(then)
        ).one()
        theirs = _mentions.c.identity_id.in_({row.identity_id for row in some if row.identity_id is not None})
        counts = _said_in_groups(_mentions.c.identity_id, func.count()).where(then, theirs)
        repeats: Mapping[int, int] = {
            row[0]: row[1] for row in tx.connection.execute(counts.group_by(_mentions.c.identity_id))
        }
        found |= {row.id: (authors, newcomers, repeats.get(row.identity_id, 1)) for row in some}
    return found


def _said_in_groups(*columns: Any) -> Any:
    return (
        select(*columns)
        .select_from(_wordings)
        .join(_copies, _copies.c.wording_id == _wordings.c.id)
        .join(_mentions, _mentions.c.id == _copies.c.mention_id)
        .outerjoin(_identities, _identities.c.id == _mentions.c.identity_id)
    )


# Aside and back -------------------------------------------------------------------------------------------------------


def decide(
    tx: Transaction,
    mention_ids: Iterable[int],
    spam: bool,
    *,
    at: datetime,
    user_id: int | None = None,
    why: Mapping[int, tuple[float, Sequence[str]]] | None = None,
) -> None:
    """Writes down what a person, or a rule with its score and reasons, said of these, and does it."""
    ids = sorted(set(mention_ids))
    one_at_a_time(tx)
    statement = insert(tx, _verdicts)
    columns = {column.name: statement.excluded[column.name] for column in _verdicts.c if not column.primary_key}
    given = why or {}
    rows = [
        {
            "mention_id": id_, "spam": spam, "score": given.get(id_, _NOTHING)[0],
            "reasons": list(given.get(id_, _NOTHING)[1]), "user_id": user_id, "at": at,
        }
        for id_ in ids
    ]  # fmt: skip
    if rows:
        tx.connection.execute(statement.on_conflict_do_update(index_elements=["mention_id"], set_=columns), rows)
    _put(tx, ids, spam)


def forget_verdicts(tx: Transaction, mention_ids: Iterable[int]) -> None:
    """As if nothing had been said of these: they are in the inbox, and a rule may judge them again."""
    ids = sorted(set(mention_ids))
    one_at_a_time(tx)
    for some in chunks(ids):
        tx.connection.execute(delete(_verdicts).where(_verdicts.c.mention_id.in_(some)))
    _put(tx, ids, False)


def _put(tx: Transaction, ids: Sequence[int], aside: bool) -> None:
    moving: list[int] = []
    for some in chunks(ids):
        theirs = and_(_mentions.c.id.in_(some), _mentions.c.ours.is_(False), _mentions.c.set_aside.is_(not aside))
        moving += tx.connection.scalars(select(_mentions.c.id).where(theirs))
    if not moving:
        return
    with rollups.kept(tx, moving), copies.kept(tx, moving):
        for some in chunks(moving):
            tx.connection.execute(update(_mentions).where(_mentions.c.id.in_(some)).values(set_aside=aside))
    forgetting.refresh_conversations(tx, conversations_of(tx, moving).values())


# Reading --------------------------------------------------------------------------------------------------------------


def verdicts(tx: Transaction, mention_ids: Iterable[int]) -> dict[int, VerdictRow]:
    """What was decided about these mentions."""
    found: dict[int, VerdictRow] = {}
    for some in chunks(sorted(set(mention_ids))):
        query = (
            select(_verdicts, _users.c.display_name)
            .outerjoin(_users, _users.c.id == _verdicts.c.user_id)
            .where(_verdicts.c.mention_id.in_(some))
        )
        for row in tx.connection.execute(query):
            found[row.mention_id] = VerdictRow(
                row.mention_id, row.spam, row.score, tuple(row.reasons), row.user_id, row.display_name, row.at
            )
    return found


def conversations_of(tx: Transaction, mention_ids: Iterable[int]) -> dict[int, int]:
    """The conversation of each mention."""
    found: dict[int, int] = {}
    for some in chunks(sorted(set(mention_ids))):
        query = select(_mentions.c.id, _mentions.c.conversation_id).where(_mentions.c.id.in_(some))
        found.update({row.id: row.conversation_id for row in tx.connection.execute(query)})
    return found


def in_conversations(tx: Transaction, conversation_ids: Sequence[int], *, aside: bool) -> list[int]:
    """What others said in these conversations and is, or is not, set aside."""
    query = select(_mentions.c.id).where(
        _mentions.c.conversation_id.in_(conversation_ids), _mentions.c.ours.is_(False), _mentions.c.set_aside.is_(aside)
    )
    return list(tx.connection.scalars(query.order_by(_mentions.c.id)))


def alike(tx: Transaction, mention_ids: Iterable[int], limit: int, *, aside: bool, folded: bool = False) -> list[int]:
    """Other mentions that say the same as these and are, or are not, set aside; with `folded` only those folded."""
    ids = set(mention_ids)
    groups: set[int] = set()
    for some in chunks(sorted(ids)):
        of = select(_wordings.c.group_id).join(_copies, _copies.c.wording_id == _wordings.c.id)
        groups.update(tx.connection.scalars(of.where(_copies.c.mention_id.in_(some))))
    if not groups:
        return []
    query = (
        _said_in_groups(_mentions.c.id)
        .join(_conversations, _conversations.c.id == _mentions.c.conversation_id)
        .where(_wordings.c.group_id.in_(groups), _mentions.c.set_aside.is_(aside))
        .order_by(_mentions.c.id.desc())
        .limit(limit)
    )
    if folded:
        query = query.where(_conversations.c.shelf == "copy")
    return [id_ for id_ in tx.connection.scalars(query) if id_ not in ids]
