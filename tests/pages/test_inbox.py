"""The inbox: shareable filters, bulk actions with a way back, corrections in one click, pages that never skip."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from datetime import timedelta

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dialogue import conversations, inbox, replies, workspace
from dialogue.context import Actor, Context, Role
from tests.conftest import Clock
from tests.pages import world
from tests.pages.conftest import Opened, shown
from tests.worlds import look

MIRA = Actor(1, "Mira", Role.ADMIN)


def three(ctx: Context, sample: bool = False) -> None:
    """A complaint (1), a neutral word (2), praise (3), the newest last."""
    now = ctx.clock()
    words = ("My parcel is lost", "The shop opens at nine", "I love the Lark")
    posts = [world.post(n + 1, said, posted_at=now - timedelta(minutes=9 - n)) for n, said in enumerate(words)]
    world.says(ctx, *posts, source_id=world.source(ctx), sample=sample, moods=("positive", "negative", "neutral"))


def listed(app: AppTest) -> list[str]:
    """What was said, in the order of the list."""
    return [element.value for element in app.text]


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[], bytes]]:
    """What makes the file of each button that is shown, by the button's key; a test cannot click one."""
    made: dict[str, Callable[[], bytes]] = {}
    monkeypatch.setattr(st, "download_button", lambda label, data, *_, key, **__: made.__setitem__(key, data))
    return made


def test_the_file_holds_what_the_list_shows_and_no_formula(
    ctx: Context, open_page: Opened, downloads: dict[str, Callable[[], bytes]]
) -> None:
    now = ctx.clock()
    posts = [world.post(n, said, posted_at=now) for n, said in enumerate(("=1+1 it broke", "I love the Lark"), 1)]
    world.says(ctx, *posts, source_id=world.source(ctx), moods=("positive", "negative"))
    open_page("inbox", sentiment="negative")
    table = list(csv.DictReader(io.StringIO(downloads["mentions_csv"]().decode("utf-8-sig"))))
    assert [row["text"] for row in table] == ["'=1+1 it broke"]
    assert look(ctx, "SELECT action, subject FROM audit WHERE action = 'downloaded'") == [("downloaded", "mentions")]


def test_who_only_looks_on_takes_no_file(
    ctx: Context, open_page: Opened, downloads: dict[str, Callable[[], bytes]]
) -> None:
    three(ctx)
    open_page("inbox", Role.VIEWER)
    assert "mentions_csv" not in downloads


def test_a_card_says_who_where_when_and_what_is_due(ctx: Context, open_page: Opened) -> None:
    three(ctx)
    page = shown(open_page("inbox"))
    assert "**Person 3**" in page
    assert "7 min" in page
    assert "due in 3 h" in page
    assert "3 conversations need an answer" in page


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"sentiment": "negative"}, ["My parcel is lost"]),
        ({"sentiment": ["negative", "positive"]}, ["I love the Lark", "My parcel is lost"]),
        ({"search": "parcel OR lark"}, ["I love the Lark", "My parcel is lost"]),
        ({"view": "closed"}, []),
        ({"assignee": "me"}, []),
        ({"from": "2026-11-20", "to": "2026-11-20", "search": "nine"}, ["The shop opens at nine"]),
        ({"from": "2026-11-01", "to": "2026-11-02"}, []),
    ],
)
def test_a_view_can_be_shared_by_its_address(
    query: dict[str, str | list[str]], found: list[str], ctx: Context, open_page: Opened
) -> None:
    three(ctx)
    assert listed(open_page("inbox", **query)) == found


def test_a_filtered_list_says_what_it_found_and_why_a_card_may_differ(ctx: Context, open_page: Opened) -> None:
    three(ctx)
    page = shown(open_page("inbox", sentiment="negative"))
    assert "1 conversation found" in page
    assert "need an answer" not in page
    assert "anything said then" not in page
    days = {"from": "2026-11-20", "to": "2026-11-20", "sentiment": "negative"}
    assert "anything said then matches" in shown(open_page("inbox", username="bo", **days))


def test_a_long_filtered_list_says_that_there_are_more(ctx: Context, open_page: Opened) -> None:
    world.thousands(ctx, 120)
    assert re.search(r"\d+ or more found", shown(open_page("inbox", topic="Delivery")))


@pytest.mark.parametrize(
    "query",
    [{"view": "nonsense"}, {"sentiment": "<b>"}, {"source": "9" * 40}, {"assignee": "-1"}, {"from": "x", "to": "y"},
     {"topic": "x" * 5_000}, {"state": "gone"}, {"source": "²"}],
)  # fmt: skip
def test_an_address_that_makes_no_sense_never_breaks_the_page(
    query: dict[str, str], ctx: Context, open_page: Opened
) -> None:
    three(ctx)
    app = open_page("inbox", **query)
    assert not app.exception
    assert not app.error


def test_filters_stand_in_the_address_bar(ctx: Context, open_page: Opened) -> None:
    three(ctx)
    app = open_page("inbox")
    app.multiselect(key="filter_sentiment").set_value(["negative"]).run()
    assert listed(app) == ["My parcel is lost"]
    assert app.query_params["sentiment"] == "negative"
    app.button(key="clear_filters").click().run()
    assert "sentiment" not in app.query_params
    assert len(listed(app)) == 3


