"""What platforms ask of whoever keeps their content: refreshed in time, deleted when it is, gone when its author is."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from dialogue import duties, erasing, housekeeping, privacy, requests, sources
from dialogue.collecting import collect
from dialogue.context import SYSTEM, Context, DialogueError, Missing, NotAllowed, Role
from listeners.base import Page
from tests import fake_platform
from tests.conftest import Clock
from tests.fake_platform import FakePlatform, installed
from tests.worlds import add_source, look, post, store

RETAIN = timedelta(days=30)


@pytest.fixture
def forum(monkeypatch: pytest.MonkeyPatch) -> FakePlatform:
    return installed(monkeypatch)


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> FakePlatform:
    """The forum lets nobody keep for 30 days what was not refreshed."""
    allows = replace(fake_platform.CAPABILITY, retain=RETAIN)
    monkeypatch.setattr(fake_platform, "CAPABILITY", allows)
    monkeypatch.setattr(fake_platform.Forum, "capability", allows)
    return installed(monkeypatch)


def _collected(ctx: Context, forum: FakePlatform, posts: int = 3) -> int:
    now = ctx.clock()
    source_id = add_source(ctx, query="hinge", next_run_at=now, recheck_at=now + timedelta(hours=1))
    forum.posts(posts)
    collect(ctx, source_id)
    return source_id


def _left(ctx: Context) -> list[str]:
    return [row[0] for row in look(ctx, "SELECT external_id FROM mentions ORDER BY id")]


# Content that must be refreshed ---------------------------------------------------------------------------------------


def test_what_is_not_refreshed_in_time_goes(any_ctx: Context, strict: FakePlatform, clock: Clock) -> None:
    _collected(any_ctx, strict)
    clock.forward(days=29)
    housekeeping.tidy(any_ctx)
    assert len(_left(any_ctx)) == 3
    clock.forward(days=1, minutes=1)
    housekeeping.tidy(any_ctx)
    assert _left(any_ctx) == []


def test_what_still_stands_there_is_refreshed(any_ctx: Context, strict: FakePlatform, clock: Clock) -> None:
    source_id = _collected(any_ctx, strict)
    clock.forward(days=29)
    privacy.recheck(any_ctx, source_id)
    clock.forward(days=2)
    housekeeping.tidy(any_ctx)
    assert len(_left(any_ctx)) == 3


def test_silence_does_not_refresh(
    ctx: Context, strict: FakePlatform, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To be asked about is not enough: only what the platform gives or confirms may be kept."""
    source_id = _collected(ctx, strict)
    monkeypatch.setattr("tests.fake_platform.Forum.still_there", lambda self, ids: {ids[0]: True})
    clock.forward(days=29)
    privacy.recheck(ctx, source_id)
    clock.forward(days=2)
    housekeeping.tidy(ctx)
    assert len(_left(ctx)) == 1


def test_reading_it_again_refreshes(ctx: Context, strict: FakePlatform, clock: Clock) -> None:
    store(ctx, post("read again"), post("read once"))
    clock.forward(days=29)
    store(ctx, post("read again"))
    clock.forward(days=2)
    housekeeping.tidy(ctx)
    assert _left(ctx) == ["read again"]
    assert store(ctx, post("read once")).new == 1, "it may be kept again when it is given again"


def test_earlier_versions_are_no_exception(ctx: Context, strict: FakePlatform, clock: Clock) -> None:
    store(ctx, post("p", "The hinge squeaks"))
    store(ctx, post("p", "The hinge is fine"))
    assert look(ctx, "SELECT text FROM mention_edits") == [("The hinge squeaks",)]
    clock.forward(days=29)
    store(ctx, post("p", "The hinge is fine"))
    clock.forward(days=2)
    housekeeping.tidy(ctx)
    assert look(ctx, "SELECT text FROM mention_edits") == []
    assert _left(ctx) == ["p"]


def test_other_platforms_content_stays(ctx: Context, forum: FakePlatform, clock: Clock) -> None:
    store(ctx, post("p"))
    clock.forward(days=400)
    housekeeping.tidy(ctx)
    assert _left(ctx) == ["p"]


# Content whose source was removed -------------------------------------------------------------------------------------


