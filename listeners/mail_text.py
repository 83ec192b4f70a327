"""What a person wrote in a mail: its text without the history below, the signature and the attachments.

Mail programs mark the history in a dozen ways and as many languages. The marks are looked for line by line, and each
line once, so that no mail takes long: the libraries for this (mail-parser-reply, quotequail) take minutes for 100 kB of
hostile text. Where nothing would be left, as of a mail that only forwards another, the whole text stays.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message

from listeners.base import MAX_TEXT
from listeners.plain_text import Tag, from_html, one_line

MAX_ATTACHMENTS = 20
"""So many attachments are named."""
_MAX_LINE = 400
"""Characters; a longer line is no mark of anything."""


# --- The text of a message -----------------------------------------------------------------------------------------


def text_of(message: Message) -> str:
    """What its writer wrote, and the names of what was attached."""
    texts = [_reply_in(part) for part in _texts(message)]
    text = "\n\n".join(one for one in texts if one)
    if not text and _is_encrypted(message):
        text = "[This mail is encrypted and cannot be read here.]"
    names = list(_attachments(message))
    shown = ", ".join(names[:MAX_ATTACHMENTS]) + (", …" if len(names) > MAX_ATTACHMENTS else "")
    note = f"[Attached: {shown}]" if names else ""
    return f"{text[: MAX_TEXT - len(note) - 2]}\n\n{note}".strip()


def _parts(message: Message) -> Iterator[Message]:
    """The parts that hold something, in order; what is inside an attached mail is not of this one."""
    below = [message]
    while below:
        part = below.pop()
        payload = part.get_payload()
        if part.get_content_maintype() == "multipart" and isinstance(payload, list):
            below += [one for one in reversed(payload) if isinstance(one, Message)]
        else:
            yield part


def _texts(message: Message) -> list[Message]:
    """The parts to read: those in plain text, or where there is nothing in them, those in HTML."""
    inline = [part for part in _parts(message) if not _is_attached(part)]
    for kind in ("text/plain", "text/html"):
        found = [part for part in inline if part.get_content_type() == kind]
        if any(_payload(part).strip() for part in found):
            return found
    return []


def _is_attached(part: Message) -> bool:
    return part.get_content_disposition() == "attachment" or part.get_content_maintype() not in ("text", "multipart")


def _is_encrypted(message: Message) -> bool:
    kinds = [part.get_content_type() for part in _parts(message)]
    return any(kind in ("application/pgp-encrypted", "application/pkcs7-mime") for kind in kinds)


def _attachments(message: Message) -> Iterator[str]:
    """Names of what was attached by hand; the pictures inside of an HTML mail have a Content-ID."""
    for part in _parts(message):
        if _is_attached(part) and (part.get_content_disposition() == "attachment" or not part.get("Content-ID")):
            yield _name(part) or part.get_content_type()


def _name(part: Message) -> str:
    try:
        name = part.get_filename()
    except (ValueError, LookupError, TypeError):  # parameters in a character set that is none
        name = None
    return one_line(header_text(name), 100) if isinstance(name, str) else ""


def _reply_in(part: Message) -> str:
    content = decoded(_payload(part), part.get_content_charset() if _has_charset(part) else None)
    if part.get_content_type() == "text/html":
        return reply_only(from_html(content, _is_history) or from_html(content))
    content = content.replace("\r\n", "\n").replace("\r", "\n")
    if "flowed" in str(part.get("Content-Type", "")).lower():
        content = _unwrapped(content)
    return reply_only(content[: 2 * MAX_TEXT])


def _has_charset(part: Message) -> bool:
    return "charset" in str(part.get("Content-Type", "")).lower()


def _payload(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _unwrapped(text: str) -> str:
    """Text whose paragraphs were wrapped with a space before each break (RFC 3676, format=flowed)."""
    lines: list[str] = []
    flows = False
    for line in text.split("\n"):
        if flows and not line.startswith(">"):
            lines[-1] += line
        else:
            lines.append(line)
        flows = line.endswith(" ") and line != "-- " and not line.startswith(">")
    return "\n".join(lines)


# --- Character sets ------------------------------------------------------------------------------------------------

_REAL_NAMES = {
    "iso8859-1": "cp1252",  # mostly it is Windows' set that calls itself so
    "ascii": "utf-8",
    "gb2312": "gb18030",
    "euc_kr": "cp949",
}
_FAMILIES = ("utf", "iso8859", "iso2022", "cp", "koi8", "gb", "big5", "euc", "shift", "mac", "tis", "hz", "johab")


def decoded(data: bytes, charset: str | None) -> str:
    """The text in a character set that may be misnamed or none at all. Never fails."""
    for name in (_codec(charset), "utf-8"):
        try:
            if name:
                return data.decode(name)
        except (ValueError, LookupError):
            continue
    return data.decode("cp1252", "replace")


def _codec(charset: str | None) -> str | None:
    """Python's name of a character set. Not all that Python can decode is one: base64, punycode and others."""
    try:
        name = codecs.lookup(charset or "").name
    except (LookupError, ValueError):
        return None
    name = _REAL_NAMES.get(name, name)
    return name if name.startswith(_FAMILIES) else None


