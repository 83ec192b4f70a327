"""What a platform allows, as the conversation needs it; a platform that is not installed any more has its name left."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

from listeners import registry
from listeners.base import Answering, Capability, ListeningError, Post

CONNECT = "Connect an account to answer from here."
SAMPLE = "Sample data: an answer is kept here and never sent."


@dataclass(frozen=True, slots=True)
class Platform:
    """The part of a capability that speaks of answering. `length` counts as the platform counts, `opening` is what an
    answer to a post begins with, `seen_by` who will see it."""

    name: str
    title: str
    by_api: bool
    rule: str
    max_chars: int | None
    counted_in: str
    length: Callable[[str], int]
    find_lag: timedelta
    cross_person_matching: bool
    answers_spend: str = ""
    attribution: str = ""
    opening: Callable[[Post], str] = lambda post: ""
    seen_by: Callable[[Post], str] = lambda post: "in public"

    def as_for(self, allows: Capability) -> Platform:
        """The same, with how long an answer may be by the capability of one account's listener."""
        return replace(self, max_chars=allows.max_chars, length=allows.length)


def of(name: str) -> Platform:
    """The platform of that name. Never raises: what was collected outlives the listener that collected it."""
    try:
        allows = registry.capability(name)
    except ListeningError:
        rule = f"The listener for {name} is not installed here."
        return Platform(name, name, False, rule, None, "characters", len, timedelta(minutes=2), False)
    return Platform(
        name=name,
        title=allows.title,
        by_api=allows.answering is Answering.API,
        rule=allows.answering_rule,
        max_chars=allows.max_chars,
        counted_in=allows.counted_in,
        length=allows.length,
        find_lag=allows.find_lag,
        cross_person_matching=allows.cross_person_matching,
        answers_spend=allows.answers_spend,
        attribution=allows.attribution,
        opening=allows.opening,
        seen_by=allows.seen_by,
    )


def attribution(name: str, author: str | None) -> str:
    """What must stand by a post, with the link to it, where its platform's terms say so; plain, hostile, else ""."""
    platform = of(name)
    return f"{author or 'Somebody'} on {platform.title}, {platform.attribution}" if platform.attribution else ""


def trainable(among: Iterable[str] | None = None) -> tuple[str, ...]:
    """The platforms which allow that what is written there teaches a model; one that is not installed does not.

    With `among` only these are asked: each is imported when it is asked first.
    """
    return tuple(name for name in (registry.names() if among is None else among) if _teaches(name))


def _teaches(name: str) -> bool:
    try:
        return registry.capability(name).trainable
    except ListeningError:
        return False


def answering(platform: Platform, *, connected: bool, sample: bool) -> tuple[bool, str]:
    """Whether a mention there can be answered from here as far as one can say at a glance, and if not, why not."""
    if sample:
        return True, ""
    if not platform.by_api:
        return False, platform.rule
    return (True, "") if connected else (False, CONNECT)


_COMMUNITY = re.compile(r"https?://[^/]+/(r/[A-Za-z0-9_]{2,50})(?:/|$)")


def place(url: str | None) -> str:
    """The community that an address names, such as r/bicycling; empty where it names none."""
    found = _COMMUNITY.match(url or "")
    return found.group(1) if found else ""
