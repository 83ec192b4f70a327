"""A fortnight of an invented bicycle brand, Halvora: what people said, what was answered, what it led to.

`tell(now)` is deterministic: the same texts by the same people at the same distance from `now`.
"""

from __future__ import annotations

import random
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

DAYS = 14
REVIEWED = ("file",)
"""What stands on these are reviews, with a rating; nobody asks or is answered there."""
PLATFORMS = ("bluesky", "reddit", "x", *REVIEWED)
BRAND = "Halvora"
OUR_ID = "halvora"

_FOLDER = Path(__file__).parent
_SLOTS = {
    "model": ("Lark", "Lark", "Tern", "Plover", "Heron"),
    "city": ("Bergen", "Utrecht", "Ghent", "Leeds", "Graz", "Malmö", "Bremen", "Nantes", "Turku", "Porto"),
    "part": ("rack", "child seat", "battery", "mudguard", "charger", "lock", "front basket", "motor"),
    "day": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"),
    "month": ("March", "May", "June", "August", "September"),
    "n": ("2", "3", "4", "5", "6"),
}
_OPENERS = ("", "", "", "", "", "Hm. ", "So. ", "Honest question: ", "Well, ", "Right then: ")
_CLOSERS = ("", "", "", "", " @halvora", " #halvora", " 🚲", " Anyone else?", "")
_HOURS = (1, 1, 0, 0, 0, 1, 3, 7, 9, 8, 7, 7, 8, 7, 6, 6, 7, 9, 10, 10, 9, 7, 5, 2)
"""How much is said in each hour of a day."""
_ANSWERED = 0.7
"""The share of what could be answered that was."""
_STRIKE = (4.2, 2.6)
"""The carrier's strike, in days before now: the fortnight's spike."""


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was said. `handle` is OUR_ID for the company's own answers."""

    key: str
    platform: str
    thread: str
    name: str
    handle: str
    text: str
    at: datetime
    rating: float | None = None


@dataclass(frozen=True, slots=True)
class Idea:
    """A feedback item and the words by which the mentions behind it are known."""

    title: str
    kind: str
    state: str
    reason: str
    match: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Story:
    """Everything, oldest first. regulars: handles of those who come back; memos: handle to what to remember."""

    lines: tuple[Line, ...]
    ideas: tuple[Idea, ...]
    regulars: tuple[str, ...]
    memos: dict[str, str]


def tell(now: datetime) -> Story:
    """The fortnight that ends at `now` (UTC-aware)."""
    chance = random.Random(1893)
    told = tomllib.loads((_FOLDER / "threads.toml").read_text("utf-8"))
    lines = [*_threads(told["person"], now), *_singles(chance, now), *_strike(chance, now)]
    return Story(
        tuple(sorted(lines, key=lambda line: (line.at, line.key))),
        tuple(Idea(i["title"], i["kind"], i["state"], i["reason"], tuple(i["match"])) for i in told["feedback"]),
        tuple(person["handle"] for person in told["person"]),
        {person["handle"]: person["memo"] for person in told["person"] if "memo" in person},
    )


def _threads(people: list[dict[str, object]], now: datetime) -> Iterator[Line]:
    chance = random.Random(7)
    for person in people:
        for number, thread in enumerate(person["thread"]):  # type: ignore[arg-type, var-annotated]
            root = f"{person['handle']}-{number}"
            at = now - timedelta(days=thread["days"])
            for step, text in enumerate(thread["lines"]):
                name, handle = str(person["name"]), str(person["handle"])
                if text.startswith("us: "):
                    name, handle = BRAND, OUR_ID
                elif text.startswith("other: "):
                    name, handle = _somebody(chance)
                words = text.removeprefix("us: ").removeprefix("other: ")
                rating = thread.get("rating") if step == 0 else None
                yield Line(f"{root}-{step}", thread["platform"], f"{root}-0", name, handle, words, at, rating)
                # The next line comes within hours, and always before now.
                at += min(timedelta(minutes=chance.randint(12, 300)), (now - at) / 3)


def _singles(chance: random.Random, now: datetime) -> Iterator[Line]:
    templates = [line.split(" ", 2) for line in _texts("singles.txt")]
    spoken = [(group, mood, text) for group, mood, text in templates for _ in range(min(3, 1 + text.count("{")))]
    spoken += [(group, mood, text) for group, mood, text in templates if "{" not in text]
    answers = _answers()
    said: set[str] = set()
    for number, (group, mood, template) in enumerate(spoken):
        at = _moment(chance, now, timedelta(days=DAYS))
        line = _single(f"s{number}", _say(template, said, chance), mood, at, chance)
        yield line
        yield from _answer(line, answers.get((group, mood), ()), now, chance)


def _strike(chance: random.Random, now: datetime) -> Iterator[Line]:
    templates = [line.split(" ", 1) for line in _texts("spike.txt")]
    begin, end = (now - timedelta(days=days) for days in _STRIKE)
    said: set[str] = set()
    answers = _answers()
    for number, (mood, template) in enumerate(templates * 3):
        at = begin + (end - begin) * chance.triangular(0, 1, 0.35)
        line = _single(f"k{number}", _say(template, said, chance), mood, at, chance)
        yield line
        yield from _answer(line, answers.get(("delivery", mood), ()), now, chance)


def _answer(line: Line, answers: Sequence[str], now: datetime, chance: random.Random) -> Iterator[Line]:
    """The company's answer, to two questions or complaints in three and now and then to praise."""
    if not answers or line.platform in REVIEWED or chance.random() > _ANSWERED:
        return
    at = line.at + timedelta(minutes=chance.triangular(8, 600, 60))
    if at < now - timedelta(hours=2):
        yield Line(f"{line.key}-us", line.platform, line.thread, BRAND, OUR_ID, chance.choice(answers), at)


def _answers() -> dict[tuple[str, str], list[str]]:
    found: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for group, mood, text in (line.split(" ", 2) for line in _texts("answers.txt")):
        found[group, mood].append(text)
    return found


def _say(template: str, said: set[str], chance: random.Random) -> str:
    """The template filled in, as nobody has said it yet."""
    text = _fill(template, chance)
    while text in said:
        text = chance.choice(_OPENERS) + _fill(template, chance) + chance.choice(_CLOSERS)
    said.add(text)
    return text


def _single(key: str, text: str, mood: str, at: datetime, chance: random.Random) -> Line:
    platform = chance.choices(PLATFORMS, weights=(5, 4, 4, 3))[0]
    if mood == "?" and platform in REVIEWED:
        platform = "bluesky"  # nobody asks a question in a review
    name, handle = _somebody(chance)
    rating = None
    if platform in REVIEWED:
        rating = float({"-": chance.choice((1, 2)), "+": chance.choice((4, 5))}.get(mood, 3))
    return Line(key, platform, key, name, handle, text, at, rating)


def _somebody(chance: random.Random) -> tuple[str, str]:
    given, family = (chance.choice(names.split()) for names in _texts("names.txt"))
    return f"{given} {family}", f"{given}{family}".lower()


def _fill(template: str, chance: random.Random) -> str:
    return template.format(**{slot: chance.choice(values) for slot, values in _SLOTS.items()})


def _moment(chance: random.Random, now: datetime, span: timedelta) -> datetime:
    """A moment before `now`, more often at hours when people are awake."""
    while True:
        at = now - span * chance.random()
        if chance.random() * max(_HOURS) <= _HOURS[at.hour]:
            return at


@cache
def _texts(name: str) -> list[str]:
    lines = (_FOLDER / name).read_text("utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]
