"""Health: what a source usually brings, whether it went quiet, whether its account is still accepted, what is said."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from db import hours, workspace
from db import sources as rows
from db.tables import SourceHour
from dialogue import checking, collecting, credentials, sources, usual
from dialogue.context import Actor, Context
from listeners.base import Author, BadCredentials, Health, Options, Transient
from tests.conftest import Clock
from tests.fake_platform import FakePlatform, Forum, installed
from tests.worlds import add_source, look, post, store

REFUSAL = BadCredentials("The forum does not know the token (401).", "Enter a new token.")
WEEK = 168


@pytest.fixture
def forum(monkeypatch: pytest.MonkeyPatch) -> FakePlatform:
    return installed(monkeypatch)


def _account(ctx: Context, actor: Actor, token: str = "t") -> int:
    return sources.save_account(ctx, actor, "forum", "Us", None, {"token": token})


def _source(ctx: Context, account_id: int | None = None, **fields: object) -> int:
    values = {"query": "hinge", "mode": "search", "next_run_at": ctx.clock(), "account_id": account_id} | fields
    return add_source(ctx, **values)  # type: ignore[arg-type]


def _view(ctx: Context, actor: Actor) -> sources.SourceView:
    (view,) = sources.list_(ctx, actor)
    return view


def _kept(ctx: Context, account_id: int) -> rows.AccountRow:
    with ctx.database.reading() as tx:
        account = rows.account(tx, account_id)
    assert account is not None
    return account


# Against its own usual ------------------------------------------------------------------------------------------------


def _weeks(count: int, a_day: Mapping[int, int], *, until: int = 10_000) -> dict[int, int]:
    """So many mentions in these hours of each day, for so many weeks up to an hour."""
    return {hour: a_day[hour % 24] for hour in range(until - count * WEEK + 1, until + 1) if hour % 24 in a_day}


ALWAYS = dict.fromkeys(range(24), 2)
AT_NOON = {12: 24}


@pytest.mark.parametrize(
    ("counts", "silent", "hours"),
    [
        (_weeks(6, ALWAYS), 2, None),
        (_weeks(6, ALWAYS), 6, 6),
        (_weeks(6, ALWAYS), 30, 24),
        (_weeks(1, ALWAYS), 30, None),
        (_weeks(2, ALWAYS), 6, 6),
        (_weeks(6, {3: 1, 15: 1}), 60, None),
        (_weeks(6, {3: 1, 15: 1}), 300, WEEK),
        (_weeks(8, ALWAYS), 30 * 24, WEEK),
        ({}, 0, None),
    ],
    ids=["two hours tell nothing", "six hours tell", "the longest stretch is told", "a week is no past yet",
         "days where there are no three weeks", "two a day: days tell nothing", "two a day: weeks do",
         "a long silence does not become the usual", "always quiet"],
)  # fmt: skip
def test_gone_quiet_is_told_by_the_same_stretch_of_earlier_weeks(
    counts: dict[int, int], silent: int, hours: int | None
) -> None:
    counts = {hour: count for hour, count in counts.items() if hour <= 10_000 - silent}
    quiet = usual.compared(counts, 10_000).quiet
    assert (quiet and quiet.hours) == hours


def test_a_night_is_no_silence() -> None:
    counts = _weeks(6, AT_NOON, until=24 * 400 + 12)
    for hour in range(1, 24):
        assert usual.compared(counts, 24 * 400 + 12 + hour - 1).quiet is None
    late = usual.compared(counts, 24 * 401 + 13)
    assert late.quiet is not None
    assert (late.quiet.found, late.quiet.usual) == (0, 24)


def test_what_comes_in_the_running_hour_ends_a_silence() -> None:
    counts = {hour: count for hour, count in _weeks(6, ALWAYS).items() if hour <= 9_990}
    assert usual.compared(counts, 10_000).quiet is not None
    assert usual.compared({**counts, 10_001: 1}, 10_000).quiet is None


@pytest.mark.parametrize("busy", [0.5, 5.0, 30.0])
def test_chance_alone_raises_no_alarm(busy: float) -> None:
    """Eight weeks of a source whose hours differ as much as chance (exponential, then Poisson) makes them."""
    chance = random.Random(7)
    counts: dict[int, int] = {}
    for hour in range(8 * WEEK):
        expected, at = chance.expovariate(1 / busy), chance.expovariate(1.0)
        while at < expected:
            counts[hour] = counts.get(hour, 0) + 1
            at += chance.expovariate(1.0)
    alarms = 0
    for until in range(2 * WEEK, 8 * WEEK - 1, 3):
        past = {hour: count for hour, count in counts.items() if hour <= until}
        alarms += usual.compared(past, until).quiet is not None
    assert alarms <= 2, "of 336 looks"


def test_mentions_are_counted_by_source_and_hour(any_ctx: Context, clock: Clock) -> None:
    one, other = add_source(any_ctx), add_source(any_ctx)
    store(any_ctx, post("1"), post("2"), post("3", posted_at=clock.now), source_id=one)
    store(any_ctx, post("1"), post("old", posted_at=clock.now - timedelta(weeks=9)), source_id=one)
    store(any_ctx, post("1"), source_id=other)
    eleven = hours.of(clock.now) - 1
    with any_ctx.database.reading() as tx:
        assert hours.by_source(tx) == {one: {eleven: 2, eleven + 1: 1}, other: {eleven: 1}}
    clock.forward(weeks=8)
    with any_ctx.database.transaction() as tx:
        hours.forget(tx, clock.now)
        assert hours.by_source(tx) == {one: {eleven + 1: 1}}


def _lively(ctx: Context, source_id: int, clock: Clock) -> None:
    """Six weeks of three mentions an hour."""
    now = hours.of(clock.now)
    with ctx.database.transaction() as tx:
        tx.session.add_all([SourceHour(source_id=source_id, hour=hour, count=3) for hour in range(now - 6 * WEEK, now)])
        workspace.bump(tx)


def test_a_source_that_has_gone_quiet_says_so_and_one_that_is_not_read_says_that(
    ctx: Context, colleague: Actor, forum: FakePlatform, clock: Clock
) -> None:
    source_id = _source(ctx)
    _lively(ctx, source_id, clock)
    collecting.collect(ctx, source_id)
    assert _view(ctx, colleague).health == "listening"
    assert _view(ctx, colleague).usual_24h == 72
    clock.forward(hours=7)
    assert _view(ctx, colleague).health == "late", "nobody has asked, so nothing is missing"
    collecting.collect(ctx, source_id)
    view = _view(ctx, colleague)
    assert view.health == "quiet"
    assert view.words.startswith("Nothing came in the last 6 hours; at this time it usually brings about 18.")
    glance = sources.overview(ctx, colleague, [view])
    assert (glance.words, [one.label for one in glance.notices]) == ("0 of 1 listen.", ["Forum"])
    forum.posts(9, at=clock.now)
    clock.forward(hours=1)
    collecting.collect(ctx, source_id)
    assert _view(ctx, colleague).health == "listening"


# At a glance ----------------------------------------------------------------------------------------------------------


def test_all_of_them_at_a_glance(ctx: Context, colleague: Actor, forum: FakePlatform, clock: Clock) -> None:
    ids = [_source(ctx, label=f"Forum {number}") for number in range(3)]
    _source(ctx, label="Invented", sample=True)
    for one in ids:
        collecting.collect(ctx, one)

    def words() -> str:
        return sources.overview(ctx, colleague, sources.list_(ctx, colleague)).words

    assert words() == "All 3 listen."
    sources.pause(ctx, colleague, ids[0])
    assert words() == "2 of 3 listen, 1 paused."
    clock.forward(minutes=10)
    forum.rate_limits(20_000)
    collecting.collect(ctx, ids[1])
    glance = sources.overview(ctx, colleague, sources.list_(ctx, colleague))
    assert glance.words == "1 of 3 listens, 1 paused."
    assert [(one.label, one.health) for one in glance.notices] == [("Forum 1", "waiting")]


# A token's life -------------------------------------------------------------------------------------------------------


def test_one_refusal_is_no_death(ctx: Context, colleague: Actor, forum: FakePlatform, clock: Clock) -> None:
    account_id = _account(ctx, colleague)
    source_id = _source(ctx, account_id)
    forum._always(REFUSAL)
    assert collecting.collect(ctx, source_id) == "transient"
    assert _kept(ctx, account_id).dead_at is None
    forum.recovers()
    clock.forward(minutes=5)
    assert collecting.collect(ctx, source_id) == "unchanged"
    assert _kept(ctx, account_id).refused_at is None, "what was refused was no sign of death"


def test_a_network_that_fails_says_nothing_about_a_token(
    ctx: Context, colleague: Actor, forum: FakePlatform, clock: Clock
) -> None:
    account_id = _account(ctx, colleague)
    source_id = _source(ctx, account_id)
    forum._always(REFUSAL)
    collecting.collect(ctx, source_id)
    forum.goes_down()
    for _ in range(5):
        clock.forward(hours=1)
        assert collecting.collect(ctx, source_id) == "transient"
        checking.check(ctx, account_id)
    assert _kept(ctx, account_id).dead_at is None
    assert _view(ctx, colleague).next_run_at is not None, "it is tried again by itself"


def test_a_second_refusal_minutes_later_is_believed_and_new_credentials_revive_all(
    any_ctx: Context, colleague: Actor, forum: FakePlatform, clock: Clock
) -> None:
    account_id = _account(any_ctx, colleague)
    one, other = _source(any_ctx, account_id), _source(any_ctx, account_id)
    forum._always(REFUSAL)
    assert [collecting.collect(any_ctx, one), collecting.collect(any_ctx, other)] == ["transient"] * 2
    assert _kept(any_ctx, account_id).dead_at is None, "twice at the same moment is once"
    clock.forward(minutes=5)
    assert collecting.collect(any_ctx, one) == "terminal"
    asked = len(forum.asked)
    assert collecting.collect(any_ctx, other) is None
    assert len(forum.asked) == asked, "nothing is asked with a dead token"
    views = sources.list_(any_ctx, colleague)
    assert {(view.health, view.words) for view in views} == {("problem", str(REFUSAL))}
    glance = sources.overview(any_ctx, colleague, views)
    assert ("Us", "The forum does not know the token (401). Enter its credentials again.", "problem") in [
        (notice.label, notice.words, notice.health) for notice in glance.notices
    ]
    forum.recovers()
    sources.save_account(any_ctx, colleague, "forum", "Us", None, {"token": "new"}, account_id)
    assert set(collecting.due(any_ctx)) == {one, other}, "they go on by themselves"
    assert [collecting.collect(any_ctx, id_) for id_ in (one, other)] == ["unchanged"] * 2


def test_a_refusal_of_what_is_no_longer_there_kills_nothing(
    ctx: Context, colleague: Actor, forum: FakePlatform, clock: Clock
) -> None:
    account_id = _account(ctx, colleague)
    old = _kept(ctx, account_id)
    assert credentials.refused(ctx, old, REFUSAL) is False
    clock.forward(minutes=9)
    sources.save_account(ctx, colleague, "forum", "Us", None, {"token": "new"}, account_id)
    assert credentials.refused(ctx, old, REFUSAL) is False
    assert _kept(ctx, account_id).refused_at is None


def test_the_worker_tries_each_account_once_a_day(
    ctx: Context, colleague: Actor, forum: FakePlatform, clock: Clock
) -> None:
    account_id = _account(ctx, colleague)
    assert checking.due(ctx) == [], "a person tries it first"
    clock.forward(minutes=10)
    assert checking.due(ctx) == [account_id]
    forum.us = Author(id="bjork", handle="bjork")
    checking.check(ctx, account_id)
    assert (_kept(ctx, account_id).check_ok, _kept(ctx, account_id).handle) == (True, "bjork")
    assert checking.due(ctx) == []
    clock.forward(days=1)
    forum.goes_down()
    checking.check(ctx, account_id)
    assert _kept(ctx, account_id).check_ok is True, "a blip changes nothing"
    clock.forward(minutes=15)
    forum._always(REFUSAL)
    checking.check(ctx, account_id)
    assert _kept(ctx, account_id).dead_at is None
    clock.forward(minutes=5)
    assert checking.due(ctx) == [account_id]
    checking.check(ctx, account_id)
    assert _kept(ctx, account_id).dead_at == clock.now
    clock.forward(days=1)
    forum.recovers()
    checking.check(ctx, account_id)
    assert _kept(ctx, account_id).dead_at is None, "the platform takes it again"


@pytest.mark.parametrize(
    ("days", "level", "words"),
    [
        (30, "", ""),
        (14, "soon", "Its credentials end in 14 days, on 4 Dec: enter new ones before."),
        (3, "urgent", "Its credentials end in 3 days, on 23 Nov: enter new ones before."),
        (1, "urgent", "Its credentials end in 1 day, on 21 Nov: enter new ones before."),
        (0, "over", "Its credentials ended on 20 Nov: enter new ones."),
    ],
)
def test_an_end_is_told_before_it_comes(
    ctx: Context, colleague: Actor, forum: FakePlatform, monkeypatch: pytest.MonkeyPatch, clock: Clock,
    days: int, level: str, words: str,
) -> None:  # fmt: skip
    ends = clock.now + timedelta(days=days)
    monkeypatch.setattr(Forum, "check", lambda self: Health(True, "You are us.", None, ends))
    account_id = _account(ctx, colleague)
    clock.now -= timedelta(minutes=10)
    with ctx.database.transaction() as tx:
        rows.change_account(tx, account_id, next_check_at=clock.now)
    checking.check(ctx, account_id)
    clock.forward(minutes=10)
    assert checking.expiry(_kept(ctx, account_id).expires_at, clock.now) == checking.Expiry(level, words)
    assert sources.accounts(ctx, colleague)[0].warning == words
    assert [one.words for one in sources.overview(ctx, colleague, []).notices] == ([words] if words else [])


# A refresh token that is good once ------------------------------------------------------------------------------------


@dataclass
class Rotating:
    """A platform that gives a new refresh token for each, and takes the old one until the new ones are used."""

    good: str = "r0"
    offered: dict[str, str] = field(default_factory=dict)
    seen_at_use: list[str] = field(default_factory=list)

    def refresh(self, token: str) -> tuple[str, str]:
        if token != self.good:
            raise REFUSAL
        self.offered = {"refresh": f"r{int(self.good[1:]) + 1}", "access": "a"}
        return self.offered["refresh"], self.offered["access"]

    def use(self) -> None:
        self.good = self.offered["refresh"]


def test_new_credentials_are_kept_before_they_are_used(any_ctx: Context, colleague: Actor, forum: FakePlatform) -> None:
    account_id = _account(any_ctx, colleague, "r0")
    platform = Rotating()
    for turn in (1, 2):
        account = _kept(any_ctx, account_id)
        collecting.open_listener(any_ctx, "forum", account, {})
        given, options = forum.opened_with[-1]
        refresh, _ = platform.refresh(given["token"])
        assert options.on_credentials is not None
        options.on_credentials({"token": refresh})
        assert any_ctx.secrets.decrypt(_kept(any_ctx, account_id).credentials) == {"token": f"r{turn}"}
        platform.use()


def test_what_a_person_entered_meanwhile_is_not_overwritten(
    ctx: Context, colleague: Actor, forum: FakePlatform, clock: Clock
) -> None:
    account_id = _account(ctx, colleague, "old")
    keep = credentials.keeper(ctx, account_id, _kept(ctx, account_id).saved_at)
    clock.forward(seconds=1)
    sources.save_account(ctx, colleague, "forum", "Us", None, {"token": "by hand"}, account_id)
    with pytest.raises(Transient, match="changed"):
        keep({"token": "by the platform"})
    assert ctx.secrets.decrypt(_kept(ctx, account_id).credentials) == {"token": "by hand"}
    sources.remove_account(ctx, colleague, account_id)
    with pytest.raises(Transient):
        keep({"token": "by the platform"})


def test_credentials_never_show_in_options() -> None:
    assert "secret" not in repr(Options(on_credentials=lambda given: print("secret", given)))


KEEPS = """
import sys
from pathlib import Path
from db.engine import Database
from dialogue import credentials
from dialogue.context import Context
from tests.conftest import PlainSecrets

