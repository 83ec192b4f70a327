"""Recorded and hand-written answers, given over real HTTP by the shared replay server.

with Replaying(recording("praw/TestUser.test_me.json"), written("reddit/ratelimit.json", "POST:/api/comment")) as there:
    ...  # ask there.url
assert there.asked("POST", "/api/comment") == 1
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

import pytest

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"
TOOL = SHARED / "tools" / "replay.py"
FIXTURES = Path(__file__).parent / "fixtures"


def recording(name: str) -> str:
    """The path of a shared recording; skips the test where the recordings are absent."""
    path = SHARED / "recordings" / name
    if not path.exists():
        pytest.skip("the shared recordings are not beside this checkout")
    return str(path)


def written(name: str, at: str = "") -> str:
    """A hand-written fixture: a recording as it is, or with `at` (METHOD:PATH[:STATUS]) a bare body for that place."""
    path = FIXTURES / name
    assert path.exists(), path
    return f"{at}={path}" if at else str(path)


def bodies(path: str) -> list[bytes]:
    """The bodies that a recording answers, without those of signing in."""
    tool = importlib.util.spec_from_file_location("replay", TOOL)
    assert tool is not None and tool.loader is not None
    replay = importlib.util.module_from_spec(tool)
    tool.loader.exec_module(replay)
    return [one["data"] for one in replay.interactions(path) if "access_token" not in one["path"]]


class Replaying:
    """The replay server as a process of its own, and the requests that it was really sent."""

    def __init__(self, *recordings: str) -> None:
        if not TOOL.exists():
            pytest.skip("the shared replay server is not beside this checkout")
        self._process = subprocess.Popen(
            [sys.executable, str(TOOL), "0", *recordings], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{json.loads(self._process.stdout.readline())['port']}"
        self._requests: list[dict[str, Any]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        out = self._process.communicate(timeout=20)[0]
        self._requests = [json.loads(line) for line in out.splitlines()]

    @property
    def requests(self) -> list[dict[str, Any]]:
        """What it was asked: method, path, query, body. To be read once the server has stopped."""
        assert self._requests is not None, "read the requests after the with block"
        return self._requests

    def asked(self, method: str, path: str) -> int:
        """How many requests came with this method and path."""
        return sum(one["method"] == method and one["path"].rstrip("/") == path for one in self.requests)
