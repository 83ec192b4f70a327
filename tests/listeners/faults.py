"""What may go wrong at any platform, one shared list, put on every listener that speaks HTTP.

    class TestContract(FaultsContract, NetworkContract): ...   # beside the rig of contract.py

A fault strikes in the middle of a fetch. The listener must say what kind of error it is, in words for a person; what it
has read stays read; and once the platform is well again everything arrives, each post once.
"""

from __future__ import annotations

import gzip
import json
import random
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from listeners import addresses, http
from listeners.base import Cursor, ListeningError, Rejected, Terminal, Transient
from tests.listeners.contract import Rig, collect
from tests.listeners.fake_server import FakeServer, Reply

PAGE = b"<!doctype html><title>Sorry</title><p>Something is wrong</p>"
OVER = b" " * (http.MAX_ANSWER + 1_000_000)

ERRORS = (Transient, Terminal)


@dataclass(frozen=True)
class Fault:
    """strike: brings it about. gives: the errors that it may be, none where everything must arrive in spite of it.
    waits: seconds that the platform asks for, from and to."""

    name: str
    strike: Callable[[FakeServer, int, pytest.MonkeyPatch], None]
    gives: tuple[type[ListeningError], ...] = (Transient,)
    waits: tuple[float, float] | None = None


def _answers(status: int, body: Any = b"", **headers: str) -> Callable[[FakeServer, int, pytest.MonkeyPatch], None]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda server, after, _: server.fails(Reply(body, status, named), after)


def _no_names(server: FakeServer, after: int, patch: pytest.MonkeyPatch) -> None:
    asked = socket.getaddrinfo

    def look_up(host: Any, *rest: Any, **more: Any) -> Any:
        if len(server.requests) >= served + after:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return asked(host, *rest, **more)

    served = len(server.requests)
    patch.setattr(socket, "getaddrinfo", look_up)


def _leads_inside(server: FakeServer, after: int, patch: pytest.MonkeyPatch) -> None:
    """A redirect to a private address, for a listener that may ask the fake and nothing else of this machine's."""
    whole = addresses.addresses_of
    home = server.url.rpartition(":")[0].rpartition("/")[2]

    def guarded(host: str, port: int, *, allow_private: bool) -> list[str]:
        return whole(host, port, allow_private=allow_private and host == home)

    patch.setattr(http, "addresses_of", guarded)
    server.fails(Reply(b"", 302, {"Location": "http://10.1.2.3/latest/meta-data"}), after)


def _changed(change: Callable[[Any], Any]) -> Callable[[FakeServer, int, pytest.MonkeyPatch], None]:
    return lambda server, after, _: server.alters(lambda body: _altered(body, change), after)


