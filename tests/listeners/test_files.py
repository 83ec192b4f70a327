"""CSV and JSON Lines uploads: whatever people export, in bounded memory, each bad row told with line and reason."""

from __future__ import annotations

import codecs
import csv
import io
import json
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from listeners import files, records, registry, values
from listeners.base import Cursor, Kind, Options, Page, Post, Query, Rejected, Terminal
from tests.listeners.contract import ListenerContract, Rig

CSV = b"""Id,Date,Author,Comment,Stars,Link
a,2026-11-20 09:30,ann,It boils,5,https://kettles.example/1
b,2026-11-20 10:00,bo,"It says ""done"",
in two lines",4/5,
"""
JSONL = (
    b'{"text": "It boils", "created_at": "2026-11-20T09:30:00Z", "user": {"name": "Ann"}}\n{"text": "So does mine"}\n'
)


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    return tmp_path / "upload.csv"


def read(path: Path, body: bytes, mapping: dict[str, str] | None = None, **how: object) -> list[Post | Rejected]:
    path.write_bytes(body)
    found: list[Post | Rejected] = []
    for page in files.read(path, mapping, upload="u1", **how):  # type: ignore[arg-type]
        found += [*page.posts, *page.rejected]
    return found


def posts(found: list[Post | Rejected]) -> list[Post]:
    return [one for one in found if isinstance(one, Post)]


def rejected(found: list[Post | Rejected]) -> list[tuple[str, str]]:
    return [(one.where, one.reason) for one in found if isinstance(one, Rejected)]


