"""Google Play: the reviews of one's own apps, read and answered through the Google Play Developer API.

The API shows the reviews that were written or changed in the last seven days, the latest first, with the developer's
replies. A review keeps one reply: a second takes the place of the first. So `answer` looks first, and replaces only a
reply that it is told is ours.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from pydantic import ValidationError

from listeners import signing
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
    Terminal,
    Transient,
    Verdict,
    clean,
)
from listeners.http import Answer, Client, refused, retry_after
from listeners.plain_text import one_line
from listeners.untrusted import as_dict, as_list, is_count
from listeners.walking import ByTime, Listing, StaleToken, Token, since, walk
from listeners.wording import wording_id, words

PLATFORM = "googleplay"
TITLE = "Google Play"
API = "https://androidpublisher.googleapis.com"
TOKENS = "https://oauth2.googleapis.com"
AUDIENCE = "https://oauth2.googleapis.com/token"
SCOPE = "https://www.googleapis.com/auth/androidpublisher"
SITE = "https://play.google.com"

PER_PAGE = 100
MAX_REPLY = 350
OVERLAP = timedelta(days=1)
"""Read again below the mark: with so much, a day's reviews are seen whatever order Google lists them in."""
QUOTA_WAIT = 900.0
"""Seconds to wait where an hour's or a day's quota is used up and Google does not say until when."""
CLOCKS_DIFFER = timedelta(minutes=1)
DEVELOPER = Author(id="developer", handle="the app's developer")
"""Who answers reviews: the store shows no other name."""

CAPABILITY = Capability(
    platform=PLATFORM,
    title=TITLE,
    answering=Answering.API,
    answering_rule=(
        "Reviews of your own apps. Each has room for one reply; an edited review may be answered anew, which takes the "
        "place of our own reply and never of somebody else's."
    ),
    checked_on=date(2026, 11, 22),
    modes=(
        Mode(
            "reviews",
            "Reviews of our own app",
            "App",
            "The package name, such as com.example.kettle, or the link of the app's page.",
            reach=Reach(
                "Google Play gives the reviews of the last week and none before; the Play Console exports older ones.",
                at_most=timedelta(days=7),
            ),
        ),
    ),
    max_chars=MAX_REPLY,
    threads=False,
    editable=True,
    credentials=(
        CredentialField(
            "service_account",
            "Service account key (JSON)",
            help="The whole text of the key file. Google Cloud: IAM, Service accounts, Keys, Add key, JSON.",
        ),
    ),
    guide=(
        "In the [Google Cloud console](https://console.cloud.google.com) choose or make a project. Under *APIs & "
        "Services*, *Library*, enable **Google Play Android Developer API**.",
        "Under *IAM & Admin*, *Service accounts*, press *Create service account*. It needs a name and no role.",
        "Open it, then *Keys*, *Add key*, *Create new key*, *JSON*. A file is downloaded, once.",
        "In the [Play Console](https://play.google.com/console), under *Users and permissions*, invite the service "
        "account's address to your apps with *View app information* and *Reply to reviews*.",
        "Copy the whole text of the file here. Google may need some hours until the invitation counts.",
    ),
    key_needed=True,
    limits="The last seven days of reviews. For each app 200 requests an hour to read and 2,000 replies a day.",
    trainable=False,
    cross_person_matching=False,
    poll_every=timedelta(minutes=15),
    duties="Google does not tell of deleted reviews; the time that mentions are kept is yours to set.",
)


def open(account: Mapping[str, str], options: Options) -> GooglePlay:
    """A listener for a service account. Raises Terminal for a key that is none; without an account it only parses."""
    return GooglePlay(account, options)


# --- From the wire to posts ----------------------------------------------------------------------------------------

_PACKAGE = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z][A-Za-z0-9_]*)+", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9:_=.-]{0,299}", re.ASCII)
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,3}", re.ASCII)
_COUNTS = {"thumbs up": "thumbsUpCount", "thumbs down": "thumbsDownCount"}
_OF_A_LIST = {"reviews", "tokenPagination", "pageInfo"}


