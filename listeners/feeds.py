"""RSS and Atom feeds: one document with the latest entries, asked for politely.

ETag and Last-Modified live in the cursor, so that an unchanged feed costs the publisher nothing. Where the address is a
web page that names its feed, that feed is read. What can be saved of a damaged feed is saved, and the damage reported.
"""

from __future__ import annotations

import calendar
import hashlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import urljoin, urlsplit

import feedparser
import feedparser.mixin
from pydantic import ValidationError

from listeners.base import (
    Answering,
    Author,
    Capability,
    Cursor,
    Health,
    Mode,
    Options,
    Page,
    Post,
    Query,
    Reach,
    Rejected,
    Terminal,
    Transient,
)
from listeners.http import Answer, Client
from listeners.plain_text import from_html, one_line, tags
from listeners.untrusted import as_list

CAPABILITY = Capability(
    platform="feed",
    title="RSS or Atom feed",
    answering=Answering.HAND_OFF,
    answering_rule="A feed can only be read: open the page, and answer there if it lets you.",
    checked_on=date(2026, 11, 22),
    modes=(
        Mode(
            "feed",
            "A feed",
            "Address",
            "The feed's address, or that of a page that names its feed.",
            reach=Reach("A feed holds its latest entries alone, and they have all been read.", possible=False),
        ),
    ),
    limits="Unchanged feeds are not sent again (ETag, Last-Modified); Retry-After is obeyed.",
    poll_every=timedelta(minutes=15),
    duties="What the publisher's terms say about reuse applies.",
    limited_by=lambda query: _host(query.text),
)
MAX_FEED = 10 * 1024 * 1024
"""Bytes of a feed that are looked at: feedparser may take some seconds for each megabyte of a hostile one."""
MAX_AUTHOR = 300
_HARMLESS = (feedparser.CharacterEncodingOverride, feedparser.NonXMLContentType)
"""What feedparser calls ill-formed although nothing is lost by it."""
_UNDATED = datetime(1970, 1, 1, tzinfo=UTC)


def open(account: Mapping[str, str], options: Options) -> Feeds:
    """A listener; there is no account to give."""
    return Feeds(options)


class Feeds:
    """Reads feeds. Of `Options`, `base_url` is what a relative address stands against."""

    capability = CAPABILITY

    def __init__(self, options: Options) -> None:
        self._base = options.base_url
        self._client = Client("The feed", options)

    def check(self) -> Health:
        """There is no account to check; whether one feed can be read, only fetching it shows."""
        return Health(True, "Feeds need no account.")

    def fetch(self, query: Query, cursor: Cursor) -> Iterator[Page]:
        """One page with every entry of the feed, without posts where it is unchanged since `cursor`."""
        asked = self._address(query.text)
        address = cursor.get("feed") or asked
        answer = self._get(address, cursor)
        notes: list[Rejected] = []
        if answer.status != 304 and (found := _feed_named_by(answer)):
            notes = [Rejected(asked, f"is a web page; the feed that it names is read: {found}")]
            address, cursor = found, {"feed": found}
            answer = self._get(address, cursor)
        if answer.status == 304:
            yield Page((), cursor, notes)
            return
        if not answer.body.strip():
            raise Transient("The feed is empty: the server sent nothing.")
        document = _read(answer.body, answer.url)
        posts, rejected = _sorted_out(document, address, datetime.now(UTC))
        if document.damage and not posts:
            raise Transient(f"The feed is damaged and none of it can be read: {document.damage}.")
        # A damaged feed is fetched in full each time, so that the damage is on record for as long as it lasts.
        validators = {} if document.damage else _validators(answer)
        stays = {"feed": address} if address != asked else {}
        yield Page(posts, {**stays, **validators}, [*notes, *rejected])

    def parse(self, answer: bytes) -> list[Post | Rejected]:
        """A feed's entries. Ids stand against the address that the feed gives itself, undated entries in 1970."""
        document = _read(answer, "")
        posts, rejected = _sorted_out(document, document.own_address, None)
        if document.damage and not posts:
            raise Terminal(f"The feed is damaged and none of it can be read: {document.damage}.", "Tell its publisher.")
        return [*posts, *rejected]

    def _address(self, text: str) -> str:
        typed = text.strip()
        if self._base and typed:
            return urljoin(self._base, typed)
        address = typed if "://" in typed else f"https://{typed}"
        try:
            parts = urlsplit(address)
            usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and " " not in address
        except ValueError:
            usable = False
        if not usable:
            raise Terminal(f"{one_line(typed, 100)!r} is no web address.", "Enter the feed's address: https://…")
        return address

    def _get(self, address: str, cursor: Cursor) -> Answer:
        headers = {
            "Accept": "application/atom+xml, application/rss+xml, application/xml;q=0.9, text/html;q=0.5, */*;q=0.1"
        }
        if cursor.get("etag"):
            headers["If-None-Match"] = cursor["etag"]
        if cursor.get("modified"):
            headers["If-Modified-Since"] = cursor["modified"]
        return self._client.get(address, headers=headers)


