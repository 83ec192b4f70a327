"""How often the model is right here, by what people said of its tags, and how far its certainty can be trusted.

People correct what is wrong and pass over what is right, so corrections alone say nothing about how often the model is
right. That comes from a random sample: mentions drawn by nobody's choice, looked at, and confirmed or corrected. All
other judgements show what is confused with what, and, where the least certain were reviewed, whether the model is as
right as it is sure.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate

from analysis.base import KNOWN_LANGUAGES, Intent, Sentiment
from analysis.intervals import wilson
from db import gold
from db.gold import Judgement, Reading
from dialogue.context import Actor, Context, Role, require
from dialogue.text import counted

FIELDS = {"sentiment": "Mood", "intent": "Intent"}
"""What is judged, with what it is called."""
LABELS: dict[str, tuple[str, ...]] = {
    "sentiment": tuple(map(str, Sentiment)),
    "intent": tuple(map(str, Intent)),
}
ENOUGH = 100
"""Random mentions that make a figure: its interval is then at most ten points to either side."""
FEW = 30
"""Judgements above a threshold under which the model's own word is told instead, and said to be that."""
RECENT = 10_000
"""The newest mentions: what is drawn from, and what shares are shares of."""
_BINS = 10


# What a page shows ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Share:
    """`right` of `of`, with the 95 % interval of the share; `value` is None of nothing."""

    right: int
    of: int
    value: float | None
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Figure:
    """How often one field is right, by the random sample alone. missing: mentions to look at until it is a figure.

    judged and corrected count every judgement of this version, however it came about.
    """

    field: str
    title: str
    share: Share
    enough: bool
    missing: int
    words: str
    judged: int
    corrected: int


@dataclass(frozen=True, slots=True)
class Figures:
    """The accuracy of one version of the model. read: how many of the newest mentions it has read."""

    version: str
    sample: bool
    read: int
    headline: str
    subline: str
    figures: tuple[Figure, ...]

    @property
    def short(self) -> str:
        """For a place where the figures stand beside others."""
        return self.subline if any(one.enough for one in self.figures) else f"{self.headline}. {self.subline}"


@dataclass(frozen=True, slots=True)
class Line:
    """One language, source or label. `share` is of the random sample; `found` of labels only.

    share: of what the model called so, how much is. found: of what people call so, how much the model called so.
    """

    key: str
    share: Share
    found: Share | None
    judged: int
    corrected: int
    caveat: str


@dataclass(frozen=True, slots=True)
class Confusion:
    """counts[i][j]: how often the model said labels[i] where people say labels[j]."""

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Bin:
    """Judgements whose certainty lay in [low, high). weight: the share of the newest mentions that lies there."""

    low: float
    high: float
    certainty: float
    share: Share
    weight: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """Whether the model is right as often as it is sure. error: expected calibration error, None while too few."""

    title: str
    bins: tuple[Bin, ...]
    error: float | None
    judged: int


@dataclass(frozen=True, slots=True)
class Threshold:
    """What a threshold would do: the share of mentions below it, and how often the rest is right.

    claimed: how often the model itself says that the rest is right.
    """

    at: float
    reviewed: float
    rest: Share
    claimed: float | None
    words: str


@dataclass(frozen=True, slots=True)
class FieldReport:
    """Everything about one field."""

    figure: Figure
    by_label: tuple[Line, ...]
    by_language: tuple[Line, ...]
    by_source: tuple[Line, ...]
    confusion: Confusion
    confusion_of_all: Confusion
    calibration: Calibration
    thresholds: tuple[Threshold, ...]


@dataclass(frozen=True, slots=True)
class VersionLine:
    """One version of the model that people judged."""

    version: str
    current: bool
    first: datetime | None
    last: datetime | None
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """The Model page. topics_judged: mentions whose topics people set; no sample of topics is drawn yet."""

    figures: Figures
    current: bool
    fields: tuple[FieldReport, ...]
    versions: tuple[VersionLine, ...]
    topics_judged: int
    has_real: bool
    has_sample: bool


# What it rests on -----------------------------------------------------------------------------------------------------


def share(right: int, of: int) -> Share:
    """The share with its 95 % interval by Wilson's score, which stays within 0 and 1 and is honest about few."""
    low, high = wilson(right, of)
    return Share(right, of, right / of if of else None, low, high)


def draw(version: str, mention_id: int) -> int:
    """A mention's place in the random order of a version: the same for everybody, and nobody's choice."""
    return int.from_bytes(hashlib.sha256(f"{version} {mention_id}".encode()).digest()[:8])


