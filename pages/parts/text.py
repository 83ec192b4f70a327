"""Words on a page: hostile text made harmless, and moments, counts and ratings as people say them. Draws nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

JOINER = "\u2060"
"""WORD JOINER: no width, no break. Stops what Markdown plugins would still replace after a backslash is gone."""

_UNKEEPABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_DIRECTIONS = re.compile("[\u202a-\u202e\u2066-\u2069]")
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
_REPLACED_AFTER_PARSING = re.compile(r"\\[:@<>~-]")
_BARE_ADDRESS = re.compile(r"(?<=www)\\\.", re.IGNORECASE)


def tidy(text: str) -> str:
    """The text without what cannot travel to a browser: NUL, other controls, lone surrogates. Line ends become \\n."""
    return _UNKEEPABLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters, cut at a word where one ends near, with an ellipsis."""
    if len(text) <= limit:
        return text
    cut = text[: limit - 1]
    word_end = cut.rfind(" ")
    return (cut[:word_end] if word_end > limit * 0.7 else cut).rstrip() + "…"


def steps(told: Iterable[str]) -> str:
    """A numbered list of our own sentences, in Markdown."""
    return "\n".join(f"{number}. {step}" for number, step in enumerate(told, 1))


def plain(text: str, limit: int = 300) -> str:
    """One line of Markdown that shows `text` as it stands, at most `limit` characters of it.

    Every ASCII punctuation mark is escaped. Streamlit's emoji codes, icons, arrows and bare addresses are found in the
    text *after* escapes are gone, so a word joiner is set behind the marks that they need. Marks that turn the writing
    direction are left out: they would turn what follows in the same line.
    """
    return _escaped(shorten(" ".join(tidy(text[: limit * 4]).split()), limit))


def plain_lines(text: str, limit: int = 4_000) -> str:
    """As `plain`, with line breaks kept."""
    lines = shorten(tidy(text), limit).strip("\n").split("\n")
    return "  \n".join(_escaped(" ".join(line.split())) or "\u00a0" for line in lines)


def _escaped(line: str) -> str:
    escaped = _PUNCTUATION.sub(r"\\\1", _DIRECTIONS.sub("", line))
    escaped = _REPLACED_AFTER_PARSING.sub(lambda mark: mark.group() + JOINER, escaped)
    return _BARE_ADDRESS.sub(lambda dot: JOINER + dot.group(), escaped)


def link_target(url: str) -> str:
    """The address inside a Markdown link, or '' where it is no plain web address."""
    harmless = url.startswith(("https://", "http://")) and not any(mark in url for mark in "()<>[]\\\"' \n\t`")
    return url if harmless else ""


def zone(name: str | None) -> tzinfo:
    """The time zone of that name; UTC where there is none such."""
    try:
        return ZoneInfo(name) if name else UTC
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def ago(moment: datetime, now: datetime) -> str:
    """How long ago, short: 'now', '12 min', '3 h', '2 d', '14 Nov', '14 Nov 2023'."""
    age = now - moment
    if age < timedelta(minutes=1):
        return "now"
    if age < timedelta(hours=1):
        return f"{int(age.total_seconds() // 60)} min"
    if age < timedelta(days=1):
        return f"{int(age.total_seconds() // 3600)} h"
    if age < timedelta(days=7):
        return f"{age.days} d"
    return _date(moment, now)


def when(moment: datetime, now: datetime) -> str:
    """As `ago`, within a sentence: 'now', '12 min ago', 'on 14 Jan'."""
    age = now - moment
    if age < timedelta(minutes=1):
        return "now"
    return f"{ago(moment, now)} ago" if age < timedelta(days=7) else f"on {ago(moment, now)}"


def span(length: timedelta) -> str:
    """A length of time, short: '45 s', '18 min', '3 h', '2 d'."""
    seconds = max(0, int(length.total_seconds()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def at(moment: datetime, now: datetime, reader: tzinfo) -> str:
    """When, in the reader's zone: 'today 09:48', 'yesterday 17:02', '2 May 11:30', '2 May 2024'."""
    local, today = moment.astimezone(reader), now.astimezone(reader).date()
    if local.date() == today:
        return f"today {local:%H:%M}"
    if local.date() == today - timedelta(days=1):
        return f"yesterday {local:%H:%M}"
    return _date(local, now.astimezone(reader)) + (f" {local:%H:%M}" if local.year == today.year else "")


def _date(moment: datetime, now: datetime) -> str:
    words = f"{moment.day} {moment:%b}"
    return words if moment.year == now.year else f"{words} {moment.year}"


def number(value: float) -> str:
    """1842 as '1,842'."""
    return f"{value:,.0f}"


def listed(names: list[str], *, bold: bool = False) -> str:
    """Names as they stand in a sentence: 'GitHub, Hacker News and X'."""
    mark = "**" if bold else ""
    marked = [f"{mark}{plain(one, 60)}{mark}" for one in names]
    return " and ".join(filter(None, [", ".join(marked[:-1]), *marked[-1:]]))


def counted(count: int, one: str, many: str | None = None) -> str:
    """'1 conversation', '1,842 conversations'."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def times(count: int) -> str:
    """'once', '2 times'."""
    return "once" if count == 1 else counted(count, "time")


def stars(rating: float) -> str:
    """A rating out of five: '★★★★☆'."""
    full = max(0, min(5, round(rating)))
    return "★" * full + "☆" * (5 - full)


def ascii_minus(words: str) -> str:
    """Streamlit tells a fall from a rise by an ASCII minus only."""
    return words.replace("\u2212", "-").replace("\u2013", "-") if words[:1] in "\u2212\u2013" else words
