"""How often the model is right: by whom nobody chose, with its interval, version by version."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.intervals import wilson
from db.gold import LEAST_CERTAIN, PASSING, RANDOM, Judgement
from dialogue import accuracy, inbox, review
from dialogue.context import Actor, Context, Role
from tests.conftest import NOON, Clock
from tests.dialogue.judging import read_again, reads, says, somebody
from tests.worlds import add_source


@pytest.fixture
def bo(any_ctx: Context) -> Actor:
    return somebody(any_ctx)


def mood(ctx: Context, who: Actor, **which: object) -> accuracy.FieldReport:
    return accuracy.report(ctx, who, **which).fields[0]  # type: ignore[arg-type]


# The interval ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("right", "of", "low", "high"),
    [  # Newcombe (1998), Statistics in Medicine 17, table I, method 3: Wilson's score without a correction
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_interval_is_wilsons(right: int, of: int, low: float, high: float) -> None:
    assert wilson(right, of) == pytest.approx((low, high), abs=5e-5)


def test_nothing_looked_at_says_nothing() -> None:
    nothing = accuracy.share(0, 0)
    assert (nothing.value, nothing.low, nothing.high) == (None, 0.0, 1.0)


@given(of=st.integers(1, 10_000), data=st.data())
def test_the_interval_holds_the_share_and_stays_within_bounds(of: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, of))
    low, high = wilson(right, of)
    assert -1e-15 < low <= right / of <= high < 1 + 1e-15
    narrower = wilson(right * 4, of * 4)
    assert narrower[1] - narrower[0] < high - low


# The random sample ----------------------------------------------------------------------------------------------------


def judgement(mention_id: int, how: str = RANDOM, *, minute: int = 0, right: bool = True) -> Judgement:
    at = datetime(2026, 11, 20, 12, minute, tzinfo=UTC)
    said = ("positive",)
    return Judgement(
        mention_id, mention_id, "sentiment", said if right else ("negative",), said, 0.9, "m1", how, at, "en"
    )


def test_the_draw_is_even() -> None:
    """Of 20,000 mentions the first 2,000 of the draw lie evenly over the ids, and over odd and even ones."""
    first = sorted(range(1, 20_001), key=lambda one: accuracy.draw("m1", one))[:2_000]
    cells = [0] * 20
    for one in first:
        cells[(one - 1) // 1_000] += 1
    chi_square = sum((cell - 100) ** 2 / 100 for cell in cells)
    assert chi_square < 43.8, "19 degrees of freedom, p = 0.001"
    assert abs(sum(one % 2 for one in first) - 1_000) < 3.3 * 500**0.5


def test_the_draw_is_the_same_for_everybody_and_another_for_each_version() -> None:
    ids = range(1, 200)
    order = sorted(ids, key=lambda one: accuracy.draw("m1", one))
    assert order == sorted(ids, key=lambda one: accuracy.draw("m1", one))
    assert order != sorted(ids, key=lambda one: accuracy.draw("m2", one))
    assert order[:5] == [194, 93, 87, 128, 143], "a later Samtal must go on with the sample that this one began"


def test_what_was_judged_before_the_draw_came_to_it_belongs_to_the_sample() -> None:
    first, second, third = sorted(range(1, 4), key=lambda one: accuracy.draw("m1", one))
    wrong = judgement(first, PASSING, minute=0, right=False)
    drawn = judgement(second, minute=5)
    later = judgement(third, PASSING, minute=1, right=False)
    assert accuracy.random_sample([wrong, drawn, later], "m1") == [wrong, drawn]
    # Judged in passing after the draw had gone by: somebody chose it.
    chosen = judgement(first, PASSING, minute=9, right=False)
    assert accuracy.random_sample([chosen, drawn], "m1") == [drawn]


def test_a_sample_finds_the_share_that_is_there_though_what_is_wrong_was_corrected_in_passing() -> None:
    """Half are wrong, and people have corrected most of those. Corrections alone would say 0 %, the rest alone 91 %."""
    order = sorted(range(1, 4_001), key=lambda one: accuracy.draw("m1", one))
    found = []
    for one in order[:1_000]:
        wrong = one % 2 == 0
        found.append(
            judgement(one, PASSING if wrong and one % 20 else RANDOM, minute=0 if wrong else 5, right=not wrong)
        )
    sample = accuracy.random_sample(found, "m1")
    share = accuracy.share(sum(one.right for one in sample), len(sample))
    assert share.low < 0.5 < share.high
    assert share.of > 980


# Figures --------------------------------------------------------------------------------------------------------------


def test_figures_of_a_small_set_counted_by_hand(any_ctx: Context, bo: Actor) -> None:
    """Six are drawn: four said to be negative, two positive; the model is wrong about two."""
    forum, shop = add_source(any_ctx, "Forum"), add_source(any_ctx, "Shop")
    a, b, c, d = reads(any_ctx, "negative", 0.8, count=4, source_id=forum)
    e, f = reads(any_ctx, "positive", 0.6, count=2, source_id=shop, language="is")
    for mention, value in (
        (a, "negative"),
        (b, "negative"),
        (c, "negative"),
        (d, "neutral"),
        (e, "positive"),
        (f, "negative"),
    ):
        says(any_ctx, bo, mention, value)

    found = mood(any_ctx, bo)
    assert (found.figure.share.right, found.figure.share.of) == (4, 6)
    assert (found.figure.judged, found.figure.corrected) == (6, 2)
    assert (found.figure.enough, found.figure.missing) == (False, 94)
    labels = {line.key: line for line in found.by_label}
    assert (labels["negative"].share.right, labels["negative"].share.of) == (3, 4)
    assert labels["negative"].found is not None
    assert (labels["negative"].found.right, labels["negative"].found.of) == (3, 4)
    assert (labels["positive"].share.right, labels["positive"].share.of) == (1, 2)
    assert (labels["neutral"].share.of, labels["neutral"].found.of if labels["neutral"].found else None) == (0, 1)
    assert found.confusion.labels == ("negative", "neutral", "positive")
    assert found.confusion.counts == ((3, 1, 0), (0, 0, 0), (1, 0, 1))
    assert [(line.key, line.share.right, line.share.of) for line in found.by_source] == [
        ("Forum", 3, 4),
        ("Shop", 1, 2),
    ]
    by_language = {line.key: line for line in found.by_language}
    assert by_language["en"].caveat == ""
    assert "never shown" in by_language["is"].caveat
    assert [(one.low, one.share.right, one.share.of) for one in found.calibration.bins] == [(0.6, 1, 2), (0.8, 3, 4)]
    assert [one.weight for one in found.calibration.bins] == pytest.approx([2 / 6, 4 / 6])
    assert found.calibration.error is None, "six are too few"


def test_a_correction_in_passing_is_no_part_of_the_headline(any_ctx: Context, bo: Actor) -> None:
    for mention in reads(any_ctx, count=5):
        says(any_ctx, bo, mention, "positive", PASSING)
    found = mood(any_ctx, bo)
    assert found.figure.share.of == 0
    assert (found.figure.judged, found.figure.corrected) == (5, 5)
    assert found.calibration.bins == ()
    assert found.confusion.counts == ((0, 0, 0),) * 3
    assert found.confusion_of_all.counts[0] == (0, 0, 5)


def test_what_is_missing_is_said_until_it_is_a_figure(
    any_ctx: Context, bo: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accuracy, "ENOUGH", 4)
    ids = reads(any_ctx, count=5)
    nobody = accuracy.figures(any_ctx, bo)
    assert nobody.headline == "Nobody has looked yet how often the model is right"
    assert nobody.subline == "Look at 4 random mentions and this becomes a figure."

    for mention in ids[:3]:
        review.confirm(any_ctx, bo, mention, {"sentiment": "negative", "intent": "complaint"}, RANDOM)
    some = accuracy.figures(any_ctx, bo)
    assert some.headline == "How often the model is right is not known yet"
    assert some.subline == "Look at 1 more random mention and this becomes a figure."

    says(any_ctx, bo, ids[3], "neutral")
    one = accuracy.figures(any_ctx, bo)
    assert one.headline == "The model is right about the mood in 75 % of mentions"
    assert "Mood is right in 75 % (30 to 95 %) of mentions, by 4 drawn at random." in one.subline
    assert "Intent: look at 1 more random mention and this becomes a figure." in one.subline
    says(any_ctx, bo, ids[3], "complaint", field="intent")
    both = accuracy.figures(any_ctx, bo)
    assert both.headline == "The model is right about the mood in 75 % and the intent in 100 % of mentions"


def test_a_small_company_is_told_that_it_has_too_few(any_ctx: Context, bo: Actor) -> None:
    assert accuracy.figures(any_ctx, bo).headline == "The model has read nothing yet"
    reads(any_ctx, count=2)
    assert "It has read 2 mentions so far; a figure needs 100." in accuracy.figures(any_ctx, bo).subline


def test_a_withdrawn_judgement_does_not_count(any_ctx: Context, bo: Actor) -> None:
    one, two = reads(any_ctx, count=2)
    kept, taken = says(any_ctx, bo, one, "negative"), says(any_ctx, bo, two, "positive")
    assert mood(any_ctx, bo).figure.share.of == 2
    assert review.undo(any_ctx, bo, [taken]) == 1
    found = mood(any_ctx, bo).figure
    assert (found.share.right, found.share.of, found.judged, found.corrected) == (1, 1, 1, 0)
    inbox.withdraw(any_ctx, bo, one, "sentiment")
    assert mood(any_ctx, bo).figure.judged == 0
    assert review.undo(any_ctx, bo, [kept]) == 0, "it is withdrawn already"


def test_a_judgement_belongs_to_the_version_that_it_judged(any_ctx: Context, bo: Actor, clock: Clock) -> None:
    one, two = reads(any_ctx, "negative", count=2, model="m1 topics 1a2b3c4d")
    says(any_ctx, bo, one, "positive")
    clock.forward(hours=1)
    read_again(any_ctx, "positive", model="m2 topics 1a2b3c4d")
    says(any_ctx, bo, two, "positive")

    found = accuracy.report(any_ctx, bo)
    assert [(line.version, line.current) for line in found.versions] == [("m2", True), ("m1", False)]
    assert [(line.figures[0].share.right, line.figures[0].share.of) for line in found.versions] == [(1, 1), (0, 1)]
    assert found.figures.version == "m2"
    before = accuracy.report(any_ctx, bo, version="m1")
    assert (before.current, before.figures.version, before.fields[0].figure.share.of) == (False, "m1", 1)
    assert before.versions[1].first == NOON
    assert accuracy.report(any_ctx, bo, version="m0").figures.version == "m2", "nobody judged such a version"


def test_another_taxonomy_is_no_other_version_of_moods(any_ctx: Context, bo: Actor) -> None:
    one, two = reads(any_ctx, count=2, model="m1 topics aaaaaaaa")
    says(any_ctx, bo, one, "negative")
    read_again(any_ctx, "negative", model="m1 topics bbbbbbbb")
    says(any_ctx, bo, two, "negative")
    assert mood(any_ctx, bo).figure.share.of == 2


def test_the_sample_data_is_apart(any_ctx: Context, bo: Actor) -> None:
    made_up = reads(any_ctx, count=2, sample=True)
    for mention in made_up:
        says(any_ctx, bo, mention, "positive")
    alone = accuracy.report(any_ctx, bo)
    assert (alone.figures.sample, alone.has_real, alone.has_sample) == (True, False, True)
    assert alone.fields[0].figure.share.of == 2

    (real,) = reads(any_ctx)
    says(any_ctx, bo, real, "negative")
    both = accuracy.report(any_ctx, bo)
    assert (both.figures.sample, both.has_real, both.has_sample) == (False, True, True)
    assert (both.fields[0].figure.share.right, both.fields[0].figure.share.of) == (1, 1)
    assert accuracy.report(any_ctx, bo, sample=True).fields[0].figure.share.of == 2


# Certainty ------------------------------------------------------------------------------------------------------------


def test_certainty_is_kept_as_it_was_when_it_was_judged(any_ctx: Context, bo: Actor) -> None:
    (one,) = reads(any_ctx, "negative", 0.42)
    says(any_ctx, bo, one, "negative", LEAST_CERTAIN)
    read_again(any_ctx, "positive", model="m2")
    (found,) = accuracy.report(any_ctx, bo, version="m1").fields[0].calibration.bins
    assert found.low == 0.4
    assert found.certainty == pytest.approx(0.42)


def test_what_a_threshold_would_send_to_review(any_ctx: Context, bo: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accuracy, "FEW", 4)
    unsure, sure = reads(any_ctx, "negative", 0.5, count=2), reads(any_ctx, "negative", 0.9, count=8)
    at = {one.at: one for one in mood(any_ctx, bo).thresholds}
    assert at[0.7].reviewed == pytest.approx(0.2)
    assert "20 % of mentions would be looked at" in at[0.7].words
    assert "the model itself expects 90 % right; none of those was judged yet" in at[0.7].words
    assert at[0.95].words == "At 0.95, every mention would be looked at."

    for mention in (*unsure, *sure[:2]):
        says(any_ctx, bo, mention, "positive")
    for mention in sure[2:]:
        says(any_ctx, bo, mention, "negative")
    at = {one.at: one for one in mood(any_ctx, bo).thresholds}
    assert (at[0.7].rest.right, at[0.7].rest.of) == (6, 8)
    assert at[0.7].words.startswith("At 0.70, 20 % of mentions would be looked at, and of the rest we expect 75 % (")
    assert (at[0.4].rest.right, at[0.4].rest.of) == (6, 10)


def test_whether_it_is_as_right_as_it_is_sure(any_ctx: Context, bo: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accuracy, "ENOUGH", 20)
    ids = reads(any_ctx, "negative", 0.9, count=20)
    for place, mention in enumerate(ids):
        says(any_ctx, bo, mention, "negative" if place < 10 else "neutral")
    found = mood(any_ctx, bo).calibration
    assert found.error == pytest.approx(0.4)
    assert found.title == "The model is surer than it is right: it claims 90 % and is right in 50 %"


def test_the_error_is_weighed_by_where_mentions_lie_not_by_where_people_looked(
    any_ctx: Context, bo: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten unsure ones were all looked at and all wrong; of ninety sure ones ten were, all right."""
    monkeypatch.setattr(accuracy, "ENOUGH", 5)
    unsure, sure = reads(any_ctx, "negative", 0.45, count=10), reads(any_ctx, "negative", 0.95, count=90)
    for mention in unsure:
        says(any_ctx, bo, mention, "positive", LEAST_CERTAIN)
    for mention in sure[:10]:
        says(any_ctx, bo, mention, "negative")
    assert mood(any_ctx, bo).calibration.error == pytest.approx(0.1 * 0.45 + 0.9 * 0.05)


def test_a_viewer_reads_the_figures(any_ctx: Context) -> None:
    viewer = somebody(any_ctx, "vera", Role.VIEWER)
    assert accuracy.report(any_ctx, viewer).figures.read == 0
