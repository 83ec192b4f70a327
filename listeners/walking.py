"""Newest-first listings, walked so that a crash after any page loses nothing.

Most platforms list the newest post first and give a token for the page after. New posts are therefore read from the top
down to the *mark*, the newest post of the walk before. The mark may move only when the walk has come down to it: had it
moved with the first page, a crash would lose whatever lay between. The cursor is JSON:

    {"done_until": mark or None, "walking": {"top": mark or None, "continue_from": token, "pages": n}}

`walking` is absent between walks. `continue_from` None is the top of the listing. What a mark holds, its order knows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeAlias

from listeners.base import Budget, Cursor, Page, Post, Rejected, Transient

Token: TypeAlias = Any
"""What a platform gives to ask for its next page: JSON. None is the top of the listing."""
Mark: TypeAlias = dict[str, Any]
"""How far everything has been read: JSON, written and read by one `Order`."""

TAIL = 3
"""So many posts in a row must lie at or below the mark before a walk believes that it has come down to it: one pinned
post, or one post out of order, must not end it early."""


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of a platform's listing, newest first. `next_token` None: there is nothing below."""

    posts: Sequence[Post]
    next_token: Token = None
    rejected: Sequence[Rejected] = ()
    budget: Budget = field(default_factory=Budget)


class StaleToken(Exception):
    """Raised by a `page_at` whose platform no longer accepts the token: the walk starts again from the top."""


class Order(Protocol):
    """What makes one post newer than another."""

    def mark(self, posts: Sequence[Post]) -> Mark | None:
        """The mark of the newest of `posts`; None where none of them can set one."""

    def newer(self, one: Mark | None, other: Mark | None) -> Mark | None:
        """The newer of two marks; both joined where they are as new as each other."""

    def reached(self, post: Post, mark: Mark) -> bool:
        """Whether everything from `post` down was read by the walk that set `mark`."""


@dataclass(frozen=True, slots=True)
class ByTime:
    """By `posted_at`. A mark is the moment of the newest post and the ids that were posted at that very moment.

    `overlap` is read again below the mark: for platforms where a post may surface later than its own date says.
    A post dated in the future sets no mark, or nothing posted before that date would ever be new again.
    """

    overlap: timedelta = timedelta(0)
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))

    def mark(self, posts: Sequence[Post]) -> Mark | None:
        now = self.now()
        moments = [post.posted_at for post in posts if post.posted_at <= now]
        if not moments:
            return None
        newest = max(moments)
        ids = sorted({post.external_id for post in posts if post.posted_at == newest})
        return {"at": newest.isoformat(), "ids": ids}

    def newer(self, one: Mark | None, other: Mark | None) -> Mark | None:
        if one is None or other is None:
            return one or other
        if _moment(one) == _moment(other):
            return {"at": one["at"], "ids": sorted({*one["ids"], *other["ids"]})}
        return max(one, other, key=_moment)

    def reached(self, post: Post, mark: Mark) -> bool:
        bound = _moment(mark) - self.overlap
        # At the mark's own moment only the ids tell: a second post of the same second may have come since.
        return post.posted_at < bound or (post.posted_at == bound and post.external_id in mark["ids"])


@dataclass(frozen=True, slots=True)
class ByKey:
    """By a platform's own sort key, such as a number in its ids: any JSON values that compare with each other."""

    key_of: Callable[[Post], Any]

    def mark(self, posts: Sequence[Post]) -> Mark | None:
        return {"key": max(self.key_of(post) for post in posts)} if posts else None

    def newer(self, one: Mark | None, other: Mark | None) -> Mark | None:
        if one is None or other is None:
            return one or other
        return max(one, other, key=lambda mark: mark["key"])

    def reached(self, post: Post, mark: Mark) -> bool:
        return bool(self.key_of(post) <= mark["key"])


def since(moment: datetime) -> Cursor:
    """The cursor of a walk by time that has yet to come down to `moment`."""
    return {"done_until": {"at": moment.isoformat(), "ids": []}}


def in_slices(moment: datetime) -> Cursor:
    """As `since`, for a listing made by `sliced`: walked in slices of time from the first page on."""
    first: Token = {"before": datetime.now(UTC).isoformat(), "token": None, "oldest": []}
    return {**since(moment), "walking": {**_FROM_THE_TOP, "continue_from": first}}


