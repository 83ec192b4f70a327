"""`python -m tests.listeners.matrix`: runs the contract and the faults on every listener and writes docs/contract.md.

The tables are what passed in that run, and nothing is written when anything failed.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import pytest

from tests.listeners.contract import (
    AnswersAnewContract,
    AnswersContract,
    DeletesContract,
    EditsContract,
    ListenerContract,
    LooksBackContract,
    NetworkContract,
)
from tests.listeners.faults import FAULTS
from tests.listeners.stream_contract import StreamsContract

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "contract.md"
CONTRACTS = (
    ListenerContract,
    NetworkContract,
    AnswersContract,
    AnswersAnewContract,
    DeletesContract,
    EditsContract,
    LooksBackContract,
    StreamsContract,
)
CHECKS = tuple(dict.fromkeys(name for one in CONTRACTS for name in vars(one) if name.startswith("test_")))
LEFT_OUT = ("test_contract.py", "test_stream_contract.py", "test_matrix.py")
"""The suites' own tests of themselves."""

HEAD = """# What every listener is held to

Made by `python -m tests.listeners.matrix`, which runs all of it: ● passed, blank where a listener has no such power or,
for faults, speaks no HTTP. A platform with several ways to listen is tested in each; the mark stands for all of them.
What each line means, the tests say: [`contract.py`](../tests/listeners/contract.py),
[`stream_contract.py`](../tests/listeners/stream_contract.py) and [`faults.py`](../tests/listeners/faults.py) in
`tests/listeners`. Each check is shown to be able to fail by a listener that is broken in just that way
(`test_contract.py`, `test_stream_contract.py`).
"""


class Outcomes:
    """A pytest plugin that remembers which check of which listener passed."""

    def __init__(self) -> None:
        self.passed: defaultdict[str, set[str]] = defaultdict(set)
        self.failed: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        file, _, rest = report.nodeid.partition("::")
        check = rest.rpartition("::")[2]
        name = check.partition("[")[0]
        if report.failed:
            self.failed.append(report.nodeid)
        elif report.when == "call" and report.passed and (name in CHECKS or name == "test_fault"):
            platform = Path(file).stem.removeprefix("test_")
            self.passed[platform].add(check.removeprefix("test_fault[").removesuffix("]") if "[" in check else check)


def table(title: str, rows: list[tuple[str, str]], passed: dict[str, set[str]]) -> str:
    """A Markdown table; `rows` are (what is looked up, what is shown)."""
    platforms = sorted(name for name, found in passed.items() if any(key in found for key, _ in rows))
    lines = [f"\n## {title}\n", "| | " + " | ".join(name.replace("_", " ") for name in platforms) + " |"]
    lines.append("| --- |" + " :-: |" * len(platforms))
    for key, shown in rows:
        lines.append(f"| {shown} | " + " | ".join("●" if key in passed[one] else "" for one in platforms) + " |")
    return "\n".join(lines) + "\n"


def page(passed: dict[str, set[str]]) -> str:
    """docs/contract.md for these outcomes."""
    checks = [(name, name.removeprefix("test_").replace("_", " ")) for name in CHECKS]
    faults = [(fault.name, fault.name) for fault in FAULTS]
    return HEAD + table("The contract", checks, passed) + table("What may go wrong", faults, passed)


def files() -> list[Path]:
    """The listeners' test files that take on a contract."""
    found = sorted(Path(__file__).parent.glob("test_*.py"))
    return [path for path in found if path.name not in LEFT_OUT and "Contract" in path.read_text(encoding="utf-8")]


def main() -> int:
    outcomes = Outcomes()
    names = " or ".join(["test_fault", *CHECKS])
    pytest.main([*map(str, files()), "-k", names, "-q", "-p", "no:randomly"], plugins=[outcomes])
    if outcomes.failed:
        print(f"{len(outcomes.failed)} failed; {PAGE.name} stays as it is", file=sys.stderr)
        return 1
    PAGE.write_text(page(outcomes.passed), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
