"""Mastodon: hashtags, search and what is said to us; answers that arrive once, and to no more people than the post."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from listeners import mastodon, registry
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
from listeners.mastodon import CAPABILITY, Mastodon, length, opening, post_or_rejected
from tests.listeners.contract import (
    AnswersContract,
    DeletesContract,
    EditsContract,
    LooksBackContract,
    NetworkContract,
    Rig,
    collect,
)
from tests.listeners.fake_mastodon import FIRST, HOME, US, MastodonServer, account, status
from tests.listeners.fake_server import Reply
from tests.listeners.fake_stream import MastodonNetwork
from tests.listeners.faults import FaultsContract
from tests.listeners.stream_contract import StreamRig, StreamsContract

FIXTURES = Path(__file__).parent / "fixtures" / "mastodon"
HASHTAG = (FIXTURES / "hashtag.json").read_bytes()
NOTIFICATIONS = (FIXTURES / "notifications.json").read_bytes()
SINCE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def _knows_no_thread() -> None:
    mastodon._first_of.clear()


@pytest.fixture
def server() -> Iterator[MastodonServer]:
    with MastodonServer() as running:
        yield running


def opened(server: MastodonServer, token: str = "t0ken", instance: str = HOME) -> Mastodon:
    account = {"instance": instance, **({"token": token} if token else {})}
    found = registry.open("mastodon", account, Options(server.url, 2.0, allow_private_hosts=True))
    assert isinstance(found, Mastodon)
    return found


@pytest.fixture
def listener(server: MastodonServer) -> Mastodon:
    return opened(server)


def one_post(server: MastodonServer, listener: Mastodon, **more: Any) -> Post:
    server.posts(1, **more)
    return collect(listener, Query("", "notifications"), {})[0][0]


class TestHashtag(FaultsContract, NetworkContract, LooksBackContract, AnswersContract, DeletesContract, EditsContract):
    @pytest.fixture
    def rig(self, server: MastodonServer, listener: Mastodon) -> Rig:
        return Rig(listener, server, Query("#kettle"), raw=[HASHTAG, NOTIFICATIONS], idempotent=True)


class TestNotifications(
    FaultsContract, NetworkContract, LooksBackContract, AnswersContract, DeletesContract, EditsContract
):
    @pytest.fixture
    def rig(self, server: MastodonServer, listener: Mastodon) -> Rig:
        return Rig(listener, server, Query("", "notifications"), raw=[NOTIFICATIONS], idempotent=True)


class TestSearch(FaultsContract, NetworkContract, LooksBackContract, AnswersContract, DeletesContract, EditsContract):
    @pytest.fixture
    def rig(self, server: MastodonServer, listener: Mastodon, monkeypatch: pytest.MonkeyPatch) -> Rig:
        monkeypatch.setattr(
            "listeners.mastodon.PAGE_SIZE", server.page_size
        )  # a search goes on by the size it asks for
        return Rig(
            listener, server, Query("kettle", "search"), raw=[b'{"statuses": ' + HASHTAG + b"}"], idempotent=True
        )


class TestStream(StreamsContract):
    @pytest.fixture
    def streamed(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[StreamRig]:
        monkeypatch.setattr("listeners.mastodon.SETTLED", 0.05)
        with MastodonNetwork() as network:
            yield StreamRig(lambda: streaming_from(network.api), network, Query("#kettle", "stream"))


class TestNotificationsStream(StreamsContract):
    @pytest.fixture
    def streamed(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[StreamRig]:
        monkeypatch.setattr("listeners.mastodon.SETTLED", 0.05)
        with MastodonNetwork() as network:
            to_us = Query("", "notifications_stream")
            yield StreamRig(lambda: streaming_from(network.api), network, to_us, tells_deletions=False)


def streaming_from(server: MastodonServer) -> Mastodon:
    return mastodon.open({"instance": server.url, "token": "t0ken"}, Options(timeout=5, allow_private_hosts=True))


# --- From the wire to posts ----------------------------------------------------------------------------------------


def test_a_thread_is_one_whatever_part_of_it_is_read(server: MastodonServer, listener: Mastodon) -> None:
    (first,) = server.posts(1)
    (second,) = server.posts(1, in_reply_to_id=first.partition("@")[0])
    (third,) = server.posts(1, in_reply_to_id=second.partition("@")[0])
    server.page_size = 1
    roots = {post.external_id: post.root_id for post in collect(listener, Query("#kettle"), {})[0]}
    assert roots == {first: None, second: first, third: first}
    asked = [request for request in server.requests if request.path.endswith("/context")]
    collect(opened(server), Query("#kettle"), {})
    assert [request for request in server.requests if request.path.endswith("/context")] == asked, "it never changes"


def test_a_thread_whose_beginning_is_not_shown_begins_with_what_is_answered(
    server: MastodonServer, listener: Mastodon
) -> None:
    (first,) = server.posts(1)
    (second,) = server.posts(1, in_reply_to_id=first.partition("@")[0])
    server.deletes(first)
    (answer,) = collect(listener, Query("#kettle"), {})[0]
    assert (answer.external_id, answer.root_id) == (second, first)


def test_so_many_threads_are_asked_for_and_no_more(server: MastodonServer, listener: Mastodon) -> None:
    server.page_size = 40
    for n in range(15):
        server.posts(1, in_reply_to_id=str(n + 1))
    posts = collect(listener, Query("#kettle"), {})[0]
    assert len([request for request in server.requests if request.path.endswith("/context")]) == 10
    assert all(post.root_id == post.parent_id for post in posts)


def test_an_answer_tells_what_is_left_of_answers(server: MastodonServer, listener: Mastodon) -> None:
    sent = listener.answer(one_post(server, listener), "@ann It will.", "k")
    assert (sent.budget.remaining, sent.budget.limit, sent.budget.kind) == (287, 300, "answers")
    assert sent.budget.resets_at is not None


@pytest.mark.parametrize("version", ["v2", "v1"])
def test_how_long_an_answer_may_be_is_the_instance_s_own_and_kept(server: MastodonServer, version: str) -> None:
    server.max_characters, server.per_link, server.says_limits_in = 5_000, 30, version
    health = opened(server).check()
    assert health.limits == {"max_characters": 5_000, "characters_reserved_per_url": 30}
    asked = len(server.requests)
    options = Options(server.url, 2.0, allow_private_hosts=True, limits=health.limits)
    allows = registry.open("mastodon", {"instance": HOME, "token": "t0ken"}, options).capability
    assert (allows.max_chars, allows.length("See https://example.com/a")) == (5_000, 34)
    assert len(server.requests) == asked, "nobody is asked while somebody types"


def test_nonsensical_limits_are_mastodon_s_own(server: MastodonServer) -> None:
    server.max_characters = -7
    server.per_link = 10**9
    assert opened(server).check().limits == {"max_characters": 500, "characters_reserved_per_url": 23}


def test_a_timeline_becomes_posts(listener: Mastodon) -> None:
    said, reply, picture, quote, boost, broken = listener.parse(HASHTAG)
    assert isinstance(said, Post)
    assert said.external_id == f"113500000000000009@{HOME}"
    assert said.text == (
        'It boils & whistles. #kettle\n\nMine says "done":\nhttps://kettles.example/how/it/whistles?long=1'
    )
    assert said.title == "Long, and about tea"
    assert (said.lang, said.kind, said.parent_id) == ("en", Kind.POST, None)
    assert said.posted_at == datetime(2026, 11, 20, 9, 30, 0, 512_000, tzinfo=UTC)
    assert said.edited_at == datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
    assert said.engagement == {"replies": 1, "boosts": 2, "favourites": 5, "quotes": 0}
    assert said.author is not None
    assert (said.author.handle, said.author.display_name) == (f"ann@{HOME}", "Ann of Kettles")
    assert said.author.followers == 120
    assert isinstance(reply, Post)
    assert (reply.parent_id, reply.kind, reply.lang) == (f"113500000000000002@{HOME}", Kind.COMMENT, "de")
    assert reply.author is not None
    assert (reply.author.id, reply.author.handle) == ("jane@elsewhere.example", "Jane@elsewhere.example")
    assert reply.mentions == (f"ann@{HOME}",)
    assert reply.url == "https://elsewhere.example/@Jane/77"
    assert isinstance(picture, Post)
    assert (picture.text, picture.lang) == ("A kettle, red", None)
    assert isinstance(quote, Post)
    assert quote.quotes_id == f"113500000000000001@{HOME}"
    assert quote.quotes_author_id == "jane@elsewhere.example"
    assert isinstance(boost, Rejected)
    assert "boost" in boost.reason
    assert isinstance(broken, Rejected)
    assert (broken.where, broken.reason) == ("item 7", "has no date")


def test_notifications_become_what_was_said_to_us(listener: Mastodon) -> None:
    private, reply, quote, broken = listener.parse(NOTIFICATIONS)
    assert isinstance(private, Post)
    assert private.text == "@acme_help just between us: order 7 is late"
    assert private.title == "Private mention"
    assert private.mentions == (f"acme_help@{HOME}",)
    assert isinstance(reply, Post)
    assert reply.parent_id == f"113500000000000011@{HOME}"
    assert isinstance(quote, Post)
    assert quote.quotes_author_id == f"acme_help@{HOME}"
    assert isinstance(broken, Rejected)


@pytest.mark.parametrize("visibility", ["private", "direct", "limited"])
def test_what_was_not_public_is_left_alone_unless_it_was_said_to_us(
    server: MastodonServer, listener: Mastodon, visibility: str
) -> None:
    (secret,) = server.posts(1, visibility=visibility)
    for mode in ("hashtag", "search"):
        assert collect(listener, Query("kettle", mode), {})[0] == []
    assert [post.external_id for post in collect(listener, Query("", "notifications"), {})[0]] == [secret]


@pytest.mark.parametrize(
    ("visibility", "warning", "title", "seen"),
    [
        ("public", "", None, "in public"),
        ("public", "Private mention", "Warning: Private mention", "in public"),
        ("direct", "", "Private mention", "seen only by those whom it names"),
        ("private", "Order 7", "To followers only · Order 7", "seen by our followers and whom it names"),
    ],
)
def test_who_will_see_an_answer_is_said_and_cannot_be_feigned(
    visibility: str, warning: str, title: str | None, seen: str
) -> None:
    said = status(1, "<p>a</p>", datetime(2026, 1, 1, tzinfo=UTC), account("ann"))
    post = post_or_rejected("here", {**said, "visibility": visibility, "spoiler_text": warning}, HOME)
    assert isinstance(post, Post)
    assert post.title == title
    assert CAPABILITY.seen_by(post) == seen


SHAPES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40) | st.just("x" * 200_000),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = sorted(status(1, "<p>a</p>", datetime(2026, 1, 1, tzinfo=UTC), account("ann")))


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(st.sampled_from(FIELDS), SHAPES, max_size=4))
def test_a_status_of_any_shape_is_a_post_or_says_why_not(changes: dict[str, Any]) -> None:
    one = {**status(1, "<p>a</p>", datetime(2026, 1, 1, tzinfo=UTC), account("ann")), **changes}
    found = post_or_rejected("here", one, HOME)
    assert isinstance(found, Post) or (found.where == "here" and found.reason)


def test_a_bad_post_loses_no_good_one(server: MastodonServer, listener: Mastodon) -> None:
    server.page_size = 9
    good = server.posts(3)
    server.statuses.insert(1, {**status(FIRST - 5, "<p>b</p>", server.started, account("ann")), "account": None})
    page = next(iter(listener.fetch(Query("kettle"), {})))
    assert sorted(post.external_id for post in page.posts) == good
    assert [one.reason for one in page.rejected] == ["has no author"]


@pytest.mark.parametrize("answer", [b"{}", b"3", b'{"error": "no"}', b"[" * 100_000, b'{"statuses": 3}'])
def test_what_is_no_answer_is_terminal(listener: Mastodon, answer: bytes) -> None:
    with pytest.raises(Terminal):
        listener.parse(answer)


# --- What is asked for ---------------------------------------------------------------------------------------------


def test_hashtags_are_asked_for_without_a_token(server: MastodonServer) -> None:
    posted = server.posts(4)
    posts, _ = collect(opened(server, token=""), Query(" #kettle, Teapot -#coffee ", "hashtag"), {})
    assert sorted(post.external_id for post in posts) == posted
    first, second, *_ = server.requests
    assert first.path == "/api/v1/timelines/tag/kettle"
    assert first.every == {"any[]": ["Teapot"], "none[]": ["coffee"], "limit": ["40"]}
    assert second.params["max_id"] == str(FIRST + 1)
    assert "authorization" not in first.headers


def test_a_tag_in_any_script_goes_into_the_path(server: MastodonServer, listener: Mastodon) -> None:
    list(listener.fetch(Query("#чайник"), {}))
    assert server.requests[0].path == "/api/v1/timelines/tag/%D1%87%D0%B0%D0%B9%D0%BD%D0%B8%D0%BA"


@pytest.mark.parametrize("query", ["", " - ", "#", "../../v1/statuses", "a?b", "-#coffee", "a b c d e f"])
def test_what_is_no_hashtag_is_refused_before_anything_is_asked(
    server: MastodonServer, listener: Mastodon, query: str
) -> None:
    with pytest.raises(Terminal):
        list(listener.fetch(Query(query), {}))
    assert server.requests == []


@pytest.mark.parametrize("mode", ["search", "notifications"])
def test_the_others_need_a_token(server: MastodonServer, mode: str) -> None:
    with pytest.raises(Terminal, match="only to an account") as caught:
        list(opened(server, token="").fetch(Query("kettle", mode), {}))
    assert "access token" in caught.value.what_to_do
    assert server.requests == []


def test_a_search_asks_for_posts_only_and_goes_on_by_offset(server: MastodonServer, listener: Mastodon) -> None:
    posted = server.posts(90)
    posts, _ = collect(listener, Query('"tea kettle" -iron', "search"), {})
    assert sorted(post.external_id for post in posts) == sorted(posted)
    assert [one.params["offset"] for one in server.requests] == ["0", "40", "80", "120"]
    assert server.requests[0].params["q"] == '"tea kettle" -iron'
    assert {one.params["type"] for one in server.requests} == {"statuses"}


def test_what_lies_below_the_end_of_a_search_is_read_in_slices(
    server: MastodonServer, listener: Mastodon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("listeners.mastodon.PAGE_SIZE", 4)
    monkeypatch.setattr("listeners.mastodon.SEARCH_ENDS", 12)
    server.search_ends = 12
    posted = server.posts(50)
    query = Query("kettle", "search")
    assert len(collect(listener, query, {})[0]) == 12
    server.requests.clear()
    posts, _ = collect(listener, query, listener.since(query, server.started))
    assert sorted(post.external_id for post in posts) == sorted(posted)
    assert max(int(one.params["offset"]) for one in server.requests) < 12, "never further than a search goes"
    moments = list(dict.fromkeys(int(one.params["max_id"]) for one in server.requests if "max_id" in one.params))
    assert moments == sorted(moments, reverse=True)
    assert len(moments) >= 4


def test_a_mention_that_was_long_on_its_way_is_new_all_the_same(server: MastodonServer, listener: Mastodon) -> None:
    server.posts(4)
    _, cursor = collect(listener, Query("", "notifications"), {})
    for n in range(7):  # its instance was away for a day; these now arrive at once
        old = status(FIRST - 100 + n, "<p>late</p>", server.started - timedelta(days=1), account("bo@late.example"))
        server.notifies(old)
    posts, _ = collect(listener, Query("", "notifications"), cursor)
    assert sum(post.text == "late" for post in posts) == 7


def test_the_budget_is_that_of_the_headers(server: MastodonServer, listener: Mastodon) -> None:
    server.posts(1)
    page = next(iter(listener.fetch(Query("kettle"), {})))
    assert (page.budget.remaining, page.budget.limit) == (287, 300)
    assert page.budget.resets_at is not None
    assert timedelta(minutes=4) < page.budget.resets_at - datetime.now(UTC) <= timedelta(minutes=5)


def test_a_token_that_was_taken_back_says_so(server: MastodonServer) -> None:
    with pytest.raises(BadCredentials):
        list(opened(server, token="0ld").fetch(Query("", "notifications"), {}))


def test_an_instance_that_shows_nothing_to_strangers_says_so(server: MastodonServer) -> None:
    server.fails(Reply({"error": "This method requires an authenticated user"}, 401))
    with pytest.raises(Terminal, match="signed in") as caught:
        list(opened(server, token="").fetch(Query("kettle"), {}))
    assert not isinstance(caught.value, BadCredentials)


@pytest.mark.parametrize(
    "instance",
    ["mastodon.example", "https://mastodon.example", "https://Mastodon.Example/about", "@acme@mastodon.example "],
)
def test_an_instance_may_be_entered_in_any_way(instance: str) -> None:
    listener = Mastodon({"instance": instance}, Options())
    (post,) = listener.parse(HASHTAG)[:1]
    assert isinstance(post, Post)
    assert post.external_id.endswith("@mastodon.example")


@pytest.mark.parametrize("instance", ["", "a b", "https://", "https://user:pass@social.example", "http://["])
def test_what_is_no_instance_is_refused(instance: str) -> None:
    with pytest.raises(Terminal, match="instance"):
        Mastodon({"instance": instance}, Options())


def test_a_token_with_letters_that_none_has_is_refused_and_never_shown() -> None:
    with pytest.raises(Terminal) as caught:
        Mastodon({"instance": HOME, "token": "geheim\nX-Evil: 1"}, Options())
    assert "geheim" not in str(caught.value) + caught.value.what_to_do
    assert "t0ken" not in repr(Mastodon({"instance": HOME, "token": "t0ken"}, Options()))


def test_the_check_says_who_we_are_and_how_long_a_post_may_be(server: MastodonServer, listener: Mastodon) -> None:
    server.max_characters = 5_000
    health = listener.check()
    assert health.words == f"Signed in as @acme_help@{HOME}; a post takes 5,000 characters."
    assert health.account is not None
    assert health.account.id == f"acme_help@{HOME}"
    assert listener.capability.max_chars == 5_000
    assert "only hashtags" in opened(server, token="").check().words


# --- Answering -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("", 0),
        ("Hello", 5),
        ("Fami\u0301lia 👩‍👩‍👧", 9),
        ("https://kettles.example/a/very/long/path/that/is/much/longer/than/that?x=1", 23),
        ("See https://k.example.", 4 + 23 + 1),
        ("(https://k.example/a)", 2 + 23),
        ("@jane@a.very.long.name.of.an.instance.example hi", 8),
        ("mail me@example.com", 19),
    ],
)
def test_length_as_mastodon_counts(text: str, counts: int) -> None:
    assert length(text) == counts


def test_counting_takes_no_time_whatever_comes() -> None:
    for hostile in ("https://" + ")" * 200_000, "@a." * 60_000, "@a@b" + ".-" * 90_000):
        assert length(hostile) > 0


def test_an_answer_is_posted_as_it_was_written(server: MastodonServer, listener: Mastodon) -> None:
    post = one_post(server, listener)
    assert opening(post) == f"@ann@{HOME} "
    text = opening(post) + "Sorry! A new one is on its way: https://acme.example/r/7 <b>&"
    sent = listener.answer(post, text, "key-1")
    (posted,) = [one for one in server.requests if one.method == "POST"]
    assert posted.path == "/api/v1/statuses"
    assert posted.json() == {"status": text, "in_reply_to_id": str(FIRST), "visibility": "public"}
    assert len(posted.headers["idempotency-key"]) == 64
    assert "key-1" not in posted.headers["idempotency-key"]
    assert sent.external_id.endswith(f"@{HOME}")
    assert sent.url == f"https://{HOME}/@acme_help/{sent.external_id.partition('@')[0]}"


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("public", "public"), ("unlisted", "unlisted"), ("private", "private"), ("direct", "direct"), ("new", "direct")],
)
def test_an_answer_is_never_shown_to_more_people_than_the_post(
    server: MastodonServer, listener: Mastodon, theirs: str, ours: str
) -> None:
    post = one_post(server, listener, visibility=theirs)
    listener.answer(post, "@ann Here you are", "key")
    assert server.ours[-1]["visibility"] == ours


def test_an_answer_in_private_names_its_author(server: MastodonServer, listener: Mastodon) -> None:
    post = one_post(server, listener, visibility="direct")
    with pytest.raises(Terminal, match="not among them") as caught:
        listener.answer(post, "@annabel Here you are", "key")
    assert f"@ann@{HOME}" in caught.value.what_to_do
    assert server.ours == []
    listener.answer(post, f"Here you are, @Ann@{HOME}.", "key")


def test_the_instances_own_limit_counts(server: MastodonServer, listener: Mastodon) -> None:
    post = one_post(server, listener)
    server.max_characters = 20
    with pytest.raises(Terminal, match="counts 21"):
        listener.answer(post, "x" * 21, "key")
    server.max_characters = 1_000
    listener.answer(post, "x" * 600, "key")
    assert server.answers_under(post.external_id) == ["x" * 600]


def test_a_post_that_is_gone_is_not_answered(server: MastodonServer, listener: Mastodon) -> None:
    post = one_post(server, listener)
    server.deletes(post.external_id)
    with pytest.raises(Terminal, match="deleted"):
        listener.answer(post, "Hello", "key")


def test_a_post_of_another_instance_is_not_answered(server: MastodonServer, listener: Mastodon) -> None:
    post = one_post(server, listener).model_copy(update={"external_id": f"{FIRST}@other.example"})
    verdict = listener.may_answer(post)
    assert not verdict.allowed
    assert "other.example" in verdict.reason
    with pytest.raises(Terminal, match=r"other\.example"):
        listener.answer(post, "Hello", "key")
    assert not opened(server, token="").may_answer(one_post(server, listener)).allowed


def test_too_many_answers_is_certain_and_says_when(server: MastodonServer, listener: Mastodon) -> None:
    post = one_post(server, listener)
    server.rate_limits(after=2, seconds=600)  # the limits and the post are read first
    with pytest.raises(Transient) as caught:
        listener.answer(post, "Hello", "key")
    assert caught.value.retry_after is not None
    assert 590 < caught.value.retry_after <= 600
    assert server.ours == []


def test_an_answer_that_is_no_post_is_unknown(server: MastodonServer, listener: Mastodon) -> None:
    post = one_post(server, listener)
    real = server._post
    server._post = lambda request: (real(request), Reply({"id": 3}))[1]  # type: ignore[method-assign]
    with pytest.raises(OutcomeUnknown):
        listener.answer(post, "Hello", "key")


def test_an_answer_is_found_by_its_words_after_the_key_is_forgotten(server: MastodonServer, listener: Mastodon) -> None:
    post = one_post(server, listener)
    since = datetime.now(UTC)
    server.loses_keys, server.clock_ahead = True, timedelta(minutes=-2)
    text = "@ann Try https://acme.example/kettle & tell <us>"
    sent = listener.answer(post, text, "key")
    for shows in (True, False):
        server.shows_sources = shows
        found = listener.find(post, text, "key", since)
        assert isinstance(found, Sent)
        assert found.external_id == sent.external_id
    assert isinstance(listener.find(post, "Something else", "key", since), CannotTell)
    other = one_post(server, listener)
    assert listener.find(other, text, "key", since) == Absent()


def test_answers_deeper_than_we_look_are_not_called_absent(server: MastodonServer, listener: Mastodon) -> None:
    post = one_post(server, listener)
    now = datetime.now(UTC)
    server.ours = [
        status(FIRST * 2 + n, "<p>other</p>", now, US) for n in range(40)
    ]  # ten pages of three are looked at
    assert isinstance(listener.find(post, "Hello", "key", now), CannotTell)
    assert listener.find(post, "Hello", "key", now + timedelta(hours=1)) == Absent(), "all of them are older"


def test_an_answer_can_be_deleted_twice(server: MastodonServer, listener: Mastodon) -> None:
    post = one_post(server, listener)
    sent = listener.answer(post, "Hello", "key")
    listener.delete(sent.external_id)
    listener.delete(sent.external_id)
    assert listener.still_there([sent.external_id]) == {sent.external_id: False}


# --- What was deleted ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shows_many", [True, False])
def test_posts_are_asked_about_twenty_at_a_time_where_that_is_possible(
    server: MastodonServer, listener: Mastodon, shows_many: bool
) -> None:
    server.shows_many = shows_many
    posted = server.posts(45)
    server.deletes(posted[3])
    there = listener.still_there([*posted, f"7@{HOME}", "7@other.example", "nonsense"])
    assert there == {**dict.fromkeys(posted, True), posted[3]: False, f"7@{HOME}": False}
    assert len(server.requests) == (3 + 2 if shows_many else 3 + 46)


def test_the_rule_tells_of_the_mention() -> None:
    assert "@name" in CAPABILITY.answering_rule
    assert not CAPABILITY.trainable
