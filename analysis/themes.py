"""Themes: what many recent texts are about that nobody foresaw.

Texts are joined to those whose embeddings are nearer than chance would bring them, and the graph that this makes is
cut into communities by the Leiden method (scikit-network). A text whose neighbours are no nearer than chance is left
out: most talk belongs to no theme. No row, no database: arrays and texts in, clusters out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from analysis import naming
from analysis.text import clean, mask

Floats = NDArray[np.float32]
Numbers = NDArray[np.int64]

LOUDEST = 2.0
"""How many times the variance of the tenth direction any other may have: how people feel is loudest, and no theme."""
NEAR = 1.0
"""How many standard deviations nearer than by chance a text's nearest five must be for it to belong anywhere."""
JOINED = -0.5
"""The same of one pair, for the two to be joined."""
HELD = 0.6
"""How much of its members' ties must lie within a cluster for it to be one."""
OWN = 0.2
"""The same of one text, for it to be a member."""
SAME = 0.93
"""Texts nearer than this cosine, without what all share, say the same thing and count as one."""
MOST = 100
"""Themes of one run at most: nobody reads more."""
QUOTES = 3
EXACT = 6_000
"""Up to so many texts every pair is compared; beyond, those of neighbouring cells."""
CELLS = 14
"""How many cells are looked through for each, its own included; more where they hold too few."""
CROWD = 12_000
"""Texts that one is compared with at most: where more lie together than that, every second or third will do."""
_BLOCK = 8_000_000
"""Cosines held at a time."""
_SEED = 20


@dataclass(frozen=True, slots=True)
class Cluster:
    """Texts about one thing; all numbers are positions in what was given.

    members: the nearest to the centre first, with their cosines with it in `scores`. weight: how much they weigh
    together. centroid: unit length, in the space of the embeddings. cohesion: which share of its members' ties lies
    within, 0 to 1. name: readable, at most `naming.MAX_NAME` characters. phrases: what a topic may be described with,
    the best first, none of them from a text that is not `usable`. quotes: up to `QUOTES` typical members.
    """

    members: tuple[int, ...]
    scores: tuple[float, ...]
    weight: float
    centroid: Floats
    cohesion: float
    name: str
    phrases: tuple[str, ...]
    quotes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """A theme of an earlier search: its centre, in the space of today's embeddings, and what it held of today's texts.

    centroid: None where it was made in another space. members: positions in what was searched now.
    """

    centroid: Floats | None
    members: frozenset[int]


@dataclass(frozen=True, slots=True)
class Fate:
    """What a cluster is to the themes known before, by their positions.

    continues: the one that it is, or None for a new one. merged: others that went into it. split_from: for a new one,
    the theme that most of it came from.
    """

    continues: int | None
    merged: tuple[int, ...] = ()
    split_from: int | None = None


def find(
    embeddings: NDArray[np.floating],
    texts: Sequence[str],
    *,
    weights: Sequence[float] | None = None,
    usable: Sequence[bool] | None = None,
    most: int = MOST,
) -> list[Cluster]:
    """The clusters among n texts, the heaviest first; a text is in one of them at most.

    embeddings: [n, d]; a row of zeros, or with anything but numbers, is in no cluster. weights: what each text counts,
    1 where not given; equal texts count once for the geometry and each for the weight. usable: which texts may lend
    their words to a topic, all where not given. The same input gives the same clusters.
    Raises ValueError when the lengths differ.
    """
    vectors = np.asarray(embeddings, np.float32)
    count = len(texts)
    weight = np.ones(count, np.float32) if weights is None else np.asarray(weights, np.float32)
    open_ = np.ones(count, bool) if usable is None else np.asarray(usable, bool)
    if vectors.ndim != 2 or not len(vectors) == len(weight) == len(open_) == count:
        raise ValueError("embeddings, texts, weights and usable must speak of the same texts")
    read = [mask(clean(text)) for text in texts]
    first = _first_of_equals(vectors, read)
    rows = np.flatnonzero(first == np.arange(count))
    groups, cohesions = _communities(vectors[rows])
    if not groups:
        return []
    copies = _copies(first)
    whole = [np.concatenate([copies[row] for row in rows[group]]) for group in groups]
    heaviest = sorted(range(len(whole)), key=lambda one: -float(weight[whole[one]].sum()))
    described = naming.describe([rows[groups[one]] for one in heaviest], read, rows, open_)
    named = [(one, words) for one, words in zip(heaviest, described, strict=True) if words is not None]
    return [
        _cluster(vectors, read, weight, whole[one], rows[groups[one]], cohesions[one], *words)
        for one, words in named[:most]
    ]


