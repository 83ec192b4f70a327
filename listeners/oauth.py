"""The way in by OAuth: a person gives us leave at the platform itself, and we keep what the platform gives.

`start` makes the address of the platform's page, `finish` uses the code that comes back from there, `refresh` gets new
access before the old one ends. How each platform does it is data, `Capability.oauth`. None of what is passed around
here stands in an error, nor is anything kept here: a refresh token may be good once, and whoever calls must have kept
the new one before anybody uses what came with it.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from listeners import http
from listeners.base import BadCredentials, Capability, ListeningError, OAuth, Options, Terminal, Transient, clean
from listeners.discreet import hushed
from listeners.untrusted import as_dict

CLIENT_ID, CLIENT_SECRET = "client_id", "client_secret"
"""The fields that hold our application's, on every platform."""
OUR_NAME = "Samtal"
CONNECT_AGAIN = "Connect it again."

_TOKEN = re.compile(r"[!-~]{1,5000}")
_ENDED = {"invalid_grant", "bad_refresh_token", "bad_verification_code"}
_ENDED_IN_WORDS = re.compile(r"value passed for the (token|authorization code) was invalid", re.IGNORECASE)
"""X says so under the name invalid_request, which says nothing."""
_UNKNOWN_APP = {"invalid_client", "unauthorized_client", "incorrect_client_credentials"}
_IN_PASSING = {"temporarily_unavailable", "server_error", "slow_down"}
_HEARD_OUT = [status for status in range(400, 500) if status not in (408, 429)]


@dataclass(frozen=True, slots=True)
class Started:
    """Where the person goes, and what `finish` needs again: it must be kept sealed until then."""

    url: str = field(repr=False)
    kept: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Granted:
    """What the platform gave, by credential field.

    lasts: seconds that the access is good for; None where it has no end, or where a listener renews its own.
    renews: whether `refresh` gets new access for it.
    renewable: seconds that it can be renewed for; None where the platform names no end.
    """

    credentials: Mapping[str, str] = field(repr=False)
    lasts: float | None = None
    renews: bool = False
    renewable: float | None = None


def start(
    capability: Capability, account: Mapping[str, str], options: Options, redirect_uri: str, state: str
) -> Started:
    """The platform's page for `state`. Asks the network only where our application registers itself there.

    Raises Transient, Terminal.
    """
    flow = _flow(capability)
    kept = {"redirect_uri": redirect_uri}
    if flow.register_path:
        kept |= _registered(capability, flow, account, options, redirect_uri)
    asked = {
        "response_type": "code",
        "client_id": {**account, **kept}[CLIENT_ID],
        "redirect_uri": redirect_uri,
        "scope": flow.scopes_apart.join(flow.scopes),
        "state": state,
        **dict(flow.extra),
    }
    if flow.pkce:
        kept["code_verifier"] = secrets.token_urlsafe(48)
        digest = hashlib.sha256(kept["code_verifier"].encode()).digest()
        asked["code_challenge"] = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        asked["code_challenge_method"] = "S256"
    return Started(f"{_address(flow, flow.authorize_url, account, options)}?{urlencode(asked, quote_via=quote)}", kept)


def finish(
    capability: Capability, account: Mapping[str, str], options: Options, kept: Mapping[str, str], code: str
) -> Granted:
    """What the platform gives for the code. A refresh token that it leaves out is the one in `account`.

    Raises Transient and Terminal, BadCredentials among them; the code must be taken for used after either.
    """
    flow = _flow(capability)
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": kept["redirect_uri"]}
    if flow.pkce:
        form["code_verifier"] = kept["code_verifier"]
    body = _token(capability, flow, {**account, **kept}, options, form)
    return _granted(capability, flow, body, account)


def refresh(capability: Capability, account: Mapping[str, str], options: Options) -> Granted:
    """New access for the account's refresh token, and the next refresh token where the platform gives another.

    Raises Transient where nobody can tell, BadCredentials where the platform does not know the token or our application
    any more, and Terminal where it refuses for another reason.
    """
    flow = _flow(capability)
    token = account.get(flow.refresh, "") if flow.refresh else ""
    if not token:
        raise BadCredentials(f"There is nothing left to renew {capability.title}'s access with.", CONNECT_AGAIN)
    body = _token(capability, flow, account, options, {"grant_type": "refresh_token", "refresh_token": token})
    return _granted(capability, flow, body, account)


def _flow(capability: Capability) -> OAuth:
    if capability.oauth is None:
        raise Terminal(f"{capability.title} cannot be connected this way.", "Enter the credentials by hand.")
    return capability.oauth


