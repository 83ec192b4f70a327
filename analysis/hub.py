"""Sentiment by any sequence classification checkpoint of the model hub; all other tags stay the bundled model's.

Needs requirements-hub.txt, and imports it only when a checkpoint is opened. A checkpoint is data from strangers: it is
never allowed to run code of its own, and its weights are read as safetensors only.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import os
import re
import threading
import time
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.base import (
    BESIDE,
    Analyser,
    AnalysisError,
    HubModel,
    Rereads,
    Sentiment,
    SentimentScores,
    Tags,
    Topic,
    TopicScore,
)
from analysis.text import clean, mask

SENTIMENTS = (Sentiment.NEGATIVE, Sentiment.NEUTRAL, Sentiment.POSITIVE)
BATCH = 32
MAX_TOKENS = 512
"""What is read of a text where the checkpoint could read more: 2,000 characters seldom have as many."""

REPLY_SECONDS = 10
"""How long the hub may take to answer; a download may take as long as it keeps coming."""

AGAIN_SECONDS = 600.0
"""After this long a checkpoint that could not be used is tried again: the network may be back."""

_WEIGHTS = re.compile(r"model(?:-\d+-of-\d+)?\.safetensors")
_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
# Configuration, tokenizer, and where the parts of the weights are.
_SMALL = re.compile(r"[\w-]+(?:\.safetensors\.index)?\.json|[\w.-]+\.model|(?:vocab|merges|bpe)[\w.-]*")

log = logging.getLogger(__name__)

Floats = NDArray[np.float64]


class HubError(AnalysisError):
    """The checkpoint cannot be used; the message is one line that says why and what to do."""


def over(bundled: Analyser, wanted: HubModel, threads: int | None = None) -> HubAnalyser:
    """`bundled` with the sentiment of a checkpoint; it keeps the power `Rereads` where `bundled` has it."""
    return (_Rereading if isinstance(bundled, Rereads) else HubAnalyser)(bundled, wanted, threads)


class HubAnalyser:
    """An `Analyser` (see analysis.base) whose sentiment is a checkpoint's, and everything else `bundled`'s.

    While the checkpoint cannot be used, `bundled` says the sentiment too, `trouble` and the log say why in one line,
    and every ten minutes it is tried again.
    """

    def __init__(self, bundled: Analyser, wanted: HubModel, threads: int | None = None) -> None:
        self._bundled = bundled
        self._wanted = wanted
        self._threads = threads
        self._checkpoint: Checkpoint | None = None
        self._trouble = ""
        self._again = 0.0
        self._open()

    @property
    def model(self) -> str:
        """Name and version of the bundled model, and of the checkpoint while that is in use."""
        return self._bundled.model if self._checkpoint is None else self._named(self._checkpoint)

    @property
    def trouble(self) -> str:
        """Why the checkpoint is not in use and what to do, in one line; "" while it is."""
        return self._trouble

    def tags(self, texts: Sequence[str]) -> list[Tags]:
        """Tags for each text, in order. Equal texts are read once. Never raises on a text, however odd it is."""
        said = self._bundled.tags(texts)
        if self._checkpoint is None and time.monotonic() >= self._again:
            self._open()
        checkpoint = self._checkpoint
        if checkpoint is None:
            return said
        try:
            moods = checkpoint.moods([mask(clean(text)) for text in texts])
        except HubError as error:
            self._give_up(error)
            return said
        self._trouble = ""
        name = self._named(checkpoint)
        return [
            replace(tags, sentiment=mood or tags.sentiment, model=name) for tags, mood in zip(said, moods, strict=True)
        ]

    def _named(self, checkpoint: Checkpoint) -> str:
        return f"{self._bundled.model}{BESIDE}{checkpoint.name}"

    def _open(self) -> None:
        try:
            self._checkpoint = load(self._wanted, self._threads)
        except HubError as error:
            self._give_up(error)
        else:
            log.info("Sentiment is read by %s on %s", self._checkpoint.name, self._checkpoint.device)

    def _give_up(self, error: HubError) -> None:
        name = one_line(self._wanted.checkpoint, 200)
        words = f"The sentiment model {name} cannot be used: {error} The bundled model goes on."
        if words != self._trouble:
            log.warning("%s", words)
        self._checkpoint, self._trouble, self._again = None, words, time.monotonic() + AGAIN_SECONDS


class _Rereading(HubAnalyser):
    """A `HubAnalyser` over one that tells topics from embeddings, which are its own."""

    _bundled: Any

    def topics(self, embeddings: Sequence[bytes], languages: Sequence[str]) -> list[tuple[TopicScore, ...]]:
        """As `bundled` says."""
        found: list[tuple[TopicScore, ...]] = self._bundled.topics(embeddings, languages)
        return found

    def with_topics(self, topics: Sequence[Topic]) -> HubAnalyser:
        """The same checkpoint over `bundled` under another taxonomy."""
        other = copy(self)
        other._bundled = self._bundled.with_topics(topics)
        return other


class Checkpoint:
    """A loaded checkpoint. `device` is "cuda" or "cpu"; `name` holds what it was loaded from and in which version."""

    def __init__(self, name: str, tokenizer: Any, network: Any, meanings: Floats, device: str) -> None:
        self.name = name
        self.device = device
        self._tokenizer = tokenizer
        self._network = network
        self._meanings = meanings
        self._alone = threading.Lock()
        positions = getattr(network.config, "max_position_embeddings", None) or MAX_TOKENS + 2
        # RoBERTa's positions begin at two, and not every tokenizer knows how many there are.
        self._longest = max(2, min(int(tokenizer.model_max_length), positions - 2, MAX_TOKENS))

    def moods(self, prepared: Sequence[str]) -> list[SentimentScores | None]:
        """The sentiment of each cleaned text, None where there is nothing to read. Equal texts are read once.

        Raises HubError when the network fails or answers with what is no number.
        """
        fresh = list(dict.fromkeys(text for text in prepared if text))
        known = dict(zip(fresh, map(_scores, self.probabilities(fresh)), strict=True))
        return [known.get(text) for text in prepared]

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """Of each text, the probabilities of negative, neutral and positive, [n, 3]; batched by length."""
        import torch

        found = np.empty((len(texts), len(SENTIMENTS)))
        try:
            # Two threads that set the length of one tokenizer at once are an error there.
            with self._alone, torch.inference_mode():
                rows = [self._tokenizer(text, truncation=True, max_length=self._longest)["input_ids"] for text in texts]
                order = sorted(range(len(rows)), key=lambda number: len(rows[number]))
                for start in range(0, len(order), BATCH):
                    chosen = order[start : start + BATCH]
                    batch = self._tokenizer.pad({"input_ids": [rows[one] for one in chosen]}, return_tensors="pt")
                    logits = self._network(**batch.to(self.device)).logits
                    found[chosen] = torch.softmax(logits.double(), dim=-1).cpu().numpy() @ self._meanings
        except Exception as error:  # no two architectures fail alike, and memory runs out as a RuntimeError
            raise HubError(f"it failed while it read ({_first_line(error)}).") from error
        if not np.isfinite(found).all():
            raise HubError("its answers are no numbers (NaN); the weights are damaged.")
        return found


def _scores(shares: Floats) -> SentimentScores:
    negative, neutral, positive = (float(share) for share in shares / shares.sum())
    return SentimentScores(SENTIMENTS[int(np.argmax(shares))], negative, neutral, positive)


# What its labels mean -------------------------------------------------------------------------------------------------

_NAMES = {
    "negative": Sentiment.NEGATIVE, "neg": Sentiment.NEGATIVE, "very negative": Sentiment.NEGATIVE,
    "neutral": Sentiment.NEUTRAL, "neu": Sentiment.NEUTRAL,
    "positive": Sentiment.POSITIVE, "pos": Sentiment.POSITIVE, "very positive": Sentiment.POSITIVE,
}  # fmt: skip
_STARS = (Sentiment.NEGATIVE, Sentiment.NEGATIVE, Sentiment.NEUTRAL, Sentiment.POSITIVE, Sentiment.POSITIVE)


def meanings(labels: Sequence[str], told: str | None = None) -> list[Sentiment]:
    """What each of a checkpoint's labels, in the order of its outputs, means.

    told: `HubModel.labels`. Raises HubError that names the labels where nobody can know.
    """
    if told:
        return _as_told(labels, told)
    plain = [" ".join(re.split(r"[\s_-]+", label.strip().casefold())) for label in labels]
    known = [_NAMES[name] for name in plain if name in _NAMES]
    if len(known) == len(plain) and {Sentiment.NEGATIVE, Sentiment.POSITIVE} <= set(known):
        return known
    if plain == ["label 0", "label 1", "label 2"]:
        return list(SENTIMENTS)
    stars = [re.fullmatch(r"([1-5])(?: stars?)?", name) for name in plain]
    if sorted(found[1] for found in stars if found) == list("12345") and len(plain) == len(_STARS):
        return [_STARS[int(found[1]) - 1] for found in stars if found]
    example = ",".join(f"{label}={mood}" for label, mood in zip(labels, SENTIMENTS, strict=False))
    raise HubError(
        f"nobody can tell what its labels mean: {_listed(labels)}. Map each of them to negative, neutral or "
        f"positive with SENTIMENT_LABELS, such as {one_line(example, 120)}."
    )


def _as_told(labels: Sequence[str], told: str) -> list[Sentiment]:
    pairs = [part.rpartition("=") for part in told.split(",") if part.strip()]
    by_label = {label.strip().casefold(): mood.strip().casefold() for label, _, mood in pairs}
    wrong = [mood for mood in by_label.values() if mood not in set(Sentiment)]
    missing = [label for label in labels if label.strip().casefold() not in by_label]
    if wrong or missing or len(by_label) != len(labels):
        raise HubError(
            f"SENTIMENT_LABELS, '{one_line(told, 120)}', must name each of its labels ({_listed(labels)}) once, "
            "as label=negative, label=neutral or label=positive, with commas between them."
        )
    return [Sentiment(by_label[label.strip().casefold()]) for label in labels]


def _listed(labels: Sequence[str]) -> str:
    shown = ", ".join(one_line(label, 40) for label in labels[:8])
    return shown + (f" and {len(labels) - 8} more" if len(labels) > 8 else "")


# Where it is ----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def load(wanted: HubModel, threads: int | None = None) -> Checkpoint:
    """Opens the checkpoint, from the hub where it is no folder; kept for the process. Raises HubError."""
    if importlib.util.find_spec("torch") is None:
        raise HubError("the package torch is not installed. Run `make hub` and start again.")
    folder = Path(wanted.checkpoint).expanduser()
    if folder.is_dir():
        name = "-".join(one_line(folder.resolve().name, 80).split())
        return _from_folder(folder, wanted, f"{name} {_fingerprint(folder)}", threads)
    if wanted.checkpoint.startswith((".", "/", "~")) or wanted.checkpoint.count("/") > 1:
        raise HubError("there is no such folder.")
    folder = fetch(wanted)
    return _from_folder(folder, wanted, f"{wanted.checkpoint} {folder.name[:8]}", threads)


def fetch(wanted: HubModel) -> Path:
    """The folder with the checkpoint's files of one commit, whose name is the folder's. Raises HubError.

    Asks the hub once and downloads what is not on this machine yet; where the hub does not answer, and for a revision
    that is a commit, what was downloaded before will do.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from huggingface_hub import HfApi, errors, hf_hub_download, utils

    quiet: Any = utils
    quiet.disable_progress_bars()
    quiet.logging.set_verbosity_error()  # each of its retries would be a line of the log
    name, revision = wanted.checkpoint, wanted.revision
    if revision and re.fullmatch("[0-9a-f]{40}", revision) and (folder := _kept(wanted)):
        return folder  # a commit never changes
    try:
        found = HfApi().model_info(name, revision=revision, timeout=REPLY_SECONDS)
    except errors.HFValidationError as error:
        raise HubError("this is neither a folder nor the name of a checkpoint, such as name/model.") from error
    except errors.GatedRepoError as error:
        raise HubError("its owners let in only whom they know. Ask them on its page and set HF_TOKEN.") from error
    except errors.RevisionNotFoundError as error:
        raise HubError(f"it has no revision '{one_line(revision or '', 80)}'.") from error
    except errors.RepositoryNotFoundError as error:
        raise HubError("the hub has no such checkpoint, or shows it to others only (HF_TOKEN).") from error
    except Exception as error:  # no route, no name, no time, no sense: the library has a word for each
        folder = _kept(wanted)
        if folder is None:
            why = _first_line(error)
            raise HubError(f"the hub cannot be reached ({why}), and it is not on this machine.") from error
        return folder
    files = [one.rfilename for one in found.siblings or []]
    _check_files(files)
    try:
        # The small files first: whatever else is wrong with it shows before the weights are downloaded.
        for file in [*filter(_SMALL.fullmatch, files), *filter(_WEIGHTS.fullmatch, files)]:
            path = Path(hf_hub_download(name, file, revision=found.sha, etag_timeout=REPLY_SECONDS))
            if file == "config.json":
                _check_config(path.parent, wanted.labels)
        # Asked for by its branch, the library notes which commit that is now: what will be taken without a network.
        hf_hub_download(name, "config.json", revision=revision, etag_timeout=REPLY_SECONDS)
    except HubError:
        raise
    except Exception as error:
        raise HubError(f"it cannot be downloaded ({_first_line(error)}).") from error
    return path.parent


