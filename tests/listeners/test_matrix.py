"""docs/contract.md speaks of the checks, the faults and the listeners that there are."""

from __future__ import annotations

import re

from tests.listeners import matrix
from tests.listeners.faults import FAULTS


def _rows(title: str) -> list[list[str]]:
    part = matrix.PAGE.read_text(encoding="utf-8").split(f"## {title}\n")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines() if line.startswith("|")]
    return [row for row in rows if not re.fullmatch(r":?-+:?", row[0])]


def test_every_check_and_every_fault_has_its_row() -> None:
    checks = [row[0] for row in _rows("The contract")[1:]]
    assert checks == [name.removeprefix("test_").replace("_", " ") for name in matrix.CHECKS]
    assert [row[0] for row in _rows("What may go wrong")[1:]] == [fault.name for fault in FAULTS]


def test_every_listener_that_speaks_http_meets_every_fault() -> None:
    head, *rows = _rows("What may go wrong")
    asked = {path.stem.removeprefix("test_") for path in matrix.PAGE.parents[1].glob("tests/listeners/test_*.py")
             if "FaultsContract" in path.read_text(encoding="utf-8")}  # fmt: skip
    asked -= {"matrix"}
    assert {name.replace(" ", "_") for name in head[1:]} == asked
    assert all(cell == "●" for row in rows for cell in row[1:]), "a fault that some listener does not meet"


def test_outcomes_make_the_tables() -> None:
    page = matrix.page({"acme": {"test_cursors_are_json", "451"}, "other": {"451"}})
    assert "| cursors are json | ● |" in page
    assert "| 451 | ● | ● |" in page
    assert "| 404 |  |  |" in page
