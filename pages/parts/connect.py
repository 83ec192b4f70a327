"""Connecting an account at the platform itself, on the Sources page: what to enter, the way there, how it went."""

from __future__ import annotations

import html
from datetime import datetime

import streamlit as st

from dialogue import connecting, sources
from dialogue.connecting import Entered
from pages.parts import context, look, notices, state, text


def show(info: sources.PlatformInfo, known: sources.AccountView | None) -> bool:
    """The button, or what it has opened. Returns whether that takes the place of the form for credentials."""
    if info.connect is None:
        return False
    subject = info.platform if known is None else f"{info.platform}_{known.id}"
    journey = state.opened("journey")
    if journey is not None and journey[0] == subject:
        show_going(journey[1])
        return True
    if state.opened("connect") == subject:
        show_form(info, known, subject)
        return True
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"connect-{subject}"):
        st.button(
            f"Connect with {info.title}",
            icon=":material/link:",
            type="primary",
            key=f"connect_{subject}",
            on_click=state.open_up,
            args=("connect", subject),
        )
        st.caption("You let Samtal in there, and nothing is pasted. Or enter credentials by hand:")
    return False


def show_form(info: sources.PlatformInfo, known: sources.AccountView | None, subject: str) -> None:
    """What must be known of our application there, and where the platform sends people back to."""
    back = connecting.way_back(context.ctx(), info.platform, context.address(""))
    with st.form(f"connect_form_{subject}", border=True):
        st.markdown(f"**Connect with {text.plain(info.title, 60)}**")
        if info.connect.guide:
            st.markdown(text.steps(info.connect.guide))
            st.caption("Redirect URI to enter there:")
            st.code(back.address, language=None, wrap_lines=True)
        if back.problem:
            st.warning(text.plain(back.problem), icon=":material/warning:")
        kept = "" if known is None else " What is left empty stays as it is."
        st.caption(f":material/lock: Kept encrypted. A secret is never shown again.{kept}")
        values = {
            one.name: st.text_input(
                one.label + ("" if one.required else " (optional)"),
                help=one.help or None,
                type="password" if one.secret else "default",
                autocomplete="off",
                key=f"connect_{one.name}_{subject}",
            )
            for one in info.connect.asks
        }
        label = st.text_input(
            "Name of this account here", known.label if known else "", max_chars=100, placeholder=f"Our {info.title}"
        )
        base_url = st.text_input(
            "Server address (optional)",
            (known.base_url if known else "") or "",
            placeholder="only where it is not the platform's own",
        )
        with st.container(horizontal=True):
            goes = st.form_submit_button("Go on", type="primary", disabled=bool(back.problem))
            stays = st.form_submit_button("By hand instead", type="tertiary")
    if stays:
        state.close_up("connect")
        st.rerun()
    if goes:
        entered = Entered(label, values, base_url.strip() or None, known.id if known else None)
        begin(info.platform, subject, entered)


def begin(platform: str, subject: str, entered: Entered) -> None:
    """Begins the journey of the session that this browser has."""
    ctx, person, session = context.ctx(), context.actor(), context.session_token()
    with look.telling_errors():
        journey = connecting.begin(ctx, person, session, platform, context.address(""), entered)
        state.set_request("oauth_begin", connecting.look(ctx, person, session, journey).request_id)
        state.close_up("connect")
        state.open_up("journey", (subject, journey))
        st.rerun()


def show_going(journey_id: int) -> None:
    """The way to the platform's page, once it is known; a script cannot lead a browser there by itself."""
    with look.telling_errors(), st.container(border=True, key="journey"):
        notices.wait_for("oauth_begin", done=lambda _: state.set_request("oauth_begin", None), cancel=False)
        journey = connecting.look(context.ctx(), context.actor(), context.session_token(), journey_id)
        title = text.plain(journey.title, 60)
        if journey.url:
            st.markdown(f"**{title}** asks now whether Samtal may act for the account, and leads back here.")
            st.html(
                f'<a class="samtal-button" href="{html.escape(journey.url)}" target="_self" rel="noreferrer">'
                f"Go to {html.escape(journey.title)}</a>"
            )
            st.caption("Within a quarter of an hour, in this browser.")
        elif journey.stage != "begun":
            st.markdown(text.plain(journey.words or "This way was gone already."))
        st.button("Begin again", type="tertiary", key="journey_end", on_click=state.close_up, args=("journey",))


def show_way_back() -> None:
    """For somebody whom a platform has just sent back: how it went, or how far it is."""
    value = st.query_params.get(connecting.TOLD)
    if value is not None:
        st.query_params.pop(connecting.TOLD)
        told = connecting.told(context.ctx(), context.actor(), context.session_token(), value)
        if told.words or told.request_id is None:
            state.tell_error(told.words or connecting.NOT_OURS)
        else:
            state.set_request("oauth_finish", told.request_id)
            state.open_up("accounts_list")


def access_words(one: sources.AccountView, now: datetime) -> str:
    """How the account came here, and how long what the platform gave is good."""
    if not one.connected:
        return ""
    if one.renews_at is None:
        return f"Connected at {one.platform_title}."
    left = text.span(one.renews_at - now) if one.renews_at > now else "a moment"
    return f"Connected at {one.platform_title}; access is renewed by itself, next in {left}."
