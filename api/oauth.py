"""Where platforms send people back to, once they have let Samtal in there or refused to.

Whatever came, the browser goes on to one page of ours and to nothing that came with it; there, words say how it went.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from api.gate import Door, Needs
from api.site import SESSION_COOKIE, Site, actor_in
from dialogue import connecting
from dialogue.context import DialogueError

GOES_ON = "/sources"
DOORS = (Door(connecting.CALLBACK, Needs.SESSION, frozenset({"GET"}), page=True, led_to=GOES_ON),)

_HEEDED = ("state", "code", "error", "error_description")
_log = logging.getLogger("samtal.oauth")


@dataclass(frozen=True, slots=True)
class OAuth:
    """The route of this file for one site."""

    site: Site

    def routes(self) -> list[Route]:
        return [Route(connecting.CALLBACK, self.returned, methods=["GET"])]

    async def returned(self, request: Request) -> Response:
        """Keeps the code for the worker, and leads to where its progress is shown."""
        answer = {name: request.query_params.get(name, "")[:5_000] for name in _HEEDED}
        session = request.cookies.get(SESSION_COOKIE)
        try:
            told = await run_in_threadpool(connecting.returned, self.site.ctx, actor_in(request), session, answer)
        except DialogueError as error:  # a role that does not reach so far, a key that opens nothing any more
            _log.warning("What a platform sent back was not taken: %s", error)
            told = connecting.UNKNOWN
        return RedirectResponse(f"{GOES_ON}?{connecting.TOLD}={told}", status_code=303)
