"""The contract that every listener keeps. A platform's test file plugs in with a rig:

    class TestAcme(NetworkContract, AnswersContract, DeletesContract):
        @pytest.fixture
        def rig(self) -> Iterator[Rig]:
            with AcmeServer() as server:  # a FakeServer, see fake_server.py
                listener = registry.open("acme", {"token": "t"}, Options(server.url, 2.0, allow_private_hosts=True))
                yield Rig(listener, server, Query("samtal"), raw=[ACME_SEARCH_ANSWER])

`ListenerContract` is for all, `NetworkContract` adds what can befall a network, the others one power each; a listener
with a power must take its contract, which `check_powers_are_tested` holds; streams have theirs beside this, in
stream_contract.py. Each `check_…` below is a plain function of a rig, so that test_contract.py can show, with a
deliberately broken listener each, that it is able to fail.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pydantic
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from listeners.base import (
    Absent,
    Answering,
    Answers,
    AnswersAnew,
    Arrival,
    CannotTell,
    Cursor,
    Deletes,
    Health,
    Listener,
    ListeningError,
    LooksBack,
    OutcomeUnknown,
    Page,
    Post,
    Query,
    ReadsAgain,
    Rejected,
    Sent,
    Streams,
    Terminal,
    Transient,
)
from tests.listeners.stream_contract import StreamsContract

ENOUGH = 8
"""Posts for several pages of a fake's three."""
ROUNDS = 80
"""Fetches after which a listener that is still not done never will be."""


@dataclass
class Rig:
    """A listener, the fake platform it talks to, and what to ask."""

    listener: Listener
    server: Any
    query: Query
    raw: Sequence[bytes] = field(default_factory=list)
    """Answers with at least one post, as they come over the wire, for `parse`."""
    idempotent: bool = False
    """Whether the platform refuses a second answer with the same key."""


class ListenerContract:
    """What every listener does."""

    @pytest.fixture
    def rig(self) -> Iterator[Rig]:
        raise NotImplementedError("a platform's test class defines the fixture 'rig'")

    def test_powers_are_tested(self, rig: Rig) -> None:
        check_powers_are_tested(rig, type(self))

    def test_capability_is_complete(self, rig: Rig) -> None:
        check_capability_is_complete(rig)

    def test_cursors_are_json(self, rig: Rig) -> None:
        check_cursors_are_json(rig)

    def test_everything_arrives_with_ids_of_its_own(self, rig: Rig) -> None:
        check_everything_arrives_with_ids_of_its_own(rig)

    def test_stopping_after_any_page_loses_nothing(self, rig: Rig) -> None:
        check_stopping_after_any_page_loses_nothing(rig)

    def test_only_what_is_new_comes_later(self, rig: Rig) -> None:
        check_only_what_is_new_comes_later(rig)

    def test_posts_are_frozen_and_utc(self, rig: Rig) -> None:
        check_posts_are_frozen_and_utc(rig)

    def test_nothing_third_party_leaks(self, rig: Rig) -> None:
        check_nothing_third_party_leaks(rig)

    def test_parse_is_pure(self, rig: Rig) -> None:
        check_parse_is_pure(rig)

    def test_parse_is_total(self, rig: Rig) -> None:
        check_parse_is_total(rig)

    def test_check_says_something(self, rig: Rig) -> None:
        check_check_says_something(rig)


class NetworkContract(ListenerContract):
    """What a listener does that reads over a network."""

    def test_down_is_transient(self, rig: Rig) -> None:
        check_down_is_transient(rig)

    def test_rate_limit_says_when(self, rig: Rig) -> None:
        check_rate_limit_says_when(rig)

    def test_refusal_is_terminal(self, rig: Rig) -> None:
        check_refusal_is_terminal(rig)

    def test_damaged_answers_are_our_errors(self, rig: Rig) -> None:
        check_damaged_answers_are_our_errors(rig)


