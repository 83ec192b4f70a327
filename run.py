"""Makes Samtal's environment once and starts it: `python3 run.py`. Needs nothing but Python 3.11 or newer.

python3 run.py                the dashboard and a worker
python3 run.py install        only the environment
python3 run.py install dev    the environment with what tests and linters need
"""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

HERE = Path(__file__).resolve().parent
VENV = HERE / ".venv"
NEWEST_FIRST = ["python3.14", "python3.13", "python3.12", "python3.11"]


def main(arguments: "list[str]") -> None:
    os.environ.setdefault("SAMTAL_STARTED", str(time.time()))
    if arguments not in ([], ["install"], ["install", "dev"]):
        end("usage: python3 run.py [install [dev]]")
    if sys.version_info < (3, 11):
        go_on_with_a_newer_python(arguments)
    os.chdir(HERE)
    install("requirements-dev.txt" if arguments[1:] == ["dev"] else "requirements.txt")
    if not arguments:
        python = venv_python()
        os.execv(python, [python, "app.py"])


def go_on_with_a_newer_python(arguments: "list[str]") -> None:
    for name in NEWEST_FIRST:
        found = shutil.which(name)
        if found and works(found):  # a version manager puts names on the PATH that lead nowhere
            os.execv(found, [found, str(Path(__file__).resolve()), *arguments])
    end("Python 3.11 or newer is needed, and this is {}.{}. Install one and start again.".format(*sys.version_info[:2]))


def install(requirements: str) -> None:
    """Installs the pinned packages, unless exactly these were installed before."""
    stamp = VENV / "installed.txt"
    wanted = fingerprint(requirements)
    if runs() and stamp.is_file() and wanted in stamp.read_text("utf-8").split():
        return
    print("Installing Samtal's packages. This happens once and takes a few minutes.", flush=True)
    began = time.time()
    if not runs():
        make_venv()
    run = subprocess.run(
        [venv_python(), "-m", "pip", "install", "-qq", "--disable-pip-version-check", "-r", requirements]
    )
    if run.returncode:
        end("The packages could not be installed; the lines above say why. Nothing was started.")
    lines = [wanted]
    if requirements == "requirements-dev.txt":
        lines.append(fingerprint("requirements.txt"))  # the development packages hold these, too
    stamp.write_text("\n".join(lines) + "\n", "utf-8")
    print(f"Installed in {time.time() - began:.0f} s.", flush=True)


def fingerprint(requirements: str) -> str:
    """Changes with what is to be installed and with the Python that it is installed for."""
    known = hashlib.sha256("{}.{}".format(*sys.version_info[:2]).encode())
    for name in sorted({"requirements.txt", requirements}):
        known.update(name.encode() + (HERE / name).read_bytes())
    return known.hexdigest()


def make_venv() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", str(VENV)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if done.returncode:
        last = done.stdout.decode("utf-8", "replace").strip().splitlines()[-1:]
        end(
            f"{VENV} cannot be made ({last[0] if last else done.returncode}). "
            "On Debian and Ubuntu: apt-get install python3-venv"
        )


def venv_python() -> str:
    return str(VENV / "bin" / "python")


def runs() -> bool:
    """Whether the environment is there and of this Python; one that was moved or lost its Python is made anew."""
    return works(venv_python(), "assert sys.version_info[:2] == {}".format(tuple(sys.version_info[:2])))


def works(python: str, check: str = "assert sys.version_info >= (3, 11)") -> bool:
    try:
        done = subprocess.run(
            [python, "-c", "import sys; " + check], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    except OSError:
        return False
    return done.returncode == 0


def end(message: str) -> NoReturn:
    sys.stderr.write(f"samtal: {message}\n")
    sys.exit(1)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        end("Stopped before it began. Start it again to go on.")
