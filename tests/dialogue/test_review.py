"""The review: the same queue for everybody, one judgement a key press, a way back, and no text that must not train."""

from __future__ import annotations

import threading

import pytest

from dialogue import accuracy, inbox, review
from dialogue.accuracy import draw
from dialogue.context import Actor, Context, DialogueError, Missing, NotAllowed, Role
from dialogue.review import LEAST_CERTAIN, RANDOM
from listeners import registry
from tests.conftest import Clock
from tests.dialogue.judging import read_again, reads, says, somebody
from tests.worlds import look, post, store


@pytest.fixture
def bo(any_ctx: Context) -> Actor:
    return somebody(any_ctx)


BOTH = {"sentiment": "negative", "intent": "complaint"}


def standing(ctx: Context) -> list[tuple[object, ...]]:
    query = "SELECT mention_id, field, how FROM corrections WHERE withdrawn_at IS NULL ORDER BY mention_id, field"
    return look(ctx, query)


def shown_mood(ctx: Context, mention_id: int = 1) -> str:
    return str(look(ctx, f"SELECT sentiment FROM effective_tags WHERE mention_id = {mention_id}")[0][0])


# The queues -----------------------------------------------------------------------------------------------------------


def test_the_least_certain_come_first(any_ctx: Context, bo: Actor) -> None:
    (sure,) = reads(any_ctx, "negative", 0.9, "complaint", 0.95)
    (unsure,) = reads(any_ctx, "negative", 0.4, "complaint", 0.95)
    (odd,) = reads(any_ctx, "negative", 0.9, "other", 0.2)
    assert review.queue(any_ctx, bo, LEAST_CERTAIN) == (odd, unsure, sure)
    says(any_ctx, bo, odd, "other", LEAST_CERTAIN, "intent")
    assert review.queue(any_ctx, bo, LEAST_CERTAIN) == (unsure, odd, sure), "its mood is left; of equals the newest"


def test_two_colleagues_share_the_random_sample_and_no_mention_comes_twice(any_ctx: Context, bo: Actor) -> None:
    ids = reads(any_ctx, count=30)
    cy, seen = somebody(any_ctx, "cy"), []
    order = review.queue(any_ctx, bo, RANDOM)
    assert order == tuple(sorted(ids, key=lambda one: draw("m1", one)))
    for turn in range(30):
        who = (bo, cy)[turn % 2]
        (mention,) = review.queue(any_ctx, who, RANDOM, limit=1)
        review.confirm(any_ctx, who, mention, BOTH, RANDOM)
        seen.append(mention)
    assert tuple(seen) == order
    assert review.queue(any_ctx, bo, RANDOM) == ()


def test_what_is_new_takes_its_place_in_the_draw(any_ctx: Context, bo: Actor) -> None:
    old = reads(any_ctx, count=10)
    before = review.queue(any_ctx, bo, RANDOM)
    new = reads(any_ctx, count=10)
    after = review.queue(any_ctx, bo, RANDOM)
    assert [one for one in after if one in old] == list(before)
    assert list(after) != [*before, *new], "else what was said last would hardly ever be drawn"


def test_what_is_not_asked_about(any_ctx: Context, bo: Actor) -> None:
    (one,) = reads(any_ctx)
    store(any_ctx, post("untagged"))
    store(any_ctx, post("ours", ours=True))
    (made_up,) = reads(any_ctx, sample=True)
    assert one in review.queue(any_ctx, bo, RANDOM)
    assert made_up not in review.queue(any_ctx, bo, RANDOM)
    assert review.queue(any_ctx, bo, RANDOM, sample=True) == (made_up,)
    assert one not in review.queue(any_ctx, bo, RANDOM, without=[one])


def test_a_text_that_many_share_is_asked_about_once_but_for_the_sample(any_ctx: Context, bo: Actor) -> None:
    ids = reads(any_ctx, count=5, text_of="The very same words")
    assert review.queue(any_ctx, bo, LEAST_CERTAIN) == (ids[-1],)
    assert set(review.queue(any_ctx, bo, RANDOM)) == set(ids)
    review.confirm(any_ctx, bo, ids[2], BOTH, LEAST_CERTAIN)
    assert review.queue(any_ctx, bo, LEAST_CERTAIN) == ()


def test_likely_spam_is_neither_asked_about_nor_counted(any_ctx: Context, bo: Actor) -> None:
    spam, fine = reads(any_ctx, count=2)
    for mention in (spam, fine):
        review.confirm(any_ctx, bo, mention, BOTH, RANDOM)
    with any_ctx.database.transaction() as tx:
        tx.connection.exec_driver_sql(f"UPDATE mentions SET set_aside = true WHERE id = {spam}")
    assert accuracy.figures(any_ctx, bo).figures[0].judged == 1
    read_again(any_ctx, "positive", "m2")
    assert review.queue(any_ctx, bo, RANDOM) == (fine,)


