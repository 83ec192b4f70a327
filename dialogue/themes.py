"""Themes: what many people speak of lately that the taxonomy did not foresee, and what is made of it.

The worker searches once an hour, or sooner when much is new. A search that is killed leaves nothing behind and is begun
again; one worker searches at a time. A theme keeps its identity from search to search, a person's name for it stays,
and one that is found no more keeps what it held until that is too old to show.
"""

from __future__ import annotations

import logging
import secrets
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from db import conversations, measures
from db import requests as request_rows
from db import themes as rows
from db import topics as topic_rows
from db import workspace as workspace_rows
from db.engine import Transaction
from db.themes import Member, Recent, ThemeRow
from dialogue import audit, feedback, platforms, points, topics, understanding
from dialogue.context import Actor, Context, DialogueError, Missing, Role, require
from dialogue.text import as_id, counted, headed, shortened
from listeners.base import clean

WINDOW = timedelta(days=30)
MOST_MENTIONS = 50_000
"""The newest of the window that are searched."""
EVERY = timedelta(hours=1)
"""Between two searches where little is new."""
SOONEST = timedelta(minutes=5)
"""Between two searches at all."""
MUCH_NEW = 0.05
"""Of what was searched, how much more makes a search worth while before its time."""
FIRST = 20
"""Mentions that the first search waits for."""
LEASE = timedelta(minutes=10)
PERIODS = (3, 7, 14)
"""Days that can be looked at; the same number before them, which they are compared with, lies in the window, too."""
MAX_NAME = 60
NOTABLE = 5
"""More or less than before by fewer mentions than this is 'as before'."""
GROWN = 1.5
FEW = 20
"""Under this many mentions in all, nothing is compared with the days before: all would seem new."""
INCOMPARABLE = "too little was said in the {} days before to compare"
QUOTES = 3
UNDO_FOR = timedelta(hours=1)
SEARCH = "search_themes"
"""Kind of request."""

log = logging.getLogger(__name__)

Trend = Literal["new", "growing", "shrinking", "steady"]


@dataclass(frozen=True, slots=True)
class Quote:
    """Somebody's own words. `text` is plain and hostile."""

    mention_id: int
    conversation_id: int
    text: str
    author_name: str
    platform_title: str
    at: datetime
    url: str | None
    sentiment: str


@dataclass(frozen=True, slots=True)
class Day:
    """How many mentions of a theme were posted on a day of the workspace."""

    day: date
    negative: int
    neutral: int
    positive: int

    @property
    def total(self) -> int:
        return self.negative + self.neutral + self.positive


@dataclass(frozen=True, slots=True)
class ThemeCard:
    """A theme in a period of days.

    count, days: of the period; before: as many days earlier. change: how it moved, in words. note: what else became
    of it. faded: the last search did not find it. found_name: what the search calls it where a person named it.
    topic, item_id: what was made of it, where that is still there. phrases: what a topic would be described with.
    """

    id: int
    name: str
    found_name: str
    count: int
    before: int
    change: str
    trend: Trend
    days: tuple[Day, ...]
    quotes: tuple[Quote, ...]
    note: str
    faded: bool
    first_seen_at: datetime
    topic: str | None
    item_id: int | None
    phrases: tuple[str, ...]
    sample: bool

    def of(self, sentiment: str) -> int:
        """How many of the period have this sentiment."""
        return sum(getattr(day, sentiment) for day in self.days)


@dataclass(frozen=True, slots=True)
class Themes:
    """What was found. words: when the last search was and over what; or when the first one will be.

    searchable: enough has been read for a search to find anything.
    """

    cards: tuple[ThemeCard, ...]
    words: str
    searched_at: datetime | None
    searching: bool
    searchable: bool
    first: date
    last: date


# Searching ------------------------------------------------------------------------------------------------------------


def due(ctx: Context) -> bool:
    """Whether a search is worth while now and nobody searches."""
    now = ctx.clock()
    with ctx.database.reading() as tx:
        last, done = rows.last_run(tx), rows.last_run(tx, "done")
        if last is not None and now - last.started_at < SOONEST:
            return False
        if last is not None and last.state == "running" and last.lease_until is not None and last.lease_until >= now:
            return False
        enough = max(FIRST, round(MUCH_NEW * done.mentions)) if done is not None else FIRST
        fresh = rows.tagged_since(tx, done.newest_mention_id if done is not None else 0, enough)
        reading = rows.still_reading(tx)
    if done is not None and now - done.started_at >= EVERY:
        return fresh > 0
    # While the model still reads, half of the themes would be found now and the other half in five minutes.
    return fresh >= enough and not reading


