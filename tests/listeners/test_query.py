"""The one query language: read, held against posts, and translated for platforms that can say more or less of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from listeners import registry
from listeners.base import Answering, Author, Capability, Mode, Post, Syntax
from listeners.matching import matches, words_of
from listeners.query import (
    MAX_LENGTH,
    MAX_TERMS,
    And,
    Language,
    Near,
    Node,
    Not,
    Or,
    QueryError,
    Source,
    Words,
    parse,
    pointer,
    written,
)
from listeners.query import Author as ByAuthor
from listeners.translation import MAX_REQUESTS, Plan, as_typed, translate
from tests.hostile import HOSTILE
from tests.listeners.searching import FakeSearch, Refused, Searching, means


def said(text: str, **fields: object) -> Post:
    values = {"platform": "forum", "external_id": "1", "posted_at": datetime(2026, 11, 1, tzinfo=UTC), "text": text}
    return Post(**(values | fields))  # type: ignore[arg-type]


def tree(query: str) -> Node:
    node = parse(query)
    assert node is not None
    return node


# Reading --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("late parcel", And((Words("late"), Words("parcel")))),
        ("late AND parcel OR refund", Or((And((Words("late"), Words("parcel"))), Words("refund")))),
        ("late (parcel OR refund)", And((Words("late"), Or((Words("parcel"), Words("refund")))))),
        ("-late NOT parcel", And((Not(Words("late")), Not(Words("parcel"))))),
        ("acme NEAR broken", Near((Words("acme"),), (Words("broken"),), 10)),
        ('acme NEAR/3 ("very late" OR lost*)', Near((Words("acme"),), (Words("very late"), Words("lost", True)), 3)),
        ("-acme NEAR/3 late", Not(Near((Words("acme"),), (Words("late"),), 3))),
        ("AUTHOR:@jane lang:pt-BR", And((ByAuthor("@jane"), Language("pt-br")))),
        ("source:Bluesky on:x", And((Source("bluesky"), Source("x")))),
        ("#acme @acme", And((Words("#acme"), Words("@acme")))),
        ("“late parcel” „here“", And((Words("late parcel"), Words("here")))),
        ("near or NEARLY", And((Words("near"), Words("or"), Words("NEARLY")))),
        ("12:30 https://a.example/b", And((Words("12:30"), Words("https://a.example/b")))),
    ],
)
def test_a_query_is_read_as_documented(query: str, expected: Node) -> None:
    assert parse(query) == expected


@pytest.mark.parametrize(
    ("query", "position", "words"),
    [
        ("late (parcel", 5, "never closed"),
        ('say "late', 4, "never closed"),
        ("late) parcel", 4, "nothing before it to close"),
        ("late OR", 7, "ends too early"),
        ("a AND OR b", 6, "needs a word before it or after it"),
        ("a - b", 2, "needs a word"),
        ("NEAR b", 0, "needs a word"),
        ("a NEAR b NEAR c", 9, "needs a word"),
        ("x a NEAR (b c)", 4, "NEAR stands between two words"),
        ("x a NEAR lang:de", 4, "NEAR stands between two words"),
        ("x a NEAR/51 c", 4, "from 0 to 50"),
        ("x a NEAR/two c", 4, "from 0 to 50"),
        ("x a*b", 3, "at the end of a word only"),
        ('x "a* b"', 4, "at the end of a word only"),
        ("x a!*", 4, "right behind a letter"),
        ("x from:jane", 2, "no field 'from'"),
        ("x lang: de", 2, "After lang: stands"),
        ('x author:""', 2, "After author: stands"),
        ("x author:ja*", 2, "a whole name"),
        ("x lang:english", 2, "no code of a language"),
        ("a !!! b", 2, "no letter or number"),
        ("x" * (MAX_LENGTH + 1), MAX_LENGTH, "at most 500"),
        ("x " * (MAX_TERMS + 1), 2 * MAX_TERMS, "at most 30"),
    ],
)
def test_an_error_points_at_the_character(query: str, position: int, words: str) -> None:
    with pytest.raises(QueryError, match=words) as caught:
        parse(query)
    assert caught.value.position == position


def test_the_pointer_shows_the_place_also_in_a_long_query() -> None:
    assert pointer("late (parcel", 5) == "late (parcel\n     ^"
    assert pointer("late OR", 7) == "late OR\n       ^"
    assert pointer("製品 (a", 3) == "製品 (a\n     ^", "two columns for each of the first two"
    line, caret = pointer("word " * 90 + "( " + "more " * 5, 450).splitlines()
    assert line[caret.index("^")] == "("
    assert len(line) < 70
    assert pointer("a\n\t)b", 3).count("\n") == 1


PIECES = st.sampled_from(
    ["late", '"', "(", ")", "-", " ", "OR", "AND", "NOT", "NEAR", "NEAR/2", "author:", "lang:de", "source:x", "*", "#",
     "\x00", "ö", ":", "\\", "“"]
)  # fmt: skip
TYPED = st.one_of(
    st.text(max_size=80), st.lists(PIECES, max_size=40).map("".join), st.lists(PIECES, max_size=40).map(" ".join)
)


def refusal(query: str) -> QueryError | None:
    """The error in words; any other error fails the test."""
    try:
        parse(query)
    except QueryError as error:
        return error
    return None


@given(TYPED)
@example("(" * 250 + "a" + ")" * 249)
@example("NOT " * 120 + "a")
@example("(" * 240 + "a" + ")" * 240)
def test_any_text_is_read_or_refused_with_a_place_in_it(query: str) -> None:
    error = refusal(query)
    if error is not None:
        assert 0 <= error.position <= len(query)
        assert "^" in pointer(query, error.position).splitlines()[-1]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_read_or_refused(text: str) -> None:
    error = refusal(text)
    assert error is None or str(error)


# Matching -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("ACME", "I like acme."),
        ("straße", "STRASSE"),
        ("ﬁne", "fine"),
        ("ACME", "ａｃｍｅ"),
        ("squeaks", "It squ\u00adea\u200dks"),
        ('"late  delivery"', "so LATE\n\n delivery!"),
        ("e-bike", "my e-bike"),
        ("e-bike", "my e bike"),
        ("can't", "I can’t"),
        ("deliver*", "delivered"),
        ('"late deliver*"', "a late delivery"),
        ("製品", "この製品は良い"),
        ("สวย", "ดอกไม้สวยมาก"),
        ("#acme", "so #Acme."),
        ("acme", "so #Acme."),
        ("@acme", "hello @acme!"),
        ("c++", "I like C++"),
        ("acme NEAR/1 broken", "broken: my acme"),
        ('acme NEAR/2 "very late"', "very late was this acme"),
        ("a NEAR/0 a", "a a"),
        ("author:JANE", "x"),
        ("author:@jane", "x"),
        ('author:"jane  doe"', "x"),
        ("lang:de", "x"),
        ("-lang:en", "x"),
        ("source:forum", "x"),
        ("late -(refund OR thanks)", "late"),
    ],
)
def test_a_post_is_meant(query: str, text: str) -> None:
    post = said(text, lang="de-CH", author=Author(id="7", handle="@Jane", display_name="Jane Doe"))
    assert matches(tree(query), post)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("acme", "acmes"),
        ("acme", "büracme"),
        ("cafe", "café"),
        ('"late delivery"', "delivery late"),
        ("deliver*", "redeliver"),
        ("#acme", "acme"),
        ("acme NEAR/1 broken", "acme is so broken"),
        ("acme NEAR/5 broken", "acme"),
        ("a NEAR/3 a", "a"),
        ('"a b" NEAR/3 b', "a b"),
        ("author:doe", "x"),
        ("author:jan", "x"),
        ("lang:en", "x"),
        ("lang:de-at", "x"),
        ("-lang:de", "x"),
        ("source:x", "x"),
        ("late -refund", "late refund"),
    ],
)
def test_a_post_is_not_meant(query: str, text: str) -> None:
    post = said(text, lang="de-CH", author=Author(id="7", handle="jane", display_name="Jane Doe"))
    assert not matches(tree(query), post)


def test_words_stand_in_the_title_or_in_the_text_and_a_phrase_in_one_of_them() -> None:
    post = said("delivery again", title="Late")
    assert matches(tree("late delivery"), post)
    assert not matches(tree('"late delivery"'), post)
    assert not matches(tree("late NEAR delivery"), post)


@pytest.mark.parametrize("told", [None, "", "und"])
def test_a_post_of_unknown_language_is_kept_unless_something_else_speaks_against_it(told: str | None) -> None:
    post = said("acme", lang=told)
    assert matches(tree("acme lang:de"), post)
    assert matches(tree("acme -lang:de"), post)
    assert not matches(tree("globex lang:de"), post)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_posts_are_judged(text: str) -> None:
    post = said(text, title=text[:2_000])
    assert not matches(tree('("zq z" NEAR/3 zz) OR zq* OR "zq zq zq"'), post)
    assert matches(tree('-zq -"zq zq" -(zq NEAR zz)'), post)


# Translation ----------------------------------------------------------------------------------------------------------

PLAIN = Syntax()
ALL_OF_IT = Syntax(
    max_length=120, phrase='"{}"', either="OR", without="-{}", prefix="{}*", author="from:{}", language="lang:{}",
    signs="#@",
)  # fmt: skip
SYNTAXES = {
    "plain words": PLAIN,
    "all of it": ALL_OF_IT,
    "phrases": Syntax(phrase='"{}"', author="from:{}"),
    "no OR": Syntax(phrase='"{}"', without="-{}", without_phrase=False, language="lang:{}"),
    "no phrases": Syntax(either="or", without="NOT {}", max_length=60),
    "one word": Syntax(together=False),
    "one word, also in part": Syntax(together=False, prefix="{}"),
    "short": Syntax(max_length=12, either="|", phrase='"{}"'),
}

VOCABULARY = ["acme", "late", "later", "lost", "or", "e-bike", "c++", "bike"]
leaves = st.one_of(
    st.sampled_from(VOCABULARY).map(Words),
    st.sampled_from(["lat", "e-bi", "acme"]).map(lambda text: Words(text, prefix=True)),
    st.lists(st.sampled_from(["acme", "late", "lost"]), min_size=2, max_size=3).map(" ".join).map(Words),
    st.builds(
        Near,
        st.lists(st.sampled_from(VOCABULARY).map(Words), min_size=1, max_size=2).map(tuple),
        st.lists(st.sampled_from([Words("late"), Words("lat", True), Words("acme late")]), min_size=1).map(
            lambda found: tuple(found[:2])
        ),
        st.integers(0, 3),
    ),
    st.sampled_from(["jane", "joe"]).map(ByAuthor),
    st.sampled_from(["en", "de"]).map(Language),
    st.sampled_from(["forum", "elsewhere"]).map(Source),
)
nodes = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: And(tuple(parts))),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: Or(tuple(parts))),
        inner.map(lambda part: part.part if isinstance(part, Not) else Not(part)),
    ),
    max_leaves=6,
)


def with_a_word(node: Node) -> Node:
    """A query that a platform can nearly always be asked for."""
    return And((node, Words("acme")))


def with_alternatives(node: Node) -> Node:
    return Or((And((Words("late"), node)), Words("acme"), Words("lost late")))


texts = st.lists(st.sampled_from([*VOCABULARY, "and", "Acme!", "LATE,"]), max_size=7).map(" ".join)
posts = st.lists(
    st.builds(
        said,
        texts,
        title=st.none() | texts,
        lang=st.sampled_from([None, "en", "de", "de-CH"]),
        author=st.none() | st.sampled_from(["jane", "joe"]).map(lambda name: Author(id=name, handle=name)),
    ),
    max_size=8,
).map(lambda found: [post.model_copy(update={"external_id": str(n)}) for n, post in enumerate(found)])


def listener(syntax: Syntax, found: Sequence[Post]) -> FakeSearch:
    capability = Capability(
        "forum", "Forum", Answering.HAND_OFF, "By hand.", date(2026, 11, 1), (Mode("search", "Search", "Words"),)
    )
    return FakeSearch(capability, syntax, found)


def planned(query: str, syntax: Syntax) -> Plan | None:
    """The plan; None where the query is refused, which must point into it."""
    try:
        return translate(query, syntax, "forum", "Forum")
    except QueryError as error:
        refused = error
    assert 0 <= refused.position <= len(query)
    assert str(refused)
    return None


@pytest.mark.parametrize("name", SYNTAXES)
@settings(max_examples=60, deadline=None)
@given(st.one_of(nodes, nodes.map(with_a_word), nodes.map(with_alternatives)), posts)
def test_what_the_platform_sends_and_the_filter_keeps_is_what_the_query_means(
    name: str, node: Node, found: list[Post]
) -> None:
    query = written(node)
    assume(len(query) <= MAX_LENGTH)
    meant = tree(query)
    plan = planned(query, SYNTAXES[name])
    assume(plan is not None)
    assert plan is not None
    platform = listener(SYNTAXES[name], found)
    kept = {post.external_id for page in plan.fetch(platform, "search", {}) for post in page.posts}
    certain = {post.external_id for post in found if means(meant, post, unknown_language=False)}
    possible = {post.external_id for post in found if means(meant, post, unknown_language=True)}
    assert certain <= kept <= possible
    if not SYNTAXES[name].language:
        assert kept == possible, "a post whose language is not told is kept"


@settings(max_examples=200, deadline=None)
@given(TYPED, st.sampled_from(sorted(SYNTAXES)))
@example('acme "or"', "no phrases")
@example('"or" "to late"', "no phrases")
def test_whatever_is_typed_the_platform_understands_what_it_is_asked(query: str, name: str) -> None:
    plan = planned(query, SYNTAXES[name])
    if plan is None:
        return
    assert 1 <= len(plan.asked) <= MAX_REQUESTS
    for asked in plan.asked:
        assert len(asked) <= SYNTAXES[name].max_length
        assert "\\" not in asked
        try:
            Searching(SYNTAXES[name], asked).read()
        except Refused:
            # The fake knows plain English words alone; whatever else was typed must at least stand in quotation marks.
            assert not asked.isascii() or "#" in asked, asked


@given(nodes)
def test_what_is_written_back_means_the_same(node: Node) -> None:
    query = written(node)
    assume(len(query) <= MAX_LENGTH)
    assert tree(written(tree(query))) == tree(query)


def searching(capability: Capability) -> Syntax:
    """The syntax of the platform's search; a stream has none of its own, though it is written in the language too."""
    (syntax,) = [mode.syntax for mode in capability.modes if mode.syntax and not mode.streams]
    return syntax


