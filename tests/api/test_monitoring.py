"""Liveness for all, figures for those with a credential."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from db import budgets, workers
from db.tables import PlatformAccount
from dialogue import accounts
from dialogue.context import Context
from tests.api.site import browser, first_admin
from tests.conftest import Clock
from tests.worlds import add_source, post, said, store, tag


def beat(ctx: Context) -> None:
    with ctx.database.transaction() as tx:
        workers.beat(tx, "w1", ctx.clock(), ctx.clock(), "1")


def test_health_says_whether_a_worker_lives(any_ctx: Context, clock: Clock) -> None:
    client = browser(any_ctx)
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert "No worker has started yet" in answer.json()["worker"]
    beat(any_ctx)
    answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "database": "ok", "worker": "ok"}
    clock.forward(minutes=5)
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert "5 minutes" in answer.json()["worker"]


def test_health_says_when_the_database_is_gone(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("db.engine.reachable", lambda _: "unable to open database file /secret/path")
    answer = browser(ctx).get("/healthz")
    assert answer.status_code == 503
    assert answer.json()["database"] == "does not answer"
    assert "secret" not in answer.text


def test_a_probe_may_use_any_name_for_this_machine(ctx: Context) -> None:
    assert browser(ctx).get("/healthz", headers={"Host": "samtal.internal"}).status_code == 503


def test_metrics_need_a_credential(ctx: Context) -> None:
    ada, session = first_admin(ctx)
    assert browser(ctx).get("/metrics").status_code == 401
    assert browser(ctx, session).get("/metrics").status_code == 200
    token = accounts.create_token(ctx, ada, "prometheus")
    assert browser(ctx).get("/metrics", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_metrics_count_what_is_there(any_ctx: Context, clock: Clock) -> None:
    _, session = first_admin(any_ctx)
    store(any_ctx, post("p1", platform="bluesky"), post("p2", platform="bluesky"))
    tag(any_ctx, said())
    store(any_ctx, post("p3", platform="bluesky"))
    source = add_source(any_ctx, failures=4, last_success_at=clock())
    beat(any_ctx)
    clock.forward(seconds=30)
    lines = browser(any_ctx, session).get("/metrics").text.splitlines()
    assert 'samtal_mentions{platform="bluesky"} 2.0' in lines
    assert "samtal_mentions_untagged 1.0" in lines
    assert f'samtal_source_failures{{platform="forum",source="{source}",state="active"}} 4.0' in lines
    assert f'samtal_source_silence_seconds{{platform="forum",source="{source}"}} 30.0' in lines
    assert "samtal_worker_silence_seconds 30.0" in lines


def test_metrics_tell_what_platforms_still_allow(any_ctx: Context, clock: Clock) -> None:
    _, session = first_admin(any_ctx)
    source = add_source(any_ctx, next_run_at=clock(), posts_per_hour=2.5)
    with any_ctx.database.transaction() as tx:
        row = budgets.opened(tx, "forum", "account 1", "search")
        budgets.write(tx, replace(row, remaining=42, quota=100, resets_at=clock() + timedelta(hours=1)))
        tx.session.add(
            PlatformAccount(
                platform="forum",
                label="Us",
                credentials=b"",
                created_at=clock(),
                expires_at=clock() + timedelta(days=1),
            )
        )
    clock.forward(seconds=30)
    lines = browser(any_ctx, session).get("/metrics").text.splitlines()
    assert 'samtal_budget_remaining{kind="search",owner="account 1",platform="forum"} 42.0' in lines
    assert f'samtal_source_due_seconds{{platform="forum",source="{source}"}} -30.0' in lines
    assert f'samtal_source_posts_per_hour{{platform="forum",source="{source}"}} 2.5' in lines
    assert 'samtal_account_dead{account="1",platform="forum"} 0.0' in lines
    assert 'samtal_account_expires_seconds{account="1",platform="forum"} 86370.0' in lines
