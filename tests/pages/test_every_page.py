"""Every page runs, whatever the world looks like, for every role; and shows hostile text as text."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from streamlit.testing.v1 import AppTest

from dialogue import accounts, feedback
from dialogue.context import Actor, Context, Role
from pages.parts import context
from tests.conftest import Clock
from tests.pages import world
from tests.pages.conftest import ROOT, Opened, shown

PAGES = sorted(page.stem for page in (ROOT / "pages").glob("*.py") if page.stem != "__init__")


def empty(ctx: Context) -> None:
    """Nothing has happened yet."""


def one_mention(ctx: Context) -> None:
    world.says(ctx, world.post(posted_at=ctx.clock()), source_id=world.source(ctx))


def thousands(ctx: Context) -> None:
    world.thousands(ctx)


def hostile(ctx: Context) -> None:
    """Whatever somebody can type, wherever somebody can type it."""
    now = ctx.clock()
    author = {"author_name": world.HOSTILE, "author_handle": world.HOSTILE[:80], "title": world.HOSTILE, "url": None}
    source_id = world.source(ctx, label=world.HOSTILE[:90], last_error=world.HOSTILE, last_error_kind="terminal")
    first = world.post(1, world.HOSTILE, posted_at=now, **author)
    long = world.post(2, "x" * 100_000, posted_at=now)
    ids = world.says(ctx, first, long, source_id=source_id)
    world.signed_in(ctx, Role.PRODUCT, "eve")
    eve = Actor(1, "Eve", Role.PRODUCT)
    feedback.add(
        ctx, eve, world.HOSTILE[:150].replace("\n", " "), "idea", ids[0], world.HOSTILE, description=world.HOSTILE
    )


def failing_source(ctx: Context) -> None:
    now = ctx.clock()
    world.source(
        ctx,
        last_error="The feed answered 503.",
        last_error_kind="transient",
        last_error_at=now,
        failures=4,
        next_run_at=now + timedelta(minutes=9),
    )


STATES = (empty, one_mention, thousands, hostile, failing_source)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_every_page_runs_in_every_state(
    page: str, state: Callable[[Context], None], ctx: Context, open_page: Opened
) -> None:
    state(ctx)
    somebody_spoke = state in (one_mention, thousands, hostile)
    app = open_page(page, **({"conversation": "1"} if somebody_spoke else {}))
    assert not app.exception
    assert not app.error
    assert len(shown(app)) > 20


@pytest.mark.parametrize("role", list(Role), ids=lambda role: role.label)
@pytest.mark.parametrize("page", PAGES)
def test_every_page_runs_for_every_role(page: str, role: Role, ctx: Context, open_page: Opened) -> None:
    one_mention(ctx)
    app = open_page(page, role, conversation="1")
    assert not app.exception
    assert not app.error


@pytest.mark.parametrize("page", PAGES)
def test_hostile_text_is_never_parsed(page: str, ctx: Context, open_page: Opened) -> None:
    hostile(ctx)
    app = open_page(page, conversation="1")
    for words in parsed(app):
        for mark in ("![pixel]", "<script>", "[click](", ":smile:", "$x^2$", ":red[fake", "\n# heading"):
            assert mark not in words, f"{mark} would be parsed in {words[:200]}"
    assert not [block for block in app.html if "evil" in block.proto.body]


def parsed(app: AppTest) -> list[str]:
    """Every string of the page that the browser reads as Markdown."""
    found = []
    for kind in (app.markdown, app.caption, app.title, app.header, app.subheader, app.error, app.warning, app.info):
        found += [str(element.value) for element in kind]
    for kind in (app.button, app.checkbox, app.expander, app.metric, app.link_button, app.page_link):
        found += [str(element.label) for element in kind]
    return found


@pytest.mark.parametrize("page", PAGES)
def test_nobody_is_let_in_without_signing_in(page: str, ctx: Context, open_page: Opened) -> None:
    one_mention(ctx)
    app = open_page("summary", role=None)
    assert "You are signed out" in shown(app)
    assert "parcel" not in shown(app)


@pytest.mark.parametrize("page", PAGES)
def test_a_session_that_ends_closes_an_open_tab(page: str, ctx: Context, open_page: Opened) -> None:
    one_mention(ctx)
    app = open_page(page, conversation="1")
    token = context.session_token()
    accounts.sign_out(ctx, token)
    app.run()
    assert "You are signed out" in shown(app)
    assert "parcel" not in shown(app)


def test_the_dashboard_opens_on_the_summary(ctx: Context, open_page: Opened) -> None:
    app = open_page("summary")
    assert "Nobody has spoken yet" in shown(app)


def test_a_demotion_counts_in_an_open_tab(ctx: Context, open_page: Opened, clock: Clock) -> None:
    one_mention(ctx)
    world.signed_in(ctx, Role.ADMIN, "ada")
    app = open_page("inbox", Role.RESPONDER)
    assert [button for button in app.button if button.label == "Open"]
    assert app.checkbox
    accounts.set_role(ctx, Actor(1, "Ada", Role.ADMIN), 2, Role.VIEWER)
    app.run()
    assert not app.checkbox
