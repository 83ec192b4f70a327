"""Reddit, through praw: searches, a subreddit's new posts or comments by polling, and our own inbox.

praw signs in and carries requests. Three of its habits are kept from it by `_Requestor`: it repeats a POST after a
failure (a reply could stand twice), it sleeps through rate limits, and it trips over a Retry-After that is a date.
Answers are read as plain JSON by the functions of `parse`, so that a recorded answer tests what runs.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import praw
import prawcore
import requests
from prawcore.exceptions import PrawcoreException, RequestException
from prawcore.sessions import FiniteRetryStrategy
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
from listeners.walking import ByTime, Listing, StaleToken, Token, since, walk
from listeners.wording import words

PLATFORM = "reddit"
SOURCE = "Reddit"
SITE = "https://www.reddit.com"
API = "https://oauth.reddit.com"
PAGE = 100
"""Items that Reddit puts on one page at most, and ids that it takes in one look-up."""
OVERLAP = timedelta(minutes=10)
"""Read again below the mark: Reddit's search index and its spam filter let some posts surface after others."""
MAX_QUERY = 512
FIND_PAGES = 3
CLOCKS_DIFFER = timedelta(minutes=1)

log = logging.getLogger(__name__)

_REACH = Reach("Reddit lists about the latest 1,000 and nothing below.", ends_after=1_000)

CAPABILITY = Capability(
    platform=PLATFORM,
    title="Reddit",
    answering=Answering.API,
    answering_rule="A comment under the post or comment, by the account's own user, where the thread is neither locked "
    "nor archived. A subreddit may have rules of its own against companies: read them first.",
    checked_on=date(2026, 11, 1),
    modes=(
        Mode(
            "search",
            "Search",
            "Words, or r/name and words",
            "Posts whose title or text match, newest first.",
            # It excludes words too, but with all their inflected forms.
            syntax=Syntax(
                max_length=MAX_QUERY,
                phrase='"{}"',
                either="OR",
                author="author:{}",
                author_names=r"[A-Za-z0-9_-]{3,20}",
                scope=r"/?r/[A-Za-z0-9_]{2,21}(?:\+[A-Za-z0-9_]{2,21}){0,20}",
            ),
            reach=_REACH,
        ),
        Mode(
            "posts", "New posts of a subreddit", "Subreddit", "Such as r/coffee, or r/coffee+tea for two.", reach=_REACH
        ),
        Mode(
            "comments",
            "New comments of a subreddit",
            "Subreddit",
            "Such as r/coffee, or r/coffee+tea for two.",
            reach=_REACH,
        ),
        Mode(
            "inbox",
            "Mentions of us and replies to us",
            "",
            "Needs a user. Private messages are left alone.",
            reach=_REACH,
        ),
    ),
    max_chars=10_000,
    editable=True,
    deletable=True,
    credentials=(
        CredentialField("client_id", "Client id", secret=False, help="From the app that Reddit approved."),
        CredentialField("client_secret", "Client secret", help="From the same app."),
        CredentialField(
            "username", "User name", secret=False, required=False, help="To answer, and for the inbox; without u/."
        ),
        CredentialField("password", "Password", required=False, help="Of that user, where the app is a script."),
        CredentialField(
            "refresh_token", "Refresh token", required=False, help="In place of user name and password, for a web app."
        ),
    ),
    guide=(
        "Ask Reddit to approve your use of its API, by the form that its help pages name under *Developer platform "
        "and accessing Reddit data*. Commercial use needs a contract.",
        "Signed in as the user that shall answer, open [Reddit's list of apps](https://www.reddit.com/prefs/apps) and "
        "press *create another app*. Choose *script*, and any redirect address, such as *http://localhost*.",
        "Copy the **client id** from below the app's name, and the **client secret**.",
        "To answer and for the inbox, enter the **user name** without u/ and the **password**. The user must have "
        "two-factor sign-in switched off. A web app uses a **refresh token** instead, with the scopes *identity read "
        "history privatemessages submit*.",
    ),
    oauth=OAuth(
        authorize_url=f"{SITE}/api/v1/authorize",
        token_url=f"{SITE}/api/v1/access_token",
        scopes=("identity", "read", "history", "privatemessages", "submit"),
        asks=("client_id", "client_secret"),
        refresh="refresh_token",
        replaces=("username", "password"),
        guide=(
            "Ask Reddit to approve your use of its API, by the form that its help pages name under *Developer platform "
            "and accessing Reddit data*. Commercial use needs a contract.",
            "Open [Reddit's list of apps](https://www.reddit.com/prefs/apps) and press *create another app*. Choose "
            "*web app*, and enter the redirect URI below.",
            "Copy the **client id** from below the app's name, and the **client secret**.",
            "Be signed in to Reddit as the user that shall answer when you go on.",
        ),
        extra=(("duration", "permanent"),),
        pkce=False,
        basic=True,
    ),
    key_needed=True,
    limits="100 requests a minute for each client. A listing ends after about 1,000 items.",
    search_syntax='Words, "phrases", AND, OR, NOT, title:, selftext:, author:, subreddit:, flair:, site:, self:yes',
    trainable=False,
    cross_person_matching=False,
    recheck_every=timedelta(hours=6),
    duties="Whatever is deleted on Reddit must go here too, with its author's name. Reddit approves each use, and "
    "commercial use by contract. No training on what is read, and no finding out who stands behind a user name.",
)

