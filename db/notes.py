"""Notes: who wrote each down and where it was heard, and the people it may be about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, delete, func, insert, or_, select, update

from db.engine import Transaction
from db.sql import added, advisory_lock, chunks, table
from db.tables import Identity, Note, Person, Source, Undo, User

_notes = table(Note)
_users = table(User)
_people = table(Person)
_identities = table(Identity)
_sources = table(Source)
_undos = table(Undo)


@dataclass(frozen=True, slots=True)
class NoteRow:
    """What is known of a note beside its words."""

    mention_id: int
    user_id: int | None
    writer: str | None
    heard: str
    noted_at: datetime


def add(tx: Transaction, mention_ids: Sequence[int], user_id: int | None, heard: str, now: datetime) -> None:
    """Says who wrote these down, and where they were heard."""
    rows = [{"mention_id": one, "user_id": user_id, "heard": heard, "noted_at": now} for one in mention_ids]
    if rows:
        tx.connection.execute(insert(_notes), rows)


def set_heard(tx: Transaction, mention_id: int, heard: str) -> None:
    """It was heard somewhere else."""
    tx.connection.execute(update(_notes).where(_notes.c.mention_id == mention_id).values(heard=heard))


def of(tx: Transaction, mention_ids: Sequence[int]) -> dict[int, NoteRow]:
    """Those of these mentions that are notes."""
    found: dict[int, NoteRow] = {}
    for some in chunks(mention_ids):
        query = (
            select(_notes.c.mention_id, _notes.c.user_id, _users.c.display_name, _notes.c.heard, _notes.c.noted_at)
            .outerjoin(_users, _users.c.id == _notes.c.user_id)
            .where(_notes.c.mention_id.in_(some))
        )
        found |= {row[0]: NoteRow(*row) for row in tx.connection.execute(query)}
    return found


def source_of(tx: Transaction, platform: str) -> int | None:
    """The source that holds the notes, or None. Nobody else makes one until the transaction ends."""
    advisory_lock(tx, "notes")
    query = select(_sources.c.id).where(
        _sources.c.platform == platform, _sources.c.state != "removing", _sources.c.sample.is_(False)
    )
    return tx.connection.execute(query.order_by(_sources.c.id).limit(1)).scalar()


# The people a note may be about ---------------------------------------------------------------------------------------


def people_called(tx: Transaction, words: str, limit: int) -> list[int]:
    """People, not ours, whose name or one of whose handles has these words; those whose name begins so first."""
    pattern = "".join("\\" + letter if letter in "%_\\" else letter for letter in words.lower())
    named = func.lower(_people.c.display_name).like(f"%{pattern}%", escape="\\")
    handle = func.lower(_identities.c.handle).like(f"%{pattern}%", escape="\\")
    begins = case((func.lower(_people.c.display_name).like(f"{pattern}%", escape="\\"), 0), else_=1)
    query = (
        select(_people.c.id, func.min(begins))
        .join(_identities, _identities.c.person_id == _people.c.id)
        .where(or_(named, handle), _people.c.sample.is_(False), _identities.c.ours.is_(False))
        .group_by(_people.c.id)
        .order_by(func.min(begins), _people.c.id.desc())
        .limit(limit)
    )
    return [row[0] for row in tx.connection.execute(query)]


def add_identity(
    tx: Transaction, platform: str, external_id: str, handle: str, name: str | None, person_id: int, now: datetime
) -> int:
    """Another handle of somebody whom we know."""
    return added(
        tx,
        _identities.insert().values(
            platform=platform, external_id=external_id, handle=handle, display_name=name, person_id=person_id,
            ours=False, first_seen_at=now, last_seen_at=now, sample=False,
        ),
    )  # fmt: skip


def forget_deleted(tx: Transaction, action: str, before: datetime) -> None:
    """Removes what was kept to take back deletions that were made before."""
    tx.connection.execute(delete(_undos).where(_undos.c.action == action, _undos.c.at < before))
