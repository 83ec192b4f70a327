"""CSV and JSON Lines files: uploads of any size, read a page at a time, in bounded memory.

`preview` shows what a file holds and how it would be read; `read` reads it with the columns that a person has chosen,
from where an interrupted import stood. The listener is the same behind the contract; `EXTRA` lists its own options.
"""

from __future__ import annotations

import io
import json
import re
from builtins import open as open_file
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from listeners import records, values
from listeners.base import (
    Answering,
    Arrival,
    Author,
    Capability,
    Cursor,
    Health,
    Kind,
    Mode,
    Options,
    Page,
    Post,
    Query,
    Rejected,
    Terminal,
    clean,
)
from listeners.plain_text import one_line
from listeners.records import Record

ROWS_PER_PAGE = 500
ROWS_SHOWN = 20
ROWS_SAMPLED = 1_000

CAPABILITY = Capability(
    platform="file",
    title="File",
    answering=Answering.HAND_OFF,
    answering_rule="Nobody can be answered in a file: answer where the text came from, if it has a link.",
    checked_on=date(2026, 11, 22),
    modes=(Mode("file", "An uploaded file", "File", "CSV with a header, or JSON Lines."),),
    limits="No limit on rows; a line has at most 1 MB.",
    polls=False,
    arrival=Arrival.UPLOADED,
    duties="Whoever uploads a file answers for being allowed to.",
)

EXTRA: Mapping[str, str] = {
    "folder": "the only folder that files are read from; required",
    "upload": "what external ids begin with; the file's name where it is not given",
    "mapping": "JSON, field to column; guessed from the header where it is not given",
    "day_first": "true or false: whether 03/04 is in April; judged from the dates where it is not given",
    "timezone": "an IANA name for times without an offset; UTC where it is not given",
    "kind": "post, comment, review, answer or note",
}

FIELDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "text": (
        "Text",
        ("text", "full_text", "review_text", "comment", "comments", "review", "body", "message", "content", "feedback")
        + ("answer", "response", "verbatim", "tweet", "post", "description", "note", "words", "said"),
    ),
    "title": ("Title", ("title", "subject", "headline", "summary")),
    "posted_at": (
        "Date and time",
        (
            "posted_at",
            "created_at",
            "published_at",
            "submitted_at",
            "timestamp",
            "datetime",
            "date_time",
            "date",
            "time",
        )
        + ("posted", "created", "published", "submitted", "submission_date", "review_date", "created_utc", "posted_on")
        + ("created_on", "created_date", "when"),
    ),
    "author": (
        "Author",
        ("author", "handle", "username", "user", "screen_name", "user_name", "reviewer", "customer", "by", "who"),
    ),
    "author_name": ("Author's name", ("author_name", "display_name", "full_name", "name", "customer_name")),
    "url": ("Link", ("url", "link", "permalink", "source_url")),
    "rating": ("Rating", ("rating", "stars", "star_rating", "score")),
    "lang": ("Language", ("lang", "language", "locale")),
    "id": ("Id", ("id", "external_id", "post_id", "review_id", "comment_id", "response_id", "guid")),
    "parent_id": ("In reply to (id)", ("parent_id", "in_reply_to", "reply_to", "parent")),
}
"""What a column may be chosen for: its label, and the column names that are taken for it."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file is laid out: JSON-safe, kept in the cursor. `rows_at` is the byte where the first row begins."""

    format: str
    encoding: str
    delimiter: str
    columns: tuple[str, ...]
    rows_at: int
    rows_line: int


@dataclass(frozen=True, slots=True)
class Preview:
    """What a file holds and how it would be read."""

    format: str
    """"CSV, separated by semicolons" or "JSON Lines"."""
    encoding: str
    """How its letters are read, in words; says so where that is a guess."""
    columns: tuple[str, ...]
    rows: list[dict[str, str]]
    """The first rows, by column."""
    mapping: dict[str, str]
    """Field to column: the guess, or what was asked for."""
    found: list[Post | Rejected]
    """What the first rows become."""
    notes: list[str]
    """What a person should know before importing, a sentence each, whichever columns are chosen."""
    missing: list[str]
    """What `mapping` lacks, a sentence each."""
    size: int
    """Bytes."""
    layout: Layout


