"""Files that people hand in: spooled to disk, looked at, imported by the worker in bounded memory.

An import goes on where a lost worker stood: the file's cursor is stored with each page, and so is the length of the
report of rejected rows, which is cut back to it.
"""

from __future__ import annotations

import csv
import io
import os
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

from db import mentions, sources, workspace
from db import requests as request_rows
from db import uploads as rows
from db.engine import Transaction
from db.sources import SourceRow
from db.uploads import UploadRow
from dialogue import audit, points
from dialogue.collecting import LEASE, LostLease, as_mention, counted
from dialogue.context import Actor, Context, DialogueError, Missing, Role, require
from dialogue.requests import Progress, Stopped
from listeners import files
from listeners.base import ListeningError, Page, Rejected, Terminal, clean

LARGEST = 2 * 1024**3
"""Bytes of one file."""
KEPT = timedelta(days=7)
"""How long a file waits for somebody to import it; an imported one is removed at once."""
REPORT_KEPT = timedelta(days=30)
FOLDER = "uploads"
CANCELLED = "The import was cancelled; what was read before is kept."
_UPLOAD_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class UploadPreview:
    """What a file holds and how it would be read.

    fields: what a column can be chosen for; `labels` are their words. mapping: field to column, guessed.
    sample_rows: the first rows, by column. problems: sentences that a person should read before importing.
    """

    name: str
    columns: tuple[str, ...]
    fields: tuple[str, ...]
    labels: Mapping[str, str]
    mapping: Mapping[str, str]
    sample_rows: tuple[Mapping[str, str], ...]
    encoding_words: str
    problems: tuple[str, ...]


class Spool:
    """A file on its way in. Chunks may come from an asynchronous reader; each `write` only appends to a file."""

    def __init__(self, ctx: Context, actor: Actor, name: str) -> None:
        require(actor, Role.ADMIN)
        self._ctx, self._actor = ctx, actor
        self._name = " ".join("".join(c if c.isprintable() else " " for c in name).split())[:200] or "file"
        self._id = secrets.token_hex(16)
        folder = _folder(ctx)
        self._path = folder / f"{self._id}.upload"
        self._part = folder / f"{self._id}.part"
        self._size = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = self._part.open("xb")
        except OSError as error:
            raise DialogueError(f"The file cannot be kept: {error.strerror}.") from error

    def write(self, chunk: bytes) -> None:
        """Appends a chunk. Raises DialogueError, and removes the file, when it is too large or the disk is full."""
        self._size += len(chunk)
        if self._size > LARGEST:
            self.abort()
            raise DialogueError(f"The file is too large: {LARGEST // 1024**3} GB fit. Split it.")
        try:
            self._file.write(chunk)
        except OSError as error:
            self.abort()
            raise DialogueError(f"The file cannot be kept: {error.strerror}. Make room on the disk.") from error

    def finish(self) -> str:
        """Keeps the file; returns its id."""
        if self._size == 0:
            self.abort()
            raise DialogueError("The file is empty.")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.rename(self._path)
        now = self._ctx.clock()
        with self._ctx.database.transaction() as tx:
            rows.add(tx, UploadRow(self._id, self._name, self._path.name, self._size, self._actor.user_id, now))
            audit.record(tx, self._ctx, self._actor, "handed in", "file", self._id, name=self._name, bytes=self._size)
        return self._id

    def abort(self) -> None:
        """Removes what came so far."""
        self._file.close()
        self._part.unlink(missing_ok=True)


def spool(ctx: Context, actor: Actor, name: str, chunks: Iterable[bytes]) -> str:
    """Keeps a file of any size up to LARGEST on disk; returns its id. Raises DialogueError."""
    coming = Spool(ctx, actor, name)
    try:
        for chunk in chunks:
            coming.write(chunk)
    except BaseException:
        coming.abort()
        raise
    return coming.finish()


def preview(ctx: Context, actor: Actor, upload_id: str) -> UploadPreview:
    """What is in the file, and how it would be read. Raises DialogueError for what is no CSV or JSON Lines file."""
    require(actor, Role.ADMIN)
    with ctx.database.reading() as tx:
        upload = _upload(tx, upload_id)
        zone = ZoneInfo(workspace.read(tx).time_zone)
    try:
        found = files.preview(_folder(ctx) / upload.path, zone=zone)
    except Terminal as error:
        raise DialogueError(f"{error} {error.what_to_do}") from error
    rejected = [f"{one.where}: {one.reason}" for one in found.found if isinstance(one, Rejected)]
    return UploadPreview(
        name=upload.name,
        columns=tuple(found.columns),
        fields=tuple(files.FIELDS),
        labels={name: label for name, (label, _) in files.FIELDS.items()},
        mapping=found.mapping,
        sample_rows=tuple(found.rows),
        encoding_words=f"{found.format}, {found.encoding}",
        problems=(*found.notes, *rejected[:5]),
    )