class GrowingFile:
    """A file that people append rows to, as a fake platform."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.requests: list[str] = []
        self.rows = 0
        path.write_text("Date,Comment\n")

    def posts(self, how_many: int) -> list[str]:
        with self.path.open("a") as file:
            for _ in range(how_many):
                self.rows += 1
                file.write(f"2026-11-20 09:30,Row {self.rows}\n")
        return [f"u1#{number}" for number in range(self.rows - how_many + 1, self.rows + 1)]


class TestContract(ListenerContract):
    @pytest.fixture
    def rig(self, upload: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
        monkeypatch.setattr(files, "ROWS_PER_PAGE", 3)
        listener = registry.open("file", {}, Options(extra={"folder": str(upload.parent), "upload": "u1"}))
        return Rig(listener, GrowingFile(upload), Query(str(upload)), raw=[CSV, JSONL])


# --- What a row becomes


def test_a_csv_row_becomes_a_post(upload: Path) -> None:
    first, second = posts(read(upload, CSV))
    assert first.external_id == "u1:a"
    assert first.posted_at == datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
    assert first.author is not None
    assert (first.author.id, first.author.handle) == ("u1:ann", "ann")
    assert (first.text, first.rating, first.url) == ("It boils", 5.0, "https://kettles.example/1")
    assert first.kind is Kind.REVIEW
    assert second.text == 'It says "done",\nin two lines'
    assert second.rating == 4.0


def test_a_date_in_the_future_is_rejected(upload: Path) -> None:
    soon = datetime.now(UTC) + timedelta(hours=12)
    found = read(upload, f"text,date\nsoon,{soon.isoformat()}\nfar,2198-01-01\n".encode())
    assert [post.text for post in posts(found)] == ["soon"], "a time of another zone may be half a day ahead"
    assert rejected(found) == [("line 3", "date: '2198-01-01' lies in the future")]


def test_a_json_line_becomes_a_post(upload: Path) -> None:
    mapping = {"text": "text", "posted_at": "created_at", "author": "user.name"}
    first, second = posts(read(upload, JSONL, mapping))
    assert first.external_id == "u1#1"
    assert first.author is not None
    assert first.author.handle == "Ann"
    assert not first.posted_at_estimated
    assert second.posted_at_estimated
    assert second.kind is Kind.POST


def test_rows_without_a_date_keep_theirs_when_an_import_goes_on(upload: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "ROWS_PER_PAGE", 1)
    upload.write_bytes(b"text\none\ntwo\n")
    first = next(files.read(upload, upload="u1"))
    second = next(files.read(upload, upload="u1", cursor=first.cursor))
    assert first.posts[0].posted_at == second.posts[0].posted_at


def test_two_uploads_never_share_an_id_or_a_person(upload: Path) -> None:
    upload.write_bytes(CSV)
    one, other = (next(files.read(upload, upload=name)).posts[0] for name in ("u1", "u2"))
    assert one.external_id != other.external_id
    assert one.author and other.author and one.author.id != other.author.id


def test_a_row_s_own_id_never_meets_a_row_number(upload: Path) -> None:
    found = posts(read(upload, b"id,text\n2,own id\n,second row\n"))
    assert len({post.external_id for post in found}) == 2


def test_each_bad_row_is_told_with_its_line_and_the_others_go_on(upload: Path) -> None:
    body = (
        b"date;comment;stars;link\n"
        b"2026-11-20;fine;5;\n"
        b"2026-11-20;too;few\n"
        b"2026-11-20;far;too;many;cells\n"
        b"32.13.2026;impossible date;5;\n"
        b"\n"
        b'2026-11-20;"two\nlines";5;\n'
        b"2026-11-20;;5;\n"
        b"2026-11-20;rated;9;\n"
        b"2026-11-20;link;1;javascript:alert(1)\n"
        b"2026-11-20;caf\xff;1;\n"
        b"2026-11-20;valid \xc3\xa9\xc3\xa8;1;\n"
        b"2026-11-20;valid \xc3\xa9;1;\n"
        b'2026-11-20;"never closed;1;\n'
        b"2026-11-20;last;1;\n"
    )
    found = read(upload, body)
    assert [post.text for post in posts(found)] == ["fine", "two\nlines", "valid éè", "valid é", "last"]
    assert rejected(found) == [
        ("line 3", "has 3 cells where the header has 4"),
        ("line 4", "has 5 cells where the header has 4"),
        ("line 5", "date: '32.13.2026' is no date that is understood; write it as 2026-11-22 14:05"),
        ("line 9", "has no text"),
        ("line 10", "rating: '9' is more than the best rating; write a number from 0 to 5, or one such as 8/10"),
        ("line 11", "url: Value error, is no http(s) address"),
        ("line 12", "is not valid UTF-8: byte 0xFF at position 15"),
        ("line 15", "has a quotation mark that is opened and never closed"),
    ]


def test_each_bad_json_line_is_told(upload: Path) -> None:
    body = (
        b'{"text": "fine"}\n{"text": "cut\n[1, 2]\n"word"\n\n' + b'{"a":' * 3_000 + b'\n{"text": 7}\n{"text": null}\n'
    )
    found = read(upload, body)
    assert [post.text for post in posts(found)] == ["fine", "7"]
    assert [where for where, _ in rejected(found)] == ["line 2", "line 3", "line 4", "line 6", "line 8"]
    assert rejected(found)[0][1].startswith("is no JSON: ")
    assert "no JSON object" in rejected(found)[1][1]


def test_hostile_cells_are_cleaned_and_bounded(upload: Path) -> None:
    body = b"title,text\n" + b"t" * 5_000 + b',"\x00=cmd()|\x1b[31m' + b"x" * 120_000 + b'"\n'
    (post,) = posts(read(upload, body))
    assert post.text.startswith("=cmd()|[31m")
    assert len(post.text) == 100_000
    assert post.title is not None
    assert len(post.title) <= 2_000


def test_a_text_of_zero_bytes_only_is_no_text(upload: Path) -> None:
    assert rejected(read(upload, b"id,text\n1,\x00\x00\n")) == [("line 2", "has no text")]


# --- Encodings, line ends, delimiters


@pytest.mark.parametrize(
    ("encoding", "mark", "words"),
    [
        ("utf-8", b"", "UTF-8."),
        ("utf-8", codecs.BOM_UTF8, "byte order mark"),
        ("utf-16-le", codecs.BOM_UTF16_LE, "byte order mark"),
        ("utf-16-be", codecs.BOM_UTF16_BE, "byte order mark"),
        ("utf-16-le", b"", "judged by its zero bytes"),
        ("utf-16-be", b"", "judged by its zero bytes"),
        ("cp1252", b"", "This is a guess: check accented letters"),
    ],
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_encodings_are_recognised_and_told(upload: Path, encoding: str, mark: bytes, words: str, line_end: str) -> None:
    text = line_end.join(["Datum;text", '2026-11-20;"Café, naïve', 'Zeile"', "2026-11-20;Größe"])
    found = read(upload, mark + text.encode(encoding))
    assert [post.text for post in posts(found)] == ["Café, naïve\nZeile", "Größe"]
    shown = files.preview(upload)
    assert words in shown.encoding
    assert shown.columns == ("Datum", "text")
    assert shown.format == "CSV, separated by semicolons"


def test_utf16_letters_that_look_like_line_ends_are_letters(upload: Path) -> None:
    for encoding, mark in (("utf-16-le", codecs.BOM_UTF16_LE), ("utf-16-be", codecs.BOM_UTF16_BE)):
        text = "text\nઅ\u0a05Ā\u0100 \u0d0a\u0a0d\nsecond\n"
        found = posts(read(upload, mark + text.encode(encoding)))
        assert [post.text for post in found] == ["અ\u0a05Ā\u0100 \u0d0a\u0a0d", "second"]


def test_mixed_line_ends(upload: Path) -> None:
    found = posts(read(upload, b'text,n\r\none,1\ntwo,2\rthree,3\r\n"fo\rur",4'))
    assert [post.text for post in found] == ["one", "two", "three", "fo\nur"]


def test_line_ends_at_the_edge_of_a_chunk(upload: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = b"text,n\r\n" + b"".join(b"row %d,x\r\n" % i for i in range(50))
    for size in range(1, 24):
        monkeypatch.setattr(records, "CHUNK", size)
        found = read(upload, body)
        assert [post.text for post in posts(found)] == [f"row {i}" for i in range(50)], f"in chunks of {size} bytes"
        assert not rejected(found)


@pytest.mark.parametrize(
    ("delimiter", "name"), [(",", "commas"), (";", "semicolons"), ("\t", "tabs"), ("|", "vertical")]
)
def test_delimiters_are_recognised(upload: Path, delimiter: str, name: str) -> None:
    rows = [["date", "comment", "stars"], ["2026-11-20", "one, two; three", "5"], ["2026-11-20", "a, b", "1"]]
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(rows)
    found = posts(read(upload, out.getvalue().encode()))
    assert [post.text for post in found] == ["one, two; three", "a, b"]
    assert name in files.preview(upload).format


@pytest.mark.parametrize("quoted", [True, False])
def test_rows_whose_quotation_mark_is_never_closed_swallow_no_others(upload: Path, quoted: bool) -> None:
    good = b'"row %d","5"\n' if quoted else b"row %d,5\n"
    rows = [b'"broken %d,5\n' % n if n % 30 == 7 else good % n for n in range(600)]
    found = read(upload, b"text,stars\n" + b"".join(rows))
    assert len(posts(found)) == 580
    assert [where for where, _ in rejected(found)] == [f"line {n + 2}" for n in range(600) if n % 30 == 7]


def test_a_quotation_mark_inside_a_cell_opens_nothing(upload: Path) -> None:
    found = posts(read(upload, b'text,n\n5" kettle,1\nsays "hi",2\n"3"" pipe",3\n'))
    assert [post.text for post in found] == ['5" kettle', 'says "hi"', '3" pipe']


def test_a_line_of_megabytes_is_rejected_and_the_next_one_read(upload: Path) -> None:
    found = read(upload, b"text,n\n" + b"x" * 3_000_000 + b",1\nnext,2\n")
    assert [post.text for post in posts(found)] == ["next"]
    assert rejected(found) == [("line 2", "is longer than 1 MB")]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "empty"),
        (b" \n\n ", "empty"),
        (codecs.BOM_UTF8, "empty"),
        (b"PK\x03\x04 rest", "Excel workbook"),
        (b"\x1f\x8b\x08 rest", "gzip"),
        (b"%PDF-1.7", "PDF"),
        (b'[{"text": "a"}]', "one JSON list"),
        (b"date,stars\n2026-11-20,5\n", "No column is chosen for the text"),
    ],
)
def test_what_is_no_such_file_says_so(upload: Path, body: bytes, words: str) -> None:
    with pytest.raises(Terminal, match=words) as caught:
        read(upload, body)
    assert caught.value.what_to_do


def test_a_mapping_that_does_not_fit_says_so(upload: Path) -> None:
    for mapping, words in (({"text": "Remark"}, "no column 'Remark'"), ({"colour": "Comment"}, "no field colour")):
        with pytest.raises(Terminal, match=words):
            read(upload, CSV, mapping)
    for option in ("no json", "[]", '{"text": 1}'):
        with pytest.raises(Terminal, match="mapping"):
            registry.open("file", {}, Options(extra={"mapping": option}))


# --- Preview


def test_preview_shows_what_would_become_of_it(upload: Path) -> None:
    upload.write_bytes(CSV)
    shown = files.preview(upload)
    assert shown.columns == ("Id", "Date", "Author", "Comment", "Stars", "Link")
    assert shown.mapping == {
        "id": "Id", "posted_at": "Date", "author": "Author", "text": "Comment", "rating": "Stars", "url": "Link",
    }  # fmt: skip
    assert shown.rows[0]["Comment"] == "It boils"
    assert [one.text for one in shown.found if isinstance(one, Post)] == ["It boils", 'It says "done",\nin two lines']
    assert shown.size == len(CSV)
    other = files.preview(upload, {"text": "Author"})
    assert [one.text for one in other.found if isinstance(one, Post)] == ["ann", "bo"]
    assert any("No column is chosen for the date" in note for note in other.missing)
    assert shown.notes == shown.missing == [], "nothing to warn of"


def test_gaps_and_doubles_in_a_header_get_names(upload: Path) -> None:
    upload.write_bytes(b"text,,text\na,b,c\n")
    shown = files.preview(upload)
    assert shown.columns == ("text", "column 2", "text (2)")
    assert shown.rows == [{"text": "a", "column 2": "b", "text (2)": "c"}]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (
            ["Review Text", "Star Rating", "Review Date"],
            {"text": "Review Text", "rating": "Star Rating", "posted_at": "Review Date"},
        ),
        (
            ["full_text", "screen_name", "created_at"],
            {"text": "full_text", "author": "screen_name", "posted_at": "created_at"},
        ),
        (["words", "who", "when"], {"text": "words", "author": "who", "posted_at": "when"}),
        (
            ["user", "body", "created", "score"],
            {"author": "user", "text": "body", "posted_at": "created", "rating": "score"},
        ),
        (["message", "time", "stars"], {"text": "message", "posted_at": "time", "rating": "stars"}),
        (["review", "date"], {"text": "review", "posted_at": "date"}),
        (["whatever"], {"text": "whatever"}),
        (["a", "b"], {}),
        ([], {}),
    ],
)
def test_columns_are_guessed_by_their_names(header: list[str], expected: dict[str, str]) -> None:
    assert files.guess_mapping(header) == expected


# --- Going on after a break, and size


def test_an_import_goes_on_where_it_stood(upload: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "ROWS_PER_PAGE", 7)
    rows = [f'2026-11-20,"row {i}\nof two lines"' if i % 3 else f"2026-11-20,row {i},broken" for i in range(100)]
    body = "\r\n".join(["date,text", *rows]).encode()
    upload.write_bytes(body)
    whole = list(files.read(upload, upload="u1"))
    cursor: Cursor = {}
    step_by_step: list[Page] = []
    while (page := next(files.read(upload, upload="u1", cursor=cursor), None)) is not None:
        step_by_step.append(page)
        cursor = json.loads(json.dumps(page.cursor))
    for one, other in zip(whole, step_by_step, strict=True):
        assert [post.external_id for post in one.posts] == [post.external_id for post in other.posts]
        assert list(one.rejected) == list(other.rejected)
    assert cursor["at"] == cursor["size"] == len(body)
    assert sum(len(page.posts) for page in whole) == 66


def test_memory_does_not_grow_with_the_file(upload: Path) -> None:
    def peak(rows: int) -> int:
        upload.write_bytes(b"date,text\n" + b"2026-11-20,%s\n" % (b"word " * 40) * rows)
        tracemalloc.start()
        try:
            assert sum(len(page.posts) for page in files.read(upload, upload="u1")) == rows
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1_500)  # whatever is made once
    assert peak(15_000) < 1.5 * peak(1_500)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30).filter(str.strip), min_size=1
    ),
    st.sampled_from(["utf-8", "utf-16"]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_what_the_csv_writer_writes_is_read_back(texts: list[str], encoding: str, line_end: str) -> None:
    out = io.StringIO()
    csv.writer(out, lineterminator=line_end).writerows(
        [["n", "text"], *([str(i), text] for i, text in enumerate(texts))]
    )
    listener = registry.open("file", {}, Options())
    found = listener.parse(out.getvalue().encode(encoding))
    assert [post.text for post in posts(found)] == [text.strip() for text in texts]


# --- Where files may lie


@pytest.mark.parametrize("path", ["/etc/passwd", "../secret.csv", "uploads/../../secret.csv", "\x00", ""])
def test_only_the_upload_folder_is_read(tmp_path: Path, path: str) -> None:
    (tmp_path / "secret.csv").write_bytes(CSV)
    folder = tmp_path / "uploads"
    folder.mkdir()
    for extra in ({"folder": str(folder)}, {}):
        listener = registry.open("file", {}, Options(extra=extra))
        with pytest.raises(Terminal):
            next(iter(listener.fetch(Query(path if path.startswith("/") else str(folder / path)), {})))


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_bytes(CSV)
    folder = tmp_path / "uploads"
    folder.mkdir()
    (folder / "link.csv").symlink_to(tmp_path / "secret.csv")
    listener = registry.open("file", {}, Options(extra={"folder": str(folder)}))
    with pytest.raises(Terminal, match="uploaded"):
        next(iter(listener.fetch(Query(str(folder / "link.csv")), {})))


# --- Dates and ratings

NOON = datetime(2026, 11, 22, 12, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["2026-11-22T12:05:00Z", "2026-11-22 12:05", "2026-11-22 12:05:00 UTC", "2026-11-22T13:05:00+01:00",
     "20261122T120500Z", "2026-11-22 13:05:00 +0100", "2026-11-22 12:05:00.000", "22.11.2026 12:05",
     "22/11/2026, 12:05:00", "22-11-2026 12:05 PM", "22/11/26 12:05",
     "2026/11/22 12:05", "22 Nov 2026 12:05", "Nov 22, 2026 12:05 PM",
     "November 22, 2026 at 12:05 p.m.", "Sunday, 22 November 2026 12:05", "Sun, 22 Nov 2026 12:05:00 GMT",
     "Sun, 22 Nov 2026 13:05:00 +0100", "1795349100", "1795349100000", " 2026-11-22   12:05 "],
)  # fmt: skip
def test_dates_as_people_write_them(text: str) -> None:
    assert values.moment(text) == NOON


def test_the_month_comes_first_where_it_does() -> None:
    assert values.moment("03/04/2026", day_first=True).month == 4
    assert values.moment("03/04/2026", day_first=False).month == 3
    assert values.is_day_first(["03/04/2026", "13/04/2026"]) is True
    assert values.is_day_first(["03/04/2026", "04/13/2026 10:00"]) is False
    assert values.is_day_first(["03/04/2026", "2026-01-01", "nonsense"]) is None


def test_a_file_s_own_dates_tell_their_order_or_the_preview_says_what_is_assumed(upload: Path) -> None:
    body = b"date,text\n03/04/2026,a\n04/13/2026,b\n"
    assert [post.posted_at.month for post in posts(read(upload, body))] == [3, 4]
    upload.write_bytes(b"date,text\n03/04/2026,a\n")
    assert any("03/04/2026 are read with the day first" in note for note in files.preview(upload).notes)
    (american,) = posts(read(upload, b"date,text\n03/04/2026,a\n", day_first=False))
    assert american.posted_at.month == 3


def test_times_without_an_offset_are_of_the_chosen_zone(upload: Path) -> None:
    (post,) = posts(read(upload, b"date,text\n2026-07-01 12:00,a\n", zone=ZoneInfo("Europe/Berlin")))
    assert post.posted_at == datetime(2026, 7, 1, 10, tzinfo=UTC)
    assert values.moment("2026-07-01T12:00-05:00", zone=timezone(timedelta(hours=1))).hour == 17


@pytest.mark.parametrize(
    "text", ["yesterday", "2026-13-01", "31.02.2026", "1", "99999999999999", "0001-01-01", "١٢", "x" * 9_999]
)
def test_what_is_no_date_says_so_briefly(text: str) -> None:
    with pytest.raises(ValueError, match="is no date|outside the years") as caught:
        values.moment(text)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("text", "stars"),
    [("4", 4), ("4,5", 4.5), ("4/5", 4), ("8/10", 4), ("80 %", 4), ("4 stars", 4), ("1 Star", 1), ("4 out of 5", 4),
     ("0", 0), ("★★★☆☆", 3), ("⭐⭐⭐", 3)],
)  # fmt: skip
def test_ratings_as_people_write_them(text: str, stars: float) -> None:
    assert values.rating(text) == pytest.approx(stars)


@pytest.mark.parametrize("text", ["9", "-1", "good", "5/0", "6/5", "nan", "1e400", "٣", ""])
def test_what_is_no_rating_says_so(text: str) -> None:
    with pytest.raises(ValueError, match="rating"):
        values.rating(text)


@given(st.text(max_size=40))
def test_dates_and_ratings_of_any_text_are_a_value_or_a_reason(text: str) -> None:
    def value_or_reason(understand: Callable[[str], object]) -> object:
        try:
            return understand(text)
        except ValueError as error:
            return str(error)

    assert isinstance(found := value_or_reason(values.moment), (datetime, str))
    assert found
    assert isinstance(found := value_or_reason(values.rating), (float, str))
    assert found or found == 0.0
