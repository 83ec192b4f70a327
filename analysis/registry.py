"""Analysers by name: the built-in one, and those of other packages (entry point group "samtal.analysers")."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from typing import cast

from analysis.base import Analyser, AnalysisError, Topic

GROUP = "samtal.analysers"
BUILT_IN = "bundled"

Opener = Callable[[Sequence[Topic], int | None], Analyser]
"""Takes the taxonomy and the number of threads (None: as many as it likes) and returns an analyser."""


def _open_bundled(topics: Sequence[Topic], threads: int | None) -> Analyser:
    from analysis.bundled import Bundled

    return Bundled(topics, threads)


def names() -> list[str]:
    """The analysers that can be opened: the built-in one first, then those of installed packages."""
    return [BUILT_IN, *sorted({point.name for point in entry_points(group=GROUP)} - {BUILT_IN})]


def opener(name: str = BUILT_IN) -> Opener:
    """What opens the analyser called `name`.

    Raises AnalysisError when there is none of that name, or when its package cannot be imported.
    """
    if name == BUILT_IN:
        return _open_bundled
    found = [point for point in entry_points(group=GROUP) if point.name == name]
    if not found:
        raise AnalysisError(f"there is no analyser called {name!r}; installed are: {', '.join(names())}")
    try:
        return cast(Opener, found[0].load())
    except (ImportError, AttributeError) as error:
        raise AnalysisError(f"the analyser {name!r} ({found[0].value}) cannot be loaded: {error}") from error
