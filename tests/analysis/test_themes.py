"""Clusters planted among noise are found, named and quoted; odd input harms nothing."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from analysis import naming, themes
from analysis.themes import Cluster, Known, find, match
from tests.chatter import CHATTER, NOUNS, SAID

Floats = NDArray[np.float32]


class World:
    """Texts with the embeddings that a good encoder would give them: subjects in tight balls, chatter anywhere."""

    def __init__(self, seed: int = 1) -> None:
        self.chance = np.random.default_rng(seed)
        self.centres = {noun: self._somewhere() for noun in NOUNS}
        self.texts: list[str] = []
        self.vectors: list[Floats] = []

    def _somewhere(self) -> Floats:
        return np.asarray(self.chance.normal(size=64) / 8, np.float32)

    def speak(self, noun: str, count: int) -> World:
        for number in range(count):
            words = " ".join(self.chance.choice(CHATTER, 4, replace=False))
            sentence = SAID[number % 3].format(noun, number)
            self.texts.append(f"{sentence}, {words}")
            self.vectors.append(self.centres[noun] + 0.45 * self._somewhere())
        return self

    def chat(self, count: int) -> World:
        for _ in range(count):
            self.texts.append(" ".join(self.chance.choice(CHATTER, 7)))
            self.vectors.append(self._somewhere())
        return self

    def found(self) -> list[Cluster]:
        return find(self.embeddings, self.texts)

    @property
    def embeddings(self) -> Floats:
        return np.stack(self.vectors)


def planted() -> World:
    """Twelve subjects, from 48 texts on refunds down to 15 on tyres, and as much chatter."""
    world = World()
    for place, noun in enumerate(NOUNS):
        world.speak(noun, 48 - 3 * place)
    return world.chat(380)


def noun_of(cluster: Cluster) -> str:
    return cluster.name.split(",")[0].split()[0].lower()


def known(clusters: list[Cluster]) -> list[Known]:
    return [Known(one.centroid, frozenset(one.members)) for one in clusters]


def test_what_was_planted_is_found_named_and_the_rest_left_out() -> None:
    world = planted()
    found = world.found()
    assert sorted(map(noun_of, found)) == sorted(NOUNS)
    assert [len(one.members) for one in found] == sorted((len(one.members) for one in found), reverse=True)
    for cluster in found:
        about = [number for number, text in enumerate(world.texts) if noun_of(cluster) in text.lower()]
        assert len(set(about) & set(cluster.members)) >= 0.8 * len(about)
        assert len(set(cluster.members) - set(about)) <= 2
        assert list(cluster.scores) == sorted(cluster.scores, reverse=True)
        assert len(set(cluster.quotes)) == 3
        assert set(cluster.quotes) <= set(cluster.members)


def test_quotes_differ_and_are_no_longer_than_one_reads() -> None:
    world = planted()
    world.texts[0] = "Refund. " * 250
    world.texts[1] = "Refund"
    quotes = [world.texts[one] for cluster in world.found() for one in cluster.quotes]
    assert all(20 < len(quote) < 400 for quote in quotes)
    assert len(set(quotes)) == len(quotes)


def test_the_same_input_gives_the_same_clusters() -> None:
    assert [c.members for c in planted().found()] == [c.members for c in planted().found()]


def test_chatter_alone_has_no_themes() -> None:
    assert World().chat(400).found() == []


def test_copies_count_once_for_the_geometry_and_each_for_the_size() -> None:
    world = planted()
    world.texts += [f"{world.texts[0]} https://shop.example/{n}" for n in range(200)]
    world.vectors += [world.vectors[0]] * 200
    plain, copied = planted().found(), world.found()
    assert len(copied) == len(plain)
    assert copied[0].name == plain[0].name
    assert len(copied[0].members) == len(plain[0].members) + 200
    assert len({world.texts[one][:40] for one in copied[0].quotes}) == 3


def test_one_text_copied_a_thousand_times_is_no_theme() -> None:
    world = World().chat(200)
    world.texts += ["Win a free phone now"] * 1_000
    world.vectors += [world.vectors[0]] * 1_000
    assert world.found() == []


def test_weights_decide_the_order() -> None:
    world = planted()
    weights = [20.0 if "tyre" in text else 1.0 for text in world.texts]
    found = find(world.embeddings, world.texts, weights=weights)
    assert noun_of(found[0]) == "tyre"
    assert found[0].weight >= 20 * 12


def test_no_words_of_an_unusable_text_become_phrases() -> None:
    world = planted()
    usable = ["efund" not in text for text in world.texts]
    found = {noun_of(one): one for one in find(world.embeddings, world.texts, usable=usable)}
    assert found["refund"].phrases == ()
    assert found["battery"].phrases
    assert not any("efund" in phrase for one in found.values() for phrase in one.phrases)


def test_identity_stays_when_a_tenth_is_new_and_sizes_follow() -> None:
    world = planted()
    before = world.found()
    after = world.speak("refund", 9).speak("tyre", 30).chat(40).found()
    fates = match(known(before), after, world.embeddings.mean(axis=0))
    assert {noun_of(before[fate.continues or 0]): noun_of(one) for fate, one in zip(fates, after, strict=True)} == {
        noun: noun for noun in NOUNS
    }
    sizes = {noun_of(one): len(one.members) for one in after}
    assert sizes["tyre"] > 2 * next(len(one.members) for one in before if noun_of(one) == "tyre")


def test_identity_stays_when_nothing_said_before_is_left() -> None:
    world = planted()
    before = world.found()
    world.texts, world.vectors = [], []
    for noun in NOUNS[4:]:
        world.speak(noun, 25)
    after = world.chat(300).found()
    fates = match([Known(one.centroid, frozenset()) for one in before], after, world.embeddings.mean(axis=0))
    assert len(after) == 8
    assert all(
        fate.continues is not None and noun_of(before[fate.continues]) == noun_of(one)
        for fate, one in zip(fates, after, strict=True)
    )


def test_merged_and_split_are_told_apart_from_new() -> None:
    def cluster(*members: int) -> Cluster:
        centre = np.zeros(4, np.float32)
        centre[members[0] % 4] = 1
        return Cluster(members, (1.0,) * len(members), 1.0, centre, 1.0, "x", (), ())

    middle = np.zeros(4, np.float32)
    two = [Known(None, frozenset(range(20))), Known(None, frozenset(range(20, 30)))]
    assert match(two, [cluster(*range(30))], middle) == [themes.Fate(0, merged=(1,))]
    one = [Known(None, frozenset(range(30)))]
    parts = match(one, [cluster(*range(20)), cluster(*range(20, 30))], middle)
    assert parts == [themes.Fate(0), themes.Fate(None, split_from=0)]
    assert match(one, [cluster(*range(40, 50))], middle) == [themes.Fate(None)]
    assert match([], [cluster(1, 2)], middle) == [themes.Fate(None)]
    assert match(one, [], middle) == []


def test_a_name_is_never_a_bare_function_word() -> None:
    world = World()
    world.texts = [f"{start} it is not the {word} of you" for word in CHATTER for start in ("and", "but", "so", "when")]
    centre = world._somewhere()
    world.vectors = [centre + 0.2 * world._somewhere() for _ in world.texts]
    world.chat(200)
    for cluster in world.found():
        words = cluster.name.lower().replace(",", " ").split()
        assert not set(words) <= naming._silent_words()


def test_words_that_most_groups_share_say_nothing_in_any_language() -> None:
    subjects = "suno pluvo nigra blanka granda malgranda varma malvarma".split()
    texts = [f"kaj la {subject} estas {word}" for subject in subjects for word in CHATTER]
    groups = [np.arange(16) + 16 * number for number in range(len(subjects))]
    named = naming.describe(groups, texts, np.arange(len(texts)), np.ones(len(texts), bool))
    assert [words[0].lower() for words in named if words] == subjects


def test_the_brand_is_no_name_by_itself() -> None:
    subjects = "hinge motor frame saddle lamp brake pedal mirror".split()
    texts = [f"Halvora {subject} {word} lately" for subject in subjects for word in CHATTER]
    groups = [np.arange(16) + 16 * number for number in range(len(subjects))]
    named = naming.describe(groups, texts, np.arange(len(texts)), np.ones(len(texts), bool))
    assert all(words and subject in words[0].lower() for words, subject in zip(named, subjects, strict=True))
    assert not any(phrase.lower() in ("halvora", "lately") for words in named if words for phrase in words[1])
    assert all(words and words[0] != "Halvora" for words in named)


def test_writing_without_blanks_is_named_too() -> None:
    texts = [f"配送が遅い{n}" for n in "一二三四五六"] + [f"好天気ですね{n}" for n in "一二三四五六七八九"]
    named = naming.describe([np.arange(6)], texts, np.arange(15), np.ones(15, bool))
    assert named[0] is not None
    assert named[0][0] in "配送が遅い"
    assert len(named[0][0]) >= 2


@pytest.mark.parametrize(
    "odd",
    [
        "",
        " ",
        "\0" * 50,
        "😀" * 30,
        "\ud800",
        "a" * 100_000,
        "word " * 20_000,
        "\u202ereversed",
        "ا" * 5_000,
        "-" * 9_000,
    ],
)
def test_hostile_text_is_bounded(odd: str) -> None:
    world = planted()
    world.texts[:30] = [odd] * 30
    world.texts[-30:] = [f"{odd}{n}" for n in range(30)]
    began = time.process_time()
    for cluster in world.found():
        assert 0 < len(cluster.name) <= naming.MAX_NAME
        assert cluster.name.isprintable()
        assert all(0 < len(phrase) <= 100 for phrase in cluster.phrases)
    assert time.process_time() - began < 20


def test_rows_without_numbers_are_in_no_cluster() -> None:
    world = planted()
    vectors = world.embeddings
    vectors[0], vectors[1], vectors[2] = 0, np.nan, np.inf
    assert not {0, 1, 2} & {one for cluster in find(vectors, world.texts) for one in cluster.members}


@pytest.mark.parametrize("count", [0, 1, 2, 5, 11])
def test_few_texts_are_no_trouble(count: int) -> None:
    world = World().speak("refund", count)
    vectors = world.embeddings if count else np.zeros((0, 64), np.float32)
    assert find(vectors, world.texts) == []


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="same texts"):
        find(np.zeros((2, 4), np.float32), ["one"])


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_whatever_comes_every_text_is_in_one_cluster_at_most(data: st.DataObject) -> None:
    count = data.draw(st.integers(0, 60))
    numbers = st.floats(-2, 2, width=16) | st.sampled_from([float("nan"), float("inf"), 0.0])
    vectors = data.draw(arrays.arrays(np.float16, (count, 6), elements=numbers))
    texts = data.draw(st.lists(st.text(max_size=30), min_size=count, max_size=count))
    found = find(vectors, texts)
    members = [one for cluster in found for one in cluster.members]
    assert len(members) == len(set(members))
    assert set(members) <= set(range(count))
    assert len({cluster.name.casefold() for cluster in found}) == len(found)
    for cluster in found:
        assert len(cluster.scores) == len(cluster.members)
        assert set(cluster.quotes) <= set(cluster.members)
        assert np.isfinite(cluster.centroid).all()


def test_cells_find_nearly_what_comparing_all_pairs_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = np.random.default_rng(3)
    centres = chance.normal(size=(60, 64))
    x = themes._unit((centres[chance.integers(0, 60, 3_000)] + chance.normal(size=(3_000, 64))).astype(np.float32))
    exact, _ = themes._neighbours(x, 10)
    monkeypatch.setattr(themes, "EXACT", 100)
    near, cosines = themes._neighbours(x, 10)
    assert (np.diff(cosines, axis=1) <= 1e-6).all()
    agree = np.mean([len(set(a) & set(b)) for a, b in zip(exact, near, strict=True)])
    assert agree >= 9
