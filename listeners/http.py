"""HTTP as every listener speaks it: guarded addresses, bounded answers, honest names, failures in sentences.

`Client` is for platforms without a client library. For those with one, `transport` (httpx) and `session` (requests)
carry the same guard and time limits, and `failed`, `refused` and `retry_after` turn what went wrong into our errors.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import time
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from importlib import metadata
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

import httpcore
import httpx
import requests
import urllib3.connection
import urllib3.connectionpool
import urllib3.util.connection
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from listeners.addresses import addresses_of
from listeners.base import BadCredentials, ListeningError, Options, OutcomeUnknown, Terminal, Transient

MAX_ANSWER = 50 * 1024 * 1024
"""Bytes of one answer, unpacked."""
MAX_REDIRECTS = 5
MAX_TIMES_TIMEOUT = 6
"""One answer, headers and all, may take so many times `Options.timeout`: a server that drips never runs into a read's
own limit."""


def user_agent() -> str:
    """Who we say we are: `Samtal/<version> (+self-hosted)`."""
    try:
        version = metadata.version("samtal")
    except metadata.PackageNotFoundError:  # run from a checkout
        version = "dev"
    return f"Samtal/{version} (+self-hosted)"


# --- One answer, one client ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """What a platform answered. `url` is where it was found after redirects; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    url: str
    source: str
    moved_for_good: bool = False
    """Whether every redirect on the way was a permanent one (301, 308), and there was one."""

    def json(self, *, sending: bool = False) -> Any:
        """The body as JSON. Raises Transient (`sending`: OutcomeUnknown) where it is none, saying what came instead."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            message = f"{self.source} {_instead_of_json(self)}."
            raise (OutcomeUnknown(message) if sending else Transient(message)) from error


class Client:
    """Asks one platform. `source` is its name in messages. Its connections end with it, or with `close`."""

    def __init__(self, source: str, options: Options, headers: Mapping[str, str] | None = None) -> None:
        self.source = source
        self._http = httpx.Client(
            transport=transport(options),
            timeout=options.timeout,
            headers={"User-Agent": user_agent(), **(headers or {})},
            follow_redirects=True,
            max_redirects=MAX_REDIRECTS,
            trust_env=False,  # a proxy from the environment would connect in our place, past the guard
        )
        weakref.finalize(self, self._http.close)  # listeners come and go with every run and have no end of their own

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def get(
        self,
        url: str,
        *,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        fine: Iterable[int] = (),
        redirects: bool = True,
    ) -> Answer:
        """The answer to a GET. Raises Transient or Terminal, also for a status from 400 on that is not in `fine`.

        An `Authorization` is left behind on the way to another host, a key in any other header is not: without
        `redirects` a redirect is the answer.
        """
        asked = {"params": params, "headers": headers, "follow_redirects": redirects}
        return self._ask("GET", url, fine, sending=False, **asked)

    def send(
        self,
        method: str,
        url: str,
        *,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        fine: Iterable[int] = (),
    ) -> Answer:
        """The answer to a request that changes something, never repeated and never redirected.

        Raises Transient or Terminal only where it is certain that nothing changed, else OutcomeUnknown.
        """
        data = dict(form) if form is not None else None
        return self._ask(method, url, fine, sending=True, json=json, data=data, headers=headers, follow_redirects=False)

    def post_question(self, url: str, json: Any, *, fine: Iterable[int] = ()) -> Answer:
        """The answer to a question that is asked by POST and changes nothing, such as GraphQL's. Raises as `get`."""
        return self._ask("POST", url, fine, sending=False, json=json, follow_redirects=False)

    def post_form(self, url: str, form: Mapping[str, str], *, fine: Iterable[int] = ()) -> Answer:
        """The answer to a form that changes nothing there, such as a request for a token. Raises as `get`.

        It is never redirected: what it holds is for one server only.
        """
        return self._ask("POST", url, fine, sending=False, data=dict(form), follow_redirects=False)

    def _ask(self, method: str, url: str, fine: Iterable[int], *, sending: bool, **request: Any) -> Answer:
        try:
            with self._http.stream(method, url, **request) as response:
                answer = self._read(response)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, UnicodeError, _TooMuch) as error:
            raise failed(self.source, error, sending=sending) from error
        if answer.status >= 400 and answer.status not in fine:
            raise refused(self.source, answer.status, answer.headers, answer.body, sending=sending)
        return answer

    def _read(self, response: httpx.Response) -> Answer:
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > MAX_ANSWER:
                raise _TooMuch
        return Answer(
            status=response.status_code,
            headers={name.lower(): value for name, value in response.headers.items()},
            body=bytes(body),
            url=str(response.url),
            source=self.source,
            moved_for_good=bool(response.history) and all(r.status_code in (301, 308) for r in response.history),
        )


