"""Themes: what many speak of lately that nobody foresaw, in their words; a topic or feedback item in one click."""

from __future__ import annotations

from datetime import datetime

import pandas as pd
import streamlit as st

from dialogue import themes
from dialogue.context import Actor, Context, Role
from dialogue.inbox import Filters
from pages.parts import charts, context, look, notices, state, text

EMPTY = (
    "The first themes appear once the model has read 20 mentions; then they are searched for again every hour, or "
    "sooner when much is new. Connect more under **Sources**."
)
QUIET = "No theme had a mention in these days. Look at more days."
NOTHING_GROWS = "Nothing is new or growing in these days. Look at *All*, or at more days."
WHICH = {"all": "All", "growing": "New and growing"}
TRENDS = {
    "new": ("blue", ":material/fiber_new:"),
    "growing": ("blue", ":material/trending_up:"),
    "shrinking": ("gray", ":material/trending_down:"),
    "steady": ("gray", ":material/trending_flat:"),
}
AT_ONCE = 12
"""Cards that are drawn before somebody asks for more."""


# Loader: never draws --------------------------------------------------------------------------------------------------


@st.cache_data(ttl=60, max_entries=50, show_spinner=False)
def load_themes(scope: context.Scope, days: int, growing: bool, _ctx: Context, _person: Actor) -> themes.Themes:
    """The themes of so many days."""
    return themes.themes(_ctx, _person, days, growing=growing)


# Views: never load ----------------------------------------------------------------------------------------------------


def days() -> int:
    """The period of the address bar."""
    return int(state.chosen("days", [str(one) for one in themes.PERIODS], "7"))


def which() -> str:
    """All themes, or those that grow; by the address bar."""
    return state.chosen("which", WHICH, "all")


def show_top(found: themes.Themes, now: datetime, may: bool) -> None:
    """Title, what the last search went over, and which themes to show."""
    left, right = st.columns([0.68, 0.32], vertical_alignment="center")
    with left:
        searched = f" Searched {text.when(found.searched_at, now)}." if found.searched_at else ""
        look.heading("Themes", found.words + ("" if found.searching else searched))
    with right, st.container(horizontal=True, horizontal_alignment="right"):
        if may and state.request("themes") is None and found.searchable:
            st.button(
                "Search now",
                icon=":material/refresh:",
                key="search_themes",
                disabled=found.searching,
                help="The worker does so by itself every hour, or sooner when much is new.",
                on_click=_search,
            )
    notices.wait_for("themes")
    with st.container(horizontal=True, key="themes-filters", gap="small"):
        st.session_state["themes_which"] = which()
        st.segmented_control(
            "Which",
            list(WHICH),
            key="themes_which",
            required=True,
            label_visibility="collapsed",
            format_func=WHICH.__getitem__,
            on_change=lambda: state.choose("which", st.session_state["themes_which"]),
        )
        st.session_state["themes_days"] = days()
        st.segmented_control(
            "Days",
            list(themes.PERIODS),
            key="themes_days",
            required=True,
            label_visibility="collapsed",
            format_func=lambda number: f"{number} days",
            on_change=lambda: state.choose("days", str(st.session_state["themes_days"])),
        )


def show_cards(found: themes.Themes, now: datetime, may: bool) -> None:
    """The themes, two beside each other where there is room."""
    if not found.cards:
        look.nothing(_nothing(found), ":material/bubble_chart:")
        return
    shown = found.cards if state.opened("all_themes") else found.cards[:AT_ONCE]
    with st.container(key="themes"):
        for pair in (shown[at : at + 2] for at in range(0, len(shown), 2)):
            for column, card in zip(st.columns(2, gap="small"), pair, strict=False):
                with column:
                    show_card(card, found, now, may)
    if len(shown) < len(found.cards):
        left = len(found.cards) - len(shown)
        st.button(
            f"Show {text.counted(left, 'more theme')}",
            key="more_themes",
            on_click=state.open_up,
            args=("all_themes",),
        )


def _nothing(found: themes.Themes) -> str:
    if found.searched_at is None:
        return EMPTY
    return NOTHING_GROWS if which() == "growing" else QUIET