def _read(document: object, package: str | None) -> list[Post | Rejected]:
    """Posts of one decoded answer. Raises Terminal where it is none."""
    if isinstance(document, dict) and "reviewId" in document:
        return _of_review(document, "review", package)
    # Where there are no reviews, Google leaves the list out, and may answer {}.
    if not isinstance(document, dict) or not document.keys() <= _OF_A_LIST:
        raise _no_answer()
    reviews = document.get("reviews", [])
    if not isinstance(reviews, list):
        raise _no_answer()
    return [one for n, review in enumerate(reviews, 1) for one in _of_review(review, f"review {n}", package)]


def _no_answer() -> Terminal:
    return Terminal(
        "This is no answer of Google Play with reviews in it.", "Give one answer of reviews.list or reviews.get."
    )


def _of_review(review: object, where: str, package: str | None) -> list[Post | Rejected]:
    """The review, followed by the developer's reply where there is one."""
    theirs = _or_why_not(where, _review_post, review, package)
    reply = _latest(review, "developerComment")
    if isinstance(theirs, Rejected) or reply is None:
        return [theirs]
    return [theirs, _or_why_not(f"reply to {where}", _reply_post, reply, theirs)]


def _or_why_not(where: str, make: Callable[..., Post], *raw: object) -> Post | Rejected:
    try:
        return make(*raw)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        return Rejected(where, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
    except ValueError as error:
        return Rejected(where, one_line(str(error)))


def _latest(review: object, name: str) -> dict[str, Any] | None:
    """The last comment of that sort in a review's thread."""
    found = [as_dict(one).get(name) for one in as_list(as_dict(review).get("comments"))]
    return next((one for one in reversed(found) if isinstance(one, dict)), None)


def _review_post(review: object, package: str | None) -> Post:
    """Raises ValidationError, ValueError."""
    number, said = as_dict(review).get("reviewId"), _latest(review, "userComment")
    if not isinstance(number, str) or not _ID.fullmatch(number):
        raise ValueError("has no id")
    if said is None:
        raise ValueError("has no words of its author")
    title, text = _title_and_text(said)
    name = as_dict(review).get("authorName")
    name = one_line(name, 200) if isinstance(name, str) else ""
    written = _moment(said.get("lastModified"))
    return Post(
        platform=PLATFORM,
        external_id=number,
        url=f"{SITE}/store/apps/details?id={package}&reviewId={quote(number, safe='')}" if package else None,
        # A name is all that is told; two people of one name must not become one, so each review has its own author.
        author=Author(id=number, handle=name) if name else None,
        title=title,
        text=text,
        lang=_language(said.get("reviewerLanguage")),
        rating=_rating(said.get("starRating")),
        posted_at=written,
        edited_at=written,  # the one date there is, that of the last change: of two versions, it tells which is newer
        engagement={name: said[theirs] for name, theirs in _COUNTS.items() if is_count(said.get(theirs), 2**31)},
        kind=Kind.REVIEW,
    )


def _title_and_text(said: Mapping[str, Any]) -> tuple[str | None, str]:
    """What was written, in the language in which it was written. A tab parts title and text where there are both."""
    original, shown = said.get("originalText"), said.get("text")
    words = original if isinstance(original, str) and original.strip() else shown
    if not isinstance(words, str):
        raise ValueError("has no text")
    title, tab, text = words.partition("\t")
    return (one_line(title, 1_000) or None, text) if tab else (None, words)


def _language(said: object) -> str | None:
    tag = said.replace("_", "-") if isinstance(said, str) else ""
    return tag if len(tag) <= 35 and _LANGUAGE.fullmatch(tag) else None


def _rating(stars: object) -> float:
    if type(stars) is int and 0 <= stars <= 5:
        return float(stars)
    raise ValueError("has no rating from 0 to 5")


def _moment(said: object) -> datetime:
    """Seconds since 1970 come as text, as JSON has no number of 64 bits."""
    seconds = as_dict(said).get("seconds")
    if type(seconds) is int or (isinstance(seconds, str) and re.fullmatch(r"-?[0-9]{1,12}", seconds, re.ASCII)):
        try:
            return datetime.fromtimestamp(int(seconds), UTC)
        except (ValueError, OverflowError, OSError) as error:
            raise ValueError("has a date outside the calendar") from error
    raise ValueError("has no date")


def _reply_post(reply: dict[str, Any], review: Post) -> Post:
    if not isinstance(reply.get("text"), str):
        raise ValueError("has no text")
    return Post(
        platform=PLATFORM,
        external_id=wording_id(review.external_id, "reply", reply["text"]),
        url=review.url,
        author=DEVELOPER,
        text=reply["text"],
        posted_at=_moment(reply.get("lastModified")),
        parent_id=review.external_id,
        root_id=review.external_id,
        kind=Kind.ANSWER,
    )


# --- The listener --------------------------------------------------------------------------------------------------


class GooglePlay:
    """Reads and answers the reviews of one's own apps. See `listeners.base` for what each method promises."""

    capability = CAPABILITY

    def __init__(self, account: Mapping[str, str], options: Options) -> None:
        self._api = (options.base_url or API).rstrip("/") + "/androidpublisher/v3/applications"
        self._client = Client(TITLE, options)
        self._access = _Access(account["service_account"], self._client, options.base_url) if account else None

    # -- reading

    def check(self) -> Health:
        """Signs in. Raises Transient, Terminal."""
        access = self._signed()
        access.token()
        return Health(True, f"Google accepts {access.email}. Which apps it may read, each source shows.", DEVELOPER)

    def fetch(self, query: Query, cursor: Cursor) -> Iterator[Page]:
        """Reviews of the last seven days, latest first, above the cursor's mark. Raises Transient, Terminal."""
        mode = query.mode or CAPABILITY.default_mode
        if mode != "reviews":
            raise Terminal(f"Google Play has no mode {mode[:40]!r}.", "Choose reviews.")
        package = package_of(query.text)
        self._signed()
        return walk(lambda token: self._page_at(package, token), cursor, order=ByTime(overlap=OVERLAP))

    def since(self, query: Query, moment: datetime) -> Cursor:
        """See `LooksBack`."""
        return since(moment)

    def parse(self, answer: bytes) -> list[Post | Rejected]:
        """Reviews of one answer of reviews.list or reviews.get. Raises Terminal where it is none."""
        try:
            document = json.loads(answer)
        except (ValueError, RecursionError) as error:
            raise Terminal("This is no JSON, or it breaks off.", "Give one answer as it came over the wire.") from error
        return _read(document, None)

    def _page_at(self, package: str, token: Token) -> Listing:
        params: dict[str, str | int] = {"maxResults": PER_PAGE}
        if token is not None:
            params["token"] = str(token)
        answer = self._ask(f"{package}/reviews", params)
        if answer.status == 400 and token is not None:
            raise StaleToken
        document = self._checked(answer).json()
        try:
            found = _read(document, package)
        except Terminal as error:
            raise Transient("Google Play sent an answer without reviews in it.") from error
        below = as_dict(document.get("tokenPagination")).get("nextPageToken")
        posts = {one.external_id: one for one in found if isinstance(one, Post)}
        rejected = [one for one in found if isinstance(one, Rejected)]
        return Listing(list(posts.values()), below if isinstance(below, str) and below else None, rejected)

    # -- answering

    def may_answer(self, post: Post) -> Verdict:
        """Asks no network."""
        if _where(post) is None:
            return Verdict(False, "This is no review that Google Play takes a reply to.")
        if self._access is None:
            return Verdict(False, "Answering reviews needs a service account.")
        return Verdict(True, CAPABILITY.answering_rule)

    def answer(self, post: Post, text: str, key: str) -> Sent:
        """Replies where no reply stands, or returns the one that says the same.

        Raises Terminal where another one stands, which this would replace; see `answer_anew`.
        """
        return self._reply(post, text, ours=())

    def answer_anew(self, post: Post, text: str, key: str, ours: Collection[str]) -> Sent:
        """As `answer`; a reply whose text is one of `ours` is replaced."""
        return self._reply(post, text, ours)

    def _reply(self, post: Post, text: str, ours: Collection[str]) -> Sent:
        text, path = _sendable(text), _path(post)
        standing = self._standing(path)
        if standing is not None:
            said = words(standing["text"])
            if said == words(text):
                return _sent(post, standing["text"], standing.get("lastModified"))
            if said not in [words(one) for one in ours]:
                raise Terminal(
                    "A reply that was not given from here stands under this review, and a second one would take its "
                    "place.",
                    "Look at it in the Play Console, and change it there.",
                )
        answer = self._client.send(
            "POST", f"{self._api}/{path}:reply", json={"replyText": text}, headers=self._bearer(), fine=_REFUSALS
        )
        result = as_dict(as_dict(self._checked(answer).json(sending=True)).get("result"))
        if not isinstance(result.get("replyText"), str):
            raise OutcomeUnknown("Google Play took the reply, but did not show it.")
        return _sent(post, result["replyText"], result.get("lastEdited"))

    def find(self, post: Post, text: str, key: str, since: datetime) -> Sent | Absent | CannotTell:
        """Looks at the review's one reply. Raises Transient, Terminal."""
        standing = self._standing(_path(post))
        if standing is None:
            return Absent()
        if words(standing["text"]) == words(text):
            return _sent(post, standing["text"], standing.get("lastModified"))
        try:
            if _moment(standing.get("lastModified")) < since - CLOCKS_DIFFER:
                return Absent()  # ours would have taken its place
        except ValueError:
            return CannotTell("Another reply stands there, and Google does not say since when.")
        return CannotTell("Another reply stands there since then. Look at it in the Play Console.")

    def _standing(self, path: str) -> dict[str, Any] | None:
        """The developer's reply that stands under a review. Raises Transient, Terminal."""
        document = self._checked(self._ask(path, {})).json()
        if not isinstance(document, dict) or "reviewId" not in document:
            raise Transient("Google Play sent something other than the review.")
        reply = _latest(document, "developerComment")
        if reply is not None and not isinstance(reply.get("text"), str):
            raise Transient("Google Play sent a reply without its text.")
        return reply

    # -- Google

    def _signed(self) -> _Access:
        if self._access is None:
            raise Terminal("Google Play needs a service account.", "Add an account with the JSON of its key.")
        return self._access

    def _bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._signed().token()}"}

    def _ask(self, path: str, params: Mapping[str, str | int]) -> Answer:
        return self._client.get(f"{self._api}/{path}", params=params, headers=self._bearer(), fine=_REFUSALS)

    def _checked(self, answer: Answer) -> Answer:
        """The answer where it is none of _REFUSALS; raises what it means where it is. Nothing was posted then."""
        if answer.status in _REFUSALS:
            raise _meaning(answer)
        return answer


