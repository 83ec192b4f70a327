"""After somebody was erased no table and no file holds a name or a word of theirs; what others said stands."""

from __future__ import annotations

import json
from datetime import timedelta

from sqlmodel import SQLModel

from db import requests as request_rows
from db import sources as source_rows
from db.context import NewContext
from dialogue import erasing, feedback, hooks, inbox, notes, replies
from dialogue.context import SYSTEM, Actor, Context
from dialogue.notes import Who
from listeners.webhook_signatures import SCHEMES, sign
from tests.dialogue.test_hooks import bodies
from tests.worlds import add_source, look, post, store

ID, HANDLE, NAME, WORD = "did:example:mquill77", "@mquill77", "Marguerite Quill", "zanzibarine"
THEIRS = {"author_id": ID, "author_handle": HANDLE, "author_name": NAME}
MARKS = ("mquill77", "marguerite", WORD)


def _everything(ctx: Context) -> dict[str, str]:
    """Every table and every file under the data directory but the database itself, as text."""
    held = {name: str(look(ctx, f'SELECT * FROM "{name}"')) for name in SQLModel.metadata.tables}
    if ctx.database.on_sqlite:
        with ctx.database.transaction() as tx:
            tx.connection.exec_driver_sql(
                "CREATE VIRTUAL TABLE temp.terms USING fts5vocab('main', mention_search, row)"
            )
            held["mention_search"] = str(tx.connection.exec_driver_sql("SELECT term FROM temp.terms").all())
            tx.connection.exec_driver_sql("DROP TABLE temp.terms")
    else:
        held["mention_search"] = str(look(ctx, "SELECT * FROM mention_search"))
    files = [path for path in ctx.data_dir.rglob("*") if path.is_file() and not path.name.startswith("samtal.db")]
    return held | {str(path): path.read_bytes().decode("utf-8", "replace") for path in files}


def _found(ctx: Context) -> set[tuple[str, str]]:
    """Where a mark stands, bodies of deliveries included."""
    held = _everything(ctx) | {"bodies": str(bodies(ctx))}
    return {(where, mark) for where, text in held.items() for mark in MARKS if mark in text.lower()}


def _person(ctx: Context) -> int:
    return int(look(ctx, f"SELECT person_id FROM identities WHERE handle = '{HANDLE}'")[0][0])


def _lives(ctx: Context, ada: Actor) -> None:
    """Marguerite says things, and they come to stand wherever something that was said can stand."""
    source_id = add_source(ctx, query="kettle", mode="search")
    store(ctx, post("m1", f"My {WORD} kettle leaks", **THEIRS), source_id=source_id)
    store(ctx, post("m1", f"My {WORD} kettle leaks badly", **THEIRS), source_id=source_id)
    about = NewContext("m2", f"I said {WORD}", ctx.clock(), author_id=ID, author_name=NAME)
    others = {"mentions": (ID, "somebody"), "quotes_id": "m1", "quotes_author_id": ID, "context": (about,)}
    store(ctx, post("o1", "Mine leaks, too", **others), source_id=source_id)

    (theirs,) = look(ctx, "SELECT id, conversation_id FROM mentions WHERE external_id = 'm1'")
    feedback.add(ctx, ada, "Kettles leak", "need", theirs[0])
    view = inbox.page(ctx, ada, inbox.Filters(view="all"), None, 10)
    assert any(WORD in card.text for card in view.cards)
    replies.save_draft(ctx, ada, theirs[1], theirs[0], f"Dear {NAME}", "a draft")

    with ctx.database.transaction() as tx:
        run = source_rows.begin_run(tx, source_id, ctx.clock())
        broken = [{"where": f"at://{ID}/7", "reason": "has no text"}, {"where": "at://o/8", "reason": "has no text"}]
        tx.connection.exec_driver_sql(f"UPDATE source_runs SET rejections = '{json.dumps(broken)}' WHERE id = {run}")
        shown = request_rows.add(tx, "preview", {"query": "kettle"}, None, ctx.clock())
        held = request_rows.claim(tx, shown, ctx.clock(), timedelta(minutes=1))
        assert held is not None
        result = {"posts": [{"text": f"My {WORD} kettle", "author": NAME}]}
        request_rows.write(tx, held, state="done", finished_at=ctx.clock(), result=result)


