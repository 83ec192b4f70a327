"""A secret is told to its platform and to nobody else, whatever the platform does with it.

Each platform's every credential field holds a marked value. The platform refuses, breaks off, or answers something odd
that repeats all that was sent to it; then the mark is looked for wherever words are kept or shown.
"""

from __future__ import annotations

import base64
import json
import logging
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from sqlmodel import SQLModel

from db import sources as rows
from db.tables import Source
from dialogue import audit, checking, collecting, requests, sources
from dialogue.context import Actor, Context, DialogueError
from dialogue.secrets import SecretBox
from listeners import registry
from listeners.base import ListeningError, Options
from tests.listeners.fake_server import FakeServer, Reply, Request
from tests.pages.conftest import Opened, _no_cache_survives, open_page, shown

__all__ = ["_no_cache_survives", "open_page"]  # fixtures of the pages' tests, used here too

MARK = "zq7marked"
PLATFORMS = sorted(name for name, one in registry.capabilities().items() if one.credentials)


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    kind = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption()).decode()


P8 = _pem(ec.generate_private_key(ec.SECP256R1()))
RSA = _pem(rsa.generate_private_key(65537, 2048))
SHAPES = {
    ("appstore", "private_key"): P8,
    ("appstore", "key_id"): "ABCDEFGHIJ",
    ("appstore", "issuer_id"): "57246542-96fe-1a63-e053-0824d011072a",
    ("bluesky", "handle"): "acme.example.com",
    ("googleplay", "service_account"): json.dumps(
        {"type": "service_account", "client_email": "a@b.iam.gserviceaccount.com", "private_key": RSA}
    ),
    ("mail", "address"): "support@example.com",
    ("mail", "imap_host"): "127.0.0.1",
    ("mail", "smtp_host"): "127.0.0.1",
    ("mastodon", "instance"): "social.example.com",
    ("wordpress", "site"): "https://blog.example.com",
    ("x", "access_token"): f"4001-{MARK}",
}
"""Of what must look in a certain way to be taken at all; everything else is the mark and the field's name."""


def _given(platform: str, server: FakeServer) -> dict[str, str]:
    port = server.url.rpartition(":")[2]
    values = {}
    for field in registry.capability(platform).credentials:
        plain = "us" if not field.secret else f"{MARK}{field.name.replace('_', '')}"
        values[field.name] = SHAPES.get((platform, field.name), port if field.name.endswith("_port") else plain)
    return values


def _marks(platform: str, given: dict[str, str]) -> set[str]:
    """What must be found nowhere: each secret's own text, a line of each key, and each in base64."""
    keys = [line for pem in (P8, RSA) for line in pem.splitlines() if "-----" not in line]
    secrets = [given[field.name] for field in registry.capability(platform).credentials if field.secret]
    whole = {base64.b64encode(one.encode()).decode().rstrip("=") for one in secrets}
    return {MARK, base64.b64encode(MARK.encode()).decode(), *keys, *whole}


class Odd(FakeServer):
    """A platform that answers everything in one way, and repeats what it was sent in whatever it says."""

    status = 200
    plain = False

    def reply_to(self, request: Request) -> Reply:
        heard = f"{request.path} {dict(request.headers)} {dict(request.params)} {request.body!r}"
        if self.plain:
            return Reply(heard.encode(), self.status, {"Content-Type": "text/html"})
        said = {"message": heard, "error": heard, "error_description": heard, "errors": [{"detail": heard}]}
        return Reply(said, self.status)


@dataclass(frozen=True)
class Trouble:
    name: str
    brings: Callable[[Odd], None]


def _says(status: int, *, plain: bool = False) -> Callable[[Odd], None]:
    def brings(server: Odd) -> None:
        server.status, server.plain = status, plain

    return brings


TROUBLES = (
    Trouble("connection refused", lambda server: server.closes(0)),
    Trouble("reset in the body", lambda server: server.resets(0)),
    Trouble("400", _says(400)),
    Trouble("401", _says(401)),
    Trouble("403", _says(403)),
    Trouble("500 in HTML", _says(500, plain=True)),
    Trouble("an answer of something else", _says(200)),
    Trouble("a web page", _says(200, plain=True)),
)


@pytest.fixture(autouse=True)
def _no_long_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mail client waits for a greeting that no web server gives: half a second is enough to know."""
    monkeypatch.setattr(collecting, "Options", partial(Options, timeout=0.5))


@pytest.fixture
def server() -> Iterator[Odd]:
    with Odd() as one:
        yield one


def _everything_stored(ctx: Context) -> str:
    with ctx.database.reading() as tx:
        return "\n".join(
            str(row) for table in SQLModel.metadata.sorted_tables for row in tx.connection.execute(table.select())
        )


def _told(ctx: Context, ada: Actor, request_id: int) -> str:
    return repr(requests.get(ctx, request_id)) + repr(sources.accounts(ctx, ada)) + repr(sources.list_(ctx, ada))


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda one: one.name)
@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_secret_stands_in_no_error_log_row_or_request(
    ctx: Context, colleague: Actor, server: Odd, caplog: pytest.LogCaptureFixture, platform: str, trouble: Trouble
) -> None:
    caplog.set_level(logging.DEBUG)
    ctx = replace(ctx, secrets=SecretBox("k" * 40))
    given = _given(platform, server)
    account_id = sources.save_account(ctx, colleague, platform, "Ours", server.url, given)
    request_id = sources.request_account_test(ctx, colleague, account_id)
    trouble.brings(server)
    heard = [_told(ctx, colleague, request_id)]
    with ctx.database.reading() as tx:
        account = rows.account(tx, account_id)
    heard.append(repr(collecting.open_listener(ctx, platform, account, {})))
    assert account is not None
    try:
        heard.append(checking.ask(ctx, account).words)
    except (ListeningError, DialogueError) as error:
        heard.append("".join(traceback.format_exception(error)) + repr(error))
    for mode in registry.capability(platform).modes:
        if not mode.streams:
            with ctx.database.transaction() as tx:
                row = Source(
                    platform=platform, label=mode.name, mode=mode.name, query="acme/acme", account_id=account_id,
                    created_at=ctx.clock(), next_run_at=ctx.clock(),
                )  # fmt: skip
                tx.session.add(row)
                tx.session.flush()
                source_id = row.id or 0
            collecting.collect(ctx, source_id)
            heard.append(repr(sources.runs(ctx, colleague, source_id)))
    heard += [_told(ctx, colleague, request_id), repr(audit.entries(ctx, colleague)), caplog.text]
    heard.append(_everything_stored(ctx))
    for mark in _marks(platform, given):
        assert mark not in "\n".join(heard), next(one for one in heard if mark in one)[:3_000]


def test_a_secret_is_never_shown_again(ctx: Context, colleague: Actor, server: Odd, open_page: Opened) -> None:
    for platform in PLATFORMS:
        sources.save_account(ctx, colleague, platform, f"Our {platform}", server.url, _given(platform, server))
    app = open_page("sources")
    app.button(key="accounts").click().run()
    for one in sources.accounts(ctx, colleague):
        app.button(key=f"account_again_{one.id}").click().run()
        assert not app.exception
        fields = "\n".join(f"{field.value} {field.placeholder} {field.help}" for field in app.text_input)
        assert "Enter" in shown(app)
        for mark in _marks(one.platform, _given(one.platform, server)):
            assert mark not in shown(app) + fields
