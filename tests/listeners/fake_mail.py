"""A mail server on loopback with a memory: as much of IMAP and SMTP as the listener speaks, and the usual troubles.

IMAP and SMTP have a port each and share the mailbox. `requests` holds the commands of both, in order.
"""

from __future__ import annotations

import base64
import re
import socketserver
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from typing import Any, Self

ADDRESS = "support@acme.example"
PASSWORD = 'a pass\\word "quoted"'


@dataclass
class Stored:
    """A mail in a folder."""

    uid: int
    raw: bytes
    at: datetime
    poisoned: bool = False


@dataclass
class Box:
    """A folder; `attributes` as LIST gives them."""

    attributes: str = "\\HasNoChildren"
    mails: list[Stored] = field(default_factory=list)
    next_uid: int = 1


class _Cut(Exception):
    """The connection is cut here."""


class MailServer:
    """`server.posts(3)`, `server.goes_down()` and so on, as tests/listeners/fake_server.py has them for HTTP."""

    def __init__(self) -> None:
        self.boxes: dict[str, Box] = {"INBOX": Box(), "Sent": Box("\\HasNoChildren \\Sent")}
        self.validity = 1_700_000_000
        self.requests: list[str] = []
        self.delivered: list[tuple[str, str, bytes]] = []
        """Sender, recipient and message of every mail that was taken."""
        self.smtp_says: dict[str, str] = {}
        """What SMTP answers to a command in place of what is usual."""
        self.keeps_sent_mails = False
        self.capabilities = "IMAP4rev1 AUTH=PLAIN"
        self.greeting: bytes | None = None
        self.odd_answer: Callable[[bytes], bytes | None] | None = None
        """What stands on the wire in place of a page of mails; None cuts the connection."""
        self._down = self._web_pages = self._breaks_off = self._refuses = self._loses = False
        self._busy_in: int | None = None
        self._count = 0
        self._lock = threading.RLock()
        self._servers = [self._listen(self._imap), self._listen(self._smtp)]
        self.imap_port, self.smtp_port = (server.server_address[1] for server in self._servers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    # --- what is in the mailbox

    def posts(self, how_many: int) -> list[str]:
        """People write so many mails; their ids, oldest first."""
        ids = []
        for _ in range(how_many):
            self._count += 1
            ids.append(self.mail(f"Kettle {self._count}"))
        return ids

    def mail(self, text: str = "It leaks.", folder: str = "INBOX", **headers: str) -> str:
        """One mail with a text and headers; its id."""
        self._count += 1
        message_id = f"m{self._count}@ann.example"
        usual = {
            "From": "Ann Example <ann@ann.example>",
            "To": ADDRESS,
            "Subject": "My kettle",
            "Date": "Fri, 20 Nov 2026 10:00:00 +0100",
            "Message-ID": f"<{message_id}>",
        }
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in (usual | headers).items() if value]
        self.put("\r\n".join([*lines, "", text]).encode("utf-8", "surrogateescape"), folder)
        return message_id

    def put(self, raw: bytes, folder: str = "INBOX", **more: Any) -> int:
        """Puts a mail into a folder; its number."""
        box = self.boxes[folder]
        at = datetime(2026, 11, 20, 9, 0, 30, tzinfo=UTC) + timedelta(minutes=box.next_uid)
        box.mails.append(Stored(box.next_uid, raw, at, **more))
        box.next_uid += 1
        return box.next_uid - 1

    def numbers_anew(self) -> None:
        """What a server does whose index was lost: the same mails have other numbers."""
        self.validity += 1
        for box in self.boxes.values():
            for mail in box.mails:
                mail.uid += 5_000
            box.next_uid += 5_000

    def answers_under(self, external_id: str) -> list[str]:
        """The texts of the mails that people got in answer to a mail."""
        messages = [message_from_bytes(raw) for _, _, raw in self.delivered]
        ours = [one for one in messages if one["In-Reply-To"] == f"<{external_id}>"]
        return [bytes(one.get_payload(decode=True)).decode().strip() for one in ours]

    # --- what may befall it

    def goes_down(self) -> None:
        self._down = True

    def rate_limits(self, after: int, seconds: int = 7) -> None:
        """Once so many more pages were given out. IMAP has no way to say for how long."""
        self._busy_in = after

    def refuses(self) -> None:
        self._refuses = True

    def sends_web_pages(self) -> None:
        self._web_pages = True

    def breaks_off_answers(self) -> None:
        self._breaks_off = True

    def loses_the_next_answer(self) -> None:
        """The next mail that we send is taken, and the connection cut before we hear of it."""
        self._loses = True

    def comes_back(self) -> None:
        self._down = self._web_pages = self._breaks_off = self._refuses = self._loses = False
        self._busy_in = None
        self.odd_answer = None

    # --- both protocols

    def _listen(self, serve: Callable[[Any, Any], None]) -> socketserver.ThreadingTCPServer:
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            disable_nagle_algorithm = True  # else each small answer waits for the one before it

            def handle(self) -> None:
                if outer._down:
                    return
                if outer._web_pages:
                    self.wfile.write(
                        b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n\r\n<title>Sign in</title>"
                    )
                    return
                try:
                    serve(self.rfile, self.wfile)
                except (_Cut, ConnectionError, ValueError):
                    return

        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return server

    def _knows(self, secret: bytes) -> bool:
        return not self._refuses and base64.b64decode(secret) == f"\0{ADDRESS}\0{PASSWORD}".encode()

    # --- IMAP

    def _imap(self, lines: Any, out: Any) -> None:
        out.write(self.greeting or f"* OK [CAPABILITY {self.capabilities}] ready\r\n".encode())
        session = _Session(self, lines, out)
        while line := lines.readline():
            tag, _, rest = line.decode("utf-8", "surrogateescape").strip().partition(" ")
            command = rest.upper().removeprefix("UID ").partition(" ")[0]
            with self._lock:
                self.requests.append(rest)
                answer = getattr(session, f"do_{command.lower()}", session.unknown)(rest)
                out.write(f"{tag} {answer} done\r\n".encode())
            if command == "LOGOUT":
                return

    # --- SMTP

    def _smtp(self, lines: Any, out: Any) -> None:
        def say(words: str) -> None:
            out.write(words.encode() + b"\r\n")

        say("220 acme.example")
        sender = recipient = ""
        while line := lines.readline():
            words = line.decode().strip()
            command = words.partition(" ")[0].upper()
            with self._lock:
                self.requests.append(words)
                if command == "DATA" and "DATA" not in self.smtp_says:
                    say("354 go on")
                    self._take(lines, say, sender, recipient)
                    continue
            if command in self.smtp_says:
                say(self.smtp_says[command])
            elif command == "EHLO":
                say("250-acme.example\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME")
            elif command == "AUTH":
                say("235 welcome" if self._knows(words.split()[2].encode()) else "535 5.7.8 no such account")
            elif command == "QUIT":
                say("221 bye")
                return
            else:
                sender = words.partition("<")[2][:-1] if command == "MAIL" else sender
                recipient = words.partition("<")[2][:-1] if command == "RCPT" else recipient
                say("250 OK")

    def _take(self, lines: Any, say: Callable[[str], None], sender: str, recipient: str) -> None:
        raw = b""
        while (line := lines.readline()) != b".\r\n":
            if not line:
                raise _Cut
            raw += line[1:] if line.startswith(b".") else line
        if "." in self.smtp_says:
            return say(self.smtp_says["."])
        self.delivered.append((sender, recipient, raw))
        if self._loses:
            self._loses = False
            raise _Cut
        if self.keeps_sent_mails:
            self.put(raw, "Sent")
        return say("250 2.0.0 taken")


