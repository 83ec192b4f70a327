"""What every listener gets from listeners.http: guarded addresses, bounds, and failures told in sentences."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

import pytest
import requests

from listeners import http
from listeners.addresses import is_public
from listeners.base import Options, OutcomeUnknown, Terminal, Transient
from tests.listeners.fake_server import FakeServer, Reply, Request

OWN = Options(timeout=1.0, allow_private_hosts=True)


class Server(FakeServer):
    """Answers what it is told to, and knows a redirect and a mirror."""

    def __init__(self, reply: Reply | None = None) -> None:
        super().__init__()
        self.reply = reply or Reply({"fine": True})

    def reply_to(self, request: Request) -> Reply:
        if request.path == "/away":
            return Reply(b"", 302, {"Location": request.params["to"]})
        if request.path == "/moved":
            return Reply(b"", 301, {"Location": "/new"})
        return self.reply


@contextmanager
def raw_server(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that speaks bytes: for what no HTTP server would do."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.settimeout(5)
                connection.recv(65536)
                serve(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread.join(5)


@contextmanager
def silent_server() -> Iterator[str]:
    """Takes a request and says nothing until the test is over."""
    over = threading.Event()

    def say_nothing(_: socket.socket) -> None:
        over.wait(5)

    with raw_server(say_nothing) as url:
        try:
            yield url
        finally:
            over.set()


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


# --- Addresses


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1",
     "255.255.255.255", "::1", "::", "fe80::1%eth0", "fc00::1", "::ffff:127.0.0.1", "2002:7f00:1::",
     "64:ff9b::7f00:1", "name"],
)  # fmt: skip
def test_private_addresses_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.215.14", "2606:4700::1111", "::ffff:1.1.1.1"])
def test_public_addresses_are(address: str) -> None:
    assert is_public(address)


GUARDED = Options(timeout=1.0)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "0x7f000001", "2130706433", "127.1"])
def test_the_guard_refuses_this_machine_by_any_name(host: str) -> None:
    with Server() as server:
        port = server.url.rpartition(":")[2]
        with pytest.raises(Terminal) as caught:
            http.Client("Acme", GUARDED).get(f"http://{host}:{port}/")
        assert "private network" in str(caught.value)
        assert "ALLOW_PRIVATE_HOSTS" in caught.value.what_to_do
        with pytest.raises(Terminal):
            http.session(GUARDED).get(f"http://{host}:{port}/")
        assert server.requests == []


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """A name service: what each further look-up of a name answers; the last answer stays."""
    known: dict[str, list[str]] = {}
    real = socket.getaddrinfo

    def look_up(host: str, port: int, *args: object, **kwargs: object) -> list[tuple[object, ...]]:
        if host in known:
            answers = known[host]
            address = answers.pop(0) if len(answers) > 1 else answers[0]
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]
        return real(host, port, *args, **kwargs)  # type: ignore[arg-type, return-value]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return known


def test_a_name_is_resolved_once_so_that_rebinding_changes_nothing(names: dict[str, list[str]]) -> None:
    with Server() as server:
        port = server.url.rpartition(":")[2]
        # Public when it is checked, this machine ever after: whoever resolved it again to connect would get here.
        for ask in (http.Client("Acme", GUARDED).get, http.session(GUARDED).get):
            names["rebinding.test"] = ["93.184.215.14", "127.0.0.1"]
            with pytest.raises((Transient, requests.RequestException, RuntimeError)):  # the tests' socket block
                ask(f"http://rebinding.test:{port}/")
        assert server.requests == []


def test_the_guard_holds_on_every_redirect(monkeypatch: pytest.MonkeyPatch, names: dict[str, list[str]]) -> None:
    """A public server, played by one on loopback, sends us on to this machine's own address."""
    with Server() as public, Server() as inner:
        names["public.test"] = ["127.0.0.1"]
        names["inner.test"] = ["127.0.0.2"]
        monkeypatch.setattr("listeners.addresses.is_public", lambda address: address == "127.0.0.1")
        url = (
            public.url.replace("127.0.0.1", "public.test") + "/away?to=" + inner.url.replace("127.0.0.1", "inner.test")
        )
        with pytest.raises(Terminal):
            http.Client("Acme", GUARDED).get(url)
        with pytest.raises(Terminal):
            http.session(GUARDED).get(url)
        assert len(public.requests) == 2
        assert inner.requests == []


# --- Being a good guest


def test_it_says_who_it_is() -> None:
    with Server() as server:
        http.Client("Acme", OWN).get(server.url)
        http.session(OWN).get(server.url)
        assert [request.headers["user-agent"][:7] for request in server.requests] == ["Samtal/", "Samtal/"]
        assert all("(+self-hosted)" in request.headers["user-agent"] for request in server.requests)


def test_a_permanent_move_is_told() -> None:
    with Server() as server:
        answer = http.Client("Acme", OWN).get(server.url + "/moved")
        assert answer.moved_for_good
        assert answer.url == server.url + "/new"
        assert not http.Client("Acme", OWN).get(server.url).moved_for_good


