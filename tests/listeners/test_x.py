"""X: its wire format, its way of counting, its listener against a fake that keeps the contract, its library's traps."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from listeners import registry, x
from listeners.base import (
    Absent,
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
from listeners.x import XListener, parse, weighted_length
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
from tests.listeners.fake_server import Reply
from tests.listeners.fake_x import XServer, id_at, tweet
from tests.listeners.faults import FaultsContract
from tests.listeners.replaying import FIXTURES

READS = {"bearer_token": "bearer"}
ACCOUNT = {
    **READS,
    "api_key": "key",
    "api_secret": "secret",
    "access_token": "4001-token",
    "access_token_secret": "token-secret",
}
PROBLEM = "https://api.twitter.com/2/problems/resource-unavailable"
SINCE = datetime.now(UTC) - timedelta(minutes=5)
SEARCH = Query("kettle", "search")
MENTIONS = Query("", "mentions")
QUOTES = Query("", "quotes")


def fixture(name: str) -> bytes:
    return (FIXTURES / "x" / name).read_bytes()


def opened(url: str, account: dict[str, str] = ACCOUNT) -> XListener:
    listener = registry.open("x", account, Options(url, 2.0, allow_private_hosts=True))
    assert isinstance(listener, XListener)
    return listener


class TestContractOfSearch(
    FaultsContract, NetworkContract, LooksBackContract, AnswersContract, DeletesContract, EditsContract
):
    @pytest.fixture
    def rig(self) -> Iterator[Rig]:
        with XServer() as server:
            yield Rig(opened(server.url), server, SEARCH, raw=[fixture("search.json"), fixture("mentions.json")])


class TestContractOfMentions(
    FaultsContract, NetworkContract, LooksBackContract, AnswersContract, DeletesContract, EditsContract
):
    @pytest.fixture
    def rig(self) -> Iterator[Rig]:
        with XServer() as server:
            yield Rig(opened(server.url), server, MENTIONS, raw=[fixture("mentions.json"), fixture("lookup.json")])


class TestContractOfQuotes(
    FaultsContract, NetworkContract, LooksBackContract, AnswersContract, DeletesContract, EditsContract
):
    @pytest.fixture
    def rig(self) -> Iterator[Rig]:
        with XServer() as server:
            server.quoted = server.we_say("Our new kettle is out.")
            yield Rig(opened(server.url), server, QUOTES, raw=[fixture("search.json")])


@pytest.fixture
def server() -> Iterator[XServer]:
    with XServer() as server:
        yield server


@pytest.fixture
def listener(server: XServer) -> XListener:
    return opened(server.url)


@pytest.fixture
def asked(server: XServer, listener: XListener) -> Post:
    """A post that mentions us, which we are about to answer."""
    server.posts(1)
    (found,) = collect(listener, MENTIONS, {})[0]
    return found


def posted(server: XServer) -> int:
    return sum(request.method == "POST" for request in server.requests)


class TestParse:
    def test_a_post_with_everything(self) -> None:
        assert parse(fixture("search.json"))[0] == Post(
            platform="x",
            external_id="1991000000000000009",
            url="https://x.com/copper_spout/status/1991000000000000009",
            author=Author(id="7001", handle="copper_spout", display_name="Copper Spout", followers=120),
            text="@samtal_desk my kettle & its lid <3 see https://kettles.example/lid?a=1&b=2",
            lang="en",
            posted_at=datetime(2025, 11, 19, 8, 0, tzinfo=UTC),
            mentions=("4001",),
            engagement={"likes": 9, "reposts": 3, "replies": 1, "quotes": 0, "views": 411},
        )

    def test_a_reply_with_a_quote_knows_both_and_whom_it_quotes(self) -> None:
        second = parse(fixture("search.json"))[1]
        assert isinstance(second, Post)
        assert (second.kind, second.parent_id, second.root_id) == (
            Kind.COMMENT,
            "1991000000000000001",
            "1991000000000000001",
        )
        assert (second.quotes_id, second.quotes_author_id) == ("1990999999999999999", "4001")
        assert second.lang is None, "qme says that there are no words"
        assert "likes" not in second.engagement

    def test_reposts_are_left_out(self) -> None:
        assert "RT @" not in repr(parse(fixture("search.json")))

    def test_a_long_post_is_read_whole_and_its_names_become_ids(self) -> None:
        third = parse(fixture("search.json"))[2]
        assert isinstance(third, Post)
        assert third.text == "A long story that begins here and ends well. @KettleFan"
        assert third.mentions == ("7005",)
        assert third.author == Author(id="7004", handle="7004"), "X kept the user back"
        assert third.url == "https://x.com/i/status/1991000000000000006"
        assert third.lang == "id"

    def test_an_id_tells_the_time_where_nothing_else_does(self) -> None:
        fourth = parse(fixture("search.json"))[3]
        assert isinstance(fourth, Post)
        assert fourth.posted_at == datetime(2025, 11, 19, 4, 26, 5, 648000, tzinfo=UTC)
        assert fourth.author is None

    def test_damaged_ones_are_rejected_and_say_where(self) -> None:
        rejected = [one for one in parse(fixture("search.json")) if isinstance(one, Rejected)]
        assert [one.where for one in rejected] == ["data[5]", "data[6]", "data[7]"]
        assert "created_at" in rejected[0].reason
        assert "id" in rejected[1].reason
        assert "text" in rejected[2].reason

    @pytest.mark.parametrize("when", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
    def test_moments_beyond_the_calendar_are_rejected(self, when: str) -> None:
        (found,) = parse(
            json.dumps({"data": [{"id": "1991000000000000009", "text": "x", "created_at": when}]}).encode()
        )
        assert isinstance(found, Rejected)

    def test_a_reference_of_a_kind_that_is_no_word_costs_no_post(self) -> None:
        referenced = [{"type": [], "id": "1991000000000000001"}]
        (found,) = parse(
            json.dumps({"data": [{"id": "1991000000000000009", "text": "x", "referenced_tweets": referenced}]}).encode()
        )
        assert isinstance(found, Post)
        assert found.parent_id is None

    def test_no_results_are_no_error(self) -> None:
        assert parse(b'{"meta": {"result_count": 0}}') == []

    @pytest.mark.parametrize(
        "answer", [b"", b"<html>", b"[]", b"{}", b'{"title": "Forbidden", "status": 403}', b"\xff"]
    )
    def test_what_is_no_answer_of_x_is_refused(self, answer: bytes) -> None:
        with pytest.raises(Terminal) as caught:
            parse(answer)
        assert caught.value.what_to_do

    def test_a_refusal_is_no_empty_page(self) -> None:
        with pytest.raises(Terminal):
            parse(fixture("bad_query.json"))

    def test_parsing_needs_no_account(self) -> None:
        assert len(x.open({}, Options()).parse(fixture("mentions.json"))) == 1


class TestLength:
    @pytest.mark.parametrize(
        ("text", "length"),
        [
            ("", 0),
            ("Hello, world", 12),
            ("na\u00efve", 5),
            ("nai\u0308ve", 5),
            ("\u201cquoted\u201d \u2014 \u2026", 13),
            ("\u304a\u6e6f", 4),
            ("\ud55c\uad6d", 4),
            ("\U0001f600", 2),
            ("\U0001f468\u200d\U0001f469\u200d\U0001f467", 2),
            ("\U0001f44d\U0001f3fd", 2),
            ("\U0001f1ee\U0001f1f8\U0001f1f8\U0001f1ea", 4),
            ("3\ufe0f\u20e3", 2),
            ("\u2764\ufe0f", 2),
            ("https://kettles.example/a/very/long/path/that/goes/on/and/on?and=on", 23),
            ("http://a.io", 23),
            ("https://localhost", 17),
            ("See https://kettles.example/lid.", 4 + 23 + 1),
            ("Look at kettles.com now", 8 + 23 + 4),
            ("kettles.co.uk and kettles.de/lids", 23 + 5 + 23),
            ("e.g. this, i.e. that. And so.on", 31),
            ("mail me@kettles.com", 19),
        ],
    )
    def test_it_counts_as_x_does(self, text: str, length: int) -> None:
        assert weighted_length(text) == length

    @given(st.text(max_size=300))
    def test_no_text_is_lighter_than_nothing_or_heavier_than_an_address_a_character(self, text: str) -> None:
        assert 0 <= weighted_length(text) <= 23 * len(text)

    def test_it_is_quick_on_hostile_text(self) -> None:
        for hostile in ("a." * 50_000, "https://" * 12_500, "\u200d\U0001f468" * 50_000, "@a " * 33_000):
            began = time.process_time()
            assert weighted_length(hostile) > 280
            assert time.process_time() - began < 5


class TestQueries:
    def test_a_search_leaves_out_reposts_and_asks_for_all_it_needs(self, server: XServer, listener: XListener) -> None:
        server.posts(1)
        (found,) = collect(listener, Query("kettle OR  pot"), {})[0]
        assert found.author == Author(id="7000", handle="person_7000", display_name="Person 7000")
        (asked,) = server.requests
        assert asked.params["query"] == "(kettle OR pot) -is:retweet"
        assert asked.headers["authorization"] == "Bearer bearer"
        assert asked.headers["user-agent"].startswith("Samtal/")
        assert set(asked.params["expansions"].split(",")) >= {
            "author_id", "referenced_tweets.id", "referenced_tweets.id.author_id", "in_reply_to_user_id",
        }  # fmt: skip
        assert {"entities", "public_metrics", "referenced_tweets"} <= set(asked.params["tweet.fields"].split(","))

    def test_a_search_for_reposts_stays_as_it_is(self, server: XServer, listener: XListener) -> None:
        collect(listener, Query("kettle is:retweet"), {})
        assert server.requests[0].params["query"] == "kettle is:retweet"

    @pytest.mark.parametrize("query", [Query(" "), Query("x" * 500), Query("a", "b")])
    def test_a_query_that_x_would_refuse_is_refused_before_anything_is_asked(
        self, server: XServer, listener: XListener, query: Query
    ) -> None:
        with pytest.raises(Terminal) as caught:
            collect(listener, query, {})
        assert caught.value.what_to_do
        assert server.requests == []

    def test_xs_own_words_explain_a_bad_query(self, server: XServer, listener: XListener) -> None:
        server.fails(Reply(fixture("bad_query.json"), 400))
        with pytest.raises(Terminal, match=r"missing '\)'"):
            collect(listener, SEARCH, {})

    def test_an_app_without_an_account_searches_but_has_no_mentions_and_no_answers(
        self, server: XServer, asked: Post
    ) -> None:
        app = opened(server.url, READS)
        assert len(collect(app, SEARCH, {})[0]) == 1
        assert app.check().account is None
        assert not app.may_answer(asked).allowed
        for refused in (lambda: app.fetch(MENTIONS, {}), lambda: app.answer(asked, "Hello", "k")):
            with pytest.raises(Terminal):
                refused()

    def test_check_says_who_we_are(self, listener: XListener) -> None:
        assert listener.check().account == Author(id="4001", handle="samtal_desk", display_name="Samtal")

    @pytest.mark.parametrize(
        "account",
        [
            {**READS, "api_key": "key"},
            {**ACCOUNT, "access_token": "no-number"},
            {**READS, "bearer_token": "caf\u00e9"},
        ],
    )
    def test_credentials_that_cannot_be_right_are_refused_at_once(self, account: dict[str, str]) -> None:
        with pytest.raises(Terminal) as caught:
            opened("http://127.0.0.1:9", account)
        assert caught.value.what_to_do

    def test_credentials_are_never_logged(self, server: XServer, asked: Post, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.DEBUG):
            fresh = opened(server.url, {**ACCOUNT, "bearer_token": "hush-hush", "access_token_secret": "hush-hush"})
            collect(fresh, SEARCH, {})
            fresh.answer(asked, "Hello", "k")
        assert "hush-hush" not in caplog.text


class TestWalking:
    def test_nothing_is_paid_for_twice_but_a_minutes_overlap(self, server: XServer, listener: XListener) -> None:
        server.posts(8)
        _, cursor = collect(listener, SEARCH, {})
        asked = len(server.requests)
        again, _ = collect(listener, SEARCH, cursor)
        assert len(again) == 1
        assert len(server.requests) == asked + 1
        newest = int(server.tweets[-1]["id"])
        assert 0 < (newest - int(server.requests[-1].params["since_id"])) >> 22 <= 60_000

    def test_a_walk_that_was_stopped_is_not_paid_for_again(self, server: XServer, listener: XListener) -> None:
        server.posts(2)
        _, cursor = collect(listener, SEARCH, {})
        server.posts(8)
        stopped = next(iter(listener.fetch(SEARCH, cursor))).cursor
        collect(listener, SEARCH, stopped)
        newest = int(server.tweets[-1]["id"])
        assert (newest - int(server.requests[-1].params["since_id"])) >> 22 <= 60_000, "from where the first walk ended"

    def test_a_post_that_surfaces_late_is_still_read(self, server: XServer, listener: XListener) -> None:
        server.posts(3)
        _, cursor = collect(listener, SEARCH, {})
        late = dict(server.tweets[-1], id=str(int(server.tweets[-1]["id"]) - (30_000 << 22)))
        server.tweets.insert(2, late)
        assert late["id"] in {post.external_id for post in collect(listener, SEARCH, cursor)[0]}

    def test_a_mark_older_than_x_reaches_back_is_no_bound(self, server: XServer, listener: XListener) -> None:
        server.posts(2)
        old = {"done_until": {"key": int(id_at(time.time() - 8 * 86_400))}}
        assert len(collect(listener, SEARCH, old)[0]) == 2
        assert "since_id" not in server.requests[-1].params

    def test_a_walk_of_long_ago_goes_on_from_the_top(self, server: XServer, listener: XListener) -> None:
        server.posts(2)
        token = id_at(time.time() - 8 * 86_400)
        stopped = {"done_until": None, "walking": {"top": None, "continue_from": token, "pages": 1}}
        assert len(collect(listener, SEARCH, stopped)[0]) == 2
        assert not [request for request in server.requests if request.params.get("until_id") == token]

    def test_the_first_walk_is_bounded(self, server: XServer, listener: XListener) -> None:
        server.posts(60)
        assert len(collect(listener, SEARCH, {})[0]) == x.FIRST_PAGES * server.page_size

    def test_the_budget_is_xs_own(self, server: XServer, listener: XListener) -> None:
        (page,) = listener.fetch(SEARCH, {})
        assert (page.budget.remaining, page.budget.limit) == (440, 450)
        assert page.budget.resets_at == datetime.fromtimestamp(1_790_000_000, UTC)

    @pytest.mark.parametrize("odd", ["", "soon", "-1", "9" * 400])
    def test_odd_rate_headers_are_no_trouble(self, server: XServer, listener: XListener, odd: str) -> None:
        server.rate_headers = {"x-rate-limit-limit": odd, "x-rate-limit-remaining": odd, "x-rate-limit-reset": odd}
        server.posts(1)
        assert len(collect(listener, SEARCH, {})[0]) == 1
        server.fails(Reply({"title": "Too Many Requests"}, 429, {"x-rate-limit-reset": odd}))
        with pytest.raises(Transient) as caught:
            collect(listener, SEARCH, {})
        assert caught.value.retry_after is None

    def test_a_used_up_allowance_is_for_a_person(self, server: XServer, listener: XListener) -> None:
        server.fails(Reply(fixture("usage_capped.json"), 429))
        with pytest.raises(Terminal, match="Monthly product cap"):
            collect(listener, SEARCH, {})

    def test_a_redirect_is_not_followed(self, server: XServer, listener: XListener) -> None:
        server.fails(Reply(b"", 302, {"Location": server.url + "/elsewhere"}))
        with pytest.raises(Terminal):
            collect(listener, SEARCH, {})
        assert len(server.requests) == 1

    @pytest.mark.parametrize("body", [[], {"errors": 7}, {"errors": [None, 7, {}]}, "no", None])
    def test_an_error_of_any_shape_is_ours(self, server: XServer, listener: XListener, body: Any) -> None:
        server.fails(Reply(body, 403))
        with pytest.raises(Terminal, match="403"):
            collect(listener, SEARCH, {})


class TestDeletes:
    def test_what_nobody_may_see_is_gone_and_an_outage_proves_nothing(
        self, server: XServer, listener: XListener
    ) -> None:
        kept, deleted, protected, unsure = server.posts(4)
        server.deletes(deleted)
        server.gone |= {protected: "not-authorized-for-resource", unsure: "service-unavailable"}
        there = listener.still_there([kept, deleted, protected, unsure, "nonsense"])
        assert there == {kept: True, deleted: False, protected: False}
        assert "nonsense" not in server.requests[-1].params["ids"], "X refuses all ids for the sake of one"

    @pytest.mark.parametrize(
        "problem", ["resource-not-found", "not-authorized-for-resource", "resource-unavailable", "disallowed-resource"]
    )
    def test_deleted_protected_suspended_or_taken_away_all_go(
        self, server: XServer, listener: XListener, problem: str
    ) -> None:
        (name,) = server.posts(1)
        server.gone[name] = problem
        assert listener.as_they_are([name]) == {name: False}

    def test_an_author_who_is_suspended_takes_the_post_along(self, server: XServer, listener: XListener) -> None:
        kept, gone = server.posts(2)
        suspended = {"resource_type": "user", "resource_id": "7001", "parameter": "author_id", "type": PROBLEM}
        server.fails(Reply({"data": server.tweets, "errors": [suspended]}))
        there = listener.still_there([kept, gone])
        assert there == {kept: True, gone: False}

    def test_an_error_about_the_author_alone_names_the_post_by_what_was_asked(
        self, server: XServer, listener: XListener
    ) -> None:
        suspended = {"resource_type": "user", "resource_id": "7001", "parameter": "ids", "value": "12", "type": PROBLEM}
        server.fails(Reply({"errors": [suspended]}))
        assert listener.still_there(["12", "7001"]) == {"12": False}, "a user's number is no post's"

    @pytest.mark.parametrize(
        ("read_in", "withheld_in", "there"),
        [("", ["DE"], False), ("IS,NO", ["DE"], True), ("is, de", ["DE"], False), ("IS", ["XX"], False),
         ("IS", ["XY"], False), ("", [], True), ("IS", [7, None], True)],
    )  # fmt: skip
    def test_what_x_withholds_where_it_would_be_read_is_gone_and_never_comes(
        self, server: XServer, read_in: str, withheld_in: list[Any], there: bool
    ) -> None:
        reading = Options(server.url, 2.0, allow_private_hosts=True, extra={"countries": read_in})
        listener = XListener(ACCOUNT, reading)
        (name,) = server.posts(1)
        server.tweets[0]["withheld"] = {"copyright": False, "country_codes": withheld_in}
        assert listener.still_there([name]) == {name: there}
        (page,) = listener.fetch(SEARCH, {})
        assert [post.external_id for post in page.posts] == [name] * there
        assert [one.reason for one in page.rejected] == ["is withheld by X"] * (not there)

    def test_what_a_withheld_author_wrote_is_withheld(self) -> None:
        author = {"id": "7001", "username": "steam", "name": "Steam", "withheld": {"country_codes": ["FR"]}}
        said = {"id": "1991000000000000009", "text": "x", "author_id": "7001"}
        (found,) = parse(json.dumps({"data": [said], "includes": {"users": [author]}}).encode())
        assert isinstance(found, Rejected)

    def test_ids_are_asked_for_by_the_hundred(self, server: XServer, listener: XListener) -> None:
        names = server.posts(205)
        assert set(listener.still_there(names).values()) == {True}
        assert [len(request.params["ids"].split(",")) for request in server.requests] == [100, 100, 5]


class TestEdits:
    """Ten minutes after the post, under a new id."""

    def test_an_edit_is_a_new_version_of_the_same_post(self, server: XServer, listener: XListener) -> None:
        (name,) = server.posts(1)
        (before,), cursor = collect(listener, SEARCH, {})
        server.edits(name, "@samtal_desk my kettle, mended")
        server.edits(name, "@samtal_desk my kettle, mended twice")
        (after,), _ = collect(listener, SEARCH, cursor)
        assert (after.external_id, after.text) == (name, "@samtal_desk my kettle, mended twice")
        assert abs(after.posted_at - before.posted_at) < timedelta(seconds=1)
        assert before.edited_at is None
        assert after.edited_at == after.posted_at.replace(microsecond=0) + timedelta(minutes=20)
        assert after.root_id is None
        assert after.url is not None
        assert after.url.endswith(f"/{server.tweets[0]['id']}"), "it leads to what stands there now"

    def test_it_stands_and_says_what_it_says_now(self, server: XServer, listener: XListener) -> None:
        edited, plain = server.posts(2)
        server.edits(edited, "mended")
        told = listener.as_they_are([edited, plain])
        assert [post.text for post in told.values() if isinstance(post, Post)] == ["mended", "@samtal_desk kettle 1"]
        assert [post.external_id for post in told.values() if isinstance(post, Post)] == [edited, plain]
        server.deletes(str(server.tweets[0]["id"]))
        assert listener.still_there([edited, plain]) == {edited: False, plain: True}, "X deletes all versions at once"

    def test_an_old_version_is_no_newer_than_the_newest(self, server: XServer) -> None:
        (name,) = server.posts(1)
        server.edits(name, "mended")
        newest, first = server.tweets[0], server.elsewhere[0]
        for told in (newest, first):
            (found,) = parse(json.dumps({"data": [told]}).encode())
            assert isinstance(found, Post)
            assert found.edited_at is not None
            assert (found.edited_at == found.posted_at) is (told is first)

    def test_of_two_versions_on_a_page_the_later_one_stays(self, server: XServer, listener: XListener) -> None:
        (name,) = server.posts(1)
        server.edits(name, "mended")
        server.tweets.insert(0, server.elsewhere[0])
        (found,) = collect(listener, SEARCH, {})[0]
        assert found.text == "mended"

    def test_what_answers_or_quotes_a_later_version_answers_and_quotes_the_post(
        self, server: XServer, listener: XListener
    ) -> None:
        (name,) = server.posts(1)
        server.edits(name, "mended")
        later = str(server.tweets[0]["id"])
        server.answered_in(id_at(time.time() - 60), "how?", later, later, time.time() - 60)
        answer = collect(listener, SEARCH, {})[0][0]
        assert (answer.parent_id, answer.root_id) == (name, name)

    def test_an_edited_post_is_answered_in_its_last_version_and_the_answer_is_found(
        self, server: XServer, listener: XListener
    ) -> None:
        (name,) = server.posts(1)
        server.edits(name, "@samtal_desk mended")
        server.tweets[0]["entities"] = {"mentions": [{"username": "samtal_desk", "id": "4001"}]}
        later = str(server.tweets[0]["id"])
        (edited,) = collect(listener, MENTIONS, {})[0]
        listener.answer(edited, "Good to hear.", "k")
        assert server.answers_under(later) == ["Good to hear."]
        assert isinstance(listener.find(edited, "Good to hear.", "k", SINCE), Sent)
        server.ours[-1]["referenced_tweets"] = [{"type": "replied_to", "id": name}]
        assert isinstance(listener.find(edited, "Good to hear.", "k", SINCE), Sent)

    @pytest.mark.parametrize("history", [7, [], ["soon"], [None, 3], ["1991000000000000001"], {}])
    def test_a_history_that_is_none_is_no_edit(self, history: Any) -> None:
        said = {"id": "1991000000000000009", "text": "x", "edit_history_tweet_ids": history}
        (found,) = parse(json.dumps({"data": [said]}).encode())
        assert isinstance(found, Post)
        assert (found.external_id, found.edited_at) == ("1991000000000000009", None)


class TestThreads:
    """A reply to somebody's reply, in a thread that began a month ago."""

    @pytest.fixture
    def thread(self, server: XServer) -> tuple[str, str, str]:
        now = time.time()
        root, parent, reply = id_at(now - 30 * 86_400), id_at(now - 20 * 86_400), id_at(now - 600)
        server.elsewhere = [
            tweet(root, "Which kettle?", "7800", now - 30 * 86_400),
            tweet(parent, "The copper one.", "7801", now - 20 * 86_400, conversation_id=root),
        ]
        server.answered_in(reply, "It leaks.", parent, root, now - 600)
        return root, parent, reply

    def test_a_reply_brings_what_it_answers_and_what_its_thread_begins_with(
        self, server: XServer, listener: XListener, thread: tuple[str, str, str]
    ) -> None:
        root, parent, reply = thread
        (page,) = listener.fetch(SEARCH, {})
        assert [post.external_id for post in page.posts] == [reply], "and makes no mention of them"
        above = {one.external_id: one for one in page.posts[0].context}
        assert {name: one.text for name, one in above.items()} == {parent: "The copper one.", root: "Which kettle?"}
        assert above[root].author == Author(id="7800", handle="person_7800", display_name="Person 7800")
        assert above[parent].context == ()
        assert [request.params.get("ids") for request in server.requests] == [None, root], (
            "only what did not come along"
        )
        assert page.budget.kind == "search"

    def test_a_page_is_not_lost_for_the_sake_of_its_threads(
        self, server: XServer, listener: XListener, thread: tuple[str, str, str]
    ) -> None:
        server.fails(Reply({"title": "Service Unavailable"}, 503), after=1)
        (page,) = listener.fetch(SEARCH, {})
        assert [one.text for one in page.posts[0].context] == ["The copper one."]

    def test_what_nobody_may_see_is_not_asked_for_again(
        self, server: XServer, listener: XListener, thread: tuple[str, str, str]
    ) -> None:
        assert isinstance(listener.parse(fixture("search.json"))[1], Post)
        server.fails(Reply(fixture("search.json")))
        next(iter(listener.fetch(SEARCH, {})))
        assert len(server.requests) == 1

    def test_what_is_quoted_comes_along(self) -> None:
        quoting = parse(fixture("search.json"))[1]
        assert isinstance(quoting, Post)
        (quoted,) = quoting.context
        assert (quoted.external_id, quoted.text) == (quoting.quotes_id, "Our new kettle is out.")

    def test_what_is_withheld_or_damaged_stands_beside_nothing(self) -> None:
        answer = json.loads(fixture("search.json"))
        quoted = answer["includes"]["tweets"][0]
        for changed in ({**quoted, "withheld": {"country_codes": ["XX"]}}, {**quoted, "text": 7}):
            answer["includes"]["tweets"] = [changed]
            quoting = parse(json.dumps(answer).encode())[1]
            assert isinstance(quoting, Post)
            assert quoting.context == ()


