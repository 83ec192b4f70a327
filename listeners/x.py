"""X, through tweepy and its API v2: recent search, mentions and quotes of our account, and what is said to one post.

tweepy signs and shapes the requests. It knows neither a time limit nor another host, which `http.equip` gives its
session, and its own errors trip over odd answers: `_judge` hears every answer first and tells failures in our own.
Reading is paid for by the post, so nothing is read twice but a minute's overlap.
An edited post has a new id on X. Here it goes on under its first one, so that it stays one post.
"""

from __future__ import annotations

import html
import json
import logging
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import requests
import tweepy
from pydantic import ValidationError

from listeners import http
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
from listeners.untrusted import as_dict, as_list, iso_moment
from listeners.walking import ByKey, Listing, Mark, Token, walk

PLATFORM = "x"
SOURCE = "X"
SITE = "https://x.com"
API = "https://api.twitter.com"
"""The host that tweepy asks."""
PAGE = 100
FIRST_PAGES = 5
"""Pages that the first walk of a source reads at most: they are paid for."""
MAX_QUERY = 512
MAX_LENGTH = 280
OVERLAP = timedelta(minutes=1)
"""Read again below the mark, since two posts of the same moment need not turn up in the order of their ids."""
SEARCH_REACHES_BACK = timedelta(days=6, hours=20)
"""Seven days, less what clocks may differ: an id from before that is refused as a bound."""
WATCHED = 44
"""So many of our newest posts are watched for quotes."""
WATCHED_AT_ONCE = 11
"""As many as a search of 512 characters can name."""
FIND_PAGES = 3
CLOCKS_DIFFER = timedelta(minutes=1)

log = logging.getLogger(__name__)
for _name in ("tweepy", "oauthlib", "requests_oauthlib"):
    logging.getLogger(_name).setLevel(logging.INFO)  # at DEBUG they log the credentials

# --- How long a text is to X -----------------------------------------------------------------------------------------

URL_LENGTH = 23
_ADDRESS = re.compile(
    r"https?://[^\s<>/?#.]+\.[^\s<>]*[\w/#=&+~%-]"
    # Without a scheme X links a domain with a generic ending, and one with a country's if more stands beside it.
    r"|(?<![@\w.-])(?:[a-z0-9-]{1,63}\.){1,8}(?:com|org|net|info|biz|edu|gov|io|co|tv|app|dev|shop|xyz|online|site|store)"
    r"(?![\w-]|\.\w)(?:/[^\s<>]*[\w/#=&+~%-])?"
    r"|(?<![@\w.-])(?:[a-z0-9-]{1,63}\.){2,8}[a-z]{2}(?![\w-]|\.\w)(?:/[^\s<>]*[\w/#=&+~%-])?"
    r"|(?<![@\w.-])[a-z0-9-]{1,63}\.[a-z]{2}/[^\s<>]*[\w/#=&+~%-]",
    re.IGNORECASE,
)
_PICTURE = (
    "[\u203c\u2049\u2122\u2139\u2194-\u21aa\u231a-\u23ff\u24c2\u25aa-\u27bf\u2934\u2935\u2b05-\u2b55"
    "\U0001f000-\U0001faff]"
)
_EMOJI = re.compile(
    "[\U0001f1e6-\U0001f1ff]{2}"  # a flag
    "|[0-9#*]\ufe0f?\u20e3"  # a keycap
    f"|{_PICTURE}[\ufe0f\U0001f3fb-\U0001f3ff]?(?:\u200d{_PICTURE}[\ufe0f\U0001f3fb-\U0001f3ff]?){{0,6}}[\U000e0020-\U000e007f]*"
)
_LIGHT = ((0x0000, 0x10FF), (0x2000, 0x200D), (0x2010, 0x201F), (0x2032, 0x2037))
"""Characters that count 1: Latin and its neighbours, and common punctuation. All others count 2."""


def weighted_length(text: str) -> int:
    """A text's length as X counts it against 280: an address 23, an emoji 2, Chinese, Japanese and Korean 2 each."""
    text = unicodedata.normalize("NFC", text)
    without, addresses = _ADDRESS.subn("", text)
    without, emojis = _EMOJI.subn("", without)
    rest = sum(1 if any(low <= ord(char) <= high for low, high in _LIGHT) else 2 for char in without)
    return addresses * URL_LENGTH + emojis * 2 + rest


_LAST_WEEK = Reach(
    "X gives at most the last 7 days, and each post that is read is paid for.", at_most=timedelta(days=7)
)

