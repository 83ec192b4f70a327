"""Copies: found whatever the order, folded where nobody has to answer them, counted exactly whatever happens."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from db import forgetting, rollups, tags
from db import workspace as workspace_rows
from db.mentions import NewMention
from db.tables import PlatformAccount
from dialogue import conversations, folding, inbox
from dialogue.context import SYSTEM, Actor, Context, DialogueError, Missing, NotAllowed, Role
from tests.conftest import NOON, Clock, as_role
from tests.dialogue.reading import exact, groups, read
from tests.worlds import look, post, store

ROOT = Path(__file__).parents[2]
SQUEAK = "The hinge of my new door squeaks every single morning and nobody at the shop answers the phone"
ROOF = "Since the storm on Sunday there is water coming through the roof of the shed that you built for us in May"


def by(name: str, words: str = SQUEAK, minutes: int = 0, **fields: Any) -> NewMention:
    """A post of its own by `name`, so many minutes after eleven."""
    given = {"author_id": name, "author_handle": f"@{name}", "author_name": name.capitalize()}
    at = NOON - timedelta(hours=1) + timedelta(minutes=minutes)
    return post(f"{name}-{minutes}", words, posted_at=at, url=f"https://forum.example/{name}", **(given | fields))


def inbox_of(ctx: Context, view: str = "needs_answer", **filters: Any) -> list[inbox.Card]:
    return list(inbox.page(ctx, SYSTEM, inbox.Filters(view=view, **filters)).cards)


def names(cards: Sequence[inbox.Card]) -> list[str]:
    return sorted(card.author_name for card in cards)


# What people see ------------------------------------------------------------------------------------------------------


def test_copies_fold_under_the_first_and_are_listed_there(any_ctx: Context) -> None:
    store(
        any_ctx,
        by("ann"),
        by("bo", f"RT @ann: {SQUEAK}", 5),
        by("cy", f"{SQUEAK} https://x.example", 9),
        by("di", ROOF),
    )
    read(any_ctx)
    cards = {card.author_name: card for card in inbox_of(any_ctx)}
    assert sorted(cards) == ["Ann", "Di"]
    assert (cards["Ann"].copies, cards["Di"].copies) == (2, 0)
    listed = folding.copies(any_ctx, SYSTEM, cards["Ann"].conversation_id)
    assert [(one.author_name, one.folded, one.url) for one in listed] == [
        ("Cy", True, "https://forum.example/cy"),
        ("Bo", True, "https://forum.example/bo"),
    ]
    assert inbox.counts(any_ctx, SYSTEM)["needs_answer"] == 2
    exact(any_ctx)


def test_copies_count_in_charts_and_are_found_opened_and_answered(any_ctx: Context) -> None:
    store(any_ctx, by("ann"), by("bo", minutes=5))
    read(any_ctx)
    assert look(any_ctx, "SELECT sum(count) FROM rollups WHERE dimension = 'all'") == [(2,)]
    assert names(inbox_of(any_ctx, "all")) == ["Ann", "Bo"]
    [copy] = inbox_of(any_ctx, "all", search="author:bo")
    assert copy.folded
    view = conversations.open_(any_ctx, SYSTEM, copy.conversation_id)
    assert view.folded_under == inbox_of(any_ctx)[0].conversation_id
    assert view.folded == (copy.mention_id,)
    assert view.composer.answering_mention_id == copy.mention_id


def test_short_words_are_nobodys_copy(any_ctx: Context) -> None:
    store(any_ctx, by("ann", "thanks!"), by("bo", "thanks!"), by("cy", "great, love it"), by("di", "great, love it"))
    read(any_ctx)
    assert len(inbox_of(any_ctx)) == 4
    assert look(any_ctx, "SELECT count(*) FROM wordings") == [(0,)]


def test_sample_data_is_no_copy_of_what_was_really_said(ctx: Context) -> None:
    from db.mentions import upsert

    with ctx.database.transaction() as tx:
        upsert(tx, [by("made", minutes=-5), by("up", minutes=-4)], now=ctx.clock(), digest=str, sample=True)
    store(ctx, by("ann"), by("bo", minutes=5))
    read(ctx)
    assert sorted(groups(ctx)) == [("ann-0", 2), ("made--5", 2)]


# Whatever the order ---------------------------------------------------------------------------------------------------


def family(chance: random.Random) -> list[NewMention]:
    """Posts of a few families, some changed or cut off, some at the same moment, some too short."""
    said = []
    for number in range(chance.randrange(6, 16)):
        words = chance.choice([SQUEAK, ROOF, "thanks!"])
        change = chance.choice(["", "", "RT @ann: {}", "{} http://a.example", "{} indeed", "{}!!"])
        words = change.format(words) if change else words
        if chance.random() < 0.15:
            words = words[:70] + "…"
        said.append(by(f"p{number}", words, chance.randrange(4), platform=chance.choice(["forum", "board"])))
    return said


@pytest.mark.parametrize("seed", range(8))
def test_groups_are_the_same_in_whatever_order_and_batches_they_come(ctx: Context, seed: int) -> None:
    chance = random.Random(seed)
    said = family(chance)
    found = []
    for _ in range(3):
        chance.shuffle(said)
        left = list(said)
        while left:
            some = [left.pop() for _ in range(min(len(left), chance.randrange(1, 5)))]
            store(ctx, *some)
            if chance.random() < 0.7:
                read(ctx, batch=chance.randrange(1, 6))
        read(ctx)
        exact(ctx)
        found.append(groups(ctx))
        _forget_all(ctx)
        assert look(ctx, "SELECT (SELECT count(*) FROM wordings), (SELECT count(*) FROM wording_keys)") == [(0, 0)]
    assert found[0] == found[1] == found[2]
    assert found[0], "there is something to fold"


def _forget_all(ctx: Context) -> None:
    with ctx.database.transaction() as tx:
        ids = [row[0] for row in tx.connection.exec_driver_sql("SELECT id FROM mentions")]
        forgetting.forget(tx, ids, now=ctx.clock(), reason="gone", digest=None)


def test_an_earlier_post_that_comes_later_becomes_the_first(any_ctx: Context) -> None:
    store(any_ctx, by("bo", minutes=5), by("cy", minutes=9))
    read(any_ctx)
    assert names(inbox_of(any_ctx)) == ["Bo"]
    store(any_ctx, by("ann"))
    read(any_ctx)
    [card] = inbox_of(any_ctx)
    assert (card.author_name, card.copies) == ("Ann", 2)
    exact(any_ctx)


def test_a_wording_between_two_groups_makes_one_of_them(any_ctx: Context) -> None:
    words = SQUEAK.split()
    far = " ".join(["Hello", "dear", *words, "I", "wonder"])
    store(any_ctx, by("ann"), by("bo", far, 5))
    read(any_ctx)
    apart = groups(any_ctx)
    store(any_ctx, by("cy", " ".join(["dear", *words, "I"]), 9))
    read(any_ctx)
    assert apart == []
    assert groups(any_ctx) == [("ann-0", 3)]
    exact(any_ctx)


@pytest.mark.parametrize("word", ["\x00", "\ud800", "\u202e", "🙂", "<script>", "=1+1"])
def test_hostile_words_fold_like_any_other(any_ctx: Context, word: str) -> None:
    from dialogue.collecting import as_mention
    from listeners.base import Author, Post

    posts = [
        Post(platform="forum", external_id=f"p{number}", author=Author(id=f"a{number}", handle=f"a{number}"),
             text=f"{word} {SQUEAK} {word * 2_000}", posted_at=NOON)
        for number in range(2)
    ]  # fmt: skip
    store(any_ctx, *map(as_mention, posts))
    read(any_ctx)
    assert [size for _, size in groups(any_ctx)] == [2]


# What becomes of them -------------------------------------------------------------------------------------------------


def test_when_the_first_is_deleted_at_its_source_the_next_takes_its_place(any_ctx: Context) -> None:
    ids = store(any_ctx, by("ann"), by("bo", minutes=5), by("cy", minutes=9)).new_ids
    read(any_ctx)
    for gone, left in ((ids[0], [("bo-5", 2)]), (ids[1], [])):
        with any_ctx.database.transaction() as tx:
            forgetting.forget(tx, [gone], now=any_ctx.clock(), reason="deleted at source", digest=None)
        assert groups(any_ctx) == left
        exact(any_ctx)
    [card] = inbox_of(any_ctx)
    assert (card.author_name, card.copies, card.folded) == ("Cy", 0, False)


def test_what_is_edited_into_something_else_leaves_and_may_come_back(any_ctx: Context, clock: Clock) -> None:
    store(any_ctx, by("ann"), by("bo", minutes=5), by("cy", minutes=9))
    read(any_ctx)
    store(any_ctx, by("ann", "Solved! It was the screw, sorry for the noise"))
    read(any_ctx)
    assert groups(any_ctx) == [("bo-5", 2)]
    assert names(inbox_of(any_ctx)) == ["Ann", "Bo"]
    exact(any_ctx)
    store(any_ctx, by("ann", edited_at=clock.forward(minutes=1)))
    read(any_ctx)
    assert groups(any_ctx) == [("ann-0", 3)]
    exact(any_ctx)


def test_ours_is_never_folded_and_never_an_original(any_ctx: Context) -> None:
    store(any_ctx, by("we", minutes=-5, ours=True), by("ann"), by("bo", minutes=5))
    read(any_ctx)
    assert groups(any_ctx) == [("ann-0", 2)]
    with any_ctx.database.transaction() as tx:
        forgetting.mark_ours(tx, "forum", "ann", any_ctx.clock())
    assert groups(any_ctx) == []
    assert names(inbox_of(any_ctx)) == ["Bo"]
    exact(any_ctx)


def test_a_conversation_in_which_we_have_spoken_is_never_folded(any_ctx: Context) -> None:
    answer = post("a1", "We are on it", author_id="we", ours=True, parent_id="bo-5", root_id="bo-5", posted_at=NOON)
    store(any_ctx, by("ann"), by("bo", minutes=5), answer)
    read(any_ctx)
    assert look(any_ctx, "SELECT shelf FROM conversations WHERE root_id = 'bo-5'") == [("",)]
    [ann] = inbox_of(any_ctx)
    assert ann.copies == 1, "it says the same all the same"


def test_an_answer_of_ours_collected_later_brings_it_back(any_ctx: Context) -> None:
    store(any_ctx, by("ann"), by("bo", minutes=5))
    read(any_ctx)
    store(any_ctx, post("a1", "We are on it", author_id="we", ours=True, parent_id="bo-5", root_id="bo-5"))
    assert look(any_ctx, "SELECT shelf FROM conversations WHERE root_id = 'bo-5'") == [("",)]


def test_whoever_answers_us_by_name_is_never_folded(any_ctx: Context) -> None:
    with any_ctx.database.transaction() as tx:
        account = PlatformAccount(
            platform="forum", label="Us", handle="shop", external_id="us", credentials=b"", created_at=NOON
        )
        tx.session.add(account)
    store(any_ctx, by("ann"), by("bo", minutes=5, parent_id="gone", root_id="gone", mentions=("us",)))
    read(any_ctx)
    assert names(inbox_of(any_ctx)) == ["Ann", "Bo"]


def test_somebody_speaking_in_a_folded_conversation_brings_it_back(any_ctx: Context) -> None:
    store(any_ctx, by("ann"), by("bo", minutes=5))
    read(any_ctx)
    store(
        any_ctx, post("c1", "Same here, since Monday", author_id="cy", root_id="bo-5", parent_id="bo-5", posted_at=NOON)
    )
    assert "bo-5" in [row[0] for row in look(any_ctx, "SELECT root_id FROM conversations WHERE shelf = ''")]
    read(any_ctx)
    assert look(any_ctx, "SELECT shelf FROM conversations WHERE root_id = 'bo-5'") == [("",)]
    exact(any_ctx)


def test_who_says_it_again_after_that_was_closed_is_heard(any_ctx: Context, colleague: Actor, clock: Clock) -> None:
    store(any_ctx, by("ann"), by("bo", minutes=5))
    read(any_ctx)
    inbox.close(any_ctx, colleague, [inbox_of(any_ctx)[0].conversation_id])
    clock.forward(hours=3)
    store(any_ctx, by("ann", minutes=200), by("cy", minutes=210))
    read(any_ctx)
    assert names(inbox_of(any_ctx)) == ["Ann"], "Cy only shares what was closed; Ann asks again"


def test_what_a_colleague_has_taken_is_not_folded(any_ctx: Context, colleague: Actor) -> None:
    store(any_ctx, by("bo", minutes=5))
    read(any_ctx)
    inbox.assign(any_ctx, colleague, [inbox_of(any_ctx)[0].conversation_id], colleague.user_id)
    store(any_ctx, by("ann"))
    read(any_ctx)
    assert names(inbox_of(any_ctx)) == ["Ann", "Bo"]


# A person's word ------------------------------------------------------------------------------------------------------


def test_a_person_unfolds_one_and_it_stays_so(any_ctx: Context, colleague: Actor, clock: Clock) -> None:
    ids = store(any_ctx, by("ann"), by("bo", minutes=5), by("cy", minutes=9)).new_ids
    read(any_ctx)
    folding.not_a_copy(any_ctx, colleague, [ids[1]])
    assert names(inbox_of(any_ctx)) == ["Ann", "Bo"]
    assert groups(any_ctx) == [("ann-0", 2)]
    store(any_ctx, by("bo", f"{SQUEAK} still", 5, edited_at=clock.forward(minutes=1)))
    read(any_ctx)
    store(any_ctx, by("di", f"{SQUEAK} still", 20))
    read(any_ctx)
    assert "Bo" in names(inbox_of(any_ctx))
    exact(any_ctx)


def test_unfolding_can_be_taken_back(any_ctx: Context, colleague: Actor) -> None:
    ids = store(any_ctx, by("ann"), by("bo", minutes=5)).new_ids
    read(any_ctx)
    undo_id = folding.not_a_copy(any_ctx, colleague, [ids[1]])
    assert folding.undo(any_ctx, colleague, undo_id) == 1
    assert groups(any_ctx) == [("ann-0", 2)]
    assert names(inbox_of(any_ctx)) == ["Ann"]
    with pytest.raises(Missing):
        folding.undo(any_ctx, colleague, undo_id)
    exact(any_ctx)
    actions = [row[0] for row in look(any_ctx, "SELECT action FROM audit ORDER BY id")]
    assert actions == ["unfolded", "undid"]


def test_reading_is_for_all_unfolding_for_those_who_answer(ctx: Context, colleague: Actor) -> None:
    ids = store(ctx, by("ann"), by("bo", minutes=5)).new_ids
    read(ctx)
    assert folding.copies(ctx, as_role(colleague, Role.VIEWER), 1)
    with pytest.raises(NotAllowed):
        folding.not_a_copy(ctx, as_role(colleague, Role.PRODUCT), [ids[1]])
    with pytest.raises(DialogueError):
        folding.not_a_copy(ctx, colleague, [-1, 10**30])


# The worker -----------------------------------------------------------------------------------------------------------


def test_what_an_earlier_version_read_is_examined_in_the_background(any_ctx: Context) -> None:
    store(any_ctx, by("ann"), by("bo", minutes=5), *[by(f"p{n}", f"{ROOF} {n}", n) for n in range(5)])
    with any_ctx.database.transaction() as tx:  # as that version would have
        held = tags.claim(tx, any_ctx.clock(), timedelta(minutes=1), 100)
        from tests.worlds import said

        tags.store(tx, [(one, said()) for one in held], "UTC", any_ctx.clock())
        workspace_rows.write(tx, unfolded_below=held[0].id + 1)
    assert groups(any_ctx) == []
    while folding.catch_up(any_ctx):
        pass
    assert [size for _, size in groups(any_ctx)] == [2, 5]
    assert not folding.catch_up(any_ctx)
    exact(any_ctx)


def test_two_workers_at_once_find_the_same_groups(any_ctx: Context, any_url: str) -> None:
    running = [
        subprocess.Popen([sys.executable, "-m", "tests.dialogue.reading", any_url, str(seed)], cwd=ROOT)
        for seed in range(2)
    ]
    assert [process.wait(110) for process in running] == [0, 0]
    exact(any_ctx)
    assert groups(any_ctx)
    with any_ctx.database.transaction() as tx:
        kept = rollups.counts(tx)
        rollups.recount(tx, "UTC")
        assert kept == rollups.counts(tx)


def test_a_text_that_a_thousand_share_stays_quick(ctx: Context) -> None:
    store(ctx, *[by(f"p{number}", f"RT @ann: {SQUEAK} http://x.example/{number}", number) for number in range(1_000)])
    read(ctx, batch=256)
    assert groups(ctx) == [("p0-0", 1_000)]
    assert look(ctx, "SELECT count(*) FROM wordings") == [(1,)]
    assert len(inbox_of(ctx)) == 1
    assert len(folding.copies(ctx, SYSTEM, inbox_of(ctx)[0].conversation_id)) == folding.LISTED
