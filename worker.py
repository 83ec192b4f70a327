"""The worker process: runs the queue until it is asked to stop. No feature lives here.

`python worker.py` runs one on its own; `--with-parent` makes it end when its standard input closes.
"""

from __future__ import annotations

import logging
import os
import sys
import threading

import settings as configuration
from dialogue import start, understanding
from dialogue.queue import make_huey, work


def main(arguments: list[str]) -> None:
    """Runs until SIGINT or SIGTERM. Ends with 2 and one line when it cannot start."""
    if arguments not in ([], ["--with-parent"]):
        sys.exit("usage: python worker.py [--with-parent]")
    try:
        settings = configuration.load()
        logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        ctx = start.context(settings)
        start.prepare(ctx)
    except (configuration.SettingsError, start.StartError) as error:
        print(f"samtal worker: {error}", file=sys.stderr)
        sys.exit(2)
    understanding.use_threads(settings.analysis_threads)
    if settings.sentiment_model:
        understanding.use_sentiment_model(
            settings.sentiment_model, settings.sentiment_model_revision, settings.sentiment_labels
        )
        threading.Thread(target=understanding.open_early, args=(ctx,), name="model", daemon=True).start()
    work(
        ctx,
        make_huey(settings.database, settings.data_dir),
        threads=settings.worker_threads,
        version=start.VERSION,
        parent=sys.stdin.fileno() if arguments else None,
    )
    ctx.database.dispose()
    sys.stdout.flush()
    # Threads that hang in a platform's answer are not waited for: their leases run out.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
