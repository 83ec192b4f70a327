"""Dovecot and OpenSMTPD themselves: Debian's packages, started here on loopback with users of their own.

Dovecot's submission server stands before OpenSMTPD, whose own TLS is broken in Debian 12.

Skipped where they are not installed (apt-get install dovecot-imapd dovecot-submissiond opensmtpd), or where this is
not root in a place that may have mounts of its own: OpenSMTPD's queue has a fixed place, which is hidden by one.
"""

from __future__ import annotations

import imaplib
import os
import shutil
import smtplib
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from listeners import registry
from listeners.base import BadCredentials, CannotTell, Cursor, Kind, Options, Post, Query, Sent, Terminal, Transient
from listeners.mail import Mail
from tests.listeners.contract import collect

INBOX = Query("", "inbox")
SUPPORT, JANE = "support@acme.example", "jane@customer.example"
PASSWORD = "pä55 wörd"
NOBODY = 65534

DOVECOT = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
protocols = imap submission
hostname = acme.example
submission_relay_host = 127.0.0.1
submission_relay_port = {relay}
listen = 127.0.0.1
ssl = yes
ssl_cert = <{folder}/cert.pem
ssl_key = <{folder}/key.pem
mail_location = maildir:{folder}/mail/%n
first_valid_uid = 1
passdb {{
  driver = passwd-file
  args = {folder}/users
}}
userdb {{
  driver = static
  args = uid={nobody} gid={nobody} home={folder}/mail/%n
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service submission-login {{
  inet_listener submission {{
    port = {smtp}
  }}
  inet_listener submissions {{
    port = {smtps}
    ssl = yes
  }}
}}
namespace inbox {{
  inbox = yes
  mailbox "Sent Letters" {{
    special_use = \\Sent
    auto = subscribe
  }}
}}
"""

OPENSMTPD = """
table people {{ "support" = "{nobody}:{nobody}:{folder}/mail", "jane" = "{nobody}:{nobody}:{folder}/mail" }}
listen on 127.0.0.1 port {relay}
action "deliver" maildir "{folder}/mail/%{{rcpt.user}}" userbase <people>
action "fail" mda "/bin/false" userbase <people>
match from any for domain "acme.example" action "deliver"
match from any for domain "customer.example" action "deliver"
match from any for domain "broken.example" action "fail"
"""

HIDDEN = (
    'mount -t tmpfs none /var/spool; mount -t tmpfs none /run; mkdir -m 711 /var/spool/smtpd; exec smtpd -d -f "$1"'
)


@dataclass(frozen=True)
class Servers:
    """Both running servers, and whose mailboxes they hold."""

    folder: Path
    imap: int
    imaps: int
    smtp: int
    smtps: int
    relay: int

    def listener(self, address: str = SUPPORT, **account: str) -> Mail:
        usual = {
            "address": address,
            "name": "Jane" if address == JANE else "Acme Support",
            "password": PASSWORD,
            "imap_host": "localhost",
            "smtp_host": "localhost",
            "imap_port": str(self.imap),
            "smtp_port": str(self.smtp),
        }
        found = registry.open("mail", usual | account, Options(timeout=10.0, allow_private_hosts=True))
        assert isinstance(found, Mail)
        return found

    def mailbox(self, address: str) -> imaplib.IMAP4:
        """The mailbox as its owner's mail program sees it."""
        imap = imaplib.IMAP4("127.0.0.1", self.imap)
        imap.authenticate("PLAIN", lambda _: f"\0{address}\0{PASSWORD}".encode())
        return imap

    def put(self, folder: str, text: str, address: str = SUPPORT, **headers: str) -> None:
        """Puts a mail into a folder by the owner's mail program, unread."""
        lines = {"From": JANE, "Date": "Fri, 20 Nov 2026 10:00:00 +0000", **headers}
        raw = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items()) + f"\r\n{text}\r\n"
        with self.mailbox(address) as imap:
            imap.create(folder)
            assert imap.append(folder, "", imaplib.Time2Internaldate(time.time()), raw.encode())[0] == "OK"

    def jane_writes(self, subject: str, text: str, **headers: str) -> None:
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = f"Jäne <{JANE}>", SUPPORT, subject
        message["Date"] = datetime.now(UTC)
        for name, value in headers.items():
            message[name.replace("_", "-")] = value
        message.set_content(text)
        with smtplib.SMTP("127.0.0.1", self.relay, local_hostname="localhost") as smtp:
            smtp.send_message(message)


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    programs = ("/usr/sbin/dovecot", "/usr/lib/dovecot/imap", "/usr/lib/dovecot/submission", "/usr/sbin/smtpd")
    if not all(map(shutil.which, programs)):
        pytest.skip("dovecot-imapd, dovecot-submissiond and opensmtpd are not all installed")
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("only root, where it may have mounts of its own, can start OpenSMTPD beside another")
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="samtal-mail-"))  # a short path: that of a socket is bounded
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o755)
        running = Servers(folder, *(_free_port() for _ in range(5)))
        _write_files(running)
        environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin"}
        for command in (
            ["dovecot", "-F", "-c", str(folder / "dovecot.conf")],
            ["unshare", "-m", "sh", "-ec", HIDDEN, "sh", str(folder / "smtpd.conf")],
        ):
            output = (folder / f"{command[0]}.output").open("wb")
            process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
            stack.callback(_end, process)
        for port in (running.imap, running.imaps, running.smtp, running.smtps, running.relay):
            _wait_for(partial(_answers, port), folder)
        yield running


