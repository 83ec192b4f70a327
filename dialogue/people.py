"""Who speaks, and what is worth remembering about them before one answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from db import inbox as lists
from db import people as rows
from db import workspace as workspace_rows
from db.engine import Transaction
from dialogue import audit, platforms
from dialogue.context import Actor, Context, DialogueError, Missing, Role, require
from dialogue.text import as_id, counted, shortened
from listeners.base import clean

MAX_MEMO = 2_000
MAX_EVIDENCE = 500
HISTORY = 50
"""Lines of history beside a conversation."""


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """Something they said, or we answered them. `text` is plain and bounded."""

    conversation_id: int
    at: datetime
    platform_title: str
    text: str
    sentiment: str | None
    ours: bool


@dataclass(frozen=True, slots=True)
class PersonPanel:
    """A person beside a conversation. handles: (platform, handle, address or None). `since` is their first mention."""

    person_id: int | None
    name: str
    handles: tuple[tuple[str, str, str | None], ...]
    followers: int | None
    since: datetime | None
    mention_count: int
    answered_count: int
    memo: str
    worth_remembering: tuple[str, ...]
    history: tuple[HistoryLine, ...]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Somebody who may be the same person, and why."""

    person_id: int
    handle: str
    platform_title: str
    evidence: str


@dataclass(frozen=True, slots=True)
class MergeView:
    """Another person who was merged into this one."""

    merge_id: int
    name: str


@dataclass(frozen=True, slots=True)
class PersonView:
    """A person's own page."""

    panel: PersonPanel
    suggestions: tuple[Suggestion, ...]
    merges: tuple[MergeView, ...]
    sample: bool


def person(ctx: Context, actor: Actor, person_id: int) -> PersonView:
    """The person with a longer history. Raises Missing."""
    require(actor, Role.VIEWER)
    with ctx.database.reading() as tx:
        found = _found(tx, person_id)
        merged = rows.merges_into(tx, person_id)
        names = {one.id: rows.get(tx, one.from_person_id) for one in merged}
        return PersonView(
            panel=panel(tx, person_id, "", history=200),
            suggestions=_suggestions(tx, person_id),
            merges=tuple(MergeView(key, value.display_name if value else "Somebody") for key, value in names.items()),
            sample=found.sample,
        )


def panel(tx: Transaction, person_id: int | None, name: str, history: int = HISTORY) -> PersonPanel:
    """What stands beside a conversation; nearly empty where nobody is named."""
    found = rows.get(tx, person_id) if person_id is not None else None
    if found is None:
        return PersonPanel(None, name or "Somebody", (), None, None, 0, 0, "", (), ())
    identities = rows.identities(tx, found.id)
    said = rows.said(tx, found.id)
    answered, of_all = rows.answered(tx, found.id)
    followers = [one.followers for one in identities if one.followers is not None]
    return PersonPanel(
        person_id=found.id,
        name=found.display_name or name,
        handles=tuple((platforms.of(one.platform).title, one.handle, None) for one in identities),
        followers=max(followers, default=None),
        since=said.since,
        mention_count=said.mentions,
        answered_count=answered,
        memo=found.memo,
        worth_remembering=_worth_remembering(tx, found, said, answered, of_all),
        history=tuple(
            HistoryLine(
                line.conversation_id,
                line.at,
                platforms.of(line.platform).title,
                line.text,
                line.sentiment,
                line.ours,
            )
            for line in rows.history(tx, found.id, history)
        ),
    )


def set_memo(ctx: Context, actor: Actor, person_id: int, memo: str) -> None:
    """Writes down what colleagues should remember; empty takes it away."""
    require(actor, Role.RESPONDER)
    memo = clean(memo).strip()
    if len(memo) > MAX_MEMO:
        raise DialogueError(f"A memo has at most {MAX_MEMO:,} characters; this one has {len(memo):,}.")
    with ctx.database.transaction() as tx:
        if not rows.set_memo(tx, person_id, memo):
            raise Missing("This person is not here any more.")
        audit.record(tx, ctx, actor, "wrote memo", "person", person_id)
        workspace_rows.bump(tx)


