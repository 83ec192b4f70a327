"""GitHub: issues, pull requests and discussions of a repository, and issues found by words; answered where they stand.

`Options.base_url` is the address of a GitHub Enterprise server, or of its API; https://api.github.com where none is
given. Issues and their comments come over REST, which reads public ones without a token; discussions exist in GraphQL
only, which wants one. Ids begin with the server's name, since two servers have issues of the same number:
`github.com/acme/kettle#12`, its comment `github.com/acme/kettle#12/345`, and `github.com/D_kwDOA` for a discussion.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeAlias
from urllib.parse import quote, urlsplit

from pydantic import ValidationError

from listeners import climbing, http, walking
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
from listeners.climbing import Bound, Step, climb
from listeners.http import Answer
from listeners.markdown import to_text
from listeners.plain_text import one_line
from listeners.untrusted import as_dict, as_list, is_count, iso_moment
from listeners.walking import Listing, Mark, Token, walk

PLATFORM = "github"
TITLE = "GitHub"
API = "https://api.github.com"
SITE = "github.com"

MAX_CHARS = 65_536
PER_PAGE = 100
DISCUSSIONS_PER_PAGE = 25
COMMENTS_PER_DISCUSSION = 50
MOST_COMMENTS = 1_000
"""Comments of one discussion that are read, the newest first."""
ASKED_AT_ONCE = 100
"""So many ids does GraphQL's `nodes` take."""
FIND_PAGES = 10
OVERLAP = timedelta(seconds=60)
"""GitHub's copies of its database lag behind each other: so much is read again."""
FIRST_DAYS = 30
MAX_QUERY = 256
SLOW_DOWN = 60.0
"""Seconds to wait where GitHub asks us to slow down and does not say for how long; its documentation wants as many."""


def opening(post: Post) -> str:
    """In an issue everything stands in one row, so that only a mention tells whom an answer is for."""
    return f"@{post.author.handle} " if post.kind is Kind.COMMENT and "#" in post.external_id and post.author else ""


EXTRA = {
    "bots": "yes: bots' posts are read too; they are left out otherwise",
    "days": f"how many days back a new source begins; {FIRST_DAYS} where it is not given",
}

CAPABILITY = Capability(
    platform=PLATFORM,
    title=TITLE,
    answering=Answering.API,
    answering_rule=(
        "Anything public may be answered by an account with a token, unless the conversation is locked, the repository "
        "archived or the account blocked."
    ),
    checked_on=date(2026, 11, 22),
    modes=(
        Mode(
            name="issues",
            label="Issues and pull requests of a repository",
            query_label="Repository",
            help="As owner/name. Their comments are read too.",
            reach=Reach("GitHub gives everything, back to the repository's beginning.", oldest_first=True),
        ),
        Mode(
            name="discussions",
            label="Discussions of a repository",
            query_label="Repository",
            help="As owner/name. Needs a token. Comments and replies are read too.",
            reach=Reach("GitHub gives everything, back to the repository's beginning."),
        ),
        Mode(
            name="search",
            label="Issues found by search",
            query_label="Words to search for",
            help="In their title or text. repo:owner/name or org:name before the words says where to look.",
            # It excludes words too, but also where only a comment has them.
            syntax=Syntax(
                max_length=MAX_QUERY - 30,
                phrase='"{}"',
                either="OR",
                author="author:{}",
                author_names=r"[A-Za-z0-9](?:-?[A-Za-z0-9]){0,38}",
                scope=r"(?:repo|org|user):[A-Za-z0-9._/-]{1,140}",
            ),
            reach=Reach("GitHub gives everything that its search finds.", oldest_first=True),
        ),
    ),
    max_chars=MAX_CHARS,
    threads=True,
    editable=True,
    deletable=True,
    credentials=(
        CredentialField(
            "token",
            "Token",
            help=(
                "GitHub: Settings, Developer settings, Personal access tokens. Not needed to read public issues; to "
                "answer it wants write access to Issues, Pull requests and Discussions."
            ),
            required=False,
        ),
        CredentialField(
            "client_id", "Client id", secret=False, required=False, typed=False, help="On the application's page."
        ),
        CredentialField(
            "client_secret", "Client secret", required=False, typed=False, help="Generated on the same page."
        ),
        CredentialField("refresh_token", "Refresh token", required=False, typed=False),
    ),
    guide=(
        "Sign in to [GitHub](https://github.com/settings/personal-access-tokens) as the account that shall answer. "
        "Open *Settings*, *Developer settings*, *Personal access tokens*.",
        "For your own repositories choose *Fine-grained tokens*, *Generate new token*: under *Resource owner* the "
        "organisation, under *Repository access* the repositories, under *Permissions* Issues, Pull requests and "
        "Discussions, each *Read and write*.",
        "To answer in the repositories of others choose *Tokens (classic)* instead, with the scope *public_repo* and "
        "no other.",
        "Copy the **token** here. GitHub shows it once.",
    ),
    oauth=OAuth(
        authorize_url="https://github.com/login/oauth/authorize",
        token_url="https://github.com/login/oauth/access_token",
        scopes=("public_repo",),
        asks=("client_id", "client_secret"),
        access="token",
        refresh="refresh_token",
        api_host="api.",
        guide=(
            "On [GitHub](https://github.com/settings/developers) open *Settings*, *Developer settings*, *OAuth apps*, "
            "*New OAuth app*, and enter the redirect URI below as the *authorization callback URL*. It may answer in "
            "every public repository. For private ones make a *GitHub App* instead, with Issues, Pull requests and "
            "Discussions each *Read and write*, and install it there.",
            "Copy the **client id**, generate a **client secret** and copy it, too.",
            "Be signed in to GitHub as the account that shall answer when you go on.",
        ),
    ),
    limits="60 requests an hour without a token, 5,000 with one; searches 10 and 30 a minute.",
    search_syntax='words, "a phrase", OR, author:name; repo:owner/name or org:name before them',
    poll_every=timedelta(minutes=5),
    recheck_every=timedelta(hours=24),
    find_lag=timedelta(minutes=1),
    opening=opening,
    duties="What its author deletes is deleted here too. Never sell what is known of GitHub's users, nor mail them.",
)


