"""Notes: written down in two clicks from the inbox, changed and deleted where they stand."""

from __future__ import annotations

from datetime import timedelta

from streamlit.testing.v1 import AppTest

from dialogue import audit, inbox, notes
from dialogue.context import Actor, Context, Role
from tests.pages import world
from tests.pages.conftest import Opened, shown

MIRA = Actor(1, "Mira", Role.ADMIN)


def cards(ctx: Context) -> list[inbox.Card]:
    return sorted(inbox.page(ctx, MIRA, inbox.Filters(view="all"), None, 100).cards, key=lambda card: card.text)


def add_button(app: AppTest) -> object:
    return next(button for button in app.button if button.label.startswith("Add ") and button.key != "add_note")


def form(open_page: Opened, role: Role = Role.ADMIN) -> AppTest:
    app = open_page("inbox", role)
    return app.button(key="add_note").click().run()


def test_a_note_in_two_clicks(ctx: Context, open_page: Opened) -> None:
    app = form(open_page, Role.PRODUCT)
    app.text_area(key="note_text").set_value("The hinge squeaks").run()
    app.text_input(key="note_name").set_value("Jane Doe").run()
    app.selectbox(key="note_heard").set_value("visit").run()
    add_button(app).click().run()
    assert not app.error
    (card,) = cards(ctx)
    assert (card.text, card.author_name, card.place) == ("The hinge squeaks", "Jane Doe", "at a visit")
    assert abs(card.posted_at - ctx.clock()) < timedelta(minutes=1)
    assert audit.entries(ctx, MIRA)[0].who == "Mira"
    assert "Jane Doe" in shown(app)
    assert "at a visit" in shown(app)


def test_an_empty_note_says_so_and_the_form_stays(ctx: Context, open_page: Opened) -> None:
    app = form(open_page)
    add_button(app).click().run()
    assert "Write down what the customer said" in app.error[0].value
    assert app.text_area(key="note_text")
    assert cards(ctx) == []


def test_several_are_shown_before_they_are_added(ctx: Context, open_page: Opened) -> None:
    app = form(open_page)
    app.button_group(key="note_many").set_value(True).run()
    app.text_area(key="note_text").set_value("One thing\nAnother thing\n\nA third <b>thing</b>").run()
    assert "2 notes:" in shown(app)
    button = add_button(app)
    assert button.label == "Add 2 notes"
    button.click().run()
    assert [card.text for card in cards(ctx)] == ["A third <b>thing</b>", "One thing\nAnother thing"]


def test_somebody_known_is_offered_and_a_guarded_one_asks_how_one_knows(ctx: Context, open_page: Opened) -> None:
    world.says(ctx, world.post(8, platform="x", posted_at=ctx.clock()))
    app = form(open_page)
    app.text_area(key="note_text").set_value("The hinge squeaks").run()
    app.text_input(key="note_name").set_value("person 8").run()
    radio = app.radio(key="note_person")
    radio.set_value(cards(ctx)[0].person_id).run()
    add_button(app).click().run()
    assert "how you know" in app.error[0].value
    app.text_input(key="note_evidence").set_value("She showed me her account").run()
    add_button(app).click().run()
    assert not app.error
    assert len({card.person_id for card in cards(ctx)}) == 1


def test_its_writer_changes_and_deletes_it_and_takes_that_back(ctx: Context, open_page: Opened) -> None:
    world.signed_in(ctx, Role.ADMIN, "ada")
    mira = Actor(2, "Mira", Role.RESPONDER)
    app = open_page("inbox", Role.RESPONDER)
    added = notes.add(ctx, mira, ["The hinge squeaks"], notes.Who("Jane"), "phone", None, notes.new_key())
    (one,) = added.mention_ids
    app.query_params["conversation"] = str(added.conversation_ids[0])
    app.switch_page("pages/conversation.py").run()
    assert "heard on the phone, noted by Mira" in shown(app).replace("\\", "")
    app.button(key=f"note_edit_{one}").click().run()
    app.text_area(key=f"note_words_{one}").set_value("The hinge squeaks at night").run()
    app.button(key="note_save").click().run()
    assert not app.error
    assert "at night" in shown(app)
    app.button(key=f"note_delete_{one}").click().run()
    assert cards(ctx) == []
    app.button(key="undo").click().run()
    assert [card.text for card in cards(ctx)] == ["The hinge squeaks at night"]


def test_a_colleagues_note_is_theirs(ctx: Context, open_page: Opened) -> None:
    world.signed_in(ctx, Role.ADMIN, "ada")
    ada = Actor(1, "Ada", Role.ADMIN)
    added = notes.add(ctx, ada, ["The hinge squeaks"], notes.Who(), "phone", None, notes.new_key())
    app = open_page("conversation", Role.APPROVER, conversation=str(added.conversation_ids[0]))
    keys = {button.key for button in app.button}
    assert not keys & {f"note_edit_{added.mention_ids[0]}", f"note_delete_{added.mention_ids[0]}"}


def test_who_only_reads_is_not_offered_to_write(ctx: Context, open_page: Opened) -> None:
    app = open_page("inbox", Role.VIEWER)
    assert "add_note" not in {button.key for button in app.button}


def test_hostile_notes_are_shown_as_text(ctx: Context, open_page: Opened) -> None:
    app = form(open_page)
    app.button_group(key="note_many").set_value(True).run()
    app.text_area(key="note_text").set_value(world.HOSTILE).run()
    app.text_input(key="note_name").set_value(world.HOSTILE[:90].replace("\n", " ")).run()
    add_button(app).click().run()
    assert not app.exception
    for one in [*app.markdown, *app.caption]:
        for mark in ("![pixel]", "<script>", "[click](", ":smile:", ":red[fake"):
            assert mark not in str(one.value), str(one.value)[:200]
