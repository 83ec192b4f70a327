"""Bluesky against a real network on this machine: its own server, index, search and notifications."""

from __future__ import annotations

import random
import secrets
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Self
from urllib.parse import urlsplit

import pytest

from benchmarks.at_network import PDS, Account, AtNetwork
from listeners import bluesky
from listeners.base import Absent, Cursor, Options, Page, Post, Query, Sent, Terminal, Transient
from listeners.bluesky import Bluesky
from listeners.bluesky_stream import FIREHOSE_PATH
from tests.listeners.contract import collect
from tests.listeners.stream_contract import Store

pytestmark = pytest.mark.real_network

NOTIFICATIONS = Query("", "notifications")


@pytest.fixture(scope="module")
def network() -> Iterator[AtNetwork]:
    network = AtNetwork()
    if not network.is_up():
        pytest.skip(f"no Bluesky network answers at {PDS}; start one with ../shared/tools/at-network/up")
    yield network
    network.close()


@pytest.fixture(scope="module")
def alice(network: AtNetwork) -> Account:
    return network.account("alice", display_name="Alice 🌱")


@pytest.fixture(scope="module")
def company(network: AtNetwork) -> Account:
    return network.account("company", display_name="Company")


@pytest.fixture
def listener(company: Account) -> Iterator[Bluesky]:
    listener = opened(company)
    yield listener
    listener.close()


@pytest.fixture
def word() -> str:
    """A word that nobody has written before."""
    return f"samtal{secrets.token_hex(6)}"


def opened(account: Account) -> Bluesky:
    return bluesky.open(account.credentials, Options(PDS, allow_private_hosts=True))


def found(network: AtNetwork, listener: Bluesky, query: Query, uri: str) -> Post:
    """The post as the listener brings it, once it is indexed."""

    def look() -> list[Post]:
        return [post for post in collect(listener, query, {})[0] if post.external_id == uri]

    return network.until(look)[0]


def test_check_says_who_we_are(company: Account, listener: Bluesky) -> None:
    health = listener.check()
    assert health.ok
    assert health.account is not None
    assert (health.account.id, health.account.handle) == (company.did, company.handle)


def test_an_account_made_a_moment_ago_can_be_checked(network: AtNetwork) -> None:
    newcomer = network.account("newcomer")
    health = opened(newcomer).check()
    assert health.ok
    assert newcomer.handle in health.words


def test_a_wrong_password_is_terminal(company: Account) -> None:
    wrong = bluesky.open({**company.credentials, "app_password": "wrong"}, Options(PDS, allow_private_hosts=True))
    with pytest.raises(Terminal, match="app password"):
        wrong.check()


def test_search_brings_a_post_whole(
    network: AtNetwork, alice: Account, company: Account, listener: Bluesky, word: str
) -> None:
    before = datetime.now(UTC)
    quoted = company.posts("Our news")
    text = f"{word} ☕ from @{company.handle}"
    uri = alice.posts(text, mentions=[company], quotes=quoted, langs=["is"])
    post = found(network, listener, Query(word), uri)
    assert post.text == text
    assert post.author is not None
    assert (post.author.id, post.author.handle) == (alice.did, alice.handle)
    assert post.lang == "is"
    assert post.mentions == (company.did,)
    assert (post.quotes_id, post.quotes_author_id) == (quoted, company.did)
    assert 0 <= (post.posted_at - before).total_seconds() + 0.001 < 30
    assert post.engagement["likes"] == 0


def test_pages_on_the_way_down_lose_nothing(network: AtNetwork, alice: Account, listener: Bluesky, word: str) -> None:
    written = {alice.posts(f"{word} {n}") for n in range(6)}
    network.until(lambda: len(network.search(word)) == 6)
    listing = listener._found(word, None, None)
    assert {post.external_id for post in listing.posts} == written
    moments = [post.posted_at for post in listing.posts]
    assert moments == sorted(moments, reverse=True)
    below = listener._found(word, None, f"{int(moments[2].timestamp() * 1000)}__z")
    assert {post.external_id for post in below.posts} <= written
    assert len(below.posts) < 6


def test_what_was_posted_before_is_read_in_slices(
    network: AtNetwork, alice: Account, listener: Bluesky, word: str
) -> None:
    written = {alice.posts(f"{word} {n}") for n in range(4)}
    network.until(lambda: len(network.search(word)) == 4)
    query = Query(word, "search")
    found, _ = collect(listener, query, listener.since(query, datetime.now(UTC) - timedelta(days=1)))
    assert {post.external_id for post in found} == written
    before = min(post.posted_at for post in found) - timedelta(seconds=1)
    assert len(listener._found(word, before, None).posts) in (0, 4), "a network may take no notice of the moment"


def test_a_page_token_that_the_network_does_not_know_starts_again_from_the_top(
    network: AtNetwork, alice: Account, listener: Bluesky, word: str
) -> None:
    uri = alice.posts(word)
    network.until(lambda: network.search(word))
    cursor = {"done_until": None, "walking": {"top": None, "continue_from": "garbage", "pages": 1}}
    assert [post.external_id for post in collect(listener, Query(word), cursor)[0]] == [uri]


