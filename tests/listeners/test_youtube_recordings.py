"""The YouTube listener against recorded bodies of YouTube's Data API, by what it really sent."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from listeners import youtube
from listeners.base import CannotTell, Options, Post, Query, Sent, Terminal, Transient
from listeners.youtube import YouTube
from tests.listeners.contract import collect
from tests.listeners.replaying import Replaying, recording, written

DATA = "python-youtube/apidata"
THREADS = "GET:/youtube/v3/commentThreads"
OAUTH = {"client_id": "id", "client_secret": "s3cret", "refresh_token": "r3fresh"}
THREAD = "Ugy_CAftKrIUCyPr9GR4AaABAg"
POST = Post(
    platform="youtube",
    external_id=THREAD,
    url=f"https://www.youtube.com/watch?v=JE8xdDp5B8Q&lc={THREAD}",
    text="Sun",
    posted_at=datetime(2022, 11, 14, tzinfo=UTC),
)


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ports of loopback come again, and an account is known by its server."""
    monkeypatch.setattr(youtube, "_ACCOUNTS", {})


def at(where: str, name: str) -> str:
    """A recorded bare body, to be given at a place."""
    return f"{where}={recording(f'{DATA}/{name}.json')}"


def signed_in() -> list[str]:
    return [written("youtube/token.json", "POST:/token"), written("youtube/channel.json", "GET:/youtube/v3/channels")]


def opened(server: Replaying, account: dict[str, str] | None = None) -> YouTube:
    return YouTube(account or {"api_key": "k3y"}, Options(server.url, 5.0, allow_private_hosts=True))


@pytest.mark.parametrize(
    ("name", "posts"),
    [
        ("comment_threads/comment_threads_by_video_paged_1", 5),
        ("comment_threads/comment_threads_by_channel", 2),
        ("comment_threads/comment_threads_multi", 2),
        ("comment_threads/insert_response", 1),
        ("comments/comments_multi", 2),
        ("comments/comments_by_parent_paged_1", 2),
        ("comments/insert_response", 1),
    ],
)
def test_recorded_bodies_are_read_whole(name: str, posts: int) -> None:
    found = YouTube({}, Options()).parse(Path(recording(f"{DATA}/{name}.json")).read_bytes())
    assert len(found) == posts
    assert all(isinstance(one, Post) and one.author and one.text for one in found)


def test_a_video_is_read_page_by_page() -> None:
    pages = [at(THREADS, f"comment_threads/comment_threads_by_video_paged_{n}") for n in (1, 2)]
    reply = at("GET:/youtube/v3/comments", "comments/comments_by_parent_paged_2")
    with Replaying(*pages, reply) as server:
        posts, cursor = collect(opened(server), Query("F1UP7wRCPH8", "video"), {})
    assert len(posts) == 6, "the two recorded pages hold the same threads, and one of them has a reply"
    said = next(post for post in posts if post.text == "Google.com")
    assert said.url == "https://www.youtube.com/watch?v=F1UP7wRCPH8&lc=UgyZ1jqkHKYvi1-ruOZ4AaABAg"
    assert cursor["listings"]["F1UP7wRCPH8"]["walk"]["done_until"]["at"] == "2019-11-26T15:51:44+00:00"
    first, replies, second = [one["query"] for one in server.requests]
    assert replies == {"part": "snippet", "parentId": "UgwI_ylXVnzPS8Q-oAV4AaABAg", "maxResults": "100"}
    asked = {"part": "snippet,replies", "videoId": "F1UP7wRCPH8", "order": "time", "maxResults": "100"}
    assert first == asked, "the key is no part of the address"
    assert second.pop("pageToken").startswith("QURTSl9p")
    assert second == asked


def test_a_thread_s_further_replies_are_asked_for_by_their_parent(tmp_path: Path) -> None:
    name = f"{DATA}/comment_threads/comment_threads_all_to_me.json"
    threads = json.loads(Path(recording(name)).read_text())
    threads["items"] = [one for one in threads["items"] if one["id"] == "Ugw5zYU6n9pmIgAZWvN4AaABAg"]
    threads["items"][0]["snippet"]["totalReplyCount"] = 3
    (tmp_path / "threads.json").write_text(json.dumps(threads))
    replies = [at("GET:/youtube/v3/comments", f"comments/comments_by_parent_paged_{n}") for n in (1, 2)]
    with Replaying(f"{THREADS}={tmp_path / 'threads.json'}", *replies) as server:
        posts, _ = collect(opened(server), Query("UCa-vrCLQHviTOVnEKDOdetQ", "channel"), {})
    assert [post.text for post in posts if post.parent_id][-1] == "hey, this is the replay"
    assert len(posts) == 4
    listing, first, second = [one["query"] for one in server.requests]
    assert listing["allThreadsRelatedToChannelId"] == "UCa-vrCLQHviTOVnEKDOdetQ"
    assert first == {"part": "snippet", "parentId": "Ugw5zYU6n9pmIgAZWvN4AaABAg", "maxResults": "100"}
    assert second["pageToken"].startswith("R0FJeVZn")


