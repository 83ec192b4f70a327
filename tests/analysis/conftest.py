from __future__ import annotations

import os
from pathlib import Path

import pytest

from analysis.bundled import Bundled
from analysis.topics import default_topics

SHARED = Path(os.environ.get("TRAINING_DATA", Path(__file__).parents[3] / "shared" / "data"))


@pytest.fixture(scope="session")
def analyser() -> Bundled:
    """The built-in analyser with the default taxonomy, opened once."""
    return Bundled(default_topics(), threads=1)


@pytest.fixture(scope="session")
def research_data() -> Path:
    """The research sets, which are not part of the repository."""
    if not (SHARED / "sentiment" / "tweets-en").is_dir():
        pytest.skip(f"the research sets are not at {SHARED}; TRAINING_DATA says where they are")
    return SHARED
