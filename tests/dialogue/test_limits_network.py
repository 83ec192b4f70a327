"""True refusals of a real Bluesky server (429): told as a wait with its end, and obeyed."""

from __future__ import annotations

import secrets
from datetime import timedelta

import httpx
import pytest

from dialogue import requests, sources
from dialogue.context import Actor, Context
from tests.conftest import Clock
from tests.dialogue.test_faults import World, feeds, says, world
from tests.pages.conftest import Opened, _no_cache_survives, open_page

__all__ = ["_no_cache_survives", "feeds", "open_page", "world"]  # fixtures of other tests, used here too

pytestmark = pytest.mark.real_network

PDS = "http://localhost:2683"
"""A server with its limits on: `node pds-only.mjs` of ../shared/tools/at-network, without an index."""


@pytest.fixture
def account() -> dict[str, str]:
    """An account of ours there, as it is connected."""
    try:
        httpx.get(f"{PDS}/xrpc/_health", timeout=3, trust_env=False)
    except httpx.HTTPError:
        pytest.skip(
            f"no Bluesky server with its limits on answers at {PDS}; ../shared/tools/at-network has pds-only.mjs"
        )
    handle, password = f"busy{secrets.token_hex(4)}.test", secrets.token_urlsafe(12)
    made = {"handle": handle, "email": f"{handle}@example.com", "password": password}
    _call("com.atproto.server.createAccount", made).raise_for_status()
    return {"handle": handle, "app_password": password}


def _call(method: str, data: dict[str, str]) -> httpx.Response:
    return httpx.post(f"{PDS}/xrpc/{method}", json=data, timeout=30, trust_env=False)


def _until_it_is_too_much(handle: str) -> httpx.Response:
    """Somebody tries to sign in with our name, again and again: 30 times in 5 minutes are allowed."""
    for _ in range(40):
        answer = _call("com.atproto.server.createSession", {"identifier": handle, "password": "wrong"})
        if answer.status_code == 429:
            return answer
    raise AssertionError("the server never refused")


def test_a_true_429_is_a_wait_that_the_page_shows_and_nobody_asks_before_its_end(
    world: World, account: dict[str, str], open_page: Opened, clock: Clock, ctx: Context, colleague: Actor
) -> None:
    refused = _until_it_is_too_much(account["handle"])
    assert "retry-after" not in refused.headers, "it names the moment alone"
    account_id = world.account("bluesky", PDS, account)
    sick = world.listens("bluesky", "kettle", "search", "Kettles", account_id)
    world.works()
    found = world.source(sick)
    assert found.health == "waiting"
    assert found.words.startswith("Bluesky had too many requests from us (429) until ")
    assert found.words.endswith("It is tried again by itself.")
    assert found.next_run_at is not None
    assert timedelta(seconds=60) < found.next_run_at - clock() <= timedelta(minutes=5, seconds=5)
    assert says(open_page("sources"), found.words)

    clock.now = found.next_run_at - timedelta(seconds=1)
    world.works()
    assert len(sources.runs(ctx, colleague, sick)) == 1, "not asked before"
    requests.serve(ctx, sources.request_account_test(ctx, colleague, account_id))
    (view,) = [one for one in sources.accounts(ctx, colleague) if one.id == account_id]
    assert view.check_ok is not False, "a limit says nothing about the password"
    world.the_rest_goes_on()
