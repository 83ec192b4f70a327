"""Stack Exchange: questions with their answers and comments, its patience obeyed, answers below them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from listeners import registry, stack_exchange
from listeners.base import (
    Absent,
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
from listeners.stack_exchange import StackExchange
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
from tests.listeners.fake_stack_exchange import SITE, US, StackExchangeServer
from tests.listeners.faults import FaultsContract

FIXTURES = Path(__file__).parent / "fixtures" / "stack_exchange"
QUESTIONS, COMMENTS, THROTTLED = (
    (FIXTURES / f"{name}.json").read_bytes() for name in ("questions", "comments", "throttled")
)
RAW = [QUESTIONS, COMMENTS]
ACCOUNT = {"key": "key((", "access_token": "token*)"}
TAG = Query("kettle", "tag")


def opened(
    server: StackExchangeServer | None = None, account: dict[str, str] | None = None, **extra: str
) -> StackExchange:
    options = Options(server.url if server else None, 2.0, allow_private_hosts=True, extra=extra)
    found = registry.open("stackexchange", ACCOUNT if account is None else account, options)
    assert isinstance(found, StackExchange)
    return found


@pytest.fixture
def server() -> Iterator[StackExchangeServer]:
    with StackExchangeServer() as running:
        yield running


class TestTag(FaultsContract, NetworkContract, LooksBackContract, AnswersContract, DeletesContract, EditsContract):
    """What is answered here is a question."""

    @pytest.fixture
    def rig(self, server: StackExchangeServer) -> Rig:
        return Rig(opened(server), server, TAG, raw=RAW)


class TestSearch(FaultsContract, NetworkContract, LooksBackContract, AnswersContract, DeletesContract, EditsContract):
    @pytest.fixture
    def rig(self, server: StackExchangeServer) -> Rig:
        return Rig(opened(server), server, Query("acme kettle", "search"), raw=RAW)


class TestAnsweringAnAnswer(AnswersContract):
    @pytest.fixture
    def rig(self, server: StackExchangeServer) -> Rig:
        server.posts(1)
        return Rig(opened(server), server, TAG)


class TestAnsweringAComment(AnswersContract):
    @pytest.fixture
    def rig(self, server: StackExchangeServer) -> Rig:
        server.posts(2)
        return Rig(opened(server), server, TAG)


# --- From the wire -------------------------------------------------------------------------------------------------


def test_a_question_brings_its_answers_and_comments() -> None:
    question, comment, of_nobody, answer, below_answer, titled, undated, lost = opened().parse(QUESTIONS)
    assert isinstance(question, Post)
    assert question.external_id == "stackoverflow/7001"
    assert question.title == 'Why does it "hiss" & drip?'
    assert question.text == "My kettle hisses:\n\nboil --quiet\n\nWhy?"
    assert question.url == "https://stackoverflow.com/questions/7001/why-does-it-hiss"
    assert question.author is not None
    assert (question.author.id, question.author.handle) == ("stackoverflow/41", "Gaël")
    assert question.engagement == {"score": 3, "answers": 2, "views": 120}
    assert question.edited_at == datetime.fromtimestamp(1795170000, UTC)
    assert (question.parent_id, question.root_id, question.kind) == (None, None, Kind.POST)
    assert isinstance(comment, Post)
    assert comment.external_id == "stackoverflow/comment/9001"
    assert comment.parent_id == comment.root_id == question.external_id
    assert comment.mentions == ("stackoverflow/41",)
    assert comment.text == "Which model, @Gaël?"
    assert isinstance(of_nobody, Post)
    assert of_nobody.author is None
    assert isinstance(answer, Post)
    assert (answer.external_id, answer.root_id, answer.kind) == (
        "stackoverflow/7002",
        "stackoverflow/7001",
        Kind.COMMENT,
    )
    assert answer.engagement == {}, "a count below nothing is none that can be kept"
    assert isinstance(below_answer, Post)
    assert (below_answer.parent_id, below_answer.root_id) == ("stackoverflow/7002", "stackoverflow/7001")
    assert isinstance(titled, Post)
    assert (titled.text, titled.author) == ("Lid?", None)
    assert isinstance(undated, Rejected)
    assert (undated.where, undated.reason) == ("item 1, answer 2", "has no date that is understood")
    assert isinstance(lost, Rejected)


def test_comments_come_by_themselves_too() -> None:
    comment, nowhere = opened().parse(COMMENTS)
    assert isinstance(comment, Post)
    assert comment.text == "Vinegar > soap"
    assert comment.parent_id == "stackoverflow/7002"
    assert isinstance(nowhere, Rejected)


def test_sites_never_share_an_id() -> None:
    there = opened(site="es.stackoverflow").parse(QUESTIONS)[0]
    assert isinstance(there, Post)
    assert (there.external_id, there.lang) == ("es.stackoverflow/7001", "es")
    assert there.author is not None
    assert there.author.id == "es.stackoverflow/41"


NAMES = [
    "question_id", "answer_id", "comment_id", "post_id", "title", "body", "owner", "creation_date", "link",
    "comments", "answers", "score", "last_edit_date", "reply_to_user", "last_activity_date",
]  # fmt: skip
Shape = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40)
    | st.sampled_from([10**30, -1, 253402300800, "x" * 200_000, "<" * 5_000, "&#" + "9" * 400]),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.sampled_from(NAMES + ["user_id"]), inside),
    max_leaves=5,
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(st.sampled_from(NAMES), Shape), st.sampled_from(["items", "answers", "comments"]))
def test_one_bad_item_never_costs_a_good_one(bad: dict[str, Any], where: str) -> None:
    good = json.loads(QUESTIONS)["items"][0]
    if where == "items":
        items = [bad, good, bad]
    else:
        good[where] = [bad, *good[where], bad]
        items = [good]
    found = opened().parse(json.dumps({"items": items}).encode())
    assert all(type(one) in (Post, Rejected) for one in found)
    ids = [one.external_id for one in found if isinstance(one, Post)]
    assert {"stackoverflow/7001", "stackoverflow/7002", "stackoverflow/comment/9001"} <= set(ids)
    assert len(ids) == len(set(ids))


# --- Reading -------------------------------------------------------------------------------------------------------


def test_tags_and_words_are_asked_for(server: StackExchangeServer) -> None:
    list(opened(server, days="3").fetch(Query(" [Kettle]; steam ", "tag"), {}))
    asked = server.requests[1]
    assert asked.path == "/2.3/questions"
    assert asked.params["tagged"] == "kettle;steam"
    assert (asked.params["sort"], asked.params["order"]) == ("activity", "asc")
    age = datetime.now(UTC).timestamp() - int(asked.params["min"])
    assert timedelta(days=3).total_seconds() <= age < timedelta(days=3, minutes=1).total_seconds()
    list(opened(server).fetch(Query("tea kettle", "search"), {}))
    assert (server.requests[-1].path, server.requests[-1].params["q"]) == ("/2.3/search/advanced", "tea kettle")


@pytest.mark.parametrize("typed", ["", "a b c d e f", "a/b", "x" * 36])
def test_what_is_no_tag_is_refused(typed: str) -> None:
    with pytest.raises(Terminal):
        next(opened().fetch(Query(typed, "tag"), {}))


def test_the_filter_is_made_once(server: StackExchangeServer) -> None:
    server.posts(3)
    _, cursor = collect(opened(server), TAG, {})
    collect(opened(server), TAG, cursor)
    collect(opened(server), TAG, {})
    assert server.filters_made == 1
    included = server.requests[0].params["include"].split(";")
    assert {"question.body", "answer.body", "comment.body", ".backoff", "question.answers"} <= set(included)


def test_comments_on_questions_that_did_not_move_arrive(server: StackExchangeServer) -> None:
    server.posts(4)
    listener = opened(server)
    _, cursor = collect(listener, TAG, {})
    late = server.comments_on(server.answers[0]["answer_id"], "Now it drips.")
    posts, _ = collect(listener, TAG, cursor)
    (comment,) = (post for post in posts if post.external_id == late)
    assert comment.root_id == f"{SITE}/{server.questions[0]['question_id']}"


def test_only_the_latest_posts_are_watched(server: StackExchangeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack_exchange, "WATCHED", 4)
    server.posts(20)
    _, cursor = collect(opened(server), TAG, {})
    latest = sorted(one["answer_id"] for one in server.answers)[-2:]
    assert [post for post, _ in cursor["watched"]][-1] == str(latest[-1])
    assert len(cursor["watched"]) == 4


def test_a_backoff_is_obeyed_by_everyone_and_nobody_sleeps(server: StackExchangeServer) -> None:
    posted = server.posts(15)
    server.backoff = {"/questions": 30}
    begun = datetime.now(UTC)
    pages = opened(server).fetch(TAG, {})
    page = next(pages)
    assert (page.budget.remaining, page.budget.kind) == (0, "questions")
    assert page.budget.resets_at is not None
    assert timedelta(seconds=25) < page.budget.resets_at - begun <= timedelta(seconds=35)
    asked = len(server.requests)
    with pytest.raises(Transient) as caught:
        next(pages)
    assert caught.value.retry_after is not None
    assert 25 < caught.value.retry_after <= 30
    with pytest.raises(Transient):
        next(opened(server).fetch(Query("lid", "tag"), {"filter": "!x"}))
    assert len(server.requests) == asked, "not one request too early"
    assert opened(server, account={"key": "another"})._shared.left("questions") <= 0, "another application may ask"
    next(opened(server).fetch(Query("lid", "search"), {}))  # another method may be asked
    server.backoff = {}
    server.comes_back()
    rest, _ = collect(opened(server), TAG, page.cursor)
    assert {post.external_id for post in [*page.posts, *rest]} == set(posted)


def test_the_budget_is_what_is_left_of_the_day(server: StackExchangeServer) -> None:
    server.posts(1)
    budget = next(opened(server).fetch(TAG, {})).budget
    assert (budget.remaining, budget.limit, budget.kind) == (298, 300, "")
    assert budget.resets_at is not None
    assert timedelta(0) < budget.resets_at - datetime.now(UTC) <= timedelta(days=1)


@pytest.mark.parametrize("status", [200, 400, 429])
def test_throttling_says_for_how_long(server: StackExchangeServer, status: int) -> None:
    server.fails(Reply(THROTTLED, status))
    with pytest.raises(Transient) as caught:
        list(opened(server).fetch(TAG, {}))
    assert caught.value.retry_after == 17_524
    asked = len(server.requests)
    with pytest.raises(Transient):
        opened(server).still_there([f"{SITE}/1"])
    assert len(server.requests) == asked


def test_a_violated_backoff_waits_a_minute(server: StackExchangeServer) -> None:
    words = {"error_id": 502, "error_message": "Violation of backoff parameter", "error_name": "throttle_violation"}
    server.fails(Reply(words, 400))
    with pytest.raises(Transient) as caught:
        list(opened(server).fetch(TAG, {}))
    assert caught.value.retry_after == 60


@pytest.mark.parametrize(
    ("number", "words", "expected"),
    [
        (500, "internal error", Transient),
        (503, "temporarily unavailable", Transient),
        (402, "Cannot identify the user", BadCredentials),
        (406, "token compromised", BadCredentials),
        (403, "page above 25 requires access token or app key", Terminal),
        (400, "Bad tags", Terminal),
        (404, "no method found with this name", Terminal),
    ],
)
def test_errors_have_numbers_of_their_own(
    server: StackExchangeServer, number: int, words: str, expected: type[Exception]
) -> None:
    server.fails(Reply({"error_id": number, "error_message": words, "error_name": "x"}, 400))
    with pytest.raises(expected) as caught:
        list(opened(server).fetch(TAG, {}))
    assert type(caught.value) is expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, BadCredentials), (402, Terminal), (410, Terminal), (418, Terminal), (451, Terminal),
        (408, Transient), (500, Transient), (502, Transient), (503, Transient), (504, Transient),
    ],
)  # fmt: skip
def test_every_status_has_its_kind(server: StackExchangeServer, status: int, expected: type[Exception]) -> None:
    server.fails(Reply(b"<html>No</html>", status, {"Content-Type": "text/html"}))
    with pytest.raises(expected) as caught:
        list(opened(server).fetch(TAG, {}))
    assert type(caught.value) is expected
    assert "<" not in str(caught.value)


# --- The site and the account --------------------------------------------------------------------------------------


def test_an_unknown_site_is_named(server: StackExchangeServer) -> None:
    with pytest.raises(Terminal, match="no Stack Exchange site called kettles"):
        opened(server, site="kettles").check()


@pytest.mark.parametrize(
    ("typed", "site"),
    [
        ("", "stackoverflow"), ("superuser", "superuser"), ("https://es.stackoverflow.com/a", "es.stackoverflow"),
        ("cooking.stackexchange.com", "cooking"), ("meta.stackexchange.com", "meta.stackexchange"), ("a b", None),
        ("askubuntu.com", "askubuntu"), ("mathoverflow.net", "mathoverflow.net"), ("../me", None), ("a&b=c", None),
    ],
)  # fmt: skip
def test_sites_are_known_by_name_and_address(typed: str, site: str | None) -> None:
    if site is None:
        with pytest.raises(Terminal):
            opened(site=typed)
    else:
        assert opened(site=typed)._site == site


def test_the_check_says_who_we_are(server: StackExchangeServer) -> None:
    health = opened(server).check()
    assert health.account is not None
    assert (health.account.id, health.account.handle) == (f"{SITE}/{US}", "Acme & Co")
    assert "299 of 300 requests are left" in health.words
    assert opened(server, account={}).check().account is None


def test_credentials_travel_in_the_header_only(server: StackExchangeServer) -> None:
    server.posts(1)
    listener = opened(server)
    posts, cursor = collect(listener, TAG, {})
    listener.answer(posts[0], "Thank you, we are on it, promised.", "key")
    listener.still_there([posts[0].external_id])
    sent = {request.headers.get("authorization") for request in server.requests}
    assert sent == {"Bearer key((", "Bearer token*)"}
    for request in server.requests:
        said = json.dumps([request.path, request.every, request.body.decode()])
        assert "key((" not in said and "token*)" not in said
    shown = repr([listener, posts, cursor])
    assert "key((" not in shown and "token*)" not in shown
    assert "authorization" not in _first_asked(opened(server, account={}), server).headers
    with pytest.raises(Terminal) as caught:
        opened(server, account={"key": "sec\nret"})
    assert "sec" not in f"{caught.value} {caught.value.what_to_do}".replace("seconds", "")


def _first_asked(listener: StackExchange, server: StackExchangeServer) -> Any:
    server.requests.clear()
    listener.check()
    return server.requests[0]


# --- Answering -----------------------------------------------------------------------------------------------------


def by_id(listener: StackExchange) -> dict[str, Post]:
    posts, _ = collect(listener, TAG, {})
    return {post.external_id: post for post in posts}


def test_each_kind_is_answered_in_its_place(server: StackExchangeServer) -> None:
    question, answer, comment = server.posts(3)
    listener = opened(server)
    posts = by_id(listener)
    number = answer.rpartition("/")[2]
    for external_id, path in (
        (question, f"/2.3/questions/{question.rpartition('/')[2]}/answers/add"),
        (answer, f"/2.3/posts/{number}/comments/add"),
        (comment, f"/2.3/posts/{number}/comments/add"),
    ):
        sent = listener.answer(posts[external_id], "I work for Acme: <descale> it & wait.", "key")
        assert server.requests[-1].path == path
        assert server.requests[-1].form() == {"site": SITE, "body": "I work for Acme: <descale> it & wait."}
        assert sent.external_id.startswith(f"{SITE}/" if external_id == question else f"{SITE}/comment/")
        assert sent.url is None or sent.url.startswith("https://stackoverflow.com/")


def test_without_a_token_it_is_handed_off(server: StackExchangeServer) -> None:
    server.posts(1)
    listener = opened(server, account={"key": "key(("})
    (post,), _ = collect(listener, TAG, {})
    verdict = listener.may_answer(post)
    assert not verdict.allowed
    assert "access token" in verdict.reason
    with pytest.raises(Terminal):
        listener.answer(post, "Thank you, we are on it.", "key")
    assert server.answers_under(post.external_id) == []


def test_an_answer_is_ours_only_with_our_number_and_our_words(server: StackExchangeServer) -> None:
    server.posts(1)
    listener = opened(server)
    (post,), _ = collect(listener, TAG, {})
    now, question = int(datetime.now(UTC).timestamp()), server.questions[0]
    server.answers_to(question, "Descale &lt;it&gt; twice.", 42, now)
    server.answers_to(question, "Something else.", US, now)
    since = datetime.now(UTC) - timedelta(minutes=1)
    assert listener.find(post, "Descale <it> twice.", "key", since) == Absent()
    ours = server.answers_to(question, "Descale &lt;it&gt;\r\ntwice.", US, now)
    found = listener.find(post, "Descale <it>\ntwice.", "key", since)
    assert isinstance(found, Sent)
    assert found.external_id == ours
    for _ in range(server.page_size + 1):
        server.answers_to(question, "And another one.", 42, now + 5)
    assert isinstance(listener.find(post, "Never sent", "key", since), CannotTell)


@pytest.mark.parametrize(("which", "text"), [(0, ""), (0, "x" * 30_001), (1, "x" * 601), (2, " \n ")])
def test_what_is_too_long_or_empty_is_not_sent(server: StackExchangeServer, which: int, text: str) -> None:
    ids = server.posts(3)
    listener = opened(server)
    post = by_id(listener)[ids[which]]
    asked = len(server.requests)
    with pytest.raises(Terminal):
        listener.answer(post, text, "key")
    assert len(server.requests) == asked


def test_stack_exchange_s_own_refusal_is_shown(server: StackExchangeServer) -> None:
    server.posts(1)
    listener = opened(server)
    (post,), _ = collect(listener, TAG, {})
    words = "Body must be at least 30 characters; you entered 9."
    server.fails(Reply({"error_id": 407, "error_message": words, "error_name": "write_failed"}, 400))
    with pytest.raises(Terminal, match="at least 30 characters"):
        listener.answer(post, "Thank you", "key")


@pytest.mark.parametrize(
    "reply",
    [
        Reply({"error_id": 500, "error_message": "?", "error_name": "internal_error"}, 400),
        Reply(b"<html>", 502),
        Reply({}),
    ],
)
def test_a_failure_while_sending_leaves_the_outcome_open(server: StackExchangeServer, reply: Reply) -> None:
    server.posts(1)
    listener = opened(server)
    (post,), _ = collect(listener, TAG, {})
    server.fails(reply)
    with pytest.raises(OutcomeUnknown):
        listener.answer(post, "Thank you, we are on it.", "key")


def test_another_site_s_post_is_not_answered_here() -> None:
    post = opened(site="superuser").parse(QUESTIONS)[0]
    assert isinstance(post, Post)
    assert not opened().may_answer(post).allowed
    assert opened(site="superuser").may_answer(post).allowed


# --- What was deleted ----------------------------------------------------------------------------------------------


def test_a_hundred_are_asked_about_at_once(server: StackExchangeServer) -> None:
    posted = server.posts(9)
    server.deletes(posted[1])
    server.deletes(posted[2])
    asked = len(server.requests)
    expected = {one: one not in (posted[1], posted[2]) for one in posted} | {f"{SITE}/1": False}
    assert opened(server).still_there([*posted, f"{SITE}/1", "superuser/7001", "nonsense", ""]) == expected
    assert [request.path.split("/")[2] for request in server.requests[asked:]] == ["filters", "posts", "comments"]
    many = [f"{SITE}/{number}" for number in range(1, 251)]
    assert set(opened(server).still_there(many).values()) == {False}
    assert len(server.requests) == asked + 6


def test_what_was_learnt_before_the_limit_counts(server: StackExchangeServer) -> None:
    question, answer, comment = server.posts(3)
    server.rate_limits(after=2)
    assert opened(server).still_there([comment, question, answer]) == {question: True, answer: True}


def test_an_answer_without_items_deletes_nothing(server: StackExchangeServer) -> None:
    server.fails(Reply({"has_more": False}))
    with pytest.raises(Transient):
        opened(server).still_there([f"{SITE}/7001"])