CAPABILITY = Capability(
    platform=PLATFORM,
    title="X",
    answering=Answering.API,
    answering_rule="Only if the author mentioned or quoted our account; anything else is handed off, to be answered on "
    "X by hand. What is posted must be exactly what was shown before.",
    checked_on=date(2026, 11, 1),
    modes=(
        Mode(
            "search",
            "Search",
            "Words",
            "Posts of the last seven days. Reposts are left out.",
            syntax=Syntax(
                max_length=MAX_QUERY - len("() -is:retweet"),
                phrase='"{}"',
                either="OR",
                without="-{}",
                author="from:{}",
                author_names=r"[A-Za-z0-9_]{1,15}",
                language="lang:{}",
                signs="#@",
            ),
            reach=_LAST_WEEK,
        ),
        Mode(
            "mentions",
            "Mentions of our account",
            "",
            "Needs the account's access token.",
            reach=Reach("X gives at most the latest 800, and each post that is read is paid for.", ends_after=800),
        ),
        Mode(
            "quotes",
            "Quotes of our posts",
            "",
            f"Of the newest {WATCHED} posts of our account. Needs its access token.",
            reach=_LAST_WEEK,
        ),
        Mode(
            "post",
            "Replies to a post, and quotes of it",
            "Address of the post",
            "Whoever made it. Replies to replies come too.",
            reach=_LAST_WEEK,
        ),
    ),
    max_chars=MAX_LENGTH,
    length=weighted_length,
    counted_in="characters as X counts them (a link 23, an emoji 2)",
    deletable=True,
    credentials=(
        CredentialField("bearer_token", "Bearer token", help="Of your app, in X's developer console. To read."),
        CredentialField("api_key", "API key", required=False, help="Of the same app. To answer."),
        CredentialField("api_secret", "API key secret", required=False, help="Of the same app."),
        CredentialField("access_token", "Access token", required=False, help="Of the account that answers."),
        CredentialField("access_token_secret", "Access token secret", required=False, help="Of the same account."),
        CredentialField(
            "client_id",
            "Client id",
            secret=False,
            required=False,
            typed=False,
            help="Under *Keys and tokens*, *OAuth 2.0*.",
        ),
        CredentialField(
            "client_secret", "Client secret", required=False, typed=False, help="Only of a confidential client."
        ),
        CredentialField("refresh_token", "Refresh token", required=False, typed=False),
    ),
    guide=(
        "Sign in to [X's developer console](https://developer.x.com) as the account that shall answer, declare your "
        "use, which binds, and buy credits: every post that is read is paid for.",
        "Make an app. Under *Keys and tokens* generate the **bearer token** and copy it here. That is enough to "
        "search.",
        "To answer, set the app's user authentication to *Read and write* first: tokens made before keep the rights "
        "they had.",
        "Under *Keys and tokens* generate the **API key** with its secret and the **access token** with its secret, "
        "and copy all four here.",
    ),
    oauth=OAuth(
        authorize_url="https://x.com/i/oauth2/authorize",
        token_url="https://api.x.com/2/oauth2/token",
        scopes=("tweet.read", "tweet.write", "users.read", "offline.access"),
        asks=("client_id",),
        may_ask=("client_secret",),
        access="bearer_token",
        refresh="refresh_token",
        replaces=("api_key", "api_secret", "access_token", "access_token_secret"),
        guide=(
            "Sign in to [X's developer console](https://developer.x.com), declare your use, which binds, and buy "
            "credits: every post that is read is paid for.",
            "Make an app. Under *User authentication settings* choose *Read and write* and *Web App, Automated App or "
            "Bot*, and enter the redirect URI below as its callback.",
            "Under *Keys and tokens* copy **client id** and **client secret** of OAuth 2.0.",
            "Be signed in to X as the account that shall answer when you go on.",
        ),
        basic=True,
        loopback=("127.0.0.1",),
    ),
    key_needed=True,
    limits="Each post that is read is paid for. 450 searches in 15 minutes; 100 answers in 15 minutes. The first look "
    f"reads {FIRST_PAGES * PAGE} posts at most.",
    search_syntax='Words, "phrases", OR, -word, #tag, @name, from:, to:, lang:, has:links, is:reply; 512 characters',
    exportable=False,
    # As a file that a person takes, never through an interface for programs. The figure is second-hand.
    exports_a_day=50_000,
    trainable=False,
    cross_person_matching=False,
    poll_every=timedelta(minutes=15),
    recheck_every=timedelta(hours=24),
    duties="What is deleted or changed on X must be deleted or changed here. No training on X's posts. Exports are "
    "capped; beyond the cap only ids may leave. A user name may be matched to a person elsewhere only if they agreed "
    "or gave it themselves. Never infer health, politics, religion or money trouble.",
)

EXTRA: Mapping[str, str] = {
    "countries": "countries in which Samtal is read, as two-letter codes such as IS,NO: then what X withholds only in "
    "others is kept. Without it nothing is kept that X withholds anywhere"
}

_Json: TypeAlias = dict[str, Any]


def open(account: Mapping[str, str], options: Options) -> XListener:
    """A listener for an account's fields as `CAPABILITY.credentials` names them; without any it can only parse."""
    return XListener(account, options)


# --- What X answers, as posts ----------------------------------------------------------------------------------------

TWEET_FIELDS = [
    "author_id", "conversation_id", "created_at", "edit_history_tweet_ids", "entities", "in_reply_to_user_id", "lang",
    "note_tweet", "public_metrics", "referenced_tweets", "withheld",
]  # fmt: skip
EXPANSIONS = ["author_id", "in_reply_to_user_id", "referenced_tweets.id", "referenced_tweets.id.author_id"]
USER_FIELDS = ["name", "public_metrics", "username", "withheld"]
_FIELDS: _Json = {"tweet_fields": TWEET_FIELDS, "expansions": EXPANSIONS, "user_fields": USER_FIELDS}
_ALONE: _Json = {**_FIELDS, "expansions": ["author_id"]}
"""Of posts that are asked for by id: what they refer to would have to be paid for, too."""

_ID = re.compile(r"[0-9]{1,19}")
_EPOCH_MS = 1_288_834_974_657
_FIRST_TIMED_ID = 29_700_859_247
"""Ids from here on carry the moment they were made."""
_COUNTS = {
    "like_count": "likes",
    "retweet_count": "reposts",
    "reply_count": "replies",
    "quote_count": "quotes",
    "impression_count": "views",
}
_LANGUAGES = {"in": "id", "iw": "he"}
_NO_LANGUAGES = {"und", "zxx", "art"}
_EVERYWHERE = {"XX", "XY"}
"""In place of a country: withheld in all of them, XY for the sake of a copyright."""


