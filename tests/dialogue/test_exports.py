"""What leaves as a file, and what does not: some platforms allow so much a day, some nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dialogue import exports
from dialogue.context import SYSTEM, Context, NotAllowed, Role
from dialogue.inbox import Filters
from listeners import registry
from tests.conftest import Clock
from tests.worlds import look, post, said, store, tag


@pytest.fixture
def three_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """X lets three posts leave a day."""
    ask = registry.capability

    def capability(platform: str) -> object:
        allows = ask(platform)
        return replace(allows, exports_a_day=3) if platform == "x" else allows

    monkeypatch.setattr(registry, "capability", capability)


def _posts(ctx: Context, platform: str, count: int) -> None:
    store(
        ctx,
        *(post(f"{platform}{n}", f"Text {n}", platform=platform, url=f"https://x.example/{n}") for n in range(count)),
    )


def _texts(ctx: Context) -> list[str]:
    return [row["text"] for row in exports.take(ctx, SYSTEM, Filters()).rows]


def test_everything_that_may_leaves_with_what_was_made_of_it(any_ctx: Context) -> None:
    store(any_ctx, post("p1", "The hinge squeaks", platform="hackernews", title="Hinges"))
    tag(any_ctx, said("negative", "complaint", "Quality"))
    (row,) = exports.take(any_ctx, SYSTEM, Filters()).rows
    assert (row["author"], row["sentiment"], row["topics"], row["withheld"]) == ("Björk", "negative", "Quality", "")
    assert "The hinge squeaks" in row["text"]


def test_a_cap_holds_over_files_and_ends_with_the_day(any_ctx: Context, three_a_day: None, clock: Clock) -> None:
    _posts(any_ctx, "x", 2)
    assert len([text for text in _texts(any_ctx) if text]) == 2
    _posts(any_ctx, "x", 4)
    taken = exports.take(any_ctx, SYSTEM, Filters())
    assert [bool(row["text"]) for row in taken.rows] == [True, False, False, False], "one was left of the three"
    withheld = taken.rows[-1]
    assert (withheld["url"], withheld["author"], withheld["withheld"]) == ("", "", "yes")
    assert withheld["external_id"].startswith("x"), "ids may leave"
    assert taken.words.startswith("Only ids of 3 of X")
    clock.forward(days=1)
    assert len([text for text in _texts(any_ctx) if text]) == 3


def test_what_may_not_leave_at_all_does_not(ctx: Context) -> None:
    _posts(ctx, "youtube", 2)
    _posts(ctx, "nobody-knows", 1)
    assert _texts(ctx) == ["", "", ""]


def test_attribution_goes_with_the_words(ctx: Context) -> None:
    _posts(ctx, "stackexchange", 1)
    (row,) = exports.take(ctx, SYSTEM, Filters()).rows
    assert (row["attribution"], row["url"]) == ("Björk on Stack Exchange, CC BY-SA", "https://x.example/0")


def test_the_filters_hold_and_the_audit_trail_tells(ctx: Context) -> None:
    _posts(ctx, "hackernews", 3)
    assert len(exports.take(ctx, SYSTEM, Filters(search="2")).rows) == 1
    assert look(ctx, "SELECT count(*) FROM audit WHERE action = 'downloaded'") == [(1,)]
    with pytest.raises(NotAllowed):
        exports.take(ctx, replace(SYSTEM, role=Role.VIEWER), Filters())
