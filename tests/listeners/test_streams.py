"""Streams whose connections are cut at random: nothing is lost, and what comes twice ends as it stands."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import libipld
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from listeners import bluesky, mastodon, streaming
from listeners.base import (
    BadCredentials,
    Options,
    Page,
    Post,
    Query,
    Rejected,
    Terminal,
    Transient,
)
from listeners.bluesky_stream import Firehose, Jetstream, address_of
from listeners.mastodon import _Live
from listeners.streaming import AuthorGone, Batch, Changed, Gone, Made, Other
from tests.listeners.bluesky_fake import ANNA, OUR_HANDLE, PASSWORD, BlueskyServer
from tests.listeners.fake_mastodon import MastodonServer, status
from tests.listeners.fake_mastodon import account as person
from tests.listeners.fake_server import Reply
from tests.listeners.fake_stream import (
    CLOSE,
    FIRST_MOMENT,
    HOWS,
    IN_THE_FRAME,
    RESET,
    JetstreamServer,
    MastodonStream,
    account,
    event,
)
from tests.listeners.stream_contract import Store, go_briskly

ANN, JANE = "did:plc:annannannannannannannann", "did:plc:janejanejanejanejanejane"
KETTLES = Query("kettle -teapot", "stream")
KETTLE_TAG = Query("#kettle -#ad", "stream")
TO_US = Query("", "notifications_stream")
RECORDED = Path(__file__).parents[3] / "shared" / "recordings" / "mastodon" / "test_stream_user_local.yaml"


@pytest.fixture(autouse=True)
def _brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    go_briskly(monkeypatch)
    monkeypatch.setattr(mastodon, "SETTLED", 0.05)


def keep_posts(store: Store, page: Page) -> None:
    """As one would whose cursor runs ahead of what is stored."""
    store.posts |= {post.external_id: post.text for post in page.posts}
    store.cursor = {**page.cursor, "time_us": page.cursor["time_us"] + 10_000_000}


def blue(server: JetstreamServer) -> bluesky.Bluesky:
    return bluesky.open({}, Options(allow_private_hosts=True, timeout=5, extra={"stream_url": server.url}))


def uri(who: str, rkey: str) -> str:
    return f"at://{who}/app.bsky.feed.post/{rkey}"


# --- Bluesky -------------------------------------------------------------------------------------------------------

CUTS = st.lists(st.tuples(st.integers(0, 9), st.sampled_from(HOWS)), max_size=6)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), cuts=CUTS)
def test_whatever_is_cut_the_store_ends_as_the_network_stands(seed: int, cuts: list[tuple[int, str]]) -> None:
    chance = random.Random(seed)
    tape, stands = _a_life(chance, 40)
    with JetstreamServer(cuts) as server:
        server.happens(tape)
        store = Store(cursor={"time_us": tape[0]["time_us"], "at": server.url.removeprefix("ws://")})
        store.reads(
            lambda: blue(server), KETTLES, lambda: _done(store, tape, stands), crash=lambda: chance.random() < 0.1
        )
        assert store.posts == stands
        assert len(server.asked) > min(len(cuts), 1)


def _done(store: Store, tape: list[dict[str, Any]], stands: dict[str, str]) -> bool:
    return store.cursor["time_us"] >= tape[-1]["time_us"] and store.posts == stands


def _a_life(chance: random.Random, length: int) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Events of two people, and what must be stored in the end."""
    tape: list[dict[str, Any]] = []
    stands: dict[str, str] = {}
    made: list[tuple[str, str]] = []
    for n in range(length):
        who, rkey = chance.choice((ANN, JANE)), f"3k{n:011d}"
        act = chance.random()
        if act < 0.6 or not made:
            text = f"{chance.choice(('My kettle', 'My teapot', 'A kettle, no teapot'))} {n}"
            tape.append(event(n, who, "create", rkey, text))
            made.append((who, rkey))
            if text.startswith("My kettle"):
                stands[uri(who, rkey)] = text
            continue
        who, rkey = chance.choice(made)
        if act < 0.8:
            text = f"{chance.choice(('kettle', 'bicycle'))}, edited {n}"
            tape.append(event(n, who, "update", rkey, text))
            if "kettle" in text or uri(who, rkey) in stands:
                stands[uri(who, rkey)] = text
        else:
            made.remove((who, rkey))
            tape.append(event(n, who, "delete", rkey))
            stands.pop(uri(who, rkey), None)
    tape.append(event(length, ANN, "create", "3kzzzzzzzzzzz", "The last kettle"))
    stands[uri(ANN, "3kzzzzzzzzzzz")] = "The last kettle"
    return tape, stands


