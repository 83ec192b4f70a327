"""The contract of the listeners room: one file per platform, and nothing here knows a database.

A listener reads pages of posts and may have further powers: `Answers`, `Deletes`, `Streams`. What a platform allows is
data, its `Capability`; no other room asks which platform it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Protocol, TypeAlias, runtime_checkable

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

MAX_TEXT = 100_000
"""Characters of a post's text that are kept; the longest post of any platform here is 40,000 (Reddit)."""

Cursor: TypeAlias = dict[str, Any]
"""Opaque JSON that only the listener which wrote it reads. {} is the beginning."""

_UNKEEPABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


def clean(text: str) -> str:
    """The text without what databases and terminals refuse: NUL, lone surrogates, controls but tab and newline."""
    if text.isprintable():  # nearly every line, and much faster to find out than to clean
        return text
    return _UNKEEPABLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def _clean_str(value: object) -> object:
    return clean(value) if isinstance(value, str) else value


def _utc(value: datetime) -> datetime:
    if not 1 < value.year < 9999:  # at the very ends of the calendar the shift to another time zone leaves it
        raise ValueError("lies outside the calendar")
    return value.astimezone(UTC)


def _web_address(value: str | None) -> str | None:
    if value is not None and not value.lower().startswith(("http://", "https://")):
        raise ValueError("is no http(s) address")
    return value


Line = Annotated[str, BeforeValidator(_clean_str), Field(max_length=2_000)]
Identifier = Annotated[str, BeforeValidator(_clean_str), Field(min_length=1, max_length=1_000)]
Text = Annotated[
    str, BeforeValidator(lambda v: clean(v[:MAX_TEXT]) if isinstance(v, str) else v), Field(max_length=MAX_TEXT)
]
Moment = Annotated[AwareDatetime, AfterValidator(_utc)]
WebAddress = Annotated[Line | None, AfterValidator(_web_address)]


class Kind(StrEnum):
    """What sort of thing was said."""

    POST = "post"
    COMMENT = "comment"
    REVIEW = "review"
    ANSWER = "answer"
    NOTE = "note"