def least_members(count: int) -> int:
    """How many different texts make a theme, out of so many."""
    return max(5, round(math.sqrt(count) / 6))


# From search to search ------------------------------------------------------------------------------------------------

CONTINUES = 0.3
"""How alike a theme and a cluster must be to be one, 0 to 1."""
SAME_CENTRE = 0.8
"""The cosine above which two centres are alike, whatever was said around them meanwhile."""


def match(known: Sequence[Known], found: Sequence[Cluster], middle: Floats) -> list[Fate]:
    """What each cluster is to the themes known before: as many themes as possible keep their identity.

    Alike are those that share their texts, or whose centres lie together as seen from `middle`, the mean of everything
    that was searched.
    """
    if not found:
        return []
    held = [frozenset(cluster.members) for cluster in found]
    shared = np.array([[len(one.members & now) for now in held] for one in known], np.float64).reshape(-1, len(held))
    before, now = np.array([max(len(one.members), 1) for one in known]), np.array([len(one) for one in held])
    alike = np.maximum(shared / np.sqrt(np.outer(before, now)), _same_centre(known, found, middle))
    continues = _pairs(alike)
    continued = set(continues.values())
    fates = []
    for number in range(len(found)):
        gone_in = [one for one in range(len(known)) if one not in continued and shared[one, number] > before[one] / 2]
        source = int(np.argmax(shared[:, number])) if len(known) and number not in continues else None
        if source is not None and not (source in continued and shared[source, number] > now[number] / 2):
            source = None
        fates.append(Fate(continues.get(number), tuple(gone_in), source))
    return fates


def _same_centre(known: Sequence[Known], found: Sequence[Cluster], middle: Floats) -> NDArray[np.float64]:
    """How near the centres are, 0 where they are not near enough to count; [known, found]."""
    before = np.stack([middle if one.centroid is None else one.centroid for one in known]) if known else middle[:0]
    seen_before = _unit(before.reshape(-1, len(middle)) - middle)
    cosines = seen_before @ _unit(np.stack([one.centroid for one in found]) - middle).T
    return np.where(cosines >= SAME_CENTRE, cosines, 0).astype(np.float64)


