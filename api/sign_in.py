"""Coming in and going out: the sign-in, one-time links, the sign-out."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from api import html
from api.gate import READS, SMALL_BODY, Door, Needs
from api.site import SESSION_COOKIE, Site
from dialogue import accounts
from dialogue.context import DialogueError

FORM_COOKIE = "samtal_form"
"""A random value that a sign-in form is bound to: nobody is signed in yet whose session could hold it."""

DOORS = (
    Door("/sign-in", Needs.NOTHING, READS | {"POST"}, max_body=SMALL_BODY),
    Door("/welcome", Needs.NOTHING, READS | {"POST"}, max_body=SMALL_BODY),
    Door("/sign-out", Needs.SESSION, READS | {"POST"}, max_body=SMALL_BODY, page=True),
)

_FORGED = "This form was open for too long, or cookies are off. Try again."


@dataclass(frozen=True, slots=True)
class SignIn:
    """The routes of this file for one site."""

    site: Site

    def routes(self) -> list[Route]:
        return [
            Route("/sign-in", self.show, methods=["GET"]),
            Route("/sign-in", self.sign_in, methods=["POST"]),
            Route("/welcome", self.show_link, methods=["GET"]),
            Route("/welcome", self.redeem, methods=["POST"]),
            Route("/sign-out", self.show_sign_out, methods=["GET"]),
            Route("/sign-out", self.sign_out, methods=["POST"]),
        ]

    # Sign-in ----------------------------------------------------------------------------------------------------------

    async def show(self, request: Request) -> Response:
        goes_on = _own_path(request.query_params.get("next"))
        ctx = self.site.ctx
        if await run_in_threadpool(accounts.actor_of, ctx, request.cookies.get(SESSION_COOKIE)):
            return RedirectResponse(goes_on, status_code=303)
        if await run_in_threadpool(accounts.first_link, ctx):
            text = (
                "Open the one-time link that the terminal shows where Samtal was started. It makes the first account."
            )
            return html.page("Welcome", html.heading("Samtal is ready", text))
        return self._sign_in_page(request, "", goes_on, None)

    async def sign_in(self, request: Request) -> Response:
        form = await request.form()
        username, goes_on = _field(form, "username"), _own_path(_field(form, "next"))
        if not self._form_is_ours(request, form):
            return self._sign_in_page(request, username, goes_on, _FORGED, 403)
        try:
            token = await run_in_threadpool(
                accounts.sign_in,
                self.site.ctx,
                username,
                _field(form, "password"),
                request.client.host if request.client else "",
                request.headers.get("user-agent", ""),
                request.cookies.get(SESSION_COOKIE),
            )
        except accounts.TooManyTries as error:
            page = self._sign_in_page(request, username, goes_on, str(error), 429)
            page.headers["Retry-After"] = str(error.seconds)
            return page
        except accounts.SignInError as error:
            return self._sign_in_page(request, username, goes_on, str(error), 401)
        return self._signed_in(request, token, goes_on)

    def _sign_in_page(
        self, request: Request, username: str, goes_on: str, problem: str | None, status: int = 200
    ) -> Response:
        fields = (
            html.wrong(problem)
            + html.text_field("username", "User name", username, autocomplete="username", focus=not username)
            + html.password_field("password", "Password", new=False, focus=bool(username))
            + html.hidden("next", goes_on)
        )
        body = html.heading("Sign in", "The conversation goes on where you left it.")
        return self._form_page(request, "Sign in", body, "/sign-in", fields, "Sign in", status)

    # One-time links ---------------------------------------------------------------------------------------------------

    async def show_link(self, request: Request) -> Response:
        token = request.query_params.get("link", "")
        info = await run_in_threadpool(accounts.link_info, self.site.ctx, token)
        if info is None:
            return _dead_link()
        return self._link_page(request, token, info, info.username, info.display_name, None)

    async def redeem(self, request: Request) -> Response:
        form = await request.form()
        token, username, name = _field(form, "link"), _field(form, "username"), _field(form, "name")
        info = await run_in_threadpool(accounts.link_info, self.site.ctx, token)
        if info is None:
            return _dead_link()
        password = _field(form, "password")
        if not self._form_is_ours(request, form):
            return self._link_page(request, token, info, username, name, _FORGED, 403)
        if password != _field(form, "again"):
            return self._link_page(request, token, info, username, name, "The two passwords differ.", 400)
        agent = request.headers.get("user-agent", "")
        try:
            session = await run_in_threadpool(accounts.redeem, self.site.ctx, token, username, name, password, agent)
        except accounts.SignInError:
            return _dead_link()
        except DialogueError as error:
            return self._link_page(request, token, info, username, name, str(error), 400)
        return self._signed_in(request, session, "/")

    def _link_page(
        self,
        request: Request,
        token: str,
        info: accounts.LinkInfo,
        username: str,
        name: str,
        problem: str | None,
        status: int = 200,
    ) -> Response:
        title, text, button = _LINK_WORDS[info.purpose]
        known = bool(info.username)
        fields = html.wrong(problem)
        if info.purpose != "recovery":
            fields += html.text_field("name", "Your name", name, autocomplete="name", focus=True)
        fields += html.text_field(
            "username", "User name", info.username or username, autocomplete="username", fixed=known
        )
        fields += html.password_field(
            "password",
            "Password",
            new=True,
            hint=f"At least {accounts.SHORTEST_PASSWORD} characters. A short sentence works well.",
            focus=info.purpose == "recovery",
        )
        fields += html.password_field("again", "Password again", new=True) + html.hidden("link", token)
        return self._form_page(request, title, html.heading(title, text), "/welcome", fields, button, status)

    # Sign-out ---------------------------------------------------------------------------------------------------------

    async def show_sign_out(self, request: Request) -> Response:
        csrf = await run_in_threadpool(accounts.csrf_of, self.site.ctx, request.cookies.get(SESSION_COOKIE))
        body = html.heading("Sign out?", "Drafts and everything else are kept.")
        return html.page("Sign out", body + html.form("/sign-out", html.hidden("csrf", csrf or ""), "Sign out"))

    async def sign_out(self, request: Request) -> Response:
        form = await request.form()
        token = request.cookies.get(SESSION_COOKIE)
        csrf = await run_in_threadpool(accounts.csrf_of, self.site.ctx, token)
        if csrf is None or not hmac.compare_digest(csrf.encode(), _field(form, "csrf").encode("utf-8", "replace")):
            return RedirectResponse("/sign-out", status_code=303)
        await run_in_threadpool(accounts.sign_out, self.site.ctx, token)
        response = RedirectResponse("/sign-in", status_code=303)
        response.delete_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="lax")
        return response

    # Inside -----------------------------------------------------------------------------------------------------------

    def _form_page(
        self, request: Request, title: str, head: str, action: str, fields: str, button: str, status: int
    ) -> Response:
        seed = request.cookies.get(FORM_COOKIE) or secrets.token_urlsafe(24)
        fields += html.hidden("form", self._form_token(seed))
        response = html.page(title, head + html.form(action, fields, button), status)
        response.set_cookie(
            FORM_COOKIE, seed, path="/", httponly=True, samesite="strict", secure=self.site.secure(request)
        )
        return response

    def _form_is_ours(self, request: Request, form: FormData) -> bool:
        seed = request.cookies.get(FORM_COOKIE)
        given = _field(form, "form").encode("utf-8", "replace")
        return bool(seed) and hmac.compare_digest(self._form_token(seed or "").encode(), given)

    def _form_token(self, seed: str) -> str:
        return self.site.ctx.secrets.digest(f"sign-in form {seed}")

    def _signed_in(self, request: Request, token: str, goes_on: str) -> Response:
        response = RedirectResponse(goes_on, status_code=303)
        response.set_cookie(
            SESSION_COOKIE,
            token,
            max_age=accounts.SESSION_DAYS * 24 * 3600,
            path="/",
            httponly=True,
            samesite="lax",
            secure=self.site.secure(request),
        )
        return response


_LINK_WORDS = {
    "first": ("Make the first account", "You will be the administrator. Invite the others from inside.", "Start"),
    "invitation": ("Welcome", "Choose a password and you are in.", "Come in"),
    "recovery": ("Set a new password", "Every other session of this account ends.", "Save and sign in"),
}


def _dead_link() -> Response:
    text = "It was used before, or is out of date. Ask an administrator for a new one."
    way = '<p><a href="/sign-in">To the sign-in</a></p>'
    return html.page("Link", html.heading("This link does not work any more", text) + way, 410)


def _field(form: FormData, name: str) -> str:
    value = form.get(name)
    return value if isinstance(value, str) else ""


def _own_path(path: str | None) -> str:
    """A path on this server, '/' for anything that could lead elsewhere."""
    if not path or not path.startswith("/") or path.startswith(("//", "/\\")) or len(path) > 2_000:
        return "/"
    return path if path.isprintable() and "\\" not in path else "/"
