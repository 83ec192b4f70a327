"""Mastodon: what carries a hashtag, what search finds and what is said to us, answered in its thread, on any instance.

The account's `instance` is asked, or `Options.base_url` in its place. An instance numbers posts for itself, whoever's
they are, so that a post's id here is that number and the instance: 113500000000000001@mastodon.example. Whatever speaks
Mastodon's API (GoToSocial, Akkoma and others) is read the same way.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import regex
from pydantic import ValidationError

from listeners import http, streaming
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
    Kind,
    Mode,
    OAuth,
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
from listeners.plain_text import from_html, one_line
from listeners.streaming import Changed, Event, Gone, Made, Other
from listeners.untrusted import as_dict, as_list, is_count, iso_moment
from listeners.walking import ByTime, Listing, Mark, Token, in_slices, onward, since, sliced, walk

PLATFORM = "mastodon"
TITLE = "Mastodon"

MAX_CHARS = 500
"""Where the instance does not say otherwise."""
PER_LINK = 23
PAGE_SIZE = 40
SEARCH_ENDS = 10_000
"""So many results an instance's index (Elasticsearch) gives of one search."""
POSTS_PER_CHECK = 20
"""So many posts does an instance show at once; 4.3 and later."""
TAGS_OF_A_SORT = 4
"""So many further tags does an instance take."""
OVERLAP = timedelta(minutes=15)
"""Posts are listed by the clock of the instance that they come from, and travel: so much is read again."""
PAGES_OF_OURS = 10
"""So many pages of our own posts are looked through for an answer."""
CLOCKS_APART = timedelta(minutes=5)
SETTLED = 2.0
"""Seconds after which a stream that was asked for certainly runs; the instance does not say so."""
WALK_EVERY = 600.0
"""Seconds between two walks beside an open stream; less than OVERLAP, so that each sees all that the last did not."""

THREADS_A_PAGE = 10
"""So many threads of a page are asked for their first post."""

_first_of: dict[str, str] = {}
"""The first post of the thread of each post that was read lately: it never changes, so that nobody asks twice."""
_FIRSTS_KEPT = 20_000

_LINK = re.compile(r"""https?://[^\s<>"]*[^\s<>".,;:!?'()\[\]{}…]""")
_MENTION = re.compile(r"(?<![=/\w])@([a-z0-9_]++(?:[.-]++[a-z0-9_]++)*+)(@\w++(?:[.-]++\w++)*+)?", re.IGNORECASE)


def length(text: str, per_link: int = PER_LINK) -> int:
    """The text's length as Mastodon counts it: graphemes, a link as 23 and of a mention only the name."""
    named = _MENTION.sub(lambda mention: f"@{mention[1]}", _LINK.sub("x" * per_link, text))
    return sum(1 for _ in regex.finditer(r"\X", named))


def opening(post: Post) -> str:
    """What an answer begins with: Mastodon tells nobody of an answer that does not name them."""
    return f"@{post.author.handle} " if post.author else ""


def seen_by(post: Post) -> str:
    """Who sees an answer, by the mark that the title of a post that was not public begins with."""
    title = post.title or ""
    if title.startswith(_MARKS["direct"]):
        return "seen only by those whom it names"
    return "seen by our followers and whom it names" if title.startswith(_MARKS["private"]) else "in public"


_MARKS = {"direct": "Private mention", "private": "To followers only"}
_SYNTAX = Syntax(
    phrase='"{}"',
    author="from:{}",
    author_names=r"[A-Za-z0-9_]+([.-]+[A-Za-z0-9_]+)*(@[A-Za-z0-9.-]+)?",
    language="language:{}",
    signs="#",
)

CAPABILITY = Capability(
    platform=PLATFORM,
    title=TITLE,
    answering=Answering.API,
    answering_rule=(
        "Any post may be answered. Its author hears of the answer only if it names them, so leave their @name in it."
    ),
    checked_on=date(2026, 11, 22),
    modes=(
        Mode(
            name="hashtag",
            label="Posts with a hashtag",
            query_label="Hashtags",
            help="Such as #acme. Of several, any is enough; -#tag leaves posts out.",
            reach=Reach("Each instance gives what it has itself seen of the network, back to its beginning."),
        ),
        Mode(
            name="search",
            label="Posts found by search",
            query_label="Words to search for",
            help="In the text. Finds only those who let themselves be found. Needs an access token.",
            syntax=_SYNTAX,
            reach=Reach("Each instance gives what its search finds, back to its beginning."),
        ),
        Mode(
            name="notifications",
            label="Said to our account",
            query_label="",
            help="Mentions of the account, replies to it and quotes of it, private ones too. Needs an access token.",
            reach=Reach("Mastodon gives the account's notifications for as long as the instance keeps them."),
        ),
        Mode(
            name="stream",
            label="Posts with a hashtag, as they are made",
            query_label="Hashtags",
            help="As 'Posts with a hashtag', within a second or two. Needs an access token.",
            streams=True,
        ),
        Mode(
            name="notifications_stream",
            label="Said to our account, as it is said",
            query_label="",
            help="As 'Said to our account', within a second or two. Needs an access token.",
            streams=True,
        ),
    ),
    max_chars=MAX_CHARS,
    length=length,
    counted_in="characters as Mastodon counts them (a link 23, a mention without its server)",
    opening=opening,
    seen_by=seen_by,
    editable=True,
    deletable=True,
    credentials=(
        CredentialField("instance", "Instance", secret=False, help="Where the account lives, such as mastodon.social."),
        CredentialField(
            "token",
            "Access token",
            help=(
                "On your instance: Preferences, Development, New application, with read and write:statuses; "
                "then open it and copy 'Your access token'."
            ),
            required=False,
        ),
    ),
    guide=(
        "Sign in to your **instance** in a browser and open *Preferences*, *Development*, *New application*.",
        "Name it *Samtal*, choose the scopes *read* and *write:statuses*, leave the rest, and submit.",
        "Open the new application and copy *Your access token* here.",
    ),
    oauth=OAuth(
        authorize_url="/oauth/authorize",
        token_url="/oauth/token",
        scopes=("read", "write:statuses"),
        asks=("instance",),
        access="token",
        site=lambda account: _address(account["instance"]),
        register_path="/api/v1/apps",
    ),
    key_needed=True,
    limits="300 requests in 5 minutes per account, 300 answers in 3 hours, 30 deletions in 30 minutes.",
    search_syntax='words, "a phrase", -without, from:user, before:, after:, language:en, has:media, is:reply',
    trainable=False,
    poll_every=timedelta(minutes=1),
    recheck_every=timedelta(hours=6),
    find_lag=timedelta(minutes=1),
    duties="What its author deletes is deleted here too. The instance's rules apply; many forbid training on posts.",
)


