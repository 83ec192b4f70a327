"""The model hub on loopback, as far as a checkpoint is fetched from it: what is there, its commit, its files."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class FakeHub:
    """`hub.holds("acme/mood", files)`, `hub.refuses("acme/secret")`, `hub.falls_silent()`; `asked` has the paths."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._files: dict[str, dict[str, bytes]] = {}
        self._gated: set[str] = set()
        self._silent = threading.Event()
        self._stopped = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def holds(self, name: str, files: dict[str, bytes] | Path) -> None:
        """A checkpoint with these files, on the branch `main`."""
        if isinstance(files, Path):
            files = {path.name: path.read_bytes() for path in files.iterdir()}
        self._files[name] = files

    def refuses(self, name: str) -> None:
        """A checkpoint that only some may read."""
        self._gated.add(name)

    def falls_silent(self) -> None:
        """From now on connections are taken and nothing is answered."""
        self._silent.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._http.shutdown()
        self._http.server_close()

    def _handler(hub: Self) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hub.asked.append(self.path)
                if hub._silent.is_set():
                    hub._stopped.wait()
                    return
                status, body, headers = hub._answer(self.path.partition("?")[0].strip("/").split("/"))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            do_HEAD = do_GET

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        return Handler

    def _answer(self, parts: list[str]) -> tuple[int, bytes, dict[str, str]]:
        name = "/".join(parts[2:4] if parts[:2] == ["api", "models"] else parts[:2])
        if name in self._gated:
            return 403, b"{}", {"X-Error-Code": "GatedRepo"}
        files = self._files.get(name)
        if files is None:
            return 404, b"{}", {"X-Error-Code": "RepoNotFound"}
        if parts[:2] == ["api", "models"]:
            if parts[4:] not in ([], ["revision", "main"], ["revision", COMMIT]):
                return 404, b"{}", {"X-Error-Code": "RevisionNotFound"}
            listed = {"id": name, "sha": COMMIT, "siblings": [{"rfilename": file} for file in files]}
            return 200, json.dumps(listed).encode(), {"Content-Type": "application/json"}
        body = files.get("/".join(parts[4:]))
        if body is None:
            return 404, b"", {"X-Error-Code": "EntryNotFound"}
        return 200, body, {"ETag": f'"{hashlib.sha256(body).hexdigest()}"', "X-Repo-Commit": COMMIT}
