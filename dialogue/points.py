"""Named points at which a test can kill the process, to prove that whatever was under way heals.

SAMTAL_CHAOS_POINT="deliver.claimed" kills it the first time that it gets there, "deliver.claimed:3" the third time.
Unset, which it always is outside such tests, a point does nothing.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

_ASKED, _, _TIME = os.environ.get("SAMTAL_CHAOS_POINT", "").partition(":")
_times: Counter[str] = Counter()


def reached(name: str) -> None:
    """Kills this process if the environment asked for it here."""
    if not _ASKED or name != _ASKED:
        return
    _times[name] += 1
    if _times[name] == int(_TIME or 1):
        os.kill(os.getpid(), signal.SIGKILL)
