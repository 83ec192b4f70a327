"""How often a source is asked: as often as it brings something, between two bounds, within its share of the budget.

Nothing here knows a clock or a database: lengths are seconds, rates are posts an hour. See docs/sources.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

HALF_LIFE = 3_600.0
"""Seconds after which what a source brought counts for half."""
POSTS_A_RUN = 1.0
"""A run is due when so many posts are to be expected."""
SLOWER = 4.0
LONGEST = 3_600.0
"""A quiet source waits so many times the platform's own interval, an hour at most, unless somebody chose another."""
LEARNED = 0.3
"""How much the last run counts in how many requests a run takes."""
SHORTEST = 1.0
"""What has more to read than a run may take would go on at once: its wish is so many seconds."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What one source would like of a budget: a run every `interval` seconds, of so many requests."""

    interval: float
    requests: float

    def within(self, seconds: float) -> float:
        """Requests that it would make in that time."""
        return seconds / max(self.interval, SHORTEST) * self.requests


def bounds(platforms: float, chosen: float) -> tuple[float, float]:
    """The shortest and the longest interval of a source, from the platform's own and the one that was chosen for it.

    One that is shorter than the platform's is kept as it is: somebody wants it that fast. A longer one is the slowest.
    """
    if chosen < platforms:
        return chosen, chosen
    return platforms, chosen if chosen > platforms else max(platforms, min(platforms * SLOWER, LONGEST))


def learned(before: float | None, found: int, since: float, fastest: float) -> float:
    """Posts an hour, from what was known before and `found` posts in the `since` seconds after it.

    A source of which nothing is known counts as busy: it begins at its fastest and slows down where nothing comes.
    """
    if before is None:
        return 3_600.0 / fastest * POSTS_A_RUN
    since = max(since, SHORTEST)
    old = float(0.5 ** (since / HALF_LIFE))
    return before * old + found * 3_600.0 / since * (1.0 - old)


def interval(posts_per_hour: float, fastest: float, slowest: float) -> float:
    """Seconds in which POSTS_A_RUN posts are to be expected, within the bounds."""
    if posts_per_hour * slowest <= 3_600.0 * POSTS_A_RUN:
        return slowest
    return max(fastest, 3_600.0 * POSTS_A_RUN / posts_per_hour)


def requests(before: float, pages: int) -> float:
    """Requests that a run takes, from what was known before and the last run."""
    return before + LEARNED * (max(pages, 1) - before)


def share(available: int, seconds: float, mine: Wish, others: Sequence[Wish]) -> float:
    """The shortest interval that leaves each its fair share of what is `available` for the next `seconds`.

    Max-min fair: who wants less than an equal part gets all of it, and what they leave is parted among the rest. Raises
    nothing; without anything available it is the whole time.
    """
    if available <= 0 or seconds <= 0:
        return max(seconds, 0.0)
    wanted = mine.within(seconds)
    left, rest = float(available), sorted([wanted, *(one.within(seconds) for one in others)])
    while rest and rest[0] <= left / len(rest):
        left -= rest.pop(0)
    granted = min(wanted, left / len(rest)) if rest else wanted
    return mine.requests * seconds / granted
