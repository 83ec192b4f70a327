"""WordPress: the comments below a site's posts, through its own REST API, answered in their thread.

The account is a user of the site with an application password, who may moderate comments. An answer carries its
idempotency key in the field that WordPress keeps for the writer's program, so that looking below a comment proves
whether the answer stands there; besides, WordPress itself refuses the same words below the same comment twice.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from html import escape, unescape
from typing import Any, TypeAlias
from urllib.parse import urlsplit, urlunsplit

from pydantic import ValidationError

from listeners.base import (
    Absent,
    Answering,
    Author,
    BadCredentials,
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
from listeners.http import Answer, Client, refused, user_agent
from listeners.plain_text import from_html, one_line
from listeners.untrusted import as_dict, iso_moment
from listeners.walking import ByTime, Listing, StaleToken, Token, since, walk

PLATFORM = "wordpress"
TITLE = "WordPress"
PER_PAGE = 100
"""Comments that WordPress puts on one page at most, and ids that it takes in one look-up."""
WATCHED = 200
"""So many comments that wait for a moderator are asked about again, the newest."""
FLOOD_WAIT = 15.0
"""Seconds that WordPress wants between two comments of one writer."""
DEPTH = 10
"""So deep do threads go, by WordPress' own settings."""
MAX_BYTES = 65_525
CLOCKS_DIFFER = timedelta(minutes=1)

_FIELDS = "id,post,parent,author,author_name,author_avatar_urls,date_gmt,content,link,status,_links,_embedded"
_OWN_FIELDS = "id,post,parent,author,author_user_agent,date_gmt,content,link,status"

_Json: TypeAlias = dict[str, Any]


def length(text: str) -> int:
    """The bytes that a text takes in WordPress, where & < > are written as entities."""
    return len(escape(clean(text), quote=False).encode())


_REACH = Reach("The site gives all of its comments.")

CAPABILITY = Capability(
    platform=PLATFORM,
    title=TITLE,
    answering=Answering.API,
    answering_rule="Any public comment may be answered below it, where the post is still open for comments.",
    checked_on=date(2026, 11, 22),
    modes=(
        Mode("comments", "Comments on the site", "", "All of them, as soon as they are public.", reach=_REACH),
        Mode(
            name="search",
            label="Comments with certain words",
            query_label="Words",
            help="WordPress looks for them inside of words and in the writers' names, too.",
            # It takes what it is asked for as one piece of text, line breaks and all.
            syntax=Syntax(together=False, prefix="{}"),
            reach=_REACH,
        ),
    ),
    max_chars=MAX_BYTES,
    length=length,
    counted_in="bytes",
    editable=True,
    deletable=True,
    credentials=(
        CredentialField("site", "Address of the site", secret=False, help="Such as https://blog.example.com."),
        CredentialField(
            "username", "User name", secret=False, help="Of an Editor or Administrator: the name you sign in with."
        ),
        CredentialField(
            "application_password",
            "Application password",
            help="WordPress: Users, Profile, Application Passwords, at the bottom. Not the password you sign in with.",
        ),
    ),
    guide=(
        "Sign in to the site as the user that shall answer, who must be an Editor or an Administrator. The **user "
        "name** is the one you type.",
        "Open *Users*, *Profile*. At the bottom, under *Application Passwords*, type *Samtal* and press *Add*.",
        "Copy the **application password** here. WordPress shows it once; its spaces do not matter.",
    ),
    key_needed=True,
    limits="WordPress itself sets none; 100 comments a request.",
    search_syntax="one word; the rest of a query is looked at here",
    poll_every=timedelta(minutes=1),
    recheck_every=timedelta(hours=6),
    find_lag=timedelta(minutes=1),
    duties="What is deleted, or taken for spam, on the site goes here too.",
)


def open(account: Mapping[str, str], options: Options) -> WordPress:
    """A listener for one site (`site`, `username`, `application_password`). Raises Terminal for an unusable address.

    Asks no network; without an account it can only parse.
    """
    return WordPress(account, options)


# --- From the wire to posts ----------------------------------------------------------------------------------------

