"""An account is connected in a real browser: to the platform's page on another site, and back with the session."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.e2e.colleague import WORKER_PATIENCE
from tests.e2e.conftest import Comes, Started
from tests.listeners.fake_oauth import APP, OAuthServer

FIELDS = {"Client id": APP["client_id"], "Client secret": APP["client_secret"]}


@pytest.fixture
def server() -> Iterator[OAuthServer]:
    with OAuthServer("github", expiring=True) as server:
        yield server


def test_there_and_back_with_a_yes_and_with_a_no(server: OAuthServer, start: Started, comes: Comes) -> None:
    samtal = start()
    assert "localhost" in samtal.address, "the platform is at 127.0.0.1: another site, as in life"
    ada = comes(samtal)
    ada.comes_in()
    page = ada.page
    ada.begins_a_source("GitHub")
    expect(page.get_by_label("Repository", exact=True)).to_be_visible()
    ada.lets_it_settle()
    ada.goes_to_connect("GitHub", server.url, FIELDS)
    expect(page.get_by_role("heading", name="Let Samtal in?")).to_be_visible()

    page.get_by_role("link", name="Allow").click()
    expect(page.get_by_text("GitHub is connected. Signed in as acme")).to_be_visible(timeout=WORKER_PATIENCE)
    expect(page.get_by_text("access is renewed by itself, next in")).to_be_visible()
    expect(page).to_have_url(re.compile(r"/sources$"))

    page.get_by_role("button", name="Connect again").click()
    page.get_by_role("button", name="Go on").click()
    page.get_by_role("link", name="Go to GitHub").click()
    page.get_by_role("link", name="Deny").click()
    expect(page.get_by_text("GitHub was told not to let Samtal in. Nothing has changed here.")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Sources", level=1)).to_be_visible()
    expect(page.get_by_text("was told not to let")).to_have_count(0)

    samtal.stops()
    log = samtal.log.read_text("utf-8")
    for secret in (*server.accesses, *server.refreshes, APP["client_secret"], "c0de-"):
        assert secret not in log
