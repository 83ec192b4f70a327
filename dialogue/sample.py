"""Sample data: a fortnight of an invented brand, through the same doors as real mentions, gone again in one click."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from db import mentions as rows
from db import requests as request_rows
from db import sample as sample_rows
from db.engine import Transaction
from dialogue import audit, platforms, understanding, workspace
from dialogue.context import Actor, Context, DialogueError, Role, require
from dialogue.requests import Progress
from dialogue.sample_story import BRAND, OUR_ID, Line, Story, tell

LOAD, REMOVE = "sample", "remove_sample"
"""Kinds of request."""
QUIET = timedelta(hours=40)
"""A sample conversation that has been quiet for so long is closed already."""


def loaded(ctx: Context) -> bool:
    """Whether the sample data is here."""
    return workspace.get(ctx).sample_loaded_at is not None


def load_request(ctx: Context, actor: Actor) -> int:
    """Asks the worker to load the sample; returns the request's id. Raises DialogueError when it is here already."""
    if loaded(ctx):
        raise DialogueError("The sample data is loaded already. Remove it first to load it anew.")
    return _request(ctx, actor, LOAD, "loaded")


def remove_request(ctx: Context, actor: Actor) -> int:
    """Asks the worker to take the sample out; returns the request's id. Raises DialogueError when there is none."""
    if not loaded(ctx):
        raise DialogueError("There is no sample data here.")
    return _request(ctx, actor, REMOVE, "removed")


def _request(ctx: Context, actor: Actor, kind: str, done: str) -> int:
    require(actor, Role.RESPONDER)
    with ctx.database.transaction() as tx:
        request_id = request_rows.add(tx, kind, {}, actor.user_id, ctx.clock())
        audit.record(tx, ctx, actor, done, "sample data")
    ctx.triggers.serve(request_id)
    return request_id


def load(ctx: Context, payload: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Stores the story in one transaction, then has the model read it. Run again after a crash, it goes on."""
    now = ctx.clock()
    story = tell(now)
    if not loaded(ctx):
        progress(0, len(story.lines), "Writing the story down")
        with ctx.database.transaction() as tx:
            _store(tx, ctx, story, now)
    total = sum(line.handle != OUR_ID for line in story.lines)
    while left := _untagged(ctx):
        progress(total - left, total, "Reading what people said")
        if not understanding.understand(ctx):
            # Another worker holds what is left: it will be tagged without us.
            break
    return {"words": "The sample data is loaded.", "mentions": total}


def remove(ctx: Context, payload: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Takes the sample out, with all that hangs on it."""
    with ctx.database.transaction() as tx:
        gone = sample_rows.remove(tx, ctx.clock())
    return {"words": "The sample data is gone.", "mentions": gone}


def _untagged(ctx: Context) -> int:
    with ctx.database.reading() as tx:
        return sample_rows.untagged(tx)


def _store(tx: Transaction, ctx: Context, story: Story, now: datetime) -> None:
    for platform, lines in _by_platform(story.lines):
        source = sample_rows.add_source(tx, platform, f"{BRAND} on {platforms.of(platform).title} (sample)", now)
        rows.upsert(
            tx,
            [_mention(line, lines) for line in lines],
            now=now,
            digest=ctx.secrets.digest,
            source_id=source,
            sample=True,
        )
    sample_rows.add_answers(tx, list(_answers(story.lines)))
    sample_rows.settle(tx, now, QUIET)
    sample_rows.join_people(tx, story.regulars)
    sample_rows.remember(tx, story.memos)
    theirs = [line for line in story.lines if line.handle != OUR_ID]
    for idea in story.ideas:
        backed = [_key(line) for line in theirs if any(words in line.text for words in idea.match)]
        sample_rows.add_item(tx, idea.title, idea.kind, idea.state, idea.reason, backed, now)
    sample_rows.mark_loaded(tx, now)


def _by_platform(lines: Iterable[Line]) -> list[tuple[str, list[Line]]]:
    found: defaultdict[str, list[Line]] = defaultdict(list)
    for line in lines:
        found[line.platform].append(line)
    return sorted(found.items())


def _external(key: str) -> str:
    return f"sample-{key}"


def _key(line: Line) -> tuple[str, str]:
    return line.platform, _external(line.key)


def _mention(line: Line, lines: list[Line]) -> rows.NewMention:
    starts = line.key == line.thread
    return rows.NewMention(
        platform=line.platform,
        external_id=_external(line.key),
        kind="review" if line.rating is not None else "post" if starts else "comment",
        text=line.text,
        posted_at=line.at,
        author_id=f"sample-{line.handle}",
        author_handle=line.handle,
        author_name=line.name,
        rating=line.rating,
        root_id=None if starts else _external(line.thread),
        parent_id=None if starts else _external(_before(line, lines).key),
        ours=line.handle == OUR_ID,
    )


def _before(line: Line, lines: list[Line]) -> Line:
    """What a line answers: for the company the last one by somebody else, for everybody else the last one."""
    earlier = [o for o in lines if o.thread == line.thread and o.at < line.at]
    if line.handle == OUR_ID:
        earlier = [o for o in earlier if o.handle != OUR_ID]
    return earlier[-1]


def _answers(lines: Iterable[Line]) -> Iterable[sample_rows.SampleAnswer]:
    for platform, said in _by_platform(lines):
        for line in said:
            if line.handle == OUR_ID:
                answered = _external(_before(line, said).key)
                yield sample_rows.SampleAnswer(platform, _external(line.key), answered, line.text, line.at)
