"""Two processes never spend the same request of a platform's budget twice, nor the reserve, on either engine."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.operations import Operations

from db import budgets, hours
from db.engine import now
from dialogue.context import Context
from tests.worlds import add_source, post, store

ROOT = Path(__file__).parents[2]
QUOTA = 200


def test_two_workers_share_one_budget(any_ctx: Context, any_url: str) -> None:
    with any_ctx.database.transaction() as tx:
        row = budgets.opened(tx, "forum", "account 1", "")
        full = replace(row, remaining=QUOTA, quota=QUOTA, resets_at=now() + timedelta(hours=1), window_seconds=3600.0)
        budgets.write(tx, full)
    command = [sys.executable, "-m", "tests.db.spending", any_url]
    running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    taken = [json.loads(process.communicate(timeout=90)[0]) for process in running]
    assert sum(taken) == QUOTA - QUOTA // 10, "each request once, and a tenth is kept"
    with any_ctx.database.reading() as tx:
        (left,) = budgets.all_(tx)
    assert (left.remaining, left.pending) == (QUOTA // 10, 0)


def test_a_budget_is_made_once_and_forgotten_with_its_account(any_ctx: Context) -> None:
    with any_ctx.database.transaction() as tx:
        for kind in ("search", "", "search"):
            budgets.opened(tx, "forum", "account 1", kind)
        budgets.opened(tx, "forum", "account 2", "")
        assert [row.kind for row in budgets.locked(tx, "forum", "account 1", ("search", ""))] == ["", "search"]
        budgets.forget(tx, "forum", "account 1")
        assert [row.owner for row in budgets.all_(tx)] == ["account 2"]


def test_what_was_collected_before_hours_were_counted_is_counted(any_ctx: Context) -> None:
    """The revision counts in SQL, each engine in its own words, what storing a page counts in Python."""
    source_id, moment = add_source(any_ctx), now()
    old = [post(str(ago), posted_at=moment - timedelta(minutes=40 * ago)) for ago in range(30)]
    store(any_ctx, *old, post("older", posted_at=moment - timedelta(weeks=9)), source_id=source_id)
    with any_ctx.database.transaction() as tx:
        counted = hours.by_source(tx)
        tx.connection.exec_driver_sql("DELETE FROM source_hours")
        with Operations.context(MigrationContext.configure(tx.connection)):
            importlib.import_module("db.migrations.versions.0006_budgets")._count_the_last_weeks()
        expected = {hour: count for hour, count in counted[source_id].items() if hour > hours.of(moment) - 24 * 7 * 8}
        assert hours.by_source(tx) == {source_id: expected}
