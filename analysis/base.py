"""The contract of the analysis room: text in, tags out. Knows no database, no platform and no setting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

KNOWN_LANGUAGES = frozenset({"ar", "de", "en", "es", "fr", "it", "pt"})
"""ISO 639-1 codes of what the bundled model was shown to read; docs/model.md has its figures in other languages."""


class Sentiment(StrEnum):
    """How the writer feels about what they write of."""

    NEGATIVE = "negative"
    NEUTRAL = "neutral"
    POSITIVE = "positive"


class Intent(StrEnum):
    """What the writer wants from whoever reads it."""

    QUESTION = "question"
    COMPLAINT = "complaint"
    PRAISE = "praise"
    IDEA = "idea"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class SentimentScores:
    """The most likely sentiment and the probability of each of the three; they sum to 1."""

    label: Sentiment
    negative: float
    neutral: float
    positive: float


@dataclass(frozen=True, slots=True)
class IntentScore:
    """The chosen intent and its score, 0 to 1."""

    label: Intent
    score: float


@dataclass(frozen=True, slots=True)
class TopicScore:
    """One topic that a text is about and how near it is, 0 to 1."""

    name: str
    score: float


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic of the taxonomy, described in words.

    The best of `phrases` counts, not their average; `examples` are texts that people confirmed. `counterexamples` are
    texts from which people took the topic away: what is nearer to one of them is not about the topic.
    """

    name: str
    phrases: tuple[str, ...]
    examples: tuple[str, ...] = ()
    counterexamples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tags:
    """Everything one encoder pass says about one text.

    language: ISO 639-1 code, or "und" when it cannot be told.
    topics: best first, empty when nothing reaches the 'other' threshold.
    embedding: `dimensions` little-endian float16 values, unit length; b"" for a text with nothing to read.
    model: name and version of what made these tags.
    """

    language: str
    sentiment: SentimentScores
    intent: IntentScore
    topics: tuple[TopicScore, ...]
    embedding: bytes
    model: str


BESIDE = ", sentiment "
"""In the name of a model, between what made everything else and the checkpoint that said the sentiment."""


@dataclass(frozen=True, slots=True)
class HubModel:
    """A sequence classification checkpoint that says the sentiment in the bundled model's place; see analysis.hub.

    checkpoint: a hub id such as "name/model", or a folder.
    revision: branch, tag or commit of a hub id; None takes the default branch.
    labels: "theirs=negative,theirs=neutral,…" where the checkpoint's own labels do not say what they mean.
    """

    checkpoint: str
    revision: str | None = None
    labels: str | None = None


class AnalysisError(Exception):
    """The analysis room could not do what was asked; the message says what to do."""


class Analyser(Protocol):
    """Reads texts."""

    @property
    def model(self) -> str:
        """Name and version, stored with every tag."""

    def tags(self, texts: Sequence[str]) -> list[Tags]:
        """Tags for each text, in order. Equal texts are read once. Never raises on a text, however odd it is."""


@runtime_checkable
class Rereads(Protocol):
    """An optional power of an analyser: topics from embeddings that it made before, with no pass over the text."""

    def topics(self, embeddings: Sequence[bytes], languages: Sequence[str]) -> list[tuple[TopicScore, ...]]:
        """The topics of each text, as `tags` would give them, from its `Tags.embedding` and `Tags.language` by the same
        `model`."""

    def with_topics(self, topics: Sequence[Topic]) -> Analyser:
        """The same analyser under another taxonomy, in milliseconds: it reads only phrases that are new to it.

        Raises AnalysisError when the taxonomy cannot be used.
        """
