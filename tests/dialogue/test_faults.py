"""What goes wrong at a source, in the very words that people read; and what is well beside it goes on.

Each fault is real traffic over loopback through the real listeners. Its words are looked for where somebody would see
them: in the list of sources, in a request's answer, below a reply, and on the page.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dialogue import collecting, conversations, inbox, replies, requests, sources, uploads
from dialogue.context import Actor, Context
from dialogue.sources import RunView, SourceView
from pages.parts import text
from tests.conftest import Clock
from tests.e2e.feed import Feed
from tests.listeners.fake_server import Reply
from tests.listeners.fake_x import XServer
from tests.listeners.replaying import FIXTURES, Replaying, recording, written
from tests.pages.conftest import Opened, _no_cache_survives, open_page, shown
from tests.worlds import look

__all__ = ["_no_cache_survives", "open_page"]  # fixtures of the pages' tests, used here too

SIGNED_IN = "prawcore/TestScriptAuthorizer.test_refresh.json"
REDDIT = {"client_id": "id", "client_secret": "secret", "username": "samtal_desk", "password": "pass"}
X = {
    "bearer_token": "bearer", "api_key": "key", "api_secret": "secret", "access_token": "4001-token",
    "access_token_secret": "token-secret",
}  # fmt: skip
BROKEN = b'<?xml version="1.0"?>\n<rss><channel><item><title>Half a ti\x00\xff\xfe</chan'


@dataclass
class World:
    """Ada listens to a feed that is well, and to whatever else a test connects."""

    ctx: Context
    ada: Actor
    clock: Clock
    well: Feed
    well_id: int

    def listens(self, platform: str, query: str, mode: str, label: str, account_id: int | None = None) -> int:
        return sources.add(self.ctx, self.ada, platform, query, mode, label, account_id)

    def account(self, platform: str, address: str, values: dict[str, str]) -> int:
        return sources.save_account(self.ctx, self.ada, platform, "Ours", address, values)

    def works(self) -> None:
        """Every source that is due is asked."""
        for source_id in collecting.due(self.ctx):
            collecting.collect(self.ctx, source_id)

    def source(self, source_id: int) -> SourceView:
        return next(one for one in sources.list_(self.ctx, self.ada) if one.id == source_id)

    def last_run(self, source_id: int) -> RunView:
        return sources.runs(self.ctx, self.ada, source_id)[0]

    def the_rest_goes_on(self) -> None:
        """The feed that is well is asked again and brings what is new, as if nothing had happened."""
        before = self.source(self.well_id).total
        self.well.says(f"News number {before + 1}")
        self.clock.forward(minutes=15, seconds=1)
        self.works()
        found = self.source(self.well_id)
        assert (found.health, found.words, found.what_to_do) == ("listening", "It listens.", "")
        assert found.total == before + 1


@pytest.fixture
def feeds() -> Iterator[Callable[[], Feed]]:
    """Makes feeds on loopback, with one entry each."""
    made: list[Feed] = []

    def one() -> Feed:
        made.append(Feed())
        made[-1].says("The first news.")
        return made[-1]

    yield one
    for feed in made:
        feed.close()


@pytest.fixture
def world(ctx: Context, colleague: Actor, clock: Clock, feeds: Callable[[], Feed]) -> World:
    well = feeds()
    return World(ctx, colleague, clock, well, sources.add(ctx, colleague, "feed", well.url, "feed", "Well", None))


def says(app: AppTest, words: str) -> bool:
    """Whether the page shows these words, as it writes whatever is not its own."""
    assert not app.exception
    return text.plain(words, 1_000) in shown(app)


# Feeds ----------------------------------------------------------------------------------------------------------------


def test_a_corrupted_feed_says_what_is_wrong_and_where(
    world: World, feeds: Callable[[], Feed], open_page: Opened
) -> None:
    feed = feeds()
    feed.sends(BROKEN)
    sick = world.listens("feed", feed.url, "feed", "Workshop")
    world.works()
    words = (
        "The feed is damaged and none of it can be read: line 2: not well-formed (invalid token). "
        "It is tried again by itself."
    )
    found = world.source(sick)
    assert (found.health, found.words, found.total) == ("waiting", words, 0)
    assert says(open_page("sources"), words)
    world.the_rest_goes_on()

    feed.comes_back()
    world.clock.forward(minutes=2)
    world.works()
    found = world.source(sick)
    assert (found.health, found.words, found.total) == ("listening", "It listens.", 1)


def test_what_can_be_saved_of_a_damaged_feed_is_and_the_damage_is_on_record(
    world: World, feeds: Callable[[], Feed]
) -> None:
    feed = feeds()
    feed.says("The second news.")
    whole = feed.as_atom()
    feed.sends(whole[: whole.rindex(b"<content")])
    sick = world.listens("feed", feed.url, "feed", "Workshop")
    world.works()
    assert world.source(sick).total >= 1
    (rejection,) = [one for one in world.last_run(sick).rejections if one["where"] == "the feed"]
    assert rejection["reason"].startswith("is not well-formed (line 1: ")
    assert rejection["reason"].endswith("read nevertheless")
    world.the_rest_goes_on()


def test_a_feed_that_stays_out_of_order_becomes_a_problem(
    world: World, feeds: Callable[[], Feed], open_page: Opened
) -> None:
    feed = feeds()
    feed.sends(b"Service Unavailable", 503)
    sick = world.listens("feed", feed.url, "feed", "Workshop")
    healths = []
    for _ in range(5):
        world.works()
        healths.append(world.source(sick).health)
        world.clock.forward(hours=2)
    assert healths == ["waiting"] * 4 + ["problem"]
    words = "The feed is out of order at the moment (503). It is tried again by itself."
    assert world.source(sick).words == words
    page = open_page("sources")
    assert says(page, words)
    assert says(page, "1 of 2 listens.")
    world.the_rest_goes_on()


# Reddit ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def break_of_two_minutes(tmp_path: Path) -> str:
    """A 429 to a listing, in the recordings' format."""
    answer = {
        "status": {"code": 429, "message": "Too Many Requests"},
        "headers": {"Content-Type": ["application/json; charset=UTF-8"], "Retry-After": ["120"]},
        "body": {"encoding": "UTF-8", "string": '{"message": "Too Many Requests", "error": 429}'},
    }
    request = {"method": "GET", "uri": "https://oauth.reddit.com/r/kettles/new?limit=100&raw_json=1"}
    path = tmp_path / "break.json"
    path.write_text(json.dumps({"http_interactions": [{"request": request, "response": answer}]}))
    return str(path)


