"""A source that needs no key, on a platform that takes no answers: read there, answered by hand."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.e2e.conftest import Comes, Started
from tests.e2e.feed import Feed

HAND_OFF = re.compile("hand-.?off")
"""The page puts a mark that nobody sees after the hyphen, so that Markdown leaves it alone."""


def test_a_mention_in_a_feed_is_answered_by_hand(feed: Feed, start: Started, comes: Comes) -> None:
    question = "Can the lamp of the Fjord be charged on a train?"
    answer = "It can: any USB socket will do, and an hour is enough for an evening."
    feed.says(question, title="The lamp")
    ada = comes(start())
    ada.comes_in()

    # No account is asked for, and a look shows what it will bring.
    ada.begins_a_source("RSS or Atom feed")
    expect(ada.page.get_by_label("App password")).to_have_count(0)
    found = ada.looks_what_it_finds("Address", feed.url)
    expect(found).to_contain_text(question)
    ada.adds_it()
    ada.goes_to("Inbox")
    expect(ada.awaits(question)).to_contain_text(HAND_OFF)
    ada.opens(question)

    # It says before anybody types that it cannot be sent from here, and never offers to.
    composer = ada.page.locator(".st-key-composer")
    expect(composer).to_contain_text(HAND_OFF)
    ada.writes(answer)
    expect(ada.page.get_by_role("button", name=re.compile("Send as"))).to_have_count(0)
    ada.page.get_by_role("button", name="Prepare to post by hand").click()
    expect(composer.get_by_test_id("stCode")).to_contain_text(answer)
    expect(composer.get_by_role("link", name="Open the post")).to_have_attribute("href", "https://workshop.example/1")

    # Done there by hand, it is marked here; what is no address is not taken for one.
    ada.lets_it_settle()
    address = ada.page.get_by_label("Address of your answer there")
    address.fill("javascript:alert(1)")
    ada.page.get_by_role("button", name="Mark as sent").click()
    expect(ada.page.get_by_text("The address of the answer begins with")).to_be_visible()
    ada.lets_it_settle()
    address.fill("https://workshop.example/1#answer")
    ada.page.get_by_role("button", name="Mark as sent").click()
    ada.follows(answer, until="Sent by hand.")
    assert not [asked for asked in feed.asked if not asked.startswith("GET /news.atom")], "nothing was sent to the feed"
