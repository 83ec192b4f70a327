"""Which texts are copies of each other: shared, syndicated, pasted, cut off, or changed by a word or two.

A text's *wording* is its words alone: case, punctuation, emoji, links and whom it addresses do not make another text.
`signature` gives the wording's digest, which equal wordings share, and a few keys, of which copies share one nearly
always; whoever keeps the keys in an index finds a text's possible copies without reading any other. `is_copy` then
decides, by the words in their order. The keys are stored, so what makes them must stay as it is; the deciding may be
changed at will.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.text import clean, mask

MIN_WORDS = 10
"""A shorter text is a copy of none: people say 'that's gonna be a no from me' without knowing of each other.

Among 26,000 comments of GoEmotions with ten words or more no two are equal; of those with nine there are eight.
"""
ALIKE = 0.93
"""Share of the words, in their order, that two texts must have in common: one of fifteen may differ."""

_BANDS, _ROWS = 6, 4
_OPENING = 10

# A character of a script that sets no blanks, or a word with what an apostrophe ties to it.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+(?:['\u2019][^\W_{_UNSPACED}]+)*")
_ONE_UNSPACED = re.compile(f"[{_UNSPACED}]")
_MASK = re.compile(r"@user\b|\bhttp\b")
_SHARED = re.compile(r"^\W*rt\b|\bvia\W*$", re.IGNORECASE)
_CUT_OFF = re.compile(r"(?:\u2026|\.\.\.|\[\u2026\]|\[\.\.\.\])[\s\"'\u201d\u2019)]*(?:http)?\s*$")


@dataclass(frozen=True, slots=True)
class Signature:
    """What stands for a text when its copies are looked for.

    digest: SHA-256 of the wording, hex. keys: 64-bit signed whole numbers, the fewest of which copies have none of in
    common.
    """

    digest: str
    keys: tuple[int, ...]


def signature(text: str) -> Signature | None:
    """The signature of a text of any length; None where it is too short to be copied."""
    words = wording(text)
    if not _long_enough(words):
        return None
    digest = hashlib.sha256(" ".join(words).encode()).hexdigest()
    return Signature(digest, (*_bands(words), _key("opening", *words[:_OPENING])))


def wording(text: str) -> list[str]:
    """The words of a text, folded; without user names, links and the mark of a shared post.

    Of a text that ends with an ellipsis the last word is left out: it may be half a word.
    """
    masked = mask(clean(text))
    cut = _CUT_OFF.search(masked) is not None
    plain = _SHARED.sub(" ", _MASK.sub(" ", masked))
    words = [word.replace("\u2019", "'") for word in _WORD.findall(plain.casefold())]
    return words[:-1] if cut else words


def is_copy(one: str, other: str) -> bool:
    """Whether the two texts say the same in the same words, one of them possibly cut off."""
    return alike(wording(one), wording(other)) or _is_beginning(one, other) or _is_beginning(other, one)


def alike(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two wordings have nearly all words in common, in the same order."""
    from rapidfuzz.distance import Indel

    return bool(Indel.normalized_similarity(one, other, score_cutoff=ALIKE))


def _is_beginning(short: str, whole: str) -> bool:
    """Whether `short` ends with an ellipsis and is how `whole` begins."""
    if _CUT_OFF.search(mask(clean(short))) is None:
        return False
    words = wording(short)
    return _long_enough(words) and alike(words, wording(whole)[: len(words)])


def _long_enough(words: Sequence[str]) -> bool:
    unspaced = sum(1 for word in words if _ONE_UNSPACED.match(word))
    return len(words) - unspaced / 2 >= MIN_WORDS  # two Chinese or Thai characters stand for a word


# Keys -----------------------------------------------------------------------------------------------------------------


def _bands(words: Sequence[str]) -> list[int]:
    """MinHash over pairs of neighbouring words, banded: texts that share most pairs share a band almost surely."""
    pairs = np.array([_key(*pair) for pair in zip(words, words[1:], strict=False)], np.int64).view(np.uint64)
    smallest = (_TURNS[:, None] * pairs).min(axis=1).reshape(_BANDS, _ROWS)  # wraps around: a permutation a turn
    return [_key(str(band), *map(str, rows)) for band, rows in enumerate(smallest.tolist())]


def _key(*parts: str) -> int:
    digest = hashlib.blake2b("\0".join(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


_TURNS = np.array([_key("turn", str(turn)) | 1 for turn in range(_BANDS * _ROWS)], np.int64).view(np.uint64)
