"""A linear softmax classifier, small enough to fit without a framework, and the same on every machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.calibration import Floats, softmax


@dataclass(frozen=True, slots=True)
class Linear:
    """`features @ weight + bias` are the logits."""

    weight: Floats
    bias: Floats

    def probabilities(self, features: Floats) -> Floats:
        """The probability of each class, [n, classes]."""
        return softmax(np.asarray(features @ self.weight + self.bias, np.float32))


def class_weights(labels: Sequence[int], classes: int) -> Floats:
    """A weight for each row, such that every class weighs the same and all together weigh 1."""
    gold = np.asarray(labels)
    count = np.bincount(gold, minlength=classes)
    return np.asarray((1 / (classes * np.maximum(count, 1)))[gold], np.float32)


def fit(
    features: Floats, labels: Sequence[int], weights: Floats, classes: int, decay: float, steps: int = 300
) -> Linear:
    """Minimises weighted cross-entropy plus decay / 2 times the squared weights.

    Accelerated gradient descent with the step that the features' norms guarantee to be safe.
    """
    gold = np.asarray(labels)
    worth = np.asarray(weights / weights.sum(), np.float32)
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
