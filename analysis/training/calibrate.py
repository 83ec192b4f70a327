"""What is fitted on data after the network: the temperature, the intent head and the two 'other' thresholds.

Everything here reads through the int8 weights, as Samtal itself does.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.base import Intent, Topic
from analysis.calibration import INTENTS, Floats, features, softmax
from analysis.calibration import moods as mood_probabilities
from analysis.encoder import Encoder, Reading
from analysis.intervals import wilson
from analysis.topics import Matcher, default_topics
from analysis.training import corpus
from analysis.training.intents import (
    WRITTEN_LANGUAGES,
    Mention,
    kept_back,
    labelled_once,
    labelled_twice,
    learned,
    written_in,
    written_mentions,
)
from analysis.training.linear import Linear, class_weights, fit
from analysis.training.scores import calibration_error, f1_by_class, fit_temperature, macro_f1, macro_recall

SEED = 7
COMMON_MOODS = 0.5
"""Training weighs every mood the same, which finds most of the rare negative texts and calls many neutral ones moody.
Half of the way back to how common each was among the training tweets finds more neutral ones for little macro recall.
"""
INTENT_DECAY = 3e-4
GUESSED_WORTH = 0.1
"""What all texts with a guessed intent weigh beside those with a known one. Both chosen on the texts kept back."""
GUESSED_EACH = 700


def _best_threshold(inside: NDArray[np.float32], outside: NDArray[np.float32]) -> float:
    """The threshold with the largest mean of 'share of inside kept' and 'share of outside turned away'."""
    tried = np.arange(0.15, 0.75, 0.01)
    gains = [(inside >= least).mean() + (outside < least).mean() for least in tried]
    return round(float(tried[int(np.argmax(gains))]), 2)


def _intent_head(reading: Reading, labels: Sequence[int], guessed: Reading, guesses: Sequence[int]) -> IntentHead:
    """Fits the head on texts whose intent is known and on more whose intent is guessed from their emotion."""
    center = np.asarray(guessed.middle.mean(0), np.float32)
    head = fit(
        np.concatenate([features(reading, center), features(guessed, center)]),
        [*labels, *guesses],
        np.concatenate([class_weights(labels, len(INTENTS)), GUESSED_WORTH * class_weights(guesses, len(INTENTS))]),
        len(INTENTS),
        INTENT_DECAY,
    )
    return IntentHead(head, center)


@dataclass(frozen=True, slots=True)
class IntentHead:
    """The intent head and what its features are centred on."""

    linear: Linear
    center: Floats

    def probabilities(self, reading: Reading) -> Floats:
        return self.linear.probabilities(features(reading, self.center))


OTHER = INTENTS.index(Intent.OTHER)


def _choose(probabilities: Floats, threshold: float) -> NDArray[np.int64]:
    """The likeliest intent, or "other" where none reaches the threshold."""
    return np.where(probabilities.max(1) < threshold, OTHER, probabilities.argmax(1))


def _numbers(intents: Sequence[Intent]) -> list[int]:
    return [INTENTS.index(intent) for intent in intents]


@dataclass(frozen=True, slots=True)
class IntentFit:
    """An intent head and the probability that an intent must reach."""

    head: IntentHead
    threshold: float

    def choose(self, reading: Reading) -> NDArray[np.int64]:
        """The number of each text's intent in INTENTS."""
        return _choose(self.head.probabilities(reading), self.threshold)


def fit_intent(data: Path, encoder: Encoder) -> tuple[IntentFit, dict[str, object]]:
    """Fits the head on every labelled text that is not held out, and measures it on those that are."""
    texts, intents = learned(data)
    fresh_texts, fresh_intents = kept_back(data)
    guessed_texts, guesses = _guessed(data)
    known, fresh, guessed = encoder.read(texts), encoder.read(fresh_texts), encoder.read(guessed_texts)
    labels, fresh_labels = _numbers(intents), _numbers(fresh_intents)

    # Tried on texts that neither the network nor this head has seen.
    unseen = _intent_head(known, labels, guessed, guesses).probabilities(fresh)
    tried = np.arange(0.2, 0.8, 0.02)
    scores = [macro_f1(_choose(unseen, least), fresh_labels, len(INTENTS)) for least in tried]
    threshold = round(float(tried[int(np.argmax(scores))]), 2)
    head = _intent_head(_joined(known, fresh), labels + fresh_labels, guessed, guesses)
    fitted = IntentFit(head, threshold)

    held, held_intents = labelled_twice(data, "held")
    gold = _numbers(held_intents)
    reading = encoder.read(held)
    found = fitted.choose(reading)
    right = int((found == np.asarray(gold)).sum())
    by_phrases = _intents_by_phrases(encoder, texts + fresh_texts, intents + fresh_intents)(reading.embedding)
    return fitted, {
        "intent_threshold": threshold,
        "intent_kept_back": len(fresh_labels),
        "intent_kept_back_macro_f1": round(max(scores), 1),
        "intent_held_out": len(gold),
        "intent_accuracy": _share(right, len(gold)),
        "intent_macro_f1": round(macro_f1(found, gold, len(INTENTS)), 1),
        "intent_f1": _by_intent(f1_by_class(found, gold, len(INTENTS))),
        "intent_by_phrases_macro_f1": round(macro_f1(by_phrases, gold, len(INTENTS)), 1),
        "intent_by_phrases_f1": _by_intent(f1_by_class(by_phrases, gold, len(INTENTS))),
    }


