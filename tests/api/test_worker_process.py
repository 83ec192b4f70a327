"""One worker beside the web process, never two, and none that outlives it. Real processes, really killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]

WORKER = """
import os, signal, sys
from pathlib import Path
folder = Path(sys.argv[1])
(folder / f"worker-{os.getpid()}").touch()
def drain(*_):
    (folder / f"drained-{os.getpid()}").touch()
    sys.exit(0)
signal.signal(signal.SIGINT, drain)
sys.stdin.buffer.read()
(folder / f"orphaned-{os.getpid()}").touch()
"""

WEB = """
import asyncio, signal, sys
from pathlib import Path
from api import worker_process
worker_process.ASK_AGAIN = 0.1
folder = Path(sys.argv[1])
async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    async with worker_process.running([sys.executable, str(folder / "worker.py"), str(folder)], folder):
        print("ready", flush=True)
        await stop.wait()
asyncio.run(main())
"""


def eventually(what: str, holds: Callable[[], bool], seconds: float = 20) -> None:
    """Waits until `holds`, and fails with `what` when it does not in time."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not in {seconds} s: {what}"
        time.sleep(0.02)


class Machine:
    """A folder that web processes share, and what is running there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.webs: list[subprocess.Popen[str]] = []
        (folder / "worker.py").write_text(WORKER)

    def web(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", WEB, str(self.folder)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        self.webs.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    def seen(self, kind: str) -> set[int]:
        return {int(path.name.rpartition("-")[2]) for path in self.folder.glob(f"{kind}-*")}

    def alive(self) -> set[int]:
        return {pid for pid in self.seen("worker") if _lives(pid)}

    def one_worker(self) -> int:
        eventually("one worker", lambda: len(self.alive()) == 1)
        return next(iter(self.alive()))


def _lives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    here = Machine(tmp_path)
    yield here
    for web in here.webs:
        if web.poll() is None:
            web.kill()
        web.communicate()
    eventually("no worker is left behind", lambda: not here.alive())


def test_stopping_the_web_lets_the_worker_finish(machine: Machine) -> None:
    web = machine.web()
    worker = machine.one_worker()
    web.send_signal(signal.SIGINT)
    assert web.wait(20) == 0
    assert machine.seen("drained") == {worker}
    assert machine.alive() == set()


def test_killing_the_web_leaves_no_orphan(machine: Machine) -> None:
    web = machine.web()
    worker = machine.one_worker()
    web.kill()
    eventually("the worker ends itself", lambda: not machine.alive())
    assert machine.seen("orphaned") == {worker}


def test_two_webs_share_one_worker_and_the_second_takes_over(machine: Machine) -> None:
    first = machine.web()
    worker = machine.one_worker()
    machine.web()
    machine.web()
    assert machine.alive() == {worker}
    first.kill()
    eventually("another web starts a worker", lambda: len(machine.alive() - {worker}) == 1)
    assert len(machine.seen("worker")) == 2


def test_a_worker_that_dies_is_started_again(machine: Machine) -> None:
    machine.web()
    worker = machine.one_worker()
    os.kill(worker, signal.SIGKILL)
    eventually("another worker", lambda: bool(machine.alive() - {worker}))


def test_a_ctrl_c_in_the_terminal_does_not_reach_the_worker_by_itself(machine: Machine) -> None:
    web = machine.web()
    worker = machine.one_worker()
    assert os.getpgid(worker) != os.getpgid(web.pid)
