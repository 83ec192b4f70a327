# Linters run where torch is not installed, and then everything of torch's is Any.
# mypy: disable-error-code="misc, untyped-decorator, unused-ignore, no-any-return, import-not-found, no-untyped-call"
"""Fine-tuning: sentiment is learned while the mean-pooled embedding is held where it should be."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn

from analysis.training.network import CLASSES, INTENT_CLASSES, Network, base_folder


@dataclass(frozen=True, slots=True)
class Recipe:
    """What one training run does. The learning rate falls to zero at `epochs`, whatever the clock says: a busy
    machine trains longer, and not less."""

    epochs: float = 2.0
    batch: int = 32
    tokens: int = 64
    rate: float = 1.5e-4
    head_rate: float = 1e-3
    hold: float = 6.0
    """Weight of 1 - cosine(embedding, target) beside the sentiment's cross-entropy."""
    smoothing: float = 0.0
    """Label smoothing of the cross-entropy."""
    frozen_layers: int = 0
    """How many of the lowest layers keep their weights; the word vectors always do."""
    seed: int = 7
    threads: int = 2
    """Fixed: sums are split by it, and other splits round otherwise."""
    bfloat16: bool = True


UNLABELLED = -100
"""The class number of a text that only teaches the embedding (torch's own 'ignore this target')."""


@dataclass(frozen=True, slots=True)
class Example:
    """One text ready to train on: its sentiment or UNLABELLED, where its embedding should be, where that is known,
    and its intent or UNLABELLED."""

    ids: list[int]
    label: int
    target: NDArray[np.float32] | None
    intent: int = UNLABELLED


@dataclass(frozen=True, slots=True)
class Validation:
    """Rows of token ids with their labels, and how well an array of predictions does on them, in percent."""

    rows: list[list[int]]
    labels: list[int]
    score: Callable[[NDArray[np.int64], Sequence[int]], float]


@dataclass(frozen=True, slots=True)
class Material:
    """What one run reads. The checkpoint with the best mean over `validation` is kept; `watched` are rows whose
    embedding must not drift from `watched_targets`."""

    network: Network
    examples: list[Example]
    validation: dict[str, Validation]
    watched: list[list[int]]
    watched_targets: NDArray[np.float32]


def say(**figures: object) -> None:
    """One JSON line of figures on standard output."""
    print(json.dumps(figures), flush=True)


def tokenizer(tokens: int) -> Tokenizer:
    """The base model's tokenizer, cutting at `tokens`."""
    read = Tokenizer.from_file(str(base_folder() / "tokenizer.json"))
    read.no_padding()
    read.enable_truncation(tokens)
    return read


