"""Sources and accounts as people see and change them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from db import budgets as budget_rows
from db import forgetting, hours, rollups, workspace
from db import requests as request_rows
from db import sources as rows
from db.budgets import BudgetRow
from db.engine import Transaction
from db.sources import AccountRow, SourceRow
from dialogue import audit, backfill, budgets, checking, connecting, credentials, querying, uploads, usual
from dialogue.collecting import (
    BASE_URL,
    POLL_SECONDS,
    RECHECK_SECONDS,
    SEEN_LATE,
    open_listener,
)
from dialogue.context import Actor, Context, DialogueError, Missing, Role, require
from dialogue.privacy import LOOKS
from dialogue.requests import Progress
from dialogue.search import SearchError
from dialogue.text import headed
from listeners import registry
from listeners.base import (
    Answering,
    Arrival,
    Capability,
    CredentialField,
    Cursor,
    Listener,
    LooksBack,
    Post,
    Query,
    Terminal,
    clean,
)

FASTEST_POLL = 5
"""Seconds."""
LATE_AFTER = 10
"""Times its interval after which a source that should have been asked is late."""
SPARK_DAYS = 14
PREVIEWED = 10
PREVIEWED_OUT = 3
REMOVED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class ModeInfo:
    """One way to listen; an empty `query_label` needs no query."""

    name: str
    label: str
    query_label: str
    help: str
    searches: bool = False
    """Whether its query is written in the one query language; else a filter in it may stand beside the query."""


@dataclass(frozen=True, slots=True)
class CredentialInfo:
    """One thing that an account needs."""

    name: str
    label: str
    secret: bool
    help: str
    default: str
    required: bool


@dataclass(frozen=True, slots=True)
class ConnectInfo:
    """What must be known of our application at the platform before a person gives us leave there."""

    asks: tuple[CredentialInfo, ...]
    guide: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlatformInfo:
    """What a platform allows, for the interface. `polls` False: it takes no query, and what was said gets
    here by its `arrival`: uploaded, pushed or typed."""

    platform: str
    title: str
    modes: tuple[ModeInfo, ...]
    credentials: tuple[CredentialInfo, ...]
    key_needed: bool
    answers: bool
    answering_rule: str
    limits: str
    search_syntax: str
    duties: str
    polls: bool
    exportable: bool
    arrival: str = Arrival.ASKED.value
    guide: tuple[str, ...] = ()
    """How to get the credentials, step by step, in Markdown."""
    connect: ConnectInfo | None = None
    """How to connect an account without entering credentials; None where there is no such way."""


@dataclass(frozen=True, slots=True)
class Quota:
    """What a platform still lets this source's account ask. `reserve` of `left` is kept for answers."""

    left: int
    limit: int | None
    reserve: int
    resets_at: datetime | None


@dataclass(frozen=True, slots=True)
class SourceView:
    """A source and how it is.

    health: listening, read (to its end), waiting, quiet (gone quiet), late (nobody asks it), problem, paused, removing.
    `sparkline` ends today. `usual_24h` is what such a day usually brings, `every` how long it waits between two runs.
    """

    id: int
    label: str
    platform: str
    platform_title: str
    mode_label: str
    query: str
    state: str
    health: str
    words: str
    what_to_do: str
    last_success_at: datetime | None
    next_run_at: datetime | None
    total: int
    last_24h: int
    account_label: str
    sample: bool
    sparkline: tuple[int, ...]
    usual_24h: float | None = None
    every: timedelta | None = None
    quota: Quota | None = None
    looks_back: bool = False
    """Whether it can be asked to read what was posted before it was connected."""
    reach: str = ""
    """How far back its platform lets it be read, and where it does not, why; a sentence."""
    earliest: datetime | None = None
    """The first moment since when it can be asked to."""


@dataclass(frozen=True, slots=True)
class Written:
    """How a source's query was typed, for somebody who edits it. `raw`: in the platform's own syntax."""

    mode: str
    query: str
    only: str
    raw: bool
    label: str


@dataclass(frozen=True, slots=True)
class Overview:
    """All sources at a glance. `words` is a sentence; `notices` name what needs a look, worst first."""

    words: str
    well: bool
    notices: tuple[Notice, ...]


@dataclass(frozen=True, slots=True)
class Notice:
    """A source or an account that needs a look: its name, what is the matter, how it is in one word."""

    label: str
    words: str
    health: str


@dataclass(frozen=True, slots=True)
class Explained:
    """What a query will do before anybody is asked: what the platform is asked, and what is left to be done here.

    Where it cannot be asked, `problem` says why and `pointer` where, in two lines for a fixed-width font.
    """

    asked: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    problem: str = ""
    pointer: str = ""


