"""Topics: changed as a draft, seen before they count, put back in one click; read by everybody, changed by some."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from streamlit.testing.v1 import AppTest

from db import topics as rows
from db import workspace
from db.mentions import NewMention
from db.topics import TopicRow
from dialogue import inbox, requests, topics, understanding
from dialogue.context import Actor, Context, Role
from pages.parts.text import JOINER
from tests.bag import Bag
from tests.conftest import RecordedTriggers
from tests.pages import world
from tests.pages.conftest import Opened, shown
from tests.worlds import store

ADA = Actor(1, "Ada", Role.ADMIN)


@pytest.fixture(autouse=True)
def _bag(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(understanding, "_opener", Bag)
    monkeypatch.setattr(understanding, "_open", None)
    return


def two_topics(ctx: Context, *names: str) -> None:
    with ctx.database.transaction() as tx:
        first, second = names or ("Delivery", "Price")
        rows.replace(tx, [TopicRow(first, ("late parcel",)), TopicRow(second, ("too expensive",))])
        rows.record(tx, "The first topics", None, ctx.clock())
        workspace.bump(tx)


def says(ctx: Context, *texts: str) -> tuple[int, ...]:
    def said(number: int, words: str) -> NewMention:
        return world.post(number, words, posted_at=ctx.clock())

    ids = store(ctx, *(said(number, words) for number, words in enumerate(texts))).new_ids
    understanding.understand(ctx)
    return tuple(ids)


def labels(app: AppTest) -> list[str]:
    return [button.label for button in app.button]


def read(app: AppTest) -> str:
    """What the page says, without the marks that keep hostile words words."""
    return shown(app).replace("\\", "").replace(JOINER, "")


def serve(ctx: Context, triggers: RecordedTriggers) -> requests.RequestView:
    requests.serve(ctx, triggers.served[-1])
    return requests.get(ctx, triggers.served[-1])


def add_brakes(app: AppTest, name: str = "Brakes", phrases: str = "squeaking brakes\nbrakes") -> AppTest:
    app.button(key="add_topic").click().run()
    app.text_input(key="topic_name_-1").set_value(name)
    app.text_area(key="topic_phrases_-1").set_value(phrases)
    return press(app, "Keep in the draft")


def press(app: AppTest, label: str) -> AppTest:
    next(button for button in app.button if button.label == label).click().run()
    return app


def test_no_topics_says_what_to_do(ctx: Context, open_page: Opened) -> None:
    assert "Add the first" in shown(open_page("topics"))


def test_each_topic_shows_how_it_did(ctx: Context, open_page: Opened) -> None:
    two_topics(ctx)
    ids = says(ctx, "late parcel", "late parcel again", "too expensive")
    world.signed_in(ctx, Role.ADMIN, "ada")
    inbox.correct(ctx, ADA, ids[1], "topics", ["Price"])
    page = read(open_page("topics"))
    assert "Delivery** " in page
    assert "1 mention · 50% corrected (1 taken away)" in page
    assert "2 mentions · 50% corrected (1 given) · learned from 1 correction" in page
    assert "People checked 2 tags in 30 days and changed 2" in page


def test_from_a_draft_to_a_preview_to_every_mention(
    ctx: Context, open_page: Opened, triggers: RecordedTriggers
) -> None:
    two_topics(ctx)
    says(ctx, "late parcel", "squeaking brakes", "<script>squeaking brakes")
    app = add_brakes(open_page("topics"))
    page = read(app)
    assert "Not applied yet" in page
    assert "“Brakes” added, 2 phrases" in page
    assert app.button(key="apply").disabled, "nobody applies what nobody has seen"
    assert not triggers.served

    app.button(key="preview").click().run()
    assert serve(ctx, triggers).kind == "preview_topics"
    app.run()
    page = read(app)
    assert "0 → 2 :green[+2]" in page
    assert "Without any topic: 2 → 0" in page
    assert "squeaking brakes" in [text.value for text in app.text]
    assert [one.name for one in topics.taxonomy(ctx, ADA).topics] == ["Delivery", "Price"]

    app.button(key="apply").click().run()
    assert "edit_0" not in [button.key for button in app.button], "while it is applied nothing else is changed"
    assert serve(ctx, triggers).state == "done"
    app.run()
    assert [one.name for one in topics.taxonomy(ctx, ADA).topics] == ["Delivery", "Price", "Brakes"]
    assert "Not applied yet" not in shown(app)
    assert "Undo" in labels(app)


def test_a_preview_of_another_draft_allows_nothing(ctx: Context, open_page: Opened, triggers: RecordedTriggers) -> None:
    two_topics(ctx)
    app = add_brakes(open_page("topics"))
    app.button(key="preview").click().run()
    serve(ctx, triggers)
    app.run()
    assert not app.button(key="apply").disabled
    add_brakes(app, "Bells", "ringing bells")
    assert app.button(key="apply").disabled
    assert "The draft has changed since this preview" in shown(app)


def test_a_topic_is_renamed_moved_and_deleted_in_the_draft(ctx: Context, open_page: Opened) -> None:
    two_topics(ctx)
    app = open_page("topics")
    app.button(key="edit_1").click().run()
    app.text_input(key="topic_name_1").set_value("Cost")
    app.number_input(key="topic_place_1").set_value(1)
    press(app, "Keep in the draft")
    page = read(app)
    assert "“Price” renamed to “Cost”" in page
    assert "order changed" in page
    app.button(key="edit_1").click().run()
    assert "no mention is deleted" in shown(app)
    app.button(key="delete_1").click().run()
    assert "“Delivery” deleted" in read(app)
    app.button(key="keep_1").click().run()
    assert "deleted" not in shown(app)
    app.button(key="discard").click().run()
    assert "Not applied yet" not in shown(app)
    assert [one.name for one in topics.taxonomy(ctx, ADA).topics] == ["Delivery", "Price"]


def test_what_cannot_be_a_topic_is_told_in_the_form(ctx: Context, open_page: Opened) -> None:
    two_topics(ctx)
    app = add_brakes(open_page("topics"), "delivery")
    assert "wo topics are named" in app.error[0].value
    assert app.text_area(key="topic_phrases_-1").value, "what was typed is still there"


def test_somebody_elses_change_is_told_before_anything_is_lost(
    ctx: Context, open_page: Opened, triggers: RecordedTriggers
) -> None:
    two_topics(ctx)
    app = add_brakes(open_page("topics"))
    requests.serve(ctx, topics.add(ctx, ADA, "Bells", ["ringing"]))
    app.run()
    assert "Somebody has changed the topics" in app.warning[0].value
    assert "apply" not in [button.key for button in app.button]
    app.button(key="discard").click().run()
    assert "Bells" in shown(app)


def test_undo_puts_the_topics_back(ctx: Context, open_page: Opened, triggers: RecordedTriggers) -> None:
    two_topics(ctx)
    world.signed_in(ctx, Role.ADMIN, "ada")
    requests.serve(ctx, topics.add(ctx, ADA, "Bells", ["ringing"]))
    app = open_page("topics")
    assert "“Bells” added, 1 phrase" in read(app)
    app.button(key="put_back").click().run()
    assert serve(ctx, triggers).state == "done"
    assert [one.name for one in topics.taxonomy(ctx, ADA).topics] == ["Delivery", "Price"]


def test_a_suggestion_becomes_part_of_the_draft_in_one_click(
    ctx: Context, open_page: Opened, triggers: RecordedTriggers
) -> None:
    two_topics(ctx)
    says(
        ctx, *(f"{who} the squeaking brakes" for who in ("I hear", "He loathes", "She curses", "We fear", "They hide"))
    )
    app = open_page("topics")
    app.button(key="suggest").click().run()
    assert serve(ctx, triggers).state == "done"
    app.run()
    page = read(app)
    assert "No topic yet" in page
    assert "5 people, 5 mentions" in page
    assert "Not applied yet" not in page


def test_phrases_that_clash_are_taken_out_in_one_click(
    ctx: Context, open_page: Opened, triggers: RecordedTriggers
) -> None:
    with ctx.database.transaction() as tx:
        rows.replace(tx, [TopicRow("A", ("late parcel", "post")), TopicRow("B", ("parcel late", "money"))])
    app = open_page("topics")
    app.button(key="suggest").click().run()
    serve(ctx, triggers)
    app.run()
    assert "say nearly the same" in shown(app)
    app.button(key="clash_0_B").click().run()
    assert "“B”: 1 phrase taken out" in read(app)
    assert "say nearly the same" not in shown(app)


def test_a_file_becomes_a_draft(ctx: Context, open_page: Opened) -> None:
    two_topics(ctx)
    app = open_page("topics")
    app.button(key="paste").click().run()
    app.text_area(key="pasted").set_value('[[topic]]\nname = "Price"\nphrases = ["cheap"]\n')
    press(app, "Make it the draft")
    page = read(app)
    assert "“Delivery” deleted" in page
    assert "“Price”: 1 phrase added" in page


def test_a_viewer_reads_and_changes_nothing(ctx: Context, open_page: Opened) -> None:
    two_topics(ctx)
    says(ctx, "late parcel")
    app = open_page("topics", Role.VIEWER)
    assert "Delivery" in shown(app)
    assert not {"Edit", "Add a topic", "Suggestions", "Undo", "Apply", "Paste a file"} & set(labels(app))


def test_hostile_names_and_phrases_are_words(ctx: Context, open_page: Opened) -> None:
    two_topics(ctx, world.HOSTILE[:60], "Price")
    app = open_page("topics")
    assert not app.exception
    for element in (*app.markdown, *app.caption):
        assert "![pixel]" not in element.value
        assert "<script>" not in element.value


def test_the_way_to_a_topics_mentions(ctx: Context, open_page: Opened) -> None:
    two_topics(ctx)
    says(ctx, "late parcel")
    app = open_page("topics")
    app.button(key="mentions_0").click().run()
    assert (app.query_params["view"], app.query_params["topic"]) == ("all", "Delivery")
