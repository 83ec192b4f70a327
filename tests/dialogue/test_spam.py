"""Likely spam lies aside, in no count, with its reason; a person's word holds for good; nothing is ever deleted."""

from __future__ import annotations

import pytest

from db import measures as counting
from db import rollups
from db.mentions import NewMention
from dialogue import conversations, inbox, spam
from dialogue.context import SYSTEM, Actor, Context, DialogueError, Missing, NotAllowed, Role
from tests.conftest import Clock, as_role
from tests.dialogue.reading import exact, read
from tests.dialogue.test_folding import SQUEAK, by, inbox_of, names
from tests.worlds import add_source, look, post, said, store

PITCH = "Earn $500 a day from home! DM me now, link in bio 💰💰💰"
NEARLY = "Passive income changed my whole life within one single year and it can change yours: https://money.example"


def whole(ctx: Context) -> None:
    """Fails unless every count is what a recount says, and nothing was lost."""
    exact(ctx)
    with ctx.database.transaction() as tx:
        kept = rollups.counts(tx)
        rollups.recount(tx, "UTC")
        assert kept == rollups.counts(tx)
    counted = look(ctx, "SELECT count(*) FROM mentions WHERE NOT set_aside AND NOT ours AND tagged_at IS NOT NULL")
    assert sum(count for key, count in kept.items() if key[1] == "all") == counted[0][0]


def aside(ctx: Context) -> list[inbox.Card]:
    return inbox_of(ctx, "set_aside")


def test_likely_spam_lies_aside_with_its_reason_and_counts_nowhere(any_ctx: Context) -> None:
    source = add_source(any_ctx)
    store(any_ctx, by("ann"), by("spammer", PITCH, 5), source_id=source)
    read(any_ctx)
    assert names(inbox_of(any_ctx)) == names(inbox_of(any_ctx, "all")) == ["Ann"]
    [card] = aside(any_ctx)
    assert card.author_name == "Spammer"
    assert card.aside.startswith("Likely spam: promises money; ")
    assert inbox.counts(any_ctx, SYSTEM) == {
        "needs_answer": 1, "mine": 0, "waiting": 0, "closed": 0, "all": 1, "set_aside": 1,
    }  # fmt: skip
    assert look(any_ctx, "SELECT count(*) FROM mentions") == [(2,)]
    whole(any_ctx)


def test_charts_lead_to_what_they_count(any_ctx: Context) -> None:
    store(any_ctx, by("ann"), by("bo", minutes=3), by("spammer", PITCH, 5))
    read(any_ctx)
    with any_ctx.database.reading() as tx:
        assert counting.mentions(tx) == 2
    day = any_ctx.clock().date()
    assert names(inbox_of(any_ctx, "all", day=(day, day))) == ["Ann", "Bo"], "a copy counts, spam does not"
    assert names(inbox_of(any_ctx, "set_aside", search="earn")) == ["Spammer"]


def test_not_spam_brings_it_back_for_good(any_ctx: Context, colleague: Actor, clock: Clock) -> None:
    store(any_ctx, by("jo", PITCH))
    read(any_ctx)
    [card] = aside(any_ctx)
    spam.not_spam(any_ctx, colleague, [card.conversation_id])
    assert (names(inbox_of(any_ctx)), aside(any_ctx)) == (["Jo"], [])
    whole(any_ctx)
    store(any_ctx, by("jo", f"{PITCH} Really! https://a.example", edited_at=clock.forward(minutes=1)))
    read(any_ctx)
    assert (names(inbox_of(any_ctx)), aside(any_ctx)) == (["Jo"], [])
    whole(any_ctx)


def test_bringing_back_and_setting_aside_can_be_taken_back(any_ctx: Context, colleague: Actor) -> None:
    store(any_ctx, by("jo", PITCH), by("ann", minutes=2), by("bo", minutes=3))
    read(any_ctx)
    [jo] = aside(any_ctx)
    undo_id = spam.not_spam(any_ctx, colleague, [jo.conversation_id])
    assert spam.undo(any_ctx, colleague, undo_id) == 1
    assert [card.aside for card in aside(any_ctx)] == [jo.aside], "with the rule's reason"
    [ann] = inbox_of(any_ctx)
    undo_id = spam.set_aside(any_ctx, colleague, [ann.conversation_id])
    assert (inbox_of(any_ctx), len(aside(any_ctx))) == ([], 3), "what is folded under it goes with it"
    whole(any_ctx)
    assert spam.undo(any_ctx, colleague, undo_id) == 2
    [again] = inbox_of(any_ctx)
    assert (again.author_name, again.copies) == ("Ann", 1)
    with pytest.raises(Missing):
        spam.undo(any_ctx, colleague, undo_id)
    whole(any_ctx)
    actions = [row[0] for row in look(any_ctx, "SELECT action FROM audit ORDER BY id")]
    assert actions == ["brought back", "undid", "set aside", "undid"]