def test_a_reply_is_posted_once() -> None:
    with Replaying(*signed_in(), at("POST:/youtube/v3/comments", "comments/insert_response")) as server:
        sent = opened(server, OAUTH).answer(POST, "wow", "key")
    assert sent.external_id == f"{THREAD}.9iPXEClD9lW9iPXLqKy_Pt"
    assert sent.url == f"https://www.youtube.com/watch?v=JE8xdDp5B8Q&lc={sent.external_id}"
    assert sent.sent_at == datetime(2022, 11, 14, 10, 23, 2, tzinfo=UTC)
    token, posted = server.requests
    assert parse_qs(token["body"]) == {
        "grant_type": ["refresh_token"], "client_id": ["id"], "client_secret": ["s3cret"], "refresh_token": ["r3fresh"],
    }  # fmt: skip
    assert (posted["method"], posted["path"], posted["query"]) == ("POST", "/youtube/v3/comments", {"part": "snippet"})
    assert json.loads(posted["body"]) == {"snippet": {"parentId": THREAD, "textOriginal": "wow"}}


def test_a_recorded_reply_is_found_by_its_words(tmp_path: Path) -> None:
    made = json.loads(Path(recording(f"{DATA}/comments/insert_response.json")).read_text())
    (tmp_path / "replies.json").write_text(json.dumps({"kind": "youtube#commentListResponse", "items": [made]}))
    with Replaying(*signed_in(), f"GET:/youtube/v3/comments={tmp_path / 'replies.json'}") as server:
        listener, since = opened(server, OAUTH), datetime(2022, 11, 14, 10, 23, tzinfo=UTC)
        assert isinstance(listener.find(POST, "wow", "key", since), Sent)
        assert isinstance(listener.find(POST, "wow!", "key", since), CannotTell)
    assert server.asked("POST", "/youtube/v3/comments") == 0


def test_recorded_comments_tell_what_is_still_there() -> None:
    with Replaying(at("GET:/youtube/v3/comments", "comments/comments_multi")) as server:
        there = opened(server).still_there(
            ["UgyUBI0HsgL9emxcZpR4AaABAg", "Ugzi3lkqDPfIOirGFLh4AaABAg", "UgyGone_12345"]
        )
    assert there == {
        "UgyUBI0HsgL9emxcZpR4AaABAg": True, "Ugzi3lkqDPfIOirGFLh4AaABAg": True, "UgyGone_12345": False,
    }  # fmt: skip
    assert server.requests[0]["query"]["id"].count(",") == 2


@pytest.mark.parametrize(
    ("status", "name", "kind", "words"),
    [
        (400, "error_response", Terminal, "key or token"),
        (403, "error_permission_resp", Terminal, "does not allow this"),
        (403, "error_response_simple", Terminal, "error message"),
    ],
)
def test_recorded_refusals(status: int, name: str, kind: type[Exception], words: str) -> None:
    folder = DATA if name == "error_permission_resp" else "python-youtube"
    refused = f"{THREADS}:{status}={recording(f'{folder}/{name}.json')}"
    with Replaying(refused) as server, pytest.raises(kind, match=words):
        list(opened(server).fetch(Query("F1UP7wRCPH8", "video"), {}))
    assert server.asked("GET", "/youtube/v3/commentThreads") == 1


def test_used_up_units_to_an_answer_are_certain_and_sent_once() -> None:
    refused = written("youtube/quota_exceeded.json", "POST:/youtube/v3/comments:403")
    with Replaying(*signed_in(), refused) as server, pytest.raises(Transient, match="midnight") as caught:
        opened(server, OAUTH).answer(POST, "wow", "key")
    assert caught.value.retry_after is not None
    assert 0 < caught.value.retry_after <= 25 * 3_600
    assert server.asked("POST", "/youtube/v3/comments") == 1