def _sends(ctx: Context, ada: Actor) -> None:
    """A survey brings three answers that cannot be read yet, one of them hers, and a note is deleted."""
    made = hooks.create(ctx, ada, "Our survey")
    survey = {
        "form": "kettles",
        "answers": [
            {"who": {"name": NAME}, "said": f"A {WORD} thing"},
            {"who": {"name": "Jane"}, "said": "All is well"},
            {"who": {"name": "Ann"}, "said": "So it is"},
        ],
    }
    for said in (survey, {"who": NAME, "said": WORD}):
        body = json.dumps(said).encode()
        hooks.accept(
            ctx, made.path.rpartition("/")[2], sign(SCHEMES[made.scheme], made.secret, body, at=ctx.clock()), body
        )
    who = Who(NAME, "Acme", ID, evidence=f"{NAME} rang us")
    added = notes.add(ctx, ada, (f"She said {WORD}", f"And again {WORD}"), who, "phone", None, notes.new_key())
    notes.delete(ctx, ada, added.mention_ids[0])


def test_nothing_of_theirs_is_left_anywhere(any_ctx: Context, colleague: Actor) -> None:
    _lives(any_ctx, colleague)
    _sends(any_ctx, colleague)
    before = {where for where, _ in _found(any_ctx)}
    assert before >= {
        "mentions", "mention_edits", "mention_context", "mention_search", "identities", "people", "replies", "undos",
        "feedback_evidence", "source_runs", "worker_requests", "audit", "bodies",
    }, "they stand where they are to be looked for"  # fmt: skip
    for platform, author_id in look(any_ctx, "SELECT platform, external_id FROM identities ORDER BY id"):
        if author_id != "bjork":
            erasing.forget_author(any_ctx, colleague, platform, author_id)
    assert _found(any_ctx) == set()


def test_what_others_said_beside_them_stands(any_ctx: Context, colleague: Actor) -> None:
    _lives(any_ctx, colleague)
    _sends(any_ctx, colleague)
    erasing.forget_person(any_ctx, colleague, _person(any_ctx))
    ((text, named, quoted),) = look(any_ctx, "SELECT text, mentions, quotes_id FROM mentions WHERE external_id = 'o1'")
    assert (text, quoted) == ("Mine leaks, too", "m1")
    assert named in ('["somebody"]', ["somebody"])
    (left,) = bodies(any_ctx)
    assert json.loads(left)["answers"] == [
        None,
        {"who": {"name": "Jane"}, "said": "All is well"},
        {"who": {"name": "Ann"}, "said": "So it is"},
    ]
    states = look(any_ctx, "SELECT state FROM hook_deliveries ORDER BY id")
    assert states == [("waiting",), ("discarded",)]
    assert "at://o/8" in str(look(any_ctx, "SELECT rejections FROM source_runs"))


def test_a_short_name_takes_nobody_else_along(any_ctx: Context, colleague: Actor) -> None:
    """Whose name is a part of other words, or of others' sentences, does not empty them."""
    made = hooks.create(any_ctx, colleague, "Our survey")
    store(any_ctx, post("a1", "No", author_id="ann", author_handle="@ann", author_name="Ann"))
    body = json.dumps({"answers": [{"who": "Joanna", "said": "Ann says no"}, {"who": "Ann", "said": "Yes"}]}).encode()
    hooks.accept(
        any_ctx, made.path.rpartition("/")[2], sign(SCHEMES[made.scheme], made.secret, body, at=any_ctx.clock()), body
    )
    erasing.forget_author(any_ctx, SYSTEM, "forum", "ann")
    (left,) = bodies(any_ctx)
    assert json.loads(left)["answers"] == [{"who": "Joanna", "said": "Ann says no"}, None]
