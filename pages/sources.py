"""Sources: where we listen, whether each is well and what to do where it is not; and how a new one is connected."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any

import streamlit as st

from dialogue import backfill, sources
from dialogue.context import Actor, Context, Role
from pages.parts import charts, compliance, connect, context, look, notices, query, state, text, upload, webhook

HEALTH = {
    "listening": ("green", ":material/check_circle:"),
    "read": ("green", ":material/check_circle:"),
    "waiting": ("blue", ":material/hourglass_top:"),
    "quiet": ("orange", ":material/volume_off:"),
    "late": ("orange", ":material/schedule:"),
    "expiring": ("orange", ":material/key:"),
    "problem": ("red", ":material/error:"),
    "paused": ("gray", ":material/pause_circle:"),
    "removing": ("gray", ":material/delete:"),
}
HEALTH_WORDS = {"quiet": "gone quiet", "late": "not asked", "problem": "needs you"}
NOTICED = 5
"""So many stand in the strip; the others are counted."""
RUN_WORDS = {
    "ok": "new mentions",
    "unchanged": "nothing new",
    "transient": "will try again",
    "terminal": "needs you",
    "crash": "a fault of ours",
    "running": "running",
}


# Loaders: never draw --------------------------------------------------------------------------------------------------


@st.cache_data(ttl=10, max_entries=50, show_spinner=False)
def load_sources(scope: context.Scope, _ctx: Context, _person: Actor) -> list[sources.SourceView]:
    """Every source with its health."""
    return sources.list_(_ctx, _person)


@st.cache_data(ttl=10, max_entries=50, show_spinner=False)
def load_overview(scope: context.Scope, _ctx: Context, _person: Actor) -> sources.Overview:
    """All of them at a glance."""
    return sources.overview(_ctx, _person, sources.list_(_ctx, _person))


@st.cache_data(ttl=30, max_entries=20, show_spinner=False)
def load_accounts(scope: context.Scope, _ctx: Context, _person: Actor) -> list[sources.AccountView]:
    """Every account of ours."""
    return sources.accounts(_ctx, _person)


# The list -------------------------------------------------------------------------------------------------------------


def show_top(overview: sources.Overview, admin: bool) -> None:
    """How all of them are, in a sentence; the way to add."""
    left, right = st.columns([0.55, 0.45], vertical_alignment="center")
    with left:
        look.heading("Sources", overview.words)
    if admin:
        with right, st.container(horizontal=True, horizontal_alignment="right"):
            st.button(
                "Compliance", icon=":material/gavel:", key="compliance_open", on_click=_toggle, args=("compliance",)
            )
            st.button("Accounts", icon=":material/key:", key="accounts", on_click=_toggle, args=("accounts_list",))
            st.button(
                "Add a source",
                icon=":material/add:",
                type="primary",
                key="add_source",
                on_click=_toggle,
                args=("adding",),
            )


def show_overview(overview: sources.Overview) -> None:
    """Which do not listen, and why, a line each; nothing where all is well."""
    if overview.well:
        return
    with st.container(border=True, key="sources-strip", gap="xxsmall"):
        for one in overview.notices[:NOTICED]:
            colour, icon = HEALTH[one.health]
            st.markdown(f":{colour}[{icon}] **{text.plain(one.label, 60)}** — {text.plain(one.words, 200)}")
        if len(overview.notices) > NOTICED:
            st.caption(f"and {len(overview.notices) - NOTICED} more, below")


def _toggle(what: str, value: object = True) -> None:
    if state.opened(what) == value:
        state.close_up(what)
    else:
        state.open_up(what, value)


def show_source(one: sources.SourceView, admin: bool, info: sources.PlatformInfo | None, now: datetime) -> None:
    """One source: what it listens to, how it is in words, how much came."""
    arrival = info.arrival if info else ""
    colour, icon = HEALTH.get(one.health, ("gray", ""))
    word = HEALTH_WORDS.get(one.health, one.health)
    with st.container(border=True, key=f"source-{one.id}"):
        left, right = st.columns([0.72, 0.28], vertical_alignment="center")
        with left:
            st.markdown(
                f"**{text.plain(one.label, 100)}** {look.grey(source_words(one))} "
                + look.badge(*(("sample", "gray", ":material/science:") if one.sample else (word, colour, icon)))
            )
            st.markdown(text.plain(one.words, 400))
            if one.what_to_do:
                st.markdown(f":material/arrow_forward: **{text.plain(one.what_to_do, 400)}**")
            if not one.sample and (arrival == "asked" or one.last_success_at is not None):
                st.caption(" · ".join(time_words(one, arrival, now)))
            if admin and not one.sample:
                show_source_actions(one, arrival)
        with right:
            st.markdown(
                f"**{text.number(one.last_24h)}** {look.grey('in 24 h' + usual_words(one))} &nbsp; "
                f"**{text.number(one.total)}** {look.grey('in all')}"
            )
            if any(one.sparkline):
                chart = charts.spark(one.sparkline, look.accent())
                st.altair_chart(chart, key=f"spark_{one.id}", alt="Mentions a day in the last fortnight")
        if admin and state.opened("edit") == one.id and info is not None and not state.opened("adding"):
            query.show_edit(info, one, sources.written(context.ctx(), context.actor(), one.id))
        if admin and arrival == "pushed" and state.opened("hook") == one.id and webhook.fresh() is None:
            webhook.show(one.id, now)


def source_words(one: sources.SourceView) -> str:
    """Platform, mode, query and account."""
    return " · ".join(part for part in (one.platform_title, one.mode_label, one.query, one.account_label) if part)


def time_words(one: sources.SourceView, arrival: str, now: datetime) -> list[str]:
    """When it was last read, or something was last sent to it, and when it is asked again."""
    words = []
    if one.last_success_at is not None:
        last = text.when(one.last_success_at, now)
        words.append(f"last {'delivery' if arrival == 'pushed' else 'read'} {'just now' if last == 'now' else last}")
    if one.next_run_at is not None and one.state == "active":
        words.append("next in " + text.span(one.next_run_at - now) if one.next_run_at > now else "next now")
    if one.every is not None and one.next_run_at is not None and one.state == "active":
        words.append(f"every {text.span(one.every)}")
    if one.quota is not None and one.state == "active":
        words.append(quota_words(one.quota, now))
    return words or ["not asked yet"]


def quota_words(quota: sources.Quota, now: datetime) -> str:
    """What the platform still allows, and when all of it is there again."""
    of = "" if quota.limit is None else f" of {text.number(quota.limit)}"
    full = "" if quota.resets_at is None else f", full again in {text.span(quota.resets_at - now)}"
    return f"{text.number(quota.left)}{of} requests left{full}"


def usual_words(one: sources.SourceView) -> str:
    """What such a day usually brings, where that is known."""
    return "" if one.usual_24h is None else f", usually {text.number(one.usual_24h)}"


def show_source_actions(one: sources.SourceView, arrival: str) -> None:
    """Pause and run where the platform is asked for news; how it is connected where it is sent; rename, remove."""
    asked = arrival == "asked"
    with st.container(horizontal=True, key=f"source-actions-{one.id}", gap="xsmall"):
        if asked and one.state == "paused":
            st.button(
                "Go on",
                icon=":material/play_arrow:",
                type="tertiary",
                key=f"resume_{one.id}",
                on_click=_act,
                args=(sources.resume, one.id, f"{one.label} listens again."),
            )
        elif asked and one.state == "active":
            st.button(
                "Pause",
                icon=":material/pause:",
                type="tertiary",
                key=f"pause_{one.id}",
                on_click=_act,
                args=(sources.pause, one.id, f"{one.label} is paused."),
            )
            st.button(
                "Run now",
                icon=":material/refresh:",
                type="tertiary",
                key=f"run_{one.id}",
                on_click=_act,
                args=(sources.run_now, one.id, f"{one.label} is asked now."),
            )
        if arrival == "pushed":
            st.button(
                "Connection",
                icon=":material/webhook:",
                type="tertiary",
                key=f"hook_{one.id}",
                on_click=_toggle,
                args=("hook", one.id),
            )
        if asked and one.state != "removing":
            st.button(
                "Edit",
                icon=":material/tune:",
                type="tertiary",
                key=f"edit_{one.id}",
                on_click=_edit,
                args=(one.id,),
            )
        if asked and one.reach:
            st.button(
                "Read further back",
                icon=":material/history:",
                type="tertiary",
                key=f"back_{one.id}",
                on_click=state.open_up,
                args=("back", one.id),
            )
        if arrival not in ("pushed", "typed"):
            st.button(
                "Last runs",
                icon=":material/list:",
                type="tertiary",
                key=f"runs_{one.id}",
                on_click=state.open_up,
                args=("runs", one.id),
            )
        st.button(
            "Rename",
            icon=":material/edit:",
            type="tertiary",
            key=f"rename_{one.id}",
            on_click=state.open_up,
            args=("rename", one.id),
        )
        if one.state != "removing":
            st.button(
                "Remove",
                icon=":material/delete:",
                type="tertiary",
                key=f"remove_{one.id}",
                on_click=state.open_up,
                args=("remove", one.id),
            )


def _edit(source_id: int) -> None:
    """Opens it to be edited, in place of whatever else is being looked at."""
    state.close_up("adding")
    state.set_request("preview", None)
    _toggle("edit", source_id)


def _act(action: Any, source_id: int, words: str) -> None:
    with look.telling_errors_later():
        action(context.ctx(), context.actor(), source_id)
        state.tell(words)


@st.dialog("Last runs", width="large", icon=":material/list:", on_dismiss=lambda: state.close_up("runs"))
def show_runs(one: sources.SourceView, runs: list[sources.RunView], now: datetime) -> None:
    """What each of the last runs brought, and what was wrong, in words."""
    st.markdown(f"**{text.plain(one.label, 100)}**")
    if not runs:
        st.caption("It has not been asked yet.")
    for run in runs:
        counts = f"{run.new:,} new · {run.edited:,} edited · {run.seen:,} seen again"
        filtered = f" · {run.filtered:,} left out by the query" if run.filtered else ""
        rejected = f" · {run.rejected:,} rejected" if run.rejected else ""
        st.markdown(
            f"{look.grey(text.ago(run.started_at, now))} **{text.plain(RUN_WORDS.get(run.outcome, run.outcome))}** "
            f"{look.grey(counts + filtered + rejected)}"
        )
        if run.error:
            st.caption(text.plain(run.error, 500))
        for rejection in run.rejections[:5]:
            st.caption(f":material/block: {text.plain(rejection_words(rejection), 300)}")


def rejection_words(rejection: Any) -> str:
    """Where it stood and what was wrong."""
    if isinstance(rejection, Mapping):
        return f"{rejection.get('where', '')}: {rejection.get('reason', '')}"
    return f"{rejection[0]}: {rejection[1]}" if isinstance(rejection, tuple) else str(rejection)


@st.dialog("Rename", icon=":material/edit:", on_dismiss=lambda: state.close_up("rename"))
def show_rename(one: sources.SourceView) -> None:
    """Another name for it."""
    with st.form("rename_form", border=False):
        label = st.text_input("Name", one.label, max_chars=100)
        if st.form_submit_button("Save", type="primary"):
            with look.telling_errors():
                sources.rename(context.ctx(), context.actor(), one.id, label)
                state.close_up("rename")
                st.rerun()


@st.dialog("Read further back", icon=":material/history:", on_dismiss=lambda: state.close_up("back"))
def show_back(one: sources.SourceView, now: datetime) -> None:
    """From which day on; the worker does the rest, beside the source's own reading."""
    st.markdown(f"**{text.plain(one.label, 100)}**: what was posted earlier.")
    st.markdown(f":material/history: {text.plain(one.reach, 300)}")
    if not one.looks_back or one.earliest is None:
        return
    earliest = one.earliest.date()
    month_ago = max(earliest, now.date() - timedelta(days=30))
    day = st.date_input("Since", month_ago, min_value=earliest, max_value=now.date(), key="back_since")
    st.caption("It goes on by itself after a restart, and waits where the platform's limit is used up.")
    if st.button("Read it", type="primary", icon=":material/history:", key="back_go"):
        with look.telling_errors():
            since = datetime.combine(day, time(), UTC)
            state.set_request("backfill", backfill.request(context.ctx(), context.actor(), one.id, since))
            state.close_up("back")
            st.rerun()


