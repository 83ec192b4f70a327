"""Both sides of the conversation, measured: how people feel, about what, and whether we answer."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from statistics import median
from zoneinfo import ZoneInfo

import pandas as pd

from db import measures as counts
from db.engine import Transaction
from dialogue import workspace
from dialogue.context import Actor, Context, Role, require
from dialogue.inbox import Filters

SENTIMENTS = ("negative", "neutral", "positive")
NOTABLE_MOOD = 5
"""Points of mood (positive minus negative, in per cent) that a sentence calls a change; less is 'as before'."""
SPIKE = 2.0
"""A day is a spike with this many times the median day's negative mentions, and at least `SPIKE_AT_LEAST` of them."""
SPIKE_AT_LEAST = 10
TOO_FEW = 5
"""Under this many, nothing at all is said about how people feel."""
FEW = 20
"""Under this many mentions no comparison is made: chance would write the headline."""


@dataclass(frozen=True, slots=True)
class Number:
    """One figure with its change against the period before, whether that is good, and what it means."""

    label: str
    value: str
    change: str
    good: bool | None
    meaning: str
    spark: tuple[float, ...]
    filters: Filters


@dataclass(frozen=True, slots=True)
class Finding:
    """A sentence, and the mentions behind it."""

    title: str
    filters: Filters


@dataclass(frozen=True, slots=True)
class Summary:
    """What an executive reads in ten seconds. Frames hold counts of mentions that are not ours.

    by_day: day, sentiment, count; by_topic: topic, sentiment, count; by_platform: platform, sentiment, count.
    """

    headline: str
    subline: str
    numbers: tuple[Number, ...]
    by_day: pd.DataFrame
    by_topic: pd.DataFrame
    by_platform: pd.DataFrame
    day_finding: Finding
    topic_finding: Finding
    findings: tuple[Finding, ...]
    first: date
    last: date
    untagged: int
    empty: bool
    has_sample: bool


@dataclass(frozen=True, slots=True)
class Period:
    """Days in the workspace's zone, both ends counted."""

    first: date
    last: date

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    def before(self) -> Period:
        """As many days, just before."""
        return Period(self.first - timedelta(days=self.days), self.first - timedelta(days=1))

    def bounds(self, zone: ZoneInfo) -> tuple[datetime, datetime]:
        """First moment, and the moment after the last."""
        start = datetime.combine(self.first, time.min, zone)
        return start, datetime.combine(self.last + timedelta(days=1), time.min, zone)


@dataclass(frozen=True, slots=True)
class _Side:
    """The counts of one period."""

    period: Period
    days: pd.DataFrame
    topics: pd.DataFrame
    answered: pd.DataFrame
    minutes: list[float]

    @property
    def total(self) -> int:
        return int(self.days["count"].sum())

    def of(self, sentiment: str) -> int:
        return int(self.days.loc[self.days["sentiment"] == sentiment, "count"].sum())

    @property
    def mood(self) -> int:
        """Positive minus negative in per cent of all, -100 to 100."""
        return round(100 * (self.of("positive") - self.of("negative")) / self.total) if self.total else 0

    @property
    def share_answered(self) -> int | None:
        asked = int(self.answered["asked"].sum())
        return round(100 * int(self.answered["answered"].sum()) / asked) if asked else None


def summary(ctx: Context, actor: Actor, days: int = 7) -> Summary:
    """The last `days` days, today included, against as many before."""
    require(actor, Role.VIEWER)
    space = workspace.get(ctx)
    zone = ZoneInfo(space.time_zone)
    today = ctx.clock().astimezone(zone).date()
    period = Period(today - timedelta(days=days - 1), today)
    with ctx.database.reading() as tx:
        now, earlier = _side(tx, period, zone), _side(tx, period.before(), zone)
        platforms = _by_key(counts.daily(tx, period.first, period.last, "platform"), "platform")
        people, platform_count = (
            counts.people(tx, period.first, period.last),
            counts.sources(tx, period.first, period.last),
        )
        everything, sample = counts.mentions(tx), counts.has_sample(tx)
        untagged = counts.untagged(tx)
    by_topic = _by_key(now.topics, "topic")
    day_finding, topic_finding = _day_finding(now), _topic_finding(by_topic, now)
    return Summary(
        headline=_headline(now, earlier) if now.total else _silence(period.days, everything, untagged),
        subline=_subline(now, people, platform_count),
        numbers=_numbers(now, earlier),
        by_day=_every_day(now),
        by_topic=by_topic,
        by_platform=platforms,
        day_finding=day_finding,
        topic_finding=topic_finding,
        findings=(day_finding, topic_finding, _answer_finding(now, earlier)),
        first=period.first,
        last=period.last,
        untagged=untagged,
        empty=everything == 0,
        has_sample=sample,
    )


