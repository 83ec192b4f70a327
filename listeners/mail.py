"""Mail: what people write to one mailbox, read by IMAP and answered by SMTP in the same thread.

The mailbox is only looked at: nothing in it is marked as read, moved or deleted. Mails are read in the order in which
they arrived, by the numbers that the server gave them. An answer's Message-ID is derived from its idempotency key, so
that a copy among the sent mails, or somebody's reply to it, proves that it left; that it did not, nothing can prove.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from email import message_from_bytes
from email.charset import QP, Charset
from email.header import Header
from email.message import Message
from email.policy import compat32
from email.utils import format_datetime, formataddr, getaddresses, parsedate_to_datetime

from pydantic import ValidationError

from listeners.base import (
    Answering,
    Author,
    CannotTell,
    Capability,
    CredentialField,
    Cursor,
    Health,
    Kind,
    ListeningError,
    Mode,
    Options,
    Page,
    Post,
    Query,
    Reach,
    Rejected,
    Sent,
    Terminal,
    Verdict,
    clean,
)
from listeners.mail_servers import MAX_MESSAGE, Arrived, Imap, Server, Smtp, encoded, search_date
from listeners.mail_text import header_text, text_of
from listeners.plain_text import one_line

PLATFORM = "mail"
TITLE = "Mail"
PAGE = 25
"""Mails that are read at once."""
FIRST = 1_000
"""Mails that a new source begins with, the latest."""
CLOCKS_DIFFER = timedelta(days=2)
"""A mailbox that was numbered anew is read from so long before the last mail's arrival."""
MAX_LATE = timedelta(days=7)
"""A mail may claim to have been written so long before it arrived: servers give up sooner."""
MAX_HEADER = 20_000
"""Characters of a header that are looked at."""

_REACH = Reach("Every mail that still lies there is read.", oldest_first=True)

CAPABILITY = Capability(
    platform=PLATFORM,
    title=TITLE,
    answering=Answering.API,
    answering_rule="Any mail that a person wrote may be answered, to the address that is shown. Write as plain text.",
    checked_on=date(2026, 11, 22),
    seen_by=lambda post: "seen by its receiver alone",
    modes=(
        Mode("inbox", "Mails in the inbox", "", "What people write to the mailbox.", reach=_REACH),
        Mode(
            "folder",
            "Mails in a folder",
            "Folder",
            "As your mail program shows it, such as Support/Kettles.",
            reach=_REACH,
        ),
    ),
    credentials=(
        CredentialField("address", "Address", secret=False, help="Such as support@example.com; answers come from it."),
        CredentialField("password", "Password", help="An app password where your provider has such."),
        CredentialField("imap_host", "IMAP server", secret=False, help="Such as imap.example.com."),
        CredentialField("smtp_host", "SMTP server", secret=False, help="Such as smtp.example.com."),
        CredentialField(
            "username", "User name", secret=False, required=False, help="Where it is not the address itself."
        ),
        CredentialField("name", "Name", secret=False, required=False, help="Shown beside the address in answers."),
        CredentialField("imap_port", "IMAP port", secret=False, required=False, default="993"),
        CredentialField("smtp_port", "SMTP port", secret=False, required=False, default="465", help="Or 587."),
    ),
    guide=(
        "Choose a mailbox of its own, or a folder that a filter moves customers' mails to.",
        "Where your provider has *app passwords* (Google, iCloud, Fastmail, Yahoo: under *Security*), make one for "
        "Samtal; elsewhere take the mailbox's **password**.",
        "Look up the **IMAP server** and the **SMTP server** in your provider's help or in your mail program's "
        "settings. The ports are 993 and 465 nearly everywhere.",
    ),
    key_needed=True,
    limits=f"The provider's own. Of each mail the first {MAX_MESSAGE // 1024 // 1024} MB are read.",
    trainable=False,
    poll_every=timedelta(minutes=1),
    find_lag=timedelta(minutes=5),
    duties="Mails are letters: who wrote them expects nobody but you to read them.",
)

