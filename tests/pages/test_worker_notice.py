"""What the worker has to say stands beside who is signed in."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from db import workers
from dialogue.context import Context, Role
from pages.parts import context
from tests.pages import world
from tests.pages.conftest import ROOT

NOTICE = (
    "The sentiment model acme/**mood** cannot be used: the package torch is not installed. Run `make hub` and start "
    "again. The bundled model goes on."
)


def menu(ctx: Context, monkeypatch: pytest.MonkeyPatch, notice: str) -> list[str]:
    """The warnings in the menu of a viewer, beside a worker that says this."""
    with ctx.database.transaction() as tx:
        workers.beat(tx, "w1", ctx.clock(), ctx.clock(), "1", notice)
    token = world.signed_in(ctx, Role.VIEWER)
    monkeypatch.setattr(context, "ctx", lambda: ctx)
    monkeypatch.setattr(context, "session_token", lambda: token)
    app = AppTest.from_file(str(ROOT / "dashboard.py"), default_timeout=60).run()
    assert not app.exception
    assert [button for button in app.sidebar.button if button.label == "Sign out"], "this is the menu"
    return [str(element.value) for element in app.sidebar.warning]


def test_a_worker_that_lives_may_have_something_to_say(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    (warning,) = menu(ctx, monkeypatch, NOTICE)
    assert "torch is not installed" in warning
    assert "**mood**" not in warning, "it is shown as text"


def test_a_worker_with_nothing_to_say_is_not_mentioned(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    assert menu(ctx, monkeypatch, "") == []
