"""What a source usually brings, and whether it has gone quiet. Pure: hours since 1970 in, words out.

A stretch of hours up to now is compared with the same stretch of earlier weeks, or of earlier days where there are no
three weeks yet. See docs/sources.md for the rule and docs/decisions/0019 for its figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

DAY, WEEK = 24, 168
"""Hours."""
WEEKS, DAYS = range(3, 7), range(8, 15)
"""How many earlier weeks, or days, are looked at: the fewest that say something, and the most that count."""
STRETCHES = (3, 6, 12, DAY, 3 * DAY, WEEK)
"""Hours up to now; a stretch over a day is compared with weeks only."""
ENOUGH = 8
"""A stretch tells nothing by being empty unless each of the earlier ones brought so many mentions."""
LEFT = 0.05
"""Gone quiet: no more than this part of the least of them is there."""


@dataclass(frozen=True, slots=True)
class Quiet:
    """In the last `hours` came `found`, where `usual` come."""

    hours: int
    found: int
    usual: float


@dataclass(frozen=True, slots=True)
class Usual:
    """A source against itself. `a_day` is what a day like this one usually brings, None while nobody can tell."""

    a_day: float | None = None
    quiet: Quiet | None = None


def compared(counts: Mapping[int, int], until: int) -> Usual:
    """A source's mentions by hour (absent: none) against its own past. `until` is the last hour that is over."""
    if not counts:
        return Usual()
    first = min(counts)
    day = _before(counts, DAY, until, first)
    return Usual(median(day) if day else None, _quiet(counts, until, first))


def _quiet(counts: Mapping[int, int], until: int, first: int) -> Quiet | None:
    """The longest stretch whose silence is telling."""
    running = counts.get(until + 1, 0)  # what came in this hour, so far
    for hours in reversed(STRETCHES):
        found = running + _sum(counts, until, hours)
        before = _before(counts, hours, until, first)
        if not before:
            continue
        if min(before) >= ENOUGH and found <= min(before) * LEFT:
            return Quiet(hours, found, median(before))
    return None


def _before(counts: Mapping[int, int], hours: int, until: int, first: int) -> list[int]:
    """The same stretch in each earlier week, or day; empty where there are too few of them.

    Those since the last mention are left out: a silence must not become the usual that it is held against.
    """
    last = max(hour for hour in counts if hour <= until) if first <= until else first
    for step, wanted in ((WEEK, WEEKS), (DAY, DAYS)):
        if hours > step:
            continue
        ends = range(until - step, first + hours - 2, -step)
        found = [_sum(counts, end, hours) for end in ends if end <= last][: wanted.stop - 1]
        if len(found) >= wanted.start:
            return found
    return []


def _sum(counts: Mapping[int, int], until: int, hours: int) -> int:
    return sum(counts.get(hour, 0) for hour in range(until - hours + 1, until + 1))