_Json: TypeAlias = dict[str, Any]


def open(account: Mapping[str, str], options: Options) -> RedditListener:
    """A listener for an account's fields as `CAPABILITY.credentials` names them; without any it can only parse."""
    return RedditListener(account, options)


# --- What Reddit answers, as posts -----------------------------------------------------------------------------------

_FULLNAME = re.compile(r"t[13]_[0-9a-z]{1,13}")
_NO_POSTS = ("more", "t2", "t4", "t5", "t6")
"""Kinds of thing that are left out: a private message (t4) was not said in public, the others are not said at all."""
_GONE = re.compile(r"\[ ?(deleted|removed)[^\]]{0,100}\]", re.IGNORECASE)
_USER_NAMED = re.compile(r"(?<![\w/])/?u/([A-Za-z0-9_-]{3,20})(?![\w-])")
_USER_NAME = re.compile(r"[A-Za-z0-9_-]{3,20}")
_POST_OF_CONTEXT = re.compile(r"/comments/([0-9a-z]{1,13})(?:/|$)")


def parse(answer: bytes) -> list[Post | Rejected]:
    """A listing, a comments page (with the replies inside), an answer of /api/info or of a comment just posted.

    Raises Terminal for anything else.
    """
    try:
        document = json.loads(answer)
    except (ValueError, RecursionError) as error:
        raise _not_reddit("This is no JSON, so no answer of Reddit's.") from error
    return [_post_or_rejected(thing, where) for where, thing in _things(document)]


def _things_or_transient(document: object) -> list[tuple[str, object]]:
    """The things of an answer that was asked for just now."""
    try:
        return list(_things(document))
    except Terminal as error:
        raise Transient("Reddit answered something other than a listing.") from error


def _not_reddit(message: str) -> Terminal:
    return Terminal(message, "Give one answer of Reddit's API as it came, such as that of /r/name/new.")


def _things(document: object) -> Iterator[tuple[str, object]]:
    """The posts and comments of an answer, each with the place where it stood, from the top of the page down."""
    todo: list[tuple[str, object]] = []
    for n, listing in enumerate(document if isinstance(document, list) and document else [document]):
        children = _children(listing, f"[{n}]")
        if children is None:
            raise _not_reddit("This is no listing of Reddit's.")
        todo += children
    todo.reverse()
    while todo:  # not by recursion: replies to replies go as deep as people like
        where, thing = todo.pop()
        if isinstance(thing, dict) and thing.get("kind") in _NO_POSTS:
            continue
        yield where, thing
        data = thing.get("data") if isinstance(thing, dict) else None
        replies = data.get("replies") if isinstance(data, dict) else None
        if replies:  # "" where there are none
            below = _children(replies, f"{where}.replies")
            todo += [(f"{where}.replies", replies)] if below is None else reversed(below)


def _children(listing: object, where: str) -> list[tuple[str, object]] | None:
    """What stands directly in one listing, or in the answer to a comment just posted; None where it is neither."""
    if isinstance(listing, dict):
        for outer, inner in (("data", "children"), ("json", "things")):
            data = listing.get(outer)
            if outer == "json" and isinstance(data, dict):
                data = data.get("data", {"things": []})  # absent where there were errors
            children = data.get(inner) if isinstance(data, dict) else None
            if isinstance(children, list):
                return [(f"{where}.{inner}[{n}]".removeprefix("[0]."), child) for n, child in enumerate(children)]
    return None


def _post_or_rejected(thing: object, where: str, *, also_gone: bool = False) -> Post | Rejected:
    try:
        return _post(thing, also_gone)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)[0]
        return Rejected(where, f"{'.'.join(map(str, wrong['loc']))}: {wrong['msg']}")
    except _NoPost as error:
        return Rejected(where, str(error))


class _NoPost(ValueError):
    """Why a thing is no post, in words."""


