"""IMAP and SMTP as the mail listener speaks them: guarded addresses, bounded answers, TLS, failures in sentences.

A server on another machine is spoken to under TLS or not at all: at once on the ports that are made for it (993, 465),
by STARTTLS on any other.
"""

from __future__ import annotations

import base64
import imaplib
import io
import re
import smtplib
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Self, TypeVar

from listeners.addresses import addresses_of
from listeners.base import BadCredentials, ListeningError, Options, OutcomeUnknown, Terminal, Transient
from listeners.http import MAX_ANSWER, MAX_TIMES_TIMEOUT, failed
from listeners.plain_text import one_line

TLS_AT_ONCE = (993, 465)
MAX_MESSAGE = 1024 * 1024
"""Bytes of a mail that are read, from its beginning; attachments mostly come last."""
BUSY_WAIT = 30.0
"""Seconds to wait where a server has too much to do: neither protocol lets it say for how long."""
MAX_LINE = 1_000_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server is, and who we are there."""

    host: str
    port: int
    username: str
    password: str = field(repr=False)


# --- Connections ---------------------------------------------------------------------------------------------------


class _Reader(io.RawIOBase):
    """What a server answers to one command: at most MAX_ANSWER bytes, within MAX_TIMES_TIMEOUT time limits."""

    def __init__(self, connection: socket.socket, timeout: float) -> None:
        self._connection = connection
        self._timeout = timeout
        self.restart()

    def restart(self) -> None:
        """Counts anew: something was sent."""
        self._until = time.monotonic() + self._timeout * MAX_TIMES_TIMEOUT
        self._left = MAX_ANSWER

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        seconds = self._until - time.monotonic()
        if seconds <= 0 or self._left <= 0:
            raise TimeoutError("dripping" if self._left else "too much")
        self._connection.settimeout(min(seconds, self._timeout))
        size = self._connection.recv_into(buffer)
        self._left -= size
        return size


def _connected(server: Server, options: Options) -> tuple[socket.socket, bool]:
    """A connection to a checked address, and whether that is on this machine. Raises Terminal, OSError."""
    addresses = addresses_of(server.host, server.port, allow_private=options.allow_private_hosts)
    for address in addresses[:-1]:
        try:
            return socket.create_connection((address, server.port), options.timeout), _is_this_machine(address)
        except OSError:
            continue  # the next address of the same name may answer, such as IPv4 where IPv6 leads nowhere
    return socket.create_connection((addresses[-1], server.port), options.timeout), _is_this_machine(addresses[-1])


def _is_this_machine(address: str) -> bool:
    return ip_address(address.split("%", 1)[0]).is_loopback


def _tls(here: bool) -> ssl.SSLContext:
    """What a certificate is checked with; that of a server on this machine needs nobody's signature.

    SSL_CERT_FILE names the authority of a company that signs its own.
    """
    context = ssl.create_default_context()
    if here:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


# --- IMAP ----------------------------------------------------------------------------------------------------------


class _Imap4(imaplib.IMAP4):
    """imaplib's protocol over a connection of ours."""

    def __init__(self, server: Server, options: Options) -> None:
        self._server = server
        self._options = options
        super().__init__(server.host, server.port, options.timeout)

    def open(self, host: str = "", port: int = 143, timeout: float | None = None) -> None:
        self.host, self.port = host, port
        self.sock, self.here = _connected(self._server, self._options)
        if port in TLS_AT_ONCE:
            self.sock = _tls(self.here).wrap_socket(self.sock, server_hostname=host)
        self._listen()

    def _listen(self) -> None:
        self._raw = _Reader(self.sock, self._options.timeout)
        self.file: Any = io.BufferedReader(self._raw)

    def encrypt(self) -> None:
        """STARTTLS; imaplib's own would go on reading what came before the encryption."""
        status, words = self.xatom("STARTTLS")
        if status != "OK":
            raise self.error(words)
        self.sock = _tls(self.here).wrap_socket(self.sock, server_hostname=self.host)
        self._listen()
        self.capabilities = tuple(_words(self.capability()[1]).upper().split())

    def read(self, size: int) -> bytes:
        if size > MAX_ANSWER:
            raise self.abort("too much")
        return bytes(self.file.read(size))

    def readline(self) -> bytes:
        line: bytes = self.file.readline(MAX_LINE + 1)
        if len(line) > MAX_LINE:
            raise self.abort("too long a line")
        return line

    def send(self, data: Any) -> None:
        self._raw.restart()
        self.sock.settimeout(self._options.timeout)
        self.sock.sendall(data)


