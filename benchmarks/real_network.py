"""The whole way on a real Bluesky network: what people post stands in the inbox, answers arrive once, deletions count.

`python -m benchmarks.real_network` prints a JSON line for a source that is asked from time to time, and one for a
source that streams; it ends with 1 when a promise is broken, with 3 where there is no network. A worker runs as it
always does, with the platform's own poll interval. The value is the median time from a post on the network until its
card stands in the inbox with its tags; the baseline is the median time until the network's own search shows the post.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import settings as configuration
from benchmarks.at_network import PDS, Account, AtNetwork, NetworkError
from dialogue import accounts, conversations, health, inbox, replies, sources, start
from dialogue.context import Actor, Context
from dialogue.inbox import Card, Filters

ROOT = Path(__file__).parents[1]
RECHECK = 60
"""Seconds between two looks whether posts still stand; hours where nobody chooses."""
LOOK_EVERY = 0.25
WARMING = 1
"""Posts before those that are measured."""
LATEST = 120.0
"""Seconds after the last post at which the waiting ends."""
SKIPPED = 3

_OPENINGS = (
    "I wish the {} had a bell.", "Third week without my {} order.", "The {} trailer is wonderful!",
    "Does the {} lamp charge on a train?", "My {} chain broke on the second day.", "Best support ever from {}.",
    "Thinking about a {} for the winter.", "The {} app logs me out every morning.", "How long is the {} guarantee?",
    "A {} and a good road, what else.",
)  # fmt: skip


@dataclass(frozen=True)
class Way:
    """One way to listen; `slowest_median` are the seconds from a post to the inbox that are promised of it."""

    name: str
    mode: str
    slowest_median: float


WAYS = (Way("post_to_inbox", "search", 15.0), Way("post_to_inbox_streamed", "stream", 1.5))


@dataclass
class Post:
    """One post of the run. Times are of the monotonic clock, None until it happens."""

    author: Account
    text: str
    uri: str = ""
    posted: float = 0.0
    searchable: float | None = None
    shown: float | None = None
    tagged: float | None = None


@dataclass
class Run:
    """Everything that happens, and what came of it."""

    network: AtNetwork
    ctx: Context
    ada: Actor
    company: Account
    way: Way
    word: str
    posts: list[Post] = field(default_factory=list)

    @property
    def sent(self) -> list[Post]:
        """Posts that have left by now."""
        return [post for post in self.posts if post.uri]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=200)
    parser.add_argument("--accounts", type=int, default=20)
    parser.add_argument("--replies", type=int, default=20)
    parser.add_argument("--deleted", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=60.0, help="over which the posts are spread")
    parser.add_argument("--only", choices=[way.mode for way in WAYS], help="one of the two ways to listen")
    wanted = parser.parse_args()
    network = AtNetwork()
    if not network.is_up():
        print(f"skipped: no Bluesky network answers at {PDS}; start one with at-network/up", file=sys.stderr)
        sys.exit(SKIPPED)
    all_broken = []
    for way in WAYS:
        if wanted.only in (None, way.mode):
            with tempfile.TemporaryDirectory(prefix="samtal-real-network-") as folder:
                line, broken = measure(network, Path(folder), wanted, way)
            print(json.dumps(line), flush=True)
            all_broken += [f"{way.name}: {promise}" for promise in broken]
    for promise in all_broken:
        print(f"broken: {promise}", file=sys.stderr)
    sys.exit(1 if all_broken else 0)


def measure(network: AtNetwork, folder: Path, wanted: argparse.Namespace, way: Way) -> tuple[dict[str, Any], list[str]]:
    """The whole run of one way; its JSON line, and the promises that it broke."""
    ctx = _context(folder)
    company = network.account("company", display_name="Company")
    run = Run(network, ctx, _first_colleague(ctx), company, way, word=f"velo{secrets.token_hex(5)}")
    people = [network.account(f"person{number}") for number in range(wanted.accounts)]
    for number, author in zip(range(wanted.posts), itertools.cycle(people), strict=False):
        text = _OPENINGS[number % len(_OPENINGS)].format(run.word)
        run.posts.append(Post(author, f"{text} ({run.word} {number})"))
    with _worker(folder):
        source_id = _listen(run)
        _warm_up(run, people[0])
        _post_and_watch(run, wanted.seconds)
        stored = next(one.total for one in sources.list_(ctx, run.ada) if one.id == source_id) - WARMING
        answered = run.posts[: wanted.replies]
        once = _answer(run, answered)
        doomed = run.posts[-wanted.deleted :]
        gone_after = _delete(run, doomed)
    ctx.database.dispose()
    waits = sorted(post.tagged - post.posted for post in run.posts if post.tagged is not None)
    network_waits = [post.searchable - post.posted for post in run.posts if post.searchable is not None]
    median = statistics.median(waits) if waits else float("inf")
    shown = [post.shown - post.posted for post in run.posts if post.shown is not None]
    baseline = statistics.median(network_waits) if network_waits else float("nan")
    line = {
        "name": way.name,
        "value": round(median, 2),
        "unit": "s",
        "baseline": round(baseline, 2),
        "baseline_name": "the network's own search",
        "ratio": round(median / baseline, 1),
        "posts": wanted.posts,
        "accounts": wanted.accounts,
        "stored": stored,
        "tagged": len(waits),
        "visible": sum(post.shown is not None for post in run.posts),
        "shown": round(statistics.median(shown), 2) if shown else None,
        "p95": round(waits[int(len(waits) * 0.95)], 2) if waits else None,
        "replies": len(answered),
        "exactly_once": once,
        "deleted": len(doomed),
        "gone": len(gone_after),
        "gone_after": round(max(gone_after, default=0.0), 1),
        "recheck_seconds": RECHECK,
    }
    return line, _broken(line, way)


def _broken(line: dict[str, Any], way: Way) -> list[str]:
    """The promises that a run did not keep, in words."""
    kept = {
        "all posts are stored": line["stored"] == line["posts"],
        "all posts are tagged": line["tagged"] == line["posts"],
        "all posts are visible": line["visible"] == line["posts"],
        f"the median is at most {way.slowest_median:g} s": line["value"] <= way.slowest_median,
        "every reply stands exactly once in its thread": line["exactly_once"] == line["replies"],
        "what was deleted there is gone here after one interval": line["gone"] == line["deleted"],
    }
    return [promise for promise, holds in kept.items() if not holds]


# The world ------------------------------------------------------------------------------------------------------------


def _context(folder: Path) -> Context:
    settings = configuration.Settings(
        _env_file=None, data_dir=folder, database_url=None, secret_key=None, allow_private_hosts=True
    )
    ctx = start.context(settings)
    start.prepare(ctx)
    return ctx


def _first_colleague(ctx: Context) -> Actor:
    token = accounts.first_link(ctx)
    assert token is not None, "a fresh database has no user"
    session = accounts.redeem(ctx, token, "ada", "Ada", secrets.token_urlsafe(12))
    actor = accounts.actor_of(ctx, session)
    assert actor is not None
    return actor


@contextmanager
def _worker(folder: Path) -> Iterator[None]:
    """A worker as `python worker.py` starts it; its words go to a file, whose end is shown if it dies."""
    environment = {
        **os.environ, "DATA_DIR": str(folder), "DATABASE_URL": "", "ALLOW_PRIVATE_HOSTS": "1", "LOG_LEVEL": "WARNING",
    }  # fmt: skip
    del environment["DATABASE_URL"]
    log = folder / "worker.log"
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "worker.py"], cwd=ROOT, env=environment, stdout=out, stderr=out)
    try:
        yield
        if process.poll() is not None:
            raise RuntimeError(f"the worker ended with {process.returncode}: {log.read_text('utf-8')[-2000:]}")
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listen(run: Run) -> int:
    """Our account and the source, as a person adds them; returns once it has been asked for the first time."""
    ctx, ada = run.ctx, run.ada
    account_id = sources.save_account(ctx, ada, "bluesky", "Ours", run.network.pds, run.company.credentials)
    source_id = sources.add(
        ctx, ada, "bluesky", run.word, run.way.mode, "The network", account_id, {"recheck_seconds": RECHECK}
    )

    def listens() -> bool:
        view = next(one for one in sources.list_(ctx, ada) if one.id == source_id)
        if view.health == "problem":
            raise RuntimeError(f"the source does not work: {view.words} {view.what_to_do}")
        return view.last_success_at is not None and health.worker(ctx).alive

    _until(listens, 90, "the source was asked")
    return source_id


def _warm_up(run: Run, somebody: Account) -> None:
    """A worker that has just started loads its model with the first post: that one is not measured."""
    somebody.posts(f"Hello {run.word}")
    _until(lambda: any(card.sentiment is not None for card in _cards(run)), 300, "the first post was tagged")


# Posts, and when they stand where -------------------------------------------------------------------------------------


def _post_and_watch(run: Run, seconds: float) -> None:
    """People post, evenly over `seconds`; the network's search and our inbox are watched until both show everything."""
    watcher = threading.Thread(target=_watch_search, args=(run,), daemon=True)
    inbox_watcher = threading.Thread(target=_watch_inbox, args=(run,), daemon=True)
    watcher.start()
    inbox_watcher.start()
    began = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        for number, post in enumerate(run.posts):
            time.sleep(max(0.0, began + number * seconds / len(run.posts) - time.monotonic()))
            pool.submit(_publish, post)
    watcher.join(LATEST)
    inbox_watcher.join(LATEST)


