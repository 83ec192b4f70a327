"""Suggestions for the taxonomy, from what people wrote where that may teach, and what in it clashes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

from analysis import phrases
from analysis.phrases import Spoken, Suggestion
from db import tags
from db import topics as rows
from db.tags import Embedded
from dialogue import platforms, retagging, understanding
from dialogue.context import Context

SEEN = 5_000
"""The newest mentions that suggestions come from."""
OVERLAP = 0.4
"""Two topics overlap when so large a share of the rarer one's mentions has the other, too,"""
OVERLAP_AT_LEAST = 5
"""and at least so many."""


def suggest(ctx: Context, payload: dict[str, Any], progress: Callable[..., None]) -> dict[str, Any]:
    """Phrases that topics lack, phrases of mentions without any topic, and conflicts; changes nothing.

    The result: read (mentions looked at), topics: {name: [{"phrase", "people", "texts", "ids"}]}, without (such a list
    for mentions that have no topic), clashes (as in `retagging.preview`), overlaps (see below).
    """
    progress(0, None, "Reading the phrases")
    with ctx.database.reading() as tx:
        taxonomy = understanding.learned(tx)
        seen = tags.embedded(tx, SEEN)
        written = rows.spoken(tx, [one.id for one in seen], platforms.trainable())
        alone, pairs = rows.together(tx, [one.id for one in seen])
    analyser, _ = retagging.opened(taxonomy)
    progress(0, None, "Looking for phrases that people use")
    usable = [one for one in retagging.read_by(analyser, seen) if one.id in written and one.embedding]
    typical = _typical_scores(usable)
    spoken = [
        Spoken(
            text=written[one.id].text,
            voice=written[one.id].identity_id or -one.id,
            topics=_sure(one, typical),
            about_something=bool(one.shown),
            embedding=one.embedding,
        )
        for one in usable
    ]
    by_topic, without = phrases.suggest(analyser, taxonomy, spoken)
    return {
        "read": len(usable),
        "topics": {name: _as_json(found, usable) for name, found in by_topic.items() if found},
        "without": _as_json(without, usable),
        "clashes": retagging.clashes(analyser, taxonomy),
        "overlaps": overlaps(alone, pairs),
        "words": "This is what the mentions suggest.",
    }


def _typical_scores(seen: Sequence[Embedded]) -> dict[str, float]:
    """The score in the middle of those that each topic has where it is the best one."""
    scores: defaultdict[str, list[float]] = defaultdict(list)
    for one in seen:
        for name, score in one.topics[:1]:
            scores[name].append(score)
    return {name: median(found) for name, found in scores.items()}


def _sure(one: Embedded, typical: Mapping[str, float]) -> tuple[str, ...]:
    """The topics that a suggestion may rest on: those that people named, else the best one where its score is high."""
    if one.corrected is not None:
        return one.corrected
    return tuple(name for name, score in one.topics[:1] if score >= typical[name] and name in one.shown)


def _as_json(found: Sequence[Suggestion], seen: Sequence[Embedded]) -> list[dict[str, Any]]:
    return [
        {"phrase": one.phrase, "people": one.people, "texts": one.texts, "ids": [seen[place].id for place in one.where]}
        for one in found
    ]


def overlaps(alone: Mapping[str, int], pairs: Mapping[tuple[str, str], int]) -> list[list[Any]]:
    """Topics that mostly come together: [topic, topic, mentions with both, mentions of the rarer one], worst first."""
    found = [
        [one, other, both, min(alone[one], alone[other])]
        for (one, other), both in pairs.items()
        if both >= OVERLAP_AT_LEAST and both >= OVERLAP * min(alone[one], alone[other])
    ]
    return sorted(found, key=lambda pair: (-pair[2] / pair[3], -pair[2], pair[0]))
