"""Copies: which mentions say the same, which of them was first, and which conversations are folded under it.

Each mention that is long enough to be copied has a wording; wordings that are copies of each other form a group, found
by the few keys that copies have in common. Of a group with two mentions or more `copy_groups` knows the one posted
first and how many there are; those set aside are left out. Whatever changes a mention's text, or takes it away, keeps
that exact in its own transaction: `place` where it was read anew, `kept` around all else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, case, delete, false, func, or_, select, update

from db.engine import Transaction
from db.sql import chunks, insert_many, one_at_a_time, reserve, table
from db.tables import (
    Conversation,
    Copy,
    CopyGroup,
    Identity,
    Mention,
    NotACopy,
    PlatformAccount,
    Reply,
    Wording,
    WordingKey,
)

CROWD = 64
"""Wordings that one key leads to at most: however many openings or phrases are alike, a look-up stays short."""

_mentions = table(Mention)
_conversations = table(Conversation)
_identities = table(Identity)
_accounts = table(PlatformAccount)
_replies = table(Reply)
_wordings = table(Wording)
_keys = table(WordingKey)
_copies = table(Copy)
_groups = table(CopyGroup)
_not_copies = table(NotACopy)
_original = _mentions.alias("original")
_first_said = _conversations.alias("first_said")
_originator = _identities.alias("originator")


@dataclass(frozen=True, slots=True)
class Words:
    """What a mention says."""

    title: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Said:
    """A tagged mention that is not ours, as it stands now."""

    id: int
    words: Words
    text_hash: str
    sample: bool


@dataclass(frozen=True, slots=True)
class Signed:
    """A mention with the digest and keys of its wording; None and () where it is too short to be copied."""

    said: Said
    digest: str | None
    keys: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a mention stands in its group. `size` counts the original, too."""

    original_id: int
    original_conversation_id: int
    size: int


@dataclass(frozen=True, slots=True)
class Member:
    """One mention of a group. `folded`: its conversation shows under the original's only."""

    mention_id: int
    conversation_id: int
    platform: str
    handle: str | None
    author_name: str | None
    posted_at: datetime
    url: str | None
    folded: bool


IsCopy = Callable[[Words, Words], bool]


def said(tx: Transaction, mention_ids: Iterable[int]) -> list[Said]:
    """Those of these mentions that are tagged, and not ours."""
    found: list[Said] = []
    for some in chunks(sorted(set(mention_ids))):
        query = select(
            _mentions.c.id, _mentions.c.title, _mentions.c.text, _mentions.c.text_hash, _mentions.c.sample
        ).where(_mentions.c.id.in_(some), _mentions.c.ours.is_(False), _mentions.c.tagged_at.is_not(None))  # fmt: skip
        rows = tx.connection.execute(query.order_by(_mentions.c.id))
        found += [Said(row.id, Words(row.title, row.text), row.text_hash, row.sample) for row in rows]
    return found


def before(tx: Transaction, mention_id: int, limit: int) -> list[int]:
    """The ids of the newest mentions below this one, tagged and not ours."""
    query = (
        select(_mentions.c.id)
        .where(_mentions.c.id < mention_id, _mentions.c.ours.is_(False), _mentions.c.tagged_at.is_not(None))
        .order_by(_mentions.c.id.desc())
        .limit(limit)
    )
    return list(tx.connection.scalars(query))


# Into groups and out of them ------------------------------------------------------------------------------------------


def place(tx: Transaction, signed: Sequence[Signed], is_copy: IsCopy) -> None:
    """Puts mentions into the groups that their texts belong to now. Doing it twice changes nothing.

    `is_copy` decides about the few wordings that share a key.
    """
    one_at_a_time(tx)
    standing = _standing(tx, [one.said.id for one in signed])
    apart = _taken_out(tx, [one.said.id for one in signed])
    moved = [one for one in signed if _belongs(one, apart) != _stands(one, standing)]
    if not moved:
        return
    leaving = {one.said.id: standing[one.said.id] for one in moved if one.said.id in standing}
    _leave(tx, list(leaving))
    coming = [one for one in moved if _belongs(one, apart) is not None]
    found, groups = _wordings_of(tx, coming, is_copy)
    personal = _personal(tx, [one.said.id for one in coming])
    insert_many(
        tx,
        _copies,
        [
            {
                "mention_id": one.said.id,
                "wording_id": found[one.digest or "", one.said.sample],
                "personal": one.said.id in personal,
            }
            for one in coming
        ],
    )
    _forget_unused(tx, {wording for wording, _, _ in leaving.values()})
    _settle(tx, groups | {group for _, group, _ in leaving.values()}, [one.said.id for one in moved])


