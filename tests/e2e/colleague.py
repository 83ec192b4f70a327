"""Somebody before a browser, in the words of what they do: `ada.comes_in()`, `ada.opens(text)`, `ada.writes(answer)`.

Everything is found as a person finds it, by its label or its words, and waited for by what the page then shows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress

from playwright.sync_api import Locator, Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from benchmarks.at_network import Account
from tests.e2e.samtal import Samtal

PASSWORD = "the kettle sings at dawn"
WORKER_PATIENCE = 30_000
"""Milliseconds for what the worker does while somebody waits."""
NEWS_PATIENCE = 60_000
"""Milliseconds until something said on the network stands in an open inbox, on a busy machine."""
OFFERS = 10
"""Times that the open page may offer something new before it is what somebody waits for."""


class Colleague:
    """One person with one browser; `page` is the tab they look at."""

    def __init__(self, page: Page, samtal: Samtal) -> None:
        self.page = page
        self.samtal = samtal

    # Coming in --------------------------------------------------------------------------------------------------------

    def comes_in(self, name: str = "Ada Berg", username: str = "ada") -> None:
        """Opens the printed one-time link and makes the first account."""
        page = self.page
        page.goto(self.samtal.first_link())
        page.get_by_label("Your name", exact=True).fill(name)
        page.get_by_label("User name", exact=True).fill(username)
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_label("Password again", exact=True).fill(PASSWORD)
        page.get_by_role("button", name="Start").click()
        expect(page.get_by_role("button", name="Sign out")).to_be_visible(timeout=WORKER_PATIENCE)

    def signs_out(self) -> None:
        self.page.get_by_role("button", name="Sign out").click()
        expect(self.page.get_by_text("You are signed out")).to_be_visible()

    def signs_in(self, username: str = "ada") -> None:
        page = self.page
        page.goto(f"{self.samtal.address}/sign-in")
        page.get_by_label("User name", exact=True).fill(username)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("button", name="Sign out")).to_be_visible(timeout=WORKER_PATIENCE)

    def goes_to(self, name: str, heading: str | None = None) -> None:
        """To a page by the menu; `heading` where its title is not its name."""
        self.page.get_by_role("link", name=name, exact=True).click()
        if heading != "":
            expect(self.page.get_by_role("heading", name=heading or name, level=1)).to_be_visible()
        self.lets_it_settle()

    def another_tab(self) -> Colleague:
        """The same person in a second tab of the same browser."""
        page = self.page.context.new_page()
        page.goto(self.page.url)
        return Colleague(page, self.samtal)

    def lets_it_settle(self) -> None:
        """Waits, as a person would, until the page has done what the last click began.

        Streamlit loses a click on a part of a page that it is about to draw anew as a whole.
        """
        expect(self.page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")

    def marks_the_page(self) -> None:
        """Leaves a mark that a reload would wipe away."""
        self.page.evaluate("() => { window.notReloaded = true }")

    def did_not_reload(self) -> bool:
        return bool(self.page.evaluate("() => window.notReloaded === true"))

    # Sources ----------------------------------------------------------------------------------------------------------

    def begins_a_source(self, platform: str) -> None:
        self.goes_to("Sources")
        self.page.get_by_role("button", name="Add a source").click()
        # The pills of a group are radio buttons or buttons, by version of the browser's side.
        self.page.get_by_test_id("stButtonGroup").get_by_text(platform, exact=True).click()

    def connects(self, account: Account) -> None:
        """Enters an account's credentials and waits until the platform has said who we are."""
        page = self.page
        self._chooses("Account", "New account …")
        page.get_by_label("Name of this account here", exact=True).fill("Ours")
        page.get_by_label("Handle", exact=True).fill(account.credentials["handle"])
        page.get_by_label("App password", exact=True).fill(account.credentials["app_password"])
        page.get_by_label("Server address (optional)", exact=True).fill(account.network.pds)
        page.get_by_role("button", name="Save and test").click()
        expect(page.get_by_text(account.handle).first).to_be_visible(timeout=WORKER_PATIENCE)

    def goes_to_connect(self, platform: str, server: str, fields: Mapping[str, str]) -> None:
        """From a new account to the platform's own page."""
        page = self.page
        self._chooses("Account", "New account …")
        page.get_by_role("button", name=f"Connect with {platform}").click()
        expect(page.get_by_text(f"{self.samtal.address}/oauth/callback")).to_be_visible()
        for label, value in fields.items():
            page.get_by_label(label, exact=True).fill(value)
        page.get_by_label("Server address (optional)", exact=True).fill(server)
        page.get_by_role("button", name="Go on").click()
        page.get_by_role("link", name=f"Go to {platform}").click()

    def tests_the_account(self, says: str) -> None:
        self.page.get_by_role("button", name="Test this account").click()
        expect(self.page.get_by_test_id("stAlert").get_by_text(says)).to_be_visible(timeout=WORKER_PATIENCE)

    def looks_what_it_finds(self, label: str, query: str) -> Locator:
        """Types what to listen for and looks first; returns the box with what it found."""
        page = self.page
        page.get_by_label(label, exact=True).fill(query)
        page.get_by_label(label, exact=True).press("Enter")
        page.get_by_role("button", name="Look what it finds").click()
        found = page.locator(".st-key-found")
        expect(found).to_be_visible(timeout=WORKER_PATIENCE)
        return found

    def adds_it(self) -> None:
        self.page.get_by_role("button", name="Add it").click()
        expect(self.page.get_by_text(re.compile("listens now"))).to_be_visible()
        self.lets_it_settle()

    def connects_and_listens(self, account: Account, word: str) -> None:
        """From an empty page to a source that listens for a word with our account."""
        self.begins_a_source("Bluesky")
        self.connects(account)
        self.page.get_by_label("Words to search for", exact=True).fill(word)
        self.adds_it()

    def listens_to_a_feed(self, address: str) -> None:
        """From an empty page to a feed that is read."""
        self.begins_a_source("RSS or Atom feed")
        self.page.get_by_label("Address", exact=True).fill(address)
        self.adds_it()

    def _chooses(self, label: str, option: str) -> None:
        box = self.page.get_by_label(label, exact=True)
        if option not in (box.input_value() or ""):
            box.click()
            self.page.get_by_role("option", name=option).click()

    # Inbox ------------------------------------------------------------------------------------------------------------

    def card(self, text: str) -> Locator:
        """The inbox's card of what was said."""
        return self.page.locator("[class*='st-key-card-']").filter(has_text=text)

    def awaits(self, text: str) -> Locator:
        """Stays on the inbox until that stands there, taking each offer to show what is new. Never reloads."""
        card = self.card(text)
        news = self.page.get_by_role("button", name=re.compile(r"\d+ new: show"))
        for _ in range(OFFERS):
            expect(card.or_(news).first).to_be_visible(timeout=NEWS_PATIENCE)
            if card.is_visible():
                break
            with suppress(PlaywrightTimeout):  # the page may show it by itself, and the offer is gone
                news.click(timeout=5_000)
        expect(card).to_be_visible()
        return card

    def opens(self, text: str) -> None:
        """Opens the conversation of a card."""
        self.lets_it_settle()
        self.card(text).get_by_role("button", name=re.compile("^(Answer|Open)$")).click()
        expect(self.page.get_by_test_id("stChatMessage").filter(has_text=text)).to_be_visible()

    # Conversation -----------------------------------------------------------------------------------------------------

    def writes(self, text: str) -> None:
        """Writes an answer and looks at it as it will appear."""
        page = self.page
        self.lets_it_settle()
        page.get_by_label("Your answer", exact=True).fill(text)
        page.get_by_role("button", name="Preview").click()
        expect(page.get_by_text("Exactly as it will appear")).to_be_visible()
        self.lets_it_settle()

    def send_button(self) -> Locator:
        return self.page.get_by_role("button", name=re.compile("^(reply |send )?Send as "))

    def message(self, text: str) -> Locator:
        """What was said in the open conversation, with all that stands below it."""
        return self.page.locator(".st-key-thread").get_by_test_id("stChatMessage").filter(has_text=text)

    def follows(self, text: str, until: str, milliseconds: float = NEWS_PATIENCE) -> None:
        """Watches our answer in the open conversation until it stands there once, and as it should."""
        expect(self.message(text).filter(has_text=until)).to_be_visible(timeout=milliseconds)
        expect(self.message(text)).to_have_count(1)

    def carries_in(self, text: str, title: str) -> None:
        """Adds what was said to the feedback board, as an idea."""
        page = self.page
        self.lets_it_settle()
        self.message(text).get_by_role("button", name="Add to feedback").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Title").fill(title)
        dialog.get_by_role("button", name="Add", exact=True).click()
        expect(dialog).to_be_hidden()