class AnswersContract:
    """What a listener does that answers."""

    def test_may_answer_gives_a_reason(self, rig: Rig) -> None:
        check_may_answer_gives_a_reason(rig)

    def test_an_answer_arrives_once_and_is_found(self, rig: Rig) -> None:
        check_an_answer_arrives_once_and_is_found(rig)

    def test_nothing_sent_is_not_found(self, rig: Rig) -> None:
        check_nothing_sent_is_not_found(rig)

    def test_lost_outcome_is_unknown_and_not_doubled(self, rig: Rig) -> None:
        check_lost_outcome_is_unknown_and_not_doubled(rig)

    def test_same_key_makes_one_answer(self, rig: Rig) -> None:
        check_same_key_makes_one_answer(rig)

    def test_refused_answer_stands_nowhere(self, rig: Rig) -> None:
        check_refused_answer_stands_nowhere(rig)


class AnswersAnewContract:
    """What a listener does that lets a second answer take the place of our first."""

    def test_answering_anew_replaces_only_ours(self, rig: Rig) -> None:
        check_answering_anew_replaces_only_ours(rig)


class DeletesContract:
    """What a listener does that can tell whether posts are still there."""

    def test_deletions_are_seen(self, rig: Rig) -> None:
        check_deletions_are_seen(rig)


class EditsContract:
    """What a listener does of a platform where people change what they said."""

    def test_an_edit_is_a_new_version_of_the_same_post(self, rig: Rig) -> None:
        check_an_edit_is_a_new_version_of_the_same_post(rig)


class LooksBackContract:
    """What a listener does that can begin at any day."""

    def test_everything_since_a_day_is_read(self, rig: Rig) -> None:
        check_everything_since_a_day_is_read(rig)

    def test_a_reading_since_a_day_may_stop_after_any_page(self, rig: Rig) -> None:
        check_a_reading_since_a_day_may_stop_after_any_page(rig)


# --- The checks ----------------------------------------------------------------------------------------------------


def check_powers_are_tested(rig: Rig, tests: type) -> None:
    assert isinstance(rig.listener, Listener)
    assert isinstance(rig.listener, Answers) == issubclass(tests, AnswersContract), "a power without its contract"
    assert isinstance(rig.listener, AnswersAnew) == issubclass(tests, AnswersAnewContract), (
        "a power without its contract"
    )
    assert isinstance(rig.listener, Deletes) == issubclass(tests, DeletesContract), "a power without its contract"
    assert isinstance(rig.listener, ReadsAgain) <= issubclass(tests, EditsContract), "a power without its contract"
    assert isinstance(rig.listener, LooksBack) == issubclass(tests, LooksBackContract), "a power without its contract"
    beside = vars(sys.modules[tests.__module__]).values()
    streamed = any(isinstance(one, type) and StreamsContract in one.__bases__ for one in beside)
    assert isinstance(rig.listener, Streams) == streamed, "a power without its contract"
    assert isinstance(rig.listener, LooksBack) == rig.listener.capability.looks_back, "a power that is not told"


def check_capability_is_complete(rig: Rig) -> None:
    allows = rig.listener.capability
    assert allows.platform and allows.title and allows.modes and allows.limits
    assert allows.answering_rule.rstrip().endswith("."), "the answering rule is a sentence for a person"
    assert (allows.answering is Answering.API) == isinstance(rig.listener, Answers)
    assert (allows.recheck_every is not None) == isinstance(rig.listener, Deletes)
    assert allows.polls == (allows.arrival is Arrival.ASKED)
    for mode in allows.modes if allows.polls else ():
        told = mode.reach.words if mode.reach else ""
        assert mode.streams or told.endswith("."), "how far back it can be read is a sentence for a person"
    if allows.max_chars is not None:
        assert allows.length("") == 0 < allows.length("a word or two") <= allows.max_chars


def check_cursors_are_json(rig: Rig) -> None:
    rig.server.posts(ENOUGH)
    for page in rig.listener.fetch(rig.query, {}):
        assert isinstance(page.cursor, dict)
        assert json.loads(json.dumps(page.cursor)) == page.cursor


