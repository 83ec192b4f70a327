"""Who may come in: colleagues, passwords, sessions, one-time links and tokens of the API.

Tokens are random and stored as hashes. A session is read anew at every rerun of a page, so that signing out, disabling
or demoting takes effect in a tab that is open.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from db import accounts as rows
from db import workspace as workspace_rows
from db.engine import Transaction
from dialogue import audit as trail
from dialogue.audit import AuditEntry
from dialogue.context import SYSTEM, Actor, Context, DialogueError, Missing, NotAllowed, Role, require

SESSION_DAYS = 30
IDLE_DAYS = 7
LINK_DAYS = 7
"""How long the first link and an invitation are good for."""
RECOVERY_MINUTES = 60
SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 1_000
TOKEN_PREFIX = "samtal_"
"""Lets secret scanners know our tokens."""

_SEEN_EVERY = timedelta(minutes=5)
_USERNAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,63}")
_HASHER = PasswordHasher()
_HASHING = threading.BoundedSemaphore(4)
"""Each look at a password takes 64 MB: strangers must not decide how many are taken at once."""
_WRONG = "That user name and password do not go together."


class SignInError(DialogueError):
    """The sign-in did not succeed; the message says no more than an attacker may know."""


class TooManyTries(SignInError):
    """Wait `seconds` before the next try."""

    def __init__(self, seconds: int) -> None:
        wait = f"{seconds} seconds" if seconds < 120 else f"{round(seconds / 60)} minutes"
        super().__init__(f"Too many failed tries. Wait {wait}, then try again.")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Colleague:
    """Somebody who works here. `accepted` is False until she chose a password."""

    id: int
    username: str
    display_name: str
    role: Role
    disabled: bool
    created_at: datetime
    last_seen_at: datetime | None
    sessions: int
    accepted: bool


@dataclass(frozen=True, slots=True)
class LinkInfo:
    """What a one-time link is for. purpose: first, invitation, recovery. Names are empty for the first."""

    purpose: str
    username: str
    display_name: str


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """A token of the API; the token itself was shown once."""

    id: int
    name: str
    owner: str
    created_at: datetime
    last_used_at: datetime | None


# Coming in ------------------------------------------------------------------------------------------------------------


def first_link(ctx: Context) -> str | None:
    """The token of the link that makes the first administrator; None once there is a user.

    The token is derived from the secret key and the link's own moment instead of being stored, so that every start can
    print the same link until it is used, on any machine, and nothing that lets somebody in lies on the disk in clear.
    """
    with ctx.database.reading() as tx:  # strangers ask for the sign-in: that must wait for no writer
        if rows.any_user(tx):
            return None
    now = ctx.clock()
    with ctx.database.transaction() as tx:
        if rows.any_user(tx):
            return None
        known = rows.unused_first_link(tx, now)
        if known is not None:
            token = _first_token(ctx, known.created_at)
            if hmac.compare_digest(_hash(token), known.token_hash):
                return token
        token = _first_token(ctx, now)
        rows.add_link(tx, _hash(token), "first", None, now, now + timedelta(days=LINK_DAYS))
        return token


def link_info(ctx: Context, token: str) -> LinkInfo | None:
    """What the link is for, or None when it is used, out of date or none of ours. Consumes nothing."""
    with ctx.database.reading() as tx:
        link = _good_link(tx, ctx, token)
    if link is None:
        return None
    if link.user is None:
        return LinkInfo(link.purpose, "", "")
    return LinkInfo(link.purpose, link.user.username, link.user.display_name)


def redeem(ctx: Context, token: str, username: str, display_name: str, password: str, user_agent: str = "") -> str:
    """Consumes a one-time link, sets the password and signs in; returns the session's token.

    The first link makes the first administrator. An invitation's or recovery's user name is fixed. Raises SignInError
    when the link is no good, DialogueError when a field is: the link then stays good.
    """
    now = ctx.clock()
    info = link_info(ctx, token)
    if info is None:
        raise SignInError("This link was used before or is out of date. Ask for a new one.")
    username = info.username or _checked_username(username)
    display_name = _checked_name(display_name or info.display_name or username)
    hashed = _hashed_password(password, username)
    with ctx.database.transaction() as tx:
        link = _good_link(tx, ctx, token)
        if link is None or not rows.use_link(tx, link.token_hash, now):
            raise SignInError("This link was used before or is out of date. Ask for a new one.")
        if link.user is None:
            user_id = rows.add_user(tx, username, display_name, Role.ADMIN.label, hashed, now)
            role = Role.ADMIN
        else:
            user_id, role = link.user.id, _role(link.user.role)
            rows.set_user(tx, user_id, password_hash=hashed, display_name=display_name)
            rows.revoke_sessions(tx, user_id, now)
        actor = Actor(user_id, display_name, role)
        trail.record(tx, ctx, actor, "used a link", "user", user_id, purpose=link.purpose, username=username)
        workspace_rows.bump(tx)
        return _new_session(tx, ctx, user_id, user_agent)


def sign_in(
    ctx: Context, username: str, password: str, address: str, user_agent: str = "", replaces: str | None = None
) -> str:
    """Checks a password and returns a new session's token; the session `replaces`, the browser's old one, ends.

    Raises SignInError, with the same words and after the same time whether the user is unknown, disabled or the
    password is wrong; TooManyTries after several failures for the user or from the address.
    """
    username = username.strip().lower()[:200]
    now = ctx.clock()
    # The failure is written before the password is looked at and taken back after: tries at the same time all count.
    with ctx.database.transaction() as tx:
        rows.one_at_a_time(tx)
        rows.sweep(tx, now)
        wait = _wait(tx, username, address, now)
        if wait:
            raise TooManyTries(wait)
        rows.add_failure(tx, username, address, now)
        user = rows.user_named(tx, username)
    known = user is not None and user.password_hash is not None and user.disabled_at is None
    right = _verify(user.password_hash if known and user else None, password)
    if not right or user is None:
        raise SignInError(_WRONG)
    with ctx.database.transaction() as tx:
        rows.forget_failures(tx, username, address)
        if user.password_hash and _HASHER.check_needs_rehash(user.password_hash):
            rows.set_user(tx, user.id, password_hash=_HASHER.hash(_normal(password)))
        if replaces:
            rows.revoke_session(tx, _hash(replaces), now)
        actor = Actor(user.id, user.display_name, _role(user.role))
        trail.record(tx, ctx, actor, "signed in", "session", address=address)
        return _new_session(tx, ctx, user.id, user_agent)


def actor_of(ctx: Context, session_token: str | None) -> Actor | None:
    """Who the session belongs to now, with the role of now; None when it has ended. Cheap: one indexed read."""
    if not session_token or len(session_token) > 200:
        return None
    now = ctx.clock()
    hashed = _hash(session_token)
    with ctx.database.reading() as tx:
        found = rows.session(tx, hashed, now)
    if found is None or found.last_seen_at < now - timedelta(days=IDLE_DAYS):
        return None
    if found.last_seen_at < now - _SEEN_EVERY:
        with ctx.database.transaction() as tx:
            rows.touch_session(tx, hashed, found.user.id, now)
    return Actor(found.user.id, found.user.display_name, _role(found.user.role))


def csrf_of(ctx: Context, session_token: str | None) -> str | None:
    """The token that our own forms carry for this session."""
    if not session_token or len(session_token) > 200:
        return None
    with ctx.database.reading() as tx:
        found = rows.session(tx, _hash(session_token), ctx.clock())
    return found.csrf if found else None


def sign_out(ctx: Context, session_token: str | None) -> None:
    """Ends the session; one that has ended already is no error."""
    actor = actor_of(ctx, session_token)
    if actor is None or session_token is None:
        return
    with ctx.database.transaction() as tx:
        rows.revoke_session(tx, _hash(session_token), ctx.clock())
        trail.record(tx, ctx, actor, "signed out", "session")


def sign_out_everywhere(ctx: Context, actor: Actor, user_id: int) -> int:
    """Ends every session of a colleague (oneself, or anybody for an administrator); returns how many."""
    if actor.user_id != user_id:
        require(actor, Role.ADMIN)
    with ctx.database.transaction() as tx:
        _existing(tx, user_id)
        ended = rows.revoke_sessions(tx, user_id, ctx.clock())
        trail.record(tx, ctx, actor, "signed out everywhere", "user", user_id, sessions=ended)
        workspace_rows.bump(tx)
    return ended


def change_password(ctx: Context, actor: Actor, old: str, new: str, keep_session: str | None = None) -> None:
    """Sets one's own password; every other session than `keep_session` ends. Raises SignInError when `old` is wrong."""
    if actor.user_id is None:
        raise NotAllowed("Only a person has a password.")
    now = ctx.clock()
    with ctx.database.transaction() as tx:
        rows.one_at_a_time(tx)
        user = _existing(tx, actor.user_id)
        wait = _wait(tx, user.username, "", now)
        if wait:
            raise TooManyTries(wait)
        failure_address = "password change"
        rows.add_failure(tx, user.username, failure_address, now)
    if not _verify(user.password_hash, old):
        raise SignInError("The current password is not right.")
    with ctx.database.transaction() as tx:
        rows.forget_failures(tx, user.username, failure_address)
    hashed = _hashed_password(new, user.username)
    with ctx.database.transaction() as tx:
        rows.set_user(tx, user.id, password_hash=hashed)
        ended = rows.revoke_sessions(tx, user.id, now, keep=_hash(keep_session) if keep_session else None)
        trail.record(tx, ctx, actor, "changed the password", "user", user.id, sessions_ended=ended)