def _publish(post: Post) -> None:
    uri = post.author.posts(post.text)
    post.posted, post.uri = time.monotonic(), uri


def _watch_search(run: Run) -> None:
    """Notes when the network's own search shows each post. It gives a hundred at most, newest first."""
    network = AtNetwork(run.network.pds)
    for _ in _rounds(run, lambda post: post.searchable is not None):
        try:
            found = set(network.search(run.word))
        except NetworkError as error:
            print(f"the network's search failed once: {error}", file=sys.stderr)
            continue
        now = time.monotonic()
        for post in run.sent:
            if post.searchable is None and post.uri in found:
                post.searchable = now
    network.close()


def _watch_inbox(run: Run) -> None:
    """Notes when each post has a card in the inbox, and when that card has its tags."""
    for _ in _rounds(run, lambda post: post.tagged is not None):
        cards = {card.text: card for card in _cards(run)}
        now = time.monotonic()
        for post in run.sent:
            card = cards.get(post.text)
            if card is not None:
                post.shown = post.shown or now
                if card.sentiment is not None:
                    post.tagged = post.tagged or now


def _rounds(run: Run, done: Any) -> Iterator[None]:
    """Goes round until every post is `done`, or for as long as anybody should wait."""
    deadline = time.monotonic() + LATEST + 90
    while time.monotonic() < deadline and not all(map(done, run.posts)):
        yield
        time.sleep(LOOK_EVERY)