@st.dialog("Remove a source", icon=":material/delete:", on_dismiss=lambda: state.close_up("remove"))
def show_remove(one: sources.SourceView) -> None:
    """With what it brought, or without."""
    st.markdown(f"**{text.plain(one.label, 100)}** brought {text.counted(one.total, 'mention')}.")
    choices = {False: "Keep what it brought", True: "Delete what only it brought, for good"}
    gone = st.radio("And its mentions?", list(choices), format_func=choices.__getitem__, key="remove_mentions")
    if st.button("Remove it", type="primary", icon=":material/delete:", key="remove_go"):
        with look.telling_errors():
            state.set_request("remove_source", sources.remove(context.ctx(), context.actor(), one.id, bool(gone)))
            state.close_up("remove")
            st.rerun()


# A new source ---------------------------------------------------------------------------------------------------------


def show_adding(platforms: list[sources.PlatformInfo], owned: list[sources.AccountView]) -> None:
    """Platform, account, what to listen for, a look at what it finds, then add."""
    with st.container(border=True, key="adding"):
        st.markdown("**Connect a source**")
        titles = {one.platform: one for one in platforms}
        chosen = st.pills(
            "Where",
            list(titles),
            format_func=lambda name: text.plain(titles[name].title, 60),
            key="add_platform",
            required=True,
            default=next(iter(titles), None),
            label_visibility="collapsed",
        )
        if chosen is None:
            return
        info = titles[chosen]
        show_platform(info)
        if not info.polls:
            show_other_way(info)
            return
        account_id, ready = show_account_choice(info, [one for one in owned if one.platform == info.platform])
        if ready:
            query.show(info, account_id)