def _host(text: str) -> str:
    """The host of a typed address; "" where there is none."""
    try:
        return urlsplit(text if "://" in text else f"https://{text}").hostname or ""
    except ValueError:
        return ""


def _validators(answer: Answer) -> Cursor:
    found = {"etag": answer.headers.get("etag"), "modified": answer.headers.get("last-modified")}
    return {name: value for name, value in found.items() if value}


def _bounded_authors(sync: Callable[..., None]) -> Callable[..., None]:
    """feedparser looks for a mail address in the author by an expression that takes hours for a long word."""

    def sync_author_detail(parser: Any, key: str = "author") -> None:
        context = parser._get_context()
        if isinstance(context.get(key), str):
            context[key] = context[key][:MAX_AUTHOR]
        sync(parser, key)

    return sync_author_detail


feedparser.mixin._FeedParserMixin._sync_author_detail = _bounded_authors(
    feedparser.mixin._FeedParserMixin._sync_author_detail
)


# --- From bytes to entries -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Document:
    entries: Sequence[Mapping[str, Any]]
    about: Mapping[str, Any]
    base: str
    damage: str = ""
    """What is wrong with the whole, in words; empty where nothing is."""

    @property
    def own_address(self) -> str:
        links = [link for link in as_list(self.about.get("links")) if isinstance(link, Mapping)]
        own = next((link.get("href") for link in links if link.get("rel") == "self"), None)
        return str(own or self.about.get("link") or "feed")[:500]


def _read(body: bytes, base: str) -> _Document:
    """Raises Terminal for what is no feed at all."""
    if len(body) > MAX_FEED:
        raise Terminal(
            f"The feed is larger than {MAX_FEED // 1024 // 1024} MB.", "Ask its publisher for a shorter one."
        )
    try:
        # Never bytes or a string: feedparser would try to open either as a file's name. A stream it only reads.
        found = feedparser.parse(
            io.BytesIO(body),
            response_headers={"content-location": base},
            sanitize_html=False,
            resolve_relative_uris=False,
        )
    except Exception as error:
        raise Terminal("This is no feed that can be read.", "Check the address in a browser.") from error
    # As plain dicts: feedparser's own give one date for another.
    entries = [dict(entry) for entry in as_list(found.get("entries")) if isinstance(entry, Mapping)]
    wrong = found.get("bozo_exception") if found.get("bozo") else None
    damage = _in_words(wrong) if wrong is not None and not isinstance(wrong, _HARMLESS) else ""
    if not entries and not found.get("version"):
        is_page = b"<html" in body[:2000].lower() or b"<!doctype html" in body[:2000].lower()
        raise Terminal(
            "This is a web page that names no feed." if is_page else "This is no RSS or Atom feed.",
            "Enter the address of a feed; it often ends in /feed, /rss or .xml.",
        )
    return _Document(entries, dict(found.get("feed") or {}), base, damage)


def _in_words(wrong: Exception) -> str:
    line, message = getattr(wrong, "getLineNumber", None), getattr(wrong, "getMessage", None)
    if callable(line) and callable(message):
        return f"line {line()}: {one_line(str(message()), 200)}"
    return one_line(str(wrong), 200) or type(wrong).__name__


def _sorted_out(document: _Document, address: str, now: datetime | None) -> tuple[list[Post], list[Rejected]]:
    """The entries as posts, and what is wrong. `now` None: undated entries are given a date of 1970."""
    posts: dict[str, Post] = {}
    rejected: list[Rejected] = []
    for number, entry in enumerate(document.entries, start=1):
        try:
            post = _post(entry, document, address, now)
        except ValidationError as error:
            first = error.errors()[0]
            rejected.append(Rejected(f"entry {number}", f"{'.'.join(map(str, first['loc']))}: {first['msg']}"))
            continue
        except ValueError as error:
            rejected.append(Rejected(f"entry {number}", one_line(str(error))))
            continue
        if post.external_id in posts:
            rejected.append(Rejected(f"entry {number}", "has the same guid as an entry before it"))
        else:
            posts[post.external_id] = post
    if document.damage:
        saved = "1 entry was" if len(posts) == 1 else f"{len(posts)} entries were"
        rejected.append(Rejected("the feed", f"is not well-formed ({document.damage}); {saved} read nevertheless"))
    return list(posts.values()), rejected


