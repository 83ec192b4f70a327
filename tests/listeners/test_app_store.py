"""The App Store: public feeds with their oddities, and App Store Connect with its one response per review."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from listeners import app_store, registry
from listeners.app_store import AppStore, Wanted, wanted
from listeners.base import (
    Absent,
    Author,
    BadCredentials,
    CannotTell,
    Cursor,
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
from tests.listeners.contract import (
    AnswersAnewContract,
    AnswersContract,
    DeletesContract,
    EditsContract,
    LooksBackContract,
    NetworkContract,
    Rig,
    collect,
)
from tests.listeners.fake_app_store import ACCOUNT, APP, LIMIT, P8, AppStoreServer
from tests.listeners.fake_server import Reply
from tests.listeners.faults import FaultsContract

FIXTURES = Path(__file__).parent / "fixtures" / "app_store"
FEED, SINGLE, CONNECT = ((FIXTURES / f"{name}.json").read_bytes() for name in ("feed", "feed_single", "connect"))
REVIEWS, OWN = Query(f"{APP} us gb", "reviews"), Query(APP, "connect")


def opened(server: AppStoreServer, account: dict[str, str] | None = None, **extra: str) -> AppStore:
    found = registry.open(
        "appstore",
        ACCOUNT if account is None else account,
        Options(server.url, 2.0, allow_private_hosts=True, extra=extra),
    )
    assert isinstance(found, AppStore)
    return found


@pytest.fixture
def server() -> Iterator[AppStoreServer]:
    with AppStoreServer() as running:
        yield running


@pytest.fixture
def feeds() -> Iterator[AppStoreServer]:
    with AppStoreServer("feed", ("us", "gb")) as running:
        yield running


@pytest.fixture
def listener(server: AppStoreServer) -> AppStore:
    return opened(server)


def reviewed(server: AppStoreServer, listener: AppStore) -> Post:
    """A new review, as it is read."""
    (number,) = server.posts(1)
    return next(post for post in collect(listener, OWN, {})[0] if post.external_id == number)


class TestContractOfConnect(
    FaultsContract,
    NetworkContract,
    LooksBackContract,
    AnswersContract,
    AnswersAnewContract,
    DeletesContract,
    EditsContract,
):
    @pytest.fixture
    def rig(self, server: AppStoreServer, listener: AppStore) -> Rig:
        return Rig(listener, server, OWN, raw=[CONNECT], idempotent=True)


class TestContractOfFeeds(FaultsContract, NetworkContract, LooksBackContract, EditsContract):
    @pytest.fixture
    def rig(self, feeds: AppStoreServer) -> Rig:
        return Rig(opened(feeds, {}), feeds, REVIEWS, raw=[FEED, SINGLE])

    def test_powers_are_tested(self, rig: Rig) -> None:
        """Its powers are those of App Store Connect, above; a review of a feed has none of them."""
        rig.server.posts(1)
        (post,) = collect(rig.listener, rig.query, {})[0]
        assert isinstance(rig.listener, AppStore)
        verdict = rig.listener.may_answer(post)
        assert not verdict.allowed
        assert "Reviews of our own app" in verdict.reason
        assert dict(rig.listener.still_there([post.external_id])) == {}


# --- From the wire to posts


class TestFeeds:
    def test_a_review_with_everything(self) -> None:
        assert opened_to_parse().parse(FEED)[0] == Post(
            platform="appstore",
            external_id="feed:10400000001",
            url="https://apps.apple.com/gb/app/id123456789?see-all=reviews",
            author=Author(id="70000001", handle="kettle_fan_1"),
            title="Whistles twice",
            text="Since the update it whistles twice.\nPlease mend it.",
            rating=2.0,
            posted_at=datetime(2026, 11, 22, 6, 30, tzinfo=UTC),
            edited_at=datetime(2026, 11, 22, 6, 30, tzinfo=UTC),
            engagement={"votes": 4},
            kind=Kind.REVIEW,
        )

    def test_the_app_itself_is_no_review(self) -> None:
        found = opened_to_parse().parse(FEED)
        assert len(found) == 5
        assert "Kettle Timer" not in str(found)

    def test_text_is_kept_as_it_was_written(self) -> None:
        review = opened_to_parse().parse(FEED)[1]
        assert isinstance(review, Post)
        assert (review.title, review.text) == ("Gut & günstig", "Kocht <b>schnell</b> 😀")
        assert review.lang is None, "a country is no language"

    def test_a_review_without_a_date_has_that_of_the_feed_as_an_estimate(self) -> None:
        review = opened_to_parse().parse(FEED)[2]
        assert isinstance(review, Post)
        assert review.posted_at == datetime(2026, 11, 22, 13, tzinfo=UTC)
        assert review.posted_at_estimated
        assert review.edited_at is None

    def test_a_damaged_review_is_rejected_and_its_neighbours_stay(self) -> None:
        _, _, _, damaged, nobody = opened_to_parse().parse(FEED)
        assert damaged == Rejected("entry 4", "has no rating from 0 to 5")
        assert isinstance(nobody, Post)
        assert (nobody.author, nobody.url) == (None, None)

    def test_a_single_review_comes_as_itself_and_not_in_a_list(self) -> None:
        (review,) = opened_to_parse().parse(SINGLE)
        assert isinstance(review, Post)
        assert review.title == "Alone"

    @pytest.mark.parametrize("feed", [{}, {"entry": []}, {"entry": None}, {"updated": {"label": "x"}}])
    def test_a_feed_without_reviews(self, feed: dict[str, Any]) -> None:
        assert opened_to_parse().parse(json.dumps({"feed": feed}).encode()) == []

    @pytest.mark.parametrize("answer", [b"[]", b"{}", b'{"feed": 1}', b'{"data": 1}', b"<feed/>", b"{", b"[" * 9_999])
    def test_what_is_no_answer_is_said(self, answer: bytes) -> None:
        with pytest.raises(Terminal):
            opened_to_parse().parse(answer)


class TestConnect:
    def test_a_review_with_everything(self) -> None:
        assert opened_to_parse().parse(CONNECT)[0] == Post(
            platform="appstore",
            external_id="connect:00000043-b08c-0014-729e-fbd500000000",
            url="https://apps.apple.com/app/id123456789?see-all=reviews",
            author=Author(id="connect:00000043-b08c-0014-729e-fbd500000000", handle="kettle_fan_1"),
            title="Whistles twice",
            text="Since the update it whistles twice.",
            rating=2.0,
            posted_at=datetime(2026, 11, 22, 7, 30, tzinfo=UTC),
            kind=Kind.REVIEW,
        )

    def test_a_response_stands_below_its_review_as_the_developer_s(self) -> None:
        _, review, response, *_ = opened_to_parse().parse(CONNECT)
        assert isinstance(review, Post)
        assert isinstance(response, Post)
        assert (response.parent_id, response.root_id) == (review.external_id, review.external_id)
        assert (response.kind, response.author) == (Kind.ANSWER, app_store.DEVELOPER)
        assert response.text == "Thank you! The next update boils\nfaster still."
        assert response.posted_at == datetime(2026, 11, 20, 18, tzinfo=UTC)

    def test_an_id_that_would_lead_elsewhere_is_rejected(self) -> None:
        found = opened_to_parse().parse(CONNECT)
        assert [one for one in found if isinstance(one, Rejected)] == [
            Rejected("review 4", "is none of the customerReviews"),
            Rejected("review 5", "has no rating from 0 to 5"),
        ]
        nameless = found[3]
        assert isinstance(nameless, Post)
        assert (nameless.author, nameless.title) == (None, None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=8), inside, max_size=3),
    max_leaves=8,
)
GOOD_ENTRY = json.loads(SINGLE)["feed"]["entry"]
GOOD_REVIEW = json.loads(CONNECT)["data"][0]
ODD_LABELS = st.one_of(JSON, st.text(max_size=40), st.sampled_from(["\x00", "\ud800", "9" * 400, "x" * 200_000]))


def shapes(good: dict[str, Any], inside: str | None) -> st.SearchStrategy[Any]:
    """Anything in place of a review, or a review with one field of another shape or none."""
    holder = good if inside is None else good[inside]
    names = st.sampled_from(sorted(holder))

    def changed(change: tuple[str, object]) -> dict[str, Any]:
        name, value = change
        fields = {**holder, name: value}
        if value is None:
            del fields[name]
        return fields if inside is None else {**good, inside: fields}

    labels = st.one_of(ODD_LABELS, ODD_LABELS.map(lambda label: {"label": label}))
    return st.one_of(JSON, st.tuples(names, labels).map(changed))


@settings(max_examples=150, deadline=None)
@given(st.lists(shapes(GOOD_ENTRY, None), max_size=4), st.integers(0, 4))
def test_no_shape_of_an_entry_loses_a_good_one(odd: list[Any], place: int) -> None:
    good = {**GOOD_ENTRY, "id": {"label": "77"}}
    entries = [*odd[:place], good, *odd[place:]]
    found = opened_to_parse().parse(json.dumps({"feed": {"entry": entries}}).encode())
    assert "feed:77" in [one.external_id for one in found if isinstance(one, Post)]
    apps = [one for one in odd if isinstance(one, dict) and "im:name" in one and "im:rating" not in one]
    assert len(found) == len(entries) - len(apps)


@settings(max_examples=150, deadline=None)
@given(st.lists(shapes(GOOD_REVIEW, "attributes") | shapes(GOOD_REVIEW, None), max_size=4), JSON, JSON)
def test_no_shape_of_a_review_loses_a_good_one(odd: list[Any], included: Any, links: Any) -> None:
    document = {"data": [*odd, {**GOOD_REVIEW, "id": "77"}], "included": included, "links": links}
    found = opened_to_parse().parse(json.dumps(document).encode())
    assert "connect:77" in [one.external_id for one in found if isinstance(one, Post)]
    assert len(found) == len(odd) + 1


def opened_to_parse() -> AppStore:
    return AppStore({}, Options())


# --- What a source asks for


class TestQueries:
    @pytest.mark.parametrize(
        ("text", "app", "countries"),
        [
            ("123456789", "123456789", ("us",)),
            ("id123456789", "123456789", ("us",)),
            (" 123456789  us, GB;de us ", "123456789", ("us", "gb", "de")),
            ("123456789 uk", "123456789", ("gb",)),
            ("https://apps.apple.com/se/app/kettle-timer/id123456789", "123456789", ("se",)),
            ("https://apps.apple.com/se/app/kettle-timer/id123456789?l=en no", "123456789", ("no",)),
            ("apps.apple.com/app/id123456789", "123456789", ("us",)),
            ("https://itunes.apple.com/US/app/kettle/id123456789/", "123456789", ("us",)),
        ],
    )
    def test_an_app_and_its_countries(self, text: str, app: str, countries: tuple[str, ...]) -> None:
        assert wanted(text) == Wanted(app, countries)

    def test_the_option_stands_in_for_countries_that_the_query_does_not_name(self) -> None:
        assert wanted("https://apps.apple.com/se/app/x/id123456789", "de, at").countries == ("de", "at")
        assert wanted("123456789 ch", "de, at").countries == ("ch",)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "Kettle Timer",
            "12",
            "https://example.com/us/app/x/id123456789",
            "https://apps.apple.com/us/developer/kettle/id123456789",
            "http://[::1",
            "123456789 usa",
            "123456789 ../x",
            "123456789 " + " ".join(a + b for a in "abcd" for b in "abcd"),
        ],
    )
    def test_what_names_no_app_or_too_much_is_refused(self, text: str) -> None:
        with pytest.raises(Terminal) as caught:
            wanted(text)
        assert caught.value.what_to_do

    @given(st.text(max_size=60), st.text(max_size=20))
    def test_no_query_ends_otherwise(self, text: str, countries: str) -> None:
        try:
            found = wanted(text, countries)
        except Terminal:
            return
        assert found.app.isdigit()

    def test_a_mode_that_is_none(self, listener: AppStore) -> None:
        with pytest.raises(Terminal, match="no mode"):
            list(listener.fetch(Query(APP, "charts"), {}))

    def test_own_reviews_need_a_key(self, server: AppStoreServer) -> None:
        with pytest.raises(Terminal, match="needs a key"):
            list(opened(server, {}).fetch(OWN, {}))


# --- Reading


def test_each_country_has_a_feed_of_its_own(feeds: AppStoreServer) -> None:
    posted = feeds.posts(8)
    posts, _ = collect(opened(feeds, {}), REVIEWS, {})
    assert sorted(post.external_id for post in posts) == sorted(posted)
    assert {request.path.split("/")[1] for request in feeds.requests} == {"us", "gb"}
    assert all("authorization" not in request.headers for request in feeds.requests)


def test_countries_from_the_option(feeds: AppStoreServer) -> None:
    feeds.posts(2)
    collect(opened(feeds, {}, countries="gb"), Query(APP), {})
    assert {request.path.split("/")[1] for request in feeds.requests} == {"gb"}


def test_a_country_that_fails_keeps_no_other_from_being_read(feeds: AppStoreServer) -> None:
    posted = feeds.posts(8)
    listener, query = opened(feeds, {}), Query(f"{APP} us gb fr")
    feeds.closed["us"] = Reply(b"", 503)
    seen: set[str] = set()
    cursor: Cursor = {}
    for _ in range(3):  # the source is asked again after each failure
        try:
            for page in listener.fetch(query, cursor):
                seen |= {post.external_id for post in page.posts}
                cursor = json.loads(json.dumps(page.cursor))
        except Transient:
            continue
    assert seen == set(posted[1::2]), "all of Great Britain's"
    feeds.closed.clear()
    posts, _ = collect(listener, query, cursor)
    posts += collect(listener, query, cursor)[0]
    assert seen | {post.external_id for post in posts} == set(posted)


def test_a_country_that_there_is_not_is_named(feeds: AppStoreServer) -> None:
    feeds.closed["xx"] = Reply(b"", 400)
    with pytest.raises(Terminal, match="'xx'"):
        collect(opened(feeds, {}), Query(f"{APP} xx"), {})


def test_an_empty_page_in_the_middle_ends_nothing_and_is_made_good_later(feeds: AppStoreServer) -> None:
    posted = feeds.posts(18)  # three pages for each country
    feeds.empty_pages = {2}
    listener = opened(feeds, {})
    posts, cursor = collect(listener, REVIEWS, {})
    seen = {post.external_id for post in posts}
    assert len(seen) == 12
    feeds.empty_pages = set()
    posts, _ = collect(listener, REVIEWS, cursor)
    assert seen | {post.external_id for post in posts} == set(posted)


def test_a_cache_that_is_behind_takes_nothing_back(feeds: AppStoreServer) -> None:
    feeds.posts(8)
    listener = opened(feeds, {})
    _, cursor = collect(listener, REVIEWS, {})
    new, feeds.reviews = feeds.reviews, feeds.reviews[:2]
    _, behind = collect(listener, REVIEWS, cursor)
    marks = [{country: walk["done_until"]["at"] for country, walk in one["walks"].items()} for one in (cursor, behind)]
    assert marks[0] == marks[1], "how far everything has been read"
    feeds.reviews = new
    (fresh,) = feeds.posts(1)
    assert fresh in {post.external_id for post in collect(listener, REVIEWS, behind)[0]}


def test_no_page_beyond_the_tenth_is_asked_for(feeds: AppStoreServer) -> None:
    feeds.posts(80)
    collect(opened(feeds, {}), Query(f"{APP} us"), {})
    assert [request.path.split("/")[4] for request in feeds.requests] == [f"page={n}" for n in range(1, 11)]


def test_a_review_that_appears_a_day_after_its_date_is_read(feeds: AppStoreServer) -> None:
    feeds.posts(8)
    listener = opened(feeds, {})
    _, cursor = collect(listener, REVIEWS, {})
    (late,) = feeds.posts(1)
    feeds.reviews[-1]["at"] = feeds.started - timedelta(hours=20)
    feeds.reviews.sort(key=lambda review: review["at"])
    assert late in {post.external_id for post in collect(listener, REVIEWS, cursor)[0]}


def test_an_edited_review_keeps_its_id(server: AppStoreServer, listener: AppStore) -> None:
    (number, *_) = server.posts(4)
    _, cursor = collect(listener, OWN, {})
    server.reviews[0] |= {"text": "Mended, thank you.", "stars": 5}
    posts, _ = collect(listener, OWN, cursor)
    (edited,) = [post for post in posts if post.external_id == number]
    assert (edited.text, edited.rating) == ("Mended, thank you.", 5.0)


def test_responses_given_elsewhere_are_read_with_their_reviews(server: AppStoreServer, listener: AppStore) -> None:
    (number,) = server.posts(1)
    server.responds_elsewhere(number, "Thank you!")
    review, response = collect(listener, OWN, {})[0]
    assert (response.text, response.parent_id) == ("Thank you!", review.external_id)


def test_the_budget_is_that_of_apple_s_header(server: AppStoreServer, listener: AppStore) -> None:
    server.posts(1)
    (page,) = listener.fetch(OWN, {})
    assert (page.budget.remaining, page.budget.limit) == (LIMIT - 1, LIMIT)


@pytest.mark.parametrize("header", ["", "nonsense", "user-hour-lim:x;user-hour-rem:-1;", "user-hour-rem:" + "9" * 40])
def test_a_header_that_is_nonsense_is_no_budget(server: AppStoreServer, listener: AppStore, header: str) -> None:
    server.reply_to = lambda request: Reply({"data": []}, 200, {"X-Rate-Limit": header})  # type: ignore[method-assign]
    (page,) = listener.fetch(OWN, {})
    assert (page.budget.remaining, page.budget.limit) == (None, None)


def test_a_used_up_hour_without_retry_after_is_waited_for(server: AppStoreServer, listener: AppStore) -> None:
    spent = {"X-Rate-Limit": f"user-hour-lim:{LIMIT};user-hour-rem:0;"}
    server.fails(Reply({"errors": []}, 429, spent))
    with pytest.raises(Transient) as caught:
        collect(listener, OWN, {})
    assert caught.value.retry_after == 600


def test_our_key_goes_only_where_it_belongs(server: AppStoreServer, listener: AppStore) -> None:
    """The address of the next page is Apple's to choose; only its token is believed."""
    elsewhere = "https://evil.example/v1/apps/1/customerReviews?cursor=a%2Fb&limit=200"
    pages = {None: {"data": [GOOD_REVIEW], "links": {"next": elsewhere}}, "a/b": {"data": []}}
    server.reply_to = lambda request: Reply(pages[request.params.get("cursor")])  # type: ignore[method-assign]
    assert len(collect(listener, OWN, {})[0]) == 1
    assert [request.params.get("cursor") for request in server.requests] == [None, "a/b"]


