"""What a mention answers, quotes or stands under is shown beside it, and edited and deleted as a mention is."""

from __future__ import annotations

from datetime import timedelta

import pytest

from db.context import NewContext
from dialogue import conversations, erasing
from dialogue.collecting import collect
from dialogue.context import SYSTEM, Context, Missing
from dialogue.conversations import Item
from dialogue.privacy import recheck
from listeners.base import Author, Post
from tests.conftest import NOON, Clock
from tests.fake_platform import FakePlatform, installed
from tests.worlds import add_source, look, post, store

KEPT = "SELECT external_id, text FROM mention_context ORDER BY id"


def around(external_id: str, text: str, hours_ago: int = 2) -> NewContext:
    return NewContext(external_id, text, NOON - timedelta(hours=hours_ago), author_id="ada", author_name="Ada")


def _said(ctx: Context) -> list[Item]:
    return list(conversations.open_(ctx, SYSTEM, 1).items)


# In the thread --------------------------------------------------------------------------------------------------------


def test_a_reply_stands_below_what_it_answers_and_where_its_thread_begins(any_ctx: Context) -> None:
    begins, answered = around("root", "Our new hinge", 5), around("parent", "Does it squeak?", 3)
    store(any_ctx, post("1", "It does.", parent_id="parent", root_id="root", context=(answered, begins)))
    assert [(one.kind, one.role, one.text, one.author_name) for one in _said(any_ctx)] == [
        ("context", "begins", "Our new hinge", "Ada"),
        ("context", "answered", "Does it squeak?", "Ada"),
        ("mention", "", "It does.", "Björk"),
    ]


def test_what_is_quoted_stands_above_the_quote(ctx: Context) -> None:
    store(ctx, post("1", "Look at this.", quotes_id="theirs", context=(around("theirs", "Our new hinge"),)))
    assert [(one.kind, one.role) for one in _said(ctx)] == [("context", "quoted"), ("mention", "")]


def test_what_stands_in_the_thread_anyway_is_shown_once(ctx: Context) -> None:
    root = around("root", "Our new hinge")
    store(ctx, post("1", root_id="root", parent_id="root", context=(root,)))
    store(ctx, post("2", root_id="root", parent_id="root", context=(root,)))
    assert [one.kind for one in _said(ctx)] == ["context", "mention", "mention"]
    store(ctx, post("root", "Our new hinge", posted_at=NOON - timedelta(hours=2)))
    assert [one.kind for one in _said(ctx)] == ["mention", "mention", "mention"]


# When it changes ------------------------------------------------------------------------------------------------------


@pytest.fixture
def forum(monkeypatch: pytest.MonkeyPatch) -> FakePlatform:
    return installed(monkeypatch)


def _collected(ctx: Context, forum: FakePlatform) -> int:
    """A source that has read an answer to somebody's post, which its query did not find."""
    source_id = add_source(ctx, query="hinge", next_run_at=ctx.clock(), recheck_at=ctx.clock() + timedelta(hours=1))
    (answer,) = forum.posts(1)
    ada = Author(id="ada", handle="ada")
    above = Post(platform="forum", external_id="root", text="Our new hinge", posted_at=answer.posted_at, author=ada)
    forum.standing = [answer.model_copy(update={"parent_id": "root", "root_id": "root", "context": (above,)})]
    collect(ctx, source_id)
    assert look(ctx, KEPT) == [("root", "Our new hinge")]
    return source_id


def test_what_is_gone_there_is_gone_here_though_no_mention(any_ctx: Context, forum: FakePlatform, clock: Clock) -> None:
    source_id = _collected(any_ctx, forum)
    forum.deletes("root")
    clock.forward(hours=1)
    assert recheck(any_ctx, source_id) == 0
    assert look(any_ctx, KEPT) == []
    assert look(any_ctx, "SELECT external_id FROM mentions") == [("p1",)]
    forum.standing *= 2
    collect(any_ctx, source_id)
    assert look(any_ctx, KEPT) == [], "and it stays gone"


def test_an_edit_that_no_listing_shows_is_seen_when_asked_what_stands(
    any_ctx: Context, forum: FakePlatform, clock: Clock
) -> None:
    source_id = _collected(any_ctx, forum)
    answer, above = forum.standing[0], forum.standing[0].context[0]
    forum.now_says = {
        "p1": answer.model_copy(update={"text": "It squeaks no more", "edited_at": clock()}),
        "root": above.model_copy(update={"text": "Our newest hinge"}),
        "stranger": above.model_copy(update={"external_id": "stranger"}),
    }
    clock.forward(hours=1)
    assert recheck(any_ctx, source_id) == 0
    assert look(any_ctx, "SELECT external_id, text, tagged_at FROM mentions") == [("p1", "It squeaks no more", None)]
    assert look(any_ctx, "SELECT text FROM mention_edits") == [("The hinge squeaks 1",)]
    assert look(any_ctx, KEPT) == [("root", "Our newest hinge")]


def test_an_edit_of_what_stands_beside_is_seen(ctx: Context, forum: FakePlatform, clock: Clock) -> None:
    source_id = _collected(ctx, forum)
    forum.now_says = {"root": forum.standing[0].context[0].model_copy(update={"text": "Our newest hinge"})}
    clock.forward(hours=1)
    recheck(ctx, source_id)
    assert look(ctx, KEPT) == [("root", "Our newest hinge")]
    assert look(ctx, "SELECT text FROM mention_edits") == []


def test_what_was_not_edited_reads_the_same_and_is_no_version(ctx: Context, forum: FakePlatform, clock: Clock) -> None:
    source_id = _collected(ctx, forum)
    forum.now_says = {"p1": forum.standing[0]}
    clock.forward(hours=1)
    recheck(ctx, source_id)
    assert look(ctx, "SELECT count(*) FROM mention_edits") == [(0,)]
    assert look(ctx, "SELECT count(*) FROM mentions WHERE confirmed_at IS NOT NULL") == [(1,)]


def test_an_author_goes_who_wrote_nothing_but_what_others_refer_to(any_ctx: Context) -> None:
    store(any_ctx, post("1", root_id="root", context=(around("root", "Our new hinge"),)))
    assert erasing.forget_author(any_ctx, SYSTEM, "forum", "ada").authors == 1
    assert look(any_ctx, KEPT) == []
    with pytest.raises(Missing):
        erasing.forget_author(any_ctx, SYSTEM, "forum", "ada")
    with pytest.raises(Missing):
        erasing.forget_author(any_ctx, SYSTEM, "wall", "ada")
