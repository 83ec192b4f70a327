"""The review by keyboard: a key press judges one thing of one mention, and nothing else happens."""

from __future__ import annotations

import time
from pathlib import Path

from playwright.sync_api import Page, expect

from api.site import SESSION_COOKIE
from db.engine import Database
from db.migrate import migrate
from dialogue import review
from dialogue.context import Context, Role
from tests.conftest import PlainSecrets
from tests.dialogue.judging import reads
from tests.e2e.conftest import Comes, Started
from tests.pages import world

MENTIONS = 12
PATIENCE = 120_000
"""Milliseconds: a machine that does much else is slow, and that is not what this tests."""


def seeded(folder: Path) -> tuple[Database, str]:
    """For a Samtal that will start in `folder`: a few mentions that a model has read, and somebody who is signed in."""
    data = folder / "data"
    data.mkdir()
    database = Database(f"sqlite:///{data / 'samtal.db'}")
    migrate(database)
    ctx = Context(database, data, PlainSecrets())
    reads(ctx, "neutral", 0.6, "idea", 0.7, count=MENTIONS)
    return database, world.signed_in(ctx, Role.RESPONDER)


def judged(database: Database) -> list[tuple[int, str, str]]:
    """(mention, field, how) of every judgement that holds, in the order in which they came."""
    sql = "SELECT mention_id, field, how FROM corrections WHERE withdrawn_at IS NULL ORDER BY id"
    with database.reading() as tx:
        return [tuple(row) for row in tx.connection.exec_driver_sql(sql)]


def reads_it(page: Page) -> None:
    """Waits until the page has done what the last key began, and as long as anybody takes to read what it shows."""
    app = page.get_by_test_id("stApp")
    expect(app).to_have_attribute("data-test-script-state", "notRunning", timeout=PATIENCE)
    page.wait_for_timeout(1_000 * review.SOONEST)


def test_a_key_press_judges_one_thing_of_one_mention(start: Started, comes: Comes, tmp_path: Path) -> None:
    database, token = seeded(tmp_path)
    samtal = start(START_WORKER="0")
    page = comes(samtal).page
    page.context.add_cookies([{"name": SESSION_COOKIE, "value": token, "url": samtal.address}])
    page.goto(f"{samtal.address}/model?part=review&queue=random", timeout=PATIENCE)
    item = page.locator(".st-key-review-item").get_by_test_id("stText")
    expect(item).to_be_visible(timeout=PATIENCE)
    reads_it(page)

    # Enter: both fields of this mention, and the next one comes.
    first = item.inner_text()
    began = time.monotonic()
    page.keyboard.press("Enter")
    expect(item).not_to_have_text(first, timeout=PATIENCE)
    print(f"From the key press to the next mention: {time.monotonic() - began:.2f} s")
    assert [(field, how) for _, field, how in judged(database)] == [("sentiment", "random"), ("intent", "random")]
    assert len({mention for mention, _, _ in judged(database)}) == 1

    # One digit: the mood of this mention alone, which stays until its intent is said.
    reads_it(page)
    second = item.inner_text()
    page.keyboard.press("1")
    expect(page.locator(".st-key-review-sentiment")).to_contain_text("judged", timeout=PATIENCE)
    assert len(judged(database)) == 3
    assert item.inner_text() == second
    page.keyboard.press("k")
    expect(item).not_to_have_text(second, timeout=PATIENCE)
    assert len(judged(database)) == 4

    # Two presses of the same key at once are one judgement.
    reads_it(page)
    third = item.inner_text()
    page.keyboard.press("3")
    page.keyboard.press("3")
    expect(page.locator(".st-key-review-sentiment")).to_contain_text("judged", timeout=PATIENCE)
    reads_it(page)
    assert len(judged(database)) == 5
    assert item.inner_text() == third

    # Backspace takes the last one back, and a skip judges nothing.
    page.keyboard.press("Backspace")
    expect(page.locator(".st-key-review-sentiment")).not_to_contain_text("judged", timeout=PATIENCE)
    assert len(judged(database)) == 4
    reads_it(page)
    page.keyboard.press("s")
    expect(item).not_to_have_text(third, timeout=PATIENCE)
    assert len(judged(database)) == 4
    database.dispose()
