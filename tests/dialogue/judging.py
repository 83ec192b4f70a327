"""Words for worlds in which a model has read and people have judged."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from db import gold, mentions, tags
from db.tables import User
from dialogue import inbox, review
from dialogue.accuracy import LABELS
from dialogue.context import Actor, Context, Role
from tests.worlds import digest, post, said, store


def somebody(ctx: Context, name: str = "bo", role: Role = Role.RESPONDER) -> Actor:
    """A colleague with a row in `users`."""
    with ctx.database.transaction() as tx:
        user = User(username=name, display_name=name.capitalize(), role=role.label, created_at=ctx.clock())
        tx.session.add(user)
        tx.session.flush()
        return Actor(user.id, name.capitalize(), role)


def reads(
    ctx: Context,
    sentiment: str = "negative",
    certainty: float = 0.9,
    intent: str = "complaint",
    intent_certainty: float = 0.9,
    *,
    count: int = 1,
    model: str = "m1",
    language: str = "en",
    source_id: int | None = None,
    sample: bool = False,
    text_of: str = "",
    **fields: Any,
) -> list[int]:
    """People say `count` things, of which the model says this; the ids of the mentions."""
    begin = len(_all(ctx))
    posts = [post(f"p{begin + n}", text_of or f"Text {begin + n}", **fields) for n in range(count)]
    if sample:
        with ctx.database.transaction() as tx:
            stored = mentions.upsert(tx, posts, now=ctx.clock(), digest=digest, source_id=source_id, sample=True)
    else:
        stored = store(ctx, *posts, source_id=source_id)
    sure = {name: certainty if name == sentiment else (1 - certainty) / 2 for name in LABELS["sentiment"]}
    values = replace(
        said(sentiment, intent, model=model),
        language=language,
        negative=sure["negative"],
        neutral=sure["neutral"],
        positive=sure["positive"],
        intent_score=intent_certainty,
    )
    with ctx.database.transaction() as tx:
        held = tags.claim(tx, ctx.clock(), timedelta(minutes=1), 100_000)
    with ctx.database.transaction() as tx:
        tags.store(tx, [(one, values) for one in held], "UTC", ctx.clock())
    return list(stored.new_ids)


def _all(ctx: Context) -> list[int]:
    with ctx.database.reading() as tx:
        return list(tx.connection.exec_driver_sql("SELECT id FROM mentions").scalars())


def read_again(ctx: Context, sentiment: str = "positive", model: str = "m2") -> None:
    """Another version reads everything anew."""
    with ctx.database.transaction() as tx:
        tx.connection.exec_driver_sql("UPDATE mentions SET tagged_at = NULL")
    with ctx.database.transaction() as tx:
        held = tags.claim(tx, ctx.clock(), timedelta(minutes=1), 100_000)
    with ctx.database.transaction() as tx:
        tags.store(tx, [(one, said(sentiment, model=model)) for one in held], "UTC", ctx.clock())


def says(
    ctx: Context, who: Actor, mention_id: int, value: str, how: str = gold.RANDOM, field: str = "sentiment"
) -> int:
    """A colleague judges one field in the review, or in passing."""
    if how == gold.PASSING:
        inbox.correct(ctx, who, mention_id, field, value)
        return 0
    return review.judge(ctx, who, mention_id, field, value, how)
