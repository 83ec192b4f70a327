# Linters run where torch is not installed, and then everything of torch's is Any.
# mypy: disable-error-code="misc, untyped-decorator, unused-ignore, no-any-return, import-not-found, no-untyped-call"
"""What the two encoders are trained on: the English one, and the multilingual one, which learns to embed like it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from analysis.calibration import INTENTS
from analysis.training import corpus, e5
from analysis.training.finetune import (
    UNLABELLED,
    Example,
    Material,
    Recipe,
    Validation,
    outputs,
    tokenizer,
)
from analysis.training.intents import learned
from analysis.training.network import MULTILINGUAL_MIDDLE, Network, base_encoder
from analysis.training.scores import macro_f1, macro_recall

Floats = NDArray[np.float32]

HELD_TWEETS = 12_000
GENERIC = 9_000
INTENT_COPIES = 3
"""How often a text with a known intent is read in each pass."""

MULTILINGUAL = Recipe(epochs=1.0, rate=1.4e-4, smoothing=0.05, frozen_layers=3)
COPIES = 4
"""How often each of UMSAB's texts is read; there are only 1,838 of each language."""
SHUFFLED = {"hi": 1_350}
"""So many of a language's first labels do not belong to their texts in the published set: on the English ones among
them they agree with a model no more often than chance would (docs/model.md). They teach the embedding only, and its
validation labels, which are no better, choose no checkpoint."""
TWEETS_A_MOOD = 5_000
UNLABELLED_ENGLISH = 8_000
MAPPED_ON = 6_000
"""Texts that the network's own map is fitted on, before training."""
PIECES = 50_000
"""How much of the multilingual vocabulary is kept: 10.8 MB of vectors."""
RIDGE = 0.1


def english(data: Path, recipe: Recipe) -> Material:
    """English tweets with their sentiment and other texts with their intent; the embedding is held near the untouched
    encoder's."""
    network = english_network()
    examples = _english_examples(data, recipe, network)
    read = tokenizer(recipe.tokens)
    tweets = corpus.tweets(data, "val")
    rows = [encoding.ids for encoding in read.encode_batch(tweets.texts)]
    watched = [encoding.ids for encoding in read.encode_batch(corpus.assistant_requests(data, "val")[0][::6])]
    _, targets = outputs(network, watched)
    return Material(network, examples, {"tweets": Validation(rows, tweets.labels, macro_recall)}, watched, targets)


def english_network() -> Network:
    """The untouched English encoder with fresh heads."""
    return Network(base_encoder(), asks=True)


def _english_examples(data: Path, recipe: Recipe, untouched: Network) -> list[Example]:
    """Labelled tweets, of which some also hold the embedding; unlabelled texts and those with an intent, which do."""
    chance = random.Random(recipe.seed)
    read = tokenizer(recipe.tokens)
    labelled = corpus.tweets(data, "train")
    generic = corpus.reddit_comments(data) + corpus.bank_questions(data, "train")[0]
    generic = chance.sample(generic, min(GENERIC, len(generic)))
    wanting, intents = learned(data)
    rows = [encoding.ids for encoding in read.encode_batch(labelled.texts + generic + wanting)]
    held = chance.sample(range(len(labelled.texts)), min(HELD_TWEETS, len(labelled.texts)))
    held += range(len(labelled.texts), len(rows))
    _, embeddings = outputs(untouched, [rows[number] for number in held])
    target = dict(zip(held, embeddings, strict=True))
    others = len(labelled.texts) + len(generic)
    labels = labelled.labels + [UNLABELLED] * (len(rows) - len(labelled.texts))
    wants = [UNLABELLED] * others + [INTENTS.index(intent) for intent in intents]
    return [
        Example(row, label, target.get(number), want)
        for number, (row, label, want) in enumerate(zip(rows, labels, wants, strict=True))
        for _ in range(INTENT_COPIES if number >= others else 1)
    ]