class _TooMuch(Exception):
    """An answer over the bounds. The message goes on after the platform's name."""

    def __init__(self) -> None:
        super().__init__(f"sent more than {MAX_ANSWER // 1024 // 1024} MB in one answer")


# --- Failures in sentences -----------------------------------------------------------------------------------------


def failed(source: str, error: BaseException, *, sending: bool = False) -> ListeningError:
    """What an exception of httpx, requests or a socket means. Of our own errors it returns the same.

    With `sending` it is OutcomeUnknown unless the connection was never made.
    """
    for cause in _chain(error):
        if isinstance(cause, ListeningError):
            return cause
    if isinstance(error, (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError, requests.exceptions.InvalidURL)):
        return Terminal(
            f"{source}: this is no address that can be asked.", "Correct the address; it starts with https://."
        )
    if isinstance(error, (httpx.TooManyRedirects, requests.TooManyRedirects)):
        return Terminal(f"{source} redirected more than {MAX_REDIRECTS} times.", "Check the address in a browser.")
    too_much = next((cause for cause in _chain(error) if isinstance(cause, _TooMuch)), None)
    if too_much is not None:
        message = f"{source} {too_much}."
        return OutcomeUnknown(message) if sending else Terminal(message, "Check the address.")
    words, before_sending = _what_failed(error)
    if sending and not before_sending:
        return OutcomeUnknown(f"{source} {words} while the answer was being sent; it may have arrived.")
    return Transient(f"{source} {words}.")


_BEFORE_SENDING = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    requests.ConnectTimeout,
    NewConnectionError,
    ConnectTimeoutError,
    ssl.SSLCertVerificationError,  # not every SSLError of requests: one may also end a connection that was in use
    socket.gaierror,
    ConnectionRefusedError,
)
_TIMED_OUT = (httpx.TimeoutException, requests.Timeout, TimeoutError)


def _what_failed(error: BaseException) -> tuple[str, bool]:
    """What went wrong in words that go on after the platform's name, and whether nothing had been sent by then."""
    causes = list(_chain(error))
    before = any(isinstance(cause, _BEFORE_SENDING) for cause in causes)
    if any(isinstance(cause, (socket.gaierror, NameResolutionError)) for cause in causes):
        return "cannot be found: its host name is unknown or the network has no name service", before
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return "cannot be reached: the connection was refused", before
    if any(isinstance(cause, requests.exceptions.SSLError) or "SSL" in type(cause).__name__ for cause in causes):
        return "cannot be trusted: its TLS certificate was not accepted", before
    if any(isinstance(cause, _TIMED_OUT) for cause in causes):
        return "did not answer in time", before
    if any(isinstance(cause, (ConnectionResetError, BrokenPipeError)) for cause in causes):
        return "cut the connection", before
    if before:
        return "cannot be reached", before
    return "broke off its answer", before


