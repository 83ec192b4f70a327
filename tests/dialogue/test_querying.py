"""A source's query in the one language: what is asked, what is stored, what is counted, and what was there before."""

from __future__ import annotations

from dataclasses import replace

import pytest

from db import sources as rows
from db.sources import RunRow
from dialogue import requests, sources
from dialogue.collecting import collect
from dialogue.context import Actor, Context, DialogueError
from dialogue.search import SearchError
from listeners import registry
from listeners.base import Mode, Syntax
from tests import fake_platform
from tests.conftest import Clock
from tests.fake_platform import FakePlatform, installed
from tests.worlds import add_source, look

SEARCH = Mode("search", "Search", "Words", syntax=Syntax(phrase='"{}"'))
TEXTS = "SELECT text FROM mentions ORDER BY id"


@pytest.fixture
def forum(monkeypatch: pytest.MonkeyPatch) -> FakePlatform:
    """A forum whose search knows words and phrases. It sends everything, whatever it is asked."""
    forum = installed(monkeypatch)
    others = fake_platform.CAPABILITY.modes[1:]
    capability = replace(fake_platform.CAPABILITY, modes=(SEARCH, *others, Mode("board", "A board", "Board")))
    monkeypatch.setattr(fake_platform, "CAPABILITY", capability)
    return forum


def _run(ctx: Context, source_id: int) -> RunRow:
    with ctx.database.reading() as tx:
        return rows.runs(tx, source_id, 1)[0]


def _added(ctx: Context, actor: Actor, query: str, mode: str = "search", **options: object) -> int:
    return sources.add(ctx, actor, "forum", query, mode, "", None, options)


def test_only_what_the_query_means_is_stored_and_the_rest_is_counted(
    any_ctx: Context, colleague: Actor, forum: FakePlatform
) -> None:
    forum.posts(2, text="The hinge squeaks")
    forum.posts(3, text="The hinge is on sale")
    source_id = _added(any_ctx, colleague, "hinge -sale")
    assert collect(any_ctx, source_id) == "ok"
    assert [query.text for query, _ in forum.asked] == ["hinge"]
    assert look(any_ctx, TEXTS) == [("The hinge squeaks 1",), ("The hinge squeaks 2",)]
    run = _run(any_ctx, source_id)
    assert (run.new, run.filtered, run.pages) == (2, 3, 3)
    (view,) = sources.runs(any_ctx, colleague, source_id)
    assert view.filtered == 3


def test_the_cursor_moves_over_what_is_left_out(
    ctx: Context, colleague: Actor, forum: FakePlatform, clock: Clock
) -> None:
    forum.posts(4, text="On sale: a hinge")
    source_id = _added(ctx, colleague, "hinge -sale")
    assert collect(ctx, source_id) == "unchanged"
    forum.posts(1, text="The hinge squeaks")
    clock.forward(hours=1)
    assert collect(ctx, source_id) == "ok"
    assert forum.asked[-1][1] == {"read": 4}
    assert look(ctx, TEXTS) == [("The hinge squeaks 5",)]


def test_alternatives_are_asked_for_one_by_one_and_stored_once(
    ctx: Context, colleague: Actor, forum: FakePlatform
) -> None:
    forum.posts(2, text="The door hinge")
    source_id = _added(ctx, colleague, '"door hinge" OR lock')
    collect(ctx, source_id)
    assert [query.text for query, _ in forum.asked] == ['"door hinge"', "lock"]
    assert len(look(ctx, TEXTS)) == 2
    ((cursor,),) = look(ctx, "SELECT cursor FROM sources")
    assert '"lock"' in str(cursor)


def test_a_source_from_before_the_language_goes_on_as_it_was(ctx: Context, forum: FakePlatform) -> None:
    forum.posts(1, text="Whatever the forum sends")
    raw = 'subject:(hinge OR "door") -"sale'
    source_id = add_source(ctx, query=raw, mode="search", next_run_at=ctx.clock(), options={"depth": 3})
    assert collect(ctx, source_id) == "ok"
    assert [query.text for query, _ in forum.asked] == [raw]
    assert dict(forum.opened_with[-1][1].extra) == {"depth": "3"}
    assert look(ctx, TEXTS) == [("Whatever the forum sends 1",)]


def test_the_platforms_own_syntax_may_be_chosen_and_narrowed(
    ctx: Context, colleague: Actor, forum: FakePlatform
) -> None:
    forum.posts(1, text="late")
    forum.posts(1, text="early")
    source_id = _added(ctx, colleague, "subject:hinge (", syntax="platform", only="late OR lost")
    collect(ctx, source_id)
    assert [query.text for query, _ in forum.asked] == ["subject:hinge ("]
    assert look(ctx, TEXTS) == [("late 1",)]
    assert dict(forum.opened_with[-1][1].extra) == {}, "these options are not the listener's"