@pytest.mark.parametrize("platform", [name for name, one in registry.capabilities().items()
                                      if any(mode.syntax for mode in one.modes)])  # fmt: skip
@pytest.mark.parametrize(
    "query",
    ["acme", '"acme bank" OR globex', "acme (late OR lost) -refund lang:de", "acme NEAR/3 late", "#acme deliver* x",
     "author:jane.example.com acme", "NOT late acme", "acme " + " OR ".join(["w" * 40] * 9)],
)  # fmt: skip
def test_every_platform_can_be_asked(platform: str, query: str) -> None:
    capability = registry.capability(platform)
    syntax = searching(capability)
    plan = translate(query, syntax, platform, capability.title)
    assert all(0 < len(asked) <= syntax.max_length for asked in plan.asked)
    assert all(note.endswith(".") and "{}" not in note for note in plan.notes)


@pytest.mark.parametrize(
    ("platform", "query", "asked"),
    [
        ("hackernews", "acme late", ["acme late"]),
        ("hackernews", 'acme OR "acme bank"', ["acme", '"acme bank"']),
        ("hackernews", "acme (late OR lost) -refund deliver*", ["acme"]),
        ("hackernews", "acme NEAR/3 e-bike", ['acme "e-bike"']),
        ("hackernews", "#acme lang:de author:jane", ["acme"]),
        ("bluesky", "#acme @acme lang:de", ["#acme acme lang:de"]),
        ("bluesky", "author:@jane.example.com -lang:de", ["from:jane.example.com"]),
        ("bluesky", "acme author:jane", ["acme"]),
        ("reddit", "r/coffee+tea kettle OR pot", ["r/coffee+tea (kettle OR pot)"]),
        ("reddit", "acme (late OR (lost parcel)) -refund", ["acme (late OR (lost parcel))"]),
        ("reddit", "author:jane NOT x", ["author:jane"]),
        ("x", 'acme (late OR "not here") -refund -"my fault"', ['acme (late OR "not here") -refund -"my fault"']),
        ("x", "#acme @acme author:jane lang:de -lang:en", ["#acme @acme from:jane lang:de -lang:en"]),
        ("x", "(acme -x) OR (globex late)", ["(acme OR (globex late))"]),
        ("x", "acme AND c++ AND or", ['acme "c++" "or"']),
        ("x", "acme -(late OR -lost)", ["acme -late lost"]),
        ("x", "acme (source:reddit OR lang:en)", ["acme lang:en"]),
    ],
)
def test_each_platform_is_asked_in_its_own_words(platform: str, query: str, asked: list[str]) -> None:
    capability = registry.capability(platform)
    syntax = searching(capability)
    assert sorted(translate(query, syntax, platform, capability.title).asked[0].split()) == sorted(asked[0].split())
    assert len(translate(query, syntax, platform, capability.title).asked) == len(asked)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("acme deliver*", "Forum has no wildcards: deliver* is looked for here."),
        ("acme (late OR lost)", "Forum has no OR: late OR lost is looked for here."),
        ("late OR lost", "Forum has no OR: it is asked 2 times, once for each alternative."),
        ("acme -late -lost", "Forum is not asked to exclude late and lost: that is left out here."),
        ('acme "very late"', 'Forum has no phrases: the order of "very late" is looked at here.'),
        ("acme NEAR/5 late", "Forum has no NEAR: how near the words of acme NEAR/5 late stand is looked at here."),
        ("acme author:jane", "Forum cannot be searched by author:jane: that is looked at here."),
        ("acme lang:de", "a post whose language it does not tell is kept."),
        ("#acme late", "Forum does not look at # and @: whether it is #acme is looked at here."),
        ("acme deliver*", "counts against the platform's limits"),
    ],
)
def test_what_a_platform_cannot_express_is_said(query: str, words: str) -> None:
    assert words in " ".join(translate(query, PLAIN, "forum", "Forum").notes)


