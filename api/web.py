"""Puts the web process together: the routes beside the dashboard, the gate's table, the gate."""

from __future__ import annotations

from starlette.middleware import Middleware
from starlette.routing import BaseRoute

from api import gate, hooks, monitoring, oauth, rest, sign_in, uploads
from api.gate import Door, Gate
from api.site import Site


def doors(site: Site) -> tuple[Door, ...]:
    """The whole table, ours first."""
    return (
        *sign_in.DOORS,
        *monitoring.DOORS,
        *rest.DOORS,
        *hooks.DOORS,
        *oauth.DOORS,
        *uploads.DOORS,
        *gate.STREAMLIT,
        *gate.page_doors(site.pages),
    )


def routes(site: Site) -> list[BaseRoute]:
    """Every route of ours."""
    return [
        *sign_in.SignIn(site).routes(),
        *monitoring.Monitoring(site).routes(),
        *rest.Rest(site).routes(),
        *hooks.Hooks(site).routes(),
        *oauth.OAuth(site).routes(),
        *uploads.Uploads(site).routes(),
    ]


def middleware(site: Site) -> list[Middleware]:
    """The gate, which goes before everything."""
    return [Middleware(Gate, site=site, doors=doors(site))]