def _cards(run: Run) -> Iterator[Card]:
    """Every card of the inbox."""
    after = None
    while True:
        page = inbox.page(run.ctx, run.ada, Filters(view="all"), after, limit=100)
        yield from page.cards
        if page.next is None:
            return
        after = page.next


# Answers and deletions ------------------------------------------------------------------------------------------------


def _answer(run: Run, posts: Sequence[Post]) -> int:
    """Answers each post, with a double click; returns how many answers stand exactly once in their threads."""
    by_text = {card.text: card.conversation_id for card in _cards(run)}
    answers = {post.uri: f"Thank you for telling us. ({number})" for number, post in enumerate(posts)}
    ids = []
    for post in posts:
        view = conversations.open_(run.ctx, run.ada, by_text[post.text])
        composer = view.composer
        for _ in range(2):
            reply = replies.send(
                run.ctx, run.ada, view.id, composer.answering_mention_id, answers[post.uri], composer.draft_key,
                view.version,
            )  # fmt: skip
        ids.append(reply.id)
    _until(lambda: all(replies.get(run.ctx, one).state == "sent" for one in ids), 180, "every reply was sent")
    once = 0
    for post in posts:
        standing = run.network.until(lambda uri=post.uri: run.network.replies_to(uri))  # type: ignore[misc]
        ours = [reply.text for reply in standing if reply.handle == run.company.handle]
        once += ours == [answers[post.uri]]
    return once if len(run.company.written()) == len(posts) else 0


def _delete(run: Run, posts: Sequence[Post]) -> list[float]:
    """Authors take posts back; returns for each that went from here how many seconds that took."""
    for post in posts:
        post.author.deletes(post.uri)
    began = time.monotonic()
    left, gone_after = {post.text for post in posts}, []
    while left and time.monotonic() - began < RECHECK + 15.0:
        time.sleep(LOOK_EVERY)
        shown = {card.text for card in _cards(run)}
        gone_after += [time.monotonic() - began] * len(left - shown)
        left &= shown
    kept = len(shown)
    if kept != WARMING + len(run.posts) - len(posts) + len(left):
        raise RuntimeError(f"{kept} conversations are left of {len(run.posts)}, of which {len(posts)} were deleted")
    return gone_after


def _until(holds: Any, seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:.0f} s: {what}")
        time.sleep(LOOK_EVERY)


if __name__ == "__main__":
    main()
