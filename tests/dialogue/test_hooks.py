"""Webhooks: what a tool sends is kept until all of it is read, whatever the first guess at its parts was."""

from __future__ import annotations

import json
from typing import Any

import pytest

from db import hooks as rows
from db.tables import HookDelivery
from dialogue import audit, hooks, housekeeping, inbox, privacy, queue, sources
from dialogue.context import Actor, Context, DialogueError, Missing
from dialogue.sources import SourceView
from listeners.webhook_signatures import SCHEMES, sign
from tests.conftest import Clock

FORM = {
    "event_id": "e-1",
    "form_response": {
        "submitted_at": "2026-11-19T18:17:02Z",
        "answers": [{"field": {"id": "q1"}, "text": "The parcel was two weeks late"}, {"number": 9}],
    },
}


@pytest.fixture
def made(any_ctx: Context, colleague: Actor) -> hooks.Made:
    return hooks.create(any_ctx, colleague, "Our survey")


def sends(ctx: Context, made: hooks.Made, said: Any, delivery_id: str = "") -> hooks.Receipt:
    body = json.dumps(said).encode()
    headers = sign(SCHEMES[made.scheme], made.secret, body, at=ctx.clock(), delivery_id=delivery_id)
    receipt = hooks.accept(ctx, made.path.rpartition("/")[2], headers, body)
    hooks.read_waiting(ctx, receipt.source_id)
    return receipt


def said(ctx: Context, actor: Actor) -> list[inbox.Card]:
    return sorted(inbox.page(ctx, actor, inbox.Filters(view="all"), None, 100).cards, key=lambda card: card.text)


def source(ctx: Context, actor: Actor) -> SourceView:
    return sources.list_(ctx, actor)[0]


def bodies(ctx: Context) -> list[bytes]:
    with ctx.database.reading() as tx:
        found = tx.session.query(HookDelivery.body).order_by(HookDelivery.id)  # type: ignore[arg-type]
        return [bytes(body) for (body,) in found if body is not None]


def test_what_names_its_parts_as_we_do_is_read_at_once(any_ctx: Context, made: hooks.Made, colleague: Actor) -> None:
    assert source(any_ctx, colleague).words == "It waits for its first delivery."
    sends(any_ctx, made, {"text": "The hinge squeaks", "rating": 2})
    (card,) = said(any_ctx, colleague)
    assert (card.text, card.rating, card.platform_title) == ("The hinge squeaks", 2.0, "Webhook")
    assert bodies(any_ctx) == [], "what was read is not kept twice"
    assert (source(any_ctx, colleague).health, source(any_ctx, colleague).total) == ("listening", 1)


def test_another_tools_words_wait_for_a_look_and_then_all_of_them_are_read(
    any_ctx: Context, made: hooks.Made, colleague: Actor, clock: Clock
) -> None:
    for number in range(3):
        clock.forward(minutes=1)
        sends(any_ctx, made, FORM | {"event_id": f"e-{number}"})
    assert said(any_ctx, colleague) == []
    assert source(any_ctx, colleague).health == "problem"
    assert "3 deliveries wait" in source(any_ctx, colleague).words
    seen = hooks.view(any_ctx, colleague, made.source_id)
    assert not seen.confirmed
    guess = seen.layout.as_json()
    assert guess["fields"]["text"] == ["/form_response/answers/0/text"]
    names = {part.pointer: (part.name, part.words) for part in seen.parts}
    assert names["/form_response/answers/1/number"] == ("form_response › answers › 2 › number", "9")
    (tried,) = hooks.try_layout(any_ctx, colleague, made.source_id, guess)
    assert (tried.text, tried.problem) == ("The parcel was two weeks late", "")
    assert hooks.set_layout(any_ctx, colleague, made.source_id, guess) == 3
    assert hooks.due(any_ctx) == [made.source_id]
    assert hooks.read_waiting(any_ctx, made.source_id) == 3
    assert len(said(any_ctx, colleague)) == 3
    assert source(any_ctx, colleague).health == "listening"
    assert bodies(any_ctx) == []


def test_a_layout_that_does_not_fit_loses_nothing(any_ctx: Context, made: hooks.Made, colleague: Actor) -> None:
    sends(any_ctx, made, [{"text": "fine"}, {"text": "promoters", "rating": 9}, {"comment": "moved"}])
    assert [card.text for card in said(any_ctx, colleague)] == ["fine"]
    shown = hooks.view(any_ctx, colleague, made.source_id)
    (delivery,) = shown.deliveries
    assert [one["where"] for one in delivery.rejections] == ["item 2", "item 3"]
    assert "more than the best rating" in delivery.rejections[0]["reason"]
    assert "could not be read; nothing of it is lost" in source(any_ctx, colleague).words
    (kept,) = bodies(any_ctx)
    assert b"fine" not in kept
    assert b"promoters" in kept
    mended = {"fields": {"text": ["/text", "/comment"], "rating": ["/rating"]}, "best_rating": 10}
    tried = hooks.try_layout(any_ctx, colleague, made.source_id, mended)
    assert [(one.text, one.rating) for one in tried] == [("promoters", 4.5), ("moved", None)]
    hooks.set_layout(any_ctx, colleague, made.source_id, mended)
    hooks.read_waiting(any_ctx, made.source_id)
    assert [card.text for card in said(any_ctx, colleague)] == ["fine", "moved", "promoters"]
    assert hooks.view(any_ctx, colleague, made.source_id).deliveries[0].words == "3 new"
    assert source(any_ctx, colleague).health == "listening"


