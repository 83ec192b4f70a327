"""Notes: what was pasted becomes one note a line, or one a paragraph."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listeners import __main__ as command_line
from listeners import notes, registry
from listeners.base import MAX_TEXT, Kind, Options, Post, Query, Rejected, Terminal
from tests.listeners import contract
from tests.listeners.contract import Rig
from tests.listeners.test_webhook import Silent


def test_the_contract_as_far_as_it_fits_what_is_typed() -> None:
    raw = [b"The hinge squeaks\nThe lid sticks", "Grüße vom Kunden\r\n\r\nZweite".encode()]
    rig = Rig(registry.open("note", {}, Options()), Silent(), Query(""), raw=raw)
    contract.check_powers_are_tested(rig, object)
    contract.check_capability_is_complete(rig)
    contract.check_parse_is_pure(rig)
    contract.check_parse_is_total(rig)
    contract.check_check_says_something(rig)
    with pytest.raises(Terminal):
        next(rig.listener.fetch(Query(""), {}))


@pytest.mark.parametrize(
    ("pasted", "parts"),
    [
        ("one", ["one"]),
        ("one\ntwo\n", ["one", "two"]),
        ("one\nstill one\n\ntwo", ["one\nstill one", "two"]),
        ("\r\n one \r\n \t \r\n\r\n two\r\n", ["one", "two"]),
        ("", []),
        (" \n \n", []),
    ],
)
def test_what_was_pasted_is_split_where_a_reader_would(pasted: str, parts: list[str]) -> None:
    assert notes.split(pasted) == parts


@given(st.text())
def test_no_word_is_lost_by_splitting(pasted: str) -> None:
    from listeners.base import clean

    assert "".join("".join(part.split()) for part in notes.split(pasted)) == "".join(clean(pasted).split())


def test_a_note_that_is_too_long_costs_its_neighbours_nothing() -> None:
    found = notes.Notes().parse(b"x" * (MAX_TEXT + 1) + b"\ngood")
    assert isinstance(found[0], Rejected)
    assert isinstance(found[1], Post)
    assert found[1].kind is Kind.NOTE


def test_notes_teach_no_model() -> None:
    assert not registry.capability("note").trainable


def test_the_command_line_reads_notes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("The hinge squeaks\nThe lid sticks\n")
    assert command_line.main(["parse", "note", str(path)]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["text"] for line in lines] == ["The hinge squeaks", "The lid sticks"]
    path.write_bytes(b"\xff\xfe\xfd")
    assert command_line.main(["parse", "note", str(path)]) == 2