def parse(answer: bytes) -> list[Post | Rejected]:
    """An answer of search, a timeline or a look-up by id. Reposts are left out: they say nothing of their own.

    Raises Terminal for anything else.
    """
    try:
        document = json.loads(answer)
    except (ValueError, RecursionError) as error:
        raise _not_x("This is no JSON, so no answer of X's.") from error
    return _posts(document)


def _not_x(message: str) -> Terminal:
    return Terminal(message, "Give one answer of X's API v2 as it came, such as that of /2/tweets/search/recent.")


def _posts(document: object, read_in: Set[str] = frozenset()) -> list[Post | Rejected]:
    """`read_in` are the countries in which it is read; none stands for all."""
    if not isinstance(document, dict) or not any(_holds(document, name) for name in ("data", "meta", "errors")):
        raise _not_x("This is no answer of X's API v2.")
    if "title" in document and not _holds(document, "data"):
        raise _not_x("This is a refusal of X's, with no posts in it.")
    data = document.get("data", [])
    tweets = data if isinstance(data, list) else [data]
    includes = as_dict(document.get("includes"))
    along = _Along.of(_by_id(includes.get("users")), _by_id(includes.get("tweets")) | _by_id(tweets), read_in)
    where = "data[{}]" if isinstance(data, list) else "data"
    read = (_post_or_rejected(tweet, where.format(n), along) for n, tweet in enumerate(tweets))
    return [one for one in read if one is not None]


def _holds(document: _Json, name: str) -> bool:
    return isinstance(document.get(name), (list, dict))


@dataclass(frozen=True, slots=True)
class _Along:
    """What an answer holds, by id, and the countries in which it is read."""

    users: _Json
    tweets: _Json
    read_in: Set[str]
    firsts: Mapping[str, str]
    """Of posts that were edited: the first id, by each of their ids."""

    @classmethod
    def of(cls, users: _Json, tweets: _Json, read_in: Set[str]) -> _Along:
        edited = [versions for tweet in tweets.values() if len(versions := _versions(tweet)) > 1]
        return cls(users, tweets, read_in, {name: versions[0] for versions in edited for name in versions})

    def first(self, name: str) -> str:
        """The id that a post began with, as far as it is known that this is a version of it."""
        return self.firsts.get(name, name)


def _versions(tweet: _Json) -> list[str]:
    """The ids that a post has had, its own among them, the first one first."""
    history = {one for one in as_list(tweet.get("edit_history_tweet_ids")) if _is_id(one)}
    return sorted(history, key=int) if tweet["id"] in history else [tweet["id"]]


def _post_or_rejected(tweet: object, where: str, along: _Along) -> Post | Rejected | None:
    try:
        return _post(tweet, along)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)[0]
        return Rejected(where, f"{'.'.join(map(str, wrong['loc']))}: {wrong['msg']}")
    except _NoPost as error:
        return Rejected(where, str(error))


class _NoPost(ValueError):
    """Why something is no post, in words."""


def _post(tweet: object, along: _Along, *, in_context: bool = True) -> Post | None:
    """The post, or None for a repost; `in_context` with the posts that it refers to, as far as they came along."""
    if not isinstance(tweet, dict):
        raise _NoPost("is no object")
    name = _id_or_none(tweet.get("id"))
    if name is None:
        raise _NoPost("has no id as a post has one")
    related = {
        str(one.get("type")): one.get("id") for one in _dicts(tweet.get("referenced_tweets")) if _is_id(one.get("id"))
    }
    if "retweeted" in related:
        return None
    if _is_withheld(tweet, along):
        raise _NoPost("is withheld by X")
    author = _author(tweet.get("author_id"), along.users)
    long_form = as_dict(tweet.get("note_tweet"))
    whole = long_form if isinstance(long_form.get("text"), str) else tweet
    versions = _versions(tweet)
    posted_at, edited_at = _moments(tweet, versions)
    above, quoted, root = related.get("replied_to"), related.get("quoted"), _id_or_none(tweet.get("conversation_id"))
    first_root = along.first(root) if root else None
    return Post(
        platform=PLATFORM,
        external_id=versions[0],
        url=f"{SITE}/{author.handle if author and author.handle != author.id else 'i'}/status/{name}",
        author=author,
        text=_text(whole),
        lang=_language(tweet.get("lang")),
        posted_at=posted_at,
        edited_at=edited_at,
        parent_id=along.first(above) if above else None,
        root_id=None if first_root in versions else first_root,
        mentions=_mentions(tweet, whole, along.users),
        quotes_id=along.first(quoted) if quoted else None,
        quotes_author_id=_id_or_none(as_dict(along.tweets.get(quoted)).get("author_id")) if quoted else None,
        engagement=_engagement(tweet.get("public_metrics")),
        kind=Kind.COMMENT if above else Kind.POST,
        context=_context([above, quoted, root], versions, along) if in_context else (),
    )


def _context(names: Sequence[str | None], versions: Sequence[str], along: _Along) -> tuple[Post, ...]:
    """Those of the posts with these ids that came along, each once, but for the one that names them."""
    found: dict[str, Post] = {}
    for name in names:
        if name in along.tweets and name not in versions and (post := _alone(along.tweets[name], along)):
            found.setdefault(post.external_id, post)
    return tuple(found.values())


def _alone(tweet: _Json, along: _Along) -> Post | None:
    """A post without what it refers to; None where it is a repost, is withheld or cannot be read."""
    try:
        return _post(tweet, along, in_context=False)
    except (ValidationError, _NoPost):
        return None


