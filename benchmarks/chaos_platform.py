"""A platform that counts: an HTTP server on loopback, and the listener that reads and answers it.

The server keeps every post it serves and every answer it gets, whatever its key: it has no idempotency of its own, so
that an answer sent twice stands there twice. It is found as 'chaos' through an entry point that `register` writes.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx

from listeners.base import (
    Absent,
    Answering,
    Author,
    Capability,
    CredentialField,
    Cursor,
    Health,
    Mode,
    Options,
    OutcomeUnknown,
    Page,
    Post,
    Query,
    Reach,
    Rejected,
    Sent,
    Transient,
    Verdict,
)

US = "us"
PAGE = 3

CAPABILITY = Capability(
    platform="chaos",
    title="Chaos",
    answering=Answering.API,
    answering_rule="Anybody may be answered.",
    checked_on=date(2026, 11, 1),
    modes=(Mode("all", "Everything", "", reach=Reach("Everything.", oldest_first=True)),),
    credentials=(CredentialField("token", "Token"),),
    find_lag=timedelta(0),
)


def register(folder: Path) -> None:
    """Makes a folder that, on PYTHONPATH, offers the listener as an installed package would."""
    package = folder / "samtal_chaos-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: samtal-chaos\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[samtal.listeners]\nchaos = benchmarks.chaos_platform\n")


# The server -----------------------------------------------------------------------------------------------------------


@dataclass
class Standing:
    """What stands on the platform."""

    posts: list[dict[str, Any]] = field(default_factory=list)
    archive: list[dict[str, Any]] = field(default_factory=list)
    """What had been said before anybody listened: only who reads back comes upon it."""
    answers: list[dict[str, Any]] = field(default_factory=list)
    guard: threading.Lock = field(default_factory=threading.Lock)

    def people_speak(self, count: int) -> None:
        """Adds posts, each of its own thread, by one of twenty people."""
        with self.guard:
            for _ in range(count):
                self._add(f"person{len(self.posts) % 20}", f"Does number {len(self.posts)} squeak?", None)

    def people_had_spoken(self, count: int) -> None:
        """Adds to the archive."""
        with self.guard:
            for number in range(len(self.archive), len(self.archive) + count):
                at = (datetime.now(UTC) - timedelta(days=20) + timedelta(minutes=number)).isoformat()
                person, words = f"person{number % 20}", f"Did number {number} squeak?"
                self.archive.append({"id": f"a{number}", "author": person, "text": words, "parent": None, "at": at})

    def answered(self, parent: str, text: str) -> str:
        """Takes an answer; it stands among the posts, too. Returns its id."""
        with self.guard:
            id_ = self._add(US, text, parent)
            self.answers.append({"id": id_, "parent": parent, "text": text})
        return id_

    def _add(self, author: str, text: str, parent: str | None) -> str:
        id_ = f"c{len(self.posts)}"
        at = datetime.now(UTC).isoformat()
        self.posts.append({"id": id_, "author": author, "text": text, "parent": parent, "at": at})
        return id_

    def theirs(self) -> set[str]:
        """The ids of what people said."""
        return {post["id"] for post in (*self.posts, *self.archive) if post["author"] != US}


def serve(standing: Standing) -> tuple[ThreadingHTTPServer, str]:
    """Starts the server on a free port; returns it and its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = parse_qs(urlsplit(self.path).query)
            with standing.guard:
                if self.path.startswith(("/posts", "/archive")):
                    listed = standing.posts if self.path.startswith("/posts") else standing.archive
                    after = int(asked["after"][0])
                    self._say({"posts": listed[after : after + PAGE], "total": len(listed)})
                else:
                    found = [one for one in standing.answers if one["parent"] == asked["parent"][0]]
                    self._say([one for one in found if one["text"] == asked["text"][0]])

        def do_POST(self) -> None:
            sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._say({"id": standing.answered(sent["parent"], sent["text"])})

        def _say(self, answer: Any) -> None:
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing: what was asked is counted, not logged."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_address[1]}"


# The listener ---------------------------------------------------------------------------------------------------------


class Listener:
    """Reads oldest first; its cursor is how many posts it has read, and of what."""

    capability = CAPABILITY

    def __init__(self, options: Options) -> None:
        self._address = options.base_url or ""
        self._timeout = options.timeout

    def check(self) -> Health:
        return Health(True, "It answers.", Author(id=US, handle=US))

    def fetch(self, query: Query, cursor: Cursor) -> Iterator[Page]:
        after, of = int(cursor.get("after", 0)), str(cursor.get("of", "posts"))
        while True:
            answer = self._get(f"/{of}?after={after}")
            posts = [_post(one) for one in answer["posts"]]
            after += len(posts)
            yield Page(posts, {"after": after, "of": of})
            if after >= answer["total"]:
                return

    def since(self, query: Query, moment: datetime) -> Cursor:
        return {"of": "archive"}

    def parse(self, answer: bytes) -> list[Post | Rejected]:
        return [_post(one) for one in json.loads(answer)["posts"]]

    def may_answer(self, post: Post) -> Verdict:
        return Verdict(True, "")

    def answer(self, post: Post, text: str, key: str) -> Sent:
        try:
            answer = httpx.post(f"{self._address}/answers", json={"parent": post.external_id, "text": text})
        except httpx.HTTPError as error:
            raise OutcomeUnknown(str(error)) from error
        return Sent(answer.json()["id"], None, datetime.now(UTC))

    def find(self, post: Post, text: str, key: str, since: datetime) -> Sent | Absent:
        found = self._get("/answers?" + urlencode({"parent": post.external_id, "text": text}))
        return Sent(found[0]["id"], None, datetime.now(UTC)) if found else Absent()

    def _get(self, path: str) -> Any:
        try:
            return httpx.get(self._address + path, timeout=self._timeout).json()
        except httpx.HTTPError as error:
            raise Transient(str(error)) from error


def _post(one: dict[str, Any]) -> Post:
    return Post(
        platform="chaos",
        external_id=one["id"],
        author=Author(id=one["author"], handle=one["author"]),
        text=one["text"],
        posted_at=datetime.fromisoformat(one["at"]),
        parent_id=one["parent"],
        root_id=one["parent"],
    )


def open(account: Mapping[str, str], options: Options) -> Listener:
    return Listener(options)