def test_redirects_are_bounded() -> None:
    with Server(Reply(b"", 302, {"Location": "/"})) as server, pytest.raises(Terminal, match="redirected"):
        http.Client("Acme", OWN).get(server.url)


def test_an_answer_over_the_bound_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_ANSWER", 1024 * 1024)
    small_on_the_wire = gzip.compress(b"0" * 5 * 1024 * 1024)
    for reply in (Reply(b"0" * 2 * 1024 * 1024), Reply(small_on_the_wire, headers={"Content-Encoding": "gzip"})):
        with Server(reply) as server, pytest.raises(Terminal, match="more than 1 MB"):
            http.Client("Acme", OWN).get(server.url)


# --- Failures


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (401, Terminal, "credentials"),
        (402, Terminal, "paid"),
        (403, Terminal, "does not allow"),
        (404, Terminal, "nothing at this address"),
        (410, Terminal, "removed"),
        (418, Terminal, "did not accept"),
        (451, Terminal, "legal"),
        (408, Transient, "out of order"),
        (429, Transient, "too many requests"),
        (500, Transient, "out of order"),
        (503, Transient, "out of order"),
    ],
)
def test_each_status_has_its_meaning(status: int, kind: type[Exception], words: str) -> None:
    server = Server(Reply({"message": "Said by\nthe platform."}, status))
    with server, pytest.raises(kind, match=words) as caught:
        http.Client("Acme", OWN).get(server.url)
    message = str(caught.value)
    assert message.startswith("Acme ")
    assert "\n" not in message
    assert str(status) in message
    if kind is Terminal:
        assert "Said by the platform" in message


@pytest.mark.parametrize(
    "body",
    [
        {"message": "It is closed."},
        {"error": {"code": 400, "message": "It is closed.", "status": "FAILED_PRECONDITION"}},
        {"errors": [{"status": "400", "title": "Wrong", "detail": "It is closed."}]},
        {"error": "invalid_grant", "error_description": "It is closed."},
    ],
)
def test_the_platform_s_own_words_are_found(body: object) -> None:
    with Server(Reply(body, 400)) as server, pytest.raises(Terminal, match=r": It is closed\.$"):
        http.Client("Acme", OWN).get(server.url)


@pytest.mark.parametrize("body", [{"error": {"message": 7}}, {"errors": []}, {"errors": [None]}, {"errors": {}}, []])
def test_an_error_without_words_is_told_all_the_same(body: object) -> None:
    with Server(Reply(body, 400)) as server, pytest.raises(Terminal, match=r"\(400\)\.$"):
        http.Client("Acme", OWN).get(server.url)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("30", 30.0),
        ("0.5", 0.5),
        ("Sun, 22 Nov 2026 12:01:00 GMT", 60.0),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("", None),
        ("9" * 400, None),
        ("١٢", None),
    ],
)
def test_retry_after_as_seconds_a_date_or_nonsense(header: str, seconds: float | None) -> None:
    assert http.retry_after({"Retry-After": header}, datetime(2026, 11, 22, 12, tzinfo=UTC)) == seconds


def test_retry_after_reaches_the_error() -> None:
    with Server(Reply(b"", 429, {"Retry-After": "17"})) as server, pytest.raises(Transient) as caught:
        http.Client("Acme", OWN).get(server.url)
    assert caught.value.retry_after == 17.0


def test_a_refused_connection() -> None:
    with pytest.raises(Transient, match="Acme cannot be reached: the connection was refused"):
        http.Client("Acme", OWN).get(f"http://127.0.0.1:{closed_port()}/")