def open(account: Mapping[str, str], options: Options) -> GitHub:
    """A listener for one account (`token`), or for the public without one. Asks no network. Raises Terminal."""
    return GitHub(account, options)


# --- Ids -----------------------------------------------------------------------------------------------------------

_NAME = r"[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}"
_ISSUE_ID = re.compile(rf"(?P<repository>{_NAME})#(?P<number>[0-9]{{1,18}})(?:/(?P<comment>[0-9]{{1,18}}))?")
_NODE_ID = re.compile(r"[A-Za-z0-9+/=_-]{4,200}")
_ISSUE_URL = re.compile(rf"/(?P<repository>{_NAME})/(?:issues|pull)/(?P<number>[0-9]{{1,18}})(?:#.*)?")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where something stands, out of its external id: an issue, a comment of one, or a node of GraphQL's."""

    repository: str = ""
    number: str = ""
    comment: str | None = None
    node: str | None = None

    @property
    def path(self) -> str:
        """What REST calls it."""
        within = f"comments/{self.comment}" if self.comment else self.number
        return f"/repos/{self.repository}/issues/{within}"


def _place(external_id: str | None, host: str) -> _Place | None:
    """None for what is no id of this server's."""
    server, _, rest = (external_id or "").partition("/")
    if server != host:
        return None
    if match := _ISSUE_ID.fullmatch(rest):
        return _Place(match["repository"], match["number"], match["comment"])
    return _Place(node=rest) if _NODE_ID.fullmatch(rest) else None


# --- From the wire to posts ----------------------------------------------------------------------------------------

_REACTIONS = {"+1": "thumbs_up", "-1": "thumbs_down"} | {
    name: name for name in ("laugh", "hooray", "confused", "heart", "rocket", "eyes")
}
_GHOST = "ghost"
"""The account that stands for all that were deleted."""
_MENTION = re.compile(r"(?<![\w/.`@-])@([A-Za-z0-9](?:-?[A-Za-z0-9]){0,38})(?![\w/-])")
_MOST_NAMED = 100


class _NoPost(Exception):
    """Why an item of an answer is no post, in words."""


_Maker: TypeAlias = Callable[[dict[str, Any]], Post]
_Params: TypeAlias = dict[str, str | int]


