"""The encoder: one pass over a text gives its sentiment logits, its embedding and its wording."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.base import AnalysisError
from analysis.text import spell_emoji

WEIGHTS = Path(__file__).parent / "weights"
ENGLISH = "english"
MULTILINGUAL = "multilingual"
"""Their folders in WEIGHTS."""

DIMENSIONS = 384
MAX_TOKENS = 128
BATCH = 32

_AN_EMOJI = "\U0001f621"
"""A vocabulary that has this one has the others; where it is missing, emoji are spelled in words."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Reading:
    """What the encoder says about n texts.

    sentiment: logits, [n, 3], in the order negative, neutral, positive.
    embedding: unit vectors, [n, 384]; their dot product is the cosine.
    middle: [n, 384], what intent is read from: a state that the network has learned for it, or else the mean of the
        tokens halfway up, which keeps how a thing is worded.
    """

    sentiment: Floats
    embedding: Floats
    middle: Floats


class Encoder:
    """A fine-tuned encoder, int8, on ONNX Runtime. Safe to use from several threads.

    threads: processor threads for one pass; None lets ONNX Runtime take one per core. weights: its folder.
    Raises AnalysisError when the weights cannot be read.
    """

    def __init__(self, threads: int | None = None, weights: Path = WEIGHTS / ENGLISH) -> None:
        if threads is not None and threads < 1:
            raise AnalysisError(f"the encoder needs at least one thread, not {threads}")
        # Threads that spin while they wait slow down everything else on a shared machine, and gain little alone.
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        import onnxruntime

        # transformers' own tokenizer classes only wrap this library around the same tokenizer.json (a test compares
        # them); importing transformers would add some three seconds to every start.
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        model, vocabulary = weights / "model.onnx", weights / "tokenizer.json"
        for path in (model, vocabulary):
            if not path.is_file():
                raise AnalysisError(f"the model's file {path} is missing; reinstall Samtal or run `make train`")
        self._session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self._tokenizer = Tokenizer.from_file(str(vocabulary))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._spells_emoji = self._tokenizer.token_to_id(_AN_EMOJI) is None

    def read(self, texts: Sequence[str]) -> Reading:
        """Reads prepared texts (see `analysis.text`) and returns what it read in their order.

        Texts are batched by length, so that hardly anything is computed on padding.
        """
        # encode() one by one: encode_batch starts a thread pool of its own, which is never worth it here
        # (20,000 texts a second on one core) and complains when the process forks later.
        rows = [self._tokenizer.encode(spell_emoji(text) if self._spells_emoji else text).ids for text in texts]
        sentiment = np.empty((len(rows), 3), np.float32)
        embedding = np.empty((len(rows), DIMENSIONS), np.float32)
        middle = np.empty((len(rows), DIMENSIONS), np.float32)
        order = sorted(range(len(rows)), key=lambda number: len(rows[number]))
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            longest = len(rows[chosen[-1]])
            ids = np.zeros((len(chosen), longest), np.int64)
            seen = np.zeros((len(chosen), longest), np.int64)
            for line, number in enumerate(chosen):
                ids[line, : len(rows[number])] = rows[number]
                seen[line, : len(rows[number])] = 1
            sentiment[chosen], embedding[chosen], middle[chosen] = self._session.run(
                ["sentiment", "embedding", "middle"], {"input_ids": ids, "attention_mask": seen}
            )
        return Reading(sentiment, embedding, middle)
