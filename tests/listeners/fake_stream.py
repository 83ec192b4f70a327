"""WebSocket servers on loopback that cut connections as they are told: between messages, or in the midst of a frame."""

from __future__ import annotations

import json
import socket
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

CLOSE, RESET, IN_THE_FRAME = "close", "reset", "in the frame"
HOWS = (CLOSE, RESET, IN_THE_FRAME)


class StreamServer:
    """Sends what `messages` gives. `cuts` are messages after which a connection is cut and how, one a connection."""

    def __init__(self, cuts: Iterable[tuple[int, str]] = ()) -> None:
        self.cuts = deque(cuts)
        self.asked: list[dict[str, list[str]]] = []
        self.headers: list[dict[str, str]] = []
        self.refuses: tuple[int, bytes] | None = None
        self.news = threading.Condition()
        self.stopped = False
        self._server = serve(
            self._handle, "127.0.0.1", 0, compression=None, process_request=self._judge, ping_interval=None
        )
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self.news:
            self.stopped = True
            self.news.notify_all()
        self._server.shutdown()
        self._thread.join(5)

    def messages(self, connection: ServerConnection, params: dict[str, list[str]]) -> Iterator[str | bytes]:
        """What one connection is told, for as long as it stands; None is no message, only a moment."""
        raise NotImplementedError

    def _judge(self, connection: ServerConnection, request: Request) -> Response | None:
        self.headers.append({name.lower(): value for name, value in request.headers.raw_items()})
        if self.refuses is None:
            return None
        status, body = self.refuses
        headers = Headers({"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"})
        return Response(status, "Refused", headers, body)

    def _handle(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        params = parse_qs(urlsplit(connection.request.path).query)
        self.asked.append(params)
        left, how = self.cuts.popleft() if self.cuts else (10**9, CLOSE)
        try:
            for message in self.messages(connection, params):
                if left == 0:
                    _cut(connection, message, how)
                    return
                connection.send(message)
                left -= 1
        except (ConnectionClosed, OSError):
            return


def _cut(connection: ServerConnection, message: str | bytes, how: str) -> None:
    if how == CLOSE:
        connection.close()
        return
    if how == IN_THE_FRAME:
        data = message.encode() if isinstance(message, str) else message
        whole = Frame(Opcode.TEXT if isinstance(message, str) else Opcode.BINARY, data).serialize(mask=False)
        connection.socket.sendall(whole[: len(whole) // 2])
    connection.socket.shutdown(socket.SHUT_RDWR)


class JetstreamServer(StreamServer):
    """A Jetstream: a tape of events, played from the cursor on, and then as they are added."""

    def __init__(self, cuts: Iterable[tuple[int, str]] = ()) -> None:
        self.tape: list[dict[str, Any]] = []
        super().__init__(cuts)

    def happens(self, events: Iterable[dict[str, Any]]) -> None:
        with self.news:
            self.tape += events
            self.news.notify_all()

    def messages(self, connection: ServerConnection, params: dict[str, list[str]]) -> Iterator[str | bytes]:
        since = int(params["cursor"][0]) if "cursor" in params else 0
        at = 0
        while True:
            with self.news:
                while at >= len(self.tape) and not self.stopped:
                    self.news.wait(0.05)
                if self.stopped:
                    return
                event = self.tape[at]
            at += 1
            if event.get("time_us", since) >= since:
                yield json.dumps(event)


class MastodonStream(StreamServer):
    """The streaming server of an instance: it tells what happens to whoever is there, and remembers nothing."""

    def __init__(self, cuts: Iterable[tuple[int, str]] = ()) -> None:
        self.subscribed: list[dict[str, str]] = []
        self._listening: dict[int, deque[str]] = {}
        super().__init__(cuts)

    @property
    def listeners(self) -> int:
        return len(self._listening)

    def tells(self, event: str, payload: object) -> None:
        """An event, to those who are there."""
        inside = payload if isinstance(payload, str) else json.dumps(payload)
        self.says({"stream": ["hashtag", "kettle"], "event": event, "payload": inside})

    def says(self, message: object) -> None:
        with self.news:
            for waiting in self._listening.values():
                waiting.append(json.dumps(message))
            self.news.notify_all()

    def messages(self, connection: ServerConnection, params: dict[str, list[str]]) -> Iterator[str | bytes]:
        self.subscribed.append(json.loads(connection.recv(timeout=5)))
        waiting: deque[str] = deque()
        with self.news:
            self._listening[id(connection)] = waiting
            self.news.notify_all()
        try:
            while True:
                with self.news:
                    while not waiting and not self.stopped and connection.close_code is None:
                        self.news.wait(0.05)
                    if self.stopped or connection.close_code is not None:
                        return
                    message = waiting.popleft()
                yield message
        finally:
            with self.news:
                self._listening.pop(id(connection), None)


# --- Events of a Jetstream -------------------------------------------------------------------------------------------

FIRST_MOMENT = 1_795_000_000_000_000


def event(n: int, who: str, operation: str, rkey: str, text: str | None = None, **record: Any) -> dict[str, Any]:
    """The n-th event, a tenth of a second after the one before."""
    commit: dict[str, Any] = {
        "rev": f"3l{n:011d}", "operation": operation, "collection": "app.bsky.feed.post", "rkey": rkey
    }  # fmt: skip
    if text is not None:
        made = {"$type": "app.bsky.feed.post", "createdAt": "2026-11-22T10:00:00.000Z", "langs": ["en"], "text": text}
        commit |= {"record": made | record, "cid": "bafyreib2rxk3rw6putwrd6j6wjvtdqwqrfmwsvjhslc5l3ykkvqbdppf5e"}
    return {"did": who, "time_us": FIRST_MOMENT + n * 100_000, "kind": "commit", "commit": commit}


def account(n: int, who: str, status: str) -> dict[str, Any]:
    """An account that is there no more."""
    inside = {"active": False, "did": who, "seq": n, "status": status, "time": "2026-11-22T10:00:00.000Z"}
    return {"did": who, "time_us": FIRST_MOMENT + n * 100_000, "kind": "account", "account": inside}
