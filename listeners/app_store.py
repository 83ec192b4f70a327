"""The App Store: reviews of any app from its public feeds, or of one's own from App Store Connect, which takes answers.

A public feed exists for each country and goes back 500 reviews. App Store Connect shows all countries together, and
keeps one response per review: a second takes the place of the first. So `answer` looks first, and replaces only a
response that it is told is ours.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import ValidationError

from listeners import signing
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
from listeners.http import Answer, Client, refused
from listeners.plain_text import from_html, one_line
from listeners.untrusted import as_dict, iso_moment
from listeners.walking import ByTime, Listing, StaleToken, Token, since, walk
from listeners.wording import wording_id, words

PLATFORM = "appstore"
TITLE = "App Store"
FEEDS = "https://itunes.apple.com"
CONNECT = "https://api.appstoreconnect.apple.com"
SITE = "https://apps.apple.com"

FEED_PAGES = 10
FULL_PAGE = 50
"""Reviews on a page of a feed that is not the last one."""
MAX_COUNTRIES = 15
MAX_RESPONSE = 5_970
LATE = timedelta(days=2)
"""Read again below the mark of a feed: reviews appear up to a day or two after their date, and caches disagree."""
EDITS = timedelta(days=7)
"""Read again below App Store Connect's mark: an edited review keeps its date and its place."""
TOKEN_SECONDS = 15 * 60
"""How long a token of ours is good; Apple takes 20 minutes at most."""
KEPT_FOR_READING = 0.1
"""The part of the hour's requests that asking about deletions leaves alone."""
CLOCKS_DIFFER = timedelta(minutes=1)
DEVELOPER = Author(id="developer", handle="the app's developer")
"""Who answers reviews: the store shows no other name."""

CAPABILITY = Capability(
    platform=PLATFORM,
    title=TITLE,
    answering=Answering.API,
    answering_rule=(
        "Reviews of your own apps, read through App Store Connect. Each has room for one response; an edited review "
        "may be answered anew, which takes the place of our own response and never of somebody else's."
    ),
    checked_on=date(2026, 11, 22),
    modes=(
        Mode(
            "reviews",
            "Public reviews",
            "App, and countries",
            "The app's number or its App Store link, then countries: 123456789 us, gb, de. Any app; no key.",
            reach=Reach("The App Store lists the latest 500 reviews of a country and no more.", ends_after=500),
        ),
        Mode(
            "connect",
            "Reviews of our own app",
            "App",
            "The app's number or its App Store link. All countries; needs an App Store Connect key.",
            reach=Reach("App Store Connect gives all reviews of the app."),
        ),
    ),
    max_chars=MAX_RESPONSE,
    threads=False,
    editable=True,
    deletable=True,
    credentials=(
        CredentialField(
            "issuer_id",
            "Issuer ID",
            secret=False,
            required=False,
            help="App Store Connect: Users and Access, Integrations, App Store Connect API. Empty for a personal key.",
        ),
        CredentialField("key_id", "Key ID", secret=False, help="Beside the key in the same list; ten characters."),
        CredentialField(
            "private_key", "Private key", help="The whole text of the .p8 file, which Apple lets you download once."
        ),
    ),
    guide=(
        "Sign in to [App Store Connect](https://appstoreconnect.apple.com) as an Account Holder or Admin. Open *Users "
        "and Access*, *Integrations*, *App Store Connect API*.",
        "Under *Team Keys* press *+*. Give the key a name and the role *Customer Support*, the smallest one that "
        "reads and answers reviews.",
        "Press *Download* beside the key. Apple lets you do that once.",
        "Copy the **Issuer ID** from above the list, the **Key ID** from the list, and the whole text of the file "
        "into **Private key**.",
    ),
    limits=(
        "Public feeds: the latest 500 reviews of each country. App Store Connect: about 3,600 requests an hour per key."
    ),
    trainable=False,
    cross_person_matching=False,
    poll_every=timedelta(minutes=30),
    recheck_every=timedelta(hours=24),
    duties="Reviews that App Store Connect no longer shows are taken down here too; public feeds cannot be asked.",
)

EXTRA: Mapping[str, str] = {
    "countries": "countries whose public feeds are read where the query names none: two-letter codes, such as us,gb,de"
}


