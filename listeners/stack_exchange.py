"""Stack Exchange: questions of one of its sites by tag or by words, with answers and comments, and answering there.

Which site is an option; Stack Overflow where none is given. Credentials travel in the Authorization header, the only
place where Stack Exchange takes them since June 2026. Every answer may hold a `backoff`: so many seconds must pass
before the same method is asked again, by whichever source of this process, and nobody sleeps for it.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from html import unescape
from typing import Any, TypeAlias, TypeGuard
from urllib.parse import urlsplit

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
    Syntax,
    Terminal,
    Transient,
    Verdict,
    clean,
)
from listeners.climbing import Bound, Step, climb, since
from listeners.http import Answer
from listeners.plain_text import from_html, one_line
from listeners.untrusted import as_dict, as_list

PLATFORM = "stackexchange"
TITLE = "Stack Exchange"
API = "https://api.stackexchange.com"
VERSION = "/2.3"
SITE = "stackoverflow"

ANSWER_CHARS, COMMENT_CHARS = 30_000, 600
"""How long an answer and a comment may be. How short, Stack Exchange tells."""
PER_PAGE = 50
ASKED_AT_ONCE = 100
"""So many ids does one look-up take."""
WATCHED = 100
"""Posts whose new comments are asked for, the latest that were read: a comment does not move its question."""
OVERLAP = timedelta(seconds=60)
FIRST_DAYS = 30
MAX_QUERY = 240
LAST_SECOND = 10**11
"""The largest number of seconds that is taken for a moment; it is some three thousand years away."""
SLOW_DOWN = 60.0
"""Seconds to wait where Stack Exchange refuses us and does not say for how long."""

EXTRA = {
    "site": "the site's name in its API, such as stackoverflow, superuser, es.stackoverflow or meta.stackexchange; "
    f"{SITE} where it is not given",
    "days": f"how many days back a new source begins; {FIRST_DAYS} where it is not given",
}

_REACH = Reach("Stack Exchange gives everything, back to the site's beginning.", oldest_first=True)

CAPABILITY = Capability(
    platform=PLATFORM,
    title=TITLE,
    answering=Answering.API,
    answering_rule=(
        "A question is answered with an answer of 30 characters or more, anything else with a comment of 15 to 600. "
        "The account needs the rights for that. Stack Exchange removes what promotes a product without saying so: say "
        "whom you work for."
    ),
    checked_on=date(2026, 11, 22),
    modes=(
        Mode(
            name="tag",
            label="Questions with a tag",
            query_label="Tag",
            help="Such as kettle; or kettle steam: all of up to five. Answers and comments are read too.",
            reach=_REACH,
        ),
        Mode(
            name="search",
            label="Questions found by search",
            query_label="Words to search for",
            help="Questions with these words, and what among their answers and comments has them too.",
            syntax=Syntax(max_length=MAX_QUERY),
            reach=_REACH,
        ),
    ),
    max_chars=ANSWER_CHARS,
    threads=True,
    editable=True,
    deletable=True,
    credentials=(
        CredentialField(
            "key",
            "API key",
            help="Free, on stackapps.com: register an application, create an API key. 10,000 requests a day, not 300.",
            required=False,
        ),
        CredentialField(
            "access_token",
            "Access token",
            help="Only to answer: of the same application, with the scopes write_access and no_expiry.",
            required=False,
        ),
        CredentialField(
            "client_id", "Client id", secret=False, required=False, typed=False, help="On the application's page."
        ),
        CredentialField("client_secret", "Client secret", required=False, typed=False, help="On the same page."),
    ),
    guide=(
        "Sign in to [stackapps.com](https://stackapps.com) and choose *Apps*, *Register an application*. The OAuth "
        "domain is your own.",
        "On the application's page create an **API key** and copy it here. That is enough to read.",
        "To answer, post about the application on Stack Apps and enter that post on the application's page: without "
        "it Stack Exchange lets no application write.",
        "Sign in to the site as the account that shall answer, grant the application the scopes *write_access* and "
        "*no_expiry*, and copy the **access token** here.",
    ),
    oauth=OAuth(
        authorize_url="https://stackoverflow.com/oauth",
        token_url="https://stackoverflow.com/oauth/access_token/json",
        scopes=("write_access", "no_expiry"),
        asks=("client_id", "client_secret", "key"),
        access="access_token",
        guide=(
            "Sign in to [stackapps.com](https://stackapps.com) and choose *Apps*, *Register an application*. The "
            "*OAuth domain* is that of the redirect URI below.",
            "On the application's page copy the **client id**, and create a **client secret** and an **API key**.",
            "Post about the application on Stack Apps and enter that post on the application's page: without it Stack "
            "Exchange lets no application write.",
            "Be signed in to Stack Overflow as the account that shall answer when you go on.",
        ),
        scopes_apart=",",
        pkce=False,
    ),
    limits="300 requests a day for a network address, 10,000 with a free key; `backoff` between two of one kind.",
    search_syntax="words",
    attribution="CC BY-SA",
    # What people write is theirs under CC BY-SA; a model trained on it names nobody.
    trainable=False,
    poll_every=timedelta(minutes=15),
    recheck_every=timedelta(hours=24),
    find_lag=timedelta(minutes=1),
    duties=(
        "Attribution (CC BY-SA): wherever a post is shown or exported, its author's name, the link to it and "
        "Stack Exchange stand with it. What is deleted there is deleted here."
    ),
)


def open(account: Mapping[str, str], options: Options) -> StackExchange:
    """A listener for one site, for the public or for an account (`key`, `access_token`). Raises Terminal."""
    return StackExchange(account, options)


# --- From the wire to posts ----------------------------------------------------------------------------------------

_ID = re.compile(r"(?P<site>[a-z0-9.-]{2,60})/(?P<comment>comment/)?(?P<number>[0-9]{1,18})")
_SITE = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,58}[a-z0-9])")
_LANGUAGES = ("es", "ja", "pt", "ru")
"""Sites such as es.stackoverflow begin with their language; all others are in English."""
_COUNTS = {"score": "score", "answer_count": "answers", "view_count": "views"}


@dataclass(frozen=True, slots=True)
class _Place:
    """What an external id names on a site: a post (question or answer, which share their numbers) or a comment."""

    number: str
    is_comment: bool


def _place(external_id: str | None, site: str) -> _Place | None:
    """None for what is no id of this site's."""
    match = _ID.fullmatch(external_id or "")
    return _Place(match["number"], bool(match["comment"])) if match and match["site"] == site else None


