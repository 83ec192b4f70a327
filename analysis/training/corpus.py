"""The labelled and unlabelled texts that training and its figures use, read from the research sets as published."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

from analysis.base import AnalysisError
from analysis.text import clean, mask


@dataclass(frozen=True, slots=True)
class Labelled:
    """Texts as the encoder sees them and one class number each."""

    texts: list[str]
    labels: list[int]


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise AnalysisError(
            f"cannot read the training data {path}: {error.strerror}; give its folder with --data"
        ) from error
    # Only "\n" ends a line here: tweets hold U+2028 and other characters that str.splitlines would split at.
    return text.removesuffix("\n").split("\n")


def tweets(data: Path, split: str) -> Labelled:
    """SemEval 2013-2017 tweets, `split` "train" or "val": 0 negative, 1 neutral, 2 positive."""
    folder = data / "sentiment" / "tweets-en"
    texts = [mask(clean(line)) for line in _lines(folder / f"{split}_text.txt")]
    labels = [int(line) for line in _lines(folder / f"{split}_labels.txt")]
    if len(texts) != len(labels):
        raise AnalysisError(f"{folder}: {len(texts)} texts but {len(labels)} labels in the {split} split")
    return Labelled(texts, labels)


LANGUAGES = {
    "ar": "arabic",
    "de": "german",
    "en": "english",
    "es": "spanish",
    "fr": "french",
    "hi": "hindi",
    "it": "italian",
    "pt": "portuguese",
}
"""UMSAB's languages, by ISO 639-1 code, and their folders."""


def umsab(data: Path, language: str, split: str) -> Labelled:
    """Tweets in one of `LANGUAGES`, `split` "train" or "val": 0 negative, 1 neutral, 2 positive, as many of each.

    Nothing that is in the validation split of the English tweets or of UMSAB is in a training split.
    """
    found = _umsab(data, language, split)
    return without_overlap(data, found) if split == "train" else found


def _umsab(data: Path, language: str, split: str) -> Labelled:
    folder = data / "sentiment" / "umsab" / LANGUAGES[language]
    texts = [mask(clean(line)) for line in _lines(folder / f"{split}_text.txt")]
    labels = [int(line) for line in _lines(folder / f"{split}_labels.txt")]
    if len(texts) != len(labels):
        raise AnalysisError(f"{folder}: {len(texts)} texts but {len(labels)} labels in the {split} split")
    return Labelled(texts, labels)


def without_overlap(data: Path, training: Labelled) -> Labelled:
    """`training` without the texts of any validation split; UMSAB's English tweets come from the same source."""
    held_out = {text.casefold() for text in tweets(data, "val").texts}
    for language in LANGUAGES:
        held_out |= {text.casefold() for text in _umsab(data, language, "val").texts}
    kept = [number for number, text in enumerate(training.texts) if text.casefold() not in held_out]
    return Labelled([training.texts[number] for number in kept], [training.labels[number] for number in kept])


def reddit_comments(data: Path, split: str = "train") -> list[str]:
    """GoEmotions' comments without their labels, `split` "train" or "dev"."""
    path = data / "emotions" / "data" / "original" / f"{split}.tsv"
    return [mask(clean(line.split("\t")[0])) for line in _lines(path)]


_MEANS = {
    "question": ("curiosity", "confusion"),
    "complaint": ("annoyance", "disappointment", "disgust", "anger", "disapproval"),
    "praise": ("admiration", "gratitude", "love"),
    "idea": ("desire",),
    "other": ("neutral",),
}


def comments_by_emotion(data: Path) -> dict[str, list[str]]:
    """GoEmotions' training comments with one emotion each, under the intent that this emotion most often goes with."""
    folder = data / "emotions" / "data" / "original"
    emotions = _lines(folder / "labels.txt")
    intent_of = {str(emotions.index(name)): intent for intent, group in _MEANS.items() for name in group}
    found: dict[str, list[str]] = {intent: [] for intent in _MEANS}
    for line in _lines(folder / "train.tsv"):
        text, emotion, _ = line.split("\t")
        if emotion in intent_of:
            found[intent_of[emotion]].append(mask(clean(text)))
    return found


def bank_questions(data: Path, split: str) -> tuple[list[str], list[str]]:
    """banking77's questions and the names of their 77 intents, `split` "train" or "test"."""
    path = data / "intents" / "banking77" / f"{split}.csv"
    rows = list(csv.DictReader(_lines(path)))
    return [mask(clean(row["text"])) for row in rows], [row["category"] for row in rows]


def assistant_requests(data: Path, split: str) -> tuple[list[str], list[str]]:
    """clinc150's requests and the names of their ten domains, `split` "train", "val", "test" or "oos_..."."""
    folder = data / "intents" / "clinc150"
    rows = json.loads("\n".join(_lines(folder / "data_full.json")))[split]
    domains = json.loads("\n".join(_lines(folder / "domains.json")))
    domain_of = {intent: domain for domain, intents in domains.items() for intent in intents} | {"oos": "oos"}
    return [mask(clean(text)) for text, _ in rows], [domain_of[intent] for _, intent in rows]
