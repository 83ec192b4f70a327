"""The contract of listeners that stream. A platform's test file plugs in with a rig of its own, beside that of the
rest of the contract (contract.py):

    class TestStream(StreamsContract):
        @pytest.fixture
        def streamed(self) -> Iterator[StreamRig]:
            with AcmeStream() as server:  # a StreamServer, see fake_stream.py
                yield StreamRig(lambda: acme.open({"token": "t"}, Options(server.url)), server, Query("", "stream"))

As there, each `check_…` is a plain function of the rig, and a broken listener shows for each that it is able to fail
(test_stream_contract.py).
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from listeners import streaming
from listeners.base import (
    BadCredentials,
    Cursor,
    Deletes,
    ListeningError,
    Page,
    Query,
    Rejected,
    Streams,
    Terminal,
    Transient,
)
from tests.listeners.fake_stream import HOWS, IN_THE_FRAME

MAX_MESSAGE = 20_000
"""Bytes of one message in these tests."""
FAR_BEHIND = 60
"""Posts so far behind what was read that no overlap reaches them."""


@dataclass
class StreamRig:
    """A listener, opened anew as after a crash whenever it is asked for, the fake network, and what to listen for."""

    open: Callable[[], Streams]
    server: Any
    query: Query
    tells_deletions: bool = True


@dataclass
class Store:
    """What a worker would have stored, with the cursor of the last page; it goes on after each cut."""

    posts: dict[str, str] = field(default_factory=dict)
    rejected: list[Rejected] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    cursor: Cursor = field(default_factory=dict)
    filtered: int = 0
    cuts: list[Transient] = field(default_factory=list)
    pages: int = 0
    seconds = 20.0

    def keep(self, page: Page) -> None:
        ids = [post.external_id for post in page.posts]
        assert len(ids) == len(set(ids)), "two posts of one page share an id"
        self.cursor = json.loads(json.dumps(page.cursor))
        self.posts |= {post.external_id: post.text for post in page.posts}
        self.posts |= {post.external_id: post.text for post in page.edits if post.external_id in self.posts}
        self.posts = {
            id_: text for id_, text in self.posts.items()
            if id_ not in page.gone and not any(author in id_ for author in page.gone_authors)
        }  # fmt: skip
        self.rejected += page.rejected
        self.gone |= set(page.gone)
        self.filtered += page.filtered
        self.pages += 1

    def reads(
        self, open_: Callable[[], Streams], query: Query, until: Callable[[], bool], *, crash: Callable[[], bool] = bool
    ) -> None:
        """Reads until something holds; where `crash()`, a page is lost with all that was in it."""
        deadline = time.monotonic() + self.seconds
        while not until():
            assert time.monotonic() < deadline, f"{self.posts} after {len(self.cuts)} cuts"
            try:
                for page in open_().stream(query, self.cursor, stop=lambda: until() or time.monotonic() > deadline):
                    if crash():
                        break
                    self.keep(page)
            except Transient as error:
                self.cuts.append(error)


def go_briskly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams gather and look for hundredths of a second, and take in little at once."""
    monkeypatch.setattr(streaming, "MAX_MESSAGE", MAX_MESSAGE)
    monkeypatch.setattr(streaming, "KEEP_ALIVE", 0.3)
    monkeypatch.setattr(streaming, "BATCH_SECONDS", 0.01)
    monkeypatch.setattr(streaming, "LOOK_EVERY", 0.02)
    monkeypatch.setattr(streaming, "STREAM_BEAT", 0.1)