def check_everything_arrives_with_ids_of_its_own(rig: Rig) -> None:
    posted = rig.server.posts(ENOUGH)
    posts, _ = collect(rig.listener, rig.query, {})
    assert sorted(post.external_id for post in posts) == sorted(posted)
    assert {post.platform for post in posts} == {rig.listener.capability.platform}


def check_stopping_after_any_page_loses_nothing(rig: Rig) -> None:
    posted = rig.server.posts(ENOUGH)
    seen: set[str] = set()
    cursor: Cursor = {}
    since_news: list[Cursor] = []
    for round_ in range(ROUNDS):
        next(iter(rig.listener.fetch(rig.query, cursor)), None)  # read, and crashed before it was stored
        page = next(iter(rig.listener.fetch(rig.query, cursor)), None)
        if page is None:
            break
        found = {post.external_id for post in page.posts}
        cursor = json.loads(json.dumps(page.cursor))
        since_news = [*since_news, cursor] if found <= seen else []
        if cursor in since_news[:-1]:  # once round, with an overlap that is read again, and nothing new
            break
        seen |= found
        if round_ == 1:
            posted += rig.server.posts(2)  # while the walk stands still
    else:
        raise AssertionError(f"not done after {ROUNDS} fetches")
    assert seen == set(posted)


def check_only_what_is_new_comes_later(rig: Rig) -> None:
    rig.server.posts(ENOUGH)
    seen, cursor = collect(rig.listener, rig.query, {})
    known = {post.external_id for post in seen}
    again, cursor = collect(rig.listener, rig.query, cursor)
    assert {post.external_id for post in again} <= known
    new = rig.server.posts(2)
    later, cursor = collect(rig.listener, rig.query, cursor)
    assert {post.external_id for post in later} - known == set(new)


def check_posts_are_frozen_and_utc(rig: Rig) -> None:
    rig.server.posts(3)
    before = datetime.now(UTC) + timedelta(days=1)
    for post in collect(rig.listener, rig.query, {})[0]:
        with pytest.raises(pydantic.ValidationError):
            post.text = "changed"  # type: ignore[misc]
        for moment in (post.posted_at, post.edited_at):
            assert moment is None or (moment.tzinfo is UTC and moment < before)


def check_nothing_third_party_leaks(rig: Rig) -> None:
    rig.server.posts(3)
    for page in rig.listener.fetch(rig.query, {}):
        assert type(page) is Page
        for part in _parts((page.posts, page.rejected, page.budget, page.cursor)):
            home = type(part).__module__.partition(".")[0]
            assert home in {"builtins", "datetime", "listeners"}, f"{type(part)} leaks out of the listener"


def check_parse_is_pure(rig: Rig) -> None:
    asked = len(rig.server.requests)
    for raw in rig.raw:
        first, second = rig.listener.parse(raw), rig.listener.parse(raw)
        assert any(isinstance(one, Post) for one in first)
        assert first == second
    assert len(rig.server.requests) == asked, "parse asked the network"


def check_parse_is_total(rig: Rig) -> None:
    assert rig.raw, "a rig brings raw answers"

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(rig.raw).flatmap(mutations))
    def only_lists_or_terminal(answer: bytes) -> None:
        try:
            found = rig.listener.parse(answer)
        except Terminal:
            return
        assert isinstance(found, list)
        assert all(type(one) in (Post, Rejected) for one in found)

    only_lists_or_terminal()


def check_check_says_something(rig: Rig) -> None:
    health = rig.listener.check()
    assert isinstance(health, Health)
    assert health.ok
    assert len(health.words) > 3


def check_down_is_transient(rig: Rig) -> None:
    posted = rig.server.posts(ENOUGH)
    rig.server.goes_down()
    with pytest.raises(Transient) as caught:
        collect(rig.listener, rig.query, {})
    assert "<" not in str(caught.value), "the platform's web page is no message for a person"
    rig.server.comes_back()
    posts, _ = collect(rig.listener, rig.query, {})
    assert {post.external_id for post in posts} == set(posted)


