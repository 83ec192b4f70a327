"""A worker's process for one stream, so that it can be killed: `python -m tests.dialogue.streamer URL MOMENT ID`.

Holds the source on the database at URL, at the given moment, until its standard input closes.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from datetime import datetime
from pathlib import Path

from db.engine import Database
from dialogue import streaming
from dialogue.context import Context
from tests.conftest import PlainSecrets


def main() -> None:
    url, moment, source_id = sys.argv[1:]
    at = datetime.fromisoformat(moment)
    ctx = Context(
        Database(url), Path(tempfile.gettempdir()), PlainSecrets(), allow_private_hosts=True, clock=lambda: at
    )
    stopping = threading.Event()
    reading = threading.Thread(target=streaming.listen, args=(ctx, int(source_id), stopping))
    reading.start()
    sys.stdin.read()
    stopping.set()
    reading.join()


if __name__ == "__main__":
    main()
