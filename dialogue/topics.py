"""The taxonomy: what mentions can be about, as the company describes it in words, and how it is changed.

A change is a whole new list of topics, seen as a preview before it is applied. Both are requests that the worker serves
(`dialogue.retagging`): it has the model. Nothing is lost if two people change topics at once: the second is told.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import analysis
from analysis import AnalysisError, Topic
from db import measures
from db import requests as request_rows
from db import topics as rows
from db import workspace as workspace_rows
from db.engine import Transaction
from db.topics import TaxonomyRow, TopicRow
from dialogue import understanding
from dialogue.context import Actor, Context, DialogueError, Missing, Role, Stale, require
from dialogue.text import as_id, counted, headed
from listeners.base import clean

PREVIEW, APPLY, SUGGEST = "preview_topics", "apply_topics", "suggest_topics"
"""Kinds of request."""
DAYS = 30
"""Counts and shares on the page are of mentions posted in so many days."""

MOST_TOPICS = 200
MOST_PHRASES = 60
"""Phrases of a topic, and as many examples."""
LONGEST_NAME = 60
LONGEST_PHRASE = 200
LONGEST_EXAMPLE = 2_000
LONGEST_FILE = 1_000_000

CHANGED = "Somebody has changed the topics since you opened them. Nothing was changed; look at theirs first."
APPLYING = "A change to the topics is being applied. Wait until it is done."


@dataclass(frozen=True, slots=True)
class Draft:
    """A topic as somebody would have it. `id` is that of the topic it changes, 0 for a new one."""

    name: str
    phrases: tuple[str, ...]
    examples: tuple[str, ...] = ()
    id: int = 0


@dataclass(frozen=True, slots=True)
class TopicView:
    """One topic, and how it did on the mentions of the last `DAYS` days.

    mentions: how many have it now. confirmed, added, taken_away: what people said where they looked. learned: texts of
    theirs that it is compared with besides its phrases.
    """

    id: int
    name: str
    phrases: tuple[str, ...]
    examples: tuple[str, ...]
    mentions: int
    confirmed: int
    added: int
    taken_away: int
    learned: int

    @property
    def share_corrected(self) -> float | None:
        """Of the mentions that have it, or had it before people looked, the share that people changed; None of none."""
        touched = self.mentions + self.taken_away
        return (self.added + self.taken_away) / touched if touched else None

    @property
    def draft(self) -> Draft:
        return Draft(self.name, self.phrases, self.examples, self.id)


@dataclass(frozen=True, slots=True)
class Before:
    """A taxonomy that can be put back, and the change that it was before."""

    topics: tuple[Draft, ...]
    words: str
    who: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """The topics in force at `version`. `applying` is the request that is re-tagging mentions under them, if one is.

    mentions: those of the last `DAYS` days; with `sample` made-up ones are here. before: what an undo would put back.
    """

    version: int
    topics: tuple[TopicView, ...]
    mentions: int
    before: Before | None
    applying: int | None
    sample: bool

    @property
    def drafts(self) -> tuple[Draft, ...]:
        return tuple(topic.draft for topic in self.topics)


@dataclass(frozen=True, slots=True)
class Quote:
    """A mention that a preview or a suggestion speaks of. `text` is plain and hostile."""

    id: int
    conversation_id: int
    text: str
    topics: tuple[str, ...]


def taxonomy(ctx: Context, actor: Actor) -> Taxonomy:
    """The topics as they are, each with how it did."""
    require(actor, Role.VIEWER)
    now = ctx.clock()
    with ctx.database.reading() as tx:
        found = rows.all_(tx)
        today = now.astimezone(ZoneInfo(workspace_rows.read(tx).time_zone)).date()
        first = today - timedelta(days=DAYS - 1)
        daily = measures.daily(tx, first, today, "topic").groupby("key")["count"].sum()
        everything = int(measures.daily(tx, first, today)["count"].sum())
        people = rows.standing(tx, now - timedelta(days=DAYS))
        learned = rows.taught(tx, [one.name for one in found], understanding.teaching(tx), understanding.EXAMPLES)
        history = rows.history(tx, 2)
        applying, sample = _applying(tx), measures.has_sample(tx)
    none = rows.Standing(0, 0, 0)
    views = []
    for one in found:
        said = people.get(one.name, none)
        views.append(
            TopicView(
                one.id, one.name, one.phrases, one.examples, int(daily.get(one.name, 0)), said.confirmed, said.added,
                said.taken_away, len(learned[one.name].examples),
            )
        )  # fmt: skip
    version = history[0].version if history else 0
    return Taxonomy(version, tuple(views), everything, _before(history), applying, sample)


def _before(history: Sequence[TaxonomyRow]) -> Before | None:
    if len(history) < 2:
        return None
    last, earlier = history
    return Before(tuple(map(_draft, earlier.topics)), last.words, last.who, last.at)


def _draft(row: TopicRow) -> Draft:
    return Draft(row.name, row.phrases, row.examples, row.id)


def _applying(tx: Transaction) -> int | None:
    return next((one.id for one in request_rows.open_ones(tx) if one.kind == APPLY), None)


def quotes(ctx: Context, actor: Actor, mention_ids: Sequence[int]) -> dict[int, Quote]:
    """These mentions by their ids, without those that have been deleted since."""
    require(actor, Role.VIEWER)
    with ctx.database.reading() as tx:
        found = rows.quotes(tx, [id_ for id_ in mention_ids if as_id(id_)])
    return {one.id: Quote(one.id, one.conversation_id, headed(one.title, one.text), one.topics) for one in found}


# What is wrong with it, and what it changes ---------------------------------------------------------------------------


def checked(drafts: Sequence[Draft]) -> tuple[Draft, ...]:
    """The drafts with blanks and repetitions taken out. Raises DialogueError, which names the topic and what to do."""
    if not drafts:
        raise DialogueError("Keep at least one topic.")
    if len(drafts) > MOST_TOPICS:
        raise DialogueError(f"{len(drafts)} topics are too many; {MOST_TOPICS} is the most.")
    found = tuple(map(_checked, drafts))
    try:
        analysis.check_topics([_topic(one) for one in found])
    except AnalysisError as error:
        raise DialogueError(_sentence(error)) from error
    return found


def _checked(draft: Draft) -> Draft:
    name = " ".join(clean(draft.name).split())
    if not name:
        raise DialogueError("A topic has no name.")
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise DialogueError(f"The name '{name[:LONGEST_NAME]}…' is no name: {LONGEST_NAME} readable letters at most.")
    phrases = _texts(draft.phrases, name, "phrase", LONGEST_PHRASE)
    if not phrases:
        raise DialogueError(f"The topic '{name}' has no phrase; describe it in a few short ones.")
    return Draft(name, phrases, _texts(draft.examples, name, "example", LONGEST_EXAMPLE), draft.id)


def _texts(texts: Iterable[str], name: str, kind: str, longest: int) -> tuple[str, ...]:
    found: dict[str, str] = {}
    for text in texts:
        words = " ".join(clean(text).split())
        if len(words) > longest:
            raise DialogueError(f"A {kind} of '{name}' has {len(words):,} characters; {longest:,} is the most.")
        if words:
            found.setdefault(words.casefold(), words)
    if len(found) > MOST_PHRASES:
        raise DialogueError(f"The topic '{name}' has {len(found)} {kind}s; {MOST_PHRASES} is the most.")
    return tuple(found.values())


def _topic(draft: Draft) -> Topic:
    return Topic(draft.name, draft.phrases, draft.examples)


def _sentence(error: AnalysisError) -> str:
    words = str(error).removeprefix("topics: ")
    return words[:1].upper() + words[1:] + ("" if words.endswith(".") else ".")


def changes(before: Sequence[Draft], after: Sequence[Draft]) -> tuple[str, ...]:
    """What the change does, a sentence each; empty for none."""
    old = {one.id: one for one in before}
    new = {one.id: one for one in after if one.id in old}
    found = [f"“{one.name}” deleted" for one in before if one.id not in new]
    for one in after:
        was = old.get(one.id)
        if was is None:
            found.append(f"“{one.name}” added, {counted(len(one.phrases), 'phrase')}")
            continue
        if one.name != was.name:
            found.append(f"“{was.name}” renamed to “{one.name}”")
        for kind, now, then in (("phrase", one.phrases, was.phrases), ("example", one.examples, was.examples)):
            more, less = len(set(now) - set(then)), len(set(then) - set(now))
            found += [f"“{one.name}”: {counted(more, kind)} added"] if more else []
            found += [f"“{one.name}”: {counted(less, kind)} taken out"] if less else []
    kept = [one.id for one in after if one.id in old]
    if kept != [one.id for one in before if one.id in new]:
        found.append("order changed")
    return tuple(found)


def digest(drafts: Sequence[Draft]) -> str:
    """Twelve letters that name these drafts: a preview of others says nothing about them."""
    return hashlib.sha256(json.dumps([asdict(one) for one in drafts]).encode()).hexdigest()[:12]


# What a person asks for -----------------------------------------------------------------------------------------------


def preview(ctx: Context, actor: Actor, drafts: Sequence[Draft], version: int) -> int:
    """Asks the worker what these topics would re-tag; returns the request's id. Raises Stale, DialogueError."""
    require(actor, Role.PRODUCT)
    return _ask(ctx, actor, PREVIEW, checked(drafts), version)


