"""Files: kept whole, previewed, imported once and completely, also when the worker is lost in the middle."""

from __future__ import annotations

import csv
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialogue import requests, sources, uploads
from dialogue.context import Actor, Context, DialogueError, Missing, NotAllowed, Role
from dialogue.uploads import harmless
from tests.conftest import Clock, as_role
from tests.worlds import look

HEADER = b"text,author,date\n"
MAPPING = {"text": "text", "author": "author", "posted_at": "date"}


def _rows(count: int, *, broken: int = 0) -> Iterator[bytes]:
    """A file with `broken` of every hundred rows unreadable."""
    yield HEADER
    for number in range(count):
        date = "=cmd|' /C calc'!A0" if number % 100 < broken else "2026-11-19 10:00"
        yield f"It squeaks {number},author{number % 50},{date}\n".encode()


def _import(ctx: Context, actor: Actor, chunks: Iterator[bytes]) -> int:
    return uploads.start_import(ctx, actor, uploads.spool(ctx, actor, "answers.csv", chunks), MAPPING, "Survey")


def _count(ctx: Context) -> int:
    return int(look(ctx, "SELECT count(*) FROM mentions")[0][0])


def test_a_file_becomes_mentions_of_a_source_of_its_own(any_ctx: Context, colleague: Actor) -> None:
    upload_id = uploads.spool(any_ctx, colleague, "answers.csv", _rows(1234))
    found = uploads.preview(any_ctx, colleague, upload_id)
    assert found.columns == ("text", "author", "date")
    assert dict(found.mapping) == MAPPING
    assert found.sample_rows[0]["text"] == "It squeaks 0"
    request_id = uploads.start_import(any_ctx, colleague, upload_id, found.mapping, "Survey")
    requests.serve(any_ctx, request_id)
    view = requests.get(any_ctx, request_id)
    assert (view.state, view.words, view.done) == ("done", "1,234 rows read", view.total)
    (source,) = sources.list_(any_ctx, colleague)
    assert (source.label, source.total, source.health) == ("Survey", 1234, "read")
    assert not list((any_ctx.data_dir / "uploads").glob("*.upload")), "what was imported is not kept twice"


def test_rejected_rows_are_reported_with_line_and_reason_and_no_formula(ctx: Context, colleague: Actor) -> None:
    request_id = _import(ctx, colleague, _rows(1000, broken=3))
    requests.serve(ctx, request_id)
    assert requests.get(ctx, request_id).result["rejected"] == 30
    assert _count(ctx) == 970
    with uploads.rejections_path(ctx, colleague, request_id).open(newline="") as file:
        report = list(csv.reader(file))
    assert report[0] == ["line", "reason"]
    assert len(report) == 31
    assert report[1][0] == "2"
    assert "date" in report[1][1]
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in report for cell in row)


def test_a_double_click_imports_once(ctx: Context, colleague: Actor) -> None:
    upload_id = uploads.spool(ctx, colleague, "answers.csv", _rows(10))
    first = uploads.start_import(ctx, colleague, upload_id, MAPPING, "Survey")
    assert uploads.start_import(ctx, colleague, upload_id, MAPPING, "Survey") == first
    requests.serve(ctx, first)
    assert _count(ctx) == 10
    assert len(sources.list_(ctx, colleague)) == 1


class Killed(BaseException):
    """Stands for a worker's sudden end."""


