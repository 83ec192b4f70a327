"""What test_together runs in several processes: `python -m tests.db.working URL SEED`.

Stores, tags, corrects and forgets at random on the same few posts.
"""

from __future__ import annotations

import random
import sys
from datetime import timedelta

from db import forgetting, tags
from db.engine import Database, now
from db.mentions import upsert
from tests.worlds import digest, post, said

ROUNDS = 25


def main(url: str, seed: int) -> None:
    database, chance = Database(url), random.Random(seed)
    for _ in range(ROUNDS):
        page = [
            post(str(chance.randrange(40)), chance.choice("abc"), author_id=f"a{chance.randrange(5)}",
                 platform=chance.choice(["forum", "board"]), posted_at=now(), root_id=chance.choice([None, "7"]))
            for _ in range(6)
        ]  # fmt: skip
        with database.transaction() as tx:
            upsert(tx, page, now=now(), digest=digest, source_id=chance.choice([1, 2]))
        with database.transaction() as tx:
            held = tags.claim(tx, now(), timedelta(minutes=1), 5)
        with database.transaction() as tx:
            mood, topic = chance.choice(["negative", "neutral", "positive"]), chance.choice(["hinges", "doors"])
            tags.store(tx, [(one, said(mood, "other", topic)) for one in held], "UTC", now())
        if held and chance.random() < 0.3:
            with database.transaction() as tx:
                forgetting.forget(tx, [held[0].id], now=now(), reason="deleted at source", digest=None)
        elif held:
            with database.transaction() as tx:
                tags.reapply(tx, held[-1].id, "UTC")
    database.dispose()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
