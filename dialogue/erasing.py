"""Erasing an author: their account is gone from its platform, or they asked for it. Everything of theirs goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from db import context, forgetting, mentions, people, requests, traces, workspace
from db.engine import Transaction
from dialogue import audit
from dialogue.context import Actor, Context, DialogueError, Missing, Role, require
from dialogue.requests import QUOTING
from dialogue.text import as_id
from listeners.base import clean

ERASED = "erased on request"


@dataclass(frozen=True, slots=True)
class Erased:
    """What went with an author, or with all of a person's accounts."""

    mentions: int
    authors: int

    @property
    def words(self) -> str:
        """For whoever asked for it."""
        if not self.authors:
            return "Nothing of theirs is here."
        return f"{self.mentions:,} mention{'' if self.mentions == 1 else 's'} and all that was made of them are gone."


def forget_author(ctx: Context, actor: Actor, platform: str, author_id: str) -> Erased:
    """Forgets an author with all that they wrote: their account is gone, or they asked for it. Raises Missing."""
    require(actor, Role.ADMIN)
    with ctx.database.transaction() as tx:
        platform, author_id = clean(platform)[:100], clean(author_id)[:1_000]
        found = people.by_author(tx, platform, author_id)
        if found is None and not context.written_by(tx, platform, [author_id]):
            raise Missing("Nobody by this id has written here, or not any more.")
        return _erase(ctx, tx, actor, [(platform, author_id)], [found] if found else [])


def forget_person(ctx: Context, actor: Actor, person_id: int) -> Erased:
    """Forgets a person: every account of theirs that is known, with all that was written with it. Raises Missing."""
    require(actor, Role.ADMIN)
    with ctx.database.transaction() as tx:
        if people.get(tx, as_id(person_id)) is None:
            raise Missing("This person is not here any more.")
        authors = people.identities(tx, person_id)
        return _erase(ctx, tx, actor, [(one.platform, one.external_id) for one in authors], authors)


def _erase(
    ctx: Context,
    tx: Transaction,
    actor: Actor,
    accounts: Sequence[tuple[str, str]],
    authors: Sequence[people.IdentityRow],
) -> Erased:
    """What they wrote with these accounts, each a platform and an id there, leaves tombstones, so that a source which
    still finds it does not bring it back.

    `authors` are those of them that wrote mentions; others are known only by what mentions refer to.
    """
    if any(one.ours for one in authors):
        raise DialogueError("This is an account of ours; what it wrote stays.")
    now, digest = ctx.clock(), ctx.secrets.digest
    written = [id_ for platform, author_id in accounts for id_ in mentions.written_by(tx, platform, [author_id])]
    marks = traces.of(tx, accounts, written)
    gone = forgetting.forget(tx, written, now=now, reason=ERASED, digest=digest)
    for platform, author_id in accounts:
        beside = context.written_by(tx, platform, [author_id])
        forgetting.forget_context(tx, platform, beside, now=now, reason=ERASED, digest=digest)
    forgetting.forget_authors(tx, [one.id for one in authors])
    traces.forget(tx, marks)
    requests.forget(tx, QUOTING, now + timedelta(seconds=1))  # they last for a day, and are asked for anew in a moment
    audit.record(tx, ctx, actor, "erased", "author", "", authors=len(accounts), mentions=gone)  # and not who it was
    workspace.bump(tx)
    return Erased(gone, len(accounts))