def test_mentions_replies_and_quotes_arrive_as_notifications(
    network: AtNetwork, alice: Account, company: Account, listener: Bluesky
) -> None:
    ours = company.posts("Ask us anything")
    said = [
        alice.posts(f"Hello @{company.handle}", mentions=[company]),
        alice.replies(ours, "When does it ship?"),
        alice.posts("Look at this", quotes=ours),
    ]
    mention, reply, quote = [found(network, listener, NOTIFICATIONS, uri) for uri in said]
    assert mention.mentions == (company.did,)
    assert (reply.parent_id, reply.root_id) == (ours, ours)
    assert quote.quotes_id == ours


def test_a_reply_arrives_exactly_once_however_often_it_is_sent(
    network: AtNetwork, alice: Account, company: Account, listener: Bluesky, word: str
) -> None:
    root = alice.posts(f"{word} root")
    post = found(network, listener, Query(word), alice.replies(root, f"{word} below"))
    since, key = datetime.now(UTC), secrets.token_hex(8)
    text = f"Thank you @{alice.handle} {word}, see example.com/help 👩‍👩‍👧"
    assert isinstance(listener.find(post, text, key, since), Absent)
    sent = listener.answer(post, text, key)
    assert listener.answer(post, text, key) == sent
    assert listener.find(post, text, key, since) == sent
    assert opened(company).find(post, text, key, since) == sent, "another process finds it too"
    stands = network.until(lambda: network.replies_to(post.external_id))
    assert [(reply.uri, reply.handle, reply.text) for reply in stands] == [(sent.external_id, company.handle, text)]
    assert company.written().count(text) == 1
    record = network.record(sent.external_id)
    assert record is not None
    assert record["value"]["reply"]["root"]["uri"] == root
    marked = {
        text.encode()[facet["index"]["byteStart"] : facet["index"]["byteEnd"]].decode()
        for facet in record["value"]["facets"]
    }
    assert marked == {f"@{alice.handle}", "example.com/help"}


