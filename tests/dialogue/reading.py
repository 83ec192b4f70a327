"""What a worker does once the model has read: tags, copies, spam. And a look at whether all of it is exact.

`python -m tests.dialogue.reading URL SEED` is such a worker, on a database where others work, too.
"""

from __future__ import annotations

import random
import sys
from collections import defaultdict
from datetime import timedelta
from pathlib import Path

from db import forgetting, tags
from db.engine import Database, now
from db.tags import TagValues
from dialogue import folding
from dialogue.context import Context
from tests.worlds import digest, look, post, said

WORDS = (
    "The hinge of my new door squeaks every single morning and nobody at the shop answers the phone",
    "Since the storm on Sunday there is water coming through the roof of the shed that you built for us in May",
    "thanks!",
)


def read(ctx: Context, values: TagValues | None = None, *, batch: int = 1_000) -> None:
    """Reads everything that waits, in batches, as the worker does; every text gets the same tags."""
    while True:
        with ctx.database.transaction() as tx:
            held = tags.claim(tx, ctx.clock(), timedelta(minutes=1), batch)
        if not held:
            return
        signatures = folding.signatures(held)
        with ctx.database.transaction() as tx:
            tags.store(tx, [(one, values or said()) for one in held], "UTC", ctx.clock())
            folding.examine(tx, ctx, [one.id for one in held], signatures)


def groups(ctx: Context) -> list[tuple[str, int]]:
    """The id of the first post of each group at its platform, and how many it has."""
    query = "SELECT m.external_id, g.size FROM copy_groups g JOIN mentions m ON m.id = g.original_id ORDER BY 2, 1"
    return [(row[0], row[1]) for row in look(ctx, query)]


def exact(ctx: Context) -> None:
    """Fails unless groups, originals, counts and shelves are what the rows themselves say."""
    members = defaultdict(list)
    query = (
        "SELECT w.group_id, m.posted_at, m.platform, m.external_id, m.id, m.conversation_id FROM copies c "
        "JOIN wordings w ON w.id = c.wording_id JOIN mentions m ON m.id = c.mention_id WHERE NOT m.set_aside"
    )
    for group, *member in look(ctx, query):
        members[group].append(member)
    expected = {group: (min(some)[3], len(some)) for group, some in members.items() if len(some) > 1}
    assert {row[0]: row[1:] for row in look(ctx, "SELECT id, original_id, size FROM copy_groups")} == expected
    assert look(ctx, "SELECT count(*) FROM mentions m JOIN copies c ON c.mention_id = m.id WHERE m.ours") == [(0,)]
    assert look(
        ctx, "SELECT count(*) FROM wordings w WHERE NOT EXISTS (SELECT 1 FROM copies c WHERE c.wording_id = w.id)"
    ) == [(0,)]
    counts: dict[int, int] = defaultdict(int)
    originals = dict(expected.values())
    for some in members.values():
        for *_, id_, conversation in some:
            counts[conversation] += originals.get(id_, 1) - 1
    stored = {row[0]: row[1] for row in look(ctx, "SELECT id, copies FROM conversations")}
    assert {id_: count for id_, count in stored.items() if count} == {id_: n for id_, n in counts.items() if n}
    folded = {row[0] for row in look(ctx, "SELECT id FROM conversations WHERE shelf = 'copy'")}
    alone = {
        row[0]
        for row in look(
            ctx,
            "SELECT conversation_id FROM mentions WHERE NOT ours AND NOT set_aside AND id NOT IN "
            "(SELECT mention_id FROM copies)",
        )
    }
    assert not folded & alone, "nothing is folded that holds more than copies"
    firsts = {member[4] for some in members.values() for member in some if member[3] in originals}
    assert not folded & firsts, "an original is never folded"


def main(url: str, seed: int) -> None:
    """Stores, reads and forgets at random on the same few posts."""
    from tests.conftest import PlainSecrets

    database, chance = Database(url), random.Random(seed)
    ctx = Context(database, Path(), PlainSecrets(), clock=now)
    from db.mentions import upsert

    for _ in range(8):
        page = [
            post(str(number := chance.randrange(40)), f"{chance.choice(WORDS)} {chance.choice(['', 'indeed', '!'])}",
                 author_id=f"a{number % 7}", posted_at=now() - timedelta(minutes=number))
            for _ in range(5)
        ]  # fmt: skip
        with database.transaction() as tx:
            stored = upsert(tx, page, now=now(), digest=digest)
        read(ctx, batch=4)
        if stored.new_ids and chance.random() < 0.3:
            with database.transaction() as tx:
                forgetting.forget(tx, stored.new_ids[:2], now=now(), reason="deleted at source", digest=None)
    read(ctx)
    database.dispose()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
