"""WebSocket servers on loopback that cut connections as they are told: between messages, or in the midst of a frame."""

from __future__ import annotations

import json
import socket
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import libipld
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from tests.listeners.fake_mastodon import MastodonServer

CLOSE, RESET, IN_THE_FRAME = "close", "reset", "in the frame"
HOWS = (CLOSE, RESET, IN_THE_FRAME)


class StreamServer:
    """Sends what `messages` gives. `cuts` are messages after which a connection is cut and how, one a connection.

    For the contract (stream_contract.py) a platform's server says further what `posts`, `deletes`, `says_nonsense`,
    `says_too_much` and `has_passed_it` are there.
    """

    def __init__(self, cuts: Iterable[tuple[int, str]] = ()) -> None:
        self.cuts = deque(cuts)
        self.asked: list[dict[str, list[str]]] = []
        self.headers: list[dict[str, str]] = []
        self.refuses: tuple[int, bytes] | None = None
        self.closes: tuple[int, str] | None = None
        """A code and a reason with which every connection is closed."""
        self.answers_no_ping = False
        self._newest: UUID | None = None
        self._caught_up: set[UUID] = set()
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

    @property
    def listening(self) -> bool:
        """Whether the newest connection was told all there was, and is told what happens."""
        return self._newest in self._caught_up

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self.news:
            self.stopped = True
            self.news.notify_all()
        self._server.shutdown()
        self._thread.join(5)

    def messages(self, connection: ServerConnection, params: dict[str, list[str]]) -> Iterator[str | bytes]:
        """What one connection is told, for as long as it stands."""
        raise NotImplementedError

    def waits_for_news(self, connection: ServerConnection) -> bool:
        """A moment within `messages`, with `news` held; False once the connection has ended."""
        if self.closes is not None:
            connection.close(*self.closes)
        if self.stopped or connection.close_code is not None:
            return False
        self._caught_up.add(connection.id)
        self.news.wait(0.05)
        return True

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
        self._newest = connection.id
        self.asked.append(params)
        left, how = self.cuts.popleft() if self.cuts else (10**9, CLOSE)
        if self.answers_no_ping:
            _answer_no_ping(connection)
        try:
            for message in self.messages(connection, params):
                if left == 0:
                    _cut(connection, message, how)
                    return
                connection.send(message)
                left -= 1
        except (ConnectionClosed, OSError):
            return
        finally:
            self._caught_up.discard(connection.id)


def _answer_no_ping(connection: ServerConnection) -> None:
    send = connection.protocol.send_frame

    def all_but_pongs(frame: Frame) -> None:
        if frame.opcode is not Opcode.PONG:
            send(frame)

    connection.protocol.send_frame = all_but_pongs  # type: ignore[method-assign]


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
        most = int(params.get("maxMessageSizeBytes", ["0"])[0])
        at = 0
        while True:
            with self.news:
                while at >= len(self.tape):
                    if not self.waits_for_news(connection):
                        return
                event = self.tape[at]
            at += 1
            message = json.dumps(event)
            if event.get("time_us", since) >= since and not 0 < most < len(message):
                yield message

    # --- what a network says for itself, at the present moment

    def posts(self, how_many: int) -> list[str]:
        keys = [f"3k{len(self.tape) + n:011d}" for n in range(how_many)]
        self.happens(self._now(event(0, WRITER, "create", key, f"My kettle {key}")) for key in keys)
        return [f"at://{WRITER}/{POST}/{key}" for key in keys]

    def deletes(self, external_id: str) -> None:
        self.happens([self._now(event(0, WRITER, "delete", external_id.rpartition("/")[2]))])

    def says_nonsense(self) -> None:
        odd = event(0, WRITER, "create", "3knonsense", "kettle")
        odd["commit"]["record"]["text"] = ["kettle"]
        self.happens([self._now(odd), self._now({"did": [], "kind": "commit", "commit": 7})])

    def says_too_much(self, size: int) -> None:
        self.happens([self._now(event(0, WRITER, "create", "3ktoolarge", "kettle " * size))])

    def has_passed_it(self) -> None:
        """It was never sent: a Jetstream leaves out what is larger than it was asked for."""

    def _now(self, told: dict[str, Any]) -> dict[str, Any]:
        last = self.tape[-1]["time_us"] if self.tape else 0
        return told | {"time_us": max(last + 100_000, int(datetime.now(UTC).timestamp() * 1_000_000))}


