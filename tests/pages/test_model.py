"""The Model page: what is known in a sentence, what is missing in words, and a queue where a click judges once."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from dialogue import accuracy, review
from dialogue.context import Actor, Context, Role
from pages.parts import text
from tests.dialogue.judging import reads, says, somebody
from tests.pages import world
from tests.pages.conftest import Opened, shown


@pytest.fixture
def few_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accuracy, "ENOUGH", 4)


@pytest.fixture(autouse=True)
def _reads_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(review, "SOONEST", 0.0)


def judged(ctx: Context, **fields: object) -> Actor:
    """Eight mentions, of which four were drawn and judged, one of them wrong."""
    bo = somebody(ctx)
    ids = reads(ctx, "negative", 0.8, count=8, **fields)  # type: ignore[arg-type]
    for place, mention in enumerate(ids[:4]):
        says(ctx, bo, mention, "positive" if place == 3 else "negative")
        says(ctx, bo, mention, "complaint", field="intent")
    return bo


def said(app: AppTest) -> str:
    """Everything that the page says, as it reads once Markdown is gone."""
    return shown(app).replace("\\", "").replace(text.JOINER, "")


def press(app: AppTest, key: str) -> AppTest:
    return next(button for button in app.button if button.key == key).click().run()


def standing(ctx: Context) -> list[tuple[object, ...]]:
    with ctx.database.reading() as tx:
        sql = "SELECT mention_id, field, value, how FROM corrections WHERE withdrawn_at IS NULL ORDER BY mention_id, id"
        return [tuple(row) for row in tx.connection.exec_driver_sql(sql)]


# How often it is right ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "by", "basis"),
    [
        ("sentiment", "label", "random"),
        ("intent", "label", "all"),
        ("sentiment", "language", "all"),
        ("intent", "source", "random"),
    ],
)
def test_every_choice_shows_what_was_judged(
    field: str, by: str, basis: str, ctx: Context, open_page: Opened, few_are_enough: None
) -> None:
    judged(ctx, source_id=world.source(ctx, label=world.HOSTILE[:90]), language="is")
    app = open_page("model", field=field, by=by, basis=basis)
    assert not app.exception
    assert "The model is right about the mood in 75 % and the intent in 100 % of mentions" in said(app)
    (table,) = app.dataframe
    assert max(table.value["Judged"]) == 4
    if by == "language":
        assert "never shown" in table.value["Caveat"][0]


def test_the_threshold_says_what_it_would_do(ctx: Context, open_page: Opened, few_are_enough: None) -> None:
    judged(ctx)
    app = open_page("model")
    assert "At 0.55, 0 % of mentions would be looked at" in said(app)
    app.slider[0].set_value(0.85).run()
    assert not app.exception
    assert "every mention would be looked at" in said(app)


def test_what_is_missing_is_said_in_words_and_leads_to_the_sample(ctx: Context, open_page: Opened) -> None:
    judged(ctx)
    app = open_page("model")
    assert "How often the model is right is not known yet" in said(app)
    assert "96 more random mentions" in said(app)
    assert "no figure yet" in said(app)
    press(app, "to_review")
    assert app.query_params["queue"] == "random"
    assert "Is the model right about these?" in said(app)


def test_versions_are_told_apart(ctx: Context, open_page: Opened, few_are_enough: None) -> None:
    from tests.dialogue.judging import read_again

    bo = judged(ctx)
    read_again(ctx, "positive", "m2")
    says(ctx, bo, 1, "positive")
    app = open_page("model")
    assert "not known yet" in said(app)
    assert list(app.selectbox[0].options) == ["m2 (in use)", "m1"]
    app.selectbox[0].select("m1").run()
    assert not app.exception
    assert "The model is right about the intent in 100 % of mentions" in said(app), "a new judgement took one's place"
    assert "Mood: only 3 random mentions were looked at while this version was in use." in said(app)


def test_sample_data_is_marked_and_apart(ctx: Context, open_page: Opened) -> None:
    judged(ctx, sample=True)
    app = open_page("model")
    assert "Sample data" in said(app)
    world.says(ctx, world.post(posted_at=ctx.clock()), source_id=world.source(ctx))
    app.run()
    assert "Made-up people" not in said(app)
    app = open_page("model", username="nils", data="sample")
    assert "Made-up people" in said(app)
    assert "4 of 100 random mentions looked at" in said(app)


def test_what_must_not_train_is_left_out_of_the_download_and_counted(ctx: Context, open_page: Opened) -> None:
    bo = somebody(ctx)
    for platform in ("x", "feed"):
        (one,) = reads(ctx, platform=platform, author_id=platform)
        says(ctx, bo, one, "positive")
    assert not [box for box in open_page("model", Role.RESPONDER).expander if "training" in box.label]
    app = open_page("model", username="nils")
    (box,) = [box for box in app.expander if "training" in box.label]
    assert box.label == "Judged texts for training"
    found = review.training_set(ctx, somebody(ctx, "ada", Role.ADMIN))
    assert found.words == (
        "1 judgement of texts that may be used for training. 1 left out: X forbids training on what is written there."
    )


# The review -----------------------------------------------------------------------------------------------------------


def test_one_click_judges_one_mention_and_the_next_one_comes(ctx: Context, open_page: Opened) -> None:
    reads(ctx, count=3)
    app = open_page("model", Role.RESPONDER, part="review", queue="random")
    first, second = sorted((1, 2, 3), key=lambda one: accuracy.draw("m1", one))[:2]
    assert f"Text {first - 1}" in said(app)
    press(app, f"right_{first}")
    assert not app.exception
    assert [row[:2] for row in standing(ctx)] == [(first, "sentiment"), (first, "intent")]
    assert f"Text {second - 1}" in said(app)
    assert "1 of 100 random mentions looked at" in str([one.proto.text for one in app.get("progress")])


def test_a_key_that_is_held_down_judges_no_second_mention(
    ctx: Context, open_page: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(review, "SOONEST", 3_600.0)
    reads(ctx, count=3)
    first, second = sorted((1, 2, 3), key=lambda one: accuracy.draw("m1", one))[:2]
    app = open_page("model", Role.RESPONDER, part="review", queue="random")
    press(app, f"judge_{first}_positive")
    press(app, f"right_{first}")
    press(app, f"right_{second}")
    press(app, f"judge_{second}_positive")
    assert {row[0] for row in standing(ctx)} == {first}, (
        "a second press on the same mention counts, one on the next not"
    )


def test_a_mood_then_the_rest(ctx: Context, open_page: Opened) -> None:
    (one,) = reads(ctx)
    app = open_page("model", Role.RESPONDER, part="review", queue="random")
    press(app, f"judge_{one}_positive")
    assert f"right_{one}" in [button.key for button in app.button], "its intent is still to be said"
    press(app, f"right_{one}")
    assert [(row[1], "positive" in str(row[2])) for row in standing(ctx)] == [("sentiment", True), ("intent", False)]
    assert "Nothing is left to judge here" in said(app)


def test_undo_and_skip(ctx: Context, open_page: Opened) -> None:
    (one,) = reads(ctx)
    app = open_page("model", Role.RESPONDER, part="review", queue="least_certain")
    press(app, f"skip_{one}")
    assert "Nothing is left to judge here" in said(app)
    press(app, "review_undo")
    press(app, f"judge_{one}_neutral")
    press(app, f"judge_{one}_idea")
    assert len(standing(ctx)) == 2
    assert "Nothing is left to judge here" in said(app)
    press(app, "review_undo")
    assert [row[1] for row in standing(ctx)] == ["sentiment"]
    press(app, "review_undo")
    assert standing(ctx) == []
    assert f"right_{one}" in [button.key for button in app.button]


def test_what_a_colleague_judged_meanwhile_is_passed_over(ctx: Context, open_page: Opened) -> None:
    reads(ctx, count=3)
    first, second, third = sorted((1, 2, 3), key=lambda one: accuracy.draw("m1", one))
    app = open_page("model", Role.RESPONDER, part="review", queue="random")
    seen = {"sentiment": "negative", "intent": "complaint"}
    review.confirm(ctx, somebody(ctx), second, seen, review.RANDOM)
    press(app, f"right_{first}")
    assert f"right_{third}" in [button.key for button in app.button]


def test_those_who_may_not_judge_are_told_so(ctx: Context, open_page: Opened) -> None:
    reads(ctx)
    for role in (Role.VIEWER, Role.PRODUCT):
        app = open_page("model", role, username=role.label, part="review")
        assert "Judging needs the role" in said(app)
        assert not [button for button in app.button if str(button.key).startswith(("right_", "judge_"))]


def test_hostile_text_in_the_queue_is_text(ctx: Context, open_page: Opened) -> None:
    from tests.pages.test_every_page import hostile, parsed

    hostile(ctx)
    app = open_page("model", part="review")
    assert not app.exception
    for words in parsed(app):
        for mark in ("![pixel]", "<script>", "[click](", ":smile:", "$x^2$", ":red[fake", "\n# heading"):
            assert mark not in words


# Beside the charts ----------------------------------------------------------------------------------------------------


def test_the_summary_says_how_often_the_model_is_right(ctx: Context, open_page: Opened, few_are_enough: None) -> None:
    reads(ctx)
    app = open_page("summary")
    assert "Nobody has looked yet how often the model is right. Look at 4 random mentions" in said(app).replace(
        "\\", ""
    )
    judged(ctx)
    app = open_page("summary", username="nils")
    assert "Mood is right in 75 %" in said(app)
