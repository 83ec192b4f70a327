"""A platform called 'forum' that lives in memory and does as it is told: `platform.posts(3)`, `.goes_down()`.

It reads oldest first, PAGE posts a page; its cursor is how many it has read. `installed` puts it among the listeners.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import pytest

from listeners import registry
from listeners.base import (
    Answering,
    Author,
    Budget,
    Capability,
    CredentialField,
    Cursor,
    Health,
    Mode,
    Options,
    Page,
    Post,
    Query,
    Rejected,
    Terminal,
    Transient,
)

PAGE = 2

CAPABILITY = Capability(
    platform="forum",
    title="Forum",
    answering=Answering.HAND_OFF,
    answering_rule="Nobody answers here.",
    checked_on=date(2026, 11, 1),
    modes=(Mode("search", "Search", "Words"), Mode("mentions", "Mentions of us", "")),
    credentials=(CredentialField("token", "Token"),),
    poll_every=timedelta(minutes=1),
    recheck_every=timedelta(hours=1),
)


@dataclass
class FakePlatform:
    """What stands on the forum, and how it behaves."""

    standing: list[Post] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    deleted: set[str] = field(default_factory=set)
    trouble: Callable[[], None] = lambda: None
    fails_after: int = 10**9
    budget: Budget = Budget()
    asked: list[tuple[Query, Cursor]] = field(default_factory=list)
    opened_with: list[tuple[dict[str, str], Options]] = field(default_factory=list)
    us: Author | None = None
    now_says: dict[str, Post] | None = None
    """What posts say by now, by id; None where it cannot be asked that."""
    pages_read: int = 0
    while_reading: Callable[[int], None] = lambda page: None

    def posts(self, count: int, *, text: str = "The hinge squeaks", at: datetime | None = None) -> list[Post]:
        """Adds posts by as many people; returns them."""
        first = len(self.standing) + 1
        moment = at or datetime.fromisoformat("2026-11-20T11:00:00+00:00")
        new = [
            Post(
                platform="forum", external_id=f"p{number}", text=f"{text} {number}", posted_at=moment,
                author=Author(id=f"a{number}", handle=f"author{number}"), url=f"https://forum.example/{number}",
            )
            for number in range(first, first + count)
        ]  # fmt: skip
        self.standing += new
        return new

    def edits(self, external_id: str, text: str) -> None:
        """Somebody changes what they said; the forum shows it again."""
        old = next(post for post in self.standing if post.external_id == external_id)
        self.standing.append(old.model_copy(update={"text": text}))

    def goes_down(self) -> None:
        """Every answer is a 503 from now on."""
        self._always(Transient("The forum is down (503)."))

    def rate_limits(self, seconds: float) -> None:
        """Every answer is a 429 with a wish."""
        self._always(Transient("The forum asks to wait (429).", seconds))

    def refuses(self) -> None:
        """The token is not good any more."""
        self._always(Terminal("The forum refused the token (401).", "Enter a new token."))

    def refuses_with(self, words: str) -> None:
        """It refuses in its own words."""
        self._always(Terminal(words, words))

    def has_a_bug(self) -> None:
        """The listener itself fails."""
        self._always(KeyError("author"))

    def recovers(self) -> None:
        """All is well again."""
        self.trouble = lambda: None

    def _always(self, error: Exception) -> None:
        def trouble() -> None:
            raise error

        self.trouble = trouble

    def deletes(self, *external_ids: str) -> None:
        """These are gone."""
        self.deleted |= set(external_ids)


platform = FakePlatform()


class Forum:
    """The listener."""

    capability = CAPABILITY

    def check(self) -> Health:
        platform.trouble()
        return Health(True, "You are us.", platform.us)

    def fetch(self, query: Query, cursor: Cursor) -> Iterator[Page]:
        platform.asked.append((query, cursor))
        at = int(cursor.get("read", 0))
        while True:
            if platform.pages_read >= platform.fails_after:
                platform.fails_after = 10**9
                raise Transient("The connection broke.")
            platform.trouble()
            platform.pages_read += 1
            found = platform.standing[at : at + PAGE]
            at += len(found)
            rejected = [Rejected("entry 1", reason) for reason in platform.unreadable]
            platform.while_reading(platform.pages_read)
            yield Page(found, {"read": at}, rejected, platform.budget)
            if at >= len(platform.standing):
                return

    def parse(self, answer: bytes) -> list[Post | Rejected]:
        return []

    def still_there(self, external_ids: Sequence[str]) -> Mapping[str, bool]:
        platform.trouble()
        return {id_: id_ not in platform.deleted for id_ in external_ids}


class ForumThatReadsAgain(Forum):
    """The listener of a forum that can be asked what posts say by now."""

    def as_they_are(self, external_ids: Sequence[str]) -> Mapping[str, Post | bool]:
        now = platform.now_says or {}
        return {id_: there and now.get(id_, True) for id_, there in self.still_there(external_ids).items()}


def open(account: Mapping[str, str], options: Options) -> Forum:
    platform.opened_with.append((dict(account), options))
    return Forum() if platform.now_says is None else ForumThatReadsAgain()


def installed(monkeypatch: pytest.MonkeyPatch) -> FakePlatform:
    """Puts a fresh forum among the listeners until the test ends."""
    fresh = FakePlatform()
    monkeypatch.setattr("tests.fake_platform.platform", fresh)
    monkeypatch.setattr(registry, "BUILT_IN", {**registry.BUILT_IN, "forum": "tests.fake_platform"})
    registry._origins.cache_clear()
    monkeypatch.setattr(registry, "_origins", lambda: dict(registry.BUILT_IN))
    registry._loaded.cache_clear()
    return fresh