def check_rate_limit_says_when(rig: Rig) -> None:
    posted = rig.server.posts(ENOUGH)
    rig.server.rate_limits(after=1, seconds=30)
    seen: set[str] = set()
    cursor: Cursor = {}
    pages = iter(rig.listener.fetch(rig.query, cursor))

    def until_it_fails() -> None:
        nonlocal seen, cursor
        for page in pages:
            seen |= {post.external_id for post in page.posts}
            cursor = page.cursor

    with pytest.raises(Transient) as caught:
        until_it_fails()
    assert caught.value.retry_after is not None
    assert 20 <= caught.value.retry_after <= 40
    rig.server.comes_back()
    posts, _ = collect(rig.listener, rig.query, cursor)
    assert seen | {post.external_id for post in posts} == set(posted)


def check_refusal_is_terminal(rig: Rig) -> None:
    rig.server.posts(1)
    rig.server.refuses()
    with pytest.raises(Terminal) as caught:
        collect(rig.listener, rig.query, {})
    assert caught.value.what_to_do


def check_damaged_answers_are_our_errors(rig: Rig) -> None:
    posted = rig.server.posts(ENOUGH)
    for trouble in (rig.server.sends_web_pages, rig.server.breaks_off_answers):
        trouble()
        with pytest.raises((Transient, Terminal)):
            collect(rig.listener, rig.query, {})
        rig.server.comes_back()
    posts, _ = collect(rig.listener, rig.query, {})
    assert {post.external_id for post in posts} == set(posted)


def check_may_answer_gives_a_reason(rig: Rig) -> None:
    listener, post = _answering(rig), _one_post(rig)
    verdict = listener.may_answer(post)
    assert verdict.allowed
    assert len(verdict.reason) > 3


def check_an_answer_arrives_once_and_is_found(rig: Rig) -> None:
    listener, post = _answering(rig), _one_post(rig)
    since = datetime.now(UTC) - timedelta(minutes=1)
    sent = listener.answer(post, "Thank you, we are on it.", "key-1")
    assert type(sent) is Sent
    assert sent.sent_at.tzinfo is UTC
    assert rig.server.answers_under(post.external_id) == ["Thank you, we are on it."]
    found = listener.find(post, "Thank you, we are on it.", "key-1", since)
    assert isinstance(found, Sent)
    assert found.external_id == sent.external_id


def check_nothing_sent_is_not_found(rig: Rig) -> None:
    listener, post = _answering(rig), _one_post(rig)
    found = listener.find(post, "Never sent.", "key-2", datetime.now(UTC) - timedelta(minutes=1))
    assert isinstance(found, (Absent, CannotTell))


def check_lost_outcome_is_unknown_and_not_doubled(rig: Rig) -> None:
    listener, post = _answering(rig), _one_post(rig)
    since = datetime.now(UTC) - timedelta(minutes=1)
    rig.server.loses_the_next_answer()
    with pytest.raises(OutcomeUnknown):
        listener.answer(post, "It ships on Monday.", "key-3")
    assert rig.server.answers_under(post.external_id) == ["It ships on Monday."]
    found = listener.find(post, "It ships on Monday.", "key-3", since)
    assert isinstance(found, (Sent, CannotTell)), "an answer that stands must never be called absent"


def check_same_key_makes_one_answer(rig: Rig) -> None:
    listener, post = _answering(rig), _one_post(rig)
    first = listener.answer(post, "Once only.", "key-4")
    if rig.idempotent:
        assert listener.answer(post, "Once only.", "key-4").external_id == first.external_id
    assert rig.server.answers_under(post.external_id) == ["Once only."]


def check_refused_answer_stands_nowhere(rig: Rig) -> None:
    listener, post = _answering(rig), _one_post(rig)
    rig.server.refuses()
    with pytest.raises(Terminal) as caught:
        listener.answer(post, "Not allowed.", "key-5")
    assert caught.value.what_to_do
    rig.server.comes_back()
    assert rig.server.answers_under(post.external_id) == []


