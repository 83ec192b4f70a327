"""The gate: every HTTP request and websocket passes here, and what the table does not name does not pass.

The table lists every path with the credential it needs. Streamlit serves its page for any path, so being absent from
the table must mean refusal; a test walks all routes of the real app and fails on one that is not in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any
from urllib.parse import quote

import anyio.to_thread
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.site import ACTOR, SESSION_COOKIE, Site
from dialogue import accounts
from dialogue.context import Actor

READS = frozenset({"GET", "HEAD"})
SMALL_BODY = 64 * 1024
"""Bytes that a form of ours may have."""


class Needs(Enum):
    """The credential that opens a door."""

    NOTHING = "nothing"
    SESSION = "session"
    TOKEN = "token"
    SESSION_OR_TOKEN = "session or token"
    SIGNATURE = "signature"
    """Of the body, which the route checks before anything else: the gate bounds the body, and lets it pass unread."""
    REFUSED = "refused"
    """Nobody comes through: the path exists in Streamlit, and Samtal has no use for it."""


@dataclass(frozen=True, slots=True)
class Door:
    """One line of the table. `path` is a route's template, `page` says that strangers are led to the sign-in.

    `led_to` is where they go on from there in place of `path`, whose query is then in no address of ours.
    """

    path: str
    needs: Needs
    methods: frozenset[str] = READS
    max_body: int = 0
    page: bool = False
    websocket: bool = False
    led_to: str = ""


STREAMLIT: tuple[Door, ...] = (
    Door("/", Needs.SESSION, page=True),
    Door("/index.html", Needs.SESSION, page=True),
    Door("/favicon.png", Needs.SESSION),
    Door("/manifest.json", Needs.SESSION),
    Door("/static/{path:path}", Needs.SESSION),
    Door("/_stcore/stream", Needs.SESSION, websocket=True),
    Door("/_stcore/health", Needs.SESSION, methods=READS | {"OPTIONS"}),
    Door("/_stcore/host-config", Needs.SESSION, methods=READS | {"OPTIONS"}),
    Door("/media/{file_id:path}", Needs.SESSION),
    Door("/component/{path:path}", Needs.SESSION),
    Door("/_stcore/bidi-components/{path:path}", Needs.SESSION),
    # Files come in through /uploads, which keeps them out of this process's memory.
    Door("/_stcore/upload_file/{session_id}/{file_id}", Needs.REFUSED),
    Door("/_stcore/script-health-check", Needs.REFUSED),
    Door("/_stcore/metrics", Needs.REFUSED),
    # Streamlit's own sign-in and its interface for programs: Samtal has its own of both.
    Door("/auth/login", Needs.REFUSED),
    Door("/auth/logout", Needs.REFUSED),
    Door("/oauth2callback", Needs.REFUSED),
    Door("/_stcore/agent/interact", Needs.REFUSED),
    Door("/_stcore/agent/openapi.json", Needs.REFUSED),
    Door("/_stcore/agent/mcp", Needs.REFUSED),
)


def page_doors(pages: frozenset[str]) -> tuple[Door, ...]:
    """A door for each page of the dashboard."""
    return tuple(Door(f"/{name}", Needs.SESSION, page=True) for name in sorted(pages))


class Gate:
    """ASGI middleware, the outermost. Leaves who sent the request in the scope, under `api.site.ACTOR`."""

    def __init__(self, app: ASGIApp, site: Site, doors: Sequence[Door]) -> None:
        self._app = app
        self._site = site
        self._doors = [(compile_path(door.path)[0], door) for door in doors]
        self._csp = _content_security_policy(site)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def door(self, path: str) -> Door | None:
        """The door that a path leads to, the first of the table that fits."""
        return next((door for pattern, door in self._doors if pattern.fullmatch(path)), None)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        guarded = _with_headers(send, self._csp, scope["path"])
        door = self.door(scope["path"])
        refusal = await self._refusal(HTTPConnection(scope), door)
        if refusal is None and door is not None:
            bounded = _Bounded(receive, door.max_body)
            try:
                await self._app(scope, bounded, _watched(guarded, bounded))
            except _TooLarge:
                if bounded.answered:
                    raise
                refusal = _refused(HTTPConnection(scope), 413, "too_large", "This is larger than what is accepted.")
        if refusal is not None:
            await refusal(scope, receive, guarded)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = HTTPConnection(scope)
        door = self.door(scope["path"])
        headers = connection.headers
        fine = (
            door is not None
            and door.websocket
            and self._site.host_allowed(headers.get("host"))
            # A browser sends the session's cookie with any page's websocket: only our own pages may open one.
            and self._site.same_origin(headers.get("origin"), headers.get("host"))
        )
        actor = await self._actor(connection, door.needs) if fine and door else None
        if actor is None:
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "Sign in first."})
            return
        scope[ACTOR] = actor
        await self._app(scope, receive, send)

    async def _refusal(self, connection: HTTPConnection, door: Door | None) -> Response | None:
        """None when the request may pass; its actor then stands in the scope."""
        scope, headers = connection.scope, connection.headers
        if door is None or door.websocket or door.needs is Needs.REFUSED:
            return _refused(connection, 404, "not_found", "There is nothing here.")
        if door.path != "/healthz" and not self._site.host_allowed(headers.get("host")):
            return _refused(
                connection, 421, "wrong_host", "This name is not known here. Set PUBLIC_URL to the address you open."
            )
        if scope["method"] not in door.methods:
            return _refused(connection, 405, "method_not_allowed", "This cannot be done here.", door.methods)
        if door.needs not in {Needs.NOTHING, Needs.SIGNATURE}:
            actor = await self._actor(connection, door.needs)
            if actor is None:
                return _stranger(connection, door)
            scope[ACTOR] = actor
        if scope["method"] not in READS and self._from_elsewhere(connection, door):
            return _refused(connection, 403, "cross_site", "This request came from another site and was refused.")
        if _declared_length(headers.get("content-length")) > door.max_body:
            return _refused(connection, 413, "too_large", "This is larger than what is accepted.")
        return None

    async def _actor(self, connection: HTTPConnection, needs: Needs) -> Actor | None:
        ctx = self._site.ctx
        bearer = _bearer(connection.headers.get("authorization"))
        if bearer is not None and needs in {Needs.TOKEN, Needs.SESSION_OR_TOKEN}:
            return await anyio.to_thread.run_sync(accounts.actor_of_token, ctx, bearer)
        if needs in {Needs.SESSION, Needs.SESSION_OR_TOKEN}:
            return await anyio.to_thread.run_sync(accounts.actor_of, ctx, connection.cookies.get(SESSION_COOKIE))
        return None

    def _from_elsewhere(self, connection: HTTPConnection, door: Door) -> bool:
        """Whether a write may be forged by another site. No browser sends a token or signs on its own."""
        if door.needs in {Needs.TOKEN, Needs.SIGNATURE}:
            return False
        headers = connection.headers
        origin = headers.get("origin")
        if origin is not None:
            return not self._site.same_origin(origin, headers.get("host"))
        return headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}


class _TooLarge(Exception):
    """The body went past the door's bound."""


