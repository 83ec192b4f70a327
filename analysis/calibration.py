"""What was fitted on data after the network was trained: `weights/calibration.json` and `weights/intent.npz`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.base import AnalysisError, Intent
from analysis.encoder import Reading

Floats = NDArray[np.float32]

INTENTS = (Intent.QUESTION, Intent.COMPLAINT, Intent.PRAISE, Intent.IDEA, Intent.OTHER)
"""The order of the intent head's outputs."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Numbers that turn the encoder's readings into tags.

    model: name and version of the weights.
    mood_bias: added to the sentiment logits, [3]; how common each mood is taken to be.
    temperature: what they are divided by then, before softmax.
    topic_threshold: cosine below which a text is not about a topic.
    intent_threshold: probability below which an intent becomes "other".
    intent_center: the average of the encoder's middle layer over the texts that the intent head was fitted on, [384].
    intent_weight, intent_bias: the intent head, [features, 5] and [5]; see `features`.
    """

    model: str
    mood_bias: Floats
    temperature: float
    topic_threshold: float
    intent_threshold: float
    intent_center: Floats
    intent_weight: Floats
    intent_bias: Floats


def softmax(logits: Floats) -> Floats:
    """Probabilities along the last axis."""
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True), np.float32)


def moods(sentiment: Floats, bias: Floats, temperature: float) -> Floats:
    """The probability of each sentiment from the encoder's logits, [n, 3]."""
    return softmax(np.asarray((sentiment + bias) / temperature, np.float32))


def features(reading: Reading, center: Floats) -> Floats:
    """What the intent head reads of n texts, [n, 771]: mood, meaning and wording, each of about unit length."""
    wording = reading.middle - center
    wording /= np.maximum(np.linalg.norm(wording, axis=1, keepdims=True), 1e-6)
    return np.concatenate([softmax(reading.sentiment), reading.embedding, wording], axis=1)


def load(weights: Path) -> Calibration:
    """Reads what training fitted. Raises AnalysisError when it is missing or damaged."""
    try:
        numbers = json.loads((weights / "calibration.json").read_text(encoding="utf-8"))
        with np.load(weights / "intent.npz", allow_pickle=False) as head:
            center, weight, bias = head["center"], head["weight"], head["bias"]
        return Calibration(
            model=str(numbers["model"]),
            mood_bias=np.asarray([float(one) for one in numbers["mood_bias"]], np.float32),
            temperature=float(numbers["temperature"]),
            topic_threshold=float(numbers["topic_threshold"]),
            intent_threshold=float(numbers["intent_threshold"]),
            intent_center=np.asarray(center, np.float32),
            intent_weight=np.asarray(weight, np.float32),
            intent_bias=np.asarray(bias, np.float32),
        )
    except (OSError, ValueError, KeyError) as error:
        raise AnalysisError(
            f"the model's calibration in {weights} cannot be read ({error}); reinstall Samtal or run `make train`"
        ) from error