def open(account: Mapping[str, str], options: Options) -> Mastodon:
    """A listener for one account (`instance`, and a `token` for all but hashtags). Asks no network. Raises Terminal."""
    return Mastodon(account, options)


# --- From the wire to posts ----------------------------------------------------------------------------------------

_NUMBER = r"[A-Za-z0-9]{1,64}"
_HOST = r"[^\s/@?#\\]{1,253}"
_ID = re.compile(rf"({_NUMBER})@({_HOST})")
_NAME = re.compile(rf"[^\s@/]{{1,100}}(@{_HOST})?")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,3}")
_COUNTS = {
    "replies": "replies_count",
    "boosts": "reblogs_count",
    "favourites": "favourites_count",
    "quotes": "quotes_count",
}
_FOR_ALL = ("public", "unlisted")
_FOR_SOME = ("private", "direct")
_SAID_TO_US = ("mention", "quote")
_MAX_NAMED = 100


class NoPost(Exception):
    """Why an item of an answer is no post, in words."""


def post_of(status: object, home: str) -> Post:
    """One status, as the instance `home` (a host) shows it. Raises NoPost, ValidationError."""
    view = as_dict(status)
    if view.get("reblog") is not None:
        raise NoPost("is a boost, without words of its own")
    number, content, posted_at = view.get("id"), view.get("content"), iso_moment(view.get("created_at"))
    if not _is_number(number):
        raise NoPost("has no id")
    if not isinstance(content, str):
        raise NoPost("has no text")
    if posted_at is None:
        raise NoPost("has no date")
    above, quoted = view.get("in_reply_to_id"), _quoted(view)
    parent = f"{above}@{home}" if _is_number(above) else None
    return Post(
        platform=PLATFORM,
        external_id=f"{number}@{home}",
        url=_web_address(view.get("url")) or _web_address(view.get("uri")),
        author=_author(view.get("account"), home),
        title=_warning(view),
        text=from_html(content) or _described(view),
        lang=_language(view.get("language")),
        posted_at=posted_at,
        edited_at=iso_moment(view.get("edited_at")),
        parent_id=parent,
        root_id=parent,  # which post the thread began with is told apart; see `Mastodon._rooted`
        mentions=_mentioned(view, home),
        quotes_id=f"{quoted['id']}@{home}" if quoted else None,
        quotes_author_id=_name(quoted.get("account"), home) if quoted else None,
        engagement={name: view[theirs] for name, theirs in _COUNTS.items() if is_count(view.get(theirs), 2**63)},
        kind=Kind.COMMENT if parent else Kind.POST,
    )


def post_or_rejected(where: str, status: object, home: str) -> Post | Rejected:
    """One status, or why it is no post. Never raises."""
    try:
        return post_of(status, home)
    except NoPost as error:
        return Rejected(where, str(error))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        return Rejected(where, f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}")


def _read(answer: object, home: str) -> list[Post | Rejected]:
    """Posts out of one decoded answer, each once. Raises Terminal where it is none that Mastodon gives."""
    return list(_each_once(post_or_rejected(where, status, home) for where, status in _statuses(answer)))


def _statuses(answer: object) -> Iterator[tuple[str, object]]:
    """The statuses that are for us, each with where it stood: what is public, and whatever was said to us."""
    body = as_dict(answer)
    if isinstance(answer, list):
        items = [(f"item {n}", item) for n, item in enumerate(answer, start=1)]
    elif isinstance(body.get("statuses"), list):
        items = [(f"statuses[{n}]", item) for n, item in enumerate(body["statuses"])]
    elif isinstance(body.get("ancestors"), list) and isinstance(body.get("descendants"), list):
        items = [(part, item) for part in ("ancestors", "descendants") for item in body[part]]
    elif "account" in body and "created_at" in body:
        items = [("status", answer)]
    else:
        raise Terminal(
            "This is no answer of Mastodon with posts in it.",
            "Give one answer of a timeline, a search, the notifications, a status or its context.",
        )
    for where, item in items:
        if "type" in as_dict(item):
            if _is_said_to_us(item):
                yield where, as_dict(item).get("status")
        elif _is_public(item):
            yield where, item


