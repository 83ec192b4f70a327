"""What every page is given: the context that dashboard.py wired, and who is looking. Asked anew in each rerun."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path
from urllib.parse import urlsplit

import streamlit as st

from dialogue import accounts, workspace
from dialogue.context import Actor, Context, Role
from pages.parts import text

_factory: Callable[[], Context] | None = None
_cookie = ""


def wire(factory: Callable[[], Context], cookie: str) -> None:
    """Says how the context is made, once a process, and which cookie signs in. dashboard.py calls it first."""
    global _factory, _cookie
    _factory, _cookie = factory, cookie


@st.cache_resource(show_spinner=False)
def ctx() -> Context:
    """The context of this process."""
    if _factory is None:
        raise RuntimeError("pages.parts.context.wire() has not been called")
    return _factory()


def through_the_dashboard() -> None:
    """Makes sure that dashboard.py runs before any page; every page calls this first.

    Until some session has called st.navigation, Streamlit takes the folder pages/ for pages of the old kind and runs
    one without its entry point, when its address is the first that anybody opens after a start.
    """
    if _factory is None:
        folder = Path(__file__).parent.parent
        st.navigation([st.Page(page) for page in sorted(folder.glob("[a-z]*.py"))], position="hidden")
        st.rerun()


def session_token() -> str | None:
    """The sign-in cookie that came with this browser's connection; tests replace this function."""
    value = st.context.cookies.get(_cookie)
    return str(value) if value else None


def actor() -> Actor:
    """Who is looking, read anew: a sign-out or a new role counts in an open tab. Stops the page where nobody is."""
    found = accounts.actor_of(ctx(), session_token())
    if found is None:
        show_signed_out()
        st.stop()
    return found


def may(role: Role) -> bool:
    """Whether the one who looks has `role`. Only hides what would be refused; dialogue checks again."""
    return actor().role >= role


def now() -> datetime:
    """This moment, by the context's clock."""
    return ctx().clock()


def reader_zone() -> tzinfo:
    """The browser's time zone, else the workspace's."""
    return text.zone(st.context.timezone or workspace.get(ctx()).time_zone)


def link_address(token: str) -> str:
    """The whole address of a one-time link, at the address this browser uses."""
    return address(f"/welcome?link={token}")


def address(path: str) -> str:
    """The whole address of one of our paths, at the address this browser uses."""
    here = urlsplit(st.context.url or "")
    return f"{here.scheme}://{here.netloc}{path}" if here.netloc else path


@dataclass(frozen=True, slots=True)
class Scope:
    """What every cached answer depends on besides its own arguments."""

    database: str
    data_version: int
    user_id: int | None
    role: int


def scope(person: Actor) -> Scope:
    """The scope of `person` now."""
    context = ctx()
    return Scope(context.database.url, workspace.get(context).data_version, person.user_id, int(person.role))


def show_signed_out() -> None:
    """The page for somebody whom nobody let in, or not any more."""
    with st.container(key="signed-out", horizontal_alignment="center"):
        st.markdown("### You are signed out")
        st.caption("Your session ended, or was ended from elsewhere. Nothing you saved is lost.")
        # A link_button would open a second tab.
        st.html('<a class="samtal-button" href="/sign-in" target="_self">Sign in</a>')