class StreamsContract:
    """What a listener does that streams."""

    @pytest.fixture
    def streamed(self) -> Iterator[StreamRig]:
        raise NotImplementedError("a platform's test class defines the fixture 'streamed'")

    @pytest.fixture(autouse=True)
    def _briskly(self, monkeypatch: pytest.MonkeyPatch) -> None:
        go_briskly(monkeypatch)

    def test_cut_at_random_it_loses_nothing(self, streamed: StreamRig) -> None:
        check_cut_at_random_it_loses_nothing(streamed)

    def test_cut_within_a_frame_it_loses_nothing(self, streamed: StreamRig) -> None:
        check_cut_within_a_frame_it_loses_nothing(streamed)

    def test_it_goes_on_from_its_cursor(self, streamed: StreamRig) -> None:
        check_it_goes_on_from_its_cursor(streamed)

    def test_a_server_that_says_nothing_is_listened_to(self, streamed: StreamRig) -> None:
        check_a_server_that_says_nothing_is_listened_to(streamed)

    def test_a_dead_connection_is_noticed(self, streamed: StreamRig) -> None:
        check_a_dead_connection_is_noticed(streamed)

    def test_an_oversized_frame_costs_no_other(self, streamed: StreamRig) -> None:
        check_an_oversized_frame_costs_no_other(streamed)

    def test_an_event_of_wrong_types_costs_no_other(self, streamed: StreamRig) -> None:
        check_an_event_of_wrong_types_costs_no_other(streamed)

    def test_a_close_is_told_with_its_reason(self, streamed: StreamRig) -> None:
        check_a_close_is_told_with_its_reason(streamed)

    def test_a_close_for_a_bad_token_is_terminal(self, streamed: StreamRig) -> None:
        check_a_close_for_a_bad_token_is_terminal(streamed)

    def test_a_refused_connection_says_what_it_means(self, streamed: StreamRig) -> None:
        check_a_refused_connection_says_what_it_means(streamed)

    def test_deletions_are_streamed(self, streamed: StreamRig) -> None:
        check_deletions_are_streamed(streamed)


# --- The checks ----------------------------------------------------------------------------------------------------


def check_cut_at_random_it_loses_nothing(rig: StreamRig) -> None:
    rig.server.cuts.extend((random.randrange(5), random.choice(HOWS)) for _ in range(8))
    store, posted = Store(), list[str]()

    def life_goes_on() -> bool:
        if (len(posted) < 30 or rig.server.cuts) and rig.server.listening and random.random() < 0.5:
            posted.extend(rig.server.posts(random.randint(1, 3)))
        return len(posted) >= 30 and not rig.server.cuts and set(posted) <= set(store.posts)

    store.reads(rig.open, rig.query, life_goes_on, crash=lambda: bool(store.cursor) and random.random() < 0.1)
    assert set(store.posts) == set(posted)


def check_cut_within_a_frame_it_loses_nothing(rig: StreamRig) -> None:
    rig.server.cuts.append((2, IN_THE_FRAME))
    store = Store()
    posted = _read(rig, store, 6)
    assert set(store.posts) == set(posted)
    assert not rig.server.cuts


def check_it_goes_on_from_its_cursor(rig: StreamRig) -> None:
    store = Store()
    posted = _read(rig, store, FAR_BEHIND)
    meanwhile = rig.server.posts(5)
    later = Store(cursor=store.cursor)
    later.reads(rig.open, rig.query, lambda: set(meanwhile) <= set(later.posts))
    assert posted[0] not in later.posts, "it began anew"
    assert set(later.posts) <= {*posted, *meanwhile}


def check_a_server_that_says_nothing_is_listened_to(rig: StreamRig) -> None:
    store = Store()
    until = time.monotonic() + 3 * streaming.KEEP_ALIVE
    store.reads(rig.open, rig.query, lambda: store.pages >= 3 and time.monotonic() > until)
    assert (store.cuts, store.posts) == ([], {})
    _read(rig, store, 1)


def check_a_dead_connection_is_noticed(rig: StreamRig) -> None:
    store = Store()
    rig.server.answers_no_ping = True
    store.reads(rig.open, rig.query, lambda: bool(store.cuts))
    rig.server.answers_no_ping = False
    _read(rig, store, 1)