def show_other_way(info: sources.PlatformInfo) -> None:
    """How what nobody asks for gets here."""
    if info.arrival == "pushed":
        webhook.show_new()
    elif info.arrival == "typed":
        st.markdown(":material/edit_note: There is nothing to connect: **Add a note** stands on the Inbox.")
        st.page_link("pages/inbox.py", label="To the inbox", icon=":material/inbox:")
    else:
        upload.show()


def show_platform(info: sources.PlatformInfo) -> None:
    """What the platform allows, before anybody begins."""
    with st.container(key="platform-rules", gap="xxsmall"):
        st.caption(f":material/reply: {text.plain(info.answering_rule, 400)}")
        if info.limits:
            st.caption(f":material/speed: {text.plain(info.limits, 300)}")
        if info.duties:
            st.caption(f":material/gavel: {text.plain(info.duties, 400)}")


def show_account_choice(info: sources.PlatformInfo, owned: list[sources.AccountView]) -> tuple[int | None, bool]:
    """With which account; the form for a new one. Returns its id and whether a query can be typed now."""
    if not info.credentials:
        return None, True
    options: dict[int | None, str] = {one.id: account_words(one) for one in owned}
    if not info.key_needed:
        options = {None: "No account: listen only"} | options
    options[-1] = "New account …"
    chosen = st.selectbox(
        "Account",
        list(options),
        format_func=lambda one: text.shorten(text.tidy(options[one]), 100),
        key=f"add_account_{info.platform}_{len(owned)}",
    )
    if chosen == -1:
        show_account_form(info)
        return None, False
    if chosen is not None:
        show_account_test(chosen)
    return chosen, True