# Colleagues -----------------------------------------------------------------------------------------------------------


def colleagues(ctx: Context, actor: Actor) -> list[Colleague]:
    """Everybody who works here, by name."""
    require(actor, Role.VIEWER)
    with ctx.database.reading() as tx:
        return [
            Colleague(
                user.id,
                user.username,
                user.display_name,
                _role(user.role),
                user.disabled_at is not None,
                user.created_at,
                user.last_seen_at,
                sessions,
                user.password_hash is not None,
            )
            for user, sessions in rows.users(tx, ctx.clock())
        ]


def invite(ctx: Context, actor: Actor, username: str, display_name: str, role: Role) -> str:
    """Adds a colleague and returns the token of her one-time link; again for one who has not accepted: a new link."""
    require(actor, Role.ADMIN)
    username = _checked_username(username)
    display_name = _checked_name(display_name or username)
    now = ctx.clock()
    token = _new_token()
    with ctx.database.transaction() as tx:
        known = rows.user_named(tx, username)
        if known is not None and known.password_hash is not None:
            raise DialogueError(f"There is a colleague with the user name '{username}' already. Choose another one.")
        if known is None:
            user_id = rows.add_user(tx, username, display_name, role.label, None, now)
        else:
            user_id = known.id
            rows.set_user(tx, user_id, display_name=display_name, role=role.label)
        rows.add_link(tx, _hash(token), "invitation", user_id, now, now + timedelta(days=LINK_DAYS))
        trail.record(tx, ctx, actor, "invited", "user", user_id, username=username, role=role.label)
        workspace_rows.bump(tx)
    return token


