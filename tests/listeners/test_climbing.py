"""Listings by the time of the last change are climbed without losing what changes meanwhile."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from listeners.base import Cursor, Post
from listeners.climbing import MOST_PAGES, Bound, Step, climb

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
OVERLAP = timedelta(seconds=60)
PAGE = 3


class Listing:
    """Things by the second of their last change, three a page, as a platform would list them."""

    def __init__(self, inclusive: bool = True) -> None:
        self.inclusive = inclusive
        self.changed: dict[str, int] = {}
        self.asked: list[Bound] = []

    def page_at(self, bound: Bound) -> Step:
        self.asked.append(bound)
        since = (bound.since - BEGIN).total_seconds()
        listed = sorted((at, name) for name, at in self.changed.items() if at >= since + (not self.inclusive))
        page = listed[(bound.page - 1) * PAGE : bound.page * PAGE]
        posts = [Post(platform="p", external_id=name, text=name, posted_at=_at(at)) for at, name in page]
        return Step(posts, _at(page[-1][0]) if page else None, len(listed) > bound.page * PAGE, etag=f'"{len(listed)}"')


def _at(seconds: int) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def climbed(listing: Listing, cursor: Cursor, pages: int | None = None) -> tuple[set[str], Cursor]:
    seen: set[str] = set()
    for number, page in enumerate(climb({"all": listing.page_at}, cursor, start=BEGIN, overlap=OVERLAP), start=1):
        seen |= {post.external_id for post in page.posts}
        cursor = json.loads(json.dumps(page.cursor))
        if number == pages:
            break
    return seen, cursor


@given(
    st.booleans(),
    st.lists(
        st.one_of(
            st.tuples(st.just("change"), st.integers(0, 9), st.integers(0, 90)),
            st.tuples(st.just("read"), st.just(0), st.integers(1, 3)),
        ),
        max_size=30,
    ),
)
def test_every_change_is_read_whenever_one_stops(inclusive: bool, events: list[tuple[str, int, int]]) -> None:
    listing, now = Listing(inclusive), 1  # a change of the very moment of the start may be before it
    cursor: Cursor = {}
    unread: set[str] = set()
    for what, number, amount in events:
        if what == "change":
            now += amount
            listing.changed[str(number)] = now
            unread.add(str(number))
        else:
            seen, cursor = climbed(listing, cursor, pages=amount)
            unread -= seen
    seen, _ = climbed(listing, cursor)
    assert unread <= seen


def test_one_moment_with_more_than_a_page_is_read_whole() -> None:
    listing = Listing()
    listing.changed = {str(number): 5 for number in range(3 * PAGE + 1)} | {"later": 6}
    seen, _ = climbed(listing, {})
    assert seen == set(listing.changed)


def test_a_listing_that_never_ends_is_left_in_the_end() -> None:
    bounds: list[Bound] = []

    def page_at(bound: Bound) -> Step:
        bounds.append(bound)
        return Step(newest=BEGIN, more=len(bounds) < 3 * MOST_PAGES)

    list(climb({"all": page_at}, {}, start=BEGIN, overlap=OVERLAP))
    assert bounds[MOST_PAGES] == Bound(BEGIN + timedelta(seconds=1))


def test_unchanged_listings_are_asked_by_their_tag() -> None:
    listing = Listing()
    listing.changed = {"a": 10}
    _, cursor = climbed(listing, {})
    _, cursor = climbed(listing, cursor)
    _, cursor = climbed(listing, cursor)
    assert listing.asked[-1].etag == '"1"'
    listing.changed["b"] = 1_000
    _, cursor = climbed(listing, cursor)
    assert cursor["at"]["all"] == {"since": _at(940).isoformat()}, "the tag was another question's"


def test_a_change_from_the_future_hides_nothing() -> None:
    future = datetime.now(UTC) + timedelta(days=9_000)
    (page,) = climb({"all": lambda bound: Step(newest=future)}, {}, start=BEGIN, overlap=OVERLAP)
    assert datetime.fromisoformat(page.cursor["at"]["all"]["since"]) <= datetime.now(UTC)


def test_listings_take_turns() -> None:
    one, other = Listing(), Listing()
    one.changed = {f"one {number}": number for number in range(4)}
    other.changed = {"other": 1}
    cursor: Cursor = {}
    seen: list[str] = []
    for _ in range(4):
        page = next(climb({"one": one.page_at, "other": other.page_at}, cursor, start=BEGIN, overlap=OVERLAP))
        seen += [post.external_id for post in page.posts]
        cursor = page.cursor
    assert "other" in seen
    assert {f"one {number}" for number in range(4)} <= set(seen)