@dataclass(frozen=True, slots=True)
class RunView:
    """One time that a source was asked. outcome: running, ok, unchanged, transient, terminal, crash."""

    started_at: datetime
    finished_at: datetime | None
    outcome: str
    error: str
    pages: int
    new: int
    edited: int
    seen: int
    rejected: int
    rejections: tuple[dict[str, str], ...]
    filtered: int = 0
    """Sent by the platform, and not what the query means."""


@dataclass(frozen=True, slots=True)
class AccountView:
    """One of our accounts; its secrets are never shown. `warning` says that it is refused, or when it ends."""

    id: int
    platform: str
    platform_title: str
    label: str
    base_url: str | None
    handle: str | None
    checked_at: datetime | None
    check_ok: bool | None
    check_words: str
    expires_at: datetime | None = None
    warning: str = ""
    connected: bool = False
    """Whether it was connected at the platform itself, and not entered by hand."""
    renews_at: datetime | None = None
    """When what the platform gave is renewed by itself."""


# What there is --------------------------------------------------------------------------------------------------------


def platforms(ctx: Context) -> list[PlatformInfo]:
    """Every platform that is installed, by title; those that need no key first."""
    found = [_info(one) for one in registry.capabilities().values()]
    return sorted(found, key=lambda one: (not one.polls, one.key_needed, one.title.casefold()))


def _info(one: Capability) -> PlatformInfo:
    return PlatformInfo(
        platform=one.platform,
        title=one.title,
        modes=tuple(
            ModeInfo(mode.name, mode.label, mode.query_label, mode.help, mode.syntax is not None) for mode in one.modes
        ),
        credentials=tuple(_credential(field) for field in one.credentials if field.typed),
        key_needed=one.key_needed,
        answers=one.answering is Answering.API,
        answering_rule=one.answering_rule,
        limits=one.limits,
        search_syntax=one.search_syntax,
        duties=one.duties,
        polls=one.polls,
        exportable=one.exportable,
        arrival=one.arrival.value,
        guide=one.guide,
        connect=_connect(one),
    )


def _credential(field: CredentialField) -> CredentialInfo:
    return CredentialInfo(field.name, field.label, field.secret, field.help, field.default, field.required)


def _connect(one: Capability) -> ConnectInfo | None:
    if one.oauth is None:
        return None
    fields = {field.name: _credential(field) for field in one.credentials}
    must = [replace(fields[name], required=True) for name in one.oauth.asks]
    may = [replace(fields[name], required=False) for name in one.oauth.may_ask]
    return ConnectInfo((*must, *may), one.oauth.guide)


def list_(ctx: Context, actor: Actor) -> list[SourceView]:
    """Every source, oldest first."""
    require(actor, Role.VIEWER)
    now = ctx.clock()
    days = [(now - timedelta(days=ago)).astimezone(UTC).date() for ago in reversed(range(SPARK_DAYS))]
    with ctx.database.reading() as tx:
        found = rows.all_(tx)
        labels = {account.id: account.label for account in rows.accounts(tx)}
        left = [budgets.settled(budget, now) for budget in budget_rows.all_(tx)]
        by_hour = hours.by_source(tx)
        totals = rows.totals(tx)
        recent = rows.collected_since(tx, now - timedelta(days=1))
        by_day = rows.posted_by_day(tx, now - timedelta(days=SPARK_DAYS))
    allowed = registry.capabilities()
    views = []
    for row in found:
        itself = _usual(row, by_hour.get(row.id, {}), now)
        health, words = _health(row, itself, left, now)
        capability = allowed.get(row.platform)
        reach = backfill.reach(row.platform, row.mode)
        mode = next((one.label for one in capability.modes if one.name == row.mode), "") if capability else ""
        views.append(
            SourceView(
                id=row.id,
                label=row.label,
                platform=row.platform,
                platform_title=capability.title if capability else row.platform,
                mode_label=mode,
                query=row.query if capability is None or capability.polls else "",
                state=row.state,
                health=health,
                words=words,
                what_to_do=row.what_to_do if health == "problem" else "",
                last_success_at=row.last_success_at,
                next_run_at=row.next_run_at,
                total=totals.get(row.id, 0),
                last_24h=recent.get(row.id, 0),
                account_label=labels.get(row.account_id or 0, ""),
                sample=row.sample,
                sparkline=tuple(by_day.get(row.id, {}).get(day, 0) for day in days),
                usual_24h=itself.a_day,
                every=None if row.interval_seconds is None else timedelta(seconds=row.interval_seconds),
                quota=_quota(row, left),
                looks_back=reach.possible and row.state in backfill.OPEN,
                reach=reach.words,
                earliest=backfill.earliest(reach, now) if reach.possible else None,
            )
        )
    return views


def _usual(row: SourceRow, counts: Mapping[int, int], now: datetime) -> usual.Usual:
    """The source against itself, as far as it was read: what nobody has asked for is not missing."""
    comes_by_itself = row.last_success_at is None or _arrival(row) is Arrival.PUSHED
    read_until = now if comes_by_itself else min(now, row.last_success_at or now)
    return usual.compared(counts, hours.of(read_until) - 1)