def random_sample(judgements: Iterable[Judgement], version: str) -> list[Judgement]:
    """Those of one version's judgements of one field that make its random sample.

    What the draw came to after it had been judged otherwise is not asked about again, and counts: were it left out,
    the sample would lack the very mentions that somebody found wrong.
    """
    known = list(judgements)
    drawn = sorted((draw(version, one.mention_id), one.at) for one in known if one.how == gold.RANDOM)
    places = [place for place, _ in drawn]
    # The last moment at which the draw had gone further than each place.
    latest = list(accumulate((at for _, at in reversed(drawn)), max))[::-1]

    def passed_over(one: Judgement) -> bool:
        after = bisect_right(places, draw(version, one.mention_id))
        return after < len(latest) and latest[after] > one.at

    return [one for one in known if one.how == gold.RANDOM or passed_over(one)]


@dataclass(frozen=True, slots=True)
class _World:
    """What was judged and what was read, of the sample data or of the rest. version: that of the newest mention."""

    judged: list[Judgement]
    read: list[Reading]
    version: str
    sample: bool

    def of(self, field: str, version: str) -> list[Judgement]:
        return [one for one in self.judged if one.field == field and gold.version(one.model) == version]

    def read_by(self, version: str) -> list[Reading]:
        return [one for one in self.read if gold.version(one.model) == version]


def _world(ctx: Context, sample: bool | None) -> _World:
    with ctx.database.reading() as tx:
        if sample is None:
            sample = not gold.has(tx, sample=False) and gold.has(tx, sample=True)
        judged, read = gold.judgements(tx, sample=sample), gold.recent(tx, RECENT, sample=sample)
    return _World(judged, read, gold.version(read[0].model) if read else "", sample)


# Figures --------------------------------------------------------------------------------------------------------------


def figures(ctx: Context, actor: Actor, sample: bool | None = None) -> Figures:
    """The accuracy of the version in use. `sample` None: of real mentions where there are any, else of the sample."""
    require(actor, Role.VIEWER)
    world = _world(ctx, sample)
    return _figures(world, world.version)


def _figures(world: _World, version: str) -> Figures:
    read, current = len(world.read_by(version)), version == world.version
    found = tuple(_figure(world, field, version) for field in FIELDS)
    return Figures(version, world.sample, read, _headline(found, read), _subline(found, read, current), found)


def _figure(world: _World, field: str, version: str) -> Figure:
    judged = world.of(field, version)
    found = _share(random_sample(judged, version))
    missing = max(0, ENOUGH - found.of)
    return Figure(
        field=field,
        title=FIELDS[field],
        share=found,
        enough=missing == 0,
        missing=missing,
        words=_words(FIELDS[field], found, missing, version == world.version),
        judged=len(judged),
        corrected=sum(not one.right for one in judged),
    )


def _share(judged: Sequence[Judgement]) -> Share:
    return share(sum(one.right for one in judged), len(judged))


def _words(title: str, found: Share, missing: int, current: bool) -> str:
    if not missing:
        return f"{title} is right in {_interval(found)} of mentions, by {found.of:,} drawn at random."
    if current:
        return f"{title}: {_look_at(found.of, missing)}"
    were = "mention was" if found.of == 1 else "mentions were"
    return f"{title}: only {found.of} random {were} looked at while this version was in use."


def _look_at(looked_at: int, missing: int) -> str:
    more = "more " if looked_at else ""
    return f"look at {missing} {more}random {'mention' if missing == 1 else 'mentions'} and this becomes a figure."


def _interval(found: Share) -> str:
    return f"{percent(found.value or 0)} % ({percent(found.low)} to {percent(found.high)} %)"


def percent(value: float) -> int:
    """A share in whole per cent; 0 and 100 only where it is that."""
    return round(100 * value) if value in (0, 1) else min(99, max(1, round(100 * value)))


def _headline(found: Sequence[Figure], read: int) -> str:
    known = [f"the {one.title.lower()} in {percent(one.share.value or 0)} %" for one in found if one.enough]
    if known:
        return f"The model is right about {' and '.join(known)} of mentions"
    if any(one.judged for one in found):
        return "How often the model is right is not known yet"
    return "Nobody has looked yet how often the model is right" if read else "The model has read nothing yet"