def set_role(ctx: Context, actor: Actor, user_id: int, role: Role) -> None:
    """Gives a colleague another role, at once, in open tabs too. The last administrator stays one."""
    require(actor, Role.ADMIN)
    with ctx.database.transaction() as tx:
        user = _existing(tx, user_id)
        if role is not Role.ADMIN:
            _keep_an_admin(tx, user_id)
        rows.set_user(tx, user_id, role=role.label)
        trail.record(tx, ctx, actor, "changed the role", "user", user_id, before=user.role, after=role.label)
        workspace_rows.bump(tx)


def disable(ctx: Context, actor: Actor, user_id: int, disabled: bool) -> None:
    """Shuts a colleague out, sessions and tokens included, or lets her in again."""
    require(actor, Role.ADMIN)
    now = ctx.clock()
    with ctx.database.transaction() as tx:
        _existing(tx, user_id)
        if disabled:
            _keep_an_admin(tx, user_id)
            rows.revoke_sessions(tx, user_id, now)
        rows.set_disabled(tx, user_id, now if disabled else None)
        trail.record(tx, ctx, actor, "disabled" if disabled else "enabled", "user", user_id)
        workspace_rows.bump(tx)


def recovery_link(ctx: Context, username: str) -> str:
    """The token of a link that sets a new password. For the command line only: whoever runs it has the machine."""
    now = ctx.clock()
    token = _new_token()
    with ctx.database.transaction() as tx:
        user = rows.user_named(tx, username.strip().lower())
        if user is None:
            raise Missing(f"There is no colleague with the user name '{username}'.")
        if user.disabled_at is not None:
            raise DialogueError(f"'{username}' is disabled. An administrator can enable the account first.")
        rows.add_link(tx, _hash(token), "recovery", user.id, now, now + timedelta(minutes=RECOVERY_MINUTES))
        trail.record(tx, ctx, SYSTEM, "made a recovery link", "user", user.id)
    return token


