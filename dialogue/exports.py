"""What leaves as a file: the newest mention of each conversation that a list shows.

A platform may forbid that its content leaves, or allow so much of it a day; of the rest only ids and what we made of
them are given, as over the API. What has left is counted where every process and every colleague counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC

from db import duties
from db import records as rows
from db.engine import Transaction
from dialogue import audit, inbox, platforms, records
from dialogue.context import Actor, Context, Role, require
from dialogue.text import headed
from listeners import registry
from listeners.base import ListeningError

MOST = 5_000
"""Rows of one file."""
PAGE = 200


@dataclass(frozen=True, slots=True)
class Taken:
    """The rows of a file, and in words what was held back. A column that was held back is empty."""

    rows: tuple[dict[str, str], ...]
    words: str


def take(ctx: Context, actor: Actor, filters: inbox.Filters) -> Taken:
    """What the inbox shows with these filters, newest first, for a spreadsheet. The audit trail says it was taken."""
    require(actor, Role.PRODUCT)
    ids = _shown(ctx, actor, filters)
    with ctx.database.transaction() as tx:
        found = {one.id: one for one in rows.mentions_of(tx, ids)}
        wanted = [found[id_] for id_ in ids if id_ in found]
        left = _may_leave(ctx, tx, wanted)
        held: Counter[str] = Counter()
        table = []
        for one in wanted:
            free = one.ours or one.sample or left[one.platform] > 0
            left[one.platform] -= not (one.ours or one.sample)
            held[platforms.of(one.platform).title] += not free
            table.append(_row(one, free))
        audit.record(tx, ctx, actor, "downloaded", "mentions", rows=len(table), ids_only=held.total())
    return Taken(tuple(table), _words(+held))


def _shown(ctx: Context, actor: Actor, filters: inbox.Filters) -> list[int]:
    ids: list[int] = []
    after = None
    while len(ids) < MOST:
        page = inbox.page(ctx, actor, filters, after, PAGE)
        ids += [card.mention_id for card in page.cards if card.mention_id is not None]
        after = page.next
        if after is None:
            break
    return ids[:MOST]


def _may_leave(ctx: Context, tx: Transaction, wanted: Sequence[rows.MentionRow]) -> dict[str, int]:
    """How many of each platform's mentions may leave now; taken from the day's at once."""
    asked = Counter(one.platform for one in wanted if not (one.ours or one.sample))
    day = ctx.clock().astimezone(UTC).date()
    left = {one.platform: 0 for one in wanted}
    for platform, count in asked.items():
        most = _cap(platform)
        left[platform] = count if most is None else duties.take_export(tx, platform, day, count, most)
    return left


def _cap(platform: str) -> int | None:
    """How many of a platform's posts may leave a day; None for as many as one likes. Nothing where none is known."""
    try:
        allows = registry.capability(platform)
    except ListeningError:
        return 0
    return None if allows.exportable else allows.exports_a_day


def _row(one: rows.MentionRow, free: bool) -> dict[str, str]:
    shown = records.shaped(one, free)
    values: Mapping[str, object] = {
        "id": one.id, "platform": one.platform, "external_id": one.external_id, "posted_at": one.posted_at.isoformat(),
        "author": (shown.author_name or shown.author_handle or ""), "text": headed(shown.title, shown.text or ""),
        "url": shown.url or "", "attribution": shown.attribution or "", "rating": shown.rating,
        "language": one.language, "sentiment": one.sentiment, "intent": one.intent, "topics": ", ".join(one.topics),
        "withheld": "yes" if shown.withheld else "",
    }  # fmt: skip
    return {name: "" if value is None else str(value) for name, value in values.items()}


def _words(held: Counter[str]) -> str:
    if not held:
        return ""
    told = ", ".join(f"{count:,} of {title}" for title, count in sorted(held.items()))
    return f"Only ids of {told}: no more of that may leave today by the platform's terms."