def test_what_nobody_can_read_may_be_given_up(any_ctx: Context, made: hooks.Made, colleague: Actor) -> None:
    sends(any_ctx, made, [{"text": "fine"}, {"text": ""}])
    assert hooks.discard(any_ctx, colleague, made.source_id) == 1
    assert bodies(any_ctx) == []
    assert source(any_ctx, colleague).health == "listening"
    assert hooks.view(any_ctx, colleague, made.source_id).deliveries[0].words == "1 new, 1 discarded"


def test_a_list_that_is_not_there_rejects_the_delivery_whole(
    any_ctx: Context, made: hooks.Made, colleague: Actor
) -> None:
    hooks.set_layout(any_ctx, colleague, made.source_id, {"each": "/items", "fields": {"text": ["/text"]}})
    sends(any_ctx, made, {"text": "no list"})
    (delivery,) = hooks.view(any_ctx, colleague, made.source_id).deliveries
    assert "There is no list at /items" in delivery.rejections[0]["reason"]
    hooks.set_layout(any_ctx, colleague, made.source_id, {"fields": {"text": ["/text"]}})
    hooks.read_waiting(any_ctx, made.source_id)
    assert [card.text for card in said(any_ctx, colleague)] == ["no list"]


def test_a_layout_that_makes_no_sense_is_named_and_changes_nothing(
    any_ctx: Context, made: hooks.Made, colleague: Actor
) -> None:
    for stored in ({}, {"fields": {"text": ["x"]}}, {"fields": {"shoe": ["/x"], "text": ["/x"]}}):
        with pytest.raises(DialogueError):
            hooks.set_layout(any_ctx, colleague, made.source_id, stored)
        sends(any_ctx, made, FORM | {"n": str(stored)})
        with pytest.raises(DialogueError):
            hooks.try_layout(any_ctx, colleague, made.source_id, stored)
    assert not hooks.view(any_ctx, colleague, made.source_id).confirmed


def test_a_ping_without_words_does_not_spoil_the_guess(any_ctx: Context, made: hooks.Made, colleague: Actor) -> None:
    sends(any_ctx, made, {"ping": 1, "hook": "created"})
    sends(any_ctx, made, FORM)
    sends(any_ctx, made, {"ping": 2})
    layout = hooks.view(any_ctx, colleague, made.source_id).layout
    assert layout.fields["text"] == ("/form_response/answers/0/text",)


def test_two_readers_at_once_read_each_delivery_once(any_ctx: Context, made: hooks.Made, colleague: Actor) -> None:
    from concurrent.futures import ThreadPoolExecutor

    hooks.set_layout(any_ctx, colleague, made.source_id, {"fields": {"text": ["/comment"]}})
    body = [json.dumps({"comment": f"No. {number}"}).encode() for number in range(12)]
    for one in body:
        headers = sign(SCHEMES["samtal"], made.secret, one, at=any_ctx.clock())
        hooks.accept(any_ctx, made.path.rpartition("/")[2], headers, one)
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda _: hooks.read_waiting(any_ctx, made.source_id), range(3)))
    hooks.read_waiting(any_ctx, made.source_id)
    assert sum(done) == 12
    assert len(said(any_ctx, colleague)) == 12
    assert {one.words for one in hooks.view(any_ctx, colleague, made.source_id, 20).deliveries} == {"1 new"}


def test_the_same_delivery_through_two_processes_is_stored_once(any_ctx: Context, made: hooks.Made) -> None:
    from concurrent.futures import ThreadPoolExecutor

    body = b'{"text": "Great"}'
    headers = sign(SCHEMES["samtal"], made.secret, body, at=any_ctx.clock())
    token = made.path.rpartition("/")[2]
    with ThreadPoolExecutor(4) as pool:
        receipts = list(pool.map(lambda _: hooks.accept(any_ctx, token, headers, body), range(8)))
    assert sum(receipt.new for receipt in receipts) == 1
    assert len({receipt.delivery for receipt in receipts}) == 1