def test_a_word_that_the_platform_takes_for_an_operator_is_looked_for_here() -> None:
    plan = translate('acme "or"', SYNTAXES["no phrases"], "forum", "Forum")
    assert plan.asked == ("acme",)
    assert plan.notes[0] == "Forum takes or for something else than a word: it is looked for here."
    assert [plan.keeps(said(text)) for text in ("acme or not", "acme")] == [True, False]


def test_a_query_that_the_platform_says_in_full_needs_no_words() -> None:
    assert translate('acme (late OR "very lost") -x lang:de deli*', ALL_OF_IT, "forum", "Forum").notes == ()


@pytest.mark.parametrize(
    ("query", "words", "position"),
    [
        ("deliver*", "Forum has no wildcards. So there is nothing to ask Forum for", 0),
        ("-acme", "add a word that every post must contain", 1),
        ("acme OR deliver*", "nothing to ask Forum for", 0),
        ("lang:de", "cannot be searched by lang:de", 0),
        ("acme source:reddit", "asks for another source", 0),
        ("source:forum", "nothing to ask", 0),
        ("  ", "at least one word", 2),
        (" OR ".join(f"word{n}" for n in range(9)), "9 searches are too many", 0),
        ("x" * 101, "Forum takes 100 characters", 0),
    ],
)
def test_a_query_with_nothing_to_ask_for_is_refused(query: str, words: str, position: int) -> None:
    with pytest.raises(QueryError, match=words) as caught:
        translate(query, Syntax(max_length=100), "forum", "Forum")
    assert caught.value.position == position