def _post(thing: object, also_gone: bool) -> Post:
    data = thing.get("data") if isinstance(thing, dict) else None
    if not isinstance(thing, dict) or not isinstance(data, dict):
        raise _NoPost("is not a thing with data")
    fullname = _fullname(thing, data)
    if _is_gone(data) and not also_gone:
        raise _NoPost(f"{fullname} was deleted or removed on Reddit")
    is_comment = fullname.startswith("t1_")
    posted_at = _moment(data.get("created_utc"), "created_utc")
    text: Any = data.get("body" if is_comment else "selftext")
    if text in (None, "") and not is_comment:
        text = "" if data.get("is_self") else data.get("url", "")  # a link post says its link
    return Post(
        platform=PLATFORM,
        external_id=fullname,
        url=_permalink(data, fullname),
        author=_author(data),
        title=None if is_comment else data.get("title"),
        text=text,
        posted_at=posted_at,
        edited_at=None if isinstance(data.get("edited"), (bool, type(None))) else _moment(data["edited"], "edited"),
        parent_id=_parent(data) if is_comment else None,
        root_id=_root(data) if is_comment else None,
        mentions=tuple(dict.fromkeys(_USER_NAMED.findall(text))) if isinstance(text, str) else (),
        engagement=_engagement(data),
        kind=Kind.COMMENT if is_comment else Kind.POST,
        context=_headed(data, posted_at) if is_comment else (),
    )


def _headed(data: _Json, posted_at: datetime) -> tuple[Post, ...]:
    """The post that a comment stands under, as far as a list of comments tells: its title, and not when it was made."""
    root, title, author = _root(data), data.get("link_title"), data.get("link_author")
    if root is None or not isinstance(title, str) or not title:
        return ()
    by = Author(id=author, handle=author) if isinstance(author, str) and _USER_NAME.fullmatch(author) else None
    return (
        Post(
            platform=PLATFORM,
            external_id=root,
            url=f"{SITE}/comments/{root[3:]}",
            author=by,
            title=title[:300],
            text="",
            posted_at=posted_at,
            posted_at_estimated=True,
        ),
    )


def _fullname(thing: _Json, data: _Json) -> str:
    name = data.get("name", f"{thing.get('kind')}_{data.get('id')}")
    if not isinstance(name, str) or not _FULLNAME.fullmatch(name):
        raise _NoPost("has no name as a post (t3_) or a comment (t1_) has one")
    return name


def _is_gone(data: _Json) -> bool:
    """Whether its author, a moderator or Reddit took it away. What a vanished user wrote may still stand."""
    if isinstance(data.get("removed_by_category"), str):
        return True
    text = data.get("body", data.get("selftext"))
    found = _GONE.fullmatch(text.strip()) if isinstance(text, str) else None
    if not found:
        return False
    # What a moderator removed keeps its author's name; "[deleted]" under a name is something that was really written.
    return found[1].lower() == "removed" or data.get("author") in (None, "[deleted]")


def _author(data: _Json) -> Author | None:
    handle = data.get("author")
    if handle in (None, "", "[deleted]"):
        return None
    return Author(id=data.get("author_fullname") or handle, handle=handle)


def _moment(seconds: object, name: str) -> datetime:
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise _NoPost(f"{name} is no number of seconds")
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise _NoPost(f"{name} is no moment: {seconds!r:.40}") from error


def _permalink(data: _Json, fullname: str) -> str | None:
    link = data.get("permalink") or data.get("context")
    if isinstance(link, str) and link.startswith("/"):
        return SITE + link.removesuffix("?context=3")
    if fullname.startswith("t3_"):
        return f"{SITE}/comments/{fullname[3:]}"
    root = _root(data)
    return f"{SITE}/comments/{root[3:]}/_/{fullname[3:]}" if root else None


def _parent(data: _Json) -> str | None:
    return _name_or_none(data.get("parent_id"))


def _root(data: _Json) -> str | None:
    """The post that a comment stands under: named outright, or, in the inbox, in the address of its context."""
    context = data.get("context")
    found = _POST_OF_CONTEXT.search(context) if isinstance(context, str) else None
    parent = _parent(data)
    above = parent if parent and parent.startswith("t3_") else None
    return _name_or_none(data.get("link_id")) or (f"t3_{found[1]}" if found else above)


def _name_or_none(name: object) -> str | None:
    return name if isinstance(name, str) and _FULLNAME.fullmatch(name) else None


def _engagement(data: _Json) -> dict[str, int]:
    """The counts that are shown in public; a score below zero is no count, and a hidden one is not shown."""
    counts = {
        "score": None if data.get("score_hidden") is True else data.get("score"),
        "comments": data.get("num_comments"),
    }
    return {name: n for name, n in counts.items() if type(n) is int and 0 <= n < 2**31}


# --- The listener ----------------------------------------------------------------------------------------------------