@dataclass(frozen=True, slots=True)
class _Reading:
    """Everything that turns a row into a post."""

    layout: Layout
    mapping: Mapping[str, str]
    upload: str
    day_first: bool
    zone: tzinfo
    kind: Kind | None
    undated: datetime
    """What a row without a date gets."""


def guess_mapping(columns: list[str] | tuple[str, ...]) -> dict[str, str]:
    """Field to column, for the columns whose names tell; a single column is the text."""
    names = {re.sub(r"[^a-z0-9]+", "_", column.lower()).strip("_"): column for column in reversed(columns)}
    mapping: dict[str, str] = {}
    for name_of_field, (_, aliases) in FIELDS.items():
        column = next((names[alias] for alias in aliases if alias in names), None)
        if column is not None:
            mapping[name_of_field] = column
    if "text" not in mapping and len(columns) == 1:
        mapping["text"] = columns[0]
    return mapping


def preview(
    path: Path, mapping: Mapping[str, str] | None = None, *, day_first: bool | None = None, zone: tzinfo = UTC
) -> Preview:
    """The first rows of a file, and what they become. Reads it once from end to end to judge its encoding.

    Raises Terminal for what is no CSV or JSON Lines file.
    """
    with _opened(path) as stream:
        layout, encoding = _layout(stream)
        shown = list(islice(_records(stream, layout, layout.rows_at, layout.rows_line), ROWS_SHOWN))
        chosen = dict(mapping) if mapping is not None else guess_mapping(layout.columns)
        order, words = _day_first(stream, layout, chosen, day_first)
    notes = ([] if encoding.certain else [f"Letters are read as {encoding.words}"]) + words
    missing: list[str] = []
    found: list[Post | Rejected] = []
    if "text" in chosen:
        reading = _reading(layout, chosen, "preview", order, zone, None, datetime.now(UTC))
        found = [_post_or_why_not(record, number, reading) for number, record in enumerate(shown, start=1)]
    else:
        missing.append("No column looks like the text: choose it.")
    if "posted_at" not in chosen:
        missing.append(
            "No column is chosen for the date: the moment of the import will stand in, marked as an estimate."
        )
    return Preview(
        format=_format_in_words(layout),
        encoding=encoding.words,
        columns=layout.columns,
        rows=[_named(record, layout) for record in shown if record.cells is not None],
        mapping=chosen,
        found=found,
        notes=notes,
        missing=missing,
        size=path.stat().st_size,
        layout=layout,
    )


def read(
    path: Path,
    mapping: Mapping[str, str] | None = None,
    *,
    upload: str,
    cursor: Cursor | None = None,
    day_first: bool | None = None,
    zone: tzinfo = UTC,
    kind: Kind | None = None,
) -> Iterator[Page]:
    """Pages of up to 500 rows from `cursor` on; every rejected row with its line and the reason.

    A cursor's `at` of `size` bytes is how far it has come. `mapping` None is the guess. Raises Terminal.
    """
    with _opened(path) as stream:
        at = dict(cursor or {}) or _beginning(stream, path, mapping, day_first)
        layout = Layout(**{**at["layout"], "columns": tuple(at["layout"]["columns"])})
        undated = datetime.fromisoformat(at["undated"])
        reading = _reading(layout, at["mapping"], upload, at["day_first"], zone, kind, undated)
        rows = _records(stream, layout, at["at"], at["line"])
        while batch := list(islice(rows, ROWS_PER_PAGE)):
            found = [
                _post_or_why_not(record, number, reading) for number, record in enumerate(batch, start=at["row"] + 1)
            ]
            at = {**at, "at": batch[-1].end, "line": batch[-1].end_line, "row": at["row"] + len(batch)}
            yield Page(
                [one for one in found if isinstance(one, Post)], at, [one for one in found if isinstance(one, Rejected)]
            )


