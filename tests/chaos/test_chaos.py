"""A few kills of each kind; `make chaos` does many. And that the count can tell a doubled answer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def _chaos(*arguments: str) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, "-m", "benchmarks.chaos", *arguments]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert ended.stdout, ended.stderr
    outcome: dict[str, Any] = json.loads(ended.stdout)
    return ended.returncode, outcome


def test_a_few_kills_lose_nothing_and_double_nothing() -> None:
    code, outcome = _chaos("--kills", "6")
    assert (outcome["lost"], outcome["doubled"]) == (0, 0), outcome
    assert outcome["kills"] >= 6
    assert code == 0


def test_the_count_tells_when_an_answer_was_sent_twice() -> None:
    code, outcome = _chaos("--kills", "5", "--careless")
    assert outcome["doubled"] > 0
    assert code == 1
