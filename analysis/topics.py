"""Topics: a taxonomy described in words, and how near each text comes to each of its topics."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.base import AnalysisError, Topic, TopicScore
from analysis.text import clean, mask

DEFAULT = Path(__file__).parent / "taxonomy.toml"

MOST_TOPICS = 3
"""A text is tagged with at most this many topics."""

MARGIN = 0.08
"""A second topic counts only when its cosine comes this close to the best one's."""

Floats = NDArray[np.float32]


def load_topics(path: str | Path) -> tuple[Topic, ...]:
    """The topics of a taxonomy file, TOML (`[[topic]]` tables) or JSON (`{"topic": [...]}`, or the list alone).

    Raises AnalysisError, which names the file, the topic and what to change.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise AnalysisError(f"cannot read the topics file {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise AnalysisError(f"the topics file {path} is not UTF-8 text; save it as UTF-8") from error
    try:
        content = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except (json.JSONDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        kind = "JSON" if path.suffix.lower() == ".json" else "TOML"
        raise AnalysisError(f"the topics file {path} is not valid {kind}: {error}") from error
    entries = content.get("topic", content.get("topics")) if isinstance(content, dict) else content
    if not isinstance(entries, list) or not entries:
        example = '{"topic": [{"name": "...", "phrases": ["...", ...]}]}'
        toml = 'each one is a [[topic]] with a name and phrases = ["...", ...]'
        shape = f"the file is {example}" if path.suffix.lower() == ".json" else toml
        raise AnalysisError(f"{path}: no topics found; {shape}")
    topics = tuple(_topic(entry, f"{path}: topic {number}") for number, entry in enumerate(entries, start=1))
    check_topics(topics, str(path))
    return topics


def _topic(entry: object, where: str) -> Topic:
    if not isinstance(entry, dict):
        raise AnalysisError(f"{where} is not a table with a name and phrases")
    name = entry.get("name")
    if not isinstance(name, str) or not name.strip():
        raise AnalysisError(f"{where} has no name")
    where = f"{where} ({name.strip()})"
    if unknown := sorted(set(entry) - {"name", "phrases", "examples"}):
        raise AnalysisError(f"{where} has the unknown key {unknown[0]!r}; known are name, phrases and examples")
    return Topic(name.strip(), _texts(entry, "phrases", where), _texts(entry, "examples", where))


def _texts(entry: dict[str, object], key: str, where: str) -> tuple[str, ...]:
    found = entry.get(key, [])
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise AnalysisError(
            f'{where}: {key} must be a list of texts, such as {key} = ["late parcel", "lost in the post"]'
        )
    return tuple(text for text in found if isinstance(text, str))


def check_topics(topics: Sequence[Topic], where: str = "topics") -> None:
    """Raises AnalysisError when two topics share a name, or when one has nothing that could be compared with a text."""
    names: set[str] = set()
    for topic in topics:
        if not topic.name.strip():
            raise AnalysisError(f"{where}: a topic has no name")
        if topic.name.casefold() in names:
            raise AnalysisError(f"{where}: two topics are named {topic.name!r}; merge them or rename one")
        names.add(topic.name.casefold())
        if not any(clean(text) for text in (*topic.phrases, *topic.examples)):
            raise AnalysisError(f"{where}: topic {topic.name!r} has no phrase; describe it in a few short ones")


def default_topics() -> tuple[Topic, ...]:
    """The taxonomy that Samtal starts with, fit for any consumer brand."""
    return load_topics(DEFAULT)


class Matcher:
    """Compares embeddings with a taxonomy.

    embed: texts to unit vectors [n, dimensions]; called once, with every phrase and example.
    threshold: the cosine below which a text is not about a topic.
    """

    def __init__(self, topics: Sequence[Topic], embed: Callable[[Sequence[str]], Floats], threshold: float) -> None:
        check_topics(topics)
        self._names = [topic.name for topic in topics]
        self._threshold = threshold
        described = [
            [prepared for text in (*topic.phrases, *topic.examples) if (prepared := mask(clean(text)))]
            for topic in topics
        ]
        self._vectors = embed([text for texts in described for text in texts])
        self._starts = np.cumsum([0, *(len(texts) for texts in described)])[:-1]

    def cosines(self, embeddings: Floats) -> Floats:
        """The cosine of each text with the nearest phrase or example of each topic, [texts, topics]."""
        near = np.maximum.reduceat(embeddings @ self._vectors.T, self._starts, axis=1)
        return np.asarray(near, np.float32)

    def scores(self, embeddings: Floats) -> list[tuple[TopicScore, ...]]:
        """The topics of each text, best first; none when no topic comes near enough."""
        if not self._names:
            return [()] * len(embeddings)
        tagged = []
        for cosines in self.cosines(embeddings):
            best = np.argsort(-cosines, kind="stable")[:MOST_TOPICS]
            least = max(self._threshold, float(cosines[best[0]]) - MARGIN)
            tagged.append(
                tuple(
                    TopicScore(self._names[number], round(min(float(cosines[number]), 1.0), 4))
                    for number in best
                    if cosines[number] >= least
                )
            )
        return tagged
