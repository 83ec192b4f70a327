"""Notes: what a customer told a colleague is a mention like any other, with who wrote it down."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from db import workspace
from db.tables import Mention, MentionEdit, Undo
from dialogue import audit, conversations, housekeeping, inbox, notes, people, replies, sources
from dialogue.context import Actor, Context, DialogueError, Missing, NotAllowed, Role
from dialogue.notes import Who
from tests.conftest import Clock, RecordedTriggers, as_role
from tests.pages import world

JANE = Who("Jane Doe", "Acme", "jane@example.com")


def noted(
    ctx: Context,
    actor: Actor,
    *texts: str,
    who: Who = JANE,
    heard: str = "phone",
    at: datetime | None = None,
    key: str | None = None,
) -> notes.Added:
    return notes.add(ctx, actor, texts or ("The hinge squeaks",), who, heard, at, key or notes.new_key())


def cards(ctx: Context, actor: Actor) -> list[inbox.Card]:
    return sorted(inbox.page(ctx, actor, inbox.Filters(view="all"), None, 100).cards, key=lambda card: card.text)


def test_a_note_is_a_mention_with_who_where_and_when(
    any_ctx: Context, colleague: Actor, triggers: RecordedTriggers
) -> None:
    at = any_ctx.clock() - timedelta(hours=3)
    added = noted(any_ctx, colleague, at=at)
    (card,) = cards(any_ctx, colleague)
    assert (card.text, card.author_name, card.handle) == ("The hinge squeaks", "Jane Doe (Acme)", "jane@example.com")
    assert (card.platform_title, card.place, card.posted_at) == ("Note", "on the phone", at)
    assert card.state == "open"
    assert triggers.understood == 1
    with any_ctx.database.reading() as tx:
        (mention,) = tx.session.query(Mention)
        assert (mention.kind, mention.tagged_at) == ("note", None)
    view = conversations.open_(any_ctx, colleague, added.conversation_ids[0])
    assert view.items[0].noted == notes.Noted("phone", "on the phone", "Ada", colleague.user_id)
    (entry,) = audit.entries(any_ctx, colleague)
    assert (entry.who, entry.action, entry.subject) == ("Ada", "noted", f"note {added.mention_ids[0]}")
    (source,) = sources.list_(any_ctx, colleague)
    assert (source.label, source.health, source.total) == ("Front-line notes", "listening", 1)


def test_product_and_up_may_note_and_a_viewer_may_not(any_ctx: Context, colleague: Actor) -> None:
    for role in Role:
        if role >= Role.PRODUCT:
            noted(any_ctx, as_role(colleague, role))
        else:
            with pytest.raises(NotAllowed):
                noted(any_ctx, as_role(colleague, role))
            with pytest.raises(NotAllowed):
                notes.people(any_ctx, as_role(colleague, role), "jane")
    assert len(cards(any_ctx, colleague)) == len(Role) - 1


def test_a_double_click_adds_it_once(any_ctx: Context, colleague: Actor) -> None:
    key = notes.new_key()
    first = noted(any_ctx, colleague, "One", "Two", key=key)
    again = noted(any_ctx, colleague, "One", "Two", key=key)
    assert len(first.mention_ids) == 2
    assert again.mention_ids == ()
    assert [card.text for card in cards(any_ctx, colleague)] == ["One", "Two"]
    assert len(audit.entries(any_ctx, colleague)) == 2


def test_many_are_pasted_and_are_of_one_person_with_a_conversation_each(any_ctx: Context, colleague: Actor) -> None:
    pasted = "The hinge squeaks\nalso when oiled\n\nThe lid sticks\n"
    added = noted(any_ctx, colleague, *notes.split(pasted))
    assert len(set(added.conversation_ids)) == 2
    assert len({card.person_id for card in cards(any_ctx, colleague)}) == 1
    assert len(sources.list_(any_ctx, colleague)) == 1, "one source holds them all"


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ((" ",), "Write down"),
        (("x",) * 201, "201 notes"),
        (("x" * 20_001,), "20,001"),
        (("\x00\ud800",), "Write down"),
    ],
)
def test_what_cannot_be_a_note_is_named(any_ctx: Context, colleague: Actor, texts: tuple[str, ...], words: str) -> None:
    with pytest.raises(DialogueError, match=words):
        noted(any_ctx, colleague, *texts)
    assert cards(any_ctx, colleague) == []


def test_when_and_where_are_checked(any_ctx: Context, colleague: Actor) -> None:
    now = any_ctx.clock()
    for at, words in ((now + timedelta(hours=1), "future"), (now - timedelta(days=4_000), "ten years")):
        with pytest.raises(DialogueError, match=words):
            noted(any_ctx, colleague, at=at)
    with pytest.raises(DialogueError, match="heard by one of"):
        noted(any_ctx, colleague, heard="dream")
    with pytest.raises(DialogueError, match="open for too long"):
        noted(any_ctx, colleague, key="../x")


def test_nobody_need_be_named(any_ctx: Context, colleague: Actor) -> None:
    noted(any_ctx, colleague, who=Who())
    assert cards(any_ctx, colleague)[0].author_name == "Somebody"


def test_a_name_alone_does_not_make_two_people_one(any_ctx: Context, colleague: Actor) -> None:
    noted(any_ctx, colleague, "One", who=Who("Jane Doe"))
    noted(any_ctx, colleague, "Two", who=Who("Jane Doe"))
    assert len({card.person_id for card in cards(any_ctx, colleague)}) == 2


def test_somebody_we_know_is_chosen_and_keeps_one_history(any_ctx: Context, colleague: Actor) -> None:
    noted(any_ctx, colleague, "One")
    (jane,) = notes.people(any_ctx, colleague, "acme")
    assert (jane.name, jane.handles, jane.guarded) == ("Jane Doe (Acme)", "jane@example.com on Note", "")
    noted(any_ctx, colleague, "Two", who=Who(person_id=jane.person_id))
    assert {card.person_id for card in cards(any_ctx, colleague)} == {jane.person_id}
    panel = people.person(any_ctx, colleague, jane.person_id).panel
    assert (panel.mention_count, len(panel.handles)) == (2, 1)


def test_somebody_of_another_platform_gets_a_handle_here(any_ctx: Context, colleague: Actor) -> None:
    world.says(any_ctx, world.post(7, posted_at=any_ctx.clock()))
    (them,) = notes.people(any_ctx, colleague, "person 7")
    for text in ("One", "Two"):
        noted(any_ctx, colleague, text, who=Who(contact="+49 30 1234", person_id=them.person_id))
    panel = people.person(any_ctx, colleague, them.person_id).panel
    assert panel.mention_count == 3
    assert [(title, handle) for title, handle, _ in panel.handles][1:] == [("Note", "+49 30 1234")]
    assert panel.name == "Person 7"


def test_a_platform_that_guards_its_people_asks_how_one_knows(any_ctx: Context, colleague: Actor) -> None:
    world.says(any_ctx, world.post(8, platform="x", posted_at=any_ctx.clock()))
    (them,) = notes.people(any_ctx, colleague, "person8")
    assert them.guarded == "X"
    with pytest.raises(DialogueError, match="how you know"):
        noted(any_ctx, colleague, who=Who(person_id=them.person_id))
    noted(any_ctx, colleague, who=Who(person_id=them.person_id, evidence="She told us her handle."))
    assert "She told us her handle" in audit.entries(any_ctx, colleague)[0].detail_words


def test_people_are_found_by_letters_and_not_by_wildcards(any_ctx: Context, colleague: Actor) -> None:
    world.says(any_ctx, world.post(1, posted_at=any_ctx.clock()), world.post(2, posted_at=any_ctx.clock()))
    world.says(any_ctx, world.post(3, author_name="Sample Sam", posted_at=any_ctx.clock()), sample=True)
    assert len(notes.people(any_ctx, colleague, "PERSON")) == 2
    for words in ("p", "", "%%", "__", "\\\\", "sample sam", "nobody at all"):
        assert notes.people(any_ctx, colleague, words) == []
    with pytest.raises(Missing):
        noted(any_ctx, colleague, who=Who(person_id=10**12))


def test_its_writer_changes_it_and_nobody_else(any_ctx: Context, colleague: Actor, clock: Clock) -> None:
    added = noted(any_ctx, colleague)
    (one,) = added.mention_ids
    bo = second(any_ctx, Role.ADMIN)
    with pytest.raises(NotAllowed, match="Ada"):
        notes.edit(any_ctx, bo, one, "Something else", "visit")
    clock.forward(minutes=5)
    notes.edit(any_ctx, colleague, one, "The hinge squeaks at night", "visit")
    (card,) = cards(any_ctx, colleague)
    assert (card.text, card.place) == ("The hinge squeaks at night", "at a visit")
    with any_ctx.database.reading() as tx:
        (before,) = tx.session.query(MentionEdit)
        assert before.text == "The hinge squeaks"
        (mention,) = tx.session.query(Mention)
        assert (mention.id, mention.tagged_at) == (one, None), "it is read anew"


def second(ctx: Context, role: Role) -> Actor:
    world.signed_in(ctx, role, "bo")
    return Actor(2, "Bo", role)


def test_deleting_can_be_taken_back_for_an_hour(any_ctx: Context, colleague: Actor, clock: Clock) -> None:
    (one,) = noted(any_ctx, colleague).mention_ids
    bo = second(any_ctx, Role.RESPONDER)
    with pytest.raises(NotAllowed):
        notes.delete(any_ctx, bo, one)
    undo_id = notes.delete(any_ctx, colleague, one)
    assert cards(any_ctx, colleague) == []
    with pytest.raises(Missing):
        notes.undo_delete(any_ctx, bo, undo_id)
    clock.forward(minutes=59)
    notes.undo_delete(any_ctx, colleague, undo_id)
    (card,) = cards(any_ctx, colleague)
    assert (card.text, card.author_name, card.place) == ("The hinge squeaks", "Jane Doe (Acme)", "on the phone")
    with pytest.raises(Missing):
        notes.undo_delete(any_ctx, colleague, undo_id)


def test_what_is_taken_back_belongs_to_the_same_person(any_ctx: Context, colleague: Actor) -> None:
    world.says(any_ctx, world.post(7, posted_at=any_ctx.clock()))
    (them,) = notes.people(any_ctx, colleague, "person 7")
    (one,) = noted(any_ctx, colleague, who=Who(person_id=them.person_id)).mention_ids
    notes.undo_delete(any_ctx, colleague, notes.delete(any_ctx, colleague, one))
    assert {card.person_id for card in cards(any_ctx, colleague)} == {them.person_id}


def test_an_administrator_may_delete_anybodys(any_ctx: Context, colleague: Actor) -> None:
    bo = second(any_ctx, Role.PRODUCT)
    (one,) = noted(any_ctx, bo).mention_ids
    notes.delete(any_ctx, colleague, one)
    assert cards(any_ctx, colleague) == []


def test_the_words_of_a_deleted_note_are_not_kept_past_the_hour(
    any_ctx: Context, colleague: Actor, clock: Clock
) -> None:
    (one,) = noted(any_ctx, colleague).mention_ids
    undo_id = notes.delete(any_ctx, colleague, one)
    clock.forward(minutes=61)
    housekeeping.tidy(any_ctx)
    with any_ctx.database.reading() as tx:
        assert tx.session.query(Undo).count() == 0
    with pytest.raises(Missing):
        notes.undo_delete(any_ctx, colleague, undo_id)
    assert "squeaks" not in repr(audit.entries(any_ctx, colleague))


def test_what_is_no_note_is_not_changed_as_one(any_ctx: Context, colleague: Actor) -> None:
    (other,) = world.says(any_ctx, world.post(1, posted_at=any_ctx.clock()))
    with pytest.raises(Missing):
        notes.edit(any_ctx, colleague, other, "Changed", "phone")
    for nothing in (0, -1, 10**15):
        with pytest.raises(Missing):
            notes.delete(any_ctx, colleague, nothing)


def test_an_answer_is_handed_off_and_marked_as_sent(any_ctx: Context, colleague: Actor) -> None:
    (conversation,) = noted(any_ctx, colleague).conversation_ids
    view = conversations.open_(any_ctx, colleague, conversation)
    assert (view.composer.how, view.composer.reason) == (
        "hand_off", "Answer them where you met them, then mark it as sent.",
    )  # fmt: skip
    key, version = view.composer.draft_key, view.version
    sent = replies.send(any_ctx, colleague, conversation, None, "We will send you oil.", key, version)
    replies.mark_handed_off(any_ctx, colleague, sent.id)
    assert cards(any_ctx, colleague)[0].state == "waiting"


def test_retention_and_removal_take_notes_along(any_ctx: Context, colleague: Actor, clock: Clock) -> None:
    noted(any_ctx, colleague)
    with any_ctx.database.transaction() as tx:
        workspace.write(tx, retention_days=30)
    clock.forward(days=31)
    housekeeping.tidy(any_ctx)
    assert cards(any_ctx, colleague) == []