_SUBREDDIT = re.compile(r"(?:/?r/)?([A-Za-z0-9_]{2,21}(?:\+[A-Za-z0-9_]{2,21}){0,20})/?")
_SEARCH_IN = re.compile(r"/?r/([A-Za-z0-9_]{2,21}(?:\+[A-Za-z0-9_]{2,21}){0,20})\s+(\S.*)", re.DOTALL)


class RedditListener:
    """`Listener`, `Answers` and `ReadsAgain` for Reddit with one app and, where given, one user."""

    capability = CAPABILITY

    def __init__(self, account: Mapping[str, str], options: Options) -> None:
        self._account = {name: value.strip() for name, value in account.items() if value.strip()}
        self._options = options
        self._connected: tuple[praw.Reddit, _Requestor] | None = None
        self._me: Author | None = None
        _check_account(self._account)

    def parse(self, answer: bytes) -> list[Post | Rejected]:
        return parse(answer)

    def check(self) -> Health:
        """Signs in, and says as whom. Raises Transient, Terminal."""
        if not self._has_user:
            self._get("r/all/new", limit=1)
            return Health(
                True, "Reddit answers this app. Without a user it can read, but neither answer nor see an inbox."
            )
        me = self._who_am_i()
        return Health(True, f"Reddit answers, and knows us as u/{me.handle}.", me)

    def fetch(self, query: Query, cursor: Cursor) -> Iterator[Page]:
        path, params = self._listing_of(query)
        asked_before = False

        def page_at(token: Token) -> Listing:
            nonlocal asked_before
            found, after = self._page(path, token, params)
            # A walk that goes on from a token of long ago: nothing below it may mean that it means nothing any more.
            if token and not asked_before and not found and after is None:
                raise StaleToken
            asked_before = True
            return Listing(
                posts=self._in_context([post for post in found if isinstance(post, Post)]),
                next_token=after,
                rejected=[rejected for rejected in found if isinstance(rejected, Rejected)],
                budget=self._requestor.budget,
            )

        return walk(page_at, cursor, order=ByTime(overlap=OVERLAP))

    def _in_context(self, posts: list[Post]) -> list[Post]:
        """The posts, each comment with what it answers and the post that it stands under: a request for a hundred."""
        names = [name for post in posts for name in _above(post)]
        if not names:
            return posts
        there = {post.external_id: post for post in posts}
        try:
            told = self.as_they_are([name for name in dict.fromkeys(names) if name not in there])
        except ListeningError as error:  # the page was read; it can be understood without, if less well
            log.info("What some comments on Reddit answer could not be read: %s", error)
            return posts
        there |= {name: one for name, one in told.items() if isinstance(one, Post)}
        return [post.model_copy(update={"context": _around(post, there, told)}) for post in posts]

    def since(self, query: Query, moment: datetime) -> Cursor:
        """See `LooksBack`."""
        return since(moment)

    def _listing_of(self, query: Query) -> tuple[str, dict[str, str]]:
        """The path and parameters of the listing that a query means. Raises Terminal for one that means none."""
        mode, text = query.mode or CAPABILITY.default_mode, clean(query.text).strip()
        if mode == "inbox":
            self._need_user("The inbox is a user's")
            return "message/inbox", {}
        if mode in ("posts", "comments"):
            named = _SUBREDDIT.fullmatch(text)
            if not named:
                raise Terminal(f"{text[:80]!r} is no name of a subreddit.", "Give a name such as r/coffee.")
            return f"r/{named[1]}/{'new' if mode == 'posts' else 'comments'}", {}
        if mode != "search":
            raise Terminal(
                f"Reddit has no mode {mode[:80]!r}.", f"Choose {', '.join(m.name for m in CAPABILITY.modes)}."
            )
        within = _SEARCH_IN.fullmatch(text)
        words = within[2] if within else text
        if not words or re.fullmatch(r"/?r/\S*", words):
            raise Terminal("There are no words to search for.", "Give words, or r/name followed by words.")
        if len(words) > MAX_QUERY:
            raise Terminal(
                f"The search is {len(words)} characters long; Reddit takes {MAX_QUERY}.", "Make the search shorter."
            )
        where = f"r/{within[1]}/search" if within else "search"
        return where, {"q": words, "sort": "new", "t": "all", "type": "link", "restrict_sr": str(bool(within)).lower()}

    # Deletes

    def still_there(self, external_ids: Sequence[str]) -> Mapping[str, bool]:
        """Whether these still stand. Raises Transient, Terminal."""
        return {name: told is not False for name, told in self.as_they_are(external_ids).items()}

    def as_they_are(self, external_ids: Sequence[str]) -> Mapping[str, Post | bool]:
        """Asks for up to 100 at a time. What Reddit leaves out is left out here too: it proves nothing."""
        names = [name for name in dict.fromkeys(external_ids) if _FULLNAME.fullmatch(name)]
        return {name: _standing(data) for name, data in self._info(names).items()}

    def _info(self, names: Sequence[str]) -> dict[str, _Json]:
        """What Reddit tells about posts and comments, by fullname."""
        told: dict[str, _Json] = {}
        for start in range(0, len(names), PAGE):
            document = self._get("api/info", id=",".join(names[start : start + PAGE]))
            for _, thing in _things_or_transient(document):
                data = thing.get("data") if isinstance(thing, dict) else None
                if isinstance(data, dict) and data.get("name") in names:
                    told[data["name"]] = data
        return told

    # Answers

    def may_answer(self, post: Post) -> Verdict:
        """Asks whether the thread is locked, archived or gone, which costs one request of a hundred a minute."""
        if not self._has_user:
            return Verdict(False, "The account has no Reddit user, so it can only read. Enter a user to answer.")
        if post.platform != PLATFORM or not _FULLNAME.fullmatch(post.external_id):
            return Verdict(False, "This is no post or comment of Reddit's.")
        names = list(dict.fromkeys([post.external_id, *_fullnames(post.root_id)]))
        try:
            told = self._info(names)
        except Terminal as error:
            return Verdict(False, f"{error} {error.what_to_do}")
        except Transient as error:
            return Verdict(True, f"Reddit could not be asked whether the thread is open: {error}")
        return _verdict(told.get(post.external_id, {}), told.get(names[-1], {}))

    def answer(self, post: Post, text: str, key: str) -> Sent:
        """Posts a comment, in one attempt. Reddit knows no idempotency key: see `find`."""
        self._need_user("Answers are a user's")
        if not _FULLNAME.fullmatch(post.external_id):
            raise Terminal("This is no post or comment of Reddit's.", "Answer it where it was made.")
        document = self._ask("POST", "api/comment", data={"thing_id": post.external_id, "text": clean(text)})
        return replace(_sent(document), budget=self._requestor.budget)

    def find(self, post: Post, text: str, key: str, since: datetime) -> Sent | Absent | CannotTell:
        """Reads our own comments, then the thread: absent is what both agree on. Raises Transient, Terminal."""
        me = self._who_am_i()
        since -= CLOCKS_DIFFER
        known = True
        others = False
        for look in (self._on_our_page, self._in_the_thread):
            found, complete = look(post, me, since)
            answers = [one for one in found if one.parent_id == post.external_id and one.posted_at >= since]
            for answer in answers:
                if words(answer.text) == words(text):
                    return Sent(answer.external_id, answer.url, answer.posted_at)
            known, others = known and complete, others or bool(answers)
        if others:
            return CannotTell("An answer of ours stands there since then, with other words. Look at it on Reddit.")
        return Absent() if known else CannotTell("Reddit does not show all that we have written since then.")

    def _on_our_page(self, post: Post, me: Author, since: datetime) -> tuple[list[Post], bool]:
        """Our comments since a moment, newest first, removed ones too, and whether those are all."""
        ours: list[Post] = []
        readable = True
        after: str | None = None
        for _ in range(FIND_PAGES):
            found, after = self._page(f"user/{me.handle}/comments", after, {"sort": "new"}, also_gone=True)
            ours += (posts := [one for one in found if isinstance(one, Post)])
            readable = readable and len(posts) == len(found)
            if after is None or (posts and posts[-1].posted_at < since):
                return ours, readable
        return ours, False

    def _in_the_thread(self, post: Post, me: Author, since: datetime) -> tuple[list[Post], bool]:
        """What is ours right below a post or comment, as far as Reddit shows it on one page, and whether it does."""
        name, params = post.external_id, {"sort": "new", "depth": "1", "limit": "500"}
        if name.startswith("t1_"):  # a comment is asked for with its thread, and stands above its replies
            name, params = post.root_id or "", {**params, "depth": "2", "comment": name[3:]}
        if not _fullnames(name):
            return [], True  # nobody can ask for the thread; our own page has to do
        try:
            things = _things_or_transient(self._get(f"comments/{name[3:]}", **params))
        except Terminal:  # gone, or private by now: it shows nothing, which proves nothing
            return [], False
        below = [_post_or_rejected(thing, where, also_gone=True) for where, thing in things]
        return [one for one in below if isinstance(one, Post) and one.author and _same_user(one.author, me)], True

    # Talking to Reddit

    @property
    def _has_user(self) -> bool:
        return "refresh_token" in self._account or {"username", "password"} <= self._account.keys()

    def _need_user(self, reason: str) -> None:
        if not self._has_user:
            raise Terminal(
                f"{reason}, and the account names none.", "Enter user name and password, or a refresh token."
            )

    def _who_am_i(self) -> Author:
        self._need_user("Only a user has a name")
        if self._me is None:
            told = self._get("api/v1/me")
            name, number = (told.get("name"), told.get("id")) if isinstance(told, dict) else (None, None)
            if not isinstance(name, str) or not _USER_NAME.fullmatch(name):
                raise Transient("Reddit did not say who we are.")
            if told.get("is_suspended") is True:
                raise Terminal(f"Reddit has suspended u/{name}.", "Look into that user's messages on Reddit.")
            self._me = Author(id=f"t2_{number}" if isinstance(number, str) and number else name, handle=name)
        return self._me

    def _page(
        self, path: str, token: Token, params: Mapping[str, str], *, also_gone: bool = False
    ) -> tuple[list[Post | Rejected], str | None]:
        """One page of a listing, and the token of the page after."""
        document = self._get(path, limit=PAGE, **params, **({"after": str(token)} if token else {}))
        things = _things_or_transient(document)
        found = [_post_or_rejected(thing, where, also_gone=also_gone) for where, thing in things]
        return found, _name_after(document)

    def _get(self, path: str, **params: str | int) -> Any:
        return self._ask("GET", path, params=params)

    def _ask(self, method: str, path: str, **request: Any) -> Any:
        """The answer's JSON. Raises ListeningError; for a POST, as `Answers.answer` does."""
        reddit, _ = self._connection()
        try:
            return reddit.request(method=method, path=path, **request)
        except PrawcoreException as error:  # 401, also with a fresh token: all else `_Requestor` has told already
            response = getattr(error, "response", None)
            if response is None:
                raise Terminal(f"Reddit: {error}.", "Enter the account's credentials again.") from error
            raise _refused(response) from error

    @property
    def _requestor(self) -> _Requestor:
        return self._connection()[1]

    def _connection(self) -> tuple[praw.Reddit, _Requestor]:
        if self._connected is None:
            if not {"client_id", "client_secret"} <= self._account.keys():
                raise Terminal(
                    "Reddit needs an account.", "Enter the client id and secret of an app that Reddit approved."
                )
            self._connected = self._connect()
        return self._connected

    def _connect(self) -> tuple[praw.Reddit, _Requestor]:
        made: list[_Requestor] = []

        def requestor(**settings: Any) -> _Requestor:
            made.append(_Requestor(**settings, session=http.session(self._options), timeout=self._options.timeout))
            return made[-1]

        given = self._account.get
        base = self._options.base_url.rstrip("/") if self._options.base_url else None
        user = given("username")
        reddit = praw.Reddit(  # every setting by name, for praw would also read them from its environment and praw.ini
            requestor_class=requestor,  # type: ignore[arg-type]  # praw only calls it
            client_id=given("client_id"),
            client_secret=given("client_secret"),
            username=user,
            password=given("password"),
            refresh_token=given("refresh_token"),
            redirect_uri=None,
            user_agent=http.user_agent() + (f" (by /u/{user})" if user and _USER_NAME.fullmatch(user) else ""),
            oauth_url=(base or API) + "/",
            reddit_url=base or SITE,
            check_for_updates=False,
            check_for_async=False,
        )
        for core in filter(None, (getattr(reddit, name) for name in ("_read_only_core", "_authorized_core"))):
            core._retry_strategy_class = _AtOnce
        return reddit, made[0]


