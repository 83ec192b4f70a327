"""What the model is worth: its embeddings for topics, on any encoder; its moods and languages, as it is shipped."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.base import Analyser, Sentiment, Topic
from analysis.calibration import Floats
from analysis.language import UNKNOWN, language_of
from analysis.topics import Matcher
from analysis.training import corpus
from analysis.training.scores import macro_f1, macro_recall

Embed = Callable[[Sequence[str]], Floats]
SEED = 7
DRAWS = 10
"""With one draw of twenty examples an intent the same encoder's figure lies up to a point higher or lower."""


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
    intents_0, intents_5, intents_20: banking77 test questions put under the right one of 77 intents by its name alone,
    and by its name and five or twenty examples, on average over DRAWS choices of them.
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
    known, intents = corpus.bank_questions(data, "train")
    vectors = dict(zip(known, embed(known), strict=True))
    examples: dict[str, list[str]] = {}
    for text, intent in zip(known, intents, strict=True):
        examples.setdefault(intent, []).append(text)
    texts, gold = corpus.bank_questions(data, "test")
    read = embed(texts)
    for shots in (0, 5, 20):
        shares = []
        for _ in range(DRAWS if shots else 1):
            chosen = {name: tuple(chance.sample(some, shots)) for name, some in sorted(examples.items())}
            near = Matcher(_named(chosen), _remembering(embed, vectors), 0.0).cosines(read)
            shares.append(float((np.asarray(list(chosen))[near.argmax(1)] == np.asarray(gold)).mean()))
        figures[f"intents_{shots}"] = 100 * float(np.mean(shares))
    return {name: round(figure, 1) for name, figure in figures.items()}


def _named(examples: Mapping[str, tuple[str, ...]]) -> list[Topic]:
    return [Topic(name, (name.replace("_", " "),), some) for name, some in examples.items()]


def _remembering(embed: Embed, vectors: dict[str, Floats]) -> Embed:
    """`embed` that reads each text once, ever."""

    def read(texts: Sequence[str]) -> Floats:
        fresh = [text for text in dict.fromkeys(texts) if text not in vectors]
        if fresh:
            vectors.update(zip(fresh, embed(fresh), strict=True))
        return np.stack([vectors[text] for text in texts])

    return read


_MOODS = (Sentiment.NEGATIVE, Sentiment.NEUTRAL, Sentiment.POSITIVE)


def mood_figures(data: Path, analyser: Analyser) -> dict[str, object]:
    """The sentiment that people get to see, in percent: macro recall on the validation tweets, macro-F1 on UMSAB's.

    Whichever encoder reads a text is decided by its language as Samtal tells it, not by the set it comes from.
    """

    def moods(texts: Sequence[str]) -> NDArray[np.int64]:
        return np.asarray([_MOODS.index(tags.sentiment.label) for tags in analyser.tags(texts)])

    tweets = corpus.tweets(data, "val")
    by_language = {}
    for language in corpus.LANGUAGES:
        some = corpus.umsab(data, language, "val")
        by_language[language] = round(macro_f1(moods(some.texts), some.labels), 2)
    return {
        "tweets_macro_recall": round(macro_recall(moods(tweets.texts), tweets.labels), 2),
        "umsab_macro_f1": by_language,
        "umsab_mean": round(float(np.mean(list(by_language.values()))), 2),
    }


def language_figures(data: Path) -> dict[str, object]:
    """Of UMSAB's validation tweets in each language: the percent whose language is told, and right where it is told.

    Half of the Hindi ones are written in Latin letters.
    """
    figures: dict[str, object] = {}
    for language in corpus.LANGUAGES:
        codes = [language_of(text) for text in corpus.umsab(data, language, "val").texts]
        told = [code for code in codes if code != UNKNOWN]
        figures[language] = {
            "told": round(100 * len(told) / len(codes), 1),
            "right": round(100 * told.count(language) / max(len(told), 1), 1),
        }
    requests = [language_of(text) for text in corpus.assistant_requests(data, "val")[0][::6]]
    told = [code for code in requests if code != UNKNOWN]
    figures["en, requests"] = {
        "told": round(100 * len(told) / len(requests), 1),
        "right": round(100 * told.count("en") / max(len(told), 1), 1),
    }
    return figures