def test_a_503_of_reddit_is_told_and_tried_again(world: World, open_page: Opened) -> None:
    answers = recording(SIGNED_IN), written("reddit/unavailable.json", "GET:/r/kettles/new:503")
    with Replaying(*answers) as reddit:
        sick = world.listens("reddit", "r/kettles", "posts", "Kettles", world.account("reddit", reddit.url, REDDIT))
        world.works()
        world.the_rest_goes_on()
    words = "Reddit is out of order at the moment (503). It is tried again by itself."
    found = world.source(sick)
    assert (found.health, found.words, found.what_to_do) == ("waiting", words, "")
    assert says(open_page("sources"), words)
    assert reddit.asked("GET", "/r/kettles/new") == 2, "asked once in each round, never in a tight loop"


def test_a_429_of_reddit_is_obeyed_to_the_second(world: World, break_of_two_minutes: str, open_page: Opened) -> None:
    with Replaying(recording(SIGNED_IN), break_of_two_minutes) as reddit:
        sick = world.listens("reddit", "r/kettles", "posts", "Kettles", world.account("reddit", reddit.url, REDDIT))
        world.works()
        words = "Reddit had too many requests from us (429); it asks us to wait 2 minutes. It is tried again by itself."
        found = world.source(sick)
        assert (found.health, found.words) == ("waiting", words)
        assert found.next_run_at == world.clock() + timedelta(seconds=120)
        assert says(open_page("sources"), words)
        world.clock.forward(seconds=119)
        world.works()
        assert len(sources.runs(world.ctx, world.ada, sick)) == 1, "not asked within the break"
        world.clock.forward(seconds=1)
        world.works()
        assert len(sources.runs(world.ctx, world.ada, sick)) == 2
        world.the_rest_goes_on()


# X --------------------------------------------------------------------------------------------------------------------


