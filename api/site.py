"""What every route is given: the context, and how people reach this server."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from dialogue.context import Actor, Context

SESSION_COOKIE = "samtal_session"
"""Holds the session's token. dashboard.py reads it at every rerun."""

ACTOR = "samtal.actor"
"""Where the gate leaves in a request's scope who sent it."""


@dataclass(frozen=True, slots=True)
class Site:
    """`public_url` is the address that people open where a proxy stands in front, without a path."""

    ctx: Context
    host: str = "127.0.0.1"
    port: int = 8501
    public_url: str | None = None
    pages: frozenset[str] = frozenset()
    """Names of the dashboard's pages, as they stand in its addresses."""
    script_hashes: tuple[str, ...] = field(default=())
    """CSP sources of the scripts inside the dashboard's own HTML."""

    @property
    def address(self) -> str:
        """The address to open, without a slash at its end."""
        if self.public_url:
            return self.public_url.rstrip("/")
        shown = "localhost" if self.host in {"0.0.0.0", "::", "127.0.0.1"} else self.host
        return f"http://[{shown}]:{self.port}" if ":" in shown else f"http://{shown}:{self.port}"

    def link(self, token: str) -> str:
        """The address of a one-time link."""
        return f"{self.address}/welcome?link={token}"

    def host_allowed(self, host: str | None) -> bool:
        """Whether a request's Host may be ours.

        A page elsewhere can make its own name point here, and then read our answers as its own. It cannot do so with
        an IP address or 'localhost', so these are fine; any other name must be the one in PUBLIC_URL or HOST.
        """
        name = _host_name(host)
        if name is None:
            return False
        if name == "localhost" or name.endswith(".localhost") or name in self._names():
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def same_origin(self, origin: str | None, host: str | None) -> bool:
        """Whether a request with this Origin comes from one of our own pages."""
        if not origin or origin == "null":
            return False
        parts = urlsplit(origin)
        if parts.scheme not in {"http", "https"}:
            return False
        if host is not None and parts.netloc.lower() == host.lower():
            return True
        return self.public_url is not None and parts.netloc.lower() == urlsplit(self.public_url).netloc.lower()

    def secure(self, connection: HTTPConnection) -> bool:
        """Whether cookies may be kept to https."""
        if self.public_url:
            return self.public_url.lower().startswith("https://")
        return connection.url.scheme in {"https", "wss"}

    def _names(self) -> Iterable[str]:
        names = [self.host.lower()]
        if self.public_url:
            names.append((urlsplit(self.public_url).hostname or "").lower())
        return names


def _host_name(host: str | None) -> str | None:
    if not host:
        return None
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    if parts.username is not None or parts.path or parts.query or parts.fragment:
        return None
    return parts.hostname.rstrip(".").lower() if parts.hostname else None


def actor_in(connection: HTTPConnection) -> Actor:
    """Who sent the request; the gate let nobody else through."""
    actor: Actor = connection.scope[ACTOR]
    return actor
