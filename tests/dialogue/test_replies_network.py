"""The outbox on a real Bluesky network: collected, answered, killed in the middle, and there once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks.at_network import PDS, Account, AtNetwork
from db import mentions
from db.tables import PlatformAccount
from dialogue import replies
from dialogue.collecting import as_mention
from dialogue.context import Context, Role
from listeners import registry
from listeners.base import Options, Query
from tests.conftest import Clock
from tests.dialogue.conversing import World
from tests.worlds import digest

pytestmark = pytest.mark.real_network
ROOT = Path(__file__).parents[2]


@pytest.fixture
def network() -> Iterator[AtNetwork]:
    network = AtNetwork()
    if not network.is_up():
        network.close()
        pytest.skip("no Bluesky network answers on this machine; ../shared/tools/at-network/up starts one")
    yield network
    network.close()


@pytest.fixture
def bluesky(network: AtNetwork, ctx: Context, clock: Clock) -> World:
    """A world whose clock stands at this moment, as that of the network does."""
    clock.now = datetime.now(UTC)
    world = object.__new__(World)
    world.ctx, world.clock = ctx, clock
    world.bo = world.colleague("bo", Role.RESPONDER)
    return world


def connect(world: World, us: Account) -> None:
    with world.ctx.database.transaction() as tx:
        tx.session.add(
            PlatformAccount(
                platform="bluesky",
                label="Ours",
                base_url=PDS,
                handle=us.handle,
                external_id=us.did,
                credentials=world.ctx.secrets.encrypt(us.credentials),
                created_at=world.clock.now,
            )
        )


def collect(world: World, us: Account) -> bool:
    """Reads what our account was notified of, and stores it; whether there is anything."""
    listener = registry.open("bluesky", us.credentials, Options(base_url=PDS, allow_private_hosts=True))
    posts = [as_mention(post) for page in listener.fetch(Query("", "notifications"), {}) for post in page.posts]
    with world.ctx.database.transaction() as tx:
        mentions.upsert(tx, posts, now=world.clock.now, digest=digest)
    return bool(posts)


def delivers(world: World, reply_id: int, **environment: str) -> int:
    """A worker's process delivers the reply; its exit status."""
    worker = subprocess.Popen(
        [sys.executable, "-m", "tests.dialogue.deliverer", world.ctx.database.url, world.clock.now.isoformat()]
        + [str(reply_id)],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    worker.communicate(b"\n", timeout=90)
    return worker.returncode


@pytest.mark.parametrize("point", [None, "deliver.attempt_written", "deliver.sent_not_recorded"])
def test_a_reply_stands_in_its_thread_once(network: AtNetwork, bluesky: World, point: str | None) -> None:
    world = bluesky
    us, jane = network.account("us"), network.account("jane")
    uri = jane.posts(f"@{us.handle} where is my parcel?", mentions=[us])
    connect(world, us)
    network.until(lambda: collect(world, us))
    view = world.opens(1)
    assert (view.composer.how, view.composer.as_whom, view.composer.max_chars) == ("api", us.handle, 300)

    reply = world.sends(1, "It is on its way 📦 — see https://example.org/track")
    world.clock.forward(seconds=9)
    status = delivers(world, reply.id, **({"SAMTAL_CHAOS_POINT": point} if point else {}))
    assert status == (-signal.SIGKILL if point else 0)
    if point:
        for _ in range(3):
            world.clock.forward(minutes=3)
            for reply_id in replies.sweep(world.ctx):
                replies.deliver(world.ctx, reply_id)

    assert world.state(reply) == "sent"
    (standing,) = network.until(lambda: network.replies_to(uri))
    assert (standing.handle, standing.text) == (us.handle, reply.text)
    assert len(us.written()) == 1
    item = world.opens(1).items[-1]
    assert (item.ours, item.state) == (True, "sent")
    assert item.url is not None and item.url.startswith("https://bsky.app/profile/")