def open(account: Mapping[str, str], options: Options) -> Files:
    """A listener; there is no account to give. Raises Terminal for an option that cannot be understood."""
    return Files(options)


class Files:
    """Reads one file: `Query.text` is its path."""

    capability = CAPABILITY

    def __init__(self, options: Options) -> None:
        extra = options.extra
        self._folder = Path(extra["folder"]).resolve() if extra.get("folder") else None
        self._upload = extra.get("upload", "")
        self._mapping = _mapping_of(extra.get("mapping"))
        self._day_first = {"true": True, "false": False}.get(extra.get("day_first", "").lower())
        try:
            self._zone: tzinfo = ZoneInfo(extra["timezone"]) if extra.get("timezone") else UTC
            self._kind = Kind(extra["kind"]) if extra.get("kind") else None
        except (KeyError, ValueError, OSError) as error:
            raise Terminal(
                f"An option of the file cannot be understood: {one_line(str(error))}.",
                f"timezone is a name such as Europe/Berlin; kind is one of {', '.join(Kind)}.",
            ) from error

    def check(self) -> Health:
        """There is nothing to ask."""
        return Health(True, "Files need no account.")

    def fetch(self, query: Query, cursor: Cursor) -> Iterator[Page]:
        """As `read`."""
        path = self._allowed(query.text)
        yield from read(
            path,
            self._mapping,
            upload=self._upload or path.stem,
            cursor=cursor,
            day_first=self._day_first,
            zone=self._zone,
            kind=self._kind,
        )

    def parse(self, answer: bytes) -> list[Post | Rejected]:
        """Every row of a small file given as its bytes; rows without a date are of 1970."""
        stream = io.BytesIO(answer)
        layout, _ = _layout(stream)
        mapping = self._mapping if self._mapping is not None else guess_mapping(layout.columns)
        order, _ = _day_first(stream, layout, mapping, self._day_first)
        undated = datetime(1970, 1, 1, tzinfo=UTC)
        reading = _reading(layout, mapping, self._upload or "file", order, self._zone, self._kind, undated)
        rows = _records(stream, layout, layout.rows_at, layout.rows_line)
        return [_post_or_why_not(record, number, reading) for number, record in enumerate(rows, start=1)]

    def _allowed(self, text: str) -> Path:
        """The path, which must lie in the folder: a query is no way to read this machine's other files."""
        try:
            path = Path(text.strip()).resolve()
        except (OSError, ValueError) as error:  # a NUL in it, a loop of links
            raise Terminal("This is no file.", "Upload it again.") from error
        if self._folder is None or not path.is_relative_to(self._folder):
            raise Terminal("Only uploaded files are read.", "Upload the file on the Sources page.")
        return path


# --- The file as a whole -------------------------------------------------------------------------------------------


def _opened(path: Path) -> BinaryIO:
    try:
        if not path.is_file():
            raise FileNotFoundError(path)
        return open_file(path, "rb")
    except OSError as error:
        raise Terminal(f"The file {path.name} is not there or cannot be read.", "Upload it again.") from error


def _layout(stream: BinaryIO) -> tuple[Layout, records.Encoding]:
    encoding = records.detect_encoding(stream)
    stream.seek(encoding.starts_at)
    start = stream.read(4096).decode(encoding.name, "replace").lstrip()
    if not start:
        raise Terminal("The file is empty.", "Choose another one.")
    if start.startswith("{"):
        return _json_layout(stream, encoding), encoding
    if re.match(r"\[\s*[{\]]", start):
        raise Terminal("This is one JSON list.", "Save it as JSON Lines: one object on each line, no brackets around.")
    return _csv_layout(stream, encoding), encoding


