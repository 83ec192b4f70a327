"""Understanding: each text read once, corrections win, rollups exact after anything that can happen."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta

import pytest

from analysis.base import Analyser, Intent, IntentScore, Sentiment, SentimentScores, Tags, Topic, TopicScore
from db import forgetting, rollups, tags, topics
from db.mentions import upsert
from db.tables import Correction, User
from db.topics import TopicRow
from dialogue import requests, understanding, workspace
from dialogue.collecting import as_mention
from dialogue.context import SYSTEM, Context
from dialogue.understanding import understand
from listeners.base import Post
from tests.conftest import Clock, RecordedTriggers
from tests.worlds import add_source, digest, look, post, said, store, tag


class Reader:
    """An analyser that takes the first word for the mood, and remembers what it was given to read."""

    model = "reader 1"

    def __init__(self) -> None:
        self.read: list[list[str]] = []
        self.trouble: Exception | None = None

    def tags(self, texts: Sequence[str]) -> list[Tags]:
        if self.trouble is not None:
            raise self.trouble
        self.read.append(list(texts))
        return [_tags(text) for text in texts]


def _tags(text: str) -> Tags:
    mood = next((one for one in Sentiment if text.startswith(one.value)), Sentiment.NEUTRAL)
    found = (TopicScore("hinges", 0.9),) if "hinge" in text else ()
    return Tags("en", SentimentScores(mood, 0.1, 0.8, 0.1), IntentScore(Intent.OTHER, 0.5), found, b"\0\0", "reader 1")


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Reader:
    reader = Reader()

    def open_it(_: Sequence[Topic]) -> Analyser:
        return reader

    monkeypatch.setattr(understanding, "_opener", open_it)
    monkeypatch.setattr(understanding, "_open", None)
    return reader


def test_everything_that_waits_is_tagged_and_counted(any_ctx: Context, reader: Reader) -> None:
    store(any_ctx, post("1", "negative hinge"), post("2", "positive door"))
    assert understanding.waiting(any_ctx)
    assert understand(any_ctx) == 2
    assert not understanding.waiting(any_ctx)
    assert look(any_ctx, "SELECT sentiment FROM effective_tags ORDER BY mention_id") == [("negative",), ("positive",)]
    assert look(any_ctx, "SELECT sentiment FROM conversations ORDER BY id") == [("negative",), ("positive",)]
    found = look(any_ctx, "SELECT dimension, key, sentiment, count FROM rollups WHERE dimension IN ('all', 'topic')")
    assert sorted(found) == [("all", "", "negative", 1), ("all", "", "positive", 1), ("topic", "hinges", "negative", 1)]


def test_equal_texts_are_read_once_also_later(ctx: Context, reader: Reader) -> None:
    store(ctx, *(post(str(number), "neutral same words") for number in range(5)))
    understand(ctx)
    store(ctx, post("later", "neutral same words"))
    understand(ctx)
    assert reader.read == [["neutral same words"], []]
    assert look(ctx, "SELECT count(*) FROM tags") == [(6,)]


def test_a_title_is_read_too_and_short_texts_first(ctx: Context, reader: Reader) -> None:
    store(ctx, post("1", "neutral and rather longer than the other"), post("2", "neutral", title="Door"))
    understand(ctx)
    assert reader.read == [["Door\nneutral", "neutral and rather longer than the other"]]


def test_other_topics_make_other_tags(ctx: Context, reader: Reader) -> None:
    store(ctx, post("1", "neutral words"))
    understand(ctx)
    with ctx.database.transaction() as tx:
        topics.replace(tx, [TopicRow("hinges", ("a squeaking hinge",))])
    store(ctx, post("2", "neutral words"))
    understand(ctx)
    assert len(reader.read) == 2, "what was read under the old topics says nothing about the new ones"
    assert len(look(ctx, "SELECT DISTINCT model FROM tags")) == 2


def test_a_reader_that_fails_gives_back_what_it_held(ctx: Context, reader: Reader) -> None:
    store(ctx, post("1", "neutral"))
    reader.trouble = RuntimeError("no memory")
    with pytest.raises(RuntimeError):
        understand(ctx)
    assert understanding.waiting(ctx)
    reader.trouble = None
    assert understand(ctx) == 1


def test_an_edit_under_way_keeps_old_tags_out(any_ctx: Context, clock: Clock) -> None:
    store(any_ctx, post("1", "before"))
    with any_ctx.database.transaction() as tx:
        held = tags.claim(tx, clock(), timedelta(minutes=1), 10)
    store(any_ctx, post("1", "after"))
    with any_ctx.database.transaction() as tx:
        assert tags.store(tx, [(one, said("negative")) for one in held], "UTC", clock()) == 0
    assert look(any_ctx, "SELECT count(*) FROM tags") == [(0,)]
    assert understanding.waiting(any_ctx)


def test_what_a_lost_worker_held_is_free_again(any_ctx: Context, clock: Clock) -> None:
    store(any_ctx, post("1"))
    with any_ctx.database.transaction() as tx:
        first = tags.claim(tx, clock(), timedelta(minutes=1), 10)
    with any_ctx.database.transaction() as tx:
        assert tags.claim(tx, clock(), timedelta(minutes=1), 10) == []
    clock.forward(minutes=2)
    with any_ctx.database.transaction() as tx:
        second = tags.claim(tx, clock(), timedelta(minutes=1), 10)
    assert [one.id for one in second] == [one.id for one in first]
    with any_ctx.database.transaction() as tx:
        assert tags.store(tx, [(first[0], said())], "UTC", clock()) == 0, "the one that lost it changes nothing"
        assert tags.store(tx, [(second[0], said())], "UTC", clock()) == 1


def test_one_text_that_cannot_be_read_keeps_no_other_from_being_read(
    any_ctx: Context, clock: Clock, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = reader.tags

    def picky(texts: Sequence[str]) -> list[Tags]:
        if "unreadable" in texts:
            raise RuntimeError("no such text was foreseen")
        return read(texts)

    monkeypatch.setattr(reader, "tags", picky)
    store(any_ctx, post("1", "neutral before"), post("2", "unreadable"), post("3", "neutral after"))
    for _ in range(5):
        with suppress(RuntimeError):
            understand(any_ctx)
    assert look(any_ctx, "SELECT mention_id FROM tags ORDER BY mention_id") == [(1,), (3,)]
    assert not understanding.waiting(any_ctx), "it is left alone for a while"
    monkeypatch.setattr(reader, "tags", read)
    clock.forward(hours=24)
    assert understand(any_ctx) == 1, "and not given up"


def test_a_text_that_costs_workers_their_life_is_taken_alone(any_ctx: Context, clock: Clock) -> None:
    store(any_ctx, post("1"), post("2"))
    taken = []
    for _ in range(5):
        with any_ctx.database.transaction() as tx:
            taken.append(len(tags.claim(tx, clock(), timedelta(minutes=1), 10)))
        clock.forward(minutes=2)
    assert taken == [2, 2, 2, 1, 1]


def test_a_model_that_cannot_be_opened_is_no_mentions_fault(
    ctx: Context, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(ctx, post("1"), post("2"))
    monkeypatch.setattr(understanding, "_opener", lambda _: 1 / 0)
    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            understand(ctx)
    monkeypatch.setattr(understanding, "_opener", lambda _: reader)
    assert understand(ctx) == 2
    assert len(reader.read) == 1


@pytest.mark.parametrize(
    ("first", "last", "zone"),
    [("0002-01-01T00:00:00+14:00", "9998-12-31T23:59:00-14:00", zone) for zone in ("America/New_York", "Asia/Tokyo")],
)
def test_the_oldest_and_the_newest_moment_that_a_post_can_have_are_counted(
    any_ctx: Context, reader: Reader, first: str, last: str, zone: str
) -> None:
    workspace.change(any_ctx, SYSTEM, time_zone=zone)
    for moment in (first, last):
        made = Post(platform="forum", external_id=moment, text="neutral", posted_at=datetime.fromisoformat(moment))
        store(any_ctx, as_mention(made))
    assert understand(any_ctx) == 2


def test_a_long_queue_is_tagged_in_turns(
    ctx: Context, reader: Reader, triggers: RecordedTriggers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(understanding, "BATCH", 2)
    monkeypatch.setattr(understanding, "BATCHES_A_RUN", 3)
    store(ctx, *(post(str(number), f"neutral {number}") for number in range(10)))
    assert understand(ctx) == 6
    assert triggers.understood == 1
    assert understand(ctx) == 4


def _correct(ctx: Context, user_id: int | None, mention_id: int, field: str, *value: str) -> None:
    with ctx.database.transaction() as tx:
        assert user_id is not None
        tx.session.add(
            Correction(mention_id=mention_id, field=field, value=list(value), user_id=user_id, at=ctx.clock())
        )
        tags.reapply(tx, mention_id, workspace.get(ctx).time_zone)


def _ada(ctx: Context) -> int:
    with ctx.database.transaction() as tx:
        user = User(username="ada", display_name="Ada", role="admin", created_at=ctx.clock())
        tx.session.add(user)
        tx.session.flush()
        assert user.id is not None
        return user.id


def test_a_correction_outlives_every_later_reading(any_ctx: Context) -> None:
    (id_,) = store(any_ctx, post("1", "It is bad")).new_ids
    tag(any_ctx, said("negative", "complaint", "hinges"))
    _correct(any_ctx, _ada(any_ctx), id_, "sentiment", "positive")
    assert look(any_ctx, "SELECT sentiment FROM conversations") == [("positive",)]
    store(any_ctx, post("1", "It is very bad"))
    tag(any_ctx, said("negative", "complaint", "doors", model="m2"))
    assert look(any_ctx, "SELECT sentiment, intent FROM effective_tags") == [("positive", "complaint")]
    assert look(any_ctx, "SELECT topic FROM mention_topics") == [("doors",)]
    assert look(any_ctx, "SELECT sentiment FROM tags") == [("negative",)], "what the model said stays beside it"


def test_a_second_source_counts_what_was_tagged_before(any_ctx: Context) -> None:
    first, second = add_source(any_ctx), add_source(any_ctx)
    store(any_ctx, post("1"), source_id=first)
    tag(any_ctx, said("negative"))
    store(any_ctx, post("1"), source_id=second)
    found = look(any_ctx, "SELECT key, count FROM rollups WHERE dimension = 'source' ORDER BY key")
    assert found == [(str(first), 1), (str(second), 1)]


def test_days_follow_the_workspaces_zone(any_ctx: Context) -> None:
    store(any_ctx, post("1"))
    tag(any_ctx, said())
    workspace.change(any_ctx, SYSTEM, time_zone="Pacific/Auckland")
    (request_id,) = requests.due(any_ctx)
    requests.serve(any_ctx, request_id)
    assert requests.get(any_ctx, request_id).state == "done"
    assert [str(row[0]) for row in look(any_ctx, "SELECT day FROM rollups WHERE dimension = 'all'")] == ["2026-11-21"]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_rollups_are_exact_after_anything_that_can_happen(any_ctx: Context, seed: int, clock: Clock) -> None:
    chance = random.Random(seed)
    ada = _ada(any_ctx)
    sources = [add_source(any_ctx), add_source(any_ctx)]

    def some_post() -> None:
        number = chance.randrange(25)
        at = clock.now - timedelta(hours=chance.randrange(100))
        text = chance.choice(["It squeaks", "It fits", "Why?"])
        author = f"a{number % 4}"
        page = [post(str(number), text, posted_at=at, author_id=author, root_id=chance.choice([None, "3"]))]
        with any_ctx.database.transaction() as tx:
            upsert(tx, page, now=clock(), digest=digest, source_id=chance.choice(sources))

    def tagging() -> None:
        tag(any_ctx, said(chance.choice(["negative", "neutral", "positive"]), chance.choice(["praise", "question"]),
                          *chance.sample(["hinges", "doors", "price"], chance.randrange(3))))  # fmt: skip

    def some_mention() -> int | None:
        ids = [row[0] for row in look(any_ctx, "SELECT id FROM mentions")]
        return chance.choice(ids) if ids else None

    def correcting() -> None:
        if (id_ := some_mention()) is not None:
            field = chance.choice(["sentiment", "topics"])
            _correct(any_ctx, ada, id_, field, "positive" if field == "sentiment" else "warranty")

    def forgetting_one() -> None:
        if (id_ := some_mention()) is not None:
            with any_ctx.database.transaction() as tx:
                forgetting.forget(tx, [id_], now=clock(), reason="deleted at source", digest=digest)

    def finding_that_an_author_is_ours() -> None:
        with any_ctx.database.transaction() as tx:
            forgetting.mark_ours(tx, "forum", f"a{chance.randrange(4)}", clock())

    steps = [some_post] * 8 + [tagging] * 3 + [correcting] * 2 + [forgetting_one]
    for number in range(60):
        (finding_that_an_author_is_ours if number == 45 else chance.choice(steps))()
    with any_ctx.database.transaction() as tx:
        kept = rollups.counts(tx)
        rollups.recount(tx, "UTC")
        assert kept == rollups.counts(tx)
        assert sum(kept.values()) > 0
