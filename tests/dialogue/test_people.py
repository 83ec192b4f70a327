"""What is remembered of a person, over all their handles."""

from __future__ import annotations

from datetime import timedelta

import pytest

from db import forgetting
from dialogue import feedback, inbox, people
from dialogue.context import DialogueError, Missing, NotAllowed, Role
from tests.conftest import NOON, as_role
from tests.dialogue.conversing import World
from tests.worlds import digest, look, said, tag


def person_of(world: World, handle: str) -> int:
    return int(look(world.ctx, f"SELECT person_id FROM identities WHERE handle = '{handle}'")[0][0])


def test_a_person_is_what_they_told_us_and_what_we_answered(any_world: World) -> None:
    world = any_world
    world.connects()
    world.says("p1", "It broke.", posted_at=NOON - timedelta(days=60))
    tag(world.ctx, said("negative", "complaint"))
    world.says("p2", "Best bike\n I ever had!", posted_at=NOON - timedelta(days=30))
    tag(world.ctx, said("positive", "praise"))
    world.says("p3", "Could it export GPX?")
    tag(world.ctx, said("neutral", "idea"))
    feedback.add(world.ctx, as_role(world.bo, Role.PRODUCT), "GPX export", "idea", mention_id=3)
    world.sends(3, "We will look into it.")
    world.works_later(seconds=9)

    panel = world.opens(3).person
    assert (panel.name, panel.mention_count, panel.answered_count) == ("Jane Öberg", 3, 1)
    assert panel.handles == (("The Wall", "@jane", None),)
    assert panel.since == NOON - timedelta(days=60)
    assert panel.worth_remembering == (
        "1 complaint since September 2026",
        "Praised us in October 2026: “Best bike I ever had!”",
        "Asked for “GPX export”: new",
        "We answered 1 of 3 conversations",
    )
    assert [(line.text, line.ours, line.conversation_id) for line in panel.history] == [
        ("We will look into it.", True, 3),
        ("Could it export GPX?", False, 3),
        ("Best bike\n I ever had!", False, 2),
        ("It broke.", False, 1),
    ]


def test_a_memo_comes_first_and_is_bounded(world: World) -> None:
    world.says("p1")
    jane = person_of(world, "@jane")
    people.set_memo(world.ctx, world.bo, jane, " Prefers mail.\x00 ")
    assert people.person(world.ctx, world.bo, jane).panel.worth_remembering[0] == "Prefers mail."
    people.set_memo(world.ctx, world.bo, jane, "")
    assert people.person(world.ctx, world.bo, jane).panel.worth_remembering == ()
    with pytest.raises(DialogueError, match="at most 2,000"):
        people.set_memo(world.ctx, world.bo, jane, "x" * 2_001)
    with pytest.raises(NotAllowed):
        people.set_memo(world.ctx, as_role(world.bo, Role.PRODUCT), jane, "x")
    with pytest.raises(Missing):
        people.set_memo(world.ctx, world.bo, 4711, "x")


def test_a_merge_joins_both_histories_and_can_be_undone(any_world: World) -> None:
    world = any_world
    world.says("p1", "On the Wall", posted_at=NOON - timedelta(days=2))
    world.says("f1", "On the forum", platform="forum", author_id="j", author_handle="@jane.o", author_name="J. Ö.")
    jane, other = person_of(world, "@jane"), person_of(world, "@jane.o")
    people.set_memo(world.ctx, world.bo, other, "Met at the fair.")

    merge_id = people.merge(world.ctx, world.bo, jane, other, "She said so.")
    view = people.person(world.ctx, world.bo, jane)
    assert [line.text for line in view.panel.history] == ["On the forum", "On the Wall"]
    assert [handle for _, handle, _ in view.panel.handles] == ["@jane", "@jane.o"] or view.panel.mention_count == 2
    assert "Met at the fair." in view.panel.worth_remembering
    assert [(one.merge_id, one.name) for one in view.merges] == [(merge_id, "J. Ö.")]
    assert {card.person_id for card in inbox.page(world.ctx, world.bo, inbox.Filters()).cards} == {jane}
    memory = {card.conversation_id: card.memory for card in inbox.page(world.ctx, world.bo, inbox.Filters()).cards}
    assert memory[2] == "2nd time"

    people.unmerge(world.ctx, world.bo, merge_id)
    assert people.person(world.ctx, world.bo, jane).panel.mention_count == 1
    assert people.person(world.ctx, world.bo, other).panel.mention_count == 1
    assert {card.person_id for card in inbox.page(world.ctx, world.bo, inbox.Filters()).cards} == {jane, other}
    with pytest.raises(Missing, match="already"):
        people.unmerge(world.ctx, world.bo, merge_id)


