"""What people write in spreadsheets, made into moments and ratings. Each raises ValueError with a reason in words."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from email.utils import parsedate_to_datetime
from fractions import Fraction
from functools import lru_cache
from typing import TypeVar

Result = TypeVar("Result")

_NUMERIC_DATE = re.compile(r"(\d{1,2})[./-](\d{1,2})[./-](\d{4}|\d{2})(?:,?[ T]+(.+))?", re.ASCII)
_TIMES = ("%H:%M:%S.%f", "%H:%M:%S", "%H:%M", "%I:%M:%S %p", "%I:%M %p", "%I %p")
_WORDED = ("%d %b %Y", "%d %B %Y", "%b %d %Y", "%B %d %Y", "%Y %b %d", "%Y/%m/%d", "%Y.%m.%d")
_YEARS = range(1970, 2200)


def moment(text: str, *, day_first: bool = True, zone: tzinfo = UTC) -> datetime:
    """The moment that `text` names, UTC-aware. Without an offset of its own it is read in `zone`.

    Understood are ISO 8601, RFC 2822, seconds or milliseconds since 1970, 22.11.2026, 22/11/2026 (or month first),
    2026/11/22, 22 Nov 2026 and Nov 22, 2026, each with or without a time of day.
    """
    said = " ".join(text.split())[:100]
    for read in (_since_1970, _iso, _numeric, _worded, _mail):
        found = read(said, day_first)
        if found is not None:
            break
    else:
        raise ValueError(f"{said[:60]!r} is no date that is understood; write it as 2026-11-22 14:05")
    if found.year not in _YEARS:
        raise ValueError(f"{said[:60]!r} lies outside the years 1970 to 2199")
    return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)


def is_day_first(samples: list[str]) -> bool | None:
    """Whether dates such as 03/04/2026 in `samples` have the day first; None where nothing in them tells."""
    for sample in samples:
        if match := _NUMERIC_DATE.fullmatch(" ".join(sample.split())):
            first, second = int(match[1]), int(match[2])
            if first > 12 >= second:
                return True
            if second > 12 >= first:
                return False
    return None


def is_ambiguous(sample: str) -> bool:
    """Whether a date means another day when day and month change places."""
    match = _NUMERIC_DATE.fullmatch(" ".join(sample.split()))
    return match is not None and match[1] != match[2] and int(match[1]) <= 12 and int(match[2]) <= 12


@lru_cache(maxsize=1_000)  # a file has few different ones
def rating(text: str) -> float:
    """Stars from 0 to 5: out of "4", "4,5", "4/5", "8/10", "4 out of 5", "80 %", "4 stars" or "★★★★☆"."""
    said = " ".join(text.split())[:100]
    if said and set(said) <= {"★", "☆", "⭐", " "}:
        return float(min(5, said.count("★") + said.count("⭐")))
    plain = re.sub(r"\s*(stars?|\*)$", "", said, flags=re.IGNORECASE).replace(",", ".")
    match = re.fullmatch(
        r"(\d{1,4}(?:\.\d{1,6})?)\s*(?:(?:/|of|out of)\s*(\d{1,4})|(%))?", plain, re.ASCII | re.IGNORECASE
    )
    if not match:
        raise ValueError(f"{said[:60]!r} is no rating; write a number from 0 to 5, or one such as 8/10")
    best = Fraction(100 if match[3] else match[2] or 5)
    if not best or Fraction(match[1]) > best:
        raise ValueError(f"{said[:60]!r} is more than the best rating; write a number from 0 to 5, or one such as 8/10")
    return float(Fraction(match[1]) / best * 5)


def _since_1970(said: str, _: bool) -> datetime | None:
    if not re.fullmatch(r"\d{9,10}(\.\d+)?|\d{12,13}", said, re.ASCII):
        return None
    return datetime.fromtimestamp(float(said) / (1000 if len(said.split(".")[0]) > 10 else 1), UTC)


def _iso(said: str, _: bool) -> datetime | None:
    plain = re.sub(r"\s*(UTC|GMT|Z)$", "+00:00", said, flags=re.IGNORECASE)
    plain = re.sub(r"(\d) ([+-]\d\d:?\d\d)$", r"\1\2", plain)
    if not re.match(r"\d{4}-?\d\d", plain, re.ASCII) or re.fullmatch(r"\d+", plain[:8]) and len(plain) < 8:
        return None
    return _or_none(datetime.fromisoformat, plain)


def _numeric(said: str, day_first: bool) -> datetime | None:
    match = _NUMERIC_DATE.fullmatch(said)
    if not match:
        return None
    day, month = (int(match[1]), int(match[2])) if day_first else (int(match[2]), int(match[1]))
    year = int(match[3]) + (2000 if len(match[3]) == 2 else 0)
    return _with_time(_or_none(datetime, year, month, day), match[4])


def _worded(said: str, _: bool) -> datetime | None:
    plain = re.sub(r"^(mon|tue|wed|thu|fri|sat|sun)[a-z]*,? ", "", said.replace(",", " "), flags=re.IGNORECASE)
    words = plain.replace(" at ", " ").split()
    for size in (3, 1):
        date, time = " ".join(words[:size]), " ".join(words[size:])
        for pattern in _WORDED:
            day = _or_none(datetime.strptime, date, pattern)
            if day is not None and (whole := _with_time(day, time)) is not None:
                return whole
    return None


def _mail(said: str, _: bool) -> datetime | None:
    return _or_none(parsedate_to_datetime, said)


def _with_time(day: datetime | None, time: str | None) -> datetime | None:
    if day is None or not time:
        return day
    plain = re.sub(r"\s*(UTC|GMT|Z)$", "", time, flags=re.IGNORECASE)
    zone = UTC if plain != time else None
    plain = re.sub(r"(?<=\d)\s*([ap])\.?m\.?$", r" \1m", plain, flags=re.IGNORECASE)
    for pattern in _TIMES:
        clock = _or_none(datetime.strptime, plain, pattern)
        if clock is not None:
            return datetime.combine(day.date(), clock.time(), zone)
    return None


def _or_none(read: Callable[..., Result], *said: object) -> Result | None:
    try:
        return read(*said)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