# Tokens of the API ----------------------------------------------------------------------------------------------------


def api_tokens(ctx: Context, actor: Actor) -> list[TokenInfo]:
    """One's own tokens in force; everybody's for an administrator."""
    with ctx.database.reading() as tx:
        found = rows.tokens(tx, None if actor.role is Role.ADMIN else actor.user_id)
    return [TokenInfo(t.id, t.name, t.user.display_name, t.created_at, t.last_used_at) for t in found]


def create_token(ctx: Context, actor: Actor, name: str) -> str:
    """A token that acts in the actor's name and with her role of the moment; it is shown this once."""
    if actor.user_id is None:
        raise NotAllowed("A token belongs to a person.")
    name = _checked_name(name)
    token = TOKEN_PREFIX + _new_token()
    with ctx.database.transaction() as tx:
        token_id = rows.add_token(tx, name, _hash(token), actor.user_id, ctx.clock())
        trail.record(tx, ctx, actor, "made", "API token", token_id, name=name)
        workspace_rows.bump(tx)
    return token


def revoke_token(ctx: Context, actor: Actor, token_id: int) -> None:
    """Ends a token: one's own, or anybody's for an administrator."""
    with ctx.database.transaction() as tx:
        token = rows.token(tx, token_id=token_id)
        if token is None or (token.user.id != actor.user_id and actor.role is not Role.ADMIN):
            raise Missing("There is no such token.")
        rows.revoke_token(tx, token_id, ctx.clock())
        trail.record(tx, ctx, actor, "revoked", "API token", token_id, name=token.name)
        workspace_rows.bump(tx)


def actor_of_token(ctx: Context, bearer: str | None) -> Actor | None:
    """In whose name a token of the API acts, with her role of now; None when it is none of ours or has ended."""
    if not bearer or not bearer.startswith(TOKEN_PREFIX) or len(bearer) > 200:
        return None
    now = ctx.clock()
    with ctx.database.reading() as tx:
        token = rows.token(tx, token_hash=_hash(bearer))
    if token is None or token.revoked_at is not None or token.user.disabled_at is not None:
        return None
    if token.last_used_at is None or token.last_used_at < now - _SEEN_EVERY:
        with ctx.database.transaction() as tx:
            rows.touch_token(tx, token.id, now)
    return Actor(token.user.id, token.user.display_name, _role(token.user.role))


def audit(ctx: Context, actor: Actor, before_id: int | None = None, limit: int = 50) -> list[AuditEntry]:
    """The audit trail, newest first."""
    return trail.entries(ctx, actor, before_id, limit)


# Inside ---------------------------------------------------------------------------------------------------------------


def _new_token() -> str:
    return secrets.token_urlsafe(32)