def _is_withheld(tweet: _Json, along: _Along) -> bool:
    """Whether X keeps the post, or all that its author writes, from people where it would be read."""
    author = as_dict(along.users.get(str(tweet.get("author_id"))))
    told = [as_dict(one.get("withheld")) for one in (tweet, author)]
    countries = {code for one in told for code in as_list(one.get("country_codes")) if isinstance(code, str)}
    return bool(countries & (along.read_in | _EVERYWHERE) if along.read_in else countries)


def _dicts(value: object) -> list[_Json]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _by_id(things: object) -> dict[str, _Json]:
    return {one["id"]: one for one in _dicts(things) if _is_id(one.get("id"))}


def _is_id(value: object) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def _id_or_none(value: object) -> str | None:
    return value if isinstance(value, str) and _ID.fullmatch(value) else None


def _author(author_id: object, users: _Json) -> Author | None:
    """By id; the id stands in for the handle where X kept the user back, as it does with protected accounts."""
    name = _id_or_none(author_id)
    if name is None:
        return None
    user = as_dict(users.get(name))
    followers = as_dict(user.get("public_metrics")).get("followers_count")
    return Author(
        id=name,
        handle=user.get("username") or name,
        display_name=user.get("name"),
        followers=followers if type(followers) is int and followers >= 0 else None,
    )


def _text(whole: _Json) -> Any:
    """The text as people see it: X escapes three characters, and puts its own short link for every address."""
    text = whole.get("text")
    if not isinstance(text, str):
        return text
    for link in _dicts(as_dict(whole.get("entities")).get("urls"))[:50]:
        short, full = link.get("url"), link.get("expanded_url")
        if (
            isinstance(short, str)
            and isinstance(full, str)
            and short.startswith("https://t.co/")
            and len(full) <= 2_000
        ):
            text = text.replace(short, full)
    return html.unescape(text)


def _language(code: object) -> str | None:
    if not isinstance(code, str) or code in _NO_LANGUAGES or re.fullmatch(r"q[a-z]{2}", code) or len(code) > 35:
        return None
    return _LANGUAGES.get(code, code)


def _moment(tweet: _Json) -> datetime:
    told = tweet.get("created_at")
    if isinstance(told, str):
        moment = iso_moment(told)
        if moment is None:
            raise _NoPost(f"created_at is no moment: {told:.40}")
        return moment
    if told is not None or int(tweet["id"]) < _FIRST_TIMED_ID:
        raise _NoPost("created_at is no moment")
    return _time_of(int(tweet["id"]))


def _moments(tweet: _Json, versions: Sequence[str]) -> tuple[datetime, datetime | None]:
    """When a post was made, and when it became this version of it; None where it was never changed."""
    moment, first = _moment(tweet), int(versions[0])
    if len(versions) == 1:
        return moment, None
    if tweet["id"] == versions[0] or first < _FIRST_TIMED_ID:
        return moment, moment
    return _time_of(first), moment


def _time_of(tweet_id: int) -> datetime:
    """When a post was made, as its id tells to the millisecond."""
    return datetime.fromtimestamp(((tweet_id >> 22) + _EPOCH_MS) / 1000, UTC)


def _id_at(moment: datetime) -> int:
    """The lowest id that a post of that moment can have."""
    return max(0, int(moment.timestamp() * 1000) - _EPOCH_MS) << 22


def _mentions(tweet: _Json, whole: _Json, users: _Json) -> tuple[str, ...]:
    """Ids of the accounts that the text names; X leaves ids out at times, but sends along who is meant."""
    ids = {user["username"].lower(): name for name, user in users.items() if isinstance(user.get("username"), str)}
    found: list[str] = []
    for named in (
        *_dicts(as_dict(tweet.get("entities")).get("mentions")),
        *_dicts(as_dict(whole.get("entities")).get("mentions")),
    ):
        username = named.get("username")
        if _is_id(named.get("id")):
            found.append(named["id"])
        elif isinstance(username, str) and re.fullmatch(r"\w{1,50}", username):
            found.append(ids.get(username.lower(), username))
    return tuple(dict.fromkeys(found))


def _engagement(metrics: object) -> dict[str, int]:
    counts = ((ours, as_dict(metrics).get(theirs)) for theirs, ours in _COUNTS.items())
    return {name: n for name, n in counts if type(n) is int and 0 <= n < 2**53}


# --- The listener ----------------------------------------------------------------------------------------------------

_USER = ("api_key", "api_secret", "access_token", "access_token_secret")


