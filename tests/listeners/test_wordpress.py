"""WordPress: comments below a site's posts, answered in their thread."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from listeners import registry, wordpress
from listeners.base import Absent, Cursor, Kind, Options, Post, Query, Rejected, Sent, Terminal, Transient
from listeners.wordpress import WordPress
from tests.listeners.contract import AnswersContract, DeletesContract, LooksBackContract, NetworkContract, Rig, collect
from tests.listeners.fake_server import FakeServer, Reply, Request
from tests.listeners.faults import FaultsContract

ANSWER = (Path(__file__).parent / "fixtures" / "wordpress" / "comments.json").read_bytes()
PASSWORD = "abcd EFGH ijkl MNOP qrst UVWX"
ACCOUNT = {"site": "https://blog.example", "username": "jane", "application_password": PASSWORD}
ALL = Query("", "comments")
ME = 7


class WordPressServer(FakeServer):
    """A site's REST API, with one post."""

    def __init__(self) -> None:
        super().__init__()
        self.comments: dict[int, dict[str, Any]] = {}
        self.started = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
        self.plain_permalinks = False
        self.open_for_comments = True
        self.in_a_hurry = False
        self.may_moderate = True
        self.hides_totals = False

    def comment(self, text: str = "Does it boil?", **more: Any) -> str:
        number = len(self.comments) + 1
        moment = self.started + timedelta(minutes=number)
        self.comments[number] = {
            "id": number,
            "post": 5,
            "parent": 0,
            "author": 0,
            "author_name": "Ann",
            "author_user_agent": "",
            "date_gmt": moment.replace(tzinfo=None).isoformat(),
            "content": {"rendered": f"<p>{text}</p>\n", "raw": text},
            "link": f"https://blog.example/kettles/#comment-{number}",
            "status": "approved",
            "type": "comment",
            **more,
        }
        return f"blog.example#comment-{number}"

    def posts(self, how_many: int) -> list[str]:
        return [self.comment(f"Kettle {len(self.comments)}") for _ in range(how_many)]

    def of(self, external_id: str) -> dict[str, Any]:
        return self.comments[int(external_id.rpartition("-")[2])]

    def deletes(self, external_id: str) -> None:
        self.of(external_id)["status"] = "trash"

    def answers_under(self, external_id: str) -> list[str]:
        below = self.of(external_id)["id"]
        return [one["content"]["raw"] for one in self.comments.values() if one["parent"] == below]

    def reply_to(self, request: Request) -> Reply:
        path = request.params.get("rest_route") or request.path.removeprefix("/wp-json")
        if self.plain_permalinks and "rest_route" not in request.params:
            return Reply(b"<!doctype html><title>Not found</title>", 404, {"Content-Type": "text/html"})
        given = request.headers.get("authorization", "").removeprefix("Basic ")
        if base64.b64decode(given) != f"jane:{PASSWORD.replace(' ', '')}".encode():
            return _error("incorrect_password", "<strong>Error</strong>: The password is wrong.", 401)
        if path == "/wp/v2/users/me":
            return Reply({"id": ME, "name": "Jane", "capabilities": {"moderate_comments": self.may_moderate}})
        if path != "/wp/v2/comments":
            return _error("rest_no_route", "No route was found matching the URL and request method.", 404)
        return self._create(request.json()) if request.method == "POST" else self._list(request.params)

    def _list(self, params: Any) -> Reply:
        statuses = ("approved", "hold") if params.get("status") == "all" else ("approved",)
        if params.get("status") == "all" and not self.may_moderate:
            return _error("rest_forbidden_param", "Query parameter not permitted: status", 403)
        found = [one for one in self.comments.values() if one["status"] in statuses]
        if include := params.get("include"):
            found = [one for one in found if str(one["id"]) in include.split(",")]
        for name in ("parent", "author"):
            if name in params:
                found = [one for one in found if str(one[name]) == params[name]]
        if words := params.get("search"):
            found = [one for one in found if words in one["content"]["raw"]]
        found.sort(key=lambda one: (one["date_gmt"], one["id"]), reverse=params.get("order") != "asc")
        offset = int(params.get("offset", 0))
        page = found[offset : offset + (self.page_size if "include" not in params else 100)]
        if params.get("_embed"):
            page = [one | {"_embedded": {"up": [{"title": {"rendered": "Kettles &#8211; a test"}}]}} for one in page]
        return Reply(page, headers={} if self.hides_totals else {"X-WP-Total": str(len(found))})

    def _create(self, body: dict[str, Any]) -> Reply:
        if not self.open_for_comments:
            return _error("rest_comment_closed", "Sorry, comments are closed for this item.", 403)
        if self.in_a_hurry:
            return _error("comment_flood", "You are posting comments too quickly. Slow down.", 400)
        if body["content"] in self.answers_under(f"#comment-{body['parent']}"):
            return _error("comment_duplicate", "Duplicate comment detected; it looks as though you said that.", 409)
        sent = {name: body[name] for name in ("post", "parent", "author_user_agent")}
        moment = datetime.now(UTC).replace(tzinfo=None, microsecond=0).isoformat()
        external_id = self.comment(body["content"], author=ME, author_name="Jane", date_gmt=moment, **sent)
        return Reply(self.of(external_id), 201)