def test_what_was_erased_does_not_come_back_with_a_retry(
    any_ctx: Context, made: hooks.Made, colleague: Actor, clock: Clock
) -> None:
    from db import forgetting
    from db.tables import Mention

    sends(any_ctx, made, {"id": "r-1", "text": "Please forget me"})
    with any_ctx.database.transaction() as tx:
        ids = [one.id for one in tx.session.query(Mention)]
        forgetting.forget(tx, ids, now=any_ctx.clock(), reason=privacy.DELETED, digest=any_ctx.secrets.digest)
    clock.forward(minutes=1)
    sends(any_ctx, made, {"id": "r-1", "text": "Please forget me"}, "another delivery")
    assert said(any_ctx, colleague) == []
    assert bodies(any_ctx) == []


def test_a_stranger_cannot_keep_us_writing(any_ctx: Context, made: hooks.Made, colleague: Actor, clock: Clock) -> None:
    token = made.path.rpartition("/")[2]

    def knocks(header: str) -> None:
        with pytest.raises(hooks.BadSignature):
            hooks.accept(any_ctx, token, {"X-Samtal-Signature": header}, b"{}")

    knocks("")
    first = hooks.view(any_ctx, colleague, made.source_id)
    knocks("sha256=nonsense")
    assert hooks.view(any_ctx, colleague, made.source_id).refused == first.refused
    clock.forward(seconds=11)
    knocks("sha256=nonsense")
    assert hooks.view(any_ctx, colleague, made.source_id).refused != first.refused
    with pytest.raises(Missing):
        hooks.accept(any_ctx, "no such address", {}, b"{}")


def test_a_source_that_goes_takes_its_deliveries_along(
    any_ctx: Context, made: hooks.Made, colleague: Actor, clock: Clock
) -> None:
    from dialogue import requests

    sends(any_ctx, made, FORM)
    requests.serve(any_ctx, sources.remove(any_ctx, colleague, made.source_id, with_mentions=True))
    assert bodies(any_ctx) == []
    with pytest.raises(Missing):
        hooks.view(any_ctx, colleague, made.source_id)


def test_after_a_month_nothing_is_kept_that_nobody_could_read(
    any_ctx: Context, made: hooks.Made, colleague: Actor, clock: Clock
) -> None:
    sends(any_ctx, made, FORM)
    clock.forward(days=29)
    housekeeping.tidy(any_ctx)
    assert len(bodies(any_ctx)) == 1
    clock.forward(days=2)
    housekeeping.tidy(any_ctx)
    assert bodies(any_ctx) == []


def test_the_workers_sweep_finds_what_waits(ctx: Context, colleague: Actor) -> None:
    made = hooks.create(ctx, colleague, "Our survey")
    body = b'{"text": "Great"}'
    headers = sign(SCHEMES["samtal"], made.secret, body, at=ctx.clock())
    hooks.accept(ctx, made.path.rpartition("/")[2], headers, body)
    huey = queue.make_huey(ctx.database.url, ctx.data_dir)
    tasks = queue.Tasks(huey, ctx)
    tasks._sweep()
    while (task := huey.dequeue()) is not None:
        if task.name == "read_hook":
            huey.execute(task)
    assert [card.text for card in said(ctx, colleague)] == ["Great"]


def test_every_change_leaves_a_row_in_the_trail(any_ctx: Context, made: hooks.Made, colleague: Actor) -> None:
    hooks.rotate(any_ctx, colleague, made.source_id)
    hooks.set_layout(any_ctx, colleague, made.source_id, {"fields": {"text": ["/text"]}})
    hooks.discard(any_ctx, colleague, made.source_id)
    entries = audit.entries(any_ctx, colleague)
    assert [one.action for one in entries] == [
        "discarded what could not be read", "set how it is read", "changed the secret", "added",
    ]  # fmt: skip
    assert made.secret not in repr(entries)


def test_the_address_tells_nothing_and_ends_with_nothing_sealed(any_ctx: Context, made: hooks.Made) -> None:
    with any_ctx.database.reading() as tx:
        row = rows.get(tx, made.source_id)
    assert row is not None
    assert len(row.token) >= 20
    assert made.secret not in made.path


def test_a_tool_that_makes_its_own_secret(any_ctx: Context, colleague: Actor) -> None:
    given = "a secret that the tool has made"
    made = hooks.create(any_ctx, colleague, "", "hub", f" {given} ")
    assert made.secret == given
    assert sends(any_ctx, made, {"text": "Great"}).new
    with pytest.raises(DialogueError, match="at least 16"):
        hooks.create(any_ctx, colleague, "", "hub", "short")
    with pytest.raises(DialogueError, match="no way to sign"):
        hooks.create(any_ctx, colleague, "", "none")


def test_a_survey_that_stops_sending_has_gone_quiet(
    any_ctx: Context, made: hooks.Made, colleague: Actor, clock: Clock
) -> None:
    for day in range(10):
        sends(any_ctx, made, [{"id": f"{day}-{number}", "text": f"Answer {number}"} for number in range(20)])
        clock.forward(days=1)
    clock.forward(hours=2)
    assert source(any_ctx, colleague).health == "quiet"
    assert "Nothing came in the last 24 hours" in source(any_ctx, colleague).words