def multilingual(data: Path, pieces: Path, recipe: Recipe) -> Material:
    """UMSAB's tweets in eight languages beside English ones; every embedding is held where the English encoder would
    put a text of that meaning. Writes the chosen vocabulary to `pieces`.

    That place is read off a linear map from the untouched multilingual embedding to the English encoder's, fitted on
    English texts; it serves the other languages because the untouched one hardly tells languages apart. The map is
    used for English texts, too: a phrase of the taxonomy must lie where texts in other languages lie. The network
    begins with such a map of its own, so that it has nothing to move before it learns sentiment.
    """
    chance = random.Random(recipe.seed)
    many = {language: corpus.umsab(data, language, "train") for language in corpus.LANGUAGES}
    tweets = _some_of_each_mood(corpus.without_overlap(data, corpus.tweets(data, "train")), chance)
    generic = corpus.reddit_comments(data) + corpus.bank_questions(data, "train")[0]
    generic = chance.sample(generic, min(UNLABELLED_ENGLISH, len(generic)))
    foreign = [text for one in many.values() for text in one.texts]

    base = e5.Base()
    kept = e5.chosen_pieces(base, foreign + tweets.texts, PIECES)
    e5.save_pieces(kept, pieces)
    network = multilingual_network(base, kept)
    read = base.tokenizer(kept)
    read.enable_truncation(recipe.tokens)

    known = tweets.texts + generic
    watched = corpus.assistant_requests(data, "val")[0][::6]
    texts = foreign + known + watched
    here = _untouched_multilingual(network, read, texts, bfloat16=recipe.bfloat16)
    of_known = slice(len(foreign), len(foreign) + len(known))
    targets = carried(here, *fit_map(here[of_known], _untouched_english(known, recipe.tokens)))
    rows = [encoding.ids for encoding in read.encode_batch(texts)]
    some = chance.sample(range(len(rows)), min(MAPPED_ON, len(rows)))
    plain = outputs(network, [rows[number] for number in some], bfloat16=recipe.bfloat16)[1]
    network.carry_by(*fit_map(plain, targets[some]))

    labels = [label for language, one in many.items() for label in _trusted(language, one.labels)]
    copied = [COPIES if label != UNLABELLED else 1 for label in labels]
    labels += tweets.labels + [UNLABELLED] * len(generic)
    copied += [1] * len(known)
    seen = len(labels)
    examples = [
        Example(row, label, target)
        for row, label, target, copies in zip(rows[:seen], labels, targets[:seen], copied, strict=True)
        for _ in range(copies)
    ]
    validation = {}
    for language in corpus.LANGUAGES:
        if language in SHUFFLED:
            continue
        one = corpus.umsab(data, language, "val")
        validation[language] = Validation([read.encode(text).ids for text in one.texts], one.labels, macro_f1)
    return Material(network, examples, validation, rows[seen:], targets[seen:])


def _trusted(language: str, labels: Sequence[int]) -> list[int]:
    shuffled = SHUFFLED.get(language, 0)
    return [UNLABELLED] * len(labels[:shuffled]) + list(labels[shuffled:])


def multilingual_network(base: e5.Base, kept: Sequence[int]) -> Network:
    """The untouched multilingual encoder with this vocabulary and a fresh head."""
    return Network(base.encoder(), base.word_vectors(kept), MULTILINGUAL_MIDDLE, carries=True)


def untouched(encoder: str) -> Callable[[Sequence[str]], Floats]:
    """What embeds texts as the base model of this encoder ("english" or "multilingual") does before any training."""
    if encoder == "english":
        return lambda texts: _untouched_english(texts, 128)
    base = e5.Base()
    whole = range(len(base.pieces))
    network, read = multilingual_network(base, whole), base.tokenizer(whole)
    read.enable_truncation(128)
    return lambda texts: _untouched_multilingual(network, read, texts)


def _some_of_each_mood(tweets: corpus.Labelled, chance: random.Random) -> corpus.Labelled:
    chosen: list[int] = []
    for mood in range(3):
        having = [number for number, label in enumerate(tweets.labels) if label == mood]
        chosen += chance.sample(having, min(TWEETS_A_MOOD, len(having)))
    return corpus.Labelled([tweets.texts[number] for number in chosen], [tweets.labels[number] for number in chosen])


def _untouched_english(texts: Sequence[str], tokens: int) -> Floats:
    read = tokenizer(tokens)
    return outputs(english_network(), [read.encode(text).ids for text in texts])[1]


def _untouched_multilingual(
    network: Network, read: Tokenizer, texts: Sequence[str], *, bfloat16: bool = False
) -> Floats:
    return outputs(network, [read.encode(e5.PREFIX + text).ids for text in texts], bfloat16=bfloat16)[1]


def fit_map(source: Floats, target: Floats) -> tuple[Floats, Floats]:
    """The affine map that carries one embedding nearest to another (ridge regression): its matrix, [to, from] as
    torch keeps it, and what is added."""
    wide = np.concatenate([source, np.ones((len(source), 1), np.float32)], axis=1).astype(np.float64)
    weight = np.linalg.solve(wide.T @ wide + RIDGE * np.eye(wide.shape[1]), wide.T @ target)
    return np.asarray(weight[:-1].T, np.float32), np.asarray(weight[-1], np.float32)


def carried(vectors: Floats, weight: Floats, bias: Floats) -> Floats:
    """The vectors after the map, as unit vectors."""
    moved = vectors @ weight.T + bias
    return np.asarray(moved / np.linalg.norm(moved, axis=1, keepdims=True), np.float32)