def test_a_query_that_is_too_long_for_the_platform_is_shortened_and_said() -> None:
    plan = translate("acme late " + " ".join(f"number{n}" for n in range(9)), Syntax(max_length=30), "forum", "Forum")
    assert plan.asked == ("acme late number0 number1",)
    assert plan.notes[0].startswith("Forum takes 30 characters: number2, number3, ")


def test_several_searches_each_go_on_from_where_they_stood() -> None:
    found = [said(f"{word} {n}", external_id=f"{word}{n}") for word in ("acme", "globex") for n in range(7)]
    plan = translate("acme OR globex", PLAIN, "forum", "Forum")
    seen: list[str] = []
    cursor: dict[str, object] = {}
    for _ in range(12):  # a page a run: each time the worker is killed after the first
        page = next(plan.fetch(listener(PLAIN, found), "search", cursor), None)
        assert page is not None
        seen += [post.external_id for post in page.posts]
        cursor = page.cursor
    assert len(seen) == len(set(seen)), "nothing is read twice"
    pages = list(plan.fetch(listener(PLAIN, found), "search", cursor))
    seen += [post.external_id for page in pages for post in page.posts]
    assert set(seen) == {post.external_id for post in found}
    again = [post for page in plan.fetch(listener(PLAIN, found), "search", pages[-1].cursor) for post in page.posts]
    assert again == []