class TestQuotes:
    def test_whoever_quotes_us_is_found_and_may_be_answered(self, server: XServer, listener: XListener) -> None:
        server.quoted = server.we_say("Our new kettle is out.")
        (name,) = server.posts(1)
        server.tweets[0]["entities"] = {}
        server.tweets.append(tweet(id_at(time.time() - 60), "kettles, in general", "7900", time.time() - 60))
        (found,), cursor = collect(listener, QUOTES, {})
        assert (found.external_id, found.quotes_id, found.quotes_author_id) == (name, server.quoted, "4001")
        assert [one.text for one in found.context] == ["Our new kettle is out."]
        assert listener.may_answer(found).allowed
        assert cursor["ours"] == [server.quoted]

    def test_only_our_new_posts_are_read_again(self, server: XServer, listener: XListener) -> None:
        first = server.we_say("Our new kettle is out.")
        _, cursor = collect(listener, QUOTES, {})
        second = server.we_say("And a pot.", days_ago=1)
        _, cursor = collect(listener, QUOTES, cursor)
        timelines = [request for request in server.requests if request.path == "/2/users/4001/tweets"]
        assert [request.params.get("since_id") for request in timelines] == [None, first]
        assert cursor["ours"] == [second, first]

    def test_more_posts_than_a_search_can_name_are_asked_about_one_search_after_another(
        self, server: XServer, listener: XListener
    ) -> None:
        server.page_size = 100
        names = [server.we_say(f"Kettle {n}", days_ago=5 - n / 10) for n in range(30)]
        for server.quoted in names:
            server.posts(1)
        found, cursor = collect(listener, QUOTES, {})
        assert len(found) == 30
        searches = [request.params["query"] for request in server.requests if "query" in request.params]
        assert len(searches) == 3
        assert max(map(len, searches)) <= x.MAX_QUERY
        again, _ = collect(listener, QUOTES, cursor)
        assert len(again) <= 2, "only the last minute before the newest"

    def test_a_walk_that_rested_too_long_goes_on_with_the_posts_that_it_had_not_come_to(
        self, server: XServer, listener: XListener
    ) -> None:
        names = [server.we_say(f"Kettle {n}", days_ago=5 - n / 10) for n in range(12)]
        server.quoted = names[0]
        (quote,) = server.posts(1)
        newest_first, long_ago = names[::-1], id_at(time.time() - 8 * 86_400)
        token = [newest_first, long_ago]
        stopped = {
            "done_until": None,
            "walking": {"top": None, "continue_from": token, "pages": 1},
            "ours": newest_first,
        }
        pages = listener.fetch(QUOTES, stopped)
        assert [[post.external_id for post in page.posts] for page, _ in zip(pages, range(2), strict=False)] == [
            [],
            [quote],
        ]

    def test_nobody_is_asked_where_we_have_said_nothing(self, server: XServer, listener: XListener) -> None:
        assert collect(listener, QUOTES, {}) == ([], {"done_until": None, "ours": []})
        assert [request.path for request in server.requests] == ["/2/users/4001/tweets"]

    def test_it_needs_an_account(self, server: XServer) -> None:
        with pytest.raises(Terminal):
            opened(server.url, READS).fetch(QUOTES, {})

    @pytest.mark.parametrize(
        "named",
        [
            "{}",
            "https://x.com/copper_spout/status/{}",
            "twitter.com/i/web/status/{}?s=20",
            " http://x.com/i/status/{}/ ",
        ],
    )
    def test_what_is_said_to_one_post_is_read_by_its_address(
        self, server: XServer, listener: XListener, named: str
    ) -> None:
        server.quoted = root = id_at(time.time() - 30 * 86_400)
        (quote,) = server.posts(1)
        reply = id_at(time.time() - 60)
        server.answered_in(reply, "Mine leaks.", root, root, time.time() - 60)
        server.tweets.append(tweet(id_at(time.time() - 50), "kettles, in general", "7900", time.time() - 50))
        found, _ = collect(listener, Query(named.format(root), "post"), {})
        assert {post.external_id for post in found} == {quote, reply}
        query = server.requests[0].params["query"]
        assert query == f"(conversation_id:{root} OR quotes_of_tweet_id:{root}) -is:retweet"

    @pytest.mark.parametrize(
        "named", ["", "kettle", "https://x.com/copper_spout", "https://y.com/a/status/1", "1" * 20]
    )
    def test_what_is_no_address_of_a_post_is_refused(self, listener: XListener, named: str) -> None:
        with pytest.raises(Terminal, match="no address of a post"):
            listener.fetch(Query(named, "post"), {})


