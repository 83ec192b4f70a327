"""Summary, the feedback board, people and roles."""

from __future__ import annotations

import csv
import io
from datetime import timedelta

import pandas as pd
import pytest

from db import workspace as workspace_rows
from dialogue import accounts, feedback, requests, sources, workspace
from dialogue.context import Actor, Context, Role
from pages.parts import charts, export, look, state
from tests.conftest import RecordedTriggers
from tests.pages import world
from tests.pages.conftest import Opened, shown

MIRA = Actor(1, "Mira", Role.ADMIN)


# Summary --------------------------------------------------------------------------------------------------------------


def a_fortnight(ctx: Context) -> None:
    now = ctx.clock()
    posts = [world.post(n, f"Message {n}", posted_at=now - timedelta(hours=5 * n + 1)) for n in range(66)]
    world.says(ctx, *posts, source_id=world.source(ctx))


def test_the_empty_summary_offers_a_source_and_the_sample(
    ctx: Context, open_page: Opened, triggers: RecordedTriggers
) -> None:
    app = open_page("summary")
    assert "Connect a source" in shown(app)
    app.button(key="load_sample").click().run()
    assert triggers.served
    assert "load_sample" not in [button.key for button in app.button]


def test_only_an_administrator_loads_the_sample(ctx: Context, open_page: Opened) -> None:
    app = open_page("summary", Role.RESPONDER)
    assert "load_sample" not in [button.key for button in app.button]
    assert "administrator" in shown(app)


def test_the_sample_goes_in_one_click(ctx: Context, open_page: Opened, triggers: RecordedTriggers) -> None:
    now = ctx.clock()
    said = world.post(posted_at=now - timedelta(hours=1))
    world.says(ctx, said, source_id=world.source(ctx, sample=True), sample=True)
    with ctx.database.transaction() as tx:
        workspace_rows.write(tx, sample_loaded_at=now)
    app = open_page("summary")
    assert not triggers.served
    app.button(key="remove_sample").click().run()
    assert requests.get(ctx, triggers.served[-1]).kind == "remove_sample"


def test_numbers_have_a_meaning_and_a_way_to_their_mentions(ctx: Context, open_page: Opened) -> None:
    a_fortnight(ctx)
    app = open_page("summary")
    assert {metric.label for metric in app.metric} >= {"Mood", "Mentions"}
    assert all(not metric.delta.startswith("\u2212") for metric in app.metric if metric.delta)
    app.button(key="number_1").click().run()
    assert "# Inbox" in shown(app)
    assert app.query_params["view"] == "all"
    assert app.query_params["from"] == "2026-11-14"


def test_the_period_stands_in_the_address_bar(ctx: Context, open_page: Opened) -> None:
    a_fortnight(ctx)
    app = open_page("summary", days="30")
    mentions = next(metric for metric in app.metric if metric.label == "Mentions")
    assert mentions.value == "66"
    app = open_page("summary", username="b", days="-7")
    assert not app.exception


def test_everything_behind_the_charts_can_be_had_as_csv(ctx: Context, open_page: Opened) -> None:
    a_fortnight(ctx)
    app = open_page("summary")
    assert [button for button in app.download_button if button.label == "CSV"]


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "\t=1", " =1"])
def test_a_topic_is_no_formula_in_the_export(cell: str) -> None:
    table = export.csv(pd.DataFrame({"topic": [cell, "Delivery"], "count": [-1, 2]})).decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(table)))
    assert rows[1:] == [["'" + cell, "-1"], ["Delivery", "2"]]


def test_a_clicked_bar_names_its_day_and_mood() -> None:
    class Event:
        selection = {charts.PICK: [{"iso": "2026-11-18", "sentiment": "negative"}]}

    fields = charts.picked(Event())
    day = charts.picked_day(fields)
    assert day is not None
    assert state.filters_as_query(look_filters(day, fields["sentiment"])) == {
        "view": "all", "sentiment": ["negative"], "from": "2026-11-18", "to": "2026-11-18",
    }  # fmt: skip
    assert charts.picked(None) == {}
    assert charts.picked_day({"iso": "nonsense"}) is None


