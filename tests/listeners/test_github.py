"""GitHub: issues, pull requests and discussions, read as they change and answered where they stand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from listeners import registry
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
from listeners.github import CAPABILITY, GitHub
from tests.listeners.contract import (
    AnswersContract,
    DeletesContract,
    EditsContract,
    LooksBackContract,
    NetworkContract,
    Rig,
    collect,
)
from tests.listeners.fake_github import REPOSITORY, US, GitHubServer
from tests.listeners.fake_server import Reply
from tests.listeners.faults import FaultsContract

FIXTURES = Path(__file__).parent / "fixtures" / "github"
ISSUES, COMMENTS, SEARCH, DISCUSSIONS = (
    (FIXTURES / f"{name}.json").read_bytes() for name in ("issues", "comments", "search", "discussions")
)
RAW = [ISSUES, COMMENTS, SEARCH, DISCUSSIONS]
TOKEN = "ghp_0123456789abcdefSECRET"
REPO = Query(REPOSITORY, "issues")


def opened(server: GitHubServer | None = None, token: str = TOKEN, **extra: str) -> GitHub:
    options = Options(server.url if server else None, 2.0, allow_private_hosts=True, extra=extra)
    found = registry.open("github", {"token": token} if token else {}, options)
    assert isinstance(found, GitHub)
    return found


@pytest.fixture
def server() -> Iterator[GitHubServer]:
    with GitHubServer() as running:
        yield running


@pytest.fixture
def talk() -> Iterator[GitHubServer]:
    with GitHubServer("discussions") as running:
        yield running


class TestIssues(FaultsContract, NetworkContract, LooksBackContract, AnswersContract, DeletesContract, EditsContract):
    @pytest.fixture
    def rig(self, server: GitHubServer) -> Rig:
        return Rig(opened(server), server, REPO, raw=RAW)


class TestWithoutAToken(FaultsContract, NetworkContract, LooksBackContract, DeletesContract, EditsContract):
    """The same, but what needs a token is handed off."""

    @pytest.fixture
    def rig(self, server: GitHubServer) -> Rig:
        return Rig(opened(server, token=""), server, REPO, raw=RAW)

    def test_powers_are_tested(self, rig: Rig) -> None:
        (external_id,) = rig.server.posts(1)
        (post,), _ = collect(rig.listener, rig.query, {})
        assert post.external_id == external_id
        assert isinstance(rig.listener, GitHub)
        verdict = rig.listener.may_answer(post)
        assert not verdict.allowed
        assert "token" in verdict.reason
        with pytest.raises(Terminal):
            rig.listener.answer(post, "Thank you.", "key")
        assert rig.server.answers_under(external_id) == []


class TestDiscussions(
    FaultsContract, NetworkContract, LooksBackContract, AnswersContract, DeletesContract, EditsContract
):
    @pytest.fixture
    def rig(self, talk: GitHubServer) -> Rig:
        return Rig(opened(talk), talk, Query(REPOSITORY, "discussions"), raw=RAW)


class TestSearch(FaultsContract, NetworkContract, LooksBackContract, AnswersContract, DeletesContract, EditsContract):
    @pytest.fixture
    def rig(self) -> Iterator[Rig]:
        with GitHubServer("issues") as running:
            yield Rig(opened(running), running, Query("acme kettle", "search"), raw=RAW)


# --- From the wire -------------------------------------------------------------------------------------------------


def test_issues_and_pull_requests_become_posts() -> None:
    issue, pull, undated, textless = opened().parse(ISSUES)
    assert isinstance(issue, Post)
    assert issue.external_id == "github.com/acme/kettle#12"
    assert issue.url == "https://github.com/acme/kettle/issues/12"
    assert issue.title == "It hisses at <b>night</b>"
    assert issue.text == "What happens?\n\nIt hisses, @ben and @acme/support too. See `@types/node`.\n\nVersion"
    assert issue.mentions == ("ben",), "a team and a package are no people"
    assert issue.author is not None
    assert (issue.author.id, issue.author.handle) == ("github.com/501", "jane")
    assert issue.engagement == {"thumbs_up": 3, "confused": 1, "comments": 3}
    assert issue.posted_at == datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
    assert issue.edited_at is None, "a comment below it is no edit"
    assert isinstance(pull, Post)
    assert (pull.external_id, pull.text, pull.author) == ("github.com/acme/kettle#13", "Quieter lid", None)
    assert isinstance(undated, Rejected)
    assert (undated.where, undated.reason) == ("item 4", "has no date that is understood")
    assert isinstance(textless, Rejected)
    assert textless.reason == "has no body"


def test_comments_stand_under_their_issue() -> None:
    comment, of_a_ghost, nowhere = opened().parse(COMMENTS)
    assert isinstance(comment, Post)
    assert comment.external_id == "github.com/acme/kettle#12/345"
    assert comment.parent_id == comment.root_id == "github.com/acme/kettle#12"
    assert comment.text == "Mine does not, @jane.\n\nboil --quiet"
    assert comment.edited_at == datetime(2026, 11, 20, 11, 20, tzinfo=UTC)
    assert (comment.kind, comment.engagement) == (Kind.COMMENT, {"heart": 1})
    assert isinstance(of_a_ghost, Post)
    assert (of_a_ghost.author, of_a_ghost.edited_at) == (None, None)
    assert of_a_ghost.root_id == "github.com/acme/kettle#13"
    assert isinstance(nowhere, Rejected)


def test_discussions_bring_their_comments_and_replies() -> None:
    discussion, comment, reply, deleted, nameless = opened().parse(DISCUSSIONS)
    assert isinstance(discussion, Post)
    assert isinstance(comment, Post)
    assert isinstance(reply, Post)
    assert discussion.external_id == "github.com/D_kwDOAAAADM4AA"
    assert discussion.engagement == {"upvotes": 5, "reactions": 2, "comments": 2}
    assert discussion.edited_at == datetime(2026, 11, 18, 8, 5, tzinfo=UTC)
    assert discussion.author is not None
    assert (discussion.author.id, discussion.author.display_name) == ("github.com/501", "Jane Example")
    assert comment.parent_id == comment.root_id == discussion.external_id
    assert comment.author is None
    assert (reply.parent_id, reply.root_id) == (comment.external_id, discussion.external_id)
    assert isinstance(deleted, Rejected)
    assert isinstance(nameless, Rejected)
    assert deleted.reason == "was deleted"


def test_bots_are_left_out_unless_they_are_wanted() -> None:
    def authors(listener: GitHub) -> set[str]:
        posts = [one for raw in RAW for one in listener.parse(raw) if isinstance(one, Post)]
        return {post.author.handle for post in posts if post.author}

    assert authors(opened(bots="yes")) - authors(opened()) == {"updates[bot]", "stale[bot]", "helper"}


def test_two_servers_never_share_an_id() -> None:
    elsewhere = opened().parse(ISSUES.replace(b"https://github.com/", b"https://git.example.com/"))
    (first, *_) = elsewhere
    assert isinstance(first, Post)
    assert first.external_id == "git.example.com/acme/kettle#12"
    assert first.author is not None
    assert first.author.id == "git.example.com/501"


Shape = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40) | st.just("2026-11-20T10:00:00Z")
    | st.sampled_from(["https://github.com/acme/kettle/issues/12", "0001-01-01T00:00:00+14:00", "x" * 200_000]),
    lambda inside: st.lists(inside, max_size=3)
    | st.dictionaries(st.sampled_from(["id", "login", "type", "nodes", "a"]), inside),
    max_leaves=5,
)  # fmt: skip
NAMES = [
    "id", "number", "title", "body", "user", "author", "created_at", "updated_at", "html_url", "issue_url", "url",
    "reactions", "comments", "createdAt", "lastEditedAt", "deletedAt", "upvoteCount", "replies", "pull_request",
]  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(st.sampled_from(NAMES), Shape), st.sampled_from(["list", "search", "discussions", "replies"]))
def test_one_bad_item_never_costs_a_good_one(bad: dict[str, Any], around: str) -> None:
    if around in ("list", "search"):
        good = json.loads(ISSUES)[0]
        answer: Any = [bad, good, bad] if around == "list" else {"items": [bad, good]}
    else:
        good = json.loads(DISCUSSIONS)["data"]["repository"]["discussions"]["nodes"][0]
        comment = good["comments"]["nodes"][0]
        comment["replies"]["nodes"].insert(0, bad)
        nodes = [bad, good] if around == "discussions" else [good]
        answer = {"data": {"repository": {"discussions": {"nodes": nodes}}}}
    found = opened().parse(json.dumps(answer).encode())
    posts = [one for one in found if isinstance(one, Post)]
    assert all(type(one) in (Post, Rejected) for one in found)
    assert good["title"].replace("\x00", "") in {post.title for post in posts}
    assert len({post.external_id for post in posts}) == len(posts)


# --- Reading -------------------------------------------------------------------------------------------------------


def test_comments_on_old_issues_arrive(server: GitHubServer) -> None:
    server.opens_an_issue()
    listener = opened(server)
    _, cursor = collect(listener, REPO, {})
    server.posts(6)
    _, cursor = collect(listener, REPO, cursor)
    late = server.comments_on(1, "Still hisses.")
    posts, _ = collect(listener, REPO, cursor)
    assert late in {post.external_id for post in posts}


def test_what_changes_during_a_walk_is_not_skipped(server: GitHubServer) -> None:
    posted = server.posts(9)
    listener = opened(server)
    seen: set[str] = set()
    for number, page in enumerate(listener.fetch(REPO, {})):
        seen |= {post.external_id for post in page.posts}
        if number == 0:
            server.issues[0]["updated_at"] = server._tick()  # goes to the end; all behind it move up
    assert seen == set(posted)


def test_nothing_new_costs_nothing(server: GitHubServer) -> None:
    server.posts(2)
    listener = opened(server)
    cursor: dict[str, Any] = {}
    for _ in range(3):
        _, cursor = collect(listener, REPO, cursor)
    left = server.remaining
    pages = list(listener.fetch(REPO, cursor))
    assert server.remaining == left
    assert [len(page.posts) for page in pages] == [0, 0]
    assert pages[-1].budget.remaining == left
    assert all("if-none-match" in request.headers for request in server.requests[-2:])


def test_the_budget_is_what_the_headers_say(server: GitHubServer) -> None:
    server.posts(1)
    budget = next(opened(server).fetch(REPO, {})).budget
    assert (budget.limit, budget.remaining) == (5000, 4998)
    assert budget.resets_at is not None
    assert timedelta(minutes=29) < budget.resets_at - datetime.now(UTC) < timedelta(minutes=31)


@pytest.mark.parametrize(
    ("status", "headers", "message", "least", "most"),
    [
        (403, {"Retry-After": "45"}, "You have exceeded a secondary rate limit.", 45, 45),
        (429, {"Retry-After": "45"}, "", 45, 45),
        (403, {}, "You have exceeded a secondary rate limit. Please wait a few minutes.", 60, 60),
        (429, {}, "", 60, 60),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "RESET"}, "API rate limit exceeded", 890, 900),
        (429, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "RESET"}, "", 890, 900),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "nonsense"}, "API rate limit exceeded", 60, 60),
    ],
)
def test_limits_are_told_apart_from_what_is_forbidden(
    server: GitHubServer, status: int, headers: dict[str, str], message: str, least: float, most: float
) -> None:
    resets = str(int(datetime.now(UTC).timestamp()) + 900)
    headers = {name: value.replace("RESET", resets) for name, value in headers.items()}
    server.fails(Reply({"message": message}, status, headers))
    with pytest.raises(Transient) as caught:
        list(opened(server).fetch(REPO, {}))
    assert caught.value.retry_after is not None
    assert least <= caught.value.retry_after <= most


def test_a_true_403_wants_a_person(server: GitHubServer) -> None:
    reply = Reply({"message": "Resource not accessible by personal access token"}, 403, {"X-RateLimit-Remaining": "9"})
    server.fails(reply)
    with pytest.raises(Terminal, match="Resource not accessible"):
        list(opened(server).fetch(REPO, {}))


def test_an_unknown_repository_is_named(server: GitHubServer) -> None:
    with pytest.raises(Terminal, match="no repository acme/teapot. A private one needs a token"):
        list(opened(server, token="").fetch(Query("acme/teapot"), {}))


@pytest.mark.parametrize(
    "typed", ["", "kettle", "acme/..", "a b/c", "acme/kettle?x=1", "../../user", "https://x.example/"]
)
def test_what_is_no_repository_is_refused(typed: str) -> None:
    with pytest.raises(Terminal, match="is no repository") as caught:
        opened().fetch(Query(typed, "issues"), {})
    assert "owner/name" in caught.value.what_to_do


def test_a_page_s_address_names_its_repository(server: GitHubServer) -> None:
    list(opened(server).fetch(Query(" https://github.com/acme/kettle/issues/12 ", "issues"), {}))
    assert server.requests[0].path == "/api/v3/repos/acme/kettle/issues"


def test_a_search_asks_for_issues_by_their_last_change(server: GitHubServer) -> None:
    list(opened(server, days="3").fetch(Query(' "tea kettle" -lid ', "search"), {}))
    asked = server.requests[0].params
    words, _, since = asked["q"].partition(" updated:>=")
    assert words == '"tea kettle" -lid is:issue in:title,body'
    assert (asked["sort"], asked["order"]) == ("updated", "asc")
    age = datetime.now(UTC) - datetime.fromisoformat(since)
    assert timedelta(days=3) <= age < timedelta(days=3, minutes=1)


@pytest.mark.parametrize(
    ("typed", "asked"),
    [
        ("a OR b", "(a OR b) is:issue in:title,body"),
        ("x is:pr", "x is:pr in:title,body"),
        ("type:issue in:comments x",) * 2,
    ],
)
def test_a_search_s_own_kind_stays(server: GitHubServer, typed: str, asked: str) -> None:
    list(opened(server).fetch(Query(typed, "search"), {}))
    assert server.requests[0].params["q"].startswith(f"{asked} updated:>=")


def test_an_incomplete_search_is_asked_for_again(server: GitHubServer) -> None:
    items = json.loads(SEARCH) | {"incomplete_results": True}
    server.fails(Reply(items))
    (page,) = opened(server).fetch(Query("kettle", "search"), {})
    assert len(page.posts) == 1
    since = datetime.fromisoformat(page.cursor["at"]["found"]["since"])
    assert since < datetime.now(UTC) - timedelta(days=29), "what was not found yet must not be passed over"


def test_a_search_that_is_not_understood_says_why(server: GitHubServer) -> None:
    errors = [{"message": "The search contains only logical operators", "resource": "Search"}]
    server.fails(Reply({"message": "Validation Failed", "errors": errors}, 422))
    with pytest.raises(Terminal, match="only logical operators"):
        list(opened(server).fetch(Query("OR", "search"), {}))


def test_long_discussions_are_read_whole(talk: GitHubServer) -> None:
    posted = talk.posts(1)
    posted += [talk.replies(talk.discussions[0], f"Comment {number}") for number in range(10)]
    posts, cursor = collect(opened(talk), Query(REPOSITORY, "discussions"), {})
    assert {post.external_id for post in posts} == set(posted)
    late = talk.replies(talk.discussions[0], "One more")
    posts, _ = collect(opened(talk), Query(REPOSITORY, "discussions"), cursor)
    assert late in {post.external_id for post in posts}


def test_discussions_need_a_token(talk: GitHubServer) -> None:
    with pytest.raises(Terminal, match="token"):
        list(opened(talk, token="").fetch(Query(REPOSITORY, "discussions"), {}))
    assert talk.requests == []


@pytest.mark.parametrize(
    ("kind", "expected"), [("RATE_LIMITED", Transient), ("NOT_FOUND", Terminal), (None, Transient), (["x"], Transient)]
)
def test_graphql_fails_with_status_200(talk: GitHubServer, kind: Any, expected: type[Exception]) -> None:
    talk.fails(Reply({"data": None, "errors": [{"type": kind, "message": "It <b>failed</b>."}]}))
    with pytest.raises(expected):
        list(opened(talk).fetch(Query(REPOSITORY, "discussions"), {}))


def test_discussions_begin_as_far_back_as_is_wanted(talk: GitHubServer) -> None:
    talk.posts(6)
    talk.discussions[0]["updatedAt"] = "2026-01-01T00:00:00Z"
    posts, cursor = collect(opened(talk, days="30"), Query(REPOSITORY, "discussions"), {})
    assert len(posts) == 3
    assert "walking" not in cursor


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, BadCredentials), (402, Terminal), (410, Terminal), (418, Terminal), (451, Terminal),
        (408, Transient), (500, Transient), (502, Transient), (503, Transient), (504, Transient),
    ],
)  # fmt: skip
def test_every_status_has_its_kind(server: GitHubServer, status: int, expected: type[Exception]) -> None:
    server.fails(Reply(b"<html>No</html>", status, {"Content-Type": "text/html"}))
    with pytest.raises(expected) as caught:
        list(opened(server).fetch(REPO, {}))
    assert type(caught.value) is expected
    assert "<" not in str(caught.value)


# --- Answering -----------------------------------------------------------------------------------------------------


def first_post(listener: GitHub, query: Query = REPO) -> Post:
    posts, _ = collect(listener, query, {})
    return posts[0]


def test_an_answer_to_a_comment_stands_in_its_issue(server: GitHubServer) -> None:
    server.posts(2)
    listener = opened(server)
    posts, _ = collect(listener, REPO, {})
    (comment,) = (post for post in posts if post.kind is Kind.COMMENT)
    assert CAPABILITY.opening(comment) == "@ben "
    sent = listener.answer(comment, "@ben Try descaling.\n\n- twice", "key")
    assert server.requests[-1].path == "/api/v3/repos/acme/kettle/issues/1/comments"
    assert server.requests[-1].json() == {"body": "@ben Try descaling.\n\n- twice"}
    assert sent.external_id.startswith(f"{server.host}/acme/kettle#1/")
    assert sent.url == server.comments[-1]["html_url"]


def test_an_answer_is_ours_only_with_our_name_and_our_words(server: GitHubServer) -> None:
    server.posts(1)
    listener = opened(server)
    post, since = first_post(listener), datetime.now(UTC) - timedelta(minutes=1)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    server.comments_on(1, "Thanks!", "jane", now)
    server.comments_on(1, "Thanks, Jane!", US, now)
    assert listener.find(post, "Thanks!", "key", since) == Absent()
    ours = server.comments_on(1, "Thanks!\r\n", US, now)
    found = listener.find(post, "Thanks!", "key", since)
    assert isinstance(found, Sent)
    assert found.external_id == ours


def test_an_answer_is_found_on_a_later_page(server: GitHubServer) -> None:
    server.posts(1)
    listener = opened(server)
    post, now = first_post(listener), datetime.now(UTC)
    for number in range(7):
        server.comments_on(1, f"Me too {number}", "ben", now.strftime("%Y-%m-%dT%H:%M:%SZ"))
    listener.answer(post, "Fixed in 1.2.", "key")
    assert isinstance(listener.find(post, "Fixed in 1.2.", "key", now - timedelta(minutes=1)), Sent)
    server.page_size = 0  # GitHub goes on naming a next page
    assert isinstance(listener.find(post, "Fixed in 1.2.", "key", now - timedelta(minutes=1)), CannotTell)


def test_a_locked_conversation_is_said_so(server: GitHubServer, talk: GitHubServer) -> None:
    for github, mode in ((server, "issues"), (talk, "discussions")):
        github.posts(1)
        github.locked = True
        listener = opened(github)
        with pytest.raises(Terminal, match="locked"):
            listener.answer(first_post(listener, Query(REPOSITORY, mode)), "Thank you.", "key")
        assert github.answers_under("") == []


def test_a_limit_on_writing_is_waited_for(server: GitHubServer) -> None:
    server.posts(1)
    listener = opened(server)
    post = first_post(listener)
    server.fails(Reply({"message": "You have exceeded a secondary rate limit."}, 403, {"Retry-After": "30"}))
    with pytest.raises(Transient) as caught:
        listener.answer(post, "Thank you.", "key")
    assert caught.value.retry_after == 30


@pytest.mark.parametrize("status", [500, 502, 504])
def test_a_failure_while_sending_leaves_the_outcome_open(server: GitHubServer, talk: GitHubServer, status: int) -> None:
    for github, mode in ((server, "issues"), (talk, "discussions")):
        github.posts(1)
        listener = opened(github)
        post = first_post(listener, Query(REPOSITORY, mode))
        github.fails(Reply({"message": "Server Error"}, status))
        with pytest.raises(OutcomeUnknown):
            listener.answer(post, "Thank you.", "key")


def test_a_renamed_repository_takes_no_answer_at_its_old_name(server: GitHubServer) -> None:
    server.posts(1)
    listener = opened(server)
    post = first_post(listener)
    server.fails(Reply({"message": "Moved Permanently"}, 307, {"Location": f"{server.url}/api/v3/repositories/1"}))
    with pytest.raises(Terminal, match="renamed"):
        listener.answer(post, "Thank you.", "key")


def test_a_token_that_may_not_write_is_told_so(server: GitHubServer) -> None:
    server.posts(1)
    listener = opened(server)
    post = first_post(listener)
    server.fails(Reply({"message": "Not Found"}, 404))
    with pytest.raises(Terminal) as caught:
        listener.answer(post, "Thank you.", "key")
    assert "rights" in caught.value.what_to_do


def test_replies_go_under_the_comment_at_the_top(talk: GitHubServer) -> None:
    discussion, comment, reply = talk.posts(3)
    listener = opened(talk)
    posts, _ = collect(listener, Query(REPOSITORY, "discussions"), {})
    by_id = {post.external_id: post for post in posts}
    wanted = {discussion: None, comment: comment.partition("/")[2], reply: comment.partition("/")[2]}
    for external_id, reply_to in wanted.items():
        listener.answer(by_id[external_id], f"To {external_id}", "key")
        assert talk.requests[-1].json()["variables"]["replyTo"] == reply_to
        since = datetime.now(UTC) - timedelta(minutes=1)
        assert isinstance(listener.find(by_id[external_id], f"To {external_id}", "key", since), Sent)
        assert listener.find(by_id[external_id], "Something else", "key", since) == Absent()


@pytest.mark.parametrize("text", ["", " \n", "x" * 65_537])
def test_what_github_would_refuse_is_not_sent(server: GitHubServer, text: str) -> None:
    server.posts(1)
    listener = opened(server)
    post = first_post(listener)
    asked = len(server.requests)
    with pytest.raises(Terminal):
        listener.answer(post, text, "key")
    assert len(server.requests) == asked


def test_another_server_s_post_is_not_answered_here(server: GitHubServer) -> None:
    (post, *_) = opened().parse(COMMENTS)
    assert isinstance(post, Post)
    assert opened().may_answer(post).allowed
    assert not opened(server).may_answer(post).allowed


# --- What was deleted ----------------------------------------------------------------------------------------------


def test_only_this_server_s_posts_are_asked_about(server: GitHubServer) -> None:
    (there,) = server.posts(1)
    ids = [
        there,
        "github.com/acme/kettle#1",
        "nonsense",
        "",
        f"{server.host}/../user",
        f"{server.host}/acme/kettle#0x1",
    ]
    assert opened(server).still_there(ids) == {there: True}


def test_a_token_that_lost_its_rights_deletes_nothing(server: GitHubServer) -> None:
    server.posts(1)
    hidden = f"{server.host}/acme/secret#1"
    assert opened(server).still_there([hidden]) == {}
    assert opened(server, token="").still_there([hidden]) == {hidden: False}


def test_what_was_learnt_before_the_limit_counts(server: GitHubServer) -> None:
    posted = server.posts(6)
    server.rate_limits(after=2)
    assert opened(server, token="").still_there(posted) == dict.fromkeys(posted[:2], True)
    with pytest.raises(Transient):
        opened(server, token="").still_there(posted[2:])


# --- The account ---------------------------------------------------------------------------------------------------


def test_the_check_says_who_we_are_and_until_when(server: GitHubServer) -> None:
    health = opened(server).check()
    assert health.account is not None
    assert health.account.handle == US
    assert health.expires_at == datetime(2027, 1, 31, 9, tzinfo=UTC)
    assert "expires on 31 January 2027" in health.words
    assert "57 requests are left" in opened(server, token="").check().words


@pytest.mark.parametrize(
    ("base_url", "rest", "graphql"),
    [
        (None, "https://api.github.com/user", "https://api.github.com/graphql"),
        ("https://git.example.com", "https://git.example.com/api/v3/user", "https://git.example.com/api/graphql"),
        (
            "https://git.example.com/api/v3/",
            "https://git.example.com/api/v3/user",
            "https://git.example.com/api/graphql",
        ),
        ("https://api.acme.ghe.com", "https://api.acme.ghe.com/user", "https://api.acme.ghe.com/graphql"),
    ],
)
def test_servers_of_every_kind_are_found(base_url: str | None, rest: str, graphql: str) -> None:
    listener = registry.open("github", {}, Options(base_url))
    assert isinstance(listener, GitHub)
    assert f"{listener._rest}/user" == rest
    assert listener._graphql_url == graphql


def test_the_token_is_sent_and_never_shown(server: GitHubServer) -> None:
    server.posts(3)
    listener = opened(server)
    pages = list(listener.fetch(REPO, {}))
    assert server.requests[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert "authorization" not in _first(opened(server, token=""), server).headers
    server.fails(Reply({"message": "Bad credentials"}, 401))
    with pytest.raises(Terminal) as caught:
        list(listener.fetch(REPO, {}))
    shown = [repr(pages), repr(listener), str(caught.value), caught.value.what_to_do, repr(caught.value)]
    assert not any(TOKEN in one for one in shown)
    with pytest.raises(Terminal) as caught:
        opened(server, token="two\nlines of a secret")
    assert "secret" not in str(caught.value)


def _first(listener: GitHub, server: GitHubServer) -> Any:
    server.requests.clear()
    listener.check()
    return server.requests[0]
