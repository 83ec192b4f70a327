"""Access that ends is renewed before, once, whatever dies in between; nobody is told that it ended unless it did."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from db import sources as rows
from db.engine import Database
from db.sources import AccountRow
from dialogue import checking, collecting, connecting, credentials, renewing, requests, sources
from dialogue.connecting import Entered
from dialogue.context import Actor, Context
from listeners.base import BadCredentials, Transient
from tests.conftest import Clock
from tests.listeners.fake_oauth import APP, OAuthServer
from tests.listeners.fake_server import Reply

ROOT = Path(__file__).parents[2]
HERE = "http://127.0.0.1:8501"


@pytest.fixture
def server() -> Iterator[OAuthServer]:
    with OAuthServer("x") as server:
        yield server


def connected(ctx: Context, actor: Actor, server: OAuthServer) -> int:
    """An account that was connected at noon: X's access is good for two hours."""
    entered = Entered("Ours", APP, server.url)
    journey = connecting.begin(ctx, actor, "a session", server.platform, HERE, entered)
    back = server.consent(connecting.look(ctx, actor, "a session", journey).url)
    connecting.returned(ctx, actor, "a session", back)
    request_id = connecting.look(ctx, actor, "a session", journey).request_id
    assert request_id is not None
    requests.serve(ctx, request_id)
    assert requests.get(ctx, request_id).state == "done"
    return sources.accounts(ctx, actor)[0].id


def stored(ctx: Context, account_id: int) -> tuple[AccountRow, dict[str, str]]:
    with ctx.database.reading() as tx:
        account = rows.account(tx, account_id)
    assert account is not None
    return account, ctx.secrets.decrypt(account.credentials)


def renewals(server: OAuthServer) -> int:
    """How often new access was asked for."""
    return sum(b"grant_type=refresh_token" in request.body for request in server.requests)


def test_it_is_renewed_before_it_ends_and_stored_before_it_is_used(
    any_ctx: Context, colleague: Actor, server: OAuthServer, clock: Clock
) -> None:
    account_id = connected(any_ctx, colleague, server)
    _, first = stored(any_ctx, account_id)
    clock.forward(minutes=95)
    assert renewing.due(any_ctx) == []
    renewing.renew(any_ctx, account_id)
    assert renewals(server) == 0, "it is not due"
    clock.forward(minutes=1)
    assert renewing.due(any_ctx) == [account_id]
    renewing.renew(any_ctx, account_id)
    account, second = stored(any_ctx, account_id)
    assert account.access_until == clock.now + timedelta(hours=2)
    assert not {first["bearer_token"], first["refresh_token"]} & {*second.values()}
    assert renewing.due(any_ctx) == []
    assert collecting.open_listener(any_ctx, "x", account, {}).check().ok
    assert renewals(server) == 1


def test_two_workers_spend_one_refresh_token(
    any_ctx: Context, any_url: str, colleague: Actor, server: OAuthServer, clock: Clock
) -> None:
    account_id = connected(any_ctx, colleague, server)
    clock.forward(minutes=100)
    others = [replace(any_ctx, database=Database(any_url)) for _ in range(4)]
    ready = threading.Barrier(len(others))

    def work(ctx: Context) -> None:
        ready.wait(30)
        renewing.renew(ctx, account_id)

    workers = [threading.Thread(target=work, args=(one,)) for one in others]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    for one in others:
        one.database.dispose()
    assert renewals(server) == 1
    account, known = stored(any_ctx, account_id)
    assert account.dead_at is None
    assert known["refresh_token"] in server.refreshes