def test_nobody_is_merged_with_themselves_or_with_the_sample(world: World) -> None:
    world.says("p1")
    world.says("p2", author_id="li", author_handle="@li")
    jane, li = person_of(world, "@jane"), person_of(world, "@li")
    with pytest.raises(DialogueError, match="same person already"):
        people.merge(world.ctx, world.bo, jane, jane)
    with world.ctx.database.transaction() as tx:
        tx.connection.exec_driver_sql(f"UPDATE people SET sample = true WHERE id = {li}")
    with pytest.raises(DialogueError, match="sample"):
        people.merge(world.ctx, world.bo, jane, li)
    with pytest.raises(NotAllowed):
        people.merge(world.ctx, as_role(world.bo, Role.PRODUCT), jane, li)


def test_the_same_handle_elsewhere_is_suggested_but_never_on_one_platform(world: World) -> None:
    world.says("p1")
    world.says("p2", author_id="jane2", author_handle="@JANE")
    world.says("b1", platform="bluesky", author_id="did:jane", author_handle="@jane")
    world.says("x1", platform="x", author_id="77", author_handle="@jane")
    jane = int(look(world.ctx, "SELECT person_id FROM identities WHERE external_id = 'jane'")[0][0])
    elsewhere = int(look(world.ctx, "SELECT person_id FROM identities WHERE external_id = 'did:jane'")[0][0])
    on_x = int(look(world.ctx, "SELECT person_id FROM identities WHERE external_id = '77'")[0][0])

    suggested = people.person(world.ctx, world.bo, jane).suggestions
    assert [(one.person_id, one.platform_title) for one in suggested] == [(elsewhere, "Bluesky")]
    assert "The same handle" in suggested[0].evidence
    # X forbids it: neither may X's people be matched with others, nor others with X's.
    assert people.person(world.ctx, world.bo, on_x).suggestions == ()


def test_a_platform_that_guards_its_people_demands_to_know_how_one_knows(world: World) -> None:
    world.says("p1")
    world.says("x1", platform="x", author_id="77", author_handle="@jane_o")
    jane, on_x = person_of(world, "@jane"), person_of(world, "@jane_o")
    with pytest.raises(DialogueError, match="Write how you know"):
        people.merge(world.ctx, world.bo, jane, on_x, " ")
    merge_id = people.merge(world.ctx, world.bo, jane, on_x, "She gave us her handle in a mail.")
    assert look(world.ctx, "SELECT id, evidence FROM merges") == [(merge_id, "She gave us her handle in a mail.")]


def test_a_person_who_is_gone_says_so(world: World) -> None:
    with pytest.raises(Missing):
        people.person(world.ctx, world.bo, 4711)


def test_who_was_merged_goes_with_the_last_of_their_words(any_world: World) -> None:
    world = any_world
    world.says("p1", "On the Wall")
    world.says("f1", "On the forum", platform="forum", author_id="j", author_handle="@jane.o", author_name="J. Ö.")
    world.says("b1", "On the board", platform="board", author_id="o", author_handle="@oe", author_name="Oe")
    jane, other, third = (person_of(world, handle) for handle in ("@jane", "@jane.o", "@oe"))
    people.set_memo(world.ctx, world.bo, other, "Met at the fair.")
    people.merge(world.ctx, world.bo, other, third, "The same voice.")
    people.merge(world.ctx, world.bo, jane, other, "She said so.")

    forgets(world, "b1")
    assert names(world) == ["J. Ö.", "Jane Öberg"]
    forgets(world, "f1")
    assert names(world) == ["Jane Öberg"]
    assert people.person(world.ctx, world.bo, jane).merges == ()
    assert people.person(world.ctx, world.bo, jane).panel.worth_remembering == ()
    forgets(world, "p1")
    assert names(world) == []
    assert look(world.ctx, "SELECT evidence FROM merges") == []


def test_forgetting_who_others_were_merged_into_leaves_the_others(any_world: World) -> None:
    world = any_world
    world.says("p1", "On the Wall")
    world.says("f1", "On the forum", platform="forum", author_id="j", author_handle="@jane.o", author_name="J. Ö.")
    jane, other = person_of(world, "@jane"), person_of(world, "@jane.o")
    merge_id = people.merge(world.ctx, world.bo, jane, other, "She said so.")
    forgets(world, "p1")
    assert person_of(world, "@jane.o") == jane
    people.unmerge(world.ctx, world.bo, merge_id)
    assert person_of(world, "@jane.o") == other
    assert names(world) == ["J. Ö."]


def test_a_new_name_is_shown_beside_the_conversation_too(any_world: World) -> None:
    any_world.says("p1")
    any_world.says("p2", author_name="Jane Smith")
    view = any_world.opens(2)
    assert (view.items[0].author_name, view.person.name) == ("Jane Smith", "Jane Smith")


def forgets(world: World, external_id: str) -> None:
    found = look(world.ctx, f"SELECT id FROM mentions WHERE external_id = '{external_id}'")
    with world.ctx.database.transaction() as tx:
        forgetting.forget(tx, [row[0] for row in found], now=NOON, reason="deleted at source", digest=digest)


def names(world: World) -> list[str]:
    return sorted(row[0] for row in look(world.ctx, "SELECT display_name FROM people"))