def _post(entry: Mapping[str, Any], document: _Document, address: str, now: datetime | None) -> Post:
    """Raises ValueError, of which ValidationError is one, for an entry that is no post."""
    title = one_line(_plain(entry.get("title_detail"), entry.get("title")), 1_000)
    text = _text(entry) or title
    if not text:
        raise ValueError("has neither a title nor a text")
    posted_at = _moment(entry, "published_parsed", "updated_parsed", "created_parsed")
    estimated = posted_at is None or (now is not None and posted_at > now)
    if posted_at is None or estimated:
        posted_at = now or _moment(document.about, "updated_parsed", "published_parsed") or _UNDATED
    edited_at = _moment(entry, "updated_parsed")
    link = _link(entry, document.base or address)
    comments = _string(entry.get("slash_comments"))
    return Post(
        platform=CAPABILITY.platform,
        external_id=_external_id(address, _guid(entry, title, text)),
        url=link,
        author=_author(entry, address),
        title=title or None,
        text=text,
        lang=_lang(entry, document),
        posted_at=posted_at,
        posted_at_estimated=estimated,
        edited_at=edited_at if edited_at and edited_at > posted_at else None,
        engagement={"comments": int(comments)}
        if comments.isascii() and comments.isdigit() and len(comments) < 10
        else {},
    )


def _text(entry: Mapping[str, Any]) -> str:
    contents = [part for part in as_list(entry.get("content")) if isinstance(part, Mapping)]
    for part in [*contents, entry.get("summary_detail")]:
        if text := _plain(part, None):
            return text
    return _plain(None, entry.get("summary"))


def _plain(detail: object, value: object) -> str:
    """The text of feedparser's detail, or of a bare value, without markup where it has any."""
    mapping = detail if isinstance(detail, Mapping) else {}
    raw = _string(mapping.get("value")) or _string(value)
    return raw.strip() if mapping.get("type") == "text/plain" else from_html(raw)


def _guid(entry: Mapping[str, Any], title: str, text: str) -> str:
    said = _string(entry.get("id")) or _string(entry.get("link"))
    return said.strip() or hashlib.sha256(f"{title}\n{text}".encode("utf-8", "replace")).hexdigest()


def _external_id(address: str, guid: str) -> str:
    whole = f"{address} {guid}"
    return (
        whole
        if len(whole) <= 900
        else f"{address[:700]} {hashlib.sha256(whole.encode('utf-8', 'replace')).hexdigest()}"
    )


def _link(entry: Mapping[str, Any], base: str) -> str | None:
    try:
        link = urljoin(base, _string(entry.get("link")).strip())
    except ValueError:
        return None
    return (
        link if link.lower().startswith(("http://", "https://")) and len(link) <= 2_000 and entry.get("link") else None
    )


def _author(entry: Mapping[str, Any], address: str) -> Author | None:
    detail = entry.get("author_detail")
    name = one_line(
        _string(detail.get("name") if isinstance(detail, Mapping) else None) or _string(entry.get("author"))
    )
    # Names are a feed's own: two feeds' "admin" are two people.
    return Author(id=f"{address[:600]} {name}", handle=name, display_name=name) if name else None


def _lang(entry: Mapping[str, Any], document: _Document) -> str | None:
    detail = entry.get("summary_detail")
    said = detail.get("language") if isinstance(detail, Mapping) else None
    lang = _string(said) or _string(document.about.get("language"))
    return lang if 0 < len(lang) <= 35 else None


def _moment(holder: Mapping[str, Any], *names: str) -> datetime | None:
    for name in names:
        parsed = holder.get(name)
        if parsed:
            try:
                return datetime.fromtimestamp(calendar.timegm(parsed), UTC)
            except (ValueError, OverflowError, OSError, TypeError):
                continue  # a date that no calendar has; the next one may do
    return None


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


# --- The feed that a web page names --------------------------------------------------------------------------------


def _feed_named_by(answer: Answer) -> str | None:
    """The address of the first feed in a web page's head; None where it is no page or names none."""
    start = answer.body[:500_000]
    if b"<link" not in start.lower() or any(mark in start[:2000].lower() for mark in (b"<rss", b"<feed", b"<rdf:rdf")):
        return None
    named = (link.get("href", "") for link in tags(start.decode("utf-8", "replace"), "link") if _names_a_feed(link))
    return next((address for href in named if (address := _absolute(answer.url, href))), None)


def _names_a_feed(link: Mapping[str, str]) -> bool:
    kind = link.get("type", "").lower().split(";")[0].strip()
    return "alternate" in link.get("rel", "").lower().split() and kind in _FEED_TYPES


def _absolute(base: str, href: str) -> str | None:
    try:
        address = urljoin(base, href.strip())
    except ValueError:
        return None
    return address if address.startswith(("http://", "https://")) else None


_FEED_TYPES = {"application/rss+xml", "application/atom+xml", "application/rdf+xml"}
