"""What platforms ask of whoever keeps their content: how each duty stands, and what to do where one is overdue."""

from __future__ import annotations

from datetime import datetime
from itertools import groupby

import streamlit as st

from dialogue import duties
from dialogue.context import Actor, Context
from pages.parts import context, look, text

STATES = {
    "overdue": ("red", ":material/error:", "overdue"),
    "waiting": ("blue", ":material/hourglass_top:", "not due yet"),
    "met": ("green", ":material/check_circle:", "met"),
    "always": ("green", ":material/verified_user:", "kept by itself"),
    "never": ("gray", ":material/block:", "cannot be asked"),
}


@st.cache_data(ttl=30, max_entries=20, show_spinner=False)
def load(scope: context.Scope, _ctx: Context, _person: Actor) -> duties.Compliance:
    """Every duty of the platforms in use."""
    return duties.compliance(_ctx, _person)


def show(now: datetime) -> None:
    """A platform after another, those with something overdue first."""
    person = context.actor()
    found = load(context.scope(person), context.ctx(), person)
    with st.container(border=True, key="compliance", gap="small"):
        st.markdown(f"**Compliance** {look.grey(found.words)}")
        ill = {one.platform for one in found.duties if one.state == "overdue"}
        by_platform = sorted(found.duties, key=lambda one: (one.platform not in ill, one.platform_title.casefold()))
        for title, some in groupby(by_platform, key=lambda one: one.platform_title):
            with st.container(gap="xxsmall"):
                st.markdown(f"**{text.plain(title, 60)}**")
                for one in some:
                    show_duty(one, now)


def show_duty(one: duties.DutyView, now: datetime) -> None:
    """One duty in a line: what it is, and how it stands; below it what to do."""
    colour, icon, word = STATES[one.state]
    told = f"{text.number(one.overdue)} overdue" if one.overdue else word
    when = f" · last met {text.when(one.met_at, now)}" if one.met_at else ""
    words = f"{text.plain(one.duty)}: {text.plain(one.words, 300)}"
    st.markdown(f":{colour}[{icon}] {words} {look.small(told + when)}")
    if one.what_to_do:
        st.markdown(f":material/arrow_forward: **{text.plain(one.what_to_do, 600)}**")
