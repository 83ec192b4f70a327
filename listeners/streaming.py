"""What streams share: a guarded WebSocket, and events gathered into small pages.

A stream is one connection. When it is cut, or silent for too long, it ends with a `Transient`; whoever reads it goes on
from the last page's cursor. Nothing here waits longer than LOOK_EVERY without asking whether to stop.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, Self, TypeAlias
from urllib.parse import urlsplit

from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.frames import CloseCode
from websockets.sync.client import ClientConnection, connect

from listeners import http
from listeners.addresses import addresses_of
from listeners.base import (
    STREAM_BEAT,
    Cursor,
    ListeningError,
    Options,
    Page,
    Post,
    Rejected,
    Terminal,
    Transient,
)

LOOK_EVERY = 0.25
"""Seconds between two looks whether to stop."""
BATCH_SECONDS = 0.25
"""What comes within so long of a page's first event goes into that page."""
BATCH_POSTS = 100
MAX_MESSAGE = 10 * 1024 * 1024
"""Bytes of one message; those of the AT Protocol hold up to 5 MB."""
KEEP_ALIVE = 15.0
"""Seconds between two pings, and for their answer: so long a dead connection stays unnoticed, twice over."""
SILENCE = 600.0
"""Seconds without a message after which the connection is made anew, for a server that answers pings and no more."""
CLOSING = 1.0
QUEUE = 64
"""Messages read ahead; then the server is kept waiting."""

_REFUSALS = {3000: 401, 3003: 403}
"""Registered codes with which a server closes where it would have refused the connection with a status."""

_quiet = logging.getLogger("listeners.streaming.wire")
_quiet.setLevel(logging.CRITICAL)  # it would log headers, and with them credentials


# --- One connection ------------------------------------------------------------------------------------------------


class Socket:
    """A WebSocket to a checked address. `source` is the platform's name in messages. Use it in a `with`."""

    def __init__(self, source: str, url: str, options: Options, headers: Mapping[str, str] | None = None) -> None:
        self._source = source
        self._heard = time.monotonic()
        self._raw = _connected(source, url, options)
        try:
            self._connection = self._opened(url, options, headers or {})
        except BaseException:
            self._raw.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Says goodbye, for a second at most."""
        self._connection.close()

    def send(self, text: str) -> None:
        """Sends a message. Raises Transient, Terminal."""
        try:
            self._connection.send(text)
        except (WebSocketException, OSError) as error:
            raise self._cut(error) from error

    def receive(self, seconds: float) -> str | bytes | None:
        """The next message; None where none came in time. Raises Transient or Terminal once it has ended."""
        try:
            message = self._connection.recv(timeout=max(0.0, seconds))
        except TimeoutError:
            if time.monotonic() - self._heard > SILENCE:
                raise Transient(f"{self._source}'s stream was silent for too long and is opened again.") from None
            return None
        except (WebSocketException, OSError, EOFError) as error:
            raise self._cut(error) from error
        self._heard = time.monotonic()
        return message

    def _opened(self, url: str, options: Options, headers: Mapping[str, str]) -> ClientConnection:
        try:
            return connect(
                url,
                sock=self._raw,
                ssl=http.tls() if url.startswith("wss:") else None,
                additional_headers=dict(headers),
                user_agent_header=http.user_agent(),
                proxy=None,  # a proxy from the environment would connect in our place, past the guard
                open_timeout=options.timeout,
                ping_interval=KEEP_ALIVE,
                ping_timeout=KEEP_ALIVE,
                close_timeout=CLOSING,
                max_size=MAX_MESSAGE,
                max_queue=QUEUE,
                logger=_quiet,
                legacy=True,  # without it, it may only be used where it is opened
            )
        except InvalidStatus as error:
            answer = error.response
            names = {name.lower(): value for name, value in answer.headers.raw_items()}
            raise http.refused(self._source, answer.status_code, names, bytes(answer.body or b"")) from error
        except (WebSocketException, OSError, EOFError, ValueError) as error:
            # A redirect is refused too: the address behind it was not checked.
            raise http.failed(self._source, error) from error

    def _cut(self, error: BaseException) -> ListeningError:
        """What the end of the connection means."""
        theirs = error.rcvd if isinstance(error, ConnectionClosed) else None
        ours = error.sent if isinstance(error, ConnectionClosed) else None
        if theirs is not None and theirs.code in _REFUSALS:
            return http.refused(self._source, _REFUSALS[theirs.code], {}, theirs.reason.encode())
        if ours is not None and ours.code == CloseCode.MESSAGE_TOO_BIG:
            return Transient(
                f"{self._source}'s stream sent a message larger than {MAX_MESSAGE / 1024 / 1024:.3g} MB, "
                "which is not taken in."
            )
        said = f": {theirs.reason[:100]}" if theirs is not None and theirs.reason else ""
        return Transient(f"{self._source} cut the stream{said}.")


def _connected(source: str, url: str, options: Options) -> socket.socket:
    """A TCP connection to an address that may be asked. Raises Transient, Terminal."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "wss" else 80)
    except ValueError:
        host, port = "", 0
    if not host or parts.scheme not in ("ws", "wss"):
        raise Terminal(f"{source}: this is no address of a stream.", "Correct the address; it starts with wss://.")
    last: OSError = OSError(f"{host} has no address")
    try:
        for address in addresses_of(host, port, allow_private=options.allow_private_hosts):
            try:
                return socket.create_connection((address, port), options.timeout)
            except OSError as error:
                last = error
    except OSError as error:
        last = error
    raise http.failed(source, last) from last