def _pairs(alike: NDArray[np.float64]) -> dict[int, int]:
    """For each column its row, such that the pairs are as alike as possible together."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(alike, maximize=True)
    return {int(c): int(r) for r, c in zip(rows, columns, strict=True) if alike[r, c] >= CONTINUES}


# Equal texts ----------------------------------------------------------------------------------------------------------


def _first_of_equals(vectors: Floats, read: Sequence[str]) -> Numbers:
    """For each text the position of the first that says the same; -1 where there is nothing to compare."""
    with np.errstate(all="ignore"):
        good = np.isfinite(vectors).all(axis=1) & (np.linalg.norm(vectors, axis=1) > 1e-6)
    first = np.full(len(read), -1, np.int64)
    known: dict[str, int] = {}
    for place in map(int, np.flatnonzero(good)):
        letters = naming.letters(read[place]) or read[place]
        first[place] = known.setdefault(letters, place)
    rows = np.flatnonzero((first == np.arange(len(first))) & good)
    leader = rows[_nearly_equal(_told_apart(_unit(vectors[rows])))] if len(rows) > 1 else rows
    lookup = np.arange(len(first))
    lookup[rows] = leader
    return np.where(first >= 0, lookup[first], -1)


def _nearly_equal(x: Floats) -> Numbers:
    """For each row the first one that it is nearly the same as."""
    leader = np.arange(len(x))
    near, cosines = _neighbours(x, min(5, len(x) - 1))
    for row in range(len(x)):
        for other in near[row][cosines[row] >= SAME]:
            if other < row and leader[other] == other:
                leader[row] = other
                break
    return leader


def _copies(first: Numbers) -> dict[int, Numbers]:
    """The positions of all texts that say the same as the first of them, by its position."""
    order = np.argsort(first, kind="stable")
    kept = order[first[order] >= 0]
    starts = np.flatnonzero(np.diff(first[kept], prepend=-1))
    return {int(first[part[0]]): part for part in np.split(kept, starts[1:])} if len(kept) else {}


# Geometry -------------------------------------------------------------------------------------------------------------


def _unit(x: Floats) -> Floats:
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9), np.float32)


def _told_apart(x: Floats) -> Floats:
    """The vectors without their middle, and with the directions in which all differ most brought down."""
    middled = x - x.mean(axis=0)
    variances, directions = np.linalg.eigh(middled.T @ middled)
    bound = max(0.0, LOUDEST * float(variances[-min(10, len(variances))]))  # rounding leaves some below zero
    return _unit(middled @ (directions * np.sqrt(np.minimum(1, bound / np.maximum(variances, 1e-9)))))


def _communities(raw: Floats) -> tuple[list[Numbers], list[float]]:
    """Groups of rows, and how much of each group's ties lies within it."""
    count, least = len(raw), least_members(len(raw))
    if count < 2 * least:
        return [], []
    x = _told_apart(_unit(raw))
    near, cosines = _neighbours(x, min(count - 1, round(min(15, max(10, count**0.5 / 2)))))
    middle, spread = _by_chance(x)
    # How near the nearest five of so many would come by chance: the more texts there are, the nearer.
    expected = NormalDist().inv_cdf(1 - 2.5 / count)
    above = (cosines - middle) / spread - expected
    dense = above[:, :5].mean(axis=1) >= NEAR
    ties = np.maximum(above - JOINED, 0)
    label = _leiden(near, np.where(dense[:, None] & dense[near], ties**2, 0), min(14, max(1, count**0.5 / 10)))
    within = (ties * ((label[near] == label[:, None]) & dense[near])).sum(axis=1) / np.maximum(ties.sum(axis=1), 1e-9)
    groups, cohesions = [], []
    for one in np.unique(label[dense]):
        group = np.flatnonzero((label == one) & dense & (within >= OWN))
        if len(group) >= least and (held := float(within[group].mean())) >= HELD:
            groups.append(group)
            cohesions.append(held)
    return groups, cohesions


def _by_chance(x: Floats) -> tuple[float, float]:
    """Mean and standard deviation of the cosine of two texts that have nothing to do with each other."""
    chance = np.random.default_rng(_SEED)
    one, other = chance.integers(0, len(x), (2, 20_000))
    cosines = (x[one] * x[other]).sum(axis=1)[one != other]
    return float(cosines.mean()), max(float(cosines.std()), 1e-6)


def _leiden(near: Numbers, ties: Floats, resolution: float) -> Numbers:
    """The community of each row. resolution: more gives more and smaller ones."""
    from scipy.sparse import csr_matrix
    from sknetwork.clustering import Leiden

    rows, places = np.nonzero(ties)
    if not len(rows):
        return np.arange(len(near))
    graph = csr_matrix((ties[rows, places], (rows, near[rows, places])), (len(near), len(near)))
    graph = graph.maximum(graph.T)
    return np.asarray(Leiden(resolution=resolution, random_state=_SEED).fit_predict(graph), np.int64)


