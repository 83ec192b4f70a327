"""Files in, reports out. A file is written to disk as it arrives: no part of it waits in this process's memory."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Route

from api import html
from api.gate import Door, Needs
from api.site import SESSION_COOKIE, Site, actor_in
from dialogue import accounts, uploads
from dialogue.context import DialogueError, Missing, NotAllowed, Role, require

DOORS = (
    Door("/uploads", Needs.SESSION, frozenset({"POST"}), max_body=uploads.LARGEST + 1024 * 1024),
    Door("/uploads/rejections/{request_id}", Needs.SESSION),
)
LONGEST_FIELD = 1_000
MOST_PARTS = 8


class _FormError(DialogueError):
    """The form is not as our page sends it."""


@dataclass(frozen=True, slots=True)
class Uploads:
    """The routes of this file for one site."""

    site: Site

    def routes(self) -> list[Route]:
        return [
            Route("/uploads", self.receive, methods=["POST"]),
            Route("/uploads/rejections/{request_id}", self.rejections, methods=["GET"]),
        ]

    async def receive(self, request: Request) -> Response:
        """Takes a form with `csrf` and, after it, `file`; leads on to the page that matches the columns."""
        try:
            require(actor_in(request), Role.ADMIN)
            upload_id = await self._spool(request)
        except NotAllowed as error:
            return _problem(str(error), 403)
        except DialogueError as error:
            return _problem(str(error), 400)
        return RedirectResponse(f"/sources?upload={upload_id}", status_code=303)

    async def rejections(self, request: Request) -> Response:
        """The rows that an import could not read, as CSV."""
        given = str(request.path_params["request_id"])
        try:
            if not (given.isascii() and given.isdigit()) or len(given) > 15:
                raise Missing("There is no such report.")
            path = await run_in_threadpool(uploads.rejections_path, self.site.ctx, actor_in(request), int(given))
        except NotAllowed as error:
            return _problem(str(error), 403)
        except DialogueError as error:
            return _problem(str(error), 404)
        return FileResponse(path, media_type="text/csv; charset=utf-8", filename=f"rejected-rows-{given}.csv")

    async def _spool(self, request: Request) -> str:
        csrf = await run_in_threadpool(accounts.csrf_of, self.site.ctx, request.cookies.get(SESSION_COOKIE))
        form = _Form(request.headers.get("content-type", ""))
        spool: uploads.Spool | None = None
        try:
            async for chunk in request.stream():
                for piece in form.feed(chunk):
                    if spool is None:
                        _check_csrf(csrf, form.fields.get("csrf", ""))
                        spool = await run_in_threadpool(uploads.Spool, self.site.ctx, actor_in(request), form.file_name)
                    await run_in_threadpool(spool.write, piece)
            if spool is None or not form.ended:
                raise _FormError("No file arrived. Choose one and try again.")
            return await run_in_threadpool(spool.finish)
        except BaseException:
            if spool is not None:
                await run_in_threadpool(spool.abort)
            raise


def _check_csrf(known: str | None, given: str) -> None:
    if known is None or not hmac.compare_digest(known.encode(), given.encode("utf-8", "replace")):
        raise _FormError("This form was open for too long. Open the page again and choose the file once more.")


def _problem(message: str, status: int) -> Response:
    way = '<p><a href="/sources">Back to the sources</a></p>'
    return html.page("Upload", html.heading("The file was not taken", message) + way, status)


@dataclass(slots=True)
class _Form:
    """A multipart form that is read as it arrives: small fields are kept, the pieces of the one file are passed on."""

    content_type: str
    fields: dict[str, str] = field(default_factory=dict)
    file_name: str = ""
    ended: bool = False
    _parser: MultipartParser = field(init=False)
    _headers: dict[str, bytes] = field(default_factory=dict)
    _header: list[bytes] = field(default_factory=lambda: [b"", b""])
    _name: str = ""
    _in_file: bool = False
    _seen_file: bool = False
    _value: bytes = b""
    _parts: int = 0
    _pieces: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        kind, options = parse_options_header(self.content_type)
        boundary = options.get(b"boundary")
        if kind != b"multipart/form-data" or not boundary:
            raise _FormError("This is no form with a file.")
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begins,
                "on_part_data": self._part_data,
                "on_part_end": self._part_ends,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_ends,
                "on_headers_finished": self._headers_end,
                "on_end": self._ends,
            },
        )

    def feed(self, chunk: bytes) -> list[bytes]:
        """Reads a chunk; returns what of the file was in it. Raises DialogueError."""
        self._pieces = []
        try:
            self._parser.write(chunk)
        except MultipartParseError as error:
            raise _FormError("The form arrived damaged. Try again.") from error
        return [b"".join(self._pieces)] if self._pieces else []

    def _part_begins(self) -> None:
        self._headers, self._value, self._parts = {}, b"", self._parts + 1
        if self._parts > MOST_PARTS:
            raise _FormError("The form has too many parts.")

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._header[0] += data[start:end]
        if len(self._header[0]) > LONGEST_FIELD:
            raise _FormError("A part of the form has too long a header.")

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1] += data[start:end]
        if len(self._header[1]) > 4 * LONGEST_FIELD:
            raise _FormError("A part of the form has too long a header.")

    def _header_ends(self) -> None:
        self._headers[self._header[0].decode("latin-1").lower()] = self._header[1]
        self._header = [b"", b""]

    def _headers_end(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition", b"").decode("utf-8", "replace"))
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        self._in_file = b"filename" in options
        if self._in_file:
            if self._seen_file or self._name != "file":
                raise _FormError("One file at a time, please.")
            self._seen_file = True
            self.file_name = options[b"filename"].decode("utf-8", "replace")

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self._pieces.append(data[start:end])
            return
        self._value += data[start:end]
        if len(self._value) > LONGEST_FIELD:
            raise _FormError("A field of the form is too long.")

    def _part_ends(self) -> None:
        if not self._in_file:
            self.fields[self._name] = self._value.decode("utf-8", "replace")

    def _ends(self) -> None:
        self.ended = True