def _kept(wanted: HubModel) -> Path | None:
    """What was downloaded before, if it is all there."""
    from huggingface_hub import errors, snapshot_download

    try:
        folder = Path(snapshot_download(wanted.checkpoint, revision=wanted.revision, local_files_only=True))
    except (errors.LocalEntryNotFoundError, OSError, ValueError):
        return None
    names = [path.name for path in folder.iterdir()]
    return folder if "config.json" in names and any(map(_WEIGHTS.fullmatch, names)) else None


def _check_files(files: Sequence[str]) -> None:
    if "config.json" not in files:
        raise HubError("it has no config.json: this is no checkpoint of transformers.")
    if any(map(_WEIGHTS.fullmatch, files)):
        return
    if any(file.endswith(_PICKLED) for file in files):
        raise HubError("its weights are pickled, which could run anything; only safetensors are read.")
    raise HubError("it has no weights as safetensors.")


def _check_config(folder: Path, told: str | None) -> None:
    """Raises HubError unless the checkpoint classifies whole texts, with labels that are understood."""
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        labels = config.get("id2label") or {}
        made_for = config.get("architectures") or []
        names = [str(labels[number]) for number in sorted(labels, key=int)]
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise HubError(f"its config.json cannot be read ({_first_line(error)}).") from error
    if not any(str(one).endswith("ForSequenceClassification") for one in made_for):
        what = ", ".join(one_line(str(one), 60) for one in made_for[:3]) or "nothing that it names"
        raise HubError(f"it was made for another task ({what}); sentiment needs one for sequence classification.")
    meanings(names or ["LABEL_0", "LABEL_1"], told)  # transformers' own two, where a checkpoint names none