_REFUSALS = (400, 403, 404, 429)
_QUOTAS = re.compile(r"quota|limitexceeded|resource_exhausted", re.IGNORECASE)
_WHAT_TO_DO = {
    403: (
        "Play Console, Users and permissions: invite the service account's address and let it view app information and "
        "reply to reviews. In Google Cloud, enable the Google Play Android Developer API."
    ),
    404: "Check the package name, and that the service account was invited to this app.",
}


def _meaning(answer: Answer) -> ListeningError:
    """A refusal as ours. A quota that is used up may come as 429 or as 403."""
    error = refused(TITLE, answer.status, answer.headers, answer.body)
    if answer.status == 429 or (answer.status == 403 and _names_a_quota(answer.body)):
        wait = retry_after(answer.headers)
        words = str(error) if isinstance(error, Transient) else f"{TITLE} had too many requests from us (403)."
        return Transient(words, QUOTA_WAIT if wait is None else wait)
    if isinstance(error, Terminal):
        return Terminal(str(error), _WHAT_TO_DO.get(answer.status, error.what_to_do))
    return error


def _names_a_quota(body: bytes) -> bool:
    try:
        error = as_dict(as_dict(json.loads(body)).get("error"))
    except (ValueError, RecursionError):
        return False
    reasons = [error.get("status"), *(as_dict(one).get("reason") for one in as_list(error.get("errors")))]
    return any(isinstance(reason, str) and _QUOTAS.search(reason) for reason in reasons)


