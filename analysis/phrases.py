"""Phrases: which ones a taxonomy lacks, and which of two topics say nearly the same. Works on words of any language."""

from __future__ import annotations

import itertools
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.base import Analyser, Topic
from analysis.text import clean, mask

ALIKE = 0.6
"""Two phrases say nearly the same when their cosine is so far on the way from that of strangers to 1."""

LONGEST = 4
"""Words of a suggested phrase, at most."""

VOICES = 3
"""So many people must have used a phrase before it is suggested: nobody's own words become part of a taxonomy."""

TRIED = 30
"""Candidates that are read for each topic, the most telling first."""

SHOWN = 5
"""Suggestions for each topic."""

SHOWN_WITHOUT = 10
"""Suggestions from texts without a topic."""

EVERYWHERE = 0.04
"""A word that so large a share of all other texts has is no beginning and no end of a phrase."""

ABOUT = 0.22
"""A phrase must be so much nearer to the texts that use it than to all: 'courier' is, 'never' is not."""

NEARER = 0.08
"""And so much nearer to all of a topic's texts: 'refund' is to those about returns, 'size' is not."""

TELLING = 2.0
"""A phrase must be this many times as frequent among a topic's texts as among all others."""

Floats = NDArray[np.float32]

_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")
_MASKED = re.compile(r"@user|\bhttp\b")