def account_words(one: sources.AccountView) -> str:
    """Name, handle and how the last check went."""
    check = {True: "checked", False: "failed its check", None: "not checked"}[one.check_ok]
    return " · ".join(part for part in (one.label, one.handle or "", check) if part)


def show_guide(info: sources.PlatformInfo, opened: bool) -> None:
    """Where to click for each credential, one step after the other."""
    if info.guide:
        with st.expander("How to get these", icon=":material/help:", expanded=opened):
            st.markdown(text.steps(info.guide))


def show_account_form(info: sources.PlatformInfo, known: sources.AccountView | None = None) -> None:
    """Credentials, of a new account or of a `known` one: encrypted when saved, secrets never shown again."""
    if connect.show(info, known):
        return
    show_guide(info, opened=known is None)
    with st.form(f"account_{info.platform}" if known is None else f"account_again_{known.id}", border=True):
        kept = "" if known is None else " What is left empty stays as it is."
        st.caption(f":material/lock: Kept encrypted. A secret is never shown again.{kept}")
        label = st.text_input(
            "Name of this account here", known.label if known else "", max_chars=100, placeholder=f"Our {info.title}"
        )
        values = {
            one.name: st.text_input(
                one.label + ("" if one.required else " (optional)"),
                one.default if known is None else "",
                help=one.help or None,
                type="password" if one.secret else "default",
                autocomplete="off",
            )
            for one in info.credentials
        }
        base_url = st.text_input(
            "Server address (optional)",
            (known.base_url if known else "") or "",
            placeholder="only where it is not the platform's own",
        )
        if st.form_submit_button("Save and test", type="primary"):
            with look.telling_errors():
                account_id = sources.save_account(
                    context.ctx(),
                    context.actor(),
                    info.platform,
                    label,
                    base_url.strip() or None,
                    values,
                    known.id if known else None,
                )
                state.close_up("account_again")
                state.set_request(
                    "account_test", sources.request_account_test(context.ctx(), context.actor(), account_id)
                )
                st.rerun()


def show_account_test(account_id: int) -> None:
    """The Test button and what the platform said."""
    if state.request("account_test") is None:
        st.button(
            "Test this account",
            icon=":material/network_check:",
            key="test_account",
            type="tertiary",
            on_click=_test,
            args=(account_id,),
        )
    notices.wait_for("account_test")


def _test(account_id: int) -> None:
    with look.telling_errors_later():
        state.set_request("account_test", sources.request_account_test(context.ctx(), context.actor(), account_id))


# Accounts -------------------------------------------------------------------------------------------------------------


