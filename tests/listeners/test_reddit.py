"""Reddit: its wire format, its listener against a fake that keeps the contract, and the traps of its client library."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings

from listeners import registry
from listeners.base import (
    Absent,
    Answers,
    Author,
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
from listeners.reddit import RedditListener, parse
from tests.listeners.contract import (
    AnswersContract,
    DeletesContract,
    EditsContract,
    LooksBackContract,
    NetworkContract,
    Rig,
    collect,
    mutations,
)
from tests.listeners.fake_reddit import ME, RedditServer, comment, listing, post
from tests.listeners.fake_server import Reply
from tests.listeners.faults import FaultsContract
from tests.listeners.replaying import FIXTURES

ACCOUNT = {"client_id": "id", "client_secret": "secret", "username": "samtal_desk", "password": "pass"}
SINCE = datetime.now(UTC) - timedelta(minutes=5)
NEW = Query("r/kettles", "posts")
COMMENTS = Query("r/kettles", "comments")


def fixture(name: str) -> bytes:
    return (FIXTURES / "reddit" / name).read_bytes()


def opened(url: str, **account: str) -> RedditListener:
    listener = registry.open("reddit", account or ACCOUNT, Options(url, 2.0, allow_private_hosts=True))
    assert isinstance(listener, RedditListener)
    return listener


def thread_page() -> bytes:
    """A comments page with a reply to a reply, as Reddit nests it."""
    first = comment("c1", "t3_p1", "t3_p1", "First", ME, 1_790_000_100)
    second = comment("c2", "t1_c1", "t3_p1", "Second", ME, 1_790_000_200)
    more = {"kind": "more", "data": {"count": 3, "name": "t1_c9", "children": ["c9"]}}
    first["data"]["replies"] = listing([second, more])
    return json.dumps([listing([post(1, 1_790_000_000)]), listing([first])]).encode()


class TestContract(FaultsContract, NetworkContract, LooksBackContract, AnswersContract, DeletesContract, EditsContract):
    @pytest.fixture
    def rig(self) -> Iterator[Rig]:
        with RedditServer() as server:
            yield Rig(
                opened(server.url), server, NEW, raw=[fixture("listing.json"), fixture("inbox.json"), thread_page()]
            )


@pytest.fixture
def server() -> Iterator[RedditServer]:
    with RedditServer() as server:
        yield server


@pytest.fixture
def reddit(server: RedditServer) -> RedditListener:
    return opened(server.url)


@pytest.fixture
def asked(server: RedditServer, reddit: RedditListener) -> Post:
    """A post that we are about to answer."""
    server.posts(1)
    (found,) = collect(reddit, NEW, {})[0]
    return found


def posts_of(server: RedditServer, path: str) -> int:
    return sum(request.method == "POST" and request.path.rstrip("/") == path for request in server.requests)


class TestParse:
    def test_a_post_with_everything(self) -> None:
        first = parse(fixture("listing.json"))[0]
        assert first == Post(
            platform="reddit",
            external_id="t3_1k0aa9",
            url="https://www.reddit.com/r/kettles/comments/1k0aa9/lid_came_loose/",
            author=Author(id="t2_77aa", handle="copper_spout"),
            title="Lid came loose",
            text="Second week. Paging u/samtal_desk and /u/other-one, but not menu/item.\n\n**Help** & thanks <3",
            posted_at=datetime(2025, 11, 21, 8, 0, tzinfo=UTC),
            edited_at=datetime(2025, 11, 21, 9, 0, tzinfo=UTC),
            mentions=("samtal_desk", "other-one"),
            engagement={"score": 41, "comments": 7},
        )

    def test_a_link_post_says_its_link_and_a_negative_score_is_no_count(self) -> None:
        second = parse(fixture("listing.json"))[1]
        assert isinstance(second, Post)
        assert second.text == "https://kettles.example/review?a=1"
        assert second.engagement == {"comments": 0}

    def test_a_comment_knows_what_it_answers_and_where(self) -> None:
        third = parse(fixture("listing.json"))[2]
        assert isinstance(third, Post)
        assert (third.kind, third.parent_id, third.root_id) == (Kind.COMMENT, "t1_nq0000", "t3_1k0aa9")
        assert third.url == "https://www.reddit.com/r/kettles/comments/1k0aa9/lid_came_loose/nq0001/"
        assert third.engagement == {}, "a hidden score is not shown"
        assert third.edited_at is None, "Reddit only says that it was edited, not when"

    def test_words_of_a_vanished_user_stay_without_a_name(self) -> None:
        fourth = parse(fixture("listing.json"))[3]
        assert isinstance(fourth, Post)
        assert (fourth.text, fourth.author) == ("The gasket was the cause.", None)
        assert fourth.url == "https://www.reddit.com/comments/1k0aa9/_/nq0002"

    def test_removed_and_damaged_ones_are_rejected_and_say_where(self) -> None:
        rejected = [one for one in parse(fixture("listing.json")) if isinstance(one, Rejected)]
        assert [one.where for one in rejected] == ["children[4]", "children[5]", "children[7]", "children[8]"]
        assert "t1_nq0003 was deleted or removed" in rejected[0].reason
        assert "t3_1k0aa7 was deleted or removed" in rejected[1].reason
        assert "created_utc" in rejected[2].reason
        assert "title" in rejected[3].reason

    def test_private_messages_are_left_alone(self) -> None:
        for name in ("listing.json", "inbox.json"):
            assert not [one for one in parse(fixture(name)) if "private" in repr(one) or "eyes" in repr(one)]

    def test_the_inbox_names_its_threads_by_their_context(self) -> None:
        mention, reply = parse(fixture("inbox.json"))
        assert isinstance(mention, Post) and isinstance(reply, Post)
        assert (mention.root_id, mention.parent_id, mention.mentions) == ("t3_1k0aa9", "t1_nq1000", ("samtal_desk",))
        assert mention.url == "https://www.reddit.com/r/kettles/comments/1k0aa9/lid_came_loose/nq1001/"
        assert (reply.root_id, reply.parent_id) == ("t3_1k0aa3", "t3_1k0aa3")

    def test_replies_inside_replies_come_in_the_order_of_the_page(self) -> None:
        found = parse(thread_page())
        assert [one.external_id for one in found if isinstance(one, Post)] == ["t3_p1", "t1_c1", "t1_c2"]
        assert len(found) == 3, "'more' is no post"

    def test_replies_nested_ten_thousand_deep_do_no_harm(self) -> None:
        inner, outer = b'{"kind":"t1","data":{"replies":{"kind":"Listing","data":{"children":[', b"]}}}}"
        with pytest.raises(Terminal):
            parse(b'{"kind":"Listing","data":{"children":[' + inner * 10_000 + outer * 10_000 + b"]}}")

    def test_hostile_characters_are_cleaned(self) -> None:
        hostile = post(1, 1_790_000_000, selftext="a\x00b\ud800c" + "x" * 200_000)
        (found,) = parse(json.dumps(listing([hostile])).encode())
        assert isinstance(found, Post)
        assert found.text.startswith("abcxxx") and len(found.text) <= 100_000

    @pytest.mark.parametrize(
        "answer", [b"", b"<html>", b"[]", b"{}", b'{"message": "Forbidden", "error": 403}', b"\xff"]
    )
    def test_what_is_no_answer_of_reddit_is_refused(self, answer: bytes) -> None:
        with pytest.raises(Terminal) as caught:
            parse(answer)
        assert caught.value.what_to_do

    def test_parsing_needs_no_account(self) -> None:
        assert registry_parse(fixture("inbox.json"))


def registry_parse(answer: bytes) -> list[Post | Rejected]:
    from listeners import reddit

    return reddit.open({}, Options()).parse(answer)


class TestQueries:
    @pytest.mark.parametrize(
        ("query", "path", "params"),
        [
            (Query("loud kettle"), "/search", {"q": "loud kettle", "restrict_sr": "false"}),
            (Query("r/kettles loud", "search"), "/r/kettles/search", {"q": "loud", "restrict_sr": "true"}),
            (Query("kettles", "posts"), "/r/kettles/new", {}),
            (Query(" /r/kettles+tea/ ", "comments"), "/r/kettles+tea/comments", {}),
            (Query("", "inbox"), "/message/inbox", {}),
        ],
    )
    def test_each_mode_reads_its_listing(
        self, server: RedditServer, reddit: RedditListener, query: Query, path: str, params: dict[str, str]
    ) -> None:
        server.posts(1)
        assert len(collect(reddit, query, {})[0]) == 1
        (asked,) = [request for request in server.requests if request.method == "GET"]
        assert asked.path.rstrip("/") == path
        assert asked.params.items() >= {"raw_json": "1", "limit": "100", **params}.items()
        assert asked.params.get("sort", "new") == "new", "a listing that is not newest first cannot be walked"

    @pytest.mark.parametrize(
        "query",
        [
            Query(""),
            Query("r/kettles"),
            Query("x" * 513),
            Query("no name", "posts"),
            Query("../me", "comments"),
            Query("a", "b"),
        ],
    )
    def test_a_query_that_means_nothing_is_refused_before_anything_is_asked(
        self, server: RedditServer, reddit: RedditListener, query: Query
    ) -> None:
        with pytest.raises(Terminal) as caught:
            collect(reddit, query, {})
        assert caught.value.what_to_do
        assert server.requests == []

    def test_an_app_without_a_user_reads_but_has_no_inbox_and_no_answers(self, server: RedditServer) -> None:
        server.posts(1)
        app = opened(server.url, client_id="id", client_secret="secret")
        (found,) = collect(app, NEW, {})[0]
        assert app.check().ok and app.check().account is None
        assert not app.may_answer(found).allowed
        for refused in (lambda: app.fetch(Query("", "inbox"), {}), lambda: app.answer(found, "Hello", "k")):
            with pytest.raises(Terminal):
                refused()

    def test_check_says_who_we_are(self, reddit: RedditListener) -> None:
        assert reddit.check().account == Author(id="t2_me1", handle="samtal_desk")

    def test_the_user_agent_is_honest(self, server: RedditServer, reddit: RedditListener) -> None:
        reddit.check()
        for request in server.requests:
            assert request.headers["user-agent"].startswith("Samtal/")
            assert "by /u/samtal_desk" in request.headers["user-agent"]


class TestWalking:
    def test_it_stops_at_the_mark(self, server: RedditServer, reddit: RedditListener) -> None:
        server.posts(30)
        _, cursor = collect(reddit, NEW, {})
        asked = len(server.requests)
        collect(reddit, NEW, cursor)
        assert len(server.requests) - asked <= 2

    def test_a_token_that_leads_nowhere_restarts_from_the_top(
        self, server: RedditServer, reddit: RedditListener
    ) -> None:
        server.posts(8)
        first = next(iter(reddit.fetch(NEW, {})))
        stale = {"done_until": None, "walking": {**first.cursor["walking"], "continue_from": "t3_p0"}}
        seen, _ = collect(reddit, NEW, stale)  # below t3_p0 there is nothing
        assert len(seen) == 8

    def test_the_budget_is_reddits_own(self, server: RedditServer, reddit: RedditListener) -> None:
        server.rate_headers = {"x-ratelimit-remaining": "88.0", "x-ratelimit-used": "12", "x-ratelimit-reset": "60"}
        server.posts(1)
        (page,) = reddit.fetch(NEW, {})
        assert (page.budget.remaining, page.budget.limit) == (88, 100)
        assert page.budget.resets_at is not None
        assert 50 < (page.budget.resets_at - datetime.now(UTC)).total_seconds() <= 60

    def test_an_empty_budget_says_when_instead_of_sleeping(self, server: RedditServer, reddit: RedditListener) -> None:
        server.rate_headers = {"x-ratelimit-remaining": "0.0", "x-ratelimit-used": "100", "x-ratelimit-reset": "300"}
        server.posts(ENOUGH_FOR_TWO_PAGES)
        with pytest.raises(Transient) as caught:
            collect(reddit, NEW, {})
        assert caught.value.retry_after is not None and 290 < caught.value.retry_after <= 300

    @pytest.mark.parametrize("odd", ["", "soon", "-3", "9" * 400, "nan"])
    def test_odd_rate_headers_are_no_trouble(self, server: RedditServer, reddit: RedditListener, odd: str) -> None:
        server.rate_headers = {"x-ratelimit-remaining": odd, "x-ratelimit-reset": odd}
        server.posts(1)
        assert len(collect(reddit, NEW, {})[0]) == 1


ENOUGH_FOR_TWO_PAGES = RedditServer.page_size + 1


class TestRefusals:
    @pytest.mark.parametrize(
        ("reply", "words"),
        [
            (Reply({"reason": "private", "message": "Forbidden", "error": 403}, 403), "private"),
            (Reply({"reason": "banned", "message": "Not Found", "error": 404}, 404), "banned"),
            (Reply(b"", 302, {"Location": "/subreddits/search?q=kettles"}), "no such subreddit"),
        ],
    )
    def test_a_subreddit_that_cannot_be_read_says_why(
        self, server: RedditServer, reddit: RedditListener, reply: Reply, words: str
    ) -> None:
        reddit.check()
        server.fails(reply)
        with pytest.raises(Terminal, match=words):
            collect(reddit, NEW, {})

    def test_an_outage_is_asked_about_once_and_left_to_the_engine(
        self, server: RedditServer, reddit: RedditListener
    ) -> None:
        reddit.check()
        asked = len(server.requests)
        server.goes_down()
        with pytest.raises(Transient):
            collect(reddit, NEW, {})
        assert len(server.requests) == asked + 1

    def test_a_refused_token_is_replaced_once(
        self, server: RedditServer, reddit: RedditListener, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("prawcore.sessions.time.sleep", lambda seconds: None)
        server.posts(1)
        truth = server._reply_to
        refused: list[Any] = []

        def refuses_once(request: Any, path: list[str]) -> Reply:
            if request.method == "GET" and not refused:
                refused.append(request)
                return Reply({"message": "Unauthorized", "error": 401}, 401)
            return truth(request, path)

        monkeypatch.setattr(server, "_reply_to", refuses_once)
        assert len(collect(reddit, NEW, {})[0]) == 1
        assert posts_of(server, "/api/v1/access_token") == 2

    def test_credentials_that_no_header_can_carry_are_refused(self) -> None:
        with pytest.raises(Terminal, match="client_secret"):
            opened("http://127.0.0.1:9", **{**ACCOUNT, "client_secret": "geheim\u2019"})


class TestDeletes:
    def test_a_moderators_removal_counts_and_the_unknown_is_left_out(
        self, server: RedditServer, reddit: RedditListener
    ) -> None:
        kept, removed = server.posts(2)
        server.change(removed, removed_by_category="moderator", selftext="[removed]")
        assert reddit.still_there([kept, removed, "t3_zzz", "nonsense"]) == {kept: True, removed: False}

    def test_ids_are_asked_for_by_the_hundred(self, server: RedditServer, reddit: RedditListener) -> None:
        names = server.posts(205)
        assert set(reddit.still_there(names).values()) == {True}
        asked = [len(r.params["id"].split(",")) for r in server.requests if r.path.startswith("/api/info")]
        assert asked == [100, 100, 5]


class TestContext:
    """A comment on a comment below a post of long ago."""

    @pytest.fixture
    def reply(self, server: RedditServer) -> str:
        old = server.started - 90 * 86_400
        server.elsewhere = [
            post(900, old, title="Kettle of long ago", selftext="Which one?"),
            comment("c900", "t3_p900", "t3_p900", "The copper one.", {"name": "ada", "id": "w9"}, old + 60),
        ]
        return server.comments("c901", "t1_c900", "t3_p900", "It leaks.")

    def test_a_comment_brings_what_it_answers_and_the_post_it_stands_under(
        self, server: RedditServer, reddit: RedditListener, reply: str
    ) -> None:
        (found,) = collect(reddit, COMMENTS, {})[0]
        assert (found.external_id, found.text, found.title) == (reply, "It leaks.", None)
        assert [(one.external_id, one.title, one.text) for one in found.context] == [
            ("t1_c900", None, "The copper one."),
            ("t3_p900", "Kettle of long ago", "Which one?"),
        ]

    def test_a_page_of_comments_costs_a_request_more_and_not_one_each(
        self, server: RedditServer, reddit: RedditListener, reply: str
    ) -> None:
        server.page_size = 100
        for n in range(40):
            server.comments(f"d{n}", reply if n % 2 else "t1_c900", "t3_p900", "Mine too.")
        found, _ = collect(reddit, COMMENTS, {})
        assert len(found) == 41
        assert {len(one.context) for one in found} == {2}
        asked = [request.params["id"] for request in server.requests if request.path.endswith("/api/info")]
        assert len(asked) == 1
        assert sorted(asked[0].split(",")) == ["t1_c900", "t3_p900"], "what stands on the page is not asked for"

    def test_posts_cost_none(self, server: RedditServer, reddit: RedditListener) -> None:
        server.posts(2)
        collect(reddit, NEW, {})
        assert not [request for request in server.requests if request.path.endswith("/api/info")]

    def test_what_was_deleted_stands_beside_nothing(
        self, server: RedditServer, reddit: RedditListener, reply: str
    ) -> None:
        server.elsewhere[0]["data"]["removed_by_category"] = "moderator"
        (found,) = collect(reddit, COMMENTS, {})[0]
        assert [one.external_id for one in found.context] == ["t1_c900"], "nor does its title"

    def test_a_page_is_not_lost_for_the_sake_of_its_threads(
        self, server: RedditServer, reddit: RedditListener, reply: str
    ) -> None:
        reddit.check()
        server.fails(Reply({"message": "Service Unavailable"}, 503), after=1)
        (found,) = collect(reddit, COMMENTS, {})[0]
        (headed,) = found.context
        assert (headed.external_id, headed.title, headed.text) == ("t3_p900", "Kettle of long ago", "")
        assert headed.posted_at_estimated
        assert headed.author == Author(id="copper_spout", handle="copper_spout")

    @pytest.mark.parametrize("title", [None, "", 7, ["x"], "x" * 5_000])
    def test_a_title_of_any_kind_costs_no_comment(self, title: Any) -> None:
        thing = comment("c1", "t3_p1", "t3_p1", "It leaks.", ME, 1_790_000_000)
        thing["data"] |= {"link_title": title, "link_author": title}
        (found,) = parse(json.dumps(listing([thing])).encode())
        assert isinstance(found, Post)
        assert [len(one.title or "") for one in found.context] == ([300] if title == "x" * 5_000 else [])


class TestReadingAgain:
    def test_an_edit_that_no_listing_shows_is_told(self, server: RedditServer, reddit: RedditListener) -> None:
        edited, removed, plain = server.posts(3)
        server.edits(edited, "It whistles no more.")
        server.deletes(removed)
        told = reddit.as_they_are([edited, removed, plain, "t3_unknown", "nonsense"])
        assert told.keys() == {edited, removed, plain}
        assert told[removed] is False
        now, same = told[edited], told[plain]
        assert isinstance(now, Post)
        assert isinstance(same, Post)
        assert (now.text, now.edited_at) == ("It whistles no more.", now.posted_at + timedelta(hours=1))
        assert (same.text, same.edited_at) == ("It whistles 2 times.", None)

    def test_what_cannot_be_read_stands_all_the_same(self, server: RedditServer, reddit: RedditListener) -> None:
        (name,) = server.posts(1)
        server.change(name, created_utc="the other day")
        assert reddit.as_they_are([name]) == {name: True}


class TestAnswers:
    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"locked": True}, "locked"),
            ({"archived": True}, "archived"),
            ({"author": "[deleted]", "selftext": "[deleted]"}, "deleted"),
        ],
    )
    def test_closed_threads_say_why(
        self, server: RedditServer, reddit: RedditListener, asked: Post, changes: dict[str, Any], words: str
    ) -> None:
        server.change(asked.external_id, **changes)
        verdict = reddit.may_answer(asked)
        assert not verdict.allowed
        assert words in verdict.reason

    def test_a_comment_in_a_locked_thread_cannot_be_answered(
        self, server: RedditServer, reddit: RedditListener, asked: Post
    ) -> None:
        below = asked.model_copy(update={"external_id": "t1_c7", "root_id": asked.external_id})
        assert reddit.may_answer(below).allowed
        server.change(asked.external_id, locked=True)
        assert not reddit.may_answer(below).allowed

    def test_an_outage_is_told_and_does_not_forbid(
        self, server: RedditServer, reddit: RedditListener, asked: Post
    ) -> None:
        server.goes_down()
        verdict = reddit.may_answer(asked)
        assert verdict.allowed
        assert "could not be asked" in verdict.reason

    @pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 520])
    def test_a_failure_after_the_post_is_unknown_and_never_repeated(
        self, server: RedditServer, reddit: RedditListener, asked: Post, status: int
    ) -> None:
        server.comment_answer = Reply(b"<html>oops</html>", status)
        with pytest.raises(OutcomeUnknown):
            reddit.answer(asked, "We know, and are on it.", "k")
        assert posts_of(server, "/api/comment") == 1
        assert isinstance(reddit.find(asked, "We know, and are on it.", "k", SINCE), Sent)

    def test_a_cut_connection_after_the_post_is_never_repeated(
        self, server: RedditServer, reddit: RedditListener, asked: Post
    ) -> None:
        server.loses_the_next_answer()
        with pytest.raises(OutcomeUnknown):
            reddit.answer(asked, "Once.", "k")
        assert posts_of(server, "/api/comment") == 1
        assert server.answers_under(asked.external_id) == ["Once."]

    @pytest.mark.parametrize(
        "said",
        [
            {"json": {"errors": [], "data": {"things": []}}},
            {"json": {"errors": []}},
            {"json": {"errors": [], "data": {"things": [{"kind": "t1", "data": {"name": 7}}]}}},
            {"success": True},
            [],
            b"<!doctype html>",
            b"",
        ],
    )
    def test_an_answer_that_shows_no_comment_is_unknown_and_then_found(
        self, server: RedditServer, reddit: RedditListener, asked: Post, said: Any
    ) -> None:
        server.comment_answer = Reply(said)
        with pytest.raises(OutcomeUnknown):
            reddit.answer(asked, "It fits.", "k")
        found = reddit.find(asked, "It fits.", "k", SINCE)
        assert isinstance(found, Sent)
        assert found.external_id == "t1_c0"
        assert posts_of(server, "/api/comment") == 1

    def test_whatever_reddit_says_to_a_comment_that_stands_it_is_never_called_unsent(
        self, server: RedditServer, reddit: RedditListener, asked: Post
    ) -> None:
        truth = {"json": {"errors": [], "data": {"things": [comment("c0", "t3_p0", "t3_p0", "Hi", ME, 1_790_000_000)]}}}

        @settings(max_examples=60, deadline=None)
        @given(mutations(json.dumps(truth).encode()))
        def sent_or_unknown(said: bytes) -> None:
            server.comment_answer = Reply(said)
            try:
                assert isinstance(reddit.answer(asked, "Hi", "k"), Sent)
            except OutcomeUnknown:
                pass

        sent_or_unknown()

    def test_a_comment_that_cannot_be_read_but_has_a_name_is_sent(
        self, server: RedditServer, reddit: RedditListener, asked: Post
    ) -> None:
        server.comment_answer = Reply(
            {"json": {"errors": [], "data": {"things": [{"kind": "t1", "data": {"name": "t1_c0"}}]}}}
        )
        assert reddit.answer(asked, "It fits.", "k").external_id == "t1_c0"

    @pytest.mark.parametrize(
        ("words", "more", "seconds"),
        [
            ("Take a break for 5 minutes before trying again.", {}, 300),
            ("Take a break for 9 seconds before trying again.", {}, 9),
            ("Take a break for 1 hour before trying again.", {}, 3600),
            ("Take a break for 5 minutes before trying again.", {"ratelimit": 281.5}, 281.5),
            ("Slow down.", {}, None),
        ],
    )
    def test_a_break_is_transient_and_says_how_long(
        self,
        server: RedditServer,
        reddit: RedditListener,
        asked: Post,
        words: str,
        more: dict[str, float],
        seconds: float | None,
    ) -> None:
        server.comment_answer = Reply({"json": {"errors": [["RATELIMIT", words, "ratelimit"]], **more}})
        with pytest.raises(Transient, match=words) as caught:
            reddit.answer(asked, "Hello", "k")
        assert caught.value.retry_after == seconds
        assert posts_of(server, "/api/comment") == 1

    def test_nothing_is_sent_when_signing_in_fails(self, server: RedditServer, asked: Post) -> None:
        again = opened(server.url)
        server.goes_down()
        with pytest.raises(Transient):
            again.answer(asked, "Hello", "k")
        assert posts_of(server, "/api/comment") == 0

    def test_nobody_there_means_that_nothing_was_sent(self, asked: Post, server: RedditServer) -> None:
        again = opened(server.url)
        again.check()
        server.stop()
        with pytest.raises(Transient):
            again.answer(asked, "Hello", "k")


class TestFind:
    def test_the_thread_knows_what_our_own_page_does_not_show_yet(
        self, server: RedditServer, reddit: RedditListener, asked: Post
    ) -> None:
        sent = reddit.answer(asked, "On it.", "k")
        server.forgets_our_page = True
        found = reddit.find(asked, "On it.", "k", SINCE)
        assert isinstance(found, Sent)
        assert found.external_id == sent.external_id

    def test_it_is_absent_when_page_and_thread_agree(self, reddit: RedditListener, asked: Post) -> None:
        assert reddit.find(asked, "On it.", "k", SINCE) == Absent()

    def test_an_older_answer_with_the_same_words_is_not_this_one(
        self, server: RedditServer, reddit: RedditListener, asked: Post
    ) -> None:
        reddit.answer(asked, "On it.", "k")
        server.ours[0]["data"]["created_utc"] -= 3600
        assert reddit.find(asked, "On it.", "k", SINCE) == Absent()

    def test_another_answer_since_then_is_for_a_person_to_judge(self, reddit: RedditListener, asked: Post) -> None:
        reddit.answer(asked, "On it, says somebody by hand.", "k")
        assert isinstance(reddit.find(asked, "On it.", "k", SINCE), CannotTell)

    def test_too_many_comments_of_ours_prove_nothing(
        self, server: RedditServer, reddit: RedditListener, asked: Post
    ) -> None:
        server.ours = [
            comment(f"d{n}", "t3_other", "t3_other", "Hi", ME, datetime.now(UTC).timestamp()) for n in range(30)
        ]
        assert isinstance(reddit.find(asked, "On it.", "k", SINCE), CannotTell)

    def test_an_answer_that_a_moderator_removed_was_posted_all_the_same(
        self, server: RedditServer, reddit: RedditListener, asked: Post
    ) -> None:
        reddit.answer(asked, "On it.", "k")
        server.ours[0]["data"] |= {"body": "[removed]", "author": "[deleted]"}
        assert isinstance(reddit.find(asked, "On it.", "k", SINCE), CannotTell)

    def test_a_damaged_comment_of_ours_proves_nothing(
        self, server: RedditServer, reddit: RedditListener, asked: Post
    ) -> None:
        reddit.answer(asked, "On it.", "k")
        server.ours[0]["data"]["created_utc"] = None
        assert isinstance(reddit.find(asked, "On it.", "k", SINCE), CannotTell)

    def test_a_thread_that_has_become_private_proves_nothing(
        self, server: RedditServer, reddit: RedditListener, asked: Post, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        truth = server._reply_to

        def private(request: Any, path: list[str]) -> Reply:
            return Reply({"reason": "private", "error": 403}, 403) if path[0] == "comments" else truth(request, path)

        monkeypatch.setattr(server, "_reply_to", private)
        assert isinstance(reddit.find(asked, "On it.", "k", SINCE), CannotTell)

    def test_line_ends_and_spaces_make_no_difference(self, reddit: RedditListener, asked: Post) -> None:
        reddit.answer(asked, "First line\n\nSecond *line*  ", "k")
        assert isinstance(reddit.find(asked, "First line\r\n\r\nSecond *line*", "k", SINCE), Sent)

    def test_it_is_a_listener_that_answers(self, reddit: RedditListener) -> None:
        assert isinstance(reddit, Answers)
