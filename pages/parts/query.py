"""What to listen for: typed in the one query language, explained while it is typed, looked at on real posts, added."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import streamlit as st

from dialogue import querying, requests, sources
from pages.parts import context, look, notices, state, text

EXAMPLE = 'acme ("tea kettle" OR teapot) -sale'
HELP = (
    "Words, all of which must occur; OR; -word or NOT; phrases in quotation marks; deliver* for words that begin so; "
    "acme NEAR/5 broken; author:, lang: and source:; parentheses."
)
SHOWN = 8


@dataclass(frozen=True, slots=True)
class Typed:
    """What is being added, and under which keys the session holds what was typed for it."""

    platform: str
    mode: str
    searches: bool
    account_id: int | None

    def key(self, what: str) -> str:
        """query, label, raw or only."""
        return f"add_{what}_{self.platform}_{self.mode}"

    # Read at the click: it may come before the page was drawn with what was typed last.

    def words(self, what: str) -> str:
        """What stands in a field."""
        return str(st.session_state.get(self.key(what)) or "").strip()

    @property
    def raw(self) -> bool:
        """Whether a search is written in the platform's own syntax."""
        return self.searches and bool(st.session_state.get(self.key("raw")))

    def options(self) -> dict[str, Any]:
        """How the query is meant."""
        options: dict[str, Any] = {querying.SYNTAX: querying.PLATFORMS} if self.raw else {}
        if (self.raw or not self.searches) and (only := self.words("only")):
            options[querying.ONLY] = only
        return options


def show(info: sources.PlatformInfo, account_id: int | None) -> None:
    """What to listen for; a look first, then add."""
    modes = {one.name: one for one in info.modes}
    name = next(iter(modes))
    if len(modes) > 1:
        name = (
            st.segmented_control(
                "What",
                list(modes),
                format_func=lambda one: text.plain(modes[one].label, 60),
                default=name,
                required=True,
                key=f"add_mode_{info.platform}",
                label_visibility="collapsed",
            )
            or name
        )
    mode = modes[name]
    typed = Typed(info.platform, name, mode.searches, account_id)
    if mode.query_label:
        _show_query(info, mode, typed)
    st.text_input(
        "Name of this source here",
        key=typed.key("label"),
        max_chars=100,
        placeholder=typed.words("query") or mode.label,
    )
    with st.container(horizontal=True, key="add-buttons"):
        st.button("Look what it finds", icon=":material/visibility:", key="look", on_click=_look, args=(typed,))
        st.button(
            "Add it", icon=":material/add:", type="primary", key="add_go", on_click=_add, args=(typed, mode.label)
        )
    if mode.query_label:
        # Below the buttons: above them it would push a button away from under the pointer that clicks it.
        show_explained(info, sources.explain(typed.platform, typed.words("query"), typed.mode, typed.options()))
    notices.wait_for("preview", done=show_found)


def _show_query(info: sources.PlatformInfo, mode: sources.ModeInfo, typed: Typed) -> None:
    common = mode.searches and not typed.raw
    st.text_input(
        mode.query_label,
        key=typed.key("query"),
        help=" ".join(filter(None, (mode.help, HELP if common else ""))) or None,
        max_chars=1_000,
        placeholder=EXAMPLE if common else info.search_syntax or None,
    )
    if mode.searches:
        st.toggle(
            f"Written in {text.plain(info.title, 60)}'s own syntax",
            key=typed.key("raw"),
            help=text.plain(info.search_syntax) or None,
        )
    if not common:
        st.text_input(
            "Only what matches (optional)", key=typed.key("only"), help=HELP, max_chars=500, placeholder=EXAMPLE
        )


def show_explained(info: sources.PlatformInfo, explained: sources.Explained) -> None:
    """What the platform will be asked and what is done here; or what is wrong with the query, and where."""
    if explained.problem:
        look.problem(explained.problem, explained.pointer)
    if explained.asked:
        show_asked(f"{info.title} is asked for", explained.asked, explained.notes)


def show_asked(title: str, asked: Any, notes: Any) -> None:
    """The searches in the platform's own words, and sentences on what it cannot express."""
    with st.container(key="asked", gap="xxsmall"):
        st.caption(f":material/search: {text.plain(title, 100)}")
        st.code("\n".join(text.tidy(str(one)) for one in asked), language=None, wrap_lines=True)
        for note in notes:
            st.caption(f":material/filter_alt: {text.plain(str(note), 700)}")


def show_found(view: requests.RequestView) -> None:
    """The first posts that the query finds, and some that the platform sent and the query does not mean."""
    result = view.result
    posts, left_out = result.get("posts", []), result.get("left_out", [])
    with st.container(border=True, key="found", gap="xsmall"):
        st.markdown(f":material/visibility: **{text.plain(view.words or 'This is what it finds')}**")
        if result.get("asked"):
            st.caption("Asked for: " + text.plain(" · ".join(map(str, result["asked"])), 700))
        if not posts:
            st.caption("Nothing was found. Try fewer or other words.")
        for post in posts[:SHOWN]:
            st.markdown(f"{_who_and_when(post)}  \n" + text.plain(str(post.get("text", "")), 240))
        if left_out:
            st.caption(":material/filter_alt: Left out here, for example:")
        for post in left_out:
            st.caption(f"{_who_and_when(post)}  \n" + text.plain(str(post.get("text", "")), 160))


def _who_and_when(post: Any) -> str:
    return f"**{text.plain(str(post.get('author', '')), 60)}** {look.grey(str(post.get('when', '')))}"


def _look(typed: Typed) -> None:
    with look.telling_errors_later():
        state.set_request(
            "preview",
            sources.request_preview(
                context.ctx(), context.actor(), typed.platform, typed.words("query"), typed.mode, typed.account_id,
                typed.options(),
            ),
        )  # fmt: skip


def _add(typed: Typed, otherwise: str) -> None:
    label = typed.words("label") or typed.words("query") or otherwise
    with look.telling_errors_later():
        sources.add(
            context.ctx(), context.actor(), typed.platform, typed.words("query"), typed.mode, label, typed.account_id,
            typed.options(),
        )  # fmt: skip
        state.set_request("preview", None)
        state.close_up("adding")
        state.tell(f"{label} listens now. The first mentions appear within a minute.")