class _NoPost(Exception):
    """Why an item of an answer is no post, in words."""


_Maker: TypeAlias = Callable[[dict[str, Any]], Post]


def _is_number(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value < 10**18


@dataclass(frozen=True, slots=True)
class _Reader:
    """Makes posts of a site's items. `roots` knows the question of posts whose comments come by themselves."""

    site: str
    roots: Mapping[str, int] = field(default_factory=dict)

    def read(self, answer: object) -> list[Post | Rejected]:
        """Posts out of one decoded answer, each once. Raises Terminal where it is none with items in it."""
        items = as_dict(answer).get("items")
        if not isinstance(items, list):
            raise Terminal(
                "This is no answer of Stack Exchange with posts in it.",
                "Give one answer of search/advanced, questions, answers or comments.",
            )
        found: dict[str, Post] = {}
        rejected: list[Rejected] = []
        for where, item, make in self._items(items):
            try:
                post = make(as_dict(item))
                found[post.external_id] = post
            except _NoPost as error:
                rejected.append(Rejected(where, str(error)))
            except ValidationError as error:
                first = error.errors(include_input=False, include_url=False)[0]
                rejected.append(Rejected(where, f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"))
        return [*found.values(), *rejected]

    def _items(self, items: Iterable[object]) -> Iterator[tuple[str, object, _Maker]]:
        """Everything that should be a post, where it stands, and what makes one of it."""
        for n, item in enumerate(items, start=1):
            named = as_dict(item)
            question = named.get("question_id")
            if "comment_id" in named:
                yield f"item {n}", item, self._comment
            elif "post_type" in named:
                yield f"item {n}", item, self._by_number
            elif "answer_id" in named:
                yield from self._with_comments(f"item {n}", item, self._answer, question)
            else:
                yield from self._with_comments(f"item {n}", item, self._question, question)
                for m, answer in enumerate(as_list(named.get("answers")), start=1):
                    yield from self._with_comments(f"item {n}, answer {m}", answer, self._answer, question)

    def _with_comments(
        self, where: str, item: object, make: _Maker, question: object
    ) -> Iterator[tuple[str, object, _Maker]]:
        yield where, item, make
        for n, comment in enumerate(as_list(as_dict(item).get("comments")), start=1):
            yield f"{where}, comment {n}", comment, partial(self._comment, question=question)

    def _question(self, item: dict[str, Any]) -> Post:
        """Raises _NoPost, ValidationError."""
        title = _plain(item.get("title"), 1_000)
        return self._said(
            item,
            external_id=self._id(item.get("question_id")),
            title=title,
            text=_text(item.get("body"), may_lack=title is not None) or title or "",
        )

    def _by_number(self, item: dict[str, Any]) -> Post:
        """A question or an answer that was asked for by its number: without counts and without what it stands under."""
        is_question = item.get("post_type") == "question"
        title = _plain(item.get("title"), 1_000) if is_question else None  # that of an answer is its question's
        return self._said(
            item,
            external_id=self._id(item.get("post_id")),
            title=title,
            text=_text(item.get("body"), may_lack=title is not None) or title or "",
            kind=Kind.POST if is_question else Kind.COMMENT,
        )

    def _answer(self, item: dict[str, Any]) -> Post:
        """Raises _NoPost, ValidationError."""
        question = self._id(item.get("question_id"))
        return self._said(
            item,
            external_id=self._id(item.get("answer_id")),
            text=_text(item.get("body")),
            parent_id=question,
            root_id=question,
            kind=Kind.COMMENT,
        )

    def _comment(self, item: dict[str, Any], question: object = None) -> Post:
        """Raises _NoPost, ValidationError."""
        post, number = item.get("post_id"), item.get("comment_id")
        if not _is_number(number):
            raise _NoPost("has no number")
        root = question if _is_number(question) else self.roots.get(str(post), post)
        return self._said(
            item,
            external_id=f"{self.site}/comment/{number}",
            text=_text(item.get("body")),
            parent_id=self._id(post),
            root_id=self._id(root),
            kind=Kind.COMMENT,
        )

    def _said(self, item: dict[str, Any], **more: Any) -> Post:
        """What all three have in common."""
        reply_to = _author(self.site, item.get("reply_to_user"))
        language = self.site.partition(".")[0]
        return Post(
            platform=PLATFORM,
            url=item.get("link") if isinstance(item.get("link"), str) else None,
            author=_author(self.site, item.get("owner")),
            lang=language if language in _LANGUAGES else "en",
            posted_at=_moment(item.get("creation_date")),
            edited_at=_moment(item["last_edit_date"]) if item.get("last_edit_date") is not None else None,
            mentions=(reply_to.id,) if reply_to else (),
            engagement={name: item[theirs] for theirs, name in _COUNTS.items() if _is_number(item.get(theirs))},
            **more,
        )

    def _id(self, number: object) -> str:
        if not _is_number(number):
            raise _NoPost("has no number")
        return f"{self.site}/{number}"


def _author(site: str, user: object) -> Author | None:
    """None for a deleted account, which has no number any more. People are told apart by site."""
    named = as_dict(user)
    number, name = named.get("user_id"), _plain(named.get("display_name"), 200)
    if not _is_number(number) or name is None:
        return None
    return Author(id=f"{site}/{number}", handle=name, display_name=name)


def _plain(value: object, length: int) -> str | None:
    """Names and titles come as HTML."""
    return one_line(unescape(value[:10_000]), length) or None if isinstance(value, str) else None


def _text(body: object, *, may_lack: bool = False) -> str:
    if body is None and may_lack:
        return ""
    if not isinstance(body, str):
        raise _NoPost("has no body")
    return from_html(body)


def _moment(value: object) -> datetime:
    if not _is_number(value) or value > LAST_SECOND:
        raise _NoPost("has no date that is understood")
    return datetime.fromtimestamp(value, UTC)


# --- What is asked for ---------------------------------------------------------------------------------------------

_WRAPPER = ".items .has_more .backoff .quota_max .quota_remaining .error_id .error_name .error_message"
_USER = "shallow_user.user_id shallow_user.display_name shallow_user.user_type shallow_user.link"
_READ = (
    f"{_WRAPPER} {_USER} question.question_id question.title question.body question.link question.owner "
    "question.creation_date question.last_activity_date question.last_edit_date question.score question.answer_count "
    "question.view_count question.answers question.comments answer.answer_id answer.question_id answer.body "
    "answer.link answer.owner answer.creation_date answer.last_edit_date answer.score answer.comments "
    "comment.comment_id comment.post_id comment.body comment.link comment.owner comment.creation_date comment.score "
    "comment.reply_to_user "
    "post.post_id post.post_type post.title post.body post.link post.owner post.creation_date post.last_edit_date"
)
_FIND = (
    f"{_WRAPPER} {_USER} answer.answer_id answer.owner answer.creation_date answer.body_markdown answer.link "
    "comment.comment_id comment.owner comment.creation_date comment.body_markdown comment.link"
)


@dataclass(slots=True)
class _Shared:
    """What all listeners of one application in this process share: how long each method must wait, and filters."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    waits: dict[str, float] = field(default_factory=dict)
    """By method, until when, by the monotonic clock; "" is for all."""
    filters: dict[str, str] = field(default_factory=dict)
    """Names of filters by the fields that they let through. Stack Exchange keeps them for ever."""

    def note(self, method: str, seconds: float) -> None:
        with self.lock:
            self.waits[method] = max(self.waits.get(method, 0.0), time.monotonic() + seconds)

    def left(self, method: str) -> float:
        """Seconds that a method must still wait."""
        with self.lock:
            return max(self.waits.get(method, 0.0), self.waits.get("", 0.0)) - time.monotonic()


_SHARED: dict[tuple[str, str], _Shared] = {}
_SHARED_LOCK = threading.Lock()


def _shared(api: str, credential: str) -> _Shared:
    """What is shared by those who ask this address with the same key, or with none."""
    digest = hashlib.sha256(credential.encode()).hexdigest()
    with _SHARED_LOCK:
        return _SHARED.setdefault((api, digest), _Shared())


_Params: TypeAlias = dict[str, str | int]


# --- The listener --------------------------------------------------------------------------------------------------


class StackExchange:
    """Reads, answers and re-checks one site. See `listeners.base` for what each method promises."""

    capability = CAPABILITY

    def __init__(self, account: Mapping[str, str], options: Options) -> None:
        self._key, self._token = (_credential(account, name) for name in ("key", "access_token"))
        self._site = _site(options.extra.get("site", ""))
        self._first_days = _days(options.extra.get("days", ""))
        self._api = (options.base_url or API).rstrip("/") + VERSION
        reading = self._key or self._token
        self._shared = _shared(self._api, reading)
        self._client = http.Client(TITLE, options, {"Authorization": f"Bearer {reading}"} if reading else None)
        self._us: int | None = None

    # -- reading

    def check(self) -> Health:
        """Asks whether there is such a site, and with a token who we are there. Raises Transient, Terminal."""
        data, budget = self._get("info", "/info")
        if not isinstance(data.get("items"), list):
            raise Transient("Stack Exchange sent an answer without a site in it.")
        left = (
            f" {budget.remaining:,} of {budget.limit:,} requests are left." if budget.remaining and budget.limit else ""
        )
        if not self._token:
            return Health(True, f"The site {self._site} answers.{left}")
        account = _author(self._site, self._me())
        if account is None:
            raise Terminal(f"The account has no profile on {self._site}.", "Join the site with it, or choose another.")
        return Health(True, f"Signed in as {account.handle} on {self._site}.{left}", account)

    def fetch(self, query: Query, cursor: Cursor) -> Iterator[Page]:
        """Questions with their answers and comments since `cursor`, and new comments below the latest of them.

        Raises Transient, Terminal.
        """
        method, asked = _asked_for(query)
        name = cursor.get("filter") or self._filter(_READ)
        watched = {str(post): int(root) for post, root in cursor.get("watched", [])}  # pairs: their order counts
        listings = {
            "questions": lambda bound: self._questions(method, {**asked, "filter": name}, bound, watched),
            "comments": lambda bound: self._new_comments({"filter": name}, bound, watched),
        }
        start = datetime.now(UTC) - timedelta(days=self._first_days)
        for page in climb(listings, cursor, start=start, overlap=OVERLAP):
            yield replace(page, cursor={**page.cursor, "filter": name, "watched": [[*one] for one in watched.items()]})

    def since(self, query: Query, moment: datetime) -> Cursor:
        """See `LooksBack`. Questions that moved since are read whole, with their answers and comments."""
        return since(("questions", "comments"), moment)

    def parse(self, answer: bytes) -> list[Post | Rejected]:
        """Posts of one answer with questions, answers or comments. Raises Terminal."""
        try:
            decoded = json.loads(answer)
        except (ValueError, RecursionError) as error:
            raise Terminal("This is no JSON, or it breaks off.", "Give one answer, unpacked.") from error
        return _Reader(self._site).read(decoded)

    def _questions(self, method: str, asked: _Params, bound: Bound, watched: dict[str, int]) -> Step:
        """One page of questions by their last activity, which an answer and an edit are, but no comment."""
        params = {**asked, "sort": "activity", "order": "asc", **_paging(bound)}
        data, budget = self._get(method, f"/{method}", params)
        step = self._step(data, budget, "last_activity_date", {})
        for post in step.posts:
            if (place := _place(post.external_id, self._site)) and not place.is_comment:
                watched.pop(place.number, None)
                watched[place.number] = int((post.root_id or post.external_id).rpartition("/")[2])
        for oldest in list(watched)[:-WATCHED]:
            del watched[oldest]
        return step

    def _new_comments(self, asked: _Params, bound: Bound, watched: Mapping[str, int]) -> Step:
        """One page of comments below the posts that are watched."""
        if not watched:
            return Step()
        params = {**asked, "sort": "creation", "order": "asc", **_paging(bound)}
        data, budget = self._get("posts/comments", f"/posts/{';'.join(watched)}/comments", params)
        return self._step(data, budget, "creation_date", watched)

    def _step(self, data: dict[str, Any], budget: Budget, moved: str, roots: Mapping[str, int]) -> Step:
        try:
            found = _Reader(self._site, roots).read(data)
        except Terminal as error:
            raise Transient("Stack Exchange sent an answer without posts in it.") from error
        moments = [at for item in data["items"] if _is_number(at := as_dict(item).get(moved))]
        return Step(
            posts=[one for one in found if isinstance(one, Post)],
            newest=max((_moment(at) for at in moments if at <= LAST_SECOND), default=None),
            more=data.get("has_more") is True,
            rejected=[one for one in found if isinstance(one, Rejected)],
            budget=budget,
        )

    # -- answering

    def may_answer(self, post: Post) -> Verdict:
        """Asks no network: whether the account has the rights, Stack Exchange tells when it is tried."""
        if post.platform != PLATFORM or _place(post.external_id, self._site) is None:
            return Verdict(False, f"This is no post on {self._site}.")
        if not self._token:
            return Verdict(False, "Answering on Stack Exchange needs an access token; without one, answer on its page.")
        return Verdict(True, CAPABILITY.answering_rule)

    def answer(self, post: Post, text: str, key: str) -> Sent:
        """Posts an answer to a question, or a comment below anything else. Stack Exchange knows no `key`.

        Raises Transient or Terminal where it is certain that nothing was posted, else OutcomeUnknown.
        """
        verdict, place = self.may_answer(post), _place(post.external_id, self._site)
        if not verdict.allowed or place is None:
            raise Terminal(verdict.reason, "Open the post and answer there.")
        target = _target(post, place)
        form = {"site": self._site, "body": _checked(text, target)}
        data, budget = self._send(target.method, f"{target.path}/add", form)
        made = as_dict(next(iter(as_list(data.get("items"))), None))
        if not _is_number(made.get(target.id_field)):
            raise OutcomeUnknown("Stack Exchange took the answer and did not say where it stands.")
        return replace(self._sent(post, target, made), budget=budget)

    def find(self, post: Post, text: str, key: str, since: datetime) -> Sent | Absent | CannotTell:
        """Looks for our own answer or comment with these words below the post. Raises Transient, Terminal."""
        place = _place(post.external_id, self._site)
        if place is None:
            return CannotTell(f"This is no post on {self._site}.")
        target = _target(post, place)
        us = self._our_number()
        since_seconds = int(since.timestamp())
        params: _Params = {
            "filter": self._filter(_FIND), "sort": "creation", "order": "desc", "fromdate": since_seconds,
            "pagesize": 100,
        }  # fmt: skip
        data, _ = self._get(target.method, target.path, params)
        if not isinstance(data.get("items"), list):
            raise Transient("Stack Exchange sent an answer without posts in it.")
        for item in map(as_dict, data["items"]):
            ours = as_dict(item.get("owner")).get("user_id") == us and _is_number(item.get(target.id_field))
            if ours and _words(item.get("body_markdown")) == _words(clean(text)):
                return self._sent(post, target, item)
        return CannotTell("More was said there since than can be looked through.") if data.get("has_more") else Absent()

    def _sent(self, post: Post, target: _Target, made: dict[str, Any]) -> Sent:
        number = made[target.id_field]
        url = made.get("link") if isinstance(made.get("link"), str) else _address(post, target, number)
        sent_at = _moment(made["creation_date"]) if _is_number(made.get("creation_date")) else datetime.now(UTC)
        return Sent(f"{self._site}/{'comment/' if target.is_comment else ''}{number}", url, sent_at)

    def _our_number(self) -> int:
        """Our number on this site. Raises Transient, Terminal."""
        if self._us is None:
            number = self._me().get("user_id")
            if not _is_number(number):
                raise Transient("Stack Exchange did not say who we are.")
            self._us = number
        return self._us

    def _me(self) -> dict[str, Any]:
        if not self._token:
            raise Terminal("This needs an access token.", "Enter one in the account.")
        data, _ = self._get("me", "/me", headers=self._as_us())
        return as_dict(next(iter(as_list(data.get("items"))), None))

    # -- what was deleted

    def still_there(self, external_ids: Sequence[str]) -> Mapping[str, bool]:
        """Whether these still stand. Raises Transient, Terminal."""
        return {one: told is not False for one, told in self.as_they_are(external_ids).items()}

    def as_they_are(self, external_ids: Sequence[str]) -> Mapping[str, Post | bool]:
        """A hundred at a time; what is deleted does not come back. Raises Transient, Terminal."""
        places = {one: place for one in dict.fromkeys(external_ids) if (place := _place(one, self._site))}
        told: dict[str, Post | bool] = {}
        try:
            for is_comment, method, name in ((False, "posts", "post_id"), (True, "comments", "comment_id")):
                asked = {place.number: one for one, place in places.items() if place.is_comment is is_comment}
                for start in range(0, len(asked), ASKED_AT_ONCE):
                    numbers = list(asked)[start : start + ASKED_AT_ONCE]
                    standing = self._standing(method, name, numbers)
                    told |= {asked[number]: standing.get(number, False) for number in numbers}
        except Transient:
            if not told:
                raise
        return told

    def _standing(self, method: str, name: str, numbers: Sequence[str]) -> dict[str, Post | bool]:
        """Those of these that stand, by number."""
        params: _Params = {"filter": self._filter(_READ), "pagesize": ASKED_AT_ONCE}
        data, _ = self._get(method, f"/{method}/{';'.join(numbers)}", params)
        if not isinstance(data.get("items"), list) or data.get("has_more") is True:
            raise Transient("Stack Exchange sent an answer without all posts in it.")
        there: dict[str, Post | bool] = {str(as_dict(item).get(name)): True for item in data["items"]}
        posts = (one for one in _Reader(self._site).read(data) if isinstance(one, Post))
        return there | {post.external_id.rpartition("/")[2]: post for post in posts}

    # -- the wire

    def _filter(self, fields: str) -> str:
        """The name of the filter that lets these fields through; made once, since by default there are no texts."""
        known = self._shared.filters.get(fields)
        if known is None:
            params: _Params = {"base": "none", "include": fields.replace(" ", ";"), "unsafe": "false"}
            data, _ = self._get("filters/create", "/filters/create", params, of_site=False)
            name = as_dict(next(iter(as_list(data.get("items"))), None)).get("filter")
            if not isinstance(name, str) or not re.fullmatch(r"[\x21-\x7e]{1,500}", name):
                raise Transient("Stack Exchange did not make a filter.")
            known = self._shared.filters[fields] = name
        return known

    def _get(
        self,
        method: str,
        path: str,
        params: _Params | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        of_site: bool = True,
    ) -> tuple[dict[str, Any], Budget]:
        """The answer's data, and what it says of limits. Raises Transient, Terminal; at once while a method waits."""
        self._wait_for(method)
        asked = {**({"site": self._site} if of_site else {}), **(params or {})}
        answer = self._client.get(self._api + path, params=asked, headers=headers, fine=_REFUSALS)
        return self._understood(answer, method, sending=False)

    def _send(self, method: str, path: str, form: Mapping[str, str]) -> tuple[dict[str, Any], Budget]:
        """Raises Transient or Terminal where it is certain that nothing was posted, else OutcomeUnknown."""
        self._wait_for(f"{method}/add")
        answer = self._client.send("POST", self._api + path, form=form, headers=self._as_us(), fine=_REFUSALS)
        return self._understood(answer, f"{method}/add", sending=True)

    def _as_us(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"}

    def _wait_for(self, method: str) -> None:
        """Raises Transient while Stack Exchange wants no request of this method."""
        if (seconds := self._shared.left(method)) > 0:
            raise Transient("Stack Exchange asks us to wait before we ask the same again (backoff).", seconds)

    def _understood(self, answer: Answer, method: str, *, sending: bool) -> tuple[dict[str, Any], Budget]:
        if answer.status >= 400:
            raise self._refusal(answer, sending=sending)
        data = as_dict(answer.json(sending=sending))
        if "error_id" in data:  # errors may come with status 200, too
            raise self._refusal(replace(answer, status=400), sending=sending)
        return data, self._budget(data, method)

    def _budget(self, data: dict[str, Any], method: str) -> Budget:
        """What is left of the day; with a backoff, that there is nothing left of this method until it is over."""
        now = datetime.now(UTC)
        backoff = data.get("backoff")
        if _is_number(backoff) and backoff:
            seconds = min(backoff, 86_400)
            self._shared.note(method, seconds)
            return Budget(remaining=0, resets_at=now + timedelta(seconds=seconds), kind=method)
        left, most = data.get("quota_remaining"), data.get("quota_max")
        if not _is_number(left):
            return Budget()
        midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        return Budget(remaining=left, limit=most if _is_number(most) else None, resets_at=midnight)

    def _refusal(self, answer: Answer, *, sending: bool) -> ListeningError:
        """Stack Exchange's errors have numbers of their own in a body; the status is nearly always 400."""
        try:
            data = as_dict(json.loads(answer.body))
        except (ValueError, RecursionError):
            data = {}
        number, words = data.get("error_id"), data.get("error_message")
        said = one_line(words, 300).rstrip(".") if isinstance(words, str) else ""
        if number == 502 or answer.status == 429:
            return self._throttled(answer, said)
        if number in (500, 503):
            message = f"Stack Exchange is out of order at the moment ({number})."
            return OutcomeUnknown(message) if sending else Transient(message)
        if number in (401, 402, 405, 406):
            return BadCredentials(
                f"Stack Exchange did not accept the key or the access token ({number}): {said}.",
                "Enter a new one from stackapps.com.",
            )
        if number == 400 and "site" in said.lower():
            return Terminal(f"There is no Stack Exchange site called {self._site}.", "Correct the source's site.")
        if _is_number(number):
            return Terminal(
                f"Stack Exchange did not accept this ({number}): {said}.",
                "Check the source's query, and what the account may do on that site.",
            )
        return http.refused(TITLE, answer.status, answer.headers, answer.body, sending=sending)

    def _throttled(self, answer: Answer, said: str) -> Transient:
        """Too many requests of this network address: nothing may be asked until then, whatever it is."""
        match = re.search(r"in (\d{1,6}) seconds", said)
        seconds = float(match[1]) if match else http.retry_after(answer.headers)
        seconds = SLOW_DOWN if seconds is None else max(1.0, seconds)
        self._shared.note("", min(seconds, 86_400))
        return Transient("Stack Exchange had too many requests from this network address.", seconds)


_REFUSALS = range(400, 600)


# --- Small things --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Target:
    """Where an answer to a post goes: `path` lists what stands there, and takes more."""

    method: str
    path: str
    id_field: str
    max_chars: int
    post: str

    @property
    def is_comment(self) -> bool:
        return self.id_field == "comment_id"


def _target(post: Post, place: _Place) -> _Target:
    if post.parent_id is None and not place.is_comment:
        path = f"/questions/{place.number}/answers"
        return _Target("questions/answers", path, "answer_id", ANSWER_CHARS, place.number)
    number = (post.parent_id or "").rpartition("/")[2] if place.is_comment else place.number
    if not re.fullmatch(r"[0-9]{1,18}", number):
        raise Terminal("Nobody knows what this comment stands below.", "Open the post and answer there.")
    return _Target("posts/comments", f"/posts/{number}/comments", "comment_id", COMMENT_CHARS, number)


def _address(post: Post, target: _Target, number: int) -> str | None:
    host = urlsplit(post.url or "").netloc
    if not host:
        return None
    return (
        f"https://{host}/q/{target.post}#comment{number}_{target.post}"
        if target.is_comment
        else f"https://{host}/a/{number}"
    )


def _checked(text: str, target: _Target) -> str:
    """The text as it can be posted. Raises Terminal for one that Stack Exchange would refuse."""
    text = clean(text).strip()
    what = "A comment" if target.is_comment else "An answer"
    if not text:
        raise Terminal("The answer is empty.", "Write something.")
    if len(text) > target.max_chars:
        raise Terminal(
            f"{what} on Stack Exchange has at most {target.max_chars:,} characters; this has {len(text):,}.",
            "Shorten it.",
        )
    return text


def _words(markdown: object) -> list[str]:
    """To compare by: Markdown comes as HTML's letters, and ends of lines may differ."""
    return unescape(markdown).split() if isinstance(markdown, str) else []


def _asked_for(query: Query) -> tuple[str, _Params]:
    """The method and what it is asked. Raises Terminal."""
    mode = query.mode or CAPABILITY.default_mode
    words = clean(query.text).strip()
    if mode == "tag":
        tags = re.sub(r"[\[\]]", " ", words.lower()).replace(";", " ").split()
        if not 1 <= len(tags) <= 5 or not all(re.fullmatch(r"[^\s;/?&]{1,35}", tag) for tag in tags):
            raise Terminal("A source listens for one to five tags.", "Write such as kettle, or kettle steam.")
        return "questions", {"tagged": ";".join(tags)}
    if mode != "search":
        raise Terminal(f"Stack Exchange has no mode {mode[:40]!r}.", "Choose tag or search.")
    if not words or len(words) > MAX_QUERY:
        raise Terminal(
            "There is nothing to search for." if not words else "These are too many words for Stack Exchange.",
            f"Enter between one word and {MAX_QUERY} characters.",
        )
    return "search/advanced", {"q": words}


def _credential(account: Mapping[str, str], name: str) -> str:
    """Raises Terminal for what can be none; it would break the header that it goes into."""
    value = account.get(name, "").strip()
    if not re.fullmatch(r"[\x21-\x7e]{0,1000}", value):
        raise Terminal("The key or the access token has characters that none has.", "Copy it once more.")
    return value


def _site(text: str) -> str:
    """The site's name in the API, also out of its address. Raises Terminal."""
    typed = re.sub(r"^https?://", "", text.strip().lower()).partition("/")[0]
    name = typed.removesuffix(".stackexchange.com") if typed != "meta.stackexchange.com" else "meta.stackexchange"
    name = name.removesuffix(".com") or SITE
    if not _SITE.fullmatch(name):
        raise Terminal(f"{one_line(text, 60)!r} is no name of a site.", "Write such as stackoverflow or superuser.")
    return name


def _days(text: str) -> float:
    """Raises Terminal."""
    if not text.strip():
        return FIRST_DAYS
    if not re.fullmatch(r"[0-9]{1,4}", text.strip()):
        raise Terminal("The number of days is a number from 0 to 9999.", f"Write such as {FIRST_DAYS}.")
    return int(text)


def _paging(bound: Bound) -> _Params:
    page: _Params = {"page": bound.page} if bound.page > 1 else {}
    return {"min": int(bound.since.timestamp()), "pagesize": PER_PAGE, **page}
