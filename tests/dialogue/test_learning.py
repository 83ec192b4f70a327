"""What people's corrections teach: counted at the next batch, without another model, and only where that is allowed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from analysis.base import Topic
from db import forgetting, topics
from db.topics import TopicRow
from dialogue import inbox, understanding
from dialogue.context import Actor, Context
from dialogue.understanding import understand
from listeners import registry
from tests.bag import Bag
from tests.worlds import digest, look, post, store

TAXONOMY = (TopicRow("Delivery", ("late parcel",)), TopicRow("Price", ("too expensive",)))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Bag]:
    """The analysers that had to be opened."""
    made: list[Bag] = []

    def open_it(taxonomy: Sequence[Topic]) -> Bag:
        made.append(Bag(taxonomy))
        return made[-1]

    monkeypatch.setattr(understanding, "_opener", open_it)
    monkeypatch.setattr(understanding, "_open", None)
    return made


@pytest.fixture
def taxonomy(any_ctx: Context) -> None:
    with any_ctx.database.transaction() as tx:
        topics.replace(tx, TAXONOMY)


def says(ctx: Context, number: int, text: str, platform: str = "feed") -> int:
    """Somebody says it, and the model reads it; the mention's id."""
    (id_,) = store(ctx, post(str(number), text, platform=platform)).new_ids
    understand(ctx)
    return id_


def shown(ctx: Context, mention_id: int) -> list[str]:
    return [row[0] for row in look(ctx, f"SELECT topic FROM mention_topics WHERE mention_id = {mention_id}")]


def taught(ctx: Context) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    with ctx.database.reading() as tx:
        return {one.name: (one.examples, one.counterexamples) for one in understanding.learned(tx)}


@pytest.mark.usefixtures("taxonomy")
def test_a_correction_changes_what_is_said_of_the_next_like_it(
    any_ctx: Context, colleague: Actor, opened: list[Bag]
) -> None:
    first = says(any_ctx, 1, "still waiting at my door since monday")
    assert shown(any_ctx, first) == []
    inbox.correct(any_ctx, colleague, first, "topics", ["Delivery"])
    later = says(any_ctx, 2, "waiting at my door since monday morning")
    assert shown(any_ctx, later) == ["Delivery"]
    assert len(opened) == 1, "another taxonomy costs no other model"
    inbox.withdraw(any_ctx, colleague, first, "topics")
    assert shown(any_ctx, says(any_ctx, 3, "at my door since monday, still waiting")) == []


@pytest.mark.usefixtures("taxonomy", "opened")
def test_what_was_taken_away_is_no_example_and_keeps_the_topic_from_what_is_like_it(
    any_ctx: Context, colleague: Actor
) -> None:
    text = "parcel of land sold late last week"
    first = says(any_ctx, 1, f"late parcel, {text}")
    assert shown(any_ctx, first) == ["Delivery"]
    inbox.correct(any_ctx, colleague, first, "topics", ["Price"])
    assert taught(any_ctx) == {
        "Delivery": ((), (f"late parcel, {text}",)),
        "Price": ((f"late parcel, {text}",), ()),
    }
    assert shown(any_ctx, says(any_ctx, 2, f"late parcel: the {text}")) == ["Price"]
    assert shown(any_ctx, says(any_ctx, 3, "my parcel is late")) == ["Delivery"]


@pytest.mark.usefixtures("taxonomy", "opened")
def test_what_was_written_where_it_may_not_teach_never_does(any_ctx: Context, colleague: Actor) -> None:
    closed = [name for name, allows in registry.capabilities().items() if not allows.trainable]
    assert closed
    for number, platform in enumerate([*closed, "no longer installed"]):
        id_ = says(any_ctx, number, f"late parcel as told on {platform}", platform)
        inbox.correct(any_ctx, colleague, id_, "topics", ["Price"])
    assert taught(any_ctx) == {"Delivery": ((), ()), "Price": ((), ())}
    assert look(any_ctx, "SELECT count(*) FROM corrections") == [(len(closed) + 1,)], "they still count as gold"


@pytest.mark.usefixtures("taxonomy", "opened")
def test_only_the_newest_are_learned_and_equal_ones_once(
    any_ctx: Context, colleague: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(understanding, "EXAMPLES", 2)
    for number, text in enumerate(["first", "second", "second", "third"]):
        inbox.correct(any_ctx, colleague, says(any_ctx, number, text), "topics", ["Delivery"])
    assert taught(any_ctx)["Delivery"][0] == ("third", "second")


@pytest.mark.usefixtures("taxonomy", "opened")
def test_what_is_deleted_at_its_source_teaches_no_more(any_ctx: Context, colleague: Actor) -> None:
    id_ = says(any_ctx, 1, "It  squeaks\nat night")
    inbox.correct(any_ctx, colleague, id_, "topics", ["Delivery"])
    with any_ctx.database.transaction() as tx:
        copied = TopicRow("Noise", ("squeaking",), ("it squeaks at night", "a rattle"))
        topics.replace(tx, [*TAXONOMY, copied])
        topics.record(tx, "Copied", colleague.user_id, any_ctx.clock())
    with any_ctx.database.transaction() as tx:
        forgetting.forget(tx, [id_], now=any_ctx.clock(), reason="deleted at source", digest=digest)
    assert taught(any_ctx)["Delivery"] == ((), ())
    assert taught(any_ctx)["Noise"] == (("a rattle",), ())
    assert "at night" not in str(look(any_ctx, "SELECT topics FROM taxonomies"))


@pytest.mark.usefixtures("opened")
def test_topics_that_changed_while_a_batch_was_read_are_not_mixed(
    any_ctx: Context, taxonomy: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    tags = Bag.tags

    def changed_meanwhile(self: Bag, texts: Sequence[str]) -> object:
        monkeypatch.setattr(Bag, "tags", tags)
        with any_ctx.database.transaction() as tx:
            topics.replace(tx, [TopicRow("Post", ("late parcel",))])
            topics.record(tx, "Other topics", None, any_ctx.clock())
        return tags(self, texts)

    monkeypatch.setattr(Bag, "tags", changed_meanwhile)
    assert shown(any_ctx, says(any_ctx, 1, "late parcel")) == ["Post"]


def test_a_correction_teaches_the_real_model(ctx: Context, colleague: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(understanding, "_open", None)
    monkeypatch.setattr(understanding, "_threads", 1)
    with ctx.database.transaction() as tx:
        topics.replace(tx, TAXONOMY)
    first = says(ctx, 1, "Three weeks now and still nothing has turned up at my door")
    assert shown(ctx, first) == []
    inbox.correct(ctx, colleague, first, "topics", ["Delivery"])
    assert shown(ctx, says(ctx, 2, "Four weeks and nothing turned up at my door yet")) == ["Delivery"]
    assert shown(ctx, says(ctx, 3, "Happy birthday to my sister!")) == []