def test_asking_about_deletions_leaves_requests_for_reading(server: AppStoreServer, listener: AppStore) -> None:
    numbers = server.posts(4)
    server.left = LIMIT // 10 + 1
    assert list(listener.still_there(numbers)) == numbers[:2]


# --- Keys


class TestKeys:
    def test_a_team_s_key_and_a_person_s(self, server: AppStoreServer) -> None:
        assert "Kettle Timer" in opened(server).check().words
        assert opened(server, {**ACCOUNT, "issuer_id": ""}).check().ok

    @pytest.mark.parametrize(
        "pasted",
        [
            P8.replace("\n", ""),
            P8.replace("\n", " "),
            P8.replace("\n", "\\n"),
            "\n\n" + P8 + " ",
            P8.replace("\n", "\r\n"),
        ],
    )
    def test_a_key_may_lose_its_line_breaks_on_the_way(self, server: AppStoreServer, pasted: str) -> None:
        assert opened(server, {**ACCOUNT, "private_key": pasted}).check().ok

    @pytest.mark.parametrize("key", ["none", P8[40:], P8[:80] + P8[100:], P8.replace("M", "N", 1)])
    def test_a_damaged_key_is_said_at_once_and_never_shown(self, server: AppStoreServer, key: str) -> None:
        with pytest.raises(Terminal) as caught:
            opened(server, {**ACCOUNT, "private_key": key})
        for words in (str(caught.value), caught.value.what_to_do, repr(caught.value.__cause__)):
            assert "MIG" not in words
            assert P8.split("\n")[1][:12] not in words

    @pytest.mark.parametrize("kind", ["another curve", "RSA"])
    def test_another_kind_of_key_is_refused(self, server: AppStoreServer, kind: str) -> None:
        key = rsa.generate_private_key(65_537, 2_048) if kind == "RSA" else ec.generate_private_key(ec.SECP384R1())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        with pytest.raises(Terminal, match="another kind"):
            opened(server, {**ACCOUNT, "private_key": pem})

    @pytest.mark.parametrize("field", ["key_id", "issuer_id"])
    def test_ids_that_are_none(self, server: AppStoreServer, field: str) -> None:
        with pytest.raises(Terminal):
            opened(server, {**ACCOUNT, field: "a b\n"})

    def test_a_key_that_apple_does_not_know(self, server: AppStoreServer) -> None:
        other = ec.generate_private_key(ec.SECP256R1())
        pem = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        with pytest.raises(BadCredentials) as caught:
            opened(server, {**ACCOUNT, "private_key": pem}).check()
        assert "Bearer" not in str(caught.value)

    def test_nothing_shows_the_key(self, listener: AppStore, server: AppStoreServer) -> None:
        server.posts(1)
        (page,) = listener.fetch(OWN, {})
        shown = repr(listener) + repr(vars(listener)) + repr(page) + repr(server.requests[0].params)
        assert P8.split("\n")[1] not in shown
        assert "eyJ" not in shown

    def test_without_a_key_the_feeds_are_checked(self, feeds: AppStoreServer) -> None:
        health = opened(feeds, {}).check()
        assert health.ok
        assert health.account is None