def _hash(token: str) -> str:
    # A plain hash does: the token is 256 random bits, which no dictionary holds.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _first_token(ctx: Context, at: datetime) -> str:
    return ctx.secrets.digest(f"first link {at.isoformat()}")


def _good_link(tx: Transaction, ctx: Context, token: str) -> rows.LinkRow | None:
    if not token or len(token) > 200:
        return None
    link = rows.link(tx, _hash(token))
    if link is None or link.used_at is not None or link.expires_at <= ctx.clock():
        return None
    if link.purpose == "first":
        return None if rows.any_user(tx) else link
    return link if link.user is not None and link.user.disabled_at is None else None


def _new_session(tx: Transaction, ctx: Context, user_id: int, user_agent: str) -> str:
    now = ctx.clock()
    token = _new_token()
    agent = "".join(c for c in user_agent if c.isprintable())[:200]
    rows.add_session(tx, _hash(token), user_id, _new_token(), now, now + timedelta(days=SESSION_DAYS), agent)
    return token


def _wait(tx: Transaction, username: str, address: str, now: datetime) -> int:
    """Seconds until the next try: none for the first 5 failures of a user or 20 of an address, then growing ones."""
    since = now - timedelta(hours=1)
    by_user = rows.failures_of(tx, username=username, since=since)
    waits = [_remaining(by_user, 5, now)]
    if address:
        waits.append(_remaining(rows.failures_of(tx, address=address, since=since), 20, now))
    return max(waits)


def _remaining(failures: rows.Failures, free: int, now: datetime) -> int:
    if failures.count < free or failures.last_at is None:
        return 0
    wait = min(5 * 2 ** min(failures.count - free, 10), 900)
    return max(0, round((failures.last_at + timedelta(seconds=wait) - now).total_seconds()))


@cache
def _nobody() -> str:
    """A hash that no password fits, for users that do not exist: they must take as long as those who do."""
    return _HASHER.hash(_new_token())


def _verify(password_hash: str | None, password: str) -> bool:
    if not _HASHING.acquire(timeout=5):
        raise TooManyTries(5)
    try:
        right = _HASHER.verify(password_hash or _nobody(), _normal(password[:LONGEST_PASSWORD]))
    except (VerifyMismatchError, InvalidHashError):
        return False
    finally:
        _HASHING.release()
    return right and password_hash is not None


def _normal(password: str) -> bytes:
    # The same password typed on two keyboards can be two strings; NFKC makes them one.
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")


def _hashed_password(password: str, username: str) -> str:
    if len(password) < SHORTEST_PASSWORD:
        raise DialogueError(f"A password has at least {SHORTEST_PASSWORD} characters. A short sentence works well.")
    if len(password) > LONGEST_PASSWORD:
        raise DialogueError(f"A password has at most {LONGEST_PASSWORD} characters.")
    if password.casefold() == username.casefold():
        raise DialogueError("The password is the user name. Choose another one.")
    if len(set(password)) < 4:
        raise DialogueError("This password repeats too few characters. Choose another one.")
    return _HASHER.hash(_normal(password))


def _checked_username(username: str) -> str:
    username = username.strip().lower()
    if not _USERNAME.fullmatch(username):
        raise DialogueError(
            "A user name has 1 to 64 letters a-z, digits, dots, dashes, underscores, + or @, and begins with a letter "
            "or digit."
        )
    return username


def _checked_name(name: str) -> str:
    name = " ".join(name.split())
    if not 1 <= len(name) <= 100 or not name.isprintable():
        raise DialogueError("A name has 1 to 100 printable characters.")
    return name


def _role(label: str) -> Role:
    return Role[label.upper()]


def _existing(tx: Transaction, user_id: int) -> rows.UserRow:
    user = rows.user(tx, user_id)
    if user is None:
        raise Missing("There is no such colleague.")
    return user


def _keep_an_admin(tx: Transaction, user_id: int) -> None:
    admins = rows.active_with_role(tx, Role.ADMIN.label)
    if admins == {user_id}:
        raise DialogueError("This is the last administrator. Make somebody else one first.")