def padded(rows: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
    """Token ids and attention mask, [rows, longest]; 0 is BERT's padding."""
    width = max(len(row) for row in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    seen = torch.zeros(len(rows), width, dtype=torch.long)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = torch.tensor(row)
        seen[number, : len(row)] = 1
    return ids, seen


@torch.no_grad()
def outputs(
    network: Network, rows: Sequence[list[int]], batch: int = 64, *, bfloat16: bool = False
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Sentiment logits and embeddings of all rows, read in batches of like length, returned in order."""
    network.eval()
    logits = np.empty((len(rows), CLASSES), np.float32)
    embeddings = np.empty((len(rows), network.encoder.config.hidden_size), np.float32)
    order = sorted(range(len(rows)), key=lambda number: len(rows[number]))
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            some_logits, some_embeddings, _ = network(*padded([rows[number] for number in chosen]))
        logits[chosen], embeddings[chosen] = some_logits.float().numpy(), some_embeddings.float().numpy()
    return logits, embeddings


def _epoch(examples: Sequence[Example], batch: int, chance: random.Random) -> Iterator[list[Example]]:
    """Every example once, in random batches of like length, so that little is computed on padding."""
    order = list(range(len(examples)))
    chance.shuffle(order)
    batches: list[list[int]] = []
    for start in range(0, len(order), 50 * batch):
        pool = sorted(order[start : start + 50 * batch], key=lambda number: len(examples[number].ids))
        batches += [pool[first : first + batch] for first in range(0, len(pool), batch)]
    chance.shuffle(batches)
    for chosen in batches:
        yield [examples[number] for number in chosen]


def _log_prior(labels: Sequence[int], classes: int) -> Tensor:
    """Balanced softmax: the logits learn what the text says, not how rare a class was in the training set."""
    prior = np.bincount([label for label in labels if label >= 0], minlength=classes).astype(np.float32)
    return torch.from_numpy(np.log(np.maximum(prior, 1) / max(float(prior.sum()), 1.0)))


def fine_tune(prepare: Callable[[Recipe], Material], checkpoint: Path, recipe: Recipe) -> None:
    """Trains, and keeps in `checkpoint` the weights with the best validation score. Prints JSON lines."""
    torch.set_num_threads(recipe.threads)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(recipe.seed)
    chance = random.Random(recipe.seed)
    started = time.monotonic()
    material = prepare(recipe)
    network, examples = material.network, material.examples
    network.encoder.embeddings.requires_grad_(False)
    for layer in network.encoder.encoder.layer[: recipe.frozen_layers]:
        layer.requires_grad_(False)
    say(
        step="prepared",
        examples=len(examples),
        held=sum(e.target is not None for e in examples),
        seconds=round(time.monotonic() - started),
    )

    log_prior = _log_prior([e.label for e in examples], CLASSES)
    log_intents = _log_prior([e.intent for e in examples], INTENT_CLASSES)
    body = [weight for weight in network.encoder.parameters() if weight.requires_grad]
    body += network.carry.parameters() if network.carry is not None else ()
    head = [*network.head.parameters(), *network.look.parameters()]
    head += network.asking.parameters() if network.asking is not None else ()
    optimizer = torch.optim.AdamW(
        [{"params": body, "lr": recipe.rate}, {"params": head, "lr": recipe.head_rate}], weight_decay=0.01
    )
    peaks = [group["lr"] for group in optimizer.param_groups]
    total = recipe.epochs * len(examples)
    seen, step, best, next_look = 0, 0, 0.0, 0.15
    started = time.monotonic()
    losses: list[float] = []
    drifts: list[float] = []
    wants: list[float] = []

    def read(rows: Sequence[list[int]]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return outputs(network, rows, bfloat16=recipe.bfloat16)

    def look() -> None:
        nonlocal best
        scores = {
            name: round(one.score(read(one.rows)[0].argmax(1), one.labels), 2)
            for name, one in material.validation.items()
        }
        mean = float(np.mean(list(scores.values())))
        _, now = read(material.watched)
        say(
            step="validation",
            examples=seen,
            minutes=round((time.monotonic() - started) / 60, 1),
            loss=round(float(np.mean(losses[-300:])), 4),
            drift=round(float(np.mean(drifts[-300:])), 4),
            mean=round(mean, 2),
            scores=scores,
            watched_cosine=round(float((material.watched_targets * now).sum(1).mean()), 4),
        )
        if mean > best:
            best = mean
            torch.save(network.state_dict(), checkpoint)

    progress = 0.0
    while progress < 1:
        for batch in _epoch(examples, recipe.batch, chance):
            progress = seen / total
            if progress >= 1:
                break
            if progress >= next_look:
                look()
                next_look = progress + (0.15 if progress < 0.7 else 0.075)
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * min(seen / (0.05 * total), 1.0) * (1 - progress)
            network.train()
            ids, mask = padded([example.ids for example in batch])
            labels = torch.tensor([example.label for example in batch])
            intents = torch.tensor([example.intent for example in batch])
            held = [number for number, example in enumerate(batch) if example.target is not None]
            with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bfloat16):
                logits, embeddings, asked = network(ids, mask)
            loss = torch.zeros(())
            if bool((labels >= 0).any()):
                crossed = nn.functional.cross_entropy(
                    logits.float() + log_prior, labels, ignore_index=UNLABELLED, label_smoothing=recipe.smoothing
                )
                losses.append(crossed.item())
                # Weighed by the share of labelled texts, so that each counts alike in every batch.
                loss = loss + crossed * float((labels >= 0).float().mean())
            if asked is not None and bool((intents >= 0).any()):
                wrong = nn.functional.cross_entropy(asked.float() + log_intents, intents, ignore_index=UNLABELLED)
                wants.append(wrong.item())
                loss = loss + wrong * float((intents >= 0).float().mean())
            if held:
                target = torch.from_numpy(np.stack([t for e in batch if (t := e.target) is not None]))
                drift = (1 - (embeddings.float()[held] * target).sum(1)).mean()
                drifts.append(drift.item())
                loss = loss + recipe.hold * drift * (len(held) / len(batch))
            loss.backward()
            nn.utils.clip_grad_norm_([*body, *head], 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            seen += len(batch)
            step += 1
            if step % 100 == 0:
                say(
                    step=step,
                    examples=seen,
                    rate=round(seen / (time.monotonic() - started), 1),
                    loss=round(float(np.mean(losses[-100:])), 4),
                    drift=round(float(np.mean(drifts[-100:])), 4),
                    intent=round(float(np.mean(wants[-100:])), 4) if wants else None,
                )
    look()
    say(step="trained", examples=seen, best=round(best, 2), minutes=round((time.monotonic() - started) / 60, 1))