def _is_said_to_us(notification: Any) -> bool:
    """False for what carries no words to us, such as a favourite. A malformed one is left to be rejected."""
    kind = notification["type"]
    return not isinstance(kind, str) or kind in _SAID_TO_US


def _is_public(status: object) -> bool:
    """False for what its author showed to some only. A malformed one is left to be rejected."""
    visibility = as_dict(status).get("visibility")
    return not isinstance(visibility, str) or visibility in _FOR_ALL


def _each_once(found: Iterable[Post | Rejected]) -> Iterator[Post | Rejected]:
    """A reply that also quotes us is notified twice."""
    seen: set[str] = set()
    for item in found:
        if isinstance(item, Post):
            if item.external_id in seen:
                continue
            seen.add(item.external_id)
        yield item


def _is_number(value: object) -> bool:
    """Whether it is an instance's id for a post; Mastodon's are digits, those of others letters too."""
    return isinstance(value, str) and re.fullmatch(_NUMBER, value) is not None


def _web_address(value: object) -> str | None:
    fits = isinstance(value, str) and len(value) <= 2_000 and value.lower().startswith(("http://", "https://"))
    return str(value) if fits else None


def _author(value: object, home: str) -> Author:
    account, handle = as_dict(value), _handle(value, home)
    if handle is None:
        raise NoPost("has no author")
    name, followers = account.get("display_name"), account.get("followers_count")
    return Author(
        id=handle.lower(),
        handle=handle,
        display_name=name[:640] if isinstance(name, str) and name.strip() else None,
        followers=followers if is_count(followers, 2**31) else None,
    )


def _handle(account: object, home: str) -> str | None:
    """The account's name in full; the instance leaves its own host out of the names of its own people."""
    name = as_dict(account).get("acct")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return None
    return name if "@" in name else f"{name}@{home}"


def _name(account: object, home: str) -> str | None:
    """The account's id as `Author.id` has it."""
    handle = _handle(account, home)
    return handle.lower() if handle else None


def _mentioned(view: dict[str, Any], home: str) -> tuple[str, ...]:
    names = [_name(one, home) for one in as_list(view.get("mentions"))]
    return tuple(dict.fromkeys(name for name in names if name))[:_MAX_NAMED]


def _warning(view: dict[str, Any]) -> str | None:
    """The content warning. A post that was shown to some only says so here, for whoever is about to answer it."""
    said = view.get("spoiler_text")
    warning = one_line(said, 1_000) if isinstance(said, str) else ""
    private = _MARKS.get(str(view.get("visibility")))
    if warning.startswith(tuple(_MARKS.values())):  # nobody may make a public post look as if it were private
        warning = f"Warning: {warning}"
    return " · ".join(part for part in (private, warning) if part) or None


def _described(view: dict[str, Any]) -> str:
    """What stands for words in a post of pictures alone: their descriptions."""
    said = [as_dict(one).get("description") for one in as_list(view.get("media_attachments"))]
    return "\n\n".join(one.strip() for one in said if isinstance(one, str) and one.strip())


def _language(value: object) -> str | None:
    return value if isinstance(value, str) and _LANGUAGE.fullmatch(value) else None


def _quoted(view: dict[str, Any]) -> dict[str, Any] | None:
    """The post inside, since 4.4; None where its author withdrew it."""
    inside = as_dict(as_dict(view.get("quote")).get("quoted_status"))
    return inside if _is_number(inside.get("id")) else None


# --- What is asked for ---------------------------------------------------------------------------------------------

_TAG = re.compile(r"\w{1,100}")


def _address(instance: str) -> str:
    """The address of what people enter: mastodon.example, https://mastodon.example/about or @acme@mastodon.example."""
    said = instance.strip()
    if not said.lower().startswith(("http://", "https://")):
        said = "https://" + said.rpartition("@")[2]
    try:
        parts = urlsplit(said)
        host = parts.netloc.lower()
    except ValueError:
        host = ""
    if not re.fullmatch(_HOST, host):
        raise Terminal(f"{instance[:80]!r} is no Mastodon instance.", "Enter its address, such as mastodon.social.")
    return f"{parts.scheme}://{host}"


def _tags(query: str) -> tuple[str, list[tuple[str, str]]]:
    """The first tag, and the parameters for the others. Raises Terminal where there is none, or too many."""
    wanted: list[str] = []
    unwanted: list[str] = []
    for word in query.replace(",", " ").split():
        tag = word.lstrip("-").removeprefix("#")
        if not _TAG.fullmatch(tag):
            raise Terminal(f"{word[:40]!r} is no hashtag.", "Write hashtags as #acme, letters and digits only.")
        (unwanted if word.startswith("-") else wanted).append(tag)
    if not wanted:
        raise Terminal("There is no hashtag to listen to.", "Enter one, such as #acme.")
    first, *others = wanted
    if max(len(others), len(unwanted)) > TAGS_OF_A_SORT:
        raise Terminal(
            f"Mastodon takes {1 + TAGS_OF_A_SORT} hashtags in one search and leaves out {TAGS_OF_A_SORT}.",
            "Make a second source of the others.",
        )
    return first, [("any[]", tag) for tag in others] + [("none[]", tag) for tag in unwanted]