@dataclass(frozen=True, slots=True)
class Arrived:
    """A mail as the server has it: the beginning of its bytes, and when it came. `raw` None: it was not given out."""

    uid: int
    raw: bytes | None = field(repr=False)
    at: datetime | None = None
    size: int = 0


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that is open. `validity` changes when the server numbers its mails anew."""

    validity: int
    mails: int


_ERRORS = (imaplib.IMAP4.error, OSError, ValueError, EOFError, AttributeError, IndexError, TypeError, KeyError)
"""What imaplib raises: most of these for answers that it does not expect."""


class Imap:
    """A mailbox, signed in to, and only looked at: nothing is ever marked as read, moved or deleted.

    A context manager. Everything raises Transient or Terminal.
    """

    def __init__(self, server: Server, options: Options) -> None:
        self._host = server.host
        self._imap = self._try(lambda: _Imap4(server, options))
        try:
            self._sign_in(server)
        except ListeningError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection, without waiting for a farewell."""
        try:
            self._imap.shutdown()
        except OSError:
            pass  # it was gone already

    def _sign_in(self, server: Server) -> None:
        if server.port not in TLS_AT_ONCE and (not self._imap.here or "STARTTLS" in self._imap.capabilities):
            if "STARTTLS" not in self._imap.capabilities:
                raise _no_tls(self._host)
            self._try(self._imap.encrypt)
        try:
            if "AUTH=PLAIN" in self._imap.capabilities:
                self._imap.authenticate("PLAIN", lambda _: f"\0{server.username}\0{server.password}".encode())
            else:
                _check_plain(self._host, server)
                self._imap.login(_quoted(server.username), server.password)
        except imaplib.IMAP4.abort as error:
            raise self._meaning(error) from error
        except imaplib.IMAP4.error as error:
            raise _refused_sign_in(self._host, _words(error)) from error
        except OSError as error:
            raise failed(self._host, error) from error

    def _try(self, do: Callable[[], T]) -> T:
        try:
            return do()
        except _ERRORS as error:
            raise self._meaning(error) from error

    def _meaning(self, error: Exception) -> ListeningError:
        if isinstance(error, ListeningError):
            return error
        if isinstance(error, OSError):
            return failed(self._host, error)
        if isinstance(error, imaplib.IMAP4.abort):
            return Transient(f"{self._host} broke off.")
        kind = _Refused if isinstance(error, imaplib.IMAP4.error) else Transient
        return kind(f"{self._host} answered something that is not understood.")

    def _ask(self, command: Callable[[], tuple[str, Any]]) -> list[Any]:
        """What a command gives. Raises as its refusal means."""
        status, data = self._try(command)
        if status != "OK":
            raise _refused(self._host, _words(data))
        return [one for one in data or [] if one is not None]

    def folders(self) -> Iterator[tuple[str, str]]:
        """The folders: their attributes in lower case, and their name as the server writes it."""
        for line in self._ask(self._imap.list):
            head, name = (line[0], line[1]) if isinstance(line, tuple) else (line, b"")
            match = _LISTED.match(head) if isinstance(head, bytes) else None
            if match:
                written = name or _unquoted(match[2])
                yield match[1].decode("ascii", "replace").lower(), written.decode("ascii", "replace")

    def look_into(self, folder: str) -> Folder:
        """Opens a folder, by the name that `folders` gave or `encoded` made, to read only."""
        mails = self._ask(lambda: self._imap.select(_quoted(folder), readonly=True))
        validity = self._imap.response("UIDVALIDITY")[1]
        try:
            return Folder(int(validity[0]), int(mails[0]))
        except (TypeError, ValueError, IndexError) as error:
            raise Transient(f"{self._host} did not say how it numbers its mails.") from error

    def uids(self, *criteria: str) -> list[int]:
        """The numbers of the open folder's mails that meet criteria of SEARCH, ascending."""
        found = self._ask(lambda: self._imap.uid("SEARCH", *criteria))
        numbers = b" ".join(one for one in found if isinstance(one, bytes)).split()
        return sorted({int(one) for one in numbers if one.isdigit() and len(one) < 12})

    def with_id(self, header: str, message_id: str) -> list[int]:
        """The mails in the open folder whose header names a Message-ID."""
        return self.uids("HEADER", header, _quoted(f"<{message_id}>"))

    def fetch(self, uids: Sequence[int]) -> list[Arrived]:
        """The mails with these numbers that are still there. One that the server cannot give out costs no other."""
        try:
            return self._fetch(uids)
        except (_Refused, Terminal):
            if len(uids) > 1:
                return [mail for uid in uids for mail in self.fetch([uid])]
            return [Arrived(uids[0], None)]

    def _fetch(self, uids: Sequence[int]) -> list[Arrived]:
        numbers = ",".join(map(str, uids))
        what = f"(UID RFC822.SIZE INTERNALDATE BODY.PEEK[]<0.{MAX_MESSAGE}>)"
        answer = self._ask(lambda: self._imap.uid("FETCH", numbers, what))
        return sorted((mail for mail in _mails(answer) if mail.uid in uids), key=lambda mail: mail.uid)

    def append(self, folder: str, message: bytes) -> None:
        """Puts a copy into a folder, as one that has been read; makes the folder where there is none."""

        def put() -> tuple[str, Any]:
            return self._imap.append(_quoted(folder), "(\\Seen)", "", message)

        status, data = self._try(put)
        if status != "OK" and "TRYCREATE" in _words(data):
            self._ask(lambda: self._imap.create(_quoted(folder)))
            status, data = self._try(put)
        if status != "OK":
            raise _refused(self._host, _words(data))


