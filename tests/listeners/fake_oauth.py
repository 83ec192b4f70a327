"""A platform that lets people in: its own page, its tokens, and who one is with them, each in its own wire format.

`server.consent(url)` is a person who reads the page at `url` and says yes: it gives what the browser brings back to us.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from listeners import registry
from tests.listeners.fake_server import FakeServer, Reply, Request

APP = {"client_id": "samtal-app-1", "client_secret": "s3cret-of-the-app-1"}
WHO = {
    "x": ("/2/users/me", {"data": {"id": "4001", "username": "acme_help", "name": "Acme"}}),
    "mastodon": ("/api/v1/accounts/verify_credentials", {"id": "4001", "acct": "acme_help", "username": "acme_help"}),
    "github": ("/user", {"id": 4001, "login": "acme-help", "type": "User"}),
    "reddit": ("/api/v1/me", {"id": "4001", "name": "acme_help"}),
    "youtube": (
        "/channels",
        {"items": [{"id": "UC" + "a" * 22, "snippet": {"title": "Acme", "customUrl": "@acme_help"}}]},
    ),
    "stackexchange": (
        "/me",
        {"items": [{"user_id": 4001, "display_name": "acme_help", "user_type": "registered"}], "quota_remaining": 99},
    ),
}
_INFO = {"items": [{"new_active_users": 1}], "quota_remaining": 99, "quota_max": 100}
_SCOPE = re.compile(r"[ ,]")


class OAuthServer(FakeServer):
    """One platform's. `expiring`: GitHub's apps may give access that ends; the others have only one way."""

    def __init__(self, platform: str, *, expiring: bool = False) -> None:
        super().__init__()
        flow = registry.capability(platform).oauth
        assert flow is not None
        self.platform, self.flow, self.expiring = platform, flow, expiring
        self.apps: dict[str, str] = {} if flow.register_path else {APP["client_id"]: APP["client_secret"]}
        self.codes: dict[str, dict[str, str]] = {}
        self.refreshes: set[str] = set()
        self.accesses: set[str] = set()
        self.leaves_out_refresh = False
        self.answers_with: Reply | None = None
        self._count = 0

    # --- its page

    def consent(self, url: str) -> dict[str, str]:
        """A person says yes at `url`: what comes back to us. Fails where the page could not be shown."""
        parts, asked = urlsplit(url), dict(parse_qsl(urlsplit(url).query))
        assert f"{parts.scheme}://{parts.netloc}" == self.url
        assert parts.path == urlsplit(self.flow.authorize_url).path
        assert asked["response_type"] == "code"
        assert asked["client_id"] in self.apps
        assert _SCOPE.split(asked["scope"]) == [*self.flow.scopes]
        assert ("code_challenge" in asked) == self.flow.pkce
        for name, value in self.flow.extra:
            assert asked[name] == value
        self._count += 1
        code = f"c0de-{self._count}-of-{self.platform}"
        self.codes[code] = asked
        return {"code": code, "state": asked["state"]}

    def _page(self, request: Request) -> Reply:
        """The page, for a browser: a link to say yes, and one to say no."""
        back = self.consent(f"{self.url}{request.path}?{urlencode(request.params)}")
        no = {"error": "access_denied", "state": back["state"]}
        links = {
            word: f"{request.params['redirect_uri']}?{urlencode(query)}"
            for word, query in {"Allow": back, "Deny": no}.items()
        }
        body = "".join(f'<p><a href="{html.escape(address)}">{word}</a></p>' for word, address in links.items())
        return Reply(f"<!doctype html><h1>Let Samtal in?</h1>{body}".encode(), 200, {"Content-Type": "text/html"})

    # --- its tokens

    def reply_to(self, request: Request) -> Reply:
        path, who = WHO[self.platform]
        if request.path == urlsplit(self.flow.authorize_url).path:
            return self._page(request)
        if request.method == "POST" and request.path == self.flow.register_path:
            return self._registers(request.form())
        if request.path == urlsplit(self.flow.token_url).path:
            return self.answers_with or self._gives(request)
        if request.path.endswith(path):
            known = request.headers.get("authorization", "").split(" ")[-1] in self.accesses
            return Reply(who) if known else Reply({"message": "Unauthorized"}, 401)
        return Reply(_INFO if request.path.endswith("/info") else {"items": []})

    def _registers(self, form: Mapping[str, str]) -> Reply:
        assert form["client_name"] == "Samtal"
        self._count += 1
        made = {"client_id": f"app-{self._count}", "client_secret": f"s3cret-of-app-{self._count}"}
        self.apps[made["client_id"]] = made["client_secret"]
        return Reply({"id": str(self._count), "name": form["client_name"], **made})

    def _gives(self, request: Request) -> Reply:
        assert request.method == "POST"
        if self.platform == "github":
            assert request.headers["accept"] == "application/json", "it would answer with a form"
        form = request.form()
        app = self._app(request, form)
        if app is None:
            return self._unknown_app()
        if form["grant_type"] == "refresh_token":
            known = form["refresh_token"] in self.refreshes
            return self._tokens(app, form["refresh_token"]) if known else self._ended("token", "bad_refresh_token")
        asked = self.codes.pop(form["code"], None)
        if asked is None or asked["client_id"] != app or asked["redirect_uri"] != form["redirect_uri"]:
            return self._ended("authorization code", "bad_verification_code")
        if self.flow.pkce:
            digest = hashlib.sha256(form["code_verifier"].encode()).digest()
            if base64.urlsafe_b64encode(digest).decode().rstrip("=") != asked["code_challenge"]:
                return self._ended("authorization code", "bad_verification_code")
        return self._tokens(app)

    def _app(self, request: Request, form: Mapping[str, str]) -> str | None:
        ours, secret = form.get("client_id"), form.get("client_secret")
        if self.flow.basic:
            whole = request.headers.get("authorization", "").removeprefix("Basic ")
            ours, _, secret = (unquote(part) for part in base64.b64decode(whole).decode().partition(":"))
        return ours if ours and self.apps.get(ours) == secret else None

    def _tokens(self, app: str, spent: str = "") -> Reply:
        self._count += 1
        access, fresh = f"acc3ss-{self._count}-{self.platform}", f"r3fresh-{self._count}-{self.platform}"
        self.accesses.add(access)
        given: dict[str, Any] = {"access_token": access, "token_type": "bearer", "scope": " ".join(self.flow.scopes)}
        if self.platform == "stackexchange":
            return Reply({"access_token": access})
        if self.platform == "mastodon":
            return Reply({**given, "token_type": "Bearer", "created_at": 1_795_000_000})
        if self.platform == "github" and not self.expiring:
            return Reply(given)
        rotates = self.platform in ("x", "github")
        if rotates:
            self.refreshes.discard(spent)
        given["expires_in"] = {"x": 7_200, "github": 28_800, "reddit": 86_400}.get(self.platform, 3_599)
        if self.platform == "github":
            given["refresh_token_expires_in"] = 15_897_600
        if (rotates or not spent) and not self.leaves_out_refresh:
            self.refreshes.add(fresh)
            given["refresh_token"] = fresh
        return Reply(given)

    def _ended(self, what: str, at_github: str) -> Reply:
        if self.platform == "github":
            return Reply({"error": at_github, "error_description": "It is incorrect or expired.", "error_uri": "…"})
        if self.platform == "reddit":
            return Reply({"error": "invalid_grant"})
        if self.platform == "x":
            said = f"Value passed for the {what} was invalid."
            return Reply({"error": "invalid_request", "error_description": said}, 400)
        if self.platform == "stackexchange":
            return Reply({"error": {"type": "invalid_grant", "message": "code is not valid"}}, 400)
        return Reply({"error": "invalid_grant", "error_description": "Bad Request"}, 400)

    def _unknown_app(self) -> Reply:
        if self.platform == "github":
            return Reply({"error": "incorrect_client_credentials", "error_description": "They are incorrect."})
        if self.platform == "reddit":
            return Reply({"message": "Unauthorized", "error": 401}, 401)
        if self.platform == "x":
            said = "Missing valid authorization header"
            return Reply({"error": "unauthorized_client", "error_description": said}, 401)
        return Reply({"error": "invalid_client", "error_description": "The OAuth client was not found."}, 401)