def _csv_layout(stream: BinaryIO, encoding: records.Encoding) -> Layout:
    delimiter = records.detect_delimiter(stream, encoding)
    header = next(records.csv_records(stream, encoding.starts_at, 1, encoding.name, delimiter), None)
    if header is None or not isinstance(header.cells, list):
        reason = header.reason if header is not None else "is missing"
        raise Terminal(f"The header of the file {reason}.", "Its first row names the columns.")
    columns = _unique([one_line(name, 100) for name in header.cells])
    return Layout("csv", encoding.name, delimiter, columns, header.end, header.end_line)


def _unique(names: list[str]) -> tuple[str, ...]:
    """Column names without gaps and doubles: "column 3", "text (2)"."""
    unique: list[str] = []
    for number, name in enumerate(names, start=1):
        plain, again = name or f"column {number}", 2
        candidate = plain
        while candidate in unique:
            candidate, again = f"{plain} ({again})", again + 1
        unique.append(candidate)
    return tuple(unique)


def _json_layout(stream: BinaryIO, encoding: records.Encoding) -> Layout:
    names: dict[str, None] = {}
    for record in islice(records.json_records(stream, encoding.starts_at, 1, encoding.name), ROWS_SHOWN * 5):
        names |= dict.fromkeys(record.cells or ())
    if not names:
        raise Terminal("None of the first lines is a JSON object.", 'Each line is one object, such as {"text": "…"}.')
    return Layout("jsonl", encoding.name, "", tuple(islice(names, 500)), encoding.starts_at, 1)


def _format_in_words(layout: Layout) -> str:
    words = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
    return "JSON Lines" if layout.format == "jsonl" else f"CSV, separated by {words[layout.delimiter]}"


def _records(stream: BinaryIO, layout: Layout, at: int, line: int) -> Iterator[Record]:
    if layout.format == "jsonl":
        return records.json_records(stream, at, line, layout.encoding)
    return records.csv_records(stream, at, line, layout.encoding, layout.delimiter)


def _beginning(stream: BinaryIO, path: Path, mapping: Mapping[str, str] | None, day_first: bool | None) -> Cursor:
    layout, _ = _layout(stream)
    chosen = dict(mapping) if mapping is not None else guess_mapping(layout.columns)
    order, _ = _day_first(stream, layout, chosen, day_first)
    return {
        "at": layout.rows_at,
        "size": path.stat().st_size,
        "line": layout.rows_line,
        "row": 0,
        "layout": {**asdict(layout), "columns": list(layout.columns)},
        "mapping": chosen,
        "day_first": order,
        "undated": datetime.now(UTC).isoformat(),
    }


def _day_first(
    stream: BinaryIO, layout: Layout, mapping: Mapping[str, str], asked: bool | None
) -> tuple[bool, list[str]]:
    """Whether 03/04 is in April, and what to tell about it."""
    column = mapping.get("posted_at")
    if asked is not None or column is None:
        return asked is not False, []
    rows = islice(_records(stream, layout, layout.rows_at, layout.rows_line), ROWS_SAMPLED)
    samples = [cell for record in rows if (cell := _named(record, layout).get(column, ""))]
    found = values.is_day_first(samples)
    if found is not None:
        return found, []
    unclear = next((sample for sample in samples if values.is_ambiguous(sample)), None)
    if unclear is None:
        return True, []
    return True, [f"Dates such as {one_line(unclear, 40)} are read with the day first; say so if it is the month."]


def _mapping_of(text: str | None) -> dict[str, str] | None:
    if not text:
        return None
    try:
        mapping = json.loads(text)
    except ValueError:
        mapping = None
    if not isinstance(mapping, dict) or not all(isinstance(column, str) for column in mapping.values()):
        raise Terminal("The mapping of columns is no JSON object of texts.", 'Write it as {"text": "Comment"}.')
    return mapping