def _remove(ctx: Context, source_id: int) -> None:
    requests.serve(ctx, sources.remove(ctx, SYSTEM, source_id, with_mentions=False))


def test_what_a_removed_source_brought_is_still_asked_about(
    any_ctx: Context, forum: FakePlatform, clock: Clock
) -> None:
    source_id = _collected(any_ctx, forum)
    _remove(any_ctx, source_id)
    assert sources.list_(any_ctx, SYSTEM) == []
    assert _left(any_ctx) == ["p1", "p2", "p3"]
    forum.deletes("p2")
    clock.forward(hours=1)
    assert privacy.due(any_ctx) == [source_id]
    assert privacy.recheck(any_ctx, source_id) == 1
    assert _left(any_ctx) == ["p1", "p3"]
    assert collect(any_ctx, source_id) is None, "and nothing new is read"


def test_a_removed_source_is_forgotten_with_the_last_that_it_brought(
    any_ctx: Context, forum: FakePlatform, clock: Clock
) -> None:
    source_id = _collected(any_ctx, forum)
    _remove(any_ctx, source_id)
    forum.deletes("p1", "p2", "p3")
    clock.forward(hours=1)
    assert privacy.recheck(any_ctx, source_id) == 3
    assert look(any_ctx, "SELECT id FROM sources") == []


def test_what_another_source_finds_too_is_asked_about_by_that_one(ctx: Context, forum: FakePlatform) -> None:
    one = _collected(ctx, forum)
    other = add_source(ctx, query="hinge", next_run_at=ctx.clock())
    collect(ctx, other)
    _remove(ctx, one)
    assert look(ctx, "SELECT id FROM sources") == [(other,)]
    _remove(ctx, other)
    assert look(ctx, "SELECT id, state FROM sources") == [(other, "left")]


def test_a_removed_source_cannot_be_changed(ctx: Context, forum: FakePlatform) -> None:
    source_id = _collected(ctx, forum)
    _remove(ctx, source_id)
    for change in (sources.resume, sources.run_now, sources.pause):
        with pytest.raises(Missing):
            change(ctx, SYSTEM, source_id)


# Authors --------------------------------------------------------------------------------------------------------------


def test_everything_of_an_author_goes_and_stays_gone(any_ctx: Context) -> None:
    theirs = [post("a", root_id=None), post("b", "It broke again")]
    store(any_ctx, *theirs, post("c", author_id="ann", author_handle="@ann", author_name="Ann"))
    store(any_ctx, post("b", "It broke again, badly"))
    gone = erasing.forget_author(any_ctx, SYSTEM, "forum", "bjork")
    assert (gone.mentions, gone.authors) == (2, 1)
    assert _left(any_ctx) == ["c"]
    assert look(any_ctx, "SELECT handle FROM identities") == [("@ann",)]
    assert look(any_ctx, "SELECT display_name FROM people") == [("Ann",)]
    assert look(any_ctx, "SELECT text FROM mention_edits") == []
    assert store(any_ctx, *theirs).buried == 2


def test_a_person_goes_with_all_their_accounts(ctx: Context) -> None:
    store(ctx, post("a"))
    store(ctx, post("b", platform="other", author_id="b2", author_handle="@b2"))
    (first,), _ = look(ctx, "SELECT person_id FROM identities ORDER BY id")
    with ctx.database.transaction() as tx:
        tx.connection.exec_driver_sql(f"UPDATE identities SET person_id = {first}")
    assert erasing.forget_person(ctx, SYSTEM, first).mentions == 2
    assert _left(ctx) == []
    assert look(ctx, f"SELECT id FROM people WHERE id = {first}") == []


def test_only_an_administrator_erases_and_never_ourselves(ctx: Context) -> None:
    store(ctx, post("a"))
    with pytest.raises(NotAllowed):
        erasing.forget_author(ctx, replace(SYSTEM, role=Role.RESPONDER), "forum", "bjork")
    with pytest.raises(Missing):
        erasing.forget_author(ctx, SYSTEM, "forum", "nobody")
    with ctx.database.transaction() as tx:
        tx.connection.exec_driver_sql("UPDATE identities SET ours = true")
    with pytest.raises(DialogueError, match="account of ours"):
        erasing.forget_author(ctx, SYSTEM, "forum", "bjork")
    assert _left(ctx) == ["a"]


