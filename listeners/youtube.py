"""YouTube: comments and replies on a channel's videos, on named ones or on our own, answered below them.

Threads are listed by when they began, newest first, and a late reply moves nothing. Every run therefore reads what
began since the last one, and once a day everything of the last 30 days: late replies are found then, edits are seen,
and what is kept is refreshed, as YouTube wants it. YouTube counts units a day and sends no headers about it, so they
are counted here, as far as this process has spent them.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from listeners import http
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
    OAuth,
    Options,
    OutcomeUnknown,
    Page,
    Post,
    Query,
    Reach,
    Rejected,
    Sent,
    Terminal,
    Transient,
    Verdict,
    clean,
)
from listeners.plain_text import from_html, one_line
from listeners.untrusted import as_dict, as_list, is_count, iso_moment
from listeners.walking import ByTime, Listing, Mark, StaleToken, Token, since, walk

PLATFORM = "youtube"
TITLE = "YouTube"
API = "https://www.googleapis.com"
SIGN_IN = "https://oauth2.googleapis.com"

MAX_CHARS = 10_000
UNITS_A_DAY = 10_000
UNITS_TO_WRITE = 50
PAGE_SIZE = 100
IDS_PER_CHECK = 50
MAX_VIDEOS = 10
OVERLAP = timedelta(hours=1)
"""Read again in every run: a comment that was held for review appears where it was written, not at the top."""
DEEP, DEEP_EVERY = timedelta(days=30), timedelta(days=1)
REPLY_PAGES = 10
THREADS_KEPT = 500
"""So many threads are remembered with their number of replies, so that they are read again only when it changes."""
CLOCKS_APART = timedelta(minutes=5)
PACIFIC = ZoneInfo("America/Los_Angeles")


def opening(post: Post) -> str:
    """What an answer begins with: a thread has one level, and only a name tells which reply is answered."""
    handle = post.author.handle if post.author and post.parent_id else ""
    return f"{handle} " if handle.startswith("@") else ""


_REACH = Reach("YouTube gives everything, but can be asked for no date: it is read from today down, and spends units.")

CAPABILITY = Capability(
    platform=PLATFORM,
    title=TITLE,
    answering=Answering.API,
    answering_rule="Any comment may be answered where comments are on. A reply stands at the end of its thread.",
    checked_on=date(2026, 11, 22),
    modes=(
        Mode(
            "channel",
            "Comments on a channel's videos",
            "Channel",
            "Such as @acme, or the id that begins with UC.",
            reach=_REACH,
        ),
        Mode("video", "Comments on named videos", "Videos", "Their addresses or ids; at most 10.", reach=_REACH),
        Mode("own", "Comments on our own videos", "", "Needs the account's OAuth credentials.", reach=_REACH),
    ),
    max_chars=MAX_CHARS,
    opening=opening,
    editable=True,
    deletable=True,
    credentials=(
        CredentialField(
            "api_key",
            "API key",
            help="Google Cloud console: APIs and services, Credentials, Create credentials. Enough to listen.",
            required=False,
        ),
        CredentialField(
            "client_id",
            "OAuth client id",
            secret=False,
            help="In the same place: an OAuth client of the type 'Web application'. To answer, with the two below.",
            required=False,
        ),
        CredentialField("client_secret", "OAuth client secret", help="Shown with the client id.", required=False),
        CredentialField(
            "refresh_token",
            "Refresh token",
            help="Of the channel's account, for the scope youtube.force-ssl; YouTube's page in the docs shows how.",
            required=False,
        ),
    ),
    guide=(
        "In the [Google Cloud console](https://console.cloud.google.com) make a project. Under *APIs and services*, "
        "*Library*, switch on **YouTube Data API v3**.",
        "Under *Credentials* choose *Create credentials*, *API key*, and copy the **API key** here. That is enough to "
        "listen.",
        "To answer, describe the app under *OAuth consent screen* and publish it: while it is *in testing*, Google "
        "ends every permission after seven days.",
        "Under *Credentials* choose *Create credentials*, *OAuth client ID*, type *Web application*, with the "
        "redirect address https://developers.google.com/oauthplayground. Copy **client id** and **client secret**.",
        "Open the [OAuth playground](https://developers.google.com/oauthplayground), click the gear, tick *Use your "
        "own OAuth credentials* and enter the two. Authorise the scope "
        "https://www.googleapis.com/auth/youtube.force-ssl with the channel's account, exchange the code, and copy "
        "the **refresh token**.",
    ),
    oauth=OAuth(
        authorize_url="https://accounts.google.com/o/oauth2/v2/auth",
        token_url=f"{SIGN_IN}/token",
        scopes=("https://www.googleapis.com/auth/youtube.force-ssl",),
        asks=("client_id", "client_secret"),
        refresh="refresh_token",
        guide=(
            "In the [Google Cloud console](https://console.cloud.google.com) make a project. Under *APIs and "
            "services*, *Library*, switch on **YouTube Data API v3**.",
            "Describe the app under *OAuth consent screen* and publish it: while it is *in testing*, Google ends every "
            "permission after seven days.",
            "Under *Credentials* choose *Create credentials*, *OAuth client ID*, type *Web application*, with the "
            "redirect URI below. Copy **client id** and **client secret**.",
            "Go on with the channel's account, and leave the permission ticked that Google asks for.",
        ),
        extra=(("access_type", "offline"), ("prompt", "consent")),
        plain_http=False,
    ),
    key_needed=True,
    limits="10,000 units a day: 1 for a page of comments, 50 for an answer. They begin anew at midnight Pacific time.",
    exportable=False,
    trainable=False,
    cross_person_matching=False,
    poll_every=timedelta(minutes=10),
    recheck_every=timedelta(hours=12),
    answers_spend="units",
    find_lag=timedelta(minutes=5),
    retain=timedelta(days=30),
    duties="What is deleted on YouTube is deleted here too; nothing is kept for 30 days without being refreshed.",
)
EXTRA = {"daily_units": "units a day that Google has granted the project; 10,000 where it is not given"}


def open(account: Mapping[str, str], options: Options) -> YouTube:
    """A listener for one account: an `api_key`, or the three of OAuth, which can answer too. Asks no network.

    Raises Terminal for one or two of the three. Without an account it can only parse.
    """
    return YouTube(account, options)


# --- From the wire to posts ----------------------------------------------------------------------------------------

_COMMENT_ID = re.compile(r"[A-Za-z0-9_.-]{6,200}")
_VIDEO_ID = re.compile(r"[A-Za-z0-9_-]{11}")
_CHANNEL_ID = re.compile(r"UC[A-Za-z0-9_-]{22}")
_HANDLE = re.compile(r"@[^\s/@?#&%]{1,100}")


class _NoComment(Exception):
    """Why an item of an answer is no comment, in words."""


def _items(answer: object) -> list[Any]:
    """The threads or comments of one decoded answer. Raises Terminal where it is none that YouTube gives."""
    body = as_dict(answer)
    if isinstance(body.get("items"), list):
        return list(body["items"])
    if isinstance(body.get("snippet"), dict):  # what comments.insert answers: the comment itself
        return [body]
    raise Terminal(
        "This is no answer of YouTube with comments in it.", "Give one answer of commentThreads.list or comments.list."
    )


def _read(items: Sequence[object], video: str | None = None) -> list[Post | Rejected]:
    """The comments of threads, each with the replies that came with it, and comments as they are; each once."""
    found: dict[str, Post] = {}
    rejected: list[Post | Rejected] = []
    for number, item in enumerate(items, start=1):
        for where, comment, of_video in _comments_of(f"item {number}", item, video):
            one = _post_or_rejected(where, comment, of_video)
            if isinstance(one, Post):
                found[one.external_id] = one
            else:
                rejected.append(one)
    return [*found.values(), *rejected]


def _comments_of(where: str, item: object, video: str | None) -> Iterator[tuple[str, object, str | None]]:
    snippet = as_dict(as_dict(item).get("snippet"))
    if "topLevelComment" not in snippet:
        yield where, item, video
        return
    video = snippet["videoId"] if isinstance(snippet.get("videoId"), str) else video
    yield where, snippet["topLevelComment"], video
    for number, reply in enumerate(as_list(as_dict(as_dict(item).get("replies")).get("comments")), start=1):
        yield f"{where}, reply {number}", reply, video


def _post_or_rejected(where: str, comment: object, video: str | None) -> Post | Rejected:
    try:
        return _post(as_dict(comment), video)
    except _NoComment as error:
        return Rejected(where, str(error))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        return Rejected(where, f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}")


def _post(comment: dict[str, Any], video: str | None) -> Post:
    """One comment resource. Raises _NoComment, ValidationError."""
    number, snippet = comment.get("id"), as_dict(comment.get("snippet"))
    if not isinstance(number, str) or not _COMMENT_ID.fullmatch(number):
        raise _NoComment("has no id")
    posted_at, updated_at = iso_moment(snippet.get("publishedAt")), iso_moment(snippet.get("updatedAt"))
    if posted_at is None:
        raise _NoComment("has no date")
    text, parent, likes = _words(snippet), snippet.get("parentId"), snippet.get("likeCount")
    if text is None:
        raise _NoComment("has no text")
    parent = parent if isinstance(parent, str) and _COMMENT_ID.fullmatch(parent) else None
    video = snippet["videoId"] if isinstance(snippet.get("videoId"), str) else video
    return Post(
        platform=PLATFORM,
        external_id=number,
        url=_address(video, number),
        author=_author(snippet),
        text=text,
        posted_at=posted_at,
        edited_at=updated_at if updated_at and updated_at > posted_at else None,
        parent_id=parent,
        root_id=parent,
        engagement={"likes": likes} if isinstance(likes, int) and is_count(likes) else {},
        kind=Kind.COMMENT,
    )


def _words(snippet: dict[str, Any]) -> str | None:
    """The comment as it was typed, where YouTube tells; else what its page shows."""
    typed, shown = snippet.get("textOriginal"), snippet.get("textDisplay")
    if isinstance(typed, str):
        return typed
    return from_html(shown) if isinstance(shown, str) else None


def _address(video: str | None, comment: str) -> str | None:
    if video is None or not _VIDEO_ID.fullmatch(video):
        return None
    return f"https://www.youtube.com/watch?{urlencode({'v': video, 'lc': comment})}"


def _author(snippet: dict[str, Any]) -> Author | None:
    """Who wrote it; None where the account is gone. The name shown is the handle by now, such as @jane."""
    channel, name = as_dict(snippet.get("authorChannelId")).get("value"), snippet.get("authorDisplayName")
    channel = channel if isinstance(channel, str) and 0 < len(channel.strip()) <= 200 else None
    name = one_line(name, 200) if isinstance(name, str) else ""
    if not channel and not name:
        return None
    return Author(id=channel or name, handle=name or channel or "", display_name=name or None)


def _thread_of(post: Post) -> str:
    """The id of the thread that a comment stands in: a reply's own begins with it."""
    return post.root_id or post.external_id.partition(".")[0]