def open(account: Mapping[str, str], options: Options) -> AppStore:
    """A listener; without an account it reads public feeds. Raises Terminal for a key that is none."""
    return AppStore(account, options)


# --- What a source asks for ----------------------------------------------------------------------------------------

_NUMBER = re.compile(r"(?:id)?([0-9]{3,15})", re.ASCII)
_LINK = re.compile(r"/(?:([a-z]{2})/)?app/(?:[^/]+/)?id([0-9]{3,15})/?", re.IGNORECASE | re.ASCII)
_HOSTS = ("apps.apple.com", "itunes.apple.com")
_CALLED_OTHERWISE = {"uk": "gb", "en": "gb", "el": "gr"}
"""What people write for a country, and the code that the App Store has for it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An app by its number, and the countries to read."""

    app: str
    countries: tuple[str, ...]


def wanted(text: str, countries: str = "") -> Wanted:
    """What a query means; where it names no country, `countries`, that of its link or the US. Raises Terminal."""
    words = re.split(r"[\s,;]+", text.strip())
    app, country = _app(words[0])
    named = words[1:] or re.split(r"[\s,;]+", countries.strip())
    codes = [_CALLED_OTHERWISE.get(word.lower(), word.lower()) for word in named if word] or [country or "us"]
    for code in codes:
        if not re.fullmatch(r"[a-z]{2}", code, re.ASCII):
            raise Terminal(f"{code[:40]!r} is no code of a country.", "Give two letters for each, such as us, gb, de.")
    codes = list(dict.fromkeys(codes))
    if len(codes) > MAX_COUNTRIES:
        raise Terminal(
            f"These are {len(codes)} countries; one source reads {MAX_COUNTRIES}.", "Add another source for the others."
        )
    return Wanted(app, tuple(codes))


def _app(word: str) -> tuple[str, str | None]:
    """The app's number, and the country of its link where it is one."""
    if number := _NUMBER.fullmatch(word):
        return number[1], None
    try:
        link = urlsplit(word if "://" in word else f"https://{word}")
        host = link.hostname
    except ValueError:
        link, host = None, None
    found = _LINK.fullmatch(link.path) if link and host in _HOSTS else None
    if not found:
        raise Terminal(
            f"{word[:80]!r} is no app of the App Store.",
            "Give the app's number, or the link of its page: https://apps.apple.com/…/id123456789.",
        )
    return found[2], found[1].lower() if found[1] else None


# --- From the wire to posts ----------------------------------------------------------------------------------------

_ID = re.compile(r"[A-Za-z0-9-]{1,100}", re.ASCII)
_OF_CONNECT = re.compile(r"connect:([A-Za-z0-9-]{1,100})", re.ASCII)
_APP_IN_FEED = re.compile(r"apple\.com/([a-z]{2})/.*?\bid=([0-9]{3,15})\b", re.ASCII)
_APP_IN_CONNECT = re.compile(r"/v1/apps/([0-9]{3,15})/", re.ASCII)


