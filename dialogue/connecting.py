"""Connecting an account at the platform itself: there, a person gives us leave, and the platform sends them back here.

A row holds one such journey. It belongs to the session that it was begun in, ends a quarter of an hour later, and is
good for one return: what comes back must carry its `state`, of which only a digest is stored. The code is sealed until
the worker uses it, once, and marked as used before that: a worker that dies then leaves a journey that must be begun
again, and never an account that might be somebody else's.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from db import budgets as budget_rows
from db import connecting as rows
from db import requests as request_rows
from db import sources as source_rows
from db import workspace
from db.connecting import ConnectingRow
from db.engine import Transaction
from dialogue import audit, budgets, checking, points, renewing
from dialogue.context import Actor, Context, DialogueError, Missing, Role, require
from dialogue.requests import Progress
from listeners import oauth, registry
from listeners.base import Capability, ListeningError, OAuth, Options, Terminal, Transient, clean
from listeners.oauth import CLIENT_ID, CLIENT_SECRET, Granted

CALLBACK = "/oauth/callback"
GOOD_FOR = timedelta(minutes=15)
TOLD = "connect"
"""The query parameter that leads from the way back to what is told of it."""
UNKNOWN = "unknown"
"""In place of a journey's id: what came back belongs to none that was begun in this session."""
NOT_OURS = (
    "What came back belongs to nothing that was begun in this session: begin again here, and go on in the same browser."
)
LATE = "This took longer than a quarter of an hour, so that it is not good any more. Begin again."
CUT_OFF = "Samtal was stopped while the platform gave its leave, and what it gave is lost. Begin again."

_CODE = re.compile(r"[!-~]{1,4000}")


@dataclass(frozen=True, slots=True)
class WayBack:
    """Where a platform sends people back to. `problem` says why it will not, "" where nothing is in its way."""

    address: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Entered:
    """What a person enters before the journey; what is left empty of an account that there is stays as it was."""

    label: str
    values: Mapping[str, str] = field(repr=False)
    base_url: str | None = None
    account_id: int | None = None


@dataclass(frozen=True, slots=True)
class Journey:
    """How far one is. stage: begun, sent, returned, spent, kept, ended. `url` is the platform's page, to go on at.

    `words` say how it ended where it did not end well; `request_id` is what the worker does with it.
    """

    stage: str
    platform: str
    title: str
    url: str = field(default="", repr=False)
    words: str = ""
    request_id: int | None = None


# There ----------------------------------------------------------------------------------------------------------------


def way_back(ctx: Context, platform: str, here: str) -> WayBack:
    """What must be entered at the platform, for a browser that has `here` (scheme and host) open. Raises Missing."""
    flow = _flow(platform)
    told = urlsplit(ctx.public_url or here)
    address = f"{told.scheme}://{told.netloc}{CALLBACK}"
    name = registry.capability(platform).title
    if not told.hostname:
        return WayBack("", "Set PUBLIC_URL to the address at which people open Samtal.")
    if ctx.public_url and here and urlsplit(here).netloc.lower() != told.netloc.lower():
        return WayBack(address, f"Open Samtal at {told.scheme}://{told.netloc} first: people are sent back there.")
    if told.hostname in {"localhost", "127.0.0.1", "::1"}:
        if told.hostname in flow.loopback:
            return WayBack(address)
        other = f"{told.scheme}://{flow.loopback[0]}{f':{told.port}' if told.port else ''}"
        return WayBack(address, f"{name} does not send back to {told.hostname}. Open Samtal at {other} first.")
    if told.scheme != "https" and not flow.plain_http:
        return WayBack(
            address, f"{name} sends back to https only. Put a proxy with https before Samtal and set PUBLIC_URL."
        )
    return WayBack(address)