def test_a_search_that_cannot_be_read_points_at_the_place(ctx: Context, open_page: Opened) -> None:
    three(ctx)
    app = open_page("inbox", search="(parcel AND")
    assert app.error
    assert not app.exception
    assert listed(app) == []


def test_bulk_close_and_undo(ctx: Context, open_page: Opened) -> None:
    three(ctx)
    app = open_page("inbox")
    app.checkbox(key="tick_all").check().run()
    app.button(key="bulk_close").click().run()
    assert listed(app) == []
    assert "3 conversations closed" in shown(app)
    app.button(key="undo").click().run()
    assert len(listed(app)) == 3
    assert inbox.counts(ctx, MIRA)["closed"] == 0


def test_only_what_is_ticked_is_closed(ctx: Context, open_page: Opened) -> None:
    three(ctx)
    app = open_page("inbox")
    app.checkbox(key="tick_2").check().run()
    app.button(key="bulk_close").click().run()
    assert listed(app) == ["I love the Lark", "My parcel is lost"]
    assert not any(box.value for box in app.checkbox)


def test_assigning_many(ctx: Context, open_page: Opened) -> None:
    three(ctx)
    app = open_page("inbox")
    app.checkbox(key="tick_all").check().run()
    app.menu_button(key="bulk_assign").click("Mira").run()
    assert inbox.counts(ctx, MIRA)["mine"] == 3
    assert "3 conversations assigned" in shown(app)


def test_unread_until_opened(ctx: Context, open_page: Opened) -> None:
    three(ctx)
    app = open_page("inbox")
    assert ":primary[●] **Person 3**" in shown(app)
    app.button(key="open_3").click().run()
    assert not app.exception
    app.switch_page("pages/inbox.py").run()
    assert ":primary[●] **Person 3**" not in shown(app)
    assert ":primary[●] **Person 2**" in shown(app)


def test_answer_opens_the_conversation_and_next_walks_the_list(ctx: Context, open_page: Opened) -> None:
    three(ctx)
    app = open_page("inbox")
    app.button(key="open_3").click().run()
    assert "I love the Lark" in listed(app)
    app.switch_page("pages/conversation.py").run()
    app.button(key="next").click().run()
    assert "The shop opens at nine" in listed(app)
    app.button(key="previous").click().run()
    assert "I love the Lark" in listed(app)
    assert app.button(key="previous").disabled


def test_a_correction_takes_one_click_and_wins(ctx: Context, open_page: Opened) -> None:
    three(ctx)
    app = open_page("inbox")
    app.session_state["tags_3"] = True
    app.run()
    assert [card.sentiment for card in inbox.page(ctx, MIRA, inbox.Filters()).cards if card.mention_id == 3] == [
        "positive"
    ]
    app.pills(key="correct_sentiment_3").set_value("negative").run()
    (card,) = [card for card in inbox.page(ctx, MIRA, inbox.Filters()).cards if card.mention_id == 3]
    assert (card.sentiment, card.corrected) == ("negative", ("sentiment",))


def test_older_and_newer_show_everything_once(ctx: Context, open_page: Opened) -> None:
    now = ctx.clock()
    world.says(ctx, *[world.post(n, f"Number {n}", posted_at=now - timedelta(minutes=n + 1)) for n in range(60)])
    app = open_page("inbox")
    seen = listed(app)
    app.button(key="older").click().run()
    seen += listed(app)
    app.button(key="older").click().run()
    seen += listed(app)
    assert seen == [f"Number {n}" for n in range(60)]
    assert "older" not in [button.key for button in app.button]
    app.button(key="newer").click().run()
    assert listed(app)[0] == "Number 25"
    app.button(key="newest").click().run()
    assert listed(app)[0] == "Number 0"


def test_replies_that_wait_are_shown_to_approvers_only(ctx: Context, open_page: Opened, clock: Clock) -> None:
    three(ctx, sample=True)
    world.signed_in(ctx, Role.ADMIN, "ada")
    workspace.change(ctx, Actor(1, "Ada", Role.ADMIN), approval="always")
    world.signed_in(ctx, Role.RESPONDER, "rolf")
    rolf = Actor(2, "Rolf", Role.RESPONDER)
    version = conversations.open_(ctx, rolf, 1).version
    replies.send(ctx, rolf, 1, None, "It is on its way.", "key", version)
    assert "waits for your approval" not in shown(open_page("inbox", Role.RESPONDER, "other"))
    app = open_page("inbox", Role.APPROVER)
    assert [box for box in app.expander if "1 reply waits for your approval" in box.label]
    app.session_state["to_approve"] = True
    app.run()
    reply = replies.status(ctx, 1)[0]
    assert "It is on its way." in shown(app)
    app.button(key=f"approve_{reply.id}").click().run()
    assert replies.status(ctx, 1)[0].state == "queued"


def test_a_viewer_sees_and_changes_nothing(ctx: Context, open_page: Opened) -> None:
    three(ctx)
    app = open_page("inbox", Role.VIEWER)
    assert len(listed(app)) == 3
    assert not app.checkbox
    assert {button.label for button in app.button if (button.key or "").startswith("open_")} == {"Open"}


def test_an_empty_view_says_what_to_do(ctx: Context, open_page: Opened) -> None:
    assert "Nothing needs an answer" in shown(open_page("inbox"))
    three(ctx)
    assert "No conversation matches" in shown(open_page("inbox", username="b", search="nothing_like_this"))
