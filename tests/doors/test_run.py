"""`python3 run.py`: one clear line when it cannot start."""

from __future__ import annotations

import ast
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def start_app(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = {"DATA_DIR": str(tmp_path / "data"), "START_WORKER": "false", **environment}
    return subprocess.run(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=100,
    )


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("samtal: ")
    return lines[0]


def test_a_taken_port(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        line = one_line(start_app(tmp_path, PORT=str(port)))
    assert str(port) in line
    assert "PORT=" in line


def test_a_data_dir_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    line = one_line(start_app(tmp_path, DATA_DIR=str(tmp_path / "file" / "data")))
    assert "DATA_DIR" in line


def test_a_setting_that_cannot_be(tmp_path: Path) -> None:
    assert "PORT" in one_line(start_app(tmp_path, PORT="many"))


def test_a_database_of_an_unknown_kind(tmp_path: Path) -> None:
    assert "DATABASE_URL" in one_line(start_app(tmp_path, DATABASE_URL="mysql://localhost/samtal"))


def test_a_server_database_without_a_secret_key(tmp_path: Path) -> None:
    assert "SECRET_KEY" in one_line(start_app(tmp_path, DATABASE_URL="postgresql://localhost/samtal", SECRET_KEY=""))


def test_any_python_3_can_read_the_launcher() -> None:
    ast.parse((ROOT / "run.py").read_text("utf-8"), feature_version=(3, 6))


def test_a_too_old_python_is_told_in_one_line(tmp_path: Path) -> None:
    code = "import sys; sys.version_info = (3, 9, 1); sys.argv = ['run.py']; import run; run.main([])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert "this is 3.9" in one_line(done)


def test_what_is_installed_already_is_not_installed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import run

    folder = tmp_path / "venv"
    folder.mkdir()
    (folder / "installed.txt").write_text(run.fingerprint("requirements-dev.txt") + "\n")
    monkeypatch.setattr(run, "VENV", folder)
    monkeypatch.setattr(run, "runs", lambda: True)
    asked: list[object] = []
    monkeypatch.setattr(
        run.subprocess, "run", lambda *a, **k: asked.append(a) or subprocess.CompletedProcess(a, 0, b"", b"")
    )
    run.install("requirements-dev.txt")
    assert asked == []
    run.install("requirements.txt")
    assert len(asked) == 1
    run.install("requirements.txt")
    assert len(asked) == 1, "the second start must not install"