# --- What is asked for ---------------------------------------------------------------------------------------------


def _videos(query: str) -> list[str]:
    """The ids out of ids and addresses. Raises Terminal."""
    found = [_video(word) for word in query.replace(",", " ").split()]
    if not found or len(found) > MAX_VIDEOS:
        raise Terminal(
            "There is no video to listen to." if not found else "These are too many videos for one source.",
            f"Enter the addresses of 1 to {MAX_VIDEOS} videos.",
        )
    return list(dict.fromkeys(found))


def _video(word: str) -> str:
    try:
        parts = urlsplit(word)
        places = [*parse_qs(parts.query).get("v", []), parts.path.rstrip("/").rpartition("/")[2]]
    except ValueError:
        places = []
    for place in places:
        if _VIDEO_ID.fullmatch(place):
            return place
    raise Terminal(f"{word[:80]!r} is no video on YouTube.", "Copy the video's address, such as youtube.com/watch?v=….")


def _channel(query: str) -> str:
    """The channel's id or @handle, out of either or an address. Raises Terminal."""
    for part in query.strip().replace("?", "/").split("/"):
        if _CHANNEL_ID.fullmatch(part) or _HANDLE.fullmatch(part):
            return part
    raise Terminal(f"{query[:80]!r} is no channel on YouTube.", "Enter its @handle or its address.")


