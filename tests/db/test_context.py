"""What mentions refer to is kept beside them, and goes with them or by itself."""

from __future__ import annotations

from datetime import timedelta

from db import context, forgetting
from db.context import NewContext
from db.tables import PlatformAccount
from dialogue.context import Context
from tests.conftest import NOON
from tests.worlds import digest, look, post, rows, store

KEPT = "SELECT mention_id, external_id, text FROM mention_context ORDER BY id"


def around(external_id: str, text: str = "Our new hinge", **fields: str) -> NewContext:
    """A post of an hour before that a mention refers to."""
    return NewContext(external_id, text, NOON - timedelta(hours=2), **fields)


def _forget_context(ctx: Context, *external_ids: str) -> None:
    with ctx.database.transaction() as tx:
        forgetting.forget_context(tx, "forum", external_ids, now=NOON, reason="deleted at source", digest=digest)


def test_it_is_kept_for_its_mention_and_counts_nowhere(any_ctx: Context) -> None:
    (id_,) = store(any_ctx, post("2", parent_id="1", root_id="1", context=(around("1"),))).new_ids
    assert look(any_ctx, KEPT) == [(id_, "1", "Our new hinge")]
    assert look(any_ctx, "SELECT mention_count FROM conversations") == [(1,)]
    assert look(any_ctx, "SELECT count(*) FROM mentions") == [(1,)]
    assert look(any_ctx, "SELECT count(*) FROM identities") == [(1,)]


def test_what_is_given_again_takes_the_place_of_what_was_there(any_ctx: Context) -> None:
    (id_,) = store(any_ctx, post("2", context=(around("1"),))).new_ids
    store(any_ctx, post("2"))
    assert look(any_ctx, KEPT) == [(id_, "1", "Our new hinge")], "what brings none takes none away"
    store(any_ctx, post("2", context=(around("1", "Our newest hinge"), around("0", "Hinges"))))
    assert look(any_ctx, KEPT) == [(id_, "1", "Our newest hinge"), (id_, "0", "Hinges")]


def test_it_is_bounded(any_ctx: Context) -> None:
    store(any_ctx, post("2", context=tuple(around(f"c{n}", "x" * 10_000) for n in range(10))))
    kept = look(any_ctx, KEPT)
    assert [len(text) for _, _, text in kept] == [context.LONGEST] * context.EACH


def test_it_goes_with_its_mention(any_ctx: Context) -> None:
    (id_,) = store(any_ctx, post("2", context=(around("1"),))).new_ids
    with any_ctx.database.transaction() as tx:
        forgetting.forget(tx, [id_], now=NOON, reason="deleted at source", digest=digest)
    assert look(any_ctx, KEPT) == []


def test_a_mention_that_is_deleted_goes_from_beside_others_too(any_ctx: Context) -> None:
    first, second = store(any_ctx, post("1"), post("2", context=(around("1"),))).new_ids
    with any_ctx.database.transaction() as tx:
        forgetting.forget(tx, [first], now=NOON, reason="deleted at source", digest=digest)
    assert look(any_ctx, KEPT) == []
    store(any_ctx, post("2", context=(around("1"), around("0", "Hinges"))))
    assert look(any_ctx, KEPT) == [(second, "0", "Hinges")]


def test_what_was_deleted_comes_back_neither_beside_nor_as_a_mention(any_ctx: Context) -> None:
    store(any_ctx, post("2", context=(around("1"),)), post("3", context=(around("1"),)))
    _forget_context(any_ctx, "1")
    assert look(any_ctx, KEPT) == []
    again = store(any_ctx, post("2", context=(around("1"),)), post("1"))
    assert look(any_ctx, KEPT) == []
    assert (again.new, again.seen, again.buried) == (0, 1, 1)


def test_the_same_id_elsewhere_stays(any_ctx: Context) -> None:
    store(any_ctx, post("2", context=(around("1"),)), post("2", platform="wall", context=(around("1"),)))
    _forget_context(any_ctx, "1")
    assert look(any_ctx, "SELECT platform FROM mentions JOIN mention_context c ON c.mention_id = mentions.id") == [
        ("wall",)
    ]


def test_an_edit_of_it_is_seen_wherever_it_is_kept(any_ctx: Context) -> None:
    store(any_ctx, post("2", context=(around("1"),)), post("3", context=(around("1"),)))
    with any_ctx.database.transaction() as tx:
        context.renew(tx, "forum", [around("1", "Our newest hinge")])
        assert {row[2] for row in rows(tx, KEPT)} == {"Our newest hinge"}


def test_ours_is_known_as_ours(any_ctx: Context) -> None:
    with any_ctx.database.transaction() as tx:
        account = PlatformAccount(platform="forum", label="Us", external_id="us", credentials=b"", created_at=NOON)
        tx.session.add(account)
    (id_,) = store(any_ctx, post("2", context=(around("1", author_id="us"), around("0", author_id="ada")))).new_ids
    with any_ctx.database.reading() as tx:
        assert [(one.external_id, one.ours) for one in context.of(tx, [id_])] == [("1", True), ("0", False)]
        assert context.ids(tx, [id_]) == ["0", "1"]
        assert context.written_by(tx, "forum", ["ada"]) == ["0"]
        assert context.written_by(tx, "wall", ["ada"]) == []
        assert context.known(tx, "forum", ["1", "7"]) == ["1"]
