"""The whole way to a platform and back, through the real application: who may, once, in time, nothing given away."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from db import connecting as rows
from db import sources as source_rows
from db.connecting import ConnectingRow
from db.sources import AccountRow
from dialogue import accounts, connecting, requests, sources
from dialogue.connecting import Entered
from dialogue.context import Actor, Context, DialogueError, Missing, NotAllowed, Role
from dialogue.secrets import SecretBox
from listeners import registry
from tests.api.site import browser, first_admin, invited
from tests.conftest import Clock, RecordedTriggers
from tests.listeners.fake_oauth import APP, OAuthServer
from tests.worlds import look

HERE = "http://127.0.0.1:8501"
PLATFORMS = [name for name, one in registry.capabilities().items() if one.oauth]
FIELDS = {"instance": "social.example.com", "key": "a-key-of-ours"}


@dataclass
class Way:
    """An administrator, her browser, and a platform that lets people in."""

    ctx: Context
    server: OAuthServer
    ada: Actor = field(init=False)
    session: str = field(init=False)
    client: TestClient = field(init=False)

    def __post_init__(self) -> None:
        self.ada, self.session = first_admin(self.ctx)
        self.client = browser(self.ctx, self.session)

    def goes(self, account_id: int | None = None, **values: str) -> tuple[int, str]:
        """She begins: the journey, and the page that she is led to."""
        flow = self.server.flow
        asked = {name: {**FIELDS, **APP}[name] for name in (*flow.asks, *flow.may_ask)} if account_id is None else {}
        entered = Entered("Ours", {**asked, **values}, self.server.url, account_id)
        journey = connecting.begin(self.ctx, self.ada, self.session, self.server.platform, HERE, entered)
        begun = self.looks(journey)
        if begun.request_id is not None:
            requests.serve(self.ctx, begun.request_id)
        return journey, self.looks(journey).url

    def looks(self, journey: int) -> connecting.Journey:
        return connecting.look(self.ctx, self.ada, self.session, journey)

    def comes_back(self, answer: dict[str, str]) -> str:
        """Her browser follows the platform's redirect: where it is led."""
        response = self.client.get(connecting.CALLBACK, params=answer)
        assert response.status_code == 303
        assert response.headers["cache-control"] == "no-store"
        return response.headers["location"]

    def finishes(self, journey: int) -> requests.RequestView:
        """The worker does its part."""
        request_id = self.looks(journey).request_id
        assert request_id is not None
        requests.serve(self.ctx, request_id)
        return requests.get(self.ctx, request_id)

    def connects(self, account_id: int | None = None, **values: str) -> requests.RequestView:
        """All of it."""
        journey, url = self.goes(account_id, **values)
        assert self.comes_back(self.server.consent(url)) == f"/sources?connect={journey}"
        return self.finishes(journey)

    def stored(self) -> tuple[AccountRow, dict[str, str]]:
        """The one account that there is, and its credentials."""
        with self.ctx.database.reading() as tx:
            (account,) = source_rows.accounts(tx)
        return account, self.ctx.secrets.decrypt(account.credentials)

    def row(self, journey: int) -> ConnectingRow:
        with self.ctx.database.reading() as tx:
            row = rows.get(tx, journey)
        assert row is not None
        return row


@pytest.fixture
def server() -> Iterator[OAuthServer]:
    with OAuthServer("x") as server:
        yield server


@pytest.fixture
def way(ctx: Context, server: OAuthServer) -> Way:
    return Way(ctx, server)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_an_account_is_connected_without_anything_pasted(ctx: Context, platform: str, clock: Clock) -> None:
    with OAuthServer(platform) as server:
        way = Way(ctx, server)
        done = way.connects()
        assert (done.state, done.error) == ("done", "")
        assert done.words.startswith(f"{registry.capability(platform).title} is connected.")
        assert "acme" in done.words.lower()
        account, known = way.stored()
    assert known[server.flow.access or server.flow.refresh]
    assert not {"code_verifier", "redirect_uri", "code"} & known.keys()
    assert (account.label, account.check_ok, account.connected_at) == ("Ours", True, clock.now)
    (view,) = sources.accounts(ctx, way.ada)
    assert view.connected
    assert view.warning == ""
    assert (view.renews_at is not None) == (platform == "x")
    assert look(ctx, "SELECT subject, detail FROM audit WHERE action = 'connected'")[0][0] == "account"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"error": "access_denied"}, "X was told not to let Samtal in. Nothing has changed here."),
        ({"error": "invalid_scope", "error_description": "No\nsuch scope."}, "(invalid_scope): No such scope."),
        ({"code": ""}, "neither leave nor a refusal"),
        ({"code": "a b"}, "neither leave nor a refusal"),
    ],
)
def test_what_is_no_leave_is_said_and_changes_nothing(way: Way, answer: dict[str, str], words: str) -> None:
    journey, url = way.goes()
    state = way.server.consent(url)["state"]
    assert way.comes_back({**answer, "state": state}) == f"/sources?connect={journey}"
    assert words in connecting.told(way.ctx, way.ada, way.session, str(journey)).words
    assert sources.accounts(way.ctx, way.ada) == []
    assert way.ctx.secrets.decrypt(way.row(journey).sealed) == {}


