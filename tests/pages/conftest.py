"""The dashboard in AppTest, on a world of its own, seen by somebody who is signed in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dialogue.context import Context, Role
from pages.parts import context
from tests.pages import world

ROOT = Path(__file__).parent.parent.parent
Opened = Callable[..., AppTest]


@pytest.fixture(autouse=True)
def _no_cache_survives() -> Iterator[None]:
    st.cache_data.clear()
    st.cache_resource.clear()
    yield
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture
def open_page(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> Opened:
    """Opens a page of the dashboard as somebody with `role`; query parameters by keyword."""
    monkeypatch.setattr(context, "ctx", lambda: ctx)

    def opened(page: str, role: Role | None = Role.ADMIN, username: str = "mira", **query: str | list[str]) -> AppTest:
        token = world.signed_in(ctx, role, username) if role is not None else None
        monkeypatch.setattr(context, "session_token", lambda: token)
        app = AppTest.from_file(str(ROOT / "dashboard.py"), default_timeout=60).run()
        app.switch_page(f"pages/{page}.py")
        for name, value in query.items():
            app.query_params[name] = value
        return app.run()

    return opened


def shown(app: AppTest) -> str:
    """Everything that the page says, in one string."""
    parts = [*app.markdown, *app.caption, *app.text, *app.title, *app.header, *app.error, *app.warning, *app.info]
    parts += [*app.success, *app.code]
    words = [str(part.value) for part in parts]
    words += [str(button.label) for button in app.button] + [
        f"{one.label} {one.value} {one.delta}" for one in app.metric
    ]
    return "\n".join(words)
