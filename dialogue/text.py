"""Small words about numbers and texts that several rules need."""

from __future__ import annotations


def as_id(number: int) -> int:
    """The number if it can be a row's id, else 0, which no row has: an address bar may hold any number."""
    return number if 0 < number < 2**31 else 0


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, 11th, 21st."""
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def counted(number: int, noun: str) -> str:
    """'1 complaint', '2 complaints'."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def shortened(text: str, characters: int) -> str:
    """The text in at most so many characters, an ellipsis where it was cut."""
    return text if len(text) <= characters else text[: characters - 1].rstrip() + "…"


def headed(title: str | None, text: str) -> str:
    """A title and its text in one line of words: 'Title: text', or 'Title? text' where the title ends by itself."""
    if not title or not text:
        return title or text
    ends = title.rstrip().rstrip("\"'”’»)")[-1:] in tuple(".!?…:;。！？")
    return f"{title} {text}" if ends else f"{title}: {text}"