def test_with_another_cursor_it_would_lose_posts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check above can fail."""
    tape = [event(n, ANN, "create", f"3k{n:011d}", f"kettle {n}") for n in range(100)]
    with JetstreamServer([(60, IN_THE_FRAME)]) as server:
        server.happens(tape)
        store = Store(cursor={"time_us": 1, "at": "x"})
        monkeypatch.setattr(Store, "keep", keep_posts)
        monkeypatch.setattr(Store, "seconds", 2)
        with pytest.raises(AssertionError, match="after 1 cuts"):
            store.reads(lambda: blue(server), KETTLES, lambda: len(store.posts) == len(tape))


def test_it_goes_on_behind_what_was_stored() -> None:
    tape = [event(n, ANN, "create", f"3k{n:011d}", f"kettle {n}") for n in range(200)]
    with JetstreamServer([(150, RESET)]) as server:
        server.happens(tape)
        store = Store(cursor={"time_us": tape[0]["time_us"], "at": server.url.removeprefix("ws://")})
        store.reads(lambda: blue(server), KETTLES, lambda: len(store.posts) == 200)
        first, second = (int(asked["cursor"][0]) for asked in server.asked)
        assert first == tape[0]["time_us"] - 3_000_000
        assert second > tape[100]["time_us"], "not from the beginning"
        assert server.asked[0]["wantedCollections"] == ["app.bsky.feed.post"]


def test_a_stream_that_is_new_begins_now_and_keeps_that_moment() -> None:
    with JetstreamServer([(0, CLOSE)]) as server:
        server.happens([event(10**8, ANN, "create", "3kaaaaaaaaaaa", "kettle")])
        store = Store()
        store.reads(lambda: blue(server), KETTLES, lambda: bool(store.posts))
        began = [int(asked["cursor"][0]) / 1_000_000 for asked in server.asked]
        assert abs(began[0] - time.time()) < 30
        assert began[1] == pytest.approx(began[0], abs=30)


def test_a_post_comes_whole() -> None:
    reply = {"root": {"uri": uri(ANN, "root"), "cid": "c"}, "parent": {"uri": uri(ANN, "above"), "cid": "c"}}
    with JetstreamServer() as server:
        server.happens([event(1, JANE, "create", "3kaaaaaaaaaaa", "A kettle ☕", reply=reply)])
        page = next(blue(server).stream(KETTLES, {"time_us": 1, "at": "x"}, stop=lambda: False))
    (post,) = page.posts
    assert (post.external_id, post.parent_id, post.root_id) == (
        uri(JANE, "3kaaaaaaaaaaa"),
        uri(ANN, "above"),
        uri(ANN, "root"),
    )
    assert post.author is not None
    assert (post.author.id, post.author.handle, post.lang, post.text) == (JANE, JANE, "en", "A kettle ☕")


def test_an_account_that_is_deleted_takes_its_posts_along_and_one_that_rests_does_not() -> None:
    tape = [
        event(1, ANN, "create", "3kaaaaaaaaaaa", "kettle"),
        event(2, JANE, "create", "3kbbbbbbbbbbb", "kettle"),
        account(3, ANN, "deactivated"),
        account(4, JANE, "deleted"),
        event(5, ANN, "create", "3kccccccccccc", "kettle"),
    ]
    with JetstreamServer() as server:
        server.happens(tape)
        store = Store(cursor={"time_us": 1, "at": "x"})
        store.reads(lambda: blue(server), KETTLES, lambda: uri(ANN, "3kccccccccccc") in store.posts)
    assert set(store.posts) == {uri(ANN, "3kaaaaaaaaaaa"), uri(ANN, "3kccccccccccc")}


def test_a_hole_is_told() -> None:
    with JetstreamServer() as server:
        server.happens([event(0, ANN, "create", "3kaaaaaaaaaaa", "kettle")])
        store = Store(cursor={"time_us": 1, "at": server.url.removeprefix("ws://")})
        store.reads(lambda: blue(server), KETTLES, lambda: bool(store.posts))
    assert [one.where for one in store.rejected] == ["stream"]
    assert "missing" in store.rejected[0].reason


def test_one_damaged_event_costs_no_other() -> None:
    tape: list[Any] = [event(1, ANN, "create", "3kaaaaaaaaaaa", "kettle 1")]
    tape += [{"time_us": tape[0]["time_us"]}, {"time_us": tape[0]["time_us"], "kind": "commit", "commit": 7, "did": []}]
    tape += [event(2, ANN, "create", "3kbbbbbbbbbbb", "kettle")]
    tape[-1]["commit"]["record"]["text"] = ["kettle"]
    tape += [event(3, ANN, "create", "3kccccccccccc", "kettle 2")]
    with JetstreamServer() as server:
        server.happens(tape)
        store = Store(cursor={"time_us": 1, "at": "x"})
        store.reads(lambda: blue(server), KETTLES, lambda: len(store.posts) == 2)
    assert uri(ANN, "3kbbbbbbbbbbb") in [one.where for one in store.rejected]


def test_a_quiet_stream_still_tells_that_it_runs_and_ends_when_asked() -> None:
    with JetstreamServer() as server:
        server.happens([event(1, ANN, "create", "3kaaaaaaaaaaa", "of bicycles")])
        store = Store(cursor={"time_us": 1, "at": "x"})
        store.reads(lambda: blue(server), KETTLES, lambda: store.pages >= 3)
    assert store.posts == {}
    assert store.filtered == 1
    assert store.cursor["time_us"] == event(1, "", "", "")["time_us"], "what is not meant moves the cursor, too"


def test_before_it_is_saved_a_search_shows_what_a_stream_would_bring() -> None:
    with BlueskyServer() as server:
        expected = set(server.posts(2))
        account = {"handle": OUR_HANDLE, "app_password": PASSWORD}
        listener = bluesky.open(account, Options(server.url, allow_private_hosts=True, timeout=5))
        pages = list(listener.fetch(Query("samtal", "stream"), {}))
        assert {post.external_id for page in pages for post in page.posts} == expected


def test_authors_are_looked_up_and_nobody_waits_for_them() -> None:
    with BlueskyServer() as server, JetstreamServer() as stream:
        server.anna("so that she is known")
        listener = bluesky.open(
            {"handle": OUR_HANDLE, "app_password": PASSWORD},
            Options(server.url, allow_private_hosts=True, timeout=5, extra={"stream_url": stream.url}),
        )
        stream.happens([event(1, ANNA["did"], "create", "3kaaaaaaaaaaa", "kettle")])
        query = Query(f"kettle author:@{ANNA['handle']}", "stream")
        (post,) = next(listener.stream(query, {"time_us": 1, "at": "x"}, stop=lambda: False)).posts
        assert post.author is not None
        assert (post.author.id, post.author.handle) == (ANNA["did"], ANNA["handle"])
        assert post.url == f"https://bsky.app/profile/{ANNA['handle']}/post/3kaaaaaaaaaaa"

        server.answers_next["getProfiles"] = Reply({"error": "InternalServerError"}, 502)
        stream.happens([event(2, JANE, "create", "3kbbbbbbbbbbb", "kettle"), event(3, ANN, "create", "3kc", "kettle")])
        page = next(listener.stream(KETTLES, {"time_us": FIRST_MOMENT + 4_000_000, "at": "x"}, stop=lambda: False))
        handles = {post.author.id: post.author.handle for post in page.posts if post.author}
        assert handles[JANE] == JANE
        assert handles.get(ANNA["did"], ANNA["handle"]) == ANNA["handle"]
        assert len(server.asked("getProfiles")) == 2, "once for each; after a failure not again for a while"


def test_a_firehose_cut_before_its_first_event_goes_back_to_when_it_was_opened() -> None:
    """No number is known then, so that it is read from as far back as it goes, and what is older is left out."""
    address = "wss://pds.example/xrpc/com.atproto.sync.subscribeRepos"
    new = Firehose(address, {}, bluesky._post_or_rejected, lambda post: True)
    assert new.url == address
    again = Firehose(address, json.loads(json.dumps(new.cursor)), bluesky._post_or_rejected, lambda post: True)
    assert again.url == f"{address}?cursor=0"
    deleted = {"active": False, "status": "deleted"}
    before = _frame("#account", {"did": ANN, "seq": 7, "time": "2020-01-01T00:00:00Z", **deleted})
    after = _frame("#account", {"did": JANE, "seq": 8, "time": "2999-01-01T00:00:00Z", **deleted})
    assert list(again.read(before)) == []
    assert list(again.read(after)) == [AuthorGone(JANE)]
    assert again.cursor == {"seq": 8, "at": "pds.example"}
    later = Firehose(address, again.cursor, bluesky._post_or_rejected, lambda post: True)
    assert later.url == f"{address}?cursor=8"
    elsewhere = Firehose("wss://other.example/x", again.cursor, bluesky._post_or_rejected, lambda post: True)
    assert "cursor" not in elsewhere.url, "numbers are a server's own"


def _frame(kind: str, body: dict[str, Any]) -> bytes:
    """Two CBOR values, as a firehose sends them."""
    return bytes(libipld.encode_dag_cbor({"op": 1, "t": kind}) + libipld.encode_dag_cbor(body))


# --- What may befall any stream --------------------------------------------------------------------------------------


def _first(pages: Iterator[Page]) -> Page:
    return next(pages)


def test_nobody_there_is_transient() -> None:
    with JetstreamServer() as server:
        gone = blue(server)
    with pytest.raises(Transient, match="refused"):
        _first(gone.stream(KETTLES, {}, stop=lambda: False))


def test_a_private_address_is_not_asked_unless_allowed() -> None:
    with JetstreamServer() as server:
        guarded = bluesky.open({}, Options(extra={"stream_url": server.url}))
        with pytest.raises(Terminal, match="private network"):
            _first(guarded.stream(KETTLES, {}, stop=lambda: False))
        assert server.asked == []


def test_silence_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "SILENCE", 0.3)
    with JetstreamServer() as server, pytest.raises(Transient, match="silent"):
        list(blue(server).stream(KETTLES, {}, stop=lambda: False))


def test_a_query_that_cannot_be_read_is_told_in_words() -> None:
    with pytest.raises(Terminal, match="never closed"):
        _first(bluesky.open({}, Options()).stream(Query('"kettle', "stream"), {}, stop=lambda: False))


@pytest.mark.parametrize(
    ("option", "service", "address"),
    [
        ("", None, "wss://jetstream2.us-east.bsky.network/subscribe"),
        ("", "http://localhost:2583", "ws://localhost:2583/xrpc/com.atproto.sync.subscribeRepos"),
        ("wss://jet.example", "https://pds.example", "wss://jet.example/subscribe"),
        ("https://relay.example/xrpc/com.atproto.sync.subscribeRepos", None,
         "wss://relay.example/xrpc/com.atproto.sync.subscribeRepos"),
    ],
)  # fmt: skip
def test_where_posts_are_streamed_from(option: str, service: str | None, address: str) -> None:
    assert address_of(option, service) == address


@pytest.mark.parametrize("nonsense", ["jetstream", "ftp://jet.example", "wss://", "wss://[", "://"])
def test_an_address_that_is_none_is_terminal(nonsense: str) -> None:
    with pytest.raises(Terminal, match="no address"):
        address_of(nonsense, None)


# --- Hostile shapes --------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(max_size=10), inside, max_size=4),
    max_leaves=12,
)
RECORD = st.fixed_dictionaries(
    {
        "$type": st.just("app.bsky.feed.post"),
        "text": st.text() | JSON,
        "createdAt": st.just("2026-11-22T10:00:00Z") | JSON,
    }
)
EVENT = st.fixed_dictionaries(
    {},
    optional={
        "kind": st.sampled_from(["commit", "account", "identity", "?"]) | JSON,
        "did": st.just(ANN) | JSON,
        "time_us": st.integers() | JSON,
        "account": st.fixed_dictionaries({"active": st.booleans() | JSON, "status": st.just("deleted") | JSON}) | JSON,
        "commit": st.fixed_dictionaries(
            {
                "operation": st.sampled_from(["create", "update", "delete"]) | JSON,
                "collection": st.just("app.bsky.feed.post") | JSON,
                "rkey": st.just("3kaaaaaaaaaaa") | JSON,
                "record": RECORD | JSON,
            }
        )
        | JSON,
        "op": st.sampled_from([1, -1]) | JSON,
        "t": st.sampled_from(["#commit", "#account", "#info"]) | JSON,
        "event": st.sampled_from(["update", "status.update", "delete", "notification"]) | JSON,
        "payload": st.text(max_size=30) | JSON.map(json.dumps) | JSON,
        "error": JSON,
        "status": JSON,
    },
)


@settings(max_examples=100, deadline=None)
@given(message=EVENT.map(json.dumps) | st.text() | st.binary())
def test_readers_survive_whatever_they_are_sent(message: str | bytes) -> None:
    post_of, keeps = bluesky._post_or_rejected, lambda post: True
    readers: list[streaming.Reader] = [
        Jetstream("wss://jet.example/subscribe", {}, post_of, keeps),
        Firehose("wss://relay.example/xrpc/com.atproto.sync.subscribeRepos", {}, post_of, keeps),
        _Live("social.example", {}, KETTLE_TAG),
        _Live("social.example", {}, TO_US),
    ]
    for reader in readers:
        batch = Batch()
        try:
            for one in reader.read(message):
                assert isinstance(one, Made | Changed | Gone | AuthorGone | Other | Rejected)
                batch.add(one)
        except (Transient, Terminal):
            continue
        json.dumps(batch.page(reader.cursor).cursor)


def test_later_events_of_a_moment_win() -> None:
    def post(text: str) -> Post:
        found = bluesky._post_or_rejected("", {
            "uri": uri(ANN, "3kaaaaaaaaaaa"), "author": {"did": ANN}, "indexedAt": "2026-11-22T10:00:00Z",
            "record": {"$type": "app.bsky.feed.post", "text": text, "createdAt": "2026-11-22T10:00:00Z"},
        })  # fmt: skip
        assert isinstance(found, Post)
        return found

    batch = Batch()
    for one in (Made(post("1")), Changed(post("2")), Gone(post("").external_id), Made(post("3"))):
        batch.add(one)
    page = batch.page({})
    assert ([post.text for post in page.posts], page.gone) == (["3"], [])
    batch.add(Changed(post("4"), meant=False))
    page = batch.page({})
    assert ([post.text for post in page.posts], page.edits) == (["4"], []), "it was meant when it was made"


# --- Mastodon --------------------------------------------------------------------------------------------------------


@dataclass
class Instance:
    """An instance, its streaming server, and what must be stored of it in the end."""

    api: MastodonServer
    live: MastodonStream

    def opened(self) -> mastodon.Mastodon:
        return mastodon.open({"instance": self.api.url, "token": "t0ken"}, Options(allow_private_hosts=True, timeout=5))

    def posts(self, *, streamed: bool = True) -> str:
        number = self.api.posts(1)[0].partition("@")[0]
        if streamed:
            self.live.tells("update", self.api.statuses[-1])
        return number

    def numbers(self) -> set[str]:
        return {one["id"] for one in self.api.statuses if one["id"] not in self.api.gone}


@pytest.fixture
def instance() -> Iterator[Instance]:
    with MastodonServer() as api, MastodonStream() as live:
        api.streams_at = live.url
        yield Instance(api, live)


def stored_numbers(store: Store) -> set[str]:
    return {id_.partition("@")[0] for id_ in store.posts}


@pytest.mark.parametrize("seed", range(5))
def test_what_was_posted_during_a_cut_comes_all_the_same(instance: Instance, seed: int) -> None:
    chance = random.Random(seed)
    instance.live.cuts.extend((chance.randrange(4), chance.choice(HOWS)) for _ in range(6))
    left = 30

    def goes_on() -> bool:
        nonlocal left
        if left and chance.random() < 0.5:
            left -= 1
            instance.posts(streamed=chance.random() < 0.8 or left == 0)
        return left == 0 and stored_numbers(store) == instance.numbers()

    store = Store()
    store.reads(instance.opened, KETTLE_TAG, goes_on, crash=lambda: chance.random() < 0.1)
    assert len(stored_numbers(store)) == 30
    assert instance.live.subscribed[0] == {"type": "subscribe", "stream": "hashtag", "tag": "kettle"}


def test_what_the_instance_fails_to_stream_is_found_by_the_next_walk(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mastodon, "WALK_EVERY", 0.2)
    store = Store()
    store.reads(instance.opened, KETTLE_TAG, lambda: instance.live.listening and store.pages > 2)
    missed = instance.posts(streamed=False)
    store.reads(instance.opened, KETTLE_TAG, lambda: missed in stored_numbers(store))
    assert store.cuts == []


def test_deletions_edits_and_unwanted_tags(instance: Instance) -> None:
    kept, deleted = instance.posts(), instance.posts()
    store = Store()
    said = iter(range(3))

    def acts() -> bool:
        if instance.live.listening and stored_numbers(store) == {kept, deleted} and next(said, None) == 0:
            instance.api.gone.add(deleted)
            instance.live.tells("delete", deleted)
            edited = {
                **instance.api.statuses[0],
                "content": "<p>No kettle after all</p>",
                "edited_at": "2026-11-22T10:00:00Z",
            }
            instance.live.tells("status.update", edited)
            unwanted = status(1, "<p>Buy a kettle</p>", instance.api.started, person("ann"), tags=[{"name": "Ad"}])
            instance.live.tells("update", unwanted)
        return stored_numbers(store) == {kept} and store.filtered == 1

    store.reads(instance.opened, KETTLE_TAG, acts)
    assert list(store.posts.values()) == ["No kettle after all"]


def test_what_is_said_to_us_is_streamed_and_a_mark_moves(instance: Instance) -> None:
    before = instance.posts(streamed=False)
    said = status(77, "<p>@acme_help hello</p>", instance.api.started, person("ann"), visibility="direct")
    told = {
        "id": "150",
        "type": "mention",
        "created_at": said["created_at"],
        "account": said["account"],
        "status": said,
    }
    likes = {**told, "id": "151", "type": "favourite"}
    sent: list[bool] = []

    def told_once() -> bool:
        if instance.live.listening and store.posts and not sent:
            sent.append(True)
            instance.live.tells("notification", told)
            instance.live.tells("notification", likes)
        return stored_numbers(store) == {before, "77"}

    store = Store()
    store.reads(instance.opened, TO_US, told_once)
    assert store.cursor == {"done_until": {"key": [3, "150"]}}
    assert instance.live.subscribed[-1] == {"type": "subscribe", "stream": "user:notification"}


def test_the_token_travels_in_a_header_and_in_no_message(instance: Instance) -> None:
    instance.live.refuses = (401, b'{"error": "The access token t0ken was revoked"}')
    with pytest.raises(BadCredentials) as refused:
        _first(instance.opened().stream(KETTLE_TAG, {}, stop=lambda: False))
    assert instance.live.headers[0]["authorization"] == "Bearer t0ken"
    assert "did not accept the account's credentials" in str(refused.value)
    assert instance.live.asked == []


def test_a_stream_the_instance_refuses_is_terminal(instance: Instance) -> None:
    sent: list[bool] = []

    def refuses_once() -> bool:
        if instance.live.listening and not sent:
            sent.append(True)
            instance.live.says({"error": "Unknown stream type", "status": 400})
        return False

    with pytest.raises(Terminal, match="Unknown stream type"):
        list(instance.opened().stream(KETTLE_TAG, {}, stop=refuses_once))


def test_streaming_needs_a_token() -> None:
    stranger = mastodon.open({"instance": "social.example"}, Options())
    with pytest.raises(Terminal, match="to an account only"):
        _first(stranger.stream(KETTLE_TAG, {}, stop=lambda: False))


@pytest.mark.skipif(not RECORDED.exists(), reason="../shared/recordings is absent")
def test_a_recorded_event_is_read() -> None:
    said = RECORDED.read_text("utf-8").split("data: ", 1)[1].split("\n    headers:", 1)[0]
    payload = " ".join(said.strip().strip("'").strip().split()).replace("''", "'")
    (made,) = _Live("localhost:3000", {}, KETTLE_TAG).read(json.dumps({"event": "update", "payload": payload}))
    assert isinstance(made, Made)
    assert made.post.text == "it's cool guy"
    assert made.post.author is not None
    assert made.post.author.handle == "mastodonpy_test@localhost:3000"