def _quota(row: SourceRow, left: list[BudgetRow]) -> Quota | None:
    """The scantiest of the budgets that the source spends, where its platform tells one."""
    spent = [one for one in left if _spends(row, one) and one.remaining is not None]
    one = min(spent, key=lambda one: one.remaining or 0, default=None)
    if one is None or one.remaining is None or one.quota is None:
        return None
    return Quota(max(0, one.remaining), one.quota, budgets.reserve(one), one.resets_at)


def _spends(row: SourceRow, one: BudgetRow) -> bool:
    return (one.platform, one.owner) == (row.platform, row.budget_owner) and one.kind in ("", row.budget_kind)


def overview(ctx: Context, actor: Actor, views: list[SourceView]) -> Overview:
    """All of `views` at a glance, with what is the matter with the accounts. Sample data is left out."""
    require(actor, Role.VIEWER)
    now = ctx.clock()
    own = [one for one in views if not one.sample and one.state != "removing"]
    listening = sum(_listens(one, now) for one in own)
    with ctx.database.reading() as tx:
        accounts = rows.accounts(tx)
    # One line for an account says it for all of its sources.
    dead = {one.label for one in accounts if one.dead_at is not None}
    notices = [
        Notice(one.label, _first_sentence(one.words), one.health)
        for one in own
        if one.health != "paused" and not _listens(one, now) and not (one.account_label in dead and one.what_to_do)
    ]
    notices += [Notice(one.label, words, health) for one in accounts for words, health in [_warning(one, now)] if words]
    notices.sort(key=lambda one: ILL.index(one.health))
    paused = sum(one.health == "paused" for one in own)
    return Overview(_overview_words(len(own), listening, paused), not notices, tuple(notices))


ILL = ("problem", "late", "quiet", "waiting", "expiring")
"""What needs a look, worst first."""
LONG_WAIT = timedelta(hours=1)
"""Who waits no longer than that for a platform still listens."""


def _listens(one: SourceView, now: datetime) -> bool:
    if one.health == "waiting":
        return one.next_run_at is None or one.next_run_at - now <= LONG_WAIT
    return one.health in ("listening", "read")


def _overview_words(total: int, listening: int, paused: int) -> str:
    if not total:
        return "Where we listen."
    if listening == total:
        return "It listens." if total == 1 else f"All {total} listen."
    rest = f", {paused} paused" if paused else ""
    return f"{listening} of {total} listen{'s' if listening == 1 else ''}{rest}."


def _first_sentence(words: str) -> str:
    first, dot, _ = words.partition(". ")
    return first + "." if dot else words


def _idle(account: AccountRow) -> str:
    return f"Nothing is asked with it any more. {credentials.again(account)}"


def _warning(account: AccountRow, now: datetime) -> tuple[str, str]:
    """What is the matter with an account, in a sentence, and how bad that is."""
    if account.dead_at is not None:
        return f"{_first_sentence(account.check_words)} {credentials.again(account)}", "problem"
    ends = checking.expiry(account.expires_at, now)
    return ends.words, "expiring" if ends.level == "soon" else "problem"


def _health(row: SourceRow, itself: usual.Usual, left: list[BudgetRow], now: datetime) -> tuple[str, str]:
    """How the source is, in a word and in a sentence."""
    if row.state == "removing":
        return "removing", "It is being removed."
    if row.sample:
        return "paused", "Sample data: nothing is asked."
    if row.state == "paused":
        return "paused", "Paused: nothing new is read until somebody goes on; what is deleted there still goes here."
    if row.last_error_kind == "terminal":
        return "problem", row.last_error
    if row.last_error_kind == "crash":
        return "problem", f"{row.last_error} It is tried again by itself."
    if row.last_error_kind == "transient":
        health = "problem" if row.failures >= 5 else "waiting"
        return health, f"{row.last_error} It is tried again by itself."
    if row.next_run_at is None:
        return _unasked(row, itself)
    late = now - row.next_run_at
    if late > max(timedelta(seconds=row.poll_seconds * LATE_AFTER), timedelta(minutes=5)):
        return "late", "It should have been asked long ago: is a worker running?"
    if row.waits_for == "budget" and row.next_run_at > now:
        return "waiting", _waiting_words(row, left)
    if row.last_success_at is None:
        return "waiting", "It is asked for the first time in a moment."
    if itself.quiet is not None:
        return "quiet", _quiet_words(itself.quiet)
    if row.waits_for == "share" and row.next_run_at > now:
        return "listening", "It listens, as often as its part of the platform's limit allows."
    return "listening", "It listens."


def _arrival(row: SourceRow) -> Arrival:
    try:
        return registry.capability(row.platform).arrival
    except Terminal:
        return Arrival.ASKED


