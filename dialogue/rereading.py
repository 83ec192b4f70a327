"""`python -m dialogue.rereading`: asks for every mention to be read again by the model that is set now.

For after a change of SENTIMENT_MODEL; Samtal may run meanwhile. Corrections stay, and so do the old tags until the new
ones are there. What this very model has read already is not read twice.
"""

from __future__ import annotations

import sys

from db import tags
from dialogue import audit
from dialogue.context import SYSTEM, Actor, Context, DialogueError, Role, require
from dialogue.text import counted

TOGETHER = 5_000
"""Mentions that are marked in one transaction, so that nobody waits for long."""


def ask(ctx: Context, actor: Actor) -> int:
    """Asks for all that was tagged to be read again, by administrators; returns how many mentions that are."""
    require(actor, Role.ADMIN)
    asked, last = 0, 0
    while True:
        with ctx.database.transaction() as tx:
            ids = tags.ask_again(tx, last, TOGETHER)
            if not ids:
                audit.record(tx, ctx, actor, "asked for again", "tags", mentions=asked)
                break
        asked, last = asked + len(ids), ids[-1]
    ctx.triggers.understand()
    return asked


def main(arguments: list[str]) -> None:
    """The command line."""
    import settings as configuration
    from dialogue import start

    if arguments:
        sys.exit(__doc__)
    try:
        ctx = start.context(configuration.load(), triggers=False)
        print(f"{counted(ask(ctx, SYSTEM), 'mention')} will be read again, the newest first.")
    except (configuration.SettingsError, DialogueError) as error:
        sys.exit(f"samtal: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
