from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from analysis import AnalysisError, Topic, analyser_names, open_analyser, registry


class Shouting:
    """An analyser as another package would bring it."""

    model = "shouting 1"

    def __init__(self, topics: Sequence[Topic], threads: int | None) -> None:
        self.topics, self.threads = topics, threads

    def tags(self, texts: Sequence[str]) -> list[object]:
        return []


def installed(monkeypatch: pytest.MonkeyPatch, *points: EntryPoint) -> None:
    monkeypatch.setattr(registry, "entry_points", lambda group: [point for point in points if point.group == group])


def test_analysers_of_other_packages_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(
        monkeypatch,
        EntryPoint("shouting", f"{__name__}:Shouting", "samtal.analysers"),
        EntryPoint("stranger", f"{__name__}:Shouting", "something.else"),
    )
    assert analyser_names() == ["bundled", "shouting"]
    topics = [Topic("A", ("a",))]
    opened = open_analyser(topics, threads=2, name="shouting")
    assert opened.model == "shouting 1"
    assert (opened.topics, opened.threads) == (topics, 2)  # type: ignore[attr-defined]


def test_an_unknown_analyser_names_the_known(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch)
    with pytest.raises(AnalysisError, match="no analyser called 'gpt'; installed are: bundled"):
        open_analyser(name="gpt")


def test_a_package_that_cannot_be_imported_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, EntryPoint("broken", "no_such_package_here:Thing", "samtal.analysers"))
    with pytest.raises(AnalysisError, match="'broken' .*cannot be loaded"):
        open_analyser(name="broken")


def test_importing_the_room_loads_no_library() -> None:
    heavy = "{'onnxruntime', 'transformers', 'tokenizers', 'py3langid', 'numpy'}"
    code = f"import sys, analysis; analysis.default_topics; print(sorted({heavy} & set(sys.modules)))"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert answer.stdout.strip() == "[]"