def apply(ctx: Context, actor: Actor, drafts: Sequence[Draft], version: int) -> int:
    """Asks the worker to put these topics in force and to re-tag all mentions under them; returns the request's id.

    Unchanged topics are fine: then mentions are tagged with what corrections taught since. Raises Stale when the topics
    are not those of `version` any more, DialogueError when another change is being applied.
    """
    require(actor, Role.PRODUCT)
    return _ask(ctx, actor, APPLY, checked(drafts), version)


def put_back(ctx: Context, actor: Actor, version: int) -> int:
    """Asks for the topics as they were before the last change, `version`; returns the request's id."""
    before = taxonomy(ctx, actor).before
    if before is None:
        raise Missing("There is no earlier taxonomy.")
    return apply(ctx, actor, before.topics, version)


def add(ctx: Context, actor: Actor, name: str, phrases: Sequence[str], examples: Sequence[str] = ()) -> int:
    """Asks for one more topic, at the end; returns the request's id. Raises as `apply` does."""
    found = taxonomy(ctx, actor)
    return apply(ctx, actor, (*found.drafts, Draft(name, tuple(phrases), tuple(examples))), found.version)


def suggest(ctx: Context, actor: Actor) -> int:
    """Asks the worker for phrases that the topics lack, and for what in them clashes; returns the request's id."""
    require(actor, Role.PRODUCT)
    with ctx.database.transaction() as tx:
        request_id = request_rows.add(tx, SUGGEST, {}, actor.user_id, ctx.clock())
    ctx.triggers.serve(request_id)
    return request_id