def _subline(found: Sequence[Figure], read: int, current: bool) -> str:
    if not read and not any(one.judged for one in found):
        return "Its accuracy is measured on your own mentions, as soon as there are some."
    words = [one.words for one in found]
    if current and not found[0].enough and len({one.share.of for one in found}) == 1:
        words = [_look_at(found[0].share.of, found[0].missing).capitalize()]
    if current and read < ENOUGH and not all(one.enough for one in found):
        words.append(f"It has read {counted(read, 'mention')} so far; a figure needs {ENOUGH}.")
    return " ".join(words)


# The whole page -------------------------------------------------------------------------------------------------------


def report(ctx: Context, actor: Actor, version: str | None = None, sample: bool | None = None) -> Report:
    """Everything known of one version of the model, the one in use by default."""
    require(actor, Role.VIEWER)
    world = _world(ctx, sample)
    with ctx.database.reading() as tx:
        sources = gold.sources(tx, [one.mention_id for one in world.judged])
        has_real, has_sample = gold.has(tx, sample=False), gold.has(tx, sample=True)
    versions = _versions(world)
    known = {line.version for line in versions}
    chosen = version if version in known else world.version
    return Report(
        figures=_figures(world, chosen),
        current=chosen == world.version,
        fields=tuple(_field(world, field, chosen, sources) for field in FIELDS),
        versions=versions,
        topics_judged=sum(one.field == "topics" for one in world.judged),
        has_real=has_real,
        has_sample=has_sample,
    )


def _versions(world: _World) -> tuple[VersionLine, ...]:
    """The version in use first, then by when they were judged last."""
    moments: defaultdict[str, list[datetime]] = defaultdict(list)
    for one in world.judged:
        if one.field in FIELDS:
            moments[gold.version(one.model)].append(one.at)
    others = sorted((name for name in moments if name != world.version), key=lambda name: max(moments[name]))[::-1]
    return tuple(
        VersionLine(
            name,
            name == world.version,
            min(moments[name], default=None),
            max(moments[name], default=None),
            tuple(_figure(world, field, name) for field in FIELDS),
        )
        for name in ([world.version] if world.version else []) + others
    )


def _field(world: _World, field: str, version: str, sources: dict[int, tuple[str, ...]]) -> FieldReport:
    judged = world.of(field, version)
    sample = random_sample(judged, version)
    read = sorted(one.said(field)[1] for one in world.read_by(version))
    return FieldReport(
        figure=_figure(world, field, version),
        by_label=_by_label(judged, sample, LABELS[field]),
        by_language=_by(judged, sample, lambda one: (one.language,), language_caveat),
        by_source=_by(judged, sample, lambda one: sources.get(one.mention_id, ()), lambda _: ""),
        confusion=_confusion(sample, LABELS[field]),
        confusion_of_all=_confusion(judged, LABELS[field]),
        calibration=_calibration(judged, sample, read),
        thresholds=_thresholds(sample, read),
    )


def _by(
    judged: Sequence[Judgement],
    sample: Sequence[Judgement],
    keys: Callable[[Judgement], Iterable[str]],
    caveat: Callable[[str], str],
) -> tuple[Line, ...]:
    """A line for each key, the one with the most judgements first."""
    everything, drawn = _grouped(judged, keys), _grouped(sample, keys)
    lines = (
        Line(key, _share(drawn.get(key, ())), None, len(rows), sum(not one.right for one in rows), caveat(key))
        for key, rows in everything.items()
    )
    return tuple(sorted(lines, key=lambda line: (-line.judged, line.key)))


def _grouped(
    judged: Iterable[Judgement], keys: Callable[[Judgement], Iterable[str]]
) -> defaultdict[str, list[Judgement]]:
    found: defaultdict[str, list[Judgement]] = defaultdict(list)
    for one in judged:
        for key in keys(one):
            found[key].append(one)
    return found


def language_caveat(language: str) -> str:
    """Why the model's word on a text in this language is in doubt; empty where it is not."""
    if language == "und":
        return "the language could not be told"
    return "" if language in KNOWN_LANGUAGES else "the model was never shown to read it"


def _by_label(judged: Sequence[Judgement], sample: Sequence[Judgement], labels: Sequence[str]) -> tuple[Line, ...]:
    said, drawn = _grouped(judged, lambda one: one.said), _grouped(sample, lambda one: one.said)
    meant = _grouped(sample, lambda one: one.value)
    return tuple(
        Line(
            label,
            _share(drawn.get(label, ())),
            _share(meant.get(label, ())),
            len(said.get(label, ())),
            sum(not one.right for one in said.get(label, ())),
            "",
        )
        for label in _with_others(labels, [*said, *meant])
    )


