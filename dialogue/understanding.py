"""Understanding: untagged mentions are claimed in batches, read by the model, and tagged with exact rollups.

Equal text is read once. A person's correction wins over every version of the model.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from analysis.base import BESIDE, Analyser, HubModel, Rereads, Tags, Topic
from db import rollups, tags, topics, workspace
from db.engine import Transaction
from db.tags import TagValues, Untagged
from db.topics import TopicRow
from dialogue import folding, platforms, points
from dialogue.context import Context

BATCH = 256
LEASE = timedelta(seconds=60)
HUB_BATCH = 64
HUB_LEASE = timedelta(minutes=5)
"""A large checkpoint of the hub may take seconds for one long text where there is no graphics card."""
BATCHES_A_RUN = 40
"""Then others get a turn."""
EXAMPLES = 50
"""Texts that people confirmed, and as many that they took away, which a topic learns from: the newest."""

log = logging.getLogger(__name__)


def understand(ctx: Context) -> int:
    """Tags what waits for it, newest first; returns how many. Stops after a while and wakes itself again."""
    tagged = 0
    for _ in range(BATCHES_A_RUN):
        batch = _one_batch(ctx)
        tagged += batch
        if batch == 0 and not folding.catch_up(ctx):
            return tagged
    ctx.triggers.understand()
    return tagged


def waiting(ctx: Context) -> bool:
    """Whether there is something to tag that nobody holds, or that was tagged before copies were looked for."""
    with ctx.database.reading() as tx:
        return tags.any_free(tx, ctx.clock()) or workspace.read(tx).unfolded_below > 0


def _one_batch(ctx: Context) -> int:
    """Claims, reads and tags one batch; returns how many mentions it had."""
    with ctx.database.reading() as tx:
        if not tags.any_free(tx, ctx.clock()):
            return 0
        version, taxonomy = topics.version(tx), learned(tx)
    analyser, model = analyser_for(taxonomy)  # before anything is taken: that it cannot be opened is no mention's fault
    batch, lease = (BATCH, LEASE) if _sentiment is None else (HUB_BATCH, HUB_LEASE)
    with ctx.database.transaction() as tx:
        held = tags.claim(tx, ctx.clock(), lease, batch)
    if not held:
        return 0
    points.reached("understand.claimed")
    try:
        tagged, signatures = _read(ctx, held, analyser, model), folding.signatures(held)
    except Exception:
        with ctx.database.transaction() as tx:
            tags.release(tx, held)
        raise
    points.reached("understand.read")
    with ctx.database.transaction() as tx:
        if topics.version_in_turn(tx) != version:
            tags.release(tx, held)  # these topics are no more: they are read again under the new ones
            return len(held)
        tags.store(tx, tagged, workspace.read(tx).time_zone, ctx.clock())
        folding.examine(tx, ctx, [one.id for one in held], signatures)
        workspace.bump(tx)
        points.reached("understand.before_commit")
    points.reached("understand.stored")
    return len(held)


def _read(ctx: Context, held: Sequence[Untagged], analyser: Analyser, model: str) -> list[tuple[Untagged, TagValues]]:
    """What the model says of each, in order of length; equal texts, and those it has read before, are read once."""
    with ctx.database.reading() as tx:
        known = tags.known(tx, [one.text_hash for one in held], model)
    unread = {one.text_hash: full_text(one.title, one.text) for one in held if one.text_hash not in known}
    by_length = sorted(unread, key=lambda hash_: len(unread[hash_]))
    said = analyser.tags([unread[hash_] for hash_ in by_length])
    # A checkpoint of the hub may come or fail in the middle: the name of each tag is that of what made it.
    known.update(zip(by_length, (_values(one, renamed(one.model, model)) for one in said), strict=True))
    return [(one, known[one.text_hash]) for one in held]


def full_text(title: str | None, text: str) -> str:
    """What the model reads of a mention."""
    return f"{title}\n{text}" if title else text


def _values(said: Tags, model: str) -> TagValues:
    return TagValues(
        language=said.language,
        sentiment=said.sentiment.label.value,
        negative=said.sentiment.negative,
        neutral=said.sentiment.neutral,
        positive=said.sentiment.positive,
        intent=said.intent.label.value,
        intent_score=said.intent.score,
        topics=tuple((topic.name, topic.score) for topic in said.topics),
        embedding=said.embedding,
        model=model,
    )


# The model ------------------------------------------------------------------------------------------------------------

_guard = threading.Lock()
_open: tuple[str, Analyser] | None = None
_threads: int | None = None
_sentiment: HubModel | None = None


def use_threads(threads: int) -> None:
    """How many processor threads the model may use; to be said before it is opened."""
    global _threads
    _threads = threads


def use_sentiment_model(checkpoint: str, revision: str | None = None, labels: str | None = None) -> None:
    """Which checkpoint of the hub says the sentiment (see `analysis.HubModel`); to be said before it is opened."""
    global _sentiment
    _sentiment = HubModel(checkpoint, revision, labels)


def open_early(ctx: Context) -> None:
    """Opens the model before anything waits for it, so that trouble with a checkpoint shows at the start."""
    with ctx.database.reading() as tx:
        taxonomy = learned(tx)
    analyser_for(taxonomy)


def trouble() -> str:
    """Why the checkpoint that was asked for is not in use, in one line; "" when all is well, or none is open yet."""
    return str(getattr(_open[1], "trouble", "")) if _open is not None else ""


def learned(tx: Transaction, taxonomy: Sequence[TopicRow] | None = None) -> list[Topic]:
    """The taxonomy in force, or the one given, with what people's corrections teach: each is an example as it stands.

    A topic keeps what it was taught under its stored name, whatever the one given calls it.
    """
    stored = topics.all_(tx)
    names = {one.id: one.name for one in stored}
    rows = stored if taxonomy is None else taxonomy
    taught = topics.taught(tx, {names.get(one.id, one.name) for one in rows}, teaching(tx), EXAMPLES)
    found = []
    for one in rows:
        said = taught[names.get(one.id, one.name)]
        examples = dict.fromkeys((*one.examples, *said.examples))
        found.append(Topic(one.name, one.phrases or (one.name,), tuple(examples), tuple(said.counterexamples)))
    return found


def teaching(tx: Transaction) -> tuple[str, ...]:
    """The platforms on which people corrected topics, and which allow that this teaches the model."""
    return platforms.trainable(topics.corrected_on(tx))


def analyser_for(taxonomy: Sequence[Topic], *, keep: bool = True) -> tuple[Analyser, str]:
    """The analyser for these topics, and the name that its tags are stored under.

    It takes seconds and 150 MB to open, so one is kept for the process; other topics cost it milliseconds where it has
    the power `Rereads`. Without `keep` the one for the topics in force stays. Raises analysis.base.AnalysisError.
    """
    global _open
    version = version_of(taxonomy)
    with _guard:
        if _open is not None and _open[0] == version:
            analyser = _open[1]
        elif _open is not None and isinstance(_open[1], Rereads):
            analyser = _open[1].with_topics(taxonomy)
        else:
            analyser = _opener(taxonomy)
        if keep or _open is None:
            _open = (version, analyser)
    return analyser, f"{analyser.model}{UNDER}{version}"


UNDER = " topics "
"""Between the model's name and the version of the taxonomy, in the name that tags are stored under."""


