"""The only place that names keys of the session and of the address bar. Everything here has a typed accessor.

Filters live in the address bar, so that a view can be shared; the database is the truth; the session keeps only what
one tab needs between two reruns: what was just done, which drafts are open, where 'older' and 'newer' lead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import streamlit as st

from dialogue.inbox import VIEWS, Filters

SENTIMENTS = ("negative", "neutral", "positive")
INTENTS = ("question", "complaint", "praise", "idea", "other")

# Notices --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Notice:
    """What the last click did, told on the next rerun. `undo_id` offers to take it back."""

    words: str
    kind: str = "success"
    """success, error."""
    undo_id: str | None = None
    undo_of: str = "inbox"


def tell(words: str, *, undo_id: str | None = None, undo_of: str = "inbox") -> None:
    """Says on the next rerun what was done."""
    st.session_state["notice"] = Notice(words, "success", undo_id, undo_of)


def tell_error(words: str) -> None:
    """Says on the next rerun what could not be done."""
    st.session_state["notice"] = Notice(words, "error")


def notice() -> Notice | None:
    """What is to be told now."""
    return st.session_state.get("notice")


def forget_notice() -> None:
    """It has been read, or something else was done since."""
    st.session_state.pop("notice", None)


def take_notice() -> Notice | None:
    """What is to be told now, once."""
    return st.session_state.pop("notice", None)


def ask_rerun() -> None:
    """A click inside a fragment changed what stands outside it: the fragment reruns the page instead of itself."""
    st.session_state["rerun_asked"] = True


def take_rerun() -> bool:
    """Whether the page is to be rerun, once."""
    return bool(st.session_state.pop("rerun_asked", False))


# The inbox's filters, in the address bar ------------------------------------------------------------------------------


def filters() -> Filters:
    """The filters of the address bar. What makes no sense there is left out, never an error."""
    read = st.query_params
    return Filters(
        view=read.get("view", "") if read.get("view", "") in VIEWS else "needs_answer",
        search=read.get("search", "")[:500],
        sentiment=_known(read.get_all("sentiment"), SENTIMENTS),
        intent=_known(read.get_all("intent"), INTENTS),
        topics=tuple(dict.fromkeys(name[:100] for name in read.get_all("topic") if name))[:20],
        source_id=_whole(read.get("source")),
        theme_id=_whole(read.get("theme")),
        state=read.get("state") if read.get("state") in ("open", "waiting", "closed") else None,
        assignee=_assignee(read.get("assignee")),
        day=_days(read.get("from"), read.get("to")),
    )


def filters_as_query(chosen: Filters) -> dict[str, str | list[str]]:
    """The query parameters that `filters` reads back as `chosen`."""
    query: dict[str, str | list[str]] = {}
    if chosen.view != "needs_answer":
        query["view"] = chosen.view
    if chosen.search:
        query["search"] = chosen.search
    for name, values in (("sentiment", chosen.sentiment), ("intent", chosen.intent), ("topic", chosen.topics)):
        if values:
            query[name] = list(values)
    if chosen.source_id is not None:
        query["source"] = str(chosen.source_id)
    if chosen.theme_id is not None:
        query["theme"] = str(chosen.theme_id)
    if chosen.state:
        query["state"] = chosen.state
    if chosen.assignee is not None:
        query["assignee"] = str(chosen.assignee)
    if chosen.day:
        query["from"], query["to"] = (day.isoformat() for day in chosen.day)
    return query


def change_filters(**changes: Any) -> None:
    """Writes the changed filters to the address bar and goes back to the newest page."""
    st.query_params.from_dict(filters_as_query(replace(filters(), **changes)))
    forget_notice()
    select_none()


def _known(values: Iterable[str], known: Iterable[str]) -> tuple[str, ...]:
    wanted = set(values)
    return tuple(value for value in known if value in wanted)


def _whole(value: str | None) -> int | None:
    # Longer than any id that a database could have.
    return int(value) if value and value.isascii() and value.isdigit() and len(value) < 16 else None


def _assignee(value: str | None) -> str | int | None:
    return value if value in ("me", "nobody") else _whole(value)


def _days(first: str | None, last: str | None) -> tuple[date, date] | None:
    with suppress(ValueError):
        if first and last:
            days = date.fromisoformat(first), date.fromisoformat(last)
            return days if days[0] <= days[1] else (days[1], days[0])
    return None


# Pages of the inbox ---------------------------------------------------------------------------------------------------


def cursor() -> str | None:
    """Where the shown page of the inbox begins; None at the newest."""
    return st.query_params.get("after")


def go_older(after: str) -> None:
    """To the next page; remembers the way back."""
    st.session_state.setdefault("ways_back", []).append(cursor() or "")
    st.query_params["after"] = after
    select_none()


def go_newer() -> None:
    """One page back, or to the newest where the way back is not known."""
    back = st.session_state.get("ways_back") or [""]
    _set_cursor(back.pop())


def go_newest() -> None:
    """To the first page."""
    st.session_state.pop("ways_back", None)
    _set_cursor("")


def _set_cursor(after: str) -> None:
    if after:
        st.query_params["after"] = after
    else:
        st.query_params.pop("after", None)
    select_none()


# What is ticked in the inbox ------------------------------------------------------------------------------------------

_TICK = "tick_"


def tick_key(conversation_id: int) -> str:
    """The key of a conversation's tick box."""
    return f"{_TICK}{conversation_id}"