class Author(BaseModel):
    """Who wrote a post, as far as the platform says in public."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: Identifier
    """Stable on its platform (a DID, a numeric id); the handle where there is nothing stabler."""
    handle: Identifier
    display_name: Line | None = None
    followers: Annotated[int, Field(ge=0, lt=2**31)] | None = None


class Post(BaseModel):
    """One thing that somebody said in public. Frozen and checked; times are UTC-aware; text is clean."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    platform: Identifier
    external_id: Identifier
    """Unique within its platform: a feed's is feed address + guid, a file's is upload + row."""
    url: WebAddress = None
    author: Author | None = None
    title: Line | None = None
    text: Text
    lang: Annotated[str, Field(max_length=35)] | None = None
    """The platform's hint, a BCP 47 tag."""
    rating: Annotated[float, Field(ge=0, le=5)] | None = None
    posted_at: Moment
    posted_at_estimated: bool = False
    edited_at: Moment | None = None
    """When it became what it is now; `posted_at` where the platform dates versions and this may be the first."""
    parent_id: Identifier | None = None
    root_id: Identifier | None = None
    """external_id of the thread's first post; None means that this is the first."""
    mentions: tuple[Identifier, ...] = ()
    """Ids of the accounts named in it, as `Author.id` would have them; handles where the platform gives no ids."""
    quotes_id: Identifier | None = None
    quotes_author_id: Identifier | None = None
    engagement: dict[Line, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    """Public counts by the platform's own names, such as likes, reposts, replies."""
    kind: Kind = Kind.POST
    context: tuple[Post, ...] = ()
    """What it answers, quotes or stands under, as far as that came along; shown beside it, and no mention by itself."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """Something in a platform's answer that is no post: where it stood and what was wrong, in words."""

    where: str
    reason: str


@dataclass(frozen=True, slots=True)
class Budget:
    """What the platform's own headers said is left. Times are UTC-aware."""

    remaining: int | None = None
    limit: int | None = None
    resets_at: datetime | None = None
    kind: str = ""
    """Which requests it counts, in the listener's words, where the platform tells kinds apart; "" counts all."""


@dataclass(frozen=True, slots=True)
class Page:
    """Posts and the cursor to store with them, in the same transaction."""

    posts: Sequence[Post]
    cursor: Cursor
    rejected: Sequence[Rejected] = ()
    budget: Budget = Budget()
    filtered: int = 0
    """Posts that the platform sent and a query does not mean; they are not among `posts`. Set where they are taken
    out: by a stream itself, which gets everything, and otherwise by `listeners.translation`."""
    gone: Sequence[str] = ()
    """Ids of posts that were deleted; they are not among `posts`."""
    gone_authors: Sequence[str] = ()
    """Ids of authors whose accounts were deleted, with all that they wrote."""
    edits: Sequence[Post] = ()
    """Posts as they were changed to something that the query does not mean: kept where they are stored already."""


@dataclass(frozen=True, slots=True)
class Query:
    """What to listen for: a mode of the platform (see `Capability.modes`) and the words, name or address it needs."""

    text: str
    mode: str = ""


@dataclass(frozen=True, slots=True)
class Syntax:
    """What a platform's search can express, and how it writes that; {} is where the word or name goes.

    An empty one it cannot: then it is asked for more, and the rest is filtered here (`listeners.translation`). Without
    any it is asked for plain words, all of which must occur.
    """

    max_length: int = 500
    """Characters of what it can be asked."""
    together: bool = True
    """Whether several words can be asked for at once, all of which must occur; else it is asked for one of them."""
    phrase: str = ""
    either: str = ""
    """What stands between alternatives, which are then put in parentheses. Without it each is asked for by itself."""
    without: str = ""
    without_phrase: bool = True
    """Whether a phrase can be excluded as a word can."""
    prefix: str = ""
    """A word that may go on; "{}" where its search finds words by their beginning anyhow."""
    author: str = ""
    author_names: str = r"[\w.@-]+"
    """A regular expression: what may be a handle there. Other names it is not asked for."""
    language: str = ""
    signs: str = ""
    """Which of # and @ before a word it looks for."""
    scope: str = ""
    """A regular expression: what may stand before the words to say where to look; it is handed on as it is."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How far back the power `LooksBack` gets in one mode. `words` say it in a sentence, before anybody asks for it."""

    words: str
    possible: bool = True
    """False: a new source reads all that there is to be had, and the words say so."""
    at_most: timedelta | None = None
    """How long ago the oldest post was made that is still given; None where that has no end."""
    ends_after: int | None = None
    """After about so many posts a listing ends, and nothing can be asked that lies below; None where it goes on."""
    oldest_first: bool = False
    """Whether it is read upwards, from the day on that was asked for; otherwise down to it."""


@dataclass(frozen=True, slots=True)
class Mode:
    """One way to listen on a platform. `label` and `query_label` are shown; an empty `query_label` needs no query."""

    name: str
    label: str
    query_label: str
    help: str = ""
    syntax: Syntax | None = None
    """Of a search by words: then its query is written in the one language of `listeners.query`. None: it is a name or
    an address, and a `Query` holds it as it was typed."""
    streams: bool = False
    """Whether it is read by `Streams.stream`. Its `fetch` then only shows what sort of posts the stream would bring."""
    reach: Reach | None = None
    """How far back it can be read; None where nobody asks for it, and of a stream, which has no past."""


@dataclass(frozen=True, slots=True)
class CredentialField:
    """One thing that an account needs. A secret is never shown again. `help` says where to get it."""

    name: str
    label: str
    secret: bool = True
    help: str = ""
    default: str = ""
    required: bool = True
    typed: bool = True
    """False: only `OAuth` has a use for it, and it is not asked for where credentials are entered by hand."""


@dataclass(frozen=True, slots=True)
class OAuth:
    """How a person gives us leave at the platform itself, in place of entering credentials: an authorization code (RFC
    6749), with PKCE (RFC 7636). What it names as a field is one of `Capability.credentials`; see `listeners.oauth`."""

    authorize_url: str
    token_url: str
    """Both are addresses, or paths on `site`."""
    scopes: tuple[str, ...]
    asks: tuple[str, ...]
    """Fields that a person enters first: those of our application there, which must hold something."""
    may_ask: tuple[str, ...] = ()
    """Fields that a person may enter with them."""
    access: str = ""
    """The field that holds the access token; "" where the listener gets its own with the refresh token."""
    refresh: str = ""
    """The field that holds the refresh token; "" where there is none."""
    replaces: tuple[str, ...] = ()
    """Fields of another way in: they are forgotten, so that nothing is done in two names."""
    guide: tuple[str, ...] = ()
    """How to register our application there, step by step, in Markdown."""
    site: Callable[[Mapping[str, str]], str] | None = field(default=None, compare=False)
    """The address of an account's own server, from its fields. Raises Terminal."""
    api_host: str = ""
    """What the host of its API begins with and the host for people does not, where `Options.base_url` names the one."""
    register_path: str = ""
    """Where an application registers itself on `site`, so that nobody has to."""
    extra: tuple[tuple[str, str], ...] = ()
    """What else its page is asked with."""
    scopes_apart: str = " "
    """What stands between two scopes."""
    pkce: bool = True
    basic: bool = False
    """Whether our application names itself in a header, and not in the form."""
    plain_http: bool = True
    """Whether it sends people back to http:// on another machine than their own. To their own all do."""
    loopback: tuple[str, ...] = ("localhost", "127.0.0.1")
    """The names of a person's own machine that it sends back to."""


class Answering(StrEnum):
    """How an answer gets to where the post was made."""

    API = "api"
    HAND_OFF = "hand_off"


class Arrival(StrEnum):
    """How what was said gets here."""

    ASKED = "asked"
    """We ask for it, again and again."""
    UPLOADED = "uploaded"
    """A person hands in a file."""
    PUSHED = "pushed"
    """Another program sends it to us."""
    TYPED = "typed"
    """A colleague writes it down."""


@dataclass(frozen=True, slots=True)
class Capability:
    """What a platform allows, as data, read by the interface. Figures are those of `checked_on`."""

    platform: str
    title: str
    answering: Answering
    answering_rule: str
    """In words, for somebody about to type."""
    checked_on: date
    modes: tuple[Mode, ...]
    """The first is the default."""
    max_chars: int | None = None
    length: Callable[[str], int] = field(default=len, compare=False)
    """Counts a text as the platform counts it, against `max_chars`."""
    counted_in: str = "characters"
    opening: Callable[[Post], str] = field(default=lambda post: "", compare=False)
    """What an answer to a post should begin with, such as a mention of its author. It is put into an empty draft, where
    a person sees it and may change it: an answer is posted as it was written, and nothing is added to it on the way."""
    seen_by: Callable[[Post], str] = field(default=lambda post: "in public", compare=False)
    """Who will see an answer to a post, in words that end the sentence 'in their thread on Acme, …'."""
    threads: bool = True
    editable: bool = False
    deletable: bool = False
    credentials: tuple[CredentialField, ...] = ()
    guide: tuple[str, ...] = ()
    """How to get the credentials, step by step, in Markdown; shown where they are entered."""
    oauth: OAuth | None = None
    """How to get them without typing them; None where the platform has no such way."""
    key_needed: bool = False
    """False: it listens without an account, even where `credentials` may be given for more."""
    limits: str = ""
    search_syntax: str = ""
    exportable: bool = True
    """False: only ids may leave in an export, but for `exports_a_day`."""
    exports_a_day: int = 0
    """Of a platform that is not `exportable`: how many posts may leave a day all the same, as a file for a person."""
    attribution: str = ""
    """Where author and link must stand wherever a post is shown: the licence that says so; "" where none does."""
    trainable: bool = True
    cross_person_matching: bool = True
    polls: bool = True
    """False: nothing new ever comes by asking again, as with an uploaded file."""
    arrival: Arrival = Arrival.ASKED
    """How it comes where nobody asks; ASKED wherever `polls`."""
    poll_every: timedelta = timedelta(minutes=5)
    recheck_every: timedelta | None = None
    """How often to ask whether posts are still there; None where the platform cannot be asked."""
    answers_spend: str = "answers"
    """The `Budget.kind` that answers are counted in, beside the "" of all requests."""
    find_lag: timedelta = timedelta(minutes=2)
    """How long after sending a post may still be missing from what `Answers.find` reads."""
    retain: timedelta | None = None
    """How long content may be kept without being refreshed, by the platform's terms; None where they name no time."""
    duties: str = ""
    limited_by: Callable[[Query], str] = field(default=lambda query: "", compare=False)
    """Whose limits a query spends where those are not the account's: a host, where queries go to many servers."""

    @property
    def default_mode(self) -> str:
        return self.modes[0].name

    @property
    def looks_back(self) -> bool:
        """Whether its listener has the power `LooksBack`."""
        return any(mode.reach is not None and mode.reach.possible for mode in self.modes)


@dataclass(frozen=True, slots=True)
class Health:
    """What a check of source and account found, in words. `account` is who we are there.

    `expires_at` is when the credentials stop working, where the platform says so.
    """

    ok: bool
    words: str
    account: Author | None = None
    expires_at: datetime | None = None
    limits: Mapping[str, int] = field(default_factory=dict)
    """What is allowed there and nowhere else on the platform, such as how long a post may be; see `Options.limits`."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether one post may be answered through the API, and why or why not, in words."""

    allowed: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Sent:
    """An answer that stands on the platform."""

    external_id: str
    url: str | None
    sent_at: datetime
    budget: Budget = field(default=Budget(), compare=False)
    """What the platform's headers said is left, of whatever the answer was counted in."""


@dataclass(frozen=True, slots=True)
class Absent:
    """Proven: our answer is not there."""


@dataclass(frozen=True, slots=True)
class CannotTell:
    """The platform cannot be asked, or its answer proves nothing."""

    reason: str


class ListeningError(Exception):
    """Something went wrong at a platform. The message is a sentence for a person."""


class Transient(ListeningError):
    """It may work later. `retry_after` is the platform's own wish in seconds, None where it names none."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Terminal(ListeningError):
    """It will not work until somebody does `what_to_do`."""

    def __init__(self, message: str, what_to_do: str) -> None:
        super().__init__(message)
        self.what_to_do = what_to_do


class BadCredentials(Terminal):
    """The platform did not accept who we said we are (401), as opposed to what we asked for.

    Platforms answer so in passing, too: an account counts as dead once it has met this twice, minutes apart.
    """


class OutcomeUnknown(ListeningError):
    """An answer may have been posted or not; only `Answers.find` or a person can tell."""


@runtime_checkable
class Listener(Protocol):
    """Reads one platform with one account. Credentials, base_url and timeouts went in when it was opened."""

    @property
    def capability(self) -> Capability: ...

    def check(self) -> Health:
        """Asks the platform who we are and whether it answers. Raises `ListeningError` only as `fetch` does."""

    def fetch(self, query: Query, cursor: Cursor) -> Iterator[Page]:
        """Pages since `cursor`. Stopping after any page and going on from its cursor loses nothing and may re-read.

        Raises Transient, Terminal. Pages already yielded stay good.
        """

    def parse(self, answer: bytes) -> list[Post | Rejected]:
        """One raw API answer as it came over the wire. Pure. Raises Terminal when it is no such answer at all."""


@runtime_checkable
class Answers(Protocol):
    """The power to answer a post where it was made."""

    def may_answer(self, post: Post) -> Verdict:
        """Pure as far as it can be; asks no network that costs a read."""

    def answer(self, post: Post, text: str, key: str) -> Sent:
        """Posts `text` in answer to `post`. `key` is the platform's idempotency key where it has such a thing.

        Raises Transient or Terminal only when it is certain that nothing was posted, else OutcomeUnknown.
        """

    def find(self, post: Post, text: str, key: str, since: datetime) -> Sent | Absent | CannotTell:
        """Looks for our own answer to `post`, made since `since`."""


@runtime_checkable
class AnswersAnew(Protocol):
    """The power to let a second answer take the place of our first, where a platform keeps one answer per post."""

    def answer_anew(self, post: Post, text: str, key: str, ours: Collection[str]) -> Sent:
        """As `Answers.answer`; what stands there is replaced if it is one of `ours`, the texts of our answers before.

        Raises Terminal where another stands: nobody here has seen what it would destroy.
        """


@runtime_checkable
class LooksBack(Protocol):
    """The power to begin at any day: to read what was posted before, or to go on with another query."""

    def since(self, query: Query, moment: datetime) -> Cursor:
        """The cursor from which everything since `moment` is read that the platform still gives. Asks nobody.

        It is for `fetch`, and for `stream` where the query's mode streams.
        """


@runtime_checkable
class Deletes(Protocol):
    """The power to ask whether posts still exist."""

    def still_there(self, external_ids: Sequence[str]) -> Mapping[str, bool]:
        """For each id whether it is still public. An id that the platform did not speak of is left out."""


@runtime_checkable
class ReadsAgain(Deletes, Protocol):
    """The power to tell what posts say now, and with that whether they exist: no listing shows an edit of long ago."""

    def as_they_are(self, external_ids: Sequence[str]) -> Mapping[str, Post | bool]:
        """For each id the post as it stands, True where it stands and is not told, False where it is gone.

        An id that the platform did not speak of is left out. What was not edited reads as `fetch` gave it.
        """


STREAM_BEAT = 5.0
"""Seconds after which a stream yields an empty page where nothing came."""


@runtime_checkable
class Streams(Protocol):
    """The power to tell of posts as they are made."""

    def stream(self, query: Query, cursor: Cursor, *, stop: Callable[[], bool]) -> Iterator[Page]:
        """Small pages over one connection, at least one every STREAM_BEAT seconds, until `stop()`.

        `stop` is asked several times a second. Going on from any page's cursor leaves no hole and may read again; {}
        begins with what is posted from now on. A listener never connects again by itself.

        Raises Transient, when the connection is cut or was silent for too long, and Terminal. Pages yielded stay good.
        """


@dataclass(frozen=True, slots=True)
class Options:
    """How to reach a platform. `base_url` None means the platform's own address."""

    base_url: str | None = None
    timeout: float = 20.0
    """Seconds, for connecting and for each read."""
    allow_private_hosts: bool = False
    """Whether addresses of this machine and its private networks may be asked."""
    extra: Mapping[str, str] = field(default_factory=dict)
    """Whatever else one platform understands; the platform's page in docs/ lists it."""
    known_as: str | None = None
    """Who we are there by `Author.id`, as the account's last check said, for a platform whose token does not tell."""
    limits: Mapping[str, int] = field(default_factory=dict)
    """What the account's last check said in `Health.limits`; a listener's `capability` goes by it."""
    on_credentials: Callable[[Mapping[str, str]], None] | None = field(default=None, repr=False)
    """Keeps credentials that the platform gave in place of the account's, by field name: a refresh token, say, that is
    good once. A listener calls it before it uses anything that came with them; when it returns, they are kept. It
    raises Transient where they could not be, and then they must not be used. None: there is nowhere to keep them."""
