"""Does the embedding still serve topics? The same measurements on any encoder, so that two can be compared."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from analysis.base import Topic
from analysis.calibration import Floats
from analysis.topics import Matcher
from analysis.training import corpus

Embed = Callable[[Sequence[str]], Floats]
SEED = 7


def domains(data: Path) -> list[Topic]:
    """clinc150's ten domains, each described by its name and the names of its fifteen intents."""
    named = json.loads((data / "intents" / "clinc150" / "domains.json").read_text(encoding="utf-8"))
    return [
        Topic(name, tuple(phrase.replace("_", " ") for phrase in (name, *intents))) for name, intents in named.items()
    ]


def topic_figures(data: Path, embed: Embed) -> dict[str, float]:
    """Percentages, none of them trained for.

    domains: clinc150 validation requests put under the right one of ten domains by phrases alone.
    rejected: clinc150 out-of-scope requests turned away by the threshold that loses 10 % of those in scope.
    intents_0, intents_5: banking77 test questions put under the right one of 77 intents by its name alone, and by its
    name and five examples.
    """
    topics = domains(data)
    texts, gold = corpus.assistant_requests(data, "val")
    matcher = Matcher(topics, embed, 0.0)
    near = matcher.cosines(embed(texts))
    right = np.asarray([topics[number].name for number in near.argmax(1)]) == np.asarray(gold)
    strange = matcher.cosines(embed(corpus.assistant_requests(data, "oos_val")[0])).max(1)
    figures = {
        "domains": 100 * float(right.mean()),
        "rejected": 100 * float((strange < np.quantile(near.max(1), 0.1)).mean()),
    }

    chance = random.Random(SEED)
    examples: dict[str, list[str]] = {}
    for text, intent in zip(*corpus.bank_questions(data, "train"), strict=True):
        examples.setdefault(intent, []).append(text)
    texts, gold = corpus.bank_questions(data, "test")
    read = embed(texts)
    for shots in (0, 5):
        intents = [
            Topic(name, (name.replace("_", " "),), tuple(chance.sample(known, shots)))
            for name, known in sorted(examples.items())
        ]
        near = Matcher(intents, embed, 0.0).cosines(read)
        right = np.asarray([intents[number].name for number in near.argmax(1)]) == np.asarray(gold)
        figures[f"intents_{shots}"] = 100 * float(right.mean())
    return {name: round(figure, 1) for name, figure in figures.items()}