def begin(ctx: Context, actor: Actor, session: str | None, platform: str, here: str, entered: Entered) -> int:
    """Begins a journey in a session; returns its id. Raises DialogueError.

    Where our application registers itself there, the worker is asked to, and the platform's page is known after that.
    """
    require(actor, Role.ADMIN)
    if not session or actor.user_id is None:
        raise DialogueError("Sign in first: the platform sends you back to your own session.")
    flow, back, state = _flow(platform), way_back(ctx, platform, here), secrets.token_urlsafe(32)
    if back.problem:
        raise DialogueError(back.problem)
    now = ctx.clock()
    with ctx.database.transaction() as tx:
        carried = {
            "given": json.dumps(_checked(ctx, tx, platform, entered)),
            "label": entered.label,
            "base_url": _server(entered.base_url),
            "redirect_uri": back.address,
            "state": state,
        }
        journey_id = rows.add(
            tx,
            user_id=actor.user_id,
            session=_session(ctx, session),
            token=_token(ctx, state),
            platform=platform,
            account_id=entered.account_id,
            sealed=ctx.secrets.encrypt(carried),
            created_at=now,
            expires_at=now + GOOD_FOR,
        )
        if flow.register_path:
            asked = request_rows.add(tx, "oauth_begin", {"journey_id": journey_id}, actor.user_id, now)
            rows.change(tx, journey_id, request_id=asked)
    if flow.register_path:
        ctx.triggers.serve(asked)
    else:
        _prepare(ctx, journey_id)
    return journey_id