def _error(code: str, message: str, status: int) -> Reply:
    return Reply({"code": code, "message": message, "data": {"status": status}}, status)


@pytest.fixture
def server() -> Iterator[WordPressServer]:
    with WordPressServer() as running:
        yield running


@pytest.fixture
def listener(server: WordPressServer) -> WordPress:
    return opened(server)


def opened(server: WordPressServer, **account: str) -> WordPress:
    found = registry.open("wordpress", {**ACCOUNT, **account}, Options(server.url, 2.0, allow_private_hosts=True))
    assert isinstance(found, WordPress)
    return found


def read(listener: WordPress, cursor: Cursor | None = None, query: Query = ALL) -> tuple[dict[str, Post], Cursor]:
    posts, cursor = collect(listener, query, cursor or {})
    return {post.external_id: post for post in posts}, cursor


class TestContract(FaultsContract, NetworkContract, LooksBackContract, AnswersContract, DeletesContract):
    @pytest.fixture
    def rig(self, server: WordPressServer, listener: WordPress) -> Rig:
        return Rig(listener, server, ALL, raw=[ANSWER], idempotent=True)


class TestContractWithPlainPermalinks(
    FaultsContract, NetworkContract, LooksBackContract, AnswersContract, DeletesContract
):
    @pytest.fixture
    def rig(self, server: WordPressServer, listener: WordPress) -> Rig:
        server.plain_permalinks = True
        return Rig(listener, server, ALL, raw=[ANSWER], idempotent=True)


# --- Reading -------------------------------------------------------------------------------------------------------


def test_an_answer_becomes_posts() -> None:
    listener = registry.open("wordpress", ACCOUNT, Options())
    guest, reply, deeper, namesake, held, pingback, broken = listener.parse(ANSWER)
    assert isinstance(guest, Post)
    assert guest.external_id == "blog.example#comment-41"
    assert guest.text == "Does it boil “quickly”?\n\nMine takes 5 minutes & hisses."
    assert guest.title == "Kettles – a test"
    assert guest.url == "https://blog.example/2026/11/kettles/#comment-41"
    assert guest.posted_at == datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
    assert (guest.parent_id, guest.root_id, guest.kind) == (None, None, Kind.COMMENT)
    assert guest.author is not None
    assert guest.author.id == "blog.example/guest/0123456789abcdef0123456789abcdef"
    assert isinstance(reply, Post)
    assert (reply.parent_id, reply.root_id) == ("blog.example#comment-41", "blog.example#comment-41")
    assert reply.author is not None
    assert (reply.author.id, reply.author.handle) == ("blog.example/user/7", "Jane from Kettles & Co")
    assert isinstance(deeper, Post)
    assert (deeper.parent_id, deeper.root_id) == ("blog.example#comment-42", "blog.example#comment-41")
    assert deeper.author is None
    assert isinstance(namesake, Post)
    assert namesake.author is not None
    assert namesake.author.handle == reply.author.handle
    assert namesake.author.id == "blog.example/guest/Jane from Kettles & Co"  # no user, whatever the name says
    reasons = [one.reason for one in (held, pingback, broken) if isinstance(one, Rejected)]
    assert ["hold" in reasons[0], "from elsewhere" in reasons[1], reasons[2]] == [True, True, "has no date"]