def sliced(listing_of: Callable[[datetime | None, Token], Listing]) -> Callable[[Token], Listing]:
    """Pages of a listing that ends although there is more below: there it is asked for anew, up to the oldest post.

    `listing_of` gives a page of what was posted before a moment, or of everything. Only walks that begin with
    `in_slices` go on so: to others, the end of the listing is the end.
    """

    def page_at(token: Token) -> Listing:
        if not isinstance(token, dict):
            return listing_of(None, token)
        before = datetime.fromisoformat(token["before"])
        try:
            listing = listing_of(before, token["token"])
        except StaleToken as stale:
            if token["token"] is None:
                raise Transient("The platform refused a listing that it has just given.") from stale
            listing = listing_of(before, None)
        moments = [*map(datetime.fromisoformat, token["oldest"]), *(post.posted_at for post in listing.posts)]
        oldest = sorted(moments)[:TAIL]  # of several: one with a wrong date must not pass over what lies between
        if listing.next_token is not None:
            below: Token = {**token, "token": listing.next_token, "oldest": [one.isoformat() for one in oldest]}
            return replace(listing, next_token=below)
        # Others may have been posted at the oldest one's moment.
        next_before = max(oldest, default=before) + timedelta(seconds=1)
        below = {"before": next_before.isoformat(), "token": None, "oldest": []}
        return replace(listing, next_token=below if next_before < before else None)

    return page_at


def onward(cursor: Cursor, mark: Mark | None, order: Order) -> Cursor:
    """The cursor of a finished walk, moved on to a mark of which a stream has told since."""
    return {**cursor, "done_until": order.newer(cursor.get("done_until"), mark)}


def _moment(mark: Mark) -> datetime:
    return datetime.fromisoformat(mark["at"])


def walk(
    page_at: Callable[[Token], Listing], cursor: Cursor, *, order: Order | None = None, first_pages: int = 10
) -> Iterator[Page]:
    """Yields the pages above the cursor's mark, each with the cursor to store with it.

    A walk that was stopped goes on from its token and is followed by one from the top, so that what was posted
    meanwhile comes too. `first_pages` bounds the very first walk, which has no mark to come down to. Posts around the
    mark are read again: storing is by id. Whatever `page_at` raises passes through, except `StaleToken`.
    """
    by = order or ByTime()
    walking = cursor.get("walking")
    if walking is not None:
        cursor = yield from _one_walk(page_at, cursor.get("done_until"), walking, by, first_pages)
    yield from _one_walk(page_at, cursor.get("done_until"), _FROM_THE_TOP, by, first_pages)


_FROM_THE_TOP = {"top": None, "continue_from": None, "pages": 0}


def _one_walk(
    page_at: Callable[[Token], Listing], done_until: Mark | None, walking: dict[str, Any], by: Order, first_pages: int
) -> Generator[Page, None, Cursor]:
    """Walks down to `done_until` and returns the cursor that the last page carried."""
    top, token, pages = walking["top"], walking["continue_from"], walking.get("pages", 0)
    seen: list[Token] = [token]
    last_posts: deque[Post] = deque(maxlen=TAIL)
    restarted = False
    while True:
        try:
            listing = page_at(token)
        except StaleToken as stale:
            if restarted or token is None:
                raise Transient("The platform refused the page token that it had just given.") from stale
            restarted, top, token, pages, seen = True, None, None, 0, [None]
            last_posts.clear()
            continue
        pages += 1
        last_posts.extend(listing.posts)
        if top is None:  # only the walk's first posts: a date on a later page may be of after its start
            top = by.mark(listing.posts)
        token = listing.next_token
        at_the_bottom = token is None or token in seen  # a token seen before leads only to what this walk has read
        if at_the_bottom or _came_down(last_posts, done_until, by) or (done_until is None and pages >= first_pages):
            cursor: Cursor = {"done_until": by.newer(done_until, top)}
            yield Page(listing.posts, cursor, listing.rejected, listing.budget)
            return cursor
        seen.append(token)
        cursor = {"done_until": done_until, "walking": {"top": top, "continue_from": token, "pages": pages}}
        yield Page(listing.posts, cursor, listing.rejected, listing.budget)


def _came_down(last_posts: Sequence[Post], done_until: Mark | None, by: Order) -> bool:
    if done_until is None or len(last_posts) < TAIL:
        return False
    return all(by.reached(post, done_until) for post in last_posts)
