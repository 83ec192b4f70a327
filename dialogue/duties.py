"""What each platform asks of whoever keeps its content: whether it is done, when it last was, and what to do if not.

The duties are those of the capabilities. What the code cannot help doing, such as leaving a text out of training, is
met always; what a worker has to do again and again is met when it last did, and overdue for what it has not reached.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from db import duties as rows
from db import sources as source_rows
from db.duties import DutyRow
from db.engine import Transaction
from dialogue.context import Actor, Context, Role, require
from dialogue.privacy import RECHECK, RETENTION
from listeners import registry
from listeners.base import Capability

WITHIN = timedelta(days=1)
"""What was deleted at its source must have gone from here so long after."""


@dataclass(frozen=True, slots=True)
class DutyView:
    """One duty on one platform. state: met, overdue, waiting (not done yet), always (kept by the code itself), never
    (the platform gives no way). `what_to_do` is a sentence, empty where nothing is."""

    platform: str
    platform_title: str
    duty: str
    words: str
    state: str
    met_at: datetime | None = None
    overdue: int = 0
    what_to_do: str = ""


@dataclass(frozen=True, slots=True)
class Compliance:
    """Every duty on the platforms that are in use, those that need a look first; and all of it in a sentence."""

    words: str
    duties: tuple[DutyView, ...]


ORDER = ("overdue", "waiting", "met", "never", "always")


def compliance(ctx: Context, actor: Actor) -> Compliance:
    """How each duty stands."""
    require(actor, Role.ADMIN)
    now = ctx.clock()
    with ctx.database.reading() as tx:
        kept = rows.kept(tx)
        used = {one.platform for one in source_rows.all_(tx) if not one.sample} | kept
        noted, left = rows.all_(tx), rows.exported(tx, now.astimezone(UTC).date())
        found = [
            duty
            for platform, allows in registry.capabilities().items()
            if platform in used
            for duty in _of(tx, allows, platform in kept, noted, left.get(platform, 0), now)
        ]
    found.sort(key=lambda one: (ORDER.index(one.state), one.platform_title.casefold()))
    return Compliance(_words(found), tuple(found))


def _words(found: list[DutyView]) -> str:
    overdue = sum(one.state == "overdue" for one in found)
    if not found:
        return "Nothing is kept yet."
    if not overdue:
        return "Every duty is met."
    return f"{overdue} {'duty is' if overdue == 1 else 'duties are'} overdue."


def _of(
    tx: Transaction,
    allows: Capability,
    kept: bool,
    noted: dict[tuple[str, str], DutyRow],
    exported: int,
    now: datetime,
) -> Iterator[DutyView]:
    yield _deletions(tx, allows, kept, noted.get((allows.platform, RECHECK)), now)
    if allows.retain is not None:
        yield _retention(tx, allows, noted.get((allows.platform, RETENTION)), now)
    for duty, words in always(allows):
        if duty == EXPORTS and allows.exports_a_day:
            words += f" {max(0, allows.exports_a_day - exported):,} are left today."
        yield DutyView(allows.platform, allows.title, duty, words, "always")


DELETIONS, KEEPING = "Deletions", "Keeping"
EXPORTS, TRAINING, ATTRIBUTION, MATCHING = "Exports", "Training", "Attribution", "Matching"


def always(allows: Capability) -> list[tuple[str, str]]:
    """The duties that the code itself keeps: each by its name, and in words."""
    found = []
    if not allows.exportable:
        some = "Posts leave"
        if allows.exports_a_day:
            some = f"At most {allows.exports_a_day:,} posts a day leave as files, the rest"
        found.append((EXPORTS, f"{some} as ids only; programs get ids only."))
    if not allows.trainable:
        found.append((TRAINING, "Nothing written there teaches a model or leaves for training."))
    if allows.attribution:
        words = f"Author and link stand by the words on pages, in files and over the API ({allows.attribution})."
        found.append((ATTRIBUTION, words))
    if not allows.cross_person_matching:
        found.append((MATCHING, "Nobody is suggested to be somebody elsewhere; who says so must write how they know."))
    return found


def _deletions(tx: Transaction, allows: Capability, kept: bool, noted: DutyRow | None, now: datetime) -> DutyView:
    if allows.recheck_every is None:
        words = "It cannot be asked what was deleted. What you learn of goes by hand, the rest by your time of keeping."
        return DutyView(allows.platform, allows.title, DELETIONS, words, "never")
    words = f"What is deleted there goes here within {_span(max(WITHIN, allows.recheck_every))}."
    view = DutyView(allows.platform, allows.title, DELETIONS, words, "met", noted.met_at if noted else None)
    if not kept:
        return _changed(view, state="waiting" if view.met_at is None else "met")
    overdue = rows.not_asked_since(tx, allows.platform, now - max(WITHIN, allows.recheck_every))
    if overdue:
        return _changed(view, state="overdue", overdue=overdue, what_to_do=_what_to_do(tx, allows, noted))
    return _changed(view, state="waiting" if view.met_at is None else "met")


def _what_to_do(tx: Transaction, allows: Capability, noted: DutyRow | None) -> str:
    """Why the platform was not asked in time, as far as one can tell, and what helps."""
    if noted is not None and noted.words:
        return noted.words
    alone = rows.unwatched(tx, allows.platform)
    if alone:
        return (
            f"Nobody asks about {alone:,}: their source was removed by an earlier version. Set a time of keeping, or "
            "listen there again to what brought them."
        )
    return "See that a worker runs, and that no source there is asked more rarely than once a day."


def _retention(tx: Transaction, allows: Capability, noted: DutyRow | None, now: datetime) -> DutyView:
    assert allows.retain is not None
    words = f"What was not given anew or confirmed for {_span(allows.retain)} goes."
    met_at = noted.met_at if noted else None
    # Housekeeping looks once an hour: what ran out since its last look is not overdue yet.
    overdue = rows.not_confirmed_since(tx, allows.platform, now - allows.retain - timedelta(hours=2))
    if overdue:
        what = "See that a worker runs: it deletes them within the hour."
        return DutyView(allows.platform, allows.title, KEEPING, words, "overdue", met_at, overdue, what)
    return DutyView(allows.platform, allows.title, KEEPING, words, "met" if met_at else "waiting", met_at)


def _changed(view: DutyView, *, state: str, overdue: int = 0, what_to_do: str = "") -> DutyView:
    return DutyView(
        view.platform, view.platform_title, view.duty, view.words, state, view.met_at, overdue, what_to_do
    )  # fmt: skip


def _span(span: timedelta) -> str:
    hours = round(span.total_seconds() / 3_600)
    return f"{hours} hours" if hours <= 48 else f"{hours // 24} days"


# The table of docs/compliance.md --------------------------------------------------------------------------------------


def table() -> str:
    """Every platform and its duties, in Markdown: `python -m dialogue.duties`."""
    lines = ["| platform | deletions | keeping | exports | training | attribution | matching people |"]
    lines.append("| --- " * 7 + "|")
    lines += [f"| {' | '.join(_cells(allows))} |" for allows in registry.capabilities().values()]
    return "\n".join(lines) + "\n"


def _cells(allows: Capability) -> tuple[str, ...]:
    every = allows.recheck_every
    limited = f"{allows.exports_a_day:,} a day, then ids only" if allows.exports_a_day else "ids only"
    return (
        f"**{allows.title}** (`{allows.platform}`)",
        f"asked every {_span(every)}" if every else "cannot be asked",
        f"{_span(allows.retain)} without being refreshed" if allows.retain else "as long as you set",
        "free" if allows.exportable else limited,
        "allowed" if allows.trainable else "no",
        allows.attribution or "-",
        "suggested" if allows.cross_person_matching else "only with their word",
    )


if __name__ == "__main__":
    print(table(), end="")
