"""The X listener against recorded and hand-written traffic, by what it really sent."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from listeners.base import Options, OutcomeUnknown, Post, Query, Terminal, Transient
from listeners.x import XListener, parse
from tests.listeners.contract import collect
from tests.listeners.replaying import Replaying, bodies, recording, written

ACCOUNT = {
    "bearer_token": "bearer",
    "api_key": "key",
    "api_secret": "secret",
    "access_token": "4001-token",
    "access_token_secret": "token-secret",
}
ASKED = Post(
    platform="x",
    external_id="1991000000000000019",
    text="@samtal_desk is this known?",
    mentions=("4001",),
    posted_at=datetime(2025, 11, 19, 9, 0, tzinfo=UTC),
)


def opened(server: Replaying, **changes: str) -> XListener:
    return XListener({**ACCOUNT, **changes}, Options(server.url, 5.0, allow_private_hosts=True))


@pytest.mark.parametrize(
    ("name", "posts"), [("search_recent_tweets", 10), ("get_tweets", 2), ("create_and_delete_tweet", 1)]
)
def test_recorded_answers_are_read_whole(name: str, posts: int) -> None:
    found = parse(bodies(recording(f"tweepy/test_client_{name}.yaml"))[0])
    assert len(found) == posts
    for one in found:
        assert isinstance(one, Post)
        assert one.text
        assert one.author is None, "these recordings have no authors"


def test_a_recorded_search_is_dated_by_its_ids() -> None:
    found = parse(bodies(recording("tweepy/test_client_search_recent_tweets.yaml"))[0])
    first = found[0]
    assert isinstance(first, Post)
    assert first.text == "2022-10-07 22:42:12.637103 tweepy"
    assert abs((first.posted_at - datetime(2022, 10, 7, 22, 42, 12, tzinfo=UTC)).total_seconds()) < 5


def test_a_search_is_read_over_http() -> None:
    with Replaying(recording("tweepy/test_client_search_recent_tweets.yaml")) as server:
        pages = opened(server).fetch(Query("Tweepy"), {})
        first = next(iter(pages))
    assert len(first.posts) == 10
    assert (first.budget.remaining, first.budget.limit) == (448, 450)
    assert server.asked("GET", "/2/tweets/search/recent") == 1


def test_mentions_are_asked_for_by_our_id() -> None:
    with Replaying(written("x/mentions.json", "GET:/2/users/4001/mentions")) as server:
        (post,), _ = collect(opened(server), Query("", "mentions"), {})
        assert opened(server).may_answer(post).allowed
    assert post.external_id == "1991000000000000019"
    assert len(server.requests) == 1


def test_a_reply_is_posted_once() -> None:
    with Replaying(recording("tweepy/test_client_create_and_delete_tweet.yaml")) as server:
        sent = opened(server).answer(ASKED, "Test Tweet", "key")
    assert sent.external_id == "1456012973835788293"
    assert sent.sent_at.date() == datetime(2021, 11, 3, tzinfo=UTC).date()
    assert [json.loads(one["body"]) for one in server.requests] == [
        {"text": "Test Tweet", "reply": {"in_reply_to_tweet_id": "1991000000000000019"}}
    ]


@pytest.mark.parametrize(
    ("name", "words", "to_do"),
    [
        ("reply_403", "replies are limited to posts that mention or quote you", "Hand it off"),
        ("duplicate_403", "duplicate content", "other words"),
    ],
)
def test_a_403_to_a_reply_is_terminal_in_xs_words(name: str, words: str, to_do: str) -> None:
    with (
        Replaying(written(f"x/{name}.json", "POST:/2/tweets:403")) as server,
        pytest.raises(Terminal, match=words) as caught,
    ):
        opened(server).answer(ASKED, "Hello", "key")
    assert to_do in caught.value.what_to_do
    assert server.asked("POST", "/2/tweets") == 1


def test_a_503_to_a_reply_is_unknown_and_posted_once() -> None:
    with Replaying(written("x/reply_403.json", "POST:/2/tweets:503")) as server, pytest.raises(OutcomeUnknown):
        opened(server).answer(ASKED, "Hello", "key")
    assert server.asked("POST", "/2/tweets") == 1


def test_a_429_to_a_search_waits_for_the_reset_and_a_day_at_most() -> None:
    with Replaying(written("x/search_429.json")) as server, pytest.raises(Transient) as caught:
        collect(opened(server), Query("kettle"), {})
    assert caught.value.retry_after == 86_400
    assert len(server.requests) == 1


def test_a_look_up_tells_what_is_gone() -> None:
    ids = [f"19910000000000000{n:02}" for n in range(9, 15)]
    with Replaying(written("x/lookup.json", "GET:/2/tweets")) as server:
        there = opened(server).still_there(ids)
    assert there == dict(zip(ids, [True, True, False, False, False], strict=False)), "an edited post stands"
    assert server.requests[0]["query"]["ids"] == ",".join(ids)
    assert server.requests[0]["query"]["expansions"] == "author_id", "whatever came along would be paid for, too"


def test_a_recorded_look_up_tells_what_is_there() -> None:
    ids = ["1293593516040269825", "1293595870563381249", "1"]
    with Replaying(recording("tweepy/test_client_get_tweets.yaml")) as server:
        assert opened(server).still_there(ids) == {ids[0]: True, ids[1]: True}


def test_a_recorded_account_tells_its_name() -> None:
    recordings = [recording(f"tweepy/test_client_get_{name}.yaml") for name in ("me", "recent_tweets_count")]
    with Replaying(*recordings) as server:
        health = opened(server, access_token="1072250532645998596-token").check()
    assert health.account is not None
    assert (health.account.handle, health.account.display_name) == ("TweepyDev", "Tweepy Testing")
    assert server.asked("GET", "/2/tweets/search/recent") == 0, "a check is not paid for by the post"