def find(ctx: Context) -> bool:
    """Searches, unless somebody does; whether it did. What it found is stored in one transaction."""
    now = ctx.clock()
    with ctx.database.transaction() as tx:
        run_id = rows.begin(tx, now, LEASE, rows.newest_tagged(tx))
    if run_id is None:
        return False
    points.reached("themes.begun")
    try:
        found = [_search(ctx, now, sample=sample) for sample in (False, True)]
    except Exception as error:
        with ctx.database.transaction() as tx:
            rows.end(tx, run_id, ctx.clock(), state="failed", words=clean(f"{type(error).__name__}: {error}")[:500])
        raise
    points.reached("themes.found")
    with ctx.database.transaction() as tx:
        totals = {
            "mentions": sum(len(one.mentions) for one in found),
            "grouped": sum(one.grouped for one in found),
            "themes": sum(len(one.clusters) for one in found),
        }
        if not rows.end(tx, run_id, ctx.clock(), state="done", **totals):
            log.warning("A search for themes took so long that it was given up; nothing of it is kept")
            return False
        for one in found:
            _store(tx, now, one)
        workspace_rows.bump(tx)
        points.reached("themes.before_commit")
    return True


@dataclass(frozen=True, slots=True)
class _Found:
    """One search's clusters, and what each is to the themes known before; all of the sample, or none of it."""

    mentions: Sequence[Recent]
    clusters: Sequence[Any]
    fates: Sequence[Any]
    known: Sequence[ThemeRow]
    space: str
    sample: bool

    @property
    def grouped(self) -> int:
        return sum(len(one.members) for one in self.clusters)


def _search(ctx: Context, now: datetime, *, sample: bool) -> _Found:
    with ctx.database.reading() as tx:
        mentions = rows.recent(tx, now - WINDOW, MOST_MENTIONS, sample=sample)
        known = rows.seen_since(tx, now - WINDOW, sample=sample)
        held = rows.members(tx, [one.id for one in known])
    space, mentions = _of_one_space(mentions)
    if not mentions:
        return _Found((), (), (), known, space, sample)
    import numpy as np

    from analysis import themes as finder

    vectors = np.frombuffer(b"".join(one.embedding for one in mentions), "<f2").reshape(len(mentions), -1)
    allowed = set(platforms.trainable())
    clusters = finder.find(
        vectors, [one.text for one in mentions], usable=[one.platform in allowed for one in mentions]
    )
    places = {one.id: place for place, one in enumerate(mentions)}
    before = [
        finder.Known(
            np.frombuffer(one.centroid, "<f2").astype(np.float32) if one.space == space else None,
            frozenset(places[id_] for id_ in held[one.id] if id_ in places),
        )
        for one in known
    ]
    middle = vectors.mean(axis=0, dtype=np.float32)
    return _Found(mentions, clusters, finder.match(before, clusters, middle), known, space, sample)


def _of_one_space(mentions: Sequence[Recent]) -> tuple[str, list[Recent]]:
    """Those with an embedding by the model that made most of them: vectors of two models cannot be compared."""

    def space(one: Recent) -> tuple[str, int]:
        return understanding.embedder(one.space), len(one.embedding)

    counts = Counter(space(one) for one in mentions if len(one.embedding) > 2)
    if not counts:
        return "", []
    best = counts.most_common(1)[0][0]
    return best[0], [one for one in mentions if space(one) == best]


def _store(tx: Transaction, now: datetime, found: _Found) -> None:
    placed: dict[int, list[Member]] = {}
    for cluster, fate in zip(found.clusters, found.fates, strict=True):
        theme = found.known[fate.continues] if fate.continues is not None else None
        values = {
            "name": _steady_name(theme, cluster.name),
            "phrases": list(cluster.phrases),
            "centroid": cluster.centroid.astype("<f2").tobytes(),
            "space": found.space,
            "cohesion": cluster.cohesion,
            "last_seen_at": now,
        }
        note = _note(found.known, fate)
        if note:
            values["note"] = note
        if theme is None:
            theme_id = rows.add(tx, now, sample=found.sample, **values)
        else:
            theme_id = theme.id
            rows.change(tx, theme_id, **values)
        for one in fate.merged:
            rows.change(tx, found.known[one].id, note=f"Went into “{theme.shown_name if theme else cluster.name}”.")
        quotes = {position: place for place, position in enumerate(cluster.quotes, start=1)}
        placed[theme_id] = [
            Member(found.mentions[position].id, score, quotes.get(position))
            for position, score in zip(cluster.members, cluster.scores, strict=True)
        ]
    rows.place(tx, placed, [one.id for one in found.mentions])