def test_a_new_version_is_judged_anew(any_ctx: Context, bo: Actor) -> None:
    (one,) = reads(any_ctx)
    review.confirm(any_ctx, bo, one, BOTH, RANDOM)
    assert review.queue(any_ctx, bo, RANDOM) == ()
    read_again(any_ctx, "positive", "m2")
    assert review.queue(any_ctx, bo, RANDOM) == (one,)
    item = review.item(any_ctx, bo, one)
    assert item is not None
    assert [(said.value, said.judged) for said in item.said] == [("positive", None), ("other", None)]
    assert shown_mood(any_ctx) == "negative", "what a person said outlives every version"


def test_an_item_says_what_the_model_said_and_how_sure_it_was(any_ctx: Context, bo: Actor) -> None:
    (one,) = reads(any_ctx, "negative", 0.61, "question", 0.4, language="is", title="Halló")
    item = review.item(any_ctx, bo, one)
    assert item is not None
    assert (item.title, item.text, item.author_name, item.platform_title) == ("Halló", "Text 0", "Björk", "forum")
    assert [(said.title, said.value, round(said.certainty, 2)) for said in item.said] == [
        ("Mood", "negative", 0.61), ("Intent", "question", 0.4)
    ]  # fmt: skip
    assert "never shown" in item.caveat
    assert not item.judged
    assert review.item(any_ctx, bo, 999) is None
    assert review.item(any_ctx, bo, 10**20) is None


# Judging --------------------------------------------------------------------------------------------------------------


def test_a_double_click_is_one_judgement(any_ctx: Context, bo: Actor) -> None:
    (one,) = reads(any_ctx)
    first, second = (review.judge(any_ctx, bo, one, "sentiment", "positive", RANDOM) for _ in range(2))
    assert first == second
    assert look(any_ctx, "SELECT count(*) FROM corrections") == [(1,)]
    assert look(any_ctx, "SELECT count(*) FROM audit") == [(1,)]
    review.confirm(any_ctx, bo, one, BOTH, RANDOM)
    assert review.confirm(any_ctx, bo, one, BOTH, RANDOM) == ()
    assert standing(any_ctx) == [(one, "intent", RANDOM), (one, "sentiment", RANDOM)]
    assert shown_mood(any_ctx) == "positive", "'the rest is right' leaves alone what was just corrected"


