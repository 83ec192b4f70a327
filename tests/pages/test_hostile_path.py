"""Hostile text all the way: out of a file, through the import and the model, onto the inbox."""

from __future__ import annotations

import json

import pytest

from dialogue import inbox, requests, understanding, uploads
from dialogue.context import Actor, Context, Role
from tests.hostile import HOSTILE
from tests.pages import world
from tests.pages.conftest import Opened, shown
from tests.pages.test_every_page import parsed
from tests.worlds import look

COLUMNS = {"text": "text", "author": "author", "posted_at": "date"}
NEVER_PARSED = ("<script>alert", "![x](", "\u202e\u202e", "\x00", "\x1b")


@pytest.fixture
def imported(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> int:
    """Every hostile text as a row of a file, imported and read by the bundled model; how many rows were refused."""
    world.signed_in(ctx, Role.ADMIN, "ada")
    ada = Actor(1, "Ada", Role.ADMIN)
    rows = [
        json.dumps({"text": text, "author": f"{what} {text[:40]}", "date": f"2026-11-20 09:{number:02}"}).encode()
        for number, (what, text) in enumerate(HOSTILE.items())
    ]
    upload_id = uploads.spool(ctx, ada, "answers.jsonl", iter([b"\n".join(rows)]))
    request_id = uploads.start_import(ctx, ada, upload_id, COLUMNS, "Survey")
    requests.serve(ctx, request_id)
    view = requests.get(ctx, request_id)
    assert (view.state, view.error) == ("done", "")
    monkeypatch.setattr(understanding, "_open", None)
    understanding.understand(ctx)
    return int(view.result["rejected"])


def test_each_row_is_tagged_or_refused_and_the_inbox_shows_them(ctx: Context, imported: int, open_page: Opened) -> None:
    stored, tagged = look(ctx, "SELECT (SELECT count(*) FROM mentions), (SELECT count(*) FROM tags)")[0]
    assert stored == tagged
    assert stored + imported == len(HOSTILE)
    assert 1 <= imported <= 5, "rows without a word are refused, and no others"
    assert not understanding.waiting(ctx)

    app, seen = open_page("inbox", view="all"), set()
    while True:
        assert not app.exception
        assert not app.error
        seen |= {element.value for element in app.text}
        for words in parsed(app):
            assert not any(mark in words for mark in NEVER_PARSED), words[:200]
        shown(app).encode("utf-8")
        older = [button for button in app.button if button.key == "older"]
        if not older:
            break
        older[0].click().run()
    cards = inbox.page(ctx, Actor(1, "Ada", Role.ADMIN), inbox.Filters(view="all"), limit=100).cards
    assert len(seen) >= len({card.text for card in cards}) > 0
    assert any("squeaks" in words for words in seen)
    assert max(len(words) for words in seen) < 5_000, "a text of 100,000 characters is shown by its beginning"


def test_a_conversation_of_markup_is_shown_as_text(ctx: Context, imported: int, open_page: Opened) -> None:
    ((conversation, _),) = look(ctx, "SELECT conversation_id, text FROM mentions WHERE text LIKE '<script>%'")
    app = open_page("conversation", conversation=str(conversation))
    assert not app.exception
    assert not app.error
    assert not any(mark in words for words in parsed(app) for mark in NEVER_PARSED)