def _again(one: sources.AccountView) -> None:
    state.open_up("account_again", one.id)
    if one.connected:
        state.open_up("connect", f"{one.platform}_{one.id}")


def show_accounts(owned: list[sources.AccountView], platforms: list[sources.PlatformInfo], now: datetime) -> None:
    """Our accounts on the platforms; one of them may be entered again."""
    infos = {one.platform: one for one in platforms}
    with st.container(border=True, key="accounts-list"):
        st.markdown("**Our accounts** :gray[credentials are kept encrypted]")
        if not owned:
            st.caption("None yet. An account is made while a source is added.")
        for one in owned:
            access = connect.access_words(one, now)
            with st.container(
                horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", key=f"account-{one.id}"
            ):
                st.markdown(
                    f"**{text.plain(one.label, 80)}** "
                    + look.grey(" · ".join(filter(None, (one.platform_title, one.handle))))
                    + "  \n"
                    + look.grey(" ".join(filter(None, (one.check_words or "not checked yet", access))))
                    + (f"  \n:orange[:material/warning: {text.plain(one.warning)}]" if one.warning else "")
                )
                with st.container(horizontal=True, width="content"):
                    if one.platform in infos:
                        st.button(
                            "Connect again" if one.connected else "Enter again",
                            key=f"account_again_{one.id}",
                            type="tertiary",
                            icon=":material/edit:",
                            on_click=_again,
                            args=(one,),
                        )
                    st.button(
                        "Test",
                        key=f"account_test_{one.id}",
                        type="tertiary",
                        icon=":material/network_check:",
                        on_click=_test,
                        args=(one.id,),
                    )
                    st.button(
                        "Remove",
                        key=f"account_remove_{one.id}",
                        type="tertiary",
                        icon=":material/delete:",
                        on_click=_act,
                        args=(sources.remove_account, one.id, "The account is gone from here."),
                    )
            if state.opened("account_again") == one.id and one.platform in infos:
                show_account_form(infos[one.platform], one)
        if not state.opened("adding"):
            notices.wait_for("account_test")


def main() -> None:
    """Wires loaders and views."""
    context.through_the_dashboard()
    person, now = context.actor(), context.now()
    admin = person.role >= Role.ADMIN
    with look.telling_errors():
        scope, ctx = context.scope(person), context.ctx()
        found = load_sources(scope, ctx, person)
        connect.show_way_back()
        notices.show()
        overview = load_overview(scope, ctx, person)
        show_top(overview, admin)
        show_overview(overview)
        look.sample_banner(any(one.sample for one in found))
        if admin:
            notices.adopt("remove_source", "remove_source")
            notices.adopt("backfill", "backfill")
            notices.wait_for("backfill")
            notices.wait_for("oauth_finish", cancel=False)
        notices.wait_for("remove_source", cancel=False)
        if admin and state.opened("compliance"):
            compliance.show(now)
        if admin and state.opened("accounts_list"):
            show_accounts(load_accounts(scope, ctx, person), sources.platforms(ctx), now)
        if admin:
            notices.adopt("import", "import")
        if admin and upload.waiting():
            with st.container(border=True, key="importing"):
                upload.show()
        elif admin and webhook.fresh() is not None:
            webhook.show(webhook.fresh(), now)  # at the top: its secret is shown this once
        elif admin and state.opened("adding"):
            show_adding(sources.platforms(ctx), load_accounts(scope, ctx, person))
        if not found and not state.opened("adding"):
            look.nothing(
                empty_words(sources.without_a_key(ctx))
                if admin
                else "Nothing is listened to yet. An administrator can connect a source.",
                ":material/podcasts:",
            )
        infos = {one.platform: one for one in sources.platforms(ctx)}
        for one in sorted(found, key=lambda one: one.sample):  # our own before what was made up
            show_source(one, admin, infos.get(one.platform), now)
        show_dialogs(found, now)


def empty_words(without_a_key: list[str]) -> str:
    """What to do first."""
    named = text.listed(without_a_key, bold=True)
    return f"Nothing is listened to yet. Connect the first source: {named} need no key."


def show_dialogs(found: list[sources.SourceView], now: datetime) -> None:
    """At most one is open."""
    known = {one.id: one for one in found}
    for what in ("runs", "rename", "back", "remove"):
        one = known.get(state.opened(what))
        if one is None:
            continue
        if what == "runs":
            show_runs(one, sources.runs(context.ctx(), context.actor(), one.id, 20), now)
        elif what == "rename":
            show_rename(one)
        elif what == "back":
            show_back(one, now)
        else:
            show_remove(one)
        return


main()
