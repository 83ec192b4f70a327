"""People & roles: who works here and may do what, one's own account, the rules of the workspace, the audit trail."""

from __future__ import annotations

from datetime import datetime, tzinfo
from zoneinfo import available_timezones

import streamlit as st

from dialogue import accounts, workspace
from dialogue.context import Actor, Context, Role
from pages.parts import context, look, notices, state, text

ROLE_WORDS = {
    Role.VIEWER: "reads every page",
    Role.PRODUCT: "keeps the feedback board, corrects tags",
    Role.RESPONDER: "answers, closes, assigns",
    Role.APPROVER: "approves what others wrote",
    Role.ADMIN: "sources, accounts, people, rules",
}
APPROVAL_WORDS = {"never": "Responders send at once", "always": "An approver reads every responder's reply first"}
AUDIT_PAGE = 50


# Loaders: never draw --------------------------------------------------------------------------------------------------


@st.cache_data(ttl=15, max_entries=50, show_spinner=False)
def load_colleagues(scope: context.Scope, _ctx: Context, _person: Actor) -> list[accounts.Colleague]:
    """Everybody who works here."""
    return accounts.colleagues(_ctx, _person)


@st.cache_data(ttl=15, max_entries=50, show_spinner=False)
def load_tokens(scope: context.Scope, _ctx: Context, _person: Actor) -> list[accounts.TokenInfo]:
    """The API tokens that this person may see."""
    return accounts.api_tokens(_ctx, _person)


# People ---------------------------------------------------------------------------------------------------------------


def show_people(people: list[accounts.Colleague], person: Actor, now: datetime) -> None:
    """The list, with what an administrator may change."""
    admin = person.role >= Role.ADMIN
    if admin:
        show_invite()
    for colleague in people:
        show_colleague(colleague, person, admin, now)
    with st.expander("What each role may do", icon=":material/info:"):
        st.markdown(
            "\n".join(f"- **{role.label.capitalize()}**: {words}" for role, words in ROLE_WORDS.items())
            + "\n\nEach role may do all that the ones before it may."
        )


def show_colleague(colleague: accounts.Colleague, person: Actor, admin: bool, now: datetime) -> None:
    """One line: who, whether here lately, and the role."""
    with st.container(border=True, key=f"colleague-{colleague.id}"):
        left, right = st.columns([0.55, 0.45], vertical_alignment="center")
        with left:
            you = " :gray[(you)]" if colleague.id == person.user_id else ""
            st.markdown(
                f"**{text.plain(colleague.display_name, 80)}**{you} {look.grey('@' + colleague.username)}"
                f"  \n{look.grey(presence_words(colleague, now))}"
                + ("  " + look.badge("disabled", "red") if colleague.disabled else "")
            )
        with right, st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center"):
            if admin:
                show_colleague_actions(colleague)
            else:
                st.markdown(look.badge(colleague.role.label, "blue"))


def presence_words(colleague: accounts.Colleague, now: datetime) -> str:
    """Whether and when they were here."""
    if not colleague.accepted:
        return "invited, has not signed in yet"
    seen = "never signed in" if colleague.last_seen_at is None else f"seen {text.ago(colleague.last_seen_at, now)}"
    return f"{seen} · {text.counted(colleague.sessions, 'open session')}"


def show_colleague_actions(colleague: accounts.Colleague) -> None:
    """Role, sign out everywhere, disable."""
    key = f"role_{colleague.id}"
    st.session_state[key] = colleague.role
    st.selectbox(
        f"Role of {text.plain(colleague.display_name, 60)}",
        list(Role),
        key=key,
        label_visibility="collapsed",
        format_func=lambda role: role.label,
        width=130,
        on_change=_set_role,
        args=(colleague.id, key),
    )
    choices = {"out": "Sign out everywhere", "disable": "Let in again" if colleague.disabled else "Disable"}
    if not colleague.accepted:
        choices["invite"] = "New invitation link"
    st.menu_button(
        "More",
        list(choices),
        key=f"more_{colleague.id}",
        type="tertiary",
        format_func=choices.__getitem__,
        on_click=_change,
        args=(colleague,),
    )


def _set_role(user_id: int, key: str) -> None:
    with look.telling_errors_later():
        accounts.set_role(context.ctx(), context.actor(), user_id, st.session_state[key])
        state.tell("Role changed; it counts at once, in open tabs too.")