@dataclass(frozen=True, slots=True)
class Spoken:
    """A text with who said it (any number that tells people apart), its topics and its `Tags.embedding`.

    `topics` are those that suggestions may rest on: confirmed by people, or of a high score. `about_something` is False
    for a text without any topic at all.
    """

    text: str
    voice: int
    topics: tuple[str, ...]
    about_something: bool
    embedding: bytes


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A phrase that `people` people used in `texts` texts; `where` has the numbers of a few of these, nearest first."""

    phrase: str
    people: int
    texts: int
    where: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Clash:
    """Two phrases of two topics that say nearly the same; `cosine` is how near they are."""

    one: tuple[str, str]
    other: tuple[str, str]
    cosine: float


def clashes(analyser: Analyser, taxonomy: Sequence[Topic], most: int = 20) -> list[Clash]:
    """Pairs of phrases of different topics (as topic and phrase) that say nearly the same, the nearest first."""
    said = [(topic.name, phrase) for topic in taxonomy for phrase in dict.fromkeys(topic.phrases)]
    if len({name for name, _ in said}) < 2:
        return []
    vectors = _vectors(analyser, [phrase for _, phrase in said])
    near, strangers = vectors @ vectors.T, _strangers(vectors, [name for name, _ in said])
    found = [
        Clash(said[one], said[other], round(min(float(near[one, other]), 1.0), 3))
        for one, other in np.argwhere(np.triu(near >= strangers + ALIKE * (1 - strangers), 1)).tolist()
        if said[one][0] != said[other][0]
    ]
    return sorted(found, key=lambda clash: -clash.cosine)[:most]


def suggest(
    analyser: Analyser, taxonomy: Sequence[Topic], spoken: Sequence[Spoken]
) -> tuple[dict[str, list[Suggestion]], list[Suggestion]]:
    """Phrases that each topic lacks, by its name, and phrases of the texts without any topic.

    A phrase is suggested where several people use it, where it tells the topic's texts from all others, and where no
    phrase of any topic says nearly the same.
    """
    used = _phrases_used(spoken)
    groups = {topic.name: [n for n, one in enumerate(spoken) if topic.name in one.topics] for topic in taxonomy}
    without = [number for number, one in enumerate(spoken) if not one.about_something]
    candidates = {name: _telling(used, spoken, numbers) for name, numbers in groups.items()}
    strange = _telling(used, spoken, without)

    phrases = [(topic.name, phrase) for topic in taxonomy for phrase in topic.phrases]
    known = _vectors(analyser, [phrase for _, phrase in phrases])
    strangers = _strangers(known, [name for name, _ in phrases])
    least = strangers + ALIKE * (1 - strangers)
    tried = list(dict.fromkeys(itertools.chain(*candidates.values(), strange)))
    read = dict(zip(tried, _vectors(analyser, tried), strict=True))

    meanings = _matrix([one.embedding for one in spoken])

    def chosen(words: Iterable[str], numbers: Sequence[int], most: int, least_near: float) -> list[Suggestion]:
        found: list[tuple[float, str, Suggestion]] = []
        for phrase in words:
            where, near = used[phrase].intersection(numbers), meanings @ read[phrase]
            about, nearer = _contrast(near, where, strangers), _contrast(near, set(numbers), strangers)
            if about >= ABOUT * (1 - strangers) and nearer >= least_near * (1 - strangers):
                worth = (about + nearer) * math.log(len(where))
                found.append((-worth, phrase, _suggestion(phrase, where, spoken, near)))
        taken: dict[str, Suggestion] = {}
        for _, phrase, suggestion in sorted(found, key=lambda one: one[:2]):
            beside = np.stack([*known, *(read[one] for one in taken)])
            if len(taken) < most and (beside @ read[phrase] < least).all():
                taken[phrase] = suggestion
        return list(taken.values())

    by_topic = {name: chosen(words, groups[name], SHOWN, NEARER) for name, words in candidates.items()}
    return by_topic, chosen(strange, without, SHOWN_WITHOUT, -1.0)


def _phrases_used(spoken: Sequence[Spoken]) -> dict[str, frozenset[int]]:
    """The texts that use each run of one to `LONGEST` words, by number; only those that `VOICES` people used."""
    found: defaultdict[str, set[int]] = defaultdict(set)
    for number, one in enumerate(spoken):
        for words in _runs(one.text):
            for size in range(1, LONGEST + 1):
                for start in range(len(words) - size + 1):
                    found[" ".join(words[start : start + size])].add(number)
    return {
        phrase: frozenset(numbers)
        for phrase, numbers in found.items()
        if len(numbers) >= VOICES and len({spoken[number].voice for number in numbers}) >= VOICES
    }


def _runs(text: str) -> list[list[str]]:
    """The words of each part of a sentence: no phrase crosses a comma, a user name or a link."""
    parts = re.split(r"[^\w\s'\u2019-]+", _MASKED.sub(".", mask(clean(text)).casefold()))
    return [_WORD.findall(part) for part in parts]


def _telling(used: dict[str, frozenset[int]], spoken: Sequence[Spoken], numbers: Sequence[int]) -> list[str]:
    """The phrases that tell these texts from all others, the most telling first; of two in one another the longer."""
    inside, others = set(numbers), len(spoken) - len(numbers)
    worth: dict[str, float] = {}
    for phrase, where in used.items():
        here = where & inside
        if len({spoken[number].voice for number in here}) < VOICES or _open_ended(phrase, used, inside, others):
            continue
        share, elsewhere = len(here) / len(inside), (len(where) - len(here) + 0.5) / (others + 5)
        if share >= TELLING * elsewhere:
            worth[phrase] = len(here) * math.log(share / elsewhere) * (1 + 0.5 * phrase.count(" "))
    ranked = sorted(worth, key=lambda phrase: (-worth[phrase], phrase))[: 4 * TRIED]
    whole = [one for one in ranked if not any(_within(one, other, used) for other in ranked)]
    return whole[:TRIED]


def _open_ended(phrase: str, used: dict[str, frozenset[int]], inside: set[int], others: int) -> bool:
    """Whether it begins or ends with a word that is everywhere, or is nothing but one short word or number."""
    words = phrase.split()
    if len(words) == 1 and (len(phrase) < 4 or phrase.isdigit()):
        return True
    return any(
        end.isdigit() or (others and len(used[end] - inside) > max(EVERYWHERE * others, 3.0))
        for end in (words[0], words[-1])
    )


def _within(one: str, other: str, used: dict[str, frozenset[int]]) -> bool:
    """Whether `one` is part of `other` and hardly ever said without it."""
    return one != other and f" {one} " in f" {other} " and len(used[other]) >= 0.6 * len(used[one])


def _suggestion(phrase: str, where: Set[int], spoken: Sequence[Spoken], near: Floats) -> Suggestion:
    nearest = sorted(where, key=lambda number: (-float(near[number]), number))
    return Suggestion(phrase, len({spoken[number].voice for number in where}), len(where), tuple(nearest[:3]))


def _vectors(analyser: Analyser, texts: Sequence[str]) -> Floats:
    return _matrix([tags.embedding for tags in analyser.tags(texts)])


def _matrix(packed: Sequence[bytes]) -> Floats:
    """Embeddings as rows; what has nothing to read is a row of zeros, near to nothing."""
    longest = max((len(one) for one in packed), default=0)
    joined = b"".join(one or bytes(longest) for one in packed)
    return np.frombuffer(joined, "<f2").astype(np.float32).reshape(len(packed), longest // 2)


def _contrast(near: Floats, inside: Set[int], strangers: float) -> float:
    """How much nearer a phrase is to these texts than to all others; where there are none, than strangers are."""
    chosen = np.zeros(len(near), bool)
    chosen[sorted(inside)] = True
    return float(near[chosen].mean()) - (strangers if chosen.all() else float(near[~chosen].mean()))


def _strangers(vectors: Floats, names: Sequence[str]) -> float:
    """How near phrases of two topics are on average: another encoder has another zero."""
    _, number = np.unique(names, return_inverse=True)
    apart = number[:, None] != number[None, :]
    return float((vectors @ vectors.T)[apart].mean()) if apart.any() else 0.0
