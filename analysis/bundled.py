"""The built-in analyser: an English encoder, and a multilingual one for everything else."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from copy import copy
from pathlib import Path

from analysis.base import Tags, Topic, TopicScore
from analysis.encoder import ENGLISH, MULTILINGUAL, WEIGHTS
from analysis.language import language_of
from analysis.tagger import Tagger
from analysis.text import clean, mask

READ_AS_ENGLISH = "en"
"""What the English encoder reads. A text whose language cannot be told is read by the multilingual one: it knows
English, too, and the English one knows nothing else."""


class Bundled:
    """An `Analyser` (see analysis.base) that needs no network and no key. One pass over each text.

    The multilingual encoder is loaded when the first text comes that is for it.

    topics: the taxonomy, described in words. threads: see `Encoder`.
    Raises AnalysisError when the weights or the taxonomy cannot be used.
    """

    def __init__(self, topics: Sequence[Topic], threads: int | None = None, weights: Path = WEIGHTS) -> None:
        self._topics = tuple(topics)
        self._threads = threads
        self._weights = weights
        self._english = Tagger(topics, threads, weights / ENGLISH)
        self._many = _Shared()

    @property
    def model(self) -> str:
        """Name and version of the weights."""
        return self._english.model

    def tags(self, texts: Sequence[str]) -> list[Tags]:
        """Tags for each text, in order. Texts that differ only in blanks, user names or links are read once.

        Never raises on a text, however long or odd; one with nothing to read is neutral, "other" and "und".
        """
        prepared = [mask(clean(text)) for text in texts]
        fresh = {text: language_of(text) for text in dict.fromkeys(prepared)}
        known: dict[str, Tags] = {}
        for tagger, some in self._shared_out(fresh):
            known.update(zip(some, tagger.tags(some, [fresh[text] for text in some]), strict=True))
        return [known[text] for text in prepared]

    def _shared_out(self, languages: dict[str, str]) -> list[tuple[Tagger, list[str]]]:
        """Which tagger reads which texts."""
        english = [text for text, code in languages.items() if _is_english(text, code)]
        others = [text for text, code in languages.items() if not _is_english(text, code)]
        found = [(self._english, english)] if english else []
        return [*found, (self._multilingual(), others)] if others else found

    def _multilingual(self) -> Tagger:
        return self._many.tagger(self._topics, self._threads, self._weights / MULTILINGUAL)

    def with_topics(self, topics: Sequence[Topic]) -> Bundled:
        """The same weights under another taxonomy; only phrases that are new are read. Raises AnalysisError."""
        other = copy(self)
        other._topics = tuple(topics)
        other._english = self._english.with_topics(topics)
        other._many = self._many.with_topics(topics)
        return other

    def topics(self, embeddings: Sequence[bytes], languages: Sequence[str]) -> list[tuple[TopicScore, ...]]:
        """The topics of each text from its stored embedding and language; none for b"", a text with no words."""
        found: list[tuple[TopicScore, ...]] = [()] * len(embeddings)
        rows = [number for number, packed in enumerate(embeddings) if packed]
        english = [number for number in rows if languages[number] == READ_AS_ENGLISH]
        others = [number for number in rows if languages[number] != READ_AS_ENGLISH]
        for tagger, some in ((self._english, english), (self._multilingual() if others else None, others)):
            if tagger is not None:
                for number, topics in zip(some, tagger.topics([embeddings[one] for one in some]), strict=True):
                    found[number] = topics
        return found


def _is_english(text: str, code: str) -> bool:
    """Whether the English encoder reads it; so it does where there is nothing to read, to spare loading the other."""
    return code == READ_AS_ENGLISH or not text


class _Shared:
    """The multilingual tagger, loaded once by whichever thread needs it first."""

    def __init__(self, tagger: Tagger | None = None) -> None:
        self._tagger = tagger
        self._loading = threading.Lock()

    def tagger(self, topics: Sequence[Topic], threads: int | None, weights: Path) -> Tagger:
        with self._loading:
            if self._tagger is None:
                self._tagger = Tagger(topics, threads, weights)
            return self._tagger

    def with_topics(self, topics: Sequence[Topic]) -> _Shared:
        with self._loading:
            return _Shared(self._tagger and self._tagger.with_topics(topics))
