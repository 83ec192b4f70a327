"""Coming in and going out, as a browser without JavaScript does it."""

from __future__ import annotations

import re
from html import unescape

import pytest
from starlette.testclient import TestClient

from api.site import SESSION_COOKIE
from dialogue import accounts
from dialogue.context import Context, Role
from tests.api.site import BASE, PASSWORD, browser, first_admin

ORIGIN = {"Origin": BASE}


def fields(page: str) -> dict[str, str]:
    """The named inputs of a page with their values."""
    inputs = re.findall(r"<input[^>]*>", page)
    names = {}
    for tag in inputs:
        name = re.search(r' name="([^"]*)"', tag)
        value = re.search(r' value="([^"]*)"', tag)
        if name:
            names[name[1]] = unescape(value[1]) if value else ""
    return names


def fill(client: TestClient, path: str, **values: str) -> str:
    """Opens a page, fills its form in, sends it; returns the answer's text. Cookies are the client's."""
    form = fields(client.get(path).text) | values
    answer = client.post(path.partition("?")[0], data=form, headers=ORIGIN)
    client.last = answer  # type: ignore[attr-defined]
    return answer.text


def test_the_first_link_makes_the_administrator_and_lets_her_in(ctx: Context) -> None:
    link = accounts.first_link(ctx)
    client = browser(ctx)
    assert "Make the first account" in client.get(f"/welcome?link={link}").text
    fill(client, f"/welcome?link={link}", name="Ada", username="ada", password=PASSWORD, again=PASSWORD)
    assert client.get("/inbox").text == "dashboard for Ada"
    cookie = client.last.headers["set-cookie"]  # type: ignore[attr-defined]
    assert "HttpOnly" in cookie
    assert "samesite=lax" in cookie.lower()
    assert browser(ctx).get(f"/welcome?link={link}").status_code == 410


def test_looking_at_a_link_does_not_use_it(ctx: Context) -> None:
    link = accounts.first_link(ctx)
    for _ in range(3):
        assert browser(ctx).get(f"/welcome?link={link}").status_code == 200
    assert browser(ctx).head(f"/welcome?link={link}").status_code == 200


def test_mistakes_are_told_and_what_was_typed_stays(ctx: Context) -> None:
    link = accounts.first_link(ctx)
    client = browser(ctx)
    page = fill(client, f"/welcome?link={link}", name="Ada", username="ada", password=PASSWORD, again="another one")
    assert "The two passwords differ" in page
    assert fields(page)["username"] == "ada"
    assert PASSWORD not in page
    page = fill(client, f"/welcome?link={link}", name="Ada", username="ada", password="short", again="short")
    assert "at least 10 characters" in page
    assert accounts.link_info(ctx, link or "") is not None


def test_before_there_is_anybody_the_sign_in_says_where_to_look(ctx: Context) -> None:
    link = accounts.first_link(ctx)
    page = browser(ctx).get("/sign-in").text
    assert "one-time link" in page
    assert link is not None
    assert link not in page


def test_signing_in_leads_on_to_where_one_wanted_to_go(ctx: Context) -> None:
    first_admin(ctx)
    client = browser(ctx)
    wanted = client.get("/inbox?view=mine&q=a b").headers["location"]
    fill(client, wanted, username="ada", password=PASSWORD)
    assert client.last.headers["location"] == "/inbox?view=mine&q=a%20b"  # type: ignore[attr-defined]
    assert client.get("/inbox").status_code == 200
    assert client.get("/sign-in").status_code == 303


@pytest.mark.parametrize(
    "goes_on",
    ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/a\r\nb", "x" * 3000],
)
def test_the_sign_in_leads_nowhere_else(ctx: Context, goes_on: str) -> None:
    first_admin(ctx)
    client = browser(ctx)
    fill(client, "/sign-in", username="ada", password=PASSWORD, next=goes_on)
    assert client.last.headers["location"] == "/"  # type: ignore[attr-defined]


def test_a_wrong_password_is_told_and_after_five_one_must_wait(ctx: Context) -> None:
    first_admin(ctx)
    client = browser(ctx)
    for _ in range(5):
        page = fill(client, "/sign-in", username="ada", password="wrong wrong")
        assert "do not go together" in page
        assert 'role="alert"' in page
        assert client.last.status_code == 401  # type: ignore[attr-defined]
    assert "Wait" in fill(client, "/sign-in", username="ada", password=PASSWORD)
    assert client.last.status_code == 429  # type: ignore[attr-defined]
    assert int(client.last.headers["retry-after"]) > 0  # type: ignore[attr-defined]
    assert SESSION_COOKIE not in client.cookies


def test_a_form_without_its_token_is_refused(ctx: Context) -> None:
    first_admin(ctx)
    client = browser(ctx)
    answer = client.post("/sign-in", data={"username": "ada", "password": PASSWORD}, headers=ORIGIN)
    assert answer.status_code == 403
    theirs = fields(browser(ctx).get("/sign-in").text)
    client.get("/sign-in")
    answer = client.post("/sign-in", data=theirs | {"username": "ada", "password": PASSWORD}, headers=ORIGIN)
    assert answer.status_code == 403
    assert SESSION_COOKIE not in client.cookies


def test_what_was_typed_comes_back_as_text(ctx: Context) -> None:
    first_admin(ctx)
    page = fill(browser(ctx), "/sign-in", username='"><script>alert(1)</script>', password="x")
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_nothing_outside_is_loaded_and_no_script_runs(ctx: Context) -> None:
    first_admin(ctx)
    answer = browser(ctx).get("/sign-in")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "<script" not in answer.text
    assert "http" not in answer.text


def test_every_field_has_a_label(ctx: Context) -> None:
    page = browser(ctx).get(f"/welcome?link={accounts.first_link(ctx)}").text
    shown = re.findall(r'<input id="([^"]*)"', page)
    assert len(shown) == 4
    assert set(shown) == set(re.findall(r'<label for="([^"]*)"', page))


def test_an_invitation_and_a_recovery_have_their_name_fixed(ctx: Context) -> None:
    ada, _ = first_admin(ctx)
    link = accounts.invite(ctx, ada, "bo", "Bo", Role.VIEWER)
    client = browser(ctx)
    page = client.get(f"/welcome?link={link}").text
    assert fields(page)["username"] == "bo"
    assert "readonly" in page
    fill(client, f"/welcome?link={link}", username="ada", name="Bo Berg", password=PASSWORD, again=PASSWORD)
    assert client.get("/inbox").text == "dashboard for Bo Berg"
    recovery = accounts.recovery_link(ctx, "bo")
    fill(client, f"/welcome?link={recovery}", password="another good one", again="another good one")
    assert client.get("/inbox").text == "dashboard for Bo Berg"


def test_signing_out_needs_the_button(ctx: Context) -> None:
    _, session = first_admin(ctx)
    client = browser(ctx, session)
    assert "Sign out?" in client.get("/sign-out").text
    assert accounts.actor_of(ctx, session) is not None
    client.post("/sign-out", data={"csrf": "guessed"}, headers=ORIGIN)
    assert accounts.actor_of(ctx, session) is not None
    fill(client, "/sign-out")
    assert accounts.actor_of(ctx, session) is None
    assert client.get("/inbox").status_code == 303
