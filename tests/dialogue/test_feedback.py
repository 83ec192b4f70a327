"""The feedback board: items, the words that back them, and what became of them."""

from __future__ import annotations

import pytest

from dialogue import feedback
from dialogue.context import Actor, DialogueError, Missing, NotAllowed, Role
from pages.parts.text import shorten, tidy
from tests.conftest import as_role
from tests.dialogue.conversing import World
from tests.worlds import look


@pytest.fixture
def pat(any_world: World) -> Actor:
    return any_world.colleague("pat", Role.PRODUCT)


def test_an_idea_from_a_conversation_stands_on_the_board_with_its_quote(any_world: World, pat: Actor) -> None:
    world = any_world
    world.says("p1", "Nice app. It would be great if it exported GPX, too.")
    item_id = feedback.add(world.ctx, pat, "GPX  export\n", "idea", 1, "great if it exported GPX")
    board = feedback.board(world.ctx, pat)
    assert list(board) == ["new", "reviewing", "planned", "shipped", "declined"]
    (card,) = board["new"]
    assert (card.id, card.title, card.kind, card.askers, card.sample) == (item_id, "GPX export", "idea", 1, False)
    (quote,) = card.quotes
    assert (quote.text, quote.author_name, quote.platform_title) == (
        "great if it exported GPX",
        "Jane Öberg",
        "The Wall",
    )
    assert (quote.conversation_id, quote.url) == (1, "https://wall.example/p1")
    assert world.opens(1).feedback == ((item_id, "GPX export", "new"),)


def test_askers_are_people_not_posts(any_world: World, pat: Actor) -> None:
    world = any_world
    item_id = feedback.add(world.ctx, pat, "GPX export", "need")
    for number, author in enumerate(["jane", "jane", "li", None, None], start=1):
        world.says(f"p{number}", "GPX please", author_id=author, author_handle=f"@{author}" if author else "")
        feedback.attach(world.ctx, pat, item_id, number)
    card = feedback.item(world.ctx, pat, item_id)
    assert (card.askers, len(card.quotes)) == (4, 5)
    feedback.attach(world.ctx, pat, item_id, 3, "GPX")
    assert [quote.text for quote in feedback.item(world.ctx, pat, item_id).quotes].count("GPX") == 1
    feedback.detach(world.ctx, pat, item_id, 3)
    assert feedback.item(world.ctx, pat, item_id).askers == 3
    with pytest.raises(Missing):
        feedback.detach(world.ctx, pat, item_id, 3)


def test_nobody_is_quoted_with_what_they_did_not_say(any_world: World, pat: Actor) -> None:
    any_world.says("p1", "It would be\n great if it exported GPX.", title="An idea")
    with pytest.raises(DialogueError, match="word for word"):
        feedback.add(any_world.ctx, pat, "GPX export", "idea", 1, "I demand GPX")
    assert feedback.board(any_world.ctx, pat)["new"] == ()
    item_id = feedback.add(any_world.ctx, pat, "GPX export", "idea", 1, "be great")
    feedback.attach(any_world.ctx, pat, item_id, 1, None)
    assert feedback.item(any_world.ctx, pat, item_id).quotes[0].text == "It would be\n great if it exported GPX."


def test_long_words_that_were_cut_with_an_ellipsis_are_still_theirs(any_world: World, pat: Actor) -> None:
    any_world.says("p1", "It would be great if it exported GPX. " * 40)
    (item,) = any_world.opens(1).items
    quote = shorten(tidy(item.text), feedback.MAX_QUOTE)
    item_id = feedback.add(any_world.ctx, pat, "GPX export", "idea", 1, quote)
    (kept,) = feedback.item(any_world.ctx, pat, item_id).quotes
    assert kept.text == quote
    assert kept.text.endswith("…")
    with pytest.raises(DialogueError, match="word for word"):
        feedback.attach(any_world.ctx, pat, item_id, 1, "…")


def test_real_words_and_the_sample_do_not_mix(any_world: World, pat: Actor) -> None:
    world = any_world
    world.says("p1", "GPX please")
    item_id = feedback.add(world.ctx, pat, "GPX export", "idea")
    with world.ctx.database.transaction() as tx:
        tx.connection.exec_driver_sql("UPDATE feedback_items SET sample = true")
    with pytest.raises(DialogueError, match="removed with the sample"):
        feedback.attach(world.ctx, pat, item_id, 1)


def test_an_item_moves_with_its_reason(any_world: World, pat: Actor) -> None:
    item_id = feedback.add(any_world.ctx, pat, "GPX export", "idea")
    feedback.move(any_world.ctx, pat, item_id, "planned", "In the spring release.")
    (card,) = feedback.board(any_world.ctx, pat)["planned"]
    assert card.reason == "In the spring release."
    with pytest.raises(DialogueError, match="Say why"):
        feedback.move(any_world.ctx, pat, item_id, "declined", "  ")
    with pytest.raises(DialogueError, match="not 'someday'"):
        feedback.move(any_world.ctx, pat, item_id, "someday")
    feedback.move(any_world.ctx, pat, item_id, "declined", "Nobody would pay for it.")
    assert len(feedback.board(any_world.ctx, pat)["declined"]) == 1


