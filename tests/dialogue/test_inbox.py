"""The inbox: which conversations it shows, what a card says, what can be done to many and taken back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event

from db.tables import Topic
from dialogue import conversations, feedback, inbox, people
from dialogue.context import DialogueError, Missing, NotAllowed, Role
from dialogue.inbox import Card, Filters
from dialogue.text import headed
from tests.conftest import NOON, as_role
from tests.dialogue.conversing import World
from tests.worlds import add_source, look, post, said, store, tag


def cards(world: World, filters: Filters | None = None, **given: Any) -> list[Card]:
    """Every card, page by page."""
    filters = filters or Filters(**given)
    found: list[Card] = []
    after = None
    while True:
        page = inbox.page(world.ctx, world.bo, filters, after, limit=7)
        assert len(page.cards) <= 7
        found += page.cards
        after = page.next
        if after is None:
            return found


def ids(world: World, **given: Any) -> list[int]:
    return [card.conversation_id for card in cards(world, **given)]


@pytest.mark.parametrize(
    ("title", "line"),
    [
        (None, "It rattles."),
        ("My bicycle", "My bicycle: It rattles."),
        ("Anyone else?", "Anyone else? It rattles."),
        ("He said “help!”", "He said “help!” It rattles."),
        ("Wait …", "Wait … It rattles."),
    ],
)
def test_no_colon_follows_a_title_that_ends_by_itself(title: str | None, line: str) -> None:
    assert headed(title, "It rattles.") == line


# Paging ---------------------------------------------------------------------------------------------------------------


def test_pages_show_every_conversation_once_newest_first(any_world: World) -> None:
    # Several in the same second: the order must not depend on time alone.
    for number in range(40):
        any_world.says(f"p{number}", posted_at=NOON - timedelta(minutes=number // 5))
    shown = cards(any_world)
    assert len({card.conversation_id for card in shown}) == len(shown) == 40
    assert [card.posted_at for card in shown] == sorted((card.posted_at for card in shown), reverse=True)


def test_a_page_goes_on_where_it_was_when_something_new_arrives(world: World) -> None:
    for number in range(20):
        world.says(f"p{number}", posted_at=NOON - timedelta(hours=number + 1))
    first = inbox.page(world.ctx, world.bo, Filters(), limit=10)
    world.says("new", posted_at=NOON)
    second = inbox.page(world.ctx, world.bo, Filters(), first.next, limit=10)
    assert len({card.conversation_id for card in first.cards + second.cards}) == 20
    assert second.next is None


@pytest.mark.parametrize("after", ["", "nonsense", "!!!!", "bm90IGEgZGF0ZSB4", "9" * 5000, "ÿ"])
def test_a_place_that_is_none_is_an_error_in_words(world: World, after: str) -> None:
    world.says("p1")
    if after == "":
        assert len(inbox.page(world.ctx, world.bo, Filters(), after).cards) == 1
        return
    with pytest.raises(DialogueError, match="beginning"):
        inbox.page(world.ctx, world.bo, Filters(), after)


def test_a_page_asks_the_database_as_often_for_many_cards_as_for_few(world: World) -> None:
    for number in range(60):
        world.says(f"p{number}", author_id=f"a{number}", author_handle=f"@a{number}")
    tag(world.ctx, said())
    asked: list[str] = []

    def count(*arguments: Any) -> None:
        asked.append(arguments[2])

    event.listen(world.ctx.database.engine, "before_cursor_execute", count)
    inbox.page(world.ctx, world.bo, Filters(), limit=3)
    few = len(asked)
    inbox.page(world.ctx, world.bo, Filters(), limit=60)
    event.remove(world.ctx.database.engine, "before_cursor_execute", count)
    assert len(asked) - few == few <= 9


# Views and filters ----------------------------------------------------------------------------------------------------


@pytest.fixture
def three(any_world: World) -> World:
    """1: a complaint about delivery, negative. 2: praise of the product, positive. 3: not tagged."""
    world = any_world
    source = add_source(world.ctx, "Wall", platform="wall")
    add_source(world.ctx, "Other", platform="wall")
    wall = {"platform": "wall", "author_handle": "@jane", "author_id": "jane"}
    store(world.ctx, post("p1", "Where is it?", posted_at=NOON - timedelta(hours=3), **wall), source_id=source)
    tag(world.ctx, said("negative", "complaint", "Delivery"))
    store(world.ctx, post("p2", "I love it", posted_at=NOON - timedelta(hours=2), **wall))
    tag(world.ctx, said("positive", "praise", "Product", "Delivery"))
    store(world.ctx, post("p3", "Hm", posted_at=NOON - timedelta(hours=1), **wall))
    return world


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, [3, 2, 1]),
        ({"sentiment": ("negative",)}, [1]),
        ({"sentiment": ("negative", "positive")}, [2, 1]),
        ({"intent": ("praise",)}, [2]),
        ({"topics": ("Delivery",)}, [2, 1]),
        ({"topics": ("Product", "Nothing")}, [2]),
        ({"topics": ("Nothing",)}, []),
        ({"source_id": 1}, [1]),
        ({"source_id": 2}, []),
        ({"source_id": 99}, []),
        ({"sentiment": ("negative",), "topics": ("Product",)}, []),
        ({"search": "love", "topics": ("Product",)}, [2]),
        ({"assignee": "nobody"}, [3, 2, 1]),
        ({"assignee": "me"}, []),
        ({"view": "mine"}, []),
        ({"view": "waiting"}, []),
        ({"view": "all", "state": "open"}, [3, 2, 1]),
        ({"view": "closed", "state": "open"}, []),
    ],
)
def test_filters(three: World, given: dict[str, Any], expected: list[int]) -> None:
    assert ids(three, **given) == expected


@pytest.mark.parametrize(
    "given",
    [{"topics": ("Delivery",)}, {"source_id": 1}, {"search": "it"}, {"view": "all", "day": (date(2026, 11, 20),) * 2}],
)
def test_a_filter_that_many_pass_finds_the_same_as_one_that_few_pass(
    three: World, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any]
) -> None:
    looked_up = ids(three, **given)
    monkeypatch.setattr("db.inbox.FEW", 0)
    assert ids(three, **given) == looked_up != []


@pytest.mark.parametrize(
    "given",
    [
        {"topics": ("\x00", "\ud800")},
        {"sentiment": ("\x00",)},
        {"intent": ("\udfff",)},
        {"source_id": 10**30},
        {"source_id": -1},
        {"assignee": 10**30},
        {"state": "\x00"},
        {"search": "no\x00thing \ud800here"},
    ],
)
def test_an_address_bar_may_hold_anything(three: World, given: dict[str, Any]) -> None:
    assert ids(three, **given) == []


@pytest.mark.parametrize("number", [0, -1, 10**30])
def test_an_address_bar_may_name_any_number(three: World, number: int) -> None:
    for look_up in (conversations.open_, people.person, feedback.item):
        with pytest.raises(Missing):
            look_up(three.ctx, three.bo, number)
    with pytest.raises(Missing):
        inbox.close(three.ctx, three.bo, [number])


def test_a_filter_speaks_of_the_newest_mention(world: World) -> None:
    world.says("p1", "Terrible")
    tag(world.ctx, said("negative", "complaint", "Delivery"))
    world.says("p2", "All is well now", parent_id="p1", root_id="p1", posted_at=NOON)
    tag(world.ctx, said("positive", "praise", "Product"))
    assert ids(world, sentiment=("negative",)) == ids(world, topics=("Delivery",)) == []
    assert ids(world, sentiment=("positive",)) == ids(world, topics=("Product",)) == [1]


def test_a_day_is_the_workspaces_and_speaks_of_every_mention(any_world: World) -> None:
    world = any_world
    world.sets(time_zone="Pacific/Auckland")  # 13 hours ahead of UTC in November
    world.says("p1", "Late in the evening there", posted_at=datetime(2026, 11, 19, 10, 59, tzinfo=UTC))
    tag(world.ctx, said("negative", "complaint", "Delivery"))
    world.says("p2", "Past midnight", posted_at=datetime(2026, 11, 19, 11, 0, tzinfo=UTC), parent_id="p1", root_id="p1")
    tag(world.ctx, said("positive", "praise", "Product"))
    of_19, of_20, of_21 = ((date(2026, 11, day),) * 2 for day in (19, 20, 21))
    assert ids(world, day=of_19) == ids(world, day=of_20) == ids(world, day=(of_20[0], of_19[0])) == [1]
    assert ids(world, day=of_21) == []
    # What a bar of the chart counts: one mention that is negative and of that day.
    assert ids(world, day=of_19, sentiment=("negative",), topics=("Delivery",)) == [1]
    assert ids(world, day=of_20, sentiment=("negative",)) == []
    assert ids(world, day=of_19, topics=("Product",)) == []


def test_a_day_outside_every_calendar_is_an_error_in_words(world: World) -> None:
    with pytest.raises(DialogueError, match="calendar"):
        cards(world, day=(date.max, date.max))


def test_views_and_their_counts_agree(three: World) -> None:
    bo = three.bo
    inbox.close(three.ctx, bo, [1])
    inbox.set_state(three.ctx, bo, [2], "waiting")
    inbox.assign(three.ctx, bo, [2, 1], bo.user_id)
    shown = {view: len(ids(three, view=view)) for view in inbox.VIEWS}
    expected = {"needs_answer": 1, "mine": 1, "waiting": 1, "closed": 1, "all": 3, "set_aside": 0}
    assert shown == inbox.counts(three.ctx, bo) == expected


def test_counting_stops_at_a_bound(three: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "COUNTED", 2)
    assert inbox.counts(three.ctx, three.bo)["all"] == 2


def test_facets_offer_what_there_is(three: World) -> None:
    with three.ctx.database.transaction() as tx:
        tx.session.add(Topic(name="Product", position=1))
        tx.session.add(Topic(name="Delivery", position=0))
    facets = inbox.facets(three.ctx)
    assert facets.sources == [(2, "Other"), (1, "Wall")]
    assert facets.topics == ["Delivery", "Product"]
    assert facets.colleagues == [(three.bo.user_id, "Bo")]


def test_an_unknown_view_is_an_error_in_words(world: World) -> None:
    with pytest.raises(DialogueError, match="no view called 'promises'"):
        cards(world, view="promises")


# Cards ----------------------------------------------------------------------------------------------------------------


def test_a_card_says_who_where_and_when(three: World) -> None:
    card = cards(three, sentiment=("negative",))[0]
    assert (card.author_name, card.handle, card.platform_title) == ("Björk", "@jane", "The Wall")
    assert (card.text, card.posted_at, card.mention_count) == ("Where is it?", NOON - timedelta(hours=3), 1)
    assert (card.sentiment, card.intent, card.topics, card.language) == ("negative", "complaint", ("Delivery",), "en")
    assert card.due_at == NOON - timedelta(hours=3) + timedelta(minutes=240)


def test_hostile_text_is_cut_and_kept_plain(world: World) -> None:
    world.says("p1", "<script>alert(1)</script> [x](javascript:y) " + "é🚲" * 50_000)
    card = cards(world)[0]
    assert len(card.text) == 400 and card.text.endswith("…")
    assert card.text.startswith("<script>alert(1)</script> [x](javascript:y)")


def test_a_card_names_the_community_of_the_address(world: World) -> None:
    world.says("p1", url="https://www.reddit.com/r/bicycling/comments/1/x")
    world.says("p2", url="https://example.org/blog/r")
    assert sorted(card.place for card in cards(world)) == ["", "r/bicycling"]


def test_a_mention_that_nobody_signed_has_a_card(world: World) -> None:
    world.says("p1", author_id=None, author_handle="", author_name=None)
    card = cards(world)[0]
    assert (card.author_name, card.handle, card.person_id, card.memory) == ("Somebody", "", None, None)
    assert conversations.open_(world.ctx, world.bo, card.conversation_id).person.person_id is None


def test_a_card_remembers(any_world: World) -> None:
    world = any_world
    for number in range(3):
        world.says(f"p{number}", posted_at=NOON - timedelta(days=5 - number))
        tag(world.ctx, said("negative", "complaint" if number < 2 else "question"))
    world.says("li", author_id="li", author_handle="@li")
    by_id = {card.conversation_id: card.memory for card in cards(world)}
    assert by_id == {1: None, 2: "2nd time · 1 complaint before", 3: "3rd time · 2 complaints before", 4: None}

    item = feedback.add(world.ctx, as_role(world.bo, Role.PRODUCT), "GPX export", "idea", mention_id=1)
    person = cards(world)[-1].person_id
    assert person is not None
    people.set_memo(world.ctx, world.bo, person, "Runs a\n bike shop")
    feedback.move(world.ctx, as_role(world.bo, Role.PRODUCT), item, "planned")
    assert {card.conversation_id: card.memory for card in cards(world)}[3] == (
        "3rd time · 2 complaints before · asked for GPX export (planned) · Runs a bike shop"
    )


def test_uncertain_until_somebody_says(world: World) -> None:
    world.says("p1")
    tag(world.ctx, said("negative"))  # 0.2 of 1
    assert cards(world)[0].uncertain
    inbox.correct(world.ctx, world.bo, 1, "sentiment", "negative")
    assert not cards(world)[0].uncertain


def test_tags_in_a_language_that_the_model_does_not_know_are_uncertain(world: World) -> None:
    world.says("p1")
    sure = replace(said("negative"), negative=0.9)
    tag(world.ctx, replace(sure, language="fi"))
    assert cards(world)[0].uncertain
    inbox.correct(world.ctx, world.bo, 1, "language", "en")
    assert not cards(world)[0].uncertain


def test_unread_until_seen_and_again_when_somebody_speaks(any_world: World) -> None:
    world = any_world
    world.says("p1")
    (card,) = cards(world)
    assert card.unread
    inbox.mark_seen(world.ctx, world.bo, 1, card.version)
    assert not cards(world)[0].unread
    assert inbox.page(world.ctx, world.colleague("cy", Role.VIEWER), Filters()).cards[0].unread

    world.says("p2", parent_id="p1", root_id="p1")
    assert cards(world)[0].unread
    inbox.mark_seen(world.ctx, world.bo, 1, 2)
    inbox.mark_seen(world.ctx, world.bo, 1, 1)  # an older window says so later
    assert not cards(world)[0].unread
    inbox.mark_unread(world.ctx, world.bo, 1)
    assert cards(world)[0].unread


def test_seeing_it_again_writes_nothing(world: World) -> None:
    world.says("p1")
    inbox.mark_seen(world.ctx, world.bo, 1, 1)
    version = look(world.ctx, "SELECT data_version FROM workspace")
    inbox.mark_seen(world.ctx, world.bo, 1, 1)
    assert look(world.ctx, "SELECT data_version FROM workspace") == version


# Many at once ---------------------------------------------------------------------------------------------------------


def test_closing_many_can_be_undone(any_world: World) -> None:
    world = any_world
    for number in range(5):
        world.says(f"p{number}")
    inbox.set_state(world.ctx, world.bo, [2], "waiting")
    undo_id = inbox.close(world.ctx, world.bo, [1, 2, 3, 3, 4711])
    assert sorted(ids(world)) == [4, 5]
    assert inbox.undo(world.ctx, world.bo, undo_id) == 3
    assert (sorted(ids(world)), ids(world, view="waiting")) == ([1, 3, 4, 5], [2])
    with pytest.raises(Missing, match="nothing to undo"):
        inbox.undo(world.ctx, world.bo, undo_id)


def test_undo_leaves_alone_what_has_changed_since(any_world: World) -> None:
    world = any_world
    for number in range(1, 4):
        world.says(f"p{number}")
    undo_id = inbox.close(world.ctx, world.bo, [1, 2, 3])
    world.says("answer", parent_id="p1", root_id="p1")
    world.clock.forward(seconds=1)
    inbox.reopen(world.ctx, world.bo, [2])
    inbox.close(world.ctx, world.bo, [2])  # closed again, later, by somebody who meant it
    assert inbox.undo(world.ctx, world.bo, undo_id) == 1
    assert sorted(ids(world)) == [1, 3]
    assert ids(world, view="closed") == [2]


def test_assigning_can_be_undone_to_whom_it_was(world: World) -> None:
    world.says("p1")
    world.says("p2")
    cy = world.colleague("cy", Role.RESPONDER)
    inbox.assign(world.ctx, world.bo, [1], cy.user_id)
    undo_id = inbox.assign(world.ctx, world.bo, [1, 2], world.bo.user_id)
    assert sorted(ids(world, view="mine")) == [1, 2]
    inbox.undo(world.ctx, world.bo, undo_id)
    assert {card.conversation_id: card.assignee_name for card in cards(world)} == {1: "Cy", 2: None}


def test_an_undo_is_its_owners_and_for_an_hour(world: World) -> None:
    world.says("p1")
    undo_id = inbox.close(world.ctx, world.bo, [1])
    with pytest.raises(Missing):
        inbox.undo(world.ctx, world.colleague("cy", Role.ADMIN), undo_id)
    world.clock.forward(minutes=61)
    with pytest.raises(Missing):
        inbox.undo(world.ctx, world.bo, undo_id)


def test_what_cannot_be_done_to_many(world: World) -> None:
    world.says("p1")
    for wrong in ([], list(range(inbox.BULK + 1))):
        with pytest.raises(DialogueError, match="Choose from 1 to 1,000"):
            inbox.close(world.ctx, world.bo, wrong)
    with pytest.raises(Missing, match="not here any more"):
        inbox.close(world.ctx, world.bo, [4711])
    with pytest.raises(Missing, match="colleague"):
        inbox.assign(world.ctx, world.bo, [1], 4711)
    with pytest.raises(DialogueError, match="not 'gone'"):
        inbox.set_state(world.ctx, world.bo, [1], "gone")


@pytest.mark.parametrize("role", [Role.VIEWER, Role.PRODUCT])
def test_only_a_responder_closes_and_assigns(world: World, role: Role) -> None:
    world.says("p1")
    weak = as_role(world.bo, role)
    for act in (inbox.close, inbox.reopen):
        with pytest.raises(NotAllowed):
            act(world.ctx, weak, [1])
    with pytest.raises(NotAllowed):
        inbox.assign(world.ctx, weak, [1], None)
    with pytest.raises(NotAllowed):
        inbox.undo(world.ctx, weak, "x")
    assert ids(world) == [1]


def test_every_bulk_action_is_audited_and_seen_by_caches(world: World) -> None:
    world.says("p1")
    before = look(world.ctx, "SELECT data_version FROM workspace")
    undo_id = inbox.close(world.ctx, world.bo, [1])
    inbox.undo(world.ctx, world.bo, undo_id)
    trail = look(world.ctx, "SELECT action, subject, user_id FROM audit ORDER BY id")
    assert trail == [("closed", "conversation", world.bo.user_id), ("undid", "closed", world.bo.user_id)]
    assert look(world.ctx, "SELECT data_version FROM workspace") > before


# Corrections ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def tagged(any_world: World) -> World:
    with any_world.ctx.database.transaction() as tx:
        tx.session.add(Topic(name="Delivery"))
        tx.session.add(Topic(name="Product"))
    any_world.says("p1")
    tag(any_world.ctx, said("negative", "complaint", "Delivery"))
    return any_world


def mood(world: World) -> list[tuple[Any, ...]]:
    return look(world.ctx, "SELECT sentiment, count FROM rollups WHERE dimension = 'all' AND count > 0")


def test_a_correction_shows_and_counts_at_once_and_can_be_withdrawn(tagged: World) -> None:
    assert mood(tagged) == [("negative", 1)]
    inbox.correct(tagged.ctx, tagged.bo, 1, "sentiment", "positive")
    card = cards(tagged, sentiment=("positive",))[0]
    assert (card.sentiment, card.corrected) == ("positive", ("sentiment",))
    assert mood(tagged) == [("positive", 1)]

    inbox.withdraw(tagged.ctx, tagged.bo, 1, "sentiment")
    assert cards(tagged)[0].sentiment == "negative"
    assert cards(tagged)[0].corrected == ()
    assert mood(tagged) == [("negative", 1)]
    with pytest.raises(Missing):
        inbox.withdraw(tagged.ctx, tagged.bo, 1, "sentiment")


def test_a_correction_outlives_the_next_model(tagged: World) -> None:
    inbox.correct(tagged.ctx, tagged.bo, 1, "topics", ["Product"])
    inbox.correct(tagged.ctx, tagged.bo, 1, "intent", "question")
    with tagged.ctx.database.transaction() as tx:
        tx.connection.exec_driver_sql("UPDATE mentions SET tagged_at = NULL")
    tag(tagged.ctx, said("neutral", "praise", "Delivery", model="m2"))
    card = cards(tagged)[0]
    assert (card.topics, card.intent, card.sentiment) == (("Product",), "question", "neutral")


def test_each_correction_keeps_what_the_model_said_and_ends_the_one_before(tagged: World) -> None:
    for value in ("positive", "neutral"):
        inbox.correct(tagged.ctx, tagged.bo, 1, "sentiment", value)
    inbox.correct(tagged.ctx, tagged.bo, 1, "topics", [])
    kept = look(tagged.ctx, "SELECT field, value, model_said, model, withdrawn_at IS NULL FROM corrections ORDER BY id")
    plain = [
        (field, _list(value), _list(model_said), model, bool(holds)) for field, value, model_said, model, holds in kept
    ]
    assert plain == [
        ("sentiment", ["positive"], ["negative"], "m1", False),
        ("sentiment", ["neutral"], ["negative"], "m1", True),
        ("topics", [], ["Delivery"], "m1", True),
    ]
    assert cards(tagged)[0].topics == ()


def _list(value: Any) -> Any:
    import json

    return json.loads(value) if isinstance(value, str) else value


def test_a_correction_before_the_model_spoke_counts_when_it_does(world: World) -> None:
    world.says("p1")
    inbox.correct(world.ctx, world.bo, 1, "sentiment", "positive")
    tag(world.ctx, said("negative"))
    assert cards(world)[0].sentiment == "positive"


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("sentiment", "angry", "'angry' is no sentiment"),
        ("sentiment", ["negative", "positive"], "one sentiment"),
        ("intent", "", "is no intent"),
        ("language", "English", "is no language"),
        ("topics", ["Weather"], "no topic called 'Weather'"),
        ("embedding", "x", "can be corrected"),
    ],
)
def test_what_is_no_correction(tagged: World, field: str, value: Any, words: str) -> None:
    with pytest.raises(DialogueError, match=words):
        inbox.correct(tagged.ctx, tagged.bo, 1, field, value)
    assert look(tagged.ctx, "SELECT count(*) FROM corrections") == [(0,)]


def test_a_viewer_corrects_nothing(tagged: World) -> None:
    with pytest.raises(NotAllowed):
        inbox.correct(tagged.ctx, as_role(tagged.bo, Role.VIEWER), 1, "sentiment", "positive")
    with pytest.raises(Missing):
        inbox.correct(tagged.ctx, tagged.bo, 4711, "sentiment", "positive")


# Conversations --------------------------------------------------------------------------------------------------------


def test_a_thread_is_shown_in_order_and_as_deep_as_it_is(any_world: World) -> None:
    world = any_world
    for number in range(9):
        parent = {"parent_id": f"p{number - 1}", "root_id": "p0"} if number else {}
        world.says(f"p{number}", f"Post {number}", posted_at=NOON - timedelta(minutes=30 - number), **parent)
    items = world.opens(1).items
    assert [item.text for item in items] == [f"Post {number}" for number in range(9)]
    assert [item.depth for item in items] == [0, 1, 2, 3, 4, 5, 6, 6, 6]


def test_colleagues_see_who_else_has_it_open(any_world: World) -> None:
    world = any_world
    world.says("p1")
    cy = world.colleague("cy", Role.VIEWER)
    assert conversations.touch(world.ctx, world.bo, 1) == ()
    assert conversations.touch(world.ctx, cy, 1) == ("Bo",)
    assert world.opens(1).present == ("Cy",)
    world.clock.forward(minutes=1)
    assert world.opens(1).present == ()


def test_what_is_not_there_any_more_says_so(world: World) -> None:
    for act in (conversations.open_, conversations.touch):
        with pytest.raises(Missing, match="not here any more"):
            act(world.ctx, world.bo, 4711)
    with pytest.raises(Missing):
        inbox.mark_seen(world.ctx, world.bo, 4711, 1)