log = logging.getLogger(__name__)


def open(account: Mapping[str, str], options: Options) -> Mail:
    """A listener for one mailbox. Raises Terminal for an unusable address, host or port.

    Asks no network; without an account it can only parse.
    """
    return Mail(account, options)


# --- From the wire to posts ----------------------------------------------------------------------------------------

_ID = re.compile(r"<\s*([\x21-\x3b\x3d\x3f-\x7e]{1,500})\s*>")
_PLAIN_ID = re.compile(r"[\x21-\x3b\x3d\x3f-\x7e]{1,500}")
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){0,10}[A-Za-z0-9-]{1,63}")
_BEGINS_AS_MAIL = re.compile(rb"(?:>?From [^\n]{0,500}\n|\s)*[\x21-\x39\x3b-\x7e]{1,200}[ \t]*:")
_NOBODY_READS = re.compile(r"(?:no|do-?not|dont|nicht)[-_.]?(?:reply|antworten)|bounces?|notifications?", re.IGNORECASE)
_NO_ID = "without-id:"


class _NoPost(Exception):
    """Why a mail is no post, in words that go on after "The mail"."""


def _read(mail: Arrived, own: str, *, ours_too: bool = False) -> Post | Rejected:
    """One mail as a post. `own` is the mailbox's address, whose own mails are refused unless `ours_too`."""
    where = f"mail {mail.uid}" if mail.uid else "mail"
    if mail.raw is None:
        return Rejected(where, "the mail server would not give it out")
    try:
        return _post(mail, own, ours_too)
    except _NoPost as error:
        return Rejected(where, str(error))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        return Rejected(where, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        # The standard library's parser has more ways to fail on a mail made for it than it lists.
        return Rejected(where, f"is damaged: {type(error).__name__}")


def _post(mail: Arrived, own: str, ours_too: bool) -> Post:
    """Raises _NoPost, ValidationError, and what the standard library raises for a mail made to break it."""
    message = message_from_bytes(mail.raw or b"", policy=compat32)
    if reason := _why_no_person(message):
        raise _NoPost(reason)
    author, written_by_us = _author(message, own)
    if written_by_us and not ours_too:
        raise _NoPost("says that it comes from our own address")
    posted_at, estimated = _posted_at(message, mail.at)
    above = _ids(message, "References")
    answered = (_ids(message, "In-Reply-To") or above[-1:])[:1]
    title = one_line(header_text(_header(message, "Subject")), 1_000) or None
    text = text_of(message)
    if mail.size > len(mail.raw or b""):
        text = f"{text}\n\n[The mail is longer; its first {MAX_MESSAGE // 1024 // 1024} MB were read.]"
    return Post(
        platform=PLATFORM,
        external_id=_own_id(message, mail.raw or b""),
        author=author,
        title=title,
        text=text.strip() or title or "",
        posted_at=posted_at,
        posted_at_estimated=estimated,
        parent_id=answered[0] if answered else None,
        root_id=(above or answered)[0] if above or answered else None,
        kind=Kind.ANSWER if written_by_us else Kind.POST,
    )


def _header(message: Message, name: str) -> str:
    """The first header of that name as it stands, with raw eight-bit characters as lone surrogates; "" for none."""
    values = (value for other, value in message.raw_items() if other.lower() == name.lower())
    return str(next(values, ""))[:MAX_HEADER]


def _ids(message: Message, name: str) -> list[str]:
    return [match[1] for match in _ID.finditer(_header(message, name))]


def _own_id(message: Message, raw: bytes) -> str:
    """The Message-ID without its brackets; of a mail that has none, a digest."""
    ids = _ids(message, "Message-ID")
    return ids[0] if ids else _NO_ID + hashlib.sha256(raw).hexdigest()


def _addresses(message: Message, name: str) -> list[tuple[str, str]]:
    """Names and addresses in a header, in lower case, as far as mail can be sent to them."""
    try:
        found = getaddresses([_header(message, name)[:2_000]])
    except (ValueError, IndexError, TypeError):
        return []
    return [(said, address.lower()) for said, address in found if _ADDRESS.fullmatch(address)]


def _author(message: Message, own: str) -> tuple[Author, bool]:
    """Who wrote it, and whether it says that we did.

    The address is who somebody is: anybody may call themselves anything. A form on our own site sends its mails in our
    own name, with the writer to be answered; only then is Reply-To believed, since answers go to the address shown.
    """
    senders = _addresses(message, "From")
    if not senders:
        raise _NoPost("names no sender with an address")
    name, address = senders[0]
    ours = bool(own) and address == own
    if own and _domain(address) == _domain(own):
        others = [one for one in _addresses(message, "Reply-To") if _domain(one[1]) != _domain(own)]
        if others:
            (name, address), ours = others[0], False
    shown = one_line(header_text(name), 200)
    return Author(id=address, handle=address, display_name=shown or None), ours


def _domain(address: str) -> str:
    return address.rpartition("@")[2]


def _posted_at(message: Message, arrived: datetime | None) -> tuple[datetime, bool]:
    """When it was written, and whether that is an estimate: its sender's clock may say anything."""
    said = _date(_header(message, "Date"))
    seen = arrived or _date(_header(message, "Received").rpartition(";")[2])
    if said and seen:
        is_sound = seen - MAX_LATE <= said <= seen + timedelta(minutes=5)
        return (min(said, seen), False) if is_sound else (seen, True)
    if said or seen:
        return said or seen or datetime.now(UTC), said is None
    raise _NoPost("has no date")


def _date(written: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(" ".join(written[:200].split()))
        found = (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
    return found if 1970 <= found.year < 2200 else None


# --- What no person wrote ------------------------------------------------------------------------------------------


def _why_no_person(message: Message) -> str | None:
    """Why a mail is no person's, in words, so that it is never answered; None for one that may be."""
    if message.get_content_type() == "multipart/report" or _header(message, "Return-Path").strip() == "<>":
        return _report(message)
    submitted = _header(message, "Auto-Submitted").partition(";")[0].strip().lower()
    if submitted not in ("", "no"):
        return f"was sent by a machine (Auto-Submitted: {one_line(submitted, 40)})"
    if any(_header(message, name) for name in ("X-Autoreply", "X-Autorespond", "X-Auto-Reply")):
        return "is an automatic answer"
    precedence = _header(message, "Precedence").strip().lower()
    if precedence in ("bulk", "junk", "list", "auto_reply"):
        return f"was sent to many (Precedence: {precedence})"
    if _header(message, "List-Id") or _header(message, "List-Post"):
        return f"comes from a mailing list: {one_line(header_text(_header(message, 'List-Id')), 80)}"
    if _header(message, "List-Unsubscribe"):
        return "is a newsletter: it can be unsubscribed from"
    senders = _addresses(message, "From")
    if senders and senders[0][1].partition("@")[0] in ("mailer-daemon", "postmaster"):
        return _report(message)
    return None


_REPORTED = re.compile(r"^(Final-Recipient|Status|Disposition):[ \t]*(?:rfc822;[ \t]*)?([^\r\n]{1,200})", re.MULTILINE)


def _report(message: Message) -> str:
    """What a mail server tells about one of our mails."""
    found: dict[str, str] = {}
    for part in message.walk():
        if part.get_content_type() in ("message/delivery-status", "message/disposition-notification"):
            inner = part.get_payload()
            text = "".join(map(str, inner)) if isinstance(inner, list) else str(inner)
            found |= {match[1]: one_line(match[2], 100) for match in _REPORTED.finditer(text[:MAX_HEADER])}
    if "Status" in found and not found["Status"].startswith("2"):
        return f"reports that a mail to {found.get('Final-Recipient', 'somebody')} did not arrive ({found['Status']})"
    return "is a report of a mail server"


# --- The listener --------------------------------------------------------------------------------------------------

_READABLE = Charset("utf-8")
_READABLE.body_encoding = QP
_SENT_FOLDERS = ("sent", "sent items", "sent messages", "sent mail", "inbox.sent", "inbox/sent", "gesendet")


class Mail:
    """Reads and answers the mails of one mailbox. See `listeners.base` for what each method promises."""

    capability = CAPABILITY

    def __init__(self, account: Mapping[str, str], options: Options) -> None:
        self._options = options
        self._address = account.get("address", "").strip().lower()
        self._name = one_line(account.get("name", ""), 100)
        self._servers: tuple[Server, Server] | None = None
        if self._address:
            if not _ADDRESS.fullmatch(self._address):
                raise Terminal("This is no mail address.", "Enter it as support@example.com.")
            self._servers = _server(account, "imap", "993"), _server(account, "smtp", "465")

    def _imap(self) -> Imap:
        return Imap(self._both()[0], self._options)

    def _both(self) -> tuple[Server, Server]:
        if self._servers is None:
            raise Terminal("Mail needs an account.", "Enter an address, its password and the two servers.")
        return self._servers

    # -- reading

    def check(self) -> Health:
        """Signs in to both servers. Raises Transient, Terminal."""
        reads, sends = self._both()
        with self._imap() as imap:
            mails = imap.look_into("INBOX").mails
        with Smtp(sends, self._options):
            pass
        words = f"Signed in at {reads.host}, with {mails:,} mails in the inbox, and at {sends.host}."
        return Health(True, words, Author(id=self._address, handle=self._address))

    def fetch(self, query: Query, cursor: Cursor) -> Iterator[Page]:
        """Mails in the order of their arrival, since `cursor`; of a new source the latest 1,000.

        The cursor is {uidvalidity, uid, day}: the last mail read, by its number and by the day when it arrived.
        Raises Transient, Terminal.
        """
        with self._imap() as imap:
            folder = _folder(query)
            ours_too = query.mode == "folder" and folder == self._sent_folder(imap)
            validity = imap.look_into(folder).validity
            uids = _new(imap, cursor, validity)
            if not uids:
                last = cursor.get("uid", 0) if cursor.get("uidvalidity") == validity else 0
                yield Page((), {"uidvalidity": validity, "uid": last, "day": cursor.get("day")})
            day = cursor.get("day")
            for start in range(0, len(uids), PAGE):
                some = uids[start : start + PAGE]
                mails = imap.fetch(some)
                found = _each_once([_read(mail, self._address, ours_too=ours_too) for mail in mails])
                day = _last_day(mails, day)
                yield Page(
                    posts=[one for one in found if isinstance(one, Post)],
                    cursor={"uidvalidity": validity, "uid": some[-1], "day": day},
                    rejected=[one for one in found if isinstance(one, Rejected)],
                )

    def since(self, query: Query, moment: datetime) -> Cursor:
        """See `LooksBack`. A server searches by whole days."""
        return {"day": moment.date().isoformat()}

    def parse(self, answer: bytes) -> list[Post | Rejected]:
        """One mail as it came over the wire (RFC 5322), such as a saved .eml. Raises Terminal where it is none."""
        if not _BEGINS_AS_MAIL.match(answer[:10_000]):
            raise Terminal("This is no mail.", "Give one mail with its headers, such as a saved .eml.")
        raw = re.sub(rb"\A(?:>?From [^\n]{0,500}\n|\s)+", b"", answer[:MAX_MESSAGE])
        return [_read(Arrived(0, raw, size=len(raw)), self._address)]

    # -- answering

    def may_answer(self, post: Post) -> Verdict:
        """Asks no network."""
        if post.platform != PLATFORM or post.author is None or not _ADDRESS.fullmatch(post.author.id):
            return Verdict(False, "This is no mail with a sender to answer to.")
        if self._servers is None:
            return Verdict(False, "Answering by mail needs an account.")
        if post.author.id == self._address:
            return Verdict(False, "This is a mail of our own.")
        if _NOBODY_READS.match(post.author.id.partition("@")[0]):
            return Verdict(False, f"Nobody reads what is sent to {post.author.id}.")
        return Verdict(True, CAPABILITY.answering_rule)

    def answer(self, post: Post, text: str, key: str) -> Sent:
        """Mails `text` to the author of `post`, unless a mail with this key lies among the sent ones.

        Raises Transient or Terminal only where the server has not taken the mail, else OutcomeUnknown.
        """
        verdict = self.may_answer(post)
        if not verdict.allowed or post.author is None:
            raise Terminal(verdict.reason, "Close it unanswered, or write from your mail program.")
        message = self._message(post, text, key)
        with self._imap() as imap:
            if (sent := self._among_the_sent(imap, key)) is not None:
                return sent
            with Smtp(self._both()[1], self._options) as smtp:
                smtp.send(self._address, post.author.id, message)
            sent = Sent(self.message_id(key), None, datetime.now(UTC))
            self._keep_a_copy(imap, key, message)
        return sent

    def find(self, post: Post, text: str, key: str, since: datetime) -> Sent | CannotTell:
        """Looks for our mail among the sent ones, and in the inbox for an answer to it or a report about it.

        A mail that is nowhere may still have left, so that it did not is never said. Raises Transient, Terminal.
        """
        with self._imap() as imap:
            if (sent := self._among_the_sent(imap, key)) is not None:
                return sent
            imap.look_into("INBOX")
            message_id = self.message_id(key)
            if any(imap.with_id(header, message_id) for header in ("In-Reply-To", "References", "Message-ID")):
                return Sent(message_id, None, since.astimezone(UTC))
        return CannotTell(
            "No copy of the mail is among the sent ones. It may have left all the same: mail servers do not tell. "
            "Look into the mailbox, or ask the person."
        )

    def message_id(self, key: str) -> str:
        """The Message-ID of the answer with this idempotency key, without brackets."""
        digest = hashlib.sha256(b"samtal answer\0" + key.encode("utf-8", "surrogatepass")).hexdigest()
        return f"samtal.{digest[:40]}@{_domain(self._address)}"

    def _message(self, post: Post, text: str, key: str) -> bytes:
        """The answer as it goes over the wire. No header of it can hold a line that somebody else made."""
        text = clean(text)
        if not text.strip() or post.author is None:
            raise Terminal("The answer is empty.", "Write something.")
        message = Message()
        subject = _answering(post.title)
        message["From"] = formataddr((self._name, self._address))
        message["To"] = post.author.id
        message["Subject"] = subject if subject.isascii() else Header(subject, "utf-8").encode()
        message["Date"] = format_datetime(datetime.now(UTC))
        message["Message-ID"] = f"<{self.message_id(key)}>"
        above = [one for one in (post.root_id, post.parent_id, post.external_id) if one and _PLAIN_ID.fullmatch(one)]
        above = [one for one in dict.fromkeys(above) if not one.startswith(_NO_ID)]
        if above and above[-1] == post.external_id:
            message["In-Reply-To"] = f"<{above[-1]}>"
            message["References"] = "\n ".join(f"<{one}>" for one in above)
        message.set_payload(text, _READABLE)
        # Long ids must not be wrapped, which the newer policies do by encoding them beyond recognition.
        raw = message.as_bytes(policy=compat32.clone(linesep="\r\n", max_line_length=0))
        return raw if raw.endswith(b"\r\n") else raw + b"\r\n"

    def _sent_folder(self, imap: Imap) -> str:
        """The folder for sent mails: as the server marks it, else by its name."""
        folders = list(imap.folders())
        marked = [name for attributes, name in folders if "\\sent" in attributes.split()]
        named = [name for _, name in folders if name.lower() in _SENT_FOLDERS]
        return (marked or named or ["Sent"])[0]

    def _among_the_sent(self, imap: Imap, key: str) -> Sent | None:
        folder = self._sent_folder(imap)
        if folder not in [name for _, name in imap.folders()]:
            return None
        imap.look_into(folder)
        uids = imap.with_id("Message-ID", self.message_id(key))
        arrived = imap.fetch(uids[:1]) if uids else []
        return Sent(self.message_id(key), None, arrived[0].at or datetime.now(UTC)) if arrived else None

    def _keep_a_copy(self, imap: Imap, key: str, message: bytes) -> None:
        """Puts the answer among the sent mails, where the server has not done so by itself."""
        try:
            if self._among_the_sent(imap, key) is None:
                imap.append(self._sent_folder(imap), message)
        except ListeningError as error:  # the mail has left: that there is no copy must not look like a failure
            log.warning("An answer was mailed, but no copy of it could be kept: %s", error)


def _server(account: Mapping[str, str], kind: str, usual: str) -> Server:
    """One of the account's two servers. Raises Terminal."""
    host, port = account.get(f"{kind}_host", "").strip(), account.get(f"{kind}_port", "").strip() or usual
    if not re.fullmatch(r"[A-Za-z0-9.:-]{1,253}", host) or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65_535:
        raise Terminal(f"{host[:60]}:{port[:8]} is no address of a mail server.", "Enter a name and a port, as 993.")
    username = account.get("username", "").strip() or account.get("address", "").strip()
    return Server(host, int(port), username, account.get("password", ""))


def _folder(query: Query) -> str:
    """The folder that a query means, as IMAP writes it. Raises Terminal."""
    mode, name = query.mode or CAPABILITY.default_mode, clean(query.text).strip()
    if mode == "inbox":
        return "INBOX"
    if mode != "folder" or not name or len(name) > 250 or "\n" in name:
        raise Terminal("There is no folder to read.", "Enter its name as your mail program shows it.")
    return encoded(name)


def _new(imap: Imap, cursor: Cursor, validity: int) -> list[int]:
    """The numbers of the mails above the cursor. Where the server has numbered anew, those of about its day on."""
    last = cursor.get("uid")
    if cursor.get("uidvalidity") == validity and isinstance(last, int):
        # "7:*" names the last mail even where its number is below 7.
        return [uid for uid in imap.uids("UID", f"{last + 1}:*") if uid > last]
    if day := cursor.get("day"):
        return imap.uids("SINCE", search_date(date.fromisoformat(day) - CLOCKS_DIFFER))
    return imap.uids("ALL")[-FIRST:]


def _last_day(mails: Sequence[Arrived], before: str | None) -> str | None:
    """The latest day on which one of these, or one before them, arrived; what is said to arrive tomorrow has not."""
    today = datetime.now(UTC).date()
    days = [min(mail.at.date(), today).isoformat() for mail in mails if mail.at]
    return max([*days, before or ""]) or None


def _each_once(found: Sequence[Post | Rejected]) -> list[Post | Rejected]:
    """A mail that was also sent to another address of ours lies there twice."""
    seen: set[str] = set()
    once: list[Post | Rejected] = []
    for one in found:
        if isinstance(one, Post) and one.external_id in seen:
            one = Rejected(f"mail {one.external_id}"[:200], "lies there a second time")
        elif isinstance(one, Post):
            seen.add(one.external_id)
        once.append(one)
    return once


def _answering(title: str | None) -> str:
    """The subject of an answer: with one "Re:", however many were there in whatever language."""
    bare = re.sub(
        r"^(?:(?:re|aw|sv|antw|odp|ref)\s?(?:\[\d{1,3}\])?:\s*){1,20}", "", one_line(title or "", 200), flags=re.I
    )
    return f"Re: {bare}".strip()
