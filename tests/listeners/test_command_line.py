"""`python -m listeners` as somebody at a terminal meets it."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from listeners import registry
from tests.listeners.test_feeds import RSS, FeedServer
from tests.listeners.test_hacker_news import ANSWER, HackerNewsServer

ROOT = Path(__file__).parents[2]


def run(*arguments: str, stdin: bytes = b"", **environment: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "listeners", *arguments],
        cwd=ROOT, input=stdin, capture_output=True, timeout=60, env={**os.environ, **environment}, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_list_shows_every_platform() -> None:
    status, out, _ = run("list")
    assert status == 0
    rows = out.splitlines()
    assert rows[0].split() == ["PLATFORM", "TITLE", "MODES", "NEEDS", "KEY", "ANSWERING"]
    assert [row.split()[0] for row in rows[1:]] == list(registry.capabilities())
    assert next(row for row in rows if row.startswith("feed")).split()[-2:] == ["no", "hand_off"]


def test_list_as_json_says_the_same() -> None:
    status, out, _ = run("list", "--json")
    assert status == 0
    described = {one["platform"]: one for one in lines(out)}
    assert described.keys() == registry.capabilities().keys()
    assert described["hackernews"]["key_needed"] is False


def test_fetch_prints_posts_and_rejected_items_apart() -> None:
    with FeedServer() as server:
        server.body = RSS
        status, out, err = run("fetch", "feed", "--query", server.feed)
    assert status == 0
    posts = lines(out)
    assert [post["title"] for post in posts] == ["Boils & whistles", "No date", "Script link"]
    assert posts[0]["posted_at"] == "2026-11-20T08:30:00Z"
    assert err.splitlines()[0] == "rejected: entry 3 has neither a title nor a text"


def test_fetch_stops_at_the_limit_and_takes_a_base_url() -> None:
    with HackerNewsServer() as server:
        server.posts(9)
        setting = f"base_url={server.url}"
        status, out, _ = run("fetch", "hackernews", "--query", "kettle", "--limit", "4", "--set", setting)
        assert status == 0
        assert len(lines(out)) == 4
        assert len(server.requests) == 2


def test_parse_reads_a_saved_answer_without_a_key(tmp_path: Path) -> None:
    saved = tmp_path / "answer.json"
    saved.write_bytes(ANSWER)
    status, out, err = run("parse", "hackernews", str(saved))
    assert status == 0
    assert [post["external_id"] for post in lines(out)] == ["41000003", "41000001", "41000000"]
    assert err.startswith("rejected: hit 4 ")
    assert run("parse", "hackernews", "-", stdin=ANSWER)[1] == out


def test_parse_reads_a_saved_answer_as_it_was_packed() -> None:
    packed = gzip.compress(ANSWER)
    assert run("parse", "hackernews", "-", stdin=packed) == run("parse", "hackernews", "-", stdin=ANSWER)
    for damaged in (packed[:-20], packed[:12] + b"?" * 40):
        status, out, err = run("parse", "hackernews", "-", stdin=damaged)
        assert (status, out) == (2, "")
        assert err.startswith("The file is packed with gzip, and ")


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["fetch", "nowhere"], 2, "There are appstore, bluesky, feed"),
        (["fetch", "feed", "--query", "x", "--mode", "loud"], 2, "It has feed."),
        (["fetch", "feed", "--query", "x", "--set", "colour=red"], 2, "--set takes base_url, timeout"),
        (["fetch", "feed", "--query", "x", "--set", "timeout=soon"], 2, "timeout"),
        (["fetch", "feed", "--query", "x", "--limit", "0"], 2, "at least 1"),
        (["fetch", "feed", "--query", "x", "--limit", "many"], 2, "--limit"),
        (["fetch", "feed", "--query", "no address"], 2, "no web address"),
        (["fetch", "feed", "--query", "http://127.0.0.1:1/"], 3, "refused. Try again later."),
        (["fetch", "file", "--query", "/nowhere.csv"], 2, "nowhere.csv is not there"),
        (["parse", "hackernews", "/nowhere.json"], 2, "cannot be read"),
        (["parse", "hackernews", "-"], 2, "no answer of the Hacker News search"),
        (["dance"], 2, "dance"),
        ([], 2, "COMMAND"),
    ],
)
def test_a_failure_is_one_line_and_a_status(arguments: list[str], status: int, words: str) -> None:
    code, out, err = run(*arguments)
    assert code == status
    assert out == ""
    assert len(err.splitlines()) == 1
    assert words in err
    assert "Traceback" not in err


def test_a_query_is_translated_and_completed_here() -> None:
    with HackerNewsServer() as server:
        server.posts(6)
        setting = f"base_url={server.url}"
        status, out, err = run("fetch", "hackernews", "--query", "kettle -5 lang:en", "--set", setting)
        assert {request.params["query"] for request in server.requests} == {"kettle"}
    assert status == 0
    assert {post["text"] for post in lines(out)} == {f"Kettle {n}" for n in range(5)}
    told = err.splitlines()
    assert told[0] == "asked for: kettle"
    assert told[1] == "note: Hacker News is not asked to exclude 5: that is left out here."
    assert told[-1].startswith("left out: ")


def test_a_query_in_the_platforms_own_syntax_is_handed_on() -> None:
    with HackerNewsServer() as server:
        server.posts(3)
        setting = f"base_url={server.url}"
        arguments = ("fetch", "hackernews", "--raw", "--query", "-iron (", "--only", "2 OR 1", "--set", setting)
        status, out, err = run(*arguments)
        assert server.requests[0].params["query"] == "-iron ("
    assert status == 0
    assert err.startswith("left out: ")
    assert {post["text"] for post in lines(out)} == {"Kettle 1", "Kettle 2"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["hackernews", "--query", "tea (kettle"], ["never closed", "tea (kettle", "    ^"]),
        (["hackernews", "--query", "kett*"], ["nothing to ask Hacker News for", "kett*", "^"]),
        (["feed", "--query", "https://x.example", "--only", "a !!"], ["no letter or number", "a !!", "  ^"]),
    ],
)
def test_an_error_in_a_query_points_at_the_character(arguments: list[str], words: list[str]) -> None:
    status, out, err = run("fetch", *arguments)
    assert (status, out) == (2, "")
    first, *place = err.splitlines()
    assert words[0] in first
    assert place == words[1:]


def test_a_rate_limit_says_when() -> None:
    with FeedServer() as server:
        server.rate_limits(after=0, seconds=42)
        status, _, err = run("fetch", "feed", "--query", server.feed)
    assert status == 3
    assert "Try again in 42 seconds." in err


def test_whoever_stops_reading_early_breaks_nothing() -> None:
    with HackerNewsServer() as server:
        server.page_size = 1_000
        server.posts(3_000)
        command = (
            f"{sys.executable} -m listeners fetch hackernews --query kettle --set base_url={server.url} | head -n 1"
        )
        done = subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0
    assert done.stderr == b""
    assert len(lines(done.stdout.decode())) == 1
