"""Summary: in ten seconds, how people feel, about what, and whether we answer. Every chart leads to its mentions."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import streamlit as st

from dialogue import accuracy, measures, platforms, sample, sources
from dialogue.context import Actor, Context, Role
from dialogue.inbox import Filters
from pages.parts import charts, context, export, look, notices, state, text

PERIODS = {7: "7 days", 30: "30 days", 90: "90 days"}


# Loaders: never draw --------------------------------------------------------------------------------------------------


@st.cache_data(ttl=60, max_entries=50, show_spinner=False)
def load_summary(scope: context.Scope, days: int, _ctx: Context, _person: Actor) -> measures.Summary:
    """The last `days` days."""
    return measures.summary(_ctx, _person, days)


@st.cache_data(ttl=60, max_entries=50, show_spinner=False)
def load_csv(scope: context.Scope, days: int, _summary: measures.Summary) -> bytes:
    """The counts behind the charts, one row a day, topic or platform and mood; UTF-8 with a mark for spreadsheets."""
    frames = [
        _summary.by_day.rename(columns={"day": "key"}).assign(dimension="day"),
        _summary.by_topic.rename(columns={"topic": "key"}).assign(dimension="topic"),
        _summary.by_platform.rename(columns={"platform": "key"}).assign(dimension="platform"),
    ]
    table = pd.concat(frames, ignore_index=True)[["dimension", "key", "sentiment", "count"]]
    return export.csv(table)


@st.cache_data(ttl=60, max_entries=50, show_spinner=False)
def load_accuracy(scope: context.Scope, _ctx: Context, _person: Actor) -> accuracy.Figures:
    """How often the model is right."""
    return accuracy.figures(_ctx, _person)


# Views: never load ----------------------------------------------------------------------------------------------------


def show_top(summary: measures.Summary) -> None:
    """The finding as the title, what it rests on below."""
    left, right = st.columns([0.68, 0.32], vertical_alignment="center")
    with left:
        look.heading(summary.headline, summary.subline)
    with right, st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center"):
        st.session_state["days"] = days()
        st.segmented_control(
            "Period",
            list(PERIODS),
            key="days",
            required=True,
            format_func=PERIODS.__getitem__,
            label_visibility="collapsed",
            on_change=_set_days,
        )


def days() -> int:
    """The period of the address bar."""
    chosen = st.query_params.get("days", "")
    return int(chosen) if chosen.isascii() and chosen.isdigit() and int(chosen) in PERIODS else 7


def _set_days() -> None:
    st.query_params["days"] = str(st.session_state["days"])


def show_numbers(numbers: tuple[measures.Number, ...]) -> None:
    """Each with its change, whether that is good, and what it means; each leads to its mentions."""
    grid = st.grid(len(numbers), min_column_width=160, gap="small")
    for place, number in enumerate(numbers):
        with grid, st.container(border=True, height="stretch", key=f"number-{place}", gap="xxsmall"):
            st.metric(
                number.label,
                number.value,
                # Unescaped: these are our own figures, and a backslash would hide the minus that turns the arrow.
                text.ascii_minus(number.change) or None,
                delta_color="off" if number.good is None else "green" if number.good else "red",
                delta_description="vs previous" if number.change else None,  # longer words are cut on a phone
                help=f"Against the {days()} days before." if number.change else None,
                chart_data=list(number.spark) if len(number.spark) > 1 else None,
                chart_type="area",
            )
            with st.container(horizontal=True, vertical_alignment="center", wrap=False, key=f"number-foot-{place}"):
                st.caption(text.plain(number.meaning))
                show_way(f"number_{place}", number.filters)


def show_way(key: str, filters: Filters) -> None:
    """The way to the mentions behind a number or a chart."""
    st.button(
        "",
        key=key,
        type="tertiary",
        icon=":material/arrow_forward:",
        help="Show the mentions",
        on_click=_drill,
        args=(filters,),
    )


def show_charts(summary: measures.Summary) -> None:
    """Mood over time and what people talk about; a click on a bar opens the mentions behind it."""
    colours, period = look.sentiment_colours(), (summary.first, summary.last)
    wide, narrow = st.columns([0.6, 0.4], gap="small")
    with wide, st.container(border=True, height="stretch", key="chart-day", gap="xxsmall"):
        show_finding(summary.day_finding, "day")
        event = st.altair_chart(
            charts.by_day(summary.by_day, colours),
            key=f"by_day_{days()}_{visit()}",
            on_select="rerun",
            alt="Mentions a day by mood",
        )
        fields = charts.picked(event)
        drill_from(fields, Filters(view="all", day=charts.picked_day(fields) or period))
    with narrow, st.container(border=True, height="stretch", key="chart-topic", gap="xxsmall"):
        show_finding(summary.topic_finding, "topic")
        if summary.by_topic.empty:
            st.caption("Topics appear as soon as mentions are read by the model.")
            return
        event = st.altair_chart(
            charts.by_key(summary.by_topic, "topic", colours),
            key=f"by_topic_{days()}_{visit()}",
            on_select="rerun",
            alt="Mentions by topic and mood",
        )
        fields = charts.picked(event)
        drill_from(fields, Filters(view="all", topics=(fields.get("topic", ""),), day=period))


def show_finding(finding: measures.Finding, key: str) -> None:
    """A chart's title is what it shows, with the way to its mentions."""
    with st.container(horizontal=True, vertical_alignment="top", wrap=False, key=f"finding-{key}"):
        st.markdown(f"**{text.plain(finding.title)}**", width="stretch")
        show_way(f"finding_{key}", finding.filters)
    st.markdown(f":small[{look.legend()}]")