def _guessed(data: Path) -> tuple[list[str], list[int]]:
    chance = random.Random(SEED)
    texts: list[str] = []
    labels: list[int] = []
    for name, comments in corpus.comments_by_emotion(data).items():
        some = chance.sample(comments, min(GUESSED_EACH, len(comments)))
        texts += some
        labels += [INTENTS.index(Intent(name))] * len(some)
    return texts, labels


def _joined(one: Reading, other: Reading) -> Reading:
    return Reading(
        np.concatenate([one.sentiment, other.sentiment]),
        np.concatenate([one.embedding, other.embedding]),
        np.concatenate([one.middle, other.middle]),
    )


INTENT_PHRASES = (
    Topic("question", (
        "how do I", "does anybody know", "can you tell me", "when will it", "where can I find", "is it possible to",
        "what is the difference between", "can somebody help me with this", "why does it", "which one should I get",
    )),
    Topic("complaint", (
        "this is terrible", "it does not work", "I am very disappointed", "worst service ever", "it broke again",
        "still waiting and nobody answers", "what a waste of money", "this is unacceptable", "fed up with this",
    )),
    Topic("praise", (
        "I love it", "thank you so much", "great work", "this is amazing", "the best I ever had", "highly recommended",
        "well done", "so happy with it", "cannot wait to see it", "brilliant",
    )),
    Topic("idea", (
        "you should add", "it would be great if", "I wish they would", "please bring back", "why not make it",
        "here is a suggestion", "they ought to change", "it needs an option to", "consider adding",
    )),
)  # fmt: skip
"""The plain way, to compare with: several phrases for each intent, the nearest counts, below a threshold "other"."""


def _intents_by_phrases(
    encoder: Encoder, texts: Sequence[str], intents: Sequence[Intent]
) -> Callable[[Floats], NDArray[np.int64]]:
    """What takes embeddings and gives intents by phrases alone; its threshold is fitted on these labelled texts."""
    matcher = Matcher(INTENT_PHRASES, lambda some: encoder.read(some).embedding, 0.0)
    places = np.asarray(_numbers([Intent(topic.name) for topic in INTENT_PHRASES]))

    def choose(embeddings: Floats, threshold: float) -> NDArray[np.int64]:
        near = matcher.cosines(embeddings)
        return np.where(near.max(1) < threshold, OTHER, places[near.argmax(1)])

    known = encoder.read(texts).embedding
    tried = np.arange(0.05, 0.6, 0.01)
    scores = [macro_f1(choose(known, least), _numbers(intents), len(INTENTS)) for least in tried]
    best = float(tried[int(np.argmax(scores))])
    return lambda embeddings: choose(embeddings, best)


def _by_intent(scores: Sequence[float]) -> dict[str, float]:
    return {intent.value: round(100 * score, 1) for intent, score in zip(INTENTS, scores, strict=True)}


def _share(right: int, total: int) -> dict[str, float]:
    """A share in percent with its 95 % interval."""
    low, high = wilson(right, total)
    return {"percent": round(100 * right / max(total, 1), 1), "low": round(100 * low, 1), "high": round(100 * high, 1)}


def fit_topic_threshold(data: Path, encoder: Encoder) -> tuple[float, dict[str, object]]:
    """The least cosine of a topic, fitted on every other text and measured on the rest."""
    topics = default_topics()
    matcher = Matcher(topics, lambda texts: encoder.read(texts).embedding, 0.0)
    mentions = [mention for mention in written_mentions() if mention.topics]
    near = matcher.cosines(encoder.read([mention.text for mention in mentions]).embedding)
    elsewhere = labelled_once(data)[0] + corpus.tweets(data, "val").texts
    strange = matcher.cosines(encoder.read(elsewhere).embedding).max(1)
    threshold = _best_threshold(near[::2].max(1), strange[::2])
    hits = _hits(topics, near, mentions)
    return threshold, {
        "topic_threshold": threshold,
        "topic_top1_mentions": _share(sum(hits), len(hits)),
        "topic_kept_mentions": _share(int((near[1::2].max(1) >= threshold).sum()), len(near[1::2])),
        "topic_rejected_posts": _share(int((strange[1::2] < threshold).sum()), len(strange[1::2])),
    }


def _hits(topics: Sequence[Topic], near: Floats, mentions: Sequence[Mention]) -> list[bool]:
    """For each mention whether its nearest topic is one of those that it is about."""
    return [topics[number].name in mention.topics for number, mention in zip(near.argmax(1), mentions, strict=True)]


