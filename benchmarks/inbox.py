"""How long a page of the inbox takes among 100,000 mentions: `python -m benchmarks.inbox [--mentions N] [--all]`.

Measures `dialogue.inbox.page` from the call to the finished cards, at random depths of the default view, against the
barest thing that could show the same rows: one keyset SELECT of 25 conversations with their texts through `sqlite3`
alone, in the same run, on the same file. `--all` measures other filters, too. Prints one JSON line a measure.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text

from db.engine import Database, Transaction
from db.migrate import migrate
from db.sql import table
from db.tables import (
    Conversation,
    EffectiveTag,
    Identity,
    Mention,
    MentionSource,
    MentionTopic,
    Person,
    Source,
    Tag,
    User,
)
from dialogue import inbox
from dialogue.context import Actor, Context, Role
from dialogue.secrets import SecretBox

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
TOPICS = ("Delivery", "Product", "Price", "App", "Service", "Returns", "Shops", "Recalls")
"""Each half as frequent as the one before."""
WORDS = (
    "the parcel",
    "never arrived",
    "and",
    "nobody answers",
    "my mail",
    "about",
    "the new bike",
    "which I like",
    "a lot",
)
ROUNDS = 300

BARE = """
    SELECT c.id, c.version, c.state, c.due_at, c.latest_at, c.sentiment, c.intent, m.title,
           substr(m.text, 1, 400), m.url
    FROM conversations c JOIN mentions m ON m.id = c.latest_mention_id
    WHERE c.state = 'open' AND (c.latest_at, c.id) < (?, ?)
    ORDER BY c.latest_at DESC, c.id DESC LIMIT 26
