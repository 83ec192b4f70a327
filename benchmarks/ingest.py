"""How fast mentions are stored: the whole path against a raw upsert of the same rows.

`python -m benchmarks.ingest` prints two JSON lines. The whole path is: checking each post as a listener does, people,
conversations, links, search index, and a commit a page. The baselines are sqlite3 alone, one upsert a row, a commit a
page: `ingest_rate` into the same mentions table, with its indexes and its search index; `ingest_rate_bare` into a table
of nine columns that has none but its unique key, which no list, chart or search could be read from. All of them write
to the same disk in the same run.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from db import mentions
from db.engine import Database
from db.migrate import migrate
from db.tables import Source
from dialogue.collecting import as_mention
from listeners.base import Post

PAGE = 1_000
_WORDS = ("the hinge on my new door squeaks every morning", "nobody at the shop answers the phone", "and I like it")
_START = datetime(2026, 11, 1, tzinfo=UTC)


def raw_posts(rows: int) -> list[dict[str, Any]]:
    """What a listener would have read: three posts to a thread, five to an author. The same every time."""
    chance = random.Random(7)
    return [
        {
            "platform": "forum",
            "external_id": f"post-{number}",
            "url": f"https://forum.example/{number}",
            "author": {"id": f"author-{number // 5}", "handle": f"author{number // 5}", "display_name": "Some Author"},
            "text": " ".join(chance.choices(_WORDS, k=4)),
            "posted_at": _START + timedelta(seconds=number),
            "root_id": None if number % 3 == 0 else f"post-{number - number % 3}",
            "engagement": {"likes": number % 10},
        }
        for number in range(rows)
    ]


def pages(raw: Sequence[dict[str, Any]]) -> Iterator[Sequence[dict[str, Any]]]:
    """The rows in pages."""
    for start in range(0, len(raw), PAGE):
        yield raw[start : start + PAGE]


def through_the_whole_path(raw: Sequence[dict[str, Any]], path: Path) -> float:
    """Rows a second."""
    database = Database(f"sqlite:///{path}")
    migrate(database)
    with database.transaction() as tx:
        source = Source(platform="forum", label="Forum", created_at=_START)
        tx.session.add(source)
        tx.session.flush()
        source_id = source.id
    started = time.perf_counter()
    for page in pages(raw):
        posts = [as_mention(Post.model_validate(row)) for row in page]
        with database.transaction() as tx:
            mentions.upsert(tx, posts, now=_START, digest=str, source_id=source_id)
    took = time.perf_counter() - started
    database.dispose()
    return len(raw) / took


def raw_upsert(raw: Sequence[dict[str, Any]], path: Path) -> float:
    """Rows a second of sqlite3 alone, into the mentions table as it is."""
    database = Database(f"sqlite:///{path}")
    migrate(database)
    database.dispose()
    return _upserting(
        raw,
        path,
        "INSERT INTO mentions (platform, external_id, url, identity_id, text, posted_at, root_id, engagement, kind, "
        "conversation_id, text_hash, posted_at_estimated, mentions, collected_at, checked_at, ours, fence, sample) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'post', ?, ?, 0, '[]', ?, ?, 0, 0, 0) "
        "ON CONFLICT (platform, external_id) DO UPDATE SET text = excluded.text, engagement = excluded.engagement",
        lambda row, number: (
            row["platform"], row["external_id"], row["url"], number // 5 + 1, row["text"],
            row["posted_at"].isoformat(), row["root_id"], json.dumps(row["engagement"]), number // 3 + 1,
            f"{number:064x}", row["posted_at"].isoformat(), row["posted_at"].isoformat(),
        ),
    )  # fmt: skip


def bare(raw: Sequence[dict[str, Any]], path: Path) -> float:
    """Rows a second of sqlite3 alone, into a table with nothing but its unique key."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(
        "CREATE TABLE mentions (id INTEGER PRIMARY KEY, platform, external_id, url, author, text, posted_at, root_id, "
        "engagement, UNIQUE (platform, external_id))"
    )
    connection.close()
    return _upserting(
        raw,
        path,
        "INSERT INTO mentions (platform, external_id, url, author, text, posted_at, root_id, engagement) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (platform, external_id) DO UPDATE SET "
        "text = excluded.text, engagement = excluded.engagement",
        lambda row, _: (
            row["platform"], row["external_id"], row["url"], row["author"]["id"], row["text"],
            row["posted_at"].isoformat(), row["root_id"], json.dumps(row["engagement"]),
        ),
    )  # fmt: skip


def _upserting(
    raw: Sequence[dict[str, Any]], path: Path, statement: str, values: Callable[[dict[str, Any], int], tuple[Any, ...]]
) -> float:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA cache_size=-65536")
    number = 0
    started = time.perf_counter()
    for page in pages(raw):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(statement, [values(row, number + place) for place, row in enumerate(page)])
        connection.execute("COMMIT")
        number += len(page)
    took = time.perf_counter() - started
    connection.close()
    return len(raw) / took


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ingest", description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000)
    raw = raw_posts(parser.parse_args().rows)
    with tempfile.TemporaryDirectory() as folder:
        upserting = raw_upsert(raw, Path(folder) / "raw.db")
        into_bare = bare(raw, Path(folder) / "bare.db")
        value = through_the_whole_path(raw, Path(folder) / "samtal.db")
    for name, baseline, called in (
        ("ingest_rate", upserting, "sqlite3 upsert of the same rows into the same table with its indexes"),
        ("ingest_rate_bare", into_bare, "sqlite3 upsert of the same rows into a table with nothing but its key"),
    ):
        ratio = round(value / baseline, 3)
        print(
            json.dumps(
                {
                    "name": name, "value": round(value), "unit": "rows/s", "baseline": round(baseline),
                    "baseline_name": called, "ratio": ratio,
                }
            )
        )  # fmt: skip


if __name__ == "__main__":
    main()