_ALSO_STREAMED = {"stream": "hashtag", "notifications_stream": "notifications"}
"""The modes that are streamed, and what a walk of each reads."""


def _subscriptions(query: Query) -> list[dict[str, str]]:
    """What the stream is asked for. Raises Terminal as `_tags` does."""
    if query.mode == "notifications_stream":
        return [{"stream": "user:notification"}]
    first, others = _tags(clean(query.text))
    tags = [first, *(tag for name, tag in others if name == "any[]")]
    return [{"stream": "hashtag", "tag": tag} for tag in tags]


def _left_out(query: Query) -> set[str]:
    """The tags that leave a post out; a timeline is asked without them, a stream cannot be."""
    if query.mode == "notifications_stream":
        return set()
    return {tag.lower() for name, tag in _tags(clean(query.text))[1] if name == "none[]"}


def _or_after(seconds: float, stop: Callable[[], bool]) -> Callable[[], bool]:
    until = time.monotonic() + seconds
    return lambda: stop() or time.monotonic() >= until


class _Live:
    """Reads the messages of a stream; see `streaming.Reader`. The walk's mark moves with what they tell."""

    def __init__(self, home: str, cursor: Cursor, query: Query) -> None:
        """Raises Terminal as `_tags` does."""
        self._home = home
        self._to_us = query.mode == "notifications_stream"
        self._left_out = _left_out(query)
        self.cursor = cursor

    def read(self, message: str | bytes) -> Iterator[Event]:
        """See `streaming.Reader`."""
        try:
            told = json.loads(message)
            payload = told.get("payload") if isinstance(told, dict) else None
            if isinstance(payload, str) and told.get("event") != "delete":
                payload = json.loads(payload)
        except (ValueError, RecursionError):
            yield Rejected("event", "is no JSON, or breaks off")
            return
        if not isinstance(told, dict):
            yield Rejected("event", "is no event")
            return
        if "error" in told:
            _refused_stream(told)
        kind = told.get("event")
        if kind == "delete" and _is_number(payload):
            yield Gone(f"{payload}@{self._home}")
        elif kind in ("update", "status.update") and not self._to_us and _is_public(payload):
            yield self._said(payload, changed=kind == "status.update")
        elif kind == "notification" and self._to_us and _is_said_to_us({"type": None, **as_dict(payload)}):
            yield self._told_us(as_dict(payload))

    def _said(self, status: object, *, changed: bool) -> Event:
        post = post_or_rejected("event", status, self._home)
        if isinstance(post, Rejected):
            return post
        tags = {str(as_dict(tag).get("name")).lower() for tag in as_list(as_dict(status).get("tags"))}
        meant = not tags & self._left_out
        if changed:
            return Changed(post, meant)
        by = ByTime(OVERLAP)
        self.cursor = onward(self.cursor, by.mark([post]), by)
        return Made(post) if meant else Other()

    def _told_us(self, notification: dict[str, Any]) -> Event:
        post = post_or_rejected("event", notification.get("status"), self._home)
        if isinstance(post, Rejected):
            return post
        if _is_number(number := notification.get("id")):
            self.cursor = onward(self.cursor, {"key": _arrived(str(number))}, _ByArrival())
        return Made(post)


def _refused_stream(told: dict[str, Any]) -> None:
    """Raises what an error within the stream means."""
    said, status = clean(str(told.get("error")))[:200], told.get("status")
    if isinstance(status, int) and 400 <= status < 500 and status != 429:
        raise Terminal(f"Mastodon does not stream this: {said}.", "Check the hashtags, and what the token may read.")
    raise Transient(f"Mastodon ended the stream: {said}.")


def _arrived(number: str) -> list[Any]:
    """What notifications are ordered by: later ones have higher numbers."""
    return [len(number), number]


@dataclass(frozen=True, slots=True)
class _ByArrival:
    """By the order in which notifications reached us, and first of all by time, down to a moment of `LooksBack`."""

    arrived: dict[str, list[Any]] = field(default_factory=dict)
    """By post."""

    def mark(self, posts: Sequence[Post]) -> Mark | None:
        return {"key": max(map(self._key, posts))} if posts else None

    def newer(self, one: Mark | None, other: Mark | None) -> Mark | None:
        keys = [mark for mark in (one, other) if mark and "key" in mark]
        return max(keys, key=lambda mark: mark["key"]) if keys else one or other

    def reached(self, post: Post, mark: Mark) -> bool:
        return self._key(post) <= mark["key"] if "key" in mark else ByTime(OVERLAP).reached(post, mark)

    def _key(self, post: Post) -> list[Any]:
        return self.arrived.get(post.external_id, [0, ""])


def _page(token: Token) -> list[tuple[str, str]]:
    """The parameters for one page of a listing; a token is what `_next_max_id` gave."""
    return [("limit", str(PAGE_SIZE)), *([("max_id", str(token))] if token else [])]


