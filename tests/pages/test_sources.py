"""Sources: connected after a look at what is found, their health in words, removed with or without their mentions."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import streamlit as st

from db import budgets, hours
from db import sources as rows
from db.tables import SourceHour
from dialogue import accounts, inbox, requests, sources, uploads
from dialogue.context import SYSTEM, Actor, Context, Role
from pages.parts import context
from tests.conftest import Clock, RecordedTriggers
from tests.listeners.test_feeds import RSS, FeedServer
from tests.pages import world
from tests.pages.conftest import Opened, shown
from tests.worlds import add_source, post, store
from tests.worlds import look as look_up

ADA = Actor(1, "Ada", Role.ADMIN)


def adding(open_page: Opened, platform: str = "feed") -> object:
    app = open_page("sources")
    app.button(key="add_source").click().run()
    return app.button_group(key="add_platform").set_value(platform).run()


def test_nothing_yet_says_what_to_do(ctx: Context, open_page: Opened) -> None:
    app = open_page("sources")
    page = shown(app)
    assert "Connect the first source" in page
    for title in ("RSS or Atom feed", "Hacker News", "GitHub", "Stack Exchange", "App Store"):
        assert title in page, "named because its capability says so"
    assert "YouTube" not in page


def test_compliance_says_what_is_overdue_and_what_to_do(ctx: Context, open_page: Opened, clock: Clock) -> None:
    store(ctx, post("x1", platform="x"), post("s1", platform="stackexchange"))
    app = open_page("sources")
    app.button(key="compliance_open").click().run()
    assert "not due yet" in shown(app)
    assert "are left today" in shown(app)
    clock.forward(hours=25)
    st.cache_data.clear()
    app = app.run()
    assert "2 duties are overdue" in shown(app)
    assert "Nobody asks about 1" in shown(app)


def test_a_source_is_asked_to_read_further_back(ctx: Context, open_page: Opened, triggers: RecordedTriggers) -> None:
    source_id = add_source(ctx, platform="hackernews", query="kettle", label="Kettles")
    app = open_page("sources")
    app.button(key=f"back_{source_id}").click().run()
    app.button(key="back_go").click().run()
    (asked,) = look_up(ctx, "SELECT kind, state FROM worker_requests")
    assert asked == ("backfill", "waiting")
    assert "Waiting for the worker" in shown(app)
    assert "cancel_backfill" in {one.key for one in app.button}


def test_how_far_back_it_can_be_read_is_said_before_it_is(ctx: Context, open_page: Opened) -> None:
    credentials = {"bearer_token": "t"}
    account_id = sources.save_account(ctx, SYSTEM, "x", "Us", None, credentials)
    source_id = add_source(ctx, platform="x", query="kettle", mode="search", account_id=account_id)
    app = open_page("sources")
    app.button(key=f"back_{source_id}").click().run()
    assert "X gives at most the last 7 days" in shown(app)
    assert app.date_input(key="back_since").min == (ctx.clock() - timedelta(days=7)).date()


def test_where_it_cannot_be_read_further_back_it_says_why(ctx: Context, open_page: Opened) -> None:
    source_id = add_source(ctx, platform="feed", query="https://news.example/feed", mode="feed")
    app = open_page("sources")
    app.button(key=f"back_{source_id}").click().run()
    assert "A feed holds its latest entries alone" in shown(app)
    assert "back_go" not in {one.key for one in app.button}


def test_a_query_is_edited_after_a_look(ctx: Context, open_page: Opened, triggers: RecordedTriggers) -> None:
    source_id = sources.add(ctx, SYSTEM, "hackernews", "kettle -sale", "search", "", None, {"poll_seconds": 600})
    app = open_page("sources")
    app.button(key=f"edit_{source_id}").click().run()
    key = f"edit{source_id}_query_hackernews_search"
    assert app.text_input(key=key).value == "kettle -sale", "what is there now"
    assert "What it has brought stays" in shown(app)
    app.text_input(key=key).set_value('teapot "').run()
    assert app.error, "what is wrong is said while it is typed"
    app.text_input(key=key).set_value("teapot broken*").run()
    assert "Hacker News is asked for" in shown(app)
    app.button(key="look").click().run()
    assert look_up(ctx, "SELECT kind FROM worker_requests") == [("preview",)]
    app.toggle(key=f"edit_back_{source_id}").set_value(True).run()
    app.button(key="edit_go").click().run()
    ((query, label, options),) = look_up(ctx, "SELECT query, label, options FROM sources")
    assert (query, label) == ("teapot broken*", "teapot broken*")
    assert json.loads(options) == {"poll_seconds": 600, "syntax": "samtal"}
    assert "back_go" in {one.key for one in app.button}, "reading further back is offered"
    assert key not in {one.key for one in app.text_input}, "the form is closed"


def test_how_it_was_written_stands_in_the_form(ctx: Context, open_page: Opened) -> None:
    options = {"syntax": "platform", "only": "late OR lost"}
    source_id = sources.add(ctx, SYSTEM, "hackernews", "kettle -sale", "search", "Kettles", None, options)
    app = open_page("sources")
    app.button(key=f"edit_{source_id}").click().run()
    of = f"edit{source_id}_{{}}_hackernews_search"
    assert app.toggle(key=of.format("raw")).value is True
    assert app.text_input(key=of.format("only")).value == "late OR lost"
    assert app.text_input(key=of.format("label")).value == "Kettles"
    app.button(key="edit_cancel").click().run()
    assert look_up(ctx, "SELECT query FROM sources") == [("kettle -sale",)]
    assert "edit_go" not in {one.key for one in app.button}


def test_only_administrators_edit(ctx: Context, open_page: Opened) -> None:
    source_id = add_source(ctx, platform="hackernews", query="kettle", mode="search")
    keys = {one.key for one in open_page("sources", role=Role.APPROVER).button}
    assert f"edit_{source_id}" not in keys


def test_sample_sources_tell_no_times(ctx: Context, open_page: Opened) -> None:
    add_source(ctx, platform="hackernews", query="kettle", mode="search", sample=True, last_success_at=ctx.clock())
    page = shown(open_page("sources"))
    assert "nothing is asked" in page
    assert "last read" not in page


def test_compliance_is_for_administrators(ctx: Context, open_page: Opened) -> None:
    assert "compliance_open" not in {one.key for one in open_page("sources", role=Role.APPROVER).button}


def test_a_feed_is_added_in_four_steps(ctx: Context, open_page: Opened, triggers: RecordedTriggers) -> None:
    app = adding(open_page)
    next(one for one in app.text_input if one.key.startswith("add_query_feed")).set_value(
        "https://news.example/feed"
    ).run()
    app.button(key="add_go").click().run()
    assert not app.error
    (added,) = sources.list_(ctx, ADA)
    assert (added.platform, added.query) == ("feed", "https://news.example/feed")
    assert triggers.collected == [added.id]
    assert "news\\.example" in shown(app)


def test_a_query_that_is_missing_is_named(ctx: Context, open_page: Opened) -> None:
    app = adding(open_page)
    app.button(key="add_go").click().run()
    assert "say what to listen for" in app.error[0].value
    assert sources.list_(ctx, ADA) == []


def test_a_look_first_is_the_workers_to_answer(ctx: Context, open_page: Opened, triggers: RecordedTriggers) -> None:
    app = adding(open_page)
    next(one for one in app.text_input if one.key.startswith("add_query_feed")).set_value(
        "https://news.example/feed"
    ).run()
    app.button(key="look").click().run()
    (request_id,) = triggers.served
    assert requests.get(ctx, request_id).kind == "preview"
    assert "Cancel" in shown(app)
    assert sources.list_(ctx, ADA) == []


def typed(app: object, platform: str, what: str) -> object:
    return next(one for one in (*app.text_input, *app.toggle) if one.key.startswith(f"add_{what}_{platform}"))


def test_a_query_is_explained_while_it_is_typed(ctx: Context, open_page: Opened) -> None:
    app = adding(open_page, "hackernews")
    typed(app, "hackernews", "query").set_value('acme OR "acme bank" -sale').run()
    page = shown(app).replace("\\", "").replace("\u2060", "")
    assert 'acme\n"acme bank"' in page, "two searches, as they are sent"
    assert "Hacker News has no OR: it is asked 2 times" in page
    assert "Hacker News is not asked to exclude sale: that is left out here." in page


def test_an_error_points_at_the_character(ctx: Context, open_page: Opened) -> None:
    app = adding(open_page, "hackernews")
    typed(app, "hackernews", "query").set_value("kettle (late OR").run()
    assert "never closed" in app.error[0].value
    assert "kettle (late OR\n       ^" in [block.value for block in app.code]
    app.button(key="add_go").click().run()
    assert sources.list_(ctx, ADA) == []
    typed(app, "hackernews", "query").set_value("kettl*").run()
    assert "nothing to ask Hacker News for" in app.error[0].value


def test_a_search_may_be_written_in_the_platforms_own_syntax(ctx: Context, open_page: Opened) -> None:
    app = adding(open_page, "hackernews")
    typed(app, "hackernews", "raw").set_value(True).run()
    typed(app, "hackernews", "query").set_value("kettle (").run()
    assert not app.error
    typed(app, "hackernews", "only").set_value("late OR lost").run()
    app.button(key="add_go").click().run()
    assert not app.error, app.error[0].value
    ((options,),) = look_up(ctx, "SELECT options FROM sources")
    assert json.loads(options) == {"syntax": "platform", "only": "late OR lost"}


def test_a_feed_may_be_narrowed(ctx: Context, open_page: Opened) -> None:
    app = adding(open_page)
    typed(app, "feed", "query").set_value("https://news.example/feed").run()
    typed(app, "feed", "only").set_value("kettle -").run()
    assert "needs a word" in app.error[0].value
    typed(app, "feed", "only").set_value("kettle NEAR/3 broken").run()
    assert not app.error
    app.button(key="add_go").click().run()
    ((options,),) = look_up(ctx, "SELECT options FROM sources")
    assert json.loads(options) == {"only": "kettle NEAR/3 broken"}


def test_a_look_shows_real_posts_and_what_is_left_out(
    ctx: Context, open_page: Opened, triggers: RecordedTriggers
) -> None:
    with FeedServer() as server:
        server.body = RSS
        app = adding(open_page)
        typed(app, "feed", "query").set_value(server.feed).run()
        typed(app, "feed", "only").set_value("boils").run()
        app.button(key="look").click().run()
        requests.serve(ctx, triggers.served[0])
        app.run()
    page = shown(app).replace("\\", "")
    assert "The first page has 1 post; 2 more are left out here; " in page
    assert "Boils & whistles" in page
    assert "Left out here, for example:" in page
    assert sources.list_(ctx, ADA) == []


def test_what_is_wrong_and_what_to_do_stand_on_the_card(ctx: Context, open_page: Opened) -> None:
    words = {"last_error": "The feed wants a password.", "what_to_do": "Give it one.", "last_error_kind": "terminal"}
    world.source(ctx, **words)
    page = shown(open_page("sources"))
    assert "The feed wants a password" in page
    assert "Give it one" in page
    assert "0 of 1 listen" in page.replace("\\", "")
    assert page.count("The feed wants a password") == 2, "at a glance above, and on its card"


def test_pause_and_go_on(ctx: Context, open_page: Opened) -> None:
    source_id = world.source(ctx, next_run_at=ctx.clock())
    app = open_page("sources")
    app.button(key=f"pause_{source_id}").click().run()
    assert sources.list_(ctx, ADA)[0].state == "paused"
    app.button(key=f"resume_{source_id}").click().run()
    assert sources.list_(ctx, ADA)[0].state == "active"


def test_removal_asks_about_the_mentions(ctx: Context, open_page: Opened, triggers: RecordedTriggers) -> None:
    source_id = world.source(ctx)
    world.says(ctx, world.post(posted_at=ctx.clock()), source_id=source_id)
    app = open_page("sources")
    app.button(key=f"remove_{source_id}").click().run()
    assert sources.list_(ctx, ADA)[0].state == "active"
    app.radio(key="remove_mentions").set_value(True).run()
    app.button(key="remove_go").click().run()
    requests.serve(ctx, triggers.served[0])
    assert sources.list_(ctx, ADA) == []


def test_the_last_runs_tell_what_was_rejected(ctx: Context, open_page: Opened) -> None:
    from db.tables import SourceRun

    source_id = world.source(ctx)
    with ctx.database.transaction() as tx:
        run = SourceRun(source_id=source_id, started_at=ctx.clock(), outcome="ok", new=3, rejected=1)
        run.rejections = [{"where": "entry 2", "reason": "has no date <b>"}]
        tx.session.add(run)
    app = open_page("sources")
    app.button(key=f"runs_{source_id}").click().run()
    assert "3 new" in shown(app)
    assert "has no date" in shown(app)


def test_an_account_is_kept_encrypted_and_tested_by_the_worker(
    ctx: Context, open_page: Opened, triggers: RecordedTriggers
) -> None:
    app = adding(open_page, "bluesky")
    box = next(one for one in app.selectbox if one.label == "Account")
    box.set_value(-1).run()
    for field in app.text_input:
        if field.label.startswith(("Handle", "App password")) or field.key is None:
            field.set_value("halvora.test" if "andle" in field.label else "abcd-efgh")
    next(one for one in app.text_input if one.label.startswith("Server address")).set_value("")
    next(button for button in app.button if button.label == "Save and test").click().run()
    assert not app.error, app.error[0].value
    assert sources.accounts(ctx, ADA)[0].platform == "bluesky"
    assert requests.get(ctx, triggers.served[0]).kind == "account_test"
    assert "abcd" not in shown(app)


def test_who_is_no_administrator_sees_and_changes_nothing(ctx: Context, open_page: Opened) -> None:
    source_id = world.source(ctx, last_success_at=ctx.clock() - timedelta(minutes=3))
    app = open_page("sources", Role.APPROVER)
    assert "Our news" in shown(app)
    assert not {f"pause_{source_id}", f"remove_{source_id}", "add_source"} & {button.key for button in app.button}


def test_a_source_that_nobody_asks_says_so(ctx: Context, open_page: Opened, clock: Clock) -> None:
    world.source(ctx, next_run_at=ctx.clock(), last_success_at=ctx.clock())
    clock.forward(hours=9)
    assert "is a worker running" in shown(open_page("sources"))


def test_a_file_is_handed_in_matched_and_imported(ctx: Context, open_page: Opened, triggers: RecordedTriggers) -> None:
    rows = b"words,who,when\nThe Lark is lovely,ana,2026-11-19 10:00\nno date at all,bo,whenever\n"
    world.signed_in(ctx, Role.ADMIN, "ada")
    upload_id = uploads.spool(ctx, ADA, "survey <b>.csv", [rows])
    app = open_page("sources", upload=upload_id)
    boxes = {one.key: one for one in app.selectbox if (one.key or "").startswith("map_")}
    boxes["map_text"].set_value("words")
    boxes["map_posted_at"].set_value("when")
    next(button for button in app.button if button.label == "Import").click().run()
    assert not app.error, app.error[0].value
    assert "upload" not in app.query_params
    requests.serve(ctx, triggers.served[-1])
    app.run()
    assert "1 line could not be read" in shown(app)
    assert any("/uploads/rejections/" in block.proto.body for block in app.html)
    (added,) = sources.list_(ctx, ADA)
    assert added.total == 1


def test_every_column_that_is_chosen_arrives(ctx: Context, open_page: Opened, triggers: RecordedTriggers) -> None:
    rows = b"c1,c2,c3,c4,c5\nThe Lark is lovely,ana7,Ana Lind,2026-11-19 10:00,4\n"
    world.signed_in(ctx, Role.ADMIN, "ada")
    app = open_page("sources", upload=uploads.spool(ctx, ADA, "survey.csv", [rows]))
    assert "No column is chosen" not in shown(app)
    assert not app.warning, "UTF-8 is nothing to warn of"
    chosen = {"text": "c1", "author": "c2", "author_name": "c3", "posted_at": "c4", "rating": "c5"}
    for field, column in chosen.items():
        app.selectbox(key=f"map_{field}").set_value(column)
    next(button for button in app.button if button.label == "Import").click().run()
    requests.serve(ctx, triggers.served[-1])
    card = next(card for card in inbox.page(ctx, ADA, inbox.Filters(view="all"), None).cards)
    assert (card.text, card.handle, card.author_name, card.rating) == ("The Lark is lovely", "ana7", "Ana Lind", 4.0)
    assert f"{card.posted_at:%d %b %H:%M}" == "19 Nov 10:00"


def test_our_own_sources_stand_before_the_samples(ctx: Context, open_page: Opened) -> None:
    sample_id = world.source(ctx, label="Invented", sample=True)
    own_id = world.source(ctx, label="Our news")
    assert sample_id < own_id
    page = shown(open_page("sources"))
    assert page.index("Our news") < page.index("Invented")


def test_a_file_that_is_no_table_says_so(ctx: Context, open_page: Opened) -> None:
    world.signed_in(ctx, Role.ADMIN, "ada")
    upload_id = uploads.spool(ctx, ADA, "cat.csv", [bytes(range(256)) * 40])
    app = open_page("sources", upload=upload_id)
    assert not app.exception
    assert app.error or app.warning


def test_the_upload_form_carries_this_sessions_token(ctx: Context, open_page: Opened) -> None:
    app = adding(open_page, "file")
    (form,) = [block.proto.body for block in app.html if "samtal-upload" in block.proto.body]
    assert f'value="{accounts.csrf_of(ctx, context.session_token())}"' in form


def test_at_a_glance_all_listen(ctx: Context, open_page: Opened) -> None:
    for label in ("Our news", "Their news"):
        world.source(ctx, label=label, last_success_at=ctx.clock(), next_run_at=ctx.clock() + timedelta(minutes=5))
    page = shown(open_page("sources"))
    assert "All 2 listen" in page
    assert "needs you" not in page


def test_why_a_source_waits_and_what_is_left_stand_on_its_card(ctx: Context, open_page: Opened) -> None:
    full_again = ctx.clock() + timedelta(minutes=12)
    own = {"budget_owner": "news.example", "interval_seconds": 300.0, "last_success_at": ctx.clock()}
    source_id = world.source(ctx, waits_for="budget", next_run_at=full_again, **own)
    with ctx.database.transaction() as tx:
        row = budgets.opened(tx, "feed", "news.example", "")
        budgets.write(tx, replace(row, remaining=10, quota=100, resets_at=full_again))
    app = open_page("sources")
    page = shown(app).replace("\\", "")
    assert "limit is used up, but for what is kept for answers" in page
    assert "next in 12 min · every 5 min · 10 of 100 requests left, full again in 12 min" in page
    app.button(key=f"run_{source_id}").click().run()
    assert "limit is used up" in app.error[0].value


def test_a_source_that_has_gone_quiet_says_against_what(ctx: Context, open_page: Opened) -> None:
    now = ctx.clock()
    source_id = world.source(ctx, last_success_at=now, next_run_at=now + timedelta(minutes=5))
    with ctx.database.transaction() as tx:
        until = hours.of(now) - 13
        tx.session.add_all([SourceHour(source_id=source_id, hour=until - ago, count=2) for ago in range(6 * 168)])
    page = shown(open_page("sources")).replace("\\", "")
    assert "gone quiet" in page
    assert "Nothing came in the last 12 hours; at this time it usually brings about 24" in page
    assert "usually 48" in page


def test_an_account_that_is_refused_is_entered_again(
    ctx: Context, open_page: Opened, triggers: RecordedTriggers
) -> None:
    world.signed_in(ctx, Role.ADMIN, "ada")
    account_id = sources.save_account(
        ctx, ADA, "bluesky", "Our Bluesky", "https://pds.example", {"handle": "halvora.test", "app_password": "old-one"}
    )
    source_id = world.source(
        ctx, platform="bluesky", account_id=account_id, last_error="Not accepted.", last_error_kind="terminal",
        what_to_do="Enter it again.",
    )  # fmt: skip
    with ctx.database.transaction() as tx:
        rows.change_account(tx, account_id, dead_at=ctx.clock(), check_ok=False, check_words="Bluesky said no (401).")
    app = open_page("sources")
    assert "Bluesky said no" in shown(app)
    app.button(key="accounts").click().run()
    app.button(key=f"account_again_{account_id}").click().run()
    next(one for one in app.text_input if one.label.startswith("App password")).set_value("new-one")
    next(button for button in app.button if button.label == "Save and test").click().run()
    assert not app.error, app.error[0].value
    with ctx.database.reading() as tx:
        kept = rows.account(tx, account_id)
        source = rows.get(tx, source_id)
    assert kept is not None
    assert source is not None
    assert ctx.secrets.decrypt(kept.credentials) == {"handle": "halvora.test", "app_password": "new-one"}
    assert (kept.label, kept.base_url, kept.dead_at) == ("Our Bluesky", "https://pds.example", None)
    assert source.next_run_at == ctx.clock(), "it goes on by itself"
    assert requests.get(ctx, triggers.served[-1]).kind == "account_test"


def test_the_guide_stands_where_credentials_are_entered(ctx: Context, open_page: Opened) -> None:
    app = adding(open_page, "mastodon")
    next(one for one in app.selectbox if one.label == "Account").set_value(-1).run()
    assert not app.exception
    assert [one.label for one in app.expander] == ["How to get these"]
    page = shown(app)
    assert "1. Sign in to your **instance**" in page
    assert "3. Open the new application" in page
