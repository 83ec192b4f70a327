"""The real web process with its real worker: refused at every door, stopped without loss, killed without an orphan."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.api.test_sign_in import fields
from tests.api.test_worker_process import eventually

ROOT = Path(__file__).parents[2]
PASSWORD = "correct horse battery"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Samtal:
    """A started Samtal; `output` is what it printed until it was ready."""

    def __init__(self, data_dir: Path) -> None:
        self.port = free_port()
        self.base = f"http://localhost:{self.port}"
        environment = {**os.environ, "DATA_DIR": str(data_dir), "PORT": str(self.port), "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "app.py"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self.output = ""
        for line in self.process.stdout:
            self.output += line
            if "Ctrl-C" in line:
                return
        pytest.fail(f"it did not start: {self.output}")

    @property
    def link(self) -> str:
        found = re.search(r"http\S+/welcome\?link=\w+", self.output)
        assert found, self.output
        return found[0]

    def worker(self) -> psutil.Process | None:
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.process.pid).children():
                if "worker.py" in " ".join(child.cmdline()):
                    return child
        return None

    def beating(self) -> psutil.Process:
        """The worker, once it says that it lives."""
        eventually("a worker beats", lambda: httpx.get(self.base + "/healthz").status_code == 200, 60)
        worker = self.worker()
        assert worker is not None
        return worker

    def stop(self) -> str:
        self.process.send_signal(signal.SIGINT)
        rest, _ = self.process.communicate(timeout=60)
        return rest

    def signed_in(self) -> httpx.Client:
        client = httpx.Client(base_url=self.base)
        form = fields(client.get(self.link).text)
        form |= {"name": "Ada", "username": "ada", "password": PASSWORD, "again": PASSWORD}
        assert client.post("/welcome", data=form, headers={"Origin": self.base}).status_code == 303
        return client

    def again(self) -> httpx.Client:
        """Ada's browser on another day; the first time, she makes her account."""
        if "Samtal is ready" in httpx.get(self.base + "/sign-in").text:
            return self.signed_in()
        client = httpx.Client(base_url=self.base)
        form = fields(client.get("/sign-in").text) | {"username": "ada", "password": PASSWORD}
        assert client.post("/sign-in", data=form, headers={"Origin": self.base}).status_code == 303
        return client


@pytest.fixture(scope="module")
def samtal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Samtal]:
    started = Samtal(tmp_path_factory.mktemp("app"))
    yield started
    if started.process.poll() is None:
        started.process.kill()
    started.process.communicate()


def alive(process: psutil.Process) -> bool:
    return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)


def handshake(samtal: Samtal, **headers: str) -> int:
    """The status that opening the dashboard's websocket gives."""
    address = f"ws://localhost:{samtal.port}/_stcore/stream"
    try:
        with connect(address, additional_headers=headers, subprotocols=["streamlit"]):  # type: ignore[list-item]
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


def test_the_real_dashboard_opens_for_who_is_signed_in_only(samtal: Samtal) -> None:
    for path in ("/", "/inbox", "/sources"):
        assert httpx.get(samtal.base + path).status_code == 303, path
    for path in ("/_stcore/health", "/_stcore/host-config", "/static/js/index.js", "/media/x", "/metrics"):
        assert httpx.get(samtal.base + path).status_code == 401, path
    for path in (
        "/_stcore/metrics",
        "/_stcore/agent/openapi.json",
        "/_stcore/script-health-check",
        "/x/_stcore/health",
    ):
        assert httpx.get(samtal.base + path).status_code == 404, path
    assert handshake(samtal, Origin=samtal.base) == 403

    client = samtal.again()
    cookie = f"samtal_session={client.cookies['samtal_session']}"
    assert "Streamlit" in client.get("/inbox").text
    assert client.get("/_stcore/health").text == "ok"
    assert handshake(samtal, Origin=samtal.base, Cookie=cookie) == 101
    assert handshake(samtal, Origin="https://evil.example", Cookie=cookie) == 403
    assert handshake(samtal, Cookie=cookie) == 403
    assert client.get("/_stcore/agent/openapi.json").status_code == 404

    form = fields(client.get("/sign-out").text)
    client.post("/sign-out", data=form, headers={"Origin": samtal.base})
    assert handshake(samtal, Origin=samtal.base, Cookie=cookie) == 403


def test_every_script_in_the_dashboards_page_is_allowed_by_its_policy(samtal: Samtal) -> None:
    answer = samtal.again().get("/")
    scripts = re.findall(r"<script>(.*?)</script>", answer.text, re.DOTALL)
    assert scripts, "the page has no inline script any more: the policy need not name one"
    for script in scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in answer.headers["content-security-policy"]


def test_ctrl_c_stops_web_and_worker_and_the_next_start_prints_the_same_link(tmp_path: Path) -> None:
    first = Samtal(tmp_path)
    worker = first.beating()
    assert "stopped" in first.stop()
    assert first.process.returncode == 0
    assert not alive(worker)
    second = Samtal(tmp_path)
    assert second.link.partition("?")[2] == first.link.partition("?")[2]
    second.stop()


def test_killing_the_web_leaves_no_orphan_and_two_webs_share_a_worker(tmp_path: Path) -> None:
    first = Samtal(tmp_path)
    worker = first.beating()
    second = Samtal(tmp_path)
    assert second.worker() is None
    first.process.kill()
    first.process.communicate()
    eventually("the worker of the killed web ends", lambda: not alive(worker), 40)
    eventually("the other web starts one", lambda: second.worker() is not None, 40)
    second.stop()
