"""Themes: what was found in recent mentions, found again, and what people made of it; and the searches themselves."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select, update

from db.engine import Transaction
from db.sql import added, advisory_lock, chunks, insert_many, one_at_a_time, table
from db.tables import (
    Conversation,
    EffectiveTag,
    FeedbackItem,
    Identity,
    Mention,
    Tag,
    Theme,
    ThemeMention,
    ThemeRun,
)

RUNS_KEPT = 200
READ = 4_000
"""Characters of a text that are read."""

_themes = table(Theme)
_members = table(ThemeMention)
_runs = table(ThemeRun)
_mentions = table(Mention)
_conversations = table(Conversation)
_tags = table(Tag)
_effective = table(EffectiveTag)
_identities = table(Identity)
_items = table(FeedbackItem)


@dataclass(frozen=True, slots=True)
class Recent:
    """A mention that a search looks at. `space` names the model that made its embedding."""

    id: int
    platform: str
    text: str
    embedding: bytes
    space: str


@dataclass(frozen=True, slots=True)
class RunRow:
    """One search. state: running, done, failed."""

    id: int
    state: str
    started_at: datetime
    finished_at: datetime | None
    lease_until: datetime | None
    newest_mention_id: int
    mentions: int
    grouped: int
    themes: int
    words: str


@dataclass(frozen=True, slots=True)
class ThemeRow:
    """A theme as it is stored; see db.tables."""

    id: int
    name: str
    given_name: str | None
    phrases: list[str]
    centroid: bytes
    space: str
    cohesion: float
    note: str
    first_seen_at: datetime
    last_seen_at: datetime
    dismissed_at: datetime | None
    topic: str | None
    item_id: int | None
    sample: bool

    @property
    def shown_name(self) -> str:
        """A person's name for it, else the search's."""
        return self.given_name or self.name


@dataclass(frozen=True, slots=True)
class Member:
    """A mention that belongs to a theme. quote: 1 to 3 for a typical one."""

    mention_id: int
    score: float
    quote: int | None = None


@dataclass(frozen=True, slots=True)
class QuoteRow:
    """Somebody's words in a theme, with who said them where."""

    theme_id: int
    mention_id: int
    conversation_id: int
    title: str | None
    text: str
    author_name: str | None
    handle: str | None
    platform: str
    posted_at: datetime
    url: str | None
    sentiment: str


@dataclass(frozen=True, slots=True)
class DayCount:
    """How many mentions of a theme were posted on a day of the workspace, by sentiment."""

    theme_id: int
    day: date
    sentiment: str
    count: int


# The searches ---------------------------------------------------------------------------------------------------------


def _run(row: Any) -> RunRow:
    return RunRow(**{name: getattr(row, name) for name in RunRow.__slots__})


def last_run(tx: Transaction, state: str | None = None) -> RunRow | None:
    """The newest search, of this state where one is given."""
    query = select(_runs).order_by(_runs.c.id.desc()).limit(1)
    row = tx.connection.execute(query if state is None else query.where(_runs.c.state == state)).one_or_none()
    return None if row is None else _run(row)


def newest_tagged(tx: Transaction) -> int:
    """The highest id of a mention that the model has read; 0 where it has read none."""
    return tx.connection.execute(select(func.max(_effective.c.mention_id))).scalar() or 0


def tagged_since(tx: Transaction, mention_id: int, most: int) -> int:
    """How many mentions with a higher id the model has read; counts no further than `most`."""
    some = select(_effective.c.mention_id).where(_effective.c.mention_id > mention_id).limit(most).subquery()
    return tx.connection.execute(select(func.count()).select_from(some)).scalar_one()


def still_reading(tx: Transaction) -> bool:
    """Whether a mention waits for the model."""
    return (
        tx.connection.execute(select(_mentions.c.id).where(_mentions.c.tagged_at.is_(None)).limit(1)).first()
        is not None
    )


def begin(tx: Transaction, now: datetime, lease: timedelta, newest: int) -> int | None:
    """Takes the one search that may run; None while another has it. Returns the run's id."""
    advisory_lock(tx, "themes")
    held = select(_runs.c.id).where(_runs.c.state == "running", _runs.c.lease_until >= now)
    if tx.connection.execute(held).first() is not None:
        return None
    tx.connection.execute(
        update(_runs)
        .where(_runs.c.state == "running")
        .values(state="failed", finished_at=now, lease_until=None, words="Its worker stopped.")
    )
    run_id = added(
        tx,
        _runs.insert().values(
            state="running", started_at=now, lease_until=now + lease, newest_mention_id=newest, mentions=0, grouped=0,
            themes=0, words="",
        ),
    )  # fmt: skip
    tx.connection.execute(delete(_runs).where(_runs.c.id <= run_id - RUNS_KEPT))
    return run_id