def start_import(ctx: Context, actor: Actor, upload_id: str, mapping: Mapping[str, str], label: str) -> int:
    """Has the worker import the file as a source of its own; returns the request's id.

    The same file is imported once: a second call, as a double click makes it, returns the same request.
    """
    require(actor, Role.ADMIN)
    if "text" not in mapping:
        raise DialogueError("Choose the column that holds the text.")
    unknown = [name for name in mapping if name not in files.FIELDS]
    if unknown:
        raise DialogueError(f"There is no field called '{unknown[0][:50]}'.")
    now = ctx.clock()
    with ctx.database.transaction() as tx:
        upload = _upload(tx, upload_id)
        earlier = next((one for one in sources.all_(tx) if one.options.get("upload") == upload_id), None)
        if earlier is not None:
            return int(earlier.options["request"])
        source_id = sources.add(
            tx, now, platform=files.CAPABILITY.platform, mode=files.CAPABILITY.default_mode, query=upload.name,
            label=" ".join(clean(label).split())[:100] or upload.name,
        )  # fmt: skip
        payload = {"source_id": source_id, "upload_id": upload_id, "mapping": dict(mapping)}
        request_id = request_rows.add(tx, "import", payload, actor.user_id, now)
        sources.change(tx, source_id, options={"upload": upload_id, "request": request_id})
        audit.record(tx, ctx, actor, "imported", "file", upload_id, name=upload.name)
        workspace.bump(tx)
    ctx.triggers.serve(request_id)
    return request_id


def rejections_path(ctx: Context, actor: Actor, request_id: int) -> Path:
    """The report of the rows that an import could not read: CSV with line and reason. Raises Missing."""
    require(actor, Role.ADMIN)
    path = _report(ctx, request_id)
    if not path.is_file():
        raise Missing("There is no report: every row was read, or it was removed after a month.")
    return path


# What the worker does -------------------------------------------------------------------------------------------------