def check_answering_anew_replaces_only_ours(rig: Rig) -> None:
    listener, post = _answering(rig), _one_post(rig)
    assert isinstance(listener, AnswersAnew)
    listener.answer(post, "We look into it.", "key-6")
    listener.answer_anew(post, "It is mended.", "key-7", ["We look into it."])
    assert rig.server.answers_under(post.external_id) == ["It is mended."]
    with pytest.raises(Terminal):
        listener.answer_anew(post, "And again.", "key-8", ["We look into it."])
    with pytest.raises(Terminal):
        listener.answer(post, "And again.", "key-9")
    assert rig.server.answers_under(post.external_id) == ["It is mended."]


def check_deletions_are_seen(rig: Rig) -> None:
    listener = rig.listener
    assert isinstance(listener, Deletes)
    kept, gone = rig.server.posts(2)
    assert dict(listener.still_there([kept, gone])) == {kept: True, gone: True}
    rig.server.deletes(gone)
    assert dict(listener.still_there([kept, gone])) == {kept: True, gone: False}
    assert dict(listener.still_there([])) == {}


def check_an_edit_is_a_new_version_of_the_same_post(rig: Rig) -> None:
    edited, kept = rig.server.posts(2)
    posts, cursor = collect(rig.listener, rig.query, {})
    before = {post.external_id: post for post in posts}
    rig.server.edits(edited, "Now it only hums.")
    later, _ = collect(rig.listener, rig.query, cursor)
    now = {post.external_id: post for post in later} | _read_again(rig, [edited, kept])
    assert now.keys() <= {edited, kept}, "an edit is no post of its own"
    assert edited in now, "it neither comes with what is new nor is told when one asks"
    assert "Now it only hums." in now[edited].text
    changed_at = now[edited].edited_at
    if changed_at is not None:  # else the store takes the moment at which it saw the edit
        assert changed_at >= (before[edited].edited_at or before[edited].posted_at)
    for same in now.keys() - {edited}:
        assert _said(now[same]) == _said(before[same]), "what was not edited must not look like an edit"