def _unasked(row: SourceRow, itself: usual.Usual) -> tuple[str, str]:
    """How a source is that nobody asks for news."""
    arrival = _arrival(row)
    if arrival is Arrival.TYPED:
        return "listening", "Colleagues write down what they hear: Inbox, Add a note."
    if arrival is Arrival.PUSHED:
        if row.last_success_at is None:
            return "waiting", "It waits for its first delivery."
        if itself.quiet is not None:
            return "quiet", _quiet_words(itself.quiet)
        return "listening", "It takes what is sent to it."
    return ("read", "It was read to its end.") if row.last_success_at else ("waiting", "It is being read.")


def _waiting_words(row: SourceRow, left: list[BudgetRow]) -> str:
    """Why a source is not asked before its budget is full again."""
    said = next((one.words for one in left if one.words and _spends(row, one)), "")
    return f"{said or USED_UP} It goes on by itself."


USED_UP = "The platform's limit is used up, but for what is kept for answers."


def _quiet_words(quiet: usual.Quiet) -> str:
    span = f"{quiet.hours} hours" if quiet.hours <= usual.DAY else f"{quiet.hours // usual.DAY} days"
    came = f"Only {quiet.found}" if quiet.found else "Nothing"
    return f"{came} came in the last {span}; at this time it usually brings about {quiet.usual:,.0f}. Has it changed?"


def written(ctx: Context, actor: Actor, source_id: int) -> Written:
    """How the source's query was typed. Raises Missing."""
    require(actor, Role.ADMIN)
    with ctx.database.reading() as tx:
        row = _found(tx, source_id)
    only = str(row.options.get(querying.ONLY, ""))
    mode = row.mode or _capability(row.platform).default_mode
    return Written(mode, row.query, only, not querying.is_common(row.options), row.label)


def runs(ctx: Context, actor: Actor, source_id: int, limit: int = 20) -> list[RunView]:
    """The last times that the source was asked, newest first."""
    require(actor, Role.VIEWER)
    with ctx.database.reading() as tx:
        found = rows.runs(tx, source_id, max(1, min(limit, 200)))
    return [
        RunView(
            row.started_at, row.finished_at, row.outcome, row.error, row.pages, row.new, row.edited, row.seen,
            row.rejected, tuple(row.rejections), row.filtered,
        )
        for row in found
    ]  # fmt: skip


def accounts(ctx: Context, actor: Actor) -> list[AccountView]:
    """Our accounts, oldest first."""
    require(actor, Role.ADMIN)
    allowed = registry.capabilities()
    with ctx.database.reading() as tx:
        found = rows.accounts(tx)
    return [
        AccountView(
            row.id, row.platform, allowed[row.platform].title if row.platform in allowed else row.platform, row.label,
            row.base_url, row.handle, row.checked_at, row.check_ok, row.check_words, row.expires_at,
            _idle(row) if row.dead_at is not None else _warning(row, ctx.clock())[0], row.connected_at is not None,
            row.renew_at,
        )
        for row in found
    ]  # fmt: skip


# Changing sources -----------------------------------------------------------------------------------------------------


def add(
    ctx: Context,
    actor: Actor,
    platform: str,
    query: str,
    mode: str,
    label: str,
    account_id: int | None,
    options: Mapping[str, Any] | None = None,
) -> int:
    """Adds a source, which is asked at once; returns its id. Raises DialogueError, naming what does not fit."""
    require(actor, Role.ADMIN)
    capability, query, mode, chosen = _checked_query(platform, query, mode, options or {})
    now = ctx.clock()
    every = int(chosen.get(POLL_SECONDS, capability.poll_every.total_seconds()))
    recheck = capability.recheck_every
    if recheck is not None:
        recheck = timedelta(seconds=int(chosen.get(RECHECK_SECONDS, recheck.total_seconds())))
    with ctx.database.transaction() as tx:
        account = _account_for(tx, capability, account_id)
        _opened(ctx, platform, account, chosen)
        source_id = rows.add(
            tx,
            now,
            platform=platform,
            account_id=account_id,
            mode=mode,
            query=query,
            label=_label(label, query or capability.title),
            options=chosen,
            poll_seconds=max(every, FASTEST_POLL),
            next_run_at=now,
            recheck_at=None if recheck is None else now + recheck / LOOKS,
        )
        audit.record(tx, ctx, actor, "added", "source", source_id, platform=platform, query=query)
        workspace.bump(tx)
    ctx.triggers.collect(source_id)
    return source_id


_OTHER_WAYS = {
    Arrival.ASKED: "",
    Arrival.UPLOADED: "hand in a file instead.",
    Arrival.PUSHED: "it takes what is sent to its address.",
    Arrival.TYPED: "colleagues write it down: Inbox, Add a note.",
}