def _belongs(one: Signed, apart: set[int]) -> str | None:
    return None if one.said.id in apart else one.digest


def _stands(one: Signed, standing: Mapping[int, tuple[int, int, str]]) -> str | None:
    return standing[one.said.id][2] if one.said.id in standing else None


@contextmanager
def kept(tx: Transaction, mention_ids: Iterable[int]) -> Iterator[None]:
    """Keeps groups exact over a block that deletes these mentions, sets them aside or back, or makes them ours."""
    one_at_a_time(tx)
    standing = _standing(tx, sorted(set(mention_ids)))
    originals = _originals(tx, {group for _, group, _ in standing.values()})
    yield
    if not standing:
        return
    for some in chunks(list(standing)):
        ours = select(_mentions.c.id).where(_mentions.c.id.in_(some), _mentions.c.ours.is_(True))
        _leave(tx, list(tx.connection.scalars(ours)))
    _forget_unused(tx, {wording for wording, _, _ in standing.values()})
    _settle(tx, {group for _, group, _ in standing.values()}, [*standing, *originals])


def take_out(tx: Transaction, mention_id: int, user_id: int, at: datetime) -> bool:
    """Notes a person's word that this is no copy; False when that was said before."""
    with kept(tx, [mention_id]):
        if _taken_out(tx, [mention_id]):
            return False
        tx.connection.execute(_not_copies.insert().values(mention_id=mention_id, user_id=user_id, at=at))
        _leave(tx, [mention_id])
    return True


def let_in(tx: Transaction, mention_id: int) -> bool:
    """Takes that word back; the mention then has to be placed. False when there is none."""
    return tx.connection.execute(delete(_not_copies).where(_not_copies.c.mention_id == mention_id)).rowcount > 0


def _standing(tx: Transaction, ids: Sequence[int]) -> dict[int, tuple[int, int, str]]:
    """Wording, group and digest of those that stand in a group."""
    found: dict[int, tuple[int, int, str]] = {}
    for some in chunks(ids):
        query = (
            select(_copies.c.mention_id, _wordings.c.id, _wordings.c.group_id, _wordings.c.digest)
            .join(_wordings, _wordings.c.id == _copies.c.wording_id)
            .where(_copies.c.mention_id.in_(some))
        )
        found.update({row[0]: (row[1], row[2], row[3]) for row in tx.connection.execute(query)})
    return found


def _taken_out(tx: Transaction, ids: Sequence[int]) -> set[int]:
    found: set[int] = set()
    for some in chunks(ids):
        query = select(_not_copies.c.mention_id).where(_not_copies.c.mention_id.in_(some))
        found.update(tx.connection.scalars(query))
    return found


def _leave(tx: Transaction, ids: Sequence[int]) -> None:
    for some in chunks(ids):
        tx.connection.execute(delete(_copies).where(_copies.c.mention_id.in_(some)))


def _personal(tx: Transaction, ids: Sequence[int]) -> set[int]:
    """Those of these mentions that answer somebody and name one of our accounts."""
    names: dict[str, set[str]] = defaultdict(set)
    for platform, external_id, handle in tx.connection.execute(
        select(_accounts.c.platform, _accounts.c.external_id, _accounts.c.handle)
    ):
        names[platform].update(name.casefold() for name in (external_id, handle) if name)
    found: set[int] = set()
    for some in chunks(ids) if names else ():
        query = select(_mentions.c.id, _mentions.c.platform, _mentions.c.mentions).where(
            _mentions.c.id.in_(some), _mentions.c.parent_id.is_not(None), _mentions.c.platform.in_(list(names))
        )
        for id_, platform, named in tx.connection.execute(query):
            if names[platform].intersection(str(name).casefold() for name in named):
                found.add(id_)
    return found


# Wordings -------------------------------------------------------------------------------------------------------------