def test_what_changed_last_stands_first(any_world: World, pat: Actor) -> None:
    ids = []
    for title in ("One", "Two", "Three"):
        any_world.clock.forward(minutes=1)
        ids.append(feedback.add(any_world.ctx, pat, title, "idea"))
    any_world.clock.forward(minutes=1)
    feedback.edit(any_world.ctx, pat, ids[0], "Uno", "In Spanish", "need")
    cards = feedback.board(any_world.ctx, pat)["new"]
    assert [card.title for card in cards] == ["Uno", "Three", "Two"]
    assert (cards[0].description, cards[0].kind) == ("In Spanish", "need")


def test_a_deleted_item_can_be_put_back_where_it_stood(any_world: World, pat: Actor) -> None:
    world = any_world
    world.says("p1", "GPX please")
    item_id = feedback.add(world.ctx, pat, "GPX export", "idea", 1)
    feedback.move(world.ctx, pat, item_id, "planned")
    undo_id = feedback.delete(world.ctx, pat, item_id)
    assert not any(feedback.board(world.ctx, pat).values())
    assert world.opens(1).feedback == ()
    for act in (
        lambda: feedback.item(world.ctx, pat, item_id),
        lambda: feedback.move(world.ctx, pat, item_id, "new"),
        lambda: feedback.attach(world.ctx, pat, item_id, 1),
        lambda: feedback.delete(world.ctx, pat, item_id),
    ):
        with pytest.raises(Missing):
            act()

    assert feedback.undo_delete(world.ctx, pat, undo_id) == item_id
    (card,) = feedback.board(world.ctx, pat)["planned"]
    assert [quote.text for quote in card.quotes] == ["GPX please"]
    with pytest.raises(Missing, match="nothing to undo"):
        feedback.undo_delete(world.ctx, pat, undo_id)


def test_words_deleted_at_their_source_do_not_come_back_with_an_undo(any_world: World, pat: Actor) -> None:
    world = any_world
    world.says("p1", "GPX please")
    item_id = feedback.add(world.ctx, pat, "GPX export", "idea", 1)
    undo_id = feedback.delete(world.ctx, pat, item_id)
    with world.ctx.database.transaction() as tx:
        tx.connection.exec_driver_sql("DELETE FROM mentions")
    feedback.undo_delete(world.ctx, pat, undo_id)
    assert feedback.item(world.ctx, pat, item_id).quotes == ()


def test_what_was_deleted_goes_for_good_in_the_end(any_world: World, pat: Actor) -> None:
    first = feedback.add(any_world.ctx, pat, "One", "idea")
    feedback.delete(any_world.ctx, pat, first)
    any_world.clock.forward(days=2)
    feedback.delete(any_world.ctx, pat, feedback.add(any_world.ctx, pat, "Two", "idea"))
    assert look(any_world.ctx, "SELECT title FROM feedback_items") == [("Two",)]


@pytest.mark.parametrize(
    ("title", "kind", "words"),
    [("", "idea", "1 to 200"), ("\x00 ", "idea", "1 to 200"), ("x" * 201, "idea", "1 to 200"), ("x", "wish", "'wish'")],
)
def test_what_is_no_item(any_world: World, pat: Actor, title: str, kind: str, words: str) -> None:
    with pytest.raises(DialogueError, match=words):
        feedback.add(any_world.ctx, pat, title, kind)
    assert look(any_world.ctx, "SELECT count(*) FROM feedback_items") == [(0,)]


def test_a_viewer_looks_and_changes_nothing(any_world: World, pat: Actor) -> None:
    item_id = feedback.add(any_world.ctx, pat, "GPX export", "idea")
    viewer = as_role(pat, Role.VIEWER)
    assert len(feedback.board(any_world.ctx, viewer)["new"]) == 1
    for act in (
        lambda: feedback.add(any_world.ctx, viewer, "x", "idea"),
        lambda: feedback.move(any_world.ctx, viewer, item_id, "new"),
        lambda: feedback.edit(any_world.ctx, viewer, item_id, "x", "", "idea"),
        lambda: feedback.delete(any_world.ctx, viewer, item_id),
        lambda: feedback.attach(any_world.ctx, viewer, item_id, 1),
        lambda: feedback.detach(any_world.ctx, viewer, item_id, 1),
    ):
        with pytest.raises(NotAllowed):
            act()


def test_the_sample_backs_only_the_sample(any_world: World, pat: Actor) -> None:
    any_world.says("p1", "GPX please")
    with any_world.ctx.database.transaction() as tx:
        tx.connection.exec_driver_sql("UPDATE mentions SET sample = true")
    real = feedback.add(any_world.ctx, pat, "Real", "idea")
    with pytest.raises(DialogueError, match="Sample"):
        feedback.attach(any_world.ctx, pat, real, 1)
    assert feedback.item(any_world.ctx, pat, feedback.add(any_world.ctx, pat, "Sample", "idea", 1)).sample


def test_every_change_is_audited(any_world: World, pat: Actor) -> None:
    any_world.says("p1", "GPX please")
    item_id = feedback.add(any_world.ctx, pat, "GPX export", "idea", 1)
    feedback.move(any_world.ctx, pat, item_id, "planned", "Soon")
    feedback.edit(any_world.ctx, pat, item_id, "GPX", "", "idea")
    feedback.detach(any_world.ctx, pat, item_id, 1)
    feedback.undo_delete(any_world.ctx, pat, feedback.delete(any_world.ctx, pat, item_id))
    trail = look(any_world.ctx, "SELECT action FROM audit WHERE subject = 'feedback item' ORDER BY id")
    assert [row[0] for row in trail] == ["added", "moved", "edited", "detached", "deleted", "restored"]
