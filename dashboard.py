"""The Streamlit script: who is signed in, and which page is shown. No feature lives here."""

from __future__ import annotations

import streamlit as st

import settings
from api.site import SESSION_COOKIE
from dialogue import accounts, start
from dialogue.context import Actor, Context
from pages.parts import context, look, notices, state, text


def open_context() -> Context:
    """The context of this process, from the settings."""
    return start.context(settings.load())


def pages() -> dict[str, list[st.Page]]:
    """Every page, in its section. A conversation is in the menu once one has been opened."""
    shown = "visible" if state.conversation_id() is not None else "hidden"
    return {
        "Measure": [st.Page("pages/summary.py", title="Summary", icon=":material/monitoring:", default=True)],
        "Converse": [
            st.Page("pages/inbox.py", title="Inbox", icon=":material/inbox:"),
            st.Page("pages/conversation.py", title="Conversation", icon=":material/forum:", visibility=shown),
        ],
        "Understand": [
            st.Page("pages/themes.py", title="Themes", icon=":material/bubble_chart:"),
            st.Page("pages/topics.py", title="Topics", icon=":material/label:"),
            st.Page("pages/model.py", title="Model", icon=":material/verified:"),
        ],
        "Carry in": [st.Page("pages/feedback.py", title="Feedback", icon=":material/lightbulb:")],
        "Set up": [
            st.Page("pages/sources.py", title="Sources", icon=":material/podcasts:"),
            st.Page("pages/colleagues.py", title="People & roles", icon=":material/group:"),
        ],
    }


def show_who(person: Actor) -> None:
    """At the foot of the menu: who is signed in, and the way out."""
    with st.sidebar, st.container(key="who"):
        notices.show_worker()
        st.caption(f"{text.plain(person.name, 60)} · {person.role.label}")
        if st.button("Sign out", icon=":material/logout:", type="tertiary", key="sign_out"):
            accounts.sign_out(context.ctx(), context.session_token())
            st.rerun()


st.set_page_config("Samtal", page_icon=str(look.ASSETS / "mark.svg"), layout="wide")
context.wire(open_context, SESSION_COOKIE)
look.layout()
st.logo(str(look.ASSETS / "logo.svg"), icon_image=str(look.ASSETS / "mark.svg"), size="medium")
page = st.navigation(pages(), expanded=True)
show_who(context.actor())
page.run()
