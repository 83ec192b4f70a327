"""What the worker does for the taxonomy: a preview of a change, and the change itself with every mention re-tagged.

Both compare stored embeddings with the new phrases; no text is read again. What another model has read is not compared:
it keeps its topics under their new names. What people said of a mention's topics always wins.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from analysis import AnalysisError, Rereads, phrases
from analysis.base import Analyser, Topic
from db import tags, workspace
from db import topics as rows
from db.engine import Transaction
from db.tags import Embedded
from db.topics import TopicRow
from dialogue import audit, points, topics, understanding
from dialogue.context import Actor, Context, DialogueError, Role
from dialogue.requests import Progress
from dialogue.topics import Draft

SEEN = 5_000
"""The newest mentions that a preview looks at."""
SHOWN = 5
"""Mentions of each kind that it names."""
BATCH = 1_000
"""Mentions that are re-tagged in one transaction."""

Scored: TypeAlias = "tuple[tuple[str, float], ...]"


# A preview ------------------------------------------------------------------------------------------------------------


def preview(ctx: Context, payload: dict[str, Any], progress: Callable[..., None]) -> dict[str, Any]:
    """What the proposed topics would change among the newest mentions; changes nothing.

    The result names mentions by id and quotes none: digest (of the drafts), read (how many), unread (those that another
    model read), none_now and none_then (without any topic), topics: [{"id", "name", "now", "then", "gains", "loses",
    "gained", "lost"}], deleted: [{"name", "now", "left_without"}], clashes: [[topic, phrase, topic, phrase, cosine]].
    """
    drafts = topics.drafts_of(payload)
    progress(0, None, "Reading the phrases")
    with ctx.database.reading() as tx:
        current = rows.all_(tx)
        proposed = understanding.learned(tx, _rows(drafts))
    analyser, _ = opened(proposed)
    progress(0, None, "Comparing them with the newest mentions")
    with ctx.database.reading() as tx:
        seen = tags.embedded(tx, SEEN)
    scored = _scored(analyser, seen)
    renamed = _new_names(current, drafts)
    then = [_topics_then(one, found, renamed) for one, found in zip(seen, scored, strict=True)]
    now = [{renamed.get(name) or name for name in one.shown} for one in seen]
    result = _compared(seen, now, then, drafts)
    result["deleted"] = [
        {
            "name": one.name,
            "now": sum(one.name in names for names in now),
            "left_without": sum(one.name in names and not after for names, after in zip(now, then, strict=True)),
        }
        for one in current
        if one.name not in renamed
    ]
    progress(0, None, "Looking for phrases that clash")
    result["clashes"] = clashes(analyser, proposed)
    result["unread"] = sum(found is None for found in scored)
    return result | {"digest": topics.digest(drafts), "words": "This is what would change."}


def clashes(analyser: Analyser, taxonomy: Sequence[Topic]) -> list[list[Any]]:
    """Phrases of different topics that say nearly the same, as [topic, phrase, topic, phrase, cosine]."""
    return [[*one.one, *one.other, one.cosine] for one in phrases.clashes(analyser, taxonomy)]


def _rows(drafts: Sequence[Draft]) -> list[TopicRow]:
    return [TopicRow(one.name, one.phrases, one.examples, one.id) for one in drafts]


def opened(taxonomy: Sequence[Topic], *, keep: bool = False) -> tuple[Analyser, str]:
    """The analyser for these topics and the name of its tags. Raises DialogueError where it cannot use them."""
    try:
        return understanding.analyser_for(taxonomy, keep=keep)
    except AnalysisError as error:
        raise DialogueError(f"The model cannot use these topics: {error}.") from error


def read_by(analyser: Analyser, seen: Sequence[Embedded]) -> list[Embedded]:
    """Those of these mentions whose embedding this analyser made."""
    maker = understanding.embedder(analyser.model)
    return [one for one in seen if understanding.embedder(one.model) == maker]


def _scored(analyser: Analyser, seen: Sequence[Embedded]) -> list[Scored | None]:
    """The topics of each mention by its stored embedding; None for one that this analyser cannot tell them of."""
    if not isinstance(analyser, Rereads):
        return [None] * len(seen)
    mine = read_by(analyser, seen)
    said = analyser.topics([one.embedding for one in mine], [one.language for one in mine])
    found = {one.id: tuple((topic.name, topic.score) for topic in named) for one, named in zip(mine, said, strict=True)}
    return [found.get(one.id) for one in seen]


def _new_names(current: Sequence[TopicRow], drafts: Sequence[Draft]) -> dict[str, str]:
    """What each topic that stays is called then, by what it is called now."""
    named = {one.id: one.name for one in drafts if one.id}
    return {one.name: named[one.id] for one in current if one.id in named}


def _topics_then(one: Embedded, scored: Scored | None, renamed: Mapping[str, str]) -> set[str]:
    if one.corrected is not None:
        return {renamed[name] for name in one.corrected if name in renamed}
    if scored is None:
        return {renamed[name] for name in one.shown if name in renamed}
    return {name for name, _ in scored}


def _compared(
    seen: Sequence[Embedded], now: Sequence[set[str]], then: Sequence[set[str]], drafts: Sequence[Draft]
) -> dict[str, Any]:
    gained: defaultdict[str, list[int]] = defaultdict(list)
    lost: defaultdict[str, list[int]] = defaultdict(list)
    for one, before, after in zip(seen, now, then, strict=True):
        for name in after - before:
            gained[name].append(one.id)
        for name in before - after:
            lost[name].append(one.id)
    return {
        "read": len(seen),
        "none_now": sum(not names for names in now),
        "none_then": sum(not names for names in then),
        "topics": [
            {
                "id": one.id,
                "name": one.name,
                "now": sum(one.name in names for names in now),
                "then": sum(one.name in names for names in then),
                "gains": len(gained[one.name]),
                "loses": len(lost[one.name]),
                "gained": gained[one.name][:SHOWN],
                "lost": lost[one.name][:SHOWN],
            }
            for one in drafts
        ],
    }


# The change itself ----------------------------------------------------------------------------------------------------


def apply(ctx: Context, payload: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Puts the topics in force and re-tags every mention, the newest first; a worker that takes over goes on.

    progress.result holds how far it is: version (of the taxonomy that it made), renamed, left (mentions with a smaller
    id are still to do; None at the start), done, total, changed, finished.
    """
    state = dict(progress.result) or _put_in_force(ctx, payload, progress)
    points.reached("apply_topics.in_force")
    with ctx.database.reading() as tx:
        taxonomy = understanding.learned(tx)
    analyser, model = opened(taxonomy, keep=True)
    while not state.get("finished"):
        with ctx.database.transaction() as tx:
            if rows.version_in_turn(tx) != state["version"]:
                return {"words": "The topics were changed again meanwhile; that change re-tags the rest."}
            state = _one_batch(tx, state, analyser, model)
            progress.write(tx, result=state, done=state["done"], total=state["total"], words="Re-tagging mentions")
        points.reached("apply_topics.batch")
    changed = f"{state['changed']:,} of {state['done']:,} mentions"
    return state | {"words": f"The topics are in force; {changed} were re-tagged."}