ctx = Context(Database(sys.argv[1]), Path("."), PlainSecrets())
credentials.keeper(ctx, int(sys.argv[2]), None)({"token": "r1"})
print("used")
"""


@pytest.mark.parametrize(("point", "kept"), [("credentials.given", "r0"), ("credentials.kept", "r1")])
def test_a_worker_killed_in_between_loses_no_token(
    any_ctx: Context, any_url: str, colleague: Actor, forum: FakePlatform, point: str, kept: str
) -> None:
    """Killed before it is kept, the old one is good, since the new one was not used; killed after, the new one is."""
    account_id = _account(any_ctx, colleague, "r0")
    with any_ctx.database.transaction() as tx:
        rows.change_account(tx, account_id, saved_at=None)
    platform = Rotating()
    platform.refresh("r0")
    died = subprocess.run(
        [sys.executable, "-c", KEEPS, any_url, str(account_id)],
        cwd=Path(__file__).parents[2], env=os.environ | {"SAMTAL_CHAOS_POINT": point}, capture_output=True, timeout=90,
        check=False,
    )  # fmt: skip
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    assert b"used" not in died.stdout
    token = any_ctx.secrets.decrypt(_kept(any_ctx, account_id).credentials)["token"]
    assert token == kept
    if kept == "r1":
        platform.use()  # what the killed worker would have done next
    assert platform.refresh(token)


def test_an_account_says_nothing_of_its_secrets(ctx: Context, colleague: Actor, forum: FakePlatform) -> None:
    _account(ctx, colleague, "very secret")
    assert "very secret" not in json.dumps([repr(one) for one in sources.accounts(ctx, colleague)])
    assert "very secret" not in str(look(ctx, "SELECT check_words, label FROM platform_accounts"))


def test_a_moment_has_its_hour() -> None:
    assert hours.of(datetime.fromisoformat("1970-01-02T01:59:59+00:00")) == 25
