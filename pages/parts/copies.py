"""Who else said the same, where and when; each can be opened, here and there, or be told to be no copy."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import streamlit as st

from dialogue import folding
from dialogue.context import Actor, Context, Role
from pages.parts import context, look, state, text

ICON = ":material/content_copy:"
SHOWN = 20
"""Copies that are listed with their buttons; more would only be scrolled past."""


@st.cache_data(ttl=60, max_entries=50, show_spinner=False)
def load(scope: context.Scope, conversation_id: int, _ctx: Context, _person: Actor) -> tuple[folding.CopyView, ...]:
    """The copies of what was said in this conversation."""
    return folding.copies(_ctx, _person, conversation_id)


def show_popover(conversation_id: int, count: int, now: datetime, way: str) -> None:
    """A quiet button with their number; nothing is read or drawn while it is closed.

    `way`: the name under which the page learns which conversation to go to.
    """
    label = f"+{text.counted(count, 'copy', 'copies')}"
    pop = st.popover(label, type="tertiary", icon=ICON, key=f"copies_{conversation_id}", on_change="rerun")
    if pop.open:
        with pop, st.container(gap="xxsmall"):
            st.markdown("**The same words, elsewhere**")
            show(conversation_id, count, now, way)


def show(conversation_id: int, count: int, now: datetime, way: str) -> None:
    """The newest of them, a line each."""
    found = load(context.scope(context.actor()), conversation_id, context.ctx(), context.actor())
    for one in found[:SHOWN]:
        show_copy(one, now, way)
    if count > SHOWN:
        st.caption(f"and {count - SHOWN:,} older. All are found by searching for the words under *All*.")


def show_copy(one: folding.CopyView, now: datetime, way: str) -> None:
    """Who, where, when, and what can be done."""
    with st.container(key=f"copy-{one.mention_id}", horizontal=True, vertical_alignment="center", gap="xsmall"):
        where = f"{one.platform_title} · {text.ago(one.posted_at, now)}" + ("" if one.folded else " · in the inbox")
        target = text.link_target(one.url or "")
        there = f" [:material/open_in_new:]({target})" if target else ""
        st.markdown(f"{text.plain(one.author_name, 60)} {look.small(where)}{there}", width="stretch")
        st.button(
            "",
            key=f"copy_open_{one.mention_id}",
            icon=":material/chat_bubble:",
            type="tertiary",
            help="Open its conversation",
            on_click=state.open_up,
            args=(way, one.conversation_id),
        )
        if context.may(Role.RESPONDER):
            st.button(
                "Not a copy",
                key=f"copy_out_{one.mention_id}",
                type="tertiary",
                on_click=unfold,
                args=((one.mention_id,),),
            )


def unfold(mention_ids: Sequence[int]) -> None:
    """Callback: these stand for themselves."""
    with look.telling_errors_later():
        undo_id = folding.not_a_copy(context.ctx(), context.actor(), mention_ids)
        state.tell("It stands for itself now, and stays so.", undo_id=undo_id, undo_of="copies")
