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
from analysis.text import clean, mask
from analysis.topics import Matcher, default_topics
from analysis.training import corpus
from analysis.training.linear import Linear, class_weights, fit
from analysis.training.scores import calibration_error, f1_by_class, fit_temperature, macro_f1, macro_recall

SEED = 7
COMMON_MOODS = 0.5
"""Training weighs every mood the same, which finds most of the rare negative texts and calls many neutral ones moody.
Half of the way back to how common each was among the training tweets finds more neutral ones for little macro recall.
"""
INTENT_DECAY = 1e-4
GUESSED_WORTH = 0.3
"""What all texts with a guessed intent weigh beside those with a known one. Both chosen by cross-validation."""
GUESSED_EACH = 700

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Mention:
    """A written example: what its author wants, and which default topics it is about."""

    text: str
    intent: Intent
    topics: frozenset[str]


def written_mentions(name: str = "mentions.tsv") -> list[Mention]:
    """The mentions written for this project: intent, topics (";" between them), text."""
    found = []
    for line in (HERE / name).read_text(encoding="utf-8").splitlines():
        intent, topics, text = line.split("\t")
        found.append(Mention(mask(clean(text)), Intent(intent), frozenset(filter(None, topics.split(";")))))
    return found


def _post(data: Path) -> dict[str, list[str]]:
    """The texts that intent was labelled on, by the name of their file."""
    return {
        "tweets-en/val": corpus.tweets(data, "val").texts,
        "tweets-en/train": corpus.tweets(data, "train").texts,
        "emotions/dev": corpus.reddit_comments(data, "dev"),
        "emotions/train": corpus.reddit_comments(data, "train"),
        "banking77/test": corpus.bank_questions(data, "test")[0],
    }


def labelled_posts(data: Path) -> tuple[list[str], list[Intent]]:
    """Validation tweets and Reddit comments whose intent was labelled once, by hand, as line numbers and labels."""
    source = _post(data)
    texts, intents = [], []
    for line in (HERE / "intent_labels.tsv").read_text(encoding="utf-8").splitlines():
        name, number, intent = line.split("\t")
        texts.append(source[name][int(number) - 1])
        intents.append(Intent(intent))
    return texts, intents


def twice_labelled_posts(data: Path, part: str) -> tuple[list[str], list[Intent]]:
    """Posts whose intent was labelled in two independent passes (docs/intents.md), `part` "fit" or "held" (out)."""
    source = _post(data)
    texts, intents = [], []
    for line in (HERE / "intent_passes.tsv").read_text(encoding="utf-8").splitlines():
        name, number, _first, _second, intent, belongs = line.split("\t")
        if belongs == part:
            texts.append(source[name][int(number) - 1])
            intents.append(Intent(intent))
    return texts, intents


def written_in(language: str) -> list[Mention]:
    """The mentions written for this project in another language: used to measure only."""
    found = []
    for line in (HERE / "mentions_multilingual.tsv").read_text(encoding="utf-8").splitlines():
        code, intent, topics, text = line.split("\t")
        if code == language:
            found.append(Mention(mask(clean(text)), Intent(intent), frozenset(filter(None, topics.split(";")))))
    return found


WRITTEN_LANGUAGES = ("ar", "de", "es", "fr", "hi", "it", "pt")


def _best_threshold(inside: NDArray[np.float32], outside: NDArray[np.float32]) -> float:
    """The threshold with the largest mean of 'share of inside kept' and 'share of outside turned away'."""
    tried = np.arange(0.15, 0.75, 0.01)
    gains = [(inside >= least).mean() + (outside < least).mean() for least in tried]
    return round(float(tried[int(np.argmax(gains))]), 2)


@dataclass(frozen=True, slots=True)
class IntentData:
    """Texts whose intent people labelled, and many more whose intent is guessed from their emotion."""

    sure: Reading
    sure_labels: list[int]
    guessed: Reading
    guessed_labels: list[int]


def _intent_head(data: IntentData, center: Floats, rows: NDArray[np.bool_]) -> Linear:
    """Fits the head on the guessed texts and on those labelled ones that `rows` allows."""
    labels = [label for label, chosen in zip(data.sure_labels, rows, strict=True) if chosen]
    return fit(
        np.concatenate([features(data.sure, center)[rows], features(data.guessed, center)]),
        labels + data.guessed_labels,
        np.concatenate(
            [
                class_weights(labels, len(INTENTS)),
                GUESSED_WORTH * class_weights(data.guessed_labels, len(INTENTS)),
            ]
        ),
        len(INTENTS),
        INTENT_DECAY,
    )


