"""The taxonomy is changed in words, seen before it counts, never half in force, and can be put back."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from db import rollups, tags
from db import topics as rows
from db.topics import TopicRow
from dialogue import audit, inbox, points, requests, retagging, suggesting, topics, understanding
from dialogue.context import Actor, Context, DialogueError, Missing, NotAllowed, Role, Stale
from dialogue.topics import Draft
from dialogue.understanding import understand
from listeners import registry
from tests.bag import Bag
from tests.conftest import Clock, RecordedTriggers, as_role
from tests.worlds import look, post, store

DELIVERY = Draft("Delivery", ("late parcel",))
PRICE = Draft("Price", ("too expensive",))
SAID = (
    "my parcel is late",
    "late parcel and too expensive",
    "too expensive",
    "squeaking brakes all day",
    "the brakes are squeaking",
    "nothing to say",
)


@pytest.fixture(autouse=True)
def _bag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(understanding, "_opener", Bag)
    monkeypatch.setattr(understanding, "_open", None)
    monkeypatch.setattr(requests, "SECONDS_BETWEEN_WRITES", 0.0)


@pytest.fixture
def world(any_ctx: Context, colleague: Actor) -> Context:
    """Two topics in force, and six mentions that were read under them."""
    with any_ctx.database.transaction() as tx:
        rows.replace(tx, [TopicRow(one.name, one.phrases) for one in (DELIVERY, PRICE)])
        rows.record(tx, "The first topics", colleague.user_id, any_ctx.clock())
    says(any_ctx, *SAID)
    return any_ctx


def says(ctx: Context, *texts: str, platform: str = "feed") -> tuple[int, ...]:
    """Each said by somebody else, and read."""
    number = look(ctx, "SELECT count(*) FROM mentions")[0][0]
    posts = [
        post(str(number + place), text, platform=platform, author_id=f"a{number + place}")
        for place, text in enumerate(texts)
    ]
    ids = store(ctx, *posts).new_ids
    understand(ctx)
    return tuple(ids)


def current(ctx: Context, actor: Actor) -> dict[str, Draft]:
    return {one.name: one for one in topics.taxonomy(ctx, actor).drafts}


def ask(ctx: Context, actor: Actor, how: Callable[..., int], *drafts: Draft) -> dict[str, Any]:
    """Asks, has the worker serve it, and returns what came of it."""
    request_id = how(ctx, actor, drafts, topics.taxonomy(ctx, actor).version)
    requests.serve(ctx, request_id)
    view = requests.get(ctx, request_id)
    assert view.state == "done", view.error
    return view.result


def shown(ctx: Context) -> dict[int, set[str]]:
    """The topics of each mention that has any."""
    found: dict[int, set[str]] = {}
    for id_, name in look(ctx, "SELECT mention_id, topic FROM mention_topics"):
        found.setdefault(id_, set()).add(name)
    return found


def assert_counts_are_exact(ctx: Context) -> None:
    with ctx.database.transaction() as tx:
        kept = rollups.counts(tx)
        rollups.recount(tx, "UTC")
        assert kept == rollups.counts(tx)


# Preview --------------------------------------------------------------------------------------------------------------


def test_a_preview_says_what_would_change_and_changes_nothing(world: Context, colleague: Actor) -> None:
    before = shown(world)
    now = current(world, colleague)
    wanted = (replace(now["Delivery"], phrases=("courier",)), Draft("Brakes", ("squeaking brakes",)))
    result = ask(world, colleague, topics.preview, *wanted)
    brakes, delivery = result["topics"][1], result["topics"][0]
    assert (brakes["now"], brakes["then"], brakes["gains"], brakes["gained"]) == (0, 2, 2, [5, 4])
    assert (delivery["now"], delivery["then"], delivery["loses"], delivery["lost"]) == (2, 0, 2, [2, 1])
    assert result["deleted"] == [{"name": "Price", "now": 2, "left_without": 2}]
    assert (result["read"], result["unread"], result["none_now"], result["none_then"]) == (6, 0, 3, 4)
    assert shown(world) == before
    assert set(current(world, colleague)) == {"Delivery", "Price"}
    assert "parcel" not in str(result), "it quotes nobody: what is deleted meanwhile must not stand here"


def test_a_preview_names_the_drafts_that_it_saw(world: Context, colleague: Actor) -> None:
    wanted = (*current(world, colleague).values(), Draft("Brakes", (" squeaking  brakes ", "squeaking brakes")))
    assert ask(world, colleague, topics.preview, *wanted)["digest"] == topics.digest(topics.checked(wanted))


def test_a_new_name_is_no_gain_and_no_loss(world: Context, colleague: Actor) -> None:
    now = current(world, colleague)
    result = ask(world, colleague, topics.preview, replace(now["Delivery"], name="Parcels"), now["Price"])
    assert [(one["now"], one["gains"], one["loses"]) for one in result["topics"]] == [(2, 0, 0), (2, 0, 0)]


def test_what_people_said_wins_in_a_preview_too(world: Context, colleague: Actor) -> None:
    inbox.correct(world, colleague, 4, "topics", [])
    result = ask(world, colleague, topics.preview, *current(world, colleague).values(), Draft("Brakes", ("brakes",)))
    assert result["topics"][2]["gained"] == [5]


def test_phrases_of_two_topics_that_say_the_same_are_shown(world: Context, colleague: Actor) -> None:
    now = current(world, colleague)
    wanted = (now["Delivery"], replace(now["Price"], phrases=("too expensive", "parcel too late")))
    result = ask(world, colleague, topics.preview, *wanted)
    assert [clash[:4] for clash in result["clashes"]] == [["Delivery", "late parcel", "Price", "parcel too late"]]


def test_what_another_model_read_keeps_its_topics(world: Context, colleague: Actor, monkeypatch: Any) -> None:
    before = shown(world)
    monkeypatch.setattr(Bag, "model", "bag 2")
    now = current(world, colleague)
    wanted = (replace(now["Delivery"], name="Parcels"), now["Price"], Draft("Brakes", ("squeaking brakes",)))
    result = ask(world, colleague, topics.preview, *wanted)
    assert (result["unread"], result["topics"][2]["gains"]) == (6, 0)
    ask(world, colleague, topics.apply, *wanted)
    assert shown(world) == {
        id_: {"Parcels" if name == "Delivery" else name for name in names} for id_, names in before.items()
    }
    assert_counts_are_exact(world)


def test_another_checkpoint_for_the_sentiment_keeps_nothing_from_being_compared(
    world: Context, colleague: Actor, monkeypatch: Any
) -> None:
    monkeypatch.setattr(Bag, "model", f"{Bag.model}, sentiment acme/mood 01234567")
    ask(world, colleague, topics.apply, *current(world, colleague).values(), Draft("Brakes", ("brakes",)))
    assert shown(world)[4] == {"Brakes"}
    assert {"sentiment" in row[0] for row in look(world, "SELECT model FROM tags")} == {False}, (
        "it has read none of them"
    )


# Applying -------------------------------------------------------------------------------------------------------------


def test_a_change_re_tags_what_is_here_and_what_comes(world: Context, colleague: Actor) -> None:
    result = ask(world, colleague, topics.apply, *current(world, colleague).values(), Draft("Brakes", ("brakes",)))
    assert (result["done"], result["changed"]) == (6, 2)
    assert shown(world) == {1: {"Delivery"}, 2: {"Delivery", "Price"}, 3: {"Price"}, 4: {"Brakes"}, 5: {"Brakes"}}
    assert_counts_are_exact(world)
    says(world, "new brakes please")
    assert shown(world)[7] == {"Brakes"}
    entry = audit.entries(world, colleague)[0]
    assert (entry.who, entry.action, entry.subject) == ("Ada", "changed", "topics 2")
    assert "“Brakes” added, 1 phrase" in entry.detail_words


def test_no_text_is_read_again(world: Context, colleague: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Bag, texts: Sequence[str]) -> Any:
        raise AssertionError(f"read {texts}")

    monkeypatch.setattr(Bag, "tags", refuse)
    ask(world, colleague, topics.apply, *current(world, colleague).values(), Draft("Brakes", ("brakes",)))
    assert shown(world)[4] == {"Brakes"}


def test_what_people_said_of_a_mention_wins(world: Context, colleague: Actor) -> None:
    inbox.correct(world, colleague, 5, "topics", ["Price"])
    inbox.correct(world, colleague, 1, "topics", [])
    ask(world, colleague, topics.apply, *current(world, colleague).values(), Draft("Brakes", ("brakes",)))
    assert shown(world)[5] == {"Price"}
    assert 1 not in shown(world)
    assert_counts_are_exact(world)


def test_applying_without_a_change_brings_what_corrections_taught(world: Context, colleague: Actor) -> None:
    inbox.correct(world, colleague, 5, "topics", ["Delivery"])
    assert 4 not in shown(world)
    ask(world, colleague, topics.apply, *current(world, colleague).values())
    assert shown(world)[4] == {"Delivery"}


def test_a_new_name_carries_everything_along(world: Context, colleague: Actor) -> None:
    inbox.correct(world, colleague, 6, "topics", ["Delivery"])
    inbox.correct(world, colleague, 1, "topics", ["Price"])
    now = current(world, colleague)
    ask(world, colleague, topics.apply, replace(now["Delivery"], name="Parcels"), now["Price"])
    assert {name for names in shown(world).values() for name in names} == {"Parcels", "Price"}
    assert look(world, "SELECT DISTINCT key FROM rollups WHERE dimension = 'topic' ORDER BY key") == [
        ("Parcels",),
        ("Price",),
    ]
    assert _corrections(world) == [(["Parcels"], []), (["Price"], ["Parcels"])]
    assert_counts_are_exact(world)


def _corrections(ctx: Context) -> list[tuple[list[str], list[str]]]:
    from sqlalchemy import select

    from db.tables import ALL

    table = ALL.tables["corrections"]
    with ctx.database.reading() as tx:
        found = tx.connection.execute(select(table.c.value, table.c.model_said).order_by(table.c.id))
        return [(row.value, row.model_said) for row in found]


def test_two_topics_may_change_names(world: Context, colleague: Actor) -> None:
    before = shown(world)
    now = current(world, colleague)
    wanted = (replace(now["Delivery"], name="Price"), replace(now["Price"], name="Delivery"))
    ask(world, colleague, topics.apply, *wanted)
    other = {"Price": "Delivery", "Delivery": "Price"}
    assert shown(world) == {id_: {other[name] for name in names} for id_, names in before.items()}
    assert_counts_are_exact(world)


def test_a_deleted_topic_is_gone_and_comes_back_with_what_people_said(world: Context, colleague: Actor) -> None:
    inbox.correct(world, colleague, 6, "topics", ["Price"])
    before, taxonomy = shown(world), topics.taxonomy(world, colleague)
    ask(world, colleague, topics.apply, current(world, colleague)["Delivery"])
    assert shown(world) == {1: {"Delivery"}, 2: {"Delivery"}}
    assert_counts_are_exact(world)
    requests.serve(world, topics.put_back(world, colleague, topics.taxonomy(world, colleague).version))
    assert shown(world) == before
    assert topics.taxonomy(world, colleague).drafts == taxonomy.drafts, "with their ids"
    assert_counts_are_exact(world)


def test_a_name_that_is_free_again_takes_nothing_over(world: Context, colleague: Actor) -> None:
    """One topic is deleted, and another takes its name in the same change."""
    now = current(world, colleague)
    ask(world, colleague, topics.apply, replace(now["Delivery"], name="Price"))
    assert shown(world) == {1: {"Price"}, 2: {"Price"}}
    assert_counts_are_exact(world)


def test_the_change_before_is_told_and_undone_and_done_again(world: Context, colleague: Actor) -> None:
    ask(world, colleague, topics.apply, *current(world, colleague).values(), Draft("Brakes", ("brakes",)))
    with_brakes = shown(world)
    taxonomy = topics.taxonomy(world, colleague)
    assert taxonomy.before is not None
    assert (taxonomy.before.words, taxonomy.before.who) == ("“Brakes” added, 1 phrase", "Ada")
    requests.serve(world, topics.put_back(world, colleague, taxonomy.version))
    assert "Brakes" not in current(world, colleague)
    requests.serve(world, topics.put_back(world, colleague, topics.taxonomy(world, colleague).version))
    assert shown(world) == with_brakes


def test_topics_of_a_database_made_before_can_be_put_back(ctx: Context, colleague: Actor) -> None:
    with ctx.database.transaction() as tx:
        rows.replace(tx, [TopicRow("Delivery", ("late parcel",))])
    assert topics.taxonomy(ctx, colleague).version == 0
    ask(ctx, colleague, topics.apply, *current(ctx, colleague).values(), PRICE)
    taxonomy = topics.taxonomy(ctx, colleague)
    assert taxonomy.before is not None
    assert [one.name for one in taxonomy.before.topics] == ["Delivery"]


def test_only_so_many_earlier_taxonomies_are_kept(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "KEPT", 3)
    with ctx.database.transaction() as tx:
        for number in range(7):
            rows.record(tx, f"Change {number}", None, ctx.clock())
        assert [one.words for one in rows.history(tx, 10)] == ["Change 6", "Change 5", "Change 4"]


# Two at once, and what is lost on the way -----------------------------------------------------------------------------


def test_the_second_of_two_is_told(world: Context, colleague: Actor, triggers: RecordedTriggers) -> None:
    version = topics.taxonomy(world, colleague).version
    first, second = (*current(world, colleague).values(), Draft("A", ("a",))), (Draft("B", ("b",)),)
    request_id = topics.apply(world, colleague, first, version)
    assert triggers.served == [request_id]
    with pytest.raises(DialogueError, match="is being applied"):
        topics.apply(world, colleague, second, version)
    assert topics.taxonomy(world, colleague).applying == request_id
    requests.serve(world, request_id)
    for how in (topics.apply, topics.preview):
        with pytest.raises(Stale, match="Somebody has changed"):
            how(world, colleague, second, version)
    assert set(current(world, colleague)) == {"Delivery", "Price", "A"}


def test_one_that_is_stale_when_its_turn_comes_changes_nothing(world: Context, colleague: Actor) -> None:
    version = topics.taxonomy(world, colleague).version
    request_id = topics.apply(world, colleague, (DELIVERY,), version)
    with world.database.transaction() as tx:
        rows.record(tx, "Meanwhile", None, world.clock())
    requests.serve(world, request_id)
    assert "Somebody has changed" in requests.get(world, request_id).error
    assert set(current(world, colleague)) == {"Delivery", "Price"}


class Killed(BaseException):
    """What no handler survives."""


@pytest.mark.parametrize("time", [1, 2, 3])
@pytest.mark.parametrize("point", ["apply_topics.in_force", "apply_topics.batch"])
def test_a_worker_that_is_killed_leaves_the_rest_to_the_next(
    world: Context, colleague: Actor, clock: Clock, monkeypatch: pytest.MonkeyPatch, point: str, time: int
) -> None:
    monkeypatch.setattr(retagging, "BATCH", 2)
    reached: list[str] = []

    def kill(name: str) -> None:
        reached.append(name)
        if reached.count(point) == time and name == point:
            raise Killed

    monkeypatch.setattr(points, "reached", kill)
    now = current(world, colleague)
    wanted = (replace(now["Delivery"], name="Parcels"), Draft("Brakes", ("brakes",)))
    version = topics.taxonomy(world, colleague).version
    request_id = topics.apply(world, colleague, wanted, version)
    try:
        requests.serve(world, request_id)
    except Killed:
        assert requests.get(world, request_id).state == "running"
        assert_counts_are_exact(world)
        says(world, "brakes while nobody looked")
        assert shown(world)[7] == {"Brakes"}
        clock.forward(minutes=5)
        requests.serve(world, request_id)
    assert requests.get(world, request_id).state == "done"
    found = shown(world)
    found.pop(7, None)
    assert found == {1: {"Parcels"}, 2: {"Parcels"}, 4: {"Brakes"}, 5: {"Brakes"}}
    assert topics.taxonomy(world, colleague).version == version + 1, "it was put in force once"
    assert_counts_are_exact(world)


@pytest.mark.parametrize("seed", [1, 2])
def test_counts_are_exact_after_any_changes(
    world: Context, colleague: Actor, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(retagging, "BATCH", 4)
    chance = random.Random(seed)
    words = ["late", "parcel", "expensive", "brakes", "squeaking", "too", "say"]
    for _ in range(8):
        drafts = list(current(world, colleague).values())
        for place, one in enumerate(drafts):
            phrases = tuple(chance.sample(words, 2))
            name = chance.choice([one.name, f"{one.name[:20]} {chance.randrange(99)}"])
            drafts[place] = replace(one, name=name, phrases=phrases)
        drafts = chance.sample(drafts, max(1, len(drafts) - chance.randrange(2)))
        drafts.append(Draft(f"New {chance.randrange(10**6)}", (chance.choice(words),)))
        ask(world, colleague, topics.apply, *drafts)
        names = list(current(world, colleague))
        inbox.correct(world, colleague, chance.randrange(1, 7), "topics", chance.sample(names, chance.randrange(2)))
        says(world, " ".join(chance.sample(words, 3)))
        assert_counts_are_exact(world)
        assert {name for found in shown(world).values() for name in found} <= set(names)
    with world.database.reading() as tx:
        assert len(tags.embedded(tx, 100, everything=True)) == 14


# Who may, and what cannot be ------------------------------------------------------------------------------------------


def test_a_viewer_reads_and_changes_nothing(world: Context, colleague: Actor) -> None:
    viewer = as_role(colleague, Role.VIEWER)
    taxonomy = topics.taxonomy(world, viewer)
    assert len(taxonomy.topics) == 2
    assert "late parcel" in topics.as_file(world, viewer)
    attempts: tuple[Callable[[], object], ...] = (
        lambda: topics.preview(world, viewer, taxonomy.drafts, taxonomy.version),
        lambda: topics.apply(world, viewer, taxonomy.drafts, taxonomy.version),
        lambda: topics.put_back(world, viewer, taxonomy.version),
        lambda: topics.add(world, viewer, "Brakes", ["brakes"]),
        lambda: topics.suggest(world, viewer),
    )
    for forbidden in attempts:
        with pytest.raises((NotAllowed, Missing)):
            forbidden()
    assert topics.taxonomy(world, as_role(colleague, Role.PRODUCT)) == taxonomy


@pytest.mark.parametrize(
    ("drafts", "words"),
    [
        ((), "at least one"),
        ((Draft(" ", ("a",)),), "no name"),
        ((Draft("A", ()),), "'A' has no phrase"),
        ((Draft("A", ("\u200b",)),), "'A' has no phrase"),
        ((Draft("A", ("a",)), Draft("a ", ("b",))), "two topics are named 'a'"),
        ((Draft("A" * 61, ("a",)),), "60 readable letters"),
        ((Draft("A", ("a" * 201,)),), "A phrase of 'A' has 201 characters; 200 is the most"),
        ((Draft("A", tuple(f"p{n}" for n in range(61))),), "61 phrases; 60 is the most"),
        (tuple(Draft(f"T{n}", ("a",)) for n in range(201)), "201 topics are too many"),
    ],
)
def test_what_cannot_be_a_taxonomy_is_told(ctx: Context, colleague: Actor, drafts: Any, words: str) -> None:
    with pytest.raises(DialogueError) as told:
        topics.apply(ctx, colleague, drafts, 0)
    assert words.casefold() in str(told.value).casefold()


def test_one_more_topic_in_one_call(world: Context, colleague: Actor) -> None:
    requests.serve(world, topics.add(world, colleague, "Brakes", ["squeaking brakes"]))
    assert list(current(world, colleague)) == ["Delivery", "Price", "Brakes"]
    assert shown(world)[4] == {"Brakes"}


def test_changes_are_told_in_words() -> None:
    a, b, c = Draft("A", ("a", "b"), (), 1), Draft("B", ("c",), ("x",), 2), Draft("C", ("d",), (), 3)
    after = (c, Draft("A", ("a", "z", "y"), (), 1), Draft("Bee", ("c",), (), 2), Draft("D", ("q", "r")))
    assert topics.changes((a, b, c), after) == (
        "“A”: 2 phrases added",
        "“A”: 1 phrase taken out",
        "“B” renamed to “Bee”",
        "“Bee”: 1 example taken out",
        "“D” added, 2 phrases",
        "order changed",
    )
    assert topics.changes((a, b), (b,)) == ("“A” deleted",)
    assert topics.changes((a, b), (a, b)) == ()


# As a file ------------------------------------------------------------------------------------------------------------


def test_an_exported_file_comes_back_as_it_was(world: Context, colleague: Actor) -> None:
    now = topics.taxonomy(world, colleague).drafts
    assert topics.from_file(topics.as_file(world, colleague), now) == now


def test_an_imported_file_keeps_the_topics_that_it_names(world: Context, colleague: Actor) -> None:
    now = current(world, colleague)
    for text in (
        '[[topic]]\nname = "price"\nphrases = ["cheap"]\n[[topic]]\nname = "Brakes"\nphrases = ["brakes"]\n',
        '[{"name": "price", "phrases": ["cheap"]}, {"name": "Brakes", "phrases": ["brakes"]}]',
    ):
        found = topics.from_file(text, tuple(now.values()))
        assert [(one.name, one.id) for one in found] == [("price", now["Price"].id), ("Brakes", 0)]


@pytest.mark.parametrize("text", ["", "[[topic", "{", "[[topic]]\nname = 3", "x" * 2_000_000, "[" * 100_000])
def test_a_file_that_cannot_be_read_is_told(text: str) -> None:
    with pytest.raises(DialogueError):
        topics.from_file(text, ())


# How each topic did ---------------------------------------------------------------------------------------------------


def test_each_topic_says_how_often_people_changed_it(world: Context, colleague: Actor) -> None:
    inbox.correct(world, colleague, 1, "topics", ["Delivery"])
    inbox.correct(world, colleague, 2, "topics", ["Price"])
    inbox.correct(world, colleague, 6, "topics", ["Price"])
    delivery, price = topics.taxonomy(world, colleague).topics
    assert (delivery.mentions, delivery.confirmed, delivery.added, delivery.taken_away) == (1, 1, 0, 1)
    assert (price.mentions, price.confirmed, price.added, price.taken_away, price.learned) == (3, 1, 1, 0, 2)
    assert delivery.share_corrected == pytest.approx(1 / 2)
    assert price.share_corrected == pytest.approx(1 / 3)


# Suggestions ----------------------------------------------------------------------------------------------------------

SQUEAKS = [f"{one} the squeaking brakes" for one in ("I hear", "He loathes", "She curses", "We fear", "They hide")]


def suggested(ctx: Context, actor: Actor) -> dict[str, Any]:
    request_id = topics.suggest(ctx, actor)
    requests.serve(ctx, request_id)
    view = requests.get(ctx, request_id)
    assert view.state == "done", view.error
    return view.result


def test_what_several_people_say_without_a_topic_is_suggested(world: Context, colleague: Actor) -> None:
    ids = says(world, *SQUEAKS)
    (first, *_) = suggested(world, colleague)["without"]
    assert "squeaking brakes" in first["phrase"]
    assert first["people"] >= 5
    assert set(first["ids"]) <= {4, 5, *ids}


def test_what_was_written_where_it_may_not_teach_is_never_suggested(world: Context, colleague: Actor) -> None:
    for platform in [name for name, allows in registry.capabilities().items() if not allows.trainable]:
        for id_ in says(world, *(f"{platform} {text}" for text in SQUEAKS), platform=platform):
            inbox.correct(world, colleague, id_, "topics", ["Price"])
    assert suggested(world, colleague)["without"] == []
    assert suggested(world, colleague)["topics"] == {}


def test_what_people_confirmed_suggests_phrases_for_the_topic(world: Context, colleague: Actor) -> None:
    for id_ in says(world, *SQUEAKS):
        inbox.correct(world, colleague, id_, "topics", ["Delivery"])
    assert "squeaking brakes" in suggested(world, colleague)["topics"]["Delivery"][0]["phrase"]


def test_topics_that_mostly_come_together_are_shown(world: Context, colleague: Actor) -> None:
    says(world, *(f"late parcel too expensive {number}" for number in range(5)))
    assert suggested(world, colleague)["overlaps"] == [["Delivery", "Price", 6, 7]]
    assert suggesting.overlaps({"A": 20, "B": 90}, {("A", "B"): 7}) == []