def written_figures(encoder: Encoder, intent: IntentFit, topic_threshold: float) -> dict[str, object]:
    """Intent and topics on the mentions written in other languages, none of which was fitted on."""
    topics = default_topics()
    matcher = Matcher(topics, lambda texts: encoder.read(texts).embedding, 0.0)
    figures: dict[str, object] = {}
    everywhere: list[tuple[int, int]] = []
    for language in WRITTEN_LANGUAGES:
        mentions = written_in(language)
        reading = encoder.read([mention.text for mention in mentions])
        found, gold = intent.choose(reading), _numbers([mention.intent for mention in mentions])
        about = np.asarray([bool(mention.topics) for mention in mentions])
        near = matcher.cosines(reading.embedding)
        hits = _hits(topics, near[about], [mention for mention in mentions if mention.topics])
        everywhere += list(zip(found.tolist(), gold, strict=True))
        figures[language] = {
            "intent_accuracy": _share(int((found == np.asarray(gold)).sum()), len(gold)),
            "topic_top1": _share(sum(hits), len(hits)),
            "topic_kept": _share(int((near[about].max(1) >= topic_threshold).sum()), int(about.sum())),
        }
    predicted = np.asarray([one for one, _ in everywhere])
    figures["intent_macro_f1"] = round(macro_f1(predicted, [right for _, right in everywhere], len(INTENTS)), 1)
    return figures


def calibrate_english(data: Path, weights: Path, model: str) -> dict[str, object]:
    """Fits everything for the English int8 graph in `weights`, writes it beside it, and returns the figures."""
    encoder = Encoder(weights=weights)
    validation = corpus.tweets(data, "val")
    logits = encoder.read(validation.texts).sentiment
    common = np.bincount(corpus.tweets(data, "train").labels, minlength=3)
    bias = np.asarray(COMMON_MOODS * np.log(common / common.sum()), np.float32).round(4)
    temperature = round(fit_temperature(logits + bias, validation.labels), 4)
    intent, intent_figures = fit_intent(data, encoder)
    topic_threshold, topic_figures = fit_topic_threshold(data, encoder)
    _write(weights, model, bias, temperature, topic_threshold, intent)
    before, after = softmax(logits + bias), mood_probabilities(logits, bias, temperature)
    right = np.asarray(validation.labels)
    return {
        "mood_bias": [float(one) for one in bias],
        "temperature": temperature,
        "macro_recall_int8": round(macro_recall(after.argmax(1), validation.labels), 2),
        "macro_recall_int8_unbiased": round(macro_recall(logits.argmax(1), validation.labels), 2),
        "accuracy_int8": _share(int((after.argmax(1) == right).sum()), len(right)),
        "recall_int8": [round(100 * float((after.argmax(1)[right == mood] == mood).mean()), 1) for mood in range(3)],
        "calibration_error_before": round(calibration_error(before, validation.labels), 4),
        "calibration_error": round(calibration_error(after, validation.labels), 4),
        **intent_figures,
        **topic_figures,
    }


def calibrate_multilingual(data: Path, weights: Path, model: str) -> dict[str, object]:
    """The same for the multilingual graph: its temperature is fitted on UMSAB's validation texts."""
    encoder = Encoder(weights=weights)
    logits: dict[str, Floats] = {}
    labels: dict[str, list[int]] = {}
    for language in corpus.LANGUAGES:
        validation = corpus.umsab(data, language, "val")
        logits[language], labels[language] = encoder.read(validation.texts).sentiment, validation.labels
    together = np.concatenate(list(logits.values()))
    gold = [label for some in labels.values() for label in some]
    temperature = round(fit_temperature(together, gold), 4)
    bias = np.zeros(3, np.float32)
    intent, intent_figures = fit_intent(data, encoder)
    topic_threshold, topic_figures = fit_topic_threshold(data, encoder)
    _write(weights, model, bias, temperature, topic_threshold, intent)
    scores = {language: round(macro_f1(logits[language].argmax(1), labels[language]), 2) for language in logits}
    return {
        "temperature": temperature,
        "umsab_macro_f1_int8": scores,
        "umsab_mean_int8": round(float(np.mean(list(scores.values()))), 2),
        "calibration_error_before": round(calibration_error(softmax(together), gold), 4),
        "calibration_error": round(calibration_error(mood_probabilities(together, bias, temperature), gold), 4),
        **intent_figures,
        **topic_figures,
        "written_in": written_figures(encoder, intent, topic_threshold),
    }


def _write(
    weights: Path, model: str, bias: Floats, temperature: float, topic_threshold: float, intent: IntentFit
) -> None:
    linear = intent.head.linear
    np.savez(weights / "intent.npz", center=intent.head.center, weight=linear.weight, bias=linear.bias)
    numbers = {
        "model": model,
        "mood_bias": [round(float(one), 4) for one in bias],
        "temperature": temperature,
        "topic_threshold": topic_threshold,
        "intent_threshold": intent.threshold,
    }
    (weights / "calibration.json").write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