def _wordings_of(
    tx: Transaction, signed: Sequence[Signed], is_copy: IsCopy
) -> tuple[dict[tuple[str, bool], int], set[int]]:
    """The wording of each, made where it is new, by digest and sample; and the groups that have more in them now."""
    first = {(one.digest or "", one.said.sample): one for one in reversed(signed)}
    known: dict[tuple[str, bool], int] = {}
    groups: set[int] = set()
    for some in chunks([digest for digest, _ in first]):
        query = select(_wordings).where(_wordings.c.digest.in_(some))
        for row in tx.connection.execute(query):
            if (row.digest, row.sample) in first:
                known[row.digest, row.sample] = row.id
                groups.add(row.group_id)
    new = {key: one for key, one in first.items() if key not in known}
    new_ids = dict(zip(new, reserve(tx, _wordings, len(new)), strict=True))
    together = _Groups(tx, {new_ids[key]: one for key, one in new.items()}, is_copy)
    groups |= together.joined
    once = [key for key, count in _how_often(signed).items() if count > 1]
    groups |= {together.group(new_ids[key]) for key in once if key in new_ids}
    return known | new_ids, groups


def _how_often(signed: Sequence[Signed]) -> dict[tuple[str, bool], int]:
    counts: dict[tuple[str, bool], int] = defaultdict(int)
    for one in signed:
        counts[one.digest or "", one.said.sample] += 1
    return counts


class _Groups:
    """New wordings on their way into groups: each joins, and by that unites, the groups in which it finds a copy."""

    def __init__(self, tx: Transaction, new: Mapping[int, Signed], is_copy: IsCopy) -> None:
        self.tx, self.new, self.is_copy = tx, new, is_copy
        self.joined: set[int] = set()
        """Groups that have more in them now, and those that went up in others."""
        self._into: dict[int, int] = {}
        if not new:
            return
        sharing = self._sharing()
        texts = self._texts({other for others in sharing.values() for other in others} - set(new))
        of_wording = {id_: group for id_, (group, _) in texts.items()} | {id_: id_ for id_ in new}
        for id_, others in sharing.items():
            words = new[id_].said.words
            for other in others:
                if other not in of_wording or self.group(id_) == self.group(of_wording[other]):
                    continue
                if is_copy(words, new[other].said.words if other in new else texts[other][1]):
                    self._unite(id_, of_wording[other])
        self._write()

    def group(self, of: int) -> int:
        """The group that this one went up in, itself at first."""
        while of in self._into:
            of = self._into[of]
        return of

    def _unite(self, one: int, other: int) -> None:
        low, high = sorted((self.group(one), self.group(other)))
        self._into[high] = low
        self.joined |= {low, high}

    def _sharing(self) -> dict[int, list[int]]:
        """For each new wording the others, known or new and before it, that share a key with it."""
        buckets: dict[tuple[int, bool], list[int]] = defaultdict(list)
        for some in chunks(sorted({key for one in self.new.values() for key in one.keys})):
            query = (
                select(_keys.c.key, _keys.c.wording_id, _wordings.c.sample)
                .join(_wordings, _wordings.c.id == _keys.c.wording_id)
                .where(_keys.c.key.in_(some))
                .order_by(_keys.c.key, _keys.c.wording_id)
            )
            for key, id_, sample in self.tx.connection.execute(query):
                buckets[key, sample].append(id_)
        found, self._rows = {}, []
        for id_, one in self.new.items():
            lists = [buckets[key, one.said.sample] for key in dict.fromkeys(one.keys)]
            found[id_] = list(dict.fromkeys(other for ids in lists for other in ids))
            for key, ids in zip(dict.fromkeys(one.keys), lists, strict=True):
                if len(ids) < CROWD:
                    ids.append(id_)
                    self._rows.append({"key": key, "wording_id": id_})
        return found

    def _texts(self, wording_ids: set[int]) -> dict[int, tuple[int, Words]]:
        """The group of each wording, and the words of a mention that has it."""
        found: dict[int, tuple[int, Words]] = {}
        for some in chunks(sorted(wording_ids)):
            one_each = (
                select(func.min(_copies.c.mention_id))
                .join(_mentions, _mentions.c.id == _copies.c.mention_id)
                .where(_copies.c.wording_id.in_(some), _mentions.c.tagged_at.is_not(None))
                .group_by(_copies.c.wording_id)
            )
            query = (
                select(_wordings.c.id, _wordings.c.group_id, _mentions.c.title, _mentions.c.text)
                .join(_copies, _copies.c.wording_id == _wordings.c.id)
                .join(_mentions, _mentions.c.id == _copies.c.mention_id)
                .where(_copies.c.mention_id.in_(one_each))
            )
            found.update({row[0]: (row[1], Words(row[2], row[3])) for row in self.tx.connection.execute(query)})
        return found

    def _write(self) -> None:
        insert_many(
            self.tx,
            _wordings,
            [
                {"id": id_, "digest": one.digest, "sample": one.said.sample, "group_id": self.group(id_)}
                for id_, one in self.new.items()
            ],
        )
        insert_many(self.tx, _keys, self._rows)
        for high in sorted(self._into.keys() - self.new.keys()):
            self.tx.connection.execute(
                update(_wordings).where(_wordings.c.group_id == high).values(group_id=self.group(high))
            )


