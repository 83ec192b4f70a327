"""Bluesky against its fake: the contract, what the wire holds, and what an answer goes through. The real network has
its own file, test_bluesky_network.py."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from listeners import bluesky
from listeners.base import (
    Absent,
    CannotTell,
    Options,
    OutcomeUnknown,
    Post,
    Query,
    Rejected,
    Sent,
    Terminal,
    Transient,
)
from listeners.bluesky import Bluesky
from tests.listeners.bluesky_fake import ANNA, OUR_HANDLE, PASSWORD, US, BlueskyServer, error, wire_time
from tests.listeners.contract import AnswersContract, DeletesContract, LooksBackContract, NetworkContract, Rig, collect
from tests.listeners.fake_server import Reply
from tests.listeners.fake_stream import FirehoseServer, JetstreamServer
from tests.listeners.faults import FaultsContract
from tests.listeners.stream_contract import StreamRig, StreamsContract

FIXTURES = Path(__file__).parent / "fixtures" / "bluesky"
ACCOUNT = {"handle": OUR_HANDLE, "app_password": PASSWORD}
SEARCH = Query("samtal", "search")
KETTLES = Query("kettle", "stream")
NOTIFICATIONS = Query("", "notifications")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def raw(name: str) -> bytes:
    return (FIXTURES / name).read_bytes()


@pytest.fixture
def server() -> Iterator[BlueskyServer]:
    with BlueskyServer() as server:
        yield server


@pytest.fixture
def listener(server: BlueskyServer) -> Iterator[Bluesky]:
    listener = opened(server)
    yield listener
    listener.close()


def opened(server: BlueskyServer, **account: str) -> Bluesky:
    return bluesky.open(ACCOUNT | account, Options(server.url, timeout=2.0, allow_private_hosts=True))


def offline() -> Bluesky:
    return bluesky.open({}, Options("http://127.0.0.1:9"))


def one_post(server: BlueskyServer, listener: Bluesky, text: str = "samtal?", **record: Any) -> Post:
    uri = server.anna(text, **record)["uri"]
    return next(post for post in collect(listener, SEARCH, {})[0] if post.external_id == uri)


class TestContract(FaultsContract, NetworkContract, LooksBackContract, AnswersContract, DeletesContract):
    @pytest.fixture
    def rig(self, listener: Bluesky, server: BlueskyServer) -> Rig:
        return Rig(
            listener,
            server,
            SEARCH,
            raw=[raw("search.json"), raw("notifications.json"), raw("thread.json")],
            idempotent=True,
        )


class TestJetstream(StreamsContract):
    @pytest.fixture
    def streamed(self) -> Iterator[StreamRig]:
        with JetstreamServer() as server:
            yield StreamRig(lambda: streaming_from(server.url), server, KETTLES)


class TestFirehose(StreamsContract):
    @pytest.fixture
    def streamed(self) -> Iterator[StreamRig]:
        with FirehoseServer() as server:
            yield StreamRig(lambda: streaming_from(server.url), server, KETTLES)


def streaming_from(url: str) -> Bluesky:
    return bluesky.open({}, Options(allow_private_hosts=True, timeout=5, extra={"stream_url": url}))


# --- From the wire to posts


@pytest.mark.parametrize("name", ["search", "notifications"])
def test_what_the_wire_holds(name: str) -> None:
    found = offline().parse(raw(f"{name}.json"))
    assert [readable(one) for one in found] == json.loads(raw(f"{name}.expected.json"))


def readable(one: Post | Rejected) -> dict[str, Any]:
    if isinstance(one, Rejected):
        return {"where": one.where, "reason": one.reason}
    return one.model_dump(mode="json", exclude_defaults=True)


def test_a_date_before_all_dates_is_none() -> None:
    """Programs that know no date write the first day of the year 1; Bluesky itself says when it saw the post."""
    answer = json.loads(raw("search.json"))
    post = answer["posts"][0]
    post["record"]["createdAt"], post["indexedAt"] = "0001-01-01T00:00:00Z", "2026-11-05T14:00:00.000Z"
    found = offline().parse(json.dumps(answer).encode())[0]
    assert isinstance(found, Post)
    assert (found.posted_at.isoformat(), found.posted_at_estimated) == ("2026-11-05T14:00:00+00:00", True)


def test_a_count_that_no_database_holds_is_rejected_with_its_post() -> None:
    answer = json.loads(raw("search.json"))
    answer["posts"][0]["author"]["followersCount"] = 2**31
    found = offline().parse(json.dumps(answer).encode())[0]
    assert isinstance(found, Rejected) and "followers" in found.reason


def test_a_thread_is_read_from_its_root_down() -> None:
    found = offline().parse(raw("thread.json"))
    assert [one.text if isinstance(one, Post) else one.reason for one in found] == [
        "was deleted or never was",
        "above",
        "the post",
        "first below",
        "further below",
        "is hidden by a block",
        "last below",
    ]


def test_get_posts_is_read_as_a_search_is() -> None:
    whole = json.loads(raw("search.json"))
    del whole["cursor"]
    assert offline().parse(json.dumps(whole).encode()) == offline().parse(raw("search.json"))


def test_a_deep_thread_is_read_whole() -> None:
    node: dict[str, Any] = {}
    for n in range(150):
        post = {
            "uri": f"at://{ANNA['did']}/app.bsky.feed.post/{n}",
            "author": ANNA,
            "record": {"$type": "app.bsky.feed.post", "createdAt": "2026-11-05T14:00:00Z", "text": str(n)},
        }
        node = {"post": post, "replies": [node] if node else []}
    assert len(offline().parse(json.dumps({"thread": node}).encode())) == 150


@pytest.mark.parametrize("answer", [b"", b"{", b"[]", b"null", b'{"feed": []}', b"<html>", b"[" * 100_000, b"\xff\xfe"])
def test_no_such_answer_is_terminal(answer: bytes) -> None:
    with pytest.raises(Terminal) as caught:
        offline().parse(answer)
    assert caught.value.what_to_do


def test_hostile_text_is_kept_clean_and_bounded(server: BlueskyServer, listener: Bluesky) -> None:
    server.anna("samtal\x00 \ud800=HYPERLINK(1)")
    server.anna("samtal" + "x" * 200_000)
    long, hostile = collect(listener, SEARCH, {})[0]
    assert hostile.text == "samtal =HYPERLINK(1)"
    assert len(long.text) == 100_000


# --- Listening


def test_notifications_bring_mentions_replies_and_quotes_and_no_likes(server: BlueskyServer, listener: Bluesky) -> None:
    said = [server.says_to_us("hello", reason)["uri"] for reason in ("mention", "like", "reply", "quote", "follow")]
    posts, _ = collect(listener, NOTIFICATIONS, {})
    assert [post.external_id for post in posts] == [said[3], said[2], said[0]]


def test_a_post_that_is_indexed_late_is_not_lost(server: BlueskyServer, listener: Bluesky) -> None:
    now = datetime.now(UTC)
    for seconds in range(10):  # more than one page of them, all newer than the late one
        server.anna("samtal", at=now - timedelta(seconds=seconds))
    _, cursor = collect(listener, SEARCH, {})
    late = server.anna("samtal late", at=now - timedelta(minutes=2))
    posts, _ = collect(listener, SEARCH, cursor)
    assert late["uri"] in {post.external_id for post in posts}


def test_a_page_token_that_has_become_stale_starts_again_from_the_top(server: BlueskyServer, listener: Bluesky) -> None:
    posted = server.posts(5)
    pages = list(listener.fetch(SEARCH, {"done_until": None, "walking": {"top": None, "continue_from": "garbage"}}))
    assert {post.external_id for page in pages for post in page.posts} == set(posted)


def test_a_page_says_what_is_left_of_the_limit(server: BlueskyServer, listener: Bluesky) -> None:
    server.posts(1)
    budget = next(iter(listener.fetch(SEARCH, {}))).budget
    assert (budget.limit, budget.remaining, budget.resets_at) == (
        3000,
        2990,
        datetime.fromtimestamp(1_800_000_000, UTC),
    )


@pytest.mark.parametrize("query", [Query("  ", "search"), Query("x", "firehose")])
def test_a_query_that_cannot_be_asked_is_terminal(listener: Bluesky, query: Query) -> None:
    with pytest.raises(Terminal):
        list(listener.fetch(query, {}))


# --- Signing in


def test_check_says_who_we_are(listener: Bluesky) -> None:
    health = listener.check()
    assert health.ok
    assert f"@{OUR_HANDLE}" in health.words
    assert health.account is not None
    assert (health.account.id, health.account.display_name, health.account.followers) == (US, "Acme", 12)


def test_an_account_too_new_for_a_profile_is_signed_in_all_the_same(server: BlueskyServer, listener: Bluesky) -> None:
    server.knows_profiles = False
    health = listener.check()
    assert health.ok
    assert "does not know the account yet" in health.words
    assert health.account is not None
    assert health.account.id == US


@pytest.mark.parametrize("name", ["x" * 100_000, "\x00\ud800", ["Acme"], ""])
def test_check_endures_an_odd_profile(server: BlueskyServer, listener: Bluesky, name: object) -> None:
    server.our_profile["displayName"] = name
    health = listener.check()
    assert health.account is not None
    assert health.account.id == US
    assert len(health.account.display_name or "") < 1000


@pytest.mark.parametrize("did", ["", "Acme", "did:plc:" + "x" * 5000])
def test_a_session_of_nobody_is_refused(server: BlueskyServer, listener: Bluesky, did: str) -> None:
    server.our_did = did
    with pytest.raises(Transient, match="without an account"):
        listener.check()


def test_check_of_a_server_gone_since_we_signed_in_fails(server: BlueskyServer, listener: Bluesky) -> None:
    listener.check()
    server.goes_down()
    with pytest.raises(Transient, match="out of order"):
        listener.check()


def test_a_wrong_password_is_terminal_and_says_where_to_get_a_right_one(server: BlueskyServer) -> None:
    with pytest.raises(Terminal, match="did not accept the handle or the app password") as caught:
        opened(server, app_password="wrong").check()
    assert "App passwords" in caught.value.what_to_do
    assert "wrong" not in str(caught.value)


def test_without_an_account_it_says_what_is_missing(server: BlueskyServer) -> None:
    nobody = bluesky.open({}, Options(server.url, allow_private_hosts=True))
    with pytest.raises(Terminal, match="needs an account"):
        list(nobody.fetch(SEARCH, {}))
    assert server.requests == []


def test_the_listeners_of_an_account_share_one_session(server: BlueskyServer) -> None:
    for _ in range(40):  # more often than Bluesky lets an account sign in
        listener = opened(server)
        list(listener.fetch(SEARCH, {}))
        listener.close()
    assert len(server.asked("createSession")) == 1


def test_a_session_ended_at_bluesky_is_begun_anew(server: BlueskyServer, listener: Bluesky) -> None:
    server.posts(2)
    collect(listener, SEARCH, {})
    server.ends_all_sessions()
    posts, _ = collect(listener, SEARCH, {})
    assert len(posts) == 2
    assert len(server.asked("createSession")) == 2


def test_a_session_about_to_end_is_refreshed_and_not_begun_anew(server: BlueskyServer, listener: Bluesky) -> None:
    server.token_lives = 60
    collect(listener, SEARCH, {})
    collect(listener, SEARCH, {})
    collect(opened(server), SEARCH, {})
    assert (len(server.asked("createSession")), len(server.asked("refreshSession"))) == (1, 1)


def test_it_never_signs_in_more_often_than_allowed(server: BlueskyServer, listener: Bluesky) -> None:
    for _ in range(30):
        collect(listener, SEARCH, {})
        server.ends_all_sessions()
    with pytest.raises(Transient, match="30 sign-ins") as caught:
        collect(listener, SEARCH, {})
    assert caught.value.retry_after is not None
    assert 0 < caught.value.retry_after <= 300
    assert len(server.asked("createSession")) == 30


def test_a_private_address_is_not_asked_unless_allowed(server: BlueskyServer) -> None:
    with pytest.raises(Terminal, match="private network"):
        bluesky.open(ACCOUNT, Options(server.url)).check()
    assert server.requests == []


def test_a_limit_without_a_sound_moment_is_transient_still(server: BlueskyServer, listener: Bluesky) -> None:
    server.fails(Reply({"error": "RateLimitExceeded"}, 429, {"RateLimit-Reset": "9" * 30}))
    with pytest.raises(Transient, match="too many requests"):
        collect(listener, SEARCH, {})


def test_a_slow_server_is_transient_within_our_own_time_limit(server: BlueskyServer) -> None:
    hasty = bluesky.open(ACCOUNT, Options(server.url, timeout=0.2, allow_private_hosts=True))
    with server._lock:  # it takes requests and answers none
        before = time.monotonic()
        with pytest.raises(Transient, match="in time"):
            hasty.check()
    assert time.monotonic() - before < 2


# --- Answering


def test_an_answer_ties_itself_to_parent_and_root(server: BlueskyServer, listener: Bluesky) -> None:
    root = {"uri": f"at://{ANNA['did']}/app.bsky.feed.post/3kroot", "cid": "bafyroot"}
    post = one_post(server, listener, reply={"root": root, "parent": root})
    listener.answer(post, "Thank you.", "k")
    (record,) = server.our_records.values()
    assert record["reply"]["root"] == root
    assert record["reply"]["parent"]["uri"] == post.external_id
    assert datetime.fromisoformat(record["createdAt"]) <= datetime.now(UTC)


def test_links_tags_and_mentions_carry_their_place_in_bytes(server: BlueskyServer, listener: Bluesky) -> None:
    text = "Grüße 👋🏽 @anna.test, @nobody.test: see example.com/ä, https:/// and #samtal"
    listener.answer(one_post(server, listener), text, "k")
    (record,) = server.our_records.values()
    marked = {
        text.encode()[facet["index"]["byteStart"] : facet["index"]["byteEnd"]].decode(): facet["features"][0]
        for facet in record["facets"]
    }
    assert list(marked) == ["@anna.test", "example.com/ä", "#samtal"]
    assert marked["@anna.test"]["did"] == ANNA["did"]
    assert marked["example.com/ä"]["uri"] == "https://example.com/ä"
    assert marked["#samtal"]["tag"] == "samtal"


def test_a_handle_that_cannot_be_looked_up_now_keeps_the_answer_back(server: BlueskyServer, listener: Bluesky) -> None:
    post = one_post(server, listener)
    server.answers_next["resolveHandle"] = error("UpstreamFailure", "Upstream Failure", 502)
    with pytest.raises(Transient):
        listener.answer(post, "Ask @anna.test", "k")
    assert server.our_records == {}


def test_a_key_taken_in_a_race_gives_the_answer_that_stands(
    server: BlueskyServer, listener: Bluesky, monkeypatch: pytest.MonkeyPatch
) -> None:
    post = one_post(server, listener)
    first = listener.answer(post, "Once.", "k")
    looked = iter([Absent()])  # as a second worker sees it that asked before the first had written
    look = listener._standing
    monkeypatch.setattr(listener, "_standing", lambda *of: next(looked, None) or look(*of))
    assert listener.answer(post, "Once.", "k") == first
    assert len(server.asked("createRecord")) == 2
    assert server.answers_under(post.external_id) == ["Once."]


def test_the_same_key_is_answered_even_when_the_post_is_gone_by_then(server: BlueskyServer, listener: Bluesky) -> None:
    post = one_post(server, listener)
    first = listener.answer(post, "Once.", "k")
    server.deletes(post.external_id)
    assert listener.answer(post, "Once.", "k") == first


def test_a_key_used_for_another_post_is_refused(server: BlueskyServer, listener: Bluesky) -> None:
    one, other = one_post(server, listener), one_post(server, listener)
    listener.answer(one, "Yes.", "k")
    with pytest.raises(Terminal, match="used for another"):
        listener.answer(other, "No.", "k")
    assert isinstance(listener.find(other, "No.", "k", LONG_AGO), CannotTell)
    assert server.answers_under(other.external_id) == []


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_that_fails_while_we_post_leaves_the_outcome_unknown(
    server: BlueskyServer, listener: Bluesky, status: int
) -> None:
    post = one_post(server, listener)
    server.answers_next["createRecord"] = Reply(b"Bad Gateway", status, {"Content-Type": "text/plain"})
    with pytest.raises(OutcomeUnknown):
        listener.answer(post, "Hello.", "k")
    assert isinstance(listener.find(post, "Hello.", "k", LONG_AGO), Absent)


def test_an_odd_answer_to_a_post_that_does_not_stand_is_unknown(server: BlueskyServer, listener: Bluesky) -> None:
    post = one_post(server, listener)
    server.answers_next["createRecord"] = Reply(b"<html>OK</html>")
    with pytest.raises(OutcomeUnknown):
        listener.answer(post, "Hello.", "k")


def test_a_refused_record_is_terminal_in_bluesky_s_own_words(server: BlueskyServer, listener: Bluesky) -> None:
    post = one_post(server, listener)
    server.answers_next["createRecord"] = error("InvalidRequest", "Invalid app.bsky.feed.post record")
    with pytest.raises(Terminal, match=re.escape("Invalid app.bsky.feed.post record")):
        listener.answer(post, "Hello.", "k")


def test_too_many_writes_are_transient(server: BlueskyServer, listener: Bluesky) -> None:
    post = one_post(server, listener)
    reset = {"RateLimit-Reset": str(int(time.time()) + 600)}
    server.answers_next["createRecord"] = Reply(
        {"error": "RateLimitExceeded", "message": "Rate Limit Exceeded"}, 429, reset
    )
    with pytest.raises(Transient) as caught:
        listener.answer(post, "Hello.", "k")
    assert caught.value.retry_after == pytest.approx(600, abs=5)
    assert listener.answer(post, "Hello.", "k").external_id


def test_a_session_that_ends_as_we_post_costs_nothing(server: BlueskyServer, listener: Bluesky) -> None:
    post = one_post(server, listener)
    server.answers_next["createRecord"] = error("ExpiredToken", "Token has expired")
    listener.answer(post, "Hello.", "k")
    assert server.answers_under(post.external_id) == ["Hello."]


def test_a_server_gone_before_we_post_is_transient(server: BlueskyServer, listener: Bluesky) -> None:
    post = one_post(server, listener)
    server.stop()
    with pytest.raises(Transient):
        listener.answer(post, "Hello.", "k")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"viewer": {"replyDisabled": True}}, "limited who may reply"),
        ({"author": {**ANNA, "viewer": {"blockedBy": True}}}, "has blocked this account"),
        (
            {"author": {**ANNA, "viewer": {"blocking": f"at://{US}/app.bsky.graph.block/3k"}}},
            "This account has blocked",
        ),
    ],
)
def test_where_we_may_not_answer_it_says_why(
    server: BlueskyServer, listener: Bluesky, change: dict[str, Any], reason: str
) -> None:
    view = server.anna("samtal?")
    (before,) = collect(listener, SEARCH, {})[0]
    assert listener.may_answer(before).allowed
    view.update(change)
    with pytest.raises(Terminal, match=reason):
        listener.answer(before, "Hello.", "k")
    assert reason in listener.may_answer(before).reason
    assert not opened(server).may_answer(before).allowed, "another listener of the account knows it too"
    view.update({"viewer": {}, "author": ANNA})
    collect(listener, SEARCH, {})
    assert listener.may_answer(before).allowed
    assert server.our_records == {}


def test_a_post_that_is_gone_is_not_answered(server: BlueskyServer, listener: Bluesky) -> None:
    post = one_post(server, listener)
    server.deletes(post.external_id)
    with pytest.raises(Terminal, match="cannot be seen"):
        listener.answer(post, "Hello.", "k")


def test_may_answer_refuses_what_is_no_post_here(listener: Bluesky, server: BlueskyServer) -> None:
    post = one_post(server, listener)
    asked = len(server.requests)
    assert not listener.may_answer(post.model_copy(update={"platform": "x"})).allowed
    assert not listener.may_answer(
        post.model_copy(update={"external_id": "at://did:plc:x/app.bsky.feed.like/3k"})
    ).allowed
    assert not offline().may_answer(post).allowed
    assert len(server.requests) == asked


def test_our_answer_can_be_deleted_and_nobody_else_s(server: BlueskyServer, listener: Bluesky) -> None:
    post = one_post(server, listener)
    sent = listener.answer(post, "Oops.", "k")
    with pytest.raises(Terminal, match="no post of our account"):
        listener.delete(post.external_id)
    listener.delete(sent.external_id)
    assert server.answers_under(post.external_id) == []
    assert isinstance(listener.find(post, "Oops.", "k", LONG_AGO), Absent)


@pytest.mark.parametrize("text", ["", " \n\t", "\x00", "x" * 301, "👨‍👩‍👧‍👦" * 121, "x" * 100_000])
def test_what_bluesky_would_refuse_is_not_sent(server: BlueskyServer, listener: Bluesky, text: str) -> None:
    post = one_post(server, listener)
    asked = len(server.requests)
    with pytest.raises(Terminal):
        listener.answer(post, text, "k")
    assert len(server.requests) == asked


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("", 0),
        ("abc", 3),
        ("e\u0301", 1),
        ("👋🏽", 1),
        ("🇮🇸🇸🇪", 2),
        ("नमस्ते", 3),
        ("\r\n", 1),
        ("👨‍👩‍👧‍👦", 3),  # 25 bytes: the other bound, ten bytes each, is met first
    ],
)
def test_length_is_counted_as_bluesky_counts(text: str, counts: int) -> None:
    assert bluesky.CAPABILITY.length(text) == counts


@settings(deadline=None)
@given(st.text(max_size=400))
def test_length_is_over_the_limit_exactly_where_bluesky_s_is(text: str) -> None:
    fits = len(regex.findall(r"\X", text)) <= 300 and len(text.encode()) <= 3000
    assert (bluesky.length(text) <= 300) == fits


@settings(deadline=None)
@given(st.text())
def test_a_record_key_is_a_time_id_of_the_past_and_always_the_same(key: str) -> None:
    derived = bluesky.record_key(key)
    assert derived == bluesky.record_key(key)
    assert re.fullmatch(r"[234567abcdefghij][234567a-z]{12}", derived)
    number = 0
    for letter in derived:
        number = number * 32 + "234567abcdefghijklmnopqrstuvwxyz".index(letter)
    assert 2023 <= datetime.fromtimestamp((number >> 10) / 1_000_000, UTC).year <= 2025


def test_record_keys_of_many_answers_differ() -> None:
    assert len({bluesky.record_key(f"reply-{n}") for n in range(20_000)}) == 20_000


# --- What was deleted


def test_deletions_are_asked_for_25_at_a_time(server: BlueskyServer, listener: Bluesky) -> None:
    posted = server.posts(60)
    server.deletes(posted[30])
    there = listener.still_there(posted)
    assert [uri for uri, still in there.items() if not still] == [posted[30]]
    assert len(there) == 60
    assert len(server.asked("getPosts")) == 3


def test_a_post_behind_a_block_is_not_called_deleted(server: BlueskyServer, listener: Bluesky) -> None:
    shown, hidden = server.posts(2)
    server.hidden.add(hidden)
    assert listener.still_there([shown, hidden]) == {shown: True}


def test_only_a_record_that_is_not_found_is_deleted(server: BlueskyServer, listener: Bluesky) -> None:
    shown, hidden, gone = server.posts(3)
    server.hidden.add(hidden)
    server.deletes(gone)
    server.answers_next["getRecord"] = error("InvalidRequest", "Something else is wrong")
    assert listener.still_there([shown, hidden, gone]) == {shown: True, gone: False}
    server.answers_next["getRecord"] = error("UpstreamFailure", "Upstream Failure", 502)
    with pytest.raises(Transient):
        listener.still_there([shown, hidden, gone])
    server.answers_next["getRecord"] = error("InvalidRequest", f"Could not find repo: {ANNA['did']}")
    assert listener.still_there([hidden]) == {hidden: False}


def test_what_is_no_address_of_a_post_is_left_out(server: BlueskyServer, listener: Bluesky) -> None:
    (posted,) = server.posts(1)
    odd = ["", "x", "https://example.com", f"at://{ANNA['did']}/app.bsky.feed.like/3k", "at://a/b/c", "\x00" * 10_000]
    assert listener.still_there([*odd, posted, posted]) == {posted: True}


def test_an_outage_deletes_nothing(server: BlueskyServer, listener: Bluesky) -> None:
    posted = server.posts(2)
    for trouble in (server.goes_down, server.sends_web_pages, server.breaks_off_answers):
        trouble()
        with pytest.raises(Transient):
            listener.still_there(posted)
        server.comes_back()


def test_sent_at_is_what_the_record_says(server: BlueskyServer, listener: Bluesky) -> None:
    post = one_post(server, listener)
    sent = listener.answer(post, "Hello.", "k")
    (record,) = server.our_records.values()
    assert wire_time(sent.sent_at) == record["createdAt"]
    assert sent.url == f"https://bsky.app/profile/{OUR_HANDLE}/post/{bluesky.record_key('k')}"
    assert isinstance(listener.find(post, "Hello.", "k", LONG_AGO), Sent)


def test_what_lies_below_the_end_of_a_search_is_read_in_slices(server: BlueskyServer, listener: Bluesky) -> None:
    server.search_ends = 8
    posted = server.posts(30)
    query = Query("samtal", "search")
    assert len(collect(listener, query, {})[0]) == 8
    server.requests.clear()
    found, cursor = collect(listener, query, listener.since(query, server.started))
    assert {post.external_id for post in found} == set(posted)
    moments = [one.params["until"] for one in server.asked("searchPosts") if "until" in one.params]
    assert moments == sorted(moments, reverse=True), "each slice lies below the one before"
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", one) for one in moments)
    new = server.posts(1)
    assert new[0] in {post.external_id for post in collect(listener, query, cursor)[0]}


def test_a_stream_begins_at_a_moment(server: BlueskyServer) -> None:
    moment = datetime(2026, 11, 20, 12, tzinfo=UTC)
    for address, expected in (
        ("wss://stream.example/subscribe", {"time_us": 1_795_176_000_000_000, "at": "stream.example"}),
        (
            "wss://relay.example/xrpc/com.atproto.sync.subscribeRepos",
            {"since": "2026-11-20T12:00:00+00:00", "at": "relay.example"},
        ),
    ):
        options = Options(server.url, 2.0, allow_private_hosts=True, extra={"stream_url": address})
        found = Bluesky({"handle": OUR_HANDLE, "app_password": PASSWORD}, options)
        assert found.since(Query("kettle", "stream"), moment) == expected