def show_card(card: themes.ThemeCard, found: themes.Themes, now: datetime, may: bool) -> None:
    """One theme: how many, how it moved, how people feel, what they say, and what can be made of it."""
    with st.container(border=True, height="stretch", key=f"theme-{card.id}", gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="top", wrap=False, key=f"theme-head-{card.id}"):
            st.markdown(f"**{text.plain(card.name, 80)}**  \n:small[{head_words(card, mixed(found))}]", width="stretch")
            st.button(
                text.counted(card.count, "mention"),
                key=f"theme_mentions_{card.id}",
                type="tertiary",
                help="All of them, in the inbox",
                on_click=state.open_up,
                args=("drill_from_themes", Filters(view="all", theme_id=card.id, day=(found.first, found.last))),
            )
            if may:
                show_menu(card)
        st.altair_chart(
            charts.small_days(frame(card), look.sentiment_colours()),
            key=f"theme_days_{card.id}",
            alt=f"Mentions a day of the theme {text.shorten(text.tidy(card.name), 60)}",
        )
        st.markdown(f":small[{moods(card)}]")
        for quote in card.quotes:
            show_quote(card, quote, now)
        show_actions(card, may)


def mixed(found: themes.Themes) -> bool:
    """Whether made-up themes stand beside real ones, so that each must say which it is."""
    return len({card.sample for card in found.cards}) > 1


def head_words(card: themes.ThemeCard, marked: bool) -> str:
    """Markdown: how it moved, and what else became of it."""
    colour, icon = TRENDS[card.trend]
    line = f":{colour}[{icon} {text.plain(card.change, 80)}]"
    if card.faded:
        line += " " + look.badge("not in the last search", "orange", ":material/blur_on:")
    if card.sample and marked:
        line += " " + look.badge("sample", "gray", ":material/science:")
    return line + (f"  \n:gray[{text.plain(card.note, 200)}]" if card.note else "")


def moods(card: themes.ThemeCard) -> str:
    """Markdown: how people feel, in per cent."""
    total = max(card.count, 1)
    return " &nbsp; ".join(
        f":{look.COLOURS[name]}[{look.MARKS[name]}] :gray[{round(100 * card.of(name) / total)} % {name}]"
        for name in state.SENTIMENTS
    )


def frame(card: themes.ThemeCard) -> pd.DataFrame:
    """Columns day, sentiment, count."""
    rows = [(day.day, name, getattr(day, name)) for day in card.days for name in state.SENTIMENTS]
    return pd.DataFrame(rows, columns=["day", "sentiment", "count"])


def show_quote(card: themes.ThemeCard, quote: themes.Quote, now: datetime) -> None:
    """One voice, with the way to its conversation."""
    with st.container(key=f"theme-quote-{card.id}-{quote.mention_id}", gap="xxsmall"):
        look.quote(" ".join(text.tidy(quote.text).split()), limit=220)
        with st.container(horizontal=True, vertical_alignment="center", wrap=False, gap="small"):
            colour, mark = look.COLOURS.get(quote.sentiment, "gray"), look.MARKS.get(quote.sentiment, "●")
            who = text.plain(f"{quote.author_name} · {quote.platform_title} · {text.ago(quote.at, now)}", 120)
            st.markdown(f":small[:{colour}[{mark}] :gray[{who}]]", width="stretch")
            st.button(
                "Open",
                key=f"theme_open_{card.id}_{quote.mention_id}",
                type="tertiary",
                icon=":material/forum:",
                help="The conversation in which this was said",
                on_click=state.open_up,
                args=("conversation_from_themes", quote.conversation_id),
            )