def test_without_an_account_the_site_is_that_of_the_link() -> None:
    found = wordpress.open({}, Options()).parse(ANSWER)
    assert isinstance(found[0], Post)
    assert found[0].external_id == "blog.example#comment-41"


def test_a_comment_that_is_approved_late_comes_then(server: WordPressServer, listener: WordPress) -> None:
    held = server.comment(status="hold")
    server.posts(9)
    posts, cursor = read(listener)
    assert held not in posts
    posts, cursor = read(listener, cursor)
    server.of(held)["status"] = "approved"
    posts, cursor = read(listener, cursor)
    assert held in posts
    posts, cursor = read(listener, cursor)
    assert cursor["waiting"] == []


def test_a_held_comment_that_becomes_spam_is_let_go(server: WordPressServer, listener: WordPress) -> None:
    held = server.comment(status="hold")
    _, cursor = read(listener)
    server.of(held)["status"] = "spam"
    posts, cursor = read(listener, cursor)
    assert (posts, cursor["waiting"]) == ({}, [])


def test_a_thread_is_followed_up_to_its_first_comment(server: WordPressServer, listener: WordPress) -> None:
    first = server.comment()
    second = server.comment(parent=1)
    server.posts(20)
    _, cursor = read(listener)
    third = server.comment(parent=2)
    posts, _ = read(listener, cursor)
    assert (posts[third].parent_id, posts[third].root_id) == (second, first)


def test_a_thread_whose_first_comment_is_gone_keeps_together(server: WordPressServer, listener: WordPress) -> None:
    gone = server.comment()
    one, other = server.comment(parent=1), server.comment(parent=1)
    server.deletes(gone)
    posts, _ = read(listener)
    assert posts[one].root_id == posts[other].root_id == gone


def test_nothing_is_passed_over_when_comments_vanish_between_pages(
    server: WordPressServer, listener: WordPress
) -> None:
    posted = server.posts(9)
    pages = iter(listener.fetch(ALL, {}))
    seen = {post.external_id for post in next(pages).posts}
    gone = posted[-2:]
    for external_id in gone:  # the listing moves up by two
        server.deletes(external_id)
    for page in pages:
        seen |= {post.external_id for post in page.posts}
    assert set(posted) - seen <= set(gone)


def test_a_site_whose_proxy_drops_the_totals_is_read_whole(server: WordPressServer, listener: WordPress) -> None:
    server.hides_totals = True
    posted = server.posts(10)
    assert set(read(listener)[0]) == set(posted)


def test_words_are_looked_for_by_the_site(server: WordPressServer, listener: WordPress) -> None:
    server.posts(2)
    wanted = server.comment("It leaks")
    posts, _ = read(listener, query=Query(" leaks ", "search"))
    assert set(posts) == {wanted}


@pytest.mark.parametrize("query", [Query("", "search"), Query("x" * 501, "search"), Query("", "likes")])
def test_a_query_that_means_nothing_is_refused(listener: WordPress, query: Query) -> None:
    with pytest.raises(Terminal):
        list(listener.fetch(query, {}))


# --- Answering -----------------------------------------------------------------------------------------------------


def one_comment(server: WordPressServer, listener: WordPress, **more: Any) -> Post:
    external_id = server.comment(**more)
    return read(listener)[0][external_id]


