"""The texts whose intent people labelled: written ones, and public posts by line number (docs/intents.md)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from analysis.base import Intent
from analysis.text import clean, mask
from analysis.training import corpus

HERE = Path(__file__).parent

NEVER_LEARNED = "tweets-en/val"
"""Sentiment is measured on these: a network that had learned which of them complain would be measured too well."""


@dataclass(frozen=True, slots=True)
class Mention:
    """A written example: what its author wants, and which default topics it is about."""

    text: str
    intent: Intent
    topics: frozenset[str]


def written_mentions(name: str = "mentions.tsv") -> list[Mention]:
    """The mentions written for this project: intent, topics (";" between them), text."""
    found = []
    for line in (HERE / name).read_text(encoding="utf-8").splitlines():
        intent, topics, text = line.split("\t")
        found.append(Mention(mask(clean(text)), Intent(intent), frozenset(filter(None, topics.split(";")))))
    return found


def labelled_once(data: Path) -> tuple[list[str], list[Intent]]:
    """Validation tweets and Reddit comments whose intent was labelled once, by hand, as line numbers and labels."""
    return _posts(data, _rows("intent_labels.tsv"))


def labelled_twice(data: Path, part: str) -> tuple[list[str], list[Intent]]:
    """Posts whose intent was labelled in two independent passes (docs/intents.md), `part` "fit" or "held" (out)."""
    return _posts(data, [_decided(row) for row in _rows("intent_passes.tsv") if row[-1] == part])


def learned(data: Path) -> tuple[list[str], list[Intent]]:
    """All that a network may learn intents from."""
    written = written_mentions()
    texts, intents = _to_fit_on(data, lambda name: name != NEVER_LEARNED)
    return [mention.text for mention in written] + texts, [mention.intent for mention in written] + intents


def kept_back(data: Path) -> tuple[list[str], list[Intent]]:
    """Those that no network has learned and that are not held out: what comes after the network is fitted on them."""
    return _to_fit_on(data, lambda name: name == NEVER_LEARNED)


def _to_fit_on(data: Path, wanted: Callable[[str], bool]) -> tuple[list[str], list[Intent]]:
    """The posts of the files that are `wanted`, without those that say the same as one which is held out."""
    rows = _rows("intent_labels.tsv") + [_decided(row) for row in _rows("intent_passes.tsv") if row[-1] == "fit"]
    held = {text.casefold() for text in labelled_twice(data, "held")[0]}
    texts, intents = _posts(data, [row for row in rows if wanted(row[0])])
    kept = [number for number, text in enumerate(texts) if text.casefold() not in held]
    return [texts[number] for number in kept], [intents[number] for number in kept]


def _rows(name: str) -> list[list[str]]:
    return [line.split("\t") for line in (HERE / name).read_text(encoding="utf-8").splitlines()]


def _decided(row: list[str]) -> list[str]:
    """File, line number and intent of a text that was labelled twice."""
    name, number, _first, _second, intent, _part = row
    return [name, number, intent]


def _posts(data: Path, rows: list[list[str]]) -> tuple[list[str], list[Intent]]:
    source = {
        "tweets-en/val": corpus.tweets(data, "val").texts,
        "tweets-en/train": corpus.tweets(data, "train").texts,
        "emotions/dev": corpus.reddit_comments(data, "dev"),
        "emotions/train": corpus.reddit_comments(data, "train"),
        "banking77/test": corpus.bank_questions(data, "test")[0],
    }
    return [source[name][int(number) - 1] for name, number, _ in rows], [Intent(intent) for *_, intent in rows]


def written_in(language: str) -> list[Mention]:
    """The mentions written for this project in another language: used to measure only."""
    found = []
    for line in (HERE / "mentions_multilingual.tsv").read_text(encoding="utf-8").splitlines():
        code, intent, topics, text = line.split("\t")
        if code == language:
            found.append(Mention(mask(clean(text)), Intent(intent), frozenset(filter(None, topics.split(";")))))
    return found


WRITTEN_LANGUAGES = ("ar", "de", "es", "fr", "hi", "it", "pt")
