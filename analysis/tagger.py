"""One encoder with what was calibrated for it: one pass gives every tag."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis import calibration
from analysis.base import Intent, IntentScore, Sentiment, SentimentScores, Tags, Topic, TopicScore
from analysis.calibration import INTENTS, features, softmax
from analysis.encoder import DIMENSIONS, Encoder
from analysis.language import UNKNOWN
from analysis.topics import Matcher

Floats = NDArray[np.float32]
SENTIMENTS = (Sentiment.NEGATIVE, Sentiment.NEUTRAL, Sentiment.POSITIVE)

CHUNK = 4_096
"""How many texts are read before their embeddings are packed, so that a million texts do not hold gigabytes."""


class Tagger:
    """Tags prepared texts. Safe to use from several threads.

    topics: the taxonomy, described in words. threads: see `Encoder`. weights: the folder of one encoder.
    Raises AnalysisError when the weights or the taxonomy cannot be used.
    """

    def __init__(self, topics: Sequence[Topic], threads: int | None, weights: Path) -> None:
        self._calibration = calibration.load(weights)
        self._encoder = Encoder(threads, weights)
        self._matcher = Matcher(
            topics, lambda texts: self._encoder.read(texts).embedding, self._calibration.topic_threshold
        )

    @property
    def model(self) -> str:
        """Name and version of the weights."""
        return self._calibration.model

    def with_topics(self, topics: Sequence[Topic]) -> Tagger:
        """The same weights under another taxonomy; only phrases that are new are read. Raises AnalysisError."""
        other = copy(self)
        other._matcher = self._matcher.with_topics(topics)
        return other

    def topics(self, embeddings: Sequence[bytes]) -> list[tuple[TopicScore, ...]]:
        """The topics of each text from its stored embedding, in order; none for b"", as for a text with no words."""
        read = [number for number, packed in enumerate(embeddings) if packed]
        found: list[tuple[TopicScore, ...]] = [()] * len(embeddings)
        packed = np.frombuffer(b"".join(embeddings[number] for number in read), "<f2")
        vectors = packed.reshape(len(read), DIMENSIONS).astype(np.float32)
        for number, topics in zip(read, self._matcher.scores(vectors), strict=True):
            found[number] = topics
        return found

    def tags(self, texts: Sequence[str], languages: Sequence[str]) -> list[Tags]:
        """Tags for each text, in order; texts are cleaned and masked, and `languages` says what each is in.

        A text with nothing to read is neutral and "other".
        """
        found = [self._blank()] * len(texts)
        readable = [number for number, text in enumerate(texts) if text]
        for start in range(0, len(readable), CHUNK):
            rows = readable[start : start + CHUNK]
            read = self._read([texts[row] for row in rows], [languages[row] for row in rows])
            for row, tags in zip(rows, read, strict=True):
                found[row] = tags
        return found

    def _read(self, texts: Sequence[str], languages: Sequence[str]) -> list[Tags]:
        reading = self._encoder.read(texts)
        fitted = self._calibration
        # In float64, so that the three sum to 1 as closely as anybody will check.
        moods = calibration.moods(reading.sentiment, fitted.mood_bias, fitted.temperature).astype(np.float64)
        moods /= moods.sum(axis=1, keepdims=True)
        intents = self.intent_probabilities(features(reading, fitted.intent_center))
        packed = reading.embedding.astype("<f2")
        # As it is stored, so that `topics` finds the very same when the taxonomy changes.
        topics = self._matcher.scores(packed.astype(np.float32))
        return [
            Tags(
                language=language,
                sentiment=SentimentScores(SENTIMENTS[int(np.argmax(mood))], *(float(share) for share in mood)),
                intent=self._intent(intent),
                topics=found,
                embedding=vector.tobytes(),
                model=fitted.model,
            )
            for language, mood, intent, found, vector in zip(languages, moods, intents, topics, packed, strict=True)
        ]

    def intent_probabilities(self, read: Floats) -> Floats:
        """The probability of each of `calibration.INTENTS` for `calibration.features`, [n, 5]."""
        fitted = self._calibration
        return softmax(np.asarray(read @ fitted.intent_weight + fitted.intent_bias, np.float32))

    def _intent(self, probabilities: Floats) -> IntentScore:
        best = int(np.argmax(probabilities))
        if INTENTS[best] is not Intent.OTHER and probabilities[best] < self._calibration.intent_threshold:
            best = INTENTS.index(Intent.OTHER)
        return IntentScore(INTENTS[best], round(float(probabilities[best]), 4))

    def _blank(self) -> Tags:
        """What is said of a text that holds nothing to read."""
        return Tags(
            language=UNKNOWN,
            sentiment=SentimentScores(Sentiment.NEUTRAL, 0.0, 1.0, 0.0),
            intent=IntentScore(Intent.OTHER, 1.0),
            topics=(),
            embedding=b"",
            model=self._calibration.model,
        )