def test_workers_that_race_with_one_key_make_one_answer(
    network: AtNetwork, alice: Account, company: Account, listener: Bluesky, word: str
) -> None:
    post = found(network, listener, Query(word), alice.posts(word))
    workers = [opened(company) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        sent = list(pool.map(lambda worker: worker.answer(post, f"Only once, {word}", word), workers))
    assert len({one.external_id for one in sent}) == 1
    assert company.written().count(f"Only once, {word}") == 1


def test_the_longest_answer_is_accepted(network: AtNetwork, alice: Account, listener: Bluesky, word: str) -> None:
    post = found(network, listener, Query(word), alice.posts(word))
    for n, letter in enumerate(["x", "é", "नि"]):
        text = letter * 300
        assert listener.capability.length(text) == 300
        assert isinstance(listener.answer(post, text, f"{word}{n}"), Sent)


def test_an_account_limited_by_its_author_may_not_answer(
    network: AtNetwork, alice: Account, listener: Bluesky, word: str
) -> None:
    uri = alice.posts(word)
    alice.lets_nobody_reply(uri)
    post = found(network, listener, Query(word), uri)

    def refused() -> bool:
        collect(listener, Query(word), {})
        return not listener.may_answer(post).allowed

    network.until(refused)
    with pytest.raises(Terminal, match="limited who may reply"):
        listener.answer(post, "Hello", word)
    assert network.replies_to(uri) == []


def test_our_own_answer_can_be_taken_back(network: AtNetwork, alice: Account, listener: Bluesky, word: str) -> None:
    post = found(network, listener, Query(word), alice.posts(word))
    sent = listener.answer(post, "Oops", word)
    listener.delete(sent.external_id)
    listener.delete(sent.external_id)
    assert isinstance(listener.find(post, "Oops", word, sent.sent_at), Absent)


def test_deletions_are_seen_and_blocks_are_none(network: AtNetwork, company: Account, listener: Bluesky) -> None:
    keeper, blocker, leaver = (network.account(name) for name in ("keeper", "blocker", "leaver"))
    kept, deleted = keeper.posts("kept"), keeper.posts("deleted")
    blocked, left = blocker.posts("blocked"), leaver.posts("left")
    uris = [kept, deleted, blocked, left]
    network.until(lambda: all(map(network.is_shown, uris)))
    assert listener.still_there(uris) == dict.fromkeys(uris, True)
    keeper.deletes(deleted)
    blocker.blocks(company)
    leaver.leaves()
    network.until(lambda: not network.is_shown(deleted) and not network.is_shown(left))
    network.until(lambda: listener.still_there([blocked]) == {})
    assert listener.still_there(uris) == {kept: True, deleted: False, left: False}


def test_the_firehose_tells_of_posts_edits_and_deletions_and_goes_on_after_a_cut(
    network: AtNetwork, alice: Account, company: Account, listener: Bluesky, word: str
) -> None:
    kept = Firehose(listener, f"{word} -spam")
    with kept.reading({}):
        kept.until(lambda: bool(alice.posts("until the stream has begun") and kept.cursor))
        first = alice.posts(f"{word} ☕ @{company.handle}", mentions=[company], langs=["is"])
        alice.posts(f"{word} spam")
        below = alice.replies(first, f"{word} below")
        kept.until(lambda: set(kept.posts) == {first, below})
    post = kept.posts[first]
    assert post.author is not None
    assert (post.author.id, post.author.handle, post.author.display_name) == (alice.did, alice.handle, "Alice 🌱")
    assert (post.text, post.lang, post.mentions) == (f"{word} ☕ @{company.handle}", "is", (company.did,))
    assert (kept.posts[below].parent_id, kept.posts[below].root_id) == (first, first)

    during = alice.posts(f"{word} while nobody listened")
    alice.deletes(below)
    with kept.reading(kept.cursor):
        kept.until(lambda: during in kept.posts and below in kept.gone)
    assert first not in kept.gone


def test_a_cursor_that_the_server_does_not_know_is_given_up_in_words(listener: Bluesky, word: str) -> None:
    reading = listener.stream(Query(word, "stream"), {"seq": 2**40, "at": "localhost:2583"}, stop=lambda: False)
    page = next(reading)
    assert (page.cursor, [one.where for one in page.rejected]) == ({}, ["stream"])
    with pytest.raises(Transient, match="cut the stream"):
        next(reading)


def test_cut_at_random_the_firehose_tells_of_every_post_once(
    network: AtNetwork, alice: Account, company: Account, word: str
) -> None:
    """The bytes of the real stream end where chance has it, mostly within a frame."""
    chance = random.Random(7)
    with Scissors(urlsplit(PDS).port or 80) as scissors:
        address = f"ws://127.0.0.1:{scissors.port}{FIREHOSE_PATH}"
        options = Options(PDS, allow_private_hosts=True, extra={"stream_url": address})
        store, written, kept = Counting(), set[str](), set[str]()
        writing = threading.Thread(target=lambda: written.update(alice.posts(f"{word} {n}") for n in range(40)))

        def ends() -> bool:
            if store.cursor and not writing.ident:
                writing.start()
            if writing.ident and not writing.is_alive() and written <= set(store.posts):
                kept.update(written)
            return bool(kept)

        scissors.cuts_after = lambda: chance.randrange(2_000, 12_000)
        store.seconds = 60.0
        store.reads(lambda: bluesky.open(company.credentials, options), Query(word, "stream"), ends)
    assert len(written) == 40
    assert store.told == Counter(written), "each once, and nothing else"
    assert len(store.cuts) >= 3, "it was cut, and not once"


class Counting(Store):
    """A store that counts how often it was told of each post."""

    def __init__(self) -> None:
        super().__init__()
        self.told: Counter[str] = Counter()

    def keep(self, page: Page) -> None:
        super().keep(page)
        self.told.update(post.external_id for post in page.posts)


class Scissors:
    """A port on loopback in front of another one, which cuts each connection after so many bytes of what comes back."""

    def __init__(self, behind: int) -> None:
        self._behind = behind
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.cuts_after: Callable[[], int] = lambda: 10**9

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            far = socket.create_connection(("localhost", self._behind))
            threading.Thread(target=_pass_on, args=(near, far, 10**9), daemon=True).start()
            threading.Thread(target=_pass_on, args=(far, near, self.cuts_after()), daemon=True).start()


def _pass_on(one: socket.socket, other: socket.socket, left: int) -> None:
    """Hands on so many bytes, and then ends both connections."""
    try:
        while left > 0 and (data := one.recv(min(left, 4_096))):
            other.sendall(data)
            left -= len(data)
    except OSError:
        pass  # the other side of the pair was cut first
    for end in (one, other):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()


class Firehose:
    """What one stream brought, in a thread of its own."""

    def __init__(self, listener: Bluesky, words: str) -> None:
        self._listener, self._query = listener, Query(words, "stream")
        self.posts: dict[str, Post] = {}
        self.gone: set[str] = set()
        self.cursor: Cursor = {}

    @contextmanager
    def reading(self, cursor: Cursor) -> Iterator[None]:
        stopping = threading.Event()
        thread = threading.Thread(target=self._read, args=(cursor, stopping), daemon=True)
        thread.start()
        yield
        stopping.set()
        thread.join(20)
        assert not thread.is_alive()

    def _read(self, cursor: Cursor, stopping: threading.Event) -> None:
        for page in self._listener.stream(self._query, cursor, stop=stopping.is_set):
            self.posts |= {post.external_id: post for post in page.posts}
            self.gone |= set(page.gone)
            self.cursor = page.cursor

    def until(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not true():
            assert time.monotonic() < deadline, f"{self.posts} {self.gone} {self.cursor}"
            time.sleep(0.2)