def prepare(ctx: Context, payload: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Handler: registers our application, so that the platform's page can be opened."""
    progress(0, None, "Asking the platform to let Samtal in")
    _prepare(ctx, payload["journey_id"])
    return {"words": "The platform's page can be opened."}


def _prepare(ctx: Context, journey_id: int) -> None:
    with ctx.database.reading() as tx:
        row = rows.get(tx, journey_id)
        if row is None or row.stage != "begun":
            return
        carried = ctx.secrets.decrypt(row.sealed)
        account = _with(stored(ctx, tx, row.platform, row.account_id), row.platform, json.loads(carried["given"]))
    capability, back, state = _capability(row.platform), carried["redirect_uri"], carried["state"]
    try:
        started = oauth.start(capability, account, _options(ctx, carried), back, state)
    except Terminal as error:
        raise DialogueError(f"{error} {error.what_to_do}") from error
    kept = {**carried, "url": started.url, "kept": json.dumps(dict(started.kept))}
    with ctx.database.transaction() as tx:
        rows.advance(tx, journey_id, "begun", "sent", sealed=ctx.secrets.encrypt(kept))


def look(ctx: Context, actor: Actor, session: str | None, journey_id: int) -> Journey:
    """How far a journey of this session is. Raises Missing."""
    require(actor, Role.ADMIN)
    with ctx.database.reading() as tx:
        row = rows.get(tx, journey_id)
    if row is None or not session or not hmac.compare_digest(row.session, _session(ctx, session)):
        raise Missing(NOT_OURS)
    url = ""
    if row.stage == "sent" and row.expires_at > ctx.clock():
        url = ctx.secrets.decrypt(row.sealed)["url"]
    return Journey(row.stage, row.platform, _capability(row.platform).title, url, row.words, row.request_id)


def told(ctx: Context, actor: Actor, session: str | None, value: str) -> Journey:
    """What to say after a way back, by what `returned` gave. Never raises for a value that somebody made up."""
    if actor.role < Role.ADMIN:
        return Journey("ended", "", "", words="Only an administrator connects accounts.")
    if not re.fullmatch(r"[0-9]{1,18}", value):
        return Journey("ended", "", "", words=NOT_OURS)
    try:
        return look(ctx, actor, session, int(value))
    except Missing as error:
        return Journey("ended", "", "", words=str(error))


# And back -------------------------------------------------------------------------------------------------------------


def returned(ctx: Context, actor: Actor, session: str | None, answer: Mapping[str, str]) -> str:
    """Takes what the platform sent back with a person: the journey's id for `look`, or UNKNOWN. Raises NotAllowed.

    `answer` has `state`, and `code` or `error` with `error_description`. Coming back twice changes nothing.
    """
    require(actor, Role.ADMIN)
    now, asked = ctx.clock(), None
    with ctx.database.transaction() as tx:
        row = _begun_here(ctx, tx, session, answer.get("state", ""))
        if row is None:
            return UNKNOWN
        words = LATE if row.expires_at <= now else _not_given(_capability(row.platform).title, answer)
        if words:
            rows.advance(tx, row.id, "sent", "ended", words=words, sealed=ctx.secrets.encrypt({}))
        else:
            carried = {**ctx.secrets.decrypt(row.sealed), "code": answer["code"]}
            if rows.advance(tx, row.id, "sent", "returned", sealed=ctx.secrets.encrypt(carried)):
                asked = request_rows.add(tx, "oauth_finish", {"journey_id": row.id}, row.user_id, now)
                rows.change(tx, row.id, request_id=asked)
    if asked is not None:
        ctx.triggers.serve(asked)
    return str(row.id)


def _begun_here(ctx: Context, tx: Transaction, session: str | None, state: str) -> ConnectingRow | None:
    if not session or not state or len(state) > 200:
        return None
    token = _token(ctx, state)
    mine = rows.of_session(tx, _session(ctx, session))
    return next((row for row in mine if hmac.compare_digest(row.token, token)), None)


def _not_given(title: str, answer: Mapping[str, str]) -> str:
    """What to say where no code came back; "" where one did."""
    error = " ".join(clean(answer.get("error", "")).split())[:60]
    if error == "access_denied":
        return f"{title} was told not to let Samtal in. Nothing has changed here."
    if error:
        said = " ".join(clean(answer.get("error_description", "")).split())[:300].rstrip(".")
        return f"{title} did not let Samtal in ({error}){': ' + said if said else ''}. Check the application there."
    if not _CODE.fullmatch(answer.get("code", "")):
        return f"{title} sent back neither leave nor a refusal. Begin again."
    return ""


def finish(ctx: Context, payload: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Handler: uses the code, keeps what the platform gives for it, and asks the platform who we are."""
    with ctx.database.reading() as tx:
        row = rows.get(tx, payload["journey_id"])
    if row is None:
        raise Missing(LATE)
    capability = _capability(row.platform)
    progress(0, None, f"Asking {capability.title} for what it gives us")
    if row.stage == "returned":
        row = _exchange(ctx, row, capability, progress)
    if row.stage != "kept" or row.account_id is None:
        raise DialogueError(CUT_OFF)
    return {"words": f"{capability.title} is connected. {_who(ctx, row.account_id)}".strip()}


def _exchange(ctx: Context, row: ConnectingRow, capability: Capability, progress: Progress) -> ConnectingRow:
    carried = ctx.secrets.decrypt(row.sealed)
    with ctx.database.transaction() as tx:
        if not rows.advance(tx, row.id, "returned", "spent", sealed=ctx.secrets.encrypt({})):
            raise DialogueError(CUT_OFF)
        account = _with(stored(ctx, tx, row.platform, row.account_id), row.platform, json.loads(carried["given"]))
    points.reached("oauth.spent")
    kept = json.loads(carried["kept"])
    try:
        granted = oauth.finish(capability, account, _options(ctx, carried), kept, carried["code"])
    except Transient as error:
        raise Terminal(str(error), f"{capability.title} lets a code be used once: begin again.") from error
    points.reached("oauth.given")
    with ctx.database.transaction() as tx:
        progress.write(tx)  # a worker that lost the request keeps nothing
        fresh = {name: value for name, value in granted.credentials.items() if value != account.get(name)}
        account_id = _keep(ctx, tx, row, carried, replace(granted, credentials=fresh))
        rows.advance(tx, row.id, "spent", "kept", account_id=account_id)
        done = rows.get(tx, row.id)
    points.reached("oauth.kept")
    return done or row


def _keep(ctx: Context, tx: Transaction, row: ConnectingRow, carried: Mapping[str, str], granted: Granted) -> int:
    """Stores what was given over what is stored by now; what belonged to another way in goes. Raises Missing."""
    now, flow = ctx.clock(), _flow(row.platform)
    before = source_rows.account(tx, row.account_id, lock=True) if row.account_id is not None else None
    known = _with(stored(ctx, tx, row.platform, row.account_id), row.platform, json.loads(carried["given"]))
    whole = {name: value for name, value in known.items() if name not in flow.replaces} | dict(granted.credentials)
    otherwise = before.label if before else _capability(row.platform).title
    label = " ".join(clean(carried["label"]).split())[:100] or otherwise
    values: dict[str, Any] = {
        "platform": row.platform,
        "label": label,
        "base_url": carried["base_url"] or None,
        "credentials": ctx.secrets.encrypt(whole),
        "connected_at": now,
        "handle": None,
        "external_id": None,
        **renewing.times(granted, now),
    }
    saved = source_rows.save_account(tx, row.account_id, values, now)
    budget_rows.forget(tx, row.platform, budgets.owner_of_account(saved))
    source_rows.revive(tx, saved, now)
    who = Actor(row.user_id, "", Role.ADMIN)
    audit.record(tx, ctx, who, "connected", "account", saved, platform=row.platform, label=label)
    workspace.bump(tx)
    return saved


def _who(ctx: Context, account_id: int) -> str:
    """What the platform says of us now; the account is there whatever it says."""
    with ctx.database.reading() as tx:
        account = source_rows.account(tx, account_id)
    if account is None:
        raise Missing("The account was removed meanwhile.")
    try:
        health = checking.ask(ctx, account)
    except ListeningError as error:
        return f"{error} It is asked again by itself."
    if not health.ok:
        raise DialogueError(f"{_capability(account.platform).title} is connected, and says: {health.words}")
    return health.words


def tidy(ctx: Context) -> None:
    """Forgets journeys whose time is over."""
    with ctx.database.transaction() as tx:
        rows.forget(tx, ctx.clock() - timedelta(hours=1))


# What both ways need --------------------------------------------------------------------------------------------------


def without_the_other_way(platform: str, known: Mapping[str, str], typed: Mapping[str, str]) -> dict[str, str]:
    """What stays of an account's credentials where others are entered by hand: nothing that OAuth gave beside them."""
    flow = registry.capability(platform).oauth
    if flow is None or not typed.keys() & {flow.access, flow.refresh, *flow.replaces}:
        return dict(known)
    return {name: value for name, value in known.items() if name not in {flow.access, flow.refresh}}


def _checked(ctx: Context, tx: Transaction, platform: str, entered: Entered) -> dict[str, str]:
    """What was entered. Raises DialogueError where, with what is stored, something is missing."""
    flow, capability = _flow(platform), _capability(platform)
    asked = {*flow.asks, *flow.may_ask}
    given = {name: value.strip() for name, value in entered.values.items() if name in asked and value.strip()}
    whole = _with(stored(ctx, tx, platform, entered.account_id), platform, given)
    labels = {one.name: one.label for one in capability.credentials}
    missing = [labels[name] for name in flow.asks if not whole.get(name)]
    if missing:
        raise DialogueError(f"{capability.title} needs {', '.join(missing)}.")
    return given


def _with(known: Mapping[str, str], platform: str, given: Mapping[str, str]) -> dict[str, str]:
    """The account's credentials with what was entered. Of another application the former one's secret does not hold,
    nor does what was given to that."""
    other = known.get(CLIENT_ID) and given.get(CLIENT_ID, known[CLIENT_ID]) != known[CLIENT_ID]
    gone = {CLIENT_SECRET, _flow(platform).refresh} if other else set()
    return {name: value for name, value in known.items() if name not in gone} | dict(given)


def stored(ctx: Context, tx: Transaction, platform: str, account_id: int | None) -> dict[str, str]:
    """The credentials of an account that there is, {} of a new one. Raises Missing."""
    if account_id is None:
        return {}
    account = source_rows.account(tx, account_id)
    if account is None or account.platform != platform:
        raise Missing("This account is not there any more.")
    try:
        return ctx.secrets.decrypt(account.credentials)
    except DialogueError:
        return {}  # sealed with another key: everything is entered anew, and what is missing is named


def _server(base_url: str | None) -> str:
    try:
        parts = urlsplit(base_url or "https://unset")
        fits = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        fits = False
    if not fits:
        raise DialogueError("The server's address must begin with http:// or https:// and name a host.")
    return base_url or ""


def _options(ctx: Context, carried: Mapping[str, str]) -> Options:
    return Options(base_url=carried["base_url"] or None, allow_private_hosts=ctx.allow_private_hosts)


def _capability(platform: str) -> Capability:
    try:
        return registry.capability(platform)
    except Terminal as error:
        raise Missing(f"{error} {error.what_to_do}") from error


def _flow(platform: str) -> OAuth:
    capability = _capability(platform)
    if capability.oauth is None:
        raise Missing(f"{capability.title} cannot be connected this way: enter the credentials by hand.")
    return capability.oauth


def _session(ctx: Context, session: str) -> str:
    return ctx.secrets.digest(f"oauth session {session}")


def _token(ctx: Context, state: str) -> str:
    return ctx.secrets.digest(f"oauth state {state}")
