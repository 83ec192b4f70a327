"""The query language of the search line: what it finds, and what it says about a query that it cannot read."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.search import All, Any_, Author, Language, Near, Not, Platform, Words
from dialogue.inbox import Filters, page
from dialogue.search import MAX_LENGTH, MAX_TERMS, SearchError, parse
from tests.dialogue.conversing import World
from tests.worlds import said, tag


@pytest.mark.parametrize(
    ("query", "tree"),
    [
        ("", None),
        ("  \t", None),
        ("late", Words("late")),
        ("late parcel", All((Words("late"), Words("parcel")))),
        ("late AND parcel", All((Words("late"), Words("parcel")))),
        ("a OR b c", Any_((Words("a"), All((Words("b"), Words("c")))))),
        ('"late parcel"', Words("late parcel")),
        ("deliver*", Words("deliver", prefix=True)),
        ("e-bike", Words("e-bike")),
        ("-e-bike", Not(Words("e-bike"))),
        ("NOT NOT a", Words("a")),
        ("-(a OR b)", Not(Any_((Words("a"), Words("b"))))),
        ("author:@jane LANG:de", All((Author("@jane"), Language("de")))),
        ('author:"Jane Ö"', Author("Jane Ö")),
        ("ON:bluesky", Platform("bluesky")),
        ("or ORANGE NOTE", All((Words("or"), Words("ORANGE"), Words("NOTE")))),
        ("https://a.example/b?c", Words("https://a.example/b?c")),
        ("c++", Words("c++")),
        ("source:Bluesky", Platform("bluesky")),
        ("acme NEAR broken", Near((Words("acme"),), (Words("broken"),), 10)),
        ('("a b" OR c) NEAR/3 d*', Near((Words("a b"), Words("c")), (Words("d", prefix=True),), 3)),
        ("-a NEAR/0 b c", All((Not(Near((Words("a"),), (Words("b"),), 0)), Words("c")))),
        ("“late parcel”", Words("late parcel")),
        ('"late deliver*"', Words("late deliver", prefix=True)),
    ],
)
def test_a_query_is_read_as_documented(query: str, tree: object) -> None:
    assert parse(query) == tree


@pytest.mark.parametrize(
    ("query", "position", "words"),
    [
        ("late (parcel", 5, "parenthesis at character 6 is never closed"),
        ("late) parcel", 4, "parenthesis at character 5"),
        ("()", 1, "parenthesis at character 2"),
        ('say "late', 4, "quotation mark at character 5 is never closed"),
        ("late OR", 7, "ends too early"),
        ("OR late", 0, "'OR' at character 1"),
        ("a AND OR b", 6, "'OR' at character 7"),
        ("a --b", 2, "'--b' at character 3"),
        ("a - b", 2, "'-' at character 3"),
        ("a !!!", 2, "no letter or number"),
        ('a ""', 2, "no letter or number"),
        ("a NEAR b NEAR c", 9, "'NEAR' at character 10"),
        ("a NEAR (b c)", 2, "NEAR stands between two words or phrases"),
        ("a NEAR/99 b", 2, "from 0 to 50"),
        ("a NEAR/x b", 2, "from 0 to 50"),
        ("late de*ver", 7, "at the end of a word only"),
        ("late from:jane", 5, "no field 'from'"),
        ("late author: jane", 5, "After author: stands a name"),
        ("author:ja*", 0, "a whole name"),
        ("lang:english", 0, "no code of a language"),
        ("x" * (MAX_LENGTH + 1), MAX_LENGTH, "at most 500"),
        ("x " * (MAX_TERMS + 1), 2 * MAX_TERMS, "at most 30"),
    ],
)
def test_an_error_points_at_the_character(query: str, position: int, words: str) -> None:
    with pytest.raises(SearchError) as caught:
        parse(query)
    assert caught.value.position == position
    assert words in str(caught.value)
    shown, caret = caught.value.pointer.splitlines()
    assert caret.strip() == "^"
    assert position >= len(query) or shown[caret.index("^")] == query[position]


def refusal(act: Callable[..., object], *given: object) -> SearchError | None:
    """The error in words that `act` ends in; any other error fails the test."""
    try:
        act(*given)
    except SearchError as error:
        return error
    return None


PIECES = st.sampled_from(
    ["late", '"', "(", ")", "-", " ", "OR", "AND", "NOT", "NEAR", "NEAR/2", "author:", "lang:de", "*", "\x00", "ö", ":"]
)


@given(st.one_of(st.text(max_size=80), st.lists(PIECES, max_size=40).map("".join), st.lists(PIECES).map(" ".join)))
def test_any_text_is_read_or_refused_with_a_place_in_it(query: str) -> None:
    error = refusal(parse, query)
    assert error is None or (0 <= error.position <= len(query) and str(error))


@pytest.fixture
def threads(any_world: World) -> World:
    any_world.says("p1", "The parcel came late, and I want a refund.")
    any_world.says("p2", "Thank you, the parcel is here!", author_id="li", author_handle="@Li.W", author_name="Li")
    any_world.says(
        "p3", 'Das Päckchen ist verloren: "weg" ist weg', title="Lost parcel", author_id="uwe", author_handle="uwe"
    )
    tag(any_world.ctx, said())
    with any_world.ctx.database.transaction() as tx:
        tx.connection.exec_driver_sql("UPDATE effective_tags SET language = 'de' WHERE mention_id = 3")
    return any_world


def found(world: World, query: str) -> set[str]:
    cards = page(world.ctx, world.bo, Filters(search=query)).cards
    return {f"p{card.conversation_id}" for card in cards}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("parcel", {"p1", "p2", "p3"}),
        ("PARCEL late", {"p1"}),
        ("parcel -refund", {"p2", "p3"}),
        ("-parcel", set()),
        ("late OR thank", {"p1", "p2"}),
        ("(late OR lost) NOT refund", {"p3"}),
        ('"parcel came"', {"p1"}),
        ('"came parcel"', set()),
        ("par*", {"p1", "p2", "p3"}),
        ("par", set()),
        ("päckchen", {"p3"}),
        ("author:@li.w", {"p2"}),
        ("author:LI.W -refund", {"p2"}),
        ("-author:uwe", {"p1", "p2"}),
        ("lang:de", {"p3"}),
        ("parcel lang:en", {"p1", "p2"}),
        ("author:nobody", set()),
        ("on:Wall late", {"p1"}),
        ("on:elsewhere", set()),
        ("source:wall late", {"p1"}),
        ("parcel NEAR/0 came", {"p1"}),
        ("came NEAR/0 parcel", {"p1"}),
        ("parcel NEAR/5 refund", set()),
        ("parcel NEAR/6 refund", {"p1"}),
        ("(late OR thank) NEAR/2 (parcel OR you)", {"p1", "p2"}),
        ('"the parcel" NEAR/1 lat*', {"p1"}),
        ('"the parcel" NEAR/0 lat*', set()),
        ("parcel -parcel NEAR/4 want", {"p2", "p3"}),
        ("late\x00refund", {"p1"}),
        ("\ud800late", {"p1"}),
    ],
)
def test_it_finds_what_it_says(threads: World, query: str, expected: set[str]) -> None:
    assert found(threads, query) == expected


HOSTILE = [
    "'; DROP TABLE mentions; --",
    "a*b*",
    "NEAR(a b)",
    "it's NEAR/2 \\x",
    '"a \' b" NEAR "c | d"',
    "text:parcel",
    "^parcel",
    "a:*",
    "%",
    "_x",
    "a & b | !c",
    "it's",
    "\\x",
]


@pytest.mark.parametrize("query", HOSTILE)
def test_no_users_word_is_syntax_of_the_database(threads: World, query: str) -> None:
    refusal(found, threads, query)
    assert found(threads, "parcel") == {"p1", "p2", "p3"}


@given(query=st.lists(PIECES | st.text(max_size=6), max_size=6).map(" ".join))
def test_the_database_takes_whatever_is_read(module_world: World, query: str) -> None:
    error = refusal(found, module_world, query)
    assert error is None or str(error)


@pytest.fixture(scope="module")
def module_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    from db.engine import Database
    from db.migrate import migrate
    from dialogue.context import Actor, Context, Role
    from tests.conftest import Clock, PlainSecrets, RecordedTriggers

    folder = tmp_path_factory.mktemp("search")
    database = Database(f"sqlite:///{folder / 'samtal.db'}")
    migrate(database)
    world = object.__new__(World)
    world.clock = Clock()
    world.ctx = Context(database, folder, PlainSecrets(), RecordedTriggers(), clock=world.clock)
    world.bo = Actor(1, "Bo", Role.RESPONDER)
    world.says("p1", "The parcel came late")
    return world


def test_an_author_with_letters_beyond_ascii_is_found(any_world: World) -> None:
    any_world.says("p1", author_id="åsa", author_handle="Åsa Öberg")
    assert found(any_world, 'author:"Åsa Öberg"') == {"p1"}


def test_a_name_with_a_blank_may_be_the_one_that_is_shown(any_world: World) -> None:
    any_world.says("p1", author_id="li", author_handle="liw", author_name="Li Wen")
    any_world.says("p2", author_id="wen", author_handle="wen", author_name="Li")
    assert found(any_world, 'author:"li wen"') == {"p1"}
    assert found(any_world, "author:li") == set()