def end(tx: Transaction, run_id: int, now: datetime, **values: Any) -> bool:
    """Writes how a search ended; False when it was taken for dead meanwhile, and then nothing of it must be stored."""
    advisory_lock(tx, "themes")
    query = update(_runs).where(_runs.c.id == run_id, _runs.c.state == "running")
    return tx.connection.execute(query.values(finished_at=now, lease_until=None, **values)).rowcount == 1


def recent(tx: Transaction, since: datetime, most: int, *, sample: bool) -> list[Recent]:
    """The newest mentions since then that the model has read: not ours, and nothing that was set aside."""
    query = (
        select(
            _mentions.c.id,
            _mentions.c.platform,
            _mentions.c.title,
            func.substr(_mentions.c.text, 1, READ).label("text"),
            _tags.c.embedding,
            _tags.c.model,
        )
        .join(_tags, _tags.c.mention_id == _mentions.c.id)
        .where(
            _mentions.c.posted_at >= since,
            _mentions.c.ours.is_(False),
            _mentions.c.set_aside.is_(False),
            _mentions.c.sample.is_(sample),
        )
        .order_by(_mentions.c.posted_at.desc(), _mentions.c.id.desc())
        .limit(most)
    )
    return [
        Recent(row.id, row.platform, f"{row.title}\n{row.text}" if row.title else row.text, row.embedding, row.model)
        for row in tx.connection.execute(query)
    ]


# What they found ------------------------------------------------------------------------------------------------------


def _theme(row: Any) -> ThemeRow:
    return ThemeRow(**{name: getattr(row, name) for name in ThemeRow.__slots__})


def get(tx: Transaction, theme_id: int) -> ThemeRow | None:
    """The theme, dismissed or not, or None."""
    row = tx.connection.execute(select(_themes).where(_themes.c.id == theme_id)).one_or_none()
    return None if row is None else _theme(row)


def seen_since(tx: Transaction, moment: datetime, *, sample: bool | None = None) -> list[ThemeRow]:
    """The themes that a search since then has found, dismissed ones too."""
    query = select(_themes).where(_themes.c.last_seen_at >= moment).order_by(_themes.c.id)
    if sample is not None:
        query = query.where(_themes.c.sample.is_(sample))
    return [_theme(row) for row in tx.connection.execute(query)]


def members(tx: Transaction, theme_ids: Collection[int]) -> dict[int, frozenset[int]]:
    """The ids of each theme's mentions."""
    found: dict[int, set[int]] = {one: set() for one in theme_ids}
    for some in chunks(sorted(theme_ids)):
        query = select(_members.c.theme_id, _members.c.mention_id).where(_members.c.theme_id.in_(some))
        for row in tx.connection.execute(query):
            found[row.theme_id].add(row.mention_id)
    return {one: frozenset(ids) for one, ids in found.items()}


def add(tx: Transaction, now: datetime, **values: Any) -> int:
    """Adds a theme that was found for the first time; returns its id."""
    fresh = {"note": "", "first_seen_at": now, "last_seen_at": now}
    return added(tx, _themes.insert().values(fresh | values))


def change(tx: Transaction, theme_id: int, **values: Any) -> None:
    """Sets columns of a theme."""
    tx.connection.execute(update(_themes).where(_themes.c.id == theme_id).values(**values))


def place(tx: Transaction, placed: Mapping[int, Sequence[Member]], looked_at: Collection[int]) -> None:
    """Puts the mentions that a search looked at into the themes that it found.

    A mention leaves the theme it was in. What a theme that was found again held and holds no more, of what was looked
    at, leaves it; one that was not found again keeps what no other took. Mentions deleted meanwhile are left out.
    """
    one_at_a_time(tx)
    wanted = {one.mention_id for found in placed.values() for one in found}
    for some in chunks(sorted(wanted)):
        tx.connection.execute(delete(_members).where(_members.c.mention_id.in_(some)))
    left = set(looked_at) - wanted
    for theme_id in placed:
        stays = select(_members.c.mention_id).where(_members.c.theme_id == theme_id)
        gone = left.intersection(tx.connection.execute(stays).scalars())
        for some in chunks(sorted(gone)):
            tx.connection.execute(delete(_members).where(_members.c.mention_id.in_(some)))
        no_quotes = update(_members).where(_members.c.theme_id == theme_id).values(quote=None)
        tx.connection.execute(no_quotes)
    there = _still_there(tx, sorted(wanted))
    rows = [
        {"mention_id": one.mention_id, "theme_id": theme_id, "score": one.score, "quote": one.quote}
        for theme_id, found in placed.items()
        for one in found
        if one.mention_id in there
    ]
    insert_many(tx, _members, rows)