def merge(ctx: Context, actor: Actor, into: int, absorbed: int, evidence: str = "") -> int:
    """Says that two are one person; `into` takes every handle of `absorbed`. Returns an id that `unmerge` takes.

    `evidence` says how one knows; a platform that lets people be matched only with their consent demands it.
    """
    require(actor, Role.RESPONDER)
    if into == absorbed:
        raise DialogueError("These are the same person already.")
    with ctx.database.transaction() as tx:
        one, other = _found(tx, into), _found(tx, absorbed)
        if one.sample != other.sample:
            raise DialogueError("A person of the sample data cannot be merged with a real one.")
        evidence = clean(evidence).strip()[:MAX_EVIDENCE]
        guarded = _guarded(tx, into, absorbed)
        if guarded and not evidence:
            raise DialogueError(
                f"{guarded} lets its people be matched with others only if they agreed or said so. Write how you know."
            )
        merge_id = rows.merge(tx, into, absorbed, evidence, actor.user_id, ctx.clock())
        audit.record(tx, ctx, actor, "merged", "person", into, merged=absorbed)
        workspace_rows.bump(tx)
    return merge_id


def unmerge(ctx: Context, actor: Actor, merge_id: int) -> None:
    """Takes a merge back: the handles go to whom they belonged."""
    require(actor, Role.RESPONDER)
    with ctx.database.transaction() as tx:
        merged = rows.get_merge(tx, merge_id)
        if merged is None or not rows.unmerge(tx, merged, ctx.clock()):
            raise Missing("This merge has been undone already.")
        audit.record(tx, ctx, actor, "unmerged", "person", merged.into_person_id, merged=merged.from_person_id)
        workspace_rows.bump(tx)


def _guarded(tx: Transaction, *person_ids: int) -> str | None:
    """The title of a platform of theirs that forbids matching its people with those of another."""
    found = {one.platform for person_id in person_ids for one in rows.identities(tx, person_id)}
    guarding = [platform for platform in map(platforms.of, sorted(found)) if not platform.cross_person_matching]
    return guarding[0].title if guarding and len(found) > 1 else None


def _found(tx: Transaction, person_id: int) -> rows.PersonRow:
    found = rows.get(tx, as_id(person_id))
    if found is None:
        raise Missing("This person is not here any more.")
    return found


def _worth_remembering(
    tx: Transaction, person: rows.PersonRow, said: rows.Said, answered: int, of_all: int
) -> tuple[str, ...]:
    """Sentences, the most useful first."""
    lines = [memo for memo in (person.memo, *_merged_memos(tx, person.id)) if memo.strip()]
    if said.complaints and said.since:
        lines.append(f"{counted(said.complaints, 'complaint')} since {said.since:%B %Y}")
    praise = rows.praise(tx, person.id)
    if praise is not None:
        text, at = praise
        lines.append(f"Praised us in {at:%B %Y}: “{shortened(' '.join(text.split()), 120)}”")
    lines += [f"Asked for “{wish.title}”: {wish.state}" for wish in lists.wishes(tx, [person.id]).get(person.id, ())]
    if answered:
        lines.append(f"We answered {answered} of {counted(of_all, 'conversation')}")
    return tuple(lines)


def _merged_memos(tx: Transaction, person_id: int) -> Sequence[str]:
    merged = (rows.get(tx, one.from_person_id) for one in rows.merges_into(tx, person_id))
    return [one.memo for one in merged if one is not None]


def _suggestions(tx: Transaction, person_id: int) -> tuple[Suggestion, ...]:
    """The same handle on another platform, where every platform involved lets people be matched."""
    own = [platforms.of(one.platform) for one in rows.identities(tx, person_id)]
    if not all(platform.cross_person_matching for platform in own):
        return ()
    found = ((one, platforms.of(one.platform)) for one in rows.same_handle(tx, person_id))
    return tuple(
        Suggestion(one.person_id, one.handle, platform.title, f"The same handle, {one.handle}, on {platform.title}.")
        for one, platform in found
        if platform.cross_person_matching
    )
