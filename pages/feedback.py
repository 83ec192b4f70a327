"""Feedback: what people need, in their words, on a board that says what became of it."""

from __future__ import annotations

from datetime import datetime

import streamlit as st

from dialogue import feedback
from dialogue.context import Actor, Context, Role
from pages.parts import context, look, notices, state, text

STATE_WORDS = {
    "new": "New",
    "reviewing": "Reviewing",
    "planned": "Planned",
    "shipped": "Shipped",
    "declined": "Declined",
}
KIND_BADGES = {
    "idea": ("blue", ":material/lightbulb:"),
    "need": ("violet", ":material/volunteer_activism:"),
    "defect": ("red", ":material/bug_report:"),
}
EMPTY = (
    "Nothing stands on the board yet. Open a conversation and choose *Add to feedback* below what somebody said, "
    "or add an item here."
)
Board = dict[str, tuple[feedback.ItemCard, ...]]


# Loader: never draws --------------------------------------------------------------------------------------------------


@st.cache_data(ttl=60, max_entries=50, show_spinner=False)
def load_board(scope: context.Scope, _ctx: Context, _person: Actor) -> Board:
    """The items by state."""
    return feedback.board(_ctx, _person)


# Views: never load ----------------------------------------------------------------------------------------------------


def show_top(board: Board) -> str | None:
    """Title, which states to show, and the way to add. Returns the chosen state, None for all."""
    asked = sum(item.askers for items in board.values() for item in items)
    open_items = sum(len(items) for name, items in board.items() if name not in ("shipped", "declined"))
    left, right = st.columns([0.7, 0.3], vertical_alignment="center")
    with left:
        backed = f"backed by {text.counted(asked, 'person who asked', 'people who asked')}"
        words = f"{text.counted(open_items, 'open item')}, {backed}." if any(board.values()) else "What people need."
        look.heading("Feedback", words)
    with right, st.container(horizontal=True, horizontal_alignment="right"):
        if context.may(Role.PRODUCT):
            st.button(
                "Add an item",
                icon=":material/add:",
                type="primary",
                key="add_item",
                on_click=state.open_up,
                args=("item_form", "new"),
            )
    counts = {name: len(board.get(name, ())) for name in feedback.STATES}
    chosen = st.segmented_control(
        "Show",
        ["all", *feedback.STATES],
        default="all",
        required=True,
        key="board_state",
        wrap=False,
        label_visibility="collapsed",
        format_func=lambda name: "All" if name == "all" else f"{STATE_WORDS.get(name, name)} {counts[name]}",
    )
    return None if chosen in (None, "all") else chosen


def show_board(board: Board, only: str | None, now: datetime) -> None:
    """Columns by state; or one state as a list."""
    if not any(board.values()):
        look.nothing(EMPTY, ":material/lightbulb:")
        return
    if only is not None:
        for item in board.get(only, ()):
            show_card(item, now)
        if not board.get(only):
            look.nothing(f"Nothing is {STATE_WORDS.get(only, only).lower()}.", ":material/lightbulb:")
        return
    with st.container(key="board"):
        for column, name in zip(st.columns(len(feedback.STATES), gap="small"), feedback.STATES, strict=True):
            with column:
                items = board.get(name, ())
                st.markdown(f"**{STATE_WORDS.get(name, name)}** :gray[{len(items)}]")
                for item in items:
                    show_card(item, now)


def show_card(item: feedback.ItemCard, now: datetime) -> None:
    """An item: what, how many asked, and one voice."""
    colour, icon = KIND_BADGES.get(item.kind, ("gray", ""))
    with st.container(border=True, key=f"item-{item.id}", gap="xsmall"):
        st.markdown(f"**{text.plain(item.title, 120)}**")
        words = text.counted(item.askers, "person asked", "people asked") if item.askers else "nobody linked yet"
        st.markdown(
            look.badge(item.kind, colour, icon)
            + " "
            + look.grey(words)
            + (" " + look.badge("sample", "gray", ":material/science:") if item.sample else "")
        )
        if item.quotes:
            st.caption(f"“{text.plain(item.quotes[0].text, 140)}”")
        if item.reason:
            st.caption(f":material/info: {text.plain(item.reason, 140)}")
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button(
                "Open",
                key=f"open_item_{item.id}",
                type="tertiary",
                icon=":material/open_in_full:",
                on_click=state.open_up,
                args=("item", item.id),
            )
            st.markdown(look.small(text.ago(item.changed_at, now)))


def show_item(item: feedback.ItemCard, now: datetime) -> None:
    """Everything about one item: its voices, where it stands and why, and what can be changed."""
    if item.description:
        look.quote(item.description, key=f"description_{item.id}")
    if context.may(Role.PRODUCT):
        show_move(item)
    elif item.reason:
        st.caption(text.plain(item.reason, 500))
    st.markdown(f"**In their words** :gray[{len(item.quotes)}]")
    if not item.quotes:
        st.caption("No quote backs it yet. Add one from a conversation: *Add to feedback*, then *Existing item*.")
    for quote in item.quotes:
        show_quote(item, quote, now)
    if context.may(Role.PRODUCT):
        show_edit(item)


