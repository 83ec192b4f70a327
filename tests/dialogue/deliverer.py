"""A worker's process for one errand, so that it can be killed: `python -m tests.dialogue.deliverer URL MOMENT ID…`.

Delivers each reply once on the database at URL, at the given moment, and prints a line when it begins.
"""

from __future__ import annotations

import sys
import tempfile
from datetime import datetime
from pathlib import Path

from db.engine import Database
from dialogue import replies
from dialogue.context import Context
from tests.conftest import PlainSecrets


def main() -> None:
    url, moment, *ids = sys.argv[1:]
    at = datetime.fromisoformat(moment)
    ctx = Context(
        Database(url), Path(tempfile.gettempdir()), PlainSecrets(), allow_private_hosts=True, clock=lambda: at
    )
    replies.sweep(ctx)  # opens the database, so that two of these race from here
    print("ready", flush=True)
    sys.stdin.readline()
    for reply_id in ids:
        replies.deliver(ctx, int(reply_id))


if __name__ == "__main__":
    main()
