"""Themes from search to search: found, named, counted by day, and made into topics and feedback."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from db import tags
from db import themes as rows
from dialogue import feedback, privacy, requests, sample, themes, topics
from dialogue.context import Actor, Context, DialogueError, Missing, NotAllowed, Role
from tests.chatter import CHATTER, NOUNS, SAID
from tests.conftest import Clock, RecordedTriggers, as_role
from tests.worlds import digest, look, post, said, store, tag


class Crowd:
    """People who speak of twelve things and of nothing; a model that tells them apart."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.chance = np.random.default_rng(7)
        self.centres = {noun: self._somewhere() for noun in NOUNS}
        self.number = 0

    def _somewhere(self) -> np.ndarray:
        return self.chance.normal(size=64) / 8

    def speaks(
        self, counts: dict[str, int], days_ago: float = 1, platform: str = "feed", intent: str = "complaint",
        sample: bool = False, model: str = "m1 topics a",
    ) -> None:  # fmt: skip
        """So many mentions of each noun ("" for chatter), spread over the day that ended so many days ago."""
        said = [(noun, place) for noun, count in counts.items() for place in range(count)]
        posts, vectors = [], {}
        for noun, place in said:
            self.number += 1
            filler = " ".join(self.chance.choice(CHATTER, 4, replace=False))
            text = f"{SAID[place % 3].format(noun, place)}, {filler}" if noun else f"{filler} {self.number}"
            at = self.ctx.clock() - timedelta(days=days_ago, minutes=self.number % 600)
            name = f"c{self.number}"
            posts.append(
                post(name, text, platform=platform, posted_at=at, author_id=name, author_handle=name, author_name=name)
            )
            middle = self.centres[noun] + 0.45 * self._somewhere() if noun else self._somewhere()
            vectors[name] = (middle / np.linalg.norm(middle)).astype("<f2").tobytes()
        from db import mentions

        with self.ctx.database.transaction() as tx:
            mentions.upsert(tx, posts, now=self.ctx.clock(), digest=digest, source_id=None, sample=sample)
        with self.ctx.database.transaction() as tx:
            held = tags.claim(tx, self.ctx.clock(), timedelta(minutes=1), 100_000)
            names = dict(
                tuple(row) for row in tx.connection.exec_driver_sql("SELECT id, external_id FROM mentions").all()
            )
            tagged = [
                (
                    one,
                    tags.TagValues("en", "negative", 0.8, 0.1, 0.1, intent, 0.9, (), vectors[names[one.id]], model),
                )
                for one in held
            ]
            tags.store(tx, tagged, "UTC", self.ctx.clock())

    def everything(self, days_ago: float = 1, **more: object) -> None:
        self.speaks({noun: 24 - place for place, noun in enumerate(NOUNS)} | {"": 200}, days_ago, **more)  # type: ignore[arg-type]


@pytest.fixture
def crowd(any_ctx: Context) -> Crowd:
    return Crowd(any_ctx)


def named(ctx: Context, who: Actor, noun: str, days: int = 7) -> themes.ThemeCard:
    found = [card for card in themes.themes(ctx, who, days).cards if noun in card.name.lower()]
    assert len(found) == 1, [card.name for card in found]
    return found[0]


def test_the_whole_way_from_search_to_search(
    any_ctx: Context, crowd: Crowd, colleague: Actor, clock: Clock, triggers: RecordedTriggers
) -> None:
    assert not themes.due(any_ctx)
    assert themes.themes(any_ctx, colleague).words == "The first themes appear once 20 mentions have been read."
    crowd.everything(days_ago=9)
    crowd.speaks({"tyre": 20}, days_ago=1)
    assert themes.due(any_ctx)
    store(any_ctx, post("unread"))
    assert not themes.due(any_ctx), "half of what is being read would give half of the themes"
    tag(any_ctx, said())
    assert themes.find(any_ctx)
    assert not themes.due(any_ctx), "nothing is new"

    week = themes.themes(any_ctx, colleague)
    assert [card.name.lower().split(",")[0].split()[0] for card in week.cards] == ["tyre"]
    tyre = week.cards[0]
    assert tyre.trend == "growing"
    assert tyre.before <= 13 < tyre.count <= 20
    assert tyre.days[-2].negative == tyre.count == tyre.of("negative")
    assert len({quote.text for quote in tyre.quotes}) == 3
    assert all("tyre" in quote.text.lower() for quote in tyre.quotes)
    fortnight = themes.themes(any_ctx, colleague, 14)
    assert len(fortnight.cards) == 12
    assert [card.count for card in fortnight.cards] == sorted((card.count for card in fortnight.cards), reverse=True)
    assert [card.id for card in themes.themes(any_ctx, colleague, growing=True).cards] == [tyre.id]

    themes.rename(any_ctx, colleague, tyre.id, "Tyres wear out")
    ids = {card.id for card in fortnight.cards}
    clock.forward(hours=2)
    crowd.speaks(dict.fromkeys(NOUNS, 2) | {"": 20}, days_ago=0)
    assert themes.due(any_ctx)
    themes.find(any_ctx)
    again = themes.themes(any_ctx, colleague, 14)
    assert {card.id for card in again.cards} == ids
    assert next(card for card in again.cards if card.id == tyre.id).name == "Tyres wear out"
    themes.rename(any_ctx, colleague, tyre.id, "  ")
    assert "yre" in named(any_ctx, colleague, "tyre").name


