"""A platform that no company runs, so that a test can say what it does: `wall.refuses()`, `wall.accepts_then_dies()`.

`Wall` is the platform itself, a server on loopback that keeps what was posted. The rest of this module is its listener,
found by the registry through an entry point as that of any other package would be.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from listeners.base import (
    Absent,
    Answering,
    Author,
    Budget,
    CannotTell,
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
    Rejected,
    Sent,
    Terminal,
    Transient,
    Verdict,
)

FIND_LAG = timedelta(minutes=2)

CAPABILITY = Capability(
    platform="wall",
    title="The Wall",
    answering=Answering.API,
    answering_rule="Anybody may answer on the Wall.",
    checked_on=date(2026, 11, 20),
    modes=(Mode("all", "Everything", ""),),
    max_chars=100,
    counted_in="letters",
    credentials=(CredentialField("token", "Token"),),
    find_lag=FIND_LAG,
)


def open(account: Mapping[str, str], options: Options) -> WallListener:
    return WallListener(options.base_url or "", account.get("token", ""))


class WallListener:
    """Asks the Wall over HTTP, with short time-outs and no retry."""

    capability = CAPABILITY

    def __init__(self, base_url: str, token: str) -> None:
        self.http = httpx.Client(base_url=base_url, timeout=2.0, headers={"Authorization": token}, trust_env=False)

    def check(self) -> Health:
        ok = self.http.get("/me").status_code == 200
        return Health(ok, "Signed in." if ok else "The token is wrong.", Author(id="us", handle="us") if ok else None)

    def fetch(self, query: Query, cursor: Cursor) -> Iterator[Page]:
        yield Page([], cursor)

    def parse(self, answer: bytes) -> list[Post | Rejected]:
        raise Terminal("The Wall gives nothing to parse.", "Nothing.")

    def may_answer(self, post: Post) -> Verdict:
        locked = "locked" in post.text
        return Verdict(not locked, "This thread is locked." if locked else "")

    def answer(self, post: Post, text: str, key: str) -> Sent:
        if "crash" in text:
            raise RuntimeError("an error that nobody foresaw")
        try:
            answer = self.http.post("/answers", json={"under": post.external_id, "text": text, "key": key})
        except httpx.TransportError as error:
            raise OutcomeUnknown("The Wall broke off.") from error
        if answer.status_code == 503:
            raise Transient("The Wall is down.", float(answer.headers["retry-after"]))
        if answer.status_code != 201:
            raise Terminal("The Wall does not allow this answer.", "Look into the account.")
        left, quota = (answer.headers.get(f"x-{name}") for name in ("left", "quota"))
        budget = Budget(int(left), int(quota), answer_resets_at(answer)) if left and quota else Budget()
        return replace(_sent(answer.json()), budget=budget)

    def find(self, post: Post, text: str, key: str, since: datetime) -> Sent | Absent | CannotTell:
        try:
            answer = self.http.get("/answers", params={"under": post.external_id})
        except httpx.TransportError as error:
            raise Transient("The Wall broke off.") from error
        if answer.status_code == 503:
            raise Transient("The Wall is down.", float(answer.headers["retry-after"]))
        if answer.status_code == 404:
            return CannotTell("The Wall does not show its answers today.")
        for one in answer.json():
            if one["text"] == text and datetime.fromisoformat(one["at"]) >= since:
                return _sent(one)
        return Absent()


def answer_resets_at(answer: httpx.Response) -> datetime:
    return datetime.fromisoformat(answer.headers["x-resets"])


def _sent(one: dict[str, Any]) -> Sent:
    return Sent(one["id"], f"https://wall.example/{one['id']}", datetime.fromisoformat(one["at"]))


@dataclass(frozen=True)
class Answer:
    id: str
    under: str
    text: str
    key: str
    at: str


class Wall:
    """The platform. It accepts every answer until told otherwise; `answers` is what really stands there."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.asked: list[str] = []
        self.behaviour = "accepts"
        self.account_works = True
        self.quota: int | None = None
        """Answers that it takes in a quarter of an hour, where it counts them."""
        self.shows_answers = True
        self.now = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    # The language

    def accepts(self) -> None:
        self.behaviour = "accepts"

    def refuses(self, *, account_works: bool = True) -> None:
        """Answers 403, because of the answer or because of the account."""
        self.behaviour, self.account_works = "refuses", account_works

    def goes_down(self) -> None:
        """Answers 503 and takes nothing; asks to be left alone for 90 seconds."""
        self.behaviour = "down"

    def accepts_then_dies(self) -> None:
        """Takes the answer and breaks the connection before it says so."""
        self.behaviour = "accepts_then_dies"

    def dies(self) -> None:
        """Breaks the connection and takes nothing."""
        self.behaviour = "dies"

    def hides_answers(self) -> None:
        """Does not say what stands there."""
        self.shows_answers = False

    def takes(self, under: str, text: str) -> str:
        """Somebody posts an answer there without Samtal; its id."""
        return self._take({"under": under, "text": text, "key": ""}).id

    def _take(self, given: Mapping[str, str]) -> Answer:
        with self._lock:
            one = Answer(f"w{len(self.answers) + 1}", given["under"], given["text"], given["key"], self.now.isoformat())
            self.answers.append(one)
        return one


def _handler(wall: Wall) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wall.asked.append(f"GET {self.path}")
            if self.path == "/me":
                self._say(200 if wall.account_works else 401, {})
            elif wall.behaviour == "down":
                self._say(503, {})
            elif not wall.shows_answers:
                self._say(404, {})
            else:
                under = self.path.partition("under=")[2]
                self._say(200, [vars(one) for one in list(wall.answers) if one.under == under])

        def do_POST(self) -> None:
            wall.asked.append(f"POST {self.path}")
            given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if wall.behaviour == "dies":
                self.close_connection = True
            elif wall.behaviour == "accepts_then_dies":
                wall._take(given)
                self.close_connection = True
            elif wall.behaviour == "down":
                self._say(503, {})
            elif wall.behaviour == "refuses":
                self._say(403, {})
            else:
                self._say(201, vars(wall._take(given)))

        def _say(self, status: int, body: dict[str, Any] | Sequence[dict[str, Any]]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Retry-After", "90")
            if wall.quota is not None:
                self.send_header("X-Quota", str(wall.quota))
                self.send_header("X-Left", str(max(0, wall.quota - len(wall.answers))))
                self.send_header("X-Resets", (wall.now + timedelta(minutes=15)).isoformat())
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: a test reads `asked`."""

    return Handler


def install(folder: Path) -> Path:
    """A folder that, on the path, makes the Wall an installed package with its entry point."""
    package = folder / "wall-1.0.dist-info"
    package.mkdir(parents=True, exist_ok=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: wall\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[samtal.listeners]\nwall = tests.dialogue.wall\n")
    return folder
