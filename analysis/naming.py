"""Names for groups of texts: the phrase that is common within a group and rare elsewhere, as people write it.

Class-based TF-IDF over phrases of one to three words. A phrase never begins or ends with a word that says nothing:
one that most groups share, or one of a short list of function words for when the texts are too few to tell.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import regex
from numpy.typing import NDArray

Numbers = NDArray[np.int64]

MAX_NAME = 60
MAX_PHRASES = 6
MAX_WORD = 30
"""Characters; what is longer is no word."""
LONGEST = 3
"""Words of a phrase."""
LONGER = {1: 1.0, 2: 1.3, 3: 1.4}
"""How much better a phrase of so many words names a group than a word that is as telling."""
WORDS_READ = 60
"""Words of a text that are looked at: what a text is about stands at its beginning."""
TEXTS_READ = 250
"""Texts of one group that are looked at; the others hold the same."""
BACKGROUND = 8_000
"""Texts that say how common a phrase is in general."""
SHARED = 0.6
"""A word that this share of the groups has anywhere begins and ends no phrase."""
ORDINARY = 0.3
"""A word that several texts of this share of the groups have, such as the brand's name, is no phrase by itself."""
SEVERAL = 0.15
"""A phrase that a smaller share of a group's texts has says nothing about the group."""
COVERS = 0.4
"""A phrase that fewer of a group's texts have gets another one beside it."""
TELLING = 0.7
"""How telling the best phrase of a group must be: the share of its texts that have it, times how many times (as a
natural logarithm) it is commoner there than elsewhere. Groups under it agree in tone, not in subject."""
FUNCTION_WORDS = Path(__file__).parent / "function_words.txt"

_IDEOGRAM = r"\p{Han}\p{Hiragana}\p{Katakana}"
_WORD = regex.compile(rf"[{_IDEOGRAM}]|(?:(?![{_IDEOGRAM}])[\p{{L}}\p{{M}}\p{{N}}])+(?:['’](?:[\p{{L}}\p{{M}}])+)*")
_ALONE = regex.compile(rf"[{_IDEOGRAM}]")
_MASKED = regex.compile(r"@user|\bhttp\b")
_JOINS = frozenset({"", " ", "-", "/", " & "})
"""What may stand between two words of a phrase."""

Phrase = tuple[str, ...]


def letters(text: str) -> str:
    """A prepared text without anything but its letters: equal for texts that differ in nothing else."""
    return "".join(word.casefold() for word in _WORD.findall(_MASKED.sub(" ", text)) if not word.isnumeric())


def describe(
    groups: Sequence[Numbers], read: Sequence[str], different: Numbers, usable: NDArray[np.bool_]
) -> list[tuple[str, tuple[str, ...]] | None]:
    """A name and phrases for each group of positions in `read`, prepared texts; no two names are equal.

    None for a group whose texts have no words in common that tell them from others: it has no subject.

    different: the positions of all texts, copies left out, that say how common a phrase is. usable: by position,
    which texts the phrases may come from; a name may come from all.
    """
    spoken = [_Group([read[one] for one in group[:TEXTS_READ]]) for group in groups]
    open_ = [
        whole if usable[group].all() else _Group([read[one] for one in group[:TEXTS_READ] if usable[one]])
        for group, whole in zip(groups, spoken, strict=True)
    ]
    silent, ordinary = _silent(spoken), _ordinary(spoken)
    ranked = [one.candidates(silent, ordinary) for one in spoken]
    lent = [
        found if one is whole else one.candidates(silent, ordinary)
        for one, whole, found in zip(open_, spoken, ranked, strict=True)
    ]
    general = _General(read, different, {phrase for found in (*ranked, *lent) for phrase, _ in found})
    named: list[tuple[str, tuple[str, ...]] | None] = []
    taken: set[str] = set()
    for group, usable_group, found, found_usable in zip(spoken, open_, ranked, lent, strict=True):
        best = general.best(found)
        if not any(general.telling(one) >= TELLING for one in best[:3]):
            named.append(None)
            continue
        name = _unlike(taken, group, best)
        taken.add(name.casefold())
        phrases = [usable_group.written(phrase) for phrase, _ in _apart(general.best(found_usable), MAX_PHRASES)]
        named.append((name, tuple(phrases)))
    return named