def _put_in_force(ctx: Context, payload: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Stores the topics as a new version with all that hangs on their names, in one transaction."""
    drafts = topics.drafts_of(payload)
    actor = Actor(payload["user_id"], "", Role.PRODUCT)
    with ctx.database.transaction() as tx:
        topics.check_version(tx, payload["version"])
        current = rows.all_(tx)
        if payload["version"] == 0:
            rows.record(tx, "The topics before", None, ctx.clock())
        before = [Draft(one.name, one.phrases, one.examples, one.id) for one in current]
        said = topics.changes(before, drafts)
        words = ", ".join(said) or "mentions re-tagged with what corrections taught"
        renamed = _new_names(current, drafts)
        rows.carry(
            tx,
            {old: new for old, new in renamed.items() if old != new},
            [one.name for one in current if one.name not in renamed],
        )
        rows.replace(tx, _rows(drafts))
        state = {
            "version": rows.record(tx, words, actor.user_id, ctx.clock()),
            "renamed": renamed,
            "left": None,
            "done": 0,
            "total": tags.count(tx),
            "changed": 0,
        }
        audit.record(tx, ctx, actor, "changed", "topics", state["version"], changes=words)
        workspace.bump(tx)
        progress.write(tx, result=state, done=0, total=state["total"], words="The topics are in force")
    return state


def _one_batch(tx: Transaction, state: dict[str, Any], analyser: Analyser, model: str) -> dict[str, Any]:
    """Re-tags the next mentions and returns how far it is then."""
    seen = tags.embedded(tx, BATCH, state["left"], everything=True)
    changed: list[tuple[int, Scored, str]] = []
    for one, scored in zip(seen, _scored(analyser, seen), strict=True):
        carried = (_carried(one, state["renamed"]), one.model)
        found, by = carried if scored is None else (scored, understanding.renamed(one.model, model))
        # A correction may name a topic that has come back, or gone.
        if found != one.topics or (one.corrected is not None and set(one.corrected) != set(one.shown)):
            changed.append((one.id, found, by))
    tags.retag(tx, changed, workspace.read(tx).time_zone)
    workspace.bump(tx)
    return state | {
        "left": seen[-1].id if seen else 0,
        "done": state["done"] + len(seen),
        "changed": state["changed"] + len(changed),
        "finished": len(seen) < BATCH,
    }


def _carried(one: Embedded, renamed: Mapping[str, str]) -> Scored:
    """What another model said of a mention, under the new names."""
    return tuple((renamed[name], score) for name, score in one.topics if name in renamed)