def _forget_unused(tx: Transaction, wording_ids: Iterable[int]) -> None:
    """Nothing is left of a text when the last mention that says it is gone."""
    for some in chunks(sorted(set(wording_ids))):
        used = select(_copies.c.mention_id).where(_copies.c.wording_id == _wordings.c.id).exists()
        tx.connection.execute(delete(_wordings).where(_wordings.c.id.in_(some), ~used))


# Who was first, and who is folded under it ----------------------------------------------------------------------------


def _settle(tx: Transaction, group_ids: Iterable[int], mention_ids: Iterable[int]) -> None:
    """Counts these groups anew, and shelves whatever that changes, with the conversations of these mentions."""
    groups = sorted(set(group_ids))
    changed = set(mention_ids) | _originals(tx, groups)
    for some in chunks(groups):
        tx.connection.execute(delete(_groups).where(_groups.c.id.in_(some)))
        counted = _counted(tx, some)
        insert_many(tx, _groups, [row for row in counted if row["size"] > 1])
        changed.update(row["original_id"] for row in counted)
    shelve(tx, _conversations_of(tx, changed))


def _counted(tx: Transaction, group_ids: Sequence[int]) -> list[dict[str, Any]]:
    """Whoever was first in each group, and how many there are, be it one."""
    order = (_mentions.c.posted_at, _mentions.c.platform, _mentions.c.external_id)
    members = (
        select(
            _wordings.c.group_id,
            _mentions.c.id,
            func.row_number().over(partition_by=_wordings.c.group_id, order_by=order).label("place"),
            func.count().over(partition_by=_wordings.c.group_id).label("size"),
        )
        .select_from(_wordings)
        .join(_copies, _copies.c.wording_id == _wordings.c.id)
        .join(_mentions, _mentions.c.id == _copies.c.mention_id)
        .where(_wordings.c.group_id.in_(group_ids), _mentions.c.set_aside.is_(False))
        .subquery()
    )
    query = select(members).where(members.c.place == 1).order_by(members.c.group_id)
    return [{"id": row[0], "original_id": row[1], "size": row[3]} for row in tx.connection.execute(query)]


def _originals(tx: Transaction, group_ids: Iterable[int]) -> set[int]:
    found: set[int] = set()
    for some in chunks(sorted(set(group_ids))):
        found.update(tx.connection.scalars(select(_groups.c.original_id).where(_groups.c.id.in_(some))))
    return found


def _conversations_of(tx: Transaction, mention_ids: Iterable[int]) -> set[int]:
    found: set[int] = set()
    for some in chunks(sorted(set(mention_ids))):
        found.update(tx.connection.scalars(select(_mentions.c.conversation_id).where(_mentions.c.id.in_(some))))
    return found


def shelve(tx: Transaction, conversation_ids: Iterable[int]) -> None:
    """Works out where each conversation lies: in the inbox, under the original of its copies, or set aside.

    It is folded when all that others said in it are copies, and stays in the inbox where we have spoken or are about
    to, where a colleague has it, where somebody answers us by name, and where who said it first says it again after
    that was answered or closed.
    """
    for some in chunks(sorted(set(conversation_ids))):
        what = {row.conversation_id: row for row in tx.connection.execute(_what_was_said(some))}
        changed = []
        for row in tx.connection.execute(_whose(some)):
            now = _shelf(what.get(row.id), row.taken), what[row.id].copies if row.id in what else 0
            if now != (row.shelf, row.copies):
                changed.append({"b_id": row.id, "shelf": now[0], "copies": now[1]})
        if changed:
            tx.connection.execute(update(_conversations).where(_conversations.c.id == bindparam("b_id")), changed)


def _shelf(said: Any, taken: bool) -> str:
    if said is None:
        return ""
    if said.aside == said.total:
        return "set_aside"
    return "copy" if said.folded == said.total - said.aside and not taken else ""


