"""The way in by OAuth against a platform that speaks each one's own wire format, and every odd answer it may give."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from listeners import oauth, registry
from listeners.base import BadCredentials, ListeningError, Options, Terminal, Transient
from listeners.oauth import Granted
from tests.listeners.fake_oauth import APP, OAuthServer
from tests.listeners.fake_server import Reply

PLATFORMS = [name for name, one in registry.capabilities().items() if one.oauth]
BACK = "http://127.0.0.1:8501/oauth/callback"
FIELDS = {"instance": "social.example.com", "key": "a-key-of-ours"}


@pytest.fixture(params=PLATFORMS)
def server(request: pytest.FixtureRequest) -> Iterator[OAuthServer]:
    with OAuthServer(request.param) as server:
        yield server


@pytest.fixture
def x() -> Iterator[OAuthServer]:
    with OAuthServer("x") as server:
        yield server


def options(server: OAuthServer) -> Options:
    return Options(server.url, 2.0, allow_private_hosts=True)


def entered(server: OAuthServer) -> dict[str, str]:
    """What a person enters before they go there."""
    return {name: {**FIELDS, **APP}[name] for name in (*server.flow.asks, *server.flow.may_ask)}


def granted(server: OAuthServer, account: dict[str, str] | None = None) -> Granted:
    """The whole way, with a person who says yes."""
    capability, account = registry.capability(server.platform), account or entered(server)
    started = oauth.start(capability, account, options(server), BACK, "st4te")
    back = server.consent(started.url)
    assert back["state"] == "st4te"
    return oauth.finish(capability, account, options(server), started.kept, back["code"])


def renewed(server: OAuthServer, account: dict[str, str]) -> Granted:
    return oauth.refresh(registry.capability(server.platform), account, options(server))


def test_what_the_platform_gives_is_what_its_listener_takes(server: OAuthServer) -> None:
    account = {**entered(server), **granted(server).credentials}
    assert server.flow.access in account or server.flow.refresh in account
    health = registry.open(server.platform, account, options(server)).check()
    assert health.ok
    assert health.account is not None
    assert "acme" in health.account.handle.lower()


def test_the_platforms_own_page_is_asked_where_no_other_address_is_given() -> None:
    for name in PLATFORMS:
        flow = registry.capability(name).oauth
        assert flow is not None
        if flow.register_path:
            assert flow.site is not None
            assert flow.site({"instance": "social.example.com"}) == "https://social.example.com"
            continue
        started = oauth.start(registry.capability(name), {**FIELDS, **APP}, Options(), BACK, "st4te")
        asked = parse_qs(urlsplit(started.url).query)
        assert started.url.startswith(f"{flow.authorize_url}?")
        assert asked["redirect_uri"] == [BACK]
        assert APP["client_secret"] not in started.url
        assert started.kept.get("code_verifier", "none there") not in started.url


@pytest.mark.parametrize("base", ["https://api.acme.ghe.example", "https://acme.ghe.example/api/v3"])
def test_a_server_of_ones_own_has_its_page_beside_its_api(base: str) -> None:
    started = oauth.start(registry.capability("github"), APP, Options(base), BACK, "st4te")
    assert started.url.startswith("https://acme.ghe.example/login/oauth/authorize?")


def test_what_is_passed_around_shows_nothing(server: OAuthServer) -> None:
    capability, account = registry.capability(server.platform), entered(server)
    started = oauth.start(capability, account, options(server), BACK, "st4te")
    given = oauth.finish(capability, account, options(server), started.kept, server.consent(started.url)["code"])
    assert "st4te" not in repr(started)
    assert "acc3ss" not in repr(given)
    assert "r3fresh" not in repr(given)


def test_a_code_is_good_once(server: OAuthServer) -> None:
    capability, account = registry.capability(server.platform), entered(server)
    started = oauth.start(capability, account, options(server), BACK, "st4te")
    code = server.consent(started.url)["code"]
    oauth.finish(capability, account, options(server), started.kept, code)
    with pytest.raises(BadCredentials, match="does not accept this permission any more"):
        oauth.finish(capability, account, options(server), started.kept, code)


def test_another_verifier_opens_nothing(server: OAuthServer) -> None:
    if not server.flow.pkce:
        return
    capability, account = registry.capability(server.platform), entered(server)
    started = oauth.start(capability, account, options(server), BACK, "st4te")
    stolen = {**started.kept, "code_verifier": "v" * 64}
    with pytest.raises(BadCredentials):
        oauth.finish(capability, account, options(server), stolen, server.consent(started.url)["code"])


def test_a_wrong_secret_is_told_as_that(server: OAuthServer) -> None:
    account = entered(server)
    if "client_secret" not in account:
        return  # the platform has just given it itself
    capability = registry.capability(server.platform)
    started = oauth.start(capability, account, options(server), BACK, "st4te")
    wrong = {**account, "client_secret": "an0ther-secret-altogether"}
    with pytest.raises(BadCredentials, match="does not know our application") as caught:
        oauth.finish(capability, wrong, options(server), started.kept, server.consent(started.url)["code"])
    assert "an0ther" not in told(caught.value)


@pytest.mark.parametrize("platform", ["x", "github"])
def test_each_renewal_gives_the_next_refresh_token_and_ends_the_one_before(platform: str) -> None:
    with OAuthServer(platform, expiring=True) as server:
        first = granted(server)
        assert first.renews
        account = {**entered(server), **first.credentials}
        second = renewed(server, account)
        assert second.lasts == {"x": 7_200.0, "github": 28_800.0}[platform]
        assert second.credentials[server.flow.refresh] != first.credentials[server.flow.refresh]
        assert registry.open(platform, {**account, **second.credentials}, options(server)).check().ok
        with pytest.raises(BadCredentials):
            renewed(server, account)


def test_access_without_an_end_is_not_renewed() -> None:
    with OAuthServer("github") as server:
        given = granted(server)
        assert (given.lasts, given.renews) == (None, False)
        with pytest.raises(BadCredentials, match="nothing left to renew"):
            renewed(server, {**entered(server), **given.credentials})


def test_a_refresh_token_that_is_left_out_at_a_second_consent_is_the_one_before() -> None:
    with OAuthServer("youtube") as server:
        account = {**entered(server), **granted(server).credentials}
        server.leaves_out_refresh = True
        assert granted(server, account).credentials == {"refresh_token": account["refresh_token"]}
        with pytest.raises(Terminal, match="gave no refresh token") as caught:
            granted(server)
        assert "connect it again" in caught.value.what_to_do


def test_a_refresh_token_that_is_left_out_at_a_renewal_stays_good(x: OAuthServer) -> None:
    account = {**entered(x), **granted(x).credentials}
    x.answers_with = Reply({"access_token": "acc3ss-again", "expires_in": 7_200})
    given = renewed(x, account)
    assert given.credentials == {"bearer_token": "acc3ss-again", "refresh_token": account["refresh_token"]}
    assert given.renews


def test_a_public_client_names_itself_in_the_form(x: OAuthServer) -> None:
    x.answers_with = Reply({"access_token": "acc3ss", "refresh_token": "r3fresh", "expires_in": 7_200})
    oauth.refresh(registry.capability("x"), {"client_id": "samtal", "refresh_token": "r"}, options(x))
    request = x.requests[-1]
    assert "authorization" not in request.headers
    assert request.form() == {"client_id": "samtal", "grant_type": "refresh_token", "refresh_token": "r"}


HTML = Reply(b"<!doctype html><title>One moment</title>", 200, {"Content-Type": "text/html"})
ODD: list[tuple[Reply, type[ListeningError], str]] = [
    (HTML, Transient, "web page"),
    (Reply(HTML.body, 403, HTML.headers), Transient, "web page"),
    (Reply(HTML.body, 503, HTML.headers), Transient, "out of order"),
    (Reply(b"", 302, {"Location": "https://elsewhere.example"}), Transient, "empty"),
    (Reply(b'{"access_tok'), Transient, "breaks off"),
    (Reply([]), Transient, "no access token"),
    (Reply({"access_token": 7}), Transient, "no access token"),
    (Reply({"access_token": "a b\n"}), Transient, "no access token"),
    (Reply({"access_token": "x" * 5_001}), Transient, "no access token"),
    (Reply({"error": "slow down"}, 429, {"Retry-After": "7"}), Transient, "too many requests"),
    (Reply({"error": "temporarily_unavailable"}, 400), Transient, "could not say"),
    (Reply({"message": "Not allowed"}, 403), Transient, "could not say"),
    (Reply({"error": {"type": 7}}, 400), Terminal, "refused to give us leave"),
    (Reply({"error": "odd_one", "error_description": "The\nredirect\x00 URI."}), Terminal, "odd_one"),
    (Reply({"access_token": "a", "expires_in": 7_200}), Terminal, "no refresh token"),
]  # fmt: skip


@pytest.mark.parametrize(("reply", "kind", "words"), ODD)
def test_an_odd_answer_is_told_and_taken_for_no_leave(
    x: OAuthServer, reply: Reply, kind: type[ListeningError], words: str
) -> None:
    x.answers_with = reply
    with pytest.raises(kind, match=words) as caught:
        granted(x)
    assert not isinstance(caught.value, BadCredentials)


def test_a_wait_is_the_platforms_own(x: OAuthServer) -> None:
    x.answers_with = Reply({"error": "slow down"}, 429, {"Retry-After": "7"})
    with pytest.raises(Transient) as caught:
        renewed(x, {**APP, "refresh_token": "r3fresh-0"})
    assert caught.value.retry_after == 7.0


@pytest.mark.parametrize("lasts", [None, True, -1, "soon", 10**12, "", [7_200]])
def test_a_nonsensical_time_is_none(x: OAuthServer, lasts: Any) -> None:
    x.answers_with = Reply({"access_token": "acc3ss", "refresh_token": "r3fresh", "expires_in": lasts})
    assert granted(x).lasts is None


def test_a_platform_that_repeats_what_it_was_sent_gives_nothing_away(server: OAuthServer) -> None:
    account = {**entered(server), "refresh_token": "r3fresh-of-ours"}
    capability = registry.capability(server.platform)
    started = oauth.start(capability, account, options(server), BACK, "st4te")
    code = server.consent(started.url)["code"]
    heard: list[str] = []

    def repeats(body: bytes) -> bytes:
        request = server.requests[-1]
        heard.append(f"{request.headers} {request.body.decode()}")
        return b'{"error": "odd", "error_description": "' + heard[-1].replace('"', "").encode() + b'"}'

    server.alters(repeats)
    asking: list[Callable[[], Granted]] = [
        lambda: oauth.finish(capability, account, options(server), started.kept, code),
        lambda: renewed(server, account),
    ]
    for ask in asking:
        with pytest.raises(ListeningError) as caught:
            ask()
        for secret in (code, "r3fresh-of-ours", started.kept.get("code_verifier"), account.get("client_secret")):
            assert not secret or secret not in told(caught.value)


def told(error: BaseException) -> str:
    """Whatever a log would show of it."""
    return "".join(traceback.format_exception(error)) + getattr(error, "what_to_do", "")
