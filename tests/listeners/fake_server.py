"""A platform on loopback, with a language: `server.posts(3)`, `server.goes_down()`, `server.rate_limits(after=2)`.

A platform's fake subclasses `FakeServer`, answers requests in `reply_to` in the platform's wire format, and says in
`posts`, `deletes` and `answers_under` what happened there. The troubles are the same everywhere and live here.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, parse_qsl, urlsplit


@dataclass(frozen=True)
class Request:
    """What the listener asked. Header names are lower case; of a repeated query parameter the last counts."""

    method: str
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    every: Mapping[str, list[str]] = field(default_factory=dict)
    """Every value of each query parameter."""

    def json(self) -> Any:
        return json.loads(self.body)

    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


@dataclass(frozen=True)
class Reply:
    """What the platform answers. A body that is no bytes is sent as JSON."""

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class _Ending(Enum):
    """How an answer ends."""

    WHOLE = 1
    CUT = 2
    RESET = 3
    NEVER = 4


class FakeServer:
    """Subclass with `reply_to`, `posts`, and where the platform has the power, `deletes` and `answers_under`."""

    page_size = 3
    """Fewer than any platform's, whatever is asked for, so that a handful of posts makes several pages."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._lock = threading.Lock()
        self._trouble: Reply | None = None
        self._trouble_in = 0
        self._cut_short = False
        self._loses_answer = False
        self._change: Callable[[bytes], bytes] | None = None
        self._hanging: threading.Event | None = None
        self._resets = self._closing = self._closed = False
        self._listen(0)
        self._port = self._http.server_port

    def _listen(self, port: int) -> None:
        self._http = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        self._closed = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def stop(self) -> None:
        self.comes_back()
        self._http.shutdown()
        self._http.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # --- what a platform says for itself

    def reply_to(self, request: Request) -> Reply:
        """Called under a lock, one request at a time."""
        raise NotImplementedError

    def posts(self, how_many: int) -> list[str]:
        """People write `how_many` new posts, that may be answered; their external ids, oldest first."""
        raise NotImplementedError

    def deletes(self, external_id: str) -> None:
        """A post's author deletes it."""
        raise NotImplementedError

    def answers_under(self, external_id: str) -> list[str]:
        """The texts of our own answers that stand below a post."""
        raise NotImplementedError

    def is_sending(self, request: Request) -> bool:
        """Whether a request posts an answer. Override where signing in is a POST too."""
        return request.method == "POST"

    # --- what may befall any platform

    def goes_down(self) -> None:
        """503 to everything until `comes_back`."""
        self.fails(Reply(b"<html><body>Service Unavailable</body></html>", 503, {"Content-Type": "text/html"}))

    def rate_limits(self, after: int, seconds: int = 7) -> None:
        """429 with Retry-After once `after` more requests have been served. Override for other headers."""
        self.fails(Reply({"error": "slow down"}, 429, {"Retry-After": str(seconds)}), after)

    def refuses(self) -> None:
        """403 to everything until `comes_back`."""
        self.fails(Reply({"message": "Not allowed"}, 403))

    def sends_web_pages(self) -> None:
        """A web page instead of data, with status 200, as a wifi's sign-in page would be."""
        self.fails(Reply(b"<!doctype html><title>Sign in</title>", 200, {"Content-Type": "text/html"}))

    def breaks_off_answers(self) -> None:
        """Every answer ends in the middle, although its headers promise more."""
        self._cut_short = True

    def loses_the_next_answer(self) -> None:
        """The next answer that we post is taken, and the connection cut before we hear of it."""
        self._loses_answer = True

    def comes_back(self) -> None:
        """All troubles end."""
        self._trouble, self._cut_short, self._loses_answer = None, False, False
        self._change, self._resets, self._closing = None, False, False
        if self._hanging is not None:
            self._hanging.set()
            self._hanging = None
        if self._closed:
            self._listen(self._port)

    def fails(self, reply: Reply, after: int = 0) -> None:
        """This reply to everything once `after` more requests have been served, until `comes_back`."""
        self._trouble, self._trouble_in = reply, after

    def alters(self, change: Callable[[bytes], bytes], after: int = 0) -> None:
        """Every body after `after` more requests is changed on its way."""
        self._change, self._trouble_in = change, after

    def hangs(self, after: int = 0) -> None:
        """After `after` more requests nothing is answered any more, though the connection is taken."""
        self._hanging, self._trouble_in = threading.Event(), after

    def resets(self, after: int = 0) -> None:
        """After `after` more requests every answer is cut in its body with a reset."""
        self._resets, self._trouble_in = True, after

    def closes(self, after: int = 0) -> None:
        """After `after` more requests nobody listens on the port any more."""
        self._closing, self._trouble_in = True, after
        if after <= 0:
            self._close()

    def _close(self) -> None:
        self._closing = False
        self._http.shutdown()
        self._http.server_close()
        self._closed = True

    # --- HTTP

    def _respond(self, request: Request) -> tuple[bytes, _Ending]:
        """The raw answer, and how it ends."""
        with self._lock:
            self.requests.append(request)
            strikes = self._trouble_in <= 0
            if self._trouble is not None and strikes:
                return _raw(self._trouble), _Ending.WHOLE
            if self._hanging is not None and strikes:
                return b"", _Ending.NEVER
            self._trouble_in -= 1
            reply = self.reply_to(request)
            if self._loses_answer and self.is_sending(request):
                self._loses_answer = False
                return b"", _Ending.CUT
            if self._change is not None and strikes:
                reply = replace(reply, body=self._change(reply.encoded()))
            if self._resets and strikes:
                return _raw(reply), _Ending.RESET
            return _raw(reply), _Ending.CUT if self._cut_short else _Ending.WHOLE

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def _serve(self) -> None:
                url = urlsplit(self.path)
                request = Request(
                    self.command,
                    url.path,
                    dict(parse_qsl(url.query, keep_blank_values=True)),
                    {name.lower(): value for name, value in self.headers.items()},
                    self.rfile.read(int(self.headers.get("Content-Length") or 0)),
                    parse_qs(url.query, keep_blank_values=True),
                )
                hanging = server._hanging
                raw, ending = server._respond(request)
                if ending is _Ending.NEVER and hanging is not None:
                    hanging.wait(30)
                if server._closing and server._trouble_in <= 0:
                    server._close()  # before the answer is out: whoever has it finds nobody on the port any more
                whole = ending is _Ending.WHOLE or not raw
                try:
                    self.wfile.write(raw if whole else raw[: len(raw) // 2 + 40])
                    if ending is _Ending.RESET:
                        self.wfile.flush()
                        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        self.connection.close()
                except OSError:
                    pass  # the listener has hung up: that is its right
                self.close_connection = True

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = _serve

            def log_message(self, *_: object) -> None:
                """Tests read `requests`; standard error stays quiet."""

        return Handler


def _raw(reply: Reply) -> bytes:
    body = reply.encoded()
    headers = {"Content-Type": "application/json", **reply.headers, "Connection": "close"}
    lines = [f"HTTP/1.1 {reply.status} Fake", *(f"{name}: {value}" for name, value in headers.items())]
    if reply.status != 304:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if reply.status == 304 else body)