def test_a_theme_that_is_found_no_more_fades_and_keeps_what_it_held(
    any_ctx: Context, crowd: Crowd, colleague: Actor, clock: Clock
) -> None:
    crowd.everything(days_ago=3)
    themes.find(any_ctx)
    held = named(any_ctx, colleague, "refund").count
    spam = [id_ for id_, text in look(any_ctx, "SELECT id, text FROM mentions") if "refund" in text.lower()]
    with any_ctx.database.transaction() as tx:
        tx.connection.exec_driver_sql(f"UPDATE mentions SET set_aside = TRUE WHERE id IN ({str(spam)[1:-1]})")
    clock.forward(hours=2)
    themes.find(any_ctx)
    faded = named(any_ctx, colleague, "refund")
    assert faded.faded
    assert faded.count == held


def test_where_nothing_was_said_before_nothing_is_called_new(any_ctx: Context, crowd: Crowd, colleague: Actor) -> None:
    crowd.everything(days_ago=1)
    themes.find(any_ctx)
    cards = themes.themes(any_ctx, colleague).cards
    assert {card.change for card in cards} == {"too little was said in the 7 days before to compare"}
    assert themes.themes(any_ctx, colleague, growing=True).cards == ()


def test_dismissed_for_good_with_undo(any_ctx: Context, crowd: Crowd, colleague: Actor, clock: Clock) -> None:
    crowd.everything()
    themes.find(any_ctx)
    lamp = named(any_ctx, colleague, "lamp")
    undo_id = themes.dismiss(any_ctx, colleague, lamp.id)
    clock.forward(minutes=30)
    themes.find(any_ctx)
    assert lamp.id not in {card.id for card in themes.themes(any_ctx, colleague).cards}
    assert themes.undo_dismiss(any_ctx, colleague, undo_id) == lamp.name
    assert named(any_ctx, colleague, "lamp").id == lamp.id
    with pytest.raises(Missing, match="nothing to undo"):
        themes.undo_dismiss(any_ctx, colleague, undo_id)


def test_a_topic_in_one_click(any_ctx: Context, crowd: Crowd, colleague: Actor, triggers: RecordedTriggers) -> None:
    topics.ensure_defaults(any_ctx)
    crowd.everything()
    themes.find(any_ctx)
    helmet = named(any_ctx, colleague, "helmet")
    request_id = themes.to_topic(any_ctx, colleague, helmet.id)
    assert triggers.served == [request_id]
    drafts = topics.drafts_of(look_at_payload(any_ctx, request_id))
    assert drafts[-1].phrases == helmet.phrases
    assert "elmet" in drafts[-1].name
    assert drafts[-1].examples == ()
    assert named(any_ctx, colleague, "helmet").topic == drafts[-1].name


def look_at_payload(ctx: Context, request_id: int) -> dict[str, object]:
    from db import requests as request_rows

    with ctx.database.reading() as tx:
        row = request_rows.get(tx, request_id)
    assert row is not None
    return row.payload


def test_what_may_teach_nothing_is_shown_and_teaches_nothing(any_ctx: Context, crowd: Crowd, colleague: Actor) -> None:
    topics.ensure_defaults(any_ctx)
    crowd.speaks({noun: 20 for noun in NOUNS if noun != "brake"} | {"": 200})
    crowd.speaks({"brake": 20}, platform="x")
    themes.find(any_ctx)
    brake = named(any_ctx, colleague, "brake")
    assert brake.quotes
    assert brake.phrases == ()
    with pytest.raises(DialogueError, match="rules forbid"):
        themes.to_topic(any_ctx, colleague, brake.id)
    with pytest.raises(DialogueError, match="rules forbid"):
        themes.to_topic(any_ctx, colleague, brake.id, name="Brakes")
    assert themes.to_topic(any_ctx, colleague, brake.id, "Brakes", ["brakes that fail"])


def test_feedback_in_one_click_and_once(any_ctx: Context, crowd: Crowd, colleague: Actor) -> None:
    crowd.everything()
    themes.find(any_ctx)
    refund = named(any_ctx, colleague, "refund")
    item_id = themes.to_feedback(any_ctx, colleague, refund.id)
    assert themes.to_feedback(any_ctx, colleague, refund.id) == item_id
    item = feedback.item(any_ctx, colleague, item_id)
    assert item.title == refund.name
    assert item.kind == "defect"
    assert {quote.mention_id for quote in item.quotes} == {quote.mention_id for quote in refund.quotes}
    assert named(any_ctx, colleague, "refund").item_id == item_id
    feedback.delete(any_ctx, colleague, item_id)
    assert named(any_ctx, colleague, "refund").item_id is None
    assert themes.to_feedback(any_ctx, colleague, refund.id) != item_id


