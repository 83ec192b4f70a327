"""Two processes never hold the same row, and lose no update of each other, on either engine."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

from dialogue.context import Context
from tests.worlds import add_source, look, post, store

ROOT = Path(__file__).parents[2]
SOURCES, MENTIONS = 60, 200


def test_two_processes_claim_each_row_once(any_ctx: Context, any_url: str) -> None:
    for number in range(SOURCES):
        add_source(any_ctx, f"source {number}", next_run_at=any_ctx.clock())
    store(any_ctx, *(post(str(number), f"text {number}") for number in range(MENTIONS)))
    with any_ctx.database.transaction() as tx:
        tx.connection.exec_driver_sql("UPDATE people SET memo = '0'")
    command = [sys.executable, "-m", "tests.db.claiming", any_url]
    running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [json.loads(process.communicate(timeout=90)[0]) for process in running]
    assert [process.returncode for process in running] == [0, 0]
    for kind, total in (("sources", SOURCES), ("mentions", MENTIONS)):
        times = Counter(id_ for answer in answers for id_ in answer[kind])
        assert len(times) == total, f"{kind} that nobody claimed"
        assert max(times.values()) == 1, f"{kind} claimed twice"
    assert look(any_ctx, "SELECT memo FROM people") == [(str(SOURCES),)], "an update was lost"
