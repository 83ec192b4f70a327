"""docs/contract.md is what the matrix prints for the contracts, the faults and the listeners that there are."""

from __future__ import annotations

import importlib

from tests.listeners import contract, matrix, stream_contract
from tests.listeners.faults import FAULTS, FaultsContract


def held_to() -> dict[str, set[str]]:
    """Every check that the listeners' test classes take on, by platform."""
    found: dict[str, set[str]] = {}
    for path in matrix.files():
        module = importlib.import_module(f"tests.listeners.{path.stem}")
        for one in vars(module).values():
            if isinstance(one, type) and one.__module__ == module.__name__:
                found.setdefault(path.stem.removeprefix("test_"), set()).update(_checks(one))
    return {platform: checks for platform, checks in found.items() if checks}


def _checks(tests: type) -> set[str]:
    taken = {name for name in matrix.CHECKS if hasattr(tests, name)}
    return taken | ({fault.name for fault in FAULTS} if issubclass(tests, FaultsContract) else set())


def test_the_page_is_what_the_matrix_prints() -> None:
    assert matrix.PAGE.read_text(encoding="utf-8") == matrix.page(held_to()), (
        "make it anew: python -m tests.listeners.matrix"
    )


def test_every_contract_is_in_the_matrix() -> None:
    contracts = {
        one for module in (contract, stream_contract) for name, one in vars(module).items() if name.endswith("Contract")
    }
    assert contracts == set(matrix.CONTRACTS)


def test_outcomes_make_the_tables() -> None:
    page = matrix.page({"acme": {"test_cursors_are_json", "451"}, "other": {"451"}})
    assert "| cursors are json | ● |" in page
    assert "| 451 | ● | ● |" in page
    assert "| 404 |  |  |" in page
