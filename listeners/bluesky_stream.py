"""Bluesky's streams: Jetstream (JSON), and the firehose of a relay or of one server (CBOR), read into events.

Both tell of every post on the network with its author's DID alone, of deletions, and of accounts that were deleted. A
cursor belongs to the server that gave it: {"seq": …, "at": host} of a firehose, {"time_us": …, "at": host} of a
Jetstream.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias
from urllib.parse import urlencode, urlsplit, urlunsplit

from atproto_core.car import CAR
from atproto_core.cbor import decode_dag_multi
from atproto_core.cid import CID
from atproto_core.exceptions import AtProtocolError

from listeners import streaming
from listeners.base import Cursor, Post, Rejected, Terminal, Transient
from listeners.streaming import AuthorGone, Changed, Event, Gone, Made, Other
from listeners.untrusted import iso_moment

JETSTREAM = "wss://jetstream2.us-east.bsky.network/subscribe"
FIREHOSE_PATH = "/xrpc/com.atproto.sync.subscribeRepos"
POST = "app.bsky.feed.post"
AGAIN = timedelta(seconds=3)
"""Jetstream's cursors are moments: so much is read again."""
ELSEWHERE = timedelta(seconds=30)
"""So much where the cursor is of another Jetstream, whose clock is its own."""
HOLE = timedelta(hours=1)
"""Where Jetstream goes on so long after its cursor, it no longer had what lay between."""

PostOf: TypeAlias = Callable[[str, dict[str, Any]], Post | Rejected]
"""A post, or why it is none, of where it stood and of a view: {"uri", "author", "record", "indexedAt"}."""

_DELETED = ("deleted", "takendown")
"""States of an account that are for good; what else it may be in, such as deactivated, passes."""


def address_of(stream_url: str, service: str | None) -> str:
    """The stream's address: `stream_url` if given, else the firehose of `service`, else Jetstream. Raises Terminal."""
    if not stream_url and service is None:
        return JETSTREAM
    try:
        parts = urlsplit(stream_url or f"{service}{FIREHOSE_PATH}")
        host = parts.netloc
    except ValueError:
        host = ""
    if not host or parts.scheme not in ("ws", "wss", "http", "https"):
        raise Terminal(
            f"{stream_url[:80]!r} is no address of a stream.",
            "Give that of a Jetstream, or of a relay with /xrpc/com.atproto.sync.subscribeRepos.",
        )
    scheme = "wss" if parts.scheme in ("wss", "https") else "ws"
    return urlunsplit((scheme, host, parts.path if parts.path.strip("/") else "/subscribe", "", ""))


def reader_of(address: str, cursor: Cursor, post_of: PostOf, keeps: Callable[[Post], bool]) -> Firehose | Jetstream:
    """What reads the stream at an address."""
    kind = Firehose if urlsplit(address).path.endswith("subscribeRepos") else Jetstream
    return kind(address, cursor, post_of, keeps)


def since(address: str, moment: datetime) -> Cursor:
    """The cursor from which the stream at an address tells everything since `moment` that its server still has."""
    parts = urlsplit(address)
    if parts.path.endswith("subscribeRepos"):
        return {"since": moment.isoformat(), "at": parts.netloc}
    return {"time_us": _microseconds(moment), "at": parts.netloc}


class _Reader:
    def __init__(self, address: str, cursor: Cursor, post_of: PostOf, keeps: Callable[[Post], bool]) -> None:
        self.address = address
        self._host = urlsplit(address).netloc
        self._post_of = post_of
        self._keeps = keeps
        self.cursor: Cursor = dict(cursor)

    def _commit(self, did: str, action: object, path: str, record: object, moment: str) -> Event | None:
        """What happened to one record; None where it is no post."""
        collection, _, key = path.partition("/")
        if collection != POST:
            return None
        uri = f"at://{did}/{path}"
        if action == "delete":
            return Gone(uri)
        if action not in ("create", "update"):
            return Rejected(uri[:200], "was treated in a way that is not known")
        if not isinstance(record, dict):
            return Rejected(uri[:200], "came without its record")
        view = {"uri": uri, "author": {"did": did}, "record": record, "indexedAt": moment}
        post = self._post_of(uri[:200], view)
        if isinstance(post, Rejected):
            return post
        if action == "update":
            edited = post.model_copy(update={"edited_at": _moment(moment)})
            return Changed(edited, self._keeps(edited))
        return Made(post) if self._keeps(post) else Other()

    def _account(self, did: object, account: dict[str, Any]) -> Iterator[Event]:
        if isinstance(did, str) and account.get("active") is False and account.get("status") in _DELETED:
            yield AuthorGone(did)