def ticked(conversation_ids: Iterable[int]) -> list[int]:
    """Which of these are ticked."""
    return [one for one in conversation_ids if st.session_state.get(tick_key(one))]


def tick(conversation_ids: Iterable[int], value: bool) -> None:
    """Ticks or unticks them all."""
    for one in conversation_ids:
        st.session_state[tick_key(one)] = value


def select_none() -> None:
    """Unticks everything."""
    for key in [key for key in st.session_state if str(key).startswith(_TICK)]:
        st.session_state[key] = False


# The list that a conversation was opened from -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Walk:
    """A page of the inbox as it was when a conversation was opened from it: for 'next', 'previous' and the way back."""

    conversation_ids: tuple[int, ...] = ()
    query: tuple[tuple[str, str | tuple[str, ...]], ...] = ()

    def around(self, conversation_id: int) -> tuple[int | None, int | None]:
        """The conversations before and after this one."""
        if conversation_id not in self.conversation_ids:
            return None, None
        place = self.conversation_ids.index(conversation_id)
        after = self.conversation_ids[place + 1 : place + 2]
        return (self.conversation_ids[place - 1] if place else None), (after[0] if after else None)

    def as_query(self) -> dict[str, str | list[str]]:
        """The address of that page of the inbox."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in self.query}


def remember_walk(conversation_ids: Iterable[int]) -> None:
    """Keeps the shown page of the inbox for the conversation that is opened from it."""
    read = st.query_params
    query = tuple(
        (name, tuple(values) if len(values) > 1 else values[0])
        for name in dict.fromkeys(read)
        if (values := read.get_all(name))
    )
    st.session_state["walk"] = Walk(tuple(conversation_ids), query)


def walk() -> Walk:
    """The page of the inbox that was last worked from."""
    return st.session_state.get("walk") or Walk()


def conversation_id() -> int | None:
    """The conversation of the address bar, else the one last open in this tab."""
    found = _whole(st.query_params.get("conversation"))
    if found is not None:
        st.session_state["conversation"] = found
    return found if found is not None else st.session_state.get("conversation")


def last_conversation() -> int | None:
    """The conversation last open in this tab."""
    return st.session_state.get("conversation")


def forget_conversation() -> None:
    """No conversation is open any more."""
    st.session_state.pop("conversation", None)


def conversation_query(conversation: int) -> dict[str, str]:
    """The address of a conversation."""
    return {"conversation": str(conversation)}


# Composers ------------------------------------------------------------------------------------------------------------


def composer_key(conversation: int, draft_key: str) -> str:
    """The key of the text area. `draft_key` is the database's: another once a reply has left, so the next is empty."""
    return f"composer_{conversation}_{draft_key}"


def checked_key(conversation: int) -> str:
    """Where the text stands that was shown exactly as it will appear."""
    return f"checked_{conversation}"


def checked_text(conversation: int) -> str | None:
    """The text that its writer has seen exactly as it will appear; only this may be sent."""
    return st.session_state.get(checked_key(conversation))


def set_checked_text(conversation: int, words: str | None) -> None:
    """Remembers, or forgets, what was shown exactly as it will appear."""
    if words is None:
        st.session_state.pop(checked_key(conversation), None)
    else:
        st.session_state[checked_key(conversation)] = words


# What waits for the worker --------------------------------------------------------------------------------------------


def request(name: str) -> int | None:
    """The request that this tab waits for under that name (preview, account_test, import, sample …)."""
    return st.session_state.get(f"request_{name}")


def set_request(name: str, request_id: int | None) -> None:
    """Starts, or ends, waiting for a request."""
    if request_id is None:
        st.session_state.pop(f"request_{name}", None)
    else:
        st.session_state[f"request_{name}"] = request_id


# Anything that one page opens and closes ------------------------------------------------------------------------------


def opened(what: str) -> Any:
    """What is open under that name: a form, an item; None when nothing is."""
    return st.session_state.get(f"opened_{what}")


def open_up(what: str, value: Any = True) -> None:
    """Opens it."""
    st.session_state[f"opened_{what}"] = value


def close_up(what: str) -> None:
    """Closes it."""
    st.session_state.pop(f"opened_{what}", None)


def chosen(name: str, options: Iterable[str], otherwise: str) -> str:
    """One of the options, by the address bar; `otherwise` where that says nothing sensible."""
    value = st.query_params.get(name, "")
    return value if value in set(options) else otherwise


def choose(name: str, value: str) -> None:
    """Puts a choice into the address bar."""
    st.query_params[name] = value


def shown_once(secret_of: str, secret: str | None = None) -> str | None:
    """Keeps a secret for the rerun that shows it; it is gone with the next visit of the page."""
    if secret is not None:
        st.session_state[f"once_{secret_of}"] = secret
    return st.session_state.get(f"once_{secret_of}")


def forget_once(secret_of: str) -> None:
    """It has been copied."""
    st.session_state.pop(f"once_{secret_of}", None)


def as_pairs(query: Mapping[str, str | list[str]]) -> list[tuple[str, str]]:
    """Query parameters for links, one pair a value."""
    return [(name, one) for name, value in query.items() for one in (value if isinstance(value, list) else [value])]
