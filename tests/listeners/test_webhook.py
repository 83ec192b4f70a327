"""Deliveries of survey and form tools: which part is what, what is read, and what cannot be read and why."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from listeners import __main__ as command_line
from listeners import registry, webhook
from listeners.base import Options, Post, Query, Rejected, Terminal
from listeners.webhook import Layout, Reading, guess, load, read
from tests.listeners import contract
from tests.listeners.contract import Rig

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
PLAIN = {
    "id": "r-7",
    "text": "The hinge squeaks",
    "author": "jane@example.com",
    "author_name": "Jane Doe",
    "rating": 2,
    "posted_at": "2026-11-20T10:00:00Z",
    "url": "https://forms.example/r-7",
}
TYPEFORM = {
    "event_id": "01H",
    "event_type": "form_response",
    "form_response": {
        "form_id": "lT4Z3j",
        "token": "a3a12ec67a1365927098a606107fac15",
        "submitted_at": "2026-11-19T18:17:02Z",
        "definition": {"id": "lT4Z3j", "fields": [{"id": "JwWggjAKtOkA", "title": "What went wrong?"}]},
        "answers": [
            {"type": "text", "text": "The parcel was two weeks late", "field": {"id": "JwWggjAKtOkA"}},
            {"type": "number", "number": 3, "field": {"id": "n1"}},
            {"type": "choices", "choices": {"labels": ["Late", "Broken"]}, "field": {"id": "c1"}},
        ],
    },
}


class Silent:
    """A fake platform for a listener that asks nobody."""

    requests: tuple[str, ...] = ()


@pytest.fixture
def rig() -> Rig:
    raw = [json.dumps(one).encode() for one in (PLAIN, [PLAIN, {"text": "B"}], {"items": [PLAIN]}, TYPEFORM)]
    return Rig(registry.open("webhook", {}, Options()), Silent(), Query(""), raw=raw)


def test_the_contract_as_far_as_it_fits_what_is_sent_to_us(rig: Rig) -> None:
    contract.check_powers_are_tested(rig, object)
    contract.check_capability_is_complete(rig)
    contract.check_parse_is_pure(rig)
    contract.check_parse_is_total(rig)
    contract.check_check_says_something(rig)
    with pytest.raises(Terminal):
        next(rig.listener.fetch(Query(""), {}))


def posts(data: Any, layout: Layout | None = None, **reading: Any) -> list[Post | Rejected]:
    chosen = Reading(layout or guess(data), "5", NOON, **reading)
    return [one for _, one in read(load(json.dumps(data).encode()), chosen)]


def test_names_like_ours_need_no_look() -> None:
    assert guess(PLAIN).is_plain
    assert guess([PLAIN]).is_plain
    assert guess({"items": [PLAIN, {"text": "more", "shoe_size": 43}]}).is_plain
    assert not guess(TYPEFORM).is_plain
    assert not guess({"comment": "Lovely"}).is_plain
    (found,) = posts(PLAIN)
    assert isinstance(found, Post)
    assert (found.external_id, found.text, found.rating) == ("5:r-7", "The hinge squeaks", 2.0)
    assert found.author is not None
    assert (found.author.handle, found.author.display_name) == ("jane@example.com", "Jane Doe")
    assert found.posted_at == datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
    assert not found.posted_at_estimated


def test_a_form_tools_delivery_is_guessed_but_waits_for_a_look() -> None:
    layout = guess(TYPEFORM)
    assert layout.fields["text"] == ("/form_response/answers/0/text",)
    assert layout.fields["posted_at"] == ("/form_response/submitted_at",)


def test_the_id_of_the_form_is_not_taken_for_the_answers() -> None:
    """It would be the same in every delivery, and each would be taken for an edit of the one before."""
    assert guess(TYPEFORM).fields["id"] != ("/form_response/answers/0/field/id",)
    assert "id" not in guess({"survey": {"id": 9}, "comment": "Good", "answers": [{"id": 1}]}).fields


def test_a_text_may_come_from_several_questions_and_choices() -> None:
    pointers = ("/form_response/answers/0/text", "/form_response/answers/2/choices/labels")
    layout = Layout(fields={"text": pointers, "rating": ("/form_response/answers/1/number",)}, best_rating=10)
    (found,) = posts(TYPEFORM, layout)
    assert isinstance(found, Post)
    assert found.text == "The parcel was two weeks late\n\nLate, Broken"
    assert found.rating == 1.5


def test_one_bad_item_does_not_cost_its_neighbours() -> None:
    batch = [
        {"text": "good"},
        {"text": ""},
        {"text": {"html": "x"}},
        7,
        None,
        {"text": "x", "rating": 9},
        {"text": "x", "posted_at": "whenever"},
        {"text": "x", "posted_at": "2031-01-01"},
        {"text": "x", "url": "javascript:alert(1)"},
        {"text": "also good"},
    ]
    layout = Layout(fields={name: (f"/{name}",) for name in ("text", "rating", "posted_at", "url")})
    found = read(batch, Reading(layout, "5", NOON))
    assert [one.text for _, one in found if isinstance(one, Post)] == ["good", "also good"]
    reasons = {one.where: one.reason for _, one in found if isinstance(one, Rejected)}
    assert reasons["item 2"] == "text: there is none at /text"
    assert reasons["item 3"] == "text: is an object, not words; choose a part of it"
    assert reasons["item 4"] == "is a number, not an object"
    assert "item 5" not in reasons, "null is what has been read before"
    assert "best rating" in reasons["item 6"]
    assert "no date" in reasons["item 7"]
    assert "future" in reasons["item 8"]
    assert "http" in reasons["item 9"]
    assert [place for place, _ in found] == [0, 1, 2, 3, 5, 6, 7, 8, 9]


def test_what_was_read_is_taken_out_of_what_is_kept() -> None:
    secret = {"text": "my address is 5 Elm Street"}
    for data, each in (([secret, {"note": "left"}], ""), ({"form": 1, "items": [secret, {"note": "left"}]}, "/items")):
        kept = webhook.without(data, Layout(each), [0])
        assert b"Elm" not in kept
        assert webhook.items(load(kept), Layout(each)) == [None, {"note": "left"}]


def test_ids_are_the_tools_own_or_a_digest() -> None:
    anonymous = {"text": "Great"}
    (first,), (again,) = posts(anonymous), posts(anonymous)
    assert isinstance(first, Post)
    assert isinstance(again, Post)
    assert first.external_id == again.external_id, "the same delivery again is nothing new"
    (other,) = posts(anonymous, delivery="d-2")
    (another,) = posts(anonymous, delivery="d-3")
    assert isinstance(other, Post)
    assert isinstance(another, Post)
    assert len({first.external_id, other.external_id, another.external_id}) == 3, "two people may say the same"
    own, lookalike = posts([{"id": "x", "text": "a"}, {"id": "", "text": "b"}])
    assert isinstance(own, Post)
    assert isinstance(lookalike, Post)
    assert own.external_id == "5:x"
    assert lookalike.external_id.startswith("5#")


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        ({}, "which part"),
        ({"fields": {}}, "No part is chosen for the text"),
        ({"fields": {"text": []}}, "No part is chosen for the text"),
        ({"fields": {"shoe": ["/a"], "text": ["/a"]}}, "no field shoe"),
        ({"fields": {"text": ["no pointer"]}}, "no JSON Pointer"),
        ({"fields": {"text": ["/~7"]}}, "no JSON Pointer"),
        ({"fields": {"text": ["/a"] * 11}}, "Too many"),
        ({"fields": {"text": ["/a"], "id": ["/a", "/b"]}}, "Too many"),
        ({"fields": {"text": ["/a"]}, "best_rating": 7}, "best rating"),
        ({"fields": {"text": [3]}}, "no JSON Pointer"),
    ],
)
def test_a_layout_that_does_not_fit_is_named(stored: dict[str, Any], words: str) -> None:
    with pytest.raises(Terminal, match=words):
        webhook.layout_of(stored)


def test_a_layout_comes_back_as_it_was_stored() -> None:
    layout = Layout("/items", {"text": ("/a~1b", "/c"), "id": ("/id",)}, 10)
    assert webhook.layout_of(json.loads(json.dumps(layout.as_json()))) == layout


def test_what_is_no_json_says_where() -> None:
    with pytest.raises(Terminal, match="line 2, column 3"):
        load(b'{"a": 1,\n  b}')
    for hostile in (b"", b"\xff\xfe\x00", b"[" * 100_000, b"[" * 80 + b"]" * 80, b"9" * 5_000):
        with pytest.raises(Terminal):
            load(hostile)


def test_too_many_items_are_told() -> None:
    with pytest.raises(Terminal, match=r"1,001 items; 1,000 fit"):
        posts([{"text": "x"}] * 1_001)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_ITEM = st.dictionaries(st.sampled_from([*webhook.FIELDS, "~/", "items"]), _JSON, max_size=6)


@settings(deadline=None)
@given(st.lists(_ITEM | _JSON, max_size=4), st.integers(0, 4))
def test_whatever_comes_no_good_sibling_is_lost(items: list[Any], place: int) -> None:
    batch = [*items[:place], PLAIN, *items[place:]]
    layout = guess([PLAIN])
    found = read(load(json.dumps(batch).encode()), Reading(layout, "5", NOON))
    assert [one for _, one in found if isinstance(one, Post) and one.external_id == "5:r-7"]
    assert len(found) == sum(item is not None for item in batch)


@settings(deadline=None)
@given(_JSON)
def test_guessing_and_taking_out_never_fail(data: Any) -> None:
    sent = load(json.dumps(data).encode())
    layout = guess(sent)
    for leaf in webhook.leaves(sent, layout.each):
        assert len(webhook.in_words(leaf.pointer)) <= 120
        assert len(leaf.words) <= 200
    places = [place for place, _ in read(sent, Reading(layout, "5", NOON))]
    assert all(item is None for item in webhook.items(load(webhook.without(sent, layout, places)), layout))


def test_the_command_line_reads_a_delivery(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "delivery.json"
    path.write_text(json.dumps([PLAIN, {"text": ""}]))
    assert command_line.main(["parse", "webhook", str(path)]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["text"] == "The hinge squeaks"
    assert "rejected: item 2 text: there is none" in printed.err
    layout = json.dumps({"fields": {"text": ["/author_name"]}})
    assert command_line.main(["parse", "webhook", str(path), "--set", f"layout={layout}"]) == 0
    assert json.loads(capsys.readouterr().out)["text"] == "Jane Doe"
    assert command_line.main(["fetch", "webhook", "--query", "x"]) == 2
