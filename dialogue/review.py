"""Reviewing: one mention at a time, what the model said of it, and a person's word on that.

Two queues: the least certain first, where a look mends most, and a random sample, from which alone one learns how often
the model is right. Both are the same for everybody, and what one colleague has judged comes up for no other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from db import gold, tags
from db import workspace as workspace_rows
from db.engine import Transaction
from db.gold import Reading, Taught
from dialogue import audit, platforms
from dialogue.accuracy import FIELDS, LABELS, RECENT, draw, language_caveat
from dialogue.context import Actor, Context, DialogueError, Missing, Role, require
from dialogue.text import as_id, counted
from listeners import registry
from listeners.base import ListeningError

LEAST_CERTAIN, RANDOM = gold.LEAST_CERTAIN, gold.RANDOM
QUEUES = {LEAST_CERTAIN: "Least certain", RANDOM: "Random sample"}
"""How mentions are chosen, with what it is called."""
SOONEST = 0.6
"""Seconds between two key presses on two mentions: sooner nobody has read the second, and the key is held down."""
BATCH = 50
"""Mentions that are lined up at once."""


@dataclass(frozen=True, slots=True)
class Said:
    """What the model said of one field, and how sure it was, 0 to 1. judged: a person's word on it, if there is one."""

    field: str
    title: str
    value: str
    certainty: float
    judged: str | None


@dataclass(frozen=True, slots=True)
class Item:
    """One mention to judge. `title`, `text` and the author's name are hostile. caveat: why its language is in doubt."""

    mention_id: int
    conversation_id: int
    author_name: str
    platform_title: str
    place: str
    posted_at: datetime
    url: str | None
    title: str | None
    text: str
    language: str
    caveat: str
    sample: bool
    said: tuple[Said, ...]

    @property
    def judged(self) -> bool:
        """Whether nothing is left to say of it."""
        return all(one.judged is not None for one in self.said)


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Judged texts that may leave for training, and how many may not, by why not. rows: plain values by column."""

    rows: tuple[dict[str, str], ...]
    left_out: dict[str, int]

    @property
    def words(self) -> str:
        """How many are in it, and how many were left out and why."""
        found = f"{counted(len(self.rows), 'judgement')} of texts that may be used for training."
        left = [f"{count:,} left out: {why}." for why, count in self.left_out.items()]
        return " ".join([found, *left])


# The queue ------------------------------------------------------------------------------------------------------------


def queue(
    ctx: Context, actor: Actor, how: str, *, sample: bool = False, without: Collection[int] = (), limit: int = BATCH
) -> tuple[int, ...]:
    """The mentions to look at next, among the newest that the version in use has read.

    without: what this colleague has passed over. A mention comes up until each field was judged for this version.
    """
    require(actor, Role.RESPONDER)
    if how not in QUEUES:
        raise DialogueError(f"There is no queue called '{how[:40]}'.")
    with ctx.database.reading() as tx:
        read = gold.recent(tx, RECENT, sample=sample)
        version = gold.version(read[0].model) if read else ""
        known = gold.judged_fields(tx, min((one.mention_id for one in read), default=0))
    read = [one for one in read if gold.version(one.model) == version]
    left = {one.mention_id: [f for f in FIELDS if (one.mention_id, f, version) not in known] for one in read}
    passed = set(without) | {mention_id for mention_id, fields in left.items() if not fields}
    texts = {one.text_hash for one in read if one.mention_id in passed}
    waiting = []
    for one in read:
        # A text that many share is asked about once, but for the sample, which is of mentions: there each one counts.
        if one.mention_id in passed or (how == LEAST_CERTAIN and one.text_hash in texts):
            continue
        texts.add(one.text_hash)
        waiting.append((_place(one, how, version, left[one.mention_id]), -one.mention_id))
    return tuple(-newest for _, newest in sorted(waiting)[:limit])


def _place(one: Reading, how: str, version: str, open_fields: Sequence[str]) -> float:
    if how == RANDOM:
        return draw(version, one.mention_id)
    return min(one.said(field)[1] for field in open_fields)


def item(ctx: Context, actor: Actor, mention_id: int) -> Item | None:
    """The mention as it stands now; None when it is gone."""
    require(actor, Role.RESPONDER)
    with ctx.database.reading() as tx:
        found = gold.shown(tx, as_id(mention_id))
        if found is None:
            return None
        judged = _judged(tx, mention_id, found.reading)
    platform = platforms.of(found.platform)
    return Item(
        mention_id=found.mention_id,
        conversation_id=found.conversation_id,
        author_name=found.author_name or found.handle or "Somebody",
        platform_title=platform.title,
        place=platforms.place(found.url),
        posted_at=found.posted_at,
        url=found.url,
        title=found.title,
        text=found.text,
        language=found.language,
        caveat=language_caveat(found.language),
        sample=found.sample,
        said=tuple(
            Said(field, title, *found.reading.said(field), judged.get(field)) for field, title in FIELDS.items()
        ),
    )


def _judged(tx: Transaction, mention_id: int, reading: Reading) -> dict[str, str]:
    """What people said of this version's word, by field."""
    stands = gold.standing(tx, [mention_id])[mention_id]
    return {
        field: one.value[0]
        for field, one in stands.items()
        if field in FIELDS and one.value and gold.version(one.model) == gold.version(reading.model)
    }


