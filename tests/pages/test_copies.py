"""Copies under one row, likely spam aside: both are told, opened and taken back in one click."""

from __future__ import annotations

from datetime import timedelta

from db import mentions
from dialogue import inbox
from dialogue.context import SYSTEM, Context, Role
from tests.dialogue.reading import read
from tests.pages import world
from tests.pages.conftest import Opened, shown
from tests.pages.test_inbox import listed

SQUEAK = "The hinge of my new door squeaks every single morning and nobody at the shop answers the phone"
PITCH = "Earn $500 a day from home! DM me now, link in bio 💰💰💰"


def said(ctx: Context, *texts: str, **fields: object) -> None:
    """Each text by a person of its own, one a minute."""
    start = ctx.clock() - timedelta(hours=1)
    posts = [world.post(n + 1, one, posted_at=start + timedelta(minutes=n), **fields) for n, one in enumerate(texts)]
    with ctx.database.transaction() as tx:
        mentions.upsert(tx, posts, now=ctx.clock(), digest=ctx.secrets.digest)
    read(ctx)


def test_one_row_with_its_copies_which_open_on_their_own(ctx: Context, open_page: Opened) -> None:
    said(ctx, SQUEAK, f"RT @person1: {SQUEAK}", f"{SQUEAK} https://x.example")
    app = open_page("inbox")
    assert listed(app) == [SQUEAK]
    assert "1 conversation needs an answer" in shown(app)
    everything = open_page("inbox", username="bo", view="all")
    assert len(listed(everything)) == 3
    assert shown(everything).count(":gray-badge[:material/content_copy: copy]") == 2


def test_the_page_of_a_copy_leads_to_the_first_and_lets_it_stand_for_itself(ctx: Context, open_page: Opened) -> None:
    said(ctx, SQUEAK, f"RT @person1: {SQUEAK}")
    app = open_page("conversation", conversation="2")
    assert "needs no answer of its own" in shown(app)
    app.button(key="unfold").click().run()
    assert not app.error
    assert "needs no answer of its own" not in shown(app)
    assert inbox.counts(ctx, SYSTEM)["needs_answer"] == 2
    app.button(key="undo").click().run()
    assert "needs no answer of its own" in shown(app)
    app.button(key="first_said").click().run()
    assert app.query_params["conversation"] in ("1", ["1"])


def test_what_is_set_aside_says_why_and_comes_back_in_one_click(ctx: Context, open_page: Opened) -> None:
    said(ctx, "Where is my parcel?", PITCH)
    assert listed(open_page("inbox")) == ["Where is my parcel?"]
    app = open_page("inbox", username="bo", view="set_aside")
    assert listed(app) == [PITCH]
    assert "promises money" in shown(app)
    assert "Answer" not in [button.label for button in app.button]
    app.button(key="not_spam_2").click().run()
    assert listed(app) == []
    assert "Nothing is set aside" in shown(app)
    app.button(key="undo").click().run()
    assert listed(app) == [PITCH]


def test_many_are_set_aside_by_hand_and_brought_back(ctx: Context, open_page: Opened) -> None:
    said(ctx, "One", "Two", "Three")
    app = open_page("inbox")
    app.checkbox(key="tick_all").check().run()
    app.button(key="bulk_set_aside").click().run()
    assert listed(app) == []
    assert inbox.counts(ctx, SYSTEM)["set_aside"] == 3
    aside = open_page("inbox", username="bo", view="set_aside")
    assert "Mira set this aside" in shown(aside)
    aside.checkbox(key="tick_all").check().run()
    aside.button(key="bulk_not_spam").click().run()
    assert inbox.counts(ctx, SYSTEM)["needs_answer"] == 3


def test_a_viewer_sees_but_changes_nothing_and_hostile_names_stay_words(ctx: Context, open_page: Opened) -> None:
    said(ctx, SQUEAK, f"RT @x: {SQUEAK}", PITCH, author_name=world.HOSTILE)
    for query in ({"view": "set_aside"}, {"view": "all"}):
        app = open_page("inbox", role=Role.VIEWER, username=query["view"], **query)
        assert not app.exception
        assert not [button for button in app.button if "spam" in str(button.key) or "copy_out" in str(button.key)]
    app = open_page("conversation", role=Role.VIEWER, username="vi", conversation="2")
    assert not app.exception
    assert "unfold" not in [button.key for button in app.button]
