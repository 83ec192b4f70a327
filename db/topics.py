"""The taxonomy: topics described in words, as it is and as it was, and what people's corrections teach about it."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, func, select, update

from db.engine import Transaction
from db.sql import added, chunks, one_at_a_time, table
from db.tables import Correction, Mention, MentionTopic, Rollup, Taxonomy, Topic, User

KEPT = 30
"""Taxonomies of the past that are kept."""
LEARNED_FROM = 5_000
"""Corrections that are looked at for examples, the newest."""

_topics = table(Topic)
_taxonomies = table(Taxonomy)
_corrections = table(Correction)
_mentions = table(Mention)
_mention_topics = table(MentionTopic)
_rollups = table(Rollup)
_users = table(User)


@dataclass(frozen=True, slots=True)
class TopicRow:
    """One topic, its phrases and the examples that were typed by hand. `id` is 0 for one that is not stored yet."""

    name: str
    phrases: tuple[str, ...]
    examples: tuple[str, ...] = ()
    id: int = 0


@dataclass(frozen=True, slots=True)
class TaxonomyRow:
    """The topics after one change. `who` is None for what Samtal itself did."""

    version: int
    topics: tuple[TopicRow, ...]
    words: str
    who: str | None
    at: datetime


@dataclass(slots=True)
class Taught:
    """What corrections say of one topic, as whole texts, the newest first."""

    examples: list[str] = field(default_factory=list)
    counterexamples: list[str] = field(default_factory=list)


def all_(tx: Transaction) -> list[TopicRow]:
    """Every topic in the order of the taxonomy."""
    query = select(_topics).order_by(_topics.c.position, _topics.c.id)
    return [TopicRow(row.name, tuple(row.phrases), tuple(row.examples), row.id) for row in tx.connection.execute(query)]


def replace(tx: Transaction, topics: Sequence[TopicRow]) -> None:
    """Puts these in the place of all others. One without an id keeps that of the topic of its name, or gets a new one.

    Nothing else is changed: see `carry` for what hangs on a name, and `record` for the history.
    """
    ids = {row.name: row.id for row in all_(tx)}
    tx.connection.execute(delete(_topics))
    rows = [
        {"id": one.id or ids.get(one.name), "name": one.name, "phrases": list(one.phrases),
         "examples": list(one.examples), "position": place}
        for place, one in enumerate(topics)
    ]  # fmt: skip
    known, fresh = [row for row in rows if row["id"]], [row for row in rows if not row["id"]]
    if known:
        tx.connection.execute(_topics.insert(), known)
    if fresh:
        tx.connection.execute(_topics.insert(), [{key: row[key] for key in row if key != "id"} for row in fresh])


# As it was ------------------------------------------------------------------------------------------------------------


def version(tx: Transaction) -> int:
    """The version of the taxonomy in force; 0 for one that was made before versions were kept."""
    return tx.connection.execute(select(func.max(_taxonomies.c.id))).scalar() or 0


def version_in_turn(tx: Transaction) -> int:
    """`version`, which nobody can change before this writing transaction has ended."""
    one_at_a_time(tx)
    return version(tx)


def record(tx: Transaction, words: str, user_id: int | None, at: datetime) -> int:
    """Keeps the topics as they are now as a new version, which it returns; forgets the oldest."""
    topics = [
        {"id": one.id, "name": one.name, "phrases": list(one.phrases), "examples": list(one.examples)}
        for one in all_(tx)
    ]
    made = added(tx, _taxonomies.insert().values(topics=topics, words=words, user_id=user_id, at=at))
    tx.connection.execute(delete(_taxonomies).where(_taxonomies.c.id <= made - KEPT))
    return made


def history(tx: Transaction, limit: int) -> list[TaxonomyRow]:
    """The taxonomy in force and those before it, the newest first."""
    query = (
        select(_taxonomies, _users.c.display_name)
        .outerjoin(_users, _users.c.id == _taxonomies.c.user_id)
        .order_by(_taxonomies.c.id.desc())
        .limit(limit)
    )
    return [
        TaxonomyRow(row.id, tuple(map(_topic, row.topics)), row.words, row.display_name, row.at)
        for row in tx.connection.execute(query)
    ]


def _topic(kept: Mapping[str, Any]) -> TopicRow:
    return TopicRow(kept["name"], tuple(kept["phrases"]), tuple(kept["examples"]), kept["id"])


def forget_texts(tx: Transaction, texts: Iterable[str]) -> None:
    """Takes out examples that are, word for word, one of these texts: what was deleted at its source is gone here."""
    gone = {_words(text) for text in texts}

    def without(examples: Sequence[str]) -> list[str]:
        return [one for one in examples if _words(one) not in gone]

    for row in tx.connection.execute(select(_topics.c.id, _topics.c.examples)).all():
        if (left := without(row.examples)) != row.examples:
            tx.connection.execute(update(_topics).where(_topics.c.id == row.id).values(examples=left))
    for row in tx.connection.execute(select(_taxonomies.c.id, _taxonomies.c.topics)).all():
        kept = [{**topic, "examples": without(topic["examples"])} for topic in row.topics]
        if kept != row.topics:
            tx.connection.execute(update(_taxonomies).where(_taxonomies.c.id == row.id).values(topics=kept))


def _words(text: str) -> str:
    return " ".join(text.split()).casefold()


# What hangs on a name -------------------------------------------------------------------------------------------------


def carry(tx: Transaction, renamed: Mapping[str, str], dropped: Collection[str]) -> None:
    """Carries corrections, mentions' topics and their counts along to new names, and takes dropped topics off mentions.

    Corrections that name a dropped topic stay as they are: they count again should it come back. The counts stay exact.
    """
    one_at_a_time(tx)
    gone = sorted(dropped)
    tx.connection.execute(delete(_mention_topics).where(_mention_topics.c.topic.in_(gone)))
    tx.connection.execute(delete(_rollups).where(_rollups.c.dimension == "topic", _rollups.c.key.in_(gone)))
    for old, new in _in_steps(renamed):
        tx.connection.execute(update(_mention_topics).where(_mention_topics.c.topic == old).values(topic=new))
        tx.connection.execute(
            update(_rollups).where(_rollups.c.dimension == "topic", _rollups.c.key == old).values(key=new)
        )
    if renamed:
        _carry_corrections(tx, renamed)


def _in_steps(renamed: Mapping[str, str]) -> list[tuple[str, str]]:
    """The renamings one after the other; by way of names that nobody has where two topics change names."""
    if not set(renamed) & set(renamed.values()):
        return list(renamed.items())
    between = {old: f"\x1f{number}" for number, old in enumerate(renamed)}
    return [*between.items(), *((between[old], new) for old, new in renamed.items())]


def _carry_corrections(tx: Transaction, renamed: Mapping[str, str]) -> None:
    query = select(_corrections.c.id, _corrections.c.value, _corrections.c.model_said).where(
        _corrections.c.field == "topics"
    )
    changed = [
        {"b_id": row.id, "b_value": [renamed.get(name, name) for name in row.value],
         "b_said": [renamed.get(name, name) for name in row.model_said]}
        for row in tx.connection.execute(query)
        if not renamed.keys().isdisjoint((*row.value, *row.model_said))
    ]  # fmt: skip
    if changed:
        tx.connection.execute(
            update(_corrections)
            .where(_corrections.c.id == bindparam("b_id"))
            .values(value=bindparam("b_value"), model_said=bindparam("b_said")),
            changed,
        )


# What people know better ----------------------------------------------------------------------------------------------


def corrected_on(tx: Transaction) -> list[str]:
    """The platforms of mentions whose topics people corrected."""
    query = (
        select(_mentions.c.platform)
        .join(_corrections, _corrections.c.mention_id == _mentions.c.id)
        .where(_corrections.c.field == "topics", _corrections.c.withdrawn_at.is_(None))
        .distinct()
        .order_by(_mentions.c.platform)
    )
    return list(tx.connection.execute(query).scalars())


def taught(tx: Transaction, names: Collection[str], platforms: Collection[str], most: int) -> dict[str, Taught]:
    """By topic, the texts that people gave it to or confirmed it for, and those from which they took it away.

    Of standing corrections alone, the newest `most` of each kind and topic, and only of mentions on these platforms:
    those that allow what is written there to teach a model.
    """
    query = (
        select(_corrections.c.value, _corrections.c.model_said, _mentions.c.title, _mentions.c.text)
        .join(_mentions, _mentions.c.id == _corrections.c.mention_id)
        .where(
            _corrections.c.field == "topics",
            _corrections.c.withdrawn_at.is_(None),
            _mentions.c.platform.in_(sorted(platforms)),
        )
        .order_by(_corrections.c.id.desc())
        .limit(LEARNED_FROM)
    )
    found = {name: Taught() for name in names}
    rows = tx.connection.execute(query)
    for title, text, row in ((row.title, row.text, row) for row in rows):
        words = f"{title}\n{text}" if title else text
        for name in found.keys() & set(row.value):
            _keep(found[name].examples, words, most)
        for name in found.keys() & (set(row.model_said) - set(row.value)):
            _keep(found[name].counterexamples, words, most)
        if all(len(one.examples) == most and len(one.counterexamples) == most for one in found.values()):
            break
    rows.close()
    return found


def _keep(texts: list[str], text: str, most: int) -> None:
    if len(texts) < most and text not in texts:
        texts.append(text)


@dataclass(frozen=True, slots=True)
class Standing:
    """What people said of a topic: how often they gave it, took it away, and left it as the model had said."""

    added: int
    taken_away: int
    confirmed: int


def standing(tx: Transaction, since: datetime) -> dict[str, Standing]:
    """By topic, how the corrections that stand changed it, on mentions posted since then."""
    query = (
        select(_corrections.c.value, _corrections.c.model_said)
        .join(_mentions, _mentions.c.id == _corrections.c.mention_id)
        .where(_corrections.c.field == "topics", _corrections.c.withdrawn_at.is_(None), _mentions.c.posted_at >= since)
    )
    counts: dict[str, list[int]] = {}
    for row in tx.connection.execute(query):
        value, said = set(row.value), set(row.model_said)
        for place, names in enumerate((value - said, said - value, value & said)):
            for name in names:
                counts.setdefault(name, [0, 0, 0])[place] += 1
    return {name: Standing(*counted) for name, counted in counts.items()}


@dataclass(frozen=True, slots=True)
class QuoteRow:
    """What a mention says, and its topics now, best first."""

    id: int
    conversation_id: int
    title: str | None
    text: str
    topics: tuple[str, ...]


def quotes(tx: Transaction, mention_ids: Sequence[int]) -> list[QuoteRow]:
    """Those of these mentions that are still here."""
    found: list[QuoteRow] = []
    for some in chunks(mention_ids):
        named: dict[int, list[str]] = {}
        of_topics = (
            select(_mention_topics.c.mention_id, _mention_topics.c.topic)
            .where(_mention_topics.c.mention_id.in_(some))
            .order_by(_mention_topics.c.score.desc(), _mention_topics.c.topic)
        )
        for id_, name in tx.connection.execute(of_topics):
            named.setdefault(id_, []).append(name)
        query = select(_mentions.c.id, _mentions.c.conversation_id, _mentions.c.title, _mentions.c.text)
        for row in tx.connection.execute(query.where(_mentions.c.id.in_(some))):
            found.append(QuoteRow(*row, tuple(named.get(row.id, ()))))
    return found


@dataclass(frozen=True, slots=True)
class SpokenRow:
    """What may teach phrases: a text and who wrote it, 0 where nobody knows."""

    id: int
    identity_id: int
    text: str


def spoken(tx: Transaction, mention_ids: Sequence[int], platforms: Collection[str]) -> dict[int, SpokenRow]:
    """Those of these mentions that were written on these platforms, by their ids."""
    found: dict[int, SpokenRow] = {}
    for some in chunks(mention_ids):
        query = select(_mentions.c.id, _mentions.c.identity_id, _mentions.c.title, _mentions.c.text).where(
            _mentions.c.id.in_(some), _mentions.c.platform.in_(sorted(platforms))
        )
        for row in tx.connection.execute(query):
            text = f"{row.title}\n{row.text}" if row.title else row.text
            found[row.id] = SpokenRow(row.id, row.identity_id or 0, text)
    return found


def together(tx: Transaction, mention_ids: Sequence[int]) -> tuple[dict[str, int], dict[tuple[str, str], int]]:
    """How many of these mentions have each topic, and each pair of topics."""
    alone: dict[str, int] = {}
    pairs: dict[tuple[str, str], int] = {}
    for some in chunks(mention_ids):
        query = (
            select(_mention_topics.c.mention_id, _mention_topics.c.topic)
            .where(_mention_topics.c.mention_id.in_(some))
            .order_by(_mention_topics.c.mention_id, _mention_topics.c.topic)
        )
        for _, rows in itertools.groupby(tx.connection.execute(query), key=lambda row: row.mention_id):
            names = [row.topic for row in rows]
            for name in names:
                alone[name] = alone.get(name, 0) + 1
            for pair in itertools.combinations(names, 2):
                pairs[pair] = pairs.get(pair, 0) + 1
    return alone, pairs