def _read(answer: object, *, bots: bool = False) -> list[Post | Rejected]:
    """Posts out of one decoded answer, each once. Raises Terminal where it is none that GitHub gives."""
    found: dict[str, Post] = {}
    rejected: list[Rejected] = []
    for where, item, make in _items(answer):
        if not bots and _is_bot(item):
            continue
        try:
            post = make(as_dict(item))
            found[post.external_id] = post
        except _NoPost as error:
            rejected.append(Rejected(where, str(error)))
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            rejected.append(Rejected(where, f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"))
    return [*found.values(), *rejected]


def _items(answer: object) -> Iterator[tuple[str, object, _Maker]]:
    """Everything in an answer that should be a post, where it stands, and what makes one of it."""
    body = as_dict(answer)
    data = as_dict(body.get("data"))
    listed = answer if isinstance(answer, list) else body.get("items")
    discussions = as_dict(as_dict(data.get("repository")).get("discussions")).get("nodes")
    if isinstance(listed, list):
        for n, item in enumerate(listed):
            yield f"item {n + 1}", item, _comment if "issue_url" in as_dict(item) else _issue
    elif isinstance(discussions, list):
        for n, item in enumerate(discussions):
            yield from _thread(f"discussion {n + 1}", item)
    elif isinstance(as_dict(data.get("node")).get("comments"), dict):
        yield from _comments("discussion", data["node"])
    else:
        raise Terminal(
            "This is no answer of GitHub with posts in it.",
            "Give one list of issues or comments, one search for issues, or one list of discussions.",
        )


def _thread(where: str, discussion: object) -> Iterator[tuple[str, object, _Maker]]:
    yield where, discussion, _discussion
    yield from _comments(where, as_dict(discussion))


def _comments(where: str, discussion: dict[str, Any]) -> Iterator[tuple[str, object, _Maker]]:
    """A discussion's comments, and the replies below each."""
    root = discussion.get("id")
    for n, comment in enumerate(as_list(as_dict(discussion.get("comments")).get("nodes"))):
        there = f"{where}, comment {n + 1}"
        yield there, comment, _under(root, root)
        for m, reply in enumerate(as_list(as_dict(as_dict(comment).get("replies")).get("nodes"))):
            yield f"{there}, reply {m + 1}", reply, _under(as_dict(comment).get("id"), root)


def _is_bot(item: object) -> bool:
    user = as_dict(as_dict(item).get("user") or as_dict(item).get("author"))
    return "Bot" in (user.get("type"), user.get("__typename"))


def _issue(item: dict[str, Any]) -> Post:
    """An issue or a pull request of REST's. Raises _NoPost, ValidationError."""
    host, address = _address(item)
    title = _one_line(item.get("title"))
    text = to_text(_text(item.get("body"), "body", may_lack=True))
    return Post(
        platform=PLATFORM,
        external_id=f"{host}/{address['repository']}#{address['number']}",
        url=item["html_url"],
        author=_author(host, item.get("user")),
        title=title,
        text=text or title or "",
        posted_at=_moment(item.get("created_at")),
        mentions=_mentioned(text),
        engagement=_counts(item) | ({"comments": item["comments"]} if is_count(item.get("comments")) else {}),
    )


def _comment(item: dict[str, Any]) -> Post:
    """A comment on an issue or a pull request. Raises _NoPost, ValidationError."""
    host, address = _address(item)
    number = item.get("id")
    if not is_count(number):
        raise _NoPost("has no number")
    issue = f"{host}/{address['repository']}#{address['number']}"
    posted_at, changed_at = _moment(item.get("created_at")), _moment(item.get("updated_at"), may_lack=True)
    text = to_text(_text(item.get("body"), "body"))
    return Post(
        platform=PLATFORM,
        external_id=f"{issue}/{number}",
        url=item["html_url"],
        author=_author(host, item.get("user")),
        text=text,
        posted_at=posted_at,
        edited_at=changed_at if changed_at and changed_at > posted_at else None,
        parent_id=issue,
        root_id=issue,
        mentions=_mentioned(text),
        engagement=_counts(item),
        kind=Kind.COMMENT,
    )


def _discussion(item: dict[str, Any]) -> Post:
    """Raises _NoPost, ValidationError."""
    title = _one_line(item.get("title"))
    comments = as_dict(item.get("comments")).get("totalCount")
    post = _said(item, title=title)
    return post.model_copy(
        update={
            "text": post.text or title or "",
            "engagement": post.engagement | ({"comments": comments} if is_count(comments) else {}),
        }
    )


def _under(parent: object, root: object) -> _Maker:
    """Makes a discussion's comment out of what stands below `parent` in `root`."""

    def comment(item: dict[str, Any]) -> Post:
        if item.get("deletedAt") is not None:
            raise _NoPost("was deleted")
        host = _host(item.get("url"))
        ids = [f"{host}/{one}" for one in (parent, root) if isinstance(one, str) and _NODE_ID.fullmatch(one)]
        if len(ids) != 2:
            raise _NoPost("stands in no discussion")
        return _said(item, parent_id=ids[0], root_id=ids[1], kind=Kind.COMMENT)

    return comment


def _reply(item: dict[str, Any]) -> Post:
    """A discussion's comment that was asked for by its id: without what it stands under."""
    return _said(item, kind=Kind.COMMENT)


def _as_it_is(item: dict[str, Any], make: _Maker, external_id: str) -> Post | bool:
    """A post that was asked for by its id; True where it stands and cannot be read as that post."""
    try:
        post = make(item)
    except (_NoPost, ValidationError):
        return True
    return post if post.external_id == external_id else True


def _said(item: dict[str, Any], **more: Any) -> Post:
    """What discussions and their comments have in common. Raises _NoPost, ValidationError."""
    host, node = _host(item.get("url")), item.get("id")
    if not isinstance(node, str) or not _NODE_ID.fullmatch(node):
        raise _NoPost("has no id")
    reactions, votes = as_dict(item.get("reactions")).get("totalCount"), item.get("upvoteCount")
    text = to_text(_text(item.get("body"), "body"))
    return Post(
        platform=PLATFORM,
        external_id=f"{host}/{node}",
        url=item["url"],
        author=_author(host, item.get("author")),
        text=text,
        posted_at=_moment(item.get("createdAt")),
        edited_at=_moment(item.get("lastEditedAt"), may_lack=True),
        mentions=_mentioned(text),
        engagement={
            name: count for name, count in (("upvotes", votes), ("reactions", reactions)) if is_count(count) and count
        },
        **more,
    )


def _address(item: dict[str, Any]) -> tuple[str, re.Match[str]]:
    """The server and the issue that an item's page stands on. Raises _NoPost."""
    host = _host(item.get("html_url"))
    match = _ISSUE_URL.fullmatch(item["html_url"].split("//", 1)[1].removeprefix(host))
    if match is None:
        raise _NoPost("does not stand at an issue or a pull request")
    return host, match


def _host(url: object) -> str:
    """Raises _NoPost."""
    if not isinstance(url, str) or not url.startswith(("https://", "http://")) or len(url) > 1_000:
        raise _NoPost("has no address")
    host = url.split("//", 1)[1].partition("/")[0]
    if not re.fullmatch(r"[A-Za-z0-9.:-]{1,253}", host):
        raise _NoPost("has no address")
    return host


def _author(host: str, user: object) -> Author | None:
    """None for a deleted account. Numbers are told apart by server, as posts' ids are."""
    named = as_dict(user)
    login = named.get("login")
    number = named.get("id") if "__typename" not in named else named.get("databaseId")
    if not isinstance(login, str) or not login or login == _GHOST:
        return None
    name = named.get("name")
    return Author(
        id=f"{host}/{number}" if is_count(number) else f"{host}/{login}",
        handle=login[:200],
        display_name=name[:300] if isinstance(name, str) and name.strip() else None,
    )


def _one_line(title: object) -> str | None:
    return one_line(title, 1_000) or None if isinstance(title, str) else None


def _text(body: object, name: str, *, may_lack: bool = False) -> str:
    if body is None and may_lack:  # an issue may consist of its title
        return ""
    if not isinstance(body, str):
        raise _NoPost(f"has no {name}")
    return body


def _moment(value: object, *, may_lack: bool = False) -> Any:
    """A time in UTC. Raises _NoPost where it is none, unless nothing is there and that may be."""
    if value is None and may_lack:
        return None
    moment = iso_moment(value)
    if moment is None:
        raise _NoPost("has no date that is understood")
    return moment


def _counts(item: dict[str, Any]) -> dict[str, int]:
    reactions = as_dict(item.get("reactions"))
    return {
        name: reactions[theirs]
        for theirs, name in _REACTIONS.items()
        if is_count(reactions.get(theirs)) and reactions[theirs]
    }


def _mentioned(text: str) -> tuple[str, ...]:
    """The handles named in a text, each once: GitHub gives no ids for them."""
    return tuple(dict.fromkeys(match[1] for match in _MENTION.finditer(text)))[:_MOST_NAMED]


# --- What is asked -------------------------------------------------------------------------------------------------

_WHO = """
fragment who on Actor {
  __typename login
  ... on User { databaseId name } ... on Organization { databaseId name }
  ... on Bot { databaseId } ... on Mannequin { databaseId }
}
fragment said on DiscussionComment {
  id url body createdAt lastEditedAt deletedAt upvoteCount reactions { totalCount } author { ...who }
}
"""
_COMMENTS = f"""
comments(last: {COMMENTS_PER_DISCUSSION}, before: $before) {{
  totalCount pageInfo {{ hasPreviousPage startCursor }}
  nodes {{ ...said replies(last: 30) {{ nodes {{ ...said }} }} }}
}}
"""
_DISCUSSIONS = f"""
query($owner: String!, $name: String!, $after: String, $before: String) {{
  repository(owner: $owner, name: $name) {{
    discussions(first: {DISCUSSIONS_PER_PAGE}, after: $after, orderBy: {{field: UPDATED_AT, direction: DESC}}) {{
      pageInfo {{ hasNextPage endCursor }}
      nodes {{
        id number title url body createdAt lastEditedAt updatedAt upvoteCount reactions {{ totalCount }}
        author {{ ...who }} {_COMMENTS}
      }}
    }}
  }}
}}
{_WHO}"""
_DEEPER = f"""
query($id: ID!, $before: String) {{ node(id: $id) {{ ... on Discussion {{ id url updatedAt {_COMMENTS} }} }} }}
{_WHO}"""
_STANDING = f"""
query($ids: [ID!]!) {{
  nodes(ids: $ids) {{
    ... on Discussion {{
      id title url body createdAt lastEditedAt upvoteCount reactions {{ totalCount }} comments {{ totalCount }}
      author {{ ...who }}
    }}
    ... on DiscussionComment {{ ...said }}
  }}
}}
{_WHO}"""
_OUR_COMMENTS = """
query($id: ID!) {
  node(id: $id) {
    ... on Discussion { below: comments(last: 100) { ...ours } }
    ... on DiscussionComment { below: replies(last: 100) { ...ours } }
  }
}
fragment ours on DiscussionCommentConnection {
  pageInfo { hasPreviousPage } nodes { id url body createdAt viewerDidAuthor }
}
"""
_ADD_COMMENT = """
mutation($discussion: ID!, $body: String!, $replyTo: ID) {
  addDiscussionComment(input: {discussionId: $discussion, body: $body, replyToId: $replyTo}) {
    comment { id url createdAt }
  }
}
"""


@dataclass(frozen=True, slots=True)
class _ByActivity:
    """Discussions by their last activity, which their posts do not tell: `moved` has it for each post."""

    moved: dict[str, datetime] = field(default_factory=dict)

    def mark(self, posts: Sequence[Post]) -> Mark | None:
        moments = [self.moved[post.external_id] for post in posts]
        return {"at": max(moments).isoformat()} if moments else None

    def newer(self, one: Mark | None, other: Mark | None) -> Mark | None:
        return max((mark for mark in (one, other) if mark), key=lambda mark: _marked(mark), default=None)

    def reached(self, post: Post, mark: Mark) -> bool:
        return self.moved[post.external_id] < _marked(mark) - OVERLAP


def _marked(mark: Mark) -> datetime:
    return datetime.fromisoformat(mark["at"])


# --- The listener --------------------------------------------------------------------------------------------------


class GitHub:
    """Reads, answers and re-checks GitHub. See `listeners.base` for what each method promises."""

    capability = CAPABILITY

    def __init__(self, account: Mapping[str, str], options: Options) -> None:
        token = account.get("token", "").strip()
        self._has_token = bool(token)
        self._bots = options.extra.get("bots", "").strip().lower() in ("yes", "true", "1")
        self._first_days = _days(options.extra.get("days", ""))
        self._rest, self._graphql_url, self._host = _addresses(options.base_url)
        headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
        if token and not re.fullmatch(r"[A-Za-z0-9_.-]{1,1000}", token):
            raise Terminal("This is no token of GitHub's: it has characters that none has.", "Copy it once more.")
        self._client = http.Client(TITLE, options, headers | ({"Authorization": f"Bearer {token}"} if token else {}))
        self._us: str | None = None

    # -- reading

    def check(self) -> Health:
        """Asks who we are; without a token, what is left of the public limit. Raises Transient, Terminal."""
        if not self._has_token:
            answer = self._get("/rate_limit")
            left = as_dict(as_dict(as_dict(answer.json()).get("resources")).get("core")).get("remaining")
            words = f"{self._host} answers. Without a token, {left} requests are left this hour."
            return Health(True, words if is_count(left) else f"{self._host} answers. No token is given.")
        answer = self._get("/user", fine=(403,))
        expires_at = _expiry(answer)
        account = _author(self._host, answer.json()) if answer.status == 200 else None
        if account is None:  # the token of an app's installation is nobody's
            return Health(True, f"{self._host} accepts the token, which is an app's.", expires_at=expires_at)
        until = f" The token expires on {expires_at:%d %B %Y}." if expires_at else ""
        return Health(True, f"Signed in as {account.handle} at {self._host}.{until}", account, expires_at)

    def fetch(self, query: Query, cursor: Cursor) -> Iterator[Page]:
        """Pages of what changed since `cursor`; of a new source, in the last days. Raises Transient, Terminal."""
        mode = query.mode or CAPABILITY.default_mode
        start = datetime.now(UTC) - timedelta(days=self._first_days)
        if mode == "search":
            words = _words(query.text)
            return climb({"found": lambda bound: self._found(words, bound)}, cursor, start=start, overlap=OVERLAP)
        repository = _repository(query.text)
        if mode == "issues":
            listings = {
                "issues": lambda bound: self._changed(f"/repos/{repository}/issues", {"state": "all"}, bound),
                "comments": lambda bound: self._changed(f"/repos/{repository}/issues/comments", {}, bound),
            }
            return climb(listings, cursor, start=start, overlap=OVERLAP)
        if mode == "discussions":
            return self._discussed(repository, cursor)
        raise Terminal(f"GitHub has no mode {mode[:40]!r}.", "Choose issues, discussions or search.")

    def since(self, query: Query, moment: datetime) -> Cursor:
        """See `LooksBack`. What changed since is read, which all is that was posted since."""
        if query.mode == "discussions":
            return walking.since(moment)
        return climbing.since(("found",) if query.mode == "search" else ("issues", "comments"), moment)

    def parse(self, answer: bytes) -> list[Post | Rejected]:
        """Posts of one list of issues or comments, one search, or one list of discussions. Raises Terminal."""
        try:
            decoded = json.loads(answer)
        except (ValueError, RecursionError) as error:
            raise Terminal("This is no JSON, or it breaks off.", "Give one answer as it came over the wire.") from error
        return _read(decoded, bots=self._bots)

    def _changed(self, path: str, params: Mapping[str, str], bound: Bound) -> Step:
        """One page of a repository's issues or comments, by the time of their last change."""
        asked: _Params = {
            **params,
            "sort": "updated",
            "direction": "asc",
            "since": _zulu(bound.since),
            **_paging(bound),
        }
        answer = self._get(path, asked, etag=bound.etag, fine=(404,))
        if answer.status == 304:
            return Step(budget=_budget(answer), etag=bound.etag)
        if answer.status == 404:
            raise self._nothing_there(path)
        return self._step(answer, answer.json())

    def _found(self, words: str, bound: Bound) -> Step:
        """One page of a search. The last change counts: an edit may bring the words into an old issue."""
        changed = f"{words} updated:>={_zulu(bound.since)}"
        asked: _Params = {"q": changed, "sort": "updated", "order": "asc", **_paging(bound)}
        answer = self._get("/search/issues", asked, fine=(422,))
        data = answer.json()
        if answer.status == 422:
            first = as_dict(next(iter(as_list(as_dict(data).get("errors"))), {}))
            said = one_line(str(first.get("message") or ""), 200)
            raise Terminal(f"GitHub does not understand the search. {said}".strip(), "Correct the words.")
        step = self._step(answer, data)
        if as_dict(data).get("incomplete_results") is True:
            # GitHub ran out of time: what it found is good, and what it did not will be asked for again.
            return Step(step.posts, rejected=step.rejected, budget=step.budget)
        return step

    def _step(self, answer: Answer, data: Any) -> Step:
        found = self._posts_of(data)
        listed = data if isinstance(data, list) else as_list(as_dict(data).get("items"))
        return Step(
            posts=[one for one in found if isinstance(one, Post)],
            newest=max(_each_moment(listed, "updated_at"), default=None),
            more='rel="next"' in answer.headers.get("link", ""),
            rejected=[one for one in found if isinstance(one, Rejected)],
            budget=_budget(answer),
            etag=answer.headers.get("etag"),
        )

    def _posts_of(self, data: Any) -> list[Post | Rejected]:
        try:
            return _read(data, bots=self._bots)
        except Terminal as error:
            raise Transient("GitHub sent an answer without posts in it.") from error

    def _discussed(self, repository: str, cursor: Cursor) -> Iterator[Page]:
        if not self._has_token:
            raise Terminal("GitHub shows discussions to those with a token only.", "Enter a token in the account.")
        order = _ByActivity()
        mark = cursor.get("done_until")
        since = _marked(mark) - OVERLAP if mark else datetime.now(UTC) - timedelta(days=self._first_days)
        return walk(lambda token: self._discussions(repository, token, since, order), cursor, order=order)

    def _discussions(self, repository: str, token: Token, since: datetime, order: _ByActivity) -> Listing:
        """One page of discussions, each with its comments, down to the first that has not moved since."""
        owner, name = repository.split("/")
        data, budget = self._graphql(_DISCUSSIONS, {"owner": owner, "name": name, "after": token})
        listed = as_dict(as_dict(data.get("repository")).get("discussions"))
        found: list[Post | Rejected] = []
        paging = as_dict(listed.get("pageInfo"))
        below = paging.get("endCursor") if paging.get("hasNextPage") is True else None
        for discussion in as_list(listed.get("nodes")):
            moved = next(_each_moment([discussion], "updatedAt"), None)
            if moved and moved < since:
                below = None  # and so is everything after it
                break
            parts = [{"data": {"repository": {"discussions": {"nodes": [discussion]}}}}]
            parts += [{"data": {"node": node}} for node in self._deeper(as_dict(discussion))]
            read = [one for part in parts for one in self._posts_of(part)]
            order.moved.update({post.external_id: moved or since for post in read if isinstance(post, Post)})
            found += read
        return Listing(
            posts=list({one.external_id: one for one in found if isinstance(one, Post)}.values()),
            rejected=[one for one in found if isinstance(one, Rejected)],
            next_token=below if isinstance(below, str) else None,
            budget=budget,
        )

    def _deeper(self, discussion: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The pages of a discussion's comments above those that came with it."""
        for _ in range(MOST_COMMENTS // COMMENTS_PER_DISCUSSION):
            paging = as_dict(as_dict(discussion.get("comments")).get("pageInfo"))
            before, node = paging.get("startCursor"), discussion.get("id")
            if paging.get("hasPreviousPage") is not True or not isinstance(before, str) or not isinstance(node, str):
                return
            data, _budget_left = self._graphql(_DEEPER, {"id": node, "before": before})
            discussion = as_dict(data.get("node"))
            if not discussion:
                return  # deleted this moment
            yield discussion

    # -- answering

    def may_answer(self, post: Post) -> Verdict:
        """Asks no network: whether a conversation is locked shows only when it is answered."""
        place = _place(post.external_id, self._host) if post.platform == PLATFORM else None
        if place is None or (place.node and post.root_id and _place(post.root_id, self._host) is None):
            return Verdict(False, f"This is no post of {self._host}.")
        if not self._has_token:
            return Verdict(False, "Answering on GitHub needs an account with a token.")
        return Verdict(True, CAPABILITY.answering_rule)

    def answer(self, post: Post, text: str, key: str) -> Sent:
        """Posts `text` in the conversation of `post`. GitHub knows no `key`: `find` tells whether it stands.

        Raises Transient or Terminal where it is certain that nothing was posted, else OutcomeUnknown.
        """
        text = _checked(text)
        verdict = self.may_answer(post)
        place = _place(post.external_id, self._host)
        if not verdict.allowed or place is None:
            raise Terminal(verdict.reason, "Open the post and answer there.")
        return self._discuss(post, text) if place.node else self._comment_on(place, text)

    def _comment_on(self, place: _Place, text: str) -> Sent:
        path = f"/repos/{place.repository}/issues/{place.number}/comments"
        answer = self._client.send("POST", self._rest + path, json={"body": text}, fine=(*_MAY_BE_LIMITS, 404))
        self._refuse(answer, fine=(404,), sending=True)
        if answer.status == 404:  # GitHub's way to say that it is gone, or not for us to know
            raise Terminal("The conversation is gone, or the token may not write there.", "Check the token's rights.")
        if answer.status in (301, 302, 307, 308):
            raise Terminal("The repository was renamed or moved.", "Give the source its new name.")
        made = as_dict(answer.json(sending=True))
        if not is_count(made.get("id")):
            raise OutcomeUnknown("GitHub took the answer and did not say where it stands.")
        issue = f"{self._host}/{place.repository}#{place.number}"
        sent = _sent(f"{issue}/{made['id']}", made.get("html_url"), made.get("created_at"))
        return replace(sent, budget=_budget(answer))

    def _discuss(self, post: Post, text: str) -> Sent:
        discussion, reply_to = self._where_to_reply(post)
        variables = {"discussion": discussion, "body": text, "replyTo": reply_to}
        data, budget = self._graphql(_ADD_COMMENT, variables, sending=True)
        made = as_dict(as_dict(data.get("addDiscussionComment")).get("comment"))
        if not isinstance(made.get("id"), str):
            raise OutcomeUnknown("GitHub took the answer and did not say where it stands.")
        return replace(_sent(f"{self._host}/{made['id']}", made.get("url"), made.get("createdAt")), budget=budget)

    def _where_to_reply(self, post: Post) -> tuple[str, str | None]:
        """The discussion, and the comment to reply under: replies have no replies, so theirs go beside them."""
        own, parent, root = (_place(one, self._host) for one in (post.external_id, post.parent_id, post.root_id))
        if own is None or own.node is None:
            raise Terminal("This is no post of a discussion.", "Open the post and answer there.")
        if root is None or root.node is None or parent is None:
            return own.node, None
        return root.node, own.node if parent == root else parent.node

    def find(self, post: Post, text: str, key: str, since: datetime) -> Sent | Absent | CannotTell:
        """Looks for our own comment with these words in the conversation. Raises Transient, Terminal."""
        place = _place(post.external_id, self._host)
        if place is None:
            return CannotTell(f"This is no post of {self._host}.")
        return self._find_reply(post, text, since) if place.node else self._find_comment(place, text, since)

    def _find_comment(self, place: _Place, text: str, since: datetime) -> Sent | Absent | CannotTell:
        path = f"/repos/{place.repository}/issues/{place.number}/comments"
        for page in range(1, FIND_PAGES + 1):
            asked: _Params = {"since": _zulu(since), "per_page": PER_PAGE, "page": page}
            answer = self._get(path, asked, fine=(404, 410))
            if answer.status in (404, 410):
                return CannotTell("The conversation cannot be seen any more.")
            listed = answer.json()
            if not isinstance(listed, list):
                raise Transient("GitHub sent an answer without comments in it.")
            for comment in map(as_dict, listed):
                if self._is_ours(comment) and _is_this(comment.get("body"), comment.get("created_at"), text, since):
                    issue = f"{self._host}/{place.repository}#{place.number}"
                    return _sent(f"{issue}/{comment.get('id')}", comment.get("html_url"), comment.get("created_at"))
            if 'rel="next"' not in answer.headers.get("link", ""):
                return Absent()
        return CannotTell("More was said there since than can be looked through.")

    def _is_ours(self, comment: dict[str, Any]) -> bool:
        """By our login; an app's installation has none, and its comments are a bot's."""
        if self._us is None:
            answer = self._get("/user", fine=(403,))
            login = as_dict(answer.json()).get("login") if answer.status == 200 else ""
            if not isinstance(login, str):
                raise Transient("GitHub did not say who we are.")
            self._us = login
        return as_dict(comment.get("user")).get("login") == self._us if self._us else _is_bot(comment)

    def _find_reply(self, post: Post, text: str, since: datetime) -> Sent | Absent | CannotTell:
        discussion, reply_to = self._where_to_reply(post)
        data, _budget_left = self._graphql(_OUR_COMMENTS, {"id": reply_to or discussion}, partial=True)
        below = as_dict(as_dict(data.get("node")).get("below"))
        if not isinstance(below.get("nodes"), list):
            return CannotTell("The conversation cannot be seen any more.")
        comments = [as_dict(one) for one in below["nodes"]]
        for comment in comments:
            ours = comment.get("viewerDidAuthor") is True
            if ours and _is_this(comment.get("body"), comment.get("createdAt"), text, since):
                return _sent(f"{self._host}/{comment.get('id')}", comment.get("url"), comment.get("createdAt"))
        reaches_back = any(moment < since for moment in _each_moment(comments, "createdAt"))
        if as_dict(below.get("pageInfo")).get("hasPreviousPage") is True and not reaches_back:
            return CannotTell("More was said there since than can be looked through.")
        return Absent()

    # -- what was deleted

    def still_there(self, external_ids: Sequence[str]) -> Mapping[str, bool]:
        """Whether these still stand. Raises Transient, Terminal."""
        return {one: told is not False for one, told in self.as_they_are(external_ids).items()}

    def as_they_are(self, external_ids: Sequence[str]) -> Mapping[str, Post | bool]:
        """One request for each issue and comment. Where the limit ends the round, what was learnt so far.

        Raises Transient, Terminal.
        """
        told: dict[str, Post | bool] = {}
        places = {one: place for one in dict.fromkeys(external_ids) if (place := _place(one, self._host))}
        try:
            nodes = {place.node: one for one, place in places.items() if place.node}
            if self._has_token:
                for some in _batches(list(nodes)):
                    told |= {nodes[node]: one for node, one in self._standing(some).items()}
            visible: dict[str, bool] = {}
            for one, place in places.items():
                if not place.node and (stands := self._stands(one, place, visible)) is not None:
                    told[one] = stands
        except Transient:
            if not told:
                raise
        return told

    def _stands(self, external_id: str, place: _Place, visible: dict[str, bool]) -> Post | bool | None:
        """None where the repository itself cannot be seen with our token: it, too, may have lost its rights."""
        answer = self._get(place.path, fine=(404, 410, 451))
        if answer.status == 200:
            item = as_dict(answer.json())
            return _as_it_is(item, _comment if "issue_url" in item else _issue, external_id)
        if answer.status != 404 or not self._has_token:
            return False
        if place.repository not in visible:
            visible[place.repository] = self._get(f"/repos/{place.repository}", fine=(404, 451)).status == 200
        return False if visible[place.repository] else None

    def _standing(self, nodes: Sequence[str]) -> dict[str, Post | bool]:
        data, _budget_left = self._graphql(_STANDING, {"ids": list(nodes)}, partial=True)
        listed = data.get("nodes")
        if not isinstance(listed, list) or len(listed) != len(nodes):
            raise Transient("GitHub sent an answer without posts in it.")
        told: dict[str, Post | bool] = {}
        for node, found in zip(nodes, map(as_dict, listed), strict=True):
            stands = bool(found) and found.get("deletedAt") is None
            make = _discussion if "title" in found else _reply
            told[node] = stands and _as_it_is(found, make, f"{self._host}/{node}")
        return told

    # -- the wire

    def _get(
        self, path: str, params: _Params | None = None, *, etag: str | None = None, fine: Iterable[int] = ()
    ) -> Answer:
        """Raises Transient, Terminal; a limit is told apart from what is forbidden."""
        headers = {"If-None-Match": etag} if etag else None
        answer = self._client.get(self._rest + path, params=params, headers=headers, fine=(*_MAY_BE_LIMITS, *fine))
        self._refuse(answer, fine)
        return answer

    def _refuse(self, answer: Answer, fine: Iterable[int] = (), *, sending: bool = False) -> None:
        if answer.status in _MAY_BE_LIMITS and (limit := _limit(answer)):
            raise limit
        if answer.status >= 400 and answer.status not in fine:
            raise http.refused(TITLE, answer.status, answer.headers, answer.body, sending=sending)

    def _graphql(
        self, query: str, variables: Mapping[str, Any], *, sending: bool = False, partial: bool = False
    ) -> tuple[dict[str, Any], Budget]:
        """The answer's data. With `partial` some of it may not be found. Raises as `_get`, or as `answer` does."""
        body = {"query": query, "variables": dict(variables)}
        if sending:
            answer = self._client.send("POST", self._graphql_url, json=body, fine=_MAY_BE_LIMITS)
        else:
            answer = self._client.post_question(self._graphql_url, body, fine=_MAY_BE_LIMITS)
        self._refuse(answer, sending=sending)
        decoded = as_dict(answer.json(sending=sending))
        errors = [as_dict(error) for error in as_list(decoded.get("errors"))]
        serious = [error for error in errors if not (partial and error.get("type") == "NOT_FOUND")]
        if serious:
            raise _graphql_error(serious[0], answer, sending=sending)
        if not isinstance(decoded.get("data"), dict):
            message = "GitHub sent an answer without data in it."
            raise OutcomeUnknown(message) if sending else Transient(message)
        return decoded["data"], _budget(answer)

    def _nothing_there(self, path: str) -> Terminal:
        repository = "/".join(path.split("/")[2:4])
        private = "" if self._has_token else " A private one needs a token."
        return Terminal(
            f"{self._host} shows us no repository {repository}.{private}", "Check its owner and name, and the token."
        )


# --- Limits and failures -------------------------------------------------------------------------------------------

_MAY_BE_LIMITS = (403, 429)


def _limit(answer: Answer) -> Transient | None:
    """What a 403 or 429 says of limits; None for a 403 that really forbids."""
    said = answer.body[:10_000].decode("utf-8", "replace").lower()
    wait, budget = http.retry_after(answer.headers), _budget(answer)
    if wait is not None:
        return Transient("GitHub asks us to slow down (secondary rate limit).", max(1.0, wait))
    if budget.remaining == 0 and budget.resets_at:
        seconds = max(1.0, (budget.resets_at - datetime.now(UTC)).total_seconds())
        return Transient(f"GitHub's limit of requests is used up until {budget.resets_at:%H:%M:%S} UTC.", seconds)
    if answer.status == 429 or "rate limit" in said or "abuse detection" in said:
        return Transient("GitHub asks us to slow down (secondary rate limit).", SLOW_DOWN)
    return None


_REFUSALS = {
    "NOT_FOUND": ("GitHub does not show this to us", "Check the repository's owner and name, and the token's rights."),
    "FORBIDDEN": ("GitHub does not allow this", "Check what the token may do, and whether the conversation is locked."),
    "INSUFFICIENT_SCOPES": ("The token may not do this", "Make a token with the rights that the guide names."),
    "UNPROCESSABLE": ("GitHub did not accept this", "Open the post and answer there."),
}


def _graphql_error(error: dict[str, Any], answer: Answer, *, sending: bool) -> ListeningError:
    """GraphQL's errors come with status 200 and a type. An unknown one, while sending, leaves the outcome open."""
    kind, words = error.get("type"), error.get("message")
    said = f": {one_line(words, 200).rstrip('.')}" if isinstance(words, str) and words else ""
    if kind in ("RATE_LIMITED", "RATE_LIMIT"):
        resets_at = _budget(answer).resets_at
        seconds = (resets_at - datetime.now(UTC)).total_seconds() if resets_at else SLOW_DOWN
        return Transient("GitHub's limit of GraphQL is used up.", max(1.0, seconds))
    if isinstance(kind, str) and kind in _REFUSALS:
        meaning, what_to_do = _REFUSALS[kind]
        return Terminal(f"{meaning}{said}.", what_to_do)
    message = f"GitHub failed{said}."
    return OutcomeUnknown(message) if sending else Transient(message)


def _budget(answer: Answer) -> Budget:
    def number(name: str) -> int | None:
        value = answer.headers.get(f"x-ratelimit-{name}", "")
        return int(value) if re.fullmatch(r"[0-9]{1,10}", value) else None

    resets = number("reset")
    kind = answer.headers.get("x-ratelimit-resource", "")
    return Budget(
        remaining=number("remaining"),
        limit=number("limit"),
        resets_at=datetime.fromtimestamp(resets, UTC) if resets else None,
        kind=kind if re.fullmatch(r"[a-z_]{1,40}", kind) and kind != "core" else "",
    )


def _expiry(answer: Answer) -> datetime | None:
    """When the token expires, out of a header such as "2026-12-01 09:00:00 UTC" or "… +0100"."""
    said = answer.headers.get("github-authentication-token-expiration", "").replace(" UTC", "+00:00")
    try:
        moment = datetime.fromisoformat(re.sub(r" (?=[+-]\d{4}$)", "", said))
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


# --- Small things --------------------------------------------------------------------------------------------------


def _addresses(base_url: str | None) -> tuple[str, str, str]:
    """Where REST and GraphQL are asked, and the server's name in addresses of its pages. Raises Terminal."""
    base = (base_url or API).strip().rstrip("/")
    host = urlsplit(base).netloc.rpartition("@")[2]
    if not host:
        raise Terminal(f"{one_line(base, 100)!r} is no web address.", "Enter the server's address: https://…")
    if host.startswith("api."):  # github.com, and Enterprise Cloud on a domain of its own
        return base, f"{base}/graphql", host.removeprefix("api.")
    server = base.removesuffix("/api/v3")
    return f"{server}/api/v3", f"{server}/api/graphql", host


def _repository(text: str) -> str:
    """owner/name, out of just that or of an address of its page. Raises Terminal."""
    typed = re.sub(r"^https?://[^/]*/", "", text.strip(), flags=re.IGNORECASE)
    name = "/".join(typed.split("/")[:2]).removesuffix(".git")
    if not re.fullmatch(_NAME, name) or name.endswith(("/.", "/..")):
        raise Terminal(f"{one_line(text, 100)!r} is no repository.", "Write it as owner/name, such as acme/kettle.")
    return quote(name, safe="/")


def _words(text: str) -> str:
    """The search, in what issues themselves say unless it asks for something else itself. Raises Terminal."""
    words = clean(text).strip()
    if not words or len(words) > MAX_QUERY:
        raise Terminal(
            "There is nothing to search for." if not words else "These are too many words for GitHub.",
            f"Enter between one word and {MAX_QUERY} characters.",
        )
    grouped = f"({words})" if re.search(r"\bOR\b", words) else words
    kind = "" if re.search(r"\b(?:is|type):", words) else " is:issue"
    return grouped + kind + ("" if re.search(r"\bin:", words) else " in:title,body")


def _days(text: str) -> float:
    """Raises Terminal."""
    if not text.strip():
        return FIRST_DAYS
    if not re.fullmatch(r"[0-9]{1,4}", text.strip()):
        raise Terminal("The number of days is a number from 0 to 9999.", f"Write such as {FIRST_DAYS}.")
    return int(text)


def _paging(bound: Bound) -> dict[str, str | int]:
    return {"per_page": PER_PAGE, **({"page": bound.page} if bound.page > 1 else {})}


def _zulu(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _each_moment(items: Iterable[object], name: str) -> Iterator[datetime]:
    """The moments that items give under a name, without those that are none."""
    for item in items:
        try:
            moment = _moment(as_dict(item).get(name), may_lack=True)
        except _NoPost:
            continue
        if moment is not None:
            yield moment


def _batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), ASKED_AT_ONCE):
        yield ids[start : start + ASKED_AT_ONCE]


def _checked(text: str) -> str:
    """The text as it can be posted. Raises Terminal for one that GitHub would refuse."""
    text = clean(text)
    if not text.strip():
        raise Terminal("The answer is empty.", "Write something.")
    if len(text) > MAX_CHARS:
        raise Terminal(f"The answer has {len(text):,} characters; GitHub takes {MAX_CHARS:,}.", "Shorten it.")
    return text


def _is_this(body: object, created: object, text: str, since: datetime) -> bool:
    """Whether a comment of ours is the one that was sent: GitHub keeps a text as it is, but for its ends of lines."""
    moment = next(_each_moment([{"at": created}], "at"), None)
    return isinstance(body, str) and moment is not None and moment >= since and clean(body).split() == text.split()


def _sent(external_id: str, url: object, created: object) -> Sent:
    moment = next(_each_moment([{"at": created}], "at"), None)
    return Sent(external_id, url if isinstance(url, str) else None, moment or datetime.now(UTC))