def test_what_looks_like_html_arrives_as_it_was_typed(server: WordPressServer, listener: WordPress) -> None:
    post, text = one_comment(server, listener), 'If a<b & you "press"\nC:\\kettle <script>, it\'s <b>done</b> 🙂'
    sent = listener.answer(post, text, "k1")
    (request,) = [one for one in server.requests if one.method == "POST"]
    body = request.json()
    assert "<" not in body["content"]
    assert (body["post"], body["parent"]) == (5, 1)
    assert isinstance(found := listener.find(post, text, "another key", datetime.now(UTC) - timedelta(minutes=1)), Sent)
    assert found.external_id == sent.external_id


def test_the_same_words_twice_are_one_comment(server: WordPressServer, listener: WordPress) -> None:
    post = one_comment(server, listener)
    first = listener.answer(post, "Thank you.", "k1")
    assert listener.answer(post, "Thank you.", "k2").external_id == first.external_id  # WordPress: comment_duplicate
    assert server.answers_under(post.external_id) == ["Thank you."]


def test_an_edited_answer_is_still_found_by_its_key(server: WordPressServer, listener: WordPress) -> None:
    post = one_comment(server, listener)
    sent = listener.answer(post, "Thank you.", "k1")
    server.of(sent.external_id)["content"] = {"raw": "Thanks a lot.", "rendered": "<p>Thanks a lot.</p>"}
    found = listener.find(post, "Thank you.", "k1", datetime.now(UTC))
    assert isinstance(found, Sent)


def test_the_same_words_of_last_week_are_no_proof(server: WordPressServer, listener: WordPress) -> None:
    post = one_comment(server, listener)
    server.comment("Thank you.", parent=1, author=ME, date_gmt="2026-01-01T10:00:00")
    assert listener.find(post, "Thank you.", "k1", datetime.now(UTC)) == Absent()


def test_an_answer_far_down_among_many_is_found(server: WordPressServer, listener: WordPress) -> None:
    post = one_comment(server, listener)
    for n in range(7):
        listener.answer(post, f"Part {n}", f"k{n}")
    for n in range(7):
        assert isinstance(listener.find(post, "", f"k{n}", datetime.now(UTC)), Sent)


@pytest.mark.parametrize("status", ["trash", "spam", "hold"])
def test_a_comment_that_is_gone_is_not_answered(server: WordPressServer, listener: WordPress, status: str) -> None:
    post = one_comment(server, listener)
    server.of(post.external_id)["status"] = status
    with pytest.raises(Terminal, match="not public any more"):
        listener.answer(post, "Thank you.", "k1")
    assert server.answers_under(post.external_id) == []


def test_a_closed_post_says_so(server: WordPressServer, listener: WordPress) -> None:
    post = one_comment(server, listener)
    server.open_for_comments = False
    with pytest.raises(Terminal, match="closed for comments"):
        listener.answer(post, "Thank you.", "k1")


def test_too_fast_a_writer_waits(server: WordPressServer, listener: WordPress) -> None:
    post = one_comment(server, listener)
    server.in_a_hurry = True
    with pytest.raises(Transient) as caught:
        listener.answer(post, "Thank you.", "k1")
    assert caught.value.retry_after == 15


def test_a_comment_of_another_site_is_not_ours_to_answer(server: WordPressServer, listener: WordPress) -> None:
    post = one_comment(server, listener).model_copy(update={"external_id": "other.example#comment-1"})
    assert not listener.may_answer(post).allowed
    with pytest.raises(Terminal):
        listener.answer(post, "Thank you.", "k1")
    assert listener.still_there(["other.example#comment-1", "nonsense"]) == {}


@pytest.mark.parametrize("text", ["", " \n", "x" * 65_526, "&" * 14_000])
def test_what_wordpress_would_refuse_is_not_sent(server: WordPressServer, listener: WordPress, text: str) -> None:
    post = one_comment(server, listener)
    with pytest.raises(Terminal):
        listener.answer(post, text, "k1")
    assert all(request.method == "GET" for request in server.requests)