def _reading(
    layout: Layout,
    mapping: Mapping[str, str],
    upload: str,
    day_first: bool,
    zone: tzinfo,
    kind: Kind | None,
    undated: datetime,
) -> _Reading:
    """Raises Terminal for a mapping that does not fit the file."""
    unknown = [name for name in mapping if name not in FIELDS]
    if unknown:
        raise Terminal(f"There is no field {one_line(unknown[0], 60)}.", f"There are {', '.join(FIELDS)}.")
    missing = [column for column in mapping.values() if column not in layout.columns]
    if missing and layout.format == "csv":
        raise Terminal(
            f"The file has no column {one_line(missing[0], 60)!r}.",
            f"Its columns are {one_line(', '.join(layout.columns), 500)}.",
        )
    if "text" not in mapping:
        raise Terminal(
            "No column is chosen for the text.", f"Choose one of {one_line(', '.join(layout.columns), 500)}."
        )
    return _Reading(layout, mapping, upload, day_first, zone, kind, undated)


# --- From rows to posts --------------------------------------------------------------------------------------------


def _named(record: Record, layout: Layout) -> dict[str, str]:
    if isinstance(record.cells, dict):
        return record.cells
    return dict(zip(layout.columns, record.cells or (), strict=False))


def _post_or_why_not(record: Record, number: int, reading: _Reading) -> Post | Rejected:
    """Row `number` (from 1) as a post, or its line and the reason why it is none."""
    where = f"line {record.line}"
    if record.cells is None:
        return Rejected(where, record.reason)
    wide = len(reading.layout.columns)
    if isinstance(record.cells, list) and (len(record.cells) < wide or any(record.cells[wide:])):
        return Rejected(where, f"has {len(record.cells)} cells where the header has {wide}")
    row = {name: clean(cell).strip() for name, cell in _fields(record, reading).items()}
    try:
        return _post(row, number, reading)
    except ValidationError as error:
        first = error.errors()[0]
        return Rejected(where, f"{first['loc'][0]}: {first['msg']}")
    except ValueError as error:
        return Rejected(where, one_line(str(error)))


def _fields(record: Record, reading: _Reading) -> dict[str, str]:
    cells = _named(record, reading.layout)
    return {name: cells.get(column, "") for name, column in reading.mapping.items()}


def _post(row: Mapping[str, str], number: int, reading: _Reading) -> Post:
    """Raises ValueError, of which ValidationError is one, with the field and what is wrong."""
    if not row["text"]:
        raise ValueError("has no text")
    posted_at = _in_field("date", _past, row.get("posted_at"), day_first=reading.day_first, zone=reading.zone)
    rating = _in_field("rating", values.rating, row.get("rating"))
    return Post(
        platform=CAPABILITY.platform,
        external_id=_id(reading, row.get("id"), number),
        url=row.get("url") or None,
        author=_author(row, reading),
        title=one_line(row.get("title", ""), 1_000) or None,
        text=row["text"],
        lang=row.get("lang") or None,
        rating=rating,
        posted_at=posted_at or reading.undated,
        posted_at_estimated=posted_at is None,
        parent_id=_id(reading, row["parent_id"], number) if row.get("parent_id") else None,
        kind=reading.kind or (Kind.REVIEW if rating is not None else Kind.POST),
    )


def _past(cell: str, *, day_first: bool, zone: tzinfo) -> datetime:
    """The moment in a cell. A day ahead is let pass, since another time zone may be meant; later is a mistake."""
    found = values.moment(cell, day_first=day_first, zone=zone)
    if found > datetime.now(UTC) + timedelta(days=1):
        raise ValueError(f"{cell[:60]!r} lies in the future")
    return found


def _in_field(name: str, understand: Any, cell: str | None, **how: Any) -> Any:
    if not cell:
        return None
    try:
        return understand(cell, **how)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _id(reading: _Reading, own: str | None, number: int) -> str:
    """Unique for the file: its own id, or the row's number; the mark between keeps the two apart."""
    return f"{reading.upload}:{own}" if own else f"{reading.upload}#{number}"


def _author(row: Mapping[str, str], reading: _Reading) -> Author | None:
    handle = row.get("author") or row.get("author_name")
    if not handle:
        return None
    # A name is a file's own: two files' "anna" may be two people.
    return Author(id=f"{reading.upload}:{handle}", handle=handle, display_name=row.get("author_name") or None)