def embedder(model: str) -> str:
    """What made the embedding of tags that are stored under this name: a checkpoint beside it makes none."""
    return model.partition(UNDER)[0].partition(BESIDE)[0]


def renamed(model: str, like: str) -> str:
    """The name of the same tags under the topics that `like` is under."""
    return model.partition(UNDER)[0] + UNDER + like.rpartition(UNDER)[2]


def version_of(taxonomy: Sequence[Topic]) -> str:
    """Eight letters that change with any topic, phrase or example: tags made under one taxonomy serve no other."""
    return hashlib.sha256(repr(list(taxonomy)).encode("utf-8", "replace")).hexdigest()[:8]


def _open_the_real_one(taxonomy: Sequence[Topic]) -> Analyser:
    from analysis import open_analyser

    return open_analyser(taxonomy, threads=_threads, sentiment=_sentiment)


_opener: Callable[[Sequence[Topic]], Analyser] = _open_the_real_one


# Requests -------------------------------------------------------------------------------------------------------------


def rebuild_rollups(ctx: Context, payload: dict[str, Any], progress: Callable[..., None]) -> dict[str, Any]:
    """Counts every day anew, after the workspace's time zone was changed."""
    progress(0, None, "Counting the days anew")
    with ctx.database.transaction() as tx:
        rollups.recount(tx, workspace.read(tx).time_zone)
        workspace.bump(tx)
    return {}
