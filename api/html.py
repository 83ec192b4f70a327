"""The few pages that are plain HTML: they work before anybody is signed in, without JavaScript."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from pathlib import Path

from starlette.responses import HTMLResponse

_CSS = Path(__file__).with_name("look.css").read_text("utf-8")
_CSS_HASH = base64.b64encode(hashlib.sha256(_CSS.encode()).digest()).decode()
_CSP = (
    f"default-src 'none'; style-src 'sha256-{_CSS_HASH}'; img-src 'self' data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
LOGO = (
    '<svg viewBox="0 0 40 40" aria-hidden="true"><path fill="#0F766E" d="M17 15h16a4 4 0 0 1 4 4v10a4 4 0 0 1-4 4v5l'
    '-6-5H17a4 4 0 0 1-4-4V19a4 4 0 0 1 4-4z"/><path fill="#3B4CCA" stroke="#fff" stroke-opacity=".9" '
    'stroke-width="1.5" d="M7 3h17a4 4 0 0 1 4 4v10a4 4 0 0 1-4 4H14l-6 5.5V21H7a4 4 0 0 1-4-4V7a4 4 0 0 1 4-4z"/>'
    "</svg>"
)


def page(title: str, body: str, status: int = 200, headers: dict[str, str] | None = None) -> HTMLResponse:
    """A whole page around `body`, which is HTML made by this module's own functions; `title` is plain text."""
    document = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">'
        f'<title>{escape(title)} · Samtal</title><link rel="icon" href="data:,"><style>{_CSS}</style></head>'
        f'<body><main><div class="brand">{LOGO}<b>Samtal</b></div><div class="card">{body}</div></main></body></html>'
    )
    policy = {"Content-Security-Policy": _CSP}
    return HTMLResponse(document, status_code=status, headers=policy | (headers or {}))


def heading(title: str, text: str = "") -> str:
    """The page's heading and one sentence under it; plain text both."""
    return f"<h1>{escape(title)}</h1>" + (f"<p>{escape(text)}</p>" if text else "")


def wrong(message: str | None) -> str:
    """What went wrong, told to screen readers at once; nothing when nothing did."""
    return f'<div class="wrong" role="alert">{escape(message)}</div>' if message else ""


def text_field(
    name: str, label: str, value: str = "", *, autocomplete: str, fixed: bool = False, focus: bool = False
) -> str:
    """A line of text; `fixed` shows it without letting it be changed."""
    marks = (" readonly" if fixed else " required") + (" autofocus" if focus else "")
    return (
        f'<label for="{name}">{escape(label)}</label><input id="{name}" name="{name}" type="text" '
        f'value="{escape(value)}" autocomplete="{autocomplete}" autocapitalize="none" spellcheck="false" '
        f'maxlength="100"{marks}>'
    )


def password_field(name: str, label: str, *, new: bool, hint: str = "", focus: bool = False) -> str:
    """A password; `new` tells password managers to offer one."""
    described = f' aria-describedby="{name}-hint"' if hint else ""
    return (
        f'<label for="{name}">{escape(label)}</label><input id="{name}" name="{name}" type="password" required '
        f'autocomplete="{"new-password" if new else "current-password"}"{described}{" autofocus" if focus else ""}>'
        + (f'<p class="hint" id="{name}-hint">{escape(hint)}</p>' if hint else "")
    )


def hidden(name: str, value: str) -> str:
    return f'<input type="hidden" name="{name}" value="{escape(value)}">'


def form(action: str, fields: str, button: str) -> str:
    """A form that posts to one of our own routes."""
    return (
        f'<form method="post" action="{escape(action)}">{fields}<button type="submit">{escape(button)}</button></form>'
    )
