"""YouTube: comments on a channel's videos, on named ones and on ours; its units, its refusals, its thirty days."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from listeners import registry, youtube
from listeners.base import (
    BadCredentials,
    CannotTell,
    Kind,
    Options,
    OutcomeUnknown,
    Post,
    Query,
    Rejected,
    Sent,
    Terminal,
    Transient,
)
from listeners.youtube import CAPABILITY, YouTube, opening
from tests.listeners.contract import (
    AnswersContract,
    DeletesContract,
    EditsContract,
    LooksBackContract,
    NetworkContract,
    Rig,
    collect,
)
from tests.listeners.fake_server import Reply
from tests.listeners.fake_youtube import CHANNEL, OTHER_VIDEO, VIDEO, YouTubeServer, comment, refusal
from tests.listeners.faults import FaultsContract

THREADS = (Path(__file__).parent / "fixtures" / "youtube" / "comment_threads.json").read_bytes()
OAUTH = {"client_id": "id", "client_secret": "s3cret", "refresh_token": "r3fresh"}
KEY = {"api_key": "k3y"}
OURS = Query("", "own")


@pytest.fixture
def server() -> Iterator[YouTubeServer]:
    with YouTubeServer() as running:
        yield running


def opened(server: YouTubeServer, account: Mapping[str, str] = OAUTH, **options: Any) -> YouTube:
    found = registry.open("youtube", account, Options(server.url, 2.0, allow_private_hosts=True, **options))
    assert isinstance(found, YouTube)
    return found


@pytest.fixture
def listener(server: YouTubeServer) -> YouTube:
    return opened(server)


def one_post(server: YouTubeServer, listener: YouTube) -> Post:
    (number,) = server.posts(1)
    return next(post for post in collect(listener, OURS, {})[0] if post.external_id == number)


def asked(server: YouTubeServer, what: str) -> list[Mapping[str, str]]:
    """The parameters of each request for one resource, in order."""
    return [one.params for one in server.requests if one.method == "GET" and one.path == f"/youtube/v3/{what}"]


class TestOwn(FaultsContract, NetworkContract, LooksBackContract, AnswersContract, DeletesContract, EditsContract):
    @pytest.fixture
    def rig(self, server: YouTubeServer, listener: YouTube) -> Rig:
        listener.check()  # signs in, so that only what it reads counts against the fake's limit
        return Rig(listener, server, OURS, raw=[THREADS])


class TestVideos(FaultsContract, NetworkContract, LooksBackContract, AnswersContract, DeletesContract, EditsContract):
    @pytest.fixture
    def rig(self, server: YouTubeServer, listener: YouTube) -> Rig:
        listener.check()
        return Rig(listener, server, Query(f"{VIDEO} {OTHER_VIDEO}", "video"), raw=[THREADS])


# --- From the wire to posts ----------------------------------------------------------------------------------------


def test_threads_become_comments(listener: YouTube) -> None:
    said, reply, nobody, plain, undated, empty = listener.parse(THREADS)
    assert isinstance(said, Post)
    assert said.external_id == "UgxHiss0000000000000001"
    assert said.text == "Mine hisses & sings <3\nSee 1:05"
    assert said.url == "https://www.youtube.com/watch?v=kettle00001&lc=UgxHiss0000000000000001"
    assert said.posted_at == datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
    assert said.edited_at == datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
    assert (said.kind, said.parent_id, said.engagement) == (Kind.COMMENT, None, {"likes": 4})
    assert said.author is not None
    assert (said.author.id, said.author.handle) == ("UCjanejanejanejanejane01", "@jane")
    assert isinstance(reply, Post)
    assert (reply.parent_id, reply.root_id) == (said.external_id, said.external_id)
    assert reply.url == "https://www.youtube.com/watch?v=kettle00001&lc=UgxHiss0000000000000001.9a"
    assert reply.edited_at is None
    assert isinstance(nobody, Post)
    assert nobody.author is None
    assert isinstance(plain, Post)
    assert (plain.text, plain.engagement) == ("Plain <b>as typed</b>", {})
    assert undated == Rejected("item 1, reply 2", "has no date")
    assert empty == Rejected("item 3", "has no id")


SHAPES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40) | st.just("x" * 200_000),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
GOOD = comment("Ugthread0000", "fine", datetime(2026, 1, 1, tzinfo=UTC))


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(st.sampled_from([*GOOD["snippet"], "textOriginal", "videoId", "parentId"]), SHAPES), SHAPES)
def test_a_comment_of_any_shape_loses_no_good_one(changes: dict[str, Any], number: Any) -> None:
    odd = {**GOOD, "id": number, "snippet": {**GOOD["snippet"], **changes}}
    whole = {"snippet": {"topLevelComment": odd, "videoId": number}, "replies": {"comments": [odd, GOOD, number]}}
    for answer in ([odd, GOOD], [whole], [number, whole]):
        found = youtube._read(answer)
        assert any(isinstance(one, Post) and one.external_id == "Ugthread0000" for one in found)


@pytest.mark.parametrize("answer", [b"{}", b"3", b'{"error": "no"}', b"[" * 100_000, b'{"items": 3}'])
def test_what_is_no_answer_is_terminal(listener: YouTube, answer: bytes) -> None:
    with pytest.raises(Terminal):
        listener.parse(answer)


# --- What is asked for ---------------------------------------------------------------------------------------------


def test_a_channel_is_found_by_its_handle_once(server: YouTubeServer) -> None:
    posted = server.posts(4)
    listener = opened(server, KEY)
    posts, cursor = collect(listener, Query("https://www.youtube.com/@acme/videos"), {})
    assert sorted(post.external_id for post in posts) == posted
    collect(listener, Query("@acme"), cursor)
    assert asked(server, "channels") == [{"part": "id", "forHandle": "@acme"}]
    first = asked(server, "commentThreads")[0]
    assert first == {
        "part": "snippet,replies", "allThreadsRelatedToChannelId": CHANNEL, "order": "time", "maxResults": "100",
    }  # fmt: skip
    assert all(one.headers["x-goog-api-key"] == "k3y" for one in server.requests)
    assert all("k3y" not in str(one.params) for one in server.requests), "an address ends up in logs"


@pytest.mark.parametrize(
    "words",
    [
        VIDEO,
        f"https://www.youtube.com/watch?v={VIDEO}&t=3s",
        f"https://youtu.be/{VIDEO}?si=x",
        f"https://youtube.com/shorts/{VIDEO}/",
    ],
)
def test_a_video_may_be_named_in_any_way(server: YouTubeServer, words: str) -> None:
    server.posts(1)
    assert len(collect(opened(server, KEY), Query(words, "video"), {})[0]) == 1
    assert asked(server, "commentThreads")[0]["videoId"] == VIDEO


@pytest.mark.parametrize(
    ("mode", "words"),
    [("video", ""), ("video", "kettles"), ("video", " ".join(f"kettle{n:05}" for n in range(21))), ("channel", "acme"),
     ("channel", ""), ("video", "https://[/"), ("search", "kettle")],
)  # fmt: skip
def test_what_is_no_video_or_channel_is_refused_before_anything_is_asked(
    server: YouTubeServer, mode: str, words: str
) -> None:
    with pytest.raises(Terminal):
        list(opened(server, KEY).fetch(Query(words, mode), {}))
    assert server.requests == []


def test_an_unknown_channel_says_so(server: YouTubeServer) -> None:
    with pytest.raises(Terminal, match="no such channel"):
        list(opened(server, KEY).fetch(Query("@nobody"), {}))


def test_a_video_without_comments_keeps_no_other_from_being_read(server: YouTubeServer) -> None:
    server.closed[VIDEO] = refusal(403, "commentsDisabled", "The video has <code>disabled comments</code>.")
    posted = server.posts(4, OTHER_VIDEO)
    pages = list(opened(server, KEY).fetch(Query(f"{VIDEO},{OTHER_VIDEO}", "video"), {}))
    assert sorted(post.external_id for page in pages for post in page.posts) == posted
    assert pages[-1].rejected == [Rejected(f"video {VIDEO}", "Comments are switched off on this video.")]
    with pytest.raises(Terminal, match="switched off") as caught:
        list(opened(server, KEY).fetch(Query(VIDEO, "video"), {}))
    assert "source" in caught.value.what_to_do


# --- Threads and replies -------------------------------------------------------------------------------------------


def test_all_replies_of_a_thread_are_read_and_only_when_their_number_changes(
    server: YouTubeServer, listener: YouTube
) -> None:
    server.posts(1)
    replies = [server.says("Ugthread0000", f"reply {n}") for n in range(8)]
    posts, cursor = collect(listener, OURS, {})
    assert {post.external_id for post in posts} == {"Ugthread0000", *replies}
    assert all(post.url and VIDEO in post.url for post in posts)
    pages = len(asked(server, "comments"))
    assert pages == 3, "eight replies, three a page"
    server.posts(1)
    collect(listener, OURS, cursor)
    assert len(asked(server, "comments")) == pages
    late = server.says("Ugthread0000", "late")
    assert late in {post.external_id for post in collect(listener, OURS, cursor)[0]}
    assert len(asked(server, "comments")) == pages + 3


def test_a_few_replies_need_no_request_of_their_own(server: YouTubeServer, listener: YouTube) -> None:
    server.posts(1)
    server.says("Ugthread0000", "me too")
    assert len(collect(listener, OURS, {})[0]) == 2
    assert asked(server, "comments") == []


def test_a_late_reply_to_an_old_thread_is_found_within_a_day(server: YouTubeServer, listener: YouTube) -> None:
    server.started -= timedelta(days=20)
    server.posts(9)
    _, cursor = collect(listener, OURS, {})
    late = server.says("Ugthread0000", "after weeks")
    server.posts(1)
    assert late not in {post.external_id for post in collect(listener, OURS, cursor)[0]}
    listing = cursor["listings"][CHANNEL]
    listing["deep_at"] = (datetime.now(UTC) - timedelta(hours=25)).isoformat()
    posts, cursor = collect(listener, OURS, cursor)
    assert late in {post.external_id for post in posts}
    assert len(posts) == 11, "what is kept is refreshed too"
    assert datetime.now(UTC) - datetime.fromisoformat(cursor["listings"][CHANNEL]["deep_at"]) < timedelta(minutes=1)


def test_a_deep_walk_that_was_cut_goes_on_and_is_done_once(server: YouTubeServer, listener: YouTube) -> None:
    server.started -= timedelta(days=20)
    server.posts(9)
    _, cursor = collect(listener, OURS, {})
    cursor["listings"][CHANNEL]["deep_at"] = None
    before = len(asked(server, "commentThreads"))
    cursor = next(iter(listener.fetch(OURS, cursor))).cursor
    assert cursor["listings"][CHANNEL]["deep"]
    _, cursor = collect(listener, OURS, cursor)
    assert not cursor["listings"][CHANNEL]["deep"]
    collect(listener, OURS, cursor)
    assert len(asked(server, "commentThreads")) == before + 1 + 2 + 1 + 1, "three deep, then the top, then the top"


def test_an_unchanged_first_page_is_not_sent_again(server: YouTubeServer, listener: YouTube) -> None:
    server.posts(5)
    _, cursor = collect(listener, OURS, {})
    server.requests.clear()
    posts, again = collect(listener, OURS, cursor)
    assert posts == []
    assert again == cursor
    (request,) = server.requests
    assert request.headers["if-none-match"].startswith('"')
    (new,) = server.posts(1)
    assert new in {post.external_id for post in collect(listener, OURS, again)[0]}


def test_a_page_token_that_is_refused_begins_the_walk_anew(server: YouTubeServer, listener: YouTube) -> None:
    posted = server.posts(8)
    cursor = next(iter(listener.fetch(OURS, {}))).cursor
    real = server._list
    server._list = lambda request: (  # type: ignore[method-assign]
        refusal(400, "invalidPageToken") if request.params.get("pageToken") == "page3" and not server.gone
        else real(request)
    )  # fmt: skip
    seen = {post.external_id for page in _until_it_fails(listener, cursor) for post in page}
    server.gone.add("nothing")
    assert seen | {post.external_id for post in collect(listener, OURS, cursor)[0]} == set(posted)


def _until_it_fails(listener: YouTube, cursor: dict[str, Any]) -> Iterator[list[Post]]:
    try:
        for page in listener.fetch(OURS, cursor):
            yield list(page.posts)
    except Transient:
        return


# --- Units and refusals --------------------------------------------------------------------------------------------


def test_units_are_counted(server: YouTubeServer) -> None:
    server.posts(4)
    listener = opened(server, KEY, extra={"daily_units": "200"})
    pages = list(listener.fetch(Query(VIDEO, "video"), {}))
    first, last = pages[0].budget, pages[-1].budget
    assert (first.limit, first.kind) == (200, "units")
    assert first.remaining is not None and last.remaining is not None
    assert first.remaining - last.remaining == len(pages) - 1
    assert first.resets_at is not None
    assert first.resets_at.astimezone(youtube.PACIFIC).hour == 0
    assert timedelta(0) < first.resets_at - datetime.now(UTC) <= timedelta(hours=25)


def test_an_answer_costs_fifty(server: YouTubeServer, listener: YouTube) -> None:
    post = one_post(server, listener)
    before = listener._budget().remaining
    listener.answer(post, "Hello", "key")
    after = listener._budget().remaining
    assert before is not None and after is not None
    assert before - after == 50


@pytest.mark.parametrize(
    ("status", "reason", "kind", "words"),
    [
        (403, "quotaExceeded", Transient, "midnight Pacific"),
        (403, "rateLimitExceeded", Transient, "too many"),
        (400, "keyInvalid", BadCredentials, "key"),
        (401, "authError", BadCredentials, "key"),
        (403, "accessNotConfigured", Terminal, "not switched on"),
        (403, "insufficientPermissions", Terminal, "permission"),
        (404, "videoNotFound", Terminal, "not there any more"),
        (403, "forbidden", Terminal, "403"),
        (400, "processingFailure", Transient, "at the moment"),
        (500, "backendError", Transient, "500"),
    ],
)
def test_refusals_are_told_apart_by_their_reason(
    server: YouTubeServer, status: int, reason: str, kind: type[Exception], words: str
) -> None:
    server.closed[VIDEO] = refusal(status, reason)
    with pytest.raises(kind, match=words) as caught:
        list(opened(server, KEY).fetch(Query(VIDEO, "video"), {}))
    assert isinstance(caught.value, Terminal) == issubclass(kind, Terminal)


def test_used_up_units_wait_until_midnight_pacific_and_show(server: YouTubeServer) -> None:
    server.closed[VIDEO] = refusal(
        403, "quotaExceeded", 'exceeded your <a href="/youtube/v3">quota</a>', "youtube.quota"
    )
    listener = opened(server, {"api_key": "k3y", **OAUTH})
    with pytest.raises(Transient) as caught:
        list(listener.fetch(Query(VIDEO, "video"), {}))
    assert caught.value.retry_after is not None
    until = datetime.now(youtube.PACIFIC) + timedelta(seconds=caught.value.retry_after)
    assert (until + timedelta(minutes=1)).hour == 0
    assert listener._budget().remaining == 0


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b'{"error": "simple"}', b'{"error": {"errors": [3, {"reason": 4}], "message": []}}', b"[]"]
)
def test_an_odd_refusal_is_still_ours(server: YouTubeServer, body: bytes) -> None:
    server.closed[VIDEO] = Reply(body, 403)
    with pytest.raises(Terminal, match="403"):
        list(opened(server, KEY).fetch(Query(VIDEO, "video"), {}))


# --- The account ---------------------------------------------------------------------------------------------------


def test_a_key_that_google_does_not_know(server: YouTubeServer) -> None:
    with pytest.raises(BadCredentials) as caught:
        opened(server, {"api_key": "other"}).check()
    assert "other" not in str(caught.value)


@pytest.mark.parametrize("missing", sorted(OAUTH))
def test_one_of_the_three_alone_is_refused(missing: str) -> None:
    with pytest.raises(Terminal, match="missing"):
        registry.open("youtube", {name: value for name, value in OAUTH.items() if name != missing}, Options())


def test_a_key_goes_to_no_other_address(server: YouTubeServer) -> None:
    with YouTubeServer() as elsewhere:
        server.closed[VIDEO] = Reply(status=302, headers={"Location": f"{elsewhere.url}/youtube/v3/commentThreads"})
        with pytest.raises(Transient, match="another address"):
            list(opened(server, KEY).fetch(Query(VIDEO, "video"), {}))
        assert elsewhere.requests == []


def test_without_an_account_it_can_only_parse(server: YouTubeServer) -> None:
    listener = YouTube({}, Options(server.url, 2.0, allow_private_hosts=True))
    assert listener.parse(THREADS)
    with pytest.raises(Terminal, match="API key"):
        list(listener.fetch(Query(VIDEO, "video"), {}))
    assert server.requests == []


def test_one_token_serves_all_listeners_of_an_account(server: YouTubeServer) -> None:
    for _ in range(3):
        assert opened(server).check().words == "Signed in as @acme."
    assert server.tokens == 1


def test_a_token_that_ended_early_is_renewed_once(server: YouTubeServer, listener: YouTube) -> None:
    post = one_post(server, listener)
    server.good_tokens = set()
    listener.answer(post, "Hello", "key")
    server.good_tokens = set()
    assert listener.still_there([post.external_id]) == {post.external_id: True}
    assert server.tokens == 3
    assert server.answers_under(post.external_id) == ["Hello"]


def test_a_token_is_renewed_before_it_ends(server: YouTubeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = opened(server)
    listener.check()
    now = time.monotonic()
    monkeypatch.setattr("listeners.youtube.time.monotonic", lambda: now + 3_550)
    listener.still_there(["Ugthread0000"])
    assert server.tokens == 2


@pytest.mark.parametrize(
    ("error", "words"), [("invalid_grant", "refresh token"), ("invalid_client", "client id"), ("other", "refused")]
)
def test_a_refused_refresh_token_says_so_and_shows_no_secret(server: YouTubeServer, error: str, words: str) -> None:
    server.refuses_tokens = Reply({"error": error, "error_description": "Token has been expired or revoked."}, 400)
    with pytest.raises(Terminal, match=words) as caught:
        opened(server).check()
    assert isinstance(caught.value, BadCredentials) == (error != "other")
    said = str(caught.value) + caught.value.what_to_do + repr(opened(server)) + repr(opened(server)._account)
    assert not [secret for secret in OAUTH.values() if len(secret) > 2 and secret in said]


def test_a_new_refresh_token_is_kept_and_an_ending_one_is_told(server: YouTubeServer) -> None:
    kept: list[Mapping[str, str]] = []
    server.token_extra = {"refresh_token": "n3w", "refresh_token_expires_in": 604_800}
    health = opened(server, on_credentials=kept.append).check()
    assert kept == [{"refresh_token": "n3w"}]
    assert health.expires_at is not None
    assert timedelta(days=6) < health.expires_at - datetime.now(UTC) < timedelta(days=8)


# --- Answering -----------------------------------------------------------------------------------------------------


def test_an_answer_is_posted_as_it_was_written_to_the_end_of_its_thread(
    server: YouTubeServer, listener: YouTube
) -> None:
    server.posts(1)
    reply = server.says("Ugthread0000", "does it?", "bo")
    post = next(one for one in collect(listener, OURS, {})[0] if one.external_id == reply)
    assert opening(post) == "@bo "
    assert opening(post.model_copy(update={"parent_id": None})) == ""
    sent = listener.answer(post, "@bo It does <b> & more", "key")
    (request,) = [one for one in server.requests if server.is_sending(one)]
    assert request.params == {"part": "snippet"}
    assert request.json() == {"snippet": {"parentId": "Ugthread0000", "textOriginal": "@bo It does <b> & more"}}
    assert sent.url == f"https://www.youtube.com/watch?v={VIDEO}&lc={sent.external_id}"


def test_a_key_alone_cannot_answer(server: YouTubeServer) -> None:
    listener = opened(server, KEY)
    server.posts(1)
    (post,) = collect(listener, Query(VIDEO, "video"), {})[0]
    verdict = listener.may_answer(post)
    assert not verdict.allowed
    assert "OAuth" in verdict.reason
    with pytest.raises(Terminal, match="OAuth"):
        listener.answer(post, "Hello", "key")


@pytest.mark.parametrize("text", ["", "  \n", "x" * 10_001])
def test_an_answer_that_youtube_would_refuse_is_not_sent(server: YouTubeServer, listener: YouTube, text: str) -> None:
    with pytest.raises(Terminal):
        listener.answer(one_post(server, listener), text, "key")
    assert not any(server.is_sending(one) for one in server.requests)


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (403, "commentsDisabled", Terminal),
        (400, "operationNotSupported", Terminal),
        (404, "parentCommentNotFound", Terminal),
        (403, "quotaExceeded", Transient),
        (400, "processingFailure", OutcomeUnknown),
        (500, "backendError", OutcomeUnknown),
        (503, "backendError", OutcomeUnknown),
    ],
)
def test_a_refused_answer_is_certain_or_unknown(
    server: YouTubeServer, listener: YouTube, status: int, reason: str, kind: type[Exception]
) -> None:
    post = one_post(server, listener)
    server.refuses_answers = refusal(status, reason)
    with pytest.raises(kind):
        listener.answer(post, "Hello", "key")
    assert sum(server.is_sending(one) for one in server.requests) == 1


def test_an_answer_that_is_held_for_review_is_not_called_absent(server: YouTubeServer, listener: YouTube) -> None:
    post = one_post(server, listener)
    sent = listener.answer(post, "See https://acme.example", "key")
    since = datetime.now(UTC)
    assert isinstance(listener.find(post, "See  https://acme.example\n", "key", since), Sent)
    assert isinstance(listener.find(post, "See https://acme.example", "key", since + timedelta(hours=1)), CannotTell)
    server.held.add(sent.external_id)
    assert isinstance(listener.find(post, "See https://acme.example", "key", since), CannotTell)


def test_somebody_else_s_same_words_are_not_ours(server: YouTubeServer, listener: YouTube) -> None:
    post = one_post(server, listener)
    server.says(post.external_id, "Thank you", "bo")
    found = listener.find(post, "Thank you", "key", datetime.now(UTC) - timedelta(minutes=1))
    assert isinstance(found, CannotTell)


# --- What was deleted ----------------------------------------------------------------------------------------------


def test_comments_are_asked_about_fifty_at_a_time(server: YouTubeServer, listener: YouTube) -> None:
    posted = server.posts(60)
    reply = server.says(posted[0], "me too")
    server.deletes(posted[3])
    there = listener.still_there([*posted, reply, "a b", ""])
    assert there == {**dict.fromkeys([*posted, reply], True), posted[3]: False}
    assert [len(one["id"].split(",")) for one in asked(server, "comments")] == [50, 11]


def test_one_comment_that_youtube_refuses_keeps_no_other_from_being_asked_about(
    server: YouTubeServer, listener: YouTube
) -> None:
    good, bad = server.posts(2)
    real = server._comments
    server._comments = lambda request: (  # type: ignore[method-assign]
        refusal(404, "commentNotFound") if bad in request.params["id"] else real(request)
    )
    assert listener.still_there([good, bad]) == {good: True, bad: False}


def test_the_terms_are_in_the_capability() -> None:
    assert CAPABILITY.retain == timedelta(days=30)
    assert not (CAPABILITY.trainable or CAPABILITY.exportable or CAPABILITY.cross_person_matching)