class _AtOnce(FiniteRetryStrategy):
    """What prawcore repeats, a refused token above all, it repeats without the sleep, which would hold up a worker."""

    def _sleep_seconds(self) -> None:
        return None


def _standing(data: _Json) -> Post | bool:
    """A post or comment as it stands; False where it was taken away, True where it cannot be read."""
    if _is_gone(data):
        return False
    found = _post_or_rejected({"data": data}, data["name"])
    return found if isinstance(found, Post) else True


def _above(post: Post) -> list[str]:
    """What a comment answers, and the post that it stands under."""
    return [name for name in dict.fromkeys([post.parent_id, post.root_id]) if name]


def _around(post: Post, there: Mapping[str, Post], told: Mapping[str, Post | bool]) -> tuple[Post, ...]:
    """What is above a post, of those that are there; of what Reddit did not speak of, what came with the post."""
    came = {one.external_id: one for one in post.context}
    named = ((there.get(name) or (came.get(name) if told.get(name) is None else None)) for name in _above(post))
    return tuple(one.model_copy(update={"context": ()}) for one in named if one is not None)


def _check_account(account: Mapping[str, str]) -> None:
    for name in ("client_id", "client_secret", "refresh_token"):
        if not account.get(name, "").isascii():
            raise Terminal(f"Reddit's {name} has characters that it cannot have.", "Copy it again from Reddit.")