def _address(flow: OAuth, url: str, account: Mapping[str, str], options: Options) -> str:
    """An address of the flow's, on the account's own server where it has one."""
    if options.base_url:
        here = urlsplit(options.base_url)
        return urlunsplit((here.scheme, here.netloc.removeprefix(flow.api_host), urlsplit(url).path, "", ""))
    return f"{flow.site(account)}{url}" if flow.site else url


def _registered(
    capability: Capability, flow: OAuth, account: Mapping[str, str], options: Options, redirect_uri: str
) -> dict[str, str]:
    """The id and the secret of an application that the platform makes for us."""
    form = {"client_name": OUR_NAME, "redirect_uris": redirect_uri, "scopes": flow.scopes_apart.join(flow.scopes)}
    with http.Client(capability.title, options, {"Accept": "application/json"}) as client:
        answer = client.post_form(_address(flow, flow.register_path, account, options), form)
    body = as_dict(answer.json())
    made = {name: body.get(name) for name in (CLIENT_ID, CLIENT_SECRET)}
    if not all(_is_token(one) for one in made.values()):
        raise Transient(f"{capability.title} made no application for us.")
    return {name: str(one) for name, one in made.items()}


def _token(
    capability: Capability, flow: OAuth, known: Mapping[str, str], options: Options, form: dict[str, str]
) -> dict[str, Any]:
    """What the platform answers where it gives tokens. Raises as `refresh` does."""
    ours, secret = known[CLIENT_ID], known.get(CLIENT_SECRET, "")
    whole = base64.b64encode(f"{ours}:{secret}".encode()).decode()
    headers = {"Accept": "application/json"}
    if flow.basic and secret:
        headers["Authorization"] = f"Basic {whole}"
    else:
        form = {**form, CLIENT_ID: ours, **({CLIENT_SECRET: secret} if secret else {})}
    with hushed({*known.values(), *form.values(), whole}):
        with http.Client(capability.title, options, headers) as client:
            answer = client.post_form(_address(flow, flow.token_url, known, options), form, fine=_HEARD_OUT)
        body = as_dict(answer.json())
        if answer.status >= 300 or "error" in body:
            raise _refused(capability.title, answer.status, body)
        return body


def _refused(title: str, status: int, body: Mapping[str, Any]) -> ListeningError:
    """What a refusal means: by its name, and where the name says nothing, by the words that X uses."""
    error = body.get("error")
    name = error if isinstance(error, str) else as_dict(error).get("type")
    told = body.get("error_description") or as_dict(error).get("message") or body.get("message")
    said = " ".join(clean(told).split())[:300].rstrip(".") if isinstance(told, str) else ""
    if name in _ENDED or _ENDED_IN_WORDS.search(said):
        return BadCredentials(
            f"{title} does not accept this permission any more: it was used up or taken back, or has expired.",
            CONNECT_AGAIN,
        )
    if name in _UNKNOWN_APP or (status == 401 and not isinstance(name, str)):
        return BadCredentials(
            f"{title} does not know our application by this client id and secret.",
            "Connect it again with both as they stand at the platform.",
        )
    if name in _IN_PASSING or "error" not in body:  # what has no name is no word of OAuth's
        return Transient(f"{title} could not say whether it gives us leave.", 60.0)
    what = f" ({clean(name)[:60]})" if isinstance(name, str) else ""
    return Terminal(
        f"{title} refused to give us leave{what}{': ' + said if said else ''}.",
        "Check our application's settings at the platform, the redirect URI above all, and connect it again.",
    )


def _granted(capability: Capability, flow: OAuth, body: Mapping[str, Any], before: Mapping[str, str]) -> Granted:
    access, fresh = body.get("access_token"), body.get("refresh_token")
    if not _is_token(access):
        raise Transient(f"{capability.title} sent no access token.")
    given = {flow.access: str(access)} if flow.access else {}
    lasts = _seconds(body.get("expires_in", body.get("expires"))) if flow.access else None
    if flow.refresh:
        token = str(fresh) if _is_token(fresh) else before.get(flow.refresh, "")
        if token:
            given[flow.refresh] = token
        elif not flow.access or lasts is not None:
            raise Terminal(
                f"{capability.title} gave no refresh token, so that its access would end soon.",
                "Take our access back in the account's settings at the platform, and connect it again.",
            )
    renews = lasts is not None and flow.refresh in given
    return Granted(given, lasts, renews, _seconds(body.get("refresh_token_expires_in")))


def _is_token(value: object) -> bool:
    return isinstance(value, str) and _TOKEN.fullmatch(value) is not None


def _seconds(value: object) -> float | None:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
        value = int(value)
    fits = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 10**9
    return float(value) if fits else None  # type: ignore[arg-type]