class XListener:
    """`Listener`, `Answers` and `ReadsAgain` for X with one app and, where given, one account of ours."""

    capability = CAPABILITY

    def __init__(self, account: Mapping[str, str], options: Options) -> None:
        self._account = {name: value.strip() for name, value in account.items() if value.strip()}
        self._options = options
        self._client: tweepy.Client | None = None
        self._budget = Budget()
        self._read_in = frozenset(re.findall(r"[A-Z]{2}", options.extra.get("countries", "").upper()))
        _check_account(self._account)

    def parse(self, answer: bytes) -> list[Post | Rejected]:
        return parse(answer)

    def check(self) -> Health:
        """Asks for a count, which is not paid for as posts are, and who we are. Raises Transient, Terminal."""
        if not self._connected:  # a count is shown to apps only
            self._ask(lambda client: client.get_recent_tweets_count("from:X"))
        if self._our_id is None and not self._connected:
            return Health(True, "X answers this app. Without an access token it can search, but not answer.")
        told = self._ask(lambda client: client.get_me(user_auth=not self._connected))
        user = as_dict(as_dict(told).get("data"))
        name, handle = user.get("id"), user.get("username")
        if not isinstance(handle, str) or not isinstance(name, str) or not _is_id(name):
            raise Transient("X did not say who we are.")
        if not self._connected and name != self._our_id:
            raise Terminal("X knows us as another account than the access token says.", "Enter the access token again.")
        display = user.get("name")
        author = Author(id=name, handle=handle, display_name=display if isinstance(display, str) else None)
        return Health(True, f"X answers, and knows us as @{clean(handle)}.", author)

    def fetch(self, query: Query, cursor: Cursor) -> Iterator[Page]:
        mode = query.mode or CAPABILITY.default_mode
        if mode in ("search", "post"):
            words = _search(query.text if mode == "search" else _of_post(query.text))
            return self._pages(cursor, _searching(words), SEARCH_REACHES_BACK)
        if mode == "quotes":
            return self._quotes(self._need_us(), cursor)
        if mode == "mentions":
            us = self._need_us()

            def mentions(client: tweepy.Client, **page: Any) -> Any:
                return client.get_users_mentions(us, **page)

            return self._pages(cursor, mentions, None)
        raise Terminal(f"X has no mode {mode[:80]!r}.", f"Choose {', '.join(m.name for m in CAPABILITY.modes)}.")

    def since(self, query: Query, moment: datetime) -> Cursor:
        """See `LooksBack`. X's numbers are made of the time."""
        return {"done_until": {"key": _id_at(moment)}}

    def _pages(self, cursor: Cursor, ask: Callable[..., Any], reaches_back: timedelta | None) -> Iterator[Page]:
        """Walks by ids, which stay good for as long as posts do; X's own page tokens do not."""
        mark = cursor.get("done_until")

        def page_at(token: Token) -> Listing:
            bounds = _bounds(mark, token, datetime.now(UTC) - reaches_back if reaches_back else None)
            return Listing([]) if bounds is None else self._page(ask, bounds)

        for page in walk(page_at, cursor, order=ByKey(_key), first_pages=FIRST_PAGES):
            mark = page.cursor["done_until"]  # the walk after this one starts from where this one ended
            yield page

    def _quotes(self, us: str, cursor: Cursor) -> Iterator[Page]:
        """Searches for quotes of as many of our posts as one search can name, then for those of the next ones.

        The cursor also holds the ids of these posts. X lists quotes of one post, too, but not only the new ones.
        """
        mark, ours = cursor.get("done_until"), self._watched(us, cursor.get("ours", []))

        def page_at(token: Token) -> Listing:
            left, below = token or (ours, None)
            bounds = _bounds(mark, below, datetime.now(UTC) - SEARCH_REACHES_BACK)
            now, later = left[:WATCHED_AT_ONCE], left[WATCHED_AT_ONCE:]
            if not now:
                return Listing([])
            quoted = " OR ".join(f"quotes_of_tweet_id:{name}" for name in now)
            listing = Listing([]) if bounds is None else self._page(_searching(_search(quoted)), bounds)
            below = listing.next_token
            return replace(listing, next_token=[left, below] if below else [later, None] if later else None)

        for page in walk(page_at, cursor, order=_OneAfterAnother(_key), first_pages=FIRST_PAGES):
            mark = page.cursor["done_until"]
            yield replace(page, cursor={**page.cursor, "ours": ours})

    def _watched(self, us: str, known: Sequence[str]) -> list[str]:
        """The ids of our newest posts, the newest first; only those that are new are read, and paid for."""
        page = {"max_results": PAGE, "exclude": ["retweets"], **({"since_id": known[0]} if known else {})}
        told = as_dict(self._ask(lambda client: client.get_users_tweets(us, user_auth=not self._connected, **page)))
        return list(dict.fromkeys([*_by_id(told.get("data")), *known]))[:WATCHED]

    def _page(self, ask: Callable[..., Any], bounds: Mapping[str, str]) -> Listing:
        """One page of a listing, each post with what it refers to."""
        document = self._ask(lambda client: ask(client, max_results=PAGE, **_FIELDS, **bounds))
        budget = self._budget
        return replace(self._listing(self._with_what_is_above(document)), budget=budget)

    def _with_what_is_above(self, document: object) -> object:
        """The answer and, among what came along with it, the posts that its threads begin with.

        X sends along what is answered or quoted, however old it is, and leaves out what stands further up.
        """
        missing = _not_along(document)
        if not missing:
            return document
        try:
            told = as_dict(self._ask(lambda client: client.get_tweets(missing[:PAGE], **_ALONE)))
        except ListeningError as error:  # the page was read and paid for; it can be understood without, if less well
            log.info("What some posts on X stand under could not be read: %s", error)
            return document
        return _joined(as_dict(document), told)

    def _listing(self, document: object) -> Listing:
        try:
            found = _posts(document, self._read_in)
        except Terminal as error:
            raise Transient("X answered something other than posts.") from error
        newest: dict[str, Post] = {}
        for post in found:
            if isinstance(post, Post):
                newest.setdefault(post.external_id, post)  # of two versions of a post the later one is listed first
        return Listing(
            posts=list(newest.values()),
            next_token=_next(as_dict(document)),
            rejected=[rejected for rejected in found if isinstance(rejected, Rejected)],
            budget=self._budget,
        )

    # Deletes

    def still_there(self, external_ids: Sequence[str]) -> Mapping[str, bool]:
        """Whether everybody may see these. Raises Transient, Terminal."""
        return {name: told is not False for name, told in self.as_they_are(external_ids).items()}

    def as_they_are(self, external_ids: Sequence[str]) -> Mapping[str, Post | bool]:
        """Asks for up to 100 at a time. Raises Transient, Terminal."""
        names = [name for name in dict.fromkeys(external_ids) if _is_id(name)]
        told: dict[str, Post | bool] = {}
        for start in range(0, len(names), PAGE):
            told |= self._as_they_are(names[start : start + PAGE])
        return told

    def _as_they_are(self, names: list[str]) -> dict[str, Post | bool]:
        """An id stands for its own version of a post: where there is a later one, that is asked for, too."""
        told = self._looked_up(names)
        tweets = _by_id(told.get("data"))
        later = {name: versions[-1] for name in tweets if (versions := _versions(tweets[name]))[-1] != name}
        if later:
            told = _joined(told, self._looked_up(list(later.values())))
        includes, gone = as_dict(told.get("includes")), _Gone.of(told)
        along = _Along.of(_by_id(includes.get("users")), _by_id(includes.get("tweets")) | tweets, self._read_in)
        return {
            name: _standing(name, later.get(name, name), along, gone)
            for name in names
            if name in tweets or name in gone.posts
        }

    def _looked_up(self, names: list[str]) -> _Json:
        return as_dict(self._ask(lambda client: client.get_tweets(names, **_ALONE)))

    # Answers

    def may_answer(self, post: Post) -> Verdict:
        """Pure: what X allows follows from the post and from who we are."""
        if self._our_id is None:
            return Verdict(
                False,
                "X has not told yet who we are: test the account, on the page Sources."
                if self._connected
                else "The account has no access token, so it can only read. Enter one, or answer on X by hand.",
            )
        if post.platform != PLATFORM or not _is_id(post.external_id):
            return Verdict(False, "This is no post on X.")
        if self._our_id in post.mentions:
            return Verdict(True, "The author mentioned us, so X lets us answer.")
        if post.quotes_author_id == self._our_id:
            return Verdict(True, "The author quoted us, so X lets us answer.")
        return Verdict(
            False, "X lets an app answer only those who mentioned or quoted its account. Answer on X by hand."
        )

    def answer(self, post: Post, text: str, key: str) -> Sent:
        """Posts a reply, in one attempt. X knows no idempotency key: see `find`."""
        verdict = self.may_answer(post)
        if not verdict.allowed:
            raise Terminal(verdict.reason, "Hand it off: copy the text, open the post and answer there.")
        text = clean(text)
        if (length := weighted_length(text)) > MAX_LENGTH:
            raise Terminal(f"The answer counts {length} characters on X, which takes {MAX_LENGTH}.", "Make it shorter.")
        self._connection().session.close()  # onto a new connection: on one kept alive too long nobody could tell
        told = self._ask(
            lambda client: client.create_tweet(
                text=text, in_reply_to_tweet_id=_newest(post), user_auth=not self._connected
            ),
            sending=True,
        )
        name = _id_or_none(as_dict(as_dict(told).get("data")).get("id"))
        if name is None:
            raise OutcomeUnknown("X took the answer, but did not show the post; it may have been posted.")
        sent_at = _time_of(int(name)) if int(name) >= _FIRST_TIMED_ID else datetime.now(UTC)
        return Sent(name, f"{SITE}/i/status/{name}", sent_at, replace(self._budget, kind=CAPABILITY.answers_spend))

    def find(self, post: Post, text: str, key: str, since: datetime) -> Sent | Absent | CannotTell:
        """Reads our own timeline since then, replies among it. Raises Transient, Terminal."""
        others = unreadable = False
        token: str | None = None
        for _ in range(FIND_PAGES):
            listing, token = self._our_timeline(since - CLOCKS_DIFFER, token)
            answers = [found for found in listing.posts if found.parent_id in (post.external_id, _newest(post))]
            for found in answers:
                if _words(found.text) == _words(text):
                    return Sent(found.external_id, found.url, found.posted_at)
            others, unreadable = others or bool(answers), unreadable or bool(listing.rejected)
            if token is None:
                break
        if others:
            return CannotTell("An answer of ours stands there since then, with other words. Look at it on X.")
        return CannotTell("X does not show all that we have posted since then.") if token or unreadable else Absent()

    def _our_timeline(self, since: datetime, token: str | None) -> tuple[Listing, str | None]:
        us = self._need_us()
        page = {"start_time": since, "max_results": PAGE, "pagination_token": token, **_FIELDS}
        told = self._ask(lambda client: client.get_users_tweets(us, user_auth=not self._connected, **page))
        following = as_dict(as_dict(told).get("meta")).get("next_token")
        return self._listing(told), following if isinstance(following, str) else None

    # Talking to X

    @property
    def _connected(self) -> bool:
        """Whether the bearer token is a user's, as OAuth 2.0 gives it, and not an app's."""
        return "refresh_token" in self._account and not set(_USER) & self._account.keys()

    @property
    def _our_id(self) -> str | None:
        """Our account's id, which an access token of OAuth 1 begins with; None where we only read."""
        if self._connected:
            return _id_or_none(self._options.known_as)
        if not set(_USER) <= self._account.keys():
            return None
        return _id_or_none(self._account["access_token"].partition("-")[0])

    def _need_us(self) -> str:
        if self._our_id is None:
            raise Terminal(
                "This needs an account of ours on X, and none is given.",
                "Connect the account with X, or enter its API key and access token, each with its secret.",
            )
        return self._our_id

    def _ask(self, call: Callable[[tweepy.Client], requests.Response], *, sending: bool = False) -> Any:
        """The answer's JSON. Raises ListeningError; with `sending`, as `Answers.answer` does."""
        client = self._connection()
        try:
            response = call(client)
        except (requests.RequestException, tweepy.TweepyException) as error:
            raise http.failed(SOURCE, error, sending=sending) from error
        headers = {name.lower(): value for name, value in response.headers.items()}
        answer = http.Answer(response.status_code, headers, response.content, response.url, SOURCE)
        return answer.json(sending=sending)

    def _connection(self) -> tweepy.Client:
        if self._client is None:
            if "bearer_token" not in self._account:
                raise Terminal("X needs an account.", "Enter the bearer token of your app.")
            given = self._account.get
            self._client = tweepy.Client(
                bearer_token=given("bearer_token"),
                consumer_key=given("api_key"),
                consumer_secret=given("api_secret"),
                access_token=given("access_token"),
                access_token_secret=given("access_token_secret"),
                return_type=requests.Response,
                wait_on_rate_limit=False,
            )
            self._client.user_agent = f"{http.user_agent()} tweepy/{tweepy.__version__}"
            rewrite = {API: self._options.base_url} if self._options.base_url else {}
            http.equip(self._client.session, self._options, rewrite)
            self._client.session.hooks["response"].append(self._judge)
        return self._client

    def _judge(self, response: requests.Response, **_: object) -> None:
        """Hears every answer before tweepy does, and raises what a refusal means."""
        self._budget = _budget(response.headers, response.url)
        sending = response.request.method == "POST"
        if response.status_code >= 400:
            raise _refused(response, sending)
        if response.is_redirect:
            raise Terminal(
                "X sent us to another address, which an answer of its API never does.", "Check the base URL."
            )


