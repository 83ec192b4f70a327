"""What the budget tests run in several processes: `python -m tests.db.spending URL`.

Takes requests from one budget until there are none left, and prints how many it got as one JSON line.
"""

from __future__ import annotations

import json
import sys

from db.engine import Database, now
from dialogue.budgets import Allowance


def main(url: str) -> None:
    database = Database(url)
    taken = 0
    while True:
        allowance = Allowance("forum", "account 1", "")
        with database.transaction() as tx:
            if allowance.take(tx, now()) is not None:
                break
        taken += 1
        with database.transaction() as tx:
            allowance.answered(tx, now())
    database.dispose()
    print(json.dumps(taken))


if __name__ == "__main__":
    main(sys.argv[1])
