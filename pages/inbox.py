"""Inbox: what needs an answer next. Saved views, one search line, one row of filters, and a dense list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial

import pandas as pd
import streamlit as st

from dialogue import exports, inbox, replies, themes
from dialogue.context import Actor, Context, Role
from dialogue.text import headed
from pages.parts import aside, context, copies, export, look, note_form, notices, state, tags, text

VIEW_WORDS = {
    "needs_answer": "Needs an answer",
    "mine": "Mine",
    "waiting": "Waiting",
    "closed": "Closed",
    "all": "All",
    "set_aside": "Set aside",
}
EMPTY = {
    "needs_answer": "Nothing needs an answer. New mentions appear here by themselves; connect more under **Sources**.",
    "mine": "Nothing is assigned to you. Tick conversations under **Needs an answer** and choose *Assign*.",
    "waiting": "Nobody was answered yet. What you have answered waits here until they speak again.",
    "closed": "Nothing has been closed yet.",
    "all": "Nothing has been collected yet. Connect a source under **Sources**, or load sample data on **Summary**.",
    "set_aside": "Nothing is set aside. Likely spam is kept here, out of every count, until you say otherwise.",
}
NOBODY_FOUND = "No conversation matches these filters. Take one away, or clear them all."
NOBODY_FOUND_HERE = f"{NOBODY_FOUND} Other conversations may match under *All*."
EVERY_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Model:
    """Everything that the page shows."""

    filters: inbox.Filters
    counts: dict[str, int]
    facets: inbox.Facets
    page: inbox.InboxPage
    problem: str
    pointer: str
    """Where in the search line the problem is, in two lines for a fixed-width font."""
    to_approve: tuple[replies.ReplyView, ...]
    theme: str | None = None
    """The name of the theme that is filtered by."""


# Loaders: never draw --------------------------------------------------------------------------------------------------


def load(person: Actor, filters: inbox.Filters, after: str | None) -> Model:
    """What `person` sees under these filters."""
    scope, ctx = context.scope(person), context.ctx()
    page, problem, pointer = inbox.InboxPage((), None), "", ""
    try:
        page = load_page(scope, filters, after, ctx, person)
    except inbox.SearchError as error:
        problem, pointer = str(error), error.pointer
    to_approve = replies.awaiting(ctx, person) if person.role >= Role.APPROVER else ()
    theme = themes.name_of(ctx, filters.theme_id) if filters.theme_id is not None else None
    counts, facets = load_counts(scope, ctx, person), load_facets(scope, ctx)
    return Model(filters, counts, facets, page, problem, pointer, to_approve, theme)


@st.cache_data(ttl=60, max_entries=200, show_spinner=False)
def load_page(
    scope: context.Scope, filters: inbox.Filters, after: str | None, _ctx: Context, _person: Actor
) -> inbox.InboxPage:
    """One page of cards."""
    return inbox.page(_ctx, _person, filters, after)


@st.cache_data(ttl=60, max_entries=200, show_spinner=False)
def load_counts(scope: context.Scope, _ctx: Context, _person: Actor) -> dict[str, int]:
    """How many conversations each view holds."""
    return inbox.counts(_ctx, _person)


@st.cache_data(ttl=60, max_entries=50, show_spinner=False)
def load_facets(scope: context.Scope, _ctx: Context) -> inbox.Facets:
    """What can be filtered by."""
    return inbox.facets(_ctx)


# Views: never load ----------------------------------------------------------------------------------------------------


def show_top(model: Model) -> None:
    """Title and search line, the views with their counts, the row of filters."""
    left, right = st.columns([1, 1], vertical_alignment="center")
    with left, st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="title"):
        st.markdown("# Inbox", anchors=False, width="content")
        st.markdown(look.small(heading_words(model)), width="content")
    with right, st.container(horizontal=True, vertical_alignment="center", gap="small", key="search-line"):
        st.session_state["search"] = model.filters.search
        st.text_input(
            "Search",
            key="search",
            type="search",
            icon=":material/search:",
            label_visibility="collapsed",
            placeholder="Search: delivery AND (late OR lost) -refund author:jane",
            max_chars=500,
            on_change=_changed,
            args=("search", "search"),
        )
        note_form.show_button()
    st.session_state["view"] = model.filters.view
    st.segmented_control(
        "View",
        inbox.VIEWS,
        key="view",
        required=True,
        wrap=False,
        label_visibility="collapsed",
        format_func=lambda view: _view_words(view, model.counts),
        on_change=_changed,
        args=("view", "view"),
    )
    show_filters(model)
    if model.problem:
        look.problem(model.problem, model.pointer)


def heading_words(model: Model) -> str:
    """What waits in all; of a filtered list, what it holds as far as one page tells."""
    if filtered(model.filters):
        if model.problem or state.cursor():
            return "A filtered list."
        count = len(model.page.cards)
        return f"{count:,} or more found." if model.page.next else f"{text.counted(count, 'conversation')} found."
    waiting = model.counts.get("needs_answer", 0)
    words = f"{text.counted(waiting, 'conversation needs', 'conversations need')} an answer."
    return words if waiting else "Everything is answered."


def filtered(filters: inbox.Filters) -> bool:
    """Whether anything but the view was chosen."""
    return filters != inbox.Filters(view=filters.view)


def _view_words(view: str, counts: dict[str, int]) -> str:
    count = counts.get(view)
    return VIEW_WORDS.get(view, view) + (f" {count:,}" if count and view != "all" else "")


def show_filters(model: Model) -> None:
    """One row; each choice goes to the address bar at once."""
    chosen, facets = model.filters, model.facets
    with st.container(horizontal=True, key="filters", gap="xsmall"):
        _choose("source_id", "Source", "All sources", dict(facets.sources), chosen.source_id)
        _choose_many(
            "sentiment", "Mood", {one: f"{look.MARKS[one]} {one}" for one in state.SENTIMENTS}, chosen.sentiment
        )
        _choose_many("intent", "Intent", {one: one for one in state.INTENTS}, chosen.intent)
        _choose_many("topics", "Topic", {one: one for one in facets.topics}, chosen.topics)
        people = {"me": "Me", "nobody": "Nobody", **dict(facets.colleagues)}
        _choose("assignee", "Assigned to", "Anyone", people, chosen.assignee)
        if chosen.day:
            st.button(
                _day_words(chosen.day),
                icon=":material/close:",
                key="clear_day",
                help="Show all days",
                on_click=state.change_filters,
                kwargs={"day": None},
            )
        if chosen.theme_id is not None:
            st.button(
                text.plain(model.theme or "A theme that is gone", 40),
                icon=":material/close:",
                key="clear_theme",
                help="Show what is in no theme, too",
                on_click=state.change_filters,
                kwargs={"theme_id": None},
            )
        if filtered(chosen):
            st.button(
                "Clear",
                icon=":material/filter_alt_off:",
                type="tertiary",
                key="clear_filters",
                on_click=_clear,
                args=(chosen.view,),
            )


def _choose(field: str, label: str, anything: str, options: dict, value: object) -> None:
    key = f"filter_{field}"
    st.session_state[key] = value if value in options else None
    st.selectbox(
        label,
        list(options),
        index=None,
        placeholder=anything,
        key=key,
        label_visibility="collapsed",
        width=130,
        format_func=lambda one: text.shorten(text.tidy(str(options[one])), 60),
        on_change=_changed,
        args=(field, key),
    )


def _choose_many(field: str, label: str, options: dict[str, str], value: tuple[str, ...]) -> None:
    key = f"filter_{field}"
    words = dict(options) | {one: one for one in value if one not in options}
    st.session_state[key] = list(value)
    st.multiselect(
        label,
        list(words),
        key=key,
        label_visibility="collapsed",
        width=150,
        placeholder=f"Any {label.lower()}",
        format_func=lambda one: text.shorten(text.tidy(words.get(one, one)), 60),
        on_change=_changed,
        args=(field, key),
    )


def _day_words(days: tuple[date, date]) -> str:
    first, last = (f"{day.day} {day:%b}" for day in days)
    return first if first == last else f"{first} to {last}"


def _changed(field: str, key: str) -> None:
    value = st.session_state[key]
    state.change_filters(**{field: tuple(value) if isinstance(value, list) else value if value is not None else None})


def _clear(view: str) -> None:
    st.query_params.from_dict(state.filters_as_query(inbox.Filters(view=view)))
    state.select_none()


def show_cards(model: Model, person: Actor) -> None:
    """The list, with what can be done to many at once."""
    cards = model.page.cards
    if not cards:
        if not model.problem:
            look.nothing(_nobody_found(model.filters.view) if filtered(model.filters) else EMPTY[model.filters.view])
        return
    ids = tuple(card.conversation_id for card in cards)
    if person.role >= Role.RESPONDER:
        show_bulk(ids, model)
    if model.filters.day or model.filters.theme_id is not None:
        st.caption("A conversation is listed when anything said then matches; its card shows what was said last.")
    now = context.now()
    with st.container(key="cards"):
        # One button stands out: the first that is late, the next thing to do.
        first_late = next((card.conversation_id for card in cards if overdue(card, now)), None)
        for card in cards:
            show_card(card, ids, now, person, model.facets.topics, urgent=card.conversation_id == first_late)
    show_paging(model.page)


def _nobody_found(view: str) -> str:
    return NOBODY_FOUND if view == "all" else NOBODY_FOUND_HERE


def show_bulk(ids: tuple[int, ...], model: Model) -> None:
    """Close, reopen or assign everything that is ticked."""
    chosen = state.ticked(ids)
    with st.container(horizontal=True, vertical_alignment="center", key="bulk", gap="small"):
        st.session_state["tick_all"] = len(chosen) == len(ids)
        st.checkbox(
            f"{len(chosen)} chosen" if chosen else "Choose all on this page",
            key="tick_all",
            on_change=lambda: state.tick(ids, st.session_state["tick_all"]),
        )
        if not chosen:
            look.sample_banner(any(card.sample for card in model.page.cards))
            return
        if model.filters.view == "set_aside":
            st.button(
                "Not spam", icon=":material/undo:", key="bulk_not_spam", on_click=aside.bring_back, args=(chosen,)
            )
            return
        st.button(f"Close {len(chosen)}", icon=":material/done_all:", key="bulk_close", on_click=_close, args=(chosen,))
        if any(card.state == "closed" for card in model.page.cards if card.conversation_id in chosen):
            st.button("Reopen", icon=":material/replay:", key="bulk_reopen", on_click=_reopen, args=(chosen,))
        names = {"nobody": "Nobody", **dict(model.facets.colleagues)}
        st.menu_button(
            "Assign to",
            list(names),
            icon=":material/person_add:",
            key="bulk_assign",
            format_func=lambda one: text.plain(names[one], 60),
            on_click=_assign,
            args=(chosen,),
        )
        st.button(
            "Mark unread",
            icon=":material/mark_email_unread:",
            key="bulk_unread",
            type="tertiary",
            on_click=_mark_unread,
            args=(chosen,),
        )
        st.button(
            "Set aside",
            icon=aside.ICON,
            key="bulk_set_aside",
            type="tertiary",
            help="As spam: out of the inbox and of every count, never deleted",
            on_click=aside.set_aside,
            args=(chosen,),
        )


def _close(ids: list[int]) -> None:
    with look.telling_errors_later():
        undo_id = inbox.close(context.ctx(), context.actor(), ids)
        state.tell(f"{text.counted(len(ids), 'conversation')} closed.", undo_id=undo_id)
        state.select_none()


def _reopen(ids: list[int]) -> None:
    with look.telling_errors_later():
        undo_id = inbox.reopen(context.ctx(), context.actor(), ids)
        state.tell(f"{text.counted(len(ids), 'conversation')} reopened.", undo_id=undo_id)
        state.select_none()


def _assign(ids: list[int]) -> None:
    picked = st.session_state["bulk_assign"]
    with look.telling_errors_later():
        user_id = None if picked == "nobody" else picked
        undo_id = inbox.assign(context.ctx(), context.actor(), ids, user_id)
        state.tell(f"{text.counted(len(ids), 'conversation')} assigned.", undo_id=undo_id)
        state.select_none()


def _mark_unread(ids: list[int]) -> None:
    with look.telling_errors_later():
        for one in ids:
            inbox.mark_unread(context.ctx(), context.actor(), one)
        state.select_none()


def show_card(
    card: inbox.Card, ids: tuple[int, ...], now: datetime, person: Actor, topics: Sequence[str], *, urgent: bool
) -> None:
    """Who, where, when, what is due and what to remember; then what was said."""
    one = card.conversation_id
    with st.container(key=f"card-{one}", horizontal=True):
        if person.role >= Role.RESPONDER:
            st.checkbox(
                f"Choose the conversation with {text.plain(card.author_name, 60)}",
                key=state.tick_key(one),
                label_visibility="collapsed",
                width="content",
            )
        with st.container(key=f"said-{one}"):
            st.markdown(card_line(card, now))
            st.text(text.shorten(" ".join(text.tidy(headed(card.title, card.text)).split()), 400))
            if card.aside:
                st.markdown(look.small(card.aside))
        with st.container(key=f"does-{one}", horizontal=True, width="content", vertical_alignment="center"):
            tags.correct(card.mention_id, card.sentiment, card.intent, card.topics, card.corrected, topics)
            if card.aside and person.role >= Role.RESPONDER:
                st.button(
                    "Not spam",
                    key=f"not_spam_{one}",
                    icon=":material/undo:",
                    on_click=aside.bring_back,
                    args=([one],),
                )
            if card.copies:
                copies.show_popover(one, card.copies, now, "conversation_now")
            may_answer = card.answerable and person.role >= Role.RESPONDER
            answers = may_answer and card.state != "closed" and not card.aside
            st.button(
                "Answer" if answers else "Open",
                key=f"open_{one}",
                on_click=_open,
                args=(one, ids),
                type="primary" if answers and urgent else "secondary",
                icon=":material/reply:" if answers else ":material/chat_bubble:",
                help=text.plain(card.answer_note) or None,
            )


def overdue(card: inbox.Card, now: datetime) -> bool:
    """Whether its answer should have left by now."""
    return needs_answer(card) and card.due_at is not None and card.due_at <= now


def needs_answer(card: inbox.Card) -> bool:
    """Whether somebody waits for one: not under a copy, nor under what is set aside."""
    return card.state == "open" and not card.folded and not card.aside


def card_line(card: inbox.Card, now: datetime) -> str:
    """Markdown of the first line."""
    name = text.plain(card.author_name or card.handle or "Unknown", 60)
    where = [card.platform_title, card.place, text.stars(card.rating) if card.rating is not None else ""]
    words = [f":primary[●] **{name}**" if card.unread else name]
    where.append(text.ago(card.posted_at, now))
    where.append(f"{card.mention_count:,} messages" if card.mention_count > 1 else "")
    words.append(look.grey(" · ".join(["", *filter(None, where)])))
    words.extend(card_badges(card, now))
    return " ".join(words)


def card_badges(card: inbox.Card, now: datetime) -> list[str]:
    """What is due, what to remember, who has it, what cannot be done."""
    found = []
    if needs_answer(card) and card.due_at is not None:
        late = overdue(card, now)
        words = f"overdue {text.span(now - card.due_at)}" if late else f"due in {text.span(card.due_at - now)}"
        found.append(look.badge(words, "red" if late else "orange", ":material/schedule:"))
    if card.memory:
        found.append(look.badge(card.memory, "violet", ":material/history:"))
    if card.assignee_name:
        found.append(look.badge(card.assignee_name, "blue", ":material/person:"))
    if not card.answerable:
        found.append(look.badge("hand-off", "gray", ":material/open_in_new:"))
    if card.uncertain:
        found.append(look.badge("tags uncertain", "gray", ":material/help:"))
    if card.folded:
        found.append(look.badge("copy", "gray", copies.ICON))
    if card.sample:
        found.append(look.badge("sample", "gray", ":material/science:"))
    return found


def _open(conversation_id: int, ids: tuple[int, ...]) -> None:
    state.remember_walk(ids)
    state.open_up("conversation_now", conversation_id)


def show_paging(page: inbox.InboxPage) -> None:
    """Older and newer."""
    with st.container(horizontal=True, horizontal_alignment="center", key="paging"):
        if state.cursor():
            st.button("Newest", icon=":material/first_page:", key="newest", on_click=state.go_newest, type="tertiary")
            st.button("Newer", icon=":material/chevron_left:", key="newer", on_click=state.go_newer)
        if page.cards and context.may(Role.PRODUCT):
            st.download_button(
                "CSV",
                partial(_csv, context.ctx(), context.actor(), state.filters()),
                "samtal-mentions.csv",
                "text/csv",
                icon=":material/download:",
                type="tertiary",
                key="mentions_csv",
                help="What this list shows, the newest mention of each conversation",
                on_click="ignore",
            )
        if page.next:
            st.button(
                "Older",
                icon=":material/chevron_right:",
                icon_position="right",
                key="older",
                on_click=state.go_older,
                args=(page.next,),
            )


def _csv(ctx: Context, person: Actor, filters: inbox.Filters) -> bytes:
    return export.csv(pd.DataFrame(exports.take(ctx, person, filters).rows))


@st.fragment(run_every=EVERY_SECONDS)
def show_news(filters: inbox.Filters, shown: tuple[tuple[int, int], ...], unread: frozenset[int]) -> None:
    """Counts what has arrived since the list was drawn, and shows the tags of what the model had not read by then."""
    person = context.actor()
    with look.telling_errors():
        fresh = load_page(context.scope(person), filters, None, context.ctx(), person)
        if any(card.conversation_id in unread and card.sentiment for card in fresh.cards):
            st.rerun()
        known = set(shown)
        count = sum((card.conversation_id, card.version) not in known for card in fresh.cards)
        if count and st.button(f"{count} new: show", icon=":material/arrow_upward:", key="news", type="primary"):
            st.rerun()


def show_to_approve(waiting: tuple[replies.ReplyView, ...]) -> None:
    """For approvers: what others wrote and what waits for a yes."""
    if not waiting:
        return
    with st.expander(
        f"{text.counted(len(waiting), 'reply waits', 'replies wait')} for your approval",
        icon=":material/approval:",
        key="to_approve",
        on_change="rerun",
    ) as box:
        if box.open:
            for view in waiting:
                _show_waiting_reply(view)


def _show_waiting_reply(view: replies.ReplyView) -> None:
    with st.container(border=True, key=f"approve-{view.id}"):
        st.caption(f"{text.plain(view.author_name, 60)} wants to send:")
        look.quote(view.text, key=f"approve_{view.id}")
        with st.container(horizontal=True):
            st.button(
                "Approve and send", type="primary", key=f"approve_{view.id}", on_click=_decide, args=(view.id, True)
            )
            st.button("Send back", key=f"reject_{view.id}", on_click=_decide, args=(view.id, False))
            st.button(
                "Open",
                type="tertiary",
                key=f"approve_open_{view.id}",
                on_click=_open,
                args=(view.conversation_id, (view.conversation_id,)),
            )


def _decide(reply_id: int, yes: bool) -> None:
    with look.telling_errors_later():
        (replies.approve if yes else replies.reject)(context.ctx(), context.actor(), reply_id)
        state.tell("Approved; it is on its way." if yes else "Sent back to its writer.")


def main() -> None:
    """Wires loaders and views."""
    context.through_the_dashboard()
    going_to = state.opened("conversation_now")
    if going_to is not None:
        state.close_up("conversation_now")
        st.switch_page("pages/conversation.py", query_params=state.conversation_query(going_to))
    person, filters = context.actor(), state.filters()
    with look.telling_errors():
        model = load(person, filters, state.cursor())
        notices.show()
        show_top(model)
        show_to_approve(model.to_approve)
        if state.cursor() is None and not model.problem:
            cards = model.page.cards
            unread = frozenset(card.conversation_id for card in cards if card.sentiment is None)
            show_news(filters, tuple((card.conversation_id, card.version) for card in cards), unread)
        show_cards(model, person)
        note_form.show_dialog()


main()
