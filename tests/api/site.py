"""A web process without a dashboard: our routes, the gate, and one route that stands for each of Streamlit's."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket

from api import web
from api.site import SESSION_COOKIE, Site, actor_in
from dialogue import accounts
from dialogue.context import Actor, Context, Role

PASSWORD = "correct horse battery"
BASE = "http://localhost:8501"


async def _dashboard(request: Request) -> Response:
    return PlainTextResponse(f"dashboard for {actor_in(request).name}")


async def _stream(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("dashboard")
    await socket.close()


def make(ctx: Context, **options: object) -> Starlette:
    """The application around `ctx`."""
    site = Site(ctx, pages=frozenset({"inbox"}), **options)  # type: ignore[arg-type]
    dashboard = [
        WebSocketRoute("/_stcore/stream", _stream),
        Route("/{path:path}", _dashboard, methods=["GET", "POST", "PUT", "DELETE"]),
    ]
    return Starlette(routes=[*web.routes(site), *dashboard], middleware=web.middleware(site))


def browser(ctx: Context, session: str | None = None, **options: object) -> TestClient:
    """Somebody's browser, signed in with `session`."""
    client = TestClient(make(ctx, **options), base_url=BASE, follow_redirects=False)
    if session:
        client.cookies.set(SESSION_COOKIE, session)
    return client


def first_admin(ctx: Context) -> tuple[Actor, str]:
    """Ada and her session."""
    link = accounts.first_link(ctx)
    assert link is not None
    session = accounts.redeem(ctx, link, "ada", "Ada Admin", PASSWORD)
    ada = accounts.actor_of(ctx, session)
    assert ada is not None
    return ada, session


def invited(ctx: Context, admin: Actor, username: str, role: Role) -> tuple[Actor, str]:
    """A colleague and her session."""
    link = accounts.invite(ctx, admin, username, username.title(), role)
    session = accounts.redeem(ctx, link, "", "", PASSWORD)
    actor = accounts.actor_of(ctx, session)
    assert actor is not None
    return actor, session