def test_who_comes_too_late_does_not_overwrite_what_is_stored_by_then(
    ctx: Context, colleague: Actor, server: OAuthServer, clock: Clock
) -> None:
    """A worker that hung for longer than its lease, and a person who connected the account anew meanwhile."""
    account_id = connected(ctx, colleague, server)
    clock.forward(minutes=100)

    def connects_anew(body: bytes) -> bytes:
        with ctx.database.transaction() as tx:
            anew = ctx.secrets.encrypt({**stored(ctx, account_id)[1], "refresh_token": "r3fresh-of-a-person"})
            rows.change_account(tx, account_id, credentials=anew)
        return body

    server.alters(connects_anew)
    renewing.renew(ctx, account_id)
    assert stored(ctx, account_id)[1]["refresh_token"] == "r3fresh-of-a-person"


@pytest.mark.parametrize("trouble", ["goes_down", "sends_web_pages", "closes", "refuses"])
def test_a_network_that_fails_is_no_end(
    ctx: Context, colleague: Actor, server: OAuthServer, clock: Clock, trouble: str
) -> None:
    account_id = connected(ctx, colleague, server)
    _, before = stored(ctx, account_id)
    clock.forward(minutes=100)
    getattr(server, trouble)()
    for _ in range(15):
        renewing.renew(ctx, account_id)
        clock.forward(minutes=3)
    account, known = stored(ctx, account_id)
    assert (account.dead_at, known) == (None, before)
    with pytest.raises(Transient, match="being renewed"):
        collecting.open_listener(ctx, "x", account, {})
    assert sources.accounts(ctx, colleague)[0].warning == ""
    server.comes_back()
    renewing.renew(ctx, account_id)
    assert collecting.open_listener(ctx, "x", stored(ctx, account_id)[0], {}).check().ok


def test_an_answer_that_is_lost_on_its_way_may_have_been_the_last(
    ctx: Context, colleague: Actor, server: OAuthServer, clock: Clock
) -> None:
    """What was spent for it is spent. It is asked with what there is, and the platform's word counts, not the cut."""
    account_id = connected(ctx, colleague, server)
    clock.forward(minutes=100)
    server.breaks_off_answers()
    renewing.renew(ctx, account_id)
    assert stored(ctx, account_id)[0].dead_at is None
    server.comes_back()
    clock.forward(minutes=3)
    renewing.renew(ctx, account_id)
    assert sources.accounts(ctx, colleague)[0].warning == "Nothing is asked with it any more. Connect it again."


def test_a_platforms_own_wait_is_heeded(ctx: Context, colleague: Actor, server: OAuthServer, clock: Clock) -> None:
    account_id = connected(ctx, colleague, server)
    clock.forward(minutes=100)
    server.rate_limits(after=0, seconds=420)
    renewing.renew(ctx, account_id)
    assert stored(ctx, account_id)[0].renew_at == clock.now + timedelta(minutes=7)


def test_a_refresh_token_that_was_taken_back_asks_to_connect_again(
    ctx: Context, colleague: Actor, server: OAuthServer, clock: Clock
) -> None:
    account_id = connected(ctx, colleague, server)
    clock.forward(minutes=100)
    server.refreshes.clear()
    renewing.renew(ctx, account_id)
    (view,) = sources.accounts(ctx, colleague)
    assert "X does not accept this permission any more" in view.check_words
    assert view.warning == "Nothing is asked with it any more. Connect it again."
    notice = sources.overview(ctx, colleague, []).notices[0]
    assert (notice.label, notice.health) == ("Ours", "problem")
    assert notice.words.endswith("Connect it again.")
    assert renewing.due(ctx) == []
    account, known = stored(ctx, account_id)
    assert known["refresh_token"], "it is not thrown away"
    for opens in (
        lambda: collecting.open_listener(ctx, "x", account, {}),
        lambda: credentials.check_access(account, clock.now),
    ):
        with pytest.raises(BadCredentials):
            opens()
    checking.ask(ctx, account)
    assert stored(ctx, account_id)[0].dead_at is not None, "access that is still good brings nothing back to life"