def check_everything_since_a_day_is_read(rig: Rig) -> None:
    posted = rig.server.posts(ENOUGH)
    known = {post.external_id: post.posted_at for post in collect(rig.listener, rig.query, {})[0]}
    assert set(known) == set(posted)
    listener = _looking_back(rig)
    for moment in (min(known.values()), sorted(known.values())[ENOUGH // 2]):
        found, cursor = collect(rig.listener, rig.query, listener.since(rig.query, moment))
        expected = {one for one, posted_at in known.items() if posted_at >= moment}
        assert expected <= {post.external_id for post in found} <= set(known)
    new = rig.server.posts(2)
    later, _ = collect(rig.listener, rig.query, cursor)
    assert set(new) <= {post.external_id for post in later}, "it goes on as any reading does"


def check_a_reading_since_a_day_may_stop_after_any_page(rig: Rig) -> None:
    posted = rig.server.posts(ENOUGH)
    listener = _looking_back(rig)
    oldest = min(post.posted_at for post in collect(rig.listener, rig.query, {})[0])
    seen: set[str] = set()
    cursor = json.loads(json.dumps(listener.since(rig.query, oldest)))
    for _ in range(ROUNDS):
        next(iter(rig.listener.fetch(rig.query, cursor)), None)  # read, and crashed before it was stored
        page = next(iter(rig.listener.fetch(rig.query, cursor)), None)
        if page is None or set(posted) <= seen:
            break
        seen |= {post.external_id for post in page.posts}
        cursor = json.loads(json.dumps(page.cursor))
    assert set(posted) <= seen


# --- Helpers -------------------------------------------------------------------------------------------------------


def collect(listener: Listener, query: Query, cursor: Cursor) -> tuple[list[Post], Cursor]:
    """Everything that one fetch gives, each post once as a store would have it, and the last cursor."""
    posts: dict[str, Post] = {}
    for page in listener.fetch(query, cursor):
        in_page = [post.external_id for post in page.posts]
        assert len(in_page) == len(set(in_page)), "two posts of one page share an id"
        posts |= {post.external_id: post for post in page.posts}
        cursor = json.loads(json.dumps(page.cursor))
    return list(posts.values()), cursor


def _answering(rig: Rig) -> Answers:
    assert isinstance(rig.listener, Answers)
    return rig.listener


def _read_again(rig: Rig, external_ids: Sequence[str]) -> dict[str, Post]:
    """What posts say now, of a platform that can be asked."""
    if not isinstance(rig.listener, ReadsAgain):
        return {}
    told = rig.listener.as_they_are(external_ids)
    assert {name: one is not False for name, one in told.items()} == dict(rig.listener.still_there(external_ids))
    posts = {name: one for name, one in told.items() if isinstance(one, Post)}
    assert {one.external_id for one in posts.values()} == set(posts) == set(told), "what stands is told"
    return posts


def _said(post: Post) -> tuple[str | None, str, float | None]:
    """What an edit changes."""
    return post.title, post.text, post.rating


def _looking_back(rig: Rig) -> LooksBack:
    assert isinstance(rig.listener, LooksBack)
    return rig.listener


def _one_post(rig: Rig) -> Post:
    (external_id,) = rig.server.posts(1)
    posts, _ = collect(rig.listener, rig.query, {})
    return next(post for post in posts if post.external_id == external_id)


def _parts(value: object) -> Iterator[object]:
    """The value and everything inside it."""
    yield value
    if isinstance(value, (list, tuple, set)):
        inside: list[object] = list(value)
    elif isinstance(value, dict):
        inside = [*value.keys(), *value.values()]
    elif isinstance(value, pydantic.BaseModel):
        inside = [getattr(value, name) for name in type(value).model_fields]
    elif hasattr(value, "__dataclass_fields__"):
        inside = [getattr(value, name) for name in value.__dataclass_fields__]
    else:
        inside = []
    for part in inside:
        yield from _parts(part)


_HOSTILE: list[Any] = [
    None, True, -1, 10**30, 1.5, float("nan"), "", "\x00\ud800", "x" * 3000, "<b>", [], {}, [[]], {"a": None},
]  # fmt: skip


def mutations(raw: bytes) -> st.SearchStrategy[bytes]:
    """Answers like `raw`, damaged: cut, bytes changed, and where it is JSON, values swapped for hostile ones."""
    at = st.integers(0, max(0, len(raw) - 1))
    cut = at.map(lambda i: raw[:i])
    changed = st.tuples(at, st.binary(min_size=1, max_size=4)).map(lambda t: raw[: t[0]] + t[1] + raw[t[0] + 1 :])
    try:
        data = json.loads(raw)
    except ValueError:
        return st.one_of(cut, changed)
    paths = list(_paths(data))
    swapped = st.tuples(st.sampled_from(paths), st.sampled_from(_HOSTILE)).map(lambda t: _swapped(data, *t))
    dropped = st.sampled_from(paths).map(lambda path: _swapped(data, path, _DROP))
    return st.one_of(swapped, dropped, cut, changed)


_DROP = object()


def _paths(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for name, value in items:
        yield from _paths(value, (*path, name))


def _swapped(data: Any, path: tuple[Any, ...], value: Any) -> bytes:
    whole = {"": json.loads(json.dumps(data))}
    holder: Any = whole
    name: Any = ""
    for step in path:
        holder, name = holder[name], step
    if value is _DROP:
        del holder[name]
    else:
        holder[name] = value
    return json.dumps(whole.get("")).encode()


CHECKS: dict[str, Callable[..., None]] = {
    name: check for name, check in list(globals().items()) if name.startswith("check_")
}
"""Every check by name; test_contract.py breaks a listener for each."""

__all__ = [
    "CHECKS", "AnswersAnewContract", "AnswersContract", "DeletesContract", "EditsContract", "ListenerContract",
    "ListeningError", "LooksBackContract", "NetworkContract", "Rig", "collect", "mutations",
]  # fmt: skip