def _altered(body: bytes, change: Callable[[Any], Any]) -> bytes:
    if body.startswith(b"\x1f\x8b"):
        return gzip.compress(_altered(gzip.decompress(body), change))
    try:
        data = json.loads(body)
    except ValueError:
        return body[: len(body) // 2]  # a feed is no JSON: half of it is wrong enough
    return json.dumps(change(data)).encode()


def _wrong_types(data: Any) -> Any:
    """Every number a text, every text a number, every list an object."""
    if isinstance(data, dict):
        return {name: _wrong_types(value) for name, value in data.items()}
    if isinstance(data, list):
        return {"0": [_wrong_types(one) for one in data]}
    return 17 if isinstance(data, str) else "seventeen"


def _without_fields(data: Any) -> Any:
    """Half of the fields of everything are missing; the same half every time."""
    if isinstance(data, dict):
        kept = random.Random(len(data)).sample(sorted(data), len(data) // 2)
        return {name: _without_fields(data[name]) for name in kept}
    return [_without_fields(one) for one in data] if isinstance(data, list) else data


def _items(data: Any) -> list[Any]:
    """The longest list of objects anywhere in an answer: what it is about."""
    lists: list[list[Any]] = []

    def look(value: Any) -> None:
        inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            lists.append(value)
        for one in inside:
            look(one)

    look(data)
    return max(lists, key=len, default=[])


def _twice(data: Any) -> Any:
    items = _items(data)
    items += [json.loads(json.dumps(one)) for one in items]
    return data


_TOO_MANY = {"error": "slow down", "message": "slow down"}

FAULTS = (
    Fault("connection refused", lambda server, after, _: server.closes(after)),
    Fault("unknown host", _no_names),
    Fault("no answer in time", lambda server, after, _: server.hangs(after)),
    Fault("reset in the body", lambda server, after, _: server.resets(after)),
    Fault("400", _answers(400, {"message": "Bad request"}), (Terminal,)),
    Fault("401", _answers(401, {"message": "Bad credentials"}), (Terminal,)),
    Fault("403", _answers(403, {"message": "Not allowed"}), (Terminal,)),
    Fault("404", _answers(404, {"message": "Not found"}), (Terminal,)),
    Fault("429", _answers(429, _TOO_MANY)),
    Fault("429 with seconds", _answers(429, _TOO_MANY, Retry_After="30"), waits=(20, 40)),
    Fault(
        "429 with a date",
        lambda server, after, _: server.fails(
            Reply(_TOO_MANY, 429, {"Retry-After": format_datetime(datetime.now(UTC) + timedelta(seconds=60), True)}),
            after,
        ),
        waits=(40, 65),
    ),
    Fault("429 with nonsense", _answers(429, _TOO_MANY, Retry_After="soon, dear")),
    Fault("451", _answers(451, {"message": "Unavailable"}), (Terminal,)),
    Fault("500", _answers(500, PAGE, Content_Type="text/html")),
    Fault("502", _answers(502, PAGE, Content_Type="text/html")),
    Fault("503", _answers(503, PAGE, Content_Type="text/html")),
    Fault("504", _answers(504, b"")),
    Fault("a web page for data", _answers(200, PAGE, Content_Type="text/html"), ERRORS),
    Fault("an empty answer", _answers(200, b""), ERRORS),
    Fault("cut-off data", lambda server, after, _: server.alters(lambda body: body[: len(body) // 2], after), ERRORS),
    Fault("wrong types", _changed(_wrong_types), ERRORS),
    Fault("missing fields", _changed(_without_fields), ERRORS),
    Fault("more than 50 MB", lambda server, after, _: server.alters(lambda body: OVER + body, after), ERRORS),
    Fault("a redirect inside", _leads_inside, ERRORS),
    Fault("everything twice", _changed(_twice), ()),
)

REPORTED = ("wrong types", "missing fields", "cut-off data")
"""Faults of single items, which may also be told item by item, as `Rejected`."""


class FaultsContract:
    """A listener keeps its word whatever goes wrong in the middle of a fetch."""

    exceptions: dict[str, tuple[type[ListeningError], ...]] = {}
    """Where this platform means something else by it: what it gives instead, with the reason beside it."""

    @pytest.fixture(autouse=True)
    def _no_waiting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """No listener may sleep: whoever does, fails."""

        def sleeps(seconds: float) -> None:
            raise AssertionError(f"a listener slept for {seconds} seconds")

        monkeypatch.setattr("time.sleep", sleeps)

    @pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
    def test_fault(self, rig: Rig, fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
        check_fault(rig, fault, self.exceptions.get(fault.name, fault.gives), monkeypatch)


def check_fault(
    rig: Rig, fault: Fault, gives: tuple[type[ListeningError], ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    posted = set(rig.server.posts(8))
    collect(rig.listener, rig.query, {})  # whoever must sign in has done so
    before = len(rig.server.requests)
    collect(rig.listener, rig.query, {})
    in_the_middle = (len(rig.server.requests) - before) // 2

    with monkeypatch.context() as patch:
        fault.strike(rig.server, in_the_middle, patch)
        seen, cursor, rejected, error = _until_it_fails(rig)
    rig.server.comes_back()

    if error is not None:
        assert isinstance(error, gives), f"{fault.name} gives {type(error).__name__}: {error}"
        assert len(str(error)) > 10 and "<" not in str(error), "the words are for a person"
        assert "Traceback" not in str(error)
        if isinstance(error, Terminal):
            assert error.what_to_do
        if fault.waits is not None:
            assert isinstance(error, Transient)
            assert error.retry_after is not None
            assert fault.waits[0] <= error.retry_after <= fault.waits[1]
    elif gives:
        assert fault.name in REPORTED, f"nobody heard of {fault.name}"
    assert seen <= posted
    later, _ = collect(rig.listener, rig.query, cursor if error is not None or not gives else {})
    lost = posted - seen - {post.external_id for post in later}
    assert len(lost) <= len(rejected), "what does not arrive is told, item by item"
    assert all(isinstance(one, Rejected) and one.reason for one in rejected)


def _until_it_fails(rig: Rig) -> tuple[set[str], Cursor, list[Rejected], ListeningError | None]:
    seen: set[str] = set()
    rejected: list[Rejected] = []
    cursor: Cursor = {}
    try:
        for page in rig.listener.fetch(rig.query, {}):
            seen |= {post.external_id for post in page.posts}
            rejected += page.rejected
            cursor = json.loads(json.dumps(page.cursor))
    except ListeningError as error:
        return seen, cursor, rejected, error
    return seen, cursor, rejected, None
