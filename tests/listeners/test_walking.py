"""Walking newest-first listings: nothing is lost by a crash after any page, whatever the listing does meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from listeners.base import Cursor, Page, Post, Rejected, Transient
from listeners.walking import ByKey, ByTime, Listing, StaleToken, in_slices, sliced, walk

START = datetime(2026, 11, 1, tzinfo=UTC)
LATER = START + timedelta(days=30)


class Wall:
    """A listing of notes, newest first, three to a page; its tokens are the id that was last seen."""

    def __init__(self) -> None:
        self.notes: list[Post] = []
        self.asked: list[Any] = []
        self.stale: set[Any] = set()

    def writes(self, how_many: int, minutes: int = 1) -> list[str]:
        new = [self.note(len(self.notes) + i, minutes) for i in range(how_many)]
        self.notes += new
        return [note.external_id for note in new]

    def note(self, number: int, minutes: int = 1) -> Post:
        at = START + timedelta(minutes=number * minutes)
        return Post(platform="wall", external_id=f"n{number}", text="note", posted_at=at)

    def page_at(self, token: Any) -> Listing:
        self.asked.append(token)
        if token in self.stale:
            raise StaleToken
        newest_first = self.notes[::-1]
        start = 0 if token is None else next(i + 1 for i, note in enumerate(newest_first) if note.external_id == token)
        page = newest_first[start : start + 3]
        return Listing(page, page[-1].external_id if start + 3 < len(newest_first) else None)

    def walk(self, cursor: Cursor, **how: Any) -> Iterator[Page]:
        return walk(self.page_at, json.loads(json.dumps(cursor)), order=ByTime(now=lambda: LATER), **how)


def ids(pages: Iterator[Page] | list[Page]) -> list[str]:
    return [post.external_id for page in pages for post in page.posts]


def test_the_first_walk_reads_everything_and_sets_the_mark_last() -> None:
    wall = Wall()
    wall.writes(7)
    pages = list(wall.walk({}))
    assert ids(pages) == ["n6", "n5", "n4", "n3", "n2", "n1", "n0"]
    assert [page.cursor["done_until"] for page in pages[:-1]] == [None, None]
    assert pages[-1].cursor == {"done_until": {"at": (START + timedelta(minutes=6)).isoformat(), "ids": ["n6"]}}


def test_the_next_walk_stops_at_the_mark() -> None:
    wall = Wall()
    wall.writes(30)
    cursor = list(wall.walk({}, first_pages=20))[-1].cursor
    wall.writes(2)
    wall.asked.clear()
    found = ids(wall.walk(cursor))
    assert found[:2] == ["n31", "n30"]
    assert len(wall.asked) <= 2


def test_the_first_walk_is_bounded_also_over_several_fetches() -> None:
    wall = Wall()
    wall.writes(100)
    seen: list[str] = []
    cursor: Cursor = {}
    for _ in range(4):
        page = next(wall.walk(cursor, first_pages=4))
        seen += [post.external_id for post in page.posts]
        cursor = page.cursor
    assert len(set(seen)) == 12
    assert "walking" not in cursor


def test_the_mark_stays_until_the_walk_has_come_down_to_it() -> None:
    wall = Wall()
    wall.writes(3)
    done = list(wall.walk({}))[-1].cursor["done_until"]
    wall.writes(9)
    first = next(wall.walk({"done_until": done}))
    assert first.cursor["done_until"] == done
    assert first.cursor["walking"]["continue_from"] == "n9"


def test_what_comes_during_an_interrupted_walk_comes_in_the_same_fetch() -> None:
    wall = Wall()
    wall.writes(9)
    cursor = next(wall.walk({})).cursor
    wall.writes(2)
    assert {"n10", "n9", *(f"n{i}" for i in range(6))} <= set(ids(wall.walk(cursor)))


def test_a_token_that_went_stale_restarts_from_the_top() -> None:
    wall = Wall()
    wall.writes(9)
    cursor = next(wall.walk({})).cursor
    wall.stale = {cursor["walking"]["continue_from"]}
    wall.writes(4)  # the page after the top is another one now
    assert set(ids(wall.walk(cursor))) == {note.external_id for note in wall.notes}


def test_tokens_that_are_always_stale_are_a_transient_error() -> None:
    wall = Wall()
    wall.writes(9)
    wall.stale = {"n6"}
    with pytest.raises(Transient, match="page token"):
        list(wall.walk({}))


def test_a_pinned_post_does_not_end_the_walk() -> None:
    wall = Wall()
    wall.writes(3)
    cursor = list(wall.walk({}))[-1].cursor
    wall.writes(5)
    wall.notes.append(wall.notes.pop(0))  # the oldest, pinned to the top
    assert {"n3", "n4", "n5", "n6", "n7"} <= set(ids(wall.walk(cursor)))


def test_posts_of_the_mark_s_own_second_are_still_new() -> None:
    wall = Wall()
    wall.writes(4, minutes=0)
    cursor = list(wall.walk({}))[-1].cursor
    wall.writes(3, minutes=0)
    assert {"n4", "n5", "n6"} <= set(ids(wall.walk(cursor)))


def test_a_post_from_the_future_hides_nothing() -> None:
    wall = Wall()
    wall.writes(3)
    wall.notes.append(wall.note(10_000_000))
    cursor = list(wall.walk({}))[-1].cursor
    wall.notes.insert(3, wall.note(5))
    assert "n5" in ids(wall.walk(cursor))


def test_a_date_of_after_the_walk_s_start_does_not_raise_the_mark() -> None:
    wall = Wall()
    wall.writes(6)
    cursor = next(wall.walk({})).cursor
    wall.notes[0] = wall.notes[0].model_copy(update={"posted_at": LATER})  # bumped while the walk stood still
    last = list(walk(wall.page_at, cursor, order=ByTime(now=lambda: LATER)))[0].cursor
    assert last["done_until"]["at"] == (START + timedelta(minutes=5)).isoformat()


def test_the_overlap_is_read_again() -> None:
    wall = Wall()
    wall.writes(30)
    cursor = list(wall.walk({}, first_pages=20))[-1].cursor
    again = ids(walk(wall.page_at, cursor, order=ByTime(timedelta(minutes=10), now=lambda: LATER)))
    assert {f"n{i}" for i in range(19, 30)} <= set(again)


def test_a_listing_that_goes_round_in_a_circle_ends() -> None:
    note = Wall().note(0)
    pages = list(walk(lambda token: Listing([note], "b" if token == "a" else "a"), {}, order=ByTime(now=lambda: LATER)))
    assert 2 <= len(pages) <= 3
    assert "walking" not in pages[-1].cursor


def test_a_page_of_rejected_items_only_does_not_end_the_walk() -> None:
    wall = Wall()
    wall.writes(2)
    bad = Rejected("item 1", "is broken")
    pages = list(walk(lambda token: Listing([], 1, [bad]) if token is None else Listing(wall.notes), {}))
    assert ids(pages) == ["n0", "n1"]
    assert pages[0].rejected == [bad]


def test_a_platform_s_own_key_orders_too() -> None:
    wall = Wall()
    wall.writes(9)
    order = ByKey(lambda post: int(post.external_id[1:]))
    cursor = list(walk(wall.page_at, {}, order=order))[-1].cursor
    assert cursor == {"done_until": {"key": 8}}
    wall.writes(2)
    assert ids(walk(wall.page_at, cursor, order=order))[:2] == ["n10", "n9"]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(1, 4), st.booleans()), max_size=12))
def test_nothing_is_lost_whenever_it_stops(steps: list[tuple[int, int, bool]]) -> None:
    """Each step: posts come, a fetch is stopped after some pages, and its last page is stored or lost in a crash."""
    wall = Wall()
    wall.writes(4)
    seen: set[str] = set()
    cursor: Cursor = {}

    def fetch(pages_read: int, crashed: bool) -> None:
        nonlocal cursor
        for number, page in enumerate(wall.walk(cursor, first_pages=1_000), start=1):
            if number == pages_read and crashed:
                return
            seen.update(post.external_id for post in page.posts)
            cursor = page.cursor
            if number == pages_read:
                return

    for new, pages_read, crashed in steps:
        wall.writes(new)
        fetch(pages_read, crashed)
    fetch(1_000, False)
    assert seen == {note.external_id for note in wall.notes}


# A listing that ends although there is more --------------------------------------------------------------------------


class ShortWall(Wall):
    """A wall that lists its ENDS latest notes, of all or of those before a moment."""

    ENDS = 12

    def __init__(self, *, takes_moments: bool = True) -> None:
        super().__init__()
        self.takes_moments = takes_moments

    def listing_of(self, before: datetime | None, token: Any) -> Listing:
        self.asked.append(token)
        if token in self.stale:
            self.stale.remove(token)
            raise StaleToken
        stood = {note.external_id: START + timedelta(minutes=number) for number, note in enumerate(self.notes)}
        at_all = before is None or not self.takes_moments
        listed = [note for note in self.notes if at_all or stood[note.external_id] < before]  # type: ignore[operator]
        newest_first = listed[: -self.ENDS - 1 : -1]
        start = int(token or 0)
        more = start + 3 < len(newest_first)
        return Listing(newest_first[start : start + 3], str(start + 3) if more else None)

    def walk(self, cursor: Cursor, **how: Any) -> Iterator[Page]:
        page_at = sliced(self.listing_of)
        return walk(page_at, json.loads(json.dumps(cursor)), order=ByTime(now=lambda: LATER), **how)


def test_below_the_end_of_a_listing_it_goes_on_in_slices() -> None:
    wall = ShortWall()
    everything = wall.writes(50)
    assert len(set(ids(wall.walk({})))) == wall.ENDS, "a new source takes the end for the end"
    assert set(ids(wall.walk(in_slices(START)))) == set(everything)
    newer = set(ids(wall.walk(in_slices(START + timedelta(minutes=20)))))
    assert set(everything[20:]) <= newer
    assert len(newer) < 30 + wall.ENDS, "and no further down than it was asked"


def test_slices_go_on_from_any_page_and_find_what_comes_meanwhile() -> None:
    wall = ShortWall()
    everything = wall.writes(40)
    cursor, seen = in_slices(START), set[str]()
    for round_ in range(100):
        page = next(iter(wall.walk(cursor)), None)
        assert page is not None
        seen |= set(ids([page]))
        cursor = page.cursor
        if round_ == 3:
            everything += wall.writes(2)
        if "walking" not in cursor and seen >= set(everything):
            break
    assert seen == set(everything)
    assert "walking" not in cursor


def test_a_listing_that_takes_no_moment_ends_where_it_ends() -> None:
    wall = ShortWall(takes_moments=False)
    wall.writes(50)
    assert len(set(ids(wall.walk(in_slices(START))))) == wall.ENDS
    assert len(wall.asked) < 20


def test_one_wrong_date_passes_over_nothing() -> None:
    wall = ShortWall()
    everything = wall.writes(50)
    wall.notes[45] = wall.notes[45].model_copy(update={"posted_at": START - timedelta(days=9_000)})
    assert set(ids(wall.walk(in_slices(START)))) == set(everything)


def test_a_stale_token_begins_its_slice_anew() -> None:
    wall = ShortWall()
    everything = wall.writes(30)
    wall.stale = {"6"}
    assert set(ids(wall.walk(in_slices(START)))) == set(everything)