def _with_others(labels: Sequence[str], seen: Iterable[str]) -> tuple[str, ...]:
    """The labels, and behind them any that a model or a person used and this version does not know."""
    return tuple(dict.fromkeys([*labels, *sorted(set(seen) - set(labels))]))


def _confusion(judged: Sequence[Judgement], labels: Sequence[str]) -> Confusion:
    counts = Counter((one.said[0], one.value[0]) for one in judged if one.said and one.value)
    all_labels = _with_others(labels, [label for pair in counts for label in pair])
    return Confusion(all_labels, tuple(tuple(counts[said, meant] for meant in all_labels) for said in all_labels))


# How far its certainty can be trusted ---------------------------------------------------------------------------------


def _calibration(judged: Sequence[Judgement], sample: Sequence[Judgement], read: Sequence[float]) -> Calibration:
    """`read`: the certainties of the newest mentions, sorted.

    What was chosen by its certainty alone may be counted beside the random sample: within one bin that is no choice.
    What was corrected in passing was chosen for being wrong, and is left out.
    """
    drawn = {one.id for one in sample}
    fair = [one for one in judged if one.certainty is not None and (one.id in drawn or one.how == gold.LEAST_CERTAIN)]
    binned: defaultdict[int, list[Judgement]] = defaultdict(list)
    for one in fair:
        binned[min(_BINS - 1, int((one.certainty or 0) * _BINS))].append(one)
    bins = tuple(_bin(number, rows, read) for number, rows in sorted(binned.items()))
    sure = [one for one in sample if one.certainty is not None]
    return Calibration(_trust(sure), bins, _error(bins) if len(sure) >= ENOUGH else None, len(fair))


def _bin(number: int, rows: Sequence[Judgement], read: Sequence[float]) -> Bin:
    low, high = number / _BINS, (number + 1) / _BINS
    above = len(read) if number == _BINS - 1 else bisect_left(read, high)
    weight = (above - bisect_left(read, low)) / len(read) if read else 0.0
    return Bin(low, high, sum(one.certainty or 0 for one in rows) / len(rows), _share(rows), weight)


def _error(bins: Sequence[Bin]) -> float | None:
    """The distance between how sure and how right, averaged over where the newest mentions lie."""
    weight = sum(one.weight for one in bins)
    if not weight:
        return None
    return sum(one.weight * abs((one.share.value or 0) - one.certainty) for one in bins) / weight


def _trust(sure: Sequence[Judgement]) -> str:
    if len(sure) < ENOUGH:
        return "Whether the model is as right as it is sure is not known yet"
    claimed, found = sum(one.certainty or 0 for one in sure) / len(sure), _share(sure)
    words = f"it claims {percent(claimed)} % and is right in {percent(found.value or 0)} %"
    if claimed > found.high:
        return f"The model is surer than it is right: {words}"
    if claimed < found.low:
        return f"The model is right more often than it claims: {words}"
    return f"The model's certainty can be taken at its word: {words}"


_STEPS = tuple(step / 100 for step in range(20, 100))


def _thresholds(sample: Sequence[Judgement], read: Sequence[float]) -> tuple[Threshold, ...]:
    """What each threshold would do to the newest mentions; `read`: their certainties, sorted. None without any."""
    if not read:
        return ()
    sure = sorted((one.certainty, one.right) for one in sample if one.certainty is not None)
    certainties = [certainty for certainty, _ in sure]
    right_from = _from_the_end([float(right) for _, right in sure])
    claimed_from = _from_the_end(read)
    found = []
    for at in _STEPS:
        below, first = bisect_left(read, at), bisect_left(certainties, at)
        above = len(read) - below
        rest = share(round(right_from[first]), len(sure) - first)
        found.append(_threshold(at, below / len(read), rest, claimed_from[below] / above if above else None))
    return tuple(found)


def _from_the_end(values: Sequence[float]) -> list[float]:
    """The sum from each place to the end, and 0 for the end itself."""
    return [*list(accumulate(reversed(values)))[::-1], 0.0]


def _threshold(at: float, reviewed: float, rest: Share, claimed: float | None) -> Threshold:
    looked = f"At {at:.2f}, {percent(reviewed)} % of mentions would be looked at"
    if claimed is None:
        words = f"At {at:.2f}, every mention would be looked at."
    elif rest.of < FEW:
        judged = "none of those was judged yet" if not rest.of else "too few of those were judged to tell"
        words = f"{looked}, and of the rest the model itself expects {percent(claimed)} % right; {judged}."
    else:
        words = f"{looked}, and of the rest we expect {_interval(rest)} right."
    return Threshold(at, reviewed, rest, claimed, words)