class _Access:
    """Access tokens for a service account: it signs who it is, and Google gives a token for an hour."""

    def __init__(self, text: str, client: Client, base_url: str | None) -> None:
        # The key file names an address for tokens, too. Google's own is asked whatever it says.
        self._address = (base_url or TOKENS).rstrip("/") + "/token"
        self._client = client
        try:
            file = as_dict(json.loads(text, strict=False))  # a form may have put line breaks into the key
        except (ValueError, RecursionError):
            raise _no_key_file("it is no JSON") from None
        self.email, self._key_id = file.get("client_email"), file.get("private_key_id")
        if file.get("type") != "service_account" or not isinstance(file.get("private_key"), str):
            raise _no_key_file("it is not that of a service account")
        if not isinstance(self.email, str) or not re.fullmatch(r"[!-~]{3,300}", self.email, re.ASCII):
            raise _no_key_file("it names no client_email")
        try:
            self._key = signing.rsa_key(file["private_key"])
        except ValueError as error:
            raise _no_key_file(str(error)) from None
        self._token, self._until = "", 0.0

    def token(self) -> str:
        """Raises Transient, Terminal."""
        if time.monotonic() >= self._until:
            self._token, seconds = self._asked()
            self._until = time.monotonic() + seconds - 60
        return self._token

    def _asked(self) -> tuple[str, float]:
        now = int(time.time())
        claims = {"iss": self.email, "scope": SCOPE, "aud": AUDIENCE, "iat": now - 30, "exp": now + 3_000}
        header = {"kid": self._key_id} if isinstance(self._key_id, str) else {}
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "assertion": signing.token(self._key, claims, **header),
        }
        answer = self._client.post_form(self._address, form, fine=(400, 401))
        if answer.status in (400, 401):
            said = str(refused(TITLE, 400, {}, answer.body)).partition("(400)")[2].rstrip(".")
            raise BadCredentials(
                f"Google did not accept the service account{said}.",
                "Check that the key is still listed under the service account and that this machine's clock is right; "
                "else add a new key.",
            )
        told = as_dict(answer.json())
        token, seconds = told.get("access_token"), told.get("expires_in")
        if not isinstance(token, str) or not re.fullmatch(r"[!-~]{1,4096}", token, re.ASCII):
            raise Transient("Google let us sign in, but gave no token to go on with.")
        return token, float(seconds) if type(seconds) is int and 0 < seconds <= 86_400 else 300.0