def _read(document: object) -> list[Post | Rejected]:
    """Posts of one decoded answer. Raises Terminal where it is none."""
    if isinstance(document, dict) and isinstance(document.get("feed"), dict):
        return _of_feed(document["feed"])
    if isinstance(document, dict) and isinstance(document.get("data"), (list, dict)):
        return _of_connect(document)
    raise Terminal(
        "This is no answer of the App Store with reviews in it.",
        "Give one page of a review feed in JSON, or one answer of App Store Connect's customerReviews.",
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _listed(value: object) -> list[Any]:
    """The feeds are XML at heart: of several there is a list, of one the thing itself, of none nothing."""
    return value if isinstance(value, list) else [] if value is None else [value]


def _label(holder: Mapping[str, Any], name: str) -> str | None:
    label = as_dict(holder.get(name)).get("label")
    return label if isinstance(label, str) else None


def _of_feed(feed: dict[str, Any]) -> list[Post | Rejected]:
    entries = [entry for entry in _listed(feed.get("entry")) if not _is_the_app(entry)]
    made = _label(feed, "updated")
    return [_or_why_not(f"entry {n}", _feed_post, entry, made) for n, entry in enumerate(entries, 1)]


def _is_the_app(entry: object) -> bool:
    """Some feeds begin with the app itself."""
    return isinstance(entry, dict) and "im:name" in entry and "im:rating" not in entry


def _or_why_not(where: str, make: Callable[..., Post], *raw: object) -> Post | Rejected:
    try:
        return make(*raw)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        return Rejected(where, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
    except ValueError as error:
        return Rejected(where, one_line(str(error)))


def _feed_post(entry: object, made: str | None) -> Post:
    """Raises ValidationError, ValueError. `made` is when the feed was: a date to go by for a review without one."""
    if not isinstance(entry, dict):
        raise ValueError("is no review")
    number = _label(entry, "id") or ""
    if not _ID.fullmatch(number):
        raise ValueError("has no id of its own")
    said = _label(entry, "updated")
    written = _moment(made if said is None else said)
    return Post(
        platform=PLATFORM,
        external_id=f"feed:{number}",
        url=_store_page(entry),
        author=_feed_author(entry, number),
        title=_title(_label(entry, "title")),
        text=_feed_text(entry),
        rating=_rating(_label(entry, "im:rating")),
        posted_at=written,
        posted_at_estimated=said is None,
        edited_at=None if said is None else written,  # the date is that of the last change: of two versions, it tells
        engagement=_votes(entry),
        kind=Kind.REVIEW,
    )


def _store_page(entry: Mapping[str, Any]) -> str | None:
    """The app's reviews in that country's store: a single review has no page of its own."""
    for link in _listed(entry.get("link")):
        found = _APP_IN_FEED.search(_text(as_dict(as_dict(link).get("attributes")).get("href"))[:500])
        if found:
            return f"{SITE}/{found[1]}/app/id{found[2]}?see-all=reviews"
    return None


def _feed_author(entry: Mapping[str, Any], number: str) -> Author | None:
    author = as_dict(entry.get("author"))
    uri = re.search(r"/id([0-9]{1,20})$", (_label(author, "uri") or "")[:500], re.ASCII)
    name = one_line(_label(author, "name") or "", 200)
    if not (uri or name):
        return None
    return Author(id=uri[1] if uri else f"feed:{number}", handle=name or (uri[1] if uri else number))


def _feed_text(entry: Mapping[str, Any]) -> str:
    content = as_dict(entry.get("content"))
    text = content.get("label")
    if not isinstance(text, str):
        raise ValueError("has no text")
    return from_html(text) if as_dict(content.get("attributes")).get("type") == "html" else text


def _votes(entry: Mapping[str, Any]) -> dict[str, int]:
    votes = _label(entry, "im:voteCount") or ""
    return {"votes": int(votes)} if re.fullmatch(r"[0-9]{1,9}", votes, re.ASCII) else {}


def _title(title: object) -> str | None:
    return one_line(title, 1_000) or None if isinstance(title, str) else None


def _rating(stars: object) -> float:
    if isinstance(stars, str) and re.fullmatch(r"[0-5]", stars, re.ASCII):
        return float(stars)
    if type(stars) is int and 0 <= stars <= 5:
        return float(stars)
    raise ValueError("has no rating from 0 to 5")


def _moment(said: object) -> datetime:
    if not isinstance(said, str):
        raise ValueError("has no date")
    found = iso_moment(said)
    if found is None:
        raise ValueError(f"{said[:40]!r} is no date")
    return found


def _as_it_is(document: object, external_id: str) -> Post | bool:
    """A review that was asked for by its id; True where it stands and cannot be read."""
    read = _of_connect({"data": None, **as_dict(document)})
    return next((one for one in read if isinstance(one, Post) and one.external_id == external_id), True)


def _of_connect(document: dict[str, Any]) -> list[Post | Rejected]:
    """Reviews, each followed by the developer's response where the answer includes it."""
    included = {_text(one.get("id")): one for one in map(as_dict, _listed(document.get("included")))}
    app = _APP_IN_CONNECT.search(_text(as_dict(document.get("links")).get("self"))[:500])
    page = f"{SITE}/app/id{app[1]}?see-all=reviews" if app else None
    found: list[Post | Rejected] = []
    for n, one in enumerate(_listed(document["data"]), 1):
        review = _or_why_not(f"review {n}", _connect_post, one, page)
        found.append(review)
        named = as_dict(as_dict(as_dict(as_dict(one).get("relationships")).get("response")).get("data")).get("id")
        response = included.get(_text(named))
        if isinstance(review, Post) and named and response is not None:
            found.append(_or_why_not(f"response to review {n}", _response_post, response, review))
    return found


def _connect_post(one: object, page: str | None) -> Post:
    number, said = _resource(one, "customerReviews")
    if not isinstance(said.get("body"), str):
        raise ValueError("has no text")
    name = one_line(said["reviewerNickname"], 200) if isinstance(said.get("reviewerNickname"), str) else ""
    return Post(
        platform=PLATFORM,
        external_id=f"connect:{number}",
        url=page,
        # A nickname is all that is told; two people of one nickname must not become one, so each review has its own.
        author=Author(id=f"connect:{number}", handle=name) if name else None,
        title=_title(said.get("title")),
        text=said["body"],
        rating=_rating(said.get("rating")),
        posted_at=_moment(said.get("createdDate")),
        kind=Kind.REVIEW,
    )


def _response_post(response: object, review: Post) -> Post:
    _, said = _resource(response, "customerReviewResponses")
    if not isinstance(said.get("responseBody"), str):
        raise ValueError("has no text")
    return Post(
        platform=PLATFORM,
        external_id=wording_id(review.external_id, "response", said["responseBody"]),
        url=review.url,
        author=DEVELOPER,
        text=said["responseBody"],
        posted_at=_moment(said.get("lastModifiedDate")),
        parent_id=review.external_id,
        root_id=review.external_id,
        kind=Kind.ANSWER,
    )


def _resource(one: object, kind: str) -> tuple[str, dict[str, Any]]:
    """Id and attributes. Raises ValueError."""
    number = as_dict(one).get("id")
    if as_dict(one).get("type") != kind or not isinstance(number, str) or not _ID.fullmatch(number):
        raise ValueError(f"is none of the {kind}")
    return number, as_dict(as_dict(one).get("attributes"))


# --- The listener --------------------------------------------------------------------------------------------------


class AppStore:
    """Reads public feeds, and with a key App Store Connect. See `listeners.base` for what each method promises."""

    capability = CAPABILITY

    def __init__(self, account: Mapping[str, str], options: Options) -> None:
        self._feeds = (options.base_url or FEEDS).rstrip("/")
        self._connect = (options.base_url or CONNECT).rstrip("/")
        self._countries = options.extra.get("countries", "")
        self._client = Client(TITLE, options)
        self._signer = _Signer(account) if account else None
        self._budget = Budget()

    # -- reading

    def check(self) -> Health:
        """Asks for the account's apps, or without an account for one feed. Raises Transient, Terminal."""
        if self._signer is None:
            self._feed_page("us", "361309726", 1)  # an app of Apple's own
            return Health(True, "The public feeds answer. To answer reviews, add an App Store Connect key.")
        apps = _listed(as_dict(self._ask("/v1/apps", {"limit": 200, "fields[apps]": "name"}).json()).get("data"))
        names = [as_dict(as_dict(app).get("attributes")).get("name") for app in apps]
        known = ", ".join(one_line(name, 60) for name in names[:5] if isinstance(name, str))
        words = f"App Store Connect accepts the key and shows {len(apps)} apps" + (f": {known}" if known else "")
        return Health(True, words + ("." if len(names) <= 5 else " and more."), DEVELOPER)

    def fetch(self, query: Query, cursor: Cursor) -> Iterator[Page]:
        """Reviews newest first, above the cursor's mark. Raises Transient, Terminal."""
        mode = query.mode or CAPABILITY.default_mode
        asked = wanted(query.text, self._countries)
        if mode == "reviews":
            return self._of_countries(asked, cursor)
        if mode != "connect":
            raise Terminal(f"The App Store has no mode {mode[:40]!r}.", "Choose reviews or connect.")
        self._need_key()
        return walk(lambda token: self._connect_page(asked.app, token), cursor, order=ByTime(overlap=EDITS))

    def since(self, query: Query, moment: datetime) -> Cursor:
        """See `LooksBack`."""
        if query.mode == "connect":
            return since(moment)
        return {"walks": dict.fromkeys(wanted(query.text, self._countries).countries, since(moment))}

    def parse(self, answer: bytes) -> list[Post | Rejected]:
        """A page of a review feed in JSON, or an answer of customerReviews, for a list or for one. Raises Terminal."""
        try:
            document = json.loads(answer)
        except (ValueError, RecursionError) as error:
            raise Terminal("This is no JSON, or it breaks off.", "Give one answer as it came over the wire.") from error
        return _read(document)

    def _of_countries(self, asked: Wanted, cursor: Cursor) -> Iterator[Page]:
        """Each country in turn; the cursor holds the walk of each, and whose turn it is.

        A country that fails goes to the end of the turn, so that it never keeps the others from being read.
        """
        walks: dict[str, Cursor] = dict(cursor.get("walks", {}))
        turn = [one for one in cursor.get("turn", []) if one in asked.countries] or list(asked.countries)
        while turn:
            country, *others = turn
            try:
                for page in self._of_country(asked.app, country, walks.get(country, {})):
                    walks = {**walks, country: page.cursor}
                    yield replace(page, cursor={"walks": walks, "turn": turn if "walking" in page.cursor else others})
            except ListeningError:
                yield Page((), {"walks": walks, "turn": [*others, country] if others else []})
                raise
            turn = others

    def _of_country(self, app: str, country: str, cursor: Cursor) -> Iterator[Page]:
        return walk(
            lambda token: self._feed_listing(app, country, token), cursor, order=ByTime(LATE), first_pages=FEED_PAGES
        )

    def _feed_listing(self, app: str, country: str, token: Token) -> Listing:
        number = token or 1
        feed = self._feed_page(country, app, number)
        found = _of_feed(feed)
        entries = len(_listed(feed.get("entry")))
        # A cache may serve an empty page in the middle, so that only the first page's being empty says that all are.
        goes_on = number < _last_page(feed, number, entries) and (entries or number > 1)
        return _listing(found, number + 1 if goes_on else None, Budget())

    def _feed_page(self, country: str, app: str, number: int) -> dict[str, Any]:
        address = f"{self._feeds}/{country}/rss/customerreviews/page={number}/id={app}/sortby=mostrecent/json"
        answer = self._client.get(address, fine=(400, 404))
        if answer.status >= 400:
            raise Terminal(
                f"The App Store has no reviews of app {app} for the country {country!r} ({answer.status}).",
                "Check the app's number and the country's code: Great Britain's is gb.",
            )
        feed = as_dict(answer.json()).get("feed")
        if not isinstance(feed, dict):
            raise Transient("The App Store sent an answer without a feed in it.")
        return feed

    def _connect_page(self, app: str, token: Token) -> Listing:
        params: dict[str, str | int] = {"sort": "-createdDate", "limit": 200, "include": "response"}
        if token is not None:
            params["cursor"] = str(token)
        answer = self._ask(f"/v1/apps/{app}/customerReviews", params, fine=(400,) if token is not None else ())
        if answer.status == 400:
            raise StaleToken
        document = answer.json()
        if not isinstance(document, dict) or not isinstance(document.get("data"), list):
            raise Transient("App Store Connect sent an answer without reviews in it.")
        # Only the token is taken from the address of the next page: our key goes to Apple and nowhere else.
        below = re.search(r"[?&]cursor=([^&#]{1,2000})", _text(as_dict(document.get("links")).get("next")))
        return _listing(_of_connect(document), unquote(below[1]) if below else None, self._budget)

    # -- what was deleted

    def still_there(self, external_ids: Sequence[str]) -> Mapping[str, bool]:
        """Whether these still stand. Raises Transient, Terminal."""
        return {one: told is not False for one, told in self.as_they_are(external_ids).items()}

    def as_they_are(self, external_ids: Sequence[str]) -> Mapping[str, Post | bool]:
        """One request for each review of App Store Connect; feeds cannot be asked. Raises Transient, Terminal."""
        told: dict[str, Post | bool] = {}
        for external_id in external_ids if self._signer else ():
            named = _OF_CONNECT.fullmatch(external_id)
            if named:
                if self._is_scarce():
                    break
                answer = self._ask(f"/v1/customerReviews/{named[1]}", {}, (404,))
                told[external_id] = answer.status != 404 and _as_it_is(answer.json(), external_id)
        return told

    def _is_scarce(self) -> bool:
        left, limit = self._budget.remaining, self._budget.limit
        return left is not None and limit is not None and left < limit * KEPT_FOR_READING

    # -- answering

    def may_answer(self, post: Post) -> Verdict:
        """Asks no network."""
        if post.platform == PLATFORM and post.external_id.startswith("feed:"):
            return Verdict(
                False,
                "The public feed does not say under which id App Store Connect knows this review. Listen to your own "
                "app in the mode 'Reviews of our own app' to answer from here.",
            )
        if post.platform != PLATFORM or not _OF_CONNECT.fullmatch(post.external_id):
            return Verdict(False, "This is no review that App Store Connect takes a response to.")
        if self._signer is None:
            return Verdict(False, "Answering reviews needs an App Store Connect key.")
        return Verdict(True, CAPABILITY.answering_rule)

    def answer(self, post: Post, text: str, key: str) -> Sent:
        """Responds where no response stands, or returns the one that says the same.

        Raises Terminal where another one stands, which this would replace; see `answer_anew`.
        """
        return self._respond(post, text, ours=())

    def answer_anew(self, post: Post, text: str, key: str, ours: Collection[str]) -> Sent:
        """As `answer`; a response whose text is one of `ours` is replaced."""
        return self._respond(post, text, ours)

    def _respond(self, post: Post, text: str, ours: Collection[str]) -> Sent:
        text, review = _checked(text), self._review(post)
        standing = self._standing(review)
        if standing is not None:
            said = words(standing["responseBody"])
            if said == words(text):
                return _sent(post, standing)
            if said not in [words(one) for one in ours]:
                raise Terminal(
                    "A response that was not given from here stands under this review, and a second one would take "
                    "its place.",
                    "Look at it in App Store Connect, and change it there.",
                )
        body = {
            "data": {
                "type": "customerReviewResponses",
                "attributes": {"responseBody": text},
                "relationships": {"review": {"data": {"type": "customerReviews", "id": review}}},
            }
        }
        answer = self._send("/v1/customerReviewResponses", body)
        return _sent(post, _taken(answer.json(sending=True)))

    def find(self, post: Post, text: str, key: str, since: datetime) -> Sent | Absent | CannotTell:
        """Looks at the review's one response. Raises Transient, Terminal."""
        standing = self._standing(self._review(post))
        if standing is None:
            return Absent()
        if words(standing["responseBody"]) == words(text):
            return _sent(post, standing)
        try:
            if _moment(standing.get("lastModifiedDate")) < since - CLOCKS_DIFFER:
                return Absent()  # ours would have taken its place
        except ValueError:
            pass  # without a date it proves nothing
        return CannotTell("Another response stands there since then. Look at it in App Store Connect.")

    def _review(self, post: Post) -> str:
        self._need_key()
        named = _OF_CONNECT.fullmatch(post.external_id)
        if post.platform != PLATFORM or not named:
            raise Terminal("This is no review that App Store Connect takes a response to.", "Answer it by hand.")
        return named[1]

    def _standing(self, review: str) -> dict[str, Any] | None:
        """What the review's response says of itself, published or about to be; None where there is none."""
        answer = self._ask(f"/v1/customerReviews/{review}/response", {}, fine=(404,))
        document = answer.json() if answer.status != 404 else {"data": None}
        if not isinstance(document, dict) or "data" not in document:
            raise Transient("App Store Connect sent something other than a response.")
        if document["data"] is None:
            return None
        said = as_dict(as_dict(document["data"]).get("attributes"))
        if not isinstance(said.get("responseBody"), str):
            raise Transient("App Store Connect sent a response without its text.")
        return said

    # -- App Store Connect

    def _need_key(self) -> None:
        if self._signer is None:
            raise Terminal(
                "App Store Connect needs a key.", "Add an account with key id and private key, and issuer id."
            )

    def _ask(self, path: str, params: Mapping[str, str | int], fine: Sequence[int] = ()) -> Answer:
        answer = self._client.get(self._connect + path, params=params, headers=self._bearer(), fine=(*fine, 429))
        return self._judged(answer)

    def _send(self, path: str, body: dict[str, Any]) -> Answer:
        answer = self._client.send("POST", self._connect + path, json=body, headers=self._bearer(), fine=(429,))
        return self._judged(answer)

    def _judged(self, answer: Answer) -> Answer:
        """Notes the budget. Raises Transient for a 429, which Apple sends without saying when to come back."""
        self._budget = _budget(answer.headers)
        if answer.status == 429:
            error = refused(TITLE, 429, answer.headers, answer.body)
            if isinstance(error, Transient) and error.retry_after is None and self._budget.remaining == 0:
                error.retry_after = 600.0  # the hour rolls: some requests are free again long before it is over
            raise error
        return answer

    def _bearer(self) -> dict[str, str]:
        self._need_key()
        assert self._signer is not None
        return {"Authorization": f"Bearer {self._signer.token()}"}


class _Signer:
    """Signs tokens with the account's key, each for a quarter of an hour."""

    def __init__(self, account: Mapping[str, str]) -> None:
        self._issuer = account.get("issuer_id", "").strip()
        self._key_id = account.get("key_id", "").strip()
        if not re.fullmatch(r"[A-Za-z0-9-]{1,100}", self._key_id, re.ASCII):
            raise Terminal("This is no key id of App Store Connect.", "Copy it from the list of keys: ten characters.")
        if not re.fullmatch(r"[A-Za-z0-9-]{0,100}", self._issuer, re.ASCII):
            raise Terminal("This is no issuer id of App Store Connect.", "Copy it from above the list of keys.")
        try:
            self._key = signing.p256_key(account.get("private_key", ""))
        except ValueError as error:
            raise Terminal(
                f"The private key is not usable: {error}.", "Paste the whole text of the .p8 file, or make a new key."
            ) from error
        self._token, self._until = "", 0.0

    def token(self) -> str:
        if time.monotonic() >= self._until:
            self._until = time.monotonic() + TOKEN_SECONDS / 2
            now = int(time.time())
            whose = {"iss": self._issuer} if self._issuer else {"sub": "user"}  # a team's key, or a person's
            claims = {**whose, "iat": now - 30, "exp": now + TOKEN_SECONDS, "aud": "appstoreconnect-v1"}
            self._token = signing.token(self._key, claims, kid=self._key_id)
        return self._token


# --- Small parts ---------------------------------------------------------------------------------------------------


def _listing(found: Sequence[Post | Rejected], next_token: Token, budget: Budget) -> Listing:
    """Each post once: a review that moves while pages are made stands on two."""
    posts = {one.external_id: one for one in found if isinstance(one, Post)}
    return Listing(list(posts.values()), next_token, [one for one in found if isinstance(one, Rejected)], budget)


def _last_page(feed: Mapping[str, Any], number: int, entries: int) -> int:
    """As the feed's own links say, else as a full page says."""
    for link in map(as_dict, _listed(feed.get("link"))):
        said = as_dict(link.get("attributes"))
        found = re.search(r"/page=([0-9]{1,3})/", _text(said.get("href"))[:500], re.ASCII)
        if said.get("rel") == "last" and found:
            return min(int(found[1]), FEED_PAGES)
    return FEED_PAGES if entries >= FULL_PAGE else number


def _budget(headers: Mapping[str, str]) -> Budget:
    """Of "user-hour-lim:3600;user-hour-rem:3540;"; the hour is a rolling one, so that there is no moment of reset."""
    said = dict(re.findall(r"user-hour-(lim|rem):([0-9]{1,9})(?=;|$)", headers.get("x-rate-limit", ""), re.ASCII))
    left, limit = said.get("rem"), said.get("lim")
    return Budget(int(left) if left else None, int(limit) if limit else None)


def _checked(text: str) -> str:
    text = clean(text).strip()
    if not text:
        raise Terminal("The answer is empty.", "Write something.")
    if len(text) > MAX_RESPONSE:
        raise Terminal(f"The answer has {len(text):,} characters; the App Store takes {MAX_RESPONSE:,}.", "Shorten it.")
    return text


def _taken(document: object) -> dict[str, Any]:
    """What App Store Connect says of the response that it took. Raises OutcomeUnknown."""
    said = as_dict(as_dict(as_dict(document).get("data")).get("attributes"))
    if not isinstance(said.get("responseBody"), str):
        raise OutcomeUnknown("App Store Connect took the response, but did not show it.")
    return said


def _sent(post: Post, response: Mapping[str, Any]) -> Sent:
    try:
        sent_at = _moment(response.get("lastModifiedDate"))
    except ValueError:
        sent_at = datetime.now(UTC)
    return Sent(wording_id(post.external_id, "response", response["responseBody"]), post.url, sent_at)
