"""Bluesky: what search finds and what is said to us, answered in its thread, on any server of the AT Protocol.

`Options.base_url` is the account's server (its PDS), https://bsky.social where none is given. An answer's record key is
derived from the idempotency key, and a repository holds one record per key: the same answer cannot be posted twice, and
asking our own repository for that key proves at once whether it stands there.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
import regex
from atproto_client import Client, Session, SessionEvent, models
from atproto_client.exceptions import RateLimitExceededError, RequestErrorBase
from atproto_client.models.common import XrpcError
from atproto_client.models.dot_dict import DotDict
from atproto_client.request import Request, Response, _handle_response
from atproto_client.utils import facet_detection
from atproto_core.exceptions import AtProtocolError
from pydantic import ValidationError

from listeners import bluesky_stream, http, streaming
from listeners.base import (
    Absent,
    Answering,
    Author,
    BadCredentials,
    Budget,
    CannotTell,
    Capability,
    CredentialField,
    Cursor,
    Health,
    Kind,
    ListeningError,
    Mode,
    Options,
    OutcomeUnknown,
    Page,
    Post,
    Query,
    Reach,
    Rejected,
    Sent,
    Syntax,
    Terminal,
    Transient,
    Verdict,
    clean,
)
from listeners.matching import matches
from listeners.query import And, Node, Not, Or, QueryError, parse
from listeners.query import Author as Wrote
from listeners.untrusted import as_dict, as_list, is_count, iso_moment
from listeners.walking import ByTime, Listing, StaleToken, Token, in_slices, since, sliced, walk

PLATFORM = "bluesky"
TITLE = "Bluesky"
SERVICE = "https://bsky.social"
POST = "app.bsky.feed.post"

MAX_GRAPHEMES = 300
MAX_BYTES = 3_000
PAGE_SIZE = 100
POSTS_PER_CHECK = 25
"""So many ids does getPosts take at once."""
OVERLAP = timedelta(minutes=5)
"""Posts are listed by the clock of the app that wrote them, so a late one surfaces below newer ones: so much is read
again."""
PROFILES_AT_ONCE = 25
PROFILE_HOURS = 1
"""So long is an author's handle believed that a stream did not tell."""
SIGN_INS = (30, timedelta(minutes=5))
"""So often may one account sign in within that time."""

T = TypeVar("T")

log = logging.getLogger(__name__)


