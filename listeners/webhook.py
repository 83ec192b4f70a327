"""Webhooks: any survey or form tool sends JSON, one thing that somebody said or a list of them. Nothing is asked for.

Which part of a tool's JSON is the text, which the author, is a `Layout` of JSON Pointers (RFC 6901): guessed from a
delivery by the names of its parts, and corrected by a person. Deliveries with the names of `FIELDS` need no look.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from pydantic import ValidationError

from listeners import files, values
from listeners.base import (
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
from listeners.plain_text import one_line

MOST_ITEMS = 1_000
"""Things said in one delivery."""
MOST_TEXTS = 10
"""Parts that one text is put together from: a form may ask several open questions."""
BEST_RATINGS = (5, 10, 100)
_DEEPEST = 12
"""Levels at which parts are looked for."""
_MOST_LEVELS = 64
_MOST_LEAVES = 300
_MOST_IN_LIST = 30
_LISTS = ("items", "data", "results", "responses", "entries", "records", "submissions", "reviews", "feedback", "rows")
_NAMES: Mapping[str, tuple[str, ...]] = {
    "author": ("email", "e_mail", "customer_email", "user_email", "respondent"),
    "rating": ("nps", "nps_score", "csat", "satisfaction"),
    "id": ("submission_id", "entry_id", "event_id", "token", "uuid"),
}
"""Names of parts beside those that `files` knows for columns."""
_MISSING = object()

CAPABILITY = Capability(
    platform="webhook",
    title="Webhook",
    answering=Answering.HAND_OFF,
    answering_rule="A form has no thread: answer them where you know them from, such as by mail, then mark it as sent.",
    checked_on=date(2026, 11, 22),
    modes=(Mode("webhook", "What a tool sends", "", "Any survey or form tool that can send signed JSON."),),
    limits=f"A delivery has at most 1 MB and {MOST_ITEMS:,} items; 300 deliveries a minute.",
    polls=False,
    arrival=Arrival.PUSHED,
    duties="Whoever connects a tool answers for being allowed to pass on what people wrote in it.",
)

EXTRA: Mapping[str, str] = {
    "layout": "JSON: which part is what; guessed from the delivery where it is not given",
    "source": "what external ids begin with",
}

FIELDS: Mapping[str, str] = {
    name: label
    for name, (label, _) in files.FIELDS.items()
    if name in ("text", "title", "posted_at", "author", "author_name", "url", "rating", "lang", "id")
}
"""What a part can be chosen for, and its label."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Which part of a delivery is what. Pointers begin at the item, `each` at the delivery."""

    each: str = ""
    """Where the list of items is; "" is the delivery itself, one item or a list of them."""
    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Field to pointer; the text may have several, which are put one below the other."""
    best_rating: int = 5
    """What the best rating is where it is a bare number."""

    @property
    def is_plain(self) -> bool:
        """Whether it is the one of deliveries that name their parts as `FIELDS` does."""
        named_so = all(pointers == (f"/{name}",) for name, pointers in self.fields.items())
        return "text" in self.fields and named_so and self.each in ("", "/items") and self.best_rating == 5

    def as_json(self) -> dict[str, Any]:
        """As it is stored."""
        fields = {name: list(pointers) for name, pointers in self.fields.items()}
        return {"each": self.each, "fields": fields, "best_rating": self.best_rating}


@dataclass(frozen=True, slots=True)
class Leaf:
    """A part that holds words or numbers: where, and what stood there first."""

    pointer: str
    words: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What turns a delivery into posts."""

    layout: Layout
    source: str
    """What external ids begin with."""
    received_at: datetime
    """What an item without a date gets."""
    delivery: str = ""
    """The sender's id of the delivery: the same words in another one are then said by somebody else."""


def load(body: bytes) -> Any:
    """The JSON of a delivery. Raises Terminal that says where it is none."""
    try:
        return _bounded(json.loads(body))
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Terminal(f"The body is no JSON: {error.msg} at {where}.", "Send it as application/json.") from error
    except (ValueError, RecursionError) as error:
        raise Terminal("The body is no JSON that can be read.", "Send UTF-8, with less nesting.") from error


def _bounded(data: Any) -> Any:
    """The data, unless it is nested deeper than anything that a tool sends. Raises RecursionError."""
    level = [data]
    for _ in range(_MOST_LEVELS):
        if not level:
            return data
        level = [inner for one in level if isinstance(one, dict | list) for inner in _inside(one)]
    raise RecursionError