def test_an_import_goes_on_where_its_worker_was_lost(
    any_ctx: Context, colleague: Actor, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = _import(any_ctx, colleague, _rows(2000, broken=5))
    reached = []

    def dies_after_the_second_page(name: str) -> None:
        reached.append(name)
        if reached.count("import.after_page") == 2:
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("dialogue.points.reached", dies_after_the_second_page)
        with pytest.raises(Killed):
            requests.serve(any_ctx, request_id)
    assert 0 < _count(any_ctx) < 1900
    report = any_ctx.data_dir / "uploads" / f"{request_id}-rejected.csv"
    with report.open("a") as file:
        file.write("written, but its page was never stored\n")
    clock.forward(minutes=5)
    requests.serve(any_ctx, request_id)
    view = requests.get(any_ctx, request_id)
    assert (view.state, view.result["new"], view.result["rejected"]) == ("done", 1900, 100)
    assert _count(any_ctx) == 1900
    assert len(report.read_text().splitlines()) == 101


def test_a_cancelled_import_keeps_what_it_read_and_says_so(
    ctx: Context, colleague: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = _import(ctx, colleague, _rows(2000))

    def cancelled_after_a_page(name: str) -> None:
        if name == "import.after_page":
            requests.cancel(ctx, colleague, request_id)

    monkeypatch.setattr("dialogue.points.reached", cancelled_after_a_page)
    requests.serve(ctx, request_id)
    assert requests.get(ctx, request_id).state == "cancelled"
    assert _count(ctx) == 500
    (source,) = sources.list_(ctx, colleague)
    assert "cancelled" in source.words


def test_memory_stays_bounded(ctx: Context, colleague: Actor) -> None:
    request_id = _import(ctx, colleague, _rows(20_000))
    tracemalloc.start()
    requests.serve(ctx, request_id)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert _count(ctx) == 20_000
    assert peak < 30 * 1024**2, f"{peak / 1024**2:.0f} MB for a file of 1 MB"


def test_what_is_too_large_or_empty_leaves_nothing(
    ctx: Context, colleague: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "LARGEST", 1000)
    with pytest.raises(DialogueError, match="too large"):
        uploads.spool(ctx, colleague, "big.csv", iter([b"x" * 600] * 2))
    with pytest.raises(DialogueError, match="empty"):
        uploads.spool(ctx, colleague, "empty.csv", iter([]))
    assert list((ctx.data_dir / "uploads").iterdir()) == []


def test_a_connection_that_breaks_leaves_nothing(ctx: Context, colleague: Actor) -> None:
    def broken() -> Iterator[bytes]:
        yield HEADER
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        uploads.spool(ctx, colleague, "half.csv", broken())
    assert list((ctx.data_dir / "uploads").iterdir()) == []


def test_only_an_administrator_hands_in(ctx: Context, colleague: Actor) -> None:
    with pytest.raises(NotAllowed):
        uploads.spool(ctx, as_role(colleague, Role.APPROVER), "a.csv", _rows(1))


@pytest.mark.parametrize("upload_id", ["", "../../etc/passwd", "0" * 32, "x" * 100_000])
def test_no_other_file_can_be_named(ctx: Context, colleague: Actor, upload_id: str) -> None:
    with pytest.raises(Missing):
        uploads.preview(ctx, colleague, upload_id)


def test_what_is_no_table_is_said(ctx: Context, colleague: Actor) -> None:
    upload_id = uploads.spool(ctx, colleague, "list.json", iter([b'[{"text": "one list"}]']))
    with pytest.raises(DialogueError, match="JSON Lines"):
        uploads.preview(ctx, colleague, upload_id)


def test_files_that_nobody_imports_go_after_a_week(ctx: Context, colleague: Actor, clock: Clock) -> None:
    upload_id = uploads.spool(ctx, colleague, "a.csv", _rows(1))
    uploads.tidy(ctx)
    assert uploads.preview(ctx, colleague, upload_id).name == "a.csv"
    clock.forward(days=8)
    uploads.tidy(ctx)
    with pytest.raises(Missing):
        uploads.preview(ctx, colleague, upload_id)
    assert not list(Path(ctx.data_dir / "uploads").glob("*.upload"))


@given(st.text())
def test_no_cell_of_a_report_is_a_formula(cell: str) -> None:
    assert not harmless(cell).lstrip().startswith(("=", "+", "-", "@"))
    assert harmless(cell)[:1] not in ("\t", "\r", "\n")