@dataclass(slots=True)
class _Depth:
    """By when threads began, with a day's walk going 30 days down; an `Order`."""

    deep: bool

    def _by(self) -> ByTime:
        return ByTime(DEEP if self.deep else OVERLAP)

    def mark(self, posts: Sequence[Post]) -> Mark | None:
        """Of threads alone: a reply may be newer than a thread that had not been listed yet."""
        return self._by().mark([post for post in posts if post.parent_id is None])

    def newer(self, one: Mark | None, other: Mark | None) -> Mark | None:
        return self._by().newer(one, other)

    def reached(self, post: Post, mark: Mark) -> bool:
        return self._by().reached(post, mark)


# --- The account: its token and its units, shared by all listeners of this process ----------------------------------


@dataclass(slots=True)
class _Account:
    lock: threading.Lock = field(default_factory=threading.Lock)
    token: str = field(default="", repr=False)
    good_until: float = 0.0
    """By the monotonic clock."""
    expires_at: datetime | None = None
    """When the refresh token ends, where Google says so: seven days for an app in testing."""
    channel: dict[str, Any] = field(default_factory=dict)
    day: date | None = None
    spent: int = 0

    def spend(self, units: int) -> None:
        today = datetime.now(PACIFIC).date()
        if self.day != today:
            self.day, self.spent = today, 0
        self.spent += units


_ACCOUNTS: dict[tuple[str, str], _Account] = {}
_ACCOUNTS_LOCK = threading.Lock()


def _shared(base: str, account: Mapping[str, str]) -> _Account:
    """With other credentials it is another account, so that a wrong secret opens nothing."""
    said = json.dumps(sorted(account.items())).encode("utf-8", "surrogatepass")
    with _ACCOUNTS_LOCK:
        return _ACCOUNTS.setdefault((base, hashlib.sha256(said).hexdigest()), _Account())