def _still_there(tx: Transaction, mention_ids: Sequence[int]) -> set[int]:
    found: set[int] = set()
    for some in chunks(mention_ids):
        found.update(tx.connection.execute(select(_mentions.c.id).where(_mentions.c.id.in_(some))).scalars())
    return found


# What a page shows ----------------------------------------------------------------------------------------------------


def by_day(tx: Transaction, theme_ids: Collection[int], first: date, last: date) -> list[DayCount]:
    """The counts of these themes' mentions from `first` to `last`; a row a combination that occurs."""
    found: list[DayCount] = []
    for some in chunks(sorted(theme_ids)):
        query = (
            select(_members.c.theme_id, _effective.c.day, _effective.c.sentiment, func.count())
            .join(_effective, _effective.c.mention_id == _members.c.mention_id)
            .where(_members.c.theme_id.in_(some), _effective.c.day.between(first, last))
            .group_by(_members.c.theme_id, _effective.c.day, _effective.c.sentiment)
        )
        found += [DayCount(*row) for row in tx.connection.execute(query)]
    return found


def quotes(tx: Transaction, theme_ids: Iterable[int], most: int) -> list[QuoteRow]:
    """The most typical words of each theme, the chosen ones first; what was deleted at its source is not among them."""
    ranked = (
        select(
            _members.c.theme_id,
            _members.c.mention_id,
            func.row_number()
            .over(
                partition_by=_members.c.theme_id,
                order_by=(func.coalesce(_members.c.quote, 99), _members.c.score.desc(), _members.c.mention_id),
            )
            .label("place"),
        )
        .where(_members.c.theme_id.in_(sorted(theme_ids)))
        .subquery()
    )
    query = (
        select(
            ranked.c.theme_id,
            _mentions.c.id,
            _mentions.c.conversation_id,
            _mentions.c.title,
            func.substr(_mentions.c.text, 1, READ),
            _identities.c.display_name,
            _identities.c.handle,
            _mentions.c.platform,
            _mentions.c.posted_at,
            _mentions.c.url,
            _effective.c.sentiment,
        )
        .select_from(ranked)
        .join(_mentions, _mentions.c.id == ranked.c.mention_id)
        .join(_effective, _effective.c.mention_id == _mentions.c.id)
        .outerjoin(_identities, _identities.c.id == _mentions.c.identity_id)
        .where(ranked.c.place <= most)
        .order_by(ranked.c.theme_id, ranked.c.place)
    )
    return [QuoteRow(*row) for row in tx.connection.execute(query)]


def intents(tx: Transaction, theme_id: int) -> dict[str, int]:
    """How many of a theme's mentions have each intent."""
    query = (
        select(_effective.c.intent, func.count())
        .join(_members, _members.c.mention_id == _effective.c.mention_id)
        .where(_members.c.theme_id == theme_id)
        .group_by(_effective.c.intent)
    )
    return {row[0]: row[1] for row in tx.connection.execute(query)}


def items_on_board(tx: Transaction, item_ids: Collection[int]) -> set[int]:
    """Which of these feedback items still stand on the board."""
    query = select(_items.c.id).where(_items.c.id.in_(sorted(item_ids)), _items.c.state != "deleted")
    return set(tx.connection.execute(query).scalars())


def forget_hollow(tx: Transaction) -> None:
    """Removes themes that hold nothing: with the last mention, the words that were taken from it go."""
    tx.connection.execute(
        delete(_themes).where(~select(_members.c.mention_id).where(_members.c.theme_id == _themes.c.id).exists())
    )


def remove_sample(tx: Transaction) -> None:
    """Takes out the themes that were found in the sample data."""
    tx.connection.execute(delete(_themes).where(_themes.c.sample))
