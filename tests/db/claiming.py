"""What the claim tests run in several processes: `python -m tests.db.claiming URL`.

Claims sources and mentions until nothing is left, counts one up in a row with every claim, and prints what it claimed
as one JSON line.
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta

from sqlalchemy import text

from db import sources, tags
from db.engine import Database, now

LEASE = timedelta(minutes=10)


def main(url: str) -> None:
    database = Database(url)
    claimed: dict[str, list[int]] = {"sources": [], "mentions": []}
    while True:
        with database.reading() as tx:
            due = sources.due(tx, now(), 100)
        for source_id in due:
            with database.transaction() as tx:
                if sources.claim(tx, source_id, now(), LEASE) is not None:
                    claimed["sources"].append(source_id)
                    tx.connection.execute(text("UPDATE people SET memo = CAST(CAST(memo AS integer) + 1 AS text)"))
        with database.transaction() as tx:
            held = tags.claim(tx, now(), LEASE, 7)
            claimed["mentions"] += [one.id for one in held]
        if not due and not held:
            break
    database.dispose()
    print(json.dumps(claimed))


if __name__ == "__main__":
    main(sys.argv[1])
