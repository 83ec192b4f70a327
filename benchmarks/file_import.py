"""A large upload from spooling to the last row: `python -m benchmarks.file_import [--rows N]`, a million by default.

Prints one JSON line: rows a second against merely reading the same file with the csv module, and how much memory the
process grew to. One row in fifty is broken. Not part of `make bench`: it takes minutes.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from db.engine import now
from db.migrate import migrate
from db.tables import User
from dialogue import requests, start, uploads
from dialogue.context import Actor, Context, Role
from settings import Settings

HEADER = b"date,author,text,stars\n"


def rows(count: int) -> Iterator[bytes]:
    """The file, a thousand rows at a time."""
    yield HEADER
    for first in range(0, count, 1_000):
        yield b"".join(map(_row, range(first, min(first + 1_000, count))))


def _row(number: int) -> bytes:
    if number % 50 == 49:
        return b'2026-11-20,"nobody closes this,3\n'
    return b'2026-11-%02d 10:00,rider%d,"Ride %d, and it rained again",%d\n' % (
        number % 20 + 1, number % 5_000, number, number % 5 + 1,
    )  # fmt: skip


def baseline(path: Path) -> float:
    """Rows a second of the csv module alone."""
    began = time.perf_counter()
    with path.open(newline="", encoding="utf-8") as file:
        count = sum(1 for line in file if list(csv.reader([line])))
    return count / (time.perf_counter() - began)


def imported(ctx: Context, person: Actor, count: int) -> tuple[dict[str, object], float]:
    """What the import's request says at the end, and the seconds it took."""
    began = time.perf_counter()
    upload = uploads.spool(ctx, person, "rides.csv", rows(count))
    mapping = {"posted_at": "date", "author": "author", "text": "text", "rating": "stars"}
    request = uploads.start_import(ctx, person, upload, mapping, "Rides")
    requests.serve(ctx, request)
    done = requests.get(ctx, request)
    if done.state != "done":
        sys.exit(f"the import ended as {done.state}: {done.error}")
    return done.result, time.perf_counter() - began


def main() -> None:
    """Prints the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    wanted: int = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.csv"
        with plain.open("wb") as file:
            file.writelines(rows(min(wanted, 100_000)))
        against = baseline(plain)
        ctx = start.context(Settings(data_dir=Path(folder), database_url=None), triggers=False)
        migrate(ctx.database)
        with ctx.database.transaction() as tx:
            tx.session.add(User(id=1, username="ada", display_name="Ada", role="admin", created_at=now()))
        result, seconds = imported(ctx, Actor(1, "Ada", Role.ADMIN), wanted)
        ctx.database.dispose()
    line = {
        "name": "file_import_rate",
        "value": round(wanted / seconds),
        "unit": "rows/s",
        "baseline": round(against),
        "baseline_name": "the csv module reading the same rows",
        "ratio": round(wanted / seconds / against, 4),
        "rows": wanted,
        "result": result,
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