def _side(tx: Transaction, period: Period, zone: ZoneInfo) -> _Side:
    return _Side(
        period,
        counts.daily(tx, period.first, period.last),
        counts.daily(tx, period.first, period.last, "topic"),
        counts.answered_by_day(tx, period.first, period.last),
        counts.minutes_to_answer(tx, *period.bounds(zone)),
    )


def _by_key(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    grouped: pd.DataFrame = frame.groupby(["key", "sentiment"], as_index=False).agg({"count": "sum"})
    return grouped.rename(columns={"key": name})


def _every_day(side: _Side) -> pd.DataFrame:
    """by_day with a zero where nothing was said, so that a quiet day shows as one."""
    days = pd.date_range(side.period.first, side.period.last).date
    index = pd.MultiIndex.from_product([days, SENTIMENTS], names=["day", "sentiment"])
    counted = side.days.groupby(["day", "sentiment"])["count"].sum()
    return counted.reindex(index, fill_value=0).reset_index()


def _sparks(side: _Side) -> dict[str, tuple[float, ...]]:
    table = _every_day(side).pivot(index="day", columns="sentiment", values="count")
    total = table.sum(axis=1)
    mood = (100 * (table["positive"] - table["negative"]) / total.where(total > 0)).fillna(0)
    asked = side.answered.set_index("day").reindex(table.index, fill_value=0)
    share = (100 * asked["answered"] / asked["asked"].where(asked["asked"] > 0)).fillna(0)
    return {
        "mood": tuple(map(float, mood)),
        "total": tuple(map(float, total)),
        "share": tuple(map(float, share)),
        "negative": tuple(map(float, table["negative"])),
    }


def _numbers(now: _Side, earlier: _Side) -> tuple[Number, ...]:
    sparks, comparable = _sparks(now), earlier.total >= FEW
    span = (now.period.first, now.period.last)
    mood = now.mood - earlier.mood
    share, share_before = now.share_answered, earlier.share_answered
    complaints, complaints_before = now.of("negative"), earlier.of("negative")
    return (
        Number(
            "Mood",
            f"{now.mood:+d}" if now.mood else "0",
            f"{mood:+d}" if comparable else "",
            (mood > 0 if mood else None) if comparable else None,
            "positive minus negative, in per cent of all",
            sparks["mood"],
            Filters(view="all", day=span),
        ),
        Number(
            "Mentions",
            f"{now.total:,}",
            _growth(now.total, earlier.total) if comparable else "",
            None,
            "posts, comments and reviews by others",
            sparks["total"],
            Filters(view="all", day=span),
        ),
        Number(
            "Answered",
            "-" if share is None else f"{share} %",
            "" if share is None or share_before is None or not comparable else f"{share - share_before:+d}",
            None if share is None or share_before in (None, share) or not comparable else share > share_before,
            _time_to_answer(now.minutes) or "of conversations with a question or complaint",
            sparks["share"],
            Filters(view="needs_answer", intent=counts.NEEDS_ANSWER, day=span),
        ),
        Number(
            "Negative",
            f"{complaints:,}",
            _growth(complaints, complaints_before) if comparable else "",
            (complaints < complaints_before if complaints != complaints_before else None) if comparable else None,
            f"{round(100 * complaints / now.total)} % of all mentions" if now.total else "of all mentions",
            sparks["negative"],
            Filters(view="all", sentiment=("negative",), day=span),
        ),
    )


def _growth(new: int, old: int) -> str:
    return f"{round(100 * (new - old) / old):+d} %" if old else ""


def _time_to_answer(minutes: list[float]) -> str:
    return f"half of the answers within {_span(median(minutes))}" if minutes else ""


def _span(minutes: float) -> str:
    if minutes < 60:
        return _count(max(1, round(minutes)), "minute")
    if minutes < 48 * 60:
        return _count(round(minutes / 60), "hour")
    return _count(round(minutes / (24 * 60)), "day")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _last_period(period: Period) -> str:
    return {7: "last week", 30: "last month", 90: "last quarter"}.get(period.days, f"the {period.days} days before")


def _silence(days: int, everything: int, untagged: int) -> str:
    """Why there is nothing to say of how people feel."""
    if untagged:
        return "The model is still reading what people said"
    return f"Nobody spoke in the last {days} days" if everything else "Nobody has spoken yet"


def _headline(now: _Side, earlier: _Side) -> str:
    if now.total < TOO_FEW:
        return f"{_count(now.total, 'mention')} so far, too few to say how people feel"
    if now.total < FEW or earlier.total < FEW:
        feel = "content" if now.mood > NOTABLE_MOOD else "unhappy" if now.mood < -NOTABLE_MOOD else "of two minds"
        return f"People are {feel}{_about(_largest(now.topics, 'negative' if now.mood < 0 else None))}"
    change = now.mood - earlier.mood
    if abs(change) < NOTABLE_MOOD:
        return f"People feel much as they did {_last_period(now.period)}"
    mood, sentiment = ("happier", "positive") if change > 0 else ("angrier", "negative")
    return f"People are {mood} than {_last_period(now.period)}{_about(_most_grown(now, earlier, sentiment))}"


def _about(topic: str | None) -> str:
    return f", about {topic[:1].lower() + topic[1:]}" if topic else ""


def _largest(topics: pd.DataFrame, sentiment: str | None) -> str | None:
    chosen = topics if sentiment is None else topics[topics["sentiment"] == sentiment]
    sums = chosen.groupby("key")["count"].sum()
    return None if sums.empty else str(sums.idxmax())


def _most_grown(now: _Side, earlier: _Side, sentiment: str) -> str | None:
    def sums(side: _Side) -> pd.Series:
        return side.topics[side.topics["sentiment"] == sentiment].groupby("key")["count"].sum()

    grown = sums(now).sub(sums(earlier), fill_value=0)
    return str(grown.idxmax()) if not grown.empty and grown.max() > 0 else None


def _subline(now: _Side, people: int, platforms: int) -> str:
    first, last = now.period.first, now.period.last
    start = f"{first.day}" if (first.month, first.year) == (last.month, last.year) else f"{first.day} {first:%B}"
    span = f"{start}\N{EN DASH}{last.day} {last:%B}"
    who = "1 person" if people == 1 else f"{people:,} people"
    return f"{span}: {_count(now.total, 'mention')} by {who} on {_count(platforms, 'platform')}."


def _day_finding(now: _Side) -> Finding:
    table = _every_day(now)
    rows = table[table["sentiment"] == "negative"]
    negative: dict[date, int] = dict(zip(rows["day"], rows["count"], strict=True))
    usual, worst = median(negative.values()), max(negative, key=lambda day: negative[day])
    times = negative[worst] / max(usual, 1.0)
    if negative[worst] < SPIKE_AT_LEAST or times < SPIKE:
        return Finding("No day stood out", Filters(view="all", day=(now.period.first, now.period.last)))
    topic = _largest(now.topics[now.topics["day"] == worst], "negative")
    about = f", most about {topic[:1].lower() + topic[1:]}" if topic else ""
    when = f"{worst:%A}" if now.period.days <= 7 else f"{worst.day} {worst:%B}"
    return Finding(
        f"Negative mentions {_rise(times)} on {when}{about}",
        Filters(view="all", sentiment=("negative",), day=(worst, worst)),
    )


def _rise(times: float) -> str:
    if times >= 10:
        return "came out of nowhere"
    return "doubled" if times < 2.5 else "tripled" if times < 3.5 else f"rose {round(times)}-fold"


def _topic_finding(topics: pd.DataFrame, now: _Side) -> Finding:
    span = (now.period.first, now.period.last)
    sums: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for topic, sentiment, count in topics.itertuples(index=False):
        sums[topic][sentiment] += int(count)
    if not sums:
        return Finding("No topic was recognised", Filters(view="all", day=span))
    if now.total < TOO_FEW:
        return Finding("What people speak about", Filters(view="all", day=span))
    name = max(sums, key=lambda topic: sums[topic].total())
    total = sums[name].total()
    mood = next((m for m, s in (("bad", "negative"), ("good", "positive")) if sums[name][s] > total / 2), None)
    return Finding(
        f"{name} is {_fraction(total / max(now.total, 1))} of all talk, {f'mostly {mood}' if mood else 'mixed'}",
        Filters(view="all", topics=(name,), day=span),
    )


def _fraction(share: float) -> str:
    for part, words in ((0.45, "about half"), (0.29, "a third"), (0.22, "a quarter"), (0.17, "a fifth")):
        if share >= part:
            return words if share < part + 0.13 else f"{round(100 * share)} %"
    return f"{round(100 * share)} %"


def _answer_finding(now: _Side, earlier: _Side) -> Finding:
    filters = Filters(view="needs_answer", intent=counts.NEEDS_ANSWER, day=(now.period.first, now.period.last))
    share, before = now.share_answered, earlier.share_answered
    if share is None:
        return Finding("Nobody asked or complained", filters)
    change = (
        ""
        if before is None or earlier.total < FEW
        else f", {'up' if share >= before else 'down'} {abs(share - before)}"
    )
    pace = _time_to_answer(now.minutes)
    return Finding(
        f"{share} % of questions and complaints were answered{change if before != share else ''}"
        + (f"; {pace}" if pace else ""),
        filters,
    )
