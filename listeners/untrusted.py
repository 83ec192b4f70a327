"""What a platform answered, read without trusting its types: each gives what was hoped for, or plainly nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

MAX_COUNT = 2**63
"""Counts are stored in 64 bits with a sign."""


def as_dict(value: object) -> dict[str, Any]:
    """The object itself, or an empty one where it is none."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    """The list itself, or an empty one where it is none."""
    return value if isinstance(value, list) else []


def is_count(value: object, below: int = MAX_COUNT) -> bool:
    """Whether it is a whole number from 0 to under `below`; true and false are none."""
    return type(value) is int and 0 <= value < below


def iso_moment(value: object) -> datetime | None:
    """An ISO 8601 time in UTC, or None where it is none. One without a zone is taken as UTC, as platforms mean it."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):  # the year 1 east of Greenwich is before all time
        return None