class Firehose(_Reader):
    """com.atproto.sync.subscribeRepos: frames of two CBOR values, a commit's records in a CAR of blocks."""

    def __init__(self, address: str, cursor: Cursor, post_of: PostOf, keeps: Callable[[Post], bool]) -> None:
        super().__init__(address, cursor, post_of, keeps)
        ours = self.cursor if self.cursor.get("at") == self._host else {}
        self._since: datetime | None = None
        """Set until the first event: what is older is not meant."""
        self._again = isinstance(ours.get("since"), str)
        if not _is_number(ours.get("seq")):
            since = ours["since"] if self._again else (datetime.now(UTC) - AGAIN).isoformat()
            self._since = _moment(since)
            self.cursor = {"since": since, "at": self._host}

    @property
    def url(self) -> str:
        """A new stream begins with the next event. Cut before that, it is read from as far back as the server goes.

        Nobody is told a server's numbers before its first event. One that is silent for so long has little to repeat.
        """
        if self._since is not None and not self._again:
            return self.address
        return f"{self.address}?{urlencode({'cursor': self.cursor.get('seq', 0)})}"

    def read(self, message: str | bytes) -> Iterator[Event]:
        """See `streaming.Reader`."""
        try:
            header, body, *_ = decode_dag_multi(message.encode() if isinstance(message, str) else message)
        except (ValueError, RecursionError):
            yield Rejected("frame", "is no CBOR, or breaks off")
            return
        if not isinstance(header, dict) or not isinstance(body, dict):
            yield Rejected("frame", "is no event")
            return
        if header.get("op") == -1:
            yield self._ended(body)
        elif not self._is_older(body):
            yield from self._event(header.get("t"), body)
        if _is_number(body.get("seq")):
            self.cursor = {"seq": body["seq"], "at": self._host}

    def _is_older(self, body: dict[str, Any]) -> bool:
        """Whether an event happened before this stream was first opened."""
        if self._since is None:
            return False
        at = body.get("time")
        return not isinstance(at, str) or _moment(at) < self._since

    def _event(self, kind: object, body: dict[str, Any]) -> Iterator[Event]:
        if kind == "#commit":
            yield from self._commits(body)
        elif kind == "#account":
            yield from self._account(body.get("did"), body)
        elif kind == "#info" and body.get("name") == "OutdatedCursor":
            yield Rejected("stream", _HOLE)

    def _commits(self, body: dict[str, Any]) -> Iterator[Event]:
        did, ops, moment = body.get("repo"), body.get("ops"), body.get("time")
        ours = [op for op in ops if _is_of_a_post(op)] if isinstance(ops, list) else []
        if not ours:  # nearly always, and a CAR takes long to read
            return
        blocks = _blocks(body.get("blocks")) if any(op.get("action") != "delete" for op in ours) else {}
        for op in ours:
            cid, said_at = op.get("cid"), moment if isinstance(moment, str) else ""
            record = blocks.get(CID.from_decoded_bytes(cid)) if isinstance(cid, bytes) else None
            event = self._commit(str(did), op.get("action"), op["path"], record, said_at)
            if event is not None:
                yield event

    def _ended(self, body: dict[str, Any]) -> Rejected:
        """What an error frame means; the server cuts the connection behind it. Raises Transient."""
        if body.get("error") != "FutureCursor":
            raise Transient(f"Bluesky ended the stream: {str(body.get('message') or body.get('error'))[:100]}.")
        self.cursor = {}
        return Rejected("stream", f"The server counts anew, so that the stream begins anew. {_HOLE}")


class Jetstream(_Reader):
    """One JSON object an event. It may be asked for posts alone; accounts come with them."""

    def __init__(self, address: str, cursor: Cursor, post_of: PostOf, keeps: Callable[[Post], bool]) -> None:
        super().__init__(address, cursor, post_of, keeps)
        if not _is_number(self.cursor.get("time_us")):
            # So that a cut before the very first event leaves no hole either.
            self.cursor = {"time_us": _microseconds(datetime.now(UTC)), "at": self._host}
        self._from = self.cursor["time_us"]
        self._begun = bool(cursor)

    @property
    def url(self) -> str:
        again = AGAIN if self.cursor.get("at") == self._host else ELSEWHERE
        since = max(0, self.cursor["time_us"] - int(again.total_seconds() * 1_000_000))
        most = streaming.MAX_MESSAGE  # what is larger it leaves out, where it would end every connection anew
        wanted = {"wantedCollections": POST, "maxMessageSizeBytes": most, "cursor": since}
        return f"{self.address}?{urlencode(wanted)}"

    def read(self, message: str | bytes) -> Iterator[Event]:
        """See `streaming.Reader`."""
        try:
            event = json.loads(message)
        except (ValueError, RecursionError):
            yield Rejected("event", "is no JSON, or breaks off")
            return
        if not isinstance(event, dict):
            yield Rejected("event", "is no event")
            return
        made = event.get("time_us")
        if _is_number(made) and self._begun:
            self._begun = False
            if made - self._from > HOLE / timedelta(microseconds=1):
                yield Rejected("stream", _HOLE)
        yield from self._event(event)
        if _is_number(made):
            self.cursor = {"time_us": max(made, self.cursor["time_us"]), "at": self._host}

    def _event(self, event: dict[str, Any]) -> Iterator[Event]:
        did, kind = event.get("did"), event.get("kind")
        commit, account = event.get("commit"), event.get("account")
        if kind == "account" and isinstance(account, dict):
            yield from self._account(did, account)
        if kind != "commit" or not isinstance(commit, dict):
            return
        path = f"{commit.get('collection')}/{commit.get('rkey')}"
        found = self._commit(str(did), commit.get("operation"), path, commit.get("record"), _time(event.get("time_us")))
        if found is not None:
            yield found


_HOLE = (
    "The server no longer had all that was posted since this stream was last read: some of it is missing here. "
    "A source with the same words that searches finds it."
)


def _is_of_a_post(op: object) -> bool:
    return isinstance(op, dict) and isinstance(op.get("path"), str) and op["path"].startswith(f"{POST}/")


def _blocks(packed: object) -> dict[CID, Any]:
    """The records of a CAR by their address; {} for a damaged one."""
    if not isinstance(packed, bytes):
        return {}
    try:
        blocks: dict[CID, Any] = CAR.from_bytes(packed).blocks
    except (AtProtocolError, ValueError, TypeError, AttributeError):
        return {}
    return blocks


def _is_number(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _microseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)


def _time(microseconds: object) -> str:
    """As ISO 8601; "" for what is no moment."""
    if not isinstance(microseconds, int) or not 0 <= microseconds < 253_000_000_000_000_000:
        return ""
    return datetime.fromtimestamp(microseconds / 1_000_000, UTC).isoformat()


def _moment(said: str) -> datetime:
    return iso_moment(said) or datetime.now(UTC)
