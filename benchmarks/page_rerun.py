"""How long a click on the inbox takes, against a click on an empty page, in one run.

`python -m benchmarks.page_rerun [MENTIONS]` seeds a database, opens the dashboard in Streamlit's own test harness (the
script runs as in a browser, nothing is drawn), reruns both pages in turn and prints one JSON line of medians.
"""

from __future__ import annotations

import json
import logging
import os
import statistics
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from streamlit.testing.v1 import AppTest

import settings
from db import mentions
from dialogue import accounts, start
from dialogue.context import Context
from pages.parts import context

ROOT = Path(__file__).parent.parent
RERUNS = 15
BATCH = 5_000


def main(arguments: list[str]) -> None:
    """Seeds, measures, prints."""
    logging.disable(logging.WARNING)
    count = int(arguments[0]) if arguments else 100_000
    with tempfile.TemporaryDirectory(prefix="samtal-bench-") as folder:
        os.environ["DATA_DIR"] = folder
        ctx = start.context(settings.load(), triggers=False)
        start.prepare(ctx)
        token = accounts.redeem(ctx, accounts.first_link(ctx) or "", "ada", "Ada", "a long enough password", "bench")
        _seed(ctx, count)
        context.session_token = lambda: token  # the harness has no cookies
        empty = AppTest.from_string("import streamlit as st\n\nst.button('Again')", default_timeout=60).run()
        inbox = AppTest.from_file(str(ROOT / "dashboard.py"), default_timeout=60).run()
        inbox.switch_page("pages/inbox.py").run()
        if inbox.exception or not inbox.text:
            sys.exit("the inbox did not show its cards")
        baseline, value = _medians(empty, inbox)
        ctx.database.dispose()
    print(
        json.dumps(
            {
                "name": "page_rerun",
                "value": round(value, 1),
                "unit": "ms",
                "baseline": round(baseline, 1),
                "baseline_name": "an empty page's rerun",
                "ratio": round(value / baseline, 1),
                "mentions": count,
                "reruns": RERUNS,
            }
        )
    )


def _seed(ctx: Context, count: int) -> None:
    now = ctx.clock()
    for first in range(0, count, BATCH):
        posts = [
            mentions.NewMention(
                platform="feed",
                external_id=f"post-{n}",
                kind="post",
                text=f"Message {n}: where is my parcel, and who can tell me?",
                posted_at=now - timedelta(seconds=20 * n + 1),
                author_id=f"person-{n % 20_000}",
                author_handle=f"person{n % 20_000}",
            )
            for n in range(first, min(count, first + BATCH))
        ]
        with ctx.database.transaction() as tx:
            mentions.upsert(tx, posts, now=now, digest=ctx.secrets.digest)


def _medians(empty: AppTest, inbox: AppTest) -> tuple[float, float]:
    """Milliseconds; the two take turns, so that a busy machine slows both."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(RERUNS):
        for app, spent in zip((empty, inbox), times, strict=True):
            begun = time.perf_counter()
            app.run()
            spent.append(1_000 * (time.perf_counter() - begun))
    return statistics.median(times[0]), statistics.median(times[1])


if __name__ == "__main__":
    main(sys.argv[1:])
