"""Every benchmark in turn, each in a process of its own: `python -m benchmarks [NAME …]`.

Standard output holds JSON lines and nothing else, one or more a benchmark. Why one cannot run, or which promise it
broke, stands on standard error; the whole then ends with 1, unless the reason begins with "skipped: ".
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[1]
MODULES = {
    "tagging": "tagging_throughput: texts a second against transformers.pipeline",
    "analyser": "tagging_…: one text alone, growth with length, two workers, memory, first tag",
    "ingest": "ingest_rate: rows a second against a bare upsert",
    "inbox": "inbox_page_p95: milliseconds at 100,000 mentions against one keyset SELECT",
    "themes": "themes_50k: seconds and megabytes of a search among 50,000 mentions against the promise; its quality",
    "page_rerun": "page_rerun: milliseconds of a click on the inbox against an empty page",
    "real_network": "post_to_inbox, asked and streamed: seconds on a real network against its own search",
}
"""Each module with what it measures."""
SKIPPED = "skipped: "


def main(names: Sequence[str]) -> int:
    """Runs them; returns the exit status."""
    unknown = sorted(set(names) - set(MODULES))
    if unknown:
        print(f"There is no benchmark called {unknown[0]!r}. There are: {', '.join(MODULES)}.", file=sys.stderr)
        return 2
    broken = [name for name in names or MODULES if not run(name)]
    if broken:
        print(f"Not as promised, or not run: {', '.join(broken)}.", file=sys.stderr)
    return 1 if broken else 0


def run(name: str) -> bool:
    """Runs one and passes its lines on; whether it ended well, or was skipped for a reason that it gave."""
    print(f"{name} ({MODULES[name]}) …", file=sys.stderr, flush=True)
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", f"benchmarks.{name}"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    assert process.stdout is not None
    assert process.stderr is not None
    said: list[str] = []
    listening = threading.Thread(target=_pass_on, args=(process.stderr, said))
    listening.start()
    lines = 0
    for line in process.stdout:
        lines += _is_json(line)
        print(line, end="", file=sys.stdout if _is_json(line) else sys.stderr, flush=True)
    code = process.wait()
    listening.join()
    print(f"{name} took {time.monotonic() - began:.0f} s.", file=sys.stderr, flush=True)
    if code == 0 and lines:
        return True
    if any(line.startswith(SKIPPED) for line in said):
        return True
    print(f"{name} ended with {code} and {lines} lines.", file=sys.stderr, flush=True)
    return False


def _pass_on(stream: IO[str], said: list[str]) -> None:
    for line in stream:
        said.append(line)
        print(line, end="", file=sys.stderr, flush=True)


def _is_json(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
