"""How a source's query is listened for: in the one query language, or in the platform's own, and narrowed by a filter.

Both are options of a source. `syntax` says how a search is written; a source that says nothing was stored when there
was only the platform's own. `only` is a filter in the one language for whatever else a mode takes: a feed's address, a
subreddit's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from db.sources import SourceRow
from dialogue.context import DialogueError
from dialogue.search import SearchError
from listeners import registry, translation
from listeners.base import Capability, Mode, Terminal
from listeners.query import QueryError
from listeners.translation import Plan

SYNTAX, ONLY = "syntax", "only"
OPTIONS = (SYNTAX, ONLY)
COMMON, PLATFORMS = "samtal", "platform"


def chosen(mode: Mode, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with the syntax that a new source's query is written in. Raises DialogueError."""
    syntax, only = options.get(SYNTAX, COMMON), options.get(ONLY, "")
    if syntax not in (COMMON, PLATFORMS):
        raise DialogueError(f"The option {SYNTAX} is {COMMON} or {PLATFORMS}.")
    if not isinstance(only, str):
        raise DialogueError(f"The option {ONLY} is a query.")
    kept = {name: value for name, value in options.items() if name not in OPTIONS}
    if mode.syntax is not None:
        kept[SYNTAX] = syntax
    tidy = " ".join(only.split())
    if tidy and kept.get(SYNTAX) == COMMON:
        raise DialogueError(f"This search takes its filter into the query itself: write ({tidy[:60]}) behind it.")
    return {**kept, ONLY: tidy} if tidy else kept


def is_common(options: Mapping[str, Any]) -> bool:
    """Whether the query is written in the one language, rather than an address or in the platform's own syntax."""
    return options.get(SYNTAX) == COMMON


def plan(capability: Capability, mode: str, query: str, options: Mapping[str, Any]) -> Plan:
    """What the platform is asked, what is kept, and what it cannot express. Raises SearchError with the place."""
    chosen = next((one for one in capability.modes if one.name == mode), None)
    syntax, only = chosen.syntax if chosen else None, str(options.get(ONLY, ""))
    searches = syntax is not None and is_common(options)
    try:
        if syntax is None or not searches:
            return translation.as_typed(query, only)
        if chosen is not None and chosen.streams:
            return translation.as_streamed(query)
        return translation.translate(query, syntax, capability.platform, capability.title)
    except QueryError as error:
        raise SearchError(error, query if searches else only) from None


def same_reading(capability: Capability, before: SourceRow, mode: str, after: Plan) -> bool:
    """Whether a source goes on where it stands although its query has changed: its platform is asked the same as ever.

    A stream that is searched here hears everything, whatever the words.
    """
    if mode != before.mode:
        return False
    if any(one.streams and one.syntax is not None for one in capability.modes if one.name == mode):
        return True
    try:
        return plan_of(before).asked == after.asked
    except Terminal:
        return False


def looked_at_by(capability: Capability, mode: str) -> Mode | None:
    """The mode itself; for one that streams, the one that finds by the same query what has been posted before."""
    chosen = next((one for one in capability.modes if one.name == (mode or capability.default_mode)), None)
    if chosen is None or not chosen.streams:
        return chosen
    others = [one for one in capability.modes if not one.streams and one.syntax == chosen.syntax]
    same = [one for one in others if one.syntax is not None or one.query_label == chosen.query_label]
    return same[0] if same else chosen


def plan_of(source: SourceRow) -> Plan:
    """The plan of a stored source. Raises Terminal where its platform cannot be asked for it any more."""
    try:
        return plan(registry.capability(source.platform), source.mode, source.query, source.options)
    except SearchError as error:
        raise Terminal(str(error), "Edit the source's query.") from error