"""


def seed(tx: Transaction, mentions: int) -> None:
    """Fills the tables: three mentions to two conversations, five to a person."""
    chance = random.Random(7)
    conversations, people = max(1, mentions * 2 // 3), max(1, mentions // 5)
    start = NOW - timedelta(days=365)
    moments = sorted(start + timedelta(seconds=chance.random() * 365 * 86_400) for _ in range(mentions))
    in_thread = [number % conversations + 1 for number in range(mentions)]
    latest = {thread: number + 1 for number, thread in enumerate(in_thread)}
    identity = [chance.randrange(people) + 1 for _ in range(mentions)]
    sentiment = chance.choices(("negative", "neutral", "positive"), (30, 50, 20), k=mentions)
    intent = chance.choices(("question", "complaint", "praise", "idea", "other"), (25, 20, 15, 5, 35), k=mentions)
    topic = chance.choices(TOPICS, [2.0**-number for number in range(len(TOPICS))], k=mentions)
    state = chance.choices(("open", "waiting", "closed"), (50, 20, 30), k=conversations)

    def fill(of: Any, rows: Iterator[dict[str, Any]]) -> None:
        while some := [row for _, row in zip(range(5_000), rows, strict=False)]:
            tx.connection.execute(table(of).insert(), some)

    base: dict[str, Any] = {"created_at": NOW, "sample": False}
    empty: dict[str, Any] = {"cursor": {}, "options": {}, "budget": {}}
    fill(User, iter([{"username": "bo", "display_name": "Bo", "role": "responder", "created_at": NOW}]))
    fill(Source, iter([{"platform": "feed", "label": f"Source {number}", **empty, **base} for number in range(4)]))
    fill(Person, ({"id": n + 1, "display_name": f"Person {n}", "memo": "", **base} for n in range(people)))
    fill(
        Identity,
        (
            {"id": n + 1, "platform": "feed", "external_id": f"i{n}", "handle": f"@person{n}", "person_id": n + 1,
             "ours": False, "first_seen_at": start, "last_seen_at": NOW, "sample": False}
            for n in range(people)
        ),
    )  # fmt: skip
    fill(
        Conversation,
        (
            {"id": n + 1, "platform": "feed", "root_id": f"p{n}", "state": state[n],
             "latest_at": moments[latest[n + 1] - 1],
             "latest_mention_id": latest[n + 1], "person_id": identity[latest[n + 1] - 1],
             "mention_count": 1, "version": 1,
             "sentiment": sentiment[latest[n + 1] - 1], "intent": intent[latest[n + 1] - 1], "sample": False}
            for n in range(conversations)
        ),
    )  # fmt: skip
    fill(
        Mention,
        (
            {"id": n + 1, "platform": "feed", "external_id": f"p{n}", "kind": "post", "identity_id": identity[n],
             "conversation_id": in_thread[n], "text": " ".join(chance.choices(WORDS, k=15)), "text_hash": str(n),
             "posted_at": moments[n], "collected_at": NOW, "checked_at": NOW, "tagged_at": NOW, "ours": False,
             "posted_at_estimated": False, "mentions": [], "engagement": {}, "fence": 0, "sample": False}
            for n in range(mentions)
        ),
    )  # fmt: skip
    fill(
        Tag,
        (
            {"mention_id": n + 1, "text_hash": str(n), "language": "en", "sentiment": sentiment[n], "negative": 0.3,
             "neutral": 0.4, "positive": 0.3, "intent": intent[n], "intent_score": 0.8, "topics": [],
             "embedding": bytes(768), "model": "bench", "tagged_at": NOW}
            for n in range(mentions)
        ),
    )  # fmt: skip
    fill(
        EffectiveTag,
        (
            {"mention_id": n + 1, "language": "en", "sentiment": sentiment[n], "intent": intent[n],
             "day": moments[n].date()}
            for n in range(mentions)
        ),
    )  # fmt: skip
    fill(MentionTopic, ({"mention_id": n + 1, "topic": topic[n], "score": 0.9} for n in range(mentions)))
    fill(MentionSource, ({"mention_id": n + 1, "source_id": chance.randrange(4) + 1} for n in range(mentions)))


def times(work: Callable[[], object], rounds: int) -> list[float]:
    """Milliseconds of each round, after a few that warm up."""
    for _ in range(5):
        work()
    measured = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        measured.append((time.perf_counter() - start) * 1_000)
    return measured


def p95(measured: list[float]) -> float:
    return statistics.quantiles(measured, n=20)[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mentions", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--all", action="store_true", help="measure other filters, too")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "samtal.db"
        database = Database(f"sqlite:///{path}")
        migrate(database)
        with database.transaction() as tx:
            seed(tx, asked.mentions)
        ctx = Context(database, Path(folder), SecretBox("benchmark " * 5))
        measure(ctx, path, asked.rounds, asked.all)
        database.dispose()


def measure(ctx: Context, path: Path, rounds: int, everything: bool) -> None:
    bo = Actor(1, "Bo", Role.RESPONDER)
    marks = _marks(ctx)
    chance = random.Random(11)
    bare = sqlite3.connect(path)
    bare.execute("PRAGMA cache_size=-65536")

    def ask_barely() -> object:
        at, last = chance.choice(marks)
        return bare.execute(BARE, (at.strftime("%Y-%m-%d %H:%M:%S.%f"), last)).fetchall()

    def page_of(filters: inbox.Filters) -> Callable[[], object]:
        def ask() -> object:
            mark = chance.choice(marks)
            return inbox.page(ctx, bo, filters, inbox.token(*mark))

        return ask

    baseline = p95(times(ask_barely, rounds))
    _print("inbox_page_p95", p95(times(page_of(inbox.Filters()), rounds)), baseline)
    if everything:
        for name, filters in _OTHERS.items():
            _print(f"inbox_page_{name}_p95", p95(times(page_of(filters), max(20, rounds // 10))), baseline)
        _print("inbox_counts_p95", p95(times(lambda: inbox.counts(ctx, bo), max(20, rounds // 10))), baseline)
    bare.close()


_DAY = date(2026, 11, 10)
_OTHERS = {
    "all": inbox.Filters(view="all"),
    "mine": inbox.Filters(view="mine"),
    "negative_ideas": inbox.Filters(sentiment=("negative",), intent=("idea",)),
    "common_topic": inbox.Filters(topics=(TOPICS[0],)),
    "rare_topic": inbox.Filters(topics=(TOPICS[-1],)),
    "source": inbox.Filters(source_id=1),
    "search_common": inbox.Filters(search="parcel"),
    "search_phrase": inbox.Filters(search='"nobody answers" -bike'),
    "day": inbox.Filters(view="all", sentiment=("negative",), day=(_DAY, _DAY)),
}


def _marks(ctx: Context) -> list[tuple[datetime, int]]:
    """Places in the default view to begin a page at."""
    with ctx.database.reading() as tx:
        query = text("SELECT latest_at, id FROM conversations WHERE state = 'open' ORDER BY latest_at DESC LIMIT 5000")
        found = tx.connection.execute(query).all()
    return [(datetime.fromisoformat(row[0]).replace(tzinfo=UTC), row[1]) for row in found[::7]]


def _print(name: str, value: float, baseline: float) -> None:
    against = {"baseline": round(baseline, 3), "baseline_name": "one keyset SELECT of as many rows"}
    line = {"name": name, "value": round(value, 2), "unit": "ms", **against, "ratio": round(value / baseline, 1)}
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
