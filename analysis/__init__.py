"""Text in, tags out: sentiment, intent, topics, language and an embedding from one pass of a small transformer.

A leaf: it imports no other room, reads no setting and knows no database. Importing it is cheap; the model's libraries
are imported when an analyser is opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from analysis.base import (
    Analyser,
    AnalysisError,
    HubModel,
    Intent,
    IntentScore,
    Rereads,
    Sentiment,
    SentimentScores,
    Tags,
    Topic,
    TopicScore,
)
from analysis.registry import BUILT_IN, names, opener

__all__ = [
    "Analyser",
    "AnalysisError",
    "HubModel",
    "Intent",
    "IntentScore",
    "Rereads",
    "Sentiment",
    "SentimentScores",
    "Tags",
    "Topic",
    "TopicScore",
    "analyser_names",
    "check_topics",
    "default_topics",
    "load_topics",
    "open_analyser",
    "parse_topics",
    "write_topics",
]


def analyser_names() -> list[str]:
    """The analysers that `open_analyser` knows: the built-in one and those that installed packages offer."""
    return names()


def default_topics() -> tuple[Topic, ...]:
    """The taxonomy that Samtal starts with, fit for any consumer brand."""
    from analysis import topics

    return topics.default_topics()


def load_topics(path: str | Path) -> tuple[Topic, ...]:
    """The topics of a taxonomy file, TOML or JSON, in its order. Raises AnalysisError that says what to change."""
    from analysis import topics

    return topics.load_topics(path)


def parse_topics(text: str, as_json: bool = False) -> tuple[Topic, ...]:
    """The topics of a taxonomy file's text, TOML or JSON. Raises AnalysisError that says what to change."""
    from analysis import topics

    return topics.parse_topics(text, as_json)


def write_topics(topics: Sequence[Topic]) -> str:
    """The text of a TOML file that `load_topics` and `--topics` read as these topics."""
    from analysis import topics as subject

    return subject.write_topics(topics)


def check_topics(topics: Sequence[Topic]) -> None:
    """Raises AnalysisError when `open_analyser` would refuse these topics; loads no model."""
    from analysis import topics as subject

    subject.check_topics(topics)


def open_analyser(
    topics: Sequence[Topic] | None = None,
    *,
    threads: int | None = None,
    name: str = BUILT_IN,
    sentiment: HubModel | None = None,
) -> Analyser:
    """Opens an analyser, which takes about a second and, once it reads, 230 MB; keep it and share it between threads.

    topics: the taxonomy; None takes `default_topics()`, an empty one tags no topics.
    threads: processor threads for one pass; None takes one per core.
    name: one of `analyser_names()`.
    sentiment: a checkpoint of the model hub that says the sentiment; where it cannot be used, the analyser named goes
    on alone and says why (see `analysis.hub`).
    Raises AnalysisError when the topics, the weights or the name cannot be used.
    """
    analyser = opener(name)(default_topics() if topics is None else topics, threads)
    if sentiment is None:
        return analyser
    from analysis import hub

    return hub.over(analyser, sentiment, threads)