def look_filters(day: tuple, mood: str) -> object:
    from dialogue.inbox import Filters

    return Filters(view="all", sentiment=(mood,), day=day)


def test_charts_use_the_one_palette() -> None:
    frame = pd.DataFrame({"topic": ["a", "a"], "sentiment": ["negative", "positive"], "count": [3, 4]})
    colours = {"negative": "#C2410C", "neutral": "#CBD5E1", "positive": "#0F766E"}
    scale = charts.by_key(frame, "topic", colours).to_dict()["encoding"]["color"]["scale"]
    assert dict(zip(scale["domain"], scale["range"], strict=True)) == colours
    assert set(look.MARKS) == set(colours)


# Feedback -------------------------------------------------------------------------------------------------------------


def an_item(ctx: Context, title: str = "GPX export") -> int:
    (mention,) = world.says(ctx, world.post(posted_at=ctx.clock()), source_id=world.source(ctx))
    world.signed_in(ctx, Role.ADMIN, "ada")
    return feedback.add(ctx, MIRA, title, "idea", mention)


def test_an_item_is_added_moved_and_deleted_with_a_way_back(ctx: Context, open_page: Opened) -> None:
    app = open_page("feedback")
    app.button(key="add_item").click().run()
    app.text_input(key="item_add_title").set_value("A *child* seat")
    next(button for button in app.button if button.label == "Add").click().run()
    (item,) = feedback.board(ctx, MIRA)["new"]
    assert item.title == "A *child* seat"
    app.button(key=f"open_item_{item.id}").click().run()
    next(one for one in app.pills if one.label == "Stands at").set_value("planned")
    next(one for one in app.text_input if one.label.startswith("Why")).set_value("In spring")
    next(button for button in app.button if button.label == "Move").click().run()
    assert [one.reason for one in feedback.board(ctx, MIRA)["planned"]] == ["In spring"]
    app.button(key=f"open_item_{item.id}").click().run()
    next(button for button in app.button if button.label == "Delete the item").click().run()
    assert not any(feedback.board(ctx, MIRA).values())
    app.button(key="undo").click().run()
    assert len(feedback.board(ctx, MIRA)["planned"]) == 1


def test_declining_needs_a_reason_and_says_so(ctx: Context, open_page: Opened) -> None:
    item_id = an_item(ctx)
    app = open_page("feedback")
    app.button(key=f"open_item_{item_id}").click().run()
    next(one for one in app.pills if one.label == "Stands at").set_value("declined")
    next(button for button in app.button if button.label == "Move").click().run()
    assert app.error
    assert feedback.board(ctx, MIRA)["declined"] == ()


def test_a_quote_leads_to_its_conversation(ctx: Context, open_page: Opened) -> None:
    item_id = an_item(ctx)
    app = open_page("feedback")
    app.button(key=f"open_item_{item_id}").click().run()
    app.button(key=f"to_{item_id}_1").click().run()
    assert "Where is my parcel?" in shown(app)
    assert app.query_params["conversation"] == "1"


def test_a_viewer_reads_the_board(ctx: Context, open_page: Opened) -> None:
    item_id = an_item(ctx)
    app = open_page("feedback", Role.VIEWER)
    assert "add_item" not in [button.key for button in app.button]
    app.button(key=f"open_item_{item_id}").click().run()
    assert not {"Move", "Delete the item", "Take off"} & {button.label for button in app.button}
    assert "Where is my parcel?" in shown(app)


# People and roles -----------------------------------------------------------------------------------------------------