class TestAnswers:
    def test_only_who_mentioned_or_quoted_us_may_be_answered(self, listener: XListener, asked: Post) -> None:
        stranger = asked.model_copy(update={"mentions": ("4002",)})
        quoting = stranger.model_copy(update={"quotes_id": "1", "quotes_author_id": "4001"})
        assert listener.may_answer(asked).allowed
        assert listener.may_answer(quoting).allowed
        verdict = listener.may_answer(stranger)
        assert not verdict.allowed
        assert "mentioned or quoted" in verdict.reason

    def test_asking_whether_costs_nothing(self, server: XServer, listener: XListener, asked: Post) -> None:
        before = len(server.requests)
        listener.may_answer(asked)
        assert len(server.requests) == before

    def test_a_stranger_is_not_answered_even_if_somebody_tries(
        self, server: XServer, listener: XListener, asked: Post
    ) -> None:
        with pytest.raises(Terminal, match="mentioned or quoted"):
            listener.answer(asked.model_copy(update={"mentions": ()}), "Hello", "k")
        assert posted(server) == 0

    def test_too_long_an_answer_is_refused_before_it_is_sent(
        self, server: XServer, listener: XListener, asked: Post
    ) -> None:
        with pytest.raises(Terminal, match="282"):
            listener.answer(asked, "\u6e6f" * 141, "k")
        assert posted(server) == 0

    def test_an_answer_is_signed_and_says_what_it_answers(
        self, server: XServer, listener: XListener, asked: Post
    ) -> None:
        sent = listener.answer(asked, "Thank you \u2013 \U0001fad6\x00", "k")
        (request,) = [request for request in server.requests if request.method == "POST"]
        assert request.json() == {
            "text": "Thank you \u2013 \U0001fad6",
            "reply": {"in_reply_to_tweet_id": asked.external_id},
        }
        assert request.headers["authorization"].startswith("OAuth ")
        assert sent.url == f"https://x.com/i/status/{sent.external_id}"
        assert abs(sent.sent_at - datetime.now(UTC)) < timedelta(minutes=1)

    @pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
    def test_a_failure_after_the_post_is_unknown_and_never_repeated(
        self, server: XServer, listener: XListener, asked: Post, status: int
    ) -> None:
        server.reply_answer = Reply(b"<html>oops</html>", status)
        with pytest.raises(OutcomeUnknown):
            listener.answer(asked, "We are on it.", "k")
        assert posted(server) == 1
        assert isinstance(listener.find(asked, "We are on it.", "k", SINCE), Sent)

    def test_a_reply_that_never_comes_is_unknown(self, server: XServer, asked: Post) -> None:
        impatient = XListener(ACCOUNT, Options(server.url, 0.3, allow_private_hosts=True))
        silent = server._lock  # it takes the request and says nothing
        with silent, pytest.raises(OutcomeUnknown, match="in time"):
            impatient.answer(asked, "We are on it.", "k")

    def test_whatever_x_says_to_a_post_that_stands_it_is_never_called_unsent(
        self, server: XServer, listener: XListener, asked: Post
    ) -> None:
        @settings(max_examples=60, deadline=None)
        @given(mutations(b'{"data": {"id": "1991000000000000009", "text": "Hi", "edit_history_tweet_ids": ["1"]}}'))
        def sent_or_unknown(said: bytes) -> None:
            server.reply_answer = Reply(said, 201)
            try:
                assert isinstance(listener.answer(asked, "Hi", "k"), Sent)
            except OutcomeUnknown:
                pass

        sent_or_unknown()

    def test_nobody_there_means_that_nothing_was_sent(self, server: XServer, asked: Post) -> None:
        again = opened(server.url)
        server.stop()
        with pytest.raises(Transient):
            again.answer(asked, "Hello", "k")

    def test_a_daily_limit_says_how_long(self, server: XServer, listener: XListener, asked: Post) -> None:
        now = int(time.time())
        headers = {
            "x-rate-limit-reset": str(now + 60),
            "x-user-limit-24hour-remaining": "0",
            "x-user-limit-24hour-reset": str(now + 3600),
        }
        server.fails(Reply({"title": "Too Many Requests"}, 429, headers))
        with pytest.raises(Transient) as caught:
            listener.answer(asked, "Hello", "k")
        assert caught.value.retry_after == pytest.approx(3600, abs=5)


