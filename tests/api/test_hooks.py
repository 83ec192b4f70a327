"""Webhooks: nothing comes in unsigned, nothing that was taken is lost, and nothing is taken twice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from api import web
from api.gate import Needs
from api.site import Site
from db import hooks as rows
from dialogue import hooks, inbox, sources
from dialogue.context import Actor, Context, Role
from listeners.webhook_signatures import SCHEMES, sign
from tests.api.site import browser, make
from tests.conftest import Clock, RecordedTriggers, as_role

ROOT = Path(__file__).parents[2]
SAID = {"text": "The hinge squeaks", "author": "jane@example.com", "rating": 2}


class Sender:
    """A survey tool: it signs what it sends."""

    def __init__(self, ctx: Context, actor: Actor, scheme: str = "samtal") -> None:
        self.ctx = ctx
        self.made = hooks.create(ctx, actor, "Our survey", scheme)
        self.client = browser(ctx)

    def signed(self, body: bytes, delivery_id: str = "", at: datetime | None = None) -> dict[str, str]:
        scheme = SCHEMES[self.made.scheme]
        return sign(scheme, self.made.secret, body, at=at or self.ctx.clock(), delivery_id=delivery_id)

    def sends(self, said: Any, delivery_id: str = "", at: datetime | None = None, **headers: str) -> Any:
        body = said if isinstance(said, bytes) else json.dumps(said).encode()
        return self.client.post(
            self.made.path, content=body, headers={**self.signed(body, delivery_id, at), **headers}
        )  # fmt: skip

    @property
    def stored(self) -> list[str]:
        """What became mentions, in the order in which it was said."""
        cards = inbox.page(self.ctx, Actor(1, "Ada", Role.ADMIN), inbox.Filters(view="all"), None, 200).cards
        return sorted(card.text for card in cards)


@pytest.fixture
def sender(ctx: Context, colleague: Actor) -> Sender:
    return Sender(ctx, colleague)


def problem(answer: Any) -> str:
    message: str = answer.json()["error"]["message"]
    return message


def test_what_is_signed_is_stored_and_read(sender: Sender, triggers: RecordedTriggers) -> None:
    answer = sender.sends(SAID)
    assert answer.status_code == 202
    assert answer.json() == {"id": 1, "new": True}
    assert sender.stored == ["The hinge squeaks"]
    assert triggers.understood == 1


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_way_to_sign_opens_the_door_and_no_other(ctx: Context, colleague: Actor, scheme: str) -> None:
    sender = Sender(ctx, colleague, scheme)
    assert sender.sends(SAID, "d-1").status_code == 202
    body = json.dumps(SAID).encode()
    for headers in ({}, {"Authorization": f"Bearer {sender.made.secret}"}, {"X-Samtal-Secret": sender.made.secret}):
        answer = sender.client.post(sender.made.path, content=body, headers=headers)
        assert answer.status_code == 401
        assert SCHEMES[scheme].header in problem(answer) or "missing" in problem(answer)
    other = next(one for one in SCHEMES.values() if one.name != scheme)
    crossed = sign(other, "whsec_" + "a" * 32, body, at=ctx.clock(), delivery_id="d-2")
    assert sender.client.post(sender.made.path, content=body, headers=crossed).status_code == 401
    assert len(sender.stored) == 1


def test_what_was_tampered_with_is_refused(sender: Sender) -> None:
    body = json.dumps(SAID).encode()
    headers = sender.signed(body)
    for changed in (body.replace(b"squeaks", b"is fine"), body + b" ", b""):
        answer = sender.client.post(sender.made.path, content=changed, headers=headers)
        assert answer.status_code == 401
        assert "does not fit" in problem(answer)
    assert sender.made.secret not in answer.text
    assert sender.stored == []


def test_a_session_or_a_token_is_no_signature(ctx: Context, sender: Sender) -> None:
    from dialogue import accounts

    token = accounts.create_token(ctx, Actor(1, "Ada", Role.ADMIN), "reports")
    answer = sender.client.post(sender.made.path, json=SAID, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401


def test_an_old_delivery_is_refused_and_says_why(ctx: Context, sender: Sender) -> None:
    answer = sender.sends(SAID, at=ctx.clock() - timedelta(minutes=6))
    assert answer.status_code == 401
    assert "360 seconds in the past" in problem(answer)
    assert "clock" in problem(answer)


def test_a_captured_delivery_sent_again_does_nothing(sender: Sender) -> None:
    """Within the five minutes, under another id: the id is not signed, the signature is the same."""
    assert sender.sends(SAID, "d-1").status_code == 202
    body = json.dumps(SAID).encode()
    headers = sender.signed(body) | {"X-Samtal-Delivery": "another"}
    again = sender.client.post(sender.made.path, content=body, headers=headers)
    assert (again.status_code, again.json()) == (200, {"id": 1, "new": False})
    assert sender.stored == ["The hinge squeaks"]


def test_a_retry_is_answered_with_200_and_doubles_nothing(sender: Sender, clock: Clock) -> None:
    first = sender.sends(SAID, "d-1")
    clock.forward(seconds=30)  # signed anew, as a retry is
    again = sender.sends(SAID, "d-1")
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json()["id"] == first.json()["id"]
    clock.forward(seconds=30)
    nameless = [sender.sends({"text": "Lovely"}).status_code for _ in range(2)]
    assert nameless == [202, 200], "without an id the body tells"
    assert sender.stored == ["Lovely", "The hinge squeaks"]


def test_two_people_may_say_the_same_words(sender: Sender, clock: Clock) -> None:
    for number in range(3):
        clock.forward(seconds=1)
        assert sender.sends({"text": "Great"}, f"d-{number}").status_code == 202
    assert sender.stored == ["Great"] * 3


def test_an_answer_that_was_edited_there_is_an_edit_here(sender: Sender, clock: Clock) -> None:
    sender.sends({"id": "r-1", "text": "Good"})
    clock.forward(minutes=1)
    sender.sends({"id": "r-1", "text": "Good, but slow"})
    assert sender.stored == ["Good, but slow"]


def test_a_batch_is_read_item_by_item(ctx: Context, sender: Sender, colleague: Actor) -> None:
    answer = sender.sends([{"text": "One"}, {"text": ""}, {"text": "Two"}])
    assert answer.status_code == 202
    assert sender.stored == ["One", "Two"]
    (delivery,) = hooks.view(ctx, colleague, sender.made.source_id).deliveries
    assert (delivery.state, delivery.words) == ("rejected", "2 new, 1 not read")
    assert delivery.rejections == ({"where": "item 2", "reason": "text: there is none at /text"},)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"text=hello", "is no JSON: Expecting value at line 1, column 1"),
        (b"", "is no JSON"),
        (b"7", "must be a JSON object"),
        (b"{}", "must be a JSON object"),
        (b"[]", "must be a JSON object"),
        (b"[" * 50_000, "no JSON"),
        (b"\xff\xff", "no JSON"),
    ],
)
def test_what_has_not_the_shape_is_named(ctx: Context, sender: Sender, body: bytes, words: str) -> None:
    answer = sender.sends(body)
    assert answer.status_code == 400
    assert words in problem(answer)
    assert words in hooks.view(ctx, Actor(1, "Ada", Role.ADMIN), sender.made.source_id).refused


def test_size_and_items_are_bounded(sender: Sender) -> None:
    big = json.dumps({"text": "x" * hooks.LARGEST}).encode()
    assert sender.sends(big).status_code == 413
    undeclared = iter([big[:1000], big[1000:]])
    assert sender.client.post(sender.made.path, content=undeclared, headers=sender.signed(big)).status_code == 413
    many = sender.sends([{"text": "x"}] * 1_001)
    assert many.status_code == 413
    assert "1,000 fit" in problem(many)
    assert sender.stored == []


def test_too_many_a_minute_are_told_when_to_come_again(
    sender: Sender, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "A_MINUTE", 3)
    for number in range(3):
        assert sender.sends({"text": f"No. {number}"}).status_code == 202
        clock.forward(seconds=10)
    refused = sender.sends({"text": "one more"})
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "30"
    assert sender.sends({"text": "No. 1"}).status_code == 200, "what is stored is said to be stored"
    clock.forward(seconds=30)
    assert sender.sends({"text": "one more"}).status_code == 202


def test_what_waits_for_somebody_is_bounded(sender: Sender, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    monkeypatch.setattr(hooks, "MOST_KEPT", 60)
    assert sender.sends({"comment": "wait for me"}).status_code == 202
    clock.forward(seconds=1)
    refused = sender.sends({"comment": "and for me, for I have much to say"})
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 0
    assert "Sources" in problem(refused)


def test_an_unknown_address_is_told_so(ctx: Context, sender: Sender, colleague: Actor) -> None:
    body = json.dumps(SAID).encode()
    for path in ("/hooks/x", "/hooks/" + "9" * 500, f"/hooks/{sender.made.source_id}", "/hooks/%00"):
        assert sender.client.post(path, content=body, headers=sender.signed(body)).status_code == 404
    sources.remove(ctx, colleague, sender.made.source_id, with_mentions=False)
    assert sender.sends(SAID).status_code == 404


def test_only_a_post_comes_in(sender: Sender) -> None:
    assert sender.client.get(sender.made.path).status_code == 405
    assert sender.client.put(sender.made.path).status_code == 405
    assert sender.client.post("/hooks/").status_code == 404


def test_signature_doors_are_the_webhooks_alone() -> None:
    """The gate lets them pass unread: whatever is behind one must check the signature itself."""
    table = web.doors(Site(ctx=None))  # type: ignore[arg-type]
    assert [door.path for door in table if door.needs is Needs.SIGNATURE] == ["/hooks/{token}"]


def test_a_new_secret_is_good_at_once_and_the_old_one_for_a_day(
    ctx: Context, sender: Sender, colleague: Actor, clock: Clock
) -> None:
    old = sender.made
    new = hooks.rotate(ctx, colleague, old.source_id)
    assert new.secret != old.secret
    assert sender.sends({"text": "by the old one"}).status_code == 202
    sender.made = new
    assert sender.sends({"text": "by the new one"}).status_code == 202
    clock.forward(hours=24, seconds=1)
    assert sender.sends({"text": "by the new one, later"}).status_code == 202
    sender.made = old
    assert sender.sends({"text": "by the old one, later"}).status_code == 401
    assert len(sender.stored) == 3


def test_a_secret_is_kept_sealed_and_never_told_again(ctx: Context, sender: Sender, colleague: Actor) -> None:
    from dialogue.secrets import SecretBox

    box = SecretBox("k" * 40)
    sealed = Context(ctx.database, ctx.data_dir, box, clock=ctx.clock)
    made = hooks.create(sealed, colleague, "Sealed")
    with ctx.database.reading() as tx:
        row = rows.get(tx, made.source_id)
    assert row is not None
    assert made.secret.encode() not in row.secret
    assert made.secret not in repr(hooks.view(sealed, colleague, made.source_id))
    body = json.dumps(SAID).encode()
    headers = sign(SCHEMES["samtal"], made.secret, body, at=ctx.clock())
    assert browser(sealed).post(made.path, content=body, headers=headers).status_code == 202


def test_only_an_administrator_makes_and_sees_one(ctx: Context, sender: Sender, colleague: Actor) -> None:
    from dialogue.context import NotAllowed

    approver = as_role(colleague, Role.APPROVER)
    one = sender.made.source_id
    for forbidden in (
        lambda: hooks.create(ctx, approver, "x"),
        lambda: hooks.rotate(ctx, approver, one),
        lambda: hooks.view(ctx, approver, one),
        lambda: hooks.set_layout(ctx, approver, one, {"fields": {"text": ["/text"]}}),
        lambda: hooks.discard(ctx, approver, one),
        lambda: hooks.try_layout(ctx, approver, one, {}),
    ):
        with pytest.raises(NotAllowed):
            forbidden()


# Killed at the worst moment -------------------------------------------------------------------------------------------

_SERVER = """
import os, sys
from pathlib import Path
import uvicorn
from api.site import Site
from dialogue import start
from tests.api.site import make
import settings
ctx = start.context(settings.load(), triggers=False)
start.prepare(ctx)
uvicorn.run(make(ctx), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def _process(data: Path, port: int, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", _SERVER, str(port)]
    surroundings = {**os.environ, "DATA_DIR": str(data), "PYTHONPATH": str(ROOT), **environment}
    with subprocess.Popen(command, env=surroundings, cwd=ROOT) as process:
        try:
            _until_it_listens(process, port)
            yield process
        finally:
            process.kill()


def _until_it_listens(process: subprocess.Popen[bytes], port: int) -> None:
    for _ in range(600):
        assert process.poll() is None, "the server has stopped"
        with socket.socket() as probe:
            probe.settimeout(0.1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        threading.Event().wait(0.1)
    raise AssertionError("the server does not listen")


def test_killed_between_store_and_answer_the_retry_doubles_nothing(tmp_path: Path) -> None:
    import httpx

    import settings
    from dialogue import start

    configured = settings.Settings(data_dir=tmp_path)
    ctx = start.context(configured, triggers=False)
    start.prepare(ctx)
    made = hooks.create(ctx, Actor(None, "Ada", Role.ADMIN), "Our survey")
    body = json.dumps(SAID).encode()

    def send(port: int) -> Any:
        headers = sign(SCHEMES["samtal"], made.secret, body, at=ctx.clock(), delivery_id="d-1")
        return httpx.post(f"http://127.0.0.1:{port}{made.path}", content=body, headers=headers, timeout=20)

    port = _free_port()
    with _process(tmp_path, port, SAMTAL_CHAOS_POINT="hooks.stored") as process:
        with pytest.raises(httpx.TransportError):
            send(port)
        assert process.wait(20) == -signal.SIGKILL
    assert hooks.due(ctx) == [made.source_id], "it is stored, and a worker would find it"
    port = _free_port()
    with _process(tmp_path, port):
        again = send(port)
        assert (again.status_code, again.json()["new"]) == (200, False)
        for _ in range(200):
            if not hooks.due(ctx):
                break
            threading.Event().wait(0.05)
    assert hooks.read_waiting(ctx, made.source_id) == 0
    cards = inbox.page(ctx, Actor(None, "Ada", Role.ADMIN), inbox.Filters(view="all"), None).cards
    assert [card.text for card in cards] == ["The hinge squeaks"]
    ctx.database.dispose()


# The example that the page shows --------------------------------------------------------------------------------------


@contextmanager
def _served(ctx: Context) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(make(ctx), host="127.0.0.1", port=_free_port(), log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            threading.Event().wait(0.02)
        yield f"http://127.0.0.1:{server.config.port}"
    finally:
        server.should_exit = True
        thread.join(20)


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("openssl")), reason="curl or openssl is not installed")
@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_example_works_as_it_is_shown(ctx: Context, colleague: Actor, clock: Clock, scheme: str) -> None:
    from datetime import UTC

    clock.now = datetime.now(UTC)  # the shell has the real time
    made = hooks.create(ctx, colleague, "Our survey", scheme)
    with _served(ctx) as address:
        commands = hooks.example(scheme, address + made.path, made.secret)
        done = subprocess.run(["sh", "-c", commands], capture_output=True, text=True, timeout=60)
    assert "202" in done.stdout.splitlines()[0], done.stdout + done.stderr
    (delivery,) = hooks.view(ctx, colleague, made.source_id).deliveries
    assert (delivery.state, delivery.words) == ("read", "1 new")