def test_a_source_whose_access_was_taken_back_says_to_connect_it_again(
    ctx: Context, colleague: Actor, server: OAuthServer, clock: Clock
) -> None:
    account_id = connected(ctx, colleague, server)
    source_id = sources.add(ctx, colleague, "x", "kettle", "search", "Kettles", account_id)
    server.accesses.clear()
    server.fails(Reply({"title": "Unauthorized", "status": 401}, 401))
    for _ in range(2):
        collecting.collect(ctx, source_id)
        clock.forward(minutes=6)
    (view,) = sources.list_(ctx, colleague)
    assert view.what_to_do == "Connect it again, on the page Sources."


def test_a_secret_that_was_changed_there_asks_to_connect_again(
    ctx: Context, colleague: Actor, server: OAuthServer, clock: Clock
) -> None:
    account_id = connected(ctx, colleague, server)
    clock.forward(minutes=100)
    server.apps[APP["client_id"]] = "another"
    renewing.renew(ctx, account_id)
    assert "does not know our application" in sources.accounts(ctx, colleague)[0].check_words


def test_a_refusal_that_may_mean_anything_is_believed_once_the_access_is_over(
    ctx: Context, colleague: Actor, server: OAuthServer, clock: Clock
) -> None:
    account_id = connected(ctx, colleague, server)
    clock.forward(minutes=100)
    server.answers_with = Reply({"error": "odd"}, 400)
    renewing.renew(ctx, account_id)
    account, _ = stored(ctx, account_id)
    assert account.dead_at is None
    assert account.renew_at == clock.now + renewing.AGAIN
    clock.forward(minutes=21)
    renewing.renew(ctx, account_id)
    assert stored(ctx, account_id)[0].dead_at is not None


def test_another_name_for_it_ends_no_renewal_and_a_token_by_hand_does(
    ctx: Context, colleague: Actor, server: OAuthServer, clock: Clock
) -> None:
    account_id = connected(ctx, colleague, server)
    sources.save_account(ctx, colleague, "x", "Renamed", server.url, {}, account_id)
    clock.forward(minutes=100)
    renewing.renew(ctx, account_id)
    account, known = stored(ctx, account_id)
    assert (renewals(server), account.label) == (1, "Renamed")
    assert account.connected_at is not None
    sources.save_account(ctx, colleague, "x", "Renamed", server.url, {"bearer_token": "by-hand"}, account_id)
    account, known = stored(ctx, account_id)
    assert (known["bearer_token"], known.get("refresh_token")) == ("by-hand", None)
    assert (account.connected_at, account.access_until, account.renew_at) == (None, None, None)


def test_githubs_end_of_all_renewing_is_told_and_moves_on(ctx: Context, colleague: Actor, clock: Clock) -> None:
    with OAuthServer("github", expiring=True) as server:
        account_id = connected(ctx, colleague, server)
        half_a_year = timedelta(seconds=15_897_600)
        assert sources.accounts(ctx, colleague)[0].expires_at == clock.now + half_a_year
        clock.forward(hours=7)
        renewing.renew(ctx, account_id)
        checking.ask(ctx, stored(ctx, account_id)[0])
        assert sources.accounts(ctx, colleague)[0].expires_at == clock.now + half_a_year


def test_access_that_ends_and_cannot_be_renewed_is_told_before(ctx: Context, colleague: Actor, clock: Clock) -> None:
    with OAuthServer("stackexchange") as server:
        server.answers_with = Reply({"access_token": "acc3ss-0", "expires": 86_400})
        server.accesses.add("acc3ss-0")
        entered = Entered("Ours", {**APP, "key": "a-key"}, server.url)
        journey = connecting.begin(ctx, colleague, "a session", "stackexchange", HERE, entered)
        back = server.consent(connecting.look(ctx, colleague, "a session", journey).url)
        connecting.returned(ctx, colleague, "a session", back)
        requests.serve(ctx, connecting.look(ctx, colleague, "a session", journey).request_id or 0)
        (view,) = sources.accounts(ctx, colleague)
        assert (view.connected, view.renews_at) == (True, None)
        clock.forward(days=1)
        with pytest.raises(BadCredentials, match="has ended"):
            collecting.open_listener(ctx, "stackexchange", stored(ctx, view.id)[0], {})


