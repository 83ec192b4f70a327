"""Connect with …, as a person meets it: what to enter there, the way there, and what is said when they are back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from streamlit.testing.v1 import AppTest

from dialogue import connecting, requests, sources
from dialogue.context import Actor, Context, Role
from pages.parts import context
from tests.conftest import Clock
from tests.listeners.fake_oauth import APP, OAuthServer
from tests.pages.conftest import Opened, shown

ADA = Actor(1, "Ada", Role.ADMIN)
HERE = "http://127.0.0.1:8501"


@pytest.fixture
def server() -> Iterator[OAuthServer]:
    with OAuthServer("x") as server:
        yield server


@pytest.fixture
def at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "address", lambda path: f"{HERE}{path}")


def adding(open_page: Opened, platform: str) -> AppTest:
    app = open_page("sources")
    app.button(key="add_source").click().run()
    app.button_group(key="add_platform").set_value(platform).run()
    (choice,) = [one for one in app.selectbox if one.key.startswith(f"add_account_{platform}")]
    return choice.select_index(len(choice.options) - 1).run()


def filled(app: AppTest, server: OAuthServer, subject: str, **values: str) -> AppTest:
    for name, value in (APP | values).items():
        app.text_input(key=f"connect_{name}_{subject}").set_value(value)
    next(one for one in app.text_input if one.label.startswith("Server address")).set_value(server.url)
    next(one for one in app.button if one.label == "Go on").click()
    return app.run()


def led_to(app: AppTest) -> str:
    """The address of the link that leads to the platform."""
    (link,) = [one.proto.body for one in app.get("html") if "samtal-button" in one.proto.body]
    return str(link).split('href="')[1].split('"')[0].replace("&amp;", "&")


@pytest.fixture
def come_back(ctx: Context, open_page: Opened, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], AppTest]:
    """The browser brings the platform's answer, the worker does its part, and the page is loaded anew."""

    def back(answer: dict[str, str]) -> AppTest:
        session = context.session_token()
        told = connecting.returned(ctx, ADA, session, answer)
        for one in requests.active(ctx, ADA):
            requests.serve(ctx, one.id)
        app = open_page("sources", role=None)
        monkeypatch.setattr(context, "session_token", lambda: session)
        app.query_params[connecting.TOLD] = told
        return app.run()

    return back


@pytest.mark.usefixtures("at_home")
def test_from_the_button_to_an_account(
    ctx: Context, open_page: Opened, server: OAuthServer, come_back: Callable[[dict[str, str]], AppTest]
) -> None:
    app = adding(open_page, "x")
    assert "By hand" not in shown(app)
    assert [one.label for one in app.text_input].count("Bearer token") == 1, "the form for credentials stands beside it"
    app.button(key="connect_x").click().run()
    assert f"{HERE}/oauth/callback" in [one.value for one in app.code]
    assert "Redirect URI to enter there:" in shown(app)
    app = filled(app, server, "x")
    assert not app.error
    url = led_to(app)
    assert parse_qs(urlsplit(url).query)["redirect_uri"] == [f"{HERE}/oauth/callback"]
    assert "Within a quarter of an hour" in shown(app)
    app = come_back(server.consent(url))
    assert "X is connected" in shown(app)
    assert "connect" not in app.query_params
    (account,) = sources.accounts(ctx, ADA)
    assert "renewed by itself" in shown(app)
    assert APP["client_secret"] not in shown(app)
    assert app.button(key=f"account_again_{account.id}").label == "Connect again"
    app.button(key=f"account_again_{account.id}").click().run()
    assert app.text_input(key=f"connect_client_secret_x_{account.id}").value == "", "a secret is never shown again"
    assert "What is left empty stays as it is" in shown(app)


@pytest.mark.usefixtures("at_home")
def test_what_is_missing_is_said_where_it_is_typed(ctx: Context, open_page: Opened, server: OAuthServer) -> None:
    app = adding(open_page, "x")
    app.button(key="connect_x").click().run()
    app = filled(app, server, "x", client_id=" ")
    assert "X needs Client id" in app.error[0].value
    next(one for one in app.button if one.label == "By hand instead").click().run()
    assert app.button(key="connect_x").label == "Connect with X"


@pytest.mark.parametrize(
    ("value", "words"), [("unknown", "belongs to nothing"), ("77", "belongs to nothing"), ("<b>", "belongs to nothing")]
)
def test_what_came_back_for_nothing_is_said_once(open_page: Opened, value: str, words: str) -> None:
    app = open_page("sources", connect=value)
    assert words in app.error[0].value
    assert "connect" not in app.query_params
    assert not app.run().error


@pytest.mark.usefixtures("at_home")
def test_a_refusal_is_said(
    open_page: Opened, server: OAuthServer, come_back: Callable[[dict[str, str]], AppTest]
) -> None:
    app = adding(open_page, "x")
    app.button(key="connect_x").click().run()
    url = led_to(filled(app, server, "x"))
    app = come_back({"state": server.consent(url)["state"], "error": "access_denied"})
    assert "told not to let Samtal in" in app.error[0].value


def test_where_the_platform_does_not_send_back_to_is_said_before(
    ctx: Context, open_page: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context, "address", lambda path: f"http://localhost:8501{path}")
    app = adding(open_page, "x")
    app.button(key="connect_x").click().run()
    assert "does not send back to localhost" in app.warning[0].value
    assert next(one for one in app.button if one.label == "Go on").disabled


def test_who_may_not_is_told(open_page: Opened) -> None:
    app = open_page("sources", role=Role.VIEWER, connect="unknown")
    assert "Only an administrator" in app.error[0].value


def test_a_platform_without_such_a_way_has_no_button(open_page: Opened) -> None:
    app = adding(open_page, "bluesky")
    assert not [one for one in app.button if str(one.key).startswith("connect_")]


@pytest.mark.usefixtures("at_home")
def test_where_samtal_registers_itself_nothing_but_the_instance_is_asked(
    ctx: Context, open_page: Opened, clock: Clock
) -> None:
    with OAuthServer("mastodon") as server:
        app = adding(open_page, "mastodon")
        app.button(key="connect_mastodon").click().run()
        assert not app.code, "there is nothing to enter there"
        app.text_input(key="connect_instance_mastodon").set_value("social.example.com")
        next(one for one in app.text_input if one.label.startswith("Server address")).set_value(server.url)
        next(one for one in app.button if one.label == "Go on").click()
        app.run()
        assert "Waiting for the worker" in shown(app)
        for one in requests.active(ctx, ADA):
            requests.serve(ctx, one.id)
        app.run()
        assert led_to(app).startswith(f"{server.url}/oauth/authorize?")
