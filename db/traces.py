"""What is left of a person beside their mentions: in deliveries that wait to be read, in what can still be undone, in
the reports of runs, and in what others wrote to them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import String, cast, delete, or_, select, update

from db.engine import Transaction
from db.sql import chunks, table
from db.tables import Audit, HookDelivery, Identity, Mention, MentionEdit, SourceRun, Undo

SHORTEST = 4
"""Characters of an id or a name that is looked for within longer texts: 'ann' stands in many of them."""

_mentions = table(Mention)
_edits = table(MentionEdit)
_identities = table(Identity)
_deliveries = table(HookDelivery)
_undos = table(Undo)
_runs = table(SourceRun)
_audit = table(Audit)


@dataclass(frozen=True, slots=True)
class Marks:
    """What tells that something is a person's: their ids and names on each platform, and what they wrote."""

    accounts: frozenset[tuple[str, str]]
    names: frozenset[str]
    words: frozenset[str]
    """Folded, as `_folded` does; so are the names."""
    mention_ids: frozenset[int]

    def are_in(self, value: str) -> bool:
        """Whether a text is one of their names, or what they wrote."""
        return _folded(value) in self.names or _folded(value) in self.words

    def are_within(self, value: str) -> bool:
        """Whether a longer text names them or quotes them whole."""
        folded = _folded(value)
        return any(len(mark) >= SHORTEST and mark in folded for mark in (*self.names, *self.words))


def of(tx: Transaction, accounts: Iterable[tuple[str, str]], mention_ids: Sequence[int]) -> Marks:
    """The marks of whoever has these accounts, each a platform and an id there, and wrote these mentions."""
    named = frozenset(accounts)
    names, words = {author_id for _, author_id in named}, set[str]()
    for platform, author_id in named:
        query = select(_identities.c.handle, _identities.c.display_name).where(
            _identities.c.platform == platform, _identities.c.external_id == author_id
        )
        for row in tx.connection.execute(query):
            names |= {name for name in (row.handle, row.handle.lstrip("@"), row.display_name) if name}
    for some in chunks(list(mention_ids)):
        for texts in (
            select(_mentions.c.title, _mentions.c.text).where(_mentions.c.id.in_(some)),
            select(_edits.c.title, _edits.c.text).where(_edits.c.mention_id.in_(some)),
        ):
            words |= {one for row in tx.connection.execute(texts) for one in row if one}
    folded = frozenset(map(_folded, names)) - {""}, frozenset(map(_folded, words)) - {""}
    return Marks(named, *folded, frozenset(mention_ids))


def forget(tx: Transaction, marks: Marks) -> None:
    """Removes what carries these marks wherever it is kept beside mentions."""
    _forget_deliveries(tx, marks)
    _forget_undos(tx, marks)
    _forget_reports(tx, marks)
    _forget_evidence(tx, marks)
    _forget_references(tx, marks)


def _forget_deliveries(tx: Transaction, marks: Marks) -> None:
    """Takes their items out of what webhooks brought and nobody could read yet; the others wait as before."""
    query = select(_deliveries.c.id, _deliveries.c.body, _deliveries.c.rejections)
    query = query.where(or_(_deliveries.c.body.is_not(None), _says(_deliveries.c.rejections)))
    for row in tx.connection.execute(query.with_for_update()).all():
        reasons = [one for one in row.rejections if not any(map(marks.are_within, one.values()))]
        values: dict[str, Any] = {"rejections": reasons} if reasons != row.rejections else {}
        if row.body is not None:
            values |= _without_theirs(bytes(row.body), marks)
        if values:
            tx.connection.execute(update(_deliveries).where(_deliveries.c.id == row.id).values(**values))