def _midnight() -> datetime:
    """When the day's units begin anew."""
    tomorrow = datetime.now(PACIFIC).date() + timedelta(days=1)
    return datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=PACIFIC).astimezone(UTC)


# --- Refusals --------------------------------------------------------------------------------------------------------


class _Closed(Terminal):
    """One video or channel cannot be read; others may."""


_OUT_OF_UNITS = ("quotaExceeded", "dailyLimitExceeded", "dailyLimitExceededUnreg")
_TOO_FAST = ("rateLimitExceeded", "userRateLimitExceeded", "RATE_LIMIT_EXCEEDED", "concurrentLimitExceeded")
_BAD_KEY = ("keyInvalid", "keyExpired", "API_KEY_INVALID", "authError", "invalidCredentials", "expired")
_CLOSED = {
    "commentsDisabled": ("Comments are switched off on this video.", "Take the video out of the source."),
    "videoNotFound": ("This video is not there any more, or not public.", "Take the video out of the source."),
    "channelNotFound": ("There is no such channel on YouTube.", "Correct the channel of the source."),
}
_REFUSED = {
    "accessNotConfigured": (
        "The YouTube Data API is not switched on for this key's project.",
        "Switch on 'YouTube Data API v3' in the Google Cloud console, under APIs and services.",
    ),
    "ipRefererBlocked": (
        "The API key may not be used from here.",
        "Change the key's restrictions in the Google Cloud console.",
    ),
    "insufficientPermissions": (
        "The account's permission does not reach so far.",
        "Make a new refresh token for the scope youtube.force-ssl.",
    ),
    "youtubeSignupRequired": ("This Google account has no YouTube channel.", "Use the account of your channel."),
    "ineligibleAccount": ("This account cannot write on YouTube yet.", "Make a channel for it on youtube.com."),
    "operationNotSupported": ("This comment takes no reply.", "Close it unanswered."),
    "parentCommentIsPrivate": ("This comment is private and takes no reply.", "Close it unanswered."),
    "parentCommentNotFound": ("The comment was deleted.", "Close it unanswered."),
    "commentNotFound": ("The comment was deleted.", "Close it unanswered."),
    "commentTextTooLong": ("The answer is too long for YouTube.", "Shorten it."),
}
_STALE = ("invalidPageToken", "processingFailure")


def _reasons(body: bytes) -> tuple[list[str], str]:
    """The names of what is wrong in an error's body, and its words."""
    try:
        error = as_dict(json.loads(body[:100_000])).get("error")
    except (ValueError, RecursionError):
        return [], ""
    details = [one for part in ("errors", "details") for one in as_list(as_dict(error).get(part))]
    reasons = [reason for one in details if isinstance(reason := as_dict(one).get("reason"), str)]
    said = error if isinstance(error, str) else as_dict(error).get("message")
    return reasons, one_line(from_html(said)) if isinstance(said, str) else ""


def _meaning(answer: http.Answer, *, sending: bool = False) -> ListeningError:
    """What a refusal of YouTube means, by the reason it names rather than by its status."""
    reasons, said = _reasons(answer.body)
    named = set(reasons)
    if named & {*_OUT_OF_UNITS}:
        wait = (_midnight() - datetime.now(UTC)).total_seconds()
        return Transient("YouTube's units for today are used up; they begin anew at midnight Pacific time.", wait)
    if answer.status == 429 or named & {*_TOO_FAST}:
        return Transient("YouTube had too many requests from us.", http.retry_after(answer.headers) or 60.0)
    if answer.status == 401 or named & {*_BAD_KEY} or said.startswith("API key not valid"):
        return BadCredentials(
            "YouTube did not accept the account's key or token.", "Enter the account's credentials again."
        )
    for reason in reasons:
        if reason in _CLOSED:
            return _Closed(*_CLOSED[reason])
        if reason in _REFUSED:
            return Terminal(*_REFUSED[reason])
    if "processingFailure" in named and sending:
        return OutcomeUnknown("YouTube could not say whether it took the answer.")
    if "processingFailure" in named:
        return Transient("YouTube could not work on the request at the moment.")
    return http.refused(TITLE, answer.status, answer.headers, json.dumps({"message": said}).encode(), sending=sending)


# --- The listener --------------------------------------------------------------------------------------------------


