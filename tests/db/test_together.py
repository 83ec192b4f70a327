"""Three processes that write to the same few mentions at once leave every count exact, on either engine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from db import rollups
from dialogue.context import Context
from tests.worlds import add_source, look

ROOT = Path(__file__).parents[2]


def test_counts_are_exact_after_three_processes_worked_at_once(any_ctx: Context, any_url: str) -> None:
    add_source(any_ctx)
    add_source(any_ctx)
    running = [
        subprocess.Popen([sys.executable, "-m", "tests.db.working", any_url, str(seed)], cwd=ROOT) for seed in range(3)
    ]
    assert [process.wait(90) for process in running] == [0, 0, 0]
    with any_ctx.database.transaction() as tx:
        kept = rollups.counts(tx)
        rollups.recount(tx, "UTC")
        assert kept == rollups.counts(tx)
        assert sum(kept.values()) > 0
    counted = look(any_ctx, "SELECT sum(mention_count) FROM conversations")
    assert counted == look(any_ctx, "SELECT count(*) FROM mentions WHERE NOT ours")
    assert look(
        any_ctx,
        "SELECT count(*) FROM conversations c LEFT JOIN mentions m ON m.id = c.latest_mention_id "
        "WHERE m.conversation_id IS NULL OR m.conversation_id <> c.id",
    ) == [(0,)]
