"""Rows out of CSV and JSON Lines files of any size, a record at a time, in bounded memory.

A record knows the line where it began and the byte after its end, so that reading goes on there after a break. What
cannot be read becomes a record with a reason, and reading goes on with the line after.
"""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from listeners.base import Terminal

CHUNK = 256 * 1024
MAX_LINE = 1024 * 1024
"""Bytes of one line; more is rejected."""
MAX_LINES_QUOTED = 500
"""Lines that one quoted field may reach over: an opening quotation mark without a closing one must not eat the file."""
DELIMITERS = (",", ";", "\t", "|")
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_NAMES = {"utf-8": "UTF-8", "cp1252": "Windows-1252", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16"}


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a file's bytes are letters. `starts_at` is the byte after a byte order mark; `words` are for the person."""

    name: str
    starts_at: int
    words: str
    certain: bool = False
    """Nobody need look at the letters: there is a mark, or every byte is valid UTF-8."""


@dataclass(frozen=True, slots=True)
class Record:
    """One row: its cells by position (CSV) or by name (JSON Lines), or why there are none."""

    line: int
    """Where it begins, from 1."""
    end: int
    """The byte after it, where reading goes on."""
    end_line: int
    """The number of the line that begins there."""
    cells: list[str] | dict[str, str] | None
    reason: str = ""


def detect_encoding(stream: BinaryIO) -> Encoding:
    """Reads the whole stream once. Raises Terminal for what is no text."""
    stream.seek(0)
    start = stream.read(4096)
    _refuse_other_formats(start)
    for mark, name in _BOMS:
        if start.startswith(mark):
            return Encoding(name, len(mark), f"{_NAMES[name]}, as its byte order mark says.", certain=True)
    if start.count(0) > len(start) // 4:
        zeros_second = start[1::2].count(0) >= start[0::2].count(0)
        return Encoding("utf-16-le" if zeros_second else "utf-16-be", 0, "UTF-16, judged by its zero bytes.")
    valid, invalid = _count_utf8_lines(stream)
    if not invalid:
        return Encoding("utf-8", 0, "UTF-8.", certain=True)
    if valid > invalid:
        return Encoding("utf-8", 0, f"UTF-8, but {_lines(invalid)} not valid in it and will be rejected.")
    words = f"Windows-1252, since {_lines(invalid)} not valid UTF-8. This is a guess: check accented letters below."
    return Encoding("cp1252", 0, words)


def _lines(count: int) -> str:
    return "1 line is" if count == 1 else f"{count:,} lines are"


def _count_utf8_lines(stream: BinaryIO) -> tuple[int, int]:
    """How many lines with letters beyond ASCII are valid UTF-8, and how many are not."""
    valid = invalid = 0
    for raw, _ in _physical(stream, 0, "utf-8"):
        if raw is None or raw.isascii():
            continue
        if _decodes(raw):
            valid += 1
        else:
            invalid += 1
    return valid, invalid


def _decodes(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


_OTHER_FORMATS = {
    b"PK\x03\x04": "an Excel workbook or a ZIP archive",
    b"\xd0\xcf\x11\xe0": "an old Excel file",
    b"\x1f\x8b": "a gzip archive",
    b"%PDF": "a PDF document",
}


def _refuse_other_formats(start: bytes) -> None:
    for magic, name in _OTHER_FORMATS.items():
        if start.startswith(magic):
            raise Terminal(f"This is {name}, no text file.", "Save or unpack it as CSV, or as JSON Lines.")


# --- Lines ---------------------------------------------------------------------------------------------------------

_LINE_ENDS = {
    "utf-16-le": re.compile(rb"\r\x00\n\x00|\r\x00|\n\x00"),
    "utf-16-be": re.compile(rb"\x00\r\x00\n|\x00\r|\x00\n"),
}
_LINE_END = re.compile(rb"\r\n|\r|\n")


def _physical(stream: BinaryIO, at: int, encoding: str) -> Iterator[tuple[bytes | None, int]]:
    """Each line without its end, None where it is too long, and the byte after it. Line ends may be mixed."""
    pattern, unit = (_LINE_ENDS[encoding], 2) if encoding in _LINE_ENDS else (_LINE_END, 1)
    stream.seek(at)
    buffer, base, too_long = b"", at, False
    while True:
        chunk = stream.read(CHUNK)
        buffer += chunk
        begin = 0
        for match in pattern.finditer(buffer):
            if match.start() % unit:
                continue  # half of one character and half of the next only look like a line end
            if chunk and len(buffer) - match.end() < unit:
                break  # a carriage return may be half of a line end that the next chunk completes
            yield (None if too_long else buffer[begin : match.start()]), base + match.end()
            begin, too_long = match.end(), False
        begin += begin % unit
        buffer, base = buffer[begin:], base + begin
        if len(buffer) > MAX_LINE:
            keep = len(buffer) % unit + 2 * unit
            buffer, base, too_long = buffer[-keep:], base + len(buffer) - keep, True
        if not chunk:
            if buffer or too_long:
                yield (None if too_long else buffer), base + len(buffer)
            return


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    end: int
    text: str | None
    reason: str = ""


def _decoded(stream: BinaryIO, at: int, line: int, encoding: str) -> Iterator[_Line]:
    for number, (raw, end) in enumerate(_physical(stream, at, encoding), start=line):
        if raw is None:
            yield _Line(number, end, None, f"is longer than {MAX_LINE // 1024 // 1024} MB")
            continue
        try:
            yield _Line(number, end, raw.decode(encoding))
        except UnicodeDecodeError as error:
            wrong = f"byte 0x{error.object[error.start]:02X} at position {error.start + 1}"
            yield _Line(number, end, None, f"is not valid {_NAMES[encoding]}: {wrong}")


# --- CSV -----------------------------------------------------------------------------------------------------------


def csv_records(stream: BinaryIO, at: int, line: int, encoding: str, delimiter: str) -> Iterator[Record]:
    """The records from byte `at` on, which is the beginning of line number `line`. Blank lines are passed over."""
    lines = _decoded(stream, at, line, encoding)
    waiting: deque[_Line] = deque()  # lines that a quotation mark without an end had swallowed

    def next_line() -> _Line | None:
        return waiting.popleft() if waiting else next(lines, None)

    while (first := next_line()) is not None:
        if first.text is None:
            yield Record(first.number, first.end, first.number + 1, None, first.reason)
            continue
        if not first.text.strip():
            continue
        record = [first]
        inside = _is_inside(first.text, delimiter, False)
        while inside and len(record) <= MAX_LINES_QUOTED and (following := next_line()) is not None:
            record.append(following)
            if following.text is None or _breaks_off(following.text, delimiter):
                break
            inside = _is_inside(following.text, delimiter, True)
        if inside:
            waiting.extendleft(reversed(record[1:]))
            reason = "has a quotation mark that is opened and never closed"
            yield Record(first.number, first.end, first.number + 1, None, reason)
            continue
        yield _csv_record(record, delimiter)


def _csv_record(lines: list[_Line], delimiter: str) -> Record:
    first, last = lines[0], lines[-1]
    text = "\n".join(line.text or "" for line in lines)
    try:
        cells = next(csv.reader([text], delimiter=delimiter), [])
    except csv.Error as error:
        return Record(first.number, last.end, last.number + 1, None, f"is no row of a CSV file: {error}")
    return Record(first.number, last.end, last.number + 1, cells)


def _is_inside(text: str, delimiter: str, inside: bool) -> bool:
    """Whether a quoted field is still open at a line's end. A quotation mark opens one only where a field begins."""
    at = 0
    while (at := text.find('"', at)) >= 0:
        if inside:
            if text.startswith('""', at):
                at += 2
                continue
            inside = False
        elif at == 0 or text[at - 1] == delimiter:
            inside = True
        at += 1
    return inside


def _breaks_off(text: str, delimiter: str) -> bool:
    """Whether the quotation mark that should end a field begun on an earlier line is followed by more words.

    It is then the opening one of a later row: the earlier was never closed, and must not swallow the rows between.
    """
    end = text.replace('""', "  ").find('"')
    return end >= 0 and text[end + 1 : end + 2] not in ("", delimiter)


def detect_delimiter(stream: BinaryIO, encoding: Encoding) -> str:
    """The delimiter that gives the first rows the most columns, as many in each; a comma where none does."""
    best, best_score = DELIMITERS[0], (0.0, 0)
    for delimiter in DELIMITERS:
        widths: list[int] = []
        for record in csv_records(stream, encoding.starts_at, 1, encoding.name, delimiter):
            widths.append(len(record.cells or ()))
            if len(widths) == 20:
                break
        if widths and widths[0] > 1:
            score = (sum(width == widths[0] for width in widths) / len(widths), widths[0])
            if score > best_score:
                best, best_score = delimiter, score
    return best


# --- JSON Lines ----------------------------------------------------------------------------------------------------


def json_records(stream: BinaryIO, at: int, line: int, encoding: str) -> Iterator[Record]:
    """One object per line, its values as text; those of an object inside it as `outer.inner`."""
    for one in _decoded(stream, at, line, encoding):
        if one.text is not None and not one.text.strip():
            continue
        cells, reason = _object(one.text) if one.text is not None else (None, one.reason)
        yield Record(one.number, one.end, one.number + 1, cells, reason)


def _object(text: str) -> tuple[dict[str, str] | None, str]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        return None, f"is no JSON: {error.msg} at position {error.colno}"
    except (ValueError, RecursionError):
        return None, "is no JSON that can be read: a number is too long or the nesting too deep"
    if not isinstance(value, dict):
        return None, 'is no JSON object: a line looks like {"text": "…"}'
    return dict(_flat(value)), ""


def _flat(value: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, inner in value.items():
        if isinstance(inner, dict) and not prefix:
            yield from _flat(inner, f"{name}.")
        else:
            yield prefix + name, _text(inner)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