def import_file(ctx: Context, payload: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Handler: reads a file into its source, a page and its cursor in one transaction."""
    with ctx.database.transaction() as tx:
        upload = _upload(tx, payload["upload_id"])
        source = sources.take_over(tx, int(payload["source_id"]), ctx.clock(), LEASE)
        if source is None:
            raise Missing("The source of this import was removed.")
        run_id = sources.begin_run(tx, source.id, ctx.clock())
        zone = ZoneInfo(workspace.read(tx).time_zone)
    importing = _Import(ctx, source, upload, run_id, progress)
    try:
        for page in files.read(
            _folder(ctx) / upload.path, payload["mapping"], upload=upload.id, cursor=source.cursor, zone=zone
        ):
            importing.store(page)
    except (LostLease, Stopped):
        importing.ended("terminal", CANCELLED, "Remove the source, or hand the file in again.")
        raise Stopped from None
    except ListeningError as error:
        importing.ended("terminal", str(error), error.what_to_do if isinstance(error, Terminal) else "")
        raise
    importing.ended("ok", "", "")
    _remove_file(ctx, upload)
    ctx.triggers.understand()
    return importing.result | {"words": importing.words}


class _Import:
    """One take of an import."""

    def __init__(self, ctx: Context, source: SourceRow, upload: UploadRow, run_id: int, progress: Progress) -> None:
        self.ctx, self.source, self.upload, self.run_id, self.progress = ctx, source, upload, run_id, progress
        self.result: dict[str, Any] = {"new": 0, "edited": 0, "seen": 0, "rejected": 0, "report": 0} | progress.result
        self._pages = 0

    @property
    def words(self) -> str:
        """How it goes, in a sentence."""
        read = self.result["new"] + self.result["edited"] + self.result["seen"]
        rejected = f", {self.result['rejected']:,} rejected" if self.result["rejected"] else ""
        return f"{read:,} rows read{rejected}"

    def store(self, page: Page) -> None:
        """Stores a page. Raises LostLease or Stopped, and then nothing of it is stored."""
        ctx, now = self.ctx, self.ctx.clock()
        length = _append(_report(ctx, self.progress.request_id), self.result["report"], page.rejected)
        with ctx.database.transaction() as tx:
            if not sources.holds(tx, self.source):
                raise LostLease
            stored = mentions.upsert(
                tx, map(as_mention, page.posts), now=now, digest=ctx.secrets.digest, source_id=self.source.id
            )
            result = {
                "new": self.result["new"] + stored.new,
                "edited": self.result["edited"] + stored.edited,
                "seen": self.result["seen"] + stored.seen,
                "rejected": self.result["rejected"] + len(page.rejected),
                "report": length,
            }
            sources.count_page(tx, self.run_id, counted(stored, page))
            sources.change(tx, self.source.id, cursor=page.cursor, lease_until=now + LEASE)
            self.result, before = result, self.result
            try:
                self.progress.write(
                    tx, done=int(page.cursor["at"]), total=int(page.cursor["size"]), words=self.words, result=result
                )
            except Stopped:
                self.result = before
                raise
        points.reached("import.after_page")
        self._pages += 1
        if self._pages % 10 == 1:
            ctx.triggers.understand()

    def ended(self, outcome: str, error: str, what_to_do: str) -> None:
        """Closes the run, unless somebody else has taken the source over."""
        now = self.ctx.clock()
        values: dict[str, Any] = {"last_success_at": now, "last_error": "", "last_error_kind": "", "what_to_do": ""}
        if outcome != "ok":
            values = {
                "last_error_at": now, "last_error": error, "last_error_kind": outcome, "what_to_do": what_to_do,
            }  # fmt: skip
        with self.ctx.database.transaction() as tx:
            if sources.holds(tx, self.source):
                sources.end_run(tx, self.run_id, now, outcome, error)
                sources.change(tx, self.source.id, lease_until=None, **values)
                workspace.bump(tx)


def discard(ctx: Context, upload_id: str) -> None:
    """Removes a file, if it is still here."""
    with ctx.database.reading() as tx:
        upload = rows.get(tx, upload_id)
    if upload is not None:
        _remove_file(ctx, upload)


def tidy(ctx: Context) -> None:
    """Removes files that nobody imported within a week, and reports after a month."""
    now = ctx.clock()
    with ctx.database.reading() as tx:
        old = rows.older_than(tx, now - KEPT)
        busy = {row.payload.get("upload_id") for row in request_rows.open_ones(tx)}
    for upload in old:
        if upload.id not in busy:
            _remove_file(ctx, upload)
    folder = _folder(ctx)
    for path in folder.glob("*") if folder.is_dir() else ():
        age = now.timestamp() - path.stat().st_mtime
        if age > (KEPT if path.suffix == ".part" else REPORT_KEPT).total_seconds():
            path.unlink(missing_ok=True)


def _remove_file(ctx: Context, upload: UploadRow) -> None:
    (_folder(ctx) / upload.path).unlink(missing_ok=True)
    with ctx.database.transaction() as tx:
        rows.remove(tx, upload.id)


def _folder(ctx: Context) -> Path:
    return ctx.data_dir / FOLDER


def _report(ctx: Context, request_id: int) -> Path:
    return _folder(ctx) / f"{int(request_id)}-rejected.csv"


def _upload(tx: Transaction, upload_id: str) -> UploadRow:
    found = rows.get(tx, upload_id) if _UPLOAD_ID.fullmatch(upload_id) else None
    if found is None:
        raise Missing("This file is not here any more: it was imported, or nobody imported it within a week.")
    return found


def _append(path: Path, length: int, rejected: Sequence[Rejected]) -> int:
    """Cuts the report to `length`, which is stored, and adds rows; returns its length now."""
    if not rejected and length == 0 and not path.exists():
        return 0
    written = io.StringIO()
    table = csv.writer(written)
    if length == 0 and rejected:
        table.writerow(("line", "reason"))
    table.writerows((harmless(one.where.removeprefix("line ")), harmless(one.reason)) for one in rejected)
    with path.open("r+b" if path.exists() else "w+b") as file:
        file.truncate(length)
        file.seek(length)
        file.write(written.getvalue().encode("utf-8", "replace"))
        return file.tell()


def harmless(cell: str) -> str:
    """The cell as text that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.lstrip()[:1] in ("=", "+", "-", "@") or cell[:1] in ("\t", "\r", "\n") else cell
