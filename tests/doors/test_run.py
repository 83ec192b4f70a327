"""`python3 run.py`: one clear line when it cannot start."""

from __future__ import annotations

import ast
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dialogue import accounts, start
from settings import Settings

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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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
    line = one_line(start_app(tmp_path, DATA_DIR=str(tmp_path / "file" / "samtal" / "data")))
    assert f"data cannot be reached or made in {tmp_path / 'file'}: Not a directory" in line


def test_a_setting_that_cannot_be(tmp_path: Path) -> None:
    assert "PORT" in one_line(start_app(tmp_path, PORT="many"))


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"database_url": "mysql://localhost/samtal"}, "DATABASE_URL"),
        ({"database_url": "postgresql://localhost/samtal", "secret_key": ""}, "SECRET_KEY"),
        ({"secret_key": "short"}, "SECRET_KEY"),
    ],
)
def test_settings_that_do_not_go_together(tmp_path: Path, values: dict[str, Any], named: str) -> None:
    with pytest.raises(start.StartError, match=named):
        start.context(Settings(data_dir=tmp_path, **values))


def test_a_database_of_another_key_is_told_before_anything_runs(tmp_path: Path) -> None:
    first = start.context(Settings(data_dir=tmp_path))
    start.prepare(first)
    first.database.dispose()
    (tmp_path / "secret.key").write_text("another key that is long enough to be one\n")
    assert "another secret key" in one_line(start_app(tmp_path, DATA_DIR=str(tmp_path), PORT=str(free_port())))
    command("dialogue.start", "accept-new-key", data_dir=tmp_path)
    start.prepare(start.context(Settings(data_dir=tmp_path)))


def command(module: str, *arguments: str, data_dir: Path) -> str:
    """What a command of the command line prints."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env={**os.environ, "DATA_DIR": str(data_dir)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_somebody_who_forgot_the_password_is_let_in_from_the_command_line(tmp_path: Path) -> None:
    ctx = start.context(Settings(data_dir=tmp_path))
    start.prepare(ctx)
    first = accounts.first_link(ctx)
    assert first is not None
    accounts.redeem(ctx, first, "ada", "Ada", "correct horse battery")
    printed = command("api.recover", "ada", data_dir=tmp_path)
    token = printed.strip().rpartition("link=")[2]
    accounts.redeem(ctx, token, "", "", "another good one")
    assert accounts.sign_in(ctx, "ada", "another good one", "")


def test_backup_and_restore_from_the_command_line(tmp_path: Path) -> None:
    ctx = start.context(Settings(data_dir=tmp_path / "data"))
    start.prepare(ctx)
    file = str(tmp_path / "copy.tar.gz")
    assert "secret key is not in it" in command("dialogue.backup", "make", file, data_dir=tmp_path / "data")
    assert "Restored 0 mentions" in command("dialogue.backup", "restore", file, data_dir=tmp_path / "data")
    start.prepare(start.context(Settings(data_dir=tmp_path / "data")))


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

    def installs(*command: object, **_: object) -> subprocess.CompletedProcess[bytes]:
        asked.append(command)
        return subprocess.CompletedProcess([], 0, b"", b"")

    monkeypatch.setattr("run.subprocess.run", installs)
    run.install("requirements-dev.txt")
    assert asked == []
    run.install("requirements.txt")
    assert len(asked) == 1
    run.install("requirements.txt")
    assert len(asked) == 1, "the second start must not install"