def _steady_name(theme: ThemeRow | None, name: str) -> str:
    """The name it had while the new one shares a word with it: a name that changes every hour cannot be remembered."""
    if theme is None or set(_words(theme.name)).isdisjoint(_words(name)):
        return name
    return theme.name


def _words(name: str) -> list[str]:
    return name.casefold().replace(",", " ").split()


def _note(known: Sequence[ThemeRow], fate: Any) -> str:
    """What became of it besides growing or shrinking, a sentence, or nothing."""
    if fate.merged:
        names = " and ".join(f"“{known[one].shown_name}”" for one in fate.merged[:3])
        return f"{names} went into this."
    return f"Split off from “{known[fate.split_from].shown_name}”." if fate.split_from is not None else ""


def search_request(ctx: Context, actor: Actor) -> int:
    """Asks the worker to search now; returns the request's id."""
    require(actor, Role.PRODUCT)
    with ctx.database.transaction() as tx:
        request_id = request_rows.add(tx, SEARCH, {}, actor.user_id, ctx.clock())
    ctx.triggers.serve(request_id)
    return request_id


def search(ctx: Context, payload: dict[str, Any], progress: Any) -> dict[str, Any]:
    """Serves `search_request`."""
    progress(0, None, "Reading what was said in the last 30 days")
    searched = find(ctx)
    with ctx.database.reading() as tx:
        done = rows.last_run(tx, "done")
    if not searched or done is None:
        return {"words": "Another worker is searching already; what it finds appears in a minute."}
    return {"words": f"{counted(done.themes, 'theme')} in {counted(done.mentions, 'mention')}."}


# Looking --------------------------------------------------------------------------------------------------------------


def themes(ctx: Context, actor: Actor, days: int = 7, *, growing: bool = False) -> Themes:
    """The themes of the last `days` days, today included, the largest first; of those that grow, the fastest first."""
    require(actor, Role.VIEWER)
    now = ctx.clock()
    with ctx.database.reading() as tx:
        last, done = rows.last_run(tx), rows.last_run(tx, "done")
        today = now.astimezone(ZoneInfo(workspace_rows.read(tx).time_zone)).date()
        first = today - timedelta(days=days - 1)
        found = [one for one in rows.seen_since(tx, now - WINDOW) if one.dismissed_at is None]
        sizes = _sizes(tx, found, first - timedelta(days=days), today)
        found = [one for one in found if any(day >= first for day in sizes[one.id])]
        quotes = _quotes(tx, [one.id for one in found])
        names = {one.name for one in topic_rows.all_(tx)} | topics_on_their_way(tx)
        board = rows.items_on_board(tx, [one.item_id for one in found if one.item_id is not None])
        earlier = measures.daily(tx, first - timedelta(days=days), first - timedelta(days=1))
        searchable = done is not None or rows.tagged_since(tx, 0, FIRST) >= FIRST
    searched = done.started_at if done is not None else None
    comparable = int(earlier["count"].sum()) >= FEW
    cards = [_card(one, sizes[one.id], quotes[one.id], first, days, searched, names, board) for one in found]
    if not comparable:
        cards = [replace(card, trend="steady", change=INCOMPARABLE.format(days)) for card in cards]
    if growing:
        cards = [card for card in cards if card.trend in ("new", "growing")]
    cards.sort(key=lambda card: (card.before - card.count if growing else -card.count, card.id))
    searching = last is not None and last.state == "running" and (last.lease_until or now) >= now
    return Themes(tuple(cards), _run_words(done), searched, searching, searchable, first, today)


def topics_on_their_way(tx: Transaction) -> set[str]:
    """The names of topics that a request is about to put in force."""
    waiting = [one.payload for one in request_rows.open_ones(tx) if one.kind == topics.APPLY]
    return {str(topic["name"]) for payload in waiting for topic in payload.get("topics", ())}