def _unseen(data: IntentData, center: Floats, folds: int = 5) -> Floats:
    """For every labelled text the probabilities of a head that has not seen it (cross-validation)."""
    fold = np.random.default_rng(SEED).permutation(np.arange(len(data.sure_labels)) % folds)
    found = np.empty((len(fold), len(INTENTS)), np.float32)
    for number in range(folds):
        head = _intent_head(data, center, fold != number)
        found[fold == number] = head.probabilities(features(data.sure, center)[fold == number])
    return found


OTHER = INTENTS.index(Intent.OTHER)


def _choose(probabilities: Floats, threshold: float) -> NDArray[np.int64]:
    """The likeliest intent, or "other" where none reaches the threshold."""
    return np.where(probabilities.max(1) < threshold, OTHER, probabilities.argmax(1))


def _numbers(intents: Sequence[Intent]) -> list[int]:
    return [INTENTS.index(intent) for intent in intents]


@dataclass(frozen=True, slots=True)
class IntentFit:
    """An intent head, what its features are centred on, and the probability that an intent must reach."""

    head: Linear
    center: Floats
    threshold: float

    def choose(self, reading: Reading) -> NDArray[np.int64]:
        """The number of each text's intent in INTENTS."""
        return _choose(self.head.probabilities(features(reading, self.center)), self.threshold)


def fit_intent(data: Path, encoder: Encoder) -> tuple[IntentFit, dict[str, object]]:
    """Fits the head on every labelled text that is not held out, and measures it on those that are."""
    texts = [mention.text for mention in written_mentions()]
    intents = [mention.intent for mention in written_mentions()]
    for some, labels in (labelled_posts(data), twice_labelled_posts(data, "fit")):
        texts, intents = texts + some, intents + labels

    chance = random.Random(SEED)
    guessed_texts: list[str] = []
    guessed_labels: list[int] = []
    for name, comments in corpus.comments_by_emotion(data).items():
        some = chance.sample(comments, min(GUESSED_EACH, len(comments)))
        guessed_texts += some
        guessed_labels += [INTENTS.index(Intent(name))] * len(some)
    known = IntentData(encoder.read(texts), _numbers(intents), encoder.read(guessed_texts), guessed_labels)
    center = np.asarray(known.guessed.middle.mean(0), np.float32)
    unseen = _unseen(known, center)
    # Tried on heads that had not seen the text.
    tried = np.arange(0.2, 0.8, 0.02)
    scores = [macro_f1(_choose(unseen, least), known.sure_labels, len(INTENTS)) for least in tried]
    threshold = round(float(tried[int(np.argmax(scores))]), 2)
    fitted = IntentFit(_intent_head(known, center, np.ones(len(intents), bool)), center, threshold)

    held, held_intents = twice_labelled_posts(data, "held")
    gold = _numbers(held_intents)
    reading = encoder.read(held)
    found = fitted.choose(reading)
    right = int((found == np.asarray(gold)).sum())
    by_phrases = _intents_by_phrases(encoder, texts, intents)(reading.embedding)
    return fitted, {
        "intent_threshold": threshold,
        "intent_cross_validated_macro_f1": round(max(scores), 1),
        "intent_held_out": len(gold),
        "intent_accuracy": _share(right, len(gold)),
        "intent_macro_f1": round(macro_f1(found, gold, len(INTENTS)), 1),
        "intent_f1": _by_intent(f1_by_class(found, gold, len(INTENTS))),
        "intent_by_phrases_macro_f1": round(macro_f1(by_phrases, gold, len(INTENTS)), 1),
        "intent_by_phrases_f1": _by_intent(f1_by_class(by_phrases, gold, len(INTENTS))),
    }


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
    elsewhere = labelled_posts(data)[0] + corpus.tweets(data, "val").texts
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
    np.savez(weights / "intent.npz", center=intent.center, weight=intent.head.weight, bias=intent.head.bias)
    numbers = {
        "model": model,
        "mood_bias": [round(float(one), 4) for one in bias],
        "temperature": temperature,
        "topic_threshold": topic_threshold,
        "intent_threshold": intent.threshold,
    }
    (weights / "calibration.json").write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
