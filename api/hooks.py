"""Webhooks: what other programs send. The credential is the signature, which needs the body and is therefore checked
here and not in the gate."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from api.gate import Door, Needs, error_body
from api.site import Site
from dialogue import hooks
from dialogue.context import DialogueError, Missing

PATH = "/hooks/{token}"
DOORS = (Door(PATH, Needs.SIGNATURE, frozenset({"POST"}), max_body=hooks.LARGEST),)

_log = logging.getLogger("samtal.hooks")


@dataclass(frozen=True, slots=True)
class Hooks:
    """The routes of this file for one site."""

    site: Site

    def routes(self) -> list[Route]:
        return [Route(PATH, self.receive, methods=["POST"])]

    async def receive(self, request: Request) -> Response:
        """Stores a signed delivery, says so, and reads it after the answer has left."""
        ctx, token = self.site.ctx, str(request.path_params["token"])
        if not await run_in_threadpool(hooks.known, ctx, token):
            return _refused(404, "not_found", "There is no such address. Copy it from the page Sources.")
        body = await request.body()  # outside of the net below: that there is too much of it, the gate says
        try:
            receipt = await run_in_threadpool(hooks.accept, ctx, token, dict(request.headers), body)
        except hooks.BadSignature as error:
            return _refused(401, "unauthorized", str(error))
        except hooks.TooMuch as error:
            return _refused(429, "too_many_requests", str(error), {"Retry-After": str(error.seconds)})
        except hooks.TooLarge as error:
            return _refused(413, "too_large", str(error))
        except Missing as error:
            return _refused(404, "not_found", str(error))
        except DialogueError as error:
            return _refused(400, "invalid_request", str(error))
        answer = {"id": receipt.delivery, "new": receipt.new}
        # Also where it came before: what was stored then may still wait to be read.
        reading = BackgroundTask(self._read, receipt.source_id)
        return JSONResponse(answer, status_code=202 if receipt.new else 200, background=reading)

    def _read(self, source_id: int) -> None:
        try:
            hooks.read_waiting(self.site.ctx, source_id)
        except Exception:  # noqa: BLE001 - it is stored: the worker's sweep reads it, and the log says what happened
            _log.exception("What source %d was sent could not be read yet", source_id)


def _refused(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse(error_body(code, message), status_code=status, headers=headers)