def test_a_403_of_x_on_a_reply_becomes_a_hand_off_with_its_reason(world: World, open_page: Opened) -> None:
    with XServer() as x:
        x.posts(1)
        account_id = world.account("x", x.url, X)
        requests.serve(world.ctx, sources.request_account_test(world.ctx, world.ada, account_id))
        mentions = world.listens("x", "", "mentions", "Said to us on X", account_id)
        world.works()
        (card,) = [
            one
            for one in inbox.page(world.ctx, world.ada, inbox.Filters(view="all")).cards
            if one.platform_title == "X"
        ]
        view = conversations.open_(world.ctx, world.ada, card.conversation_id)
        assert view.composer.how == "api", "X seemed to allow it"

        x.reply_answer = Reply(json.loads((FIXTURES / "x" / "reply_403.json").read_text()), 403)
        composer = view.composer
        sent = replies.send(
            world.ctx, world.ada, view.id, composer.answering_mention_id, "It does.", composer.draft_key, view.version
        )
        for _ in range(5):
            world.clock.forward(minutes=1)
            for reply_id in replies.sweep(world.ctx):
                replies.deliver(world.ctx, reply_id)
        posted = [one for one in x.requests if one.method == "POST"]
    (reply,) = replies.status(world.ctx, view.id)
    reason = (
        "X did not let us answer (403): You are not permitted to perform this action: "
        "replies are limited to posts that mention or quote you."
    )
    assert (reply.id, reply.state, reply.words) == (sent.id, "hand_off", f"To be sent by hand. {reason}")
    assert reply.what_to_do == "Copy the text, open the mention, answer there, then mark it as sent."
    assert len(posted) == 1, "what X refused is not asked for again"

    page = open_page("conversation", conversation=str(view.id))
    assert says(page, "To be sent by hand.")
    assert says(page, reason), "all of it, not cut"
    assert "It does." in [code.value for code in page.code], "the text to copy"
    assert world.source(mentions).health == "listening", "X is still listened to"
    world.the_rest_goes_on()


# Files ----------------------------------------------------------------------------------------------------------------

ROWS = 10_000
ENDS = (b"\n", b"\r\n", b"\r")


def bad_rows() -> Iterator[bytes]:
    """10,000 rows with three sorts of line ends; 200 in another encoding than the rest, 300 (3 %) with no date."""
    yield b"text,author,date,rating\n"
    for number in range(ROWS):
        letters = "Grüße aus der Werkstatt".encode("cp1252" if number % 50 == 7 else "ascii", "replace")
        date = b"2026-11-19 10:00" if number % 100 not in (3, 33, 63) else b"the day before"
        yield b"%s %d,author%d,%s,4" % (letters, number, number % 50, date) + ENDS[number % 3]


def test_a_file_with_every_sort_of_damage_is_read_as_far_as_it_goes(world: World, open_page: Opened) -> None:
    world.works()
    upload_id = uploads.spool(world.ctx, world.ada, "answers.csv", bad_rows())
    found = uploads.preview(world.ctx, world.ada, upload_id)
    guess = (
        "Letters are read as Windows-1252, since 200 lines are not valid UTF-8. "
        "This is a guess: check accented letters below."
    )
    assert guess in found.problems
    assert any(problem.startswith("line 5: date: 'the day before' is no date") for problem in found.problems)
    page = open_page("sources", upload=upload_id)
    assert says(page, guess)

    request_id = uploads.start_import(world.ctx, world.ada, upload_id, found.mapping, "Survey")
    requests.serve(world.ctx, request_id)
    done = requests.get(world.ctx, request_id)
    assert (done.state, done.words) == ("done", "9,700 rows read, 300 rejected")
    assert look(world.ctx, "SELECT count(*) FROM mentions WHERE platform = 'file'") == [(9_700,)]
    assert look(world.ctx, "SELECT count(*) FROM mentions WHERE text LIKE 'Grüße aus der Werkstatt %'") == [(200,)]
    with uploads.rejections_path(world.ctx, world.ada, request_id).open(newline="", encoding="utf-8") as file:
        report = list(csv.reader(file))
    broken = [number + 2 for number in range(ROWS) if number % 100 in (3, 33, 63)]
    assert [int(line) for line, _ in report[1:]] == broken, "each by the line that a text editor shows"
    assert all("'the day before' is no date that is understood" in reason for _, reason in report[1:])

    survey = next(one for one in sources.list_(world.ctx, world.ada) if one.label == "Survey")
    assert (survey.health, survey.total) == ("read", 9_700)
    assert (world.last_run(survey.id).rejected, world.last_run(survey.id).outcome) == (300, "ok")
    world.the_rest_goes_on()