def _inside(value: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def layout_of(stored: Mapping[str, Any]) -> Layout:
    """A layout as `as_json` gave it. Raises Terminal, naming what does not fit."""
    fields, each, best = stored.get("fields"), stored.get("each", ""), stored.get("best_rating", 5)
    if not isinstance(fields, Mapping) or not isinstance(each, str):
        raise Terminal("This says not which part is what.", 'Write it as {"fields": {"text": ["/comment"]}}.')
    unknown = next((name for name in fields if name not in FIELDS), None)
    if unknown is not None:
        raise Terminal(f"There is no field {one_line(str(unknown), 60)}.", f"There are {', '.join(FIELDS)}.")
    chosen = {name: _pointers(name, pointers) for name, pointers in fields.items() if pointers}
    if not chosen.get("text"):
        raise Terminal("No part is chosen for the text.", "Choose the one that holds what people wrote.")
    if isinstance(best, bool) or best not in BEST_RATINGS:
        raise Terminal("The best rating is not one of those known.", f"It is one of {_listed(BEST_RATINGS)}.")
    return Layout(_pointers("each", [each])[0] if each else "", chosen, best)


def _pointers(name: str, given: Any) -> tuple[str, ...]:
    pointers = [given] if isinstance(given, str) else given
    if not isinstance(pointers, list | tuple) or not all(isinstance(one, str) for one in pointers):
        raise Terminal(f"The part for {name} is no JSON Pointer.", "Write it as /answers/0/text.")
    if len(pointers) > (MOST_TEXTS if name == "text" else 1):
        raise Terminal(f"Too many parts are chosen for {name}.", f"The text has at most {MOST_TEXTS}, others one.")
    if not all(re.fullmatch(r"(/([^~/]|~[01])*)+", one) and len(one) <= 1_000 for one in pointers):
        raise Terminal(f"The part for {name} is no JSON Pointer.", "Write it as /answers/0/text.")
    return tuple(pointers)


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


# --- From deliveries to posts ---------------------------------------------------------------------------------------


def items(data: Any, layout: Layout) -> list[Any]:
    """The things said in a delivery. Raises Terminal where the layout's list is not there or is too long."""
    found = _at(data, layout.each)
    if layout.each and not isinstance(found, list):
        raise Terminal(f"There is no list at {one_line(layout.each, 100)}.", "Choose where the items are.")
    found = found if isinstance(found, list) else [found]
    if len(found) > MOST_ITEMS:
        raise Terminal(f"These are {len(found):,} items; {MOST_ITEMS:,} fit.", "Send them in several deliveries.")
    return found


def read(data: Any, reading: Reading) -> list[tuple[int, Post | Rejected]]:
    """Each item by its place from 0, as a post or with the reason why it is none; null is no item. Raises Terminal."""
    found = enumerate(items(data, reading.layout))
    return [(place, _post_or_why_not(item, place, reading)) for place, item in found if item is not None]


def without(data: Any, layout: Layout, places: Iterable[int]) -> bytes:
    """The delivery as JSON, the items at these places being null: they have been read and are not kept twice."""
    gone = set(places)
    left = [None if place in gone else item for place, item in enumerate(items(data, layout))]
    return json.dumps(_put(data, layout.each, left) if isinstance(data, list) or layout.each else left[0]).encode()


def _put(data: Any, pointer: str, value: Any) -> Any:
    steps = _steps(pointer)
    if not steps:
        return value
    inner = _at(data, _pointer(steps[:1]))
    changed = _put(inner, _pointer(steps[1:]), value)
    if isinstance(data, list):
        return [changed if place == int(steps[0]) else one for place, one in enumerate(data)]
    return {**data, steps[0]: changed}


def _post_or_why_not(item: Any, place: int, reading: Reading) -> Post | Rejected:
    where = f"item {place + 1}"
    try:
        return _post(item, place, reading)
    except ValidationError as error:
        first = error.errors()[0]
        return Rejected(where, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
    except ValueError as error:
        return Rejected(where, one_line(str(error)))


def _post(item: Any, place: int, reading: Reading) -> Post:
    """Raises ValueError, of which ValidationError is one, with the field and what is wrong."""
    if not isinstance(item, dict | list):
        raise ValueError(f"is {_kind_of(item)}, not an object")
    said = {name: _words(name, item, pointers) for name, pointers in reading.layout.fields.items()}
    if not said.get("text"):
        raise ValueError(f"text: there is none at {_listed_pointers(reading.layout.fields.get('text', ()))}")
    posted_at = _in_field("date", _moment, said.get("posted_at"), reading.received_at)
    rating = _in_field("rating", _rating, said.get("rating"), reading.layout.best_rating)
    return Post(
        platform=CAPABILITY.platform,
        external_id=_id(item, said.get("id", ""), place, reading),
        url=said.get("url") or None,
        author=_author(said, reading),
        title=one_line(said.get("title", ""), 1_000) or None,
        text=said["text"],
        lang=said.get("lang") or None,
        rating=rating,
        posted_at=posted_at or reading.received_at,
        posted_at_estimated=posted_at is None,
        kind=Kind.REVIEW if rating is not None else Kind.POST,
    )


def _words(name: str, item: Any, pointers: Sequence[str]) -> str:
    parts = (_word(name, _at(item, pointer)) for pointer in pointers)
    return "\n\n".join(part for part in parts if part)


def _word(name: str, value: Any) -> str:
    """What is written there. A list of words, such as the choices somebody ticked, is read as one line."""
    if value is _MISSING or value is None:
        return ""
    if isinstance(value, list) and all(isinstance(one, str | int | float) for one in value):
        return ", ".join(_word(name, one) for one in value)
    if isinstance(value, dict | list):
        raise ValueError(f"{name}: is {_kind_of(value)}, not words; choose a part of it")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name}: is no number")
    return clean(str(value)).strip()


def _kind_of(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "yes or no", int: "a number", float: "a number"}
    return names.get(type(value), "nothing")


def _listed_pointers(pointers: Iterable[str]) -> str:
    return one_line(", ".join(pointers), 200) or "no place that was chosen"


def _in_field(name: str, understand: Any, said: str | None, *how: Any) -> Any:
    if not said:
        return None
    try:
        return understand(said, *how)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _moment(said: str, received_at: datetime) -> datetime:
    """A day ahead is let pass, since another time zone may be meant; later is a mistake."""
    found = values.moment(said)
    if found > received_at + timedelta(days=1) and received_at.year > 1970:
        raise ValueError(f"{said[:60]!r} lies in the future")
    return found


def _rating(said: str, best: int) -> float:
    bare = re.fullmatch(r"\d{1,4}([.,]\d{1,6})?", said, re.ASCII)
    return values.rating(f"{said}/{best}" if bare and best != 5 else said)


def _id(item: Any, own: str, place: int, reading: Reading) -> str:
    """The tool's own id, else a digest of the item; the mark between keeps the two apart."""
    if own:
        return f"{reading.source}:{own}"
    written = json.dumps(item, sort_keys=True, ensure_ascii=True)
    told_apart = f"{reading.delivery}\0{place}\0" if reading.delivery else ""
    return f"{reading.source}#{hashlib.sha256((told_apart + written).encode()).hexdigest()}"


def _author(said: Mapping[str, str], reading: Reading) -> Author | None:
    handle = said.get("author") or said.get("author_name")
    if not handle:
        return None
    # A name is a tool's own: two surveys' "anna" may be two people.
    return Author(id=f"{reading.source}:{handle}", handle=handle, display_name=said.get("author_name") or None)


# --- JSON Pointers --------------------------------------------------------------------------------------------------


def _steps(pointer: str) -> list[str]:
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def _pointer(steps: Iterable[str | int]) -> str:
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def _at(data: Any, pointer: str) -> Any:
    """What stands there, or _MISSING."""
    for step in _steps(pointer):
        if isinstance(data, list) and step.isascii() and step.isdigit() and len(step) < 10 and int(step) < len(data):
            data = data[int(step)]
        elif isinstance(data, dict) and step in data:
            data = data[step]
        else:
            return _MISSING
    return data


def in_words(pointer: str) -> str:
    """A pointer for people: "answers › 1 › text", lists counted from 1."""
    steps = (str(int(step) + 1) if step.isascii() and step.isdigit() else step for step in _steps(pointer))
    return one_line(" › ".join(steps), 120)


# --- Guessing which part is what ------------------------------------------------------------------------------------


def guess(data: Any, each: str | None = None) -> Layout:
    """Which part is what, judged by their names; without a text where none looks like it. `each` where it is known."""
    each = _list_in(data) if each is None else each
    found = leaves(data, each)
    names = {one.pointer: _plain_name(_steps(one.pointer)) for one in found}
    by_depth = sorted(found, key=lambda one: one.pointer.count("/"))
    fields: dict[str, tuple[str, ...]] = {}
    taken: set[str] = set()
    for name in FIELDS:
        pointer = _named(name, by_depth, names, taken)
        if pointer is not None:
            fields[name] = (pointer,)
            taken.add(pointer)
    if "text" not in fields:
        wordy = max((one for one in found if one.pointer not in taken), key=_wordiness, default=None)
        if wordy is not None and _wordiness(wordy) > 0:
            fields = {"text": (wordy.pointer,), **fields}
    return Layout(each, fields)


def _named(name: str, found: Sequence[Leaf], names: Mapping[str, str], taken: set[str]) -> str | None:
    """The part whose name tells: the most telling name first, of several with it the one that lies least deep."""
    for alias in (*files.FIELDS[name][1], *_NAMES.get(name, ())):
        for one in found:
            if names[one.pointer] == alias and one.pointer not in taken and one.words and _may_be(name, alias, one):
                return one.pointer
    return None


def _may_be(name: str, alias: str, leaf: Leaf) -> bool:
    """An id of something inside, such as the form or one of its questions, is the same in every delivery."""
    steps = _steps(leaf.pointer)
    return name != "id" or (not any(step.isdigit() for step in steps) and (alias != "id" or len(steps) == 1))


def _plain_name(steps: Sequence[str]) -> str:
    """The last step that is no place in a list, as in `files`: createdAt, Created At and created_at are one."""
    name = next((step for step in reversed(steps) if not step.isdigit()), "")
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()).strip("_")


