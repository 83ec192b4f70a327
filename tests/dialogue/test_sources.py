"""Sources and accounts as people see and change them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from db import sources as rows
from dialogue import collecting, requests, sources
from dialogue.context import Actor, Context, DialogueError, Missing, NotAllowed, Role
from listeners.base import Author
from tests.conftest import Clock, RecordedTriggers, as_role
from tests.fake_platform import FakePlatform, installed
from tests.worlds import look, post, said, store, tag


@pytest.fixture
def forum(monkeypatch: pytest.MonkeyPatch) -> FakePlatform:
    return installed(monkeypatch)


def _add(ctx: Context, actor: Actor, **fields: object) -> int:
    values = {"platform": "forum", "query": "hinge", "mode": "search", "label": "", "account_id": None} | fields
    return sources.add(ctx, actor, **values)  # type: ignore[arg-type]


def _one(ctx: Context, actor: Actor) -> sources.SourceView:
    (view,) = sources.list_(ctx, actor)
    return view


def test_what_is_added_is_asked_at_once(
    any_ctx: Context, colleague: Actor, forum: FakePlatform, triggers: RecordedTriggers
) -> None:
    forum.posts(3)
    source_id = _add(any_ctx, colleague)
    assert triggers.collected == [source_id]
    assert _one(any_ctx, colleague).health == "waiting"
    collecting.collect(any_ctx, source_id)
    view = _one(any_ctx, colleague)
    assert (view.label, view.health, view.total, view.last_24h) == ("hinge", "listening", 3, 3)
    assert view.sparkline[-1] == 3
    assert len(view.sparkline) == 14
    (run,) = sources.runs(any_ctx, colleague, source_id)
    assert (run.outcome, run.new) == ("ok", 3)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"platform": "pigeons"}, "no platform called 'pigeons'"),
        ({"mode": "dreams"}, "cannot listen in the way 'dreams'"),
        ({"query": " \x00 "}, "say what to listen for"),
        ({"query": "x" * 1001}, "too long"),
        ({"account_id": 4711}, "no account on Forum"),
        ({"options": {"depth": 1}}, "no option called 'depth'"),
        ({"options": {"poll_seconds": 1}}, "from 5 to a week"),
        ({"platform": "file"}, "hand in a file"),
    ],
)
def test_what_does_not_fit_is_said(
    ctx: Context, colleague: Actor, forum: FakePlatform, fields: dict[str, object], words: str
) -> None:
    with pytest.raises(DialogueError, match=words):
        _add(ctx, colleague, **fields)
    assert sources.list_(ctx, colleague) == []


def test_only_an_administrator_changes_sources(ctx: Context, colleague: Actor, forum: FakePlatform) -> None:
    source_id = _add(ctx, colleague)
    lesser = as_role(colleague, Role.APPROVER)
    for change in (sources.pause, sources.resume, sources.run_now):
        with pytest.raises(NotAllowed):
            change(ctx, lesser, source_id)
    with pytest.raises(NotAllowed):
        _add(ctx, lesser)
    assert len(sources.list_(ctx, as_role(colleague, Role.VIEWER))) == 1


def test_health_is_told_in_words(ctx: Context, colleague: Actor, forum: FakePlatform, clock: Clock) -> None:
    source_id = _add(ctx, colleague)
    forum.goes_down()
    collecting.collect(ctx, source_id)
    assert _one(ctx, colleague).health == "waiting"
    assert "503" in _one(ctx, colleague).words
    forum.refuses()
    clock.forward(hours=2)
    collecting.collect(ctx, source_id)
    view = _one(ctx, colleague)
    assert (view.health, view.what_to_do) == ("problem", "Enter a new token.")
    forum.recovers()
    sources.run_now(ctx, colleague, source_id)
    collecting.collect(ctx, source_id)
    assert _one(ctx, colleague).health == "listening"
    clock.forward(days=1)
    assert _one(ctx, colleague).health == "late", "due for a day and nobody asked"
    sources.pause(ctx, colleague, source_id)
    assert _one(ctx, colleague).health == "paused"


def test_changes_leave_an_audit_row(ctx: Context, colleague: Actor, forum: FakePlatform) -> None:
    source_id = _add(ctx, colleague)
    sources.rename(ctx, colleague, source_id, "  The   hinges ")
    sources.pause(ctx, colleague, source_id)
    sources.resume(ctx, colleague, source_id)
    assert _one(ctx, colleague).label == "The hinges"
    assert [row[0] for row in look(ctx, "SELECT action FROM audit ORDER BY id")] == [
        "added", "renamed", "paused", "resumed",
    ]  # fmt: skip


@pytest.mark.parametrize("with_mentions", [True, False])
def test_removing_a_source(any_ctx: Context, colleague: Actor, forum: FakePlatform, with_mentions: bool) -> None:
    forum.posts(3)
    first, second = _add(any_ctx, colleague), _add(any_ctx, colleague, query="door")
    collecting.collect(any_ctx, first)
    store(any_ctx, post("p1", "The hinge squeaks 1"), source_id=second)
    tag(any_ctx, said("negative"))
    request_id = sources.remove(any_ctx, colleague, first, with_mentions)
    assert sources.list_(any_ctx, colleague)[0].health == "removing"
    requests.serve(any_ctx, request_id)
    assert requests.get(any_ctx, request_id).state == "done"
    assert [view.id for view in sources.list_(any_ctx, colleague)] == [second]
    left = ["p1"] if with_mentions else ["p1", "p2", "p3"]
    assert [row[0] for row in look(any_ctx, "SELECT external_id FROM mentions ORDER BY id")] == left
    assert look(any_ctx, "SELECT key, count FROM rollups WHERE dimension = 'source'") == [(str(second), 1)]
    assert look(any_ctx, "SELECT count FROM rollups WHERE dimension = 'all'") == [(len(left),)]


def test_a_preview_shows_what_is_found_and_stores_nothing(ctx: Context, colleague: Actor, forum: FakePlatform) -> None:
    forum.posts(5)
    request_id = sources.request_preview(ctx, colleague, "forum", "hinge", "search", None)
    requests.serve(ctx, request_id)
    view = requests.get(ctx, request_id)
    assert view.state == "done"
    assert view.result["posts"][0] == {
        "author": "author1", "when": "20 Nov 2026 11:00 UTC", "text": "The hinge squeaks 1",
        "url": "https://forum.example/1",
    }  # fmt: skip
    assert look(ctx, "SELECT count(*) FROM mentions") == [(0,)]


def test_a_preview_that_fails_says_why(ctx: Context, colleague: Actor, forum: FakePlatform) -> None:
    forum.refuses()
    request_id = sources.request_preview(ctx, colleague, "forum", "hinge", "search", None)
    requests.serve(ctx, request_id)
    view = requests.get(ctx, request_id)
    assert (view.state, view.error, view.what_to_do) == (
        "failed", "The forum refused the token (401).", "Enter a new token.",
    )  # fmt: skip


def test_an_account_is_kept_sealed_and_its_secrets_stay(ctx: Context, colleague: Actor, forum: FakePlatform) -> None:
    account_id = sources.save_account(ctx, colleague, "forum", "Us", None, {"token": "very secret"})
    (view,) = sources.accounts(ctx, colleague)
    assert "very secret" not in repr(view)
    sources.save_account(ctx, colleague, "forum", "Us too", None, {"token": ""}, account_id)
    with ctx.database.reading() as tx:
        kept = rows.account(tx, account_id)
    assert kept is not None
    assert ctx.secrets.decrypt(kept.credentials) == {"token": "very secret"}
    with pytest.raises(DialogueError, match="needs Token"):
        sources.save_account(ctx, colleague, "forum", "Us", None, {})
    with pytest.raises(DialogueError, match="https://"):
        sources.save_account(ctx, colleague, "forum", "Us", "ftp://forum.example", {"token": "t"})


def test_a_test_of_an_account_learns_who_we_are_and_what_is_ours(
    ctx: Context, colleague: Actor, forum: FakePlatform
) -> None:
    forum.us = Author(id="bjork", handle="bjork")
    store(ctx, post("1"))
    account_id = sources.save_account(ctx, colleague, "forum", "Us", None, {"token": "t"})
    request_id = sources.request_account_test(ctx, colleague, account_id)
    requests.serve(ctx, request_id)
    (view,) = sources.accounts(ctx, colleague)
    assert (view.handle, view.check_ok) == ("bjork", True)
    assert look(ctx, "SELECT external_id FROM mentions WHERE ours") == [("1",)]


def test_a_test_that_fails_is_remembered(ctx: Context, colleague: Actor, forum: FakePlatform) -> None:
    account_id = sources.save_account(ctx, colleague, "forum", "Us", None, {"token": "t"})
    forum.refuses()
    request_id = sources.request_account_test(ctx, colleague, account_id)
    requests.serve(ctx, request_id)
    assert requests.get(ctx, request_id).state == "failed"
    assert [view.check_ok for view in sources.accounts(ctx, colleague)] == [False]


def test_sources_outlive_their_account(ctx: Context, colleague: Actor, forum: FakePlatform) -> None:
    account_id = sources.save_account(ctx, colleague, "forum", "Us", None, {"token": "t"})
    _add(ctx, colleague, account_id=account_id)
    sources.remove_account(ctx, colleague, account_id)
    assert _one(ctx, colleague).account_label == ""
    with pytest.raises(Missing):
        sources.remove_account(ctx, colleague, account_id)


def test_every_platform_is_offered(ctx: Context, forum: FakePlatform) -> None:
    found = {one.platform: one for one in sources.platforms(ctx)}
    assert found["forum"].modes[0].label == "Search"
    assert found["forum"].polls
    assert not found["file"].polls


def test_the_interval_comes_from_the_platform_or_the_source(
    ctx: Context, colleague: Actor, forum: FakePlatform
) -> None:
    plain, fast = _add(ctx, colleague), _add(ctx, colleague, query="door", options={"poll_seconds": 15})
    with ctx.database.reading() as tx:
        polls = [row.poll_seconds for id_ in (plain, fast) if (row := rows.get(tx, id_))]
    assert polls == [timedelta(minutes=1).total_seconds(), 15]