def show_move(item: feedback.ItemCard) -> None:
    """Where it stands, and why, in words for those who asked."""
    with st.form(f"move_{item.id}", border=True):
        target = st.pills(
            "Stands at",
            feedback.STATES,
            default=item.state,
            required=True,
            format_func=lambda name: STATE_WORDS.get(name, name),
        )
        reason = st.text_input(
            "Why, in words for those who asked",
            item.reason,
            max_chars=1_000,
            placeholder="In the spring release; or why we will not do it",
        )
        if st.form_submit_button("Move", icon=":material/arrow_forward:", type="primary"):
            with look.telling_errors():
                feedback.move(context.ctx(), context.actor(), item.id, target, reason)
                state.close_up("item")
                state.tell(f"Moved to {STATE_WORDS.get(target, target).lower()}.")
                st.rerun()


def show_quote(item: feedback.ItemCard, quote: feedback.Quote, now: datetime) -> None:
    """One voice, with the way to its conversation."""
    with st.container(border=True, key=f"quote-{item.id}-{quote.mention_id}", gap="xsmall"):
        look.quote(quote.text, limit=600, key=f"quote_{item.id}_{quote.mention_id}")
        look.attribution(quote.attribution, quote.url)
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(look.small(f"{quote.author_name} · {quote.platform_title} · {text.ago(quote.at, now)}"))
            st.button(
                "Conversation",
                key=f"to_{item.id}_{quote.mention_id}",
                type="tertiary",
                icon=":material/forum:",
                on_click=_to_conversation,
                args=(quote.conversation_id,),
            )
            if context.may(Role.PRODUCT):
                st.button(
                    "Take off",
                    key=f"off_{item.id}_{quote.mention_id}",
                    type="tertiary",
                    icon=":material/link_off:",
                    help="This quote no longer backs the item",
                    on_click=_detach,
                    args=(item.id, quote.mention_id),
                )


def show_edit(item: feedback.ItemCard) -> None:
    """Title, description, kind; and the way off the board."""
    with st.expander("Edit or delete", icon=":material/edit:"), st.form(f"edit_{item.id}", border=False):
        title = st.text_input("Title", item.title, max_chars=200)
        description = st.text_area("Description", item.description, max_chars=feedback.MAX_WORDS)
        kind = st.pills("Kind", feedback.KINDS, default=item.kind, required=True)
        left, right = st.columns(2)
        save = left.form_submit_button("Save", type="primary")
        delete = right.form_submit_button("Delete the item", icon=":material/delete:")
    with look.telling_errors():
        if save:
            feedback.edit(context.ctx(), context.actor(), item.id, title, description, kind)
            state.tell("Saved.")
        elif delete:
            undo_id = feedback.delete(context.ctx(), context.actor(), item.id)
            state.tell(f"“{text.shorten(item.title, 60)}” deleted.", undo_id=undo_id, undo_of="feedback")
        if save or delete:
            state.close_up("item")
            st.rerun()


@st.dialog("Add an item", icon=":material/add:", on_dismiss=lambda: state.close_up("item_form"))
def show_add() -> None:
    """A new item without a quote."""
    with st.form("item_add", border=False):
        title = st.text_input("Title", max_chars=200, placeholder="GPX export of routes", key="item_add_title")
        kind = st.pills("Kind", feedback.KINDS, default=feedback.KINDS[0], required=True, key="item_add_kind")
        description = st.text_area("Description", max_chars=feedback.MAX_WORDS, key="item_add_description")
        if st.form_submit_button("Add", type="primary", key="item_add_go"):
            with look.telling_errors():
                feedback.add(context.ctx(), context.actor(), title, kind, description=description)
                state.close_up("item_form")
                state.tell("Added to the board.")
                st.rerun()


def _to_conversation(conversation_id: int) -> None:
    state.close_up("item")
    state.open_up("conversation_from_feedback", conversation_id)


def _detach(item_id: int, mention_id: int) -> None:
    with look.telling_errors_later():
        feedback.detach(context.ctx(), context.actor(), item_id, mention_id)
        state.tell("Taken off; the mention itself stays.")


def main() -> None:
    """Wires loader and views."""
    context.through_the_dashboard()
    going_to = state.opened("conversation_from_feedback")
    if going_to is not None:
        state.close_up("conversation_from_feedback")
        st.switch_page("pages/conversation.py", query_params=state.conversation_query(going_to))
    person, now = context.actor(), context.now()
    with look.telling_errors():
        board = load_board(context.scope(person), context.ctx(), person)
        notices.show()
        only = show_top(board)
        look.sample_banner(any(item.sample for items in board.values() for item in items))
        show_board(board, only, now)
        opened = state.opened("item")
        item = next((item for items in board.values() for item in items if item.id == opened), None)
        if item is not None:
            title, icon = text.plain(item.title, 120), KIND_BADGES.get(item.kind, ("", ":material/lightbulb:"))[1]
            dialog = st.dialog(title, width="large", icon=icon, on_dismiss=lambda: state.close_up("item"))
            dialog(show_item)(item, now)
        elif state.opened("item_form"):
            show_add()


main()