def _neighbours(x: Floats, count: int) -> tuple[Numbers, Floats]:
    """For each row the `count` nearest others, the nearest first, and their cosines, both [n, count].

    Beyond `EXACT` rows only cells that lie near are looked through: some neighbours are missed, few that matter.
    """
    if len(x) <= EXACT:
        everything = np.arange(len(x))
        parts = [(everything, everything)]
    else:
        parts = _by_cells(x)
    near = np.zeros((len(x), count), np.int64)
    cosines = np.full((len(x), count), -1, np.float32)
    for asked, among in parts:
        step = _BLOCK // len(among)
        for start in range(0, len(asked), step):
            some = asked[start : start + step]
            close = x[some] @ x[among].T
            close[some[:, None] == among[None, :]] = -2
            best = np.argpartition(-close, count - 1, axis=1)[:, :count]
            value = np.take_along_axis(close, best, axis=1)
            order = np.argsort(-value, axis=1, kind="stable")
            near[some] = among[np.take_along_axis(best, order, axis=1)]
            cosines[some] = np.take_along_axis(value, order, axis=1)
    return near, cosines


def _by_cells(x: Floats) -> list[tuple[Numbers, Numbers]]:
    """Rows in cells, each with the rows of the cells that lie nearest to it."""
    chance = np.random.default_rng(_SEED)
    centres = x[chance.choice(len(x), round(math.sqrt(len(x))), replace=False)]
    for _ in range(3):
        cell = _nearest(x, centres)
        centres = _unit(np.stack([x[cell == one].mean(axis=0) for one in np.unique(cell)]))
    cell = _nearest(x, centres)
    held = [np.flatnonzero(cell == one) for one in range(len(centres))]
    sizes = np.array([len(rows) for rows in held])
    parts = []
    for one, order in enumerate(np.argsort(-(centres @ centres.T), axis=1, kind="stable")):
        enough = max(CELLS, 1 + int(np.searchsorted(np.cumsum(sizes[order]), 100)))
        among = np.concatenate([held[other] for other in order[:enough]])
        if len(held[one]):
            parts.append((held[one], among[:: 1 + len(among) // CROWD]))
    return parts


def _nearest(x: Floats, centres: Floats) -> Numbers:
    return np.concatenate([np.argmax(x[at : at + 4_096] @ centres.T, axis=1) for at in range(0, len(x), 4_096)])


def _cluster(
    vectors: Floats,
    read: Sequence[str],
    weight: Floats,
    members: Numbers,
    different: Numbers,
    cohesion: float,
    name: str,
    phrases: tuple[str, ...],
) -> Cluster:
    centre = _unit(_unit(vectors[different]).mean(axis=0, keepdims=True))[0]
    scores = _unit(vectors[members]) @ centre
    order = np.argsort(-scores, kind="stable")
    near = different[np.argsort(-(_unit(vectors[different]) @ centre), kind="stable")]
    return Cluster(
        members=tuple(map(int, members[order])),
        scores=tuple(round(float(score), 4) for score in scores[order]),
        weight=float(weight[members].sum()),
        centroid=centre,
        cohesion=round(cohesion, 4),
        name=name,
        phrases=phrases,
        quotes=_quotes(vectors, read, near, centre),
    )


def _quotes(vectors: Floats, read: Sequence[str], near: Numbers, centre: Floats) -> tuple[int, ...]:
    """Near the centre, different from each other, of a length that reads well; `near` has the nearest first."""
    left = [int(one) for one in near[:60]]
    x = _unit(vectors[left])
    worth = x @ centre + np.array([_reads_well(read[one]) for one in left], np.float32)
    taken: list[int] = []
    while len(taken) < min(QUOTES, len(left)):
        alike = (x @ x[taken].T).max(axis=1) if taken else np.zeros(len(left), np.float32)
        value = worth - 0.5 * alike
        value[taken] = -np.inf
        taken.append(int(np.argmax(value)))
    return tuple(left[one] for one in taken)


def _reads_well(text: str) -> float:
    """0 for a sentence or two, less for a word or a page."""
    length = len(text)
    return -0.3 * max(0.0, (45 - length) / 45) - 0.3 * min(1.0, max(0.0, (length - 240) / 400))