def _check_account(account: Mapping[str, str]) -> None:
    for name, value in account.items():
        if not value.isascii() or not value.isprintable():
            raise Terminal(f"X's {name} has characters that it cannot have.", "Copy it again from X.")
    given = [name for name in _USER if name in account]
    missing = [field.label for field in CAPABILITY.credentials if field.name in _USER and field.name not in account]
    if given and missing:
        raise Terminal(f"To answer, X also needs {', '.join(missing)}.", "Enter all four, or none to listen only.")
    token = account.get("access_token")
    if token and not _is_id(token.partition("-")[0]):
        raise Terminal("This is no access token of X's: it begins with the account's number.", "Copy it again from X.")


def _search(text: str) -> str:
    """The query as it is sent. Raises Terminal where X would refuse it."""
    words = " ".join(clean(text).split())
    if not words:
        raise Terminal("There are no words to search for.", "Give words, such as a brand's name.")
    if "is:retweet" not in words:
        words = f"({words}) -is:retweet"
    if len(words) > MAX_QUERY:
        raise Terminal(
            f"The search is {len(words)} characters long, with the part that leaves out reposts; X takes {MAX_QUERY}.",
            "Make the search shorter, or split it into two sources.",
        )
    return words


_ADDRESS_OF_POST = re.compile(
    r"(?:(?:https?://)?(?:www\.|mobile\.)?(?:x|twitter)\.com/\w{1,50}(?:/web)?/status/)?([0-9]{1,19})(?:[/?#]\S*)?"
)