def test_two_who_press_at_once_make_one_judgement(any_ctx: Context, bo: Actor) -> None:
    (one,) = reads(any_ctx)
    cy, together = somebody(any_ctx, "cy"), threading.Barrier(2)

    def press(who: Actor) -> None:
        together.wait(10)
        review.judge(any_ctx, who, one, "sentiment", "neutral", RANDOM)

    threads = [threading.Thread(target=press, args=(who,)) for who in (bo, cy)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert standing(any_ctx) == [(one, "sentiment", RANDOM)]
    assert look(any_ctx, "SELECT count(*) FROM corrections") == [(1,)]


def test_a_judgement_shows_and_counts_at_once_and_can_be_undone(any_ctx: Context, bo: Actor) -> None:
    (one,) = reads(any_ctx)
    made = review.judge(any_ctx, bo, one, "sentiment", "positive", RANDOM)
    assert shown_mood(any_ctx) == "positive"
    assert look(any_ctx, "SELECT sentiment, count FROM rollups WHERE dimension = 'all'") == [("positive", 1)]
    assert review.undo(any_ctx, bo, [made]) == 1
    assert shown_mood(any_ctx) == "negative"
    assert look(any_ctx, "SELECT sentiment, count FROM rollups WHERE dimension = 'all'") == [("negative", 1)]
    assert review.queue(any_ctx, bo, RANDOM) == (one,)
    assert review.undo(any_ctx, bo, [made]) == 0
    assert look(any_ctx, "SELECT action FROM audit ORDER BY id") == [("judged",), ("took back judgement",)]


def test_undoing_brings_back_what_was_said_before(any_ctx: Context, bo: Actor) -> None:
    (one,) = reads(any_ctx)
    inbox.correct(any_ctx, bo, one, "sentiment", "neutral")
    made = review.judge(any_ctx, bo, one, "sentiment", "positive", LEAST_CERTAIN)
    review.undo(any_ctx, bo, [made])
    assert shown_mood(any_ctx) == "neutral"
    assert standing(any_ctx) == [(one, "sentiment", "passing")]


def test_nobody_undoes_what_another_said(any_ctx: Context, bo: Actor) -> None:
    (one,) = reads(any_ctx)
    made = review.judge(any_ctx, bo, one, "sentiment", "positive", RANDOM)
    assert review.undo(any_ctx, somebody(any_ctx, "cy"), [made, 999]) == 0
    assert shown_mood(any_ctx) == "positive"


def test_what_was_drawn_stays_in_the_sample_when_a_colleague_corrects_it(any_ctx: Context, bo: Actor) -> None:
    (one,) = reads(any_ctx)
    review.confirm(any_ctx, bo, one, {"sentiment": "negative"}, RANDOM)
    inbox.correct(any_ctx, bo, one, "sentiment", "neutral")
    assert standing(any_ctx) == [(one, "sentiment", RANDOM)]
    assert shown_mood(any_ctx) == "neutral"


def test_a_judgement_outlives_the_next_model(any_ctx: Context, bo: Actor) -> None:
    (one,) = reads(any_ctx)
    review.confirm(any_ctx, bo, one, BOTH, RANDOM)
    read_again(any_ctx, "positive", "m2")
    assert shown_mood(any_ctx) == "negative"


def test_a_mention_that_is_gone_takes_its_judgements_along(any_ctx: Context, bo: Actor) -> None:
    from db import forgetting

    (one,) = reads(any_ctx)
    review.confirm(any_ctx, bo, one, BOTH, RANDOM)
    with any_ctx.database.transaction() as tx:
        forgetting.forget(tx, [one], now=any_ctx.clock(), reason="deleted at source", digest=None)
    assert look(any_ctx, "SELECT count(*) FROM corrections") == [(0,)]
    with pytest.raises(Missing):
        review.judge(any_ctx, bo, one, "sentiment", "positive", RANDOM)


@pytest.mark.parametrize(
    ("field", "value", "how", "words"),
    [
        ("sentiment", "angry", RANDOM, "'angry' is no sentiment"),
        ("intent", "positive", RANDOM, "is no intent"),
        ("language", "en", RANDOM, "Only sentiment and intent"),
        ("sentiment", "positive", "passing", "no queue called 'passing'"),
    ],
)
def test_what_is_no_judgement(any_ctx: Context, bo: Actor, field: str, value: str, how: str, words: str) -> None:
    (one,) = reads(any_ctx)
    with pytest.raises(DialogueError, match=words):
        review.judge(any_ctx, bo, one, field, value, how)
    assert standing(any_ctx) == []


def test_those_who_do_not_answer_do_not_judge(any_ctx: Context) -> None:
    (one,) = reads(any_ctx)
    for role in (Role.VIEWER, Role.PRODUCT):
        who = somebody(any_ctx, role.label, role)
        for forbidden in (
            lambda who=who: review.queue(any_ctx, who, RANDOM),
            lambda who=who: review.judge(any_ctx, who, one, "sentiment", "positive", RANDOM),
            lambda who=who: review.confirm(any_ctx, who, one, BOTH, RANDOM),
            lambda who=who: review.undo(any_ctx, who, [1]),
            lambda who=who: review.training_set(any_ctx, who),
        ):
            with pytest.raises(NotAllowed):
                forbidden()
    assert standing(any_ctx) == []


# For training ---------------------------------------------------------------------------------------------------------


def test_what_a_platform_forbids_to_train_on_is_in_no_training_set(any_ctx: Context, bo: Actor, clock: Clock) -> None:
    """Every platform that is installed, by its own capability; and one whose rules nobody knows."""
    ada = somebody(any_ctx, "ada", Role.ADMIN)
    names = registry.names()
    forbidden = {name for name in names if not registry.capability(name).trainable}
    assert {"x", "reddit"} <= forbidden < set(names)
    for name in [*names, "gone"]:
        (one,) = reads(any_ctx, platform=name, author_id=f"a-{name}", text_of=f"Only on {name}.")
        review.confirm(any_ctx, bo, one, BOTH, RANDOM)
        says(any_ctx, bo, one, "positive", "passing")

    found = review.training_set(any_ctx, ada)
    in_it = {row["platform"] for row in found.rows}
    assert in_it == {
        name for name in names if registry.capability(name).trainable and registry.capability(name).exportable
    }
    assert not in_it & forbidden
    everything = str(found.rows)
    for name in [*forbidden, "gone"]:
        assert f"Only on {name}." not in everything
    assert sum(found.left_out.values()) == 2 * (len(names) + 1 - len(in_it))
    assert found.left_out["X forbids training on what is written there"] == 2
    assert "2 left out: the rules of gone are not known here." in found.words


def test_what_was_edited_since_and_what_was_made_up_is_in_no_training_set(
    any_ctx: Context, bo: Actor, clock: Clock
) -> None:
    ada = somebody(any_ctx, "ada", Role.ADMIN)
    (edited,) = reads(any_ctx, platform="feed")
    (kept,) = reads(any_ctx, platform="feed")
    (made_up,) = reads(any_ctx, platform="feed", sample=True)
    for mention in (edited, kept, made_up):
        says(any_ctx, bo, mention, "positive")
    clock.forward(minutes=1)
    store(any_ctx, post("p0", "All is well now", platform="feed"))
    found = review.training_set(any_ctx, ada)
    assert [(row["mention"], row["value"], row["model_said"], row["how"]) for row in found.rows] == [
        (str(kept), "positive", "negative", RANDOM)
    ]
    assert found.left_out == {"edited since it was judged": 1}
