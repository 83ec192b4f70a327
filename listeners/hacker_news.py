"""Hacker News: stories and comments, found by words through Algolia's search, newest first. No key.

A query gives about 1,000 hits and no more, so the walk goes down in slices of time: each page asks for what is as old
as the last hit or older. Whether an item is still there is asked of Hacker News' own API, which knows dead and deleted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from pydantic import ValidationError

from listeners.base import (
    Answering,
    Author,
    Capability,
    Cursor,
    Health,
    Kind,
    Mode,
    Options,
    Page,
    Post,
    Query,
    Reach,
    Rejected,
    Syntax,
    Terminal,
)
from listeners.http import Client
from listeners.plain_text import from_html, one_line
from listeners.walking import ByTime, Listing, Token, since, walk

SEARCH = "https://hn.algolia.com"
ITEMS = "https://hacker-news.firebaseio.com"
SITE = "https://news.ycombinator.com"
PER_PAGE = 100
MAX_QUERY = 500

CAPABILITY = Capability(
    platform="hackernews",
    title="Hacker News",
    answering=Answering.HAND_OFF,
    answering_rule="Hacker News has no way to answer from outside: copy the text and post it on the item's own page.",
    checked_on=date(2026, 11, 22),
    modes=(
        Mode(
            "search",
            "Stories and comments",
            "Words",
            "In their text or title.",
            # It excludes words too, but also where only an author or a link has them.
            syntax=Syntax(max_length=MAX_QUERY, phrase='"{}"'),
            reach=Reach("Hacker News gives everything, back to its beginning."),
        ),
    ),
    limits="10,000 requests an hour per address; about 1,000 hits per query, which is read in slices of time.",
    search_syntax='words, "a phrase", -without',
    poll_every=timedelta(minutes=2),
    recheck_every=timedelta(hours=12),
    duties="Dead and deleted items are taken down here too.",
)


def open(account: Mapping[str, str], options: Options) -> HackerNews:
    """A listener; there is no account to give."""
    return HackerNews(options)


class HackerNews:
    """Reads Algolia's index of Hacker News."""

    capability = CAPABILITY

    def __init__(self, options: Options) -> None:
        self._search = (options.base_url or SEARCH).rstrip("/") + "/api/v1/search_by_date"
        self._items = (options.base_url or ITEMS).rstrip("/") + "/v0/item"
        self._client = Client(CAPABILITY.title, options)

    def check(self) -> Health:
        """Asks for one hit."""
        self.parse(self._client.get(self._search, params={"hitsPerPage": 1}).body)
        return Health(True, "Hacker News answers. No account is needed.")

    def fetch(self, query: Query, cursor: Cursor) -> Iterator[Page]:
        """Stories and comments with the query's words since `cursor`; of a new source the latest 1,000."""
        words = query.text.strip()
        if not words or len(words) > MAX_QUERY:
            raise Terminal(
                "Hacker News needs words to search for." if not words else "These are too many words for Hacker News.",
                f"Enter between one word and {MAX_QUERY} characters.",
            )
        # The index takes in a post some seconds to minutes after it was made.
        return walk(lambda token: self._page_at(words, token), cursor, order=ByTime(overlap=timedelta(minutes=10)))

    def since(self, query: Query, moment: datetime) -> Cursor:
        """See `LooksBack`."""
        return since(moment)

    def _page_at(self, words: str, token: Token) -> Listing:
        before, page = token or (None, 0)
        params: dict[str, str | int] = {
            "query": words,
            "tags": "(story,comment)",
            "hitsPerPage": PER_PAGE,
            "page": page,
            "typoTolerance": "false",
            "advancedSyntax": "true",
        }
        if before is not None:
            params["numericFilters"] = f"created_at_i<={before}"
        answer = self._client.get(self._search, params=params)
        data = answer.json()
        found = _parsed(data)
        return Listing(
            [one for one in found if isinstance(one, Post)],
            _next_token(data, before, page),
            [one for one in found if isinstance(one, Rejected)],
        )

    def parse(self, answer: bytes) -> list[Post | Rejected]:
        """The hits of one answer of search_by_date. Raises Terminal where it is none."""
        try:
            data = json.loads(answer)
        except (ValueError, RecursionError) as error:
            raise _no_answer() from error
        return _parsed(data)

    def still_there(self, external_ids: Sequence[str]) -> Mapping[str, bool]:
        """One request for each id. Raises Transient, Terminal."""
        return {external_id: self._is_there(external_id) for external_id in external_ids if external_id.isascii()}

    def _is_there(self, external_id: str) -> bool:
        if not external_id.isdigit():
            return False
        answer = self._client.get(f"{self._items}/{external_id}.json", fine=(404,))
        item = answer.json() if answer.status == 200 else None
        return isinstance(item, dict) and not item.get("deleted") and not item.get("dead")


def _parsed(data: Any) -> list[Post | Rejected]:
    hits = data.get("hits") if isinstance(data, dict) else None
    if not isinstance(hits, list):
        raise _no_answer()
    return [_post_or_why_not(hit, number) for number, hit in enumerate(hits, start=1)]


def _next_token(data: dict[str, Any], before: int | None, page: int) -> Token:
    """Where to go on: at the moment of the last hit, or on the next page of a moment that filled a whole one."""
    moments = [
        hit["created_at_i"] for hit in data["hits"] if isinstance(hit, dict) and _is_moment(hit.get("created_at_i"))
    ]
    pages = data.get("nbPages")
    if not moments or not isinstance(pages, int) or page + 1 >= pages:
        return None
    oldest = min(moments)
    return [before, page + 1] if oldest == before else [oldest, 0]


def _is_moment(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _post_or_why_not(hit: Any, number: int) -> Post | Rejected:
    where = f"hit {number}"
    if not isinstance(hit, dict):
        return Rejected(where, "is no item")
    try:
        return _post(hit)
    except ValidationError as error:
        first = error.errors()[0]
        return Rejected(where, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
    except (TypeError, ValueError, KeyError, OverflowError, OSError) as error:
        return Rejected(where, f"has no usable {error}" if isinstance(error, KeyError) else one_line(str(error)))


def _post(hit: dict[str, Any]) -> Post:
    """Raises ValidationError, KeyError, TypeError, ValueError for what is no story or comment."""
    if not _is_moment(hit["created_at_i"]):
        raise ValueError("created_at_i is no number of seconds")
    is_comment = hit.get("comment_text") is not None
    number, title = hit["objectID"], hit.get("title")
    html = hit.get("comment_text") if is_comment else hit.get("story_text")
    parent, story = hit.get("parent_id"), hit.get("story_id")
    title = one_line(title, 1_000) if isinstance(title, str) else None
    return Post(
        platform=CAPABILITY.platform,
        external_id=number,
        url=f"{SITE}/item?id={number}",
        author=Author(id=hit["author"], handle=hit["author"]) if hit.get("author") is not None else None,
        title=title,
        text=(from_html(html) if isinstance(html, str) else "") or title or "",
        posted_at=datetime.fromtimestamp(hit["created_at_i"], UTC),
        parent_id=str(parent) if is_comment and parent is not None else None,
        root_id=str(story) if is_comment and story is not None else None,
        engagement={
            name: hit[field]
            for field, name in (("points", "points"), ("num_comments", "comments"))
            if _is_moment(hit.get(field)) and hit[field] >= 0
        },
        kind=Kind.COMMENT if is_comment else Kind.POST,
    )


def _no_answer() -> Terminal:
    return Terminal("This is no answer of the Hacker News search.", "Check the address that is asked (base_url).")
