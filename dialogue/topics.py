"""The taxonomy: what mentions can be about, as the company describes it in words."""

from __future__ import annotations

from dataclasses import dataclass

from db import topics as rows
from db import workspace
from dialogue.context import Context


@dataclass(frozen=True, slots=True)
class TopicView:
    """One topic: its name and the phrases that describe it."""

    name: str
    phrases: tuple[str, ...]
    examples: tuple[str, ...]


def topics(ctx: Context) -> list[TopicView]:
    """Every topic in the order of the taxonomy."""
    with ctx.database.reading() as tx:
        return [TopicView(row.name, row.phrases, row.examples) for row in rows.all_(tx)]


def ensure_defaults(ctx: Context) -> None:
    """Puts the default taxonomy in place while there is none at all."""
    if topics(ctx):
        return
    from analysis import default_topics

    found = [rows.TopicRow(one.name, one.phrases, one.examples) for one in default_topics()]
    with ctx.database.transaction() as tx:
        if not rows.all_(tx):
            rows.replace(tx, found)
            workspace.bump(tx)
