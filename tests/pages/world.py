"""A world for the pages, told in few words: people who speak, a model that is always sure, colleagues who sign in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from db import mentions, tags
from db import workspace as workspace_rows
from db.tables import Source, User
from dialogue import accounts
from dialogue.context import Context, Role

HOSTILE = (
    "<script>alert('x')</script> ![pixel](https://evil.example/p.png) [click](javascript:alert(1)) **bold** `code` "
    "$x^2$ "
    ':material/delete: :smile: :red[fake badge] =HYPERLINK("http://evil.example")\n# heading\n- item\n'
    "\u202eright to left"
)
MOODS = ("negative", "neutral", "positive")
INTENTS = ("complaint", "question", "praise", "idea", "other")
TOPICS = ("Delivery", "Quality", "Price", "Support")


def signed_in(ctx: Context, role: Role = Role.ADMIN, username: str = "mira") -> str:
    """Makes a colleague and returns the token that their cookie would hold."""
    with ctx.database.transaction() as tx:
        user = User(
            username=username,
            display_name=username.capitalize(),
            role=role.label,
            password_hash="-",
            created_at=ctx.clock(),
        )
        tx.session.add(user)
        tx.session.flush()
        return accounts._new_session(tx, ctx, user.id or 0, "test")


def source(ctx: Context, platform: str = "feed", label: str = "Our news", **columns: object) -> int:
    """A source that is listened to."""
    with ctx.database.transaction() as tx:
        row = Source(
            platform=platform, label=label, query="https://news.example/feed", created_at=ctx.clock(), **columns
        )
        tx.session.add(row)
        tx.session.flush()
        workspace_rows.bump(tx)
        return row.id or 0


def post(number: int = 1, words: str = "Where is my parcel?", **fields: object) -> mentions.NewMention:
    """Something that person `number` said."""
    values: dict[str, object] = {
        "platform": "feed",
        "external_id": f"post-{number}",
        "kind": "post",
        "text": words,
        "author_id": f"person-{number}",
        "author_handle": f"person{number}",
        "author_name": f"Person {number}",
        "url": f"https://news.example/{number}",
    }
    return mentions.NewMention(**(values | fields))  # type: ignore[arg-type]


def says(
    ctx: Context,
    *posts: mentions.NewMention,
    source_id: int | None = None,
    sample: bool = False,
    moods: Sequence[str] = MOODS,
) -> tuple[int, ...]:
    """Stores the posts and tags them, each with the next of `moods`. Returns the ids of the mentions."""
    with ctx.database.transaction() as tx:
        stored = mentions.upsert(
            tx, posts, now=ctx.clock(), digest=ctx.secrets.digest, source_id=source_id, sample=sample
        )
        zone = workspace_rows.read(tx).time_zone
        claimed = tags.claim(tx, ctx.clock(), timedelta(minutes=1), 100_000)
        tags.store(tx, [(one, _tags(one.id, moods)) for one in claimed], zone, ctx.clock())
        workspace_rows.bump(tx)
    return stored.new_ids


def _tags(number: int, moods: Sequence[str]) -> tags.TagValues:
    mood = moods[number % len(moods)]
    sure = {name: 0.9 if name == mood else 0.05 for name in MOODS}
    intent = {"negative": "complaint", "positive": "praise"}.get(mood, INTENTS[number % len(INTENTS)])
    topics = ((TOPICS[number % len(TOPICS)], 0.8),)
    return tags.TagValues("en", mood, *sure.values(), intent, 0.9, topics, b"", "test-model")


def thousands(ctx: Context, count: int = 3_000) -> None:
    """So many conversations within the last week."""
    now = ctx.clock()
    posts = [
        post(number, f"Message {number} about {TOPICS[number % 4]}", posted_at=now - timedelta(minutes=3 * number + 1))
        for number in range(count)
    ]
    says(ctx, *posts, source_id=source(ctx))