def _without_theirs(body: bytes, marks: Marks) -> dict[str, Any]:
    """What changes of a delivery: nothing, its body, or all of it where nobody else's is left."""
    try:
        data = json.loads(body)
        left = _pruned(data, marks)
    except (ValueError, RecursionError):
        left, data = None, b"" if marks.are_within(body.decode("utf-8", "replace")) else None
    if left == data:
        return {}
    if _is_empty(left):
        return {"body": None, "size": 0, "state": "discarded", "rejections": []}
    kept = json.dumps(left, ensure_ascii=False).encode()
    return {"body": kept, "size": len(kept)}


def _pruned(value: Any, marks: Marks) -> Any:
    """The value with null in place of each item that is theirs: one that says so itself, not in a list further down."""
    if isinstance(value, list):
        return [_pruned(item, marks) for item in value]
    if any(marks.are_in(text) for text in _texts(value, through_lists=False)):
        return None
    return {name: _pruned(part, marks) for name, part in value.items()} if isinstance(value, dict) else value


def _is_empty(value: Any) -> bool:
    """Whether no item is left in it."""
    if isinstance(value, list):
        return all(map(_is_empty, value))
    if isinstance(value, dict):
        lists = [part for part in value.values() if isinstance(part, list | dict)]
        return bool(lists) and all(map(_is_empty, lists))
    return value is None


def _texts(value: Any, *, through_lists: bool = True) -> Iterator[str]:
    """Every text in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _texts(part, through_lists=through_lists)
    elif isinstance(value, list) and through_lists:
        for part in value:
            yield from _texts(part)


def _forget_undos(tx: Transaction, marks: Marks) -> None:
    """What was deleted with their words in it cannot be taken back any more."""
    theirs = [
        row.id
        for row in tx.connection.execute(select(_undos.c.id, _undos.c.before))
        if any(map(marks.are_in, _texts(row.before)))
    ]
    for some in chunks(theirs):
        tx.connection.execute(delete(_undos).where(_undos.c.id.in_(some)))


def _forget_reports(tx: Transaction, marks: Marks) -> None:
    """What runs say of posts that they could not read: it names their address, which names their author."""
    query = select(_runs.c.id, _runs.c.rejections).where(_says(_runs.c.rejections))
    for row in tx.connection.execute(query).all():
        others = [one for one in row.rejections if not any(map(marks.are_within, one.values()))]
        if others != row.rejections:
            tx.connection.execute(update(_runs).where(_runs.c.id == row.id).values(rejections=others))


def _forget_evidence(tx: Transaction, marks: Marks) -> None:
    """By what colleagues knew who it was that they noted down, also in a note that was deleted since."""
    query = select(_audit.c.id, _audit.c.subject_id, _audit.c.detail)
    noted = query.where(_audit.c.subject == "note", _audit.c.action == "noted")
    theirs = set(map(str, marks.mention_ids))
    for row in tx.connection.execute(noted).all():
        evidence = row.detail.get("evidence")
        if evidence and (row.subject_id in theirs or marks.are_within(evidence)):
            detail = {name: value for name, value in row.detail.items() if name != "evidence"}
            tx.connection.execute(update(_audit).where(_audit.c.id == row.id).values(detail=detail))


def _forget_references(tx: Transaction, marks: Marks) -> None:
    """Whom others named or quoted, as far as that is kept beside their words."""
    for platform, author_id in marks.accounts:
        there = _mentions.c.platform == platform
        quoted = update(_mentions).where(there, _mentions.c.quotes_author_id == author_id)
        tx.connection.execute(quoted.values(quotes_author_id=None))
        naming = cast(_mentions.c.mentions, String).contains(json.dumps(author_id)[1:-1], autoescape=True)
        for row in tx.connection.execute(select(_mentions.c.id, _mentions.c.mentions).where(there, naming)).all():
            others = [one for one in row.mentions if one != author_id]
            tx.connection.execute(update(_mentions).where(_mentions.c.id == row.id).values(mentions=others))


def _says(column: Any) -> Any:
    """Whether a JSON list has anything in it."""
    return cast(column, String).not_in(["[]", "null"])


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()