class _Group:
    """The phrases of one group's texts."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts
        self.vocabulary = Counter(word for text in texts for word in {word for word, _, _ in _words(text)})
        self._forms: dict[Phrase, Counter[str]] = {}

    @property
    def least(self) -> int:
        """How many texts are several."""
        return max(3 if len(self.texts) >= 8 else 2, math.ceil(SEVERAL * len(self.texts)))

    def candidates(self, silent: frozenset[str], ordinary: frozenset[str]) -> list[tuple[Phrase, float]]:
        """Phrases with the share of the texts that have them; only those that several have."""
        counted: Counter[Phrase] = Counter()
        for text in self.texts:
            counted.update({phrase for phrase, _ in _phrases(list(_words(text)))})
        least = self.least
        found = [
            (phrase, count / len(self.texts))
            for phrase, count in counted.items()
            if count >= least
            and not (len(phrase) == 1 and phrase[0] in ordinary)
            and not any(_says_nothing(word, silent) for word in (phrase[0], phrase[-1]))
        ]
        self._forms = {phrase: Counter() for phrase, _ in found}
        for text in self.texts if found else ():
            for phrase, form in _phrases(list(_words(text))):
                if phrase in self._forms:
                    self._forms[phrase][form] += 1
        return found

    def written(self, phrase: Phrase) -> str:
        """The phrase as most of these texts write it."""
        return self._forms[phrase].most_common(1)[0][0]

    def beginning(self) -> str:
        """The first words of the first text, for a group that has no phrase in common."""
        text = next((text for text in self.texts if text), "")
        words = text.split()[:7]
        cut = " ".join(words)[: MAX_NAME - 1]
        return (cut + "…" if len(cut) < len(text) else cut) or "Without words"


class _General:
    """How common phrases are among all texts."""

    def __init__(self, read: Sequence[str], different: Numbers, asked: set[Phrase]) -> None:
        chance = np.random.default_rng(len(different))
        chosen = different
        if len(different) > BACKGROUND:
            chosen = chance.choice(different, BACKGROUND, replace=False)
        self._texts = len(chosen)
        self._counted: Counter[Phrase] = Counter()
        for place in chosen:
            self._counted.update({phrase for phrase, _ in _phrases(list(_words(read[place])))} & asked)

    def best(self, candidates: Sequence[tuple[Phrase, float]]) -> list[tuple[Phrase, float]]:
        """The candidates, those first that make the best name: telling, and rather a phrase than a word."""
        return sorted(candidates, key=lambda one: (-self.telling(one) * LONGER[len(one[0])], one[0]))

    def telling(self, candidate: tuple[Phrase, float]) -> float:
        """See `TELLING`."""
        phrase, share = candidate
        usual = (self._counted[phrase] + 1) / (self._texts + 2)
        return share * math.log(max(share / usual, 1.0))


def _unlike(taken: set[str], group: _Group, best: Sequence[tuple[Phrase, float]]) -> str:
    """A name that no other group has."""
    apart = _apart(best, 4)
    if not apart:
        return _numbered(taken, group.beginning())
    enough = 1 if apart[0][1] >= COVERS and len(apart[0][0]) > 1 else 2
    for count in range(enough, len(apart) + 1):
        name = _joined([group.written(phrase) for phrase, _ in apart[:count]])
        if name.casefold() not in taken:
            return name
    return _numbered(taken, _joined([group.written(phrase) for phrase, _ in apart[:enough]]))


def _joined(phrases: Sequence[str]) -> str:
    name = phrases[0]
    for phrase in phrases[1:]:
        if len(name) + len(phrase) + 2 <= MAX_NAME:
            name = f"{name}, {phrase}"
    name = name[:MAX_NAME]
    return name[:1].upper() + name[1:]


def _numbered(taken: set[str], name: str) -> str:
    fresh, number = name, 2
    while fresh.casefold() in taken:
        fresh, number = f"{name[: MAX_NAME - 5]} ({number})", number + 1
    return fresh


def _apart(best: Sequence[tuple[Phrase, float]], most: int) -> list[tuple[Phrase, float]]:
    """The best that share no word."""
    kept: list[tuple[Phrase, float]] = []
    used: set[str] = set()
    for phrase, share in best:
        if len(kept) == most:
            break
        if used.isdisjoint(_stem(word) for word in phrase):
            kept.append((phrase, share))
            used.update(_stem(word) for word in phrase)
    return kept


def _stem(word: str) -> str:
    """Enough of a word to see that 'refund' and 'refunds' are one."""
    return word[:5] if len(word) > 5 else word


# Words ----------------------------------------------------------------------------------------------------------------


def _words(text: str) -> Iterator[tuple[str, str, bool]]:
    """Each word folded, as written, and whether it follows the word before it without a stop."""
    end = -1
    for count, found in enumerate(_WORD.finditer(_MASKED.sub(" | ", text))):
        if count == WORDS_READ:
            return
        written = found.group()
        follows = end >= 0 and found.string[end : found.start()] in _JOINS
        end = found.end()
        if len(written) <= MAX_WORD:
            yield written.casefold().replace("’", "'"), written, follows
        else:
            end = -1


def _phrases(words: Sequence[tuple[str, str, bool]]) -> Iterator[tuple[Phrase, str]]:
    """Every run of up to `LONGEST` words, folded and as written."""
    for start in range(len(words)):
        folded, written = [words[start][0]], words[start][1]
        yield (folded[0],), written
        for word, form, follows in words[start + 1 : start + LONGEST]:
            if not follows:
                break
            together = _ALONE.fullmatch(written[-1]) and _ALONE.fullmatch(form)
            written = f"{written}{'' if together else ' '}{form}"
            folded.append(word)
            yield tuple(folded), written


def _says_nothing(word: str, silent: frozenset[str]) -> bool:
    bare = word.replace("'", "")
    return word in silent or bare in silent or word.isnumeric() or (len(word) == 1 and not _ALONE.fullmatch(word))


def _silent(groups: Sequence[_Group]) -> frozenset[str]:
    """Words that say nothing: function words, and those that most of many groups have."""
    if len(groups) < 6:
        return _silent_words()
    counted: Counter[str] = Counter()
    for group in groups:
        counted.update(group.vocabulary.keys())
    return _silent_words() | {word for word, count in counted.items() if count > SHARED * len(groups)}


def _ordinary(groups: Sequence[_Group]) -> frozenset[str]:
    """Words that so many groups have in several of their texts that they tell none of them apart."""
    counted: Counter[str] = Counter()
    for group in groups:
        counted.update(word for word, count in group.vocabulary.items() if count >= group.least)
    return frozenset(word for word, count in counted.items() if count > max(2, ORDINARY * len(groups)))


@functools.cache
def _silent_words() -> frozenset[str]:
    lines = FUNCTION_WORDS.read_text(encoding="utf-8").splitlines()
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split()[1:])
