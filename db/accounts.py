"""Colleagues, their sessions, one-time links and API tokens. Tokens are known here by their hashes only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, or_, text
from sqlmodel import col, delete, select, update

from db.engine import Transaction
from db.tables import ApiToken, SignInFailure, SignInLink, SignInSession, User


@dataclass(frozen=True, slots=True)
class UserRow:
    """A colleague. `password_hash` is None until the invitation was accepted."""

    id: int
    username: str
    display_name: str
    role: str
    password_hash: str | None
    created_at: datetime
    disabled_at: datetime | None
    last_seen_at: datetime | None


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A signed-in browser with its colleague."""

    user: UserRow
    csrf: str
    created_at: datetime
    expires_at: datetime
    last_seen_at: datetime


@dataclass(frozen=True, slots=True)
class LinkRow:
    """A one-time link. `user` is None for the first."""

    token_hash: str
    purpose: str
    user: UserRow | None
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token of the API with the colleague in whose name it acts."""

    id: int
    name: str
    user: UserRow
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Failures:
    """Failed sign-ins since some moment."""

    count: int
    last_at: datetime | None


def _user(row: User) -> UserRow:
    assert row.id is not None
    return UserRow(
        row.id,
        row.username,
        row.display_name,
        row.role,
        row.password_hash,
        row.created_at,
        row.disabled_at,
        row.last_seen_at,
    )


# Colleagues -----------------------------------------------------------------------------------------------------------


def any_user(tx: Transaction) -> bool:
    """Whether anybody can sign in or was ever invited."""
    return tx.session.exec(select(User.id).limit(1)).first() is not None


def user(tx: Transaction, user_id: int) -> UserRow | None:
    row = tx.session.get(User, user_id)
    return _user(row) if row else None


def user_named(tx: Transaction, username: str) -> UserRow | None:
    row = tx.session.exec(select(User).where(User.username == username)).first()
    return _user(row) if row else None


def users(tx: Transaction, at: datetime) -> list[tuple[UserRow, int]]:
    """Every colleague by name, with how many sessions are open at `at`."""
    sessions = (
        select(SignInSession.user_id, func.count().label("open"))
        .where(col(SignInSession.revoked_at).is_(None), SignInSession.expires_at > at)
        .group_by(col(SignInSession.user_id))
        .subquery()
    )
    query = (
        select(User, func.coalesce(sessions.c.open, 0))
        .join(sessions, sessions.c.user_id == User.id, isouter=True)
        .order_by(func.lower(User.display_name), col(User.id))
    )
    return [(_user(row), int(count)) for row, count in tx.session.exec(query)]


def add_user(
    tx: Transaction, username: str, display_name: str, role: str, password_hash: str | None, at: datetime
) -> int:
    row = User(username=username, display_name=display_name, role=role, password_hash=password_hash, created_at=at)
    tx.session.add(row)
    tx.session.flush()
    assert row.id is not None
    return row.id


def set_user(
    tx: Transaction,
    user_id: int,
    *,
    role: str | None = None,
    password_hash: str | None = None,
    display_name: str | None = None,
) -> None:
    """Changes what is not None."""
    values = {"role": role, "password_hash": password_hash, "display_name": display_name}
    changed = {name: value for name, value in values.items() if value is not None}
    tx.session.exec(update(User).where(col(User.id) == user_id).values(**changed))
    tx.session.expire_all()


def set_disabled(tx: Transaction, user_id: int, at: datetime | None) -> None:
    tx.session.exec(update(User).where(col(User.id) == user_id).values(disabled_at=at))
    tx.session.expire_all()


def active_with_role(tx: Transaction, role: str) -> set[int]:
    """Ids of those who have `role`, are not disabled and can sign in. The rows stay locked until the commit."""
    query = (
        select(User.id)
        .where(User.role == role, col(User.disabled_at).is_(None), col(User.password_hash).is_not(None))
        .with_for_update()
    )
    return {user_id for user_id in tx.session.exec(query) if user_id is not None}


# Sessions -------------------------------------------------------------------------------------------------------------


def add_session(
    tx: Transaction, token_hash: str, user_id: int, csrf: str, at: datetime, expires_at: datetime, user_agent: str
) -> None:
    tx.session.add(
        SignInSession(
            token_hash=token_hash,
            user_id=user_id,
            csrf=csrf,
            created_at=at,
            expires_at=expires_at,
            last_seen_at=at,
            user_agent=user_agent,
        )
    )
    tx.session.flush()
    _seen(tx, user_id, at)


def session(tx: Transaction, token_hash: str, at: datetime) -> SessionRow | None:
    """The session, unless it has expired, was revoked, or its colleague is disabled."""
    query = (
        select(SignInSession, User)
        .join(User)
        .where(
            SignInSession.token_hash == token_hash,
            col(SignInSession.revoked_at).is_(None),
            SignInSession.expires_at > at,
            col(User.disabled_at).is_(None),
        )
    )
    found = tx.session.exec(query).first()
    if found is None:
        return None
    row, owner = found
    return SessionRow(_user(owner), row.csrf, row.created_at, row.expires_at, row.last_seen_at)


def touch_session(tx: Transaction, token_hash: str, user_id: int, at: datetime) -> None:
    tx.session.exec(update(SignInSession).where(col(SignInSession.token_hash) == token_hash).values(last_seen_at=at))
    _seen(tx, user_id, at)


def revoke_session(tx: Transaction, token_hash: str, at: datetime) -> None:
    tx.session.exec(
        update(SignInSession)
        .where(col(SignInSession.token_hash) == token_hash, col(SignInSession.revoked_at).is_(None))
        .values(revoked_at=at)
    )


def revoke_sessions(tx: Transaction, user_id: int, at: datetime, keep: str | None = None) -> int:
    """Ends every session of a colleague but `keep`; returns how many."""
    query = update(SignInSession).where(
        col(SignInSession.user_id) == user_id,
        col(SignInSession.revoked_at).is_(None),
        col(SignInSession.expires_at) > at,
    )
    if keep is not None:
        query = query.where(col(SignInSession.token_hash) != keep)
    return int(tx.session.exec(query.values(revoked_at=at)).rowcount)


def _seen(tx: Transaction, user_id: int, at: datetime) -> None:
    tx.session.exec(update(User).where(col(User.id) == user_id).values(last_seen_at=at))
    tx.session.expire_all()


# One-time links -------------------------------------------------------------------------------------------------------


def add_link(
    tx: Transaction, token_hash: str, purpose: str, user_id: int | None, at: datetime, expires_at: datetime
) -> None:
    """Adds a link; unused ones for the same purpose and colleague end."""
    same = col(SignInLink.user_id) == user_id if user_id is not None else col(SignInLink.user_id).is_(None)
    tx.session.exec(
        delete(SignInLink).where(col(SignInLink.purpose) == purpose, same, col(SignInLink.used_at).is_(None))
    )
    tx.session.add(
        SignInLink(token_hash=token_hash, purpose=purpose, user_id=user_id, created_at=at, expires_at=expires_at)
    )
    tx.session.flush()


def link(tx: Transaction, token_hash: str) -> LinkRow | None:
    row = tx.session.get(SignInLink, token_hash)
    if row is None:
        return None
    owner = user(tx, row.user_id) if row.user_id is not None else None
    return LinkRow(row.token_hash, row.purpose, owner, row.created_at, row.expires_at, row.used_at)


def unused_first_link(tx: Transaction, at: datetime) -> LinkRow | None:
    query = (
        select(SignInLink)
        .where(SignInLink.purpose == "first", col(SignInLink.used_at).is_(None), SignInLink.expires_at > at)
        .order_by(col(SignInLink.created_at).desc())
    )
    row = tx.session.exec(query).first()
    return LinkRow(row.token_hash, row.purpose, None, row.created_at, row.expires_at, None) if row else None


def use_link(tx: Transaction, token_hash: str, at: datetime) -> bool:
    """Consumes the link; False when somebody did before. Of two at once, one gets True."""
    done = tx.session.exec(
        update(SignInLink)
        .where(col(SignInLink.token_hash) == token_hash, col(SignInLink.used_at).is_(None))
        .values(used_at=at)
    )
    tx.session.expire_all()
    return int(done.rowcount) == 1


# Throttling -----------------------------------------------------------------------------------------------------------


def one_at_a_time(tx: Transaction) -> None:
    """Until the commit nobody else looks at failures: tries at the same moment count one after the other."""
    if not tx.on_sqlite:  # there every writer is alone anyway
        tx.connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('sign-in'))"))


def failures_of(
    tx: Transaction, *, username: str | None = None, address: str | None = None, since: datetime
) -> Failures:
    """Failed sign-ins for a username, or from an address."""
    query = select(func.count(), func.max(SignInFailure.at)).where(SignInFailure.at > since)
    if username is not None:
        query = query.where(SignInFailure.username == username)
    if address is not None:
        query = query.where(SignInFailure.address == address)
    count, last = tx.session.exec(query).one()
    return Failures(int(count), last)


def add_failure(tx: Transaction, username: str, address: str, at: datetime) -> int:
    row = SignInFailure(username=username, address=address, at=at)
    tx.session.add(row)
    tx.session.flush()
    assert row.id is not None
    return row.id


def forget_failures(tx: Transaction, username: str, address: str) -> None:
    """After a success: this person at this address is who she says."""
    tx.session.exec(
        delete(SignInFailure).where(col(SignInFailure.username) == username, col(SignInFailure.address) == address)
    )


def sweep(tx: Transaction, at: datetime) -> None:
    """Deletes what no longer matters: day-old failures, sessions and links a month after their end."""
    tx.session.exec(delete(SignInFailure).where(col(SignInFailure.at) < at - timedelta(days=1)))
    gone = at - timedelta(days=30)
    tx.session.exec(
        delete(SignInSession).where(or_(col(SignInSession.expires_at) < gone, col(SignInSession.revoked_at) < gone))
    )
    tx.session.exec(delete(SignInLink).where(col(SignInLink.expires_at) < gone))


# Tokens of the API ----------------------------------------------------------------------------------------------------


def add_token(tx: Transaction, name: str, token_hash: str, user_id: int, at: datetime) -> int:
    row = ApiToken(name=name, token_hash=token_hash, user_id=user_id, created_at=at)
    tx.session.add(row)
    tx.session.flush()
    assert row.id is not None
    return row.id


def tokens(tx: Transaction, user_id: int | None) -> list[TokenRow]:
    """Those in force, newest first: of one colleague, or of all."""
    query = (
        select(ApiToken, User).join(User).where(col(ApiToken.revoked_at).is_(None)).order_by(col(ApiToken.id).desc())
    )
    if user_id is not None:
        query = query.where(ApiToken.user_id == user_id)
    return [_token(row, owner) for row, owner in tx.session.exec(query)]


def token(tx: Transaction, *, token_hash: str | None = None, token_id: int | None = None) -> TokenRow | None:
    """The token, in force or not, by its hash or its id."""
    query = select(ApiToken, User).join(User)
    query = query.where(ApiToken.token_hash == token_hash) if token_hash else query.where(ApiToken.id == token_id)
    found = tx.session.exec(query).first()
    return _token(*found) if found else None


def touch_token(tx: Transaction, token_id: int, at: datetime) -> None:
    tx.session.exec(update(ApiToken).where(col(ApiToken.id) == token_id).values(last_used_at=at))


def revoke_token(tx: Transaction, token_id: int, at: datetime) -> None:
    tx.session.exec(
        update(ApiToken).where(col(ApiToken.id) == token_id, col(ApiToken.revoked_at).is_(None)).values(revoked_at=at)
    )


def _token(row: ApiToken, owner: User) -> TokenRow:
    assert row.id is not None
    return TokenRow(row.id, row.name, _user(owner), row.created_at, row.last_used_at, row.revoked_at)