def test_what_was_deleted_at_its_source_vanishes_at_once(any_ctx: Context, crowd: Crowd, colleague: Actor) -> None:
    from db import forgetting

    crowd.everything()
    themes.find(any_ctx)
    lamp = named(any_ctx, colleague, "lamp")
    gone = {quote.mention_id for quote in lamp.quotes[:2]}
    with any_ctx.database.transaction() as tx:
        forgetting.forget(tx, gone, now=any_ctx.clock(), reason="deleted at source", digest=digest)
    left = named(any_ctx, colleague, "lamp")
    assert left.count == lamp.count - 2
    assert not gone & {quote.mention_id for quote in left.quotes}
    assert len(left.quotes) == 3
    with any_ctx.database.transaction() as tx:
        every = rows.members(tx, [lamp.id])[lamp.id]
        forgetting.forget(tx, every, now=any_ctx.clock(), reason="deleted at source", digest=digest)
    assert look(any_ctx, f"SELECT count(*) FROM themes WHERE id = {lamp.id}") == [(0,)]


def test_what_is_deleted_during_a_search_is_left_out(
    any_ctx: Context, crowd: Crowd, colleague: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    from analysis import themes as finder
    from db import forgetting

    crowd.everything()
    found = finder.find

    def deleting(*args: object, **more: object) -> list[finder.Cluster]:
        clusters = found(*args, **more)  # type: ignore[arg-type]
        with any_ctx.database.transaction() as tx:
            forgetting.forget(tx, [1, 2, 3], now=any_ctx.clock(), reason="deleted at source", digest=digest)
        return clusters

    monkeypatch.setattr(finder, "find", deleting)
    assert themes.find(any_ctx)
    assert len(themes.themes(any_ctx, colleague).cards) == 12
    assert look(any_ctx, "SELECT count(*) FROM theme_mentions WHERE mention_id <= 3") == [(0,)]


def test_one_searches_at_a_time_and_a_dead_one_is_replaced(
    any_ctx: Context, crowd: Crowd, colleague: Actor, clock: Clock
) -> None:
    crowd.everything()
    with any_ctx.database.transaction() as tx:
        dead = rows.begin(tx, clock(), themes.LEASE, 0)
    assert dead is not None
    assert not themes.find(any_ctx)
    assert themes.themes(any_ctx, colleague).searching
    clock.forward(minutes=11)
    assert themes.due(any_ctx)
    assert themes.find(any_ctx)
    with any_ctx.database.transaction() as tx:
        assert not rows.end(tx, dead, clock(), state="done"), "the first one must store nothing when it comes back"


def test_a_search_that_fails_is_told_and_tried_again(
    any_ctx: Context, crowd: Crowd, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd.everything()
    with monkeypatch.context() as broken:
        broken.setattr("analysis.themes.find", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            themes.find(any_ctx)
    assert look(any_ctx, "SELECT state FROM theme_runs") == [("failed",)]
    assert not themes.due(any_ctx), "not every two seconds"
    clock.forward(minutes=6)
    assert themes.due(any_ctx)


def test_sample_and_real_are_searched_apart(any_ctx: Context, crowd: Crowd, colleague: Actor) -> None:
    crowd.everything()
    crowd.everything(sample=True)
    themes.find(any_ctx)
    cards = themes.themes(any_ctx, colleague).cards
    assert len([card for card in cards if card.sample]) == len([card for card in cards if not card.sample]) == 12
    lamp = next(card for card in cards if card.sample and "lamp" in card.name.lower())
    assert feedback.item(any_ctx, colleague, themes.to_feedback(any_ctx, colleague, lamp.id)).sample
    sample.remove(any_ctx, {}, lambda *_: None)  # type: ignore[arg-type]
    assert not [card for card in themes.themes(any_ctx, colleague).cards if card.sample]


def test_a_request_searches_and_tells(any_ctx: Context, crowd: Crowd, colleague: Actor) -> None:
    crowd.everything()
    request_id = themes.search_request(any_ctx, colleague)
    requests.serve(any_ctx, request_id)
    view = requests.get(any_ctx, request_id)
    assert (view.state, view.words) == ("done", "12 themes in 422 mentions.")


def test_a_viewer_may_look_only(any_ctx: Context, crowd: Crowd, colleague: Actor) -> None:
    viewer = as_role(colleague, Role.VIEWER)
    themes.themes(any_ctx, viewer)
    for refused in (
        lambda: themes.rename(any_ctx, viewer, 1, "x"),
        lambda: themes.dismiss(any_ctx, viewer, 1),
        lambda: themes.to_topic(any_ctx, viewer, 1),
        lambda: themes.to_feedback(any_ctx, viewer, 1),
        lambda: themes.search_request(any_ctx, viewer),
    ):
        with pytest.raises(NotAllowed):
            refused()
    with pytest.raises(Missing):
        themes.rename(any_ctx, colleague, 4_000_000_000, "x")


def test_no_mentions_is_no_trouble(any_ctx: Context, colleague: Actor) -> None:
    assert themes.find(any_ctx)
    assert themes.themes(any_ctx, colleague).cards == ()
    privacy.forget_past_retention(any_ctx)
