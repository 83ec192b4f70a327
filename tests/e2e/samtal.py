"""Samtal as anybody starts it, in a folder of its own: `python app.py` with its worker, its output kept."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
LONGEST_START = 90.0
LONGEST_STOP = 45.0
"""Seconds; the web process lets its worker finish for 25."""


class Samtal:
    """The web process with the worker beside it. `environment` is added to what it is started with."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.log = folder / "samtal.log"
        self._environment = environment
        self._lines: list[str] = []
        self._told = threading.Condition()
        self._process: subprocess.Popen[str] | None = None
        self._workers: list[psutil.Process] = []
        self.address = ""

    # Life -------------------------------------------------------------------------------------------------------------

    def starts(self) -> None:
        """Starts it and waits until it says that it is ready."""
        own = {
            "DATA_DIR": str(self.folder / "data"),
            "PORT": str(_free_port()),
            "HOST": "127.0.0.1",
            "ALLOW_PRIVATE_HOSTS": "1",
            "LOG_LEVEL": "INFO",
            "PYTHONUNBUFFERED": "1",
        }
        inherited = {name: value for name, value in os.environ.items() if name not in _OURS}
        self._process = subprocess.Popen(
            [sys.executable, "app.py"],
            cwd=ROOT,
            env=inherited | own | self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        threading.Thread(target=self._listen, args=(self._process,), daemon=True).start()
        self.address = self.says(r"Samtal is ready at (\S+)", LONGEST_START)

    def first_link(self) -> str:
        """The one-time link that it printed."""
        return self.says(r"one-time link: (\S+)", 5)

    def stops(self) -> None:
        """Asks it to stop, as Ctrl-C does, and makes sure that nothing of it is left."""
        if self._process is None:
            return
        self.worker()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(LONGEST_STOP)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        _, left = psutil.wait_procs(self._workers, timeout=10)
        for worker in left:
            worker.kill()
        self._process = None
        assert not left, "a worker outlived the web process"

    # What it says and does --------------------------------------------------------------------------------------------

    def says(self, pattern: str, seconds: float = 30.0) -> str:
        """The first group of the first line of its output that fits, waited for. Raises AssertionError."""
        deadline = time.monotonic() + seconds
        with self._told:
            while True:
                for line in self._lines:
                    if found := re.search(pattern, line):
                        return found[1] if found.groups() else found[0]
                left = deadline - time.monotonic()
                alive = self._process is not None and self._process.poll() is None
                if left <= 0 or not alive:
                    raise AssertionError(
                        f"Samtal did not say {pattern!r} within {seconds:.0f} s" + ("" if alive else "; it has ended")
                    )
                self._told.wait(min(left, 0.5))

    def worker(self) -> psutil.Process | None:
        """The worker that runs beside it now."""
        if self._process is None or self._process.poll() is not None:
            return None
        found = next((one for one in psutil.Process(self._process.pid).children() if _is_worker(one)), None)
        if found is not None and found not in self._workers:
            self._workers.append(found)
        return found

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with self.log.open("a", encoding="utf-8") as log:
            for line in process.stdout:
                log.write(line)
                log.flush()
                with self._told:
                    self._lines.append(line)
                    self._told.notify_all()


_OURS = {
    "DATA_DIR", "DATABASE_URL", "HOST", "PORT", "PUBLIC_URL", "SECRET_KEY", "ALLOW_PRIVATE_HOSTS", "WORKER_THREADS",
    "ANALYSIS_THREADS", "START_WORKER", "LOG_LEVEL", "SAMTAL_STARTED", "SAMTAL_CHAOS_POINT",
}  # fmt: skip
"""Settings of whoever runs the tests: none of them reaches this Samtal."""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _is_worker(process: Any) -> bool:
    try:
        return any(part.endswith("worker.py") for part in process.cmdline())
    except psutil.NoSuchProcess:
        return False