def _fingerprint(folder: Path) -> str:
    """Eight letters that change with the configuration and the weights: a folder can be trained again in its place."""
    known = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if _SMALL.fullmatch(path.name) or _WEIGHTS.fullmatch(path.name):
            with path.open("rb") as file:
                known.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return known.hexdigest()[:8]


def _from_folder(folder: Path, wanted: HubModel, name: str, threads: int | None) -> Checkpoint:
    _check_files([path.name for path in folder.iterdir()])
    _check_config(folder, wanted.labels)
    try:
        return _loaded(folder, wanted, name, threads)
    except HubError:
        raise
    except Exception as error:  # whatever stands in a stranger's files, in whatever library it comes up
        raise HubError(f"it cannot be loaded ({_first_line(error)}).") from error


def _loaded(folder: Path, wanted: HubModel, name: str, threads: int | None) -> Checkpoint:
    import torch
    import transformers

    quiet: Any = transformers.utils.logging
    quiet.set_verbosity_error()
    quiet.disable_progress_bar()
    if threads:
        torch.set_num_threads(threads)
    safe: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **safe)
    network, report = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder, use_safetensors=True, dtype=torch.float32, output_loading_info=True, **safe
    )
    if report["missing_keys"] or report.get("mismatched_keys"):
        raise HubError("its weights lack a part of the network; it would answer by chance.")
    if len(tokenizer) > network.get_input_embeddings().num_embeddings:
        raise HubError("its tokenizer knows more words than its network.")
    if tokenizer.pad_token_id is None:
        raise HubError("its tokenizer cannot pad texts to one length.")
    count = network.config.num_labels
    found = meanings([str(network.config.id2label[number]) for number in range(count)], wanted.labels)
    weights = np.asarray([[mood is one for one in SENTIMENTS] for mood in found], np.float64)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    checkpoint = Checkpoint(name, tokenizer, network.eval().to(device), weights, device)
    checkpoint.probabilities(["it works", "or it says at once that it does not"])
    return checkpoint


def _first_line(error: BaseException) -> str:
    words = one_line(str(error).strip().partition("\n")[0], 200)
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def one_line(words: str, longest: int) -> str:
    """`words` on one line of at most so many characters: what strangers wrote must not forge a line of the log."""
    plain = " ".join("".join(one if one.isprintable() else " " for one in words).split())
    return plain if len(plain) <= longest else plain[: longest - 1] + "…"
