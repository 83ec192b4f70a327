"""A news feed on loopback, with a language: `feed.says("…")`. It keeps what it was asked."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Entry:
    number: int
    author: str
    title: str
    text: str
    at: datetime


class Feed:
    """An Atom feed that grows."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._entries: list[Entry] = []
        self._instead: tuple[int, bytes] | None = None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/news.atom"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def says(self, text: str, title: str = "From the workshop", author: str = "Ines Falk") -> None:
        """A new entry, made now."""
        self._entries.append(Entry(len(self._entries) + 1, author, title, text, datetime.now(UTC)))

    def sends(self, body: bytes, status: int = 200) -> None:
        """From now on, this in place of the feed."""
        self._instead = (status, body)

    def comes_back(self) -> None:
        """From now on, the feed again."""
        self._instead = None

    def as_atom(self) -> bytes:
        """The feed as it goes over the wire, newest entry first."""
        entries = "".join(
            f"<entry><id>tag:workshop.example,2026:{one.number}</id><title>{escape(one.title)}</title>"
            f"<author><name>{escape(one.author)}</name></author><updated>{one.at.isoformat()}</updated>"
            f'<link href="https://workshop.example/{one.number}"/>'
            f'<content type="text">{escape(one.text)}</content></entry>'
            for one in reversed(self._entries)
        )
        return (
            '<?xml version="1.0" encoding="utf-8"?><feed xmlns="http://www.w3.org/2005/Atom">'
            "<id>tag:workshop.example,2026:feed</id><title>The workshop</title>"
            f"<updated>{datetime.now(UTC).isoformat()}</updated>{entries}</feed>"
        ).encode()


def _handler(feed: Feed) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            feed.asked.append(f"GET {self.path}")
            status, body = feed._instead or (200, feed.as_atom())
            self.send_response(status)
            self.send_header("Content-Type", "application/atom+xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            feed.asked.append(f"POST {self.path}")
            self.send_error(405)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: a test reads `asked`."""

    return Handler