def _checked_query(
    platform: str, query: str, mode: str, options: Mapping[str, Any]
) -> tuple[Capability, str, str, dict[str, Any]]:
    capability = _capability(platform)
    if not capability.polls:
        raise DialogueError(f"{capability.title} is not asked for news: {_OTHER_WAYS[capability.arrival]}")
    mode = mode or capability.default_mode
    found = next((one for one in capability.modes if one.name == mode), None)
    if found is None:
        raise DialogueError(f"{capability.title} cannot listen in the way '{mode[:50]}'.")
    query = " ".join(clean(query).split()) if found.query_label else ""
    if found.query_label and not query:
        raise DialogueError(f"{found.query_label}: say what to listen for.")
    if len(query) > 1_000:
        raise DialogueError(f"{found.query_label}: that is too long; 1,000 characters fit.")
    chosen = querying.chosen(found, _checked_options(platform, options))
    querying.plan(capability, mode, query, chosen)
    return capability, query, mode, chosen


def explain(platform: str, query: str, mode: str, options: Mapping[str, Any] | None = None) -> Explained:
    """What a query will do, in words; asks nobody. An empty one explains nothing."""
    if not query.strip():
        return Explained()
    try:
        capability, query, mode, chosen = _checked_query(platform, query, mode, options or {})
        plan = querying.plan(capability, mode, query, chosen)
    except SearchError as error:
        return Explained(problem=str(error), pointer=error.pointer)
    except DialogueError as error:
        return Explained(problem=str(error))
    return Explained(plan.asked, plan.notes) if querying.is_common(chosen) else Explained()


def without_a_key(ctx: Context) -> list[str]:
    """The platforms that can be listened to without an account, by title."""
    return [one.title for one in platforms(ctx) if one.polls and not one.key_needed]


def _capability(platform: str) -> Capability:
    try:
        return registry.capability(platform)
    except Terminal as error:
        raise DialogueError(f"{error} {error.what_to_do}") from error


def _checked_options(platform: str, options: Mapping[str, Any]) -> dict[str, Any]:
    known = {BASE_URL, POLL_SECONDS, RECHECK_SECONDS, *querying.OPTIONS, *registry.extra_options(platform)}
    unknown = sorted(set(options) - known)
    if unknown:
        raise DialogueError(f"There is no option called '{unknown[0][:50]}'. There are {', '.join(sorted(known))}.")
    for name in (POLL_SECONDS, RECHECK_SECONDS):
        value = options.get(name, FASTEST_POLL)
        if isinstance(value, bool) or not isinstance(value, int) or not FASTEST_POLL <= value <= 604_800:
            raise DialogueError(f"The option {name} is a whole number of seconds from {FASTEST_POLL} to a week.")
    return dict(options)


def _account_for(tx: Transaction, capability: Capability, account_id: int | None) -> AccountRow | None:
    if account_id is None:
        if capability.key_needed:
            raise DialogueError(f"{capability.title} needs an account: add one first.")
        return None
    account = rows.account(tx, account_id)
    if account is None or account.platform != capability.platform:
        raise DialogueError(f"That is no account on {capability.title}. Choose another one.")
    return account


def _opened(ctx: Context, platform: str, account: AccountRow | None, options: dict[str, Any]) -> Listener:
    """Opening asks no network: what is wrong with credentials and options can be said at once. Raises DialogueError."""
    try:
        return open_listener(ctx, platform, account, options)
    except Terminal as error:
        raise DialogueError(f"{error} {error.what_to_do}") from error


def _label(label: str, otherwise: str) -> str:
    tidy = " ".join(clean(label).split()) or otherwise
    return tidy[:100]


def pause(ctx: Context, actor: Actor, source_id: int) -> None:
    """Reads nothing until `resume`; a page that is being read now is not stored any more. Deletions still count."""
    _change(ctx, actor, source_id, "paused", state="paused", lease_until=None, raise_fence=True)


def resume(ctx: Context, actor: Actor, source_id: int) -> None:
    """Goes on from where it stood, at once."""
    _change(ctx, actor, source_id, "resumed", state="active", next_run_at=ctx.clock(), failures=0)
    ctx.triggers.collect(source_id)


def run_now(ctx: Context, actor: Actor, source_id: int) -> None:
    """Asks at once, also after a failure that waited for a person. A budget that is used up holds for people, too."""
    with ctx.database.reading() as tx:
        row, now = rows.get(tx, source_id), ctx.clock()
        left = [budgets.settled(budget, now) for budget in budget_rows.all_(tx)]
    if row is not None and any(_spends(row, one) and budgets.readable(one) == 0 for one in left):
        raise DialogueError(_waiting_words(row, left))
    _change(ctx, actor, source_id, "ran", of=("active",), next_run_at=ctx.clock())
    ctx.triggers.collect(source_id)


