"""SENTIMENT_MODEL from the setting to the stored tag, and what people are told where it cannot be used."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from analysis.base import Intent, IntentScore, Sentiment, SentimentScores, Tags
from db import rollups, tags, workers
from db.engine import Transaction
from dialogue import health, rereading, start, understanding
from dialogue.context import Actor, Context, NotAllowed, Role
from settings import Settings
from tests.analysis.checkpoints import checkpoint, needs_torch
from tests.conftest import Clock, as_role
from tests.worlds import look, post, said, store, tag

ROOT = Path(__file__).parents[2]
KEY = "k" * 40


@pytest.fixture
def world(tmp_path: Path, sqlite_url: str) -> Iterator[Context]:
    """A world that a real worker can be started on."""
    settings = Settings(data_dir=tmp_path, database_url=sqlite_url, secret_key=KEY, _env_file=None)
    ctx = start.context(settings)
    start.prepare(ctx)
    yield ctx
    ctx.database.dispose()


def read_by_a_worker(ctx: Context, texts: Sequence[str], until: Callable[[], bool], **settings: str) -> str:
    """Stores the texts, runs a worker with these settings until something holds; what it wrote into its log."""
    store(ctx, *(post(str(number), text) for number, text in enumerate(texts)))
    environment = os.environ | {
        "DATA_DIR": str(ctx.data_dir), "DATABASE_URL": ctx.database.url, "SECRET_KEY": KEY, "HF_HUB_OFFLINE": "1",
    }  # fmt: skip
    log = ctx.data_dir / "worker.log"
    with log.open("wb") as output, subprocess.Popen(
        [sys.executable, str(ROOT / "worker.py")], env=environment | settings, cwd=ROOT, stdin=subprocess.DEVNULL,
        stdout=output, stderr=output,
    ) as worker:  # fmt: skip
        try:
            deadline = time.monotonic() + 250
            while not until():
                assert time.monotonic() < deadline, log.read_text("utf-8", "replace")[-3_000:]
                assert worker.poll() is None, log.read_text("utf-8", "replace")[-3_000:]
                time.sleep(0.05)
        finally:
            worker.kill()
    return log.read_text("utf-8", "replace")


def tagged(ctx: Context, count: int) -> bool:
    return look(ctx, "SELECT count(*) FROM tags") == [(count,)]


@pytest.mark.timeout(300)
def test_a_model_that_cannot_be_used_is_told_and_everything_is_tagged_all_the_same(world: Context) -> None:
    texts = ["I love this, best purchase in years!", "Worst service ever, I am furious"]

    def told() -> bool:
        return tagged(world, 2) and bool(health.worker(world).notice)

    log = read_by_a_worker(world, texts, told, SENTIMENT_MODEL="/nowhere/mood")
    notice = health.worker(world).notice
    assert notice.startswith("The sentiment model /nowhere/mood cannot be used: ")
    assert notice.endswith("The bundled model goes on.")
    assert [line for line in log.splitlines() if "cannot be used" in line] == [
        line for line in log.splitlines() if line.endswith(notice)
    ]
    assert log.count(notice) == 1
    assert "Traceback" not in log
    found = look(world, "SELECT sentiment FROM tags ORDER BY mention_id")
    assert found == [("positive",), ("negative",)]


@needs_torch
@pytest.mark.timeout(300)
def test_a_checkpoint_says_the_sentiment_of_mentions(
    ctx: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = checkpoint(tmp_path / "mood", ["joy", "anger"], (2, 0))
    monkeypatch.setattr(understanding, "_sentiment", None)
    monkeypatch.setattr(understanding, "_open", None)
    understanding.use_sentiment_model(str(folder), labels="joy=positive,anger=negative")
    understanding.open_early(ctx)
    store(ctx, *(post(str(number), text) for number, text in enumerate(["awful", "lovely", "😀"])))
    assert understanding.understand(ctx) == 3
    found = look(ctx, "SELECT sentiment, neutral, model FROM tags ORDER BY mention_id")
    assert [row[0] for row in found][:2] == ["negative", "positive"]
    assert all(row[1] == 0 for row in found), "two labels leave nothing neutral"
    assert all(", sentiment mood " in row[2] and " topics " in row[2] for row in found)
    assert understanding.trouble() == ""


class Falling:
    """An analyser whose checkpoint fails while it reads: it is named with it before, and the tags without."""

    model = "bundled 1, sentiment mood 2"
    trouble = "The sentiment model mood cannot be used: memory ran out. The bundled model goes on."

    def tags(self, texts: Sequence[str]) -> list[Tags]:
        one = Tags("en", SentimentScores(Sentiment.NEUTRAL, 0.0, 1.0, 0.0), IntentScore(Intent.OTHER, 1.0), (), b"", "")
        return [replace(one, model="bundled 1") for _ in texts]


def test_a_tag_is_named_after_what_made_it(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(understanding, "_opener", lambda _: Falling())
    monkeypatch.setattr(understanding, "_open", None)
    assert understanding.trouble() == ""
    store(ctx, post("1"))
    assert understanding.understand(ctx) == 1
    (found,) = look(ctx, "SELECT model FROM tags")
    assert found[0].startswith("bundled 1 topics ")
    assert understanding.trouble() == Falling.trouble


def test_with_a_checkpoint_less_is_taken_for_longer(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[tuple[timedelta, int]] = []
    claim = tags.claim

    def watched(tx: Transaction, now: datetime, lease: timedelta, limit: int) -> list[tags.Untagged]:
        taken.append((lease, limit))
        return claim(tx, now, lease, limit)

    monkeypatch.setattr(tags, "claim", watched)
    monkeypatch.setattr(understanding, "_opener", lambda _: Falling())
    monkeypatch.setattr(understanding, "_open", None)
    for wanted in (None, "acme/mood"):
        monkeypatch.setattr(understanding, "_sentiment", wanted)
        store(ctx, post(str(wanted), f"about {wanted}"))
        understanding.understand(ctx)
    assert taken == [(timedelta(minutes=1), 256), (timedelta(minutes=5), 64)]


def test_what_a_worker_has_to_say_is_known_while_it_lives(any_ctx: Context, clock: Clock) -> None:
    with any_ctx.database.transaction() as tx:
        workers.beat(tx, "well", clock(), clock(), "1")
        workers.beat(tx, "lame", clock(), clock() - timedelta(seconds=9), "1", "The sentiment model is away.")
    assert health.worker(any_ctx).notice == "The sentiment model is away."
    with any_ctx.database.reading() as tx:
        assert [(one.version, one.notice) for one in workers.alive(tx, clock() - timedelta(minutes=1))] == [
            ("1", ""), ("1", "The sentiment model is away."),
        ]  # fmt: skip
    with any_ctx.database.transaction() as tx:
        workers.beat(tx, "lame", clock(), clock(), "1")
    assert health.worker(any_ctx).notice == ""
    with any_ctx.database.transaction() as tx:
        workers.beat(tx, "lame", clock(), clock(), "1", "The sentiment model is away.")
        workers.leave(tx, "lame", clock())
    assert health.worker(any_ctx).notice == ""
    clock.forward(minutes=5)
    assert not health.worker(any_ctx).alive


def test_what_was_tagged_is_read_again_on_request(
    any_ctx: Context, colleague: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Falling()
    monkeypatch.setattr(reader, "model", "bundled 1", raising=False)
    monkeypatch.setattr(rereading, "TOGETHER", 2)
    store(any_ctx, *(post(str(number), f"text {number}") for number in range(5)))
    tag(any_ctx, said("negative", model="older"))
    with any_ctx.database.reading() as tx:
        before = rollups.counts(tx)
    assert rereading.ask(any_ctx, colleague) == 5
    with any_ctx.database.reading() as tx:
        assert rollups.counts(tx) == before, "the old tags count until the new ones are there"
    monkeypatch.setattr(understanding, "_opener", lambda _: reader)
    monkeypatch.setattr(understanding, "_open", None)
    assert understanding.understand(any_ctx) == 5
    assert look(any_ctx, "SELECT DISTINCT sentiment FROM effective_tags") == [("neutral",)]
    with any_ctx.database.transaction() as tx:
        kept = rollups.counts(tx)
        rollups.recount(tx, "UTC")
        assert rollups.counts(tx) == kept
    with pytest.raises(NotAllowed):
        rereading.ask(any_ctx, as_role(colleague, Role.APPROVER))


def test_the_command_says_how_many(world: Context) -> None:
    store(world, post("1"))
    tag(world, said())
    done = subprocess.run(
        [sys.executable, "-m", "dialogue.rereading"], capture_output=True, text=True, cwd=ROOT, check=False,
        env=os.environ | {"DATA_DIR": str(world.data_dir), "DATABASE_URL": world.database.url, "SECRET_KEY": KEY},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "1 mention will be read again, the newest first.\n"), done.stderr
    assert understanding.waiting(world)