_LISTED = re.compile(rb'\(([^)]*)\) (?:"(?:\\.|[^"\\])*"|NIL) (.*)', re.DOTALL)
_UID = re.compile(rb"\bUID (\d{1,11})")
_SIZE = re.compile(rb"\bRFC822\.SIZE (\d{1,18})")
_ARRIVED = re.compile(rb'\bINTERNALDATE "([^"]{1,60})"')


def _mails(answer: Sequence[Any]) -> Iterator[Arrived]:
    """The mails in an answer to FETCH, where imaplib puts each as (what comes before, the mail), what comes after."""
    for n, part in enumerate(answer):
        if not isinstance(part, tuple) or len(part) < 2:
            continue
        after = answer[n + 1] if n + 1 < len(answer) and isinstance(answer[n + 1], bytes) else b""
        said = part[0] + b" " + after
        uid, size, at = _UID.search(said), _SIZE.search(said), _ARRIVED.search(said)
        if uid:
            yield Arrived(int(uid[1]), part[1], _moment(at[1]) if at else None, int(size[1]) if size else 0)


def _moment(written: bytes) -> datetime | None:
    """An INTERNALDATE, such as 17-Nov-2026 02:44:25 -0700."""
    try:
        found = parsedate_to_datetime(written.decode("ascii", "replace").replace("-", " ", 2))
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _quoted(text: str) -> str:
    """A string of IMAP. Raises Terminal for what would end the command that it stands in."""
    if re.search(r"[\x00-\x1f\x7f-\U0010ffff]", text):
        raise Terminal("This is no name of a folder or a mail.", "Choose one that the mail server knows.")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _unquoted(text: bytes) -> bytes:
    text = text.strip()
    return re.sub(rb"\\(.)", rb"\1", text[1:-1]) if text.startswith(b'"') else text


def encoded(folder: str) -> str:
    """A folder's name as IMAP writes it: other letters in a UTF-7 of its own (RFC 3501)."""

    def other(match: re.Match[str]) -> str:
        letters = base64.b64encode(match[0].encode("utf-16-be", "surrogatepass")).decode().rstrip("=")
        return f"&{letters.replace('/', ',')}-"

    return re.sub(r"[^\x20-\x7e]+", other, folder.replace("&", "&-"))