def edit(
    ctx: Context,
    actor: Actor,
    source_id: int,
    query: str,
    mode: str,
    label: str,
    options: Mapping[str, Any] | None = None,
) -> str:
    """Has a source listen for another query, in this or another mode; returns in words what that means.

    `options` are those of `querying`; the others stay. Nothing is lost between the two queries: the new one is read
    from where the old one had been read to its end, less what platforms show late. A page of the old one that is on its
    way is not stored any more. Raises DialogueError, naming what does not fit.
    """
    require(actor, Role.ADMIN)
    now = ctx.clock()
    with ctx.database.transaction() as tx:
        row = _changeable(tx, source_id)
        capability, query, mode, chosen = _checked_query(row.platform, query, mode, _with_its_own(row, options))
        stopped = False
        if (query, mode, chosen) != (row.query, row.mode, row.options):
            account = rows.account(tx, row.account_id) if row.account_id else None
            cursor = _carried_over(ctx, row, account, capability, query, mode, chosen)
            stopped = backfill.end(tx, source_id, now)
            rows.change(
                tx, source_id, query=query, mode=mode, options=chosen, cursor=cursor, fence=row.fence + 1,
                lease_until=None, next_run_at=now, failures=0, last_error="", last_error_kind="", what_to_do="",
                posts_per_hour=None, interval_seconds=None, waits_for="",
            )  # fmt: skip
        rows.change(tx, source_id, label=_label(label, query or capability.title))
        audit.record(tx, ctx, actor, "edited", "source", source_id, query=query, was=row.query)
        workspace.bump(tx)
    if row.state == "active":
        ctx.triggers.collect(source_id)
    ended = " Its reading further back has ended: ask for it anew." if stopped else ""
    return edit_words(row.platform, mode) + ended