def check_an_oversized_frame_costs_no_other(rig: StreamRig) -> None:
    store, posted = Store(), list[str]()

    def with_a_large_one() -> None:
        posted.extend(rig.server.posts(2))
        rig.server.says_too_much(MAX_MESSAGE + 1)
        posted.extend(rig.server.posts(2))

    arrived = _once_and_then(rig, with_a_large_one, lambda: set(posted) <= set(store.posts))
    store.reads(rig.open, rig.query, lambda: arrived() or bool(store.cuts))
    assert all("larger than" in str(cut) for cut in store.cuts)
    assert set(posted[:2]) <= set(store.posts), "what came before it is stored"
    rig.server.has_passed_it()
    store.reads(rig.open, rig.query, arrived)
    assert set(store.posts) == set(posted)


def check_an_event_of_wrong_types_costs_no_other(rig: StreamRig) -> None:
    store, posted = Store(), list[str]()

    def with_an_odd_one() -> None:
        posted.extend(rig.server.posts(1))
        rig.server.says_nonsense()
        posted.extend(rig.server.posts(1))

    arrived = _once_and_then(rig, with_an_odd_one, lambda: set(posted) <= set(store.posts))
    store.reads(rig.open, rig.query, lambda: arrived() and bool(store.rejected))  # it is told what was left out
    assert set(store.posts) == set(posted)
    assert store.cuts == []


def check_a_close_is_told_with_its_reason(rig: StreamRig) -> None:
    store, posted = Store(), list[str]()
    for code, reason in ((1008, "consumer too slow"), (1011, "out of memory"), (1013, "try again later")):
        posted += _read(rig, store, 1)
        rig.server.closes = (code, reason)
        cut_before = len(store.cuts)
        store.reads(rig.open, rig.query, lambda so_many=cut_before: len(store.cuts) > so_many)  # type: ignore[misc]
        assert reason in str(store.cuts[-1])
        rig.server.closes = None
    posted += _read(rig, store, 1)
    assert set(store.posts) == set(posted)


def check_a_close_for_a_bad_token_is_terminal(rig: StreamRig) -> None:
    rig.server.closes = (3000, "the token was revoked")
    with pytest.raises(BadCredentials) as caught:
        Store().reads(rig.open, rig.query, bool)
    assert caught.value.what_to_do


def check_a_refused_connection_says_what_it_means(rig: StreamRig) -> None:
    meanings: dict[int, type[ListeningError]] = {
        401: BadCredentials, 403: Terminal, 404: Terminal, 429: Transient, 503: Transient
    }  # fmt: skip
    for status, kind in meanings.items():
        rig.server.refuses = (status, b'{"error": "Not today"}')
        with pytest.raises(kind, match=str(status)):
            next(rig.open().stream(rig.query, {}, stop=lambda: False))


def check_deletions_are_streamed(rig: StreamRig) -> None:
    if not rig.tells_deletions:
        assert isinstance(rig.open(), Deletes), "nobody learns of them"
        return
    store = Store()
    kept, gone = _read(rig, store, 2)
    store.reads(rig.open, rig.query, _once_and_then(rig, lambda: rig.server.deletes(gone), lambda: gone in store.gone))
    assert set(store.posts) == {kept}


# --- Helpers -------------------------------------------------------------------------------------------------------


def _read(rig: StreamRig, store: Store, how_many: int) -> list[str]:
    """Posts that are made while the stream is read, once all of them are stored."""
    made: list[str] = []
    everything = _once_and_then(
        rig, lambda: made.extend(rig.server.posts(how_many)), lambda: set(made) <= set(store.posts)
    )
    store.reads(rig.open, rig.query, everything)
    return made


def _once_and_then(rig: StreamRig, happens: Callable[[], object], then: Callable[[], bool]) -> Callable[[], bool]:
    """Whether, once something has happened to a stream that was opened since, something else holds."""
    waiting, opened_before = [happens], len(rig.server.asked)

    def holds() -> bool:
        if waiting and len(rig.server.asked) > opened_before and rig.server.listening:
            waiting.pop()()
        return not waiting and then()

    return holds


CHECKS: dict[str, Callable[[StreamRig], None]] = {
    name: check for name, check in list(globals().items()) if name.startswith("check_")
}
"""Every check by name."""

__all__ = ["CHECKS", "Store", "StreamRig", "StreamsContract", "go_briskly"]