def drill_from(fields: dict[str, str], filters: Filters) -> None:
    """Opens the inbox on what a clicked bar stands for."""
    if not fields:
        return
    if fields.get("sentiment") in state.SENTIMENTS:
        filters = replace(filters, sentiment=(fields["sentiment"],))
    go_to_inbox(filters)


def visit() -> int:
    """Grows with each drill-down, so that a chart one comes back to has nothing picked."""
    return int(state.opened("drilled") or 0)


def go_to_inbox(filters: Filters) -> None:
    """Leaves for the inbox under these filters."""
    state.open_up("drilled", visit() + 1)
    st.switch_page("pages/inbox.py", query_params=state.filters_as_query(filters))


def _drill(filters: Filters) -> None:
    state.open_up("drill", filters)


def show_accuracy(figures: accuracy.Figures) -> None:
    """How far the charts can be trusted, with the way to more."""
    with st.container(horizontal=True, vertical_alignment="center", key="accuracy", gap="xsmall"):
        st.caption(f":material/verified: {text.plain(figures.short, 600)}", width="content")
        st.page_link("pages/model.py", label="Model", icon=":material/arrow_forward:")


def show_platforms(summary: measures.Summary) -> None:
    """Where it was said, and everything as CSV."""
    with st.container(border=True, key="chart-platform"):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.markdown(f"**Where people speak** &nbsp; :small[{look.legend()}]")
            st.download_button(
                "CSV",
                load_csv(context.scope(context.actor()), days(), summary),
                "samtal-summary.csv",
                "text/csv",
                icon=":material/download:",
                type="tertiary",
                key="csv",
                on_click="ignore",
                help="The counts behind these charts",
            )
        if not summary.by_platform.empty:
            names = {one: platforms.of(one).title for one in summary.by_platform["platform"]}
            titled = summary.by_platform.replace({"platform": names})
            event = st.altair_chart(
                charts.by_key(titled, "platform", look.sentiment_colours()),
                key=f"by_platform_{days()}_{visit()}",
                on_select="rerun",
                alt="Mentions by platform and mood",
            )
            fields = charts.picked(event)
            chosen = next((name for name, title in names.items() if title == fields.get("platform")), "")
            drill_from(fields, Filters(view="all", search=f"on:{chosen}", day=(summary.first, summary.last)))


def show_untagged(count: int) -> None:
    """What is not in the charts yet."""
    if count:
        st.caption(
            f":material/hourglass_top: {text.counted(count, 'mention is', 'mentions are')} still being read by the "
            "model and not counted yet."
        )


def show_welcome(person: Actor, without_a_key: list[str]) -> None:
    """The empty page: what to do first."""
    look.heading("Nobody has spoken yet", "Connect a source, or look around with sample data first.")
    left, right = st.columns(2, gap="medium")
    with left, st.container(border=True, key="welcome-source"):
        st.markdown(
            "### :material/podcasts: Connect a source\nA word to listen for or an address is enough, and the first "
            f"mentions appear within a minute. {text.listed(without_a_key)} need no key."
        )
        st.page_link("pages/sources.py", label="Go to Sources", icon=":material/arrow_forward:")
    with right, st.container(border=True, key="welcome-sample"):
        st.markdown(
            "### :material/science: Look around first\n"
            "A made-up fortnight of an invented brand, read by the real model, "
            "marked as sample wherever it shows, removed in one click."
        )
        if person.role >= Role.ADMIN and state.request("sample") is None:
            st.button("Load the sample data", type="primary", key="load_sample", on_click=_load_sample)
        elif person.role < Role.ADMIN:
            st.caption("An administrator can load it.")
        notices.wait_for("sample")


def _load_sample() -> None:
    with look.telling_errors_later():
        state.set_request("sample", sample.load_request(context.ctx(), context.actor()))


def show_sample_bar(person: Actor) -> None:
    """Says that these people were made up, and takes them away in one click."""
    with st.container(
        horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", key="sample-bar"
    ):
        look.sample_banner(True)
        if person.role >= Role.ADMIN and state.request("sample") is None:
            st.button(
                "Remove the sample data",
                icon=":material/delete:",
                type="tertiary",
                key="remove_sample",
                help="Takes out the invented people and all that hangs on them. It can be loaded again.",
                on_click=_remove_sample,
            )
    notices.wait_for("sample")


def _remove_sample() -> None:
    with look.telling_errors_later():
        state.set_request("sample", sample.remove_request(context.ctx(), context.actor()))


def main() -> None:
    """Wires loaders and views."""
    context.through_the_dashboard()
    drill = state.opened("drill")
    if drill is not None:
        state.close_up("drill")
        go_to_inbox(drill)
    person = context.actor()
    with look.telling_errors():
        summary = load_summary(context.scope(person), days(), context.ctx(), person)
        notices.show()
        notices.adopt("sample", "sample", "remove_sample")
        if summary.empty:
            show_welcome(person, sources.without_a_key(context.ctx()))
            return
        show_top(summary)
        if summary.has_sample:
            show_sample_bar(person)
        show_untagged(summary.untagged)
        show_numbers(summary.numbers)
        show_charts(summary)
        show_accuracy(load_accuracy(context.scope(person), context.ctx(), person))
        show_platforms(summary)


main()