def test_an_unknown_host(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(Transient, match="host name is unknown"):
        http.Client("Acme", OWN).get("http://nowhere.test/")
    with pytest.raises(requests.RequestException) as caught:
        http.session(OWN).get("http://nowhere.test/")
    assert "host name is unknown" in str(http.failed("Acme", caught.value))


def test_silence_is_a_timeout() -> None:
    client = http.Client("Acme", Options(timeout=0.2, allow_private_hosts=True))
    with silent_server() as url, pytest.raises(Transient, match="did not answer in time"):
        client.get(url)


@pytest.mark.parametrize("beginning", [b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: "])
def test_a_dripping_answer_is_a_timeout(monkeypatch: pytest.MonkeyPatch, beginning: bytes) -> None:
    monkeypatch.setattr(http, "MAX_TIMES_TIMEOUT", 0.2)
    stop = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.sendall(beginning)
        with suppress(OSError):  # the other side may hang up first
            for _ in range(80):
                if stop.wait(0.05):
                    return
                connection.sendall(b" ")
            connection.sendall(b"\r\nContent-Length: 0\r\n\r\n")

    with raw_server(drip) as url:
        with pytest.raises(Transient, match="did not answer in time"):
            http.Client("Acme", OWN).get(url)
        stop.set()


def test_a_cut_answer() -> None:
    start = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"
    with raw_server(lambda connection: connection.sendall(start)) as url, pytest.raises(Transient, match="broke off"):
        http.Client("Acme", OWN).get(url)


@pytest.mark.parametrize(
    ("body", "words"),
    [(b"<html>Sign in</html>", "web page"), (b'{"a": [1, ', "breaks off"), (b"", "empty"), (b"hello", "no data")],
)
def test_what_is_no_json_is_told(body: bytes, words: str) -> None:
    with Server(Reply(body)) as server:
        answer = http.Client("Acme", OWN).get(server.url)
    with pytest.raises(Transient, match=words):
        answer.json()
    with pytest.raises(OutcomeUnknown, match=words):
        answer.json(sending=True)


@pytest.mark.parametrize(
    "address", ["ftp://example.com/", "no address", "http://", "http://[::1", "file:///etc/passwd"]
)
def test_what_is_no_web_address(address: str) -> None:
    with pytest.raises((Terminal, Transient)):
        http.Client("Acme", OWN).get(address)


# --- Sending


def test_a_form_asks_and_goes_nowhere_else() -> None:
    with Server(Reply({"token": "t"})) as server:
        assert http.Client("Acme", OWN).post_form(server.url + "/token", {"a": "1 & 2"}).json() == {"token": "t"}
        assert server.requests[-1].form() == {"a": "1 & 2"}
    with Server(Reply(b"", 503)) as server, pytest.raises(Transient):
        http.Client("Acme", OWN).post_form(server.url, {})
    with Server(Reply(b"", 307, {"Location": "http://127.0.0.1:1/"})) as server:
        assert http.Client("Acme", OWN).post_form(server.url, {"secret": "s"}).status == 307


def test_sending_is_certain_only_when_nothing_can_have_arrived() -> None:
    client = http.Client("Acme", Options(timeout=0.3, allow_private_hosts=True))
    with pytest.raises(Transient):
        client.send("POST", f"http://127.0.0.1:{closed_port()}/", json={})
    with raw_server(lambda connection: None) as url, pytest.raises(OutcomeUnknown):
        client.send("POST", url, json={})
    with silent_server() as url, pytest.raises(OutcomeUnknown, match="may have arrived"):
        client.send("POST", url, json={})
    with Server(Reply(b"", 502)) as server, pytest.raises(OutcomeUnknown):
        client.send("POST", server.url, json={})
    with Server(Reply(b"", 403)) as server, pytest.raises(Terminal):
        client.send("POST", server.url, json={})
    with Server(Reply(b"", 429)) as server, pytest.raises(Transient):
        client.send("POST", server.url, json={})


def test_sending_follows_no_redirect() -> None:
    with Server(Reply(b"", 307, {"Location": "/again"})) as server:
        assert http.Client("Acme", OWN).send("POST", server.url, json={}).status == 307
        assert len(server.requests) == 1


# --- requests


def test_a_library_s_session_is_sent_elsewhere_with_a_time_limit() -> None:
    with Server() as server:
        session = http.session(OWN, {"https://api.acme.example": server.url})
        assert session.get("https://api.acme.example/2/posts?a=b").json() == {"fine": True}
        assert server.requests[0].path == "/2/posts"
        assert server.requests[0].params == {"a": "b"}
    with silent_server() as url:
        session = http.session(Options(timeout=0.2, allow_private_hosts=True), {"https://api.acme.example": url})
        with pytest.raises(requests.Timeout) as caught:
            session.get("https://api.acme.example/")
    assert isinstance(http.failed("Acme", caught.value), Transient)
    assert isinstance(http.failed("Acme", caught.value, sending=True), OutcomeUnknown)


def test_only_the_very_beginning_of_an_address_is_rewritten() -> None:
    with Server() as server:
        session = http.session(OWN, {"https://api.acme.example": f"http://127.0.0.1:{closed_port()}"})
        assert session.get(server.url + "/?next=https://api.acme.example/").ok


def test_a_refused_connection_of_requests_sent_nothing() -> None:
    with pytest.raises(requests.ConnectionError) as caught:
        http.session(OWN).post(f"http://127.0.0.1:{closed_port()}/")
    error = http.failed("Acme", caught.value, sending=True)
    assert isinstance(error, Transient)
    assert "refused" in str(error)


def test_a_connection_of_requests_cut_while_sending_leaves_the_outcome_open() -> None:
    with raw_server(lambda connection: None) as url, pytest.raises(requests.ConnectionError) as caught:
        http.session(OWN).post(url)
    assert isinstance(http.failed("Acme", caught.value, sending=True), OutcomeUnknown)


def test_a_client_s_connections_end_with_it() -> None:
    with Server() as server:
        client = http.Client("Acme", OWN)
        client.get(server.url)
        inner = client._http
        del client
        assert inner.is_closed
