"""One thread of this process at a time: what outlasts its lease must not be begun again beside itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from dialogue.context import Context

_running: set[tuple[int, str, int]] = set()
_guard = threading.Lock()


@contextmanager
def alone(ctx: Context, kind: str, id_: int) -> Iterator[bool]:
    """False where another thread of this process is at it; other processes are kept out by the lease."""
    key = (id(ctx.database), kind, id_)
    with _guard:
        free = key not in _running
        if free:
            _running.add(key)
    try:
        yield free
    finally:
        if free:
            with _guard:
                _running.discard(key)
