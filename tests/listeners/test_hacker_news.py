"""Hacker News: read in slices of time through Algolia, deletions through its own API."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from listeners import registry
from listeners.base import Answers, Kind, Options, Post, Query, Rejected, Terminal
from listeners.hacker_news import HackerNews
from tests.listeners.contract import DeletesContract, LooksBackContract, NetworkContract, Rig, collect
from tests.listeners.fake_server import FakeServer, Reply, Request
from tests.listeners.faults import FaultsContract

ANSWER = (Path(__file__).parent / "fixtures" / "hacker_news" / "search_by_date.json").read_bytes()
MAX_PAGES = 4
"""The fake's own limit of hits per query, in pages of three; the real one is 1,000."""


class HackerNewsServer(FakeServer):
    """Algolia's search_by_date and Hacker News' items."""

    def __init__(self) -> None:
        super().__init__()
        self.hits: list[dict[str, Any]] = []
        self.items: dict[str, Any] = {}
        self.started = int(datetime.now(UTC).timestamp()) - 86_400

    def posts(self, how_many: int, seconds: int = 60) -> list[str]:
        first = len(self.hits)
        for i in range(first, first + how_many):
            number = str(41_000_000 + i)
            hit = {"objectID": number, "author": "ann", "comment_text": f"Kettle {i}", "parent_id": 1, "story_id": 1}
            self.hits.append({**hit, "created_at_i": self.started + i * seconds})
            self.items[number] = {"id": int(number), "by": "ann", "type": "comment"}
        return [hit["objectID"] for hit in self.hits[first:]]

    def deletes(self, external_id: str) -> None:
        self.items[external_id] = {"id": int(external_id), "deleted": True, "type": "comment"}

    def reply_to(self, request: Request) -> Reply:
        if request.path.startswith("/v0/item/"):
            return Reply(self.items.get(request.path.removeprefix("/v0/item/").removesuffix(".json")))
        assert request.path == "/api/v1/search_by_date"
        newest_first = sorted(self.hits, key=lambda hit: -int(hit["created_at_i"]))
        if before := request.params.get("numericFilters", "").removeprefix("created_at_i<="):
            newest_first = [hit for hit in newest_first if hit["created_at_i"] <= int(before)]
        page = int(request.params.get("page", 0))
        pages = min(MAX_PAGES, -(-len(newest_first) // self.page_size))
        hits = newest_first[page * self.page_size : (page + 1) * self.page_size] if page < pages else []
        return Reply({"hits": hits, "nbHits": len(newest_first), "nbPages": pages, "page": page})


@pytest.fixture
def server() -> Iterator[HackerNewsServer]:
    with HackerNewsServer() as running:
        yield running


@pytest.fixture
def listener(server: HackerNewsServer) -> HackerNews:
    found = registry.open("hackernews", {}, Options(server.url, 2.0, allow_private_hosts=True))
    assert isinstance(found, HackerNews)
    return found


class TestContract(FaultsContract, NetworkContract, LooksBackContract, DeletesContract):
    @pytest.fixture
    def rig(self, server: HackerNewsServer, listener: HackerNews) -> Rig:
        return Rig(listener, server, Query("kettle"), raw=[ANSWER])


def test_an_answer_becomes_posts(listener: HackerNews) -> None:
    comment, story, question, broken = listener.parse(ANSWER)
    assert isinstance(comment, Post)
    assert comment.text == 'It boils & whistles.\n\nMine says "done": https://kettles.example'
    assert comment.url == "https://news.ycombinator.com/item?id=41000003"
    assert comment.kind is Kind.COMMENT
    assert (comment.parent_id, comment.root_id) == ("41000002", "41000001")
    assert comment.posted_at == datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
    assert comment.author is not None
    assert comment.author.handle == "kettle_fan"
    assert isinstance(story, Post)
    assert (story.title, story.text, story.kind) == ("Show HN: A kettle", "Show HN: A kettle", Kind.POST)
    assert story.engagement == {"points": 17, "comments": 2}
    assert (story.parent_id, story.root_id) == (None, None)
    assert isinstance(question, Post)
    assert question.text == "Why does it hiss?"
    assert isinstance(broken, Rejected)
    assert broken.where == "hit 4"
    assert "created_at_i" in broken.reason


def test_it_reads_beyond_the_limit_of_one_query(server: HackerNewsServer, listener: HackerNews) -> None:
    posted = server.posts(3 * MAX_PAGES * 3)
    cursor = next(iter(listener.fetch(Query("kettle"), {}))).cursor
    cursor["done_until"] = {
        "at": datetime.fromtimestamp(server.started - 1, UTC).isoformat(),
        "ids": [],
    }  # no first walk
    posts, _ = collect(listener, Query("kettle"), cursor)
    assert {post.external_id for post in posts} == set(posted)


def test_a_second_with_more_posts_than_a_page_is_read_whole(server: HackerNewsServer, listener: HackerNews) -> None:
    posted = server.posts(1) + server.posts(8, seconds=0)
    posts, _ = collect(listener, Query("kettle"), {})
    assert {post.external_id for post in posts} == set(posted)


def test_it_asks_for_exactly_the_words(server: HackerNewsServer, listener: HackerNews) -> None:
    list(listener.fetch(Query('  "tea kettle" -iron '), {}))
    assert server.requests[0].params["query"] == '"tea kettle" -iron'
    assert server.requests[0].params["tags"] == "(story,comment)"
    assert server.requests[0].params["typoTolerance"] == "false"


@pytest.mark.parametrize("words", ["", "  ", "x" * 501])
def test_a_query_that_says_nothing_or_too_much_is_refused(listener: HackerNews, words: str) -> None:
    with pytest.raises(Terminal):
        list(listener.fetch(Query(words), {}))


def test_dead_and_unknown_items_are_gone(server: HackerNewsServer, listener: HackerNews) -> None:
    there, dead = server.posts(2)
    server.items[dead] = {"id": int(dead), "dead": True, "by": "ann", "type": "comment"}
    assert listener.still_there([there, dead, "1", "no number"]) == {
        there: True,
        dead: False,
        "1": False,
        "no number": False,
    }


def test_it_is_answered_by_hand(listener: HackerNews) -> None:
    assert not isinstance(listener, Answers)
    assert "copy the text" in listener.capability.answering_rule
