"""The Mastodon listener against recorded traffic of Mastodon 4.6, by what it really sent."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from listeners.base import Options, Post, Query, Rejected
from listeners.mastodon import Mastodon
from tests.listeners.contract import collect
from tests.listeners.replaying import Replaying, bodies, recording

HOME = "localhost:3000"
INSTANCE = "mastodon/test_instance.yaml"
ASKED = "117020583245459824"
POST = Post(
    platform="mastodon",
    external_id=f"{ASKED}@{HOME}",
    text="Toot, finally!",
    posted_at=datetime(2026, 8, 1, tzinfo=UTC),
)


def opened(server: Replaying) -> Mastodon:
    account = {"instance": f"http://{HOME}", "token": "t0ken"}
    return Mastodon(account, Options(server.url, 5.0, allow_private_hosts=True))


def at(folder: Path, where: str, body: bytes) -> str:
    """A recorded body, to be given at a place of its own (METHOD:PATH[:STATUS])."""
    file = folder / f"{len(list(folder.iterdir()))}.json"
    file.write_bytes(body)
    return f"{where}={file}"


@pytest.mark.parametrize(
    ("name", "which", "posts"),
    [
        ("test_hashtag_tl", 2, 1),
        ("test_pagination_iterator", 31, 10),
        ("test_public_tl", 2, 8),
        ("test_notifications", 1, 1),
        ("test_status_edit", 3, 1),
        ("test_status_context", 1, 0),
        ("test_search", 2, 0),
    ],
)
def test_recorded_answers_are_read_whole(name: str, which: int, posts: int) -> None:
    found = Mastodon({"instance": HOME}, Options()).parse(bodies(recording(f"mastodon/{name}.yaml"))[which])
    assert not [one for one in found if isinstance(one, Rejected)]
    assert len(found) == posts
    assert all(one.author and one.url and one.text for one in found if isinstance(one, Post))


def test_an_edit_is_seen() -> None:
    answer = bodies(recording("mastodon/test_status_edit.yaml"))[3]
    (post,) = Mastodon({"instance": HOME}, Options()).parse(answer)
    assert isinstance(post, Post)
    assert post.edited_at == datetime(2026, 8, 1, 13, 54, 0, 695_000, tzinfo=UTC)
    assert post.text.endswith("it is the KDE Advanced Text Editor, Kate")


def test_a_hashtag_is_read_page_by_page_by_max_id() -> None:
    tag = "fgiztsshwiaqqiztpmmjbtvmescsculuvmgjgopwoeidbcrixp"
    with Replaying(recording("mastodon/test_pagination_iterator.yaml")) as server:
        posts, cursor = collect(opened(server), Query(f"#{tag}"), {})
    assert len(posts) == 30
    assert {post.text for post in posts} == {f"Toot number {n}! #{tag}" for n in range(30)}
    assert cursor["done_until"]["at"] == max(post.posted_at for post in posts).isoformat()
    pages = [one["query"] for one in server.requests]
    assert pages[0] == {"limit": "40"}
    assert pages[1] == {"limit": "40", "max_id": "117020582177108552"}
    assert server.asked("GET", f"/api/v1/timelines/tag/{tag}") == len(server.requests)


def test_what_is_said_to_us_is_asked_for_by_kind() -> None:
    with Replaying(recording("mastodon/test_notifications.yaml")) as server:
        page = next(iter(opened(server).fetch(Query("", "notifications"), {})))
    (post,) = page.posts
    assert (post.text, post.mentions) == ("@mastodonpy_test hello!", (f"mastodonpy_test@{HOME}",))
    assert post.author is not None
    assert post.author.handle == f"admin@{HOME}"
    assert page.budget.remaining == 299
    assert page.budget.resets_at == datetime(2026, 8, 1, 13, 55, 0, 248_623, tzinfo=UTC)
    assert server.requests[0]["query"] == {"types[]": "quote", "limit": "40"}, "of two kinds the last one shows"


def test_a_search_asks_for_posts_only() -> None:
    with Replaying(recording("mastodon/test_search.yaml")) as server:
        posts, _ = collect(opened(server), Query("mastodonpy_test", "search"), {})
    assert posts == []
    assert server.requests[0]["query"] == {"q": "mastodonpy_test", "type": "statuses", "limit": "40", "offset": "0"}
    assert len(server.requests) == 1


def test_an_answer_is_posted_once(tmp_path: Path) -> None:
    asked, _, reply, *_ = bodies(recording("mastodon/test_status_reply.yaml"))
    there = [
        recording(INSTANCE),
        at(tmp_path, f"GET:/api/v1/statuses/{ASKED}", asked),
        at(tmp_path, "POST:/api/v1/statuses", reply),
    ]
    with Replaying(*there) as server:
        sent = opened(server).answer(POST, "@mastodonpy_test_2 same!", "key")
    assert sent.external_id == f"117020583258292382@{HOME}"
    assert sent.url == f"http://{HOME}/@admin/117020583258292382"
    assert sent.sent_at == datetime(2026, 8, 1, 13, 53, 15, 910_000, tzinfo=UTC)
    (posted,) = [one for one in server.requests if one["method"] == "POST"]
    assert json.loads(posted["body"]) == {
        "status": "@mastodonpy_test_2 same!", "in_reply_to_id": ASKED, "visibility": "public",
    }  # fmt: skip


def test_the_check_asks_the_instance_and_who_we_are() -> None:
    with Replaying(recording(INSTANCE), recording("mastodon/test_status_reply.yaml")) as server:
        health = opened(server).check()
    assert health.words == f"Signed in as @admin@{HOME}; a post takes 500 characters."
    assert [one["path"] for one in server.requests] == ["/api/v2/instance", "/api/v1/accounts/verify_credentials"]


def test_a_missing_post_is_gone(tmp_path: Path) -> None:
    (missing,) = bodies(recording("mastodon/test_status_missing.yaml"))
    shown = bodies(recording("mastodon/test_status_edit.yaml"))[3]
    there = [
        at(tmp_path, "GET:/api/v1/statuses", b"[" + shown + b"]"),
        recording("mastodon/test_status_missing.yaml"),
    ]
    with Replaying(*there) as server:
        found = opened(server).still_there([f"0@{HOME}", f"117020586180926938@{HOME}"])
    assert found == {f"0@{HOME}": False, f"117020586180926938@{HOME}": True}
    assert json.loads(missing) == {"error": "Not Found"}
    assert (server.asked("GET", "/api/v1/statuses"), server.asked("GET", "/api/v1/statuses/0")) == (1, 1)
