"""Nothing comes through the gate without the credential that the table asks for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from api import gate, web
from api.gate import Needs
from api.site import Site
from dialogue import accounts
from dialogue.context import Context
from tests.api.site import BASE, browser, first_admin

ROOT = Path(__file__).parents[2]
ORIGIN = {"Origin": BASE}

_WALK = """
import json, sys
from starlette.routing import Mount
import app
def walk(routes, before=""):
    for route in routes:
        path = before + getattr(route, "path", "")
        if isinstance(route, Mount) and route.routes:
            yield from walk(route.routes, path)
        else:
            yield path, type(route).__name__
json.dump([list(walk(app.app._build_starlette_app().routes)), sorted(app.SITE.pages)], sys.stdout)
"""


def test_every_route_of_the_real_app_is_in_the_table(tmp_path: Path) -> None:
    environment = {**os.environ, "DATA_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", _WALK], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    walked, pages = json.loads(done.stdout.splitlines()[-1])
    paths = {path for path, kind in walked if kind != "Mount"}
    mounts = {path for path, kind in walked if kind == "Mount"}
    site = Site(ctx=None, pages=frozenset(pages))  # type: ignore[arg-type]
    table = {door.path for door in web.doors(site)}
    assert {"/_stcore/stream", "/_stcore/health", "/sign-in"} <= paths, "the walk found too little to prove anything"
    assert paths - table == set(), "these routes have no line in the table"
    assert mounts == {""}, "the one mount is Streamlit's page, which answers any path; the table names its paths"
    assert {f"/{page}" for page in pages} <= table


def test_nothing_but_the_sign_in_and_liveness_is_open() -> None:
    site = Site(ctx=None, pages=frozenset({"inbox"}))  # type: ignore[arg-type]
    free = {door.path for door in web.doors(site) if door.needs is Needs.NOTHING}
    assert free <= {"/sign-in", "/welcome", "/healthz"}
    assert all("{" not in path for path in free), "an open door must be one path, not a pattern"


@pytest.mark.parametrize("path", ["/", "/inbox", "/inbox?view=mine&day=2026-11-20"])
def test_a_stranger_who_opens_a_page_is_led_to_the_sign_in(ctx: Context, path: str) -> None:
    answer = browser(ctx).get(path)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/sign-in")
    assert "dashboard" not in answer.text


@pytest.mark.parametrize(
    "path",
    ["/_stcore/health", "/_stcore/host-config", "/media/a.png", "/static/js/index.js", "/component/x", "/favicon.png"],
)
def test_a_stranger_gets_nothing_of_the_dashboard(ctx: Context, path: str) -> None:
    answer = browser(ctx).get(path)
    assert answer.status_code == 401
    assert "dashboard" not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/nonsense",
        "/inbox/",
        "/%2finbox",
        "/inbox/%2e%2e/_stcore/health",
        "/_stcore/agent/mcp",
        "/_stcore/agent/interact",
        "/_stcore/metrics",
        "/_stcore/upload_file/a/b",
        "/auth/login",
        "/healthz%0a",
        "/sign-in%0a",
        "/%2e%2e/etc/passwd",
        "/SIGN-IN",
    ],
)
def test_what_the_table_does_not_name_is_refused_even_to_an_administrator(ctx: Context, path: str) -> None:
    _, session = first_admin(ctx)
    for client in (browser(ctx), browser(ctx, session)):
        answer = client.get(path)
        assert answer.status_code == 404, path
        assert "dashboard" not in answer.text


def test_a_session_opens_the_dashboard_until_it_ends(ctx: Context) -> None:
    _, session = first_admin(ctx)
    client = browser(ctx, session)
    assert client.get("/inbox").text == "dashboard for Ada Admin"
    accounts.sign_out(ctx, session)
    assert client.get("/inbox").status_code == 303


def test_a_token_does_not_open_the_dashboard(ctx: Context) -> None:
    ada, _ = first_admin(ctx)
    token = accounts.create_token(ctx, ada, "reports")
    assert browser(ctx).get("/_stcore/health", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    assert browser(ctx, token).get("/_stcore/health").status_code == 401


def _stream(client: TestClient, headers: dict[str, str]) -> str:
    with client.websocket_connect("/_stcore/stream", headers=headers) as socket:
        return socket.receive_text()


def test_the_websocket_needs_a_session_and_our_own_page(ctx: Context) -> None:
    _, session = first_admin(ctx)
    assert _stream(browser(ctx, session), {"Host": "localhost:8501", **ORIGIN}) == "dashboard"
    for client, headers in [
        (browser(ctx), {"Host": "localhost:8501", **ORIGIN}),
        (browser(ctx, "x" * 43), {"Host": "localhost:8501", **ORIGIN}),
        (browser(ctx, session), {"Host": "localhost:8501"}),
        (browser(ctx, session), {"Host": "localhost:8501", "Origin": "https://evil.example"}),
        (browser(ctx, session), {"Host": "localhost:8501", "Origin": "http://localhost:9999"}),
        (browser(ctx, session), {"Host": "localhost:8501", "Origin": "null"}),
        (browser(ctx, session), {"Host": "evil.example", "Origin": "http://evil.example"}),
    ]:
        with pytest.raises(WebSocketDisconnect) as refused:
            _stream(client, headers)
        assert refused.value.code == 1008


def test_a_websocket_to_another_path_is_refused(ctx: Context) -> None:
    _, session = first_admin(ctx)
    with (
        pytest.raises(WebSocketDisconnect),
        browser(ctx, session).websocket_connect("/sign-in", headers={"Host": "localhost:8501", **ORIGIN}),
    ):
        pytest.fail("the websocket was let in")


def test_the_websockets_path_is_no_page(ctx: Context) -> None:
    _, session = first_admin(ctx)
    assert browser(ctx, session).get("/_stcore/stream").status_code == 404


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "user@localhost", "", "local host", "[::1"])
def test_another_name_for_this_machine_is_refused(ctx: Context, host: str) -> None:
    _, session = first_admin(ctx)
    answer = browser(ctx, session).get("/inbox", headers={"Host": host})
    assert answer.status_code in {400, 421}
    assert "dashboard" not in answer.text


@pytest.mark.parametrize("host", ["localhost", "localhost:8501", "127.0.0.1:8501", "[::1]:8501", "192.0.2.7"])
def test_addresses_and_localhost_are_fine(ctx: Context, host: str) -> None:
    _, session = first_admin(ctx)
    assert browser(ctx, session).get("/inbox", headers={"Host": host}).status_code == 200


def test_the_public_name_is_fine_and_makes_cookies_secure(ctx: Context) -> None:
    _, session = first_admin(ctx)
    client = browser(ctx, session, public_url="https://samtal.example")
    assert client.get("/inbox", headers={"Host": "samtal.example"}).status_code == 200
    assert browser(ctx, session).get("/inbox", headers={"Host": "samtal.example"}).status_code == 421
    answer = browser(ctx, public_url="https://samtal.example").get("/sign-in", headers={"Host": "samtal.example"})
    assert "secure" in answer.headers["set-cookie"].lower()


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_a_form_of_another_site_is_refused(ctx: Context, headers: dict[str, str]) -> None:
    _, session = first_admin(ctx)
    assert browser(ctx, session).post("/sign-out", headers=headers).status_code == 403
    assert browser(ctx).post("/sign-in", headers=headers).status_code == 403
    assert accounts.actor_of(ctx, session) is not None


def test_a_body_past_the_bound_is_refused_declared_or_not(ctx: Context) -> None:
    first_admin(ctx)
    big = b"x" * (gate.SMALL_BODY + 1)
    form = {"Content-Type": "application/x-www-form-urlencoded", **ORIGIN}
    assert browser(ctx).post("/sign-in", content=big, headers=form).status_code == 413
    assert browser(ctx).post("/sign-in", content=iter([big[:1000], big]), headers=form).status_code == 413


def test_a_method_that_a_door_does_not_know_is_refused(ctx: Context) -> None:
    _, session = first_admin(ctx)
    answer = browser(ctx, session).post("/inbox", headers=ORIGIN)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"


def test_every_answer_carries_the_headers_that_protect_it(ctx: Context) -> None:
    _, session = first_admin(ctx)
    for client, path in [(browser(ctx, session), "/inbox"), (browser(ctx), "/sign-in"), (browser(ctx), "/nonsense")]:
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"
    policy = browser(ctx, session).get("/inbox").headers["content-security-policy"]
    assert "unsafe-eval" not in policy.replace("wasm-unsafe-eval", "")
    assert "script-src 'self' 'unsafe-inline'" not in policy
    images = next(part for part in policy.split("; ") if part.startswith("img-src"))
    assert images == "img-src 'self' data: blob:", "a picture elsewhere would tell its owner who reads"


_OPEN = ("/sign-in", "/welcome", "/healthz")
_NEARLY = st.builds(
    "".join,
    st.lists(
        st.sampled_from(
            [
                *_OPEN,
                "/",
                "//",
                "..",
                ".",
                "%2e",
                "_stcore",
                "stream",
                "static",
                "inbox",
                "\n",
                "\x00",
                ";",
                "?",
                "#",
                "\\",
            ]
        ),
        max_size=6,
    ),
)


@given(st.one_of(st.text().map(lambda text: "/" + text), _NEARLY))
def test_no_path_is_open_but_the_three(path: str) -> None:
    site = Site(ctx=None, pages=frozenset({"inbox"}))  # type: ignore[arg-type]
    door = gate.Gate(_nothing, site, web.doors(site)).door(path)
    if path not in _OPEN:
        assert door is None or door.needs is not Needs.NOTHING


async def _nothing(*_: object) -> None:
    raise AssertionError("nothing may come through")
