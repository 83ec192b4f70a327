"""An edit on X from end to end: a new id there, a version of the same mention here, and threads that go on working."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from dialogue import collecting, conversations, privacy, replies, requests, sources
from dialogue.context import Actor, Context
from dialogue.conversations import ConversationView
from tests.conftest import Clock
from tests.listeners.fake_x import XServer, id_at
from tests.worlds import look

ACCOUNT = {
    "bearer_token": "bearer",
    "api_key": "key",
    "api_secret": "secret",
    "access_token": "4001-token",
    "access_token_secret": "token-secret",
}
MENTIONED = {"mentions": [{"username": "samtal_desk", "id": "4001"}]}
SAID = "SELECT external_id, text FROM mentions WHERE NOT ours ORDER BY posted_at"
BEFORE = "SELECT text FROM mention_edits ORDER BY id"


@dataclass
class Town:
    """X, and Ada, who listens there to what is said to us."""

    ctx: Context
    ada: Actor
    clock: Clock
    x: XServer
    source: int

    def listens(self) -> None:
        """The source is asked now."""
        self.clock.forward(minutes=30)
        assert collecting.collect(self.ctx, self.source) in ("ok", "unchanged")

    def asks_what_stands(self) -> int | None:
        self.clock.forward(hours=25)
        return privacy.recheck(self.ctx, self.source)

    def opens(self) -> ConversationView:
        ((conversation,),) = look(self.ctx, "SELECT id FROM conversations")
        return conversations.open_(self.ctx, self.ada, conversation)

    def answers(self, text: str) -> None:
        view = self.opens()
        assert view.composer.how == "api", view.composer.reason
        mention = view.composer.answering_mention_id
        reply = replies.send(self.ctx, self.ada, view.id, mention, text, view.composer.draft_key, view.version)
        self.clock.forward(minutes=1)
        replies.deliver(self.ctx, reply.id)
        assert replies.get(self.ctx, reply.id).state == "sent"


@pytest.fixture
def town(ctx: Context, colleague: Actor, clock: Clock) -> Iterator[Town]:
    clock.now = datetime.now(UTC)  # as X's own clock
    with XServer() as server:
        account = sources.save_account(ctx, colleague, "x", "Ours", server.url, ACCOUNT)
        requests.serve(ctx, sources.request_account_test(ctx, colleague, account))
        source = sources.add(ctx, colleague, "x", "", "mentions", "", account)
        yield Town(ctx, colleague, clock, server, source)


@pytest.fixture
def said(town: Town) -> str:
    """Somebody mentioned us, and was collected."""
    (name,) = town.x.posts(1)
    town.listens()
    return name


def edited(town: Town, name: str, text: str) -> None:
    town.x.edits(name, text)
    town.x.tweets[0]["entities"] = MENTIONED


def test_an_edit_that_is_found_is_a_version(town: Town, said: str) -> None:
    edited(town, said, "@samtal_desk kettle, mended")
    town.listens()
    assert look(town.ctx, SAID) == [(said, "@samtal_desk kettle, mended")]
    assert look(town.ctx, BEFORE) == [("@samtal_desk kettle 0",)]
    (item,) = town.opens().items
    assert item.edited
    assert (item.url or "").endswith(f"/{town.x.tweets[0]['id']}"), "the link leads to what stands there now"


def test_an_edit_that_nothing_finds_is_a_version_within_a_day(town: Town, said: str) -> None:
    edited(town, said, "not for you any more")
    town.x.elsewhere, town.x.tweets = [*town.x.elsewhere, *town.x.tweets], []
    town.listens()
    assert look(town.ctx, BEFORE) == []
    assert town.asks_what_stands() == 0
    assert look(town.ctx, SAID) == [(said, "not for you any more")]
    assert look(town.ctx, BEFORE) == [("@samtal_desk kettle 0",)]
    assert town.asks_what_stands() == 0
    assert len(look(town.ctx, BEFORE)) == 1, "asked again, it is no new version"


def test_whichever_version_is_deleted_the_mention_goes_and_stays_gone(town: Town, said: str) -> None:
    edited(town, said, "@samtal_desk kettle, mended")
    town.listens()
    town.x.deletes(str(town.x.tweets[0]["id"]))
    assert town.asks_what_stands() == 1
    assert look(town.ctx, SAID) == look(town.ctx, BEFORE) == []
    town.x.gone = {}
    town.listens()
    assert look(town.ctx, SAID) == []


def test_an_answer_goes_to_the_last_version_and_stands_in_the_thread(town: Town, said: str) -> None:
    edited(town, said, "@samtal_desk kettle, mended?")
    town.listens()
    town.answers("Nearly.")
    assert town.x.answers_under(str(town.x.tweets[0]["id"])) == ["Nearly."]
    assert [(item.ours, item.depth) for item in town.opens().items] == [(False, 0), (True, 1)]


def test_what_is_said_to_an_edited_post_stands_below_it(town: Town, said: str) -> None:
    edited(town, said, "@samtal_desk kettle, mended?")
    town.listens()
    later, now = str(town.x.tweets[0]["id"]), time.time() - 60
    town.x.answered_in(id_at(now), "@samtal_desk mine, too", later, later, now)
    town.listens()
    assert [(item.text, item.depth) for item in town.opens().items] == [
        ("@samtal_desk kettle, mended?", 0),
        ("@samtal_desk mine, too", 1),
    ]


def test_a_reply_is_read_with_what_it_answers_until_that_is_deleted(town: Town) -> None:
    ours, now = town.x.we_say("Our new kettle is out.", days_ago=30), time.time() - 60
    town.x.answered_in(id_at(now), "@samtal_desk it leaks", ours, ours, now)
    town.listens()
    assert [(item.kind, item.role, item.text, item.ours) for item in town.opens().items] == [
        ("context", "answered", "Our new kettle is out.", True),
        ("mention", "", "@samtal_desk it leaks", False),
    ]
    town.x.deletes(ours)
    assert town.asks_what_stands() == 0
    assert [item.kind for item in town.opens().items] == ["mention"]