def _change(colleague: accounts.Colleague) -> None:
    chosen = st.session_state[f"more_{colleague.id}"]
    with look.telling_errors_later():
        ctx, person = context.ctx(), context.actor()
        if chosen == "out":
            ended = accounts.sign_out_everywhere(ctx, person, colleague.id)
            state.tell(f"{text.counted(ended, 'session')} ended.")
        elif chosen == "invite":
            _keep_link(
                colleague.display_name,
                accounts.invite(ctx, person, colleague.username, colleague.display_name, colleague.role),
            )
        else:
            accounts.disable(ctx, person, colleague.id, not colleague.disabled)
            state.tell("Let in again." if colleague.disabled else "Disabled: every session and token has ended.")


def show_invite() -> None:
    """The form for a new colleague; the link is shown once."""
    link = state.shown_once("invitation")
    if link:
        with st.container(border=True, key="invitation"):
            st.markdown(
                ":material/link: **Send this link yourself.** It works once and is not shown again. "
                f"{text.plain(link[0], 80)} "
                "chooses a password with it."
            )
            st.code(link[1], language=None, wrap_lines=True)
            st.button("Done", key="invitation_done", on_click=state.forget_once, args=("invitation",))
    with (
        st.expander("Invite a colleague", icon=":material/person_add:"),
        st.form("invite", border=False, clear_on_submit=True),
    ):
        first, second, third = st.columns(3, vertical_alignment="bottom")
        username = first.text_input("User name", max_chars=60, placeholder="mira")
        name = second.text_input("Name", max_chars=100, placeholder="Mira Holm")
        role = third.selectbox("Role", list(Role), index=2, format_func=lambda one: f"{one.label}: {ROLE_WORDS[one]}")
        if st.form_submit_button("Make the link", type="primary", icon=":material/link:"):
            with look.telling_errors():
                token = accounts.invite(context.ctx(), context.actor(), username, name, role)
                _keep_link(name or username, token)
                st.rerun()


def _keep_link(name: str, token: str) -> None:
    state.shown_once("invitation", (name, context.link_address(token)))


# One's own account ----------------------------------------------------------------------------------------------------


def show_account(person: Actor, tokens: list[accounts.TokenInfo], now: datetime) -> None:
    """Password, sessions, API tokens."""
    left, right = st.columns(2, gap="medium")
    with left:
        show_password()
        with st.container(border=True, key="sessions"):
            st.markdown("**Signed in elsewhere?**")
            if st.button("Sign out everywhere", icon=":material/logout:", key="out_everywhere"):
                with look.telling_errors():
                    accounts.sign_out_everywhere(context.ctx(), person, person.user_id)
                    st.rerun()
    with right:
        show_tokens(tokens, now)


def show_password() -> None:
    """One's own password."""
    with st.form("password", border=True, clear_on_submit=True):
        st.markdown("**Change your password**")
        old = st.text_input("Current password", type="password", autocomplete="current-password")
        new = st.text_input("New password", type="password", autocomplete="new-password", help="At least 10 characters")
        again = st.text_input("New password, again", type="password", autocomplete="new-password")
        if st.form_submit_button("Change it", type="primary"):
            with look.telling_errors():
                if new != again:
                    st.error("The two new passwords differ. Type the new one twice.")
                    return
                accounts.change_password(context.ctx(), context.actor(), old, new, context.session_token())
                st.success("Changed. Every other session of yours has ended.")


def show_tokens(tokens: list[accounts.TokenInfo], now: datetime) -> None:
    """Tokens of the API: made, shown once, ended."""
    with st.container(border=True, key="tokens"):
        st.markdown("**API tokens** :gray[act in your name, with your role of the moment]")
        fresh = state.shown_once("token")
        if fresh:
            st.caption("Copy it now: it is not shown again.")
            st.code(fresh, language=None, wrap_lines=True)
            st.button("Done", key="token_done", on_click=state.forget_once, args=("token",))
        for token in tokens:
            with st.container(
                horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", key=f"token-{token.id}"
            ):
                used = "never used" if token.last_used_at is None else f"used {text.ago(token.last_used_at, now)}"
                st.markdown(f"{text.plain(token.name, 80)} {look.grey(f'{token.owner} · {used}')}")
                st.button(
                    "End it",
                    key=f"revoke_{token.id}",
                    type="tertiary",
                    icon=":material/block:",
                    on_click=_revoke,
                    args=(token.id,),
                )
        with st.form("new_token", border=False, clear_on_submit=True):
            name = st.text_input("What for", max_chars=100, placeholder="Weekly report")
            if st.form_submit_button("Make a token", icon=":material/key:"):
                with look.telling_errors():
                    state.shown_once("token", accounts.create_token(context.ctx(), context.actor(), name))
                    st.rerun()


