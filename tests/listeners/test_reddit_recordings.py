"""The Reddit listener against recorded and hand-written traffic, by what it really sent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

import pytest

from listeners.base import Absent, Options, OutcomeUnknown, Post, Query, Terminal, Transient
from listeners.reddit import RedditListener, parse
from tests.listeners.contract import collect
from tests.listeners.replaying import Replaying, bodies, recording, written

ACCOUNT = {"client_id": "id", "client_secret": "secret", "username": "samtal_desk", "password": "pass"}
SIGNED_IN = "prawcore/TestScriptAuthorizer.test_refresh.json"
ASKED = Post(
    platform="reddit",
    external_id="t1_d1616q2",
    root_id="t3_4b1tfm",
    text="Does it whistle?",
    posted_at=datetime(2016, 3, 19, tzinfo=UTC),
)


def opened(server: Replaying) -> RedditListener:
    return RedditListener(ACCOUNT, Options(server.url, 5.0, allow_private_hosts=True))


@pytest.mark.parametrize(
    ("name", "posts", "rejected"),
    [
        ("TestSubredditListings.test_comments", 100, 0),
        ("TestSubredditListings.test_new", 100, 0),
        ("TestSubreddit.test_search", 6, 0),
        ("TestInbox.test_mentions", 16, 0),
        ("TestInbox.test_unread", 2, 0),
        ("TestSubmission.test_comments", 3, 0),
        ("TestComment.test_reply", 1, 0),
        ("TestComment.test_reply__none", 0, 0),
    ],
)
def test_recorded_answers_are_read_whole(name: str, posts: int, rejected: int) -> None:
    found = parse(bodies(recording(f"praw/{name}.json"))[0])
    assert [isinstance(one, Post) for one in found].count(True) == posts
    assert len(found) == posts + rejected
    assert all(one.author and one.url and one.text for one in found if isinstance(one, Post) and one.parent_id)


def test_a_search_is_read_over_http() -> None:
    with Replaying(recording("praw/TestSubreddit.test_search.json")) as server:
        posts, cursor = collect(opened(server), Query("r/all praw oauth search"), {})
    assert len(posts) == 6
    assert cursor["done_until"]["at"] == max(post.posted_at for post in posts).isoformat()
    assert server.asked("GET", "/r/all/search") == 1
    assert server.requests[-1]["query"] == {
        "q": "praw oauth search", "sort": "new", "t": "all", "type": "link", "restrict_sr": "true",
        "limit": "100", "raw_json": "1",
    }  # fmt: skip


def test_new_comments_are_polled_once_where_nothing_is_new() -> None:
    with Replaying(recording("praw/TestSubredditListings.test_comments.json")) as server:
        listener = opened(server)
        first = next(iter(listener.fetch(Query("askreddit", "comments"), {})))
        assert first.cursor["walking"]["continue_from"] == "t1_d4y8a9e"
        done = {"done_until": first.cursor["walking"]["top"]}
        for again, _ in zip(listener.fetch(Query("askreddit", "comments"), done), range(2), strict=False):
            assert {post.external_id for post in again.posts} == {post.external_id for post in first.posts}
    assert server.asked("POST", "/api/v1/access_token") == 1, "the token is used again"


def test_mentions_in_the_inbox() -> None:
    with Replaying(recording(SIGNED_IN), written("reddit/inbox.json", "GET:/message/inbox")) as server:
        posts, _ = collect(opened(server), Query("", "inbox"), {})
    assert [post.external_id for post in posts] == ["t1_nq1001", "t1_nq1002"]


def test_a_reply_is_posted_once() -> None:
    with Replaying(recording("praw/TestComment.test_reply.json")) as server:
        sent = opened(server).answer(ASKED, "Comment reply & more", "key")
    assert sent.external_id == "t1_d1680wu"
    assert sent.url == "https://www.reddit.com/comments/4b1tfm/_/d1680wu"
    assert sent.sent_at == datetime(2016, 3, 20, 0, 33, 51, tzinfo=UTC)
    (posted,) = [one for one in server.requests if one["path"].rstrip("/") == "/api/comment"]
    assert parse_qs(posted["body"]) == {
        "api_type": ["json"], "text": ["Comment reply & more"], "thing_id": ["t1_d1616q2"],
    }  # fmt: skip


def test_a_reply_that_shows_no_comment_is_unknown() -> None:
    with Replaying(recording("praw/TestComment.test_reply__none.json")) as server, pytest.raises(OutcomeUnknown):
        opened(server).answer(ASKED, "Comment reply", "key")
    assert server.asked("POST", "/api/comment") == 1


def test_a_503_to_a_reply_is_unknown_and_posted_once() -> None:
    with (
        Replaying(recording(SIGNED_IN), written("reddit/unavailable.json", "POST:/api/comment:503")) as server,
        pytest.raises(OutcomeUnknown),
    ):
        opened(server).answer(ASKED, "Comment reply", "key")
    assert server.asked("POST", "/api/comment") == 1


def test_reddits_break_is_transient_and_posted_once() -> None:
    with (
        Replaying(recording(SIGNED_IN), written("reddit/ratelimit.json", "POST:/api/comment")) as server,
        pytest.raises(Transient, match="Take a break for 5 minutes") as caught,
    ):
        opened(server).answer(ASKED, "Comment reply", "key")
    assert caught.value.retry_after == 300
    assert server.asked("POST", "/api/comment") == 1


def test_a_locked_thread_is_terminal_in_reddits_words() -> None:
    with (
        Replaying(recording(SIGNED_IN), written("reddit/thread_locked.json", "POST:/api/comment")) as server,
        pytest.raises(Terminal, match="Comments are locked") as caught,
    ):
        opened(server).answer(ASKED, "Comment reply", "key")
    assert "close" in caught.value.what_to_do


def test_a_403_to_a_reply_is_terminal_and_posted_once() -> None:
    with (
        Replaying(recording(SIGNED_IN), written("reddit/forbidden.json", "POST:/api/comment:403")) as server,
        pytest.raises(Terminal, match="403"),
    ):
        opened(server).answer(ASKED, "Comment reply", "key")
    assert server.asked("POST", "/api/comment") == 1


def test_a_503_to_a_listing_is_transient_and_asked_once() -> None:
    with (
        Replaying(recording(SIGNED_IN), written("reddit/unavailable.json", "GET:/r/kettles/new:503")) as server,
        pytest.raises(Transient, match="503"),
    ):
        collect(opened(server), Query("kettles", "posts"), {})
    assert server.asked("GET", "/r/kettles/new") == 1


def test_a_recorded_429_says_how_long_to_wait() -> None:
    with (
        Replaying(
            recording("prawcore/TestSession.test_request__too__many_requests__with_retry_headers.json")
        ) as server,
        pytest.raises(Transient) as caught,
    ):
        opened(server).check()
    assert caught.value.retry_after == 4
    assert server.asked("GET", "/api/v1/me") == 1


def test_a_429_to_a_listing_may_name_a_date() -> None:
    with (
        Replaying(recording(SIGNED_IN), written("reddit/listing_429.json")) as server,
        pytest.raises(Transient) as caught,
    ):
        collect(opened(server), Query("kettles", "posts"), {})
    until = datetime.now(UTC) + timedelta(seconds=caught.value.retry_after or 0)
    assert abs(until - datetime(2065, 10, 21, 7, 28, tzinfo=UTC)) < timedelta(minutes=1)


def test_a_429_to_signing_in_says_how_long_to_wait() -> None:
    with Replaying(written("reddit/sign_in_429.json")) as server, pytest.raises(Transient) as caught:
        opened(server).check()
    assert caught.value.retry_after == 17
    assert len(server.requests) == 1


def test_a_refused_password_says_so_in_reddits_words() -> None:
    name = "prawcore/TestScriptAuthorizer.test_refresh__with_invalid_username_or_password.json"
    with Replaying(recording(name)) as server, pytest.raises(Terminal, match="Only script apps may use password auth"):
        opened(server).check()
    assert len(server.requests) == 1


def test_a_recorded_account_tells_its_name() -> None:
    with Replaying(recording("praw/TestUser.test_me.json")) as server:
        account = opened(server).check().account
    assert account is not None
    assert (account.id, account.handle) == ("t2_4cixf", "PyAPITestUser2")


def test_recorded_lookups_tell_what_is_still_there() -> None:
    with Replaying(recording("praw/TestReddit.test_info.json")) as server:
        there = opened(server).still_there([f"t3_5dec{n:02}" for n in range(33)] + ["t1_zzzzzz"])
    assert (there["t3_5dec00"], there["t3_5dec01"]) == (True, False)
    assert there["t3_5dec21"] is False, "removed by a moderator, although its author's name still shows"
    assert "t1_zzzzzz" not in there
    assert server.asked("GET", "/api/info") == 1


def test_a_recorded_deletion_is_seen() -> None:
    with Replaying(recording("praw/TestComment.test_refresh__deleted_comment.json")) as server:
        assert opened(server).still_there(["t1_d7ltvl0"]) == {"t1_d7ltvl0": False}


def test_nothing_of_ours_on_page_or_thread_is_absent() -> None:
    nothing = written("reddit/nothing.json", "GET:/user/PyAPITestUser2/comments")
    thread = written("reddit/nothing.json", "GET:/comments/4b1tfm")
    with Replaying(recording("praw/TestUser.test_me.json"), nothing, thread) as server:
        found = opened(server).find(ASKED, "Comment reply", "key", datetime(2016, 3, 20, tzinfo=UTC))
    assert found == Absent()
    assert server.requests[-1]["query"]["comment"] == "d1616q2"