class YouTube:
    """Reads, answers and re-checks comments. See `listeners.base` for what each method promises."""

    capability = CAPABILITY

    def __init__(self, account: Mapping[str, str], options: Options) -> None:
        given = {name: value.strip() for name, value in account.items() if value.strip()}
        self._key = given.get("api_key", "")
        self._oauth = {name: given.get(name, "") for name in ("client_id", "client_secret", "refresh_token")}
        if any(self._oauth.values()) and not all(self._oauth.values()):
            raise Terminal(
                "Of OAuth's client id, client secret and refresh token one or two are missing.",
                "Enter all three, or only an API key.",
            )
        if not re.fullmatch(r"[!-~]{0,500}", self._key):
            raise Terminal("This is no API key: it holds blanks or letters that none has.", "Copy it once more.")
        self._api = (options.base_url or API).rstrip("/") + "/youtube/v3"
        self._sign_in = (options.base_url or SIGN_IN).rstrip("/") + "/token"
        self._client = http.Client(TITLE, options)
        self._account = _shared(self._api, given)
        self._keep = options.on_credentials
        self._units = _granted(options.extra.get("daily_units", ""))

    # -- reading

    def check(self) -> Health:
        """With OAuth asks who we are, with a key for anything at all: one unit. Raises Transient, Terminal."""
        if not self._can_sign_in:
            self._get("i18nRegions", part="id")
            return Health(True, "The API key works. To answer, enter the OAuth credentials too.")
        author = _channel_author(self._own_channel())
        return Health(True, f"Signed in as {author.handle}.", author, self._account.expires_at)

    def fetch(self, query: Query, cursor: Cursor) -> Iterator[Page]:
        """Comments with their replies since `cursor`; of a new source at most 1,000 threads.

        Raises Transient, Terminal. Of several videos one that cannot be read is reported, and the others are read.
        """
        names = {name: number for name, number in as_dict(cursor.get("channels")).items() if isinstance(number, str)}
        places = self._places(query, names)
        begun, new = as_dict(cursor.get("listings")), {"walk": as_dict(cursor.get("walk"))}
        listings = {number: as_dict(begun.get(number)) or new for _, number in places}
        closed: list[Rejected] = []
        for by, number in places:
            try:
                for page in self._comments(by, number, listings[number]):
                    listings = {**listings, number: page.cursor}
                    yield replace(page, cursor={"channels": names, "listings": listings})
            except _Closed as error:
                if len(closed) + 1 == len(places):
                    raise
                closed.append(Rejected(f"video {number}", str(error)))
        if closed:
            yield Page([], {"channels": names, "listings": listings}, closed, self._budget())

    def since(self, query: Query, moment: datetime) -> Cursor:
        """See `LooksBack`. The walk is that of each listing, which cannot be named before YouTube was asked."""
        return {"walk": since(moment)}

    def parse(self, answer: bytes) -> list[Post | Rejected]:
        """The comments of one answer of commentThreads.list, comments.list or comments.insert. Raises Terminal."""
        try:
            decoded = json.loads(answer)
        except (ValueError, RecursionError) as error:
            raise Terminal("This is no JSON, or it breaks off.", "Give one answer as it came over the wire.") from error
        return _read(_items(decoded))

    def _places(self, query: Query, names: dict[str, str]) -> list[tuple[str, str]]:
        """What to list, as a parameter of commentThreads.list and its value. Keeps in `names` what was looked up."""
        mode = query.mode or CAPABILITY.default_mode
        if mode == "video":
            return [("videoId", video) for video in _videos(query.text)]
        if mode == "own":
            return [("allThreadsRelatedToChannelId", self._own_channel()["id"])]
        if mode != "channel":
            raise Terminal(f"YouTube has no mode {mode[:40]!r}.", "Choose channel, video or own.")
        channel = _channel(query.text)
        if channel.startswith("@"):
            names[channel] = channel = names.get(channel) or self._looked_up(channel)
        return [("allThreadsRelatedToChannelId", channel)]

    def _looked_up(self, handle: str) -> str:
        found = self._first(self._get("channels", part="id", forHandle=handle))
        number = found.get("id")
        if not isinstance(number, str) or not _CHANNEL_ID.fullmatch(number):
            raise _Closed(*_CLOSED["channelNotFound"])
        return number

    def _comments(self, by: str, number: str, state: Mapping[str, Any]) -> Iterator[Page]:
        """The pages of one listing. Its cursor holds the walk, the first page's ETag, and when it last went deep."""
        began, deep_at = datetime.now(UTC), iso_moment(state.get("deep_at"))
        depth = _Depth(bool(state.get("deep")) or deep_at is None or began - deep_at > DEEP_EVERY)
        etag, counts = state.get("etag"), {**as_dict(state.get("replies"))}

        def page_at(token: Token) -> Listing:
            nonlocal etag
            known = etag if token is None and not depth.deep else None
            answer = self._threads(by, number, token, known)
            if answer.status == 304:
                return Listing([], budget=self._budget())
            body = answer.json()
            if token is None:
                etag = answer.headers.get("etag")
            return self._listing(body, counts)

        for page in walk(page_at, as_dict(state.get("walk")), order=depth):
            if depth.deep and "walking" not in page.cursor:
                depth.deep, deep_at = False, began
            kept = dict(list(counts.items())[-THREADS_KEPT:])
            done = deep_at.isoformat() if deep_at else None
            here = {"walk": page.cursor, "etag": etag, "deep": depth.deep, "deep_at": done, "replies": kept}
            yield replace(page, cursor=here)

    def _threads(self, by: str, number: str, token: Token, etag: object) -> http.Answer:
        params: dict[str, str | int] = {
            "part": "snippet,replies", by: number, "order": "time", "maxResults": PAGE_SIZE,
            **({"pageToken": token} if token else {}),
        }  # fmt: skip
        headers = {"If-None-Match": etag} if isinstance(etag, str) and re.fullmatch(r"[!-~]{1,200}", etag) else {}
        answer = self._ask("commentThreads", params, headers, fine=(304, 400, 403, 404))
        if token and answer.status == 400 and {*_STALE} & {*_reasons(answer.body)[0]}:
            raise StaleToken
        if answer.status >= 400:
            raise _meaning(answer)
        return answer

    def _listing(self, body: object, counts: dict[str, int]) -> Listing:
        try:
            threads = _items(body)
        except Terminal as error:
            raise Transient("YouTube sent an answer without comments in it.") from error
        found = _read(threads)
        for thread in map(as_dict, threads):
            found += self._more_replies(thread, counts)
        below = as_dict(body).get("nextPageToken")
        posts = {one.external_id: one for one in found if isinstance(one, Post)}
        return Listing(
            # Threads last: by them alone a walk sees how far down it has come.
            posts=sorted(posts.values(), key=lambda post: post.parent_id is None),
            rejected=[one for one in found if isinstance(one, Rejected)],
            next_token=below if isinstance(below, str) and below else None,
            budget=self._budget(),
        )

    def _more_replies(self, thread: dict[str, Any], counts: dict[str, int]) -> list[Post | Rejected]:
        """The replies of a thread that has more than came with it, where their number has changed."""
        number, snippet = thread.get("id"), as_dict(thread.get("snippet"))
        total, came = snippet.get("totalReplyCount"), len(as_list(as_dict(thread.get("replies")).get("comments")))
        if not isinstance(number, str) or not _COMMENT_ID.fullmatch(number) or not isinstance(total, int):
            return []
        if total <= came or counts.get(number) == total:
            return []
        counts.pop(number, None)  # the last one changed is the last one forgotten
        counts[number] = total
        video = snippet["videoId"] if isinstance(snippet.get("videoId"), str) else None
        replies, whole = self._replies(number)
        found = _read(replies, video)
        if not whole:
            found.append(
                Rejected(f"thread {number}", f"has more than {REPLY_PAGES * PAGE_SIZE} replies; not all are read")
            )
        return found

    def _replies(self, thread: str) -> tuple[list[Any], bool]:
        """The replies of a thread, in no order to rely on, and whether that is all of them. A gone thread has none."""
        replies: list[Any] = []
        token = ""
        for _ in range(REPLY_PAGES):
            page: dict[str, str | int] = {"part": "snippet", "parentId": thread, "maxResults": PAGE_SIZE}
            answer = self._ask("comments", page | ({"pageToken": token} if token else {}), fine=(400, 403, 404))
            if answer.status == 404:
                return replies, True
            if answer.status >= 400:
                raise _meaning(answer)
            body = as_dict(answer.json())
            replies += as_list(body.get("items"))
            token = body["nextPageToken"] if isinstance(body.get("nextPageToken"), str) else ""
            if not token:
                return replies, True
        return replies, False

    # -- answering

    def may_answer(self, post: Post) -> Verdict:
        """Asks no network: whether comments have been switched off since is found out on sending."""
        if post.platform != PLATFORM or not _COMMENT_ID.fullmatch(post.external_id):
            return Verdict(False, "This is no comment on YouTube.")
        if not self._can_sign_in:
            return Verdict(False, "Answering on YouTube needs the account's OAuth credentials; a key can only read.")
        return Verdict(True, CAPABILITY.answering_rule)

    def answer(self, post: Post, text: str, key: str) -> Sent:
        """Posts `text` as a reply in the comment's thread. YouTube knows no idempotency key: it is sent once.

        Raises Transient or Terminal only where it is certain that nothing was posted, else OutcomeUnknown.
        """
        verdict, text = self.may_answer(post), clean(text).strip()
        if not verdict.allowed:
            raise Terminal(verdict.reason, "Answer it on YouTube itself.")
        if not text or len(text) > MAX_CHARS:
            raise Terminal(
                f"The answer has {len(text):,} characters; YouTube takes {MAX_CHARS:,}." if text else "It is empty.",
                "Shorten it." if text else "Write something.",
            )
        body = {"snippet": {"parentId": _thread_of(post), "textOriginal": text}}
        answer = self._posted(body)
        if answer.status == 401:  # the token had ended early, so that nothing was posted
            self._account.token = ""
            answer = self._posted(body)
        if answer.status >= 400:
            raise _meaning(answer, sending=True)
        return replace(self._sent(answer.json(sending=True), post), budget=self._budget())

    def _posted(self, body: dict[str, Any]) -> http.Answer:
        url, headers = f"{self._api}/comments?part=snippet", self._signed_in()
        self._account.spend(UNITS_TO_WRITE)
        return self._client.send("POST", url, json=body, headers=headers, fine=(400, 401, 403, 404, 429))

    def find(self, post: Post, text: str, key: str, since: datetime) -> Sent | Absent | CannotTell:
        """Looks for our reply in the thread. It never says Absent: YouTube lists nothing that it holds for review."""
        ours = self._own_channel()["id"]
        replies, _ = self._replies(_thread_of(post))
        for reply in map(as_dict, replies):
            snippet = as_dict(reply.get("snippet"))
            made = iso_moment(snippet.get("publishedAt"))
            if as_dict(snippet.get("authorChannelId")).get("value") != ours or made is None:
                continue
            if made >= since - CLOCKS_APART and _same(_words(snippet), text):
                return self._sent(reply, post)
        return CannotTell(
            "The thread does not show the answer; YouTube may hold it for review, and lists it then to nobody."
        )

    def _sent(self, comment: object, post: Post) -> Sent:
        number, snippet = as_dict(comment).get("id"), as_dict(as_dict(comment).get("snippet"))
        if not isinstance(number, str) or not _COMMENT_ID.fullmatch(number):
            raise OutcomeUnknown("YouTube took the answer and did not say where it stands.")
        video = parse_qs(urlsplit(post.url or "").query).get("v", [None])[0]
        return Sent(number, _address(video, number), iso_moment(snippet.get("publishedAt")) or datetime.now(UTC))

    # -- what was deleted

    def still_there(self, external_ids: Sequence[str]) -> Mapping[str, bool]:
        """Whether YouTube still lists these. Raises Transient, Terminal."""
        return {one: told is not False for one, told in self.as_they_are(external_ids).items()}

    def as_they_are(self, external_ids: Sequence[str]) -> Mapping[str, Post | bool]:
        """A unit for 50 comments. Which video one belongs to, YouTube does not say here. Raises Transient, Terminal."""
        asked = [one for one in dict.fromkeys(external_ids) if _COMMENT_ID.fullmatch(one)]
        told: dict[str, Post | bool] = {}
        for start in range(0, len(asked), IDS_PER_CHECK):
            some = asked[start : start + IDS_PER_CHECK]
            shown = self._shown(some)
            for one in some:
                read = _post_or_rejected(one, shown[one], None) if one in shown else None
                told[one] = read if isinstance(read, Post) else read is not None
        return told

    def _shown(self, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Those that YouTube lists; where it refuses several for one of them, they are asked about one by one."""
        answer = self._ask("comments", {"part": "snippet", "id": ",".join(ids)}, fine=(400, 403, 404))
        if answer.status == 200:
            body = answer.json()
            if not isinstance(as_dict(body).get("items"), list):
                raise Transient("YouTube sent an answer without comments in it.")
            return {str(item.get("id")): item for item in map(as_dict, body["items"])}
        meaning, (reasons, _) = _meaning(answer), _reasons(answer.body)
        if answer.status != 404 and "commentNotFound" not in reasons:
            raise meaning
        return {} if len(ids) == 1 else {id_: one for number in ids for id_, one in self._shown([number]).items()}

    # -- the wire

    @property
    def _can_sign_in(self) -> bool:
        return all(self._oauth.values())

    def _budget(self) -> Budget:
        self._account.spend(0)
        return Budget(max(0, self._units - self._account.spent), self._units, _midnight(), "units")

    def _own_channel(self) -> dict[str, Any]:
        """Our channel, asked for once. Raises Transient, Terminal."""
        if not self._account.channel:
            if not self._can_sign_in:
                raise Terminal("A key belongs to no channel.", "Enter the account's OAuth credentials.")
            found = self._first(self._get("channels", part="snippet", mine="true"))
            if not isinstance(found.get("id"), str) or not _CHANNEL_ID.fullmatch(found["id"]):
                raise Terminal(*_REFUSED["youtubeSignupRequired"])
            self._account.channel = found
        return self._account.channel

    def _first(self, body: object) -> dict[str, Any]:
        return as_dict(next(iter(as_list(as_dict(body).get("items"))), None))

    def _get(self, what: str, **params: str | int) -> Any:
        """One decoded answer. Raises Transient, Terminal."""
        answer = self._ask(what, params, fine=(400, 403, 404))
        if answer.status >= 400:
            raise _meaning(answer)
        return answer.json()

    def _ask(
        self,
        what: str,
        params: Mapping[str, str | int],
        headers: Mapping[str, str] | None = None,
        fine: tuple[int, ...] = (),
    ) -> http.Answer:
        """One request for one unit; where the token has ended early, once more with a new one."""
        for attempt in range(2):
            signed = {**self._signed_in(), **(headers or {})}
            self._account.spend(1)
            url = f"{self._api}/{what}"
            answer = self._client.get(url, params=params, headers=signed, fine=(401, 429, *fine), redirects=False)
            if answer.status == 401 and self._can_sign_in and attempt == 0:
                self._account.token = ""
                continue
            if answer.status in (401, 429):
                raise _meaning(answer)
            if 300 <= answer.status < 400 and answer.status not in fine:
                raise Transient(f"YouTube sent us to another address ({answer.status}), where the key does not go.")
            if answer.status == 403 and {*_OUT_OF_UNITS} & {*_reasons(answer.body)[0]}:
                self._account.spent = max(self._account.spent, self._units)
            return answer
        raise AssertionError("the second attempt returns or raises")

    def _signed_in(self) -> dict[str, str]:
        """The headers that say who we are. Raises Transient, Terminal."""
        if self._can_sign_in:
            with self._account.lock:
                if not self._account.token or time.monotonic() >= self._account.good_until:
                    self._renew()
                return {"Authorization": f"Bearer {self._account.token}"}
        if not self._key:
            raise Terminal("YouTube needs an API key, or an account.", "Enter one in the account.")
        return {"X-Goog-Api-Key": self._key}

    def _renew(self) -> None:
        """A new access token, good for about an hour."""
        answer = self._client.post_form(self._sign_in, {"grant_type": "refresh_token", **self._oauth}, fine=(400, 401))
        body = as_dict(answer.json())
        if answer.status != 200:
            raise _refused_sign_in(body)
        token, lasts = body.get("access_token"), body.get("expires_in")
        if not isinstance(token, str) or not re.fullmatch(r"[!-~]{1,5000}", token):
            raise Transient("Google sent no access token.")
        fresh = body.get("refresh_token")
        if isinstance(fresh, str) and fresh != self._oauth["refresh_token"] and self._keep:
            self._keep({"refresh_token": fresh})
            self._oauth["refresh_token"] = fresh
        seconds = lasts if isinstance(lasts, int) and 0 < lasts < 86_400 else 3_600
        self._account.token = token
        self._account.good_until = time.monotonic() + seconds - 60
        self._account.expires_at = _from_now(body.get("refresh_token_expires_in"))


def _from_now(seconds: object) -> datetime | None:
    if not isinstance(seconds, int) or not 0 < seconds < 10**9:
        return None
    return datetime.now(UTC) + timedelta(seconds=seconds)


def _refused_sign_in(body: dict[str, Any]) -> ListeningError:
    """What Google's token server means. It answers 400 to a refresh token that has ended."""
    name = body.get("error")
    if name == "invalid_grant":
        return BadCredentials(
            "Google does not accept the refresh token any more: it was taken back, or has expired.",
            "Make a new one; for an app that is still in testing it holds for seven days only.",
        )
    if name in ("invalid_client", "unauthorized_client"):
        return BadCredentials(
            "Google does not know this client id with this secret.", "Copy both from the Google Cloud console again."
        )
    said = body.get("error_description")
    return Terminal(
        f"Google refused to sign in{': ' + one_line(said).rstrip('.') if isinstance(said, str) and said else ''}.",
        "Enter the account's OAuth credentials again.",
    )


def _channel_author(channel: dict[str, Any]) -> Author:
    snippet = as_dict(channel.get("snippet"))
    names = [
        name for name in (snippet.get("customUrl"), snippet.get("title")) if isinstance(name, str) and name.strip()
    ]
    title = snippet.get("title")
    return Author(
        id=channel["id"],
        handle=one_line(names[0], 200) if names else channel["id"],
        display_name=one_line(title, 200) if isinstance(title, str) and title.strip() else None,
    )


def _granted(units: str) -> int:
    if not units.strip():
        return UNITS_A_DAY
    if not re.fullmatch(r"[0-9]{1,9}", units.strip()):
        raise Terminal(
            f"{units[:40]!r} is no number of units.", "Enter what the Google Cloud console shows as the quota."
        )
    return int(units)


def _same(shown: str | None, text: str) -> bool:
    return shown is not None and " ".join(clean(shown).split()) == " ".join(clean(text).split())