def header_text(value: str) -> str:
    """A header's words on one line, with RFC 2047's and raw eight-bit characters decoded."""
    raw = value.encode("utf-8", "surrogateescape")
    line = " ".join(decoded(raw, None).split())
    try:
        parts = decode_header(line)
    except (HeaderParseError, ValueError):
        return line
    return "".join(part if isinstance(part, str) else _header_part(part, charset) for part, charset in parts)


def _header_part(part: bytes, charset: str | None) -> str:
    return decoded(part, charset) if charset else part.decode("raw_unicode_escape", "replace")


# --- History and signature -----------------------------------------------------------------------------------------

_QUOTING_CLASSES = re.compile(r"(?:gmail|yahoo|protonmail|zmail|tutanota)_(?:quote|quoted|extra)|moz-cite-prefix")
_SIGNING_CLASSES = re.compile(r"(?:gmail|moz|protonmail|tutanota)[_-]signature")


def _is_history(tag: Tag) -> bool:
    """Whether an element of an HTML mail holds an earlier mail, or the signature, by the marks of mail programs."""
    if tag.name not in ("div", "blockquote"):
        return False
    said = tag.attributes()
    marks = f"{said.get('class', '')} {said.get('id', '')}"
    cited = tag.name == "blockquote" and said.get("type", "").lower() == "cite"
    return cited or bool(_QUOTING_CLASSES.search(marks) or _SIGNING_CLASSES.search(marks))


def _any(words: str) -> str:
    return "|".join(re.escape(word) for word in words.split("|"))


_SEPARATOR = re.compile(
    r"[\s*_-]{0,80}(?:"
    + _any(
        "original message|forwarded message|begin forwarded message:|ursprüngliche nachricht|weitergeleitete nachricht|"
        "originalnachricht|message d'origine|message d’origine|message transféré|mensaje original|mensaje reenviado|"
        "messaggio originale|messaggio inoltrato|mensagem original|mensagem encaminhada|oorspronkelijk bericht|"
        "doorgestuurd bericht|ursprungligt meddelande|oprindelig meddelelse|opprinnelig melding|"
        "oryginalna wiadomość|wiadomość oryginalna|původní zpráva|исходное сообщение|пересылаемое сообщение|"
        "元のメッセージ|原始邮件|转发的邮件|원본 메시지"
    )
    + r")[\s*_-]{0,80}",
    re.IGNORECASE,
)
_FROM = "from|von|de|da|van|från|fra|od|от|od kogo|lähettäjä|发件人|差出人|보낸 사람"
_OTHER_LABELS = (
    "sent|date|to|subject|cc|gesendet|datum|an|betreff|envoyé|à|objet|enviado|enviado el|fecha|para|asunto|inviato|"
    "data|a|oggetto|verzonden|aan|onderwerp|skickat|till|ämne|sendt|til|emne|wysłano|wysłane|do|temat|odesláno|komu|"
    "předmět|отправлено|кому|тема|дата|发送时间|日期|收件人|主题|送信日時|宛先|件名|보낸 날짜|받는 사람|제목"
)
_FROM_LINE = re.compile(rf"[\s*>]{{0,9}}(?:{_any(_FROM)})[\s*\xa0]{{0,3}}[:：].{{0,300}}", re.IGNORECASE)
_LABELLED = re.compile(rf"[\s*>]{{0,9}}(?:{_any(_OTHER_LABELS)})[\s*\xa0]{{0,3}}[:：].{{0,300}}", re.IGNORECASE)

_WROTE = re.compile(
    r"(?:(?:on|am|le|el|il|em|op|den|dnia|w dniu|dne|на|в|à|a)\b.{0,300}?)?\b(?:"
    + _any(
        "wrote|schrieb|a écrit|escribió|ha scritto|escreveu|schreef|skrev|napisał|napisał(a)|napisała|napsal|"
        "napsal(a)|написал|написал(а)|написала|пишет|kirjoitti|yazdı|írta"
    )
    + r").{0,150}[:：]",
    re.IGNORECASE,
)
_DATED = re.compile(r"\d{1,4}[./ -]|@|\d:\d\d|\d年")