@pytest.mark.parametrize("state", ["", "made-up", "x" * 5_000, "\u0000"])
def test_a_wrong_state_opens_nothing(way: Way, state: str) -> None:
    journey, url = way.goes()
    assert way.comes_back({**way.server.consent(url), "state": state}) == "/sources?connect=unknown"
    assert connecting.told(way.ctx, way.ada, way.session, "unknown").words == connecting.NOT_OURS
    assert way.row(journey).stage == "sent", "the true one may still come"


def test_a_way_begun_in_one_session_ends_in_no_other(way: Way, ctx: Context) -> None:
    """Somebody who is sent a link with a stranger's code must not work in the stranger's account."""
    journey, url = way.goes()
    back = way.server.consent(url)
    grace, hers = invited(ctx, way.ada, "grace", Role.ADMIN)
    answer = browser(ctx, hers).get(connecting.CALLBACK, params=back)
    assert answer.headers["location"] == "/sources?connect=unknown"
    with pytest.raises(Missing):
        connecting.look(ctx, grace, hers, journey)
    anew = accounts.sign_in(ctx, "ada", "correct horse battery", "127.0.0.1", "", None)
    answer = browser(ctx, anew).get(connecting.CALLBACK, params=back)
    assert answer.headers["location"] == "/sources?connect=unknown"
    assert way.row(journey).stage == "sent"


def test_after_a_quarter_of_an_hour_it_is_too_late(way: Way, clock: Clock) -> None:
    journey, url = way.goes()
    back = way.server.consent(url)
    clock.forward(minutes=15)
    assert way.looks(journey).url == ""
    assert way.comes_back(back) == f"/sources?connect={journey}"
    assert connecting.told(way.ctx, way.ada, way.session, str(journey)).words == connecting.LATE
    clock.forward(hours=2)
    connecting.tidy(way.ctx)
    assert connecting.told(way.ctx, way.ada, way.session, str(journey)).words == connecting.NOT_OURS


def test_coming_back_twice_is_coming_back_once(way: Way, triggers: RecordedTriggers) -> None:
    journey, url = way.goes()
    back = way.server.consent(url)
    way.comes_back(back)
    assert way.comes_back(back) == f"/sources?connect={journey}"
    assert way.comes_back({**back, "code": "an0ther-code"}) == f"/sources?connect={journey}"
    assert len(triggers.served) == 1
    assert way.finishes(journey).state == "done"
    assert way.comes_back(back) == f"/sources?connect={journey}"
    assert len(look(way.ctx, "SELECT id FROM worker_requests WHERE kind = 'oauth_finish'")) == 1
    assert len(sources.accounts(way.ctx, way.ada)) == 1


def test_a_stranger_is_led_to_the_sign_in_and_the_code_stays_behind(way: Way, ctx: Context) -> None:
    _, url = way.goes()
    back = way.server.consent(url)
    answer = browser(ctx).get(connecting.CALLBACK, params=back)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=/sources")
    assert back["code"] not in answer.text


def test_only_an_administrator_connects(way: Way, ctx: Context, server: OAuthServer) -> None:
    grace, hers = invited(ctx, way.ada, "grace", Role.APPROVER)
    with pytest.raises(NotAllowed):
        connecting.begin(ctx, grace, hers, "x", HERE, Entered("Ours", APP))
    answer = browser(ctx, hers).get(connecting.CALLBACK, params={"state": "s", "code": "c"})
    assert answer.headers["location"] == "/sources?connect=unknown"
    assert connecting.told(ctx, grace, hers, "unknown").words == "Only an administrator connects accounts."


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "OPTIONS"])
def test_it_is_only_got(way: Way, method: str) -> None:
    journey, url = way.goes()
    answer = way.client.request(method, connecting.CALLBACK, params=way.server.consent(url))
    assert answer.status_code == 405
    assert way.row(journey).stage == "sent"


