"""The web process: the dashboard behind the gate, the routes beside it, and a worker. No feature lives here.

`python app.py` starts it with this project's settings; `streamlit run app.py` starts it with Streamlit's.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import os
import re
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import streamlit as st
from streamlit.file_util import get_static_dir

import settings as configuration
from api import web, worker_process
from api.site import Site
from dialogue import accounts, backup, sources, start
from dialogue.context import SYSTEM, DialogueError

HERE = Path(__file__).parent
STARTED = float(os.environ.get("SAMTAL_STARTED", time.time()))
"""When the start began, as run.py says; seconds since 1970."""


def _script_hashes() -> tuple[str, ...]:
    """CSP sources of the scripts inside Streamlit's page, so that no other inline script runs."""
    page = (Path(get_static_dir()) / "index.html").read_text("utf-8")
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digests = (hashlib.sha256(script.encode()).digest() for script in scripts)
    return tuple(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)


def _site(settings: configuration.Settings) -> Site:
    return Site(
        ctx=start.context(settings),
        host=settings.host,
        port=settings.port,
        public_url=settings.public_url,
        pages=frozenset(page.stem for page in (HERE / "pages").glob("[a-z]*.py")),
        script_hashes=_script_hashes(),
    )


@asynccontextmanager
async def _lifespan(_: st.App) -> AsyncIterator[None]:
    logging.basicConfig(level=SETTINGS.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    async with AsyncExitStack() as stack:
        stack.enter_context(backup.in_use(SITE.ctx.data_dir))
        start.prepare(SITE.ctx)
        if SETTINGS.start_worker:
            command = worker_process.worker_command(HERE)
            await stack.enter_async_context(worker_process.running(command, SITE.ctx.data_dir))
        _say_hello()
        asking = asyncio.get_running_loop().run_in_executor(None, _say_what_waits)
        yield
        await asking
    SITE.ctx.database.dispose()


def _say_hello() -> None:
    # Streamlit's own words on where it listens: `streamlit run` may have been told otherwise than our settings.
    site = replace(SITE, host=st.get_option("server.address") or SITE.host, port=st.get_option("server.port"))
    lines = [f"Samtal is ready at {site.address} (after {time.time() - STARTED:.1f} s)."]
    link = accounts.first_link(SITE.ctx)
    if link is not None:
        lines.append(f"Sign in for the first time with this one-time link: {site.link(link)}")
    print("\n".join(["", *lines, "Ctrl-C stops it; nothing is lost.", ""]), flush=True)


def _say_what_waits() -> None:
    """Names the platforms that cannot listen yet. Beside the start, since it loads every platform's library."""
    known = {account.platform for account in sources.accounts(SITE.ctx, SYSTEM)}
    platforms = sources.platforms(SITE.ctx)
    waiting = [one.title for one in platforms if one.key_needed and one.platform not in known]
    if waiting:
        free = ", ".join(one.title for one in platforms if not one.key_needed)
        print(f"Needs no key: {free}. Waits for a key: {', '.join(waiting)} (page Sources).\n", flush=True)


def _port_problem(settings: configuration.Settings) -> str | None:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            return f"{settings.host}:{settings.port} cannot be used: {error.strerror}. Choose another one with PORT=…"
    return None


def _end(message: str) -> None:
    print(f"samtal: {message}", file=sys.stderr)
    raise SystemExit(1)


try:
    SETTINGS = configuration.load()
    SITE = _site(SETTINGS)
except (configuration.SettingsError, start.StartError) as error:
    _end(str(error))

app = st.App(HERE / "dashboard.py", routes=web.routes(SITE), middleware=web.middleware(SITE), lifespan=_lifespan)

if __name__ == "__main__":
    problem = _port_problem(SETTINGS)
    if problem:
        _end(problem)
    try:
        with backup.in_use(SITE.ctx.data_dir):
            start.prepare(SITE.ctx)
    except DialogueError as error:
        _end(str(error))
    with suppress(KeyboardInterrupt):  # the server has stopped by then: this is how it says that it was asked to
        app.run(
            config={
                "server.address": SETTINGS.host,
                "server.port": SETTINGS.port,
                "logger.hideWelcomeMessage": True,
            }
        )
    print("Samtal has stopped.", flush=True)
