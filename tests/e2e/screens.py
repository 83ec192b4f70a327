"""Screenshots of every page on the sample data, wide and on a phone, light and dark, to be looked at by a person.

`python -m tests.e2e.screens FOLDER [page …]` starts Samtal on a free port with a data folder of its own, waits until
the model has read the sample, and writes FOLDER/<page>-<wide|phone>-<light|dark>.png.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from playwright.sync_api import Browser, Page, sync_playwright

import settings
from api.site import SESSION_COOKIE
from dialogue import accounts, inbox, requests, sample, start
from dialogue.context import Actor, Context, Role

ROOT = Path(__file__).parent.parent.parent
CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage"
).split()
SIZES = {"wide": {"width": 1360, "height": 860}, "phone": {"width": 390, "height": 844}}
CONVERSATION = "/conversation?conversation={conversation}"


def _press(key: str) -> Callable[[Page], None]:
    """Presses the button that Streamlit knows as `key`."""
    return lambda page: page.locator(f".st-key-{key} button:visible").first.click()


def _add(platform: str) -> tuple[Callable[[Page], None], ...]:
    """Opens the form that adds a source of `platform` (its title)."""

    def choose(page: Page) -> None:
        page.locator(".st-key-add_platform").get_by_text(platform, exact=True).click()

    return _press("add_source"), choose


PAGES: dict[str, tuple[str, tuple[Callable[[Page], None], ...]]] = {
    "summary": ("/", ()),
    "inbox": ("/inbox", ()),
    "note": ("/inbox", (_press("add_note"),)),
    "conversation": (CONVERSATION, ()),
    "erase": (CONVERSATION, (_press("erase"),)),
    "topics": ("/topics", ()),
    "themes": ("/themes", ()),
    "model": ("/model", ()),
    "review": ("/model?part=review", ()),
    "feedback": ("/feedback", ()),
    "sources": ("/sources", ()),
    "compliance": ("/sources", (_press("compliance_open"),)),
    "accounts": ("/sources", (_press("accounts"),)),
    "add_hacker_news": ("/sources", _add("Hacker News")),
    "add_mastodon": ("/sources", _add("Mastodon")),
    "add_mail": ("/sources", _add("Mail")),
    "add_webhook": ("/sources", _add("Webhook")),
    "colleagues": ("/colleagues", ()),
}
"""Where each is, and what is done there before the picture is taken."""
PATIENCE = 600
"""Seconds for the worker to load the sample and read it."""


def main(arguments: list[str]) -> None:
    """Takes the pictures."""
    if not arguments:
        sys.exit("usage: python -m tests.e2e.screens FOLDER [page …]")
    folder, wanted = Path(arguments[0]), arguments[1:] or list(PAGES)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="samtal-screens-") as data, _samtal(Path(data)) as address:
        ctx = start.context(_settings(Path(data)), triggers=True)
        token = _admin(ctx)
        _load_sample(ctx, accounts.actor_of(ctx, token) or sys.exit("nobody could sign in"))
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            for name in wanted:
                _picture(browser, ctx, address, token, name, folder)
            browser.close()
        ctx.database.dispose()


def _settings(data: Path) -> settings.Settings:
    os.environ["DATA_DIR"] = str(data)
    return settings.load()


@contextmanager
def _samtal(data: Path) -> Iterator[str]:
    """A running Samtal; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"DATA_DIR": str(data), "PORT": str(port)}
    command = [sys.executable, "app.py"]
    with (
        (data / "log").open("wb") as log,
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True) as process,
    ):
        try:
            _wait(lambda: process.poll() is None and _answers(port), 60, "Samtal did not start")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/sign-in").status_code == 200
    except httpx.TransportError:
        return False


def _wait(done: object, seconds: float, otherwise: str) -> None:
    until = time.monotonic() + seconds
    while not done():  # type: ignore[operator]
        if time.monotonic() > until:
            sys.exit(otherwise)
        time.sleep(0.5)


def _admin(ctx: Context) -> str:
    link = accounts.first_link(ctx)
    if link is None:
        sys.exit("there is an account already")
    return accounts.redeem(ctx, link, "mira", "Mira Holm", "a long enough password", "screens")


def _load_sample(ctx: Context, mira: Actor) -> None:
    request_id = sample.load_request(ctx, mira)
    _wait(lambda: requests.get(ctx, request_id).state in ("done", "failed"), PATIENCE, "the sample was not loaded")
    accounts.invite(ctx, mira, "rolf", "Rolf Berg", Role.RESPONDER)


def _picture(browser: Browser, ctx: Context, address: str, token: str, name: str, folder: Path) -> None:
    mira = accounts.actor_of(ctx, token)
    cards = inbox.page(ctx, mira, inbox.Filters(view="all"), limit=50).cards if mira else ()
    telling = max(cards, key=lambda card: (card.memory is not None, card.mention_count), default=None)
    path, steps = PAGES[name]
    path = path.format(conversation=telling.conversation_id if telling else 1)
    for size, viewport in SIZES.items():
        for scheme in ("light", "dark"):
            context = browser.new_context(viewport=viewport, color_scheme=scheme, timezone_id="Europe/Berlin")
            context.add_cookies([{"name": SESSION_COOKIE, "value": token, "url": address}])
            page = context.new_page()
            page.goto(address + path)
            _settle(page)
            for step in steps:
                step(page)
                _settle(page)
            page.screenshot(path=folder / f"{name}-{size}-{scheme}.png")
            context.close()


def _settle(page: Page) -> None:
    """Waits for the page's own content: its title, every widget drawn, no script running."""
    page.locator(".stMain h1").first.wait_for(timeout=60_000)
    page.wait_for_function(
        "() => !document.querySelector('[data-testid=stSkeleton]')"
        " && document.querySelector('.stApp')?.dataset.testScriptState !== 'running'",
        timeout=60_000,
    )
    page.wait_for_timeout(1_200)  # charts and icons fade in; nothing tells when they have


if __name__ == "__main__":
    main(sys.argv[1:])