class _Bounded:
    """Counts what comes in. `answered` is set once the answer has begun."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._left = limit
        self.answered = False

    async def __call__(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise _TooLarge
        return message


def _watched(send: Send, bounded: _Bounded) -> Send:
    async def watched(message: Message) -> None:
        bounded.answered = True
        await send(message)

    return watched


def _bearer(header: str | None) -> str | None:
    scheme, _, token = (header or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _declared_length(header: str | None) -> int:
    return int(header) if header and header.isascii() and header.isdigit() else 0


def _stranger(connection: HTTPConnection, door: Door) -> Response:
    if door.page:
        query = connection.url.query
        wanted = door.led_to or quote(connection.url.path + (f"?{query}" if query else ""), safe="/")
        return RedirectResponse("/sign-in" if wanted == "/" else f"/sign-in?next={wanted}", status_code=303)
    challenge = {"WWW-Authenticate": "Bearer"} if door.needs is not Needs.SESSION else {}
    response = _refused(connection, 401, "unauthorized", f"This needs a {door.needs.value}.")
    response.headers.update(challenge)
    return response


def _refused(
    connection: HTTPConnection, status: int, code: str, message: str, allow: frozenset[str] | None = None
) -> Response:
    headers = {"Allow": ", ".join(sorted(allow))} if allow else None
    if connection.url.path.startswith("/api/"):
        return JSONResponse(error_body(code, message), status_code=status, headers=headers)
    return PlainTextResponse(message + "\n", status_code=status, headers=headers)


def error_body(code: str, message: str) -> dict[str, Any]:
    """How every error of the API looks."""
    return {"error": {"code": code, "message": message}}


def _content_security_policy(site: Site) -> str:
    # No source outside: a picture in somebody's post must not tell its author who read it.
    return "; ".join(
        (
            "default-src 'self'",
            f"script-src 'self' {' '.join(site.script_hashes)} 'wasm-unsafe-eval'",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self'",
            "worker-src 'self' blob:",
            "frame-src 'self'",
            "object-src 'none'",
            "base-uri 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )


def _with_headers(send: Send, csp: str, path: str) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.setdefault("Content-Security-Policy", csp)
            headers.setdefault("X-Content-Type-Options", "nosniff")
            headers.setdefault("X-Frame-Options", "DENY")
            headers.setdefault("Referrer-Policy", "same-origin")
            headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
            headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
            headers.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
            if not path.startswith("/static/"):
                # Charts, exports and pages hold what people said: no cache keeps them.
                headers["Cache-Control"] = "no-store"
        await send(message)

    return guarded