def _chain(error: BaseException) -> Iterable[BaseException]:
    """The error and whatever it was raised from or carries inside (requests wraps urllib3's in its arguments)."""
    todo, seen = [error], set[int]()
    while todo:
        one = todo.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inside = [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
        todo += [cause for cause in inside if isinstance(cause, BaseException)]


def refused(
    source: str, status: int, headers: Mapping[str, str], body: bytes = b"", *, sending: bool = False
) -> ListeningError:
    """What a status from 400 on means, with what the platform says itself. 5xx while `sending` is OutcomeUnknown."""
    said = _what_it_says(body)
    if status == 429:
        seconds = retry_after(headers)
        wait = f"; it asks us to wait {_duration(seconds)}" if seconds else ""
        return Transient(f"{source} had too many requests from us (429){wait}.", seconds)
    if status == 408 or status >= 500:
        if sending:
            return OutcomeUnknown(f"{source} failed ({status}) while the answer was being sent; it may have arrived.")
        return Transient(f"{source} is out of order at the moment ({status}).", retry_after(headers))
    meaning, what_to_do = _MEANINGS.get(
        status, ("did not accept the request", "Check the source's query and the account's settings.")
    )
    kind = BadCredentials if status == 401 else Terminal
    return kind(f"{source} {meaning} ({status}){said}.", what_to_do)


_MEANINGS = {
    401: ("did not accept the account's credentials", "Enter the account's credentials again."),
    402: ("wants to be paid for this", "Look into the account's plan at the platform."),
    403: ("does not allow this", "Check what the account may do at the platform."),
    404: ("has nothing at this address", "Check the name or the address of the source."),
    410: ("has removed this for good", "Remove the source, or give its new address."),
    451: ("may not show this for legal reasons", "Remove the source; it is not available from here."),
}


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds that `Retry-After` asks for, given as seconds or as a date; None where it is absent or nonsense."""
    value = next((value for name, value in headers.items() if name.lower() == "retry-after"), "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())


def _duration(seconds: float) -> str:
    if seconds >= 86_400:
        return "a day or more"
    return f"{seconds:.0f} seconds" if seconds < 120 else f"{seconds / 60:.0f} minutes"


def _what_it_says(body: bytes) -> str:
    """The platform's own words out of a JSON error, `: ...`, or nothing."""
    try:
        error = json.loads(body[:100_000])
    except (ValueError, RecursionError):
        return ""
    inside = error.get("error") if isinstance(error, dict) else None  # Google: {"error": {"message": …}}
    several = error.get("errors") if isinstance(error, dict) else None  # JSON:API: {"errors": [{"detail": …}]}
    first = several[0] if isinstance(several, list) and several else None
    for one in (error, inside, first):
        for name in ("message", "detail", "error_description", "reason", "error", "title"):
            said = one.get(name) if isinstance(one, dict) else None
            if isinstance(said, str) and said.strip():
                return ": " + " ".join(said.split())[:300].rstrip(".")
    return ""


def _instead_of_json(answer: Answer) -> str:
    start = answer.body[:200].lstrip().lower()
    if not start:
        return "sent an empty answer"
    if start.startswith(b"<") or "html" in answer.headers.get("content-type", ""):
        return "sent a web page where data was expected"
    if start[:1] in b"{[":
        return "sent data that breaks off or is damaged"
    return "sent something that is no data"


# --- The guard, for httpx ------------------------------------------------------------------------------------------


def transport(options: Options) -> httpx.HTTPTransport:
    """An httpx transport that connects to checked addresses only, also on redirects, and ends a dripping answer."""
    guarded = httpx.HTTPTransport(verify=tls(), trust_env=False)
    # httpx offers no other way to hand a network backend to its pool; tests/listeners/test_http.py holds that it works.
    guarded._pool = httpcore.ConnectionPool(
        ssl_context=tls(),
        max_connections=10,
        keepalive_expiry=5.0,
        network_backend=_CheckedNetwork(options.allow_private_hosts, options.timeout * MAX_TIMES_TIMEOUT),
    )
    return guarded


@cache
def tls() -> ssl.SSLContext:
    """Made once: reading the certificate authorities takes longer than many a request."""
    return httpx.create_ssl_context()


class _CheckedNetwork(httpcore.SyncBackend):
    def __init__(self, allow_private: bool, seconds: float) -> None:
        self._allow_private = allow_private
        self._seconds = seconds

    def connect_tcp(self, host: str, port: int, *args: Any, **kwargs: Any) -> httpcore.NetworkStream:
        try:
            addresses = addresses_of(host, port, allow_private=self._allow_private)
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        for address in addresses[:-1]:
            try:
                return _InTime(super().connect_tcp(address, port, *args, **kwargs), self._seconds)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue  # the next address of the same name may answer, such as IPv4 where IPv6 leads nowhere
        return _InTime(super().connect_tcp(addresses[-1], port, *args, **kwargs), self._seconds)

    def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.NetworkStream:
        raise httpcore.ConnectError("a listener asks no Unix socket")


class _InTime(httpcore.NetworkStream):
    """A connection that ends `seconds` after the last thing that was sent on it, however much still drips in."""

    def __init__(self, stream: httpcore.NetworkStream, seconds: float) -> None:
        self._stream = stream
        self._seconds = seconds
        self._until = time.monotonic() + seconds

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left = self._until - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("dripping")
        return self._stream.read(max_bytes, left if timeout is None else min(left, timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._until = time.monotonic() + self._seconds
        self._stream.write(buffer, timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(self, *args: Any, **kwargs: Any) -> httpcore.NetworkStream:
        return _InTime(self._stream.start_tls(*args, **kwargs), self._seconds)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


# --- The guard, for requests (praw, tweepy) ------------------------------------------------------------------------


def session(options: Options, rewrite: Mapping[str, str] | None = None) -> requests.Session:
    """A requests session for a client library: guarded addresses, a time limit on every request, nothing tried twice.

    `rewrite` maps a beginning of an address, such as "https://api.example.com", to the one to ask in its place.
    """
    made = requests.Session()
    equip(made, options, rewrite)
    return made


def equip(made: requests.Session, options: Options, rewrite: Mapping[str, str] | None = None) -> None:
    """Does to a client library's own session what `session` does to a new one."""
    adapter = GuardedAdapter(options, rewrite)
    made.mount("https://", adapter)
    made.mount("http://", adapter)
    made.trust_env = False
    made.max_redirects = MAX_REDIRECTS
    made.headers["User-Agent"] = user_agent()


class GuardedAdapter(HTTPAdapter):
    """A requests adapter with the guard, a time limit where the library sets none, and addresses rewritten."""

    def __init__(self, options: Options, rewrite: Mapping[str, str] | None = None) -> None:
        self._options = options
        self._rewrite = {_bare(old): _bare(new) for old, new in (rewrite or {}).items()}
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _checked_pools(self._options.allow_private_hosts)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Sends to the rewritten address. Raises requests' exceptions, and Terminal for a private address."""
        request.url = self._rewritten(request.url or "")
        kwargs["timeout"] = kwargs.get("timeout") or self._options.timeout
        kwargs["proxies"] = None
        kwargs["stream"] = True  # it is read here, and not by requests, which would read without end
        return _bounded(super().send(request, *args, **kwargs))

    def _rewritten(self, url: str) -> str:
        for old, new in self._rewrite.items():
            if url == old or url.startswith((old + "/", old + "?")):
                return new + url[len(old) :]
        return url


def _bounded(response: requests.Response) -> requests.Response:
    """The response with its body read. For one that is too long it raises what users of requests expect."""
    body = bytearray()
    for chunk in response.iter_content(65_536):
        body += chunk
        if len(body) > MAX_ANSWER:
            response.close()
            raise requests.exceptions.ContentDecodingError(_TooMuch())
    response._content = bytes(body)
    return response


def _bare(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))


def _checked_pools(allow_private: bool) -> dict[str, type[urllib3.connectionpool.HTTPConnectionPool]]:
    """urllib3's pools with connections that go to checked addresses only."""

    class Checked(urllib3.connection.HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return _connect(self, allow_private)

    class CheckedTLS(urllib3.connection.HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return _connect(self, allow_private)

    class Pool(urllib3.connectionpool.HTTPConnectionPool):
        ConnectionCls = Checked

    class PoolTLS(urllib3.connectionpool.HTTPSConnectionPool):
        ConnectionCls = CheckedTLS

    return {"http": Pool, "https": PoolTLS}


def _connect(connection: urllib3.connection.HTTPConnection, allow_private: bool) -> socket.socket:
    host, port = connection.host, connection.port or connection.default_port
    try:
        addresses = addresses_of(host, port, allow_private=allow_private)
    except socket.gaierror as error:
        raise NameResolutionError(host, connection, error) from error
    last: OSError = OSError(f"{host} has no address")
    for address in addresses:
        try:
            return urllib3.util.connection.create_connection(
                (address, port),
                connection.timeout,
                source_address=connection.source_address,
                socket_options=connection.socket_options,
            )
        except OSError as error:
            last = error
    if isinstance(last, TimeoutError):
        raise ConnectTimeoutError(connection, f"{host} did not accept a connection in time") from last
    raise NewConnectionError(connection, f"no connection to {host}: {last}") from last
