"""Front-line notes: what a customer said on the phone, at a visit or in a chat, written down by who heard it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime

from pydantic import ValidationError

from listeners.base import (
    MAX_TEXT,
    Answering,
    Arrival,
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
    Rejected,
    Terminal,
    clean,
)

CAPABILITY = Capability(
    platform="note",
    title="Note",
    answering=Answering.HAND_OFF,
    answering_rule="Answer them where you met them, then mark it as sent.",
    checked_on=date(2026, 11, 22),
    modes=(Mode("note", "What colleagues heard", "", "Sales and support write down what a customer said."),),
    limits="No limit; 200 notes at once.",
    polls=False,
    arrival=Arrival.TYPED,
    # What was said in confidence to one person was not said to teach a model.
    trainable=False,
    duties="Write down what matters for the work, not what is nobody's business. A note goes when its customer asks.",
)

_BLANK_LINES = re.compile(r"\n[ \t]*\n\s*")


def split(pasted: str) -> list[str]:
    """The notes in what was pasted: separated by blank lines where there is one, else one on each line."""
    tidy = clean(pasted).strip()
    parts = _BLANK_LINES.split(tidy) if _BLANK_LINES.search(tidy) else tidy.split("\n")
    return [part.strip() for part in parts if part.strip()]


def post(external_id: str, text: str, heard_at: datetime, author: Author | None, edited_at: datetime | None) -> Post:
    """A note as a post. Raises ValueError with what is wrong."""
    return Post(
        platform=CAPABILITY.platform,
        external_id=external_id,
        author=author,
        text=text,
        posted_at=heard_at,
        edited_at=edited_at,
        kind=Kind.NOTE,
    )


def open(account: Mapping[str, str], options: Options) -> Notes:
    """A listener; there is no account to give."""
    return Notes()


class Notes:
    """Reads notes that were pasted; it can ask nobody for more."""

    capability = CAPABILITY

    def check(self) -> Health:
        """There is nothing to ask."""
        return Health(True, "Notes need no account.")

    def fetch(self, query: Query, cursor: Cursor) -> Iterator[Page]:
        """Raises Terminal: colleagues write notes down."""
        raise Terminal("Notes cannot be asked for.", "Write one down: Inbox, Add a note.")

    def parse(self, answer: bytes) -> list[Post | Rejected]:
        """The notes in a text file, undated, which here means of 1970. Raises Terminal for what is no text."""
        try:
            pasted = answer.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise Terminal("This is no text in UTF-8.", "Save the notes as plain text.") from error
        return [_post_or_why_not(words, number) for number, words in enumerate(split(pasted), start=1)]


def _post_or_why_not(words: str, number: int) -> Post | Rejected:
    if len(words) > MAX_TEXT:
        return Rejected(f"note {number}", f"has {len(words):,} characters; {MAX_TEXT:,} fit")
    digest = hashlib.sha256(f"{number}\0{words}".encode()).hexdigest()[:32]
    try:
        return post(digest, words, datetime(1970, 1, 1, tzinfo=UTC), None, None)
    except ValidationError as error:
        return Rejected(f"note {number}", error.errors()[0]["msg"])
