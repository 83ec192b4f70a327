"""What is fitted on data after the network: the temperature, the intent head and the two 'other' thresholds.

Everything here reads through the int8 weights, as Samtal itself does.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.base import Intent
from analysis.calibration import INTENTS, Floats, features, softmax
from analysis.calibration import moods as mood_probabilities
from analysis.encoder import Encoder, Reading
from analysis.text import clean, mask
from analysis.topics import Matcher, default_topics
from analysis.training import corpus
from analysis.training.linear import Linear, class_weights, fit

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


def labelled_posts(data: Path) -> tuple[list[str], list[Intent]]:
    """Validation tweets and Reddit comments whose intent was labelled by hand, as line numbers and labels."""
    source = {
        "tweets-en/val": corpus.tweets(data, "val").texts,
        "emotions/dev": corpus.reddit_comments(data, "dev"),
    }
    texts, intents = [], []
    for line in (HERE / "intent_labels.tsv").read_text(encoding="utf-8").splitlines():
        name, number, intent = line.split("\t")
        texts.append(source[name][int(number) - 1])
        intents.append(Intent(intent))
    return texts, intents


def macro_recall(scores: Floats, labels: Sequence[int]) -> float:
    """The mean over the classes of the share of each that was found, in percent."""
    found, gold = scores.argmax(1), np.asarray(labels)
    return 100 * float(np.mean([(found[gold == number] == number).mean() for number in np.unique(gold)]))


def fit_temperature(logits: Floats, labels: Sequence[int]) -> float:
    """The divisor of the logits that makes the labels likeliest."""
    gold = np.asarray(labels)
    tried = np.geomspace(0.5, 3.0, 200)
    rows = np.arange(len(gold))
    losses = [-np.log(softmax(np.asarray(logits / divisor, np.float32))[rows, gold]).mean() for divisor in tried]
    return float(tried[int(np.argmin(losses))])


def calibration_error(probabilities: Floats, labels: Sequence[int], bins: int = 15) -> float:
    """Expected calibration error: how far confidence and accuracy are apart, 0 to 1, averaged over confidence bins."""
    sure, right = probabilities.max(1), probabilities.argmax(1) == np.asarray(labels)
    bin_of = np.minimum((sure * bins).astype(int), bins - 1)
    return float(
        sum(
            abs(sure[bin_of == number].mean() - right[bin_of == number].mean()) * (bin_of == number).mean()
            for number in range(bins)
            if (bin_of == number).any()
        )
    )


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


def calibrate(data: Path, weights: Path, model: str) -> dict[str, object]:
    """Fits everything for the int8 graph in `weights`, writes it beside it, and returns the figures."""
    encoder = Encoder(weights=weights)
    validation = corpus.tweets(data, "val")
    moods = encoder.read(validation.texts)
    common = np.bincount(corpus.tweets(data, "train").labels, minlength=3)
    bias = np.asarray(COMMON_MOODS * np.log(common / common.sum()), np.float32).round(4)
    temperature = round(fit_temperature(moods.sentiment + bias, validation.labels), 4)
    mentions = written_mentions()
    posts, post_intents = labelled_posts(data)
    written, read = encoder.read([mention.text for mention in mentions]), encoder.read(posts)

    chance = random.Random(SEED)
    guessed_texts: list[str] = []
    guessed_labels: list[int] = []
    for name, comments in corpus.comments_by_emotion(data).items():
        some = chance.sample(comments, min(GUESSED_EACH, len(comments)))
        guessed_texts += some
        guessed_labels += [INTENTS.index(Intent(name))] * len(some)
    intents = [INTENTS.index(intent) for intent in [mention.intent for mention in mentions] + post_intents]
    sure = Reading(
        np.concatenate([written.sentiment, read.sentiment]),
        np.concatenate([written.embedding, read.embedding]),
        np.concatenate([written.middle, read.middle]),
    )
    known = IntentData(sure, intents, encoder.read(guessed_texts), guessed_labels)
    center = np.asarray(known.guessed.middle.mean(0), np.float32)
    head = _intent_head(known, center, np.ones(len(intents), bool))
    unseen = _unseen(known, center)
    gold, other = np.asarray(intents), INTENTS.index(Intent.OTHER)
    # The least probability that an intent must reach, tried on heads that had not seen the text.
    tried = np.arange(0.2, 0.8, 0.02)
    chosen_at = [np.where(unseen.max(1) < least, other, unseen.argmax(1)) for least in tried]
    best_at = int(np.argmax([macro_recall(np.eye(len(INTENTS), dtype=np.float32)[c], intents) for c in chosen_at]))
    intent_threshold, chosen = round(float(tried[best_at]), 2), chosen_at[best_at]

    topics = default_topics()
    matcher = Matcher(topics, lambda texts: encoder.read(texts).embedding, 0.0)
    near = matcher.cosines(written.embedding)
    about = np.asarray([bool(mention.topics) for mention in mentions])
    elsewhere = matcher.cosines(np.concatenate([read.embedding, moods.embedding])).max(1)
    topic_threshold = _best_threshold(near[about].max(1), elsewhere)
    named = [topics[number].name for number in near.argmax(1)]
    hits = [name in mention.topics for name, mention in zip(named, mentions, strict=True) if mention.topics]

    np.savez(weights / "intent.npz", center=center, weight=head.weight, bias=head.bias)
    numbers = {
        "model": model,
        "mood_bias": [round(float(one), 4) for one in bias],
        "temperature": temperature,
        "topic_threshold": topic_threshold,
        "intent_threshold": intent_threshold,
    }
    (weights / "calibration.json").write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
    count = len(mentions)
    before = softmax(moods.sentiment + bias)
    after = mood_probabilities(moods.sentiment, bias, temperature)
    right = np.asarray(validation.labels)
    return numbers | {
        "macro_recall_int8": round(macro_recall(after, validation.labels), 2),
        "accuracy_int8": round(100 * float((after.argmax(1) == right).mean()), 2),
        "recall_int8": [round(100 * float((after.argmax(1)[right == mood] == mood).mean()), 1) for mood in range(3)],
        "macro_recall_int8_unbiased": round(macro_recall(moods.sentiment, validation.labels), 2),
        "calibration_error_before": round(calibration_error(before, validation.labels), 4),
        "calibration_error": round(calibration_error(after, validation.labels), 4),
        "intent_accuracy_mentions": round(float((chosen == gold)[:count].mean()), 3),
        "intent_accuracy_posts": round(float((chosen == gold)[count:].mean()), 3),
        "intent_recall": {
            intent.value: round(float((chosen[gold == number] == number).mean()), 3)
            for number, intent in enumerate(INTENTS)
        },
        "topic_top1_mentions": round(float(np.mean(hits)), 3),
        "topic_kept_mentions": round(float((near[about].max(1) >= topic_threshold).mean()), 3),
        "topic_rejected_posts": round(float((elsewhere < topic_threshold).mean()), 3),
    }