def search_date(day: date) -> str:
    """A date as SEARCH takes it, whatever language this machine is set to."""
    months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
    return f"{day.day:02}-{months[day.month - 1]}-{day.year}"


class _Refused(Transient):
    """A command that the server would not do now, for a reason that it did not name."""


def _words(said: object) -> str:
    """A server's own words out of what imaplib gives: bytes, lists of them, or an exception around one."""
    if isinstance(said, Exception):
        said = said.args[0] if said.args else ""
    if isinstance(said, (list, tuple)):
        return " ".join(_words(one) for one in said if one)
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)


def _refused_sign_in(host: str, words: str) -> ListeningError:
    """What a refused sign-in means. The server's words are not passed on: they may repeat what we sent."""
    upper = words.upper()
    if any(code in upper for code in ("[UNAVAILABLE]", "[INUSE]", "[LIMIT]", "TOO MANY", "TRY AGAIN")):
        return Transient(f"{host} lets nobody in at the moment.", BUSY_WAIT)
    if any(
        code in upper for code in ("PRIVACYREQUIRED", "BASICAUTH", "BASIC AUTH", "WEBALERT", "APPLICATION-SPECIFIC")
    ):
        return BadCredentials(
            f"{host} does not take this password from programs.", "Make an app password at your mail provider."
        )
    return BadCredentials(f"{host} did not accept the user name or the password.", "Enter both again.")


def _refused(host: str, words: str) -> ListeningError:
    """What a refused command means."""
    upper, said = words.upper(), one_line(re.sub(r"\[[^\]]*\]", "", words), 200).rstrip(".")
    if any(code in upper for code in ("[LIMIT]", "[UNAVAILABLE]", "[INUSE]", "TOO MANY", "THROTTL", "RATE LIMIT")):
        return Transient(f"{host} has too much to do at the moment: {said}.", BUSY_WAIT)
    if any(code in upper for code in ("[NONEXISTENT]", "DOESN'T EXIST", "NOT FOUND", "UNKNOWN MAILBOX", "NO SUCH")):
        return Terminal(f"{host} has no such folder.", "Choose one of the folders that your mail program shows.")
    if any(code in upper for code in ("[NOPERM]", "PERMISSION", "NOT ALLOWED", "ACCESS DENIED")):
        return Terminal(f"{host} does not allow this: {said}.", "Check what the mailbox may do.")
    return _Refused(f"{host} refused: {said}.")


def _check_plain(host: str, server: Server) -> None:
    """Raises Terminal for a user name or password that a server's older ways of signing in cannot carry."""
    both = server.username + server.password
    if not (both.isascii() and both.isprintable()):
        raise Terminal(f"{host} takes only plain letters and signs in a password.", "Change the password there.")


def _no_tls(host: str) -> Terminal:
    return Terminal(
        f"{host} offers no encryption on this port, so the password would be read on the way.",
        "Use port 993 for IMAP and 465 or 587 for SMTP.",
    )


# --- SMTP ----------------------------------------------------------------------------------------------------------


class _Smtp(smtplib.SMTP):
    """smtplib's protocol over a connection of ours."""

    def __init__(self, server: Server, options: Options) -> None:
        self._server = server
        self._options = options
        # Said in place of this machine's name, which is nobody's business.
        super().__init__(local_hostname="[127.0.0.1]", timeout=options.timeout)
        self._host = server.host  # smtplib checks certificates against it, and sets it only where it connects at once

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        connection, self.here = _connected(self._server, self._options)
        if port in TLS_AT_ONCE:
            return _tls(self.here).wrap_socket(connection, server_hostname=host)
        return connection

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:
            self._raw = _Reader(self.sock, self._options.timeout)
            self.file: Any = io.BufferedReader(self._raw)
        return super().getreply()

    def send(self, s: Any) -> None:
        if self.file is not None:
            self._raw.restart()
        if self.sock is not None:
            self.sock.settimeout(self._options.timeout)
        super().send(s)