def test_what_a_person_set_aside_says_so_and_so_do_new_copies_of_it(any_ctx: Context, colleague: Actor) -> None:
    store(any_ctx, by("ann"))
    read(any_ctx)
    spam.set_aside(any_ctx, colleague, [inbox_of(any_ctx)[0].conversation_id])
    store(any_ctx, by("bo", f"{SQUEAK} https://x.example", 5))
    read(any_ctx)
    assert {card.author_name: card.aside for card in aside(any_ctx)} == {
        "Ann": "Ada set this aside.",
        "Bo": "Likely spam: Ada set aside the same text.",
    }
    bo = next(card for card in aside(any_ctx) if card.author_name == "Bo")
    spam.not_spam(any_ctx, colleague, [bo.conversation_id])
    assert aside(any_ctx) == [], "all that says the same comes back"
    store(any_ctx, by("cy", minutes=9))
    read(any_ctx)
    assert aside(any_ctx) == [], "and stays"
    whole(any_ctx)


def test_a_crowd_of_new_accounts_is_evidence_against_the_first_of_them_too(any_ctx: Context) -> None:
    for number in range(6):
        store(any_ctx, by(f"p{number}", NEARLY, number))
        read(any_ctx)
    assert len(aside(any_ctx)) == 6
    assert all("new accounts within a day" in card.aside for card in aside(any_ctx))
    whole(any_ctx)
    store(any_ctx, by("late", NEARLY, 30))
    read(any_ctx)
    assert len(aside(any_ctx)) == 7
    whole(any_ctx)


def test_what_many_share_is_folded_not_set_aside(any_ctx: Context) -> None:
    store(any_ctx, *[by(f"p{number}", f"RT @ann: {SQUEAK} https://news.example", number) for number in range(30)])
    read(any_ctx)
    [card] = inbox_of(any_ctx)
    assert (card.copies, aside(any_ctx)) == (29, [])


def test_spam_below_a_post_leaves_the_conversation_as_it_was(any_ctx: Context) -> None:
    answer = post("a1", "We are on it", author_id="we", ours=True, parent_id="ann-0", root_id="ann-0",
                  posted_at=any_ctx.clock())  # fmt: skip
    store(any_ctx, by("ann"), answer)
    read(any_ctx)
    store(any_ctx, by("spammer", PITCH, 70, parent_id="ann-0", root_id="ann-0"))
    assert names(inbox_of(any_ctx)) == ["Spammer"]
    read(any_ctx)
    assert (inbox_of(any_ctx), aside(any_ctx)) == ([], [])
    [card] = inbox_of(any_ctx, "waiting")
    assert (card.author_name, card.mention_count) == ("Ann", 1)
    whole(any_ctx)


def test_spam_edited_into_something_decent_comes_back(any_ctx: Context, clock: Clock) -> None:
    store(any_ctx, by("jo", PITCH))
    read(any_ctx)
    store(any_ctx, by("jo", "Sorry, somebody had my password. The hinge is fine.", edited_at=clock.forward(minutes=1)))
    read(any_ctx)
    assert (names(inbox_of(any_ctx)), aside(any_ctx)) == (["Jo"], [])
    whole(any_ctx)


@pytest.mark.parametrize("kind", ["note", "answer"])
def test_what_we_asked_for_or_colleagues_noted_is_never_set_aside(ctx: Context, kind: str) -> None:
    store(ctx, by("jo", PITCH, kind=kind))
    read(ctx)
    assert aside(ctx) == []


def test_whom_we_have_answered_is_never_set_aside(ctx: Context) -> None:
    answer = post("a1", "We are on it", author_id="we", ours=True, parent_id="ann-0", root_id="ann-0",
                  posted_at=ctx.clock())  # fmt: skip
    store(ctx, by("ann"), answer)
    store(ctx, by("ann", PITCH, 40))
    read(ctx, said("neutral"))
    assert aside(ctx) == []


def test_many_at_once_and_by_whom(ctx: Context, colleague: Actor) -> None:
    posts: list[NewMention] = [by(f"p{number}", f"Something short {number}", number) for number in range(5)]
    store(ctx, *posts)
    read(ctx)
    ids = [card.conversation_id for card in inbox_of(ctx)]
    for role in (Role.VIEWER, Role.PRODUCT):
        with pytest.raises(NotAllowed):
            spam.set_aside(ctx, as_role(colleague, role), ids)
    undo_id = spam.set_aside(ctx, as_role(colleague, Role.RESPONDER), ids)
    assert len(aside(ctx)) == 5
    assert spam.undo(ctx, colleague, undo_id) == 5
    with pytest.raises(Missing):
        spam.not_spam(ctx, colleague, ids)
    for wrong in ([], list(range(1, 2_000))):
        with pytest.raises(DialogueError):
            spam.set_aside(ctx, colleague, wrong)


def test_the_conversation_says_why_it_lies_aside(ctx: Context, colleague: Actor) -> None:
    store(ctx, by("jo", PITCH))
    read(ctx)
    view = conversations.open_(ctx, colleague, aside(ctx)[0].conversation_id)
    assert view.aside.startswith("Likely spam: ")