# --- Answering


class TestAnswering:
    def test_what_is_sent(self, server: AppStoreServer, listener: AppStore) -> None:
        post = reviewed(server, listener)
        sent = listener.answer(post, "  Thank you! \x00", "key")
        (request,) = [one for one in server.requests if one.method == "POST"]
        assert request.path == "/v1/customerReviewResponses"
        assert request.json()["data"]["attributes"] == {"responseBody": "Thank you!"}
        assert request.json()["data"]["relationships"]["review"]["data"]["id"] == post.external_id.removeprefix(
            "connect:"
        )
        collected = collect(listener, OWN, {})[0]
        assert sent.external_id in {one.external_id for one in collected}, "what was sent is known when it is read"

    def test_a_response_given_elsewhere_is_never_replaced(self, server: AppStoreServer, listener: AppStore) -> None:
        post = reviewed(server, listener)
        server.responds_elsewhere(post.external_id, "A colleague was here.")
        with pytest.raises(Terminal, match="not given from here"):
            listener.answer(post, "Thank you!", "key")
        assert server.answers_under(post.external_id) == ["A colleague was here."]
        assert server.overwritten == []

    def test_our_own_response_is_replaced_when_we_answer_anew(self, server: AppStoreServer, listener: AppStore) -> None:
        post = reviewed(server, listener)
        first = listener.answer(post, "We look into it.", "key-1")
        second = listener.answer_anew(post, "It is mended.", "key-2", ours=["We look into it."])
        assert server.answers_under(post.external_id) == ["It is mended."]
        assert first.external_id != second.external_id
        with pytest.raises(Terminal):
            listener.answer_anew(post, "Again?", "key-3", ours=["We look into it."])
        assert server.overwritten == ["We look into it."]

    def test_a_response_that_stands_is_found_whatever_became_of_its_spaces(
        self, server: AppStoreServer, listener: AppStore
    ) -> None:
        post = reviewed(server, listener)
        server.responds_elsewhere(post.external_id, "Thank you!\nIt  ships on Monday.")
        since = datetime.now(UTC) - timedelta(minutes=1)
        assert isinstance(listener.find(post, "Thank you! It ships on Monday.", "key", since), Sent)
        assert isinstance(listener.answer(post, "Thank you! It ships on Monday.", "key"), Sent)
        assert [one.method for one in server.requests if one.method == "POST"] == []

    def test_an_older_response_proves_that_ours_is_absent(self, server: AppStoreServer, listener: AppStore) -> None:
        post, now = reviewed(server, listener), datetime.now(UTC)
        server.responds_elsewhere(post.external_id, "Long ago.", now - timedelta(days=30))
        assert isinstance(listener.find(post, "New.", "key", now), Absent)
        server.responds_elsewhere(post.external_id, "Just now.", now)
        assert isinstance(listener.find(post, "New.", "key", now - timedelta(minutes=5)), CannotTell)

    def test_a_review_that_is_gone_takes_no_response(self, server: AppStoreServer, listener: AppStore) -> None:
        post = reviewed(server, listener)
        server.deletes(post.external_id)
        with pytest.raises(Terminal, match="no such thing"):
            listener.answer(post, "Thank you!", "key")

    @pytest.mark.parametrize("text", ["", "  ", "\x00", "x" * 5_971])
    def test_what_apple_would_refuse_is_not_sent(self, server: AppStoreServer, listener: AppStore, text: str) -> None:
        post = reviewed(server, listener)
        asked = len(server.requests)
        with pytest.raises(Terminal):
            listener.answer(post, text, "key")
        assert len(server.requests) == asked

    def test_a_response_that_is_taken_without_a_word_is_of_unknown_outcome(
        self, server: AppStoreServer, listener: AppStore
    ) -> None:
        post, whole = reviewed(server, listener), server.reply_to
        server.reply_to = lambda request: (  # type: ignore[method-assign]
            whole(request) if request.method == "GET" else Reply({"data": {"id": "1"}}, 201)
        )
        with pytest.raises(OutcomeUnknown):
            listener.answer(post, "Thank you!", "key")

    def test_without_a_key_it_is_handed_off(self, feeds: AppStoreServer, server: AppStoreServer) -> None:
        post = reviewed(server, opened(server))
        verdict = opened(feeds, {}).may_answer(post)
        assert not verdict.allowed
        assert "key" in verdict.reason

    @pytest.mark.parametrize(
        "external_id", ["connect:../apps", "connect:", "12", "connect:a/b?c", "connect:" + "x" * 101]
    )
    def test_an_id_that_leads_elsewhere_is_not_asked_about(
        self, server: AppStoreServer, listener: AppStore, external_id: str
    ) -> None:
        post = reviewed(server, listener).model_copy(update={"external_id": external_id})
        asked = len(server.requests)
        assert not listener.may_answer(post).allowed
        with pytest.raises(Terminal):
            listener.answer(post, "Thank you!", "key")
        assert dict(listener.still_there([external_id])) == {}
        assert len(server.requests) == asked