def _with_its_own(row: SourceRow, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """How the query is meant, with what else the source was given."""
    own = {name: value for name, value in row.options.items() if name not in querying.OPTIONS}
    return own | dict(options or {})


def _carried_over(
    ctx: Context,
    row: SourceRow,
    account: AccountRow | None,
    capability: Capability,
    query: str,
    mode: str,
    options: dict[str, Any],
) -> Cursor:
    """Where the new query begins. Where nothing was read yet, or any reading reads all there is, as a new source."""
    plan = querying.plan(capability, mode, query, options)
    listener = _opened(ctx, row.platform, account, options)
    read_until = row.read_until or row.last_success_at
    if read_until is None or not isinstance(listener, LooksBack):
        return {}
    if querying.same_reading(capability, row, mode, plan):
        return row.cursor
    return backfill.beginning(listener, plan, mode, read_until - SEEN_LATE)


def edit_words(platform: str, mode: str) -> str:
    """What an edit means, and what it means for what was posted before, in sentences."""
    before = (
        "What was posted before, and only the new query finds, is not looked for: 'Read further back' does that."
        if backfill.reach(platform, mode).possible
        else "Whatever its platform still shows is read with the new query."
    )
    return f"From now on it listens for the new query. What it has brought stays. {before}"


def rename(ctx: Context, actor: Actor, source_id: int, label: str) -> None:
    """Gives it another name."""
    if not label.strip():
        raise DialogueError("A source needs a name.")
    _change(ctx, actor, source_id, "renamed", of=("active", "paused"), label=_label(label, ""))


def _change(
    ctx: Context,
    actor: Actor,
    source_id: int,
    action: str,
    *,
    of: tuple[str, ...] = ("active", "paused"),
    raise_fence: bool = False,
    **values: Any,
) -> None:
    require(actor, Role.ADMIN)
    with ctx.database.transaction() as tx:
        row = _changeable(tx, source_id, of)
        if "next_run_at" in values and not _capability(row.platform).polls:
            other_way = _OTHER_WAYS[_capability(row.platform).arrival]
            raise DialogueError(f"This source cannot be asked for news: {other_way}")
        if raise_fence:
            values["fence"] = row.fence + 1
        rows.change(tx, source_id, **values)
        audit.record(tx, ctx, actor, action, "source", source_id, label=row.label)
        workspace.bump(tx)


def _changeable(tx: Transaction, source_id: int, of: tuple[str, ...] = backfill.OPEN) -> SourceRow:
    """A source of our own in one of these states, locked: its fence is raised by one. Raises DialogueError."""
    row = _found(tx, source_id, lock=True)
    if row.sample:
        raise DialogueError("This source belongs to the sample data; it goes when the sample is removed.")
    if row.state not in of:
        raise DialogueError(f"This source is {row.state}.")
    return row


def _found(tx: Transaction, source_id: int, *, lock: bool = False) -> SourceRow:
    row = rows.get(tx, source_id, lock=lock)
    if row is None or row.state == rows.LEFT:
        raise Missing("This source is not there any more.")
    return row


def remove(ctx: Context, actor: Actor, source_id: int, with_mentions: bool) -> int:
    """Stops the source and has the worker remove it; returns the request's id.

    `with_mentions` also deletes what no other source found. They may be collected again by another source.
    """
    _change(
        ctx, actor, source_id, "removed", of=("active", "paused", "removing"), state="removing", lease_until=None,
        raise_fence=True,
    )  # fmt: skip
    with ctx.database.transaction() as tx:
        payload = {"source_id": source_id, "with_mentions": with_mentions}
        request_id = request_rows.add(tx, "remove_source", payload, actor.user_id, ctx.clock())
    ctx.triggers.serve(request_id)
    return request_id


# Accounts -------------------------------------------------------------------------------------------------------------


def save_account(
    ctx: Context,
    actor: Actor,
    platform: str,
    label: str,
    base_url: str | None,
    values: Mapping[str, str],
    account_id: int | None = None,
) -> int:
    """Adds an account, or changes one: a secret left empty stays as it was. Returns its id. Raises DialogueError."""
    require(actor, Role.ADMIN)
    capability = _capability(platform)
    given = {name: value.strip() for name, value in values.items() if value.strip()}
    connected: dict[str, Any] = {}
    with ctx.database.transaction() as tx:
        if account_id is not None:
            known = connecting.stored(ctx, tx, platform, account_id)
            stays = connecting.without_the_other_way(platform, known, given)
            connected = _as_connected(tx, account_id) if stays == known else {}
            given = stays | given
        missing = [field.label for field in capability.credentials if field.required and field.name not in given]
        if missing:
            raise DialogueError(f"{capability.title} needs {', '.join(missing)}.")
        if base_url and not base_url.startswith(("http://", "https://")):
            raise DialogueError("The server's address must begin with http:// or https://.")
        saved = rows.save_account(
            tx,
            account_id,
            {
                "platform": platform,
                "label": _label(label, given.get("handle", capability.title)),
                "base_url": base_url or None,
                "credentials": ctx.secrets.encrypt(given),
                **connected,
            },
            ctx.clock(),
        )
        _opened(ctx, platform, rows.account(tx, saved), {})
        budget_rows.forget(tx, platform, budgets.owner_of_account(saved))
        rows.revive(tx, saved, ctx.clock())
        audit.record(tx, ctx, actor, "saved", "account", saved, platform=platform, label=label)
        workspace.bump(tx)
    return saved


def _as_connected(tx: Transaction, account_id: int) -> dict[str, Any]:
    """The columns that say how the platform's leave came and how long it is good: it is not what was entered anew."""
    account = rows.account(tx, account_id)
    names = ("connected_at", "access_until", "renew_at", "expires_at")
    return {} if account is None else {name: getattr(account, name) for name in names}


def remove_account(ctx: Context, actor: Actor, account_id: int) -> None:
    """Removes the account and its credentials; its sources stay, and say so where they cannot do without."""
    require(actor, Role.ADMIN)
    with ctx.database.transaction() as tx:
        account = rows.account(tx, account_id)
        if account is None:
            raise Missing("This account is not there any more.")
        rows.remove_account(tx, account_id)
        budget_rows.forget(tx, account.platform, budgets.owner_of_account(account_id))
        audit.record(tx, ctx, actor, "removed", "account", account_id, platform=account.platform, label=account.label)
        workspace.bump(tx)


# What the worker is asked ---------------------------------------------------------------------------------------------


def request_preview(
    ctx: Context,
    actor: Actor,
    platform: str,
    query: str,
    mode: str,
    account_id: int | None,
    options: Mapping[str, Any] | None = None,
) -> int:
    """Has the worker look what a query finds, storing nothing; returns the request's id."""
    require(actor, Role.ADMIN)
    capability, query, mode, chosen = _checked_query(platform, query, mode, options or {})
    payload = {
        "platform": platform, "query": query, "mode": mode, "account_id": account_id, "options": chosen,
    }  # fmt: skip
    with ctx.database.transaction() as tx:
        _account_for(tx, capability, account_id)
        request_id = request_rows.add(tx, "preview", payload, actor.user_id, ctx.clock())
    ctx.triggers.serve(request_id)
    return request_id


def request_preview_of(
    ctx: Context, actor: Actor, source_id: int, query: str, mode: str, options: Mapping[str, Any] | None = None
) -> int:
    """Has the worker look what a source would find with another query; returns the request's id."""
    with ctx.database.reading() as tx:
        row = _found(tx, source_id)
    return request_preview(ctx, actor, row.platform, query, mode, row.account_id, _with_its_own(row, options))


def request_account_test(ctx: Context, actor: Actor, account_id: int) -> int:
    """Has the worker try an account; returns the request's id."""
    require(actor, Role.ADMIN)
    with ctx.database.transaction() as tx:
        if rows.account(tx, account_id) is None:
            raise Missing("This account is not there any more.")
        request_id = request_rows.add(tx, "account_test", {"account_id": account_id}, actor.user_id, ctx.clock())
    ctx.triggers.serve(request_id)
    return request_id


def preview(ctx: Context, payload: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Handler: the first posts that a query finds, as {"posts": [{"author", "when", "text", "url"}]}.

    Of each search that the platform is asked ("asked") the first page is read; "left_out" are some of the posts that
    it sent and the query does not mean, "notes" what it cannot express.
    """
    progress(0, None, "Asking the platform")
    account, options = _account(ctx, payload["account_id"]), payload["options"]
    capability = _capability(payload["platform"])
    looked_at_by = querying.looked_at_by(capability, payload["mode"])
    mode = looked_at_by.name if looked_at_by else payload["mode"]
    plan = querying.plan(capability, mode, payload["query"], options)
    listener = open_listener(ctx, payload["platform"], account, options)
    kept: dict[str, Post] = {}
    others: dict[str, Post] = {}
    rejected = 0
    for done, words in enumerate(plan.asked):
        progress(done, len(plan.asked), "Asking the platform")
        page = next(iter(listener.fetch(Query(words, mode), {})), None)
        for post in page.posts if page else ():
            (kept if plan.keeps(post) else others)[post.external_id] = post
        rejected += len(page.rejected) if page else 0
    return {
        "posts": [_shown(post) for post in list(kept.values())[:PREVIEWED]],
        "left_out": [_shown(post) for post in list(others.values())[:PREVIEWED_OUT]],
        "found": len(kept), "filtered": len(others), "rejected": rejected,
        "asked": list(plan.asked) if querying.is_common(options) else [], "notes": list(plan.notes),
        "words": _found_words(len(kept), len(others), rejected, len(plan.asked)),
    }  # fmt: skip


def _found_words(found: int, filtered: int, rejected: int, searches: int) -> str:
    words = [f"The first page{' has' if searches == 1 else 's have'} {found} post{'' if found == 1 else 's'}"]
    if filtered:
        words.append(f"{filtered} more {'is' if filtered == 1 else 'are'} left out here")
    if rejected:
        words.append(f"{rejected} could not be read")
    return "; ".join(words) + "."


def _shown(post: Post) -> dict[str, str]:
    return {
        "author": post.author.display_name or post.author.handle if post.author else "",
        "when": f"{post.posted_at:%d %b %Y %H:%M} UTC",
        "text": headed(post.title, post.text)[:400],
        "url": post.url or "",
    }


def account_test(ctx: Context, payload: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Handler: asks the platform who we are; remembers it, and which posts are therefore ours."""
    progress(0, None, "Asking the platform who we are")
    account = _account(ctx, payload["account_id"])
    if account is None:
        raise Missing("This account is not there any more.")
    health = checking.ask(ctx, account)
    if not health.ok:
        raise DialogueError(health.words)
    return {"words": health.words}


def _account(ctx: Context, account_id: int | None) -> AccountRow | None:
    if account_id is None:
        return None
    with ctx.database.reading() as tx:
        return rows.account(tx, account_id)


def remove_source(ctx: Context, payload: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Handler: removes a source, and what only it found where that was asked; goes on where it was stopped.

    What stays is still asked about where its platform can be asked: the source is then kept for that, and for no more.
    """
    source_id, with_mentions = int(payload["source_id"]), bool(payload["with_mentions"])
    with ctx.database.reading() as tx:
        source = rows.get(tx, source_id)
        total = rows.totals(tx).get(source_id, 0)
    if source is not None and "upload" in source.options:
        uploads.discard(ctx, str(source.options["upload"]))
    gone = 0
    while with_mentions:
        with ctx.database.transaction() as tx:
            ids = forgetting.of_source_alone(tx, source_id, REMOVED_AT_ONCE)
            gone += forgetting.forget(tx, ids, now=ctx.clock(), reason="its source was removed", digest=None)
        progress(gone, total, "Removing what it brought")
        if not ids:
            break
    unlinked = 0
    while True:
        with ctx.database.transaction() as tx:
            ids = rows.unlink(tx, source_id, REMOVED_AT_ONCE)
            if source is not None and _is_asked_about(source):
                forgetting.leave(tx, source_id, ids)
            with rollups.kept(tx, ids):
                rows.cut_links(tx, source_id, ids)
        unlinked += len(ids)
        progress(gone + unlinked, total, "Removing the source")
        if not ids:
            break
    with ctx.database.transaction() as tx:
        if forgetting.any_left(tx, source_id):
            rows.leave(tx, source_id, ctx.clock())
        else:
            rows.remove(tx, source_id)
        workspace.bump(tx)
    return {"removed": gone, "words": "The source is gone" + (f" with {gone:,} mentions." if gone else ".")}


def _is_asked_about(source: SourceRow) -> bool:
    """Whether its platform can be asked if what it brought still stands."""
    try:
        return registry.capability(source.platform).recheck_every is not None and not source.sample
    except Terminal:
        return False