# --- Events into pages ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Made:
    """Somebody posted this."""

    post: Post


@dataclass(frozen=True, slots=True)
class Changed:
    """A post says this from now on. `meant`: whether the query means it as it is now."""

    post: Post
    meant: bool = True


@dataclass(frozen=True, slots=True)
class Gone:
    """A post was deleted."""

    external_id: str


@dataclass(frozen=True, slots=True)
class AuthorGone:
    """An account was deleted, with all that it wrote."""

    author_id: str


@dataclass(frozen=True, slots=True)
class Other:
    """A post that the query does not mean."""


Event: TypeAlias = Made | Changed | Gone | AuthorGone | Other | Rejected


class Reader(Protocol):
    """What knows a platform's messages."""

    @property
    def cursor(self) -> Cursor:
        """Where to go on after the last message that was read."""

    def read(self, message: str | bytes) -> Iterable[Event]:
        """What one message tells. Raises Transient or Terminal where it ends the stream, and nothing else."""


@dataclass(slots=True)
class Batch:
    """What came within a moment, as it stands at its end."""

    posts: dict[str, Post] = field(default_factory=dict)
    edits: dict[str, Post] = field(default_factory=dict)
    gone: dict[str, None] = field(default_factory=dict)
    gone_authors: dict[str, None] = field(default_factory=dict)
    rejected: list[Rejected] = field(default_factory=list)
    filtered: int = 0

    @property
    def empty(self) -> bool:
        return not (self.posts or self.edits or self.gone or self.gone_authors or self.rejected)

    @property
    def urgent(self) -> bool:
        """Whether it should be a page soon; deletions, of which a whole network has many, wait for the next beat."""
        return bool(self.posts)

    @property
    def full(self) -> bool:
        removed = len(self.gone) + len(self.gone_authors)
        return len(self.posts) + len(self.edits) + removed + len(self.rejected) >= BATCH_POSTS

    def add(self, event: Event) -> None:
        """Later events win over earlier ones of the same post."""
        if isinstance(event, Made | Changed):
            self._say(event.post, isinstance(event, Made) or event.meant)
        elif isinstance(event, Gone):
            self._drop(event.external_id)
            self.gone[event.external_id] = None
        elif isinstance(event, AuthorGone):
            theirs = [id_ for id_, post in self.posts.items() if post.author and post.author.id == event.author_id]
            for id_ in theirs:
                self._drop(id_)
            self.gone_authors[event.author_id] = None
        elif isinstance(event, Rejected):
            self.rejected.append(event)
        else:
            self.filtered += 1

    def _say(self, post: Post, meant: bool) -> None:
        id_ = post.external_id
        if meant or id_ in self.posts:  # what was meant when it was made is kept, as it would be a page earlier
            self.edits.pop(id_, None)
            self.gone.pop(id_, None)
            self.posts[id_] = post
        else:
            self.edits[id_] = post

    def page(self, cursor: Cursor) -> Page:
        return Page(
            posts=list(self.posts.values()),
            cursor=cursor,
            rejected=self.rejected,
            filtered=self.filtered,
            gone=list(self.gone),
            gone_authors=list(self.gone_authors),
            edits=list(self.edits.values()),
        )

    def _drop(self, external_id: str) -> None:
        self.posts.pop(external_id, None)
        self.edits.pop(external_id, None)


def pages(connection: Socket, reader: Reader, stop: Callable[[], bool]) -> Iterator[Page]:
    """Pages of what `reader` finds in the messages, until `stop()`. What came before a cut is yielded before it ends.

    Raises Transient, Terminal.
    """
    batch, began, told = Batch(), 0.0, time.monotonic()
    while not stop():
        now = time.monotonic()
        left = began + BATCH_SECONDS - now if batch.urgent else LOOK_EVERY
        if batch.full or left <= 0 or now - told >= STREAM_BEAT:
            yield batch.page(reader.cursor)
            batch, told = Batch(), time.monotonic()
            continue
        try:
            message = connection.receive(min(left, LOOK_EVERY))
            events = [] if message is None else list(reader.read(message))
        except (Transient, Terminal):
            if not batch.empty:
                yield batch.page(reader.cursor)
            raise
        for event in events:
            if not batch.urgent:
                began = time.monotonic()
            batch.add(event)
    if not batch.empty or batch.filtered:
        yield batch.page(reader.cursor)