def _name_after(document: object) -> str | None:
    data = document.get("data") if isinstance(document, dict) else None
    after = data.get("after") if isinstance(data, dict) else None
    return after if isinstance(after, str) and re.fullmatch(r"t[1-6]_[0-9a-z]{1,13}", after) else None


def _fullnames(name: object) -> list[str]:
    """The name, if it is one of a post or a comment."""
    return [name] if isinstance(name, str) and _FULLNAME.fullmatch(name) else []


def _same_user(one: Author, other: Author) -> bool:
    return one.handle.lower() == other.handle.lower()


def _verdict(thing: _Json, root: _Json) -> Verdict:
    """From what Reddit tells of a post or comment and of the post that it stands under."""
    if thing and _is_gone(thing):
        return Verdict(False, "It was deleted or removed on Reddit.")
    if thing.get("locked") is True or root.get("locked") is True:
        return Verdict(False, "Moderators have locked it, so nobody can answer it.")
    if thing.get("archived") is True or root.get("archived") is True:
        return Verdict(False, "The thread is archived, so nobody can answer it any more.")
    return Verdict(True, "Reddit lets our user answer this with a comment.")


# --- What came of an answer ------------------------------------------------------------------------------------------


def _sent(document: object) -> Sent:
    """What Reddit answered to a comment. Raises as `Answers.answer` does."""
    answer = document.get("json") if isinstance(document, dict) else None
    if not isinstance(answer, dict):
        raise OutcomeUnknown("Reddit took the answer, but did not say what became of it.")
    errors = answer.get("errors")
    if errors:
        raise _not_posted(errors, answer.get("ratelimit"))
    data = answer.get("data")
    things = data.get("things") if isinstance(data, dict) else None
    thing = things[0] if isinstance(things, list) and things else None
    posted = thing.get("data") if isinstance(thing, dict) else None
    if not isinstance(posted, dict) or not (names := _fullnames(posted.get("name"))):
        raise OutcomeUnknown("Reddit took the answer, but did not show the comment; it may have been posted.")
    parsed = _post_or_rejected(thing, "json.data.things[0]")
    if isinstance(parsed, Rejected):  # it stands, which is what counts
        return Sent(names[0], _permalink(posted, names[0]), datetime.now(UTC))
    return Sent(parsed.external_id, parsed.url, parsed.posted_at)


