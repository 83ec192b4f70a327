"""Tiny checkpoints of the sort that stands on the hub: made in a moment, and sure of a handful of words."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="torch is missing: install requirements-hub.txt (make hub)"
)

WORDS = {
    "negative": ["awful", "broken", "late"],
    "neutral": ["table", "nine", "blue"],
    "positive": ["lovely", "great", "thanks"],
}
"""What the tiny network knows; of any other word it knows nothing."""

ORDER = list(WORDS)
VOCABULARY = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "@user",
    "http",
    *(word for words in WORDS.values() for word in words),
]


@cache
def _taught() -> Any:
    """A BERT of two layers of 32 that has learnt WORDS, its outputs in the order negative, neutral, positive."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(7)
    torch.set_num_threads(1)
    config: Any = BertConfig(
        vocab_size=len(VOCABULARY), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=40, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, initializer_range=0.3,
    )  # fmt: skip
    config.num_labels = len(ORDER)
    network: Any = BertForSequenceClassification(config)
    pairs = [(VOCABULARY.index(word), ORDER.index(mood)) for mood, words in WORDS.items() for word in words]
    ids = torch.tensor([[2, *[word] * count, *[1] * (3 - count), 3] for word, _ in pairs for count in (1, 2, 3)])
    wanted = torch.tensor([mood for _, mood in pairs for _ in (1, 2, 3)])
    fitting = torch.optim.AdamW(network.parameters(), lr=5e-3)
    for _ in range(60):
        fitting.zero_grad()
        network(input_ids=ids, labels=wanted).loss.backward()
        fitting.step()
    return network.eval()


def checkpoint(
    folder: Path, labels: Sequence[str] = ORDER, rows: Sequence[int] = (0, 1, 2), *, broken: str = ""
) -> Path:
    """A checkpoint in `folder` whose outputs have `labels` and are the taught network's numbers `rows`.

    broken: "nan" damages its weights; "pickled" saves them as torch does.
    """
    import torch
    from transformers import BertForSequenceClassification

    taught = _taught()
    config = type(taught.config)(**taught.config.to_dict())
    config.num_labels = len(labels)
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: number for number, label in enumerate(labels)}
    network = BertForSequenceClassification(config)
    state = dict(taught.state_dict())
    for name in ("classifier.weight", "classifier.bias"):
        state[name] = state[name][list(rows)]
    network.load_state_dict(state)
    if broken == "nan":
        with torch.no_grad():
            network.classifier.bias.fill_(float("nan"))
    network.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    if broken == "pickled":
        torch.save(network.state_dict(), folder / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()
    return folder


def tokenizer() -> Any:
    """One token a word, as BERT frames them."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.WordLevel({word: number for number, word in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    fast: Any = PreTrainedTokenizerFast
    return fast(tokenizer_object=made, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]")