def _run_words(done: rows.RunRow | None) -> str:
    if done is None:
        return f"The first themes appear once {FIRST} mentions have been read."
    if not done.themes:
        return f"No theme in {counted(done.mentions, 'mention')} of the last 30 days: nobody speaks of the same thing."
    share = round(100 * done.grouped / max(done.mentions, 1))
    return (
        f"{counted(done.themes, 'theme')} in {counted(done.mentions, 'mention')} of the last 30 days; "
        f"{share} % of them are in one."
    )


def _sizes(
    tx: Transaction, found: Sequence[ThemeRow], first: date, last: date
) -> defaultdict[int, dict[date, Counter[str]]]:
    sizes: defaultdict[int, dict[date, Counter[str]]] = defaultdict(dict)
    for one in rows.by_day(tx, [theme.id for theme in found], first, last):
        sizes[one.theme_id].setdefault(one.day, Counter())[one.sentiment] += one.count
    return sizes


def _quotes(tx: Transaction, theme_ids: Sequence[int]) -> defaultdict[int, list[Quote]]:
    quotes: defaultdict[int, list[Quote]] = defaultdict(list)
    for one in rows.quotes(tx, theme_ids, QUOTES):
        quotes[one.theme_id].append(
            Quote(
                one.mention_id,
                one.conversation_id,
                headed(one.title, one.text),
                one.author_name or one.handle or "Somebody",
                platforms.of(one.platform).title,
                one.posted_at,
                one.url,
                one.sentiment,
            )
        )
    return quotes


def _card(
    theme: ThemeRow,
    sizes: Mapping[date, Counter[str]],
    quotes: Sequence[Quote],
    first: date,
    length: int,
    searched: datetime | None,
    topic_names: Collection[str],
    board: Collection[int],
) -> ThemeCard:
    none: Counter[str] = Counter()
    days = [
        Day(day, *(sizes.get(day, none)[mood] for mood in ("negative", "neutral", "positive")))
        for day in (first + timedelta(days=place) for place in range(length))
    ]
    count = sum(day.total for day in days)
    before = sum(moods.total() for day, moods in sizes.items() if day < first)
    faded = searched is not None and theme.last_seen_at < searched
    trend = _trend(count, before)
    return ThemeCard(
        id=theme.id,
        name=theme.shown_name,
        found_name=theme.name if theme.given_name else "",
        count=count,
        before=before,
        change=_change(trend, count, before, length),
        trend=trend,
        days=tuple(days),
        quotes=tuple(quotes),
        note=theme.note,
        faded=faded,
        first_seen_at=theme.first_seen_at,
        topic=theme.topic if theme.topic in topic_names else None,
        item_id=theme.item_id if theme.item_id in board else None,
        phrases=tuple(theme.phrases),
        sample=theme.sample,
    )


def _trend(count: int, before: int) -> Trend:
    if not before:
        return "new"
    if abs(count - before) < NOTABLE or before / GROWN < count < before * GROWN:
        return "steady"
    return "growing" if count > before else "shrinking"


def _change(trend: Trend, count: int, before: int, days: int) -> str:
    """How it moved against as many days before, in words."""
    if trend == "new":
        return f"new: nobody spoke of it in the {days} days before"
    if trend == "steady":
        return f"about as in the {days} days before"
    if trend == "growing" and count >= 2 * before >= 2 * NOTABLE:
        return f"{count / before:.1f} times as many as in the {days} days before".replace(".0 times", " times")
    verb = "up" if trend == "growing" else "down"
    return f"{verb} from {before:,} in the {days} days before"


# Making something of it -----------------------------------------------------------------------------------------------


def rename(ctx: Context, actor: Actor, theme_id: int, name: str) -> None:
    """Gives it a name that no search changes; an empty one goes back to what the search calls it."""
    require(actor, Role.PRODUCT)
    name = " ".join(clean(name).split())
    if len(name) > MAX_NAME:
        raise DialogueError(f"A theme's name has {MAX_NAME} characters at most; this one has {len(name):,}.")
    with ctx.database.transaction() as tx:
        theme = _found(tx, theme_id)
        rows.change(tx, theme.id, given_name=name or None)
        audit.record(tx, ctx, actor, "renamed", "theme", theme.id, name=name or theme.name, before=theme.shown_name)
        workspace_rows.bump(tx)


