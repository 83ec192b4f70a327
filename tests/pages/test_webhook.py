"""A webhook on the Sources page: its address and secret, which part is what, and what became of what was sent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from dialogue import hooks, inbox, sources
from dialogue.context import Actor, Context, DialogueError, Role
from listeners.webhook_signatures import SCHEMES, sign
from tests.pages import world
from tests.pages.conftest import Opened, shown

ADA = Actor(1, "Ada", Role.ADMIN)


def made(ctx: Context) -> hooks.Made:
    world.signed_in(ctx, Role.ADMIN, "ada")
    return hooks.create(ctx, ADA, "Our survey")


def sends(ctx: Context, to: hooks.Made, said: Any) -> None:
    body = json.dumps(said).encode()
    headers = sign(SCHEMES[to.scheme], to.secret, body, at=ctx.clock())
    hooks.accept(ctx, to.path.rpartition("/")[2], headers, body)
    hooks.read_waiting(ctx, to.source_id)


def connection(open_page: Opened, to: hooks.Made) -> AppTest:
    app = open_page("sources")
    return app.button(key=f"hook_{to.source_id}").click().run()


def codes(app: AppTest) -> str:
    return "\n".join(str(one.value) for one in app.code)


def test_a_minute_gives_address_secret_and_commands_once(ctx: Context, open_page: Opened) -> None:
    app = open_page("sources")
    app.button(key="add_source").click().run()
    app.button_group(key="add_platform").set_value("webhook").run()
    app.text_input(key="hook_label").set_value("Our survey").run()
    app.button(key="hook_go").click().run()
    assert not app.error
    (source,) = sources.list_(ctx, ADA)
    assert (source.label, source.platform_title) == ("Our survey", "Webhook")
    view = hooks.view(ctx, ADA, source.id)
    assert view.path in codes(app)
    with ctx.database.reading() as tx:
        from db import hooks as rows

        row = rows.get(tx, source.id)
    assert row is not None
    secret = ctx.secrets.decrypt(row.secret)["secret"]
    assert secret in codes(app)
    assert "curl" in codes(app)
    assert "waits for its first delivery" in shown(app)
    app.button(key="hook_copied").click().run()
    assert secret not in shown(app)
    assert view.path in codes(app), "the rest stands on the source's own card now"


def test_what_came_waits_for_a_look_and_is_read_after_it(ctx: Context, open_page: Opened) -> None:
    to = made(ctx)
    sends(ctx, to, {"answers": [{"comment": "The parcel was late"}, {"nps": 4}]})
    app = connection(open_page, to)
    page = shown(app).replace("\\", "")
    assert "1 delivery waits for you" in page
    assert "guessed, please look" in page
    assert "The parcel was late" in page
    assert app.multiselect(key=f"hook_{to.source_id}_text").value == ["/answers/0/comment"]
    app.selectbox(key=f"hook_{to.source_id}_rating").set_value("/answers/1/nps").run()
    assert "★★★★" in shown(app)
    app.button(key=f"hook_{to.source_id}_save").click().run()
    assert not app.error
    hooks.read_waiting(ctx, to.source_id)
    (card,) = inbox.page(ctx, ADA, inbox.Filters(view="all"), None).cards
    assert (card.text, card.rating) == ("The parcel was late", 4.0)
    assert "It takes what is sent" in shown(app.run())


SUBMISSIONS = {
    "form": {"submissions": [{"said": "The parcel was late"}, {"said": "All is well"}]},
    "fields": [{"id": "q1", "type": "text"}],
}


def test_a_list_that_was_not_guessed_is_chosen_and_shown_before_it_is_saved(ctx: Context, open_page: Opened) -> None:
    to = made(ctx)
    sends(ctx, to, SUBMISSIONS)
    app = connection(open_page, to)
    box = app.selectbox(key=f"hook_{to.source_id}_each")
    assert box.options == [
        "the delivery itself",
        "an item of form › submissions (2 items)",
        "an item of fields (1 item)",
    ]
    box.set_value("/form/submissions").run()
    key = f"hook_{to.source_id}_at_/form/submissions"
    assert app.multiselect(key=f"{key}_text").value == ["/said"]
    assert "The parcel was late" in shown(app)
    assert "All is well" in shown(app)
    app.button(key=f"{key}_save").click().run()
    assert not app.error
    hooks.read_waiting(ctx, to.source_id)
    said = {card.text for card in inbox.page(ctx, ADA, inbox.Filters(view="all"), None).cards}
    assert said == {"The parcel was late", "All is well"}


@pytest.mark.parametrize("named", ["form.submissions", " /form/submissions ", "form › submissions"])
def test_a_place_may_be_named_as_people_write_it(ctx: Context, named: str) -> None:
    to = made(ctx)
    sends(ctx, to, SUBMISSIONS)
    layout, parts = hooks.layout_at(ctx, ADA, to.source_id, named)
    assert (layout.each, [one.pointer for one in parts]) == ("/form/submissions", ["/said"])


@pytest.mark.parametrize(
    ("named", "words"), [("form", "no list at /form"), ("nowhere", "no list at /nowhere"), ("/a~7", "no JSON Pointer")]
)
def test_a_place_without_a_list_is_told_and_nothing_is_saved(ctx: Context, named: str, words: str) -> None:
    to = made(ctx)
    sends(ctx, to, SUBMISSIONS)
    with pytest.raises(DialogueError, match=words):
        hooks.layout_at(ctx, ADA, to.source_id, named)
    assert hooks.view(ctx, ADA, to.source_id).confirmed is False


def test_what_could_not_be_read_says_why_and_is_read_again(ctx: Context, open_page: Opened) -> None:
    to = made(ctx)
    sends(ctx, to, [{"text": "fine"}, {"text": "too good", "rating": 9}])
    app = connection(open_page, to)
    page = shown(app).replace("\\", "")
    assert "1 new, 1 not read" in page
    assert "item 2: rating" in page
    app.selectbox(key=f"hook_{to.source_id}_rating").set_value("/rating").run()
    app.button_group(key=f"hook_{to.source_id}_best").set_value(10).run()
    app.button(key=f"hook_{to.source_id}_save").click().run()
    hooks.read_waiting(ctx, to.source_id)
    assert len(inbox.page(ctx, ADA, inbox.Filters(view="all"), None).cards) == 2


def test_giving_up_and_a_new_secret(ctx: Context, open_page: Opened) -> None:
    to = made(ctx)
    sends(ctx, to, [{"text": "fine"}, {"text": ""}])
    app = connection(open_page, to)
    app.button(key=f"hook_{to.source_id}_discard").click().run()
    assert "1 discarded" in shown(app)
    app.button(key=f"hook_rotate_{to.source_id}").click().run()
    assert "Copy it now" in shown(app)
    assert to.secret not in shown(app)


def test_hostile_deliveries_are_shown_as_text(ctx: Context, open_page: Opened) -> None:
    to = made(ctx)
    sends(ctx, to, {world.HOSTILE[:80]: world.HOSTILE, "comment": world.HOSTILE, "id": [[]]})
    sends(ctx, to, [{"comment": {world.HOSTILE[:60]: 1}}])
    app = connection(open_page, to)
    assert not app.exception
    for one in [*app.markdown, *app.caption]:
        for mark in ("![pixel]", "<script>", "[click](", ":smile:", "$x^2$", ":red[fake"):
            assert mark not in str(one.value), str(one.value)[:200]


def test_who_is_no_administrator_sees_no_address(ctx: Context, open_page: Opened) -> None:
    to = made(ctx)
    app = open_page("sources", Role.APPROVER)
    assert f"hook_{to.source_id}" not in {button.key for button in app.button}
    assert to.path not in shown(app)