def _write_files(running: Servers) -> None:
    folder = running.folder
    certificate, key = _certificate()
    names = {**vars(running), "nobody": NOBODY}
    for name, text in {
        "cert.pem": certificate,
        "key.pem": key,
        "users": "".join(f"{address}:{{PLAIN}}{PASSWORD}\n" for address in (SUPPORT, JANE)),
        "dovecot.conf": DOVECOT.format(**names),
        "smtpd.conf": OPENSMTPD.format(**names),
    }.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o600 if name == "key.pem" else 0o644)
    for name in ("run", "state", "mail"):
        (folder / name).mkdir()
    os.chown(folder / "mail", NOBODY, NOBODY)


def _certificate() -> tuple[str, str]:
    """A certificate for localhost that signs itself, and its key."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))]
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def _wait_for(happened: Callable[[], object], folder: Path) -> None:
    until = time.monotonic() + 30
    while not happened():
        logs = [path.read_text(errors="replace")[-2_000:] for path in folder.glob("*.output")]
        assert time.monotonic() < until, f"it did not happen in time: {logs}"
        time.sleep(0.05)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def read(listener: Mail, cursor: Cursor | None = None, query: Query = INBOX) -> tuple[dict[str, Post], Cursor]:
    posts, cursor = collect(listener, query, cursor or {})
    return {post.title or "": post for post in posts}, cursor


def arrived(servers: Servers, listener: Mail, title: str) -> Post:
    """The post with this title, as soon as it has been delivered."""
    found: dict[str, Post] = {}

    def is_there() -> bool:
        found.update(read(listener)[0])
        return title in found

    _wait_for(is_there, servers.folder)
    return found[title]


@pytest.mark.parametrize("way", ["STARTTLS", "TLS", "plain"])
def test_a_letter_goes_out_and_comes_back(servers: Servers, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    monkeypatch.setattr("listeners.mail_servers.TLS_AT_ONCE", (servers.imaps, servers.smtps))
    ports = {"imap_port": str(servers.imaps), "smtp_port": str(servers.smtps)} if way == "TLS" else {}
    if way == "plain":  # a server on this machine that trusts whoever runs there
        ports = {"smtp_port": str(servers.relay)}
    support, jane, key = servers.listener(**ports), servers.listener(JANE, **ports), f"key {way}"
    servers.jane_writes(f"Kücher {way}", "It leaks.\n-- \nJäne")
    post = arrived(servers, support, f"Kücher {way}")
    assert post.text == "It leaks."
    assert post.author is not None
    assert (post.author.id, post.author.display_name) == (JANE, "Jäne")

    sent = support.answer(post, "Ist er aus?\n.\nGrüße 🙂", key)
    assert support.answer(post, "Ist er aus?", key).external_id == sent.external_id
    assert isinstance(support.find(post, "", key, datetime.now(UTC)), Sent)
    letter = arrived(servers, jane, f"Re: Kücher {way}")
    assert letter.text == "Ist er aus?\n.\nGrüße 🙂"
    assert (letter.external_id, letter.parent_id, letter.root_id) == (
        sent.external_id, post.external_id, post.external_id,
    )  # fmt: skip

    back = jane.answer(letter, "Yes.", f"{key} back")
    reply = arrived(servers, support, f"Re: Kücher {way}")
    assert (reply.external_id, reply.parent_id, reply.root_id) == (
        back.external_id, sent.external_id, post.external_id,
    )  # fmt: skip
    copies, _ = read(support, query=Query("Sent Letters", "folder"))
    assert copies[f"Re: Kücher {way}"].kind is Kind.ANSWER
    letters = [one for one in collect(jane, INBOX, {})[0] if one.external_id == sent.external_id]
    assert len(letters) == 1


def test_nothing_is_marked_as_read(servers: Servers) -> None:
    servers.put("Unread", "Hello.", Message_ID="<unread@c.example>")
    assert len(collect(servers.listener(), Query("Unread", "folder"), {})[0]) == 1
    with servers.mailbox(SUPPORT) as imap:
        assert imap.status("Unread", "(MESSAGES UNSEEN)")[1] == [b"Unread (MESSAGES 1 UNSEEN 1)"]


def test_a_folder_in_any_language_is_read(servers: Servers) -> None:
    servers.put('"Entw&APw-rfe &- &U,BTFw-"', "Hello.", Subject="In a drawer")
    assert list(read(servers.listener(), query=Query("Entwürfe & 台北", "folder"))[0]) == ["In a drawer"]
    with pytest.raises(Terminal, match="no such folder"):
        read(servers.listener(), query=Query("Nowhere", "folder"))


def test_a_mailbox_that_was_numbered_anew_loses_and_doubles_nothing(servers: Servers) -> None:
    folder, listener = Query("Anew", "folder"), servers.listener()
    for n in range(3):
        servers.put("Anew", "Hello.", Message_ID=f"<anew{n}@c.example>", Subject=f"Number {n}")
    seen, cursor = read(listener, query=folder)
    for index in (servers.folder / "mail" / "support" / ".Anew").glob("dovecot*"):
        index.unlink()
    servers.put("Anew", "Hello.", Message_ID="<anew3@c.example>", Subject="Number 3")
    later, after = read(listener, cursor, folder)
    assert after["uidvalidity"] != cursor["uidvalidity"], "the server did not do what this test is about"
    assert {post.external_id for post in later.values()} >= {"anew3@c.example"}
    assert all(post.external_id == later[title].external_id for title, post in seen.items() if title in later)
    assert read(listener, after, folder)[0] == {}


def test_whom_the_server_does_not_know_gets_no_mail(servers: Servers) -> None:
    servers.jane_writes("To nobody", "Hello.")
    listener = servers.listener()
    post = arrived(servers, listener, "To nobody")
    assert post.author is not None
    post = post.model_copy(update={"author": post.author.model_copy(update={"id": "nobody@acme.example"})})
    with pytest.raises(Terminal, match=r"550"):
        listener.answer(post, "Hello.", "key to nobody")
    assert isinstance(listener.find(post, "Hello.", "key to nobody", datetime.now(UTC)), CannotTell)


def test_a_real_report_is_no_post(servers: Servers) -> None:
    listener = servers.listener()
    servers.jane_writes("To be lost", "Hello.")
    post = arrived(servers, listener, "To be lost")
    assert post.author is not None
    lost = post.model_copy(update={"author": post.author.model_copy(update={"id": "jane@broken.example"})})
    listener.answer(lost, "Hello?", "key lost")
    reasons: list[str] = []

    def is_reported() -> bool:
        reasons[:] = [one.reason for page in listener.fetch(INBOX, {}) for one in page.rejected]
        return bool(reasons)

    _wait_for(is_reported, servers.folder)
    assert reasons == ["reports that a mail to jane@broken.example did not arrive (5.3.0)"]


def test_credentials_are_told_apart_from_all_else(servers: Servers) -> None:
    health = servers.listener().check()
    assert health.ok
    with pytest.raises(BadCredentials):
        servers.listener(password="wrong").check()


def test_a_certificate_that_nobody_vouches_for_is_not_trusted(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("listeners.mail_servers._is_this_machine", lambda address: False)
    with pytest.raises(Transient, match="cannot be trusted"):
        servers.listener().check()
    monkeypatch.setenv("SSL_CERT_FILE", str(servers.folder / "cert.pem"))
    assert servers.listener().check().ok
