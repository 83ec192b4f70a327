"""A linear softmax classifier, small enough to fit without a framework, and the same on every machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.calibration import Floats, softmax


@dataclass(frozen=True, slots=True)
class Linear:
    """`features @ weight + bias` are the logits."""

    weight: Floats
    bias: Floats

    def probabilities(self, features: Floats) -> Floats:
        """The probability of each class, [n, classes]."""
        return softmax(np.asarray(features @ self.weight + self.bias, np.float32))


def fit(features: Floats, labels: Sequence[int], classes: int, decay: float, steps: int = 400) -> Linear:
    """Minimises cross-entropy, every class weighing the same, plus decay / 2 times the squared weights.

    Accelerated gradient descent with the step that the features' norms guarantee to be safe.
    """
    gold = np.asarray(labels)
    count = np.bincount(gold, minlength=classes)
    worth = (1 / (classes * np.maximum(count, 1)))[gold].astype(np.float32)
    wanted = np.eye(classes, dtype=np.float32)[gold]
    inputs = np.concatenate([features, np.ones((len(features), 1), np.float32)], axis=1)
    shrink = np.full((inputs.shape[1], 1), decay, np.float32)
    shrink[-1] = 0
    # Half the largest squared norm bounds the curvature of softmax's cross-entropy.
    step = 1 / (0.5 * float((inputs**2).sum(1).max()) + decay)
    now = np.zeros((inputs.shape[1], classes), np.float32)
    ahead, momentum = now, 1.0
    for _ in range(steps):
        slope = inputs.T @ (worth[:, None] * (softmax(inputs @ ahead) - wanted)) + shrink * ahead
        following = np.asarray(ahead - step * slope, np.float32)
        next_momentum = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead = np.asarray(following + (momentum - 1) / next_momentum * (following - now), np.float32)
        now, momentum = following, next_momentum
    return Linear(now[:-1], now[-1])


def cross_validated(
    features: Floats, labels: Sequence[int], classes: int, decay: float, folds: int = 6, seed: int = 7
) -> Floats:
    """Probabilities of every row from a classifier that has not seen it, [n, classes]."""
    fold = np.random.default_rng(seed).permutation(np.arange(len(labels)) % folds)
    gold: NDArray[np.int64] = np.asarray(labels)
    found = np.empty((len(gold), classes), np.float32)
    for number in range(folds):
        away = fold == number
        found[away] = fit(features[~away], gold[~away].tolist(), classes, decay).probabilities(features[away])
    return found
