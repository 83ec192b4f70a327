"""Mail: read by IMAP in the order of arrival, answered by SMTP in the same thread."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from listeners import mail, registry
from listeners.base import (
    BadCredentials,
    CannotTell,
    Cursor,
    Kind,
    ListeningError,
    Options,
    OutcomeUnknown,
    Post,
    Query,
    Rejected,
    Sent,
    Terminal,
    Transient,
)
from listeners.mail import Mail
from listeners.mail_servers import Smtp, encoded
from tests.listeners.contract import AnswersContract, LooksBackContract, NetworkContract, Rig, collect
from tests.listeners.fake_mail import ADDRESS, PASSWORD, Box, MailServer

FIXTURES = Path(__file__).parent / "fixtures" / "mail"
REPLY, HTML, BOUNCE = ((FIXTURES / name).read_bytes() for name in ("reply.eml", "html.eml", "bounce.eml"))
INBOX = Query("", "inbox")
NOW = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer() as running:
        yield running


@pytest.fixture
def listener(server: MailServer, monkeypatch: pytest.MonkeyPatch) -> Mail:
    monkeypatch.setattr(mail, "PAGE", 3)
    return opened(server)


def opened(server: MailServer, **account: str) -> Mail:
    usual = {
        "address": ADDRESS,
        "name": "Acme Support",
        "password": PASSWORD,
        "imap_host": "127.0.0.1",
        "smtp_host": "127.0.0.1",
        "imap_port": str(server.imap_port),
        "smtp_port": str(server.smtp_port),
    }
    found = registry.open("mail", usual | account, Options(timeout=2.0, allow_private_hosts=True))
    assert isinstance(found, Mail)
    return found


def parsed(raw: bytes) -> Post | Rejected:
    (found,) = mail.open({}, Options()).parse(raw)
    return found


def post_of(raw: bytes) -> Post:
    found = parsed(raw)
    assert isinstance(found, Post), found
    return found


def read(listener: Mail, cursor: Cursor | None = None, query: Query = INBOX) -> tuple[dict[str, Post], Cursor]:
    posts, cursor = collect(listener, query, cursor or {})
    return {post.external_id: post for post in posts}, cursor


def rejected(listener: Mail) -> list[str]:
    return [one.reason for page in listener.fetch(INBOX, {}) for one in page.rejected]


class TestContract(NetworkContract, LooksBackContract, AnswersContract):
    @pytest.fixture
    def rig(self, server: MailServer, listener: Mail) -> Rig:
        return Rig(listener, server, INBOX, raw=[REPLY, HTML], idempotent=True)


# --- What a mail says ----------------------------------------------------------------------------------------------


def test_a_reply_becomes_a_post() -> None:
    post = post_of(REPLY)
    assert post.text == (
        "It still leaks, “on both sides”. I have turned it off and on again.\n\nJäne\n\n[Attached: leak.jpg]"
    )
    assert post.title == "Re: Mein Wasserkocher läuft aus"
    assert post.author is not None
    assert (post.author.id, post.author.handle, post.author.display_name) == (
        "jane@customer.example", "jane@customer.example", "Jäne Example",
    )  # fmt: skip
    assert post.external_id == "third@customer.example"
    assert (post.parent_id, post.root_id) == ("second@acme.example", "first@customer.example")
    assert post.posted_at == datetime(2026, 11, 16, 9, 15, 2, tzinfo=UTC)
    assert (post.posted_at_estimated, post.kind) == (False, Kind.POST)


def test_html_is_read_without_its_history_and_pictures() -> None:
    post = post_of(HTML)
    assert post.text == "Wo bleibt meine Bestellung?\n\nGrüße\nBob"
    assert (post.parent_id, post.root_id) == (None, None)


def test_a_report_says_who_was_not_reached() -> None:
    found = parsed(BOUNCE)
    assert isinstance(found, Rejected)
    assert found.reason == "reports that a mail to jane@customer.example did not arrive (5.1.1)"


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("Auto-Submitted: auto-replied; owner=jane", "by a machine"),
        ("Auto-submitted: Auto-Generated", "by a machine"),
        ("X-Autoreply: yes", "automatic answer"),
        ("Precedence: bulk", "to many"),
        ("List-Id: Tea lovers <tea.lists.example>", "mailing list"),
        ("List-Unsubscribe: <mailto:off@shop.example>", "newsletter"),
        ("Return-Path: <>", "report"),
        ("Content-Type: multipart/report; boundary=x", "report"),
    ],
)
def test_what_no_person_wrote_is_rejected(header: str, words: str) -> None:
    found = parsed(_mail(header))
    assert isinstance(found, Rejected)
    assert words in found.reason


def test_a_person_may_say_that_no_machine_wrote_it() -> None:
    assert isinstance(parsed(_mail("Auto-Submitted: no")), Post)


def _mail(*headers: str, text: str = "Hello.") -> bytes:
    names = {header.partition(":")[0] for header in headers}
    usual = ["From: ann@ann.example", "Date: Fri, 20 Nov 2026 10:00:00 +0000", "Message-ID: <a@ann.example>"]
    lines = [*headers, *(one for one in usual if one.partition(":")[0] not in names)]
    return "\r\n".join([*lines, "", text]).encode("utf-8", "surrogateescape")


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("It leaks.\n\nOn Mon, Nov 16, 2026 at 10:02 AM Acme <\nacme@acme.example> wrote:\n\n> Off?", "It leaks."),
        ("Hi,\nOn 16/11/2026 10:02, Acme wrote:\n> Off?\nTwice.\n> And on?\nYes.", "Hi,\nTwice.\nYes."),
        ("Nein.\n\nAm 16.11.2026 um 10:02 schrieb Acme Support:\n> Aus und an?", "Nein."),
        ("Nein.\n\n-----Ursprüngliche Nachricht-----\nVon: Acme\n\nAus und an?", "Nein."),
        ("No.\n\n____________________\nFrom: Acme\nSent: Monday\nTo: Jane\nSubject: RE: Kettle\n\nOff?", "No."),
        ("Non.\n\nLe lun. 16 nov. 2026 à 10:02, Acme <s@acme.example> a écrit :\n\nBonjour", "Non."),
        ("まだです。\n\n2026年11月16日(月) 10:02 Acme <s@acme.example>:\n\n> こんにちは", "まだです。"),
        ("It leaks.\n\nSent from my iPhone", "It leaks."),
        ("It leaks.\n-- \nJane\n+44 20 7946 0000", "It leaks."),
        ("On Monday I wrote: help.\nFrom: where I am", "On Monday I wrote: help.\nFrom: where I am"),
        ("- one\n- two", "- one\n- two"),
        ("> all of it\n> is quoted", "> all of it\n> is quoted"),
    ],
)  # fmt: skip
def test_history_and_signature_are_cut(written: str, said: str) -> None:
    assert post_of(_mail("Content-Type: text/plain; charset=utf-8", text=written)).text == said


def test_a_forwarded_mail_is_kept_whole() -> None:
    text = "---------- Forwarded message ---------\nFrom: Bob\nDate: x\nTo: y\nSubject: Kettle\n\nIt leaks"
    assert "It leaks" in post_of(_mail(text=text)).text


@pytest.mark.parametrize(
    ("charset", "data", "said"),
    [
        ("windows-1252", "It’s 5 €".encode("cp1252"), "It’s 5 €"),
        ("iso-8859-1", "It’s 5 €".encode("cp1252"), "It’s 5 €"),
        ("us-ascii", "Grüße".encode(), "Grüße"),
        ("utf-8", "Grüße".encode("cp1252"), "Grüße"),
        ("gb2312", "镕基".encode("gb18030"), "镕基"),
        ("koi8-r", "Течёт".encode("koi8-r"), "Течёт"),
        ("x-unknown", "Grüße".encode(), "Grüße"),
        ("base64", b"R3LDvMOfZQ==", "R3LDvMOfZQ=="),
        ("punycode", b"abc", "abc"),
        ('"', b"abc", "abc"),
    ],
)
def test_character_sets_are_not_believed_blindly(charset: str, data: bytes, said: str) -> None:
    head = _mail(f"Content-Type: text/plain; charset={charset}", "Content-Transfer-Encoding: 8bit", text="")
    assert post_of(head + data).text == said


def test_an_encrypted_mail_is_there_without_its_words() -> None:
    body = "--b\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n--b--\r\n"
    post = post_of(_mail("Content-Type: multipart/encrypted; boundary=b", "Subject: Hi", text=body))
    assert "encrypted" in post.text
    assert post.title == "Hi"


def test_an_attached_mail_is_not_what_was_said() -> None:
    body = (
        "--b\r\nContent-Type: text/plain\r\n\r\nSee below.\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n"
        "From: x@y.example\r\n\r\nSecret words\r\n--b--\r\n"
    )
    assert post_of(_mail("Content-Type: multipart/mixed; boundary=b", text=body)).text == (
        "See below.\n\n[Attached: message/rfc822]"
    )


# --- Who says that they are whom -----------------------------------------------------------------------------------


def test_a_name_that_looks_like_ours_is_only_a_name() -> None:
    post = post_of(_mail('From: "support@acme.example" <eve@evil.example>'))
    assert post.author is not None
    assert (post.author.id, post.author.handle) == ("eve@evil.example", "eve@evil.example")


def test_a_mail_that_says_to_be_from_us_is_not_ours(server: MailServer, listener: Mail) -> None:
    server.mail(From="Acme <Support@Acme.example>")
    assert rejected(listener) == ["says that it comes from our own address"]


def test_a_form_on_our_own_site_is_written_by_whom_it_names(server: MailServer, listener: Mail) -> None:
    form = server.mail(From="Acme form <web@acme.example>", Reply_To="Bob <bob@customer.example>")
    elsewhere = server.mail(From="ann@ann.example", Reply_To="eve@evil.example")
    posts, _ = read(listener)
    authors = [post.author.id for post in (posts[form], posts[elsewhere]) if post.author]
    assert authors == ["bob@customer.example", "ann@ann.example"]


@pytest.mark.parametrize("sender", ["", "nobody", "<>", "Ann <ann@ann.example\x00>", "a@" + "b" * 300, "@", "a b@c d"])
def test_a_mail_without_a_sender_is_rejected(sender: str) -> None:
    assert isinstance(parsed(_mail(f"From: {sender}")), Rejected)


def test_mails_that_we_sent_from_elsewhere_are_answers_of_ours(server: MailServer, listener: Mail) -> None:
    ours = server.mail("Off and on?", "Sent", From=ADDRESS, To="jane@customer.example", In_Reply_To="<q@c.example>")
    posts, _ = read(listener, query=Query("Sent", "folder"))
    assert (posts[ours].kind, posts[ours].parent_id) == (Kind.ANSWER, "q@c.example")


# --- When ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "estimated"),
    [
        ("Fri, 20 Nov 2026 08:59:00 +0000", False),
        ("Mon, 20 Nov 2056 08:59:00 +0000", True),
        ("Tue, 20 Nov 2001 08:59:00 +0000", True),
        ("yesterday", True),
        ("Fri, 31 Feb 2026 25:61:00 +9999", True),
        ("", True),
    ],
)
def test_a_clock_that_is_wrong_is_not_believed(server: MailServer, listener: Mail, said: str, estimated: bool) -> None:
    server.mail(Date=said)
    (post,) = read(listener)[0].values()
    assert post.posted_at_estimated == estimated
    assert abs(post.posted_at - datetime(2026, 11, 20, 9, tzinfo=UTC)) < timedelta(minutes=10)


# --- The mailbox ---------------------------------------------------------------------------------------------------


def test_nothing_is_marked_moved_or_deleted(server: MailServer, listener: Mail) -> None:
    server.posts(4)
    read(listener)
    commands = {line.partition(" ")[0] if not line.startswith("UID") else line.split()[1] for line in server.requests}
    assert commands == {"AUTHENTICATE", "EXAMINE", "SEARCH", "FETCH", "CAPABILITY"} & commands
    assert "FETCH" in commands


def test_a_mailbox_that_was_numbered_anew_loses_and_doubles_nothing(server: MailServer, listener: Mail) -> None:
    posted = server.posts(7)
    seen, cursor = read(listener)
    server.numbers_anew()
    new = server.posts(2)
    later, cursor = read(listener, cursor)
    assert set(new) <= set(later) <= {*posted, *new}
    again, _ = read(listener, cursor)
    assert set(again) == set()


def test_the_last_mail_is_not_read_for_ever(server: MailServer, listener: Mail) -> None:
    server.posts(1)
    _, cursor = read(listener)
    assert read(listener, cursor)[0] == {}  # although "2:*" means it, too


def test_a_new_source_begins_with_the_latest(
    server: MailServer, listener: Mail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail, "FIRST", 4)
    posted = server.posts(6)
    assert list(read(listener)[0]) == posted[-4:]


def test_a_mail_that_the_server_cannot_give_out_stops_no_other(server: MailServer, listener: Mail) -> None:
    first = server.posts(2)
    server.put(_mail(), poisoned=True)
    second = server.posts(2)
    posts, cursor = read(listener)
    assert set(posts) == {*first, *second}
    assert rejected(listener) == ["the mail server would not give it out"]


def test_a_huge_mail_is_read_from_its_beginning(server: MailServer, listener: Mail) -> None:
    body = "--b\r\nContent-Type: text/plain\r\n\r\nIt leaks.\r\n--b\r\nContent-Type: image/png; name=a.png\r\n\r\n"
    server.put(_mail("Content-Type: multipart/mixed; boundary=b", text=body + "A" * 3_000_000))
    (post,) = read(listener)[0].values()
    assert post.text.startswith("It leaks.\n\n[Attached: a.png]\n\n[The mail is longer")


def test_the_same_mail_twice_is_one_post(server: MailServer, listener: Mail) -> None:
    for _ in range(2):
        server.put(_mail())
    assert set(read(listener)[0]) == {"a@ann.example"}
    assert rejected(listener) == ["lies there a second time"]


def test_a_folder_in_any_language_is_read(server: MailServer, listener: Mail) -> None:
    server.boxes["Entw&APw-rfe &- &U,BTFw-/A"] = Box()
    wanted = server.mail(folder="Entw&APw-rfe &- &U,BTFw-/A")
    assert set(read(listener, query=Query("Entwürfe & 台北/A", "folder"))[0]) == {wanted}


@pytest.mark.parametrize("name", ["", "Nowhere", 'In"box', "a\\", "x\r\nA1 DELETE INBOX", "x" * 300])
def test_a_folder_that_is_none_is_said_so(server: MailServer, listener: Mail, name: str) -> None:
    with pytest.raises(Terminal, match="folder"):
        read(listener, query=Query(name, "folder"))
    assert not any(line.startswith("A1 DELETE") or "DELETE INBOX" in line.upper()[:20] for line in server.requests)


def test_modified_utf_7_is_that_of_the_standard() -> None:
    assert encoded("~peter/mail/台北/日本語") == "~peter/mail/&U,BTFw-/&ZeVnLIqe-"


# --- Answering -----------------------------------------------------------------------------------------------------


def one_mail(server: MailServer, listener: Mail, **headers: str) -> Post:
    message_id = server.mail(**headers)
    return read(listener)[0][message_id]


def test_an_answer_is_a_letter_in_the_thread(server: MailServer, listener: Mail) -> None:
    long = "AM0PR04MB1234567890ABCDEF" * 4 + "@eurprd04.prod.outlook.example"
    above = {"References": f"<root@c.example> <{long}>", "In_Reply_To": f"<{long}>"}
    post = one_mail(server, listener, Subject="RE: AW: Mein Kocher läuft aus", **above)
    sent = listener.answer(post, "Wir schicken Ihnen einen neuen.\n.\nGrüße\n" + "x" * 2_000, "key")
    ((sender, recipient, raw),) = server.delivered
    assert (sender, recipient) == (ADDRESS, "ann@ann.example")
    message = message_from_bytes(raw, policy=policy.default)
    assert message["Message-ID"] == f"<{sent.external_id}>"
    assert message["In-Reply-To"] == f"<{post.external_id}>"
    assert message["References"].split() == ["<root@c.example>", f"<{long}>", f"<{post.external_id}>"]
    assert message["Subject"] == "Re: Mein Kocher läuft aus"
    assert message["From"] == "Acme Support <support@acme.example>"
    said = message.get_content().replace("\r\n", "\n").rstrip()
    assert said == "Wir schicken Ihnen einen neuen.\n.\nGrüße\n" + "x" * 2_000
    assert max(map(len, raw.split(b"\r\n"))) < 998
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert [one.raw for one in server.boxes["Sent"].mails] == [raw]


def test_no_header_of_an_answer_holds_what_somebody_smuggled_in(server: MailServer, listener: Mail) -> None:
    post = one_mail(server, listener).model_copy(
        update={
            "title": "Hi\r\nBcc: victim@bank.example",
            "root_id": "r@x\r\nBcc: victim@bank.example",
            "parent_id": "p@x> <y@z",
        }
    )
    listener.answer(post, "Bcc: victim@bank.example\r\n.\r\nRSET", "key")
    ((_, recipient, raw),) = server.delivered
    message = message_from_bytes(raw)
    assert recipient == "ann@ann.example"
    assert "Bcc" not in message
    assert message["References"].split() == [f"<{post.external_id}>"]
    assert not any(line.startswith("RSET") for line in server.requests)


@pytest.mark.parametrize(
    "address", ["ann@ann.example>\r\nRCPT TO:<victim@bank.example", "ann@ann.example, b@b.example", "ann", "a@b>c"]
)
def test_an_address_that_is_more_than_one_is_refused(server: MailServer, listener: Mail, address: str) -> None:
    post = one_mail(server, listener)
    assert post.author is not None
    post = post.model_copy(update={"author": post.author.model_copy(update={"id": address})})
    assert not listener.may_answer(post).allowed
    with pytest.raises(Terminal):
        listener.answer(post, "Hello.", "key")
    assert server.delivered == []


@pytest.mark.parametrize("sender", ["noreply@shop.example", "do-not-reply@shop.example", "bounce@shop.example"])
def test_an_address_that_nobody_reads_is_not_answered(server: MailServer, listener: Mail, sender: str) -> None:
    verdict = listener.may_answer(one_mail(server, listener, From=sender))
    assert not verdict.allowed
    assert sender in verdict.reason


def test_a_mail_is_not_sent_again_where_the_server_kept_it_itself(server: MailServer, listener: Mail) -> None:
    server.keeps_sent_mails = True
    post = one_mail(server, listener)
    first = listener.answer(post, "Once.", "key")
    assert listener.answer(post, "Once.", "key").external_id == first.external_id
    assert len(server.delivered) == len(server.boxes["Sent"].mails) == 1


def test_a_folder_for_sent_mails_is_made_where_there_is_none(server: MailServer, listener: Mail) -> None:
    del server.boxes["Sent"]
    listener.answer(one_mail(server, listener), "Once.", "key")
    assert len(server.boxes["Sent"].mails) == 1


def test_a_copy_that_cannot_be_kept_is_no_failure(
    server: MailServer, listener: Mail, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    post = one_mail(server, listener)
    monkeypatch.setattr("tests.listeners.fake_mail._Session.do_append", lambda *_: "NO [OVERQUOTA] full")
    assert isinstance(listener.answer(post, "Once.", "key"), Sent)
    assert len(server.delivered) == 1
    assert "no copy" in caplog.text
    assert PASSWORD not in caplog.text


def test_somebody_s_reply_proves_that_our_mail_arrived(server: MailServer, listener: Mail) -> None:
    post = one_mail(server, listener)
    server.loses_the_next_answer()
    with pytest.raises(OutcomeUnknown):
        listener.answer(post, "Once.", "key")
    assert isinstance(listener.find(post, "Once.", "key", NOW), CannotTell)
    server.mail("Thanks!", References=f"<{listener.message_id('key')}>")
    assert isinstance(listener.find(post, "Once.", "key", NOW), Sent)


@pytest.mark.parametrize(
    ("command", "words", "kind"),
    [
        ("AUTH", "454 4.7.0 Temporary authentication failure", Transient),
        ("AUTH", "535 5.7.8 Authentication failed", BadCredentials),
        ("MAIL", "451 4.3.0 try again", Transient),
        ("RCPT", "550 5.1.1 no such user", Terminal),
        ("RCPT", "450 4.2.0 greylisted", Transient),
        ("DATA", "554 5.7.1 spam", Terminal),
        (".", "552 5.3.4 too large", Terminal),
        (".", "451 4.7.1 later", Transient),
    ],
)
def test_what_smtp_refuses_was_not_sent(
    server: MailServer, listener: Mail, command: str, words: str, kind: type[ListeningError]
) -> None:
    post = one_mail(server, listener)
    server.smtp_says[command] = words
    with pytest.raises(kind):
        listener.answer(post, "Once.", "key")
    assert server.delivered == []
    assert server.boxes["Sent"].mails == []
    server.smtp_says.clear()
    listener.answer(post, "Once.", "key")
    assert len(server.delivered) == 1


# --- The account and the servers -----------------------------------------------------------------------------------


def test_who_we_are_is_said(server: MailServer, listener: Mail) -> None:
    server.posts(2)
    health = listener.check()
    assert health.account is not None
    assert health.account.id == ADDRESS
    assert "2 mails" in health.words


def test_a_wrong_password_is_told_by_either_server_and_never_repeated(server: MailServer) -> None:
    wrong = opened(server, password="hunter2")
    with pytest.raises(BadCredentials) as caught:
        wrong.check()
    for text in (str(caught.value), caught.value.what_to_do, repr(wrong), repr(vars(wrong))):
        assert "hunter2" not in text
        assert PASSWORD not in text  # the server's own words had it


def test_a_server_without_sasl_is_signed_in_to_by_login(server: MailServer, listener: Mail) -> None:
    server.capabilities = "IMAP4rev1"
    server.posts(1)
    assert len(read(listener)[0]) == 1


def test_without_encryption_no_password_leaves_this_machine(
    server: MailServer, listener: Mail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("listeners.mail_servers._is_this_machine", lambda address: False)
    with pytest.raises(Terminal, match="no encryption"):
        listener.check()
    assert not any("AUTH" in line.upper() or "LOGIN" in line.upper() for line in server.requests)
    monkeypatch.setattr(Mail, "_imap", lambda self: pytest.fail("IMAP is not what this is about"))
    with pytest.raises(Terminal, match="no encryption"):
        Smtp(listener._both()[1], listener._options)
    assert not any("AUTH" in line.upper() for line in server.requests)


def test_private_servers_are_not_asked_unless_allowed(server: MailServer) -> None:
    account = {
        "address": ADDRESS, "password": PASSWORD, "imap_host": "localhost", "smtp_host": "localhost",
        "imap_port": str(server.imap_port), "smtp_port": str(server.smtp_port),
    }  # fmt: skip
    with pytest.raises(Terminal, match="private network"):
        registry.open("mail", account, Options(timeout=2.0)).check()
    assert server.requests == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"address": "support"}, {"address": "a@b, c@d"}, {"imap_host": "imap example"}, {"smtp_port": "70000"},
        {"imap_port": "x"}, {"smtp_host": "https://smtp.example.com"},
    ],
)  # fmt: skip
def test_an_account_that_leads_nowhere_is_refused(server: MailServer, wrong: dict[str, str]) -> None:
    with pytest.raises(Terminal):
        opened(server, **wrong)


def test_a_server_that_drips_is_left_in_time(server: MailServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as dripping:
        listener = registry.open(
            "mail",
            {"address": ADDRESS, "password": "p", "imap_host": "127.0.0.1", "smtp_host": "127.0.0.1",
             "imap_port": str(dripping.getsockname()[1])},
            Options(timeout=0.1, allow_private_hosts=True),
        )  # fmt: skip
        began = time.monotonic()
        with pytest.raises(Transient, match="in time"):
            listener.check()
        assert time.monotonic() - began < 5


# --- Faults in the middle of a fetch -------------------------------------------------------------------------------

FAULTS: dict[str, Callable[[bytes], bytes | None]] = {
    "cut": lambda page: None,
    "cut in a mail": lambda page: page[: len(page) // 2],
    "farewell": lambda page: b"* BYE going down\r\n",
    "no such protocol": lambda page: b"HTTP/1.1 502 Bad Gateway\r\n\r\n<html>",
    "a mail without end": lambda page: b"* 1 FETCH (UID 4 BODY[]<0> {99999999999}\r\nFrom: a",
    "a line without end": lambda page: b"* OK " + b"x" * 1_100_000,
    "a size that is none": lambda page: page.replace(b"{", b"{-"),
    "nothing but zeros": lambda page: b"\0" * 10_000,
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_loses_nothing_that_was_read(
    server: MailServer, listener: Mail, fault: Callable[[bytes], bytes | None]
) -> None:
    posted = server.posts(8)
    pages = iter(listener.fetch(INBOX, {}))
    first = next(pages)
    server.odd_answer = fault
    with pytest.raises(Transient) as caught:
        list(pages)
    assert str(caught.value).startswith("127.0.0.1 ")
    assert "FETCH" not in str(caught.value)
    server.comes_back()
    rest, _ = read(listener, first.cursor)
    assert [*(post.external_id for post in first.posts), *rest] == posted


@pytest.mark.parametrize(
    "odd",
    [
        lambda page: re.sub(rb" UID \d+\)", b")", page),
        lambda page: page.replace(b"UID", b"UID 1 UID"),
        lambda page: re.sub(rb"INTERNALDATE \"[^\"]*\"", b'INTERNALDATE "yesterday"', page),
        lambda page: b"* 1 FETCH (UID 4 BODY[]<0> NIL)\r\n* 77 EXISTS\r\n* 2 FETCH NIL\r\n" + page,
        lambda page: page + page,
    ],
    ids=["no number", "another number", "no date", "nothing inside", "twice"],
)
def test_an_odd_answer_is_no_exception(
    server: MailServer, listener: Mail, odd: Callable[[bytes], bytes | None]
) -> None:
    server.posts(2)
    server.odd_answer = odd
    for page in listener.fetch(INBOX, {}):
        assert all(isinstance(post, Post) for post in page.posts)


def test_a_server_that_is_not_there_is_transient_and_named(server: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(Transient, match="127.0.0.1 cannot be reached: the connection was refused"):
            opened(server, imap_port=str(taken.getsockname()[1])).check()
        with pytest.raises(Transient, match="127.0.0.1 cannot be reached: the connection was refused"):
            opened(server, smtp_port=str(taken.getsockname()[1])).check()

    def no_names(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_names)
    with pytest.raises(Transient, match="mx.acme.example cannot be found"):
        opened(server, imap_host="mx.acme.example").check()


# --- Whatever comes ------------------------------------------------------------------------------------------------

NAMES = ["From", "To", "Subject", "Date", "Message-ID", "References", "In-Reply-To", "Content-Type", "MIME-Version",
         "Content-Transfer-Encoding", "Content-Disposition", "Reply-To", "Received", "List-Id"]  # fmt: skip
VALUES = st.sampled_from(
    ["multipart/mixed; boundary=b", "multipart/mixed", "message/rfc822", "text/html; charset=utf-16", "base64",
     "x-uuencode", "=?utf-8?b?////?=", "=?hex?q?zz?=", "<a@b>", "<" * 50, "a@b", "\udcff\udcfe", ";" * 50,
     'attachment; filename*=x\'y\'%00%ff; filename*0*="a', "text/plain; charset*0*=utf-8'en'x; charset*1=8",
     "Fri, 99 Nov 99999 10:00", "(((((", '"', "quoted-printable"]
) | st.text(max_size=60)  # fmt: skip
BODIES = st.sampled_from(["--b\r\n\r\n--b\r\n--b--", "=", "begin 644 x\r\n#0", "\x00"]) | st.text(max_size=200)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=8), BODIES)
def test_no_mail_breaks_the_reading(headers: list[tuple[str, str]], body: str) -> None:
    lines = [f"{name}: {value}" for name, value in headers]
    raw = "\r\n".join(["From: ann@ann.example", *lines, "", body]).encode("utf-8", "surrogateescape")
    assert len(mail.open({}, Options()).parse(raw)) == 1


@pytest.mark.parametrize(
    "raw",
    [
        _mail(text="> " * 50_000),
        _mail(text="On 1\n" * 25_000),
        _mail(text="\n" * 100_000),
        _mail(text="wrote: " * 20_000),
        _mail("Content-Type: text/html", text="<blockquote type=cite>" * 20_000),
        _mail("Content-Type: text/html", text="<div class=" * 20_000),
        _mail("Subject: " + "=?utf-8?q?" * 5_000),
        _mail("References: " + "<a@b> " * 50_000),
        _mail("From: " + '"' * 50_000 + "<a@b.example>"),
        _mail("From: " + "(" * 50_000),
        _mail("Content-Type: multipart/mixed; boundary=b", text="--b\r\n\r\n" * 20_000),
        b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(3_000)),
    ],
    ids="> on blank wrote cite div words references quotes comments parts deep".split(),
)  # fmt: skip
def test_no_mail_takes_long(raw: bytes) -> None:
    began = time.process_time()
    mail.open({}, Options()).parse(raw)
    assert time.process_time() - began < 10


def test_what_is_no_mail_is_said_so() -> None:
    for raw in (b"", b"\x00\x01", b"{}", b"no header at all"):
        with pytest.raises(Terminal):
            mail.open({}, Options()).parse(raw)
