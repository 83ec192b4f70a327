"""Google Play: reviews of the last seven days, one reply to each, and a service account."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from listeners import google_play, registry
from listeners.base import (
    Absent,
    Author,
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
from listeners.google_play import GooglePlay, package_of
from tests.listeners.contract import (
    AnswersAnewContract,
    AnswersContract,
    EditsContract,
    LooksBackContract,
    NetworkContract,
    Rig,
    collect,
)
from tests.listeners.fake_google_play import ACCOUNT, EMAIL, KEY_FILE, PACKAGE, PEM, GooglePlayServer, refusal
from tests.listeners.fake_server import Reply
from tests.listeners.faults import FaultsContract

REVIEWS = (Path(__file__).parent / "fixtures" / "google_play" / "reviews.json").read_bytes()
APP = Query(PACKAGE)


def opened(server: GooglePlayServer, **changes: Any) -> GooglePlay:
    account = {"service_account": json.dumps({**KEY_FILE, **changes})} if changes else ACCOUNT
    found = registry.open("googleplay", account, Options(server.url, 2.0, allow_private_hosts=True))
    assert isinstance(found, GooglePlay)
    return found


@pytest.fixture
def server() -> Iterator[GooglePlayServer]:
    with GooglePlayServer() as running:
        yield running


@pytest.fixture
def listener(server: GooglePlayServer) -> GooglePlay:
    return opened(server)


def parse(answer: bytes) -> list[Post | Rejected]:
    return GooglePlay({}, Options()).parse(answer)


def reviewed(server: GooglePlayServer, listener: GooglePlay) -> Post:
    """A new review, as it is read."""
    (number,) = server.posts(1)
    return next(post for post in collect(listener, APP, {})[0] if post.external_id == number)


class TestContract(
    FaultsContract, NetworkContract, LooksBackContract, AnswersContract, AnswersAnewContract, EditsContract
):
    @pytest.fixture
    def rig(self, server: GooglePlayServer, listener: GooglePlay) -> Rig:
        return Rig(
            listener,
            server,
            APP,
            raw=[REVIEWS, json.dumps(json.loads(REVIEWS)["reviews"][1]).encode()],
            idempotent=True,
        )


# --- From the wire to posts


class TestParse:
    def test_a_review_with_everything(self) -> None:
        assert parse(REVIEWS)[0] == Post(
            platform="googleplay",
            external_id="gp:AOqpTOFxample_0-1",
            author=Author(id="gp:AOqpTOFxample_0-1", handle="Jane Kettle"),
            title="Whistles twice",
            text="Since the update it whistles twice.",
            lang="en",
            rating=2.0,
            posted_at=datetime(2026, 11, 22, 1, 0, tzinfo=UTC),
            edited_at=datetime(2026, 11, 22, 1, 0, tzinfo=UTC),
            engagement={"thumbs up": 7, "thumbs down": 1},
            kind=Kind.REVIEW,
        )

    def test_what_was_written_counts_and_not_its_translation(self) -> None:
        review = parse(REVIEWS)[1]
        assert isinstance(review, Post)
        assert (review.text, review.lang) == ("Uvaří za minutu.", "cs-CZ")

    def test_a_reply_stands_below_its_review_as_the_developer_s(self) -> None:
        _, review, reply, *_ = parse(REVIEWS)
        assert isinstance(review, Post)
        assert isinstance(reply, Post)
        assert (reply.parent_id, reply.root_id) == (review.external_id, review.external_id)
        assert (reply.kind, reply.author) == (Kind.ANSWER, google_play.DEVELOPER)
        assert reply.text == "Thank you! The next update\nboils faster still."

    def test_a_damaged_review_is_rejected_and_its_neighbours_stay(self) -> None:
        found = parse(REVIEWS)
        assert [one for one in found if isinstance(one, Rejected)] == [
            Rejected("review 4", "has no rating from 0 to 5"),
            Rejected("review 5", "has no words of its author"),
            Rejected("review 6", "has no id"),
        ]
        nameless = found[3]
        assert isinstance(nameless, Post)
        assert (nameless.author, nameless.lang) == (None, "es-419")

    @pytest.mark.parametrize("answer", [b"{}", b'{"reviews": []}', b'{"pageInfo": {"totalResults": 0}}'])
    def test_an_answer_without_reviews(self, answer: bytes) -> None:
        assert parse(answer) == []

    @pytest.mark.parametrize("answer", [b"[]", b'{"reviews": 1}', b'{"error": {}}', b"<html>", b"{", b"[" * 9_999])
    def test_what_is_no_answer_is_said(self, answer: bytes) -> None:
        with pytest.raises(Terminal):
            parse(answer)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=8), inside, max_size=3),
    max_leaves=8,
)
ODD = st.one_of(
    JSON,
    st.sampled_from(["\x00", "\ud800", "x" * 200_000, {"seconds": "9" * 12}, {"seconds": 10**400}, {"seconds": "-1"}]),
)
GOOD = json.loads(REVIEWS)["reviews"][1]


@st.composite
def odd_reviews(draw: st.DrawFn) -> Any:
    """Anything in place of a review, or one with a field of another shape, at any depth."""
    if draw(st.booleans()):
        return draw(JSON)
    review = json.loads(json.dumps(GOOD))
    user, developer = review["comments"][0]["userComment"], review["comments"][1]["developerComment"]
    holder = draw(st.sampled_from([review, user, developer]))
    holder[draw(st.sampled_from(sorted(holder)))] = draw(ODD)
    return review


@settings(max_examples=200, deadline=None)
@given(st.lists(odd_reviews(), max_size=4), st.integers(0, 4))
def test_no_shape_of_a_review_loses_a_good_one(odd: list[Any], place: int) -> None:
    good = {**GOOD, "reviewId": "good-one"}
    found = parse(json.dumps({"reviews": [*odd[:place], good, *odd[place:]]}).encode())
    ids = [one.external_id for one in found if isinstance(one, Post)]
    assert "good-one" in ids
    told = [one for one in found if isinstance(one, Rejected) or one.kind is Kind.REVIEW]
    assert len([one for one in told if isinstance(one, Post) or one.where.startswith("review")]) == len(odd) + 1


# --- Which app


class TestQueries:
    @pytest.mark.parametrize(
        "text",
        [
            "com.example.kettle",
            " com.example.kettle ",
            "https://play.google.com/store/apps/details?id=com.example.kettle&hl=de",
            "http://play.google.com/store/apps/details?hl=en&id=com.example.kettle",
        ],
    )
    def test_an_app(self, text: str) -> None:
        assert package_of(text) == "com.example.kettle"

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "kettle",
            "com.example.kettle/../x",
            "com..kettle",
            "https://example.com/store/apps/details?id=com.example.kettle",
            "https://play.google.com/store/apps/dev?id=com.example.kettle",
            "https://play.google.com/store/apps/details?id=../x",
            "http://[::1",
            "a." + "b" * 300,
        ],
    )
    def test_what_names_no_app_is_refused(self, text: str) -> None:
        with pytest.raises(Terminal):
            package_of(text)

    def test_a_mode_that_is_none(self, listener: GooglePlay) -> None:
        with pytest.raises(Terminal, match="no mode"):
            list(listener.fetch(Query(PACKAGE, "charts"), {}))


# --- Reading


def test_a_review_knows_its_app(server: GooglePlayServer, listener: GooglePlay) -> None:
    post = reviewed(server, listener)
    assert post.url == "https://play.google.com/store/apps/details?id=com.example.kettle&reviewId=gp%3AAOqp_0000"


def test_an_app_that_is_not_ours_is_named(server: GooglePlayServer, listener: GooglePlay) -> None:
    with pytest.raises(Terminal, match=r"Package not found: com\.example\.pot") as caught:
        list(listener.fetch(Query("com.example.pot"), {}))
    assert "invited" in caught.value.what_to_do


def test_missing_rights_say_where_to_give_them(server: GooglePlayServer, listener: GooglePlay) -> None:
    server.fails(refusal(403, "PERMISSION_DENIED", "The caller does not have permission"), after=1)
    with pytest.raises(Terminal, match="does not have permission") as caught:
        list(listener.fetch(APP, {}))
    assert "Users and permissions" in caught.value.what_to_do


@pytest.mark.parametrize(
    ("status", "name", "reason"),
    [
        (403, "PERMISSION_DENIED", "quotaExceeded"),
        (403, "PERMISSION_DENIED", "userRateLimitExceeded"),
        (403, "RESOURCE_EXHAUSTED", "other"),
        (429, "RESOURCE_EXHAUSTED", "rateLimitExceeded"),
    ],
)
def test_a_quota_that_is_used_up_is_waited_for(
    server: GooglePlayServer, listener: GooglePlay, status: int, name: str, reason: str
) -> None:
    server.fails(refusal(status, name, "Quota exceeded", reason), after=1)
    with pytest.raises(Transient) as caught:
        list(listener.fetch(APP, {}))
    assert caught.value.retry_after == 900


def test_a_page_token_that_is_not_known_any_more_begins_again(server: GooglePlayServer, listener: GooglePlay) -> None:
    posted = server.posts(8)
    cursor = next(iter(listener.fetch(APP, {}))).cursor
    whole = server.reply_to
    server.reply_to = lambda request: (  # type: ignore[method-assign]
        refusal(400, "INVALID_ARGUMENT", "Bad token") if request.params.get("token") == "3" else whole(request)
    )
    with pytest.raises(Transient):  # also after it began again: the server takes no token at all
        collect(listener, APP, cursor)
    server.reply_to = whole  # type: ignore[method-assign]
    assert {post.external_id for post in collect(listener, APP, cursor)[0]} == set(posted)


def test_an_edited_review_comes_again_with_its_new_words_and_stars(
    server: GooglePlayServer, listener: GooglePlay
) -> None:
    first, *_ = server.posts(4)
    _, cursor = collect(listener, APP, {})
    server.replies_elsewhere(first, "We look into it.", datetime.now(UTC) - timedelta(hours=1))
    server.edits(first, "Mended, thank you.", 5)
    posts, _ = collect(listener, APP, cursor)
    (edited,) = [post for post in posts if post.external_id == first]
    (reply,) = [post for post in posts if post.kind is Kind.ANSWER]
    assert (edited.text, edited.rating) == ("Mended, thank you.", 5.0)
    assert edited.edited_at is not None
    assert edited.edited_at > reply.posted_at, "the answer is outdated"


# --- The service account


class TestAccess:
    def test_one_token_serves_many_requests(self, server: GooglePlayServer, listener: GooglePlay) -> None:
        server.posts(8)
        collect(listener, APP, {})
        collect(listener, APP, {})
        assert [request.path for request in server.requests].count("/token") == 1

    def test_a_token_is_asked_for_anew_before_it_ends(
        self, server: GooglePlayServer, listener: GooglePlay, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        listener.check()
        later = time.monotonic() + 3_560
        monkeypatch.setattr(time, "monotonic", lambda: later)
        listener.check()
        assert len(server.tokens) == 2

    def test_it_says_as_whom(self, listener: GooglePlay) -> None:
        health = listener.check()
        assert EMAIL in health.words
        assert health.account == google_play.DEVELOPER

    def test_the_key_file_cannot_send_us_elsewhere(self, server: GooglePlayServer) -> None:
        assert opened(server, token_uri="https://evil.example/token").check().ok
        assert [request.path for request in server.requests] == ["/token"]

    def test_a_key_that_google_does_not_know(self, server: GooglePlayServer) -> None:
        other = rsa.generate_private_key(65_537, 2_048)
        pem = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        with pytest.raises(BadCredentials, match=r"Invalid JWT Signature\.$") as caught:
            opened(server, private_key=pem).check()
        assert "clock" in caught.value.what_to_do

    def test_an_outage_of_the_token_endpoint_is_no_dead_key(self, server: GooglePlayServer) -> None:
        for reply in (Reply(b"", 503), Reply({"access_token": "a b\n"}), Reply({}), Reply([])):
            server.fails(reply)
            with pytest.raises(Transient):
                opened(server).check()

    @pytest.mark.parametrize(
        "changes",
        [
            {"type": "authorized_user"},
            {"private_key": None},
            {"private_key": "none"},
            {"private_key": PEM[:400]},
            {"client_email": 7},
            {"client_email": "a\nb"},
        ],
    )
    def test_a_file_that_is_no_key_is_said_at_once_and_never_shown(
        self, server: GooglePlayServer, changes: dict[str, Any]
    ) -> None:
        with pytest.raises(Terminal) as caught:
            opened(server, **changes)
        assert PEM.split("\n")[1][:20] not in str(caught.value) + repr(caught.value.__cause__)

    @pytest.mark.parametrize("text", ["none", "[]", "{", "[" * 9_999, PEM])
    def test_what_is_no_file(self, text: str) -> None:
        with pytest.raises(Terminal, match="not usable"):
            registry.open("googleplay", {"service_account": text}, Options())

    def test_a_file_may_lose_its_line_breaks_on_the_way(self, server: GooglePlayServer) -> None:
        pasted = ACCOUNT["service_account"].replace("\n", "")
        options = Options(server.url, 2.0, allow_private_hosts=True)
        assert registry.open("googleplay", {"service_account": pasted}, options).check().ok

    def test_nothing_shows_the_key_or_a_token(self, server: GooglePlayServer, listener: GooglePlay) -> None:
        server.posts(1)
        (page,) = listener.fetch(APP, {})
        shown = (
            repr(listener) + repr(vars(listener)) + repr(page) + "".join(repr(one.params) for one in server.requests)
        )
        assert "ya29" not in shown
        assert PEM.split("\n")[1] not in shown


# --- Answering


class TestAnswering:
    def test_what_is_sent(self, server: GooglePlayServer, listener: GooglePlay) -> None:
        post = reviewed(server, listener)
        sent = listener.answer(post, "  Thank you! \x00", "key")
        (request,) = [one for one in server.requests if server.is_sending(one)]
        assert request.path == f"/androidpublisher/v3/applications/{PACKAGE}/reviews/gp%3AAOqp_0000:reply"
        assert request.json() == {"replyText": "Thank you!"}
        collected = {one.external_id for one in collect(listener, APP, {})[0]}
        assert sent.external_id in collected, "what was sent is known when it is read"

    def test_a_reply_given_elsewhere_is_never_replaced(self, server: GooglePlayServer, listener: GooglePlay) -> None:
        post = reviewed(server, listener)
        server.replies_elsewhere(post.external_id, "A colleague was here.")
        with pytest.raises(Terminal, match="not given from here"):
            listener.answer(post, "Thank you!", "key")
        assert server.answers_under(post.external_id) == ["A colleague was here."]
        assert server.overwritten == []

    def test_our_own_reply_is_replaced_when_we_answer_anew(
        self, server: GooglePlayServer, listener: GooglePlay
    ) -> None:
        post = reviewed(server, listener)
        first = listener.answer(post, "We look into it.", "key-1")
        server.edits(post.external_id, "Still whistles.", 1)
        second = listener.answer_anew(post, "It is mended.", "key-2", ours=["We look into it."])
        assert server.answers_under(post.external_id) == ["It is mended."]
        assert first.external_id != second.external_id
        with pytest.raises(Terminal):
            listener.answer_anew(post, "Again?", "key-3", ours=["We look into it."])
        assert server.overwritten == ["We look into it."]

    def test_a_reply_that_stands_is_not_sent_again(self, server: GooglePlayServer, listener: GooglePlay) -> None:
        post = reviewed(server, listener)
        server.replies_elsewhere(post.external_id, "Thank you!\nIt  ships on Monday.")
        since = datetime.now(UTC) - timedelta(minutes=1)
        assert isinstance(listener.find(post, "Thank you! It ships on Monday.", "key", since), Sent)
        assert isinstance(listener.answer(post, "Thank you! It ships on Monday.", "key"), Sent)
        assert [one for one in server.requests if server.is_sending(one)] == []

    def test_an_older_reply_proves_that_ours_is_absent(self, server: GooglePlayServer, listener: GooglePlay) -> None:
        post, now = reviewed(server, listener), datetime.now(UTC)
        server.replies_elsewhere(post.external_id, "Long ago.", now - timedelta(days=30))
        assert isinstance(listener.find(post, "New.", "key", now), Absent)
        server.replies_elsewhere(post.external_id, "Just now.", now)
        assert isinstance(listener.find(post, "New.", "key", now - timedelta(minutes=5)), CannotTell)

    def test_a_quota_that_is_used_up_while_sending_posts_nothing(
        self, server: GooglePlayServer, listener: GooglePlay
    ) -> None:
        post, whole = reviewed(server, listener), server.reply_to
        quota = refusal(403, "PERMISSION_DENIED", "Quota exceeded", "dailyLimitExceeded")
        server.reply_to = lambda request: quota if server.is_sending(request) else whole(request)  # type: ignore[method-assign]
        with pytest.raises(Transient):
            listener.answer(post, "Thank you!", "key")
        assert server.answers_under(post.external_id) == []

    def test_a_reply_that_is_taken_without_a_word_is_of_unknown_outcome(
        self, server: GooglePlayServer, listener: GooglePlay
    ) -> None:
        post, whole = reviewed(server, listener), server.reply_to
        server.reply_to = lambda request: Reply({}) if server.is_sending(request) else whole(request)  # type: ignore[method-assign]
        with pytest.raises(OutcomeUnknown):
            listener.answer(post, "Thank you!", "key")

    @pytest.mark.parametrize("text", ["", " \x00", "x" * 351, "Thank <b>you</b>!", "See <a href='x'>this"])
    def test_what_google_would_refuse_or_change_is_not_sent(
        self, server: GooglePlayServer, listener: GooglePlay, text: str
    ) -> None:
        post = reviewed(server, listener)
        asked = len(server.requests)
        with pytest.raises(Terminal):
            listener.answer(post, text, "key")
        assert len(server.requests) == asked

    def test_smaller_and_greater_are_no_tags(self, server: GooglePlayServer, listener: GooglePlay) -> None:
        post = reviewed(server, listener)
        listener.answer(post, "If 3 < 4, then 4 > 3 <3", "key")
        assert server.answers_under(post.external_id) == ["If 3 < 4, then 4 > 3 <3"]

    @pytest.mark.parametrize(
        "changes",
        [
            {"external_id": "../edits"},
            {"external_id": ".."},
            {"url": None},
            {"url": "https://evil.example/store/apps/details?id=com.example.kettle"},
            {"platform": "appstore"},
            {"kind": Kind.ANSWER},
        ],
    )
    def test_what_is_no_review_of_ours_is_not_asked_about(
        self, server: GooglePlayServer, listener: GooglePlay, changes: dict[str, Any]
    ) -> None:
        post = reviewed(server, listener).model_copy(update=changes)
        asked = len(server.requests)
        assert not listener.may_answer(post).allowed
        with pytest.raises(Terminal):
            listener.answer(post, "Thank you!", "key")
        assert len(server.requests) == asked

    def test_without_an_account_it_is_handed_off(self, server: GooglePlayServer, listener: GooglePlay) -> None:
        assert not GooglePlay({}, Options()).may_answer(reviewed(server, listener)).allowed
