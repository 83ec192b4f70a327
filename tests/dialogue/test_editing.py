"""A source's query is changed: nothing between the two is lost, and what is under way stores nothing of the old one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from db import sources as rows
from db.sources import SourceRow
from dialogue import backfill, querying, requests, sources
from dialogue.collecting import collect
from dialogue.context import SYSTEM, Actor, Context, DialogueError, NotAllowed, Role
from dialogue.search import SearchError
from tests.conftest import Clock, as_role
from tests.listeners.fake_server import Reply, Request
from tests.listeners.test_hacker_news import HackerNewsServer
from tests.worlds import add_source, look

TEXTS = "SELECT text FROM mentions ORDER BY posted_at, id"


class News(HackerNewsServer):
    """Hacker News that finds what has the words that it is asked for."""

    def said(self, text: str, at: Any) -> None:
        number = str(50_000_000 + len(self.hits))
        hit = {"objectID": number, "author": "ann", "comment_text": text, "parent_id": 1, "story_id": 1}
        self.hits.append({**hit, "created_at_i": int(at.timestamp())})

    def reply_to(self, request: Request) -> Reply:
        everything, words = self.hits, request.params.get("query", "").lower().split()
        self.hits = [hit for hit in everything if all(word in hit["comment_text"].lower() for word in words)]
        try:
            return super().reply_to(request)
        finally:
            self.hits = everything


@pytest.fixture
def news() -> Iterator[News]:
    with News() as server:
        yield server


@pytest.fixture
def source_id(any_ctx: Context, news: News) -> int:
    """A source that has read what there was of kettles until two minutes ago."""
    news.said("An old kettle", any_ctx.clock() - timedelta(days=3))
    news.said("An old teapot", any_ctx.clock() - timedelta(days=3))
    found = sources.add(any_ctx, SYSTEM, "hackernews", "kettle", "search", "", None, {"base_url": news.url})
    assert collect(any_ctx, found) == "ok"
    return found


def _row(ctx: Context, source_id: int) -> SourceRow:
    with ctx.database.reading() as tx:
        found = rows.get(tx, source_id)
    assert found is not None
    return found


def _edit(ctx: Context, source_id: int, query: str, **options: Any) -> str:
    return sources.edit(ctx, SYSTEM, source_id, query, "search", "", options)


def test_nothing_between_the_two_queries_is_lost(any_ctx: Context, source_id: int, news: News, clock: Clock) -> None:
    clock.forward(minutes=1)
    news.said("A teapot before the edit", clock())
    clock.forward(minutes=1)
    words = _edit(any_ctx, source_id, "teapot")
    assert "What it has brought stays." in words
    assert "'Read further back' does that" in words
    clock.forward(minutes=1)
    news.said("A teapot after the edit", clock())
    assert collect(any_ctx, source_id) == "ok"
    found = {text for (text,) in look(any_ctx, TEXTS)}
    assert found >= {"An old kettle", "A teapot before the edit", "A teapot after the edit"}
    view = next(one for one in sources.list_(any_ctx, SYSTEM) if one.id == source_id)
    assert (view.query, view.label) == ("teapot", "teapot")


def test_what_was_posted_before_is_read_where_that_is_asked(any_ctx: Context, source_id: int, news: News) -> None:
    _edit(any_ctx, source_id, "teapot")
    collect(any_ctx, source_id)
    request_id = backfill.request(any_ctx, SYSTEM, source_id, any_ctx.clock() - timedelta(days=30))
    requests.serve(any_ctx, request_id)
    assert {text for (text,) in look(any_ctx, TEXTS)} == {"An old kettle", "An old teapot"}


@pytest.mark.parametrize("point", ["collect.before_commit", "collect.after_page", "collect.claimed"])
def test_a_run_that_is_under_way_writes_nothing_of_the_old_query(
    any_ctx: Context, source_id: int, news: News, clock: Clock, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    clock.forward(minutes=10)
    for number in range(7):
        news.said(f"A kettle {number}", clock() - timedelta(seconds=number))
        news.said(f"A teapot {number}", clock() - timedelta(seconds=number))
    edited: list[SourceRow] = []

    def edits(name: str) -> None:
        if name == point and not edited:
            _edit(any_ctx, source_id, "teapot")
            edited.append(_row(any_ctx, source_id))

    with monkeypatch.context() as patched:
        if point == "collect.before_commit":  # within its transaction nobody else writes: the edit comes right before
            patched.setattr("dialogue.collecting.store_page", _edited_before(edits))
        patched.setattr("dialogue.points.reached", edits)
        assert collect(any_ctx, source_id) is None, "it was taken away"
    (after,) = edited
    now = _row(any_ctx, source_id)
    assert (now.cursor, now.query, now.fence) == (after.cursor, "teapot", after.fence)
    assert now.next_run_at is not None
    assert now.next_run_at <= clock()
    stored = [text for (text,) in look(any_ctx, TEXTS)]
    assert len(stored) <= 1 + 3, "at most the page that was stored before"
    while collect(any_ctx, source_id) not in ("unchanged", None):
        clock.forward(minutes=5)
    texts = [text for (text,) in look(any_ctx, TEXTS)]
    assert sorted(text for text in texts if text.startswith("A teapot")) == [
        f"A teapot {number}" for number in range(7)
    ]
    assert [text for text in texts if "kettle" in text] == [text for text in stored if "kettle" in text]


def _edited_before(edits: Any) -> Any:
    from dialogue import collecting

    store_page = collecting.store_page

    def store(*args: Any, **values: Any) -> Any:
        edits("collect.before_commit")
        return store_page(*args, **values)

    return store


def test_who_claims_it_at_that_very_moment_reads_the_new_query(
    any_ctx: Context, source_id: int, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.forward(minutes=30)
    claimed: list[SourceRow | None] = []
    carried_over = sources._carried_over

    def claims() -> None:
        with any_ctx.database.transaction() as tx:
            claimed.append(rows.claim(tx, source_id, clock(), timedelta(minutes=1)))

    worker = threading.Thread(target=claims)

    def while_somebody_claims(*args: Any) -> Any:
        worker.start()
        worker.join(1.0)  # on SQLite it has to wait for the edit
        return carried_over(*args)

    monkeypatch.setattr(sources, "_carried_over", while_somebody_claims)
    _edit(any_ctx, source_id, "teapot")
    worker.join()
    assert claimed[0] is None or claimed[0].query == "teapot", "a claim of the old query would hold after the edit"


def test_where_the_old_query_had_been_left_half_way_the_new_one_goes_further_back(
    any_ctx: Context, source_id: int, news: News, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for minute in range(30):
        clock.forward(minutes=1)
        news.said(f"A kettle {minute}", clock())
        news.said(f"A teapot {minute}", clock())
    clock.forward(minutes=60)
    monkeypatch.setattr("dialogue.collecting.PAGES_A_RUN", 2)
    assert collect(any_ctx, source_id) == "ok"
    assert _row(any_ctx, source_id).last_success_at == clock(), "it went well, and has not come to its end"
    monkeypatch.undo()
    _edit(any_ctx, source_id, "teapot")
    clock.forward(minutes=5)
    collect(any_ctx, source_id)
    assert sum(text.startswith("A teapot") for (text,) in look(any_ctx, TEXTS)) == 30


def test_another_filter_goes_on_where_it_stands(any_ctx: Context, source_id: int) -> None:
    before = _row(any_ctx, source_id)
    _edit(any_ctx, source_id, "kettle -sale")
    after = _row(any_ctx, source_id)
    assert (after.cursor, after.fence) == (before.cursor, before.fence + 1)
    assert after.query == "kettle -sale"


def test_a_new_name_alone_disturbs_nobody(any_ctx: Context, source_id: int) -> None:
    before = _row(any_ctx, source_id)
    sources.edit(any_ctx, SYSTEM, source_id, "kettle", "search", "Kettles", {})
    after = _row(any_ctx, source_id)
    assert (after.label, after.fence, after.cursor) == ("Kettles", before.fence, before.cursor)


def test_a_reading_further_back_ends_with_the_query_that_it_was_of(
    any_ctx: Context, source_id: int, news: News, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in range(20):
        news.said(f"A kettle {day}", any_ctx.clock() - timedelta(days=5 + day))
    request_id = backfill.request(any_ctx, SYSTEM, source_id, any_ctx.clock() - timedelta(days=30))
    told: list[str] = []

    def edits(name: str) -> None:
        if name == "backfill.after_page" and not told:
            told.append(_edit(any_ctx, source_id, "teapot"))

    monkeypatch.setattr("dialogue.points.reached", edits)
    requests.serve(any_ctx, request_id)
    assert told[0].endswith("Its reading further back has ended: ask for it anew.")
    assert requests.get(any_ctx, request_id).state == "cancelled"
    assert len(look(any_ctx, TEXTS)) <= 1 + 3, "no page of the old query after the edit"
    again = backfill.request(any_ctx, SYSTEM, source_id, any_ctx.clock() - timedelta(days=30))
    requests.serve(any_ctx, again)
    assert requests.get(any_ctx, again).state == "done"
    assert ("An old teapot",) in look(any_ctx, TEXTS)


def test_an_edit_heals_a_source_whose_query_was_refused(ctx: Context, news: News) -> None:
    source_id = add_source(
        ctx, platform="hackernews", query='kettle "', mode="search", options={"base_url": news.url, "syntax": "samtal"},
        next_run_at=ctx.clock(),
    )  # fmt: skip
    assert collect(ctx, source_id) == "terminal"
    assert _row(ctx, source_id).what_to_do == "Edit the source's query."
    news.said("A kettle", ctx.clock() - timedelta(minutes=1))
    _edit(ctx, source_id, "kettle")
    assert collect(ctx, source_id) == "ok"
    assert look(ctx, TEXTS) == [("A kettle",)]
    assert (_row(ctx, source_id).last_error, _row(ctx, source_id).what_to_do) == ("", "")


def test_options_of_the_source_stay(ctx: Context, news: News) -> None:
    source_id = sources.add(
        ctx, SYSTEM, "hackernews", "kettle", "search", "", None, {"base_url": news.url, "poll_seconds": 120}
    )
    _edit(ctx, source_id, '"tea kettle"', **{querying.SYNTAX: querying.PLATFORMS})
    assert _row(ctx, source_id).options == {"base_url": news.url, "poll_seconds": 120, "syntax": "platform"}


def test_a_paused_source_stays_paused_and_loses_nothing(ctx: Context, news: News, clock: Clock) -> None:
    source_id = sources.add(ctx, SYSTEM, "hackernews", "kettle", "search", "", None, {"base_url": news.url})
    collect(ctx, source_id)
    sources.pause(ctx, SYSTEM, source_id)
    clock.forward(hours=1)
    news.said("A teapot meanwhile", clock())
    _edit(ctx, source_id, "teapot")
    assert _row(ctx, source_id).state == "paused"
    assert collect(ctx, source_id) is None
    clock.forward(days=2)
    sources.resume(ctx, SYSTEM, source_id)
    collect(ctx, source_id)
    assert look(ctx, TEXTS) == [("A teapot meanwhile",)]


def test_another_address_is_read_from_its_beginning(ctx: Context) -> None:
    source_id = add_source(
        ctx, platform="feed", query="https://news.example/feed", mode="feed", cursor={"etag": '"1"'},
        last_success_at=ctx.clock(), read_until=ctx.clock(),
    )  # fmt: skip
    words = sources.edit(ctx, SYSTEM, source_id, "https://news.example/other", "feed", "")
    assert _row(ctx, source_id).cursor == {}, "the other feed's ETag says nothing of this one"
    assert words.endswith("Whatever its platform still shows is read with the new query.")


def test_a_stream_that_hears_everything_stays_where_it_is(ctx: Context) -> None:
    heard = {"time_us": 1_790_000_000_000_000, "at": "stream.example"}
    credentials = {"handle": "acme.example", "app_password": "abcd-abcd-abcd-abcd"}
    source_id = add_source(
        ctx, platform="bluesky", query="kettle", mode="stream", cursor=heard, last_success_at=ctx.clock(),
        options={"syntax": "samtal"}, account_id=sources.save_account(ctx, SYSTEM, "bluesky", "Us", None, credentials),
    )  # fmt: skip
    sources.edit(ctx, SYSTEM, source_id, "teapot", "stream", "")
    assert _row(ctx, source_id).cursor == heard
    sources.edit(ctx, SYSTEM, source_id, "teapot", "search", "")
    assert "done_until" in _row(ctx, source_id).cursor


def test_what_cannot_be_edited_is_said(ctx: Context, colleague: Actor) -> None:
    source_id = add_source(ctx, platform="hackernews", query="kettle", mode="search", options={"syntax": "samtal"})
    with pytest.raises(NotAllowed):
        sources.edit(ctx, as_role(colleague, Role.APPROVER), source_id, "teapot", "search", "")
    with pytest.raises(SearchError) as caught:
        _edit(ctx, source_id, '"teapot')
    assert caught.value.pointer
    with pytest.raises(DialogueError, match="say what to listen for"):
        _edit(ctx, source_id, " ")
    sample = add_source(ctx, platform="hackernews", query="kettle", mode="search", sample=True)
    with pytest.raises(DialogueError, match="sample"):
        _edit(ctx, sample, "teapot")
    assert _row(ctx, source_id).query == "kettle"