# --- The account ---------------------------------------------------------------------------------------------------


def test_a_wrong_password_says_what_to_do_and_is_nowhere_in_it(server: WordPressServer) -> None:
    wrong = "zzzz yyyy xxxx wwww vvvv uuuu"
    with pytest.raises(Terminal) as caught:
        opened(server, application_password=wrong).check()
    said = f"{caught.value} {caught.value.what_to_do} {caught.value.__cause__}"
    assert "application password" in said
    assert "<strong>" not in said
    assert "zzzz" not in said
    assert "zzzz" not in repr(opened(server, application_password=wrong))


def test_a_user_without_the_right_to_moderate_is_told(server: WordPressServer, listener: WordPress) -> None:
    server.may_moderate = False
    health = listener.check()
    assert not health.ok
    assert "Editor" in health.words
    with pytest.raises(Terminal) as caught:
        read(listener)
    assert "Editor" in caught.value.what_to_do


def test_who_we_are_is_who_our_comments_are_by(server: WordPressServer, listener: WordPress) -> None:
    post = one_comment(server, listener)
    sent = listener.answer(post, "Thank you.", "k1")
    ours = read(listener)[0][sent.external_id]
    account = listener.check().account
    assert account is not None
    assert ours.author is not None
    assert ours.author.id == account.id


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("blog.example", "blog.example"),
        ("https://Blog.Example/wp-admin/profile.php", "blog.example"),
        ("https://example.com/news/", "example.com/news"),
        ("http://example.com:8080/index.php", "example.com:8080"),
    ],
)
def test_an_address_is_taken_as_it_is_copied(written: str, name: str) -> None:
    listener = registry.open("wordpress", {**ACCOUNT, "site": written}, Options(allow_private_hosts=True))
    post = next(one for one in listener.parse(ANSWER) if isinstance(one, Post))
    assert post.external_id == f"{name}#comment-41"


@pytest.mark.parametrize(
    "written", ["ftp://blog.example", "https://", "https://a:b@blog.example", "https://x:99999", "http://blog.example"]
)
def test_an_address_that_leads_nowhere_or_is_not_private_is_refused(written: str) -> None:
    with pytest.raises(Terminal) as caught:
        registry.open("wordpress", {**ACCOUNT, "site": written}, Options())
    assert "https://" in caught.value.what_to_do


# --- Whatever comes ------------------------------------------------------------------------------------------------

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = [
    "id", "post", "parent", "author", "author_name", "author_avatar_urls", "date_gmt", "content", "link", "status",
    "type", "_embedded",
]  # fmt: skip
GOOD: dict[str, Any] = {**json.loads(ANSWER)[0], "id": 999}


@settings(max_examples=60, deadline=None)
@given(st.lists(ANYTHING | st.dictionaries(st.sampled_from(FIELDS), ANYTHING).map(lambda odd: GOOD | {"id": 1} | odd)))
def test_one_bad_comment_never_costs_a_good_one(odd: list[Any]) -> None:
    listener = registry.open("wordpress", ACCOUNT, Options())
    found = listener.parse(json.dumps([*odd, GOOD]).encode())
    assert len(found) == len(odd) + 1
    assert isinstance(found[-1], Post)


@pytest.mark.parametrize(
    "make", [lambda n: "<" * n, lambda n: "<b><i>" * n, lambda n: "&" * n, lambda n: "x" * n], ids=["<", "b", "&", "x"]
)
def test_a_huge_comment_is_kept_in_bounds(make: Callable[[int], str]) -> None:
    huge = GOOD | {"content": {"rendered": make(500_000)}, "author_name": make(500_000)}
    (post,) = registry.open("wordpress", ACCOUNT, Options()).parse(json.dumps([huge]).encode())
    assert isinstance(post, Post)
    assert len(post.text) <= 100_000