def _not_posted(errors: object, ratelimit: object) -> ListeningError:
    """Reddit's own reasons for not posting a comment: lists of a code, words and a field."""
    first = errors[0] if isinstance(errors, list) and errors else None
    if not isinstance(first, list) or not first or not all(isinstance(part, (str, type(None))) for part in first):
        return OutcomeUnknown("Reddit took the answer, but what it said became of it makes no sense.")
    code, words = (*first, None)[:2]
    said = " ".join(clean(words or code or "").split())[:300]
    if code == "RATELIMIT":
        return Transient(f"Reddit wants a break before the next comment: {said}", _break(said, ratelimit))
    if code in ("SOMETHING_IS_BROKEN", "UNKNOWN"):
        return OutcomeUnknown(f"Reddit failed while it took the comment: {said}")
    return Terminal(
        f"Reddit did not take the comment: {said}", _WHAT_TO_DO.get(code, "Change the answer, or post it by hand.")
    )


_WHAT_TO_DO = {
    "THREAD_LOCKED": "Nobody can answer there any more; close the conversation.",
    "TOO_OLD": "Nobody can answer there any more; close the conversation.",
    "DELETED_COMMENT": "What was to be answered is gone; close the conversation.",
    "DELETED_LINK": "What was to be answered is gone; close the conversation.",
    "TOO_LONG": "Make the answer shorter.",
    "NO_TEXT": "Write an answer.",
    "SUBREDDIT_BAN": "Ask the moderators of the subreddit.",
    "BANNED_FROM_SUBREDDIT": "Ask the moderators of the subreddit.",
    "USER_BLOCKED": "They have blocked us; close the conversation.",
}
_BREAK = re.compile(r"(\d{1,6})\s*(millisecond|second|minute|hour)")
_SECONDS = {"millisecond": 0.001, "second": 1.0, "minute": 60.0, "hour": 3600.0}


def _break(said: str, ratelimit: object) -> float | None:
    """Seconds to wait: from the number beside the error, or else from "take a break for 5 minutes"."""
    if type(ratelimit) in (int, float) and 0 <= ratelimit <= 86_400:  # type: ignore[operator]  # a number by the first test
        return float(ratelimit)  # type: ignore[arg-type]
    found = _BREAK.search(said)
    return int(found[1]) * _SECONDS[found[2]] if found else None