def _wordiness(leaf: Leaf) -> int:
    """How much it looks like what somebody wrote: words between blanks."""
    return 0 if re.match(r"https?://", leaf.words) else leaf.words.count(" ")


def _list_in(data: Any) -> str:
    if isinstance(data, dict):
        for name in _LISTS:
            inner = data.get(name)
            if isinstance(inner, list) and inner and all(isinstance(one, dict) for one in inner):
                return _pointer([name])
    return ""


def lists(data: Any) -> dict[str, int]:
    """Where lists of objects stand, none within another, and how many there are: any of them may be the items."""
    found: dict[str, int] = {}

    def look(value: Any, steps: tuple[str, ...]) -> None:
        if isinstance(value, dict) and len(steps) < _DEEPEST:
            for name, inner in value.items():
                look(inner, (*steps, name))
        elif steps and isinstance(value, list) and any(isinstance(one, dict) for one in value):
            found[_pointer(steps)] = len(value)

    look(data, ())
    return dict(list(found.items())[:_MOST_IN_LIST])


def pointer_of(named: str) -> str:
    """Where people say that something is, as a JSON Pointer: they may write form.answers. Raises Terminal."""
    named = named.strip()
    steps = [step.strip() for step in re.split(r"[.›]", named)]
    return _pointers("each", [named if named.startswith("/") else _pointer(steps)])[0] if named else ""


