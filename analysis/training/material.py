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
from analysis.training.network import MULTILINGUAL_MIDDLE, Network, base_encoder
from analysis.training.scores import macro_f1, macro_recall

Floats = NDArray[np.float32]

HELD_TWEETS = 12_000
GENERIC = 9_000

MULTILINGUAL = Recipe(epochs=1.0, rate=1.4e-4, smoothing=0.05, frozen_layers=3)
COPIES = 4
"""How often each of UMSAB's texts is read; there are only 1,838 of each language."""
TWEETS_A_MOOD = 3_000
UNLABELLED_ENGLISH = 4_000
PIECES = 50_000
"""How much of the multilingual vocabulary is kept: 10.8 MB of vectors."""
RIDGE = 0.1


def english(data: Path, recipe: Recipe) -> Material:
    """English tweets with their sentiment; the embedding is held near the untouched encoder's."""
    network = Network(base_encoder())
    examples = _english_examples(data, recipe, network)
    read = tokenizer(recipe.tokens)
    tweets = corpus.tweets(data, "val")
    rows = [encoding.ids for encoding in read.encode_batch(tweets.texts)]
    watched = [encoding.ids for encoding in read.encode_batch(corpus.assistant_requests(data, "val")[0][::6])]
    _, targets = outputs(network, watched)
    return Material(network, examples, {"tweets": Validation(rows, tweets.labels, macro_recall)}, watched, targets)


def _english_examples(data: Path, recipe: Recipe, untouched: Network) -> list[Example]:
    """Labelled tweets, of which some also hold the embedding, and unlabelled texts, which all do."""
    chance = random.Random(recipe.seed)
    read = tokenizer(recipe.tokens)
    labelled = corpus.tweets(data, "train")
    generic = corpus.reddit_comments(data) + corpus.bank_questions(data, "train")[0]
    generic = chance.sample(generic, min(GENERIC, len(generic)))
    rows = [encoding.ids for encoding in read.encode_batch(labelled.texts + generic)]
    held = chance.sample(range(len(labelled.texts)), min(HELD_TWEETS, len(labelled.texts)))
    held += range(len(labelled.texts), len(rows))
    _, embeddings = outputs(untouched, [rows[number] for number in held])
    target = dict(zip(held, embeddings, strict=True))
    labels = labelled.labels + [UNLABELLED] * len(generic)
    return [
        Example(row, label, target.get(number)) for number, (row, label) in enumerate(zip(rows, labels, strict=True))
    ]


def multilingual(data: Path, pieces: Path, recipe: Recipe) -> Material:
    """UMSAB's tweets in eight languages beside English ones; every embedding is drawn near to where the English
    encoder would put a text of that meaning. Writes the chosen vocabulary to `pieces`.

    That place is read off a linear map from the untouched multilingual embedding to the English encoder's, fitted on
    English texts; it serves the other languages because the untouched one hardly tells languages apart. The map is
    used for English texts, too: a phrase of the taxonomy must lie where texts in other languages are drawn to.
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
    here = _untouched_multilingual(network, read, foreign + known + watched)
    of_known = slice(len(foreign), len(foreign) + len(known))
    targets = fit_map(here[of_known], _untouched_english(known, recipe.tokens))(here)

    texts = foreign + known
    labels = [label for one in many.values() for label in one.labels] + tweets.labels + [UNLABELLED] * len(generic)
    rows = [encoding.ids for encoding in read.encode_batch(texts)]
    examples = [
        Example(row, label, target)
        for number, (row, label, target) in enumerate(zip(rows, labels, targets[: len(rows)], strict=True))
        for _ in range(COPIES if number < len(foreign) else 1)
    ]
    validation = {}
    for language in corpus.LANGUAGES:
        one = corpus.umsab(data, language, "val")
        validation[language] = Validation([read.encode(text).ids for text in one.texts], one.labels, macro_f1)
    return Material(network, examples, validation, [read.encode(text).ids for text in watched], targets[len(rows) :])


def multilingual_network(base: e5.Base, kept: Sequence[int]) -> Network:
    """The untouched multilingual encoder with this vocabulary and a fresh head."""
    return Network(base.encoder(), base.word_vectors(kept), MULTILINGUAL_MIDDLE)


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
    return outputs(Network(base_encoder()), [read.encode(text).ids for text in texts])[1]


def _untouched_multilingual(network: Network, read: Tokenizer, texts: Sequence[str]) -> Floats:
    return outputs(network, [read.encode(e5.PREFIX + text).ids for text in texts])[1]


def fit_map(source: Floats, target: Floats) -> Callable[[Floats], Floats]:
    """The affine map that carries one embedding nearest to another (ridge regression), made to give unit vectors."""
    wide = _with_one(source).astype(np.float64)
    weight = np.linalg.solve(wide.T @ wide + RIDGE * np.eye(wide.shape[1]), wide.T @ target)

    def carry(vectors: Floats) -> Floats:
        carried = _with_one(vectors) @ weight
        return np.asarray(carried / np.linalg.norm(carried, axis=1, keepdims=True), np.float32)

    return carry


def _with_one(vectors: Floats) -> Floats:
    return np.concatenate([vectors, np.ones((len(vectors), 1), np.float32)], axis=1)
