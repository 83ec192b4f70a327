"""Reviews in the app stores from end to end: connected, collected, answered, edited, answered anew. Both keep one
answer to each review, and neither gives it an id of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from dialogue import collecting, conversations, inbox, replies, requests, sources
from dialogue.context import Actor, Context
from dialogue.conversations import ConversationView
from dialogue.replies import ReplyView
from tests.conftest import Clock
from tests.listeners import fake_app_store, fake_google_play
from tests.listeners.fake_app_store import AppStoreServer
from tests.listeners.fake_google_play import GooglePlayServer
from tests.worlds import look


@dataclass
class Shop:
    """A store with one review in it, and Ada, who listens to our app there."""

    ctx: Context
    ada: Actor
    clock: Clock
    store: Any
    source: int
    review: str

    def listens(self) -> ConversationView:
        """The source is asked now; the review's conversation as it stands then."""
        self.clock.forward(hours=1)
        with self.ctx.database.transaction() as tx:
            tx.connection.exec_driver_sql("UPDATE sources SET next_run_at = '2020-01-01 00:00:00.000000'")
        assert collecting.collect(self.ctx, self.source) in ("ok", "unchanged")
        return self.opens()

    def opens(self) -> ConversationView:
        ((conversation,),) = look(self.ctx, "SELECT id FROM conversations")
        return conversations.open_(self.ctx, self.ada, conversation)

    def answers(self, text: str) -> ReplyView:
        view = self.opens()
        composer = view.composer
        assert composer.how == "api", composer.reason
        mention = composer.answering_mention_id
        reply = replies.send(self.ctx, self.ada, view.id, mention, text, composer.draft_key, view.version)
        self.clock.forward(minutes=1)
        replies.deliver(self.ctx, reply.id)
        return replies.get(self.ctx, reply.id)

    def said(self) -> list[tuple[bool, str]]:
        return [(item.ours, item.text) for item in self.opens().items]


@contextmanager
def shop(ctx: Context, ada: Actor, clock: Clock, store: Any, account: dict[str, str], *source: str) -> Iterator[Shop]:
    """`source` is platform, query and mode."""
    clock.now = datetime.now(UTC)  # as the store's own clock
    platform, query, mode = source
    with store:
        account_id = sources.save_account(ctx, ada, platform, "Ours", store.url, account)
        request_id = sources.request_account_test(ctx, ada, account_id)
        requests.serve(ctx, request_id)
        (review,) = store.posts(1)
        yield Shop(ctx, ada, clock, store, sources.add(ctx, ada, platform, query, mode, "", account_id), review)


@pytest.fixture(params=["googleplay", "appstore"])
def either(request: pytest.FixtureRequest, ctx: Context, colleague: Actor, clock: Clock) -> Iterator[Shop]:
    play = (GooglePlayServer(), fake_google_play.ACCOUNT, "googleplay", fake_google_play.PACKAGE, "reviews")
    apple = (AppStoreServer(), fake_app_store.ACCOUNT, "appstore", fake_app_store.APP, "connect")
    with shop(ctx, colleague, clock, *(play if request.param == "googleplay" else apple)) as made:
        yield made


def edits(shop: Shop, text: str) -> None:
    if isinstance(shop.store, GooglePlayServer):
        shop.store.edits(shop.review, text, 1, at=shop.clock.now)
    else:
        shop.store.reviews[0]["text"] = text


def gives_there(shop: Shop, text: str) -> None:
    store = shop.store
    (store.replies_elsewhere if isinstance(store, GooglePlayServer) else store.responds_elsewhere)(shop.review, text)


def test_an_answer_is_shown_once_although_it_is_collected_too(either: Shop) -> None:
    either.listens()
    assert either.answers("Thank you!").state == "sent"
    view = either.listens()
    assert either.said() == [(False, "Kettle 0"), (True, "Thank you!")]
    assert view.state == "waiting"
    assert either.store.answers_under(either.review) == ["Thank you!"]


def test_an_answer_given_in_the_store_s_own_console_is_ours(either: Shop) -> None:
    gives_there(either, "Thank you!")
    view = either.listens()
    assert either.said() == [(False, "Kettle 0"), (True, "Thank you!")]
    assert view.state == "waiting", "nobody needs to answer it again"


def test_an_edited_review_comes_back_says_that_it_was_edited_and_is_answered_anew(either: Shop) -> None:
    either.listens()
    either.answers("We look into it.")
    either.clock.forward(hours=1)
    edits(either, "Still whistles.")
    view = either.listens()
    assert view.state == "open"
    assert [item.outdated for item in view.items if not item.ours] == [True]
    assert either.answers("It is mended.").state == "sent"
    either.listens()
    assert sorted(either.said()) == [(False, "Still whistles."), (True, "It is mended."), (True, "We look into it.")]
    assert either.store.answers_under(either.review) == ["It is mended."]
    assert either.store.overwritten == ["We look into it."]


def test_what_a_colleague_wrote_meanwhile_is_handed_to_a_person(either: Shop) -> None:
    either.listens()
    gives_there(either, "A colleague's words")
    reply = either.answers("Thank you!")
    assert reply.state == "hand_off"
    assert "not given from here" in reply.words
    assert either.store.answers_under(either.review) == ["A colleague's words"]


def test_the_inbox_has_the_stars(either: Shop) -> None:
    either.listens()
    (line,) = inbox.page(either.ctx, either.ada, inbox.Filters()).cards
    assert line.rating == 1.0