def leaves(data: Any, each: str = "") -> list[Leaf]:
    """The parts of the first items that hold words or numbers, in their order, each with the first words there."""
    found: dict[str, str] = {}
    listed = _at(data, each)
    for item in listed[:_MOST_IN_LIST] if isinstance(listed, list) else [listed]:
        for pointer, words in _walk(item, ()):
            if len(found) < _MOST_LEAVES or pointer in found:
                found[pointer] = found.get(pointer) or words
    return [Leaf(pointer, words) for pointer, words in found.items()]


def _walk(value: Any, steps: tuple[str | int, ...]) -> Iterator[tuple[str, str]]:
    inside: Iterable[tuple[str | int, Any]] = ()
    if isinstance(value, dict):
        inside = value.items()
    elif isinstance(value, list) and any(isinstance(one, dict | list) for one in value):
        inside = enumerate(value[:_MOST_IN_LIST])
    elif steps and value is not None and value is not _MISSING:
        yield _pointer(steps), one_line(value if isinstance(value, str) else json.dumps(value), 200)
    if len(steps) < _DEEPEST:
        for step, inner in inside:
            yield from _walk(inner, (*steps, step))


# --- Behind the contract --------------------------------------------------------------------------------------------


def open(account: Mapping[str, str], options: Options) -> Webhook:
    """A listener; there is no account to give. Raises Terminal for an option that cannot be understood."""
    return Webhook(options)


class Webhook:
    """Reads what was sent; it can ask nobody for more."""

    capability = CAPABILITY

    def __init__(self, options: Options) -> None:
        self._source = options.extra.get("source", "") or "webhook"
        given = options.extra.get("layout")
        stored = load(given.encode()) if given else None
        self._layout = layout_of(stored if isinstance(stored, dict) else {}) if given else None

    def check(self) -> Health:
        """There is nothing to ask."""
        return Health(True, "A webhook waits for what is sent to it.")

    def fetch(self, query: Query, cursor: Cursor) -> Iterator[Page]:
        """Raises Terminal: what a tool sends comes by itself."""
        raise Terminal("A webhook cannot be asked for news.", "Have the tool send to the address of the source.")

    def parse(self, answer: bytes) -> list[Post | Rejected]:
        """The items of one delivery; those without a date are of 1970. Raises Terminal for what is no JSON."""
        data = load(answer)
        undated = datetime(1970, 1, 1, tzinfo=UTC)
        return [one for _, one in read(data, Reading(self._layout or guess(data), self._source, undated))]