def show_actions(card: themes.ThemeCard, may: bool) -> None:
    """What can be made of it, or what was."""
    with st.container(horizontal=True, vertical_alignment="center", key=f"theme-does-{card.id}", gap="small"):
        if card.topic is not None:
            st.page_link("pages/topics.py", label=f"Topic {text.plain(card.topic, 40)}", icon=":material/label:")
        elif may:
            st.button(
                "Make it a topic",
                key=f"theme_topic_{card.id}",
                icon=":material/label:",
                disabled=not card.phrases,
                help=topic_help(card),
                on_click=_to_topic,
                args=(card.id, card.name),
            )
        if card.item_id is not None:
            st.page_link("pages/feedback.py", label="On the feedback board", icon=":material/lightbulb:")
        elif may:
            st.button(
                "Add to feedback",
                key=f"theme_feedback_{card.id}",
                icon=":material/lightbulb:",
                help="A new item, backed by these quotes",
                on_click=_to_feedback,
                args=(card.id, card.name),
            )


def topic_help(card: themes.ThemeCard) -> str:
    """What a click would do, or why it cannot."""
    if not card.phrases:
        return (
            "All of this was said on platforms whose rules forbid to learn from it. Add a topic under Topics, in your "
            "own words."
        )
    return text.plain("Described with: " + "; ".join(card.phrases), 300)


def show_menu(card: themes.ThemeCard) -> None:
    """What is seldom done: another name, and off the page."""
    pop = st.popover(
        "", icon=":material/more_horiz:", type="tertiary", key=f"theme_menu_{card.id}", on_change="rerun", help="More"
    )
    if not pop.open:
        return
    with pop:
        with st.form(f"theme_name_{card.id}", border=False):
            found = card.found_name or card.name
            name = st.text_input(
                "Name",
                card.name,
                max_chars=themes.MAX_NAME,
                key=f"theme_name_is_{card.id}",
                help="Kept over every search. Empty: what the search calls it.",
                placeholder=text.shorten(text.tidy(found), themes.MAX_NAME),
            )
            if st.form_submit_button("Rename", icon=":material/edit:"):
                with look.telling_errors():
                    themes.rename(context.ctx(), context.actor(), card.id, name)
                    state.tell("Renamed.")
                    st.rerun()
        st.button(
            "Dismiss",
            key=f"theme_dismiss_{card.id}",
            icon=":material/visibility_off:",
            help="Off this page for good, also when it is found again",
            on_click=_dismiss,
            args=(card.id, card.name),
        )


def _search() -> None:
    with look.telling_errors_later():
        state.set_request("themes", themes.search_request(context.ctx(), context.actor()))


def _to_topic(theme_id: int, name: str) -> None:
    with look.telling_errors_later():
        state.set_request("theme_topic", themes.to_topic(context.ctx(), context.actor(), theme_id))
        state.tell(f"“{text.shorten(name, 60)}” becomes a topic; the mentions are being tagged anew.")


def _to_feedback(theme_id: int, name: str) -> None:
    with look.telling_errors_later():
        themes.to_feedback(context.ctx(), context.actor(), theme_id)
        state.tell(f"“{text.shorten(name, 60)}” stands on the feedback board.")


def _dismiss(theme_id: int, name: str) -> None:
    with look.telling_errors_later():
        undo_id = themes.dismiss(context.ctx(), context.actor(), theme_id)
        state.tell(f"“{text.shorten(name, 60)}” dismissed.", undo_id=undo_id, undo_of="themes")


def main() -> None:
    """Wires loader and views."""
    context.through_the_dashboard()
    going_to = state.opened("conversation_from_themes")
    if going_to is not None:
        state.close_up("conversation_from_themes")
        st.switch_page("pages/conversation.py", query_params=state.conversation_query(going_to))
    drill = state.opened("drill_from_themes")
    if drill is not None:
        state.close_up("drill_from_themes")
        st.switch_page("pages/inbox.py", query_params=state.filters_as_query(drill))
    person, now = context.actor(), context.now()
    with look.telling_errors():
        found = load_themes(context.scope(person), days(), which() == "growing", context.ctx(), person)
        notices.show()
        notices.adopt("themes", themes.SEARCH)
        show_top(found, now, context.may(Role.PRODUCT))
        notices.wait_for("theme_topic")
        look.sample_banner(any(card.sample for card in found.cards))
        show_cards(found, now, context.may(Role.PRODUCT))


main()