class Smtp:
    """A server that takes our mail, signed in to. A context manager. Everything raises Transient or Terminal."""

    def __init__(self, server: Server, options: Options) -> None:
        self._host = server.host
        self._smtp = _Smtp(server, options)
        try:
            self._sign_in(server)
        except BaseException:
            self._smtp.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._smtp.close()

    def _sign_in(self, server: Server) -> None:
        self._expect(lambda: self._smtp.connect(server.host, server.port), 220)
        self._expect(self._smtp.ehlo, 250)
        if server.port not in TLS_AT_ONCE and (not self._smtp.here or self._smtp.has_extn("starttls")):
            if not self._smtp.has_extn("starttls"):
                raise _no_tls(self._host)
            self._expect(lambda: self._smtp.starttls(context=_tls(self._smtp.here)), 220)
            self._expect(self._smtp.ehlo, 250)
        if not self._smtp.has_extn("auth") and self._smtp.here:
            return  # a server on this machine that trusts whoever runs there
        secret = base64.b64encode(f"\0{server.username}\0{server.password}".encode()).decode()
        if "PLAIN" in self._smtp.esmtp_features.get("auth", "").upper().split():
            code, words = self._try(lambda: self._smtp.docmd("AUTH", f"PLAIN {secret}"))
        else:
            code, words = self._login(server)
        if code not in (235, 503):
            raise self._meaning_of(code, words, signing_in=True)

    def _login(self, server: Server) -> tuple[int, bytes]:
        _check_plain(self._host, server)
        return self._try(lambda: self._smtp.login(server.username, server.password))

    def send(self, sender: str, recipient: str, message: bytes) -> None:
        """Hands over one message with CRLF line ends.

        Raises Transient or Terminal only where the server has not taken it, else OutcomeUnknown.
        """
        self._expect(lambda: self._smtp.docmd("MAIL", f"FROM:<{sender}>"), 250)
        self._expect(lambda: self._smtp.docmd("RCPT", f"TO:<{recipient}>"), 250, 251, 252)
        self._expect(lambda: self._smtp.docmd("DATA"), 354)
        body = re.sub(rb"(?m)^\.", b"..", message.removesuffix(b"\r\n"))
        try:
            self._smtp.send(body + b"\r\n.\r\n")
            code, words = self._smtp.getreply()
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise OutcomeUnknown(f"{self._host} broke off while the mail was being sent; it may have left.") from error
        if code != 250:
            raise self._meaning_of(code, words)

    def _try(self, do: Callable[[], tuple[int, bytes]]) -> tuple[int, bytes]:
        try:
            return do()
        except smtplib.SMTPResponseException as error:
            said = error.smtp_error
            return error.smtp_code, said if isinstance(said, bytes) else str(said).encode("utf-8", "replace")
        except (smtplib.SMTPServerDisconnected, ValueError) as error:
            raise Transient(f"{self._host} broke off before the mail was sent.") from error
        except smtplib.SMTPException as error:
            raise Terminal(
                f"{self._host} offers no way to sign in that is known here.", "Check host and port."
            ) from error
        except OSError as error:
            raise failed(self._host, error) from error

    def _expect(self, do: Callable[[], tuple[int, bytes]], *codes: int) -> None:
        code, words = self._try(do)
        if code not in codes:
            raise self._meaning_of(code, words)

    def _meaning_of(self, code: int, words: bytes, *, signing_in: bool = False) -> ListeningError:
        """What a reply means that is not the one hoped for; nothing was taken then."""
        said = one_line(words.decode("utf-8", "replace"), 200).rstrip(".")
        if 400 <= code < 500:
            return Transient(f"{self._host} takes no mail at the moment ({code}): {said}.")
        if signing_in or code in (530, 534, 535):
            return BadCredentials(f"{self._host} did not accept the user name or the password.", "Enter both again.")
        if 500 <= code < 600:
            return Terminal(
                f"{self._host} refused the mail ({code}): {said}.", "Check the address, or write otherwise."
            )
        return Transient(f"{self._host} answered something that is no SMTP.")