def _of_post(text: str) -> str:
    """What finds the replies to a post and the quotes of it. Raises Terminal where the text names none."""
    named = _ADDRESS_OF_POST.fullmatch(clean(text).strip())
    if not named:
        raise Terminal(
            f"{text[:80]!r} is no address of a post on X.", f"Give one such as {SITE}/name/status/1991000000000000009."
        )
    return f"conversation_id:{named[1]} OR quotes_of_tweet_id:{named[1]}"


def _searching(words: str) -> Callable[..., Any]:
    def search(client: tweepy.Client, **page: Any) -> Any:
        return client.search_recent_tweets(words, **page)

    return search


def _newest(post: Post) -> str:
    """The id of a post's version that it was last read in, which its address names."""
    found = re.search(r"/status/([0-9]{1,19})\Z", post.url or "")
    return found[1] if found else post.external_id


def _key(post: Post) -> int:
    """What X lists posts by, the newest first: the id, of an edited one that of its last version or just below."""
    return max(int(post.external_id), _id_at(post.edited_at) if post.edited_at else 0)


class _OneAfterAnother(ByKey):
    """Of several listings, one after another: what was read before ends the one it stands in, and not the walk."""

    def reached(self, post: Post, mark: Mark) -> bool:
        return False


def _bounds(mark: _Json | None, token: Token, oldest: datetime | None) -> dict[str, str] | None:
    """What bounds a page by ids; None where X no longer reaches back to it. An older mark is left out: all is new."""
    bounds: dict[str, str] = {}
    if mark is not None:
        since = _time_of(mark["key"]) - OVERLAP
        if oldest is None or since > oldest:
            bounds["since_id"] = str(_id_at(since))
    if token is not None:
        if oldest is not None and _time_of(int(token)) <= oldest:
            return None
        bounds["until_id"] = str(token)
    return bounds


def _next(document: _Json) -> str | None:
    """The id below which the next page begins; None at the end."""
    meta = as_dict(document.get("meta"))
    if not isinstance(meta.get("next_token"), str):
        return None
    ids = [
        int(name)
        for name in (meta.get("oldest_id"), *_by_id(document.get("data")))
        if isinstance(name, str) and _is_id(name)
    ]
    return str(min(ids)) if ids else None


def _not_along(document: object) -> list[str]:
    """The ids of what an answer's posts refer to and stand under, and what neither came along nor was refused."""
    told = as_dict(document)
    tweets = _by_id(told.get("data"))
    there = {*tweets, *_by_id(as_dict(told.get("includes")).get("tweets")), *_Gone.of(told).posts}
    named = (name for tweet in tweets.values() for name in _named(tweet))
    return [name for name in dict.fromkeys(named) if name not in there]