def _next_max_id(link: str) -> str | None:
    """Where a listing goes on, out of its Link header."""
    for address, relation in re.findall(r'<([^>]{1,4000})>\s*;\s*rel="?(\w+)', link[:20_000]):
        if relation == "next":
            for max_id in parse_qs(urlsplit(address).query).get("max_id", []):
                return max_id if re.fullmatch(_NUMBER, max_id) else None
    return None


def _budget(headers: Mapping[str, str], kind: str = "") -> Budget:
    def number(name: str) -> int | None:
        value = headers.get(f"x-ratelimit-{name}", "")
        return int(value) if re.fullmatch(r"[0-9]{1,10}", value) else None

    return Budget(number("remaining"), number("limit"), iso_moment(headers.get("x-ratelimit-reset")), kind)


def _too_many(headers: Mapping[str, str]) -> Transient:
    """Mastodon names the moment when its limit is lifted, and no Retry-After; what stands before it may name one."""
    wait, lifted = http.retry_after(headers), iso_moment(headers.get("x-ratelimit-reset"))
    if wait is None and lifted is not None:
        wait = max(1.0, (lifted - datetime.now(UTC)).total_seconds())
        return Transient(f"Mastodon had too many requests from us (429) until {lifted:%H:%M:%S} UTC.", wait)
    return Transient("Mastodon had too many requests from us (429).", wait)


_LIMITS = ("max_characters", "characters_reserved_per_url")


def _limits(says: Mapping[str, object]) -> tuple[int, int]:
    """How long a post may be and what a link counts, by the instance's names; Mastodon's own where it does not say."""
    most, per_link = (says.get(name) for name in _LIMITS)
    return (
        most if isinstance(most, int) and is_count(most, 10**6) and most else MAX_CHARS,
        per_link if isinstance(per_link, int) and is_count(per_link, 1_000) else PER_LINK,
    )


# --- The listener --------------------------------------------------------------------------------------------------