_ID = re.compile(r"(?P<site>.+)#comment-(?P<number>[1-9][0-9]{0,18})")
_AVATAR = re.compile(r"/avatar/([0-9a-f]{32,64})(?=[?/]|$)")


class _NoPost(Exception):
    """Why a comment is no post, in words."""


def _parsed(items: Sequence[object], site: str, roots: Mapping[int, int]) -> list[Post | Rejected]:
    """Posts of comments as the API gives them. `roots` tells the first comment of the thread that a comment is in."""
    return [_post_or_rejected(f"comment {n}", item, site, roots) for n, item in enumerate(items, start=1)]


def _post_or_rejected(where: str, item: object, site: str, roots: Mapping[int, int]) -> Post | Rejected:
    try:
        return _post(item, site, roots)
    except _NoPost as error:
        return Rejected(where, str(error))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        return Rejected(where, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")


def _post(item: object, site: str, roots: Mapping[int, int]) -> Post:
    """Raises _NoPost, ValidationError."""
    comment = as_dict(item)
    number, link, html = comment.get("id"), comment.get("link"), as_dict(comment.get("content")).get("rendered")
    if not _is_id(number):
        raise _NoPost("has no number")
    if comment.get("status") != "approved":
        raise _NoPost(f"is not public: its status is {one_line(repr(comment.get('status')), 60)}")
    if not isinstance(html, str):
        raise _NoPost("has no text")
    if comment.get("type", "comment") != "comment":
        raise _NoPost("is a notice of a link from elsewhere and nothing that somebody wrote")
    link = link if isinstance(link, str) and link.startswith(("http://", "https://")) else None
    site = site or urlsplit(link or "").netloc
    parent = comment.get("parent") if _is_id(comment.get("parent")) else None
    return Post(
        platform=PLATFORM,
        external_id=_external_id(site, number),
        url=link,
        author=_author(comment, site),
        title=_title(comment),
        text=from_html(html),
        posted_at=_moment(comment.get("date_gmt")),
        parent_id=_external_id(site, parent) if parent else None,
        root_id=_external_id(site, roots.get(parent, parent)) if parent else None,
        kind=Kind.COMMENT,
    )


def _external_id(site: str, number: object) -> str:
    return f"{site}#comment-{number}"


def _author(comment: _Json, site: str) -> Author | None:
    """Who wrote it. A guest types any name and address, so a guest is never taken for a user of the site.

    Guests of the same name are told apart by the digest of their mail address that WordPress shows with their picture.
    """
    name = comment.get("author_name")
    name = one_line(from_html(name)) if isinstance(name, str) else ""
    if _is_id(user := comment.get("author")):
        return Author(id=f"{site}/user/{user}", handle=name or f"user {user}", display_name=name or None)
    if not name:
        return None
    pictures = as_dict(comment.get("author_avatar_urls")).values()
    digests = [found[1] for picture in pictures if isinstance(picture, str) and (found := _AVATAR.search(picture))]
    return Author(id=f"{site}/guest/{digests[0] if digests else name}", handle=name, display_name=name)


def _title(comment: _Json) -> str | None:
    """The title of the post that it stands below, where that came along."""
    above = as_dict(comment.get("_embedded")).get("up")
    post = as_dict(above[0]) if isinstance(above, list) and above else {}
    html = as_dict(post.get("title")).get("rendered")
    return one_line(from_html(html), 1_000) or None if isinstance(html, str) else None


def _moment(value: object) -> datetime:
    """WordPress writes UTC without saying so."""
    moment = iso_moment(value)
    if moment is None:
        raise _NoPost("has no date")
    return moment


def _is_id(value: object) -> bool:
    return type(value) is int and 0 < value < 10**19


# --- The site ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Site:
    """A site's address without a slash at its end, and its name: the address without how it is reached."""

    address: str
    name: str


_INNER_PAGES = re.compile(r"/(wp-admin|wp-json|wp-login\.php|index\.php)(/.*)?$")


def _site(written: str, *, plain_allowed: bool) -> _Site:
    """The site that somebody means by an address as copied from a browser. Raises Terminal."""
    written = written.strip()
    parts = urlsplit(written if "://" in written else f"https://{written}")
    try:
        usable = parts.scheme in ("http", "https") and parts.hostname and not parts.username and parts.port != 0
    except ValueError:  # a port that is no number
        usable = False
    if not usable:
        raise Terminal("This is no address of a WordPress site.", "Enter it as https://blog.example.com.")
    if parts.scheme == "http" and not plain_allowed:
        raise Terminal(
            "The site's address must begin with https://, or its password could be read on the way.",
            "Enter the address with https://.",
        )
    path = _INNER_PAGES.sub("", parts.path.rstrip("/")).rstrip("/")
    return _Site(urlunsplit((parts.scheme, parts.netloc, path, "", "")), parts.netloc.lower() + path)


class _Api:
    """A site's REST API: below /wp-json, or where permalinks are plain, in the parameter rest_route."""

    def __init__(self, site: _Site, username: str, password: str, options: Options) -> None:
        # WordPress shows application passwords in groups of four, and takes them with or without the spaces.
        secret = base64.b64encode(f"{username}:{''.join(password.split())}".encode()).decode()
        self._client = Client(TITLE, options, {"Authorization": f"Basic {secret}"} if username else {})
        self._address = site.address
        self._forms = ["/wp-json", "/?rest_route="]
        """Those that may work; one alone as soon as it has."""

    def get(self, path: str, **params: str | int) -> Answer:
        """The answer to a GET. Raises Transient, Terminal."""
        answer = self._first_rest_answer(path, params)
        if answer.status >= 400:
            raise _meaning(answer)
        return answer

    def _first_rest_answer(self, path: str, params: Mapping[str, str | int]) -> Answer:
        for form in self._forms:
            # httpx would put `params` in place of a query that stands in the address.
            route = {"rest_route": path} if "?" in form else {}
            address = f"{self._address}/" if route else f"{self._address}{form}{path}"
            answer = self._client.get(address, params={**route, **params}, fine=range(400, 600))
            if _is_rest(answer):
                self._forms = [form]
                break
            if answer.status not in (200, 404):
                break
        return answer

    def post(self, path: str, body: _Json) -> Answer:
        """The answer to a POST, by the way that the GET before it found. Raises Transient, Terminal, OutcomeUnknown."""
        answer = self._client.send("POST", f"{self._address}{self._forms[0]}{path}", json=body, fine=range(400, 600))
        if answer.status >= 400:
            raise _meaning(answer, sending=True)
        if answer.status >= 300:
            raise Terminal(
                f"WordPress at {self._address} sends us elsewhere ({answer.status}).",
                "Enter the address that the browser shows in the end.",
            )
        return answer


def _is_rest(answer: Answer) -> bool:
    """Whether the API itself spoke: a site with plain permalinks answers /wp-json with a web page."""
    try:
        return isinstance(json.loads(answer.body), (dict, list))
    except (ValueError, RecursionError):
        return False


_EDITOR = "Give the user the role Editor in WordPress (Users), or enter another user."
_PASSWORD = "Make a new application password in WordPress (Users, Profile) and enter it with the user name."
_CLOSED = "Close it unanswered, or open the post for comments in WordPress."

_REFUSALS = {
    "invalid_username": ("WordPress knows no such user.", _PASSWORD),
    "invalid_email": ("WordPress knows no such user.", _PASSWORD),
    "incorrect_password": ("WordPress did not accept the application password.", _PASSWORD),
    "application_passwords_disabled": (
        "Application passwords are switched off on this site.",
        "Allow them in WordPress; they need https, and some security plugins switch them off.",
    ),
    "application_passwords_disabled_for_user": (
        "Application passwords are switched off for this user.",
        "Allow them in WordPress, or enter another user.",
    ),
    "rest_not_logged_in": (
        "WordPress did not see the application password.",
        "Enter user name and password again. If they are right, the web server withholds the Authorization header.",
    ),
    "rest_forbidden_param": ("The user may not see comments that wait for approval.", _EDITOR),
    "rest_forbidden_context": ("The user may not moderate comments.", _EDITOR),
    "rest_no_route": ("The site's REST API does not offer comments.", "Look for a plugin that switches it off."),
    "rest_comment_closed": ("The post is closed for comments.", _CLOSED),
    "rest_comment_draft_post": ("The post is not public any more.", _CLOSED),
    "rest_comment_trash_post": ("The post is in the trash.", _CLOSED),
    "rest_comment_invalid_post_id": ("The post is not there any more.", "Close it unanswered."),
    "rest_cannot_read_post": ("The user may not read the post.", _EDITOR),
    "rest_comment_login_required": ("WordPress did not see the application password.", _PASSWORD),
    "comment_content_column_length": ("The answer is too long for WordPress.", "Shorten it."),
}
"""WordPress' own error codes, and what they mean for us."""


def _meaning(answer: Answer, *, sending: bool = False) -> ListeningError:
    """What an error of the API means."""
    code, message = _said(answer)
    if code == "comment_flood":
        return Transient("WordPress wants more time between two comments of one user.", FLOOD_WAIT)
    if code == "comment_duplicate":
        return _Duplicate("The same words stand there already.", "Change the answer, or close it.")
    if code in _REFUSALS and answer.status < 500:
        kind = BadCredentials if answer.status == 401 else Terminal
        return kind(*_REFUSALS[code])
    said = json.dumps({"message": one_line(from_html(message))}).encode()
    return refused(TITLE, answer.status, answer.headers, said, sending=sending)


class _Duplicate(Terminal):
    """WordPress has these very words of ours below this very comment."""


def _said(answer: Answer) -> tuple[str, str]:
    """The error's code and its words, which may be HTML."""
    try:
        error = as_dict(json.loads(answer.body))
    except (ValueError, RecursionError):
        return "", ""
    code, message = error.get("code"), error.get("message")
    return code if isinstance(code, str) else "", message if isinstance(message, str) else ""


def _items(answer: Answer) -> list[object]:
    """The comments of an answer. Raises Transient where there is no list of them."""
    items = answer.json()
    if not isinstance(items, list):
        raise Transient("WordPress sent something other than a list of comments.")
    return items


# --- The listener --------------------------------------------------------------------------------------------------


class WordPress:
    """Reads, answers and re-checks the comments of one site. See `listeners.base` for what each method promises."""

    capability = CAPABILITY

    def __init__(self, account: Mapping[str, str], options: Options) -> None:
        written = account.get("site", "")
        self._me: Author | None = None
        self._name = _site(written, plain_allowed=options.allow_private_hosts).name if written.strip() else ""
        self._api: _Api | None = None
        if self._name:
            asked = _site(options.base_url or written, plain_allowed=options.allow_private_hosts)
            self._api = _Api(
                asked, account.get("username", "").strip(), account.get("application_password", ""), options
            )

    def _rest(self) -> _Api:
        if self._api is None:
            raise Terminal("WordPress needs an account.", "Enter the site, a user name and an application password.")
        return self._api

    # -- reading

    def check(self) -> Health:
        """Asks who we are and whether that user may moderate. Raises Transient, Terminal."""
        user = as_dict(self._rest().get("/wp/v2/users/me", context="edit", _fields="id,name,capabilities").json())
        me = self._remember(user)
        if as_dict(user.get("capabilities")).get("moderate_comments") is not True:
            return Health(False, f"{me.handle} may not moderate comments on {self._name}. {_EDITOR}", me)
        return Health(True, f"Signed in as {me.handle} at {self._name}.", me)

    def _who(self) -> Author:
        """Who we are there. Raises Transient, Terminal."""
        return self._me or self._remember(as_dict(self._rest().get("/wp/v2/users/me", _fields="id,name").json()))

    def _remember(self, user: _Json) -> Author:
        me = _author({"author": user.get("id"), "author_name": user.get("name")}, self._name)
        if me is None or not _is_id(user.get("id")):
            raise Transient("WordPress did not say which user we are.")
        self._me = me
        return me

    def fetch(self, query: Query, cursor: Cursor) -> Iterator[Page]:
        """Public comments since `cursor`, newest first; of a new source the latest 1,000. Raises Transient, Terminal.

        A comment that waited for a moderator comes when it is approved, however long ago it was written.
        """
        reading = _Reading(self._rest(), self._name, _words(query), set(cursor.get("waiting", ())))
        yield from reading.approved_since(cursor)
        for page in walk(reading.page_at, cursor.get("walk", {}), order=ByTime(overlap=timedelta(minutes=10))):
            yield replace(page, cursor={"walk": page.cursor, "waiting": reading.watched()})

    def since(self, query: Query, moment: datetime) -> Cursor:
        """See `LooksBack`."""
        return {"walk": since(moment)}

    def parse(self, answer: bytes) -> list[Post | Rejected]:
        """The comments of one answer of /wp/v2/comments. Raises Terminal where it is none."""
        try:
            items = json.loads(answer)
        except (ValueError, RecursionError) as error:
            raise _no_answer() from error
        if not isinstance(items, list):
            raise _no_answer()
        return _parsed(items, self._name, _roots({}, _parents(items)))

    # -- answering

    def may_answer(self, post: Post) -> Verdict:
        """Asks no network: whether the post is still open for comments is known when the answer is sent."""
        if post.platform != PLATFORM or self._number(post.external_id) is None:
            return Verdict(False, f"This is no comment on {self._name or 'a site of this account'}.")
        if self._api is None:
            return Verdict(False, "Answering on WordPress needs an account with an application password.")
        return Verdict(True, CAPABILITY.answering_rule)

    def answer(self, post: Post, text: str, key: str) -> Sent:
        """Posts `text` below `post`, or returns what was posted with this `key` before.

        Raises Transient or Terminal where it is certain that nothing was posted by this call, else OutcomeUnknown.
        """
        text = _checked(text)
        above = self._public_comment(post)
        if (sent := self._with_key(self._ours_below(above["id"]), key)) is not None:
            return sent
        body = {
            "post": above["post"],
            "parent": above["id"],
            "content": escape(text, quote=False),
            "author_user_agent": f"{user_agent()} {_mark(key)}",
            "status": "approved",  # a spam filter judges the comments of users, too
        }
        try:
            answer = self._rest().post("/wp/v2/comments", body)
        except _Duplicate:
            if (sent := self._with_words(self._ours_below(above["id"]), text)) is not None:
                return sent
            raise
        comment = as_dict(answer.json(sending=True))
        if answer.status != 201 or not _is_id(comment.get("id")):
            raise OutcomeUnknown("WordPress took the answer and did not say where it stands.")
        return self._sent(comment)

    def find(self, post: Post, text: str, key: str, since: datetime) -> Sent | Absent | CannotTell:
        """Reads our own comments below `post`, which show there the moment they are written.

        Ours is the one with this key, else the latest with these words. Raises Transient, Terminal.
        """
        number = self._number(post.external_id)
        if number is None:
            return CannotTell("This is no comment on this site.")
        ours = self._ours_below(number)
        recent = [comment for comment in ours if _is_since(comment, since - CLOCKS_DIFFER)]
        return self._with_key(ours, key) or self._with_words(recent, text) or Absent()

    def _public_comment(self, post: Post) -> _Json:
        """The comment to answer, as it stands now: WordPress would also take an answer to one that is gone."""
        number = self._number(post.external_id)
        if number is None:
            raise Terminal("This is no comment on this site.", "Answer it where it was made.")
        found = _items(self._rest().get("/wp/v2/comments", include=number, status="all", _fields="id,post,status"))
        comment = next((one for one in map(as_dict, found) if one.get("id") == number), {})
        if comment.get("status") != "approved" or not _is_id(comment.get("post")):
            raise Terminal("The comment is not public any more.", "Close it unanswered.")
        return comment

    def _ours_below(self, number: int) -> list[_Json]:
        """Our own comments directly below a comment, oldest first."""
        ours: list[_Json] = []
        for _ in range(DEPTH):
            answer = self._rest().get(
                "/wp/v2/comments",
                parent=number,
                author=self._who().id.rpartition("/")[2],
                status="all",
                context="edit",
                per_page=PER_PAGE,
                offset=len(ours),
                order="asc",
                _fields=_OWN_FIELDS,
            )
            more = [one for one in map(as_dict, _items(answer)) if _is_id(one.get("id"))]
            ours += more
            if not more or len(ours) >= _total(answer):
                break
        return ours

    def _with_key(self, ours: Sequence[_Json], key: str) -> Sent | None:
        marked = (comment for comment in ours if _mark(key) in str(comment.get("author_user_agent")))
        return next(map(self._sent, marked), None)

    def _with_words(self, ours: Sequence[_Json], text: str) -> Sent | None:
        same = (comment for comment in reversed(ours) if _plain(comment) == _folded(text))
        return next(map(self._sent, same), None)

    def _sent(self, comment: _Json) -> Sent:
        link = comment.get("link")
        try:
            sent_at = _moment(comment.get("date_gmt"))
        except _NoPost:
            sent_at = datetime.now(UTC)
        return Sent(_external_id(self._name, comment["id"]), link if isinstance(link, str) else None, sent_at)

    # -- what was deleted

    def still_there(self, external_ids: Sequence[str]) -> Mapping[str, bool]:
        """False for what is deleted, in the trash, taken for spam or held back. Raises Transient, Terminal."""
        asked = {number: one for one in external_ids if (number := self._number(one)) is not None}
        numbers, there = list(asked), dict[str, bool]()
        for start in range(0, len(numbers), PER_PAGE):
            some = numbers[start : start + PER_PAGE]
            include = ",".join(map(str, some))
            answer = self._rest().get("/wp/v2/comments", include=include, per_page=PER_PAGE, _fields="id,status")
            public = {one.get("id") for one in map(as_dict, _items(answer)) if one.get("status") == "approved"}
            there |= {asked[number]: number in public for number in some}
        return there

    def _number(self, external_id: str) -> int | None:
        """The comment's number on this site; None for what lies elsewhere."""
        found = _ID.fullmatch(external_id)
        return int(found["number"]) if found and found["site"] == self._name else None


class _Reading:
    """One fetch: what it asks for, which comments wait for a moderator, and how far up their threads are known."""

    def __init__(self, api: _Api, site: str, words: str, waiting: set[int]) -> None:
        self._api = api
        self._site = site
        self._search: dict[str, str | int] = {"search": words} if words else {}
        self._waiting = waiting
        self._parents: dict[int, int] = {}

    def watched(self) -> list[int]:
        return sorted(self._waiting)[-WATCHED:]

    def approved_since(self, cursor: Cursor) -> Iterator[Page]:
        """The comments that waited and are public now. One that waits no longer, for whatever reason, is let go."""
        numbers = self.watched()
        for start in range(0, len(numbers), PER_PAGE):
            some = numbers[start : start + PER_PAGE]
            self._waiting -= set(some)
            listing = self._listing(include=",".join(map(str, some)))
            waiting = sorted(self._waiting)
            yield Page(listing.posts, {**cursor, "waiting": waiting}, listing.rejected)

    def page_at(self, token: Token) -> Listing:
        """A page of the listing. Its token is [so many were read, by when and by which number the last was written].

        A page begins with the last comment of the page before. Where something above was deleted meanwhile the listing
        has moved up, that comment is not the first or below it, and comments may have been passed over.
        """
        read, *last = token or [0]
        found = self._listing(offset=max(0, read - 1), orderby="date_gmt", order="desc")
        if last and found.first is not None and found.first < (last[0], last[1]):
            raise StaleToken
        read = max(0, read - 1) + found.count
        if found.last is None or list(found.last) == last or read >= found.total:
            return Listing(found.posts, None, found.rejected)
        return Listing(found.posts, [read, *found.last], found.rejected)

    def _listing(self, **params: str | int) -> _Listed:
        answer = self._api.get(
            "/wp/v2/comments", per_page=PER_PAGE, status="all", _embed="up", _fields=_FIELDS, **self._search, **params
        )
        items = _items(answer)
        self._waiting |= {
            one["id"] for one in map(as_dict, items) if one.get("status") == "hold" and _is_id(one.get("id"))
        }
        public = [one for one in items if as_dict(one).get("status") != "hold"]
        self._climb(public)
        found = _parsed(public, self._site, _roots(self._parents, _parents(public)))
        keys = [(one.get("date_gmt"), one.get("id")) for one in map(as_dict, items)]
        sortable = [key for key in keys if isinstance(key[0], str) and _is_id(key[1])]
        return _Listed(
            posts=[one for one in found if isinstance(one, Post)],
            rejected=[one for one in found if isinstance(one, Rejected)],
            count=len(items),
            total=_total(answer),
            first=sortable[0] if sortable else None,
            last=sortable[-1] if sortable else None,
        )

    def _climb(self, items: Sequence[object]) -> None:
        """Asks for the comments above these until the first of each thread is known."""
        self._parents |= _parents(items)
        for _ in range(DEPTH):
            unknown = sorted({parent for parent in self._parents.values() if parent} - self._parents.keys())[:PER_PAGE]
            if not unknown:
                return
            include = ",".join(map(str, unknown))
            answer = self._api.get(
                "/wp/v2/comments", include=include, status="all", per_page=PER_PAGE, _fields="id,parent"
            )
            # One that is gone is the first that is left of its thread.
            self._parents |= dict.fromkeys(unknown, 0) | _parents(_items(answer))


@dataclass(frozen=True, slots=True)
class _Listed:
    """One page as it was answered: `first` and `last` are (date_gmt, id), and `count` is of all, public or not."""

    posts: list[Post]
    rejected: list[Rejected]
    count: int
    total: float
    first: tuple[Any, Any] | None
    last: tuple[Any, Any] | None


def _parents(items: Sequence[object]) -> dict[int, int]:
    """Each comment's parent, 0 for the first of a thread."""
    comments = [one for one in map(as_dict, items) if _is_id(one.get("id"))]
    return {one["id"]: one["parent"] if _is_id(one.get("parent")) else 0 for one in comments}


def _roots(known: Mapping[int, int], more: Mapping[int, int]) -> dict[int, int]:
    """For each comment the first of its thread, as far up as parents are known."""
    parents = {**known, **more}
    roots = {}
    for number in {*parents, *parents.values()} - {0}:
        root, seen = number, {number}
        while (above := parents.get(root, 0)) and above not in seen:
            root = above
            seen.add(above)
        roots[number] = root
    return roots


def _total(answer: Answer) -> float:
    """How many comments there are in all, by WordPress' own header; endless where a proxy has dropped it."""
    said = answer.headers.get("x-wp-total", "")
    return int(said) if re.fullmatch("[0-9]{1,12}", said) else math.inf


def _words(query: Query) -> str:
    """What a query looks for; nothing for all comments. Raises Terminal."""
    mode, words = query.mode or CAPABILITY.default_mode, clean(query.text).strip()
    if mode == "comments":
        return ""
    if mode != "search":
        raise Terminal(f"WordPress has no mode {mode[:40]!r}.", "Choose comments or search.")
    if not words or len(words) > 500:
        raise Terminal("WordPress needs between one word and 500 characters to look for.", "Enter other words.")
    return words


def _checked(text: str) -> str:
    """The text as it can be posted. Raises Terminal for one that WordPress would refuse."""
    text = clean(text)
    if not text.strip():
        raise Terminal("The answer is empty.", "Write something.")
    if length(text) > MAX_BYTES:
        raise Terminal(f"The answer takes {length(text):,} bytes; WordPress takes {MAX_BYTES:,}.", "Shorten it.")
    return text


def _mark(key: str) -> str:
    """What an answer with this key carries in the field for its writer's program."""
    return "key/" + hashlib.sha256(b"samtal answer\0" + key.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _is_since(comment: _Json, since: datetime) -> bool:
    try:
        return _moment(comment.get("date_gmt")) >= since
    except _NoPost:
        return False


def _plain(comment: _Json) -> str:
    """The words of our own comment. `raw` is what we sent; `rendered` has other quotation marks and dashes."""
    raw = as_dict(comment.get("content")).get("raw")
    return _folded(unescape(raw)) if isinstance(raw, str) else ""


def _folded(text: str) -> str:
    return " ".join(clean(text).split())


def _no_answer() -> Terminal:
    return Terminal("This is no list of WordPress comments.", "Give one answer of /wp/v2/comments as it came.")