def length(text: str) -> int:
    """The text's length as Bluesky counts it: in graphemes, what a reader sees as one character.

    A text heavier than ten bytes per grapheme runs into the other bound, 3,000 bytes, first; then that one is counted.
    """
    graphemes = sum(1 for _ in regex.finditer(r"\X", text))
    return max(graphemes, -(-len(text.encode("utf-8", "replace")) * MAX_GRAPHEMES // MAX_BYTES))


_SYNTAX = Syntax(
    phrase='"{}"',
    author="from:{}",
    author_names=r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+",
    language="lang:{}",
    signs="#",
)
EXTRA = {
    "stream_url": (
        "Where posts are streamed from, in place of Bluesky's own Jetstream: the address of a Jetstream, "
        "or of a relay or server with /xrpc/com.atproto.sync.subscribeRepos"
    ),
}

CAPABILITY = Capability(
    platform=PLATFORM,
    title=TITLE,
    answering=Answering.API,
    answering_rule=(
        "Any public post may be answered, unless its author has limited who may reply or has blocked the account."
    ),
    checked_on=date(2026, 11, 22),
    modes=(
        Mode(
            name="search",
            label="Posts found by search",
            query_label="Words to search for",
            help='Such as acme "acme bank" -#ad. Found in the text alone, not in pictures or links.',
            syntax=_SYNTAX,
            reach=Reach("Bluesky gives everything that its search still finds."),
        ),
        Mode(
            name="notifications",
            label="Said to our account",
            query_label="",
            help="Mentions of the account, replies to it and quotes of it.",
            reach=Reach("Bluesky gives the account's notifications for as long as it keeps them."),
        ),
        Mode(
            name="stream",
            label="Posts as they are made",
            query_label="Words to listen for",
            help="Within a second or two. Begins with what is posted from now on; reads the whole network to find it.",
            syntax=_SYNTAX,
            streams=True,
        ),
    ),
    max_chars=MAX_GRAPHEMES,
    length=length,
    counted_in="characters",
    threads=True,
    editable=False,
    deletable=True,
    credentials=(
        CredentialField("handle", "Handle", secret=False, help="Such as acme.bsky.social or your own domain."),
        CredentialField(
            "app_password", "App password", help="Bluesky: Settings, Privacy and security, App passwords. Not your own."
        ),
    ),
    guide=(
        "Sign in to [Bluesky](https://bsky.app/settings/app-passwords) as the account that shall answer, and open "
        "*Settings*, *Privacy and security*, *App passwords*.",
        "Press *Add App Password* and name it *Samtal*. Leave direct messages out: they are not read.",
        "Copy the **app password** here. Bluesky shows it once. The **handle** is the account's name, such as "
        "*acme.bsky.social*.",
    ),
    key_needed=True,
    limits=(
        "3,000 requests in 5 minutes per network address; about 1,600 answers an hour; "
        "30 sign-ins in 5 minutes and 300 a day per account."
    ),
    search_syntax='words, "a phrase", #tag, from:handle, mentions:handle, domain:example.com, lang:en, since:, until:',
    poll_every=timedelta(seconds=5),
    recheck_every=timedelta(hours=6),
    find_lag=timedelta(minutes=1),
    duties="What its author deletes is deleted here too.",
)


def open(account: Mapping[str, str], options: Options) -> Bluesky:
    """A listener for one account (`handle`, `app_password`). Asks no network; without an account it can only parse."""
    return Bluesky(account, options)


# --- From the wire to posts ----------------------------------------------------------------------------------------

_DID = r"did:[a-z]+:[A-Za-z0-9._:%-]{1,240}"
# Keys of posts have 13 characters. The bound keeps 25 addresses within what servers take in one request line.
_AT_URI = re.compile(
    rf"at://(?P<repo>{_DID})/(?P<collection>[A-Za-z0-9.-]{{3,317}})/(?P<rkey>[A-Za-z0-9._:~-]{{1,128}})"
)
_HANDLE = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,3}")
_COUNTS = {"likes": "likeCount", "reposts": "repostCount", "replies": "replyCount", "quotes": "quoteCount"}
_SAID_TO_US = ("mention", "reply", "quote")
_MAX_NAME = 640
_MAX_NAMED = 100
"""Accounts named in one post that are kept: 300 graphemes hold no more by honest means."""


class _NoPost(Exception):
    """Why an item of an answer is no post, in words."""


@dataclass(frozen=True, slots=True)
class _Place:
    """The parts of an at:// address."""

    repo: str
    collection: str
    rkey: str


def _place(uri: object) -> _Place | None:
    match = _AT_URI.fullmatch(uri) if isinstance(uri, str) else None
    return _Place(match["repo"], match["collection"], match["rkey"]) if match else None


def _read(answer: object) -> list[Post | Rejected]:
    """Posts out of one decoded answer, each once. Raises Terminal where it is none that Bluesky gives."""
    body = as_dict(answer)
    if isinstance(body.get("posts"), list):
        items = [(f"posts[{n}]", item) for n, item in enumerate(body["posts"])]
    elif isinstance(body.get("notifications"), list):
        items = [(f"notifications[{n}]", item) for n, item in enumerate(body["notifications"]) if _is_said_to_us(item)]
    elif isinstance(body.get("thread"), dict):
        items = list(_nodes(body["thread"]))
    else:
        raise Terminal(
            "This is no answer of Bluesky with posts in it.",
            "Give one answer of searchPosts, listNotifications, getPosts or getPostThread.",
        )
    return list(_each_once(_post_or_rejected(where, item) for where, item in items))


def _is_said_to_us(item: object) -> bool:
    """False for the notifications that carry no words, such as a like. A malformed one is left to be rejected."""
    reason = as_dict(item).get("reason")
    return not isinstance(reason, str) or reason in _SAID_TO_US


def _nodes(thread: dict[str, Any]) -> Iterator[tuple[str, object]]:
    """A thread's posts from its root down, without recursion: how deep it goes is for others to choose."""
    above = []
    node: object = thread.get("parent")
    while isinstance(node, dict):
        above.append(node)
        node = node.get("parent")
    for n in range(len(above), 0, -1):
        yield f"thread, {n} above", _of_node(above[n - 1])
    below: list[tuple[str, object]] = [("thread", thread)]
    while below:
        where, node = below.pop()
        yield where, _of_node(node)
        replies = as_list(as_dict(node).get("replies"))
        below += reversed([(f"{where}.{n}", reply) for n, reply in enumerate(replies)])


def _of_node(node: object) -> object:
    """The post of a thread's node; the node itself where it has none, to be rejected by its own type."""
    return as_dict(node).get("post", node)


def _each_once(found: Iterable[Post | Rejected]) -> Iterator[Post | Rejected]:
    """A reply that also mentions us is notified twice."""
    seen: set[str] = set()
    for item in found:
        if isinstance(item, Post):
            if item.external_id in seen:
                continue
            seen.add(item.external_id)
        yield item


def _post_or_rejected(where: str, item: object) -> Post | Rejected:
    try:
        return _post(as_dict(item))
    except _NoPost as error:
        return Rejected(where, str(error))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        return Rejected(where, f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}")


def _post(view: dict[str, Any]) -> Post:
    """One post view or notification. Raises _NoPost, ValidationError."""
    _refuse_what_is_hidden(view)
    record, place = as_dict(view.get("record")), _place(view.get("uri"))
    author = _author(view.get("author"))
    if place is None or place.collection != POST or record.get("$type") != POST:
        raise _NoPost("is no post with an address")
    if place.repo != author.id:
        raise _NoPost("does not lie in its author's repository")
    if not isinstance(record.get("text"), str):
        raise _NoPost("has no text")
    posted_at, estimated = _posted_at(record.get("createdAt"), view.get("indexedAt"))
    parent, root = _reply(record)
    quoted = _quoted(record)
    return Post(
        platform=PLATFORM,
        external_id=view["uri"],
        url=_web_address(author, place.rkey),
        author=author,
        text=record["text"],
        lang=_language(record),
        posted_at=posted_at,
        posted_at_estimated=estimated,
        parent_id=parent,
        root_id=root,
        mentions=_mentioned(record),
        quotes_id=f"at://{quoted.repo}/{quoted.collection}/{quoted.rkey}" if quoted else None,
        quotes_author_id=quoted.repo if quoted else None,
        engagement={name: view[theirs] for name, theirs in _COUNTS.items() if is_count(view.get(theirs))},
        kind=Kind.COMMENT if parent else Kind.POST,
    )


def _refuse_what_is_hidden(view: dict[str, Any]) -> None:
    kind = view.get("$type")
    if isinstance(kind, str) and kind.endswith("#notFoundPost"):
        raise _NoPost("was deleted or never was")
    if isinstance(kind, str) and kind.endswith("#blockedPost"):
        raise _NoPost("is hidden by a block")


def _author(value: object) -> Author:
    profile = as_dict(value)
    did, name = profile.get("did"), profile.get("displayName")
    if not isinstance(did, str) or not re.fullmatch(_DID, did):
        raise _NoPost("has no author")
    return Author(
        id=did,
        handle=profile["handle"] if _is_handle(profile.get("handle")) else did,
        display_name=name[:_MAX_NAME] if isinstance(name, str) and name.strip() else None,
        followers=profile["followersCount"] if is_count(profile.get("followersCount")) else None,
    )


def _is_handle(value: object) -> bool:
    """Whether it leads to somebody: Bluesky writes handle.invalid for an account whose handle no longer does."""
    if not isinstance(value, str) or len(value) > 253 or value == "handle.invalid":
        return False
    return _HANDLE.fullmatch(value) is not None


def _web_address(author: Author, rkey: str) -> str:
    return f"https://bsky.app/profile/{author.handle}/post/{rkey}"


def _posted_at(created: object, indexed: object) -> tuple[datetime, bool]:
    """When a post was made, and whether that is an estimate.

    `createdAt` is the author's to choose: Bluesky lists by it, but never later than by when it saw the post itself.
    """
    said, seen = iso_moment(created), iso_moment(indexed)
    if said and said.year < 1970:  # a program's idea of no date, such as the first day of the year 1
        said = None
    if said and seen:
        return min(said, seen), said > seen
    if said or seen:
        return (said or seen or datetime.now(UTC)), said is None
    raise _NoPost("has no date")


def _reply(record: dict[str, Any]) -> tuple[str | None, str | None]:
    """The addresses of the post that was answered and of its thread's first post."""
    reply = as_dict(record.get("reply"))
    parent, root = (as_dict(reply.get(name)).get("uri") for name in ("parent", "root"))
    if _place(parent) is None:
        return None, None
    return parent, root if _place(root) else parent


def _quoted(record: dict[str, Any]) -> _Place | None:
    """The post inside; None also for a list, a feed or a starter pack, which are shown the same way."""
    embed = as_dict(record.get("embed"))
    inside = as_dict(embed.get("record"))
    if embed.get("$type") == "app.bsky.embed.recordWithMedia":
        inside = as_dict(inside.get("record"))
    place = _place(inside.get("uri"))
    return place if place and place.collection == POST else None


def _mentioned(record: dict[str, Any]) -> tuple[str, ...]:
    """The DIDs of the accounts named in the text, each once."""
    features = [
        as_dict(one) for facet in as_list(record.get("facets")) for one in as_list(as_dict(facet).get("features"))
    ]
    dids = [one.get("did") for one in features if one.get("$type") == "app.bsky.richtext.facet#mention"]
    return tuple(dict.fromkeys(did for did in dids if isinstance(did, str) and re.fullmatch(_DID, did)))[:_MAX_NAMED]


def _language(record: dict[str, Any]) -> str | None:
    named = [one for one in as_list(record.get("langs")) if isinstance(one, str) and _LANGUAGE.fullmatch(one)]
    return named[0] if named else None


def _closed_because(view: dict[str, Any]) -> str | None:
    """Why we may not answer a post, as far as its view tells us; None where nothing stands against it."""
    viewer = as_dict(as_dict(view.get("author")).get("viewer"))
    if viewer.get("blockedBy") is True:
        return "Its author has blocked this account."
    if viewer.get("blocking"):
        return "This account has blocked its author."
    if as_dict(view.get("viewer")).get("replyDisabled") is True:
        return "Its author has limited who may reply, and this account is not among them."
    return None


# --- The account: sessions are shared, since signing in is what Bluesky allows least -------------------------------


@dataclass(slots=True)
class _Account:
    """What all listeners of one account in this process share."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    session: str | None = field(default=None, repr=False)
    sign_ins: deque[float] = field(default_factory=deque)
    """When, by the monotonic clock."""
    closed: OrderedDict[str, str] = field(default_factory=OrderedDict)
    """Posts that may not be answered, and why, as last seen."""
    profiles: OrderedDict[str, tuple[float, Author]] = field(default_factory=OrderedDict)
    """Authors by DID, each with the moment until which it is believed."""
    profiles_from: float = 0.0
    """When profiles may be asked for again, after it had failed."""

    def note_sign_in(self) -> None:
        """Counts a sign-in. Raises Transient where it would be one too many."""
        most, within = SIGN_INS
        now = time.monotonic()
        while self.sign_ins and self.sign_ins[0] <= now - within.total_seconds():
            self.sign_ins.popleft()
        if len(self.sign_ins) >= most:
            wait = self.sign_ins[0] + within.total_seconds() - now
            raise Transient(f"Bluesky allows {most} sign-ins in {within.seconds // 60} minutes; all are used.", wait)
        self.sign_ins.append(now)

    def note_closed(self, views: Iterable[object]) -> None:
        """Remembers which posts may not be answered; the last 10,000."""
        for view in map(as_dict, views):
            uri, reason = view.get("uri"), _closed_because(view)
            if isinstance(uri, str):
                self.closed.pop(uri, None)
                if reason:
                    self.closed[uri] = reason
        while len(self.closed) > 10_000:
            self.closed.popitem(last=False)


_ACCOUNTS: dict[tuple[str, str, str], _Account] = {}
_ACCOUNTS_LOCK = threading.Lock()


def _shared(service: str, handle: str, password: str) -> _Account:
    """The shared state of an account; with another password it is another one, so that a wrong one opens nothing."""
    digest = hashlib.sha256(password.encode("utf-8", "replace")).hexdigest()
    with _ACCOUNTS_LOCK:
        return _ACCOUNTS.setdefault((service, handle, digest), _Account())


# --- The wire ------------------------------------------------------------------------------------------------------


class _Wire(Request):  # type: ignore[misc]  # atproto ships no types
    """atproto's requests with what they lack: our time limit, guarded addresses, bounded answers, patient decoding."""

    def __init__(self, options: Options) -> None:
        self._options = options
        super().__init__(
            transport=http.transport(options),
            timeout=options.timeout,
            max_redirects=http.MAX_REDIRECTS,
            trust_env=False,
        )
        self.add_additional_header("User-Agent", http.user_agent())

    def get(self, *args: Any, **kwargs: Any) -> Response:
        return _decoded(self._send_request("GET", *args, **kwargs))

    def post(self, *args: Any, **kwargs: Any) -> Response:
        return _decoded(self._send_request("POST", *args, **kwargs))

    def _send_request(self, method: str, url: str, **kwargs: Any) -> httpx.Response:
        headers = self.get_headers(kwargs.pop("headers", None))
        with self._client.stream(method, url, headers=headers, **kwargs) as streamed:
            body = self._body(streamed)
        plain = {name: value for name, value in streamed.headers.items() if name.lower() not in _OF_THE_TRANSFER}
        whole = httpx.Response(streamed.status_code, headers=plain, content=body, request=streamed.request)
        _handle_response(whole)  # raises
        return whole

    def _body(self, streamed: httpx.Response) -> bytes:
        until = time.monotonic() + self._options.timeout * http.MAX_TIMES_TIMEOUT
        body = bytearray()
        for chunk in streamed.iter_bytes():
            body += chunk
            if len(body) > http.MAX_ANSWER:
                raise httpx.ReadError("the answer is too large", request=streamed.request)
            if time.monotonic() > until:
                raise httpx.ReadTimeout("the answer drips", request=streamed.request)
        return bytes(body)


_OF_THE_TRANSFER = ("content-encoding", "content-length", "transfer-encoding")


def _decoded(response: httpx.Response) -> Response:
    """The answer with its JSON decoded, else its bytes. atproto's decoder gives up a page for one lone surrogate."""
    try:
        content: Any = json.loads(response.content)
    except (ValueError, RecursionError):
        content = response.content
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Response(success=True, status_code=response.status_code, content=content, headers=headers)


def _status(error: BaseException) -> int | None:
    return error.response.status_code if isinstance(error, RequestErrorBase) and error.response else None


def _said(error: BaseException) -> tuple[str, str]:
    """The error's name and its words, as Bluesky gave them."""
    content = error.response.content if isinstance(error, RequestErrorBase) and error.response else None
    if not isinstance(content, XrpcError | DotDict):
        return "", ""
    name, words = content.error, content.message
    return name if isinstance(name, str) else "", words if isinstance(words, str) else ""


_TOKEN_GONE = ("ExpiredToken", "InvalidToken")

_FAILED_SIGN_INS = {
    "AuthFactorTokenRequired": (
        "Bluesky wants the code that it mailed, since this is the account's own password.",
        "Enter an app password instead: Bluesky, Settings, Privacy and security, App passwords.",
    ),
    "AuthenticationRequired": (
        "Bluesky did not accept the handle or the app password.",
        "Enter the handle in full and a new app password: Bluesky, Settings, Privacy and security, App passwords.",
    ),
    "AccountTakedown": ("Bluesky has taken this account down.", "Ask Bluesky why, or use another account."),
    "AccountDeactivated": ("This account is deactivated.", "Sign in to Bluesky and activate it again."),
}


def _meaning(error: Exception, *, sending: bool = False) -> ListeningError:
    """An exception of atproto or httpx as ours. With `sending`, OutcomeUnknown unless nothing can have arrived."""
    status, (name, words) = _status(error), _said(error)
    if isinstance(error, RateLimitExceededError):
        return _too_many(error)
    if name in _FAILED_SIGN_INS:
        kind = BadCredentials if name == "AuthenticationRequired" else Terminal
        return kind(*_FAILED_SIGN_INS[name])
    if status == 400 and words == "Profile not found":
        # Only these words tell that an account is so new that Bluesky has not indexed it.
        return _TooNew("Bluesky does not know the account yet; a new one takes a moment.", 5)
    if status is not None and isinstance(error, RequestErrorBase) and error.response:
        said = json.dumps({"message": words or name}).encode()
        return http.refused(TITLE, status, error.response.headers, said, sending=sending)
    if isinstance(error, httpx.HTTPError | httpx.InvalidURL | httpx.StreamError | UnicodeError):
        return http.failed(TITLE, error, sending=sending)
    message = "Bluesky sent an answer that is not understood."
    return OutcomeUnknown(message) if sending else Transient(message)


def _too_many(error: RateLimitExceededError) -> Transient:
    """Bluesky names the moment when its limit is lifted, and no Retry-After."""
    try:
        lifted = error.reset_at
    except (ValueError, OverflowError, OSError):  # a number that is no moment
        lifted = None
    if lifted is None:
        return Transient("Bluesky had too many requests from us (429).", error.retry_after)
    wait = max(1.0, (lifted - datetime.now(UTC)).total_seconds())
    return Transient(f"Bluesky had too many requests from us (429) until {lifted:%H:%M:%S} UTC.", wait)


def _may_be_the_token(error: Exception) -> bool:
    """A page token that it does not know makes Bluesky answer 400 or fail inside; an outage has other names."""
    return _status(error) == 400 or _said(error)[0] == "InternalServerError"


_ATPROTO_ERRORS = (AtProtocolError, httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, UnicodeError)


def _budget(response: Response) -> Budget:
    def number(name: str) -> int | None:
        value = response.headers.get(name, "")
        return int(value) if re.fullmatch(r"[0-9]{1,10}", value) else None

    resets = number("ratelimit-reset")
    return Budget(
        remaining=number("ratelimit-remaining"),
        limit=number("ratelimit-limit"),
        resets_at=datetime.fromtimestamp(resets, UTC) if resets else None,
    )


# --- What we write -------------------------------------------------------------------------------------------------

_TID_ALPHABET = "234567abcdefghijklmnopqrstuvwxyz"
_TID_FIRST = 1_672_531_200_000_000
"""2023-01-01 in microseconds: derived keys look as if made between then and the end of 2025."""
_TID_SPAN = 94_694_400_000_000


def record_key(key: str) -> str:
    """The record key of the answer with this idempotency key: 13 characters in the form that posts must have, a TID.

    A TID is 53 bits of microseconds and 10 bits of clock. Both come from a digest, so that the same key always gives
    the same record; the time lies in the past, since servers may refuse a key from the future.
    """
    digest = int.from_bytes(hashlib.sha256(b"samtal answer\0" + key.encode("utf-8", "surrogatepass")).digest(), "big")
    clock, digest = digest % 1024, digest // 1024
    number = (_TID_FIRST + digest % _TID_SPAN) << 10 | clock
    return "".join(_TID_ALPHABET[number >> shift & 31] for shift in range(60, -1, -5))


def _checked(text: str) -> str:
    """The text as it can be posted. Raises Terminal for one that Bluesky would refuse."""
    text = clean(text)
    if not text.strip():
        raise Terminal("The answer is empty.", "Write something.")
    if (size := length(text)) > MAX_GRAPHEMES:
        raise Terminal(f"The answer counts {size}; Bluesky takes {MAX_GRAPHEMES}.", "Shorten it.")
    return text


_SOUND_LINK = re.compile(r"https?://[^\s/][^\s]*")


def _reference(value: object) -> dict[str, str] | None:
    """A strong reference, {uri, cid}; None where it is none."""
    uri, cid = as_dict(value).get("uri"), as_dict(value).get("cid")
    return {"uri": uri, "cid": cid} if _place(uri) and isinstance(uri, str) and isinstance(cid, str) else None


# --- The listener --------------------------------------------------------------------------------------------------


class Bluesky:
    """Reads, answers and re-checks Bluesky with one account. See `listeners.base` for what each method promises."""

    def __init__(self, account: Mapping[str, str], options: Options) -> None:
        self._handle = account.get("handle", "").strip().removeprefix("@")
        self._password = account.get("app_password", "").strip()
        self._options = options
        self._service = (options.base_url or SERVICE).rstrip("/")
        self._account = _shared(self._service, self._handle, self._password)
        self._client: Client | None = None

    @property
    def capability(self) -> Capability:
        return CAPABILITY

    def close(self) -> None:
        """Ends the connections; the session stays good for the account's next listener."""
        if self._client is not None:
            self._client.request.close()
            self._client = None

    # -- reading

    def check(self) -> Health:
        """Signs in and asks who we are. Raises Transient, Terminal."""
        did, handle = self._who()
        where = urlsplit(self._service).netloc
        try:
            response = self._query("app.bsky.actor.getProfile", models.AppBskyActorGetProfile.Params(actor=did))
        except _TooNew as error:
            words = f"Signed in as @{handle} at {where}. {error}"
            return Health(ok=True, words=words, account=Author(id=did, handle=handle))
        account = _author({"handle": handle, **as_dict(response.content), "did": did})
        return Health(ok=True, words=f"Signed in as @{account.handle} at {where}.", account=account)

    def fetch(self, query: Query, cursor: Cursor) -> Iterator[Page]:
        """Pages of posts newest first, above the cursor's mark. Raises Transient, Terminal."""
        page_at = self._listing_of(query)
        return walk(page_at, cursor, order=ByTime(overlap=OVERLAP))

    def since(self, query: Query, moment: datetime) -> Cursor:
        """See `LooksBack`. A search does not give all of its results as one listing, so it is read in slices."""
        if query.mode == "stream":
            return bluesky_stream.since(self._streaming_address(), moment)
        return since(moment) if query.mode == "notifications" else in_slices(moment)

    def stream(self, query: Query, cursor: Cursor, *, stop: Callable[[], bool]) -> Iterator[Page]:
        """Posts of the whole network that the query means, as they are made. Raises Transient, Terminal."""
        if query.mode != "stream":
            raise Terminal("Bluesky streams posts by their words alone.", "Choose the mode stream.")
        meant = self._meant(query.text)
        reader = bluesky_stream.reader_of(
            self._streaming_address(), cursor, _post_or_rejected, lambda post: matches(meant, post)
        )
        self._sign_in_early()
        with streaming.Socket(TITLE, reader.url, self._options) as connection:
            if not cursor:
                yield Page((), reader.cursor)  # once this is stored, a cut before the first event leaves no hole
            for page in streaming.pages(connection, reader, stop):
                yield self._with_profiles(page)

    def _streaming_address(self) -> str:
        """Raises Terminal."""
        return bluesky_stream.address_of(self._options.extra.get("stream_url", "").strip(), self._options.base_url)

    def parse(self, answer: bytes) -> list[Post | Rejected]:
        """Posts of one answer of searchPosts, listNotifications, getPosts or getPostThread. Raises Terminal."""
        try:
            decoded = json.loads(answer)
        except (ValueError, RecursionError) as error:
            raise Terminal("This is no JSON, or it breaks off.", "Give one answer as it came over the wire.") from error
        return _read(decoded)

    def _listing_of(self, query: Query) -> Callable[[Token], Listing]:
        mode = query.mode or CAPABILITY.default_mode
        if mode == "notifications":
            return self._said_to_us
        if mode not in ("search", "stream"):
            raise Terminal(f"Bluesky has no mode {mode[:40]!r}.", "Choose search, notifications or stream.")
        words = clean(query.text).strip()
        if not words:
            raise Terminal("There is nothing to search for.", "Enter the words to search for.")
        return sliced(lambda before, token: self._found(words, before, token))

    def _found(self, words: str, before: datetime | None, token: Token) -> Listing:
        until = None if before is None else f"{before:%Y-%m-%dT%H:%M:%S}.{before.microsecond // 1_000:03d}Z"
        params = models.AppBskyFeedSearchPosts.Params(
            q=words, sort="latest", limit=PAGE_SIZE, cursor=token, until=until
        )
        return self._listing("app.bsky.feed.searchPosts", params, token)

    def _said_to_us(self, token: Token) -> Listing:
        params = models.AppBskyNotificationListNotifications.Params(
            reasons=list(_SAID_TO_US), limit=PAGE_SIZE, cursor=token
        )
        return self._listing("app.bsky.notification.listNotifications", params, token)

    def _listing(self, method: str, params: Any, token: Token) -> Listing:
        try:
            response = self._ask_for(method, params)
        except _ATPROTO_ERRORS as error:
            if token is not None and _may_be_the_token(error):
                raise StaleToken from error
            raise _meaning(error) from error
        if not isinstance(response.content, dict):
            raise Transient("Bluesky sent something that is no data.")
        try:
            found = _read(response.content)
        except Terminal as error:
            raise Transient("Bluesky sent an answer without posts in it.") from error
        self._account.note_closed(as_list(response.content.get("posts")))
        below = response.content.get("cursor")
        return Listing(
            posts=[item for item in found if isinstance(item, Post)],
            rejected=[item for item in found if isinstance(item, Rejected)],
            next_token=below if isinstance(below, str) and below else None,
            budget=_budget(response),
        )

    # -- streaming

    def _meant(self, words: str) -> Node:
        """The query, with authors also by their DIDs: a stream tells no handles. Raises Terminal, Transient."""
        try:
            meant = parse(words)
        except QueryError as error:
            raise Terminal(str(error), "Correct the words to listen for.") from error
        if meant is None:
            raise Terminal("There is nothing to listen for.", "Enter the words to listen for.")
        return self._by_did(meant)

    def _by_did(self, node: Node) -> Node:
        if isinstance(node, Not):
            return Not(self._by_did(node.part))
        if isinstance(node, And | Or):
            return type(node)(tuple(map(self._by_did, node.parts)))
        if isinstance(node, Wrote) and _is_handle(name := node.name.lstrip("@")):
            did = self._did_of(name)
            return Or((node, Wrote(did))) if did else node
        return node

    def _sign_in_early(self) -> None:
        """So that the first post waits for no sign-in. Raises Terminal where the account is not accepted."""
        if self._handle and self._password:
            try:
                self._signed_in()
            except Transient as error:
                log.info("The stream begins without a sign-in: %s", error)

    def _with_profiles(self, page: Page) -> Page:
        """The page with its authors' handles, names and followers; where they cannot be had, the DID stays for now."""
        authors = self._profiles({post.author.id for post in (*page.posts, *page.edits) if post.author})

        def named(post: Post) -> Post:
            author = authors.get(post.author.id) if post.author else None
            if author is None:
                return post
            url = _web_address(author, post.external_id.rpartition("/")[2])
            return post.model_copy(update={"author": author, "url": url})

        return replace(page, posts=[*map(named, page.posts)], edits=[*map(named, page.edits)]) if authors else page

    def _profiles(self, dids: set[str]) -> dict[str, Author]:
        """As far as they are known or can be asked for; never raises, since posts must not wait for names."""
        now, kept = time.monotonic(), self._account.profiles
        found = {did: kept[did][1] for did in dids if did in kept and kept[did][0] > now}
        missing = sorted(dids - set(found))
        if not missing or now < self._account.profiles_from or not (self._handle and self._password):
            return found
        try:
            for start in range(0, len(missing), PROFILES_AT_ONCE):
                found |= self._asked_for(missing[start : start + PROFILES_AT_ONCE])
        except ListeningError as error:
            log.info("Authors keep their DIDs as handles for a minute: %s", error)
            self._account.profiles_from = now + 60.0
        return found

    def _asked_for(self, dids: list[str]) -> dict[str, Author]:
        """Raises Transient, Terminal."""
        params = models.AppBskyActorGetProfiles.Params(actors=dids)
        response = self._query("app.bsky.actor.getProfiles", params)
        found: dict[str, Author] = {}
        for profile in map(as_dict, as_list(as_dict(response.content).get("profiles"))):
            try:
                author = _author(profile)
            except (_NoPost, ValidationError):
                continue
            found[author.id] = author
            self._account.profiles[author.id] = (time.monotonic() + PROFILE_HOURS * 3_600, author)
        while len(self._account.profiles) > 10_000:
            self._account.profiles.popitem(last=False)
        return found

    # -- answering

    def may_answer(self, post: Post) -> Verdict:
        """Asks no network: a limit on replies is known only where this process has seen the post in a search."""
        place = _place(post.external_id)
        if post.platform != PLATFORM or place is None or place.collection != POST:
            return Verdict(False, "This is no post on Bluesky.")
        if not (self._handle and self._password):
            return Verdict(False, "Answering on Bluesky needs an account with an app password.")
        if reason := self._account.closed.get(post.external_id):
            return Verdict(False, reason)
        return Verdict(True, CAPABILITY.answering_rule)

    def answer(self, post: Post, text: str, key: str) -> Sent:
        """Posts `text` below `post`, or returns what was posted with this `key` before.

        Raises Transient or Terminal where it is certain that nothing was posted by this call, else OutcomeUnknown.
        """
        text = _checked(text)
        if isinstance(sent := self._standing(post, key), Sent):
            return sent
        record: dict[str, Any] = {
            "$type": POST,
            "text": text,
            "createdAt": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "reply": self._reply_to(post),
        }
        if facets := self._facets(text):
            record["facets"] = facets
        return self._create(post, record, key)

    def find(self, post: Post, text: str, key: str, since: datetime) -> Sent | Absent | CannotTell:
        """Looks in our own repository for the record that `key` derives; `text` and `since` are not needed for that.

        Raises Transient, Terminal.
        """
        try:
            return self._standing(post, key)
        except _TakenKey as error:
            return CannotTell(str(error))

    def delete(self, external_id: str) -> None:
        """Deletes an answer of ours; one that is gone already stays so. Raises Transient, Terminal, OutcomeUnknown."""
        did, _ = self._who()
        place = _place(external_id)
        if place is None or place.repo != did or place.collection != POST:
            raise Terminal("This is no post of our account.", "Delete it on Bluesky.")
        data = {"repo": did, "collection": POST, "rkey": place.rkey}
        try:
            self._procedure("com.atproto.repo.deleteRecord", data)
        except _ATPROTO_ERRORS as error:
            raise _meaning(error, sending=True) from error

    def _standing(self, post: Post, key: str) -> Sent | Absent:
        """Our answer with this key. It is read where it is written, so Absent is proof. Raises as `find`, _TakenKey."""
        did, handle = self._who()
        rkey = record_key(key)
        found = self._record(_Place(did, POST, rkey))
        if found is None:
            return Absent()
        record = as_dict(found.get("value"))
        if _reply(record)[0] != post.external_id:
            raise _TakenKey("The key of this answer was used for another one before.", "Write the answer anew.")
        return _sent(did, handle, rkey, record)

    def _reply_to(self, post: Post) -> dict[str, Any]:
        """The references that tie an answer to its thread. Raises Terminal where it may not be answered."""
        views = self._views([post.external_id])
        if not views:
            raise Terminal("The post cannot be seen: it was deleted, or a block is in the way.", "Close it unanswered.")
        self._account.note_closed(views)
        if reason := _closed_because(views[0]):
            raise Terminal(reason, "Close it unanswered, or write to the author elsewhere.")
        parent = _reference(views[0])
        if parent is None:
            raise Transient("Bluesky sent the post without its address.")
        root = _reference(as_dict(as_dict(views[0].get("record")).get("reply")).get("root"))
        return {"root": root or parent, "parent": parent}

    def _facets(self, text: str) -> list[dict[str, Any]]:
        """Links, tags and mentions in our text, by their place in its UTF-8 bytes: without them they are mere words."""
        facets = [facet.model_dump(by_alias=True, exclude_none=True) for facet in facet_detection.detect_facets(text)]
        facets = [facet for facet in facets if all(_is_sound(one) for one in facet["features"])]
        for found in facet_detection.detect_mentions(text):
            if did := self._did_of(found.handle):
                place = {"byteStart": found.byte_start, "byteEnd": found.byte_end}
                facets.append({"index": place, "features": [{"$type": "app.bsky.richtext.facet#mention", "did": did}]})
        return sorted(facets, key=lambda facet: int(facet["index"]["byteStart"]))

    def _did_of(self, handle: str) -> str | None:
        """Whose handle it is; None for nobody's, which then stays plain text."""
        params = models.ComAtprotoIdentityResolveHandle.Params(handle=handle.lower())
        try:
            response = self._ask_for("com.atproto.identity.resolveHandle", params)
        except _ATPROTO_ERRORS as error:
            if _status(error) == 400:
                return None
            raise _meaning(error) from error
        did = as_dict(response.content).get("did")
        return did if isinstance(did, str) and re.fullmatch(_DID, did) else None

    def _create(self, post: Post, record: dict[str, Any], key: str) -> Sent:
        did, handle = self._who()
        rkey = record_key(key)
        data = {"repo": did, "collection": POST, "rkey": rkey, "record": record}
        try:
            response = self._procedure("com.atproto.repo.createRecord", data)
        except _ATPROTO_ERRORS as error:
            meaning, status = _meaning(error, sending=True), _status(error)
            if status in (400, 409) or (status is not None and status >= 500):
                # So is a second record with the same key refused, by Bluesky's own server with a bare 500.
                return self._after(meaning, post, key)
            raise meaning from error
        if as_dict(response.content).get("uri") != f"at://{did}/{POST}/{rkey}":
            return self._after(OutcomeUnknown("Bluesky took the answer and did not say where it stands."), post, key)
        budget = replace(_budget(response), kind=CAPABILITY.answers_spend)  # writing has limits of its own
        return replace(_sent(did, handle, rkey, record), budget=budget)

    def _after(self, meaning: ListeningError, post: Post, key: str) -> Sent:
        """The answer if it stands. Raises `meaning` where it does not, OutcomeUnknown where that cannot be told."""
        try:
            standing = self._standing(post, key)
        except ListeningError as error:
            raise OutcomeUnknown(f"The answer may have arrived. {error}") from error
        if isinstance(standing, Sent):
            return standing
        raise meaning

    # -- what was deleted

    def still_there(self, external_ids: Sequence[str]) -> Mapping[str, bool]:
        """For each post whether it is still public. Raises Transient, Terminal.

        A post that Bluesky does not show may only be blocked. It counts as gone when its record is gone too.
        """
        asked = [one for one in dict.fromkeys(external_ids) if (place := _place(one)) and place.collection == POST]
        there: dict[str, bool] = {}
        for start in range(0, len(asked), POSTS_PER_CHECK):
            some = asked[start : start + POSTS_PER_CHECK]
            shown = {view.get("uri") for view in self._views(some)}
            for uri in some:
                if uri in shown:
                    there[uri] = True
                elif self._is_gone(uri):
                    there[uri] = False
        return there

    def _is_gone(self, uri: str) -> bool:
        """False also where Bluesky does not say: one odd address must not keep the others from being asked about."""
        place = _place(uri)
        try:
            return place is not None and self._record(place) is None
        except Terminal:
            return False

    def _views(self, uris: Sequence[str]) -> list[dict[str, Any]]:
        """Post views of those that Bluesky shows, at most 25 asked for. Raises Transient, Terminal."""
        response = self._query("app.bsky.feed.getPosts", models.AppBskyFeedGetPosts.Params(uris=list(uris)))
        views = as_dict(response.content).get("posts")
        if not isinstance(views, list):
            raise Transient("Bluesky sent an answer without posts in it.")
        return [view for view in views if isinstance(view, dict) and view.get("uri") in uris]

    def _record(self, place: _Place) -> dict[str, Any] | None:
        """A record as {uri, cid, value}; None where it or its repository is not there. Raises Transient, Terminal."""
        params = models.ComAtprotoRepoGetRecord.Params(repo=place.repo, collection=place.collection, rkey=place.rkey)
        try:
            response = self._ask_for("com.atproto.repo.getRecord", params)
        except _ATPROTO_ERRORS as error:
            name, words = _said(error)
            # A closed account has no name of its own among the errors, only words.
            if name == "RecordNotFound" or (_status(error) == 400 and words.startswith("Could not find repo")):
                return None
            raise _meaning(error) from error
        if not isinstance(response.content, dict) or not isinstance(response.content.get("value"), dict):
            raise Transient("Bluesky sent an answer without a record in it.")
        return response.content

    # -- the session

    def _query(self, method: str, params: Any) -> Response:
        """Raises Transient, Terminal."""
        try:
            return self._ask_for(method, params)
        except _ATPROTO_ERRORS as error:
            raise _meaning(error) from error

    def _ask_for(self, method: str, params: Any) -> Response:
        """Raises Transient and Terminal of signing in, else one of _ATPROTO_ERRORS."""
        return self._with_session(lambda client: client.invoke_query(method, params=params))

    def _procedure(self, method: str, data: dict[str, Any]) -> Response:
        """Raises as `_ask_for`."""
        body = json.dumps(data).encode()
        return self._with_session(
            lambda client: client.invoke_procedure(method, content=body, input_encoding="application/json")
        )

    def _who(self) -> tuple[str, str]:
        """Our DID and handle; the DID twice where the handle leads nowhere."""
        session = self._signed_in()._session
        if session is None or not re.fullmatch(_DID, session.did):
            raise Transient("Bluesky sent a session without an account in it.")
        return session.did, session.handle if _is_handle(session.handle) else session.did

    def _with_session(self, do: Callable[[Client], T]) -> T:
        """Signs in where that is needed, and once more where the session was ended at Bluesky."""
        client = self._signed_in()
        try:
            return do(client)
        except RequestErrorBase as error:
            if _said(error)[0] not in _TOKEN_GONE:
                raise
            self._forget_session(client)
        return do(self._signed_in())

    def _signed_in(self) -> Client:
        """The client with a session: its own, that of another listener of this account, or a new one."""
        if self._client is not None:
            return self._client
        if not (self._handle and self._password):
            raise Terminal("Bluesky needs an account.", "Enter a handle and an app password.")
        client = Client(self._service, request=_Wire(self._options))
        client.on_session_change(self._keep_session)
        with self._account.lock:
            self._sign_in(client)
        self._client = client
        return client

    def _sign_in(self, client: Client) -> None:
        try:
            if self._account.session is not None:
                client.login(session_string=self._account.session, fetch_bsky_profile=False)
                return
            self._account.note_sign_in()
            client.login(self._handle, self._password, fetch_bsky_profile=False)
        except _ATPROTO_ERRORS as error:
            raise _meaning(error) from error

    def _keep_session(self, event: SessionEvent, session: Session) -> None:
        if event is not SessionEvent.IMPORT:  # that one is the shared one, and may be older by now
            self._account.session = session.export()

    def _forget_session(self, client: Client) -> None:
        with self._account.lock:
            if client._session is not None and self._account.session == client._session.export():
                self._account.session = None
        self.close()


def _sent(did: str, handle: str, rkey: str, record: dict[str, Any]) -> Sent:
    return Sent(
        external_id=f"at://{did}/{POST}/{rkey}",
        url=_web_address(Author(id=did, handle=handle), rkey),
        sent_at=iso_moment(record.get("createdAt")) or datetime.now(UTC),
    )


class _TooNew(Transient):
    """The account was made a moment ago and has no profile yet."""


class _TakenKey(Terminal):
    """The record key of an answer holds another one: somebody used a key twice."""


def _is_sound(feature: dict[str, Any]) -> bool:
    """False for a link that no server takes as one, such as https:///."""
    return "uri" not in feature or _SOUND_LINK.fullmatch(feature["uri"]) is not None
