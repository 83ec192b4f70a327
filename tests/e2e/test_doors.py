"""Who is let in, and for how long: what ends in one tab ends in every other."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.e2e.conftest import Comes, Started
from tests.e2e.feed import Feed

SECRET = "The gearbox rattles at speed."


def test_signing_out_in_one_tab_closes_the_other(feed: Feed, start: Started, comes: Comes) -> None:
    feed.says(SECRET)
    samtal = start()
    ada = comes(samtal)
    ada.comes_in()
    ada.listens_to_a_feed(feed.url)
    ada.goes_to("Inbox")
    ada.awaits(SECRET)
    other = ada.another_tab()
    expect(other.card(SECRET)).to_be_visible()
    cookies = ada.page.context.cookies(samtal.address)

    ada.signs_out()
    other.page.get_by_text("Closed", exact=True).click()
    expect(other.page.get_by_text("You are signed out")).to_be_visible()
    expect(other.page.get_by_text(SECRET)).to_have_count(0)

    # Neither the old address nor the old cookie opens anything any more; the one-time link was for one time.
    other.page.goto(f"{samtal.address}/inbox")
    expect(other.page.get_by_role("heading", name="Sign in")).to_be_visible()
    ada.page.context.clear_cookies()
    ada.page.context.add_cookies(cookies)  # type: ignore[arg-type]
    ada.page.goto(f"{samtal.address}/inbox")
    expect(ada.page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert ada.page.request.get(f"{samtal.address}/_stcore/health").status in (401, 403)
    ada.page.goto(samtal.first_link())
    expect(ada.page.get_by_text("This link does not work any more")).to_be_visible()

    # The right password does, and everything is as it was.
    ada.signs_in()
    ada.goes_to("Inbox")
    expect(ada.card(SECRET)).to_be_visible()


def test_a_stranger_sees_nothing(start: Started, comes: Comes) -> None:
    samtal = start()
    stranger = comes(samtal).page
    stranger.goto(f"{samtal.address}/inbox")
    expect(stranger.get_by_text("one-time link")).to_be_visible()
    expect(stranger.get_by_label("Password")).to_have_count(0)
    expect(stranger.get_by_role("link", name="Sources")).to_have_count(0)
