"""No listener waits in a worker, and no client library does so for it: whatever sleeps here fails its test.

A wait is `Transient(retry_after)`, which the worker plans. The tests' own servers may sleep, and Python's library may.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import listeners

ROOM = str(Path(listeners.__file__).parent)
CLIENTS = ("atproto", "feedparser", "httpcore", "httpx", "praw", "requests", "tweepy", "urllib3")
"""What listeners ask platforms with; prawcore and atproto's parts begin with the same letters."""


@pytest.fixture(autouse=True)
def _nobody_sleeps(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    sleep, slept = time.sleep, []

    def refused(seconds: float) -> None:
        asked_by = sys._getframe(1).f_code.co_filename
        library = asked_by.rpartition("site-packages/")[2]
        if asked_by.startswith(ROOM) or (library != asked_by and library.startswith(CLIENTS)):
            slept.append(f"{asked_by} slept {seconds} s")
            raise AssertionError(slept[-1])
        sleep(seconds)

    monkeypatch.setattr(time, "sleep", refused)
    yield
    assert not slept, "it was caught, and would have held up a worker"