def test_the_audit_trail_does_not_say_who_was_erased(ctx: Context) -> None:
    store(ctx, post("a"))
    erasing.forget_author(ctx, SYSTEM, "forum", "bjork")
    (told,) = look(ctx, "SELECT subject_id, detail FROM audit WHERE action = 'erased'")
    assert "bjork" not in str(told).lower()


def test_an_author_whom_the_platform_calls_gone_goes(
    ctx: Context, forum: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    source_id = _collected(ctx, forum)
    page = Page(posts=(), cursor={"at": 99}, gone_authors=("a2",))
    monkeypatch.setattr(fake_platform.Forum, "fetch", lambda self, query, cursor: iter([page]))
    with ctx.database.transaction() as tx:
        tx.connection.exec_driver_sql(f"UPDATE sources SET next_run_at = '2020-01-01 00:00:00' WHERE id = {source_id}")
    collect(ctx, source_id)
    assert _left(ctx) == ["p1", "p3"]


# How each duty stands -------------------------------------------------------------------------------------------------


def _duty(ctx: Context, name: str, platform: str = "forum") -> duties.DutyView:
    found = duties.compliance(ctx, SYSTEM).duties
    (one,) = [one for one in found if (one.platform, one.duty) == (platform, name)]
    return one


def test_deletions_are_met_then_overdue_then_met_again(any_ctx: Context, forum: FakePlatform, clock: Clock) -> None:
    source_id = _collected(any_ctx, forum)
    assert _duty(any_ctx, duties.DELETIONS).state == "waiting"
    clock.forward(hours=1)
    privacy.recheck(any_ctx, source_id)
    assert (_duty(any_ctx, duties.DELETIONS).state, _duty(any_ctx, duties.DELETIONS).met_at) == ("met", clock())
    met_at = clock()
    forum.refuses()
    clock.forward(hours=25)
    privacy.recheck(any_ctx, source_id)
    ill = _duty(any_ctx, duties.DELETIONS)
    assert (ill.state, ill.overdue, ill.met_at) == ("overdue", 3, met_at)
    assert ill.what_to_do == "The forum refused the token (401). Enter a new token."
    assert duties.compliance(any_ctx, SYSTEM).words == "1 duty is overdue."
    forum.recovers()
    clock.forward(hours=1)
    privacy.recheck(any_ctx, source_id)
    assert duties.compliance(any_ctx, SYSTEM).words == "Every duty is met."


def test_what_nobody_asks_about_is_told(ctx: Context, forum: FakePlatform, clock: Clock) -> None:
    store(ctx, post("p1"))
    clock.forward(hours=25)
    assert "Nobody asks about 1" in _duty(ctx, duties.DELETIONS).what_to_do


def test_keeping_is_overdue_when_nobody_tidies(ctx: Context, strict: FakePlatform, clock: Clock) -> None:
    _collected(ctx, strict)
    clock.forward(days=31)
    assert (_duty(ctx, duties.KEEPING).state, _duty(ctx, duties.KEEPING).overdue) == ("overdue", 3)
    housekeeping.tidy(ctx)
    assert _duty(ctx, duties.KEEPING).state == "met"


def test_what_the_code_keeps_is_told_where_it_is_asked_for(ctx: Context, clock: Clock) -> None:
    store(ctx, post("x1", platform="x"), post("f1", platform="feed"))
    store(ctx, post("s1", platform="stackexchange"))
    assert _duty(ctx, duties.EXPORTS, "x").words.endswith("50,000 are left today.")
    assert _duty(ctx, duties.ATTRIBUTION, "stackexchange").state == "always"
    assert _duty(ctx, duties.DELETIONS, "feed").state == "never"
    assert "reddit" not in {one.platform for one in duties.compliance(ctx, SYSTEM).duties}


def test_the_table_in_the_docs_is_that_of_the_capabilities() -> None:
    text = (Path(__file__).parents[2] / "docs" / "compliance.md").read_text()
    (table,) = re.findall(r"<!-- duties -->\n(.*?)<!-- /duties -->", text, re.DOTALL)
    assert table == duties.table(), "print it anew: python -m dialogue.duties"