def _revoke(token_id: int) -> None:
    with look.telling_errors_later():
        accounts.revoke_token(context.ctx(), context.actor(), token_id)
        state.tell("The token has ended.")


# Rules ----------------------------------------------------------------------------------------------------------------


def show_rules(rules: workspace.Workspace, admin: bool) -> None:
    """The company's name, its zone, when approval is needed, how long one may undo."""
    with st.form("rules", border=True):
        name = st.text_input("Company", rules.name, max_chars=100, disabled=not admin)
        zones = sorted(available_timezones())
        zone = st.selectbox(
            "Time zone",
            zones,
            index=zones.index(rules.time_zone),
            disabled=not admin,
            help="Days are counted in it; changing it counts every chart anew",
        )
        approval = st.radio(
            "Approval",
            workspace.APPROVAL,
            index=workspace.APPROVAL.index(rules.approval),
            format_func=lambda one: APPROVAL_WORDS.get(one, one),
            disabled=not admin,
        )
        first, second, third = st.columns(3)
        undo = first.number_input("Seconds to undo a send", 0, 60, rules.undo_seconds, disabled=not admin)
        minutes = second.number_input(
            "Answer within, minutes", 1, 43_200, rules.answer_within_minutes, disabled=not admin
        )
        keep = third.number_input(
            "Keep mentions, days",
            0,
            36_500,
            rules.retention_days or 0,
            disabled=not admin,
            help="0 keeps them until they are deleted where they were posted",
        )
        if st.form_submit_button("Save", type="primary", disabled=not admin):
            with look.telling_errors():
                workspace.change(
                    context.ctx(),
                    context.actor(),
                    name=name,
                    time_zone=zone,
                    approval=approval,
                    undo_seconds=int(undo),
                    answer_within_minutes=int(minutes),
                    retention_days=int(keep) or None,
                )
                state.tell("Saved.")
                st.rerun()


# Audit ----------------------------------------------------------------------------------------------------------------


def show_audit(person: Actor, now: datetime, reader: tzinfo) -> None:
    """Who did what, newest first."""
    before = state.opened("audit_before")
    entries = accounts.audit(context.ctx(), person, before, AUDIT_PAGE)
    if not entries:
        look.nothing(
            "Nothing has been done yet. Every change that a person makes is written down here.", ":material/history:"
        )
        return
    with st.container(key="audit", gap="xxsmall"):
        for entry in entries:
            st.markdown(
                f"{look.grey(text.at(entry.at, now, reader))} **{text.plain(entry.who, 60)}** "
                f"{text.plain(entry.action, 60)} "
                f"{text.plain(entry.subject_named, 80)} {look.grey(entry.detail_words)}"
            )
    with st.container(horizontal=True):
        if before is not None:
            st.button(
                "Newest",
                key="audit_newest",
                icon=":material/first_page:",
                on_click=state.close_up,
                args=("audit_before",),
            )
        if len(entries) == AUDIT_PAGE:
            st.button(
                "Older",
                key="audit_older",
                icon=":material/chevron_right:",
                on_click=state.open_up,
                args=("audit_before", entries[-1].id),
            )


def main() -> None:
    """Wires loaders and views."""
    context.through_the_dashboard()
    person, now = context.actor(), context.now()
    notices.show()
    look.heading("People & roles", "Who works here and may do what.")
    parts = ["People", "Your account", "Rules"] + (["Audit"] if person.role >= Role.ADMIN else [])
    part = st.segmented_control(
        "Part", parts, default="People", required=True, key="people_part", label_visibility="collapsed", wrap=False
    )
    with look.telling_errors():
        scope, ctx = context.scope(person), context.ctx()
        if part == "Your account":
            show_account(person, load_tokens(scope, ctx, person), now)
        elif part == "Rules":
            show_rules(workspace.get(ctx), person.role >= Role.ADMIN)
        elif part == "Audit":
            show_audit(person, now, context.reader_zone())
        else:
            show_people(load_colleagues(scope, ctx, person), person, now)


main()