def test_a_cursor_of_one_search_serves_several_and_back() -> None:
    one, several = translate("acme", PLAIN, "forum", "Forum"), translate("acme OR globex", PLAIN, "forum", "Forum")
    platform = listener(PLAIN, [said(f"acme {n}", external_id=str(n)) for n in range(5)])
    cursor = list(one.fetch(platform, "search", {}))[-1].cursor
    assert cursor == {"read": 5}
    both = list(several.fetch(platform, "search", cursor))[-1].cursor
    assert [(words, at) for words, at in platform.asked[1:]] == [("acme", {"read": 5}), ("globex", {"read": 5})]
    list(one.fetch(platform, "search", both))
    assert platform.asked[-1] == ("acme", {"read": 5})


def test_a_page_says_how_many_were_left_out() -> None:
    platform = listener(PLAIN, [said("acme late", external_id="1"), said("acme", external_id="2")])
    (page,) = translate("acme -late", PLAIN, "forum", "Forum").fetch(platform, "search", {})
    assert ([post.external_id for post in page.posts], page.filtered) == (["2"], 1)
    assert page.budget.remaining == 9


def test_the_platforms_own_syntax_is_handed_on_and_may_be_narrowed() -> None:
    plan = as_typed("subject:[a TO b]", "late OR lost")
    assert plan.asked == ("subject:[a TO b]",)
    assert plan.keeps(said("so late"))
    assert not plan.keeps(said("early"))
    assert as_typed("whatever").keeps(said("x"))
    with pytest.raises(QueryError):
        as_typed("whatever", "late OR")


def test_words_keep_their_sign() -> None:
    assert words_of("A #b, c@d") == [("", "a"), ("#", "b"), ("", "c"), ("@", "d")]
