"""Sample data comes in marked, and goes without a trace."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from analysis.base import Intent, IntentScore, Sentiment, SentimentScores, Tags, TopicScore
from db.tables import ALL
from dialogue import conversations, feedback, inbox, people, replies, requests, sample, sources, understanding
from dialogue.context import Actor, Context, DialogueError, NotAllowed, Role
from tests.conftest import as_role

KEEPS_A_TRACE = {"audit", "worker_requests", "workspace"}
"""What was done is remembered, and data_version grows."""


class QuickReader:
    """Reads by length, so that the sample's tests need no model."""

    model = "quick"

    def tags(self, texts: list[str]) -> list[Tags]:
        return [self._read(text) for text in texts]

    def _read(self, text: str) -> Tags:
        label = list(Sentiment)[len(text) % 3]
        scores = {name: float(name == label) for name in Sentiment}
        return Tags(
            "en",
            SentimentScores(label, *(scores[name] for name in Sentiment)),
            IntentScore(list(Intent)[len(text) % 5], 0.9),
            (TopicScore("Delivery", 0.8),),
            b"",
            self.model,
        )


@pytest.fixture(autouse=True)
def _quick_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(understanding, "_opener", lambda _: QuickReader())
    monkeypatch.setattr(understanding, "_open", None)


def load(ctx: Context, actor: Actor) -> None:
    requests.serve(ctx, sample.load_request(ctx, actor))


def everything(ctx: Context) -> dict[str, list[Any]]:
    with ctx.database.reading() as tx:
        return {
            name: [tuple(row) for row in tx.connection.execute(select(table))]
            for name, table in ALL.tables.items()
            if name not in KEEPS_A_TRACE
        }


def test_it_fills_every_page(any_ctx: Context, colleague: Actor) -> None:
    request_id = sample.load_request(any_ctx, colleague)
    requests.serve(any_ctx, request_id)
    done = requests.get(any_ctx, request_id)
    assert (done.state, done.error) == ("done", "")
    assert done.result["mentions"] >= 600
    assert sample.loaded(any_ctx)
    cards = inbox.page(any_ctx, colleague, inbox.Filters(view="needs_answer"), limit=100).cards
    assert cards
    assert all(card.sample and card.sentiment for card in cards)
    assert len(sources.list_(any_ctx, colleague)) == 4
    assert sum(map(len, feedback.board(any_ctx, colleague).values())) >= 9
    assert all(item.quotes for items in feedback.board(any_ctx, colleague).values() for item in items)


def test_a_regular_is_one_person_on_all_platforms(ctx: Context, colleague: Actor) -> None:
    load(ctx, colleague)
    found = inbox.page(ctx, colleague, inbox.Filters(view="all", search="author:ingridsolvang"), limit=10).cards
    assert len(found) == 3
    assert len({card.person_id for card in found}) == 1
    assert found[0].person_id is not None
    person = people.person(ctx, colleague, found[0].person_id)
    assert "noon" in person.panel.memo


def test_an_answer_of_ours_stands_once_in_its_thread(ctx: Context, colleague: Actor) -> None:
    load(ctx, colleague)
    card = inbox.page(ctx, colleague, inbox.Filters(view="all", search="author:oskarbielik sighing"), limit=1).cards[0]
    thread = conversations.open_(ctx, colleague, card.conversation_id)
    assert [item.ours for item in thread.items] == [False, True, False]


def test_an_answer_to_it_goes_nowhere_and_says_so(ctx: Context, colleague: Actor, clock: Any) -> None:
    load(ctx, colleague)
    card = inbox.page(ctx, colleague, inbox.Filters(view="needs_answer"), limit=1).cards[0]
    thread = conversations.open_(ctx, colleague, card.conversation_id)
    assert card.mention_id is not None
    sent = replies.send(ctx, colleague, thread.id, card.mention_id, "Thank you!", "key", thread.version)
    clock.forward(minutes=1)
    replies.deliver(ctx, sent.id)
    (now,) = [reply for reply in replies.status(ctx, thread.id) if reply.id == sent.id]
    assert (now.state, now.sample) == ("sent", True)
    assert "sample" in now.words.lower()


def test_it_goes_without_a_trace(any_ctx: Context, colleague: Actor, clock: Any) -> None:
    before = everything(any_ctx)
    load(any_ctx, colleague)
    card = inbox.page(any_ctx, colleague, inbox.Filters(view="needs_answer"), limit=1).cards[0]
    assert card.mention_id is not None
    inbox.correct(any_ctx, colleague, card.mention_id, "sentiment", "positive")
    inbox.mark_seen(any_ctx, colleague, card.conversation_id, card.version)
    feedback.add(any_ctx, colleague, "A need of theirs", "need", card.mention_id)
    thread = conversations.open_(any_ctx, colleague, card.conversation_id)
    sent = replies.send(any_ctx, colleague, thread.id, card.mention_id, "Thank you!", "key", thread.version)
    clock.forward(minutes=1)
    replies.deliver(any_ctx, sent.id)
    requests.serve(any_ctx, sample.remove_request(any_ctx, colleague))
    assert not sample.loaded(any_ctx)
    after = everything(any_ctx)
    assert {name: rows for name, rows in after.items() if rows != before[name]} == {}


def test_it_can_be_loaded_again_but_not_twice(ctx: Context, colleague: Actor) -> None:
    load(ctx, colleague)
    with pytest.raises(DialogueError, match="loaded already"):
        sample.load_request(ctx, colleague)
    requests.serve(ctx, sample.remove_request(ctx, colleague))
    with pytest.raises(DialogueError, match="no sample data"):
        sample.remove_request(ctx, colleague)
    load(ctx, colleague)
    assert sample.loaded(ctx)


def test_a_viewer_may_not_load_it(ctx: Context, colleague: Actor) -> None:
    with pytest.raises(NotAllowed):
        sample.load_request(ctx, as_role(colleague, Role.VIEWER))
