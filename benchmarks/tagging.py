# Linters run where torch is not installed, and then everything of torch's is Any.
# mypy: disable-error-code="misc, unused-ignore, import-not-found, no-untyped-call"
"""How many texts a second are tagged, against `transformers.pipeline("text-classification")` on torch float32.

`python -m benchmarks.tagging` prints one JSON line. Both read the same real tweets with the same fine-tuned weights on
the same number of threads, in turns within one run: the baseline in batches of 32 in the order of arrival, which is
how a pipeline is commonly used, and it gives the sentiment alone; ours gives every tag (sentiment, intent, topics,
language, embedding). The baseline's float32 weights are those that the int8 graph stands for. Without torch, or
without the research sets, the line has no baseline and standard error says why.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from analysis import open_analyser

BATCH = 32
NAME = "tagging_throughput"


def real_tweets(count: int) -> list[str] | None:
    """The first `count` validation tweets, each different, or None where the research sets are absent."""
    folder = Path(os.environ.get("TRAINING_DATA", "../shared/data")) / "sentiment" / "tweets-en"
    path = folder / "train_text.txt"
    if not path.is_file():
        return None
    lines = path.read_text(encoding="utf-8").split("\n")
    return list(dict.fromkeys(line for line in lines if line.strip()))[:count]


def made_up(count: int) -> list[str]:
    """Different texts of a tweet's length, for where there are no real ones."""
    words = "the parcel came late again and nobody at the shop could tell me why but I like the new blue one".split()
    return [" ".join(words[(number + step) % len(words)] for step in range(5 + number % 25)) for number in range(count)]


def pipeline(threads: int) -> Callable[[Sequence[str]], list[str]]:
    """What reads texts by transformers' pipeline and returns their labels."""
    import torch
    import transformers
    from transformers import BertConfig, PreTrainedModel, PreTrainedTokenizerFast
    from transformers.modeling_outputs import SequenceClassifierOutput

    from analysis.encoder import ENGLISH, MAX_TOKENS, WEIGHTS
    from analysis.training.restore import restored

    torch.set_num_threads(threads)
    transformers.logging.set_verbosity(logging.CRITICAL)  # it does not know our class by name, and says so at length
    labels = {0: "negative", 1: "neutral", 2: "positive"}

    class Classifier(PreTrainedModel):
        config_class = BertConfig

        def __init__(self, config: BertConfig) -> None:
            super().__init__(config)
            self.network = restored()
            self.post_init()

        def _init_weights(self, module: Any) -> None:
            """Keeps the weights as they are."""

        def forward(self, input_ids: Any, attention_mask: Any, **_: Any) -> SequenceClassifierOutput:
            return SequenceClassifierOutput(logits=self.network(input_ids, attention_mask)[0])

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(WEIGHTS / ENGLISH / "tokenizer.json"),
        pad_token="[PAD]",
        model_max_length=MAX_TOKENS,
        model_input_names=["input_ids", "attention_mask"],
    )
    config = BertConfig(id2label=labels, label2id={name: number for number, name in labels.items()})
    make: Any = transformers.pipeline
    classify = make(
        "text-classification", model=Classifier(config).eval(), tokenizer=tokenizer, framework="pt", device="cpu"
    )

    def read(texts: Sequence[str]) -> list[str]:
        with torch.inference_mode():
            return [str(one["label"]) for one in classify(list(texts), batch_size=BATCH, truncation=True)]

    return read


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the JSON line: texts a second of ours, of the baseline, and their ratio (medians of the rounds)."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tagging", description=__doc__.split("\n")[0])
    parser.add_argument("--texts", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    options = parser.parse_args(arguments)

    tweets = real_tweets(options.texts)
    texts = tweets or made_up(options.texts)
    analyser = open_analyser(threads=options.threads)
    read = None
    if tweets is None:
        print("skipped the baseline: the research sets are not at TRAINING_DATA or ../shared/data", file=sys.stderr)
    elif find_spec("torch") is None or find_spec("onnx") is None:
        print("skipped the baseline: torch is absent (pip install -r requirements-train.txt)", file=sys.stderr)
    else:
        read = pipeline(options.threads)
        read(texts[:BATCH])
    analyser.tags(texts[:BATCH])

    ours: list[float] = []
    baseline: list[float] = []
    agreement = None
    for _ in range(options.rounds):
        began = time.perf_counter()
        tagged = analyser.tags(texts)
        ours.append(len(texts) / (time.perf_counter() - began))
        if read is not None:
            began = time.perf_counter()
            labels = read(texts)
            baseline.append(len(texts) / (time.perf_counter() - began))
            agreement = statistics.mean(
                one.sentiment.label.value == label for one, label in zip(tagged, labels, strict=True)
            )
    value = statistics.median(ours)
    against = statistics.median(baseline) if baseline else None
    print(
        json.dumps(
            {
                "name": NAME,
                "value": round(value, 1),
                "unit": "texts/s",
                "baseline": round(against, 1) if against else None,
                "ratio": round(value / against, 2) if against else None,
                "texts": len(texts),
                "threads": options.threads,
                "rounds": options.rounds,
                "same_label": round(agreement, 3) if agreement is not None else None,
                "baseline_name": "transformers.pipeline, torch float32, batch 32, arrival order, sentiment only",
            }
        )
    )


if __name__ == "__main__":
    main()
