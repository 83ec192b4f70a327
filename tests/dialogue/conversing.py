"""A small world with a conversation in it, and words for what happens there."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from db.tables import PlatformAccount, User
from dialogue import conversations, replies, workspace
from dialogue.context import Actor, Context, Role
from dialogue.conversations import ConversationView
from dialogue.replies import ReplyView
from listeners import registry
from tests.conftest import Clock
from tests.dialogue.wall import Wall
from tests.worlds import look, post, store


@dataclass
class World:
    """Bo responds to what Jane says on the Wall."""

    ctx: Context
    clock: Clock
    wall: Wall
    plugin: Path
    bo: Actor = field(init=False)

    def __post_init__(self) -> None:
        self.bo = self.colleague("bo", Role.RESPONDER)
        registry._origins.cache_clear()

    def colleague(self, name: str, role: Role) -> Actor:
        with self.ctx.database.transaction() as tx:
            user = User(username=name, display_name=name.title(), role=role.label, created_at=self.ctx.clock())
            tx.session.add(user)
            tx.session.flush()
            return Actor(user.id, name.title(), role)

    def connects(self) -> int:
        """Our account on the Wall; its id."""
        with self.ctx.database.transaction() as tx:
            account = PlatformAccount(
                platform="wall",
                label="Ours",
                base_url=self.wall.url,
                handle="@us",
                external_id="us",
                credentials=self.ctx.secrets.encrypt({"token": "secret"}),
                created_at=self.ctx.clock(),
            )
            tx.session.add(account)
            tx.session.flush()
            assert account.id is not None
            return account.id

    def says(self, external_id: str, text: str = "Where is my parcel?", **fields: Any) -> int:
        """Jane says something on the Wall; the id of the conversation it is part of."""
        values = {
            "platform": "wall",
            "author_id": "jane",
            "author_handle": "@jane",
            "author_name": "Jane Öberg",
            "url": f"https://wall.example/{external_id}",
            "posted_at": self.ctx.clock() - timedelta(minutes=1),
        }
        store(self.ctx, post(external_id, text, **(values | fields)))
        found = look(self.ctx, f"SELECT conversation_id FROM mentions WHERE external_id = '{external_id}'")
        return int(found[0][0])

    def opens(self, conversation_id: int, actor: Actor | None = None) -> ConversationView:
        return conversations.open_(self.ctx, actor or self.bo, conversation_id)

    def sends(self, conversation_id: int, text: str = "On its way.", actor: Actor | None = None) -> ReplyView:
        """Opens the conversation, types and sends."""
        view = self.opens(conversation_id, actor)
        composer = view.composer
        return replies.send(
            self.ctx,
            actor or self.bo,
            conversation_id,
            composer.answering_mention_id,
            text,
            composer.draft_key,
            view.version,
        )

    def works(self) -> None:
        """One round of the worker: sweeps, and delivers all that is due."""
        self.wall.now = self.ctx.clock()
        for reply_id in replies.sweep(self.ctx):
            replies.deliver(self.ctx, reply_id)

    def works_later(self, **later: float) -> None:
        self.clock.forward(**later)
        self.works()

    def state(self, reply: ReplyView) -> str:
        return replies.get(self.ctx, reply.id).state

    def standing(self) -> list[str]:
        """The texts of the answers that stand on the Wall."""
        return [one.text for one in self.wall.answers]

    def sets(self, **rules: Any) -> None:
        workspace.change(self.ctx, replace(self.bo, role=Role.ADMIN), **rules)
