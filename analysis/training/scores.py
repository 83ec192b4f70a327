"""How good a set of answers is: the measures that training and its figures use."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from analysis.calibration import Floats, softmax


def f1_by_class(predicted: NDArray[np.int64], labels: Sequence[int], classes: int) -> list[float]:
    """The F1 of each class, 0 to 1."""
    gold = np.asarray(labels)
    found = []
    for number in range(classes):
        right = float(((predicted == number) & (gold == number)).sum())
        found.append(2 * right / max(float((predicted == number).sum() + (gold == number).sum()), 1.0))
    return found


def macro_f1(predicted: NDArray[np.int64], labels: Sequence[int], classes: int = 3) -> float:
    """The mean of the classes' F1, in percent: UMSAB's measure."""
    return 100 * float(np.mean(f1_by_class(predicted, labels, classes)))


def macro_recall(predicted: NDArray[np.int64], labels: Sequence[int]) -> float:
    """The mean over the classes of the share of each that was found, in percent: SemEval's measure."""
    gold = np.asarray(labels)
    return 100 * float(np.mean([(predicted[gold == number] == number).mean() for number in np.unique(gold)]))


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