_DEVICES = (
    "sent from my|sent from outlook|sent from yahoo|sent from mail for|sent with proton mail|get outlook for|"
    "gesendet mit|gesendet von|von meinem|envoyé de mon|envoyé depuis|enviado desde|enviado do meu|inviato da|"
    "verzonden vanaf|verstuurd vanaf|skickat från|sendt fra|wysłane z|odesláno z|отправлено с|outlook für"
)
_DEVICES = (
    "sent from my|sent from outlook|sent from yahoo|sent from mail for|sent with proton mail|get outlook for|"
    "gesendet mit|gesendet von|von meinem|envoyé de mon|envoyé depuis|enviado desde|enviado do meu|inviato da|"
    "verzonden vanaf|verstuurd vanaf|skickat från|sendt fra|wysłane z|odesláno z|отправлено с|outlook für"
)
_SENT_FROM = re.compile(rf"[\s*]{{0,5}}(?:{_any(_DEVICES)})\b.{{0,80}}", re.IGNORECASE)


def reply_only(text: str) -> str:
    """The text without quoted history and signature; all of it where nothing else would be left."""
    lines = [line.rstrip() for line in text[:MAX_TEXT].split("\n")]
    written = _without_sent_from(_before_signature(_without_quotes(lines[: _history_begins(lines)])))
    return "\n".join(written).strip() or "\n".join(lines).strip()


def _history_begins(lines: Sequence[str]) -> int:
    """The line from which on everything is an earlier mail."""
    for at, line in enumerate(lines):
        if not line or len(line) > _MAX_LINE:
            continue
        if _SEPARATOR.fullmatch(line) or (_FROM_LINE.fullmatch(line) and _is_header_block(lines, at)):
            return at - 1 if at and re.fullmatch(r"[_\s-]{5,400}", lines[at - 1]) else at
        if (end := _attribution_ends(lines, at)) and not _is_quote(_next_written(lines, end)):
            return at
    return len(lines)


def _is_header_block(lines: Sequence[str], at: int) -> bool:
    """Whether at least two more lines with labels follow, such as Sent: and Subject:."""
    following = lines[at + 1 : at + 9]
    return sum(len(line) <= _MAX_LINE and bool(_LABELLED.fullmatch(line)) for line in following) >= 2


def _attribution_ends(lines: Sequence[str], at: int) -> int:
    """The line after "On Monday Jane wrote:", which may go over three lines; 0 where no such thing begins here."""
    if not _DATED.search(lines[at]):
        return 0
    line = ""
    for end in range(at, min(at + 3, len(lines))):
        if not lines[end] or len(lines[end]) > _MAX_LINE:
            return 0
        line = f"{line} {lines[end]}".strip()
        if line.endswith((":", "：")) and len(line) <= _MAX_LINE:
            return end + 1 if _WROTE.fullmatch(line) else 0
    return 0


def _next_written(lines: Sequence[str], at: int) -> str:
    return next((line for line in lines[at : at + 4] if line), "")


def _is_quote(line: str) -> bool:
    return line.lstrip().startswith(">")


def _without_quotes(lines: Sequence[str]) -> list[str]:
    """The lines without those that begin with >, and without the words that lead to them: what is between stays."""
    kept: list[str] = []
    at = 0
    while at < len(lines):
        if _is_quote(lines[at]):
            at += 1
        elif lines[at] and (end := _leads_to_quote(lines, at)):
            at = end
        else:
            kept.append(lines[at])
            at += 1
    return kept


def _leads_to_quote(lines: Sequence[str], at: int) -> int:
    """The line after words that lead to a quotation in whatever language: dated, ending in a colon, a quote below."""
    if not _DATED.search(lines[at][:_MAX_LINE]):
        return 0
    for end in range(at + 1, min(at + 3, len(lines)) + 1):
        before = " ".join(lines[at:end])
        if not lines[end - 1] or len(before) > _MAX_LINE or _is_quote(lines[end - 1]):
            return 0
        if before.endswith((":", "：")):
            return end if _is_quote(_next_written(lines, end)) else 0
    return 0


def _before_signature(lines: Sequence[str]) -> Sequence[str]:
    """The lines above "-- ", which mail programs put before a signature."""
    marks = [at for at, line in enumerate(lines) if line == "--" and any(lines[:at])]
    return lines[: marks[0]] if marks else lines


def _without_sent_from(lines: Sequence[str]) -> list[str]:
    """The lines without "Sent from my phone" among the last three."""
    kept = list(lines)
    written = [at for at, line in enumerate(kept) if line]
    for at in written[-3:]:
        if len(kept[at]) <= _MAX_LINE and _SENT_FROM.fullmatch(kept[at]):
            kept[at] = ""
    return kept