class _Session:
    """One IMAP connection. Each method does a command and returns what stands behind its tag."""

    def __init__(self, server: MailServer, lines: Any, out: Any) -> None:
        self.server = server
        self.lines = lines
        self.out = out
        self.box = Box()

    def unknown(self, rest: str) -> str:
        return "BAD unknown command"

    def say(self, words: str) -> None:
        self.out.write(f"* {words}\r\n".encode("utf-8", "surrogateescape"))

    def do_capability(self, rest: str) -> str:
        self.say(f"CAPABILITY {self.server.capabilities}")
        return "OK"

    def do_noop(self, rest: str) -> str:
        return "OK"

    do_logout = do_noop

    def do_authenticate(self, rest: str) -> str:
        self.out.write(b"+ \r\n")
        good = self.server._knows(self.lines.readline())
        return "OK signed in" if good else f"NO [AUTHENTICATIONFAILED] {PASSWORD} is wrong"

    def do_login(self, rest: str) -> str:
        username, password = (one.replace('\\"', '"').replace("\\\\", "\\") for one in _strings(rest))
        good = (username, password) == (ADDRESS, PASSWORD) and not self.server._refuses
        return "OK signed in" if good else "NO [AUTHENTICATIONFAILED] wrong"

    def do_list(self, rest: str) -> str:
        for name, box in self.server.boxes.items():
            self.say(f'LIST ({box.attributes}) "/" "{name}"')
        return "OK"

    def do_examine(self, rest: str) -> str:
        (name,) = _strings(rest)
        if name not in self.server.boxes:
            return "NO [NONEXISTENT] Mailbox doesn't exist"
        self.box = self.server.boxes[name]
        self.say(f"{len(self.box.mails)} EXISTS")
        self.say(f"OK [UIDVALIDITY {self.server.validity}] valid")
        return "OK [READ-ONLY] open"

    def do_search(self, rest: str) -> str:
        found = " ".join(str(mail.uid) for mail in self._meant(rest.partition("SEARCH ")[2]))
        self.say(f"SEARCH {found}".strip())
        return "OK"

    def _meant(self, criteria: str) -> Iterator[Stored]:
        for n, mail in enumerate(self.box.mails, start=1):
            if above := re.fullmatch(r"UID (\d+):\*", criteria):
                if mail.uid >= int(above[1]) or n == len(self.box.mails):  # * is the last, whatever its number
                    yield mail
            elif since := re.fullmatch(r"SINCE (.*)", criteria):
                if mail.at.date() >= datetime.strptime(since[1], "%d-%b-%Y").date():  # noqa: DTZ007
                    yield mail
            elif header := re.fullmatch(r'HEADER (\S+) "(.*)"', criteria):
                if header[2] in str(message_from_bytes(mail.raw)[header[1]]):
                    yield mail
            else:
                assert criteria == "ALL", criteria
                yield mail

    def do_fetch(self, rest: str) -> str:
        numbers = {int(one) for one in rest.split()[2].split(",")}
        assert "BODY.PEEK[]<0." in rest, "a mail was to be fetched whole, or would be marked as read"
        most = int(rest.partition("<0.")[2].partition(">")[0])
        server = self.server
        if server._busy_in is not None:
            if server._busy_in <= 0:
                return "NO [LIMIT] Too many requests"
            server._busy_in -= 1
        meant = [mail for mail in self.box.mails if mail.uid in numbers]
        if any(mail.poisoned for mail in meant):
            return "NO [SERVERBUG] Internal error occurred"
        whole = b"* 1 FETCH (FLAGS (\\Seen))\r\n"  # a server may speak of other things at any time
        for n, mail in enumerate(meant, start=1):
            at = mail.at.strftime("%d-%b-%Y %H:%M:%S +0000")
            raw = mail.raw[:most]
            head = f'* {n} FETCH (RFC822.SIZE {len(mail.raw)} INTERNALDATE "{at}" BODY[]<0> {{{len(raw)}}}\r\n'.encode()
            if server._breaks_off:
                self.out.write(head + raw[: len(raw) // 2])
                raise _Cut
            whole += head + raw + f" UID {mail.uid})\r\n".encode()
        said = server.odd_answer(whole) if server.odd_answer else whole
        if said is None:
            raise _Cut
        self.out.write(said)
        return "OK"

    def do_append(self, rest: str) -> str:
        (name,) = _strings(rest)
        size = int(rest.rpartition("{")[2].rstrip("}"))
        if name not in self.server.boxes:
            return "NO [TRYCREATE] no such folder"
        self.out.write(b"+ go on\r\n")
        raw = self.lines.read(size)
        self.lines.readline()
        self.server.put(raw, name)
        return "OK"

    def do_create(self, rest: str) -> str:
        self.server.boxes[_strings(rest)[0]] = Box()
        return "OK"


def _strings(rest: str) -> list[str]:
    return re.findall(r'"((?:\\.|[^"\\])*)"', rest)