def test_an_invitation_is_shown_once(ctx: Context, open_page: Opened) -> None:
    app = open_page("colleagues")
    next(one for one in app.text_input if one.label == "User name").set_value("rolf")
    next(button for button in app.button if button.label == "Make the link").click().run()
    assert not app.error
    (link,) = [block.value for block in app.code]
    token = link.partition("link=")[2]
    assert accounts.link_info(ctx, token) is not None
    app.button(key="invitation_done").click().run()
    assert not app.code


def test_a_role_is_changed(ctx: Context, open_page: Opened) -> None:
    world.signed_in(ctx, Role.VIEWER, "rolf")
    app = open_page("colleagues")
    app.selectbox(key="role_1").set_value(Role.APPROVER).run()
    assert {one.username: one.role for one in accounts.colleagues(ctx, MIRA)}["rolf"] is Role.APPROVER


def test_the_last_administrator_stays_one(ctx: Context, open_page: Opened) -> None:
    app = open_page("colleagues")
    app.selectbox(key="role_1").set_value(Role.VIEWER).run()
    assert app.error
    assert accounts.colleagues(ctx, MIRA)[0].role is Role.ADMIN


def test_a_colleague_is_disabled(ctx: Context, open_page: Opened) -> None:
    world.signed_in(ctx, Role.VIEWER, "rolf")
    app = open_page("colleagues")
    app.menu_button(key="more_1").click("Disable").run()
    assert {one.username: one.disabled for one in accounts.colleagues(ctx, MIRA)} == {"rolf": True, "mira": False}


def test_only_an_administrator_changes_people_rules_and_reads_the_audit(ctx: Context, open_page: Opened) -> None:
    app = open_page("colleagues", Role.APPROVER)
    assert not app.selectbox
    assert "Audit" not in app.segmented_control(key="people_part").options
    app.segmented_control(key="people_part").set_value("Rules").run()
    assert next(button for button in app.button if button.label == "Save").disabled


def test_the_rules_are_saved(ctx: Context, open_page: Opened) -> None:
    app = open_page("colleagues")
    app.segmented_control(key="people_part").set_value("Rules").run()
    next(one for one in app.text_input if one.label == "Company").set_value("Halvora")
    next(one for one in app.number_input if one.label.startswith("Seconds")).set_value(20)
    next(button for button in app.button if button.label == "Save").click().run()
    rules = workspace.get(ctx)
    assert (rules.name, rules.undo_seconds, rules.retention_days) == ("Halvora", 20, None)


def test_a_token_is_shown_once_and_ended(ctx: Context, open_page: Opened) -> None:
    app = open_page("colleagues", Role.RESPONDER)
    app.segmented_control(key="people_part").set_value("Your account").run()
    next(one for one in app.text_input if one.label == "What for").set_value("Report")
    next(button for button in app.button if button.label == "Make a token").click().run()
    (token,) = [block.value for block in app.code]
    assert accounts.actor_of_token(ctx, token) is not None
    app.button(key="token_done").click().run()
    assert not app.code
    app.button(key="revoke_1").click().run()
    assert accounts.actor_of_token(ctx, token) is None


def test_the_audit_says_who_did_what(ctx: Context, open_page: Opened) -> None:
    app = open_page("colleagues")
    workspace.change(ctx, MIRA, name="Halvora *bikes*")
    app.segmented_control(key="people_part").set_value("Audit").run()
    assert "**Mira** changed workspace" in shown(app)
    assert "Halvora \\*bikes\\*" in shown(app)


def test_the_audit_names_what_it_can(ctx: Context, open_page: Opened) -> None:
    app = open_page("colleagues")
    source_id = world.source(ctx, label="City news")
    sources.rename(ctx, MIRA, source_id, "Town news")
    world.signed_in(ctx, Role.VIEWER, "bo")
    accounts.set_role(ctx, MIRA, 2, Role.PRODUCT)
    app.segmented_control(key="people_part").set_value("Audit").run()
    assert "changed the role user “Bo”" in shown(app)
    assert "source “City news”" in shown(app), "as it was called then"