def _named(tweet: _Json) -> list[str]:
    """The ids of the posts that a post refers to or stands under; none of a repost, which is left out."""
    related = _dicts(tweet.get("referenced_tweets"))
    if any(one.get("type") == "retweeted" for one in related):
        return []
    found = (_id_or_none(name) for name in (*(one.get("id") for one in related), tweet.get("conversation_id")))
    return [name for name in found if name]


def _joined(document: _Json, told: _Json) -> _Json:
    """An answer, with the posts of another among what came along with it."""
    includes, more = as_dict(document.get("includes")), as_dict(told.get("includes"))
    users = [*_dicts(includes.get("users")), *_dicts(more.get("users"))]
    tweets = [*_dicts(includes.get("tweets")), *_dicts(told.get("data"))]
    errors = [*_dicts(document.get("errors")), *_dicts(told.get("errors"))]
    return {**document, "includes": {"users": users, "tweets": tweets}, "errors": errors}


_GONE = (
    "/resource-not-found",  # deleted, or its author is gone or suspended
    "/not-authorized-for-resource",  # its author is protected
    "/resource-unavailable",  # its author is suspended
    "/disallowed-resource",  # X took it away
)
"""Problems by which X says that we may not see something. Others, such as a failure of its own, prove nothing."""


@dataclass(frozen=True, slots=True)
class _Gone:
    """What an answer's errors say nobody may see any more, by id."""

    posts: Set[str]
    authors: Set[str]

    @classmethod
    def of(cls, told: _Json) -> _Gone:
        posts: set[object] = set()
        authors: set[object] = set()
        for error in _dicts(told.get("errors")):
            kind = error.get("type")
            if isinstance(kind, str) and kind.endswith(_GONE):
                (authors if error.get("resource_type") == "user" else posts).add(_id_or_none(error.get("resource_id")))
                posts.add(_id_or_none(error.get("value")) if error.get("parameter") == "ids" else None)
        return cls({one for one in posts if isinstance(one, str)}, {one for one in authors if isinstance(one, str)})


def _standing(name: str, newest: str, along: _Along, gone: _Gone) -> Post | bool:
    """A post as it stands in its newest version; False where it is not for everybody to see any more."""
    tweet = along.tweets.get(newest)
    if {name, newest} & gone.posts:
        return False
    if tweet is None:
        return True
    if _id_or_none(tweet.get("author_id")) in gone.authors or _is_withheld(tweet, along):
        return False
    post = _alone(tweet, along)
    return post if post is not None and post.external_id == name else True


def _words(text: str) -> list[str]:
    """A reply's words as far as X keeps them: it puts names before them, and schemes and slashes to addresses."""
    text = unicodedata.normalize("NFC", clean(text))
    text = re.sub(r"\A(?:\s*@\w{1,50}(?=\s))+", "", text)
    return [re.sub(r"\Ahttps?://|/\Z", "", word) for word in text.split()]


# --- Refusals --------------------------------------------------------------------------------------------------------


def _budget(headers: Mapping[str, str], url: str) -> Budget:
    """What X says is left; each endpoint has a limit of its own, so that searching leaves the mentions theirs."""
    limit, remaining, reset = (_number(headers.get(f"x-rate-limit-{name}")) for name in ("limit", "remaining", "reset"))
    kind = "search" if "/search/" in url else urlsplit(url).path.rstrip("/").rpartition("/")[2][:40]
    return Budget(remaining, limit, None if reset is None else datetime.fromtimestamp(reset, UTC), kind)


def _number(value: str | None) -> int | None:
    return int(value) if value is not None and re.fullmatch(r"[0-9]{1,10}", value) else None


def _refused(response: requests.Response, sending: bool) -> ListeningError:
    """What an error status means, in X's own words where it has some."""
    status, said, kind = response.status_code, *_said(response)
    if status == 429 and kind.endswith("/usage-capped"):
        return Terminal(f"The app has used up what it may read on X: {said}.", "Raise its plan or buy credits at X.")
    if status == 429:
        refused = http.refused(SOURCE, status, response.headers)
        return Transient(str(refused), _wait(response.headers))
    if status == 403 and sending:
        if "duplicate content" in said.lower():
            return Terminal(f"X did not take the answer: {said}.", "Use other words; X takes the same text only once.")
        return Terminal(
            f"X did not let us answer (403): {said or 'it gave no reason'}.",
            "Hand it off: copy the text, open the post and answer there.",
        )
    body = json.dumps({"message": said}).encode() if said else b""
    return http.refused(SOURCE, status, response.headers, body, sending=sending)


def _said(response: requests.Response) -> tuple[str, str]:
    """X's words for a refusal, one line, and its type; both may be empty."""
    try:
        told = as_dict(response.json())
    except (ValueError, RecursionError):
        return "", ""
    messages = [error.get("message") or error.get("detail") for error in _dicts(told.get("errors"))]
    said = next((m for m in (*messages, told.get("detail"), told.get("title")) if isinstance(m, str) and m.strip()), "")
    kind = told.get("type")
    return " ".join(clean(said).split())[:300].rstrip("."), kind if isinstance(kind, str) else ""


def _wait(headers: Mapping[str, str]) -> float | None:
    """Seconds until the limit that was met is lifted: that of a day where it is used up, else that of 15 minutes."""
    for prefix in ("x-user-limit-24hour", "x-app-limit-24hour", "x-rate-limit"):
        reset = _number(headers.get(f"{prefix}-reset"))
        used_up = _number(headers.get(f"{prefix}-remaining")) == 0 or prefix == "x-rate-limit"
        if used_up and reset is not None:
            return max(0.0, min(reset - datetime.now(UTC).timestamp(), 86_400.0))
    return http.retry_after(headers)
