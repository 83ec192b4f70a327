"""What we sent a platform does not come back to people in its words, however it repeats it."""

from __future__ import annotations

import base64
import traceback
from collections.abc import Iterator
from datetime import date

import pytest

from listeners.base import Answering, Capability, CredentialField, Health, Mode, Page, Query, Terminal, Transient
from listeners.discreet import HIDDEN, discreet

TOKEN = "tok-3n-very-secret"
ACME = Capability(
    platform="acme", title="Acme", answering=Answering.HAND_OFF, answering_rule="Not at all.",
    checked_on=date(2026, 11, 1), modes=(Mode("all", "All", ""),),
    credentials=(CredentialField("user", "User", secret=False), CredentialField("token", "Token")),
)  # fmt: skip
BASIC = base64.b64encode(f"jane:{TOKEN}".encode()).decode()


class Acme:
    capability = ACME

    def check(self) -> Health:
        return Health(False, f"Acme does not know {TOKEN}.")

    def fetch(self, query: Query, cursor: dict[str, object]) -> Iterator[Page]:
        yield Page([], {"at": 1})
        try:
            raise ValueError(f"Authorization: Basic {BASIC}")
        except ValueError as error:
            raise Terminal(f"Acme refuses '{TOKEN}'.", f"Enter another one than {TOKEN}.") from error

    def parse(self, answer: bytes) -> list[object]:
        raise Transient("jane")


def test_neither_an_error_nor_what_led_to_it_nor_a_check_repeats_a_secret() -> None:
    acme = discreet(Acme(), ACME, {"user": "jane", "token": TOKEN})  # type: ignore[arg-type]
    assert acme.check().words == f"Acme does not know {HIDDEN}."
    pages = acme.fetch(Query("x"), {})
    assert next(pages).cursor == {"at": 1}, "what was read before stays read"
    with pytest.raises(Terminal) as caught:
        next(pages)
    told = "".join(traceback.format_exception(caught.value))
    assert (str(caught.value), caught.value.what_to_do) == (
        f"Acme refuses '{HIDDEN}'.", f"Enter another one than {HIDDEN}.",
    )  # fmt: skip
    assert TOKEN not in told
    assert BASIC not in told
    with pytest.raises(Transient, match="jane"):
        acme.parse(b"")


def test_a_word_that_anybody_says_is_left_where_it_stands() -> None:
    acme = discreet(Acme(), ACME, {"user": "jane", "token": "refuses"})  # type: ignore[arg-type]
    with pytest.raises(Terminal, match="Acme refuses"):
        list(acme.fetch(Query("x"), {}))