# Judging --------------------------------------------------------------------------------------------------------------


def judge(ctx: Context, actor: Actor, mention_id: int, field: str, value: str, how: str) -> int:
    """A person's word on one field, which may be the model's own; returns the judgement's id, for `undo`.

    The same word twice, as by a double click, is one judgement. It wins over every version of the model.
    """
    _check(how, {field: value})
    return _write(ctx, actor, mention_id, {field: value}, how, over=True)[0]


def confirm(ctx: Context, actor: Actor, mention_id: int, seen: Mapping[str, str], how: str) -> tuple[int, ...]:
    """Says that the model is right in what nobody has judged yet; `seen`: what it was seen to say, by field.

    Returns the ids of the judgements, none of them when all was judged before.
    """
    _check(how, seen)
    return _write(ctx, actor, mention_id, seen, how, over=False)


def _write(
    ctx: Context, actor: Actor, mention_id: int, values: Mapping[str, str], how: str, *, over: bool
) -> tuple[int, ...]:
    """Writes these judgements; those of fields that were judged before only where they go `over` that."""
    require(actor, Role.RESPONDER)
    mention_id, made = as_id(mention_id), []
    with ctx.database.transaction() as tx:
        found = gold.shown(tx, mention_id)
        if found is None:
            raise Missing("This mention is not here any more.")
        judged = _judged(tx, mention_id, found.reading)
        for field, value in values.items():
            if over or field not in judged:
                made.append(gold.judge(tx, mention_id, field, [value], actor.user_id, ctx.clock(), how) or 0)
        changed = {field: value for field, value in values.items() if judged.get(field) != value}
        if made and changed:
            _tell(tx, ctx, actor, mention_id, "judged", how=how, **changed)
    return tuple(made)


def undo(ctx: Context, actor: Actor, judgement_ids: Sequence[int]) -> int:
    """Takes one's own judgements back; what they took the place of holds again. Returns how many were taken back."""
    require(actor, Role.RESPONDER)
    taken = 0
    with ctx.database.transaction() as tx:
        for one in map(as_id, judgement_ids):
            undone = gold.undo(tx, one, actor.user_id, ctx.clock())
            if undone is not None:
                taken += 1
                _tell(tx, ctx, actor, undone[0], "took back judgement", field=undone[1])
    return taken


def _tell(tx: Transaction, ctx: Context, actor: Actor, mention_id: int, action: str, **detail: str) -> None:
    tags.reapply(tx, mention_id, workspace_rows.read(tx).time_zone)
    audit.record(tx, ctx, actor, action, "mention", mention_id, **detail)
    workspace_rows.bump(tx)


def _check(how: str, values: Mapping[str, str]) -> None:
    if how not in QUEUES:
        raise DialogueError(f"There is no queue called '{how[:40]}'.")
    for field, value in values.items():
        if field not in FIELDS:
            raise DialogueError(f"Only {' and '.join(FIELDS)} can be judged.")
        if value not in LABELS[field]:
            raise DialogueError(f"'{value[:80]}' is no {field}.")


# For training ---------------------------------------------------------------------------------------------------------


def training_set(ctx: Context, actor: Actor) -> TrainingSet:
    """Judged texts for training a model elsewhere, without what must not be: see `TrainingSet.left_out`."""
    require(actor, Role.ADMIN)
    left: Counter[str] = Counter()
    rows = []
    with ctx.database.reading() as tx:
        for one in gold.taught(tx):
            why = _withheld(one)
            if why:
                left[why] += 1
            else:
                rows.append(_row(one))
    return TrainingSet(tuple(rows), dict(sorted(left.items())))


def take_training_set(ctx: Context, actor: Actor) -> TrainingSet:
    """As `training_set`, for a download: the audit trail says that it was taken."""
    found = training_set(ctx, actor)
    with ctx.database.transaction() as tx:
        left = sum(found.left_out.values())
        audit.record(tx, ctx, actor, "downloaded", "judged texts", judgements=len(found.rows), left_out=left)
    return found


def _withheld(one: Taught) -> str:
    """Why this text must not be used for training; empty where it may."""
    try:
        allows = registry.capability(one.platform)
    except ListeningError:
        return f"the rules of {one.platform} are not known here"
    if not allows.trainable:
        return f"{allows.title} forbids training on what is written there"
    if not allows.exportable:
        return f"{allows.title} forbids that what is written there is exported"
    return "edited since it was judged" if one.edited_since else ""


def _row(one: Taught) -> dict[str, str]:
    return {
        "mention": str(one.mention_id),
        "platform": one.platform,
        "language": one.language,
        "text": f"{one.title}\n{one.text}" if one.title else one.text,
        "field": one.field,
        "value": ", ".join(one.value),
        "model_said": ", ".join(one.said),
        "model": one.model,
        "how": one.how,
        "at": one.at.isoformat(timespec="seconds"),
    }
