"""WordPress and mail the whole way over loopback: connected, read, answered once, and our own words known as ours."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from dialogue import checking, collecting, conversations, replies, sources
from dialogue.context import Actor, Context
from dialogue.conversations import ConversationView
from dialogue.replies import ReplyView
from tests.conftest import Clock
from tests.listeners.fake_mail import ADDRESS, PASSWORD, MailServer
from tests.listeners.test_wordpress import ACCOUNT, WordPressServer
from tests.worlds import look


class Desk:
    """Ada connects one platform, reads and answers there."""

    def __init__(self, ctx: Context, ada: Actor, clock: Clock, platform: str, server: Any) -> None:
        self.ctx = ctx
        self.ada = ada
        self.clock = clock
        self.server = server
        self.platform = platform
        address, account, mode = self._connection(server)
        self.account_id = sources.save_account(ctx, ada, platform, "Ours", address, account)
        row = sources._account(ctx, self.account_id)
        assert row is not None
        assert checking.ask(ctx, row).ok
        self.source_id = sources.add(ctx, ada, platform, "", mode, "Own", self.account_id)

    @staticmethod
    def _connection(server: Any) -> tuple[str | None, dict[str, str], str]:
        if isinstance(server, WordPressServer):
            return server.url, ACCOUNT, "comments"
        hosts = {"imap_host": "127.0.0.1", "smtp_host": "127.0.0.1"}
        ports = {"imap_port": str(server.imap_port), "smtp_port": str(server.smtp_port)}
        return None, {"address": ADDRESS, "password": PASSWORD, **hosts, **ports}, "inbox"

    def reads(self) -> None:
        self.clock.forward(minutes=5)
        assert collecting.collect(self.ctx, self.source_id) in ("ok", "unchanged")

    def opens(self, external_id: str) -> ConversationView:
        ((conversation_id,),) = look(
            self.ctx, f"SELECT conversation_id FROM mentions WHERE external_id = '{external_id}'"
        )
        return conversations.open_(self.ctx, self.ada, int(conversation_id))

    def answers(self, external_id: str, text: str) -> ReplyView:
        view = self.opens(external_id)
        composer = view.composer
        return replies.send(
            self.ctx, self.ada, view.id, composer.answering_mention_id, text, composer.draft_key, view.version
        )

    def works_later(self, **later: float) -> None:
        self.clock.forward(**later)
        for reply_id in replies.sweep(self.ctx):
            replies.deliver(self.ctx, reply_id)

    def state(self, reply: ReplyView) -> str:
        return replies.get(self.ctx, reply.id).state


@pytest.fixture(params=["wordpress", "mail"])
def desk(request: pytest.FixtureRequest, ctx: Context, colleague: Actor, clock: Clock) -> Iterator[Desk]:
    with WordPressServer() if request.param == "wordpress" else MailServer() as server:
        if isinstance(server, WordPressServer):
            server.started = clock.now - timedelta(hours=3)
        yield Desk(ctx, colleague, clock, request.param, server)


def test_what_people_write_is_answered_once_where_they_wrote_it(desk: Desk) -> None:
    (external_id,) = desk.server.posts(1)
    desk.reads()
    reply = desk.answers(external_id, "It ships on Monday & arrives <soon>.")
    for _ in range(3):
        desk.works_later(seconds=30)
    assert desk.state(reply) == "sent"
    assert len(desk.server.answers_under(external_id)) == 1
    for _ in range(2):
        desk.reads()
    view = desk.opens(external_id)
    assert [item.ours for item in view.items] == [False, True]
    assert view.state == "waiting"


def test_a_lost_connection_sends_nothing_twice(desk: Desk) -> None:
    (external_id,) = desk.server.posts(1)
    desk.reads()
    desk.server.loses_the_next_answer()
    reply = desk.answers(external_id, "It ships on Monday.")
    desk.works_later(seconds=30)
    assert desk.state(reply) == "unknown"
    for _ in range(4):
        desk.works_later(minutes=10)
    assert len(desk.server.answers_under(external_id)) == 1
    # WordPress can be asked and says that it stands; mail servers do not tell, so a person is.
    assert desk.state(reply) == ("sent" if desk.platform == "wordpress" else "unknown")


def test_a_page_that_fails_shows_why_and_costs_nothing(desk: Desk) -> None:
    desk.server.refuses()
    desk.clock.forward(minutes=5)
    # Mail's refusal is one of the credentials, which is believed the second time only.
    outcome = collecting.collect(desk.ctx, desk.source_id)
    assert outcome == ("terminal" if desk.platform == "wordpress" else "transient")
    (source,) = sources.list_(desk.ctx, desk.ada)
    refusal = "does not allow this" if desk.platform == "wordpress" else "did not accept the user name"
    assert refusal in source.words
    assert PASSWORD not in source.words + source.what_to_do
    desk.server.comes_back()
    (external_id,) = desk.server.posts(1)
    sources.run_now(desk.ctx, desk.ada, desk.source_id)
    desk.reads()
    assert desk.opens(external_id).items