def _no_key_file(why: str) -> Terminal:
    return Terminal(
        f"The service account key is not usable: {why}.",
        "Paste the whole text of the JSON file that Google Cloud gave when the key was made.",
    )


# --- Small parts ---------------------------------------------------------------------------------------------------


def package_of(text: str) -> str:
    """The package name that a query gives, by itself or in the link of the app's page. Raises Terminal."""
    typed = text.strip()
    package = typed if _PACKAGE.fullmatch(typed) else _in_link(typed) or ""
    if not package or len(package) > 200:
        raise Terminal(
            f"{typed[:80]!r} is no app of Google Play.",
            "Give the package name, such as com.example.kettle, or the link of the app's page.",
        )
    return package


def _in_link(text: str | None) -> str | None:
    """The package that the address of an app's page names."""
    try:
        link = urlsplit(text or "")
        if link.scheme not in ("http", "https") or link.hostname != "play.google.com":
            return None
        named = parse_qs(link.query).get("id", [""])[0]
    except ValueError:
        return None
    return named if link.path == "/store/apps/details" and _PACKAGE.fullmatch(named) else None


def _where(post: Post) -> tuple[str, str] | None:
    """The package and the id of a review; None for anything else."""
    package = _in_link(post.url)
    is_review = post.platform == PLATFORM and post.kind is Kind.REVIEW and _ID.fullmatch(post.external_id)
    return (package, post.external_id) if package and is_review else None


def _path(post: Post) -> str:
    where = _where(post)
    if where is None:
        raise Terminal("This is no review that Google Play takes a reply to.", "Answer it by hand.")
    return f"{where[0]}/reviews/{quote(where[1], safe='')}"


def _sendable(text: str) -> str:
    """The text as it can be posted. Raises Terminal for one that Google would refuse or change."""
    text = clean(text).strip()
    if not text:
        raise Terminal("The answer is empty.", "Write something.")
    if len(text) > MAX_REPLY:
        raise Terminal(f"The answer has {len(text)} characters; Google Play takes {MAX_REPLY}.", "Shorten it.")
    if re.search(r"</?[A-Za-z][^<>]*>", text):
        raise Terminal("Google Play takes out whatever looks like an HTML tag, <so>.", "Write it without them.")
    return text


def _sent(post: Post, text: str, at: object) -> Sent:
    try:
        sent_at = _moment(at)
    except ValueError:
        sent_at = datetime.now(UTC)
    return Sent(wording_id(post.external_id, "reply", text), post.url, sent_at)