def _what_was_said(conversation_ids: Sequence[int]) -> Any:
    """How much others said in each, how much of it is set aside or a copy, and how many copies it has elsewhere."""
    over = or_(_first_said.c.closed_at < _mentions.c.posted_at, _first_said.c.first_answered_at < _mentions.c.posted_at)
    again = func.coalesce(and_(_identities.c.person_id == _originator.c.person_id, over), false())
    elsewhere = and_(_groups.c.original_id != _mentions.c.id, _copies.c.personal.is_(False), ~again)
    folds = and_(_mentions.c.set_aside.is_(False), elsewhere)
    return (
        select(
            _mentions.c.conversation_id,
            func.count().label("total"),
            func.sum(case((_mentions.c.set_aside, 1), else_=0)).label("aside"),
            func.sum(case((folds, 1), else_=0)).label("folded"),
            func.sum(case((_groups.c.original_id == _mentions.c.id, _groups.c.size - 1), else_=0)).label("copies"),
        )
        .select_from(_mentions)
        .outerjoin(_copies, _copies.c.mention_id == _mentions.c.id)
        .outerjoin(_wordings, _wordings.c.id == _copies.c.wording_id)
        .outerjoin(_groups, _groups.c.id == _wordings.c.group_id)
        .outerjoin(_identities, _identities.c.id == _mentions.c.identity_id)
        .outerjoin(_original, _original.c.id == _groups.c.original_id)
        .outerjoin(_originator, _originator.c.id == _original.c.identity_id)
        .outerjoin(_first_said, _first_said.c.id == _original.c.conversation_id)
        .where(_mentions.c.conversation_id.in_(conversation_ids), _mentions.c.ours.is_(False))
        .group_by(_mentions.c.conversation_id)
    )


def _whose(conversation_ids: Sequence[int]) -> Any:
    """How each lies now, and whether somebody of us has spoken in it, or is about to."""
    ours = select(_mentions.c.id).where(_mentions.c.conversation_id == _conversations.c.id, _mentions.c.ours.is_(True))
    written = select(_replies.c.id).where(
        _replies.c.conversation_id == _conversations.c.id, _replies.c.state != "discarded"
    )
    answered = or_(_conversations.c.last_answered_at.is_not(None), _conversations.c.assignee_id.is_not(None))
    taken = or_(answered, ours.exists(), written.exists())
    return (
        select(_conversations.c.id, _conversations.c.shelf, _conversations.c.copies, taken.label("taken"))
        .where(_conversations.c.id.in_(conversation_ids))
        .order_by(_conversations.c.id)
    )


# Reading --------------------------------------------------------------------------------------------------------------


def places(tx: Transaction, mention_ids: Sequence[int]) -> dict[int, Place]:
    """Where these mentions stand in their groups; those that are alone, or set aside, stand in none."""
    found: dict[int, Place] = {}
    for some in chunks(mention_ids):
        query = (
            select(_copies.c.mention_id, _original.c.id, _original.c.conversation_id, _groups.c.size)
            .join(_wordings, _wordings.c.id == _copies.c.wording_id)
            .join(_groups, _groups.c.id == _wordings.c.group_id)
            .join(_original, _original.c.id == _groups.c.original_id)
            .join(_mentions, _mentions.c.id == _copies.c.mention_id)
            .where(_copies.c.mention_id.in_(some), _mentions.c.set_aside.is_(False))
        )
        found.update({row[0]: Place(row[1], row[2], row[3]) for row in tx.connection.execute(query)})
    return found


def copies_in(tx: Transaction, conversation_id: int, limit: int) -> list[Member]:
    """The newest copies elsewhere of what was first said in this conversation."""
    query: Any = (
        select(
            _mentions.c.id, _mentions.c.conversation_id, _mentions.c.platform, _identities.c.handle,
            _identities.c.display_name, _mentions.c.posted_at, _mentions.c.url, _conversations.c.shelf == "copy",
        )
        .select_from(_original)
        .join(_groups, _groups.c.original_id == _original.c.id)
        .join(_wordings, _wordings.c.group_id == _groups.c.id)
        .join(_copies, _copies.c.wording_id == _wordings.c.id)
        .join(_mentions, _mentions.c.id == _copies.c.mention_id)
        .join(_conversations, _conversations.c.id == _mentions.c.conversation_id)
        .outerjoin(_identities, _identities.c.id == _mentions.c.identity_id)
        .where(
            _original.c.conversation_id == conversation_id,
            _mentions.c.id != _original.c.id,
            _mentions.c.set_aside.is_(False),
        )
        .order_by(_mentions.c.posted_at.desc(), _mentions.c.id.desc())
        .limit(limit)
    )  # fmt: skip
    return [Member(*row) for row in tx.connection.execute(query)]