class TestAsAUserOfOAuth2:
    """With the access that `Capability.oauth` gives, in place of an app's token and four keys."""

    CONNECTED = {"bearer_token": "users-access", "refresh_token": "r3fresh", "client_id": "samtal"}

    def connected(self, server: XServer, known_as: str | None = "4001") -> XListener:
        options = Options(server.url, 2.0, allow_private_hosts=True, known_as=known_as)
        listener = registry.open("x", self.CONNECTED, options)
        assert isinstance(listener, XListener)
        return listener

    def test_it_reads_answers_and_finds_its_answer_as_that_user(self, server: XServer) -> None:
        listener = self.connected(server)
        server.posts(1)
        (asked,) = collect(listener, MENTIONS, {})[0]
        sent = listener.answer(asked, "We look into it", "k")
        found = listener.find(asked, "We look into it", "k", SINCE)
        assert isinstance(found, Sent)
        assert found.external_id == sent.external_id
        assert {request.headers["authorization"] for request in server.requests} == {"Bearer users-access"}

    def test_before_x_has_said_who_we_are_nobody_is_answered(self, server: XServer, asked: Post) -> None:
        verdict = self.connected(server, None).may_answer(asked)
        assert not verdict.allowed
        assert "test the account" in verdict.reason


class TestFind:
    def test_names_before_the_words_and_the_form_of_addresses_make_no_difference(
        self, server: XServer, listener: XListener, asked: Post
    ) -> None:
        listener.answer(asked, "See kettles.example/lid  please", "k")
        server.ours[0]["text"] = "@person_7000 See https://t.co/AbCdEfGhIj please"
        server.ours[0]["entities"] = {
            "urls": [{"url": "https://t.co/AbCdEfGhIj", "expanded_url": "http://kettles.example/lid/"}]
        }
        assert isinstance(listener.find(asked, "See kettles.example/lid  please", "k", SINCE), Sent)

    def test_it_is_absent_when_our_timeline_does_not_have_it(self, listener: XListener, asked: Post) -> None:
        assert listener.find(asked, "On it.", "k", SINCE) == Absent()

    def test_the_same_words_to_somebody_else_are_not_this_answer(self, listener: XListener, asked: Post) -> None:
        listener.answer(asked.model_copy(update={"external_id": "1991000000000000001", "url": None}), "On it.", "k")
        assert listener.find(asked, "On it.", "k", SINCE) == Absent()

    def test_another_answer_since_then_is_for_a_person_to_judge(self, listener: XListener, asked: Post) -> None:
        listener.answer(asked, "On it, says somebody by hand.", "k")
        assert isinstance(listener.find(asked, "On it.", "k", SINCE), CannotTell)

    def test_it_reads_on_and_gives_up_honestly(self, server: XServer, listener: XListener, asked: Post) -> None:
        listener.answer(asked, "On it.", "k")
        elsewhere = asked.model_copy(update={"external_id": "1991000000000000001", "url": None})
        for n in range(5):
            listener.answer(elsewhere, f"Elsewhere {n}", "k")
        assert isinstance(listener.find(asked, "On it.", "k", SINCE), Sent), "on the second page"
        for n in range(5):
            listener.answer(elsewhere, f"Still elsewhere {n}", "k")
        assert isinstance(listener.find(asked, "On it.", "k", SINCE), CannotTell)

    def test_a_damaged_post_of_ours_proves_nothing(self, server: XServer, listener: XListener, asked: Post) -> None:
        listener.answer(asked, "On it.", "k")
        server.ours[0]["text"] = None
        assert isinstance(listener.find(asked, "On it.", "k", SINCE), CannotTell)

    def test_it_asks_only_since_then(self, server: XServer, listener: XListener, asked: Post) -> None:
        listener.find(asked, "On it.", "k", datetime(2026, 11, 20, 12, 0, tzinfo=UTC))
        assert server.requests[-1].params["start_time"] == "2026-11-20T11:59:00Z"
