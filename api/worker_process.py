"""Keeps one worker beside this web process, where it runs on one machine.

The worker holds a lock on DATA_DIR/worker.lock for as long as it lives; whoever gets the lock may start one, so two web
processes on one folder share a worker, and a web process started while an orphan still drains waits for it. The worker
has a pipe on its standard input whose other end only this process holds: when this process dies, however it dies, the
pipe closes and the worker ends itself.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

LOCK_FILE = "worker.lock"
ASK_AGAIN = 2.0
"""Seconds between two tries to get the lock."""
DRAIN = 25.0
"""Seconds that a worker may take to finish what it is doing."""
LONGEST_PAUSE = 30.0
"""Seconds at most before a worker that keeps dying is started again."""

_log = logging.getLogger("samtal.web")


@asynccontextmanager
async def running(command: Sequence[str], data_dir: Path) -> AsyncIterator[None]:
    """Keeps `command` running until the block ends, then lets it finish its work."""
    keeper = asyncio.create_task(_keep(command, data_dir), name="worker keeper")
    try:
        yield
    finally:
        keeper.cancel()
        with suppress(asyncio.CancelledError):
            await keeper


def worker_command(folder: Path) -> list[str]:
    """How the worker of this checkout is started."""
    return [sys.executable, str(folder / "worker.py"), "--with-parent"]


def lock(data_dir: Path) -> int | None:
    """A file descriptor that holds the worker's lock, or None when a worker lives."""
    handle = os.open(data_dir / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


async def _keep(command: Sequence[str], data_dir: Path) -> None:
    pause = 1.0
    while True:
        held = lock(data_dir)
        if held is None:
            await asyncio.sleep(ASK_AGAIN)
            continue
        began = asyncio.get_running_loop().time()
        code = await _run(command, held)
        lived = asyncio.get_running_loop().time() - began
        pause = 1.0 if lived > 60 else min(pause * 2, LONGEST_PAUSE)
        _log.warning("The worker ended by itself with code %s; another one starts in %.0f s.", code, pause)
        await asyncio.sleep(pause)


async def _run(command: Sequence[str], held: int) -> int:
    """Runs one worker to its end. Being cancelled lets it drain first."""
    try:
        # Its own process group: a Ctrl-C in the terminal must reach it once, from here, after the web has stopped.
        process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, pass_fds=(held,), process_group=0)
    finally:
        # From here the worker alone holds the lock: it ends with the worker, not with this process.
        os.close(held)
    try:
        return await process.wait()
    except asyncio.CancelledError:
        await _drain(process)
        raise


async def _drain(process: Process) -> None:
    """SIGINT and a bounded wait, a second one for 'now', then the end."""
    for step, patience in ((signal.SIGINT, DRAIN), (signal.SIGINT, 3.0), (signal.SIGKILL, 3.0)):
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.send_signal(step)
        try:
            await asyncio.wait_for(process.wait(), patience)
        except TimeoutError:
            _log.warning("The worker has not finished after %.0f s.", patience)
        else:
            return
