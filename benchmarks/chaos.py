"""Kills a real worker again and again, at every point where something could be lost or doubled, and counts.

`python -m benchmarks.chaos` starts workers on an embedded database against a platform on loopback that counts what it
served and what it got, and kills each with SIGKILL at a named point of collect, understand, deliver or backfill. After
each kill the leases of the dead worker are made to run out at once, as time would. At the end a worker that is not
killed has to bring everything to rest. Prints {"kills", "lost", "doubled"} as one JSON line and ends with 1 unless all
is well.

Workers are forked from a process that has imported everything, so that a start costs no second; only the model is a
stand-in.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from sqlalchemy import text

from benchmarks import chaos_platform
from benchmarks.chaos_platform import Standing
from listeners.base import Absent

POINTS = (
    "collect.claimed", "deliver.attempt_written", "understand.claimed", "collect.before_commit",
    "deliver.sent_not_recorded", "understand.read", "collect.after_page", "deliver.claimed",
    "understand.before_commit", "collect.after_page:2", "deliver.recorded", "understand.stored",
    "collect.before_commit:2", "deliver.found_not_recorded", "collect.ended", "backfill.after_page",
    "backfill.before_commit:2",
)  # fmt: skip
POSTS_A_ROUND = 7
REPLIES_A_ROUND = 2
READING_BACK = "SELECT count(*) FROM worker_requests WHERE kind = 'backfill' AND state IN ('waiting', 'running')"
PATIENCE = 30.0
"""Seconds that a worker may take to reach its point, or to bring everything to rest."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--careless", action="store_true", help="a platform that lies about what stands there: fails")
    parser.add_argument("--hatch", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.hatch:
        hatch(careless=options.careless)
        return
    outcome = run(options.kills, careless=options.careless)
    print(json.dumps(outcome))
    well = outcome["kills"] >= options.kills and not outcome["lost"] and not outcome["doubled"]
    sys.exit(0 if well else 1)


def run(kills: int, *, careless: bool = False, points: Sequence[str] = POINTS) -> dict[str, Any]:
    """The whole thing; what the JSON line says."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="samtal-chaos-") as folder:
        scene = Scene(Path(folder), careless)
        try:
            for point in islice(cycle(points), kills):
                scene.round(point)
            scene.come_to_rest()
            return scene.count() | {"seconds": round(time.monotonic() - started, 1)}
        finally:
            scene.close()


class Scene:
    """The platform, the database, and the workers that die on them."""

    def __init__(self, folder: Path, careless: bool) -> None:
        from settings import Settings

        self.standing = Standing()
        self.server, address = chaos_platform.serve(self.standing)
        packages = folder / "packages"
        packages.mkdir()
        chaos_platform.register(packages)
        sys.path.insert(0, str(packages))
        environment = {
            "DATA_DIR": str(folder / "data"), "ALLOW_PRIVATE_HOSTS": "true", "LOG_LEVEL": "ERROR",
            "DATABASE_URL": f"sqlite:///{folder / 'data' / 'samtal.db'}",
        }  # fmt: skip
        os.environ.update(environment)
        command = [sys.executable, "-m", "benchmarks.chaos", "--hatch", *(["--careless"] if careless else [])]
        environment = os.environ | {"PYTHONPATH": str(packages)}
        self.hatchery = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.ctx, self.source_id = _prepared(Settings(_env_file=None), address)
        self.kills: Counter[str] = Counter()
        self.replies = 0
        self.sent: list[tuple[str, str]] = []

    def round(self, point: str) -> None:
        """People speak, we answer some of them, a worker starts and is killed at `point`."""
        self.standing.people_speak(POSTS_A_ROUND)
        if point.startswith("backfill"):
            self._read_back()
        if point.startswith("deliver"):
            if self.replies == 0 or not self._answer(REPLIES_A_ROUND):
                self.come_to_rest()
                self._answer(REPLIES_A_ROUND)
            if point == "deliver.found_not_recorded":
                self._die_at("deliver.attempt_written")
        self._die_at(point)

    def _read_back(self) -> None:
        """People had spoken before, and somebody asks for that; a reading that is under way comes upon it, too."""
        from dialogue import backfill
        from dialogue.context import SYSTEM

        self.standing.people_had_spoken(POSTS_A_ROUND)
        if not self._number(READING_BACK):
            now = self.ctx.clock()
            backfill.request(self.ctx, SYSTEM, self.source_id, now - timedelta(days=30))

    def _die_at(self, point: str) -> None:
        self._make_due()
        pid = self._hatch(point)
        code = self._end_of(pid)
        if code == -signal.SIGKILL:
            self.kills[point.partition(":")[0]] += 1
        self._let_leases_run_out()

    def come_to_rest(self) -> None:
        """Runs a worker that nobody kills until nothing waits any more; it must end well when asked to."""
        self._make_due()
        pid = self._hatch("")
        deadline = time.monotonic() + PATIENCE
        while self._waiting() and time.monotonic() < deadline:
            time.sleep(0.1)
        os.kill(pid, signal.SIGTERM)
        code = self._end_of(pid)
        if code != 0:
            raise RuntimeError(f"the worker ended with {code} when it was asked to stop")

    def _answer(self, count: int) -> bool:
        """Sends answers to conversations that nobody has answered; False where there are not enough."""
        from dialogue import replies
        from dialogue.context import SYSTEM

        query = (
            "SELECT c.id, c.latest_mention_id, c.version, c.root_id FROM conversations c LEFT JOIN replies r "
            "ON r.conversation_id = c.id WHERE r.id IS NULL AND c.mention_count > 0 ORDER BY c.id LIMIT :count"
        )
        with self.ctx.database.reading() as tx:
            open_ones = tx.connection.execute(text(query), {"count": count}).all()
        for id_, mention_id, version, root in open_ones:
            self.replies += 1
            words = f"Answer {self.replies}"
            view = replies.send(self.ctx, SYSTEM, id_, mention_id, words, f"key {self.replies}", version)
            if view.state != "queued":
                raise RuntimeError(f"the reply is {view.state}: {view.words}")
            self.sent.append((root, words))
        return len(open_ones) == count

    # Workers ----------------------------------------------------------------------------------------------------------

    def _hatch(self, point: str) -> int:
        assert self.hatchery.stdin is not None
        assert self.hatchery.stdout is not None
        self.hatchery.stdin.write(point + "\n")
        self.hatchery.stdin.flush()
        return int(self.hatchery.stdout.readline())

    def _end_of(self, pid: int) -> int:
        """How the worker ended; one that does not reach its point is made to."""
        assert self.hatchery.stdout is not None
        watchdog = subprocess.Popen(["sh", "-c", f"sleep {PATIENCE} && kill -TERM {pid}"], stderr=subprocess.DEVNULL)
        code = int(self.hatchery.stdout.readline())
        watchdog.kill()
        watchdog.wait()
        return code

    # The database -----------------------------------------------------------------------------------------------------

    def _run(self, *statements: str) -> None:
        with self.ctx.database.transaction() as tx:
            for statement in statements:
                tx.connection.execute(text(statement))

    def _make_due(self) -> None:
        self._run("UPDATE sources SET next_run_at = '2000-01-01 00:00:00.000000'")

    def _let_leases_run_out(self) -> None:
        """What a minute or two would do."""
        tables = ("sources", "mentions", "replies", "worker_requests")
        past = "'2000-01-01 00:00:00.000000'"
        self._run(*(f"UPDATE {name} SET lease_until = {past} WHERE lease_until IS NOT NULL" for name in tables))

    def _number(self, query: str) -> int:
        with self.ctx.database.reading() as tx:
            return int(tx.connection.execute(text(query)).scalar_one())

    def _waiting(self) -> bool:
        said = len(self.standing.posts) + len(self.standing.archive)
        missing = said - self._number("SELECT count(*) FROM mentions")
        if missing:
            self._make_due()
        untagged = self._number("SELECT count(*) FROM mentions WHERE tagged_at IS NULL")
        unsent = self._number("SELECT count(*) FROM replies WHERE state <> 'sent'")
        return bool(missing or untagged or unsent or self._number(READING_BACK))

    def count(self) -> dict[str, Any]:
        """What was lost and what was doubled, over everything."""
        from db import rollups

        with self.ctx.database.transaction() as tx:
            rows = tx.connection.execute(text("SELECT external_id, ours FROM mentions")).all()
            kept = rollups.counts(tx)
            rollups.recount(tx, "UTC")
            true = rollups.counts(tx)
        theirs = [row.external_id for row in rows if not row.ours]
        arrived = Counter((answer["parent"], answer["text"]) for answer in self.standing.answers)
        lost = {
            "mentions": len(self.standing.theirs() - set(theirs)),
            "tags": self._number("SELECT count(*) FROM mentions WHERE tagged_at IS NULL"),
            "replies": sum(1 for sent in self.sent if arrived[sent] == 0),
            "readings": self._number(READING_BACK),
            "outcomes": self._number("SELECT count(*) FROM replies WHERE state <> 'sent'"),
            "counted": sum((true - kept).values()),
        }
        counted = self._number("SELECT sum(mention_count) FROM conversations")
        doubled = {
            "mentions": len(theirs) - len(set(theirs)),
            "conversations": counted - len(theirs),
            "replies": sum(number - 1 for number in arrived.values()),
            "counted": sum((kept - true).values()),
        }
        return {
            "kills": self.kills.total(),
            "lost": sum(lost.values()),
            "doubled": sum(doubled.values()),
            "mentions": len(theirs),
            "replies": len(self.sent),
            "at": dict(sorted(self.kills.items())),
            **({"what": {"lost": lost, "doubled": doubled}} if any((*lost.values(), *doubled.values())) else {}),
        }

    def close(self) -> None:
        """Ends the platform and the process that workers are forked from."""
        assert self.hatchery.stdin is not None
        self.hatchery.stdin.close()
        self.hatchery.wait(PATIENCE)
        self.server.shutdown()
        self.server.server_close()
        self.ctx.database.dispose()


def _prepared(settings: Any, address: str) -> tuple[Any, int]:
    """A migrated database with one account and one source; nothing waits before a reply leaves."""
    from db import forgetting
    from db import sources as rows
    from dialogue import sources, start, workspace
    from dialogue.context import SYSTEM

    ctx = start.context(settings, triggers=False)
    start.prepare(ctx)
    workspace.change(ctx, SYSTEM, undo_seconds=0)
    account_id = sources.save_account(ctx, SYSTEM, "chaos", "Us", address, {"token": "t"})
    with ctx.database.transaction() as tx:
        rows.account_checked(tx, account_id, ctx.clock(), True, "", handle="us", external_id=chaos_platform.US)
        forgetting.mark_ours(tx, "chaos", chaos_platform.US, ctx.clock())
    return ctx, sources.add(ctx, SYSTEM, "chaos", "", "all", "Chaos", account_id)


# Where workers come from ----------------------------------------------------------------------------------------------


def hatch(*, careless: bool) -> None:
    """For each line forks a worker that dies at the point it names; prints its pid, and then how it ended."""
    import worker
    from dialogue import points, understanding
    from listeners import registry

    registry.capabilities()
    understanding._opener = lambda topics: StandIn()
    if careless:
        chaos_platform.Listener.find = lambda *_: Absent()  # type: ignore[method-assign]
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            os.setsid()
            sys.stdin.close()
            points._ASKED, _, points._TIME = line.strip().partition(":")
            worker.main([])
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


class StandIn:
    """Tags by the length of the text: the model is not what is tried here."""

    model = "stand-in"

    def tags(self, texts: Sequence[str]) -> list[Any]:
        from analysis.base import Intent, IntentScore, Sentiment, SentimentScores, Tags

        moods = list(Sentiment)
        return [
            Tags("en", SentimentScores(moods[len(one) % 3], 0.2, 0.6, 0.2), IntentScore(Intent.OTHER, 0.5), (), b"", "")
            for one in texts
        ]


if __name__ == "__main__":
    main()