def test_an_address_may_be_narrowed(ctx: Context, colleague: Actor, forum: FakePlatform) -> None:
    forum.posts(1, text="hinge")
    forum.posts(1, text="door")
    source_id = _added(ctx, colleague, "board-7 (old)", "board", only="hinge")
    collect(ctx, source_id)
    assert [query.text for query, _ in forum.asked] == ["board-7 (old)"]
    assert look(ctx, TEXTS) == [("hinge 1",)]


def test_what_was_stored_is_kept_up_with_when_it_no_longer_matches(
    any_ctx: Context, colleague: Actor, forum: FakePlatform, clock: Clock
) -> None:
    forum.posts(1, text="The hinge squeaks")
    source_id = _added(any_ctx, colleague, "hinge -sale")
    collect(any_ctx, source_id)
    forum.edits("p1", "The hinge is for sale")
    clock.forward(hours=1)
    collect(any_ctx, source_id)
    assert look(any_ctx, TEXTS) == [("The hinge is for sale",)]


@pytest.mark.parametrize(
    ("query", "position", "words"),
    [
        ("hinge (door", 6, "never closed"),
        ("hing*", 0, "nothing to ask Forum for"),
        ("hinge source:x", 0, "another source"),
        ("hinge   title:x", 6, "no field 'title'"),
    ],
)
def test_a_query_is_refused_before_anybody_is_asked(
    ctx: Context, colleague: Actor, forum: FakePlatform, query: str, position: int, words: str
) -> None:
    for act in (_added, _preview):
        with pytest.raises(SearchError, match=words) as caught:
            act(ctx, colleague, query)
        assert caught.value.position == position
    explained = sources.explain("forum", query, "search")
    assert words in explained.problem
    assert explained.pointer.splitlines()[1] == " " * position + "^"
    assert forum.asked == []


@pytest.mark.parametrize(
    ("mode", "options", "words"),
    [
        ("search", {"syntax": "latin"}, "samtal or platform"),
        ("search", {"only": "hinge"}, "into the query itself"),
        ("search", {"only": 7}, "is a query"),
        ("board", {"only": "hinge OR"}, "ends too early"),
    ],
)
def test_options_of_a_query_are_checked(
    ctx: Context, colleague: Actor, forum: FakePlatform, mode: str, options: dict[str, object], words: str
) -> None:
    with pytest.raises(DialogueError, match=words):
        _added(ctx, colleague, "hinge", mode, **options)


def test_a_stored_query_that_cannot_be_asked_any_more_waits_for_a_person(
    ctx: Context, colleague: Actor, forum: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    source_id = _added(ctx, colleague, "hinge door")
    narrow = replace(fake_platform.CAPABILITY, modes=(replace(SEARCH, syntax=Syntax(max_length=3)),))
    monkeypatch.setattr(fake_platform, "CAPABILITY", narrow)
    registry._loaded.cache_clear()
    assert collect(ctx, source_id) == "terminal"
    ((error, what_to_do),) = look(ctx, "SELECT last_error, what_to_do FROM sources")
    assert error.startswith("Forum takes 3 characters")
    assert what_to_do == "Edit the source's query."


def _preview(ctx: Context, actor: Actor, query: str, mode: str = "search") -> int:
    return sources.request_preview(ctx, actor, "forum", query, mode, None)


def test_a_look_tells_what_is_asked_found_and_left_out(ctx: Context, colleague: Actor, forum: FakePlatform) -> None:
    forum.posts(1, text="The hinge squeaks")
    forum.posts(1, text="The hinge is on sale")
    request_id = _preview(ctx, colleague, "hinge -sale OR lock")
    requests.serve(ctx, request_id)
    result = requests.get(ctx, request_id).result
    assert result["asked"] == ["hinge", "lock"]
    assert [post["text"] for post in result["posts"]] == ["The hinge squeaks 1"]
    assert [post["text"] for post in result["left_out"]] == ["The hinge is on sale 2"]
    assert requests.get(ctx, request_id).words == "The first pages have 1 post; 1 more is left out here."
    assert "Forum has no OR: it is asked 2 times, once for each alternative." in result["notes"]
    assert look(ctx, "SELECT count(*) FROM mentions") == [(0,)]


def test_what_a_query_will_do_is_said_before_anybody_is_asked(ctx: Context, forum: FakePlatform) -> None:
    explained = sources.explain("forum", "hinge deliver*", "search")
    assert explained.asked == ("hinge",)
    assert explained.notes[0] == "Forum has no wildcards: deliver* is looked for here."
    assert sources.explain("forum", "  ", "search") == sources.Explained()
    assert sources.explain("forum", "board", "board") == sources.Explained()
    assert "no platform called" in sources.explain("pigeons", "x", "search").problem