# --- praw's requests, each made once --------------------------------------------------------------------------------


class _Requestor(prawcore.Requestor):
    """Carries praw's requests: once, without waiting, and with failures told in the room's own errors.

    Those errors are none that prawcore knows, so it neither repeats the request nor changes them. Only a 401 is left
    to it, which it answers by signing in anew: nothing was done by then.
    """

    budget = Budget()

    def request(self, *args: Any, timeout: float | None = None, **kwargs: Any) -> requests.Response:
        method, url = str(args[0]), str(args[1])
        signing_in = urlsplit(url).path.endswith("/api/v1/access_token")
        sending = method.upper() != "GET" and not signing_in
        self._wait_for_budget(signing_in)
        if signing_in:
            kwargs["headers"] = {}  # prawcore's "Connection: close" would leave a dead connection to the next request
        if sending:
            self.close()  # onto a new connection: on one kept alive too long nobody could tell whether it arrived
        try:
            response = super().request(*args, timeout=self.timeout, **kwargs)
        except RequestException as error:
            raise http.failed(SOURCE, error.original_exception, sending=sending) from error
        self._note_budget(response)
        if signing_in:
            _check_token(response)
        elif response.status_code != 401:
            _check(response, sending)
        return response

    def _wait_for_budget(self, signing_in: bool) -> None:
        """Instead of prawcore's sleep, which would hold up a worker for ten minutes."""
        left, resets_at = self.budget.remaining, self.budget.resets_at
        if signing_in or left is None or left > 0 or resets_at is None:
            return
        seconds = (resets_at - datetime.now(UTC)).total_seconds()
        if seconds > 0:
            raise Transient(f"Reddit takes no more requests from us for {seconds:.0f} seconds.", seconds)

    def _note_budget(self, response: requests.Response) -> None:
        """Takes the rate headers away from prawcore, which would sleep by them, or fail on odd ones."""
        remaining, used, reset = (
            response.headers.pop(f"x-ratelimit-{name}", "") for name in ("remaining", "used", "reset")
        )
        if not all(re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value) for value in (remaining, used, reset)):
            return
        left = int(float(remaining))
        resets_at = datetime.now(UTC) + timedelta(seconds=min(float(reset), 86_400))
        self.budget = Budget(left, left + int(float(used)), resets_at)


def _check(response: requests.Response, sending: bool) -> None:
    """Raises the error that a response means; a 401 is not asked about here."""
    if response.status_code >= 400:
        raise _refused(response, sending=sending)
    if response.is_redirect:
        raise Terminal("Reddit knows no such subreddit or page.", "Check the name of the subreddit.")
    _json(response, sending=sending)


def _json(response: requests.Response, *, sending: bool = False) -> Any:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return http.Answer(response.status_code, headers, response.content, response.url, SOURCE).json(sending=sending)


def _refused(response: requests.Response, *, sending: bool = False) -> ListeningError:
    """What an error status means. Reddit's own reason, where it gives one, says more than its message."""
    said: dict[str, str] = {}
    try:
        told = response.json()
    except (ValueError, RecursionError):
        told = None
    if isinstance(told, dict):
        reason = told.get("explanation") or told.get("reason") or told.get("message")
        said = {"message": _REASONS.get(str(reason), str(reason))} if reason else {}
    return http.refused(SOURCE, response.status_code, response.headers, json.dumps(said).encode(), sending=sending)


_REASONS = {
    "private": "the subreddit is private",
    "banned": "Reddit has banned the subreddit",
    "quarantined": "the subreddit is in quarantine",
    "gold_only": "the subreddit is for premium members only",
}


def _check_token(response: requests.Response) -> None:
    """Raises the error that an answer of the token endpoint means. Nothing has been asked or sent before it."""
    status = response.status_code
    if status in (400, 401, 403):
        raise BadCredentials(f"Reddit did not accept the app's client id and secret ({status}).", "Enter both again.")
    if status >= 400:
        raise _refused(response)
    told = _json(response)
    if isinstance(told, dict) and "error" in told:
        said = " ".join(str(told.get("error_description") or told["error"]).split())[:300]
        raise BadCredentials(
            f"Reddit did not let us sign in: {said}.",
            "Check user name, password or refresh token, and that the app is of the kind that uses them.",
        )
    if not (
        isinstance(told, dict)
        and isinstance(told.get("access_token"), str)
        and type(told.get("expires_in")) in (int, float)
        and isinstance(told.get("scope"), str)
    ):
        raise Transient("Reddit let us sign in, but gave no token to go on with.")