def _ask(ctx: Context, actor: Actor, kind: str, drafts: Sequence[Draft], version: int) -> int:
    payload = {"topics": [asdict(one) for one in drafts], "version": version, "user_id": actor.user_id}
    with ctx.database.transaction() as tx:
        check_version(tx, version)
        if kind == APPLY and _applying(tx) is not None:
            raise DialogueError(APPLYING)
        request_id = request_rows.add(tx, kind, payload, actor.user_id, ctx.clock())
        workspace_rows.bump(tx)
    ctx.triggers.serve(request_id)
    return request_id


def check_version(tx: Transaction, version: int) -> None:
    """Raises Stale unless the taxonomy in force is that one; nobody changes it before the transaction has ended."""
    if rows.version_in_turn(tx) != version:
        raise Stale(CHANGED)


def drafts_of(payload: Mapping[str, Any]) -> tuple[Draft, ...]:
    """The drafts that `preview` and `apply` wrote into a request."""
    return tuple(
        Draft(one["name"], tuple(one["phrases"]), tuple(one["examples"]), one["id"]) for one in payload["topics"]
    )


# As a file ------------------------------------------------------------------------------------------------------------


def as_file(ctx: Context, actor: Actor) -> str:
    """The topics as the TOML file that `python -m analysis --topics` reads; without what corrections taught."""
    return analysis.write_topics([_topic(one) for one in taxonomy(ctx, actor).drafts])


def from_file(text: str, current: Sequence[Draft]) -> tuple[Draft, ...]:
    """The topics of such a file's text, TOML or JSON; one that has the name of a current one changes that.

    Raises DialogueError, which says what to change in the file.
    """
    if len(text) > LONGEST_FILE:
        raise DialogueError("This is too long for a file of topics.")
    try:
        found = analysis.parse_topics(text, as_json=text.lstrip("\ufeff \t\r\n")[:1] in ("{", "[") and _is_json(text))
    except AnalysisError as error:
        raise DialogueError(_sentence(error)) from error
    ids = {one.name.casefold(): one.id for one in current}
    return checked([Draft(one.name, one.phrases, one.examples, ids.get(one.name.casefold(), 0)) for one in found])


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


# The start ------------------------------------------------------------------------------------------------------------


def ensure_defaults(ctx: Context) -> None:
    """Puts the default taxonomy in place while there is none at all."""
    with ctx.database.reading() as tx:
        if rows.all_(tx):
            return
    found = [TopicRow(one.name, one.phrases, one.examples) for one in analysis.default_topics()]
    with ctx.database.transaction() as tx:
        if not rows.all_(tx):
            rows.replace(tx, found)
            rows.record(tx, "The topics that Samtal starts with", None, ctx.clock())
            workspace_rows.bump(tx)