# A worker that is killed ----------------------------------------------------------------------------------------------

WORKS = """
import sys
from pathlib import Path
from db.engine import Database
from dialogue import renewing, requests
from dialogue.context import Context
from tests.conftest import PlainSecrets

ctx = Context(Database(sys.argv[1]), Path("."), PlainSecrets(), allow_private_hosts=True)
{"renew": renewing.renew, "serve": requests.serve}[sys.argv[2]](ctx, int(sys.argv[3]))
print("done")
"""


def killed(url: str, point: str, what: str, id_: int) -> None:
    """A worker that does `what` and dies at `point`."""
    died = subprocess.run(
        [sys.executable, "-c", WORKS, url, what, str(id_)],
        cwd=ROOT, env=os.environ | {"SAMTAL_CHAOS_POINT": point}, capture_output=True, timeout=90, check=False,
    )  # fmt: skip
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    assert b"done" not in died.stdout


@pytest.mark.parametrize(
    ("point", "asked", "alive"), [("renew.claimed", 1, True), ("renew.given", 2, False), ("renew.kept", 1, True)]
)
def test_a_worker_killed_on_the_way_leaves_access_or_a_clear_word(
    any_ctx: Context, any_url: str, colleague: Actor, server: OAuthServer, clock: Clock,
    point: str, asked: int, alive: bool,
) -> None:  # fmt: skip
    """Killed after the platform gave and before it was stored, both are lost: then it must be connected again."""
    account_id = connected(any_ctx, colleague, server)
    clock.forward(minutes=100)
    killed(any_url, point, "renew", account_id)
    with any_ctx.database.transaction() as tx:  # the killed worker's clock was the machine's
        account = stored(any_ctx, account_id)[0]
        assert account.renew_at is not None
        claimed = account.access_until == clock.now + timedelta(minutes=20)
        rows.change_account(tx, account_id, renew_at=clock.now + renewing.LEASE if claimed else account.renew_at)
    renewing.renew(any_ctx, account_id)
    assert renewals(server) == asked - (point != "renew.kept"), "within the lease nobody else is at it"
    clock.forward(minutes=3)
    renewing.renew(any_ctx, account_id)
    assert renewals(server) == asked
    (view,) = sources.accounts(any_ctx, colleague)
    assert view.warning == ("" if alive else "Nothing is asked with it any more. Connect it again.")
    if alive:
        assert stored(any_ctx, account_id)[1]["refresh_token"] in server.refreshes


@pytest.mark.parametrize("point", ["oauth.spent", "oauth.given", "oauth.kept"])
def test_a_worker_killed_while_it_connects_leaves_an_account_or_a_clear_word(
    any_ctx: Context, any_url: str, colleague: Actor, server: OAuthServer, clock: Clock, point: str
) -> None:
    journey = connecting.begin(any_ctx, colleague, "a session", "x", HERE, Entered("Ours", APP, server.url))
    back = server.consent(connecting.look(any_ctx, colleague, "a session", journey).url)
    connecting.returned(any_ctx, colleague, "a session", back)
    request_id = connecting.look(any_ctx, colleague, "a session", journey).request_id or 0
    killed(any_url, point, "serve", request_id)
    clock.forward(days=7)  # past the lease, which the killed worker took by the machine's clock
    requests.serve(any_ctx, request_id)
    view = requests.get(any_ctx, request_id)
    if point == "oauth.kept":
        assert "X is connected." in view.words
        assert len(sources.accounts(any_ctx, colleague)) == 1
    else:
        assert (view.state, view.error) == ("failed", connecting.CUT_OFF)
        assert sources.accounts(any_ctx, colleague) == []
