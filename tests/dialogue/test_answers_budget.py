"""What an answer takes from its account's budget: the reserve that reading leaves, shared by all workers."""

from __future__ import annotations

from datetime import datetime, timedelta

from db import budgets as rows
from db.budgets import BudgetRow
from dialogue import budgets, replies
from dialogue.budgets import Allowance
from dialogue.replies import ReplyView
from tests.dialogue.conversing import World
from tests.dialogue.test_replies import AFTER_UNDO, _go, _worker
from tests.worlds import look

QUARTER = timedelta(minutes=15)


def _budget(world: World, account_id: int, remaining: int, resets_at: datetime, quota: int = 100) -> None:
    owner = budgets.owner_of_account(account_id)
    with world.ctx.database.transaction() as tx:
        row = rows.opened(tx, "wall", owner, "")
        known = BudgetRow(
            **{name: getattr(row, name) for name in BudgetRow.__slots__}
            | {"remaining": remaining, "quota": quota, "resets_at": resets_at, "window_seconds": 900.0}
        )
        rows.write(tx, known)


def _rows(world: World) -> dict[str, BudgetRow]:
    with world.ctx.database.reading() as tx:
        return {row.kind: row for row in rows.all_(tx)}


def _readable(world: World, account_id: int) -> bool:
    """Whether a source of the account might ask now."""
    with world.ctx.database.transaction() as tx:
        allowance = Allowance("wall", budgets.owner_of_account(account_id), "")
        free = allowance.take(tx, world.clock.now) is None
        allowance.give_back(tx)
    return free


def _queued(world: World, how_many: int) -> list[ReplyView]:
    return [world.sends(world.says(f"p{n}"), f"Answer {n}") for n in range(how_many)]


def test_an_answer_is_taken_from_the_reserve_that_reading_leaves(any_world: World) -> None:
    account_id = any_world.connects()
    _budget(any_world, account_id, 5, any_world.clock.now + QUARTER)
    assert not _readable(any_world, account_id)
    _queued(any_world, 1)
    any_world.works_later(seconds=AFTER_UNDO)
    assert any_world.standing() == ["Answer 0"]
    assert (_rows(any_world)[""].remaining, _rows(any_world)[""].pending) == (4, 0)


def test_what_the_platform_says_with_an_answer_holds_for_reading_too(world: World) -> None:
    account_id = world.connects()
    world.wall.quota = 12
    _queued(world, 1)
    world.works_later(seconds=AFTER_UNDO)
    row = _rows(world)[""]
    assert (row.remaining, row.quota, row.resets_at) == (11, 12, world.clock.now + QUARTER)
    assert _readable(world, account_id)


def test_where_nothing_is_left_an_answer_waits_in_words_and_leaves_by_itself(world: World) -> None:
    account_id = world.connects()
    _budget(world, account_id, 0, world.clock.now + QUARTER)
    (reply,) = _queued(world, 1)
    world.works_later(seconds=AFTER_UNDO)
    assert world.wall.asked == []
    waiting = replies.get(world.ctx, reply.id)
    assert waiting.state == "queued"
    assert waiting.words == "The Wall takes no more from this account until 12:15 UTC. It leaves by itself."
    assert look(world.ctx, "SELECT count(*) FROM reply_attempts") == [(0,)], "it was not tried"
    world.works_later(minutes=15)
    assert world.standing() == ["Answer 0"]
    assert world.state(reply) == "sent"


def test_a_pause_between_answers_keeps_other_answers_waiting_and_no_source(world: World) -> None:
    account_id = world.connects()
    world.wall.goes_down()  # and asks to be left alone for 90 seconds
    first, second = _queued(world, 2)
    world.works_later(seconds=AFTER_UNDO)
    assert world.wall.asked == ["POST /answers"], "the second one was not sent after the first was put off"
    assert _readable(world, account_id)
    world.wall.accepts()
    world.works_later(seconds=90)
    assert [world.state(one) for one in (first, second)] == ["sent", "sent"]


def test_two_workers_together_send_what_the_budget_holds_and_the_rest_once_it_is_full(
    any_world: World, any_url: str
) -> None:
    account_id = any_world.connects()
    queued = [reply.id for reply in _queued(any_world, 8)]
    any_world.clock.forward(seconds=AFTER_UNDO)
    _budget(any_world, account_id, 5, any_world.clock.now + QUARTER)
    workers = [_worker(any_world, any_url, ids) for ids in (queued, queued[::-1])]
    for worker in workers:
        _go(worker)
    for worker in workers:
        assert worker.wait(60) == 0, worker.stderr.read() if worker.stderr else ""
    assert len(any_world.standing()) == 5
    assert (_rows(any_world)[""].remaining, _rows(any_world)[""].pending) == (0, 0)
    any_world.works_later(minutes=15)
    assert sorted(any_world.standing()) == [f"Answer {n}" for n in range(8)]
