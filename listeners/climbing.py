"""Listings that can be asked for what changed since a moment, climbed from the oldest change to the newest.

Where a platform sorts by the time of the last change and takes a lower bound for it, the bound itself is the cursor:
whatever lies above it is still to come, and a crash after any page loses nothing. The bound moves up with each page in
place of a page number, because a post that changes meanwhile goes to the end of such a listing: everything behind it
moves up, and what stood first on the next page would never be read.

A source may have several such listings, say issues and comments. They take turns, so that none starves while another
has much to tell. The cursor is JSON:

    {"at": {listing: {"since": moment, "page": n, "etag": tag}}, "turn": listing}
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from listeners.base import Budget, Cursor, Page, Post, Rejected

STEP_BACK = timedelta(seconds=1)
"""How far below a page's last change the next page begins: others of that moment may be on it, and some platforms take
a bound to mean "at this moment or later", some "later"."""
MOST_PAGES = 10
"""Pages of one bound that are read; platforms list no more than some 1,000 posts of one query."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What to ask a listing for: changes at `since` or later, and which page of those."""

    since: datetime
    page: int = 1
    etag: str | None = None
    """What the platform called its last answer to this very question."""


@dataclass(frozen=True, slots=True)
class Step:
    """One page of a listing, oldest change first. `newest` is the moment of its last change; `more` may follow."""

    posts: Sequence[Post] = ()
    newest: datetime | None = None
    more: bool = False
    rejected: Sequence[Rejected] = ()
    budget: Budget = field(default_factory=Budget)
    etag: str | None = None


PageAt: TypeAlias = Callable[[Bound], Step]


def climb(listings: Mapping[str, PageAt], cursor: Cursor, *, start: datetime, overlap: timedelta) -> Iterator[Page]:
    """Yields the pages above the cursor's bounds, each with the cursor to store with it.

    A new listing begins at `start`. When one has been climbed, the next time begins `overlap` below its newest change:
    for platforms where a change may show up later than its own moment says. Whatever a listing raises passes through.
    """
    names = list(listings)
    first = names.index(cursor["turn"]) if cursor.get("turn") in names else 0
    turns = names[first:] + names[:first]
    for name, following in zip(turns, [*turns[1:], turns[0]], strict=True):
        cursor = yield from _one(name, following, listings[name], cursor, start, overlap)


def since(listings: Iterable[str], moment: datetime) -> Cursor:
    """The cursor of a climb that begins at `moment`."""
    return {"at": {name: _json(Bound(moment.replace(microsecond=0))) for name in listings}}


def _one(
    name: str, following: str, page_at: PageAt, cursor: Cursor, start: datetime, overlap: timedelta
) -> Generator[Page, None, Cursor]:
    """Climbs one listing to its top and returns the cursor that the last page carried."""
    bound = _bound(cursor.get("at", {}).get(name), start)
    more = True
    while more:
        step = page_at(bound)
        bound, more = _after(bound, step, overlap)
        cursor = {"at": {**cursor.get("at", {}), name: _json(bound)}, "turn": name if more else following}
        yield Page(step.posts, cursor, step.rejected, step.budget)
    return cursor


def _after(bound: Bound, step: Step, overlap: timedelta) -> tuple[Bound, bool]:
    """Where to go on, and whether that is now."""
    # A change dated in the future would put the bound above everything that is still to come.
    newest = min(step.newest, datetime.now(UTC)) if step.newest else bound.since
    if step.more:
        if newest - STEP_BACK > bound.since:
            return Bound(newest - STEP_BACK), True
        if bound.page < MOST_PAGES:
            return Bound(bound.since, bound.page + 1), True
        return Bound(bound.since + STEP_BACK), True
    since = max(bound.since, newest - overlap)
    same_question = since == bound.since and bound.page == 1
    return Bound(since, etag=step.etag if same_question else None), False


def _bound(stored: dict[str, Any] | None, start: datetime) -> Bound:
    if stored is None:
        return Bound(start.replace(microsecond=0))
    return Bound(datetime.fromisoformat(stored["since"]), stored.get("page", 1), stored.get("etag"))


def _json(bound: Bound) -> dict[str, Any]:
    optional = {"page": bound.page} if bound.page > 1 else {}
    return {"since": bound.since.isoformat(), **optional, **({"etag": bound.etag} if bound.etag else {})}