class Mastodon:
    """Reads, answers and re-checks Mastodon on one instance. See `listeners.base` for what each method promises."""

    def __init__(self, account: Mapping[str, str], options: Options) -> None:
        self._instance = _address(account.get("instance") or options.base_url or "")
        self._home = urlsplit(self._instance).netloc
        self._base = (options.base_url or self._instance).rstrip("/")
        self._token = account.get("token", "").strip()
        if not re.fullmatch(r"[!-~]{0,1000}", self._token):
            raise Terminal("This is no access token: it holds blanks or letters that none has.", "Copy it once more.")
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        self._options = options
        self._client = http.Client(TITLE, options, headers)
        self._limits = _limits(options.limits)
        self._budget = Budget()
        self._me: dict[str, Any] | None = None

    @property
    def capability(self) -> Capability:
        """With the instance's own limits, as far as it was asked for them, now or in an earlier check."""
        most, per_link = self._limits
        if self._limits == (MAX_CHARS, PER_LINK):
            return CAPABILITY
        return replace(CAPABILITY, max_chars=most, length=lambda text: length(text, per_link))

    # -- reading

    def check(self) -> Health:
        """Asks the instance for its limits, and with a token who we are. Raises Transient, Terminal."""
        self._ask_for_limits()
        if not self._token:
            return Health(True, f"{self._home} answers. Without an access token only hashtags can be read.")
        account = _author(self._who(), self._home)
        words = f"Signed in as @{account.handle}; a post takes {self._limits[0]:,} characters."
        return Health(True, words, account, limits=dict(zip(_LIMITS, self._limits, strict=True)))

    def fetch(self, query: Query, cursor: Cursor) -> Iterator[Page]:
        """Pages of posts newest first, above the cursor's mark. Raises Transient, Terminal."""
        mode, words = query.mode or CAPABILITY.default_mode, clean(query.text).strip()
        mode = _ALSO_STREAMED.get(mode, mode)
        if mode == "hashtag":
            tag, others = _tags(words)
            path = f"/v1/timelines/tag/{quote(tag, safe='')}"
            return walk(lambda token: self._timeline(path, others, token), cursor, order=ByTime(OVERLAP))
        if mode not in ("search", "notifications"):
            raise Terminal(f"Mastodon has no mode {mode[:40]!r}.", "Choose hashtag, search or notifications.")
        if not self._token:
            raise Terminal("Mastodon shows this only to an account.", "Enter an access token in the account.")
        if mode == "notifications":
            return self._said_to_us(cursor)
        if not words:
            raise Terminal("There is nothing to search for.", "Enter the words to search for.")
        return walk(sliced(lambda before, token: self._found(words, before, token)), cursor, order=ByTime(OVERLAP))

    def since(self, query: Query, moment: datetime) -> Cursor:
        """See `LooksBack`."""
        return in_slices(moment) if query.mode == "search" else since(moment)

    def stream(self, query: Query, cursor: Cursor, *, stop: Callable[[], bool]) -> Iterator[Page]:
        """What `fetch` gives, as it happens, with what was deleted meanwhile. Raises Transient, Terminal.

        The stream has no memory, so the timeline fills the holes: it is walked from the mark once the stream is open,
        a moment later, when it certainly is, and from time to time, since an instance may fail to stream a post.
        """
        if query.mode not in _ALSO_STREAMED:
            raise Terminal(f"Mastodon does not stream {query.mode[:40]!r}.", "Choose stream or notifications_stream.")
        if not self._token:
            raise Terminal("Mastodon streams to an account only.", "Enter an access token in the account.")
        reader = _Live(self._home, cursor, query)
        address = f"{self._streaming_address()}/api/v1/streaming"
        headers = {"Authorization": f"Bearer {self._token}"}
        with streaming.Socket(TITLE, address, self._options, headers) as connection:
            for wanted in _subscriptions(query):
                connection.send(json.dumps({"type": "subscribe", **wanted}))
            wait = SETTLED
            while not stop():
                for page in self.fetch(query, reader.cursor):
                    reader.cursor = page.cursor
                    yield page
                    if stop():
                        return
                yield from streaming.pages(connection, reader, _or_after(wait, stop))
                wait = WALK_EVERY

    def _streaming_address(self) -> str:
        """Where the instance streams: often on a host of its own, which it names."""
        named = ""
        if self._options.base_url is None:
            answer = self._get("/v2/instance", fine=(404,))
            told = as_dict(answer.json()) if answer.status == 200 else {}
            urls = as_dict(as_dict(told.get("configuration")).get("urls"))
            named = str(urls.get("streaming") or "")
        plain_too = "?" if self._base.startswith("http:") else ""  # a token that travels sealed goes nowhere in clear
        if not re.fullmatch(rf"wss{plain_too}://{_HOST}", named.rstrip("/")):
            named = re.sub("^http", "ws", self._base)
        return named.rstrip("/")

    def parse(self, answer: bytes) -> list[Post | Rejected]:
        """Posts of one answer of a timeline, a search, the notifications, a status or its context. Raises Terminal."""
        try:
            decoded = json.loads(answer)
        except (ValueError, RecursionError) as error:
            raise Terminal("This is no JSON, or it breaks off.", "Give one answer as it came over the wire.") from error
        return _read(decoded, self._home)

    def _timeline(self, path: str, params: Sequence[tuple[str, str]], token: Token) -> Listing:
        answer = self._get(path, [*params, *_page(token)])
        return self._listing(answer, answer.json(), _next_max_id(answer.headers.get("link", "")))

    def _found(self, words: str, before: datetime | None, token: Token) -> Listing:
        """A page of search, which goes on by offset: newer versions read a max_id as a moment, and lose its fraction.

        So that bounds a slice of time, below which the next one begins: a search ends after SEARCH_ENDS. A post that
        comes meanwhile moves the others down, so that some are read again and none is missed. What the account has
        muted is taken out of a page, which therefore may be short, and only an empty one is the last.
        """
        offset = token or 0
        below = offset + PAGE_SIZE if offset + 2 * PAGE_SIZE <= SEARCH_ENDS else None
        params = {"q": words, "type": "statuses", "limit": str(PAGE_SIZE), "offset": str(offset)}
        if before is not None:
            params["max_id"] = str(int(before.timestamp() * 1_000) << 16)
        answer = self._get("/v2/search", list(params.items()))
        body = answer.json()
        return self._listing(answer, body, below if as_list(as_dict(body).get("statuses")) else None)

    def _said_to_us(self, cursor: Cursor) -> Iterator[Page]:
        """By the order in which they reached us: a post that was long on its way is new all the same."""
        order = _ByArrival()
        arrived = order.arrived

        def page_at(token: Token) -> Listing:
            params = [("types[]", kind) for kind in _SAID_TO_US]
            answer = self._get("/v1/notifications", [*params, *_page(token)])
            body = answer.json()
            for item in map(as_dict, as_list(body)):
                number, post_id = item.get("id"), f"{as_dict(item.get('status')).get('id')}@{self._home}"
                if isinstance(number, str) and _is_number(number):
                    arrived[post_id] = max(arrived.get(post_id, [0, ""]), _arrived(number))
            return self._listing(answer, body, _next_max_id(answer.headers.get("link", "")))

        return walk(page_at, cursor, order=order)

    def _listing(self, answer: http.Answer, body: object, next_token: Token) -> Listing:
        try:
            found = _read(body, self._home)
        except Terminal as error:
            raise Transient("Mastodon sent an answer without posts in it.") from error
        posts = self._rooted([item for item in found if isinstance(item, Post)])
        rejected = [item for item in found if isinstance(item, Rejected)]
        return Listing(posts, rejected=rejected, next_token=next_token, budget=self._budget)

    def _rooted(self, posts: list[Post]) -> list[Post]:
        """The posts with the first of their thread, which an instance tells apart: it is asked once for each thread.

        Threads beyond THREADS_A_PAGE are known by what is answered, as all are in a stream; the store joins those that
        it has the parts of.
        """
        if len(_first_of) > _FIRSTS_KEPT:
            _first_of.clear()
        asked = 0
        for post in sorted(posts, key=lambda post: (post.posted_at, post.external_id)):
            if post.external_id in _first_of:
                continue
            if post.parent_id is None:
                _first_of[post.external_id] = post.external_id
            elif post.parent_id in _first_of:
                _first_of[post.external_id] = _first_of[post.parent_id]
            elif asked < THREADS_A_PAGE:
                asked += 1
                _first_of[post.external_id] = self._first_above(post.external_id.partition("@")[0]) or post.parent_id
        return [
            post.model_copy(update={"root_id": _first_of.get(post.external_id, post.parent_id)})
            if post.parent_id
            else post
            for post in posts
        ]

    def _first_above(self, number: str) -> str | None:
        """The id of the first post of a thread, of any post below it; None where it is not shown."""
        answer = self._get(f"/v1/statuses/{number}/context", fine=(403, 404, 410))
        above = as_list(as_dict(answer.json()).get("ancestors")) if answer.status == 200 else []
        first = as_dict(above[0]) if above else {}
        begins = _is_number(first.get("id")) and first.get("in_reply_to_id") is None
        return f"{first['id']}@{self._home}" if begins else None

    # -- answering

    def may_answer(self, post: Post) -> Verdict:
        """Asks no network: what has been deleted since, or is hidden by a block, is found out on sending."""
        match = _ID.fullmatch(post.external_id)
        if post.platform != PLATFORM or match is None:
            return Verdict(False, "This is no post on Mastodon.")
        if match[2] != self._home:
            return Verdict(False, f"It was seen on {match[2]}, and this account lives on {self._home}.")
        if not self._token:
            return Verdict(False, "Answering on Mastodon needs an access token.")
        return Verdict(True, CAPABILITY.answering_rule)

    def answer(self, post: Post, text: str, key: str) -> Sent:
        """Posts `text` as it stands below `post`, to those who may see `post` and no others.

        An instance keeps the key for an hour and gives back what was posted with it. Raises Transient or Terminal where
        it is certain that nothing was posted by this call, else OutcomeUnknown.
        """
        number = self._number_of(post)
        text = self._checked(text)
        status = self._status(number)
        if status is None:
            raise Terminal("The post cannot be seen: it was deleted, or a block is in the way.", "Close it unanswered.")
        visibility = status.get("visibility")
        if visibility not in _FOR_ALL:
            visibility = "private" if visibility == "private" else "direct"
            self._require_its_author_named(status, text)
        body = {"status": text, "in_reply_to_id": number, "visibility": visibility}
        digest = hashlib.sha256(b"samtal answer\0" + key.encode("utf-8", "surrogatepass")).hexdigest()
        answer = self._send("POST", "/v1/statuses", json=body, headers={"Idempotency-Key": digest})
        budget = _budget(answer.headers, CAPABILITY.answers_spend)  # 300 posts in 3 hours, apart from all else
        return replace(self._standing(answer.json(sending=True), number), budget=budget)

    def find(self, post: Post, text: str, key: str, since: datetime) -> Sent | Absent | CannotTell:
        """Looks through our own posts since then, by the words as they were sent. Raises Transient, Terminal."""
        number = self._number_of(post)
        ours = self._ours_since(since)
        if ours is None:
            return CannotTell("The account has posted so much since that the answer may lie deeper than we look.")
        below = [status for status in ours if status.get("in_reply_to_id") == number]
        for status in below:
            if self._says(status, text):
                return self._standing(status, number)
        return CannotTell("An answer of ours with other words stands below this post.") if below else Absent()

    def delete(self, external_id: str) -> None:
        """Deletes an answer of ours; one that is gone already stays so. Raises Transient, Terminal, OutcomeUnknown."""
        match = _ID.fullmatch(external_id)
        if match is None or match[2] != self._home:
            raise Terminal("This is no post of our account.", "Delete it on Mastodon.")
        self._send("DELETE", f"/v1/statuses/{match[1]}", fine=(404,))

    def _number_of(self, post: Post) -> str:
        """The post's number on our instance. Raises Terminal where it may not be answered."""
        verdict = self.may_answer(post)
        if not verdict.allowed:
            raise Terminal(verdict.reason, "Answer it on Mastodon itself.")
        return post.external_id.partition("@")[0]

    def _checked(self, text: str) -> str:
        """The text as it can be posted. Raises Terminal for one that the instance would refuse."""
        text = clean(text).strip()
        if not text:
            raise Terminal("The answer is empty.", "Write something.")
        self._ask_for_limits()
        most, per_link = self._limits
        if (size := length(text, per_link)) > most:
            raise Terminal(f"The answer counts {size}; {self._home} takes {most}.", "Shorten it.")
        return text

    def _require_its_author_named(self, status: dict[str, Any], text: str) -> None:
        """An answer in private reaches those whom it names. Raises Terminal where that leaves out the author."""
        author = _name(status.get("account"), self._home)
        named = {f"{one[1]}{one[2] or '@' + self._home}".lower() for one in _MENTION.finditer(text)}
        if author is None or author not in named:
            raise Terminal(
                "The post was not public, so that the answer reaches only those whom it names, and its author is not "
                "among them.",
                f"Name them in it: @{author}." if author else "Answer it on Mastodon itself.",
            )

    def _standing(self, status: object, number: str) -> Sent:
        """An answer that the instance says stands below the post of that number. Raises OutcomeUnknown."""
        view = as_dict(status)
        if not _is_number(view.get("id")) or view.get("in_reply_to_id") != number:
            raise OutcomeUnknown("Mastodon took the answer and did not say where it stands.")
        sent_at = iso_moment(view.get("created_at")) or datetime.now(UTC)
        return Sent(f"{view['id']}@{self._home}", _web_address(view.get("url")), sent_at)

    def _ours_since(self, since: datetime) -> list[dict[str, Any]] | None:
        """Our own posts since then; None where there are too many of them."""
        ours: list[dict[str, Any]] = []
        path, token = f"/v1/accounts/{self._who()['id']}/statuses", None
        for _ in range(PAGES_OF_OURS):
            answer = self._get(path, [("exclude_reblogs", "true"), *_page(token)])
            body = answer.json()
            if not isinstance(body, list):
                raise Transient("Mastodon sent an answer without posts in it.")
            made_since = [status for status in map(as_dict, body) if _is_since(status, since)]
            ours += made_since
            token = _next_max_id(answer.headers.get("link", ""))
            if token is None or not made_since:
                return ours
        return None

    def _says(self, status: dict[str, Any], text: str) -> bool:
        """Whether our post has these words: as they were sent where the instance tells, else as they are shown."""
        answer = self._get(f"/v1/statuses/{status.get('id')}/source", fine=(403, 404))
        source = as_dict(answer.json()).get("text") if answer.status == 200 else None
        if isinstance(source, str):
            return clean(source).strip() == clean(text).strip()
        shown = status.get("content")
        return isinstance(shown, str) and _as_shown(from_html(shown)) == _as_shown(text)

    # -- what was deleted

    def still_there(self, external_ids: Sequence[str]) -> Mapping[str, bool]:
        """Whether we may still see these. Raises Transient, Terminal."""
        return {one: told is not False for one, told in self.as_they_are(external_ids).items()}

    def as_they_are(self, external_ids: Sequence[str]) -> Mapping[str, Post | bool]:
        """For each post of this instance, twenty at a time where it can. Raises Transient, Terminal."""
        found = [_ID.fullmatch(one) for one in dict.fromkeys(external_ids)]
        numbers = [match[1] for match in found if match and match[2] == self._home]
        told: dict[str, Post | bool] = {}
        for start in range(0, len(numbers), POSTS_PER_CHECK):
            some = numbers[start : start + POSTS_PER_CHECK]
            shown = self._shown(some)
            for number in some:
                status = shown.get(number) or self._status(number)
                read = post_or_rejected(number, status, self._home) if status else None
                told[f"{number}@{self._home}"] = read if isinstance(read, Post) else read is not None
        return told

    def _shown(self, numbers: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Those of at most 20 posts that the instance shows; before 4.3 it shows none in this way."""
        answer = self._get("/v1/statuses", [("id[]", number) for number in numbers], fine=(400, 404, 405, 422))
        body = answer.json() if answer.status == 200 else []
        return {str(status.get("id")): status for status in map(as_dict, as_list(body))}

    def _status(self, number: str) -> dict[str, Any] | None:
        """A post; None where it is gone, or not for us to see. Raises Transient, Terminal."""
        answer = self._get(f"/v1/statuses/{number}", fine=(404, 410))
        if answer.status != 200:
            return None
        body = answer.json()
        if not isinstance(body, dict) or body.get("id") != number:
            raise Transient("Mastodon sent something else than the post that was asked for.")
        return body

    # -- the wire

    def _ask_for_limits(self) -> None:
        """How long a post may be here. Mastodon before 4, and others that speak its API, say so in the older place."""
        answer = self._get("/v2/instance", fine=(404,))
        if answer.status == 404:
            answer = self._get("/v1/instance", fine=(404,))
        if answer.status == 200:
            instance = as_dict(answer.json())
            says = as_dict(as_dict(instance.get("configuration")).get("statuses"))
            self._limits = _limits({"max_characters": instance.get("max_toot_chars"), **says})

    def _who(self) -> dict[str, Any]:
        """Our own account, asked for once."""
        if self._me is None:
            body = self._get("/v1/accounts/verify_credentials").json()
            if not _is_number(as_dict(body).get("id")) or _handle(body, self._home) is None:
                raise Transient("Mastodon did not say whose access token this is.")
            self._me = body
        return as_dict(self._me)

    def _get(self, path: str, params: Sequence[tuple[str, str]] = (), fine: tuple[int, ...] = ()) -> http.Answer:
        url = f"{self._base}/api{path}" + (f"?{urlencode(params)}" if params else "")
        answer = self._judged(self._client.get(url, fine=(401, 429, *fine)))
        self._budget = _budget(answer.headers)
        return answer

    def _send(self, method: str, path: str, fine: tuple[int, ...] = (), **request: Any) -> http.Answer:
        answer = self._client.send(method, f"{self._base}/api{path}", fine=(429, *fine), **request)
        return self._judged(answer)

    def _judged(self, answer: http.Answer) -> http.Answer:
        """The answer. Raises what 401 and 429 mean on Mastodon."""
        if answer.status == 429:
            raise _too_many(answer.headers)
        if answer.status == 401 and not self._token:
            raise Terminal(f"{self._home} shows this only to those who are signed in (401).", "Enter an access token.")
        if answer.status == 401:
            raise http.refused(TITLE, 401, answer.headers, answer.body)
        return answer


def _is_since(status: dict[str, Any], since: datetime) -> bool:
    """Whether a post of ours may have been made since then: the instance's clock is not ours. True where unknown."""
    made = iso_moment(status.get("created_at"))
    return made is None or made >= since - CLOCKS_APART


def _as_shown(text: str) -> str:
    """The text without what a page shows otherwise: the servers of mentions, and how blanks lie."""
    return " ".join(_MENTION.sub(lambda mention: f"@{mention[1]}", text).split())
