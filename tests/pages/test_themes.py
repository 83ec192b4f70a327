"""The page of themes: what it says when there are none, one, and many, and what its clicks do."""

from __future__ import annotations

from datetime import timedelta

import pytest

from db import themes as rows
from db import workspace as workspace_rows
from db.themes import Member
from dialogue import feedback, requests, themes, topics
from dialogue.context import SYSTEM, Actor, Context, Role
from tests.pages import world
from tests.pages.conftest import Opened, shown


def found(ctx: Context, name: str = "Late parcels", phrases: tuple[str, ...] = ("late parcel",), count: int = 6) -> int:
    """A theme that a search has just found in so many mentions; its id."""
    now = ctx.clock()
    start = 1_000 * len(name)
    posts = [
        world.post(start + number, f"{name} again, number {number}", posted_at=now - timedelta(hours=number))
        for number in range(count)
    ]
    ids = world.says(ctx, *posts)
    with ctx.database.transaction() as tx:
        run_id = rows.begin(tx, now, timedelta(minutes=1), 0)
        assert run_id is not None
        rows.end(tx, run_id, now, state="done", mentions=40, grouped=count, themes=1)
        values = {"name": name, "phrases": list(phrases), "centroid": b"", "space": "m", "cohesion": 0.9}
        theme_id = rows.add(tx, now, sample=False, **values)
        rows.place(tx, {theme_id: [Member(one, 0.9, place) for place, one in enumerate(ids, start=1)]}, ids)
        workspace_rows.bump(tx)
    return theme_id


def spoke_before(ctx: Context) -> None:
    """Enough was said earlier, of nothing in particular, for the days now to be compared with those."""
    for start, age in ((500, 4), (600, 10)):
        posts = [world.post(start + n, f"Chatter {n}", posted_at=ctx.clock() - timedelta(days=age)) for n in range(20)]
        world.says(ctx, *posts)


def test_empty_it_says_when_the_first_themes_appear(ctx: Context, open_page: Opened) -> None:
    app = open_page("themes")
    assert "first themes appear once the model has read 20 mentions" in shown(app)
    assert "search_themes" not in {one.key for one in app.button}, "there is nothing to search"


def test_a_card_says_how_many_how_it_moved_and_what_they_say(ctx: Context, open_page: Opened) -> None:
    spoke_before(ctx)
    found(ctx)
    app = open_page("themes")
    words = shown(app)
    assert "Late parcels" in words
    assert "6 mentions" in words
    assert "nobody spoke of it in the 7 days before" in words
    assert "33 % negative" in words
    assert len({one.value for one in app.text if one.value.startswith("Late parcels again")}) == 3


def test_only_what_grows_and_only_these_days(ctx: Context, open_page: Opened) -> None:
    spoke_before(ctx)
    theme_id = found(ctx)
    app = open_page("themes", which="growing", days="3")
    assert "Late parcels" in shown(app)
    with ctx.database.transaction() as tx:
        tx.connection.exec_driver_sql("UPDATE effective_tags SET day = '2026-11-10'")
        workspace_rows.bump(tx)
    app.run()
    assert "Nothing is new or growing" in shown(app)
    app.query_params["which"], app.query_params["days"] = "all", "14"
    app.run()
    assert [one for one in app.button if one.key == f"theme_mentions_{theme_id}"]


def test_a_topic_in_one_click(ctx: Context, open_page: Opened) -> None:
    topics.ensure_defaults(ctx)
    theme_id = found(ctx)
    app = open_page("themes", Role.PRODUCT)
    app.button(f"theme_topic_{theme_id}").click().run()
    assert not app.exception
    assert "Waiting for the worker" in shown(app)
    assert not [one for one in app.button if one.key == f"theme_topic_{theme_id}"], "it has been made"


def test_words_of_a_platform_that_forbids_it_make_no_topic(ctx: Context, open_page: Opened) -> None:
    theme_id = found(ctx, phrases=())
    button = open_page("themes", Role.PRODUCT).button(f"theme_topic_{theme_id}")
    assert button.disabled
    assert "forbid" in button.help


def test_feedback_in_one_click(ctx: Context, open_page: Opened) -> None:
    theme_id = found(ctx)
    app = open_page("themes", Role.PRODUCT)
    app.button(f"theme_feedback_{theme_id}").click().run()
    assert not app.error
    items = feedback.board(ctx, SYSTEM)["new"]
    assert [(item.title, len(item.quotes)) for item in items] == [("Late parcels", 3)]
    assert not [one for one in app.button if one.key == f"theme_feedback_{theme_id}"]


def test_dismissed_and_back(ctx: Context, open_page: Opened) -> None:
    theme_id = found(ctx)
    app = open_page("themes", Role.PRODUCT)
    undo_id = themes.dismiss(ctx, _me(), theme_id)
    app.run()
    assert "Late parcels" not in shown(app)
    themes.undo_dismiss(ctx, _me(), undo_id)
    app.run()
    assert "Late parcels" in shown(app)


def _me() -> Actor:
    return Actor(1, "Mira", Role.PRODUCT)


def test_a_click_searches_now(ctx: Context, open_page: Opened) -> None:
    found(ctx)
    app = open_page("themes", Role.PRODUCT)
    app.button("search_themes").click().run()
    assert [one.kind for one in requests.active(ctx, SYSTEM)] == [themes.SEARCH]
    assert "Waiting for the worker" in shown(app)


def test_a_viewer_looks_only(ctx: Context, open_page: Opened) -> None:
    theme_id = found(ctx)
    app = open_page("themes", Role.VIEWER)
    assert "Late parcels" in shown(app)
    keys = {one.key for one in app.button}
    assert not keys & {f"theme_topic_{theme_id}", f"theme_feedback_{theme_id}", "search_themes"}


def test_hostile_names_and_words_are_shown_as_text(ctx: Context, open_page: Opened) -> None:
    found(ctx, world.HOSTILE[:150].replace("\n", " "), (world.HOSTILE[:90],))
    app = open_page("themes")
    assert not app.exception
    for block in [*app.markdown, *app.caption]:
        assert "![pixel]" not in block.value
        assert "<script>" not in block.value
    for button in app.button:
        assert ":material/delete:" not in (button.help or "")


def test_many_are_shown_a_dozen_at_a_time(ctx: Context, open_page: Opened) -> None:
    for number in range(14):
        found(ctx, "Theme " + "x" * number, count=5)
    app = open_page("themes")
    assert len([one for one in app.button if (one.key or "").startswith("theme_mentions_")]) == 12
    app.button("more_themes").click().run()
    assert len([one for one in app.button if (one.key or "").startswith("theme_mentions_")]) == 14


@pytest.mark.parametrize("day", [None, ("2026-11-19", "2026-11-20")])
def test_the_inbox_holds_a_theme_s_mentions(ctx: Context, open_page: Opened, day: tuple[str, str] | None) -> None:
    theme_id = found(ctx)
    world.says(ctx, world.post(1, "Something else", posted_at=ctx.clock()))
    span = {"from": day[0], "to": day[1]} if day else {}
    app = open_page("inbox", view="all", theme=str(theme_id), **span)
    texts = [one.value for one in app.text]
    assert len(texts) == 6
    assert "Something else" not in texts
    assert [one.label for one in app.button if one.key == "clear_theme"] == ["Late parcels"]
    assert not open_page("inbox", username="eve", view="all", theme="99999999999").exception
