"""An analyser that reads bags of words: texts are as near as the words that they share. Counts what it had to read."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

import numpy as np

from analysis.base import Intent, IntentScore, Sentiment, SentimentScores, Tags, Topic, TopicScore
from analysis.topics import Floats, Matcher

DIMENSIONS = 384
THRESHOLD = 0.45


def embed(texts: Sequence[str]) -> Floats:
    """Unit vectors [n, 384]; a word is a direction."""
    vectors = np.zeros((len(texts), DIMENSIONS), np.float32)
    for row, text in zip(vectors, texts, strict=True):
        for word in re.findall(r"\w+", text.casefold()):
            row[zlib.crc32(word.encode()) % DIMENSIONS] += 1
        row /= max(float(np.linalg.norm(row)), 1e-6)
    return vectors


class Bag:
    """Has every power; `read` is shared with the analysers made of it by `with_topics`."""

    model = "bag 1"

    def __init__(self, topics: Sequence[Topic], read: list[str] | None = None, matcher: Matcher | None = None) -> None:
        self.read: list[str] = [] if read is None else read
        self._matcher = matcher or Matcher(topics, embed, THRESHOLD)

    def with_topics(self, topics: Sequence[Topic]) -> Bag:
        return Bag(topics, self.read, self._matcher.with_topics(topics))

    def topics(self, embeddings: Sequence[bytes], languages: Sequence[str]) -> list[tuple[TopicScore, ...]]:
        found: list[tuple[TopicScore, ...]] = []
        for packed in embeddings:
            vectors = np.frombuffer(packed, "<f2").astype(np.float32).reshape(-1, DIMENSIONS)
            found += self._matcher.scores(vectors) or [()]
        return found

    def tags(self, texts: Sequence[str]) -> list[Tags]:
        self.read += texts
        said = []
        for text in texts:
            packed = embed([text])[0].astype("<f2").tobytes()
            mood = SentimentScores(Sentiment.NEUTRAL, 0.1, 0.8, 0.1)
            said.append(
                Tags("en", mood, IntentScore(Intent.OTHER, 0.9), self.topics([packed], ["en"])[0], packed, self.model)
            )
        return said