def test_nothing_that_comes_with_it_leads_elsewhere(way: Way) -> None:
    journey, url = way.goes()
    elsewhere = dict.fromkeys(("next", "redirect_uri", "return_to", "error_uri"), "https://evil.example")
    back = {"state": way.server.consent(url)["state"], "error": "//evil.example", "error_description": "<b>x</b>"}
    assert way.comes_back({**back, **elsewhere}) == f"/sources?connect={journey}"


@pytest.mark.parametrize("value", ["", "7", "-1", "9" * 19, "unknown", "1 OR 1=1", "\x00", "javascript:alert(1)"])
def test_what_somebody_made_up_is_told_as_that(way: Way, value: str) -> None:
    assert connecting.told(way.ctx, way.ada, way.session, value).words == connecting.NOT_OURS


# What the worker does -------------------------------------------------------------------------------------------------


def test_a_code_that_the_platform_refuses_is_told_and_asks_to_begin_again(way: Way) -> None:
    journey, url = way.goes()
    way.comes_back(way.server.consent(url) | {"code": "an0ther-code"})
    ended = way.finishes(journey)
    assert ended.state == "failed"
    assert ended.what_to_do == "Connect it again."
    assert "an0ther" not in ended.error
    assert sources.accounts(way.ctx, way.ada) == []


def test_a_platform_that_is_away_is_told_and_the_code_is_not_tried_again(way: Way) -> None:
    journey, url = way.goes()
    way.comes_back(way.server.consent(url))
    way.server.goes_down()
    ended = way.finishes(journey)
    assert (ended.state, ended.what_to_do) == ("failed", "X lets a code be used once: begin again.")
    assert way.row(journey).stage == "spent"
    assert way.ctx.secrets.decrypt(way.row(journey).sealed) == {}


def test_an_account_stands_also_where_the_platform_does_not_say_who_we_are(way: Way) -> None:
    journey, url = way.goes()
    way.comes_back(way.server.consent(url))
    tokens = way.server.flow.token_url
    way.server.alters(lambda body: body if way.server.requests[-1].path in tokens else b"<html>")
    done = way.finishes(journey)
    assert done.state == "done"
    assert "asked again by itself" in done.words
    assert way.stored()[1]["refresh_token"]


def test_connecting_again_keeps_the_refresh_token_that_google_leaves_out(ctx: Context) -> None:
    with OAuthServer("youtube") as server:
        way = Way(ctx, server)
        way.connects()
        account, before = way.stored()
        server.leaves_out_refresh = True
        assert way.connects(account.id).state == "done"
        assert way.stored()[1] == before
        server.apps["another-app"] = "an0ther-secret"
        refused = way.connects(account.id, client_id="another-app", client_secret="an0ther-secret")
        assert "gave no refresh token" in refused.error
        assert way.stored()[1] == before, "what does not come about changes nothing"


def test_a_refresh_token_that_was_renewed_on_the_way_is_not_overwritten_with_the_older(ctx: Context) -> None:
    with OAuthServer("youtube") as server:
        way = Way(ctx, server)
        way.connects()
        account, before = way.stored()
        journey, url = way.goes(account.id)
        with ctx.database.transaction() as tx:
            newer = ctx.secrets.encrypt({**before, "refresh_token": "r3fresh-newer"})
            source_rows.change_account(tx, account.id, credentials=newer)
        server.refreshes.add("r3fresh-newer")
        server.leaves_out_refresh = True
        way.comes_back(server.consent(url))
        assert way.finishes(journey).state == "done"
        assert way.stored()[1]["refresh_token"] == "r3fresh-newer"


def test_another_application_needs_its_own_secret(way: Way) -> None:
    with OAuthServer("github") as server:
        way.server = server
        way.connects()
        account, _ = way.stored()
        with pytest.raises(DialogueError, match="GitHub needs Client secret"):
            way.goes(account.id, client_id="another-app")


def test_what_belonged_to_another_way_in_goes(ctx: Context) -> None:
    with OAuthServer("reddit") as server:
        way = Way(ctx, server)
        by_hand = {**APP, "username": "acme_help", "password": "a-passw0rd-of-ours"}
        account_id = sources.save_account(ctx, way.ada, "reddit", "Ours", server.url, by_hand)
        assert way.connects(account_id).state == "done"
        assert way.stored()[1].keys() == {"client_id", "client_secret", "refresh_token"}
        sources.save_account(ctx, way.ada, "reddit", "Renamed", server.url, {}, account_id)
        assert way.stored()[0].connected_at is not None, "a new name is no new way in"
        sources.save_account(ctx, way.ada, "reddit", "Ours", server.url, by_hand, account_id)
        account, known = way.stored()
        assert known == by_hand
        assert account.connected_at is None