def dismiss(ctx: Context, actor: Actor, theme_id: int) -> str:
    """Takes it off the page for good, also when it is found again. Returns an undo id, good for an hour."""
    require(actor, Role.PRODUCT)
    undo_id = secrets.token_urlsafe(12)
    with ctx.database.transaction() as tx:
        theme = _found(tx, theme_id)
        rows.change(tx, theme.id, dismissed_at=ctx.clock())
        conversations.remember(tx, undo_id, actor.user_id, "dismissed theme", [{"theme": theme.id}], ctx.clock())
        audit.record(tx, ctx, actor, "dismissed", "theme", theme.id, name=theme.shown_name)
        workspace_rows.bump(tx)
    return undo_id


def undo_dismiss(ctx: Context, actor: Actor, undo_id: str) -> str:
    """Puts a dismissed theme back; returns its name."""
    require(actor, Role.PRODUCT)
    now = ctx.clock()
    with ctx.database.transaction() as tx:
        undone = conversations.undo(tx, undo_id, actor.user_id or 0, now - UNDO_FOR, now)
        before = undone.before[0] if undone is not None and undone.before else {}
        theme = rows.get(tx, before["theme"]) if "theme" in before else None
        if theme is None:
            raise Missing("There is nothing to undo any more.")
        rows.change(tx, theme.id, dismissed_at=None)
        audit.record(tx, ctx, actor, "restored", "theme", theme.id, name=theme.shown_name)
        workspace_rows.bump(tx)
    return theme.shown_name


def to_topic(
    ctx: Context, actor: Actor, theme_id: int, name: str | None = None, phrases: Sequence[str] | None = None
) -> int:
    """Makes a topic of it: its name and phrases, or those given; returns the id of the request that re-tags mentions.

    What was said on a platform whose rules forbid it lends no phrase. Raises DialogueError where nothing is left then.
    """
    require(actor, Role.PRODUCT)
    with ctx.database.reading() as tx:
        theme = _found(tx, theme_id)
    words = tuple(theme.phrases if phrases is None else phrases)
    if not words:
        raise DialogueError(
            "All of this was said on platforms whose rules forbid to learn from it. Add a topic under Topics and "
            "describe it in your own words."
        )
    # The search's name may hold words of any platform; the first phrase does not.
    name = name or theme.given_name or words[0][:1].upper() + words[0][1:]
    name = shortened(" ".join(clean(name).split()), topics.LONGEST_NAME)
    request_id = topics.add(ctx, actor, name, words)
    with ctx.database.transaction() as tx:
        rows.change(tx, theme.id, topic=name)
        audit.record(tx, ctx, actor, "made a topic of", "theme", theme.id, name=theme.shown_name, topic=name)
        workspace_rows.bump(tx)
    return request_id


def to_feedback(ctx: Context, actor: Actor, theme_id: int) -> int:
    """Puts it on the feedback board, backed by its typical quotes; returns the item's id, of a second click too."""
    require(actor, Role.PRODUCT)
    with ctx.database.transaction() as tx:
        theme = _found(tx, theme_id)
        if theme.item_id is not None and rows.items_on_board(tx, [theme.item_id]):
            return theme.item_id
        quotes = rows.quotes(tx, [theme.id], QUOTES)
        kind = _kind(rows.intents(tx, theme.id))
        item_id = feedback.add_backed(
            tx, ctx, actor, theme.shown_name, kind, [one.mention_id for one in quotes], "Found among the themes."
        )
        rows.change(tx, theme.id, item_id=item_id)
        audit.record(tx, ctx, actor, "carried in", "theme", theme.id, name=theme.shown_name, item=item_id)
    return item_id


def _kind(intents: Mapping[str, int]) -> str:
    """Mostly ideas: an idea; mostly complaints: a defect; else a need."""
    asked = {name: intents.get(name, 0) for name in ("idea", "complaint", "question")}
    most = max(asked, key=lambda name: asked[name])
    return {"idea": "idea", "complaint": "defect"}.get(most, "need") if asked[most] else "need"


def _found(tx: Transaction, theme_id: int) -> ThemeRow:
    theme = rows.get(tx, as_id(theme_id))
    if theme is None:
        raise Missing("This theme is not here any more.")
    return theme


def name_of(ctx: Context, theme_id: int) -> str | None:
    """What it is called, for a filter; None where there is none such."""
    with ctx.database.reading() as tx:
        theme = rows.get(tx, as_id(theme_id))
    return None if theme is None else theme.shown_name