class FirehoseServer(StreamServer):
    """A firehose: frames with a number each, told from behind a cursor, or from now on."""

    def __init__(self, cuts: Iterable[tuple[int, str]] = ()) -> None:
        self.frames: dict[int, bytes] = {}
        super().__init__(cuts)

    @property
    def url(self) -> str:
        return f"{super().url}/xrpc/com.atproto.sync.subscribeRepos"

    def messages(self, connection: ServerConnection, params: dict[str, list[str]]) -> Iterator[str | bytes]:
        told = int(params["cursor"][0]) if "cursor" in params else len(self.frames)
        while True:
            with self.news:
                while not (waiting := [number for number in self.frames if number > told]):
                    if not self.waits_for_news(connection):
                        return
                told = min(waiting)
                frame = self.frames[told]
            yield frame

    # --- what a network says for itself

    def posts(self, how_many: int) -> list[str]:
        return [self._commits("create", f"My kettle {len(self.frames)}") for _ in range(how_many)]

    def deletes(self, external_id: str) -> None:
        op = {"action": "delete", "path": external_id.partition(f"{WRITER}/")[2], "cid": None}
        self._says({"repo": WRITER, "ops": [op], "blocks": b""})

    def says_nonsense(self) -> None:
        self._commits("create", ["kettle"])
        self._says({"repo": [], "ops": 7, "blocks": "none"})

    def says_too_much(self, size: int) -> None:
        self.large = len(self.frames) + 1
        self._says({"repo": WRITER, "ops": [], "blocks": b"x" * size})

    def has_passed_it(self) -> None:
        """It lies further back than the server goes."""
        del self.frames[self.large]

    def _commits(self, action: str, text: object) -> str:
        path = f"{POST}/3k{len(self.frames):011d}"
        record = libipld.encode_dag_cbor(
            {"$type": POST, "createdAt": "2026-11-22T10:00:00.000Z", "langs": ["en"], "text": text}
        )
        cid = b"\x01\x71\x12\x20" + sha256(record).digest()  # version 1, DAG-CBOR, SHA-256 of 32 bytes
        op = {"action": action, "path": path, "cid": cid}
        self._says({"repo": WRITER, "ops": [op], "blocks": _car(cid, record)})
        return f"at://{WRITER}/{path}"

    def _says(self, body: dict[str, Any]) -> None:
        with self.news:
            number = max(self.frames, default=0) + 1
            body |= {"seq": number, "time": datetime.now(UTC).isoformat()}
            head = {"op": 1, "t": "#commit"}
            self.frames[number] = libipld.encode_dag_cbor(head) + libipld.encode_dag_cbor(body)
            self.news.notify_all()


def _car(cid: bytes, block: bytes) -> bytes:
    """A CAR of one block, which is its root."""
    head = libipld.encode_dag_cbor({"version": 1, "roots": [cid]})
    return bytes(_varint(len(head)) + head + _varint(len(cid) + len(block)) + cid + block)


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; all but the last carry a mark."""
    return bytes([number]) if number < 128 else bytes([number % 128 | 128]) + _varint(number // 128)


class MastodonStream(StreamServer):
    """The streaming server of an instance: it tells what happens to whoever is there, and remembers nothing."""

    def __init__(self, cuts: Iterable[tuple[int, str]] = ()) -> None:
        self.subscribed: list[dict[str, str]] = []
        self._waiting: dict[int, tuple[str, deque[str]]] = {}
        """For each connection which stream it asked for, and what it is still to be told."""
        super().__init__(cuts)

    def tells(self, event: str, payload: object) -> None:
        """An event, to those who are there and asked for it."""
        inside = payload if isinstance(payload, str) else json.dumps(payload)
        stream = "user:notification" if event == "notification" else "hashtag"
        self.says({"stream": [stream, "kettle"], "event": event, "payload": inside}, only_to=stream)

    def says(self, message: object, only_to: str = "") -> None:
        with self.news:
            for stream, waiting in self._waiting.values():
                if only_to in (stream, ""):
                    waiting.append(json.dumps(message))
            self.news.notify_all()

    def messages(self, connection: ServerConnection, params: dict[str, list[str]]) -> Iterator[str | bytes]:
        self.subscribed.append(json.loads(connection.recv(timeout=5)))
        waiting: deque[str] = deque()
        with self.news:
            self._waiting[id(connection)] = (self.subscribed[-1]["stream"], waiting)
            self.news.notify_all()
        try:
            while True:
                with self.news:
                    while not waiting:
                        if not self.waits_for_news(connection):
                            return
                    message = waiting.popleft()
                yield message
        finally:
            with self.news:
                self._waiting.pop(id(connection), None)


class MastodonNetwork(MastodonStream):
    """An instance with its streaming server: what is posted is told, and stands in the timeline."""

    def __init__(self) -> None:
        self.api = MastodonServer()
        super().__init__()
        self.api.streams_at = self.url

    def __exit__(self, *exception: object) -> None:
        super().__exit__(*exception)
        self.api.stop()

    def posts(self, how_many: int) -> list[str]:
        made = [f"{id_.partition('@')[0]}@{urlsplit(self.api.url).netloc}" for id_ in self.api.posts(how_many)]
        for status in self.api.statuses[-how_many:]:
            self.tells("update", status)
        for notification in self.api.notified[-how_many:]:
            self.tells("notification", notification)
        return made

    def deletes(self, external_id: str) -> None:
        self.api.deletes(external_id)
        self.tells("delete", external_id.partition("@")[0])

    def says_nonsense(self) -> None:
        self.tells("update", {"id": [], "content": 7, "account": "ann"})
        self.tells("notification", {"id": "7", "type": "mention", "status": {"id": [], "content": 7}})

    def says_too_much(self, size: int) -> None:
        self.says({"event": "update", "payload": "x" * size})

    def has_passed_it(self) -> None:
        """It is told once, to whoever is there."""


# --- Events of a Jetstream -------------------------------------------------------------------------------------------

POST = "app.bsky.feed.post"
WRITER = "did:plc:writerwriterwriterwriter"
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