def test_an_account_that_was_removed_meanwhile_does_not_come_back(way: Way) -> None:
    way.connects()
    account, _ = way.stored()
    journey, url = way.goes(account.id)
    way.comes_back(way.server.consent(url))
    sources.remove_account(way.ctx, way.ada, account.id)
    assert way.finishes(journey).state == "failed"
    assert sources.accounts(way.ctx, way.ada) == []


def test_what_is_missing_is_named_and_a_wrong_server_refused(way: Way) -> None:
    with pytest.raises(DialogueError, match="X needs Client id"):
        connecting.begin(way.ctx, way.ada, way.session, "x", HERE, Entered("Ours", {"client_secret": "s"}))
    for server in ("ftp://x.example", "https://", "http://[", "x.example"):
        with pytest.raises(DialogueError, match="name a host"):
            connecting.begin(way.ctx, way.ada, way.session, "x", HERE, Entered("Ours", APP, server))
    with pytest.raises(DialogueError, match="Sign in"):
        connecting.begin(way.ctx, way.ada, None, "x", HERE, Entered("Ours", APP))
    with pytest.raises(Missing, match="by hand"):
        connecting.begin(way.ctx, way.ada, way.session, "bluesky", HERE, Entered("Ours", APP))
    with pytest.raises(Missing):
        connecting.begin(way.ctx, way.ada, way.session, "nowhere", HERE, Entered("Ours", APP))


# The way back ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("platform", "public", "here", "address", "problem"),
    [
        ("x", None, "http://127.0.0.1:8501", "http://127.0.0.1:8501/oauth/callback", ""),
        ("x", None, "http://localhost:8501", "", "Open Samtal at http://127.0.0.1:8501 first"),
        ("github", None, "http://localhost:8501", "http://localhost:8501/oauth/callback", ""),
        ("youtube", None, "http://192.168.7.7:8501", "", "https only"),
        ("mastodon", None, "http://192.168.7.7:8501", "http://192.168.7.7:8501/oauth/callback", ""),
        ("x", "https://samtal.example", "https://samtal.example", "https://samtal.example/oauth/callback", ""),
        ("x", "https://samtal.example", "http://127.0.0.1:8501", "", "Open Samtal at https://samtal.example first"),
        ("x", "https://samtal.example", "", "https://samtal.example/oauth/callback", ""),
        ("x", None, "", "", "PUBLIC_URL"),
    ],
)  # fmt: skip
def test_people_are_sent_back_to_where_their_session_is(
    ctx: Context, platform: str, public: str | None, here: str, address: str, problem: str
) -> None:
    back = connecting.way_back(replace(ctx, public_url=public), platform, here)
    assert problem in back.problem
    assert bool(problem) == bool(back.problem)
    assert not address or back.address == address


# What nobody sees -----------------------------------------------------------------------------------------------------


def test_neither_the_disk_nor_a_log_nor_a_page_holds_what_was_passed_around(
    ctx: Context, server: OAuthServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore"):  # as the worker does
        logging.getLogger(name).setLevel(logging.WARNING)
    way = Way(replace(ctx, secrets=SecretBox("k" * 32)), server)
    journey, url = way.goes()
    back = way.server.consent(url)
    verifier = _carried(way, journey)
    shown = [repr(way.looks(journey)), way.comes_back(back)]
    shown.append(_everything(tmp_path))
    shown += [repr(way.finishes(journey)), repr(sources.accounts(way.ctx, way.ada)), _everything(tmp_path)]
    shown += [one.getMessage() for one in caplog.records if one.name != "httpx2"]  # the browser of this test
    known = way.stored()[1]
    given = [known["bearer_token"], known["refresh_token"]]
    for secret in (back["code"], back["state"], verifier, APP["client_secret"], *given):
        assert secret
        assert secret not in "".join(shown)


def _carried(way: Way, journey: int) -> str:
    carried: dict[str, Any] = way.ctx.secrets.decrypt(way.row(journey).sealed)
    return str(carried["kept"]).split('"code_verifier": "')[1].split('"')[0]


def _everything(folder: Path) -> str:
    return "".join(path.read_bytes().decode("latin-1") for path in folder.glob("samtal.db*"))
